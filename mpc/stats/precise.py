"""Numbers with more digits than the planner gives what is computed with, and functions right to more."""

from __future__ import annotations

import math

import numpy as np

from mpc.values import Operand, Value, record

__all__ = ["function", "mean", "product", "rounded"]

_SCALE = 104
"""Of a function as it is recorded, for ranges to be told apart from 0."""


def function(op: str, *operands: Operand, precision: int = 32) -> Value:
    """A real function, right to so many bits whatever the computation's precision."""
    return record(op, *operands, scale=_SCALE, precision=precision)


def mean(x: Value) -> Value:
    """The mean over rows, without the divisor that `x.mean()` carries along."""
    return record("mean", x, about=0.0, scale=52)


def product(x: Value, y: Operand, digits: int = 56) -> Value:
    """x * y with so many bits by their ranges: up to 56 where it is multiplied again, to 61 where it is a result."""
    reach = 1.0
    for operand in (x, y):
        if isinstance(operand, Value):
            type_ = operand.type
            reach *= max(abs(type_.low), abs(type_.high)) / type_.domain.denominator
        else:
            reach *= float(np.abs(operand).max())
    return record("long_product", x, y, fraction=max(0, digits - math.frexp(reach)[1]))


def rounded(x: Value, fraction: int) -> Value:
    """x with so many bits behind the point."""
    return record("rounded", x, fraction=fraction)
