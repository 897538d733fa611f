"""Correlated randomness that protocols consume, and what a source of it must offer.

A demand names its parts. The free ones are uniform, each holder's share on its own; the bound ones follow from them. A
new correlation is one class that says which parts it has and how the bound ones follow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from protocols.products import Product, Shape
from protocols.ring import Array

__all__ = ["Demand", "Kind", "Label", "Material", "Part", "Source", "Triple"]

Label = tuple[str | int, ...]
"""Names one piece of material or one stream within a session: (step, block, purpose)."""

Kind = Literal["ring", "bits"]
"""How words are shared: "ring", each word additively over Z_2^64; "bits", 64 bits to a word, by XOR."""


@dataclass(frozen=True)
class Part:
    """One array of a correlation, shared among some parties. A holder alone holds the value itself."""

    name: str
    shape: Shape
    holders: tuple[int, ...]
    kind: Kind = "ring"


class Demand(ABC):
    """A piece of correlated randomness: parts that are drawn, and parts that follow from them.

    All bound parts have the same last holder: who takes a dealer's correction.
    """

    @property
    @abstractmethod
    def free(self) -> tuple[Part, ...]:
        """The parts that are uniform."""

    @property
    @abstractmethod
    def bound(self) -> tuple[Part, ...]:
        """The parts that follow from the free ones."""

    @abstractmethod
    def complete(self, free: Mapping[str, Array]) -> Mapping[str, Array]:
        """The values of the bound parts, from those of the free parts."""

    @property
    def holders(self) -> tuple[int, ...]:
        """All parties that hold a part, in order."""
        return tuple(sorted({party for part in (*self.free, *self.bound) for party in part.holders}))


class Material(dict[str, Array]):
    """One party's shares of a correlation, by part; without those that it does not hold. Shows nothing of them."""

    def __repr__(self) -> str:
        return f"Material({', '.join(self)})"


@dataclass(frozen=True)
class Triple(Demand):
    """Demand for random a, b and c = a x b under a bilinear product (Beaver, CRYPTO '91).

    a is shared among `a_holders`, b among `b_holders`, c among all of these. Elementwise, matrix and dot products
    differ in the product only: a matrix triple holds the matrices' shapes, a dot triple two vectors and one number.
    """

    product: Product
    a_holders: tuple[int, ...]
    b_holders: tuple[int, ...]

    @property
    def free(self) -> tuple[Part, ...]:
        """a and b."""
        return (
            Part("a", self.product.x_shape, self.a_holders),
            Part("b", self.product.y_shape, self.b_holders),
        )

    @property
    def bound(self) -> tuple[Part, ...]:
        """c."""
        return (Part("c", self.product.out_shape, tuple(sorted({*self.a_holders, *self.b_holders}))),)

    def complete(self, free: Mapping[str, Array]) -> Mapping[str, Array]:
        """c = a x b."""
        return {"c": self.product(free["a"], free["b"])}


class Source(Protocol):
    """One party's supply of correlated randomness. A label is drawn once."""

    def draw(self, label: Label, demand: Demand) -> Material:
        """This party's shares of the correlation with this label; the party must be among its holders."""
        ...
