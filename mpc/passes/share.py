"""Insert shares: a private or public value becomes shared where a shared one is computed from it, or it is revealed."""

from __future__ import annotations

from mpc.operations import OPERATIONS, ProductOperation
from mpc.passes.graph import Graph
from mpc.plan import Step
from mpc.trace import Trace
from mpc.types import SHARED, Shared

__all__ = ["insert_shares"]


def insert_shares(graph: Graph) -> Graph:
    """The graph with explicit `share` steps and, last, a `reveal` for every output. Products share nothing first."""
    trace = Trace()
    place: dict[int, int] = {}

    def shared(step: int, origin: str) -> int:
        if isinstance(trace.types[step].visibility, Shared):
            return step
        return trace.append(Step("share", (step,)), origin)

    for number, step in enumerate(graph.trace.steps):
        origin = graph.trace.origins.get(number, "")
        inputs = [place[i] for i in step.inputs]
        product = isinstance(OPERATIONS[step.op], ProductOperation)
        if graph.trace.types[number].visibility == SHARED and not product:
            inputs = [shared(i, origin) for i in inputs]
        place[number] = trace.append(Step(step.op, tuple(inputs), step.params), origin)
    for output in graph.outputs:
        origin = trace.origins.get(place[output.step], "")
        value = shared(place[output.step], origin)
        trace.append(Step("reveal", (value,), {"name": output.name, "to": list(output.to)}), origin)
    return Graph(trace, ())
