"""What parties do with their stocks together: take the same stretches of it, each once; fill it up.

Every party tells every other which batches it has and how far each is used up. Only what all have counts, from where
the one that used most has come to: so a party whose state was restored from an old copy, or that lost a batch, makes
nobody use anything twice. Adversary: semi-honest; a list that is untrue wastes material, and does no more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from parties.stock import Segment, Stock
from parties.stock_index import CHUNK, MOST_ELEMENTS, Batch, name_of
from protocols import pairwise
from protocols.correlations import Demand, Label, Material
from protocols.ot.messages import InvalidMessage
from protocols.ot.softspoken import connect
from protocols.prg import Stream, derive
from protocols.ring import Array
from protocols.rounds import Exchange
from protocols.stock import UNIT, joined, lengthened, unit_words

__all__ = ["WEIGHT", "Filled", "Wants", "due", "filled", "taken"]

WEIGHT = 1 << 19
"""At least the words that one party sends another in a round."""

_BATCH = 1 << 16
"""Elements made at a time; between two of them a waiting session is let in."""
_MOST_LISTED = 1 << 16
_MOST_SEGMENTS = 128
"""Files open at once in a session."""
_ROW = 5
_ID_WORDS = 2
_DIGEST_WORDS = 4

Key = tuple[bytes, bytes, int]
"""A batch by which parties know that it is the same: id, kind, end."""


async def taken(
    me: int, parties: int, needs: Mapping[Demand, int], stock: Stock | None
) -> tuple[dict[Demand, int], dict[Demand, Material]]:
    """Take up to so many elements of each kind from stock: how many there are for all parties, and this one's shares.

    Three rounds. `needs` is the same at every party; one without a stock takes part, and then there is nothing. What
    one party cannot read nobody uses, nor anything when parties were told different lists. Raises InvalidMessage.
    """
    kinds = {name_of(kind): kind for kind in needs}
    own: list[Batch] = []
    if stock is not None:
        with stock.forgiving():
            own = _of_kinds(stock, list(kinds))
    common = await _common(me, parties, list(kinds), own)
    if stock is not None:
        with stock.forgiving():
            stock.drop(batch.id for batch in own if _key(batch) not in common)
    segments = _assigned(common, {name_of(kind): elements for kind, elements in needs.items()})
    shares = stock.take(kinds, segments) if stock is not None else []
    flags = np.zeros(_MOST_SEGMENTS, np.uint64)
    flags[: len(shares)] = [share is not None for share in shares]
    mine = np.concatenate([_digest(segments), flags])
    said = await _told(me, parties, mine, mine.size)
    agreed = all(np.array_equal(words[:_DIGEST_WORDS], mine[:_DIGEST_WORDS]) for words in said.values())
    told = [words[_DIGEST_WORDS:] for words in said.values()]
    at_hand: dict[Demand, int] = {}
    pieces: dict[Demand, list[Material]] = {}
    kind_of = {id: kinds[kind] for id, kind, _ in common}
    for i, segment in enumerate(segments):
        if agreed and all(flag[i] for flag in told) and (share := shares[i]) is not None:
            kind = kind_of[segment.id]
            at_hand[kind] = at_hand.get(kind, 0) + segment.stop - segment.start
            pieces.setdefault(kind, []).append(share)
    return at_hand, {kind: joined(held) for kind, held in pieces.items()}


@dataclass(frozen=True)
class Wants:
    """How full one party wants its stock: elements of every kind, and bytes in all."""

    elements: int
    most_bytes: int


class Filled(NamedTuple):
    """What a refill made, elements by kind, and the `level` of whoever wants least: no more is made than that."""

    made: dict[Demand, int]
    level: int


async def filled(
    me: int,
    parties: int,
    session: bytes,
    names: Sequence[bytes],
    stock: Stock,
    wants: Wants,
    draw: Stream,
    now: Callable[[], float],
    alone: Callable[[], bool],
) -> Filled:
    """Make material of these kinds with all others, until the level of whoever wants least is reached.

    A kind that a party does not know is left out. It ends before the next batch as soon as one party is not `alone` any
    more. `session`: bytes that name this session and no other. Raises InvalidMessage, and Fault STATE_UNWRITABLE.
    """
    known = {name: kind for name, kind in stock.kinds().items() if name in names}
    own = _of_kinds(stock, names)
    common = await _common(me, parties, names, own)
    stock.drop(batch.id for batch in own if _key(batch) not in common)
    room = max(0, wants.most_bytes - sum(batch.bytes for batch in stock.batches()))
    said = np.array([*(name in known for name in names), wants.elements, room], np.uint64)
    everyone = await _told(me, parties, said, len(names) + 2)
    level = min(int(each[-2]) for each in everyone.values())
    levels = {name: level for i, name in enumerate(names) if all(each[i] for each in everyone.values())}
    rooms = {party: int(each[-1]) for party, each in everyone.items()}
    mesh = None
    made: dict[Demand, int] = {}
    for number, (name, elements) in enumerate(due(known, levels, rooms, common)):
        ready = await _told(me, parties, np.array([alone()], np.uint64), 1)
        if not all(flag[0] for flag in ready.values()):
            break
        if mesh is None:
            mesh = await connect(me, range(parties), session)
        kind = known[name]
        lengths = (min(CHUNK, elements - start) for start in range(0, elements, CHUNK))
        pieces: list[tuple[Label, Demand]] = [((number, i), lengthened(kind, each)) for i, each in enumerate(lengths)]
        shares = await pairwise.make(mesh, session, pieces, draw)
        id = derive(session, "batch", number)[: 8 * _ID_WORDS]
        stock.add(id, kind, [(piece, shares[label]) for label, piece in pieces], int(now()))
        made[kind] = made.get(kind, 0) + elements
    return Filled(made, level)


async def _common(me: int, parties: int, names: Sequence[bytes], own: Sequence[Batch]) -> dict[Key, int]:
    """The batches that all parties have, and from where on nobody has used them. Two rounds."""
    place = {name: i for i, name in enumerate(names)}
    rows = [
        [place[batch.kind], *(int(word) for word in np.frombuffer(batch.id, "<u8")), batch.next, batch.end]
        for batch in own[:_MOST_LISTED]
    ]
    mine = np.array(rows, np.uint64).reshape(-1)
    counts = await _told(me, parties, np.array([len(rows)], np.uint64), 1)
    for party, count in counts.items():
        if count[0] > _MOST_LISTED:
            raise InvalidMessage(party, "a list of batches of more than there can be")
    others = {party: int(count[0]) * _ROW for party, count in counts.items() if party != me}
    received = await Exchange({peer: [mine] for peer in others}, others)
    lists = {peer: _parsed(peer, received.get(peer, mine[:0]), names) for peer in others}
    lists[me] = {_key(batch): batch.next for batch in own[:_MOST_LISTED]}
    every = set.intersection(*(set(each) for each in lists.values()))
    return {key: max(each[key] for each in lists.values()) for key in sorted(every)}


def _parsed(peer: int, words: Array, names: Sequence[bytes]) -> dict[Key, int]:
    """A party's list. Raises InvalidMessage for one that no stock has."""
    listed: dict[Key, int] = {}
    rows = words.reshape(-1, _ROW)
    for row in rows:
        place, first, end = int(row[0]), int(row[-2]), int(row[-1])
        if place >= len(names) or not first <= end <= MOST_ELEMENTS or first % UNIT or end % UNIT:
            raise InvalidMessage(peer, "a list of batches that no stock has")
        listed[row[1 : 1 + _ID_WORDS].astype("<u8").tobytes(), names[place], end] = first
    if len({id for id, _, _ in listed}) != len(rows):
        raise InvalidMessage(peer, "a list that has a batch twice")
    return listed


