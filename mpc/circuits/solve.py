"""Symmetric positive semidefinite systems under sharing, in the form that correlations have: a diagonal of ones.

A semidefinite matrix with nothing above 1 on its diagonal has no entry above 1, and no eigenvalue above its trace. So
all numbers here have bounds that hold whatever the data, and no pivot is looked for.

The inverse: G. Schulz's iteration X <- X (2 I - R X) (1933), stretched while the smallest eigenvalue of R X may be far
from 1 (V. Pan, R. Schreiber, "An Improved Newton Iteration for the Generalized Inverse of a Matrix, with Applications",
SIAM Journal on Scientific and Statistical Computing, 1991). Its depth grows with the logarithm of the condition number;
a factorisation is a root and two products deep for every row. The solution: iterative refinement (C. Moler, "Iterative
Refinement in Floating Point", Journal of the ACM, 1967).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import numpy as np

from mpc.circuits.builder import Ring, concat
from mpc.circuits.fixed import MOST, Fixed
from mpc.circuits.wide import LIMB_BITS, rounded_product
from mpc.types import RING_BITS
from protocols.products import Product
from protocols.ring import Array

__all__ = ["correlations", "greatest_inverse", "greatest_solution", "inverse", "solution", "step"]

_STRETCHES = (Fraction(7, 4), Fraction(3, 2), Fraction(5, 4))
"""Below 2, which would make an eigenvalue of 1 one of 0; of few digits, for their squares are multiplied by."""

_DIGITS = 4
"""Fractional bits of the squares."""

_CLOSE = Fraction(7, 8)
"""From where on stretching does not help."""

_FINE = 1 << 80

_FINEST = 36
"""Fractional bits of a step at most."""

_POLISHING = 3
"""Steps that compute R X anew: gathered roundings go, and I - R X is squared. One less for short numbers."""


def correlations(c: Fixed, factors: Fixed, scale: int) -> Fixed:
    """c_ij f_i f_j with `scale` fractional bits, for a semidefinite c and c_ii f_i^2 at most 1: so none is above 1."""
    rows = Fixed(factors.words.reshape(*factors.words.shape, 1), factors.scale, factors.bound)
    # |c_ij| f_i <= sqrt(c_jj)
    exponent = -(-(c.bound.bit_length() - c.scale) // 2)
    half = c.times(rows, _room(1) - exponent - 2, 2 * Fraction(2) ** exponent)
    return half.times(factors, scale, Fraction(2))


def greatest_inverse(size: int, bits: int, short: bool = False) -> int:
    """The exponent of a power of two that no entry of `inverse` exceeds."""
    return _log2(_growth(_schedule(size, bits, short))) - _trace_bits(size)


def inverse(r: Fixed, bits: int, short: bool = False) -> Fixed:
    """An X close to the inverse of R, correlations; no eigenvalue of I - R X above 2^-20 if none of R is below 2^-bits.

    If one is, the eigenvalues of I - R X are still between 0 and 1, and its trace tells. `short`: with numbers of half
    a word, of which a product is a quarter of the work and two rounds deep, not three; I - R X is some 2^-8 then.
    """
    size = r.words.shape[0]
    room = _room(size, short)
    trace_bits, schedule, polishing = _trace_bits(size), _schedule(size, bits, short), _POLISHING - short
    # of R / 2^trace_bits, with eigenvalues up to 1, until the end
    most = _log2(_growth(schedule))
    x_scale, y_scale = room - 1 - most, room - _DIGITS - 3
    y = Fixed(r.words, r.scale + trace_bits, r.bound).at(y_scale).words
    x: Ring | None = None
    for stretch in schedule[:-polishing]:
        factor = _doubled(y, stretch, y_scale)
        both = y if x is None else concat([x, y])
        both = _matmul(both, factor, room, room, y_scale + _DIGITS)
        x, y = (factor.scaled(x_scale - y_scale - _DIGITS), both) if x is None else (both[:size], both[size:])
    assert x is not None
    r_at = r.at(y_scale)
    for _ in range(polishing):
        y = _matmul(r_at.words, x, room, room, x_scale + trace_bits)
        x = _matmul(x, _doubled(y, Fraction(1), y_scale), room, room, y_scale + _DIGITS)
    return Fixed(x, x_scale + trace_bits, 1 << room - 1)


def greatest_solution(size: int, bits: int) -> int:
    """The exponent of a power of two that no entry of `solution` exceeds."""
    # an eigenvalue t of R has x of X with t x <= 1, and c is a vector of length 1 times the root of R: of R^-1 c no
    # part exceeds x sqrt(t) (1 + (1 - t x)) <= 2 sqrt(x)
    return -(-greatest_inverse(size, bits) // 2) + 1


def solution(r: Fixed, x: Fixed, c: Fixed, bits: int) -> Fixed:
    """R^-1 c: X c, refined; off by the square of I - R X. X: the `inverse` for as many `bits`.

    c: correlations of one more variable, so that R, bordered by c and a 1, is semidefinite.
    """
    terms = c.words.shape[0]
    room = _room(terms)
    scale = room - 1 - greatest_solution(terms, bits)
    r, c = r.at(min(r.scale, room - 2)), c.at(room - 3)
    x = x.at(min(x.scale, room - 1 - greatest_inverse(terms, bits)))
    b = _matmul(x.words, c.words, room, room, x.scale + c.scale - scale)
    rest = c.words - _matmul(r.words, b, room, room, r.scale + scale - c.scale)
    b = b + _matmul(x.words, rest, room, room, x.scale + c.scale - scale)
    return Fixed(b, scale, 1 << room - 1)


def step(v: Fixed, x: Fixed, factors: Fixed, g: Fixed, most_score: int, most: int) -> Fixed:
    """v + D X D g for D = diag(factors), kept within +-2^most; D g is first kept within +-2^most_score.

    X has no eigenvalue above its bound, as `inverse` has none.
    """
    size = x.words.shape[0]
    room = _room(size)
    x = x.at(room - 1 - _exponent(x))
    score = g.at(_room(1) - 1 - _exponent(g)).times(factors, _room(1) - 2 - _exponent(g) - _exponent(factors))
    score = _kept(score, most_score).at(room - 1 - most_score)
    # a vector of scores, no longer than this, grows by the largest eigenvalue at most
    moved = most_score + _exponent(x) + (size.bit_length() + 1) // 2
    scale = room - 2 - moved
    b = Fixed(_matmul(x.words, score.words, room, room, x.scale + score.scale - scale), scale, 1 << room - 2)
    delta = b.times(factors, min(_FINEST, _room(1) - moved - _exponent(factors)))
    return _kept(v + delta, most)


def _kept(x: Fixed, exponent: int) -> Fixed:
    """Numbers within +-2^exponent as they are, others at the nearer end: four rounds, none where all are within."""
    end = 1 << x.scale + exponent
    if x.bound <= end:
        return x
    above, below = (end - x.words).negative(), (x.words + end).negative()
    return Fixed(x.words + above.select(end - x.words) + below.select(-end - x.words), x.scale, end)


def _exponent(x: Fixed) -> int:
    """Of a power of two that no number exceeds."""
    return (x.bound - 1).bit_length() - x.scale


def _doubled(y: Ring, stretch: Fraction, scale: int) -> Ring:
    """2 a I - a^2 Y, with _DIGITS fractional bits more than Y has. No message."""
    return y * -int(stretch**2 * (1 << _DIGITS)) + _identity(y.shape[0], int(2 * stretch * (1 << scale + _DIGITS)))


@cache
def _schedule(size: int, bits: int, short: bool) -> Sequence[Fraction]:
    """How far each step stretches, so that an eigenvalue of 2^-bits of R comes close to 1."""
    low = Fraction(1, 1 << bits + _trace_bits(size))
    schedule: list[Fraction] = []
    while low < _CLOSE:
        schedule.append(max(_STRETCHES, key=lambda a: _least(a, low)))
        low = Fraction(math.floor(_least(schedule[-1], low) * _FINE), _FINE)
    return (*schedule, *[Fraction(1)] * (_POLISHING - short))


def _least(stretch: Fraction, low: Fraction) -> Fraction:
    """The smallest of a t (2 - a t) for t from low to 1."""
    return min(t * (2 - t) for t in (stretch, stretch * low))


def _growth(schedule: Sequence[Fraction]) -> Fraction:
    """What X grows to at most, from 1."""
    return math.prod((2 * stretch for stretch in schedule), start=Fraction(1))


def _trace_bits(size: int) -> int:
    """The exponent of a power of two above the trace of R, which roundings may have raised above its size."""
    return _log2(Fraction(33 * size, 32))


def _room(terms: int, short: bool = False) -> int:
    """Bits that an operand of a product of so many terms may have; `short`: of one that fits the ring as it is."""
    length = (terms - 1).bit_length()
    return (MOST.bit_length() - length) // 2 if short else RING_BITS - LIMB_BITS - length


def _log2(number: Fraction) -> int:
    """The exponent of the smallest power of two that is not less than a number of at least 1."""
    return (math.ceil(number) - 1).bit_length()


def _matmul(x: Ring, y: Ring, x_bits: int, y_bits: int, shift: int) -> Ring:
    return rounded_product(Product("matmul", x.shape, y.shape), x, y, x_bits, y_bits, shift)


def _identity(size: int, one: int) -> Array:
    return np.eye(size, dtype=np.uint64) * np.uint64(one)
