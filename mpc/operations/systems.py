"""Linear systems: what regressions are solved by. Matrices are semidefinite, brought to the form of correlations.

`mpc/circuits/solve.py` says why nothing overflows whatever the data, and what of results is right. The planner leaves
the scales of these operations alone.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mpc.circuits.builder import Bits, Ring
from mpc.circuits.fixed import Fixed
from mpc.circuits.solve import correlations, greatest_inverse, greatest_solution, inverse, solution, step
from mpc.circuits.wide import LIMB_BITS
from mpc.errors import PlanError
from mpc.operations.base import Circuit, Operation, Params, broadcast, meet
from mpc.types import SHARED, Domain, Shape, Type
from protocols import ring
from protocols.ring import Array

__all__ = ["Correlations", "Inverse", "LongProduct", "Remainder", "Rounded", "Solution", "Step"]

_MOST_SIZE = 64
"""The most equations."""

_MOST_BITS = 24
"""Eigenvalues below 2^-24 are not told from 0."""

_DIGITS = 52
"""Bits of a result, its sign not included, where its fractional bits are not said."""

_UNITS = 4
"""Of the last bit, that roundings add."""

_Reals = NDArray[np.float64]


class _System(Circuit):
    """A function of numbers without divisors, with `fraction` bits behind the point, or as many as have room."""

    @abstractmethod
    def reach(self, inputs: Sequence[Type], params: Params) -> tuple[Fraction, Fraction]:
        """Between what all results lie. Raises PlanError for inputs of other shapes, or parameters out of range."""

    @abstractmethod
    def numbers(self, operands: Sequence[_Reals], params: Params) -> _Reals:
        """The result in floating point."""

    @abstractmethod
    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        """The circuit's result, with as many fractional bits or others."""

    def shape(self, inputs: Sequence[Type]) -> Shape:
        """The result's shape."""
        return inputs[0].shape

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        if any(x.domain.divisor != 1 for x in inputs):
            raise PlanError(f"{self.name}: numbers that were divided", "Multiply instead: x * 0.5 in place of x / 2.")
        low, high = self.reach(inputs, params)
        scale = params.get("fraction", max(0, _DIGITS - (math.ceil(max(-low, high)) - 1).bit_length()))
        if not 0 <= scale <= 1 << 10:
            raise PlanError(f"{self.name}: {scale} fractional bits")
        ends = math.floor(low * (1 << scale)) - _UNITS, math.ceil(high * (1 << scale)) + _UNITS
        return Type(meet([x.visibility for x in inputs]), self.shape(inputs), Domain("real", scale), *ends)

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        if meet([x.visibility for x in inputs]) != SHARED:
            return 0
        return max(x.bits for x in inputs) + LIMB_BITS

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        operands = [np.ldexp(x.view(np.int64), -type_.domain.scale) for x, type_ in zip(inputs, types, strict=True)]
        type_ = self.infer(types, params)
        ends = type_.low / type_.domain.denominator, type_.high / type_.domain.denominator
        numbers = np.clip(self.numbers(operands, params), *ends)
        return np.rint(np.ldexp(numbers, type_.domain.scale)).astype(np.int64).view(np.uint64)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        scale = self.infer(types, params).domain.scale
        fixed = [
            Fixed(x.ring(), type_.domain.scale, max(abs(type_.low), abs(type_.high)))
            for x, type_ in zip(operands, types, strict=True)
        ]
        return self.circuit(fixed, scale, params).at(scale).words


class Rounded(_System):
    """x with `fraction` bits behind the point."""

    name = "rounded"
    arity = 1
    elementwise = True
    parameters = {"fraction": int}

    def reach(self, inputs: Sequence[Type], params: Params) -> tuple[Fraction, Fraction]:
        return _range(inputs[0])

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        return inputs[0].bits + 1

    def numbers(self, operands: Sequence[_Reals], params: Params) -> _Reals:
        return operands[0]

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        return operands[0].at(scale)


class Remainder(Operation):
    """What rounding x to y took from it, in units of the last bit of y: the lower limb of x."""

    name = "remainder"
    arity = 2
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        x, y = inputs
        scale = x.domain.scale - y.domain.scale
        if scale < 0 or x.shape != y.shape or x.domain.divisor != 1 or y.domain.divisor != 1:
            raise PlanError(f"{self.name}: of {x.domain.scale} fractional bits after {y.domain.scale}")
        most = 1 << scale
        return Type(meet([x.visibility, y.visibility]), x.shape, Domain("real", scale), -most, most)

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        x, y = inputs
        return y.bits + x.domain.scale - y.domain.scale

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        x, y = inputs
        return ring.subtract(x, ring.multiply(y, np.uint64(1 << types[0].domain.scale - types[1].domain.scale)))


