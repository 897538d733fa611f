"""How many rows of a party does each revealed number aggregate?

For every value and one party, two numbers an element: s1 = the sum of |w| and s2 = the sum of w^2 over that party's
rows, w being the weight of a row in the element as far as the plan tells. Kish's effective sample size s1^2 / s2
(L. Kish, Survey Sampling, 1965) is the number of rows: 1 for a single row however it is weighted, n for an even sum of
n, close to 1 for a sum that one row dominates. Where two values of the same party meet, weights are taken at their
worst. Weights that come from another party's secrets are not known and count as even. Differences between several
results are not looked at here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc.errors import PlanError
from mpc.operations.inputs import constant_values
from mpc.plan import Plan, Step
from mpc.types import Public

__all__ = ["cohorts"]

Floats = NDArray[np.float64]

_MOST_ELEMENTS = 1 << 26


@dataclass(frozen=True)
class _Rows:
    """s1 and s2 for every element; axes along which all elements are alike may have length 1."""

    s1: Floats
    s2: Floats

    @property
    def effective(self) -> Floats:
        """Kish's effective number of rows; infinite where no row counts."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.s2 > 0, self.s1**2 / self.s2, np.inf)

    def scaled(self, weight: Floats) -> _Rows:
        return _Rows(self.s1 * np.abs(weight), self.s2 * weight**2)

    def apply(self, function: Any) -> _Rows:
        return _Rows(function(self.s1), function(self.s2))


def cohorts(plan: Plan, party: str) -> Mapping[str, int]:
    """For every result that depends on the party's data: the fewest rows of that party that one of its numbers
    aggregates.

    Raises PlanError where the plan combines values in a way that this cannot judge.
    """
    rows: list[_Rows | None] = []
    for i, step in enumerate(plan.steps):
        rows.append(_rule(plan, i, step, party, rows))
    fewest: dict[str, int] = {}
    for i, step in plan.of("reveal"):
        found = rows[i]
        if found is not None and found.s2.size and np.isfinite(found.effective).any():
            fewest[step.params["name"]] = math.floor(found.effective.min() + 1e-6)
    return fewest


def _rule(plan: Plan, i: int, step: Step, party: str, rows: list[_Rows | None]) -> _Rows | None:
    shape = plan.types[i].shape
    inputs = [rows[j] for j in step.inputs]
    if step.op in ("column", "count"):
        if step.params["party"] != party:
            return None
        weight = 1.0 if step.op == "column" else float(step.params["rows"])
        return _Rows(np.full((1,) * len(shape), weight), np.full((1,) * len(shape), weight))
    if not any(x is not None for x in inputs):
        return None
    if step.op in ("multiply", "matmul"):
        return _product(plan, i, step, inputs)
    if step.op in ("add", "subtract"):
        return _sum_of(*(_padded(x, len(shape)) for x in inputs))
    if step.op == "sum":
        return _contracted(inputs[0], plan.types[step.inputs[0]].shape, tuple(step.params["axes"]))
    if step.op == "divide":
        (x,) = inputs
        return None if x is None else x.scaled(np.array(1.0 / step.params["by"]))
    if step.op in ("negate", "share", "reveal"):
        return inputs[0]
    return _moved(plan, i, step, inputs)


def _sum_of(x: _Rows | None, y: _Rows | None) -> _Rows | None:
    if x is None or y is None:
        return x or y
    return _Rows(x.s1 + y.s1, (np.sqrt(x.s2) + np.sqrt(y.s2)) ** 2)


def _product(plan: Plan, i: int, step: Step, inputs: list[_Rows | None]) -> _Rows | None:
    shapes = [plan.types[j].shape for j in step.inputs]
    weights = [_weight(plan, j) if x is None else None for j, x in zip(step.inputs, inputs, strict=True)]
    if step.op == "multiply":
        x, y = (_padded(side, len(plan.types[i].shape)) for side in inputs)
        return _times(x, y, *weights)
    # matmul as an elementwise product over (rows, contraction, columns), then a sum over the contraction
    x, y = (_spread(side, shape, k) for k, (side, shape) in enumerate(zip(inputs, shapes, strict=True)))
    x_weight, y_weight = (
        None if weight is None else _spread_array(weight, shape, k)
        for k, (weight, shape) in enumerate(zip(weights, shapes, strict=True))
    )
    left, right = (
        (shapes[0] if len(shapes[0]) == 2 else (1, *shapes[0])),
        (shapes[1] if len(shapes[1]) == 2 else (*shapes[1], 1)),
    )
    summed = _contracted(_times(x, y, x_weight, y_weight), (left[0], left[1], right[1]), (1,))
    if summed is None:
        return None
    drop = tuple(axis for axis, shape in ((0, shapes[0]), (1, shapes[1])) if len(shape) == 1)
    return summed.apply(lambda s: s.reshape([n for axis, n in enumerate(s.shape) if axis not in drop]))


