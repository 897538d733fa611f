"""What the owners agreed to: which tables and columns take part, within which ranges, and who may receive results."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mpc.schema import Column, Schema, Table
from parties.config import Consortium
from parties.documents import Document, Name, digest, load
from parties.errors import Fault

__all__ = ["Agreement", "ColumnTerms", "TableTerms", "table_name"]

_MAX_ROWS = 1 << 40
_MOST = sys.float_info.max


def table_name(text: str) -> str:
    """The text, if a table and its file may be called that. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", text):
        raise ValueError("must be the name of a table: a letter or digit, then at most 63 of these, _ and -")
    return text


def _column_name(text: str) -> str:
    if not 0 < len(text) <= 200:
        raise ValueError("must be the name of a column, at most 200 characters")
    return text


TableName = Annotated[str, AfterValidator(table_name)]
ColumnName = Annotated[str, AfterValidator(_column_name)]


class ColumnTerms(Document):
    """A column's type and the closed range that all its values are in."""

    type: Literal["integer", "real"]
    range: Annotated[tuple[int | float, int | float], Field(strict=False)]

    @model_validator(mode="before")
    @classmethod
    def _ordered(cls, terms: object) -> object:
        match terms:
            case {"type": "integer" | "real" as kind, "range": ends, **others}:
                return {"type": kind, "range": _range(kind, ends), **others}
        return terms


class TableTerms(Document):
    """A table of one party: at most so many rows, and the columns that take part."""

    rows: Annotated[int, Field(ge=1, le=_MAX_ROWS)]
    columns: Mapping[ColumnName, ColumnTerms]


class Agreement(Document):
    """One owner's copy of the agreement. `data` is party -> table -> terms."""

    version: Literal[1]
    purpose: Annotated[str, Field(min_length=1)]
    source: Literal["dealer"]
    min_rows: Annotated[int, Field(ge=1)] = 10
    recipients: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]
    data: Mapping[Name, Mapping[TableName, TableTerms]] = {}

    @classmethod
    def load(cls, path: Path, consortium: Consortium | None = None) -> Agreement:
        """The agreement.toml at `path`; for a consortium, `data` has every party of it, in its order.

        Raises Fault AGREEMENT_MISSING, AGREEMENT_INVALID naming the field.
        """
        agreement = load(
            cls, path, "AGREEMENT", "Write it with `beaver agreement draft`, or get a copy from the other owners."
        )
        return agreement if consortium is None else agreement._within(consortium, path)

    def digest(self) -> bytes:
        """SHA-256 over the content: comments, order and parties without tables do not matter."""
        content = self.model_dump(mode="python")
        recipients = sorted(set(self.recipients))
        return digest(
            content | {"recipients": recipients, "data": {p: held for p, held in content["data"].items() if held}}
        )

    def schema(  # type: ignore[override]  # not the deprecated method of pydantic's models
        self, rows: Mapping[str, Mapping[str, int]] | None = None
    ) -> Schema:
        """The tables as planned with: the agreed bounds on rows, or these counts (party -> table -> rows).

        A table without a count is left out when counts are given. Raises Fault ROWS_ABOVE_AGREEMENT, ROWS_INVALID.
        """
        if rows is None:
            rows = {party: {name: table.rows for name, table in held.items()} for party, held in self.data.items()}
        for party, counts in rows.items():
            for name, count in counts.items():
                self._check_rows(party, name, count)
        return {
            party: {
                name: Table(rows[party][name], {title: _column(terms) for title, terms in table.columns.items()})
                for name, table in held.items()
                if name in rows.get(party, {})
            }
            for party, held in self.data.items()
        }

    def _check_rows(self, party: str, name: str, count: int) -> None:
        table = self.data.get(party, {}).get(name)
        if table is None or type(count) is not int or count < 1:
            raise Fault(
                "ROWS_INVALID",
                f"{party[:40]} told of {name[:64]!r} what cannot be: an unagreed table, or no row at all.",
                "Check that every party has the same agreement.toml and a table with rows.",
                peer=party[:40],
            )
        if count > table.rows:
            raise Fault(
                "ROWS_ABOVE_AGREEMENT",
                f"{party}.{name} has {count:,} rows; the agreement allows {table.rows:,}.",
                f"Take rows out of the table, or have the owners agree to more under [data.{party}.{name}].",
                peer=party,
            )

    def _within(self, consortium: Consortium, path: Path) -> Agreement:
        strangers = [f"data.{name}" for name in self.data if name not in consortium.party_names]
        names = {member.name for member in (*consortium.parties, *consortium.analysts)}
        strangers += [f"recipients: {name!r}" for name in self.recipients if name not in names]
        if strangers:
            raise Fault(
                "AGREEMENT_INVALID",
                f"{path}: {strangers[0]} is not of the consortium {consortium.name}.",
                f"Its parties are {', '.join(consortium.party_names)}; results go to these or its analysts.",
            )
        return self.model_copy(update={"data": {party: self.data.get(party, {}) for party in consortium.party_names}})


def _range(kind: object, ends: object) -> list[int] | list[float]:
    match ends:
        case [bool(), _] | [_, bool()]:
            pass
        case [int() as low, int() as high] if kind == "integer" and -(1 << 63) <= low <= high < 1 << 63:
            return [low, high]
        case [int() | float() as low, int() | float() as high] if kind == "real" and -_MOST <= low <= high <= _MOST:
            # [0, 1] and [0.0, 1.0] say the same of a real column, so they have the same digest.
            return [float(low) + 0.0, float(high) + 0.0]
    numbers = "whole numbers of at most 64 bits" if kind == "integer" else "finite numbers"
    raise ValueError(f"range must be [low, high], two {numbers}, low not above high")


def _column(terms: ColumnTerms) -> Column:
    return Column(terms.type, *terms.range)
