"""Bits shared by XOR, 64 to a word: complements, products, polynomials.

AND: D. Beaver's product (CRYPTO '91, section 3) over GF(2). Products of several bits, and sums of them, take one round
as well: open d_i = v_i ^ m_i for random m_i whose products are shared too; a product of v_i = d_i ^ m_i is then a
public combination of products of m_i, as in S. Ohata, K. Nuida, "Communication-Efficient (Client-Aided) Secure
Two-Party Protocols and Its Application" (FC 2020), and A. Patra, T. Schneider, A. Suresh, H. Yalame, "ABY2.0" (USENIX
Security 2021). Adversary: semi-honest, up to n - 1 of n >= 2 parties, given a source that keeps faith.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import ClassVar

import numpy as np

from protocols.columns import Column, open_columns
from protocols.correlations import Demand, Kind, Label, Part
from protocols.formula import Formula, Program
from protocols.interface import Cost
from protocols.party import Party
from protocols.primitives import Primitive, packed_words
from protocols.ring import Array

__all__ = ["PLANES", "And", "Factors", "Monomials", "Polynomials", "invert", "monomials", "multiplied", "xor"]

PLANES = Column(kind="bits")
"""How packed bits travel: whole words, added by XOR."""

Term = tuple[int, ...]
"""A product of bits, by number; () is true. Of shared masks: in ascending order."""


def xor(x: Array, y: Array) -> Array:
    """x ^ y. No message."""
    return np.bitwise_xor(x, y)


def invert(index: int, x: Array) -> Array:
    """Not x, at the party with this index: party 0 flips its share. No message."""
    return np.bitwise_not(x) if index == 0 else x


def monomials(terms: Iterable[Term]) -> tuple[Term, ...]:
    """All products of two bits or more that divide one of the terms, in the order of the numbers they are in binary."""
    found = {part for term in terms for size in range(2, len(term) + 1) for part in combinations(sorted(term), size)}
    return tuple(sorted(found, key=lambda term: sum(1 << i for i in term)))


@dataclass(frozen=True)
class Monomials(Demand):
    """Demand for random bits and for products of them: rows of packed bits, shared among all parties.

    `products` holds, with a product, the one without its last factor.
    """

    parties: int
    words: int
    bits: int
    products: tuple[Term, ...]

    @property
    def free(self) -> tuple[Part, ...]:
        """The bits."""
        return (Part("bits", (self.bits, self.words), tuple(range(self.parties)), "bits"),)

    @property
    def bound(self) -> tuple[Part, ...]:
        """Their products."""
        return (Part("products", (len(self.products), self.words), tuple(range(self.parties)), "bits"),)

    def complete(self, free: Mapping[str, Array]) -> Mapping[str, Array]:
        """Every product from a shorter one."""
        return {"products": multiplied(free["bits"], self.products)}


def multiplied(rows: Array, products: Sequence[Term]) -> Array:
    """The products of rows, each from the one without its last factor."""
    out = np.empty((len(products), *rows.shape[1:]), np.uint64)
    done: dict[Term, Array] = {(i,): row for i, row in enumerate(rows)}
    for term, row in zip(products, out, strict=True):
        np.bitwise_and(done[term[:-1]], done[term[-1:]], out=row)
        done[term] = row
    return out


class Factors:
    """Within a formula: shares of products of v_i = d_i ^ m_i, from public d_i and shares of the products of m_i."""

    def __init__(self, formula: Formula, public: Mapping[int, int], monomials: Mapping[Term, int]) -> None:
        self._formula = formula
        self._public = public
        self._known: dict[tuple[Term, Term], int] = {((), term): row for term, row in monomials.items()}
        self._known[(), ()] = formula.ONE

    def product(self, values: Term, masks: Term = ()) -> int:
        """The row of the product of v_i for i in `values` and m_i for i in `masks`."""
        if (values, masks) not in self._known:
            first, *others = values
            rest = tuple(others)
            # v_i z = m_i z ^ d_i z
            with_mask = self.product(rest, tuple(sorted((*masks, first))))
            row = self._formula.fold(with_mask, self.product(rest, masks), self._public[first])
            self._known[values, masks] = row
        return self._known[values, masks]


@dataclass(frozen=True)
class Polynomials:
    """Sums of products of `bits` shared bits, all in one round. `terms`: those of each polynomial, none empty.

    Terms are multiplied out factor by factor from the first on; those that end alike share work.

    A bit that stands only alone is not opened: sums are local.
    """

    bits: int
    terms: tuple[tuple[Term, ...], ...]

    @cached_property
    def opened(self) -> list[int]:
        """The bits that are multiplied, and so opened under masks."""
        return sorted({i for sums in self.terms for term in sums if len(term) > 1 for i in term})

    @cached_property
    def products(self) -> tuple[Term, ...]:
        """The products of masks that this takes, by the bits' places in `opened`."""
        place = {bit: number for number, bit in enumerate(self.opened)}
        return monomials(tuple(place[i] for i in term) for sums in self.terms for term in sums if len(term) > 1)

    @cached_property
    def program(self) -> Program:
        """Of the bits, the opened ones, their masks and the masks' products."""
        formula = Formula(self.bits, len(self.opened), len(self.opened), len(self.products))
        shares, public, masks, multiples = (formula.rows(number) for number in range(4))
        known: dict[Term, int] = {(bit,): row for bit, row in zip(self.opened, masks, strict=True)}
        for term, row in zip(self.products, multiples, strict=True):
            known[tuple(self.opened[i] for i in term)] = row
        factors = Factors(formula, dict(zip(self.opened, public, strict=True)), known)
        return formula.gives(
            [
                formula.sum(factors.product(term) if len(term) > 1 else shares[term[0]] for term in sums)
                for sums in self.terms
            ]
        )

    @property
    def rounds(self) -> int:
        """One, or none where nothing is multiplied."""
        return 1 if self.opened else 0

    def demand(self, parties: int, words: int) -> Monomials:
        """The masks and their products."""
        return Monomials(parties, words, len(self.opened), self.products)

    async def run(self, party: Party, rows: Array) -> Array:
        """Shares of the polynomials, one row each, from those of the bits, shape (bits, words)."""
        if not self.rounds:
            none = np.empty((0, rows.shape[1]), np.uint64)
            return self.program(party.index, rows, none, none, none)
        masks = party.draw(self.demand(party.count, rows.shape[1]))
        masked = rows[self.opened]
        (public,) = await open_columns(party, (PLANES, np.bitwise_xor(masked, masks["bits"], out=masked)))
        return self.program(party.index, rows, public, masks["bits"], masks["products"])


@dataclass(frozen=True)
class And(Primitive):
    """x & y, bit by bit: one round, two bits an element and plane."""

    planes: int = 1
    takes: ClassVar[tuple[Kind, ...]] = ("bits", "bits")
    gives: ClassVar[Kind] = "bits"

    _product: ClassVar[Polynomials] = Polynomials(2, (((0, 1),),))

    @property
    def _words(self) -> int:
        return self.planes * packed_words(self.length)

    def cost(self, parties: int) -> Cost:
        """Both operands, masked."""
        return Cost(1, (2 * self._words * (parties - 1),) * parties)

    def demands(self, parties: int) -> Iterator[tuple[Label, Demand]]:
        """A triple for every bit."""
        yield (), self._product.demand(parties, self._words)

    async def run(self, party: Party, *inputs: Array) -> Array:
        """Of the operands' shape."""
        x, y = inputs
        return (await self._product.run(party, np.stack([x.reshape(-1), y.reshape(-1)]))).reshape(x.shape)

    def reference(self, *inputs: Array) -> Array:
        """x & y."""
        x, y = inputs
        return x & y
