"""Which rows of a party's tables the results of a plan use, and which of them weigh alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mpc.disclosure import rows_alike
from mpc.plan import Plan
from mpc.sampling import Draw, Rows
from parties.rows import Partition

__all__ = ["MOST_WEIGHTS", "RowsOf", "drawn_anew", "numbers_of", "row_sets", "rows_of", "tables_of"]

MOST_WEIGHTS = 256
"""By which one result may weigh the rows of a table: a node remembers the rows of each."""


@dataclass(frozen=True)
class RowsOf:
    """The rows of a table that a result uses, other than under noise, by how they weigh."""

    result: str
    name: str
    rows: Partition


def row_sets(plan: Plan, party: str, drawn: Mapping[Draw, Rows]) -> Iterator[RowsOf]:
    """For each result the rows that it uses, by table; those of a random sample by themselves.

    `drawn`: the rows of random samples; others are not looked at. Classes beyond MOST_WEIGHTS, for which a plan is
    refused, are one. Raises PlanError for a plan that is too large.
    """
    for result, tables in rows_alike(plan, party).items():
        for called, rows in tables.items():
            name, *sample = called.split(" ")
            length = rows_of(plan, party, name)
            if not isinstance(rows, range):
                rows = np.minimum(rows, MOST_WEIGHTS)
            if sample:
                draw = (name, int(sample[0]), int(sample[1]))
                if draw not in drawn:
                    continue
                weights = np.zeros(length, np.int64)
                weights[drawn[draw]] = Partition.of(rows, len(drawn[draw])).each
                rows = weights
            yield RowsOf(result, name, Partition.of(rows, length))


def drawn_anew(plan: Plan) -> frozenset[str]:
    """The results that depend on a random sample or on noise, whoever draws it: each session has other ones."""
    drawn: list[bool] = []
    for step in plan.steps:
        drawn.append(step.op in ("sample", "noisy") or any(drawn[i] for i in step.inputs))
    return frozenset(step.params["name"] for i, step in plan.of("reveal") if drawn[i])


def numbers_of(plan: Plan) -> Mapping[str, int]:
    """How many numbers each result holds."""
    return {step.params["name"]: plan.types[i].size for i, step in plan.of("reveal")}


def tables_of(plan: Plan, party: str) -> list[str]:
    """The tables of the party that a plan names."""
    own = (step.params for op in ("column", "count") for _, step in plan.of(op) if step.params["party"] == party)
    return sorted({params["table"] for params in own})


def rows_of(plan: Plan, party: str, name: str) -> int:
    """How many rows a plan was made for."""
    own = (step.params for op in ("column", "count") for _, step in plan.of(op) if step.params["party"] == party)
    return max(int(params["rows"]) for params in own if params["table"] == name)
