"""Tests of hypotheses: statistics and degrees of freedom, as scipy.stats has them.

A p-value is a public function of these: compute it from the revealed result, with `scipy.stats.t.sf` or `chi2.sf`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mpc.functions import maximum
from mpc.stats.columns import Columns, check_rows, normalised, secret
from mpc.stats.moments import LEAST_VARIANCE, flagged
from mpc.values import Value, record

__all__ = ["ChiSquare", "TTest", "chi2_contingency", "ttest_1samp", "ttest_ind"]

_FUNCTION = {"scale": 104, "precision": 32}


class TTest(NamedTuple):
    """A t statistic and its degrees of freedom."""

    statistic: Value
    df: Value | int


class ChiSquare(NamedTuple):
    """A chi-square statistic and its degrees of freedom."""

    statistic: Value
    dof: int


def ttest_1samp(x: Value, popmean: float) -> TTest:
    """Whether a column's mean is `popmean`. Undefined for a column that is all equal."""
    n = len(secret(x, "ttest_1samp"))
    check_rows(n, 2, "ttest_1samp")
    columns, mean, deviations, varies = _sample(x, "ttest_1samp")
    shift = (columns.middles[0] - popmean) / columns.units[0]
    t = (mean + shift) * record("rsqrt", deviations, **_FUNCTION)
    return TTest(_scaled(flagged(t, varies), math.sqrt(n * (n - 1))), n - 1)


def ttest_ind(x: Value, y: Value) -> TTest:
    """Whether two columns have the same mean, their variances may differ (Welch): scipy's with equal_var=False.

    Undefined where both columns are all equal.
    """
    sizes = [len(secret(column, "ttest_ind")) for column in (x, y)]
    check_rows(min(sizes), 2, "ttest_ind")
    (x_columns, x_mean, x_deviations, x_varies), (y_columns, y_mean, y_deviations, y_varies) = (
        _sample(column, "ttest_ind") for column in (x, y)
    )
    units = [columns.units[0] for columns in (x_columns, y_columns)]
    unit = max(units)
    weights = [(own / unit) ** 2 / (n * (n - 1)) for own, n in zip(units, sizes, strict=True)]
    largest = max(weights)
    x_part, y_part = (d * (w / largest) for d, w in zip((x_deviations, y_deviations), weights, strict=True))
    total = maximum(x_part + y_part, LEAST_VARIANCE)
    shift = (x_columns.middles[0] - y_columns.middles[0]) / unit
    difference = x_mean * (units[0] / unit) - y_mean * (units[1] / unit) + shift
    root = record("rsqrt", total, **_FUNCTION)
    t = difference * root
    share = (x_part * root * root).clip(0, 1)
    inverse = share * share / (sizes[0] - 1) + (1 - share) * (1 - share) / (sizes[1] - 1)
    df = record("reciprocal", maximum(inverse, 0.5 / (sum(sizes) - 2)), **_FUNCTION)
    varies = x_varies | y_varies
    return TTest(_scaled(flagged(t, varies), math.sqrt(1 / largest)), flagged(df, varies))


def chi2_contingency(observed: Value) -> ChiSquare:
    """Whether rows and columns of a table of counts are independent; without Yates' correction.

    As scipy's with correction=False. Undefined where a row or a column has no counts.
    """
    observed = secret(observed, "chi2_contingency", (2,))
    rows, columns = observed.sum(axis=1), observed.sum(axis=0)
    expected = rows.reshape(-1, 1) * columns
    parts = record("quotient", observed * observed, maximum(expected, 1), scale=104, precision=36)
    statistic = (parts.sum() - 1) * observed.sum()
    counted = (rows > 0).all() & (columns > 0).all()
    return ChiSquare(flagged(statistic, counted), (observed.shape[0] - 1) * (observed.shape[1] - 1))


def _sample(x: Value, what: str) -> tuple[Columns, Value, Value, Value]:
    """A column within [-1, 1]: its mean, its sum of squares about it, and whether that is more than nothing."""
    columns = normalised(x)
    columns.check_spread(what)
    deviations = record("deviations", columns.z, scale=52).reshape()
    least = LEAST_VARIANCE * columns.rows
    return columns, columns.z[:, 0].mean(), maximum(deviations, least), deviations >= least


def _scaled(value: Value, factor: float) -> Value:
    return Value(value._trace, value.step, value.defined, np.asarray(factor))
