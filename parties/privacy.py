"""What a node remembers so that results do not add up to more than was agreed: budgets, row sets, answers.

All of it is in `state/privacy.sqlite`. A session first makes a claim, which reads what it must of the tables. Right
before anything is opened the claim is settled: judged again, counted and recorded in one step, and on the disk.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mpc.accounting import Loss
from mpc.encoding import check_column
from mpc.errors import DataError
from mpc.plan import Plan
from mpc.sampling import Draw, Rows
from mpc.schema import unit_rows
from parties import answers, budget, history, told
from parties.agreement import Agreement
from parties.clauses import revealed
from parties.clock import Clock
from parties.database import Database
from parties.errors import Fault
from parties.noise import told_unseen
from parties.row_sets import RowsOf, drawn_anew, numbers_of, row_sets, rows_of, tables_of
from parties.rows import Contents, Words, row_hashes
from parties.sealed import KEY_BYTES, own_key
from parties.store import Store, Version
from protocols.prg import derive
from protocols.ring import Array

__all__ = ["Claim", "Privacy"]

_APPLICATION = 0x62656271
_TABLES = "create table hashing (mark blob not null) strict;"


@dataclass(frozen=True)
class Claim:
    """What one run of a plan costs a party's tables and uses of them, and their files as they were, by table."""

    plan: Plan
    losses: Mapping[str, Sequence[Loss]]
    used: Sequence[history.Used]
    versions: Mapping[str, Version]
    digests: Mapping[str, bytes]


