"""What parties make together is what a dealer would have dealt: bound parts follow from free ones, costs are exact."""

import math
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from protocols import pairwise
from protocols.boolean import Monomials, monomials
from protocols.columns import Column
from protocols.conversion import DaBits
from protocols.correlations import Demand, Part, Triple
from protocols.lattice.product import LatticeProduct, plan
from protocols.masking import Mask
from protocols.ot.softspoken import connect
from protocols.pairwise_costs import private_product
from protocols.prg import Stream
from protocols.products import Product
from protocols.selection import BitProduct
from protocols.shuffle import SecretPermutation
from protocols.sorting import DigitMask
from protocols.truncation import OwnBits, TruncationPair

sys.path.insert(0, str(Path(__file__).parent / "ot"))
from lockstep import sent, together

TERMS = monomials([(0, 1, 2, 3), (2, 4)])


def demands(parties: int):
    everyone = tuple(range(parties))
    yield Triple(Product("multiply", (70,), (70,)), everyone, everyone)
    yield Triple(Product("multiply", (3, 1), (4,), flipped=True), (parties - 1,), everyone[:-1])
    yield Triple(Product("matmul", (5000,), (5000,)), (0,), (1,))
    yield Triple(Product("matmul", (16, 40), (40, 12)), everyone, everyone)
    yield Triple(Product("matmul", (40, 12), (16, 40), flipped=True), (1,), (0,))
    yield Triple(Product("matmul", (300, 8), (8, 8)), everyone, everyone)  # takes a prime more than for one cross term
    if parties == 2:
        yield OwnBits(100)
    yield TruncationPair(parties, 67, 13)
    yield DaBits(parties, 65, 3)
    yield DaBits(parties, 64, 1)
    yield BitProduct(parties, 129)
    yield Mask(parties, 70, 16)
    yield Mask(parties, 1, 3, borrows=True)
    yield Monomials(parties, 2, 5, TERMS)
    yield SecretPermutation(parties, 65, (Column(7), Column(7, "bits"), Column(64), Column(50, "bits")))
    yield DigitMask(parties, 65, 3, 7)


def held(shares, part):
    return [share[part.name] for share in shares if part.name in share]


def total(shares, kind):
    result = shares[0].copy()
    for share in shares[1:]:
        result = result + share if kind == "ring" else result ^ share
    return result


def made(parties: int, labelled):
    session = os.urandom(32)

    async def party(me: int):
        mesh = await connect(me, range(parties), session)
        return await pairwise.make(mesh, session, labelled, Stream(os.urandom(32)))

    return together(*(partial(party, me) for me in range(parties)))


@pytest.mark.parametrize("parties", [2, 3, 4, 5])
def test_every_correlation(parties: int) -> None:
    check([((i, 0), demand) for i, demand in enumerate(demands(parties))], parties)


@pytest.mark.parametrize("parties", [2, 3, 4, 5])
def test_what_sorting_consumes(parties: int) -> None:
    """Rows of one word and of more; digits of every width."""
    wanted = []
    for rows in (0, 1, 2, 3, 5, 63, 64, 65, 1000):
        for columns in ((Column(17), Column(17, "bits"), Column(29, "bits")), (Column(10), Column(), Column(60))):
            wanted.append(SecretPermutation(parties, rows, columns))
        wanted += [DigitMask(parties, rows, width, 10) for width in (1, 2, 3, 4)]
    check([((i,), demand) for i, demand in enumerate(wanted)], parties)


def check(labelled, parties: int) -> None:
    supplies, log = made(parties, labelled)
    for label, demand in labelled:
        shares = [supply[label] for supply in supplies]
        for part in (*demand.free, *demand.bound):
            assert [part.name in share for share in shares] == [me in part.holders for me in range(parties)]
            assert all(share.shape == part.shape for share in held(shares, part))
        free = {part.name: total(held(shares, part), part.kind) for part in demand.free}
        expected = demand.complete(free)
        for part in demand.bound:
            got = total(held(shares, part), part.kind)
            if part.kind == "bits":  # what stands beyond the length means nothing
                assert np.array_equal(got.reshape(-1), expected[part.name].reshape(-1)), demand
            elif isinstance(demand, Mask):  # r counts modulo 16^nibbles
                modulus = np.uint64(2**demand.column.width - 1)
                assert np.array_equal(got & modulus, expected[part.name]), demand
            else:
                assert np.array_equal(got, expected[part.name]), demand
    assert sent(log) == pairwise.words(parties, labelled)


EVERYONE = tuple(range(5))
HOLDERS = [
    ((0,), (1,), 1),
    ((0,), (0, 1), 1),
    ((0, 1), (0, 1), 2),
    ((0,), EVERYONE, 4),
    ((0, 1, 2), (0, 1, 2), 6),
    (EVERYONE, EVERYONE, 20),
]


@pytest.mark.parametrize(("a_holders", "b_holders", "crossing"), HOLDERS)
@pytest.mark.parametrize(("rows", "length", "columns"), [(300, 8, 8), (64, 8, 64), (500, 64, 1)])
def test_all_cross_terms_together_hide_by_40_bits(
    rows: int, length: int, columns: int, a_holders, b_holders, crossing: int
) -> None:
    """For shapes where what hides one private product would not hide two: so that leaving their number out shows."""
    product = Product("matmul", (rows, length), (length, columns))
    assert 40 <= hidden(plan(product, hiding=40)) < 41
    assert hidden(private_product(product, a_holders, b_holders)) >= 40 + math.log2(crossing)


def hidden(how: LatticeProduct) -> float:
    """Bits, over all passes."""
    return -math.log2(sum(2.0**-p.hiding for p in how.passes))


def test_material_is_drawn_once_and_only_what_was_made() -> None:
    demand = DaBits(2, 64, 1)
    supplies, _ = made(2, [((7,), demand)])
    source = pairwise.PairwiseSource(supplies[0])
    source.draw((7,), demand)
    with pytest.raises(ValueError, match="used once"):
        source.draw((7,), demand)
    with pytest.raises(ValueError, match="not there"):
        source.draw((8,), demand)


@dataclass(frozen=True)
class Square(Demand):
    """A correlation that has no maker."""

    parties: int

    @property
    def free(self):
        return (Part("a", (3,), tuple(range(self.parties))),)

    @property
    def bound(self):
        return (Part("square", (3,), tuple(range(self.parties))),)

    def complete(self, free):
        return {"square": free["a"] * free["a"]}


def test_what_has_no_maker_is_refused() -> None:
    assert all(pairwise.can_make(demand) for demand in demands(2))
    demand = Square(2)
    assert not pairwise.can_make(demand)
    with pytest.raises(ValueError, match="Square is not made pairwise"):
        made(2, [((7,), demand)])
    with pytest.raises(ValueError, match="Square is not made pairwise"):
        pairwise.words(2, [((7,), demand)])
