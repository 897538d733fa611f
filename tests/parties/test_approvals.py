"""A person at a node: plans wait, are shown, approved or denied, and what was decided holds; for that plan alone."""

from __future__ import annotations

import signal
import sqlite3
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mpc.computation import Computation
from mpc.plan import Plan
from mpc.result import Result
from mpc.schema import Column, Table
from parties.approvals import Approvals
from parties.errors import Fault

sys.path.insert(0, str(Path(__file__).parent))
from consortium import EXPOSURE, PARTIES, TOTAL, Running, eventually, exposure, refused, total
from forked import Piped

AGREEMENT = bytes(32)


def plan_of(k: int) -> Plan:
    """A plan that differs from others' by a constant."""
    schema = {party: {"t": Table(20, {"x": Column("integer", 0, 9)})} for party in ("north", "south")}
    return Computation(lambda data: data.table("t")["x"].sum() * k).plan(schema)


@pytest.fixture
def approvals(tmp_path: Path) -> Approvals:
    return Approvals(tmp_path / "state" / "approvals.sqlite")


def test_a_decision_is_for_one_plan_of_one_analyst_under_one_agreement(approvals: Approvals) -> None:
    asked = approvals.ask(plan_of(2), AGREEMENT, "ana", {"budget": "1, then 0"}, 5)
    assert (asked.decision, asked.is_open, asked.asked, asked.notes) == (None, True, 5, {"budget": "1, then 0"})
    approved = approvals.decide(asked.id[:6], AGREEMENT, now=6, computations=2)
    assert (approved.decision, approved.is_open, approved.computations) == ("approved", False, 2)
    for other in (
        approvals.ask(plan_of(3), AGREEMENT, "ana", {}, 7),
        approvals.ask(plan_of(2), bytes(31) + b"1", "ana", {}, 7),
        approvals.ask(plan_of(2), AGREEMENT, "bob", {}, 7),
    ):
        assert other.is_open
        assert not approvals.take(other.id)
    again = approvals.ask(plan_of(2), AGREEMENT, "ana", {"budget": "none"}, 8)
    assert (again.id, again.is_open, again.asked) == (asked.id, False, 5)


def test_an_approval_is_used_up_and_asked_for_again(approvals: Approvals) -> None:
    key = approvals.ask(plan_of(2), AGREEMENT, "ana", {}, 5).id
    assert not approvals.take(key)
    approvals.decide(key, AGREEMENT, now=6, computations=2)
    assert [approvals.take(key) for _ in range(3)] == [True, True, False]
    assert approvals.get(key).is_open
    again = approvals.ask(plan_of(2), AGREEMENT, "ana", {"new": "note"}, 9)
    assert (again.decision, again.asked, again.notes) == (None, 9, {"new": "note"})


def test_a_denial_holds_until_it_is_taken_back(approvals: Approvals) -> None:
    key = approvals.ask(plan_of(2), AGREEMENT, "ana", {}, 5).id
    approvals.decide(key, AGREEMENT, now=6, computations=5)
    approvals.decide(key, AGREEMENT, now=7, why="no ethics vote")
    assert not approvals.take(key)
    asked = approvals.ask(plan_of(2), AGREEMENT, "ana", {}, 8)
    assert (asked.decision, asked.why, asked.is_open) == ("denied", "no ethics vote", False)
    approvals.decide(key, AGREEMENT, now=9, computations=1)
    assert approvals.take(key)


def test_which_request_is_meant_must_be_clear(approvals: Approvals) -> None:
    keys = [approvals.ask(plan_of(k), AGREEMENT, "ana", {}, k).id for k in range(2, 20)]
    assert [request.id for request in approvals.requests(AGREEMENT)] == keys
    with refused("REQUEST_UNKNOWN", "Several"):
        approvals.decide("", AGREEMENT, now=6, computations=1)
    with refused("REQUEST_UNKNOWN", "No request"):
        approvals.decide("xyz", AGREEMENT, now=6, computations=1)
    with refused("REQUEST_UNKNOWN", "No request under the present agreement"):
        approvals.decide(keys[0], bytes(31) + b"1", now=6, computations=1)
    assert all(request.decision is None for request in approvals.requests(AGREEMENT))


