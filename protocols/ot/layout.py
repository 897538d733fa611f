"""How a bilinear product becomes products of one word with a vector: which operand is the word, and which pieces.

An entry is one word of one operand, taken by its bits; it multiplies a row of words of the other. Every entry costs 64
OTs, so the operand with fewer entries is the one taken by its bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from protocols import ring
from protocols.ot.pipeline import PIPELINE_WORDS
from protocols.products import Product, Shape
from protocols.ring import Array

__all__ = ["Layout", "Piece"]

_MOST_ENTRIES = 63 << 6
"""Of one piece, measured: calls of the cipher are long, and two pieces are half of what may be under way."""

_MOST_PRODUCTS = PIPELINE_WORDS // 65
"""Of one piece: at 65 half words each, they are half of what may be under way."""


@dataclass(frozen=True)
class Piece:
    """Entries from `start` to `stop`, each times the words of a row from `left` to `right`."""

    start: int
    stop: int
    left: int
    right: int

    @property
    def entries(self) -> int:
        """How many words are taken by their bits."""
        return self.stop - self.start

    @property
    def columns(self) -> int:
        """How many words each multiplies."""
        return self.right - self.left


@dataclass(frozen=True)
class Layout:
    """A product as entries times rows. Entry e multiplies row e % rows; `depth` consecutive entries add up."""

    product: Product

    @cached_property
    def bits_of_x(self) -> bool:
        """Whether it is x that is taken by its bits, and not y."""
        return self._entries_are_left != self.product.flipped

    @cached_property
    def entries(self) -> int:
        """Words taken by their bits."""
        return math.prod(self._shapes[0])

    @cached_property
    def columns(self) -> int:
        """Words that each of them multiplies."""
        if self.product.kind == "matmul":
            return math.prod(self._right[1:] if self._entries_are_left else self._left[:-1])
        return math.prod(self.product.out_shape[axis] for axis in self._column_axes)

    @cached_property
    def depth(self) -> int:
        """Entries whose products add up."""
        return self._left[-1] if self.product.kind == "matmul" else 1

    def entries_of(self, operand: Array) -> Array:
        """The operand that is taken by its bits, as a run of entries."""
        if self.product.kind == "matmul" and not self._entries_are_left:
            operand = operand.T
        return np.ascontiguousarray(operand).reshape(-1)

    def rows_of(self, operand: Array) -> Array:
        """The other operand as rows, shape (rows, columns)."""
        if self.product.kind == "matmul":
            return (operand if self._entries_are_left else operand.T).reshape(self.depth, self.columns)
        whole = np.broadcast_to(operand, self.product.out_shape)
        return np.moveaxis(whole, self._column_axes, self._last_axes).reshape(self.entries, self.columns)

    def pieces(self) -> list[Piece]:
        """Pieces of bounded size, in order. A long row is cut as well, and its entry is then taken more than once."""
        width = min(self.columns, _MOST_PRODUCTS)
        height = min(_MOST_ENTRIES, _MOST_PRODUCTS // max(width, 1))
        return [
            Piece(start, min(start + height, self.entries), left, min(left + width, self.columns))
            for start in range(0, self.entries, height)
            for left in range(0, self.columns, max(width, 1))
        ]

    def rows_for(self, piece: Piece, rows: Array) -> Array:
        """What each entry of a piece multiplies, shape (entries, columns)."""
        return rows[np.arange(piece.start, piece.stop) % len(rows), piece.left : piece.right]

    def empty(self) -> Array:
        """Zeros that the pieces' products are collected in."""
        sums = math.prod(self.product.out_shape) // max(self.columns, 1)
        return np.zeros((sums, self.columns), np.uint64)

    def collect(self, into: Array, piece: Piece, products: Array) -> None:
        """Add the products of a piece, shape (entries, columns), in their place."""
        first, last = piece.start // self.depth, (piece.stop - 1) // self.depth
        starts = np.maximum(np.arange(first, last + 1) * self.depth, piece.start) - piece.start
        place = into[first : last + 1, piece.left : piece.right]
        ring.add(place, np.add.reduceat(products, starts, axis=0), out=place)

    def result(self, collected: Array) -> Array:
        """What was collected, in the shape of the product."""
        if self.product.kind == "matmul":
            return (collected if self._entries_are_left else collected.T).reshape(self.product.out_shape)
        out = self.product.out_shape
        kept = [length for axis, length in enumerate(out) if axis not in self._column_axes]
        columns = [out[axis] for axis in self._column_axes]
        return np.moveaxis(collected.reshape((*kept, *columns)), self._last_axes, self._column_axes)

    @cached_property
    def _left(self) -> Shape:
        return self.product.y_shape if self.product.flipped else self.product.x_shape

    @cached_property
    def _right(self) -> Shape:
        return self.product.x_shape if self.product.flipped else self.product.y_shape

    @cached_property
    def _entries_are_left(self) -> bool:
        return math.prod(self._left) <= math.prod(self._right)

    @cached_property
    def _shapes(self) -> tuple[Shape, Shape]:
        """Of the operand taken by its bits, and of the other one."""
        return (self._left, self._right) if self._entries_are_left else (self._right, self._left)

    @cached_property
    def _column_axes(self) -> tuple[int, ...]:
        """The axes of an elementwise product along which the entries do not change."""
        entries, out = self._shapes[0], self.product.out_shape
        padded = (1,) * (len(out) - len(entries)) + entries
        return tuple(axis for axis, length in enumerate(padded) if length == 1)

    @cached_property
    def _last_axes(self) -> tuple[int, ...]:
        return tuple(range(-len(self._column_axes), 0))
