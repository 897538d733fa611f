"""Selection: a shared bit times a shared word, in one round and without converting the bit first.

With a random bit beta shared both ways (D. Rotaru, T. Wood, "MArBled Circuits", INDOCRYPT 2019) and D. Beaver's masks
(CRYPTO '91, section 3): open d = b ^ beta and e = x - a; b is beta where d = 0, and 1 - beta where d = 1. Adversary:
semi-honest, up to n - 1 of n >= 2 parties, given a source that keeps faith.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from protocols import ring
from protocols.bits import negate_where, unpack, warm
from protocols.boolean import PLANES
from protocols.columns import Column, open_columns
from protocols.correlations import Demand, Kind, Label, Part
from protocols.interface import Cost
from protocols.party import Party
from protocols.primitives import Primitive, packed_words
from protocols.ring import Array

__all__ = ["BitProduct", "Select"]


@dataclass(frozen=True)
class BitProduct(Demand):
    """Demand for random bits beta, shared by XOR and as words, random words a, and beta a."""

    parties: int
    length: int

    @property
    def free(self) -> tuple[Part, ...]:
        """beta by XOR, and a."""
        everyone = tuple(range(self.parties))
        return Part("beta", (packed_words(self.length),), everyone, "bits"), Part("a", (self.length,), everyone)

    @property
    def bound(self) -> tuple[Part, ...]:
        """beta as words, and beta a."""
        everyone = tuple(range(self.parties))
        return Part("word", (self.length,), everyone), Part("product", (self.length,), everyone)

    def complete(self, free: Mapping[str, Array]) -> Mapping[str, Array]:
        """beta as words, and beta a."""
        word = unpack(free["beta"], self.length)
        return {"word": word, "product": ring.multiply(word, free["a"])}


@dataclass(frozen=True)
class Select(Primitive):
    """x where the bit is 1, else 0. One round, one word and one bit an element."""

    takes: ClassVar[tuple[Kind, ...]] = ("bits", "ring")
    gives: ClassVar[Kind] = "ring"

    def cost(self, parties: int) -> Cost:
        """d and e."""
        return Cost(1, ((packed_words(self.length) + self.length) * (parties - 1),) * parties)

    def demands(self, parties: int) -> Iterator[tuple[Label, Demand]]:
        """Bits, words and their products."""
        yield (), BitProduct(parties, self.length)

    async def run(self, party: Party, *inputs: Array) -> Array:
        """beta x = e [beta] + [beta a]; b x is that, or x less that."""
        bit, x = inputs
        masks = party.draw(BitProduct(party.count, self.length))
        d, e = await open_columns(party, (PLANES, bit ^ masks["beta"]), (Column(), ring.subtract(x, masks["a"])))
        product = ring.multiply(e, masks["word"], out=e)
        return negate_where(d, ring.add(product, masks["product"], out=product), x)

    def reference(self, *inputs: Array) -> Array:
        """Bit times x."""
        bit, x = inputs
        return ring.multiply(unpack(bit, self.length), x)

    def warm(self) -> None:
        """The compiled loops over packed bits."""
        warm(self.length)
