"""Tables of bits between two parties: products and words are right, costs exact, and each share alone tells nothing."""

import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import bits, nibbles
from protocols.boolean import monomials, multiplied
from protocols.masking import NIBBLE, rows
from protocols.ot.softspoken import connect

sys.path.insert(0, str(Path(__file__).parent / "ot"))
from lockstep import sent, together


def made(a, b, masks: bool):
    """What two parties make of their bits, and what they sent for it, base OTs aside."""
    session = os.urandom(32)

    async def party(me: int, mine):
        mesh = await connect(me, range(2), session)
        return await (nibbles.masks if masks else nibbles.tables)(mesh, mine)

    async def connected(me: int):
        await connect(me, range(2), session)

    results, log = together(partial(party, 0, a), partial(party, 1, b))
    _, base = together(*(partial(connected, me) for me in range(2)))
    return results, {me: sent(log)[me] - sent(base)[me] for me in range(2)}


def random_bits(groups: int, across: int):
    return np.frombuffer(os.urandom(8 * NIBBLE * groups * across), np.uint64).reshape(NIBBLE, groups, across)


@pytest.mark.parametrize(("groups", "across"), [(1, 1), (1, 700), (3, 2), (16, 1), (16, 65), (5, 200)])
def test_masks(groups: int, across: int) -> None:
    a, b = random_bits(groups, across), random_bits(groups, across)
    ((of_a, r_a), (of_b, r_b)), words = made(a, b, masks=True)
    assert np.array_equal(of_a ^ of_b, multiplied(a ^ b, nibbles.PRODUCTS))
    expected = bits.words((a ^ b).reshape(-1, across), rows(groups), 64 * across)
    assert np.array_equal((r_a + r_b) & np.uint64(16**groups - 1), expected)
    assert words == nibbles.masks_words(groups, across)


@pytest.mark.parametrize(("groups", "across"), [(1, 1), (4, 300), (40, 9)])
def test_tables(groups: int, across: int) -> None:
    a, b = random_bits(groups, across), random_bits(groups, across)
    (of_a, of_b), words = made(a, b, masks=False)
    assert np.array_equal(of_a ^ of_b, multiplied(a ^ b, nibbles.PRODUCTS))
    assert words == nibbles.tables_words(groups, across)


@pytest.mark.parametrize("value", [0, 2**64 - 1])
def test_one_party_s_shares_tell_nothing(value: int) -> None:
    """For constant bits, shares of every product are half ones, and no two products' shares go together."""
    a, b = np.full((NIBBLE, 2, 64), value, np.uint64), np.zeros((NIBBLE, 2, 64), np.uint64)
    results, _ = made(a, b, masks=True)
    for shares, r in results:
        seen = np.unpackbits(np.concatenate([shares.reshape(22, 64)]).view(np.uint8), axis=1) * 2.0 - 1
        limit = 6 / np.sqrt(seen.shape[1])
        assert np.abs(seen.mean(axis=1)).max() < limit
        assert np.abs(np.triu(seen @ seen.T / seen.shape[1], 1)).max() < limit
        low = np.unpackbits((r & np.uint64(0xFF)).astype(np.uint8)[:, None], axis=1)[:, :7]  # the lowest is a's own
        assert np.abs(low.mean(axis=0) - 0.5).max() < limit


@given(st.lists(st.sets(st.integers(0, 11), min_size=2, max_size=5).map(lambda s: tuple(sorted(s))), max_size=8))
def test_groups_hold_whole_products_and_are_worth_it(terms: list[tuple[int, ...]]) -> None:
    products = monomials(terms)
    groups = nibbles.grouped(products)
    had: set[tuple[int, ...]] = set()
    for group in groups:
        assert len(group) == NIBBLE
        new = {term for term in products if set(term) <= set(group)} - had
        assert len(new) >= 5
        had |= new
