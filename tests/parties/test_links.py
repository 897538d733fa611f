"""Data links between real endpoints and real processes: what is sent arrives; every damage ends in a coded fault."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from parties.errors import Fault, FaultReport
from parties.frames import OVERHEAD, Kind, Sealer
from parties.links import CREDIT, MAX_FRAME, DataEndpoint, Links
from parties.peer import MAX_QUEUED
from protocols.rounds import FRAME_WORDS

sys.path.insert(0, str(Path(__file__).parent))
from link_peer import key, links_to

SESSION = bytes(range(16))
NOWHERE = "127.0.0.1:1"


class Process:
    """A party in a process of its own."""

    def __init__(self, me: int, deadline_s: float = 20.0) -> None:
        self.me = me
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "link_peer.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.tell(me=me, session=SESSION.hex(), deadline_s=deadline_s)
        self.address: str = self.hear()["address"]

    def tell(self, **order: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told

    def do(self, action: str, frames: int = 1, words: int = 1) -> None:
        self.tell(action=action, frames=frames, words=words)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(10) == 0


@pytest.fixture
def parties() -> Iterator[Callable[..., list[Process]]]:
    running: list[Process] = []

    def start(n: int, deadline_s: float = 20.0) -> list[Process]:
        running.extend(Process(i, deadline_s) for i in range(n))
        for each in running:
            each.tell(**{str(other.me): other.address for other in running if other is not each})
        for each in running:
            assert each.hear()["open"]
        return running

    yield start
    for each in running:
        each.process.kill()
        each.process.wait()
        for pipe in (each.process.stdin, each.process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def endpoints() -> Iterator[list[DataEndpoint]]:
    opened = [DataEndpoint("127.0.0.1:0") for _ in range(3)]
    yield opened
    for endpoint in opened:
        endpoint.close()


def link(endpoints: list[DataEndpoint], session: bytes = SESSION, n: int = 2, deadline_s: float = 10.0) -> list[Links]:
    addresses = {i: endpoint.address for i, endpoint in enumerate(endpoints[:n])}
    return [
        links_to(endpoints[i], i, {j: addresses[j] for j in addresses if j != i}, session, deadline_s) for i in range(n)
    ]


def words(*values: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return np.array(values, np.uint64)


def fault_in(call: Callable[[], object]) -> FaultReport:
    with pytest.raises(Fault) as caught:
        call()
    return caught.value.report


class Hostile:
    """Party 0, without scruples: seals and sends what it likes to an endpoint; its own endpoint only listens."""

    def __init__(self, address: str, session: bytes = SESSION) -> None:
        self.sealer = Sealer(key(session, 0, 1), 0)
        self.context = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.address = f"127.0.0.1:{self.router.bind_to_random_port('tcp://127.0.0.1')}"
        self.dealer = self.context.socket(zmq.DEALER)
        self.dealer.connect(f"tcp://{address}")

    def frame(self, *values: int, kind: Kind = Kind.DATA) -> bytearray:
        return bytearray(self.sealer.seal(kind, words(*values).tobytes()))

    def send(self, *parts: bytes | bytearray) -> None:
        self.dealer.send_multipart(parts)

    def close(self) -> None:
        self.context.destroy(linger=0)


@pytest.fixture
def hostile(endpoints: list[DataEndpoint]) -> Iterator[tuple[Hostile, Links]]:
    enemy = Hostile(endpoints[1].address)
    links = links_to(endpoints[1], 1, {0: enemy.address}, SESSION, 3.0)
    yield enemy, links
    links.close()
    enemy.close()


def test_words_arrive_as_sent(endpoints: list[DataEndpoint]) -> None:
    a, b = link(endpoints)
    with a, b:
        a.send(1, [words(1, 2), words(3)])
        a.send(1, [])
        a.send(1, [np.arange(6, dtype=np.uint64).reshape(2, 3).T])
        got = b.receive(0, 3)
        assert got.tolist() == [1, 2, 3]
        assert got.flags.writeable
        assert b.receive(0, 0).tolist() == []
        assert b.receive(0, 6).tolist() == [0, 3, 1, 4, 2, 5]
        assert got.tolist() == [1, 2, 3]
        assert (a.traffic[1].payload, a.traffic[1].frames, a.traffic[1].overhead) == (72, 3, 3 * OVERHEAD)
        assert b.traffic[0].payload == b.traffic[0].overhead == 0


def test_frames_that_arrive_before_the_start_are_kept_and_links_end_in_peace(endpoints: list[DataEndpoint]) -> None:
    a, b = link(endpoints)
    a.send(1, [words(7)])
    a.close()
    time.sleep(0.3)
    assert b.receive(0, 1).tolist() == [7]
    report = fault_in(lambda: b.receive(0, 1))
    assert (report.code, report.peer, report.session) == ("PEER_ENDED", "p0", SESSION.hex())
    b.close()


def test_a_large_frame_and_one_too_large(endpoints: list[DataEndpoint]) -> None:
    a, b = link(endpoints)
    with a, b:
        largest = np.arange(FRAME_WORDS, dtype=np.uint64)
        a.send(1, [largest])
        assert np.array_equal(b.receive(0, len(largest)), largest)
        with pytest.raises(ValueError, match="at most"):
            a.send(1, [largest, words(1)])


def test_keys_are_not_shown() -> None:
    from parties.links import PeerLink

    assert "9999" not in repr(PeerLink("p", NOWHERE, b"9999" * 8, b"9999" * 8))


def test_a_wrong_length_is_a_fault_at_both_ends(endpoints: list[DataEndpoint]) -> None:
    a, b = link(endpoints)
    a.send(1, [words(1, 2)])
    report = fault_in(lambda: b.receive(0, 3))
    assert (report.code, report.peer) == ("FRAME_LENGTH", "p0")
    told = fault_in(lambda: a.receive(1, 1))
    assert (told.code, told.party, told.message) == ("FRAME_LENGTH", "p1", report.message)
    assert fault_in(lambda: b.send(0, [words(1)])) == report
    a.close()
    b.close()


def flip(at: int, bits: int = 4) -> Callable[[Hostile], None]:
    def damage(enemy: Hostile) -> None:
        frame = enemy.frame(1, 2)
        frame[at] ^= bits
        enemy.send(frame)

    return damage


def truncated(enemy: Hostile) -> None:
    enemy.send(enemy.frame(1, 2)[:-8])


def only_a_route(enemy: Hostile) -> None:
    enemy.send(enemy.frame(1, 2)[:16])


def extended(enemy: Hostile) -> None:
    enemy.send(enemy.frame(1, 2) + bytes(8))


def duplicated(enemy: Hostile) -> None:
    frame = enemy.frame(1, 2)
    enemy.send(frame)
    enemy.send(frame)


def reordered(enemy: Hostile) -> None:
    first, second = enemy.frame(1, 2), enemy.frame(3, 4)
    enemy.send(second)
    enemy.send(first)


def lost(enemy: Hostile) -> None:
    enemy.frame(1, 2)
    enemy.send(enemy.frame(3, 4))


def from_another_session(enemy: Hostile) -> None:
    other = Sealer(key(b"other" * 3, 0, 1), 0).seal(Kind.DATA, bytes(16))
    enemy.send(enemy.frame(1, 2)[:16] + other[16:])


def half_a_word(enemy: Hostile) -> None:
    enemy.send(bytes(enemy.sealer.seal(Kind.DATA, bytes(7))))


def oversized(enemy: Hostile) -> None:
    enemy.send(bytes(enemy.sealer.seal(Kind.DATA, bytes(MAX_FRAME + 8))))


def unearned_credit(enemy: Hostile) -> None:
    enemy.send(enemy.frame(1, kind=Kind.ACK))


def malformed_abort(enemy: Hostile) -> None:
    enemy.send(enemy.frame(1, kind=Kind.ABORT))


def flood(enemy: Hostile) -> None:
    for _ in range(MAX_QUEUED):
        enemy.send(enemy.frame(1))
    time.sleep(1)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (flip(16), "FRAME_MALFORMED"),
        (flip(17), "FRAME_MALFORMED"),
        (flip(17, Kind.ACK), "FRAME_FORGED"),
        (flip(18), "FRAME_MALFORMED"),
        (flip(20), "FRAME_MALFORMED"),
        (flip(24), "FRAME_SEQUENCE"),
        (flip(33), "FRAME_FORGED"),
        (flip(-1), "FRAME_FORGED"),
        (truncated, "FRAME_MALFORMED"),
        (only_a_route, "FRAME_MALFORMED"),
        (extended, "FRAME_MALFORMED"),
        (duplicated, "FRAME_SEQUENCE"),
        (reordered, "FRAME_SEQUENCE"),
        (lost, "FRAME_SEQUENCE"),
        (from_another_session, "FRAME_FORGED"),
        (half_a_word, "FRAME_MALFORMED"),
        (oversized, "FRAME_MALFORMED"),
        (unearned_credit, "FRAME_MALFORMED"),
        (malformed_abort, "WIRE_MALFORMED"),
        (flood, "FRAME_FLOOD"),
    ],
)
def test_damage_ends_the_session(hostile: tuple[Hostile, Links], damage: Callable[[Hostile], None], code: str) -> None:
    enemy, links = hostile
    damage(enemy)

    def receive() -> None:
        for _ in range(MAX_QUEUED):
            links.receive(0, 2)

    report = fault_in(receive)
    assert report.code == code
    assert report.peer == "p0" or code == "WIRE_MALFORMED"
    assert enemy.router.poll(2000)


def test_what_has_no_known_route_is_dropped_and_counted(endpoints: list[DataEndpoint]) -> None:
    a, b = link(endpoints)
    stranger = Hostile(endpoints[1].address, session=b"another session.")
    with a, b:
        for _ in range(3000):
            stranger.send(stranger.frame(1, 2))
        stranger.send(b"")
        stranger.send(b"no frame at all")
        stranger.send(os.urandom(1 << 20), b"in parts", b"")
        with socket.create_connection(endpoints[1].address.split(":")) as raw:
            raw.sendall(b"GET / HTTP/1.0\r\n\r\n")
            until = time.monotonic() + 5
            while endpoints[1].dropped < 3003 and time.monotonic() < until:
                time.sleep(0.01)
            a.send(1, [words(5)])
            assert b.receive(0, 1).tolist() == [5]
        assert endpoints[1].dropped == 3003
    stranger.close()


def test_a_message_beyond_all_bounds_is_never_taken_in(hostile: tuple[Hostile, Links]) -> None:
    enemy, links = hostile
    enemy.send(enemy.sealer._route + bytes(MAX_FRAME + (1 << 20)))
    assert fault_in(lambda: links.receive(0, 2)).code == "PEER_STALLED"


def test_a_fault_reaches_every_party(endpoints: list[DataEndpoint]) -> None:
    a, b, c = link(endpoints, n=3)
    a.interrupt(Fault("CANCELLED", "The analyst cancelled.", "Nothing."))
    assert fault_in(lambda: a.receive(1, 1)).code == "CANCELLED"
    for each in (b, c):
        report = fault_in(lambda each=each: each.receive(0, 1))  # type: ignore[misc]
        assert (report.code, report.party) == ("CANCELLED", "p0")
    for each in (a, b, c):
        each.close()


def test_leaving_by_an_exception_tells_the_peers(endpoints: list[DataEndpoint]) -> None:
    a, b = link(endpoints)
    with pytest.raises(ZeroDivisionError), a:
        _ = 1 / 0
    report = fault_in(lambda: b.receive(0, 1))
    assert report.code == "INTERNAL"
    assert "division" not in str(report)
    b.close()


def test_nobody_there(endpoints: list[DataEndpoint]) -> None:
    links = links_to(endpoints[0], 0, {1: NOWHERE}, SESSION, 10.0)
    start = time.monotonic()
    report = fault_in(lambda: links.receive(1, 1))
    assert (report.code, report.peer) == ("PEER_LOST", "p1")
    assert NOWHERE in report.message
    assert time.monotonic() - start < 2
    links.close()


def test_somebody_there_who_never_shakes_hands(endpoints: list[DataEndpoint]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        links = links_to(endpoints[0], 0, {1: f"127.0.0.1:{mute.getsockname()[1]}"}, SESSION, 30.0)
        start = time.monotonic()
        assert fault_in(lambda: links.receive(1, 1)).code == "PEER_LOST"
        assert time.monotonic() - start < 7
        links.close()


def test_a_silent_peer_is_stalled_and_one_that_takes_nothing_too(endpoints: list[DataEndpoint]) -> None:
    a, b = link(endpoints, deadline_s=0.5)
    block = np.zeros(1 << 17, np.uint64)

    def send() -> None:
        for _ in range(100):
            a.send(1, [block])

    report = fault_in(send)
    assert (report.code, report.peer) == ("PEER_STALLED", "p1")
    assert CREDIT <= a.traffic[1].payload <= CREDIT + block.nbytes
    c, d = link(endpoints, session=b"another session.", deadline_s=0.5)
    assert fault_in(lambda: c.receive(1, 1)).code == "PEER_STALLED"
    for each in (a, b, c, d):
        each.close()


def test_port_taken_and_addresses_that_are_none(endpoints: list[DataEndpoint]) -> None:
    for address, code in [
        (endpoints[0].address, "PORT_TAKEN"),
        ("192.0.2.1:4000", "ADDRESS_UNAVAILABLE"),
        ("no address", "ADDRESS_INVALID"),
        ("127.0.0.1:70000", "ADDRESS_INVALID"),
    ]:
        with pytest.raises(Fault, match=address) as caught:
            DataEndpoint(address)
        assert caught.value.code == code
        assert caught.value.remedy
    with pytest.raises(Fault) as caught:
        links_to(endpoints[0], 0, {1: "no address"}, SESSION, 1.0)
    assert caught.value.code == "ADDRESS_INVALID"


def test_stopping_the_process_ends_its_sessions() -> None:
    endpoint = DataEndpoint("127.0.0.1:0")
    links = links_to(endpoint, 0, {1: endpoint.address}, SESSION, 30.0)
    seen: list[str] = []

    def run() -> None:
        seen.append(fault_in(lambda: links.receive(1, 1)).code)
        links.close()

    thread = threading.Thread(target=run)
    thread.start()
    endpoint.close()
    thread.join()
    assert seen == ["NODE_STOPPED"]


def test_stopping_does_not_wait_for_a_session_that_looks_away() -> None:
    endpoint = DataEndpoint("127.0.0.1:0")
    links = links_to(endpoint, 0, {1: endpoint.address}, SESSION, 30.0)
    links.send(1, [words(1)])
    start = time.monotonic()
    endpoint.close(within_s=0.1)
    assert time.monotonic() - start < 2
    links.close()
    assert fault_in(lambda: links.send(1, [words(1)])).code == "NODE_STOPPED"


def test_many_sessions_at_once(endpoints: list[DataEndpoint]) -> None:
    sessions = [link(endpoints, session=bytes([i]) * 16, n=3) for i in range(12)]
    wrong: list[object] = []

    def run(links: Links, me: int, base: int) -> None:
        try:
            with links:
                others = [i for i in range(3) if i != me]
                for turn in range(40):
                    for i in others:
                        links.send(i, [words(base, turn, me), np.full(1000, turn, np.uint64)])
                    for i in others:
                        assert links.receive(i, 1003)[:3].tolist() == [base, turn, i]
        except BaseException as error:
            wrong.append(error)

    threads = [
        threading.Thread(target=run, args=(links, me, base))
        for base, session in enumerate(sessions)
        for me, links in enumerate(session)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_200_sessions_leave_no_descriptor_behind(endpoints: list[DataEndpoint]) -> None:
    def once(i: int) -> None:
        a, b = link(endpoints, session=i.to_bytes(16, "big"))
        with a, b:
            a.send(1, [words(i)])
            assert b.receive(0, 1).tolist() == [i]

    for i in range(5):
        once(i)
    before = len(os.listdir("/proc/self/fd"))
    for i in range(5, 205):
        once(i)
    until = time.monotonic() + 5
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < until:
        time.sleep(0.05)
    assert len(os.listdir("/proc/self/fd")) <= before
    assert threading.active_count() < 20


def test_too_few_descriptors_refuse_a_session_and_harm_no_other() -> None:
    script = """
