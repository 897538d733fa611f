"""What a logistic regression computes over rows, where a product of two long numbers would not fit the ring.

Columns keep up to 32 bits behind the point; probabilities and coefficients 30, in two limbs of 15 that a product over
the rows takes side by side, so that the columns are masked once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpc.functions import concat, stack
from mpc.linear_model.systems import BITS, System, shortened
from mpc.stats.columns import check_rows, normalised
from mpc.stats.moments import spread
from mpc.stats.precise import function, mean, rounded
from mpc.values import Value, record

__all__ = ["FINE", "Rows"]

_LIMB = 15

FINE = 2 * _LIMB
"""Fractional bits of probabilities and coefficients."""

_PRECISION = 24
"""Bits that probabilities are right to. Errors go both ways along a row, and their mean is far less."""

_SUMS = 50
"""Bits of a sum over the rows."""

_LEAST = 2.0**-20
"""Of the largest variance that a declared range allows: what is below counts as all equal."""


@dataclass(frozen=True)
class Rows:
    """The rows. With an intercept, columns count from `means`, or what is near, so that it depends on no other.

    `weights`: of the squares of the coefficients. `sums`: fractional bits of sums over the rows.
    """

    z: Value
    y: Value
    means: Value | None
    units: NDArray[np.float64]
    weights: NDArray[np.float64]
    sums: int

    @classmethod
    def of(cls, X: Value, y: Value, C: float | None, fit_intercept: bool) -> Rows:
        """The rows of a matrix and their truth values; without C no penalty."""
        rows, count = X.shape
        check_rows(rows, 2, "a logistic regression")
        least = 0.0 if C is None else 1 / math.sqrt(C * rows)
        columns = normalised(X, least=least, about_middle=fit_intercept)
        columns.check_spread("fit")
        length = rows.bit_length()
        z = rounded(columns.z, min(32, 60 - length - _LIMB))
        means = rounded(mean(columns.z), FINE) if fit_intercept else None
        weights = np.zeros(count) if C is None else shortened(1 / (C * columns.units**2))
        return cls(z, y, means, columns.units, weights, _SUMS - length)

    def probabilities(self, v: Value) -> Value:
        """Of every row, for these coefficients, the intercept's first."""
        coef = v if self.means is None else v[1:]
        high, low = self._product(self.z, _limbs(coef))
        x = rounded(high, FINE) + rounded(low * 0.5**_LIMB, FINE)
        if self.means is not None:
            x = x + (v[0] - record("long_product", self.means, coef, fraction=FINE).sum())
        return rounded(function("sigmoid", x, precision=_PRECISION), FINE)

    def gradient(self, p: Value | float, v: Value | None) -> Value:
        """Of the log-likelihood less the penalty, at these probabilities and coefficients."""
        if isinstance(p, Value):
            upper, lower = _limbs(p)
            high, low = self._product(self.z.T, (self.y - upper, -lower))
            g = rounded(high, self.sums) + rounded(low * 0.5**_LIMB, self.sums)
        else:
            g = rounded(self.z.T @ (self.y - p), self.sums)
        if v is not None and self.weights.any():
            coef = v if self.means is None else v[1:]
            g = g - record("long_product", coef, self.weights, fraction=self.sums)
        if self.means is None:
            return g
        total = (self.y - p).sum()
        inner = g - record("long_product", self.means, total, fraction=self.sums)
        return concat([rounded(total, self.sums).reshape(1), inner])

    def hessian(self, p: Value | float, *, fine: bool = False) -> Value:
        """Of both, negated: fine as results want it, or as steps do."""
        w = record("long_product", p, 1 - p, fraction=FINE - 2) if isinstance(p, Value) else p * (1 - p)
        column = w.reshape(-1, 1) if isinstance(w, Value) else w
        if fine:
            wz = rounded(column * self.z, FINE)
            both = self.z.T @ concat(_limbs(wz), axis=1)
            high, low = both[:, : len(self.units)], both[:, len(self.units) :]
            inner = rounded(high, self.sums) + rounded(low * 0.5**_LIMB, self.sums)
        else:
            bits = 8 + self.sums
            z = rounded(self.z, bits // 2)
            wz = rounded(column * z, bits - bits // 2)
            inner = rounded(z.T @ wz, self.sums)
        inner = inner + np.diag(self.weights)
        return inner if self.means is None else self._bordered(inner, wz.sum(axis=0), w)

    def system(self, hessian: Value, bits: int = BITS, *, short: bool = False) -> tuple[System, Value]:
        """The system of a Hessian, and whether each column varies."""
        squares, varies = spread(hessian, _LEAST * len(self.y))
        factors = function("rsqrt", squares, precision=8)
        return System(record("correlations", hessian, factors), factors, bits, short), varies

    def _bordered(self, inner: Value, edge: Value, w: Value | float) -> Value:
        """The matrix of the intercept and of columns that count from their means, from that of the columns."""
        means, total = self.means, w.sum() if isinstance(w, Value) else w * len(self.y)
        assert means is not None
        moved = record("long_product", means, total, fraction=self.sums)
        # sum w (z - m)(z - m)' = sum w z z' - m u' - u m', u = sum w (z - m / 2)
        outer = record("long_product", means.reshape(-1, 1), edge - moved * 0.5, fraction=self.sums)
        border = edge - moved
        corner = total.reshape(1, 1) if isinstance(total, Value) else np.array([[total]])
        top = concat([corner, border.reshape(1, -1)], axis=1)
        return concat([top, concat([border.reshape(-1, 1), inner - outer - outer.T], axis=1)])

    def _product(self, z: Value, limbs: tuple[Value, Value]) -> tuple[Value, Value]:
        """z times each of two limbs."""
        both = z @ stack(limbs, axis=1)
        return both[:, 0], both[:, 1]


def _limbs(x: Value) -> tuple[Value, Value]:
    """x as upper + lower 2^-_LIMB."""
    upper = rounded(x, _LIMB)
    return upper, record("remainder", x, upper)
