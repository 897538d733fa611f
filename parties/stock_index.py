"""What is listed of a party's stock: batches, kinds, and what they are for, in `state/stock.sqlite`."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgpack

from parties.agreement import Agreement
from parties.config import Consortium
from parties.database import Database
from parties.sealed import KEY_BYTES
from protocols.correlations import Demand
from protocols.prg import derive
from protocols.stock import of_plain, plain

__all__ = [
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


def listed(connection: sqlite3.Connection) -> list[Batch]:
    """All batches, by id."""
    return [Batch(*row) for row in connection.execute(_BATCHES)]


def known(connection: sqlite3.Connection) -> dict[bytes, Demand]:
    """The kinds that plans wanted so far, by name, those that came first first."""
    return {name: of_plain(msgpack.unpackb(form)) for name, form in connection.execute(_KINDS)}


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
    with closing(opened(state)) as database, database.reading() as connection:
        batches, kinds = listed(connection), known(connection)
        bound = connection.execute("select digest from binding").fetchone()
    try:
        key = (state / "stock.key").read_bytes()
    except OSError:
        key = b""
    present = len(key) == KEY_BYTES and bound is not None and bound[0] == bound_by(key, binding, party)
    return Contents(batches, kinds, present)


def discard(state: Path) -> None:
    """Delete all batches in a state folder, whether its node runs or not. Raises Fault as `contents` does."""
    with closing(opened(state)) as database, database.transaction() as connection:
        connection.execute("delete from batch")
    for path in (state / "stock").glob("*.sealed"):
        path.unlink(missing_ok=True)


def remove(state: Path) -> None:
    """Delete the whole stock in a state folder, if there is one; its key too. Of a process that does not run."""
    for name in ("stock.sqlite", "stock.sqlite-journal", "stock.key"):
        (state / name).unlink(missing_ok=True)
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
