"""Whether a plan rounds as the planner does, and nowhere else.

Rounding is a comparison in disguise: the nearest whole number to (x - 6.5) / 256 + 1/2 tells whether x > 6. What the
planner rounds keeps many digits; a plan made by hand can round as it likes. So a plan is stripped of all roundings and
scales, settled again, and compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgpack

from mpc.errors import BeaverError
from mpc.operations.inputs import constant_values
from mpc.passes.graph import Graph, Output
from mpc.passes.prune import prune
from mpc.passes.resolution import FIRST_SCALE, adjustable
from mpc.passes.scales import choose_scales
from mpc.passes.share import insert_shares
from mpc.plan import Plan, Step
from mpc.trace import Trace, constant_params, whole

__all__ = ["rounds_as_planned"]

_ROUNDED = "_rounded"


def rounds_as_planned(plan: Plan) -> bool:
    """Whether the planner, told of the plan's precision, makes this very plan of what it computes."""
    kept = (False, True) if any(step.op.endswith(_ROUNDED) for step in plan.steps) else (False,)
    return any(_settled(plan, keep) == _told(plan.steps) for keep in kept)


def _settled(plan: Plan, keep: bool) -> Mapping[str, bytes]:
    try:
        return _told(prune(insert_shares(choose_scales(_stripped(plan, keep), plan.precision))).trace.steps)
    except BeaverError:
        return {}


def _stripped(plan: Plan, keep: bool) -> Graph:
    """What a plan computes, as a script says it: without shares, chosen scales, and roundings.

    `keep`: but for rounded products, which the library's functions record as such.
    """
    trace = Trace()
    place: dict[int, int] = {}
    outputs = []
    for number, step in enumerate(plan.steps):
        params = step.params
        if step.op in ("share", "rescale"):
            place[number] = place[step.inputs[0]]
        elif step.op == "reveal":
            unit, to = params["unit"], tuple(params["to"])
            outputs.append(Output(params["name"], place[step.inputs[0]], to, unit))
        else:
            op = step.op
            if op.endswith(_ROUNDED) and not keep:
                op, params = op.removesuffix(_ROUNDED), {}
            elif op == "column" and adjustable(step):
                params = {**params, "scale": FIRST_SCALE}
            elif op == "constant" and not whole(values := constant_values(params), params["scale"]):
                params = constant_params(values)
            place[number] = trace.append(Step(op, tuple(place[i] for i in step.inputs), params))
    return Graph(trace, tuple(outputs))


def _told(steps: Sequence[Step]) -> Mapping[str, bytes]:
    """For every result, by name, a digest of all that leads to it."""
    digests: list[bytes] = []
    told = {}
    for step in steps:
        content = msgpack.packb([step.op, sorted(step.params.items()), [digests[i] for i in step.inputs]])
        digests.append(hashlib.sha256(content).digest())
        if step.op == "reveal":
            told[str(step.params["name"])] = digests[-1]
    return told
