"""What follows from the order of elements: sorted arrays, the largest, medians and quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from mpc.axes import check_axis
from mpc.errors import ScriptError
from mpc.functions import stack
from mpc.values import Value

__all__ = ["argsort", "as_fraction", "median", "quantile", "sort", "top_k"]

_MOST_DENOMINATOR = 10**6


def sort(x: Value, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Value:
    """The elements in order along an axis, as numpy.sort; always stable.

    Under sharing the cost grows with the bits of the range: 52 rounds and 280 bytes an element between two parties at
    10^5 reals, of which 33 bits are kept; 31 rounds and 140 bytes where integers span 10^5 numbers.
    """
    return x.sort(axis, descending=descending)


def argsort(x: Value, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Value:
    """The positions along an axis that put the elements in order, as numpy.argsort with kind="stable"."""
    return x.argsort(axis, descending=descending)


def top_k(x: Value, k: int) -> tuple[Value, Value]:
    """The k largest along the last axis, the largest first, and where they stand; the first of equal ones first.

    `k`: public, from 1 to the length of that axis. What is not used of the two is not computed.
    """
    if not x.ndim or not isinstance(k, int | np.integer) or not 1 <= k <= x.shape[-1]:
        raise ScriptError(f"mpc.top_k: {k!r} elements of the shape {x.shape}", "Take a whole number of them, from 1.")
    return x.sort(descending=True)[..., :k], x.argsort(descending=True)[..., :k]


def median(x: Value, axis: int | None = None) -> Value:
    """The middle element along an axis, or the mean of the two in the middle, as numpy.median."""
    return quantile(x, 0.5, axis)


def quantile(x: Value, q: float | Sequence[float], axis: int | None = None) -> Value:
    """Quantiles along an axis, between neighbours by linear interpolation, as numpy.quantile; exact on what is encoded.

    `q`: public, from 0 to 1, one or a list of them, whose axis then comes first. Counted as the nearest fraction with
    a denominator up to 10^6.
    """
    if isinstance(q, Sequence | np.ndarray) and np.ndim(q):
        return stack([quantile(x, one, axis) for one in np.asarray(q).tolist()])
    fraction = as_fraction(q)
    axis = check_axis(0 if axis is None else axis, x.ndim) if axis is not None and x.ndim else None
    lanes = x.reshape(-1) if axis is None else x.transpose(axis, *(a for a in range(x.ndim) if a != axis))
    if not len(lanes):
        raise ScriptError("a quantile of no elements is undefined", "Check that the table has rows.")
    in_order = lanes.sort(0)
    place = fraction * (len(lanes) - 1)
    below, rest = int(place), place % 1
    if not rest:
        return in_order[below] / 1
    upper, whole = rest.numerator, rest.denominator
    return (in_order[below] * (whole - upper) + in_order[below + 1] * upper) / whole


def as_fraction(q: object) -> Fraction:
    """A quantile's q as the nearest fraction with a small denominator. Raises ScriptError unless it is from 0 to 1."""
    if not isinstance(q, int | float | np.integer | np.floating) or not 0 <= q <= 1:
        raise ScriptError(f"a quantile at {q!r}", "Give public numbers from 0 to 1.")
    return Fraction(float(q)).limit_denominator(_MOST_DENOMINATOR)
