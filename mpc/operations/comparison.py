"""Comparisons and truth values: x < y, x == y, and, exclusive or, not; and what is chosen by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mpc.circuits.builder import Bits, Ring
from mpc.errors import PlanError
from mpc.operations.arithmetic import Subtract
from mpc.operations.base import Circuit, Params, align, aligned, broadcast, meet
from mpc.types import BOOLEAN, Type
from protocols.ring import Array

__all__ = ["Absolute", "And", "Equal", "Less", "Maximum", "Minimum", "Not", "Where", "Xor", "aligned_rings"]


class Less(Circuit):
    """x < y, elementwise with broadcasting. Exact."""

    name = "less"
    arity = 2
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        return _truth(inputs, self.name)

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        return _difference_bits(inputs)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        x, y = aligned(inputs, types)
        return _is_less(x, y).astype(np.uint64)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Bits:
        x, y = aligned_rings(operands, types)
        return (x - y).negative(_difference_bits(types))


class Equal(Circuit):
    """x == y, elementwise with broadcasting. Exact: numbers are equal when their encodings are."""

    name = "equal"
    arity = 2
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        return _truth(inputs, self.name)

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        return _difference_bits(inputs)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        x, y = aligned(inputs, types)
        return np.asarray(x == y).astype(np.uint64)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Bits:
        if all(type_.domain == BOOLEAN for type_ in types):
            return ~Xor().build(operands, types, params)
        x, y = aligned_rings(operands, types)
        return (x - y).is_zero(_difference_bits(types))


class And(Circuit):
    """Both, of two truth values."""

    name = "and"
    arity = 2
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        _check_truth(inputs, self.name)
        return _truth(inputs, self.name)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.asarray(inputs[0] & inputs[1])

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Bits:
        x, y = _bits(operands)
        return x & y


class Xor(Circuit):
    """One or the other but not both, of two truth values."""

    name = "xor"
    arity = 2
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        _check_truth(inputs, self.name)
        return _truth(inputs, self.name)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.asarray(inputs[0] ^ inputs[1])

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Bits:
        x, y = _bits(operands)
        return x ^ y


class Not(Circuit):
    """The opposite of a truth value."""

    name = "not"
    arity = 1
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        _check_truth(inputs, self.name)
        return inputs[0]

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.asarray(inputs[0] ^ np.uint64(1))

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Bits:
        return ~operands[0].to_bits()


class Where(Circuit):
    """x where a truth value holds, y elsewhere. Exact."""

    name = "where"
    arity = 3
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        _check_truth(inputs[:1], self.name)
        domain, (x_factor, y_factor) = align(inputs[1:])
        x, y = inputs[1:]
        if x.domain == y.domain == BOOLEAN:
            domain = BOOLEAN
        return Type(
            meet([type_.visibility for type_ in inputs]),
            broadcast([type_.shape for type_ in inputs], self.name),
            domain,
            min(x.low * x_factor, y.low * y_factor),
            max(x.high * x_factor, y.high * y_factor),
        )

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        x, y = aligned(inputs[1:], types[1:])
        return np.asarray(np.where(inputs[0] != 0, x, y))

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        x, y = aligned_rings(operands[1:], types[1:])
        shape = broadcast([type_.shape for type_ in types], self.name)
        return spread(operands[0], shape).select(x.broadcast(shape), y.broadcast(shape))


class Absolute(Circuit):
    """|x|. Exact."""

    name = "absolute"
    arity = 1
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        low = 0 if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high))
        return Type(x.visibility, x.shape, align(inputs)[0], low, max(abs(x.low), abs(x.high)))

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.abs(inputs[0].view(np.int64)).view(np.uint64)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        x = operands[0].ring()
        return x + x.negative(types[0].bits).select(x * -2)


class Minimum(Circuit):
    """The smaller of x and y, elementwise with broadcasting. Exact."""

    name = "minimum"
    arity = 2
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        return _extreme(inputs, self.name, min)

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        return _difference_bits(inputs)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        x, y = aligned(inputs, types)
        return np.where(_is_less(x, y), x, y)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        x, y = aligned_rings(operands, types)
        difference = x - y
        return difference.negative(_difference_bits(types)).select(difference) + y


class Maximum(Circuit):
    """The larger of x and y, elementwise with broadcasting. Exact."""

    name = "maximum"
    arity = 2
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        return _extreme(inputs, self.name, max)

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        return _difference_bits(inputs)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        x, y = aligned(inputs, types)
        return np.where(_is_less(x, y), y, x)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        x, y = aligned_rings(operands, types)
        difference = y - x
        return difference.negative(_difference_bits(types)).select(-difference) + y


def aligned_rings(operands: Sequence[Ring | Bits], types: Sequence[Type]) -> list[Ring]:
    """Shared operands as ring words, brought to their common domain."""
    _, factors = align(types)
    return [
        operand.ring() if factor == 1 else operand.ring() * factor
        for operand, factor in zip(operands, factors, strict=True)
    ]


def spread(operand: Ring | Bits, shape: tuple[int, ...]) -> Bits:
    """A truth value as bits of a shape that it is broadcast to."""
    if operand.shape == shape:
        return operand.to_bits()
    return operand.ring().broadcast(shape).to_bits()


def _bits(operands: Sequence[Ring | Bits]) -> list[Bits]:
    shape = np.broadcast_shapes(*(operand.shape for operand in operands))
    return [spread(operand, shape) for operand in operands]


def _truth(inputs: Sequence[Type], name: str) -> Type:
    return Type(meet([x.visibility for x in inputs]), broadcast([x.shape for x in inputs], name), BOOLEAN, 0, 1)


def _extreme(inputs: Sequence[Type], name: str, choose: Callable[[Iterable[int]], int]) -> Type:
    domain, factors = align(inputs)
    return Type(
        meet([x.visibility for x in inputs]),
        broadcast([x.shape for x in inputs], name),
        domain,
        choose(x.low * factor for x, factor in zip(inputs, factors, strict=True)),
        choose(x.high * factor for x, factor in zip(inputs, factors, strict=True)),
    )


def _is_less(x: Array, y: Array) -> NDArray[np.bool_]:
    """x < y by the sign of their difference: it fits the ring, which an operand in a finer scale may not."""
    return np.asarray((x - y).view(np.int64) < 0)


def _check_truth(inputs: Sequence[Type], name: str) -> None:
    if any(x.domain != BOOLEAN for x in inputs):
        raise PlanError(f"{name} takes truth values", "Compare first: (x > 0) & (y > 0).")


def _difference_bits(inputs: Sequence[Type]) -> int:
    """Operands are compared by the sign of their difference, which must fit the ring."""
    return Subtract().infer(inputs, {}).bits
