"""What a node and the dealer have in common: one control loop, many sessions at once, each in its own thread."""

from __future__ import annotations

import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Full, Queue
from typing import Any

from mpc.errors import BeaverError
from parties import wire
from parties.agreement import Agreement
from parties.audit import Audit
from parties.clock import Clock
from parties.config import Consortium, PartyConfig, Process, check_identity
from parties.continuity import Continuity
from parties.control import ControlServer, Peer
from parties.conversation import Conversation
from parties.errors import Fault, FaultReport, printable
from parties.identity import Identity
from parties.ledger import Ledger
from parties.links import DataEndpoint
from parties.log import Log
from parties.session import VERSION
from parties.signatures import check_signed, texts

__all__ = ["ALIVE_EVERY_S", "MOST_SESSIONS", "Server"]

MOST_SESSIONS = 32
"""At once."""
_MOST_OF_AN_ANALYST = 8
ALIVE_EVERY_S = 2.0
"""How often an analyst is told that a session goes on; when that cannot be delivered, it ends."""

_LONGEST_OF_OTHERS = 4096
"""Bytes in a message of a member who is no analyst: they have nothing to send but a ping."""
_MOST_QUESTIONS = 256
_MOST_TOLD = 2000
_DECIDING = ("submitted", "plan", "approval")
"""Phases of a session before the node has decided to take part."""
_ANSWERING = 4
_POLL_S = 0.5
_TEND_EVERY_S = 600.0
_WIND_UP_S = 3.0


