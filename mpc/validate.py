"""Whether a plan from elsewhere is one that the engine can run correctly. No trust in whoever made it."""

from __future__ import annotations

from mpc.errors import PlanError
from mpc.operations import ProductOperation
from mpc.plan import Plan
from mpc.types import Private, Shared

__all__ = ["validate"]


def validate(plan: Plan) -> None:
    """Raise PlanError unless the plan is well-typed, cannot overflow, and shares and reveals as it must."""
    revealed: set[str] = set()
    for i, (step, type_) in enumerate(zip(plan.steps, plan.types, strict=True)):
        if not type_.fits:
            raise PlanError(f"{plan.where(i)}: could overflow: it needs {type_.bits} bits")
        if isinstance(type_.visibility, Private) and type_.visibility.owner not in plan.parties:
            raise PlanError(f"{plan.where(i)}: {type_.visibility.owner} is no party of this plan")
        product = isinstance(step.operation, ProductOperation)
        if isinstance(type_.visibility, Shared) and not product and step.op != "share":
            for j in step.inputs:
                if not isinstance(plan.types[j].visibility, Shared):
                    raise PlanError(f"{plan.where(i)}: takes the value of step {j}, which was not shared")
        if any(plan.steps[j].op == "reveal" for j in step.inputs):
            raise PlanError(f"{plan.where(i)}: nothing is computed from a revealed result")
        if step.op == "reveal":
            if not 1 <= len(step.params["name"]) <= 64 or step.params["name"] in revealed:
                raise PlanError(f"{plan.where(i)}: results need distinct names of 1 to 64 characters")
            revealed.add(step.params["name"])
    if len(plan.parties) < 2:
        raise PlanError("a plan needs at least two parties")
    if not revealed:
        raise PlanError("the plan reveals nothing")
