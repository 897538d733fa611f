"""What is wrong with a party's tables is told by party, table, column and number of rows, and never by a value."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mpc.computation import Computation
from mpc.errors import ScriptError

sys.path.insert(0, str(Path(__file__).parent))
from consortium import (
    AGES,
    PARTIES,
    TABLES,
    TOTAL,
    Running,
    exposure,
    refused,
    total,
    write_csv,
)
from hand import Hand

PLANTED = 88_776_655
"""A value that must appear nowhere."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("store") / "c") as running:
        yield running.start()
        assert str(PLANTED) not in running.everything_written()
        assert "SECRET" not in running.everything_written()
        for member in running.members:
            assert not running.has(member, "fault", code="INTERNAL"), running.said(member)


@pytest.fixture
def visits(running: Running) -> Iterator[Path]:
    """South's table, to be damaged; afterwards everything works again."""
    path = running.data("south") / "visits.csv"
    good = path.read_bytes()
    yield path
    if path.is_dir():
        path.rmdir()
    path.with_suffix(".parquet").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(good)
    assert running.run(total)["result"] == TOTAL


def ages(data: Any) -> Any:
    return data.table("visits")["age"].mean()


def damaged(path: Path, column: str, *values: object) -> None:
    """The good table with other values in the first rows of a column."""
    table = {name: list(held) for name, held in TABLES["south"]["visits"].items()}
    table[column][: len(values)] = values
    write_csv(path, table)


CELLS: dict[str, tuple[str, list[object], str]] = {
    "nan": ("age", ["nan", PLANTED, "NaN"], "has NaN in 2 rows"),
    "infinities": ("age", ["inf", "-Infinity", PLANTED], "has infinities in 2 rows"),
    "text": ("visits", ["SECRET", PLANTED], "1 of its 30 rows hold text"),
    "text among reals": ("age", ["SECRET", "SECRET too", PLANTED], "2 of its 30 rows hold text"),
    "above the range": ("visits", [PLANTED, PLANTED, PLANTED], "3 rows lie outside the declared range"),
    "below the range": ("age", [-PLANTED], "1 rows lie outside the declared range"),
    "not whole": ("visits", [PLANTED + 0.5], "holds real numbers, an integer column is declared"),
    "beyond 64 bits": ("visits", [f"{PLANTED}{PLANTED}{PLANTED}"], "outside the signed 64-bit range in 1 rows"),
    "missing": ("visits", ["", "", PLANTED], "missing values in 2 of 30 rows"),
}


@pytest.mark.parametrize("case", CELLS)
def test_values_that_cannot_take_part(running: Running, visits: Path, case: str) -> None:
    column, values, said = CELLS[case]
    damaged(visits, column, *values)
    with refused("DATA", "south.visits", column, said) as faults:
        running.run(total if column == "visits" else ages)
    (fault,) = faults
    assert str(PLANTED) not in repr(fault) + str(fault)
    assert fault.report.party == "south"
    assert fault.report.phase == "load"
    # The others are told, and by whom it was.
    for party in ("north", "west"):
        assert running.idle()
        last = running.events(party, "fault")[-1]
        assert last["code"] == "SESSION_CANCELLED"
        assert "south" in last["message"]


def test_a_column_that_the_agreement_does_not_name_is_not_read(running: Running, visits: Path) -> None:
    write_csv(visits, {**TABLES["south"]["visits"], "name": ["SECRET", "nan", PLANTED] * 10})
    assert running.run(total)["result"] == TOTAL


def test_a_column_that_is_agreed_must_be_right_for_every_plan(running: Running, visits: Path) -> None:
    damaged(visits, "age", "SECRET", "nan", PLANTED)
    with refused("DATA", "south.visits", "age", "1 of its 30 rows hold text"):
        running.run(total)


def instead(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


FILES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no file": (lambda path: path.unlink(), "TABLE_MISSING", "no file for the table 'visits'"),
    "a folder": (instead(Path.mkdir), "DATA", "is not a file"),
    "a link to itself": (instead(lambda path: path.symlink_to(path)), "DATA", "Too many levels of symbolic links"),
    "empty": (lambda path: path.write_text(""), "DATA", "is empty"),
    "no rows": (lambda path: path.write_text("visits,age\n"), "DATA", "is empty: it has no rows"),
    "ragged": (lambda path: path.write_text(path.read_text() + "1,2,3\n"), "DATA", "more or fewer fields"),
    "an open quote": (lambda path: path.write_text(path.read_text() + '"1,2\n'), "DATA", "CSV"),
    "not UTF-8": (lambda path: path.write_bytes(path.read_bytes() + b"\xff\xfe,1\n"), "DATA", "is not UTF-8"),
    "bytes": (lambda path: path.write_bytes(os.urandom(4096) + b"\0"), "DATA", "south.visits"),
    "no such column": (lambda path: path.write_text("age\n" + "30\n" * 30), "DATA", "visits"),
    "twice": (lambda path: shutil.copy(path, path.with_suffix(".parquet")), "TABLE_TWICE", "south has both"),
    "no Parquet": (
        lambda path: (path.rename(path.with_suffix(".parquet")), path.with_suffix(".parquet").write_bytes(b"PAR1 no")),
        "DATA",
        "Parquet",
    ),
    "more rows than agreed": (
        lambda path: write_csv(path, {"visits": [1] * 31, "age": [*AGES, 30]}),
        "ROWS_ABOVE_AGREEMENT",
        "south.visits has 31 rows",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_cannot_be_read(running: Running, visits: Path, case: str) -> None:
    damage, code, said = FILES[case]
    damage(visits)
    with refused(code, "south", said):
        running.run(total)


def test_fewer_rows_than_agreed_are_as_good(running: Running, visits: Path) -> None:
    write_csv(visits, {"visits": [2] * 20, "age": AGES[:20]})
    assert running.run(total)["result"] == TOTAL - 3 * 30 + 2 * 20
    write_csv(visits, {"visits": [2] * 9, "age": AGES[:9]})
    with refused("PLAN_REFUSED", "9 of south's rows"):
        running.run(total)


def test_a_table_that_changed_since_the_script_was_submitted(running: Running, visits: Path) -> None:
    analyst = running.analyst()
    counts = analyst.row_counts()
    write_csv(visits, {"visits": [2] * 29, "age": AGES[:29]})
    for script in (total, lambda data: data.table("visits").count()):
        with Hand(running) as hand:
            hand.submit(analyst.plan(Computation(script), counts).encode(), *PARTIES)
            report = hand.fault("south")
            assert report["code"] in ("DATA", "ROWS_CHANGED")
            assert "south.visits" in report["message"]
            assert "29 rows" in report["message"]


def test_columns_of_different_lengths_in_an_aligned_product(running: Running) -> None:
    path = running.data("south") / "policies.csv"
    good = path.read_bytes()
    write_csv(path, {"risk": [1] * 39})
    try:
        with pytest.raises(ScriptError, match="40 against 39 rows"):
            running.run(exposure)
    finally:
        path.write_bytes(good)
    assert running.works()
