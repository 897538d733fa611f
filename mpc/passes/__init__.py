"""From what a script said to the plan that parties run: small passes, graph in, graph out."""

from __future__ import annotations

from mpc.passes.fold_public import fold_public
from mpc.passes.graph import Graph, Output
from mpc.passes.noise import spread_noise
from mpc.passes.prune import prune
from mpc.passes.push_to_owner import push_to_owner
from mpc.passes.scales import choose_scales
from mpc.passes.share import insert_shares
from mpc.plan import Plan
from mpc.schema import Schema, unit_rows
from mpc.validate import validate

__all__ = ["Graph", "Output", "compile_plan"]


def compile_plan(schema: Schema, graph: Graph, precision: int) -> Plan:
    """The plan of a graph recorded over a schema. Equal steps are shared as every pass records them anew.

    `precision`: significant bits that every real column and constant keeps. Raises PlanError when it could overflow.
    """
    for improve in (push_to_owner, fold_public, prune):
        graph = improve(graph)
    graph = choose_scales(spread_noise(graph, unit_rows(schema)), precision)
    graph = prune(insert_shares(graph))
    plan = Plan(tuple(schema), tuple(graph.trace.steps), precision, dict(graph.trace.origins))
    validate(plan)
    return plan
