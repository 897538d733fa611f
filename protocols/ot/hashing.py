"""A tweakable correlation-robust hash: TMMO(x, i) = p(p(x) ^ i) ^ p(x), for p = AES-128 under a fixed public key.

C. Guo, J. Katz, X. Wang, Y. Yu, "Efficient and Secure Multiparty Computation from Fixed-Key Block Ciphers", IEEE S&P
2020, section 7, in the ideal-permutation model. The key is fresh for every session and direction, so that nobody can
compute ahead. A tweak is the index of an OT and the number of the output block: longer outputs cost one more call each.
"""

from __future__ import annotations

import numpy as np

from protocols.ot.aes import BLOCK_WORDS, Aes
from protocols.ring import Array

__all__ = ["Hash"]

_MOST = 1 << 62

_AT_ONCE = 1 << 13
"""Blocks hashed together: three buffers of 128 or 256 KiB stay in the second level of cache."""


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

    def words(self, blocks: Array, offsets: Array, first: int, width: int) -> Array:
        """`width` words from every block with every offset added: shape (offsets, count, width).

        `blocks`: shape (count, 2), those of OT `first` and the next ones; `offsets`: shape (offsets, 2).
        """
        from protocols.ot import kernels

        hashed = np.empty((len(offsets), len(blocks), width), np.uint64)
        for start in range(0, len(blocks), _AT_ONCE):
            part = blocks[start : start + _AT_ONCE]
            x = np.empty((len(offsets), len(part), BLOCK_WORDS), np.uint64)
            kernels.add_offsets(part, offsets, x)
            y = self._p.encrypt(x)
            for column in range(0, width, BLOCK_WORDS):
                kernels.add_tweaks(y, first + start, column // BLOCK_WORDS, x)
                kernels.add_words(y, self._p.encrypt(x), start, column, hashed)
        return hashed
