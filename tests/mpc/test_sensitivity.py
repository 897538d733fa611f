"""One row never moves a value further than its sensitivity says: tried out on every row, and at the ends of ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpc
from mpc.data import Data
from mpc.encoding import encode_column
from mpc.errors import PlanError
from mpc.operations.inputs import Constant
from mpc.plan import Step
from mpc.schema import Column, Table
from mpc.sensitivity import Sensitivity, sensitivities
from mpc.trace import Trace
from mpc.values import Value, record

ROWS = 4
SCHEMA = {
    "north": {"t": Table(ROWS, {"a": Column("integer", -3, 5), "b": Column("integer", 0, 2)})},
    "south": {"t": Table(ROWS, {"a": Column("integer", 2, 9), "b": Column("integer", -4, 1)})},
}
Columns = Mapping[tuple[str, str], np.ndarray]


def noised(script: Callable[[Data], Value]) -> tuple[Trace, int]:
    """A trace that ends with a noisy step over what the script says."""
    trace = Trace()
    value = script(Data(SCHEMA, trace))
    return trace, trace.append(Step("noisy", (value.step,), {"epsilon": 1.0, "delta": 0.0, "spread": 0.0}))


def sensitivity(script: Callable[[Data], Value], **unit_rows: int) -> Mapping[Any, Sensitivity]:
    trace, step = noised(script)
    return sensitivities(trace.steps, trace.types, {(party, "t"): n for party, n in unit_rows.items()})[step]


def evaluated(trace: Trace, step: int, columns: Columns) -> np.ndarray:
    """The value before noise, in the clear."""
    values: list[np.ndarray] = []
    for each in trace.steps[:step]:
        if each.op == "column":
            values.append(columns[each.params["party"], each.params["column"]].view(np.uint64))
        elif each.op == "constant":
            values.append(Constant().encoded(each.params))
        else:
            inputs = [values[j] for j in each.inputs]
            values.append(each.operation.evaluate(inputs, [trace.types[j] for j in each.inputs], each.params))
    return values[trace.steps[step].inputs[0]].view(np.int64)


def check(script: Callable[[Data], Value], seed: int) -> None:
    trace, step = noised(script)
    try:
        found = sensitivities(trace.steps, trace.types, {})[step]
    except PlanError as error:
        if "depends on no row" not in error.message:
            raise
        found = {}
    chance = np.random.default_rng(seed)
    for _ in range(6):
        columns = {
            (party, name): chance.choice([column.low, column.high], ROWS).astype(np.int64)
            for party, tables in SCHEMA.items()
            for name, column in tables["t"].columns.items()
        }
        value = evaluated(trace, step, columns)
        for party, tables in SCHEMA.items():
            most = found.get((party, "t"), Sensitivity(0, 0))
            for row in range(ROWS):
                other = dict(columns)
                for name, column in tables["t"].columns.items():
                    other[party, name] = columns[party, name].copy()
                    other[party, name][row] = chance.integers(column.low, column.high + 1)
                moved = np.atleast_1d(evaluated(trace, step, other) - value).astype(object)
                assert abs(moved).sum() <= most.l1
                assert (moved**2).sum() <= most.l2_squared


def column(data: Data, party: str, name: str) -> Value:
    return data.party(party)["t"][name]


SCRIPTS: dict[str, tuple[Callable[[Data], Value], dict[str, tuple[int, int]]]] = {
    "a sum": (lambda data: column(data, "north", "a").sum(), {"north": (8, 64)}),
    "a mean": (lambda data: column(data, "north", "a").mean(), {"north": (8, 64)}),
    "a joint sum": (lambda data: data.table("t")["a"].sum(), {"north": (8, 64), "south": (7, 49)}),
    "of everybody, each by itself": (lambda data: column(data, "north", "a"), {"north": (8, 64)}),
    "a weighted sum": (lambda data: column(data, "north", "a") @ [1, -3, 2, 0], {"north": (24, 576)}),
    "a dot product": (
        lambda data: column(data, "north", "a") @ column(data, "south", "a"),
        {"north": (72, 5184), "south": (35, 1225)},
    ),
    "squares": (lambda data: (column(data, "north", "a") ** 2).sum(), {"north": (40, 1600)}),
    "sums of two columns": (
        lambda data: data.party("north")["t"][["a", "b"]].sum(axis=0),
        {"north": (10, 80)},
    ),
    "a histogram": (
        lambda data: (column(data, "north", "b")[:, None] == np.arange(3)).sum(axis=0),
        {"north": (3, 3)},
    ),
    "centred": (
        lambda data: 4 * column(data, "north", "a") - column(data, "north", "a").sum(),
        {"north": (64, 40 * 64)},
    ),
    "how many are larger": (lambda data: (column(data, "north", "a") > 0).sum(), {"north": (1, 1)}),
    "how many are larger than the one opposite": (
        lambda data: (column(data, "north", "a") > column(data, "north", "a")[::-1]).sum(),
        {"north": (2, 4)},
    ),
    "a product of what is mostly negative": (
        lambda data: column(data, "north", "b") @ column(data, "south", "b"),
        {"north": (8, 64), "south": (10, 100)},
    ),
    "a largest": (lambda data: column(data, "north", "a").max(), {"north": (8, 64)}),
    "one row": (lambda data: column(data, "north", "a")[1], {"north": (8, 64)}),
    "a row twice": (lambda data: column(data, "north", "a")[[1, 1, 2]].sum(), {"north": (16, 256)}),
    "lags": (
        lambda data: (column(data, "north", "a")[1:] - column(data, "north", "a")[:-1]).sum(),
        {"north": (16, 256)},
    ),
    "cumulated": (lambda data: column(data, "north", "b").cumsum(), {"north": (8, 16)}),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_known_sensitivities(name: str) -> None:
    script, expected = SCRIPTS[name]
    found = {party: (each.l1, each.l2_squared) for (party, _), each in sensitivity(script).items()}
    assert found == expected
    for seed in range(5):
        check(script, seed)


def test_one_person_with_several_rows() -> None:
    one, several = (sensitivity(lambda data: data.table("t")["a"].sum(), **given) for given in ({}, {"north": 5}))
    assert several["north", "t"] == Sensitivity(5 * one["north", "t"].l1, 25 * one["north", "t"].l2_squared)
    assert several["south", "t"] == one["south", "t"]


@st.composite
def scripts(draw: st.DrawFn) -> Callable[[Data], Value]:
    """A few operations on what there is so far, starting from the columns."""
    choices = draw(
        st.lists(st.tuples(st.integers(0, 17), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=7)
    )

    def script(data: Data) -> Value:
        values = [column(data, party, name) for party in ("north", "south") for name in ("a", "b")]
        for kind, first, second in choices:
            x, y = values[first % len(values)], values[second % len(values)]
            with np.errstate(all="ignore"):
                made = _made(kind, x, y, second)
            if made is not None and made.type.bits < 40 and made.size <= 64:
                values.append(made)
        return values[-1]

    return script


def _made(kind: int, x: Value, y: Value, number: int) -> Value | None:
    same = x.shape == y.shape
    match kind:
        case 0:
            return x + y if same else x + 1
        case 1:
            return x - y if same else -x
        case 2:
            return x * y if same else x * 3
        case 3:
            return x.sum()
        case 4:
            return x.sum(axis=number % x.ndim) if x.ndim else x
        case 5:
            return x[:, None] - y[None, :] if x.ndim == y.ndim == 1 else None
        case 6:
            return x @ y if same and x.ndim == 1 else None
        case 7:
            return x.T @ x if x.ndim == 2 else None
        case 8:
            return x[number % len(x)] if x.ndim else None
        case 9:
            return x[::-1] if x.ndim else None
        case 10:
            return x[[number % len(x), 0, number % len(x)]] if x.ndim else None
        case 11:
            return x.reshape(-1)
        case 12:
            return x[..., None] if x.ndim < 3 else None
        case 13:
            return mpc.stack([x, y], axis=number % (x.ndim + 1)) if same and x.ndim < 3 else None
        case 14:
            return mpc.concat([x, y]) if same and x.ndim else None
        case 15:
            return (x > y) * 1 if same else None
        case 16:
            return mpc.where(x > 1, y, 2) if same else None
        case _:
            return x.max(axis=0) if x.ndim else None


@settings(max_examples=150, deadline=None)
@given(scripts(), st.integers(0, 1000))
def test_no_row_moves_a_value_further_than_is_said(script: Callable[[Data], Value], seed: int) -> None:
    check(script, seed)


def cubed(x: Value) -> Value:
    return x * x * x


COMPILED: dict[str, Callable[[Any], Any]] = {
    "a mean": lambda data: data.party("north")["t"]["cost"].mean(),
    "a joint mean": lambda data: data.table("t")["cost"].mean(),
    "deviations": lambda data: record("deviations", data.party("north")["t"]["cost"], scale=0),
    "of a matrix": lambda data: record("deviations", data.party("north")["t"][["cost", "a"]], scale=0),
    "of several owners": lambda data: record("deviations", data.table("t")["cost"], scale=0),
    "a covariance": lambda data: record(
        "comoment", *(data.party("north")["t"][name] for name in ("cost", "a")), scale=0
    ),
    "covariances": lambda data: record("comoment", *[data.party("north")["t"][["cost", "a"]]] * 2, scale=0),
    "a mean in float64": lambda data: record("mean", data.party("north")["t"]["cost"], about=1.5, scale=0),
    "a product of reals": lambda data: data.party("north")["t"]["cost"] @ data.party("south")["t"]["cost"],
    "a cube": lambda data: cubed(data.party("north")["t"]["cost"]).sum(),
    "rounded": lambda data: (data.party("north")["t"]["cost"] * cubed(data.party("south")["t"]["cost"])).sum(),
    "sorted": lambda data: mpc.sort(data.party("north")["t"]["cost"]) @ [1.0, 0.0, 2.0, 0.5],
    "a function of rows": lambda data: mpc.exp(data.party("north")["t"]["cost"] / 2).sum(),
    "functions of several owners' rows": lambda data: (
        mpc.sigmoid(data.party("north")["t"]["cost"]) @ mpc.sqrt(data.party("south")["t"]["cost"] + 3)
    ),
    "quotients of rows": lambda data: (
        data.party("north")["t"]["cost"] / (data.party("north")["t"]["a"] + 4) - 1 / (data.party("south")["t"]["a"] + 4)
    ).sum(),
    "clipped": lambda data: mpc.minimum(data.party("north")["t"]["cost"], 3.5).sum(),
}


@pytest.mark.parametrize("name", COMPILED)
def test_plans_with_reals(name: str) -> None:
    """The same of plans as they run, with scales and roundings."""
    schema = {
        party: {"t": Table(ROWS, {"cost": Column("real", -2.5, 7.25), "a": Column("integer", -3, 5)})}
        for party in ("north", "south")
    }
    plan = mpc.computation(lambda data: mpc.noisy(COMPILED[name](data))).plan(schema)
    ((step, found),) = sensitivities(plan.steps, plan.types, {}).items()
    chance = np.random.default_rng(3)

    def clear(columns: Mapping[tuple[str, str], np.ndarray]) -> np.ndarray:
        values: list[np.ndarray] = []
        for each in plan.steps[:step]:
            inputs = [values[j] for j in each.inputs]
            if each.op == "column":
                values.append(encode_column(columns[each.params["party"], each.params["column"]], each.params))
            elif each.op == "constant":
                values.append(Constant().encoded(each.params))
            elif each.op == "share":
                values.append(inputs[0])
            else:
                values.append(each.operation.evaluate(inputs, [plan.types[j] for j in each.inputs], each.params))
        return values[plan.steps[step].inputs[0]].view(np.int64)

    for _ in range(30):
        columns: dict[tuple[str, str], np.ndarray] = {}
        for party in schema:
            columns[party, "cost"] = chance.choice([-2.5, 7.25, 1.0], ROWS)
            columns[party, "a"] = chance.choice([-3, 5, 0], ROWS)
        value = clear(columns)
        for party in schema:
            other = {key: values.copy() for key, values in columns.items()}
            row = chance.integers(ROWS)
            other[party, "cost"][row], other[party, "a"][row] = chance.choice([-2.5, 7.25]), chance.choice([-3, 5])
            moved = np.atleast_1d(clear(other) - value).astype(object)
            most = found.get((party, "t"), Sensitivity(0, 0))
            assert abs(moved).sum() <= most.l1
            assert (moved**2).sum() <= most.l2_squared


REFUSED: dict[str, tuple[Callable[[Data], Value], str]] = {
    "nothing of anybody": (lambda data: data.table("t").count() * 1, "depends on no row"),
    "a noised value times data": (
        lambda data: mpc.noisy(column(data, "north", "a").sum()) * column(data, "south", "a").sum(),
        "meets data that have no noise yet",
    ),
    "a quotient of sums": (
        lambda data: (
            column(data, "north", "a").sum() / mpc.maximum(column(data, "south", "a").sum(), 1)  # two kinds of rows
        ),
        "how far one row can move this value is not known",
    ),
    "rows by a sum of rows": (
        lambda data: column(data, "north", "a") / mpc.maximum(column(data, "north", "b").sum(), 1),
        "how far one row can move this value is not known",
    ),
    "a root of a variance": (
        lambda data: mpc.sqrt(mpc.maximum(column(data, "north", "a").var(), 0.01)),
        "how far one row can move this value is not known",
    ),
    "the larger of a noised value and data": (
        lambda data: mpc.maximum(mpc.noisy(column(data, "north", "a").sum()), column(data, "south", "a").sum()),
        "meets data that have no noise yet",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_bound_is_refused(name: str) -> None:
    script, said = REFUSED[name]
    with pytest.raises(PlanError, match=said):
        sensitivity(script)


def test_noised_values_may_be_added_to_data_and_compared_with_them() -> None:
    for script, most in (
        (lambda data: mpc.noisy(column(data, "north", "a").sum()) + column(data, "south", "a").sum(), 7),
        (lambda data: (column(data, "south", "a") > mpc.noisy(column(data, "north", "a").sum())).sum(), 1),
    ):
        found = sensitivity(script)
        assert {table: each.l1 for table, each in found.items()} == {("south", "t"): most}


INSTEAD: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], str]] = {
    "a mean of those who": (
        lambda t: mpc.noisy(t[t["age"] > 50]["cost"].mean(), 5.0),
        lambda t: (
            mpc.noisy(t[t["age"] > 50]["cost"].sum(), 5.0) / mpc.maximum(mpc.noisy((t["age"] > 50).sum(), 5.0), 1)
        ),
        r"mpc.noisy(x.sum()) / mpc.maximum(mpc.noisy(x.count()), 1)",
    ),
    "a standard deviation": (
        lambda t: mpc.noisy(t["cost"].std(), 5.0),
        lambda t: mpc.sqrt(mpc.maximum(mpc.noisy(t["cost"].var(), 5.0), 0.01)),
        r"mpc.sqrt(mpc.maximum(mpc.noisy(x.var()), 0.01))",
    ),
}


@pytest.mark.parametrize("name", INSTEAD)
def test_what_a_refusal_says_to_write_instead_runs(name: str) -> None:
    """And comes near the truth; the plan is debited for the noised values alone."""
    refused, instead, said = INSTEAD[name]
    chance = np.random.default_rng(5)
    tables = {
        party: {"t": {"age": chance.integers(20, 80, 2000), "cost": chance.uniform(0, 1000, 2000)}}
        for party in ("north", "south")
    }
    ranges = {party: {"t": {"age": (0, 100), "cost": (0, 1000)}} for party in tables}
    with pytest.raises(PlanError) as caught:
        mpc.simulate(lambda data: refused(data.table("t")), tables, ranges)
    assert said in caught.value.remedy
    cost = np.concatenate([tables[party]["t"]["cost"] for party in tables])
    age = np.concatenate([tables[party]["t"]["age"] for party in tables])
    truth = cost[age > 50].mean() if "mean" in name else cost.std()
    result = mpc.simulate(lambda data: instead(data.table("t")), tables, ranges)["result"]
    assert result == pytest.approx(truth, rel=0.05)


class Unknown:
    elementwise = False


def test_an_operation_that_is_not_known_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    trace, _ = noised(lambda data: column(data, "north", "a").cumsum())
    steps = [Step("unknown", step.inputs, step.params) if step.op == "cumsum" else step for step in trace.steps]
    monkeypatch.setattr(Step, "operation", Unknown())
    with pytest.raises(PlanError, match="how far one row can move this value is not known"):
        sensitivities(steps, trace.types, {})
