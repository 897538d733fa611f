"""Which rows of a party's tables the results of a plan use, and which of them weigh alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpc.disclosure import RowSet, rows_alike
from mpc.plan import Plan
from mpc.sampling import Draw, Rows

__all__ = ["MOST_WEIGHTS", "RowsOf", "row_sets", "rows_of", "selected", "tables_of"]

MOST_WEIGHTS = 256
"""By which one result may weigh the rows of a table: a node remembers the rows of each."""


@dataclass(frozen=True)
class RowsOf:
    """The rows of a table that a result uses, other than under noise; `part`: only those of one weight."""

    result: str
    name: str
    rows: RowSet
    part: bool = False


def row_sets(plan: Plan, party: str, drawn: Mapping[Draw, Rows]) -> Iterator[RowsOf]:
    """For each result the rows that it uses, by table; where they weigh differently, then those of each weight.

    `drawn`: the rows of random samples; others are not looked at. Raises PlanError for a plan that is too large.
    """
    for result, tables in rows_alike(plan, party).items():
        for called, rows in tables.items():
            name, *sample = called.split(" ")
            draw = (name, int(sample[0]), int(sample[1])) if sample else None
            if draw is not None and draw not in drawn:
                continue
            for part, some in _by_weight(rows):
                if draw is None:
                    yield RowsOf(result, name, some, part)
                else:
                    mask = np.zeros(rows_of(plan, party, name), np.bool_)
                    mask[drawn[draw][selected(some)]] = True
                    yield RowsOf(result, name, mask, part)


def selected(rows: RowSet) -> slice | NDArray[np.bool_]:
    """The rows as an index."""
    return slice(rows.start, rows.stop, rows.step) if isinstance(rows, range) else rows


def tables_of(plan: Plan, party: str) -> list[str]:
    """The tables of the party that a plan names."""
    own = (step.params for op in ("column", "count") for _, step in plan.of(op) if step.params["party"] == party)
    return sorted({params["table"] for params in own})


def rows_of(plan: Plan, party: str, name: str) -> int:
    """How many rows a plan was made for."""
    own = (step.params for op in ("column", "count") for _, step in plan.of(op) if step.params["party"] == party)
    return max(int(params["rows"]) for params in own if params["table"] == name)


def _by_weight(rows: range | NDArray[np.int64]) -> Iterator[tuple[bool, RowSet]]:
    if isinstance(rows, range):
        yield False, rows
        return
    yield False, rows > 0
    weights = min(int(rows.max(initial=0)), MOST_WEIGHTS)
    yield from ((True, rows == weight) for weight in range(1, weights + 1) if weights > 1)
