"""Least squares, with the words of scikit-learn: solved under sharing, so that neither X'X nor X'y is revealed.

Rows may lie with several parties, of which each reduces its own to a few numbers, or columns with several, whose
products are computed under sharing. All of it is done on columns that are brought to [-1, 1] by their declared ranges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from mpc.errors import ScriptError
from mpc.functions import concat, dot, minimum
from mpc.linear_model.systems import System, expected, shortened, weighted
from mpc.stats.columns import check_rows, normalised, secret
from mpc.stats.moments import flagged, spread
from mpc.stats.precise import function, mean, product
from mpc.values import Value, record

__all__ = ["LinearRegression", "Ridge"]

_LEAST = 2.0**-24
"""Of the largest variance that a declared range allows: what is below counts as all equal."""

_MOST = 2.0**10
"""Of a coefficient, where columns and target lie within [-1, 1]."""


@dataclass(frozen=True)
class _Fit:
    """A fit. `beside`: correlations of the columns with the target; `solution`: coefficients, all variances being 1.

    `root`: that of the target's sum of squares, in its unit. `varies`: whether it is above 0.
    """

    system: System
    beside: Value
    solution: Value
    root: Value
    varies: Value


class _LeastSquares:
    """What both have in common."""

    coef_: Value
    """The coefficients, one a column."""

    intercept_: Value | float
    """The intercept; 0 without one."""

    def __init__(self, fit_intercept: bool) -> None:
        self.fit_intercept = fit_intercept

    def predict(self, X: Value) -> Value:
        """What is expected for each row of a matrix with the same columns."""
        if not hasattr(self, "coef_"):
            raise ScriptError("predict: there are no coefficients yet", "Call fit first.")
        total = expected(X, self.coef_, self.intercept_, self._unit)
        return Value(total._trace, total.step, total.defined, np.array(self._unit))

    def _fit(self, X: Value, y: Value, alpha: float = 0.0) -> _Fit:
        """Set coefficients and intercept."""
        X, y = secret(X, "fit: X", (2,)), secret(y, "fit: y")
        rows, count = X.shape
        check_rows(rows, 2 if alpha else count + 1 + self.fit_intercept, f"a fit of {count} columns")
        least = [math.sqrt(alpha / rows)] * count + [0.0]
        columns = normalised(X, y, least=least, about_middle=self.fit_intercept)
        columns.check_spread("fit")
        units, self._unit = columns.units[:-1], float(columns.units[-1])
        products = columns.comoments()
        if not self.fit_intercept:
            means = mean(columns.z)
            products = products + rows * product(means.reshape(-1, 1), means, 54 - rows.bit_length())
        if alpha:
            products = products + np.diag([*shortened(alpha / units**2), 0.0])
        squares, varies = spread(products, _LEAST * rows)
        factors = function("rsqrt", squares, precision=26)
        r = record("correlations", products, factors)
        system = System(r[:count, :count], factors[:count])
        solution = system.solution(r[:count, count])

        root = minimum(product(squares[count], factors[count]), 2 * math.isqrt(rows))
        ratios = product(product(solution, system.factors), root, 61)
        defined = system.regular() & varies[:count].all() & (abs(ratios) <= _MOST).all()
        ratios = ratios.clip(-_MOST, _MOST)
        self._scale = self._unit / units
        self.coef_ = Value(ratios._trace, ratios.step, defined, self._scale)
        self.intercept_ = self._intercept(X, y, ratios) if self.fit_intercept else 0.0
        return _Fit(system, r[:count, count], solution, root, varies[count])

    def _intercept(self, X: Value, y: Value, ratios: Value) -> Value:
        """The target's mean less what the columns' means explain of it."""
        columns = normalised(X, y, about_middle=False)
        means = mean(columns.z)
        counts = np.array([*self._scale * columns.units[:-1], columns.units[-1]])
        total, unit = weighted(concat([-ratios, np.array([1.0])]), means, counts)
        return Value(total._trace, total.step, self.coef_.defined, np.array(unit))


class LinearRegression(_LeastSquares):
    """Ordinary least squares, as sklearn.linear_model.LinearRegression.

    Coefficients are off by at most 2^-28 of the ratio of the declared widths, and by 6 digits of themselves.
    """

    standard_errors_: Value
    """The standard errors of the coefficients, as `bse` of statsmodels' OLS."""

    rsquared_: Value
    """The part of the target's variance that is explained; without an intercept, of its mean square."""

    def __init__(self, *, fit_intercept: bool = True) -> None:
        super().__init__(fit_intercept)

    def fit(self, X: Value, y: Value) -> Self:
        """Compute the coefficients. X: a matrix with rows first; y: a column of as many rows.

        What is computed is undefined where columns depend on each other (their correlations have an eigenvalue below
        2^-16), where one is all equal or has a standard deviation below 2^-13 of the width of its declared range, or
        where a coefficient is beyond 1024 times the ratio of the widths.
        """
        fit = self._fit(X, y)
        explained = dot(fit.beside, fit.solution).clip(0, 1)
        defined = self.coef_.defined
        assert defined is not None
        self.rsquared_ = flagged(explained, defined & fit.varies)
        left = function("sqrt", 1 - explained, precision=26)
        errors = product(product(fit.system.spreads(), left), fit.root, 61)
        freedom = X.shape[0] - X.shape[1] - self.fit_intercept
        self.standard_errors_ = Value(errors._trace, errors.step, defined, self._scale / math.sqrt(freedom))
        return self


class Ridge(_LeastSquares):
    """Least squares with `alpha` times the sum of squared coefficients added, as sklearn.linear_model.Ridge."""

    def __init__(self, alpha: float = 1.0, *, fit_intercept: bool = True) -> None:
        super().__init__(fit_intercept)
        if not (math.isfinite(alpha) and alpha > 0):
            raise ScriptError(f"Ridge: alpha={alpha} is not a positive number", "Without one, use LinearRegression.")
        self.alpha = float(alpha)

    def fit(self, X: Value, y: Value) -> Self:
        """Compute the coefficients. X: a matrix with rows first; y: a column of as many rows.

        Undefined as those of LinearRegression, where `alpha` does not prevent it.
        """
        self._fit(X, y, self.alpha)
        return self
