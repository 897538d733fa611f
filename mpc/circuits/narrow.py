"""Functions on a range so narrow that one polynomial covers it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from mpc.circuits.approximation import Curve, polynomial
from mpc.circuits.builder import Ring
from mpc.circuits.fixed import Fixed
from mpc.circuits.polynomials import evaluated
from mpc.errors import PlanError

__all__ = ["APPROXIMATION", "approximated", "exponent", "few_octaves", "on_narrow", "point_scale", "result_scale"]

APPROXIMATION = Fraction(1, 2)
"""The part of the error allowed that a polynomial may be off by.

Of the rest, a quarter is for the last rounding of a result to its own scale, a quarter for all that comes before: what
the argument is off by, five units at most of those that `point_scale` gives it, and for each level at which blocks of
coefficients are joined, of which there are three at most, one unit of those that `result_scale` gives, or four where
the products are long.
"""

_LONG = 24
"""Beyond this precision products are long: the ring does not hold them exactly."""


def few_octaves(low: int, high: int) -> bool:
    """Whether one polynomial covers reciprocals, roots and logarithms in a positive range."""
    return high <= 4 * low


def on_narrow(
    f: str, x: Ring, low: int, high: int, unit: Fraction, least: Fraction, precision: int, wanted: int | None = None
) -> Fixed:
    """f(x unit) for words within [low, high], and as far off as `approximated` says."""
    width = max(high - low, 1)
    # t = factor (2 x - low - high) / 2^bits: few digits suffice for ends beyond +-4/5
    bits = (4 * width - 1).bit_length()
    factor = next(factor for factor in (7, 6, 5, 4) if factor * width <= 1 << bits)
    t = Fixed((x * 2 - (low + high)) * factor, bits, factor * width).at(point_scale(precision))
    slope, end = unit * Fraction(1 << bits, 2 * factor), Fraction(factor * (high - low), 1 << bits)
    return approximated(Curve(f, (low + high) * unit / 2, slope, -end, end), t, least, precision, wanted)


def approximated(curve: Curve, t: Fixed, least: Fraction, precision: int, wanted: int | None = None) -> Fixed:
    """A curve's values, for |t| up to 9/8 and `point_scale` bits of it.

    Off by less than 0.75 * 2^-precision least; by less than 2^-precision least where they have the scale that is
    `wanted` of them, so that nobody rounds them again.
    """
    up = -exponent(least)
    factor = curve.factor * Fraction(2) ** up
    coefficients = polynomial(replace(curve, factor=factor), APPROXIMATION / (1 << precision))
    if coefficients is None:
        raise PlanError(f"{curve.f}: no polynomial stands for it", "Narrow the range of its operand.")
    result = evaluated(coefficients, t, result_scale(precision, None if wanted is None else wanted - up))
    return Fixed(result.words, result.scale + up, result.bound)


def point_scale(precision: int) -> int:
    """Fractional bits of a polynomial's argument."""
    return min(precision + 8, 30) if precision <= _LONG else precision + 8


def result_scale(precision: int, wanted: int | None = None) -> int:
    """Fractional bits of a polynomial's value.

    One fewer where that is what the result is wanted with: no last rounding then, whose quarter of the error allowed
    goes to the others, which are twice as coarse.
    """
    scale = precision + (5 if precision <= _LONG else 7)
    return scale - 1 if precision <= _LONG and wanted == scale - 1 else scale


def exponent(number: Fraction) -> int:
    """n with |number| within [2^n, 2^(n + 1))."""
    n = abs(number.numerator).bit_length() - number.denominator.bit_length()
    return n if abs(number) >= Fraction(2) ** n else n - 1
