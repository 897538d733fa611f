"""Sums and products. Ranges by interval arithmetic; scales add in products; divisors are kept exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from mpc.errors import PlanError
from mpc.operations.base import Operation, Params, ProductOperation, align, aligned, broadcast, check_shape, meet
from mpc.types import Domain, Shape, Type
from protocols import ring
from protocols.products import Product
from protocols.ring import Array

__all__ = ["Add", "CumulativeSum", "Divide", "Matmul", "Multiply", "Negate", "Subtract", "Sum", "product_type"]


class Add(Operation):
    """x + y, elementwise with broadcasting."""

    name = "add"
    arity = 2
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        x, y = inputs
        domain, (x_factor, y_factor) = align(inputs)
        return Type(
            meet([x.visibility, y.visibility]),
            broadcast([x.shape, y.shape], self.name),
            domain,
            x.low * x_factor + y.low * y_factor,
            x.high * x_factor + y.high * y_factor,
        )

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        x, y = aligned(inputs, types)
        return ring.add(x, y)


class Subtract(Operation):
    """x - y, elementwise with broadcasting."""

    name = "subtract"
    arity = 2
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        x, y = inputs
        domain, (x_factor, y_factor) = align(inputs)
        return Type(
            meet([x.visibility, y.visibility]),
            broadcast([x.shape, y.shape], self.name),
            domain,
            x.low * x_factor - y.high * y_factor,
            x.high * x_factor - y.low * y_factor,
        )

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        x, y = aligned(inputs, types)
        return ring.subtract(x, y)


class Negate(Operation):
    """-x."""

    name = "negate"
    arity = 1
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        return replace(x, domain=align(inputs)[0], low=-x.high, high=-x.low)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return ring.negate(inputs[0])


class Multiply(ProductOperation):
    """x * y, elementwise with broadcasting."""

    name = "multiply"
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        x, y = inputs
        shape = broadcast([x.shape, y.shape], self.name)
        return product_type(x, y, shape, 1)

    def product(self, x: Shape, y: Shape) -> Product:
        return Product("multiply", x, y)


class Matmul(ProductOperation):
    """x @ y for 1-D and 2-D operands, as numpy.matmul. Two vectors give their dot product."""

    name = "matmul"

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        x, y = inputs
        if not (1 <= len(x.shape) <= 2 and 1 <= len(y.shape) <= 2):
            raise PlanError(f"matmul takes vectors and matrices, here are shapes {x.shape} and {y.shape}")
        if x.shape[-1] != y.shape[0]:
            raise PlanError(
                f"matmul: {x.shape} and {y.shape} do not match: {x.shape[-1]} against {y.shape[0]} rows",
                "Columns of different parties are aligned by row position: their tables must have equally many rows.",
            )
        shape = check_shape(self.product(x.shape, y.shape).out_shape, self.name)
        return product_type(x, y, shape, x.shape[-1])

    def product(self, x: Shape, y: Shape) -> Product:
        return Product("matmul", x, y)


class Sum(Operation):
    """The sum over some axes, which go. `axes`: increasing, each from 0."""

    name = "sum"
    arity = 1
    parameters = {"axes": (list, tuple)}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        axes = list(params["axes"])
        if not all(type(axis) is int and 0 <= axis < len(x.shape) for axis in axes) or axes != sorted(set(axes)):
            raise PlanError(f"sum: no such axes in shape {x.shape}: {axes[:8]}")
        terms = math.prod(x.shape[axis] for axis in axes)
        shape = tuple(length for axis, length in enumerate(x.shape) if axis not in axes)
        return replace(x, shape=shape, domain=align(inputs)[0], low=x.low * terms, high=x.high * terms)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return ring.sum(inputs[0], tuple(params["axes"]))


class CumulativeSum(Operation):
    """The sums of all elements up to each, along one axis."""

    name = "cumsum"
    arity = 1
    parameters = {"axis": int}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        if not 0 <= params["axis"] < len(x.shape):
            raise PlanError(f"cumsum: no axis {params['axis']} in shape {x.shape}")
        terms = x.shape[params["axis"]]
        return replace(x, domain=align(inputs)[0], low=min(x.low, x.low * terms), high=max(x.high, x.high * terms))

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return np.asarray(np.cumsum(inputs[0], axis=params["axis"], dtype=np.uint64))


class Divide(Operation):
    """x divided by a positive whole number: exact, for the divisor becomes part of the domain."""

    name = "divide"
    arity = 1
    elementwise = True
    parameters = {"by": int}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        if not 1 <= params["by"] < 1 << 63:
            raise PlanError("divide: the divisor must be at least 1 and below 2^63")
        return replace(x, domain=Domain("real", x.domain.scale, x.domain.divisor * params["by"]))

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        return inputs[0]


def product_type(x: Type, y: Type, shape: Shape, terms: int) -> Type:
    """The type of sums of so many products."""
    kind: Literal["integer", "real"] = "real" if "real" in (x.domain.kind, y.domain.kind) else "integer"
    corners = [x.low * y.low, x.low * y.high, x.high * y.low, x.high * y.high]
    domain = Domain(kind, x.domain.scale + y.domain.scale, x.domain.divisor * y.domain.divisor)
    return Type(meet([x.visibility, y.visibility]), shape, domain, min(corners) * terms, max(corners) * terms)
