"""Masked words whose mask's bits are shared too: what comparisons and the bits of a word start from.

A word x is opened as c = x + r; the bits of x are then a public function of c and of the shared bits of r, as with
edaBits (D. Escudero, S. Ghosh, M. Keller, R. Rachuri, P. Scholl, CRYPTO 2020). Here r comes with the products of its
bits within every group of four (nibble), so that any function of c and one nibble of r is a local formula. Adversary:
semi-honest, up to n - 1 of n >= 2 parties, given a source that keeps faith.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product as pairs

from protocols import bits, ring
from protocols.boolean import Factors, Term, monomials, multiplied
from protocols.columns import Column, open_columns
from protocols.correlations import Demand, Material, Part
from protocols.formula import Formula
from protocols.party import Party
from protocols.primitives import packed_words
from protocols.ring import Array

__all__ = ["NIBBLE", "Mask", "masked_planes", "nibble_formula"]

NIBBLE = 4
"""Bits of a group."""


@dataclass(frozen=True)
class Mask(Demand):
    """Demand for random numbers r of some nibbles, as words and by bits, and all products of bits within a nibble.

    Bit j of nibble k has its plane at [j, k]. With `carries`, one random bit more to every nibble, at [4, k], and its
    products with those of the nibble's lowest three bits.
    """

    parties: int
    length: int
    nibbles: int
    carries: bool = False

    @property
    def free(self) -> tuple[Part, ...]:
        """The bits."""
        shape = (NIBBLE + self.carries, self.nibbles, packed_words(self.length))
        return (Part("bits", shape, tuple(range(self.parties)), "bits"),)

    @property
    def bound(self) -> tuple[Part, ...]:
        """Their products, and r."""
        everyone = tuple(range(self.parties))
        shape = (len(self.products), self.nibbles, packed_words(self.length))
        return Part("products", shape, everyone, "bits"), Part("r", (self.length,), everyone)

    @property
    def column(self) -> Column:
        """How x travels under r."""
        return Column(NIBBLE * self.nibbles)

    @property
    def products(self) -> tuple[Term, ...]:
        """The products, by the bits' numbers within the nibble."""
        return nibble_products(NIBBLE, self.carries)

    def complete(self, free: Mapping[str, Array]) -> Mapping[str, Array]:
        """Products, and bits put together."""
        planes = free["bits"].reshape(-1, packed_words(self.length))
        r = bits.words(planes, rows(self.nibbles), self.length)
        return {"products": multiplied(free["bits"], self.products), "r": r}


@cache
def nibble_products(size: int, carries: bool = False) -> tuple[Term, ...]:
    """The products of the lowest bits of a nibble, in the order in which `Mask` has them."""
    return monomials([tuple(range(size)), (0, 1, 2, NIBBLE)] if carries else [tuple(range(size))])


def nibble_formula(size: int, carries: bool = False) -> tuple[Formula, Factors]:
    """A new formula of inputs ~c, bits and products of r, for the lowest bits of a nibble, and its v_j = ~c_j ^ r_j."""
    products = nibble_products(size, carries)
    formula = Formula(size + carries, size + carries, len(products))
    public, bits, multiples = (formula.rows(number) for number in range(3))
    shared = {(j,): row for j, row in enumerate(bits)} | dict(zip(products, multiples, strict=True))
    return formula, Factors(formula, dict(enumerate(public)), shared)


def rows(nibbles: int) -> list[int]:
    """For each bit, its row."""
    return [j * nibbles + k for k, j in pairs(range(nibbles), range(NIBBLE))]


async def masked_planes(party: Party, x: Array, mask: Mask) -> tuple[Array, Material]:
    """Open c = x + r modulo 16^nibbles: one round. Gives the bits of c, bit j of nibble k at [j, k], and the mask."""
    material = party.draw(mask)
    (c,) = await open_columns(party, (mask.column, ring.add(x, material["r"])))
    return bits.planes(c, rows(mask.nibbles)).reshape(NIBBLE, mask.nibbles, -1), material
