"""Plans that would make a party hold too much, or compute for nobody, are refused."""

import numpy as np
import pytest

import mpc
from mpc.errors import PlanError
from mpc.plan import Plan, Step
from mpc.schema import Column, Table
from mpc.validate import MAX_LIVE_ELEMENTS, validate

ROWS = MAX_LIVE_ELEMENTS // 6


def planned(function, rows: int = ROWS):
    columns = {name: Column("integer", 0, 9) for name in "abcdefg"}
    return mpc.computation(function).plan({party: {"t": Table(rows, columns)} for party in ("ada", "bob")})


def test_columns_that_fit_and_one_too_many() -> None:
    def total(data, names: str):
        return sum(data.party("ada")["t"][name].sum() for name in names)

    validate(planned(lambda data: total(data, "abcde")))
    with pytest.raises(PlanError, match="would hold"):
        planned(lambda data: total(data, "abcdefg"))
    # each party holds its own
    planned(lambda data: sum(data.party(p)["t"][name].sum() for p in ("ada", "bob") for name in "abcd"))


def test_large_arrays_one_after_another_and_at_once() -> None:
    def chain(data):
        x = data.party("ada")["t"]["a"]
        for _ in range(20):
            x = -x
        return x.sum()

    def together(data):
        x = data.party("ada")["t"]["a"]
        return ((mpc.stack([x, x + 1]) * 2 + mpc.stack([x + 2, x + 3])) * mpc.stack([x, x])).sum()

    planned(chain)
    with pytest.raises(PlanError, match="would hold"):
        planned(together)


def test_a_step_that_nothing_needs() -> None:
    plan = planned(lambda data: data.table("t")["a"].sum(), rows=12)
    idle = Step("constant", (), {"shape": [1], "kind": "integer", "data": np.int64(1).tobytes(), "scale": 0})
    with pytest.raises(PlanError, match="nothing needs it"):
        validate(Plan(plan.parties, (*plan.steps, idle)))
