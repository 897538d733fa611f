"""What goes wrong in a running consortium: whoever is honest gets an error that names it in time, and goes on after."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

import mpc
from mpc.computation import Computation
from parties.client import Analyst
from parties.errors import Fault
from parties.identity import Identity

sys.path.insert(0, str(Path(__file__).parent))
from consortium import (
    PARTIES,
    TOTAL,
    Running,
    eventually,
    exposure,
    refused,
    total,
)
from hand import Hand

WITHIN_S = 10.0
LONG = 5_000_000


def long(data: Any) -> Any:
    """Products of so many rows that they take a while; every party waits for every other."""
    x, y, z = (data.party(party)["large"]["x"] for party in PARTIES)
    return x @ y + y @ z + z @ x


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("faults") / "c", analysts=["ana", "bob", "cat", "dan"])
    for party in PARTIES:
        path = running.data(party) / "large.parquet"
        duckdb.sql(f"copy (select i % 1000 as x from range({LONG}) t(i)) to '{path}' (format parquet)")
    running.agree()
    with running:
        yield running.start()
        for member in running.members:
            assert not running.has(member, "fault", code="INTERNAL"), running.said(member)


@pytest.fixture(autouse=True)
def everybody_runs(running: Running) -> None:
    """Whatever the test before left behind."""
    for process in running.processes.values():
        process.send_signal(signal.SIGCONT)  # a test that failed may have left one standing still
    down = [member for member in running.members if running.processes[member].poll() is not None]
    if down:
        running.start(*down)


def others_name(running: Running, culprit: str, since: dict[str, int]) -> bool:
    """Whether every other party reports the culprit in time."""

    def told(party: str) -> bool:
        faults = running.events(party, "fault")[since[party] :]
        return any(fault.get("peer") == culprit and culprit in fault["message"] for fault in faults)

    return eventually(lambda: all(told(party) for party in PARTIES if party != culprit), WITHIN_S)


def faults_so_far(running: Running) -> dict[str, int]:
    return {party: len(running.events(party, "fault")) for party in PARTIES}


@pytest.mark.parametrize(
    ("victim", "phase"), [("south", "submitted"), ("west", "loaded"), ("south", "dealt"), ("west", "dealt")]
)
def test_a_node_killed_in_mid_session(running: Running, victim: str, phase: str) -> None:
    since = faults_so_far(running)

    def kill(party: str, reached: str) -> None:
        if (party, reached) == (victim, phase):
            running.processes[victim].kill()

    with refused("PEER_LOST", victim, within_s=WITHIN_S):
        running.run(long, progress=kill)
    assert others_name(running, victim, since)
    running.start(victim)
    assert running.works()


def test_a_node_that_stands_still_and_comes_back(running: Running) -> None:
    """After longer than a heartbeat the others gave it up; what it still says of that session is heard by nobody."""
    since = faults_so_far(running)

    def stop(party: str, reached: str) -> None:
        if (party, reached) == ("south", "dealt"):
            running.kill("south", signal.SIGSTOP)

    with refused("PEER_LOST", "south", within_s=2 * WITHIN_S):  # heartbeats, and what was under way
        running.run(long, progress=stop)
    assert others_name(running, "south", since)
    session = running.events("north", "session_submitted")[-1]["session"]
    running.kill("south", signal.SIGCONT)
    assert eventually(lambda: running.has("south", "fault", session=session), WITHIN_S)
    assert not running.has("south", "session_done", session=session)
    assert running.works()


def test_a_node_asked_to_stop_in_mid_session(running: Running) -> None:
    since = faults_so_far(running)

    def stop(party: str, reached: str) -> None:
        if (party, reached) == ("south", "dealt"):
            running.kill("west", signal.SIGSTOP)  # so that the session lasts
            running.processes["south"].terminate()

    with refused("NODE_STOPPED", "south was stopped", within_s=WITHIN_S):
        running.run(long, progress=stop)
    running.kill("west", signal.SIGCONT)
    assert running.processes["south"].wait(WITHIN_S) == 0
    assert running.events("south")[-1]["event"] == "stopped"
    for party in ("north", "west"):
        assert eventually(lambda p=party: len(running.events(p, "fault")) > since[p], WITHIN_S)  # type: ignore[misc]
    running.start("south")
    assert running.works()


def test_a_node_down_at_the_beginning(running: Running) -> None:
    running.kill("west")
    with refused("UNREACHABLE", "west does not answer"):
        running.run(total)
    running.start("west")
    assert running.works()


def test_the_dealer_is_needed_only_by_plans_that_need_it(running: Running) -> None:
    running.kill("dealer")
    assert running.run(total)["result"] == TOTAL
    with refused("UNREACHABLE", "dealer does not answer", within_s=3):
        running.run(exposure)
    assert running.run(total)["result"] == TOTAL
    running.start("dealer")
    assert running.works()


def test_the_dealer_killed_in_mid_session(running: Running) -> None:
    since = faults_so_far(running)

    def kill(party: str, reached: str) -> None:
        if (party, reached) == ("north", "loaded"):
            running.processes["dealer"].kill()

    with refused("PEER_LOST", "dealer", within_s=WITHIN_S):
        running.run(long, progress=kill)
    assert others_name(running, "dealer", since)
    running.start("dealer")
    assert running.works()


def test_a_fault_in_one_session_leaves_others_alone(running: Running) -> None:
    """An analyst's session is refused while another's goes on."""
    with Hand(running) as hand:
        plan = running.analyst().plan(Computation(total), running.analyst().row_counts()).encode()
        hand.submit(plan, *PARTIES)
        hellos = hand.hellos(*PARTIES)
        with Hand(running) as bad:
            bad.submit(b"nonsense", *PARTIES)
            assert {bad.fault(party)["code"] for party in PARTIES} == {"PLAN_INVALID"}
        for party in PARTIES:
            hand.tell(party, "hellos", hellos=hellos)
        signatures = {party: hand.hear(party, "signature")["signature"] for party in PARTIES}
        for party in PARTIES:
            hand.tell(party, "signatures", signatures=signatures)
        for party in PARTIES:
            hand.hear(party, "done")


def test_a_vanished_analyst_locks_nobody_out(running: Running) -> None:
    """All the sessions of an analyst at once, then all of a node, whose analysts do not go on, then disappear."""
    with ExitStack() as held:
        for name in ("ana", "bob", "cat", "dan"):
            analyst = running.analyst(name)
            plan = analyst.plan(Computation(total), analyst.row_counts()).encode()
            assert running.run(total)["result"] == TOTAL
            hand = held.enter_context(Hand(running, name))
            for _ in range(8):
                hand.session = os.urandom(16)
                hand.submit(plan, *PARTIES)
                hand.hellos(*PARTIES)
            with refused("BUSY", f"8 sessions of {name}"):
                running.run(total, name)
        with refused("BUSY", "32 sessions"):
            running.run(total)
    assert eventually(lambda: not refuses(running), WITHIN_S)
    assert running.works()


def refuses(running: Running) -> bool:
    try:
        running.run(total)
    except Fault:
        return True
    return False


def test_an_old_copy_of_a_nodes_ledger_that_passes_for_new(running: Running) -> None:
    """Of the ledger alone: an old copy of the whole state is refused for good (test_heads.py).

    As it is, its node refuses it (test_continuity.py). Here its count of changes was forged.
    """
    running.run(exposure)
    ledger = running.folder / "south" / "state" / "ledger.sqlite"
    running.kill("south", signal.SIGTERM)
    yesterday = ledger.read_bytes()
    running.start("south")
    running.run(exposure)
    running.kill("south", signal.SIGTERM)
    ledger.write_bytes(yesterday)
    with sqlite3.connect(ledger) as forging:
        forging.execute("pragma user_version = 1000000")
    running.start("south")
    with refused("STATE_ROLLED_BACK", "south", "old copy"):
        running.run(exposure)
    assert running.run(total)["result"] == TOTAL
    # Every attempt burns what it reserved, so that at last it is past what was used: nothing was used twice.
    assert running.works()
    with sqlite3.connect(running.folder / "dealer" / "state" / "ledger.sqlite") as ledger:
        used = ledger.execute(
            "select first, count from reservation where source like 'south %' order by first"
        ).fetchall()
    assert len(used) > 2
    assert all(one[0] + one[1] <= other[0] for one, other in pairwise(used))


@pytest.mark.parametrize("damage", ["empty", "garbage", "replaced"])
def test_a_damaged_state(running: Running, damage: str) -> None:
    file = running.folder / "west" / "state" / "ledger.sqlite"
    running.kill("west", signal.SIGTERM)
    good = file.read_bytes()
    file.write_bytes({"empty": b"", "garbage": os.urandom(8192), "replaced": good[: len(good) // 2]}[damage])
    try:
        process = running.launch("west")
        assert process.wait(WITHIN_S) == 1
        assert "STATE_DAMAGED" in running.said("west")
        assert "Traceback" not in running.said("west")
    finally:
        file.write_bytes(good)
        running.start("west")


def fill(path: Path) -> None:
    """Until the disk is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk(running: Running) -> None:
    """Fails before anything is used; the node goes on when there is room."""
    state = running.folder / "south" / "state"
    running.kill("south", signal.SIGTERM)
    kept = state.with_name("kept")
    state.rename(kept)
    state.mkdir(mode=0o700)
    size = sum(path.stat().st_size for path in kept.iterdir()) // 1024 + 64
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(state)], capture_output=True)
    if mounted.returncode:
        state.rmdir()
        kept.rename(state)
        running.start("south")
        pytest.skip("no file system can be mounted here")
    try:
        shutil.copytree(kept, state, dirs_exist_ok=True)
        running.start("south")
        filler = state / "filler"
        fill(filler)
        for script in (exposure, total):
            with refused("STATE_UNWRITABLE", "south", "nothing is done"):
                running.run(script)
        filler.unlink()
        assert running.works()
    finally:
        running.kill("south", signal.SIGTERM)
        shutil.copytree(state, kept, dirs_exist_ok=True)
        subprocess.run(["umount", str(state)], check=True)
        state.rmdir()
        kept.rename(state)
        running.start("south")


