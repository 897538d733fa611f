"""Sorted arrays, extremes, medians and quantiles: numpy's results, at the cost that was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpc
from mpc.cost import estimate
from mpc.errors import BeaverError, PlanError
from mpc.operations import OPERATIONS
from mpc.plan import Plan, Step
from mpc.result import Result
from mpc.schema import Column, Table
from mpc.simulate import Ranges, schema_of
from mpc.types import INTEGER, SHARED, Type
from mpc.validate import validate

RNG = np.random.default_rng(7)
ROWS = {"ada": 9, "bob": 14, "cleo": 1}


def table(rows: int) -> dict[str, np.ndarray]:
    return {
        "k": RNG.integers(-4, 5, rows),
        "wide": RNG.integers(-(2**40), 2**40, rows),
        "x": RNG.lognormal(3, 1, rows).round(2),
        "far": 1e7 + RNG.random(rows) / 8,
        "same": np.full(rows, 5),
        "bit": RNG.integers(0, 2, rows).astype(bool),
    }


TABLES = {party: {"t": table(rows)} for party, rows in ROWS.items()}
TWO = {party: TABLES[party] for party in ("ada", "bob")}


def joined(name: str, tables: dict[str, Any] = TABLES) -> np.ndarray:
    return np.concatenate([tables[party]["t"][name] for party in tables])


def run(script: Callable[[Any], Any], tables: Any = TABLES, ranges: Ranges | None = None) -> Result:
    """The result, checked to have cost what the plan says."""
    computation = mpc.computation(script)
    result = mpc.simulate(computation, tables, ranges)
    cost = estimate(computation.plan(schema_of(tables, ranges or {})))
    assert result.traffic.rounds == cost.rounds
    assert dict(result.traffic.bytes_sent) == dict(cost.bytes_sent)
    return result


def close(found: Any, expected: Any, width: float) -> None:
    """Right to nine digits of the range's width."""
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(expected, float), rtol=0, atol=width * 2**-32)


EXACT: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sort": (lambda x: x.sort(), np.sort),
    "sort descending": (lambda x: mpc.sort(x, descending=True), lambda x: np.sort(x)[::-1]),
    "argsort": (lambda x: x.argsort(), lambda x: np.argsort(x, kind="stable")),
    "argsort descending": (lambda x: mpc.argsort(x, descending=True), lambda x: np.argsort(-1 * x, kind="stable")),
    "numpy's sort": (np.sort, np.sort),
    "numpy's argsort": (lambda x: np.argsort(x, stable=True), lambda x: np.argsort(x, kind="stable")),
    "the standard's": (lambda x: x.__array_namespace__().sort(x, descending=True), lambda x: np.sort(x)[::-1]),
    "largest": (lambda x: mpc.top_k(x, 4)[0], lambda x: np.sort(x)[::-1][:4]),
    "where the largest are": (lambda x: mpc.top_k(x, 4)[1], lambda x: np.argsort(-1 * x, kind="stable")[:4]),
    "min": (lambda x: x.min(), np.min),
    "max": (lambda x: x.max(), np.max),
    "argmin": (lambda x: x.argmin(), np.argmin),
    "argmax": (lambda x: x.argmax(), np.argmax),
    "any": (lambda x: x.any(), np.any),
    "all": (lambda x: x.all(), np.all),
    "any of a few": (lambda x: (x > 4).any(), lambda x: (x > 4).any()),
    "all of a few": (lambda x: (x > -(2**41)).all(), lambda x: (x > -(2**41)).all()),
    "cumsum": (lambda x: x.cumsum(), np.cumsum),
    "clip": (lambda x: x.clip(-1, 2), lambda x: np.clip(x * 1, -1, 2)),
    "clip below": (lambda x: x.clip(min=1), lambda x: np.maximum(x, 1)),
    "clip above": (lambda x: np.clip(x, None, 1), lambda x: np.minimum(x, 1)),
    "sign": (mpc.sign, lambda x: np.sign(x * 1)),
}


