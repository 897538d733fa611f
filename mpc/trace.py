"""Recording: what a script says becomes steps. Equal steps are recorded once."""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpc.errors import PlanError, ScriptError
from mpc.operations import Params
from mpc.plan import MAX_STEPS, Step
from mpc.types import Type

__all__ = ["PACKAGE", "Trace", "public_array", "whole"]

PACKAGE = str(Path(__file__).parent) + os.sep
"""Where this package's files lie; what lies elsewhere is a script."""


class Trace:
    """A growing list of steps with their types; the types' scales are settled later, by a pass."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.types: list[Type] = []
        self.origins: dict[int, str] = {}
        self.draws = count()
        """Numbers for random samples that are drawn apart."""
        self._known: dict[bytes, int] = {}

    def add(self, op: str, *inputs: int, **params: Any) -> int:
        """Record a step, unless it stands there already; its number."""
        return self.append(Step(op, inputs, params), _caller())

    def append(self, step: Step, origin: str = "") -> int:
        """Record a step said at `origin`; its number. Raises ScriptError when it does not fit its inputs."""
        key = msgpack.packb([step.op, step.inputs, sorted(step.params.items())])
        if key in self._known:
            return self._known[key]
        number = len(self.steps)
        if number >= MAX_STEPS:
            raise ScriptError(
                f"the script makes more than {MAX_STEPS:,} steps", "Write loops over rows as array operations."
            )
        try:
            type_ = step.infer(self.types)
        except PlanError as error:
            raise ScriptError(error.message, error.remedy) from None
        self.steps.append(step)
        self.types.append(type_)
        if origin:
            self.origins[number] = origin
        self._known[key] = number
        return number

    def constant(self, values: ArrayLike) -> int:
        """Record a public array or number."""
        array = public_array(values)
        if array.dtype.kind == "b":
            return self.add("constant", **{**constant_params(array.astype(np.int64)), "kind": "boolean"})
        if array.dtype.kind in "iu":
            return self.add("constant", **constant_params(_int64(array)))
        return self.add("constant", **constant_params(array.astype(np.float64)))


def public_array(values: ArrayLike) -> NDArray[Any]:
    """A public array of booleans, integers or floats. Raises ScriptError for anything else."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ScriptError("a list whose rows differ in length is no array", "Give rows of one length.") from None
    if array.dtype.kind not in "biuf":
        raise ScriptError(
            f"a value of type {type(values).__name__} ({array.dtype}) cannot be computed with",
            "Use numbers below 2^63, or numpy arrays of integers or floats.",
        )
    return array


def constant_params(array: NDArray[np.int64] | NDArray[np.float64], scale: int | None = None) -> Params:
    """The parameters of a `constant` step. Without a scale: the smallest that holds every value exactly, up to 52."""
    if array.dtype == np.int64:
        return {"shape": list(array.shape), "kind": "integer", "data": array.astype("<i8").tobytes(), "scale": 0}
    if scale is None:
        scale = next((s for s in (0, 1, 2, 4, 8, 16, 32) if whole(array, s)), 52)
    return {"shape": list(array.shape), "kind": "real", "data": array.astype("<f8").tobytes(), "scale": scale}


def whole(values: NDArray[Any], scale: int) -> bool:
    """Whether all values are whole numbers when multiplied by 2^scale."""
    with np.errstate(over="ignore"):
        scaled = np.ldexp(values, scale)
    return bool(np.all(np.isfinite(scaled)) and np.all(scaled == np.rint(scaled)))


def _int64(array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype == np.uint64 and array.size and array.max() >= 1 << 63:
        raise ScriptError("an integer constant is 2^63 or more", "Scale it down.")
    return array.astype(np.int64)


def _caller() -> str:
    """The file and line of the script that speaks: the nearest frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
