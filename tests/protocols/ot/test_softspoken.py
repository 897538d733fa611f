"""The extension: t = q ^ c D for any choices and lengths, pads of the right side only, nothing used twice."""

from __future__ import annotations

import os
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.ot import softspoken
from protocols.ot.correlated import Received, Reused, Sent
from protocols.ot.costs import connect_words
from protocols.ot.kernels import LANES
from protocols.ot.messages import InvalidMessage
from protocols.ot.softspoken import connect, correction_words

sys.path.insert(0, str(Path(__file__).parent))
from lockstep import answer, sent, together

LENGTHS = [1, 2, 63, 64, 65, 127, 128, 129, 1000, 4095, 8193, 20_011]


def meshes(count: int = 2, field_bits: int = softspoken.FIELD_BITS):
    session = os.urandom(32)
    return together(*(partial(connect, me, range(count), session, field_bits) for me in range(count)))


@pytest.fixture(scope="module")
def pair():
    (one, other), _ = meshes()
    return one.pairs[1].sender, other.pairs[0].receiver


def extend(pair, choices: np.ndarray, count: int) -> tuple[Sent, Received]:
    sender, receiver = pair
    (sent_, received), log = together(partial(sender.extend, count), partial(receiver.extend, choices, count))
    assert sent(log) == {1: correction_words(count, sender._forest.field_bits)}
    return sent_, received


