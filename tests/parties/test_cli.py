"""The command line as people use it: output for programs, plain words for mistakes, and no process left behind."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mpc.computation import Computation
from mpc.plan import Plan, Step
from parties import launch
from parties.config import Consortium

sys.path.insert(0, str(Path(__file__).parent))
from consortium import (
    AGES,
    BEAVER,
    EXPOSURE,
    PARTIES,
    TABLES,
    TOTAL,
    Running,
    eventually,
    total,
    write_csv,
)
from hand import Hand

SCRIPT = """
@mpc.computation
def visits(data):
    v = data.table("visits")
    return {"rows": v.count(), "total": v["visits"].sum(), "mean_age": v["age"].mean()}

@mpc.computation
def exposure(data):
    return mpc.dot(data.party("north")["accounts"]["balance"], data.party("south")["policies"]["risk"])
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("cli") / "c") as running:
        running.script(SCRIPT)
        yield running.start()


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Running]:
    """A consortium in which nobody runs."""
    with Running(tmp_path / "c") as running:
        running.script(SCRIPT)
        yield running


def mistaken(done: subprocess.CompletedProcess[str], *said: str) -> str:
    """The command ended with status 1 and these words, and showed neither traceback nor result."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    for words in said:
        assert words in done.stderr, done.stderr
    return done.stderr


def test_run_prints_one_json_object_and_nothing_else(running: Running) -> None:
    done = running.beaver("run", "script.py:visits", "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert set(printed) == {"result", "traffic", "timings"}
    assert printed["result"] == {"rows": 90, "total": TOTAL, "mean_age": sum(AGES) / 30}
    assert set(printed["timings"]) == {"load", "offline", "online", "total"}
    assert all(0 <= seconds < 10 for seconds in printed["timings"].values())
    assert set(printed["traffic"]) == {"rounds", "bytes_sent"}
    assert set(printed["traffic"]["bytes_sent"]) == set(PARTIES)


def test_run_shows_a_table_and_its_progress_apart(running: Running) -> None:
    done = running.beaver("run", "script.py:exposure")
    assert done.returncode == 0, done.stderr
    assert f"{EXPOSURE:,}" in done.stdout
    assert "bytes sent" in done.stdout
    assert "online" in done.stdout
    assert "west: done" in done.stderr
    assert "west: done" not in done.stdout


def test_simulate_gives_the_same_numbers(running: Running, tmp_path: Path) -> None:
    for party in PARTIES:
        (tmp_path / party).symlink_to(running.data(party))
    for name in ("visits", "exposure"):
        script = f"script.py:{name}"
        simulated = running.beaver("simulate", script, "--data", str(tmp_path), "--json")
        assert simulated.returncode == 0, simulated.stderr
        assert (
            json.loads(simulated.stdout)["result"]
            == json.loads(running.beaver("run", script, "--json").stdout)["result"]
        )


def test_explain_with_the_nodes_up_and_down(running: Running, idle: Running) -> None:
    up = running.beaver("explain", "script.py:visits")
    assert up.returncode == 0, up.stderr
    assert "row counts as the nodes tell them now" in up.stdout
    down = idle.beaver("explain", "script.py:visits", "--steps")
    assert down.returncode == 0, down.stderr
    assert "row counts are the agreement's bounds: north does not answer" in down.stdout
    for party in PARTIES:
        assert party in up.stdout
        assert party in down.stdout


def test_explain_says_who_will_refuse(running: Running) -> None:
    running.script("@mpc.computation\ndef raw(data):\n    return data.table('visits')['age']\n", "raw.py")
    done = running.beaver("explain", "raw.py")
    assert done.returncode == 0
    for party in PARTIES:
        assert re.search(rf"{party} will refuse: step \d+ \(reveal, raw.py:5\): 'result' .* rests on 1 of", done.stdout)
    mistaken(running.beaver("run", "raw.py", "--json"), "PLAN_REFUSED", "rests on 1 of north's rows")


@pytest.mark.parametrize("member", ["north", "dealer"])
def test_health(running: Running, idle: Running, member: str) -> None:
    done = running.beaver("health", f"{member}/party.toml")
    assert done.returncode == 0
    assert done.stdout == f"{member} ({'dealer' if member == 'dealer' else 'party'}) is ready\n"
    mistaken(idle.beaver("health", f"{member}/party.toml"), "UNREACHABLE", member)
    mistaken(idle.beaver("health", "analyst/party.toml"), "UNKNOWN_MEMBER")


SCRIPTS: dict[str, tuple[str, list[str]]] = {
    "unknown table": ("return data.table('vists')['age'].sum()", ["no table called 'vists'", "'visits'", "bad.py:5"]),
    "unknown column": ("return data.table('visits')['aeg'].sum()", ["no column", "'aeg'", "'age'", "bad.py:5"]),
    "unknown party": ("return data.party('nort')['visits']['age'].sum()", ["no party called 'nort'", "bad.py:5"]),
    "a secret condition": ("if data.table('visits')['age'].sum():\n        return 1", ["bad.py:5"]),
    "a secret number": ("return float(data.table('visits')['age'].sum())", ["bad.py:5"]),
    "iteration over secrets": ("return sum(x for x in data.table('visits')['age'])", ["bad.py:5"]),
    "nothing": ("return {}", ["returns nothing"]),
    "no secret": ("return 5", ["no secret value"]),
    "its own mistake": ("return 1 / 0", ["ZeroDivisionError", "bad.py:5"]),
    "lengths": (
        "return data.party('north')['accounts']['balance'] @ data.party('south')['visits']['age']",
        ["40 against 30 rows", "bad.py:5"],
    ),
    "overflow": (
        "x = data.table('visits')['visits']\n    return mpc.dot(x * 10**9, x * 10**9)",
        ["overflow", "bad.py:6", "Declare"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SCRIPTS)
def test_mistakes_in_a_script(running: Running, case: str) -> None:
    body, said = SCRIPTS[case]
    running.script(f"@mpc.computation\ndef bad(data):\n    {body}\n", "bad.py")
    mistaken(running.beaver("run", "bad.py"), *said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nowhere.py"], "there is no script nowhere.py"),
        (["run", "script.py"], "several computations: visits, exposure"),
        (["run", "script.py:vists"], "no computation 'vists'"),
        (["run", "empty.py"], "holds no computation"),
        (["run", "broken.py"], "SyntaxError"),
        (["run", "exits.py"], "does not run"),
        (["run", "north"], "there is no script north"),
        (["run", "agreement.toml"], "not a Python file"),
        (["run", "bytes.py"], "does not run"),
        (["run", "script.py:visits", "--as", "nobody"], "CONFIG_MISSING"),
        (["run", "script.py:visits", "-C", "north"], "CONFIG_MISSING"),
        (["up", "-C", "nowhere"], "CONFIG_MISSING"),
        (["up", "-C", "north"], "CONFIG_MISSING"),
        (["agreement", "draft", "-C", "nowhere"], "CONFIG_MISSING"),
        (["health", "nowhere.toml"], "CONFIG_MISSING"),
        (["node", "nowhere.toml"], "CONFIG_MISSING"),
        (["node", "agreement.toml"], "CONFIG_INVALID"),
        (["node", "script.py"], "is not TOML"),
        (["node", "."], "CONFIG_MISSING"),
        (["node", "dealer/party.toml"], "WRONG_ROLE"),
        (["node", "analyst/party.toml"], "UNKNOWN_MEMBER"),
        (["dealer", "north/party.toml"], "WRONG_ROLE"),
        (["simulate", "script.py:visits", "--data", "nowhere"], "there is no folder nowhere"),
        (["simulate", "script.py:visits", "--data", "north"], "at least two parties"),
        (["simulate", "script.py:visits", "--data", "twice"], "both as .csv and as .parquet"),
        (["init", ".", "--parties", "north,south"], "CONSORTIUM_EXISTS"),
        (["init", "new", "--parties", "north"], "CONFIG_INVALID"),
        (["init", "new", "--parties", "north,dealer"], "CONFIG_INVALID"),
        (["init", "new", "--parties", "north,south", "--port", "80"], "CONFIG_INVALID"),
        (["init", "script.py/new", "--parties", "north,south"], "CONSORTIUM_UNWRITABLE"),
        (["init", "/proc/new", "--parties", "north,south"], "CONSORTIUM_UNWRITABLE"),
    ],
)
def test_mistakes_on_the_command_line(running: Running, arguments: list[str], said: str) -> None:
    (running.folder / "twice" / "north").mkdir(parents=True, exist_ok=True)
    for suffix in ("csv", "parquet"):
        (running.folder / "twice" / "north" / f"visits.{suffix}").touch()
    (running.folder / "empty.py").write_text("import mpc\n")
    (running.folder / "broken.py").write_text("def (:\n")
    (running.folder / "exits.py").write_text("raise SystemExit(0)\n")
    (running.folder / "bytes.py").write_bytes(b"\xff\xfe\0")
    mistaken(running.beaver(*arguments), said)
    assert not (running.folder / "new").exists()


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("north/identity.key", lambda path: path.chmod(0o644), "KEY_FILE_READABLE"),
        ("north/identity.key", lambda path: path.unlink(), "KEY_FILE_MISSING"),
        ("north/identity.key", lambda path: path.write_text("version = 1\n"), "KEY_FILE_DAMAGED"),
        ("north/party.toml", lambda path: path.write_text("name = "), "is not TOML"),
        ("north/party.toml", lambda path: path.write_text(path.read_text() + "more = 1\n"), "more is unknown"),
        ("agreement.toml", lambda path: path.unlink(), "AGREEMENT_MISSING"),
        ("agreement.toml", lambda path: path.write_text("version = 2\n"), "AGREEMENT_INVALID"),
        ("consortium.toml", lambda path: path.write_bytes(b"\xff"), "is not TOML"),
        ("north/state", lambda path: path.write_text("in the way"), "STATE_UNWRITABLE"),
    ],
)
def test_a_node_that_cannot_start(idle: Running, file: str, change: Callable[[Path], Any], said: str) -> None:
    change(idle.folder / file)
    told = mistaken(idle.beaver("node", "north/party.toml"), said)
    assert idle.folder.name in told


def test_a_key_that_the_consortium_does_not_list(idle: Running) -> None:
    key = idle.folder / "north" / "identity.key"
    key.write_bytes((idle.folder / "south" / "identity.key").read_bytes())
    mistaken(idle.beaver("node", "north/party.toml"), "WRONG_KEY")


def up(running: Running) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*BEAVER, "up", "-C", str(running.folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_up_takes_no_module_from_the_folder_it_is_started_in(idle: Running) -> None:
    for module in ("zmq.py", "csv.py", "parties.py"):
        (idle.folder / module).write_text("raise SystemExit('taken from here')")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "parties", "up", "-C", "."],
        cwd=idle.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(4)] == [f"{member}: ready\n" for member in idle.members]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)


def test_up_starts_no_dealer_where_none_is_agreed(idle: Running) -> None:
    agreed = idle.folder / "agreement.toml"
    before = agreed.read_text()
    idle.terms(('source = "dealer"', 'source = "pairwise"'))
    process = up(idle)
    try:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in idle.parties] == [f"{party}: ready\n" for party in idle.parties]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=15)[0] == ""
    finally:
        process.kill()
        agreed.write_text(before)
        idle.sign()


def test_up_shows_nothing_that_steers_a_terminal(idle: Running) -> None:
    process = up(idle)
    assert process.stdout is not None
    for _ in range(4):
        process.stdout.readline()
    bad = "\x1b[2J\u202e\x9b\nnorth: ready"
    try:
        with Hand(idle) as hand:
            plan = idle.analyst().plan(Computation(total), idle.analyst().row_counts())
            hand.submit(plan.encode(), "north")
            hand.hellos("north")
            fields = ("code", "message", "remedy", "party", "peer", "session", "phase")
            hand.tell("north", "cancel", report=dict.fromkeys(fields, bad))
            fault = hand.fault("north")
            # A plan may quote what it likes, too.
            hand.session = bytes(16)
            strange = Plan(plan.parties, tuple(
                Step(step.op, step.inputs, {**step.params, "table": bad}) if step.op == "column" else step
                for step in plan.steps
            ))  # fmt: skip
            hand.submit(strange.encode(), "north")
            hand.fault("north")
        told = [process.stdout.readline() for _ in range(2)]
    finally:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=15)
    assert told[0].startswith("north: the session was cancelled, because: ")
    assert "[UNEXPECTED]" in told[0]
    assert told[0].endswith(" [SESSION_CANCELLED]\n")
    assert told[1].endswith(" [PLAN_REFUSED]\n")
    assert all(line.removesuffix("\n").isprintable() for line in told)
    assert out == ""
    assert fault["code"] == "SESSION_CANCELLED"


def children(process: subprocess.Popen[str]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def gone(pids: list[int]) -> bool:
    return eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_up_says_who_is_ready_and_ends_with_everybody(idle: Running, number: int) -> None:
    process = up(idle)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(4)] == [f"{member}: ready\n" for member in idle.members]
    pids = children(process)
    assert len(pids) == 4
    done = idle.beaver("run", "script.py:exposure", "--json")
    assert json.loads(done.stdout)["result"] == {"result": EXPOSURE}
    process.send_signal(number)
    out, err = process.communicate(timeout=15)
    assert process.returncode == 0
    assert sorted(line.split(": ")[0] for line in out.splitlines()) == sorted(idle.members)
    assert all("done in" in line for line in out.splitlines())
    assert err == ""
    assert gone(pids)


def test_up_writes_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process has a thread that tells of it: what is written in two parts, another comes between."""
    written: list[str] = []

    class Noting(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stdout", Noting())
    launch._print("north: ready")
    assert [text for text in written if text] == ["north: ready\n"]


def test_up_interrupted_at_once(idle: Running) -> None:
    process = up(idle)
    assert eventually(lambda: len(children(process)) == 4, 20)
    pids = children(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)
    assert gone(pids)


def test_up_says_that_a_port_is_taken(idle: Running) -> None:
    port = int(Consortium.load(idle.folder / "consortium.toml").process("north").address.rpartition(":")[2])
    with socket.socket() as held:
        held.bind(("127.0.0.1", port))
        held.listen()
        process = up(idle)
        out, err = process.communicate(timeout=20)
        told = out.splitlines()
        assert process.returncode == 1
        assert len(told) == 4
        assert told[1].startswith(f"north: could not start: Cannot listen on 127.0.0.1:{port}: another process")
        assert [line for line in told if line.endswith(": ready")] == ["dealer: ready", "south: ready", "west: ready"]
        assert "Traceback" not in out + err
        mistaken(idle.beaver("node", "north/party.toml"), "PORT_TAKEN", f":{port}")


def test_up_says_when_somebody_ends(idle: Running) -> None:
    process = up(idle)
    assert process.stdout is not None
    for _ in range(4):
        process.stdout.readline()
    west = children(process)[3]
    os.kill(west, signal.SIGKILL)
    assert process.stdout.readline() == "west: ended with status -9\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)
    assert process.returncode == 0


def test_draft_reads_the_data_and_replaces_the_agreement_whole(idle: Running) -> None:
    path = idle.folder / "agreement.toml"
    before = path.read_text()
    write_csv(idle.data("west") / "more.csv", {"x": [1, 2, 3]})
    done = idle.beaver("agreement", "draft", "--purpose", "a test")
    assert done.returncode == 0, done.stderr
    assert "[data.west.more]" in path.read_text()
    assert 'purpose = "a test"' in path.read_text()
    assert [file.read_text() for file in idle.folder.glob("agreement.toml.*")] == [before]
    good = path.read_text()
    assert good != before
    (idle.data("west") / "more.csv").write_text("x\n1,2,3\n")
    mistaken(idle.beaver("agreement", "draft"), "west.more")
    assert path.read_text() == good
    for party in PARTIES:
        for file in idle.data(party).iterdir():
            file.unlink()
    mistaken(idle.beaver("agreement", "draft"), "NO_TABLES")
    assert path.read_text() == good


def test_draft_into_a_folder_that_takes_nothing(idle: Running) -> None:
    (idle.folder / "agreement.toml.new").mkdir()
    mistaken(idle.beaver("agreement", "draft"), "agreement.toml.new", "Is a directory")


def test_nodes_write_nothing_but_structured_lines(running: Running) -> None:
    assert running.beaver("run", "script.py:visits").returncode == 0
    for member in running.members:
        assert running.events(member)[0]["event"] == "ready"
        assert set(TABLES) & {event["party"] for event in running.events(member)} <= {member}
