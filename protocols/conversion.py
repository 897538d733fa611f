"""Bits to words and words to bits.

To words: daBits (D. Rotaru, T. Wood, "MArBled Circuits", INDOCRYPT 2019): open b ^ beta for a random bit beta that is
shared both ways. Adversary: semi-honest, up to n - 1 of n >= 2 parties, given a source that keeps faith.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from protocols.bits import negate_where, pack, unpack, warm
from protocols.boolean import PLANES
from protocols.columns import open_columns
from protocols.correlations import Demand, Kind, Label, Part
from protocols.interface import Cost
from protocols.party import Party
from protocols.primitives import Primitive, packed_words
from protocols.ring import Array

__all__ = ["DaBits", "ToRing", "lowest_bit"]


def lowest_bit(share: Array, length: int) -> Array:
    """The lowest bits of words, packed: a share by XOR from an additive one. No message."""
    return pack(share.reshape(-1)[:length])


@dataclass(frozen=True)
class DaBits(Demand):
    """Demand for planes of random bits, shared by XOR and as words."""

    parties: int
    length: int
    planes: int

    @property
    def free(self) -> tuple[Part, ...]:
        """The bits, by XOR."""
        shape = (self.planes, packed_words(self.length))
        return (Part("beta", shape, tuple(range(self.parties)), "bits"),)

    @property
    def bound(self) -> tuple[Part, ...]:
        """The bits, as words."""
        return (Part("word", (self.planes, self.length), tuple(range(self.parties))),)

    def complete(self, free: Mapping[str, Array]) -> Mapping[str, Array]:
        """The bits, as words."""
        return {"word": np.stack([unpack(plane, self.length) for plane in free["beta"]])}


@dataclass(frozen=True)
class ToRing(Primitive):
    """Bits as words 0 and 1: one round, one bit an element. Several planes give shape (planes, length)."""

    planes: int = 1
    takes: ClassVar[tuple[Kind, ...]] = ("bits",)
    gives: ClassVar[Kind] = "ring"

    def cost(self, parties: int) -> Cost:
        """A masked bit."""
        return Cost(1, (self.planes * packed_words(self.length) * (parties - 1),) * parties)

    def demands(self, parties: int) -> Iterator[tuple[Label, Demand]]:
        """A daBit for each bit."""
        yield (), DaBits(parties, self.length, self.planes)

    async def run(self, party: Party, *inputs: Array) -> Array:
        """b is beta, or 1 - beta where d = b ^ beta is 1."""
        (bits,) = inputs
        masks = party.draw(DaBits(party.count, self.length, self.planes))
        (d,) = await open_columns(party, (PLANES, bits.reshape(masks["beta"].shape) ^ masks["beta"]))
        one = int(party.index == 0)
        return self._shaped([negate_where(plane, word, one) for plane, word in zip(d, masks["word"], strict=True)])

    def reference(self, *inputs: Array) -> Array:
        """The bits as words."""
        (bits,) = inputs
        return self._shaped([unpack(plane, self.length) for plane in bits.reshape(self.planes, -1)])

    def _shaped(self, planes: list[Array]) -> Array:
        return planes[0] if self.planes == 1 else np.stack(planes)

    def warm(self) -> None:
        """The compiled loops over packed bits."""
        warm(self.length)
