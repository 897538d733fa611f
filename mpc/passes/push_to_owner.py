"""Push to owner: rows of several parties, joined by `concat`, stay apart for as long as possible.

A value that is a concat is carried as its parts. Sums and contractions over the joined axis become sums of what each
owner computes alone: a joint mean over three tables shares three numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mpc.operations import Circuit, Params
from mpc.passes.graph import Graph
from mpc.passes.moments import combine_moments
from mpc.plan import Step
from mpc.trace import Trace
from mpc.types import Private

__all__ = ["push_to_owner"]


@dataclass(frozen=True)
class _Parts:
    """A value as the parts that a concat along `axis` would join."""

    axis: int
    steps: tuple[int, ...]


_Carried = int | _Parts


def push_to_owner(graph: Graph) -> Graph:
    """The graph with every joined value split by its parts wherever an operation allows it."""
    pushing = _Pushing(graph)
    for number in range(len(graph.trace.steps)):
        pushing.visit(number)
    place = {number: pushing.whole(number) for number in {output.step for output in graph.outputs}}
    return graph.rebuilt(pushing.trace, place)


class _Pushing:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.trace = Trace()
        self.carried: dict[int, _Carried] = {}
        self.origin = ""

    def visit(self, number: int) -> None:
        """Carry one step of the old graph over, in parts where there is a rule for it."""
        step = self.graph.trace.steps[number]
        self.origin = self.graph.trace.origins.get(number, "")
        inputs = [self.carried[i] for i in step.inputs]
        rule = _RULES.get(step.op)
        if rule is None and step.operation.elementwise:
            rule = _each if len(inputs) == 1 else _elementwise
        if isinstance(step.operation, Circuit) and self.shared(inputs):
            rule = None  # one circuit over all rows has fewer messages than one for each part
        in_parts = step.op in ("concat", "stack") or any(isinstance(x, _Parts) for x in inputs)
        split = rule(self, step, inputs) if rule and in_parts else None
        if split is None:
            split = self.add(step.op, [self._join(x) for x in inputs], step.params)
        self.carried[number] = split

    def whole(self, number: int) -> int:
        """A step's value in one piece."""
        return self._join(self.carried[number])

    def add(self, op: str, inputs: Sequence[int], params: Params) -> int:
        return self.trace.append(Step(op, tuple(inputs), params), self.origin)

    def shape(self, step: int) -> tuple[int, ...]:
        return self.trace.types[step].shape

    def shared(self, inputs: Sequence[_Carried]) -> bool:
        """Whether nothing of them is with an owner."""
        steps = [step for x in inputs for step in (x.steps if isinstance(x, _Parts) else (x,))]
        return not any(isinstance(self.trace.types[step].visibility, Private) for step in steps)

    def lengths(self, parts: _Parts) -> list[int]:
        return [self.shape(step)[parts.axis] for step in parts.steps]

    def cut(self, value: _Carried, axis: int, lengths: list[int]) -> list[int] | None:
        """A value as parts of these lengths along an axis: its own parts, or slices of a whole; None if it cannot."""
        if isinstance(value, _Parts):
            if value.axis == axis and self.lengths(value) == lengths:
                return list(value.steps)
            return None
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        return [self.slice(value, axis, start, length) for start, length in zip(starts, lengths, strict=True)]

    def slice(self, step: int, axis: int, start: int, length: int) -> int:
        key = [[0, n, 1] for n in self.shape(step)]
        key[axis] = [start, start + length, 1]
        return self.add("index", [step], {"key": key})

    def total(self, steps: Sequence[int]) -> int:
        total = steps[0]
        for step in steps[1:]:
            total = self.add("add", [total, step], {})
        return total

    def _join(self, value: _Carried) -> int:
        return value if isinstance(value, int) else self.add("concat", value.steps, {"axis": value.axis})


def _concat(self: _Pushing, step: Step, inputs: Sequence[_Carried]) -> _Carried | None:
    axis = step.params["axis"]
    if any(isinstance(x, _Parts) and x.axis != axis for x in inputs):
        return None
    steps = [part for x in inputs for part in (x.steps if isinstance(x, _Parts) else (x,))]
    owners = {self.trace.types[part].visibility for part in steps}
    if len(owners) == 1 and isinstance(next(iter(owners)), Private):
        return None
    return _Parts(axis, tuple(steps))


def _each(self: _Pushing, step: Step, inputs: Sequence[_Carried]) -> _Carried | None:
    (x,) = inputs
    assert isinstance(x, _Parts)
    return _Parts(x.axis, tuple(self.add(step.op, [part], step.params) for part in x.steps))


