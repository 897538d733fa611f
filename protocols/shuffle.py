"""Secure shuffle: the rows of a shared table in a uniformly random order that no party knows.

M. Chase, E. Ghosh, O. Poburinnaya, "Secret-Shared Shuffle", ASIACRYPT 2020: a party permutes what others have masked,
and a correlation dealt before (a share translation) moves the masks along. Here the parties form a chain, as servers in
S. Eskandarian, D. Boneh, "Clarion", NDSS 2022, so that the words sent grow with the parties, not with their square:
party 0 gets x less the others' masks, permutes, adds a mask of its own and hands on; each does likewise; the last adds
the correction, which leaves it with a share of the permuted table, whose other shares were dealt. Adversary:
semi-honest, up to n - 1 of n >= 2 parties, given a source that keeps faith: all that a party receives is masked by
words that only another party and the source have. Reveals nothing. n rounds.

`Place` puts rows where a shared permutation says: shuffle both together, open the permutation, which then is a uniform
one (K. Hamada, D. Ikarashi, K. Chida, K. Takahashi, "Oblivious Radix Sort", 2014).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from protocols.columns import Column, open_columns
from protocols.correlations import Demand, Kind, Label, Part
from protocols.interface import Cost
from protocols.party import Party
from protocols.primitives import Primitive
from protocols.ring import Array
from protocols.rounds import Exchange

__all__ = [
    "Place",
    "SecretPermutation",
    "Shuffle",
    "in_sequence",
    "inverse",
    "packed",
    "permutation",
    "place_bits",
    "shuffle",
    "shuffle_cost",
]


@dataclass(frozen=True)
class SecretPermutation(Demand):
    """Demand for a permutation P of `rows` of which every party has a factor, and masks to apply it once.

    Party i has `keys<i>`, from which its factor is drawn. Parties but the first have masks `a` of their shares of the
    table, parties but the last `delta` of what they hand on, and `b`, their shares of the result. The last has
    `correction`: what is missing to the result. Tables have shape (columns, rows).
    """

    parties: int
    rows: int
    columns: tuple[Column, ...]

    @property
    def free(self) -> tuple[Part, ...]:
        """Each party's own: keys, a, delta, b."""
        table = (len(self.columns), self.rows)
        last = self.parties - 1
        return (
            *(Part(f"keys{i}", (self.rows, 2), (i,)) for i in range(self.parties)),
            *(Part(f"a{i}", table, (i,)) for i in range(1, self.parties)),
            *(Part(f"{name}{i}", table, (i,)) for name in ("delta", "b") for i in range(last)),
        )

    @property
    def bound(self) -> tuple[Part, ...]:
        """The correction, packed."""
        return (Part("correction", (packed_size(self.columns, self.rows),), (self.parties - 1,)),)

    def complete(self, free: Mapping[str, Array]) -> Mapping[str, Array]:
        """D = P(a) - (the deltas, permuted by those who come after) - b."""
        total = free["a1"].copy()
        for i in range(2, self.parties):
            _add(self.columns, total, free[f"a{i}"])
        for i in range(self.parties):
            total = np.take(total, permutation(free[f"keys{i}"]), axis=1)
            if i < self.parties - 1:
                _subtract(self.columns, total, free[f"delta{i}"])
        for i in range(self.parties - 1):
            _subtract(self.columns, total, free[f"b{i}"])
        return {"correction": packed(self.columns, total)}


def permutation(keys: Array) -> NDArray[np.int64]:
    """The permutation that uniform words of shape (rows, 2) stand for: within rows^1.5 / 2^98 of uniform."""
    from protocols import sort_kernels

    order = np.empty(len(keys), np.int64)
    sort_kernels.permutation(keys, order)
    return order


async def shuffle(party: Party, columns: Sequence[Column], x: Array) -> Array:
    """This party's share of x with its rows in a fresh random order. x: shape (columns, rows)."""
    columns = tuple(columns)
    rows, last = x.shape[1], party.count - 1
    material = party.draw(SecretPermutation(party.count, rows, columns))
    words = packed_size(columns, rows)
    moving = x.copy()
    if party.index > 0:
        _subtract(columns, moving, material[f"a{party.index}"])
    for turn in party.everyone:
        senders = range(1, party.count) if turn == 0 else (turn - 1,)
        mine = party.index == turn
        if mine:  # while others compute what it waits for
            order = permutation(material[f"keys{turn}"])
            mask = _unpacked(columns, material["correction"], rows) if turn == last else material[f"delta{turn}"]
        received = await Exchange(
            {turn: [packed(columns, moving)]} if party.index in senders else {},
            dict.fromkeys(senders, words) if mine else {},
        )
        if mine:
            if turn > 0:
                moving.fill(0)
            for arrived in received.values():
                _add(columns, moving, _unpacked(columns, arrived, rows))
            moving = np.take(moving, order, axis=1)
            _add(columns, moving, mask)
    return moving if party.index == last else material[f"b{party.index}"]


def shuffle_cost(parties: int, columns: Sequence[Column], rows: int) -> Cost:
    """n rounds. Every party but the first sends its table masked to the first, every one but the last hands one on."""
    words = packed_size(columns, rows)
    return Cost(parties, tuple(words * ((i > 0) + (i < parties - 1)) for i in range(parties)))


