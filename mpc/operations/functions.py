"""Real functions, element by element: quotients, roots, exponentials, logarithms, logistic functions.

How far off a result may be follows from its grain, as `mpc.operations.real` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import ClassVar

import numpy as np

from mpc.circuits.approximation import value
from mpc.circuits.builder import Ring
from mpc.circuits.division import quotient, quotient_bits, reciprocal
from mpc.circuits.exponential import exponential
from mpc.circuits.fixed import Fixed
from mpc.circuits.logarithm import logarithm
from mpc.circuits.logistic import sigmoid
from mpc.circuits.roots import root, root_bits
from mpc.errors import PlanError
from mpc.operations.base import Params
from mpc.operations.real import Range, RealFunction, Reals, range_of, said
from mpc.types import RING_BITS, Type

__all__ = ["Exp", "Log", "Quotient", "Reciprocal", "Rsqrt", "Sigmoid", "Sqrt", "Tanh"]


class Quotient(RealFunction):
    """x / y, for a range of y without 0. The grain is the largest |x| through the largest |y|."""

    name = "quotient"
    arity = 2

    def image(self, *ranges: Range) -> Range:
        x, y = ranges
        _check_divisor(y, "x / y")
        corners = [numerator / denominator for numerator in x for denominator in y]
        return min(corners), max(corners)

    def grain(self, image: Range, *inputs: Type) -> Fraction:
        x, y = (max(map(abs, range_of(type_))) for type_ in inputs)
        return (x or 1) / y

    def numbers(self, *operands: Reals) -> Reals:
        return np.asarray(operands[0] / operands[1])

    def room(self, precision: int, *inputs: Type) -> int:
        x, y = inputs
        return quotient_bits(x.bits, y.low, y.high, precision)

    def crowding(self, inputs: Sequence[Type], params: Params) -> Sequence[int]:
        # the divisor's smallest values need their bits
        return (0,) if inputs[1].bits + 3 <= RING_BITS else (0, 1)

    def words(self, operands: Sequence[Ring], types: Sequence[Type], scale: int, precision: int) -> Fixed:
        (x, y), (x_type, y_type) = operands, types
        unit = Fraction(x_type.domain.denominator, y_type.domain.denominator)
        most = max(abs(x_type.low), abs(x_type.high))
        return quotient(x, most, y, y_type.low, y_type.high, unit, scale, precision)


class Reciprocal(RealFunction):
    """1 / x, for a range without 0. The grain is the smallest result: the error is relative."""

    name = "reciprocal"

    def image(self, *ranges: Range) -> Range:
        (x,) = ranges
        _check_divisor(x, "1 / x")
        return 1 / x[1], 1 / x[0]

    def grain(self, image: Range, *inputs: Type) -> Fraction:
        return min(map(abs, image))

    def numbers(self, *operands: Reals) -> Reals:
        return np.asarray(1 / operands[0])

    def words(self, operands: Sequence[Ring], types: Sequence[Type], scale: int, precision: int) -> Fixed:
        return reciprocal(operands[0], *_ends(types[0]), scale, precision)


class Sqrt(RealFunction):
    """The square root, from 0 on. The grain is the smallest result other than 0: the error is relative."""

    name = "sqrt"
    spare = 3

    def image(self, *ranges: Range) -> Range:
        low, high = ranges[0]
        if low < 0:
            raise PlanError(
                f"sqrt of a value within {said((low, high))}, which reaches below 0",
                "Raise it: mpc.maximum(x, 0), if what lies below comes from rounding alone.",
            )
        return value("sqrt", low), value("sqrt", high)

    def grain(self, image: Range, *inputs: Type) -> Fraction:
        return image[0] or value("sqrt", Fraction(1, inputs[0].domain.denominator))

    def numbers(self, *operands: Reals) -> Reals:
        return np.sqrt(operands[0])

    def room(self, precision: int, *inputs: Type) -> int:
        return root_bits(inputs[0].low, inputs[0].high, precision)

    def words(self, operands: Sequence[Ring], types: Sequence[Type], scale: int, precision: int) -> Fixed:
        return root("sqrt", operands[0], *_ends(types[0]), scale, precision)


class Rsqrt(RealFunction):
    """1 / sqrt(x), for a range above 0. The grain is the smallest result: the error is relative."""

    name = "rsqrt"
    spare = 3

    def image(self, *ranges: Range) -> Range:
        low, high = _positive(ranges[0], self.name)
        return value("rsqrt", high), value("rsqrt", low)

    def grain(self, image: Range, *inputs: Type) -> Fraction:
        return image[0]

    def numbers(self, *operands: Reals) -> Reals:
        return np.asarray(1 / np.sqrt(operands[0]))

    def room(self, precision: int, *inputs: Type) -> int:
        return root_bits(inputs[0].low, inputs[0].high, precision)

    def words(self, operands: Sequence[Ring], types: Sequence[Type], scale: int, precision: int) -> Fixed:
        return root("rsqrt", operands[0], *_ends(types[0]), scale, precision)


class Exp(RealFunction):
    """e^x. The grain is the smallest result: the error is relative."""

    name = "exp"
    _furthest: ClassVar[int] = 1 << 10

    def image(self, *ranges: Range) -> Range:
        low, high = ranges[0]
        if max(-low, high) > self._furthest:
            raise PlanError(f"exp of a value within {said((low, high))} is beyond all numbers", self.narrower)
        return value("exp", low), value("exp", high)

    def grain(self, image: Range, *inputs: Type) -> Fraction:
        return image[0]

    def numbers(self, *operands: Reals) -> Reals:
        return np.exp(operands[0])

    def room(self, precision: int, *inputs: Type) -> int:
        return inputs[0].bits + 4

    def words(self, operands: Sequence[Ring], types: Sequence[Type], scale: int, precision: int) -> Fixed:
        return exponential(operands[0], *_ends(types[0]), scale, precision)


class Log(RealFunction):
    """The natural logarithm, for a range above 0. The grain is 1, or the largest |result| if that is less."""

    name = "log"

    def image(self, *ranges: Range) -> Range:
        low, high = _positive(ranges[0], self.name)
        return value("log", low), value("log", high)

    def grain(self, image: Range, *inputs: Type) -> Fraction:
        return min(Fraction(1), max(map(abs, image)) or Fraction(1))

    def numbers(self, *operands: Reals) -> Reals:
        return np.log(operands[0])

    def words(self, operands: Sequence[Ring], types: Sequence[Type], scale: int, precision: int) -> Fixed:
        grain = self.grain(self.image(range_of(types[0])))
        return logarithm(operands[0], *_ends(types[0]), grain, scale, precision)


class Sigmoid(RealFunction):
    """1 / (1 + e^-x). The grain is 1: the error is absolute."""

    name = "sigmoid"

    def image(self, *ranges: Range) -> Range:
        return _logistic(ranges[0][0]), _logistic(ranges[0][1])

    def grain(self, image: Range, *inputs: Type) -> Fraction:
        return Fraction(1)

    def numbers(self, *operands: Reals) -> Reals:
        return np.asarray((1 + np.tanh(operands[0] / 2)) / 2)

    def room(self, precision: int, *inputs: Type) -> int:
        return inputs[0].bits + 4

    def words(self, operands: Sequence[Ring], types: Sequence[Type], scale: int, precision: int) -> Fixed:
        return sigmoid(operands[0], *_ends(types[0]), precision, scale)


class Tanh(RealFunction):
    """The hyperbolic tangent. The grain is 1: the error is absolute."""

    name = "tanh"

    def image(self, *ranges: Range) -> Range:
        return 2 * _logistic(2 * ranges[0][0]) - 1, 2 * _logistic(2 * ranges[0][1]) - 1

    def grain(self, image: Range, *inputs: Type) -> Fraction:
        return Fraction(1)

    def numbers(self, *operands: Reals) -> Reals:
        return np.tanh(operands[0])

    def room(self, precision: int, *inputs: Type) -> int:
        return inputs[0].bits + 4

    def words(self, operands: Sequence[Ring], types: Sequence[Type], scale: int, precision: int) -> Fixed:
        low, high, unit = _ends(types[0])
        # tanh(x) / 2 = sigmoid(2 x) - 1/2
        half = sigmoid(operands[0], low, high, 2 * unit, precision + 1, scale + 1).finer(1)
        return Fixed(half.words - (1 << half.scale - 1), half.scale - 1, half.bound)


def _ends(type_: Type) -> tuple[int, int, Fraction]:
    """The range in words, and what a word counts."""
    return type_.low, type_.high, Fraction(1, type_.domain.denominator)


def _logistic(x: Fraction) -> Fraction:
    """Beyond +-100 it is as at the end."""
    return value("sigmoid", max(min(x, Fraction(100)), Fraction(-100)))


def _check_divisor(y: Range, what: str) -> None:
    if y[0] <= 0 <= y[1]:
        raise PlanError(
            f"{what} for a divisor within {said(y)}, which holds 0",
            "Bring it above 0: mpc.maximum(y, 1), or mpc.where(y > 0, y, 1) and choose by y > 0 what to take.",
        )


def _positive(x: Range, name: str) -> Range:
    if x[0] <= 0:
        raise PlanError(
            f"{name} of a value within {said(x)}, which reaches 0",
            "Bring it above 0: mpc.maximum(x, 0.001), or mpc.where(x > 0, x, 1) and choose by x > 0 what to take.",
        )
    return x
