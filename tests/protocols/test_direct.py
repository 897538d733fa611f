"""Dots and matrix products in sessions without a dealer: right, at the cost that is told, the way that is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpc
from mpc.cost import estimate
from mpc.explain import explain
from mpc.schedule import Schedule
from mpc.simulate import schema_of
from mpc.sources import protocol_for
from protocols.correlations import Triple
from protocols.lattice.product import pays
from protocols.ot import costs

PARTIES = ["ada", "bob", "cyd"]
ROWS = 9000
NUMBER = np.random.default_rng(3)
RAW = {party: {"t": {"x": NUMBER.integers(-999, 1000, ROWS)}} for party in PARTIES}

Own = list[Any]
Case = Callable[[Own, Any], Any]

DIRECT: dict[str, Case] = {
    "dot": lambda own, xp: own[0] @ own[1],
    "dot of one block": lambda own, xp: own[1][:8191] @ own[0][:8191],
    "dot of one more": lambda own, xp: own[1][:8193] @ own[0][:8193],
    "matrix by vector": lambda own, xp: own[0].reshape(90, 100) @ own[1][:100],
    "vector by matrix": lambda own, xp: own[0][:100] @ own[1].reshape(100, 90),
    "matrix by matrix": lambda own, xp: own[0].reshape(90, 100) @ own[1].reshape(100, 90),
    "X.T @ y": lambda own, xp: xp.stack([own[0], 2 * own[0], own[0] + 1], axis=1).T @ own[1],
    "X.T @ Y": lambda own, xp: own[0].reshape(100, 90).T @ own[1].reshape(100, 90),
    "Gram of two owners": lambda own, xp: own[0].reshape(30, 300) @ own[1].reshape(30, 300).T,
}
OFFLINE: dict[str, Case] = {
    "shared by owned": lambda own, xp: (own[0] + own[1]) @ own[1],
    "owned by shared": lambda own, xp: own[0].reshape(90, 100) @ (own[0] - own[1])[:100],
    "shared by shared": lambda own, xp: (own[0] + own[1]).reshape(90, 100) @ (own[0] - own[1]).reshape(100, 90),
    "Gram of all columns": lambda own, xp: xp.stack([own[0], own[1]]) @ xp.stack([own[0], own[1]]).T,
}


def computation(case: Case, parties: int) -> Any:
    return mpc.computation(lambda data: case([data.party(party)["t"]["x"] for party in PARTIES[:parties]], mpc))


def simulated(case: Case, parties: int) -> tuple[mpc.Result, Schedule, str]:
    """The result, which is checked with its traffic; the schedule; and what is told of products before it runs."""
    raw = {party: RAW[party] for party in PARTIES[:parties]}
    compute = computation(case, parties)
    plan = compute.plan(schema_of(raw, {}))
    result = mpc.simulate(compute, raw, source="pairwise")
    assert np.array_equal(result["result"], case([RAW[party]["t"]["x"] for party in PARTIES], np))
    cost = estimate(plan, protocol_for("pairwise"), "pairwise")
    assert result.traffic.rounds == cost.rounds
    assert dict(result.traffic.bytes_sent) == dict(cost.bytes_sent)
    assert dict(result.traffic.offline_bytes) == dict(cost.offline_bytes)
    told = explain(plan, source="pairwise")
    return result, Schedule(plan, protocol_for("pairwise")), told.split("\n  products\n")[1]


def tells(told: str, phase: str) -> dict[str, int]:
    """The bytes that explain tells for the only product in a phase."""
    (line,) = (line for line in told.splitlines() if line.split()[0] == phase)
    return {party: int(size.replace(",", "")) for size, party in re.findall(r"([\d,]+) bytes from (\w+)", line)}


@pytest.mark.parametrize("parties", [2, 3])
@pytest.mark.parametrize("name", DIRECT)
def test_products_of_two_owners_go_direct(name: str, parties: int) -> None:
    """Nothing offline, nothing from a third party but its share of the result; explain tells the bytes exactly."""
    result, schedule, told = simulated(DIRECT[name], parties)
    assert not list(schedule.demands())
    assert sum(result.traffic.offline_bytes.values()) == 0
    assert "direct, operands encrypted" in told
    assert "offline" not in told
    revealed = 8 * np.size(result["result"])
    sent = {party: size - revealed for party, size in result.traffic.bytes_sent.items() if size > revealed}
    assert tells(told, "online") == sent
    assert set(sent) == {"ada", "bob"}


@pytest.mark.parametrize("parties", [2, 3])
@pytest.mark.parametrize("name", OFFLINE)
def test_products_of_shared_operands_take_random_ones_made_ahead(name: str, parties: int) -> None:
    """By lattice encryption, as the sum of cross terms; explain tells the bytes of both phases exactly."""
    result, schedule, told = simulated(OFFLINE[name], parties)
    ((_, demand),) = schedule.demands()
    assert isinstance(demand, Triple)
    assert pays(demand.product)
    assert "offline, random operands ahead" in told
    base = costs.connect_words(range(parties))
    ahead = {party: result.traffic.offline_bytes[party] - 8 * base[i] for i, party in enumerate(PARTIES[:parties])}
    assert tells(told, "offline") == {party: size for party, size in ahead.items() if size}
    revealed = 8 * np.size(result["result"])
    assert tells(told, "online") == {party: size - revealed for party, size in result.traffic.bytes_sent.items()}


def test_products_of_both_ways_in_one_computation() -> None:
    """Told one by one, equal ones of a line together; those by a dealer are not told."""

    def case(own: Own, xp: Any) -> Any:
        both = sum(own[0] @ own[1][::step] for step in (1, -1)) + (own[0] + own[1]) @ own[1]
        return both + own[0][:5] @ own[1][:5]

    _, schedule, told = simulated(case, 2)
    assert told.count("9,000 by 9,000: direct, operands encrypted, 2 times") == 1
    assert told.count("9,000 by 9,000: offline, random operands ahead") == 1
    assert told.count("5 by 5: offline, random operands ahead") == 1  # few products are cheaper by oblivious transfer
    assert "\n  products\n" not in explain(schedule.plan)
