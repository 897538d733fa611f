"""Noised results over real nodes: budgets hold through races, kills and restarts; asking again changes nothing."""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import mpc
from mpc.computation import Computation
from mpc.plan import Plan, Step
from parties.errors import Fault

sys.path.insert(0, str(Path(__file__).parent))
from consortium import Running, eventually, refused, write_csv
from hand import Hand

PARTIES = ("north", "south", "west")
AGES = list(range(20, 60))
TABLES = {party: {"visits": {"age": AGES, "patient": [i // 2 for i in range(40)]}} for party in PARTIES}


def agreed(running: Running, epsilon: float = 1.0, delta: float = 0.0, more: str = "") -> None:
    """A budget for the table of every party."""
    for party in PARTIES:
        terms = f"[data.{party}.visits]\n"
        running.terms((terms, f"{terms}budget = {{epsilon = {epsilon}, delta = {delta}}}\n{more}"))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "c", TABLES) as running:
        agreed(running)
        yield running.start()


def noisy(epsilon: float, delta: float = 0.0, times: int = 1) -> Callable[[Any], Any]:
    return lambda data: mpc.noisy(data.table("visits")["age"].sum() * times, epsilon, delta)


def debits(running: Running, party: str) -> list[tuple[str, float, float]]:
    """What the party's ledger has on the disk."""
    with sqlite3.connect(f"file:{running.folder / party / 'state' / 'privacy.sqlite'}?mode=rw", uri=True) as connection:
        return connection.execute("select name, epsilon, delta from debit order by number").fetchall()


def test_a_noised_result_comes_near_and_costs_what_it_says(running: Running) -> None:
    result = running.run(noisy(0.5))["result"]
    assert abs(result - 3 * sum(AGES)) < 40 * 3 * 50 / 0.5  # 3 parties, range below 50, 2^-57 beyond
    for party in PARTIES:
        assert debits(running, party) == [("visits", 0.5, 0.0)]


def test_asking_again_gives_the_same_and_costs_nothing(running: Running) -> None:
    first = running.run(noisy(0.75))
    for _ in range(3):
        again = running.run(noisy(0.75))
        assert again["result"] == first["result"]
        assert again.traffic.rounds == 0
    for member in running.members:
        running.kill(member)
    running.start()
    assert running.run(noisy(0.75))["result"] == first["result"]
    for party in PARTIES:
        assert debits(running, party) == [("visits", 0.75, 0.0)]


def test_on_other_data_it_is_another_question(running: Running) -> None:
    running.run(noisy(0.5))
    write_csv(running.data("south") / "visits.csv", {"age": AGES[::-1], "patient": [0] * 40})
    assert running.run(noisy(0.5)).traffic.rounds > 0
    assert debits(running, "north") == [("visits", 0.5, 0.0)] * 2
    with refused("PLAN_REFUSED", "has epsilon 0 left", "budget"):
        running.run(noisy(0.25))


def test_another_analyst_gets_nothing_that_was_not_for_them(running: Running) -> None:
    running.run(noisy(0.5))
    with Hand(running, "south") as hand:
        plan = running.analyst().plan(Computation(noisy(0.5)), running.analyst().row_counts())
        hand.client.send("north", {"kind": "repeat", "plan": plan.encode()})
        assert hand.fault("north")["code"] == "NOT_AN_ANALYST"


def test_past_the_budget(running: Running) -> None:
    running.run(noisy(0.9))
    with refused("PLAN_REFUSED", ".visits has epsilon 0.1 left of its privacy budget of epsilon 1", "(budget)"):
        running.run(noisy(0.2))
    with refused("PLAN_REFUSED", "this needs epsilon 1.5"):
        running.run(noisy(1.5))
    with refused("PLAN_REFUSED", "delta"):
        running.run(noisy(0.05, 1e-9))
    assert debits(running, "north") == [("visits", 0.9, 0.0)]
    running.run(noisy(0.1))


def test_a_table_without_a_budget(running: Running) -> None:
    for member in running.members:
        running.kill(member)
    running.agree()
    running.start()
    with refused("PLAN_REFUSED", "south.visits has no privacy budget"):
        running.run(noisy(0.1))


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan"), float("inf"), 1e-300])
def test_a_bad_epsilon_past_the_analysts_program(running: Running, epsilon: float) -> None:
    """Refused by the nodes, with the ledger unchanged."""
    analyst = running.analyst()
    good = analyst.plan(Computation(noisy(0.5)), analyst.row_counts())
    steps = [
        Step("noisy", step.inputs, {**step.params, "epsilon": epsilon}) if step.op == "noisy" else step
        for step in good.steps
    ]
    with Hand(running) as hand:
        hand.submit(Plan(good.parties, tuple(steps)).encode(), *PARTIES)
        for party in PARTIES:
            assert hand.fault(party)["code"] in ("PLAN_INVALID", "PLAN_REFUSED")
    assert not any(debits(running, party) for party in PARTIES)


def test_two_sessions_race_for_the_last_of_a_budget(running: Running) -> None:
    outcomes: list[str] = []

    def ask(times: int) -> None:
        try:
            running.run(noisy(0.6, times=times))
            outcomes.append("won")
        except Fault as fault:
            outcomes.append(fault.code)

    threads = [threading.Thread(target=ask, args=(times,)) for times in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("won") == 1
    assert set(outcomes) <= {"won", "BUDGET_SPENT", "PLAN_REFUSED"}
    for party in PARTIES:
        assert debits(running, party) == [("visits", 0.6, 0.0)]


def test_a_session_that_fails_after_the_debit_has_paid(running: Running) -> None:
    """South stands still when its turn comes to debit: north before it has debited, and nothing gives that back."""
    with Hand(running) as hand:
        plan = running.analyst().plan(Computation(noisy(0.4)), running.analyst().row_counts())
        hand.submit(plan.encode(), *PARTIES)
        hellos = hand.hellos(*PARTIES)
        for party in PARTIES:
            hand.tell(party, "hellos", hellos=hellos)
        signatures = {party: hand.hear(party, "signature")["signature"] for party in PARTIES}
        running.kill("south", signal.SIGSTOP)
        for party in ("north", "west"):
            hand.tell(party, "signatures", signatures=signatures)
        assert eventually(lambda: len(debits(running, "north")) == 1, 10)
    running.kill("south")
    running.start("south")
    running.run(noisy(0.4))
    assert [len(debits(running, party)) for party in PARTIES] == [2, 1, 1]


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.2, 0.3])
def test_kill_at_every_moment_counts_whatever_was_opened(running: Running, moment: float) -> None:
    """If the analyst has a result, everybody has debited it."""
    opened: list[Any] = []

    def ask() -> None:
        with suppress(Fault):
            opened.append(running.run(noisy(0.5))["result"])

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: running.has("north", "session_submitted"), 10)
    eventually(lambda: False, moment)
    running.kill("north")
    asking.join()
    if opened:
        assert debits(running, "north") == [("visits", 0.5, 0.0)]
    assert len(debits(running, "north")) <= 1
    running.start("north")
    before = len(debits(running, "north"))
    result = running.run(noisy(0.5))["result"]
    assert not opened or (result == opened[0]) == (len(debits(running, "north")) == before)


def test_gaussian_noise_and_a_delta(tmp_path: Path) -> None:
    with Running(tmp_path / "c", TABLES) as running:
        agreed(running, epsilon=2.0, delta=1e-5)
        running.start()
        histogram = lambda data: mpc.noisy((data.table("visits")["age"][:, None] > [30, 40, 50]).sum(axis=0), 1.0, 1e-6)  # noqa: E731
        found = running.run(histogram)["result"]
        assert all(abs(count - 3 * true) < 3 * 12 * 10 for count, true in zip(found, (29, 19, 9), strict=True))
        assert debits(running, "west") == [("visits", 1.0, 1e-6)]


def test_persons_with_several_rows(tmp_path: Path) -> None:
    with Running(tmp_path / "c", TABLES) as running:
        agreed(running, more='unit = "patient"\nunit_rows = 2\n')
        running.start()
        running.run(noisy(0.5))
        write_csv(running.data("west") / "visits.csv", {"age": AGES, "patient": [i // 3 for i in range(40)]})
        with refused("UNIT_ROWS_EXCEEDED", "13 values of 'patient' stand in more than 2 rows"):
            running.run(noisy(0.25))
        assert len(debits(running, "north")) == 1


def test_the_record_tells_what_was_debited(running: Running) -> None:
    running.run(noisy(0.5))
    record = (running.folder / "north" / "state" / "audit.jsonl").read_text()
    assert '"kind":"debit"' in record
    assert '"epsilon":0.5' in record
