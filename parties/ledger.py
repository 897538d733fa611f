"""Durable counters of used material and agreed uses, and the latest time seen: they advance, whatever happens."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from parties.errors import Fault

__all__ = ["Ledger"]

_LOCK_WITHIN = 10.0
_LAST = (1 << 63) - 1
_APPLICATION = 0x62656176
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}

_CLOCK = "create table if not exists clock (one integer primary key check (one = 1), latest integer not null) strict;"

_TABLES = f"""
pragma application_id = {_APPLICATION};
create table cursor (source text primary key, next integer not null check (next >= 0)) strict;
create table reservation (
    source text not null, first integer not null, count integer not null check (count > 0), session text not null,
    primary key (source, first)
) strict;
{_CLOCK}
"""


class Ledger:
    """The counters of one party in one file. For any number of threads and processes at once.

    Raises Fault STATE_UNWRITABLE (full disk, no permission, failing disk; nothing was used) and STATE_DAMAGED.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._faults():
            if not path.exists():
                _create(path)
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=_LOCK_WITHIN,
                isolation_level=None,
                check_same_thread=False,
            )
            self._inode = os.stat(path).st_ino
            try:
                # EXTRA is FULL, and waits for the folder too: after FULL a power cut can bring the old state back.
                self._connection.execute("pragma synchronous = extra")
                self._verify()
                self._connection.execute(_CLOCK)
            except BaseException:
                self._connection.close()
                raise

    def reserve(self, source: str, count: int, session: str) -> int:
        """Advance the cursor of `source` by `count` (at least 1) and return the first number that is now the caller's.

        When this returns, the disk holds the new state. A crash loses numbers, but never gives one out twice.
        """
        if count < 1:
            raise ValueError("at least one")

        def advance(first: int) -> int:
            if first > _LAST - count:
                raise Fault(
                    "MATERIAL_EXHAUSTED",
                    f"The cursor of {source} cannot advance by {count}.",
                    "Make a new consortium: this one's material is used up.",
                )
            self._connection.execute("insert into reservation values (?, ?, ?, ?)", (source, first, count, session))
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

        def advance(position: int) -> int:
            # Reservations do not overlap, so of those that begin in time the last one reaches farthest.
            used = self._connection.execute(
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
            self._connection.execute("insert into reservation values (?, ?, ?, ?)", (source, first, count, session))
            return max(position, first + count)

        self._update(source, advance)

    def use(self, agreement: str, most: int, session: str) -> None:
        """Count one more computation under the agreement of this digest. Raises Fault USES_EXHAUSTED after `most`."""

        def advance(made: int) -> int:
            if made >= most:
                raise Fault(
                    "USES_EXHAUSTED",
                    f"The agreement allows {most:,} computations, and they were made or begun.",
                    "Have every party sign a new agreement, if there are to be more.",
                )
            self._connection.execute("insert into reservation values (?, ?, 1, ?)", (_uses(agreement), made, session))
            return made + 1

        self._update(_uses(agreement), advance)

    def uses(self, agreement: str) -> int:
        """How many computations were counted under the agreement of this digest."""
        return self.position(_uses(agreement))

    def latest(self, now: int) -> int:
        """The latest time that was ever given here, this one included, in whole seconds; on the disk on return."""
        with self._lock, self._faults():
            row = self._connection.execute("select latest from clock").fetchone()
            if row and row[0] >= now:
                return int(row[0])
            with self._transaction():
                self._connection.execute(
                    "insert into clock values (1, ?) on conflict do update set latest = max(latest, excluded.latest)",
                    (now,),
                )
            return now

    def position(self, source: str) -> int:
        """The next number of `source` that was never given out; 0 for a source never seen."""
        with self._lock, self._faults():
            return self._position(source)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _position(self, source: str) -> int:
        row = self._connection.execute("select next from cursor where source = ?", (source,)).fetchone()
        return int(row[0]) if row else 0

    def _update(self, source: str, change: Callable[[int], int]) -> int:
        """Move the cursor in one transaction and return where it was."""
        with self._lock, self._faults(), self._transaction():
            first = self._position(source)
            self._connection.execute(
                "insert into cursor values (?, ?) on conflict do update set next = excluded.next",
                (source, change(first)),
            )
            return first

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """What is done within happens as a whole, and is on the disk afterwards, or not at all."""
        if os.stat(self._path).st_ino != self._inode:
            raise self._damaged()
        try:
            self._connection.execute("begin immediate")
            yield
            self._connection.execute("commit")
        except BaseException:
            if self._connection.in_transaction:
                # The disk may refuse this too. What was not committed is undone when the file is next opened.
                with suppress(sqlite3.Error):
                    self._connection.execute("rollback")
            raise

    def _verify(self) -> None:
        (application,) = self._connection.execute("pragma application_id").fetchone()
        (found,) = self._connection.execute("pragma quick_check(1)").fetchone()
        tables = {row[0] for row in self._connection.execute("select name from sqlite_schema where type = 'table'")}
        if application != _APPLICATION or found != "ok" or not {"cursor", "reservation"} <= tables:
            raise self._damaged()
        behind = self._connection.execute(
            "select 1 from reservation left join cursor using (source) "
            "where next is null or first + count > next limit 1"
        ).fetchone()
        if behind:
            raise self._damaged()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                raise self._damaged() from None
            raise Fault(
                "STATE_UNWRITABLE",
                f"{self._path} cannot be written ({error}); nothing was used.",
                "Make room on its disk and see that it belongs to the user who runs this process, then start again.",
            ) from None

    def _damaged(self) -> Fault:
        return Fault(
            "STATE_DAMAGED",
            f"{self._path} is damaged, replaced or no ledger: which material is used up is not known.",
            "Restore no old copy: that would use material twice. Make new keys for this party and move this file away.",
        )


def _uses(agreement: str) -> str:
    return f"uses of {agreement}"


def _create(path: Path) -> None:
    """Put a complete ledger in place at once: an empty file there is always damage, never a beginning."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.executescript(f"pragma synchronous = extra; begin; {_TABLES} commit;")
        # Another process may have been faster; its ledger is as good.
        with suppress(FileExistsError):
            os.link(new, path)
    finally:
        os.unlink(new)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
