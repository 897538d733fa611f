"""The record of a node: one line for each thing that it decided or did, chained by hashes, each signed by the node.

`state/audit.jsonl` is only ever appended to, and an entry counts when the disk holds it. An entry's hash covers its
content and the hash of the entry before; its signature covers number and hash (Schneier and Kelsey, "Secure Audit Logs
to Support Computer Forensics", 1999). So nobody without the node's key can change the file unnoticed, and whoever has
the key cannot change what others hold a head of (`parties/heads.py`). No entry holds a value, share, key, or constant.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import threading
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from parties.continuity import counted
from parties.entries import MOST_LINE, Entry, lines
from parties.errors import Fault
from parties.heads import Head
from parties.identity import Identity

__all__ = ["Audit"]

_ROOM = 16 << 10
_NO_HEADS: Mapping[str, Head] = {}


class Audit:
    """One party's record, in one file. For any number of threads and processes at once.

    Raises Fault STATE_UNWRITABLE (full disk, no permission, failing disk; the entry was not made) and STATE_DAMAGED,
    naming the entry from which on the record cannot be trusted. A line that a crash cut short was never relied on by
    anybody: it is taken off.
    """

    def __init__(self, path: Path, party: str, identity: Identity) -> None:
        self._path = path
        self._party = party
        self._identity = identity
        self._lock = threading.Lock()
        self._unusable = ""
        self._last: Entry | None = None
        self._end = 0
        self._starts = array("Q")
        self._latest: dict[str, Entry] = {}
        self._held: dict[tuple[str, str], Head] = {}
        self._counts: dict[str, int] = {}
        with self._faults():
            if not path.exists():
                begun = {"party": party, "verify_key": identity.verify_key}
                _create(path, Entry.make(None, party, identity, "record_begun", begun))
            self._file = path.open("ab+", buffering=0)
        try:
            with self._faults(), self._alone():
                self._catch_up()
            self._check_signature()
        except BaseException:
            self.close()
            raise

    @property
    def head(self) -> Head:
        """The head of the record as it is known here."""
        assert self._last is not None
        return self._last.head(self._identity.verify_key)

    def record(self, kind: str, heads: Mapping[str, Head] = _NO_HEADS, **content: object) -> Head:
        """Append an entry and wait until the disk holds it; the head that the record has then.

        `heads`: of others' records, to be kept. `content`: text, finite numbers, lists and maps by text.
        Raises TypeError or ValueError for anything else.
        """
        if heads:
            content["heads"] = {owner: head.pack().hex() for owner, head in heads.items()}
        with self._faults(), self._alone():
            self._catch_up()
            entry = Entry.make(self._last, self._party, self._identity, kind, content)
            self._append(entry)
            return entry.head(self._identity.verify_key)

    def require_room(self, participants: int) -> None:
        """Raise Fault STATE_UNWRITABLE unless the disk has room for what a session of so many records."""
        with self._faults():
            disk = os.statvfs(self._path)
            if disk.f_bavail * disk.f_frsize < _ROOM + 1024 * participants:
                raise OSError(errno.ENOSPC, "too little room")

    def hash_at(self, sequence: int) -> bytes | None:
        """The hash of an entry by number, 32 bytes; None when there is none."""
        with self._lock, self._faults():
            if not 1 <= sequence <= len(self._starts):
                return None
            with self._path.open("rb") as file:
                file.seek(self._starts[sequence - 1])
                try:
                    return bytes.fromhex(Entry.parse(file.readline(MOST_LINE + 1)).hash)
                except ValueError as error:
                    raise self._damaged(f"entry {sequence:,} {error}") from None

    def latest(self, kind: str) -> Entry | None:
        """The last entry of a kind."""
        return self._latest.get(kind)

    def held(self, party: str, verify_key: str) -> Head | None:
        """The last head of another party's record that is kept here, signed with this key."""
        return self._held.get((party, verify_key))

    @property
    def counts(self) -> Mapping[str, int]:
        """The most changes to each database of the state folder that an entry notes (`parties/continuity.py`)."""
        return self._counts

    def close(self) -> None:
        """Close the file; nothing is recorded after."""
        with self._lock:
            self._unusable = "is closed"
            self._file.close()

    def _append(self, entry: Entry) -> None:
        line = entry.line
        if len(line) > MOST_LINE:
            raise ValueError("an entry is too long")
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._unusable = "has half an entry at its end"
            self._file.truncate(self._end)
            self._unusable = ""
            raise
        # After a failed sync nobody knows what the disk holds, and a second one may wrongly succeed.
        self._unusable = "failed to reach its disk"
        os.fsync(self._file.fileno())
        self._unusable = ""
        self._take(entry, len(line))

    def _catch_up(self) -> None:
        """Read what is there and not known yet, such as what another process appended."""
        stat = os.stat(self._path)
        if not os.path.samestat(stat, os.fstat(self._file.fileno())):
            raise self._damaged("the file was replaced while it was in use")
        if stat.st_size < self._end:
            raise self._damaged(f"it was cut behind entry {len(self._starts):,} or before, while it was in use")
        if stat.st_size == self._end and self._last:
            return
        with self._path.open("rb") as file:
            file.seek(self._end)
            for line in lines(file):
                if not line.endswith(b"\n") and len(line) <= MOST_LINE:
                    self._file.truncate(self._end)
                    break
                try:
                    entry = Entry.parse(line)
                    if wrong := entry.after(self._last):
                        raise self._damaged(wrong)
                    self._take(entry, len(line))
                except ValueError as error:
                    raise self._damaged(f"entry {len(self._starts) + 1:,} {error}") from None
        if self._last is None:
            raise self._damaged("it has no entry")

    def _take(self, entry: Entry, size: int) -> None:
        heads, counts = entry.heads, counted(entry.content)
        self._starts.append(self._end)
        self._end += size
        self._last = self._latest[entry.kind] = entry
        for owner, head in heads:
            before = self._held.get((owner, head.verify_key))
            if before is None or before.sequence < head.sequence:
                self._held[owner, head.verify_key] = head
        for name, count in counts.items():
            self._counts[name] = max(count, self._counts.get(name, 0))

    def _check_signature(self) -> None:
        """Of the last entry, whose hash binds all the others."""
        assert self._last is not None
        if not self.head.is_of(self._party):
            begun = self._latest.get("record_begun")
            if begun and begun.content.get("verify_key") != self._identity.verify_key:
                raise self._damaged(f"it is of {self._party} with other keys")
            raise self._damaged(f"entry {self._last.sequence:,} is not signed with the key of {self._party}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread or process appends meanwhile."""
        with self._lock:
            if self._unusable:
                raise OSError(errno.EIO, f"the record {self._unusable}")
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Fault(
                "STATE_UNWRITABLE",
                f"{self._path} cannot be written ({error.strerror}); without a record nothing is done.",
                "Make room on its disk and see that it belongs to the user who runs this process, then start again.",
            ) from None

    def _damaged(self, what: str) -> Fault:
        return Fault(
            "STATE_DAMAGED",
            f"{self._path} is not the record that this party kept: {what}.",
            "Keep the file for whoever looks into it; `beaver audit verify` says more. Restore no old copy: the others "
            "hold later heads. Make new keys for this party and start with an empty state folder.",
        )


def _create(path: Path, first: Entry) -> None:
    """Put a record with its first entry in place at once: an empty file there is damage, never a beginning."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    try:
        with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(first.line)
            file.flush()
            os.fsync(file.fileno())
        # Another process may have been faster; its record is as good.
        with suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
