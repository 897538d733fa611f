"""Linear systems: what regressions are solved by. Matrices are semidefinite, brought to the form of correlations.

`mpc/circuits/solve.py` says why nothing overflows whatever the data, and what of results is right.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpc.circuits.builder import Bits, Ring
from mpc.circuits.fixed import Fixed
from mpc.circuits.solve import correlations, greatest_inverse, greatest_solution, inverse, solution
from mpc.circuits.wide import LIMB_BITS
from mpc.errors import PlanError
from mpc.operations.base import Function, Params, broadcast, meet
from mpc.types import Domain, Shape, Type
from protocols.ring import Array

__all__ = ["Correlations", "Inverse", "LongProduct", "Solution"]

_MOST_SIZE = 64
_MOST_BITS = 24


class _System(Function):
    """A function of matrices and vectors. `scale`: fractional bits of the result."""

    elementwise = False
    parameters = {"scale": int}
    most_bits = 52

    _lost: ClassVar[int] = 8
    """Of the bits that a result could have, those that the planner may take."""

    @abstractmethod
    def bound(self, inputs: Sequence[Type], params: Params) -> int:
        """The exponent of a power of two that no result exceeds. Raises PlanError for inputs of other shapes."""

    @abstractmethod
    def numbers(self, *operands: NDArray[np.float64]) -> NDArray[np.float64]:
        """The result in floating point."""

    @abstractmethod
    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        """The circuit, with as many fractional bits or others."""

    def shape(self, inputs: Sequence[Type]) -> Shape:
        """The result's shape."""
        return inputs[0].shape

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        if not 0 <= params["scale"] <= 1 << 10 or any(x.domain.divisor != 1 for x in inputs):
            raise PlanError(f"{self.name}: numbers with a divisor, or a scale that is none")
        bound = 1 << params["scale"] + max(self.bound(inputs, params), -params["scale"])
        domain = Domain("real", params["scale"])
        return Type(meet([x.visibility for x in inputs]), self.shape(inputs), domain, -bound, bound)

    def least_scale(self, inputs: Sequence[Type], params: Params, precision: int) -> int:
        return max(0, self.most_bits - self._lost - 1 - self.bound(inputs, params))

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        return max(x.bits for x in inputs) + LIMB_BITS

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        operands = [np.ldexp(x.view(np.int64), -type_.domain.scale) for x, type_ in zip(inputs, types, strict=True)]
        type_ = self.infer(types, params)
        most = 2.0 ** self.bound(types, params)
        words = np.rint(np.ldexp(np.clip(self.numbers(*operands), -most, most), params["scale"])).astype(np.int64)
        return np.clip(words, type_.low, type_.high).view(np.uint64)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        fixed = [
            Fixed(x.ring(), type_.domain.scale, max(abs(type_.low), abs(type_.high)))
            for x, type_ in zip(operands, types, strict=True)
        ]
        return self.circuit(fixed, params["scale"], params).at(params["scale"]).words


class Correlations(_System):
    """c_ij f_i f_j of a semidefinite c, for c_ii f_i^2 at most 1."""

    name = "correlations"
    arity = 2

    def bound(self, inputs: Sequence[Type], params: Params) -> int:
        _check(inputs, self.name)
        return 1  # 1 but for the roundings of c and f

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
    parameters = {"bits": int, "scale": int}

    def bound(self, inputs: Sequence[Type], params: Params) -> int:
        _check(inputs, self.name)
        if not 1 <= params["bits"] <= _MOST_BITS:
            raise PlanError(f"{self.name}: eigenvalues down to 2^-{params['bits']}")
        return greatest_inverse(inputs[0].shape[0], params["bits"])

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
    parameters = {"bits": int, "scale": int}

    def shape(self, inputs: Sequence[Type]) -> Shape:
        return inputs[2].shape

    def bound(self, inputs: Sequence[Type], params: Params) -> int:
        _check(inputs, self.name)
        if not 1 <= params["bits"] <= _MOST_BITS:
            raise PlanError(f"{self.name}: eigenvalues down to 2^-{params['bits']}")
        return greatest_solution(inputs[0].shape[0], params["bits"])

    def numbers(self, *operands: NDArray[np.float64]) -> NDArray[np.float64]:
        r, x, c = operands
        b = x @ c
        return np.asarray(b + x @ (c - r @ b))

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        r, x, c = operands
        return solution(r, x, c, params["bits"])


class LongProduct(_System):
    """x * y, element by element, with as many bits as the ring has room for: a result, not to be computed with."""

    name = "long_product"
    arity = 2
    elementwise = True
    most_bits = 60

    def shape(self, inputs: Sequence[Type]) -> Shape:
        return broadcast([x.shape for x in inputs], self.name)

    def bound(self, inputs: Sequence[Type], params: Params) -> int:
        exponents = (max(abs(x.low), abs(x.high)).bit_length() - x.domain.scale for x in inputs)
        return sum(exponents)

    def numbers(self, *operands: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(operands[0] * operands[1])

    def circuit(self, operands: Sequence[Fixed], scale: int, params: Params) -> Fixed:
        return operands[0].times(operands[1], scale)


def _check(inputs: Sequence[Type], name: str) -> None:
    """Matrices of one size, and vectors of it behind them."""
    size = inputs[0].shape[0] if inputs[0].shape else 0
    if not 1 <= size <= _MOST_SIZE or any(x.shape not in ((size, size), (size,)) for x in inputs):
        raise PlanError(
            f"{name}: {' and '.join(str(x.shape) for x in inputs)} are no system of 1 to {_MOST_SIZE} equations",
            "Use fewer columns.",
        )
