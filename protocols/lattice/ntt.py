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
        self._periods = np.array(
            [min(max(1 << level, _PERIOD), degree // 2) for level in range(degree.bit_length() - 1)], np.uint32
        )
        self._tables = np.array([_roots(p, degree, self._periods.tolist()) for p in primes], np.uint32)

    def empty(self, polynomials: int) -> Residues:
        """Memory for so many polynomials."""
        return np.empty((polynomials, len(self.primes), self.degree), np.uint32)

    def forward(self, x: Residues) -> Residues:
        """The transform, in place."""
        from protocols.lattice import kernels

        kernels.forward(x, self._tables, self._periods, self._moduli)
        return x

    def inverse(self, x: Residues, step: int = 1) -> Residues:
        """The coefficients of X^0, X^step, X^(2 step), ..., each times n."""
        from protocols.lattice import kernels

        out = np.empty((*x.shape[:2], self.degree // step), np.uint32)
        kernels.inverse(x, self._tables, self._periods, self._moduli, out)
        return out

    def accumulate(self, x: Residues, y: Residues, out: Residues) -> None:
        """Add the sum over k of x[r, k] y[j, k] / 2^64 to out[r, j], for transforms; axes (r or j, k, primes, n)."""
        from protocols.lattice import kernels

        kernels.accumulate(x, y, self._moduli, self._inverses, out)

    def residues(self, integers: Array, *, scale: int = 1) -> Residues:
        """Residues of `scale` times signed integers, in axes (limbs, polynomials, n): two's complement, lowest first."""
        from protocols.lattice import kernels

        limbs, polynomials, n = integers.shape
        out = np.empty((polynomials, len(self.primes), n), np.uint32)
        kernels.residues(integers, self._places(limbs, scale), self._moduli, out)
        return out

    def encode(self, x: Array, random: Array) -> Residues:
        """q x / 2^64, rounded at random, plus an error: encryption's message. x and random words: (polynomials, n)."""
        from protocols.lattice import kernels

        out = np.empty((x.shape[0], len(self.primes), x.shape[1]), np.uint32)
        kernels.encode(x, random, self.modulus % _LIMB, self._moduli, self._inverses, out)
        return out

    def uniform(self, stream: Stream, polynomials: int) -> Residues:
        """Uniform polynomials, 31 bits of the stream for each candidate; those that are no residue are drawn again."""
        from protocols.lattice import kernels

        shape = (polynomials, len(self.primes), self.degree)
        drawn = _halves(stream, math.prod(shape))
        listed = np.empty(1 + drawn.size, np.int64)
        kernels.candidates(drawn.reshape(shape), self._moduli, listed)
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
        from protocols.lattice import kernels

        kernels.switch(x, _quotients(self.primes), self._moduli, keep)
        return np.ascontiguousarray(x[:, :keep])

    def decode(self, x: Residues) -> Array:
        """The nearest whole number to 2^64 x / q, modulo 2^64; axes (primes, n)."""
        from protocols.lattice import kernels

        out = np.empty(x.shape[1], np.uint64)
        kernels.decode(x, self._moduli, *_fractions(self.primes), out)
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


def _roots(p: int, degree: int, periods: list[int]) -> list[list[int]]:
    """The roots of every level and their quotients, forward and inverse: level l, block b has w^(bits of 2^l + b, reversed)."""
    powers = (pow(x, (p - 1) // (2 * degree), p) for x in range(2, p))
    root = next(w for w in powers if pow(w, degree, p) == p - 1)
    bits = degree.bit_length() - 1
    reversed_bits = [int(f"{i:0{bits}b}"[::-1], 2) for i in range(degree)]
    columns: list[list[int]] = [[], [], [], []]
    for level, period in enumerate(periods):
        for j in range(period):
            exponent = reversed_bits[(1 << level) + j % (1 << level)]
            for column, value in zip(
                columns, (*_factor(pow(root, exponent, p), p), *_factor(pow(root, -exponent, p), p)), strict=True
            ):
                column.append(value)
    return columns


def _halves(stream: Stream, count: int) -> Residues:
    return stream.words((count + 1) // 2).view(np.uint32)[:count]


@cache
def _quotients(primes: tuple[int, ...]) -> Residues:
    return np.array([[_factor(pow(last, -1, p), p) if p != last else (0, 0) for p in primes] for last in primes], np.uint32)


@cache
def _fractions(primes: tuple[int, ...]) -> tuple[Residues, Array]:
    q = math.prod(primes)
    inverses = [_factor(pow(q // p, -1, p), p) for p in primes]
    fractions = [((1 << 128) // p >> 64, (1 << 128) // p >> 32 & 0xFFFFFFFF, (1 << 128) // p & 0xFFFFFFFF) for p in primes]
    return np.array(inverses, np.uint32), np.array(fractions, np.uint64)
