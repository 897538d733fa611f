"""Noised results that were given: the same plan on the same data gets the same noise again, and costs nothing more.

A node keeps its own share of each result. When an analyst asks for a plan again and no table that it uses has changed
here, the node gives that share once more, whatever the others do: it tells nothing that it has not told before.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from protocols.ring import Array

__all__ = ["MOST_WORDS", "TABLES", "Question", "earlier", "keep"]

TABLES = """
create table answer (question blob primary key, session blob not null) strict;
create table answer_share (
    question blob not null references answer, result text not null, words blob not null,
    primary key (question, result)
) strict;
"""

MOST_WORDS = 1 << 19
"""Numbers in all results of a plan that is kept: 4 MiB."""


@dataclass(frozen=True)
class Question:
    """What makes an answer the same: agreement, plan and every table's file, by their digests, and the analyst."""

    agreement: bytes
    plan: bytes
    analyst: str
    tables: Mapping[str, bytes]

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that."""
        parts = [self.agreement, self.plan, hashlib.sha256(self.analyst.encode()).digest()]
        for name in sorted(self.tables):
            parts += hashlib.sha256(name.encode()).digest(), self.tables[name]
        return hashlib.sha256(b"".join(parts)).digest()


def keep(connection: sqlite3.Connection, question: Question, session: bytes, shares: Mapping[str, Array]) -> None:
    """Keep this node's shares for the analyst, by result, if they are not too long. Within a transaction."""
    if sum(share.size for share in shares.values()) > MOST_WORDS:
        return
    connection.execute("insert or replace into answer values (?, ?)", (question.digest, session))
    connection.execute("delete from answer_share where question = ?", (question.digest,))
    connection.executemany(
        "insert into answer_share values (?, ?, ?)",
        [(question.digest, name, share.astype("<u8", copy=False).tobytes()) for name, share in shares.items()],
    )


def earlier(connection: sqlite3.Connection, question: Question) -> tuple[bytes, dict[str, Array]] | None:
    """The session in which the question was answered, and this node's shares, by result; None if it was not."""
    found = connection.execute("select session from answer where question = ?", (question.digest,)).fetchone()
    if found is None:
        return None
    shares = connection.execute("select result, words from answer_share where question = ?", (question.digest,))
    return found[0], {name: np.frombuffer(words, "<u8").astype(np.uint64, copy=False) for name, words in shares}