def test_an_analyst_cannot_bury_the_owner_in_requests(approvals: Approvals) -> None:
    keys = [approvals.ask(plan_of(k), AGREEMENT, "ana", {}, 5).id for k in range(2, 52)]
    with refused("BUSY", "ana"):
        approvals.ask(plan_of(99), AGREEMENT, "ana", {}, 5)
    assert approvals.ask(plan_of(2), AGREEMENT, "ana", {}, 5).id == keys[0]  # what waits already may ask again
    approvals.ask(plan_of(2), AGREEMENT, "bob", {}, 5)
    approvals.decide(keys[3], AGREEMENT, now=6, why="no")
    approvals.ask(plan_of(99), AGREEMENT, "ana", {}, 5)


TAKING = """
import sys
from pathlib import Path
from parties.approvals import Approvals
print(sum(Approvals(Path(sys.argv[1])).take(sys.argv[2]) for _ in range(10)))
"""


def test_racing_processes_take_no_more_than_was_approved(approvals: Approvals, tmp_path: Path) -> None:
    key = approvals.ask(plan_of(2), AGREEMENT, "ana", {}, 5).id
    approvals.decide(key, AGREEMENT, now=6, computations=13)
    path = tmp_path / "state" / "approvals.sqlite"
    taking = [Piped("-c", TAKING, str(path), key) for _ in range(3)]
    assert sum(int(process.communicate()) for process in taking) == 13


def test_the_file_is_private_and_damage_is_told(approvals: Approvals, tmp_path: Path) -> None:
    approvals.ask(plan_of(2), AGREEMENT, "ana", {}, 5)
    path = tmp_path / "state" / "approvals.sqlite"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.write_bytes(b"no database at all" * 100)
    with refused("STATE_DAMAGED", str(path)):
        approvals.requests(AGREEMENT)
    path.unlink()
    path.mkdir()
    with refused("STATE_UNWRITABLE", str(path)):
        approvals.requests(AGREEMENT)


def test_nothing_is_decided_that_the_disk_does_not_take(approvals: Approvals, tmp_path: Path) -> None:
    key = approvals.ask(plan_of(2), AGREEMENT, "ana", {}, 5).id
    approvals.decide(key, AGREEMENT, now=6, computations=1)
    with sqlite3.connect(tmp_path / "state" / "approvals.sqlite", isolation_level=None) as other:
        other.execute("begin exclusive")
        monkeypatched = pytest.MonkeyPatch()
        monkeypatched.setattr("parties.approvals._LOCK_WITHIN_S", 0.1)
        with refused("STATE_UNWRITABLE", "locked"):
            approvals.take(key)
        monkeypatched.undo()
        other.execute("rollback")
    assert approvals.take(key)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """North and west ask a person: all agreed on it. South's own wish would be the same."""
    with Running(tmp_path_factory.mktemp("approvals") / "c", analysts=["ana"]) as running:
        running.agree(recipients=["analyst", "ana"])
        for party in ("north", "west"):
            asks(running, party, "approval_wait_s = 60")
        yield running.start()
        for member in running.members:
            assert not running.has(member, "fault", code="INTERNAL"), running.said(member)


def asks(running: Running, party: str, *lines: str) -> None:
    """This owner wants to look."""
    config = running.folder / party / "party.toml"
    config.write_text("\n".join(['approval = "ask"', *lines, config.read_text()]))


class Submitted:
    """A script on its way, and what its analyst is told of it."""

    def __init__(self, running: Running, pool: ThreadPoolExecutor, script: Any, name: str = "analyst") -> None:
        self.told: list[tuple[str, str]] = []
        self.ends: Future[Result] = pool.submit(
            running.run, script, name, progress=lambda party, phase: self.told.append((party, phase))
        )

    def waits_at(self, *parties: str) -> bool:
        return eventually(lambda: all((party, "waiting") in self.told for party in parties), 15)


@pytest.fixture
def tidy(running: Running) -> Iterator[None]:
    """Nothing that waits is left to the next test."""
    yield
    for party in ("north", "west"):
        for key in waiting(running, party):
            decide(running, party, "deny", key, "--why", "tidying up")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def decide(running: Running, party: str, *arguments: str) -> str:
    done = running.beaver(*arguments, "--as", party)
    assert done.returncode == 0, done.stderr
    return done.stdout


def waiting(running: Running, party: str) -> list[str]:
    """The ids that `beaver pending` shows."""
    lines = decide(running, party, "pending").splitlines()
    return [line.split()[1] for line in lines if line.startswith("request ")]


