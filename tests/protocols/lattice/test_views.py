"""What the owner of X sees says nothing of Y beyond its share; and each safeguard left out is seen by these tests.

The owner of X sees, for every output, the phase c0 + c1 s: its share z and the noise around q z / 2^64; and c1 itself.
The share is fixed here, the same for any Y: the mask is what that takes. Y is +h everywhere or -h everywhere, under one
and the same key and the same errors, so that a difference is Y's doing. Degree and flooding are toys: the noise of
honest parties stays 2^7 below the flooding, and what leaks shows in some thousand samples.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import ks_2samp, kstest

from protocols.lattice import encryption
from protocols.lattice.encryption import Answerer, Encryptor
from protocols.lattice.ntt import Ring
from protocols.lattice.packing import pack_x
from protocols.lattice.parameters import KEPT, PRIMES, Parameters
from protocols.prg import Stream, derive

sys.path.insert(0, str(Path(__file__).parent))
import reference

WORD = 2**64
LENGTH, COLUMNS, KEYS = 4096, 150, 40
H = 1 << 62
P = Parameters(1, LENGTH, COLUMNS, 1, 64, 1, PRIMES[:5], flooding=77, degree=64)
Q, SMALL = P.modulus, math.prod(PRIMES[:KEPT])
SHARE = 0x0123456789ABCDEF
X = next(x for x in range(1, 10**4) if abs(Q * x % WORD / WORD - 0.499) < 0.001)  # rounding it is off by one half
TERNARY = encryption._ternary
Ys = [np.full((LENGTH, COLUMNS), sign * H % WORD, np.uint64) for sign in (1, -1)]


class Masking(Stream):
    """The randomness of Y's owner, but for the mask: the one that gives X's owner the share that is fixed."""

    def __init__(self, key: bytes, mask: int) -> None:
        super().__init__(key)
        self._mask = np.uint64(mask % WORD)
        self._next = True

    def words(self, shape):
        drawn = super().words(shape)
        if drawn.ndim == 2 and len(drawn) == 1 and drawn.size != P.degree:
            if self._next:
                drawn[:] = self._mask
            self._next = not self._next
        return drawn


class View(NamedTuple):
    """For either Y and every key: the noise of every output, in units of the flooding's bound, and c1.

    `guessed` is c1 as X's owner can work it out from a guess of Y, but for an encryption of zero.
    """

    noise: tuple[list[np.ndarray], list[np.ndarray]]
    c1: tuple[list[np.ndarray], list[np.ndarray]]
    guessed: tuple[list[np.ndarray], list[np.ndarray]]


def no_ternary(randomness: Stream, polynomials: int, n: int) -> np.ndarray:
    return np.zeros((polynomials, n), np.uint64)


def one_ternary(randomness: Stream, polynomials: int, n: int) -> np.ndarray:
    return np.repeat(TERNARY(randomness, 1, n), polynomials, axis=0)


def no_flooding(randomness: Stream, bits: int, count: int) -> np.ndarray:
    return np.zeros((bits // 64 + 1, 1, count), np.uint64)


def keys(name: str, first: int = 0) -> Iterator[bytes]:
    """Seeds, the same in every run."""
    return (derive(bytes(32), name, number) for number in count(first))


def answers(
    header: np.ndarray, sent: list[np.ndarray], y: np.ndarray, randomness: Stream, ternary: Callable
) -> list[np.ndarray]:
    """What Y's owner answers, drawing its u as said."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(encryption, "_ternary", ternary)
        answerer = Answerer(0, P, ("session",), header, y, randomness)
        for blocks, words in zip(P.segments, sent, strict=True):
            answerer.receive(words, blocks)
    return [answerer.answer(number)[0] for number in range(len(P.answers))]


def c1(words: list[np.ndarray]) -> np.ndarray:
    parts = zip(P.answers, words, strict=True)
    return np.concatenate([part.view(np.uint32)[: len(blocks) * KEPT * P.degree] for blocks, part in parts])


def see(phases: list[np.ndarray], ternary: Callable = TERNARY, first: int = 0) -> View:
    view = View(([], []), ([], []), ([], []))
    x = np.full((1, LENGTH), X, np.uint64)
    seeds = keys("views", first)
    for _ in range(KEYS):
        encryptor = Encryptor(1, P, ("session",), Stream(next(seeds)))
        sent = [encryptor.encrypt(pack_x(P, x, blocks), blocks) for blocks in P.segments]
        for which, y in enumerate(Ys):
            mask = int(y[0, 0]) * X * LENGTH - SHARE
            received = answers(encryptor.header, sent, y, Masking(next(seeds), mask), ternary)
            for blocks, words in zip(P.answers, received, strict=True):
                assert np.all(encryptor.decrypt(words, blocks) == SHARE)
            view.noise[which].append(np.array([noise(column) for phase in phases for column in phase.T.tolist()]))
            phases.clear()
            view.c1[which].append(c1(received))
            view.guessed[which].append(c1(answers(encryptor.header, sent, y, Stream(next(seeds)), no_ternary)))
    return view


