"""A small database that holds what it was told: sqlite, every change as a whole, on the disk before it counts."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from parties.errors import Fault

__all__ = ["Database", "count_change"]

_LOCK_WITHIN = 10.0
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


class Database:
    """One file. For any number of threads and processes at once.

    `tables`: what creates it; `application`: a number that marks the file as this kind. `unknown` and `remedy` tell a
    person what is not known any more when the file is damaged, and what to do.
    Raises Fault STATE_UNWRITABLE (full disk, no permission, failing disk; nothing was changed) and STATE_DAMAGED.
    """

    def __init__(self, path: Path, tables: str, application: int, unknown: str, remedy: str) -> None:
        self._path = path
        self._unknown = unknown
        self._remedy = remedy
        self._lock = threading.Lock()
        with self._faults():
            if not path.exists():
                _create(path, f"pragma application_id = {application}; {tables}")
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
                self._verify(application)
            except BaseException:
                self._connection.close()
                raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Changes that are made together, and on the disk when the block ends; or not at all, when it raises.

        They count as one change (`parties/continuity.py`).
        """
        with self._lock, self._faults():
            if os.stat(self._path).st_ino != self._inode:
                raise self.damaged()
            try:
                self._connection.execute("begin immediate")
                yield self._connection
                count_change(self._connection)
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    # The disk may refuse this too. What was not committed is undone when the file is next opened.
                    with suppress(sqlite3.Error):
                        self._connection.execute("rollback")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Questions that change nothing."""
        with self._lock, self._faults():
            yield self._connection

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def damaged(self) -> Fault:
        """The fault that tells that the file cannot be relied on."""
        return Fault(
            "STATE_DAMAGED",
            f"{self._path} is damaged, replaced or something else: {self._unknown} is not known.",
            self._remedy,
        )

    def _verify(self, application: int) -> None:
        (found,) = self._connection.execute("pragma application_id").fetchone()
        (sound,) = self._connection.execute("pragma quick_check(1)").fetchone()
        if found != application or sound != "ok":
            raise self.damaged()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                raise self.damaged() from None
            raise Fault(
                "STATE_UNWRITABLE",
                f"{self._path} cannot be written ({error}); nothing was used.",
                "Make room on its disk and see that it belongs to the user who runs this process, then start again.",
            ) from None


def count_change(connection: sqlite3.Connection) -> None:
    """Advance the count of changes that the file's header holds. Within a transaction."""
    (count,) = connection.execute("pragma user_version").fetchone()
    connection.execute(f"pragma user_version = {count + 1}")


def _create(path: Path, script: str) -> None:
    """Put a complete database in place at once: an empty file there is always damage, never a beginning."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.executescript(f"pragma synchronous = extra; begin; {script} commit;")
        # Another process may have been faster; its file is as good.
        with suppress(FileExistsError):
            os.link(new, path)
    finally:
        os.unlink(new)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
