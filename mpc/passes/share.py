"""Insert shares: a private or public value becomes shared where a shared one is computed from it, or it is revealed."""

from __future__ import annotations

from collections.abc import Sequence

from mpc.operations import OPERATIONS, Circuit, ProductOperation
from mpc.passes.graph import Graph
from mpc.plan import Step
from mpc.trace import Trace
from mpc.types import SHARED, Private, Shared

__all__ = ["insert_shares"]


def _owned(step: Step, inputs: Sequence[int], trace: Trace) -> bool:
    """Whether an operation takes its operands as their owners have them."""
    operation = OPERATIONS[step.op]
    private = all(isinstance(trace.types[i].visibility, Private) for i in inputs)
    return isinstance(operation, Circuit) and operation.owned and private


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
        if graph.trace.types[number].visibility == SHARED and not product and not _owned(step, inputs, trace):
            inputs = [shared(i, origin) for i in inputs]
        place[number] = trace.append(Step(step.op, tuple(inputs), step.params), origin)
    for output in graph.outputs:
        origin = trace.origins.get(place[output.step], "")
        value = shared(place[output.step], origin)
        trace.append(
            Step("reveal", (value,), {"name": output.name, "to": list(output.to), "unit": output.unit}), origin
        )
    return Graph(trace, ())
