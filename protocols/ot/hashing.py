"""A tweakable correlation-robust hash: TMMO(x, i) = p(p(x) ^ i) ^ p(x), for p = AES-128 under a fixed public key.

C. Guo, J. Katz, X. Wang, Y. Yu, "Efficient and Secure Multiparty Computation from Fixed-Key Block Ciphers", IEEE S&P
2020, section 7, in the ideal-permutation model. The key is fresh for every session and direction, so that nobody can
compute ahead. A tweak is the index of an OT and the number of the output block: longer outputs cost one more call each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from protocols.ot.aes import BLOCK_WORDS, Aes
from protocols.ring import Array

__all__ = ["Blocks", "Hash"]

_MOST = 1 << 62

Blocks = Callable[[int, Array, Array], None]
"""Fills an array of shape (1 + offsets, 64, words, 2): at [0, c, w] the block of OT 64 (start + w) + c, at [o, c, w]
this with offset o - 1 added. So strip c has all OTs at bit c of their words.

Called with start, a multiple of 32, the offsets, shape (offsets, 2), and the array; what stands beyond the last OT
means nothing.
"""

_AT_ONCE = 1 << 14
"""Blocks hashed together: measured: three buffers of 256 KiB stay in the second level of cache."""


class _Room:
    """Buffers to hash blocks of this shape in, and the same as bytes; the cipher wants room for a block more."""

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        size = math.prod(shape)
        buffers = np.empty((3, size + 1, BLOCK_WORDS), np.uint64)
        self.x, self.y, self.z = (buffer[:size].reshape(*shape, BLOCK_WORDS) for buffer in buffers)
        x, self.y_bytes, self.z_bytes = (buffer.reshape(-1).view(np.uint8).data for buffer in buffers)
        self.x_bytes = x[: self.x.nbytes]
        self.words = np.empty((*shape, width), np.uint64)


class Hash:
    """The hash of one direction of one session, with the indices that are used up. `key`: 16 public bytes."""

    def __init__(self, key: bytes) -> None:
        self._p = Aes(key)
        self._next = 0

    def claim(self, count: int) -> int:
        """The first of `count` indices that were never claimed before, and never will be again."""
        if not 1 <= count <= _MOST - self._next:
            raise ValueError(f"hashing: {count} OTs cannot be numbered; between 1 and {_MOST - self._next} can")
        first = self._next
        self._next += count
        return first

    def strips(self, blocks: Blocks, first: int, words: int, width: int, offsets: Array) -> Iterator[tuple[int, Array]]:
        """`width` words from each of 64 `words` blocks, and from each with each offset added: runs with their starts.

        A run has shape (1 + offsets, 64, words of it, width), in memory that serves the next one, too. The first block
        is that of OT `first`. `offsets`: one block each, shape (offsets, 2).
        """
        from protocols.ot import kernels

        ways = 1 + len(offsets)
        at_once = min(_AT_ONCE // 64 // ways, words)
        room = _Room((ways, 64, at_once), width)
        for start in range(0, words, at_once):
            if start + at_once > words:
                room = _Room((ways, 64, words - start), width)
            blocks(start, offsets, room.x)
            self._p.encrypt_into(room.x_bytes, room.y_bytes)
            for column in range(0, width, BLOCK_WORDS):
                kernels.add_tweaks(room.y, first + 64 * start, column // BLOCK_WORDS, room.x)
                self._p.encrypt_into(room.x_bytes, room.z_bytes)
                kernels.add_words(room.y, room.z, column, room.words)
            yield start, room.words