def _elementwise(self: _Pushing, step: Step, inputs: Sequence[_Carried]) -> _Carried | None:
    parts = next(x for x in inputs if isinstance(x, _Parts))
    lengths = self.lengths(parts)
    from_right = parts.axis - len(self.shape(parts.steps[0]))
    operands: list[list[int]] = []
    ndim = 0
    for x in inputs:
        shape = self.shape(x if isinstance(x, int) else x.steps[0])
        ndim = max(ndim, len(shape))
        if isinstance(x, int) and (len(shape) < -from_right or shape[from_right] == 1):
            operands.append([x] * len(lengths))
            continue
        if isinstance(x, int) and shape[from_right] != sum(lengths):  # the parts together are broadcast
            return None
        cut = self.cut(x, len(shape) + from_right, lengths)
        if cut is None:
            return None
        operands.append(cut)
    made = tuple(self.add(step.op, one, step.params) for one in zip(*operands, strict=True))
    return _Parts(ndim + from_right, made)


def _sum(self: _Pushing, step: Step, inputs: Sequence[_Carried]) -> _Carried | None:
    (x,) = inputs
    assert isinstance(x, _Parts)
    axes = step.params["axes"]
    sums = tuple(self.add("sum", [part], step.params) for part in x.steps)
    if x.axis in axes:
        return self.total(sums)
    return _Parts(x.axis - sum(axis < x.axis for axis in axes), sums)


def _extreme(self: _Pushing, step: Step, inputs: Sequence[_Carried]) -> _Carried | None:
    (x,) = inputs
    assert isinstance(x, _Parts)
    axis = step.params["axis"]
    extremes = tuple(self.add(step.op, [part], step.params) for part in x.steps)
    if x.axis != axis:
        return _Parts(x.axis - (axis < x.axis), extremes)
    return self.add(step.op, [self.add("stack", extremes, {"axis": 0})], {"axis": 0})


def _transpose(self: _Pushing, step: Step, inputs: Sequence[_Carried]) -> _Carried | None:
    (x,) = inputs
    assert isinstance(x, _Parts)
    made = tuple(self.add("transpose", [part], step.params) for part in x.steps)
    return _Parts(list(step.params["axes"]).index(x.axis), made)


def _stack(self: _Pushing, step: Step, inputs: Sequence[_Carried]) -> _Carried | None:
    parts = next((x for x in inputs if isinstance(x, _Parts)), None)
    if parts is None:
        return _columns(self, step, inputs)
    lengths = self.lengths(parts)
    columns = [self.cut(x, parts.axis, lengths) for x in inputs]
    if any(column is None for column in columns):
        return None
    rows = zip(*(column for column in columns if column is not None), strict=True)
    made = tuple(self.add("stack", row, step.params) for row in rows)
    return _Parts(parts.axis + (step.params["axis"] <= parts.axis), made)


def _columns(self: _Pushing, step: Step, inputs: Sequence[_Carried]) -> _Carried | None:
    """Columns of different owners side by side: in parts, neighbours of one owner together."""
    groups: list[list[int]] = []
    for x in inputs:
        assert isinstance(x, int)
        owner = self.trace.types[x].visibility
        if groups and self.trace.types[groups[-1][0]].visibility == owner:
            groups[-1].append(x)
        else:
            groups.append([x])
    if len(groups) == 1 or step.params["axis"] != 1:
        return None
    return _Parts(1, tuple(self.add("stack", group, step.params) for group in groups))


def _reshape(self: _Pushing, step: Step, inputs: Sequence[_Carried]) -> _Carried | None:
    (x,) = inputs
    assert isinstance(x, _Parts)
    shape = list(step.params["shape"])
    if x.axis != 0 or not shape:
        return None
    row = math.prod(self.shape(x.steps[0])[1:])
    if len(shape) > 1 and (shape[0] != sum(self.lengths(x)) or math.prod(shape[1:]) != row):
        return None
    made = []
    for part, length in zip(x.steps, self.lengths(x), strict=True):
        first = length * row if len(shape) == 1 else length
        made.append(self.add("reshape", [part], {"shape": [first, *shape[1:]]}))
    return _Parts(0, tuple(made))


