"""Numbers of rows that are told with noise: their law, what they cost, and that they are drawn once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from math import ceil, exp
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mpc
from mpc.accounting import Loss, left, within
from mpc.row_counts import count_law, shift_of, told
from parties import privacy
from parties import told as ledger
from parties.agreement import Agreement
from parties.clock import Clock
from parties.errors import Fault
from parties.ledger import Ledger
from parties.privacy import Privacy
from parties.store import Store

sys.path.insert(0, str(Path(__file__).parent))
from consortium import Running, refused, write_csv
from test_noise import BY_CHANCE, Seeded, fits, mass

ROWS = 900
TABLES = {party: {"visits": {"age": [20 + i % 40 for i in range(ROWS)]}} for party in ("north", "south")}
NOISED = "counts = 'noised'\ncount_noise = {epsilon = 0.25, delta = 1e-9}\n"
TERMS = """
version = 1
purpose = "tests"
source = "dealer"
recipients = ["analyst"]
min_rows = 10

[data.north.visits]
rows = 2000
budget = {{ epsilon = {epsilon}, delta = 1e-6{days} }}
counts = "noised"
count_noise = {{ epsilon = 0.25, delta = 1e-9 }}

[data.north.visits.columns]
age = {{ type = "integer", range = [0, 120] }}
"""


def law_of(rows: int, epsilon: float, delta: float, unit_rows: int) -> dict[int, float]:
    """The probability of every number that may be told of so many rows, from the definition."""
    noise = count_law(epsilon, unit_rows)
    shift = shift_of(noise, delta, unit_rows)
    law: dict[int, float] = {}
    for z, p in mass(noise, ceil(60 * noise.scale) + 2 * shift).items():
        number = rows - shift + min(z, shift)
        law[number] = law.get(number, 0.0) + p
    return law


def beyond(one: dict[int, float], other: dict[int, float], epsilon: float) -> float:
    """The least delta for which nobody can tell the one law from the other better than epsilon allows."""
    return sum(max(0.0, p - exp(epsilon) * other.get(number, 0.0)) for number, p in one.items())


@pytest.mark.parametrize("delta", [1e-9, 1e-6, 0.01, 0.3])
@pytest.mark.parametrize(("epsilon", "unit_rows"), [(0.1, 1), (0.5, 1), (2.0, 1), (20.0, 1), (0.5, 3), (3.0, 7)])
def test_numbers_are_as_private_as_they_say(epsilon: float, unit_rows: int, delta: float) -> None:
    """By the definition of differential privacy, number by number, in both directions."""
    few = law_of(1000, epsilon, delta, unit_rows)
    for more in range(1, unit_rows + 1):
        many = law_of(1000 + more, epsilon, delta, unit_rows)
        slack = delta * 1e-6 + 1e-15
        assert beyond(many, few, epsilon) <= delta + slack
        assert beyond(few, many, epsilon) <= delta + slack
    assert unit_rows > 1 or beyond(many, few, epsilon) >= delta * exp(-2 * epsilon) / 2  # and no more is left out
    beyond_too_many = law_of(1000 + 8 * unit_rows, epsilon, delta, unit_rows)
    assert beyond(beyond_too_many, few, epsilon) > delta


def test_numbers_have_their_law() -> None:
    seeded = Seeded(3)
    numbers = [told(500, 0.7, 0.05, 1, seeded) for _ in range(20_000)]
    assert fits(numbers, law_of(500, 0.7, 0.05, 1)) > 0.001
    assert fits(numbers, law_of(501, 0.7, 0.05, 1)) < BY_CHANCE
    assert fits(numbers, law_of(500, 0.8, 0.05, 1)) < BY_CHANCE


@given(st.integers(0, 300), st.integers(-(10**6), 10**6))
def test_there_are_never_fewer_rows_than_told(rows: int, noise: int) -> None:
    assert 0 <= told(rows, 0.5, 1e-6, 2, lambda law, count: [noise]) <= rows


def test_what_numbers_of_rows_cost() -> None:
    """They take from the delta, as what they may tell beyond epsilon has no bound."""
    counts = [Loss(0.1, beyond=1e-7)] * 5
    assert within(counts, Loss(0.5, 5e-7))
    assert not within(counts, Loss(0.49, 5e-7))
    assert not within(counts, Loss(50.0, 4.9e-7))
    assert left(counts, Loss(50.0, 4.9e-7)) == 0.0
    assert left(counts, Loss(0.75, 5e-7)) == pytest.approx(0.25)
    gaussian = [Loss(1.0, 1e-6)]
    assert within(gaussian, Loss(1.0, 1e-6))
    assert not within([*gaussian, Loss(1e-6, beyond=9e-7)], Loss(1.1, 1e-6))  # what is left of delta is a tenth
    assert within([*gaussian, Loss(1e-6, beyond=1e-8)], Loss(1.1, 1e-6))


class Owner:
    """What north's node has to tell how many rows there are, without a process."""

    def __init__(self, folder: Path, epsilon: float = 1.0, days: str = "") -> None:
        self.folder = folder
        (folder / "data").mkdir(exist_ok=True)
        self.table = folder / "data" / "visits.csv"
        if not self.table.exists():
            write_csv(self.table, TABLES["north"]["visits"])
        (folder / "agreement.toml").write_text(TERMS.format(epsilon=epsilon, days=days))
        self.store = Store("north", folder / "data", self.limit)
        agreement = Agreement.load(folder / "agreement.toml")
        clock = Clock(Ledger(folder / "state" / "ledger.sqlite"))
        self.privacy = Privacy(folder / "state" / "privacy.sqlite", "north", agreement, self.store, clock)
        self.losses: list[Loss] = []

    def limit(self, table: str, rows: int) -> int:
        number, loss = self.privacy.limit(table, rows)
        self.losses += [loss] if loss else []
        return number

    def rows(self) -> int:
        return self.store.rows("visits")


