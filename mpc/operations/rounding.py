"""Real numbers with fewer fractional bits: what the planner inserts where the ring has no room for all of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mpc.circuits.builder import Bits, Ring
from mpc.circuits.wide import LIMB_BITS, divided, rounded_product
from mpc.errors import PlanError
from mpc.operations.arithmetic import Matmul, Multiply
from mpc.operations.base import Circuit, Params, ProductOperation
from mpc.types import PUBLIC, Domain, Type
from protocols.prg import Stream
from protocols.ring import Array

__all__ = ["MatmulRounded", "MultiplyRounded", "Rescale", "rounded", "scaled_product"]

_Integers = NDArray[np.int64]
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_BLOCK = 1 << 16


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

    The owner of both computes matrices in float64: 52 significant bits. Shared operands are cut into limbs: an error of
    at most four units of the last bit, however many terms a product has.
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
    """x * y, rounded. Their owner rounds at random, without bias: to the nearest would compare single rows."""

    name = "multiply_rounded"
    elementwise = True
    exact = Multiply()

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        exact, type_ = self.unrounded(types), self.infer(types, params)
        if exact.visibility == PUBLIC:  # all parties compute it, and alike
            return super().evaluate(inputs, types, params)
        x, y = (operand.reshape(-1).view(np.int64) for operand in np.broadcast_arrays(*inputs))
        bits, stream = exact.domain.scale - params["scale"], Stream(os.urandom(32))
        out = np.empty(x.size, np.int64)
        for start in range(0, x.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            product = scaled_product(x[block], y[block], bits, stream.words((2, len(x[block]))))
            np.clip(product, type_.low, type_.high, out=out[block])
        return out.reshape(exact.shape).view(np.uint64)


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


def scaled_product(x: _Integers, y: _Integers, bits: int, random: Array) -> _Integers:
    """x y / 2^bits, exact or one of its two neighbours, the upper one with the probability of the fraction.

    `random`: uniform words (2, ...). The quotient must fit 63 bits. Beyond 127 bits it is below a quarter, and 0.
    """
    if bits > 127:
        return np.zeros(x.shape, np.int64)
    a, b = np.abs(x).view(np.uint64), np.abs(y).view(np.uint64)
    low, middle, cross = (a & _LOW) * (b & _LOW), (a >> _32) * (b & _LOW), (a & _LOW) * (b >> _32)
    carried = (low >> _32) + (middle & _LOW) + (cross & _LOW)
    high = (a >> _32) * (b >> _32) + (middle >> _32) + (cross >> _32) + (carried >> _32)
    low = (low & _LOW) | carried << _32
    below, above = (np.uint64(2 ** min(max(bits - at, 0), 64) - 1) for at in (0, 64))
    added = low + (random[0] & below)
    high = high + (random[1] & above) + (added < low)
    shift = np.uint64(bits % 64)
    size = high >> shift if bits >= 64 else added >> shift
    if 0 < bits < 64:
        size |= high << np.uint64(64 - bits)
    numbers = size.view(np.int64)
    signed: _Integers = np.where((x < 0) != (y < 0), -numbers, numbers)
    return signed


def _nearest(values: NDArray[np.float64], exact: Type, into: Type) -> Array:
    """Numbers of one type's encoding as the nearest of another's, within its range."""
    bits = exact.domain.scale - into.domain.scale
    scaled = np.rint(np.ldexp(values / exact.domain.divisor, -bits))
    return np.clip(scaled.astype(np.int64), into.low, into.high).view(np.uint64)
