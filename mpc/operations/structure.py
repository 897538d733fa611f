"""Operations that move elements and compute nothing: concat, stack, index, reshape, transpose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc.errors import PlanError
from mpc.operations.base import Operation, Params, align, aligned, check_shape, meet
from mpc.types import BOOLEAN, Type
from protocols.ring import Array

__all__ = ["MAX_POSITIONS", "Concat", "Index", "Reshape", "Stack", "Transpose", "numpy_key"]

MAX_POSITIONS = 20_000
"""The most positions that one index lists."""


class Concat(Operation):
    """Inputs joined along an axis that they have."""

    name = "concat"
    parameters = {"axis": int}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        axis = params["axis"]
        if not inputs or not 0 <= axis < len(inputs[0].shape):
            raise PlanError(f"concat: no axis {axis} in the inputs")
        rest = {(*x.shape[:axis], *x.shape[axis + 1 :]) for x in inputs}
        if len(rest) > 1 or len({len(x.shape) for x in inputs}) > 1:
            raise PlanError(f"concat: the shapes {[x.shape for x in inputs][:4]} do not match outside axis {axis}")
        length = sum(x.shape[axis] for x in inputs)
        shape = (*inputs[0].shape[:axis], length, *inputs[0].shape[axis + 1 :])
        return _joined(inputs, shape, self.name)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.concatenate(aligned(inputs, types), axis=params["axis"])


class Stack(Operation):
    """Inputs of one shape joined along a new axis."""

    name = "stack"
    parameters = {"axis": int}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        axis = params["axis"]
        if not inputs or not 0 <= axis <= len(inputs[0].shape):
            raise PlanError(f"stack: no place for axis {axis} in the inputs")
        if len({x.shape for x in inputs}) > 1:
            raise PlanError(
                f"stack: the shapes {sorted({x.shape for x in inputs})[:4]} differ",
                "Columns of different parties are aligned by row position: their tables must have equally many rows.",
            )
        return _joined(inputs, (*inputs[0].shape[:axis], len(inputs), *inputs[0].shape[axis:]), self.name)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.stack(aligned(inputs, types), axis=params["axis"])


class Index(Operation):
    """x[key] with public indices.

    `key`: an item an axis, [i] for one position or [start, stop, step] for a slice,
    step possibly negative with stop -1 for "to the beginning", or, on one axis, [[i, j, ...]] for chosen positions.
    """

    name = "index"
    arity = 1
    parameters = {"key": (list, tuple)}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        key = params["key"]
        if len(key) != len(x.shape):
            raise PlanError(f"index: {len(key)} indices for shape {x.shape}")
        if any(_is_positions(item) for item in key) and sum(not _is_slice(item) for item in key) > 1:
            raise PlanError("index: a list of positions stands with slices only")
        shape: list[int] = []
        for item, length in zip(key, x.shape, strict=True):
            shape.extend(_indexed(item, length))
        return replace(x, shape=check_shape(shape, self.name))

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.asarray(inputs[0][numpy_key(params["key"])])


class Reshape(Operation):
    """The same elements in row-major order under another shape."""

    name = "reshape"
    arity = 1
    parameters = {"shape": (list, tuple)}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        shape = check_shape(params["shape"], self.name)
        if math.prod(shape) != x.size:
            raise PlanError(f"reshape: {x.shape} has {x.size} elements, {shape} has {math.prod(shape)}")
        return replace(x, shape=shape)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return inputs[0].reshape(tuple(params["shape"]))


class Transpose(Operation):
    """The axes in another order."""

    name = "transpose"
    arity = 1
    parameters = {"axes": (list, tuple)}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        axes = list(params["axes"])
        if not all(type(axis) is int for axis in axes) or sorted(axes) != list(range(len(x.shape))):
            raise PlanError(f"transpose: {axes[:8]} is no order of the axes of {x.shape}")
        return replace(x, shape=tuple(x.shape[axis] for axis in axes))

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return inputs[0].transpose(tuple(params["axes"]))


def numpy_key(key: Sequence[Sequence[Any]]) -> tuple[int | slice | NDArray[np.intp], ...]:
    """The key of an `index` step as numpy takes it."""
    items: list[int | slice | NDArray[np.intp]] = []
    for item in key:
        if len(item) == 3:
            start, stop, step = item
            items.append(slice(start, None if stop < 0 else stop, step))
        elif isinstance(item[0], int):
            items.append(item[0])
        else:
            items.append(np.array(item[0], np.intp))
    return tuple(items)


def _is_positions(item: Any) -> bool:
    return isinstance(item, list | tuple) and len(item) == 1 and isinstance(item[0], list | tuple)


def _is_slice(item: Any) -> bool:
    return isinstance(item, list | tuple) and len(item) == 3


def _indexed(item: Any, length: int) -> list[int]:
    if not isinstance(item, list | tuple):
        raise PlanError("index: an item must be a list")
    if len(item) == 3 and all(type(number) is int for number in item):
        start, stop, step = item
        in_order = step > 0 and 0 <= start <= length and 0 <= stop <= length
        backwards = step < 0 and 0 <= start < length and -1 <= stop < length
        if not (in_order or backwards):
            raise PlanError(f"index: the slice {start}:{stop}:{step} leaves an axis of length {length}")
        return [len(range(start, stop, step))]
    if len(item) == 1 and type(item[0]) is int:
        if not 0 <= item[0] < length:
            raise PlanError(f"index: {item[0]} is outside an axis of length {length}")
        return []
    if len(item) == 1 and isinstance(item[0], list | tuple):
        if len(item[0]) > MAX_POSITIONS:
            raise PlanError(
                f"index: {len(item[0]):,} positions are more than {MAX_POSITIONS:,}", "Take slices and join them."
            )
        if not all(type(i) is int and 0 <= i < length for i in item[0]):
            raise PlanError(f"index: a position is outside an axis of length {length}")
        return [len(item[0])]
    raise PlanError("index: not an index, a slice or a list of positions")


def _joined(inputs: Sequence[Type], shape: Sequence[int], name: str) -> Type:
    domain, factors = align(inputs)
    if all(x.domain == BOOLEAN for x in inputs):
        domain = BOOLEAN
    return Type(
        meet([x.visibility for x in inputs]),
        check_shape(shape, name),
        domain,
        min(x.low * factor for x, factor in zip(inputs, factors, strict=True)),
        max(x.high * factor for x, factor in zip(inputs, factors, strict=True)),
    )
