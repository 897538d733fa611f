"""Compiled inner loops on residues modulo 31-bit primes. Importing this loads numba and compiles, or reads from disk.

Residues are uint32 in [0, p). A sum or difference is brought back by taking the smaller of two unsigned candidates: the
wrong one has wrapped around. A factor c that is known ahead comes with c' = floor(2^32 c / p), as in V. Shoup's NTL:
then c x - floor(c' x / 2^32) p is in [0, 2p) for any 32-bit x. Other products are Montgomery's (Math. Comp. 44, 1985).
Inner loops run over contiguous slices: so they become the widest vector instructions there are; a benchmark watches.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from protocols.kernels import compiled, inner

__all__ = ["accumulate", "candidates", "decode", "encode", "forward", "inverse", "residues", "switch"]

_Words = NDArray[np.uint64]
_Residues = NDArray[np.uint32]

_VECTOR = types.Array(types.uint32, 1, "C", readonly=True)
_TABLE = types.Array(types.uint32, 2, "C", readonly=True)
_TABLES = types.Array(types.uint32, 3, "C", readonly=True)
_WORDS = types.Array(types.uint64, 2, "C", readonly=True)
_ARRAYS = types.Array(types.uint32, 4, "C", readonly=True)

_u32, _u64 = np.uint32, np.uint64
_LOW, _32 = _u64(0xFFFFFFFF), _u64(32)
_31_BITS = _u32((1 << 31) - 1)
_COIN_BITS, _COINS = _u64(21), _u64((1 << 21) - 1)
_DITHER_BITS, _DITHER = _u64(22), _u64((1 << 22) - 1)

# Measured. The panels of one chunk stay in the second level of cache, four rows of each in the first; the sum of four
# products of 31-bit numbers is the longest that fits 64 bits.
_CHUNK = 512
_GROUP = 4


@inner
def _sum(x: int, y: int, p: int) -> int:
    s = _u32(x + y)
    return min(s, _u32(s - p))


@inner
def _difference(x: int, y: int, p: int) -> int:
    d = _u32(x - y)
    return min(d, _u32(d + p))


@inner
def _times(x: int, factor: int, quotient: int, p: int) -> int:
    """factor x mod p, for any 32-bit x."""
    r = _u32(_u32(factor * x) - _u32(_u32((_u64(quotient) * _u64(x)) >> _32) * p))
    return min(r, _u32(r - p))


@inner
def _reduced(high: int, low: int, p: int, inverse: int) -> int:
    """(2^32 high + low) 2^-64 mod p, for high < 2^62 and any low. `inverse` is p^-1 mod 2^32."""
    prime, factor = _u64(p), _u64(inverse)
    t = high + (low >> _32) + prime - (((((low & _LOW) * factor) & _LOW) * prime) >> _32)
    r = (t >> _32) + prime - (((((t & _LOW) * factor) & _LOW) * prime) >> _32)
    return _u32(min(r, r - prime))


@inner
def _ones(x: int) -> int:
    """How many of 64 bits are set, in the form that compilers know."""
    x = x - ((x >> _u64(1)) & _u64(0x5555555555555555))
    x = (x & _u64(0x3333333333333333)) + ((x >> _u64(2)) & _u64(0x3333333333333333))
    x = (x + (x >> _u64(4))) & _u64(0x0F0F0F0F0F0F0F0F)
    return (x * _u64(0x0101010101010101)) >> _u64(56)


@inner
def _butterflies(x: _Residues, y: _Residues, roots: _Residues, quotients: _Residues, p: int, out: _Residues) -> None:
    """Set out[2j] = x[j] + w y[j] and out[2j + 1] = x[j] - w y[j]: with `_multiply`, what has to be fast."""
    for j in range(roots.size):
        u, v = x[j], _times(y[j], roots[j], quotients[j], p)
        out[2 * j] = _sum(u, v, p)
        out[2 * j + 1] = _difference(u, v, p)


@inner
def _back(x: _Residues, roots: _Residues, quotients: _Residues, p: int, low: _Residues, high: _Residues) -> None:
    """Set low[j] = x[2j] + x[2j + 1] and high[j] = (x[2j] - x[2j + 1]) w."""
    for j in range(roots.size):
        u, v = x[2 * j], x[2 * j + 1]
        low[j] = _sum(u, v, p)
        high[j] = _times(_difference(u, v, p), roots[j], quotients[j], p)


@inner
def _sum_pairs(x: _Residues, p: int, out: _Residues) -> None:
    for j in range(out.size):
        out[j] = _sum(x[2 * j], x[2 * j + 1], p)


@compiled(types.uint32[:, :, ::1], _TABLES, _VECTOR, _VECTOR)
def forward(x: _Residues, tables: _Residues, periods: _Residues, primes: _Residues) -> None:
    """Transform every polynomial of x (polynomials, primes, n) in place.

    A level pairs the halves of the array and puts results side by side (M. C. Pease, J. ACM 15, 1968), so that all
    levels run alike along memory; `tables` (primes, 4, ...) holds their roots and quotients, `periods` long, in order.
    """
    polynomials, count, n = x.shape
    half = n // 2
    scratch = np.empty((2, n), np.uint32)
    for i in range(count):
        p = primes[i]
        for k in range(polynomials):
            source, start = x[k, i], 0
            for level in range(periods.size):
                out = x[k, i] if level + 1 == periods.size else scratch[level % 2]
                period = np.int64(periods[level])
                roots, quotients = tables[i, 0, start : start + period], tables[i, 1, start : start + period]
                for j in range(0, half, period):
                    to = out[2 * j : 2 * (j + period)]
                    _butterflies(source[j : j + period], source[half + j : half + j + period], roots, quotients, p, to)
                source, start = out, start + period


@compiled(types.Array(types.uint32, 3, "C", readonly=True), _TABLES, _VECTOR, _VECTOR, types.uint32[:, :, ::1])
def inverse(x: _Residues, tables: _Residues, periods: _Residues, primes: _Residues, out: _Residues) -> None:
    """Undo `forward`, times n. A shorter last axis of `out` takes only each n / length-th coefficient, the first included.

    Values at points with the same power X^s stand together: their sum is what the coefficients of X^0, X^s, ... give.
    """
    polynomials, count, n = x.shape
    length = out.shape[2]
    scratch = np.empty((2, n), np.uint32)
    for i in range(count):
        p = primes[i]
        for k in range(polynomials):
            source, turn, size = x[k, i], 0, n
            while size > length:
                size //= 2
                _sum_pairs(source, p, scratch[turn, :size])
                source, turn = scratch[turn, :size], 1 - turn
            half, start = length // 2, 0
            for level in range(periods.size):
                start += np.int64(periods[level])
            for level in range(periods.size - 1, -1, -1):
                start -= np.int64(periods[level])
                if 1 << level >= length:
                    continue
                target = scratch[turn, :length]
                period = min(np.int64(periods[level]), half)
                roots, quotients = tables[i, 2, start : start + period], tables[i, 3, start : start + period]
                for j in range(0, half, period):
                    low, high = target[j : j + period], target[half + j : half + j + period]
                    _back(source[2 * j : 2 * (j + period)], roots, quotients, p, low, high)
                source, turn = target, 1 - turn
            out[k, i, :] = source


@inner
def _small(x: _Words, random: _Words, q: int, out: _Residues) -> None:
    for j in range(x.size):
        r = random[j]
        carry = ((x[j] * q >> (_u64(64) - _DITHER_BITS)) + (r & _DITHER)) >> _DITHER_BITS
        out[j] = _u32(carry + _ones((r >> _DITHER_BITS) & _COINS) - _ones(r >> (_DITHER_BITS + _COIN_BITS)))


@inner
def _encode(x: _Words, small: _Residues, q: int, p: int, inverse: int, out: _Residues) -> None:
    for j in range(x.size):
        w = x[j] * q
        t = _u32(p - _reduced(w >> _32, w & _LOW, p, inverse) + small[j])
        t = min(t, _u32(t + p))
        out[j] = min(t, _u32(t - p))


@compiled(_WORDS, _WORDS, types.uint64, _VECTOR, _VECTOR, types.uint32[:, :, ::1])
def encode(x: _Words, random: _Words, q: int, primes: _Residues, inverses: _Residues, out: _Residues) -> None:
    """Set out (polynomials, primes, n) to floor(q x / 2^64) + carry + error, for `q` the modulus mod 2^64.

    From each random word: 22 bits whose sum with the next 22 bits of q x carries, which rounds at random; and the
    difference of two times 21 coins, the error. As q is 0 modulo each prime, floor(q x / 2^64) = -(q x mod 2^64) / 2^64.
    """
    small = np.empty(x.shape[1], np.uint32)
    for k in range(x.shape[0]):
        _small(x[k], random[k], q, small)
        for i in range(primes.size):
            _encode(x[k], small, q, primes[i], inverses[i], out[k, i])


@inner
def _add_limb(x: _Words, constants: _Residues, p: int, out: _Residues) -> None:
    low, low_quotient, high, high_quotient, negative = constants
    for j in range(x.size):
        s = _sum(out[j], _times(_u32(x[j]), low, low_quotient, p), p)
        s = _sum(s, _times(_u32(x[j] >> _32), high, high_quotient, p), p)
        out[j] = _difference(s, _u32(x[j] >> _u64(63)) * negative, p)


@compiled(types.Array(types.uint64, 3, "C", readonly=True), _TABLES, _VECTOR, types.uint32[:, :, ::1])
def residues(x: _Words, constants: _Residues, primes: _Residues, out: _Residues) -> None:
    """Set out (polynomials, primes, n) to the residues of integers, times a constant.

    x (limbs, polynomials, n): two's complement, lowest limb first. `constants` (primes, limbs, 5), for each limb: the
    constant times its place, and that times 2^32, each with its quotient; and what the sign takes off in the last.
    """
    for k in range(x.shape[1]):
        for i in range(primes.size):
            out[k, i, :] = 0
            for limb in range(x.shape[0]):
                _add_limb(x[limb, k], constants[i, limb], primes[i], out[k, i])


@inner
def _count_beyond(x: _Residues, p: int) -> int:
    """Keep 31 bits of each; how many are no residues."""
    count = 0
    for j in range(x.size):
        x[j] &= _31_BITS
        count += x[j] >= p
    return count


@compiled(types.uint32[:, :, ::1], _VECTOR, types.int64[::1])
def candidates(x: _Residues, primes: _Residues, rejected: NDArray[np.int64]) -> None:
    """Make 32-bit words (polynomials, primes, n) 31-bit ones; list where they are no residues, behind their number."""
    polynomials, count, n = x.shape
    chunk = min(_CHUNK, n)
    found = 0
    for k in range(polynomials):
        for i in range(count):
            for start in range(0, n, chunk):
                here = x[k, i, start : start + chunk]
                if _count_beyond(here, primes[i]):
                    for j in range(chunk):
                        if here[j] >= primes[i]:
                            found += 1
                            rejected[found] = (k * count + i) * n + start + j
    rejected[0] = found


@inner
def _copy(x: _Residues, out: _Residues) -> None:
    for j in range(out.size):
        out[j] = x[j]


@inner
def _multiply(x: _Residues, y: _Residues, low: _Words, high: _Words) -> None:
    """Start two accumulators of 32 bits each with a product."""
    for j in range(low.size):
        s = _u64(x[j]) * _u64(y[j])
        low[j] = s & _LOW
        high[j] = s >> _32


@inner
def _multiply_group(x: _Residues, y: _Residues, low: _Words, high: _Words) -> None:
    """Add the sum of four products to the accumulators."""
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    y0, y1, y2, y3 = y[0], y[1], y[2], y[3]
    for j in range(low.size):
        s = _u64(x0[j]) * _u64(y0[j]) + _u64(x1[j]) * _u64(y1[j]) + _u64(x2[j]) * _u64(y2[j]) + _u64(x3[j]) * _u64(y3[j])
        low[j] += s & _LOW
        high[j] += s >> _32


@inner
def _add_reduced(low: _Words, high: _Words, p: int, inverse: int, out: _Residues) -> None:
    for j in range(out.size):
        out[j] = _sum(out[j], _reduced(high[j], low[j], p, inverse), p)


@compiled(_ARRAYS, _ARRAYS, _VECTOR, _VECTOR, types.uint32[:, :, :, ::1])
def accumulate(x: _Residues, y: _Residues, primes: _Residues, inverses: _Residues, out: _Residues) -> None:
    """Add the sums over k of x[r, k] y[j, k], times 2^-64, to out[r, j]; the further axes are primes and n.

    Chunks of n are packed next to each other first, as in matrix products (K. Goto, R. van de Geijn, ACM TOMS 34, 2008):
    rows that are multiples of a page apart would push each other out of the cache.
    """
    (rows, depth, count, length), columns = x.shape, y.shape[0]
    chunk = min(_CHUNK, length)
    padded = 1 - (1 - depth) // _GROUP * _GROUP
    panel_x = np.zeros((rows, padded, chunk), np.uint32)
    panel_y = np.zeros((columns, padded, chunk), np.uint32)
    low, high = np.empty(chunk, np.uint64), np.empty(chunk, np.uint64)
    for i in range(count):
        p, inverse = primes[i], inverses[i]
        for start in range(0, length, chunk):
            here = slice(start, start + chunk)
            for k in range(depth):
                for r in range(rows):
                    _copy(x[r, k, i, here], panel_x[r, k])
                for j in range(columns):
                    _copy(y[j, k, i, here], panel_y[j, k])
            for j in range(columns):
                for r in range(rows):
                    _multiply(panel_x[r, 0], panel_y[j, 0], low, high)
                    for k in range(1, padded, _GROUP):
                        _multiply_group(panel_x[r, k : k + _GROUP], panel_y[j, k : k + _GROUP], low, high)
                    _add_reduced(low, high, p, inverse, out[r, j, i, here])


@inner
def _drop(x: _Residues, last: _Residues, factor: int, quotient: int, p: int) -> None:
    for j in range(x.size):
        x[j] = _times(_difference(x[j], last[j], p), factor, quotient, p)


@compiled(types.uint32[:, :, ::1], _TABLES, _VECTOR, types.int64)
def switch(x: _Residues, constants: _Residues, primes: _Residues, keep: int) -> None:
    """Divide x (polynomials, primes, n) by all but the first `keep` primes, rounding down by each; in place.

    constants[l, i] is 1 / p_l modulo p_i and its quotient. Primes descend, so what is modulo p_l is in range for p_i.
    """
    for k in range(x.shape[0]):
        for l in range(x.shape[1] - 1, keep - 1, -1):
            for i in range(l):
                _drop(x[k, i], x[k, l], constants[l, i, 0], constants[l, i, 1], primes[i])


@compiled(_TABLE, _VECTOR, _TABLE, _WORDS, types.uint64[::1])
def decode(x: _Residues, primes: _Residues, inverses: _Residues, fractions: _Words, out: _Words) -> None:
    """Set out to the nearest whole number to 2^64 x / q, modulo 2^64; x (primes, n) holds residues modulo q.

    By the Chinese remainder theorem x / q is the sum of v_i / p_i, up to whole numbers, for v_i = x_i / (q / p_i) mod p_i.
    `inverses`: these factors and quotients. `fractions`: floor(2^128 / p_i) as 64 bits and twice 32.
    """
    for j in range(out.size):
        whole = fraction = _u64(0)
        for i in range(primes.size):
            v = _u64(_times(x[i, j], inverses[i, 0], inverses[i, 1], primes[i]))
            part = v * fractions[i, 1] + ((v * fractions[i, 2]) >> _32)
            whole += v * fractions[i, 0] + (part >> _32)
            fraction += part & _LOW
        out[j] = whole + ((fraction + _u64(1 << 31)) >> _32)
