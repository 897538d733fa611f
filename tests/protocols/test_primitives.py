"""The elementwise primitives: value, rounds and words; each piece of material drawn once; nothing seen but noise."""

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import dealer
from protocols.bits import pack
from protocols.boolean import And, Monomials, Polynomials, invert, xor
from protocols.comparison import IsZero, Negative
from protocols.conversion import DaBits, ToBits, ToRing, lowest_bit
from protocols.correlations import Material
from protocols.masking import Mask
from protocols.selection import BitProduct, Select
from protocols.truncation import OwnBits, Truncation, TruncationPair

sys.path.insert(0, str(Path(__file__).parent))
from trial import RING, Recording, Trial, assert_uniform_words, random_words, session, shared, together

PARTIES = [2, 3, 5]
LENGTHS = [1, 63, 64, 65, 1000, 20_011]
EDGES = sorted(
    {sign * (2**k + d) for k in (0, 1, 3, 4, 16, 31, 32, 61, 62, 63) for sign in (1, -1) for d in (-1, 0, 1)} | {0}
)
words = st.one_of(st.sampled_from(EDGES), st.integers(-(2**63), 2**63 - 1)).map(lambda x: x % RING)


def shared_bits(value: np.ndarray, count: int) -> list[np.ndarray]:
    others = [random_words(value.shape) for _ in range(count - 1)]
    return [*others, np.bitwise_xor.reduce([*others, value])]


def shares(primitive, count: int, inputs) -> list[list[np.ndarray]]:
    """What each party has of the inputs."""
    split = {"ring": shared, "bits": shared_bits}
    return [*zip(*(split[kind](x, count) for x, kind in zip(inputs, primitive.takes, strict=True)), strict=True)]


def together_on(primitive, operands, source_type=Recording) -> Trial:
    count = len(operands)
    demands = [((7, *label), demand) for label, demand in primitive.demands(count)]
    parties, sources = session(count, demands, source_type)
    return together([primitive.run(p.at(7), *mine) for p, mine in zip(parties, operands, strict=True)], sources)


def run(primitive, count: int, *inputs: np.ndarray) -> np.ndarray:
    """The value; rounds and words are as by the formula, and each piece of material is drawn once by its holders."""
    trial = together_on(primitive, shares(primitive, count, inputs))
    cost = primitive.cost(count)
    assert tuple(trial.sent) == cost.words
    assert trial.rounds == [cost.rounds] * count
    for i, source in enumerate(trial.sources):
        due = [(7, *label) for label, demand in primitive.demands(count) if i in demand.holders]
        assert sorted(map(str, source.labels)) == sorted(map(str, due))
    assert tuple(x.size for x in inputs) == primitive.input_words
    return (np.add if primitive.gives == "ring" else np.bitwise_xor).reduce(trial.values)


def opened_bits(packed: np.ndarray, length: int) -> np.ndarray:
    """One 0 or 1 for each element, along the last axis."""
    octets = np.ascontiguousarray(packed).astype("<u8").view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little")[..., :length]


def signed(values) -> np.ndarray:
    return np.array([value % RING for value in values], np.uint64)


def assert_right(primitive, count: int, *inputs: np.ndarray) -> None:
    assert_same(primitive, run(primitive, count, *inputs), primitive.reference(*inputs))


def assert_same(primitive, value: np.ndarray, expected: np.ndarray) -> None:
    assert value.shape == expected.shape
    if primitive.gives == "bits":
        value, expected = (opened_bits(bits, primitive.length) for bits in (value, expected))
    assert np.array_equal(value, expected)


def inputs_of(primitive) -> list[np.ndarray]:
    """Random inputs, with some zeros and small numbers, as they are."""
    inputs = [random_words(size) for size in primitive.input_words]
    for x, kind in zip(inputs, primitive.takes, strict=True):
        if kind == "ring":
            x[::3] = x[::3] % 5 - 2
    return inputs


# Values


