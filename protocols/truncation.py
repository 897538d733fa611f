"""Truncation: x / 2^f for |x| < 2^62, rounded to one of the two integers next to it. It never fails.

With x moved into [0, 2^63), top bits tell whether its masked opening, or the sum of its two shares, wrapped around
2^64: A. Dalskov, D. Escudero, M. Keller, "Secure Evaluation of Quantized Neural Networks" (PoPETs 2020); D. Escudero,
S. Ghosh, M. Keller, R. Rachuri, P. Scholl, "Improved Primitives for MPC over Mixed Arithmetic-Binary Circuits" (CRYPTO
2020). For two parties: Z. Huang, W. Lu, C. Hong, J. Ding, "Cheetah" (USENIX Security 2022), here with dealt bits in the
place of oblivious transfer. Adversary: semi-honest, up to n - 1 of n >= 2 parties, given a source that keeps faith.

The upper neighbour comes with the probability of the fraction: rounding is unbiased, and exact where 2^f divides x. It
comes where the fraction is above a uniform threshold, which is in what parties see: who learns the result learns x to
within one unit about that threshold, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from protocols import ring
from protocols.bits import COMPILED_LENGTH, negate_where, pack, unpack, usable, warm
from protocols.boolean import PLANES
from protocols.columns import Column, open_columns
from protocols.correlations import Demand, Kind, Label, Part
from protocols.interface import Cost
from protocols.party import Party
from protocols.primitives import Primitive, packed_words
from protocols.ring import Array

__all__ = ["OwnBits", "Truncation", "TruncationPair"]

_OFFSET = np.uint64(1 << 62)


@dataclass(frozen=True)
class OwnBits(Demand):
    """Demand for random bits a of party 0 and b of party 1, and their products a b as words, shared by both."""

    length: int

    @property
    def free(self) -> tuple[Part, ...]:
        """a and b, packed."""
        words = (packed_words(self.length),)
        return Part("a", words, (0,), "bits"), Part("b", words, (1,), "bits")

    @property
    def bound(self) -> tuple[Part, ...]:
        """a b."""
        return (Part("product", (self.length,), (0, 1)),)

    def complete(self, free: Mapping[str, Array]) -> Mapping[str, Array]:
        """a b."""
        return {"product": unpack(free["a"] & free["b"], self.length)}


@dataclass(frozen=True)
class TruncationPair(Demand):
    """Demand for random words r with r >> f and the top bits of r, as words."""

    parties: int
    length: int
    bits: int

    @property
    def free(self) -> tuple[Part, ...]:
        """r."""
        return (Part("r", (self.length,), tuple(range(self.parties))),)

    @property
    def bound(self) -> tuple[Part, ...]:
        """r >> f and r >> 63."""
        everyone = tuple(range(self.parties))
        return Part("high", (self.length,), everyone), Part("top", (self.length,), everyone)

    def complete(self, free: Mapping[str, Array]) -> Mapping[str, Array]:
        """r >> f and r >> 63."""
        return {"high": free["r"] >> np.uint64(self.bits), "top": free["r"] >> np.uint64(63)}


@dataclass(frozen=True)
class Truncation(Primitive):
    """x / 2^bits for |x| < 2^62 and bits from 1 to 62: less than one unit off. One round.

    Two parties send one bit an element, more parties eight bytes to each other one.
    """

    bits: int
    takes: ClassVar[tuple[Kind, ...]] = ("ring",)
    gives: ClassVar[Kind] = "ring"

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 62:
            raise ValueError(f"a truncation is by 1 to 62 bits, not by {self.bits}")

    def cost(self, parties: int) -> Cost:
        """Two: a masked bit. More: a masked word."""
        words = packed_words(self.length) if parties == 2 else self.length
        return Cost(1, (words * (parties - 1),) * parties)

    def demands(self, parties: int) -> Iterator[tuple[Label, Demand]]:
        """Bits of their own for two, r and r >> f for more."""
        yield (), self._demand(parties)

    def _demand(self, parties: int) -> Demand:
        return OwnBits(self.length) if parties == 2 else TruncationPair(parties, self.length, self.bits)

    async def run(self, party: Party, *inputs: Array) -> Array:
        """From a share of x to one of x / 2^f."""
        (x,) = inputs
        return await (self._between_two(party, x) if party.count == 2 else self._among_many(party, x))

    async def _between_two(self, party: Party, x: Array) -> Array:
        """y = x + 2^62 - 1 = y_0 + y_1 - 2^64 w; as y < 2^63, w is u or v for the top bits u of y_0 and v of y_1.

        Opened: d = u ^ a and e = v ^ b. Then w = (u & ~e) + (v & ~d | d & e) - a b, or + a b where d and e differ.
        y / 2^f is y_0 / 2^f + y_1 / 2^f - 2^(64 - f) w, each rounded down: one too little, or none, which the 1 taken
        from y makes good.
        """
        material = party.draw(self._demand(2))
        first = party.index == 0
        y = ring.add(x, _OFFSET - np.uint64(1)) if first else x
        top = pack(y, 63)
        own = top ^ material["a" if first else "b"]
        (differ,) = await open_columns(party, (PLANES, own))
        other = differ ^ own
        bit = top & ~other if first else top & ~other | other & own
        back = (1 - (1 << 62 - self.bits)) % (1 << 64) if first else 0
        return self._without_wrap(y, material["product"], ~differ, bit, np.uint64(back))

    def _without_wrap(self, y: Array, product: Array, negate: Array, bit: Array, back: np.uint64) -> Array:
        """y / 2^f - 2^(64 - f) w, moved back; w: the product, negative where that is said, and the bit."""
        f = np.uint64(self.bits)
        if self.length < COMPILED_LENGTH:
            wrap = ring.add(negate_where(negate, product), unpack(bit, self.length))
            return ring.add(ring.subtract(y >> f, wrap << np.uint64(64) - f), back)
        from protocols import bit_kernels

        z = np.empty(self.length, np.uint64)
        bit_kernels.without_wrap(usable(y), f, usable(product), negate, bit, back, z)
        return z

    async def _among_many(self, party: Party, x: Array) -> Array:
        """With y = x + 2^62 < 2^63, open c = y + r: it wrapped (w) where the top bit of r is 1 and that of c is 0.

        y / 2^f is then c / 2^f - r / 2^f + 2^(64 - f) w, each rounded down: one too much, or nothing.
        """
        r = party.draw(self._demand(party.count))
        f, first = np.uint64(self.bits), party.index == 0
        masked = ring.add(x, r["r"])
        (c,) = await open_columns(party, (Column(), ring.add(masked, _OFFSET) if first else masked))
        may_wrap = (c >> np.uint64(63) ^ np.uint64(1)) << np.uint64(64) - f
        z = ring.subtract(ring.multiply(r["top"], may_wrap), r["high"])
        return ring.add(z, ring.subtract(c >> f, _OFFSET >> f)) if first else z

    def reference(self, *inputs: Array) -> Array:
        """Rounded down."""
        (x,) = inputs
        return (x.view(np.int64) >> np.int64(self.bits)).view(np.uint64)

    def warm(self) -> None:
        """The compiled loops over packed bits."""
        warm(self.length)
