"""Plans that the planner made round as it does; others do not, and could compare single rows by rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import mpc
from mpc.computation import Computation
from mpc.errors import PlanError
from mpc.passes import scales
from mpc.passes.settled import rounds_as_planned
from mpc.plan import Plan, Step
from mpc.simulate import schema_of
from mpc.trace import constant_params

RNG = np.random.default_rng(7)
ROWS = 40
TABLES = {
    party: {"t": {"id": np.arange(ROWS), "cost": RNG.integers(0, 10**4, ROWS), "f": RNG.uniform(-1, 1, ROWS)}}
    for party in ("north", "south")
}
NORTH = {"party": "north", "table": "t", "rows": ROWS}


def plan_of(script: Any, precision: int = 20) -> Plan:
    plan = Computation(script, precision).plan(schema_of(TABLES, {}))
    return Plan.decode(plan.encode())


def real(value: float, scale: int) -> Step:
    return Step("constant", (), constant_params(np.array(value), scale))


def revealed(*steps: Step) -> Plan:
    """A plan made by hand, whose last step is told."""
    last = len(steps) - 1
    reveal = Step("reveal", (last + 1,), {"name": "r", "to": ["analyst"], "unit": b""})
    plan = Plan(("north", "south"), (*steps, Step("share", (last,), {}), reveal))
    assert plan.types
    return plan


SCRIPTS = {
    "sum": lambda d: d.table("t")["f"].sum(),
    "products of parties": lambda d: (d.party("north")["t"]["f"] * d.party("south")["t"]["f"]).sum(),
    "products of an owner": lambda d: (d.party("north")["t"]["f"] * d.party("north")["t"]["f"] * 0.1).sum(),
    "long products": lambda d: mpc.dot(d.table("t")["f"] * 1000.123, d.table("t")["cost"]),
    "variance": lambda d: d.table("t")["f"].var(),
    "covariance": lambda d: mpc.stats.cov(d.table("t")["f"], d.table("t")["cost"]),
    "filtered": lambda d: d.table("t")[d.table("t")["id"] > 7]["f"].var(),
    "two of a column": lambda d: {"a": d.table("t")["f"].mean(), "b": (d.table("t")["f"] ** 2).sum()},
    "a quotient": lambda d: d.table("t")["f"].sum() / d.table("t")["cost"].sum(),
    "a line": lambda d: mpc.linear_model.LinearRegression().fit(d.table("t")[["f", "id"]], d.table("t")["cost"]).coef_,
    "noise": lambda d: mpc.noisy(d.table("t")["cost"].sum() * 0.25, epsilon=1.0),
}


@pytest.mark.parametrize("precision", [16, 20, 33])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_what_the_planner_made(script: Any, precision: int) -> None:
    assert rounds_as_planned(plan_of(script, precision))


def test_a_rounding_made_by_hand_is_a_comparison_and_is_seen() -> None:
    """Of ids 0 to 39: the difference of two roundings is 1 where the id is 7."""
    ids = Step("column", (), {**NORTH, "column": "id", "kind": "integer", "low": 0, "high": 39, "scale": 0})
    cost = replace(ids, params={**ids.params, "column": "cost", "high": 10**4})
    steps = [ids, cost, real(2.0, 0), real(2.0**-8, 8)]
    for number in (6, 7):
        start = len(steps)
        steps += [
            Step("multiply", (0, 2), {}),
            real(127.0 - 2 * number, 0),
            Step("add", (start, start + 1), {}),
            Step("multiply", (start + 2, 3), {}),
            Step("rescale", (start + 3,), {"scale": 0}),
        ]
    plan = revealed(*steps, Step("subtract", (8, 13), {}), Step("matmul", (14, 1), {}))
    script = Computation(lambda d: None)
    script.plan = lambda *_, **__: plan  # type: ignore[method-assign]
    assert mpc.simulate(script, TABLES)["r"] == TABLES["north"]["t"]["cost"][7]
    assert not any(rounds_as_planned(replace(plan, precision=bits)) for bits in (16, 20, 52))


@pytest.mark.parametrize("scale", [0, 1, 12, 40])
def test_a_column_encoded_by_hand_is_seen(scale: int) -> None:
    column = Step("column", (), {**NORTH, "column": "f", "kind": "real", "low": -1.0, "high": 1.0, "scale": scale})
    assert not rounds_as_planned(revealed(column, Step("sum", (0,), {"axes": [0]})))


def test_every_scale_of_a_plan_counts() -> None:
    plan = plan_of(SCRIPTS["products of parties"])
    changed = 0
    for i, step in enumerate(plan.steps):
        if step.params.get("scale", 0) > 2:
            coarser = replace(step, params={**step.params, "scale": step.params["scale"] - 2})
            altered = replace(plan, steps=(*plan.steps[:i], coarser, *plan.steps[i + 1 :]))
            assert not rounds_as_planned(altered), step.op
            changed += 1
    assert changed >= 2


def test_few_digits_are_not_many() -> None:
    """At a precision of one bit the planner itself would round to tell which values are above one half."""
    coarse = plan_of(lambda d: ((d.party("north")["t"]["f"] + 1e18) - 1e18) @ d.party("north")["t"]["cost"], 1)
    assert rounds_as_planned(coarse)
    assert not any(rounds_as_planned(replace(coarse, precision=bits)) for bits in range(16, 53))


def test_a_plan_that_takes_too_long_is_not_judged_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every constant takes a bit from all that were before it, until all fit."""

    def sums(data: mpc.Data) -> Any:
        total = data.table("t")["f"].sum()
        for number in range(1, 20):
            total = total + 2.0**number + 0.1
        return total * 1e3

    plan = plan_of(sums)
    assert rounds_as_planned(plan)
    monkeypatch.setattr(scales, "_MOST_WORK", 2 * len(plan.steps))
    assert not rounds_as_planned(plan)
    with pytest.raises(PlanError, match="too long to choose"):
        plan_of(sums)


def test_the_bound_is_one_of_all_results_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def sums(data: mpc.Data) -> Any:
        return data.table("t")["f"].sum() * 0.1

    def both(data: mpc.Data) -> Any:
        return {"a": sums(data), "b": data.table("t")["f"].sum() * 0.3}

    def chosen(script: Any, work: int) -> bool:
        monkeypatch.setattr(scales, "_MOST_WORK", work)
        try:
            return bool(plan_of(script))
        except PlanError:
            return False

    least = next(work for work in range(1, 1000) if chosen(sums, work))
    assert chosen(both, 3 * least)
    assert not chosen(both, least + 1)
