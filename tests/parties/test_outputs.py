"""Agreed results that may be undefined: whether they are is told to whom the result goes, and nothing else by this."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mpc.computation import Computation
from mpc.plan import Plan
from parties.agreement import Agreement
from parties.policy import Case, refusals

AGREEMENT = Agreement.model_validate(
    tomllib.loads("""
version = 1
purpose = "means of some"
source = "dealer"
min_rows = 10
row_conditions = true
recipients = ["analyst", "south"]

[outputs]
mean = ["analyst"]
means = ["analyst"]

[data.north.t]
rows = 40
columns.id = { type = "integer", range = [0, 39] }
columns.cost = { type = "integer", range = [0, 100] }

[data.south.t]
rows = 40
columns.cost = { type = "integer", range = [0, 100] }
""")
)


def mean(data: Any) -> Any:
    t = data.party("north")["t"]
    return {"mean": t[t["id"] > 7]["cost"].mean()}


def means(data: Any) -> Any:
    t = data.party("north")["t"]
    return {"means": t.groupby("id", [1, 2]).mean("cost")}


def why(plan: Plan) -> list[str]:
    """What north has against it that is about results."""
    reasons = refusals(Case(plan, AGREEMENT, "north", ("north", "south"), "analyst"))
    return [reason for reason in reasons if reason.endswith("(outputs)")]


@pytest.mark.parametrize("script", [mean, means])
def test_whether_an_agreed_result_is_defined_may_be_told(script: Any) -> None:
    plan = Computation(script).plan(AGREEMENT.schema())
    assert any(step.params["name"].endswith("?") for _, step in plan.of("reveal"))
    assert why(plan) == []
    assert refusals(Case(plan, AGREEMENT, "north", ("north", "south"), "analyst")) == []


Renamed = dict[str, dict[str, Any]]


def altered(plan: Plan, renamed: Renamed) -> Plan:
    """The plan with other parameters where results are revealed."""
    steps = (
        replace(step, params={**step.params, **renamed.get(step.params["name"], {})}) if step.op == "reveal" else step
        for step in plan.steps
    )
    return replace(plan, steps=tuple(steps))


@pytest.mark.parametrize(
    "params",
    [{"to": ["south"]}, {"to": ["analyst", "south"]}, {"name": "other?"}, {"name": "mean??"}, {"name": "?"}],
)
def test_a_flag_goes_with_its_result_to_its_recipients(params: dict[str, Any]) -> None:
    plan = Computation(mean).plan(AGREEMENT.schema())
    assert why(altered(plan, {"mean?": {}})) == []
    (reason,) = why(altered(plan, {"mean?": params}))
    assert f"{params.get('name', 'mean?')!r} is none of the agreed results" in reason


def test_a_flag_of_a_result_that_was_not_agreed() -> None:
    plan = Computation(mean).plan(AGREEMENT.schema())
    reasons = why(altered(plan, {"mean": {"name": "other"}, "mean?": {"name": "other?"}}))
    assert len(reasons) == 1
    assert "'other' is none of the agreed results" in reasons[0]


@pytest.mark.parametrize("of", [lambda cost: cost.sum(), lambda cost: cost.sum() > np.arange(3)], ids=["sum", "bits"])
def test_a_flag_is_a_truth_value_of_each_number(of: Callable[[Any], Any]) -> None:
    def two(data: Any) -> Any:
        return {"mean": data.party("north")["t"]["cost"].mean(), "more": of(data.party("north")["t"]["cost"])}

    plan = altered(Computation(two).plan(AGREEMENT.schema()), {"more": {"name": "mean?"}})
    (reason,) = why(plan)
    assert "'mean?' is none of the agreed results" in reason
