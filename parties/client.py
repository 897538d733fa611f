"""The analyst's side: plan a script, submit it, carry the handshake between the nodes, put the result together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mpc.computation import Computation
from mpc.plan import Plan
from mpc.result import Result
from mpc.schedule import Schedule
from mpc.sources import protocol_for
from parties import policy, wire
from parties.agreement import Agreement
from parties.clock import check_begun, check_not_over
from parties.combining import Pieces, combined
from parties.config import Consortium, PartyConfig, check_identity
from parties.control import ControlClient
from parties.errors import Fault, FaultReport, printable
from parties.identity import Identity
from parties.material import check_makeable
from parties.signatures import check_signed

__all__ = ["Analyst", "Progress"]

Progress = Callable[[str, str], None]
"""Told of (party, phase) as a session goes on: submitted, loaded, dealt, done."""

_CATALOG_WITHIN_S = 600.0
"""Nodes count the rows of their tables, which may be large; one that is gone is noticed earlier."""
_PING_WITHIN_S = 5.0
_SILENT_S = 60.0
"""Nodes tell every few seconds that a session goes on, and have deadlines of their own for each other."""
_OTHERS_SAY_S = 1.0
_CONSEQUENCES = ("PEER_LOST", "PEER_ENDED", "PEER_STALLED", "SESSION_CANCELLED", "ANALYST_LOST")
"""Codes of faults that often follow from another party's fault."""


class Analyst:
    """Someone who may submit computations to a consortium, with their own keys."""

    def __init__(self, config: PartyConfig) -> None:
        """Raises Fault when keys or files are wrong."""
        self.consortium = Consortium.load(config.consortium)
        self.agreement = Agreement.load(config.agreement, self.consortium)
        self.identity = Identity.load(config.key)
        check_identity(config, self.consortium, self.identity)
        self.name = config.name
        self._config = config

    def plan(self, computation: Computation, rows: Mapping[str, Mapping[str, int]] | None = None) -> Plan:
        """The plan over the agreement's tables, with these row counts, or the agreement's bounds."""
        return computation.plan(self.agreement.schema(rows), analyst=self.name)

    def refusals(self, plan: Plan) -> dict[str, tuple[list[str], bool]]:
        """What each party will say against the plan by the agreement alone, and whether a person there decides."""
        parties = self.consortium.party_names
        cases = [policy.Case(plan, self.agreement, party, parties, self.name) for party in parties]
        return {case.party: (policy.refusals(case), self.agreement.approval == "ask") for case in cases}

    def judged(self, plan: Plan) -> dict[str, tuple[list[str], bool]]:
        """The same, said by the nodes, which alone know what they have counted and whether their owners will look.

        Raises Fault UNREACHABLE and others.
        """
        said: dict[str, tuple[list[str], bool]] = {}
        with self._client(dealer=False) as client:
            for party in self.consortium.party_names:
                client.send(party, {"kind": "judge", "plan": plan.encode()})
            while len(said) < len(self.consortium.parties):
                party, message = client.receive(_CATALOG_WITHIN_S)
                _raise_fault(message, party)
                _, reasons, asks = wire.fields(message, kind=str, reasons=list, asks=bool)
                said[party] = [printable(str(reason)) for reason in reasons], asks
        return said

    def check_in_force(self) -> None:
        """Raise Fault unless every party has signed the agreement and its term goes on, by this machine's clock."""
        check_signed(self.agreement, self._config.agreement, self.consortium)
        check_not_over(self.agreement, time.time(), time.time())
        check_begun(self.agreement, time.time())

    def row_counts(self) -> dict[str, dict[str, int]]:
        """The nodes' present row counts, party -> table -> rows. Raises Fault UNREACHABLE and others."""
        with self._client(dealer=False) as client:
            return self._catalog(client)

    def budgets(self) -> dict[str, dict[str, float]]:
        """What is left of budgets, party -> table -> the largest epsilon of one more result with Laplace noise.

        Raises Fault UNREACHABLE and others.
        """
        left: dict[str, dict[str, float]] = {}
        with self._client(dealer=False) as client:
            for party in self.consortium.party_names:
                client.send(party, {"kind": "budgets"})
            while len(left) < len(self.consortium.parties):
                party, message = client.receive(_CATALOG_WITHIN_S)
                _raise_fault(message, party)
                _, told = wire.fields(message, kind=str, left=dict)
                left[party] = {name: rest for name, rest in told.items() if isinstance(rest, float)}
        return left

    def run(self, computation: Computation, progress: Progress = lambda party, phase: None) -> Result:
        """Submit, take part in the handshake, wait, and combine. Raises Fault, ScriptError or PlanError.

        What was answered with noise before, on the same data, gets the same answer, and costs no privacy budget.
        """
        started = time.perf_counter()
        self.check_in_force()
        with self._client(dealer=True) as client:
            rows = self._catalog(client)
            plan = self.plan(computation, rows)
            policy.check_all(plan, self.agreement, self.consortium.party_names, self.name)
            if (repeated := self._repeated(client, plan, started)) is not None:
                return repeated
            schedule = Schedule(plan, protocol_for(self.agreement.source))
            with_dealer = self.agreement.source == "dealer" and any(True for _ in schedule.demands())
            if self.agreement.source == "pairwise":
                check_makeable(schedule)
            members = [*plan.parties]
            if with_dealer:
                if self.consortium.dealer is None:
                    raise Fault("NO_DEALER", "the plan needs a dealer and consortium.toml names none", "Add [dealer].")
                members.append(self.consortium.dealer.name)
            session = _Session(client, members, os.urandom(16), progress)
            try:
                session.conduct(plan.encode())
            except Fault as fault:
                session.cancel(report=fault.report.to_wire())
                raise
            except BaseException:
                session.cancel()
                raise
        return combined(plan, self.name, session.shares, session.done, started)

    def _repeated(self, client: ControlClient, plan: Plan, started: float) -> Result | None:
        """The noised results of this plan from the one session in which all parties answered it, if there is one."""
        if not any(plan.of("noisy")):
            return None
        for party in plan.parties:
            client.send(party, {"kind": "repeat", "plan": plan.encode()})
        sessions: set[bytes] = set()
        shares: dict[str, Pieces] = {}
        while len(shares) < len(plan.parties):
            party, message = client.receive(_CATALOG_WITHIN_S)
            _raise_fault(message, party)
            _, session, held = wire.fields(message, kind=str, answered=bytes, shares=dict)
            sessions.add(session)
            shares[party] = {name: {0: words} for name, words in held.items() if isinstance(words, bytes)}
        return combined(plan, self.name, shares, {}, started) if len(sessions) == 1 and b"" not in sessions else None

    def _client(self, *, dealer: bool) -> ControlClient:
        processes = self.consortium.processes if dealer else self.consortium.parties
        reach = {each.name: (self._config.reached(each).address, each.transport_key) for each in processes}
        return ControlClient(self.identity, reach)

    def _catalog(self, client: ControlClient) -> dict[str, dict[str, int]]:
        parties = self.consortium.party_names
        for party in parties:
            client.send(party, {"kind": "catalog"})
        rows: dict[str, dict[str, int]] = {}
        digests: dict[str, bytes] = {}
        while len(rows) < len(parties):
            party, message = client.receive(_CATALOG_WITHIN_S)
            _raise_fault(message, party)
            _, digests[party], rows[party] = wire.fields(message, kind=str, agreement=bytes, rows=dict)
        mine = self.agreement.digest()
        other = [party for party in parties if digests[party] != mine]
        if other:
            raise Fault(
                "AGREEMENT_DIFFERS",
                f"{', '.join(other)} and you ({self.name}) have different copies of agreement.toml: "
                + ", ".join(f"{party} {digests[party].hex()[:12]}" for party in parties)
                + f", {self.name} {mine.hex()[:12]}",
                "Compare the files and settle on one.",
            )
        return {party: dict(rows[party]) for party in parties}


