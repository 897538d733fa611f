"""Which tables and columns each party holds, and the ranges their owners declared. No data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Column", "Schema", "Table", "unit_rows"]


@dataclass(frozen=True)
class Column:
    """A column's type and declared closed range, in the column's own units."""

    kind: Literal["integer", "real"]
    low: int | float
    high: int | float


@dataclass(frozen=True)
class Table:
    """A table of one party: its number of rows (or the declared bound on it), its columns, and how many rows belong to
    one person at most.
    """

    rows: int
    columns: Mapping[str, Column]
    unit_rows: int = 1


Schema = Mapping[str, Mapping[str, Table]]
"""party -> table -> Table; parties in the consortium's order."""


def unit_rows(schema: Schema) -> Mapping[tuple[str, str], int]:
    """Of every table, by party and name, how many rows belong to one person at most."""
    return {(party, name): table.unit_rows for party, tables in schema.items() for name, table in tables.items()}
