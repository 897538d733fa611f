"""Noise has exactly the law that it should have, is measured by what a row can do, and enough of it stays."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from math import ceil, exp, floor, fsum, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

import mpc
from mpc.accounting import exactly, rho_of
from mpc.errors import PlanError
from mpc.noise import Law, draw, laws, opendp
from mpc.plan import Plan
from mpc.schema import Column, Schema, Table
from mpc.sensitivity import Sensitivity
from mpc.simulate import simulate
from parties.noise import draw_unseen

AGES = list(range(20, 60))
TABLES = {party: {"visits": {"age": AGES}} for party in ("north", "south", "west")}
RANGES = {party: {"visits": {"age": (0, 120)}} for party in TABLES}
SCHEMA: Schema = {party: {"visits": Table(40, {"age": Column("integer", 0, 120)})} for party in TABLES}
BY_CHANCE = 1e-9
"""A right sampler fails a test with this probability; one with fixed seeds always passes or never."""


class Seeded:
    """A source of noise from a seed: the algorithms of Canonne, Kamath and Steinke (2020) on Python's integers."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def __call__(self, law: Law, count: int) -> Sequence[int]:
        scale = Fraction(law.scale)
        return [self.laplace(scale) if law.kind == "laplace" else self.gaussian(scale) for _ in range(count)]

    def bernoulli(self, p: Fraction) -> bool:
        return self.chance.randrange(p.denominator) < p.numerator

    def bernoulli_exp(self, x: Fraction) -> bool:
        """True with probability exp(-x)."""
        if x > 1:
            return all(self.bernoulli_exp(Fraction(1)) for _ in range(floor(x))) and self.bernoulli_exp(x - floor(x))
        k = 1
        while self.bernoulli(x / k):
            k += 1
        return k % 2 == 1

    def laplace(self, scale: Fraction) -> int:
        s, t = scale.denominator, scale.numerator
        while True:
            u = self.chance.randrange(t)
            if not self.bernoulli_exp(Fraction(u, t)):
                continue
            v = 0
            while self.bernoulli_exp(Fraction(1)):
                v += 1
            sign, y = self.bernoulli(Fraction(1, 2)), (u + t * v) // s
            if not (sign and y == 0):
                return -y if sign else y

    def gaussian(self, scale: Fraction) -> int:
        t = floor(scale) + 1
        while True:
            y = self.laplace(Fraction(t))
            if self.bernoulli_exp((abs(y) - scale**2 / t) ** 2 / (2 * scale**2)):
                return y


def mass(law: Law, most: int) -> dict[int, float]:
    """The probability of every number from -most to most."""
    weigh: Callable[[int], float] = (
        (lambda x: exp(-abs(x) / law.scale)) if law.kind == "laplace" else (lambda x: exp(-(x**2) / (2 * law.scale**2)))
    )
    weights = {x: weigh(x) for x in range(-most, most + 1)}
    total = fsum(weights.values())
    return {x: weight / total for x, weight in weights.items()}


def convolved(*masses: Mapping[int, float]) -> dict[int, float]:
    """The law of a sum."""
    total: dict[int, float] = {0: 1.0}
    for each in masses:
        sums: dict[int, float] = {}
        for x, p in total.items():
            for y, q in each.items():
                sums[x + y] = sums.get(x + y, 0.0) + p * q
        total = sums
    return total


def fits(drawn: Sequence[int], law: Mapping[int, float]) -> float:
    """The probability, by a chi-square test, that a law gives numbers as far from what it should give as these."""
    seen = Counter(drawn)
    pooled: list[tuple[float, int]] = []
    expected, found = 0.0, 0
    for x in sorted(law):
        expected, found = expected + law[x] * len(drawn), found + seen.pop(x, 0)
        if expected >= 10:
            pooled.append((expected, found))
            expected, found = 0.0, 0
    last = pooled.pop()
    pooled.append((last[0] + expected, last[1] + found + sum(seen.values())))
    statistic = fsum((found - expected) ** 2 / expected for expected, found in pooled)
    return float(chi2.sf(statistic, len(pooled) - 1))


LAWS = [Law("laplace", scale) for scale in (0.3, 1.0, 4.7, 30.0)] + [
    Law("gaussian", scale) for scale in (0.4, 1.0, 5.5)
]


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_opendp_draws_from_the_law(law: Law) -> None:
    assert fits(opendp(law, 20_000), mass(law, ceil(40 * law.scale) + 5)) > BY_CHANCE


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_the_seeded_source_draws_from_the_law(law: Law) -> None:
    assert fits(Seeded(1)(law, 20_000), mass(law, ceil(40 * law.scale) + 5)) > 0.001


