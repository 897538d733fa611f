"""Real functions under sharing: every result within the stated error, over whole ranges; refusals; costs.

A result r is off by at most 2^-precision max(|r|, grain), with the grain of each function; a quotient by at most
2^-precision (|r| + grain). All bounds here are these, nothing is added for the reader's float64.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpc
from mpc.circuits.approximation import Curve, polynomial
from mpc.computation import Computation
from mpc.cost import estimate
from mpc.operations.real import MOST_PRECISION
from mpc.plan import Plan, Step
from mpc.schema import Column, Table
from mpc.simulate import schema_of
from mpc.validate import validate
from protocols import additive, plain

EXACT = {
    "reciprocal": lambda x: 1 / x,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "log": np.log,
    "exp": np.exp,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}

POSITIVE = ("reciprocal", "sqrt", "rsqrt", "log")
EVERYWHERE = ("sigmoid", "tanh")


def off(name: str, got: np.ndarray, exact: np.ndarray, low: float, high: float, precision: int) -> float:
    """The largest error, as a part of what is allowed."""
    grain = {"sigmoid": 1, "tanh": 1}.get(name, 0)
    if name == "log":
        grain = min(1, max(abs(math.log(low)), abs(math.log(high)))) or 1
    allowed = np.maximum(np.abs(exact), grain) * 2.0**-precision
    error = np.abs(got - exact)
    assert np.array_equal(got[allowed == 0], exact[allowed == 0])
    return float(np.max(error[allowed > 0] / allowed[allowed > 0], initial=0))


def tables(x: np.ndarray, low, high, parties: int = 2):
    """A column of one party within [low, high], a 0 of the others: their sum is shared, and has that range."""
    names = ["ada", "bob", "cyd", "dan"][:parties]
    columns = {name: x if name == "ada" else np.zeros(x.size, np.int64) for name in names}
    data = {name: {f"t_{name}": {"x": column}} for name, column in columns.items()}
    ranges = {name: {f"t_{name}": {"x": (low, high) if name == "ada" else (0, 0)}} for name in names}
    return data, ranges


def shared_sum(data) -> object:
    total = 0
    for name in data.parties:
        total = data.party(name)[f"t_{name}"]["x"] + total
    return total


def encoded(plan: Plan, party: str, column: str, x: np.ndarray) -> np.ndarray:
    """Values rounded as their owner encodes them: what is tested is the function."""
    scale = next(
        step.params["scale"]
        for _, step in plan.of("column")
        if (step.params["party"], step.params["column"]) == (party, column)
    )
    return np.ldexp(np.rint(np.ldexp(x.astype(np.float64), scale)), -scale)


def applied(
    name: str, x: np.ndarray, low, high, precision: int = 20, parties: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """The function of a shared value: results, and exact results."""
    data, ranges = tables(x, low, high, parties)
    computation = mpc.settings(precision=precision)(lambda data: getattr(mpc, name)(shared_sum(data)))
    plan = computation.plan(schema_of(data, ranges))
    got = mpc.simulate(computation, data, ranges)["result"]
    with np.errstate(over="ignore"):
        return np.asarray(got), EXACT[name](encoded(plan, "ada", "x", x))


def sweep(low, high, count: int = 3000) -> np.ndarray:
    """The ends and what is next to them, points evenly spread, evenly by magnitude, and powers of two."""
    if isinstance(low, int):
        points = np.concatenate([np.linspace(low, high, count), np.geomspace(max(low, 1), max(high, 1), count)])
        powers = 2 ** np.arange(62)
        near = np.concatenate(
            [np.rint(points).astype(np.int64), powers, powers - 1, powers + 1, [low, low + 1, high - 1, high]]
        )
        return np.unique(near[(near >= low) & (near <= high)])
    points = [np.linspace(low, high, count)]
    if low > 0:
        points.append(np.geomspace(low, high, count))
    powers = np.ldexp(1.0, np.arange(-30, 40))
    near = np.concatenate([*points, powers, -powers, [np.nextafter(low, high), np.nextafter(high, low)]])
    return np.unique(np.clip(near, low, high))


POSITIVE_RANGES = [
    (1, 1), (1, 2), (1, 3), (3, 10), (1, 100), (1, 1 << 10), (5, 1 << 20), (1, 1 << 32), (1000, 1 << 31),
    (1.0, 1.0), (0.99, 1.01), (0.5, 2.0), (100.0, 350.0), (0.001, 1000.0), (3.0, 1e6), (1e-6, 1.0), (7e8, 1e9),
]  # fmt: skip


@pytest.mark.parametrize(("low", "high"), POSITIVE_RANGES)
@pytest.mark.parametrize("name", POSITIVE)
def test_positive_ranges(name: str, low, high) -> None:
    got, exact = applied(name, sweep(low, high), low, high)
    assert off(name, got, exact, low, high, 20) <= 1


@pytest.mark.parametrize("name", POSITIVE)
def test_forty_octaves(name: str) -> None:
    got, exact = applied(name, sweep(1, 1 << 40), 1, 1 << 40)
    assert off(name, got, exact, 1, 1 << 40, 20) <= 1


@pytest.mark.parametrize(("low", "high"), [(-1000, -1), (-8, -3), (-2.5, -0.001), (-(1 << 40), -1)])
def test_reciprocals_of_negative_numbers(low, high) -> None:
    x = -sweep(-high, -low)
    got, exact = applied("reciprocal", x, low, high)
    assert off("reciprocal", got, exact, low, high, 20) <= 1


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 3), (0, 1000), (0, 1 << 40), (0.0, 1.0), (0.0, 1e5), (0, 0)])
def test_roots_from_zero(low, high) -> None:
    got, exact = applied("sqrt", sweep(low, high), low, high)
    assert off("sqrt", got, exact, low, high, 20) <= 1
    assert got[0] == 0


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (-1.0, 1.0),
        (-0.1, 0.05),
        (0.0, 0.0),
        (-3.0, 5.0),
        (-10, 10),
        (-20.0, 2.0),
        (-25, 0),
        (0.0, 25.0),
        (5, 20),
        (-60.0, -40.0),
    ],
)
def test_exponentials(low, high) -> None:
    got, exact = applied("exp", sweep(low, high), low, high)
    assert off("exp", got, exact, low, high, 20) <= 1


@pytest.mark.parametrize(
    ("low", "high"),
    [(-1.0, 1.0), (-1.5, 1.5), (0.0, 0.0), (-3.0, 5.0), (-8, 8), (-16.0, 16.0), (-20, 20), (3.0, 9.0), (-50, -20),
     (20, 50), (-40.0, -14.5), (14.5, 40.0), (0.0, 1e6), (-1e6, 3.0), (-1000.0, 1000.0), (-(1 << 40), 1 << 40)],
)  # fmt: skip
@pytest.mark.parametrize("name", EVERYWHERE)
def test_logistic_functions(name: str, low, high) -> None:
    near = np.linspace(-40, 40, 3000).clip(low, high)
    x = np.unique(np.concatenate([sweep(low, high), np.rint(near).astype(np.int64) if isinstance(low, int) else near]))
    got, exact = applied(name, x, low, high)
    assert off(name, got, exact, low, high, 20) <= 1


@pytest.mark.parametrize("precision", [1, 4, 12, 21, 24, 25, 31, MOST_PRECISION])
@pytest.mark.parametrize("name", EXACT)
def test_more_and_fewer_bits_by_asking(name: str, precision: int) -> None:
    ranges = {"exp": [(-1.0, 1.5), (-3.0, 4.0)], "sigmoid": [(-1.0, 1.0), (-40.0, 40.0)], "tanh": [(-9.0, 9.0)]}
    for low, high in ranges.get(name, [(1, 3), (1, 1000), (0.02, 10.0)]):
        got, exact = applied(name, sweep(low, high, 300), low, high, precision)
        assert off(name, got, exact, low, high, precision) <= 1


@pytest.mark.parametrize("name", EXACT)
def test_more_parties(name: str) -> None:
    low, high = (-9.0, 9.0) if name in ("exp", *EVERYWHERE) else (1, 1 << 20)
    for parties in (3, 4):
        got, exact = applied(name, sweep(low, high, 300), low, high, parties=parties)
        assert off(name, got, exact, low, high, 20) <= 1


@pytest.mark.parametrize("name", EXACT)
def test_an_owner_computes_in_float64(name: str) -> None:
    low, high = (-9.0, 9.0) if name in ("exp", *EVERYWHERE) else (0.5, 1000.0)
    x = sweep(low, high, 300)
    data = {"ada": {"t": {"x": x}}, "bob": {"u": {"x": x}}}
    computation = mpc.computation(lambda data: getattr(mpc, name)(data.party("ada")["t"]["x"]))
    result = mpc.simulate(computation, data)
    assert off(name, result["result"], EXACT[name](x), low, high, 20) <= 1
    assert result.traffic.rounds == 1


def rounded(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda x: round(x, 4) + 0.0)  # no -0


positive = st.one_of(st.integers(1, 1 << 30), rounded(1e-3, 1e6))


@st.composite
def columns(draw, ends):
    """A range, and values in it."""
    first, second = draw(ends), draw(ends)
    if isinstance(first, float) or isinstance(second, float):
        first, second = float(first), float(second)
    low, high = sorted((first, second))
    inside = st.integers(low, high) if isinstance(low, int) else st.floats(low, high)
    values = [*draw(st.lists(inside, min_size=1, max_size=70)), low, high]
    return np.array(values, np.int64 if isinstance(low, int) else np.float64), low, high


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(POSITIVE), columns(positive), st.integers(8, 28))
def test_any_positive_range(name: str, column, precision: int) -> None:
    x, low, high = column
    try:
        got, exact = applied(name, x, low, high, precision)
    except mpc.PlanError:
        got = None
    if got is None:
        assert name == "reciprocal"
        assert high / low > 2.0 ** (59 - precision)
    else:
        assert off(name, got, exact, low, high, precision) <= 1


@settings(max_examples=40, deadline=None)
@given(columns(rounded(-13.5, 13.5)), st.integers(8, 20))
def test_any_exponential(column, precision: int) -> None:
    x, low, high = column
    got, exact = applied("exp", x, low, high, precision)
    assert off("exp", got, exact, low, high, precision) <= 1


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(EVERYWHERE),
    columns(st.one_of(rounded(-1e6, 1e6), rounded(-20, 20), st.integers(-30, 30))),
    st.integers(8, 28),
)
def test_any_logistic(name: str, column, precision: int) -> None:
    x, low, high = column
    got, exact = applied(name, x, low, high, precision)
    assert off(name, got, exact, low, high, precision) <= 1


# Quotients


def divided(x: np.ndarray, x_range, y: np.ndarray, y_range, precision: int = 20, parties: int = 2) -> float:
    """The largest error of x / y, both shared, as a part of what is allowed."""
    names = ["ada", "bob", "cyd"][:parties]
    columns = {"ada": {"x": x, "y": np.zeros(y.size, np.int64)}, "bob": {"x": np.zeros(x.size, np.int64), "y": y}}
    data = {name: {f"t_{name}": columns.get(name, {"z": x})} for name in names}
    ranges = {"ada": {"t_ada": {"x": x_range, "y": (0, 0)}}, "bob": {"t_bob": {"x": (0, 0), "y": y_range}}}

    @mpc.settings(precision=precision)
    def quotient(data):
        ada, bob = data.party("ada")["t_ada"], data.party("bob")["t_bob"]
        return (ada["x"] + bob["x"]) / (ada["y"] + bob["y"])

    plan = quotient.plan(schema_of(data, ranges))
    (_, step), *_ = plan.of("quotient")
    got = mpc.simulate(quotient, data, ranges)["result"]
    exact = encoded(plan, "ada", "x", x) / encoded(plan, "bob", "y", y)
    grain = (max(map(abs, x_range)) or 1) / max(map(abs, y_range))
    assert step.params["scale"] >= precision + 1 - math.log2(grain)
    return float(np.max(np.abs(got - exact) / (2.0**-precision * (np.abs(exact) + grain))))


def pairs(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every x by every y, not too many."""
    x, y = np.meshgrid(x[:: max(1, x.size // 120)], y)
    return x.reshape(-1), y.reshape(-1)


QUOTIENTS = [
    ((-1000, 1000), (1, 1000)),
    ((0, 1), (1, 1 << 40)),
    ((-(1 << 19), 1 << 19), (1, 1 << 40)),
    ((0, 1 << 45), (3, 10)),
    ((-(1 << 45), 1 << 45), (1, 1 << 8)),
    ((0, 0), (1, 9)),
    ((-1.0, 1.0), (0.5, 1.5)),
    ((-100.0, 1000.0), (0.001, 1000.0)),
    ((5, 70), (1.0, 1e6)),
    ((0.25, 0.5), (-300.0, -2.0)),
    ((-1e6, 1e6), (-5000, -1)),
]


@pytest.mark.parametrize(("x_range", "y_range"), QUOTIENTS)
def test_quotients(x_range, y_range) -> None:
    flip = -1 if y_range[1] < 0 else 1
    x, y = pairs(sweep(*x_range, 60), flip * sweep(*sorted(flip * end for end in y_range), 60))
    for parties in (2, 3):
        assert divided(x, x_range, y, y_range, parties=parties) <= 1


@pytest.mark.parametrize("precision", [6, 21, 28, MOST_PRECISION])
def test_quotients_of_other_precision(precision: int) -> None:
    for x_range, y_range in (((-1000, 1000), (1, 1000)), ((-1.0, 3.0), (2.0, 5.0)), ((-9.5, 8.0), (0.125, 100.0))):
        assert divided(*_columns(x_range, y_range), precision) <= 1


def _columns(x_range, y_range):
    x, y = pairs(sweep(*x_range, 40), sweep(*y_range, 40))
    return x, x_range, y, y_range


@settings(max_examples=60, deadline=None)
@given(columns(st.one_of(st.integers(-(1 << 24), 1 << 24), rounded(-1e5, 1e5))), columns(positive), st.integers(8, 24))
def test_any_quotient(numerators, denominators, precision: int) -> None:
    (x, x_low, x_high), (y, y_low, y_high) = numerators, denominators
    size = min(x.size, y.size)
    try:
        part = divided(x[-size:], (x_low, x_high), y[-size:], (y_low, y_high), precision)
    except mpc.PlanError:
        part = None
    if part is None:
        assert max(abs(x_low), abs(x_high), 2.0**precision) * y_high / y_low > 2.0**52
    else:
        assert part <= 1


def test_public_numerators_and_owned_operands() -> None:
    x, y = np.arange(-5, 6), np.arange(1, 12)
    data = {"ada": {"t": {"x": x, "y": y}}, "bob": {"u": {"y": y}}}

    def computation(data):
        ada, bob = data.party("ada")["t"], data.party("bob")["u"]
        return {
            "owned": ada["x"] / ada["y"],
            "two owners": ada["x"] / bob["y"],
            "one": 1 / (ada["y"] + bob["y"]),
            "number": 2.5 / bob["y"],
            "array": np.arange(11) / (ada["y"] + bob["y"]),
            "truth": (ada["x"] > bob["y"] - 7) / bob["y"],
        }

    result = mpc.simulate(computation, data)
    expected = {
        "owned": x / y,
        "two owners": x / y,
        "one": 1 / (2 * y),
        "number": 2.5 / y,
        "array": np.arange(11) / (2 * y),
        "truth": (x > y - 7) / y,
    }
    for name, exact in expected.items():
        np.testing.assert_allclose(result[name], exact, rtol=2.0**-20, atol=2.0**-20 * 5 / 11)


def test_shapes() -> None:
    x, y = np.arange(12).reshape(3, 4), np.arange(1, 4)
    data = {"ada": {"t": {"x": x.reshape(-1)}}, "bob": {"u": {"y": y}}}

    def computation(data):
        x, y = data.party("ada")["t"]["x"].reshape(3, 4), data.party("bob")["u"]["y"]
        return {
            "columns": x / y[:, None],
            "scalar": x / y.sum(),
            "numerator": x[0, 1] / y,
            "root": mpc.sqrt(x + y[:, None]),
            "one": mpc.exp(y[0] - 1),
            "none": mpc.sigmoid(x[:0] * 10 - y[:1]),
            "no rows": x[:0] / y[:0, None],
        }

    result = mpc.simulate(computation, data)
    exact = {
        "columns": x / y[:, None],
        "scalar": x / 6,
        "numerator": 1 / y,
        "root": np.sqrt(x + y[:, None]),
        "one": 1,
        "none": np.empty((0, 4)),
        "no rows": np.empty((0, 4)),
    }
    for name, value in exact.items():
        assert np.shape(result[name]) == np.shape(value)
        np.testing.assert_allclose(result[name], value, rtol=2.0**-20, atol=2.0**-20 * 4)


def test_functions_of_functions() -> None:
    x = np.linspace(-3, 3, 200)
    data = {"ada": {"t": {"x": x}}, "bob": {"u": {"x": x / 2}}}

    def computation(data):
        z = data.party("ada")["t"]["x"] - data.party("bob")["u"]["x"]
        odds = mpc.exp(z)
        return {
            "logistic": odds / (1 + odds),
            "back": mpc.log(odds),
            "norm": z * mpc.rsqrt(mpc.maximum(z * z, 0) + 1),
            "mean": mpc.sqrt(mpc.maximum((z * z).mean(), 0)),
        }

    result = mpc.simulate(computation, data)
    z = x / 2
    np.testing.assert_allclose(result["logistic"], 1 / (1 + np.exp(-z)), rtol=2.0**-18)
    np.testing.assert_allclose(result["back"], z, atol=2.0**-19)
    np.testing.assert_allclose(result["norm"], z / np.sqrt(z * z + 1), atol=2.0**-19)
    np.testing.assert_allclose(result["mean"], np.sqrt((z * z).mean()), rtol=2.0**-19)


def test_owners_compute_the_functions_of_their_rows() -> None:
    data = {name: {"t": {"x": np.linspace(1, 2, 50)}} for name in ("ada", "bob", "cyd")}
    result = mpc.simulate(lambda data: mpc.log(data.table("t")["x"]).mean(), data)
    assert abs(result["result"] - np.log(np.linspace(1, 2, 50)).mean()) < 2.0**-20
    assert result.traffic.rounds == 1


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize(("divisor", "most"), [(7, 100), (3 * 10**15, 1 << 55), (10**12, 1 << 43), (11, 1 << 6)])
def test_divided_numbers(name: str, divisor: int, most: int) -> None:
    low = 1 if name in POSITIVE else -most
    if name == "exp":
        low, most = max(low, -13 * divisor), min(most, 13 * divisor)
    if name == "reciprocal":
        low = max(low, most >> 38)
    x = np.unique(np.linspace(low, most, 1500).astype(np.int64))
    data, ranges = tables(x, low, most)
    got = mpc.simulate(lambda data: getattr(mpc, name)(shared_sum(data) / divisor), data, ranges)["result"]
    with np.errstate(over="ignore"):
        exact = EXACT[name](x / divisor)
    assert off(name, got, exact, max(low, 1) / divisor, most / divisor, 20) <= 1


# Refusals


def refused(function, x_range, precision: int = 20, y_range=(1, 2)) -> str:
    kinds = ["integer" if all(isinstance(end, int) for end in ends) else "real" for ends in (x_range, y_range)]
    schema = {
        "ada": {"t": Table(4, {"x": Column(kinds[0], *x_range), "y": Column(kinds[1], *y_range)})},
        "bob": {"u": Table(4, {"z": Column("integer", 0, 0)})},
    }

    @mpc.settings(precision=precision)
    def computation(data):
        ada, bob = data.party("ada")["t"], data.party("bob")["u"]
        return function(ada["x"] + bob["z"], ada["y"] + bob["z"])

    with pytest.raises(mpc.BeaverError) as caught:
        computation.plan(schema)
    return str(caught.value)


@pytest.mark.parametrize(
    ("function", "x_range", "told"),
    [
        (lambda x, y: y / x, (0, 100), ("[0, 100]", "holds 0", "mpc.maximum")),
        (lambda x, y: y / x, (-3, 5), ("[-3, 5]", "holds 0", "mpc.where")),
        (lambda x, y: 1 / x, (-2.0, 0.0), ("[-2, 0]", "holds 0")),
        (lambda x, y: mpc.reciprocal(x), (-1, 1), ("[-1, 1]", "holds 0")),
        (lambda x, y: mpc.log(x), (0, 9), ("[0, 9]", "reaches 0", "mpc.maximum")),
        (lambda x, y: mpc.log(x), (-1.5, 9.0), ("[-1.5, 9]", "reaches 0")),
        (lambda x, y: mpc.rsqrt(x), (0.0, 1.0), ("[0, 1]", "reaches 0")),
        (lambda x, y: mpc.sqrt(x), (-0.5, 1.0), ("[-0.5, 1]", "below 0", "mpc.maximum")),
        (lambda x, y: mpc.exp(x), (-20, 20), ("[-20, 20]", "64 bits", "clip")),
        (lambda x, y: mpc.exp(x), (0, 5000), ("[0, 5000]", "clip")),
        (lambda x, y: mpc.reciprocal(x), (1, 1 << 50), ("[1, 1.12590e+15]", "64 bits")),
        (lambda x, y: y / x, (1, 1 << 50), ("[1, 2] by [1, 1.12590e+15]", "64 bits")),
    ],
)
def test_ranges_that_cannot_be(function, x_range, told) -> None:
    message = refused(function, x_range)
    assert all(part in message for part in told), message


def test_precision_that_cannot_be() -> None:
    assert "1 to 40 bits" in refused(lambda x, y: mpc.exp(x), (0, 1), MOST_PRECISION + 1)
    assert "64 bits" in refused(lambda x, y: mpc.exp(x), (-8, 8), MOST_PRECISION)


def test_public_operands_are_left_to_numpy() -> None:
    with pytest.raises(mpc.ScriptError, match="numpy computes on public"):
        mpc.exp(np.arange(3.0))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"scale": 3}, "too few"),
        ({"scale": -1}, "behind the point"),
        ({"scale": 600}, "behind the point"),
        ({"precision": 0}, "precision"),
        ({"precision": 41}, "precision"),
    ],
)
@pytest.mark.parametrize("name", EXACT)
def test_plans_from_elsewhere_keep_to_the_bound(name: str, changed, told: str) -> None:
    data, ranges = tables(np.array([1, 2, 9]), 1, 9)
    plan = mpc.computation(lambda data: getattr(mpc, name)(shared_sum(data))).plan(schema_of(data, ranges))
    steps = [
        Step(step.op, step.inputs, {**step.params, **changed} if step.op == name else step.params)
        for step in plan.steps
    ]
    with pytest.raises(mpc.PlanError, match=told):
        validate(Plan(plan.parties, tuple(steps)))


