"""Rows by the values of a key column, from a public list of keys. Which row has which key nobody learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mpc.errors import ScriptError
from mpc.filters import FilteredColumn
from mpc.functions import concat
from mpc.values import Value

if TYPE_CHECKING:
    from mpc.data import TableView

__all__ = ["Groups"]

_FUNCTIONS: Mapping[str, Callable[[FilteredColumn], Value]] = {
    "count": FilteredColumn.count,
    "sum": FilteredColumn.sum,
    "mean": FilteredColumn.mean,
    "var": lambda column: column.var(ddof=1),
    "std": lambda column: column.std(ddof=1),
    "min": FilteredColumn.min,
    "max": FilteredColumn.max,
    "median": FilteredColumn.median,
}

_MOST_CONDITIONS = 1 << 22
"""Truth values, one a row and key, that are held at once."""


class Groups:
    """The rows of a table by the values of a key column. Results are arrays with one element a key, in their order."""

    def __init__(self, table: TableView, key: str, keys: Sequence[int | float], condition: Value | None = None) -> None:
        public = np.asarray(keys)
        if public.ndim != 1 or public.dtype.kind not in "biuf" or not 0 < public.size == np.unique(public).size:
            raise ScriptError(f"groupby({key!r}): the keys are not a list of different numbers")
        held = table[key]
        at_once = max(1, _MOST_CONDITIONS // max(len(table), 1))
        parts = [public[start : start + at_once] for start in range(0, public.size, at_once)]
        conditions = [held == part[:, np.newaxis] for part in parts]
        self._table = table
        self._conditions = conditions if condition is None else [each & condition for each in conditions]
        self._rows: int | Value = len(table) if condition is None else condition.sum()

    def count(self) -> Value:
        """How many rows have each key."""
        return concat([condition.sum(axis=1) for condition in self._conditions])

    def unlisted(self) -> Value:
        """How many rows have a key that is not in the list; no aggregate counts them."""
        return self._rows - self.count().sum()

    def sum(self, column: str) -> Value:
        """The column's sum for each key."""
        return self._aggregate(column, "sum")

    def mean(self, column: str) -> Value:
        """The column's mean for each key; undefined where there is no row."""
        return self._aggregate(column, "mean")

    def agg(self, functions: Mapping[str, str | Sequence[str]]) -> dict[str, Value]:
        """For {column: function or functions}: "column_function" -> one result a key.

        Functions: count, sum, mean, var, std, min, max, median. Variances are divided by the count less 1, as pandas
        does. What is undefined for a key without rows, or with too few, is masked.
        """
        wanted = {column: [names] if isinstance(names, str) else list(names) for column, names in functions.items()}
        return {f"{column}_{name}": self._aggregate(column, name) for column in wanted for name in wanted[column]}

    def _aggregate(self, column: str, name: str) -> Value:
        if name not in _FUNCTIONS:
            raise ScriptError(f"groupby: {name!r} is no aggregate", f"There are: {', '.join(_FUNCTIONS)}.")
        values = self._table[column]
        parts = [_FUNCTIONS[name](FilteredColumn(values, condition)) for condition in self._conditions]
        joined = concat([part.without_unit() for part in parts])
        unit = parts[0].unit
        return Value(joined._trace, joined.step, joined.defined, None if unit is None else unit[0])
