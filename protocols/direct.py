"""Additive sharing without a third party: private dots and matrix products of two owners go by lattice encryption.

Their inputs themselves travel encrypted (`protocols.lattice`), so these products have no offline phase. All else is as
in `protocols.additive`, with correlations that the parties make together (`protocols.pairwise`). Adversary:
semi-honest, up to n - 1 of n >= 2 parties.
"""

from __future__ import annotations

import numpy as np

from protocols import additive, ring
from protocols.additive import primitive, primitive_cost, primitive_demands, refresh, share
from protocols.correlations import Triple
from protocols.interface import Cost
from protocols.lattice.product import answer, encrypt, pays, plan
from protocols.party import Party
from protocols.products import Block, Product
from protocols.ring import Array

__all__ = [
    "blocks",
    "demand",
    "primitive",
    "primitive_cost",
    "primitive_demands",
    "product",
    "product_cost",
    "product_weight",
    "refresh",
    "share",
    "warm",
]


def blocks(product: Product, x_owner: int | None, y_owner: int | None) -> list[Block]:
    """A lattice product is one block; it cuts itself."""
    if _by_lattice(product, x_owner, y_owner):
        return [Block(0, 0, product.x_shape, product.y_shape, product.out_shape)]
    return additive.blocks(product, x_owner, y_owner)


def product_weight(product: Product, x_owner: int | None, y_owner: int | None) -> int:
    """The most words that one party sends another in a round."""
    if _by_lattice(product, x_owner, y_owner):
        return plan(product).weight
    return additive.product_weight(product, x_owner, y_owner)


def warm(product: Product, x_owner: int | None, y_owner: int | None) -> None:
    """A lattice product makes its tables."""
    if _by_lattice(product, x_owner, y_owner):
        plan(product).warm()
    else:
        additive.warm(product, x_owner, y_owner)


def demand(parties: int, product: Product, x_owner: int | None, y_owner: int | None) -> Triple | None:
    """Nothing, or a triple."""
    return None if _by_lattice(product, x_owner, y_owner) else additive.demand(parties, product, x_owner, y_owner)


async def product(
    party: Party,
    product: Product,
    x: Array | None,
    y: Array | None,
    x_owner: int | None = None,
    y_owner: int | None = None,
) -> Array:
    """x times y: shares at the two owners, re-randomised among all; or as in `additive`."""
    if x_owner is None or y_owner is None or not _by_lattice(product, x_owner, y_owner):
        return await additive.product(party, product, x, y, x_owner, y_owner)
    how = plan(product)
    z = np.zeros(product.out_shape, np.uint64)
    operand = x if party.index == x_owner else y
    if party.index in (x_owner, y_owner) and operand is not None:
        peer = y_owner if party.index == x_owner else x_owner
        encrypts = how.x_encrypted == (party.index == x_owner)
        z = await (encrypt if encrypts else answer)(peer, how, operand, party.named(peer, "lattice product"))
    if party.count > 2:
        z = ring.add(z, party.zero_share(product.out_shape, party.everyone))
    return z


def product_cost(parties: int, product: Product, x_owner: int | None, y_owner: int | None) -> Cost:
    """One stream each way between the owners."""
    if x_owner is None or y_owner is None or not _by_lattice(product, x_owner, y_owner):
        return additive.product_cost(parties, product, x_owner, y_owner)
    how = plan(product)
    encrypting, answering = (x_owner, y_owner) if how.x_encrypted else (y_owner, x_owner)
    words = dict(zip((encrypting, answering), how.words, strict=True))
    rounds = len(how.messages)
    return Cost(rounds, tuple(words.get(i, 0) for i in range(parties)), max(0, rounds - 2))


def _by_lattice(product: Product, x_owner: int | None, y_owner: int | None) -> bool:
    return x_owner is not None and y_owner is not None and pays(product)
