"""Clauses on what results add up to: the privacy budget, results without noise, results over nearly the same rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mpc.accounting import Loss, left
from mpc.disclosure import rows_alike, rows_used
from mpc.noise import measured
from mpc.plan import Plan
from mpc.schema import unit_rows
from mpc.sensitivity import Table, sensitivities
from parties.budget import exceeded, losses_of
from parties.row_sets import MOST_WEIGHTS, numbers_of
from parties.rows import Partition, near

if TYPE_CHECKING:
    from parties.policy import Case

__all__ = ["Memory", "budget", "budget_notes", "differencing", "exact_results", "history", "revealed"]

_MOST_STEPS = 4
"""That a reason names."""
_Rows = range | NDArray[np.int64]


class Memory(Protocol):
    """What a party's node remembers, and nobody else knows."""

    def spent(self, name: str) -> Sequence[Loss]:
        """What has been debited of a table's budget."""

    def against(self, plan: Plan) -> Iterator[str]:
        """What earlier results without noise say against a plan."""


def budget(case: Case) -> Iterator[str]:
    """Noise can be measured, and every table that a noised result depends on has a budget with enough left."""
    tables, units = case.agreement.data.get(case.party, {}), unit_rows(case.agreement.schema())
    measured(case.plan, units, case.agreement.colluding)
    for name, losses in losses_of(case.plan, case.party, units).items():
        agreed = tables[name].budget if name in tables else None
        if agreed is None:
            where = _noisy(case, name, units)
            yield f"{where}: {case.party}.{name} has no privacy budget, so no result with noise may depend on it"
        else:
            before = case.memory.spent(name) if case.memory else ()
            if reason := exceeded(f"{case.party}.{name}", Loss(agreed.epsilon, agreed.delta), before, losses):
                yield f"{_noisy(case, name, units)}: {reason}"


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
    """No more numbers without noise depend on a table than agreed: of an array, every element counts."""
    used, numbers = rows_used(case.plan, case.party), numbers_of(case.plan)
    for name, terms in case.agreement.data.get(case.party, {}).items():
        results = [result for result, tables in used.items() if name in tables]
        count = sum(numbers[result] for result in results)
        if terms.exact_results is not None and count > terms.exact_results:
            yield (
                f"{revealed(case.plan, results)}: {count:,} numbers without noise depend on {case.party}.{name}, "
                f"where {terms.exact_results} are agreed"
            )


def differencing(case: Case) -> Iterator[str]:
    """No two results of the plan use nearly the same rows of a table, nor weigh nearly the same rows alike.

    Whatever is put together from the numbers of two results depends on enough rows then, or on none (parties/rows.py).
    """
    if case.agreement.min_rows <= 1:  # single rows may be told
        return
    used = rows_alike(case.plan, case.party)
    for result, tables in used.items():
        for name, rows in tables.items():
            if (weights := 1 if isinstance(rows, range) else int(rows.max(initial=0))) > MOST_WEIGHTS:
                yield (
                    f"{revealed(case.plan, [result])}: {result!r} weighs rows of {case.party}.{name} in {weights:,} "
                    f"ways, where {MOST_WEIGHTS} are the most"
                )
    for one, other in combinations(used, 2):
        for name in used[one].keys() & used[other].keys():
            if few := _near(used[one][name], used[other][name], case.agreement.min_rows):
                yield (
                    f"{revealed(case.plan, [one, other])}: {one!r} and {other!r} use rows of {case.party}.{name} that "
                    f"differ in {few}: their difference would tell of fewer than {case.agreement.min_rows}"
                )


def history(case: Case) -> Iterator[str]:
    """No result without noise uses nearly the same rows as an earlier one, or is one too many."""
    if case.memory:
        yield from case.memory.against(case.plan)


def revealed(plan: Plan, results: Collection[str]) -> str:
    """The steps that reveal these results, as a person finds them; of many, the first ones."""
    return _few([plan.where(i) for i, step in plan.of("reveal") if step.params["name"] in results])


def _noisy(case: Case, name: str, units: Mapping[Table, int]) -> str:
    """The steps whose noise is counted against a table's budget."""
    moved = sensitivities(case.plan.steps, case.plan.types, units)
    return _few([case.plan.where(i) for i, tables in moved.items() if (case.party, name) in tables])


def _few(steps: Sequence[str]) -> str:
    return ", ".join([*steps[:_MOST_STEPS], *["..."] * (len(steps) > _MOST_STEPS)])


def _near(one: _Rows, other: _Rows, least: int) -> int:
    if isinstance(one, range) and isinstance(other, range) and one == other:
        return 0
    length = max(rows.stop if isinstance(rows, range) else len(rows) for rows in (one, other))
    return near(_classes(one, length), _classes(other, length), least)


def _classes(rows: _Rows, length: int) -> Partition:
    return Partition.of(rows if isinstance(rows, range) else np.minimum(rows, MOST_WEIGHTS), length)
