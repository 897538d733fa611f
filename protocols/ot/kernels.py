"""Compiled inner loops of oblivious transfer. Importing this module loads numba and compiles, or reads the cache.

Only modules of this folder call these; they check shapes and pass aligned uint64 arrays. Pads, and the blocks that they
are hashed from, stand in strips: strip c has those of all OTs at bit c of their words.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from protocols.jit import compiled, inner

__all__ = [
    "LANES",
    "LEAF_STRIDE",
    "LEAF_WORDS",
    "add_chosen",
    "add_tweaks",
    "add_words",
    "fold",
    "fold_16",
    "gilboa_receive",
    "gilboa_send",
    "in_order",
    "pack",
    "transpose",
    "weigh",
]

LANES = 32
"""Words of a row of bits that are transposed together, measured: 128 rows of them stay in the first level of cache."""

LEAF_WORDS = 1 << 12
"""Words of a leaf that are made at once, measured: calls of the cipher are long, and 16 leaves stay in the cache."""

LEAF_STRIDE = LEAF_WORDS + 16
"""From one leaf to the next: the cipher wants room for a block more, and equal places stay apart in the cache."""

_STRIP = 256
"""Words of an array that are taken at once and stay in the first level of cache."""

_Words = NDArray[np.uint64]
_Halves = NDArray[np.uint32]
_Four = tuple[np.uint64, np.uint64, np.uint64, np.uint64]

_VECTOR = types.Array(types.uint64, 1, "C", readonly=True)
_MATRIX = types.Array(types.uint64, 2, "C", readonly=True)
_CUBE = types.Array(types.uint64, 3, "C", readonly=True)
_QUARTIC = types.Array(types.uint64, 4, "C", readonly=True)
_BLOCKS = types.uint64[:, :, :, ::1]
_HALVES = types.Array(types.uint32, 1, "C", readonly=True)


@inner
def _four(a: int, b: int, c: int, d: int) -> tuple[int, int, int]:
    """Of numbers 0 to 3: the sum of those whose lower bit is one, of those whose upper bit is, and of all."""
    return b ^ d, c ^ d, a ^ b ^ c ^ d


@inner
def _four_at(leaves: _Words, at: int) -> tuple[int, int, int]:
    return _four(leaves[at], leaves[at + LEAF_STRIDE], leaves[at + 2 * LEAF_STRIDE], leaves[at + 3 * LEAF_STRIDE])


@compiled(_VECTOR, types.int64, types.int64, types.uint64[::1], types.uint64[::1])
def fold_16(leaves: _Words, start: int, row: int, tiles: _Words, total: _Words) -> None:
    """`fold` of 16 leaves, all arrays flat: at constant distances, so that a vector of each stays in a register."""
    for place in range(0, min(LEAF_WORDS, total.size - start), LANES):
        at = 128 * (start + place) + LANES * row
        strip, rows = leaves[place : place + 15 * LEAF_STRIDE + LANES], tiles[at : at + 4 * LANES]
        whole = total[start + place : start + place + LANES]
        for w in range(LANES):
            b_0, c_0, a_0 = _four_at(strip, w)
            b_1, c_1, a_1 = _four_at(strip, w + 4 * LEAF_STRIDE)
            b_2, c_2, a_2 = _four_at(strip, w + 8 * LEAF_STRIDE)
            b_3, c_3, a_3 = _four_at(strip, w + 12 * LEAF_STRIDE)
            b, c, a = _four(a_0, a_1, a_2, a_3)
            rows[2 * w] = b_0 ^ b_1 ^ b_2 ^ b_3
            rows[2 * w + 1] = c_0 ^ c_1 ^ c_2 ^ c_3
            rows[2 * (LANES + w)] = b
            rows[2 * (LANES + w) + 1] = c
            whole[w] = a


@compiled(types.uint64[:, ::1], types.int64, types.int64, types.uint64[::1], types.uint64[::1])
def fold(leaves: _Words, start: int, row: int, tiles: _Words, total: _Words) -> None:
    """Set row `row` + b to the sum of x_b leaves[x] for every bit b of x, and `total` to that of all. Spoils `leaves`.

    As many words from `start`, a multiple of LANES, on as leaves have. `leaves`: shape (2^k, LEAF_STRIDE), for k and
    `row` even. `tiles`: LANES words of each of 128 rows, with those of rows 2 r and 2 r + 1 in turns; then the next.
    Two bits at a time, from the bottom: leaves that differ in no other bit become one.
    """
    flat = leaves.reshape(leaves.size)
    for place in range(0, min(LEAF_WORDS, total.size - start), LANES):
        at, count = 128 * (start + place) + LANES * row, leaves.shape[0]
        while count > 1:
            count //= 4
            pair = tiles[at : at + 2 * LANES]
            pair[:] = 0
            for x in range(count):
                for w in range(LANES):
                    b, c, leaves[x, place + w] = _four_at(flat, 4 * x * LEAF_STRIDE + place + w)
                    pair[2 * w] ^= b
                    pair[2 * w + 1] ^= c
            at += 2 * LANES
        total[start + place : start + place + LANES] = leaves[0, place : place + LANES]


@inner
def _load(rows: _Words, corrections: _Words, place: int, delta: _Words, twice: _Words, tile: _Words) -> None:
    """Set the tile to the rows, corrected."""
    for i in range(tile.size):
        tile[i] = rows[i]
    if delta[0] | delta[1]:
        each = 64 // corrections.shape[0]
        for tree in range(corrections.shape[0]):
            correction = corrections[tree, place : place + LANES]
            for w in range(correction.size):
                twice[2 * w] = correction[w]
                twice[2 * w + 1] = correction[w]
            for r in range(tree * each, (tree + 1) * each):
                strip, shift = tile[2 * LANES * r : 2 * LANES * (r + 1)], np.uint64(r)
                even, odd = -(delta[0] >> shift & np.uint64(1)), -(delta[1] >> shift & np.uint64(1))
                for i in range(2 * LANES):
                    strip[i] ^= twice[i] & (odd if i & 1 else even)


@inner
def _squares(a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64, half: int, mask: int, half_mask: int) -> _Four:
    """Two steps of the transposition, of words at distances of `half`: at twice this distance and at this one.

    In each, the off-diagonal squares of this size change places within squares twice as large.
    """
    far, near = np.uint64(2 * half), np.uint64(half)
    ac, bd = ((a >> far) ^ c) & np.uint64(mask), ((b >> far) ^ d) & np.uint64(mask)
    a, b, c, d = a ^ ac << far, b ^ bd << far, c ^ ac, d ^ bd
    ab, cd = ((a >> near) ^ b) & np.uint64(half_mask), ((c >> near) ^ d) & np.uint64(half_mask)
    return a ^ ab << near, b ^ ab, c ^ cd << near, d ^ cd


@inner
def _swap(tile: _Words, half: int, mask: int, half_mask: int) -> None:
    size = 2 * LANES * half
    for start in range(0, tile.size, 4 * size):
        first, second = tile[start : start + size], tile[start + size : start + 2 * size]
        third, fourth = tile[start + 2 * size : start + 3 * size], tile[start + 3 * size : start + 4 * size]
        for i in range(size):
            first[i], second[i], third[i], fourth[i] = _squares(
                first[i], second[i], third[i], fourth[i], half, mask, half_mask
            )


@inner
def _store(tile: _Words, words: int, place: int, strips: _Words) -> None:
    """The last two steps, to strips of so many blocks, of which the tile's are those from `place` on."""
    size = 2 * min(LANES, words - place)
    for r in range(0, 64, 4):
        at, to = 2 * LANES * r, 2 * (words * r + place)
        a, b = tile[at : at + size], tile[at + 2 * LANES : at + 2 * LANES + size]
        c, d = tile[at + 4 * LANES : at + 4 * LANES + size], tile[at + 6 * LANES : at + 6 * LANES + size]
        first, second = strips[to : to + size], strips[to + 2 * words : to + 2 * words + size]
        third, fourth = strips[to + 4 * words : to + 4 * words + size], strips[to + 6 * words : to + 6 * words + size]
        for i in range(size):
            first[i], second[i], third[i], fourth[i] = _squares(
                a[i], b[i], c[i], d[i], 1, 0x3333333333333333, 0x5555555555555555
            )


