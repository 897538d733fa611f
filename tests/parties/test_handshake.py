"""Nothing leaves a node on a data link before everybody has signed: the test holds the other end of the link."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

import mpc
from mpc.computation import Computation
from mpc.plan import Plan
from parties.frames import Kind, Sealer
from parties.handshake import RING
from parties.heads import Head
from parties.identity import Identity
from parties.session import Ephemeral, Hello, Transcript, open_hello

sys.path.insert(0, str(Path(__file__).parent))
from consortium import Running, total
from hand import Hand

TABLES = {party: {"visits": {"visits": list(range(30))}} for party in ("north", "south")}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Only south runs; north's keys and its data port are the test's."""
    with Running(tmp_path_factory.mktemp("handshake") / "c", TABLES) as running:
        running.agree(recipients=["analyst", "north"])
        yield running.start("south")


@contextmanager
def data_port(address: str) -> Iterator[zmq.Socket[bytes]]:
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.bind(f"tcp://{address}")
    try:
        yield router
    finally:
        context.destroy(linger=0)


def kinds(router: zmq.Socket[bytes], within_s: float) -> list[Kind]:
    """Of the frames that come, until one ends the session; their headers are not encrypted."""
    came: list[Kind] = []
    while (not came or came[-1] == Kind.DATA) and router.poll(within_s * 1000):
        came.append(Kind(router.recv_multipart()[-1][17]))
    return came


@pytest.mark.parametrize("whose", ["", "north", "south"])
def test_nothing_is_sent_before_every_signature_was_verified(running: Running, whose: str) -> None:
    """`whose` signature is wrong; nobody's: then the share of north's result comes, which is how we know we see it."""
    analyst = running.analyst()
    plan = analyst.plan(
        Computation(lambda data: mpc.reveal(total(data), to="north")), {party: {"visits": 30} for party in TABLES}
    )
    identity = Identity.load(running.folder / "north" / "identity.key")
    with data_port(analyst.consortium.process("north").data) as router, Hand(running) as hand:
        mine, ephemeral = north_says(hand, plan, identity)
        hand.submit(plan.encode(), "south")
        hellos = [mine.to_wire(), *hand.hellos("south")]
        hand.tell("south", "hellos", hellos=hellos)
        signatures = {"south": hand.hear("south", "signature")["signature"]}
        transcript = Transcript([Hello.from_wire(hello) for hello in hellos], hand.consortium, plan.parties, own=mine)
        head = Head.signed(identity, "north", 1, bytes(32))
        signatures["north"] = transcript.sign(identity, head.pack())
        assert kinds(router, 0.5) == []
        if whose:
            signatures[whose] = bytes([signatures[whose][0] ^ 1]) + signatures[whose][1:]
        hand.tell("south", "signatures", signatures=signatures)
        if whose:
            report = hand.hear("south", "fault", "done")["report"]
            assert (report["code"], report["peer"], report["party"]) == ("SIGNATURE_INVALID", whose, "south")
            assert kinds(router, 1.0) == [Kind.ABORT]
        else:
            # A share of the result and south's head; then it wants north's head, and is done.
            assert kinds(router, 1.0) == [Kind.DATA, Kind.DATA]
            key, _ = transcript.link_keys("south", transcript.secrets(ephemeral)["south"])
            head = Head.signed(identity, "north", 2, bytes(32))
            send(analyst.consortium.process("south").data, Sealer(key, 0).seal(Kind.DATA, head.pack()))
            hand.hear("south", "done")
            assert kinds(router, 1.0) == [Kind.END]


def send(address: str, frame: memoryview) -> None:
    context = zmq.Context()
    with context.socket(zmq.DEALER) as dealer:
        dealer.connect(f"tcp://{address}")
        dealer.send(frame)
    context.term()


def north_says(hand: Hand, plan: Plan, identity: Identity) -> tuple[Hello, Ephemeral]:
    return open_hello(
        identity,
        session=hand.session,
        name="north",
        role="party",
        consortium=hand.consortium.digest(),
        agreement=hand.agreement.digest(),
        plan=plan.digest,
        source=hand.agreement.source,
        parameters={"ring": RING, "protocol": "additive"},
        inputs=[],
        cursor=0,
        heads={},
    )
