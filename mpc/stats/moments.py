"""Variances, covariances and correlations, and what describes a column."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpc.axes import check_axis
from mpc.functions import maximum, where
from mpc.stats.columns import Columns, check_rows, normalised, secret
from mpc.stats.precise import function, mean, product, rounded
from mpc.values import Value, record

__all__ = ["LEAST_VARIANCE", "Description", "corr", "cov", "describe", "flagged", "spread", "std", "var"]

LEAST_VARIANCE = 2.0**-30
"""Of the largest variance that a declared range allows: what is below counts as all equal."""

_LEAST_SHAPED = 2.0**-16
"""The same, for what its shape is told of."""

_MOMENT_BITS = 50


def var(x: Value, axis: int | tuple[int, ...] | None = None, ddof: int = 0) -> Value:
    """The variance of all elements, or along an axis, divided by their number less `ddof`, as numpy.var.

    Off by at most 2^-48 of the square of the declared range's width: right to 9 digits where the standard deviation is
    a thousandth of that width or more, wherever the range lies.
    """
    deviations, units = _deviations(x, axis, ddof, "var")
    return Value(deviations._trace, deviations.step, deviations.defined, units)


def std(x: Value, axis: int | tuple[int, ...] | None = None, ddof: int = 0) -> Value:
    """The standard deviation of all elements, or along an axis, as numpy.std: the root of `var`, off as that is.

    So it is right to 9 digits where it is a thousandth of the declared range's width or more, to 6 where it is 2^-14 of
    it, to 3 where it is 2^-19; below 2^-24 it may be 0.
    """
    deviations, units = _deviations(x, axis, ddof, "std")
    rows = secret(x, "std", tuple(range(1, 9))).size // max(deviations.size, 1)
    least = LEAST_VARIANCE * rows
    raised = maximum(deviations, least)
    root = product(raised, function("rsqrt", raised), 60)
    coarse = maximum(rounded(deviations, 44 - rows.bit_length()), 0)
    root = where(deviations >= least, root, function("sqrt", coarse, precision=20))
    return Value(root._trace, root.step, root.defined, np.sqrt(units))


def cov(x: Value, y: Value | None = None, ddof: int = 1) -> Value:
    """The covariances of all columns of a matrix, rows first; or of two columns, one number.

    Divided by the number of rows less `ddof`. As numpy.cov(x, rowvar=False), and numpy.cov(x, y)[0, 1].
    """
    columns = _pair(x, y, "cov")
    check_rows(columns.rows, ddof + 1, f"cov with ddof={ddof}")
    products = columns.comoments()
    units = np.outer(columns.units, columns.units) / (columns.rows - ddof)
    value = products if y is None else products[0, 1]
    return Value(value._trace, value.step, value.defined, units if y is None else units[0, 1])


def corr(x: Value, y: Value | None = None) -> Value:
    """Pearson's correlations of all columns of a matrix, rows first; or of two columns, one number.

    As numpy.corrcoef(x, rowvar=False). Right to 9 digits where standard deviations are a thousandth of the declared
    range's width or more. Undefined for a column that is all equal, or whose standard deviation is less than 2^-16 of
    that width.
    """
    columns = _pair(x, y, "corr")
    columns.check_spread("corr")
    products = columns.comoments()
    squares, varies = spread(products, LEAST_VARIANCE * columns.rows)
    factors = function("rsqrt", squares)
    found = record("correlations", products, factors)
    both = varies.reshape(-1, 1) & varies
    if y is not None:
        return flagged(found[0, 1], both[0, 1])
    ones = np.eye(columns.count, dtype=np.int64)
    return flagged(found * (1 - ones) + ones, both)


class Description(NamedTuple):
    """What `describe` gives."""

    nobs: int
    minmax: tuple[Value, Value]
    mean: Value
    variance: Value
    skewness: Value
    kurtosis: Value


def describe(x: Value, ddof: int = 1) -> Description:
    """A column's number of rows (public), smallest and largest value, mean, variance, skewness and excess kurtosis.

    As scipy.stats.describe; skewness and kurtosis are biased, as there by default, right to 6 digits, and undefined
    where the standard deviation is less than 2^-9 of the width of the declared range.
    """
    x = secret(x, "describe")
    check_rows(len(x), ddof + 1, f"describe with ddof={ddof}")
    columns = normalised(x)
    columns.check_spread("describe")
    z = columns.z[:, 0]
    # moments about the middle of the range, then about the mean
    m, second, third, fourth = (mean(power) for power in (z, z * z, z * z * z, z * z * z * z))
    square = product(m, m, _MOMENT_BITS)
    variance = second - square
    third_about = third - product(m, 3 * second - 2 * square, _MOMENT_BITS)
    inner = 4 * third - product(m, 6 * second - 3 * square, _MOMENT_BITS)
    fourth_about = fourth - product(m, inner, _MOMENT_BITS)
    root = function("rsqrt", maximum(variance, _LEAST_SHAPED))
    inverse = product(root, root)
    varies = variance >= _LEAST_SHAPED
    skewness = flagged(product(product(third_about, root), inverse, 61), varies)
    kurtosis = flagged(product(product(fourth_about, inverse), inverse, 60) - 3, varies)
    return Description(len(x), (x.min(), x.max()), x.mean(), var(x, ddof=ddof), skewness, kurtosis)


def spread(products: Value, least: float) -> tuple[Value, Value]:
    """The diagonal of a matrix, raised to the least that counts; where it reached that."""
    squares = products.reshape(-1)[:: products.shape[0] + 1]
    return maximum(squares, least), squares >= least


def flagged(value: Value, flag: Value) -> Value:
    """The value, defined where the flag holds."""
    both = flag if value.defined is None else flag & value.defined
    return Value(value._trace, value.step, both, value.unit)


def _pair(x: Value, y: Value | None, what: str) -> Columns:
    if y is None:
        return normalised(secret(x, what, (2,)))
    return normalised(secret(x, what), secret(y, what))


def _deviations(
    x: Value, axis: int | tuple[int, ...] | None, ddof: int, what: str
) -> tuple[Value, NDArray[np.float64]]:
    """Sums of squares about the mean, and the square of their unit."""
    x = secret(x, what, tuple(range(1, 9)))
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    summed = sorted({check_axis(a, x.ndim) for a in axes})
    kept = [a for a in range(x.ndim) if a not in summed]
    rows = math.prod(x.shape[a] for a in summed)
    check_rows(rows, ddof + 1, f"{what} with ddof={ddof}")
    out = [x.shape[a] for a in kept]
    if x.ndim != 2 or summed != [0]:
        x = x.transpose(*summed, *kept).reshape(rows, -1) if kept else x.reshape(-1)
    columns = normalised(x)
    deviations = record("deviations", columns.z, scale=52).reshape(*out)
    return deviations, (columns.units**2 / (rows - ddof)).reshape(out)
