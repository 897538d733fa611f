"""A table, whatever holds it: a CSV or Parquet path, a mapping of arrays, or a data frame; read column by column."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mpc.errors import DataError
from mpc.files import Array, DataFile, Kind, not_int64, not_missing, not_numbers, unique

__all__ = ["Description", "TableSource", "column_range", "describe", "read"]

_BLOCK = 1 << 20
_INT64 = np.iinfo(np.int64)


class Frame(Protocol):
    """What a pandas frame has, and all that is asked of one."""

    @property
    def columns(self) -> Iterable[Any]:
        """The columns' names."""

    def __getitem__(self, name: Any, /) -> Any:
        """One column."""


TableSource = str | os.PathLike[str] | Mapping[str, Any] | Frame


@dataclass(frozen=True)
class Description:
    """A table's number of rows, and the kind of every column, in the table's order."""

    rows: int
    columns: Mapping[str, Kind]


def describe(source: TableSource, name: str = "the table") -> Description:
    """Rows and kinds of columns. Loads no file: a CSV file is scanned whole, of Parquet only the metadata is read.

    A kind tells what a column is, not that `read` accepts it: values may still be missing. Booleans are integers,
    decimals real. `name` stands for the table in messages. Raises DataError.
    """
    if isinstance(source, str | os.PathLike):
        with DataFile(source, name) as file:
            rows, kinds = file.describe()
    else:
        columns = {column: _column(source, column, name) for column in _names(source, name)}
        rows, kinds = _rows(columns, name), {column: held.kind for column, held in columns.items()}
    if not rows or not kinds:
        raise DataError(f"{name} is empty: it has no {'rows' if kinds else 'columns'}.", "Give it at least one.")
    return Description(rows, kinds)


def read(source: TableSource, names: Sequence[str], name: str = "the table") -> dict[str, Array]:
    """The named columns as one-dimensional int64 or float64 arrays of one length; all values are finite.

    Of a file only these columns are read; the peak of memory is about 1.5 times the result. Arrays may be the caller's.
    `name` stands for the table in messages. Raises DataError for an unknown column, and for one that holds text,
    missing values, NaN, infinities or integers outside int64, telling in how many rows.
    """
    if isinstance(source, str | os.PathLike):
        with DataFile(source, name) as file:
            _known(names, file.columns, name)
            columns = file.read(names) if names else {}
    else:
        _known(names, _names(source, name), name)
        held = {column: _column(source, column, name) for column in names}
        _rows(held, name)
        columns = {column: one.values(f"{name}, column {column!r}") for column, one in held.items()}
    for column, values in columns.items():
        _check(values, f"{name}, column {column!r}")
    return columns


def column_range(values: Array) -> tuple[int, int] | tuple[float, float]:
    """The smallest and the largest of at least one value."""
    return values.min().item(), values.max().item()


@dataclass(frozen=True)
class _Held:
    """A column in memory, as given."""

    array: NDArray[Any]
    kind: Kind
    missing: int

    def values(self, label: str) -> Array:
        rows = len(self.array)
        if self.missing:
            raise not_missing(label, self.missing, rows)
        if self.kind == "other":
            raise not_numbers(label)
        if self.kind == "real":
            return np.asarray(self.array, dtype=np.float64)
        # Only these can be wider: comparing the others would cost a pass for nothing.
        wide = self.array if self.array.dtype.kind in "uO" else self.array[:0]
        if outside := int(np.count_nonzero((wide > _INT64.max) | (wide < _INT64.min))):
            raise not_int64(label, outside)
        return self.array.astype(np.int64, copy=False)


def _column(source: Mapping[str, Any] | Frame, column: str, name: str) -> _Held:
    given = source[column]
    try:
        array = np.ma.getdata(given) if isinstance(given, np.ma.MaskedArray) else np.asarray(given)
    except ValueError:
        array = np.empty((0, 0))
    if array.ndim != 1:
        raise DataError(f"{name}, column {column!r} is not one row of values.", "Give a one-dimensional array.")
    absent: NDArray[np.bool_]
    if isinstance(given, np.ma.MaskedArray):
        absent = np.ma.getmaskarray(given)
    elif hasattr(given, "isna"):
        absent = np.asarray(given.isna(), dtype=bool)
    else:
        absent = np.array([value is None for value in array] if array.dtype.kind == "O" else [], dtype=bool)
    return _Held(array, _kind(array, absent), int(np.count_nonzero(absent)))


def _kind(array: NDArray[Any], absent: NDArray[Any]) -> Kind:
    if array.dtype.kind == "O":
        present = [value for value, gone in zip(array, absent, strict=True) if not gone]
        if present and all(isinstance(value, Integral | np.bool_) for value in present):
            return "integer"
        return "real" if present and all(isinstance(value, Real | Decimal) for value in present) else "other"
    return "integer" if array.dtype.kind in "biu" else "real" if array.dtype.kind == "f" else "other"


def _rows(columns: Mapping[str, _Held], name: str) -> int:
    lengths = {column: len(held.array) for column, held in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{column!r} has {length}" for column, length in lengths.items())
        raise DataError(f"{name}: columns differ in their number of rows: {told}.", "Give columns of one length.")
    return max(lengths.values(), default=0)


def _names(source: Mapping[str, Any] | Frame, name: str) -> list[str]:
    if not isinstance(source, Mapping) and not hasattr(source, "columns"):
        raise DataError(
            f"{name} is given as {type(source).__name__}, which is no table.",
            "Give a path to a CSV or Parquet file, a mapping of names to arrays, or a pandas frame.",
        )
    names = list(source if isinstance(source, Mapping) else source.columns)
    if any(not isinstance(column, str) for column in names):
        raise DataError(f"{name} has a column whose name is not text.", "Name every column by a string.")
    unique(names, name)
    return names


def _known(names: Sequence[str], known: Sequence[str], name: str) -> None:
    for column in names:
        if column not in known:
            near = difflib.get_close_matches(column, known, 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise DataError(f"{name} has no column {column!r}.", f"{hint}There are: {', '.join(known) or 'none'}.")


def _check(values: Array, label: str) -> None:
    if not len(values):
        raise DataError(f"{label} is empty: the table has no rows.", "Give it at least one.")
    if values.dtype.kind == "f":
        if count := _count(values, np.isnan):
            raise DataError(f"{label} has NaN in {count} rows.", "Fill these values in, or leave the rows out.")
        if count := _count(values, np.isinf):
            raise DataError(f"{label} has infinities in {count} rows.", "Correct these values, or leave the rows out.")


def _count(values: Array, test: Callable[..., Any]) -> int:
    """How many values pass the test, block by block: a mask of a whole column is memory that is not needed."""
    return sum(int(np.count_nonzero(test(values[at : at + _BLOCK]))) for at in range(0, len(values), _BLOCK))
