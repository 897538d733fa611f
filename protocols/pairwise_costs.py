"""What correlations cost that the parties make together: the words that each of them sends, exactly.

Base OTs are not counted: they are made once a session, see `protocols.ot.costs.connect_words`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from protocols import nibbles
from protocols.boolean import Monomials, Term, monomials
from protocols.columns import Column
from protocols.conversion import DaBits
from protocols.correlations import Demand, Triple
from protocols.lattice.parameters import HIDING
from protocols.lattice.product import LatticeProduct, pays, plan
from protocols.masking import NIBBLE, Mask
from protocols.ot import bits, costs
from protocols.products import Product
from protocols.selection import BitProduct
from protocols.shuffle import SecretPermutation
from protocols.sorting import DigitMask
from protocols.truncation import OwnBits, TruncationPair

__all__ = ["private_product", "sent"]

_WORD = 64


def sent(demand: Demand, everyone: Sequence[int]) -> Mapping[int, int]:
    """Words that each party sends for one correlation."""
    match demand:
        case Triple(product, a_holders, b_holders) if pays(product):
            return _lattice_words(product, a_holders, b_holders)
        case Triple(product, a_holders, b_holders):
            return costs.triple_words(product, a_holders, b_holders)
        case OwnBits(length):
            return costs.scale_words(length, 0, (1,))
        case TruncationPair(_, length, _):
            return costs.truncation_words(length, everyone)
        case DaBits(_, length, planes):
            return costs.random_bit_words(planes * bits.packed_words(length) * _WORD, everyone)
        case BitProduct(_, length):
            return costs.select_words(length, Column(), everyone)
        case Mask(_, length, count):
            across = bits.packed_words(length)
            if tuple(everyone) == (0, 1):
                rest = [term for term in demand.products if max(term) >= NIBBLE]
                total = Counter(nibbles.masks_words(count, across))
                total.update(_multiplied_words(rest, count * across, everyone))
                return total
            total = Counter(costs.random_bit_words(NIBBLE * count * across * _WORD, everyone))
            total.update(_multiplied_words(demand.products, count * across, everyone))
            return total
        case Monomials(_, across, _, products) if tuple(everyone) == (0, 1) and (groups := nibbles.grouped(products)):
            total = Counter(nibbles.tables_words(len(groups), across))
            rest = [term for term in products if not any(set(term) <= set(group) for group in groups)]
            total.update(_multiplied_words(rest, across, everyone))
            return total
        case Monomials(_, across, _, products):
            return _multiplied_words(products, across, everyone)
        case SecretPermutation(_, rows, columns):
            return costs.permutation_words(rows, columns, everyone)
        case DigitMask(_, rows, width, _):
            across = bits.packed_words(rows)
            total = Counter(_multiplied_words(monomials([tuple(range(width))]), across, everyone))
            total.update(costs.select_words((2**width - 1) * across * _WORD, demand.column, everyone))
            return total
    raise ValueError(f"{type(demand).__name__} is not made pairwise")


def private_product(product: Product, a_holders: Sequence[int], b_holders: Sequence[int]) -> LatticeProduct:
    """How the cross terms of a triple are made by lattice encryption: all of the session hidden by 40 bits together."""
    crossing = sum(i != j for i in a_holders for j in b_holders)
    return plan(product, hiding=HIDING + math.log2(max(crossing, 1)))


def _multiplied_words(products: Sequence[Term], across: int, everyone: Sequence[int]) -> Mapping[int, int]:
    total: Counter[int] = Counter()
    for _, count in Counter(map(len, products)).items():
        total.update(costs.and_triple_words(count * across * _WORD, everyone, everyone))
    return total


def _lattice_words(product: Product, a_holders: Sequence[int], b_holders: Sequence[int]) -> Mapping[int, int]:
    how = private_product(product, a_holders, b_holders)
    encrypted, answered = how.words
    total: Counter[int] = Counter()
    for i in a_holders:
        for j in b_holders:
            if i != j:
                first, second = (i, j) if how.x_encrypted else (j, i)
                total[first] += encrypted
                total[second] += answered
    return total