@pytest.mark.parametrize("other", [Law("laplace", 4.3), Law("laplace", 5.1), Law("gaussian", 6.6)], ids=str)
def test_another_law_does_not_pass(other: Law) -> None:
    assert fits(Seeded(1)(other, 20_000), mass(Law("laplace", 4.7), 200)) < BY_CHANCE


def plan_of(script: Callable[[Any], Any], schema: Schema = SCHEMA) -> Plan:
    return mpc.computation(script).plan(schema)


def over_all(data: Any) -> Any:
    return mpc.noisy(data.table("visits")["age"].sum(), epsilon=40.0)


def test_results_have_the_law_of_all_parties_noise_together() -> None:
    """Three parties, each with the full share: 120 / 40."""
    seeded = Seeded(7)
    truth = 3 * sum(AGES)
    results = [simulate(over_all, TABLES, RANGES, noise=seeded)["result"] for _ in range(1500)]
    one = mass(Law("laplace", 3.0), 100)
    assert fits([result - truth for result in results], convolved(one, one, one)) > 0.001
    assert fits([result - truth for result in results], one) < BY_CHANCE


@cache
def noise_of_all() -> list[dict[str, int]]:
    """What every party adds, drawn 5000 times."""
    plan = plan_of(over_all)
    (step,) = (i for i, _ in plan.of("noisy"))
    sources = {party: Seeded(number) for number, party in enumerate(TABLES)}
    return [
        {party: int(draw(plan, party, {}, sources[party])[step].view(np.int64)) for party in TABLES}
        for _ in range(5000)
    ]


@pytest.mark.parametrize("honest", TABLES)
def test_without_the_noise_of_all_others_a_full_share_is_left(honest: str) -> None:
    """The others together know their own noise, and their own values: what they cannot take off is one full share."""
    left = []
    for noise in noise_of_all():
        result = sum(noise.values())
        left.append(result - sum(noise[party] for party in TABLES if party != honest))
    assert fits(left, mass(Law("laplace", 3.0), 100)) > 0.001


def test_who_has_no_data_in_a_value_adds_no_noise() -> None:
    plan = plan_of(lambda data: mpc.noisy(data.party("north")["visits"]["age"].sum()))
    assert any(draw(plan, "north", {})[step] for _ in range(20) for step, _ in plan.of("noisy"))
    assert not any(draw(plan, "south", {})[step] for _ in range(20) for step, _ in plan.of("noisy"))


def test_arrays_get_noise_in_every_element() -> None:
    script = lambda data: mpc.noisy(data.table("visits")["age"] * 1)  # noqa: E731
    result = simulate(script, TABLES, RANGES)["result"]
    assert np.count_nonzero(result - np.array(3 * AGES)) > 100


numbers = st.integers(1, 2**60)


@given(numbers, st.floats(1e-6, 100.0), st.sampled_from([0.0, 1e-12, 1e-6, 0.3]))
def test_noise_is_never_less_than_the_definition_asks_for(moved: int, epsilon: float, delta: float) -> None:
    """Laplace: L1 / scale is at most epsilon. Gaussian: L2^2 / (2 scale^2) is at most a rho that gives the two."""
    params = {"epsilon": epsilon, "delta": delta, "spread": 1.0}
    (law,) = laws(params, {("north", "t"): Sensitivity(moved, moved**2)}).values()
    if delta == 0:
        assert Fraction(moved) / Fraction(law.scale) <= exactly(epsilon)
        assert law.scale <= moved / epsilon * (1 + 1e-12)
    else:
        assert Fraction(moved) ** 2 / (2 * Fraction(law.scale) ** 2) <= Fraction(rho_of(epsilon, delta))
        assert law.scale <= moved / sqrt(2 * rho_of(epsilon, delta)) * (1 + 1e-6) + 1e-6


