"""How far could each result single out one party's rows? By its degree as a polynomial in that party's values.

Sums, means, variances, covariances and regressions' normal equations are of degree 1 or 2. Of a higher degree a sum
over many rows can still be the value of one: the product of (ward - v) over all wards v but one picks that ward's rows,
and n power sums of n values give back the values (Newton's identities). A comparison of single rows' values picks rows
outright, and a function of them can be a polynomial of any degree: both count as unlimited.

Rounding to the nearest is a comparison, too: the difference of two roundings of nearly the same tells on which side of
a number each row is. So what an owner computes in floating point of fewer rows than agreed counts as a function of
single rows; products of two columns and shared values are rounded at random, without bias. Single rows that meet a
number whose range rests on a promise about others (`_PROMISED`) may wrap around, and count as compared, too.

What is computed from a number that could itself be revealed tells no more than that number: it counts as of degree 0.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from mpc.operations import Circuit, ProductOperation
from mpc.operations.rounding import MatmulRounded, MultiplyRounded, Rescale
from mpc.plan import Plan
from mpc.types import Private

__all__ = ["degrees"]

_NEAREST = frozenset({"comoment", "deviations", "matmul_rounded", "mean", "rescale"})
"""Operations that an owner computes in floating point, and rounds to the nearest."""

_PROMISED = frozenset({"correlations", "inverse", "solution"})
"""Operations whose results lie in their ranges if their operands belong together."""


def degrees(
    plan: Plan, party: str, aggregates: Collection[int] = (), most: int = 2, conditions: bool = False
) -> Mapping[str, float]:
    """For every result, its degree in the party's columns; 0 where it does not depend on single rows of them.

    `aggregates`: the steps all of whose numbers aggregate enough of the party's rows. Of these, one of degree at most
    `most` could be revealed. `conditions`: whether comparisons and functions of single rows are allowed, and count
    as of the degree of what they are computed from.
    """
    found: list[float] = []
    promised: list[bool] = []
    told: dict[str, float] = {}
    for i, step in enumerate(plan.steps):
        inputs = [0 if j in aggregates and found[j] <= most else found[j] for j in step.inputs]
        operation = step.operation
        if step.op == "column":
            degree: float = int(step.params["party"] == party)
        elif step.op == "noisy":  # the noise answers for every row
            degree = 0
        elif isinstance(operation, ProductOperation | MultiplyRounded | MatmulRounded):
            degree = sum(inputs)
        elif step.op in ("mean", "deviations", "comoment"):
            degree = sum(inputs) * (2 if step.op == "deviations" else 1)
        elif isinstance(operation, Circuit) and not isinstance(operation, Rescale):
            degree = max(inputs, default=0) if conditions or not any(inputs) else math.inf
        else:
            degree = max(inputs, default=0)
        promised.append(step.op in _PROMISED or any(promised[j] for j in step.inputs))
        owned = step.op in _NEAREST and i not in aggregates and isinstance(plan.types[i].visibility, Private)
        if any(inputs) and not conditions and (owned or any(promised[j] for j in step.inputs)):
            degree = math.inf
        found.append(degree)
        if step.op == "reveal":
            told[step.params["name"]] = found[step.inputs[0]]
    return told
