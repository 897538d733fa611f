"""Bits packed 64 to a word: bit i % 64 of word i // 64 belongs to element i. A plane is one such array.

numpy does it for short arrays; long ones go to compiled loops in `protocols.bit_kernels`, imported when first needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protocols.primitives import packed_words
from protocols.ring import Array

__all__ = ["COMPILED_LENGTH", "negate_where", "pack", "planes", "unpack", "usable", "warm", "words"]

COMPILED_LENGTH = 1 << 13
"""Elements of the shortest arrays for which compiled loops pay."""


def warm(length: int) -> None:
    """Load the compiled loops now, if arrays of this length will want them."""
    if length >= COMPILED_LENGTH:
        from protocols import bit_kernels  # noqa: F401


def pack(x: Array, bit: int = 0) -> Array:
    """One bit of every word: a plane."""
    x = usable(x).reshape(-1)
    packed = np.zeros(packed_words(x.size), np.uint64)
    if x.size >= COMPILED_LENGTH:
        from protocols import bit_kernels

        bit_kernels.pack(x, np.uint64(bit), packed)
    else:
        octets = np.packbits((x >> np.uint64(bit)).astype(np.uint8) & np.uint8(1), bitorder="little")
        packed.astype("<u8", copy=False).view(np.uint8)[: octets.size] = octets
    return packed


def unpack(packed: Array, length: int) -> Array:
    """The first bits of a plane, as words 0 and 1."""
    if length >= COMPILED_LENGTH:
        from protocols import bit_kernels

        out = np.empty(length, np.uint64)
        bit_kernels.unpack(usable(packed).reshape(-1), out)
        return out
    octets = np.ascontiguousarray(packed.reshape(-1)).astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, count=length, bitorder="little").astype(np.uint64)


def negate_where(packed: Array, x: Array, plus: Array | int = 0) -> Array:
    """x where the bit is 0, plus - x where it is 1; 1-D. `plus`: an array like x, or a number."""
    addend = np.broadcast_to(np.asarray(plus, np.uint64), x.shape)
    if x.size >= COMPILED_LENGTH:
        from protocols import bit_kernels

        out = np.empty(x.size, np.uint64)
        bit_kernels.negate_where(usable(packed), usable(x), usable(addend), out)
        return out
    mask = np.negative(unpack(packed, x.size))
    return (x ^ mask) - mask + (addend & mask)


def planes(x: Array, rows: Sequence[int]) -> Array:
    """Bit b of every word as plane rows[b], for the first bits: shape (len(rows), words)."""
    x = usable(x).reshape(-1)
    out = np.empty((len(rows), packed_words(x.size)), np.uint64)
    if x.size >= COMPILED_LENGTH:
        from protocols import bit_kernels

        bit_kernels.transpose(x, np.array(rows, np.int64), out)
    else:
        square = np.zeros((out.shape[1], 64), np.uint64)
        square.reshape(-1)[: x.size] = x
        out[list(rows)] = _transposed(square.T)[: len(rows)]
    return out


def words(planes: Array, rows: Sequence[int], length: int) -> Array:
    """The words whose bit b is in plane rows[b], for the first bits; higher bits are 0."""
    if length >= COMPILED_LENGTH:
        from protocols import bit_kernels

        out = np.empty(length, np.uint64)
        bit_kernels.transpose_back(usable(planes), np.array(rows, np.int64), out)
        return out
    square = np.zeros((64, planes.shape[1]), np.uint64)
    square[: len(rows)] = planes[list(rows)]
    return np.ascontiguousarray(_transposed(square).T).reshape(-1)[:length]


def usable(x: Array) -> Array:
    """x as compiled loops read it: contiguous and aligned; only bytes from a frame may have to be moved for that."""
    return np.require(x, requirements=["C", "A"])


def _transposed(square: Array) -> Array:
    """The 64 x 64 bits of each column of 64 words transposed: halves swapped, then quarters (Hacker's Delight, 7-3)."""
    square = square.copy()
    shift, mask = 32, 0x00000000FFFFFFFF
    while shift:
        pairs = square.reshape(32 // shift, 2, shift, -1)
        low, high = pairs[:, 0], pairs[:, 1]
        moved = ((low >> np.uint64(shift)) ^ high) & np.uint64(mask)
        low ^= moved << np.uint64(shift)
        high ^= moved
        shift //= 2
        mask = (mask ^ mask << shift) % (1 << 64)
    return square
