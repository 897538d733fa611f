"""The dealer source: a helper deals correlations and sees neither inputs nor openings.

Beaver's commodity-based cryptography (STOC '97): trusted to deal correctly and not to collude with any party; parties
are semi-honest. PRG-compressed: every holder draws its shares from a stream it has in common with the dealer, and only
the last holder of what follows from them is sent anything: the correction, its value less the other holders' shares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from protocols import ring
from protocols.correlations import Demand, Kind, Label, Material, Part
from protocols.prg import Stream, derive
from protocols.ring import Array
from protocols.rounds import CHUNK_WORDS

__all__ = ["DealerSource", "batches", "corrected", "correction_words", "deal"]


def corrected(demand: Demand) -> int:
    """The party that the dealer sends corrections to."""
    parties = {part.holders[-1] for part in demand.bound}
    if len(parties) != 1:
        raise ValueError("all bound parts of a correlation must have the same last holder")
    return parties.pop()


def correction_words(demand: Demand) -> int:
    """Words that the dealer sends for a correlation."""
    return sum(math.prod(part.shape) for part in demand.bound)


def batches(demands: Iterable[tuple[Label, Demand]]) -> Iterator[tuple[int, list[tuple[Label, Demand]]]]:
    """The corrections that travel together: (the party they go to, its demands in order). The same at both ends."""
    waiting: dict[int, list[tuple[Label, Demand]]] = {}
    words: dict[int, int] = {}
    for label, demand in demands:
        party = corrected(demand)
        waiting.setdefault(party, []).append((label, demand))
        words[party] = words.get(party, 0) + correction_words(demand)
        if words[party] >= CHUNK_WORDS:
            words[party] = 0
            yield party, waiting.pop(party)
    yield from sorted(waiting.items())


def deal(demand: Demand, label: Label, secrets: Mapping[int, bytes]) -> Array:
    """The dealer's side: the corrections of all bound parts, one run of words. `secrets`: shared with each party."""
    free: dict[str, Array] = {}
    for part in demand.free:
        first, *others = part.holders
        free[part.name] = _draw(secrets[first], label, part)
        for party in others:
            _add(part.kind)(free[part.name], _draw(secrets[party], label, part), out=free[part.name])
    values = demand.complete(free)
    corrections = []
    for part in demand.bound:
        correction = values[part.name]
        for party in part.holders[:-1]:
            correction = _subtract(part.kind)(correction, _draw(secrets[party], label, part))
        corrections.append(correction.reshape(-1))
    return corrections[0] if len(corrections) == 1 else np.concatenate(corrections)


class DealerSource:
    """A party's side. `corrections`: what the dealer sent for each label, one run of words; taken out when used."""

    def __init__(self, index: int, secret: bytes, corrections: dict[Label, Array]) -> None:
        self._index = index
        self._secret = secret
        self._corrections = corrections
        self._drawn: set[Label] = set()
        self._expanded: dict[Label, Material] = {}

    def expand(self, demands: Iterable[tuple[Label, Demand]], most_words: int) -> None:
        """Draw from the streams ahead of use, from the first demand on, as long as so many words hold it all."""
        for label, demand in demands:
            parts = self._from_streams(demand)
            most_words -= sum(math.prod(part.shape) for part in parts)
            if most_words < 0:
                return
            self._expanded[label] = self._streamed(label, parts)

    def draw(self, label: Label, demand: Demand) -> Material:
        """This party's shares. Raises ValueError when a label is drawn a second time."""
        if label in self._drawn:
            raise ValueError(f"the material {label} was drawn before; one-time material is used once")
        self._drawn.add(label)
        held = self._expanded.pop(label, None) or self._streamed(label, self._from_streams(demand))
        if corrected(demand) == self._index:
            words, start = self._corrections.pop(label), 0
            for part in demand.bound:
                stop = start + math.prod(part.shape)
                held[part.name] = words[start:stop].reshape(part.shape)
                start = stop
        return held

    def _from_streams(self, demand: Demand) -> list[Part]:
        """The parts of which this party draws its shares."""
        parts = demand.free if corrected(demand) == self._index else (*demand.free, *demand.bound)
        return [part for part in parts if self._index in part.holders]

    def _streamed(self, label: Label, parts: Iterable[Part]) -> Material:
        return Material({part.name: _draw(self._secret, label, part) for part in parts})


def _draw(secret: bytes, label: Label, part: Part) -> Array:
    return Stream(derive(secret, "material", part.name, *label)).words(part.shape)


def _add(kind: Kind) -> Callable[..., Array]:
    return ring.add if kind == "ring" else np.bitwise_xor


def _subtract(kind: Kind) -> Callable[..., Array]:
    return ring.subtract if kind == "ring" else np.bitwise_xor
