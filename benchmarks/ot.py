"""What oblivious transfer costs: two processes over loopback, sealed links; time, and all bytes in both directions."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from parties.allocator import keep_freed_memory
from parties.links import DataEndpoint, Links, PeerLink
from protocols.ot import material
from protocols.ot.correlated import Mesh
from protocols.ot.pipeline import pipelined
from protocols.ot.softspoken import connect
from protocols.prg import Stream, derive
from protocols.products import Product
from protocols.rounds import Exchange, Task, run_round

__all__ = ["transfers"]

Row = dict[str, Any]
Protocol = Coroutine[Any, None, object]
Start = Callable[[], Protocol]

_BOTH = (0, 1)
_OTS = 1 << 17
_ROOT = Path(__file__).parent.parent


def transfers(scale: int = 1, repetitions: int = 3) -> list[Row]:
    """One row a kind of material: how many, seconds until both have it, how many a second, bytes each, CPU seconds.

    Medians. Two processes with one thread each, and those of their sockets. `scale`: a divisor for trials.
    """
    order = [str(scale), str(repetitions), os.urandom(32).hex()]
    command = [sys.executable, "-m", "benchmarks.ot", *order]
    parties = [
        subprocess.Popen([*command, str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT) for i in _BOTH
    ]
    try:
        addresses = [_line(party) for party in parties]
        for party, peer in zip(parties, reversed(addresses), strict=True):
            _tell(party, peer)
        for party in parties:
            _line(party)
        for party in parties:
            _tell(party, "both have their links open")
        return [_both(*rows) for rows in zip(*(_line(party) for party in parties), strict=True)]
    finally:
        for party in parties:
            if party.poll() is None:
                party.terminate()
            party.communicate()


def _line(party: subprocess.Popen[bytes]) -> Any:
    assert party.stdout is not None
    return json.loads(party.stdout.readline())


def _tell(party: subprocess.Popen[bytes], what: str) -> None:
    assert party.stdin is not None
    party.stdin.write(json.dumps(what).encode() + b"\n")
    party.stdin.flush()


def _both(mine: Row, other: Row) -> Row:
    seconds, count = max(mine["seconds"], other["seconds"]), mine["count"]
    moved = mine["bytes"] + other["bytes"]
    return {
        "what": mine["what"],
        "count": count,
        "seconds": seconds,
        "per_second": count / seconds,
        "bytes_each": moved / count,
        "cpu_s": mine["cpu_s"] + other["cpu_s"],
    }


def _jobs(mesh: Mesh, scale: int) -> dict[str, tuple[int, Start]]:
    """What is measured: how many, and how this party takes part. Data are random words."""
    draw = Stream(os.urandom(32))
    million, ots, n = 10**6 // scale, 32 * _OTS // scale, 128 // scale
    vector, dot = Product("multiply", (million,), (million,)), Product("matmul", (million,), (million,))
    square = Product("matmul", (n, n), (n, n))

    def triple(of: Product, x_holders: tuple[int, ...], y_holders: tuple[int, ...]) -> Protocol:
        return material.ring_triple(mesh, of, x_holders, y_holders, draw)

    return {
        "correlated OTs, one way": (ots, lambda: _extend(mesh, ots, draw)),
        "ring cross terms, one way: private times private": (million, lambda: triple(vector, (0,), (1,))),
        "ring cross terms, both ways: shared triples": (2 * million, lambda: triple(vector, _BOTH, _BOTH)),
        "cross terms of a dot of private vectors": (million, lambda: triple(dot, (0,), (1,))),
        "cross terms of a shared square matrix product": (2 * n**3, lambda: triple(square, _BOTH, _BOTH)),
        "triples of bits": (16 * million, lambda: material.and_triples(mesh, 16 * million, _BOTH, _BOTH, draw)),
        "random bits in both forms": (4 * million, lambda: material.random_bits(mesh, 4 * million, draw)),
        "truncation tuples": (million // 4, lambda: material.truncations(mesh, million // 4, 16, draw)),
    }


async def _extend(mesh: Mesh, count: int, draw: Stream) -> None:
    """Correlated OTs and their pads: party 0 sends, party 1 chooses."""

    async def some(size: int) -> None:
        if mesh.me == 0:
            (await mesh.pairs[1].sender.extend(size)).pads()
        else:
            (await mesh.pairs[0].receiver.extend(draw.words(size // 64), size)).pads()

    await pipelined(Task(partial(some, min(_OTS, count)), _OTS // 2) for _ in range(max(1, count // _OTS)))


def _drive(start: Start, links: Links) -> Any:
    """Run a protocol to its end over the links."""
    results: list[object] = []
    task = Task(start, 1, results.append)
    while not task.finished:
        rounds = run_round([task], links.send)
        try:
            need = next(rounds)
            while True:
                need = rounds.send(links.receive(*need))
        except StopIteration:
            pass
    return results[0]


async def _meet(peer: int) -> None:
    """Both are here."""
    await Exchange({peer: [np.zeros(1, np.uint64)]}, {peer: 1})


def _measured(what: str, count: int, start: Start, repetitions: int, peer: int, links: Links) -> Row:
    """Medians over repetitions that both parties start together."""
    seconds, cpu = [], []
    before = _sent(links)
    for _ in range(repetitions):
        _drive(lambda: _meet(peer), links)
        cpu_before, started = _cpu(), time.perf_counter()
        _drive(start, links)
        seconds.append(time.perf_counter() - started)
        cpu.append(_cpu() - cpu_before)
    sent = (_sent(links) - before) / repetitions
    return {
        "what": what,
        "count": count,
        "seconds": float(np.median(seconds)),
        "cpu_s": float(np.median(cpu)),
        "bytes": sent,
    }


def _sent(links: Links) -> int:
    return sum(traffic.payload + traffic.overhead for traffic in links.traffic.values())


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _main(scale: int, repetitions: int, session: bytes, me: int) -> None:
    from protocols.ot import kernels  # noqa: F401 - a node has them loaded before a session starts

    keep_freed_memory()
    peer = 1 - me
    endpoint = DataEndpoint("127.0.0.1:0")
    print(json.dumps(endpoint.address), flush=True)
    keys = [derive(session, "key", sender) for sender in _BOTH]
    links = endpoint.open(me, {peer: PeerLink("peer", json.loads(input()), keys[me], keys[peer])}, session[:16])
    print(json.dumps("open"), flush=True)
    input()

    def connecting() -> Protocol:
        return connect(me, _BOTH, session)

    rows = [_measured("pairs connected, 2 x 128 base OTs each", 1, connecting, repetitions, peer, links)]
    mesh = _drive(connecting, links)
    small = _jobs(mesh, 64 * scale)
    for what, (count, start) in _jobs(mesh, scale).items():
        _drive(small[what][1], links)
        rows.append(_measured(what, count, start, repetitions, peer, links))
    print(json.dumps(rows), flush=True)
    links.close()
    endpoint.close()


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3]), int(sys.argv[4]))
