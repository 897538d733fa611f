"""An agreement's term ends, and no clock that is set back revives it: not in a process, not after a restart."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.computation import Computation
from mpc.plan import Plan
from parties.agreement import Agreement
from parties.clock import Clock
from parties.errors import Fault
from parties.ledger import Ledger

sys.path.insert(0, str(Path(__file__).parent))
from consortium import TOTAL, Running, eventually, refused, total
from hand import Hand

BEGIN, END = datetime(2027, 1, 1, tzinfo=UTC).timestamp(), datetime(2028, 1, 1, tzinfo=UTC).timestamp()
DAY = 86400.0
TERM = "valid_from = 2027-01-01\nvalid_until = 2027-12-31\n"


def agreement(folder: Path) -> Agreement:
    path = folder / "agreement.toml"
    path.write_text(f'version = 1\npurpose = "x"\nsource = "dealer"\nrecipients = ["a"]\n{TERM}')
    return Agreement.load(path)


class Machine:
    """A machine's two clocks, and what a node on it makes of them. It can be started again."""

    def __init__(self, folder: Path, now: float) -> None:
        self.now = now
        self.elapsed = 5000.0
        self._path = folder / "ledger.sqlite"
        self._agreement = agreement(folder)
        self.restart()

    def restart(self) -> None:
        self._ledger = Ledger(self._path)
        self._clock = Clock(self._ledger, lambda: self.now, lambda: self.elapsed)

    def crash(self) -> None:
        """Nothing is put in order; another process begins, on a machine that may have been started again."""
        self._ledger.close()
        self.elapsed = 10.0
        self.restart()

    def says(self) -> str:
        try:
            self._clock.check(self._agreement)
        except Fault as fault:
            return fault.code
        return "in force"


EXPIRED, EARLY = "AGREEMENT_EXPIRED", "AGREEMENT_NOT_YET_VALID"


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (BEGIN - 1, EARLY),
        (BEGIN, "in force"),
        (END - 1, "in force"),
        (END, EXPIRED),
        (END + 10 * 365 * DAY, EXPIRED),
        (0.0, EARLY),
    ],
)
def test_the_term_is_kept_to_the_second(tmp_path: Path, now: float, said: str) -> None:
    assert Machine(tmp_path, now).says() == said


@pytest.mark.parametrize("crash", [False, True])
def test_a_clock_set_back_revives_nothing(tmp_path: Path, crash: bool) -> None:
    machine = Machine(tmp_path, END - 1)
    assert machine.says() == "in force"
    machine.now = END
    assert machine.says() == EXPIRED
    for back in (1, 60, DAY, 300 * DAY):
        machine.now = END - back
        if crash:
            machine.crash()
        assert machine.says() == EXPIRED


def test_what_has_passed_while_nobody_asked_counts_too(tmp_path: Path) -> None:
    """The clock is set back before the term's end is ever seen: the monotonic clock knows."""
    machine = Machine(tmp_path, END - 100)
    machine.elapsed += 99
    machine.now -= DAY
    assert machine.says() == "in force"
    machine.elapsed += 1
    assert machine.says() == EXPIRED
    machine.crash()
    assert machine.says() == EXPIRED


def test_a_clock_that_was_ahead_begins_nothing_early(tmp_path: Path) -> None:
    machine = Machine(tmp_path, BEGIN + DAY)
    assert machine.says() == "in force"
    machine.now = BEGIN - DAY
    assert machine.says() == EARLY
    machine.crash()
    assert machine.says() == EARLY


def test_a_day_forward_and_back_harms_nothing_in_mid_term(tmp_path: Path) -> None:
    machine = Machine(tmp_path, BEGIN + 100 * DAY)
    for now in (BEGIN + 101 * DAY, BEGIN + 100 * DAY, BEGIN + 99 * DAY):
        machine.now = now
        assert machine.says() == "in force"