class Server(ABC):
    """A process that takes part in sessions. Subclasses say what it does in one."""

    role: str
    opens: tuple[str, ...] = ("submit",)
    """Kinds of messages that open a session."""

    def __init__(self, config: PartyConfig, log: Log, now: Callable[[], float] = time.time) -> None:
        """Read keys, consortium and agreement, open the state, and listen. Raises Fault for whatever is wrong.

        `now`: the machine's clock, in seconds since 1970.
        """
        self.config = config
        self.log = log
        self.consortium = Consortium.load(config.consortium)
        self._signed_texts = texts(config.agreement)
        self.agreement = Agreement.load(config.agreement, self.consortium)
        self.identity = Identity.load(config.key)
        check_identity(config, self.consortium, self.identity)
        check_signed(self.agreement, config.agreement, self.consortium)
        self.name = config.name
        self._analysts = {analyst.name for analyst in self.consortium.analysts}
        bound = config.bound(self._process())
        self.audit = Audit(config.state / "audit.jsonl", config.name, self.identity)
        self.continuity = Continuity(config.state)
        self.continuity.check(self.audit.counts)
        self.ledger = Ledger(config.state / "ledger.sqlite")
        self.clock = Clock(self.ledger, now)
        self.clock.check_not_over(self.agreement)
        self.control = ControlServer(self.identity, self.consortium.by_transport_key, bound.address, self._longest)
        try:
            self.endpoint = DataEndpoint(bound.data)
        except Fault:
            self.control.close()
            raise
        self._conversations: dict[bytes, Conversation] = {}
        self._lock = threading.Lock()
        self._questions: Queue[tuple[Peer, Mapping[str, Any]]] = Queue(_MOST_QUESTIONS)
        self.stopping = threading.Event()

    @abstractmethod
    def take_part(self, conversation: Conversation, plan_bytes: bytes) -> None:
        """One session from hello to result. Runs in the session's thread; raises Fault or another BeaverError."""

    def part_in(self, message: Mapping[str, Any], sender: str) -> Callable[[Conversation], None]:
        """What this process does in the session that a message opens. Raises Fault when the sender may not open it."""
        _, _, plan = wire.fields(message, kind=str, session=bytes, plan=bytes)
        if sender not in self._analysts:
            raise Fault("NOT_AN_ANALYST", f"{sender} may not submit computations", "Submit with an analyst's key.")
        return lambda conversation: self.take_part(conversation, plan)

    def answer(self, message: Mapping[str, Any], analyst: str) -> Mapping[str, Any]:
        """The answer to an analyst's question outside sessions; it may take long. Raises Fault UNEXPECTED."""
        raise Fault("UNEXPECTED", f"{self.name} does not know the message {message['kind'][:40]!r}")

    def check_in_force(self) -> None:
        """Raise Fault unless the agreement is still the one of the start, signed by every party, within its term."""
        if texts(self.config.agreement) != self._signed_texts:
            if Agreement.load(self.config.agreement, self.consortium).digest() != self.agreement.digest():
                raise Fault(
                    "AGREEMENT_ALTERED",
                    f"{self.config.agreement} was changed since {self.name} started.",
                    f"Put back what was signed. Or have every party sign the new one, then start {self.name} again.",
                    peer=self.name,
                )
            check_signed(self.agreement, self.config.agreement, self.consortium)
        self.clock.check(self.agreement)

    def serve(self) -> None:
        """Answer control messages until `stop`, then end what is still going on. Raises Fault STATE_UNWRITABLE."""
        self._record_start()
        for _ in range(_ANSWERING):
            threading.Thread(target=self._answer_questions, name="answers", daemon=True).start()
        self.log.event("ready", address=self.control.address, data=self.endpoint.address)
        told = tended = time.monotonic()
        self._tend()
        while not self.stopping.is_set():
            for peer, message in self.control.poll(_POLL_S):
                with self._reporting(peer, message.get("session")):
                    self._receive(peer, message)
            if time.monotonic() - told > ALIVE_EVERY_S:
                told = time.monotonic()
                for conversation in self.running():
                    conversation.tell("alive")
            if time.monotonic() - tended > _TEND_EVERY_S:
                tended = time.monotonic()
                self._tend()
            self._end_abandoned()
        self._wind_up()

    def tend(self) -> None:
        """What is to be done from time to time. Raises Fault."""
        self.clock.latest()

    def stop(self) -> None:
        """Make `serve` return. Safe to call from a signal handler."""
        self.stopping.set()

    def running(self) -> list[Conversation]:
        """The sessions that wait or run now."""
        with self._lock:
            return list(self._conversations.values())

    def _longest(self, name: str) -> int:
        return wire.MAX_MESSAGE if name in self._analysts else _LONGEST_OF_OTHERS

    def _process(self) -> Process:
        process = self.consortium.process(self.name)
        role = "dealer" if process == self.consortium.dealer else "party"
        if role != self.role:
            command = "dealer" if role == "dealer" else "node"
            what = f"{self.name} is a {role} in consortium.toml, not a {self.role}"
            raise Fault("WRONG_ROLE", what, f"Start it with `beaver {command}`.")
        return process

    def _tend(self) -> None:
        try:
            self.tend()
        except Fault as fault:
            self.log.event("fault", code=fault.code, message=fault.message)

    def _wind_up(self) -> None:
        for conversation in self.running():
            conversation.end(Fault("NODE_STOPPED", f"{self.name} was stopped", "Submit again when it is back."))
        until = time.monotonic() + _WIND_UP_S
        while self.running() and time.monotonic() < until:
            self.control.poll(0.05)
        self.endpoint.close(1.0)
        self.control.close()
        self._tend()
        self.ledger.close()
        with suppress(Fault):  # a full disk keeps nobody from stopping
            self.audit.record("node_stopped")
        self.audit.close()
        self.log.event("stopped")

    def _record_start(self) -> None:
        """That the process starts, and the agreement, if it is another than the record knows."""
        agreement = self.agreement.digest().hex()
        known = self.audit.latest("agreement_in_force")
        if known is None or known.content.get("agreement") != agreement:
            terms = self.agreement.model_dump(mode="json")
            self.audit.record("agreement_in_force", agreement=agreement, terms=terms)
        self.audit.record("node_started", role=self.role, version=VERSION, consortium=self.consortium.digest().hex())

    def _end_abandoned(self) -> None:
        """A session whose analyst has gone computes for nobody."""
        while self.control.gone:
            peer = self.control.gone.popleft()
            for conversation in self.running():
                if conversation.peer == peer:
                    conversation.end(Fault("ANALYST_LOST", f"the connection to {peer.name} was lost", peer=peer.name))

    def _receive(self, peer: Peer, message: Mapping[str, Any]) -> None:
        session = message.get("session")
        if isinstance(session, bytes):
            self._relay(peer, session, message)
        elif message["kind"] == "ping":
            self.control.send(peer, {"kind": "pong", "name": self.name, "role": self.role, "version": VERSION})
        elif peer.name not in self._analysts:
            raise Fault("NOT_AN_ANALYST", f"{peer.name} may not ask about data", "Ask with an analyst's key.")
        else:
            try:
                self._questions.put_nowait((peer, message))
            except Full:
                raise Fault("BUSY", f"{self.name} has {_MOST_QUESTIONS} questions to answer", "Ask later.") from None

    def _answer_questions(self) -> None:
        while True:
            peer, message = self._questions.get()
            with self._reporting(peer, None):
                self.control.send(peer, self.answer(message, peer.name))

    def _relay(self, peer: Peer, session: bytes, message: Mapping[str, Any]) -> None:
        with self._lock:
            conversation = self._conversations.get(session)
        if message["kind"] in self.opens:
            self._start(peer, session, self.part_in(message, peer.name))
        elif conversation is not None and conversation.analyst == peer.name:
            conversation.put(message)
        elif message["kind"] != "cancel":
            raise Fault("SESSION_UNKNOWN", f"{self.name} has no such session", "It ended, or was never submitted here.")

    def _start(self, peer: Peer, session: bytes, part: Callable[[Conversation], None]) -> None:
        if len(session) != 16:
            raise Fault("WIRE_MALFORMED", "a session's id has 16 bytes", "Run the same version of Beaver everywhere.")
        with self._lock:
            if session in self._conversations:
                raise Fault("SESSION_EXISTS", f"{self.name} has this session already", "Use a fresh session id.")
            if sum(each.analyst == peer.name for each in self._conversations.values()) >= _MOST_OF_AN_ANALYST:
                what = f"{self.name} runs {_MOST_OF_AN_ANALYST} sessions of {peer.name}"
                raise Fault("BUSY", what, "Submit again when one of them has ended.")
            if len(self._conversations) >= MOST_SESSIONS:
                raise Fault("BUSY", f"{self.name} runs {MOST_SESSIONS} sessions", "Submit again in a while.")
            conversation = self._conversations[session] = Conversation(self.control, peer, session)
        threading.Thread(target=self._session, args=(conversation, part), name=session.hex()[:8], daemon=True).start()

    def _session(self, conversation: Conversation, part: Callable[[Conversation], None]) -> None:
        session = conversation.session.hex()
        started = time.monotonic()
        self.log.event("session_submitted", session=session, analyst=conversation.analyst)
        try:
            with self._reporting(conversation.peer, conversation.session, conversation):
                self.audit.require_room(len(self.consortium.processes))
                self.check_in_force()
                part(conversation)
                self.log.event("session_done", session=session, seconds=round(time.monotonic() - started, 3))
        finally:
            with self._lock:
                del self._conversations[conversation.session]

    @contextmanager
    def _reporting(self, peer: Peer, session: object, conversation: Conversation | None = None) -> Iterator[None]:
        """What goes wrong within is logged and told to the peer; it ends neither the process nor other sessions."""
        try:
            yield
            return
        except Fault as error:
            fault = error
        except BeaverError as error:
            fault = Fault("DATA", error.message, error.remedy)
        except Exception as error:
            # Neither the text, which might quote a value, nor the stack, only what failed where.
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
            fault = Fault("INTERNAL", f"{self.name} failed: {what}", "Report this as a bug of Beaver.")
        session = session if isinstance(session, bytes) else b""
        report = fault.at(
            party=self.name, session=session.hex()[:32], phase=conversation.phase if conversation else ""
        ).report
        self.log.event(
            "fault",
            code=report.code, message=report.message, session=report.session, peer=report.peer, phase=report.phase,
        )  # fmt: skip
        if conversation is not None:
            self._record_fault(conversation, report)
        content = {"kind": "fault", "report": report.to_wire()}
        self.control.send(peer, {**content, "session": session} if session else content)

    def _record_fault(self, conversation: Conversation, report: FaultReport) -> None:
        """A refusal, or the fault that ended a session; where the disk takes none the log line has to do."""
        with suppress(Fault):
            self.audit.record(
                "plan_refused" if conversation.phase in _DECIDING else "fault",
                session=conversation.session.hex(), analyst=conversation.analyst, phase=report.phase, code=report.code,
                message=printable(report.message)[:_MOST_TOLD], party=report.party, peer=report.peer,
            )  # fmt: skip
