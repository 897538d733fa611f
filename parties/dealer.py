"""The dealer process: it deals the triples that a plan asks for, and sees neither inputs nor openings."""

from __future__ import annotations

from mpc.errors import PlanError
from mpc.plan import Plan
from mpc.schedule import Schedule
from mpc.validate import validate
from parties.conversation import Conversation
from parties.errors import Fault
from parties.handshake import Handshake, send_words
from parties.server import Server
from protocols.dealer import batches, deal
from protocols.prg import derive

__all__ = ["Dealer"]


class Dealer(Server):
    """The process of the dealer."""

    role = "dealer"

    def take_part(self, conversation: Conversation, plan_bytes: bytes) -> None:
        """Shake hands, refuse material of a past that a party has already used, and deal."""
        conversation.phase = "plan"
        try:
            plan = Plan.decode(plan_bytes)
            validate(plan)
        except PlanError as error:
            raise Fault("PLAN_INVALID", error.message, error.remedy) from None
        if plan.parties != self.consortium.party_names:
            raise Fault("PLAN_INVALID", "the plan is for other parties than the consortium's")
        schedule = Schedule(plan)
        session = conversation.session.hex()
        self.audit.record("plan_accepted", session=session, analyst=conversation.analyst, plan=plan.digest.hex())
        conversation.phase = "handshake"
        with Handshake(self, conversation, plan.parties, plan.digest, with_dealer=True).shake([], 0) as agreed:
            conversation.phase = "offline"
            counts = dict.fromkeys(range(len(plan.parties)), 0)
            for _, demand in schedule.demands():
                for party in demand.holders:
                    counts[party] += 1
            for party, first in agreed.cursors.items():
                if counts[party]:
                    name = plan.parties[party]
                    key = self.consortium.member(name).verify_key
                    self.ledger.claim(name, key, first, counts[party], session)
            secrets = {i: derive(agreed.secrets[i], "material", agreed.cursors[i]) for i in counts}
            for party, batch in batches(schedule.demands()):
                send_words(agreed.links, party, [deal(demand, label, secrets) for label, demand in batch])
            pieces = {plan.parties[i]: count for i, count in counts.items() if count}
            counted = self.continuity.counts()
            agreed.send_head(self.audit.record("material_dealt", session=session, pieces=pieces, counted=counted))
            conversation.tell("progress", phase="dealt")
        conversation.tell("done", rounds=0, bytes_sent=0, load=0.0, offline=0.0, online=0.0)
