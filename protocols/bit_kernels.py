"""Compiled inner loops over packed bits. Importing this module loads numba and compiles, or reads the compilation.

Modules with packed bits call these, for long arrays: they see to shapes, and pass aligned contiguous words.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from protocols.jit import compiled, inner

__all__ = ["evaluate", "negate_where", "pack", "transpose", "transpose_back", "unpack", "without_wrap"]

_Words = NDArray[np.uint64]

_VECTOR = types.Array(types.uint64, 1, "C", readonly=True)
_MATRIX = types.Array(types.uint64, 2, "C", readonly=True)
_INDEX = types.Array(types.int64, 1, "C", readonly=True)
_OUT, _OUT_MATRIX = types.uint64[::1], types.uint64[:, ::1]

# Measured: rows of a tile stay in the first level of cache, and are long enough to hide what a loop costs to start.
_TILE = 256
_WIDTH = np.uint64(_TILE)
_WORD = np.uint64(64)
_BLOCKS = 64


@inner
def _pack_word(x: _Words, bit: np.uint64) -> np.uint64:
    word = np.uint64(0)
    for k in range(x.size):
        word |= ((x[k] >> bit) & np.uint64(1)) << np.uint64(k)
    return word


@compiled(_VECTOR, types.uint64, _OUT)
def pack(x: _Words, bit: np.uint64, out: _Words) -> None:
    """Set out to one bit of every word, 64 to a word."""
    whole = x.size // 64
    for i in range(whole):
        out[i] = _pack_word(x[64 * i : 64 * i + 64], bit)
    if whole < out.size:
        out[whole] = _pack_word(x[64 * whole :], bit)


@inner
def _unpack_word(word: np.uint64, out: _Words) -> None:
    for k in range(out.size):
        out[k] = (word >> np.uint64(k)) & np.uint64(1)


@compiled(_VECTOR, _OUT)
def unpack(packed: _Words, out: _Words) -> None:
    """Set out to words 0 and 1, one for each of the first bits."""
    for i in range(packed.size):
        _unpack_word(packed[i], out[64 * i : min(64 * i + 64, out.size)])


@inner
def _negate(word: np.uint64, start: np.uint64, stop: np.uint64, x: _Words, plus: _Words, out: _Words) -> None:
    for k in range(stop - start):
        mask = -((word >> k) & np.uint64(1))
        out[start + k] = (x[start + k] ^ mask) - mask + (plus[start + k] & mask)


@compiled(_VECTOR, _VECTOR, _VECTOR, _OUT)
def negate_where(packed: _Words, x: _Words, plus: _Words, out: _Words) -> None:
    """Set out to x where the bit is 0, plus - x where it is 1."""
    whole, length = np.uint64(out.size // 64), np.uint64(out.size)
    for i in range(whole):
        _negate(packed[i], i * _WORD, (i + np.uint64(1)) * _WORD, x, plus, out)
    if whole * _WORD < length:
        _negate(packed[whole], whole * _WORD, length, x, plus, out)


@inner
def _without_wrap(
    start: np.uint64,
    stop: np.uint64,
    y: _Words,
    f: np.uint64,
    product: _Words,
    flip: np.uint64,
    plus: np.uint64,
    offset: np.uint64,
    out: _Words,
) -> None:
    for k in range(stop - start):
        mask = -((flip >> k) & np.uint64(1))
        wrap = (product[start + k] ^ mask) - mask + ((plus >> k) & np.uint64(1))
        out[start + k] = (y[start + k] >> f) - (wrap << (_WORD - f)) + offset


@compiled(_VECTOR, types.uint64, _VECTOR, _VECTOR, _VECTOR, types.uint64, _OUT)
def without_wrap(
    y: _Words, f: np.uint64, product: _Words, flip: _Words, plus: _Words, offset: np.uint64, out: _Words
) -> None:
    """Set out to (y >> f) - 2^(64 - f) w + offset for w = plus + product, or less it where `flip`; bits are packed."""
    whole, length = np.uint64(out.size // 64), np.uint64(out.size)
    for i in range(whole):
        stop = (i + np.uint64(1)) * _WORD
        _without_wrap(i * _WORD, stop, y, f, product, flip[i], plus[i], offset, out)
    if whole * _WORD < length:
        _without_wrap(whole * _WORD, length, y, f, product, flip[whole], plus[whole], offset, out)


@inner
def _swap(low: _Words, high: _Words, shift: np.uint64, mask: np.uint64) -> None:
    for k in range(low.size):
        moved = ((low[k] >> shift) ^ high[k]) & mask
        low[k] ^= moved << shift
        high[k] ^= moved


@inner
def _transpose_tile(tile: _Words) -> None:
    """Transpose the 64 x 64 bits of each column of 64 words: halves swapped, then quarters (Hacker's Delight, 7-3)."""
    shift, mask = 32, np.uint64(0x00000000FFFFFFFF)
    while shift:
        for start in range(0, 64, 2 * shift):
            middle, stop = (start + shift) * _BLOCKS, (start + 2 * shift) * _BLOCKS
            _swap(tile[start * _BLOCKS : middle], tile[middle:stop], np.uint64(shift), mask)
        shift //= 2
        mask ^= mask << np.uint64(shift)


@compiled(_VECTOR, _INDEX, _OUT_MATRIX)
def transpose(x: _Words, rows: NDArray[np.int64], out: _Words) -> None:
    """Set row rows[b] of out to bit b of every word, packed."""
    tile = np.zeros(64 * _BLOCKS, np.uint64)
    for start in range(0, out.shape[1], _BLOCKS):
        count = min(_BLOCKS, out.shape[1] - start)
        for i in range(count):
            words = x[64 * (start + i) : 64 * (start + i) + 64]
            for k in range(words.size):
                tile[k * _BLOCKS + i] = words[k]
            for k in range(words.size, 64):
                tile[k * _BLOCKS + i] = 0
        _transpose_tile(tile)
        for b in range(rows.size):
            out[rows[b], start : start + count] = tile[b * _BLOCKS : b * _BLOCKS + count]


@compiled(_MATRIX, _INDEX, _OUT)
def transpose_back(planes: _Words, rows: NDArray[np.int64], out: _Words) -> None:
    """Set bit b of every word to that of row rows[b] of the planes; higher bits to 0."""
    tile = np.zeros(64 * _BLOCKS, np.uint64)
    for start in range(0, planes.shape[1], _BLOCKS):
        count = min(_BLOCKS, planes.shape[1] - start)
        for b in range(rows.size):
            tile[b * _BLOCKS : b * _BLOCKS + count] = planes[rows[b], start : start + count]
        for b in range(rows.size, 64):
            tile[b * _BLOCKS : b * _BLOCKS + count] = 0
        _transpose_tile(tile)
        for i in range(count):
            words = out[64 * (start + i) : 64 * (start + i) + 64]
            for k in range(words.size):
                words[k] = tile[k * _BLOCKS + i]


@inner
def _fold(rows: _Words, to: np.uint64, a: np.uint64, b: np.uint64, c: np.uint64, count: np.uint64) -> None:
    for k in range(count):
        rows[to + k] = rows[a + k] ^ (rows[b + k] & rows[c + k])


@inner
def _copy(source: _Words, out: _Words) -> None:
    for k in range(out.size):
        out[k] = source[k]


@compiled(_MATRIX, _INDEX, types.int64, types.uint64, _MATRIX, _MATRIX, _MATRIX, _MATRIX, _OUT_MATRIX)
def evaluate(
    steps: _Words,
    outputs: NDArray[np.int64],
    held: int,
    one: np.uint64,
    first: _Words,
    second: _Words,
    third: _Words,
    fourth: _Words,
    out: _Words,
) -> None:
    """Run a formula over all words, tile by tile. Rows: zeros, ones, `one`, those of the inputs, then others."""
    rows = np.zeros(held * _TILE, np.uint64)
    rows[_TILE : 2 * _TILE] = ~np.uint64(0)
    rows[2 * _TILE : 3 * _TILE] = one
    for start in range(0, out.shape[1], _TILE):
        count = min(_TILE, out.shape[1] - start)
        to = 3 * _TILE
        for source in (first, second, third, fourth):
            for i in range(source.shape[0]):
                _copy(source[i, start : start + count], rows[to : to + count])
                to += _TILE
        for i in range(steps.shape[0]):
            step = steps[i]
            _fold(rows, step[0] * _WIDTH, step[1] * _WIDTH, step[2] * _WIDTH, step[3] * _WIDTH, np.uint64(count))
        for i in range(outputs.size):
            row = outputs[i] * _TILE
            _copy(rows[row : row + count], out[i, start : start + count])
