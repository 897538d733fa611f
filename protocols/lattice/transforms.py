"""Compiled transforms of polynomials and products of transforms. Importing this compiles, or reads from disk.

Inner loops run over contiguous slices: so they become the widest vector instructions there are; a benchmark watches.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from protocols.kernels import compiled, inner
from protocols.lattice.modular import LOW, Residues, Words, add, reduced, subtract, times

__all__ = ["accumulate", "forward", "inverse"]

_VECTOR = types.Array(types.uint32, 1, "C", readonly=True)
_TABLES = types.Array(types.uint32, 3, "C", readonly=True)
_PERIODS = types.Array(types.int64, 1, "C", readonly=True)
_TRANSFORMS = types.Array(types.uint32, 4, "C", readonly=True)

_u64 = np.uint64
_32 = _u64(32)

# Measured. The panels of one chunk stay in the second level of cache, four rows of each in the first; the sum of four
# products of 31-bit numbers is the longest that fits 64 bits.
_CHUNK = 512
_GROUP = 4
_ROWS = 8


@inner
def _butterflies(x: Residues, y: Residues, roots: Residues, quotients: Residues, p: np.uint32, out: Residues) -> None:
    """Set out[2j] = x[j] + w y[j] and out[2j + 1] = x[j] - w y[j]: with `_multiply_group`, what has to be fast."""
    for j in range(roots.size):
        u, v = x[j], times(y[j], roots[j], quotients[j], p)
        out[2 * j] = add(u, v, p)
        out[2 * j + 1] = subtract(u, v, p)


@inner
def _back(x: Residues, roots: Residues, quotients: Residues, p: np.uint32, low: Residues, high: Residues) -> None:
    """Set low[j] = x[2j] + x[2j + 1] and high[j] = (x[2j] - x[2j + 1]) w."""
    for j in range(roots.size):
        u, v = x[2 * j], x[2 * j + 1]
        low[j] = add(u, v, p)
        high[j] = times(subtract(u, v, p), roots[j], quotients[j], p)


@compiled(types.uint32[:, :, ::1], _TABLES, _PERIODS, _VECTOR)
def forward(x: Residues, tables: Residues, periods: NDArray[np.int64], primes: Residues) -> None:
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
                period = periods[level]
                roots, quotients = tables[i, 0, start : start + period], tables[i, 1, start : start + period]
                for j in range(0, half, period):
                    to = out[2 * j : 2 * (j + period)]
                    _butterflies(source[j : j + period], source[half + j : half + j + period], roots, quotients, p, to)
                source, start = out, start + period


@compiled(types.uint32[:, :, ::1], _TABLES, _PERIODS, _VECTOR)
def inverse(x: Residues, tables: Residues, periods: NDArray[np.int64], primes: Residues) -> None:
    """Undo `forward`, times n, in place. Of sums of 2^m values each, as `accumulate` makes them, too, times n / 2^m."""
    polynomials, count, n = x.shape
    half, levels = n // 2, 0
    while 1 << levels < n:
        levels += 1
    scratch = np.empty((2, n), np.uint32)
    for i in range(count):
        p = primes[i]
        for k in range(polynomials):
            source, start = x[k, i], 0
            for level in range(levels):
                start += periods[level]
            for level in range(levels - 1, -1, -1):
                out = x[k, i] if level == 0 else scratch[level % 2]
                start -= periods[level]
                period = min(periods[level], half)
                roots, quotients = tables[i, 2, start : start + period], tables[i, 3, start : start + period]
                for j in range(0, half, period):
                    low, high = out[j : j + period], out[half + j : half + j + period]
                    _back(source[2 * j : 2 * (j + period)], roots, quotients, p, low, high)
                source = out


@inner
def _copy(x: Residues, out: Residues) -> None:
    for j in range(out.size):
        out[j] = x[j]


@inner
def _multiply(x: Residues, y: Residues, low: Words, high: Words) -> None:
    """Start two accumulators of 32 bits each with a product."""
    for j in range(low.size):
        s = _u64(x[j]) * _u64(y[j])
        low[j] = s & LOW
        high[j] = s >> _32


@inner
def _multiply_group(x: Residues, y: Residues, low: Words, high: Words) -> None:
    """Add the sum of four products to the accumulators."""
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    y0, y1, y2, y3 = y[0], y[1], y[2], y[3]
    for j in range(low.size):
        s = _u64(x0[j]) * _u64(y0[j]) + _u64(x1[j]) * _u64(y1[j])
        s += _u64(x2[j]) * _u64(y2[j]) + _u64(x3[j]) * _u64(y3[j])
        low[j] += s & LOW
        high[j] += s >> _32


@inner
def _fold(x: Words, size: int) -> None:
    """Set x[b] to the sum of block b of so many, for all blocks."""
    for b in range(x.size // size):
        block, total = x[b * size : (b + 1) * size], _u64(0)
        for j in range(size):
            total += block[j]
        x[b] = total


@inner
def _add_reduced(low: Words, high: Words, p: np.uint32, inverse: np.uint32, out: Residues) -> None:
    for j in range(out.size):
        out[j] = add(out[j], reduced(high[j], low[j], p, inverse), p)


@inner
def _add_product(x: Residues, y: Residues, p: np.uint32, inverse: np.uint32, out: Residues) -> None:
    for j in range(out.size):
        s = _u64(x[j]) * _u64(y[j])
        out[j] = add(out[j], reduced(s >> _32, s & LOW, p, inverse), p)


@compiled(_TRANSFORMS, _TRANSFORMS, _VECTOR, _VECTOR, types.uint32[:, :, :, ::1])
def accumulate(x: Residues, y: Residues, primes: Residues, inverses: Residues, out: Residues) -> None:
    """Add the sums over k of x[r, k] y[j, k], times 2^-64, to out[r, j]; the further axes are primes and n.

    Where the last axis of `out` is shorter by 2^m, so many values next to each other are added: they belong to points
    with the same power X^(2^m), and so their sums are 2^m times the transform of the coefficients of its powers.
    Chunks of n are packed next to each other first, as in matrix products (K. Goto, R. van de Geijn, ACM TOMS 34,
    2008): rows that are multiples of a page apart would push each other out of the cache.
    """
    (rows, depth, count, length), columns = x.shape, y.shape[0]
    step = length // out.shape[3]
    if depth == 1 and step == 1:
        for r in range(rows):
            for j in range(columns):
                for i in range(count):
                    _add_product(x[r, 0, i], y[j, 0, i], primes[i], inverses[i], out[r, j, i])
        return
    chunk = min(_CHUNK, length)
    size = min(step, chunk)
    padded = 1 - (1 - depth) // _GROUP * _GROUP
    panel_x = np.zeros((_ROWS, padded, chunk), np.uint32)
    panel_y = np.zeros((columns, padded, chunk), np.uint32)
    low, high = np.empty(chunk, np.uint64), np.empty(chunk, np.uint64)
    for i in range(count):
        p, inverse = primes[i], inverses[i]
        for start in range(0, length, chunk):
            here = slice(start, start + chunk)
            for j in range(columns):
                for k in range(depth):
                    _copy(y[j, k, i, here], panel_y[j, k])
            for first in range(0, rows, _ROWS):
                some = min(_ROWS, rows - first)
                for r in range(some):
                    for k in range(depth):
                        _copy(x[first + r, k, i, here], panel_x[r, k])
                for j in range(columns):
                    for r in range(some):
                        _multiply(panel_x[r, 0], panel_y[j, 0], low, high)
                        for k in range(1, padded, _GROUP):
                            _multiply_group(panel_x[r, k : k + _GROUP], panel_y[j, k : k + _GROUP], low, high)
                        if size > 1:
                            _fold(low, size)
                            _fold(high, size)
                        to = out[first + r, j, i, start // step : start // step + chunk // size]
                        _add_reduced(low, high, p, inverse, to)
