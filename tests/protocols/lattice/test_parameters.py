"""The choice of parameters: correct, hiding and secure, or refused; the bounds hold in the worst case that there is."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocols.lattice.parameters import COINS, KEPT, PRIMES, SECURE_BITS, Parameters, choose

SIZES = st.one_of(st.integers(1, 20), st.integers(1, 5000), st.sampled_from([8191, 8192, 8193, 10**6, 10**8]))


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, SIZES, st.sampled_from([1, 2]))
def test_what_is_chosen_is_correct_hides_and_is_secure(rows: int, length: int, columns: int, digits: int) -> None:
    assume(rows * length * columns <= 2**45)
    passes = choose(rows, length, columns, digits=digits)
    assert sum(p.rows for p in passes) == rows
    assert -math.log2(sum(2.0**-p.hiding for p in passes)) >= 40
    for p in set(passes):
        q, kept = math.prod(p.primes), math.prod(p.primes[:KEPT])
        # the inequality of docs/lattice.md, in whole numbers: what decoding is off stays below one half
        off = Fraction((1 << p.flooding) + p.noise, q) + Fraction(p.degree + 1, kept)
        assert off < Fraction(1, 2**65) * (1 - Fraction(1, 2**24))
        assert math.log2(q) <= SECURE_BITS[p.degree]
        assert p.high * p.deep * p.wide == p.degree
        assert p.noise >= (COINS + 1) * length * p.wide * 2 ** (64 // digits - 1)
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
