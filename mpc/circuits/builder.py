"""What circuits are written with: shared arrays that record instructions, as a script's values record steps.

`Ring` holds signed 64-bit numbers; who writes a circuit keeps track of scales and sees to it that nothing overflows.
`Bits` holds one truth value an element, 64 to a word, or several planes of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpc.instructions import Action, Instruction, Local, SecretProduct
from mpc.types import RING_BITS, Shape
from protocols import ring
from protocols.boolean import And, invert
from protocols.comparison import IsZero, Negative
from protocols.conversion import ToBits, ToRing, lowest_bit
from protocols.correlations import Kind
from protocols.primitives import Primitive, packed_words
from protocols.products import Product
from protocols.ring import Array
from protocols.selection import Select
from protocols.truncation import Truncation

__all__ = ["Bits", "Builder", "Ring", "concat"]


class Builder:
    """A growing list of instructions. `step`: the plan's step that they are for."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.step = 0
        self._converted: dict[int, Ring] = {}

    def add(
        self, action: Action, inputs: Sequence[int], shape: Shape, kind: Kind = "ring", holder: int | None = None
    ) -> int:
        """Append an instruction; its number."""
        self.instructions.append(Instruction(action, tuple(inputs), shape, self.step, kind, holder))
        return len(self.instructions) - 1

    def primitive(self, primitive: Primitive, inputs: Sequence[int], shape: Shape) -> int:
        """Append a primitive whose result has this shape in memory."""
        return self.add(primitive, inputs, shape, primitive.gives)

    def value(self, number: int, shape: Shape) -> Ring | Bits:
        """The array that an instruction gives, of this logical shape."""
        if self.instructions[number].kind == "ring":
            return Ring(self, number, shape)
        return Bits(self, number, shape)

    def converted(self, bits: Bits) -> Ring:
        """Bits as ring words 0 and 1: one round, once for each array."""
        if bits.number not in self._converted:
            planes, size = bits.planes, math.prod(bits.shape)
            shape = bits.shape if planes == 1 else (planes, *bits.shape)
            number = self.primitive(ToRing(size, planes), (bits.number,), shape)
            self._converted[bits.number] = Ring(self, number, shape)
        return self._converted[bits.number]


@dataclass(frozen=True)
class Ring:
    """A shared array of signed 64-bit numbers."""

    builder: Builder
    number: int
    shape: Shape

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def local(self, evaluate: Callable[..., Array], shape: Shape, *others: Ring) -> Ring:
        """Local work on shares: `evaluate(party's index, own share, others' shares)`."""
        inputs = (self.number, *(other.number for other in others))
        return Ring(self.builder, self.builder.add(Local(evaluate), inputs, shape), shape)

    def __add__(self, other: Ring | int | Array) -> Ring:
        if isinstance(other, Ring):
            shape = np.broadcast_shapes(self.shape, other.shape)
            return self.local(lambda index, x, y: ring.add(x, y), shape, other)
        public = _words(other)
        shape = np.broadcast_shapes(self.shape, public.shape)
        return self.local(lambda index, x: ring.add(x, public if index == 0 else np.uint64(0) * public), shape)

    __radd__ = __add__

    def __neg__(self) -> Ring:
        return self.local(lambda index, x: ring.negate(x), self.shape)

    def __sub__(self, other: Ring | int | Array) -> Ring:
        if isinstance(other, Ring):
            shape = np.broadcast_shapes(self.shape, other.shape)
            return self.local(lambda index, x, y: ring.subtract(x, y), shape, other)
        return self + ring.negate(_words(other))

    def __rsub__(self, other: int | Array) -> Ring:
        return -self + other

    def __mul__(self, other: Ring | int | Array) -> Ring:
        """The product: local by a public number or array, one round by a shared one."""
        if isinstance(other, Ring):
            product = Product("multiply", self.shape, other.shape)
            number = self.builder.add(SecretProduct(product), (self.number, other.number), product.out_shape)
            return Ring(self.builder, number, product.out_shape)
        public = _words(other)
        return self.local(lambda index, x: ring.multiply(x, public), np.broadcast_shapes(self.shape, public.shape))

    __rmul__ = __mul__

    def truncate(self, bits: int) -> Ring:
        """Divided by 2^bits and rounded to an integer beside it: one round. Elements must lie within +-2^62."""
        if bits == 0:
            return self
        number = self.builder.primitive(Truncation(self.size, bits), (self.number,), self.shape)
        return Ring(self.builder, number, self.shape)

    def scaled(self, bits: int) -> Ring:
        """Times 2^bits, locally, or truncated where `bits` is negative."""
        return self * (1 << bits) if bits > 0 else self.truncate(-bits)

    def negative(self, bits: int = RING_BITS) -> Bits:
        """Whether each element is below 0: at most three rounds. `bits`: of signed integers that hold all elements."""
        shape = (packed_words(self.size),)
        return Bits(
            self.builder,
            self.builder.primitive(Negative(self.size, min(bits, RING_BITS)), (self.number,), shape),
            self.shape,
        )

    def is_zero(self, bits: int = RING_BITS) -> Bits:
        """Whether each element is 0: at most three rounds. `bits`: of signed integers that hold all elements."""
        shape = (packed_words(self.size),)
        return Bits(
            self.builder,
            self.builder.primitive(IsZero(self.size, min(bits, RING_BITS)), (self.number,), shape),
            self.shape,
        )

    def bits(self, planes: int) -> Bits:
        """The lowest bits of each element, in `planes` planes."""
        number = self.builder.primitive(ToBits(self.size, planes), (self.number,), (planes, packed_words(self.size)))
        return Bits(self.builder, number, self.shape, planes)

    def lowest_bit(self) -> Bits:
        """Words 0 and 1 as bits, locally."""
        size = self.size
        local = Local(lambda index, x: lowest_bit(x.reshape(-1), size))
        number = self.builder.add(local, (self.number,), (packed_words(size),), "bits")
        return Bits(self.builder, number, self.shape)

    def sum(self, axis: int | None = None) -> Ring:
        """The sum over all elements or one axis, locally."""
        shape = () if axis is None else tuple(n for i, n in enumerate(self.shape) if i != axis % len(self.shape))
        return self.local(lambda index, x: ring.sum(x, axis), shape)

    def reshape(self, *shape: int) -> Ring:
        """The same elements under another shape."""
        return self.local(lambda index, x: x.reshape(shape), shape)

    def broadcast(self, shape: Shape) -> Ring:
        """Repeated along new or single axes."""
        if shape == self.shape:
            return self
        return self.local(lambda index, x: np.ascontiguousarray(np.broadcast_to(x, shape)), shape)

    def __getitem__(self, key: Any) -> Ring:
        """Basic indexing."""
        shape = np.empty(self.shape, np.bool_)[key].shape
        return self.local(lambda index, x: np.asarray(x[key]), shape)

    def ring(self) -> Ring:
        """Itself: words already."""
        return self

    def to_bits(self) -> Bits:
        """Words 0 and 1 as bits, locally."""
        return self.lowest_bit()


