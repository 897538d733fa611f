"""The degree of results in a party's values, and why it matters: a polynomial that picks one row."""

import math

import numpy as np
import pytest

import mpc
from mpc.degrees import degrees
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
