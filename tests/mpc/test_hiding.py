"""What hides statistically hides all matrix products of a session together."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

import mpc
from mpc.explain import explain
from mpc.instructions import SecretProduct
from mpc.schedule import Schedule
from mpc.schema import Column, Table
from mpc.sources import protocol_for
from protocols.correlations import Triple
from protocols.lattice.parameters import HIDING
from protocols.lattice.product import LatticeProduct, pays, plan
from protocols.pairwise_costs import private_product

PARTIES = ("bank", "insurer", "tax")
TABLES = {party: {"t": Table(5_500, {"x": Column("real", -1.0, 1.0)})} for party in PARTIES}


def column(data: mpc.Data, party: str) -> mpc.Value:
    return data.party(party)["t"]["x"]


def owned(data: mpc.Data) -> mpc.Value:
    """Many products of two owners."""
    x, y = column(data, "bank").reshape(1_100, 5), column(data, "insurer")
    return sum((x @ y[5 * k : 5 * k + 5]).sum() for k in range(50))


def shared(data: mpc.Data) -> mpc.Value:
    """Products of what all share: several pieces, and six cross terms each."""
    x, y = (sum(column(data, party) * k for party in PARTIES) for k in (1, 2))
    return mpc.dot(x, y) + x.reshape(50, 110)[:, :50].sum(axis=0) @ y[:50]


def by_lattice_in(schedule: Schedule) -> Iterator[tuple[int, LatticeProduct]]:
    """Every product that is computed by lattice encryption, direct or ahead, and how many times."""
    ahead = {int(label[0]) for label, _ in schedule.demands()}
    for i, instruction in enumerate(schedule.program):
        action = instruction.action
        if isinstance(action, SecretProduct) and pays(action.product) and i not in ahead:
            yield 1, plan(action.product)
    for _, demand in schedule.demands():
        if isinstance(demand, Triple) and pays(demand.product):
            crossing = sum(a != b for a in demand.a_holders for b in demand.b_holders)
            yield crossing, private_product(demand.product, demand.a_holders, demand.b_holders)


@pytest.mark.parametrize(("script", "least"), [(owned, 50), (shared, 6)])
def test_all_together_are_hidden(script: object, least: int) -> None:
    planned = mpc.computation(script).plan(TABLES)  # type: ignore[arg-type]
    ways = list(by_lattice_in(Schedule(planned, protocol_for("pairwise"))))
    assert sum(count for count, _ in ways) >= least
    told = sum(count * 2.0**-part.hiding for count, how in ways for part in how.passes)
    assert -math.log2(told) >= HIDING
    assert f"hides inputs by {HIDING} bits, over all of these together" in explain(planned, source="pairwise")
