"""Masked words whose mask's bits are shared too: what comparisons and the bits of a word start from.

A word x is opened as c = x + r; the bits of x are then a public function of c and of the shared bits of r, as with
edaBits (D. Escudero, S. Ghosh, M. Keller, R. Rachuri, P. Scholl, CRYPTO 2020). Here r comes with the products of its
bits within every group of four (nibble), so that any function of c and one nibble of r is a local formula. Adversary:
semi-honest, up to n - 1 of n >= 2 parties, given a source that keeps faith.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from protocols import bits, ring
from protocols.boolean import Factors, Term, monomials, multiplied
from protocols.columns import Column, open_columns
from protocols.correlations import Demand, Material, Part
from protocols.formula import Formula, Program
from protocols.party import Party
from protocols.primitives import packed_words
from protocols.ring import Array

__all__ = [
    "FAN_IN",
    "NIBBLE",
    "Mask",
    "Nibble",
    "equal_and_less",
    "less_terms",
    "masked_planes",
    "nibble_products",
]

NIBBLE = 4
"""Bits of a group."""

FAN_IN = 4
"""Groups joined at a time."""


@dataclass(frozen=True)
class Mask(Demand):
    """Demand for random numbers r of some nibbles, as words and by bits, and all products of bits within a nibble.

    As words they count modulo 16^nibbles: a source may add any multiple. Bit j of nibble k has its plane at [j, k].
    With `borrows`, one random bit more a nibble, at [4, k], and its products with those of the lowest three bits.
    """

    parties: int
    length: int
    nibbles: int
    borrows: bool = False

    @property
    def free(self) -> tuple[Part, ...]:
        """The bits."""
        shape = (NIBBLE + self.borrows, self.nibbles, packed_words(self.length))
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
        return nibble_products(borrows=self.borrows)

    def complete(self, free: Mapping[str, Array]) -> Mapping[str, Array]:
        """Products, and bits put together."""
        planes = free["bits"].reshape(-1, packed_words(self.length))
        r = bits.words(planes, rows(self.nibbles), self.length)
        return {"products": multiplied(free["bits"], self.products), "r": r}

    def warm(self) -> None:
        """Load the compiled loops that opening under this mask, and what follows, will want."""
        bits.warm(self.length)
        if self.column.width < 64:
            from protocols import sort_kernels  # noqa: F401


@cache
def nibble_products(size: int = NIBBLE, borrows: bool = False) -> tuple[Term, ...]:
    """The products of the lowest bits of a nibble, in the order in which `Mask` has them."""
    return monomials([tuple(range(size)), (0, 1, 2, NIBBLE)] if borrows else [tuple(range(size))])


class Nibble:
    """A formula of ~c, the bits and the products of r, and a plane d where there are borrows, for one nibble.

    Its lowest `size` bits only. Bits of c and r are equal where v_j = ~c_j ^ r_j is 1; v_4 = d ^ r_4 is a borrow.
    """

    def __init__(self, size: int = NIBBLE, *, borrows: bool = False) -> None:
        products = nibble_products(size, borrows)
        self.formula = Formula(size, size + borrows, len(products), *([1] if borrows else []))
        self._unset, bits, multiples = (self.formula.rows(number) for number in range(3))
        shared: dict[Term, int] = {(j,): row for j, row in enumerate(bits)}
        shared |= zip(products, multiples, strict=True)
        public = dict(enumerate(self._unset)) | ({NIBBLE: self.formula.rows(3)[0]} if borrows else {})
        self._values = Factors(self.formula, public, shared)

    def equal(self, *places: int) -> int:
        """The row of whether c and r are equal at all of these places."""
        return self._values.product(places)

    def less(self, count: int) -> int:
        """The row of whether c is less than r in the lowest bits: r_j is set, c_j is not, and all above are equal."""
        less = self.formula.ZEROS
        for j in range(count):
            less = self.formula.fold(less, self._values.product(tuple(range(j + 1, count)), (j,)), self._unset[j])
        return less


@cache
def equal_and_less(size: int = NIBBLE) -> Program:
    """Of the lowest bits of a nibble: c equals r; c is less than r."""
    nibble = Nibble(size)
    return nibble.formula.gives([nibble.equal(*range(size)), nibble.less(size)])


def less_terms(parts: Sequence[tuple[int, int]]) -> tuple[Term, ...]:
    """Whether c is less than r in several parts, the lowest first: it is in one, and equal in those above.

    Parts: the numbers of the bits that say less and equal.
    """
    return tuple((less, *(equal for _, equal in parts[i + 1 :])) for i, (less, _) in enumerate(parts))


def rows(nibbles: int) -> list[int]:
    """For each bit, its row."""
    return [j * nibbles + k for k in range(nibbles) for j in range(NIBBLE)]


async def masked_planes(party: Party, x: Array, mask: Mask) -> tuple[Array, Material]:
    """Open c = x + r modulo 16^nibbles: one round. Gives the bits of c, bit j of nibble k at [j, k], and the mask."""
    material = party.draw(mask)
    (c,) = await open_columns(party, (mask.column, ring.add(x, material["r"])))
    return bits.planes(c, rows(mask.nibbles)).reshape(NIBBLE, mask.nibbles, -1), material
