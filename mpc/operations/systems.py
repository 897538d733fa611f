"""Linear systems: what regressions are solved by. Matrices are semidefinite, brought to the form of correlations.

`mpc/circuits/solve.py` says why nothing overflows whatever the data, and what of results is right.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mpc.circuits.builder import Bits, Ring
from mpc.circuits.fixed import Fixed
from mpc.circuits.solve import correlations, greatest_inverse, greatest_solution, inverse, solution
from mpc.circuits.wide import LIMB_BITS
from mpc.errors import PlanError
from mpc.operations.arithmetic import Multiply
from mpc.operations.base import Circuit, Params, meet
from mpc.types import Domain, Shape, Type
from protocols.ring import Array

__all__ = ["Correlations", "Inverse", "LongProduct", "Solution"]

_MOST_SIZE = 64
_MOST_BITS = 24

_DIGITS = 52
"""Bits of a result, its sign not included."""

_UNITS = 4
"""Of the last bit, that roundings add."""


class _System(Circuit):
    """A function of matrices and vectors, with as many fractional bits as its bound leaves."""

    @abstractmethod
    def bound(self, inputs: Sequence[Type], params: Params) -> Fraction:
        """What no result exceeds. Raises PlanError for inputs of other shapes."""

    @abstractmethod
    def numbers(self, *operands: NDArray[np.float64]) -> NDArray[np.float64]:
        """The result in floating point."""

    @abstractmethod
    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        """The circuit's result, with as many fractional bits or others."""

    def shape(self, inputs: Sequence[Type]) -> Shape:
        """The result's shape."""
        return inputs[0].shape

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        if any(x.domain.divisor != 1 for x in inputs):
            raise PlanError(f"{self.name}: numbers with a divisor")
        bound = self.bound(inputs, params)
        scale = max(0, _DIGITS - (math.ceil(bound) - 1).bit_length())
        most = math.ceil(bound * (1 << scale)) + _UNITS
        return Type(meet([x.visibility for x in inputs]), self.shape(inputs), Domain("real", scale), -most, most)

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        return max(x.bits for x in inputs) + LIMB_BITS

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        operands = [np.ldexp(x.view(np.int64), -type_.domain.scale) for x, type_ in zip(inputs, types, strict=True)]
        type_ = self.infer(types, params)
        most = type_.high / type_.domain.denominator
        words = np.rint(np.ldexp(np.clip(self.numbers(*operands), -most, most), type_.domain.scale)).astype(np.int64)
        return words.view(np.uint64)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        scale = self.infer(types, params).domain.scale
        fixed = [
            Fixed(x.ring(), type_.domain.scale, max(abs(type_.low), abs(type_.high)))
            for x, type_ in zip(operands, types, strict=True)
        ]
        return self.circuit(fixed, scale, params).at(scale).words


class Correlations(_System):
    """c_ij f_i f_j of a semidefinite c, for c_ii f_i^2 at most 1."""

    name = "correlations"
    arity = 2

    def bound(self, inputs: Sequence[Type], params: Params) -> Fraction:
        _check(inputs, self.name)
        return Fraction(2)  # 1 but for the roundings of c and f

    def numbers(self, *operands: NDArray[np.float64]) -> NDArray[np.float64]:
        c, f = operands
        return np.asarray(c * f[:, None] * f)

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        c, f = operands
        return correlations(c, f, scale)


class Inverse(_System):
    """X close to the inverse of correlations R that have no eigenvalue below 2^-bits.

    Whether they have none, the trace of I - R X tells, which is below 2^-12 then.
    """

    name = "inverse"
    arity = 1
    parameters = {"bits": int}

    def bound(self, inputs: Sequence[Type], params: Params) -> Fraction:
        _check(inputs, self.name)
        if not 1 <= params["bits"] <= _MOST_BITS:
            raise PlanError(f"{self.name}: eigenvalues down to 2^-{params['bits']}")
        return Fraction(1 << greatest_inverse(inputs[0].shape[0], params["bits"]))

    def numbers(self, *operands: NDArray[np.float64]) -> NDArray[np.float64]:
        values, vectors = np.linalg.eigh(operands[0])
        kept = np.where(values > 2.0**-_MOST_BITS, values, 1)
        return np.asarray(vectors * np.where(values > 2.0**-_MOST_BITS, 1 / kept, 0) @ vectors.T)

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        return inverse(operands[0], params["bits"])


