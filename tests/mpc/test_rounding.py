"""What an owner multiplies is rounded at random, exactly without bias: rounding to the nearest compares single rows."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import mpc
from mpc.degrees import degrees
from mpc.disclosure import aggregates
from mpc.operations.rounding import MultiplyRounded, scaled_product
from mpc.plan import Plan, Step
from mpc.simulate import schema_of
from mpc.types import PUBLIC, Domain, Private, Type

words = st.integers(0, 2**64 - 1)
numbers = st.integers(1, 63).flatmap(lambda bits: st.integers(1 - 2**bits, 2**bits - 1))


@given(numbers, numbers, st.integers(0, 140), words, words)
def test_products_are_those_of_integers(x: int, y: int, more: int, low: int, high: int) -> None:
    bits = max(0, abs(x * y).bit_length() - 62) + more
    drawn = (high << 64 | low) % (1 << bits)
    expected = 0 if bits > 127 else (abs(x * y) + drawn >> bits) * (1 if (x < 0) == (y < 0) else -1)
    random = np.array([[low], [high]], np.uint64)
    assert scaled_product(np.array([x]), np.array([y]), bits, random)[0] == expected


def test_the_upper_neighbour_comes_with_the_probability_of_the_fraction() -> None:
    count, bits = 20_000, 50
    y = (1 << 50) // 10 * 3  # 0.3 within 2^-49
    for visibility in (Private("ada"), PUBLIC):
        types = [Type(visibility, (count,), Domain("real", scale), -(1 << 60), 1 << 60) for scale in (0, bits)]
        operands = [np.full(count, number).view(np.uint64) for number in (-1, y)]
        told = MultiplyRounded().evaluate(operands, types, {"scale": 0}).view(np.int64)
        if visibility == PUBLIC:
            assert not told.any()
        else:
            assert set(told.tolist()) == {-1, 0}
            assert abs(told.mean() + 0.3) < 6 * math.sqrt(0.21 / count)


ROWS = 40
TABLES = {p: {"t": {"id": np.arange(ROWS), "f": np.linspace(0, 1, ROWS)}} for p in ("north", "south")}


def degree_of(*steps: Step) -> float:
    """Of north's rows, at least ten together, in what the last step gives."""
    last = len(steps) - 1
    reveal = Step("reveal", (last + 1,), {"name": "r", "to": ["analyst"], "unit": b""})
    plan = Plan(("north", "south"), (*steps, Step("share", (last,)), reveal))
    return degrees(plan, "north", aggregates(plan, "north", 10))["r"]


def test_moments_of_single_rows_count_as_compared() -> None:
    place = {"party": "north", "table": "t", "rows": ROWS}
    ids = Step("column", (), {**place, "column": "id", "kind": "integer", "low": 0, "high": 39, "scale": 0})
    moment = {"about": -(2.0**59), "scale": 0}
    total = Step("sum", (2,), {"axes": [0]})
    assert degree_of(ids, Step("reshape", (0,), {"shape": [1, ROWS]}), Step("mean", (1,), moment), total) == math.inf
    assert degree_of(ids, Step("reshape", (0,), {"shape": [ROWS, 1]}), Step("mean", (1,), moment), total) <= 1


def test_matrices_rounded_by_their_owner_count_as_compared_and_products_do_not() -> None:
    def degree(script: object) -> float:
        plan = mpc.computation(script).plan(schema_of(TABLES, {}))  # type: ignore[arg-type]
        return degrees(plan, "north", aggregates(plan, "north", 10))["result"]

    def f(data: mpc.Data) -> mpc.Value:
        return data.party("north")["t"]["f"]

    assert degree(lambda data: (f(data) * f(data) * 0.1).sum()) <= 2
    assert degree(lambda data: (mpc.stack([f(data), f(data) + 1], axis=1) @ np.array([0.1, 0.7])).sum()) == math.inf
    assert degree(lambda data: f(data) @ f(data)) <= 2
