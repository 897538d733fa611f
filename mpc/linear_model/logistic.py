"""Logistic regression, with the words of scikit-learn: Newton's steps under sharing, or cheaper ones along the gradient.

Nothing is revealed on the way, so that how many steps there are is said beforehand; whether the last of them still moved
a coefficient is told by the results' being undefined. Gradient steps are measured by the Hessian where all is even, of
which no other Hessian is larger: D. Böhning, B. Lindsay, "Monotonicity of Quadratic-Approximation Algorithms" (Annals
of the Institute of Statistical Mathematics, 1988). They need no new inverse, and converge linearly.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np

from mpc.elementwise import sigmoid
from mpc.functions import absolute, concat, dot
from mpc.linear_model.systems import System, long_product, weighted
from mpc.stats.columns import normalised, secret
from mpc.stats.moments import spread
from mpc.values import Value, record

__all__ = ["LogisticRegression"]

_LEAST = 2.0**-24
_MOST = 2.0**8
"""Of a coefficient, where columns lie within [-1, 1]."""

_STEP_BITS = 10
"""Of the inverse that a step is computed with: what it is off by costs time, not accuracy."""

_MOST_SCORE = 8.0


class LogisticRegression:
    """The probability of a truth value by columns, as sklearn.linear_model.LogisticRegression for two classes.

    `penalty`: "l2" adds half the sum of squared coefficients, through C; None adds nothing. `solver`: "newton" or
    "gradient". `max_iter`: the number of steps, 10 unless said, or 50 along the gradient. `tol`: what the last step may
    move a coefficient, where columns are brought to [-1, 1]; the results are undefined if it moves one further.
    """

    coef_: Value
    intercept_: Value | float

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
        self.penalty = penalty
        self.C = C
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter or (10 if solver == "newton" else 50)
        self.tol = tol

    def fit(self, X: Value, y: Value) -> Self:
        X, y = secret(X, "fit: X", (2,)), secret(y, "fit: y")
        rows, count = X.shape
        least = 0.0 if self.penalty is None else 1 / math.sqrt(self.C * rows)
        columns = normalised(X, least=least, about_middle=self.fit_intercept)
        columns.check_spread("fit")
        z = columns.z
        weights = np.zeros(count) if self.penalty is None else 1 / (self.C * columns.units**2)
        means = record("mean", z, about=0.0, scale=52)
        a: Value | float = 0.0
        w: Value | None = None
        system: System | None = None
        for step in range(self.max_iter):
            p = 0.5 if w is None else sigmoid(z @ w + (a - dot(means, w)))
            rest = y - p
            g, g0 = z.T @ rest, rest.sum()
            if w is not None and self.penalty is not None:
                g = g - weights * w
            g = concat([g0.reshape(1), g - means * g0])
            if system is None or self.solver == "newton":
                system, _ = self._system(z, p, means, weights, _STEP_BITS)
                regular = system.regular if step == 0 else regular
            most = _MOST_SCORE * math.sqrt(rows)
            score = (g * system.factors).clip(-most, most)
            delta = long_product(system.x @ score, system.factors, 58)
            a = (a + delta[0]).clip(-_MOST, _MOST)
            w = (delta[1:] if w is None else w + delta[1:]).clip(-_MOST, _MOST)
        defined = (absolute(delta) <= math.ceil(self.tol * 2**20) / 2**20).all() & regular
        self.coef_ = Value(w._trace, w.step, defined, 1 / columns.units)
        raw = normalised(X, about_middle=False)
        centres = record("mean", raw.z, about=0.0, scale=52)
        total, unit = weighted(
            concat([-w, a.reshape(1)]), concat([centres, np.array([1.0])]), np.array([*raw.units / columns.units, 1.0])
        )
        self.intercept_ = Value(total._trace, total.step, defined, unit)
        last = sigmoid(z @ w + (a - dot(means, w)))
        system, varies = self._system(z, last, means, weights, 16)
        spreads = system.spreads()[1:]
        self.standard_errors_ = Value(
            spreads._trace, spreads.step, defined & system.regular & varies.all(), 1 / columns.units
        )
        return self

    def _system(self, z, p, means, weights, bits):
        w = p * (1 - p)
        wz = w.reshape(-1, 1) * z if isinstance(w, Value) else z * w
        h0 = w.sum() if isinstance(w, Value) else w * len(z)
        hzz = z.T @ wz
        h = wz.sum(axis=0)
        moved = means * h0
        u = h - moved * 0.5
        outer = means.reshape(-1, 1) * u
        hc = hzz - outer - outer.T
        hc = hc + np.diag(weights)
        border = h - moved
        corner = h0.reshape(1, 1) if isinstance(h0, Value) else np.array([[h0]])
        a = concat([concat([corner, border.reshape(1, -1)], axis=1), concat([border.reshape(-1, 1), hc], axis=1)])
        squares, varies = spread(a, _LEAST * len(z))
        factors = record("rsqrt", squares, scale=104, precision=24)
        r = record("correlations", a, factors)
        return System(r, factors, bits), varies
