"""Where values change hands: a value becomes shared, a result is revealed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mpc.errors import PlanError
from mpc.operations.base import Operation, Params
from mpc.types import SHARED, Shared, Type
from protocols.ring import Array

__all__ = ["Reveal", "Share"]


class Share(Operation):
    """A private or public value becomes shared among all parties. Computed by the protocol, without a message."""

    name = "share"
    arity = 1
    elementwise = True

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        if isinstance(inputs[0].visibility, Shared):
            raise PlanError("share: the value is shared already")
        return inputs[0].seen_by(SHARED)

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        raise TypeError("the protocol shares values")


class Reveal(Operation):
    """A shared value is disclosed, under a name, to the recipients and to nobody else. Always the last thing done.

    `unit`: what the recipients multiply it by, a float64 for every element, little endian; or nothing.
    """

    name = "reveal"
    arity = 1
    elementwise = True
    parameters = {"name": str, "to": (list, tuple), "unit": bytes}

    def infer(self, inputs: Sequence[Type], params: Params) -> Type:
        to = list(params["to"])
        if not isinstance(inputs[0].visibility, Shared):
            raise PlanError("reveal: only shared values are revealed")
        if not to or not all(isinstance(name, str) for name in to) or to != sorted(set(to)):
            raise PlanError(f"reveal {params['name']}: recipients must be names, sorted, each once")
        unit = params["unit"]
        if unit and (len(unit) != 8 * inputs[0].size or not np.isfinite(np.frombuffer(unit, "<f8")).all()):
            raise PlanError(f"reveal {params['name']}: the unit is not one finite number an element")
        return inputs[0]

    def evaluate(self, inputs: Sequence[Array], types: Sequence[Type], params: Params) -> Array:
        raise TypeError("the engine reveals values")
