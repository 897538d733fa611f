"""Columns become ring elements and results numbers: rounding, refusals that show no value, the caller's own memory."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpc
from mpc.encoding import decode, encode_column
from mpc.errors import DataError
from mpc.types import SHARED, Domain, Type


def params(kind: str = "real", low: float = -100, high: float = 100, rows: int = 5, scale: int = 0) -> dict:
    named = {"party": "ada", "table": "visits", "column": "age"}
    return {**named, "kind": kind, "low": low, "high": high, "rows": rows, "scale": scale}


SECRET = 77.125
GOOD = np.array([1.0, SECRET, -3.0, 2.0, 5.0])


@pytest.mark.parametrize(
    ("values", "declared", "message"),
    [
        ([1.0, np.nan, SECRET, np.nan, 0], params(), "2 rows hold NaN or an infinity"),
        ([np.inf, 0, 0, SECRET, 0], params(), "1 rows hold NaN or an infinity"),
        ([-np.inf, np.nan, 101, SECRET, 0], params(), "2 rows hold NaN or an infinity"),
        ([101.0, -100.5, SECRET, 0, 0], params(), r"2 rows lie outside the declared range \[-100, 100\]"),
        ([1e300, 0, 0, 0, SECRET], params(), "1 rows lie outside"),
        ([101, 0, 0, 0, 77], params("integer"), "1 rows lie outside"),
        ([2**63 - 1, -(2**63), 0, 0, 77], params("integer"), "2 rows lie outside"),
        ([1.0, 0, SECRET], params(), "has 3 rows, the plan was made for 5"),
        ([SECRET] * 6, params(), "has 6 rows, the plan was made for 5"),
        ([0.5] * 5, params("integer"), "holds real numbers, an integer column is declared"),
    ],
)
def test_what_cannot_be_encoded_names_the_column_and_no_value(values, declared, message: str) -> None:
    with pytest.raises(DataError, match=message) as told:
        encode_column(np.array(values), declared)
    assert str(told.value).startswith("ada.visits.age")
    assert "77" not in str(told.value)
    assert "1e+300" not in str(told.value)


def test_every_block_is_looked_at() -> None:
    values = np.zeros(100_000)
    values[[5, 50_000, 99_999]] = 101, np.nan, -101
    with pytest.raises(DataError, match="1 rows hold NaN"):
        encode_column(values, params(rows=100_000))
    values[50_000] = 0
    with pytest.raises(DataError, match="2 rows lie outside"):
        encode_column(values, params(rows=100_000))


@settings(max_examples=300)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.integers(0, 56))
def test_rounding_is_off_by_half_a_unit_at_most(values, scale: int) -> None:
    declared = params(rows=len(values), scale=scale)
    encoded = encode_column(np.array(values), declared).view(np.int64)
    for value, element in zip(values, encoded, strict=True):
        assert abs(Fraction(value) * 2**scale - int(element)) <= Fraction(1, 2)
        assert -100 * 2**scale <= element <= 100 * 2**scale


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("stride", [1, 2, -1])
def test_the_callers_memory_is_left_alone_unless_given_away(dtype, stride: int) -> None:
    values = np.arange(10).astype(dtype)[::stride]
    kept = values.copy()
    expected = np.round(kept.astype(np.float64) * 4).astype(np.int64)
    declared = params(rows=values.size, scale=2)
    assert np.array_equal(encode_column(values, declared).view(np.int64), expected)
    assert np.array_equal(values, kept)
    values.flags.writeable = False
    assert np.array_equal(encode_column(values, declared, overwrite=True).view(np.int64), expected)
    assert np.array_equal(values, kept)


def test_memory_that_is_given_away_is_used() -> None:
    values = GOOD.copy()
    encoded = encode_column(values, params(scale=8), overwrite=True)
    assert np.shares_memory(encoded, values)
    assert np.array_equal(encoded.view(np.int64), GOOD * 256)
    whole = np.arange(5)
    assert np.array_equal(encode_column(whole, params("integer"), overwrite=True), np.arange(5))


def test_a_simulation_never_changes_the_callers_arrays() -> None:
    rng = np.random.default_rng(0)
    data = {name: {"t": {"r": rng.uniform(-1, 1, 50), "k": rng.integers(0, 9, 50)}} for name in ("ada", "bob")}
    kept = {name: {key: column.copy() for key, column in tables["t"].items()} for name, tables in data.items()}

    def everything(d):
        a, b = d.party("ada")["t"], d.party("bob")["t"]
        products = (a["r"] * b["r"]).sum() + mpc.dot(a["k"], b["r"])
        return {"own": -a["k"], "plain": a["r"], "sum": a["k"].reshape(50) + b["k"], "products": products}

    mpc.simulate(everything, data)
    for name, tables in data.items():
        for key, column in tables["t"].items():
            assert np.array_equal(column, kept[name][key])


def type_of(domain: Domain, shape: tuple[int, ...] = ()) -> Type:
    return Type(SHARED, shape, domain, 0, 0)


def words(*values: int) -> np.ndarray:
    return np.array([value % 2**64 for value in values], np.uint64)


def test_decoding_extremes() -> None:
    integer, real = Domain("integer"), Domain("real", 10)
    low, high = -(2**63), 2**63 - 1
    for extreme in (low, high, 0, -1):
        assert decode(words(extreme), type_of(integer)) == extreme
        assert type(decode(words(extreme), type_of(integer))) is int
        assert decode(words(extreme), type_of(real)) == extreme / 2**10
    assert np.array_equal(decode(words(low, high), type_of(integer, (2, 1))), [[low], [high]])
    assert decode(words(), type_of(real, (0, 3))).shape == (0, 3)


@pytest.mark.parametrize("scale", [0, 52, 64, 500, 1100, 2000])
@pytest.mark.parametrize("divisor", [1, 3, 2**63 - 1, 7**100])
def test_decoding_any_denominator(scale: int, divisor: int) -> None:
    domain = Domain("real", scale, divisor)
    numbers = [1, -5, 10**18]
    expected = [float(Fraction(number, 2**scale * divisor)) for number in numbers]
    assert [decode(words(number), type_of(domain)) for number in numbers] == expected
    np.testing.assert_allclose(decode(words(*numbers), type_of(domain, (3,))), expected, rtol=1e-15, atol=1e-323)
