"""Compiled transforms of polynomials and products of transforms. Importing this compiles, or reads from disk.

Inner loops run over contiguous slices: so they become the widest vector instructions there are; a benchmark watches.
"""

from __future__ import annotations

import numpy as np
from numba import types

from protocols.jit import compiled, inner
from protocols.lattice.modular import LOW, Residues, Words, add, reduced, subtract, times

__all__ = ["accumulate", "add_products", "forward", "inverse", "transform"]

_VECTOR = types.Array(types.uint32, 1, "C", readonly=True)
_TABLES = types.Array(types.uint32, 3, "C", readonly=True)
_PERIODS = types.Array(types.uint64, 1, "C", readonly=True)
_TRANSFORMS = types.Array(types.uint32, 4, "C", readonly=True)

_u64 = np.uint64
_0, _1, _32 = _u64(0), _u64(1), _u64(32)

# Measured. The panels of one chunk stay in the second level of cache, four rows of each in the first; the sum of four
# products of 31-bit numbers is the longest that fits 64 bits.
_CHUNK = 512
_GROUP = 4
_ROWS = 8


@inner
def _butterflies(
    x: Residues, roots: Residues, quotients: Residues, start: np.uint64, period: np.uint64, p: np.uint32, out: Residues
) -> None:
    """Set out[2j] = x[j] + w y[j] and out[2j + 1] = x[j] - w y[j], for y the upper half of x: what has to be fast.

    The w's repeat after `period`. Slices for it would cost more than the work does: a call's are 7 words each.
    """
    half = _u64(x.size) >> _1
    first = _u64(0)
    while first < half:
        for w in range(period):
            j = first + w
            u, v = x[j], times(x[half + j], roots[start + w], quotients[start + w], p)
            out[j + j] = add(u, v, p)
            out[j + j + _1] = subtract(u, v, p)
        first += period


@inner
def _back(
    x: Residues, roots: Residues, quotients: Residues, start: np.uint64, period: np.uint64, p: np.uint32, out: Residues
) -> None:
    """Undo `_butterflies`, times 2: set out[j] = x[2j] + x[2j + 1], and (x[2j] - x[2j + 1]) w in the upper half."""
    half = _u64(out.size) >> _1
    first = _u64(0)
    while first < half:
        for w in range(period):
            j = first + w
            u, v = x[j + j], x[j + j + _1]
            out[j] = add(u, v, p)
            out[half + j] = times(subtract(u, v, p), roots[start + w], quotients[start + w], p)
        first += period


@inner
def transform(x: Residues, tables: Residues, periods: Words, p: np.uint32, scratch: Residues) -> None:
    """Transform one polynomial modulo one prime in place; `tables` (4, ...) of this prime, `scratch` (2, n)."""
    roots, quotients, even, odd = tables[0], tables[1], scratch[0], scratch[1]
    source, start = x, _u64(0)
    for level in range(periods.size):
        out = x if level + 1 == periods.size else odd if level % 2 else even
        _butterflies(source, roots, quotients, start, periods[level], p, out)
        source, start = out, start + periods[level]


@compiled(types.uint32[:, :, ::1], _TABLES, _PERIODS, _VECTOR)
def forward(x: Residues, tables: Residues, periods: Words, primes: Residues) -> None:
    """Transform every polynomial of x (polynomials, primes, n) in place.

    A level pairs the halves of the array and puts results side by side (M. C. Pease, J. ACM 15, 1968), so that all
    levels run alike along memory; `tables` (primes, 4, ...) holds their roots and quotients, `periods` long, in order.
    """
    scratch = np.empty((2, x.shape[2]), np.uint32)
    for i in range(x.shape[1]):
        for k in range(x.shape[0]):
            transform(x[k, i], tables[i], periods, primes[i], scratch)


