"""Polynomials that stand for real functions on an interval, in arithmetic that is the same on every machine.

Parties multiply shares by the coefficients, so all must compute the very same ones: decimal numbers of sixty digits,
whose elementary functions are correctly rounded, and no floating point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType

__all__ = ["Curve", "polynomial", "value"]

_CONTEXT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_NODES = 32
_MOST_DEGREE = 28
_MOST_GROWTH = 8
_FINE = 1 << 160


def _sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


_FUNCTIONS: Mapping[str, Callable[[Decimal], Decimal]] = MappingProxyType(
    {
        "exp": lambda x: x.exp(),
        "log": lambda x: x.ln(),
        "reciprocal": lambda x: 1 / x,
        "rsqrt": lambda x: 1 / x.sqrt(),
        "sigmoid": _sigmoid,
        "sqrt": lambda x: x.sqrt(),
    }
)


@dataclass(frozen=True)
class Curve:
    """t -> factor * f(start + slope * t), for t within [low, high]."""

    f: str
    start: Fraction
    slope: Fraction
    low: Fraction
    high: Fraction
    factor: Fraction = Fraction(1)


def value(f: str, x: Fraction) -> Fraction:
    """A function's value, to sixty digits."""
    with localcontext(_CONTEXT):
        return Fraction(_FUNCTIONS[f](_decimal(x)))


@lru_cache(maxsize=1 << 10)
def polynomial(curve: Curve, error: Fraction) -> tuple[Fraction, ...] | None:
    """The coefficients, lowest first, of a polynomial in t nowhere further than `error` from the curve.

    None where the interval is too wide: where that would take a degree above 28, or coefficients so large that their
    rounding shows. Interpolation in 32 Chebyshev points, cut off where the rest does not matter any more (L. N.
    Trefethen, Approximation Theory and Approximation Practice, SIAM 2013, chapters 3, 4 and 8).
    """
    middle, half = (curve.low + curve.high) / 2, (curve.high - curve.low) / 2
    with localcontext(_CONTEXT):
        cosines, f = _cosines(), _FUNCTIONS[curve.f]
        start, slope = _decimal(curve.start + curve.slope * middle), _decimal(curve.slope * half)
        factor = _decimal(curve.factor)
        values = [factor * f(start + slope * cosines[2 * j + 1]) for j in range(_NODES)]
        series = [
            sum((y * cosines[k * (2 * j + 1) % (4 * _NODES)] for j, y in enumerate(values)), Decimal(0)) * 2 / _NODES
            for k in range(_NODES)
        ]
        series[0] /= 2
        degree = _NODES - 1
        while degree and sum((abs(a) for a in series[degree:]), Decimal(0)) <= _decimal(error):
            degree -= 1
        largest = Fraction(max(abs(y) for y in values))
    if degree > _MOST_DEGREE:
        return None
    coefficients = _in_t([Fraction(a) for a in series[: degree + 1]], middle, half)
    return coefficients if sum(abs(c) for c in coefficients) <= _MOST_GROWTH * largest else None


def _in_t(series: Sequence[Fraction], middle: Fraction, half: Fraction) -> tuple[Fraction, ...]:
    """A sum of Chebyshev polynomials of (t - middle) / half as powers of t."""
    if len(series) == 1:
        return (series[0],)
    s = [-middle / half, 1 / half]
    before, now = [Fraction(1)], s
    total = [series[0] * before[0] + series[1] * s[0], series[1] * s[1]]
    for a in series[2:]:
        # T_k = 2 s T_(k-1) - T_(k-2)
        after = [Fraction(0)] * (len(now) + 1)
        for i, c in enumerate(now):
            after[i] += 2 * s[0] * c
            after[i + 1] += 2 * s[1] * c
        for i, c in enumerate(before):
            after[i] -= c
        before, now = now, after
        total = [c + a * d for c, d in zip([*total, Fraction(0)], now, strict=True)]
    return tuple(Fraction(round(c * _FINE), _FINE) for c in total)


def _cosines() -> list[Decimal]:
    """cos(m pi / 2 N) for m from 0 to 4 N."""
    step = Decimal(0)
    for _ in range(_NODES.bit_length() - 1):
        step = ((1 + step) / 2).sqrt()
    cosines = [Decimal(1), step]
    while len(cosines) < 4 * _NODES:
        cosines.append(2 * step * cosines[-1] - cosines[-2])
    return cosines


def _decimal(x: Fraction) -> Decimal:
    return Decimal(x.numerator) / Decimal(x.denominator)
