"""The natural logarithm: a polynomial on one octave, and a table of the octaves' own."""

from __future__ import annotations

from fractions import Fraction

from mpc.circuits.approximation import Curve, value
from mpc.circuits.builder import Ring
from mpc.circuits.fixed import Fixed, nearest
from mpc.circuits.narrow import approximated, few_octaves, on_narrow, point_scale
from mpc.circuits.normalise import normalised

__all__ = ["logarithm"]


def logarithm(y: Ring, low: int, high: int, unit: Fraction, grain: Fraction, scale: int, precision: int) -> Fixed:
    """log(y unit), for words within [low, high], which is positive. Off as `approximated` says, by 2^-precision grain.

    `grain`: 1, or the largest |log(y unit)| if that is less.
    """
    if few_octaves(low, high):
        return on_narrow("log", y, low, high, unit, grain, precision, scale)
    octave = normalised(y, low, high, point_scale(precision))
    # log(y unit) = log(3 + t) + log(2^(octave - 1) unit)
    curve = Curve("log", Fraction(3), Fraction(1), octave.low, Fraction(1))
    mantissa = approximated(curve, octave.t, grain, precision, scale)

    def entry(k: int) -> int:
        return nearest(value("log", unit * Fraction(2) ** (k - 1)) * (1 << mantissa.scale))

    most = max(abs(entry(octave.first)), abs(entry(octave.last)))
    return mantissa + Fixed(octave.table(entry), mantissa.scale, most)
