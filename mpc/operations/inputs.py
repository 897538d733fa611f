"""Where values come from: a party's column, a table's row count, a constant of the script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mpc.errors import PlanError
from mpc.operations.base import Input, Params, check_shape
from mpc.types import INTEGER, PUBLIC, Domain, Private, Type
from protocols.ring import Array

__all__ = ["MAX_SCALE", "ColumnInput", "Constant", "RowCount", "constant_values"]

MAX_SCALE = 512


class ColumnInput(Input):
    """A column of one party's table: `rows` values, each within [low, high], encoded with `scale` fractional bits."""

    name = "column"
    parameters = {
        "party": str,
        "table": str,
        "column": str,
        "kind": str,
        "low": (int, float),
        "high": (int, float),
        "rows": int,
        "scale": int,
    }

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        low, high, scale = params["low"], params["high"], params["scale"]
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise PlanError(f"column {params['column']}: not a range: [{low}, {high}]")
        if params["kind"] not in ("integer", "real") or not 0 <= scale <= MAX_SCALE:
            raise PlanError(f"column {params['column']}: kind must be integer or real, scale 0 to {MAX_SCALE}")
        if params["kind"] == "integer" and (scale or not isinstance(low, int) or not isinstance(high, int)):
            raise PlanError(f"column {params['column']}: an integer column has whole bounds and no scale")
        factor = 1 << scale
        return Type(
            Private(params["party"]),
            check_shape([params["rows"]], f"column {params['column']}"),
            Domain(params["kind"], scale),
            math.floor(Fraction(low) * factor),
            math.ceil(Fraction(high) * factor),
        )


class RowCount(Input):
    """The number of rows of one party's table, as that party counts them."""

    name = "count"
    parameters = {"party": str, "table": str, "rows": int}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        check_shape([params["rows"]], f"count of {params['table']}")
        return Type(Private(params["party"]), (), INTEGER, params["rows"], params["rows"])


class Constant(Input):
    """An array that stands in the plan: int64 or float64 little endian, encoded with `scale` fractional bits."""

    name = "constant"
    parameters = {"shape": (list, tuple), "kind": str, "data": bytes, "scale": int}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        values = constant_values(params)
        kind, scale = params["kind"], params["scale"]
        if not 0 <= scale <= MAX_SCALE or (kind != "real" and scale):
            raise PlanError(f"constant: the scale must be 0 to {MAX_SCALE}, and 0 for integers")
        if kind == "boolean" and not np.isin(values, (0, 1)).all():
            raise PlanError("constant: a truth value is neither 0 nor 1")
        if not np.all(np.isfinite(values)):
            raise PlanError("constant: holds NaN or an infinity", "Remove it from the script's array.")
        low, high = (values.min().item(), values.max().item()) if values.size else (0, 0)
        factor = 1 << scale
        return Type(
            PUBLIC, values.shape, Domain(kind, scale), round(Fraction(low) * factor), round(Fraction(high) * factor)
        )

    def encoded(self, params: Params) -> Array:
        """The constant as ring elements. Its type must fit the ring."""
        values = constant_values(params)
        if params["kind"] != "real":
            return values.astype(np.int64).view(np.uint64)
        return np.rint(np.ldexp(values, params["scale"])).astype(np.int64).view(np.uint64)


def constant_values(params: Params) -> NDArray[np.int64] | NDArray[np.float64]:
    """A constant's values in their own units."""
    shape = check_shape(params["shape"], "constant")
    kinds = {"integer": "<i8", "boolean": "<i8", "real": "<f8"}
    if params["kind"] not in kinds or len(params["data"]) != 8 * math.prod(shape):
        raise PlanError("constant: its data do not match its kind and shape")
    return np.frombuffer(params["data"], kinds[params["kind"]]).reshape(shape)
