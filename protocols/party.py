"""What a protocol can do: exchange words, open sharings, draw from common streams, take correlated randomness."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from protocols import ring
from protocols.correlations import Demand, Label, Material, Source
from protocols.prg import Stream, derive
from protocols.products import Shape
from protocols.ring import Array
from protocols.rounds import Exchange

__all__ = ["Party"]


class Party:
    """One party of a session, seen from one step of a plan. Streams and material are labelled with that step.

    `secrets`: the 32 bytes that this party shares with each other party, for this session only.
    """

    __slots__ = ("_label", "_secrets", "_source", "count", "index")

    def __init__(
        self, index: int, count: int, secrets: Mapping[int, bytes], source: Source | None, label: Label = ()
    ) -> None:
        self.index = index
        self.count = count
        self._secrets = secrets
        self._source = source
        self._label = label

    def at(self, *label: str | int) -> Party:
        """The same party at one step or block: what it draws there is its own."""
        return Party(self.index, self.count, self._secrets, self._source, (*self._label, *label))

    @property
    def everyone(self) -> tuple[int, ...]:
        """The indices of all parties."""
        return tuple(range(self.count))

    @property
    def others(self) -> tuple[int, ...]:
        """The indices of all parties but this one."""
        return tuple(peer for peer in range(self.count) if peer != self.index)

    def common(self, peer: int, purpose: str) -> Stream:
        """The stream that this party and `peer` both have for this step and purpose, and nobody else."""
        return Stream(derive(self._secrets[peer], purpose, *self._label))

    def named(self, peer: int, purpose: str) -> Label:
        """A label that this party and `peer` both have for this session, step and purpose, and for nothing else."""
        return (purpose, *(int(word) for word in self.common(peer, purpose).words(4)))

    def draw(self, demand: Demand) -> Material:
        """This party's shares of the correlated randomness of this step."""
        if self._source is None:
            raise ValueError("this session has no source of correlated randomness")
        return self._source.draw(self._label, demand)

    def zero_share(self, shape: Shape, among: Sequence[int]) -> Array:
        """This party's share of a fresh sharing of zero among some parties, made without a message.

        Each pair draws common words; the one with the lower index adds them, the other subtracts.
        """
        share = np.zeros(shape, np.uint64)
        for peer in among:
            if peer != self.index:
                words = self.common(peer, "zero share").words(shape)
                (ring.add if self.index < peer else ring.subtract)(share, words, out=share)
        return share

    async def open(self, *sharings: tuple[Array | None, Shape, Sequence[int], Sequence[int]]) -> list[Array | None]:
        """Unmask sharings in one round: each (this party's share, shape, holders, recipients) to its recipients.

        Gives the values, None where this party is not a recipient. The caller sees to it that they are masked.
        """
        sends: dict[int, list[Array]] = {}
        expects: dict[int, int] = {}
        for share, shape, holders, recipients in sharings:
            words = math.prod(shape)
            if self.index in holders and share is not None:
                for peer in recipients:
                    if peer != self.index:
                        sends.setdefault(peer, []).append(share)
            if self.index in recipients:
                for peer in holders:
                    if peer != self.index:
                        expects[peer] = expects.get(peer, 0) + words
        received = await Exchange(sends, expects)
        opened: list[Array | None] = []
        taken = dict.fromkeys(received, 0)
        for share, shape, holders, recipients in sharings:
            if self.index not in recipients:
                opened.append(None)
                continue
            words = math.prod(shape)
            value = share if self.index in holders and share is not None else None
            for peer in holders:
                if peer != self.index and words:
                    part = received[peer][taken[peer] : taken[peer] + words].reshape(shape)
                    taken[peer] += words
                    value = part if value is None else ring.add(value, part)
            opened.append(value if value is not None else np.zeros(shape, np.uint64))
        return opened
