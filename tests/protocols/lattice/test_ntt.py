"""Residues and transforms against Python's integers."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from protocols.lattice.ntt import ring
from protocols.lattice.parameters import PRIMES
from protocols.prg import Stream

sys.path.insert(0, str(Path(__file__).parent))
import reference

WORD = 2**64
WORDS = st.one_of(st.integers(0, WORD - 1), st.sampled_from([0, 1, WORD - 1, WORD // 2, WORD // 2 - 1]))


def stream(number: int = 0) -> Stream:
    return Stream(bytes(31) + bytes([number % 256]))


def extreme(shape: tuple[int, ...], primes: tuple[int, ...], seed: int) -> np.ndarray:
    """Uniform residues, many of them 0 or p - 1."""
    x = ring(shape[-1], primes).uniform(stream(seed), math.prod(shape[:-2])).reshape(shape)
    choice = np.random.default_rng(seed).integers(0, 3, shape)
    return np.where(choice == 0, x, np.where(choice == 1, 0, np.array(primes, np.uint32)[:, None] - 1)).astype(
        np.uint32
    )


@pytest.mark.parametrize("degree", [4, 8, 64, 256])
def test_transforms_are_values_at_the_odd_powers(degree: int) -> None:
    modulo = ring(degree, PRIMES)
    x = extreme((2, 7, degree), PRIMES, degree)
    transformed = modulo.forward(x.copy())
    for k in range(2):
        for i, p in enumerate(PRIMES):
            assert transformed[k, i].tolist() == reference.values(x[k, i].tolist(), p)
    back = modulo.inverse(transformed).astype(np.uint64)
    assert np.array_equal(back, x * np.uint64(degree) % np.array(PRIMES, np.uint64)[:, None])


@pytest.mark.parametrize("count", [4, 5, 6, 7])
def test_transforms_of_the_real_degree_go_back(count: int) -> None:
    modulo = ring(8192, PRIMES[:count])
    x = extreme((3, count, 8192), PRIMES[:count], count)
    transformed = modulo.forward(x.copy())
    assert modulo.contains(transformed)
    point = pow(reference.root(PRIMES[0], 8192), 2 * reference.reversed_bits(777, 8192) + 1, PRIMES[0])
    value = 0
    for c in reversed(x[1, 0].tolist()):
        value = (value * point + c) % PRIMES[0]
    assert transformed[1, 0, 777] == value
    back = modulo.inverse(transformed).astype(np.uint64)
    assert np.array_equal(back, x * np.uint64(8192) % np.array(PRIMES[:count], np.uint64)[:, None])


def forward(x: np.ndarray) -> np.ndarray:
    return ring(x.shape[-1], PRIMES).forward(x.reshape(-1, *x.shape[-2:]).copy()).reshape(x.shape)


@pytest.mark.parametrize("depth", range(1, 11))
@pytest.mark.parametrize("step", [1, 2, 16, 64])
def test_products_of_polynomials_added_up(depth: int, step: int) -> None:
    degree, rows, columns = 64, 9, 2
    modulo = ring(degree, PRIMES)
    x = extreme((rows, depth, 7, degree), PRIMES, depth)
    y = extreme((columns, depth, 7, degree), PRIMES, 20 + depth)
    sums = extreme((rows, columns, 7, degree // step), PRIMES, 40) if step == 1 else None
    out = np.zeros((rows, columns, 7, degree // step), np.uint32) if sums is None else sums.copy()
    modulo.accumulate(forward(x), forward(y), out)
    coefficients = modulo.inverse(out.reshape(-1, 7, degree // step)).reshape(out.shape)
    for r, j, i in [(0, 0, 0), (8, 1, 6), (7, 0, 3)]:
        p = PRIMES[i]
        product = reference.plus(*(reference.multiply(x[r, k, i].tolist(), y[j, k, i].tolist()) for k in range(depth)))
        scale = pow(2, -64, p) * degree
        expected = [c * scale % p for c in product[::step]]
        if sums is not None:
            before = reference.coefficients(sums[r, j, i].tolist(), p)
            expected = [(c + degree * b) % p for c, b in zip(expected, before, strict=True)]
        assert coefficients[r, j, i].tolist() == expected


def test_sums_do_not_overflow() -> None:
    """As many products of the largest residues as one message holds, folded into one value."""
    modulo, p = ring(8192, PRIMES[:4]), PRIMES[0]
    x = np.broadcast_to(np.array(PRIMES[:4], np.uint32)[:, None] - 1, (1, 41, 4, 8192)).copy()
    out = np.zeros((1, 1, 4, 1), np.uint32)
    modulo.accumulate(x, x, out)
    assert out[0, 0, 0, 0] == 41 * 8192 * pow(2, -64, p) % p


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, min_size=4, max_size=4), st.lists(WORDS, min_size=4, max_size=4), st.integers(4, 7))
def test_encoding(x: list[int], words: list[int], count: int) -> None:
    modulo = ring(4, PRIMES[:count])
    message = modulo.encode(np.array([x], np.uint64), np.array([words], np.uint64))[0].tolist()
    expected = reference.encoded(modulo.modulus, x, words)
    assert message == [[c % p for c in expected] for p in modulo.primes]
    for value, word, c in zip(x, words, expected, strict=True):
        coins = ((word >> 22) % (1 << 21)).bit_count() - (word >> 43).bit_count()
        assert -WORD < (c - coins) * WORD - modulo.modulus * value < WORD


def test_rounding_and_errors_are_balanced() -> None:
    """Over many words: rounding adds nothing on average, errors have their variance, and the two are independent."""
    modulo, count = ring(256, PRIMES[:4]), 1 << 16
    x = np.full((count // 256, 256), 0x123456789ABCDEF1, np.uint64)
    residues = modulo.encode(x, stream(1).words(x.shape))[:, 0].reshape(-1).astype(np.int64)
    whole, behind = divmod(modulo.modulus * int(x[0, 0]), WORD)
    off = (residues - whole % PRIMES[0] + PRIMES[0] // 2) % PRIMES[0] - PRIMES[0] // 2
    deviation = math.sqrt(10.5 + 0.25)
    assert abs(off.mean() - behind / WORD) < 5 * deviation / math.sqrt(count)
    assert abs(off.var() - 10.5 - behind / WORD * (1 - behind / WORD)) < 0.5
    assert np.abs(off).max() <= 22


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.data(), st.integers(0, 2**200), st.integers(4, 7))
def test_residues_of_integers(limbs: int, data: st.DataObject, scale: int, count: int) -> None:
    top = 1 << (64 * limbs - 1)
    numbers = st.one_of(st.integers(-top, top - 1), st.sampled_from([-top, -1, 0, top - 1]))
    integers = data.draw(st.lists(numbers, min_size=4, max_size=4))
    parts = [[value >> 64 * limb & WORD - 1 for value in integers] for limb in range(limbs)]
    modulo = ring(4, PRIMES[:count])
    residues = modulo.residues(np.array(parts, np.uint64)[:, None], scale=scale)[0].tolist()
    assert residues == [[scale * value % p for value in integers] for p in modulo.primes]


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 7), st.data())
def test_switching_divides_and_decoding_rounds(count: int, data: st.DataObject) -> None:
    primes, kept = PRIMES[:count], PRIMES[:3]
    q, small = math.prod(primes), math.prod(kept)
    number = st.one_of(st.integers(0, q - 1), st.sampled_from([0, 1, q - 1, q // 2]))
    numbers = data.draw(st.lists(number, min_size=4, max_size=4))
    x = np.array([[[c % p for c in numbers] for p in primes]], np.uint32)
    switched = ring(4, primes).switch(x, 3)
    expected = [c // (q // small) for c in numbers]
    assert switched[0].tolist() == [[c % p for c in expected] for p in kept]
    decoded = ring(4, kept).decode(switched[0]).tolist()
    for value, c in zip(decoded, expected, strict=True):
        off = (value * small - (c << 64) + (small << 63)) % (small << 64) - (small << 63)
        assert abs(off) * 2 <= small * (1 + 2**-24)


def test_uniform_residues_are_uniform_and_the_same_for_both() -> None:
    modulo = ring(256, PRIMES)
    x = modulo.uniform(stream(2), 40)
    assert np.array_equal(x, modulo.uniform(stream(2), 40))
    assert modulo.contains(x)
    for i, p in enumerate(PRIMES):
        counts = np.bincount((x[:, i].astype(np.uint64) * 64 // p).reshape(-1).astype(np.int64), minlength=64)
        assert chisquare(counts).pvalue > 1e-9


def test_uniform_residues_where_half_of_the_candidates_are_none() -> None:
    modulo = ring(64, (7681, 257))
    x = modulo.uniform(stream(4), 300)
    assert modulo.contains(x)
    assert chisquare(np.bincount(x[:, 1].reshape(-1), minlength=257)).pvalue > 1e-9


def test_what_is_no_residue_is_seen() -> None:
    modulo = ring(64, PRIMES[:4])
    x = modulo.uniform(stream(3), 2)
    assert modulo.contains(x)
    for i, p in enumerate(PRIMES[:4]):
        wrong = x.copy()
        wrong[1, i, 63] = p
        assert not modulo.contains(wrong)


def test_the_primes_are_what_they_are_said_to_be() -> None:
    for p in PRIMES:
        assert p % (1 << 14) == 1
        assert all(p % d for d in range(2, math.isqrt(p) + 1))
    assert list(PRIMES) == sorted(PRIMES, reverse=True)
    assert PRIMES[0] < 2**31
