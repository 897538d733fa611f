"""Compiled conversions between words, integers and residues modulo several primes. Importing this compiles."""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from protocols.jit import compiled, inner
from protocols.lattice.modular import LOW, Residues, Words, add, reduced, subtract, times

__all__ = ["add_limb", "candidates", "decode", "encode", "residues", "rounding", "scaled", "switch"]

_VECTOR = types.Array(types.uint32, 1, "C", readonly=True)
_TABLE = types.Array(types.uint32, 2, "C", readonly=True)
_TABLES = types.Array(types.uint32, 3, "C", readonly=True)
_WORDS = types.Array(types.uint64, 2, "C", readonly=True)
_LIMBS = types.Array(types.uint64, 3, "C", readonly=True)

_u32, _u64 = np.uint32, np.uint64
_32 = _u64(32)
_COIN_BITS, _COINS = _u64(21), _u64((1 << 21) - 1)
_DITHER_BITS, _DITHER = _u64(22), _u64((1 << 22) - 1)
_CHUNK = 512


@inner
def _ones(x: np.uint64) -> np.uint64:
    """How many of 64 bits are set, in the form that compilers know."""
    x = x - ((x >> _u64(1)) & _u64(0x5555555555555555))
    x = (x & _u64(0x3333333333333333)) + ((x >> _u64(2)) & _u64(0x3333333333333333))
    x = (x + (x >> _u64(4))) & _u64(0x0F0F0F0F0F0F0F0F)
    return (x * _u64(0x0101010101010101)) >> _u64(56)


@inner
def rounding(x: Words, random: Words, q: np.uint64, out: Residues) -> None:
    for j in range(x.size):
        r = random[j]
        carry = ((x[j] * q >> (_u64(64) - _DITHER_BITS)) + (r & _DITHER)) >> _DITHER_BITS
        out[j] = _u32(carry + _ones((r >> _DITHER_BITS) & _COINS) - _ones(r >> (_DITHER_BITS + _COIN_BITS)))


@inner
def scaled(x: Words, small: Residues, q: np.uint64, p: np.uint32, inverse: np.uint32, out: Residues) -> None:
    for j in range(x.size):
        w = x[j] * q
        t = _u32(p - reduced(w >> _32, w & LOW, p, inverse) + small[j])
        t = min(t, _u32(t + p))
        out[j] = min(t, _u32(t - p))


@compiled(_WORDS, _WORDS, types.uint64, _VECTOR, _VECTOR, types.uint32[:, :, ::1])
def encode(x: Words, random: Words, q: np.uint64, primes: Residues, inverses: Residues, out: Residues) -> None:
    """Set out (polynomials, primes, n) to floor(q x / 2^64) + carry + error, for `q` the modulus mod 2^64.

    From each random word: 22 bits that are added to the first 22 bits behind the point, so that the carry rounds at
    random; and two times 21 coins, whose difference is the error. As q is 0 modulo each prime, floor(q x / 2^64) is
    -(q x mod 2^64) / 2^64 there.
    """
    small = np.empty(x.shape[1], np.uint32)
    for k in range(x.shape[0]):
        rounding(x[k], random[k], q, small)
        for i in range(primes.size):
            scaled(x[k], small, q, primes[i], inverses[i], out[k, i])


@inner
def add_limb(x: Words, constants: Residues, p: np.uint32, out: Residues) -> None:
    low, low_quotient, high, high_quotient, negative = constants
    for j in range(x.size):
        s = add(out[j], times(_u32(x[j]), low, low_quotient, p), p)
        s = add(s, times(_u32(x[j] >> _32), high, high_quotient, p), p)
        out[j] = subtract(s, _u32(x[j] >> _u64(63)) * negative, p)


@compiled(_LIMBS, _TABLES, _VECTOR, types.uint32[:, :, ::1])
def residues(x: Words, constants: Residues, primes: Residues, out: Residues) -> None:
    """Set out (polynomials, primes, n) to the residues of integers, times a constant.

    x (limbs, polynomials, n): two's complement, lowest limb first. `constants` (primes, limbs, 5), for each limb: the
    constant times its place, and that times 2^32, each with its quotient; and what the sign takes off in the last.
    """
    for k in range(x.shape[1]):
        for i in range(primes.size):
            out[k, i, :] = 0
            for limb in range(x.shape[0]):
                add_limb(x[limb, k], constants[i, limb], primes[i], out[k, i])


@inner
def _count_beyond(x: Residues, p: np.uint32, mask: np.uint32) -> int:
    """Keep some bits of each; how many are no residues."""
    count = 0
    for j in range(x.size):
        x[j] &= mask
        count += x[j] >= p
    return count


@compiled(types.uint32[:, :, ::1], _VECTOR, _VECTOR, types.int64[::1])
def candidates(x: Residues, primes: Residues, masks: Residues, rejected: NDArray[np.int64]) -> None:
    """Mask words (polynomials, primes, n); list the places of those that are no residues, behind their number."""
    polynomials, count, n = x.shape
    chunk = min(_CHUNK, n)
    found = 0
    for k in range(polynomials):
        for i in range(count):
            for start in range(0, n, chunk):
                here = x[k, i, start : start + chunk]
                if _count_beyond(here, primes[i], masks[i]):
                    for j in range(chunk):
                        if here[j] >= primes[i]:
                            found += 1
                            rejected[found] = (k * count + i) * n + start + j
    rejected[0] = found


@inner
def _drop(x: Residues, last: Residues, factor: np.uint32, quotient: np.uint32, p: np.uint32) -> None:
    for j in range(x.size):
        x[j] = times(subtract(x[j], last[j], p), factor, quotient, p)


@compiled(types.uint32[:, :, ::1], _TABLES, _VECTOR, types.int64)
def switch(x: Residues, constants: Residues, primes: Residues, keep: int) -> None:
    """Divide x (polynomials, primes, n) by all but the first `keep` primes, rounding down by each; in place.

    constants[l, i]: 1 / p_l modulo p_i and its quotient. Primes descend, so that a residue of p_l is one of p_i.
    """
    for k in range(x.shape[0]):
        for last in range(x.shape[1] - 1, keep - 1, -1):
            for i in range(last):
                _drop(x[k, i], x[k, last], constants[last, i, 0], constants[last, i, 1], primes[i])


@compiled(_TABLE, _VECTOR, _TABLE, _WORDS, types.uint64[::1])
def decode(x: Residues, primes: Residues, inverses: Residues, fractions: Words, out: Words) -> None:
    """Set out to the nearest whole number to 2^64 x / q, modulo 2^64; x (primes, n) holds residues modulo q.

    By the Chinese remainder theorem x / q is the sum of v_i / p_i, up to whole numbers, where v_i = x_i / (q / p_i)
    mod p_i. `inverses`: these factors and their quotients. `fractions`: floor(2^128 / p_i) in 64, 32 and 32 bits.
    What is cut off is below 2^-29 in all.
    """
    for j in range(out.size):
        whole = fraction = _u64(0)
        for i in range(primes.size):
            v = _u64(times(x[i, j], inverses[i, 0], inverses[i, 1], primes[i]))
            part = v * fractions[i, 1] + ((v * fractions[i, 2]) >> _32)
            whole += v * fractions[i, 0] + (part >> _32)
            fraction += part & LOW
        out[j] = whole + ((fraction + _u64(1 << 31)) >> _32)
