"""Of which degree is each result in one party's values?

Sums, means, variances, covariances and regressions' normal equations are of degree 1 or 2. Of a higher degree a sum
over many rows can still be the value of one: the product of (ward - v) over all wards v but one picks that ward's rows,
and n power sums of n values give back the values (Newton's identities).
"""

from __future__ import annotations

from collections.abc import Mapping

from mpc.operations import ProductOperation
from mpc.plan import Plan

__all__ = ["degrees"]


def degrees(plan: Plan, party: str) -> Mapping[str, int]:
    """For every result, its degree as a polynomial in the party's columns; 0 where it does not depend on them."""
    found: list[int] = []
    for step in plan.steps:
        inputs = [found[i] for i in step.inputs]
        if step.op == "column":
            found.append(int(step.params["party"] == party))
        else:
            found.append(sum(inputs) if isinstance(step.operation, ProductOperation) else max(inputs, default=0))
    return {step.params["name"]: found[i] for i, step in plan.of("reveal")}