def test_a_plan_waits_is_shown_approved_and_runs_once(tidy: None, running: Running, pool: ThreadPoolExecutor) -> None:
    submitted = Submitted(running, pool, total)
    assert submitted.waits_at("north", "west")
    assert ("south", "waiting") not in submitted.told
    shown = decide(running, "north", "pending")
    plan = running.analyst().plan(Computation(total), running.analyst().row_counts())
    for said in (
        "of analyst",
        f"plan {plan.digest.hex()[:16]}",
        "visits.visits: 30 rows, integer in [0, 30]",
        "result (one number) to analyst and nobody else",
        "30 rows of north",
        "north sends",
        "1 wait: beaver approve ID",
    ):
        assert said in shown, shown
    for party in ("north", "west"):
        (key,) = waiting(running, party)
        assert "approved" in decide(running, party, "approve", key)
    assert submitted.ends.result(20)["result"] == TOTAL
    assert waiting(running, "north") == []
    again = Submitted(running, pool, total)
    assert again.waits_at("north", "west")
    (key,) = waiting(running, "north")
    decide(running, "north", "deny", key, "--why", "once is enough")
    with refused("PLAN_DENIED", "north denies this plan: once is enough"):
        again.ends.result(20)


def test_the_steps_and_numbers_of_a_plan_are_shown(tidy: None, running: Running) -> None:
    """Whoever approves sees weights and positions that pick rows, on lines that fit."""

    def weighted(data: Any) -> Any:
        visits = data.party("north")["visits"]
        rows = {f"a condition's result, the {i}th": visits[visits["visits"] == i]["age"].sum() for i in range(2)}
        return rows | {"weighted": visits["visits"] @ ([0] * 29 + [1]), "chosen": visits["visits"][1:21].sum()}

    analyst = running.analyst()
    plan = Computation(weighted).plan(analyst.agreement.schema(analyst.row_counts()))
    approvals = Approvals(running.folder / "north" / "state" / "approvals.sqlite")
    approvals.ask(plan, analyst.agreement.digest(), "analyst", {"budget left": "none " * 40}, 5)
    shown = decide(running, "north", "pending")
    for said in (
        "steps\n",
        "is 0 (29 times), 1 (once)",
        "takes positions 1 to 20 of 30",
        "north.visits.age",
        "of which a secret condition selects some",
        "chosen to analyst",
        "1 wait: beaver approve ID",
    ):
        assert said in shown, shown
    assert shown.count("\n    #") == len(plan.steps)
    assert max(map(len, shown.splitlines())) <= 100


def test_a_denial_is_told_to_everybody_and_holds(tidy: None, running: Running, pool: ThreadPoolExecutor) -> None:
    submitted = Submitted(running, pool, exposure)
    assert submitted.waits_at("north", "west")
    (key,) = waiting(running, "north")
    decide(running, "north", "deny", key, "--why", "not for this purpose")
    with refused("PLAN_DENIED", "not for this purpose"):
        submitted.ends.result(20)
    assert running.idle()
    for party in ("south", "west", "dealer"):
        assert running.has(party, "fault", code="SESSION_CANCELLED", message="not for this purpose")
    running.kill("north", signal.SIGKILL)
    running.start("north")
    with refused("PLAN_DENIED", "not for this purpose"):  # at once, and after a crash
        running.run(exposure)
    decide(running, "north", "approve", key)  # taken back
    decide(running, "west", "approve", *waiting(running, "west"))
    assert running.run(exposure)["result"] == EXPOSURE


def test_nobody_decides_in_time_and_then_somebody_does(tidy: None, running: Running, pool: ThreadPoolExecutor) -> None:
    config = running.folder / "north" / "party.toml"
    before = config.read_text()
    config.write_text(before.replace("approval_wait_s = 60", "approval_wait_s = 1"))
    running.kill("north", signal.SIGTERM)
    running.start("north")
    try:
        for _ in range(2):  # still one request
            with refused("APPROVAL_PENDING", "nobody at north has decided"):
                running.run(lambda data: data.table("visits").count())
        (key,) = waiting(running, "north")
        decide(running, "north", "approve", key, "--times", "2")
        decide(running, "west", "approve", *waiting(running, "west"), "--times", "2")
        for _ in range(2):
            assert running.run(lambda data: data.table("visits").count())["result"] == 90
        with refused("APPROVAL_PENDING"):
            running.run(lambda data: data.table("visits").count())
    finally:
        config.write_text(before)
        running.kill("north", signal.SIGTERM)
        running.start("north")


