"""What a node and the dealer have in common: one control loop, many sessions at once, each in its own thread."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import Any

from mpc.errors import BeaverError
from parties import wire
from parties.agreement import Agreement
from parties.config import Consortium, PartyConfig, check_identity
from parties.control import ControlServer, Peer
from parties.errors import Fault
from parties.identity import Identity
from parties.ledger import Ledger
from parties.links import DataEndpoint
from parties.log import Log
from parties.session import VERSION

__all__ = ["MOST_SESSIONS", "RELAY_WITHIN_S", "Conversation", "Server"]

MOST_SESSIONS = 32
RELAY_WITHIN_S = 600.0
"""How long a session waits for the analyst to bring the others' hellos or signatures: others may read large tables."""

_POLL_S = 0.5


class Conversation:
    """One session as seen by its thread: messages from the analyst who submitted it, and answers to that analyst."""

    def __init__(self, server: ControlServer, peer: Peer, session: bytes) -> None:
        self._server = server
        self._peer = peer
        self._inbox: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
        self.session = session
        self.phase = "submitted"

    @property
    def analyst(self) -> str:
        """Who submitted, by the authenticated key."""
        return self._peer.name

    def tell(self, kind: str, **content: object) -> None:
        """Answer the analyst."""
        self._server.send(self._peer, {"kind": kind, "session": self.session, **content})

    def put(self, message: Mapping[str, Any]) -> None:
        """A message for this session has come."""
        self._inbox.put(message)

    def expect(self, kind: str) -> Mapping[str, Any]:
        """The next message, which must be of this kind. Raises Fault RELAY_TIMEOUT, SESSION_CANCELLED, UNEXPECTED."""
        try:
            message = self._inbox.get(timeout=RELAY_WITHIN_S)
        except Empty:
            raise Fault(
                "RELAY_TIMEOUT",
                f"the analyst did not bring the others' {kind} within {RELAY_WITHIN_S:.0f} s",
                "Another party may be slow or down; submit again.",
            ) from None
        if message["kind"] == "cancel":
            raise Fault("SESSION_CANCELLED", "the analyst cancelled the session")
        if message["kind"] != kind:
            raise Fault("UNEXPECTED", f"a message of kind {str(message['kind'])[:40]!r} came where {kind!r} was due")
        return message


class Server(ABC):
    """A process that takes part in sessions. Subclasses say what it does in one."""

    role: str

    def __init__(self, config: PartyConfig, log: Log) -> None:
        """Read keys, consortium and agreement, open the state, and listen. Raises Fault for whatever is wrong."""
        self.config = config
        self.log = log
        self.consortium = Consortium.load(config.consortium)
        self.agreement = Agreement.load(config.agreement, self.consortium)
        self.identity = Identity.load(config.key)
        check_identity(config, self.consortium, self.identity)
        self.name = config.name
        self._ledger_file = config.state / "ledger.sqlite"
        self.ledger = Ledger(self._ledger_file)
        bound = config.bound(self.consortium.process(config.name))
        self.control = ControlServer(self.identity, self.consortium.by_transport_key, bound.address)
        try:
            self.endpoint = DataEndpoint(bound.data)
        except Fault:
            self.control.close()
            raise
        self._conversations: dict[bytes, Conversation] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @abstractmethod
    def take_part(self, conversation: Conversation, plan_bytes: bytes) -> None:
        """One session from hello to result. Runs in the session's thread; raises Fault or another BeaverError."""

    def answer(self, peer: Peer, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to a question outside sessions. Raises Fault UNEXPECTED for what is no such question."""
        if message["kind"] == "ping":
            return {"kind": "pong", "name": self.name, "role": self.role, "version": VERSION}
        raise Fault("UNEXPECTED", f"{self.name} does not know the message {str(message['kind'])[:40]!r}")

    def serve(self) -> None:
        """Answer control messages until `stop`."""
        self.log.event("ready", address=self.control.address, data=self.endpoint.address)
        while not self._stopping.is_set():
            for peer, message in self.control.poll(_POLL_S):
                self._receive(peer, message)
        self.endpoint.close()
        self.control.close()
        self.ledger.close()
        self.log.event("stopped")

    def stop(self) -> None:
        """Make `serve` return. Safe to call from a signal handler."""
        self._stopping.set()

    def _receive(self, peer: Peer, message: Mapping[str, Any]) -> None:
        try:
            kind = message.get("kind")
            if not isinstance(kind, str):
                raise Fault("WIRE_MALFORMED", "a message has no kind")
            session = message.get("session")
            if isinstance(session, bytes):
                self._relay(peer, session, message)
            else:
                self.control.send(peer, self.answer(peer, message))
        except BeaverError as error:
            self._report(peer, error, message.get("session"))

    def _relay(self, peer: Peer, session: bytes, message: Mapping[str, Any]) -> None:
        with self._lock:
            conversation = self._conversations.get(session)
        if message["kind"] == "submit":
            _, session, plan = wire.fields(message, kind=str, session=bytes, plan=bytes)
            self._start(peer, session, plan)
        elif conversation is not None and conversation.analyst == peer.name:
            conversation.put(message)
        elif message["kind"] != "cancel":
            raise Fault("SESSION_UNKNOWN", f"{self.name} has no such session", "It ended, or was never submitted here.")

    def _start(self, peer: Peer, session: bytes, plan: bytes) -> None:
        if peer.name not in {analyst.name for analyst in self.consortium.analysts}:
            raise Fault("NOT_AN_ANALYST", f"{peer.name} may not submit computations", "Submit with an analyst's key.")
        if len(session) != 16:
            raise Fault("WIRE_MALFORMED", "a session's id has 16 bytes")
        with self._lock:
            if session in self._conversations:
                raise Fault("SESSION_EXISTS", f"{self.name} has this session already", "Use a fresh session id.")
            if len(self._conversations) >= MOST_SESSIONS:
                raise Fault("BUSY", f"{self.name} runs {MOST_SESSIONS} sessions", "Submit again in a while.")
            conversation = self._conversations[session] = Conversation(self.control, peer, session)
        threading.Thread(target=self._session, args=(conversation, plan), name=session.hex()[:8], daemon=True).start()

    def _session(self, conversation: Conversation, plan: bytes) -> None:
        session = conversation.session.hex()
        started = time.monotonic()
        self.log.event("session_submitted", session=session, analyst=conversation.analyst)
        try:
            self.take_part(conversation, plan)
            self.log.event("session_done", session=session, seconds=round(time.monotonic() - started, 3))
        except BeaverError as error:
            self._report(conversation._peer, error, conversation.session, conversation.phase)
        except Exception as error:
            # The type alone: a message of a library might quote a value.
            fault = Fault(
                "INTERNAL", f"{self.name} failed: {type(error).__name__}", "Report this; its log has the type."
            )
            self._report(conversation._peer, fault, conversation.session, conversation.phase)
        finally:
            with self._lock:
                del self._conversations[conversation.session]

    def _report(self, peer: Peer, error: BeaverError, session: object, phase: str = "") -> None:
        fault = error if isinstance(error, Fault) else Fault("DATA", error.message, error.remedy)
        name = session.hex() if isinstance(session, bytes) else ""
        report = fault.at(party=self.name, session=name, phase=phase).report
        self.log.event(
            "fault", code=report.code, message=report.message, session=name, peer=report.peer, phase=report.phase
        )
        content = {"kind": "fault", "report": report.to_wire()}
        self.control.send(peer, {**content, "session": session} if isinstance(session, bytes) else content)