@pytest.mark.parametrize("count", PARTIES)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    "of",
    [
        And,
        Select,
        ToRing,
        Negative,
        IsZero,
        ToBits,
        lambda n: And(n, 3),
        lambda n: ToRing(n, 3),
        lambda n: ToBits(n, 11),
    ],
    ids=["And", "Select", "ToRing", "Negative", "IsZero", "ToBits", "And planes", "ToRing planes", "ToBits planes"],
)
def test_every_length(of, length: int, count: int) -> None:
    primitive = of(length)
    inputs = inputs_of(primitive)
    if primitive.takes[0] == "bits" and primitive.planes > 1:
        inputs = [x.reshape(primitive.planes, -1) for x in inputs]
    assert_right(primitive, count, *inputs)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(PARTIES), st.lists(words, min_size=1, max_size=130))
def test_comparisons_of_any_numbers(count: int, values) -> None:
    x = signed(values)
    assert_right(Negative(x.size), count, x)
    assert_right(IsZero(x.size), count, x)
    assert opened_bits(run(Negative(x.size), count, x), x.size).tolist() == [value >> 63 for value in values]
    assert opened_bits(run(IsZero(x.size), count, x), x.size).tolist() == [value == 0 for value in values]


@pytest.mark.parametrize("bits", range(1, 65))
def test_comparisons_of_numbers_of_fewer_bits(bits: int) -> None:
    limit = 2 ** (bits - 1)
    edges = (-limit, 1 - limit, -limit // 2, -1, 0, 1, limit // 2, limit - 2, limit - 1)
    x = signed([edge for edge in edges if -limit <= edge < limit])
    assert_right(Negative(x.size, bits), 3, x)
    assert_right(IsZero(x.size, bits), 3, x)
    assert Negative(640, bits).cost(2).words <= Negative(640).cost(2).words


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(PARTIES), st.integers(1, 64), st.lists(words, min_size=1, max_size=130))
def test_bits_of_any_numbers(count: int, planes: int, values) -> None:
    x = signed(values)
    assert_right(ToBits(x.size, planes), count, x)
    bits = opened_bits(run(ToBits(x.size, planes), count, x), x.size)
    assert [sum(int(bit) << k for k, bit in enumerate(column)) for column in bits.T] == [v % 2**planes for v in values]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(PARTIES), st.lists(st.tuples(st.booleans(), words), min_size=1, max_size=130))
def test_selection_of_any_numbers(count: int, values) -> None:
    bits, x = signed([bit for bit, _ in values]), signed([value for _, value in values])
    packed = lowest_bit(bits, bits.size)
    assert run(Select(x.size), count, packed, x).tolist() == [value if bit else 0 for bit, value in values]
    assert run(ToRing(x.size), count, packed).tolist() == bits.tolist()


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(PARTIES),
    st.integers(1, 62),
    st.lists(
        st.one_of(st.sampled_from([x for x in EDGES if abs(x) < 2**62]), st.integers(1 - 2**62, 2**62 - 1)),
        min_size=1,
        max_size=70,
    ),
)
def test_truncation_gives_a_neighbour(count: int, bits: int, values) -> None:
    primitive, x = Truncation(len(values), bits), signed(values)
    error = (run(primitive, count, x) - primitive.reference(x)).view(np.int64)
    whole = x % np.uint64(2**bits) == 0
    assert np.all((error == 0) | ((error == 1) & ~whole))
    assert primitive.reference(x).tolist() == [(value >> bits) % RING for value in values]


@pytest.mark.parametrize("count", PARTIES)
@pytest.mark.parametrize("value", [2**62 - 1, 1 - 2**62, -1, 1, 5, 2**61 + 3])
def test_truncation_never_fails_and_has_no_bias(count: int, value: int) -> None:
    primitive, x = Truncation(40_000, 3), np.full(40_000, value % RING, np.uint64)
    error = (run(primitive, count, x) - primitive.reference(x)).astype(float)
    assert set(error) <= {0, 1}
    fraction = value % 8 / 8
    assert abs(error.mean() - fraction) < 6 * np.sqrt(fraction * (1 - fraction) / x.size)


