"""Compiled inner loops of shuffling and sorting. Importing this module loads numba and compiles, or reads the cache.

Only `protocols.columns`, `protocols.shuffle` and `protocols.sorting` call these, with aligned contiguous arrays.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from protocols.jit import compiled

__all__ = ["destinations", "pack", "permutation", "positions", "unpack"]

_Words = NDArray[np.uint64]
_Indices = NDArray[np.int64]

_VECTOR = types.Array(types.uint64, 1, "C", readonly=True)
_MATRIX = types.Array(types.uint64, 2, "C", readonly=True)
_INDICES = types.Array(types.int64, 1, "C", readonly=True)

_LOW = np.uint64(2**32 - 1)
_HALF = np.uint64(32)
_ALL = np.uint64(2**64 - 1)
_WORD = np.uint64(64)


@compiled(_VECTOR, types.uint64, types.uint64[::1])
def pack(values: _Words, width: np.uint64, out: _Words) -> None:
    """Write the low `width` bits (1 to 63) of every value one after another, from the lowest bit of the first word."""
    mask = _ALL >> (_WORD - width)
    word = filled = np.uint64(0)
    k = 0
    for i in range(values.size):
        value = values[i] & mask
        word |= value << filled
        filled += width
        if filled >= _WORD:
            filled -= _WORD
            out[k] = word
            k += 1
            word = value >> (width - filled)
    if filled:
        out[k] = word


@compiled(_VECTOR, types.uint64, types.uint64[::1])
def unpack(words: _Words, width: np.uint64, values: _Words) -> None:
    """Read what `pack` wrote."""
    mask = _ALL >> (_WORD - width)
    at = np.uint64(0)
    for i in range(values.size):
        k, shift = at >> np.uint64(6), at & np.uint64(63)
        value = words[k] >> shift
        if shift + width > _WORD:
            value |= words[k + np.uint64(1)] << (_WORD - shift)
        values[i] = value & mask
        at += width


@compiled(_MATRIX, types.int64[::1])
def permutation(keys: _Words, out: _Indices) -> None:
    """Fisher-Yates with 96 uniform bits a swap, of two words a row."""
    for i in range(out.size):
        out[i] = i
    for i in range(out.size - 1, 0, -1):
        choices = np.uint64(i + 1)
        j = ((keys[i, 1] >> _HALF) * choices) >> _HALF
        j = ((keys[i, 0] & _LOW) * choices + j) >> _HALF
        j = ((keys[i, 0] >> _HALF) * choices + j) >> _HALF
        out[i], out[j] = out[j], out[i]


@compiled(_INDICES, _VECTOR, _MATRIX, types.uint64, types.uint64[::1], types.uint64[:, ::1])
def positions(order: _Indices, c: _Words, hot: _Words, one: np.uint64, base: _Words, offsets: _Words) -> None:
    """This party's shares of where a row goes if its digit is c, and how much further if it is c ^ k, for k > 0.

    Row order[t] is the t-th; hot[s, k] is a share of whether row s has the digit c[s] ^ k; `one` a share of 1.
    """
    rows, digits = hot.shape
    places = np.zeros(digits, np.uint64)
    for s in range(rows):
        rest = one
        for k in range(1, digits):
            places[c[s] ^ np.uint64(k)] += hot[s, k]
            rest -= hot[s, k]
        places[c[s]] += rest
    start = np.uint64(0)
    for digit in range(digits):
        start, places[digit] = start + places[digit], start
    for t in range(rows):
        row = np.uint64(order[t])  # an unsigned index is not checked for counting from the end
        shares, out, own = hot[row], offsets[row], c[row]
        here = places[own]
        base[row] = here
        rest = one
        for k in range(1, digits):
            digit = own ^ np.uint64(k)
            place = places[digit]
            out[k - 1] = place - here
            places[digit] = place + shares[k]
            rest -= shares[k]
        places[own] = here + rest


@compiled(_VECTOR, _MATRIX, _MATRIX, types.uint64[::1])
def destinations(base: _Words, hot: _Words, e: _Words, out: _Words) -> None:
    """Set out = base + hot[:, 0] + the sum of hot[:, k] e[:, k - 1] over k > 0."""
    rows, digits = hot.shape
    for s in range(rows):
        total = base[s] + hot[s, 0]
        for k in range(1, digits):
            total += hot[s, k] * e[s, k - 1]
        out[s] = total
