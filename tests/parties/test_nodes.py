"""Nodes and dealer as processes: results are right, for the right eyes only, one session or many, and nothing leaks."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mpc
from mpc.computation import Computation
from parties.log import FIELDS

sys.path.insert(0, str(Path(__file__).parent))
from consortium import (
    AGES,
    BEAVER,
    EXPOSURE,
    TABLES,
    TOTAL,
    Running,
    eventually,
    exposure,
    refused,
    total,
)
from hand import Hand


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("nodes") / "c", analysts=["ana"]) as running:
        running.agree(recipients=["analyst", "ana", "north"])
        yield running.start()


def many(data: Any) -> Any:
    v = data.table("visits")
    x = mpc.stack([v["age"], v["visits"]], axis=1)
    return {"rows": v.count(), "mean_age": v["age"].mean(), "gram": x.T @ x, "exposure": exposure(data)}


def test_results_are_those_of_the_pooled_data(running: Running) -> None:
    result = running.run(many)
    visits = np.concatenate([np.array(TABLES[party]["visits"]["visits"]) for party in running.parties])
    x = np.stack([np.array(AGES * 3), visits], axis=1)
    assert result["rows"] == 90
    assert result["mean_age"] == np.mean(AGES)
    np.testing.assert_array_equal(result["gram"], x.T @ x)
    assert result["exposure"] == EXPOSURE
    assert result.traffic.rounds == 2
    assert set(result.traffic.bytes_sent) == set(running.parties)


def test_progress_is_told_of_every_member(running: Running) -> None:
    told: dict[str, list[str]] = {member: [] for member in running.members}
    running.run(exposure, progress=lambda party, phase: told[party].append(phase))
    assert told.pop("dealer") == ["submitted", "dealt", "done"]
    assert list(told.values()) == [["submitted", "loaded", "dealt", "done"]] * 3


def test_a_party_alone_gets_its_result(running: Running) -> None:
    """It goes to the party's results folder; neither the analyst nor another party holds enough to know it."""

    def script(data: Any) -> Any:
        return {"mine": data.table("visits")["visits"].sum(), "theirs": mpc.reveal(exposure(data), to="north")}

    result = running.run(script)
    assert dict(result) == {"mine": TOTAL}
    assert result.elsewhere == {"theirs": ("north",)}
    (kept,) = (running.folder / "north" / "results").iterdir()
    assert json.loads(kept.read_text())["result"] == {"theirs": EXPOSURE}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert not (running.folder / "south" / "results").exists()
    assert running.has("north", "result_kept", session=kept.stem)
    assert str(EXPOSURE) not in running.everything_written()


def test_the_analyst_is_sent_no_share_of_what_is_for_a_party(running: Running) -> None:
    plan = running.analyst().plan(Computation(lambda data: mpc.reveal(total(data), to="north")), rows_of(running))
    with Hand(running) as hand:
        hand.submit(plan.encode(), *running.parties)
        hellos = hand.hellos(*running.parties)
        for party in running.parties:
            hand.tell(party, "hellos", hellos=hellos)
        signatures = {party: hand.hear(party, "signature")["signature"] for party in running.parties}
        for party in running.parties:
            hand.tell(party, "signatures", signatures=signatures)
        for party in running.parties:
            hand.hear(party, "done")
        kinds = {message["kind"] for seen in hand.seen.values() for message in seen}
    assert kinds <= {"progress", "alive"}


def rows_of(running: Running) -> dict[str, dict[str, int]]:
    return running.analyst().row_counts()


def test_both_analyst_and_party_get_a_result(running: Running) -> None:
    result = running.run(lambda data: mpc.reveal(total(data), to=["analyst", "north"]))
    assert result["result"] == TOTAL
    newest = max((running.folder / "north" / "results").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert json.loads(newest.read_text())["result"] == {"result": TOTAL}


def test_another_analyst_gets_nothing_that_they_did_not_submit(running: Running) -> None:
    with refused("PLAN_REFUSED", "ana receives what ana submits, not 'result'"):
        running.run(lambda data: mpc.reveal(total(data), to="ana"))
    assert running.run(total, "ana")["result"] == TOTAL


@pytest.mark.parametrize("at_once", [2, 10])
def test_sessions_at_once_of_several_analysts(running: Running, at_once: int) -> None:
    names = ["analyst" if i % 2 else "ana" for i in range(at_once)]
    with ThreadPoolExecutor(at_once) as pool:
        results = list(pool.map(lambda name: running.run(many, name), names))
    assert [result["exposure"] for result in results] == [EXPOSURE] * at_once


def test_analysts_in_processes_of_their_own_at_once(running: Running) -> None:
    script = running.script("@mpc.computation\ndef total(data):\n    return data.table('visits')['visits'].sum()\n")
    command = [*BEAVER, "run", script, "-C", str(running.folder), "--json", "--as"]
    runs = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("analyst", "ana")]
    assert [json.loads(run.communicate(timeout=60)[0])["result"]["result"] for run in runs] == [TOTAL, TOTAL]


