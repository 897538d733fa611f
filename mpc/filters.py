"""Rows that a secret condition selects. How many and which ones nobody learns, unless a count is revealed.

The unselected rows stay and count as nothing: every cost is that of the whole table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mpc.errors import ScriptError
from mpc.functions import stack
from mpc.values import Value, record

if TYPE_CHECKING:
    from mpc.data import TableView

__all__ = ["FilteredColumn", "FilteredTable", "Groups", "histogram"]


class FilteredTable:
    """The rows of a table for which a condition holds."""

    def __init__(self, table: TableView, condition: Value) -> None:
        if condition.shape != (len(table),) or condition.type.domain.kind != "boolean":
            raise ScriptError(
                f"table {table.name!r} is filtered by something that is not one truth value a row",
                "Compare one of its columns: t[t['age'] > 65].",
            )
        self._table = table
        self._condition = condition

    def __getitem__(self, key: str | Value | FilteredColumn) -> FilteredColumn | FilteredTable:
        """A column of the selected rows; or, for another condition, the rows for which both hold."""
        if isinstance(key, str):
            return FilteredColumn(self._table[key], self._condition)
        other = key.values if isinstance(key, FilteredColumn) else key
        return FilteredTable(self._table, self._condition & other)

    def count(self) -> Value:
        """How many rows are selected."""
        return self._condition.sum()


def _each(name: str) -> Callable[[FilteredColumn, Any], FilteredColumn]:
    """An operator of values, for filtered ones."""

    def operate(self: FilteredColumn, other: Any) -> FilteredColumn:
        operand = other.values if isinstance(other, FilteredColumn) else other
        return FilteredColumn(getattr(self.values, name)(operand), self.condition)

    return operate


class FilteredColumn:
    """Values of which only the selected ones count. Undefined where none is selected, as numpy's would be."""

    def __init__(self, values: Value, condition: Value) -> None:
        self.values = values
        self.condition = condition

    def count(self) -> Value:
        """How many values are selected."""
        return self.condition.sum()

    def sum(self) -> Value:
        """Their sum; 0 when there is none."""
        return (self.values * self.condition).sum()

    def mean(self) -> Value:
        """Their mean."""
        return self._defined(self.sum() / self._divisor())

    def var(self, ddof: int = 0) -> Value:
        """Their variance, divided by the count less `ddof`."""
        centred = (self.values - self.mean_if_any()) * self.condition
        count = self.count()
        return self._defined((centred * centred).sum() / record("maximum", count - ddof, 1), ddof + 1)

    def std(self, ddof: int = 0) -> Value:
        """Their standard deviation."""
        from mpc.elementwise import sqrt

        return sqrt(self.var(ddof))

    def min(self) -> Value:
        """The smallest of them."""
        return self._defined(record("where", self.condition, self.values, self._end("high")).min())

    def max(self) -> Value:
        """The largest of them."""
        return self._defined(record("where", self.condition, self.values, self._end("low")).max())

    def mean_if_any(self) -> Value:
        """Their mean; 0 when there is none."""
        return self.sum() / self._divisor()

    def _divisor(self) -> Value:
        return record("maximum", self.count(), 1)

    def _end(self, end: str) -> int | float:
        type_ = self.values.type
        bound: int = getattr(type_, end)
        return bound if type_.domain.denominator == 1 else bound / type_.domain.denominator

    def _defined(self, value: Value, rows: int = 1) -> Value:
        flag = self.count() >= rows
        return Value(value._trace, value.step, flag if value.defined is None else flag & value.defined)

    __add__, __radd__ = _each("__add__"), _each("__radd__")
    __sub__, __rsub__ = _each("__sub__"), _each("__rsub__")
    __mul__, __rmul__ = _each("__mul__"), _each("__rmul__")
    __truediv__ = _each("__truediv__")
    __lt__, __le__, __gt__, __ge__ = _each("__lt__"), _each("__le__"), _each("__gt__"), _each("__ge__")
    __and__, __or__, __xor__ = _each("__and__"), _each("__or__"), _each("__xor__")
    __eq__, __ne__ = _each("__eq__"), _each("__ne__")  # type: ignore[assignment]

    def __neg__(self) -> FilteredColumn:
        return FilteredColumn(-self.values, self.condition)

    def __invert__(self) -> FilteredColumn:
        return FilteredColumn(~self.values, self.condition)

    __hash__ = object.__hash__


class Groups:
    """The rows of a table by the values of a key column, from a public list of keys. Arrays have one element a key."""

    def __init__(self, table: TableView, key: str, keys: Sequence[int | float]) -> None:
        public = np.asarray(keys)
        if public.ndim != 1 or not public.size or len(np.unique(public)) != public.size:
            raise ScriptError(f"groupby({key!r}): the keys are not a list of different numbers")
        self._table = table
        self._key = table[key]
        self._keys = public
        self._conditions = [self._key == value for value in public]

    def count(self) -> Value:
        """How many rows have each key."""
        return stack([condition.sum() for condition in self._conditions])

    def unlisted(self) -> Value:
        """How many rows have a key that is not in the list; no aggregate counts them."""
        return len(self._table) - self.count().sum()

    def agg(self, functions: Mapping[str, str | Sequence[str]]) -> dict[str, Value]:
        """For {column: function or functions}: "column_function" -> one result a key.

        Functions: count, sum, mean, var, std, min, max.
        """
        results: dict[str, Value] = {}
        for column, wanted in functions.items():
            for name in [wanted] if isinstance(wanted, str) else wanted:
                results[f"{column}_{name}"] = self._aggregate(column, name)
        return results

    def sum(self, column: str) -> Value:
        """The column's sum for each key."""
        return self._aggregate(column, "sum")

    def mean(self, column: str) -> Value:
        """The column's mean for each key; undefined where there is no row."""
        return self._aggregate(column, "mean")

    def _aggregate(self, column: str, name: str) -> Value:
        if name not in ("count", "sum", "mean", "var", "std", "min", "max"):
            raise ScriptError(f"groupby: {name!r} is no aggregate", "There are: count, sum, mean, var, std, min, max.")
        if name in ("count", "sum", "mean"):
            return self._linear(column, name)
        return stack(
            [getattr(FilteredColumn(self._table[column], condition), name)() for condition in self._conditions]
        )

    def _linear(self, column: str, name: str) -> Value:
        """Counts, sums and means, of all keys at once."""
        counts = self.count()
        if name == "count":
            return counts
        sums = stack([(self._table[column] * condition).sum() for condition in self._conditions])
        if name == "sum":
            return sums
        means = sums / record("maximum", counts, 1)
        return Value(means._trace, means.step, counts >= 1)


def histogram(values: Value, bins: Sequence[float]) -> Value:
    """How many values lie in each bin, as numpy.histogram counts: [b0, b1), ..., the last bin closed.

    `bins`: the edges, public and increasing. Values outside are not counted.
    """
    edges = np.asarray(bins)
    if edges.ndim != 1 or edges.size < 2 or not np.all(np.diff(edges) > 0):
        raise ScriptError("mpc.histogram: the bins are not two or more increasing edges")
    below = [(values < edge).sum() for edge in edges[:-1].tolist()] + [(values <= edges[-1].item()).sum()]
    return stack(below[1:]) - stack(below[:-1])
