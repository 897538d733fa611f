"""Plans that wait for a person at one party, and what was decided: approvals.sqlite in the party's state folder.

The node writes what is asked, the owner's command line what is decided, each in its own process. A decision is for one
plan of one analyst under one agreement; an approval for a number of computations, each counted before it is begun.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgpack

from mpc.plan import Plan
from parties.database import count_change
from parties.errors import Fault

__all__ = ["Approvals", "Request"]

_MOST_UNDECIDED = 50
_MOST_BYTES = 64 << 20
"""Of one analyst's undecided plans: a person looks at each, and they take room on the owner's disk."""
_LOCK_WITHIN_S = 10.0
_MOST_WHY = 1000

_TABLE = """
create table if not exists request (
    id text primary key, plan blob not null, agreement blob not null, analyst text not null, asked integer not null,
    notes blob not null, decision text check (decision in ('approved', 'denied')), why text not null default '',
    decided integer, computations integer not null default 0 check (computations >= 0)
) strict;
"""
_COLUMNS = "id, plan, agreement, analyst, asked, notes, decision, why, computations"


@dataclass(frozen=True)
class Request:
    """A plan that an analyst submitted, and what its owner's person said of it.

    `agreement`: the digest it was judged under. `asked`: seconds since 1970. `notes`: what the node adds for the person
    who decides, such as what is left of a budget before and after, by topic. `computations`: how many are still
    approved.
    """

    id: str
    plan: bytes
    agreement: bytes
    analyst: str
    asked: int
    notes: Mapping[str, str]
    decision: Literal["approved", "denied"] | None
    why: str
    computations: int

    @property
    def is_used_up(self) -> bool:
        """Whether it was approved, and has run as often as that."""
        return self.decision == "approved" and not self.computations

    @property
    def is_open(self) -> bool:
        """Whether a person has to decide before it can run (again)."""
        return self.decision is None or self.is_used_up


class Approvals:
    """One party's requests and decisions. For any number of threads and processes at once.

    Raises Fault STATE_UNWRITABLE, or STATE_DAMAGED for a file that is none of these.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, changes: int) -> None:
        """Make the file, with nothing in it, as if it had had so many changes."""
        with self._database() as database:
            database.execute(f"pragma user_version = {changes}")

    def ask(self, plan: Plan, agreement: bytes, analyst: str, notes: Mapping[str, str], now: int) -> Request:
        """The request for this plan, noted if it is new, with what was decided of it before.

        Raises Fault BUSY when too many of this analyst's wait for a decision.
        """
        key = _id(plan, agreement, analyst)
        told, encoded = msgpack.packb(dict(notes)), plan.encode()
        with self._database() as database:
            known = database.execute("select decision, computations from request where id = ?", (key,)).fetchone()
            if known is None:
                count, size = database.execute(
                    "select count(*), coalesce(sum(length(plan)), 0) from request "
                    "where analyst = ? and decision is null",
                    (analyst,),
                ).fetchone()
                if count >= _MOST_UNDECIDED or size + len(encoded) > _MOST_BYTES:
                    raise Fault(
                        "BUSY",
                        f"{count} plans of {analyst} wait for a person's decision",
                        "Submit again when some were decided: beaver pending, at the owner's.",
                    )
                database.execute(
                    "insert into request (id, plan, agreement, analyst, asked, notes) values (?, ?, ?, ?, ?, ?)",
                    (key, encoded, agreement, analyst, now, told),
                )
            elif known in ((None, 0), ("approved", 0)):
                database.execute(
                    "update request set decision = null, asked = ?, notes = ? where id = ?", (now, told, key)
                )
            return _found(database, key)

    def get(self, key: str) -> Request:
        """The request as it stands now."""
        with self._database() as database:
            return _found(database, key)

    def take(self, key: str) -> bool:
        """Count one approved computation, if there is one; on the disk when this returns."""
        with self._database() as database:
            changed = database.execute(
                "update request set computations = computations - 1 "
                "where id = ? and decision = 'approved' and computations > 0",
                (key,),
            )
            count_change(database)
            return changed.rowcount == 1

    def requests(self, agreement: bytes) -> list[Request]:
        """Those under this agreement, the oldest first."""
        with self._database() as database:
            rows = database.execute(
                f"select {_COLUMNS} from request where agreement = ? order by asked, id",  # noqa: S608 - our own
                (agreement,),
            )
            return [_request(row) for row in rows]

    def decide(self, begins: str, agreement: bytes, *, now: int, why: str = "", computations: int = 0) -> Request:
        """Approve for so many computations, or deny with 0, the request whose id begins so; an earlier decision goes.

        Raises Fault REQUEST_UNKNOWN unless exactly one request under this agreement is meant.
        """
        meant = [request for request in self.requests(agreement) if request.id.startswith(begins)]
        if len(meant) != 1:
            raise Fault(
                "REQUEST_UNKNOWN",
                f"{'Several requests begin' if meant else 'No request under the present agreement begins'} with"
                f" {begins[:64]!r}.",
                "See `beaver pending` for their ids.",
            )
        decision = "approved" if computations else "denied"
        with self._database() as database:
            database.execute(
                "update request set decision = ?, why = ?, decided = ?, computations = ? where id = ?",
                (decision, why[:_MOST_WHY], now, computations, meant[0].id),
            )
            count_change(database)
            return _found(database, meant[0].id)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """One transaction: as a whole, and on the disk afterwards, or not at all."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            with closing(sqlite3.connect(self._path, timeout=_LOCK_WITHIN_S, isolation_level=None)) as database:
                database.execute("pragma synchronous = extra")
                database.execute(_TABLE)
                database.execute("begin immediate")
                yield database
                database.execute("commit")
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                raise Fault(
                    "STATE_DAMAGED",
                    f"{self._path} is damaged, or holds no requests.",
                    "Move it away: whatever was approved in it has to be approved again.",
                ) from None
            raise Fault(
                "STATE_UNWRITABLE",
                f"{self._path} cannot be written ({error}); nothing was decided or used.",
                "Make room on its disk and see that it belongs to the user who runs this process.",
            ) from None


def _id(plan: Plan, agreement: bytes, analyst: str) -> str:
    bound = msgpack.packb({"plan": plan.digest, "agreement": agreement, "analyst": analyst})
    return hashlib.sha256(bound).hexdigest()


def _found(database: sqlite3.Connection, key: str) -> Request:
    row = database.execute(f"select {_COLUMNS} from request where id = ?", (key,)).fetchone()  # noqa: S608 - our own
    if row is None:
        raise Fault("REQUEST_UNKNOWN", f"The request {key[:12]} is gone from the state folder.", "Submit again.")
    return _request(row)


def _request(row: tuple[str, bytes, bytes, str, int, bytes, Literal["approved", "denied"] | None, str, int]) -> Request:
    key, plan, agreement, analyst, asked, notes, decision, why, computations = row
    return Request(key, plan, agreement, analyst, asked, msgpack.unpackb(notes), decision, why, computations)
