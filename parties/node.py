"""A party node: it checks a plan against its owner's agreement, loads its own columns, and computes with the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from mpc.engine import Engine
from mpc.plan import Plan
from mpc.sampling import draw_rows
from mpc.schedule import Schedule
from mpc.sources import protocol_for
from parties import wire
from parties.admission import Admission, decoded
from parties.allocator import have_pages_ready
from parties.approvals import Request
from parties.config import PartyConfig
from parties.conversation import Conversation
from parties.errors import Fault
from parties.handshake import Agreed, Handshake
from parties.links import Links
from parties.log import Log
from parties.material import check_makeable, dealt, drive, made_together
from parties.noise import draw_unseen
from parties.privacy import Claim, Privacy
from parties.refill import LONGEST_MESSAGE, Refilling, refilled
from parties.results import Results
from parties.server import Server
from parties.stock import Stock
from parties.stock_index import binding_of, remove
from parties.store import Store
from protocols.correlations import Source
from protocols.party import Party
from protocols.ring import Array
from protocols.stock import described

__all__ = ["Node"]

_BUFFER_BYTES = 48 << 20
"""What the masks and frames of long products take at a time."""

_SHARE_WORDS = 1 << 22
_DAY_S = 86400


class Node(Server):
    """The process of one party."""

    role = "party"
    opens = ("submit", "refill")

    def __init__(self, config: PartyConfig, log: Log, now: Callable[[], float] = time.time) -> None:
        super().__init__(config, log, now)
        self.store = Store(config.name, config.data, self._limit)
        self.results = Results(config.results)
        parties = self.consortium.party_names
        self.privacy = Privacy(config.state / "privacy.sqlite", config.name, self.agreement, self.store, self.clock)
        self.admission = Admission(config, self.agreement, parties, self.ledger, self.clock, log, self.privacy)
        self.index = parties.index(config.name)
        self.stock = self._open_stock()
        self._refilling = Refilling(self, self.stock, config.stock) if self.stock and config.stock else None

    def answer(self, message: Mapping[str, Any], analyst: str) -> Mapping[str, Any]:
        """The row counts of the tables that the agreement lists, and what is left of their budgets; what this node has
        against a plan; how it answered one before.
        """
        if message["kind"] not in ("budgets", "catalog", "judge", "repeat"):
            return super().answer(message, analyst)
        self.check_in_force()
        if message["kind"] == "budgets":
            return {"kind": "budgets", "left": self.privacy.remaining()}
        if message["kind"] == "repeat":
            _, plan = wire.fields(message, kind=str, plan=bytes)
            session, shares = self.privacy.earlier(decoded(plan), analyst) or (b"", {})
            words = {name: share.astype("<u8", copy=False).tobytes() for name, share in shares.items()}
            return {"kind": "repeated", "answered": session, "shares": words}
        if message["kind"] == "judge":
            _, plan = wire.fields(message, kind=str, plan=bytes)
            reasons = self.admission.refusals(decoded(plan), analyst)
            return {"kind": "judged", "reasons": reasons, "asks": self.admission.asks}
        tables = self.agreement.data.get(self.name, {})
        return {
            "kind": "catalog",
            "agreement": self.agreement.digest(),
            "rows": {table: self.store.rows(table) for table in tables},
        }

    def serve(self) -> None:
        """Take part in sessions, and have stocks filled in between, until `stop`."""
        with self._refilling.watching() if self._refilling else nullcontext():
            super().serve()

    def part_in(self, message: Mapping[str, Any], sender: str) -> Callable[[Conversation], None]:
        """A computation, or filling the stocks."""
        return (
            refilled(self._refilling, message, sender)
            if message["kind"] == "refill"
            else super().part_in(message, sender)
        )

    def tend(self) -> None:
        """Forget results and material that have been kept as long as agreed."""
        super().tend()
        retention = self.agreement.retention
        if days := retention.results_days:
            self.results.forget(self.clock.now() - days * _DAY_S)
        if self.stock is not None:
            self._forget_material(self.stock)

    def take_part(self, conversation: Conversation, plan_bytes: bytes) -> None:
        """Judge the plan, load, shake hands, receive material, compute, hand over what is the analyst's."""
        conversation.phase = "plan"
        plan = decoded(plan_bytes)
        request = self.admission.admit(conversation, plan)
        schedule = Schedule(plan, protocol_for(self.agreement.source))
        if self.agreement.source == "pairwise":
            check_makeable(schedule)
        self.log.event("plan_accepted", session=conversation.session.hex(), plan=plan.digest.hex())
        self._record_accepted(plan, conversation, request)

        conversation.phase = "load"
        noise = draw_unseen(plan, self.name, self.privacy.unit_rows, colluding=self.agreement.colluding)
        drawn = draw_rows(plan, self.name)
        claim = self.privacy.claim(plan, drawn)
        inputs, load_s, encode_s = self.store.inputs(plan, drawn)
        if any(self.name in step.params["to"] for _, step in plan.of("reveal")):
            self.results.prepare()
        schedule.warm()
        have_pages_ready(min(_BUFFER_BYTES, 8 * schedule.secret_words))
        conversation.tell("progress", phase="loaded")

        conversation.phase = "handshake"
        needs_material = any(True for _ in schedule.demands())
        with_dealer = needs_material and self.agreement.source == "dealer"
        mine = sum(self.index in demand.holders for _, demand in schedule.demands()) if with_dealer else 0
        first = self.ledger.reserve("dealer", mine, conversation.session.hex()) if mine else 0
        handshake = Handshake(self, conversation, plan.parties, plan.digest, with_dealer=with_dealer)
        with handshake.shake(self._loaded(plan), first) as agreed:
            conversation.phase = "offline"
            self.admission.count(conversation, request)
            self._settle(claim, conversation, agreed.links)
            offline_from = time.perf_counter()
            if agreed.with_dealer:
                source = dealt(agreed, schedule, self.index, first)
            else:
                source = self._made(agreed, schedule, conversation)
            party = Party(self.index, len(plan.parties), agreed.secrets, source)
            if needs_material:
                _all_ready(agreed.links, party.others)
            conversation.tell("progress", phase="dealt")

            conversation.phase = "online"
            online_from = time.perf_counter()
            outcome, words = drive(Engine(schedule, party, inputs, noise).run, agreed.links)
            done = time.perf_counter()
            conversation.phase = "record"
            session = conversation.session.hex()
            agreed.send_head(self.audit.record("run_ended", session=session, rounds=outcome.rounds))
            heads = agreed.receive_heads()
        conversation.phase = "result"
        if outcome.revealed:
            self.results.keep(plan, outcome.revealed, conversation.session)
            self.log.event("result_kept", session=session)
        to_analyst = sorted(outcome.shares.get(conversation.analyst, {}))
        self.audit.record("session_closed", heads, session=session, kept=sorted(outcome.revealed), delivered=to_analyst)
        shares = outcome.shares.get(conversation.analyst, {})
        self._keep(claim, conversation, shares)
        for name, share in shares.items():
            flat = share.reshape(-1)
            for start in range(0, max(flat.size, 1), _SHARE_WORDS):
                piece = flat[start : start + _SHARE_WORDS].astype("<u8", copy=False).tobytes()
                conversation.tell("share", name=name, start=start, words=piece)
        delivered = sum(share.size for to in outcome.shares.values() for share in to.values())
        conversation.tell(
            "done",
            rounds=outcome.rounds,
            bytes_sent=8 * (words + delivered),
            load=load_s,
            offline=online_from - offline_from,
            online=encode_s + done - online_from,
        )

    def _limit(self, table: str, rows: int) -> int:
        """How many rows of a table take part; what it costs to tell that goes into the record."""
        taking_part, loss = self.privacy.limit(table, rows)
        if loss:
            self._record_counted("debit", session="", table=table, epsilon=loss.epsilon, delta=loss.beyond)
        return taking_part

    def _longest(self, name: str) -> int:
        first = name == self.consortium.party_names[0]
        return max(super()._longest(name), LONGEST_MESSAGE if first else 0)

    def _open_stock(self) -> Stock | None:
        """This party's stock, if it wants one and may have it; what is there of another time is deleted."""
        keeps = self.agreement.source == "pairwise" and self.agreement.retention.material_days > 0
        if self.config.stock is not None and keeps:
            binding = binding_of(self.consortium, self.agreement)
            return Stock(self.config.state, self.index, binding, self._trouble)
        if self.config.stock is not None:
            self.log.event("stock_not_agreed", reason="the agreement has no material_days, or a dealer")
        remove(self.config.state)
        return None

    def _trouble(self, fault: Fault) -> None:
        self.log.event("fault", code=fault.code, message=fault.message)

    def _forget_material(self, stock: Stock) -> None:
        with stock.forgiving():
            stock.forget(self.clock.now() - self.agreement.retention.material_days * _DAY_S)

    def _made(self, agreed: Agreed, schedule: Schedule, conversation: Conversation) -> Source:
        """From stock, and made with the others."""
        if self.stock is not None:
            self._forget_material(self.stock)
        session = conversation.session.hex()
        made = made_together(
            agreed,
            schedule,
            self.index,
            self.stock,
            kept=self.agreement.retention.material_days > 0,
            told=lambda percent: conversation.tell("progress", phase=f"making {percent} %"),
        )
        taken = {described(kind, schedule.plan.parties): elements for kind, elements in made.in_stock.items()}
        if taken:
            self.audit.record("stock_taken", session=session, elements=taken)
        if taken or made.sent:
            self.log.event("material_made", session=session, count=sum(taken.values()), bytes=8 * made.sent)
        return made.source

    def _settle(self, claim: Claim, conversation: Conversation, links: Links) -> None:
        """Use up the privacy budget, before anything is opened.

        One party after the other, so that of two sessions that want the last of it one is refused, not both.
        """
        session, in_turn = conversation.session.hex(), any(claim.plan.of("noisy"))
        if in_turn and self.index > 0:
            links.receive(self.index - 1, 0)
        self.privacy.settle(claim, session)
        for table, losses in claim.losses.items():
            for loss in losses:
                self._record_counted("debit", session=session, table=table, epsilon=loss.epsilon, delta=loss.delta)
        if in_turn and self.index + 1 < len(claim.plan.parties):
            links.send(self.index + 1, [])
        self._record_counted("run_counted", session=session)

    def _record_counted(self, kind: str, **content: Any) -> None:
        """Record what was counted, with how far the databases are: no older ones are taken at the next start."""
        self.audit.record(kind, counted=self.continuity.counts(), **content)

    def _keep(self, claim: Claim, conversation: Conversation, shares: Mapping[str, Array]) -> None:
        """Keep noised results for when they are asked for again; on a full disk they will have to be paid again."""
        try:
            self.privacy.keep(claim, conversation.analyst, conversation.session, shares)
        except Fault as fault:
            self.log.event("fault", code=fault.code, message=fault.message, session=conversation.session.hex())

    def _record_accepted(self, plan: Plan, conversation: Conversation, request: Request | None) -> None:
        """What was decided on: which data of this party, which results for whom, under which agreement."""
        data: dict[str, list[str]] = {
            step.params["table"]: [] for _, step in plan.of("count") if step.params["party"] == self.name
        }
        for table, column, _, _ in self._loaded(plan):
            data.setdefault(table, []).append(column)
        self.audit.record(
            "plan_accepted",
            session=conversation.session.hex(),
            analyst=conversation.analyst,
            plan=plan.digest.hex(),
            agreement=self.agreement.digest().hex(),
            data=data,
            results={step.params["name"]: list(step.params["to"]) for _, step in plan.of("reveal")},
            approval=request.id if request else "",
        )

    def _loaded(self, plan: Plan) -> list[tuple[str, str, str, int]]:
        own = [step.params for _, step in plan.of("column") if step.params["party"] == self.name]
        return sorted({(p["table"], p["column"], p["kind"], p["rows"]) for p in own})


def _all_ready(links: Links, others: Sequence[int]) -> None:
    """Wait until every party has its material: the online phase starts at all of them at once."""
    for peer in others:
        links.send(peer, [])
    for peer in others:
        links.receive(peer, 0)
