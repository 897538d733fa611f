"""What a node remembers so that results do not add up to more than was agreed: budgets, row sets, answers.

All of it is in `state/privacy.sqlite`. A session first makes a claim, which reads what it must of the tables. Right
before anything is opened the claim is settled: judged again, counted and recorded in one step, and on the disk.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpc.accounting import Loss
from mpc.disclosure import RowSet, rows_used
from mpc.encoding import check_column
from mpc.errors import DataError
from mpc.plan import Plan
from mpc.sampling import Draw, Rows
from mpc.schema import unit_rows
from parties import answers, budget, history
from parties.agreement import Agreement
from parties.clock import Clock
from parties.database import Database
from parties.errors import Fault
from parties.rows import Words, cells_for, row_hashes, sketch
from parties.store import Store, Version
from protocols.ring import Array

__all__ = ["Claim", "Privacy"]

_APPLICATION = 0x62656270
_MOST_SKETCHES = 64


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
        self.unit_rows = unit_rows(agreement.schema())
        """Of every table, by party and name, how many rows belong to one person at most."""
        self._sketches: dict[tuple[object, ...], Words] = {}
        self._lock = threading.Lock()
        self._database = Database(
            path,
            budget.TABLES + history.TABLES + answers.TABLES,
            _APPLICATION,
            unknown="what results have told already",
            remedy="Restore the newest copy. If there is none: budgets begin anew once this file is moved away. Settle "
            "on that first, in writing.",
        )

    def claim(self, plan: Plan, drawn: Mapping[Draw, Rows]) -> Claim:
        """What the plan would cost and use. `drawn`: the rows of its random samples; others are not looked at.

        Raises PlanError, DataError, Fault TABLE_MISSING, UNIT_ROWS_EXCEEDED.
        """
        names = [name for name in _tables_of(plan, self._party) if name in self._tables]
        versions = {name: self._store.version(name) for name in names}
        losses = budget.losses_of(plan, self._party, self.unit_rows)
        for name in losses:
            self._check_units(name)
        sets: dict[str, list[tuple[str, RowSet]]] = {name: [] for name in names}
        for result, tables in rows_used(plan, self._party).items():
            for name, rows in _real_rows(tables, drawn, plan, self._party):
                if name in sets:
                    sets[name].append((result, rows))
        used = [each for name in names for each in self._used(plan, name, versions[name], sets[name])]
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
        digests = {name: self._store.digest(name) for name in _tables_of(plan, self._party)}
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

    def _too_near(self, connection: sqlite3.Connection, claim: Claim) -> Iterator[str]:
        least = self._agreement.min_rows
        for used in history.differing(connection, claim.used, least):
            yield (
                f"{used.result!r} uses rows of {self._party}.{used.name} that differ in fewer than {least} from those "
                "of another result, so that the difference would tell of these few"
            )

    def _too_many(self, connection: sqlite3.Connection, claim: Claim) -> Iterator[str]:
        agreement, plan = self._digest.hex(), claim.plan.digest
        for name, count in history.exact_results(connection, claim.used, agreement=agreement, plan=plan).items():
            most = self._tables[name].exact_results
            if most is not None and count > most:
                yield f"these would make {count} results without noise of {self._party}.{name}; {most} are agreed"

    def _used(
        self, plan: Plan, name: str, version: Version, sets: Sequence[tuple[str, RowSet]]
    ) -> Iterator[history.Used]:
        """Each result with the sketch of the rows of one table that it uses. Raises DataError."""
        cells, columns = cells_for(self._agreement.min_rows), sorted(self._tables[name].columns)
        hashes: Words | None = None
        for result, rows in sets:
            key = name, version, cells, *columns, _key(rows)
            with self._lock:
                known = self._sketches.get(key)
            if known is None:
                hashes = self._hashes(name) if hashes is None else hashes
                if hashes.size != _rows_of(plan, self._party, name):
                    raise DataError(
                        f"{self._party}.{name} has {hashes.size:,} rows, the plan was made for another number",
                        "The table changed since the script was submitted. Submit again.",
                    )
                known = sketch(hashes[_selected(rows)], cells)
            with self._lock:
                self._sketches[key] = known
                for old in list(self._sketches)[:-_MOST_SKETCHES]:
                    del self._sketches[old]
            yield history.Used(result, name, known)

    def _hashes(self, name: str) -> Words:
        """Of the rows of a table, as all columns that are agreed have them. Raises DataError."""
        agreed = self._tables[name].columns
        columns = self._store.columns(name, sorted(agreed))
        for column, values in columns.items():
            terms = agreed[column]
            check_column(f"{self._party}.{name}.{column}", values, terms.type, *terms.range)
        return row_hashes(columns)

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


def _tables_of(plan: Plan, party: str) -> list[str]:
    own = (step.params for op in ("column", "count") for _, step in plan.of(op) if step.params["party"] == party)
    return sorted({params["table"] for params in own})


def _real_rows(
    tables: Mapping[str, RowSet], drawn: Mapping[Draw, Rows], plan: Plan, party: str
) -> Iterator[tuple[str, RowSet]]:
    """By table, the rows that are used of it, and of it through each of its samples."""
    for called, rows in tables.items():
        name, *sample = called.split(" ")
        if not sample:
            yield name, rows
        elif (draw := (name, int(sample[0]), int(sample[1]))) in drawn:
            mask = np.zeros(_rows_of(plan, party, name), np.bool_)
            mask[drawn[draw][_selected(rows)]] = True
            yield name, mask


def _rows_of(plan: Plan, party: str, name: str) -> int:
    own = (step.params for op in ("column", "count") for _, step in plan.of(op) if step.params["party"] == party)
    return max(int(params["rows"]) for params in own if params["table"] == name)


def _selected(rows: RowSet) -> slice | NDArray[np.bool_]:
    return slice(rows.start, rows.stop, rows.step) if isinstance(rows, range) else rows


def _key(rows: RowSet) -> object:
    return rows if isinstance(rows, range) else hashlib.sha256(np.packbits(rows).tobytes()).digest()