class Wanted(Computation):
    """A computation whose plan asks for a scale and a precision of one operation's results."""

    def __init__(self, name: str, more: int, precision: int) -> None:
        super().__init__(lambda data: getattr(mpc, name)(shared_sum(data)), precision)
        self.name, self.more = name, more

    def plan(self, *arguments, **options) -> Plan:
        plan = super().plan(*arguments, **options)
        steps = list(plan.steps)
        for i, step in plan.of(self.name):
            operands = [plan.types[j] for j in step.inputs]
            scale = step.operation.least_scale(operands, step.params, self.precision) + self.more
            steps[i] = Step(step.op, step.inputs, {**step.params, "scale": scale, "precision": self.precision})
        wanted = Plan(plan.parties, tuple(steps))
        validate(wanted)
        return wanted


@pytest.mark.parametrize("more", range(9))
@pytest.mark.parametrize("precision", [12, 20, 23])
@pytest.mark.parametrize("name", EXACT)
def test_whatever_scale_a_result_is_wanted_with(name: str, precision: int, more: int) -> None:
    """With few bits more than promised it is rounded less often on its way."""
    for low, high in ((1.0, 4.0), (1.0, 12.0)):
        computation, x = Wanted(name, more, precision), sweep(low, high, 1500)
        data, ranges = tables(x, low, high)
        column = encoded(computation.plan(schema_of(data, ranges)), "ada", "x", x)
        got = np.asarray(mpc.simulate(computation, data, ranges)["result"])
        assert off(name, got, EXACT[name](column), low, high, precision) <= 1


