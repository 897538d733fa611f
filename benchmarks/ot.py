"""What material of oblivious transfer costs: two processes over loopback, sealed links; time, and all bytes both ways.

Material is made as sessions make it, by `protocols.pairwise`, in the blocks that the engine cuts long arrays into.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from parties.allocator import keep_freed_memory
from parties.links import DataEndpoint, Links, PeerLink
from protocols import pairwise
from protocols.boolean import And
from protocols.comparison import Negative
from protocols.conversion import ToRing
from protocols.correlations import Demand, Label, Triple
from protocols.ot import bits
from protocols.ot.correlated import Mesh
from protocols.ot.pipeline import PIPELINE_WORDS, pipelined
from protocols.ot.softspoken import connect
from protocols.prg import Stream, derive
from protocols.primitives import Primitive
from protocols.products import Product
from protocols.rounds import Exchange, Task, run_alone
from protocols.selection import Select
from protocols.truncation import Truncation

__all__ = ["transfers"]

Row = dict[str, Any]
Protocol = Coroutine[Any, None, object]
Labelled = list[tuple[Label, Demand]]

_BOTH = (0, 1)
_OTS = 1 << 18
_ROOT = Path(__file__).parent.parent


def transfers(scale: int = 1, repetitions: int = 3) -> list[Row]:
    """One row a kind of material: how many, seconds until both have it, how many a second, bytes each, CPU seconds.

    Medians. Two processes with one thread each, and those of their sockets. `cpu_us_each`: microseconds of one party's
    processor, the mean of both. `scale`: a divisor for trials.
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
    return {
        "what": mine["what"],
        "count": count,
        "seconds": seconds,
        "per_second": count / seconds,
        "bytes_each": (mine["bytes"] + other["bytes"]) / count,
        "cpu_us_each": 1e6 * (mine["cpu_s"] + other["cpu_s"]) / 2 / count,
    }


def _materials(scale: int) -> Iterator[tuple[str, int, Labelled]]:
    """What is measured, how many, and the demands that these come from."""
    n = 10**6 // scale
    yield "ring cross terms, one way: private times private", n, _triples(n, (0,), (1,))
    yield "ring cross terms, both ways: shared triples", 2 * n, _triples(n, _BOTH, _BOTH)
    primitives: dict[str, Callable[[int], Primitive]] = {
        "for truncations": partial(Truncation, bits=20),
        "for products of bits": And,
        "for selections": Select,
        "for bits to words": ToRing,
        "for signs of 64-bit words": Negative,
    }
    for what, primitive in primitives.items():
        count = n // 8 if primitive is Negative else n
        whole = primitive(count)
        blocks = [whole.of(stop - start) for start, stop in bits.runs(count, whole.block)]
        demands = [((i, *label), demand) for i, block in enumerate(blocks) for label, demand in block.demands(2)]
        yield what, count, demands


def _triples(n: int, x_holders: tuple[int, ...], y_holders: tuple[int, ...]) -> Labelled:
    product = Product("multiply", (n,), (n,))
    return [((i,), Triple(product.of(b), x_holders, y_holders)) for i, b in enumerate(product.blocks())]


async def _extend(mesh: Mesh, count: int, draw: Stream) -> None:
    """Correlated OTs and their pads: party 0 sends, party 1 chooses."""

    async def some(size: int) -> None:
        if mesh.me == 0:
            (await mesh.pairs[1].sender.extend(size)).pads()
        else:
            (await mesh.pairs[0].receiver.extend(draw.words(bits.packed_words(size)), size)).pads()

    await pipelined(Task(partial(some, stop - start), _OTS // 2) for start, stop in bits.runs(count, _OTS))


def _drive(start: Callable[[], Protocol], links: Links, weight: int = PIPELINE_WORDS) -> Any:
    """Run a protocol to its end over the links."""
    running = run_alone(start, weight, links.send)
    try:
        need = next(running)
        while True:
            need = running.send(links.receive(*need))
    except StopIteration as stop:
        return stop.value


async def _meet(peer: int) -> None:
    """Both are here."""
    await Exchange({peer: [np.zeros(1, np.uint64)]}, {peer: 1})


class _Clock:
    """Measures what both parties start together: medians of some repetitions."""

    def __init__(self, links: Links, peer: int, repetitions: int) -> None:
        self._links = links
        self._peer = peer
        self._repetitions = repetitions

    def row(self, what: str, count: int, start: Callable[[], Protocol], weight: int = PIPELINE_WORDS) -> Row:
        seconds, cpu, sent = [], [], []
        for _ in range(self._repetitions):
            _drive(partial(_meet, self._peer), self._links)
            sent_before, cpu_before, started = self._sent(), _cpu(), time.perf_counter()
            _drive(start, self._links, weight)
            seconds.append(time.perf_counter() - started)
            cpu.append(_cpu() - cpu_before)
            sent.append(self._sent() - sent_before)
        return {
            "what": what,
            "count": count,
            "seconds": statistics.median(seconds),
            "cpu_s": statistics.median(cpu),
            "bytes": statistics.median(sent),
        }

    def _sent(self) -> int:
        return sum(traffic.payload + traffic.overhead for traffic in self._links.traffic.values())


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _party(scale: int, repetitions: int, session: bytes, me: int) -> None:
    keep_freed_memory()
    peer = 1 - me
    endpoint = DataEndpoint("127.0.0.1:0")
    print(json.dumps(endpoint.address), flush=True)
    keys = [derive(session, "key", sender) for sender in _BOTH]
    links = endpoint.open(me, {peer: PeerLink("peer", json.loads(input()), keys[me], keys[peer])}, session[:16])
    print(json.dumps("open"), flush=True)
    input()
    connecting = partial(connect, me, _BOTH, session)
    mesh = _drive(connecting, links)  # the compiled loops are loaded now, as a node has them before a session
    clock, draw = _Clock(links, peer, repetitions), Stream(os.urandom(32))

    def making(demands: Labelled) -> Callable[[], Protocol]:
        return partial(pairwise.make, mesh, session, demands, draw)

    for _, _, demands in _materials(64 * scale):
        _drive(making(demands), links, pairwise.weight(demands))
    rows = [clock.row("pairs connected, 2 x 128 base OTs each", 1, connecting)]
    ots = 32 * 10**6 // scale
    rows.append(clock.row("correlated OTs with pads, one way", ots, partial(_extend, mesh, ots, draw)))
    for what, count, demands in _materials(scale):
        rows.append(clock.row(what, count, making(demands), pairwise.weight(demands)))
    print(json.dumps(rows), flush=True)
    links.close()
    endpoint.close()


if __name__ == "__main__":
    _party(int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3]), int(sys.argv[4]))
