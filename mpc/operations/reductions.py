"""The smallest and the largest along an axis, and where they stand: by a tournament of comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mpc.circuits.builder import Bits, Ring, concat
from mpc.errors import PlanError
from mpc.operations.base import Circuit, Params
from mpc.types import INTEGER, Shape, Type
from protocols.ring import Array

__all__ = ["ArgMax", "ArgMin", "Max", "Min"]


class _Extreme(Circuit):
    """One of the elements along an axis, which goes: four rounds for every halving."""

    arity = 1
    parameters = {"axis": int}
    sign: int
    """1 for the smallest, -1 for the largest."""

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        return replace(x, shape=_without(x.shape, params["axis"], self.name))

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        return (inputs[0].high - inputs[0].low).bit_length() + 1

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        x = _first_axis(operands[0].ring(), params["axis"])
        while x.shape[0] > 1:
            left, right, odd = _halves(x)
            difference = (right - left) * self.sign
            better = difference.negative(self.working_bits(types, params)).select(right - left) + left
            x = concat([better, odd]) if odd.shape[0] else better
        return x.reshape(*x.shape[1:])


class Min(_Extreme):
    """The smallest element along an axis."""

    name = "min"
    sign = 1

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.asarray(inputs[0].view(np.int64).min(params["axis"])).view(np.uint64)


class Max(_Extreme):
    """The largest element along an axis."""

    name = "max"
    sign = -1

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.asarray(inputs[0].view(np.int64).max(params["axis"])).view(np.uint64)


class _ArgExtreme(_Extreme):
    """The first position of one of the elements along an axis."""

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        x = super().infer(inputs, params)
        return Type(x.visibility, x.shape, INTEGER, 0, max(inputs[0].shape[params["axis"]] - 1, 0))

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        x = _first_axis(operands[0].ring(), params["axis"])
        places = np.arange(x.shape[0], dtype=np.uint64).reshape(-1, *[1] * (len(x.shape) - 1))
        place = (x - x) + np.ascontiguousarray(np.broadcast_to(places, x.shape))
        while x.shape[0] > 1:
            (left, right, odd), (left_place, right_place, odd_place) = _halves(x), _halves(place)
            later = ((right - left) * self.sign).negative(self.working_bits(types, params))
            better = later.select(right - left) + left
            better_place = later.select(right_place - left_place) + left_place
            x = concat([better, odd]) if odd.shape[0] else better
            place = concat([better_place, odd_place]) if odd.shape[0] else better_place
        return place.reshape(*place.shape[1:])


class ArgMin(_ArgExtreme):
    """The first position of the smallest element along an axis."""

    name = "argmin"
    sign = 1

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.asarray(inputs[0].view(np.int64).argmin(params["axis"])).astype(np.uint64)


class ArgMax(_ArgExtreme):
    """The first position of the largest element along an axis."""

    name = "argmax"
    sign = -1

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.asarray(inputs[0].view(np.int64).argmax(params["axis"])).astype(np.uint64)


def _halves(x: Ring) -> tuple[Ring, Ring, Ring]:
    """Neighbours side by side, so that the first of equals stays to the left; and what is left over."""
    pairs = x.shape[0] // 2
    return x[: 2 * pairs : 2], x[1 : 2 * pairs : 2], x[2 * pairs :]


def _first_axis(x: Ring, axis: int) -> Ring:
    shape = (x.shape[axis], *x.shape[:axis], *x.shape[axis + 1 :])
    return x if axis == 0 else x.local(lambda index, words: np.ascontiguousarray(np.moveaxis(words, axis, 0)), shape)


def _without(shape: Shape, axis: int, name: str) -> Shape:
    if not 0 <= axis < len(shape):
        raise PlanError(f"{name}: no axis {axis} in shape {shape}")
    if shape[axis] == 0:
        raise PlanError(f"{name} of no elements is undefined", "Check that the table has rows.")
    return (*shape[:axis], *shape[axis + 1 :])
