"""What a person is told of a plan: rows that a secret condition selects, noise beside exact rows, steps' numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpc
from mpc.computation import Computation
from mpc.explain import explain
from mpc.listing import WIDTH
from mpc.plan import Plan
from mpc.schema import Column, Table

COLUMNS = {"id": Column("integer", 0, 39), "cost": Column("real", 0.0, 1000.0)}
SCHEMA = {party: {"t": Table(40, COLUMNS)} for party in ("north", "south")}


def planned(script: Callable[[Any, Any], Any]) -> Plan:
    """Of the tables of north and south."""
    return Computation(lambda data: script(data.party("north")["t"], data.party("south")["t"])).plan(SCHEMA)


def revealed(script: Callable[[Any, Any], Any]) -> str:
    """What is told of the one result, on one line."""
    lines = planned(script).explain().split("revealed\n")[1].split("\n\n")[0].splitlines()
    return " ".join(line.strip() for line in lines[1:])


NORTH = "from at least 40 rows of north"
SELECTS = ", of which a secret condition selects some, perhaps one"

RESULTS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "a sum": (lambda t, _: t["cost"].sum(), NORTH),
    "one row by its value": (lambda t, _: t[t["id"] == 7]["cost"].sum(), NORTH + SELECTS),
    "by a product with a condition": (lambda t, _: t["cost"] @ (t["id"] == 7), NORTH + SELECTS),
    "by somebody else's values": (
        lambda t, s: t["cost"] @ (s["id"] == 7),
        f"{NORTH}, 40 rows of south{SELECTS}",
    ),
    "a largest value": (lambda t, _: t["cost"].max(), NORTH + SELECTS),
    "what is above a bound": (lambda t, _: (t["cost"] - mpc.minimum(t["cost"], 999)).sum(), NORTH + SELECTS),
    "a function of rows": (
        lambda t, _: mpc.sigmoid(t["cost"] - 999).sum(),
        NORTH + ", of which a function of single rows may select some, perhaps one",
    ),
    "a comparison of sums": (lambda t, s: t["cost"].sum() > s["cost"].sum(), f"{NORTH}, 40 rows of south"),
    "a root of a sum": (lambda t, _: mpc.sqrt(t["cost"].sum() + 1), NORTH),
    "a condition under noise": (
        lambda t, _: mpc.noisy((t["id"] == 7).sum(), 0.5),
        "from data under noise: epsilon 0.5, which puts it off by 2.8 (standard deviation)",
    ),
    "rows and noise": (
        lambda t, s: mpc.noisy(s["cost"].sum(), 0.5) + t["cost"].sum(),
        f"{NORTH} and from data under noise: epsilon 0.5, which does not cover what is computed from these rows",
    ),
    "rows, and a condition under noise": (
        lambda t, s: mpc.noisy((s["id"] == 7).sum(), 0.5, delta=1e-6) + t["cost"].sum(),
        f"{NORTH} and from data under noise: epsilon 0.5, delta 1e-06, which does not cover what is computed from "
        "these rows",
    ),
    "a condition that noise decides": (
        lambda t, s: (t["cost"] > mpc.noisy(s["cost"].mean(), 0.5)).sum(),
        f"{NORTH}{SELECTS} and from data under noise: epsilon 0.5, which does not cover what is computed from these "
        "rows",
    ),
}


@pytest.mark.parametrize("case", RESULTS)
def test_what_a_result_rests_on(case: str) -> None:
    script, told = RESULTS[case]
    assert revealed(script) == told


def one_in(n: int, rows: int = 40) -> Any:
    return np.eye(rows, dtype=np.int64)[n]


STEPS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "weights of one row": (lambda t, _: t["id"] @ one_in(7), "is 0 (39 times), 1 (once)"),
    "few weights": (lambda t, _: t["id"][:4] @ [5, 0, 0, 1], "is 5, 0, 0, 1"),
    "all different": (lambda t, _: t["id"] @ range(40), "is 0 to 39, 40 different numbers, the rarest once"),
    "packed": (lambda t, _: t["id"] @ np.repeat([1, 1 << 12, 1 << 24], [20, 10, 10]), "16,777,216 (10 times)"),
    "hardly different": (lambda t, _: t["cost"] @ ([1.0] * 39 + [1.0 + 2**-20]), "1.0 (39 times), 1.0000009536743164"),
    "one position": (lambda t, _: t["id"][7], "takes position 7 of 40"),
    "a run": (lambda t, _: t["id"][1:21].sum(), "takes positions 1 to 20 of 40"),
    "every other": (lambda t, _: t["id"][::2].sum(), "takes positions 0 to 38 by 2 of 40"),
    "backwards": (lambda t, _: t["id"][10::-1].sum(), "takes positions 10 to 0 by -1 of 40"),
    "few positions": (lambda t, _: t["id"][[1, 5, 39]].sum(), "takes positions 1, 5, 39 of 40"),
    "many positions": (lambda t, _: t["id"][list(range(1, 31))].sum(), "takes 30 positions from 1 to 30 of 40"),
    "another axis": (lambda t, _: t["id"].reshape(10, 4)[3].sum(), "takes position 3 of 10 x all 4"),
    "a column": (lambda t, _: t["id"].sum(), "north.t.id"),
    "a shape": (lambda t, _: t["id"].reshape(20, 2).sum(axis=0), "shape 20 x 2"),
    "noise": (lambda t, _: mpc.noisy(t["id"].sum(), 0.25), "epsilon 0.25, delta 0"),
    "a recipient": (lambda t, _: t["id"].sum(), "result to analyst"),
    "a number of rows": (lambda t, _: t.count(), "rows of north.t"),
    "many inputs": (lambda t, _: mpc.stack([t["id"][i] for i in range(5)]), "of #1, #2, #3, #4, #5"),
    "a sample": (lambda t, _: t.sample(20)["id"].sum(), "drawn at random from north.t, draw 0"),
}


@pytest.mark.parametrize("case", STEPS)
def test_steps_say_which_rows_they_take_and_by_what_they_weigh(case: str) -> None:
    script, told = STEPS[case]
    text = explain(planned(script), steps=True)
    assert told in text, text


def test_every_step_is_readable() -> None:
    def long(t: Any, s: Any) -> Any:
        weights = [1 / 3, 2 / 3, 1 / 7, 2 / 7, 3 / 7] * 8
        to = mpc.reveal(t["cost"] @ weights, to=[f"a recipient with a long name, the {i}th" for i in range(9)])
        return {"result": to, "many": mpc.stack([s["cost"][i] for i in range(40)]).sum() + t["cost"].sum()}

    plan = planned(long)
    text = explain(plan, steps=True).split("\n\ncost")[0]
    assert all(len(line) <= WIDTH for line in text.splitlines()), text
    lines = [line.split()[:2] for line in text.split("\nsteps\n")[1].splitlines() if line.startswith("  #")]
    assert lines == [[f"#{i}", step.op] for i, step in enumerate(plan.steps)]
