"""Semidefinite systems as regressions have them, in the form of correlations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mpc.functions import absolute, maximum
from mpc.values import Value, record

__all__ = ["BITS", "System", "long_product", "weighted"]

BITS = 16
"""Correlations with an eigenvalue below 2^-BITS count as singular, unless said otherwise."""

_ROUNDINGS = 2.0**-12
"""What the trace of I - R X is at most, where no eigenvalue of R is too small."""

_FUNCTION = {"scale": 104, "precision": 26}


@dataclass(frozen=True)
class System:
    """A = D R D for correlations R, with the factors 1 / D."""

    r: Value
    factors: Value
    bits: int = BITS

    @cached_property
    def x(self) -> Value:
        """Close to the inverse of R, where it is regular."""
        return record("inverse", self.r, bits=self.bits)

    @cached_property
    def regular(self) -> Value:
        """Whether R has no eigenvalue below 2^-bits, give or take a factor of two."""
        trace = self.r.shape[0] - (self.r * self.x).sum()
        return absolute(trace) < _ROUNDINGS

    def solution(self, beside: Value) -> Value:
        """R^-1 c for the correlations c of one more variable."""
        return record("solution", self.r, self.x, beside, bits=self.bits)

    def spreads(self) -> Value:
        """The roots of the diagonal of A^-1: standard errors for an error of variance 1."""
        diagonal = self.x.reshape(-1)[:: self.r.shape[0] + 1]
        return long_product(record("sqrt", maximum(diagonal, 0.5), **_FUNCTION), self.factors, 56)


def long_product(x: Value, y: Value, digits: int = 61) -> Value:
    """x * y with so many bits by their ranges, at most 56 where it is multiplied again."""
    reach = 1.0
    for type_ in (x.type, y.type):
        reach *= max(abs(type_.low), abs(type_.high)) / type_.domain.denominator
    return record("long_product", x, y, fraction=max(0, digits - math.frexp(reach)[1]))


def weighted(x: Value, y: Value, counts: NDArray[np.float64]) -> tuple[Value, float]:
    """The sum of x_i y_i counts_i, where counts are powers of two, and the unit that it has."""
    multiples = np.rint(counts / counts.min()).astype(np.int64)
    # as many digits as the sum has room for
    digits = 61 - int(multiples.max()).bit_length() - len(counts).bit_length()
    return (long_product(x, y, max(digits, 20)) * multiples).sum(), float(counts.min())
