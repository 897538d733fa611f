"""Material made ahead of any plan: tapes of one kind of correlation, of which a demand of any length takes a stretch.

Elementwise correlations are alike whatever their length: every part scales with it along the last axis, one word an
element or, of packed bits, one word for 64. So they can be made in any length before a plan asks, and cut. The kind of
a demand is the demand for one unit, 64 elements; stretches begin and end at whole units. Matrices, dots and broadcasts
have no such kind: they are made when a plan wants them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from protocols.boolean import Monomials
from protocols.conversion import DaBits
from protocols.correlations import Demand, Label, Material, Part, Triple
from protocols.masking import Mask
from protocols.primitives import packed_words
from protocols.products import Product
from protocols.ring import Array
from protocols.selection import BitProduct
from protocols.truncation import OwnBits, TruncationPair

__all__ = [
    "UNIT",
    "Shares",
    "StockSource",
    "cut",
    "described",
    "joined",
    "kind_of",
    "lengthened",
    "of_plain",
    "packed",
    "plain",
    "rounded",
    "unit_words",
    "unpacked",
]

UNIT = 64
"""Elements: one word of packed bits."""


def kind_of(demand: Demand) -> Demand | None:
    """The demand for one unit of the same correlation; None for what is not kept on tapes."""
    return lengthened(demand, UNIT) if _length(demand) else None


def rounded(demand: Demand) -> int:
    """The elements, whole units, that a demand takes of the tape of its kind. Raises ValueError where it has none."""
    length = _length(demand)
    if not length:
        raise ValueError(f"this {type(demand).__name__} is not kept on tapes")
    return UNIT * packed_words(length)


def lengthened(demand: Demand, elements: int) -> Demand:
    """The demand for so many elements of the same correlation. Raises ValueError for what is not elementwise."""
    match demand:
        case Triple(_, a_holders, b_holders) if _length(demand) is not None:
            return Triple(Product("multiply", (elements,), (elements,)), a_holders, b_holders)
        case Monomials():
            return replace(demand, words=packed_words(elements))
        case OwnBits() | TruncationPair() | DaBits() | BitProduct() | Mask():
            return replace(demand, length=elements)
    raise ValueError(f"this {type(demand).__name__} is not kept on tapes")


def plain(kind: Demand) -> list[object]:
    """A kind as text, numbers and lists of these, from which `of_plain` makes it again."""
    match kind:
        case Triple(_, a_holders, b_holders):
            return ["Triple", list(a_holders), list(b_holders)]
        case OwnBits():
            return ["OwnBits"]
        case TruncationPair(parties, _, bits):
            return ["TruncationPair", parties, bits]
        case DaBits(parties, _, planes):
            return ["DaBits", parties, planes]
        case BitProduct(parties, _):
            return ["BitProduct", parties]
        case Mask(parties, _, nibbles, borrows):
            return ["Mask", parties, nibbles, borrows]
        case Monomials(parties, _, bits, products):
            return ["Monomials", parties, bits, [list(term) for term in products]]
    raise ValueError(f"this {type(kind).__name__} is not kept on tapes")


def described(kind: Demand, parties: Sequence[str]) -> str:
    """A kind in words. `parties`: their names, in order."""
    match kind:
        case Triple(_, a_holders, b_holders):
            sides = (", ".join(parties[i] for i in holders) for holders in (a_holders, b_holders))
            return (
                "products, all parties" if len(a_holders) == len(b_holders) > 1 else f"products, {' with '.join(sides)}"
            )
        case OwnBits():
            return "roundings"
        case TruncationPair(_, _, bits):
            return f"roundings by {bits} bits"
        case DaBits(_, _, planes):
            return f"bits to numbers, {planes} at once" if planes > 1 else "bits to numbers"
        case BitProduct():
            return "choices"
        case Mask(_, _, nibbles, borrows):
            return f"masks of {4 * nibbles} bits, for " + ("bits of numbers" if borrows else "comparisons")
        case Monomials(_, _, bits, products):
            return f"products of bits: {len(products)} of {bits} bits"
    raise ValueError(f"this {type(kind).__name__} is not kept on tapes")


def of_plain(parts: Sequence[object]) -> Demand:
    """The kind that `plain` gave. Raises ValueError for anything else."""
    match parts:
        case ["Triple", [*a], [*b]]:
            return Triple(Product("multiply", (UNIT,), (UNIT,)), _numbers(a), _numbers(b))
        case ["OwnBits"]:
            return OwnBits(UNIT)
        case ["TruncationPair", int(parties), int(bits)]:
            return TruncationPair(parties, UNIT, bits)
        case ["DaBits", int(parties), int(planes)]:
            return DaBits(parties, UNIT, planes)
        case ["BitProduct", int(parties)]:
            return BitProduct(parties, UNIT)
        case ["Mask", int(parties), int(nibbles), bool(borrows)]:
            return Mask(parties, UNIT, nibbles, borrows)
        case ["Monomials", int(parties), int(bits), [*terms]]:
            return Monomials(parties, 1, bits, tuple(_numbers(term) for term in terms))
    raise ValueError("these are not the parts of a kind of correlation")


def unit_words(kind: Demand, party: int) -> int:
    """Words that a party holds of one unit."""
    return sum(math.prod(part.shape) for part in _held(kind, party))


def packed(demand: Demand, party: int, material: Material) -> Array:
    """A party's shares of a correlation as one run of words, part by part."""
    parts = [material[part.name].reshape(-1) for part in _held(demand, party)]
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def unpacked(demand: Demand, party: int, words: Array) -> Material:
    """The shares that `packed` put in a run. Raises ValueError for a run of another length."""
    material, start = Material(), 0
    for part in _held(demand, party):
        stop = start + math.prod(part.shape)
        material[part.name] = words[start:stop].reshape(part.shape)
        start = stop
    if start != words.size:
        raise ValueError(f"{words.size} words where {start} are due")
    return material


