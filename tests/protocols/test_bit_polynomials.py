"""Polynomials over planes of bits: value, rounds and words, for any terms."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.bit_polynomials import BitPolynomials
from protocols.boolean import Polynomials
from protocols.primitives import packed_words

sys.path.insert(0, str(Path(__file__).parent))
from trial import random_words, session, together


def run(primitive: BitPolynomials, count: int, planes: np.ndarray) -> np.ndarray:
    """The value; rounds and words are as by the formula."""
    shares = [random_words(planes.shape) for _ in range(count - 1)]
    shares.append(np.bitwise_xor.reduce([*shares, planes]))
    demands = [((7, *label), demand) for label, demand in primitive.demands(count)]
    parties, sources = session(count, demands)
    trial = together([primitive.run(p.at(7), mine) for p, mine in zip(parties, shares, strict=True)], sources)
    cost = primitive.cost(count)
    assert tuple(trial.sent) == cost.words
    assert trial.rounds == [cost.rounds] * count
    assert (planes.size,) == primitive.input_words
    return np.bitwise_xor.reduce(trial.values)


def expected(terms, planes: np.ndarray) -> np.ndarray:
    values = [
        np.bitwise_xor.reduce([np.bitwise_and.reduce([planes[bit] for bit in term]) for term in sums]) for sums in terms
    ]
    return np.stack(values) if len(values) > 1 else values[0]


@st.composite
def polynomials(draw):
    bits = draw(st.integers(2, 7))
    term = st.sets(st.integers(0, bits - 1), min_size=1, max_size=6).map(lambda chosen: tuple(sorted(chosen)))
    sums = st.lists(term, min_size=1, max_size=8, unique=True).map(tuple)
    terms = draw(st.lists(sums, min_size=1, max_size=6).map(tuple))
    return bits, (*terms, ((0, 1),))  # one product at least: sums alone take no round


@settings(max_examples=50, deadline=None)
@given(polynomials(), st.sampled_from([2, 3, 5]), st.sampled_from([1, 63, 64, 65, 1000]))
def test_any_sums_of_any_products(polynomial, count: int, length: int) -> None:
    bits, terms = polynomial
    primitive = BitPolynomials(length, Polynomials(bits, terms))
    planes = random_words((bits, packed_words(length)))
    value = run(primitive, count, planes)
    assert np.array_equal(value, expected(terms, planes))
    assert np.array_equal(value, primitive.reference(planes))


@pytest.mark.parametrize("length", [1, 70_000])
def test_one_polynomial_gives_one_plane(length: int) -> None:
    primitive = BitPolynomials(length, Polynomials(3, (((0, 1, 2), (1,)),)))
    planes = random_words((3, packed_words(length)))
    assert run(primitive, 2, planes).shape == (packed_words(length),)
    assert primitive.planes == 1
    assert primitive.of(64).length == 64


def test_only_what_is_multiplied_is_sent() -> None:
    primitive = BitPolynomials(640, Polynomials(4, (((0, 1), (3,)), ((2,),))))
    assert primitive.cost(3).words == (2 * 10 * 2,) * 3
