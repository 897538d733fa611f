"""Values in parts: a value that joins those of several parties, kept as what it joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mpc.operations import Params
from mpc.passes.graph import Graph
from mpc.plan import Step
from mpc.trace import Trace
from mpc.types import Private

__all__ = ["Carried", "Parts", "Pushing"]


@dataclass(frozen=True)
class Parts:
    """A value as the parts that a concat along `axis` would join."""

    axis: int
    steps: tuple[int, ...]


Carried = int | Parts


class Pushing:
    """The graph as far as it was carried over: every step whole, or in parts."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.trace = Trace()
        self.carried: dict[int, Carried] = {}
        self.origin = ""

    def whole(self, number: int) -> int:
        """A step's value in one piece."""
        return self.join(self.carried[number])

    def add(self, op: str, inputs: Sequence[int], params: Params) -> int:
        return self.trace.append(Step(op, tuple(inputs), params), self.origin)

    def shape(self, step: int) -> tuple[int, ...]:
        return self.trace.types[step].shape

    def shared(self, inputs: Sequence[Carried]) -> bool:
        """Whether nothing of them is with an owner."""
        steps = [step for x in inputs for step in (x.steps if isinstance(x, Parts) else (x,))]
        return not any(isinstance(self.trace.types[step].visibility, Private) for step in steps)

    def lengths(self, parts: Parts) -> list[int]:
        return [self.shape(step)[parts.axis] for step in parts.steps]

    def cut(self, value: Carried, axis: int, lengths: list[int]) -> list[int] | None:
        """A value as parts of these lengths along an axis: its own parts, or slices of a whole; None if it cannot."""
        if isinstance(value, Parts):
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

    def join(self, value: Carried) -> int:
        return value if isinstance(value, int) else self.add("concat", value.steps, {"axis": value.axis})