@compiled(_VECTOR, _MATRIX, _VECTOR, types.int64, _MATRIX, _BLOCKS)
def transpose(tiles: _Words, corrections: _Words, delta: _Words, start: int, offsets: _Words, blocks: _Words) -> None:
    """Transpose bits: bit r of word j of blocks[0, c, w] is bit c of row 2 r + j, word `start` + w, corrected.

    To rows at which `delta` has a one is added their tree's correction, shape (trees, words). Of blocks[o] are those
    with offset o - 1 added. `tiles`: as from `fold`; `start`: a multiple of LANES; `blocks`: as for `Hash.strips`.
    H. Warren, Hacker's Delight, section 7-3.
    """
    tile, twice = np.empty(128 * LANES, np.uint64), np.empty(2 * LANES, np.uint64)
    first = blocks[0].reshape(blocks[0].size)
    for place in range(start, start + blocks.shape[2], LANES):
        _load(tiles[128 * place : 128 * (place + LANES)], corrections, place, delta, twice, tile)
        _swap(tile, 16, 0x00000000FFFFFFFF, 0x0000FFFF0000FFFF)
        _swap(tile, 4, 0x00FF00FF00FF00FF, 0x0F0F0F0F0F0F0F0F)
        _store(tile, blocks.shape[2], place - start, first)
    for o in range(offsets.shape[0]):
        other, even, odd = blocks[o + 1].reshape(first.size), offsets[o, 0], offsets[o, 1]
        for i in range(first.size):
            other[i] = first[i] ^ (odd if i & 1 else even)


