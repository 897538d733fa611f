"""Permutation networks and what they make: every order is reached, masks follow it, and nobody sees another's order."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import pairwise
from protocols.columns import Column
from protocols.ot import costs, lane_kernels, lanes, permutation
from protocols.ot.lanes import Lanes
from protocols.ot.messages import InvalidMessage
from protocols.ot.softspoken import connect
from protocols.party import Party
from protocols.prg import Stream
from protocols.shuffle import SecretPermutation, Shuffle
from protocols.shuffle import permutation as drawn

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))
from lockstep import answer, everywhere, sent, together
from test_views import MUTANTS, SAMPLES, assert_nothing_seen, same_mask_for_two_trees, samples
from trial import assert_uniform, shared
from trial import together as shuffled

LENGTHS = [0, 1, 2, 3, 5, 63, 64, 65, 1000]
MIXED = (Column(17), Column(17, "bits"), Column(64), Column(1), Column(29, "bits"), Column(64, "bits"))
COLUMNS = st.lists(st.builds(Column, st.integers(1, 64), st.sampled_from(["ring", "bits"])), min_size=1, max_size=6)


def meshes(parties: int):
    session = os.urandom(32)
    return together(*(partial(connect, me, range(parties), session) for me in range(parties)))[0]


@pytest.fixture(scope="module", params=[2, 3, 4, 5])
def mesh(request):
    return meshes(request.param)


def random(*shape: int) -> np.ndarray:
    return np.frombuffer(os.urandom(8 * math.prod(shape)), np.uint64).reshape(shape)


# Lanes


@settings(deadline=None)
@given(COLUMNS, st.integers(0, 70))
def test_lanes_add_each_by_itself_and_travel_in_their_bits(columns, count: int) -> None:
    layout = Lanes(tuple(columns))
    low = np.array([[2**column.width - 1] for column in columns], np.uint64)
    x, y = random(len(columns), count), random(len(columns), count)
    assert np.array_equal(layout.split(layout.join(x)), x & low)
    for columnwise, lanewise in ((Column.add, layout.add), (Column.subtract, layout.subtract)):
        expected = np.stack([columnwise(c, one, other) for c, one, other in zip(columns, x, y, strict=True)])
        assert np.array_equal(layout.split(lanewise(layout.join(x), layout.join(y))), expected & low)
    message = np.concatenate(layout.pack(layout.join(x)))
    assert message.size == layout.sent(count)
    assert np.array_equal(layout.split(layout.unpack(message, count)), x & low)
    assert layout.words <= len(columns)
    assert all(shift + column.width <= 64 for column, (_, shift) in zip(columns, layout.places, strict=True))


def test_narrow_columns_share_a_word() -> None:
    assert Lanes((Column(17), Column(17, "bits"), Column(29, "bits"))).words == 1
    assert Lanes((Column(17), Column(64), Column(47))).words == 2


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1000, 5000])
def test_shared_bits_become_numbers_and_choose_some(mesh, count: int, monkeypatch) -> None:
    if count == 1000:
        monkeypatch.setattr(lanes, "BLOCK_BITS", 256)  # many pieces
    for column in (Column(), Column(17), Column(40)):
        bits = [random(-(-count // 64)) for _ in mesh]
        numbers = [random(count) for _ in mesh]
        ends = (partial(lanes.select, each, bits[each.me], numbers[each.me], column) for each in mesh)
        made, log = together(*ends)
        bit = np.unpackbits(np.bitwise_xor.reduce(bits).view(np.uint8), count=count, bitorder="little").astype(
            np.uint64
        )
        low = np.uint64(2**column.width - 1)
        assert np.array_equal(sum(words for words, _ in made) & low, bit)
        assert np.array_equal(sum(chosen for _, chosen in made) & low, bit * sum(numbers) & low)
        assert sent(log) == costs.select_words(count, column, mesh[0].parties)


# The network


def through(runs, bits: np.ndarray, rows: int) -> np.ndarray:
    """Where the network takes the rows, switch by switch."""
    wires, settings_ = np.arange(rows), iter(bits)
    for run in runs:
        lower = [p for p in range(rows) if not p >> run.level & 1 and p + (1 << run.level) < rows]
        for p in lower[run.first : run.first + run.count]:
            if next(settings_):
                q = p + (1 << run.level)
                wires[p], wires[q] = wires[q], wires[p]
    assert next(settings_, None) is None
    return wires


@pytest.mark.parametrize("rows", range(6))
def test_every_order_is_reached(rows: int) -> None:
    runs = permutation.network(rows)
    for order in permutations(range(rows)):
        bits = permutation.settings(np.array(order, np.int64), runs)
        assert tuple(through(runs, bits, rows)) == order


@settings(deadline=None)
@given(st.integers(0, 300).flatmap(lambda rows: st.permutations(range(rows))))
def test_any_order_is_reached_with_as_few_switches_as_waksmans(order: list[int]) -> None:
    rows = len(order)
    runs = permutation.network(rows)
    assert sum(run.count for run in runs) == sum(math.ceil(math.log2(i)) for i in range(1, rows + 1))
    bits = permutation.settings(np.array(order, np.int64), runs)
    assert through(runs, bits, rows).tolist() == list(order)


# Share translations


def translated(each, orders, columns):
    return permutation.translations(each, orders[each.me], Lanes(columns), Stream(os.urandom(32)))


@pytest.mark.parametrize("rows", LENGTHS)
def test_masks_follow_the_order(mesh, rows: int, monkeypatch) -> None:
    if rows == 1000:
        monkeypatch.setattr(lanes, "BLOCK_BITS", 2048)  # pieces that end within levels
    layout = Lanes(MIXED)
    orders = [np.random.default_rng(i).permutation(rows) for i in range(len(mesh))]
    made = everywhere(mesh, partial(translated, orders=orders, columns=MIXED))
    for owner, (_, _, total) in enumerate(made):
        expected = np.zeros_like(total)
        for other, (before, after, _) in enumerate(made):
            if other != owner:
                moved = layout.subtract(np.take(before[owner], orders[owner], axis=1), after[owner])
                expected = layout.add(expected, moved)
        assert np.array_equal(layout.split(total), layout.split(expected))


@pytest.mark.parametrize("rows", LENGTHS)
def test_a_permutation_costs_what_it_says(mesh, rows: int) -> None:
    for columns in (MIXED, (Column(10),)):

        async def run(each, columns=columns):
            return await permutation.permuted(each, np.arange(rows), columns, Stream(os.urandom(32)))

        _, log = together(*(partial(run, each) for each in mesh))
        expected = costs.permutation_words(rows, columns, mesh[0].parties)
        assert sent(log) == {party: words for party, words in expected.items() if words}


def test_a_row_of_another_length_is_refused() -> None:
    async def heard():
        return await permutation._one_row(1, np.zeros((2, 1), np.uint64))

    protocol = heard()
    exchanges = protocol.send(None)
    exchanges[1].received = {1: np.zeros(3, np.uint64)}
    with pytest.raises(InvalidMessage, match="3 words where 2 were due"):
        protocol.send(None)
    with pytest.raises(InvalidMessage, match="party 1 sent 3 words"):
        answer(lanes.receive(1, 4), {1: np.zeros(3, np.uint64)})


ORDERS = list(permutations(range(3)))


@pytest.mark.parametrize("parties", [2, 3])
def test_every_order_is_as_likely(parties: int) -> None:
    demand = SecretPermutation(parties, 3, (Column(8),))
    each = meshes(parties)
    session = os.urandom(32)
    labelled = [((i,), demand) for i in range(720 // parties**2)]
    made = everywhere(each, lambda one: pairwise.make(one, session, labelled, Stream(os.urandom(32))))
    found = []
    for label, _ in labelled:
        order = np.arange(3)
        for i in range(parties):
            order = np.take(order, drawn(made[i][label][f"keys{i}"]))
        found.append(ORDERS.index(tuple(order.tolist())))
    assert_uniform(np.bincount(found, minlength=6))


# What each party sees

ROWS = SAMPLES


class Constant(Stream):
    """Masks that are all alike; rows that are told are random all the same, so that they hide what they should."""

    def __init__(self, word: int) -> None:
        super().__init__(os.urandom(32))
        self.word = word

    def words(self, shape) -> np.ndarray:
        return super().words(shape) if shape[-1] == 1 else np.full(shape, self.word, np.uint64)


def views(orders, word: int) -> list[list[np.ndarray]]:
    """Of known masks moved by known orders, and of known bits that choose: all that came to each party, and its shares.

    Twice, so that what is used again shows.
    """
    known = np.full(64 * SAMPLES, word, np.uint64)

    async def twice(each):
        made = []
        for _ in range(2):
            layout = Lanes((Column(), Column(64, "bits")))
            _, after, total = await permutation.translations(each, orders[each.me], layout, Constant(word))
            made += [*after.values(), total, *await lanes.select(each, known[:SAMPLES], known, Column())]
        return made

    results, log = together(*(partial(twice, each) for each in meshes(2)))
    seen = []
    for me, made in enumerate(results):
        received = [message for _, receiver, message in log if receiver == me]
        seen.append([sample for words in (*made, *received) for sample in samples(words.reshape(-1))[:12]])
    return seen


def fixed_orders() -> Iterator[list[np.ndarray]]:
    yield [np.arange(ROWS), np.arange(ROWS)]
    yield [np.arange(ROWS)[::-1].copy(), np.roll(np.arange(ROWS), 1)]


@pytest.mark.parametrize("word", [0, 2**64 - 1])
def test_what_a_party_sees_is_uniform_whatever_the_order_and_the_masks(word: int) -> None:
    for orders in fixed_orders():
        for seen in views(orders, word):
            assert len(seen) > 30
            assert_nothing_seen(seen)


def told_as_it_is(monkeypatch) -> None:
    """What a switch tells of its wires, without the pads that hide it."""
    switch = lane_kernels.switch_sent

    def leaking(tops, level, first, start, stop, zero, one, wires, payload):
        switch(tops, level, first, start, stop, zero, zero, wires, payload)

    monkeypatch.setattr(lane_kernels, "switch_sent", leaking)


def number_told(monkeypatch) -> None:
    """A number that a bit multiplies, without the pads."""
    scale = lane_kernels.scale_sent

    def leaking(tops, rows, zero, one, payload, share):
        scale(tops, rows, zero, zero, payload, share)

    monkeypatch.setattr(lane_kernels, "scale_sent", leaking)


def bits_told(monkeypatch) -> None:
    """Whoever permutes adds its switches' bits to what it tells the other."""
    extend = permutation._move

    async def leaking(ot, lanes, runs, wires, chosen):
        class Leaking:
            peer = ot.peer

            async def extend(self, choices, count):
                made = ot._forest.rows

                def rows(width):
                    v, u = made(width)
                    return v, np.zeros_like(u)

                ot._forest.rows = rows
                try:
                    return await ot.extend(choices, count)
                finally:
                    ot._forest.rows = made

        return await extend(Leaking(), lanes, runs, wires, chosen)

    monkeypatch.setattr(permutation, "_move", leaking)


