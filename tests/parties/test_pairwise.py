"""Consortia whose parties make random material together: no process but their nodes, and right results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mpc
from mpc.computation import Computation
from mpc.instructions import SecretProduct
from mpc.plan import Plan
from mpc.schedule import Schedule
from mpc.schema import Column, Table
from parties.material import check_makeable
from protocols.columns import Column as Narrow
from protocols.correlations import Demand, Label
from protocols.shuffle import SecretPermutation, Shuffle

sys.path.insert(0, str(Path(__file__).parent))
from consortium import EXPOSURE, PARTIES, Running, eventually, exposure, refused

NUMBER = np.random.default_rng(4)
COLUMNS = {
    party: {"k": NUMBER.integers(-50, 50, 40), "r": NUMBER.uniform(-3, 3, 40).round(4), "w": NUMBER.integers(1, 9, 40)}
    for party in PARTIES
}
LONG = {party: {"x": NUMBER.integers(-99, 99, 5000)} for party in PARTIES}
ALTERED = [sys.executable, str(Path(__file__).with_name("offline_node.py"))]
WITHIN_S = 20.0

Raw = dict[str, dict[str, Any]]


def columns(data: Any) -> list[dict[str, Any]]:
    """Of every party, in order."""
    return [{name: data.party(party)["t"][name] for name in "krw"} for party in data.parties]


def dot(own: list[dict[str, Any]], xp: Any) -> Any:
    return xp.dot(own[0]["k"], own[1]["k"])


def rounded(own: list[dict[str, Any]], xp: Any) -> Any:
    return (own[0]["r"] + own[-1]["r"]) * own[1]["r"] * own[0]["r"] * own[1]["r"]


def comparison(own: list[dict[str, Any]], xp: Any) -> Any:
    """Of every party's rows something is compared with something shared."""
    return xp.where(own[0]["k"] < own[1]["r"], sum(each["k"] for each in own), own[-1]["w"])


def division(own: list[dict[str, Any]], xp: Any) -> Any:
    return sum(each["k"] for each in own) / sum(each["w"] for each in own)


def middle(own: list[dict[str, Any]], xp: Any) -> Any:
    return xp.median(xp.concat([each["r"] for each in own]))


def ordered(own: list[dict[str, Any]], xp: Any) -> Any:
    return xp.sort(xp.concat([each["k"] for each in own]))


SCRIPTS = [dot, rounded, comparison, division, middle, ordered]


