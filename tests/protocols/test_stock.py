"""Material cut from tapes is what a dealer would have dealt for the plan's demands, whatever their lengths."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.boolean import Monomials, monomials
from protocols.conversion import DaBits
from protocols.correlations import Demand, Material, Triple
from protocols.dealer import DealerSource, corrected, deal
from protocols.masking import Mask
from protocols.products import Product
from protocols.selection import BitProduct
from protocols.stock import (
    UNIT,
    Shares,
    StockSource,
    cut,
    joined,
    kind_of,
    lengthened,
    of_plain,
    packed,
    plain,
    rounded,
    unit_words,
    unpacked,
)
from protocols.truncation import OwnBits, TruncationPair

EVERYONE = (0, 1, 2)
LENGTHS = st.sampled_from([1, 63, 64, 65, 127, 128, 129, 200, 1000])
KINDS: list[Demand] = [
    Triple(Product("multiply", (UNIT,), (UNIT,)), EVERYONE, EVERYONE),
    Triple(Product("multiply", (UNIT,), (UNIT,)), (1,), (0, 2)),
    OwnBits(UNIT),
    TruncationPair(3, UNIT, 13),
    DaBits(3, UNIT, 1),
    DaBits(3, UNIT, 3),
    BitProduct(3, UNIT),
    Mask(3, UNIT, 16),
    Mask(3, UNIT, 3, borrows=True),
    Monomials(3, 1, 5, monomials([(0, 1, 2, 3), (2, 4)])),
]
named = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(plain(kind)[:2]))


def dealt(demand: Demand, number: int = 0) -> list[Material]:
    """Every party's shares, from a dealer."""
    secrets = {party: os.urandom(32) for party in EVERYONE}
    label = ("dealt", number)
    sources = [
        DealerSource(i, secrets[i], {label: deal(demand, label, secrets)} if i == corrected(demand) else {})
        for i in EVERYONE
    ]
    return [source.draw(label, demand) for source in sources]


def together(shares: list[Material], demand: Demand) -> dict[str, np.ndarray]:
    values = {}
    for part in (*demand.free, *demand.bound):
        held = [share[part.name] for i, share in enumerate(shares) if i in part.holders]
        assert all(share.shape == part.shape and share.flags.c_contiguous for share in held)
        values[part.name] = (np.add if part.kind == "ring" else np.bitwise_xor).reduce(held)
    return values


def check(shares: list[Material], demand: Demand) -> None:
    values = together(shares, demand)
    expected = demand.complete({part.name: values[part.name] for part in demand.free})
    for part in demand.bound:
        assert np.array_equal(values[part.name].reshape(-1), expected[part.name].reshape(-1)), part.name


def fresh(number: int, elements: int, kind: Demand) -> list[Material]:
    return dealt(lengthened(kind, elements), number)


@named
@given(lengths=st.lists(LENGTHS, min_size=1, max_size=4), batches=st.lists(st.integers(1, 12), max_size=4))
def test_demands_of_any_lengths_from_batches_and_what_is_made_on_the_way(
    kind: Demand, lengths: list[int], batches: list[int]
) -> None:
    demands = [((i,), lengthened(kind, length)) for i, length in enumerate(lengths)]
    held = [fresh(number, UNIT * units, kind) for number, units in enumerate(batches)]
    shares = Shares(demands, {kind: UNIT * sum(batches)} if batches else {})
    made = {label: dealt(demand) for label, demand in shares.to_make}
    due = sum(rounded(demand) for _, demand in demands)
    assert shares.taken.get(kind, 0) == min(due, UNIT * sum(batches))
    assert shares.taken.get(kind, 0) + sum(rounded(demand) for _, demand in shares.to_make) == due
    drawn: list[list[Material]] = []
    for party in EVERYONE:
        at_hand = {kind: joined([each[party] for each in held])} if held else {}
        plan = Shares(demands, {kind: UNIT * sum(batches)} if batches else {})
        source = StockSource(plan, at_hand, {label: shares[party] for label, shares in made.items()})
        drawn.append([source.draw(label, demand) for label, demand in demands])
        with pytest.raises(ValueError, match="used once"):
            source.draw(*demands[0])
    for i, (_, demand) in enumerate(demands):
        check([party[i] for party in drawn], demand)