_DONE: dict[str, type] = {"rounds": int, "bytes_sent": int, "load": float, "offline": float, "online": float}


class _Session:
    """One session as the analyst conducts it."""

    def __init__(self, client: ControlClient, members: list[str], session: bytes, progress: Progress) -> None:
        self._client = client
        self._members = members
        self._session = session
        self._progress = progress
        self.done: dict[str, Mapping[str, Any]] = {}
        self.shares: dict[str, dict[str, dict[int, bytes]]] = {member: {} for member in members}

    def conduct(self, plan: bytes) -> None:
        """From submission to every member's last word. Raises the Fault that ends it."""
        for member in self._members:
            self._tell(member, "submit", plan=plan)
            self._progress(member, "submitted")
        hellos = self._gather("hello", dict)
        for member in self._members:
            self._tell(member, "hellos", hellos=[hellos[name] for name in self._members])
        signatures = self._gather("signature", bytes)
        for member in self._members:
            self._tell(member, "signatures", signatures=signatures)
        while len(self.done) < len(self._members):
            self._handle(*self._next())

    def cancel(self, **reason: object) -> None:
        """Tell every member that has not finished that nobody waits any more, and why."""
        for member in self._members:
            if member not in self.done:
                try:
                    self._tell(member, "cancel", **reason)
                except Fault:
                    continue  # it is gone, or was never there: that fault is on its way to the analyst

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
                _raise_fault(message, member)
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
                _raise_fault(message, member)
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


def _raise_fault(message: Mapping[str, Any], member: str) -> None:
    if message["kind"] == "fault":
        report = message.get("report")
        told = FaultReport.from_wire(report if isinstance(report, Mapping) else {})
        raise Fault.of(replace(told, party=told.party or member))


def ping(path: Path) -> str:
    """Ask the process of a party.toml whether it answers, with its own keys. Raises Fault UNREACHABLE and others."""
    config = PartyConfig.load(path, environ=os.environ)
    consortium = Consortium.load(config.consortium)
    me = consortium.process(config.name)
    address = config.bound(me).address.replace("0.0.0.0", "127.0.0.1", 1)  # noqa: S104
    with ControlClient(Identity.load(config.key), {me.name: (address, me.transport_key)}) as client:
        client.send(me.name, {"kind": "ping"})
        _, message = client.receive(_PING_WITHIN_S)
    _raise_fault(message, me.name)
    _, name, role, _ = wire.fields(message, kind=str, name=str, role=str, version=int)
    return f"{name} ({role}) is ready"
