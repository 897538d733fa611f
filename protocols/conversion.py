"""Bits to words and words to bits.

To words: daBits (D. Rotaru, T. Wood, "MArBled Circuits", INDOCRYPT 2019): open b ^ beta for a random bit beta that is
shared both ways. To bits: edaBits (D. Escudero, S. Ghosh, M. Keller, R. Rachuri, P. Scholl, CRYPTO 2020): open
c = x + r and subtract r from it, nibble by nibble (`protocols.masking`); the borrows are found by lookahead (A.
Weinberger, J. Smith, "A One-Microsecond Adder Using One-Megacycle Circuitry", 1956), four at a time. Adversary:
semi-honest, up to n - 1 of n >= 2 parties, given a source that keeps faith.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from protocols.bits import negate_where, pack, planes, unpack, warm
from protocols.boolean import PLANES, Polynomials, Term
from protocols.columns import open_columns
from protocols.correlations import Demand, Kind, Label, Part
from protocols.formula import Formula, Program
from protocols.interface import Cost
from protocols.masking import FAN_IN, NIBBLE, Mask, Nibble, equal_and_less, less_terms, masked_planes, nibble_products
from protocols.party import Party
from protocols.primitives import Primitive, packed_words
from protocols.ring import Array

__all__ = ["DaBits", "ToBits", "ToRing", "lowest_bit"]


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


@dataclass(frozen=True)
class ToBits(Primitive):
    """The lowest bits of words, as planes: shape (planes, words). At most four rounds; fewer planes cost less."""

    planes: int = 64
    takes: ClassVar[tuple[Kind, ...]] = ("ring",)
    gives: ClassVar[Kind] = "bits"

    def __post_init__(self) -> None:
        if not 1 <= self.planes <= 64:
            raise ValueError(f"ToBits: {self.planes} planes; words have from 1 to 64 bits")

    def _mask(self, parties: int) -> Mask:
        nibbles = -(-self.planes // NIBBLE)
        return Mask(parties, self.length, nibbles, borrows=nibbles > 1)

    def cost(self, parties: int) -> Cost:
        """c, what the borrows are made of, the borrows."""
        mask = self._mask(parties)
        levels = _borrows(mask.nibbles)
        opened = sum(len(level.opened) for level in levels) + mask.nibbles - 1
        words = mask.column.words(self.length) + opened * packed_words(self.length)
        return Cost(1 + sum(level.rounds for level in levels) + mask.borrows, (words * (parties - 1),) * parties)

    def demands(self, parties: int) -> Iterator[tuple[Label, Demand]]:
        """The mask of x and of the borrows, and the masks of what the borrows are made of."""
        mask = self._mask(parties)
        yield ("mask",), mask
        for number, level in enumerate(_borrows(mask.nibbles)):
            if level.rounds:
                yield ("level", number), level.demand(parties, packed_words(self.length))

    async def run(self, party: Party, *inputs: Array) -> Array:
        """c - r: within each nibble at once, then with the borrow from below."""
        mask = self._mask(party.count)
        c, r = await masked_planes(party.at("mask"), inputs[0], mask)
        nibbles, words = c.shape[1:]
        unset, bits, products = ~c, r["bits"], r["products"]
        if nibbles == 1:
            return _difference(False)(party.index, unset, bits, products)[: self.planes]
        single = len(nibble_products())
        rows = equal_and_less()(party.index, unset, bits[:NIBBLE], products[:single]).reshape(-1, words)[1:]
        for number, level in enumerate(_borrows(nibbles)):
            rows = await level.run(party.at("level", number), rows)
        borrow = np.zeros((1, nibbles, words), np.uint64)
        (borrow[0, 1:],) = await open_columns(party, (PLANES, rows ^ bits[NIBBLE, 1:]))
        planes = _difference(True)(party.index, unset, bits, products, borrow).reshape(c.shape)
        planes[:, 0] = _difference(False)(party.index, unset[:, 0], bits[:NIBBLE, 0], products[:single, 0])
        return planes.swapaxes(0, 1).reshape(-1, words)[: self.planes]

    def reference(self, *inputs: Array) -> Array:
        """The lowest bits."""
        return planes(inputs[0], range(64))[: self.planes]

    def warm(self) -> None:
        """The compiled loops over packed bits."""
        self._mask(2).warm()


@cache
def _borrows(nibbles: int) -> tuple[Polynomials, ...]:
    """What makes of shares of which nibbles are equal, without the lowest, and which are less, those of the borrows.

    First within groups of four: of the lowest one, two, three, four nibbles of a group, whether they are less, and
    whether they are equal. Then across groups. A single group has its borrows at once.
    """
    groups = [range(start, min(start + FAN_IN, nibbles)) for start in range(0, nibbles, FAN_IN)]
    parts = [[(nibbles - 1 + k, k - 1) for k in group] for group in groups]
    if len(groups) == 1:
        return (Polynomials(2 * nibbles - 1, tuple(less_terms(parts[0][:k]) for k in range(1, nibbles))),)
    outputs: list[tuple[Term, ...]] = []
    runs: dict[tuple[int, int], tuple[int, int]] = {}  # group, how many of its nibbles: rows of less and equal
    for g, part in enumerate(parts):
        for count in range(1, len(part) + (g < len(groups) - 1)):
            runs[g, count] = (len(outputs), len(outputs) + 1 if g else -1)
            outputs.append(less_terms(part[:count]))
            if g:
                outputs.append((tuple(equal for _, equal in part[:count]),))
    borrows = []
    for k in range(1, nibbles):
        g, count = divmod(k, FAN_IN)
        below = [runs[h, FAN_IN] for h in range(g)]
        borrows.append(less_terms([*below, runs[g, count]] if count else below))
    return Polynomials(2 * nibbles - 1, tuple(outputs)), Polynomials(len(outputs), tuple(borrows))


@cache
def _difference(borrows: bool) -> Program:
    """Of a nibble: the bits of c - r, less a borrow of 1 or none.

    Bit j is c_j ^ r_j ^ the borrow from below: c is less than r there, or equal there and the nibble borrows.
    """
    nibble = Nibble(borrows=borrows)
    differences = []
    for j in range(NIBBLE):
        from_below = [nibble.less(j), *([nibble.equal(*range(j), NIBBLE)] if borrows else [])]
        differences.append(nibble.formula.sum([nibble.equal(j), Formula.ONE, *from_below]))
    return nibble.formula.gives(differences)
