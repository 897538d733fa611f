"""Results over nearly the same rows are refused: within a plan, after an earlier one, and after the table changed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpc
from mpc.disclosure import rows_used
from mpc.plan import Plan
from mpc.schema import Column, Table
from parties import clauses, history
from parties.agreement import Agreement
from parties.database import Database
from parties.history import Used, differing, exact_results, record
from parties.policy import Case, refusals
from parties.rows import cells_for, differing_cells, row_hashes, sketch

sys.path.insert(0, str(Path(__file__).parent))
from consortium import Running, refused, write_csv

LEAST = 10


def sketched(values: Any) -> np.ndarray:
    return sketch(row_hashes({"a": np.asarray(values, np.int64)}), cells_for(LEAST))


rows = st.lists(st.integers(0, 60), max_size=200)


@given(rows, rows)
def test_sets_that_differ_by_few_rows_are_always_found(one: list[int], other: list[int]) -> None:
    """The number of cells is never more than that of rows by which they differ, and 0 only for the same rows."""
    kinds = set(one) | set(other)
    by = sum(abs(one.count(kind) - other.count(kind)) for kind in kinds)
    cells = differing_cells(sketched(one), sketched(other))
    assert cells <= by
    assert (cells == 0) == (by == 0)


@given(rows, rows)
def test_coarser_sketches_are_comparable(one: list[int], other: list[int]) -> None:
    hashes = [row_hashes({"a": np.asarray(values, np.int64)}) for values in (one, other)]
    fine, coarse = sketch(hashes[0], 4096), sketch(hashes[1], 1024)
    assert differing_cells(fine, coarse) == differing_cells(sketch(hashes[0], 1024), coarse)


def test_sets_that_differ_by_many_rows_are_told_apart() -> None:
    """A rule that refused too much would be of no use: 20 rows are not taken for fewer than 10."""
    chance = np.random.default_rng(5)
    for _ in range(200):
        values = chance.integers(-(2**62), 2**62, 1000)
        assert differing_cells(sketched(values), sketched(values[20:])) >= LEAST


def test_rows_that_are_alike_count_one_by_one() -> None:
    yes_or_no = [0, 1] * 50
    assert differing_cells(sketched(yes_or_no), sketched(yes_or_no[:60])) >= LEAST
    assert differing_cells(sketched(yes_or_no), sketched(yes_or_no[:98])) == 2
    assert differing_cells(sketched(yes_or_no), sketched(yes_or_no[::-1])) == 0


def test_hashes_are_of_values_and_columns_not_of_order() -> None:
    ints, reals = np.array([1, 2, 1, -1]), np.array([0.5, -0.0, 0.5, 1.0])
    hashes = row_hashes({"x": ints, "y": reals})
    assert hashes[0] == hashes[2]
    assert len(set(hashes.tolist())) == 3
    assert (hashes == row_hashes({"y": reals + 0.0, "x": ints})).all()
    assert not (hashes == row_hashes({"x": ints, "z": reals})).any()
    assert not (row_hashes({"x": ints, "y": ints[::-1]}) == row_hashes({"x": ints[::-1], "y": ints}))[[0, 3]].any()


SCHEMA = {
    party: {
        "visits": Table(40, {"age": Column("integer", 0, 120)}),
        "staff": Table(30, {"pay": Column("integer", 0, 9)}),
    }
    for party in ("north", "south")
}


def used(script: Callable[[Any], Any], party: str = "north") -> Mapping[str, Mapping[str, list[int]]]:
    """Result -> table -> the numbers of the rows."""
    found = rows_used(mpc.computation(script).plan(SCHEMA), party)
    return {
        result: {
            name: list(rows) if isinstance(rows, range) else np.flatnonzero(rows).tolist()
            for name, rows in tables.items()
        }
        for result, tables in found.items()
    }


def age(data: Any) -> Any:
    return data.party("north")["visits"]["age"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (lambda data: age(data).sum(), {"visits": list(range(40))}),
        (lambda data: data.table("visits")["age"].mean(), {"visits": list(range(40))}),
        (lambda data: age(data)[3:20:2].sum(), {"visits": list(range(3, 20, 2))}),
        (lambda data: age(data)[::-1][:5].sum(), {"visits": [35, 36, 37, 38, 39]}),
        (lambda data: age(data)[[7, 3, 7]].sum(), {"visits": [3, 7]}),
        (lambda data: age(data)[5], {"visits": [5]}),
        (lambda data: age(data)[:3], {"visits": [0, 1, 2]}),
        (lambda data: age(data)[:20].sum() - age(data)[10:30].sum(), {"visits": list(range(30))}),
        (lambda data: (age(data) > 50).sum(), {"visits": list(range(40))}),
        (lambda data: data.party("north")["visits"].count(), {"visits": list(range(40))}),
        (lambda data: mpc.noisy(age(data).sum()), {}),
        (lambda data: mpc.noisy(age(data).sum()) + age(data)[:15].sum(), {"visits": list(range(15))}),
        (
            lambda data: age(data)[:30] @ data.party("north")["staff"]["pay"],
            {"visits": list(range(30)), "staff": list(range(30))},
        ),
        (lambda data: data.party("south")["visits"]["age"].sum(), {}),
    ],
)
def test_the_rows_behind_a_result(script: Callable[[Any], Any], expected: Mapping[str, list[int]]) -> None:
    assert used(script) == {"result": expected}


def judged(script: Callable[[Any], Any], agreement: Any) -> list[str]:
    plan = mpc.computation(script).plan(SCHEMA)
    return list(clauses.differencing(Case(plan, agreement, "north", ("north", "south"), "analyst")))


class Terms:
    """What the clause reads of an agreement."""

    min_rows = LEAST


def least_left(one: Sequence[int], other: Sequence[int]) -> int:
    """The fewest rows that are left of two weighted sums, one taken so many times from the other; 0 for all or none."""
    pairs = list(zip(one, other, strict=True))
    ways = {(0, 1), (1, 0), *pairs}
    left = {sum(u * b != v * a for u, v in pairs) for a, b in ways}  # b times the one, less a times the other
    return min((rows for rows in left if rows), default=0)


weights = st.lists(st.sampled_from([0, 0, 1, 1, 2, 3]), min_size=40, max_size=40)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), weights, st.data())
def test_weights_that_leave_few_rows(first: int, second: int, chosen: list[int], data: st.DataObject) -> None:
    """Of two results that are allowed each, nothing about few rows can be put together; found by trying all ways."""
    one = [1] * first + [0] * (40 - first)
    two = list(one)
    for i in data.draw(st.lists(st.integers(0, 39), max_size=14)):
        two[i] = chosen[i]
    two = [0 if i < second // 4 else 2 * weight for i, weight in enumerate(two)]
    script = lambda data: {"one": age(data) @ one, "two": age(data) @ two}  # noqa: E731
    agreement = Agreement.model_validate(
        {
            "version": 1,
            "purpose": "tests",
            "source": "dealer",
            "recipients": ["analyst"],
            "data": {"north": {"visits": {"rows": 40, "columns": {"age": {"type": "integer", "range": [0, 120]}}}}},
        }
    )
    case = Case(mpc.computation(script).plan(SCHEMA), agreement, "north", ("north", "south"), "analyst")
    if not refusals(case):
        assert not 0 < least_left(one, two) < LEAST, (one, two)


def test_weights_that_are_alike_are_not_refused() -> None:
    halves = [1] * 20 + [0] * 20
    for script in (
        lambda data: {"one": age(data) @ halves, "two": (age(data) ** 2) @ halves},
        lambda data: {"one": age(data) @ halves, "two": age(data) @ halves[::-1], "all": age(data).sum()},
        lambda data: {"one": age(data) @ halves, "two": age(data) @ ([3] * 10 + [1] * 30)},
    ):
        assert judged(script, Terms) == []


def test_rows_of_too_many_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clauses, "MOST_WEIGHTS", 3)
    quarters = [1] * 10 + [2] * 10 + [3] * 10
    assert judged(lambda data: {"one": age(data)[:30] @ quarters}, Terms) == []
    (reason,) = judged(lambda data: {"one": age(data) @ [*quarters, *[4] * 10]}, Terms)
    assert "'one' weighs rows of north.visits in 4 ways, where 3 are the most" in reason


def test_two_results_of_one_plan() -> None:
    near = judged(lambda data: {"all": age(data).sum(), "but one": age(data)[1:].sum()}, Terms)
    (reason,) = near
    assert reason.count("(reveal, ") == 2
    assert reason.endswith(
        ": 'all' and 'but one' use rows of north.visits that differ in 1: their difference would tell of fewer than 10"
    )
    for script in (
        lambda data: {"all": age(data).sum(), "half": age(data)[20:].sum()},
        lambda data: {"sum": age(data).sum(), "squares": (age(data) ** 2).sum()},
        lambda data: {"all": age(data).sum(), "noisy": mpc.noisy(age(data)[1:].sum())},
        lambda data: {"all": age(data).sum(), "staff": data.party("north")["staff"]["pay"][1:].sum()},
        lambda data: {"one": age(data)[:20].sum(), "other": age(data)[20:].sum()},
    ):
        assert judged(script, Terms) == []
    assert judged(lambda data: {"one": age(data)[:20].sum(), "next": age(data)[4:24].sum()}, Terms)
    assert not judged(lambda data: {"one": age(data)[:20].sum(), "next": age(data)[5:25].sum()}, Terms)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "privacy.sqlite", history.TABLES, 7, "what is known", "Restore it.")


def remember(database: Database, *results: Used, plan: bytes = b"p", agreement: str = "a") -> None:
    with database.transaction() as connection:
        record(connection, results, agreement=agreement, plan=plan, session="s")


def near(database: Database, *results: Used) -> list[str]:
    with database.reading() as connection:
        return [each.result for each in differing(connection, results, LEAST)]


def test_later_results_are_compared_with_all_earlier_ones(database: Database) -> None:
    remember(database, Used("all", "visits", sketched(range(100))))
    remember(database, Used("half", "visits", sketched(range(50))))
    assert near(database, Used("again", "visits", sketched(range(100)))) == []
    assert near(database, Used("one less", "visits", sketched(range(1, 100)))) == ["one less"]
    assert near(database, Used("one more", "visits", sketched(range(101)))) == ["one more"]
    assert near(database, Used("another", "visits", sketched([*range(99), 777]))) == ["another"]
    assert near(database, Used("half and two", "visits", sketched(range(52)))) == ["half and two"]
    assert near(database, Used("a third", "visits", sketched(range(33)))) == []
    assert near(database, Used("other table", "staff", sketched(range(1, 100)))) == []


def test_results_of_one_plan_are_compared_too(database: Database) -> None:
    """For random samples that is only known once they are drawn."""
    results = [Used("a", "visits", sketched(range(100))), Used("b", "visits", sketched(range(1, 100)))]
    assert near(database, *results) == ["b"]
    assert near(database, *results, results[0]) == ["b"]


def test_it_is_remembered_over_a_restart_and_a_new_agreement(tmp_path: Path) -> None:
    path = tmp_path / "privacy.sqlite"
    remember(Database(path, history.TABLES, 7, "", ""), Used("all", "visits", sketched(range(100))), agreement="old")
    again = Database(path, history.TABLES, 7, "", "")
    assert near(again, Used("one less", "visits", sketched(range(99)))) == ["one less"]


def test_results_without_noise_are_counted_once(database: Database) -> None:
    def counted(*results: Used, plan: bytes, agreement: str = "a") -> Mapping[str, int]:
        with database.reading() as connection:
            return exact_results(connection, results, agreement=agreement, plan=plan)

    first = [Used("sum", "visits", sketched(range(100))), Used("mean", "visits", sketched(range(100)))]
    assert counted(*first, plan=b"p") == {"visits": 2}
    remember(database, *first, plan=b"p")
    remember(database, *first, plan=b"p")
    assert counted(*first, plan=b"p") == {"visits": 2}
    assert counted(*first, plan=b"q") == {"visits": 4}
    assert counted(Used("sum", "visits", sketched(range(50))), plan=b"p") == {"visits": 3}
    assert counted(Used("sum", "staff", sketched(range(50))), plan=b"p") == {"staff": 1}
    assert counted(*first, plan=b"q", agreement="b") == {"visits": 2}


TWO = {party: {"visits": {"age": list(range(40))}} for party in ("north", "south")}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "c", TWO) as running:
        yield running.start()


def test_a_differencing_pair_is_refused_by_the_nodes(running: Running) -> None:
    assert running.run(lambda data: data.table("visits")["age"].sum())["result"] == 1560
    with refused("PLAN_REFUSED", "differ in fewer than 10 from those of another result", "earlier results"):
        running.run(lambda data: age(data)[1:].sum())
    assert running.run(lambda data: data.table("visits")["age"].sum())["result"] == 1560
    assert running.run(lambda data: age(data)[:30].sum())["result"] == 435
    running.script("@mpc.computation\ndef near(data):\n    return data.party('north')['visits']['age'][2:].sum()\n")
    said = running.beaver("explain", "script.py").stdout
    assert "north will refuse" in said
    assert "from those of another result" in said


def test_weights_that_differ_in_few_rows_are_refused_by_the_nodes(running: Running) -> None:
    """Both use all rows, and each alone rests on enough of them; one taken from the other is a single row."""
    weighted = lambda ones: lambda data: age(data) @ ([1] * ones + [0] * (40 - ones))  # noqa: E731
    assert running.run(weighted(20))["result"] == 190
    with refused("PLAN_REFUSED", "differ in fewer than 10 from those of another result", "earlier results"):
        running.run(weighted(21))
    with refused("PLAN_REFUSED", "differ in fewer than 10 from those of another result", "earlier results"):
        running.run(lambda data: age(data)[:19].sum())
    assert running.run(weighted(20))["result"] == 190
    assert running.run(weighted(30))["result"] == 435


def test_it_is_still_refused_when_all_was_restarted_and_the_table_written_anew(running: Running) -> None:
    running.run(lambda data: data.table("visits")["age"].sum())
    for member in running.members:
        running.kill(member)
    write_csv(running.data("north") / "visits.csv", {"age": list(range(40))[::-1]})
    running.start()
    assert running.run(lambda data: data.table("visits")["age"].sum())["result"] == 1560
    write_csv(running.data("north") / "visits.csv", {"age": list(range(1, 40))})
    with refused("PLAN_REFUSED", "from those of another result"):
        running.run(lambda data: data.table("visits")["age"].sum())
    write_csv(running.data("north") / "visits.csv", {"age": [*range(25), 7]})
    assert running.run(lambda data: data.table("visits")["age"].sum())["result"] == 780 + 307


def test_random_samples_that_are_nearly_the_whole_table(running: Running) -> None:
    assert len(running.run(lambda data: {"n": data.table("visits").sample(40)["age"].mean()})) == 1
    with refused("PLAN_REFUSED", "from those of another result"):
        running.run(
            lambda data: {"all": age(data).sum(), "most": data.party("north")["visits"].sample(38)["age"].sum()}
        )
    assert running.run(lambda data: age(data).sum())["result"] == 780


def test_so_many_results_without_noise_as_agreed(running: Running) -> None:
    for member in running.members:
        running.kill(member)
    running.terms(("[data.north.visits]\n", "[data.north.visits]\nexact_results = 2\n"))
    running.start()
    script = lambda data: {"sum": age(data).sum(), "mean": age(data).mean()}  # noqa: E731
    for _ in range(2):  # the same again tells nothing new
        assert running.run(script)["sum"] == 780
    with refused("PLAN_REFUSED", "would make 3 results without noise of north.visits, where 2 are agreed"):
        running.run(lambda data: (age(data) * 2).sum())
    with refused("PLAN_REFUSED", "3 results without noise depend on north.visits, where 2 are agreed"):
        running.run(lambda data: {str(n): age(data).sum() * n for n in range(1, 4)})
    assert running.run(lambda data: data.party("south")["visits"]["age"].sum())["result"] == 780


def test_a_table_that_changes_between_judging_and_opening(running: Running) -> None:
    """The rows that are recorded are those that are used."""
    from parties.agreement import Agreement
    from parties.clock import Clock
    from parties.ledger import Ledger
    from parties.privacy import Privacy
    from parties.store import Store

    folder = running.folder
    store = Store("north", running.data("north"))
    clock = Clock(Ledger(folder / "own" / "ledger.sqlite"))
    privacy = Privacy(
        folder / "own" / "privacy.sqlite", "north", Agreement.load(folder / "agreement.toml"), store, clock
    )
    plan: Plan = mpc.computation(lambda data: age(data).sum()).plan(SCHEMA)
    claim = privacy.claim(plan, {})
    write_csv(running.data("north") / "visits.csv", {"age": list(range(1, 41))})
    with refused("ROWS_CHANGED", "north.visits has changed"):
        privacy.settle(claim, "s")
    privacy.settle(privacy.claim(plan, {}), "s")
