"""Prune: only what the outputs need."""

from __future__ import annotations

from mpc.passes.graph import Graph, copy_step
from mpc.trace import Trace

__all__ = ["prune"]


def prune(graph: Graph) -> Graph:
    """The graph without steps that no output depends on (`reveal` steps are outputs)."""
    steps = graph.trace.steps
    needed = {output.step for output in graph.outputs} | {i for i, step in enumerate(steps) if step.op == "reveal"}
    for number in range(len(steps) - 1, -1, -1):
        if number in needed:
            needed.update(steps[number].inputs)
    trace = Trace()
    place: dict[int, int] = {}
    for number in sorted(needed):
        place[number] = copy_step(graph, number, trace, place)
    return graph.rebuilt(trace, place)
