"""A tree of seeds of which one party has all leaves, the other all but one: the punctured PRF that extension needs.

O. Goldreich, S. Goldwasser, S. Micali, "How to Construct Random Functions", J. ACM 1986; used as in L. Roy,
"SoftSpokenOT", CRYPTO 2022. The hole's path is chosen by one base OT a level.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

__all__ = ["SEED", "grow", "regrow", "xor"]

SEED = 16
"""Bytes of a seed."""


def grow(root: bytes, depth: int) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    """The 2^depth leaves; and for each level, from the top, the sums of its left seeds and of its right ones."""
    level, sums = [root], []
    for _ in range(depth):
        level = [child for seed in level for child in _children(seed)]
        sums.append((xor(level[0::2]), xor(level[1::2])))
    return level, sums


def regrow(hole: int, sums: Sequence[bytes]) -> list[bytes | None]:
    """All leaves but leaf `hole`, from the sum at each level of the side that the path to the hole does not take."""
    depth = len(sums)
    level: list[bytes | None] = [None]
    for height, total in zip(reversed(range(depth)), sums, strict=True):
        sibling = hole >> height ^ 1
        level = [child for seed in level for child in (_children(seed) if seed is not None else (None, None))]
        known = (seed for seed in level[sibling & 1 :: 2] if seed is not None)
        level[sibling] = xor([total, *known])
    return level


def xor(parts: Iterable[bytes]) -> bytes:
    """The exclusive or of seeds."""
    total = 0
    for part in parts:
        total ^= int.from_bytes(part, "big")
    return total.to_bytes(SEED, "big")


def _children(seed: bytes) -> tuple[bytes, bytes]:
    """A generator that doubles its seed: two blocks of AES-128 in counter mode."""
    blocks = Cipher(algorithms.AES(seed), modes.CTR(bytes(16))).encryptor().update(bytes(2 * SEED))
    return blocks[:SEED], blocks[SEED:]