def test_the_ledger_is_written_once_a_minute_at_most(tmp_path: Path) -> None:
    machine = Machine(tmp_path, BEGIN)
    path = tmp_path / "ledger.sqlite"
    before = path.read_bytes()
    for _ in range(50):
        machine.now += 1
        assert machine.says() == "in force"
    assert path.read_bytes() == before
    machine.now += 10
    machine.says()
    assert path.read_bytes() != before


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["set", "pass", "crash", "restart"]), st.floats(-3 * DAY, 3 * DAY, allow_nan=False)),
        max_size=25,
    )
)
def test_whatever_is_done_to_the_clock_what_was_over_stays_over(steps: list[tuple[str, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder), END - DAY)
        over = False
        for what, seconds in steps:
            match what:
                case "set":
                    machine.now = END + seconds
                case "pass":
                    machine.now += abs(seconds)
                    machine.elapsed += abs(seconds)
                case "crash":
                    machine.crash()
                case "restart":
                    machine.restart()
            over = machine.says() == EXPIRED or over
            assert over >= (machine.now >= END)
            assert machine.says() == (EXPIRED if over else "in force")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """North's and the dealer's time is in files; south and west check nothing."""
    folder = tmp_path_factory.mktemp("clock")
    here = [sys.executable, str(Path(__file__).with_name("altered_node.py"))]
    with Running(folder / "c") as running:
        running.terms(("min_rows = 10", f"{TERM}min_rows = 10"))
        for member in ("north", "dealer"):
            running.programs[member] = [*here, str(folder / member)]
            (folder / member).write_text(str(BEGIN - DAY))
        for member in ("south", "west"):
            running.programs[member] = [*here, "lax"]
        yield running.start()


def at(running: Running, now: float) -> None:
    for member in ("north", "dealer"):
        (running.folder.parent / member).write_text(str(now))


def submitted(running: Running, member: str) -> str:
    """What the member says to a plan that keeps to the agreement, whatever the analyst's program thinks."""
    with Hand(running) as hand:
        hand.submit(plan(running).encode(), member)
        answer = hand.hear(member, "fault", "hello")
        return answer["report"]["code"] if answer["kind"] == "fault" else "in force"


def plan(running: Running) -> Plan:
    analyst = running.analyst()
    rows = {party: {name: table.rows for name, table in held.items()} for party, held in analyst.agreement.data.items()}
    return analyst.plan(Computation(total), rows)


def test_nodes_keep_to_the_term_by_themselves(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    assert submitted(running, "north") == submitted(running, "dealer") == EARLY
    at(running, BEGIN)
    assert submitted(running, "north") == submitted(running, "dealer") == "in force"
    monkeypatch.setattr("parties.client.Analyst.check_in_force", lambda self: None)
    assert running.run(total)["result"] == TOTAL
    at(running, END)
    assert submitted(running, "north") == submitted(running, "dealer") == EXPIRED
    with refused(EXPIRED, "north"):
        running.run(total)
    at(running, END - DAY)
    assert submitted(running, "north") == submitted(running, "dealer") == EXPIRED
    running.kill("north", signal.SIGKILL)
    process = running.launch("north")
    assert process.wait(20) == 1
    assert EXPIRED in running.said("north")
    assert "though this machine's clock says 2027-12-31" in running.said("north")
    with refused("UNREACHABLE"):
        running.run(total)


def test_a_term_that_ends_while_a_person_thinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parties.client.Analyst.check_in_force", lambda self: None)
    here = [sys.executable, str(Path(__file__).with_name("altered_node.py"))]
    with Running(tmp_path / "c") as running, ThreadPoolExecutor() as pool:
        running.terms(("min_rows = 10", f"{TERM}min_rows = 10"))
        running.programs = {member: [*here, "lax"] for member in ("dealer", "south", "west")}
        running.programs["north"] = [*here, str(tmp_path / "north")]
        (tmp_path / "north").write_text(str(END - 60))
        config = running.folder / "north" / "party.toml"
        config.write_text(f'approval = "ask"\napproval_wait_s = 30\n{config.read_text()}')
        running.start()
        run = pool.submit(running.run, total)
        assert eventually(lambda: running.has("north", "approval_asked"), 20)
        (tmp_path / "north").write_text(str(END + 60))
        (asked,) = running.beaver("pending", "--as", "north").stdout.splitlines()[:1]
        assert running.beaver("approve", asked.split()[1], "--as", "north").returncode == 0
        with refused(EXPIRED, "north"):
            run.result(30)


def test_the_analysts_own_program_looks_first(running: Running) -> None:
    """By the machine's real time, at which that term is over or has not begun."""
    with pytest.raises(Fault) as caught:
        running.run(total)
    assert caught.value.code in (EXPIRED, EARLY)
    assert not caught.value.report.party
