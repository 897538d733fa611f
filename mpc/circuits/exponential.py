"""The exponential: a power of two for the whole octaves, a polynomial for the rest of one.

Split as by A. Aly, N. P. Smart, "Benchmarking Privacy Preserving Scientific Operations" (ACNS 2019). Here the number of
octaves is rounded either way, which takes one round: what is left is within one octave up or down.
"""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from itertools import combinations
from math import prod
from operator import mul

from mpc.circuits.approximation import Curve, value
from mpc.circuits.builder import Ring
from mpc.circuits.fixed import Fixed, split
from mpc.circuits.narrow import approximated, on_narrow, point_scale
from mpc.circuits.planes import polynomials, weighted

__all__ = ["exponential"]

_OCTAVES = 3
"""Results that span no more octaves are narrow."""

_GROUP = 3
"""Bits of which all products are taken at once."""


def exponential(x: Ring, low: int, high: int, unit: Fraction, scale: int, precision: int) -> Fixed:
    """exp(x unit) for words within [low, high]. Off by 0.75 * 2^-precision of itself, and by 2^-scale."""
    least, log_two = value("exp", low * unit), value("log", Fraction(2))
    if (high - low) * unit <= _OCTAVES * log_two:
        return on_narrow("exp", x, low, high, unit, least, precision, scale)
    whole, t = split(Fixed(x - low, 0, high - low), unit / log_two, point_scale(precision))
    end = Fraction(t.bound, 1 << t.scale)
    # 2^(9/8) is less than 5/2
    mantissa = approximated(Curve("exp", low * unit, log_two, -end, end), t, least * Fraction(2, 5), precision)
    power = Fixed(_power_of_two(whole.words, whole.bound), 0, 1 << whole.bound)
    return power.times(mantissa, scale, value("exp", high * unit) * (1 + Fraction(1, 1 << precision)))


def _power_of_two(x: Ring, most: int) -> Ring:
    """2^x for words from 0 to most: products of bits within groups of three, then of the groups."""
    bits = x.bits(most.bit_length())
    numbers = [range(start, min(start + _GROUP, bits.planes)) for start in range(0, bits.planes, _GROUP)]
    groups = [[part for size in range(1, len(group) + 1) for part in combinations(group, size)] for group in numbers]
    parts = [part for own in groups for part in own]
    planes = polynomials(bits, tuple((part,) for part in parts)).ring()
    # 2^(sum of b_i 2^i) is the product of 1 + b_i (2^2^i - 1)
    rows = [[prod((1 << (1 << i)) - 1 for i in part) if part in own else 0 for part in parts] + [1] for own in groups]
    return reduce(mul, weighted(planes, *rows))
