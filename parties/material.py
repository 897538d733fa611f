"""Where a party's correlated randomness comes from in one session: a dealer, or the parties' stocks and work."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mpc.schedule import Schedule
from mpc.sources import missing
from parties.common_stock import WEIGHT, taken
from parties.errors import Fault
from parties.handshake import Agreed, receive_words
from parties.links import Links
from parties.stock import Stock
from protocols import pairwise
from protocols.correlations import Demand, Label, Material, Source
from protocols.dealer import DealerSource, batches, correction_words
from protocols.ot.messages import InvalidMessage
from protocols.prg import Stream, derive
from protocols.ring import Array
from protocols.rounds import Need, Send, run_alone
from protocols.stock import Shares, StockSource, kind_of, rounded

__all__ = ["Made", "check_makeable", "dealt", "drive", "made_together"]

T = TypeVar("T")

_TELL_EVERY_S = 0.25

_MOST_EXPANDED = 1 << 23
"""Words that a party draws from its streams before the online phase; longer plans draw the rest on the way."""


def check_makeable(schedule: Schedule) -> None:
    """Raise Fault MATERIAL_UNAVAILABLE for a plan that wants what only a dealer can supply."""
    if where := missing(schedule, "pairwise"):
        raise Fault(
            "MATERIAL_UNAVAILABLE",
            f"{where} needs random material that the parties cannot make by themselves.",
            'Leave that step out of the script, or agree to a dealer: source = "dealer".',
        )


def dealt(agreed: Agreed, schedule: Schedule, index: int, first: int) -> Source:
    """The source that a dealer fills. `first`: the first piece of material that this party reserved."""
    corrections: dict[Label, Array] = {}
    for party, batch in batches(schedule.demands()):
        if party != index:
            continue
        sizes = [correction_words(demand) for _, demand in batch]
        words = receive_words(agreed.links, agreed.dealer, sum(sizes))
        start = 0
        for (label, _), size in zip(batch, sizes, strict=True):
            corrections[label] = words[start : start + size]
            start += size
    source = DealerSource(index, derive(agreed.secrets[agreed.dealer], "material", first), corrections)
    source.expand((each for each in schedule.demands() if index in each[1].holders), _MOST_EXPANDED)
    return source


@dataclass(frozen=True)
class Made:
    """A source that is filled, and how: elements of each kind that were `in_stock`, words that this party `sent`."""

    source: Source
    in_stock: Mapping[Demand, int]
    sent: int


def made_together(
    agreed: Agreed,
    schedule: Schedule,
    index: int,
    stock: Stock | None,
    *,
    kept: bool,
    told: Callable[[int], None],
) -> Made:
    """The source that all parties fill together: from their stocks, then afresh for this session.

    `kept`: whether the agreement lets parties have stocks. `told`: how much of what is made is there, in percent.
    """
    count = len(schedule.plan.parties)
    demands = list(schedule.demands())
    needs: Counter[Demand] = Counter()
    for _, demand in demands:
        if kind := kind_of(demand):
            needs[kind] += rounded(demand)
    at_hand: dict[Demand, int] = {}
    held: dict[Demand, Material] = {}
    first = 0
    if kept and needs:
        if stock is not None:
            with stock.forgiving():
                stock.remember(needs)
        take = partial(run_alone, partial(taken, index, count, needs, stock), WEIGHT)
        (at_hand, held), first = drive(take, agreed.links)
    shares = Shares(demands, at_hand)
    made: dict[Label, Material] = {}
    then = 0
    if shares.to_make:
        start = partial(pairwise.connected, index, count, agreed.sid, shares.to_make, Stream(os.urandom(32)))
        due = pairwise.words(count, shares.to_make)[index]
        run = partial(run_alone, start, pairwise.weight(shares.to_make))
        made, then = drive(run, agreed.links, _percent(due, told))
    return Made(StockSource(shares, held, made), shares.taken, first + then)


def _percent(due: int, told: Callable[[int], None]) -> Callable[[int], None]:
    """Tells of a number of words in percent of what is due, now and then."""
    last = time.monotonic()

    def sent(words: int) -> None:
        nonlocal last
        if due and (now := time.monotonic()) - last > _TELL_EVERY_S:
            last = now
            told(min(99, 100 * words // due))

    return sent


def drive(
    run: Callable[[Send], Generator[Need, Array, T]], links: Links, told: Callable[[int], None] = lambda words: None
) -> tuple[T, int]:
    """Run this party's side of a protocol over the links; its result, and the words sent, of which `told` is told."""
    words = 0

    def send(peer: int, parts: Sequence[Array]) -> None:
        nonlocal words
        words += sum(part.size for part in parts)
        links.send(peer, parts)
        told(words)

    running = run(send)
    try:
        need = next(running)
        while True:
            need = running.send(links.receive(*need))
    except StopIteration as stop:
        result: T = stop.value
        return result, words
    except InvalidMessage as error:
        raise Fault(
            "MESSAGE_INVALID",
            f"{links.name(error.peer)} sent {error.what}, which no party that keeps to the protocol sends.",
            "Do all parties run the same version? If so, its owner should look at that party's node.",
            peer=links.name(error.peer),
        ) from None
