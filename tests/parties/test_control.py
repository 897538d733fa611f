"""Control connections between real sockets and processes: who may speak, as whom, and what is told when it fails."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from parties.control import ControlClient, ControlServer, Peer
from parties.errors import Fault
from parties.identity import Identity

NODE, ANA, BOB, EVE = (Identity.create() for _ in range(4))
ALLOWED = {ANA.transport_key: "ana", BOB.transport_key: "bob"}


class Serving:
    """A server that echoes, in a thread."""

    def __init__(self) -> None:
        self.server = ControlServer(NODE, ALLOWED.get, "127.0.0.1:0", lambda name: 4096 if name == "bob" else 64 << 20)
        self.peers: list[Peer] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            for peer, message in self.server.poll(0.1):
                self.peers.append(peer)
                if message["kind"] != "quiet":
                    self.server.send(peer, {"kind": "echo", "from": peer.name, "message": message})
        self.server.close()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def serving() -> Iterator[Serving]:
    serving = Serving()
    yield serving
    serving.end()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    NODE.save(tmp_path / "key")
    command = [sys.executable, str(Path(__file__).parent / "control_node.py"), str(tmp_path / "key"), ANA.transport_key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def reaching(identity: Identity, address: str, key: str = NODE.transport_key) -> ControlClient:
    return ControlClient(identity, {"north": (address, key)})


def ask(client: ControlClient, timeout_s: float = 10.0) -> object:
    client.send("north", {"kind": "ping", "n": 1})
    name, message = client.receive(timeout_s)
    assert name == "north"
    return message["from"]


def failure(client: ControlClient, timeout_s: float = 10.0) -> tuple[str, float]:
    start = time.monotonic()
    with pytest.raises(Fault) as caught:
        client.receive(timeout_s)
    assert caught.value.remedy
    if caught.value.code != "NO_ANSWER":
        assert caught.value.report.peer == "north"
        assert "north" in caught.value.message
    return caught.value.code, time.monotonic() - start


def test_members_are_known_by_their_keys(serving: Serving) -> None:
    with reaching(ANA, serving.server.address) as ana, reaching(BOB, serving.server.address) as bob:
        assert ask(ana) == "ana"
        assert ask(bob) == "bob"
        assert ask(ana) == "ana"
    assert NODE.transport_secret.decode() not in repr(serving.peers)


def test_a_large_message_and_one_too_large(serving: Serving) -> None:
    with reaching(ANA, serving.server.address) as client:
        client.send("north", {"kind": "plan", "bytes": b"x" * (32 << 20)})
        _, message = client.receive(30)
        assert len(message["message"]["bytes"]) == 32 << 20
        with pytest.raises(Fault) as caught:
            client.send("north", {"kind": "plan", "bytes": b"x" * (34 << 20)})
        assert caught.value.code == "WIRE_MALFORMED"


def test_what_is_longer_than_a_member_may_send_is_not_even_read(serving: Serving) -> None:
    with reaching(BOB, serving.server.address) as bob:
        for size, answer in ((3000, "echo"), (5000, "fault"), (30 << 20, "fault")):
            bob.send("north", {"kind": "plan", "bytes": b"x" * size})
            _, message = bob.receive(30)
            assert message["kind"] == answer
        assert "bytes long, more than 4096" in message["report"]["message"]
    assert len(serving.peers) == 1


def test_a_routing_id_is_no_identity(serving: Serving) -> None:
    with reaching(ANA, serving.server.address) as ana:
        assert ask(ana) == "ana"
        context = zmq.Context()
        dealer = context.socket(zmq.DEALER)
        dealer.routing_id = serving.peers[0].route[1:] + b"ana"
        dealer.curve_secretkey, dealer.curve_publickey = BOB.transport_secret, BOB.transport_key.encode()
        dealer.curve_serverkey = NODE.transport_key.encode()
        dealer.connect(f"tcp://{serving.server.address}")
        dealer.send(b"\x81\xa4kind\xa4ping")
        assert dealer.poll(5000)
        assert serving.peers[-1].name == "bob"
        assert ask(ana) == "ana"
        context.destroy(linger=0)


def test_a_stranger_is_refused(serving: Serving) -> None:
    with reaching(EVE, serving.server.address) as eve:
        eve.send("north", {"kind": "ping"})
        code, seconds = failure(eve)
        assert code == "WRONG_KEY"
        assert seconds < 2
    assert serving.peers == []


def test_a_server_with_another_key_is_refused(serving: Serving) -> None:
    with reaching(ANA, serving.server.address, key=EVE.transport_key) as client:
        client.send("north", {"kind": "ping"})
        assert failure(client)[0] == "WRONG_KEY"
    assert serving.peers == []


@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN"])
def test_no_way_around_curve(serving: Serving, mechanism: str) -> None:
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    if mechanism == "PLAIN":
        dealer.plain_username, dealer.plain_password = b"ana", b"secret"
    dealer.connect(f"tcp://{serving.server.address}")
    dealer.send(b"\x81\xa4kind\xa4ping")
    assert not dealer.poll(500)
    assert serving.peers == []
    context.destroy(linger=0)


@pytest.mark.parametrize("data", [b"", b"no msgpack", b"\x80", b"\x81\xa4kind\x01", b"\x91" * 1024])
def test_what_is_no_message_is_answered_with_a_fault(serving: Serving, data: bytes) -> None:
    with reaching(ANA, serving.server.address) as client:
        assert ask(client) == "ana"
        client._connections["north"].socket.send(data)
        _, message = client.receive(5)
        assert message["kind"] == "fault"
        assert message["report"]["code"] == "WIRE_MALFORMED"
        assert ask(client) == "ana"


def test_answers_from_other_threads_wake_the_server() -> None:
    server = ControlServer(NODE, ALLOWED.get, "127.0.0.1:0")
    with reaching(ANA, server.address) as client:
        client.send("north", {"kind": "ping"})
        (peer, _), *_ = server.poll(5)
        waiting = threading.Thread(target=server.poll, args=(1.0,))
        waiting.start()
        time.sleep(0.1)
        start = time.monotonic()
        senders = [threading.Thread(target=server.send, args=(peer, {"kind": "n", "n": n})) for n in range(20)]
        for sender in senders:
            sender.start()
        got = {client.receive(5)[1]["n"] for _ in range(20)}
        assert got == set(range(20))
        assert time.monotonic() - start < 0.5
        waiting.join()
    server.close()


def test_an_answer_to_someone_gone_harms_nobody(serving: Serving) -> None:
    with reaching(ANA, serving.server.address) as client:
        assert ask(client) == "ana"
    time.sleep(0.3)
    serving.server.send(serving.peers[0], {"kind": "late"})
    with reaching(BOB, serving.server.address) as client:
        assert ask(client) == "bob"
    assert len(serving.server.gone) == 1


def test_nobody_listens() -> None:
    with reaching(ANA, "127.0.0.1:1") as client:
        client.send("north", {"kind": "ping"})
        code, seconds = failure(client)
        assert code == "UNREACHABLE"
        assert seconds < 2
        client.send("north", {"kind": "ping"})
        assert failure(client)[0] == "UNREACHABLE"
        assert failure(client)[0] == "NO_ANSWER"


def test_something_listens_that_says_nothing() -> None:
    mute = socket.create_server(("127.0.0.1", 0))
    with mute, reaching(ANA, f"127.0.0.1:{mute.getsockname()[1]}") as client:
        client.send("north", {"kind": "ping"})
        code, seconds = failure(client)
        assert code == "UNREACHABLE"
        assert seconds < 7


def test_one_server_down_does_not_hide_another(serving: Serving) -> None:
    members = {"north": ("127.0.0.1:1", NODE.transport_key), "south": (serving.server.address, NODE.transport_key)}
    with ControlClient(ANA, members) as client:
        for name in members:
            client.send(name, {"kind": "ping"})
        heard = set()
        for _ in range(2):
            try:
                heard.add(client.receive(5)[0])
            except Fault as fault:
                heard.add(fault.code)
        assert heard == {"south", "UNREACHABLE"}
        client.send("south", {"kind": "ping"})
        assert client.receive(5)[0] == "south"


def test_no_answer(serving: Serving) -> None:
    with reaching(ANA, serving.server.address) as client:
        client.send("north", {"kind": "quiet"})
        code, seconds = failure(client, 0.3)
        assert code == "NO_ANSWER"
        assert 0.3 <= seconds < 1


def test_a_killed_server_is_noticed_at_once(node: tuple[subprocess.Popen[str], str]) -> None:
    process, address = node
    with reaching(ANA, address) as client:
        assert ask(client) == "member0"
        process.kill()
        code, seconds = failure(client)
        assert code == "PEER_LOST"
        assert seconds < 1


def test_a_stopped_server_is_noticed(node: tuple[subprocess.Popen[str], str]) -> None:
    process, address = node
    with reaching(ANA, address) as client:
        assert ask(client) == "member0"
        process.send_signal(signal.SIGSTOP)
        client.send("north", {"kind": "ping"})
        code, seconds = failure(client, 20)
        assert code == "PEER_LOST"
        assert seconds < 8


def test_port_taken_says_which_and_what_to_do(serving: Serving) -> None:
    with pytest.raises(Fault, match=serving.server.address) as caught:
        ControlServer(NODE, ALLOWED.get, serving.server.address)
    assert caught.value.code == "PORT_TAKEN"
    assert serving.server.address.rpartition(":")[2] in caught.value.remedy


def test_200_connections_that_never_shake_hands_change_nothing(serving: Serving) -> None:
    host, port = serving.server.address.split(":")
    crowd = [socket.create_connection((host, int(port))) for _ in range(200)]
    for each in crowd[::2]:
        each.sendall(b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f")
    try:
        with reaching(ANA, serving.server.address) as client:
            start = time.monotonic()
            assert ask(client) == "ana"
            assert time.monotonic() - start < 2
            time.sleep(7)
            crowd[0].settimeout(1)
            while crowd[0].recv(4096):
                pass
            assert ask(client) == "ana"
    finally:
        for each in crowd:
            each.close()


def test_clients_leave_no_descriptor_behind(serving: Serving) -> None:
    def once() -> None:
        with reaching(ANA, serving.server.address) as client:
            assert ask(client) == "ana"

    once()
    time.sleep(0.3)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(30):
        once()
    until = time.monotonic() + 5
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < until:
        time.sleep(0.05)
    assert len(os.listdir("/proc/self/fd")) <= before
