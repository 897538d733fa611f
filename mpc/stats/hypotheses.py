"""Tests of hypotheses: statistics and degrees of freedom, as scipy.stats has them.

A p-value is a public function of these: compute it from the revealed result, with `scipy.stats.t.sf` or `chi2.sf`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mpc.errors import ScriptError
from mpc.functions import absolute, maximum
from mpc.stats.columns import check_rows, normalised, secret
from mpc.stats.moments import flagged
from mpc.stats.precise import function, mean, product
from mpc.values import Value, record

__all__ = ["ChiSquare", "TTest", "chi2_contingency", "ttest_1samp", "ttest_ind"]

_LEAST = 2.0**-24
"""Of the largest variance that declared ranges allow: below, samples count as all equal."""


class TTest(NamedTuple):
    """A t statistic and its degrees of freedom."""

    statistic: Value
    df: Value | int


class ChiSquare(NamedTuple):
    """A chi-square statistic and its degrees of freedom."""

    statistic: Value
    dof: int


def ttest_1samp(x: Value, popmean: float) -> TTest:
    """Whether a column's mean is `popmean`.

    Right to 8 digits; undefined for a column that is all equal, or with a standard deviation below 2^-13 of the width
    of its declared range.
    """
    sample = _Sample.of(x, "ttest_1samp")
    weight = 1 / (sample.rows * (sample.rows - 1))
    variance, unit = _combined([sample], [weight])
    difference = sample.mean + (sample.middle - popmean) / sample.unit
    t = _in_units(product(difference, _root(variance), 61), variance, sample.unit / unit)
    return TTest(t, sample.rows - 1)


def ttest_ind(x: Value, y: Value, equal_var: bool = True) -> TTest:
    """Whether two columns have the same mean; without `equal_var`, their variances may differ (Welch).

    Right to 8 digits; undefined where both columns are all equal, or nearly, as for `ttest_1samp`.
    """
    samples = [_Sample.of(column, "ttest_ind") for column in (x, y)]
    freedom = sum(sample.rows for sample in samples) - 2
    if equal_var:
        weights = [sum(1 / sample.rows for sample in samples) / freedom] * 2
    else:
        weights = [1 / (sample.rows * (sample.rows - 1)) for sample in samples]
    variance, unit = _combined(samples, weights)
    widest = max(sample.unit for sample in samples)
    one, other = (sample.mean * (sample.unit / widest) for sample in samples)
    difference = one - other + (samples[0].middle - samples[1].middle) / widest
    root = _root(variance)
    t = _in_units(product(difference, root, 61), variance, widest / unit)
    if equal_var:
        return TTest(t, freedom)
    part, _ = _combined(samples[:1], weights[:1], unit)
    share = product(part, product(root, root)).clip(0, 1)
    one, other = (
        product(product(each, each), 1 / (sample.rows - 1))
        for each, sample in zip((share, 1 - share), samples, strict=True)
    )
    inverse = one + other
    df = function("reciprocal", maximum(inverse, 0.5 ** (freedom.bit_length() + 1)), precision=30)
    return TTest(t, flagged(df, variance >= _LEAST))


def chi2_contingency(observed: Value, correction: bool = True) -> ChiSquare:
    """Whether rows and columns of a table of counts are independent. `correction`: Yates', for two rows and columns.

    Right to 6 digits, or behind the point, for up to 10^8 counts. Undefined where a row or a column has none.
    """
    observed = secret(observed, "chi2_contingency", (2,))
    if observed.type.domain.kind == "real" or observed.type.low < 0 or min(observed.shape) < 2:
        raise ScriptError("chi2_contingency takes a table of counts, two rows and two columns or more")
    rows, columns, total = observed.sum(axis=1), observed.sum(axis=0), observed.sum()
    freedom = (observed.shape[0] - 1) * (observed.shape[1] - 1)

    def ratio(x: Value, y: Value) -> Value:
        return function("quotient", x, maximum(y, 1), precision=34).clip(0, 1)

    # (O - E)^2 / E = N (O / R - C / N) (O / C - R / N) for E = R C / N
    across = ratio(observed, rows.reshape(-1, 1)) - ratio(columns, total)
    down = ratio(observed, columns) - ratio(rows, total).reshape(-1, 1)
    statistic = product(product(across, down).sum(), total)
    if correction and freedom == 1:
        # half is taken from each |O - E|, which are all the same
        distance = absolute(product(across[0, 0], rows[0]))
        kept = 1 - 0.5 * function("reciprocal", maximum(distance, 0.5))
        statistic = product(statistic, product(kept, kept))
    return ChiSquare(flagged(statistic, (rows > 0).all() & (columns > 0).all()), freedom)


@dataclass(frozen=True)
class _Sample:
    """A column as middle + unit z: the mean of z, and its sum of squares about that."""

    rows: int
    mean: Value
    deviations: Value
    middle: float
    unit: float

    @classmethod
    def of(cls, x: Value, what: str) -> _Sample:
        columns = normalised(secret(x, what))
        check_rows(columns.rows, 2, what)
        columns.check_spread(what)
        centre = mean(columns.z).reshape()
        deviations = record("deviations", columns.z, scale=52).reshape()
        return cls(columns.rows, centre, deviations, float(columns.middles[0]), float(columns.units[0]))


def _combined(samples: Sequence[_Sample], weights: Sequence[float], unit: float = 0.0) -> tuple[Value, float]:
    """The weighted sum of squares of some samples, about 1 at most, and the root of the unit that it then has."""
    factors = [weight * sample.unit**2 for sample, weight in zip(samples, weights, strict=True)]
    most = max(factor * sample.rows for factor, sample in zip(factors, samples, strict=True))
    unit = unit or math.sqrt(most)
    parts = (
        record("long_product", sample.deviations, factor / unit**2, fraction=48)
        for factor, sample in zip(factors, samples, strict=True)
    )
    first, *others = parts
    return sum(others, start=first), unit


def _root(variance: Value) -> Value:
    """The reciprocal of the root of a variance, at most 2^12."""
    return function("rsqrt", maximum(variance, _LEAST))


def _in_units(t: Value, variance: Value, unit: float) -> Value:
    """A statistic, defined where there is any variance."""
    return Value(t._trace, t.step, variance >= _LEAST, np.asarray(unit))
