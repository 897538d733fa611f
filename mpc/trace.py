"""Recording: what a script says becomes steps. Equal steps are recorded once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpc.errors import PlanError, ScriptError
from mpc.operations import Params
from mpc.plan import MAX_STEPS, Step
from mpc.types import Type

__all__ = ["Trace"]

_PACKAGE = str(Path(__file__).parent)


class Trace:
    """A growing list of steps with their types; the types' scales are settled later, by a pass."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.types: list[Type] = []
        self.origins: dict[int, str] = {}
        self._known: dict[bytes, int] = {}

    def add(self, op: str, *inputs: int, **params: Any) -> int:
        """Record a step, unless it stands there already; its number."""
        return self.append(Step(op, inputs, params), _caller())

    def append(self, step: Step, origin: str = "") -> int:
        """Record a step said at `origin`; its number. Raises PlanError, with the origin, when it does not fit."""
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
            raise ScriptError(f"{origin}: {error.message}" if origin else error.message, error.remedy) from None
        self.steps.append(step)
        self.types.append(type_)
        if origin:
            self.origins[number] = origin
        self._known[key] = number
        return number

    def constant(self, values: ArrayLike) -> int:
        """Record a public array or number."""
        array = np.asarray(values)
        if array.dtype == np.bool_ or np.issubdtype(array.dtype, np.integer):
            return self.add("constant", **constant_params(_int64(array)))
        if not np.issubdtype(array.dtype, np.floating):
            raise ScriptError(
                f"{_caller()}: a value of type {type(values).__name__} ({array.dtype}) cannot be computed with",
                "Use numbers, or numpy arrays of integers or floats.",
            )
        return self.add("constant", **constant_params(array.astype(np.float64)))


def constant_params(array: NDArray[np.int64] | NDArray[np.float64], scale: int | None = None) -> Params:
    """The parameters of a `constant` step. Without a scale: the smallest that holds every value exactly, up to 52."""
    if array.dtype == np.int64:
        return {"shape": list(array.shape), "kind": "integer", "data": array.astype("<i8").tobytes(), "scale": 0}
    if scale is None:
        scale = next((s for s in (0, 1, 2, 4, 8, 16, 32) if _whole(np.ldexp(array, s))), 52)
    return {"shape": list(array.shape), "kind": "real", "data": array.astype("<f8").tobytes(), "scale": scale}


def _whole(values: NDArray[np.float64]) -> bool:
    return bool(np.all(np.isfinite(values)) and np.all(values == np.rint(values)))


def _int64(array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype == np.uint64 and array.size and array.max() >= 1 << 63:
        raise ScriptError(f"{_caller()}: an integer constant is 2^63 or more", "Scale it down.")
    return array.astype(np.int64)


def _caller() -> str:
    """The file and line of the script that speaks: the nearest frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
