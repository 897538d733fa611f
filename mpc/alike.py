"""Which rows of parties' tables are alike in a value: what its axes and its sums hold of them.

An axis has positions; at each of them lies a row of one table or of several, and positions may be alike. When an axis
is summed, rows inherit what was known of their positions. Where this cannot follow, the rows concerned stand alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc.errors import PlanError
from mpc.operations.structure import numpy_key
from mpc.types import Shape

__all__ = ["Alike", "Axis", "Classes", "Known", "Table"]

_MOST_POSITIONS = 1 << 24
"""Positions and rows that are looked at one by one, in a whole plan."""

Table = tuple[str, str]
"""A party and its table."""

_Numbers = NDArray[np.int64]

_Rows = range | _Numbers
"""The row at each position of an axis, -1 for none."""

Classes = range | _Numbers
"""Which rows a value sums: a range of rows that are all alike, or a number for every row of the table, the same for
rows that are alike, 0 for rows that the value does not depend on."""


@dataclass(frozen=True)
class Axis:
    """Tables whose rows lie along an axis, one at a position, and numbers that are the same for positions alike."""

    rows: Mapping[Table, _Rows] = field(default_factory=dict)
    alike: _Numbers | None = None


@dataclass(frozen=True)
class Known:
    """What is known of a value: its axes, and the rows that every element sums."""

    axes: tuple[Axis, ...] = ()
    summed: Mapping[Table, Classes] = field(default_factory=dict)


class Alike:
    """How operations carry what is known along. `lengths`: the rows of every table.

    Methods raise PlanError where there is too much to look at.
    """

    def __init__(self, lengths: Mapping[Table, int]) -> None:
        self._lengths = lengths
        self._looked_at = 0

    def function(self, inputs: Sequence[Known], shapes: Sequence[Shape], out: Shape) -> Known:
        """Any function of whole operands: rows along an axis stand alone, sums stay what they are."""
        sums: dict[Table, Classes] = {}
        for known, shape in zip(inputs, shapes, strict=True):
            apart = [Axis(axis.rows, self.apart(n)) for axis, n in zip(known.axes, shape, strict=True)]
            self._pool(sums, self.summed(Known(tuple(apart), known.summed), range(len(shape))).summed)
        return Known(tuple(Axis({}, self.apart(n)) for n in out), sums)

    def together(self, inputs: Sequence[Known], shapes: Sequence[Shape], out: Shape) -> Known:
        """Operands broadcast to one shape and combined element by element."""
        sums: dict[Table, Classes] = {}
        columns: list[list[Axis]] = [[] for _ in out]
        for known, shape in zip(inputs, shapes, strict=True):
            new = len(out) - len(shape)
            same = self.summed(known, [a for a, length in enumerate(shape) if length != out[new + a]], keep=True)
            self._pool(sums, same.summed)
            for column, axis in zip(columns[new:], same.axes, strict=True):
                column.append(axis)
        return Known(tuple(self._merged(axes, length) for axes, length in zip(columns, out, strict=True)), sums)

    def _merged(self, axes: Sequence[Axis], length: int) -> Axis:
        """One axis of several operands. Tables must lie along it row by row, each row beside its own kind."""
        rows: dict[Table, _Rows] = {}
        alike: _Numbers | None = None
        for axis in axes:
            alike = self._finer(alike, axis.alike)
            for table, here in axis.rows.items():
                for other, there in list(rows.items()):
                    if not _equal(here, there):
                        one, two = self._numbers(here), self._numbers(there)
                        if np.any((one >= 0) & (two >= 0) & (one != two)):
                            alike = np.arange(length)
                        if other == table:
                            here = np.where(one >= 0, one, two)
                rows[table] = here
        return Axis(rows, alike)

    def matmul(self, inputs: Sequence[Known], shapes: Sequence[Shape]) -> Known:
        """x[i, k] y[k, j] element by element, summed over k."""
        (x, y), (left, right) = inputs, shapes
        longer = Known((*x.axes, *[Axis()] * (len(right) - 1)), x.summed)
        product = self.together([longer, y], [(*left, *[1] * (len(right) - 1)), right], (*left, *right[1:]))
        return self.summed(product, [len(left) - 1])

    def summed(self, known: Known, axes: Sequence[int], keep: bool = False) -> Known:
        """The value summed over some axes, which go, or stay with one position for all."""
        sums = dict(known.summed)
        for axis in axes:
            for table, here in known.axes[axis].rows.items():
                self._pool(sums, {table: self._inherited(known, known.axes[axis], table, here)})
        kept = (Axis() if a in axes else axis for a, axis in enumerate(known.axes) if keep or a not in axes)
        return Known(tuple(kept), sums)

    def numbered(self, known: Known, axis: int, shape: Shape) -> Known:
        """The value, no two positions along an axis alike."""
        axes = list(known.axes)
        axes[axis] = Axis(axes[axis].rows, self.apart(shape[axis]))
        return Known(tuple(axes), known.summed)

    def _inherited(self, known: Known, axis: Axis, table: Table, here: _Rows) -> Classes:
        """The classes of a table's rows when their axis is summed: from their positions, and the rows beside them."""
        alike = axis.alike
        for other, there in axis.rows.items():
            if other != table and other in known.summed:
                rows = self._numbers(there)
                alike = self._finer(alike, np.where(rows < 0, 0, self._spread(other, known.summed[other])[rows]))
        if alike is None and isinstance(here, range):
            return here if here.step > 0 else here[::-1]
        rows = self._numbers(here)
        places = np.ones(rows.size, np.int64) if alike is None else alike + 1
        classes = np.zeros(self._allowed(self._lengths[table]), np.int64)
        classes[rows[rows >= 0]] = places[rows >= 0]
        several = np.flatnonzero(np.bincount(rows[rows >= 0], minlength=classes.size) > 1)
        classes[several] = int(classes.max(initial=0)) + 1 + np.arange(several.size)
        return classes

    def _pool(self, sums: dict[Table, Classes], more: Mapping[Table, Classes]) -> None:
        """Sums combined: rows are alike that are alike in both."""
        for table, rows in more.items():
            if table in sums and not _equal(sums[table], rows):
                one, two = self._spread(table, sums[table]), self._spread(table, rows)
                sums[table] = np.where((one == 0) & (two == 0), 0, 1 + self._common(one, two))
            else:
                sums[table] = rows

    def index(self, known: Known, key: Sequence[Any]) -> Known:
        axes: list[Axis] = []
        picked: list[int] = []
        for axis, (content, item) in enumerate(zip(known.axes, numpy_key(key), strict=True)):
            if isinstance(item, int):
                picked.append(axis)
                item = slice(item, item + 1)
            rows = {table: self._taken(here, item) for table, here in content.rows.items()}
            axes.append(Axis(rows, None if content.alike is None else content.alike[item]))
        return self.summed(Known(tuple(axes), known.summed), picked)

    def reshape(self, known: Known, shape: Shape, into: Shape) -> Known:
        """Axes of length 1 come and go. Where others are cut or run together, every row stands alone."""
        if [n for n in shape if n != 1] == [n for n in into if n != 1]:
            known = self.summed(known, [axis for axis, n in enumerate(shape) if n == 1])
            axes = iter(known.axes)
            return Known(tuple(Axis() if n == 1 else next(axes) for n in into), known.summed)
        if not any(axis.rows for axis in known.axes) and all(axis.alike is None for axis in known.axes):
            return Known((Axis(),) * len(into), known.summed)
        apart = [Axis(axis.rows, self.apart(n)) for axis, n in zip(known.axes, shape, strict=True)]
        sums = self.summed(Known(tuple(apart), known.summed), range(len(shape))).summed
        return Known(tuple(Axis({}, self.apart(n)) for n in into), sums)

    def concat(self, inputs: Sequence[Known], shapes: Sequence[Shape], axis: int) -> Known:
        """Along the joined axis the parts are not alike; along the others they go together."""
        others = [Known((*x.axes[:axis], Axis(), *x.axes[axis + 1 :]), x.summed) for x in inputs]
        rest = [(*shape[:axis], 1, *shape[axis + 1 :]) for shape in shapes]
        together = self.together(others, rest, rest[0])
        rows: dict[Table, list[_Numbers]] = {}
        alike: list[_Numbers] = []
        number = first = 0
        for x, shape in zip(inputs, shapes, strict=True):
            part, length = x.axes[axis], self._allowed(shape[axis])
            for table, here in part.rows.items():
                before = rows.setdefault(table, [])
                before.append(np.full(first - sum(map(len, before)), -1))
                before.append(self._numbers(here))
            alike.append(number + (np.zeros(length, np.int64) if part.alike is None else part.alike))
            number, first = int(alike[-1].max(initial=number)) + 1, first + length
        whole = {
            table: np.concatenate([*parts, np.full(first - sum(map(len, parts)), -1)]) for table, parts in rows.items()
        }
        joined = Axis(whole, np.concatenate(alike))
        return Known((*together.axes[:axis], joined, *together.axes[axis + 1 :]), together.summed)

    def slices(self, values: NDArray[Any]) -> Iterable[Axis]:
        """A constant's axes: positions with equal values are alike."""
        for axis, length in enumerate(values.shape):
            words = np.moveaxis(values.view(np.int64), axis, 0).reshape(length, -1) if values.size else values[:0]
            if (words == words[:1]).all():
                yield Axis()
            else:
                self._allowed(words.size)
                yield Axis({}, np.unique(words, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64))

    def _finer(self, one: _Numbers | None, other: _Numbers | None) -> _Numbers | None:
        if one is None or other is None:
            return other if one is None else one
        return self._common(one, other)

    def _common(self, one: _Numbers, other: _Numbers) -> _Numbers:
        """Small numbers that are the same where both are."""
        self._allowed(one.size)
        _, numbers = np.unique(one * (int(other.max(initial=0)) + 1) + other, return_inverse=True)
        return np.asarray(numbers, np.int64).reshape(-1)

    def _spread(self, table: Table, classes: Classes) -> _Numbers:
        if not isinstance(classes, range):
            return classes
        spread = np.zeros(self._allowed(self._lengths[table]), np.int64)
        spread[classes.start : classes.stop : classes.step] = 1
        return spread

    def _numbers(self, rows: _Rows) -> _Numbers:
        self._allowed(len(rows))
        return np.asarray(rows, np.int64)

    def _taken(self, rows: _Rows, item: slice | NDArray[np.intp]) -> _Rows:
        if isinstance(rows, range) and isinstance(item, slice):
            return rows[item]
        taken: _Numbers = self._numbers(rows)[item]
        return taken

    def apart(self, length: int) -> _Numbers:
        return np.arange(self._allowed(length))

    def _allowed(self, positions: int) -> int:
        self._looked_at += positions
        if self._looked_at > _MOST_POSITIONS:
            raise PlanError("the plan is too large to tell how many rows its results aggregate", "Use fewer rows.")
        return positions


def _equal(one: _Rows, other: _Rows) -> bool:
    if isinstance(one, range) or isinstance(other, range):
        return type(one) is type(other) and one == other
    return np.array_equal(one, other)
