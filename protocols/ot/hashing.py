"""A tweakable correlation-robust hash: TMMO(x, i) = p(p(x) ^ i) ^ p(x), for p = AES-128 under a fixed public key.

C. Guo, J. Katz, X. Wang, Y. Yu, "Efficient and Secure Multiparty Computation from Fixed-Key Block Ciphers", IEEE S&P
2020, section 7, in the ideal-permutation model. The key is fresh for every session and direction, so that nobody can
compute ahead. A tweak is the index of an OT and the number of the output block: longer outputs cost one more call each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from protocols.ot.aes import BLOCK_WORDS, Aes
from protocols.ring import Array

__all__ = ["Blocks", "Hash"]

_MOST = 1 << 62

Blocks = Callable[[int, Array, Array], None]
"""Fills an array of shape (offsets, count, 2): at [o, i] the block of OT start + i with offset o added.

Called with start, a multiple of 64, the offsets, shape (offsets, 2), and the array; count is a multiple of 64, too, and
what stands beyond the last OT means nothing.
"""

_AT_ONCE = 1 << 14
"""Blocks hashed together: measured: three buffers of 256 KiB stay in the second level of cache."""


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

    def words(self, blocks: Blocks, first: int, count: int, width: int, offsets: Array) -> Array:
        """`width` words from each of `count` blocks with each offset added: shape (offsets, count, width).

        The first block is that of OT `first`. `offsets`: one block each, shape (offsets, 2).
        """
        from protocols.ot import kernels

        hashed = np.empty((len(offsets), count, width), np.uint64)
        at_once = min(_AT_ONCE // len(offsets), -(-count // 64) * 64)
        buffers = np.empty((3, len(offsets) * at_once + 1, BLOCK_WORDS), np.uint64)  # the cipher wants a block more
        for start in range(0, count, at_once):
            stop = min(start + at_once, count)
            shape = len(offsets), -(-(stop - start) // 64) * 64, BLOCK_WORDS
            x, y, z = (buffer[: shape[0] * shape[1]].reshape(shape) for buffer in buffers)
            blocks(start, offsets, x)
            self._encrypt(buffers[0], buffers[1], x.nbytes)
            for column in range(0, width, BLOCK_WORDS):
                kernels.add_tweaks(y, first + start, column // BLOCK_WORDS, x)
                self._encrypt(buffers[0], buffers[2], x.nbytes)
                kernels.add_words(y, z, start, stop - start, column, hashed)
        return hashed

    def _encrypt(self, blocks: Array, into: Array, size: int) -> None:
        self._p.encrypt_into(blocks.reshape(-1).view(np.uint8).data[:size], into.reshape(-1).view(np.uint8).data)
