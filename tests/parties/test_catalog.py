"""An analyst sees what was agreed and nothing of the data; made-up rows come from declared ranges alone."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mpc
from mpc.simulate import simulate
from parties.agreement import Agreement
from parties.catalog import MOST_MOCK_ROWS, mock, offers, ranges

sys.path.insert(0, str(Path(__file__).parent))
from consortium import Running, refused, write_csv
from hand import Hand

PARTIES = ("north", "south")
TABLES = {
    party: {"visits": {"age": [20 + i % 40 for i in range(47)], "cost": [0.25 * i for i in range(47)]}}
    for party in PARTIES
}
SCRIPT = """@mpc.computation
def ages(data):
    visits = data.table("visits")
    return {"mean": mpc.noisy(visits["age"].mean(), 0.25), "both": data.party("north")["visits"]["age"].sum()}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("catalog") / "c", TABLES) as running:
        running.terms(
            ("[data.north.visits]\n", "[data.north.visits]\nbudget = {epsilon = 2.0}\nabout = 'One row a visit'\n"),
            ("[data.south.visits]\n", "[data.south.visits]\nbudget = {epsilon = 1.0}\ncounts = 'rounded'\n"),
        )
        running.script(SCRIPT)
        yield running.start()


def agreement(running: Running) -> Agreement:
    return Agreement.load(running.folder / "agreement.toml")


def told(running: Running) -> dict[str, dict[str, Any]]:
    done = running.beaver("catalog", "--json")
    assert done.returncode == 0, done.stderr
    return {offer["party"]: offer for offer in json.loads(done.stdout)}


def test_what_the_nodes_tell(running: Running) -> None:
    found = told(running)
    assert found["north"]["rows"] == 47
    assert found["south"]["rows"] == 40
    assert found["north"]["epsilon_left"] == 2.0
    running.run(lambda data: mpc.noisy(data.table("visits")["age"].sum(), 0.5))
    assert {party: told(running)[party]["epsilon_left"] for party in PARTIES} == {"north": 1.5, "south": 0.5}


def test_what_a_person_sees(running: Running) -> None:
    shown = running.beaver("catalog").stdout
    for words in (
        "north.visits",
        "47 rows take part now.",
        "40 rows take part now, rounded down",
        "One row a visit",
        "Privacy budget",
        "Left for one more result with Laplace noise: epsilon",
        "fewer than 10 rows",
        "age",
        "integer",
    ):
        assert words in shown, shown


def test_of_a_rounded_table_the_last_rows_take_no_part(running: Running) -> None:
    first = sum(20 + i % 40 for i in range(40))
    assert running.run(lambda data: data.party("south")["visits"]["age"].sum())["result"] == first
    assert running.run(lambda data: data.party("south")["visits"].count())["result"] == 40


def test_rows_that_were_added_wait_until_there_are_enough(running: Running) -> None:
    """And so a result after some were added is never one that differs from one before by few."""
    table = running.data("south") / "visits.csv"
    before = table.read_text()
    rows = [line.split(",") for line in before.splitlines()[1:]]
    sums = lambda data: data.party("south")["visits"]["age"].sum()  # noqa: E731
    first = running.run(sums)["result"]
    for count, expected in ((48, first), (49, first), (50, first + sum(20 + i % 40 for i in range(40, 47)) + 3 * 33)):
        ages = [int(row[0]) for row in rows] + [33] * (count - 47)
        write_csv(table, {"age": ages, "cost": [float(row[1]) for row in rows] + [1.0] * (count - 47)})
        assert running.run(sums)["result"] == expected
    table.write_text(before)


def test_fewer_rows_than_are_ever_told(running: Running) -> None:
    table = running.data("south") / "visits.csv"
    before = table.read_text()
    write_csv(table, {"age": [30] * 9, "cost": [1.0] * 9})
    with refused("DATA", "south.visits has fewer rows"):
        running.analyst().row_counts()
    table.write_text(before)


