"""Spread noise: every noisy value gets the range that it has with all parties' noise."""

from __future__ import annotations

from collections.abc import Mapping

from mpc.noise import least_spread
from mpc.passes.graph import Graph
from mpc.plan import Step
from mpc.sensitivity import Table, sensitivities
from mpc.trace import Trace

__all__ = ["spread_noise"]

_SLACK = 2
"""The scales that are chosen later round ranges a little otherwise."""


def spread_noise(graph: Graph, unit_rows: Mapping[Table, int]) -> Graph:
    """The graph with the spread of its noisy steps set. Raises PlanError where noise has no measure."""
    trace = graph.trace
    if not any(step.op == "noisy" for step in trace.steps):
        return graph
    found = sensitivities(trace.steps, trace.types, unit_rows)
    spread = Trace()
    place: dict[int, int] = {}
    for i, step in enumerate(trace.steps):
        params = step.params
        if i in found:
            params = {**params, "spread": _SLACK * least_spread(params, found[i], trace.types[step.inputs[0]])}
        moved = Step(step.op, tuple(place[j] for j in step.inputs), params)
        place[i] = spread.append(moved, trace.origins.get(i, ""))
    return graph.rebuilt(spread, place)
