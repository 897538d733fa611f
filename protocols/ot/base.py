"""Base oblivious transfer: of each of `count` pairs of keys the receiver gets the one it chooses.

T. Chou, C. Orlandi, "The Simplest Protocol for Oblivious Transfer", LATINCRYPT 2015, Figure 1, over the subgroup of
prime order of edwards25519. Adversary: semi-honest; the sender learns nothing of the choices whatever it does, and the
receiver one key a pair under the computational Diffie-Hellman assumption, with HKDF-SHA256 as the random oracle.
Departures: keys are derived from the transcript (context, place, A, B) and not from the group element alone; points
outside the subgroup are refused, and so is B = A, which would make the second key a constant.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from nacl import bindings as curve

from protocols.ot.messages import InvalidMessage, receive, send
from protocols.prg import derive
from protocols.ring import Array

__all__ = ["Transcript", "choose", "offer"]

Transcript = bytes
"""What both ends saw; public."""

_POINT = 32
_WORDS = _POINT // 8


async def offer(peer: int, count: int, context: bytes) -> tuple[list[tuple[bytes, bytes]], Transcript]:
    """The sender's end, two rounds: `count` pairs of 32-byte keys. `context`: bytes of this session and direction only.

    Raises InvalidMessage for points that no receiver sends.
    """
    a = _scalar()
    A = curve.crypto_scalarmult_ed25519_base_noclamp(a)
    await send(peer, _words(A))
    answer = (await receive(peer, _WORDS * count)).tobytes()
    T = curve.crypto_scalarmult_ed25519_noclamp(a, A)
    keys = []
    for i, B in enumerate(answer[at : at + _POINT] for at in range(0, len(answer), _POINT)):
        _check(peer, B)
        if B == A:
            raise InvalidMessage(peer, "this party's own point")
        aB = curve.crypto_scalarmult_ed25519_noclamp(a, B)
        keys.append((_key(aB, context, i, A, B), _key(curve.crypto_core_ed25519_sub(aB, T), context, i, A, B)))
    return keys, _transcript(context, A, answer)


async def choose(peer: int, choices: Sequence[int], context: bytes) -> tuple[list[bytes], Transcript]:
    """The receiver's end, two rounds: for every choice, 0 or 1, that key of the pair.

    Raises InvalidMessage for a point that no sender sends.
    """
    A = (await receive(peer, _WORDS)).tobytes()
    _check(peer, A)
    scalars = [_scalar() for _ in choices]
    points = []
    for b, choice in zip(scalars, choices, strict=True):
        bG = curve.crypto_scalarmult_ed25519_base_noclamp(b)
        points.append((bG, curve.crypto_core_ed25519_add(bG, A))[choice])
    answer = b"".join(points)
    await send(peer, _words(answer))
    keys = [
        _key(curve.crypto_scalarmult_ed25519_noclamp(b, A), context, i, A, B)
        for i, (b, B) in enumerate(zip(scalars, points, strict=True))
    ]
    return keys, _transcript(context, A, answer)


def _scalar() -> bytes:
    """Uniform modulo the order of the group."""
    return bytes(curve.crypto_core_ed25519_scalar_reduce(os.urandom(64)))


def _check(peer: int, point: bytes) -> None:
    """On the curve, in the subgroup of prime order, not its neutral element, and encoded in the one canonical way."""
    if not curve.crypto_core_ed25519_is_valid_point(point):
        raise InvalidMessage(peer, "bytes that are no point of the group")


def _key(point: bytes, context: bytes, place: int, A: bytes, B: bytes) -> bytes:
    return derive(point, "base OT", context, place, A, B)


def _transcript(context: bytes, A: bytes, answer: bytes) -> Transcript:
    return derive(A, "base OT transcript", context, answer)


def _words(data: bytes) -> Array:
    return np.frombuffer(data, "<u8").astype(np.uint64, copy=False)
