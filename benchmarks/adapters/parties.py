"""What adapters of other engines share: two party processes, repetitions, and one JSON line for a measurement.

Imported by the interpreter of the other engine, so nothing of Beaver is used here.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WORKLOADS = ("divide", "sort", "median", "multiply")


def data(workload: str, n: int, rank: int) -> np.ndarray:
    """A party's input: n reals in [-1, 1], of a sort or a median its half of the n."""
    rows = n // 2 if workload in ("sort", "median") else n
    return np.random.default_rng([20261121, rank]).uniform(-1, 1, rows)


def expected(workload: str, n: int) -> np.ndarray:
    """The result by numpy."""
    x, y = data(workload, n, 0), data(workload, n, 1)
    if workload == "divide":
        return x / (y + 2)
    if workload == "multiply":
        return (x + y) * (x - y) * (x + y)
    both = np.sort(np.concatenate([x, y]))
    return both if workload == "sort" else np.asarray((both[n // 2 - 1] + both[n // 2]) / 2)


def run(
    engine: str,
    script: str,
    note: str,
    party: Callable[[argparse.Namespace], None],
    workloads: tuple[str, ...] = WORKLOADS,
) -> None:
    """As a party (--rank) take part; else start both parties for every workload, and tell what they measured."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--workloads", default=",".join(workloads))
    arguments.add_argument("--n", type=int, default=10_000)
    arguments.add_argument("--reps", type=int, default=3)
    arguments.add_argument("--timeout", type=float, default=300)
    arguments.add_argument("--rank", type=int)
    arguments.add_argument("--port", type=int)
    chosen = arguments.parse_args()
    if chosen.rank is not None:
        party(chosen)
        return
    for workload in chosen.workloads.split(","):
        if workload in workloads:
            print(json.dumps(_measured(engine, script, note, workload, chosen)), flush=True)


def repeat(chosen: argparse.Namespace, barrier: Callable[[], None], compute: Callable[[], Any]) -> None:
    """Compute as often as asked, all parties beginning together, and print seconds and error."""
    found: list[float] = []
    for _ in range(chosen.reps):
        barrier()
        started = time.perf_counter()
        result = compute()
        found.append(time.perf_counter() - started)
    differs = np.asarray(result, float).reshape(-1) - expected(chosen.workloads, chosen.n).reshape(-1)
    print(json.dumps({"seconds": found, "error": float(np.abs(differs).max())}), flush=True)


def _measured(engine: str, script: str, note: str, workload: str, chosen: argparse.Namespace) -> dict[str, Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, script, "--workloads", workload, "--n", str(chosen.n), "--reps", str(chosen.reps)]
    before = _loopback_bytes()
    processes = [
        subprocess.Popen([*command, "--rank", str(rank), "--port", str(port)], stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    row: dict[str, Any] = {"peer": engine, "workload": workload, "n": chosen.n, "note": note}
    try:
        until = time.monotonic() + chosen.timeout
        told = [process.communicate(timeout=max(1, until - time.monotonic()))[0] for process in processes]
        found = [json.loads(out.splitlines()[-1]) for out in told]
    except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
        return row | {"seconds": None, "note": f"{note}; no result: {type(error).__name__}"}
    finally:
        for process in processes:
            process.kill()
            process.wait()
    slower = [max(pair) for pair in zip(*(each["seconds"] for each in found), strict=True)]
    sent = (_loopback_bytes() - before) / 2 / chosen.reps
    return row | {
        "seconds": statistics.median(slower),
        "bytes_per_party": round(sent),
        "note": f"{note}; largest error {found[0]['error']:.1g}",
    }


def _loopback_bytes() -> int:
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == "lo":
            return int(rest.split()[8])
    return 0
