"""Polynomials at a shared point: as few rounds as can be, then as few products.

M. Paterson, L. Stockmeyer, "On the number of nonscalar multiplications necessary to evaluate polynomials" (SIAM Journal
on Computing, 1973): blocks of four coefficients, for which powers up to the fourth suffice, are joined two at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from mpc.circuits.fixed import Fixed, combined

__all__ = ["blocks", "evaluated", "joined", "powers"]

_BLOCK = 4


def evaluated(coefficients: Sequence[Fraction], t: Fixed, scale: int) -> Fixed:
    """A polynomial with public coefficients, lowest first, at t within +-9/8, with so many fractional bits.

    Degrees up to 4 take at most five rounds and three products, up to 8 seven and four, up to 16 nine and seven. Off by
    a few units of the last place of t and of the result, where coefficients decrease as those of `approximation` do.
    """
    known = powers(t, min(max(len(coefficients) - 1, 1), _BLOCK))
    parts = []
    for start, stop in blocks(len(coefficients)):
        factors = coefficients[start + 1 : stop] or [Fraction(0)]
        parts.append(combined(list(zip(factors, known, strict=False)), coefficients[start], scale))
    return joined(parts, known[-1])


def blocks(count: int) -> list[tuple[int, int]]:
    """So many coefficients cut into blocks; the last may be longer by one, for the fourth power is there."""
    starts = list(range(0, max(count - 1, 1), _BLOCK))
    return list(zip(starts, [*starts[1:], count], strict=True))


def powers(t: Fixed, most: int) -> list[Fixed]:
    """t and its powers up to `most`, which is at most 4: two rounds, or four."""
    known = [t]
    if most > 1:
        known.append(t.times(t, t.scale))
    if most > 2:
        known.append(t.times(known[1], t.scale))
    if most > 3:
        known.append(known[1].times(known[1], t.scale))
    return known


def joined(parts: Sequence[Fixed], power: Fixed) -> Fixed:
    """parts[0] + power parts[1] + power^2 parts[2] + ...: two rounds for every doubling of the number of parts."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [low + power.times(high, low.scale) for low, high in pairs] + list(parts[len(parts) & ~1 :])
        if len(parts) > 1:
            power = power.times(power, power.scale)
    return parts[0]
