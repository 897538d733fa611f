"""What a plan costs, from the primitives' formulas alone. Tests compare it with counted traffic to the byte."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mpc.instructions import Reveal
from mpc.plan import Plan
from mpc.schedule import Schedule
from mpc.sources import SourceName, offline_bytes
from protocols import additive
from protocols.interface import SharingProtocol

__all__ = ["Cost", "estimate"]

_WORD = 8


@dataclass(frozen=True)
class Cost:
    """Rounds, payload bytes and material. Bytes are those of ring words; frames and handshakes come on top.

    `pieces`: correlations consumed. `material_words`: the words that they hold, each part counted once.
    `offline_bytes`: what a dealer sends to each party, or each party to the others.
    """

    rounds: int
    bytes_sent: Mapping[str, int]
    pieces: int
    material_words: int
    offline_bytes: Mapping[str, int]
    streamed: int = 0
    """Rounds among these that follow without waiting for an answer."""

    def seconds(self, round_trip: float, bytes_per_second: float) -> float:
        """Online time on a network: half a round trip a wait, and the busiest party's bytes on its wire."""
        waiting = (self.rounds - self.streamed) * round_trip / 2
        return waiting + max(self.bytes_sent.values(), default=0) / bytes_per_second


def estimate(plan: Plan, protocol: SharingProtocol = additive, source: SourceName = "dealer") -> Cost:
    """The cost of a plan under a protocol, with material from a source. Raises ValueError for what it cannot supply."""
    schedule = Schedule(plan, protocol)
    sent = [0] * len(plan.parties)
    for i, instruction in enumerate(schedule.program):
        for piece in schedule.pieces(i):
            words = schedule.cost(i, piece).words
            sent = [total + more for total, more in zip(sent, words, strict=True)]
        if isinstance(instruction.action, Reveal):
            for recipient in instruction.action.to:
                for party, name in enumerate(plan.parties):
                    sent[party] += instruction.words * (name != recipient)
    pieces = material = 0
    for _, demand in schedule.demands():
        pieces += 1
        material += sum(math.prod(part.shape) for part in (*demand.free, *demand.bound))
    return Cost(
        schedule.rounds,
        {name: _WORD * words for name, words in zip(plan.parties, sent, strict=True)},
        pieces,
        material,
        offline_bytes(schedule, source),
        schedule.rounds - schedule.waits,
    )