def noise(phase: list[int]) -> float:
    """How far a phase is from q z / 2^64, in units of the flooding's bound."""
    off = reference.remainder(phase, PRIMES[:KEPT]) * WORD - SHARE * SMALL
    off = (off + SMALL * WORD // 2) % (SMALL * WORD) - SMALL * WORD // 2
    return off * (Q // SMALL) / WORD / 2**P.flooding


def what_tells(view: View) -> set[str]:
    """The tests that tell the two Y apart, or more of one Y than the shares do.

    False alarms, over all seeds: six deviations of a mean, 2 in 10^9; a mean of 40 squared deviations beyond 3, one in
    10^9; two tests of Kolmogorov and Smirnov, one in 10^9 each; a thousandth of the residues, never, for both.
    """
    told = set()
    scores = []
    for plus, minus in zip(*view.noise, strict=True):
        scores.append((plus.mean() - minus.mean()) / math.sqrt((plus.var() + minus.var()) / COLUMNS))
    if abs(sum(scores)) / math.sqrt(KEYS) > 6:
        told.add("the mean of the noise")
    if np.mean(np.square(scores)) > 3:
        told.add("the mean of the noise under one key")
    plus, minus = (np.concatenate(noises) for noises in view.noise)
    if ks_2samp(plus, minus).pvalue < 1e-9 or kstest(plus, "uniform", (-1, 2)).pvalue < 1e-9:
        told.add("the distribution of the noise")
    primes = np.array(PRIMES[:KEPT], np.int64)[:, None]
    for seen, guessed in zip(view.c1[0] + view.c1[1], view.guessed[0] + view.guessed[1], strict=True):
        off = seen.reshape(-1, KEPT, P.degree).astype(np.int64) - guessed.reshape(-1, KEPT, P.degree)  # a u, if right
        if np.mean((off + 1) % primes <= 2) > 0.001:
            told.add("c1")
        if np.mean((off[1:] - off[:-1] + 2) % primes <= 4) > 0.001:
            told.add("c1 of two answers")
    return told


@pytest.fixture
def phases(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[np.ndarray]]:
    """What is decoded, noted."""
    noted: list[np.ndarray] = []
    decode = Ring.decode

    def noting(self: Ring, x: np.ndarray) -> np.ndarray:
        noted.append(x.copy())
        return decode(self, x)

    monkeypatch.setattr(Ring, "decode", noting)
    return noted


def test_the_view_is_independent_of_y_given_the_share(phases: list[np.ndarray]) -> None:
    assert what_tells(see(phases)) == set()


def test_without_flooding_the_noise_tells(phases: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "_flooding", no_flooding)
    assert what_tells(see(phases)) >= {"the mean of the noise under one key", "the distribution of the noise"}


def test_without_the_encryption_of_zero_c1_tells(phases: list[np.ndarray]) -> None:
    assert what_tells(see(phases, ternary=no_ternary)) == {"c1", "c1 of two answers"}


def test_under_one_encryption_of_zero_two_answers_tell(phases: list[np.ndarray]) -> None:
    """The difference of their c1 is one that a guess of Y gives."""
    assert what_tells(see(phases, ternary=one_ternary)) == {"c1 of two answers"}


def test_rounded_to_the_nearest_the_noise_tells(phases: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    encrypt = Ring.encrypt

    def nearest(self: Ring, x: np.ndarray, random: np.ndarray, *key: np.ndarray) -> np.ndarray:
        return encrypt(self, x, random & ~np.uint64((1 << 22) - 1) | np.uint64(1 << 21), *key)

    monkeypatch.setattr(Ring, "encrypt", nearest)
    assert "the mean of the noise" in what_tells(see(phases))


def test_shares_are_uniform_and_independent_of_the_operands() -> None:
    """Over fresh masks: both shares of a product of zeros, and of ones, have bits that are set half of the time."""
    p = Parameters(1, 1, 2000, 1, 4, 16, PRIMES[:6], flooding=119, degree=64)
    seeds = keys("shares")
    for value in (0, 1, WORD - 1):
        encryptor = Encryptor(1, p, ("session",), Stream(next(seeds)))
        y = np.full((1, p.columns), value, np.uint64)
        answerer = Answerer(0, p, ("session",), encryptor.header, y, Stream(next(seeds)))
        for blocks in p.segments:
            answerer.receive(encryptor.encrypt(pack_x(p, np.full((1, 1), value, np.uint64), blocks), blocks), blocks)
        for number, blocks in enumerate(p.answers):
            words, share = answerer.answer(number)
            for part in (share, encryptor.decrypt(words, blocks)):
                bits = np.unpackbits(part.view(np.uint8))
                assert abs(bits.mean() - 0.5) < 6 * 0.5 / math.sqrt(bits.size)
