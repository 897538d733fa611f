"""Sums of squares and products about the mean, over rows: what variances, covariances and regressions are made of.

An owner computes them of its own rows in float64, about its own mean, so that nothing cancels. Over the rows of several
owners they are put together by a pass (`mpc/passes/moments.py`); columns of different owners are multiplied under
sharing (`mpc/circuits/moments.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mpc.circuits.builder import Bits, Ring
from mpc.circuits.moments import centred, comoment, counted_from, deviations, mean
from mpc.circuits.wide import LIMB_BITS
from mpc.errors import PlanError
from mpc.operations.base import Function, Params, check_shape, meet
from mpc.types import Domain, Shared, Type
from protocols.ring import Array

__all__ = ["Comoment", "Deviations", "Mean"]


class _Moment(Function):
    """A function of whole columns, rows first. `scale`: fractional bits of the result."""

    elementwise = False
    parameters = {"scale": int}
    most_bits = 52

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        shared = [x for x in inputs if isinstance(x.visibility, Shared)]
        return max((x.bits + x.shape[0].bit_length() + LIMB_BITS for x in shared), default=0)

    def encoded(self, values: NDArray[np.float64], types: Sequence[Type], params: Params) -> Array:
        """Numbers that the owner computed as ring words, within the inferred range."""
        type_ = self.infer(types, params)
        scaled = np.rint(np.ldexp(values, params["scale"]))
        return np.clip(scaled.astype(np.int64), type_.low, type_.high).view(np.uint64)


class Mean(_Moment):
    """The mean of every column of x, counted from `about`."""

    name = "mean"
    arity = 1
    parameters = {"about": float, "scale": int}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        _check(x, self.name)
        if not math.isfinite(params["about"]):
            raise PlanError(f"{self.name}: counted from no finite number")
        low, high = (Fraction(end, x.domain.denominator) - Fraction(params["about"]) for end in (x.low, x.high))
        return _real(inputs, x.shape[1:], low, high, params)

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        (x,) = inputs
        start = round(Fraction(params["about"]) * x.domain.denominator)
        furthest = max(abs(start), abs(x.low - start), abs(x.high - start))
        return max(super().working_bits(inputs, params), 1 + furthest.bit_length())

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return self.encoded(np.asarray(counted_from(inputs[0], types[0], params["about"]).mean(0)), types, params)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        total = mean(operands[0].ring(), types[0], params["scale"])
        about: int = round(Fraction(params["about"]) * (1 << params["scale"]))
        return total - about


class Deviations(_Moment):
    """The sum of squares about the mean of every column of x."""

    name = "deviations"
    arity = 1

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        _check(x, self.name)
        return _real(inputs, x.shape[1:], Fraction(0), x.shape[0] * _width(x) ** 2 / 4, params)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return self.encoded(np.asarray((centred(inputs[0], types[0]) ** 2).sum(0)), types, params)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        return deviations(operands[0].ring(), types[0], params["scale"])


class Comoment(_Moment):
    """The sum over rows of (x - mean x)(y - mean y), for every column of x and every column of y: x' y, centred."""

    name = "comoment"
    arity = 2
    owned = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        x, y = inputs
        _check(x, self.name)
        _check(y, self.name)
        if x.shape[0] != y.shape[0]:
            raise PlanError(
                f"{self.name}: {x.shape[0]} rows against {y.shape[0]}",
                "Columns of different parties are aligned by row position: their tables must have equally many rows.",
            )
        most = x.shape[0] * _width(x) * _width(y) / 4
        return _real(inputs, (*x.shape[1:], *y.shape[1:]), -most, most, params)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        x, y = (centred(words, type_) for words, type_ in zip(inputs, types, strict=True))
        return self.encoded(np.asarray(x.T @ y), types, params)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        x, y = (operand.ring() for operand in operands)
        return comoment(x, y, types, params["scale"])


def _check(x: Type, name: str) -> None:
    if not 1 <= len(x.shape) <= 2 or not x.shape[0]:
        raise PlanError(f"{name} takes a column or a matrix with rows, not the shape {x.shape}")


def _width(x: Type) -> Fraction:
    return Fraction(x.high - x.low, x.domain.denominator)


def _real(inputs: Sequence[Type], shape: tuple[int, ...], low: Fraction, high: Fraction, params: Params) -> Type:
    if not 0 <= params["scale"] <= 1 << 10:
        raise PlanError("a scale is not 0 to 1024")
    factor = 1 << params["scale"]
    visibility = meet([x.visibility for x in inputs])
    domain = Domain("real", params["scale"])
    return Type(visibility, check_shape(shape, "moments"), domain, math.floor(low * factor), math.ceil(high * factor))
