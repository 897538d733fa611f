"""Sort: numpy's stable order, at the cost of the formula, and nothing seen that the keys have anything to do with."""

import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import dealer, shuffle, sorting
from protocols.columns import open_columns
from protocols.shuffle import Place
from protocols.sorting import Sort

sys.path.insert(0, str(Path(__file__).parent))
from trial import assert_uniform, assert_uniform_words, attempt, random_words, run

LENGTHS = [1, 2, 63, 64, 65, 1000]


def keys_of(pattern: str, length: int, bits: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed).integers(0, 2**bits, length, np.uint64)
    return {
        "random": random,
        "few": random % np.uint64(3),
        "equal": np.full(length, 2**bits - 1, np.uint64),
        "sorted": np.sort(random),
        "reversed": np.sort(random)[::-1].copy(),
        "extreme": np.where(random % np.uint64(2) == 1, np.uint64(2**bits - 1), np.uint64(0)),
    }[pattern]


def check(count: int, keys: np.ndarray, bits: int) -> None:
    """The keys, any other column and the argsort."""
    length = len(keys)
    table = np.stack([keys, random_words((length,)), np.arange(length, dtype=np.uint64)])
    sort = Sort(length, bits, len(table))
    value = run(sort, count, keys, table).value
    order = np.argsort(keys, kind="stable")
    assert np.array_equal(value, table[:, order])
    assert np.array_equal(value, sort.reference(keys, table))


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("pattern", ["random", "few"])
def test_every_length(pattern: str, length: int, count: int) -> None:
    check(count, keys_of(pattern, length, 9), 9)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 7, 31, 32, 33, 63, 64])
@pytest.mark.parametrize("pattern", ["random", "few", "equal", "sorted", "reversed", "extreme"])
def test_every_width(pattern: str, bits: int) -> None:
    check(2, keys_of(pattern, 65, bits), bits)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5), st.integers(1, 64), st.data())
def test_any_keys(count: int, bits: int, data) -> None:
    keys = data.draw(st.lists(st.integers(0, 2**bits - 1) | st.integers(0, 1), min_size=1, max_size=40))
    check(count, np.array(keys, np.uint64), bits)


def test_one_column_keeps_its_shape_and_an_argsort_gives_ranks() -> None:
    keys = keys_of("few", 100, 8)
    order = run(Sort(100, 8), 2, keys, np.arange(100, dtype=np.uint64)).value
    assert np.array_equal(order, np.argsort(keys, kind="stable"))
    ranks = run(Place(100), 2, order, np.arange(100, dtype=np.uint64)).value
    assert np.array_equal(ranks[order.astype(np.int64)], np.arange(100))


@pytest.mark.parametrize("bits", [0, 65, -1])
def test_keys_that_fit_no_word_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 64"):
        Sort(10, bits)


@pytest.mark.parametrize("parties", [2, 3, 5])
def test_rounds_by_the_formula_in_the_docstring(parties: int) -> None:
    for bits, passes in ((1, 1), (3, 1), (4, 2), (32, 11), (64, 22)):
        sort = Sort(1000, bits)
        assert len(sort.digits) == passes
        assert sum(sort.digits) == bits
        moves = passes + 1 if passes > 1 else 1
        rounds = sort.cost(parties).rounds - sort.to_bits.cost(parties).rounds
        assert rounds == passes + 1 + (parties + 1) * moves


# What is opened

ORDERS = list(permutations(range(3)))


def opened(trials: int, keys, monkeypatch, count: int = 2) -> list[list[list[np.ndarray]]]:
    """All values that sorts of two passes open, from the first digits on: trial by trial, round by round."""
    found: list[list[list[np.ndarray]]] = []

    async def noting(party, *shared):
        values = await open_columns(party, *shared)
        if party.index == 0:
            found[-1].append(values)
        return values

    monkeypatch.setattr(sorting, "open_columns", noting)
    monkeypatch.setattr(shuffle, "open_columns", noting)
    for _ in range(trials):
        found.append([])
        attempt(Sort(3, 4), count, np.array(keys, np.uint64), np.zeros(3, np.uint64))
    return found


def check_orders(found) -> None:
    """Each opened permutation is uniform, and so are all pairs of them."""
    orders = [[ORDERS.index(tuple(values[0].tolist())) for values in (r[2], r[4], r[5])] for r in found]
    for first, second in ((0, 1), (1, 2), (0, 2)):
        assert_uniform(np.bincount([6 * order[first] + order[second] for order in orders], minlength=36))


def check_masked(found) -> None:
    """Opened digits are uniform, and so are opened offsets, modulo 4 here, each together with the digit."""
    for digits, offsets in (([r[0][0] for r in found], 1), ([r[2][1] for r in found], 3)):
        for row in range(3):
            for k in range(3):
                pairs = [4 * c[row] + r[offsets][0][row, k] for c, r in zip(digits, found, strict=True)]
                assert_uniform(np.bincount(np.array(pairs, np.int64), minlength=16))


@pytest.mark.parametrize("keys", [(0, 0, 0), (15, 7, 2), (1, 2, 1)])
def test_what_is_opened_is_uniform_whatever_the_keys(keys, monkeypatch) -> None:
    found = opened(700, keys, monkeypatch)
    check_orders(found)
    check_masked(found)


def test_the_tests_see_a_sort_that_does_not_shuffle(monkeypatch) -> None:
    monkeypatch.setattr(shuffle, "permutation", lambda keys: np.arange(len(keys)))
    with pytest.raises(AssertionError):
        check_orders(opened(100, (2, 1, 0), monkeypatch))


def test_the_tests_see_a_shuffle_used_twice(monkeypatch) -> None:
    """The same permutation in both passes: what is opened last is what is opened first, in another order."""
    drawn = shuffle.permutation
    first: dict[bytes, np.ndarray] = {}

    monkeypatch.setattr(shuffle, "permutation", lambda keys: drawn(first.setdefault(b"", keys)))
    found = []
    for _ in range(300):
        first.clear()
        found += opened(1, (2, 1, 0), monkeypatch)
    with pytest.raises(AssertionError):
        check_orders(found)


@pytest.mark.parametrize("name", ["r", "b"])
def test_the_tests_see_digits_or_offsets_without_a_mask(name: str, monkeypatch) -> None:
    drawn = dealer._draw

    def unmasked(secret, label, part):
        words = drawn(secret, label, part)
        return np.zeros_like(words) if part.name == name else words

    monkeypatch.setattr(dealer, "_draw", unmasked)
    with pytest.raises(AssertionError):
        check_masked(opened(100, (1, 2, 1), monkeypatch))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("pattern", ["equal", "sorted"])
def test_every_message_is_uniform(pattern: str, count: int) -> None:
    length = 4096
    trial = attempt(Sort(length, 8), count, keys_of(pattern, length, 8), np.arange(length, dtype=np.uint64))
    for seen in trial.seen:
        assert len(seen) > 10
        for _, words in seen:
            assert_uniform_words(words)
