"""The privacy budget of each table: what noised results have told of it, debited before they are opened.

A debit is on the disk before anything is opened, and nothing gives it back: neither a session that failed nor one that
nobody finished. Two sessions that want the last of a budget are debited one after the other, so one of them is refused.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from mpc.accounting import Loss, left, within
from parties.errors import Fault
from parties.terms import Budget

__all__ = ["TABLES", "Account", "debit", "remaining", "spent"]

TABLES = """
create table debit (
    number integer primary key, at integer not null, agreement text not null, name text not null,
    session text not null, epsilon real not null check (epsilon > 0), delta real not null check (delta >= 0)
) strict;
create index debit_of on debit (name, at);
"""

_DAY_S = 86400


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
    before = spent(connection, account)
    if not within([*before, *losses], account.limit):
        raise Fault(
            "BUDGET_SPENT",
            f"{account.party}.{account.name} has {left(before, account.limit):.4g} of its budget of epsilon "
            f"{account.budget.epsilon:g} left; {', '.join(_told(loss) for loss in losses)} would be more.",
            "Ask for less, with more noise; wait, if the budget is for a number of days; or have the owners sign another.",
        )
    at = math.ceil(account.now)
    connection.executemany(
        "insert into debit (at, agreement, name, session, epsilon, delta) values (?, ?, ?, ?, ?, ?)",
        [(at, account.agreement, account.name, session, loss.epsilon, loss.delta) for loss in losses],
    )


def spent(connection: sqlite3.Connection, account: Account) -> list[Loss]:
    """What counts against the budget now."""
    if account.budget.days is None:
        question, since = "select epsilon, delta from debit where name = ? and agreement = ?", account.agreement
    else:
        question = "select epsilon, delta from debit where name = ? and at > ?"
        since = math.floor(account.now) - account.budget.days * _DAY_S
    return [Loss(epsilon, delta) for epsilon, delta in connection.execute(question, (account.name, since))]


def remaining(connection: sqlite3.Connection, account: Account) -> float:
    """The largest epsilon that one more result with Laplace noise may have."""
    return left(spent(connection, account), account.limit)


def _told(loss: Loss) -> str:
    return f"epsilon {loss.epsilon:g}" + (f" with delta {loss.delta:g}" if loss.delta else "")
