"""Polynomials of several planes of shared bits, as a primitive: one round, one bit for each plane that is multiplied.

What is opened, and what the source deals for it, is said in `protocols.boolean`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np

from protocols.bits import warm
from protocols.boolean import Polynomials
from protocols.correlations import Demand, Kind, Label
from protocols.interface import Cost
from protocols.party import Party
from protocols.primitives import Primitive, packed_words
from protocols.ring import Array

__all__ = ["BitPolynomials"]


@dataclass(frozen=True)
class BitPolynomials(Primitive):
    """From `polynomials.bits` planes, shape (bits, words), one plane for each polynomial."""

    polynomials: Polynomials
    takes: ClassVar[tuple[Kind, ...]] = ("bits",)
    gives: ClassVar[Kind] = "bits"

    @property
    def planes(self) -> int:
        """As many as there are polynomials."""
        return len(self.polynomials.terms)

    @property
    def input_words(self) -> tuple[int, ...]:
        """Words of all planes."""
        return (self.polynomials.bits * packed_words(self.length),)

    def cost(self, parties: int) -> Cost:
        """The planes that are multiplied."""
        words = len(self.polynomials.opened) * packed_words(self.length)
        return Cost(self.polynomials.rounds, (words * (parties - 1),) * parties)

    def demands(self, parties: int) -> Iterator[tuple[Label, Demand]]:
        """The masks of these planes, and products of masks."""
        yield (), self.polynomials.demand(parties, packed_words(self.length))

    async def run(self, party: Party, *inputs: Array) -> Array:
        """The polynomials' planes."""
        return self._shaped(await self.polynomials.run(party, inputs[0].reshape(self.polynomials.bits, -1)))

    def reference(self, *inputs: Array) -> Array:
        """Products, added."""
        rows = inputs[0].reshape(self.polynomials.bits, -1)
        sums = self.polynomials.terms
        return self._shaped(
            np.stack([np.bitwise_xor.reduce([reduce(np.bitwise_and, rows[list(t)]) for t in s]) for s in sums])
        )

    def _shaped(self, planes: Array) -> Array:
        return planes[0] if self.planes == 1 else planes

    def warm(self) -> None:
        """The compiled loops over packed bits."""
        warm(self.length)
