"""Moments under sharing: columns about their means, multiplied in two limbs, so that a product keeps twice the bits.

An operand that one party owns is centred and cut into limbs by that party; its products are the owner-aware ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mpc.circuits.builder import Ring
from mpc.circuits.wide import divided, rounded_product
from mpc.instructions import Local, SecretProduct
from mpc.types import RING_BITS, Type
from protocols.products import Product
from protocols.ring import Array

__all__ = ["centred", "comoment", "counted_from", "deviations", "mean"]

_SPARE = 4
"""Bits of the ring that the limbs of two columns and the number of rows leave free."""

_FINE = 32
"""Bits that a shared column has at least before its mean is taken from it."""

_ROOM = 8
"""Bits that a shared column leaves free when it is brought to a finer scale."""


def centred(words: Array, type_: Type) -> NDArray[np.float64]:
    """An owner's columns about their means, counted from the middle of the range first, so that nothing is lost."""
    values = counted_from(words, type_, float(Fraction(type_.low + type_.high, 2 * type_.domain.denominator)))
    return np.asarray(values - values.mean(0))


def counted_from(words: Array, type_: Type, about: float) -> NDArray[np.float64]:
    """An owner's columns less a number."""
    start = round(Fraction(about) * type_.domain.denominator)
    near = (words.view(np.int64) - np.int64(start)).astype(np.float64) / type_.domain.divisor
    rest = float(Fraction(start, type_.domain.denominator) - Fraction(about))
    return np.asarray(np.ldexp(near, -type_.domain.scale) + rest)


def mean(x: Ring, type_: Type, scale: int) -> Ring:
    """The mean over rows of shared columns, with so many fractional bits: two rounds."""
    bits = type_.bits + x.shape[0].bit_length()
    finer = max(0, min(scale - type_.domain.scale, RING_BITS - _ROOM - bits))
    mean = divided(x.sum(0) * (1 << finer), bits + finer, 0, x.shape[0] * type_.domain.divisor)
    return mean.scaled(scale - type_.domain.scale - finer)


def deviations(x: Ring, type_: Type, scale: int) -> Ring:
    """The sum of squares about the mean of shared columns, with so many fractional bits."""
    column, bits, fractional = _centred(x, type_)
    product = Product("multiply", x.shape, x.shape)
    return rounded_product(product, column, column, bits, bits, 2 * fractional - scale).sum(0)


def comoment(x: Ring, y: Ring, types: Sequence[Type], scale: int) -> Ring:
    """The sum over rows of products about the means, with so many fractional bits. Both are shared, or both owned."""
    product = Product("matmul", (*x.shape[1:], x.shape[0]), y.shape)
    if _holder(x) is None or _holder(y) is None:
        (left, x_bits, x_scale), (right, y_bits, y_scale) = _centred(x, types[0]), _centred(y, types[1])
        left = left.local(lambda index, words: words.T, product.x_shape)
        return rounded_product(product, left, right, x_bits, y_bits, x_scale + y_scale - scale)
    x_limbs, y_limbs = _limbs(x, types[0], turned=True), _limbs(y, types[1], turned=False)

    def multiplied(i: int, j: int) -> Ring:
        (left, left_scale), (right, right_scale) = x_limbs[i], y_limbs[j]
        action = SecretProduct(product, _holder(x), _holder(y))
        number = x.builder.add(action, (left, right), product.out_shape)
        return Ring(x.builder, number, product.out_shape).scaled(scale - left_scale - right_scale)

    return multiplied(0, 0) + multiplied(0, 1) + multiplied(1, 0)


def _holder(x: Ring) -> int | None:
    return x.builder.instructions[x.number].holder


def _limbs(x: Ring, type_: Type, *, turned: bool) -> list[tuple[int, int]]:
    """Two limbs of an owner's columns about their means: the instruction that gives each, and its fractional bits."""
    bits = (RING_BITS - _SPARE - x.shape[0].bit_length()) // 2
    width = (type_.high - type_.low) / type_.domain.denominator
    upper = bits - 1 - (math.frexp(width)[1] if width else 0)
    shape = x.shape[::-1] if turned else x.shape

    def cut(lower: bool) -> Local:
        def evaluate(index: int, words: Array) -> Array:
            scaled = np.ldexp(centred(words, type_), upper)
            kept = np.rint(scaled)
            limb = np.rint(np.ldexp(scaled - kept, bits)) if lower else kept
            limb = np.ascontiguousarray(limb.T) if turned else limb
            return limb.astype(np.int64).view(np.uint64)

        return Local(evaluate)

    numbers = [x.builder.add(cut(lower), (x.number,), shape, holder=_holder(x)) for lower in (False, True)]
    return [(numbers[0], upper), (numbers[1], upper + bits)]


def _centred(x: Ring, type_: Type) -> tuple[Ring, int, int]:
    """Shared columns about their means, the bits they need, their fractional bits; no divisor."""
    bits, scale, rows = type_.bits, type_.domain.scale, x.shape[0]
    # a mean is as fine as its column: one of few digits, such as whole numbers, gets more
    wanted = max(_FINE - bits, type_.domain.divisor.bit_length() if type_.domain.divisor > 1 else 0)
    if finer := max(0, min(wanted, RING_BITS - _ROOM - bits - rows.bit_length())):
        x = x * (1 << finer)
        bits, scale = bits + finer, scale + finer
    if type_.domain.divisor > 1:
        x = divided(x, bits, 0, type_.domain.divisor)
    mean = divided(x.sum(0), bits + rows.bit_length(), 0, rows)
    return x - mean, bits + 1, scale
