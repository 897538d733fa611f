"""What real functions have in common: accuracy, ranges, the owner's own computing.

A result r is off by at most 2^-precision max(|r|, grain), a quotient by the sum of the two in the place of the larger:
each function says what its grain is. The planner sets `precision` to the computation's own, and chooses `scale`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpc.circuits.builder import Bits, Ring
from mpc.circuits.fixed import Fixed
from mpc.circuits.narrow import exponent
from mpc.errors import PlanError
from mpc.operations.base import Function, Params, broadcast, meet
from mpc.operations.inputs import MAX_SCALE
from mpc.types import PUBLIC, RING_BITS, SHARED, Domain, Type
from protocols.ring import Array

__all__ = ["MOST_PRECISION", "RECORDED", "Range", "RealFunction", "Reals", "range_of", "said"]

MOST_PRECISION = 40
"""The most bits that a result can be right to."""

RECORDED: Params = MappingProxyType({"scale": 104, "precision": 0})
"""The parameters of a function as a script records it. The planner sets both, a precision of 0 to the computation's."""

_UNSETTLED = 20
"""The precision that ranges are told by until then."""

_UNITS = 4
"""Of the last bit: what roundings add to a result's range."""

_WORDS = -(2.0**63), 2.0**63 - 2.0**10
"""The ends of what fits a word, as float64."""

Range = tuple[Fraction, Fraction]
"""The ends of a range."""

Reals = NDArray[np.float64]


class RealFunction(Function):
    """What all have in common: an operand each, unless said otherwise."""

    arity = 1
    parameters = {"scale": int, "precision": int}

    spare: ClassVar[int] = 2
    """Bits behind the last that counts, so that roundings are a quarter of the error allowed."""

    @abstractmethod
    def image(self, *ranges: Range) -> Range:
        """The results' range, from the operands'. Raises PlanError where the function is not defined."""

    @abstractmethod
    def grain(self, image: Range, *inputs: Type) -> Fraction:
        """Below this results are right to as many bits behind the point as at it."""

    @abstractmethod
    def numbers(self, *operands: Reals) -> Reals:
        """The function in floating point."""

    @abstractmethod
    def words(self, operands: Sequence[Ring], types: Sequence[Type], scale: int, precision: int) -> Fixed:
        """The circuit's result, with any number of fractional bits; of more than `scale` one truncation makes them."""

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        scale, precision = params["scale"], params["precision"]
        if not 0 <= scale <= MAX_SCALE or not 0 <= precision <= MOST_PRECISION:
            raise PlanError(
                f"{self.name}: {precision} bits of precision, {scale} behind the point",
                f"Ask for 1 to {MOST_PRECISION} bits of precision.",
            )
        visibility = meet([x.visibility for x in inputs])
        if visibility == PUBLIC:
            raise PlanError(f"{self.name} of public values", "Compute it with numpy, before.")
        low, high = image = self.image(*map(range_of, inputs))
        grain, units, off = self.grain(image, *inputs), 1 << scale, Fraction(1, 1 << (precision or _UNSETTLED))
        low, high = low - max(abs(low), grain) * off, high + max(abs(high), grain) * off
        shape = broadcast([x.shape for x in inputs], self.name)
        return Type(visibility, shape, Domain("real", scale), low * units // 1 - _UNITS, -(-high * units // 1) + _UNITS)

    def least_scale(self, inputs: Sequence[Type], params: Params, precision: int) -> int:
        low, high = image = self.image(*map(range_of, inputs))
        most = max(abs(low), abs(high))
        scale = max(0, precision + self.spare - exponent(self.grain(image, *inputs)))
        if most * (1 << scale) >= 1 << RING_BITS - 1:
            raise PlanError(
                f"{self.name} over {' by '.join(said(range_of(x)) for x in inputs)} has results within {said(image)}: "
                f"{RING_BITS} bits do not hold the largest and the smallest to {precision} significant bits",
                self.narrower,
            )
        return scale

    narrower: ClassVar[str] = "Narrow the range first, with x.clip(low, high), or ask for fewer bits of precision."

    def working_bits(self, inputs: Sequence[Type], params: Params) -> int:
        if meet([x.visibility for x in inputs]) != SHARED:
            return 0
        return self.room(params["precision"], *inputs)

    def room(self, precision: int, *inputs: Type) -> int:
        """Bits that the circuit needs."""
        return inputs[0].bits + 3

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        type_ = self.infer(types, params)
        result = self.numbers(*(_decoded(x, x_type) for x, x_type in zip(inputs, types, strict=True)))
        units = np.clip(np.rint(np.ldexp(result, params["scale"])), *_WORDS).astype(np.int64)
        return np.clip(units, type_.low, type_.high).view(np.uint64)

    def build(self, operands: Sequence[Ring | Bits], types: Sequence[Type], params: Params) -> Ring:
        # whoever made the plan: no result has fewer bits than it promises
        if not params["precision"] or params["scale"] < self.least_scale(types, params, params["precision"]):
            raise PlanError(f"{self.name}: {params['scale']} bits behind the point are too few for its precision")
        if self.room(params["precision"], *types) > RING_BITS:
            raise PlanError(f"{self.name} could overflow on its way: its operands have too many bits")
        result = self.words([x.ring() for x in operands], types, params["scale"], params["precision"])
        return result.words.scaled(params["scale"] - result.scale)


def range_of(type_: Type) -> Range:
    """The range of a type, decoded."""
    return Fraction(type_.low, type_.domain.denominator), Fraction(type_.high, type_.domain.denominator)


def said(range_: Range) -> str:
    """A range as a person reads it, whatever its size."""
    low, high = (Decimal(end.numerator) / end.denominator for end in range_)
    return f"[{low:.6g}, {high:.6g}]"


def _decoded(x: Array, type_: Type) -> Reals:
    return np.asarray(np.ldexp(x.view(np.int64) / float(type_.domain.divisor), -type_.domain.scale))