class Privacy:
    """One party's memory, under one agreement. For many threads."""

    def __init__(self, path: Path, party: str, agreement: Agreement, store: Store, clock: Clock) -> None:
        self._party = party
        self._agreement = agreement
        self._digest = agreement.digest()
        self._tables = agreement.data.get(party, {})
        self._store = store
        self._clock = clock
        counted = any(terms.exact_results is not None for terms in self._tables.values())
        self._remembers = agreement.min_rows > 1 or counted  # else nothing can be against a plan later
        self.unit_rows = unit_rows(agreement.schema())
        """Of every table, by party and name, how many rows belong to one person at most."""
        self._contents_of: dict[str, tuple[Version, Contents]] = {}
        self._files: dict[str, tuple[Version, bytes]] = {}
        self._lock = threading.Lock()
        key = _row_key(path.with_name("privacy.key"), begins=not path.exists())
        self._database = Database(
            path,
            _TABLES + budget.TABLES + history.TABLES + answers.TABLES,
            _APPLICATION,
            unknown="what results have told already",
            remedy="Restore the newest copy, with the privacy.key of its own. If there is none, budgets begin anew "
            "with new keys and an empty state folder. Settle on that first, in writing.",
        )
        self._key = self._checked(key)

    def claim(self, plan: Plan, drawn: Mapping[Draw, Rows]) -> Claim:
        """What the plan would cost and use. `drawn`: the rows of its random samples; others are not looked at.

        Raises PlanError, DataError, Fault TABLE_MISSING, UNIT_ROWS_EXCEEDED.
        """
        names = [name for name in tables_of(plan, self._party) if name in self._tables]
        versions = {name: self._store.version(name) for name in names}
        losses = budget.losses_of(plan, self._party, self.unit_rows)
        for name in losses:
            self._check_units(name)
        used = list(self._used(plan, versions, row_sets(plan, self._party, drawn))) if self._remembers else []
        digests = {name: self._store.digest(name) for name in names} if any(plan.of("noisy")) else {}
        return Claim(plan, losses, used, versions, digests)

    def settle(self, claim: Claim, session: str) -> None:
        """Debit and record what is about to be opened. When this returns the disk holds it.

        Raises Fault BUDGET_SPENT, PLAN_REFUSED, ROWS_CHANGED, STATE_UNWRITABLE, with nothing debited or recorded.
        """
        for name, version in claim.versions.items():
            if self._store.version(name) != version:
                raise Fault("ROWS_CHANGED", f"{self._party}.{name} has changed meanwhile", "Submit the script again.")
        agreement = self._digest.hex()
        with self._database.transaction() as connection:
            for name, losses in claim.losses.items():
                budget.debit(connection, self._account(name), losses, session)
            if refused := [*self._too_near(connection, claim), *self._too_many(connection, claim)]:
                raise Fault("PLAN_REFUSED", f"{self._party} refuses the plan: {'; '.join(refused)}", "Ask otherwise.")
            history.record(connection, claim.used, agreement=agreement, plan=claim.plan.digest, session=session)

    def limit(self, name: str, rows: int) -> tuple[int, Loss | None]:
        """Of a table with so many rows, how many take part; what telling that has cost, if it was for the first time.

        Raises Fault BUDGET_SPENT, STATE_UNWRITABLE, with nothing told.
        """
        terms = self._tables.get(name)
        if terms is None or terms.counts == "exact":
            return rows, None
        if terms.count_noise is None:
            return rows - rows % self._agreement.min_rows, None
        question = told.Question(self._account(name), self._file(name), terms.count_noise, terms.unit_rows)
        agreement = question.account.agreement
        with self._database.reading() as connection:
            known = told.known(connection, question)
        if agreement in known:
            return known[agreement], None
        drawn = told_unseen(rows, terms.count_noise, terms.unit_rows)
        with self._database.transaction() as connection:
            known = told.known(connection, question)
            if agreement in known:  # somebody else asked at the same time
                return known[agreement], None
            number = next(iter(known.values()), drawn)
            told.tell(connection, question, number)
        return number, question.loss

    def spent(self, name: str) -> Sequence[Loss]:
        """What has been debited of a table's budget, if it has one."""
        if name not in self._tables or self._tables[name].budget is None:
            return ()
        with self._database.reading() as connection:
            return budget.spent(connection, self._account(name))

    def remaining(self) -> dict[str, float]:
        """Of every table with a budget, the largest epsilon that one more result with Laplace noise may have."""
        with self._database.reading() as connection:
            accounts = [self._account(name) for name, terms in self._tables.items() if terms.budget is not None]
            return {account.name: budget.remaining(connection, account) for account in accounts}

    def against(self, plan: Plan) -> Iterator[str]:
        """What earlier results without noise say against a plan, where its tables can be read."""
        try:
            claim = self.claim(plan, {})
        except (DataError, Fault):  # loading them will tell what is wrong
            return
        with self._database.reading() as connection:
            yield from [*self._too_near(connection, claim), *self._too_many(connection, claim)]

    def earlier(self, plan: Plan, analyst: str) -> tuple[bytes, dict[str, Array]] | None:
        """How this plan was answered to the analyst when its tables were as they are now.

        The session, and this party's share of each result; None if it was not.
        """
        digests = {name: self._store.digest(name) for name in tables_of(plan, self._party)}
        with self._database.reading() as connection:
            return answers.earlier(connection, answers.Question(self._digest, plan.digest, analyst, digests))

    def keep(self, claim: Claim, analyst: str, session: bytes, shares: Mapping[str, Array]) -> None:
        """Keep what is about to be handed to the analyst, for the next time. Raises Fault STATE_UNWRITABLE."""
        question = answers.Question(self._digest, claim.plan.digest, analyst, claim.digests)
        if claim.digests:
            with self._database.transaction() as connection:
                answers.keep(connection, question, session, shares)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _account(self, name: str) -> budget.Account:
        agreed = self._tables[name].budget if name in self._tables else None
        if agreed is None:
            raise Fault("PLAN_REFUSED", f"{self._party}.{name} has no privacy budget", "Ask its owner for one.")
        return budget.Account(self._party, name, agreed, self._digest.hex(), self._clock.latest())

    def _file(self, name: str) -> bytes:
        """The digest of a table's file, for as long as that does not change."""
        version = self._store.version(name)
        with self._lock:
            if (known := self._files.get(name)) and known[0] == version:
                return known[1]
        digest = self._store.digest(name)
        with self._lock:
            self._files[name] = version, digest
        return digest

    def _too_near(self, connection: sqlite3.Connection, claim: Claim) -> Iterator[str]:
        least = self._agreement.min_rows
        near = {(used.result, used.name): None for used in history.differing(connection, claim.used, least)}
        for result, name in near:
            yield (
                f"{revealed(claim.plan, [result])}: {result!r} uses rows of {self._party}.{name} "
                f"that differ in fewer than {least} from those of another result, so that the difference would tell "
                "of these few"
            )
        few = {(used.result, used.name): None for used in history.adding_up(connection, claim.used, least)}
        for result, name in (each for each in few if each not in near):
            yield (
                f"{revealed(claim.plan, [result])}: {result!r} together with other results would tell of fewer than "
                f"{least} rows of {self._party}.{name}"
            )

    def _too_many(self, connection: sqlite3.Connection, claim: Claim) -> Iterator[str]:
        agreement, plan = self._digest.hex(), claim.plan.digest
        for name, count in history.exact_results(connection, claim.used, agreement=agreement, plan=plan).items():
            most = self._tables[name].exact_results
            if most is not None and count > most:
                steps = revealed(claim.plan, [used.result for used in claim.used if used.name == name])
                yield (
                    f"{steps}: these would make {count:,} numbers without noise of {self._party}.{name}, "
                    f"where {most} are agreed"
                )

    def _used(self, plan: Plan, versions: Mapping[str, Version], sets: Iterable[RowsOf]) -> Iterator[history.Used]:
        """The rows that results use, of the tables that are agreed. Raises DataError."""
        numbers, anew = numbers_of(plan), drawn_anew(plan)
        for each in sets:
            if (name := each.name) not in versions:
                continue
            contents = self._contents(name, versions[name])
            if contents.hashes.size != rows_of(plan, self._party, name):
                raise DataError(
                    f"{self._party}.{name} has {contents.hashes.size:,} rows, the plan was made for another number",
                    "The table changed since the script was submitted. Submit again.",
                )
            count = max(numbers[each.result], each.rows.sizes.size - 1)  # as many can be packed into one
            yield history.Used(each.result, name, each.rows, contents, count, each.result in anew)

    def _contents(self, name: str, version: Version) -> Contents:
        """What a table holds, for as long as its file does not change. Raises DataError."""
        with self._lock:
            if (known := self._contents_of.get(name)) and known[0] == version:
                return known[1]
        contents = Contents(self._hashes(name))
        with self._lock:
            self._contents_of[name] = version, contents
        return contents

    def _hashes(self, name: str) -> Words:
        """Of the rows of a table, as all columns that are agreed have them. Raises DataError."""
        agreed = self._tables[name].columns
        columns = self._store.columns(name, sorted(agreed))
        for column, values in columns.items():
            terms = agreed[column]
            check_column(f"{self._party}.{name}.{column}", values, terms.type, *terms.range)
        return row_hashes(columns, self._key)

    def _checked(self, key: bytes) -> bytes:
        """The key of row hashes, if earlier ones were made with it. Raises Fault STATE_DAMAGED, STATE_UNWRITABLE."""
        if len(key) != KEY_BYTES:
            raise self._database.damaged()
        mark = derive(key, "privacy", "mark")
        with self._database.transaction() as connection:
            connection.execute("insert into hashing select ? where not exists (select * from hashing)", (mark,))
            if connection.execute("select mark from hashing").fetchall() != [(mark,)]:
                raise self._database.damaged()
        return derive(key, "privacy", "rows")

    def _check_units(self, name: str) -> None:
        """Raise Fault UNIT_ROWS_EXCEEDED when a person has more rows in a table than agreed."""
        terms = self._tables.get(name)
        if terms is None or terms.unit is None:
            return
        (persons,) = self._store.columns(name, [terms.unit]).values()
        rows = np.unique(persons, return_counts=True)[1]
        if over := int(np.count_nonzero(rows > terms.unit_rows)):
            raise Fault(
                "UNIT_ROWS_EXCEEDED",
                f"{self._party}.{name}: {over:,} values of {terms.unit!r} stand in more than {terms.unit_rows} rows",
                "Leave rows out, or have the owners agree to a larger unit_rows.",
                peer=self._party,
            )


def _row_key(path: Path, *, begins: bool) -> bytes:
    """What is in the file of the key, nothing where there is none; where a database begins, a key that is on the disk.

    Raises Fault STATE_UNWRITABLE.
    """
    if begins:
        return own_key(path)
    try:
        return path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise Fault(
            "STATE_UNWRITABLE",
            f"{path} cannot be read ({error.strerror}).",
            "See that it belongs to the user who runs this process, then start again.",
        ) from None
