"""Division: 1 / y as a polynomial on one octave; the octave gives a power of two."""

from __future__ import annotations

from fractions import Fraction

from mpc.circuits.approximation import Curve, polynomial
from mpc.circuits.builder import Ring
from mpc.circuits.fixed import Fixed
from mpc.circuits.normalise import normalised
from mpc.circuits.polynomials import evaluated

__all__ = ["quotient", "reciprocal"]
