"""What changes for whom between two agreements, and whether more or less is allowed then."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from parties.agreement import Agreement
from parties.errors import printable
from parties.prose import ANY_OPERATION, column_range, end_of, exact, listed, moment, noise, told
from parties.terms import Budget, TableTerms

__all__ = ["Change", "changes"]

_EVERYBODY = "everybody"
_Freedom = float | frozenset[object] | None
"""What is larger, or holds more, allows more; infinity anything; None cannot be compared."""


@dataclass(frozen=True)
class Change:
    """One difference: for whom, of what, how it was and how it would be ("" for not at all)."""

    whom: str
    what: str
    before: str
    after: str
    effect: str
    """"more" or "less" is allowed, or something "other"."""


@dataclass(frozen=True)
class _Fact:
    text: str
    freedom: _Freedom = None


def changes(old: Agreement, new: Agreement) -> list[Change]:
    """All differences in content, those for everybody first."""
    before, after = dict(_facts(old)), dict(_facts(new))
    found = []
    for whom, what in dict.fromkeys((*before, *after)):
        was, becomes = before.get((whom, what)), after.get((whom, what))
        if was != becomes:
            texts = was.text if was else "", becomes.text if becomes else ""
            found.append(Change(whom, what, *texts, _effect(was, becomes)))
    return sorted(found, key=lambda change: change.whom != _EVERYBODY)


def _effect(was: _Fact | None, becomes: _Fact | None) -> str:
    if was is None or becomes is None:
        return "less" if becomes is None else "more"
    match was.freedom, becomes.freedom:
        case frozenset() as old, frozenset() as new:
            return "more" if old < new else "less" if new < old else "other"
        case (int() | float() as old, int() | float() as new):
            return "more" if old < new else "less"
        case (frozenset(), float()):
            return "more"
        case (float(), frozenset()):
            return "less"
    return "other"


def _facts(agreement: Agreement) -> Iterator[tuple[tuple[str, str], _Fact]]:
    """All that is agreed, a fact for every field of the file: (for whom, of what) -> how it is."""
    for what, fact in _general(agreement):
        yield (_EVERYBODY, what), fact
    for to in agreement.recipients:
        yield (to, "results"), _Fact("may receive them", 1)
    for party, held in agreement.data.items():
        for name, table in held.items():
            yield (party, name), _Fact("takes part", 1)
            yield (party, f"{name}: rows at most"), _Fact(f"{table.rows:,}", table.rows)
            yield (party, f"{name}: about"), _Fact(printable(table.about))
            most = math.inf if table.exact_results is None else table.exact_results
            yield (party, f"{name}: exact results"), _Fact(exact(table), most)
            yield (party, f"{name}: number of rows told"), _Fact(told(table), _told(table))
            unit = f"{printable(table.unit)}, {table.unit_rows:,} rows each" if table.unit else "each row stands alone"
            yield (party, f"{name}: whose a row is"), _Fact(unit)
            for what, fact in _budget(table.budget):
                yield (party, f"{name}: {what}"), fact
            for title, column in table.columns.items():
                about = f" ({printable(column.about)})" if column.about else ""
                said = f"takes part: {column.type}, {column_range(column)}{about}"
                yield (party, f"{name}.{printable(title)}"), _Fact(said)


def _general(agreement: Agreement) -> Iterator[tuple[str, _Fact]]:
    begin, end, uses = agreement.valid_from, agreement.valid_until, agreement.uses
    kept = agreement.retention
    yield "purpose", _Fact(printable(agreement.purpose))
    yield "parties named", _Fact(listed(sorted(agreement.parties)) or "those of the consortium")
    yield "begins", _Fact(moment(begin), -begin.timestamp()) if begin else _Fact("when signed", math.inf)
    yield "ends", _Fact(end_of(end), end.timestamp()) if end else _Fact("never", math.inf)
    yield "computations in all", _Fact(f"{uses:,}", uses) if uses else _Fact("any number", math.inf)
    yield "approval", _Fact(agreement.approval, agreement.approval == "automatic")
    yield "protocol", _Fact(agreement.protocol)
    yield "source of random material", _Fact(agreement.source)
    yield "smallest group", _Fact(f"{agreement.min_rows:,} rows", -agreement.min_rows)
    conditions = agreement.row_conditions
    yield "conditions on single rows", _Fact("allowed" if conditions else "not allowed", conditions)
    colluding = math.inf if agreement.colluding is None else agreement.colluding
    yield "noise", _Fact(noise(agreement), -colluding)
    yield "results", _outputs(agreement)
    yield "operations", _operations(agreement)
    named = agreement.computations
    plans = [f"{name} ({plan[:12]})" for name, plan in named.items()]
    yield "computations named", _Fact(listed(plans), frozenset(named.values())) if named else _Fact("any", math.inf)
    yield "material kept, days", _Fact(f"{kept.material_days:,}", kept.material_days)
    days = kept.results_days
    yield "results kept, days", _Fact(f"{days:,}", days) if days else _Fact("as the party likes", math.inf)


def _budget(terms: Budget | None) -> Iterator[tuple[str, _Fact]]:
    if terms:
        yield "privacy budget, epsilon", _Fact(f"{terms.epsilon:g}", terms.epsilon)
        yield "privacy budget, delta", _Fact(f"{terms.delta:g}", terms.delta)
        renewed = _Fact(f"after {terms.days:,} days", -terms.days) if terms.days else _Fact("never", -math.inf)
        yield "privacy budget, renewed", renewed


def _told(table: TableTerms) -> _Freedom:
    if table.counts == "exact":
        return math.inf
    noise = table.count_noise
    return frozenset({(noise.epsilon, noise.delta) if noise else table.counts})


def _outputs(agreement: Agreement) -> _Fact:
    if not agreement.outputs:
        return _Fact("any", math.inf)
    pairs = frozenset((name, to) for name, who in agreement.outputs.items() for to in who)
    return _Fact("; ".join(f"{printable(name)} to {listed(to)}" for name, to in agreement.outputs.items()), pairs)


def _operations(agreement: Agreement) -> _Fact:
    if agreement.operations is None:
        return _Fact(ANY_OPERATION, math.inf)
    return _Fact(listed(sorted(agreement.operations)) or "none", frozenset(agreement.operations))
