"""Secret permutations from oblivious transfer: masks that one party has, moved by a permutation that another one has.

M. Chase, E. Ghosh, O. Poburinnaya, "Secret-Shared Shuffle", ASIACRYPT 2020: a share translation gives one party a and
b, uniform, and the one who permutes P(a) - b. Here by a permutation network, one OT a switch, as in P. Mohassel, S.
Sadeghian, "How to Hide Circuits in MPC", EUROCRYPT 2013. Adversary: semi-honest, up to all parties but one. Departures:
a switch is one correlated OT, that of c (y - x) for its bit c and its wires x and y, which one wire gains and the other
loses, so that it tells one row and not four; the sum of all rows then stays as it is, and a random row that one party
tells the other makes that uniform as well.

The network: B. Beauquier, E. Darrot, "On Arbitrary Size Waksman Networks and their Vulnerability", Parallel Processing
Letters 2002, with the sum of ceil(log2 i) for i up to n as the number of switches. All wires stay in their places: on
level l switches join the wires p and p + 2^l, so that the half that a wire belongs to is bit l of its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from protocols import bits
from protocols.columns import Column
from protocols.ot.bits import runs as cuts
from protocols.ot.correlated import Mesh, Receiver, Sender
from protocols.ot.lanes import Lanes, pieces
from protocols.ot.messages import receive, send
from protocols.ot.pipeline import PIPELINE_WORDS, pipelined
from protocols.prg import Stream
from protocols.ring import Array
from protocols.rounds import Task, gather

__all__ = ["Permuted", "Run", "network", "permuted", "settings", "translations"]

Bits = NDArray[np.uint8]
Order = NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """Switches of one level of a network, from a pair of wires on, at its inputs or at its outputs."""

    level: int
    first: int
    count: int
    outputs: bool


@dataclass(frozen=True, repr=False)
class Permuted:
    """One party's part of a `protocols.shuffle.SecretPermutation`, as tables; None for what it does not hold."""

    a: Array | None
    delta: Array | None
    b: Array | None
    correction: Array | None


def network(rows: int) -> list[Run]:
    """All switches in order: inputs from the outside to the middle, then outputs back."""
    levels = range(_depth(rows))
    found = [Run(level, 0, _pairs(rows, level), outputs=False) for level in levels]
    for level in reversed(levels):
        # one pair of each subnetwork with an even number of wires needs no second switch: the first
        whole, longer = divmod(rows, 1 << level)
        start, stop = (0, longer) if whole % 2 else (longer, 1 << level)
        found.append(Run(level, 0, start, outputs=True))
        found.append(Run(level, stop, _pairs(rows, level) - stop, outputs=True))
    return [run for run in found if run.count]


def settings(order: Order, runs: Sequence[Run]) -> Bits:
    """Every switch's bit, so that row order[i] comes to place i."""
    from protocols.ot import lane_kernels

    rows = len(order)
    source = order.astype(np.int32)
    target, spare, half = np.empty_like(source), np.empty_like(source), np.empty(rows, np.uint8)
    inputs, outputs = ([np.empty(_pairs(rows, level), np.uint8) for level in range(_depth(rows))] for _ in range(2))
    for level, sides in enumerate(zip(inputs, outputs, strict=True)):
        lane_kernels.route(level, source, target, spare, half, *sides)
    chosen = [(outputs if run.outputs else inputs)[run.level][run.first : run.first + run.count] for run in runs]
    return np.concatenate([np.empty(0, np.uint8), *chosen])


async def permuted(mesh: Mesh, order: Order, columns: tuple[Column, ...], draw: Stream) -> Permuted:
    """This party's masks for a permutation of which every party has a factor; `order` is this party's.

    Every factor is applied to masks of all the others at once. From one factor to the next, shares go by what a party's
    result of one and its input to the next differ by: it tells that to the next one's owner.
    """
    lanes, me, last = Lanes(columns), mesh.me, mesh.parties[-1]
    before, after, total = await translations(mesh, order, lanes, draw)
    told = await _differences(mesh, lanes, before, after, len(order))
    if me > 0:
        share = after[me - 1]
        for difference in told:
            share = lanes.add(share, difference)
        total = lanes.add(total, np.take(share, order, axis=1))
    return Permuted(
        a=lanes.split(before[0]) if me > 0 else None,
        delta=lanes.split(lanes.subtract(total, before[me + 1])) if me < last else None,
        b=lanes.split(after[last]) if me < last else None,
        correction=lanes.split(total) if me == last else None,
    )


