"""What a plan costs, from the primitives' formulas alone. Tests compare it with counted traffic to the byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mpc.plan import Plan
from mpc.schedule import Schedule
from protocols import additive, dealer
from protocols.interface import SharingProtocol

__all__ = ["Cost", "estimate"]

_WORD = 8


@dataclass(frozen=True)
class Cost:
    """Rounds, payload bytes and material. Bytes are those of ring words; frames and handshakes come on top.

    `triple_words`: elements of all triples' a, b and c. `offline_bytes`: what the dealer sends to each party.
    """

    rounds: int
    bytes_sent: Mapping[str, int]
    triples: int
    triple_words: int
    offline_bytes: Mapping[str, int]

    def seconds(self, round_trip: float, bytes_per_second: float) -> float:
        """Online time on a network: half a round trip a round, and the busiest party's bytes on its wire."""
        return self.rounds * round_trip / 2 + max(self.bytes_sent.values(), default=0) / bytes_per_second


def estimate(plan: Plan, protocol: SharingProtocol = additive) -> Cost:
    """The cost of a plan under a protocol, with the dealer as its source."""
    schedule = Schedule(plan, protocol)
    sent = [0] * len(plan.parties)
    for secret in schedule.products.values():
        for block in secret.product.blocks():
            piece = protocol.product_cost(len(plan.parties), secret.product.of(block), secret.x_owner, secret.y_owner)
            sent = [total + words for total, words in zip(sent, piece.words, strict=True)]
    for i, step in plan.of("reveal"):
        for recipient in step.params["to"]:
            for party, name in enumerate(plan.parties):
                sent[party] += plan.types[i].size * (name != recipient)
    offline = [0] * len(plan.parties)
    triples = triple_words = 0
    for _, demand in schedule.demands():
        triples += 1
        triple_words += demand.product.words
        offline[dealer.corrected(demand)] += dealer.correction_words(demand)
    return Cost(
        schedule.rounds,
        {name: _WORD * words for name, words in zip(plan.parties, sent, strict=True)},
        triples,
        triple_words,
        {name: _WORD * words for name, words in zip(plan.parties, offline, strict=True)},
    )
