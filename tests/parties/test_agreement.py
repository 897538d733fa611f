"""agreement.toml: read as meant, refused by field, one digest for one content; the draft is one, and hides extremes."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc.errors import DataError
from mpc.schema import Column, Table
from parties.agreement import Agreement
from parties.config import Consortium
from parties.draft import _rounded_out, draft
from parties.errors import Fault
from parties.setup import create_consortium

TEXT = """
version = 1
purpose = "a purpose"
source = "dealer"
min_rows = 20
recipients = ["analyst"]

[data.south.visits]
rows = 6800
[data.south.visits.columns]
age = { type = "integer", range = [0, 110] }
cost = { type = "real", range = [0.0, 50000.0] }

[data.north.visits]
rows = 100
[data.north.visits.columns]
"the age" = { type = "integer", range = [-5, -5] }
"""


@pytest.fixture
def consortium(tmp_path: Path) -> Consortium:
    create_consortium(tmp_path, ["north", "south", "west"])
    return Consortium.load(tmp_path / "consortium.toml")


def load(folder: Path, text: str, consortium: Consortium | None = None) -> Agreement:
    path = folder / "agreement.toml"
    path.write_text(text, encoding="utf-8")
    return Agreement.load(path, consortium)


def refused(folder: Path, text: str, consortium: Consortium | None = None) -> str:
    with pytest.raises(Fault) as caught:
        load(folder, text, consortium)
    assert caught.value.code == "AGREEMENT_INVALID"
    assert "agreement.toml" in caught.value.message
    assert caught.value.report.remedy
    return caught.value.message


def test_an_agreement_is_read(tmp_path: Path, consortium: Consortium) -> None:
    agreement = load(tmp_path, TEXT, consortium)
    assert (agreement.min_rows, agreement.recipients) == (20, ("analyst",))
    schema = agreement.schema()
    assert list(schema) == ["north", "south", "west"]
    assert schema["north"] == {"visits": Table(100, {"the age": Column("integer", -5, -5)})}
    assert schema["south"]["visits"].columns == {
        "age": Column("integer", 0, 110),
        "cost": Column("real", 0.0, 50000.0),
    }
    assert schema["west"] == {}
    assert list(load(tmp_path, TEXT).schema()) == ["south", "north"]


def test_exact_counts_make_the_schema(tmp_path: Path, consortium: Consortium) -> None:
    agreement = load(tmp_path, TEXT, consortium)
    schema = agreement.schema({"south": {"visits": 6800}})
    assert schema["south"]["visits"].rows == 6800
    assert list(schema) == ["north", "south", "west"]
    assert schema["north"] == {}
    for counts, code in (
        ({"south": {"visits": 6801}}, "ROWS_ABOVE_AGREEMENT"),
        ({"south": {"visits": 0}}, "ROWS_INVALID"),
        ({"south": {"visits": True}}, "ROWS_INVALID"),
        ({"south": {"other": 1}}, "ROWS_INVALID"),
        ({"east": {"visits": 1}}, "ROWS_INVALID"),
    ):
        with pytest.raises(Fault) as caught:
            agreement.schema(counts)
        assert caught.value.code == code
        assert caught.value.report.peer == next(iter(counts))


def test_the_digest_is_of_the_content(tmp_path: Path, consortium: Consortium) -> None:
    digest = load(tmp_path, TEXT).digest()
    assert len(digest) == 32
    south, north = TEXT.index("[data.south"), TEXT.index("[data.north")
    for same in (
        "# a comment\n" + TEXT.replace("version = 1", "  version=1 # one"),
        TEXT[:south] + TEXT[north:] + TEXT[south:north],
        TEXT.replace("[0.0, 50000.0]", "[-0.0, 50_000]"),
        TEXT.replace('["analyst"]', '["analyst", "analyst"]'),
    ):
        assert load(tmp_path, same).digest() == digest
        assert load(tmp_path, same, consortium).digest() == digest
    for other in (
        TEXT.replace("110", "111"),
        TEXT.replace("6800", "6801"),
        TEXT.replace("min_rows = 20", ""),
        TEXT.replace("a purpose", "another"),
        TEXT.replace('"integer", range = [0, 110]', '"real", range = [0, 110]'),
        TEXT.replace("data.north", "data.west"),
        TEXT.replace('["analyst"]', '["north"]'),
    ):
        assert load(tmp_path, other).digest() != digest


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("version = 1", "", "version is missing"),
        ("version = 1", "version = 2", "version"),
        ("version = 1", "version = 1\nexpires = 3", "expires is unknown"),
        ('"a purpose"', '""', "purpose"),
        ('"dealer"', '"pairwise"', "source"),
        ("min_rows = 20", "min_rows = 0", "min_rows"),
        ("min_rows = 20", "min_rows = 1.5", "min_rows must be a whole number"),
        ("min_rows = 20", "min_rows = true", "min_rows must be a whole number"),
        ('["analyst"]', "[]", "recipients"),
        ('["analyst"]', '["An Analyst"]', "recipients[1] must be a name"),
        ("rows = 100", "rows = 0", "data.north.visits.rows"),
        ("rows = 100", "", "data.north.visits.rows is missing"),
        ("rows = 100", "rows = 100\ncolums = 3", "data.north.visits.colums is unknown"),
        ("south.visits", 'south."../visits"', "must be the name of a table"),
        ("south.visits", 'south."visits.csv"', "must be the name of a table"),
        ('"the age"', '""', "must be the name of a column"),
        ('"integer", range = [0, 110]', '"text", range = [0, 110]', "data.south.visits.columns.age.type"),
        ("range = [0, 110]", "range = [0, 110], nulls = 1", "columns.age.nulls is unknown"),
        (", range = [0, 110]", "", "columns.age.range is missing"),
        ("[0, 110]", "[0, 1, 2]", "columns.age range must be [low, high], two whole numbers"),
        ("[0, 110]", "[110, 0]", "columns.age range must be [low, high]"),
        ("[0, 110]", "[0, 110.5]", "two whole numbers"),
        ("[0, 110]", "[0, 9223372036854775808]", "two whole numbers of at most 64 bits"),
        ("[0, 110]", "[-9223372036854775809, 0]", "two whole numbers of at most 64 bits"),
        ("[0, 110]", "[false, true]", "two whole numbers"),
        ("[0, 110]", '["0", "1"]', "two whole numbers"),
        ("[0.0, 50000.0]", "[0.0, inf]", "columns.cost range must be [low, high], two finite numbers"),
        ("[0.0, 50000.0]", "[nan, 1.0]", "two finite numbers"),
        ("[0.0, 50000.0]", "[0.0, nan]", "two finite numbers"),
        ("[0.0, 50000.0]", f"[0, 1{'0' * 400}]", "two finite numbers"),
        ("[0.0, 50000.0]", "[false, 1.0]", "two finite numbers"),
        ("[0.0, 50000.0]", "[2.0, 1.0]", "low not above high"),
        ("version = 1", "version 1", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert old in TEXT
    assert told in refused(tmp_path, TEXT.replace(old, new))


def test_strangers_to_the_consortium(tmp_path: Path, consortium: Consortium) -> None:
    assert "data.east" in refused(tmp_path, TEXT.replace("data.north", "data.east"), consortium)
    assert "recipients: 'eve'" in refused(tmp_path, TEXT.replace('["analyst"]', '["north", "eve"]'), consortium)
    assert "recipients: 'dealer'" in refused(tmp_path, TEXT.replace('["analyst"]', '["dealer"]'), consortium)


def test_a_missing_agreement(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        Agreement.load(tmp_path / "agreement.toml")
    assert caught.value.code == "AGREEMENT_MISSING"


def drafted(tmp_path: Path, consortium: Consortium) -> str:
    folders = {party: tmp_path / party / "data" for party in consortium.party_names}
    return draft(consortium, folders, 'to "count"\nvisits')


def test_a_draft_parses_to_what_it_says(tmp_path: Path, consortium: Consortium) -> None:
    odd = 'a "b" \\ = [ß]\t#\x7f'
    (tmp_path / "north" / "data" / "visits.csv").write_text(
        'age,cost,city,"'
        + odd.replace('"', '""')
        + '",gaps,flag\n'
        + "".join(f"{18 + row},{row * 1.25},x,7,1,true\n" for row in range(75))
        + "93,48211.7,y,7,,false\n"
    )
    duckdb.sql("select range + 1941 as born, -0.5 as half from range(6712)").write_parquet(
        str(tmp_path / "west" / "data" / "people.parquet")
    )
    (tmp_path / "west" / "data" / "notes.txt").write_text("no table")
    text = drafted(tmp_path, consortium)
    agreement = load(tmp_path, text, consortium)
    assert agreement.purpose == 'to "count"\nvisits'
    assert (agreement.min_rows, agreement.recipients) == (10, ("analyst",))
    visits = agreement.data["north"]["visits"]
    assert visits.rows == 80
    assert {name: (column.type, column.range) for name, column in visits.columns.items()} == {
        "age": ("integer", (10, 100)),
        "cost": ("real", (0.0, 49000.0)),
        odd: ("integer", (0, 14)),
        "flag": ("integer", (0, 1)),
    }
    assert '# left out: "city" holds no numbers' in text
    assert "# left out: north.visits, column 'gaps' has missing values in 1 of 76 rows." in text
    people = agreement.data["west"]["people"]
    assert people.rows == 6800
    assert people.columns["born"].range == (1900, 8700)
    assert people.columns["half"].range == (-1.0, 0.0)
    assert agreement.data["south"] == {}


def test_drafts_that_cannot_be(tmp_path: Path, consortium: Consortium) -> None:
    data = tmp_path / "south" / "data"

    def code() -> str:
        with pytest.raises(Fault) as caught:
            drafted(tmp_path, consortium)
        assert caught.value.report.remedy
        return caught.value.code

    assert code() == "NO_TABLES"
    (data / "my visits.csv").write_text("x\n1\n")
    assert code() == "TABLE_NAME_INVALID"
    (data / "my visits.csv").rename(data / "visits.csv")
    (data / "visits.parquet").write_bytes(b"PAR1")
    assert code() == "TABLE_TWICE"
    (data / "visits.csv").unlink()
    with pytest.raises(DataError, match=r"south\.visits"):
        drafted(tmp_path, consortium)


@given(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1)))
def test_integers_round_out(ends: tuple[int, int]) -> None:
    low, high = map(int, _rounded_out((min(ends), max(ends)), "integer"))
    assert -(2**63) <= low <= min(ends) <= max(ends) <= high < 2**63
    assert low < high


@given(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False)))
def test_reals_round_out(ends: tuple[float, float]) -> None:
    low, high = map(float, _rounded_out((min(ends), max(ends)), "real"))
    assert float("-inf") < low <= min(ends) <= max(ends) <= high < float("inf")
    assert low < high
