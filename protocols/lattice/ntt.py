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

__all__ = ["Residues", "Ring", "ring"]

Residues = NDArray[np.uint32]
"""Axes: polynomials, primes, coefficients or values."""

_PERIOD = 256
_LIMB = 1 << 64


class Ring:
    """Polynomials of degree below n modulo descending primes. Made by `ring`, which keeps the tables."""

    def __init__(self, degree: int, primes: tuple[int, ...]) -> None:
        self.degree = degree
        self.primes = primes
        self.modulus = math.prod(primes)
        self._moduli = np.array(primes, np.uint32)
        self._masks = np.array([(1 << p.bit_length()) - 1 for p in primes], np.uint32)
        self._inverses = np.array([pow(p, -1, 1 << 32) for p in primes], np.uint32)
        periods = [min(max(1 << level, _PERIOD), degree // 2) for level in range(degree.bit_length() - 1)]
        self._periods = np.array(periods, np.uint64)
        exponents = _exponents(degree, periods)
        self._tables = np.array([_roots(p, degree, exponents) for p in primes])

    def forward(self, x: Residues) -> Residues:
        """The transform, in place."""
        from protocols.lattice import transforms

        transforms.forward(x, self._tables, self._periods, self._moduli)
        return x

    def inverse(self, x: Residues) -> Residues:
        """The coefficients, each times n, in place; of what `accumulate` folded, every so-many-th of them."""
        from protocols.lattice import transforms

        transforms.inverse(x, self._tables, self._periods, self._moduli)
        return x

    def accumulate(self, x: Residues, y: Residues, out: Residues) -> None:
        """Add the sum over k of x[r, k] y[j, k] / 2^64 to out[r, j], for transforms; axes (r or j, k, primes, n).

        Where the last axis of `out` is n / step it is folded: `inverse` gives the coefficients of X^0, X^step, ....
        """
        from protocols.lattice import transforms

        transforms.accumulate(x, y, self._moduli, self._inverses, out)

    def residues(self, integers: Array, *, scale: int = 1) -> Residues:
        """Residues of `scale` times integers, in axes (limbs, polynomials, n): two's complement, lowest limb first."""
        from protocols.lattice import conversions

        limbs, polynomials, n = integers.shape
        out = np.empty((polynomials, len(self.primes), n), np.uint32)
        conversions.residues(integers, _places(self.primes, limbs, scale), self._moduli, out)
        return out

    def encode(self, x: Array, random: Array) -> Residues:
        """q x / 2^64, rounded at random, plus an error: encryption's message. x and random words: (polynomials, n)."""
        from protocols.lattice import conversions

        out = np.empty((x.shape[0], len(self.primes), x.shape[1]), np.uint32)
        conversions.encode(x, random, np.uint64(self.modulus % _LIMB), self._moduli, self._inverses, out)
        return out

    def quotients(self, factors: Residues) -> Residues:
        """What a factor is multiplied quickly with: floor(2^32 c / p)."""
        return ((factors.astype(np.uint64) << np.uint64(32)) // self._moduli[:, None]).astype(np.uint32)

    def encrypt(self, x: Array, random: Array, a: Residues, secrets: Residues, quotients: Residues) -> Residues:
        """Transforms of `encode(x, random)` - a s, in axes (groups, blocks, primes, n).

        x and random words (groups, blocks, n); transforms a (blocks, primes, n) and s (groups, primes, n).
        """
        from protocols.lattice import steps

        out = np.empty((*x.shape[:2], len(self.primes), self.degree), np.uint32)
        steps.encrypt(
            x,
            random,
            a,
            secrets,
            quotients,
            np.uint64(self.modulus % _LIMB),
            self._tables,
            self._periods,
            self._moduli,
            self._inverses,
            out,
        )
        return out

    def apply(self, y: Array, scale: int, b: Residues, a: Residues, c0: Residues, c1: Residues) -> bool:
        """As `accumulate`: b y into c0 and a y into c1, for integers y (answers, blocks, n), times `scale`.

        Does nothing and gives False where b is not made of residues.
        """
        from protocols.lattice import steps

        valid = np.empty(1, np.bool_)
        constants = _places(self.primes, 1, scale)
        steps.apply(y, constants, b, a, self._tables, self._periods, self._moduli, self._inverses, c0, c1, valid)
        return bool(valid[0])

    def add(self, x: Residues, y: Residues) -> Residues:
        """x + y."""
        total: Residues = x + y
        np.minimum(total, total - self._moduli[:, None], out=total)
        return total

    def uniform(self, stream: Stream, polynomials: int) -> Residues:
        """Uniform polynomials: from 32 bits of the stream each, as many as the prime has; no residue: drawn again."""
        from protocols.lattice import conversions

        shape = (polynomials, len(self.primes), self.degree)
        drawn = _halves(stream, math.prod(shape))
        places = np.empty(1 + drawn.size, np.int64)
        conversions.candidates(drawn.reshape(shape), self._moduli, self._masks, places)
        rejected = places[1 : 1 + int(places[0])]
        while rejected.size:
            prime = rejected // self.degree % len(self.primes)
            again = _halves(stream, rejected.size) & self._masks[prime]
            drawn[rejected] = again
            rejected = rejected[again >= self._moduli[prime]]
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


@cache
def ring(degree: int, primes: tuple[int, ...]) -> Ring:
    """The ring with its tables, made once."""
    return Ring(degree, primes)


def _factor(c: int, p: int) -> tuple[int, int]:
    """c mod p and its quotient floor(2^32 c / p)."""
    return c % p, (c % p << 32) // p


def _exponents(degree: int, periods: list[int]) -> NDArray[np.int64]:
    """The power of the root at each place of the tables: for block b of level l, the bits of 2^l + b reversed."""
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
    rows = [(w, (w << np.uint64(32)) // np.uint64(p)) for w in (powers[exponents], backward)]
    return np.array(rows).reshape(4, -1).astype(np.uint32)


def _halves(stream: Stream, count: int) -> Residues:
    return stream.words((count + 1) // 2).view(np.uint32)[:count]


@cache
def _places(primes: tuple[int, ...], limbs: int, scale: int) -> Residues:
    """What `conversions.residues` multiplies by: for each prime and limb the places of both halves and of the sign."""
    rows = []
    for p in primes:
        places = [scale * _LIMB**limb % p for limb in range(limbs + 1)]
        signs = [0] * (limbs - 1) + [places[limbs]]
        rows.append([(*_factor(c, p), *_factor(c << 32, p), sign) for c, sign in zip(places, signs, strict=False)])
    return np.array(rows, np.uint32)


@cache
def _quotients(primes: tuple[int, ...]) -> Residues:
    """1 / p_l modulo p_i, and its quotient, at [l, i] for i < l."""
    rows = [[_factor(pow(last, -1, p), p) if p > last else (0, 0) for p in primes] for last in primes]
    return np.array(rows, np.uint32)


@cache
def _fractions(primes: tuple[int, ...]) -> tuple[Residues, Array]:
    """What `conversions.decode` takes: p_i / q mod p_i with its quotient, and 2^128 / p_i in 64, 32 and 32 bits."""
    q = math.prod(primes)
    inverses = [_factor(pow(q // p, -1, p), p) for p in primes]
    wholes = [(1 << 128) // p for p in primes]
    parts = [(whole >> 64, whole >> 32 & 0xFFFFFFFF, whole & 0xFFFFFFFF) for whole in wholes]
    return np.array(inverses, np.uint32), np.array(parts, np.uint64)
