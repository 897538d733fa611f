"""Division: on one octave 1 / y is a polynomial; the octave gives a power of two.

Normalised as by O. Catrina, A. Saxena, "Secure Computation with Fixed-Point Numbers" (FC 2010). A polynomial stands in
the place of Goldschmidt's iterations: fewer rounds and products, at the accuracies that 64 bits have room for.
"""

from __future__ import annotations

from fractions import Fraction

from mpc.circuits.approximation import Curve
from mpc.circuits.builder import Ring
from mpc.circuits.fixed import MOST, Fixed
from mpc.circuits.narrow import approximated, few_octaves, on_narrow, point_scale, result_scale
from mpc.circuits.normalise import normalised
from mpc.circuits.wide import LIMB_BITS
from mpc.types import RING_BITS

__all__ = ["quotient", "quotient_bits", "reciprocal"]


def reciprocal(y: Ring, low: int, high: int, unit: Fraction, scale: int, precision: int) -> Fixed:
    """1 / (y unit) for words within [low, high], which does not hold 0.

    Off by 0.75 * 2^-precision of itself, and by 2^-scale.
    """
    mantissa, power = _inverse(y, low, high, unit, precision)
    return mantissa if power is None else power.times(mantissa, scale, _most(low, high, unit, precision))


def quotient(x: Ring, most: int, y: Ring, low: int, high: int, unit: Fraction, scale: int, precision: int) -> Fixed:
    """x / (y unit), for |x| <= most and y within [low, high], which does not hold 0.

    Off by 0.75 * 2^-precision of itself, and by 4 * 2^-scale.
    """
    mantissa, power = _inverse(y, low, high, unit, precision)
    numerator, reach = Fixed(x, 0, most), _most(low, high, unit, precision)
    if power is None:
        return numerator.times(mantissa, scale, most * reach)
    if most * power.bound < MOST:
        return (numerator * power).times(mantissa, scale, most * reach)
    inverse = power.times(mantissa, power.scale + mantissa.scale, reach)
    return numerator.times(inverse, scale, most * reach)


def quotient_bits(x_bits: int, low: int, high: int, precision: int) -> int:
    """Bits that `quotient` needs for a numerator of so many bits: more than the ring has, where it cannot compute."""
    least, most = sorted((abs(low), abs(high)))
    if few_octaves(least, most):
        return max(most.bit_length() + 4, x_bits + LIMB_BITS)
    octaves = most.bit_length() - least.bit_length()
    mantissa = result_scale(precision) + 4
    # the numerator is multiplied by the power of two at first (it may then be long, if the mantissa is short), or last
    first = x_bits + octaves
    first += 2 if first + 2 * mantissa <= 2 * RING_BITS - 7 else LIMB_BITS
    last = max(x_bits, octaves + mantissa + 1) + LIMB_BITS
    return max(most.bit_length() + 2, min(first, last))


def _inverse(y: Ring, low: int, high: int, unit: Fraction, precision: int) -> tuple[Fixed, Fixed | None]:
    """1 / (y unit) as a number that is off by 0.75 * 2^-precision of itself, and an exact power of two."""
    if high < 0:
        return _inverse(-y, -high, -low, -unit, precision)
    if few_octaves(low, high):
        return on_narrow("reciprocal", y, low, high, unit, 1 / (high * unit), precision), None
    octave = normalised(y, low, high, point_scale(precision))
    # y = (3 + t) / 4 * 2^(last + 1) / 2^(last - octave)
    part = unit * (1 << octave.last + 1) / 4
    curve = Curve("reciprocal", 3 * part, part, octave.low, Fraction(1))
    power = Fixed(octave.power, 0, 1 << octave.last - octave.first)
    return approximated(curve, octave.t, 1 / (4 * part), precision), power


def _most(low: int, high: int, unit: Fraction, precision: int) -> Fraction:
    return (1 + Fraction(1, 1 << precision)) / abs(unit * min(abs(low), abs(high)))