@pytest.mark.parametrize("tables", [TWO, TABLES], ids=["2 parties", "3 parties"])
@pytest.mark.parametrize("name", EXACT)
def test_integers_are_as_numpy_has_them(name: str, tables: Any) -> None:
    secret, public = EXACT[name]
    columns = ("k", "wide", "same", "bit")
    found = run(lambda data: {column: secret(data.table("t")[column]) for column in columns}, tables)
    for column in columns:
        np.testing.assert_array_equal(found[column], public(joined(column, tables)), err_msg=column)


def test_reals_are_right_to_nine_digits_of_their_range_and_argsort_to_what_they_are_encoded_as() -> None:
    found = run(
        lambda data: {
            **{name: data.table("t")[name].sort() for name in ("x", "far")},
            "where": data.table("t")["far"].argsort(),
            "three": mpc.top_k(data.table("t")["x"], 3)[0],
        }
    )
    x, far = joined("x"), joined("far")
    close(found["x"], np.sort(x), np.ptp(x))
    close(found["far"], np.sort(far), np.ptp(far))
    close(found["three"], np.sort(x)[::-1][:3], np.ptp(x))
    np.testing.assert_array_equal(found["where"], np.argsort(far, kind="stable"))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, None])
def test_lanes_are_sorted_each_by_itself(axis: int | None) -> None:
    def cube(data: Any) -> Any:
        bob = data.party("bob")["t"]
        return (bob["k"][:12] + data.party("ada")["t"]["k"][0] * 0).reshape(2, 3, 2)

    numbers = TABLES["bob"]["t"]["k"][:12].reshape(2, 3, 2)
    found = run(lambda data: {"sorted": cube(data).sort(axis), "places": cube(data).argsort(axis)})
    np.testing.assert_array_equal(found["sorted"], np.sort(numbers, axis))
    np.testing.assert_array_equal(found["places"], np.argsort(numbers, axis, kind="stable"))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["min", "max", "argmin", "argmax", "cumsum", "any", "all"])
def test_reductions_along_an_axis(name: str, axis: int) -> None:
    def matrix(data: Any) -> Any:
        return data.table("t")[["k", "same", "bit"]]

    numbers = np.stack([joined("k"), joined("same"), joined("bit")], axis=1)
    found = run(lambda data: getattr(matrix(data), name)(axis=axis))["result"]
    np.testing.assert_array_equal(found, getattr(numbers, name)(axis=axis))


def test_one_element_and_ties() -> None:
    def one(data: Any) -> dict[str, Any]:
        x = data.party("cleo")["t"]["k"] + data.party("ada")["t"]["k"][:1]
        return {
            "sorted": x.sort(), "places": x.argsort(), "min": x.min(), "at": x.argmax(), "sums": x.cumsum(),
            "median": mpc.median(x), "first": mpc.top_k(x, 1)[1], "any": (x > 0).any(), "sign": mpc.sign(x),
        }  # fmt: skip

    x = TABLES["cleo"]["t"]["k"] + TABLES["ada"]["t"]["k"][:1]
    found = run(one)
    assert [found[name].tolist() for name in ("sorted", "places", "sums", "first")] == [list(x), [0], list(x), [0]]
    assert (found["min"], found["at"], found["median"]) == (x[0], 0, x[0])
    assert (found["any"], found["sign"].tolist()) == (x[0] > 0, np.sign(x).tolist())
    ties = run(lambda data: {"low": data.table("t")["same"].argmin(), "order": data.table("t")["same"].argsort()})
    assert ties["low"] == 0
    assert ties["order"].tolist() == list(range(24))


def test_ties_of_parties_whose_ranges_differ_come_in_order() -> None:
    tables = {"ada": {"t": {"x": np.array([100.0, 0.1])}}, "bob": {"t": {"x": np.array([0.1, 0.1])}}}

    def places(data: Any) -> dict[str, Any]:
        x = data.table("t")["x"]
        falling = {"top": mpc.top_k(-x, 3)[1], "last": (-x).argmax()}
        return {"order": x.argsort(), "least": x.argmin(), **falling}

    found = run(places, tables)
    assert (found["order"].tolist(), found["top"].tolist()) == ([1, 2, 3, 0], [1, 2, 3])
    assert (found["least"], found["last"]) == (1, 1)


