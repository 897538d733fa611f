"""Choose scales: every real value keeps as many fractional bits as the whole plan has room for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from mpc.errors import PlanError
from mpc.operations import OPERATIONS, Function
from mpc.passes.binding import bound_together
from mpc.passes.graph import Graph, Output, copy_step
from mpc.passes.prune import prune
from mpc.passes.resolution import adjustable, columns_behind, level, magnitude_of, most_bits, sources
from mpc.passes.twice import moments_apart
from mpc.plan import Step
from mpc.trace import Trace
from mpc.types import MAX_DIGITS, PUBLIC, RING_BITS, SHARED, Type

__all__ = ["choose_scales"]

_COMFORT = 30
"""Significant bits that inputs keep where a rounding of intermediate values can make room instead."""

_KEY_BITS = 33
"""Bits that are sorted by, where reals have that many: eleven passes."""

_COMPARING = ("less", "equal", "argsort", "argmin", "argmax")
"""Operations whose results tell whether numbers are equal."""

_SMALL = 1 << 10
"""Products of at most so many terms in all keep their precision by being computed in limbs."""

_MOST_WORK = 500_000
"""Types inferred for a plan, all groups of outputs together: about half a minute. Nodes settle plans from elsewhere."""


def choose_scales(graph: Graph, precision: int) -> Graph:
    """The graph with the scales of its real values chosen, and roundings inserted where they make room.

    Outputs that no secret product or circuit binds together choose apart, so that a mean is not coarser because a
    product of the same column is revealed too: its owner encodes the column twice. Raises PlanError as
    `_Settling` does.
    """
    trace = Trace()
    outputs: list[Output] = []
    work = 0
    for group in bound_together(graph):
        settling = _Settling(prune(Graph(graph.trace, group)), precision, work)
        settled, work = settling.settled(), settling.work
        place: dict[int, int] = {}
        for number in range(len(settled.trace.steps)):
            place[number] = copy_step(settled, number, trace, place)
        outputs.extend(settled.rebuilt(trace, place).outputs)
    order = {output.name: i for i, output in enumerate(graph.outputs)}
    return Graph(trace, tuple(sorted(outputs, key=lambda output: order[output.name])))


class _Settling:
    """One group's graph while its scales are being chosen.

    All real inputs, and all that is rounded, start with 52 significant bits (what a float64 holds) relative to their
    range. Where a step could overflow, room is made in the first way that is open: the owner of both operands rounds
    their product; a small product of shared values is computed in limbs; the values that feed the step lose bits, down
    to a comfortable number; its shared operands are rounded; the feeding values lose bits, down to `precision`; a
    product of any size is computed in limbs. Raises PlanError, naming the step, when nothing helps, or when integers
    alone overflow, or when it would take too long.
    """

    def __init__(self, graph: Graph, precision: int, work: int) -> None:
        self.graph = graph
        self.precision = precision
        made = moments_apart(graph)
        self.steps, self.origins = made.steps, made.origins
        self.place = {output.step: made.place[output.step] for output in graph.outputs}
        self.types: list[Type] = []
        self.bits: dict[int, int] = {}
        self.work = work

    def settled(self) -> Graph:
        """The graph with its scales chosen."""
        comfort = max(_COMFORT, self.precision)
        while (full := self.first_overflow()) is not None:
            if not (
                self.round_product(full, self.is_small)
                or self.lose_bits(full, comfort)
                or self.coarsen(full)
                or self.round_operands(full)
                or self.lose_bits(full, self.precision)
                or self.round_product(full, lambda _: True)
            ):
                raise self.overflow(full)
        trace = Trace()
        place: dict[int, int] = {}
        for i, step in enumerate(self.steps):
            place[i] = trace.append(Step(step.op, tuple(place[j] for j in step.inputs), step.params), self.origins[i])
        return self.graph.rebuilt(trace, {old: place[now] for old, now in self.place.items()})

    def first_overflow(self) -> int | None:
        """Infer the types that are not known yet; the first step that could overflow, if one does."""
        while (i := len(self.types)) < len(self.steps):
            self.work += 1
            if self.work > _MOST_WORK:
                raise PlanError(
                    f"the scales of {len(self.steps):,} steps take too long to choose",
                    "Write loops as array operations, or declare narrower ranges in the agreement.",
                )
            self.set_scale(i)
            step = self.steps[i]
            self.types.append(step.infer(self.types))
            if self.level(i):
                continue
            inputs = [self.types[j] for j in step.inputs]
            if max(self.types[i].bits, step.operation.working_bits(inputs, step.params)) > RING_BITS:
                return i
            self.shorten_keys(i, inputs)
        return None

    def level(self, i: int) -> bool:
        """Bring what a step compares to one scale, so that numbers are equal words where they are equal.

        Whether any had another.
        """
        if self.steps[i].op not in _COMPARING:
            return False
        compared = sources(self.steps, self.steps[i].inputs)
        common = level([self.steps[j] for j in compared])
        finer = [j for j in compared if common is not None and self.steps[j].params["scale"] > common]
        for j in finer:
            self.bits[j] -= self.steps[j].params["scale"] - (common or 0)
        if finer:
            self.types = self.types[: min(finer)]
        return bool(finer)

    def shorten_keys(self, i: int, inputs: Sequence[Type]) -> None:
        """Take bits from reals that are costly to sort by, unless they have few, or their owner sorts them."""
        bits = self.steps[i].operation.key_bits(inputs, self.steps[i].params)
        costly = bits > _KEY_BITS and self.types[i].visibility == SHARED
        if costly and not self.lose_bits(i, max(_COMFORT, self.precision)):
            self.round_operands(i)

    def set_scale(self, i: int) -> None:
        """Give a real input or something rounded the scale that its bits allow."""
        step = self.steps[i]
        if not adjustable(step):
            return
        least = -MAX_DIGITS  # a constant may be smaller than the last digit of what it is compared with
        if isinstance(step.operation, Function):
            if "precision" in step.params:
                precision = max(self.precision, step.params["precision"])
                step = self.steps[i] = replace(step, params={**step.params, "precision": precision})
            least = self.floor(i, 0)
        magnitude, finest = magnitude_of(step, self.types)
        self.bits[i] = max(self.bits.get(i, min(most_bits(step), magnitude + finest)), least)
        scale = max(0, min(self.bits[i] - magnitude, finest))
        self.steps[i] = replace(step, params={**step.params, "scale": scale})

    def is_small(self, i: int) -> bool:
        """Whether a product computes few enough terms, of a shared value, to be computed in limbs without a need."""
        operands = [self.types[j] for j in self.steps[i].inputs]
        terms = self.types[i].size * (operands[0].shape[-1] if self.steps[i].op == "matmul" else 1)
        return terms <= _SMALL and any(x.visibility == SHARED for x in operands)

    def round_product(self, i: int, wanted: Callable[[int], bool]) -> bool:
        """Make a product of reals a rounded one: at its owner, or in limbs where wanted."""
        step = self.steps[i]
        operands = [self.types[j] for j in step.inputs]
        rounded = f"{step.op}_rounded"
        if rounded not in OPERATIONS or not any(x.domain.scale for x in operands):
            return False
        public = PUBLIC in [x.visibility for x in operands]
        # the means of parts keep their digits with their weights, whoever holds the parts
        weighed = any(self.steps[j].op == "mean" for j in step.inputs)
        if self.types[i].visibility == SHARED and ((public and not weighed) or not wanted(i)):
            return False
        self.steps[i] = replace(step, op=rounded, params={"scale": 0})
        self.types = self.types[:i]
        return True

    def lose_bits(self, i: int, floor: int) -> bool:
        """Take bits from the values that feed a step and have most, unless they would have fewer than `floor`."""
        own = self.types[i].bits > RING_BITS and adjustable(self.steps[i])
        losing = self.spare({i} if own else self.feeding(self.crowding(i)), floor)
        most = max((self.bits[j] for j in losing), default=0)
        return self.take_bits([j for j in losing if self.bits[j] == most])

    def crowding(self, i: int) -> list[int]:
        """The operands of a step that must have fewer bits where there is too little room."""
        step = self.steps[i]
        inputs = [self.types[j] for j in step.inputs]
        return [step.inputs[k] for k in step.operation.crowding(inputs, step.params)]

    def coarsen(self, i: int) -> bool:
        """Take bits from the finest values that feed a sum or join of different scales: nobody misses them."""
        operands = {j: self.types[j].domain.scale for j in self.steps[i].inputs}
        if self.steps[i].op not in ("add", "subtract", "concat", "stack") or len(set(operands.values())) < 2:
            return False
        finest = max(operands.values())
        losing = self.spare(self.feeding([j for j, scale in operands.items() if scale == finest]), self.precision)
        most = max((self.steps[j].params["scale"] for j in losing), default=0)
        return self.take_bits([j for j in losing if self.steps[j].params["scale"] == most])

    def spare(self, values: Iterable[int], floor: int) -> list[int]:
        """Those that have more bits than they must keep, and any behind the point."""
        return [j for j in values if self.bits[j] > self.floor(j, floor) and self.steps[j].params["scale"] > 0]

    def take_bits(self, losing: Sequence[int]) -> bool:
        """Take one bit from each; whether there are any."""
        for j in losing:
            self.bits[j] -= 1
        if losing:
            self.types = self.types[: min(losing)]
        return bool(losing)

    def floor(self, i: int, floor: int) -> int:
        """The fewest bits that a value may have: an operation may need more than others for its accuracy."""
        step = self.steps[i]
        if not isinstance(step.operation, Function):
            return floor
        inputs = [self.types[j] for j in step.inputs]
        magnitude, _ = magnitude_of(step, self.types)
        precision = step.params.get("precision", self.precision)
        return max(floor, magnitude + step.operation.least_scale(inputs, step.params, precision))

    def feeding(self, steps: Iterable[int]) -> set[int]:
        """The nearest real inputs and roundings among some steps and those that they depend on."""
        found: set[int] = set()
        seen: set[int] = set()
        waiting = list(steps)
        while waiting:
            j = waiting.pop()
            if j not in seen:
                seen.add(j)
                if adjustable(self.steps[j]):
                    found.add(j)
                else:
                    waiting.extend(self.steps[j].inputs)
        return found

    def round_operands(self, i: int) -> bool:
        """Insert a rounding before every shared operand that has bits to spare, or a divisor."""
        if self.steps[i].op == "rescale":
            return False
        rounding = [
            j
            for j in dict.fromkeys(self.crowding(i))
            if self.types[j].visibility == SHARED
            and not adjustable(self.steps[j])
            and (self.types[j].domain.divisor > 1 or (self.types[j].bits > _COMFORT + 2 and self.types[j].domain.scale))
        ]
        for j in rounding:
            self.insert_rescale(i, j)
            i += 1
        return bool(rounding)

    def insert_rescale(self, at: int, operand: int) -> None:
        """Put a rounding of `operand` before step `at`, for that step alone."""

        def moved(j: int) -> int:
            return j + (j >= at)

        for number in range(at, len(self.steps)):
            step = self.steps[number]
            self.steps[number] = replace(step, inputs=tuple(moved(j) for j in step.inputs))
        using = self.steps[at]
        self.steps[at] = replace(using, inputs=tuple(at if j == operand else j for j in using.inputs))
        self.steps.insert(at, Step("rescale", (operand,), {"scale": 0}))
        self.origins.insert(at, self.origins[at])
        self.bits = {moved(j): bits for j, bits in self.bits.items()}
        self.place = {old: moved(now) for old, now in self.place.items()}
        self.types = self.types[:at]

    def overflow(self, i: int) -> PlanError:
        step, type_, origin = self.steps[i], self.types[i], self.origins[i]
        columns = dict.fromkeys(columns_behind(self.steps, i))
        reach = max(abs(type_.low), abs(type_.high)) / type_.domain.denominator
        needed = max(type_.bits, step.operation.working_bits([self.types[j] for j in step.inputs], step.params))
        real = any(self.bits.get(j) is not None for j in self.feeding(step.inputs))
        kept = f" even when real numbers keep only {self.precision} significant bits" if real else ""
        where = f"{origin + ': ' if origin else ''}step {i} ({step.op}, shape {type_.shape})"
        return PlanError(
            f"{where} could overflow: by the declared ranges it reaches ±{reach:.3g}, "
            f"which needs {needed} bits{kept}; the ring has {RING_BITS}",
            f"Declare narrower ranges in the agreement, if the data allow it, for {', '.join(columns)}; "
            "or keep them in larger units (thousands), multiply fewer of them together, or sum fewer rows.",
        )