def test_a_results_folder_that_takes_nothing(running: Running) -> None:
    """Told before anything is computed."""
    running.agree(recipients=["analyst", "north"])
    blocked = running.folder / "north" / "results"
    restarted(running, *running.members)
    blocked.write_text("in the way")
    try:
        with refused("RESULTS_UNWRITABLE", "north"):
            running.run(lambda data: mpc.reveal(total(data), to="north"))
        assert running.events("north", "fault")[-1]["phase"] == "load"
    finally:
        blocked.unlink()
    running.run(lambda data: mpc.reveal(total(data), to="north"))


def restarted(running: Running, *members: str) -> None:
    for member in members:
        running.kill(member, signal.SIGTERM)
    running.start(*members)


@pytest.fixture
def configured(running: Running) -> Iterator[Callable[..., None]]:
    """Gives members copies of files of their own; afterwards all is as before."""
    changed: dict[Path, bytes] = {}
    members: set[str] = set()

    def change(member: str, file: str, old: str, new: str) -> None:
        config = running.folder / member / "party.toml"
        changed.setdefault(config, config.read_bytes())
        running.own_copy(member, file, old, new)
        members.add(member)
        if member != "analyst":
            restarted(running, member)

    yield change
    for path, content in changed.items():
        path.write_bytes(content)
    if members - {"analyst"}:
        restarted(running, *(members - {"analyst"}))


