"""Semidefinite systems as regressions have them, brought to the form of correlations and solved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpc.functions import absolute, concat, maximum
from mpc.values import Value, record

__all__ = ["System"]

_ROUNDINGS = 2.0**-12
"""What the trace of I - R X is at most, where no eigenvalue of R is too small."""


@dataclass(frozen=True)
class System:
    """A = D R D, and a column beside it: correlations R, an X close to their inverse, factors 1 / D.

    `regular`: whether R has no eigenvalue below 2^-bits, and A no diagonal element that is too small.
    """

    r: Value
    x: Value
    factors: Value
    bits: int
    regular: Value
    beside: Value
    corner: Value

    @classmethod
    def of(cls, a: Value, least: float, most: float, bits: int = 20) -> System:
        """The system of a semidefinite matrix without its last row, which is the column beside it.

        `least`: of what A should have on its diagonal. `most`: of what there can be in the last place; its root is what
        the column is divided by.
        """
        size = a.shape[0] - 1
        diagonal = a.reshape(-1)[: -1 : size + 2]
        factors = record("rsqrt", maximum(diagonal, least), scale=104, precision=24)
        r = record("correlations", a, concat([factors, np.array([most**-0.5])]), scale=52)
        inner = r[:size, :size]
        x = record("inverse", inner, bits=bits, scale=52)
        trace = size - (inner * x).sum()
        regular = (diagonal >= least).all() & (absolute(trace) < _ROUNDINGS)
        return cls(inner, x, factors, bits, regular, r[:size, size], r[size, size])

    def solution(self) -> Value:
        """R^-1 times the column beside it, which is 1 / sqrt(most) D A^-1 a."""
        return record("solution", self.r, self.x, self.beside, bits=self.bits, scale=52)

    def spreads(self) -> Value:
        """The roots of the diagonal of A^-1."""
        size = self.r.shape[0]
        diagonal = self.x.reshape(-1)[:: size + 1]
        root = record("sqrt", maximum(diagonal, 0.5), scale=104, precision=24)
        return record("long_product", root, self.factors, scale=52)
