"""Lattice encryption: its kernels, and private products with no third party, between processes and between nodes.

`python -m benchmarks --lattice`. Beside each product stands a bare exchange of the same bytes, plain ZeroMQ over
loopback in 1 MiB messages, without sealing; then the protocol alone between two processes over sealed links, from
operands in memory to both shares in memory (`cpu_s`: of both, the threads of their sockets included); then a whole
session of two nodes, from columns in memory to the result revealed to the analyst.
"""

from __future__ import annotations

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zmq

import mpc
from benchmarks.consortium import running
from parties.allocator import keep_freed_memory
from parties.links import DataEndpoint, Links, PeerLink
from protocols import ring as words_ring
from protocols.lattice import product
from protocols.lattice.ntt import ring
from protocols.lattice.parameters import PRIMES
from protocols.prg import Stream, derive
from protocols.products import Product
from protocols.ring import Array
from protocols.rounds import Task, run_round

__all__ = ["kernels", "products"]

SIZES = [
    ((10**6,), (10**6,), 9),
    ((10**7,), (10**7,), 5),
    ((1000, 1000), (1000,), 9),
    ((512, 512), (512, 512), 5),
    ((1024, 1024), (1024, 1024), 3),
]
LARGE = ((10**8,), (10**8,), 1)

_FRAME = 1 << 20
_Row = dict[str, Any]
_Shape = tuple[int, ...]


