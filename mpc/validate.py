"""Whether a plan from elsewhere is one that the engine can run correctly. No trust in whoever made it."""

from __future__ import annotations

from mpc.errors import PlanError
from mpc.instructions import Input, Instruction
from mpc.operations import Circuit, ProductOperation
from mpc.plan import Plan
from mpc.schedule import Schedule
from mpc.types import RING_BITS, Private, Shared

__all__ = ["MAX_LIVE_ELEMENTS", "validate"]

MAX_LIVE_ELEMENTS = 1 << 29
"""The most elements that a party may have to hold at once: 4 GiB of ring words."""


def validate(plan: Plan) -> None:
    """Raise PlanError unless the plan is well-typed, cannot overflow, and shares and reveals as it must."""
    revealed: set[str] = set()
    for i, (step, type_) in enumerate(zip(plan.steps, plan.types, strict=True)):
        if not type_.fits:
            raise PlanError(f"{plan.where(i)}: could overflow: it needs {type_.bits} bits")
        working = step.operation.working_bits([plan.types[j] for j in step.inputs], step.params)
        if working > RING_BITS:
            raise PlanError(f"{plan.where(i)}: could overflow: computing it needs {working} bits")
        if isinstance(type_.visibility, Private) and type_.visibility.owner not in plan.parties:
            raise PlanError(f"{plan.where(i)}: {type_.visibility.owner} is no party of this plan")
        product = isinstance(step.operation, ProductOperation)
        private = all(isinstance(plan.types[j].visibility, Private) for j in step.inputs)
        owned = isinstance(step.operation, Circuit) and step.operation.owned and private
        if isinstance(type_.visibility, Shared) and not product and not owned and step.op != "share":
            for j in step.inputs:
                if not isinstance(plan.types[j].visibility, Shared):
                    raise PlanError(f"{plan.where(i)}: takes the value of step {j}, which was not shared")
        if any(plan.steps[j].op == "reveal" for j in step.inputs):
            raise PlanError(f"{plan.where(i)}: nothing is computed from a revealed result")
        if step.op == "sample":
            column = plan.steps[step.inputs[0]]
            if column.op != "column" or column.params["table"] != step.params["table"]:
                raise PlanError(f"{plan.where(i)}: only columns of the table itself are sampled")
        if step.op == "remainder":
            upper = plan.steps[step.inputs[1]]
            if upper.op != "rounded" or upper.inputs != step.inputs[:1]:
                raise PlanError(f"{plan.where(i)}: only what a rounding of the same value took has a known range")
        if step.op == "reveal":
            if not 1 <= len(step.params["name"]) <= 64 or step.params["name"] in revealed:
                raise PlanError(f"{plan.where(i)}: results need distinct names of 1 to 64 characters")
            revealed.add(step.params["name"])
    _check_memory(plan)
    if len(plan.parties) < 2:
        raise PlanError("a plan needs at least two parties")
    if not revealed:
        raise PlanError("the plan reveals nothing")


def _check_memory(plan: Plan) -> None:
    """Refuse a plan with steps that nothing needs, or one that makes a party hold too much at once."""
    needed: set[int] = set()
    for i in range(len(plan.steps) - 1, -1, -1):
        if plan.steps[i].op == "reveal" or i in needed:
            needed.update(plan.steps[i].inputs)
        else:
            raise PlanError(f"{plan.where(i)}: nothing needs it")
    schedule = Schedule(plan)
    dropped: dict[int, list[int]] = {}
    for i, last in enumerate(schedule.last_use):
        dropped.setdefault(last, []).append(i)
    live = [0] * len(plan.parties)
    # a party has all its columns from the beginning
    order = sorted(
        range(len(schedule.program)),
        key=lambda i: (not isinstance(schedule.program[i].action, Input), schedule.order(i)),
    )
    for i in order:
        instruction = schedule.program[i]
        _hold(instruction, live, 1)
        most = max(live, default=0)
        if most > MAX_LIVE_ELEMENTS:
            raise PlanError(
                f"{plan.where(instruction.step)}: a party would hold {most:,} elements at once, "
                f"{MAX_LIVE_ELEMENTS:,} are the most",
                "Use fewer rows, or fewer large arrays at a time.",
            )
        for done in dropped.get(i, ()):
            _hold(schedule.program[done], live, -1)


def _hold(instruction: Instruction, live: list[int], sign: int) -> None:
    """Add an instruction's elements to what its holders hold, or take them off."""
    for party in range(len(live)):
        if instruction.holder in (None, party):
            live[party] += sign * instruction.words
