"""A node of a consortium without a dealer, as a process of its own, altered in how it makes material with the others.

argv: "patient", which waits for the others for four seconds and no longer; "still", which makes nothing and says
nothing; "points", which sends bytes that are no point of the group; or "words", which sends a word too many. Then the
role and the path of party.toml, as for `beaver`.
"""

from __future__ import annotations

import time

import numpy as np
from serving import serve

from parties import handshake, node
from protocols.ot import base
from protocols.ot.messages import send
from protocols.ring import Array

WITHIN_S = 4.0


def alter(how: str) -> None:
    """From here on material is made so."""

    async def points(peer: int, words: Array) -> None:
        await send(peer, np.full_like(words, ~np.uint64(0)))

    async def words(peer: int, words: Array) -> None:
        await send(peer, np.append(words, words[:1]))

    match how:
        case "patient":
            handshake._STALL_S = WITHIN_S
        case "still":
            vars(node)["made_together"] = lambda *_, **__: time.sleep(3600)
        case "points":
            vars(base)["send"] = points
        case "words":
            vars(base)["send"] = words


if __name__ == "__main__":
    serve(alter)
