"""What a node remembers of results without noise: which rows of its own each of them used, and which weighed alike.

Two sums over nearly the same rows give away those by which they differ, when one is taken from the other. So a result
that together with earlier ones, or with others in the same plan, may tell of at least one and fewer than the agreed
number of rows is refused (Denning, "Cryptography and Data Security", 1982, section 6.3; judged in parties/rows.py).
As long as a table holds the same, a row is where it stands, and all results are looked at together. After a change rows
are what they hold: after two rows were added, sums over all of the table differ by two rows from those before. Results
from before and after a change are compared two at a time.

Remembered for good, whatever agreements come and go.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from parties.rows import Contents, Partition, few_together, near, numbered

__all__ = ["TABLES", "Used", "adding_up", "differing", "exact_results", "record"]

TABLES = """
create table content (
    name text not null, digest blob not null, hashes blob not null,
    primary key (name, digest)
) strict;
create table row_set (
    name text not null, digest blob not null, content blob not null, classes blob not null, session text not null,
    primary key (name, digest)
) strict;
create table exact_result (
    agreement text not null, name text not null, plan blob not null, result text not null, digest blob not null,
    numbers integer not null,
    primary key (agreement, name, plan, result, digest)
) strict;
"""


@dataclass(frozen=True)
class Used:
    """The rows of one table that a result without noise uses, as they weigh, and how many numbers the result holds.

    `anew`: it depends on something random, so that it is another result in every session.
    """

    result: str
    name: str
    rows: Partition
    contents: Contents
    numbers: int = 1
    anew: bool = False

    @cached_property
    def digest(self) -> bytes:
        """The same for the same classes of rows of the same table."""
        return hashlib.sha256(self.contents.digest + self.rows.encode()).digest()


def differing(connection: sqlite3.Connection, used: Sequence[Used], min_rows: int) -> list[Used]:
    """The results that must not be given: with an earlier one, or one before it here, they may tell of few rows."""
    known: dict[str, list[tuple[bytes, Partition]]] = {}
    verdicts: dict[tuple[str, bytes], bool] = {}

    def contents(name: str, digest: bytes) -> Contents:
        for each in used:
            if (each.name, each.contents.digest) == (name, digest):
                return each.contents
        question = "select hashes from content where name = ? and digest = ?"
        ((hashes,),) = connection.execute(question, (name, digest))
        return Contents(np.frombuffer(hashes, "<u8"))

    @lru_cache(maxsize=1)  # of all results on one table as it was, one after the other
    def held(name: str, before: bytes, now: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        return None if before == now else numbered(contents(name, before), contents(name, now))

    def tells(each: Used, digest: bytes, rows: Partition) -> bool:
        return near(rows, each.rows, min_rows, held(each.name, digest, each.contents.digest)) > 0

    for each in used:
        if each.name not in known:
            question = "select content, classes from row_set where name = ? order by content"
            stored = connection.execute(question, (each.name,))
            known[each.name] = [(digest, Partition.decode(zlib.decompress(classes))) for digest, classes in stored]
        if (each.name, each.digest) not in verdicts:
            verdicts[each.name, each.digest] = any(tells(each, *earlier) for earlier in known[each.name])
            known[each.name].append((each.contents.digest, each.rows))
    return [each for each in used if verdicts[each.name, each.digest]]


def adding_up(connection: sqlite3.Connection, used: Sequence[Used], min_rows: int) -> list[Used]:
    """The same of all results together that a table told while it held the same."""
    by_contents: dict[tuple[str, bytes], list[Used]] = defaultdict(list)
    for each in used:
        by_contents[each.name, each.contents.digest].append(each)
    refused: list[Used] = []
    for held, new in by_contents.items():
        stored = connection.execute("select classes from row_set where name = ? and content = ?", held)
        before = [Partition.decode(zlib.decompress(classes)) for (classes,) in stored]
        few = few_together(before, [each.rows for each in new], min_rows)
        refused += [each for each, tells in zip(new, few, strict=True) if tells]
    return refused


def record(connection: sqlite3.Connection, used: Sequence[Used], *, agreement: str, plan: bytes, session: str) -> None:
    """Remember what a session is about to reveal without noise. Within a transaction."""
    for name, contents in {(each.name, each.contents) for each in used}:
        row = name, contents.digest, contents.hashes.astype("<u8", copy=False).tobytes()
        connection.execute("insert or ignore into content values (?, ?, ?)", row)
    connection.executemany(
        "insert or ignore into row_set values (?, ?, ?, ?, ?)",
        [(each.name, each.digest, each.contents.digest, zlib.compress(each.rows.encode()), session) for each in used],
    )
    connection.executemany(
        "insert or ignore into exact_result values (?, ?, ?, ?, ?, ?)",
        [(agreement, each.name, _asked(each, plan, session), each.result, each.digest, each.numbers) for each in used],
    )


def exact_results(
    connection: sqlite3.Connection, used: Sequence[Used], *, agreement: str, plan: bytes
) -> Mapping[str, int]:
    """How many numbers without noise there are of each table under the agreement, those that are asked for included.

    The same result of the same plan from the same rows counts once; what is drawn anew, once in every session: this is
    another than all before.
    """
    results = {(each.name, _asked(each, plan, ""), each.result, each.digest, each.numbers) for each in used}
    for name in {each.name for each in used}:
        question = "select name, plan, result, digest, numbers from exact_result where agreement = ? and name = ?"
        results.update(connection.execute(question, (agreement, name)))
    counts: Counter[str] = Counter()
    for name, *_, numbers in results:
        counts[name] += numbers
    return counts


def _asked(each: Used, plan: bytes, session: str) -> bytes:
    return hashlib.sha256(plan + session.encode()).digest() if each.anew else plan