def tables(parties: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    def as_lists(table: dict[str, Any]) -> dict[str, Any]:
        return {name: values.tolist() for name, values in table.items()}

    return {party: {"t": as_lists(COLUMNS[party]), "long": as_lists(LONG[party])} for party in parties}


def consortium(folder: Path, parties: tuple[str, ...]) -> Running:
    running = Running(folder, tables(parties), source="pairwise")
    running.agree(min_rows=1)
    running.terms(("min_rows = 1", "row_conditions = true\nmin_rows = 1"))
    return running


@pytest.fixture(scope="module", params=[2, 3])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with consortium(tmp_path_factory.mktemp("pairwise") / "c", PARTIES[: request.param]) as running:
        yield running.start()
        assert set(running.processes) == set(running.parties)
        for member in running.parties:
            assert not running.has(member, "fault", code="INTERNAL"), running.said(member)


def test_nobody_else_is_there(running: Running) -> None:
    assert not (running.folder / "dealer").exists()
    assert "dealer" not in (running.folder / "consortium.toml").read_text()
    assert 'source = "pairwise"' in (running.folder / "agreement.toml").read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_results_are_right(running: Running, script: Callable[[list[dict[str, Any]], Any], Any]) -> None:
    result = running.run(lambda data: script(columns(data), mpc))
    expected = script([COLUMNS[party] for party in running.parties], np)
    np.testing.assert_allclose(result["result"], expected, rtol=1e-3, atol=1e-3)


def test_a_long_dot(running: Running) -> None:
    """Long enough for lattice encryption."""
    first, second = running.parties[:2]
    result = running.run(lambda data: data.party(first)["long"]["x"] @ data.party(second)["long"]["x"])
    assert result["result"] == LONG[first]["x"] @ LONG[second]["x"]


LESS = """
@mpc.computation
def below(data):
    first, second = (data.party(party)["t"]["k"] for party in data.parties[:2])
    return (first < second).sum()
"""


def test_explain_tells_what_both_sources_would_cost(running: Running) -> None:
    shown = running.beaver("explain", running.script(LESS))
    assert shown.returncode == 0, shown.stderr
    chosen, other = (line for line in shown.stdout.splitlines() if "pairwise" in line or "dealer" in line)
    assert all(f"bytes from {party}" in chosen for party in running.parties)
    assert f"bytes to {running.parties[-1]}" in other


@dataclass(frozen=True)
class Unmade(SecretPermutation):
    """A correlation that has no maker."""


class ByDealer(Shuffle):
    """A primitive that wants it."""

    def demands(self, parties: int) -> Iterator[tuple[Label, Demand]]:
        yield (), Unmade(parties, self.length, (Narrow(),))


def by_dealer(plan: Plan) -> Schedule:
    """The plan's schedule, with what only a dealer can supply in the place of its only product."""
    schedule = Schedule(plan)
    (i,) = (i for i, each in enumerate(schedule.program) if isinstance(each.action, SecretProduct))
    schedule.program[i] = replace(schedule.program[i], action=ByDealer(5, 1))
    return schedule


def test_what_only_a_dealer_supplies_is_refused() -> None:
    tables = {party: {"t": Table(5, {"k": Column("integer", 0, 9)})} for party in PARTIES}
    plan = Computation(lambda data: data.party("north")["t"]["k"] * data.party("south")["t"]["k"]).plan(tables)
    with refused("MATERIAL_UNAVAILABLE", "test_pairwise.py:", "dealer"):
        check_makeable(by_dealer(plan))
    check_makeable(Schedule(plan))


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [("points", "MESSAGE_INVALID", "no point"), ("words", "FRAME_LENGTH", "words"), ("still", "PEER_STALLED", "sends")],
)
def test_a_party_that_does_not_keep_to_the_protocol(tmp_path: Path, how: str, code: str, said: str) -> None:
    """Every honest party ends the session with a code that names the culprit, in time, and serves the next one."""
    with Running(tmp_path / "c", source="pairwise") as running:
        running.programs = altered(south=how)
        running.start()
        with refused(code, "south", said, within_s=WITHIN_S):
            running.run(product)
        for honest in "north", "west":
            assert eventually(lambda party=honest: running.has(party, "fault", peer="south", phase="offline"), WITHIN_S)  # type: ignore[misc]
        again(running)


def again(running: Running) -> None:
    """South as it should be, all goes well."""
    running.kill("south")
    del running.programs["south"]
    running.start("south")
    assert running.run(exposure)["result"] == EXPOSURE
    assert running.idle()


def altered(**how: str) -> dict[str, list[str]]:
    """Nobody waits for long, and some are altered so."""
    return {party: [*ALTERED, how.get(party, "patient")] for party in PARTIES}


def product(data: Any) -> Any:
    """Material of all three."""
    north, south, west = (data.party(party)["visits"]["visits"] for party in PARTIES)
    return north @ (south * west)


def test_a_party_that_ends_while_material_is_made(tmp_path: Path) -> None:
    with Running(tmp_path / "c", source="pairwise") as running:
        running.programs = altered(south="still")
        running.start()

        def kill(party: str, reached: str) -> None:
            if (party, reached) == ("south", "loaded"):
                running.processes["south"].kill()

        with refused("PEER_LOST", "south", within_s=WITHIN_S):
            running.run(product, progress=kill)
        again(running)
