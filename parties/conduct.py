"""One session as it is conducted: submitted to every member, the handshake carried between them, heard to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from parties import wire
from parties.control import ControlClient
from parties.errors import Fault, FaultReport

__all__ = ["Conduct", "Progress", "raise_fault"]

Progress = Callable[[str, str], None]
"""Told of (party, phase) as a session goes on: submitted, loaded, "making 40 %", dealt, done."""

_SILENT_S = 60.0
"""Nodes tell every few seconds that a session goes on, and have deadlines of their own for each other."""
_OTHERS_SAY_S = 1.0
_CONSEQUENCES = ("PEER_LOST", "PEER_ENDED", "PEER_STALLED", "SESSION_CANCELLED", "ANALYST_LOST")
"""Codes of faults that often follow from another party's fault."""

_DONE: dict[str, type] = {"rounds": int, "bytes_sent": int, "load": float, "offline": float, "online": float}


class Conduct:
    """One session as whoever submitted it conducts it: an analyst, or a party whose stock is to be filled."""

    def __init__(self, client: ControlClient, members: Sequence[str], session: bytes, progress: Progress) -> None:
        self._client = client
        self._members = members
        self._session = session
        self._progress = progress
        self.done: dict[str, Mapping[str, Any]] = {}
        self.shares: dict[str, dict[str, dict[int, bytes]]] = {member: {} for member in members}

    def conduct(self, kind: str, **content: object) -> None:
        """From submission, by a message of this kind, to every member's last word.

        Raises the Fault that ends it; every member that has not finished is then told that nobody waits any more.
        """
        try:
            self._conduct(kind, content)
        except Fault as fault:
            self._cancel(report=fault.report.to_wire())
            raise
        except BaseException:
            self._cancel()
            raise

    def _conduct(self, kind: str, content: Mapping[str, object]) -> None:
        for member in self._members:
            self._tell(member, kind, **content)
            self._progress(member, "submitted")
        hellos = self._gather("hello", dict)
        for member in self._members:
            self._tell(member, "hellos", hellos=[hellos[name] for name in self._members])
        signatures = self._gather("signature", bytes)
        for member in self._members:
            self._tell(member, "signatures", signatures=signatures)
        while len(self.done) < len(self._members):
            self._handle(*self._next())

    def _cancel(self, **reason: object) -> None:
        for member in self._members:
            if member not in self.done:
                try:
                    self._tell(member, "cancel", **reason)
                except Fault:
                    continue  # it is gone, or was never there: that fault is on its way

    def _gather(self, kind: str, type_: type) -> dict[str, Any]:
        gathered: dict[str, Any] = {}
        while len(gathered) < len(self._members):
            member, message = self._next()
            if message["kind"] == kind:
                (gathered[member],) = _fields(member, message, **{kind: type_})
            else:
                self._handle(member, message)
        return gathered

    def _next(self) -> tuple[str, Mapping[str, Any]]:
        """The next message for this session. Raises the Fault that ends it."""
        while True:
            try:
                member, message = self._client.receive(_SILENT_S)
                raise_fault(message, member)
            except Fault as fault:
                raise self._root_of(fault) from None
            if message.get("session") == self._session and message["kind"] != "alive":
                return member, message

    def _handle(self, member: str, message: Mapping[str, Any]) -> None:
        match message["kind"]:
            case "progress":
                (phase,) = _fields(member, message, phase=str)
                self._progress(member, phase)
            case "share":
                name, start, words = _fields(member, message, name=str, start=int, words=bytes)
                self.shares[member].setdefault(name, {})[start] = words
            case "done":
                _fields(member, message, **_DONE)
                self.done[member] = message
                self._progress(member, "done")
            case kind:
                raise Fault("UNEXPECTED", f"{member} sent a message of kind {kind[:40]!r}", peer=member)

    def _root_of(self, fault: Fault) -> Fault:
        """Several parties report what one of them caused: hear the others for a moment, tell the most telling."""
        until = time.monotonic() + _OTHERS_SAY_S
        while fault.code in _CONSEQUENCES and (left := until - time.monotonic()) > 0:
            try:
                member, message = self._client.receive(left)
                raise_fault(message, member)
            except Fault as other:
                if other.code not in _CONSEQUENCES:
                    return fault if other.code == "NO_ANSWER" else other
        return fault

    def _tell(self, member: str, kind: str, **content: object) -> None:
        self._client.send(member, {"kind": kind, "session": self._session, **content})


def _fields(member: str, message: Mapping[str, Any], **types: type) -> tuple[Any, ...]:
    """The named fields of a session's message. Raises Fault WIRE_MALFORMED naming the member who sent it."""
    try:
        return wire.fields(message, kind=str, session=bytes, **types)[2:]
    except Fault as fault:
        raise Fault(fault.code, f"{member}: {fault.message}", fault.remedy, peer=member) from None


def raise_fault(message: Mapping[str, Any], member: str) -> None:
    """Raise the Fault that a member's message tells of, if it is one."""
    if message["kind"] == "fault":
        report = message.get("report")
        told = FaultReport.from_wire(report if isinstance(report, Mapping) else {})
        raise Fault.of(replace(told, party=told.party or member))