def test_a_node_with_another_agreement(running: Running, configured: Callable[..., None]) -> None:
    configured("south", "agreement.toml", "min_rows = 10", "min_rows = 12")
    with refused("AGREEMENT_DIFFERS", "south"):
        running.run(total)
    # It is no matter of the analyst's program: the nodes see it too.
    with Hand(running) as hand:
        hand.submit(running.analyst().plan(Computation(total), rows(running)).encode(), *PARTIES)
        hellos = hand.hellos(*PARTIES)
        for party in PARTIES:
            hand.tell(party, "hellos", hellos=hellos)
            report = hand.fault(party)
            assert report["code"] == "AGREEMENT_DIFFERS"
            assert "south" in report["message"]


def rows(running: Running) -> dict[str, dict[str, int]]:
    return {
        party: {name: table.rows for name, table in held.items()}
        for party, held in running.analyst().agreement.schema({p: {"visits": 30} for p in PARTIES}).items()
    }


def test_an_analyst_with_another_agreement(running: Running, configured: Callable[..., None]) -> None:
    configured("analyst", "agreement.toml", "min_rows = 10", "min_rows = 2")
    with refused("AGREEMENT_DIFFERS", "north, south, west and you (analyst)"):
        running.run(total)


def test_a_node_that_lists_another_key_for_a_member(running: Running, configured: Callable[..., None]) -> None:
    key = Identity.load(running.folder / "bob" / "identity.key").verify_key
    configured("south", "consortium.toml", key, Identity.create().verify_key)
    with refused("CONSORTIUM_DIFFERS", "south"):
        running.run(total)


