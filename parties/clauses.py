"""Clauses on what results add up to: the privacy budget, results without noise, results over nearly the same rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mpc.accounting import Loss, left
from mpc.disclosure import rows_alike
from mpc.noise import measured
from mpc.plan import Plan
from mpc.schema import unit_rows
from mpc.sensitivity import Table, sensitivities
from parties.budget import exceeded, losses_of
from parties.row_sets import MOST_WEIGHTS, numbers_of
from parties.rows import Partition, few_together, near

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
    """No more numbers without noise depend on a table than agreed.

    Of an array every element counts; and of one number every weight, as it may hold as many sums, packed.
    """
    numbers = numbers_of(case.plan)
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for result, tables in rows_alike(case.plan, case.party).items():
        for called, rows in tables.items():
            name, *_ = called.split(" ")  # of a sample, the table
            counts[name][result] = counts[name].get(result, 0) + max(numbers[result], _weights(rows))
    for name, terms in case.agreement.data.get(case.party, {}).items():
        if terms.exact_results is not None and (count := sum(counts[name].values())) > terms.exact_results:
            yield (
                f"{revealed(case.plan, counts[name])}: {count:,} numbers without noise depend on {case.party}.{name}, "
                f"where {terms.exact_results} are agreed"
            )


def differencing(case: Case) -> Iterator[str]:
    """No results of the plan use nearly the same rows of a table, nor weigh nearly the same rows alike.

    Whatever is put together from their numbers depends on enough rows then, or on none (parties/rows.py).
    """
    least = case.agreement.min_rows
    if least <= 1:  # single rows may be told
        return
    by_table: dict[str, dict[str, _Rows]] = defaultdict(dict)
    for result, tables in rows_alike(case.plan, case.party).items():
        for name, rows in tables.items():
            by_table[name][result] = rows
            if (weights := _weights(rows)) > MOST_WEIGHTS:
                yield (
                    f"{revealed(case.plan, [result])}: {result!r} weighs rows of {case.party}.{name} in {weights:,} "
                    f"ways, where {MOST_WEIGHTS} are the most"
                )
    for name, used in by_table.items():
        parts = _different(used)
        pairs = [(one, other, near(parts[one], parts[other], least)) for one, other in combinations(parts, 2)]
        for one, other, few in pairs:
            if few:
                yield (
                    f"{revealed(case.plan, [one, other])}: {one!r} and {other!r} use rows of {case.party}.{name} that "
                    f"differ in {few}: their difference would tell of fewer than {least}"
                )
        if not any(few for *_, few in pairs) and any(few_together([], list(parts.values()), least)):
            yield (
                f"{revealed(case.plan, parts)}: {', '.join(map(repr, parts))} together would tell of fewer than "
                f"{least} rows of {case.party}.{name}"
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


def _weights(rows: _Rows) -> int:
    return min(len(rows), 1) if isinstance(rows, range) else int(rows.max(initial=0))


def _different(used: Mapping[str, _Rows]) -> Mapping[str, Partition]:
    """The classes of rows that results use of one table, each once: of the first result that has them."""
    length = max(rows.stop if isinstance(rows, range) else len(rows) for rows in used.values())
    first: dict[bytes, tuple[str, Partition]] = {}
    for result, rows in used.items():
        classes = Partition.of(rows if isinstance(rows, range) else np.minimum(rows, MOST_WEIGHTS), length)
        first.setdefault(classes.encode(), (result, classes))
    return dict(first.values())
