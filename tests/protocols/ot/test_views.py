"""What each party sees while material is made is uniform, whatever the inputs are; planted leaks are seen by the test.

A view is every message that a party got, its own shares, and its own pads where it has but one of two. The same inputs
are used again and again, so that a mask used twice shows in a difference.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from protocols.ot import bits, gilboa, material, softspoken
from protocols.ot.correlated import Sent
from protocols.ot.softspoken import SoftSpokenReceiver, connect
from protocols.prg import Stream
from protocols.products import Product

sys.path.insert(0, str(Path(__file__).parent))
from lockstep import together
from mutants import choices_in_clear, no_offset, repeated_index, reused_pads

SAMPLES = 1024
PRODUCT = Product("multiply", (SAMPLES,), (SAMPLES,))
BITS = 64 * SAMPLES
INPUTS = [(0, 0), (2**64 - 1, 1), (3, 2**63)]


async def everything(mesh, inputs) -> list[np.ndarray]:
    """Products of the parties' constants, twice each: words, bits, bits with words; then random material."""
    mine = np.full(SAMPLES, inputs[mesh.me], np.uint64)
    wide = np.full(BITS, inputs[mesh.me], np.uint64)
    draw = Stream(os.urandom(32))
    shares = []
    for _ in range(2):
        x, y = (mine, None) if mesh.me == 0 else (None, mine)
        shares.append(await gilboa.multiply(mesh, PRODUCT, x, y, (0,), (1,)))
        cross = await gilboa.multiply(mesh, PRODUCT, mine, mine, (0, 1), (0, 1))
        shares.append(cross - mine * mine)
        shares.append(await bits.and_bits(mesh, x, y, BITS, (0,), (1,)))
        shares.append(await bits.scale_words(mesh, x, None if y is None else wide, BITS, 0, (1,)))
        a, b, c = await material.and_triples(mesh, BITS, (0, 1), (0, 1), draw)
        shares += [a, b, c]
        shares.append((await material.random_bits(mesh, BITS, draw)).packed)
        tuples = await material.truncations(mesh, SAMPLES, 16, draw)
        shares += [tuples.r, tuples.shifted, tuples.highest]
    return shares


def views(inputs) -> list[list[np.ndarray]]:
    """All that each party saw, in samples of equal length."""
    session = os.urandom(32)
    meshes, _ = together(*(partial(connect, me, (0, 1), session) for me in range(2)))
    results, log = together(*(partial(everything, mesh, inputs) for mesh in meshes))
    seen = []
    for me, shares in enumerate(results):
        received = [message for _, receiver, message in log if receiver == me]
        seen.append([sample for words in (*shares, *received) for sample in samples(words)[:8]])
    return seen


def samples(words: np.ndarray) -> list[np.ndarray]:
    return [words[start : start + SAMPLES] for start in range(0, words.size - SAMPLES + 1, SAMPLES)]


def assert_uniform(sample: np.ndarray) -> None:
    """Chi-square over all bytes: 255 degrees of freedom; chance exceeds this once in 10^11."""
    counts = np.bincount(np.ascontiguousarray(sample).view(np.uint8), minlength=256)
    expected = sample.size * 8 / 256
    assert ((counts - expected) ** 2 / expected).sum() < 255 + 8 * np.sqrt(510)


def assert_nothing_seen(seen: list[np.ndarray]) -> None:
    """Each sample is uniform, and so are the sum, the difference and the exclusive or of any two."""
    for sample in seen:
        assert_uniform(sample)
        assert_uniform(sample[1:] ^ sample[:-1])
    for one, other in combinations(seen, 2):
        assert_uniform(one - other)
        assert_uniform(one ^ other)


@pytest.mark.parametrize("inputs", INPUTS)
def test_every_party_sees_uniform_words(inputs) -> None:
    for seen in views(inputs):
        assert len(seen) > 80
        assert_nothing_seen(seen)


def same_mask_for_two_trees(monkeypatch) -> None:
    stretched = softspoken._Forest._stretched

    def leaking(self, width):
        v, u = stretched(self, width)
        u[5] = u[6]
        return v, u

    monkeypatch.setattr(softspoken._Forest, "_stretched", leaking)


def repeated_keystream(monkeypatch) -> None:
    """Every batch stretches the leaves from the same place; only the hash's index goes on."""
    stretched = softspoken._Forest._stretched

    def again(self, width):
        self._batches = 0
        return stretched(self, width)

    monkeypatch.setattr(softspoken._Forest, "_stretched", again)


def unmasked_payload(monkeypatch) -> None:
    """A sender that forgets one of the two pads."""
    strips = Sent.strips

    def equal(self, width=1):
        return ((start, zero, zero) for start, zero, _ in strips(self, width))

    monkeypatch.setattr(Sent, "strips", equal)


MUTANTS = [
    choices_in_clear,
    same_mask_for_two_trees,
    repeated_index,
    repeated_keystream,
    reused_pads,
    no_offset,
    unmasked_payload,
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_test_sees_planted_leaks(mutant, monkeypatch) -> None:
    mutant(monkeypatch)
    seen = views(INPUTS[1])
    with pytest.raises(AssertionError):
        any(assert_nothing_seen(one) for one in seen)


def test_what_the_sender_gets_hides_every_choice() -> None:
    """Corrections for all choices zero and all one, from one receiver: one set is as uniform as the other."""
    session = os.urandom(32)
    (one, other), _ = together(*(partial(connect, me, (0, 1), session) for me in range(2)))
    receiver: SoftSpokenReceiver = other.pairs[0].receiver
    corrections = []
    for choice in (0, 2**64 - 1, 0):
        choices = np.full(SAMPLES, choice, np.uint64)
        _, log = together(partial(one.pairs[1].sender.extend, BITS), partial(receiver.extend, choices, BITS))
        corrections += samples(log[0][2])
    assert len(corrections) == 96
    assert_nothing_seen(corrections)
