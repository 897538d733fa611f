"""What is listed of a party's stock: batches, kinds, and what they are for, in `state/stock.sqlite`."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import msgpack

from parties.agreement import Agreement
from parties.config import Consortium
from parties.database import Database
from parties.errors import Fault
from parties.sealed import KEY_BYTES, OVERHEAD
from protocols.correlations import Demand
from protocols.prg import derive
from protocols.stock import UNIT, of_plain, plain

__all__ = [
    "CHUNK",
    "MOST_ELEMENTS",
    "Batch",
    "Contents",
    "binding_of",
    "bound_by",
    "contents",
    "discard",
    "form_of",
    "known",
    "listed",
    "name_of",
    "opened",
    "remove",
]

CHUNK = 1 << 14
"""Elements of a record."""
MOST_ELEMENTS = 1 << 40
"""Of a batch."""

_ID_BYTES = 16
_NAME_BYTES = 32
_APPLICATION = 0x62656173
_TABLES = """
create table binding (one integer primary key check (one = 1), digest blob not null) strict;
create table kind (name blob primary key, form blob not null) strict;
create table batch (
    id blob primary key, kind blob not null, next integer not null check (next between 0 and end), end integer not null,
    made integer not null, bytes integer not null
) strict;
"""
_BATCHES = "select id, kind, next, end, made, bytes from batch order by id"
_KINDS = "select name, form from kind order by rowid"


class Batch(NamedTuple):
    """What a party holds of one batch: elements [next, end) of a kind. `made`: when, in seconds since 1970."""

    id: bytes
    kind: bytes
    next: int
    end: int
    made: int = 0
    bytes: int = 0


def listed(database: Database) -> list[Batch]:
    """All batches, by id. Raises Fault STATE_DAMAGED where a row is none that a stock writes."""
    with database.reading() as connection:
        batches = [Batch(*row) for row in connection.execute(_BATCHES)]
    if not all(_is_sound(batch) for batch in batches):
        raise database.damaged()
    return batches


def known(database: Database) -> dict[bytes, Demand]:
    """The kinds that plans wanted so far, by name, those that were wanted longest ago first.

    Raises Fault STATE_DAMAGED as `listed` does.
    """
    with database.reading() as connection:
        rows = connection.execute(_KINDS).fetchall()
    try:
        return {name: _kind(name, form) for name, form in rows}
    except ValueError:
        raise database.damaged() from None


def name_of(kind: Demand) -> bytes:
    """What a kind is called between parties: SHA-256 of its canonical form."""
    return hashlib.sha256(form_of(kind)).digest()


def binding_of(consortium: Consortium, agreement: Agreement) -> bytes:
    """What material is made for: these parties with these keys, under this agreement."""
    return hashlib.sha256(b"beaver stock 1" + consortium.digest() + agreement.digest()).digest()


class Contents(NamedTuple):
    """A stock as its files show it. `present`: whether it is bound to what it was asked about, and to its key."""

    batches: Sequence[Batch]
    kinds: Mapping[bytes, Demand]
    present: bool


def contents(state: Path, party: int, binding: bytes) -> Contents | None:
    """What is in the stock of a state folder, whether its node runs or not; None where there is none.

    Raises Fault STATE_DAMAGED, STATE_UNWRITABLE.
    """
    if not (state / "stock.sqlite").exists():
        return None
    with closing(opened(state)) as database:
        batches, kinds = listed(database), known(database)
        with database.reading() as connection:
            bound = connection.execute("select digest from binding").fetchone()
    try:
        key = (state / "stock.key").read_bytes()
    except OSError:
        key = b""
    present = len(key) == KEY_BYTES and bound is not None and bound[0] == bound_by(key, binding, party)
    return Contents(batches, kinds, present)


def discard(state: Path) -> int | None:
    """Delete all batches in a state folder, whether its node runs or not, and kinds that are none.

    How many batches; None where there is no stock. Raises Fault as `contents` does, but for damaged rows.
    """
    if not (state / "stock.sqlite").exists():
        return None
    with closing(opened(state)) as database, database.transaction() as connection:
        count = connection.execute("delete from batch").rowcount
        for name, form in connection.execute(_KINDS).fetchall():
            try:
                _kind(name, form)
            except ValueError:
                connection.execute("delete from kind where name = ?", (name,))
    for path in (state / "stock").glob("*.sealed"):
        with suppress(OSError):  # a folder, say: nothing that a stock wrote
            path.unlink(missing_ok=True)
    return count


def remove(state: Path) -> None:
    """Delete the whole stock in a state folder, if there is one; its key too. Raises Fault STATE_UNWRITABLE."""
    try:
        for name in ("stock.sqlite", "stock.sqlite-journal", "stock.key"):
            (state / name).unlink(missing_ok=True)
    except OSError as error:
        raise Fault(
            "STATE_UNWRITABLE",
            f"{state / name} cannot be deleted ({error.strerror}).",
            "See that it is a file, and that it belongs to the user who runs this process, then start again.",
        ) from None
    shutil.rmtree(state / "stock", ignore_errors=True)


def opened(state: Path) -> Database:
    """The database of a state folder. Raises Fault STATE_UNWRITABLE, STATE_DAMAGED."""
    return Database(
        state / "stock.sqlite",
        _TABLES,
        _APPLICATION,
        unknown="which material is there",
        remedy="Nothing need be done: all of it is given up, and made anew.",
    )


def bound_by(key: bytes, binding: bytes, party: int) -> bytes:
    """What says in the database whose material is there; no key follows from it."""
    return derive(key, "stock binding", binding, party)


def form_of(kind: Demand) -> bytes:
    """A kind as bytes, always the same."""
    return bytes(msgpack.packb(plain(kind)))


def _kind(name: bytes, form: bytes) -> Demand:
    """The kind of a row. Raises ValueError for a row that no stock writes."""
    if hashlib.sha256(form).digest() != name:
        raise ValueError("the form of a kind is not what its name says")
    return of_plain(msgpack.unpackb(form))


def _is_sound(batch: Batch) -> bool:
    """Whether a stock may have listed this batch. Its file has a salt, a tag a record, and so many words a unit."""
    id, kind, next, end, _, size = batch
    if len(id) != _ID_BYTES or len(kind) != _NAME_BYTES:
        return False
    if not 0 <= next <= end <= MOST_ELEMENTS or end == 0 or next % UNIT or end % UNIT:
        return False
    words = size - OVERHEAD * (1 + -(-end // CHUNK))
    return words >= 0 and words % (8 * (end // UNIT)) == 0
