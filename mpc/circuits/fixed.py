"""Fixed-point numbers under sharing: words with fractional bits and a bound, so that nothing overflows unseen.

Every operation says how far its result may be off, in units of its last bit. A circuit chooses the bits so that all of
it together stays below what its function promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial, reduce
from operator import add

import numpy as np

from mpc.circuits.builder import Ring
from mpc.circuits.wide import rounded_product
from mpc.errors import PlanError
from mpc.types import RING_BITS
from protocols import ring
from protocols.products import Product
from protocols.ring import Array

__all__ = ["MOST", "Fixed", "combined", "inner", "nearest", "split"]

MOST = 1 << 62
"""What is truncated stays below this."""

_SURE_BITS = 59
"""Bits of a number and of its multiple, together, for which a multiplier is off by less than 1/8 in all."""


@dataclass(frozen=True)
class Fixed:
    """A shared array of numbers `words` / 2^scale; no word exceeds `bound` in absolute value."""

    words: Ring
    scale: int
    bound: int

    def __post_init__(self) -> None:
        if self.bound >= 2 * MOST:
            raise _overflow()

    def finer(self, scale: int) -> Fixed:
        """The same numbers with at least so many fractional bits."""
        factor = 1 << max(scale - self.scale, 0)
        return Fixed(self.words * factor, scale, self.bound * factor) if factor > 1 else self

    def at(self, scale: int) -> Fixed:
        """With so many fractional bits: exact, or one round and off by one unit."""
        drop = self.scale - scale
        if drop <= 0:
            return self.finer(scale)
        if self.bound > MOST or drop > 62:
            raise _overflow()
        return Fixed(self.words.truncate(drop), scale, (self.bound >> drop) + 1)

    def __add__(self, other: Fixed) -> Fixed:
        scale = max(self.scale, other.scale)
        x, y = self.finer(scale), other.finer(scale)
        return Fixed(x.words + y.words, scale, x.bound + y.bound)

    def __mul__(self, other: Fixed) -> Fixed:
        """The product with all its fractional bits: one round."""
        return Fixed(self.words * other.words, self.scale + other.scale, self.bound * other.bound)

    def times(self, other: Fixed, scale: int, most: Fraction | None = None) -> Fixed:
        """The product with so many fractional bits: off by one unit, or four where the ring cannot hold it exactly.

        `most`: what the product's absolute value does not exceed, where more is known of it than of its factors.
        """
        exact, shift = self.scale + other.scale, self.scale + other.scale - scale
        bound = self.bound * other.bound if most is None else _ceil(most * Fraction(2) ** exact)
        x, y = self.words, other.words
        if bound < MOST or shift <= 0:
            return Fixed(x * y, exact, bound).at(scale)
        product = Product("multiply", x.shape, y.shape)
        words = rounded_product(product, x, y, _bits(self.bound), _bits(other.bound), shift)
        return Fixed(words, scale, _ceil(bound / Fraction(2) ** shift) + 4)


def combined(terms: Sequence[tuple[Fraction, Fixed]], constant: Fraction, scale: int) -> Fixed:
    """A sum of public multiples and a public number, with so many fractional bits: local or one round.

    The multipliers are cut into digits until the rest is less than half a unit; each digit's sum is truncated once. So
    it is off by one unit for each digit, of which there is one for operands of up to 30 bits, and by half a unit.
    """
    values = [x for _, x in terms]
    bounds = [*(x.bound for x in values), 1]
    rest = [factor * Fraction(2) ** (scale - x.scale) for factor, x in terms] + [constant * Fraction(2) ** scale]
    bound = reach = _reach(rest, bounds)
    parts: list[Ring] = []
    while not parts or reach > Fraction(1, 2):
        whole = all(factor.denominator == 1 for factor in rest)
        bits = 0 if whole else (max(MOST - sum(bounds), 0) // _ceil(reach)).bit_length() - 1
        if bits < 0:
            raise _overflow()
        digits = [nearest(factor * (1 << bits)) for factor in rest]
        parts.append(_weighted(values, digits).truncate(bits))
        rest = [factor - Fraction(digit, 1 << bits) for factor, digit in zip(rest, digits, strict=True)]
        reach = _reach(rest, bounds)
    return Fixed(reduce(add, parts), scale, _ceil(bound) + len(parts) + 1)


def split(x: Fixed, unit: Fraction, scale: int) -> tuple[Fixed, Fixed]:
    """A whole number n near x unit, and t = x unit - n with so many fractional bits, 6 at least: within its bound, 9/8.

    One round, or two. Where the multiplier for n would be off by too much in all, for x is long, x is shortened before.
    """
    exact = not unit.denominator & (unit.denominator - 1)
    reach = x.bound * unit
    excess = x.bound.bit_length() + _ceil(reach).bit_length() - _SURE_BITS
    n = combined([(unit, x if exact or excess <= 0 else x.at(x.scale - excess))], Fraction(0), 0)
    if reach * (1 << scale) < MOST:
        words = combined([(unit, x)], Fraction(0), scale).words - n.words * (1 << scale)
    else:
        rest = Fixed(x.words * unit.numerator - n.words * unit.denominator, 0, 2 * unit.denominator)
        words = combined([(Fraction(1, unit.denominator), rest)], Fraction(0), scale).words
    return n, Fixed(words, scale, (1 << scale) + (1 << scale - (6 if exact else 3)))


def inner(pairs: Sequence[tuple[Fixed, Fixed]], scale: int) -> Fixed:
    """A sum of products with so many fractional bits: off by one unit in all, or as `times` each."""
    if sum(x.bound * y.bound for x, y in pairs) < MOST and len({x.scale + y.scale for x, y in pairs}) == 1:
        return reduce(add, (x * y for x, y in pairs)).at(scale)
    return reduce(add, (x.times(y, scale) for x, y in pairs))


def nearest(number: Fraction) -> int:
    """The nearest whole number."""
    return (2 * number.numerator + number.denominator) // (2 * number.denominator)


def _weighted(values: Sequence[Fixed], factors: Sequence[int]) -> Ring:
    """Locally, the sum of whole multiples and of the last number."""
    first, *others = (x.words for x in values)
    shape = np.broadcast_shapes(*(x.words.shape for x in values))
    return first.local(partial(_sum, [factor % (1 << RING_BITS) for factor in factors]), shape, *others)


def _sum(factors: Sequence[int], index: int, *shares: Array) -> Array:
    *multipliers, constant = (np.uint64(factor) for factor in factors)
    total = ring.multiply(shares[0], multipliers[0])
    for share, factor in zip(shares[1:], multipliers[1:], strict=True):
        total = ring.add(total, ring.multiply(share, factor))
    return ring.add(total, constant, out=total) if index == 0 else total


def _reach(factors: Sequence[Fraction], bounds: Sequence[int]) -> Fraction:
    return sum((abs(factor) * bound for factor, bound in zip(factors, bounds, strict=True)), Fraction(0))


def _ceil(number: Fraction) -> int:
    return -(-number.numerator // number.denominator)


def _bits(bound: int) -> int:
    """Of a signed integer that holds both ends."""
    return bound.bit_length() + 1


def _overflow() -> PlanError:
    return PlanError("a function's numbers could overflow the ring", "Narrow the range of its operands.")
