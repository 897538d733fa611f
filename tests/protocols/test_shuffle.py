"""Shuffle and place: the same rows, in an order that is uniform and that no party's view has anything to do with."""

import sys
from itertools import combinations, pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import dealer
from protocols import shuffle as protocol
from protocols.columns import Column, open_columns
from protocols.correlations import Material
from protocols.shuffle import Place, SecretPermutation, Shuffle, inverse, permutation

sys.path.insert(0, str(Path(__file__).parent))
from trial import RING, Recording, assert_uniform, assert_uniform_words, attempt, random_words, run, session, together

LENGTHS = [0, 1, 2, 63, 64, 65, 1000]
PARTIES = [2, 3, 5]
widths = st.integers(1, 64)


# Columns


@settings(deadline=None)
@given(widths, st.lists(st.integers(0, RING - 1), max_size=200))
def test_numbers_travel_in_their_bits(width: int, numbers) -> None:
    column, x = Column(width), np.array(numbers, np.uint64)
    packed = column.pack(x)
    assert packed.size == column.words(len(numbers)) == -(-len(numbers) * width // 64)
    whole = sum(number % 2**width << width * i for i, number in enumerate(numbers))
    assert [whole >> 64 * i & RING - 1 for i in range(packed.size)] == packed.tolist()
    assert [number % 2**width for number in numbers] == column.unpack(packed, len(numbers)).tolist()


def test_a_message_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="5 numbers of 17 bits"):
        Column(17).unpack(np.zeros(1, np.uint64), 5)
    for width in (0, 65):
        with pytest.raises(ValueError, match="fit a word"):
            Column(width)


# Permutations


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, RING - 1)] * 2), max_size=70))
def test_a_permutation_is_drawn_by_fisher_yates_with_96_bits_a_swap(keys) -> None:
    expected = list(range(len(keys)))
    for i in range(len(keys) - 1, 0, -1):
        j = ((keys[i][0] << 32) + (keys[i][1] >> 32)) * (i + 1) >> 96
        expected[i], expected[j] = expected[j], expected[i]
    assert permutation(np.array(keys, np.uint64).reshape(-1, 2)).tolist() == expected


@pytest.mark.parametrize("places", [[0, 2], [0, 0], [RING - 1, 0]])
def test_opened_places_that_are_no_permutation_are_refused(places) -> None:
    with pytest.raises(ValueError, match="no permutation"):
        inverse(np.array(places, np.uint64))


# Value and cost


def sorted_rows(table: np.ndarray) -> np.ndarray:
    return table[:, np.lexsort(table)]


