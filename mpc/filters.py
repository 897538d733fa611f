"""Rows that a secret condition selects. How many and which ones nobody learns, unless a count is revealed.

The unselected rows stay and count as nothing: every cost is that of the whole table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from mpc.errors import ScriptError
from mpc.functions import maximum, stack, where
from mpc.operations.real import MOST_PRECISION, RECORDED
from mpc.order import as_fraction
from mpc.types import RING_BITS, Type
from mpc.values import Value, record

if TYPE_CHECKING:
    from mpc.data import TableView
    from mpc.groups import Groups

__all__ = ["FilteredColumn", "FilteredTable", "histogram"]

_ROOM = 15
"""Bits of the ring that a reciprocal takes, beside those of its result."""

_DIGITS = 54
"""Bits that a mean has, its distance from 0 included: as many as a float64."""


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
        if isinstance(key, FilteredColumn):
            key.check_filter(self._condition)
            key = key.values
        if not isinstance(key, Value):
            raise ScriptError(
                f"selected rows have no {type(key).__name__} of columns", "Take one column after the other: f['days']."
            )
        return FilteredTable(self._table, self._condition & key)

    def count(self) -> Value:
        """How many rows are selected."""
        return self._condition.sum()

    def groupby(self, key: str, keys: Sequence[int | float]) -> Groups:
        """The selected rows by the values of a column, which are looked for in a public list."""
        from mpc.groups import Groups

        return Groups(self._table, key, keys, self._condition)


def _each(name: str) -> Callable[[FilteredColumn, Any], FilteredColumn]:
    """An operator of values, for filtered ones."""

    def operate(self: FilteredColumn, other: Any) -> FilteredColumn:
        if isinstance(other, FilteredColumn):
            other.check_filter(self.condition)
            other = other.values
        return FilteredColumn(getattr(self.values, name)(other), self.condition)

    return operate


class FilteredColumn:
    """Values of which only the selected ones count. What is undefined for none is so where none is selected.

    With a matrix for a condition, one row for each of several selections, results are arrays with one element each.
    """

    def __init__(self, values: Value, condition: Value) -> None:
        self.values = values if values.unit is None else values + 0  # with its unit multiplied in
        self.condition = condition

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        here = ", ".join(sorted(n for n in dir(type(self)) if not n.startswith("_")))
        raise ScriptError(
            f"selected values have no `{name}`: which ones they are is secret, and so is how many",
            f"They have: {here}.",
        )

    def count(self) -> Value:
        """How many values are selected."""
        return self.condition.sum(axis=-1)

    def sum(self) -> Value:
        """Their sum; 0 when there is none."""
        return self._total(self.values)

    def mean(self) -> Value:
        """Their mean. Off by at most 2^-p of the declared range's width, where p is 33 for 10^5 rows in all, one less
        for every doubling and one more for every halving, up to 40.
        """
        z, middle, unit = self._normalised()
        offset = middle / unit
        mean = self._mean(z, max(_DIGITS - int(abs(offset)).bit_length(), 1))
        return self._defined(mean + offset, 1, unit)

    def var(self, ddof: int = 0) -> Value:
        """Their variance, divided by the count less `ddof`; off by at most 2^(2 - p) of the square of half the range's
        width, p as for a mean. Below twice that it counts as 0.
        """
        variance, unit = self._variance(ddof)
        return self._defined(variance, ddof + 1, unit * unit)

    def std(self, ddof: int = 0) -> Value:
        """Their standard deviation: the root of `var`."""
        variance, unit = self._variance(ddof)
        least = self._least_variance()
        root = record("sqrt", maximum(variance, least), **{**RECORDED, "precision": 24})
        return self._defined(where(variance > least, root, 0), ddof + 1, unit)

    def min(self) -> Value:
        """The smallest of them."""
        return self._defined(self._or_else(1).min(axis=-1))

    def max(self) -> Value:
        """The largest of them."""
        return self._defined(self._or_else(0).max(axis=-1))

    def median(self) -> Value:
        """The middle one of them, or the mean of the two in the middle: a sort of the whole column."""
        return self.quantile(0.5)

    def quantile(self, q: float | Sequence[float]) -> Value:
        """Quantiles of them, as `mpc.quantile`: a sort of the whole column, and two comparisons a row."""
        if isinstance(q, Sequence | np.ndarray) and np.ndim(q):
            return stack([self.quantile(one) for one in np.asarray(q).tolist()])
        fraction = as_fraction(q)
        in_order = self._or_else(1).sort()
        return self._defined(
            record("quantile", in_order, self.count(), numerator=fraction.numerator, denominator=fraction.denominator)
        )

    def check_filter(self, condition: Value) -> None:
        """Raises ScriptError unless it is this condition that selects the values."""
        if self.condition.step != condition.step:
            raise ScriptError(
                "columns of two different filters are combined", "Filter by both conditions first: t[a & b]."
            )

    def _normalised(self) -> tuple[Value, float, float]:
        """z within [-1, 1], middle and unit, so that the values are middle + unit z."""
        from mpc.stats.columns import normalised

        columns = normalised(self.values)
        if not columns.units[0]:  # all are equal by their range
            a_row = self.condition if self.condition.ndim == 1 else self.condition[0]
            return a_row * 0.0, float(columns.middles[0]), 1.0
        return columns.z[:, 0], float(columns.middles[0]), float(columns.units[0])

    def _total(self, x: Value) -> Value:
        return self.condition @ x

    def _mean(self, z: Value, most: int = MOST_PRECISION) -> Value:
        """To that many bits at most."""
        return self._per_row(self._total(z), -1, 1, most=most)

    def _variance(self, ddof: int) -> tuple[Value, float]:
        """And the unit that its root counts in. Below what roundings amount to it is 0."""
        z, _, unit = self._normalised()
        squares = self._total(_product(z, z)) - _product(self._total(z), self._mean(z))
        variance = self._per_row(squares, 0, ddof + 1, ddof)
        return where(variance > self._least_variance(), variance, 0), unit

    def _per_row(self, total: Value, low: float, high: float, less: int = 0, most: int = MOST_PRECISION) -> Value:
        """Divided by the count less a number, or by 1 where there are no more rows than that; within a range."""
        if total.type.low == total.type.high == 0:
            return total
        rows = maximum(self.count() - less, 1)
        params = {**RECORDED, "precision": min(self._precision(), most), "low": float(low), "high": float(high)}
        return record("ratio", total, rows, **params)

    def _precision(self) -> int:
        """Bits that a mean can have: those of the reciprocal of a count."""
        octaves = self.condition.shape[-1].bit_length() - 1
        return min(MOST_PRECISION, RING_BITS - _ROOM - octaves)

    def _least_variance(self) -> float:
        return 2.0 ** (3 - self._precision())

    def _or_else(self, end: int) -> Value:
        """The selected values, and for the others an end of the range."""
        return where(self.condition, self.values, _ends(self.values.type)[end])

    def _defined(self, value: Value, rows: int = 1, unit: float | None = None) -> Value:
        flag = self.count() >= rows
        units = None if unit in (None, 1.0) else np.asarray(unit)
        return Value(value._trace, value.step, flag if value.defined is None else flag & value.defined, units)

    __add__, __radd__ = _each("__add__"), _each("__radd__")
    __sub__, __rsub__ = _each("__sub__"), _each("__rsub__")
    __mul__, __rmul__ = _each("__mul__"), _each("__rmul__")
    __truediv__, __rtruediv__ = _each("__truediv__"), _each("__rtruediv__")
    __lt__, __le__, __gt__, __ge__ = _each("__lt__"), _each("__le__"), _each("__gt__"), _each("__ge__")
    __and__, __or__, __xor__ = _each("__and__"), _each("__or__"), _each("__xor__")
    __eq__, __ne__ = _each("__eq__"), _each("__ne__")  # type: ignore[assignment]

    def __neg__(self) -> FilteredColumn:
        return FilteredColumn(-self.values, self.condition)

    def __invert__(self) -> FilteredColumn:
        return FilteredColumn(~self.values, self.condition)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<the selected values of {self.values!r}>"


def histogram(values: Value | FilteredColumn, bins: Sequence[float]) -> Value:
    """How many values lie in each bin, as numpy.histogram counts: [b0, b1), ..., the last bin closed.

    `bins`: the edges, public and increasing. Values outside are not counted.
    """
    edges = np.asarray(bins)
    if edges.ndim != 1 or edges.size < 2 or not np.all(np.diff(edges) > 0):
        raise ScriptError("mpc.histogram: the bins are not two or more increasing edges")
    below = [(values < edge).sum() for edge in edges[:-1].tolist()] + [(values <= edges[-1].item()).sum()]
    return stack(below[1:]) - stack(below[:-1])


def _product(x: Value, y: Value) -> Value:
    """x * y, of reals rounded to as many digits as there is room for."""
    if x.type.domain.scale + y.type.domain.scale == 0:
        return x * y
    return record("multiply_rounded", x, y, scale=0)


def _ends(type_: Type) -> tuple[int | float, int | float]:
    """The ends of a range in units: integers where all numbers are."""
    if type_.domain.denominator == 1:
        return type_.low, type_.high
    return type_.low / type_.domain.denominator, type_.high / type_.domain.denominator