@compiled(_QUARTIC, types.uint64, types.uint64, _BLOCKS)
def add_tweaks(blocks: _Words, first: int, number: int, out: _Words) -> None:
    """Set out[o, c, w] = blocks[o, c, w] ^ (first + 64 w + c, number)."""
    words = blocks.shape[2]
    source, sums = blocks.reshape(blocks.size), out.reshape(out.size)
    for strip in range(64 * blocks.shape[0]):
        at, index = 2 * words * strip, np.uint64(first) + np.uint64(strip & 63)
        one, total = source[at : at + 2 * words], sums[at : at + 2 * words]
        for w in range(words):
            total[2 * w] = one[2 * w] ^ (index + np.uint64(64 * w))
            total[2 * w + 1] = one[2 * w + 1] ^ np.uint64(number)


@compiled(_QUARTIC, _QUARTIC, types.int64, _BLOCKS)
def add_words(y: _Words, z: _Words, column: int, out: _Words) -> None:
    """Set out[..., column], and the next column if there is one, to the words of y ^ z."""
    width, count = out.shape[3], y.size // 2
    one, other, words = y.reshape(y.size), z.reshape(z.size), out.reshape(out.size)
    if width == 1:
        for i in range(0, count, 8):  # there are multiples of 64; a vector at once
            for j in range(i, i + 8):
                words[j] = one[2 * j] ^ other[2 * j]
    else:
        for half in range(min(2, width - column)):
            for i in range(count):
                words[width * i + column + half] = one[2 * i + half] ^ other[2 * i + half]


@compiled(_CUBE, types.int64, types.uint64[:, ::1])
def in_order(pads: _Words, start: int, out: _Words) -> None:
    """Set out[64 (start + w) + c] = pads[c, w], where there is such a place."""
    for w in range(pads.shape[1]):
        place = 64 * (start + w)
        for c in range(min(64, out.shape[0] - place)):
            for column in range(pads.shape[2]):
                out[place + c, column] = pads[c, w, column]


