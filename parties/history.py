"""What a node remembers of results without noise: which rows of its own each of them used.

Two sums over nearly the same rows give away those by which they differ, when one is taken from the other. So a result
whose rows differ from those of an earlier one, or of another one in the same plan, by at least one and fewer than the
agreed number is refused (Denning, "Cryptography and Data Security", 1982, section 6.3). So is one in which nearly the
same rows weigh alike: public weights can make rows count for nothing. Rows are what they hold: after two rows were
added to a table, sums over all of it differ by two rows from those before.

Remembered for good, whatever agreements come and go. Combinations of more than two results are not looked at.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parties.rows import differing_cells

__all__ = ["TABLES", "Used", "differing", "exact_results", "record"]

TABLES = """
create table row_set (
    name text not null, digest blob not null, sketch blob not null, session text not null,
    primary key (name, digest)
) strict;
create table exact_result (
    agreement text not null, name text not null, plan blob not null, result text not null, digest blob not null,
    primary key (agreement, name, plan, result, digest)
) strict;
"""


@dataclass(frozen=True)
class Used:
    """The rows of one table that a result without noise uses, as a sketch; or a part that weighs alike in it."""

    result: str
    name: str
    sketch: NDArray[np.uint64]
    part: bool = False

    @property
    def digest(self) -> bytes:
        """The same for the same rows."""
        return hashlib.sha256(self.sketch.astype("<u8", copy=False).tobytes()).digest()


def differing(connection: sqlite3.Connection, used: Sequence[Used], min_rows: int) -> list[Used]:
    """The results that must not be given: they use nearly the same rows as an earlier one, or as one before it here."""
    known: dict[str, dict[bytes, NDArray[np.uint64]]] = {}
    verdicts: dict[tuple[str, bytes], bool] = {}
    for each in used:
        if each.name not in known:
            stored = connection.execute("select digest, sketch from row_set where name = ?", (each.name,))
            known[each.name] = {digest: np.frombuffer(words, "<u8") for digest, words in stored}
        if (each.name, each.digest) not in verdicts:
            cells = (differing_cells(each.sketch, other) for other in known[each.name].values())
            verdicts[each.name, each.digest] = any(0 < count < min_rows for count in cells)
            known[each.name][each.digest] = each.sketch
    return [each for each in used if verdicts[each.name, each.digest]]


def record(connection: sqlite3.Connection, used: Sequence[Used], *, agreement: str, plan: bytes, session: str) -> None:
    """Remember what a session is about to reveal without noise. Within a transaction."""
    connection.executemany(
        "insert or ignore into row_set values (?, ?, ?, ?)",
        [(each.name, each.digest, each.sketch.astype("<u8", copy=False).tobytes(), session) for each in used],
    )
    connection.executemany(
        "insert or ignore into exact_result values (?, ?, ?, ?, ?)",
        [(agreement, each.name, plan, each.result, each.digest) for each in used if not each.part],
    )


def exact_results(
    connection: sqlite3.Connection, used: Sequence[Used], *, agreement: str, plan: bytes
) -> Mapping[str, int]:
    """How many results without noise there are of each table under the agreement, those that are asked for included.

    The same result of the same plan from the same rows counts once.
    """
    results = {(each.name, plan, each.result, each.digest) for each in used if not each.part}
    for name in {each.name for each in used}:
        question = "select name, plan, result, digest from exact_result where agreement = ? and name = ?"
        results.update(connection.execute(question, (agreement, name)))
    return Counter(name for name, *_ in results)
