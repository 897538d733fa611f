"""Material for any number of parties: it is what it says, it costs what it says, and long runs keep memory bounded."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from protocols.ot import bits, costs, material
from protocols.ot.messages import idle
from protocols.ot.pipeline import PIPELINE_WORDS, pipelined
from protocols.ot.softspoken import connect
from protocols.prg import Stream
from protocols.products import Product
from protocols.rounds import Exchange, Task

sys.path.insert(0, str(Path(__file__).parent))
from lockstep import sent, together

LENGTHS = [1, 63, 64, 65, 1000, 20_011]


@pytest.fixture(scope="module", params=[2, 3, 5])
def meshes(request):
    session = os.urandom(32)
    return together(*(partial(connect, me, range(request.param), session) for me in range(request.param)))[0]


def make(meshes, kind, *arguments):
    """One kind of material at every party, each with a stream of its own; and what was sent."""
    return together(*(partial(kind, mesh, *arguments, Stream(os.urandom(32))) for mesh in meshes))


def total(shares):
    return sum(share for share in shares if share is not None)


@pytest.mark.parametrize(
    "product",
    [Product("multiply", (130,), (130,)), Product("matmul", (3000,), (3000,)), Product("matmul", (4, 5), (5, 6))],
    ids=str,
)
def test_ring_triples(meshes, product) -> None:
    everyone = meshes[0].parties
    for a_holders, b_holders in ((everyone, everyone), (everyone[:1], everyone[1:]), ((1,), (0,))):
        made, log = make(meshes, material.ring_triple, product, a_holders, b_holders)
        a, b, c = zip(*made, strict=True)
        assert [share is not None for share in a] == [party in a_holders for party in everyone]
        assert [share is not None for share in b] == [party in b_holders for party in everyone]
        assert np.array_equal(product(total(a), total(b)), total(c))
        assert sent(log) == costs.triple_words(product, a_holders, b_holders)


@pytest.mark.parametrize("length", LENGTHS)
def test_triples_of_bits(meshes, length) -> None:
    everyone = meshes[0].parties
    for a_holders, b_holders in ((everyone, everyone), ((1,), (0,))):
        made, log = make(meshes, material.and_triples, length, a_holders, b_holders)
        a, b, c = (
            bits.unpack(np.bitwise_xor.reduce([share for share in shares if share is not None]), length)
            for shares in zip(*made, strict=True)
        )
        assert np.array_equal(a & b, c)
        assert sent(log) == costs.and_triple_words(length, a_holders, b_holders)


@pytest.mark.parametrize("length", LENGTHS)
def test_random_bits_are_the_same_in_both_forms(meshes, length) -> None:
    made, log = make(meshes, material.random_bits, length)
    by_xor = bits.unpack(np.bitwise_xor.reduce([share.packed for share in made]), length)
    assert np.array_equal(by_xor, total([share.words for share in made]))
    assert length < 1000 or 0.4 < by_xor.mean() < 0.6
    assert sent(log) == costs.random_bit_words(length, meshes[0].parties)


@pytest.mark.parametrize(("count", "shift"), [(1, 1), (3, 63), (65, 16), (5000, 20)])
def test_truncation_tuples(meshes, count, shift) -> None:
    made, log = make(meshes, material.truncations, count, shift)
    r, shifted, highest = (total([getattr(share, name) for share in made]) for name in ("r", "shifted", "highest"))
    assert np.array_equal(shifted, r >> np.uint64(shift))
    assert np.array_equal(highest, r >> np.uint64(63))
    assert len(np.unique(r)) == count
    assert sent(log) == costs.truncation_words(count, meshes[0].parties)


@pytest.mark.parametrize("shift", [-1, 0, 64])
def test_shifts_that_make_no_sense_are_refused(meshes, shift) -> None:
    with pytest.raises(ValueError, match="between 1 and 63"):
        make(meshes, material.truncations, 3, shift)


def test_material_shows_nothing(meshes) -> None:
    for kind, arguments in ((material.random_bits, (3,)), (material.truncations, (3, 16))):
        for share in make(meshes, kind, *arguments)[0]:
            assert "array" not in repr(share)


def test_a_pipeline_starts_tasks_in_order_and_within_its_bound() -> None:
    started, under_way, most = [], [], []

    async def task(number: int, rounds: int, me: int):
        started.append(number) if me == 0 else None
        under_way.append(number)
        for _ in range(rounds):
            most.append(len(under_way)) if me == 0 else None
            received = await Exchange({1 - me: [np.full(2, number, np.uint64)]}, {1 - me: 2})
            assert received[1 - me].tolist() == [number, number]
        under_way.remove(number)

    def tasks(me: int):
        for number in range(20):
            # lazily: nothing is made before its turn
            assert me == 1 or len(started) == number
            yield Task(partial(task, number, 1 + number % 3, me), PIPELINE_WORDS // 4)

    async def run(me: int) -> None:
        await pipelined(tasks(me))

    _, log = together(partial(run, 0), partial(run, 1))
    assert started == list(range(20))
    assert 2 <= max(most) <= 2 * 4
    assert max(words.size for _, _, words in log) <= 2 * 4


def test_a_pipeline_runs_even_what_is_too_heavy_for_it() -> None:
    async def run(me: int) -> None:
        heavy = [Task(partial(idle, 2), 10 * PIPELINE_WORDS) for _ in range(3)]
        await pipelined([*heavy, Task(partial(idle, 1))])

    together(partial(run, 0), partial(run, 1))


def test_a_pipeline_of_nothing_takes_no_round() -> None:
    async def run() -> None:
        await pipelined([])

    _, log = together(run, run)
    assert log == []
