"""A privacy budget's ledger as the tests open it, here and in processes of their own."""

from __future__ import annotations

from pathlib import Path

from mpc.accounting import Loss
from parties import budget
from parties.budget import Account, debit
from parties.database import Database
from parties.terms import Budget

NOW = 1_800_000_000.0


def opened(path: Path) -> Database:
    """The ledger."""
    return Database(path, budget.TABLES, 7, "what is spent", "Restore it.")


def account(
    epsilon: float = 1.0, delta: float = 0.0, days: int | None = None, *, now: float = NOW, agreement: str = "a"
) -> Account:
    """Of one table."""
    return Account("north", "visits", Budget(epsilon=epsilon, delta=delta, days=days), agreement, now)


def spend(database: Database, from_: Account, *losses: Loss) -> None:
    """What one session does."""
    with database.transaction() as connection:
        debit(connection, from_, losses, "s")
