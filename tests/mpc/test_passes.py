"""Passes: the same values, less work; scales, ranges and what overflows."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mpc
from mpc.cost import estimate
from mpc.errors import PlanError, ScriptError
from mpc.passes.settled import rounds_as_planned
from mpc.schema import Column, Table
from mpc.simulate import schema_of
from mpc.types import Private

PARTIES = ("ada", "bob", "cyd")
ROWS = {"ada": 4, "bob": 1, "cyd": 3}
N = sum(ROWS.values())
RNG = np.random.default_rng(3)
DATA = {
    name: {"t": {"k": RNG.integers(-9, 9, rows), "r": RNG.uniform(-3, 3, rows)}, "u": {"z": RNG.integers(-5, 5, N)}}
    for name, rows in ROWS.items()
}
POOLED = {column: np.concatenate([DATA[name]["t"][column] for name in PARTIES]) for column in ("k", "r")}
PUBLIC = np.arange(N) - 3

MOVES = {
    "add": lambda a, b, i, xp: a + b,
    "subtract": lambda a, b, i, xp: a - b,
    "multiply": lambda a, b, i, xp: a * b,
    "public": lambda a, b, i, xp: a * PUBLIC + i,
    "negate": lambda a, b, i, xp: -a / (i + 1),
    "less mean": lambda a, b, i, xp: a - b.mean(),
    "reverse": lambda a, b, i, xp: a[::-1],
    "rotate": lambda a, b, i, xp: xp.concat([a[i:], b[:i]]),
    "matrix": lambda a, b, i, xp: xp.stack([a, b], axis=1) @ np.array([2, i]),
    "rows": lambda a, b, i, xp: xp.stack([a, b], axis=0).sum(axis=0),
    "reshape": lambda a, b, i, xp: a.reshape(2, N // 2).T.reshape(N),
    "column": lambda a, b, i, xp: (a.reshape(N, 1) * b[:, None])[:, 0],
    "picked": lambda a, b, i, xp: a * b[i] + a[i : i + 1],
    "positions": lambda a, b, i, xp: a[[i, *range(1, N)]],
    "outer": lambda a, b, i, xp: (a[:, None] + b[None, :]).sum(axis=i % 2),
    "gram": lambda a, b, i, xp: xp.stack([a, b]).T @ (xp.stack([a, b], axis=1).T @ a),
}
ENDS = [
    lambda a, b, xp: a.sum() * 1,
    lambda a, b, xp: a,
    lambda a, b, xp: xp.dot(a, b),
    lambda a, b, xp: xp.stack([a, b], axis=1).T @ xp.stack([a, b, a + b], axis=1),
    lambda a, b, xp: a[::3],
]


class Numpy:
    concat, stack, dot = np.concatenate, np.stack, np.dot


def follow(values, program, end, xp):
    values = list(values)
    for move, i, j, k in program:
        values.append(MOVES[move](values[i % len(values)], values[j % len(values)], k, xp))
    return ENDS[end](values[-1], values[-2], xp)


moves = st.tuples(st.sampled_from(sorted(MOVES)), *[st.integers(0, N - 1)] * 3)


@settings(max_examples=300, deadline=None)
@given(st.lists(moves, max_size=4), st.integers(0, len(ENDS) - 1))
def test_passes_preserve_values(program, end: int) -> None:
    def computation(data):
        t = data.table("t")
        return follow([t["k"], t["r"], data.party("bob")["u"]["z"]], program, end, mpc)

    expected = np.asarray(follow([*POOLED.values(), DATA["bob"]["u"]["z"]], program, end, Numpy), np.float64)
    try:
        result = mpc.simulate(computation, DATA)["result"]
    except (PlanError, ScriptError):  # too many digits for a plan, or to be recorded
        assume(False)
    assert np.shape(result) == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3 * max(1.0, np.abs(expected).max(initial=0)))


def test_parts_that_are_one_row_together_are_broadcast_together() -> None:
    def outer(data):
        a, b = data.party("ada")["t"]["k"], data.party("bob")["t"]["k"]
        return mpc.concat([a[:1], b[:0]]) * np.arange(5)

    assert np.array_equal(mpc.simulate(outer, DATA)["result"], DATA["ada"]["t"]["k"][0] * np.arange(5))


ROWWISE = ["add", "subtract", "multiply", "public", "negate", "matrix", "rows", "column"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ROWWISE), *[st.integers(0, 4)] * 3), max_size=4), st.sampled_from([0, 2, 3]))
def test_what_each_owner_can_compute_is_shared_as_sums_only(program, end: int) -> None:
    computation = mpc.computation(
        lambda data: follow([data.table("t")["k"], data.table("t")["r"]], program, end, mpc),
    )
    try:
        plan = computation.plan(schema_of(DATA, {}), precision=1)
    except PlanError:
        assume(False)
    assert estimate(plan).pieces == 0
    for i, _ in plan.of("share"):
        assert plan.types[i].size <= 6


def ops(function, schema=None, **options) -> list[str]:
    plan = mpc.computation(function).plan(schema or schema_of(DATA, {}), **options)
    return [step.op for step in plan.steps]


def test_equal_steps_are_recorded_once_and_unused_ones_not_at_all() -> None:
    def twice(data):
        k, unused = data.party("ada")["t"]["k"], data.party("bob")["t"]["r"]
        assert unused.shape == (1,)
        return {"a": (k + 1).sum() * 2, "b": (k + 1).sum() * 2}

    found = ops(twice)
    assert (found.count("column"), found.count("sum"), found.count("share"), found.count("reveal")) == (1, 1, 1, 2)


def test_moves_of_constants_are_done_at_once() -> None:
    found = ops(
        lambda data: mpc.concat([data.table("t")["k"], np.zeros(2)]) @ np.arange(2.0 * (N + 2)).reshape(2, -1).T[:, 1]
    )
    assert not {"index", "reshape", "transpose"} & set(found)


def test_one_owners_work_stays_with_the_owner() -> None:
    plan = mpc.computation(lambda d: (d.party("ada")["t"]["k"] * d.party("ada")["t"]["r"]).mean()).plan(
        schema_of(DATA, {})
    )
    shared = [i for i, type_ in enumerate(plan.types) if not isinstance(type_.visibility, Private)]
    assert [plan.steps[i].op for i in shared] == ["share", "reveal"]


WIDE = {name: {"t": Table(100, {"r": Column("real", -1000.0, 1000.0)})} for name in ("ada", "bob")}


def scale(function) -> int:
    plan = mpc.computation(function).plan(WIDE)
    return min(step.params["scale"] for _, step in plan.of("column"))


def test_a_mean_is_not_coarser_because_a_product_is_revealed_too() -> None:
    def mean(data):
        return data.table("t")["r"].mean()

    def dot(data):
        return mpc.dot(data.party("ada")["t"]["r"], data.party("bob")["t"]["r"])

    both = mpc.computation(lambda data: {"mean": mean(data), "dot": dot(data)}).plan(WIDE)
    scales = sorted({step.params["scale"] for _, step in both.of("column")})
    assert scales == sorted({scale(mean), scale(dot)})
    assert len(scales) == 2


def test_a_variance_keeps_the_spread_of_a_column_that_another_result_makes_coarse() -> None:
    x = 1e6 + np.random.default_rng(0).uniform(-1, 1, 40)
    tables = {"ada": {"t": {"x": x[:20]}}, "bob": {"t": {"x": x[20:]}}}
    ranges = {party: {"t": {"x": (999_999.0, 1_000_001.0)}} for party in tables}

    def both(data):
        held = data.table("t")["x"]
        variance = mpc.stats.var(held, ddof=1)
        return {"variance": variance, "less": held - variance}

    plan = mpc.computation(both).plan(schema_of(tables, ranges))
    scales = {(step.params["party"], step.params["scale"]) for _, step in plan.of("column")}
    assert min(scale for _, scale in scales) < 20
    assert {("ada", 33), ("bob", 33)} <= scales
    assert rounds_as_planned(plan)
    result = mpc.simulate(both, tables, ranges)["variance"]
    np.testing.assert_allclose(result, x.var(ddof=1), rtol=1e-6)


def test_overflow_names_step_line_columns_and_remedy() -> None:
    def cubes(data):
        a, b = data.party("ada")["t"]["r"], data.party("bob")["t"]["r"]
        return mpc.dot(a * b, a * b)

    with pytest.raises(PlanError) as told:
        mpc.computation(cubes).plan(WIDE, precision=52)
    for part in (
        "test_passes.py:", "step", "(matmul_rounded, shape ())", "reaches ±1e+14", "only 52 significant bits",
        "the ring has 64",        "ada.t.r [-1000.0, 1000.0]", "bob.t.r", "Declare narrower ranges",
    ):  # fmt: skip
        assert part in str(told.value)
    assert mpc.computation(cubes).plan(WIDE, precision=30)


@pytest.mark.parametrize(("precision", "fits"), [(1, True), (24, True), (29, True), (50, True), (52, False)])
def test_no_real_column_keeps_fewer_bits_than_the_floor(precision: int, fits: bool) -> None:
    computation = mpc.computation(lambda d: mpc.dot(d.party("ada")["t"]["r"], d.party("bob")["t"]["r"]))
    if fits:
        plan = computation.plan(WIDE, precision=precision)
        assert all(step.params["scale"] + 10 >= precision for _, step in plan.of("column"))
    else:
        with pytest.raises(PlanError, match=f"only {precision} significant bits"):
            computation.plan(WIDE, precision=precision)


@pytest.mark.parametrize(
    ("low", "high", "rows", "fits"),
    [
        (0, 2**63 - 1, 1, True),
        (-(2**63), 0, 1, True),
        (0, 2**62, 2, False),
        (-(2**62), 0, 2, True),
        (0, 2**62 - 1, 2, True),
        (0, (2**63 - 1) // 7, 7, True),
        (0, 2**63 // 7 + 1, 7, False),
    ],
)
def test_integers_up_to_the_last_value_that_fits(low: int, high: int, rows: int, fits: bool) -> None:
    extreme = high if high else low
    data = {"ada": {"t": {"k": np.full(rows, extreme)}}, "bob": {"t": {"k": np.zeros(1, np.int64)}}}
    ranges = {"ada": {"t": {"k": (low, high)}}}
    if fits:
        assert mpc.simulate(lambda d: d.table("t")["k"].sum(), data, ranges)["result"] == extreme * rows
    else:
        with pytest.raises(PlanError, match="needs 65 bits; the ring has 64"):
            mpc.simulate(lambda d: d.table("t")["k"].sum(), data, ranges)


@settings(max_examples=200, deadline=None)
@given(st.lists(moves, max_size=4), st.integers(0, len(ENDS) - 1), st.integers(0, 2**32))
def test_ranges_contain_every_value(program, end: int, seed: int) -> None:
    """Interval arithmetic: the recorded bounds hold whatever the data, exactly."""
    low, high = -4, 7
    columns = {"k": Column("integer", low, high)}
    schema = {name: {"t": Table(rows, columns), "u": Table(N, columns)} for name, rows in ROWS.items()}

    def computation(data):
        return follow([data.table("t")["k"], data.party("bob")["u"]["k"]], program, end, mpc)

    try:
        plan = mpc.computation(computation).plan(schema, precision=1)
    except PlanError:
        assume(False)
    rng = np.random.default_rng(seed)
    drawn = [np.array([Fraction(int(v)) for v in rng.choice([low, high, 0], N)], object) for _ in range(2)]
    (reveal,) = [i for i, step in enumerate(plan.steps) if step.op == "reveal"]
    type_ = plan.types[reveal]
    for value in np.asarray(follow(drawn, program, end, Numpy), object).reshape(-1):
        assert type_.low <= value * type_.domain.denominator <= type_.high


@pytest.mark.parametrize("factor", [1e-14, 1e-16, 1e-20])
def test_a_small_factor_keeps_its_bits_or_is_refused(factor: float) -> None:
    large = {"ada": {"t": {"x": np.full(20, 5 * 10**15)}}, "bob": {"t": {"x": np.full(20, 3)}}}
    scaled = mpc.computation(lambda data: data.table("t")["x"].sum() * factor)
    with pytest.raises(mpc.PlanError, match="could overflow"):
        mpc.simulate(scaled, large)
    small = {"ada": {"t": {"x": np.full(20, 2)}}, "bob": {"t": {"x": np.full(20, 3)}}}
    assert mpc.simulate(scaled, small)["result"] == pytest.approx(100 * factor, rel=1e-12)


@pytest.mark.parametrize("size", [1e-20, 3e-100, 1e30])
def test_columns_of_any_size_keep_their_bits(size: float) -> None:
    data = {name: {"t": {"x": size * np.array([0.25, 0.5, 1.0])}} for name in ("ada", "bob")}
    if size > 2**63:
        with pytest.raises(mpc.PlanError, match="could overflow"):
            mpc.simulate(mpc.computation(lambda data: data.table("t")["x"].sum()), data)
        return
    result = mpc.simulate(mpc.computation(lambda data: data.table("t")["x"].sum()), data)
    assert result["result"] == pytest.approx(3.5 * size, rel=1e-12)


def test_a_range_too_small_for_any_scale_is_refused() -> None:
    data = {name: {"t": {"x": np.array([1e-200, 2e-200])}} for name in ("ada", "bob")}
    with pytest.raises(mpc.PlanError, match="too small"):
        mpc.simulate(mpc.computation(lambda data: data.table("t")["x"].sum()), data)
