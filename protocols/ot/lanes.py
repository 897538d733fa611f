"""Rows of narrow numbers side by side in words, and products of bits with such rows by oblivious transfer.

A row of several columns takes as few words as it fits in, so that one pad masks all of it. Within a word all lanes add
at once: without their highest bits no carry leaves a lane, and highest bits add by XOR (L. Lamport, "Multiple Byte
Processing with Full-Word Instructions", CACM 1975). Bits shared by XOR are lanes of one bit each. One OT a product, as
in `protocols.ot.bits`. Adversary: semi-honest, up to all parties but one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from protocols import bits as planes
from protocols import ring
from protocols.columns import Column
from protocols.ot.bits import BLOCK_BITS, packed_words, runs
from protocols.ot.correlated import Mesh, Receiver, Sender
from protocols.ot.messages import receive, send
from protocols.ot.pipeline import pipelined
from protocols.ring import Array
from protocols.rounds import Task

__all__ = ["Lanes", "pieces", "scale", "select", "select_layouts"]

_WORD = 64


@dataclass(frozen=True)
class Lanes:
    """Where each column's number stands in a row of words: the first word with room for it, above those before."""

    columns: tuple[Column, ...]

    @cached_property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Each column's word, and the place of its lowest bit there."""
        used: list[int] = []
        found = []
        for column in self.columns:
            word = next((i for i, bits in enumerate(used) if bits + column.width <= _WORD), len(used))
            if word == len(used):
                used.append(0)
            found.append((word, used[word]))
            used[word] += column.width
        return tuple(found)

    @cached_property
    def words(self) -> int:
        """Words of a row."""
        return 1 + max(word for word, _ in self.places)

    @cached_property
    def tops(self) -> Array:
        """Of every word the highest bits of its lanes."""
        tops = [0] * self.words
        for column, (word, shift) in zip(self.columns, self.places, strict=True):
            lane = (1 << column.width) - 1
            tops[word] |= (lane if column.kind == "bits" else lane ^ lane >> 1) << shift
        return np.array(tops, np.uint64)

    def join(self, table: Array) -> Array:
        """The rows of a table of shape (columns, count), as shape (words, count)."""
        rows = np.zeros((self.words, table.shape[1]), np.uint64)
        for column, numbers, (word, shift) in zip(self.columns, table, self.places, strict=True):
            rows[word] |= (numbers & np.uint64(2**column.width - 1)) << np.uint64(shift)
        return rows

    def split(self, rows: Array) -> Array:
        """The table that these rows are."""
        table = np.empty((len(self.columns), rows.shape[1]), np.uint64)
        for column, numbers, (word, shift) in zip(self.columns, table, self.places, strict=True):
            np.bitwise_and(rows[word] >> np.uint64(shift), np.uint64(2**column.width - 1), out=numbers)
        return table

    def add(self, x: Array, y: Array) -> Array:
        """Lane by lane."""
        tops = self.tops[:, np.newaxis]
        return np.asarray(((x & ~tops) + (y & ~tops)) ^ ((x ^ y) & tops))

    def subtract(self, x: Array, y: Array) -> Array:
        """What, added to y, gives x."""
        tops = self.tops[:, np.newaxis]
        return np.asarray(((x | tops) - (y & ~tops)) ^ (~(x ^ y) & tops))

    def sent(self, count: int) -> int:
        """Words of so many rows in a message."""
        return sum(column.words(count) for column in self._travelling)

    def pack(self, rows: Array) -> list[Array]:
        """Rows as they travel: of every word the bits that are used."""
        return [column.pack(numbers) for column, numbers in zip(self._travelling, rows, strict=True)]

    def unpack(self, message: Array, count: int) -> Array:
        """The rows that `pack` made this of."""
        ends = np.cumsum([column.words(count) for column in self._travelling])[:-1]
        parts = zip(self._travelling, np.split(message, ends), strict=True)
        rows = [column.unpack(part, count) for column, part in parts]
        return np.stack(rows) if len(rows) > 1 else planes.usable(rows[0])[np.newaxis]

    @cached_property
    def _travelling(self) -> tuple[Column, ...]:
        used = [0] * self.words
        for column, (word, _) in zip(self.columns, self.places, strict=True):
            used[word] += column.width
        return tuple(map(Column, used))


