"""Compiled inner loops of oblivious transfer. Importing this module loads numba and compiles, or reads the cache.

Only modules of this folder call these; they check shapes and pass aligned uint64 arrays.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from protocols.kernels import compiled, inner

__all__ = [
    "add_chosen",
    "add_tweaks",
    "add_words",
    "correct",
    "fold",
    "gilboa_receive",
    "gilboa_send",
    "pack",
    "transpose",
]

_Words = NDArray[np.uint64]

_VECTOR = types.Array(types.uint64, 1, "C", readonly=True)
_MATRIX = types.Array(types.uint64, 2, "C", readonly=True)
_CUBE = types.Array(types.uint64, 3, "C", readonly=True)

_STRIP = 256
_LANES = 32
"""Words of a row taken at once, measured: the strips of 16 leaves, and a tile of 64 rows, stay in the first cache."""


@compiled(types.uint64[:, ::1], types.uint64[:, ::1], types.uint64[::1])
def fold(leaves: _Words, rows: _Words, total: _Words) -> None:
    """Set rows[b] to the sum of x_b leaves[x] for every bit b of x, and `total` to that of all. Spoils `leaves`.

    Two bits at a time, from the top, so that rows must be even in number: what the bits decide is added to the rows,
    then leaves that differ in no other bit become one.
    """
    for start in range(0, total.size, _STRIP):
        stop = min(start + _STRIP, total.size)
        for b in range(rows.shape[0] - 2, -1, -2):
            row, above = rows[b, start:stop], rows[b + 1, start:stop]
            row[:] = 0
            above[:] = 0
            for x in range(1 << b):
                leaf, leaf_1 = leaves[x, start:stop], leaves[x + (1 << b), start:stop]
                leaf_2, leaf_3 = leaves[x + (2 << b), start:stop], leaves[x + (3 << b), start:stop]
                for w in range(stop - start):
                    odd, high = leaf_1[w] ^ leaf_3[w], leaf_2[w] ^ leaf_3[w]
                    row[w] ^= odd
                    above[w] ^= high
                    leaf[w] ^= leaf_1[w] ^ high
        total[start:stop] = leaves[0, start:stop]


@compiled(types.uint64[:, ::1], types.int64, _MATRIX, _VECTOR)
def correct(rows: _Words, place: int, corrections: _Words, offset: _Words) -> None:
    """Add to each row, from word `place` on, its tree's correction, where the offset has a one at the row's number."""
    each = rows.shape[0] // corrections.shape[0]
    for r in range(rows.shape[0]):
        mask = -(offset[r >> 6] >> np.uint64(r & 63) & np.uint64(1))
        row, correction = rows[r, place : place + corrections.shape[1]], corrections[r // each]
        for w in range(row.size):
            row[w] ^= correction[w] & mask


@inner
def _swap(tile: _Words, distance: int, mask: int, half_mask: int) -> None:
    """Two steps of the transposition, at this distance and at half of it.

    In each, the off-diagonal squares of this size change places within squares twice as large.
    """
    half = distance >> 1
    far, near = np.uint64(distance), np.uint64(half)
    length = half * _LANES
    for start in range(0, tile.size, 4 * length):
        first, second = tile[start : start + length], tile[start + length : start + 2 * length]
        third, fourth = tile[start + 2 * length : start + 3 * length], tile[start + 3 * length : start + 4 * length]
        for i in range(length):
            a, b, c, d = first[i], second[i], third[i], fourth[i]
            ac, bd = ((a >> far) ^ c) & np.uint64(mask), ((b >> far) ^ d) & np.uint64(mask)
            a, b, c, d = a ^ ac << far, b ^ bd << far, c ^ ac, d ^ bd
            ab, cd = ((a >> near) ^ b) & np.uint64(half_mask), ((c >> near) ^ d) & np.uint64(half_mask)
            first[i], second[i], third[i], fourth[i] = a ^ ab << near, b ^ ab, c ^ cd << near, d ^ cd


@inner
def _transpose_tile(rows: _Words, start: int, lanes: int, tile: _Words) -> None:
    """Set word `lane` of strip c to the bits at column c of the 64 rows' word `start` + `lane`."""
    for r in range(64):
        source, strip = rows[r, start : start + lanes], tile[r * _LANES : r * _LANES + lanes]
        for lane in range(lanes):
            strip[lane] = source[lane]
    _swap(tile, 32, 0x00000000FFFFFFFF, 0x0000FFFF0000FFFF)
    _swap(tile, 8, 0x00FF00FF00FF00FF, 0x0F0F0F0F0F0F0F0F)
    _swap(tile, 2, 0x3333333333333333, 0x5555555555555555)