@named
@given(data=st.data())
def test_stretches_of_a_tape_do_not_overlap_and_are_correlated(kind: Demand, data: st.DataObject) -> None:
    units = data.draw(st.integers(1, 8))
    at = sorted(data.draw(st.sets(st.integers(1, units - 1), max_size=3))) if units > 1 else []
    ends = [UNIT * each for each in (0, *at, units)]
    tape = fresh(0, UNIT * units, kind)
    pieces = [[cut(kind, shares, *ends[i : i + 2]) for shares in tape] for i in range(len(ends) - 1)]
    for i, piece in enumerate(pieces):
        check(piece_whole(piece), lengthened(kind, ends[i + 1] - ends[i]))
    for party in EVERYONE:
        again = joined([piece[party] for piece in pieces])
        assert all(np.array_equal(again[name], share) for name, share in tape[party].items())


def piece_whole(piece: list[Material]) -> list[Material]:
    return [Material({name: np.ascontiguousarray(share) for name, share in each.items()}) for each in piece]


@named
def test_a_kind_is_the_same_whatever_the_length(kind: Demand) -> None:
    assert {kind_of(lengthened(kind, length)) for length in (1, 64, 65, 700)} == {kind}
    assert of_plain(plain(kind)) == kind


@named
def test_shares_as_one_run_of_words(kind: Demand) -> None:
    demand = lengthened(kind, 3 * UNIT)
    for party, shares in enumerate(dealt(demand)):
        words = packed(demand, party, shares)
        assert words.size == 3 * unit_words(kind, party)
        again = unpacked(demand, party, words)
        assert {name: share.tolist() for name, share in again.items()} == {n: s.tolist() for n, s in shares.items()}
        with pytest.raises(ValueError, match="are due"):
            unpacked(demand, party, np.append(words, words[:1] if words.size else np.uint64([0])))


def test_shapes_and_sides_of_products_do_not_matter() -> None:
    """Elementwise products are alike: the demand's shape is given back."""
    demand = Triple(Product("multiply", (5, 20), (5, 20), flipped=True), (1,), (0, 2))
    kind = KINDS[1]
    assert (kind_of(demand), rounded(demand)) == (kind, 128)
    tape = fresh(0, 192, kind)
    shares = [Shares([((0,), demand)], {kind: 192}) for _ in EVERYONE]
    check([StockSource(shares[i], {kind: tape[i]}, {}).draw((0,), demand) for i in EVERYONE], demand)


UNCUT: list[Demand] = [
    Triple(Product("matmul", (5, 20), (20, 5)), EVERYONE, EVERYONE),
    Triple(Product("matmul", (70,), (70,)), EVERYONE, EVERYONE),
    Triple(Product("multiply", (3, 1), (4,)), EVERYONE, EVERYONE),
    OwnBits(0),
]


@pytest.mark.parametrize("demand", UNCUT, ids=str)
def test_what_is_not_on_tapes_is_made(demand: Demand) -> None:
    assert kind_of(demand) is None
    assert Shares([((0,), demand)], {}).to_make == [((0,), demand)]
    with pytest.raises(ValueError, match="not kept"):
        rounded(demand)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        ["Shuffle"],
        ["Mask", 3],
        ["Triple", [0], [b"1"]],
        ["Monomials", 3, 5, [1]],
        ["DaBits", "3", 1],
        ["OwnBits", 1],
    ],
)
def test_kinds_are_a_closed_list(parts: list[object]) -> None:
    with pytest.raises(ValueError, match=r"not the parts|not whole"):
        of_plain(parts)
