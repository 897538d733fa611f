"""Comparisons with zero: three rounds for words of 64 bits.

Open c = x + r and compare it, nibble by nibble, with the shared bits of r (`protocols.masking`): x is 0 iff c and r are
equal, and the sign of x is that of c - r, with a borrow where c is less than r below the top bit. Nibbles are joined
four at a time: J. Garay, B. Schoenmakers, J. Villegas, "Practical and Secure Solutions for Integer Comparison" (PKC
2007), with products of up to four bits in one round (`protocols.boolean`). Adversary: semi-honest, up to n - 1 of
n >= 2 parties, given a source that keeps faith.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from protocols.bits import pack
from protocols.boolean import Polynomials
from protocols.correlations import Demand, Kind, Label
from protocols.formula import Program
from protocols.interface import Cost
from protocols.masking import FAN_IN, NIBBLE, Mask, Nibble, equal_and_less, less_terms, masked_planes
from protocols.party import Party
from protocols.primitives import Primitive, packed_words
from protocols.ring import Array

__all__ = ["IsZero", "Negative"]


@dataclass(frozen=True)
class _Comparison(Primitive):
    """What both have in common. `bits`: of signed numbers among which x is; fewer cost less."""

    bits: int = 64

    takes: ClassVar[tuple[Kind, ...]] = ("ring",)
    gives: ClassVar[Kind] = "bits"

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise ValueError(f"{type(self).__name__}: numbers of {self.bits} bits; words have from 1 to 64")

    @property
    @abstractmethod
    def _levels(self) -> tuple[Polynomials, ...]:
        """What joins the results for nibbles to one, level by level."""

    def _mask(self, parties: int) -> Mask:
        return Mask(parties, self.length, -(-self.bits // NIBBLE))

    def cost(self, parties: int) -> Cost:
        """c, then the bits that are multiplied on each level."""
        opened = sum(len(level.opened) for level in self._levels)
        words = self._mask(parties).column.words(self.length) + opened * packed_words(self.length)
        return Cost(1 + len(self._levels), (words * (parties - 1),) * parties)

    def demands(self, parties: int) -> Iterator[tuple[Label, Demand]]:
        """The mask of x, and those of the bits that are multiplied on each level."""
        yield ("mask",), self._mask(parties)
        for number, level in enumerate(self._levels):
            yield ("level", number), level.demand(parties, packed_words(self.length))

    async def _join(self, party: Party, rows: Array) -> Array:
        """From shares of the results for single nibbles, one row each, to that for all."""
        for number, level in enumerate(self._levels):
            rows = await level.run(party.at("level", number), rows)
        result: Array = rows[0]
        return result

    def warm(self) -> None:
        """The compiled loops over packed bits."""
        self._mask(2).warm()


@dataclass(frozen=True)
class Negative(_Comparison):
    """Whether x < 0."""

    @property
    def _levels(self) -> tuple[Polynomials, ...]:
        return _levels(_less_joined, self._mask(2).nibbles)

    async def run(self, party: Party, *inputs: Array) -> Array:
        """The top bit of c - r."""
        c, r = await masked_planes(party.at("mask"), inputs[0], self._mask(party.count))
        nibbles, words = c.shape[1:]
        material = ~c, r["bits"], r["products"]
        rows = equal_and_less()(party.index, *material).reshape(2, nibbles, words)
        # the top nibble again, without its top bit
        below = equal_and_less(NIBBLE - 1)
        top = (part[:count, -1] for part, count in zip(material, below.inputs, strict=True))
        rows[:, -1] = below(party.index, *top)
        less = await self._join(party, rows.reshape(-1, words)[1:])
        sign: Array = np.bitwise_xor(r["bits"][-1, -1], less)
        return np.bitwise_xor(sign, c[-1, -1]) if party.index == 0 else sign

    def reference(self, *inputs: Array) -> Array:
        """Whether x < 0."""
        return pack(inputs[0], 63)


@dataclass(frozen=True)
class IsZero(_Comparison):
    """Whether x is 0."""

    @property
    def _levels(self) -> tuple[Polynomials, ...]:
        return _levels(_equal_joined, self._mask(2).nibbles)

    async def run(self, party: Party, *inputs: Array) -> Array:
        """Whether c = r."""
        c, r = await masked_planes(party.at("mask"), inputs[0], self._mask(party.count))
        rows = _equal()(party.index, ~c, r["bits"], r["products"]).reshape(c.shape[1:])
        return await self._join(party, rows)

    def reference(self, *inputs: Array) -> Array:
        """Whether x is 0."""
        return pack((inputs[0] == 0).astype(np.uint64))


@cache
def _levels(joined: Callable[[list[range]], Polynomials], count: int) -> tuple[Polynomials, ...]:
    """What joins so many results, four at a time."""
    levels = []
    while count > 1:
        groups = [range(start, min(start + FAN_IN, count)) for start in range(0, count, FAN_IN)]
        levels.append(joined(groups))
        count = len(groups)
    return tuple(levels)


def _equal_joined(groups: list[range]) -> Polynomials:
    """A group is equal where all in it are. Rows: these results."""
    return Polynomials(groups[-1].stop, tuple((tuple(group),) for group in groups))


def _less_joined(groups: list[range]) -> Polynomials:
    """A group is less where one in it is and those above that are equal.

    Rows: which are equal, without the lowest, which matters to nobody; then which are less.
    """
    count = groups[-1].stop
    equal = tuple((tuple(j - 1 for j in group),) for group in groups[1:])
    less = tuple(less_terms([(count - 1 + j, j - 1) for j in group]) for group in groups)
    return Polynomials(2 * count - 1, equal + less)


@cache
def _equal() -> Program:
    """Of a nibble: c equals r."""
    nibble = Nibble()
    return nibble.formula.gives([nibble.equal(*range(NIBBLE))])
