"""What an owner's moments are made of stands apart from the same columns elsewhere: it is encoded twice, at no cost.

Moments are computed of a whole column in float64. Bits that the column loses for another result's sake they would lose
with it, and of a column far from 0 that is most of its spread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mpc.passes.graph import Graph
from mpc.plan import Step
from mpc.types import Private

__all__ = ["Steps", "moments_apart"]

_MOMENTS = ("comoment", "deviations", "mean")


@dataclass
class Steps:
    """Steps of which some may be equal, where each was said, and where the results are."""

    steps: list[Step]
    origins: list[str]
    place: dict[int, int]


def moments_apart(graph: Graph) -> Steps:
    """The steps of a graph; what both an owner's moment and anything else depends on is there twice."""
    trace = graph.trace
    owned = {
        i
        for i, step in enumerate(trace.steps)
        if step.op in _MOMENTS and isinstance(trace.types[i].visibility, Private)
    }
    elsewhere = _behind(trace.steps, [output.step for output in graph.outputs], owned)
    within = _behind(trace.steps, [j for i in owned for j in trace.steps[i].inputs], set())
    made = Steps([], [], {})
    places: dict[bool, dict[int, int]] = {False: made.place, True: {}}
    for i, step in enumerate(trace.steps):
        for inside, place in places.items():
            if i in (within if inside else elsewhere):
                using = places[inside or i in owned]
                place[i] = len(made.steps)
                made.steps.append(replace(step, inputs=tuple(using[j] for j in step.inputs)))
                made.origins.append(trace.origins.get(i, ""))
    return made


def _behind(steps: list[Step], numbers: Iterable[int], ends: set[int]) -> set[int]:
    """Some steps and all that they depend on, but for what those at the ends do."""
    found: set[int] = set()
    waiting = list(numbers)
    while waiting:
        i = waiting.pop()
        if i not in found:
            found.add(i)
            if i not in ends:
                waiting.extend(steps[i].inputs)
    return found
