"""Does a plan keep to the agreement? Every party judges for its own data, from its own copy."""

from __future__ import annotations

from mpc.degrees import degrees
from mpc.disclosure import cohorts
from mpc.errors import PlanError
from mpc.operations import Params
from mpc.plan import Plan
from mpc.validate import validate
from parties.agreement import Agreement
from parties.errors import Fault

__all__ = ["MOST_DEGREE", "check", "check_all", "refusals"]

MOST_DEGREE = 2
"""Of results, as polynomials in one party's values: enough for variances, covariances and regressions."""


def check(plan: Plan, agreement: Agreement, party: str, parties: tuple[str, ...], analyst: str) -> None:
    """Raise Fault PLAN_INVALID or PLAN_REFUSED, the latter with every reason, unless the party may take part.

    `analyst`: who submitted the plan.
    """
    try:
        validate(plan)
    except PlanError as error:
        raise Fault("PLAN_INVALID", error.message, error.remedy or "Do all parties run the same version?") from None
    reasons = refusals(plan, agreement, party, analyst)
    if plan.parties != parties:
        reasons.insert(0, f"the plan is for the parties {', '.join(plan.parties)}, not for {', '.join(parties)}")
    if reasons:
        raise _refused(f"{party} refuses the plan", reasons)


def check_all(plan: Plan, agreement: Agreement, parties: tuple[str, ...], analyst: str) -> None:
    """What every node will check, before anything is submitted. Raises Fault PLAN_REFUSED with all parties' reasons."""
    found = {party: refusals(plan, agreement, party, analyst) for party in parties}
    reasons = [f"{party}: {reason}" for party, said in found.items() for reason in said]
    if reasons:
        raise _refused("the agreement does not allow this plan", reasons)


def _refused(what: str, reasons: list[str]) -> Fault:
    return Fault(
        "PLAN_REFUSED",
        f"{what}: " + "; ".join(reasons),
        "Change the script, or ask the owners to change agreement.toml.",
    )


def refusals(plan: Plan, agreement: Agreement, party: str, analyst: str) -> list[str]:
    """Every reason why the party would refuse the plan."""
    reasons: list[str] = []
    terms = agreement.data.get(party, {})
    for i, step in enumerate(plan.steps):
        if step.op in ("column", "count") and step.params["party"] == party:
            table = terms.get(step.params["table"])
            name = f"{plan.where(i)}: {party}.{step.params['table']}"
            if table is None:
                reasons.append(f"{name} is not in the agreement")
            elif step.params["rows"] > table.rows:
                reasons.append(f"{name} has {step.params['rows']:,} rows, the agreement allows {table.rows:,}")
            elif step.op == "column":
                column = table.columns.get(step.params["column"])
                reason = (
                    "is not in the agreement" if column is None else _differs(step.params, column.type, column.range)
                )
                if reason:
                    reasons.append(f"{name}.{step.params['column']} {reason}")
        elif step.op == "reveal":
            for to in step.params["to"]:
                if to not in agreement.recipients:
                    reasons.append(f"{plan.where(i)}: {to} may not receive {step.params['name']!r}")
                elif to not in plan.parties and to != analyst:
                    reasons.append(f"{plan.where(i)}: {to} receives what {to} submits, not {step.params['name']!r}")
    try:
        for name, rows in cohorts(plan, party).items():
            if rows < agreement.min_rows:
                reasons.append(
                    f"{name!r} would reveal a number that rests on {rows} of {party}'s rows; "
                    f"at least {agreement.min_rows} are agreed"
                )
    except PlanError as error:
        reasons.append(error.message)
    except Exception as error:  # what cannot be judged is not allowed, whatever the reason
        reasons.append(f"what it discloses cannot be judged ({type(error).__name__})")
    for name, degree in degrees(plan, party).items():
        if degree > MOST_DEGREE:
            reasons.append(
                f"{name!r} multiplies {degree} values of {party} with each other; {MOST_DEGREE} at most are allowed, "
                "because with more a script can pick out single rows"
            )
    return list(dict.fromkeys(reasons))


def _differs(params: Params, kind: str, bounds: tuple[int | float, int | float]) -> str:
    if params["kind"] != kind:
        return f"is {kind} in the agreement, {params['kind']} in the plan"
    if (params["low"], params["high"]) != tuple(bounds):
        return f"has the range {list(bounds)} in the agreement, {[params['low'], params['high']]} in the plan"
    return ""
