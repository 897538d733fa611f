"""agreement.toml: read as meant, refused by field, one digest for one content; compared and told; drafts of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc.errors import DataError
from mpc.schema import Column, Table
from parties.agreement import Agreement
from parties.changes import changes
from parties.config import Consortium
from parties.draft import _rounded_out, draft
from parties.errors import Fault
from parties.prose import sentences, table_sentence
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

FULL = """
version = 1
purpose = "a purpose"
parties = ["north", "south", "west"]
valid_from = 2027-01-01
valid_until = 2027-12-31
uses = 20
approval = "ask"
protocol = "additive"
source = "pairwise"
min_rows = 20
recipients = ["analyst", "north"]
operations = ["sums", "counts"]

[outputs]
mean = ["analyst"]
total = ["north", "analyst"]

[computations]
first = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

[retention]
material_days = 3
results_days = 400

[data.south.visits]
rows = 6800
about = "one row a visit"
exact_results = 5
budget = { epsilon = 2, delta = 1e-6, days = 365 }
[data.south.visits.columns]
age = { type = "integer", range = [0, 110], about = "in full years" }
"""
"""Every field there is, but those that say how noise is added, and that numbers of rows have noise."""
NOISED = 'counts = "noised"\ncount_noise = { epsilon = 0.1, delta = 1e-9 }'


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


def test_every_clause_is_read(tmp_path: Path, consortium: Consortium) -> None:
    agreement = load(tmp_path, FULL, consortium)
    assert agreement.valid_from == datetime(2027, 1, 1, tzinfo=UTC)
    assert agreement.valid_until == datetime(2028, 1, 1, tzinfo=UTC)  # the first moment at which it is over
    assert (agreement.uses, agreement.approval, agreement.source) == (20, "ask", "pairwise")
    assert agreement.outputs == {"mean": ("analyst",), "total": ("north", "analyst")}
    assert agreement.operations == ("sums", "counts")
    assert list(agreement.computations) == ["first"]
    assert (agreement.retention.material_days, agreement.retention.results_days) == (3, 400)
    table = agreement.data["south"]["visits"]
    assert table.budget is not None
    assert (table.exact_results, table.budget.epsilon, table.budget.delta, table.budget.days) == (5, 2.0, 1e-6, 365)
    assert table.columns["age"].about == "in full years"


def test_what_is_not_said_sets_no_limit(tmp_path: Path) -> None:
    agreement = load(tmp_path, TEXT)
    assert agreement.valid_from is agreement.valid_until is agreement.uses is agreement.operations is None
    assert not agreement.parties
    assert not agreement.outputs
    assert not agreement.computations
    assert agreement.approval == "automatic"
    assert agreement.data["south"]["visits"].exact_results is agreement.data["south"]["visits"].budget is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2027-01-01", "2027-01-01T00:00:00Z"),
        ("2027-01-01", "2027-01-01T02:00:00+02:00"),
        ("2027-12-31", "2028-01-01T00:00:00Z"),
        ('["north", "south", "west"]', '["west", "south", "north"]'),
        ('["sums", "counts"]', '["counts", "sums", "sums"]'),
        ('["north", "analyst"]', '["analyst", "north"]'),
        ("epsilon = 2", "epsilon = 2.0"),
    ],
)
def test_what_means_the_same_has_the_same_digest(old: str, new: str, tmp_path: Path) -> None:
    assert old in FULL
    assert load(tmp_path, FULL.replace(old, new)).digest() == load(tmp_path, FULL).digest()


CHANGES = [
    # old, new, for whom, of what, the effect
    ("a purpose", "another", "everybody", "purpose", "other"),
    ('parties = ["north", "south", "west"]', "", "everybody", "parties named", "other"),
    ("2027-01-01", "2026-01-01", "everybody", "begins", "more"),
    ("valid_from = 2027-01-01", "", "everybody", "begins", "more"),
    ("2027-12-31", "2027-11-30", "everybody", "ends", "less"),
    ("valid_until = 2027-12-31", "", "everybody", "ends", "more"),
    ("uses = 20", "uses = 1", "everybody", "computations in all", "less"),
    ("uses = 20", "", "everybody", "computations in all", "more"),
    ('approval = "ask"', "", "everybody", "approval", "more"),
    ('"pairwise"', '"dealer"', "everybody", "source of random material", "other"),
    ("min_rows = 20", "min_rows = 10", "everybody", "smallest group", "more"),
    ("min_rows = 20", "min_rows = 20\nrow_conditions = true", "everybody", "conditions on single rows", "more"),
    ('recipients = ["analyst", "north"]', 'recipients = ["analyst", "north", "west"]', "west", "results", "more"),
    ('"sums", "counts"', '"sums"', "everybody", "operations", "less"),
    ('"sums", "counts"', '"sums", "products"', "everybody", "operations", "other"),
    ('operations = ["sums", "counts"]', "", "everybody", "operations", "more"),
    ('total = ["north", "analyst"]', "", "everybody", "results", "less"),
    ('["north", "analyst"]', '["north"]', "everybody", "results", "less"),
    ('"00112233', '"11112233', "everybody", "computations named", "other"),
    ("material_days = 3", "", "everybody", "material kept, days", "less"),
    ("results_days = 400", "", "everybody", "results kept, days", "more"),
    ("rows = 6800", "rows = 6801", "south", "visits: rows at most", "more"),
    ("one row a visit", "", "south", "visits: about", "other"),
    ("exact_results = 5", "exact_results = 0", "south", "visits: exact results", "less"),
    ("exact_results = 5", "", "south", "visits: exact results", "more"),
    ("rows = 6800", 'rows = 6800\ncounts = "rounded"', "south", "visits: number of rows told", "less"),
    ("rows = 6800", f"rows = 6800\n{NOISED}", "south", "visits: number of rows told", "less"),
    ("version = 1", 'version = 1\nnoise = "shared"\ncolluding = 1', "everybody", "noise", "more"),
    ("rows = 6800", 'rows = 6800\nunit = "person"', "south", "visits: whose a row is", "other"),
    ("epsilon = 2", "epsilon = 1.5", "south", "visits: privacy budget, epsilon", "less"),
    ("delta = 1e-6", "delta = 1e-5", "south", "visits: privacy budget, delta", "more"),
    ("days = 365", "days = 30", "south", "visits: privacy budget, renewed", "more"),
    (", days = 365", "", "south", "visits: privacy budget, renewed", "less"),
    ("[0, 110]", "[0, 111]", "south", "visits.age", "other"),
    ("in full years", "years", "south", "visits.age", "other"),
]


@pytest.mark.parametrize(("old", "new", "whom", "what", "effect"), CHANGES)
def test_every_change_changes_the_digest_and_is_told(
    old: str, new: str, whom: str, what: str, effect: str, tmp_path: Path
) -> None:
    assert FULL.count(old) == 1
    before, after = load(tmp_path, FULL), load(tmp_path, FULL.replace(old, new))
    assert before.digest() != after.digest()
    (change,) = changes(before, after)
    assert (change.whom, change.what, change.effect) == (whom, what, effect)
    (back,) = changes(after, before)
    opposite = {"more": "less", "less": "more", "other": "other"}
    assert (back.before, back.after, back.effect) == (change.after, change.before, opposite[effect])
    assert changes(before, before) == []


def test_without_a_budget_there_is_no_noise_to_allow(tmp_path: Path) -> None:
    before = load(tmp_path, FULL.replace("budget = { epsilon = 2, delta = 1e-6, days = 365 }", ""))
    after = load(tmp_path, FULL)
    assert {change.effect for change in changes(before, after)} == {"more"}
    assert {change.effect for change in changes(after, before)} == {"less"}
    assert "no result with noise may rest on it" in table_sentence(before.data["south"]["visits"]).lower()


def test_more_or_less_data_is_told(tmp_path: Path) -> None:
    before = load(tmp_path, FULL)
    after = load(tmp_path, FULL + 'sick = { type = "integer", range = [0, 1] }\n[data.west.w]\nrows=3\ncolumns={}\n')
    told = {(change.whom, change.what): change.effect for change in changes(before, after)}
    assert told[("south", "visits.sick")] == "more"
    assert told[("west", "w")] == "more"
    assert all(change.effect == "less" for change in changes(after, before) if change.what in ("w", "visits.sick"))


def test_it_is_told_in_sentences(tmp_path: Path, consortium: Consortium) -> None:
    agreement = load(tmp_path, FULL, consortium)
    said = dict(sentences(agreement, consortium))
    assert said["purpose"] == "a purpose"
    assert said["term"] == "From 2027-01-01 to the end of 2027-12-31 (UTC); 20 computations at most in all."
    assert "may deny it" in said["approval"]
    assert said["results"] == "Only 'mean' to analyst and 'total' to north and analyst, and to nobody else."
    assert "sums (adding and subtracting, sums, means) and counts (how many rows there are)" in said["may be computed"]
    assert "at least 20 of its rows" in said["smallest group"]
    assert "at most 400 days" in said["kept"]
    table = table_sentence(agreement.data["south"]["visits"])
    assert table.startswith("one row a visit. At most 6,800 rows; their number is told exactly. 5 exact numbers, ")
    assert "epsilon 2, delta 1e-06, in any 365 days" in table
    least = dict(sentences(load(tmp_path, TEXT, consortium), consortium))
    assert least["term"] == "From when every party has signed with no end; any number of computations."
    assert least["results"] == "Any, to analyst and nobody else."


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("2027-12-31", '"2027-12-31"', "valid_until must be a day, without quotes"),
        ("2027-12-31", "2027-12-31T10:00:00", "valid_until must say its time zone"),
        ("2027-12-31", "17:00:00", "valid_until must be a day"),
        ("2027-12-31", "9999-12-31", "valid_until must be a day"),
        ("2027-12-31", "1798761600", "valid_until must be a day"),
        ("2027-12-31", "2026-12-31", "valid_until must be later than valid_from"),
        ("uses = 20", "uses = 0", "uses"),
        ('"ask"', '"never"', "approval"),
        ('"additive"', '"shamir"', "protocol"),
        ('"pairwise"', '"nobody"', "source"),
        ('"sums", "counts"', '"sums", "magic"', "operations[2] is no kind of operation; there are counts, sums,"),
        ('mean = ["analyst"]', "mean = []", "outputs.mean"),
        ('mean = ["analyst"]', 'mean = ["west"]', "outputs: 'west' is to receive 'mean' and is not among recipients"),
        ("0011223344", "0X11223344", "computations.first must be the 64 hexadecimal digits"),
        ("results_days = 400", "results_days = 0", "retention.results_days"),
        ("results_days = 400", "result_days = 4", "retention.result_days is unknown"),
        ("exact_results = 5", "exact_results = -1", "data.south.visits.exact_results"),
        ("epsilon = 2", "epsilon = 0", "data.south.visits.budget.epsilon"),
        ("epsilon = 2", "epsilon = -1.0", "data.south.visits.budget.epsilon"),
        ("epsilon = 2", "epsilon = nan", "data.south.visits.budget.epsilon"),
        ("epsilon = 2", "epsilon = inf", "data.south.visits.budget.epsilon"),
        ("epsilon = 2", "epsilon = true", "data.south.visits.budget.epsilon"),
        ("delta = 1e-6", "delta = 1.0", "data.south.visits.budget.delta"),
        ("days = 365", "weeks = 52", "data.south.visits.budget.weeks is unknown"),
    ],
)
def test_a_clause_that_is_wrong_is_named(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert old in FULL
    assert told in refused(tmp_path, FULL.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("version = 1", "", "version is missing"),
        ("version = 1", "version = 2", "version"),
        ("version = 1", "version = 1\nexpires = 3", "expires is unknown"),
        ('"a purpose"', '""', "purpose"),
        ('"dealer"', '"magic"', "source"),
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
    assert "parties: north, south are not the parties" in refused(
        tmp_path, FULL.replace('["north", "south", "west"]', '["north", "south"]'), consortium
    )
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
