"""The analyst's program against nodes that say what they should not: a plain error, whatever comes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parties.control import ControlServer, Peer
from parties.errors import Fault, FaultReport
from parties.identity import Identity

sys.path.insert(0, str(Path(__file__).parent))
from consortium import TABLES, Running, refused, total
from hand import Hand

Message = dict[str, Any]
Answer = Callable[[Message], list[Message]]

SHARE = {"kind": "share", "name": "result", "start": 0, "words": bytes(8)}
DONE = {"kind": "done", "rounds": 1, "bytes_sent": 8, "load": 0.0, "offline": 0.0, "online": 0.0}


class Pretenders:
    """Control servers with the keys of north and south, who answer as the test says."""

    def __init__(self, running: Running) -> None:
        self.answers: dict[str, Answer] = {}
        with Hand(running) as hand:
            self._agreement = hand.agreement.digest()
            consortium = hand.consortium
        self._stopping = False
        self._threads = []
        for party in consortium.parties:
            key = Identity.load(running.folder / party.name / "identity.key")
            server = ControlServer(key, consortium.by_transport_key, party.address)
            self._threads.append(threading.Thread(target=self._serve, args=(party.name, server)))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stopping = True
        for thread in self._threads:
            thread.join()

    def _serve(self, name: str, server: ControlServer) -> None:
        while not self._stopping:
            for peer, message in server.poll(0.05):
                self._answer(name, server, peer, message)
        server.close()

    def _answer(self, name: str, server: ControlServer, peer: Peer, message: Message) -> None:
        if message["kind"] == "catalog":
            answers: list[Message] = [{"kind": "catalog", "agreement": self._agreement, "rows": {"visits": 30}}]
        else:
            answers = self.answers[name](message)
        for answer in answers:
            time.sleep(answer.pop("after", 0.0))
            session = {"session": message["session"]} if "session" in message else {}
            server.send(peer, {**session, **answer})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    tables = {party: {"visits": TABLES[party]["visits"]} for party in ("north", "south")}
    with Running(tmp_path_factory.mktemp("client") / "c", tables) as running:
        yield running


@pytest.fixture(scope="module")
def pretenders(running: Running) -> Iterator[Pretenders]:
    pretenders = Pretenders(running)
    yield pretenders
    pretenders.close()


def silent(message: Message) -> list[Message]:
    return []


def obedient(*last: Message) -> Answer:
    """Goes through the handshake with empty words, then says this."""

    def answer(message: Message) -> list[Message]:
        match message["kind"]:
            case "submit":
                return [{"kind": "progress", "phase": "loaded"}, {"kind": "hello", "hello": {}}]
            case "hellos":
                return [{"kind": "signature", "signature": b""}]
            case "signatures":
                return [dict(message) for message in last]
        return []

    return answer


def failing(code: str, message: str, after: float = 0.0) -> Answer:
    def answer(asked: Message) -> list[Message]:
        report = FaultReport(code=code, message=message, remedy="Mend it.")
        return [{"kind": "fault", "report": report.to_wire(), "after": after}] if asked["kind"] == "submit" else []

    return answer


@pytest.mark.parametrize("first", ["PEER_LOST", "PEER_ENDED", "PEER_STALLED", "SESSION_CANCELLED"])
def test_the_cause_is_told_even_when_a_consequence_comes_first(
    running: Running, pretenders: Pretenders, first: str
) -> None:
    pretenders.answers = {"north": failing(first, "south is gone"), "south": failing("DISK", "the cause", after=0.3)}
    with refused("DISK", "south: the cause"):
        running.run(total)


def test_a_consequence_is_told_when_nothing_else_comes(running: Running, pretenders: Pretenders) -> None:
    pretenders.answers = {"north": failing("PEER_LOST", "west is gone"), "south": silent}
    with refused("PEER_LOST", "west is gone", within_s=3):
        running.run(total)


NONSENSE: dict[str, list[Message]] = {
    "no such kind": [{"kind": "x" * 1000}],
    "progress without a phase": [{"kind": "progress"}],
    "share of a number": [{**SHARE, "words": 1 << 40}],
    "share without a name": [{"kind": "share", "start": 0, "words": b""}],
    "share at nowhere": [{**SHARE, "start": "0"}],
    "no share": [DONE],
    "half a share": [{**SHARE, "words": bytes(4)}, DONE],
    "shares too long": [{**SHARE, "words": bytes(16)}, DONE],
    "done without a word": [SHARE, {"kind": "done"}],
    "done with text": [SHARE, {**DONE, "online": "soon"}],
    "a fault without a report": [{"kind": "fault"}],
    "a fault with nonsense": [{"kind": "fault", "report": {"code": 5, "message": [1], "more": {}}}],
    "a fault that is none": [{"kind": "fault", "report": "oh"}],
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_of_a_node(running: Running, pretenders: Pretenders, case: str) -> None:
    pretenders.answers = {"north": obedient(SHARE, DONE), "south": obedient(*NONSENSE[case])}
    with pytest.raises(Fault) as caught:
        running.run(total)
    assert "south" in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("kind", ["hello", "signature"])
def test_nonsense_in_the_handshake(running: Running, pretenders: Pretenders, kind: str) -> None:
    def answer(message: Message) -> list[Message]:
        if message["kind"] == ("submit" if kind == "hello" else "hellos"):
            return [{"kind": kind, kind: [1, 2]}]
        return obedient()(message)

    pretenders.answers = {"north": obedient(), "south": answer}
    with refused("WIRE_MALFORMED", "south"):
        running.run(total)


def test_shares_that_come_in_pieces_in_any_order(running: Running, pretenders: Pretenders) -> None:
    pieces = [{**SHARE, "start": 1, "words": bytes(4)}, {**SHARE, "words": bytes([5, 0, 0, 0])}, DONE]
    pretenders.answers = {"north": obedient(SHARE, DONE), "south": obedient(*pieces)}
    assert running.run(total)["result"] == 5
