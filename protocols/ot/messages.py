"""One round with one peer: send words, or receive so many of them."""

from __future__ import annotations

import numpy as np

from protocols.ring import Array
from protocols.rounds import Exchange

__all__ = ["InvalidMessage", "idle", "receive", "send"]

_NOTHING = np.empty(0, np.uint64)


class InvalidMessage(ValueError):  # noqa: N818 - it is the message that is invalid
    """A peer sent what no honest party sends. `peer`: its index; `what`: "a point that …". Shows no secret."""

    def __init__(self, peer: int, what: str) -> None:
        super().__init__(f"party {peer} sent {what}; end the session and make no use of its material")
        self.peer = peer
        self.what = what


async def send(peer: int, *parts: Array) -> None:
    """One round in which this party only sends."""
    await Exchange({peer: parts}, {})


async def receive(peer: int, words: int) -> Array:
    """One round in which this party only receives. Raises InvalidMessage where it gets another number of words."""
    received = (await Exchange({}, {peer: words})).get(peer, _NOTHING)
    if received.dtype != np.uint64 or received.shape != (words,):
        raise InvalidMessage(peer, f"{received.size} words where {words} were due")
    return received


async def idle(rounds: int) -> None:
    """So many rounds in which this party has nothing to do."""
    for _ in range(rounds):
        await Exchange({}, {})