async def _told(me: int, parties: int, words: Array, count: int) -> dict[int, Array]:
    """What every party says in so many words, this one included: one round."""
    others = [peer for peer in range(parties) if peer != me]
    received = await Exchange({peer: [words] for peer in others}, dict.fromkeys(others, count))
    return {me: words} | {peer: received.get(peer, words[:0]) for peer in others}


def _assigned(common: Mapping[Key, int], needs: Mapping[bytes, int]) -> list[Segment]:
    """The stretches that serve the needs, the same at every party."""
    left = dict(needs)
    segments: list[Segment] = []
    for (id, kind, end), start in common.items():
        count = min(left[kind], end - start)
        if count > 0 and len(segments) < _MOST_SEGMENTS:
            segments.append(Segment(id, start, start + count))
            left[kind] -= count
    return segments


def _digest(segments: Sequence[Segment]) -> Array:
    """What parties compare that are about to use these segments, in this order."""
    rows = b"".join(id + start.to_bytes(8, "big") + stop.to_bytes(8, "big") for id, start, stop in segments)
    return np.frombuffer(hashlib.sha256(b"beaver stretches 1" + rows).digest(), "<u8").astype(np.uint64)


def due(
    kinds: Mapping[bytes, Demand], levels: Mapping[bytes, int], rooms: Mapping[int, int], common: Mapping[Key, int]
) -> list[tuple[bytes, int]]:
    """The batches to make, (kind, elements), the same at every party: kinds by turns, while every party has room.

    `levels`: the elements that there should be, of each kind; `rooms`: bytes left, by party; `common`: what is there.
    """
    there = dict.fromkeys(kinds, 0)
    for (_, kind, end), start in common.items():
        if kind in there:
            there[kind] += end - start
    lacks = {name: level - there[name] for name, level in levels.items() if _lacking(level, there[name])}
    room = dict(rooms)
    batches: list[tuple[bytes, int]] = []
    while lacks:
        for name in list(lacks):
            elements = UNIT * -(-min(lacks[name], _BATCH) // UNIT)
            sizes = {party: 8 * unit_words(kinds[name], party) * (elements // UNIT) for party in room}
            if any(sizes[party] > left for party, left in room.items()):
                del lacks[name]
                continue
            room = {party: left - sizes[party] for party, left in room.items()}
            batches.append((name, elements))
            lacks[name] -= elements
            if lacks[name] <= 0:
                del lacks[name]
    return batches


def _lacking(level: int, there: int) -> bool:
    """Whether so little is there that more is to be made: not for every element that is taken."""
    return level > 0 and level - there >= max(1, level // 8)


def _of_kinds(stock: Stock, names: Sequence[bytes]) -> list[Batch]:
    return [batch for batch in stock.batches() if batch.kind in names]


def _key(batch: Batch) -> Key:
    """How parties know that it is the same."""
    return batch.id, batch.kind, batch.end
