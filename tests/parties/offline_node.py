"""A node of a consortium without a dealer, as a process of its own, altered in how it makes material with the others.

argv: "patient", which waits for the others for four seconds and no longer; "still", which makes nothing and says
nothing; "points", which sends bytes that are no point of the group; or "words", which sends a word too many. Then the
role and the path of party.toml, as for `beaver`.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import numpy as np

from parties import handshake, node
from parties.config import PartyConfig
from parties.log import Log
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


def main() -> None:
    """Serve until stopped."""
    how, _, path = sys.argv[1:]
    alter(how)
    config = PartyConfig.load(Path(path))
    serving = node.Node(config, Log(config.name, sys.stderr))
    signal.signal(signal.SIGTERM, lambda *_: serving.stop())
    serving.serve()


if __name__ == "__main__":
    main()
