"""How many rows of a party does each revealed number aggregate?

Two rows are alike in a number when it stays the same if they change places, in all tables at once. A number aggregates
k rows when every row that it depends on is one of at least k that are alike: a sum or a mean over n rows, a dot product
of two columns and a covariance aggregate n. A row that is picked out, weighted otherwise than the others, or left
behind when one sum is subtracted from another stands alone, however many are added to it; and so do all rows under
weights that all differ, for from a sum under well-chosen weights its terms can be told again. Weights that stand in the
plan count. Weights that are some party's data are not known to who reads the result.

Judged by the axes of every value: which rows lie along an axis, and which of its positions are alike. When an axis is
summed, rows inherit what was known of their positions. Where this cannot follow, the rows concerned stand alone: a
count may be too small, never too large. Differences between several results are not looked at here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc.errors import PlanError
from mpc.operations import Circuit, Params
from mpc.operations.inputs import constant_values
from mpc.operations.structure import numpy_key
from mpc.plan import Plan, Step
from mpc.types import Shape

__all__ = ["RowSet", "aggregates", "cohorts", "rows_used"]

_MOST_POSITIONS = 1 << 24
"""Positions and rows that are looked at one by one, in a whole plan."""

_Table = tuple[str, str]
"""A party and its table."""

_Numbers = NDArray[np.int64]

_Rows = range | _Numbers
"""The row at each position of an axis, -1 for none."""

RowSet = range | NDArray[np.bool_]
"""Rows of a table: their numbers, or a truth value for each."""

_Classes = range | _Numbers
"""Which rows a value sums: a range of rows that are all alike, or a number for every row of the table, the same for
rows that are alike, 0 for rows that the value does not depend on."""


@dataclass(frozen=True)
class _Axis:
    """Tables whose rows lie along an axis, one at a position, and numbers that are the same for positions alike."""

    rows: Mapping[_Table, _Rows] = field(default_factory=dict)
    alike: _Numbers | None = None


@dataclass(frozen=True)
class _Known:
    """What is known of a value: its axes, and the rows that every element sums."""

    axes: tuple[_Axis, ...] = ()
    summed: Mapping[_Table, _Classes] = field(default_factory=dict)


def cohorts(plan: Plan, party: str) -> Mapping[str, int]:
    """For every result that depends on the party's data: the fewest rows of that party that one of its numbers
    aggregates.

    Raises PlanError for a plan that is too large to judge.
    """
    rows = _rows_behind(plan, party)
    return {step.params["name"]: count for i, step in plan.of("reveal") if (count := rows[i]) is not None}


def aggregates(plan: Plan, party: str, least: int) -> frozenset[int]:
    """The steps of which no number depends on fewer than `least` rows of the party's. Raises PlanError as `cohorts`."""
    rows = _rows_behind(plan, party)
    return frozenset(i for i, count in enumerate(rows) if count is None or count >= least)


def rows_used(plan: Plan, party: str) -> Mapping[str, Mapping[str, RowSet]]:
    """For every result: which rows of the party's tables it depends on, other than under noise; by table.

    A sample is a table by itself, called "<table> <size> <draw>". Raises PlanError as `cohorts`.
    """
    judge = _Judge(plan)
    known = judge.all()
    used: dict[str, Mapping[str, RowSet]] = {}
    for i, step in plan.of("reveal"):
        sums = judge.summed(known[i], range(len(plan.types[i].shape))).summed
        used[step.params["name"]] = {
            table: rows if isinstance(rows, range) else rows > 0
            for (owner, table), rows in sums.items()
            if owner == party
        }
    return used


def _rows_behind(plan: Plan, party: str) -> list[int | None]:
    """For every step, the fewest rows that one of its numbers aggregates; None where it depends on none."""
    known = _Judge(plan).all()
    counts = (_counts(each, party) if type_.size else () for each, type_ in zip(known, plan.types, strict=True))
    return [min(each, default=None) for each in counts]


def _counts(known: _Known, party: str) -> Iterator[int]:
    yield from (1 for axis in known.axes for table in axis.rows if table[0] == party)
    for table, rows in known.summed.items():
        if table[0] == party:
            sizes = np.array([len(rows)]) if isinstance(rows, range) else np.bincount(rows)[1:]
            yield from (int(size) for size in np.unique(sizes[sizes > 0])[:1])


