"""Correlated randomness that protocols consume, and what a source of it must offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocols.products import Product, Shape
from protocols.ring import Array

__all__ = ["Label", "Source", "Triple", "TripleShares"]

Label = tuple[str | int, ...]
"""Names one piece of material or one stream within a session: (step, block, purpose)."""


@dataclass(frozen=True)
class Triple:
    """Demand for random a, b and c = a x b under a bilinear product (Beaver, CRYPTO '91).

    a is shared among `a_holders`, b among `b_holders`, c among all of these. A holder alone holds the value itself.
    Elementwise, matrix and dot products differ in the product only: a matrix triple holds the matrices' shapes, a dot
    triple two vectors and one number.
    """

    product: Product
    a_holders: tuple[int, ...]
    b_holders: tuple[int, ...]

    @property
    def holders(self) -> tuple[int, ...]:
        """All parties that hold a share of c, in order."""
        return tuple(sorted({*self.a_holders, *self.b_holders}))

    @property
    def a_shape(self) -> Shape:
        """The shape of a."""
        return self.product.x_shape

    @property
    def b_shape(self) -> Shape:
        """The shape of b."""
        return self.product.y_shape

    @property
    def c_shape(self) -> Shape:
        """The shape of c."""
        return self.product.out_shape


@dataclass(frozen=True, repr=False)
class TripleShares:
    """One party's shares of a triple; None for what it does not hold. Shows nothing of them."""

    a: Array | None
    b: Array | None
    c: Array


class Source(Protocol):
    """One party's supply of correlated randomness. A label is drawn once."""

    def triple(self, label: Label, demand: Triple) -> TripleShares:
        """This party's shares of the triple with this label; the party must be among its holders."""
        ...
