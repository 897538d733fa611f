"""Results over nearly the same rows are refused: within a plan, after an earlier one, and after the table changed."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import mpc
from mpc.disclosure import rows_used
from mpc.plan import Plan
from mpc.schema import Column, Schema, Table
from parties import clauses, history, rows
from parties.agreement import Agreement
from parties.database import Database
from parties.history import Used, adding_up, differing, exact_results, record
from parties.policy import Case, refusals
from parties.row_sets import drawn_anew, row_sets
from parties.rows import Contents, Partition, few_together, near, numbered, row_hashes

sys.path.insert(0, str(Path(__file__).parent))
from consortium import Running, refused, write_csv

LEAST = 10


PRIME = 2**61 - 1


def rank(vectors: Sequence[Sequence[int]]) -> int:
    """Of small numbers: modulo a prime above all minors, so exact."""
    left, found = [[number % PRIME for number in vector] for vector in vectors], 0
    for column in range(len(left[0]) if left else 0):
        pivot = next((vector for vector in left if vector[column]), None)
        if pivot is not None:
            left.remove(pivot)
            inverse, found = pow(pivot[column], -1, PRIME), found + 1
            left = [
                [(x - vector[column] * inverse * y) % PRIME for x, y in zip(vector, pivot, strict=True)]
                for vector in left
            ]
    return found


def tells_of_few(vectors: Sequence[Sequence[int]], least: int) -> bool:
    """Whether a combination of weighted sums depends on at least 1 and fewer than `least` rows.

    It does when the sums over the other rows alone are combined to nothing in more ways.
    """
    whole, n = rank(vectors), len(vectors[0])
    return any(
        rank([[x for i, x in enumerate(vector) if i not in few] for vector in vectors]) < whole
        for few in combinations(range(n), least - 1)
    )


def indicators(classes: Sequence[int]) -> list[list[int]]:
    return [[int(each == kind) for each in classes] for kind in sorted({*classes} - {0})]


def parted(classes: Sequence[int] | np.ndarray) -> Partition:
    return Partition.of(np.asarray(classes, np.int64), len(classes))


KEY = bytes(range(32))


def contents(values: Any) -> Contents:
    return Contents(row_hashes({"a": np.asarray(values, np.int64)}, KEY))


def merged(classes: Sequence[int], kinds: Sequence[int], least: int) -> list[int]:
    """Classes of at least so many rows, or none: smaller ones are refused for themselves."""
    chosen = [kinds[each] for each in classes]
    return [each if chosen.count(each) >= least else 0 for each in chosen]


THREE = 3
sides = st.lists(st.integers(0, 5), min_size=12, max_size=12)
kinds = st.lists(st.integers(0, 3), min_size=6, max_size=6)


@settings(max_examples=500, deadline=None)
@given(sides, kinds, kinds, st.dictionaries(st.integers(0, 11), st.integers(0, 3), max_size=3))
def test_what_is_not_near_tells_of_no_few_rows(
    atoms: list[int], left: list[int], right: list[int], moved: dict[int, int]
) -> None:
    """Whatever weights the classes have."""
    one = merged(atoms, left, THREE)
    other = merged([i if i < 6 else 0 for i in atoms], right, THREE)
    other = merged([moved.get(i, each) for i, each in enumerate(other)], range(4), THREE)
    if any(one) and any(other) and not near(parted(one), parted(other), THREE):
        assert not tells_of_few([*indicators(one), *indicators(other)], THREE)


@settings(max_examples=500, deadline=None)
@given(
    sides,
    kinds,
    kinds,
    st.permutations(range(12)),
    st.integers(9, 12),
    st.lists(st.integers(0, 8), min_size=12, max_size=12),
    st.booleans(),
)
def test_nor_when_the_table_changed_and_rows_hold_the_same(
    atoms: list[int],
    left: list[int],
    right: list[int],
    order: list[int],
    stayed: int,
    values: list[int],
    several: bool,
) -> None:
    """Rows moved to other places, and some went; the node knows them by what they hold, which several may."""
    values = values if several else list(range(12))
    one = merged(atoms, left, THREE)
    new = [atoms[person] for person in order[:stayed]]
    other = merged(new, right, THREE)
    persons = [0] * 12
    for person, each in zip(order, other, strict=False):
        persons[person] = each
    both = numbered(contents(values), contents([values[person] for person in order[:stayed]]))
    for few in (
        near(parted(one), parted(other), THREE, both),
        near(parted(other), parted(one), THREE, both[::-1]),
    ):
        if any(one) and any(other) and not few:
            assert not tells_of_few([*indicators(one), *indicators(persons)], THREE)


def freedom(vectors: Sequence[Sequence[int]], places: set[int]) -> int:
    """In how many dimensions they can be put together to what is 0 everywhere but in these places."""
    return rank(vectors) - rank([[x for i, x in enumerate(vector) if i not in places] for vector in vectors])


several_results = st.lists(
    st.tuples(
        st.lists(st.integers(0, 2), min_size=5, max_size=5),
        st.dictionaries(st.integers(0, 11), st.integers(0, 2), max_size=2),
    ),
    min_size=3,
    max_size=4,
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=12, max_size=12), several_results, st.integers(0, 2))
def test_what_is_not_refused_together_tells_of_no_few_rows(
    atoms: list[int], made: list[tuple[list[int], dict[int, int]]], known: int
) -> None:
    """Other than those that earlier results told of together, or one class by itself; whatever weights classes have."""
    results = [[moved.get(i, kinds[atom]) for i, atom in enumerate(atoms)] for kinds, moved in made]
    before, new = results[:known], results[known:]
    few = few_together([parted(each) for each in before], [parted(each) for each in new], THREE)
    every = [vector for each in results for vector in indicators(each)]
    told = [vector for each in before for vector in indicators(each)]
    told += [vector for each in new for vector in indicators(each) if sum(vector) < THREE]
    if len({parted(each).encode() for each in results}) <= 2:
        assert not any(few)
        return
    cells = list(zip(*results, strict=True))
    small = {i for i, cell in enumerate(cells) if cells.count(cell) < THREE}
    assert any(few) == (freedom(every, small) > freedom(told, small))
    if not any(few):
        for rows in combinations(range(12), THREE - 1):
            assert freedom(every, {*rows}) == freedom(told, {*rows})


@settings(max_examples=500, deadline=None)
@given(sides, kinds, kinds, st.dictionaries(st.integers(0, 11), st.integers(0, 3), max_size=3))
def test_two_that_are_not_near_would_not_be_refused_together(
    atoms: list[int], left: list[int], right: list[int], moved: dict[int, int]
) -> None:
    one, other = [left[each] for each in atoms], [moved.get(i, right[each]) for i, each in enumerate(atoms)]
    if not near(parted(one), parted(other), THREE):
        vectors = [*indicators(one), *indicators(other)]
        cells = list(zip(one, other, strict=True))
        small = {i for i, cell in enumerate(cells) if cells.count(cell) < THREE}
        assert freedom(vectors, small) == freedom([each for each in vectors if sum(each) < THREE], small)


def weighs(*groups: range, length: int = 100) -> Partition:
    """Each group of rows is a class."""
    classes = np.zeros(length, np.int64)
    for kind, group in enumerate(groups, 1):
        classes[list(group)] = kind
    return parted(classes)


FOUR = [
    weighs(range(21)),
    weighs(range(21, 100)),
    parted([int(1 <= i < 11 or 21 <= i < 60) for i in range(100)]),
    parted([int(11 <= i < 21 or i >= 60) for i in range(100)]),
]
"""The first two, less the others, are one row; no two of them are near."""


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]])
def test_four_sums_that_tell_one_row(order: list[int]) -> None:
    sums = [FOUR[i] for i in order]
    assert not any(near(one, other, LEAST) for one, other in combinations(sums, 2))
    for known in range(4):
        assert few_together(sums[:known], sums[known:], LEAST) == [False] * (3 - known) + [True]
    assert few_together(sums[:3], [], LEAST) == []
    assert few_together(sums[:3], sums[:2], LEAST) == [False, False]


def test_what_was_told_together_stays_told() -> None:
    assert few_together(FOUR, [FOUR[2], weighs(range(100))], LEAST) == [False, False]  # all is two of them together
    assert few_together(FOUR, FOUR, LEAST) == [False] * 4
    assert few_together(FOUR, [weighs(range(10), range(10, 100))], LEAST) == [True]


def test_cells_that_are_told_of_only_with_others() -> None:
    """5 rows that two sums have in common are told as soon as all rows are summed."""
    one, other, third = weighs(range(50)), weighs(range(45, 100)), weighs(range(20, 80))
    assert few_together([one], [other, third], LEAST) == [False, False]
    assert few_together([one, other, third], [weighs(range(100))], LEAST) == [True]


def test_many_results_over_enough_rows_are_not_refused() -> None:
    """All rows, groups, groups of groups, histograms, tables of two kinds of groups."""
    tens, all_rows = [range(i, i + 10) for i in range(0, 100, 10)], weighs(range(100))
    disjoint, nested = [weighs(ten) for ten in tens], [weighs(range(ten.stop)) for ten in tens]
    halves = parted([i % 2 + 1 for i in range(100)])
    crossed = weighs(range(50), range(50, 100))
    assert not any(few_together([], [all_rows, *disjoint, *nested, weighs(*tens), all_rows], LEAST))
    assert not any(few_together([all_rows], [halves, crossed, weighs(range(0, 100, 2))], LEAST))
    overlapping = [weighs(range(i, i + 30)) for i in range(0, 80, 10)]
    assert not any(few_together(overlapping, [weighs(range(30)), all_rows], LEAST))


def test_too_many_cells_to_judge_are_refused_if_one_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_MOST_WORK", 1)
    one, other, third = weighs(range(50)), weighs(range(45, 100)), weighs(range(20, 80))
    assert few_together([one, other], [third, one], LEAST) == [True, False]
    assert few_together([one], [other], LEAST) == [False]
    assert few_together([one], [weighs(range(30)), weighs(range(30, 50))], LEAST) == [False, False]
    monkeypatch.undo()
    monkeypatch.setattr(rows, "_MOST_CELLS", 2)
    assert few_together([one, other], [third, one], LEAST) == [True, False]
    assert few_together([one], [weighs(range(30)), weighs(range(30, 50))], LEAST) == [False, False]


def test_ranks_are_taken_modulo_primes_that_nobody_knows() -> None:
    """By small ones, what adds something would look like what does not."""
    found = {rows._random_prime() for _ in range(20)}
    assert len(found) == 20
    assert all(2**30 < prime < 2**31 and pow(3, prime - 1, prime) == 1 for prime in found)


def test_a_table_that_changed_is_not_refused_for_its_order() -> None:
    """Nor for rows that hold the same, as long as all of them weigh alike."""
    chance = np.random.default_rng(5)
    values = chance.integers(0, 10, 200)
    whole, half = Partition.of(range(200), 200), Partition.of(range(0, 200, 2), 200)
    assert near(whole, whole, LEAST, numbered(contents(values), contents(values[::-1]))) == 0
    assert near(whole, Partition.of(range(185), 185), LEAST, numbered(contents(values), contents(values[:185]))) == 0
    assert near(whole, Partition.of(range(199), 199), LEAST, numbered(contents(values), contents(values[1:]))) == 1
    unlike = np.arange(200)
    assert near(half, half, LEAST, numbered(contents(unlike), contents(unlike))) == 0
    assert (
        near(
            half,
            Partition.of(range(100), 200),
            LEAST,
            numbered(contents(unlike), contents([*unlike[::2], *unlike[1::2]])),
        )
        == 0
    )


def test_too_many_rows_that_hold_the_same_may_be_any(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, both = Partition.of(range(100), 100), numbered(contents([0, 1] * 50), contents([1, 0] * 50))
    assert near(whole, whole, LEAST, both) == 0
    monkeypatch.setattr(rows, "_MOST_COUNTS", 1)
    assert near(whole, whole, LEAST, both) > 0


@given(st.lists(st.integers(0, 4), max_size=50))
def test_partitions_are_remembered_as_they_are(classes: list[int]) -> None:
    partition = parted(classes)
    again = Partition.decode(partition.encode())
    assert again.each.tolist() == partition.each.tolist()
    assert [(a == b, a == 0) for a, b in combinations(again.each, 2)] == [
        (a == b, a == 0) for a, b in combinations(classes, 2)
    ]
    assert parted([{0: 0, 1: 7, 2: 5, 3: 1, 4: 2}[each] for each in classes]).encode() == partition.encode()


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 3))
def test_ranges_are_classes_too(start: int, stop: int, step: int) -> None:
    chosen = range(start, max(start, stop), step)
    partition = Partition.of(chosen, 20)
    assert partition.each.tolist() == [int(i in chosen) for i in range(20)]
    assert partition.encode() == parted([int(i in chosen) for i in range(20)]).encode()


def test_hashes_are_of_values_and_columns_not_of_order() -> None:
    ints, reals = np.array([1, 2, 1, -1]), np.array([0.5, -0.0, 0.5, 1.0])
    hashes = row_hashes({"x": ints, "y": reals}, KEY)
    assert hashes[0] == hashes[2]
    assert len(set(hashes.tolist())) == 3
    assert (hashes == row_hashes({"y": reals + 0.0, "x": ints}, KEY)).all()
    assert not (hashes == row_hashes({"x": ints, "z": reals}, KEY)).any()
    other = row_hashes({"x": ints[::-1], "y": ints}, KEY)
    assert not (row_hashes({"x": ints, "y": ints[::-1]}, KEY) == other)[[0, 3]].any()
    assert not (hashes == row_hashes({"x": ints, "y": reals}, KEY[::-1])).any()


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


def judged(script: Callable[[Any], Any], agreement: Any, schema: Schema = SCHEMA) -> list[str]:
    plan = mpc.computation(script).plan(schema)
    return list(clauses.differencing(Case(plan, agreement, "north", ("north", "south"), "analyst")))


class Terms:
    """What the clause reads of an agreement."""

    min_rows = LEAST


def agreement(rows: int, least: int) -> Agreement:
    column = {"type": "integer", "range": [0, 120]}
    return Agreement.model_validate(
        {
            "version": 1,
            "purpose": "tests",
            "source": "dealer",
            "min_rows": least,
            "recipients": ["analyst"],
            "data": {"north": {"visits": {"rows": rows, "columns": {"age": column, "cost": column}}}},
        }
    )


def verdicts(
    first: Callable[[Any], Any], second: Callable[[Any], Any], rows: int, least: int
) -> tuple[bool, bool] | None:
    """Whether two results are refused: in one plan, and in two sessions. None if one of them is by itself."""
    columns = {"age": Column("integer", 0, 120), "cost": Column("integer", 0, 120)}
    schema = {party: {"visits": Table(rows, columns)} for party in ("north", "south")}

    def judge(script: Callable[[Any], Any]) -> tuple[Plan, bool]:
        plan = mpc.computation(script).plan(schema)
        return plan, bool(refusals(Case(plan, agreement(rows, least), "north", ("north", "south"), "analyst")))

    held = contents(range(rows))
    (one, bad), (other, worse) = judge(first), judge(second)
    if bad or worse:
        return None
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(history.TABLES)
        before, now = (
            [Used(each.result, each.name, each.rows, held) for each in row_sets(plan, "north", {})]
            for plan in (one, other)
        )
        record(connection, before, agreement="a", plan=b"p", session="s")
        later = bool(differing(connection, now, least))
    return judge(lambda data: {"one": first(data), "two": second(data)})[1], later


ROWS = 12
Piece = tuple[int, int, int, int]
"""Rows from, up to, in steps; times how much."""
pieces = st.tuples(st.integers(0, 8), st.integers(3, 12), st.sampled_from([1, 1, 1, 2]), st.sampled_from([1, 1, 2, -1]))
elements = st.lists(st.lists(pieces, min_size=1, max_size=2), min_size=1, max_size=3)


def of_pieces(result: list[list[Piece]]) -> Callable[[Any], Any]:
    def script(data: Any) -> Any:
        x = age(data)
        return mpc.stack([sum(w * x[a : max(a, b) : c].sum() for a, b, c, w in element) for element in result])

    return script


def of_weights(result: list[list[Piece]]) -> Callable[[Any], Any]:
    return lambda data: age(data) @ np.array(weighed(result)).T


def weighed(result: list[list[Piece]]) -> list[list[int]]:
    """The weights of the rows in each element."""
    return [[sum(w * (i in range(a, b, c)) for a, b, c, w in element) for i in range(ROWS)] for element in result]


forms = st.sampled_from([of_pieces, of_weights])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(elements, elements, forms, forms, st.booleans(), st.integers(-2, 2))
def test_two_results_that_are_allowed_tell_of_no_few_rows(
    first: list[list[Piece]],
    second: list[list[Piece]],
    one: Callable[..., Any],
    other: Callable[..., Any],
    alike: bool,
    moved: int,
) -> None:
    """No combination of their numbers depends on fewer rows than agreed; found by linear algebra."""
    if alike:  # the same, but for where a piece ends
        (a, b, times, weight), *more = first[0]
        second = [[(a, min(max(b + moved, 0), ROWS), times, weight), *more], *first[1:][: len(second) - 1]]
    found = verdicts(one(first), other(second), ROWS, THREE)
    assume(found is not None)
    assert found in ((True, True), (False, False))
    if found == (False, False):
        assert not tells_of_few([*weighed(first), *weighed(second)], THREE), (first, second)


def ones_up_to(rows: int) -> np.ndarray:
    return np.where(np.arange(100) < rows, 1, 2)


def cost(data: Any) -> Any:
    return data.party("north")["visits"]["cost"]


FEW = {
    "a row more": (lambda data: age(data).sum(), lambda data: age(data)[1:].sum()),
    "one weight in pieces": (
        lambda d: age(d)[:50].sum() + age(d)[50:80].sum() + 2 * age(d)[80:90].sum() + 2 * age(d)[90:].sum(),
        lambda data: (age(data) * ones_up_to(79)).sum(),
    ),
    "one weight in pieces of a concat": (
        lambda d: mpc.concat([age(d)[:50], age(d)[50:80], age(d)[80:90] * 2, age(d)[90:] * 2]).sum(),
        lambda data: (age(data) * ones_up_to(79)).sum(),
    ),
    "weights 0 in pieces": (
        lambda data: age(data) @ np.repeat([1, 0], [60, 40]),
        lambda d: age(d)[:30].sum() + age(d)[30:59].sum() + 0 * age(d)[59:79].sum() + 0 * age(d)[79:].sum(),
    ),
    "one element of an array": (
        lambda data: mpc.stack([age(data)[:40].sum(), age(data)[20:80].sum()]),
        lambda data: age(data)[:39].sum(),
    ),
    "two sums in one number": (
        lambda data: age(data)[:40].sum() + 1_000_000 * cost(data)[20:60].sum(),
        lambda data: age(data)[:39].sum(),
    ),
    "a difference of two elements": (
        lambda data: mpc.stack([age(data)[:80].sum(), age(data)[:40].sum()]),
        lambda data: age(data)[41:80].sum(),
    ),
    "one row in one direction": (lambda data: age(data)[:50].sum(), lambda data: age(data)[1:59].sum()),
    "one row of many that differ": (lambda data: age(data)[:20].sum(), lambda data: age(data)[1:].sum()),
}


@pytest.mark.parametrize("case", FEW)
def test_two_results_that_tell_of_few_rows(case: str) -> None:
    first, second = FEW[case]
    assert verdicts(first, second, 100, LEAST) == (True, True)
    assert verdicts(second, first, 100, LEAST) == (True, True)


ENOUGH = {
    "the same rows": (lambda data: age(data).sum(), lambda data: (age(data) ** 2).sum()),
    "the same rows in pieces": (
        lambda data: age(data)[:50].sum() + age(data)[50:].sum(),
        lambda data: age(data).mean(),
    ),
    "ten in each direction": (lambda data: age(data)[:50].sum(), lambda data: age(data)[10:60].sum()),
    "ten in one direction": (lambda data: age(data)[:50].sum(), lambda data: age(data)[:60].sum()),
    "few in common": (lambda data: age(data)[:50].sum(), lambda data: age(data)[45:].sum()),
    "groups and all": (
        lambda data: mpc.stack([age(data)[i : i + 20].sum() for i in range(0, 100, 20)]),
        lambda data: age(data).sum(),
    ),
}


@pytest.mark.parametrize("case", ENOUGH)
def test_two_results_that_tell_of_enough_rows(case: str) -> None:
    first, second = ENOUGH[case]
    assert verdicts(first, second, 100, LEAST) == (False, False)
    assert verdicts(second, first, 100, LEAST) == (False, False)


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
    assert judged(lambda data: {"one": age(data)[:20].sum(), "next": age(data)[9:29].sum()}, Terms)  # 9 each way
    assert not judged(lambda data: {"one": age(data)[:20].sum(), "next": age(data)[10:30].sum()}, Terms)


ONE_ROW: dict[str, Callable[[Any], Any]] = {
    "a": lambda data: age(data)[:21].sum(),
    "b": lambda data: age(data)[21:].sum(),
    "c": lambda data: age(data)[[*range(1, 11), *range(21, 31)]].sum(),
    "d": lambda data: age(data)[[*range(11, 21), *range(31, 41)]].sum(),
}
"""Of 41 rows, a + b - c - d is one; no two of them are near."""


def test_several_results_of_one_plan_together() -> None:
    schema = {party: {"visits": Table(41, {"age": Column("integer", 0, 120)})} for party in SCHEMA}

    def script(names: Sequence[str]) -> Callable[[Any], Any]:
        return lambda data: {name: ONE_ROW[name](data) for name in names}

    (reason,) = judged(script("abcd"), Terms, schema)
    assert reason.count("(reveal, ") == 4
    assert reason.endswith(": 'a', 'b', 'c', 'd' together would tell of fewer than 10 rows of north.visits")
    for names in combinations("abcd", 3):
        assert judged(script(names), Terms, schema) == []


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "privacy.sqlite", history.TABLES, 7, "what is known", "Restore it.")


def uses(
    result: str, chosen: Any, name: str = "visits", values: Any = range(200), numbers: int = 1, *, anew: bool = False
) -> Used:
    """A result that sums these rows of a table that holds these values."""
    weights = np.zeros(len(values), np.int64)
    weights[list(chosen)] = 1
    return Used(result, name, parted(weights), contents(values), numbers, anew)


def remember(database: Database, *results: Used, plan: bytes = b"p", agreement: str = "a", session: str = "s") -> None:
    with database.transaction() as connection:
        record(connection, results, agreement=agreement, plan=plan, session=session)


def differ(database: Database, *results: Used) -> list[str]:
    with database.reading() as connection:
        return [each.result for each in differing(connection, results, LEAST)]


def test_later_results_are_compared_with_all_earlier_ones(database: Database) -> None:
    remember(database, uses("all", range(100)))
    remember(database, uses("half", range(50)))
    assert differ(database, uses("again", range(100))) == []
    assert differ(database, uses("one less", range(1, 100))) == ["one less"]
    assert differ(database, uses("one more", range(101))) == ["one more"]
    assert differ(database, uses("another", [*range(99), 177])) == ["another"]
    assert differ(database, uses("half and two", range(52))) == ["half and two"]
    assert differ(database, uses("a third", range(33))) == []
    assert differ(database, uses("other table", range(1, 100), "staff")) == []


def test_results_of_one_plan_are_compared_too(database: Database) -> None:
    """For random samples that is only known once they are drawn."""
    results = [uses("a", range(100)), uses("b", range(1, 100))]
    assert differ(database, *results) == ["b"]
    assert differ(database, *results, results[0]) == ["b"]


def add_up(database: Database, *results: Used) -> list[str]:
    with database.reading() as connection:
        return [each.result for each in adding_up(connection, results, LEAST)]


def test_all_results_on_one_state_of_a_table_are_looked_at_together(database: Database) -> None:
    held = contents(range(100))
    first, *more, last = (Used(name, "visits", each, held) for name, each in zip("abcd", FOUR, strict=True))
    assert add_up(database, first, *more, last) == ["d"]
    for each in (first, *more):
        remember(database, each)
    assert add_up(database, last) == ["d"]
    assert add_up(database, first, *more) == []
    assert add_up(database, last, more[0], first) == ["d"]
    assert differ(database, last) == []
    assert add_up(database, Used("d", "staff", last.rows, held)) == []
    assert add_up(database, Used("d", "visits", last.rows, contents(range(1, 101)))) == []  # it changed: two at a time


def test_after_a_change_rows_are_what_they_hold(database: Database) -> None:
    remember(database, uses("all", range(100), values=range(100)))
    assert differ(database, uses("another order", range(100), values=range(99, -1, -1))) == []
    assert differ(database, uses("others in their place", range(100), values=range(5, 105))) == [
        "others in their place"
    ]
    assert differ(database, uses("one more", range(101), values=range(101))) == ["one more"]
    assert differ(database, uses("ten more", range(110), values=range(110))) == []


def test_an_array_counts_by_its_elements(database: Database) -> None:
    sums = lambda data: mpc.stack([age(data)[i : i + 10].sum() for i in range(0, 40, 10)])  # noqa: E731
    plan = mpc.computation(sums).plan(SCHEMA)
    terms = agreement(40, LEAST).model_dump()
    for most, reasons in ((4, 0), (3, 1)):
        terms["data"]["north"]["visits"]["exact_results"] = most
        case = Case(plan, Agreement.model_validate(terms), "north", ("north", "south"), "analyst")
        assert len(list(clauses.exact_results(case))) == reasons
    packed = mpc.computation(lambda data: age(data) @ np.repeat([1, 1 << 12, 1 << 24, 1 << 36], 10)).plan(SCHEMA)
    sample = mpc.computation(lambda data: data.party("north")["visits"].sample(40)["age"][:4].sum()).plan(SCHEMA)
    for plan, count in ((packed, 4), (sample, 1)):
        terms["data"]["north"]["visits"]["exact_results"] = count - 1
        case = Case(plan, Agreement.model_validate(terms), "north", ("north", "south"), "analyst")
        (reason,) = clauses.exact_results(case)
        assert f"{count} numbers without noise" in reason
    with database.reading() as connection:
        four = uses("sums", range(40), numbers=4)
        assert exact_results(connection, [four], agreement="a", plan=b"p") == {"visits": 4}


def test_it_is_remembered_over_a_restart_and_a_new_agreement(tmp_path: Path) -> None:
    path = tmp_path / "privacy.sqlite"
    remember(Database(path, history.TABLES, 7, "", ""), uses("all", range(100)), agreement="old")
    again = Database(path, history.TABLES, 7, "", "")
    assert differ(again, uses("one less", range(99))) == ["one less"]


def test_results_without_noise_are_counted_once(database: Database) -> None:
    def counted(*results: Used, plan: bytes, agreement: str = "a") -> Mapping[str, int]:
        with database.reading() as connection:
            return exact_results(connection, results, agreement=agreement, plan=plan)

    first = [uses("sum", range(100)), uses("mean", range(100))]
    assert counted(*first, plan=b"p") == {"visits": 2}
    remember(database, *first, plan=b"p")
    remember(database, *first, plan=b"p")
    assert counted(*first, plan=b"p") == {"visits": 2}
    assert counted(*first, plan=b"q") == {"visits": 4}
    assert counted(uses("sum", range(50)), plan=b"p") == {"visits": 3}
    assert counted(uses("sum", range(50), "staff"), plan=b"p") == {"staff": 1}
    assert counted(*first, plan=b"q", agreement="b") == {"visits": 2}
    drawn = uses("drawn", range(100), "staff", anew=True)
    for n, session in enumerate(["s", "t", "u"]):
        assert counted(drawn, plan=b"p") == {"staff": n + 1}
        remember(database, drawn, plan=b"p", session=session)


@pytest.mark.parametrize(
    ("script", "drawn"),
    [
        (lambda data: age(data).sum(), set()),
        (lambda data: age(data) @ data.party("south")["visits"]["age"], set()),
        (lambda data: data.party("north")["visits"].sample(30)["age"].mean(), {"result"}),
        (lambda data: age(data) @ data.party("south")["visits"].sample(40)["age"], {"result"}),
        (lambda data: age(data).sum() + mpc.noisy(data.party("south")["visits"]["age"].sum()), {"result"}),
        (
            lambda data: {
                "all": age(data).sum(),
                "some": age(data).sum() + data.party("south")["visits"].sample(30)["age"].sum() * 2,
            },
            {"some"},
        ),
    ],
)
def test_what_is_random_in_every_session(script: Callable[[Any], Any], drawn: set[str]) -> None:
    assert drawn_anew(mpc.computation(script).plan(SCHEMA)) == drawn


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


def test_several_results_that_tell_one_row_are_refused_by_the_nodes(tmp_path: Path) -> None:
    """In one plan, and in four sessions."""
    with Running(tmp_path / "c", {party: {"visits": {"age": list(range(41))}} for party in TWO}) as running:
        running.start()
        with refused("PLAN_REFUSED", "'a', 'b', 'c', 'd' together would tell of fewer than 10 rows of north.visits"):
            running.run(lambda data: {name: script(data) for name, script in ONE_ROW.items()})
        *scripts, last = ONE_ROW.values()
        for script in scripts:
            running.run(script)
        with refused("PLAN_REFUSED", "together with other results would tell of fewer than 10 rows of north.visits"):
            running.run(last)
        assert running.run(scripts[0])["result"] == 210
        assert running.run(lambda data: age(data).sum())["result"] == 820


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
    with refused("PLAN_REFUSED", "from those of another result"):  # one row that was not in it, though 15 are gone
        running.run(lambda data: data.table("visits")["age"].sum())
    write_csv(running.data("north") / "visits.csv", {"age": list(range(25))})
    assert running.run(lambda data: data.table("visits")["age"].sum())["result"] == 780 + 300


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
    with refused("PLAN_REFUSED", "would make 3 numbers without noise of north.visits, where 2 are agreed"):
        running.run(lambda data: (age(data) * 2).sum())
    with refused("PLAN_REFUSED", "3 numbers without noise depend on north.visits, where 2 are agreed"):
        running.run(lambda data: {str(n): age(data).sum() * n for n in range(1, 4)})
    assert running.run(lambda data: data.party("south")["visits"]["age"].sum())["result"] == 780


def test_what_another_party_draws_anew_and_what_is_packed_count_in_full(running: Running) -> None:
    for member in running.members:
        running.kill(member)
    running.terms(("[data.north.visits]\n", "[data.north.visits]\nexact_results = 5\n"))
    running.start()

    def packed(data: Any) -> Any:
        return age(data) @ np.repeat([1, 1 << 10, 1 << 20, 1 << 30], 10)

    def weighed(data: Any) -> Any:
        return age(data) @ data.party("south")["visits"].sample(40)["age"]

    sums = [sum(range(i, i + 10)) for i in range(0, 40, 10)]
    assert running.run(packed)["result"] == sum(each << 10 * i for i, each in enumerate(sums))
    running.run(weighed)
    with refused("PLAN_REFUSED", "would make 6 numbers without noise of north.visits, where 5 are agreed"):
        running.run(weighed)
    running.run(packed)


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
