"""Random samples: the owner's draw, uniform, the same for all columns of a table, told to nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

import mpc
from mpc.disclosure import cohorts, rows_used
from mpc.plan import Plan, Step
from mpc.sampling import draw_rows, sampled
from mpc.schema import Column, Table
from mpc.sensitivity import Sensitivity, sensitivities
from mpc.simulate import simulate

COLUMNS = {"a": Column("integer", 0, 1000), "b": Column("real", 0.0, 2000.0)}
SCHEMA = {
    "north": {"t": Table(60, COLUMNS)},
    "south": {"t": Table(30, COLUMNS), "u": Table(30, COLUMNS)},
    "west": {"t": Table(10, COLUMNS)},
}
DATA = {
    party: {
        name: {"a": list(range(table.rows)), "b": [2.0 * i for i in range(table.rows)]} for name, table in held.items()
    }
    for party, held in SCHEMA.items()
}
RANGES = {party: {name: {"a": (0, 1000), "b": (0, 2000)} for name in held} for party, held in SCHEMA.items()}


def plan_of(script: Callable[[Any], Any]) -> Plan:
    return mpc.computation(script).plan(SCHEMA)


def run(script: Callable[[Any], Any]) -> Any:
    return simulate(script, DATA, RANGES)


def test_a_sample_has_rows_of_the_table_each_once() -> None:
    for _ in range(20):
        rows = run(lambda data: data.party("north")["t"].sample(25)["a"] * 1)["result"]
        assert len(set(rows.tolist())) == 25
        assert set(rows.tolist()) <= set(range(60))


def test_every_row_is_as_likely_as_any_other() -> None:
    plan = plan_of(lambda data: data.party("south")["u"].sample(10)["a"].sum())
    drawn = Counter(int(row) for _ in range(3000) for rows in draw_rows(plan, "south").values() for row in rows)
    # rows of one draw exclude each other, which makes the counts more even than independent ones
    assert chisquare([drawn[row] for row in range(30)]).pvalue > 1e-9
    assert sum(drawn.values()) == 30_000


def test_columns_of_one_sample_belong_together_and_those_of_two_do_not() -> None:
    def script(data: Any) -> Any:
        one, two = (data.party("north")["t"].sample(30) for _ in range(2))
        return {
            "a": one["a"] * 1,
            "b": one["b"] * 1,
            "again": one["a"] * 1,
            "other": two["a"] * 1,
            "both": one[["a", "b"]],
        }

    found = run(script)
    assert (2 * found["a"] == found["b"]).all()
    assert (found["a"] == found["again"]).all()
    assert (found["a"] != found["other"]).any()
    assert (found["both"] == np.stack([found["a"], found["b"]], axis=1)).all()


def test_of_several_parties_in_proportion() -> None:
    plan = plan_of(lambda data: data.table("t").sample(20)["a"].sum())
    assert {step.params["party"]: step.params["size"] for _, step in plan.of("sample")} == {
        "north": 12, "south": 6, "west": 2,
    }  # fmt: skip
    for size in (3, 4, 7, 31, 99, 100):
        plan = plan_of(lambda data, size=size: data.table("t").sample(size)["a"].sum())
        sizes = [step.params["size"] for _, step in plan.of("sample")]
        assert sum(sizes) == size
        assert min(sizes) >= 1
    assert run(lambda data: data.table("t").sample(100)["a"].sum())["result"] == 1770 + 435 + 45


def test_its_length_is_public() -> None:
    def script(data: Any) -> Any:
        sample = data.table("t").sample(20)
        return {"mean": sample["a"].mean() * len(sample), "sum": sample["a"].sum(), "count": sample.count()}

    found = run(script)
    assert found["mean"] == pytest.approx(found["sum"])
    assert found["count"] == 20


@pytest.mark.parametrize("size", [0, -1, 2, 101, 1.5, "all"])
def test_samples_that_cannot_be(size: Any) -> None:
    with pytest.raises(mpc.ScriptError, match="cannot be drawn"):
        plan_of(lambda data: data.table("t").sample(size)["a"].sum())
    with pytest.raises(mpc.ScriptError, match="cannot be drawn"):
        plan_of(lambda data: data.table("t").sample(20).sample(5)["a"].sum())


def test_others_see_only_how_many_rows_there_are() -> None:
    plan = plan_of(lambda data: data.party("north")["t"].sample(25)["a"].sum())
    assert [step.params for _, step in plan.of("sample")] == [
        {"party": "north", "table": "t", "rows": 60, "size": 25, "draw": 0}
    ]
    assert draw_rows(plan, "south") == {}
    assert sampled(plan, "south", {}, {}) == {}


def test_a_number_over_a_sample_rests_on_its_rows() -> None:
    script = lambda data: data.party("north")["t"].sample(25)["a"].sum()  # noqa: E731
    assert cohorts(plan_of(script), "north") == {"result": 25}
    assert rows_used(plan_of(script), "north") == {"result": {"t 25 0": range(25)}}
    assert cohorts(plan_of(lambda data: data.party("north")["t"].sample(25)["a"][3]), "north") == {"result": 1}


def test_a_row_moves_a_sample_as_it_moves_the_table() -> None:
    plan = plan_of(lambda data: mpc.noisy(data.party("north")["t"].sample(25)["a"].sum()))
    ((moved),) = sensitivities(plan.steps, plan.types, {}).values()
    assert moved == {("north", "t"): Sensitivity(1000, 1000**2)}
    two = lambda data: mpc.noisy(sum(data.party("north")["t"].sample(25)["a"].sum() for _ in range(2)))  # noqa: E731
    ((moved),) = sensitivities(plan_of(two).steps, plan_of(two).types, {}).values()
    assert moved == {("north", "t"): Sensitivity(2000, 2000**2)}


@pytest.mark.parametrize(
    "change", [{"size": 0}, {"size": 61}, {"size": -1}, {"rows": 59}, {"party": "south"}, {"table": "u"}, {"draw": -1}]
)
def test_plans_by_hand(change: dict[str, Any]) -> None:
    from mpc.validate import validate

    plan = plan_of(lambda data: data.party("north")["t"].sample(25)["a"].sum())
    steps = [Step(s.op, s.inputs, {**s.params, **change}) if s.op == "sample" else s for s in plan.steps]
    with pytest.raises(mpc.PlanError):
        validate(Plan(plan.parties, tuple(steps)))


def test_only_columns_are_sampled() -> None:
    from mpc.validate import validate

    plan = plan_of(lambda data: data.party("north")["t"].sample(25)["a"].sum())
    (at,) = (i for i, _ in plan.of("sample"))
    steps = list(plan.steps)
    moved = [Step(s.op, tuple(j + (j >= at) for j in s.inputs), s.params) for s in steps[at + 1 :]]
    steps[at:] = [Step("negate", (at - 1,)), Step("sample", (at,), steps[at].params), *moved]
    with pytest.raises(mpc.PlanError, match="only columns of the table itself"):
        validate(Plan(plan.parties, tuple(steps)))
