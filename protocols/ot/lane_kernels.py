"""Compiled inner loops over rows of lanes. Importing this module loads numba and compiles, or reads the cache.

Only `protocols.ot.lanes` and `protocols.ot.permutation` call these. `tops`: the highest bits of every word's lanes.
Rows have shape (words, count), pads (count, words).
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from protocols.jit import compiled, inner

__all__ = ["route", "scale_received", "scale_sent", "switch_received", "switch_sent"]

_Words = NDArray[np.uint64]
_Places = NDArray[np.int32]
_Bits = NDArray[np.uint8]

_VECTOR = types.Array(types.uint64, 1, "C", readonly=True)
_MATRIX = types.Array(types.uint64, 2, "C", readonly=True)
_BITS = types.Array(types.uint8, 1, "C", readonly=True)


@inner
def _add(x: int, y: int, top: int) -> int:
    return ((x & ~top) + (y & ~top)) ^ ((x ^ y) & top)


@inner
def _subtract(x: int, y: int, top: int) -> int:
    return ((x | top) - (y & ~top)) ^ (~(x ^ y) & top)


@inner
def _negate(x: int, top: int) -> int:
    return (top - (x & ~top)) ^ (~x & top)


@compiled(_VECTOR, _MATRIX, _MATRIX, _MATRIX, types.uint64[:, ::1], types.uint64[:, ::1])
def scale_sent(tops: _Words, rows: _Words, zero: _Words, one: _Words, payload: _Words, share: _Words) -> None:
    """Set payload = zero - one + rows and share = -zero."""
    for w in range(tops.size):
        top = tops[w]
        for i in range(rows.shape[1]):
            payload[w, i] = _add(_subtract(zero[i, w], one[i, w], top), rows[w, i], top)
            share[w, i] = _negate(zero[i, w], top)


@compiled(_VECTOR, _VECTOR, _MATRIX, _MATRIX, types.uint64[:, ::1])
def scale_received(tops: _Words, bits: _Words, pads: _Words, payload: _Words, share: _Words) -> None:
    """Set share = pads + payload where the bit is 1, else pads."""
    for w in range(tops.size):
        top = tops[w]
        for i in range(bits.size):
            share[w, i] = _add(pads[i, w], payload[w, i] & -bits[i], top)


@compiled(_VECTOR, *[types.int64] * 4, _MATRIX, _MATRIX, types.uint64[:, ::1], types.uint64[:, ::1])
def switch_sent(
    tops: _Words, level: int, first: int, start: int, stop: int,
    zero: _Words, one: _Words, wires: _Words, payload: _Words,
) -> None:  # fmt: skip
    """Move masks through switches `start` to `stop` of a piece, which are those of a level from pair `first` on.

    The pad of 0 goes from the lower wire to the upper one; payload = zero - one + (upper - lower), as they were.
    """
    stride = 1 << level
    for w in range(tops.size):
        top, x, told = tops[w], wires[w], payload[w]
        for i in range(start, stop):
            k = first + i - start
            p = (k >> level << (level + 1)) | (k & (stride - 1))
            lower, upper, pad = x[p], x[p + stride], zero[i, w]
            told[i] = _add(_subtract(pad, one[i, w], top), _subtract(upper, lower, top), top)
            x[p] = _subtract(lower, pad, top)
            x[p + stride] = _add(upper, pad, top)


@compiled(_VECTOR, *[types.int64] * 4, _BITS, _MATRIX, types.uint64[:, ::1], _MATRIX)
def switch_received(
    tops: _Words, level: int, first: int, start: int, stop: int,
    bits: _Bits, pads: _Words, wires: _Words, payload: _Words,
) -> None:  # fmt: skip
    """Swap the wires where the bit is 1, and move what comes of the transfer from the upper wire to the lower one."""
    stride = 1 << level
    for w in range(tops.size):
        top, x, told = tops[w], wires[w], payload[w]
        for i in range(start, stop):
            k = first + i - start
            p = (k >> level << (level + 1)) | (k & (stride - 1))
            chosen = -np.uint64(bits[i])
            came = _add(pads[i, w], told[i] & chosen, top)
            lower, upper = x[p], x[p + stride]
            crossed = (lower ^ upper) & chosen
            x[p] = _add(lower ^ crossed, came, top)
            x[p + stride] = _subtract(upper ^ crossed, came, top)


@inner
def _follow(q: int, stride: int, source: _Places, target: _Places, half: _Bits) -> None:
    """Send what goes to output q through the half 0, and all that follows from that along its path or cycle."""
    n = source.size
    while q < n:
        p = source[q]
        if half[p] != 2:
            return
        half[p] = 0
        p ^= stride
        if p >= n:
            return
        half[p] = 1
        q = target[p] ^ stride


@compiled(
    types.int64, types.int32[::1], types.int32[::1], types.int32[::1], types.uint8[::1], types.uint8[::1],
    types.uint8[::1],
)  # fmt: skip
def route(
    level: int, source: _Places, target: _Places, spare: _Places, half: _Bits, inputs: _Bits, outputs: _Bits
) -> None:
    """Set the switches of one level, at the inputs and at the outputs; a pair of wires p, p + 2^level has one at each.

    `source`: which input goes to each output; it becomes the same between the switches. The other arrays of its size
    are room to work in.
    """
    n, stride = source.size, 1 << level
    for q in range(n):
        target[source[q]] = q
        half[q] = 2
    # the last outputs first, for those without a partner have no switch and come from the half 0; then from the first
    # on, so that the first pair of a cycle comes straight
    for i in range(-stride, n):
        q = i + n if i < 0 else i
        if not q & stride:
            _follow(q, stride, source, target, half)
    k = 0
    for p in range(n - stride):
        if not p & stride:
            inputs[k] = half[p]
            outputs[k] = half[source[p]]
            k += 1
    for q in range(n):
        p = source[q]
        spare[(q & ~stride) | (half[p] << level)] = (p & ~stride) | (half[p] << level)
    source[:] = spare
