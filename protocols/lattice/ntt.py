"""The ring Z_q[X] / (X^n + 1) for q a product of 31-bit primes: residues, and the number-theoretic transform.

A polynomial is n residues modulo each prime. Its transform is its values at the odd powers of a 2n-th root of unity
(P. Longa and M. Naehrig, CANS 2016), where polynomials multiply value by value. A prime must be 1 modulo 2n.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from protocols.prg import Stream
from protocols.ring import Array

__all__ = ["Ring", "Residues", "ring"]

Residues = NDArray[np.uint32]
"""Axes: polynomials, primes, coefficients or values."""

_PERIOD = 1024
_LIMB = 1 << 64
_31_BITS = np.uint32((1 << 31) - 1)


class Ring:
    """Polynomials of degree below n modulo descending primes. Made by `ring`, which keeps the tables."""

    def __init__(self, degree: int, primes: tuple[int, ...]) -> None:
        self.degree = degree
        self.primes = primes
        self.modulus = math.prod(primes)
        self._moduli = np.array(primes, np.uint32)
        self._inverses = np.array([pow(p, -1, 1 << 32) for p in primes], np.uint32)
        periods = [min(max(1 << level, _PERIOD), degree // 2) for level in range(degree.bit_length() - 1)]
        self._periods = np.array(periods, np.uint32)
        exponents = _exponents(degree, periods)
        self._tables = np.array([_roots(p, degree, exponents) for p in primes])

    def empty(self, polynomials: int) -> Residues:
        """Memory for so many polynomials."""
        return np.empty((polynomials, len(self.primes), self.degree), np.uint32)

    def forward(self, x: Residues) -> Residues:
        """The transform, in place."""
        from protocols.lattice import transforms

        transforms.forward(x, self._tables, self._periods, self._moduli)
        return x

    def inverse(self, x: Residues) -> Residues:
        """The coefficients, each times n, in place; or every step-th of them, of what `accumulate` gives with a step."""
        from protocols.lattice import transforms

        transforms.inverse(x, self._tables, self._periods, self._moduli)
        return x

    def accumulate(self, x: Residues, y: Residues, out: Residues) -> None:
        """Add the sum over k of x[r, k] y[j, k] / 2^64 to out[r, j], for transforms; axes (r or j, k, primes, n).

        Where the last axis of `out` is n / step, it gets what `inverse` makes the coefficients of X^0, X^step, ... of.
        """
        from protocols.lattice import transforms

        transforms.accumulate(x, y, self._moduli, self._inverses, out)

    def residues(self, integers: Array, *, scale: int = 1) -> Residues:
        """Residues of `scale` times signed integers, in axes (limbs, polynomials, n): two's complement, lowest first."""
        from protocols.lattice import conversions

        limbs, polynomials, n = integers.shape
        out = np.empty((polynomials, len(self.primes), n), np.uint32)
        conversions.residues(integers, self._places(limbs, scale), self._moduli, out)
        return out

    def encode(self, x: Array, random: Array) -> Residues:
        """q x / 2^64, rounded at random, plus an error: encryption's message. x and random words: (polynomials, n)."""
        from protocols.lattice import conversions

        out = np.empty((x.shape[0], len(self.primes), x.shape[1]), np.uint32)
        conversions.encode(x, random, self.modulus % _LIMB, self._moduli, self._inverses, out)
        return out

    def add(self, x: Residues, y: Residues) -> Residues:
        """x + y."""
        total = x + y
        return np.minimum(total, total - self._moduli[:, None], out=total)

    def uniform(self, stream: Stream, polynomials: int) -> Residues:
        """Uniform polynomials, 31 bits of the stream for each candidate; those that are no residue are drawn again."""
        from protocols.lattice import conversions

        shape = (polynomials, len(self.primes), self.degree)
        drawn = _halves(stream, math.prod(shape))
        listed = np.empty(1 + drawn.size, np.int64)
        conversions.candidates(drawn.reshape(shape), self._moduli, listed)
        rejected = listed[1 : 1 + int(listed[0])]
        while rejected.size:
            again = _halves(stream, rejected.size) & _31_BITS
            drawn[rejected] = again
            rejected = rejected[again >= self._moduli[rejected // self.degree % len(self.primes)]]
        return drawn.reshape(shape)

    def contains(self, x: Residues) -> bool:
        """Whether these are residues, each below its prime; axes (..., primes, n)."""
        return not x.size or bool(np.all(x.max(axis=-1) < self._moduli))

    def switch(self, x: Residues, keep: int) -> Residues:
        """x divided by all primes but the first `keep`, rounded down by each: residues modulo the product of these."""
        from protocols.lattice import conversions

        conversions.switch(x, _quotients(self.primes), self._moduli, keep)
        return np.ascontiguousarray(x[:, :keep])

    def decode(self, x: Residues) -> Array:
        """The nearest whole number to 2^64 x / q, modulo 2^64; axes (primes, n)."""
        from protocols.lattice import conversions

        out = np.empty(x.shape[1], np.uint64)
        conversions.decode(x, self._moduli, *_fractions(self.primes), out)
        return out

    @cache  # noqa: B019 - rings live as long as the process
    def _places(self, limbs: int, scale: int) -> Residues:
        rows = []
        for p in self.primes:
            places = [scale * _LIMB**limb % p for limb in range(limbs + 1)]
            signs = [0] * (limbs - 1) + [places[limbs]]
            rows.append(
                [
                    (*_factor(place, p), *_factor(place << 32, p), sign)
                    for place, sign in zip(places[:limbs], signs, strict=True)
                ]
            )
        return np.array(rows, np.uint32)


@cache
def ring(degree: int, primes: tuple[int, ...]) -> Ring:
    """The ring with its tables, made once."""
    return Ring(degree, primes)


def _factor(c: int, p: int) -> tuple[int, int]:
    """c mod p and its quotient floor(2^32 c / p)."""
    return c % p, (c % p << 32) // p


def _exponents(degree: int, periods: list[int]) -> NDArray[np.int64]:
    """The power of the root that each place of the tables holds: level l, block b has 2^l + b with its bits reversed."""
    bits = degree.bit_length() - 1
    index = np.concatenate([(1 << level) + np.arange(period) % (1 << level) for level, period in enumerate(periods)])
    exponents = np.zeros_like(index)
    for bit in range(bits):
        exponents |= (index >> bit & 1) << (bits - 1 - bit)
    return exponents


def _roots(p: int, degree: int, exponents: NDArray[np.int64]) -> Residues:
    """Powers of a root of -1 and their quotients, then their inverses and those quotients."""
    candidates = (pow(x, (p - 1) // (2 * degree), p) for x in range(2, p))
    root = next(w for w in candidates if pow(w, degree, p) == p - 1)
    powers = np.ones(degree, np.uint64)
    filled = 1
    while filled < degree:
        powers[filled : 2 * filled] = powers[:filled] * np.uint64(pow(root, filled, p)) % np.uint64(p)
        filled *= 2
    backward = np.where(exponents > 0, np.uint64(p) - powers[-exponents], powers[0])  # w^-e = -w^(n - e)
    rows = [powers[exponents], backward]
    return np.array([part for row in rows for part in (row, (row << np.uint64(32)) // np.uint64(p))], np.uint32)


def _halves(stream: Stream, count: int) -> Residues:
    return stream.words((count + 1) // 2).view(np.uint32)[:count]


@cache
def _quotients(primes: tuple[int, ...]) -> Residues:
    return np.array(
        [[_factor(pow(last, -1, p), p) if p != last else (0, 0) for p in primes] for last in primes], np.uint32
    )


@cache
def _fractions(primes: tuple[int, ...]) -> tuple[Residues, Array]:
    q = math.prod(primes)
    inverses = [_factor(pow(q // p, -1, p), p) for p in primes]
    fractions = [
        ((1 << 128) // p >> 64, (1 << 128) // p >> 32 & 0xFFFFFFFF, (1 << 128) // p & 0xFFFFFFFF) for p in primes
    ]
    return np.array(inverses, np.uint32), np.array(fractions, np.uint64)
