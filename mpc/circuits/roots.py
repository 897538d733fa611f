"""Square roots and their reciprocals: a polynomial on one octave, and a table of the octaves' own roots."""

from __future__ import annotations

from fractions import Fraction

from mpc.circuits.approximation import Curve, value
from mpc.circuits.builder import Ring
from mpc.circuits.fixed import Fixed, nearest
from mpc.circuits.narrow import approximated, exponent, few_octaves, on_narrow, point_scale, result_scale
from mpc.circuits.normalise import normalised
from mpc.circuits.wide import LIMB_BITS

__all__ = ["root", "root_bits"]


def root(f: str, y: Ring, low: int, high: int, unit: Fraction, scale: int, precision: int) -> Fixed:
    """f(y unit), f "sqrt" or "rsqrt", for words within [low, high]: positive, or from 0 for "sqrt", which is 0 there.

    Off by 0.8 * 2^-precision of itself, and by 2 * 2^-scale.
    """
    least = value(f, unit * (high if f == "rsqrt" else max(low, 1)))
    if few_octaves(low, high):
        return on_narrow(f, y, low, high, unit, least, precision, scale)
    octave = normalised(y, low, high, point_scale(precision))
    # f(y unit) = f(3 + t) f(2^(octave - 1) unit)
    curve = Curve(f, Fraction(3), Fraction(1), octave.low, Fraction(1))
    mantissa = approximated(curve, octave.t, Fraction(1) if f == "sqrt" else Fraction(1, 2), precision)
    bits = result_scale(precision) - exponent(least)

    def entry(k: int) -> int:
        return nearest(value(f, unit * Fraction(2) ** (k - 1)) * Fraction(2) ** bits) if k >= 0 else 0

    table = Fixed(octave.table(entry), bits, max(entry(octave.first), entry(octave.last)))
    most = value(f, unit * (high if f == "sqrt" else low)) * (1 + Fraction(1, 1 << precision))
    return table.times(mantissa, scale, most)


def root_bits(low: int, high: int, precision: int) -> int:
    """Bits that `root` needs: more than the ring has, where it cannot compute."""
    octaves = 0 if few_octaves(low, high) else high.bit_length() - low.bit_length()
    return max(high.bit_length() + 4, octaves // 2 + result_scale(precision) + 3 + LIMB_BITS)
