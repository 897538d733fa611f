"""Which rows a party takes into its random samples: one draw for all columns of a table that belong together."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mpc.operations import Params
from mpc.plan import Plan
from protocols.ring import Array

__all__ = ["Draw", "Rows", "draw_rows", "sampled"]

Draw = tuple[str, int, int]
"""A table, how many rows are drawn, and the number of the draw."""

Rows = NDArray[np.int64]


def draw_rows(plan: Plan, party: str) -> dict[Draw, Rows]:
    """Rows for every sample that a plan takes of the party's tables, in order, from the system's randomness."""
    chance = secrets.SystemRandom()
    drawn: dict[Draw, Rows] = {}
    for _, step in plan.of("sample"):
        if step.params["party"] == party and _draw(step.params) not in drawn:
            rows = chance.sample(range(step.params["rows"]), step.params["size"])
            drawn[_draw(step.params)] = np.sort(np.array(rows, np.int64))
    return drawn


def sampled(plan: Plan, party: str, columns: Mapping[int, Array], drawn: Mapping[Draw, Rows]) -> dict[int, Array]:
    """The values of the party's `sample` steps, from those of its `column` steps."""
    return {
        i: columns[step.inputs[0]][drawn[_draw(step.params)]]
        for i, step in plan.of("sample")
        if step.params["party"] == party
    }


def _draw(params: Params) -> Draw:
    return params["table"], params["size"], params["draw"]
