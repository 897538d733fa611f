"""The choice of parameters: correct, hiding and secure, or refused; the bounds hold in the worst case that there is."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocols.lattice import parameters
from protocols.lattice.packing import pack_y
from protocols.lattice.parameters import COINS, PRIMES, SECURE_BITS, Parameters, choose

N = 8192
SECURE = (
    214  # log2 q for n = 8192: Bossuat et al., IACR CiC 1(4), 2025, table 5.2, ternary secrets, 128 bits, classical
)
SIZES = st.one_of(st.integers(1, 20), st.integers(1, 5000), st.sampled_from([8191, 8192, 8193, 10**6, 10**8]))


def bounds(p: Parameters) -> tuple[int, Fraction, Fraction]:
    """D, what decoding is off in units, and the distance over all outputs, from shapes alone: as in docs/lattice.md."""
    q, kept, flooding = math.prod(p.primes), math.prod(p.primes[:3]), 2**p.flooding
    largest, terms = (2**63 if p.digits == 1 else 2**31), p.length * p.wide
    noise = 22 * terms * largest + 2 * 21 * N + 22
    off = 2**64 * (Fraction(flooding + noise, q) + Fraction(N + 1, kept))
    root = math.isqrt(43 * terms * largest**2) + 1  # B sqrt(10.75 T), twice
    mean = Fraction(root, 2) + Fraction(terms * largest, 2**22) + 2 * 21 * N + 23
    return noise, off, p.rows * p.columns * p.digits * mean / (2 * flooding)


@settings(max_examples=100, deadline=None)
@given(SIZES, SIZES, SIZES, st.sampled_from([1, 2]))
def test_what_is_chosen_is_correct_hides_and_is_secure(rows: int, length: int, columns: int, digits: int) -> None:
    assume(rows * length * columns <= 2**45)
    passes = choose(rows, length, columns, digits=digits)
    assert sum(p.rows for p in passes) == rows
    assert sum(count * bounds(p)[2] for p, count in Counter(passes).items()) <= Fraction(1, 2**40)
    for p in set(passes):
        assert (p.length, p.columns, p.digits, p.degree) == (length, columns, digits, N)
        noise, off, distance = bounds(p)
        assert p.noise == noise
        assert p.error == off < Fraction(1, 2) * (1 - Fraction(1, 2**24))
        assert abs(p.hiding + math.log2(distance)) < 1e-6
        assert math.prod(p.primes) < 2**SECURE
        assert p.high * p.deep * p.wide == p.degree
        assert [block for blocks in p.segments for block in blocks] == list(range(p.depth))
        assert [block for blocks in p.answers for block in blocks] == list(range(p.spread))
        assert (p.depth - 1) * p.deep >= length
        assert p.groups * p.high >= p.rows


def test_a_million_takes_six_primes_and_hides_by_46_bits() -> None:
    (p,) = choose(1, 10**6, 1)
    assert len(p.primes) == 6
    assert p.flooding == 120
    assert 46 <= p.hiding <= 47
    assert (p.depth, p.spread) == (124, 1)


def test_many_outputs_take_a_seventh_prime() -> None:
    (p,) = choose(512, 512, 512)
    assert len(p.primes) == 7
    assert p.hiding > 40
    six = replace(p, primes=PRIMES[:6], flooding=120)
    assert six.hiding < 40


def test_memory_is_bounded_by_passes() -> None:
    passes = choose(5000, 5000, 5000)
    assert len(passes) > 1
    assert max(p.held_bytes for p in passes) <= 2**29


def test_all_passes_together_hide_by_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for as many bits as one pass of six primes has: several of those would not do."""
    monkeypatch.setattr(parameters, "_HELD_BYTES", 1 << 21)
    passes = choose.__wrapped__(30, 400, 25)
    assert len(passes) > 2
    (bits,) = {p.hiding for p in passes if p.rows == passes[0].rows}
    assert sum(bounds(p)[2] for p in passes) > 2**-bits
    assert sum(bounds(p)[2] for p in choose.__wrapped__(30, 400, 25, hiding=bits)) <= 2**-bits


@pytest.mark.parametrize("digits", [1, 2])
@pytest.mark.parametrize(("high", "wide"), [(1, 1), (4, 64), (1024, 4)])
def test_so_many_coefficients_of_y_meet_an_error(high: int, wide: int, digits: int) -> None:
    """T, counted: the coefficients of all of Y's polynomials that one answer takes."""
    p = Parameters(5, 30, 64, high, N // (high * wide), wide, PRIMES[:6], 100, digits)
    y = np.full((30, 64), 3 + 2**33, np.uint64)
    assert np.count_nonzero(pack_y(p, y, range(1, p.depth), range(1))) == p.terms


def test_the_modulus_is_bounded_as_the_table_says() -> None:
    (p,) = choose(1, 1000, 1)
    assert SECURE_BITS[N] == SECURE
    assert math.prod(PRIMES) < 2**SECURE
    assert replace(p, primes=(2**SECURE - 1,)).secure
    assert not replace(p, primes=(2**SECURE,)).secure


def test_refused_where_nothing_hides_enough() -> None:
    with pytest.raises(ValueError, match="bits hides"):
        choose(1000, 1000, 1000, hiding=120)
    with pytest.raises(ValueError, match="empty or too large"):
        choose(1, 0, 1)


def test_refused_where_the_result_could_be_wrong() -> None:
    (p,) = choose(1, 1000, 1)
    with pytest.raises(ValueError, match="wrong"):
        replace(p, flooding=p.flooding + 1)
    with pytest.raises(ValueError, match="wrong"):
        replace(p, primes=PRIMES[:5])
    with pytest.raises(ValueError, match="fill a polynomial"):
        replace(p, deep=4096)


def test_the_mean_of_the_noise_is_below_its_bound() -> None:
    """The bound of `hiding` on the mean of |sum of errors times y|, against the exact variance for one y."""
    p = Parameters(1, 1000, 1, 1, 8192, 1, PRIMES[:6], 120)
    deviation = math.sqrt((COINS / 2 + 0.25) * 1000) * 2**63
    bound = 2 ** (p.flooding + 1 - p.hiding)
    assert deviation <= bound <= 1.01 * deviation + 1000 * 2.0 ** (63 - 22)
