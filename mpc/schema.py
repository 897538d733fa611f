"""Which tables and columns each party holds, and the ranges their owners declared. No data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Column", "Schema", "Table"]


@dataclass(frozen=True)
class Column:
    """A column's type and declared closed range, in the column's own units."""

    kind: Literal["integer", "real"]
    low: int | float
    high: int | float


@dataclass(frozen=True)
class Table:
    """A table of one party: its number of rows (or the declared bound on it) and its columns."""

    rows: int
    columns: Mapping[str, Column]


Schema = Mapping[str, Mapping[str, Table]]
"""party -> table -> Table; parties in the consortium's order."""
