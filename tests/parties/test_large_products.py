"""Products that are larger than what a link may carry unacknowledged, over real links in both directions at once."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import mpc
from mpc.encoding import encode_column
from mpc.engine import Engine, combine
from mpc.schedule import Schedule
from mpc.schema import Column, Table
from parties.links import CREDIT, DataEndpoint, PeerLink
from parties.material import drive
from protocols import dealer
from protocols.party import Party
from protocols.rounds import IN_FLIGHT_WORDS

PARTIES = ("ada", "bob")
ROWS = 3_000_000


def shared_product(data):
    x, y = data.party("ada")["t"]["x"], data.party("bob")["t"]["x"]
    return mpc.dot(x + y, (x - y) * (x + y))


def uncut_matrix_product(data):
    x, y = data.party("ada")["t"]["x"], data.party("bob")["t"]["x"]
    return (x.reshape(1000, 3000) @ y.reshape(3000, 1000)).sum(axis=0)


def uneven_matrix_product(data):
    x, y = data.party("ada")["t"]["x"], data.party("bob")["t"]["x"]
    return x.reshape(-1, 3) @ y[:9].reshape(3, 3)


EXPECTED = {
    shared_product: lambda x, y: (x + y) @ ((x - y) * (x + y)),
    uncut_matrix_product: lambda x, y: (x.reshape(1000, 3000) @ y.reshape(3000, 1000)).sum(axis=0),
    uneven_matrix_product: lambda x, y: x.reshape(-1, 3) @ y[:9].reshape(3, 3),
}


def test_links_give_the_credit_that_rounds_count_on() -> None:
    # up to a quarter of the credit may be taken and not yet acknowledged
    assert 8 * IN_FLIGHT_WORDS <= CREDIT * 3 // 4


@pytest.mark.parametrize("function", EXPECTED, ids=lambda function: function.__name__)
def test_more_than_the_credit_each_way(function) -> None:
    columns = [np.random.default_rng(i).integers(-9, 10, ROWS) for i in range(2)]
    plan = mpc.computation(function).plan({p: {"t": Table(ROWS, {"x": Column("integer", -9, 9)})} for p in PARTIES})
    schedule = Schedule(plan)
    with_dealer = {i: os.urandom(32) for i in range(2)}
    corrections = {label: dealer.deal(demand, label, with_dealer) for label, demand in schedule.demands()}
    keys, secret, session = [os.urandom(32), os.urandom(32)], os.urandom(32), os.urandom(16)
    both_open = threading.Barrier(2)
    endpoints = [DataEndpoint("127.0.0.1:0") for _ in PARTIES]

    def run(me: int):
        other = 1 - me
        inputs = {
            i: encode_column(columns[me], step.params)
            for i, step in plan.of("column")
            if step.params["party"] == PARTIES[me]
        }
        source = dealer.DealerSource(me, with_dealer[me], dict(corrections) if me == 1 else {})
        party = Party(me, 2, {other: secret}, source)
        link = PeerLink(PARTIES[other], endpoints[other].address, keys[me], keys[other])
        with endpoints[me].open(me, {other: link}, session, deadline_s=20) as links:
            both_open.wait(
                20
            )  # frames for links that are not open yet are dropped; in a session signatures come between
            return drive(Engine(schedule, party, inputs).run, links)[0].shares["analyst"]["result"]

    try:
        with ThreadPoolExecutor(2) as pool:
            shares = list(pool.map(run, range(2)))
    finally:
        for endpoint in endpoints:
            endpoint.close()
    assert np.array_equal(combine(shares).view(np.int64), EXPECTED[function](*columns))
