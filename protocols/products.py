"""Bilinear products over the ring, and how long ones are cut into blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from protocols import ring
from protocols.ring import Array

__all__ = ["BLOCK_WORDS", "Block", "Product", "Shape"]

Shape = tuple[int, ...]

BLOCK_WORDS = 1 << 18
"""Words of one operand in one block: 2 MiB, which stays in the cache."""


@dataclass(frozen=True)
class Block:
    """One piece of a product. Whole operands where the product is not cut; else a slice of its long axis."""

    start: int
    stop: int
    x_shape: Shape
    y_shape: Shape
    out_shape: Shape

    def weight(self, *, owned: bool) -> int:
        """The most words that one party sends another for it: an owner sends one operand, all send both shared ones."""
        x_words, y_words = _size(self.x_shape), _size(self.y_shape)
        return max(x_words, y_words) if owned else x_words + y_words


@dataclass(frozen=True)
class Product:
    """x * y elementwise (numpy's broadcasting) or x @ y (numpy.matmul for 1-D and 2-D), for operands of given shapes.

    `flipped` exchanges the operands' places: the first operand is y. A protocol for "the owner's x" then serves both
    sides. `in_session`: matrix products that the session computes, this one included. What hides them statistically
    hides them all together.
    """

    kind: Literal["multiply", "matmul"]
    x_shape: Shape
    y_shape: Shape
    flipped: bool = False
    in_session: int = 1

    def __call__(self, x: Array, y: Array) -> Array:
        left, right = (y, x) if self.flipped else (x, y)
        return ring.multiply(left, right) if self.kind == "multiply" else ring.matmul(left, right)

    def warm(self) -> None:
        """Load what computing this product will want, before a round waits for it."""
        left, right = (self.y_shape, self.x_shape) if self.flipped else (self.x_shape, self.y_shape)
        ring.warm(left, right, elementwise=self.kind == "multiply")

    def flip(self) -> Product:
        """The same product with its operands named the other way round."""
        return replace(self, x_shape=self.y_shape, y_shape=self.x_shape, flipped=not self.flipped)

    @property
    def out_shape(self) -> Shape:
        """The result's shape."""
        left, right = (self.y_shape, self.x_shape) if self.flipped else (self.x_shape, self.y_shape)
        if self.kind == "multiply":
            return tuple(np.broadcast_shapes(left, right))
        return left[:-1] + right[:-2] + right[-1:] if len(right) > 1 else left[:-1]

    @property
    def words(self) -> int:
        """Elements of the two operands and the result together."""
        return _size(self.x_shape) + _size(self.y_shape) + _size(self.out_shape)

    def blocks(self) -> list[Block]:
        """The pieces that a long product is computed in.

        Elementwise products of equal shapes are cut along their flattened length. Matrix products are cut along the
        contraction, where that does not make more results than operands: a dot product of any length has one scalar
        a block. All others stay whole.
        """
        cut = self._cut()
        if cut is None:
            return [Block(0, 0, self.x_shape, self.y_shape, self.out_shape)]
        length, step = cut
        return [self._block(start, min(start + step, length)) for start in range(0, length, step)]

    def operands(self, block: Block, x: Array | None, y: Array | None) -> tuple[Array | None, Array | None]:
        """The block's part of each operand that is here."""
        if block.stop == 0:  # whole
            return x, y
        if self.kind == "multiply":
            take = slice(block.start, block.stop)
            return (
                None if x is None else x.reshape(-1)[take],
                None if y is None else y.reshape(-1)[take],
            )
        return (
            None if x is None else _along_contraction(x, block, left=not self.flipped),
            None if y is None else _along_contraction(y, block, left=self.flipped),
        )

    def gather(self, into: Array, block: Block, part: Array) -> None:
        """Put a block's result in its place in the whole result, which started as zeros."""
        if self._cut() is not None and self.kind == "multiply":
            into.reshape(-1)[block.start : block.stop] = part
        else:
            ring.add(into, part, out=into)

    def of(self, block: Block) -> Product:
        """The product that one block computes."""
        return replace(self, x_shape=block.x_shape, y_shape=block.y_shape)

    def _cut(self) -> tuple[int, int] | None:
        if self.kind == "multiply":
            length = _size(self.x_shape)
            return (length, BLOCK_WORDS) if self.x_shape == self.y_shape and length > BLOCK_WORDS else None
        left, right = (self.y_shape, self.x_shape) if self.flipped else (self.x_shape, self.y_shape)
        length, rows, columns = left[-1], _size(left[:-1]), _size(right[1:])
        step = max(1, BLOCK_WORDS // max(rows, columns, 1))
        return (length, step) if length > step and rows * columns <= (rows + columns) * step else None

    def _block(self, start: int, stop: int) -> Block:
        if self.kind == "multiply":
            shape: Shape = (stop - start,)
            return Block(start, stop, shape, shape, shape)
        x_shape = _cut_shape(self.x_shape, stop - start, left=not self.flipped)
        y_shape = _cut_shape(self.y_shape, stop - start, left=self.flipped)
        return Block(start, stop, x_shape, y_shape, self.out_shape)


def _along_contraction(operand: Array, block: Block, *, left: bool) -> Array:
    take = slice(block.start, block.stop)
    return operand[..., take] if left else operand[take]


def _cut_shape(shape: Shape, length: int, *, left: bool) -> Shape:
    return (*shape[:-1], length) if left else (length, *shape[1:])


def _size(shape: Shape) -> int:
    return math.prod(shape)
