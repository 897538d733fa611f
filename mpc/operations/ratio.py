"""Quotients of which more is known than their operands' ranges tell, such as the mean of a secret number of values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from mpc.circuits.builder import Bits, Ring
from mpc.circuits.narrow import exponent
from mpc.errors import PlanError
from mpc.operations.base import Params
from mpc.operations.functions import Quotient
from mpc.types import Type

__all__ = ["Ratio"]


class Ratio(Quotient):
    """x / y, brought into [low, high] where it lies outside. The error is absolute: at most 2^-precision times the
    larger end.
    """

    name = "ratio"
    parameters = {**Quotient.parameters, "low": float, "high": float}
    most_bits = 0  # as many as the precision asks for: the ring holds the quotient before it is brought into its range

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        low, high = params["low"], params["high"]
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise PlanError(f"ratio: [{low}, {high}] is no range")
        units = 1 << params["scale"]
        ends = math.floor(Fraction(low) * units), math.ceil(Fraction(high) * units)
        return replace(super().infer(inputs, params), low=ends[0], high=ends[1])

    def least_scale(self, inputs: Sequence[Type], params: Params, precision: int) -> int:
        most = max(abs(params["low"]), abs(params["high"]))
        return max(0, precision + self.spare - exponent(Fraction(most)))

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        return max(super().working_bits(inputs, params), self._quotient_bits(inputs, params))

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        type_, bits = self.infer(types, params), self._quotient_bits(types, params)
        quotient = super().build(operands, types, params)
        below, above = quotient - type_.low, -quotient + type_.high
        return quotient - below.negative(bits).select(below) + above.negative(bits).select(above)

    def _quotient_bits(self, inputs: Sequence[Type], params: Params) -> int:
        """Of a signed integer that holds how far the quotient is from an end."""
        return max(super().infer(inputs, params).bits, self.infer(inputs, params).bits) + 1
