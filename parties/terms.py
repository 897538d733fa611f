"""The parts of an agreement: what one party lets take part, how much may be learnt of it, how long things are kept."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from parties.documents import Document

__all__ = [
    "KINDS",
    "Begin",
    "Budget",
    "ColumnTerms",
    "CountNoise",
    "End",
    "KindName",
    "PlanDigest",
    "ResultName",
    "Retention",
    "TableName",
    "TableTerms",
    "Text",
    "table_name",
]

KINDS: Mapping[str, frozenset[str]] = {
    "counts": frozenset({"count"}),
    "sums": frozenset({"add", "cumsum", "divide", "mean", "negate", "subtract", "sum"}),
    "products": frozenset(
        {"comoment", "deviations", "long_product", "matmul", "matmul_rounded", "multiply", "multiply_rounded"},
    ),
    "functions": frozenset({"exp", "log", "quotient", "ratio", "reciprocal", "rsqrt", "sigmoid", "sqrt", "tanh"}),
    "equations": frozenset({"correlations", "inverse", "remainder", "rounded", "solution", "step"}),
    "comparisons": frozenset(
        {"absolute", "and", "equal", "less", "maximum", "minimum", "not", "where", "xor"},
    ),
    "rankings": frozenset({"argmax", "argmin", "argsort", "max", "min", "quantile", "sort"}),
    "choices": frozenset({"index"}),
}
"""The operations of plans, by the words that an agreement has for them. Those in none compute nothing of their own."""

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


def _result_name(text: str) -> str:
    if not 0 < len(text) <= 64:
        raise ValueError("must be the name of a result, at most 64 characters")
    return text


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError(f"is no kind of operation; there are {', '.join(KINDS)}")
    return text


def _plan_digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError("must be the 64 hexadecimal digits of a plan, as `beaver explain` prints them")
    return text


def _begin(value: object) -> object:
    return _instant(value, timedelta())


def _end(value: object) -> object:
    return _instant(value, timedelta(days=1))


def _instant(value: object, into_the_day: timedelta) -> object:
    """A moment in UTC; of a whole day its beginning, or its end."""
    match value:
        case datetime(tzinfo=None):
            raise ValueError("must say its time zone: 2027-01-31T17:00:00Z, or a whole day: 2027-01-31")
        case datetime():
            return value.astimezone(UTC)
        case date():
            try:
                return datetime(value.year, value.month, value.day, tzinfo=UTC) + into_the_day
            except OverflowError:
                pass
    raise ValueError("must be a day, without quotes: 2027-01-31")


Text = Annotated[str, Field(max_length=2000)]
"""What people say to people; nothing is done with it."""
TableName = Annotated[str, AfterValidator(table_name)]
ColumnName = Annotated[str, AfterValidator(_column_name)]
ResultName = Annotated[str, AfterValidator(_result_name)]
KindName = Annotated[str, AfterValidator(_kind)]
PlanDigest = Annotated[str, AfterValidator(_plan_digest)]
Begin = Annotated[datetime, BeforeValidator(_begin)]
"""A moment; a day without a time means its beginning, in UTC."""
End = Annotated[datetime, BeforeValidator(_end)]
"""A moment; a day without a time means its end, in UTC."""


class ColumnTerms(Document):
    """A column's type and the closed range that all its values are in."""

    type: Literal["integer", "real"]
    range: Annotated[tuple[int | float, int | float], Field(strict=False)]
    about: Text = ""

    @model_validator(mode="before")
    @classmethod
    def _ordered(cls, terms: object) -> object:
        match terms:
            case {"type": "integer" | "real" as kind, "range": ends, **others}:
                return {"type": kind, "range": _range(kind, ends), **others}
        return terms


class Budget(Document):
    """How much all noised results together may tell of a table's people, as differential privacy counts it.

    In any period of so many days, or in the agreement's whole term.
    """

    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    delta: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    days: Annotated[int, Field(ge=1, le=36525)] | None = None


class CountNoise(Document):
    """What each number of rows that is told costs the table's budget: epsilon, and the probability to tell more."""

    epsilon: Annotated[float, Field(ge=1e-6, le=100)]
    delta: Annotated[float, Field(gt=0, lt=1)]


class TableTerms(Document):
    """A table of one party: at most so many rows, and the columns that take part.

    `exact_results`: how many numbers without noise may depend on it, of an array each of its elements; None for any.
    `unit`: the column that says to whom a row belongs, as a number, where persons have several rows, `unit_rows` at
    most; it takes no part itself.
    `counts`: whether exact numbers of rows are told, or rounded down to a multiple of the smallest group, or with noise
    as `count_noise` says, and never more than there are; then the last rows of the table do not take part.
    """

    rows: Annotated[int, Field(ge=1, le=_MAX_ROWS)]
    columns: Mapping[ColumnName, ColumnTerms]
    about: Text = ""
    exact_results: Annotated[int, Field(ge=0)] | None = None
    budget: Budget | None = None
    unit: ColumnName | None = None
    unit_rows: Annotated[int, Field(ge=1, le=1 << 20)] = 1
    counts: Literal["exact", "rounded", "noised"] = "exact"
    count_noise: CountNoise | None = None

    @model_validator(mode="after")
    def _of_units(self) -> TableTerms:
        if self.unit is None and self.unit_rows > 1:
            raise ValueError("unit_rows needs unit: the column that tells whose a row is")
        return self

    @model_validator(mode="after")
    def _of_counts(self) -> TableTerms:
        if (self.counts == "noised") is not (self.count_noise is not None):
            raise ValueError('counts = "noised" and count_noise = { epsilon = ..., delta = ... } go together')
        if self.count_noise and (self.budget is None or self.budget.delta < self.count_noise.delta):
            raise ValueError("count_noise is debited: the table needs a budget, with at least its delta")
        return self


class Retention(Document):
    """How many days prepared random material, and results at a party, are kept at most.

    0 days: material is made for one session and not kept. None: results are kept as long as their recipient likes.
    """

    material_days: Annotated[int, Field(ge=0, le=36525)] = 0
    results_days: Annotated[int, Field(ge=1, le=36525)] | None = None


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