async def translations(
    mesh: Mesh, order: Order, lanes: Lanes, draw: Stream
) -> tuple[dict[int, Array], dict[int, Array], Array]:
    """Share translations among all: a and b for each other party's P; for this one's, the sum of all others' P(a) - b.

    All as rows of lanes, shape (words, rows).
    """
    shape, runs = (lanes.words, len(order)), network(len(order))
    before = {peer: draw.words(shape) for peer in mesh.pairs}
    after = {peer: masks.copy() for peer, masks in before.items()}
    moved = {peer: np.zeros(shape, np.uint64) for peer in mesh.pairs}
    chosen = settings(order, runs)

    async def piece(start: int, stop: int) -> None:
        some = _within(runs, start, stop)
        await mesh.cross(
            mesh.parties,
            mesh.parties,
            lambda ot: _mask(ot, lanes, some, after[ot.peer]),
            lambda ot: _move(ot, lanes, some, moved[ot.peer], chosen[start:stop]),
        )

    # in their order: what a piece tells depends on the wires as those before it left them
    await pipelined(
        Task(partial(piece, *run), (run[1] - run[0]) * lanes.words) for run in pieces(len(chosen), lanes.words)
    )
    total = np.zeros(shape, np.uint64)
    if len(order):
        drawn = {peer: draw.words((lanes.words, 1)) for peer in mesh.pairs}
        told = await gather(*(_one_row(peer, row) for peer, row in drawn.items()))
        for (peer, mine), other in zip(drawn.items(), told, strict=True):
            after[peer][:, :1] = lanes.subtract(after[peer][:, :1], mine)
            moved[peer][:, :1] = lanes.add(moved[peer][:, :1], other)
        for share in moved.values():
            total = lanes.add(total, share)
    return before, after, total


async def _mask(ot: Sender, lanes: Lanes, runs: Sequence[Run], wires: Array) -> Array:
    """These switches at the one who has masks: two rounds. The masks move on `wires`, which it gives."""
    from protocols.ot import lane_kernels

    count = sum(run.count for run in runs)
    zero, one = (await ot.extend(count)).pads(lanes.words)
    payload = np.empty((lanes.words, count), np.uint64)
    for at, run in _placed(runs):
        lane_kernels.switch_sent(lanes.tops, run.level, run.first, *at, zero, one, wires, payload)
    await send(ot.peer, *lanes.pack(payload))
    return wires


async def _move(ot: Receiver, lanes: Lanes, runs: Sequence[Run], wires: Array, chosen: Bits) -> Array:
    """These switches at the one who sets them: two rounds. What the masks lack moves on `wires`, which it gives."""
    from protocols.ot import lane_kernels

    pads = (await ot.extend(bits.pack(chosen.astype(np.uint64)), chosen.size)).pads(lanes.words)
    payload = lanes.unpack(await receive(ot.peer, lanes.sent(chosen.size)), chosen.size)
    for at, run in _placed(runs):
        lane_kernels.switch_received(lanes.tops, run.level, run.first, *at, chosen, pads, wires, payload)
    return wires


async def _one_row(peer: int, row: Array) -> Array:
    """One round: tell a row, hear one."""
    other = np.empty_like(row)

    async def hear() -> None:
        other[:, 0] = await receive(peer, len(row))

    await gather(send(peer, row), hear())
    return other


async def _differences(
    mesh: Mesh, lanes: Lanes, before: Mapping[int, Array], after: Mapping[int, Array], rows: int
) -> list[Array]:
    """Tell each factor's owner what this party's masks lack, but for the factor after its own. What others tell it."""
    me, size = mesh.me, lanes.sent(rows)
    telling = {
        owner: np.concatenate(lanes.pack(lanes.subtract(after[owner - 1], before[owner])))
        for owner in mesh.parties[1:]
        if me not in (owner - 1, owner)
    }
    heard = {peer: np.empty(size, np.uint64) for peer in mesh.parties if me > 0 and peer not in (me - 1, me)}

    async def some(start: int, stop: int) -> None:
        async def hear(peer: int) -> None:
            heard[peer][start:stop] = await receive(peer, stop - start)

        await gather(*(send(owner, words[start:stop]) for owner, words in telling.items()), *map(hear, heard))

    if len(mesh.parties) > 2:
        await pipelined(Task(partial(some, *run), run[1] - run[0]) for run in cuts(size, PIPELINE_WORDS // 4))
    return [lanes.unpack(words, rows) for words in heard.values()]


def _depth(rows: int) -> int:
    return max(rows - 1, 0).bit_length()


def _pairs(rows: int, level: int) -> int:
    """Wires with a partner."""
    whole, rest = divmod(rows, 2 << level)
    return (whole << level) + max(0, rest - (1 << level))


def _within(runs: Sequence[Run], start: int, stop: int) -> list[Run]:
    """The runs that switches `start` to `stop` are."""
    found, at = [], 0
    for run in runs:
        low, high = max(start - at, 0), min(stop - at, run.count)
        if low < high:
            found.append(replace(run, first=run.first + low, count=high - low))
        at += run.count
    return found


def _placed(runs: Sequence[Run]) -> Iterator[tuple[tuple[int, int], Run]]:
    """Where each run's switches stand among those of all."""
    at = 0
    for run in runs:
        yield (at, at + run.count), run
        at += run.count
