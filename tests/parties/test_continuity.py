"""A node starts with the databases that its record tells of, and with no older ones."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import mpc
from mpc.plan import Plan
from parties.approvals import Approvals
from parties.audit import Audit
from parties.continuity import Continuity, counted
from parties.entries import Entry
from parties.identity import Identity
from parties.ledger import Ledger

sys.path.insert(0, str(Path(__file__).parent))
from consortium import EXPOSURE, TOTAL, Running, exposure, refused, total
from test_approvals import AGREEMENT, plan_of
from test_told import Owner

NORTH = Identity.create()
FILES = ("ledger.sqlite", "privacy.sqlite", "approvals.sqlite")


class Started:
    """What a node opens when it starts, in its order, without a process; and what it counts and records."""

    def __init__(self, folder: Path, **terms: Any) -> None:
        state = folder / "state"
        with closing(Audit(state / "audit.jsonl", "north", NORTH)) as audit:
            self.continuity = Continuity(state)
            self.continuity.check(audit.counts)
        self.ledger = Ledger(state / "ledger.sqlite")
        self.owner = Owner(folder, **terms)
        self.approvals = Approvals(state / "approvals.sqlite")
        self.folder = folder

    def count(self) -> None:
        """A use, a number of rows that is told and paid for, and an approval: on the disk, and not recorded."""
        self.ledger.use("a" * 64, 1000, "s")
        with self.owner.table.open("a") as table:
            table.write("33\n")
        self.owner.rows()
        plan: Plan = plan_of(2)
        request = self.approvals.ask(plan, AGREEMENT, "ana", {}, 5)
        self.approvals.decide(request.id, AGREEMENT, now=6, computations=2)
        assert self.approvals.take(request.id)

    def record(self, kind: str = "run_counted", **content: Any) -> None:
        """The entry that is made once all that is on the disk."""
        self.append(kind, counted=self.continuity.counts(), **content)

    def append(self, kind: str, **content: Any) -> None:
        """Any entry."""
        with closing(Audit(self.folder / "state" / "audit.jsonl", "north", NORTH)) as audit:
            audit.record(kind, **content)

    def run(self) -> None:
        """One run."""
        self.count()
        self.record()


def count_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("pragma user_version").fetchone()[0])


def wipe(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_node_starts_again_and_again(tmp_path: Path, state: Path) -> None:
    for _ in range(3):
        Started(tmp_path, epsilon=9.0).run()
    told = Audit(state / "audit.jsonl", "north", NORTH).counts
    assert set(told) == set(FILES)
    for name in FILES:
        assert 3 <= told[name] <= count_of(state / name)


def test_an_empty_folder_begins_anew(tmp_path: Path, state: Path) -> None:
    """Whoever holds a head of the record that was in it refuses the new one (test_heads.py)."""
    Started(tmp_path).run()
    shutil.rmtree(state)
    Started(tmp_path).run()


@pytest.mark.parametrize("name", FILES)
def test_an_old_copy_is_refused_however_often_one_tries(tmp_path: Path, state: Path, name: str) -> None:
    Started(tmp_path, epsilon=9.0).run()
    old = (state / name).read_bytes()
    Started(tmp_path, epsilon=9.0).run()
    newest = (state / name).read_bytes()
    (state / name).write_bytes(old)
    for _ in range(9):
        with refused("STATE_DAMAGED", str(state / name), "is older than the record beside it", "Put back the newest"):
            Started(tmp_path, epsilon=9.0)
    assert (state / name).read_bytes() == old
    (state / name).write_bytes(newest)
    Started(tmp_path, epsilon=9.0).run()


@pytest.mark.parametrize("name", ["ledger.sqlite", "privacy.sqlite"])
def test_a_missing_file_is_refused(tmp_path: Path, state: Path, name: str) -> None:
    Started(tmp_path).run()
    newest = (state / name).read_bytes()
    (state / name).unlink()
    for _ in range(2):
        with refused("STATE_DAMAGED", f"{state / name} is missing", "move the whole state folder away", "new keys"):
            Started(tmp_path)
        assert not (state / name).exists()
    (state / name).write_bytes(newest)
    Started(tmp_path)


def test_without_key_and_memory_of_results(tmp_path: Path, state: Path) -> None:
    """As if nothing had ever been told."""
    Started(tmp_path).run()
    (state / "privacy.sqlite").unlink()
    (state / "privacy.key").unlink()
    with refused("STATE_DAMAGED", "privacy.sqlite is missing"):
        Started(tmp_path)


@pytest.mark.parametrize("name", ["ledger.sqlite", "privacy.sqlite"])
def test_a_file_that_began_anew_elsewhere_is_refused(tmp_path: Path, state: Path, name: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Started(other, epsilon=9.0)
    for _ in range(3):
        Started(tmp_path, epsilon=9.0).run()
    shutil.copy(other / "state" / name, state / name)
    with refused("STATE_DAMAGED", name, "older than the record beside it, or began anew"):
        Started(tmp_path, epsilon=9.0)


def test_approvals_begin_anew_without_what_was_approved(tmp_path: Path, state: Path) -> None:
    """So a damaged file costs the person's decisions, and no old one comes back."""
    path = state / "approvals.sqlite"
    started = Started(tmp_path, epsilon=9.0)
    request = started.approvals.ask(plan_of(2), AGREEMENT, "ana", {}, 5)
    started.approvals.decide(request.id, AGREEMENT, now=6, computations=7)
    old = path.read_bytes()
    started.run()
    path.unlink()
    started = Started(tmp_path, epsilon=9.0)
    assert started.approvals.requests(AGREEMENT) == []
    assert path.stat().st_mode & 0o077 == 0
    Started(tmp_path, epsilon=9.0).run()
    path.write_bytes(old)
    with refused("STATE_DAMAGED", str(path), "has to be approved again"):
        Started(tmp_path, epsilon=9.0)