def cut(kind: Demand, material: Material, start: int, stop: int) -> Material:
    """Elements [start, stop) of shares of this kind; both ends are multiples of UNIT."""
    parts = _parts(kind)
    return Material(
        {name: share[..., _words(parts[name], start) : _words(parts[name], stop)] for name, share in material.items()}
    )


def joined(pieces: Sequence[Material]) -> Material:
    """Shares of stretches of one kind, one after another; at least one."""
    if len(pieces) == 1:
        return pieces[0]
    return Material({name: np.concatenate([piece[name] for piece in pieces], axis=-1) for name in pieces[0]})


@dataclass
class Shares:
    """Who gets what of the stretches at hand, in the plan's order; whatever they do not cover is to be made.

    `at_hand`: elements, by kind. The same at every party, given the same. `to_make`: what to make on the way, a demand
    that is covered in part with the length that is missing. `taken`: elements used, by kind.
    """

    demands: Iterable[tuple[Label, Demand]]
    at_hand: Mapping[Demand, int]
    to_make: list[tuple[Label, Demand]] = field(default_factory=list, init=False)
    taken: dict[Demand, int] = field(default_factory=dict, init=False)
    stretches: dict[Label, tuple[Demand, int, int]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for label, demand in self.demands:
            kind = kind_of(demand)
            start = self.taken.get(kind, 0) if kind else 0
            left = self.at_hand.get(kind, 0) - start if kind else 0
            if kind is None or left <= 0:
                self.to_make.append((label, demand))
                continue
            due = rounded(demand)
            stop = start + min(due, left)
            self.stretches[label] = (kind, start, stop)
            self.taken[kind] = stop
            if due > left:
                self.to_make.append((label, lengthened(kind, due - left)))


class StockSource:
    """A party's supply of what was taken from stock, and of what was made on the way. Both are taken out when drawn.

    `at_hand`: the shares of all stretches, by kind, as long as `shares` was told.
    """

    def __init__(self, shares: Shares, at_hand: Mapping[Demand, Material], made: dict[Label, Material]) -> None:
        self._stretches = shares.stretches
        self._at_hand = at_hand
        self._made = made

    def draw(self, label: Label, demand: Demand) -> Material:
        """This party's shares. Raises ValueError when a label is drawn a second time, or is not of the plan."""
        made = self._made.pop(label, None)
        if (stretch := self._stretches.pop(label, None)) is None:
            if made is None:
                raise ValueError(
                    f"the material {label} is not there, or was drawn before; one-time material is used once"
                )
            return made
        kind, start, stop = stretch
        piece = cut(kind, self._at_hand[kind], start, stop)
        return _fitted(demand, joined([piece] if made is None else [piece, made]))


def _fitted(demand: Demand, material: Material) -> Material:
    """Of shares that are at least as long: those that the demand names, in its shapes."""
    fitted = Material()
    for name, part in _parts(demand).items():
        if name in material:
            size = _length(demand) or 0
            words = size if part.kind == "ring" else packed_words(size)
            fitted[name] = np.ascontiguousarray(material[name][..., :words]).reshape(part.shape)
    return fitted


def _length(demand: Demand) -> int | None:
    """Elements of an elementwise demand."""
    match demand:
        case Triple(product) if product.kind == "multiply" and product.x_shape == product.y_shape:
            return math.prod(product.x_shape)
        case Monomials():
            return UNIT * demand.words
        case OwnBits() | TruncationPair() | DaBits() | BitProduct() | Mask():
            return demand.length
    return None


def _parts(demand: Demand) -> dict[str, Part]:
    return {part.name: part for part in (*demand.free, *demand.bound)}


def _held(demand: Demand, party: int) -> list[Part]:
    return [part for part in _parts(demand).values() if party in part.holders]


def _words(part: Part, elements: int) -> int:
    return elements if part.kind == "ring" else elements // UNIT


def _numbers(values: object) -> tuple[int, ...]:
    if type(values) is list and all(type(value) is int for value in values):
        return tuple(values)
    raise ValueError("these are not whole numbers")
