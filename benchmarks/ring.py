"""The ring and the stream of random words, each beside the limit it runs against: one thread, medians, one run."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocols import ring
from protocols.prg import Stream

__all__ = ["main", "measure"]

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_Row = dict[str, str | float]


def measure() -> list[_Row]:
    """One row a measurement: name, ours, unit, limit, against (what the limit is), ratio (ours / limit).

    Runs in a process of its own, because BLAS takes its number of threads when numpy is imported.
    """
    command = [sys.executable, __file__, "--json"]
    done = subprocess.run(command, env=os.environ | _ONE_THREAD, capture_output=True, text=True, check=True)
    rows: list[_Row] = json.loads(done.stdout)
    return rows


def main() -> None:
    """Print the measurements as a table, or as JSON with --json, which measures in this process."""
    if "--json" in sys.argv[1:]:
        products = [_product(n) for n in (256, 512, 1024)]
        combinations = [_combine(1 << 17), _combine(10**7)]
        draws = [_draw(1000), _draw(1 << 17), _draw(10**7)]
        print(json.dumps([*products, _dot(10**7), *combinations, *draws]))
        return
    print(f"{'':<24}{'ours':>9} {'unit':<10}{'limit':>9} {'against':<32}{'ratio':>6}")
    for row in measure():
        name, ours, unit, limit, against, ratio = row.values()
        print(f"{name:<24}{ours:>9.3g} {unit:<10}{limit:>9.3g} {against:<32}{ratio:>6.2f}")


def _product(n: int) -> _Row:
    x, y = _random(n, n), _random(n, n)
    real_x, real_y = x / 2.0**64, y / 2.0**64
    times = _medians(lambda: ring.matmul(x, y), lambda: real_x @ real_y, repeat=2**31 // n**3)
    return _row(f"matmul {n}", "GMAC/s", n**3, "float64 BLAS", times)


def _dot(n: int) -> _Row:
    x, y, out = _random(n), _random(n), np.empty(n, np.uint64)
    times = _medians(lambda: ring.matmul(x, y), lambda: np.copyto(out, x), repeat=9)
    return _row(f"dot {n:.2g}", "GB/s", 16 * n, "memory copy", times)


def _combine(n: int) -> _Row:
    c, d, b, a, e, out = (_random(n) for _ in range(6))
    times = _medians(
        lambda: ring.beaver_combine(c, d, b, a, e, add_de=True, out=out),
        lambda: np.copyto(out, c + d * b + a * e + d * e),
        repeat=_repeats(n),
    )
    return _row(f"combine {n:.2g}", "GB/s", 48 * n, "numpy, the expression", times)


def _draw(n: int) -> _Row:
    stream, zeros, out = Stream(bytes(32)), bytes(8 * n), bytearray(8 * n)
    cipher = Cipher(algorithms.AES(bytes(32)), modes.CTR(bytes(16))).encryptor()
    times = _medians(lambda: stream.words(n), lambda: cipher.update_into(zeros, out), repeat=_repeats(n))
    return _row(f"draw {n:.2g}", "GB/s", 8 * n, "AES-CTR into reused memory", times)


def _row(name: str, unit: str, work: float, against: str, times: list[float]) -> _Row:
    ours, limit = (work / seconds / 1e9 for seconds in times)
    return {"name": name, "ours": ours, "unit": unit, "limit": limit, "against": against, "ratio": ours / limit}


def _medians(*calls: Callable[[], object], repeat: int) -> list[float]:
    """Median seconds of each call, after one to warm up. They take turns: whatever else runs disturbs them alike."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repeat + 1):
        for call, taken in zip(calls, times, strict=True):
            start = perf_counter()
            call()
            taken.append(perf_counter() - start)
    return [statistics.median(taken[1:]) for taken in times]


def _repeats(n: int) -> int:
    return min(1000, max(9, 10**8 // n // 4))


def _random(*shape: int) -> ring.Array:
    return Stream(os.urandom(32)).words(shape)


if __name__ == "__main__":
    main()
