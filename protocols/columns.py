"""Columns of narrow numbers: what they count modulo, how their shares combine, how they travel without waste.

In memory every number is a word, of which the low bits count and the others may be anything. In a message it takes
its bits alone, one number after another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocols import ring
from protocols.bits import usable
from protocols.correlations import Kind
from protocols.party import Party
from protocols.primitives import packed_words
from protocols.ring import Array
from protocols.rounds import Exchange

__all__ = ["Column", "open_columns"]


@dataclass(frozen=True)
class Column:
    """Numbers of `width` bits, 1 to 64: shared additively modulo 2^width where of kind "ring", by XOR where "bits"."""

    width: int = 64
    kind: Kind = "ring"

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 64:
            raise ValueError(f"a column of numbers of {self.width} bits; from 1 to 64 fit a word")

    def add(self, x: Array, y: Array, out: Array | None = None) -> Array:
        """Shares of the sum, or of the XOR."""
        return ring.add(x, y, out) if self.kind == "ring" else np.bitwise_xor(x, y, out=out)

    def subtract(self, x: Array, y: Array, out: Array | None = None) -> Array:
        """What, added to y, gives x."""
        return ring.subtract(x, y, out) if self.kind == "ring" else np.bitwise_xor(x, y, out=out)

    def words(self, count: int) -> int:
        """Words of so many numbers in a message."""
        return packed_words(count * self.width)

    def pack(self, x: Array) -> Array:
        """The numbers of an array, flattened, as they travel."""
        flat = usable(x.reshape(-1))
        if self.width == 64:
            return flat
        from protocols import sort_kernels

        words = np.empty(self.words(x.size), np.uint64)
        sort_kernels.pack(flat, np.uint64(self.width), words)
        return words

    def unpack(self, words: Array, count: int) -> Array:
        """The numbers that `pack` made these words of; their other bits are zero."""
        if words.shape != (self.words(count),):
            raise ValueError(f"{count} numbers of {self.width} bits do not come in an array of shape {words.shape}")
        if self.width == 64:
            return words
        from protocols import sort_kernels

        x = np.empty(count, np.uint64)
        sort_kernels.unpack(usable(words), np.uint64(self.width), x)
        return x


async def open_columns(party: Party, *shared: tuple[Column, Array]) -> list[Array]:
    """Unmask arrays of narrow numbers to everyone: one round. The caller sees to it that they are masked."""
    packed = [column.pack(share) for column, share in shared]
    total = sum(words.size for words in packed)
    received = await Exchange(dict.fromkeys(party.others, packed), dict.fromkeys(party.others, total))
    opened = []
    start = 0
    for (column, share), mine in zip(shared, packed, strict=True):
        value = share.reshape(-1)
        for arrived in received.values():
            value = column.add(value, column.unpack(arrived[start : start + mine.size], share.size))
        opened.append(np.bitwise_and(value, np.uint64(2**column.width - 1), out=value).reshape(share.shape))
        start += mine.size
    return opened