# Costs


COSTS = {
    "quotient": lambda x, y: x / y,
    "narrow quotient": lambda x, y: x / (y + 4000),
    "reciprocal": lambda x, y: 1 / y,
    "sqrt": lambda x, y: mpc.sqrt(y),
    "sqrt from 0": lambda x, y: mpc.sqrt(y - 1),
    "rsqrt": lambda x, y: mpc.rsqrt(y),
    "exp": lambda x, y: mpc.exp(x),
    "narrow exp": lambda x, y: mpc.exp(x * 0.1),
    "log": lambda x, y: mpc.log(y),
    "sigmoid": lambda x, y: mpc.sigmoid(x),
    "wide sigmoid": lambda x, y: mpc.sigmoid(x * 100),
    "tanh": lambda x, y: mpc.tanh(x),
}


@pytest.mark.parametrize("protocol", [additive, plain], ids=["additive", "plain"])
@pytest.mark.parametrize("parties", [2, 3, 5])
@pytest.mark.parametrize("case", COSTS)
def test_rounds_and_bytes(case: str, parties: int, protocol) -> None:
    names = ["ada", "bob", "cyd", "dan", "eve"][:parties]
    data = {name: {f"t_{name}": {"x": np.linspace(-1, 1, 130), "y": np.arange(1, 131)}} for name in names}

    @mpc.computation
    def computation(data):
        columns = [data.party(name)[f"t_{name}"] for name in names]
        x, y = (columns[0][c] + columns[1][c] for c in ("x", "y"))
        return COSTS[case](x, y)

    cost = estimate(computation.plan(schema_of(data, {})), protocol)
    result = mpc.simulate(computation, data, protocol=protocol)
    assert result.traffic.rounds == cost.rounds
    assert dict(result.traffic.bytes_sent) == dict(cost.bytes_sent)


