"""Real numbers with fewer fractional bits: what the planner inserts where the ring has no room for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mpc.circuits.builder import Bits, Ring
from mpc.circuits.wide import LIMB_BITS, divided, rounded_product
from mpc.errors import PlanError
from mpc.operations.arithmetic import Matmul, Multiply
from mpc.operations.base import Circuit, Params, ProductOperation
from mpc.types import Domain, Type
from protocols.ring import Array

__all__ = ["MatmulRounded", "MultiplyRounded", "Rescale", "rounded"]


class Rescale(Circuit):
    """x with only `scale` fractional bits and no divisor; an error of at most two units of the last.

    One round where x is shared, two to divide as well.
    """

    name = "rescale"
    arity = 1
    elementwise = True
    parameters = {"scale": int}

    def unrounded(self, inputs: Sequence[Type]) -> Type:
        """The type before rounding."""
        return inputs[0]

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        return rounded(inputs[0], params["scale"], self.name)

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        # truncation takes numbers within +-2^62; two limbs need more room
        return inputs[0].bits + (1 if inputs[0].domain.divisor == 1 else LIMB_BITS)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return _nearest(inputs[0].view(np.int64).astype(np.float64), types[0], self.infer(types, params))

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        (x,) = types
        return divided(operands[0].ring(), x.bits, x.domain.scale - params["scale"], x.domain.divisor)


class _Rounded(Circuit):
    """A product with only `scale` fractional bits, for operands whose exact product the ring could not hold.

    The owner of both computes in float64: 52 significant bits. Shared operands are cut into limbs: an error of at most
    four units of the last bit, however many terms a product has.
    """

    arity = 2
    parameters = {"scale": int}
    exact: ProductOperation

    def unrounded(self, inputs: Sequence[Type]) -> Type:
        """The type before rounding."""
        return self.exact.infer(inputs, {})

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        exact = self.unrounded(inputs)
        # the exact product keeps the divisor, which only a rescaling takes away
        kept = rounded(replace(exact, domain=replace(exact.domain, divisor=1)), params["scale"], self.name)
        return replace(kept, domain=replace(kept.domain, divisor=exact.domain.divisor))

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        terms = inputs[0].shape[-1] if self.exact.name == "matmul" and inputs[0].shape else 1
        return max(x.bits for x in inputs) + (terms - 1).bit_length() + LIMB_BITS

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        x, y = (operand.view(np.int64).astype(np.float64) for operand in inputs)
        exact, type_ = self.unrounded(types), self.infer(types, params)
        product = x * y if self.exact.name == "multiply" else x @ y
        return _nearest(product, replace(exact, domain=replace(exact.domain, divisor=1)), type_)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        x, y = (operand.ring() for operand in operands)
        bits = sum(type_.domain.scale for type_ in types) - params["scale"]
        product = self.exact.product(x.shape, y.shape)
        return rounded_product(product, x, y, types[0].bits, types[1].bits, bits)


class MultiplyRounded(_Rounded):
    """x * y, rounded."""

    name = "multiply_rounded"
    elementwise = True
    exact = Multiply()


class MatmulRounded(_Rounded):
    """x @ y, rounded."""

    name = "matmul_rounded"
    exact = Matmul()


def rounded(x: Type, scale: int, name: str) -> Type:
    """The type of x with only `scale` fractional bits and no divisor, off by at most four units."""
    domain = Domain("real", scale)
    if x.domain.kind != "real" or not scale >= 0 or domain.denominator > x.domain.denominator:
        raise PlanError(f"{name}: from {x.domain.scale} to {scale} fractional bits is no rounding")
    low, high = (end * domain.denominator // x.domain.denominator for end in (x.low, x.high))
    return replace(x, domain=domain, low=low - 4, high=high + 4)


def _nearest(values: NDArray[np.float64], exact: Type, into: Type) -> Array:
    """Numbers of one type's encoding as the nearest of another's, within its range."""
    bits = exact.domain.scale - into.domain.scale
    scaled = np.rint(np.ldexp(values / exact.domain.divisor, -bits))
    return np.clip(scaled.astype(np.int64), into.low, into.high).view(np.uint64)
