"""Which outputs have to choose the scales of what they are computed from together?"""

from __future__ import annotations

from mpc.operations import Circuit, ProductOperation
from mpc.passes.graph import Graph, Output
from mpc.types import PUBLIC, SHARED

__all__ = ["bound_together"]


def bound_together(graph: Graph) -> list[tuple[Output, ...]]:
    """The outputs in groups; two that depend on the same secret product, circuit or noise are in one."""
    steps, types = graph.trace.steps, graph.trace.types
    binding: list[frozenset[int]] = []
    for i, step in enumerate(steps):
        operands = [types[j].visibility for j in step.inputs]
        secret = types[i].visibility == SHARED and (
            isinstance(step.operation, Circuit)
            or step.op == "noisy"
            or (isinstance(step.operation, ProductOperation) and PUBLIC not in operands)
        )
        binding.append(frozenset({i} if secret else ()).union(*(binding[j] for j in step.inputs)))
    groups: list[tuple[frozenset[int], tuple[Output, ...]]] = []
    for output in graph.outputs:
        members: tuple[Output, ...] = (output,)
        uses = binding[output.step]
        for group in [group for group in groups if group[0] & uses]:
            groups.remove(group)
            uses, members = uses | group[0], group[1] + members
        groups.append((uses, members))
    return [members for _, members in groups]
