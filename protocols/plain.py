"""The insecure reference: party 0 or the owner holds the value, all others hold zero. For tests only.

No adversary: products send both operands to everyone in the clear. One round.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from protocols.correlations import Demand, Label
from protocols.interface import Cost
from protocols.party import Party
from protocols.primitives import Primitive
from protocols.products import Block, Product, Shape
from protocols.ring import Array
from protocols.rounds import Exchange

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
    """The value at its owner, zeros elsewhere."""
    return value if party.index == owner and value is not None else np.zeros(shape, np.uint64)


def refresh(party: Party, share: Array) -> Array:
    """The share as it is."""
    return share


async def product(
    party: Party,
    product: Product,
    x: Array | None,
    y: Array | None,
    x_owner: int | None = None,
    y_owner: int | None = None,
) -> Array:
    """Show both operands to everyone; party 0 keeps the product."""
    shown_x, shown_y = await party.open(
        (x, product.x_shape, _holders(party.count, x_owner), party.everyone),
        (y, product.y_shape, _holders(party.count, y_owner), party.everyone),
    )
    if party.index != 0 or shown_x is None or shown_y is None:
        return np.zeros(product.out_shape, np.uint64)
    return product(shown_x, shown_y)


def blocks(product: Product, x_owner: int | None, y_owner: int | None) -> list[Block]:
    """As products are cut."""
    return product.blocks()


def product_weight(product: Product, x_owner: int | None, y_owner: int | None) -> int:
    """As in `additive`; both operands travel."""
    x_words, y_words = math.prod(product.x_shape), math.prod(product.y_shape)
    return x_words + y_words


def warm(product: Product, x_owner: int | None, y_owner: int | None) -> None:
    """As products are warmed."""
    product.warm()


def demand(parties: int, product: Product, x_owner: int | None, y_owner: int | None) -> None:
    """Nothing."""


def product_cost(parties: int, product: Product, x_owner: int | None, y_owner: int | None) -> Cost:
    """One round, both operands from their holders to everyone else."""
    x_words, y_words = math.prod(product.x_shape), math.prod(product.y_shape)
    return Cost(
        1,
        tuple(
            (x_words * (i in _holders(parties, x_owner)) + y_words * (i in _holders(parties, y_owner))) * (parties - 1)
            for i in range(parties)
        ),
    )


async def primitive(party: Party, primitive: Primitive, *inputs: Array) -> Array:
    """Show the inputs to everyone; party 0 keeps the result."""
    received = await Exchange(
        {peer: list(inputs) for peer in party.others}, {peer: sum(primitive.input_words) for peer in party.others}
    )
    shown = []
    start = 0
    for x, kind in zip(inputs, primitive.takes, strict=True):
        value = x.copy()
        for words in received.values():
            part = words[start : start + x.size].reshape(x.shape)
            (np.add if kind == "ring" else np.bitwise_xor)(value, part, out=value)
        shown.append(value)
        start += x.size
    result = primitive.reference(*shown)
    return result if party.index == 0 else np.zeros_like(result)


def primitive_demands(parties: int, primitive: Primitive) -> Iterator[tuple[Label, Demand]]:
    """Nothing."""
    return iter(())


def primitive_cost(parties: int, primitive: Primitive) -> Cost:
    """One round, the inputs from everyone to everyone else."""
    return Cost(1, (sum(primitive.input_words) * (parties - 1),) * parties)


def _holders(parties: int, owner: int | None) -> tuple[int, ...]:
    return tuple(range(parties)) if owner is None else (owner,)
