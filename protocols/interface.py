"""What every sharing protocol offers; a module with these functions is one (`additive`, `plain`)."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from protocols.correlations import Demand, Label, Triple
from protocols.party import Party
from protocols.products import Block, Product, Shape
from protocols.ring import Array

if TYPE_CHECKING:
    from protocols.primitives import Primitive

__all__ = ["Cost", "SharingProtocol"]


@dataclass(frozen=True)
class Cost:
    """What one primitive costs online: rounds, and the words that each party sends, in all.

    `streamed`: rounds among these that follow without waiting for an answer.
    """

    rounds: int
    words: tuple[int, ...]
    streamed: int = 0


class SharingProtocol(Protocol):
    """Arithmetic on values shared among all parties of a session. An owner is a party's index; None: shared by all."""

    def share(self, party: Party, value: Array | None, shape: Shape, owner: int) -> Array:
        """This party's share of the owner's value (None elsewhere). No message."""
        ...

    def refresh(self, party: Party, share: Array) -> Array:
        """A share of the same value, independent of all shares seen before. No message."""
        ...

    def blocks(self, product: Product, x_owner: int | None, y_owner: int | None) -> list[Block]:
        """The pieces that a product is computed in, each a task of its own."""
        ...

    def product_weight(self, product: Product, x_owner: int | None, y_owner: int | None) -> int:
        """The most words that one party sends another in a round of one piece's product."""
        ...

    def warm(self, product: Product, x_owner: int | None, y_owner: int | None) -> None:
        """Load what computing a product will want, before a round waits for it."""
        ...

    def demand(self, parties: int, product: Product, x_owner: int | None, y_owner: int | None) -> Triple | None:
        """The correlated randomness that a product consumes, if any."""
        ...

    def product(
        self,
        party: Party,
        product: Product,
        x: Array | None,
        y: Array | None,
        x_owner: int | None = None,
        y_owner: int | None = None,
    ) -> Coroutine[Any, None, Array]:
        """This party's share of the product; an owned operand is the value at its owner and None elsewhere."""
        ...

    def product_cost(self, parties: int, product: Product, x_owner: int | None, y_owner: int | None) -> Cost:
        """Rounds and words of `product`."""
        ...

    def primitive(self, party: Party, primitive: Primitive, *inputs: Array) -> Coroutine[Any, None, Array]:
        """This party's share of what an elementwise primitive gives."""
        ...

    def primitive_demands(self, parties: int, primitive: Primitive) -> Iterator[tuple[Label, Demand]]:
        """The correlated randomness that it consumes, each piece with what is added to the label."""
        ...

    def primitive_cost(self, parties: int, primitive: Primitive) -> Cost:
        """Rounds and words of `primitive`."""
        ...
