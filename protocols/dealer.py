"""The dealer source: a helper deals triples and sees neither inputs nor openings.

Beaver's commodity-based cryptography (STOC '97): trusted to deal correctly and not to collude with any party; parties
are semi-honest. PRG-compressed: every holder draws its shares from a stream it has in common with the dealer, and only
the last holder of c is sent anything: the correction c - (the other holders' shares of c).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from protocols import ring
from protocols.correlations import Label, Triple, TripleShares
from protocols.prg import Stream, derive
from protocols.ring import Array
from protocols.rounds import CHUNK_WORDS

__all__ = ["DealerSource", "batches", "correction_words", "deal"]


def correction_words(demand: Triple) -> dict[int, int]:
    """Words that the dealer sends for a triple: party -> count."""
    return {demand.holders[-1]: math.prod(demand.c_shape)}


def batches(demands: Iterable[tuple[Label, Triple]]) -> Iterator[tuple[int, list[tuple[Label, Triple]]]]:
    """The corrections that travel together: (the party they go to, its demands in order). The same at both ends."""
    waiting: dict[int, list[tuple[Label, Triple]]] = {}
    words: dict[int, int] = {}
    for label, demand in demands:
        ((party, count),) = correction_words(demand).items()
        waiting.setdefault(party, []).append((label, demand))
        words[party] = words.get(party, 0) + count
        if words[party] >= CHUNK_WORDS:
            words[party] = 0
            yield party, waiting.pop(party)
    yield from sorted(waiting.items())


def deal(demand: Triple, label: Label, secrets: Mapping[int, bytes]) -> Array:
    """The dealer's side: the correction for the last holder. `secrets`: what the dealer shares with each party."""
    *others, _ = demand.holders
    a = _total([_draw(secrets[party], label, "a", demand.a_shape) for party in demand.a_holders])
    b = _total([_draw(secrets[party], label, "b", demand.b_shape) for party in demand.b_holders])
    c = demand.product(a, b)
    for party in others:
        c = ring.subtract(c, _draw(secrets[party], label, "c", demand.c_shape))
    return c


class DealerSource:
    """A party's side. `corrections` holds what the dealer sent; each is taken out when it is used."""

    def __init__(self, index: int, secret: bytes, corrections: dict[Label, Array]) -> None:
        self._index = index
        self._secret = secret
        self._corrections = corrections
        self._drawn: set[Label] = set()

    def triple(self, label: Label, demand: Triple) -> TripleShares:
        """This party's shares. Raises ValueError when a label is drawn a second time."""
        if label in self._drawn:
            raise ValueError(f"the triple {label} was drawn before; one-time material is used once")
        self._drawn.add(label)
        a = _draw(self._secret, label, "a", demand.a_shape) if self._index in demand.a_holders else None
        b = _draw(self._secret, label, "b", demand.b_shape) if self._index in demand.b_holders else None
        last = self._index == demand.holders[-1]
        c = self._corrections.pop(label) if last else _draw(self._secret, label, "c", demand.c_shape)
        return TripleShares(a, b, c.reshape(demand.c_shape))


def _draw(secret: bytes, label: Label, letter: str, shape: tuple[int, ...]) -> Array:
    return Stream(derive(secret, "triple", letter, *label)).words(shape)


def _total(shares: list[Array]) -> Array:
    total = shares[0]
    for share in shares[1:]:
        total = ring.add(total, share)
    return total