def test_independent_functions_share_their_rounds() -> None:
    data = {"ada": {"t": {"x": np.arange(1, 9)}}, "bob": {"u": {"x": np.arange(1, 9)}}}

    def some(count: int) -> int:
        def computation(data):
            x = data.party("ada")["t"]["x"] + data.party("bob")["u"]["x"]
            return {f"r{i}": 1 / (x + i) for i in range(count)}

        return estimate(mpc.computation(computation).plan(schema_of(data, {}))).rounds

    assert some(20) == some(1)


# Polynomials


@pytest.mark.parametrize("bits", [8, 22, 42])
@pytest.mark.parametrize(
    ("f", "start", "slope"),
    [
        ("exp", 0, Fraction(7, 10)),
        ("log", 3, 1),
        ("reciprocal", 3, 1),
        ("rsqrt", 3, 1),
        ("sqrt", 3, 1),
        ("sigmoid", 2, 1),
    ],
)
def test_polynomials_stay_within_their_error(f: str, start, slope, bits: int) -> None:
    curve = Curve(f, Fraction(start), Fraction(slope), Fraction(-33, 32), Fraction(1))
    coefficients = polynomial(curve, Fraction(1, 1 << bits))
    t = np.linspace(-33 / 32, 1, 5001)
    values = np.polynomial.polynomial.polyval(t, [float(c) for c in coefficients])
    assert np.abs(values - EXACT[f](start + float(slope) * t)).max() <= 2.0**-bits + 1e-15
    assert len(coefficients) <= bits // 2 + 4


def test_no_polynomial_for_a_wide_range() -> None:
    assert (
        polynomial(Curve("reciprocal", Fraction(1001), Fraction(1000), Fraction(-1), Fraction(1)), Fraction(1, 1 << 22))
        is None
    )


@pytest.mark.parametrize("name", EXACT)
def test_without_a_dealer(name: str) -> None:
    low, high = (-9.0, 9.0) if name in ("exp", *EVERYWHERE) else (1, 1000)
    x = sweep(low, high, 20)
    data, ranges = tables(x, low, high)
    computation = mpc.computation(lambda data: getattr(mpc, name)(shared_sum(data)))
    plan = computation.plan(schema_of(data, ranges))
    got = mpc.simulate(computation, data, ranges, source="pairwise")["result"]
    assert off(name, got, EXACT[name](encoded(plan, "ada", "x", x)), low, high, 20) <= 1