@pytest.mark.parametrize("torn", [False, True])
def test_a_crash_before_the_entry_is_no_damage(tmp_path: Path, state: Path, torn: bool) -> None:
    """What is on the disk was counted, and is not recorded: nothing of that run was opened."""
    Started(tmp_path, epsilon=9.0).run()
    started = Started(tmp_path, epsilon=9.0)
    started.count()
    if torn:
        record = state / "audit.jsonl"
        whole = record.read_bytes()
        started.record()
        record.write_bytes(record.read_bytes()[: len(whole) + 90])
    counts = started.continuity.counts()
    again = Started(tmp_path, epsilon=9.0)
    assert all(count <= again.continuity.counts()[name] for name, count in counts.items())
    assert again.ledger.uses("a" * 64) == 2
    again.run()
    Started(tmp_path, epsilon=9.0)


@pytest.mark.parametrize("days", ["", ", days = 1"])
def test_what_is_forgotten_and_agreements_that_follow(tmp_path: Path, state: Path, days: str) -> None:
    for epsilon in (3.0, 4.0, 5.0):  # each of them another agreement
        Started(tmp_path, epsilon=epsilon, days=days).run()
        wipe(state / "privacy.sqlite", "delete from told")
        wipe(state / "ledger.sqlite", "delete from reservation")
        old = (state / "privacy.sqlite").read_bytes()
    Started(tmp_path, epsilon=6.0, days=days).run()
    Started(tmp_path, epsilon=7.0, days=days)
    (state / "privacy.sqlite").write_bytes(old)
    with refused("STATE_DAMAGED", "privacy.sqlite"):
        Started(tmp_path, epsilon=7.0, days=days)


def test_a_folder_from_before_counts_were_noted(tmp_path: Path, state: Path) -> None:
    started = Started(tmp_path, epsilon=9.0)
    started.count()
    for name in FILES:
        wipe(state / name, "pragma user_version = 0")
    started.append("run_begun", session="s")
    started.append("debit", session="s", table="visits", epsilon=0.25, delta=1e-9)
    started.append("of_another_version", counted={"of_another_version.sqlite": 7}, state={"ledger.sqlite": "x"})
    before = {name: (state / name).read_bytes() for name in FILES}
    Started(tmp_path, epsilon=9.0).run()
    for name, old in before.items():
        newest = (state / name).read_bytes()
        (state / name).write_bytes(old)
        with refused("STATE_DAMAGED", name):
            Started(tmp_path, epsilon=9.0)
        (state / name).write_bytes(newest)
    Started(tmp_path, epsilon=9.0).run()


@pytest.mark.parametrize("wrong", [None, [], {"ledger.sqlite": -1}, {"ledger.sqlite": True}, {"ledger.sqlite": "1"}])
def test_counts_that_are_none(tmp_path: Path, state: Path, wrong: Any) -> None:
    with pytest.raises(ValueError, match="notes counts"):
        counted({"counted": wrong})
    Started(tmp_path).run()
    record = state / "audit.jsonl"
    last = Entry.parse(record.read_bytes().splitlines()[-1])
    record.open("ab").write(Entry.make(last, "north", NORTH, "run_counted", {"counted": wrong}).line)
    with refused("STATE_DAMAGED", "audit.jsonl", "notes counts that are none"):
        Started(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_database(tmp_path: Path, state: Path, name: str) -> None:
    Started(tmp_path).run()
    for content in (b"", b"no database at all" * 100):
        (state / name).write_bytes(content)
        with refused("STATE_DAMAGED", name):
            Started(tmp_path)
    (state / name).unlink()
    (state / name).mkdir()
    with refused("STATE_UNWRITABLE", name):
        Started(tmp_path)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "consortium") as running:
        budget = "[data.north.visits]\nbudget = { epsilon = 1.0 }\n"
        running.terms(('source = "dealer"', 'uses = 3\nsource = "dealer"'), ("[data.north.visits]\n", budget))
        yield running.start()


def noised(data: Any) -> Any:
    return mpc.noisy(data.party("north")["visits"]["visits"].sum(), epsilon=1.0)


def test_a_node_refuses_to_forget(running: Running) -> None:
    """Real nodes: neither budgets nor uses come back, after kill -9 either."""
    state = running.folder / "north" / "state"
    old = {name: (state / name).read_bytes() for name in ("ledger.sqlite", "privacy.sqlite")}
    running.run(noised)
    assert running.run(total)["result"] == TOTAL
    running.kill("north", signal.SIGKILL)
    for name, content in old.items():
        newest = (state / name).read_bytes()
        for change in (lambda: (state / name).write_bytes(content), lambda: (state / name).unlink()):  # noqa: B023
            change()
            assert running.launch("north").wait(10) == 1
            assert "STATE_DAMAGED" in running.said("north")
            assert str(state / name) in running.said("north")
            assert "Traceback" not in running.said("north")
            (state / name).write_bytes(newest)
    running.start("north")
    assert running.run(exposure)["result"] == EXPOSURE
    with refused("PLAN_REFUSED", "computation 4, 3 are agreed"):
        running.run(total)
    for member in running.members:
        record = running.folder / member / "state" / "audit.jsonl"
        entries = [Entry.parse(line) for line in record.read_bytes().splitlines()]
        kinds = {entry.kind for entry in entries if entry.content.get("counted")}
        assert kinds == {"north": {"debit", "run_counted"}, "dealer": {"material_dealt"}}.get(member, {"run_counted"})
        for entry in entries:
            for name, count in counted(entry.content).items():
                assert count <= count_of(record.with_name(name))
    assert running.beaver("audit", "verify").returncode == 0