def test_only_analysts_are_told(running: Running) -> None:
    with Hand(running, "south") as hand:
        hand.client.send("north", {"kind": "budgets"})
        assert hand.fault("north")["code"] == "NOT_AN_ANALYST"


def test_without_nodes_what_the_agreement_says(running: Running, tmp_path: Path) -> None:
    with Running(tmp_path / "c", TABLES) as down:
        shown = down.beaver("catalog").stdout
        assert "as far as agreement.toml says" in shown
        assert "north.visits" in shown
        assert "take part now" not in shown


def test_made_up_rows_come_from_the_ranges_alone(running: Running, tmp_path: Path) -> None:
    terms = agreement(running)
    made = mock(terms)
    assert {party: {name: set(held) for name, held in tables.items()} for party, tables in made.items()} == {
        party: {"visits": {"age", "cost"}} for party in PARTIES
    }
    declared = ranges(terms)
    for party, tables in made.items():
        for name, columns in tables.items():
            for title, values in columns.items():
                low, high = declared[party][name][title]
                assert low <= values.min() <= values.max() <= high
                assert (values.dtype.kind == "i") == (title == "age")
    # the data may be anything: the same comes out
    folder = tmp_path / "copy"
    folder.mkdir()
    shutil.copy(running.folder / "agreement.toml", folder)
    again = mock(Agreement.load(folder / "agreement.toml"))
    assert all((again[p]["visits"][c] == made[p]["visits"][c]).all() for p in PARTIES for c in ("age", "cost"))


def test_made_up_values_are_spread_over_the_whole_range(running: Running) -> None:
    terms = agreement(running)
    column = terms.data["north"]["visits"].columns["age"]
    wide = column.model_copy(update={"range": (-(2**63), 2**63 - 1)})
    whole = terms.data["north"]["visits"].model_copy(update={"columns": {"x": wide}, "rows": 5000})
    values = mock(terms.model_copy(update={"data": {"north": {"t": whole}}}))["north"]["t"]["x"]
    assert values.size == MOST_MOCK_ROWS
    assert np.mean(values > 0) == pytest.approx(0.5, abs=0.1)
    assert abs(values.astype(float)).max() > 2**62


def test_as_many_rows_as_told(running: Running) -> None:
    made = mock(agreement(running), {"north": {"visits": 47}, "south": {"visits": 40}})
    assert {party: len(tables["visits"]["age"]) for party, tables in made.items()} == {"north": 47, "south": 40}
    assert [offer.rows for offer in offers(agreement(running), {"south": {"visits": 40}})] == [None, 40]


def test_the_same_script_runs_on_made_up_rows_and_then_for_real(running: Running) -> None:
    tried = running.beaver("simulate", "script.py", "--mock", "--json")
    assert tried.returncode == 0, tried.stderr
    real = running.beaver("run", "script.py", "--json")
    assert real.returncode == 0, real.stderr
    assert json.loads(tried.stdout)["result"].keys() == json.loads(real.stdout)["result"].keys()


def test_made_up_files(running: Running, tmp_path: Path) -> None:
    done = running.beaver("catalog", "--mock", str(tmp_path / "made"))
    assert done.returncode == 0, done.stderr
    found = {party: {"visits": tmp_path / "made" / party / "visits.csv"} for party in PARTIES}
    result = simulate(lambda data: data.table("visits").count(), found)
    assert result["result"] == 87
    assert running.beaver("simulate", "script.py", "--data", str(tmp_path / "made"), "--json").returncode == 0
    assert running.beaver("catalog", "--mock", str(tmp_path / "made")).returncode == 1


@pytest.mark.parametrize("arguments", [[], ["--mock", "--data", "."]])
def test_simulate_needs_to_know_on_what(running: Running, arguments: list[str]) -> None:
    done = running.beaver("simulate", "script.py", *arguments)
    assert done.returncode == 1
    assert "say on which data to run" in done.stderr
