"""Does a plan keep to the agreement? Every party judges for its own data, from its own copy, clause by clause.

A clause is a function that takes a case and yields the reasons that speak against it, each naming the step. Adding one
to `CLAUSES` is all it takes for nodes, `beaver explain` and the analyst's program to know it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mpc.degrees import degrees
from mpc.disclosure import aggregates, cohorts
from mpc.errors import PlanError
from mpc.operations import Params
from mpc.passes.resolution import adjustable
from mpc.passes.settled import rounds_as_planned
from mpc.plan import Plan, Step
from mpc.types import BOOLEAN
from mpc.undefined import MARK
from mpc.validate import validate
from parties import clauses
from parties.agreement import Agreement
from parties.errors import Fault
from parties.terms import KINDS, ColumnTerms

__all__ = ["ARRANGING", "CLAUSES", "LEAST_PRECISION", "MOST_DEGREE", "Case", "Clause", "check", "check_all", "refusals"]

MOST_DEGREE = 2
"""Of results, as polynomials in one party's values: enough for variances, covariances and regressions."""

LEAST_PRECISION = 16
"""Significant bits that a plan must have been made for, where rounding could tell of single rows."""

_ROUNDING = "rounding can compare single rows' values, and move results further than their noise hides"

ARRANGING = frozenset(
    {"column", "concat", "constant", "noisy", "rescale", "reshape", "reveal", "sample", "share", "stack", "transpose"}
)
"""Operations that other clauses judge, or that only arrange values or round them."""


@dataclass(frozen=True)
class Case:
    """A plan before one party: what a clause judges.

    `analyst`: who submitted the plan. `uses`: how many computations the party has counted under this agreement; none as
    far as anybody but its node knows. `memory`: what only its node remembers.
    """

    plan: Plan
    agreement: Agreement
    party: str
    parties: tuple[str, ...]
    analyst: str
    uses: int = 0
    memory: clauses.Memory | None = None

    def reveals(self) -> Iterator[tuple[str, str, Step]]:
        """Where a result is revealed, its name, and the step."""
        for i, step in self.plan.of("reveal"):
            yield self.plan.where(i), step.params["name"], step


Clause = Callable[[Case], Iterator[str]]


def check(case: Case) -> None:
    """Raise Fault PLAN_INVALID or PLAN_REFUSED, the latter with every reason, unless the party may take part."""
    try:
        validate(case.plan)
    except PlanError as error:
        raise Fault("PLAN_INVALID", error.message, error.remedy or "Do all parties run the same version?") from None
    if reasons := refusals(case):
        raise _refused(f"{case.party} refuses the plan", reasons)


def check_all(plan: Plan, agreement: Agreement, parties: tuple[str, ...], analyst: str) -> None:
    """What every node will check, before anything is submitted. Raises Fault PLAN_REFUSED with all parties' reasons."""
    cases = (Case(plan, agreement, party, parties, analyst) for party in parties)
    reasons = [f"{case.party}: {reason}" for case in cases for reason in refusals(case)]
    if reasons:
        raise _refused("the agreement does not allow this plan", reasons)


def refusals(case: Case) -> list[str]:
    """Every reason why the party would refuse the plan: the step, what is wrong, the clause that it is against."""
    return list(dict.fromkeys(f"{why} ({name})" for name, clause in CLAUSES.items() for why in _judged(clause, case)))


def _judged(clause: Clause, case: Case) -> Iterator[str]:
    try:
        yield from clause(case)
    except PlanError as error:
        yield error.message
    except Exception as error:  # what cannot be judged is not allowed, whatever the reason
        yield f"this cannot be judged ({type(error).__name__})"


def _refused(what: str, reasons: list[str]) -> Fault:
    return Fault(
        "PLAN_REFUSED",
        f"{what}: " + "; ".join(reasons),
        "Change the script, or ask the owners to change agreement.toml.",
    )


def _parties(case: Case) -> Iterator[str]:
    if case.plan.parties != case.parties:
        yield f"the plan is for the parties {', '.join(case.plan.parties)}, not for {', '.join(case.parties)}"


def _uses(case: Case) -> Iterator[str]:
    most = case.agreement.uses
    if most is not None and case.uses >= most:
        yield f"the plan would be computation {case.uses + 1:,}, {most:,} are agreed"


def _computations(case: Case) -> Iterator[str]:
    named = case.agreement.computations
    if named and case.plan.digest.hex() not in named.values():
        yield f"the plan {case.plan.digest.hex()} is none of the agreed computations, {', '.join(named)}"


def _operations(case: Case) -> Iterator[str]:
    if case.agreement.operations is None:
        return
    allowed = ARRANGING.union(*(KINDS[kind] for kind in case.agreement.operations))
    for i, step in enumerate(case.plan.steps):
        if step.op not in allowed:
            kinds = [kind for kind, operations in KINDS.items() if step.op in operations]
            yield f"{case.plan.where(i)}: {', '.join(kinds) or step.op} are not among the agreed operations"