class LongProduct(_System):
    """x * y, element by element, with `fraction` bits behind the point: off by four units where both are shared."""

    name = "long_product"
    arity = 2
    elementwise = True
    parameters = {"fraction": int}

    def shape(self, inputs: Sequence[Type]) -> Shape:
        return broadcast([x.shape for x in inputs], self.name)

    def reach(self, inputs: Sequence[Type], params: Params) -> tuple[Fraction, Fraction]:
        x, y = (_range(type_) for type_ in inputs)
        corners = [one * other for one in x for other in y]
        return min(corners), max(corners)

    def numbers(self, operands: Sequence[_Reals], params: Params) -> _Reals:
        return np.asarray(operands[0] * operands[1])

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        x, y = operands
        return x.times(y, scale)


class Correlations(_System):
    """c_ij f_i f_j of a semidefinite c, for c_ii f_i^2 at most 1."""

    name = "correlations"
    arity = 2

    def reach(self, inputs: Sequence[Type], params: Params) -> tuple[Fraction, Fraction]:
        _check(inputs, self.name)
        return Fraction(-2), Fraction(2)  # 1 but for the roundings of c and f

    def numbers(self, operands: Sequence[_Reals], params: Params) -> _Reals:
        c, f = operands
        return np.asarray(c * f[:, None] * f)

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        c, f = operands
        return correlations(c, f, scale)


class Inverse(_System):
    """X close to the inverse of correlations R that have no eigenvalue below 2^-bits.

    Whether they have none, the trace of I - R X tells, which is below 2^-12 then. `short`: 1 for numbers of half a
    word, where less will do.
    """

    name = "inverse"
    arity = 1
    parameters = {"bits": int, "short": int}

    def reach(self, inputs: Sequence[Type], params: Params) -> tuple[Fraction, Fraction]:
        _check(inputs, self.name, params["bits"])
        most = Fraction(2) ** greatest_inverse(inputs[0].shape[0], params["bits"], params["short"] == 1)
        return -most, most

    def numbers(self, operands: Sequence[_Reals], params: Params) -> _Reals:
        values, vectors = np.linalg.eigh(operands[0])
        large = values > 2.0**-_MOST_BITS
        return np.asarray(vectors * np.where(large, 1 / np.where(large, values, 1), 0) @ vectors.T)

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        return inverse(operands[0], params["bits"], params["short"] == 1)


class Solution(_System):
    """R^-1 c, for correlations R and X their `inverse`; c: the correlations of one more variable with these."""

    name = "solution"
    arity = 3
    parameters = {"bits": int}

    def shape(self, inputs: Sequence[Type]) -> Shape:
        return inputs[2].shape

    def reach(self, inputs: Sequence[Type], params: Params) -> tuple[Fraction, Fraction]:
        _check(inputs, self.name, params["bits"])
        most = Fraction(2) ** greatest_solution(inputs[0].shape[0], params["bits"])
        return -most, most

    def numbers(self, operands: Sequence[_Reals], params: Params) -> _Reals:
        r, x, c = operands
        b = x @ c
        return np.asarray(b + x @ (c - r @ b))

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        r, x, c = operands
        return solution(r, x, c, params["bits"])


class Step(_System):
    """v + D X D g, for X the `inverse` of correlations R, D = diag(f): a step to where g is D^-1 R D^-1 (v' - v).

    No element of D g counts for more than 2^most_score, and none of the result is further from 0 than 2^most.
    """

    name = "step"
    arity = 4
    parameters = {"most_score": int, "most": int, "fraction": int}

    def shape(self, inputs: Sequence[Type]) -> Shape:
        return inputs[1].shape

    def reach(self, inputs: Sequence[Type], params: Params) -> tuple[Fraction, Fraction]:
        _check(inputs, self.name)
        if not (0 <= params["most_score"] <= 32 and 0 <= params["most"] <= 16):
            raise PlanError(f"{self.name}: scores up to 2^{params['most_score']}, results to 2^{params['most']}")
        most = Fraction(1 << params["most"])
        return -most, most

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        return max(max(x.bits for x in inputs[:-1]) + LIMB_BITS, inputs[-1].bits + 1)

    def numbers(self, operands: Sequence[_Reals], params: Params) -> _Reals:
        x, v, f, g = operands
        most = 2.0 ** params["most_score"]
        return np.asarray(v + f * (x @ np.clip(f * g, -most, most)))

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        x, v, f, g = operands
        return step(v, x, f, g, params["most_score"], params["most"])


def _range(x: Type) -> tuple[Fraction, Fraction]:
    return Fraction(x.low, x.domain.denominator), Fraction(x.high, x.domain.denominator)


def _check(inputs: Sequence[Type], name: str, bits: int = 1) -> None:
    """A matrix, and matrices and vectors of its size."""
    size = inputs[0].shape[0] if inputs[0].shape else 0
    if not 1 <= size <= _MOST_SIZE or any(x.shape not in ((size, size), (size,)) for x in inputs):
        raise PlanError(
            f"{name}: {' and '.join(str(x.shape) for x in inputs)} are no system of 1 to {_MOST_SIZE} equations",
            "Use fewer columns.",
        )
    if not 1 <= bits <= _MOST_BITS:
        raise PlanError(f"{name}: eigenvalues down to 2^-{bits}")
