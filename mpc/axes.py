"""Axes and shapes as a script names them, checked."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from mpc.errors import ScriptError

__all__ = ["axis_list", "check_axis", "new_shape"]


def check_axis(axis: Any, ndim: int) -> int:
    """The axis counted from 0. Raises ScriptError when there is none like it."""
    if not isinstance(axis, int | np.integer) or not -ndim <= axis < ndim:
        raise ScriptError(f"there is no axis {axis} in {ndim} axes")
    return int(axis) % ndim


def axis_list(axis: int | tuple[int, ...] | None, ndim: int) -> list[int]:
    """One axis, some, or all for None, counted from 0 in ascending order. Raises ScriptError."""
    if axis is None:
        return list(range(ndim))
    axes = [check_axis(a, ndim) for a in (axis if isinstance(axis, tuple) else (axis,))]
    if len(set(axes)) != len(axes):
        raise ScriptError(f"an axis is named twice: {axis}")
    return sorted(axes)


def new_shape(given: Sequence[Any], shape: tuple[int, ...]) -> list[int]:
    """The lengths of another shape of as many elements, of which one may be given as -1. Raises ScriptError."""
    try:
        lengths = [int(operator.index(length)) for length in given]
    except TypeError:
        raise ScriptError(f"reshape: {given} is not a shape", "Give whole numbers; one may be -1.") from None
    if lengths.count(-1) == 1:
        size, known = math.prod(shape), -math.prod(lengths)
        if known == 0 or size % known:
            raise ScriptError(f"reshape: {shape} has {size} elements, which {lengths} cannot hold")
        lengths[lengths.index(-1)] = size // known
    return lengths
