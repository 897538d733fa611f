"""Planes of bits: picked, multiplied, made numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, partial

import numpy as np

from mpc.circuits.builder import Bits, Ring
from mpc.types import RING_BITS
from protocols import ring
from protocols.bit_polynomials import BitPolynomials
from protocols.boolean import Polynomials
from protocols.primitives import packed_words
from protocols.ring import Array

__all__ = ["beside", "picked", "polynomials", "prefix_products", "weighted"]

_FAN_IN = 4

_Terms = tuple[tuple[tuple[int, ...], ...], ...]


def weighted(planes: Ring, *rows: Sequence[int]) -> list[Ring]:
    """Sums of planes, along the first axis, each times a number, and the row's last number. No message."""
    numbers = np.array([[number % (1 << RING_BITS) for number in row] for row in rows], np.uint64)
    sums = planes.local(partial(_weighted, numbers), (len(rows), *planes.shape[1:]))
    return [sums[row] for row in range(len(rows))]


def prefix_products(x: Bits) -> Bits:
    """Plane i is the product of planes 0 to i: one round up to four planes, two up to 16, three up to 64."""
    if x.planes == 1:
        return x
    runs = _within_groups(x)
    groups = -(-x.planes // _FAN_IN)
    if groups == 1:
        return runs
    joined, ends = runs, [_FAN_IN * (g + 1) - 1 for g in range(groups - 1)]
    before = [tuple(ends[:g]) for g in range(groups)]
    if groups > _FAN_IN:
        across = _within_groups(picked(runs, ends))
        joined = beside(runs, across)
        before = [tuple(x.planes + k for k in _runs_up_to(g)) for g in range(groups)]
    terms = tuple(((*before[i // _FAN_IN], i),) for i in range(x.planes))
    return polynomials(joined, terms)


def _within_groups(x: Bits) -> Bits:
    """Plane i is the product of the planes of its group up to i."""
    return polynomials(x, tuple((tuple(range(i - i % _FAN_IN, i + 1)),) for i in range(x.planes)))


def _runs_up_to(count: int) -> list[int]:
    """Which runs make up the first so many planes, where those up to each are in groups."""
    whole, rest = divmod(count, _FAN_IN)
    return [_FAN_IN * (g + 1) - 1 for g in range(whole)] + ([count - 1] if rest else [])


def polynomials(x: Bits, terms: _Terms) -> Bits:
    """Sums of products of planes: one round, or none for sums alone."""
    sums = _sums(x.planes, terms)
    if not sums.rounds:
        return x.local(partial(_added, terms), len(terms))
    primitive = BitPolynomials(x.size, sums)
    words = packed_words(x.size)
    number = x.builder.primitive(primitive, (x.number,), (len(terms), words) if len(terms) > 1 else (words,))
    return Bits(x.builder, number, x.shape, len(terms))


@cache
def _sums(bits: int, terms: _Terms) -> Polynomials:
    """The same object for the same polynomials: its formula is made once."""
    return Polynomials(bits, terms)


def picked(x: Bits, planes: Sequence[int]) -> Bits:
    """Some planes, in this order."""
    if x.planes == 1:
        return x
    rows = list(planes)
    return x.local(lambda index, x: x[rows] if len(rows) > 1 else x[rows[0]], len(rows))


def beside(x: Bits, y: Bits) -> Bits:
    """The planes of both. No message."""
    return x.local(lambda index, x, y: np.vstack([x, y]), x.planes + y.planes, y)


def _added(terms: _Terms, index: int, planes: Array) -> Array:
    rows = np.atleast_2d(planes)
    added = np.stack([np.bitwise_xor.reduce(rows[[bit for (bit,) in term]]) for term in terms])
    return added if len(terms) > 1 else added[0]


def _weighted(numbers: Array, index: int, planes: Array) -> Array:
    shape = planes.shape[1:]
    sums = ring.matmul(numbers[:, :-1], planes.reshape(len(planes), math.prod(shape)))
    if index == 0:
        ring.add(sums, numbers[:, -1:], out=sums)
    return sums.reshape(len(numbers), *shape)