QS = [0, 0.1, 0.25, 1 / 3, 0.5, 0.77, 0.95, 0.999, 1]


@pytest.mark.parametrize("tables", [TWO, TABLES], ids=["2 parties", "3 parties"])
def test_medians_and_quantiles(tables: Any) -> None:
    found = run(
        lambda data: {
            **{name: mpc.median(data.table("t")[name]) for name in ("k", "x", "far", "bit")},
            "numpy's": np.median(data.table("t")["k"]),
            "many": mpc.quantile(data.table("t")["x"], QS),
            "whole": np.quantile(data.table("t")["k"], QS),
            "columns": mpc.median(data.table("t")[["k", "same"]], axis=0),
            "rows": mpc.quantile(data.table("t")[["k", "same"]], [0.5, 1], axis=1),
        },
        tables,
    )
    k, x, far, bit = (joined(name, tables) for name in ("k", "x", "far", "bit"))
    assert (found["k"], found["numpy's"], found["bit"]) == (np.median(k), np.median(k), np.median(bit))
    close(found["x"], np.median(x), np.ptp(x))
    close(found["far"], np.median(far), np.ptp(far))
    close(found["many"], np.quantile(x, QS), np.ptp(x))
    np.testing.assert_allclose(found["whole"], np.quantile(k, QS), rtol=1e-12, atol=1e-15)
    pair = np.stack([k, np.full(len(k), 5)], axis=1)
    np.testing.assert_array_equal(found["columns"], np.median(pair, axis=0))
    np.testing.assert_array_equal(found["rows"], np.quantile(pair, [0.5, 1], axis=1))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(-(2**45), 2**45), min_size=1, max_size=20),
    st.integers(1, 20),
    st.fractions(0, 1, max_denominator=999),
)
def test_any_integers_in_any_order(numbers: list[int], cut: int, q: Any) -> None:
    x = np.array(numbers)
    tables: Any = {"ada": {"t": {"x": x[:cut]}}, "bob": {"t": {"x": x[cut:]}}} if 0 < cut < len(x) else None
    if tables is None:
        tables = {"ada": {"t": {"x": x}}, "bob": {"u": {"y": [0]}}}
    found = mpc.simulate(
        mpc.computation(
            lambda data: {
                "sorted": data.table("t")["x"].sort(),
                "places": data.table("t")["x"].argsort(),
                "quantile": mpc.quantile(data.table("t")["x"], float(q)),
            }
        ),
        tables,
    )
    np.testing.assert_array_equal(found["sorted"], np.sort(x))
    np.testing.assert_array_equal(found["places"], np.argsort(x, kind="stable"))
    place = q * (len(x) - 1)
    below, above = sorted(numbers)[int(place)], sorted(numbers)[-int(-place // 1)]
    exact = below + (above - below) * (place % 1)
    assert found["quantile"] == pytest.approx(float(exact), rel=1e-15, abs=1e-300)


def test_a_column_of_one_owner_is_sorted_at_its_owner() -> None:
    found = run(lambda data: mpc.median(data.party("ada")["t"]["x"]))
    assert (found.traffic.rounds, found.traffic.total) == (1, 3 * 8)
    assert found["result"] == pytest.approx(np.median(TABLES["ada"]["t"]["x"]), rel=1e-13)


def plan(script: Callable[[Any], Any], low: float, high: float, kind: Any = "real", **options: Any) -> Plan:
    schema = {party: {"t": Table(1000, {"x": Column(kind, low, high)})} for party in ("ada", "bob")}
    return mpc.computation(script).plan(schema, **options)


def key_bits(made: Plan) -> int:
    (i,) = [i for i, step in enumerate(made.steps) if step.op == "sort"]
    inputs = [made.types[j] for j in made.steps[i].inputs]
    return made.steps[i].operation.key_bits(inputs, made.steps[i].params)


def test_reals_are_sorted_by_few_bits_unless_more_are_asked_for() -> None:
    median = lambda data: mpc.median(data.table("t")["x"])  # noqa: E731
    assert key_bits(plan(median, 0.0, 1000.0)) == 33
    assert key_bits(plan(median, -1000.0, 1000.0)) == 33
    assert key_bits(plan(median, 1e7, 1e7 + 0.125)) == 27  # as many as a float64 has there
    assert key_bits(plan(median, 0.0, 1000.0, precision=40)) == 40
    assert key_bits(plan(median, 0, 99, "integer")) == 7
    assert key_bits(plan(median, -(2**50), 2**50, "integer")) == 52
    product = lambda data: mpc.median(data.table("t")["x"] * 0.1 * data.party("bob")["t"]["x"].sum())  # noqa: E731
    assert key_bits(plan(product, 0.0, 1000.0)) == 33
    beside = plan(lambda data: {"m": mpc.median(data.table("t")["x"]), "mean": data.table("t")["x"].mean()}, 0.0, 1.0)
    assert sorted({step.params["scale"] for _, step in beside.of("column")}) == [32, 51]


def test_every_bit_less_costs_less() -> None:
    rounds, sent = zip(
        *(
            (cost.rounds, sum(cost.bytes_sent.values()))
            for high in (1, 7, 63, 1000, 10**6)
            for cost in [estimate(plan(lambda data: data.table("t")["x"].sort(), 0, high, "integer"))]
        ),
        strict=True,
    )
    assert list(rounds) == sorted(rounds)
    assert list(sent) == sorted(sent)


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "k of nothing": (lambda x: mpc.top_k(x, 0)[0], "0 elements"),
    "k of too many": (lambda x: mpc.top_k(x, 25)[0], "25 elements"),
    "q above 1": (lambda x: mpc.quantile(x, 1.5), "a quantile at 1.5"),
    "q of nothing": (lambda x: mpc.quantile(x, float("nan")), "a quantile at nan"),
    "a secret q": (lambda x: mpc.quantile(x, x.min()), "a quantile at"),
    "no elements": (lambda x: mpc.median(x[:0]), "of no elements"),
    "no axis": (lambda x: x.sort(1), "no axis 1"),
    "sorting in numpy's other ways": (lambda x: np.sort(x, kind="heapsort"), "kind"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_order_is_refused(case: str) -> None:
    script, said = REFUSED[case]
    with pytest.raises(BeaverError, match=said):
        mpc.simulate(mpc.computation(lambda data: script(data.table("t")["k"])), TABLES)


def test_keys_wider_than_the_ring_are_refused_before_anything_runs() -> None:
    with pytest.raises(PlanError, match="overflow"):
        plan(lambda data: data.table("t")["x"].reshape(20, 100).sort(), -(2**62), 2**62, "integer")
    made = plan(lambda data: data.table("t")["x"].reshape(20, 100).sort(), 0, 2**40, "integer")
    wide = {"low": -(2**62), "high": 2**62}
    steps = [Step(s.op, s.inputs, {**s.params, **wide}) if s.op == "column" else s for s in made.steps]
    with pytest.raises(PlanError, match="overflow"):
        validate(Plan(made.parties, tuple(steps)))


def test_a_count_that_may_exceed_the_elements_is_refused() -> None:
    x = Type(SHARED, (5,), INTEGER, 0, 9)
    params = {"numerator": 1, "denominator": 2}
    OPERATIONS["quantile"].infer([x, Type(SHARED, (), INTEGER, 0, 5)], params)
    for count in (Type(SHARED, (), INTEGER, 0, 6), Type(SHARED, (), INTEGER, -1, 5), Type(SHARED, (1,), INTEGER, 0, 5)):
        with pytest.raises(PlanError):
            OPERATIONS["quantile"].infer([x, count], params)
    for numerator, denominator in ((2, 1), (-1, 2), (0, 0)):
        params = {"numerator": numerator, "denominator": denominator}
        with pytest.raises(PlanError):
            OPERATIONS["quantile"].infer([x, Type(SHARED, (), INTEGER, 0, 5)], params)