@compiled(_MATRIX, types.int64, _MATRIX, types.uint64[:, :, ::1])
def transpose(rows: _Words, place: int, offsets: _Words, blocks: _Words) -> None:
    """Transpose bits: bit r of blocks[o, i] is bit i of row r, from word `place` of 128 rows on, plus that of offset o.

    `blocks`: shape (offsets, 64 w, 2). H. Warren, Hacker's Delight, section 7-3.
    """
    low, high = np.empty(64 * _LANES, np.uint64), np.empty(64 * _LANES, np.uint64)
    for start in range(0, blocks.shape[1] // 64, _LANES):
        lanes = min(_LANES, blocks.shape[1] // 64 - start)
        _transpose_tile(rows[:64], place + start, lanes, low)
        _transpose_tile(rows[64:], place + start, lanes, high)
        for lane in range(lanes):
            column = blocks[0, 64 * (start + lane) : 64 * (start + lane + 1)]
            for r in range(64):
                column[r, 0] = low[r * _LANES + lane] ^ offsets[0, 0]
                column[r, 1] = high[r * _LANES + lane] ^ offsets[0, 1]
        first = blocks[0, 64 * start : 64 * (start + lanes)].reshape(128 * lanes)
        for o in range(1, offsets.shape[0]):
            other = blocks[o, 64 * start : 64 * (start + lanes)].reshape(128 * lanes)
            low_step, high_step = offsets[0, 0] ^ offsets[o, 0], offsets[0, 1] ^ offsets[o, 1]
            for i in range(64 * lanes):
                other[2 * i] = first[2 * i] ^ low_step
                other[2 * i + 1] = first[2 * i + 1] ^ high_step


@compiled(_CUBE, types.uint64, types.uint64, types.uint64[:, :, ::1])
def add_tweaks(blocks: _Words, first: int, number: int, out: _Words) -> None:
    """Set out[o, i] = blocks[o, i] ^ (first + i, number)."""
    for o in range(blocks.shape[0]):
        words, sums = blocks[o].reshape(blocks[o].size), out[o].reshape(out[o].size)
        for i in range(blocks.shape[1]):
            sums[2 * i] = words[2 * i] ^ (np.uint64(first) + np.uint64(i))
            sums[2 * i + 1] = words[2 * i + 1] ^ np.uint64(number)


@compiled(_CUBE, _CUBE, types.int64, types.int64, types.int64, types.uint64[:, :, ::1])
def add_words(y: _Words, z: _Words, start: int, count: int, column: int, out: _Words) -> None:
    """Set out[o, start + i, column], and the next column if there is one, to the words of (y ^ z)[o, i], i < count."""
    width = out.shape[2]
    for o in range(out.shape[0]):
        one, other = y[o].reshape(y[o].size), z[o].reshape(z[o].size)
        words = out[o, start : start + count].reshape(count * width)
        if column + 1 < width:
            for i in range(count):
                words[width * i + column] = one[2 * i] ^ other[2 * i]
                words[width * i + column + 1] = one[2 * i + 1] ^ other[2 * i + 1]
        else:
            for i in range(count):
                words[width * i + column] = one[2 * i] ^ other[2 * i]


@compiled(_CUBE, _CUBE, _MATRIX, types.uint64[::1], types.uint64[:, ::1])
def gilboa_send(pads: _Words, others: _Words, y: _Words, payload: _Words, share: _Words) -> None:
    """Set share = -sum 2^i pads_i and pack pads_i - others_i + y, of 64 - i bits, for bits i of every entry.

    `pads`, `others`: shape (entries, 64, columns); `y`, `share`: (entries, columns). `payload`: for
    each entry and column a word with bit 0's, 31 with those of bits i and 64 - i; at the end half words: bit 32's.
    """
    entries, columns = y.shape
    halves = 32 * y.size
    for t in range(entries):
        for column in range(columns):
            at = 32 * columns * t + column
            own = pads[t, 0, column]
            payload[at] = own - others[t, 0, column] + y[t, column]
            total = own
            for i in range(1, 32):
                shift, rest = np.uint64(i), np.uint64(64 - i)
                low, high = pads[t, i, column], pads[t, 64 - i, column]
                total += (low << shift) + (high << rest)
                low += y[t, column] - others[t, i, column]
                high += y[t, column] - others[t, 64 - i, column]
                payload[at + i * columns] = (low << shift >> shift) | (high << rest)
            own = pads[t, 32, column]
            total += own << np.uint64(32)
            own += y[t, column] - others[t, 32, column]
            place = columns * t + column
            if place & 1:
                payload[halves + (place >> 1)] |= own << np.uint64(32)
            else:
                payload[halves + (place >> 1)] = own & np.uint64(0xFFFFFFFF)
            share[t, column] = -total


@compiled(_CUBE, _VECTOR, _VECTOR, types.uint64[:, ::1])
def gilboa_receive(pads: _Words, x: _Words, payload: _Words, share: _Words) -> None:
    """Set share = sum 2^i (pads_i + x_i payload_i), where x_i is bit i of an entry of x. Shapes as in `gilboa_send`."""
    entries, columns = share.shape
    halves = 32 * share.size
    one = np.uint64(1)
    for t in range(entries):
        for column in range(columns):
            at = 32 * columns * t + column
            total = pads[t, 0, column] + (payload[at] & -(x[t] & one))
            for i in range(1, 32):
                shift, rest = np.uint64(i), np.uint64(64 - i)
                word = payload[at + i * columns]
                total += (pads[t, i, column] + (word & -(x[t] >> shift & one))) << shift
                total += (pads[t, 64 - i, column] + (word >> rest & -(x[t] >> rest & one))) << rest
            place = columns * t + column
            half = payload[halves + (place >> 1)] >> np.uint64(32 * (place & 1))
            total += (pads[t, 32, column] + (half & -(x[t] >> np.uint64(32) & one))) << np.uint64(32)
            share[t, column] = total


@compiled(_VECTOR, types.uint64[::1])
def pack(words: _Words, bits: _Words) -> None:
    """Set bit i of `bits` to the lowest bit of words[i]; the rest of the last word to zeros."""
    for w in range(bits.size):
        total = np.uint64(0)
        for i in range(min(64, words.size - 64 * w)):
            total |= (words[64 * w + i] & np.uint64(1)) << np.uint64(i)
        bits[w] = total


@compiled(_VECTOR, _VECTOR, types.uint64[::1])
def add_chosen(choices: _Words, words: _Words, out: _Words) -> None:
    """Add words[i] to out[i] where bit i of `choices` is one."""
    for i in range(out.size):
        out[i] += words[i] & -(choices[i >> 6] >> np.uint64(i & 63) & np.uint64(1))
