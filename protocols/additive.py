"""Additive sharing over Z_2^64: x = x_1 + ... + x_n.

Products: D. Beaver, "Efficient Multiparty Protocols Using Circuit Randomization", CRYPTO '91, section 3, here for any
bilinear product over the ring. Adversary: semi-honest, up to n - 1 of n >= 2 parties, given a source of triples that
keeps faith. Departures: sharing an input takes no message (the others' shares are streams in common with the owner,
as in Cramer, Damgard, Ishai, TCC 2005); an operand that one party holds in the clear is masked by that party alone,
and its product involves the holders of the other operand only.
"""

from __future__ import annotations

import math
from collections.abc import Coroutine, Iterator
from typing import Any

import numpy as np

from protocols import ring
from protocols.correlations import Demand, Label, Triple
from protocols.interface import Cost
from protocols.party import Party
from protocols.primitives import Primitive
from protocols.products import Block, Product, Shape
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


def share(party: Party, value: Array | None, shape: Shape, owner: int) -> Array:
    """Share the owner's value: every other share is a stream in common with the owner. No message."""
    if party.index != owner:
        return party.common(owner, "share").words(shape)
    if value is None:
        raise ValueError("the owner of a value must have it")
    x = value.copy()
    for peer in party.others:
        ring.subtract(x, party.common(peer, "share").words(shape), out=x)
    return x


def refresh(party: Party, share: Array) -> Array:
    """Add a fresh sharing of zero among all. No message."""
    return ring.add(share, party.zero_share(share.shape, party.everyone))


async def product(
    party: Party,
    product: Product,
    x: Array | None,
    y: Array | None,
    x_owner: int | None = None,
    y_owner: int | None = None,
) -> Array:
    """x times y under a bilinear product: one round, one triple."""
    if x_owner is not None:
        return await multiply_owned(party, product, x, y, x_owner, y_owner)
    if y_owner is not None:
        return await multiply_owned(party, product.flip(), y, x, y_owner, None)
    if x is None or y is None:
        raise ValueError("every party must have its share of a shared value")
    return await multiply(party, product, x, y)


async def multiply(party: Party, product: Product, x: Array, y: Array) -> Array:
    """Beaver '91: with [a], [b], [c = ab], open d = x - a and e = y - b; then [xy] = [c] + d[b] + [a]e + de."""
    all_parties = party.everyone
    triple = party.draw(Triple(product, all_parties, all_parties))
    a, b, c = triple["a"], triple["b"], triple["c"]
    d, e = await party.open(
        (ring.subtract(x, a), x.shape, all_parties, all_parties),
        (ring.subtract(y, b), y.shape, all_parties, all_parties),
    )
    if d is None or e is None:
        raise ValueError("every party learns d and e")
    if product.kind == "multiply" and x.shape == y.shape:
        return ring.beaver_combine(c, d, b, a, e, add_de=party.index == 0)
    z = ring.add(c, product(d, b))
    # (a + d) e: the public term de joins one party's share
    return ring.add(z, product(ring.add(a, d) if party.index == 0 else a, e))


async def multiply_owned(
    party: Party, product: Product, x: Array | None, y: Array | None, owner: int, y_owner: int | None
) -> Array:
    """The owner's x times y, held by one other party or shared by all: a is the owner's alone.

    The owner sends d = x - a to the holders of y, they send it their e_j = y_j - b_j. Then xy = c + xe + db, plus x
    times the owner's own share of y. Others take part only in the re-randomisation.
    """
    holders = tuple(j for j in party.everyone if j != owner) if y_owner is None else (y_owner,)
    z = np.zeros(product.out_shape, np.uint64)
    if party.index == owner or party.index in holders:
        triple = party.draw(Triple(product, (owner,), holders))
        a, b, c = triple.get("a"), triple.get("b"), triple["c"]
        # the owner has no further use for a: its memory takes d
        d, e = await party.open(
            (None if a is None or x is None else ring.subtract(x, a, out=a), product.x_shape, (owner,), holders),
            (None if b is None or y is None else ring.subtract(y, b), product.y_shape, holders, (owner,)),
        )
        if party.index == owner and x is not None and e is not None:
            z = ring.add(c, product(x, e if y_owner is not None or y is None else ring.add(e, y)))
        elif d is not None and b is not None:
            z = ring.add(c, product(d, b))
    if y_owner is not None and party.count > 2:
        z = ring.add(z, party.zero_share(product.out_shape, party.everyone))
    return z


def blocks(product: Product, x_owner: int | None, y_owner: int | None) -> list[Block]:
    """As products are cut."""
    return product.blocks()


def product_weight(product: Product, x_owner: int | None, y_owner: int | None) -> int:
    """An owner sends one operand, all send both shared ones."""
    x_words, y_words = math.prod(product.x_shape), math.prod(product.y_shape)
    return x_words + y_words if x_owner is None and y_owner is None else max(x_words, y_words)


def warm(product: Product, x_owner: int | None, y_owner: int | None) -> None:
    """As products are warmed."""
    product.warm()


def demand(parties: int, product: Product, x_owner: int | None, y_owner: int | None) -> Triple:
    """The triple that `product` consumes."""
    everyone = tuple(range(parties))
    if x_owner is None and y_owner is None:
        return Triple(product, everyone, everyone)
    if x_owner is None:
        return demand(parties, product.flip(), y_owner, None)
    others = tuple(j for j in everyone if j != x_owner)
    return Triple(product, (x_owner,), others if y_owner is None else (y_owner,))


def product_cost(parties: int, product: Product, x_owner: int | None, y_owner: int | None) -> Cost:
    """One round. Shared: both masked operands, everyone to everyone. Owned: d to the holders, each e to the owner."""
    x_words, y_words = math.prod(product.x_shape), math.prod(product.y_shape)
    if x_owner is None and y_owner is None:
        return Cost(1, ((x_words + y_words) * (parties - 1),) * parties)
    if x_owner is None:
        return product_cost(parties, product.flip(), y_owner, None)
    holders = [j for j in range(parties) if j != x_owner] if y_owner is None else [y_owner]
    return Cost(1, tuple(x_words * len(holders) if i == x_owner else y_words * (i in holders) for i in range(parties)))


def primitive(party: Party, primitive: Primitive, *inputs: Array) -> Coroutine[Any, None, Array]:
    """The primitive's own protocol."""
    return primitive.run(party, *inputs)


def primitive_demands(parties: int, primitive: Primitive) -> Iterator[tuple[Label, Demand]]:
    """The primitive's own demands."""
    return primitive.demands(parties)


def primitive_cost(parties: int, primitive: Primitive) -> Cost:
    """The primitive's own cost."""
    return primitive.cost(parties)
