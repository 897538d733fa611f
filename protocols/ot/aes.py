"""AES-128 of many blocks at once, each on its own: a permutation under a public key, a generator under a secret one.

XTS (IEEE 1619) encrypts block j as E(x ^ T_j) ^ T_j with T_j = 2^j T_0, and T_0 is the encrypted tweak. For the tweak
that encrypts to zero, all of these are zero and what is left is E(x). Libraries run XTS with the widest instructions
that a processor has: here three times as fast as ECB, which is E(x) by name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

__all__ = ["BLOCK_WORDS", "KEY", "Aes"]

KEY = 16
"""Bytes of a key."""

BLOCK_WORDS = 2


_SECOND = b"XTS: a tweak key"
"""No secret: it only has to differ from the first key, as all but one do."""


class Aes:
    """E under one key of 16 bytes. For one thread."""

    def __init__(self, key: bytes) -> None:
        cipher = Cipher(algorithms.AES(key + _SECOND), modes.XTS(_tweak())).encryptor()
        self.encrypt_into: Callable[[memoryview, memoryview], int] = cipher.update_into
        """Every block of some bytes, at most 2^20; the cipher wants room for a block more, and leaves that alone."""


@cache
def _tweak() -> bytes:
    """What encrypts to zero under the second key."""
    return Cipher(algorithms.AES(_SECOND), modes.ECB()).decryptor().update(bytes(16))  # noqa: S305 - one block
