"""What an operation is: a typing rule, and an evaluation on ring elements that also serves on shares where linear."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from mpc.circuits.builder import Bits, Ring
from mpc.errors import PlanError
from mpc.types import MAX_DIGITS, PUBLIC, RING_BITS, SHARED, Domain, Private, Public, Shape, Type, Visibility
from protocols import ring
from protocols.products import Product
from protocols.ring import Array

__all__ = [
    "MAX_ELEMENTS",
    "Circuit",
    "Function",
    "Input",
    "Operation",
    "Params",
    "ProductOperation",
    "align",
    "aligned",
    "broadcast",
    "check_shape",
    "meet",
]

Params = Mapping[str, Any]

MAX_ELEMENTS = 1 << 28
"""The most elements of one value: 2 GiB of ring words."""


class Operation(ABC):
    """An operation of the closed registry. Stateless; everything about one use of it is in its parameters.

    `parameters` names every parameter and its type, as msgpack carries it. `local`: computed without a message.
    """

    name: ClassVar[str]
    parameters: ClassVar[Mapping[str, type | tuple[type, ...]]] = {}
    arity: ClassVar[int | None] = None
    elementwise: ClassVar[bool] = False
    """Whether every element of the result follows from the operands' elements at its place alone."""

    @abstractmethod
    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        """The result's type. Raises PlanError when the operation does not fit its inputs."""

    @abstractmethod
    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        """The result on ring elements. Linear operations give a share of the result when given shares."""

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        """Bits that computing needs for numbers that are neither operands nor result."""
        return 0

    def key_bits(self, inputs: Sequence[Type], params: Params) -> int:
        """Bits that the cost grows with on shared operands, where reals can do with fewer; 0 where it does not."""
        return 0

    def crowding(self, inputs: Sequence[Type], params: Params) -> Sequence[int]:
        """The operands that must have fewer bits where there is too little room."""
        return range(len(inputs))

    def check(self, inputs: Sequence[Type], params: Params) -> None:
        """Refuse a use with the wrong number of inputs, or parameters that are missing, unknown or of another type."""
        if self.arity is not None and len(inputs) != self.arity:
            raise PlanError(f"{self.name} takes {self.arity} inputs, here are {len(inputs)}")
        if set(params) != set(self.parameters):
            raise PlanError(f"{self.name} takes the parameters {sorted(self.parameters)}, here are {sorted(params)}")
        for name, kind in self.parameters.items():
            if not isinstance(params[name], kind) or isinstance(params[name], bool):
                raise PlanError(f"{self.name}: the parameter {name} has the wrong type")


class Input(Operation):
    """An operation without inputs: something that comes from the plan or from a party's data."""

    arity = 0

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        raise TypeError(f"{self.name} comes from outside")


class ProductOperation(Operation):
    """A bilinear operation: computed by a protocol when both operands are secret to different sides."""

    arity = 2

    @abstractmethod
    def product(self, x: Shape, y: Shape) -> Product:
        """The ring product that computes it."""

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return self.product(inputs[0].shape, inputs[1].shape)(inputs[0], inputs[1])


class Circuit(Operation):
    """An operation that is not linear: on shared operands it is built of products and primitives.

    `evaluate` computes it in the clear, for operands of one owner. Shared operands are shares, public ones included.
    """

    owned: ClassVar[bool] = False
    """Whether it is also built of operands that are all private, each to an owner."""

    @abstractmethod
    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring | Bits:
        """Record what computes the result. `types`: of the operands; the result must be of the inferred type."""


class Function(Circuit):
    """A real function, computed to a stated accuracy. The planner chooses `scale`, the result's fractional bits.

    Subclasses have `scale` among their `parameters`.
    """

    elementwise = True

    most_bits: ClassVar[int] = 48
    """The most significant bits, relative to the result's range, that are worth computing."""

    def least_scale(self, inputs: Sequence[Type], params: Params, precision: int) -> int:
        """The fractional bits that a result of so many significant bits needs at least. Raises PlanError."""
        return 0


def meet(visibilities: Sequence[Visibility]) -> Visibility:
    """Who may see a value computed from values so seen: public stays public, one owner's stays with that owner."""
    owners = {visibility for visibility in visibilities if not isinstance(visibility, Public)}
    if not owners:
        return PUBLIC
    only = next(iter(owners))
    return only if len(owners) == 1 and isinstance(only, Private) else SHARED


def align(types: Sequence[Type]) -> tuple[Domain, list[int]]:
    """The common domain of operands that are added or joined, and the factor that brings each to it, exactly."""
    scale = max(type_.domain.scale for type_ in types)
    divisor = 1
    for other in {type_.domain.divisor for type_ in types}:
        divisor = math.lcm(divisor, other)
        if divisor.bit_length() > MAX_DIGITS:
            raise PlanError("operands with too many different divisors are joined", "Divide after adding.")
    real = any(type_.domain.kind == "real" for type_ in types)
    domain = Domain("real" if real else "integer", scale, divisor)  # truth values count as integers
    return domain, [domain.denominator // type_.domain.denominator for type_ in types]


def aligned(inputs: Sequence[Array], types: Sequence[Type]) -> list[Array]:
    """The operands brought to their common domain."""
    _, factors = align(types)
    return [
        x if factor == 1 else ring.multiply(x, np.uint64(factor % (1 << RING_BITS)))
        for x, factor in zip(inputs, factors, strict=True)
    ]


def broadcast(shapes: Sequence[Shape], what: str) -> Shape:
    """The common shape of operands that are combined element by element."""
    try:
        return check_shape(np.broadcast_shapes(*shapes), what)
    except ValueError:
        raise PlanError(
            f"{what}: the shapes {' and '.join(map(str, shapes))} do not match",
            "Columns of different parties are aligned by row position: their tables must have equally many rows.",
        ) from None


def check_shape(shape: Sequence[int], what: str) -> Shape:
    """The shape as a tuple, refused when it is not one or is too large."""
    if len(shape) > 8 or not all(type(length) is int and length >= 0 for length in shape):
        raise PlanError(f"{what}: not a shape: {list(shape)[:8]}")
    if math.prod(shape) > MAX_ELEMENTS:
        raise PlanError(f"{what}: {math.prod(shape):,} elements are more than {MAX_ELEMENTS:,}", "Use fewer rows.")
    return tuple(shape)