def kernels() -> list[_Row]:
    """One thread's loops, in nanoseconds of processor time, per butterfly or multiplication.

    Beside each stands how many times as long as numpy's product of two 64-bit words that is. Each loop has a limit for
    it, between what was seen with vector instructions and, larger, without: a loop beyond it has silently lost them.
    """
    modulo, stream = ring(8192, PRIMES[:6]), Stream(bytes(32))
    x = modulo.uniform(stream, 9)
    polynomials, n = 9 * 6, 8192
    rows, columns = np.stack([x] * 32), np.stack([x] * 8)
    words, sums, sum_of_dot = (
        stream.words((9, n)),
        np.zeros((32, 8, 6, 128), np.uint32),
        np.zeros((1, 1, 6, 1), np.uint32),
    )
    a, b = stream.words(n), stream.words(n)
    numpy_ns = _best(lambda: np.multiply(a, b, out=b), 200) / n
    measured = [
        ("transform", 1.8, polynomials * 13 * n // 2, lambda: modulo.forward(x)),
        ("inverse transform", 1.8, polynomials * 13 * n // 2, lambda: modulo.inverse(x)),
        ("multiply-accumulate, matrix", 0.85, 32 * 8 * polynomials * n, lambda: modulo.accumulate(rows, columns, sums)),
        ("multiply-accumulate, dot", 1.4, polynomials * n, lambda: modulo.accumulate(x[None], x[None], sum_of_dot)),
        ("encoding", 2.5, polynomials * n, lambda: modulo.encode(words, words)),
        ("residues", 3.0, polynomials * n, lambda: modulo.residues(words[None])),
        ("uniform residues", math.inf, polynomials * n, lambda: modulo.uniform(stream, 9)),  # the cipher's time
    ]
    table: list[_Row] = []
    for what, most, count, run in measured:
        each = _best(run, 30) / count
        table.append(
            {
                "what": what,
                "ns_each": each,
                "G_per_s": 1 / each,
                "over_numpy": each / numpy_ns,
                "vectorised": "yes" if each < most * numpy_ns else f"NO: beyond {most}",
            }
        )
    for row in table[:2]:
        row["us_8192"] = row["ns_each"] * 13 * n / 2 / 1000
    return table


def products(*, large: bool = False) -> list[_Row]:
    """Private products of two parties; medians. `large`: also the dot of 10^8."""
    return [_product(*size) | _session(*size) for size in [*SIZES, *([LARGE] if large else [])]]


def _session(x_shape: _Shape, y_shape: _Shape, repetitions: int) -> _Row:
    """The same between two nodes, with numbers in [-1, 1]; the whole product is revealed."""

    def private(data: Any) -> Any:
        x, y = data.party("bank")["accounts"]["x"], data.party("insurer")["policies"]["y"]
        return x.reshape(*x_shape) @ y.reshape(*y_shape)

    tables = {
        "bank": {"accounts": (math.prod(x_shape), "x")},
        "insurer": {"policies": (math.prod(y_shape), "y")},
    }
    with running(tables, "min_rows = 1\n", "pairwise") as consortium:
        results = [consortium.analyst.run(mpc.computation(private)) for _ in range(repetitions + 1)][1:]
        return {
            "session_online_s": statistics.median(result.timings.online for result in results),
            "node_peak_MB": max(map(consortium.peak_mb, consortium.processes)),
        }


def _best(run: Callable[[], object], repetitions: int) -> int:
    """Nanoseconds of this thread: what else runs on the machine does not count as a slow loop."""
    times = []
    for _ in range(repetitions):
        started = time.thread_time_ns()
        run()
        times.append(time.thread_time_ns() - started)
    return min(times)


def _product(x_shape: _Shape, y_shape: _Shape, repetitions: int) -> _Row:
    case = json.dumps([x_shape, y_shape, repetitions])
    command = [sys.executable, "-m", "benchmarks.lattice", case, os.urandom(32).hex()]
    parties = [subprocess.Popen([*command, str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for i in (0, 1)]
    try:
        for _ in range(2):  # addresses, and that both have opened their links
            lines = [_line(party) for party in parties]
            for party, line in zip(parties, reversed(lines), strict=True):
                _tell(party, line)
        shares, rows = [np.array(_line(party), np.uint64) for party in parties], [_line(party) for party in parties]
    finally:
        for party in parties:
            if party.poll() is None:
                party.terminate()
            party.communicate()
    right = np.array_equal(words_ring.add(*shares), _checked(words_ring.matmul(_operand(x_shape), _operand(y_shape))))
    return {
        "what": f"private {_shown(x_shape)} @ {_shown(y_shape)}",
        "bare_s": max(row["bare_s"] for row in rows),
        "seconds": max(row["seconds"] for row in rows),
        "best_s": max(row["best_s"] for row in rows),
        "over_bare": max(row["seconds"] for row in rows) / max(row["bare_s"] for row in rows),
        "cpu_s": sum(row["cpu_s"] for row in rows),
        "sent_MB": rows[0]["sent_MB"],
        "answered_MB": rows[1]["sent_MB"],
        "peak_MB": max(row["peak_MB"] for row in rows),
        "right": str(right),
    }


def _line(party: subprocess.Popen[bytes]) -> Any:
    assert party.stdout is not None
    return json.loads(party.stdout.readline())


def _tell(party: subprocess.Popen[bytes], what: Any) -> None:
    assert party.stdin is not None
    party.stdin.write(json.dumps(what).encode() + b"\n")
    party.stdin.flush()


def _party(case: str, session: bytes, me: int) -> None:
    """Party 0 has the operand that is encrypted."""
    x_shape, y_shape, repetitions = json.loads(case)
    how = product.plan(Product("matmul", tuple(x_shape), tuple(y_shape)))
    keep_freed_memory()
    how.warm()
    peer = 1 - me
    endpoint, context = DataEndpoint("127.0.0.1:0"), zmq.Context()
    bare = context.socket(zmq.PAIR)
    port = bare.bind_to_random_port("tcp://127.0.0.1") if me == 0 else 0
    print(json.dumps([endpoint.address, port]), flush=True)
    address, peer_port = json.loads(input())
    if me == 1:
        bare.connect(f"tcp://127.0.0.1:{peer_port}")
    keys = [derive(session, "key", sender) for sender in (0, 1)]
    links = endpoint.open(me, {peer: PeerLink("peer", address, keys[me], keys[peer])}, session[:16])
    print("0", flush=True)
    input()
    x = me == 0 if how.x_encrypted else me == 1
    operand = _operand(tuple(x_shape if x else y_shape))
    run, words = (product.encrypt, how.words) if me == 0 else (product.answer, how.words[::-1])
    seconds, cpu, bare_seconds = [], [], []
    share = np.zeros(0, np.uint64)
    for number in range(repetitions + 1):
        bare_seconds.append(_exchange(bare, *words))
        before = _cpu()
        bare.send(b"")
        bare.recv()
        started = time.perf_counter()
        share = _drive(partial(run, peer, how, operand, (number,)), links)
        seconds.append(time.perf_counter() - started)
        cpu.append(_cpu() - before)
    print(json.dumps(_checked(share).tolist()), flush=True)
    row = {
        "seconds": statistics.median(seconds[1:]),
        "best_s": min(seconds),
        "bare_s": statistics.median(bare_seconds[1:]),
        "cpu_s": statistics.median(cpu[1:]),
        "sent_MB": 8 * words[0] / 1e6,
        "peak_MB": _peak_mb(),
    }
    print(json.dumps(row), flush=True)
    links.close()
    endpoint.close()
    bare.close()
    context.term()


def _drive(start: Callable[[], Coroutine[Any, None, Array]], links: Links) -> Array:
    """Run one party's part over the links."""
    results: list[Array] = []
    task = Task(start, done=results.append)
    while not task.finished:
        rounds = run_round([task], links.send)
        try:
            need = next(rounds)
            while True:
                need = rounds.send(links.receive(*need))
        except StopIteration:
            pass
    return results[0]


def _exchange(link: zmq.Socket[bytes], out: int, due: int) -> float:
    """Seconds for so many words each way, both parties starting at once."""
    buffer = np.zeros(_FRAME, np.uint8)
    link.send(b"")
    link.recv()
    started = time.perf_counter()
    out, due = 8 * out, 8 * due
    while out:
        size = min(_FRAME, out)
        link.send(buffer[:size], copy=False)
        out -= size
    while due:
        due -= len(link.recv(copy=False))
    link.send(b"")
    link.recv()
    return time.perf_counter() - started


def _checked(share: Array) -> Array:
    """So much of a share that a mistake would show."""
    return words_ring.sum(share * np.arange(1, share.size + 1, dtype=np.uint64).reshape(share.shape)).reshape(1)


def _shown(shape: _Shape) -> str:
    return " x ".join(f"{length:,}" for length in shape)


def _operand(shape: _Shape) -> Array:
    """Full 64-bit words, the same in all processes."""
    return Stream(derive(bytes(32), *shape)).words(shape)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_mb() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1000


if __name__ == "__main__":
    _party(sys.argv[1], bytes.fromhex(sys.argv[2]), int(sys.argv[3]))
