"""A plan becomes a program: what every party does for each array, in products, primitives and local work.

A plan says what is meant ("x < y"); each party derives for itself, from its own code, how that is computed. The numbers
of instructions label streams and material, so the program of a plan is the same at every party.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from mpc.circuits import Bits, Builder, Ring
from mpc.instructions import Input, Instruction, Local, Noise, Reveal, SecretProduct, Share
from mpc.operations import Circuit, Operation, Params, ProductOperation
from mpc.operations.inputs import Constant
from mpc.plan import Plan, Step
from mpc.types import Private, Public, Shared, Type
from protocols.ring import Array

__all__ = ["lower"]


def lower(plan: Plan) -> list[Instruction]:
    """The program of a plan."""
    return _Lowering(plan).instructions


class _Lowering:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.place: list[int] = []
        self.builder = Builder()
        for i, step in enumerate(plan.steps):
            self.builder.step = i
            self.place.append(self.lowered(i, step))

    @property
    def instructions(self) -> list[Instruction]:
        return self.builder.instructions

    def lowered(self, i: int, step: Step) -> int:
        """The instruction that gives a step's value."""
        operation, type_ = step.operation, self.plan.types[i]
        types = [self.plan.types[j] for j in step.inputs]
        if step.op in ("column", "count", "sample"):
            return self.builder.add(Input(), (), type_.shape, holder=self.owner(i))
        if isinstance(operation, Constant):
            return self.builder.add(Local(partial(_constant, operation, step.params)), (), type_.shape)
        if step.op == "share":
            return self.builder.add(Share(self.owner(step.inputs[0])), (self.place[step.inputs[0]],), type_.shape)
        operands = [self.builder.value(self.place[j], self.plan.types[j].shape) for j in step.inputs]
        shared = isinstance(type_.visibility, Shared)
        if shared and isinstance(operation, Circuit):
            return operation.build(operands, types, step.params).number
        all_shared = all(isinstance(operand.visibility, Shared) for operand in types)
        if all_shared and (chosen := _selected(step.op, operands)) is not None:
            return chosen.number
        inputs = [operand.ring().number for operand in operands]
        if step.op == "noisy":
            return self.builder.add(Noise(), inputs, type_.shape)
        if step.op == "reveal":
            return self.builder.add(Reveal(step.params["name"], tuple(step.params["to"])), inputs, type_.shape)
        if (
            shared
            and isinstance(operation, ProductOperation)
            and not any(isinstance(operand.visibility, Public) for operand in types)
        ):
            product = operation.product(types[0].shape, types[1].shape)
            x_owner, y_owner = (self.owner(j) for j in step.inputs)
            return self.builder.add(SecretProduct(product, x_owner, y_owner), inputs, type_.shape)
        evaluate = Local(partial(_evaluate, operation, types, step.params))
        return self.builder.add(evaluate, inputs, type_.shape, holder=self.owner(i))

    def owner(self, step: int) -> int | None:
        visibility = self.plan.types[step].visibility
        return self.plan.parties.index(visibility.owner) if isinstance(visibility, Private) else None


def _selected(op: str, operands: Sequence[Ring | Bits]) -> Ring | None:
    """The product of shared bits and words, which a selection computes at half the cost of a product."""
    match operands:
        case [Bits() as bits, Ring() as x] | [Ring() as x, Bits() as bits] if x.shape == bits.shape:
            if op == "multiply":
                return bits.select(x)
            if op == "matmul" and len(x.shape) == 1:
                return bits.select(x).sum()
    return None


def _constant(operation: Constant, params: Params, index: int) -> Array:
    return operation.encoded(params)


def _evaluate(operation: Operation, types: Sequence[Type], params: Params, index: int, *values: Array) -> Array:
    return np.asarray(operation.evaluate(values, types, params))
