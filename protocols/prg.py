"""Where every random word comes from: keys derived by HKDF-SHA256 (RFC 5869), expanded by AES-256 in counter mode.

Two parties that hold the same secret derive the same keys from the same labels, and so draw the same words. A label
names one purpose; two different labels never give the same key, and a key serves one stream only.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocols.ring import Array

__all__ = ["Stream", "derive"]

_KEY_BYTES = 32
_WORDS_PER_BLOCK = 2  # an AES block is 128 bits
_MOST_WORDS = 1 << 60
_ZEROS = memoryview(bytes(1 << 18))


def derive(secret: bytes, *label: str | int | bytes) -> bytes:
    """The 32-byte key that `label` names under `secret` (at least 16 bytes). Equal keys only for equal labels.

    1, "1" and b"1" are different labels, and so are ("ab", "c") and ("a", "bc"). Raises ValueError for a short secret,
    TypeError for a label that is not made of str, int (not bool) and bytes.
    """
    if len(secret) < 16:
        raise ValueError(f"prg.derive: a secret of {len(secret)} bytes is too short; give at least 16 random bytes")
    info = b"beaver key v1" + b"".join(map(_encoded, label))
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(secret)


class Stream:
    """Uniform 64-bit words: the AES-256-CTR keystream of one key, counter from zero, read as little-endian words.

    It never repeats: every draw goes on where the last one ended, and it refuses to go past 2^60 words. For one thread.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError(f"prg.Stream: a key has {_KEY_BYTES} bytes, got {len(key)}; make it with derive")
        self._algorithm = algorithms.AES(key)
        self._position = 0
        self._seek(0)

    def words(self, shape: int | tuple[int, ...]) -> Array:
        """The next words, as a fresh array of this shape."""
        drawn = np.empty(shape, "<u8")
        self._advance(drawn.size)
        keystream = drawn.reshape(-1).view(np.uint8).data
        for start in range(0, len(keystream), len(_ZEROS)):
            part = keystream[start : start + len(_ZEROS)]
            self._encryptor.update_into(_ZEROS[: len(part)], part)
        return drawn.astype(np.uint64, copy=False)

    def skip(self, words: int) -> None:
        """Pass over this many words, in constant time."""
        self._advance(words)
        self._seek(self._position)

    def __repr__(self) -> str:
        return f"Stream(position={self._position})"

    def _advance(self, words: int) -> None:
        if words < 0:
            raise ValueError(f"prg.Stream: {words} words; a stream only goes forward")
        if self._position + words > _MOST_WORDS:
            raise ValueError("prg.Stream: more than 2^60 words of one key; derive another key for the rest")
        self._position += words

    def _seek(self, position: int) -> None:
        counter = (position // _WORDS_PER_BLOCK).to_bytes(16, "big")
        self._encryptor = Cipher(self._algorithm, modes.CTR(counter)).encryptor()
        self._encryptor.update(bytes(position % _WORDS_PER_BLOCK * 8))


def _encoded(part: str | int | bytes) -> bytes:
    """A tag for the type, the length, the content: what one part encodes to is never the start of another's."""
    if type(part) is str:
        tag, content = b"s", part.encode()
    elif type(part) is int:
        tag, content = b"i", part.to_bytes(part.bit_length() // 8 + 1, "big", signed=True)
    elif type(part) is bytes:
        tag, content = b"b", part
    else:
        raise TypeError(f"prg.derive: a label is made of str, int and bytes, not {type(part).__name__}")
    return tag + len(content).to_bytes(8, "big") + content
