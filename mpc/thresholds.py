"""Public numbers as secret ones are compared with them: none needs more digits than the values that it is held against.

What lies beyond all that a value can be is brought near its range, and what integers are compared with is whole.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc.types import Type

__all__ = ["COMPARING", "threshold"]

COMPARING = ("less", "equal", "maximum", "minimum")
"""Operations on a secret and a public operand that this is for."""

_WORD = 1 << 63
_MOST = 1000
"""Of binary exponents: what lies beyond is left as it is."""


def threshold(op: str, numbers: NDArray[Any], type_: Type, *, first: bool) -> NDArray[Any]:
    """Numbers that an operation makes the same of, with any value of a type, as of some public ones.

    `first`: whether these are the operation's first operand. What is not finite, or no number, stays as it is.
    """
    if numbers.dtype.kind not in "if" or not np.all(np.isfinite(numbers)):
        return numbers
    numbers = numbers.astype(np.int64 if numbers.dtype.kind == "i" else np.float64)
    integers = type_.domain.kind != "real" and type_.domain.denominator == 1
    if integers and op in ("less", "equal"):
        return _whole(op, numbers, type_, first)
    return _near(op, numbers, type_)


def _whole(op: str, numbers: NDArray[Any], type_: Type, first: bool) -> NDArray[Any]:
    """Integers are less than a number where they are less than the next integer, and equal to no fraction."""
    below, above = type_.low - 1, type_.high + 1
    if below < -_WORD or above >= _WORD:
        return numbers
    if numbers.dtype.kind == "i":
        return np.asarray(np.clip(numbers, below, above))
    rounded = np.floor(numbers) if first else np.ceil(numbers)
    fits = np.abs(rounded) < _WORD
    held = np.where(fits, rounded, 0).astype(np.int64)
    held = np.where(fits, np.clip(held, below, above), np.where(rounded > 0, above, below))
    return np.where(rounded == numbers, held, above) if op == "equal" else held


def _near(op: str, numbers: NDArray[Any], type_: Type) -> NDArray[Any]:
    """No further from 0 than about twice the values, where that makes no difference."""
    reach = max(abs(type_.low), abs(type_.high))
    exponent = (reach - 1).bit_length() - type_.domain.scale + 1 if reach else 0
    if abs(exponent) > _MOST:
        return numbers
    limit: Any = math.ldexp(1.0, exponent)
    if numbers.dtype.kind == "i":
        if limit >= _WORD:
            return numbers
        limit = max(int(limit), 1)
    least, most = (None if op == "minimum" else -limit), (None if op == "maximum" else limit)
    return np.asarray(np.clip(numbers, least, most))
