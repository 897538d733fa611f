"""Correlated OT: the sender has blocks q and one offset D, the receiver for each choice bit c the block t = q ^ c D.

What every extension of OTs offers, so that another one can take the place of SoftSpoken. Hashed, the blocks become
pads: the receiver has the pad of its choice, the sender both. Roles are types; each instance serves once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from protocols.ot.aes import BLOCK_WORDS
from protocols.ot.hashing import Blocks, Hash
from protocols.ot.messages import idle
from protocols.ring import Array
from protocols.rounds import gather

__all__ = ["Mesh", "Pair", "Received", "Receiver", "Reused", "Sender", "Sent"]

_NOTHING = np.empty(0, np.uint64)


class Reused(ValueError):  # noqa: N818 - it is the pads that are reused
    """Pads were taken a second time."""

    def __init__(self) -> None:
        super().__init__("the pads of these OTs were taken before; one-time material is used once")


class Sent:
    """Correlated OTs at their sender: `count` of them from index `first`, which is claimed from `hash`."""

    def __init__(self, hash: Hash, first: int, count: int, q: Blocks, delta: Array) -> None:
        self.count = count
        self._hash = hash
        self._first = first
        self._q: Blocks | None = q
        self._delta = delta

    def strips(self, width: int = 1) -> Iterator[tuple[int, Array, Array]]:
        """Both pads of every OT in runs: the first word of each, and of shape (64, words, width) the pads of its OTs.

        OT 64 w + c has its pads at [c, w]; those of one run are gone with the next. Raises Reused the second time.
        """
        if self._q is None:
            raise Reused
        q, self._q = self._q, None
        offsets = self._delta[np.newaxis]
        for start, (zero, one) in self._hash.strips(q, self._first, -(-self.count // 64), width, offsets):
            yield start, zero, one

    def pads(self, width: int = 1) -> tuple[Array, Array]:
        """Both pads of every OT, each of shape (count, width). Raises Reused the second time."""
        from protocols.ot import kernels

        pads = np.empty((self.count, width), np.uint64), np.empty((self.count, width), np.uint64)
        for start, *strips in self.strips(width):
            for some, all_ in zip(strips, pads, strict=True):
                kernels.in_order(some, start, all_)
        return pads


class Received:
    """The same OTs at their receiver."""

    def __init__(self, hash: Hash, first: int, count: int, t: Blocks) -> None:
        self.count = count
        self._hash = hash
        self._first = first
        self._t: Blocks | None = t

    def strips(self, width: int = 1) -> Iterator[tuple[int, Array]]:
        """The chosen pad of every OT, in runs as of `Sent.strips`."""
        if self._t is None:
            raise Reused
        t, self._t = self._t, None
        none = np.empty((0, BLOCK_WORDS), np.uint64)
        for start, (pads,) in self._hash.strips(t, self._first, -(-self.count // 64), width, none):
            yield start, pads

    def pads(self, width: int = 1) -> Array:
        """The chosen pad of every OT, shape (count, width). Raises Reused the second time."""
        from protocols.ot import kernels

        pads = np.empty((self.count, width), np.uint64)
        for start, strips in self.strips(width):
            kernels.in_order(strips, start, pads)
        return pads


class Sender(Protocol):
    """Makes correlated OTs towards one peer, whose Receiver makes the same in the same order."""

    peer: int

    async def extend(self, count: int) -> Sent:
        """The next `count` OTs, at least one: one round."""
        ...


class Receiver(Protocol):
    """Makes correlated OTs for choice bits of its own, from one peer."""

    peer: int

    async def extend(self, choices: Array, count: int) -> Received:
        """The next `count` OTs, at least one, for the first bits in `choices` (whole words): one round."""
        ...


@dataclass(frozen=True)
class Pair:
    """OTs with one peer in both directions."""

    sender: Sender
    receiver: Receiver


@dataclass(frozen=True)
class Mesh:
    """One party of several, with OTs to each of the others."""

    me: int
    pairs: Mapping[int, Pair]

    @property
    def parties(self) -> tuple[int, ...]:
        """The indices of all parties, in order."""
        return tuple(sorted({self.me, *self.pairs}))

    def held(self, operand: Array | None, holders: Sequence[int]) -> Array:
        """This party's share of an operand, nothing if it is no holder. Raises ValueError for anything else."""
        if (operand is None) == (self.me in holders):
            raise ValueError("each holder of an operand has its share of it, and nobody else has one")
        return _NOTHING if operand is None else operand

    async def cross(
        self,
        senders: Sequence[int],
        receivers: Sequence[int],
        send: Callable[[Sender], Coroutine[Any, None, Array]],
        receive: Callable[[Receiver], Coroutine[Any, None, Array]],
    ) -> tuple[Array, ...]:
        """Two rounds: this party `send`s to every receiver, if it is a sender, and `receive`s from every sender.

        Gives what these ends give. All parties take part; one that is neither waits for the two rounds to pass.
        """
        ends = [
            send(self.pairs[r].sender) if s == self.me else receive(self.pairs[s].receiver)
            for s, r in sorted((s, r) for s in senders for r in receivers)  # the same order at both ends of a pair
            if s != r and self.me in (s, r)
        ]
        if not ends:
            await idle(2)
        return await gather(*ends)
