"""How far can one unit of privacy, a row of a party's table, move a value that is to be noised?

Neighbours are tables of equally many rows that differ in one row, which may hold anything within the declared ranges;
how many rows there are stands in every plan. Followed through the plan for each table apart: how many elements one row
reaches, and how far it moves each of them at most, in encoded units. Dwork, McSherry, Nissim and Smith, "Calibrating
Noise to Sensitivity in Private Data Analysis", TCC 2006, section 3.

Rows that lie along an axis reach only their own positions there; when that axis is summed they reach every sum, each by
what they moved their own positions. What is computed of a noised value needs no further noise: it depends on the tables
no more. No bound is ever below the truth; where this cannot follow, the plan is refused.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mpc.errors import PlanError
from mpc.operations.arithmetic import product_type
from mpc.operations.base import align
from mpc.plan import Step
from mpc.reach import Reach, both, broadcast, cumulated, digest, extreme, joined, ordered, rescaled, summed
from mpc.types import BOOLEAN, Private, Shape, Type

__all__ = ["Sensitivity", "Table", "sensitivities"]

Table = tuple[str, str]
"""A party and its table."""


_ROUNDING = 4
"""Units of the last bit that a rounded value is off by at most."""

_MOMENTS = 64
"""The same of sums that an owner computes in float64, to at most 52 bits."""

_LINEAR = {
    "add", "concat", "cumsum", "divide", "index", "negate", "noisy", "reshape", "reveal", "share", "stack", "subtract",
    "sum", "transpose",
}  # fmt: skip
"""What is done to data here moves no further when something else in it wraps around."""


_FUNCTIONS = {"exp", "log", "quotient", "ratio", "reciprocal", "rsqrt", "sigmoid", "sqrt", "tanh"}
"""Known of rows, one by one. Of what many rows made together, hardly more is known than its range."""

_BEFORE = (
    "Add noise before, to sums, products, means, variances, extremes, or counts of what is true; "
    "what is computed of noised values costs nothing more."
)
_APART = (
    "Add noise to both sides, then divide: mpc.noisy(x.sum()) / mpc.maximum(mpc.noisy(x.count()), 1). What is computed "
    "of noised values costs nothing more."
)
_ROOTS = "Add noise before the root: mpc.sqrt(mpc.maximum(mpc.noisy(x.var()), 0.01))."
_INSTEAD = {"quotient": _APART, "ratio": _APART, "reciprocal": _APART, "sqrt": _ROOTS, "rsqrt": _ROOTS}
"""What to write instead of noise around a whole result, by the operation that is in the way."""


@dataclass(frozen=True)
class Sensitivity:
    """The most that one unit moves a value: in L1, and the square of L2, in encoded units."""

    l1: int
    l2_squared: int


_Reaches = Mapping[Table, Reach]


def sensitivities(
    steps: Sequence[Step], types: Sequence[Type], unit_rows: Mapping[Table, int]
) -> Mapping[int, Mapping[Table, Sensitivity]]:
    """For every `noisy` step: the tables that its value depends on, each with the most that one unit of it can do.

    `types`: of the steps. `unit_rows`: how many rows of a table belong to one unit at most, where that is not one.
    Raises PlanError naming a step that it cannot follow, or a noisy value that depends on no party's data.
    """
    reaches: list[_Reaches] = []
    noised: list[bool] = []
    found: dict[int, Mapping[Table, Sensitivity]] = {}
    followed = _concerned(steps)
    for i, (step, type_) in enumerate(zip(steps, types, strict=True)):
        if i not in followed:
            reaches.append({})
            noised.append(False)
            continue
        inputs = [reaches[j] for j in step.inputs]
        if step.op == "noisy":
            found[i] = {table: _of_units(reach, unit_rows.get(table, 1)) for table, reach in inputs[0].items()}
            if not found[i]:
                raise PlanError(f"step {i} (noisy): the value depends on no row of any table", "Reveal it as it is.")
        noised.append(step.op == "noisy" or any(noised[j] for j in step.inputs))
        if noised[i] and any(inputs) and not (step.op in _LINEAR or type_.domain == BOOLEAN):
            raise PlanError(
                f"step {i} ({step.op}): a noised value, which has no bound, meets data that have no noise yet",
                "Compute with the data first, then add noise.",
            )
        if not any(inputs) and step.op != "column":  # what is computed of noised values and public ones
            reaches.append({})
            continue
        known = _Following(i, step, [types[j] for j in step.inputs], type_, inputs).reaches()
        bounded = {table: reach.within(type_) for table, reach in known.items()}
        reaches.append({table: reach for table, reach in bounded.items() if reach.total})
    return found


def _concerned(steps: Sequence[Step]) -> set[int]:
    """The steps that noisy values are computed from, or that are computed together with them."""
    concerned: set[int] = set()
    for i, step in enumerate(steps):
        if step.op == "noisy" or not concerned.isdisjoint(step.inputs):
            concerned.add(i)
    for i in range(len(steps) - 1, -1, -1):
        if i in concerned:
            concerned.update(steps[i].inputs)
    return concerned


def _of_units(reach: Reach, rows: int) -> Sensitivity:
    return Sensitivity(rows * reach.total, rows**2 * reach.change * reach.total)


class _Following:
    """One step: from what rows do to its operands, what they do to its value."""

    def __init__(self, i: int, step: Step, types: Sequence[Type], type_: Type, inputs: Sequence[_Reaches]) -> None:
        self.i = i
        self.step = step
        self.types = types
        self.type = type_
        self.inputs = inputs
        self.shapes = [operand.shape for operand in types]

    def reaches(self) -> _Reaches:
        """By table. Raises PlanError for an operation that this does not know."""
        params, out = self.step.params, self.type.shape
        match self.step.op:
            case "column":
                width = self.type.high - self.type.low
                return {(params["party"], params["table"]): Reach(width, width, 1, 0)}
            case "sample":
                rows = repr((params["size"], params["draw"])).encode()
                return self.each(lambda x: replace(x, order=digest(x.order, rows)))
            case "constant" | "count" | "noisy":
                return {}
            case "negate" | "divide" | "share" | "reveal" | "absolute":
                return self.inputs[0]
            case "add" | "subtract" | "minimum" | "maximum":
                return self.together(_scaled(self.inputs, align(self.types)[1]), out)
            case "multiply" | "multiply_rounded":
                return self.rounded(self.product(out))
            case "matmul" | "matmul_rounded":
                return self.rounded(self.matmul())
            case "rescale":
                return self.rounded(self.inputs[0])
            case "sum":
                return self.each(lambda x: summed(x, self.shapes[0], params["axes"]))
            case "min" | "max":
                return self.each(lambda x: extreme(x, self.shapes[0], params["axis"]))
            case "argmin" | "argmax":
                return self.each(lambda x: extreme(x, self.shapes[0], params["axis"]).anywhere(self.type))
            case "cumsum":
                return self.each(lambda x: cumulated(x, self.shapes[0], params["axis"]))
            case "sort":
                return self.each(lambda x: ordered(x, self.shapes[0], params["axis"]))
            case "mean" | "deviations" | "comoment" if isinstance(self.type.visibility, Private):
                return self.moments()
            case "where" | "and" | "equal" | "less" | "not" | "xor":
                return self.together([{t: x.anywhere(self.type) for t, x in each.items()} for each in self.inputs], out)
            case op if op in _FUNCTIONS and all(x.axis is not None for each in self.inputs for x in each.values()):
                return self.together([{t: x.anywhere(self.type) for t, x in each.items()} for each in self.inputs], out)
            case "transpose":
                order = list(params["axes"])
                return self.each(lambda x: x if x.axis is None else replace(x, axis=order.index(x.axis)))
            case "index":
                return self.each(self.indexed)
            case "reshape":
                return self.each(self.reshaped)
            case "concat":
                return self.joined(self.shapes, params["axis"])
            case "stack":
                return self.stacked(params["axis"])
        raise PlanError(
            f"step {self.i} ({self.step.op[:40]}): how far one row can move this value is not known",
            _INSTEAD.get(self.step.op, _BEFORE),
        )

    def each(self, change: Callable[[Reach], Reach]) -> _Reaches:
        return {table: change(reach) for table, reach in self.inputs[0].items()}

    def together(self, inputs: Sequence[_Reaches], out: Shape) -> _Reaches:
        """Operands combined element by element: what they are moved by adds up."""
        found: dict[Table, Reach] = {}
        for reaches, shape in zip(inputs, self.shapes, strict=True):
            for table, reach in reaches.items():
                wide = broadcast(reach, shape, out)
                found[table] = both(found[table], wide, out) if table in found else wide
        return found

    def product(self, out: Shape) -> _Reaches:
        """x'y' - xy = (x' - x)y' + x(y' - y)."""
        x, y = self.types
        factors = [max(abs(y.low), abs(y.high)), max(abs(x.low), abs(x.high))]
        one = product_type(x, y, out, 1)
        return {t: reach.within(one) for t, reach in self.together(_scaled(self.inputs, factors), out).items()}

    def matmul(self) -> _Reaches:
        """x[i, k] y[k, j] element by element, summed over k."""
        left, right = self.shapes
        self.shapes = [(*left, *[1] * (len(right) - 1)), right]
        out = (*left, *right[1:])
        return {t: summed(reach, out, [len(left) - 1]) for t, reach in self.product(out).items()}

    def rounded(self, reaches: _Reaches) -> _Reaches:
        """In the units of the result, and off by no more than roundings are, with and without the row."""
        exact, kept = math.prod(x.domain.denominator for x in self.types), self.type.domain.denominator
        if exact == kept:
            return reaches
        return {t: rescaled(x, exact, kept, _ROUNDING) for t, x in reaches.items()}

    def moments(self) -> _Reaches:
        """At the owner of whole columns: a row moves a sum of (x - mean x)(y - mean y) no further than both widths."""
        kept, rows = self.type.domain.denominator, self.shapes[0][0]
        columns = self.type.size
        if self.step.op == "mean":
            found = self.each(lambda x: summed(x, self.shapes[0], [0]))
            exact = self.types[0].domain.denominator * rows
            return {t: rescaled(x, exact, kept, _MOMENTS) for t, x in found.items()}
        x, y = self.types[0], self.types[-1]
        square = (x.high - x.low) * (y.high - y.low) * kept
        most = -(-square // (x.domain.denominator * y.domain.denominator)) + 2 * _MOMENTS
        found = {}
        for table in {table for reaches in self.inputs for table in reaches}:
            along = [reaches[table] for reaches in self.inputs if table in reaches]
            repeats = sum(each.repeats for each in along) if all(each.axis == 0 for each in along) else rows
            found[table] = Reach(most * repeats, most * repeats * columns, columns)
        return found

    def indexed(self, x: Reach) -> Reach:
        key, out = self.step.params["key"], self.type.shape
        most = max((max(Counter(item[0]).values(), default=0) for item in key if _lists(item)), default=1)
        if x.axis is None:
            return replace(x, total=x.total * most, altered=x.altered * most)
        item = key[x.axis]
        if len(item) == 1 and not _lists(item):  # a row that all of the value may be about
            return replace(x, axis=None, total=x.total * most, altered=math.prod(out))
        axis = x.axis - sum(len(other) == 1 and not _lists(other) for other in key[: x.axis])
        repeats = x.repeats * (most if _lists(item) else 1)
        order = digest(x.order, repr(item).encode())
        return replace(x, total=x.total * most, repeats=repeats, order=order).along(axis, out)

    def reshaped(self, x: Reach) -> Reach:
        """Axes of length 1 come and go. Where others are cut or run together, it is known only how many move."""
        (shape,), out = self.shapes, self.type.shape
        if x.axis is None or shape[x.axis] == 1 or [n for n in shape if n != 1] != [n for n in out if n != 1]:
            return replace(x, axis=None)
        before = sum(n != 1 for n in shape[: x.axis])
        return replace(x, axis=[axis for axis, n in enumerate(out) if n != 1][before])

    def stacked(self, axis: int) -> _Reaches:
        """Joined along a new axis."""
        self.inputs = [
            {t: x if x.axis is None else replace(x, axis=x.axis + (x.axis >= axis)) for t, x in reaches.items()}
            for reaches in self.inputs
        ]
        return self.joined([(*shape[:axis], 1, *shape[axis:]) for shape in self.shapes], axis)

    def joined(self, shapes: Sequence[Shape], axis: int) -> _Reaches:
        """Side by side along an axis."""
        parts: dict[Table, dict[int, Reach]] = {}
        start = 0
        for reaches, shape in zip(_scaled(self.inputs, align(self.types)[1]), shapes, strict=True):
            for table, reach in reaches.items():
                parts.setdefault(table, {})[start] = reach
            start += shape[axis]
        return {table: joined(here, self.type.shape, axis) for table, here in parts.items()}


def _scaled(inputs: Sequence[_Reaches], factors: Sequence[int]) -> list[_Reaches]:
    return [
        {table: reach.times(factor) for table, reach in reaches.items()}
        for reaches, factor in zip(inputs, factors, strict=True)
    ]


def _lists(item: Sequence[object]) -> bool:
    return not isinstance(item[0], int)
