"""What an analyst may know before writing a script: tables, columns, ranges, limits, and made-up rows to try it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpc.simulate import Ranges
from parties.agreement import Agreement
from parties.terms import ColumnTerms, TableTerms
from protocols.prg import Stream, derive

__all__ = ["MOST_MOCK_ROWS", "Offer", "mock", "offers", "ranges"]

MOST_MOCK_ROWS = 1000
"""Of a made-up table."""

_SEED = b"mock data are no secret"

Counts = Mapping[str, Mapping[str, int]]
"""party -> table -> rows, as told."""


@dataclass(frozen=True)
class Offer:
    """One table of one party, as far as an analyst may know it.

    `rows`: how many there are, as the party's node tells, or None where nobody asked it; `left`: the largest epsilon
    that one more result with Laplace noise may have, or None.
    """

    party: str
    name: str
    terms: TableTerms
    rows: int | None
    left: float | None


def offers(
    agreement: Agreement, rows: Counts | None = None, left: Mapping[str, Mapping[str, float]] | None = None
) -> list[Offer]:
    """All tables of the agreement, with what the nodes tell of them, by party and table."""
    return [
        Offer(party, name, terms, (rows or {}).get(party, {}).get(name), (left or {}).get(party, {}).get(name))
        for party, held in agreement.data.items()
        for name, terms in held.items()
    ]


def ranges(agreement: Agreement) -> Ranges:
    """The declared ranges, as a simulation takes them."""
    return {
        party: {name: {title: column.range for title, column in terms.columns.items()} for name, terms in held.items()}
        for party, held in agreement.data.items()
    }


def mock(agreement: Agreement, rows: Counts | None = None) -> dict[str, dict[str, dict[str, NDArray[np.generic]]]]:
    """Made-up tables, by party, table and column: every value anywhere in its declared range, with equal probability.

    No real value has any part in them; they are the same every time. As many rows as told, or as the agreement allows,
    but at most MOST_MOCK_ROWS.
    """
    made: dict[str, dict[str, dict[str, NDArray[np.generic]]]] = {}
    for offer in offers(agreement, rows):
        count = min(offer.rows or offer.terms.rows, MOST_MOCK_ROWS)
        made.setdefault(offer.party, {})[offer.name] = {
            title: _values(column, count, Stream(derive(_SEED, offer.party, offer.name, title)))
            for title, column in offer.terms.columns.items()
        }
    return made


def _values(column: ColumnTerms, count: int, stream: Stream) -> NDArray[np.generic]:
    words = stream.words(count)
    low, high = column.range
    if column.type == "integer":
        return np.array([low + int(word) % (int(high) - int(low) + 1) for word in words], np.int64)
    share = words / 2.0**64
    return np.clip(low * (1 - share) + high * share, low, high)