def _index(self: _Pushing, step: Step, inputs: Sequence[_Carried]) -> _Carried | None:
    (x,) = inputs
    assert isinstance(x, _Parts)
    key = list(step.params["key"])
    item: Any = key[x.axis]
    picked: list[int] = []
    start = 0
    for part, length in zip(x.steps, self.lengths(x), strict=True):
        local = _local(item, start, length)
        if local is None:
            return None
        if local:
            picked.append(self.add("index", [part], {"key": [*key[: x.axis], local, *key[x.axis + 1 :]]}))
        start += length
    if len(picked) == 1:
        return picked[0]
    axis = x.axis - sum(len(other) == 1 and isinstance(other[0], int) for other in key[: x.axis])
    return _Parts(axis, tuple(picked)) if picked else None


def _local(item: Any, start: int, length: int) -> list[Any] | None:
    """The share of one axis' index that falls on rows [start, start + length): empty if none, None without a rule."""
    if len(item) == 3 and item[2] > 0:
        first, stop, stride = item
        if first < start:
            first += -(-(start - first) // stride) * stride
        first, stop = first - start, min(stop - start, length)
        return [first, stop, stride] if first < stop else []
    if len(item) == 1 and isinstance(item[0], int):
        return [item[0] - start] if start <= item[0] < start + length else []
    return None


def _matmul(self: _Pushing, step: Step, inputs: Sequence[_Carried]) -> _Carried | None:
    x, y = inputs
    x_ndim = len(self.shape(x if isinstance(x, int) else x.steps[0]))
    contracted = next(
        (
            self.lengths(side)
            for side, axis in ((x, x_ndim - 1), (y, 0))
            if isinstance(side, _Parts) and side.axis == axis
        ),
        None,
    )
    if contracted is not None:
        x_parts, y_parts = self.cut(x, x_ndim - 1, contracted), self.cut(y, 0, contracted)
        if x_parts is None or y_parts is None:
            return None
        return self.total([self.add("matmul", pair, {}) for pair in zip(x_parts, y_parts, strict=True)])
    if isinstance(x, _Parts) and isinstance(y, _Parts):
        bands = [[self.add("matmul", [part, other], {}) for other in y.steps] for part in x.steps]
        return _Parts(0, tuple(self.add("concat", band, {"axis": len(self.shape(band[0])) - 1}) for band in bands))
    if isinstance(x, _Parts) and isinstance(y, int):
        return _Parts(0, tuple(self.add("matmul", [part, y], {}) for part in x.steps))
    if isinstance(y, _Parts) and isinstance(x, int):
        return _Parts(x_ndim - 1, tuple(self.add("matmul", [x, part], {}) for part in y.steps))
    return None


def _moments(self: _Pushing, step: Step, inputs: Sequence[_Carried]) -> _Carried | None:
    """Of rows in parts: from the moments of each. Of columns in parts: each column by itself, each pair of them."""
    rows = next((self.lengths(x) for x in inputs if isinstance(x, _Parts) and x.axis == 0), None)
    if rows is not None:
        parts = [self.cut(x, 0, rows) for x in inputs]
        if any(part is None for part in parts):
            return None
        if step.op == "mean":
            means = [self.add("mean", [part], step.params) for part in parts[0] or []]
            weights = [self.trace.constant(length / sum(rows)) for length in rows]
            weighted = zip(means, weights, strict=True)
            return self.total([self.add("multiply", pair, {}) for pair in weighted])
        xs, ys = [part or [] for part in (*parts, [])[:2]]
        return combine_moments(self.trace, self.origin, xs, ys)
    columns = [x.steps if isinstance(x, _Parts) else (x,) for x in inputs]
    if step.op in ("deviations", "mean"):
        return _Parts(0, tuple(self.add(step.op, [x], step.params) for x in columns[0]))
    x_parts, y_parts = columns
    if len(x_parts) == 1:
        y_axis = len(self.shape(x_parts[0])) - 1
        return _Parts(y_axis, tuple(self.add(step.op, [x_parts[0], y], step.params) for y in y_parts))
    y_axis = 1
    bands = []
    for x in x_parts:
        band = [self.add(step.op, [x, y], step.params) for y in y_parts]
        bands.append(band[0] if len(band) == 1 else self.add("concat", band, {"axis": y_axis}))
    return _Parts(0, tuple(bands))


_RULES: dict[str, Callable[[_Pushing, Step, Sequence[_Carried]], _Carried | None]] = {
    "concat": _concat,
    "sum": _sum,
    "min": _extreme,
    "max": _extreme,
    "transpose": _transpose,
    "stack": _stack,
    "reshape": _reshape,
    "index": _index,
    "matmul": _matmul,
    "comoment": _moments,
    "deviations": _moments,
    "mean": _moments,
}
