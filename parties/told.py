"""Numbers of rows that were told with noise: drawn once for a table's file, debited, and the same from then on.

Each draw tells a little more, so a number stands for as long as the file does, whoever asks and under whichever
agreement; each agreement under which it is told is debited for it. What is told and what it cost are one row of one
table, on the disk before anybody hears of it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from mpc.accounting import Loss
from parties.budget import Account, check, whole_second
from parties.terms import CountNoise

__all__ = ["Question", "known", "tell"]


@dataclass(frozen=True)
class Question:
    """How many rows there are in a table: its account, the digest of its file, and the law of the noise."""

    account: Account
    file: bytes
    noise: CountNoise
    unit_rows: int

    @property
    def loss(self) -> Loss:
        """What an answer costs."""
        return Loss(self.noise.epsilon, beyond=self.noise.delta)

    @property
    def law(self) -> tuple[str, bytes, float, float, int]:
        """What a number that was drawn must agree in to be told again."""
        return self.account.name, self.file, self.noise.epsilon, self.noise.delta, self.unit_rows


def known(connection: sqlite3.Connection, question: Question) -> dict[str, int]:
    """The number, by the agreements under which it was told."""
    found = connection.execute(
        "select agreement, rows from told where name = ? and file = ? and epsilon = ? and delta = ? and unit_rows = ?",
        question.law,
    )
    return dict(found.fetchall())


def tell(connection: sqlite3.Connection, question: Question, rows: int) -> None:
    """Debit the number that is about to be told, and remember it. Within a transaction. Raises Fault BUDGET_SPENT."""
    check(connection, question.account, [question.loss])
    connection.execute(
        "insert into told (at, agreement, name, file, epsilon, delta, unit_rows, rows) values (?, ?, ?, ?, ?, ?, ?, ?)",
        (whole_second(question.account), question.account.agreement, *question.law, rows),
    )
