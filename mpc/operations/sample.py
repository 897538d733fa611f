"""A random sample of a party's rows, which the owner draws and nobody else learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mpc.errors import PlanError
from mpc.operations.base import Operation, Params
from mpc.types import Private, Type
from protocols.ring import Array

__all__ = ["Sample"]


class Sample(Operation):
    """`size` of a column's `rows`, drawn by its owner without replacement, in the table's order.

    Columns of one table with the same size and `draw`, a number from 0, are sampled at the same rows.
    """

    name = "sample"
    arity = 1
    parameters = {"party": str, "table": str, "rows": int, "size": int, "draw": int}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        (x,) = inputs
        if x.visibility != Private(params["party"]) or x.shape != (params["rows"],):
            raise PlanError("sample: only a column of the party's table is sampled")
        if not 1 <= params["size"] <= params["rows"] or params["draw"] < 0:
            raise PlanError(
                f"sample: {params['size']} of {params['rows']:,} rows cannot be drawn", "Ask for 1 to all of them."
            )
        return replace(x, shape=(params["size"],))

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        raise TypeError("the owner draws its sample")
