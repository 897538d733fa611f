"""The steps of a plan as a person reads them who is to approve it: with the positions and numbers that pick rows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mpc.operations import Params
from mpc.operations.inputs import constant_values
from mpc.plan import Plan, Step
from mpc.types import Private, Public, Type

__all__ = ["WIDTH", "listed", "shape_of", "wrapped"]

WIDTH = 98
"""Columns of a line, unless a word is longer."""

_FEW = 6
"""Numbers or positions that are written out."""


def listed(plan: Plan) -> Iterator[str]:
    """A line for every step: its inputs, shape, who sees it, bits, where the script says it, and what it is set to."""
    for i, (step, type_) in enumerate(zip(plan.steps, plan.types, strict=True)):
        if isinstance(type_.visibility, Private):
            seen = f"at {type_.visibility.owner}"
        else:
            seen = "public" if isinstance(type_.visibility, Public) else "shared"
        inputs = ", ".join(f"#{j}" for j in step.inputs)
        more = [_set_to(step, plan.types)]
        if len(step.inputs) > 2:
            more, inputs = [f"of {inputs}", *more], f"{len(step.inputs):,} inputs"
        line = f"  #{i:<4}{step.op + ' ':<10}{inputs + ' ':<14}{shape_of(type_) + ' ':<16}{seen + ' ':<14}"
        line = f"{line}{type_.bits:>3} bits  {plan.origins.get(i, '')}".rstrip()
        told = "; ".join(filter(None, more))
        if len(line) + 2 + len(told) <= WIDTH:
            yield f"{line}  {told}".rstrip()
        else:
            yield line
            yield from wrapped(told, 9)


def shape_of(type_: Type) -> str:
    """The lengths of its axes."""
    return " x ".join(f"{n:,}" for n in type_.shape) or "one number"


def wrapped(text: str, indent: int) -> list[str]:
    """The text on lines of WIDTH, the second and later ones further in."""
    first, then = " " * indent, " " * (indent + 2)
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)


def _set_to(step: Step, types: Sequence[Type]) -> str:
    """The parameters, other than those that only say how exact numbers are kept."""
    params = step.params
    match step.op:
        case "column":
            return f"{params['party']}.{params['table']}.{params['column']}"
        case "count":
            return f"rows of {params['party']}.{params['table']}"
        case "sample":
            return f"drawn at random from {params['party']}.{params['table']}, draw {params['draw']}"
        case "constant":
            return _values(params)
        case "index":
            keys = zip(params["key"], types[step.inputs[0]].shape, strict=True)
            return "takes " + " x ".join(_positions(key, length) for key, length in keys)
        case "reveal":
            return f"{params['name']} to {', '.join(params['to'])}"
        case "noisy":
            return f"epsilon {params['epsilon']:g}, delta {params['delta']:g}"
    told = {name: value for name, value in params.items() if name not in ("scale", "precision", "spread", "unit")}
    return ", ".join(f"{name} {_plain(value)}" for name, value in told.items())


def _values(params: Params) -> str:
    """A constant: its numbers; of many equal ones how often each is there; else in what range, and how many differ."""
    values = constant_values(params).reshape(-1)
    if not values.size:
        return "no number"
    if values.size <= _FEW:
        return f"is {', '.join(map(_number, values))}"
    distinct, times = np.unique(values, return_counts=True)
    if distinct.size <= _FEW:
        return "is " + ", ".join(f"{_number(x)} ({_times(n)})" for x, n in zip(distinct, times, strict=True))
    ends = f"{_number(distinct[0])} to {_number(distinct[-1])}"
    return f"is {ends}, {distinct.size:,} different numbers, the rarest {_times(times.min())}"


def _positions(key: Sequence[Any], length: int) -> str:
    """Which positions of an axis are taken, the first being 0."""
    if isinstance(key[0], list | tuple):
        chosen = list(key[0])
        if len(chosen) > _FEW:
            return f"{len(chosen):,} positions from {min(chosen):,} to {max(chosen):,} of {length:,}"
    elif len(key) == 1:
        chosen = [key[0]]
    elif (steps := range(*key)) == range(length):
        return f"all {length:,}"
    elif len(steps) > _FEW:
        by = f" by {steps.step}" if steps.step != 1 else ""
        return f"positions {steps[0]:,} to {steps[-1]:,}{by} of {length:,}"
    else:
        chosen = list(steps)
    return f"position{'s' * (len(chosen) != 1)} {', '.join(f'{i:,}' for i in chosen) or 'none'} of {length:,}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _number(value: Any) -> str:
    """To the last digit: numbers that differ look different."""
    return f"{value:,}" if isinstance(value, np.integer) else repr(float(value))


def _plain(value: Any) -> str:
    return " x ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
