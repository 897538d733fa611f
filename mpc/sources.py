"""Where random material comes from, by the trust that an agreement names: what it can supply, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from mpc.schedule import Schedule
from protocols import additive, dealer, direct, pairwise
from protocols.interface import SharingProtocol

__all__ = ["SourceName", "missing", "offline_bytes", "offline_seconds", "protocol_for"]

SourceName = Literal["dealer", "pairwise"]
"""A helper process that sees no data; or nobody but the parties."""

_WORD = 8
_DEALT_PER_S = 30e6
"""Words of material that a dealer and the parties get ready in a second, measured: 3 to 100 million."""
_MADE_PER_S = 60e6
"""Bytes that a party sends in a second while two make material on two cores, measured: 40 to 120 million."""
_BASE_S = 0.15
_BASE_ROUNDS = 4
"""Until the first oblivious transfer: base OTs, trees, and all parties ready."""


def protocol_for(source: SourceName) -> SharingProtocol:
    """How products are computed when random material comes from this source."""
    return direct if source == "pairwise" else additive


def missing(schedule: Schedule, source: SourceName) -> str | None:
    """The first step that wants what this source cannot supply, as a person finds it; None where there is none."""
    if source == "pairwise":
        for (instruction, *_), demand in schedule.demands():
            if not pairwise.can_make(demand):
                return schedule.plan.where(schedule.program[int(instruction)].step)
    return None


def offline_bytes(schedule: Schedule, source: SourceName) -> Mapping[str, int]:
    """By party: what a dealer sends to it; or what it sends to the others. Raises ValueError for what is missing."""
    parties = schedule.plan.parties
    words = dict.fromkeys(range(len(parties)), 0)
    if source == "pairwise":
        words |= pairwise.words(len(parties), schedule.demands())
    else:
        for _, demand in schedule.demands():
            words[dealer.corrected(demand)] += dealer.correction_words(demand)
    return {name: _WORD * words[i] for i, name in enumerate(parties)}


def offline_seconds(schedule: Schedule, source: SourceName, round_trip: float, bytes_per_second: float) -> float:
    """Time until all parties have their material, on this network and two cores each: a rough estimate."""
    sent = offline_bytes(schedule, source)
    demands = [demand for _, demand in schedule.demands()]
    if not demands:
        return 0.0
    if source == "pairwise":
        most = max(sent.values())
        return _BASE_S + _BASE_ROUNDS * round_trip / 2 + max(most / bytes_per_second, most / _MADE_PER_S)
    words = sum(math.prod(part.shape) for demand in demands for part in (*demand.free, *demand.bound))
    return round_trip + max(sum(sent.values()) / bytes_per_second, words / _DEALT_PER_S)
