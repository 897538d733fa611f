"""Lattice encryption: its kernels, and private products of two processes over sealed links, with no third party.

`python -m benchmarks.lattice [--json]`, about half a minute. Beside each product stands a bare exchange of the same
bytes: plain ZeroMQ over loopback, without sealing, in 1 MiB messages. Times are from operands in memory to both shares
in memory; `cpu_s` is of both processes, the threads of their sockets included.
"""

from __future__ import annotations

import json
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

__all__ = ["kernels", "main", "products"]

SIZES = [
    ((10**6,), (10**6,), 9),
    ((10**7,), (10**7,), 5),
    ((1000, 1000), (1000,), 9),
    ((512, 512), (512, 512), 5),
    ((1024, 1024), (1024, 1024), 2),
]

_FRAME = 1 << 20
_Row = dict[str, Any]
_Shape = tuple[int, ...]


def kernels() -> list[_Row]:
    """One thread's loops, in nanoseconds, beside a numpy product of 64-bit words per butterfly or multiplication.

    These are a little slower than numpy's loop where compilers vectorise them, and many times where they do not.
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
    numpy_ns = _median(lambda: np.multiply(a, b, out=b), 200) / n
    measured = [
        ("transform", polynomials * 13 * n // 2, lambda: modulo.forward(x)),
        ("inverse transform", polynomials * 13 * n // 2, lambda: modulo.inverse(x)),
        ("multiply-accumulate, matrix", 32 * 8 * polynomials * n, lambda: modulo.accumulate(rows, columns, sums)),
        ("multiply-accumulate, dot", polynomials * n, lambda: modulo.accumulate(x[None], x[None], sum_of_dot)),
        ("encoding", polynomials * n, lambda: modulo.encode(words, words)),
        ("uniform residues", polynomials * n, lambda: modulo.uniform(stream, 9)),
    ]
    table = []
    for what, count, run in measured:
        each = _median(run, 30) / count
        table.append(
            {"what": what, "ns_each": each, "G_per_s": 1 / each, "numpy_ns": numpy_ns, "ratio": each / numpy_ns}
        )
    table[0]["us_8192"] = table[0]["ns_each"] * 13 * n / 2 / 1000
    return table


def products(sizes: list[tuple[_Shape, _Shape, int]] = SIZES) -> list[_Row]:
    """Private products between two processes; medians."""
    return [_product(*size) for size in sizes]


def _median(run: Callable[[], object], repetitions: int) -> float:
    times = []
    for _ in range(repetitions):
        started = time.perf_counter_ns()
        run()
        times.append(time.perf_counter_ns() - started)
    return statistics.median(times)


def _product(x_shape: _Shape, y_shape: _Shape, repetitions: int) -> _Row:
    case = json.dumps([x_shape, y_shape, repetitions])
    command = [sys.executable, "-m", "benchmarks.lattice", "--party", case, os.urandom(32).hex()]
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
        "what": f"product {x_shape} x {y_shape}",
        "seconds": max(row["seconds"] for row in rows),
        "best_s": max(row["best_s"] for row in rows),
        "bare_s": max(row["bare_s"] for row in rows),
        "ratio": max(row["seconds"] for row in rows) / max(row["bare_s"] for row in rows),
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


def _operand(shape: _Shape) -> Array:
    """Full 64-bit words, the same in all processes."""
    return Stream(derive(bytes(32), *shape)).words(shape)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_mb() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1000


def main() -> None:
    """Print the measurements, as JSON with --json."""
    if "--party" in sys.argv:
        _party(sys.argv[2], bytes.fromhex(sys.argv[3]), int(sys.argv[4]))
        return
    rows = [*kernels(), *products()]
    if "--json" in sys.argv:
        print(json.dumps(rows))
        return
    for row in rows:
        print(
            "  ".join(f"{name} {value:,.4g}" if isinstance(value, float) else str(value) for name, value in row.items())
        )


if __name__ == "__main__":
    main()