import resource, time
from link_peer import links_to
from parties import peer
from parties.errors import Fault
from parties.links import DataEndpoint
peer._LINGER = 1.0  # what was never accepted is never delivered either
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
endpoint = DataEndpoint("127.0.0.1:0")
sessions = []
try:
    for i in range(40):
        sessions.append(links_to(endpoint, 0, {1: endpoint.address, 2: endpoint.address}, bytes([i]) * 16, 9.0))
except Fault as fault:
    print(fault.code)
for links in sessions:
    links.close()
time.sleep(1)
links_to(endpoint, 0, {1: endpoint.address}, bytes(16), 9.0).close()
endpoint.close()
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "LINKS_UNAVAILABLE\n", "")


def test_two_processes_exchange(parties: Callable[..., list[Process]]) -> None:
    running = parties(3)
    for each in running:
        each.do("exchange", frames=60, words=1 << 17)
    told = [each.hear() for each in running]
    assert [each.get("fault") for each in told] == [None] * 3
    for each in running:
        each.end()


def test_a_killed_peer_is_named_at_once_by_everyone(parties: Callable[..., list[Process]]) -> None:
    running = parties(3)
    for each in running:
        each.do("exchange", frames=10**9)
    time.sleep(0.5)
    running[1].process.kill()
    start = time.monotonic()
    for each in (running[0], running[2]):
        fault = each.hear()["fault"]
        assert (fault["code"], fault["peer"]) == ("PEER_LOST", "p1")
    assert time.monotonic() - start < 2


def test_a_stopped_peer_is_named_by_everyone(parties: Callable[..., list[Process]]) -> None:
    running = parties(3)
    for each in running:
        each.do("exchange", frames=10**9)
    time.sleep(0.5)
    running[2].process.send_signal(signal.SIGSTOP)
    start = time.monotonic()
    for each in running[:2]:
        fault = each.hear()["fault"]
        assert (fault["code"], fault["peer"]) == ("PEER_LOST", "p2")
    assert time.monotonic() - start < 9
    running[2].process.send_signal(signal.SIGCONT)
    assert running[2].hear()["fault"]["code"] == "PEER_LOST"


def test_a_slow_peer_bounds_the_memory_of_both(parties: Callable[..., list[Process]]) -> None:
    sender, receiver = parties(2)
    sender.do("idle", frames=0)
    before = sender.hear()["peak_bytes"]
    sender.do("send", frames=200, words=1 << 17)
    receiver.do("sip", frames=200, words=1 << 17)
    for each in (sender, receiver):
        told = each.hear()
        assert "fault" not in told
        assert told["peak_bytes"] - before < 5 * CREDIT
