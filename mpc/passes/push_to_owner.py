"""Push to owner: rows of several parties, joined by `concat`, stay apart for as long as possible.

A value that is a concat is carried as its parts. Sums and contractions over the joined axis become sums of what each
owner computes alone: a joint mean over three tables shares three numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from mpc.operations import Circuit
from mpc.passes.graph import Graph
from mpc.passes.moments import combine_moments
from mpc.passes.parts import Carried, Parts, Pushing
from mpc.plan import Step
from mpc.types import Private

__all__ = ["push_to_owner"]


def push_to_owner(graph: Graph) -> Graph:
    """The graph with every joined value split by its parts wherever an operation allows it."""
    pushing = Pushing(graph)
    for number in range(len(graph.trace.steps)):
        _visit(pushing, number)
    place = {number: pushing.whole(number) for number in {output.step for output in graph.outputs}}
    return graph.rebuilt(pushing.trace, place)


def _visit(pushing: Pushing, number: int) -> None:
    """Carry one step of the old graph over, in parts where there is a rule for it."""
    step = pushing.graph.trace.steps[number]
    pushing.origin = pushing.graph.trace.origins.get(number, "")
    inputs = [pushing.carried[i] for i in step.inputs]
    rule = _RULES.get(step.op)
    if rule is None and step.operation.elementwise:
        rule = _each if len(inputs) == 1 else _elementwise
    if isinstance(step.operation, Circuit) and pushing.shared(inputs):
        rule = None  # one circuit over all rows has fewer messages than one for each part
    in_parts = step.op in ("concat", "stack") or any(isinstance(x, Parts) for x in inputs)
    split = rule(pushing, step, inputs) if rule and in_parts else None
    if split is None:
        split = pushing.add(step.op, [pushing.join(x) for x in inputs], step.params)
    pushing.carried[number] = split


def _concat(pushing: Pushing, step: Step, inputs: Sequence[Carried]) -> Carried | None:
    axis = step.params["axis"]
    if any(isinstance(x, Parts) and x.axis != axis for x in inputs):
        return None
    steps = [part for x in inputs for part in (x.steps if isinstance(x, Parts) else (x,))]
    owners = {pushing.trace.types[part].visibility for part in steps}
    if len(owners) == 1 and isinstance(next(iter(owners)), Private):
        return None
    return Parts(axis, tuple(steps))


def _each(pushing: Pushing, step: Step, inputs: Sequence[Carried]) -> Carried | None:
    (x,) = inputs
    assert isinstance(x, Parts)
    return Parts(x.axis, tuple(pushing.add(step.op, [part], step.params) for part in x.steps))


def _elementwise(pushing: Pushing, step: Step, inputs: Sequence[Carried]) -> Carried | None:
    parts = next(x for x in inputs if isinstance(x, Parts))
    lengths = pushing.lengths(parts)
    from_right = parts.axis - len(pushing.shape(parts.steps[0]))
    operands: list[list[int]] = []
    ndim = 0
    for x in inputs:
        shape = pushing.shape(x if isinstance(x, int) else x.steps[0])
        ndim = max(ndim, len(shape))
        if isinstance(x, int) and (len(shape) < -from_right or shape[from_right] == 1):
            operands.append([x] * len(lengths))
            continue
        if isinstance(x, int) and shape[from_right] != sum(lengths):  # the parts together are broadcast
            return None
        cut = pushing.cut(x, len(shape) + from_right, lengths)
        if cut is None:
            return None
        operands.append(cut)
    made = tuple(pushing.add(step.op, one, step.params) for one in zip(*operands, strict=True))
    return Parts(ndim + from_right, made)


def _sum(pushing: Pushing, step: Step, inputs: Sequence[Carried]) -> Carried | None:
    (x,) = inputs
    assert isinstance(x, Parts)
    axes = step.params["axes"]
    sums = tuple(pushing.add("sum", [part], step.params) for part in x.steps)
    if x.axis in axes:
        return pushing.total(sums)
    return Parts(x.axis - sum(axis < x.axis for axis in axes), sums)


def _extreme(pushing: Pushing, step: Step, inputs: Sequence[Carried]) -> Carried | None:
    (x,) = inputs
    assert isinstance(x, Parts)
    axis = step.params["axis"]
    extremes = tuple(pushing.add(step.op, [part], step.params) for part in x.steps)
    if x.axis != axis:
        return Parts(x.axis - (axis < x.axis), extremes)
    return pushing.add(step.op, [pushing.add("stack", extremes, {"axis": 0})], {"axis": 0})


def _transpose(pushing: Pushing, step: Step, inputs: Sequence[Carried]) -> Carried | None:
    (x,) = inputs
    assert isinstance(x, Parts)
    made = tuple(pushing.add("transpose", [part], step.params) for part in x.steps)
    return Parts(list(step.params["axes"]).index(x.axis), made)


def _stack(pushing: Pushing, step: Step, inputs: Sequence[Carried]) -> Carried | None:
    parts = next((x for x in inputs if isinstance(x, Parts)), None)
    if parts is None:
        return _columns(pushing, step, inputs)
    lengths = pushing.lengths(parts)
    columns = [pushing.cut(x, parts.axis, lengths) for x in inputs]
    if any(column is None for column in columns):
        return None
    rows = zip(*(column for column in columns if column is not None), strict=True)
    made = tuple(pushing.add("stack", row, step.params) for row in rows)
    return Parts(parts.axis + (step.params["axis"] <= parts.axis), made)


def _columns(pushing: Pushing, step: Step, inputs: Sequence[Carried]) -> Carried | None:
    """Columns of different owners side by side: in parts, neighbours of one owner together."""
    groups: list[list[int]] = []
    for x in inputs:
        assert isinstance(x, int)
        owner = pushing.trace.types[x].visibility
        if groups and pushing.trace.types[groups[-1][0]].visibility == owner:
            groups[-1].append(x)
        else:
            groups.append([x])
    if len(groups) == 1 or step.params["axis"] != 1:
        return None
    return Parts(1, tuple(pushing.add("stack", group, step.params) for group in groups))


def _reshape(pushing: Pushing, step: Step, inputs: Sequence[Carried]) -> Carried | None:
    (x,) = inputs
    assert isinstance(x, Parts)
    shape = list(step.params["shape"])
    if x.axis != 0 or not shape:
        return None
    row = math.prod(pushing.shape(x.steps[0])[1:])
    if len(shape) > 1 and (shape[0] != sum(pushing.lengths(x)) or math.prod(shape[1:]) != row):
        return None
    made = []
    for part, length in zip(x.steps, pushing.lengths(x), strict=True):
        first = length * row if len(shape) == 1 else length
        made.append(pushing.add("reshape", [part], {"shape": [first, *shape[1:]]}))
    return Parts(0, tuple(made))


def _index(pushing: Pushing, step: Step, inputs: Sequence[Carried]) -> Carried | None:
    (x,) = inputs
    assert isinstance(x, Parts)
    key = list(step.params["key"])
    item: Any = key[x.axis]
    picked: list[int] = []
    start = 0
    for part, length in zip(x.steps, pushing.lengths(x), strict=True):
        local = _local(item, start, length)
        if local is None:
            return None
        if local:
            picked.append(pushing.add("index", [part], {"key": [*key[: x.axis], local, *key[x.axis + 1 :]]}))
        start += length
    if len(picked) == 1:
        return picked[0]
    axis = x.axis - sum(len(other) == 1 and isinstance(other[0], int) for other in key[: x.axis])
    return Parts(axis, tuple(picked)) if picked else None


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


def _matmul(pushing: Pushing, step: Step, inputs: Sequence[Carried]) -> Carried | None:
    x, y = inputs
    x_ndim = len(pushing.shape(x if isinstance(x, int) else x.steps[0]))
    contracted = next(
        (
            pushing.lengths(side)
            for side, axis in ((x, x_ndim - 1), (y, 0))
            if isinstance(side, Parts) and side.axis == axis
        ),
        None,
    )
    if contracted is not None:
        x_parts, y_parts = pushing.cut(x, x_ndim - 1, contracted), pushing.cut(y, 0, contracted)
        if x_parts is None or y_parts is None:
            return None
        return pushing.total([pushing.add("matmul", pair, {}) for pair in zip(x_parts, y_parts, strict=True)])
    if isinstance(x, Parts) and isinstance(y, Parts):
        bands = [[pushing.add("matmul", [part, other], {}) for other in y.steps] for part in x.steps]
        return Parts(0, tuple(pushing.add("concat", band, {"axis": len(pushing.shape(band[0])) - 1}) for band in bands))
    if isinstance(x, Parts) and isinstance(y, int):
        return Parts(0, tuple(pushing.add("matmul", [part, y], {}) for part in x.steps))
    if isinstance(y, Parts) and isinstance(x, int):
        return Parts(x_ndim - 1, tuple(pushing.add("matmul", [x, part], {}) for part in y.steps))
    return None


def _moments(pushing: Pushing, step: Step, inputs: Sequence[Carried]) -> Carried | None:
    """Of rows in parts: from the moments of each. Of columns in parts: each column by itself, each pair of them."""
    rows = next((pushing.lengths(x) for x in inputs if isinstance(x, Parts) and x.axis == 0), None)
    if rows is not None:
        parts = [pushing.cut(x, 0, rows) for x in inputs]
        if any(part is None for part in parts):
            return None
        if step.op == "mean":
            means = [pushing.add("mean", [part], step.params) for part in parts[0] or []]
            weights = [pushing.trace.constant(length / sum(rows)) for length in rows]
            weighted = zip(means, weights, strict=True)
            return pushing.total([pushing.add("multiply", pair, {}) for pair in weighted])
        xs, ys = [part or [] for part in (*parts, [])[:2]]
        return combine_moments(pushing.trace, pushing.origin, xs, ys)
    columns = [x.steps if isinstance(x, Parts) else (x,) for x in inputs]
    if step.op in ("deviations", "mean"):
        return Parts(0, tuple(pushing.add(step.op, [x], step.params) for x in columns[0]))
    x_parts, y_parts = columns
    if len(x_parts) == 1:
        y_axis = len(pushing.shape(x_parts[0])) - 1
        return Parts(y_axis, tuple(pushing.add(step.op, [x_parts[0], y], step.params) for y in y_parts))
    y_axis = 1
    bands = []
    for x in x_parts:
        band = [pushing.add(step.op, [x, y], step.params) for y in y_parts]
        bands.append(band[0] if len(band) == 1 else pushing.add("concat", band, {"axis": y_axis}))
    return Parts(0, tuple(bands))


_RULES: dict[str, Callable[[Pushing, Step, Sequence[Carried]], Carried | None]] = {
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