@pytest.mark.parametrize("count", PARTIES)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_shuffle_keeps_the_rows(count: int, length: int) -> None:
    for columns in (1, 3):
        table = random_words((columns, length))
        value = run(Shuffle(length, columns), count, table).value
        assert value.shape == table.shape
        assert np.array_equal(sorted_rows(value), sorted_rows(table))
        assert length < 63 or not np.array_equal(value, table)
    assert run(Shuffle(length), count, table[0]).value.shape == (length,)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 5),
    st.integers(1, 40),
    st.lists(st.builds(Column, widths, st.sampled_from(["ring", "bits"])), min_size=1, max_size=4),
)
def test_columns_of_every_width_and_kind_are_shuffled_together(count: int, rows: int, columns) -> None:
    # every kind starts from the shares (table, 0, 0, ...), whose sum and whose XOR it is
    table = random_words((len(columns), rows))
    zeros = np.zeros_like(table)
    demand = SecretPermutation(count, rows, tuple(columns))
    parties, sources = session(count, [((7,), demand)])
    trial = together([protocol.shuffle(p.at(7), columns, table if p.index == 0 else zeros) for p in parties], sources)
    masks = np.array([[2**column.width - 1] for column in columns], np.uint64)
    total = zeros
    for share in trial.values:
        total = np.stack([c.add(x, y) for c, x, y in zip(columns, total, share, strict=True)])
    assert np.array_equal(sorted_rows(total & masks), sorted_rows(table & masks))
    cost = protocol.shuffle_cost(count, columns, rows)
    assert (tuple(trial.sent), trial.rounds) == (cost.words, [count] * count)
    words = sum(-(-rows * column.width // 64) for column in columns)
    assert cost.words == (words, *[2 * words] * (count - 2), words)


@pytest.mark.parametrize("count", PARTIES)
@pytest.mark.parametrize("length", LENGTHS)
def test_rows_are_placed(count: int, length: int) -> None:
    for columns in (1, 3):
        place, table = Place(length, columns), random_words((columns, length))
        order = np.random.default_rng(length).permutation(length)
        destination = order.astype(np.uint64)
        value = run(place, count, destination, table).value
        assert np.array_equal(value[:, order], table)
        assert np.array_equal(value, place.reference(destination, table))
    high = random_words((length,)) << np.uint64(max(length - 1, 1).bit_length())
    one = Place(length)
    assert np.array_equal(run(one, count, destination + high, table[0]).value, one.reference(destination, table[0]))


# What each party sees

ROWS = 2000
ORDERS = list(permutations(range(3)))


def without(name: str) -> type[Recording]:
    """A source whose masks of this name are zeros."""

    class Without(Recording):
        def draw(self, label, demand) -> Material:
            material = super().draw(label, demand)
            return Material({k: np.zeros_like(v) if k.startswith(name) else v for k, v in material.items()})

    return Without


def check_views(count: int, number: int, source_type=Recording) -> None:
    """All parties but one know the table, in which all rows are alike: its order hides nothing from them."""
    table = np.full((1, ROWS), number % RING, np.uint64)
    trial = attempt(Shuffle(ROWS), count, table, source_type=source_type)
    for honest in range(count):
        others = [i for i in range(count) if i != honest]
        inputs = sum(trial.operands[i][0] for i in others).reshape(-1)
        results = sum(trial.values[i] for i in others).reshape(-1)
        seen = [inputs, results, *(words for i in others for sender, words in trial.seen[i] if sender == honest)]
        for words in seen:
            assert_uniform_words(words)
        for one, other in combinations(seen, 2):
            assert_uniform_words(one + other)
            assert_uniform_words(one - other)
    # the words that a party hands on are not those that came to it, in whatever order
    masks = [trial.sources[i].material[0][f"a{i}"] for i in range(1, count)]
    handed = [(table - sum(masks)).reshape(-1), *(trial.seen[i][0][1] for i in range(1, count))]
    for before, after in pairwise(handed):
        assert not np.intersect1d(before, after).size


def orders(trials: int, count: int = 2) -> np.ndarray:
    """How often each order of three rows comes out."""
    table = np.arange(3, dtype=np.uint64)
    found = [tuple(attempt(Shuffle(3), count, table).value.tolist()) for _ in range(trials)]
    return np.array([found.count(order) for order in ORDERS])


def opened_orders(trials: int, destination, monkeypatch) -> np.ndarray:
    """How often each permutation of three is opened, where these are the places to go to."""
    opened = []

    async def noting(*arguments):
        opened.append(await open_columns(*arguments))
        return opened[-1]

    monkeypatch.setattr(protocol, "open_columns", noting)
    for _ in range(trials):
        attempt(Place(3), 2, np.array(destination, np.uint64), np.zeros(3, np.uint64))
    found = [tuple(values[0].tolist()) for values in opened]
    return np.array([found.count(order) for order in ORDERS])


def identity(keys: np.ndarray) -> np.ndarray:
    return np.arange(len(keys))


@pytest.mark.parametrize("number", [0, -1, 1 << 63])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_every_message_is_uniform_and_none_is_like_another(count: int, number: int) -> None:
    check_views(count, number)


@pytest.mark.parametrize("name", ["a", "b", "delta"])
@pytest.mark.parametrize("count", [2, 3])
def test_the_test_sees_a_mask_left_out(count: int, name: str) -> None:
    with pytest.raises(AssertionError):
        check_views(count, 5, without(name))


@pytest.mark.parametrize("count", [2, 3])
def test_every_order_is_as_likely(count: int) -> None:
    assert_uniform(orders(900, count))


@pytest.mark.parametrize("destination", [(0, 1, 2), (2, 0, 1)])
def test_what_place_opens_is_a_uniform_permutation(destination, monkeypatch) -> None:
    assert_uniform(opened_orders(900, destination, monkeypatch))


def test_the_tests_see_that_nothing_is_shuffled(monkeypatch) -> None:
    monkeypatch.setattr(protocol, "permutation", identity)
    with pytest.raises(AssertionError):
        assert_uniform(orders(100))
    with pytest.raises(AssertionError):
        assert_uniform(opened_orders(100, (0, 1, 2), monkeypatch))


def test_the_dealers_correction_is_uniform() -> None:
    demand = SecretPermutation(3, ROWS, (Column(), Column(17, "bits")))
    secrets = {i: bytes([i]) * 32 for i in range(3)}
    assert_uniform_words(dealer.deal(demand, (1,), secrets))
