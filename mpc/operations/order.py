"""Order: elements sorted along an axis, the positions that sort them, quantiles of what is sorted.

Under sharing, the stable radix sort of `protocols.sorting`: its rounds and bytes grow with the bits of the keys, which
are as many as the range of the elements takes. Lanes side by side are one sort, their numbers in front of the keys.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpc.circuits.builder import Bits, Ring
from mpc.errors import PlanError
from mpc.operations.base import Circuit, Params, align, meet
from mpc.types import INTEGER, RING_BITS, Domain, Shape, Type
from protocols import ring
from protocols.ring import Array
from protocols.sorting import Sort as SortPrimitive

__all__ = ["ArgSort", "Quantile", "Sort"]


class _Ordering(Circuit):
    """Elements in ascending order along an axis, equal ones in the order that they came in."""

    arity = 1
    parameters = {"axis": int}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        if not 0 <= params["axis"] < len(x.shape):
            raise PlanError(f"{self.name}: no axis {params['axis']} in shape {x.shape}")
        return x

    def key_bits(self, inputs: Sequence[Type], params: Params) -> int:
        (x,) = inputs
        lanes = x.size // max(x.shape[params["axis"]], 1)
        return (x.high - x.low).bit_length() + max(lanes - 1, 0).bit_length()

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        return self.key_bits(inputs, params)

    def sorted(self, x: Ring, moved: Ring, type_: Type, params: Params) -> Ring:
        """What is moved, of the shape of x with the axis last, in the order of x."""
        x = _axis_last(x, params["axis"])
        lanes, length = math.prod(x.shape[:-1]), x.shape[-1]
        width = (type_.high - type_.low).bit_length()
        if width and length > 1:
            first = np.repeat(np.arange(lanes, dtype=np.uint64) << np.uint64(width), length)
            keys = x.reshape(x.size) + ring.subtract(first, np.uint64(type_.low % (1 << RING_BITS)))
            sort = SortPrimitive(x.size, key_bits=self.key_bits([type_], params))
            number = x.builder.primitive(sort, (keys.number, moved.reshape(x.size).number), (x.size,))
            moved = Ring(x.builder, number, (x.size,))
        return _axis_from_last(moved.reshape(*x.shape), params["axis"])


class Sort(_Ordering):
    """The elements in ascending order along an axis."""

    name = "sort"

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.sort(inputs[0].view(np.int64), params["axis"], kind="stable").view(np.uint64)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        x = operands[0].ring()
        return self.sorted(x, _axis_last(x, params["axis"]), types[0], params)


class ArgSort(_Ordering):
    """The positions along an axis of its elements in ascending order."""

    name = "argsort"

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        x = super().infer(inputs, params)
        return Type(x.visibility, x.shape, INTEGER, 0, max(x.shape[params["axis"]] - 1, 0))

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.argsort(inputs[0].view(np.int64), params["axis"], kind="stable").astype(np.uint64)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        x = operands[0].ring()
        last = _axis_last(x, params["axis"])
        places = np.arange(last.shape[-1], dtype=np.uint64)
        return self.sorted(x, (last - last) + places, types[0], params)


class Quantile(Circuit):
    """The quantile numerator / denominator of the first `count` elements of x along its last axis, where x is sorted.

    Interpolated between neighbours as by numpy; exact. 0 where the count is 0. As a Circuit it compares every position
    with the quantile's: six rounds, of which four wait only for the count.
    """

    name = "quantile"
    arity = 2
    parameters = {"numerator": int, "denominator": int}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        x, count = inputs
        numerator, denominator = _fraction(params)
        if not 0 <= numerator <= denominator < 1 << 32 or not denominator:
            raise PlanError(f"quantile: {numerator} / {denominator} is not between 0 and 1")
        if not x.shape or x.shape[:-1] != count.shape or not x.shape[-1]:
            raise PlanError(f"quantile: {x.shape} and {count.shape} are not elements along an axis and their counts")
        if count.domain != INTEGER or not 0 <= count.low <= count.high <= x.shape[-1]:
            raise PlanError(f"quantile: {x.shape[-1]} elements are counted up to {count.high}")
        domain = align(inputs[:1])[0]
        return Type(
            meet([x.visibility, count.visibility]),
            count.shape,
            Domain("real", domain.scale, domain.divisor * denominator),
            min(x.low, 0) * denominator,
            max(x.high, 0) * denominator,
        )

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        x = inputs[0]
        gap: int = (x.high - x.low) * params["denominator"]
        return max(gap.bit_length() + 2, _place_bits(x.shape, params["denominator"]))

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        numerator, denominator = _fraction(params)
        x, count = (words.view(np.int64) for words in inputs)
        place, rest = np.divmod((count - 1) * numerator, denominator)
        lower = _at(x, place)
        upper = _at(x, np.minimum(place + 1, x.shape[-1] - 1))
        return np.asarray(np.where(count > 0, lower * denominator + (upper - lower) * rest, 0)).view(np.uint64)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        numerator, denominator = _fraction(params)
        x, count = (operand.ring() for operand in operands)
        target = (count - 1) * numerator
        ramp = np.arange(x.shape[-1], dtype=np.uint64) * np.uint64(denominator)
        behind = (target.reshape(*count.shape, 1) - ramp).negative(_place_bits(x.shape, denominator))
        reached = (~behind).ring()  # 1 up to the place
        rest = target - (reached.sum(-1) - 1) * denominator
        place = -reached.local(lambda index, words: np.diff(words, append=np.uint64(0)), x.shape)
        step = x.local(lambda index, words: np.diff(words, append=words[..., -1:]), x.shape)
        lower, gap = (place.lowest_bit().select(values).sum(-1) for values in (x, step))
        return lower * denominator + gap * rest


def _fraction(params: Params) -> tuple[int, int]:
    return params["numerator"], params["denominator"]


def _place_bits(shape: Shape, denominator: int) -> int:
    """Of a signed integer that holds how far a place is from the quantile's."""
    return (shape[-1] * denominator).bit_length() + 2


def _at(x: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(np.take_along_axis(x, np.asarray(place)[..., np.newaxis], -1)[..., 0])


def _axis_last(x: Ring, axis: int) -> Ring:
    shape = (*x.shape[:axis], *x.shape[axis + 1 :], x.shape[axis])
    if shape == x.shape and axis == len(shape) - 1:
        return x
    return x.local(lambda index, words: np.ascontiguousarray(np.moveaxis(words, axis, -1)), shape)


def _axis_from_last(x: Ring, axis: int) -> Ring:
    shape = (*x.shape[:axis], x.shape[-1], *x.shape[axis:-1])
    if axis == len(shape) - 1:
        return x
    return x.local(lambda index, words: np.ascontiguousarray(np.moveaxis(words, -1, axis)), shape)