def pieces(count: int, words: int) -> Iterator[tuple[int, int]]:
    """Where to cut so many OTs with payloads of so many words."""
    return runs(count, max(_WORD, BLOCK_BITS // words // _WORD * _WORD))


async def select(mesh: Mesh, bits: Array, numbers: Array, column: Column) -> tuple[Array, Array]:
    """This party's shares of the bits as numbers of such a column, and of the bits times `numbers`.

    `bits`: its shares by XOR, packed, of as many as there are numbers. With w and p for what the bits of some parties
    give, one more party's bit x gives w + x (1 - 2 w) and p + x (numbers - 2 p).
    """
    count = numbers.size
    words, chosen = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    for owner, holders in select_layouts(mesh.parties, column):
        rest = ring.subtract(numbers, ring.add(chosen, chosen))
        if mesh.me == owner:
            shares = await scale(mesh, bits, None, count, owner, holders)
            words = planes.unpack(bits, count)
            ring.add(chosen, ring.multiply(words, rest), out=chosen)
        else:
            lanes = holders[mesh.me]
            table = np.stack([ring.negate(ring.add(words, words)), rest])[-len(lanes.columns) :]
            shares = await scale(mesh, None, lanes.join(table), count, owner, holders)
        for peer, share in shares.items():
            *as_words, product = _between(mesh.me, peer, holders).split(share)
            ring.add(chosen, product, out=chosen)
            for word in as_words:
                ring.add(words, word, out=words)
    return words, chosen


def select_layouts(parties: Sequence[int], column: Column) -> Iterator[tuple[int, Mapping[int, Lanes]]]:
    """Whose bits `select` takes one after another, and what they multiply."""
    for owner in parties:
        yield owner, {i: Lanes((column,) * (1 + (i < owner))) for i in parties if i != owner}


async def scale(
    mesh: Mesh, bits: Array | None, rows: Array | None, count: int, owner: int, holders: Mapping[int, Lanes]
) -> dict[int, Array]:
    """Shares of b w for `count` bits b of the owner and, with each holder, as many rows w of that holder's, by peer.

    A holder gives its rows, shape (words, count), and gets its share of their products; the owner gets as many shares
    as there are holders. All parties of the mesh take part.
    """
    own_bits = mesh.held(bits, (owner,))
    own_rows = mesh.held(rows, tuple(holders))
    peers = tuple(holders) if mesh.me == owner else (owner,) if mesh.me in holders else ()
    shares = {peer: np.empty((_between(mesh.me, peer, holders).words, count), np.uint64) for peer in peers}

    async def piece(start: int, stop: int) -> None:
        async def sent(ot: Sender) -> Array:
            out = shares[ot.peer][:, start:stop]
            out[:] = await _sent(ot, holders[mesh.me], np.ascontiguousarray(own_rows[:, start:stop]))
            return out

        async def received(ot: Receiver) -> Array:
            out = shares[ot.peer][:, start:stop]
            choices = own_bits[start // _WORD : packed_words(stop)]
            out[:] = await _received(ot, holders[ot.peer], choices, stop - start)
            return out

        await mesh.cross(tuple(holders), (owner,), sent, received)

    most = max(lanes.words for lanes in holders.values())
    await pipelined(Task(partial(piece, *run), (run[1] - run[0]) * most) for run in pieces(count, most))
    return shares


def _between(me: int, peer: int, holders: Mapping[int, Lanes]) -> Lanes:
    """The layout between the owner and a holder, whichever of them is this party."""
    return holders[me] if me in holders else holders[peer]


async def _sent(ot: Sender, lanes: Lanes, rows: Array) -> Array:
    """Pads r and s: tell r - s + w, keep -r."""
    from protocols.ot import lane_kernels

    zero, one = (await ot.extend(rows.shape[1])).pads(lanes.words)
    payload, share = np.empty_like(rows), np.empty_like(rows)
    lane_kernels.scale_sent(lanes.tops, rows, zero, one, payload, share)
    await send(ot.peer, *lanes.pack(payload))
    return share


async def _received(ot: Receiver, lanes: Lanes, choices: Array, count: int) -> Array:
    """The pad chosen by b, and b times what was told: r + b w."""
    from protocols.ot import lane_kernels

    pads = (await ot.extend(choices, count)).pads(lanes.words)
    payload = lanes.unpack(await receive(ot.peer, lanes.sent(count)), count)
    share = np.empty_like(payload)
    lane_kernels.scale_received(lanes.tops, planes.unpack(choices, count), pads, payload, share)
    return share