def test_a_node_that_lists_another_key_for_a_party_does_not_start(running: Running) -> None:
    """It takes the agreement for one that this party did not sign."""
    key = Identity.load(running.folder / "north" / "identity.key").verify_key
    config = running.folder / "south" / "party.toml"
    before = config.read_bytes()
    running.own_copy("south", "consortium.toml", key, Identity.create().verify_key)
    try:
        started = running.beaver("node", "south/party.toml")
        assert started.returncode == 1
        assert "not signed by north" in started.stderr
        assert "[AGREEMENT_UNSIGNED]" in started.stderr
    finally:
        config.write_bytes(before)


def test_an_analyst_who_lists_another_key_for_a_node(
    running: Running, configured: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Identity.load(running.folder / "north" / "identity.key").transport_key
    configured("analyst", "consortium.toml", key, Identity.create().transport_key)
    with refused("AGREEMENT_UNSIGNED", "north"):
        running.run(total)
    monkeypatch.setattr(Analyst, "check_in_force", lambda self: None)
    with refused("WRONG_KEY", "north"):
        running.run(total)


def test_an_analyst_whom_nobody_knows(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their own consortium.toml lists them; the nodes' does not."""
    stranger = running.folder / "stranger"
    shutil.copytree(running.folder / "analyst", stranger)
    (stranger / "identity.key").unlink()
    identity, known = Identity.create(), Identity.load(running.folder / "analyst" / "identity.key")
    identity.save(stranger / "identity.key")
    text = (running.folder / "consortium.toml").read_text()
    text = text.replace(known.verify_key, identity.verify_key).replace(known.transport_key, identity.transport_key)
    (stranger / "consortium.toml").write_text(text)
    config = stranger / "party.toml"
    config.write_text(config.read_text().replace('"../consortium.toml"', '"consortium.toml"'))
    with refused("AGREEMENT_ALTERED"):
        running.run(total, "stranger")
    monkeypatch.setattr(Analyst, "check_in_force", lambda self: None)
    with refused("WRONG_KEY"):
        running.run(total, "stranger")
    assert running.run(total)["result"] == TOTAL


def test_an_analyst_who_gives_up_ends_the_computing_too(running: Running) -> None:
    """North waits for west, which stands still; it need not wait until west counts as lost."""
    since = faults_so_far(running)["north"]

    def give_up(party: str, reached: str) -> None:
        if (party, reached) == ("north", "dealt"):
            running.kill("west", signal.SIGSTOP)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.run(long, progress=give_up)
    try:
        assert eventually(lambda: len(running.events("north", "fault")) > since, 3)
        assert running.events("north", "fault")[-1]["code"] == "SESSION_CANCELLED"
    finally:
        running.kill("west", signal.SIGCONT)
