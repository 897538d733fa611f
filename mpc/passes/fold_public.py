"""Fold public: what is done to constants alone is done now."""

from __future__ import annotations

import numpy as np

from mpc.operations import OPERATIONS
from mpc.operations.inputs import constant_values
from mpc.passes.graph import Graph, copy_step
from mpc.plan import Step
from mpc.trace import Trace

__all__ = ["fold_public"]

_MOVES = ("index", "reshape", "transpose")


def fold_public(graph: Graph) -> Graph:
    """The graph with constants in place of indexed, reshaped and transposed constants."""
    trace = Trace()
    place: dict[int, int] = {}
    for number, step in enumerate(graph.trace.steps):
        source = trace.steps[place[step.inputs[0]]] if step.op in _MOVES else None
        if source is not None and source.op == "constant":
            values = constant_values(source.params)
            moved = OPERATIONS[step.op].evaluate([values.view(np.uint64)], [], step.params)
            params = {**source.params, "shape": list(moved.shape), "data": moved.tobytes()}
            place[number] = trace.append(Step("constant", (), params), graph.trace.origins.get(number, ""))
        else:
            place[number] = copy_step(graph, number, trace, place)
    return graph.rebuilt(trace, place)