@compiled(_CUBE, types.int64, types.uint64[::1])
def weigh(pads: _Words, start: int, share: _Words) -> None:
    """Set share[start + j] = sum 2^i pads_i[j], where pads_i is strip i as a run of words."""
    size = pads.shape[1] * pads.shape[2]
    flat, total = pads.reshape(pads.size), share[start : start + size]
    total[:] = 0
    for i in range(64):
        strip = flat[i * size : (i + 1) * size]
        for j in range(size):
            total[j] += strip[j] << np.uint64(i)


@compiled(_CUBE, _CUBE, _VECTOR, types.int64, types.uint64[::1], types.uint32[::1])
def gilboa_send(zero: _Words, one: _Words, y: _Words, start: int, payload: _Words, halves: _Halves) -> None:
    """Set payloads zero_i - one_i + y, of 64 - i bits, for bits i of the entries whose words of y begin at `start`.

    `payload`: for every word of y one with bit 0's, then for every word one with those of bits 1 and 63, and so on to
    31 and 33. `halves`: bit 32's.
    """
    size = zero.shape[1] * zero.shape[2]
    r, s = zero.reshape(zero.size), one.reshape(one.size)
    words, half, told = y[start : start + size], halves[start : start + size], payload[start : start + size]
    for j in range(size):
        told[j] = r[j] - s[j] + words[j]
    r_32, s_32 = r[32 * size : 33 * size], s[32 * size : 33 * size]
    for j in range(size):
        half[j] = np.uint32(r_32[j] - s_32[j] + words[j])
    for i in range(1, 32):
        shift, rest = np.uint64(i), np.uint64(64 - i)
        told = payload[i * y.size + start : i * y.size + start + size]
        r_low, s_low = r[i * size : (i + 1) * size], s[i * size : (i + 1) * size]
        r_high, s_high = r[(64 - i) * size : (65 - i) * size], s[(64 - i) * size : (65 - i) * size]
        for j in range(size):
            low, high = r_low[j] - s_low[j] + words[j], r_high[j] - s_high[j] + words[j]
            told[j] = (low << shift >> shift) | (high << rest)


@compiled(_VECTOR, _VECTOR, _HALVES, types.uint64[::1])
def gilboa_receive(x: _Words, payload: _Words, halves: _Halves, share: _Words) -> None:
    """Add sum 2^i x_i payload_i to `share`, where x_i is bit i of a word of x. All of one size, but `payload`."""
    one = np.uint64(1)
    for start in range(0, x.size, _STRIP):
        words, total, half = x[start : start + _STRIP], share[start : start + _STRIP], halves[start : start + _STRIP]
        told = payload[start : start + words.size]
        for j in range(words.size):
            total[j] += told[j] & -(words[j] & one)
            total[j] += (np.uint64(half[j]) & -(words[j] >> np.uint64(32) & one)) << np.uint64(32)
        for i in range(1, 32):
            shift, rest = np.uint64(i), np.uint64(64 - i)
            told = payload[i * x.size + start : i * x.size + start + words.size]
            for j in range(words.size):
                low, high = told[j] & -(words[j] >> shift & one), told[j] >> rest & -(words[j] >> rest & one)
                total[j] += (low << shift) + (high << rest)


@compiled(_CUBE, types.int64, types.uint64[::1])
def pack(pads: _Words, start: int, bits: _Words) -> None:
    """Set bit c of bits[start + w] to the lowest bit of pads[c, w, 0]."""
    for w in range(pads.shape[1]):
        bits[start + w] = 0
    for c in range(64):
        for w in range(pads.shape[1]):
            bits[start + w] |= (pads[c, w, 0] & np.uint64(1)) << np.uint64(c)


@compiled(_VECTOR, _VECTOR, types.uint64[::1])
def add_chosen(choices: _Words, words: _Words, out: _Words) -> None:
    """Add words[i] to out[i] where bit i of `choices` is one."""
    for i in range(out.size):
        out[i] += words[i] & -(choices[i >> 6] >> np.uint64(i & 63) & np.uint64(1))
