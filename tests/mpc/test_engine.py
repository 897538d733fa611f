"""Schedule, cost, explain, and the engine's memory. Values and traffic are the conformance suite's."""

import os
import tracemalloc

import numpy as np
import pytest

import mpc
from mpc.cost import Cost, estimate
from mpc.engine import Engine
from mpc.instructions import Reveal, SecretProduct
from mpc.schedule import Schedule
from mpc.schema import Column, Table
from mpc.simulate import schema_of
from protocols.party import Party

N = 20
COLUMNS = {"k": Column("integer", -9, 9), "r": Column("real", 0.0, 1.0)}
SCHEMA = {name: {"t": Table(N, COLUMNS)} for name in ("ada", "bob", "cyd")}


def planned(function, schema=SCHEMA):
    return mpc.computation(function).plan(schema)


def columns(data, name: str = "k"):
    return [data.party(party)["t"][name] for party in data.parties]


def three_levels(data):
    a, b, c = columns(data)
    ab = a * b
    return {"deep": ((ab * c) * (b + c)).sum(), "flat": mpc.dot(a, c), "sum": (a + b).sum()}


def test_products_start_as_soon_as_their_operands_are_there() -> None:
    plan = planned(three_levels)
    schedule = Schedule(plan)
    products = [i for i, one in enumerate(schedule.program) if isinstance(one.action, SecretProduct)]
    levels = sorted(schedule.start[i] for i in products)
    assert levels == [0, 0, 1, 2]
    assert schedule.rounds == 4
    assert {schedule.start[i] for i, one in enumerate(schedule.program) if isinstance(one.action, Reveal)} == {3}
    for i, instruction in enumerate(schedule.program):
        for j in instruction.inputs:
            assert schedule.start[j] + (j in products) <= schedule.start[i]


@pytest.mark.parametrize(
    ("function", "rounds"),
    [
        (lambda d: d.table("t")["k"].sum(), 1),
        (lambda d: columns(d)[0] * 3, 1),
        (lambda d: mpc.dot(*columns(d)[:2]), 2),
        (lambda d: {i: mpc.dot(columns(d)[0] + i, columns(d)[1]) for i in range(9)}, 2),
        (lambda d: columns(d)[0] * columns(d)[1] * columns(d)[2], 3),
    ],
)
def test_rounds(function, rounds: int) -> None:
    assert Schedule(planned(function)).rounds == estimate(planned(function)).rounds == rounds


def test_every_value_is_last_used_after_it_is_made() -> None:
    schedule = Schedule(planned(three_levels))
    for i, last in enumerate(schedule.last_use):
        users = [j for j, instruction in enumerate(schedule.program) if i in instruction.inputs]
        assert last in (users or [i])
        assert schedule.start[last] == max((schedule.start[j] for j in users), default=schedule.start[i])


def test_owners_and_demands_of_products() -> None:
    plan = planned(lambda d: (columns(d)[1] * (columns(d)[0] + columns(d)[2])).sum())
    schedule = Schedule(plan)
    ((number, secret),) = [
        (i, one.action) for i, one in enumerate(schedule.program) if isinstance(one.action, SecretProduct)
    ]
    assert {secret.x_owner, secret.y_owner} == {1, None}
    ((label, demand),) = schedule.demands()
    assert label == (number, 0)
    assert demand.holders == (0, 1, 2)


def test_time_counts_rounds_and_the_busiest_party() -> None:
    cost = Cost(4, {"ada": 1000, "bob": 3000}, 0, 0, {})
    assert cost.seconds(0.1, 1e6) == pytest.approx(4 * 0.05 + 0.003)
    assert Cost(1, {}, 0, 0, {}).seconds(0.1, 1.0) == pytest.approx(0.05)


def test_explain_says_what_a_person_must_know() -> None:
    def two(data):
        a, b, _ = columns(data)
        return {"dot": mpc.reveal(mpc.dot(a, b), to=["bob", "zed"]), "mean": data.table("t")["r"].mean()}

    text = planned(two).explain()
    for line in (
        "parties ada, bob, cyd",
        "    t.k: 20 rows, integer in [-9, 9]",
        "    t.r: 20 rows, real in [0, 1], resolution 2^-51",
        "  dot (one number) to bob, zed and nobody else\n    from at least 20 rows of ada, 20 rows of bob\n",
        "  mean (one number) to analyst and nobody else\n",
        "    from at least 20 rows of ada, 20 rows of bob, 20 rows of cyd\n",
        "  rounds            2",
        # 20 masked words, a share of dot to bob and zed, a share of mean to the analyst; bob keeps his own
        "  ada sends         184 bytes",
        "  bob sends         176 bytes",
        "  cyd sends         24 bytes",
        "1 correlations of 41 words, dealer: 8 bytes to bob",
        "LAN         about 0.5 ms",
        "WAN         about 40.0 ms",
    ):
        assert line in text
    assert "nothing" in planned(lambda d: columns(d)[0].sum()).explain()
    assert "resolution 2^-" not in planned(lambda d: columns(d)[0].sum()).explain()


def test_explain_says_where_rows_cannot_be_counted() -> None:
    long = {name: {"t": Table(1 << 26, COLUMNS)} for name in ("ada", "bob")}
    plan = planned(lambda d: (columns(d)[0].reshape(1 << 13, 1 << 13)).sum() + columns(d)[1].sum(), long)
    assert "rows of ada behind each number: not known (the plan is too large" in plan.explain()


def test_values_are_dropped_after_their_last_use() -> None:
    """A long chain over one array holds a few arrays at a time at each party, not one a step."""
    rows = 1 << 17
    data = {name: {"t": {"k": np.arange(rows) % 5}} for name in ("ada", "bob")}

    def chain(data):
        x = columns(data)[0] + columns(data)[1]
        for i in range(30):
            x = -(x + i)
        return x.sum()

    assert len(planned(chain, schema_of(data, {})).steps) > 60
    tracemalloc.start()
    mpc.simulate(chain, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 8 * 8 * rows


def test_what_a_run_leaves_shows_nothing() -> None:
    plan = planned(lambda d: mpc.reveal(columns(d)[0], to="ada"))
    schedule = Schedule(plan)
    secrets = {peer: os.urandom(32) for peer in range(3)}
    engine = Engine(schedule, Party(1, 3, secrets, None), {})
    sent = []
    running = engine.run(lambda peer, parts: sent.append((peer, np.concatenate(parts))))
    with pytest.raises(StopIteration) as stop:
        next(running)
    outcome = stop.value.value
    assert [(peer, words.size) for peer, words in sent] == [(0, N)]
    assert (outcome.revealed, outcome.shares, outcome.rounds) == ({}, {}, 1)
    assert str(sent[0][1][0]) not in repr(outcome)
