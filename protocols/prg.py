"""Where every random word comes from: keys derived by HKDF-SHA256 (RFC 5869), expanded by AES-256 in counter mode.

Two parties that hold the same secret derive the same keys from the same labels, and so draw the same words. A label
names one purpose; two different labels never give the same key, and a key serves one stream only.
"""

from __future__ import annotations

import math

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocols.ring import Array

__all__ = ["Stream", "derive"]

_KEY_BYTES = 32
_WORDS_PER_BLOCK = 2  # an AES block is 128 bits
_MOST_WORDS = 1 << 60
_SEGMENT_WORDS = 1 << 17
_FIRST_COUNTER = 2
_TAG_WORDS = 2
_GCM_WORDS = 512
_ZEROS = memoryview(bytes(8 * _SEGMENT_WORDS))


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
    """Uniform 64-bit words: an AES-256-CTR keystream of one key, read as little-endian words.

    The counter of block i of segment s, each of 2^16 blocks, is s * 2^32 + 2 + i: that is how GCM counts under nonce s
    (NIST SP 800-38D, section 7.1), whose implementations are twice as fast as those of plain CTR. Never repeats: every
    draw goes on where the last one ended, and it refuses to go past 2^60 words. For one thread.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError(f"prg.Stream: a key has {_KEY_BYTES} bytes, got {len(key)}; make it with derive")
        self._key = key
        self._position = 0
        self._encryptor: CipherContext | None = None

    def words(self, shape: int | tuple[int, ...]) -> Array:
        """The next words, as a fresh array of this shape."""
        lengths = (shape,) if isinstance(shape, int) else shape
        if any(length < 0 for length in lengths):
            raise ValueError(f"prg.Stream: the shape {shape} has a negative length")
        size = math.prod(lengths)
        start = self._advance(size)
        drawn = np.empty(size + _TAG_WORDS, "<u8")
        at = 0
        while at < size:
            segment, offset = divmod(start + at, _SEGMENT_WORDS)
            length = min(size - at, _SEGMENT_WORDS - offset)
            if offset == 0 and length >= _GCM_WORDS:
                # the tag lands behind the keystream, where the next segment or nothing follows
                out = drawn[at : at + length + _TAG_WORDS].view(np.uint8).data
                AESGCM(self._key).encrypt_into(segment.to_bytes(12, "big"), _ZEROS[: 8 * length], None, out)
                self._encryptor = None
            else:
                self._continue(segment, offset, drawn[at : at + length].view(np.uint8).data)
            at += length
        return drawn[:size].reshape(lengths).astype(np.uint64, copy=False)

    def skip(self, words: int) -> None:
        """Pass over this many words, in constant time."""
        self._advance(words)
        self._encryptor = None

    def __repr__(self) -> str:
        return f"Stream(position={self._position})"

    def _advance(self, words: int) -> int:
        """Move the position on; where it was."""
        start = self._position
        if words < 0:
            raise ValueError(f"prg.Stream: {words} words; a stream only goes forward")
        if start + words > _MOST_WORDS:
            raise ValueError("prg.Stream: more than 2^60 words of one key; derive another key for the rest")
        self._position += words
        return start

    def _continue(self, segment: int, offset: int, out: memoryview) -> None:
        """Write the keystream of a segment from a word on; the cipher stays where it stops."""
        if self._encryptor is None or offset == 0:
            counter = (segment << 32) + _FIRST_COUNTER + offset // _WORDS_PER_BLOCK
            self._encryptor = Cipher(algorithms.AES(self._key), modes.CTR(counter.to_bytes(16, "big"))).encryptor()
            self._encryptor.update(bytes(offset % _WORDS_PER_BLOCK * 8))
        self._encryptor.update_into(_ZEROS[: len(out)], out)


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
