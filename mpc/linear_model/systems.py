"""Semidefinite systems as regressions have them, in the form of correlations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mpc.functions import absolute, maximum
from mpc.stats.columns import normalised, secret
from mpc.stats.precise import function, product
from mpc.values import Value, record

__all__ = ["BITS", "System", "expected", "shortened", "weighted"]

BITS = 16
"""Correlations with an eigenvalue below 2^-BITS count as singular, unless said otherwise."""


@dataclass(frozen=True)
class System:
    """A = D R D for correlations R, with the factors 1 / D."""

    r: Value
    factors: Value
    bits: int = BITS
    short: bool = False

    @cached_property
    def x(self) -> Value:
        """Close to the inverse of R, where it is regular."""
        return record("inverse", self.r, bits=self.bits, short=int(self.short))

    def regular(self, most: float = 2.0**-12) -> Value:
        """Whether the trace of I - R X is below `most`: 2^-12 if R has no eigenvalue below 2^-bits, 1 if one is 0."""
        trace = self.r.shape[0] - (self.r * self.x).sum()
        return absolute(trace) < most

    def solution(self, beside: Value) -> Value:
        """R^-1 c for the correlations c of one more variable."""
        return record("solution", self.r, self.x, beside, bits=self.bits)

    def spreads(self) -> Value:
        """The roots of the diagonal of A^-1: standard errors for an error of variance 1."""
        diagonal = self.x.reshape(-1)[:: self.r.shape[0] + 1]
        return product(function("sqrt", maximum(diagonal, 0.5), precision=26), self.factors)


def shortened(penalties: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is added to sums over rows, with so many bits behind the point that it takes no digits from these."""
    return np.asarray(np.ldexp(np.rint(np.ldexp(penalties, 32)), -32))


def weighted(x: Value, y: Value, counts: NDArray[np.float64]) -> tuple[Value, float]:
    """The sum of x_i y_i counts_i, where counts are powers of two, and the unit that it has."""
    multiples = np.rint(counts / counts.min()).astype(np.int64)
    # as many digits as the sum has room for
    digits = 61 - int(multiples.max()).bit_length() - len(counts).bit_length()
    return (product(x, y, max(digits, 20)) * multiples).sum(), float(counts.min())


def expected(X: Value, coef: Value, intercept: Value | float, unit: float) -> Value:
    """X coef + intercept, to be multiplied by `unit`."""
    columns = normalised(secret(X, "predict", (2,)), about_middle=False)
    assert coef.unit is not None
    total = columns.z @ (coef.without_unit() * (coef.unit * columns.units / unit))
    if isinstance(intercept, Value):
        assert intercept.unit is not None
        total = total + intercept.without_unit() * (intercept.unit / unit)
    return total
