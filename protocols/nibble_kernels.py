"""Compiled inner loops of tables of bits that two parties make. Importing this module compiles, or reads the cache.

Only `protocols.nibbles` calls these; it checks shapes and passes aligned uint64 arrays. Pads: OT (j groups + k) N + e
is for bit j of group k of element e. Its first three words hold a mask of eleven bits for every value of the nibble:
those of the values 1 to 15 five to a word, that of 0 in the bits that these leave over. Of the pad for a bit of 0, or
of 1, masks serve where that bit of the value is so. A fourth word, where there is one, is for the bit's part of a word.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from protocols.jit import compiled, inner

__all__ = ["receive_tables", "receive_words", "send_tables", "send_words"]

_Words = NDArray[np.uint64]

_VECTOR = types.Array(types.uint64, 1, "C", readonly=True)
_MATRIX = types.Array(types.uint64, 2, "C", readonly=True)
_CUBE = types.Array(types.uint64, 3, "C", readonly=True)

_PRODUCTS = 11
_MASK = (1 << _PRODUCTS) - 1
_SLOTS = 5
_WORD = 3
_SPARE = _PRODUCTS * _SLOTS
_EACH = sum(1 << _PRODUCTS * slot for slot in range(_SLOTS))
_FIELDS = np.array(
    [
        [sum(_MASK << _PRODUCTS * ((m - 1) % _SLOTS) for m in range(1, 16) if m >> j & 1 and (m - 1) // _SLOTS == w)
         for w in range(3)]
        for j in range(4)
    ],
    np.uint64,
)  # fmt: skip
"""For bit j and word w: the masks of values that have this bit."""


@inner
def _nibble(bits: _Words, k: int, e: int) -> Any:
    value = np.uint64(0)
    for j in range(4):
        value |= ((bits[j, k, e >> 6] >> np.uint64(e & 63)) & np.uint64(1)) << np.uint64(j)
    return value


@inner
def _spare(first: Any, second: Any) -> Any:
    """The mask of the value 0: nine bits of the first word, two of the second."""
    return (first >> np.uint64(_SPARE)) | ((second >> np.uint64(_SPARE)) & np.uint64(3)) << np.uint64(64 - _SPARE)


@inner
def _keep(values: _Words, k: int, word: int, shares: _Words) -> None:
    """Set this word of every product's row to its bit in 64 values."""
    for p in range(_PRODUCTS):
        row = np.uint64(0)
        for i in range(64):
            row |= ((values[i] >> np.uint64(p)) & np.uint64(1)) << np.uint64(i)
        shares[p, k, word] = row


@compiled(_CUBE, _MATRIX, _MATRIX, _MATRIX, types.uint64[:, :, ::1], types.uint64[:, :, ::1])
def send_tables(bits: _Words, zero: _Words, one: _Words, table: _Words, told: _Words, shares: _Words) -> None:
    """Set `told` (groups, N, 3) for the other party, and this one's shares (11, groups, words).

    `table`, shape (16, 4): for this party's value the products if the other has 0, and for its other values as masks.
    """
    groups, count = told.shape[0], told.shape[1]
    values = np.empty(64, np.uint64)
    for k in range(groups):
        for e in range(count):
            first, second, third = np.uint64(0), np.uint64(0), np.uint64(0)
            for j in range(4):
                place = (j * groups + k) * count + e
                first ^= zero[place, 0] ^ ((zero[place, 0] ^ one[place, 0]) & _FIELDS[j, 0])
                second ^= zero[place, 1] ^ ((zero[place, 1] ^ one[place, 1]) & _FIELDS[j, 1])
                third ^= zero[place, 2] ^ ((zero[place, 2] ^ one[place, 2]) & _FIELDS[j, 2])
            v = int(_nibble(bits, k, e))
            share = _spare(first, second) ^ table[v, 0]
            values[e & 63] = share
            used, own = np.uint64((1 << _SPARE) - 1), share * np.uint64(_EACH)
            told[k, e, 0] = (first & used) ^ table[v, 1] ^ own
            told[k, e, 1] = (second & used) ^ table[v, 2] ^ own
            told[k, e, 2] = (third & used) ^ table[v, 3] ^ own
            if e & 63 == 63:
                _keep(values, k, e >> 6, shares)


@compiled(_CUBE, _MATRIX, _CUBE, types.uint64[:, :, ::1])
def receive_tables(bits: _Words, pads: _Words, told: _Words, shares: _Words) -> None:
    """Set this party's shares from what it was told."""
    groups, count = told.shape[0], told.shape[1]
    values = np.empty(64, np.uint64)
    for k in range(groups):
        for e in range(count):
            v = int(_nibble(bits, k, e))
            word, slot = (v - 1) // _SLOTS, (v - 1) % _SLOTS
            mask, second = np.uint64(0), np.uint64(0)
            for j in range(4):
                place = (j * groups + k) * count + e
                mask ^= pads[place, max(word, 0)]
                second ^= pads[place, 1]
            if v > 0:
                values[e & 63] = ((mask ^ told[k, e, word]) >> np.uint64(_PRODUCTS * slot)) & np.uint64(_MASK)
            else:
                values[e & 63] = _spare(mask, second)
            if e & 63 == 63:
                _keep(values, k, e >> 6, shares)


@compiled(_CUBE, _MATRIX, _MATRIX, types.uint64[:, ::1], types.uint64[::1])
def send_words(bits: _Words, zero: _Words, one: _Words, narrow: _Words, r: _Words) -> None:
    """Fill `narrow` (N, words), which is zero, for the other party, and this one's share of the words."""
    groups = bits.shape[1]
    width = 4 * groups
    for e in range(r.size):
        at = 0
        total = np.uint64(0)
        for i in range(width):
            j, k = i & 3, i >> 2
            place = (j * groups + k) * r.size + e
            b = (bits[j, k, e >> 6] >> np.uint64(e & 63)) & np.uint64(1)
            total += b << np.uint64(i)
            size = width - 1 - i
            if size > 0:
                total += zero[place, _WORD] << np.uint64(i + 1)
                payload = (zero[place, _WORD] - one[place, _WORD] + b) & (
                    (np.uint64(1) << np.uint64(size)) - np.uint64(1)
                )
                narrow[e, at >> 6] |= payload << np.uint64(at & 63)
                if (at & 63) + size > 64:
                    narrow[e, (at >> 6) + 1] |= payload >> np.uint64(64 - (at & 63))
                at += size
        r[e] = total


@compiled(_CUBE, _MATRIX, _MATRIX, types.uint64[::1])
def receive_words(bits: _Words, pads: _Words, narrow: _Words, r: _Words) -> None:
    """This party's share from what it was told."""
    groups = bits.shape[1]
    width = 4 * groups
    for e in range(r.size):
        at = 0
        total = np.uint64(0)
        for i in range(width):
            j, k = i & 3, i >> 2
            b = (bits[j, k, e >> 6] >> np.uint64(e & 63)) & np.uint64(1)
            total += b << np.uint64(i)
            size = width - 1 - i
            if size > 0:
                payload = narrow[e, at >> 6] >> np.uint64(at & 63)
                if (at & 63) + size > 64:
                    payload |= narrow[e, (at >> 6) + 1] << np.uint64(64 - (at & 63))
                at += size
                total -= (pads[(j * groups + k) * r.size + e, _WORD] + b * payload) << np.uint64(i + 1)
        r[e] = total
