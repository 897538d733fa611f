"""What the parties handed over, put together into a result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from mpc.encoding import decode
from mpc.engine import combine
from mpc.plan import Plan
from mpc.result import Result, Timings, Traffic
from mpc.undefined import settled
from parties.errors import Fault
from protocols.ring import Array

__all__ = ["Pieces", "combined"]

Pieces = Mapping[str, Mapping[int, bytes]]
"""Result -> where a piece of the share begins -> its words."""


def combined(
    plan: Plan, analyst: str, shares: Mapping[str, Pieces], done: Mapping[str, Mapping[str, Any]], started: float
) -> Result:
    """The analyst's results from all parties' shares. `done`: what each member said in the end; nothing where nothing
    was computed. `started`: by `time.perf_counter`. Raises Fault RESULT_INCOMPLETE.
    """
    combine_from = time.perf_counter()
    results: dict[str, Any] = {}
    elsewhere: dict[str, tuple[str, ...]] = {}
    for i, step in plan.of("reveal"):
        name, to = step.params["name"], tuple(step.params["to"])
        if analyst in to:
            words = [_joined(shares[party].get(name, {}), plan.types[i].size, party) for party in plan.parties]
            results[name] = decode(combine(words), plan.types[i], step.params["unit"])
        else:
            elsewhere[name] = to
    now = time.perf_counter()

    def slowest(what: str) -> float:
        return max((float(report[what]) for report in done.values()), default=0.0)

    told = {party: done.get(party, {"rounds": 0, "bytes_sent": 0}) for party in plan.parties}
    timings = Timings(slowest("load"), slowest("offline"), slowest("online") + now - combine_from, now - started)
    traffic = Traffic(
        max(report["rounds"] for report in told.values()),
        {party: report["bytes_sent"] for party, report in told.items()},
    )
    return Result(settled(results), traffic, timings, elsewhere)


def _joined(pieces: Mapping[int, bytes], size: int, party: str) -> Array:
    share = b"".join(pieces[start] for start in sorted(pieces))
    if len(share) != 8 * size:
        raise Fault("RESULT_INCOMPLETE", f"{party} sent {len(share)} of {8 * size} bytes of a result", peer=party)
    return np.frombuffer(share, "<u8")
