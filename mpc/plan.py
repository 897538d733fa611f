"""The plan: a frozen, canonical graph over the closed registry. What parties approve, sign and bind keys to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgpack

from mpc.errors import PlanError
from mpc.operations import OPERATIONS, Operation, Params
from mpc.operations.inputs import Constant
from mpc.types import MAX_DIGITS, Type

__all__ = ["MAX_PLAN_BYTES", "MAX_STEPS", "MOST_PRECISION", "PRECISION", "Plan", "Step"]

FORMAT = 2
PRECISION = 20
"""Significant bits that every real value keeps at least, where a script does not ask for more."""
MOST_PRECISION = 52

MAX_STEPS = 20_000
MAX_PLAN_BYTES = 32 << 20
MAX_ITEMS = 1 << 20
"""The most items of all lists and maps of an encoded plan. No list is longer than MAX_STEPS."""

_MOST_TEXT = 400  # what a message quotes may come from anybody


@dataclass(frozen=True)
class Step:
    """One vertex: an operation, the steps it takes its inputs from, its parameters."""

    op: str
    inputs: tuple[int, ...] = ()
    params: Params = field(default_factory=dict)

    @property
    def operation(self) -> Operation:
        """The operation in the registry."""
        try:
            return OPERATIONS[self.op]
        except KeyError:
            raise PlanError(
                f"no operation is called {self.op[:40]!r}", "Do all parties run the same version?"
            ) from None

    def infer(self, types: Sequence[Type]) -> Type:
        """The type of the step, given the types of all steps before it."""
        operation = self.operation
        inputs = [types[i] for i in self.inputs]
        if len(inputs) > MAX_STEPS:
            raise PlanError(f"{self.op} takes {len(inputs):,} inputs; {MAX_STEPS:,} are the most")
        operation.check(inputs, self.params)
        type_ = operation.infer(inputs, self.params)
        if type_.digits > MAX_DIGITS:
            raise PlanError(f"{self.op} could overflow: its numbers need more than {MAX_DIGITS:,} bits")
        return type_


@dataclass(frozen=True)
class Plan:
    """Steps in order, each after its inputs; the last ones reveal. `parties` in the consortium's order.

    `precision`: the significant bits that its real values were to keep, from which the planner chose their scales.
    `origins` tells where in the script a step was said ("visits.py:7"); it stays with the analyst and is no part of
    the encoding. Types are never sent: every reader infers them again.
    """

    parties: tuple[str, ...]
    steps: tuple[Step, ...]
    precision: int = PRECISION
    origins: Mapping[int, str] = field(default_factory=dict, compare=False)

    @cached_property
    def types(self) -> tuple[Type, ...]:
        """The type of every step. Raises PlanError naming the step that does not fit."""
        types: list[Type] = []
        for i, step in enumerate(self.steps):
            try:
                types.append(step.infer(types))
            except PlanError as error:
                raise PlanError(f"{self.where(i)}: {error.message[:_MOST_TEXT]}", error.remedy) from None
        return tuple(types)

    def where(self, step: int) -> str:
        """A step as a person finds it."""
        origin = self.origins.get(step)
        return f"step {step} ({self.steps[step].op[:40]}{', ' + origin if origin else ''})"

    def of(self, op: str) -> Iterator[tuple[int, Step]]:
        """All steps of one operation, with their numbers."""
        return ((i, step) for i, step in enumerate(self.steps) if step.op == op)

    def explain(self) -> str:
        """The plan as a person reads it: inputs by owner, results and recipients, cost."""
        from mpc.explain import explain

        return explain(self)

    def encode(self) -> bytes:
        """The canonical bytes."""
        steps = [[step.op, list(step.inputs), dict(sorted(step.params.items()))] for step in self.steps]
        content = {"format": FORMAT, "parties": list(self.parties), "precision": self.precision, "steps": steps}
        encoded = msgpack.packb(content)
        if not isinstance(encoded, bytes) or len(encoded) > MAX_PLAN_BYTES:
            raise PlanError(
                f"the plan has more than {MAX_PLAN_BYTES:,} bytes",
                "Large constant arrays stand in the plan: keep them with a party, as a table.",
            )
        return encoded

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes."""
        return hashlib.sha256(self.encode()).digest()

    @classmethod
    def decode(cls, data: bytes) -> Plan:
        """The plan in some bytes from elsewhere. Raises PlanError unless they are a canonical, well-typed plan."""
        if len(data) > MAX_PLAN_BYTES:
            raise PlanError(f"the plan has {len(data):,} bytes; {MAX_PLAN_BYTES:,} are the most")
        try:
            content = _unpacked(data)
            plan = cls(*_checked(content))
            canonical = plan.encode() == data
        except (ValueError, msgpack.exceptions.UnpackException, RecursionError):
            raise PlanError("the plan is not well-formed") from None
        if not canonical:
            raise PlanError("the plan is not in canonical form")
        for i, (step, type_) in enumerate(zip(plan.steps, plan.types, strict=True)):
            if step.op == Constant.name and not type_.fits:
                raise PlanError(f"{plan.where(i)}: a constant does not fit the ring")
        return plan


def _unpacked(data: bytes) -> Any:
    """What the bytes hold, built in memory that is bounded whatever they ask for. Raises as msgpack does."""
    items = 0

    def count(container: Any) -> Any:
        nonlocal items
        items += len(container) + 1
        if items > MAX_ITEMS:
            raise ValueError("too many items")
        return container

    return msgpack.unpackb(data, max_array_len=MAX_STEPS, max_ext_len=0, list_hook=count, object_hook=count)


def _checked(content: Any) -> tuple[tuple[str, ...], tuple[Step, ...], int]:
    """Parties, steps and precision of unpacked bytes, every structure checked."""
    match content:
        case {"format": int(number)} if number != FORMAT:
            raise PlanError(f"the plan has format {number}; this version reads {FORMAT}", "Update all parties.")
        case {"format": int(), "parties": list(parties), "precision": precision, "steps": list(steps), **rest} if (
            not rest and type(precision) is int and 1 <= precision <= MOST_PRECISION
        ):
            pass
        case _:
            raise PlanError("the plan is not well-formed")
    if not all(isinstance(party, str) for party in parties) or len(set(parties)) != len(parties):
        raise PlanError("the plan's parties are not distinct names")
    if len(steps) > MAX_STEPS:
        raise PlanError(f"the plan has {len(steps):,} steps; {MAX_STEPS:,} are the most")
    checked: list[Step] = []
    for i, step in enumerate(steps):
        match step:
            case [str(op), list(inputs), dict(params)] if all(isinstance(name, str) for name in params):
                if not all(isinstance(j, int) and not isinstance(j, bool) and 0 <= j < i for j in inputs):
                    raise PlanError(f"step {i} takes inputs that do not come before it")
                checked.append(Step(op, tuple(inputs), params))
            case _:
                raise PlanError(f"step {i} is not well-formed")
    return tuple(parties), tuple(checked), precision
