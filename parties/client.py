"""The analyst's side: plan a script, submit it, carry the handshake between the nodes, put the result together."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from mpc.computation import Computation
from mpc.plan import Plan
from mpc.result import Result
from mpc.schedule import Schedule
from mpc.sources import protocol_for
from parties import policy, wire
from parties.agreement import Agreement
from parties.clock import check_begun, check_not_over
from parties.combining import Pieces, combined
from parties.conduct import Conduct, Progress, raise_fault
from parties.config import Consortium, PartyConfig, check_identity
from parties.control import ControlClient
from parties.errors import Fault, printable
from parties.identity import Identity
from parties.material import check_makeable
from parties.signatures import check_signed

__all__ = ["Analyst", "ping"]

_CATALOG_WITHIN_S = 600.0
"""Nodes count the rows of their tables, which may be large; one that is gone is noticed earlier."""
_PING_WITHIN_S = 5.0


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
                raise_fault(message, party)
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
                raise_fault(message, party)
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
            session = Conduct(client, members, os.urandom(16), progress)
            session.conduct("submit", plan=plan.encode())
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
            raise_fault(message, party)
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
            raise_fault(message, party)
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


def ping(path: Path) -> str:
    """Ask the process of a party.toml whether it answers, with its own keys. Raises Fault UNREACHABLE and others."""
    config = PartyConfig.load(path, environ=os.environ)
    consortium = Consortium.load(config.consortium)
    me = consortium.process(config.name)
    with ControlClient(Identity.load(config.key), {me.name: (config.control_address(me), me.transport_key)}) as client:
        client.send(me.name, {"kind": "ping"})
        _, message = client.receive(_PING_WITHIN_S)
    raise_fault(message, me.name)
    _, name, role, _ = wire.fields(message, kind=str, name=str, role=str, version=int)
    return f"{name} ({role}) is ready"
