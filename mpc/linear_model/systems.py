"""Semidefinite systems as regressions have them, brought to the form of correlations and solved."""

from __future__ import annotations

from dataclasses import dataclass

from mpc.functions import absolute, maximum
from mpc.values import Value, record

__all__ = ["System"]

_ROUNDINGS = 2.0**-12
"""What the trace of I - R X is at most where R is not singular."""


@dataclass(frozen=True)
class System:
    """A = D R D: correlations R, X close to their inverse, and 1 / D.

    `regular`: whether no column is constant and no eigenvalue of R below 2^-bits, give or take one.
    """

    r: Value
    x: Value
    factors: Value
    bits: int
    regular: Value

    @classmethod
    def of(cls, a: Value, least: float, bits: int = 20) -> System:
        """The system of a semidefinite matrix, of which no diagonal element should be less than `least`."""
        diagonal = a.reshape(-1)[:: a.shape[0] + 1]
        factors = record("rsqrt", maximum(diagonal, least), scale=104, precision=24)
        r = record("correlations", a, factors, scale=52)
        x = record("inverse", r, bits=bits, scale=52)
        trace = a.shape[0] - (r * x).sum()
        regular = (diagonal >= least).all() & (absolute(trace) < _ROUNDINGS)
        return cls(r, x, factors, bits, regular)