@pytest.mark.parametrize("change", [lambda key: b"", lambda key: key[::-1], lambda key: key[:31], None])
def test_a_memory_without_the_key_of_its_hashes_is_refused(tmp_path: Path, change: Any) -> None:
    """With another key every row would look new."""
    Owner(tmp_path)
    key = tmp_path / "state" / "privacy.key"
    content = key.read_bytes()
    assert key.stat().st_mode & 0o077 == 0
    assert content not in (tmp_path / "state" / "privacy.sqlite").read_bytes()
    Owner(tmp_path)
    if change is None:
        key.unlink()
    else:
        key.write_bytes(change(content))
    with pytest.raises(Fault) as caught:
        Owner(tmp_path)
    assert caught.value.code == "STATE_DAMAGED"
    assert "privacy.key" in caught.value.remedy
    key.write_bytes(content)
    Owner(tmp_path)


@pytest.mark.parametrize("cut", ["own_key", "Database", "derive"])
def test_a_first_start_that_was_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    """Wherever it ended, the next one begins: no database is there before its key."""

    def end(*arguments: Any, **named: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(privacy, cut, end)
        with pytest.raises(KeyboardInterrupt):
            Owner(tmp_path)
    Owner(tmp_path)
    Owner(tmp_path)


def test_a_number_is_drawn_once_and_debited_once(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    number = owner.rows()
    assert 0 < number < ROWS
    assert {owner.rows() for _ in range(20)} == {number}
    assert len(owner.store.columns("visits", ["age"])["age"]) == number
    assert owner.losses == [Loss(0.25, beyond=1e-9)] == list(owner.privacy.spent("visits"))
    assert owner.privacy.remaining()["visits"] == pytest.approx(0.75)
    again = Owner(tmp_path)  # after a restart
    assert again.rows() == number
    assert again.losses == []
    assert again.privacy.remaining()["visits"] == pytest.approx(0.75)


def test_numbers_are_drawn_anew_when_the_file_changes(tmp_path: Path) -> None:
    owner = Owner(tmp_path, epsilon=5.0)
    ages = list(TABLES["north"]["visits"]["age"])
    numbers = {owner.rows()}
    for count in range(1, 6):
        write_csv(owner.table, {"age": [*ages, *[30] * count]})
        numbers.add(owner.rows())
        assert len(owner.losses) == count + 1
    assert len(numbers) > 2
    write_csv(owner.table, {"age": ages})  # what was there before
    assert owner.rows() in numbers
    assert len(owner.losses) == 6


def test_one_more_number_than_the_budget_has(tmp_path: Path) -> None:
    """Whatever the number would be: nothing is told any more, and what was told stays told."""
    owner = Owner(tmp_path, epsilon=0.5)
    before = owner.table.read_text()
    first = owner.rows()
    owner.table.write_text(before + "33\n")
    owner.rows()
    owner.table.write_text(before + "33\n34\n")
    for _ in range(2):
        with refused("BUDGET_SPENT", "north.visits has epsilon 0 left", "this needs epsilon 0.25 and delta 1e-09"):
            owner.rows()
    assert len(owner.losses) == len(owner.privacy.spent("visits")) == 2
    owner.table.write_text(before)
    assert owner.rows() == first


def test_another_agreement_hears_the_same_number_and_is_debited(tmp_path: Path) -> None:
    number = Owner(tmp_path).rows()
    other = Owner(tmp_path, epsilon=0.75)
    assert other.rows() == number
    assert other.losses == [Loss(0.25, beyond=1e-9)]
    assert other.privacy.remaining()["visits"] == pytest.approx(0.5)
    in_days = Owner(tmp_path, epsilon=2.0, days=", days = 30")
    assert in_days.privacy.remaining()["visits"] == pytest.approx(1.5)


def test_many_who_ask_at_once_hear_one_number(tmp_path: Path) -> None:
    owners = [Owner(tmp_path) for _ in range(4)]
    numbers: list[int] = []
    threads = [threading.Thread(target=lambda owner=owner: numbers.append(owner.rows())) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == 4
    assert len(set(numbers)) == 1
    assert sum(len(owner.losses) for owner in owners) == 1


def test_nothing_is_told_that_the_disk_does_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "tell", full)
        with refused("STATE_UNWRITABLE"):
            owner.rows()
    assert owner.losses == []
    assert owner.privacy.remaining()["visits"] == pytest.approx(1.0)
    owner.rows()


def test_a_kill_between_debit_and_telling(tmp_path: Path) -> None:
    """The number that was debited is the one that is told then."""
    code = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_told import *
owner = Owner(Path(sys.argv[1]))
limit = owner.privacy.limit
def killed(name, rows):
    print(limit(name, rows)[0], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
owner.privacy.limit = killed
owner.rows()
"""
    command = [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)]
    debited = int(subprocess.run(command, capture_output=True, text=True).stdout)
    owner = Owner(tmp_path)
    assert owner.privacy.remaining()["visits"] == pytest.approx(0.75)
    assert owner.rows() == debited
    assert owner.losses == []


def test_a_file_that_changes_while_its_rows_are_counted(tmp_path: Path) -> None:
    owner = Owner(tmp_path)

    def slow(table: str, rows: int) -> int:
        write_csv(owner.table, {"age": [30] * 1000})
        return rows

    store = Store("north", tmp_path / "data", slow)
    with refused("ROWS_CHANGED", "north.visits has changed"):
        store.rows("visits")
    write_csv(owner.table, {"age": [30] * 999})
    with refused("ROWS_CHANGED", "north.visits has changed"):
        store.columns("visits", ["age"])


def test_tables_with_hardly_a_row(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    write_csv(owner.table, {"age": [30]})
    with pytest.raises(mpc.DataError, match="fewer rows than the smallest number"):
        owner.rows()
    assert owner.losses == [Loss(0.25, beyond=1e-9)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("count_noise = { epsilon = 0.25, delta = 1e-9 }", "", "go together"),
        ('counts = "noised"', "", "go together"),
        ('counts = "noised"', 'counts = "rounded"', "go together"),
        ("budget = { epsilon = 1.0, delta = 1e-6 }", "", "needs a budget"),
        (", delta = 1e-6 }", " }", "needs a budget"),
        ("epsilon = 0.25", "epsilon = 0", "greater than or equal"),
        ("epsilon = 0.25", "epsilon = nan", "epsilon"),
        ("delta = 1e-9", "delta = 0", "greater than 0"),
        ("delta = 1e-9", "delta = 1", "less than 1"),
    ],
)
def test_what_an_agreement_cannot_say(old: str, new: str, said: str, tmp_path: Path) -> None:
    text = TERMS.format(epsilon=1.0, days="")
    assert text.count(old) == 1
    (tmp_path / "agreement.toml").write_text(text.replace(old, new))
    with pytest.raises(Fault) as caught:
        Agreement.load(tmp_path / "agreement.toml")
    assert caught.value.code == "AGREEMENT_INVALID"
    assert said in caught.value.message


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "c", TABLES) as running:
        budget = "budget = {epsilon = 2.0, delta = 1e-6}\n"
        running.terms(("[data.north.visits]\n", "[data.north.visits]\n" + budget + NOISED))
        yield running.start()


def catalog(running: Running) -> dict[str, Any]:
    done = running.beaver("catalog", "--json")
    assert done.returncode == 0, done.stderr
    (north, _) = json.loads(done.stdout)
    return dict(north)


def test_catalog_plans_and_results_rest_on_one_number(running: Running) -> None:
    offer = catalog(running)
    number = offer["rows"]
    assert number < ROWS
    assert offer["epsilon_left"] == pytest.approx(1.75)
    both = lambda data: {  # noqa: E731
        "sum": data.party("north")["visits"]["age"].sum(),
        "count": data.party("north")["visits"].count(),
    }
    result = running.run(both)
    assert result["count"] == number
    assert result["sum"] == sum(TABLES["north"]["visits"]["age"][:number])
    running.kill("north")
    running.start("north")
    assert catalog(running) == offer
    assert running.run(both)["count"] == number
    debits = [json.loads(line) for line in (running.folder / "north/state/audit.jsonl").read_text().splitlines()]
    (debit,) = [entry["content"] for entry in debits if entry["kind"] == "debit"]
    assert debit.pop("counted")["privacy.sqlite"] > 0
    assert debit == {"session": "", "table": "visits", "epsilon": 0.25, "delta": 1e-9}
    shown = running.beaver("catalog").stdout
    assert f"{number:,} rows take part now, by noise fewer than there are" in shown
    assert "told with noise, lower than it is" in " ".join(shown.split())
    assert running.beaver("simulate", running.script(SIMULATED), "--mock").returncode == 0
    shutil.rmtree(running.folder / "north" / "data")
    assert str(ROWS) not in running.everything_written()


SIMULATED = """@mpc.computation
def rows(data):
    return data.party("north")["visits"].count()
"""


def test_when_the_budget_is_spent_no_other_number_is_told(running: Running) -> None:
    catalog(running)
    running.run(lambda data: mpc.noisy(data.party("north")["visits"]["age"].sum(), 1.75))
    number = catalog(running)["rows"]
    table = running.data("north") / "visits.csv"
    table.write_text(table.read_text() + "33\n")
    with refused("BUDGET_SPENT", "north.visits has epsilon 0 left"):
        running.run(lambda data: data.party("north")["visits"].count())
    table.write_text(table.read_text().removesuffix("33\n"))
    assert catalog(running)["rows"] == number
