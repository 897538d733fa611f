"""The measurements of whole sessions: private dots, matrix products, latency, traffic, start-up."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import mpc
from benchmarks.consortium import running
from benchmarks.exchange import exchange_seconds

__all__ = ["dots", "imports", "joint_mean", "latency"]

Row = dict[str, Any]


@mpc.computation
def dot(data):  # type: ignore[no-untyped-def]
    """A private dot product of two parties."""
    return mpc.dot(data.party("bank")["accounts"]["x"], data.party("insurer")["policies"]["y"])


@mpc.computation
def total(data):  # type: ignore[no-untyped-def]
    """A joint sum."""
    return data.table("t")["x"].sum()


@mpc.computation
def mean(data):  # type: ignore[no-untyped-def]
    """A joint mean."""
    return data.table("t")["x"].mean()


def dots(sizes: list[int], repetitions: int = 5) -> list[Row]:
    """Private dot products between two nodes, beside a bare exchange of the same bytes just before and after."""
    rows = []
    for n in sizes:
        with running({"bank": {"accounts": (n, "x")}, "insurer": {"policies": (n, "y")}}) as consortium:
            consortium.analyst.run(dot)
            bare = [exchange_seconds(8 * n)]
            results = [consortium.analyst.run(dot) for _ in range(repetitions if n <= 10**7 else 1)]
            bare.append(exchange_seconds(8 * n))
            online = float(np.median([result.timings.online for result in results]))
            limit = float(np.mean(bare))
            memory = max(consortium.peak_mb("bank"), consortium.peak_mb("insurer"))
            rows.append(
                {
                    "what": f"private dot, n = {n:,}",
                    "online_s": online,
                    "bare_exchange_s": limit,
                    "ratio": online / limit,
                    "offline_s": float(np.median([result.timings.offline for result in results])),
                    "bytes": results[0].traffic.total,
                    "bytes_over_16n": results[0].traffic.total - 16 * n,
                    "node_peak_mb": memory,
                    "peak_over_input": memory * 1e6 / (8 * n),
                }
            )
    return rows


def latency(repetitions: int = 41) -> list[Row]:
    """Three warm nodes, a sum over thirty rows: submit to result."""
    with running({party: {"t": (10, "x")} for party in ("north", "south", "west")}) as consortium:
        consortium.analyst.run(total)
        times = []
        for _ in range(repetitions):
            started = time.perf_counter()
            consortium.analyst.run(total)
            times.append(time.perf_counter() - started)
    return [
        {
            "what": "sum over 30 rows, 3 nodes, submit to result",
            "median_s": float(np.median(times)),
            "max_s": max(times),
        }
    ]


def joint_mean(rows: int = 10**7) -> list[Row]:
    """A joint mean over three tables: everything that crosses loopback, TCP headers and handshakes included."""
    with running({party: {"t": (rows, "x")} for party in ("north", "south", "west")}) as consortium:
        consortium.analyst.run(mean)
        before = _loopback_bytes()
        started = time.perf_counter()
        result = consortium.analyst.run(mean)
        seconds = time.perf_counter() - started
        moved = _loopback_bytes() - before
    return [
        {
            "what": f"joint mean over 3 x {rows:,} rows",
            "loopback_bytes": moved,
            "payload_bytes": result.traffic.total,
            "total_s": seconds,
            "load_s": result.timings.load,
            "online_s": result.timings.online,
        }
    ]


def imports(repetitions: int = 7) -> list[Row]:
    """Seconds for `import mpc` in a fresh interpreter, interpreter start taken off."""
    return [{"what": "import mpc", "median_s": _python("import mpc", repetitions) - _python("pass", repetitions)}]


def _python(code: str, repetitions: int) -> float:
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def _loopback_bytes() -> int:
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[8])
    raise RuntimeError("no loopback device")
