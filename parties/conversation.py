"""One session as its thread sees the analyst who submitted it: messages from there, answers to there, and its end."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import Any

from parties.control import ControlServer, Peer
from parties.errors import Fault, FaultReport
from parties.links import Links

__all__ = ["Conversation"]

_MOST_WAITING = 4
"""Messages that may wait to be read: an analyst who keeps to the protocol sends one at a time."""


class Conversation:
    """Made when a plan is submitted. `session`: its 16 bytes; `phase`: what the session is doing, for reports."""

    def __init__(self, server: ControlServer, peer: Peer, session: bytes) -> None:
        self._server = server
        self._inbox: SimpleQueue[Mapping[str, Any] | Fault] = SimpleQueue()
        self._links: Links | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._end: Fault | None = None
        self.peer = peer
        self.session = session
        self.phase = "submitted"

    @property
    def analyst(self) -> str:
        """Who submitted, by the authenticated key."""
        return self.peer.name

    def tell(self, kind: str, **content: object) -> None:
        """Answer the analyst."""
        self._server.send(self.peer, {"kind": kind, "session": self.session, **content})

    def put(self, message: Mapping[str, Any]) -> None:
        """From any thread: a message of the analyst has come."""
        if message["kind"] == "cancel":
            self.end(_cancelled(message))
        elif self._inbox.qsize() < _MOST_WAITING:
            self._inbox.put(message)
        else:
            self.end(Fault("UNEXPECTED", f"{self.analyst} sent more messages than the session asked for"))

    def attach(self, links: Links) -> None:
        """From now on `end` ends waiting for other parties, too. Before the last `expect`, to miss no end."""
        self._links = links

    def end(self, fault: Fault) -> None:
        """From any thread: the session ends with this fault at its present or next wait. The first fault counts."""
        with self._lock:
            if self._end is not None:
                return
            self._end = fault
        self._ended.set()
        self._inbox.put(fault)
        if self._links is not None:
            self._links.interrupt(fault)

    def pause(self, seconds: float) -> None:
        """Let time pass, in which nothing is expected. Raises the Fault that ended the session, as soon as it did."""
        if self._ended.wait(seconds) and self._end is not None:
            raise self._end

    def expect(self, kind: str, within_s: float) -> Mapping[str, Any]:
        """The next message, which must be of this kind. Raises Fault RELAY_TIMEOUT, UNEXPECTED, or what ended it."""
        try:
            message = self._inbox.get(timeout=within_s)
        except Empty:
            raise Fault(
                "RELAY_TIMEOUT",
                f"the analyst did not bring the others' {kind} within {within_s:.0f} s",
                "Another party may be slow or down; submit again.",
            ) from None
        if isinstance(message, Fault):
            raise message
        if message["kind"] != kind:
            raise Fault("UNEXPECTED", f"a message of kind {message['kind'][:40]!r} came where {kind!r} was due")
        return message


def _cancelled(message: Mapping[str, Any]) -> Fault:
    """The end that the analyst told of, with the reason where one is given."""
    given = message.get("report")
    if not isinstance(given, Mapping):
        return Fault("SESSION_CANCELLED", "the analyst cancelled the session")
    report = FaultReport.from_wire(given)
    return Fault("SESSION_CANCELLED", f"the session was cancelled, because: {report}", peer=report.peer)
