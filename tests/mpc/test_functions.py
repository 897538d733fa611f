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
    integer = isinstance(low, int) and isinstance(high, int)
    names = ["ada", "bob", "cyd", "dan"][:parties]
    columns = {name: x if name == "ada" else np.zeros(x.size, np.int64) for name in names}
    data = {name: {f"t_{name}": {"x": column}} for name, column in columns.items()}
    ranges = {name: {f"t_{name}": {"x": (low, high) if name == "ada" else (0, 0)}} for name in names}
    kinds = {name: "integer" if name != "ada" or integer else "real" for name in names}
    return data, ranges, kinds


def shared_sum(data) -> object:
    total = 0
    for name in data.parties:
        total = data.party(name)[f"t_{name}"]["x"] + total
    return total


def encoded(plan: Plan, x: np.ndarray) -> np.ndarray:
    """Values rounded as their owner encodes them: what is tested is the function."""
    scale = max(step.params["scale"] for _, step in plan.of("column"))
    return np.ldexp(np.rint(np.ldexp(x, scale)), -scale)


def applied(name: str, x: np.ndarray, low, high, precision: int = 20, parties: int = 2, use=None):
    """The function of a shared value: results, exact results, the plan."""
    data, ranges, _ = tables(x, low, high, parties)
    function = use or getattr(mpc, name)
    computation = mpc.settings(precision=precision)(lambda data: function(shared_sum(data)))
    plan = computation.plan(schema_of(data, ranges))
    if x.dtype != np.int64:
        x = np.clip(encoded(plan, x), low, high)
        data, _, _ = tables(x, low, high, parties)
    got = mpc.simulate(computation, data, ranges)["result"]
    with np.errstate(over="ignore"):
        return np.asarray(got), EXACT[name](x.astype(np.float64)), plan


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
    got, exact, _ = applied(name, sweep(low, high), low, high)
    assert off(name, got, exact, low, high, 20) <= 1


@pytest.mark.parametrize("name", POSITIVE)
def test_forty_octaves(name: str) -> None:
    got, exact, _ = applied(name, sweep(1, 1 << 40), 1, 1 << 40)
    assert off(name, got, exact, 1, 1 << 40, 20) <= 1


@pytest.mark.parametrize(("low", "high"), [(-1000, -1), (-8, -3), (-2.5, -0.001), (-(1 << 40), -1)])
def test_reciprocals_of_negative_numbers(low, high) -> None:
    x = -sweep(-high, -low)
    got, exact, _ = applied("reciprocal", x, low, high)
    assert off("reciprocal", got, exact, low, high, 20) <= 1


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 3), (0, 1000), (0, 1 << 40), (0.0, 1.0), (0.0, 1e5), (0, 0)])
def test_roots_from_zero(low, high) -> None:
    got, exact, _ = applied("sqrt", sweep(low, high), low, high)
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
    got, exact, _ = applied("exp", sweep(low, high), low, high)
    assert off("exp", got, exact, low, high, 20) <= 1


@pytest.mark.parametrize(
    ("low", "high"),
    [(-1.0, 1.0), (-1.5, 1.5), (0.0, 0.0), (-3.0, 5.0), (-8, 8), (-16.0, 16.0), (-20, 20), (3.0, 9.0), (-1000.0, 1000.0),
     (0.0, 1e6), (-1e6, 3.0), (-40.0, -14.5), (14.5, 40.0), (-50, -20), (20, 50), (-(1 << 40), 1 << 40)],
)  # fmt: skip
@pytest.mark.parametrize("name", EVERYWHERE)
def test_logistic_functions(name: str, low, high) -> None:
    near = np.linspace(-40, 40, 3000).clip(low, high)
    x = np.unique(np.concatenate([sweep(low, high), np.rint(near).astype(np.int64) if isinstance(low, int) else near]))
    got, exact, _ = applied(name, x, low, high)
    assert off(name, got, exact, low, high, 20) <= 1


@pytest.mark.parametrize("precision", [1, 4, 12, 21, 24, 25, 31, MOST_PRECISION])
@pytest.mark.parametrize("name", EXACT)
def test_more_and_fewer_bits_by_asking(name: str, precision: int) -> None:
    ranges = {"exp": [(-1.0, 1.5), (-3.0, 4.0)], "sigmoid": [(-1.0, 1.0), (-40.0, 40.0)], "tanh": [(-9.0, 9.0)]}
    for low, high in ranges.get(name, [(1, 3), (1, 1000), (0.02, 10.0)]):
        got, exact, _ = applied(name, sweep(low, high, 300), low, high, precision)
        assert off(name, got, exact, low, high, precision) <= 1


@pytest.mark.parametrize("name", EXACT)
def test_more_parties(name: str) -> None:
    low, high = (-9.0, 9.0) if name in ("exp", *EVERYWHERE) else (1, 1 << 20)
    for parties in (3, 4):
        got, exact, _ = applied(name, sweep(low, high, 300), low, high, parties=parties)
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


finite = st.floats(-1e6, 1e6, allow_nan=False)
positive = st.one_of(st.integers(1, 1 << 30), st.floats(1e-3, 1e6))


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
        got, exact, _ = applied(name, x, low, high, precision)
    except mpc.PlanError as error:
        assert name == "reciprocal" and high / low > 2.0 ** (59 - precision) or "could overflow" in str(error)
        return
    assert off(name, got, exact, low, high, precision) <= 1


@settings(max_examples=40, deadline=None)
@given(columns(st.floats(-14, 14)), st.integers(8, 20))
def test_any_exponential(column, precision: int) -> None:
    x, low, high = column
    got, exact, _ = applied("exp", x, low, high, precision)
    assert off("exp", got, exact, low, high, precision) <= 1


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(EVERYWHERE),
    columns(st.one_of(finite, st.floats(-20, 20), st.integers(-30, 30))),
    st.integers(8, 28),
)
def test_any_logistic(name: str, column, precision: int) -> None:
    x, low, high = column
    got, exact, _ = applied(name, x, low, high, precision)
    assert off(name, got, exact, low, high, precision) <= 1