@dataclass(frozen=True)
class Shuffle(Primitive):
    """The rows of a table of shape (columns, length) in a uniformly random order; all columns in the same one."""

    columns: int = 1

    takes: ClassVar[tuple[Kind, ...]] = ("ring",)
    gives: ClassVar[Kind] = "ring"
    block: ClassVar[int] = 0

    @property
    def input_words(self) -> tuple[int, ...]:
        """Words of the table."""
        return (self.columns * self.length,)

    def cost(self, parties: int) -> Cost:
        """n rounds."""
        return shuffle_cost(parties, (Column(),) * self.columns, self.length)

    def demands(self, parties: int) -> Iterator[tuple[Label, Demand]]:
        """One secret permutation."""
        yield (), SecretPermutation(parties, self.length, (Column(),) * self.columns)

    async def run(self, party: Party, *inputs: Array) -> Array:
        """This party's share of the table in its new order."""
        (table,) = inputs
        shuffled = await shuffle(party, (Column(),) * self.columns, table.reshape(self.columns, self.length))
        return shuffled.reshape(table.shape)

    def reference(self, *inputs: Array) -> Array:
        """The table; `run` gives its rows in some order."""
        return inputs[0]

    def warm(self) -> None:
        """Load the compiled loops."""
        from protocols import sort_kernels  # noqa: F401


@dataclass(frozen=True)
class Place(Primitive):
    """Row i of a table of shape (columns, length) goes to place destination[i].

    Inputs: the destinations, shares of a permutation of 0 ... length - 1, of which the low bits count; the table.
    """

    columns: int = 1

    takes: ClassVar[tuple[Kind, ...]] = ("ring", "ring")
    gives: ClassVar[Kind] = "ring"
    block: ClassVar[int] = 0

    @property
    def input_words(self) -> tuple[int, ...]:
        """Words of the destinations and the table."""
        return (self.length, self.columns * self.length)

    def cost(self, parties: int) -> Cost:
        """n + 1 rounds: shuffle, open the destinations."""
        opened = self._columns[0].words(self.length) * (parties - 1)
        return in_sequence(shuffle_cost(parties, self._columns, self.length), Cost(1, (opened,) * parties))

    def demands(self, parties: int) -> Iterator[tuple[Label, Demand]]:
        """One secret permutation."""
        yield (), SecretPermutation(parties, self.length, self._columns)

    async def run(self, party: Party, *inputs: Array) -> Array:
        """This party's share of the table, every row in its place."""
        destination, table = inputs
        rows = np.vstack([destination, table.reshape(self.columns, self.length)])
        destination, *shuffled = await shuffle(party, self._columns, rows)
        (opened,) = await open_columns(party, (self._columns[0], destination))
        return np.take(np.stack(shuffled), inverse(opened), axis=1).reshape(table.shape)

    def reference(self, *inputs: Array) -> Array:
        """The table, every row in its place."""
        destination, table = inputs
        return table[..., inverse(destination & np.uint64(2 ** place_bits(self.length) - 1))]

    def warm(self) -> None:
        """Load the compiled loops."""
        from protocols import sort_kernels  # noqa: F401

    @property
    def _columns(self) -> tuple[Column, ...]:
        return (Column(place_bits(self.length)), *(Column(),) * self.columns)


def place_bits(rows: int) -> int:
    """Bits of a place among so many rows."""
    return max(rows - 1, 1).bit_length()


def inverse(places: Array) -> NDArray[np.int64]:
    """Which row is at each place. Raises ValueError where the places are not a permutation."""
    if np.any(places >= len(places)):
        raise ValueError("opened places are no permutation: a party or the source of material broke the protocol")
    order = np.full(len(places), -1, np.int64)
    order[places] = np.arange(len(places))
    if np.any(order < 0):
        raise ValueError("opened places are no permutation: a party or the source of material broke the protocol")
    return order


def in_sequence(*costs: Cost) -> Cost:
    """The cost of one after another."""
    return Cost(sum(cost.rounds for cost in costs), tuple(map(sum, zip(*(cost.words for cost in costs), strict=True))))


def packed_size(columns: Sequence[Column], rows: int) -> int:
    """Words of a table in a message."""
    return sum(column.words(rows) for column in columns)


def packed(columns: Sequence[Column], table: Array) -> Array:
    """A table as it travels."""
    return np.concatenate([column.pack(numbers) for column, numbers in zip(columns, table, strict=True)])


def _unpacked(columns: Sequence[Column], words: Array, rows: int) -> Array:
    table = np.empty((len(columns), rows), np.uint64)
    start = 0
    for column, numbers in zip(columns, table, strict=True):
        numbers[:] = column.unpack(words[start : start + column.words(rows)], rows)
        start += column.words(rows)
    return table


def _add(columns: Sequence[Column], table: Array, other: Array) -> None:
    """Add to the table, in place."""
    for column, numbers, others in zip(columns, table, other, strict=True):
        column.add(numbers, others, out=numbers)


def _subtract(columns: Sequence[Column], table: Array, other: Array) -> None:
    for column, numbers, others in zip(columns, table, other, strict=True):
        column.subtract(numbers, others, out=numbers)
