"""Logistic regression, with the words of scikit-learn: Newton's steps under sharing, or cheaper gradient steps.

Nothing is revealed on the way. So the number of steps is said beforehand, and results are undefined if the last of them
still moved a coefficient. Gradient steps are scaled by the Hessian at the start, where it is largest: D. Böhning, B.
Lindsay, "Monotonicity of Quadratic-Approximation Algorithms" (Ann. Inst. Stat. Math., 1988).
They need no further inverse, never go too far, and converge linearly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mpc.elementwise import sigmoid
from mpc.errors import ScriptError
from mpc.functions import absolute, concat, dot, stack
from mpc.linear_model.systems import System, expected, weighted
from mpc.stats.columns import check_rows, normalised, secret
from mpc.stats.moments import spread
from mpc.values import Value, record

__all__ = ["LogisticRegression"]

_LEAST = 2.0**-20
"""Of the largest variance that a declared range allows: what is below counts as all equal."""

_MOST = 8
"""The exponent of what a coefficient is at most, where columns lie within [-1, 1]."""

_STEP_BITS = 10
"""Of the inverse that a step is computed with: what that is off by costs steps, not accuracy."""

_NEWTON, _GRADIENT = 10, 50

_TOLERANCE_BITS = 20


class LogisticRegression:
    """The probability that a truth value holds, by columns, as sklearn.linear_model.LogisticRegression for two classes.

    `penalty`: "l2" adds half the sum of squared coefficients and weights the rest with C; None adds nothing. `solver`:
    "newton" or "gradient", whose steps cost a quarter of the rounds, of which more are needed. `max_iter`: the number
    of steps, 10 or 50 if not said. `tol`: what the last step may move a coefficient in units of half its column's
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
        X, C = secret(X, "fit: X", (2,)), self.C if self.penalty else None
        design = _Design.of(X, _labels(y), C, self.fit_intercept, self.solver)
        v: Value | None = None
        for number in range(self.max_iter):
            p = design.probabilities(v)
            if number == 0 or self.solver == "newton":
                system, _ = design.system(p, _STEP_BITS)
            if number == 0:
                defined = system.regular(0.5)
            last = v
            v = design.moved(v, p, system, last=number == self.max_iter - 1)
        assert v is not None
        moved = absolute(v if last is None else v - last)
        tol = math.ceil(self.tol * 2**_TOLERANCE_BITS) / 2**_TOLERANCE_BITS
        defined = defined & (moved <= tol).all() & (absolute(v) < 1 << _MOST).all()

        first, scale = int(self.fit_intercept), 1 / design.units
        coef = v[first:]
        self.coef_ = Value(coef._trace, coef.step, defined, scale)
        self.intercept_ = 0.0
        if self.fit_intercept:
            raw = normalised(X, about_middle=False)
            means = record("mean", raw.z, about=0.0, scale=52)
            one = np.array([1.0])
            counts = np.concatenate([raw.units * scale, one])
            total, unit = weighted(concat([-coef, v[:1]]), concat([means, one]), counts)
            self.intercept_ = Value(total._trace, total.step, defined, np.array(unit))
        system, varies = design.system(design.probabilities(v), None)
        errors = system.spreads()[first:]
        self.standard_errors_ = Value(errors._trace, errors.step, defined & system.regular() & varies.all(), scale)
        return self

    def predict_proba(self, X: Value) -> Value:
        """For each row of a matrix with the same columns, the probabilities of false and true."""
        if not hasattr(self, "coef_"):
            raise ScriptError("predict_proba: there are no coefficients yet", "Call fit first.")
        p = sigmoid(expected(X, self.coef_, self.intercept_, 1.0))
        return stack([1 - p, p], axis=1)


