"""A node of a consortium without a dealer, as a process of its own, hostile in its oblivious transfers.

argv: one of HOW. Then the role and the path of party.toml, as for `beaver`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from serving import serve

from parties import handshake
from protocols.ot import base, gilboa, softspoken
from protocols.ot.messages import receive, send
from protocols.ring import Array

WITHIN_S = 4.0

POINTS = {
    "identity": "01" + 31 * "00",
    "small order": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "mixed order": "0b295ca87fdbe3c3fafa1e20802ce2d0d4258dd4620f2046d9de8d06e97e92a4",
    "not canonical": "f0" + 30 * "ff" + "7f",
    "off the curve": "02" + 31 * "00",
}

Send = Callable[[int, Array], Coroutine[Any, None, None]]


def altered(change: Callable[[Array], Array]) -> Send:
    """Sends something else."""

    async def other(peer: int, words: Array) -> None:
        await send(peer, change(words))

    return other


def point(words: Array, encoded: bytes) -> Array:
    """The message with another last point."""
    return np.concatenate([words[:-4], np.frombuffer(encoded, np.uint64)])


def answer_with_its_own_point() -> None:
    """For each choice of one, the sender's point itself: both keys would be known."""
    heard: dict[int, Array] = {}

    async def listen(peer: int, words: int) -> Array:
        heard[peer] = await receive(peer, words)
        return heard[peer]

    async def echo(peer: int, words: Array) -> None:
        await send(peer, words if words.size == 4 else np.tile(heard[peer], words.size // 4))

    vars(base).update(receive=listen, send=echo)


def alter(module: ModuleType, change: Callable[[Array], Array]) -> Callable[[], None]:
    """What this module sends is changed so."""
    return lambda: vars(module).update(send=altered(change))


HOW: dict[str, Callable[[], object]] = {
    "patient": lambda: None,
    "own point": answer_with_its_own_point,
    "extension too short": alter(softspoken, lambda words: words[:-1]),
    "product too long": alter(gilboa, lambda words: np.append(words, words[:1])),
    "product not sent": alter(gilboa, lambda words: words[:0]),
    "silent after base OTs": alter(softspoken, lambda words: time.sleep(3600) or words),
} | {name: alter(base, partial(point, encoded=bytes.fromhex(encoded))) for name, encoded in POINTS.items()}


def begin(how: str) -> None:
    """From here on, one of HOW; nobody waits for long."""
    handshake._STALL_S = WITHIN_S
    HOW[how]()


if __name__ == "__main__":
    serve(begin)
