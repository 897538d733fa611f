"""One direction of a data link as bytes: frames sealed with AES-256-GCM, opened only whole, in order and once.

A frame is a header (route, version, kind, sender, payload length, sequence number), the encrypted payload and the tag.
The header is bound as associated data; the sequence number is the nonce: a key serves one direction of one session.
"""

from __future__ import annotations

import struct
from enum import IntEnum

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from parties.errors import Fault
from protocols.prg import derive
from protocols.rounds import FRAME_WORDS

__all__ = ["MAX_FRAME", "OVERHEAD", "ROUTE", "Kind", "Opener", "Sealer", "Words"]

Words = NDArray[np.uint64]

MAX_FRAME = 8 * FRAME_WORDS
"""Bytes of payload in one frame."""
ROUTE = 16
"""Bytes of the route that leads a frame to its session."""

_VERSION = 1
_TAG = 16
_HEADER = struct.Struct("<16sBBHIQ")
_NONCE = struct.Struct("<4xQ")
OVERHEAD = _HEADER.size + _TAG
"""Bytes that a frame is longer than its payload."""


class Kind(IntEnum):
    """What a frame carries: words of a protocol, credit, a fault report, or the word that nothing follows."""

    DATA = 0
    ACK = 1
    ABORT = 2
    END = 3


class Sealer:
    """The sending end. `key` is 32 bytes, `sender` the index of the party that sends."""

    def __init__(self, key: bytes, sender: int) -> None:
        self._cipher = AESGCM(derive(key, "seal"))
        self._route = derive(key, "route")[:ROUTE]
        self._sender = sender
        self._sequence = 0

    def seal(self, kind: Kind, payload: bytes | memoryview) -> memoryview:
        """The next frame, in memory of its own; `payload` is plain bytes, at most MAX_FRAME of them."""
        frame = np.empty(len(payload) + OVERHEAD, np.uint8).data
        header = _HEADER.pack(self._route, _VERSION, kind, self._sender, len(payload), self._sequence)
        frame[: _HEADER.size] = header
        body = frame[_HEADER.size :]
        nonce = _NONCE.pack(self._sequence)
        self._sequence += 1
        self._cipher.encrypt_into(nonce, payload, header, body)
        return frame


class Opener:
    """The receiving end: accepts exactly what the peer sealed, in order and once. `sender` is the peer's index."""

    def __init__(self, key: bytes, sender: int, name: str) -> None:
        self._cipher = AESGCM(derive(key, "seal"))
        self.route = derive(key, "route")[:ROUTE]
        self._sender = sender
        self._name = name
        self._sequence = 0

    def open(self, frame: memoryview) -> tuple[Kind, Words | bytes]:
        """Kind and payload of the next frame: fresh words for DATA, bytes for the others.

        Raises Fault FRAME_MALFORMED, FRAME_SEQUENCE or FRAME_FORGED, naming the peer; nothing is accepted after that.
        """
        if len(frame) < OVERHEAD:
            raise self._fault("FRAME_MALFORMED", "is too short to be one")
        header = frame[: _HEADER.size]
        route, version, kind, sender, length, sequence = _HEADER.unpack(header)
        if length > MAX_FRAME or length + OVERHEAD != len(frame):
            raise self._fault("FRAME_MALFORMED", f"has {len(frame)} bytes but tells of {length}, or is too long")
        if (route, version, sender) != (self.route, _VERSION, self._sender) or kind not in Kind.__members__.values():
            raise self._fault("FRAME_MALFORMED", f"is of unknown kind {kind}, version {version} or sender {sender}")
        if kind == Kind.DATA and length % 8:
            raise self._fault("FRAME_MALFORMED", f"carries {length} bytes, not whole words")
        if sequence != self._sequence:
            raise self._fault(
                "FRAME_SEQUENCE", f"is number {sequence}, not {self._sequence}: repeated, lost or reordered"
            )
        payload = np.empty(length, np.uint8)
        try:
            self._cipher.decrypt_into(_NONCE.pack(sequence), frame[_HEADER.size :], header, payload.data)
        except InvalidTag:
            raise self._fault(
                "FRAME_FORGED", f"(number {sequence}) was changed on its way or sealed by another"
            ) from None
        self._sequence += 1
        return Kind(kind), payload.view("<u8") if kind == Kind.DATA else payload.tobytes()

    def _fault(self, code: str, what: str) -> Fault:
        return Fault(
            code,
            f"A frame from {self._name} {what}; the session was ended.",
            f"Run again. If it recurs, have the network between you and {self._name} looked at.",
            peer=self._name,
        )
