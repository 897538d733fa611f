"""Compiled inner loops of the ring. Importing this module loads numba and compiles, or reads the compilation from disk.

Only `protocols.ring` calls these, and only for large arrays: it checks shapes, and passes aligned uint64 arrays.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from protocols.jit import compiled, inner

__all__ = ["beaver_combine", "matmul"]

_Words = NDArray[np.uint64]

_VECTOR = types.Array(types.uint64, 1, "C", readonly=True)
_MATRIX = types.Array(types.uint64, 2, "A", readonly=True)

# Measured. A tile of 4 x 4 keeps every accumulator in a register; the eight packed rows that it reads stay in the first
# level of cache, the two panels of packed rows in the second. Vectors of eight words are the widest there are.
_TILE = 4
_LANES = 8
_DEPTH = 512
_PANEL_X = 64
_PANEL_Y = 128


@compiled(*[_VECTOR] * 5, types.boolean, types.uint64[::1])
def beaver_combine(c: _Words, d: _Words, b: _Words, a: _Words, e: _Words, add_de: bool, out: _Words) -> None:
    """Set out = c + d b + a e, and + d e if `add_de`; 1-D, equal lengths. `out` may be one of the operands."""
    if add_de:
        for i in range(out.size):
            out[i] = c[i] + d[i] * (b[i] + e[i]) + a[i] * e[i]
    else:
        for i in range(out.size):
            out[i] = c[i] + d[i] * b[i] + a[i] * e[i]


@inner
def _rounded_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


@inner
def _pack(source: _Words, packed: _Words) -> None:
    """Copy to the corner of `packed`; zeros beyond it, as far as whole tiles and vectors reach."""
    rows, columns = source.shape
    depth = _rounded_up(columns, _LANES)
    whole = rows - rows % _TILE
    for i in range(0, whole, _TILE):  # four rows at once: fast for sources contiguous along either axis
        for k in range(columns):
            packed[i, k] = source[i, k]
            packed[i + 1, k] = source[i + 1, k]
            packed[i + 2, k] = source[i + 2, k]
            packed[i + 3, k] = source[i + 3, k]
    for i in range(whole, rows):
        for k in range(columns):
            packed[i, k] = source[i, k]
    for i in range(rows):
        for k in range(columns, depth):
            packed[i, k] = 0
    for i in range(rows, _rounded_up(rows, _TILE)):
        for k in range(depth):
            packed[i, k] = 0


@inner
def _multiply_tile(x: _Words, y: _Words, depth: int, tile: _Words) -> None:
    """Set tile = x y^T for four rows of each. The one loop that has to be fast: it runs along contiguous memory."""
    x0, x1, x2, x3 = x[0, :depth], x[1, :depth], x[2, :depth], x[3, :depth]
    y0, y1, y2, y3 = y[0, :depth], y[1, :depth], y[2, :depth], y[3, :depth]
    t00 = t01 = t02 = t03 = t10 = t11 = t12 = t13 = np.uint64(0)
    t20 = t21 = t22 = t23 = t30 = t31 = t32 = t33 = np.uint64(0)
    for k in range(depth):
        r, s, t, u = y0[k], y1[k], y2[k], y3[k]
        v = x0[k]
        t00, t01, t02, t03 = t00 + v * r, t01 + v * s, t02 + v * t, t03 + v * u
        v = x1[k]
        t10, t11, t12, t13 = t10 + v * r, t11 + v * s, t12 + v * t, t13 + v * u
        v = x2[k]
        t20, t21, t22, t23 = t20 + v * r, t21 + v * s, t22 + v * t, t23 + v * u
        v = x3[k]
        t30, t31, t32, t33 = t30 + v * r, t31 + v * s, t32 + v * t, t33 + v * u
    tile[0, 0], tile[0, 1], tile[0, 2], tile[0, 3] = t00, t01, t02, t03
    tile[1, 0], tile[1, 1], tile[1, 2], tile[1, 3] = t10, t11, t12, t13
    tile[2, 0], tile[2, 1], tile[2, 2], tile[2, 3] = t20, t21, t22, t23
    tile[3, 0], tile[3, 1], tile[3, 2], tile[3, 3] = t30, t31, t32, t33


@inner
def _multiply_panels(x: _Words, y: _Words, depth: int, tile: _Words, out: _Words) -> None:
    """Add x y^T to `out`, for packed x and y."""
    rows, columns = out.shape
    for j in range(0, columns, _TILE):
        for i in range(0, rows, _TILE):
            _multiply_tile(x[i : i + _TILE], y[j : j + _TILE], depth, tile)
            for p in range(min(_TILE, rows - i)):
                for q in range(min(_TILE, columns - j)):
                    out[i + p, j + q] += tile[p, q]


@compiled(_MATRIX, _MATRIX, types.uint64[:, ::1])
def matmul(x: _Words, y: _Words, out: _Words) -> None:
    """Add x y^T to `out`, for x and y of any strides, packed panel by panel."""
    (rows, length), columns = x.shape, y.shape[0]
    width = _rounded_up(min(length, _DEPTH), _LANES) + _LANES
    packed_x = np.empty((_rounded_up(min(rows, _PANEL_X), _TILE), width), np.uint64)
    packed_y = np.empty((_rounded_up(min(columns, _PANEL_Y), _TILE), width), np.uint64)
    tile = np.empty((_TILE, _TILE), np.uint64)
    for j in range(0, columns, _PANEL_Y):
        for k in range(0, length, _DEPTH):
            depth = _rounded_up(min(_DEPTH, length - k), _LANES)
            _pack(y[j : j + _PANEL_Y, k : k + _DEPTH], packed_y)
            for i in range(0, rows, _PANEL_X):
                _pack(x[i : i + _PANEL_X, k : k + _DEPTH], packed_x)
                _multiply_panels(packed_x, packed_y, depth, tile, out[i : i + _PANEL_X, j : j + _PANEL_Y])
