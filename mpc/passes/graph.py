"""The graph that passes rewrite: recorded steps and the outputs that are wanted of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mpc.plan import Step
from mpc.trace import Trace

__all__ = ["Graph", "Output", "copy_step"]


@dataclass(frozen=True)
class Output:
    """A result: its name, the step that computes it, its recipients, what they multiply it by."""

    name: str
    step: int
    to: tuple[str, ...]
    unit: bytes = b""


@dataclass(frozen=True)
class Graph:
    """Steps with their types, and the outputs."""

    trace: Trace
    outputs: tuple[Output, ...]

    def rebuilt(self, trace: Trace, place: dict[int, int]) -> Graph:
        """The same outputs over a new trace; `place`: where each old step stands now."""
        return Graph(trace, tuple(replace(output, step=place[output.step]) for output in self.outputs))


def copy_step(graph: Graph, number: int, into: Trace, place: dict[int, int]) -> int:
    """Record a step again as it is, on its inputs' new places."""
    step = graph.trace.steps[number]
    moved = Step(step.op, tuple(place[i] for i in step.inputs), step.params)
    return into.append(moved, graph.trace.origins.get(number, ""))