def held(running: Running, member: str) -> tuple[int, int]:
    """Open descriptors and threads."""
    process = Path(f"/proc/{running.processes[member].pid}")
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


def test_fifty_sessions_leave_nothing_behind(running: Running) -> None:
    for _ in range(3):
        running.run(exposure)
    before = {member: held(running, member) for member in running.members}
    for i in range(50):
        if i % 5:
            assert running.run(exposure)["result"] == EXPOSURE
        else:
            with pytest.raises(KeyboardInterrupt):
                running.run(exposure, progress=interrupt)
    assert running.idle()

    def settled() -> bool:
        now = {member: held(running, member) for member in running.members}
        return all(now[m][0] <= before[m][0] + 2 and now[m][1] <= before[m][1] for m in running.members)

    assert eventually(settled, 10), ({member: held(running, member) for member in running.members}, before)


def interrupt(party: str, phase: str) -> None:
    if phase == "loaded":
        raise KeyboardInterrupt


def test_an_analyst_killed_in_mid_session_harms_nobody(running: Running) -> None:
    """The dealer stands still meanwhile, so that the session lasts."""
    script = running.script(
        "@mpc.computation\ndef exposure(data):\n"
        "    return mpc.dot(data.party('north')['accounts']['balance'], data.party('south')['policies']['risk'])\n"
    )
    before = len(running.events("north", "plan_accepted"))
    running.kill("dealer", signal.SIGSTOP)
    try:
        run = subprocess.Popen([*BEAVER, "run", script, "-C", str(running.folder)], stderr=subprocess.DEVNULL)
        assert eventually(lambda: len(running.events("north", "plan_accepted")) > before, 10)
        run.kill()
        run.wait()
        lost = running.events("north", "plan_accepted")[-1]["session"]
        for party in running.parties:
            assert eventually(lambda p=party: running.has(p, "fault", code="ANALYST_LOST", session=lost), 10)  # type: ignore[misc]
    finally:
        running.kill("dealer", signal.SIGCONT)
    assert running.works()


def test_an_analyst_who_gives_up_is_heard(running: Running) -> None:
    with pytest.raises(KeyboardInterrupt):
        running.run(exposure, progress=interrupt)
    ended = running.events("north", "session_submitted")[-1]["session"]
    assert eventually(lambda: running.has("north", "fault", code="SESSION_CANCELLED", session=ended), 3)


def test_a_session_is_logged_from_beginning_to_end(running: Running) -> None:
    running.run(total)
    assert running.idle()
    for party in running.parties:
        session = running.events(party, "session_submitted")[-1]
        assert session["analyst"] == "analyst"
        (done,) = [e for e in running.events(party, "session_done") if e["session"] == session["session"]]
        assert done["seconds"] < 10
        (accepted,) = [e for e in running.events(party, "plan_accepted") if e["session"] == session["session"]]
        assert len(accepted["plan"]) == 64


def test_logs_hold_structured_lines_without_a_value(running: Running) -> None:
    running.run(many)
    for member in running.members:
        for line in running.events(member):
            assert set(line) <= FIELDS | {"at", "party", "event"}
            assert line["event"] in {
                "ready", "session_submitted", "plan_accepted", "session_done", "result_kept", "fault",
            }  # fmt: skip
    assert f"{EXPOSURE}" not in running.everything_written()
    assert f"{np.mean(AGES)}" not in running.everything_written()


def test_threads_of_one_analyst_do_not_mix_their_sessions(running: Running) -> None:
    """One session is refused while the others go on."""
    outcomes: dict[int, object] = {}

    def one(i: int) -> None:
        try:
            outcomes[i] = running.run((lambda data: data.table("visits")["visits"]) if i == 0 else total)["result"]
        except mpc.BeaverError as error:
            outcomes[i] = error

    threads = [threading.Thread(target=one, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert "rests on 1 of north's rows" in str(outcomes.pop(0))
    assert set(outcomes.values()) == {TOTAL}