@dataclass(frozen=True)
class _Bits:
    """Fractional bits of columns, probabilities, coefficients and sums over rows, so that all products fit the ring.

    Probabilities are rounded at random, so that they need fewer. Of coefficients the last of Newton's steps gives more.
    """

    x: int
    p: int
    v: int
    sums: int

    @classmethod
    def of(cls, rows: int, columns: int, solver: str) -> _Bits:
        """For so many rows and columns."""
        length = rows.bit_length()
        x = min(26, (58 - length) // 2 + 2) if solver == "newton" else min(22, (58 - length) // 2)
        return cls(x, min(26, 58 - length - x), min(28, 59 - _MOST - x - (2 * columns + 1).bit_length()), 50 - length)


@dataclass(frozen=True)
class _Design:
    """The rows. With an intercept, columns count from `means`, or what is near them, so that it depends on no other.

    `weights`: of the squares of the coefficients.
    """

    z: Value
    y: Value
    means: Value | None
    units: NDArray[np.float64]
    weights: NDArray[np.float64]
    bits: _Bits

    @classmethod
    def of(cls, X: Value, y: Value, C: float | None, fit_intercept: bool, solver: str) -> _Design:
        rows, count = X.shape
        check_rows(rows, 2, "a logistic regression")
        least = 0.0 if C is None else 1 / math.sqrt(C * rows)
        columns = normalised(X, least=least, about_middle=fit_intercept)
        columns.check_spread("fit")
        bits = _Bits.of(rows, count, solver)
        z = record("rounded", columns.z, fraction=bits.x)
        means = None
        if fit_intercept:
            means = record("rounded", record("mean", columns.z, about=0.0, scale=52), fraction=bits.x)
        weights = np.zeros(count) if C is None else np.ldexp(np.rint(np.ldexp(1 / (C * columns.units**2), 40)), -40)
        return cls(z, y, means, columns.units, weights, bits)

    def probabilities(self, v: Value | None) -> Value | float:
        """Of every row; 1/2 at the start."""
        if v is None:
            return 0.5
        x = self.z @ v if self.means is None else self.z @ v[1:] + (v[0] - dot(self.means, v[1:]))
        return record("rounded", record("sigmoid", x, scale=104, precision=28), fraction=self.bits.p)

    def moved(self, v: Value | None, p: Value | float, system: System, *, last: bool) -> Value:
        """The coefficients after a step."""
        rest = self.y - p
        g = record("rounded", self.z.T @ rest, fraction=self.bits.sums)
        if v is not None and self.weights.any():
            coef = v if self.means is None else v[1:]
            g = g - record("long_product", coef, self.weights, fraction=self.bits.sums)
        if self.means is not None:
            total = rest.sum()
            inner = g - record("long_product", self.means, total, fraction=self.bits.sums)
            g = concat([record("rounded", total, fraction=self.bits.sums).reshape(1), inner])
        start = np.zeros(len(g)) if v is None else v
        most_score = (64 * len(self.y) - 1).bit_length() // 2 + 1
        fraction = 36 if last else self.bits.v
        return record("step", system.x, start, system.factors, g, most_score=most_score, most=_MOST, fraction=fraction)

    def system(self, p: Value | float, bits: int | None) -> tuple[System, Value]:
        """The negative Hessian and the penalty's, and whether each column varies."""
        w = record("long_product", p, 1 - p, fraction=self.bits.p) if isinstance(p, Value) else p * (1 - p)
        wz = record("rounded", (w.reshape(-1, 1) if isinstance(w, Value) else w) * self.z, fraction=self.bits.p)
        hessian = record("rounded", self.z.T @ wz, fraction=self.bits.sums) + np.diag(self.weights)
        if self.means is not None:
            hessian = self._bordered(hessian, wz.sum(axis=0), w)
        squares, varies = spread(hessian, _LEAST * len(self.y))
        factors = record("rsqrt", squares, scale=104, precision=8)
        r = record("correlations", hessian, factors)
        return System(r, factors) if bits is None else System(r, factors, bits, short=True), varies

    def _bordered(self, inner: Value, edge: Value, w: Value | float) -> Value:
        """The matrix of the intercept and of columns that count from their means, from that of the columns."""
        means = self.means
        assert means is not None
        if isinstance(w, Value):
            total = w.sum()
            moved = record("long_product", means, total, fraction=self.bits.sums)
            corner = total.reshape(1, 1)
        else:
            moved = means * (w * len(self.y))
            corner = np.array([[w * len(self.y)]])  # type: ignore[assignment]  # public
        # sum w (z - m)(z - m)' = sum w z z' - m u' - u m'
        outer = record("long_product", means.reshape(-1, 1), edge - moved * 0.5, fraction=self.bits.sums)
        border = edge - moved
        top = concat([corner, border.reshape(1, -1)], axis=1)
        return concat([top, concat([border.reshape(-1, 1), inner - outer - outer.T], axis=1)])


def _labels(y: Value) -> Value:
    y = secret(y, "fit: y")
    if y.type.domain.kind == "real" or y.type.low < 0 or y.type.high > 1:
        raise ScriptError("fit: y is to hold truth values, or whole numbers 0 and 1", "Compare: y > 0.")
    return y
