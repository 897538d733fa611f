"""A node of a consortium without a dealer, as a process of its own, altered in how it takes part in private products.

argv: "patient", which waits for the others for four seconds and no longer; "residues", whose ciphertexts and answers
hold numbers that are no residues; "words", which sends a word too many; "few", which leaves out all but the header;
"key", whose keys are for another session; or "replay", which sends again what it sent in the first session. Then the
role and the path of party.toml, as for `beaver`.
"""

from __future__ import annotations

import numpy as np
from serving import serve

from parties import handshake
from protocols.correlations import Label
from protocols.lattice import product
from protocols.lattice.encryption import HEADER_WORDS, Encryptor
from protocols.lattice.parameters import Parameters
from protocols.ot.messages import send
from protocols.prg import Stream
from protocols.ring import Array

WITHIN_S = 4.0


class Foreign(Encryptor):
    """Keys that name another session."""

    def __init__(self, peer: int, parameters: Parameters, label: Label, randomness: Stream) -> None:
        super().__init__(peer, parameters, ("another session", *label), randomness)


def alter(how: str) -> None:
    """From here on private products are made so."""
    handshake._STALL_S = WITHIN_S
    sessions: list[list[Array]] = []

    async def residues(peer: int, words: Array) -> None:
        await send(peer, words if words.size == HEADER_WORDS else words | np.uint64(0xFFFFFFFF))

    async def too_many(peer: int, words: Array) -> None:
        await send(peer, words if words.size == HEADER_WORDS else np.append(words, words[:1]))

    async def few(peer: int, words: Array) -> None:
        await send(peer, *([words] if words.size == HEADER_WORDS else []))

    async def replay(peer: int, words: Array) -> None:
        if words.size == HEADER_WORDS:
            sessions.append([])
        sessions[-1].append(words.copy())
        await send(peer, sessions[0][len(sessions[-1]) - 1])

    match how:
        case "residues":
            vars(product)["send"] = residues
        case "words":
            vars(product)["send"] = too_many
        case "few":
            vars(product)["send"] = few
        case "key":
            vars(product)["Encryptor"] = Foreign
        case "replay":
            vars(product)["send"] = replay


if __name__ == "__main__":
    serve(alter)
