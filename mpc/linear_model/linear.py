"""Least squares, with the words of scikit-learn: solved under sharing, so that neither X'X nor X'y is revealed.

Rows may lie with several parties, of which each reduces its own to a few numbers, or columns with several, whose
products are computed under sharing. All of it is done on columns that are brought to [-1, 1] by their declared ranges.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mpc.errors import ScriptError
from mpc.functions import dot, maximum
from mpc.linear_model.systems import System
from mpc.stats.columns import check_rows, normalised, secret
from mpc.stats.moments import LEAST_VARIANCE, flagged
from mpc.values import Value, record

__all__ = ["LinearRegression", "Ridge"]

_MOST = 2.0**12
"""Of a coefficient, where columns and target lie within [-1, 1]."""

_FUNCTION = {"scale": 104, "precision": 28}


class _LeastSquares:
    """What both have in common."""

    coef_: Value
    """The coefficients, one a column."""

    intercept_: Value | float
    """The intercept; 0 without one."""

    rsquared_: Value
    """The part of the target's variance that is explained; without an intercept, of its mean square."""

    def __init__(self, fit_intercept: bool) -> None:
        self.fit_intercept = fit_intercept

    def predict(self, X: Value) -> Value:
        """What is expected for each row of a matrix with the same columns."""
        if not hasattr(self, "coef_"):
            raise ScriptError("predict: there are no coefficients yet", "Call fit first.")
        columns = normalised(secret(X, "predict", (2,)), about_middle=False)
        coef = self.coef_.without_unit()
        relative = self.coef_.unit * columns.units / self._unit
        expected = columns.z @ (coef * relative)
        if isinstance(self.intercept_, Value):
            expected = expected + self.intercept_.without_unit()
        return Value(expected._trace, expected.step, expected.defined, np.array(self._unit))

    def _fit(self, X: Value, y: Value, alpha: float) -> tuple[System, Value, NDArray[np.float64]]:
        """Set the results. The system that is solved, which part of the target's mean square is left, and the units."""
        X, y = secret(X, "fit: X", (2,)), secret(y, "fit: y")
        rows, count = X.shape
        check_rows(rows, 2 if alpha else count + 1 + self.fit_intercept, f"a fit of {count} columns")
        least = [math.sqrt(alpha / rows)] * count + [0.0]
        columns = normalised(X, y, least=least, about_middle=self.fit_intercept)
        columns.check_spread("fit")
        units, self._unit = columns.units[:-1], float(columns.units[-1])
        products = columns.comoments()
        means = record("mean", columns.z, about=0.0, scale=52)
        if not self.fit_intercept:
            products = products + rows * (means.reshape(-1, 1) * means)
        if alpha:
            products = products + np.diag([*alpha / units**2, 0.0])
        system = System.of(products, LEAST_VARIANCE * rows, rows)
        solution = system.solution()

        root = math.sqrt(rows)
        ratios = record("long_product", solution, system.factors, scale=52)
        defined = system.regular & (abs(ratios) <= _MOST / root).all()
        ratios = ratios.clip(-_MOST / root, _MOST / root)
        scale = self._unit * root / units
        self.coef_ = Value(ratios._trace, ratios.step, defined, scale)
        self.intercept_ = 0.0
        if self.fit_intercept:
            centres = means + columns.middles / columns.units
            left = centres[-1] - dot(ratios, root * centres[:-1])
            self.intercept_ = Value(left._trace, left.step, defined, np.array(self._unit))

        explained = dot(system.beside, solution).clip(0, 1)
        total = maximum(system.corner, LEAST_VARIANCE)
        part = record("quotient", explained, total, **_FUNCTION)
        self.rsquared_ = flagged(part, defined & (system.corner >= LEAST_VARIANCE))
        return system, maximum(system.corner - explained, 0), scale


class LinearRegression(_LeastSquares):
    """Ordinary least squares, as sklearn.linear_model.LinearRegression.

    Coefficients are right to 6 digits where correlations between columns have no eigenvalue below 2^-14.
    """

    standard_errors_: Value
    """The standard errors of the coefficients, as `bse` of statsmodels' OLS."""

    def __init__(self, *, fit_intercept: bool = True) -> None:
        super().__init__(fit_intercept)

    def fit(self, X: Value, y: Value) -> Self:
        """Compute the coefficients. X: a matrix with rows first; y: a column of as many rows.

        What is computed is undefined where columns depend on each other (their correlations have an eigenvalue below
        2^-20), where one is all equal or has a standard deviation below 2^-16 of the width of its declared range, or
        where a coefficient is beyond 4096 times the ratio of the widths.
        """
        system, left, scale = self._fit(X, y, 0.0)
        freedom = X.shape[0] - X.shape[1] - self.fit_intercept
        root = record("sqrt", left, **_FUNCTION)
        errors = record("long_product", system.spreads(), root, scale=52)
        self.standard_errors_ = Value(errors._trace, errors.step, self.coef_.defined, scale / math.sqrt(freedom))
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