def words(bits: np.ndarray) -> np.ndarray:
    padded = np.zeros(-(-len(bits) // 64) * 64, np.uint8)
    padded[: len(bits)] = bits
    return np.packbits(padded, bitorder="little").view(np.uint64)


def blocks(of, count: int) -> np.ndarray:
    """In the order of the OTs."""
    filled = np.empty((1, 64, -(-count // 64), 2), np.uint64)
    of(0, np.empty((0, 2), np.uint64), filled)
    return filled[0].swapaxes(0, 1).reshape(-1, 2)[:count]


def assert_correlated(pair, bits: np.ndarray) -> None:
    sent_, received = extend(pair, words(bits), len(bits))
    count = len(bits)
    assert sent_.count == received.count == count
    q, t, delta = blocks(sent_._q, count), blocks(received._t, count), sent_._delta
    assert np.array_equal(t, q ^ np.where(bits[:, None] == 1, delta, np.uint64(0)))
    for_zero, for_one = sent_.pads(3)
    assert np.array_equal(received.pads(3), np.where(bits[:, None] == 1, for_one, for_zero))
    assert not np.any(for_zero == for_one)
    assert len(np.unique(for_zero)) == for_zero.size


@pytest.mark.parametrize("length", LENGTHS)
def test_the_correlation_holds_for_random_choices(pair, length: int) -> None:
    assert_correlated(pair, np.frombuffer(os.urandom(length), np.uint8) & 1)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("chosen", ["zeros", "ones", "alternating", "last only"])
def test_the_correlation_holds_for_chosen_choices(pair, length: int, chosen: str) -> None:
    bits = {
        "zeros": np.zeros(length, np.uint8),
        "ones": np.ones(length, np.uint8),
        "alternating": np.arange(length, dtype=np.uint8) & 1,
        "last only": (np.arange(length) == length - 1).astype(np.uint8),
    }[chosen]
    assert_correlated(pair, bits)


@settings(max_examples=40, deadline=None)
@given(bits=st.lists(st.integers(0, 1), min_size=1, max_size=300))
def test_the_correlation_holds_for_any_choices(pair, bits: list[int]) -> None:
    assert_correlated(pair, np.array(bits, np.uint8))


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 40_000) | st.sampled_from([1, 63, 64, 65, 4096, 8191, 8192, 8193]))
def test_the_correlation_holds_for_any_length(pair, length: int) -> None:
    assert_correlated(pair, np.frombuffer(os.urandom(length), np.uint8) & 1)


@pytest.mark.parametrize("field_bits", [2, 4, 8])
def test_every_field_size_both_ways_among_three(field_bits: int) -> None:
    parties, log = meshes(3, field_bits)
    assert sent(log) == connect_words(range(3))
    for i, mesh in enumerate(parties):
        assert (mesh.me, mesh.parties, sorted(mesh.pairs)) == (i, (0, 1, 2), [j for j in range(3) if j != i])
        for j, other in enumerate(parties):
            if i != j:
                end = mesh.pairs[j].sender, other.pairs[i].receiver
                assert (end[0].peer, end[1].peer) == (j, i)
                bits = np.frombuffer(os.urandom(130), np.uint8) & 1
                # lockstep knows two parties; these ends name each other by their own numbers
                sent_, received = _extend_among_three(end, i, j, words(bits), 130)
                added = np.where(bits[:, None] == 1, sent_._delta, np.uint64(0))
                assert np.array_equal(blocks(received._t, 130), blocks(sent_._q, 130) ^ added)


def _extend_among_three(end, i: int, j: int, choices: np.ndarray, count: int):
    async def nothing() -> None:
        pass

    protocols = [nothing] * 3
    protocols[i], protocols[j] = partial(end[0].extend, count), partial(end[1].extend, choices, count)
    results, _ = together(*protocols)
    return results[i], results[j]


def test_sessions_and_directions_have_nothing_in_common() -> None:
    offsets = set()
    for _ in range(2):
        (one, other), _ = meshes()
        offsets |= {one.pairs[1].sender._offset.tobytes(), other.pairs[0].sender._offset.tobytes()}
    assert len(offsets) == 4


def test_pads_are_taken_once(pair) -> None:
    sent_, received = extend(pair, np.zeros(1, np.uint64), 64)
    sent_.pads()
    received.pads()
    for batch in (sent_, received):
        with pytest.raises(Reused, match="used once"):
            batch.pads()
    assert issubclass(Reused, ValueError)


def test_no_index_comes_twice(pair) -> None:
    batches = [extend(pair, np.zeros(2, np.uint64), 100) for _ in range(4)]
    for ends in zip(*batches, strict=True):
        ranges = [range(batch._first, batch._first + batch.count) for batch in ends]
        assert all(earlier.stop <= later.start for earlier, later in pairwise(ranges))
    assert [batch._first for batch, _ in batches] == [batch._first for _, batch in batches]


def test_every_bit_of_the_offset_takes_both_values() -> None:
    """Among 66 offsets; at random, one of their bits would not once in 2^58 times."""
    offsets = [pair.sender._offset for _ in range(11) for mesh in meshes(3)[0] for pair in mesh.pairs.values()]
    assert len(offsets) == 66
    full = np.iinfo(np.uint64).max
    assert (np.bitwise_or.reduce(offsets) == full).all()
    assert (np.bitwise_and.reduce(offsets) == 0).all()


def test_no_word_of_the_rows_comes_twice() -> None:
    trees = [[os.urandom(16) for _ in range(16)] for _ in range(32)]
    forest, same = softspoken._Forest(trees), softspoken._Forest(trees)
    found = []
    for width in (1, 100, 200, 3, 5000, 2000, 2000, 2000, 1):
        v, u = forest.rows(width)
        assert v.size == 128 * -(-width // LANES) * LANES
        assert u.shape == (32, width)
        assert all(map(np.array_equal, (v, u), same.rows(width)))
        found += [v, u.reshape(-1)]
    words = np.concatenate(found)
    assert len(np.unique(words)) == words.size


@pytest.mark.parametrize("length", [0, 1, 63, 65, 1000])
def test_corrections_of_another_length_are_refused(pair, length: int) -> None:
    (mesh, _), _ = meshes()
    with pytest.raises(InvalidMessage, match=f"party 1 sent {length} words where 64 were due"):
        answer(mesh.pairs[1].sender.extend(128), {1: np.zeros(length, np.uint64)})


@pytest.mark.parametrize("size", [0, 1, 3])
def test_choices_must_fill_their_words(size: int) -> None:
    (mesh, _), _ = meshes()
    with pytest.raises(ValueError, match="65 choice bits fill 2 words"):
        answer(mesh.pairs[1].receiver.extend(np.zeros(size, np.uint64), 65), {})


@pytest.mark.parametrize("field_bits", [0, 1, 3, 16])
def test_other_field_sizes_are_refused(field_bits: int) -> None:
    with pytest.raises(ValueError, match="2, 4 or 8"):
        answer(connect(0, (0, 1), bytes(16), field_bits), {})


def test_batches_and_ends_show_nothing(pair) -> None:
    sent_, received = extend(pair, np.zeros(1, np.uint64), 3)
    for shown in (repr(sent_), repr(received), repr(pair[0]), repr(pair[1])):
        assert "array" not in shown