@compiled(types.uint32[:, :, ::1], _TABLES, _PERIODS, _VECTOR)
def inverse(x: Residues, tables: Residues, periods: Words, primes: Residues) -> None:
    """Undo `forward`, times n, in place. Of sums of 2^m values each, as `accumulate` makes them, too, times n / 2^m."""
    polynomials, count, n = x.shape
    half, levels = _u64(n // 2), 0
    while 1 << levels < n:
        levels += 1
    scratch = np.empty((2, n), np.uint32)
    even, odd = scratch[0], scratch[1]
    for i in range(count):
        roots, quotients = tables[i, 2], tables[i, 3]
        for k in range(polynomials):
            source, start = x[k, i], _u64(0)
            for level in range(levels):
                start += periods[level]
            for level in range(levels - 1, -1, -1):
                out = x[k, i] if level == 0 else odd if level % 2 else even
                start -= periods[level]
                _back(source, roots, quotients, start, min(periods[level], half), primes[i], out)
                source = out


@inner
def _pack(x: Residues, place: np.uint64, start: np.uint64, panel: Residues) -> None:
    """Copy a chunk of some rows, modulo one prime."""
    rows, depth, _, chunk = panel.shape
    for r in range(rows):
        for k in range(depth):
            for j in range(_u64(chunk)):
                panel[r, k, 0, j] = x[r, k, place, start + j]


@inner
def _sum_products(
    x: Residues,
    r: int,
    place: np.uint64,
    y: Residues,
    c: int,
    at: np.uint64,
    start: np.uint64,
    low: Words,
    high: Words,
) -> None:
    """Sum x[r, k, place] y[c, k, at] over all k, in accumulators of 32 bits each: this, too, has to be fast."""
    size, groups = _u64(low.size), 1 + (x.shape[1] - 1) % _GROUP
    for j in range(size):
        s = _u64(x[r, 0, place, start + j]) * _u64(y[c, 0, at, start + j])
        low[j] = s & LOW
        high[j] = s >> _32
    for k in range(1, groups):
        for j in range(size):
            s = _u64(x[r, k, place, start + j]) * _u64(y[c, k, at, start + j])
            low[j] += s & LOW
            high[j] += s >> _32
    for k in range(groups, x.shape[1], _GROUP):
        for j in range(size):
            i = start + j
            s = _u64(x[r, k, place, i]) * _u64(y[c, k, at, i])
            s += _u64(x[r, k + 1, place, i]) * _u64(y[c, k + 1, at, i])
            s += _u64(x[r, k + 2, place, i]) * _u64(y[c, k + 2, at, i])
            s += _u64(x[r, k + 3, place, i]) * _u64(y[c, k + 3, at, i])
            low[j] += s & LOW
            high[j] += s >> _32


@inner
def _fold(x: Words, size: np.uint64) -> None:
    """Set x[b] to the sum of block b of so many, for all blocks."""
    for b in range(_u64(x.size) // size):
        total = _u64(0)
        for j in range(size):
            total += x[b * size + j]
        x[b] = total


@inner
def _add_folded(low: Words, high: Words, size: int, p: np.uint32, inverse: np.uint32, out: Residues) -> None:
    """Add the sums of so many accumulators next to each other."""
    if size > 1:
        _fold(low, _u64(size))
        _fold(high, _u64(size))
    for j in range(out.size):
        out[j] = add(out[j], reduced(high[j], low[j], p, inverse), p)


@inner
def add_products(
    x: Residues, y: Residues, place: np.uint64, at: np.uint64, p: np.uint32, inverse: np.uint32, out: Residues
) -> None:
    """`accumulate` modulo one prime: that at index `place` of x and `out`, `at` of y."""
    (rows, depth, _, length), columns = x.shape, y.shape[0]
    step = length // out.shape[3]
    chunk = min(_CHUNK, length)
    size = min(step, chunk)
    low, high = np.empty(chunk, np.uint64), np.empty(chunk, np.uint64)
    alone = rows == columns == 1
    panel_x = np.empty((min(_ROWS, rows), depth, 1, 0 if alone else chunk), np.uint32)
    panel_y = np.empty((columns, depth, 1, 0 if alone else chunk), np.uint32)
    for start in range(0, length, chunk):
        to, end = start // step, start // step + chunk // size
        if alone:
            _sum_products(x, 0, place, y, 0, at, _u64(start), low, high)
            _add_folded(low, high, size, p, inverse, out[0, 0, place, to:end])
            continue
        _pack(y, at, _u64(start), panel_y)
        for first in range(0, rows, _ROWS):
            some = min(_ROWS, rows - first)
            _pack(x[first : first + some], place, _u64(start), panel_x[:some])
            for c in range(columns):
                for r in range(some):
                    _sum_products(panel_x, r, _0, panel_y, c, _0, _0, low, high)
                    _add_folded(low, high, size, p, inverse, out[first + r, c, place, to:end])


@compiled(_TRANSFORMS, _TRANSFORMS, _VECTOR, _VECTOR, types.uint32[:, :, :, ::1])
def accumulate(x: Residues, y: Residues, primes: Residues, inverses: Residues, out: Residues) -> None:
    """Add the sums over k of x[r, k] y[j, k], times 2^-64, to out[r, j]; the further axes are primes and n.

    Where the last axis of `out` is shorter by 2^m, so many values next to each other are added: they belong to points
    with the same power X^(2^m), and so their sums are 2^m times the transform of the coefficients of its powers.
    Chunks of n are packed next to each other first, as in matrix products (K. Goto, R. van de Geijn, ACM TOMS 34,
    2008): rows that are multiples of a page apart would push each other out of the cache.
    """
    for i in range(primes.size):
        add_products(x, y, _u64(i), _u64(i), primes[i], inverses[i], out)
