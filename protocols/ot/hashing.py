"""A tweakable correlation-robust hash: TMMO(x, i) = p(p(x) ^ i) ^ p(x), for p = AES-128 under a fixed public key.

C. Guo, J. Katz, X. Wang, Y. Yu, "Efficient and Secure Multiparty Computation from Fixed-Key Block Ciphers", IEEE S&P
2020, section 7, in the ideal-permutation model. The key is fresh for every session and direction, so that nobody can
compute ahead. A tweak is the index of an OT and the number of the output block: longer outputs cost one more call each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from protocols.ot.aes import BLOCK_WORDS, Aes
from protocols.ring import Array

__all__ = ["Blocks", "Hash"]

_MOST = 1 << 62

Blocks = Callable[[int, int], Array]
"""Gives the blocks of OTs from one place, a multiple of 64, to another: shape (count, 2)."""

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

    def words(self, blocks: Blocks, first: int, count: int, width: int, offsets: Sequence[Array]) -> Array:
        """`width` words from each of `count` blocks with each offset added: shape (offsets, count, width).

        The first block is that of OT `first`. An offset is one block.
        """
        from protocols.ot import kernels

        hashed = np.empty((len(offsets), count, width), np.uint64)
        for start in range(0, count, _AT_ONCE):
            stop = min(start + _AT_ONCE, count)
            part = blocks(start, stop)
            x = np.empty_like(part)
            for offset, out in zip(offsets, hashed[:, start:stop], strict=True):
                kernels.add_offset(part, offset, x)
                y = self._p.encrypt(x)
                for column in range(0, width, BLOCK_WORDS):
                    kernels.add_tweaks(y, first + start, column // BLOCK_WORDS, x)
                    kernels.add_words(y, self._p.encrypt(x), column, out)
        return hashed