def one_pad_for_all(monkeypatch) -> None:
    """A piece's switches all take the first one's pads."""
    for name in ("_mask", "_move"):
        end = getattr(permutation, name)

        async def leaking(ot, *arguments, end=end):
            class Repeating:
                peer = ot.peer

                async def extend(self, *what):
                    made = await ot.extend(*what)
                    pads = made.pads

                    def first(width=1):
                        found = pads(width)
                        if isinstance(found, tuple):
                            return tuple(np.repeat(each[:1], len(each), axis=0) for each in found)
                        return np.repeat(found[:1], len(found), axis=0)

                    made.pads = first
                    return made

            return await end(Repeating(), *arguments)

        monkeypatch.setattr(permutation, name, leaking)


# two trees with one mask show only beside each other, in messages of whole samples
@pytest.mark.parametrize(
    "mutant",
    [
        told_as_it_is,
        number_told,
        bits_told,
        one_pad_for_all,
        *(each for each in MUTANTS if each is not same_mask_for_two_trees),
    ],
    ids=lambda mutant: mutant.__name__,
)
def test_the_test_sees_planted_leaks(mutant, monkeypatch) -> None:
    mutant(monkeypatch)
    seen = [one for orders in fixed_orders() for one in views(orders, 0)]
    with pytest.raises(AssertionError):
        any(assert_nothing_seen(one) for one in seen)


