"""May this plan run here, now? The clauses, a person where one wants to look, and the counting of what was granted."""

from __future__ import annotations

import time

from mpc.errors import PlanError
from mpc.plan import Plan
from parties import policy
from parties.agreement import Agreement
from parties.approvals import Approvals, Request
from parties.clauses import Memory, budget_notes
from parties.clock import Clock
from parties.config import PartyConfig
from parties.conversation import Conversation
from parties.errors import Fault
from parties.ledger import Ledger
from parties.log import Log

__all__ = ["Admission", "decoded"]

_LOOK_AGAIN_S = 0.5
"""How often a session that waits for a person looks whether there is a decision."""


class Admission:
    """One party's say on plans, under one agreement. For many threads."""

    def __init__(
        self,
        config: PartyConfig,
        agreement: Agreement,
        parties: tuple[str, ...],
        ledger: Ledger,
        clock: Clock,
        log: Log,
        memory: Memory,
    ) -> None:
        self._config = config
        self._agreement = agreement
        self._parties = parties
        self._ledger = ledger
        self._clock = clock
        self._log = log
        self._memory = memory
        self._approvals = Approvals(config.state / "approvals.sqlite")
        self._digest = agreement.digest()

    @property
    def asks(self) -> bool:
        """Whether a person looks at every plan: agreed by all, or this owner's own wish."""
        return "ask" in (self._agreement.approval, self._config.approval)

    def refusals(self, plan: Plan, analyst: str) -> list[str]:
        """Every reason why this plan would be refused here."""
        return policy.refusals(self._case(plan, analyst))

    def admit(self, conversation: Conversation, plan: Plan) -> Request | None:
        """Judge the plan, then wait until a person approves it, if one is to look; their decision then.

        Raises Fault PLAN_INVALID, PLAN_REFUSED, PLAN_DENIED, or APPROVAL_PENDING when nobody decided in time.
        """
        conversation.phase = "plan"
        case = self._case(plan, conversation.analyst)
        policy.check(case)
        if not self.asks:
            return None
        conversation.phase = "approval"
        request = self._ask(case)
        until = time.monotonic() + self._config.approval_wait_s
        if request.is_open:
            conversation.tell("progress", phase="waiting")
            self._log.event("approval_asked", session=conversation.session.hex(), plan=plan.digest.hex())
        while request.is_open:
            if time.monotonic() > until:
                raise self._not_approved(request)
            conversation.pause(_LOOK_AGAIN_S)
            request = self._approvals.get(request.id)
            if request.is_used_up:  # by another session, which was faster: a person is to see that this one waits
                request = self._ask(case)
        if request.decision == "denied":
            raise self._not_approved(request)
        return request

    def count(self, conversation: Conversation, request: Request | None) -> None:
        """Use up what one computation was granted: before anything of it leaves, and never given back.

        Raises Fault APPROVAL_PENDING, PLAN_DENIED, USES_EXHAUSTED or AGREEMENT_EXPIRED for what changed since `admit`.
        """
        self._clock.check(self._agreement)
        if request is not None and not self._approvals.take(request.id):
            raise self._not_approved(self._approvals.get(request.id))
        if self._agreement.uses is not None:
            self._ledger.use(self._digest.hex(), self._agreement.uses, conversation.session.hex())

    def _case(self, plan: Plan, analyst: str) -> policy.Case:
        uses = self._ledger.uses(self._digest.hex())
        return policy.Case(plan, self._agreement, self._config.name, self._parties, analyst, uses, self._memory)

    def _ask(self, case: policy.Case) -> Request:
        notes, now = self._notes(case), int(self._clock.now())
        return self._approvals.ask(case.plan, self._digest, case.analyst, notes, now)

    def _notes(self, case: policy.Case) -> dict[str, str]:
        """What a person should know besides the plan: topic -> how it is before and after."""
        most = case.agreement.uses
        notes = {} if most is None else {"computations left": f"{most - case.uses:,}, then {most - case.uses - 1:,}"}
        return notes | budget_notes(case)

    def _not_approved(self, request: Request) -> Fault:
        if request.decision == "denied":
            return Fault(
                "PLAN_DENIED",
                f"{self._config.name} denies this plan: {request.why}",
                f"Ask {self._config.name}, or submit another script.",
                peer=self._config.name,
            )
        return Fault(
            "APPROVAL_PENDING",
            f"nobody at {self._config.name} has decided on this plan yet (request {request.id[:8]})",
            f"Submit the same script again when {self._config.name} has approved it; the request stays.",
            peer=self._config.name,
        )


def decoded(plan: bytes) -> Plan:
    """The plan in these bytes. Raises Fault PLAN_INVALID."""
    try:
        return Plan.decode(plan)
    except PlanError as error:
        raise Fault("PLAN_INVALID", error.message, error.remedy) from None