def _times(x: _Rows | None, y: _Rows | None, x_weight: Floats | None, y_weight: Floats | None) -> _Rows | None:
    """An elementwise product. An operand without rows of the party is a known weight, or unknown and counts as 1."""
    if x is None or y is None:
        rows, weight = (x, y_weight) if y is None else (y, x_weight)
        return rows if rows is None or weight is None else _small(rows, weight).scaled(weight)
    _small(x, y.s1)
    x_fewer = x.effective <= y.effective
    return _Rows(
        x.s1 * y.s1,
        np.where(x_fewer, x.s2 * y.s1**2, y.s2 * x.s1**2),
    )


def _small(rows: _Rows, other: Floats) -> _Rows:
    if math.prod(np.broadcast_shapes(rows.s1.shape, other.shape)) > _MOST_ELEMENTS:
        raise PlanError("this product is too large to tell how many rows it aggregates", "Multiply fewer rows at once.")
    return rows


def _contracted(x: _Rows | None, shape: tuple[int, ...], axes: tuple[int, ...]) -> _Rows | None:
    if x is None:
        return None
    alike = math.prod(shape[axis] for axis in axes if x.s1.shape[axis] == 1)
    return x.apply(lambda s: s.sum(axis=axes) * alike)


def _moved(plan: Plan, i: int, step: Step, inputs: list[_Rows | None]) -> _Rows | None:
    """Index, reshape, transpose, concat, stack: the same moves on the rows' numbers."""
    (first, *others) = inputs
    if first is not None and not others and first.s1.size == 1 and plan.types[i].size:
        return first.apply(lambda s: s.reshape((1,) * len(plan.types[i].shape)))
    whole = [
        (np.zeros(shape), np.zeros(shape))
        if x is None
        else (np.broadcast_to(x.s1, shape), np.broadcast_to(x.s2, shape))
        for x, shape in ((x, plan.types[j].shape) for x, j in zip(inputs, step.inputs, strict=True))
    ]
    if step.op in ("concat", "stack"):
        join = np.concatenate if step.op == "concat" else np.stack
        return _Rows(*(join([pair[k] for pair in whole], axis=step.params["axis"]) for k in (0, 1)))
    s1, s2 = (step.operation.evaluate([array], [], step.params) for array in whole[0])  # type: ignore[list-item]
    return _Rows(s1, s2)  # type: ignore[arg-type]


def _padded(x: _Rows | None, ndim: int) -> _Rows | None:
    return None if x is None else x.apply(lambda s: s.reshape((1,) * (ndim - s.ndim) + s.shape))


def _spread(x: _Rows | None, shape: tuple[int, ...], side: int) -> _Rows | None:
    return None if x is None else x.apply(lambda s: _spread_array(s, shape, side))


def _spread_array(array: Floats, shape: tuple[int, ...], side: int) -> Floats:
    """An operand of a matmul over the axes (rows, contraction, columns)."""
    if side == 0:
        return (array if len(shape) == 2 else array[None, :])[:, :, None]
    return (array if len(shape) == 2 else array[:, None])[None, :, :]


def _weight(plan: Plan, i: int) -> Floats | None:
    """The public weights that a step stands for; None where they are another party's secret."""
    step = plan.steps[i]
    if step.op == "constant":
        return constant_values(step.params).astype(np.float64)
    if isinstance(plan.types[i].visibility, Public):
        raise PlanError(
            f"{plan.where(i)}: weights computed inside the plan cannot be judged", "Compute them with numpy."
        )
    return None
