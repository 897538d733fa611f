"""Noise for differential privacy: a shared value plus random numbers that no party knows all of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from mpc.errors import PlanError
from mpc.operations.base import Operation, Params, align
from mpc.types import SHARED, Type
from protocols.ring import Array

__all__ = ["Noisy"]


class Noisy(Operation):
    """x plus discrete noise, of every party whose data x depends on: Laplace where `delta` is 0, else Gaussian.

    How much follows from how far one unit can move x (`mpc/sensitivity.py`), `epsilon` above 0 and `delta` in [0, 1).
    `spread`: by how many times its width the range grows on each side; the planner sets it.
    """

    name = "noisy"
    arity = 1
    parameters = {"epsilon": float, "delta": float, "spread": float}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        epsilon, delta, spread = params["epsilon"], params["delta"], params["spread"]
        if not (math.isfinite(epsilon) and epsilon > 0):
            raise PlanError(f"noisy: epsilon must be a finite number above 0, not {epsilon}", "Write epsilon=1.0.")
        if not 0 <= delta < 1:
            raise PlanError(f"noisy: delta must be at least 0 and below 1, not {delta}", "Write delta=0 or delta=1e-6.")
        if not (math.isfinite(spread) and spread >= 0):
            raise PlanError("noisy: the spread is no width")
        most = math.ceil((x.high - x.low) * Fraction(spread))
        return replace(x, visibility=SHARED, domain=align(inputs)[0], low=x.low - most, high=x.high + most)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        raise TypeError("the parties draw noise")
