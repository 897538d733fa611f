"""The degree of results in a party's values, and why it matters: a polynomial that picks one row."""

import math

import numpy as np
import pytest

import mpc
from mpc.degrees import degrees
from mpc.disclosure import aggregates
from mpc.simulate import schema_of

WARD = np.array([0, 1, 2, 4, 5] * 5 + [0, 1, 2, 4, 3])
COST = np.arange(30) * 7
TABLES = {
    "north": {"t": {"ward": WARD, "cost": COST}},
    "south": {"t": {"ward": WARD[::-1].copy(), "cost": COST}},
}


def degree(function) -> dict:
    plan = mpc.computation(function).plan(schema_of(TABLES, {}))
    return {party: degrees(plan, party)["result"] for party in plan.parties}


def one_row(data):
    t = data.party("north")["t"]
    picked = t["cost"]
    for ward in (0, 1, 2, 4, 5):
        picked = picked * (t["ward"] - ward)
    return picked.sum() / math.prod(3 - ward for ward in (0, 1, 2, 4, 5))


def test_a_polynomial_can_pick_one_row() -> None:
    assert mpc.simulate(mpc.computation(one_row), TABLES)["result"] == COST[WARD == 3][0]
    assert degree(one_row) == {"north": 6, "south": 0}


@pytest.mark.parametrize(
    ("function", "north", "south"),
    [
        (lambda d: d.table("t")["cost"].sum(), 1, 1),
        (lambda d: d.table("t").count(), 0, 0),
        (lambda d: d.table("t")["cost"].mean() * 3 - 1, 1, 1),
        (lambda d: mpc.dot(d.party("north")["t"]["cost"], d.party("south")["t"]["cost"]), 1, 1),
        (lambda d: mpc.dot(d.party("north")["t"]["cost"], d.party("north")["t"]["ward"]), 2, 0),
        (lambda d: d.table("t")[["cost", "ward"]].T @ d.table("t")[["cost", "ward"]], 2, 2),
        (lambda d: d.table("t")["cost"].sum() * d.party("north")["t"]["ward"].sum(), 2, 1),
        (lambda d: (d.party("north")["t"]["ward"] ** 2 * d.party("north")["t"]["cost"]).sum(), 3, 0),
    ],
)
def test_degrees(function, north: int, south: int) -> None:
    assert degree(function) == {"north": north, "south": south}


def row_condition(data):
    t = data.party("north")["t"]
    return t[t["ward"] == 3]["cost"].sum()


def condition_on_sums(data):
    t = data.party("north")["t"]
    return mpc.where(t["cost"].sum() > t["ward"].sum() * 10, t["cost"].sum(), t["cost"].mean())


def test_conditions_on_rows_are_of_no_degree_that_is_allowed_and_on_aggregates_are_free() -> None:
    assert mpc.simulate(mpc.computation(row_condition), TABLES)["result"] == COST[WARD == 3].sum()
    plan = mpc.computation(row_condition).plan(schema_of(TABLES, {}))
    enough = aggregates(plan, "north", 10)
    assert degrees(plan, "north", enough)["result"] == math.inf
    assert degrees(plan, "north", enough, conditions=True)["result"] <= 2
    plan = mpc.computation(condition_on_sums).plan(schema_of(TABLES, {}))
    assert degrees(plan, "north", aggregates(plan, "north", 10))["result"] <= 2
    assert degrees(plan, "north", aggregates(plan, "north", 31))["result"] == math.inf


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sort()[0],
        lambda x: x.argsort()[0],
        lambda x: x.max(),
        lambda x: x.argmin(),
        mpc.median,
        lambda x: mpc.top_k(x, 3)[0],
        lambda x: x.sort().sum(),
    ],
)
def test_the_order_of_rows_is_a_condition_on_them_and_that_of_sums_is_free(function) -> None:
    plan = mpc.computation(lambda data: function(data.party("north")["t"]["cost"])).plan(schema_of(TABLES, {}))
    enough = aggregates(plan, "north", 10)
    assert degrees(plan, "north", enough)["result"] == math.inf
    assert degrees(plan, "north", enough, conditions=True)["result"] <= 1

    def of_sums(data):
        t = data.party("north")["t"]
        return function(mpc.stack([t["cost"].sum(), t["ward"].sum(), t["cost"][:15].sum()]))

    plan = mpc.computation(of_sums).plan(schema_of(TABLES, {}))
    assert degrees(plan, "north", aggregates(plan, "north", 10))["result"] <= 2


def test_sums_up_to_each_row_are_of_the_degree_of_rows() -> None:
    assert degree(lambda data: data.party("north")["t"]["cost"].cumsum()) == {"north": 1, "south": 0}


def test_products_of_aggregates_are_of_no_high_degree() -> None:
    def skew(data):
        mean = data.party("north")["t"]["cost"].mean()
        return mean * mean * mean

    plan = mpc.computation(skew).plan(schema_of(TABLES, {}))
    assert degrees(plan, "north")["result"] == 3
    assert degrees(plan, "north", aggregates(plan, "north", 10))["result"] == 0
