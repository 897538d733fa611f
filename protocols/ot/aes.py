"""AES-128 of many blocks at once, each on its own: a permutation under a public key, a generator under a secret one.

XTS (IEEE 1619) encrypts block j as E(x ^ T_j) ^ T_j with T_j = 2^j T_0, and T_0 is the encrypted tweak. For the tweak
that encrypts to zero, all of these are zero and what is left is E(x). Libraries run XTS with the widest instructions
that a processor has: here three times as fast as ECB, which is E(x) by name.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocols.ring import Array

__all__ = ["BLOCK_WORDS", "KEY", "Aes"]

KEY = 16
"""Bytes of a key."""

BLOCK_WORDS = 2


class Aes:
    """E under one key of 16 bytes. For one thread."""

    def __init__(self, key: bytes) -> None:
        second = bytes(byte ^ 0xFF for byte in key)  # any other key than the first
        tweak = Cipher(algorithms.AES(second), modes.ECB()).decryptor().update(bytes(16))  # noqa: S305 - one block
        cipher = Cipher(algorithms.AES(key + second), modes.XTS(tweak)).encryptor()
        self.encrypt_into: Callable[[memoryview, memoryview], int] = cipher.update_into
        """The same from bytes to bytes; the cipher wants room for a block more, and leaves that alone."""

    def encrypt(self, blocks: Array) -> Array:
        """Every block encrypted, in fresh memory; `blocks`: contiguous words, two a block, at most 2^20 blocks."""
        room = np.empty(blocks.size + BLOCK_WORDS, np.uint64)
        self.encrypt_into(blocks.view(np.uint8).data, room.view(np.uint8).data)
        return room[: blocks.size].reshape(blocks.shape)