@pytest.mark.parametrize("wrong", [lambda: Truncation(1, 0), lambda: Truncation(1, 63), lambda: ToBits(1, 65)])
def test_what_no_word_holds_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="bits"):
        wrong()
    for bits in (0, 65):
        with pytest.raises(ValueError, match="numbers of"):
            Negative(1, bits)


@pytest.mark.parametrize("count", PARTIES)
def test_local_work_on_bits(count: int) -> None:
    x, y = random_words(3), random_words(3)
    parts = [*zip(shared_bits(x, count), shared_bits(y, count), strict=True)]
    assert np.array_equal(np.bitwise_xor.reduce([xor(a, b) for a, b in parts]), x ^ y)
    assert np.array_equal(np.bitwise_xor.reduce([invert(i, a) for i, (a, _) in enumerate(parts)]), ~x)
    truth = signed([1, 0, 0, 1] * 17)
    bits = np.bitwise_xor.reduce([lowest_bit(share, truth.size) for share in shared(truth, count)])
    assert opened_bits(bits, truth.size).tolist() == truth.tolist()


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 6))
def test_polynomials_of_bits(data, bits: int) -> None:
    term = st.lists(st.integers(0, bits - 1), min_size=1, max_size=4, unique=True).map(tuple)
    terms = data.draw(st.lists(st.lists(term, min_size=1, max_size=4).map(tuple), min_size=1, max_size=4).map(tuple))
    polynomials, count, rows = Polynomials(bits, terms), 3, random_words((bits, 2))
    parties, sources = session(count, [((7,), polynomials.demand(count, 2))] if polynomials.rounds else [])
    parts = shared_bits(rows, count)
    trial = together([polynomials.run(p.at(7), part) for p, part in zip(parties, parts, strict=True)], sources)
    expected = [
        np.bitwise_xor.reduce([np.bitwise_and.reduce([rows[i] for i in term]) for term in sums]) for sums in terms
    ]
    assert np.array_equal(np.bitwise_xor.reduce(trial.values), expected)
    assert trial.rounds == [polynomials.rounds] * count
    assert trial.sent == [2 * len(polynomials.opened) * (count - 1)] * count


@pytest.mark.parametrize("primitive", [of(9001) for of in (And, Select, ToRing, Negative, IsZero, ToBits)], ids=str)
def test_material_may_lie_where_a_frame_left_it(primitive) -> None:
    class Framed(Recording):
        def draw(self, at, demand) -> Material:
            material = super().draw(at, demand)
            for name, part in material.items():
                octets = np.frombuffer(b"\1" + part.tobytes(), np.uint8)[1:]
                material[name] = octets.view(np.uint64).reshape(part.shape)
                assert not material[name].flags.aligned
                assert not material[name].flags.writeable
            return material

    inputs = inputs_of(primitive)
    trial = together_on(primitive, shares(primitive, 2, inputs), Framed)
    value = (np.add if primitive.gives == "ring" else np.bitwise_xor).reduce(trial.values)
    assert_same(primitive, value, primitive.reference(*inputs))


# Costs


def test_costs_that_the_manual_states() -> None:
    length = 64_000
    bytes_an_element = {
        primitive: (primitive.cost(2).rounds, 8 * primitive.cost(2).words[0] / length)
        for primitive in (
            Truncation(length, 20), And(length), Select(length), ToRing(length),
            Negative(length), IsZero(length), Negative(length, 32), ToBits(length), ToBits(length, 16),
        )
    }  # fmt: skip
    assert list(bytes_an_element.values()) == [
        (1, 0.125), (1, 0.25), (1, 8.125), (1, 0.125),
        (3, 12.125), (3, 10.5), (3, 5.875), (4, 14.75), (3, 2.875),
    ]  # fmt: skip
    assert Truncation(length, 20).cost(3).words == (2 * length,) * 3