def _data(case: Case) -> Iterator[str]:
    for i, step in enumerate(case.plan.steps):
        if step.op not in ("column", "count") or step.params["party"] != case.party:
            continue
        table = case.agreement.data.get(case.party, {}).get(step.params["table"])
        name = f"{case.plan.where(i)}: {case.party}.{step.params['table']}"
        if table is None:
            yield f"{name} is not in the agreement"
            continue
        if step.params["rows"] > table.rows:
            yield f"{name} has {step.params['rows']:,} rows, the agreement allows {table.rows:,}"
        if step.op == "column":
            column = table.columns.get(step.params["column"])
            if reason := "is not in the agreement" if column is None else _differs(step.params, column):
                yield f"{name}.{step.params['column']} {reason}"


def _differs(params: Params, agreed: ColumnTerms) -> str:
    if params["kind"] != agreed.type:
        return f"is {agreed.type} in the agreement, {params['kind']} in the plan"
    if (params["low"], params["high"]) != tuple(agreed.range):
        return f"has the range {list(agreed.range)} in the agreement, {[params['low'], params['high']]} in the plan"
    return ""


def _recipients(case: Case) -> Iterator[str]:
    for where, name, step in case.reveals():
        for to in step.params["to"]:
            if to not in case.agreement.recipients:
                yield f"{where}: {to} may not receive {name!r}"
            elif to not in case.plan.parties and to != case.analyst:
                yield f"{where}: {to} receives what {to} submits, not {name!r}"


def _outputs(case: Case) -> Iterator[str]:
    agreed = case.agreement.outputs
    flags = _flags(case.plan)
    for where, name, step in case.reveals() if agreed else ():
        if name in flags:  # who is told a value may be told whether there is one
            continue
        if name not in agreed:
            yield f"{where}: {name!r} is none of the agreed results, {', '.join(agreed)}"
        else:
            yield from (f"{where}: {to} may not receive {name!r}" for to in step.params["to"] if to not in agreed[name])


def _flags(plan: Plan) -> frozenset[str]:
    """Results that only say whether others mean anything: truth values under their names and MARK, to whom they go."""
    told = {step.params["name"]: (set(step.params["to"]), plan.types[i]) for i, step in plan.of("reveal")}
    return frozenset(
        name
        for name, (to, flag) in told.items()
        if name.endswith(MARK)
        and (value := told.get(name.removesuffix(MARK)))
        and (to, flag.domain) == (value[0], BOOLEAN)
        and flag.shape in ((), value[1].shape)
    )


def _min_rows(case: Case) -> Iterator[str]:
    fewest = cohorts(case.plan, case.party)
    for where, name, _ in case.reveals():
        if fewest.get(name, case.agreement.min_rows) < case.agreement.min_rows:
            yield (
                f"{where}: {name!r} would reveal a number that rests on {fewest[name]} of {case.party}'s rows, "
                f"where at least {case.agreement.min_rows} are agreed"
            )


def _degree(case: Case) -> Iterator[str]:
    enough = aggregates(case.plan, case.party, case.agreement.min_rows)
    found = degrees(case.plan, case.party, enough, MOST_DEGREE, case.agreement.row_conditions)
    for where, name, _ in case.reveals():
        if found[name] == math.inf:
            yield (
                f"{where}: {name!r} compares or rounds single rows of {case.party}, or computes functions of them; "
                "row_conditions does not allow that"
            )
        elif found[name] > MOST_DEGREE:
            yield (
                f"{where}: {name!r} multiplies {found[name]} values of {case.party} with each other, where "
                f"{MOST_DEGREE} at most are allowed, because with more a script can pick out single rows"
            )


def _roundings(case: Case) -> Iterator[str]:
    rounded = any(map(adjustable, case.plan.steps))
    if not rounded or (case.agreement.row_conditions and not any(case.plan.of("noisy"))):
        return
    if (bits := case.plan.precision) < LEAST_PRECISION:
        yield f"the plan keeps {bits} significant bits of real values, fewer than {LEAST_PRECISION}: {_ROUNDING}"
    elif not rounds_as_planned(case.plan):
        yield f"the plan rounds real values otherwise than the planner does: {_ROUNDING}"


CLAUSES: Mapping[str, Clause] = {
    "parties": _parties,
    "uses": _uses,
    "computations": _computations,
    "operations": _operations,
    "data": _data,
    "recipients": _recipients,
    "outputs": _outputs,
    "min_rows": _min_rows,
    "min_rows, of differences": clauses.differencing,
    "exact_results": clauses.exact_results,
    "budget": clauses.budget,
    "earlier results": clauses.history,
    "every agreement": _degree,
    "every agreement, of roundings": _roundings,
}
"""The clause's name in agreement.toml, and what it asks of a plan."""
