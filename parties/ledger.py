"""Durable counters of used material and agreed uses, and the latest time seen: they advance, whatever happens."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from parties.database import Database
from parties.errors import Fault

__all__ = ["Ledger"]

_LAST = (1 << 63) - 1
_APPLICATION = 0x62656176

_CLOCK = "create table if not exists clock (one integer primary key check (one = 1), latest integer not null) strict;"

_TABLES = f"""
create table cursor (source text primary key, next integer not null check (next >= 0)) strict;
create table reservation (
    source text not null, first integer not null, count integer not null check (count > 0), session text not null,
    primary key (source, first)
) strict;
{_CLOCK}
"""

Advance = Callable[[sqlite3.Connection, int], int]


class Ledger:
    """The counters of one party in one file. For any number of threads and processes at once.

    Raises Fault STATE_UNWRITABLE (full disk, no permission, failing disk; nothing was used) and STATE_DAMAGED.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(
            path,
            _TABLES,
            _APPLICATION,
            unknown="which material is used up",
            remedy="Restore no old copy: that would use material twice. Make new keys for this party, and move the "
            "whole state folder away.",
        )
        try:
            with self._database.transaction() as connection:
                connection.execute(_CLOCK)
                behind = connection.execute(
                    "select 1 from reservation left join cursor using (source) "
                    "where next is null or first + count > next limit 1"
                ).fetchone()
            if behind:
                raise self._database.damaged()
        except BaseException:
            self._database.close()
            raise

    def reserve(self, source: str, count: int, session: str) -> int:
        """Advance the cursor of `source` by `count` (at least 1) and return the first number that is now the caller's.

        When this returns, the disk holds the new state. A crash loses numbers, but never gives one out twice.
        """
        if count < 1:
            raise ValueError("at least one")

        def advance(connection: sqlite3.Connection, first: int) -> int:
            if first > _LAST - count:
                raise Fault(
                    "MATERIAL_EXHAUSTED",
                    f"The cursor of {source} cannot advance by {count}.",
                    "Make a new consortium: this one's material is used up.",
                )
            connection.execute("insert into reservation values (?, ?, ?, ?)", (source, first, count, session))
            return first + count

        return self._update(source, advance)

    def claim(self, party: str, key: str, first: int, count: int, session: str) -> None:
        """Note that a party, who counts for itself, uses `count` numbers from `first`, in whatever order they come.

        It counts from 0 again with another `key`: a party whose state was lost goes on with new keys.

        Raises Fault STATE_ROLLED_BACK when one of them was used before: its state was restored from an old copy; and
        MATERIAL_EXHAUSTED when there are no such numbers.
        """
        if count < 1:
            raise ValueError("at least one")
        if not 0 <= first <= _LAST - count:
            raise Fault(
                "MATERIAL_EXHAUSTED",
                f"{party} wants to use material from number {first:,} on, which there is not.",
                f"See that {party} runs Beaver unaltered, or make new keys for {party}.",
                peer=party,
            )

        source = f"{party} {key}"

        def advance(connection: sqlite3.Connection, position: int) -> int:
            # Reservations do not overlap, so of those that begin in time the last one reaches farthest.
            used = connection.execute(
                "select first + count from reservation where source = ? and first < ? order by first desc limit 1",
                (source, first + count),
            ).fetchone()
            if used and used[0] > first:
                raise Fault(
                    "STATE_ROLLED_BACK",
                    f"{party} wants to use material {first:,} to {first + count - 1:,} a second time.",
                    f"The state folder of {party} is an old copy: restore the newest, or make new keys for {party}.",
                    peer=party,
                )
            connection.execute("insert into reservation values (?, ?, ?, ?)", (source, first, count, session))
            return max(position, first + count)

        self._update(source, advance)

    def use(self, agreement: str, most: int, session: str) -> None:
        """Count one more computation under the agreement of this digest. Raises Fault USES_EXHAUSTED after `most`."""

        def advance(connection: sqlite3.Connection, made: int) -> int:
            if made >= most:
                raise Fault(
                    "USES_EXHAUSTED",
                    f"The agreement allows {most:,} computations, and they were made or begun.",
                    "Have every party sign a new agreement, if there are to be more.",
                )
            connection.execute("insert into reservation values (?, ?, 1, ?)", (_uses(agreement), made, session))
            return made + 1

        self._update(_uses(agreement), advance)

    def uses(self, agreement: str) -> int:
        """How many computations were counted under the agreement of this digest."""
        return self.position(_uses(agreement))

    def latest(self, now: int) -> int:
        """The latest time that was ever given here, this one included, in whole seconds; on the disk on return."""
        with self._database.reading() as connection:
            row = connection.execute("select latest from clock").fetchone()
        if row and row[0] >= now:
            return int(row[0])
        with self._database.transaction() as connection:
            connection.execute(
                "insert into clock values (1, ?) on conflict do update set latest = max(latest, excluded.latest)",
                (now,),
            )
            return now

    def position(self, source: str) -> int:
        """The next number of `source` that was never given out; 0 for a source never seen."""
        with self._database.reading() as connection:
            return _position(connection, source)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _update(self, source: str, change: Advance) -> int:
        """Move the cursor in one transaction and return where it was."""
        with self._database.transaction() as connection:
            first = _position(connection, source)
            connection.execute(
                "insert into cursor values (?, ?) on conflict do update set next = excluded.next",
                (source, change(connection, first)),
            )
            return first


def _position(connection: sqlite3.Connection, source: str) -> int:
    row = connection.execute("select next from cursor where source = ?", (source,)).fetchone()
    return int(row[0]) if row else 0


def _uses(agreement: str) -> str:
    return f"uses of {agreement}"
