"""The privacy budget of each table: what noised results have told of it, debited before they are opened.

A debit is on the disk before anything is opened, and nothing gives it back: neither a session that failed nor one that
nobody finished. Two sessions that want the last of a budget are debited one after the other, so one of them is refused.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mpc.accounting import Loss, left, within
from mpc.plan import Plan
from mpc.sensitivity import Table, sensitivities
from parties.errors import Fault
from parties.terms import Budget

__all__ = ["TABLES", "Account", "check", "debit", "exceeded", "losses_of", "remaining", "spent", "whole_second"]

TABLES = """
create table debit (
    number integer primary key, at integer not null, agreement text not null, name text not null,
    session text not null, epsilon real not null check (epsilon > 0), delta real not null check (delta >= 0)
) strict;
create index debit_of on debit (name, at);
create table told (
    number integer primary key, at integer not null, agreement text not null, name text not null, file blob not null,
    epsilon real not null check (epsilon > 0), delta real not null check (delta > 0), unit_rows integer not null,
    rows integer not null, unique (agreement, name, file, epsilon, delta, unit_rows)
) strict;
"""
"""What results cost; and the numbers of rows that were told with noise (`parties/told.py`), which cost, too."""

_DAY_S = 86400
_NEVER = (1 << 63) - 1


@dataclass(frozen=True)
class Account:
    """One table's budget. `agreement`: the digest of the one it stands in, hexadecimal; `now`: seconds since 1970.

    A budget for a number of days counts the results of that time up to now; one without counts those under its
    agreement.
    """

    party: str
    name: str
    budget: Budget
    agreement: str
    now: float

    @property
    def limit(self) -> Loss:
        """The most that all results together may tell."""
        return Loss(self.budget.epsilon, self.budget.delta)


def debit(connection: sqlite3.Connection, account: Account, losses: Sequence[Loss], session: str) -> None:
    """Count what a session is about to reveal of a table. Within a transaction.

    Raises Fault BUDGET_SPENT, with nothing counted, when that is more than the budget has left.
    """
    check(connection, account, losses)
    at = whole_second(account)
    connection.executemany(
        "insert into debit (at, agreement, name, session, epsilon, delta) values (?, ?, ?, ?, ?, ?)",
        [(at, account.agreement, account.name, session, loss.epsilon, loss.delta) for loss in losses],
    )


def check(connection: sqlite3.Connection, account: Account, losses: Sequence[Loss]) -> None:
    """Raise Fault BUDGET_SPENT when this is more than the budget has left."""
    if reason := exceeded(f"{account.party}.{account.name}", account.limit, spent(connection, account), losses):
        raise Fault(
            "BUDGET_SPENT",
            f"{reason}.",
            "Ask for less, with more noise. Or wait, if the budget is for some days; or have the owners sign another.",
            peer=account.party,
        )


def whole_second(account: Account) -> int:
    """When a debit of this moment is said to be: never earlier."""
    return math.ceil(account.now)


def exceeded(name: str, limit: Loss, before: Sequence[Loss], losses: Sequence[Loss]) -> str:
    """Why results that cost so much, after others, are too much for a table's budget; nothing if they are not."""
    if within([*before, *losses], limit):
        return ""
    wanted = ", ".join(_told(loss, count) for loss, count in Counter(losses).items())
    return (
        f"{name} has epsilon {left(before, limit):.4g} left of its privacy budget of epsilon {limit.epsilon:g} and "
        f"delta {limit.delta:g}, and this needs {wanted}"
    )


def losses_of(plan: Plan, party: str, unit_rows: Mapping[Table, int]) -> dict[str, list[Loss]]:
    """What the noised values of a plan cost each of the party's tables. Raises PlanError where that has no measure."""
    found: dict[str, list[Loss]] = {}
    for i, moved in sensitivities(plan.steps, plan.types, unit_rows).items():
        loss = Loss(plan.steps[i].params["epsilon"], plan.steps[i].params["delta"])
        for owner, name in moved:
            if owner == party:
                found.setdefault(name, []).append(loss)
    return found


def spent(connection: sqlite3.Connection, account: Account) -> list[Loss]:
    """What counts against the budget now."""
    agreement, since = account.agreement, _NEVER
    if account.budget.days is not None:
        agreement, since = "", math.floor(account.now) - account.budget.days * _DAY_S
    counted = connection.execute(
        "select epsilon, delta, 0.0 from debit where name = :name and (agreement = :agreement or at > :since) "
        "union all select epsilon, 0.0, delta from told where name = :name and (agreement = :agreement or at > :since)",
        {"name": account.name, "agreement": agreement, "since": since},
    )
    return [Loss(*loss) for loss in counted]


def remaining(connection: sqlite3.Connection, account: Account) -> float:
    """The largest epsilon that one more result with Laplace noise may have."""
    return left(spent(connection, account), account.limit)


def _told(loss: Loss, count: int) -> str:
    delta = loss.delta or loss.beyond
    told = f"epsilon {loss.epsilon:g}" + f" and delta {delta:g}" * bool(delta)
    return f"{count:,} times {told}" if count > 1 else told
