"""What protects a party's data, as a report tells it: what every node does, and what its agreements say, no more.

An agreement is read as the record has it, which may be of any version, or of nobody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from parties.prose import noise_of, single_rows, smallest_group

__all__ = ["mapping", "safeguards"]

_SAFEGUARDS = (
    "Rows stay on the party's own machine. What leaves it are secret shares and masked values, which taken alone are "
    "random numbers; only the agreed results are ever put together, and only at their recipients.",
    "Each node checks every plan by itself against its own copy of the agreement, and refuses what goes beyond it. "
    "Nodes run no code of an analyst.",
    "Every member has keys of its own. Sessions are signed by all participants; control connections are encrypted with "
    "CURVE, data connections with AES-256-GCM under keys of one session.",
    "This record is a chain of signed entries. The other members hold signed heads of it, against which it can be "
    "verified: beaver audit verify.",
)


def safeguards(party: str, agreements: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Sentences, each once: of every node, and of agreements, given by name; what only some say names these."""
    told: dict[str, dict[str, None]] = {}
    names: dict[str, None] = {}
    for name, terms in agreements:
        names[name] = None
        for sentence in _agreed(party, terms):
            told.setdefault(sentence, {})[name] = None
    only = ("" if len(under) == len(names) else f" (agreement {', '.join(under)})" for under in told.values())
    return [*_SAFEGUARDS, *(sentence + under for sentence, under in zip(told, only, strict=True))]


def _agreed(party: str, terms: Mapping[str, Any]) -> Iterator[str]:
    """What one agreement says of a party's tables."""
    tables = mapping(mapping(terms.get("data")).get(party))
    yield from _smallest(terms)
    if any(mapping(mapping(held).get("budget")) for held in tables.values()):
        yield "A result with noise may rest on fewer rows, or one: what protects them is noise, as far as budgets say."
        yield _noise(terms)
    for name, held in tables.items():
        yield from _limits(name, mapping(held))
    yield f"Random material comes from: {terms.get('source')}."
    if terms.get("uses") is not None:
        yield f"At most {terms.get('uses')} computations."
    if terms.get("approval") == "ask":
        yield "A person approves each plan before it runs."


def _smallest(terms: Mapping[str, Any]) -> Iterator[str]:
    """What `min_rows` means under this very agreement."""
    conditions = terms.get("row_conditions") is True
    yield smallest_group(str(terms.get("min_rows")))
    yield single_rows(conditions) + " (row_conditions = true)" * conditions


def _limits(name: str, held: Mapping[str, Any]) -> Iterator[str]:
    """What results together may tell of a table."""
    if held.get("exact_results") is not None:
        yield f"Numbers without noise that may rest on {name}, in the term of the agreement: {held['exact_results']}."
    if budget := mapping(held.get("budget")):
        period = f"in any {budget['days']} days" if budget.get("days") else "in the term of the agreement"
        agreed = f"epsilon {budget.get('epsilon')}, delta {budget.get('delta')}"
        yield f"Privacy budget of {name}, for results with noise: {agreed}, {period}."


def _noise(terms: Mapping[str, Any]) -> str:
    """Who adds it, and what that takes for granted."""
    colluding = terms.get("colluding")
    if terms.get("noise") != "shared":
        return noise_of(None)
    said = noise_of(colluding) if type(colluding) is int else ""
    return f'{said} (noise = "shared", colluding = {colluding})'


def mapping(value: object) -> Mapping[str, Any]:
    """What an entry holds, where it is a mapping."""
    return value if isinstance(value, dict) else {}