class Solution(_System):
    """R^-1 c, for correlations R and X their `inverse`; c: the correlations of one more variable with these."""

    name = "solution"
    arity = 3
    parameters = {"bits": int}

    def shape(self, inputs: Sequence[Type]) -> Shape:
        return inputs[2].shape

    def bound(self, inputs: Sequence[Type], params: Params) -> Fraction:
        _check(inputs, self.name)
        if not 1 <= params["bits"] <= _MOST_BITS:
            raise PlanError(f"{self.name}: eigenvalues down to 2^-{params['bits']}")
        return Fraction(1 << greatest_solution(inputs[0].shape[0], params["bits"]))

    def numbers(self, *operands: NDArray[np.float64]) -> NDArray[np.float64]:
        r, x, c = operands
        b = x @ c
        return np.asarray(b + x @ (c - r @ b))

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        r, x, c = operands
        return solution(r, x, c, params["bits"])


class LongProduct(_System):
    """x * y, element by element, with `fraction` bits behind the point, however many the planner gives products."""

    name = "long_product"
    arity = 2
    elementwise = True
    parameters = {"fraction": int}

    def bound(self, inputs: Sequence[Type], params: Params) -> Fraction:
        type_ = self.infer(inputs, params)
        return Fraction(max(-type_.low, type_.high), type_.domain.denominator)

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        exact, fraction = Multiply().infer(inputs, {}), params["fraction"]
        if not 0 <= fraction <= 1 << 10 or exact.domain.divisor != 1:
            raise PlanError(f"{self.name}: {fraction} fractional bits, a divisor of {exact.domain.divisor}")
        unit = Fraction(2) ** (fraction - exact.domain.scale)
        low, high = math.floor(exact.low * unit) - _UNITS, math.ceil(exact.high * unit) + _UNITS
        return replace(exact, domain=Domain("real", fraction), low=low, high=high)

    def numbers(self, *operands: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(operands[0] * operands[1])

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        x, y = operands
        return x.times(y, scale)


class Rounded(_System):
    """x with `fraction` bits behind the point, whatever the planner would give it."""

    name = "rounded"
    arity = 1
    elementwise = True
    parameters = {"fraction": int}

    def bound(self, inputs: Sequence[Type], params: Params) -> Fraction:
        (x,) = inputs
        return Fraction(max(abs(x.low), abs(x.high)), x.domain.denominator)

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        return _with_fraction(inputs[0], params["fraction"], self.name)

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        return inputs[0].bits + 1

    def numbers(self, *operands: NDArray[np.float64]) -> NDArray[np.float64]:
        return operands[0]

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        return operands[0].at(scale)


class Step(_System):
    """v + D X D g, for X the inverse of correlations and D = diag(factors): a step to where g = D^-1 R D^-1 (v' - v).

    No element of D g counts for more than 2^most_score, and none of the result is further than 2^most.
    """

    name = "step"
    arity = 4
    parameters = {"most_score": int, "most": int, "fraction": int}

    def shape(self, inputs: Sequence[Type]) -> Shape:
        return inputs[0].shape

    def bound(self, inputs: Sequence[Type], params: Params) -> Fraction:
        v, x, factors, g = inputs
        _check([x, v, factors, g], self.name)
        if not (0 <= params["most_score"] <= 32 and 0 <= params["most"] <= 16 and 0 <= params["fraction"] <= 36):
            raise PlanError(f"{self.name}: {dict(params)}")
        return Fraction(1 << params["most"])

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        most = 1 << params["most"] + params["fraction"]
        ...

    def numbers(self, *operands: NDArray[np.float64]) -> NDArray[np.float64]:
        raise NotImplementedError


def _check(inputs: Sequence[Type], name: str) -> None:
    """Matrices of one size, and vectors of it behind them."""
    size = inputs[0].shape[0] if inputs[0].shape else 0
    if not 1 <= size <= _MOST_SIZE or any(x.shape not in ((size, size), (size,)) for x in inputs):
        raise PlanError(
            f"{name}: {' and '.join(str(x.shape) for x in inputs)} are no system of 1 to {_MOST_SIZE} equations",
            "Use fewer columns.",
        )