# What each party sees. Every word of a long array is one sample.

WORDS = 128
SAMPLES = 64 * WORDS
VIEWED = [
    Truncation(SAMPLES, 9),
    And(SAMPLES),
    Select(SAMPLES),
    ToRing(SAMPLES),
    Negative(SAMPLES),
    Negative(SAMPLES, 16),
    IsZero(SAMPLES),
    ToBits(SAMPLES, 32),
]


OFFSETS = [np.uint64(0), np.uint64(2**62 - 1)]


class Tap:
    """A coroutine, and what it sends to each other party."""

    def __init__(self, coroutine) -> None:
        self.coroutine, self.sent = coroutine, []

    def send(self, value):
        exchanges = self.coroutine.send(value)
        for exchange in exchanges:
            first, *others = exchange.sends.values()
            assert all(np.array_equal(a, b) for other in others for a, b in zip(first, other, strict=True))
            self.sent += [part.copy() for part in first]
        return exchanges


def rows(part: np.ndarray) -> np.ndarray:
    """An array as rows of WORDS words: one for each plane, two for the words of all elements."""
    if part.size and part.shape[-1] == SAMPLES:
        part = part.reshape(-1, SAMPLES)[:, : 2 * WORDS]
    return np.ascontiguousarray(part).reshape(-1, WORDS)