@dataclass(frozen=True)
class Bits:
    """A shared array of truth values, or several planes of them."""

    builder: Builder
    number: int
    shape: Shape
    planes: int = 1

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def ring(self) -> Ring:
        """Words 0 and 1: one round. Several planes: a first axis more."""
        return self.builder.converted(self)

    def to_bits(self) -> Bits:
        """Itself: bits already."""
        return self

    def local(self, evaluate: Callable[..., Array], planes: int, *others: Bits) -> Bits:
        """Local work on packed words."""
        words = packed_words(self.size)
        shape = (words,) if planes == 1 else (planes, words)
        inputs = (self.number, *(other.number for other in others))
        return Bits(self.builder, self.builder.add(Local(evaluate), inputs, shape, "bits"), self.shape, planes)

    def __invert__(self) -> Bits:
        return self.local(lambda index, x: invert(index, x), self.planes)

    def __xor__(self, other: Bits) -> Bits:
        return self.local(lambda index, x, y: np.bitwise_xor(x, y), self.planes, other)

    def __and__(self, other: Bits) -> Bits:
        """One round."""
        words = self.builder.instructions[self.number].shape
        number = self.builder.primitive(And(self.size, self.planes), (self.number, other.number), words)
        return Bits(self.builder, number, self.shape, self.planes)

    def __or__(self, other: Bits) -> Bits:
        return ~(~self & ~other)

    def plane(self, number: int) -> Bits:
        """One of several planes."""
        return self.local(lambda index, x: x[number], 1)

    def select(self, x: Ring, otherwise: Ring | int = 0) -> Ring:
        """x where true, `otherwise` where false: one round."""
        difference = (x - otherwise).broadcast(self.shape)
        number = self.builder.primitive(Select(self.size), (self.number, difference.number), self.shape)
        chosen = Ring(self.builder, number, self.shape)
        return chosen if isinstance(otherwise, int) and otherwise == 0 else chosen + otherwise


def concat(parts: Sequence[Ring], axis: int = 0) -> Ring:
    """Arrays joined along an axis."""
    first, *others = parts
    length = sum(part.shape[axis] for part in parts)
    shape = tuple(length if i == axis % len(first.shape) else n for i, n in enumerate(first.shape))
    return first.local(lambda index, *values: np.concatenate(values, axis), shape, *others)


def _words(public: int | Array) -> Array:
    if isinstance(public, int):
        return np.asarray(public % (1 << RING_BITS), np.uint64)
    return public.astype(np.int64).view(np.uint64) if public.dtype != np.uint64 else public
