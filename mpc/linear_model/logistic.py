"""Logistic regression, with the words of scikit-learn: Newton's steps under sharing, or cheaper gradient steps.

Nothing is revealed on the way. So the number of steps is said beforehand, and results are undefined if the last of them
still moved a coefficient. Gradient steps are scaled by the Hessian at the start, where it is largest: D. Böhning, B.
Lindsay, "Monotonicity of Quadratic-Approximation Algorithms" (Ann. Inst. Stat. Math., 1988).
They need no further inverse, never go too far, and converge linearly.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np

from mpc.elementwise import sigmoid
from mpc.errors import ScriptError
from mpc.functions import absolute, concat, stack
from mpc.linear_model.rows import FINE, Rows
from mpc.linear_model.systems import System, expected, weighted
from mpc.stats.columns import normalised, secret
from mpc.stats.precise import mean
from mpc.values import Value, record

__all__ = ["LogisticRegression"]

_MOST = 8
"""The exponent of what a coefficient is at most, where columns lie within [-1, 1]."""

_STEP_BITS = 10
"""Of the inverse that a step is computed with: what that is off by costs steps, not accuracy."""

_NEWTON, _GRADIENT = 12, 50
"""Steps, unless said otherwise."""

_TOLERANCE_BITS = 20


class LogisticRegression:
    """The probability that a truth value holds, by columns, as sklearn.linear_model.LogisticRegression for two classes.

    `penalty`: "l2" adds half the sum of squared coefficients and weights the rest with C; None adds nothing. `solver`:
    "newton" or "gradient", whose steps cost a quarter of the rounds, of which more are needed. `max_iter`: the number
    of steps, 12 or 50 if not said. `tol`: what the last step may move a coefficient in units of half its column's
    declared range; results are undefined if it moves one further, or one beyond 256 of these units, or if columns
    depend on each other.
    """

    coef_: Value
    """The coefficients, one a column."""

    intercept_: Value | float
    """The intercept; 0 without one."""

    standard_errors_: Value
    """The standard errors of the coefficients: from the inverse of the Hessian, with the penalty in it."""

    def __init__(
        self,
        penalty: str | None = "l2",
        *,
        C: float = 1.0,
        fit_intercept: bool = True,
        solver: str = "newton",
        max_iter: int | None = None,
        tol: float = 1e-4,
    ) -> None:
        if penalty not in ("l2", None):
            raise ScriptError(f"LogisticRegression: there is no penalty {penalty!r}", "Choose 'l2' or None.")
        if solver not in ("newton", "gradient"):
            raise ScriptError(f"LogisticRegression: there is no solver {solver!r}", "Choose 'newton' or 'gradient'.")
        if not (math.isfinite(C) and C > 0 and 2.0**-_TOLERANCE_BITS <= tol < 1):
            raise ScriptError(f"LogisticRegression: C={C} is not above 0, or tol={tol} not from 1e-6 to 1")
        self.penalty = penalty
        self.C = C
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter or (_NEWTON if solver == "newton" else _GRADIENT)
        self.tol = tol

    def fit(self, X: Value, y: Value) -> Self:
        """Compute the coefficients. X: a matrix with rows first; y: a column of as many truth values, or 0 and 1."""
        X = secret(X, "fit: X", (2,))
        rows = Rows.of(X, _labels(y), self.C if self.penalty else None, self.fit_intercept)
        system, _ = rows.system(rows.hessian(0.5), _STEP_BITS, short=True)
        regular = system.regular(0.5)
        last, v = None, self._moved(rows, system, 0.5, None)
        for _ in range(self.max_iter - 1):
            p = rows.probabilities(v)
            if self.solver == "newton":
                system, _ = rows.system(rows.hessian(p), _STEP_BITS, short=True)
            last, v = v, self._moved(rows, system, p, v)
        moved = absolute(v if last is None else v - last)
        tol = math.ceil(self.tol * 2**_TOLERANCE_BITS) / 2**_TOLERANCE_BITS
        defined = regular & (moved <= tol).all() & (absolute(v) < 1 << _MOST).all()

        coef = v[int(self.fit_intercept) :]
        self.coef_ = Value(coef._trace, coef.step, defined, 1 / rows.units)
        self.intercept_ = 0.0
        if self.fit_intercept:
            raw, one = normalised(X, about_middle=False), np.array([1.0])
            means = mean(raw.z)
            counts = np.concatenate([raw.units / rows.units, one])
            total, unit = weighted(concat([-coef, v[:1]]), concat([means, one]), counts)
            self.intercept_ = Value(total._trace, total.step, defined, np.array(unit))
        system, varies = rows.system(rows.hessian(rows.probabilities(v), fine=True))
        errors = system.spreads()[int(self.fit_intercept) :]
        defined = defined & system.regular() & varies.all()
        self.standard_errors_ = Value(errors._trace, errors.step, defined, 1 / rows.units)
        return self

    def _moved(self, rows: Rows, system: System, p: Value | float, v: Value | None) -> Value:
        """The coefficients after a step."""
        g = rows.gradient(p, v)
        start = np.zeros(len(g)) if v is None else v
        most_score = (64 * len(rows.y) - 1).bit_length() // 2 + 1
        limits = {"most_score": most_score, "most": _MOST, "fraction": FINE}
        return record("step", system.x, start, system.factors, g, **limits)

    def predict_proba(self, X: Value) -> Value:
        """For each row of a matrix with the same columns, the probabilities of false and true."""
        if not hasattr(self, "coef_"):
            raise ScriptError("predict_proba: there are no coefficients yet", "Call fit first.")
        p = sigmoid(expected(X, self.coef_, self.intercept_, 1.0))
        return stack([1 - p, p], axis=1)


def _labels(y: Value) -> Value:
    y = secret(y, "fit: y")
    if y.type.domain.kind == "real" or y.type.low < 0 or y.type.high > 1:
        raise ScriptError("fit: y is to hold truth values, or whole numbers 0 and 1", "Compare: y > 0.")
    return y
