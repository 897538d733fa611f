"""The elementwise primitives between two parties, without a network: what one party computes online, in one thread.

Both parties run in one process and take turns; the time is that of both, halved. It holds all that a party does from
its shares of the inputs to its share of the result: drawing what was dealt, masking, adding up what came, computing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from parties.allocator import keep_freed_memory
from protocols import additive, dealer
from protocols.boolean import And
from protocols.comparison import IsZero, Negative
from protocols.conversion import ToBits, ToRing
from protocols.correlations import Demand, Label, Material
from protocols.interface import Cost
from protocols.party import Party
from protocols.prg import Stream
from protocols.primitives import Primitive
from protocols.products import Product
from protocols.ring import Array
from protocols.selection import Select
from protocols.truncation import Truncation

__all__ = ["main", "measure"]

_SIZES = 10**5, 10**6
_TURNS = 9

_Row = dict[str, str | float]


def measure() -> list[_Row]:
    """One row a primitive and size: what a party computes, sends and is dealt. Measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.primitives", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows: list[_Row] = json.loads(done.stdout)
    return rows


def main() -> None:
    """Print the measurements as a table, or as JSON with --json, which measures in this process."""
    if "--json" not in sys.argv[1:]:
        rows = measure()
        print("".join(f"{name:>22}" for name in rows[0]))
        for row in rows:
            print("".join(f"{value:>22.4g}" if isinstance(value, float) else f"{value:>22}" for value in row.values()))
        return
    keep_freed_memory()
    print(json.dumps([_row(work, n) for n in _SIZES for work in _works(n)]))


@dataclass(frozen=True)
class _Work:
    """What is measured: one block of it, as a protocol."""

    name: str
    length: int
    inputs: tuple[int, ...]
    cost: Cost
    demands: list[tuple[Label, Demand]]
    run: Callable[..., Coroutine[Any, None, Array]]


def _works(n: int) -> Iterator[list[_Work]]:
    """Each as the blocks that the engine cuts it into."""
    primitives: dict[str, Primitive] = {
        "truncate": Truncation(n, 20),
        "and": And(n),
        "select": Select(n),
        "bits to words": ToRing(n),
        "negative": Negative(n),
        "negative, 32 bits": Negative(n, 32),
        "is zero": IsZero(n),
        "to 64 bits": ToBits(n),
    }
    for name, whole in primitives.items():
        blocks = [whole.of(min(whole.block, n - start)) for start in range(0, n, whole.block)]
        yield [_Work(name, one.length, one.input_words, one.cost(2), list(one.demands(2)), one.run) for one in blocks]
    lengths = [min(Truncation.block, n - start) for start in range(0, n, Truncation.block)]
    yield [_multiply_and_truncate(length) for length in lengths]


def _multiply_and_truncate(length: int) -> _Work:
    product, truncation = Product("multiply", (length,), (length,)), Truncation(length, 20)

    async def run(party: Party, x: Array, y: Array) -> Array:
        z = await additive.product(party.at("product"), product, x, y)
        return await truncation.run(party.at("truncate"), z)

    costs = additive.product_cost(2, product, None, None), truncation.cost(2)
    words = tuple(one + other for one, other in zip(costs[0].words, costs[1].words, strict=True))
    demands: list[tuple[Label, Demand]] = [(("product",), additive.demand(2, product, None, None))]
    demands += [(("truncate", *label), demand) for label, demand in truncation.demands(2)]
    cost = Cost(costs[0].rounds + costs[1].rounds, words)
    return _Work("multiply and truncate", length, (length, length), cost, demands, run)


class _Clocked(dealer.DealerSource):
    """A source that adds up the time that drawing takes."""

    seconds = 0.0

    def draw(self, label: Label, demand: Demand) -> Material:
        start = perf_counter()
        material = super().draw(label, demand)
        self.seconds += perf_counter() - start
        return material


def _row(blocks: list[_Work], n: int) -> _Row:
    turns = [_turn(blocks) for _ in range(_TURNS + 1)][1:]
    online, drawing, dealing = (statistics.median(times) for times in zip(*turns, strict=True))
    corrections = sum(dealer.correction_words(demand) for work in blocks for _, demand in work.demands)
    material = sum(_words(demand) for work in blocks for _, demand in work.demands)
    return {
        "name": blocks[0].name,
        "elements": n,
        "online ms": 1e3 * online,
        "of it drawing ms": 1e3 * drawing,
        "rounds": blocks[0].cost.rounds,
        "sent B/element": 8 * sum(work.cost.words[0] for work in blocks) / n,
        "material B/element": 8 * material / n,
        "dealt B/element": 8 * corrections / n,
        "dealing ms": 1e3 * dealing,
    }


def _words(demand: Demand) -> int:
    """Words of one party's part: the one with the most."""
    parts = (*demand.free, *demand.bound)
    return max(sum(int(np.prod(part.shape)) for part in parts if party in part.holders) for party in demand.holders)


def _turn(blocks: list[_Work]) -> tuple[float, float, float]:
    """Seconds of one party computing, of them drawing, and of the dealer dealing."""
    key, secrets = os.urandom(32), {party: os.urandom(32) for party in range(2)}
    corrections: list[dict[Label, Array]] = [{}, {}]
    start = perf_counter()
    for number, work in enumerate(blocks):
        for label, demand in work.demands:
            at = (number, *label)
            corrections[dealer.corrected(demand)][at] = dealer.deal(demand, at, secrets)
    dealing = perf_counter() - start
    sources = [_Clocked(i, secrets[i], corrections[i]) for i in range(2)]
    parties = [Party(i, 2, {1 - i: key}, sources[i]) for i in range(2)]
    online = 0.0
    for number, work in enumerate(blocks):
        shares = [[Stream(os.urandom(32)).words(size) for size in work.inputs] for _ in parties]
        online += _together([work.run(p.at(number), *mine) for p, mine in zip(parties, shares, strict=True)])
    return online / 2, sum(source.seconds for source in sources) / 2, dealing


def _together(coroutines: list[Coroutine[Any, None, Array]]) -> float:
    """Run both to the end; seconds, without what carries messages."""
    seconds, running = 0.0, True
    while running:
        exchanges = []
        for coroutine in coroutines:
            start = perf_counter()
            try:
                exchanges += coroutine.send(None)
            except StopIteration:
                running = False
            seconds += perf_counter() - start
        for i, exchange in enumerate(exchanges):
            for peer in exchange.expects:
                exchange.received[peer] = np.concatenate(exchanges[1 - i].sends[i])
    return seconds


if __name__ == "__main__":
    main()
