"""Resolution: how many bits a real value is worth, and which values stand behind others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mpc.errors import PlanError
from mpc.operations import Function
from mpc.operations.inputs import MAX_SCALE, constant_values
from mpc.plan import Step
from mpc.trace import whole
from mpc.types import Type

__all__ = ["FIRST_SCALE", "adjustable", "columns_behind", "level", "magnitude_of", "most_bits", "sources"]

FIRST_SCALE = 52
"""Of real columns, as a script records them."""

_MOST_BITS = 52

_FURTHER = 4
"""Bits more where a range is far from 0, for its smallest value."""

_SMALLEST = _MOST_BITS - MAX_SCALE
"""The binary exponent of the smallest range that can still have all its bits."""

_MOVES = ("absolute", "concat", "index", "negate", "reshape", "sample", "stack", "transpose")
"""Operations that change no digit."""


def adjustable(step: Step) -> bool:
    """Whether the planner chooses the step's scale."""
    return "scale" in step.params and step.params.get("kind", "real") == "real"


def most_bits(step: Step) -> int:
    """The significant bits worth having. A column whose range is far from 0 has all digits that float64 has there."""
    if step.op == "column" and step.params["low"] * step.params["high"] > 0:
        least, most = sorted(math.frexp(step.params[end])[1] for end in ("low", "high"))
        return _MOST_BITS + 1 + min(most - least, _FURTHER)
    return step.operation.most_bits if isinstance(step.operation, Function) else _MOST_BITS


def magnitude_of(step: Step, types: Sequence[Type]) -> tuple[int, int]:
    """The bits before the point that the largest absolute value needs, negative for small ones; the finest scale."""
    if step.op not in ("column", "constant"):
        if isinstance(step.operation, Function):
            exact = replace(step, params={**step.params, "scale": MAX_SCALE}).infer(types)
        else:
            exact = step.operation.unrounded([types[j] for j in step.inputs])  # type: ignore[attr-defined]
        reach = max(abs(exact.low), abs(exact.high)) // exact.domain.divisor
        finest = exact.domain.scale + exact.domain.divisor.bit_length() - 1
        return reach.bit_length() - exact.domain.scale if reach else 0, finest
    if step.op == "column":
        largest = max(abs(step.params["low"]), abs(step.params["high"]))
        finest = MAX_SCALE
    else:
        values = constant_values(step.params)
        largest = float(abs(values).max()) if values.size else 0.0
        finest = int(step.params["scale"]) if whole(values, step.params["scale"]) else MAX_SCALE
    exponent = math.frexp(largest)[1] if largest else 0
    if exponent < _SMALLEST:
        raise PlanError(f"values of at most {largest:g} are too small to compute with", "Use smaller units.")
    return exponent, finest


def sources(steps: Sequence[Step], numbers: Sequence[int]) -> list[int]:
    """The real columns and constants that values are made of by moves alone; the planner chooses their scales."""
    found: list[int] = []
    waiting, seen = list(numbers), set(numbers)
    while waiting:
        j = waiting.pop()
        if steps[j].op in ("column", "constant") and adjustable(steps[j]):
            found.append(j)
        elif steps[j].op in _MOVES:
            waiting.extend(k for k in steps[j].inputs if k not in seen)
            seen.update(steps[j].inputs)
    return found


def level(steps: Sequence[Step]) -> int | None:
    """The scale at which real columns and constants are comparable: that of the coarsest. None if nothing is rounded.

    Not that of a constant beyond all columns' ranges, which is less than none of them or greater than all.
    """
    columns = [step.params for step in steps if step.op == "column"]
    if not columns:
        return None
    reach = max(abs(params[end]) for params in columns for end in ("low", "high"))
    coarsest: int = min(params["scale"] for params in columns)
    for step in steps:
        if step.op == "constant" and step.params["scale"] < coarsest:
            values = constant_values(step.params)
            if not whole(values, step.params["scale"]) and np.any(np.abs(values) <= reach):
                coarsest = step.params["scale"]
    return coarsest


def columns_behind(steps: Sequence[Step], i: int) -> list[str]:
    """The columns that a step depends on, with their declared ranges; the first six."""
    wanted, found = {i}, []
    for j in range(i, -1, -1):
        if j in wanted:
            wanted.update(steps[j].inputs)
            params = steps[j].params
            if steps[j].op == "column":
                found.append(
                    f"{params['party']}.{params['table']}.{params['column']} [{params['low']}, {params['high']}]"
                )
    return sorted(found)[:6]