def views(primitive, count: int, value: int, add, source_type=Recording) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each party: what comes from others, alone and added up by everyone; and what it had before.

    And, for words, the top bits that the others' part would have if the value were this one.
    """
    inputs = [np.full(size, value % RING, np.uint64) for size in primitive.input_words]
    x = inputs[-1]
    operands = shares(primitive, count, inputs)
    demands = [((7, *label), demand) for label, demand in primitive.demands(count)]
    parties, sources = session(count, demands, source_type)
    taps = [Tap(primitive.run(p.at(7), *mine)) for p, mine in zip(parties, operands, strict=True)]
    together(taps, sources)
    messages = [np.concatenate([rows(part) for part in tap.sent]) for tap in taps]
    opened = add.reduce(messages)
    seen = []
    for i in range(count):
        arrived = np.concatenate([*(messages[j] for j in range(count) if j != i), opened])
        had = [part for material in sources[i].material for part in material.values()]
        for own, kind in zip(operands[i], primitive.takes, strict=True):
            had += [own] if kind == "bits" else [own, *(pack(x + offset - own, 63) for offset in OFFSETS)]
        seen.append((arrived, np.concatenate([rows(part) for part in had if part.size])))
    return seen


def assert_nothing_seen(arrived: np.ndarray, had: np.ndarray, subtract) -> None:
    """Each row that arrives is uniform, also less any other that arrives and any that the party had."""
    everything = np.concatenate([arrived, had])
    assert_rows_uniform(arrived)
    for i, row in enumerate(arrived):
        assert_rows_uniform(subtract(everything[i + 1 :], row))


def assert_rows_uniform(found: np.ndarray) -> None:
    """Chi-square over the bytes of every row; chance exceeds this less than once in 10^12."""
    octets = np.ascontiguousarray(found).view(np.uint8).reshape(len(found), -1).astype(np.int64)
    places = octets + 256 * np.arange(len(found))[:, None]
    counts = np.bincount(places.reshape(-1), minlength=256 * len(found)).reshape(-1, 256)
    expected = octets.shape[1] / 256
    assert (((counts - expected) ** 2 / expected).sum(axis=1) < 255 + 9 * np.sqrt(510) + 20).all()


def assert_no_party_sees_anything(primitive, count: int, source_type=Recording) -> None:
    """Whatever the inputs, and whether words are added or XORed."""
    for value, (add, subtract) in product((0, -3), [(np.add, np.subtract), (np.bitwise_xor, np.bitwise_xor)]):
        for arrived, had in views(primitive, count, value, add, source_type):
            assert_nothing_seen(arrived, had, subtract)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("primitive", VIEWED, ids=str)
def test_every_party_sees_uniform_words(primitive, count: int) -> None:
    assert_no_party_sees_anything(primitive, count)


MUTANTS = [
    (2, Truncation(SAMPLES, 9), (), "a", ...),
    (2, Truncation(SAMPLES, 9), (), "b", ...),
    (3, Truncation(SAMPLES, 9), (), "r", ...),
    (3, And(SAMPLES), (), "bits", 1),
    (2, Select(SAMPLES), (), "beta", ...),
    (2, Select(SAMPLES), (), "a", ...),
    (3, ToRing(SAMPLES), (), "beta", ...),
    (2, Negative(SAMPLES), ("mask",), "r", ...),
    (3, Negative(SAMPLES, 16), ("level", 0), "bits", 2),
    (2, IsZero(SAMPLES), ("level", 1), "bits", 0),
    (2, ToBits(SAMPLES, 32), ("mask",), "r", ...),
    (2, ToBits(SAMPLES, 32), ("level", 1), "bits", 3),
    (3, ToBits(SAMPLES, 32), ("mask",), "bits", 4),
]


@pytest.mark.parametrize(("count", "primitive", "label", "part", "which"), MUTANTS, ids=str)
def test_the_test_sees_a_mask_left_out(count: int, primitive, label, part: str, which) -> None:
    class Unmasked(Recording):
        def draw(self, at, demand) -> Material:
            material = super().draw(at, demand)
            if at == (7, *label) and part in material:
                material[part] = material[part].copy()
                material[part][which] = 0
            return material

    with pytest.raises(AssertionError):
        assert_no_party_sees_anything(primitive, count, Unmasked)


def test_the_test_sees_a_mask_used_twice() -> None:
    class Reused(Recording):
        def draw(self, at, demand) -> Material:
            material = super().draw(at, demand)
            material["bits"][1] = material["bits"][0]
            return material

    with pytest.raises(AssertionError):
        assert_no_party_sees_anything(And(SAMPLES), 3, Reused)


# Material


@pytest.mark.parametrize(
    "demand",
    [
        OwnBits(SAMPLES),
        TruncationPair(3, SAMPLES, 9),
        BitProduct(3, SAMPLES),
        DaBits(3, SAMPLES, 2),
        Monomials(3, WORDS, 3, ((0, 1), (0, 2), (1, 2), (0, 1, 2))),
        Mask(2, SAMPLES, 16),
        Mask(3, SAMPLES, 3, True),
    ],
    ids=str,
)
def test_corrections_are_uniform(demand) -> None:
    corrections = dealer.deal(demand, (7,), {i: bytes(16) + bytes([i]) * 16 for i in range(3)})
    assert corrections.size == dealer.correction_words(demand)
    assert_uniform_words(corrections)
    assert_rows_uniform(rows(corrections))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("nibbles", "borrows"), [(1, False), (3, True), (16, False), (16, True)])
def test_masks_are_what_they_say(count: int, nibbles: int, borrows: bool) -> None:
    for length in (1, 65, 9000):
        demand = Mask(count, length, nibbles, borrows)
        parties, _ = session(count, [((7,), demand)])
        material = [party.at(7).draw(demand) for party in parties]
        bits = np.bitwise_xor.reduce([held["bits"] for held in material])
        products = np.bitwise_xor.reduce([held["products"] for held in material])
        r = np.add.reduce([held["r"] for held in material])
        numbers = opened_bits(bits, length)
        expected = sum(numbers[b % 4, b // 4].astype(object) << b for b in range(4 * nibbles))
        assert expected.tolist() == r.tolist()
        for term, row in zip(demand.products, products, strict=True):
            assert np.array_equal(row, np.bitwise_and.reduce([bits[i] for i in term]))
        assert len(demand.products) == 11 + 7 * borrows
