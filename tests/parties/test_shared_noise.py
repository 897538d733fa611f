"""Noise in parts: enough without the parts of as many parties as the agreement says, and no more than that."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil, exp, log, pi, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import mpc
from mpc.accounting import exactly, rho_of
from mpc.explain import explain
from mpc.noise import Law, draw, laws
from mpc.sensitivity import Sensitivity
from mpc.simulate import simulate
from parties.agreement import Agreement
from parties.errors import Fault
from parties.prose import noise as told

sys.path.insert(0, str(Path(__file__).parent))
from consortium import Running, refused
from test_agreement import FULL
from test_noise import BY_CHANCE, RANGES, TABLES, Seeded, convolved, fits, mass, plan_of

PARTIES = ("north", "south", "west", "east")
DELTA = 1e-6


def moved(*l2: int) -> dict[tuple[str, str], Sensitivity]:
    return {(party, "t"): Sensitivity(each, each**2) for party, each in zip(PARTIES, l2, strict=False)}


def scales(l2: Sequence[int], epsilon: float, colluding: int | None, size: int = 1) -> list[float]:
    found = laws({"epsilon": epsilon, "delta": DELTA}, moved(*l2), size, colluding)
    assert {law.kind for law in found.values()} == {"gaussian"}
    return [law.scale for law in found.values()]


@pytest.mark.parametrize(("colluding", "honest"), [(None, 1), (9, 1), (3, 1), (2, 2), (1, 3), (0, 4)])
def test_the_parts_of_the_honest_are_one_full_share(colluding: int | None, honest: int) -> None:
    (full,) = scales([1000], 1.0, None)
    assert scales([1000] * 4, 1.0, colluding) == pytest.approx([full / sqrt(honest)] * 4, rel=1e-3)


@example([1] * 4, 2.5, 0, 1000)
@example([1] * 4, 8.0, 0, 1)
@example([1] * 4, 12.0, 0, 1)
@given(
    st.lists(st.integers(1, 2**40), min_size=2, max_size=4),
    st.floats(1e-3, 50.0),
    st.integers(0, 4),
    st.integers(1, 10**6),
)
def test_without_the_colluding_there_is_never_too_little(
    l2: list[int], epsilon: float, colluding: int, size: int
) -> None:
    """By Proposition 14, for every party and the worst coalition of others."""
    found = scales(l2, epsilon, colluding, size)
    rho, honest = Fraction(rho_of(epsilon, DELTA)), max(1, len(l2) - colluding)
    for i, own in enumerate(l2):
        others = sorted(scale for j, scale in enumerate(found) if j != i)[: honest - 1]
        parts = [found[i], *others]
        if Fraction(own) ** 2 / (2 * Fraction(found[i]) ** 2) <= rho:
            continue  # its own noise is enough, whatever others add
        assert min(parts) == max(parts) >= 0.5
        tau = 10 * sum(exp(-2 * pi**2 * parts[0] ** 2 * k / (k + 1)) for k in range(1, honest))
        lost = Fraction(own) ** 2 / (2 * honest * Fraction(parts[0]) ** 2)
        assert lost + Fraction(tau) * size <= rho
    assert sum(found) <= sum(scales(l2, epsilon, None, size))


@pytest.mark.parametrize("honest", [2, 3, 8])
@pytest.mark.parametrize("scale", [0.5, 0.6, 0.8, 1.1, 2.0])
def test_the_theorem_holds_for_the_sums_themselves(scale: float, honest: int) -> None:
    """Renyi divergences of the sum from the same moved, number by number, against the bound that is accounted."""
    one = mass(Law("gaussian", scale), ceil(18 * scale))
    sum_ = convolved(*[one] * honest)
    tau = 10 * sum(exp(-2 * pi**2 * scale**2 * k / (k + 1)) for k in range(1, honest))
    for shift in (1, 2, 3):
        for order in (1.05, 1.5, 2.0, 5.0):
            common = [x for x in sum_ if abs(x) < 9 * sqrt(honest) * scale]
            total = sum(sum_[x] ** order * sum_[x - shift] ** (1 - order) for x in common)
            divergence = log(total) / (order - 1)
            assert divergence <= order * shift**2 / (2 * honest * scale**2) + tau + 1e-9


def test_parties_whose_rows_move_a_value_little_are_covered_too() -> None:
    """Parts are all alike; where full shares are less together, they are taken."""
    assert scales([1000, 1, 1], 1.0, 0) == scales([1000, 1, 1], 1.0, None)
    alike = scales([1000, 900, 900], 1.0, 0)
    assert len(set(alike)) == 1
    assert sum(alike) < sum(scales([1000, 900, 900], 1.0, None))


def test_laplace_noise_is_never_shared() -> None:
    whole = laws({"epsilon": 1.0, "delta": 0.0}, moved(7, 7, 7), 1, 0)
    assert whole == laws({"epsilon": 1.0, "delta": 0.0}, moved(7, 7, 7))


def test_a_value_of_one_party_has_a_full_share() -> None:
    assert scales([50], 0.5, 0) == scales([50], 0.5, None)


def over_all(data: object) -> object:
    return mpc.noisy(data.table("visits")["age"].sum(), epsilon=40.0, delta=DELTA)  # type: ignore[attr-defined]


def test_without_the_parts_of_those_who_collude_a_full_share_is_left() -> None:
    """Two of three are honest. A script is planned as ever; the law of what is left is that of two parts."""
    plan = plan_of(over_all)
    (step,) = (i for i, _ in plan.of("noisy"))
    sources = {party: Seeded(number) for number, party in enumerate(TABLES)}
    left = []
    for _ in range(4000):
        noise = {party: draw(plan, party, {}, sources[party], 1)[step].view(np.int64) for party in TABLES}
        left.append(sum(int(each) for each in noise.values()) - int(noise["south"]))
    (law,) = set(laws({"epsilon": 40.0, "delta": DELTA}, moved(120, 120, 120), 1, 1).values())
    part = mass(law, 80)
    assert fits(left, convolved(part, part)) > 0.001
    assert fits(left, part) < BY_CHANCE
    rho = rho_of(40.0, DELTA)
    assert np.var(left) >= 120**2 / (2 * rho) * 0.9


def test_results_are_more_accurate() -> None:
    seeded = Seeded(11)
    deviations = {}
    for colluding in (None, 1, 0):
        results = [simulate(over_all, TABLES, RANGES, noise=seeded, colluding=colluding)["result"] for _ in range(400)]
        deviations[colluding] = float(np.std(np.array(results) - 3 * sum(range(20, 60))))
    assert deviations[1] == pytest.approx(deviations[None] / sqrt(2), rel=0.2)
    assert deviations[0] == pytest.approx(deviations[None] / sqrt(3), rel=0.2)


def test_explain_tells_the_error() -> None:
    plan = plan_of(over_all)
    for colluding in (None, 1, 0):
        law = laws({"epsilon": 40.0, "delta": DELTA}, moved(120, 120, 120), 1, colluding)
        deviation = sqrt(sum(each.scale**2 for each in law.values()))
        assert f"puts it off by {deviation:.3g} (standard deviation)" in explain(plan, colluding=colluding)
    half = plan_of(lambda data: mpc.noisy(data.table("visits")["age"].mean(), epsilon=float(exactly(0.5))))
    assert f"puts it off by {sqrt(3) * 240 * sqrt(2) / 120:.3g} (standard deviation)" in explain(half)
    assert "off by" not in explain(plan_of(lambda data: data.table("visits")["age"].sum()))


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ('noise = "shared"', "go together"),
        ("colluding = 1", "go together"),
        ('noise = "full"\ncolluding = 1', "go together"),
        ('noise = "shared"\ncolluding = -1', "greater than or equal to 0"),
        ('noise = "shared"\ncolluding = 0.5', "whole number"),
        ('noise = "halves"\ncolluding = 1', "'full' or 'shared'"),
    ],
)
def test_what_an_agreement_cannot_say(terms: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "agreement.toml"
    path.write_text(FULL.replace("version = 1\n", f"version = 1\n{terms}\n", 1))
    with pytest.raises(Fault) as caught:
        Agreement.load(path)
    assert caught.value.code == "AGREEMENT_INVALID"
    assert said in caught.value.message


def agreed(tmp_path: Path, terms: str) -> Agreement:
    path = tmp_path / "agreement.toml"
    path.write_text(FULL.replace("version = 1\n", f"version = 1\n{terms}\n", 1))
    return Agreement.load(path)


def test_the_assumption_is_told_in_plain_words(tmp_path: Path) -> None:
    assert "nothing needs to be taken for granted" in told(agreed(tmp_path, ""))
    one = told(agreed(tmp_path, 'noise = "shared"\ncolluding = 1'))
    assert "at most one party may show the others, or the recipients, what noise it added, or leave it out" in one
    assert "at most 2 of the parties" in told(agreed(tmp_path, 'noise = "shared"\ncolluding = 2'))
    assert "no party shows anybody" in told(agreed(tmp_path, 'noise = "shared"\ncolluding = 0'))


AGES = {party: {"visits": {"age": [20 + i % 40 for i in range(40)]}} for party in ("north", "south")}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "c", AGES) as running:
        tables = [
            (f"[data.{party}.visits]\n", f"[data.{party}.visits]\nbudget = {{epsilon = 100.0, delta = 1e-5}}\n")
            for party in AGES
        ]
        running.terms(("version = 1\n", 'version = 1\nnoise = "shared"\ncolluding = 0\n'), *tables)
        yield running


def test_nodes_add_their_parts_and_explain_says_so(running: Running) -> None:
    running.start()
    script = running.script(
        """@mpc.computation
def ages(data):
    return {"sum": mpc.noisy(data.table("visits")["age"].sum(), epsilon=40.0, delta=1e-6)}
"""
    )
    low, high = Agreement.load(running.folder / "agreement.toml").data["north"]["visits"].columns["age"].range
    width = int(high - low)
    part = laws({"epsilon": 40.0, "delta": DELTA}, moved(width, width), 1, 0)["north"].scale
    assert f"puts it off by {sqrt(2) * part:.3g} (standard deviation)" in running.beaver("explain", script).stdout
    result = running.run(lambda data: mpc.noisy(data.table("visits")["age"].sum(), epsilon=40.0, delta=1e-6))["result"]
    assert abs(result - 2 * sum(AGES["north"]["visits"]["age"])) < 20 * part
    shown = " ".join(running.beaver("agreement", "show", ".").stdout.split())
    assert "no party shows anybody what noise it added" in shown


def test_a_recipient_who_adds_noise_knows_its_part(running: Running) -> None:
    with refused("AGREEMENT_INVALID", "colluding = 0: north receives results and knows its own noise"):
        running.terms(('recipients = ["analyst"]', 'recipients = ["analyst", "north"]'))
    running.terms(("colluding = 0", "colluding = 1"))
