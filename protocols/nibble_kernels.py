"""Compiled inner loops of tables of bits that two parties make. Importing this module compiles, or reads the cache.

Only `protocols.nibbles` calls these; it checks shapes and passes aligned uint64 arrays. Pads: OT (j groups + k) N + e
is for bit j of group k of element e. Its first two words hold eight masks of eleven bits, five in the first; where
there is a third one, it is for the bit's part of a word.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from protocols.kernels import compiled, inner

__all__ = ["receive_tables", "receive_words", "send_tables", "send_words"]

_Words = NDArray[np.uint64]

_VECTOR = types.Array(types.uint64, 1, "C", readonly=True)
_MATRIX = types.Array(types.uint64, 2, "C", readonly=True)
_CUBE = types.Array(types.uint64, 3, "C", readonly=True)

_PRODUCTS = 11
_MASK = (1 << _PRODUCTS) - 1
_SLOTS = 5


@inner
def _masked(pads: _Words, place: int, j: int, m: int) -> Any:
    """The mask that the pad of bit j has for the value m of the nibble: at the number that m's other bits make."""
    slot = (m & ((1 << j) - 1)) | (m >> (j + 1)) << j
    if slot < _SLOTS:
        return (pads[place, 0] >> np.uint64(_PRODUCTS * slot)) & np.uint64(_MASK)
    return (pads[place, 1] >> np.uint64(_PRODUCTS * (slot - _SLOTS))) & np.uint64(_MASK)


@inner
def _nibble(bits: _Words, k: int, e: int) -> Any:
    value = np.uint64(0)
    for j in range(4):
        value |= ((bits[j, k, e >> 6] >> np.uint64(e & 63)) & np.uint64(1)) << np.uint64(j)
    return value


@compiled(_CUBE, _MATRIX, _MATRIX, _VECTOR, types.uint64[:, :, ::1], types.uint64[:, :, ::1])
def send_tables(bits: _Words, zero: _Words, one: _Words, table: _Words, told: _Words, shares: _Words) -> None:
    """Fill `told` (groups, N, 3) for the other party, and this one's shares (11, groups, words); both are zero."""
    groups, count = told.shape[0], told.shape[1]
    for k in range(groups):
        for e in range(count):
            v = int(_nibble(bits, k, e))
            share = np.uint64(0)
            for m in range(16):
                mask = table[v ^ m]
                for j in range(4):
                    place = (j * groups + k) * count + e
                    mask ^= _masked(one if m >> j & 1 else zero, place, j, m)
                if m == 0:
                    share = mask
                else:
                    told[k, e, (m - 1) // _SLOTS] |= (mask ^ share) << np.uint64(_PRODUCTS * ((m - 1) % _SLOTS))
            for p in range(_PRODUCTS):
                shares[p, k, e >> 6] |= ((share >> np.uint64(p)) & np.uint64(1)) << np.uint64(e & 63)


@compiled(_CUBE, _MATRIX, _CUBE, types.uint64[:, :, ::1])
def receive_tables(bits: _Words, pads: _Words, told: _Words, shares: _Words) -> None:
    """This party's shares from what it was told; they are zero."""
    groups, count = told.shape[0], told.shape[1]
    for k in range(groups):
        for e in range(count):
            v = int(_nibble(bits, k, e))
            share = np.uint64(0)
            if v > 0:
                share = (told[k, e, (v - 1) // _SLOTS] >> np.uint64(_PRODUCTS * ((v - 1) % _SLOTS))) & np.uint64(_MASK)
            for j in range(4):
                share ^= _masked(pads, (j * groups + k) * count + e, j, v)
            for p in range(_PRODUCTS):
                shares[p, k, e >> 6] |= ((share >> np.uint64(p)) & np.uint64(1)) << np.uint64(e & 63)


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
                total += zero[place, 2] << np.uint64(i + 1)
                payload = (zero[place, 2] - one[place, 2] + b) & ((np.uint64(1) << np.uint64(size)) - np.uint64(1))
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
                total -= (pads[(j * groups + k) * r.size + e, 2] + b * payload) << np.uint64(i + 1)
        r[e] = total