def test_of_two_sessions_with_one_approval_one_runs(tidy: None, running: Running, pool: ThreadPoolExecutor) -> None:
    def mean(data: Any) -> Any:
        return data.table("visits")["age"].mean()

    decided = Submitted(running, pool, mean)
    assert decided.waits_at("north", "west")
    other = Submitted(running, pool, mean)
    assert other.waits_at("north", "west")
    for party in ("north", "west"):
        decide(running, party, "approve", *waiting(running, party))
    assert eventually(lambda: decided.ends.done() or other.ends.done(), 20)

    def ended() -> bool:
        """Who came too late may wait again, sooner or later, or end while it is being denied."""
        for party in ("north", "west"):
            for key in waiting(running, party):
                running.beaver("deny", key, "--why", "once", "--as", party)
        return decided.ends.done() and other.ends.done()

    assert eventually(ended, 60)
    ends = [each.ends.exception() for each in (decided, other)]
    assert ends.count(None) <= 1  # none, when each was counted first at another party
    codes = {end.code for end in ends if isinstance(end, Fault)}
    assert codes <= {"APPROVAL_PENDING", "PLAN_DENIED"}, ends


def test_what_one_analyst_may_another_may_not(tidy: None, running: Running, pool: ThreadPoolExecutor) -> None:
    def rows(data: Any) -> Any:
        return data.party("north")["visits"].count()

    first = Submitted(running, pool, rows)
    assert first.waits_at("north", "west")
    for party in ("north", "west"):
        decide(running, party, "approve", *waiting(running, party), "--times", "5")
    assert first.ends.result(20)["result"] == 30
    second = Submitted(running, pool, rows, "ana")
    assert second.waits_at("north", "west")
    assert len(waiting(running, "north")) == 1
    decide(running, "west", "deny", *waiting(running, "west"), "--why", "ana may not")
    with refused("PLAN_DENIED", "ana may not"):
        second.ends.result(20)


def test_who_waits_is_ended_with_the_session(tidy: None, running: Running) -> None:
    before = len(running.events("north", "fault"))

    def give_up(party: str, phase: str) -> None:
        if phase == "waiting":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.run(lambda data: data.table("visits")["visits"].mean(), progress=give_up)
    assert eventually(lambda: len(running.events("north", "fault")) > before, 5)
    fault = running.events("north", "fault")[-1]
    assert (fault["code"], fault["phase"]) == ("SESSION_CANCELLED", "approval")


def test_a_plan_that_is_refused_is_not_put_before_anybody(running: Running) -> None:
    before = waiting(running, "north")
    with refused("PLAN_REFUSED"):
        running.run(lambda data: data.table("visits")["visits"])
    assert waiting(running, "north") == before


def test_explain_says_that_a_person_decides(running: Running) -> None:
    script = running.script("@mpc.computation\ndef rows(data):\n    return data.table('visits').count()\n")
    shown = running.beaver("explain", script).stdout
    assert "a person at north decides: beaver pending, at north" in shown
    assert "a person at south" not in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pending"], "Say who you are: --as NAME"),
        (["pending", "-C", "north/data"], "holds no party.toml"),
        (["approve", "ffff", "--as", "south"], "REQUEST_UNKNOWN"),
        (["deny", "ffff", "--why", " ", "--as", "south"], "no reason is given"),
        (["pending", "--as", "nobody"], "CONFIG_MISSING"),
    ],
)
def test_mistakes_of_a_person(running: Running, arguments: list[str], said: str) -> None:
    done = running.beaver(*arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_agreement_can_have_everybody_asked(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """And what was decided under one agreement is nothing under the next."""
    with Running(tmp_path / "c") as running:
        running.terms(("min_rows = 10", 'min_rows = 10\nuses = 3\napproval = "ask"'))
        running.start()
        submitted = Submitted(running, pool, total)
        assert submitted.waits_at(*PARTIES)
        assert "computations left: 3, then 2" in decide(running, "south", "pending")
        for party in PARTIES:
            decide(running, party, "approve", *waiting(running, party), "--times", "3")
        assert submitted.ends.result(20)["result"] == TOTAL
        for member in running.members:
            running.kill(member, signal.SIGTERM)
        running.terms(("uses = 3", "uses = 4"))
        running.start()
        submitted = Submitted(running, pool, total)
        assert submitted.waits_at(*PARTIES)
        for party in PARTIES:
            decide(running, party, "deny", *waiting(running, party), "--why", "enough")
        with refused("PLAN_DENIED"):
            submitted.ends.result(20)