@pytest.mark.parametrize(("l1", "epsilon"), [(1, 1.0), (8, 0.1), (120, 1 / 3), (2**40, 0.7)])
def test_opendp_agrees_on_the_privacy_of_laplace_noise(l1: int, epsilon: float) -> None:
    """Its own proof of the mechanism says so, too."""
    import opendp.prelude as dp

    (law,) = laws({"epsilon": epsilon, "delta": 0.0}, {("north", "t"): Sensitivity(l1, l1**2)}).values()
    dp.enable_features("contrib")
    mechanism = dp.m.make_laplace(dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64"), scale=law.scale)
    assert mechanism.map(l1) <= epsilon * (1 + 1e-9)


def test_each_party_measures_by_its_own_tables() -> None:
    moved = {
        ("north", "a"): Sensitivity(10, 100),
        ("north", "b"): Sensitivity(30, 900),
        ("south", "a"): Sensitivity(5, 25),
    }
    assert laws({"epsilon": 1.0, "delta": 0.0}, moved) == {"north": Law("laplace", 30.0), "south": Law("laplace", 5.0)}


def test_gaussian_noise_is_less_for_many_numbers() -> None:
    """A histogram of 100 cells, of which a row changes two."""
    moved = {("north", "t"): Sensitivity(100, 100)}
    (laplace,) = laws({"epsilon": 1.0, "delta": 0.0}, moved).values()
    (gaussian,) = laws({"epsilon": 1.0, "delta": 1e-6}, moved).values()
    assert gaussian.scale < laplace.scale / 2


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan"), float("inf"), -0.0, float("-inf")])
def test_an_epsilon_that_is_none(epsilon: float) -> None:
    with pytest.raises(mpc.ScriptError, match="epsilon must be a finite number above 0"):
        plan_of(lambda data: mpc.noisy(data.table("visits")["age"].sum(), epsilon=epsilon))


@pytest.mark.parametrize("delta", [-1e-9, 1.0, 2.0, float("nan"), float("inf")])
def test_a_delta_that_is_none(delta: float) -> None:
    with pytest.raises(mpc.ScriptError, match="delta must be at least 0 and below 1"):
        plan_of(lambda data: mpc.noisy(data.table("visits")["age"].sum(), delta=delta))


@pytest.mark.parametrize(("epsilon", "delta"), [(1e-300, 0.0), (1e-17, 0.0), (5e-324, 1e-6), (1e-18, 1e-300)])
def test_more_noise_than_there_are_numbers(epsilon: float, delta: float) -> None:
    with pytest.raises(PlanError, match=r"noise|overflow"):
        plan_of(lambda data: mpc.noisy(data.table("visits")["age"].sum(), epsilon=epsilon, delta=delta))


def test_nothing_to_protect() -> None:
    for script in (
        lambda data: mpc.noisy(data.table("visits").count()),
        lambda data: mpc.noisy(mpc.noisy(data.table("visits")["age"].sum())),
    ):
        with pytest.raises(PlanError, match="depends on no row"):
            plan_of(script)


def test_the_same_noise_twice_is_one_noise() -> None:
    def twice(data: Any) -> Any:
        first, second = (mpc.noisy(data.table("visits")["age"].sum(), epsilon=0.5) for _ in range(2))
        return {"first": first, "second": second, "half": first / 2}

    assert len(list(plan_of(twice).of("noisy"))) == 1
    result = simulate(twice, TABLES, RANGES)
    assert result["first"] == result["second"] == 2 * result["half"]


def test_a_plan_without_room_for_its_noise() -> None:
    plan = plan_of(over_all)
    (step,) = (i for i, _ in plan.of("noisy"))
    steps = list(plan.steps)
    steps[step] = type(steps[step])("noisy", steps[step].inputs, {**steps[step].params, "spread": 0.001})
    with pytest.raises(PlanError, match="no room for its noise"):
        draw(Plan(plan.parties, tuple(steps)), "north", {})


def test_one_person_with_several_rows_needs_more_noise() -> None:
    schema = {party: {"visits": Table(40, tables["visits"].columns, 5)} for party, tables in SCHEMA.items()}
    scales = []

    def seen(law: Law, count: int) -> Sequence[int]:
        scales.append(law.scale)
        return [0] * count

    for unit_rows in ({}, {("north", "visits"): 5}):
        draw(plan_of(over_all, schema), "north", unit_rows, seen)
    assert scales == [3.0, 15.0]


def test_drawing_takes_whole_periods_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the sampler takes, what is seen of it is a number of periods."""
    plan = plan_of(over_all)
    waited: list[float] = []
    monkeypatch.setattr("parties.noise.time.sleep", waited.append)
    now = iter([0.0, 0.001, 0.0, 0.0301, 0.0, 0.1501])
    monkeypatch.setattr("parties.noise.time.monotonic", lambda: next(now))
    for taken in (0.001, 0.0301, 0.1501):
        draw_unseen(plan, "north", {}, lambda law, count: [0] * count)
        period = 0.1002
        assert (waited[-1] + taken) / period == pytest.approx(round((waited[-1] + taken) / period))
    assert waited[0] + 0.001 == pytest.approx(waited[1] + 0.0301)


def test_plans_without_noise_wait_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parties.noise.time.sleep", pytest.fail)
    assert draw_unseen(plan_of(lambda data: data.table("visits")["age"].sum()), "north", {}) == {}
