"""Lattice encryption: its kernels, and private products of two processes beside a bare exchange of the same messages.

`python -m benchmarks.lattice [--json]`: about ten seconds. The processes talk over loopback, unsealed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import zmq

from protocols import ring as words_ring
from protocols.lattice import product
from protocols.lattice.ntt import ring
from protocols.lattice.parameters import PRIMES
from protocols.prg import Stream
from protocols.products import Product
from protocols.ring import Array
from protocols.rounds import Exchange, Task, run_round

__all__ = ["kernels", "main", "products"]

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
_Row = dict[str, str | float]
_Shape = tuple[int, ...]

SIZES: tuple[tuple[_Shape, _Shape, int], ...] = (
    ((10**6,), (10**6,), 9),
    ((10**7,), (10**7,), 5),
    ((512, 512), (512, 512), 5),
    ((1024, 1024), (1024, 1024), 1),
)


def kernels() -> list[_Row]:
    """The transform and the multiply-accumulate of one thread; when vectorisation fails they are many times slower."""
    modulo, stream = ring(8192, PRIMES[:6]), Stream(bytes(32))
    x = modulo.uniform(stream, 9)
    rows, columns = np.stack([x] * 32), np.stack([x] * 8)
    sums, one = np.zeros((32, 8, 6, 128), np.uint32), np.zeros((1, 1, 6, 1), np.uint32)
    words = stream.words((9, 8192))
    each = 9 * 6
    return [
        _kernel("transform of 8192", "us", 1e6 / each, lambda: modulo.forward(x)),
        _kernel("inverse", "us", 1e6 / each, lambda: modulo.inverse(x)),
        _kernel("encoding 8192 words", "us", 1e6 / each, lambda: modulo.encode(words, words)),
        _kernel("multiply-accumulate, matrices", "ns", 1e9 / (32 * 8 * each * 8192), lambda: modulo.accumulate(rows, columns, sums)),
        _kernel("multiply-accumulate, dot", "ns", 1e9 / (each * 8192), lambda: modulo.accumulate(x[None], x[None], one)),
        _kernel("uniform residues", "ns", 1e9 / (each * 8192), lambda: modulo.uniform(stream, 9)),
    ]


def products(sizes: tuple[tuple[_Shape, _Shape, int], ...] = SIZES) -> list[_Row]:
    """Private products between two processes, from operands in memory to both shares in memory; medians."""
    return [_product(*size) for size in sizes]


def _kernel(name: str, unit: str, per: float, run: Callable[[], object]) -> _Row:
    times = []
    for _ in range(30):
        started = perf_counter()
        run()
        times.append(perf_counter() - started)
    return {"what": name, "unit": unit, "each": statistics.median(times) * per}


def _product(x_shape: _Shape, y_shape: _Shape, repetitions: int) -> _Row:
    how = product.plan(Product("matmul", x_shape, y_shape))
    with zmq.Context() as context, context.socket(zmq.PAIR) as link:
        port = link.bind_to_random_port("tcp://127.0.0.1")
        command = [sys.executable, "-m", "benchmarks.lattice", "--peer", str(port), json.dumps([x_shape, y_shape, repetitions])]
        other = subprocess.Popen(command, env=os.environ | _ONE_THREAD, stdout=subprocess.PIPE)
        x = _operand(x_shape)
        bare, private = [], []
        for number in range(repetitions + 1):
            bare.append(_timed(link, _messages(how, encrypts=True))[0])
            seconds, share = _timed(link, product.encrypt(1, how, x, (number,)))
            private.append(seconds)
        link.send(share)
        assert link.recv() == b"right"
        peer_memory = int(link.recv())
        other.wait(30)
    sent, answered = how.words
    limit, seconds = statistics.median(bare[1:]), statistics.median(private[1:])
    return {
        "what": f"private product {x_shape} {y_shape}",
        "seconds": seconds,
        "first_s": private[0],
        "bare_s": limit,
        "ratio": seconds / limit,
        "sent_MB": 8 * sent / 1e6,
        "answered_MB": 8 * answered / 1e6,
        "peak_MB": _peak_mb(),
        "peer_peak_MB": float(peer_memory),
    }


def _peer(port: int, x_shape: _Shape, y_shape: _Shape, repetitions: int) -> None:
    how = product.plan(Product("matmul", x_shape, y_shape))
    with zmq.Context() as context, context.socket(zmq.PAIR) as link:
        link.connect(f"tcp://127.0.0.1:{port}")
        y = _operand(y_shape)
        for number in range(repetitions + 1):
            _timed(link, _messages(how, encrypts=False))
            _, share = _timed(link, product.answer(0, how, y, (number,)))
        other = np.frombuffer(link.recv(), np.uint64).reshape(share.shape)
        right = np.array_equal(share + other, words_ring.matmul(_operand(x_shape), y))
        link.send(b"right" if right else b"wrong")
        link.send(str(int(_peak_mb())).encode())


async def _messages(how: product.LatticeProduct, *, encrypts: bool) -> Array:
    """The same messages, of nothing."""
    peer = int(encrypts)
    for sent, answered in how.messages:
        out, due = (sent, answered) if encrypts else (answered, sent)
        await Exchange({peer: [np.zeros(out, np.uint64)]}, {peer: due})
    return np.zeros(0, np.uint64)


def _timed(link: zmq.Socket[bytes], protocol: Coroutine[Any, None, Array]) -> tuple[float, Array]:
    """Run one party's part, both parties starting at once."""
    results: list[Array] = []
    task = Task(lambda: protocol, done=results.append)
    link.send(b"")
    link.recv()
    started = perf_counter()
    while not task.finished:
        running = run_round([task], lambda peer, parts: _send(link, parts))
        try:
            next(running)
            while True:
                running.send(np.frombuffer(link.recv(copy=False).buffer, np.uint64))
        except StopIteration:
            pass
    return perf_counter() - started, results[0]


def _send(link: zmq.Socket[bytes], parts: Any) -> None:
    words = parts[0] if len(parts) == 1 else np.concatenate(parts)
    link.send(words, copy=False)


def _operand(shape: _Shape) -> Array:
    """Full 64-bit words, the same in both processes."""
    return Stream(bytes(31) + b"%c" % len(shape)).words(shape)


def _peak_mb() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1000


def main() -> None:
    """Print the measurements, as JSON with --json."""
    if "--peer" in sys.argv:
        _peer(int(sys.argv[2]), *json.loads(sys.argv[3]))
        return
    rows = [*kernels(), *products()]
    if "--json" in sys.argv:
        print(json.dumps(rows))
        return
    for row in rows:
        print("  ".join(f"{name} {value:,.4g}" if isinstance(value, float) else str(value) for name, value in row.items()))


if __name__ == "__main__":
    main()