class _Judge:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.looked_at = 0
        self.lengths: dict[_Table, int] = {}
        for step in plan.steps:
            if step.op in ("column", "count"):
                table = (step.params["party"], step.params["table"])
                self.lengths[table] = max(self.lengths.get(table, 0), step.params["rows"])
            elif step.op == "sample":
                self.lengths[_sample(step.params)] = step.params["size"]

    def all(self) -> list[_Known]:
        """What is known of every step's value."""
        known: list[_Known] = []
        for i, step in enumerate(self.plan.steps):
            known.append(self.step(i, step, [known[j] for j in step.inputs]))
        return known

    def step(self, i: int, step: Step, inputs: Sequence[_Known]) -> _Known:
        """What is known of a step's value."""
        shapes = [self.plan.types[j].shape for j in step.inputs]
        params = step.params
        if step.operation.elementwise:
            return inputs[0] if len(inputs) == 1 else self.together(inputs, shapes, self.plan.types[i].shape)
        match step.op:
            case "column":
                return _Known((_Axis({(params["party"], params["table"]): range(params["rows"])}),))
            case "sample":  # which rows of the table these are, nobody knows
                return _Known((_Axis({_sample(params): range(params["size"])}),))
            case "count":
                return _Known((), {(params["party"], params["table"]): range(params["rows"])})
            case "constant":
                return _Known(tuple(self.slices(constant_values(params))))
            case "noisy":  # the noise answers for every row
                return _Known((_Axis(),) * len(shapes[0]))
            case "matmul" | "matmul_rounded":
                return self.matmul(inputs, shapes)
            case "mean" | "deviations":
                return self.summed(inputs[0], [0])
            case "comoment":
                turned = _Known(inputs[0].axes[::-1], inputs[0].summed)
                return self.matmul([turned, inputs[1]], [shapes[0][::-1], shapes[1]])
            case "sum":
                return self.summed(inputs[0], params["axes"])
            case "min" | "max":
                return self.summed(inputs[0], [params["axis"]])
            case "argmin" | "argmax":
                return self.summed(self.numbered(inputs[0], params["axis"], shapes[0]), [params["axis"]])
            case "sort":  # whatever order the rows come in
                return self.numbered(self.summed(inputs[0], [params["axis"]], keep=True), params["axis"], shapes[0])
            case "argsort" | "cumsum":
                numbered = self.numbered(inputs[0], params["axis"], shapes[0])
                return self.numbered(self.summed(numbered, [params["axis"]], keep=True), params["axis"], shapes[0])
            case "quantile":
                axis = len(shapes[1])
                of_sorted = self.summed(self.numbered(inputs[0], axis, shapes[0]), [axis])
                return self.together([of_sorted, inputs[1]], [shapes[1]] * 2, shapes[1])
            case "transpose":
                return _Known(tuple(inputs[0].axes[axis] for axis in params["axes"]), inputs[0].summed)
            case "index":
                return self.index(inputs[0], params["key"])
            case "reshape":
                return self.reshape(inputs[0], shapes[0], tuple(params["shape"]))
            case "concat":
                return self.concat(inputs, shapes, params["axis"])
            case "stack":
                longer = [(*shape[: params["axis"]], 1, *shape[params["axis"] :]) for shape in shapes]
                parts = [self.reshape(x, shape, into) for x, shape, into in zip(inputs, shapes, longer, strict=True)]
                return self.concat(parts, longer, params["axis"])
        if isinstance(step.operation, Circuit):
            return self.function(inputs, shapes, self.plan.types[i].shape)
        raise PlanError(f"{self.plan.where(i)}: what {step.op} discloses is not known")

    def function(self, inputs: Sequence[_Known], shapes: Sequence[Shape], out: Shape) -> _Known:
        """Any function of whole operands: rows along an axis stand alone, sums stay what they are."""
        sums: dict[_Table, _Classes] = {}
        for known, shape in zip(inputs, shapes, strict=True):
            apart = [_Axis(axis.rows, self.apart(n)) for axis, n in zip(known.axes, shape, strict=True)]
            self.pool(sums, self.summed(_Known(tuple(apart), known.summed), range(len(shape))).summed)
        return _Known(tuple(_Axis({}, self.apart(n)) for n in out), sums)

    def together(self, inputs: Sequence[_Known], shapes: Sequence[Shape], out: Shape) -> _Known:
        """Operands broadcast to one shape and combined element by element."""
        sums: dict[_Table, _Classes] = {}
        columns: list[list[_Axis]] = [[] for _ in out]
        for known, shape in zip(inputs, shapes, strict=True):
            new = len(out) - len(shape)
            same = self.summed(known, [a for a, length in enumerate(shape) if length != out[new + a]], keep=True)
            self.pool(sums, same.summed)
            for column, axis in zip(columns[new:], same.axes, strict=True):
                column.append(axis)
        return _Known(tuple(self.merged(axes, length) for axes, length in zip(columns, out, strict=True)), sums)

    def merged(self, axes: Sequence[_Axis], length: int) -> _Axis:
        """One axis of several operands. Tables must lie along it row by row, each row beside its own kind."""
        rows: dict[_Table, _Rows] = {}
        alike: _Numbers | None = None
        for axis in axes:
            alike = self.finer(alike, axis.alike)
            for table, here in axis.rows.items():
                for other, there in list(rows.items()):
                    if not _equal(here, there):
                        one, two = self.numbers(here), self.numbers(there)
                        if np.any((one >= 0) & (two >= 0) & (one != two)):
                            alike = np.arange(length)
                        if other == table:
                            here = np.where(one >= 0, one, two)
                rows[table] = here
        return _Axis(rows, alike)

    def matmul(self, inputs: Sequence[_Known], shapes: Sequence[Shape]) -> _Known:
        """x[i, k] y[k, j] element by element, summed over k."""
        (x, y), (left, right) = inputs, shapes
        longer = _Known((*x.axes, *[_Axis()] * (len(right) - 1)), x.summed)
        product = self.together([longer, y], [(*left, *[1] * (len(right) - 1)), right], (*left, *right[1:]))
        return self.summed(product, [len(left) - 1])

    def summed(self, known: _Known, axes: Sequence[int], keep: bool = False) -> _Known:
        """The value summed over some axes, which go, or stay with one position for all."""
        sums = dict(known.summed)
        for axis in axes:
            for table, here in known.axes[axis].rows.items():
                self.pool(sums, {table: self.inherited(known, known.axes[axis], table, here)})
        kept = (_Axis() if a in axes else axis for a, axis in enumerate(known.axes) if keep or a not in axes)
        return _Known(tuple(kept), sums)

    def numbered(self, known: _Known, axis: int, shape: Shape) -> _Known:
        """The value, no two positions along an axis alike."""
        axes = list(known.axes)
        axes[axis] = _Axis(axes[axis].rows, self.apart(shape[axis]))
        return _Known(tuple(axes), known.summed)

    def inherited(self, known: _Known, axis: _Axis, table: _Table, here: _Rows) -> _Classes:
        """The classes of a table's rows when their axis is summed: from their positions, and the rows beside them."""
        alike = axis.alike
        for other, there in axis.rows.items():
            if other != table and other in known.summed:
                rows = self.numbers(there)
                alike = self.finer(alike, np.where(rows < 0, 0, self.spread(other, known.summed[other])[rows]))
        if alike is None and isinstance(here, range):
            return here if here.step > 0 else here[::-1]
        rows = self.numbers(here)
        places = np.ones(rows.size, np.int64) if alike is None else alike + 1
        classes = np.zeros(self.allowed(self.lengths[table]), np.int64)
        classes[rows[rows >= 0]] = places[rows >= 0]
        several = np.flatnonzero(np.bincount(rows[rows >= 0], minlength=classes.size) > 1)
        classes[several] = int(classes.max(initial=0)) + 1 + np.arange(several.size)
        return classes

    def pool(self, sums: dict[_Table, _Classes], more: Mapping[_Table, _Classes]) -> None:
        """Sums combined: rows are alike that are alike in both."""
        for table, rows in more.items():
            if table in sums and not _equal(sums[table], rows):
                one, two = self.spread(table, sums[table]), self.spread(table, rows)
                sums[table] = np.where((one == 0) & (two == 0), 0, 1 + self.common(one, two))
            else:
                sums[table] = rows

    def index(self, known: _Known, key: Sequence[Any]) -> _Known:
        axes: list[_Axis] = []
        picked: list[int] = []
        for axis, (content, item) in enumerate(zip(known.axes, numpy_key(key), strict=True)):
            if isinstance(item, int):
                picked.append(axis)
                item = slice(item, item + 1)
            rows = {table: self.taken(here, item) for table, here in content.rows.items()}
            axes.append(_Axis(rows, None if content.alike is None else content.alike[item]))
        return self.summed(_Known(tuple(axes), known.summed), picked)

    def reshape(self, known: _Known, shape: Shape, into: Shape) -> _Known:
        """Axes of length 1 come and go. Where others are cut or run together, every row stands alone."""
        if [n for n in shape if n != 1] == [n for n in into if n != 1]:
            known = self.summed(known, [axis for axis, n in enumerate(shape) if n == 1])
            axes = iter(known.axes)
            return _Known(tuple(_Axis() if n == 1 else next(axes) for n in into), known.summed)
        if not any(axis.rows for axis in known.axes) and all(axis.alike is None for axis in known.axes):
            return _Known((_Axis(),) * len(into), known.summed)
        apart = [_Axis(axis.rows, self.apart(n)) for axis, n in zip(known.axes, shape, strict=True)]
        sums = self.summed(_Known(tuple(apart), known.summed), range(len(shape))).summed
        return _Known(tuple(_Axis({}, self.apart(n)) for n in into), sums)

    def concat(self, inputs: Sequence[_Known], shapes: Sequence[Shape], axis: int) -> _Known:
        """Along the joined axis the parts are not alike; along the others they go together."""
        others = [_Known((*x.axes[:axis], _Axis(), *x.axes[axis + 1 :]), x.summed) for x in inputs]
        rest = [(*shape[:axis], 1, *shape[axis + 1 :]) for shape in shapes]
        together = self.together(others, rest, rest[0])
        rows: dict[_Table, list[_Numbers]] = {}
        alike: list[_Numbers] = []
        number = first = 0
        for x, shape in zip(inputs, shapes, strict=True):
            part, length = x.axes[axis], self.allowed(shape[axis])
            for table, here in part.rows.items():
                before = rows.setdefault(table, [])
                before.append(np.full(first - sum(map(len, before)), -1))
                before.append(self.numbers(here))
            alike.append(number + (np.zeros(length, np.int64) if part.alike is None else part.alike))
            number, first = int(alike[-1].max(initial=number)) + 1, first + length
        whole = {
            table: np.concatenate([*parts, np.full(first - sum(map(len, parts)), -1)]) for table, parts in rows.items()
        }
        joined = _Axis(whole, np.concatenate(alike))
        return _Known((*together.axes[:axis], joined, *together.axes[axis + 1 :]), together.summed)

    def slices(self, values: NDArray[Any]) -> Iterable[_Axis]:
        """A constant's axes: positions with equal values are alike."""
        for axis, length in enumerate(values.shape):
            words = np.moveaxis(values.view(np.int64), axis, 0).reshape(length, -1) if values.size else values[:0]
            if (words == words[:1]).all():
                yield _Axis()
            else:
                self.allowed(words.size)
                yield _Axis({}, np.unique(words, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64))

    def finer(self, one: _Numbers | None, other: _Numbers | None) -> _Numbers | None:
        if one is None or other is None:
            return other if one is None else one
        return self.common(one, other)

    def common(self, one: _Numbers, other: _Numbers) -> _Numbers:
        """Small numbers that are the same where both are."""
        self.allowed(one.size)
        _, numbers = np.unique(one * (int(other.max(initial=0)) + 1) + other, return_inverse=True)
        return np.asarray(numbers, np.int64).reshape(-1)

    def spread(self, table: _Table, classes: _Classes) -> _Numbers:
        if not isinstance(classes, range):
            return classes
        spread = np.zeros(self.allowed(self.lengths[table]), np.int64)
        spread[classes.start : classes.stop : classes.step] = 1
        return spread

    def numbers(self, rows: _Rows) -> _Numbers:
        self.allowed(len(rows))
        return np.asarray(rows, np.int64)

    def taken(self, rows: _Rows, item: slice | NDArray[np.intp]) -> _Rows:
        if isinstance(rows, range) and isinstance(item, slice):
            return rows[item]
        taken: _Numbers = self.numbers(rows)[item]
        return taken

    def apart(self, length: int) -> _Numbers:
        return np.arange(self.allowed(length))

    def allowed(self, positions: int) -> int:
        self.looked_at += positions
        if self.looked_at > _MOST_POSITIONS:
            raise PlanError("the plan is too large to tell how many rows its results aggregate", "Use fewer rows.")
        return positions


def _sample(params: Params) -> _Table:
    """The table that a sample is for itself: no table's name has a space."""
    return params["party"], f"{params['table']} {params['size']} {params['draw']}"


def _equal(one: _Rows, other: _Rows) -> bool:
    if isinstance(one, range) or isinstance(other, range):
        return type(one) is type(other) and one == other
    return np.array_equal(one, other)
