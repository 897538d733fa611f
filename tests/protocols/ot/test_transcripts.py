"""All that a party receives while material is made, from base OTs on, is uniform given its own and others' secrets.

One party's randomness is the same in every run, and what it chose is therefore all that it knows. The others make the
same shares in every run, too, but their OTs are fresh. So in every place of the transcript each bit is one in half of
the runs, and what two places have in common, such as a pad or an index used twice, shows as the same difference between
two runs. Planted mutants, each altered in one place of what sessions run, are seen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from protocols import pairwise
from protocols.boolean import Monomials, monomials
from protocols.columns import Column
from protocols.conversion import DaBits
from protocols.correlations import Demand, Label, Triple
from protocols.masking import Mask
from protocols.ot.hashing import Hash
from protocols.prg import Stream, derive
from protocols.products import Product
from protocols.selection import BitProduct
from protocols.shuffle import SecretPermutation
from protocols.sorting import DigitMask
from protocols.truncation import OwnBits, TruncationPair

sys.path.insert(0, str(Path(__file__).parent))
from lockstep import together
from mutants import choices_in_clear, no_offset, repeated_index, reused_pads

N = 64
SECRET = bytes(range(32))


def demands(parties: int) -> list[tuple[Label, Demand]]:
    """Every kind, with bits enough to fill words; long matrices are made by encryption, which is tested there."""
    everyone = tuple(range(parties))
    found: list[Demand] = [
        Triple(Product("multiply", (N,), (N,)), everyone, everyone),
        Triple(Product("multiply", (N,), (N,)), (0,), (1,)),
        Triple(Product("matmul", (4, 8), (8, 4)), everyone, everyone),
        TruncationPair(parties, N, 13),
        DaBits(parties, N, 2),
        BitProduct(parties, N),
        Mask(parties, N, 16),
        Mask(parties, N, 4, borrows=True),
        Monomials(parties, 4, 5, monomials([(0, 1, 2, 3), (2, 4)])),
        SecretPermutation(parties, N, (Column(), Column(64, "bits"))),
        DigitMask(parties, N, 3, 64),
        *([OwnBits(N)] if parties == 2 else []),
    ]
    return [((i,), demand) for i, demand in enumerate(found)]


class As:
    """A party's coroutine, which draws its randomness from the party's own source."""

    def __init__(self, drawing: Callable[[int], bytes], coroutine) -> None:
        self._drawing = drawing
        self._coroutine = coroutine

    def send(self, value: None):
        real, os.urandom = os.urandom, self._drawing
        try:
            return self._coroutine.send(value)
        finally:
            os.urandom = real


def transcripts(parties: int, me: int, runs: int) -> np.ndarray:
    return np.stack([transcript(parties, me) for _ in range(runs)])


def transcript(parties: int, me: int) -> np.ndarray:
    """The words that a party received in one run: its own randomness is always the same."""
    labelled = demands(parties)

    def party(i: int) -> As:
        own = Stream(derive(SECRET, "own"))
        drawing = (lambda count: own.words(-(-count // 8)).tobytes()[:count]) if i == me else os.urandom
        draw = Stream(derive(SECRET, "shares", i))
        return As(drawing, pairwise.connected(i, parties, SECRET, labelled, draw))

    _, log = together(*(partial(party, i) for i in range(parties)))
    return np.concatenate([words for _, receiver, words in log if receiver == me])


def assert_uniform(runs: np.ndarray) -> None:
    """In every place each bit is one in half of the runs; one that is always zero is not used."""
    bits = np.unpackbits(np.ascontiguousarray(runs).view(np.uint8), axis=1)
    ones = bits.sum(axis=0)
    used = ones[ones > 0] * 1.0
    assert len(used) > 0.8 * bits.shape[1]
    square = ((used - len(runs) / 2) ** 2 / (len(runs) / 4)).sum()
    assert abs(square - len(used)) < 8 * np.sqrt(2 * len(used)), (square, len(used))


def assert_nothing_twice(runs: np.ndarray) -> None:
    """No two places differ by the same between two runs, whether pads add as words or by XOR."""
    full = np.bitwise_count(np.bitwise_or.reduce(runs, axis=0)) >= 52
    assert full.mean() > 0.6
    for one, other in zip(runs[:-1, full], runs[1:, full], strict=True):
        for differences in (one - other, one ^ other):
            assert len(np.unique(differences)) == len(differences)


@pytest.mark.parametrize(("parties", "me"), [(2, 0), (2, 1), (3, 1)])
def test_every_transcript_is_uniform(parties: int, me: int) -> None:
    assert {type(demand) for _, demand in demands(2)} == set(pairwise._MAKERS)
    runs = transcripts(parties, me, 16)
    assert_uniform(runs)
    assert_nothing_twice(runs)


def constant_pads(monkeypatch) -> None:
    """The hash gives the tweak alone: it does not depend on the block."""
    strips = Hash.strips

    def flat(self, blocks, first, words, width, offsets):
        def nothing(start, offsets, out):
            out[:] = 0

        return strips(self, nothing, first, words, width, offsets)

    monkeypatch.setattr(Hash, "strips", flat)


@pytest.mark.parametrize(
    ("mutant", "seen"),
    [
        (choices_in_clear, assert_uniform),
        (reused_pads, assert_nothing_twice),
        (repeated_index, assert_nothing_twice),
        (no_offset, assert_uniform),
        (constant_pads, assert_uniform),
    ],
    ids=lambda each: each.__name__,
)
def test_planted_leaks_are_seen(monkeypatch, mutant, seen) -> None:
    mutant(monkeypatch)
    runs = transcripts(2, 0, 6)
    with pytest.raises(AssertionError):
        seen(runs)
