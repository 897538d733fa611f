"""Clauses on what results add up to: the privacy budget, results without noise, results over nearly the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mpc.accounting import Loss, left
from mpc.disclosure import RowSet, rows_used
from mpc.noise import measured
from mpc.plan import Plan
from mpc.schema import unit_rows
from parties.budget import exceeded, losses_of

if TYPE_CHECKING:
    from parties.policy import Case

__all__ = ["Memory", "budget", "budget_notes", "differencing", "exact_results", "history"]


class Memory(Protocol):
    """What a party's node remembers, and nobody else knows."""

    def spent(self, name: str) -> Sequence[Loss]:
        """What has been debited of a table's budget."""

    def against(self, plan: Plan) -> Iterator[str]:
        """What earlier results without noise say against a plan."""


def budget(case: Case) -> Iterator[str]:
    """Noise can be measured, and every table that a noised result depends on has a budget with enough left."""
    tables, units = case.agreement.data.get(case.party, {}), unit_rows(case.agreement.schema())
    measured(case.plan, units)
    for name, losses in losses_of(case.plan, case.party, units).items():
        agreed = tables[name].budget if name in tables else None
        if agreed is None:
            yield f"{case.party}.{name} has no privacy budget, so no result with noise may depend on it"
        else:
            before = case.memory.spent(name) if case.memory else ()
            if reason := exceeded(f"{case.party}.{name}", Loss(agreed.epsilon, agreed.delta), before, losses):
                yield reason


def budget_notes(case: Case) -> dict[str, str]:
    """For a person who decides: what is left of the budgets that a plan takes from, before and after."""
    notes: dict[str, str] = {}
    for name, losses in losses_of(case.plan, case.party, unit_rows(case.agreement.schema())).items():
        agreed = case.agreement.data[case.party][name].budget
        if agreed is not None:
            before, limit = list(case.memory.spent(name)) if case.memory else [], Loss(agreed.epsilon, agreed.delta)
            now, then = left(before, limit), left([*before, *losses], limit)
            notes[f"privacy budget left of {name}"] = f"epsilon {now:.4g}, then {then:.4g}"
    return notes


def exact_results(case: Case) -> Iterator[str]:
    """No more results without noise depend on a table than agreed."""
    used = rows_used(case.plan, case.party).values()
    for name, terms in case.agreement.data.get(case.party, {}).items():
        count = sum(name in tables for tables in used)
        if terms.exact_results is not None and count > terms.exact_results:
            yield f"{count} results without noise depend on {case.party}.{name}; {terms.exact_results} are agreed"


def differencing(case: Case) -> Iterator[str]:
    """No two results of the plan use nearly the same rows of a table."""
    used = rows_used(case.plan, case.party)
    for one, other in combinations(used, 2):
        for name in used[one].keys() & used[other].keys():
            rows = _differing(used[one][name], used[other][name])
            if 0 < rows < case.agreement.min_rows:
                yield (
                    f"{one!r} and {other!r} use rows of {case.party}.{name} that differ in {rows}: their difference "
                    f"would tell of fewer than {case.agreement.min_rows}"
                )


def history(case: Case) -> Iterator[str]:
    """No result without noise uses nearly the same rows as an earlier one, or is one too many."""
    if case.memory:
        yield from case.memory.against(case.plan)


def _differing(one: RowSet, other: RowSet) -> int:
    """How many rows are in one set and not in the other."""
    if isinstance(one, range) and isinstance(other, range):
        if one == other:
            return 0
        length = max(one.stop, other.stop)
    else:
        length = max(len(rows) for rows in (one, other) if not isinstance(rows, range))
    return int(np.count_nonzero(_mask(one, length) != _mask(other, length)))


def _mask(rows: RowSet, length: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if not isinstance(rows, range):
        return rows
    mask = np.zeros(length, np.bool_)
    mask[rows.start : rows.stop : rows.step] = True
    return mask
