"""Where a party's correlated randomness comes from in one session: a dealer, or all parties together."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TypeVar

from mpc.schedule import Schedule
from mpc.sources import missing
from parties.errors import Fault
from parties.handshake import Agreed, receive_words
from parties.links import Links
from protocols import pairwise
from protocols.correlations import Label, Source
from protocols.dealer import DealerSource, batches, correction_words
from protocols.ot.messages import InvalidMessage
from protocols.prg import Stream, derive
from protocols.ring import Array
from protocols.rounds import Need, Send, run_alone

__all__ = ["check_makeable", "dealt", "drive", "made_together"]

T = TypeVar("T")


def check_makeable(schedule: Schedule) -> None:
    """Raise Fault MATERIAL_UNAVAILABLE for a plan that wants what only a dealer can supply."""
    if where := missing(schedule, "pairwise"):
        raise Fault(
            "MATERIAL_UNAVAILABLE",
            f"{where} needs random material that the parties cannot make by themselves.",
            'Leave sorting, medians and quantiles out of the script, or agree to a dealer: source = "dealer".',
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
    return DealerSource(index, derive(agreed.secrets[agreed.dealer], "material", first), corrections)


def made_together(agreed: Agreed, schedule: Schedule, index: int, session: bytes) -> Source:
    """The source that all parties fill together, afresh for this session. Nothing of it outlives the session."""
    demands = list(schedule.demands())
    if not demands:
        return pairwise.PairwiseSource({})
    count = len(schedule.plan.parties)
    start = partial(pairwise.connected, index, count, session, demands, Stream(os.urandom(32)))
    made, _ = drive(partial(run_alone, start, pairwise.weight(demands)), agreed.links)
    return pairwise.PairwiseSource(made)


def drive(run: Callable[[Send], Generator[Need, Array, T]], links: Links) -> tuple[T, int]:
    """Run this party's side of a protocol over the links; its result, and the words sent."""
    words = 0

    def send(peer: int, parts: Sequence[Array]) -> None:
        nonlocal words
        words += sum(part.size for part in parts)
        links.send(peer, parts)

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