@pytest.mark.parametrize("parties", [2, 3])
def test_all_others_together_see_uniform_words(parties: int) -> None:
    """What one party sends all others while material is made and while a table of equal rows is shuffled with it."""
    shuffle = Shuffle(ROWS)
    labelled = [((7, *label), demand) for label, demand in shuffle.demands(parties)]
    session = os.urandom(32)
    each = meshes(parties)
    supplies, log = together(
        *(partial(pairwise.make, one, session, labelled, Stream(os.urandom(32))) for one in each),
    )
    drawing = [Party(i, parties, {}, pairwise.PairwiseSource(supplies[i])) for i in range(parties)]
    operands = shared(np.full((1, ROWS), 5, np.uint64), parties)
    trial = shuffled([shuffle.run(p.at(7), x) for p, x in zip(drawing, operands, strict=True)], supplies)
    assert np.array_equal(trial.value, np.full((1, ROWS), 5))
    for honest in range(parties):
        others = [i for i in range(parties) if i != honest]
        seen = [message for sender, _, message in log if sender == honest]
        seen += [words for i in others for sender, words in trial.seen[i] if sender == honest]
        seen += [sum(held[i] for i in others).reshape(-1) for held in (operands, trial.values)]
        assert_nothing_seen([sample for words in seen for sample in samples(words)[:6]])


def sums(parties: int) -> np.ndarray:
    """What the first party's masks add up to, of many permutations: a network alone would make that zero."""
    demand = SecretPermutation(parties, 3, (Column(4),))
    labelled = [((i,), demand) for i in range(320)]
    each, session = meshes(parties), os.urandom(32)
    first = everywhere(each, lambda one: pairwise.make(one, session, labelled, Stream(os.urandom(32))))[0]
    return np.bincount([int(made["delta0"].sum() + made["b0"].sum()) % 16 for made in first.values()], minlength=16)


def test_masks_add_up_to_anything(monkeypatch) -> None:
    assert_uniform(sums(2))
    words = Stream.words
    monkeypatch.setattr(Stream, "words", lambda self, shape: words(self, shape) * np.uint64(shape != (1, 1)))
    with pytest.raises(AssertionError):
        assert_uniform(sums(2))
