"""Whole sessions of two nodes without a dealer, from nothing: base OTs, material, and then the computation."""

from __future__ import annotations

import statistics
from typing import Any

import mpc
from benchmarks.consortium import running
from benchmarks.numeric import less
from mpc.computation import Computation
from mpc.schedule import Schedule
from mpc.sources import offline_bytes, protocol_for

__all__ = ["sessions"]

Row = dict[str, Any]

_TERMS = "row_conditions = true\nmin_rows = 1\n"


@mpc.computation
def dot(data):  # type: ignore[no-untyped-def]
    """A dot product of two private vectors."""
    return data.party("bank")["t"]["x"] @ data.party("insurer")["t"]["x"]


@mpc.computation
def multiply_and_truncate(data):  # type: ignore[no-untyped-def]
    """Elementwise products of two private vectors, rounded because of what they are multiplied with, revealed."""
    return data.party("bank")["t"]["x"] * data.party("insurer")["t"]["x"] * 1000.123


_WORKLOADS: list[tuple[Computation, int]] = [(dot, 10**6), (multiply_and_truncate, 10**6), (less, 10**5)]


def sessions(repetitions: int = 3) -> list[Row]:
    """One row a workload: from columns in memory to the revealed result; medians of sessions after a first one.

    Bytes are what both send, offline and online.
    """
    rows = []
    for computation, n in _WORKLOADS:
        with running({"bank": {"t": (n, "x")}, "insurer": {"t": (n, "x")}}, _TERMS, "pairwise") as consortium:
            analyst = consortium.analyst
            plan = analyst.plan(computation, analyst.row_counts())
            made = sum(offline_bytes(Schedule(plan, protocol_for("pairwise")), "pairwise").values())
            results = [analyst.run(computation) for _ in range(repetitions + 1)][1:]
            offline, online = (
                statistics.median(getattr(result.timings, phase) for result in results)
                for phase in ("offline", "online")
            )
            rows.append(
                {
                    "what": f"{computation.name}, n = {n:,}",
                    "seconds": offline + online,
                    "offline_s": offline,
                    "online_s": online,
                    "mb_a_party": (made + results[0].traffic.total) / 2e6,
                    "offline_mb": made / 1e6,
                    "online_mb": results[0].traffic.total / 1e6,
                    "node_peak_mb": max(map(consortium.peak_mb, consortium.processes)),
                }
            )
    return rows
