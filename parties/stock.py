"""Random material made ahead and kept: which batches there are, how far each is used up, the sealed files they are in.

`state/stock.sqlite` has a row a batch, `state/stock/` its file, `state/stock.key` the key of all. A file is on the disk
before its row is there; a row's cursor is on the disk before what it passes over is read. So a crash burns material,
and nothing is ever handed out twice. What is bound to another agreement, consortium or key is deleted.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from parties.database import Database
from parties.errors import Fault
from parties.sealed import Damaged, Sealed, own_key, write_sealed
from parties.stock_index import CHUNK, Batch, bound_by, form_of, known, listed, name_of, opened, remove
from protocols.correlations import Demand, Material
from protocols.prg import derive
from protocols.stock import UNIT, cut, joined, lengthened, packed, rounded, unit_words, unpacked

__all__ = [
    "MOST_KINDS",
    "Segment",
    "Stock",
]

MOST_KINDS = 64
"""That are remembered: those that plans wanted longest ago are forgotten first."""

_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR}
"""What keeps a file from being opened now, and says nothing about it."""


class Segment(NamedTuple):
    """Elements [start, stop) of a batch, whole units, that are taken by all parties together."""

    id: bytes
    start: int
    stop: int


class Stock:
    """One party's stock, in its state folder. For any number of threads, of one process.

    `party`: the index; `binding`: the digest of what the material is for; `trouble`: told of faults that cost material
    and nothing else. Raises Fault STATE_UNWRITABLE. A database that is damaged is given up with all that it lists: at
    the start, or by the method that finds it so, which raises Fault STATE_DAMAGED then; the next one finds a new stock.
    """

    def __init__(
        self, state: Path, party: int, binding: bytes, trouble: Callable[[Fault], None] = lambda fault: None
    ) -> None:
        self._state = state
        self._party = party
        self._binding = binding
        self._trouble = trouble
        self._folder = state / "stock"
        self._giving_up = threading.Lock()
        self.wanted = 0
        """How often plans wanted material of it, since it was opened."""
        try:
            self._begin()
        except Fault as fault:
            if fault.code != "STATE_DAMAGED":
                raise
            trouble(fault)
            remove(state)
            self._begin()

    def kinds(self) -> dict[bytes, Demand]:
        """The kinds that plans wanted so far, by name, those that were wanted longest ago first."""
        with self._sound() as database:
            return known(database)

    def remember(self, kinds: Iterable[Demand]) -> None:
        """Note that plans want these kinds."""
        self.wanted += 1
        forms = {name_of(kind): form_of(kind) for kind in kinds}
        if not forms.keys() <= set(list(self.kinds())[-len(forms) :]):
            with self._sound() as database, database.transaction() as connection:
                connection.executemany("insert or replace into kind values (?, ?)", forms.items())
                connection.execute(
                    "delete from kind where rowid not in (select rowid from kind order by rowid desc limit ?)",
                    (MOST_KINDS,),
                )

    def batches(self) -> list[Batch]:
        """All that is there, by id."""
        with self._sound() as database:
            return listed(database)

    def add(self, id: bytes, kind: Demand, pieces: Sequence[tuple[Demand, Material]], made: int) -> None:
        """Keep a new batch: stretches of CHUNK elements of this kind, the last one of any whole units.

        Raises Fault STATE_UNWRITABLE; nothing is kept then.
        """
        records = (packed(piece, self._party, shares).astype("<u8", copy=False).tobytes() for piece, shares in pieces)
        name, path = name_of(kind), self._path(id)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            size = write_sealed(path, self._key, id + name, records)
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            with self._sound() as database, database.transaction() as connection:
                connection.execute(
                    "insert into batch values (?, ?, 0, ?, ?, ?)",
                    (id, name, sum(rounded(piece) for piece, _ in pieces), made, size),
                )
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def take(self, kinds: Mapping[bytes, Demand], segments: Sequence[Segment]) -> list[Material | None]:
        """This party's shares of each segment, which are used up by that; None where it cannot have them.

        The cursors are on the disk before anything is read, all in one transaction. A segment is refused when any of it
        was taken before. Raises no Fault: `trouble` is told, and the material is lost.
        """
        taken: list[Material | None] = [None] * len(segments)
        if not segments:
            return taken
        with self.forgiving():
            batches = {batch.id: batch for batch in self.batches()}
            with ExitStack() as stack:
                files = [self._opened(batches.get(segment.id), kinds, stack) for segment in segments]
                reserved = self._reserve(segments)
                for i, (segment, file) in enumerate(zip(segments, files, strict=True)):
                    if reserved[i] and file is not None:
                        taken[i] = self._read(batches[segment.id], kinds, segment, file)
            self.drop(batch.id for batch in self.batches() if batch.next == batch.end)
        return taken

    def drop(self, ids: Iterable[bytes]) -> None:
        """Forget batches, and delete their files."""
        if gone := list(ids):
            with self._sound() as database:
                self._delete(database, gone)

    def forget(self, before: float) -> None:
        """Delete what was made before a time, in seconds since 1970."""
        self.drop(batch.id for batch in self.batches() if batch.made < before)

    @contextmanager
    def forgiving(self) -> Iterator[None]:
        """What fails of the stock in this block ends the block, is told to `trouble`, and ends nothing else."""
        try:
            yield
        except Fault as fault:
            self._trouble(fault)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @contextmanager
    def _sound(self) -> Iterator[Database]:
        """The database. When it turns out to be damaged, the stock is given up, and what was wanted of it fails."""
        database = self._database
        try:
            yield database
        except Fault as fault:
            if fault.code == "STATE_DAMAGED":
                with self._giving_up:
                    if database is self._database:  # not done by another thread meanwhile
                        remove(self._state)
                        database.close()
                        self._begin()
            raise

    def _begin(self) -> None:
        """Open the database; delete what is bound to something else, and files and rows without each other."""
        key = own_key(self._state / "stock.key")
        self._bound = bound_by(key, self._binding, self._party)
        self._key = derive(key, "stock files", self._binding, self._party)
        database = opened(self._state)
        try:
            self._sweep(database)
        except BaseException:
            database.close()
            raise
        self._database = database

    def _sweep(self, database: Database) -> None:
        with database.transaction() as connection:
            bound = connection.execute("select digest from binding").fetchone()
            if bound is None or bound[0] != self._bound:
                connection.execute("delete from batch")
                connection.execute("delete from kind")
                connection.execute("insert or replace into binding values (1, ?)", (self._bound,))
        batches = {self._path(batch.id): batch for batch in listed(database)}
        try:
            found = set(self._folder.iterdir())
        except FileNotFoundError:
            found = set()
        except OSError as error:
            raise _unwritable(self._folder, error) from None
        gone = [batch.id for path, batch in batches.items() if path not in found or batch.next == batch.end]
        self._delete(database, gone)
        for path in found - batches.keys():
            with suppress(OSError):
                path.unlink()

    def _delete(self, database: Database, ids: Sequence[bytes]) -> None:
        with database.transaction() as connection:
            connection.executemany("delete from batch where id = ?", [(id,) for id in ids])
        for id in ids:
            with suppress(OSError):  # found again at the next start
                self._path(id).unlink(missing_ok=True)

    def _reserve(self, segments: Sequence[Segment]) -> list[bool]:
        """Move the cursors past all segments of which nothing was taken before; which these are."""
        reserved = []
        with self._sound() as database, database.transaction() as connection:
            for id, start, stop in segments:
                moved = connection.execute(
                    "update batch set next = ? where id = ? and next <= ? and ? < ? and ? <= end",
                    (stop, id, start, start, stop, stop),
                )
                reserved.append(moved.rowcount == 1)
        return reserved

    def _opened(self, batch: Batch | None, kinds: Mapping[bytes, Demand], stack: ExitStack) -> Sealed | None:
        """The batch's file: opened before the cursor moves, so that whoever uses up the rest may delete it."""
        if batch is None or batch.kind not in kinds:
            return None
        size = 8 * unit_words(kinds[batch.kind], self._party) * (CHUNK // UNIT)
        try:
            file = Sealed(self._path(batch.id), self._key, batch.id + batch.kind, size)
        except (OSError, Damaged) as error:
            if isinstance(error, OSError) and error.errno in _PASSING:
                self._trouble(_unreadable(self._path(batch.id), error))
            else:
                self._damaged(batch)
            return None
        stack.callback(file.close)
        return file

    def _read(self, batch: Batch, kinds: Mapping[bytes, Demand], segment: Segment, file: Sealed) -> Material | None:
        kind = kinds[batch.kind]
        words = unit_words(kind, self._party)
        pieces = []
        try:
            for number in range(segment.start // CHUNK, -(-segment.stop // CHUNK)):
                first, last = number * CHUNK, min((number + 1) * CHUNK, batch.end)
                record = np.frombuffer(file.record(number, 8 * words * ((last - first) // UNIT)), "<u8")
                # a copy: whoever draws shares may write into them
                held = unpacked(lengthened(kind, last - first), self._party, record.astype(np.uint64))
                start, stop = max(segment.start, first), min(segment.stop, last)
                pieces.append(cut(kind, held, start - first, stop - first))
        except (OSError, Damaged):
            self._damaged(batch)
            return None
        return joined(pieces)

    def _damaged(self, batch: Batch) -> None:
        self._trouble(
            Fault(
                "STOCK_DAMAGED",
                f"{self._path(batch.id)} is not what was written there: {batch.end - batch.next:,} elements are lost.",
                "Nothing need be done: material is made anew. See whether that disk is sound.",
            )
        )
        self.drop([batch.id])

    def _path(self, id: bytes) -> Path:
        return self._folder / f"{id.hex()}.sealed"


def _unreadable(path: Path, error: OSError) -> Fault:
    return Fault(
        "STATE_UNWRITABLE",
        f"{path} cannot be opened now ({error.strerror}): what a session wanted of it is lost.",
        "Let the user who runs this process have more files open at once, or more memory.",
    )


def _unwritable(path: Path, error: OSError) -> Fault:
    return Fault(
        "STATE_UNWRITABLE",
        f"{path} cannot be written ({error.strerror}).",
        "Make room on its disk and see that it belongs to the user who runs this process.",
    )
