"""How many rows of a party does each revealed number aggregate?

Two rows are alike in a number when it stays the same if they change places, in all tables at once. A number aggregates
k rows when every row that it depends on is one of at least k that are alike: a sum or a mean over n rows, a dot product
of two columns and a covariance aggregate n. A row that is picked out, weighted otherwise than the others, or left
behind when one sum is subtracted from another stands alone, however many are added to it; and so do all rows under
weights that all differ, for from a sum under well-chosen weights its terms can be told again. Weights that stand in the
plan count. Weights that are some party's data are not known to who reads the result.

Judged step by step, by which rows are alike in every value (`mpc/alike.py`). Where this cannot follow, the rows
concerned stand alone: a count may be too small, never too large. Differences between results are not looked at here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mpc.alike import Alike, Axis, Known, Table
from mpc.errors import PlanError
from mpc.operations import Circuit, Params
from mpc.operations.inputs import constant_values
from mpc.plan import Plan

__all__ = ["RowSet", "aggregates", "cohorts", "rows_alike", "rows_used"]

RowSet = range | NDArray[np.bool_]
"""Rows of a table: their numbers, or a truth value for each."""


def cohorts(plan: Plan, party: str) -> Mapping[str, int]:
    """For every result that depends on the party's data: the fewest rows of that party that one of its numbers
    aggregates.

    Raises PlanError for a plan that is too large to judge.
    """
    rows = _rows_behind(plan, party)
    return {step.params["name"]: count for i, step in plan.of("reveal") if (count := rows[i]) is not None}


def aggregates(plan: Plan, party: str, least: int) -> frozenset[int]:
    """The steps of which no number depends on fewer than `least` rows of the party's. Raises PlanError as `cohorts`."""
    rows = _rows_behind(plan, party)
    return frozenset(i for i, count in enumerate(rows) if count is None or count >= least)


def rows_used(plan: Plan, party: str) -> Mapping[str, Mapping[str, RowSet]]:
    """For every result: which rows of the party's tables it depends on, other than under noise; by table.

    A sample is a table by itself, called "<table> <size> <draw>". Raises PlanError as `cohorts`.
    """
    return {
        name: {table: rows if isinstance(rows, range) else rows > 0 for table, rows in tables.items()}
        for name, tables in rows_alike(plan, party).items()
    }


def rows_alike(plan: Plan, party: str) -> Mapping[str, Mapping[str, range | NDArray[np.int64]]]:
    """The same, but by how rows weigh: those that are alike in all numbers of a result have the same number above 0.

    0: a row that is not used. A range: only these rows are used, and they are all alike. Raises PlanError as `cohorts`.
    """
    alike, known = _followed(plan)
    found: dict[str, Mapping[str, range | NDArray[np.int64]]] = {}
    for i, step in plan.of("reveal"):
        sums = alike.summed(known[i], range(len(plan.types[i].shape))).summed
        found[step.params["name"]] = {table: rows for (owner, table), rows in sums.items() if owner == party}
    return found


def _rows_behind(plan: Plan, party: str) -> list[int | None]:
    """For every step, the fewest rows that one of its numbers aggregates; None where it depends on none."""
    _, known = _followed(plan)
    counts = (_counts(each, party) if type_.size else () for each, type_ in zip(known, plan.types, strict=True))
    return [min(each, default=None) for each in counts]


def _counts(known: Known, party: str) -> Iterator[int]:
    yield from (1 for axis in known.axes for table in axis.rows if table[0] == party)
    for table, rows in known.summed.items():
        if table[0] == party:
            sizes = np.array([len(rows)]) if isinstance(rows, range) else np.bincount(rows)[1:]
            yield from (int(size) for size in np.unique(sizes[sizes > 0])[:1])


def _followed(plan: Plan) -> tuple[Alike, list[Known]]:
    """What is known of every step's value."""
    lengths: dict[Table, int] = {}
    for step in plan.steps:
        if step.op in ("column", "count"):
            table = (step.params["party"], step.params["table"])
            lengths[table] = max(lengths.get(table, 0), step.params["rows"])
        elif step.op == "sample":
            lengths[_sample(step.params)] = step.params["size"]
    alike = Alike(lengths)
    known: list[Known] = []
    for i, step in enumerate(plan.steps):
        known.append(_step(alike, plan, i, [known[j] for j in step.inputs]))
    return alike, known


def _step(alike: Alike, plan: Plan, i: int, inputs: Sequence[Known]) -> Known:
    """What is known of a step's value."""
    step = plan.steps[i]
    shapes = [plan.types[j].shape for j in step.inputs]
    params = step.params
    if step.operation.elementwise:
        return inputs[0] if len(inputs) == 1 else alike.together(inputs, shapes, plan.types[i].shape)
    match step.op:
        case "column":
            return Known((Axis({(params["party"], params["table"]): range(params["rows"])}),))
        case "sample":  # which rows of the table these are, nobody knows
            return Known((Axis({_sample(params): range(params["size"])}),))
        case "count":
            return Known((), {(params["party"], params["table"]): range(params["rows"])})
        case "constant":
            return Known(tuple(alike.slices(constant_values(params))))
        case "noisy":  # the noise answers for every row
            return Known((Axis(),) * len(shapes[0]))
        case "matmul" | "matmul_rounded":
            return alike.matmul(inputs, shapes)
        case "mean" | "deviations":
            return alike.summed(inputs[0], [0])
        case "comoment":
            turned = Known(inputs[0].axes[::-1], inputs[0].summed)
            return alike.matmul([turned, inputs[1]], [shapes[0][::-1], shapes[1]])
        case "sum":
            return alike.summed(inputs[0], params["axes"])
        case "min" | "max":
            return alike.summed(inputs[0], [params["axis"]])
        case "argmin" | "argmax":
            return alike.summed(alike.numbered(inputs[0], params["axis"], shapes[0]), [params["axis"]])
        case "sort":  # whatever order the rows come in
            return alike.numbered(alike.summed(inputs[0], [params["axis"]], keep=True), params["axis"], shapes[0])
        case "argsort" | "cumsum":
            numbered = alike.numbered(inputs[0], params["axis"], shapes[0])
            return alike.numbered(alike.summed(numbered, [params["axis"]], keep=True), params["axis"], shapes[0])
        case "quantile":
            axis = len(shapes[1])
            of_sorted = alike.summed(alike.numbered(inputs[0], axis, shapes[0]), [axis])
            return alike.together([of_sorted, inputs[1]], [shapes[1]] * 2, shapes[1])
        case "transpose":
            return Known(tuple(inputs[0].axes[axis] for axis in params["axes"]), inputs[0].summed)
        case "index":
            return alike.index(inputs[0], params["key"])
        case "reshape":
            return alike.reshape(inputs[0], shapes[0], tuple(params["shape"]))
        case "concat":
            return alike.concat(inputs, shapes, params["axis"])
        case "stack":
            longer = [(*shape[: params["axis"]], 1, *shape[params["axis"] :]) for shape in shapes]
            parts = [alike.reshape(x, shape, into) for x, shape, into in zip(inputs, shapes, longer, strict=True)]
            return alike.concat(parts, longer, params["axis"])
    if isinstance(step.operation, Circuit):
        return alike.function(inputs, shapes, plan.types[i].shape)
    raise PlanError(f"{plan.where(i)}: what {step.op} discloses is not known")


def _sample(params: Params) -> Table:
    """The table that a sample is for itself: no table's name has a space."""
    return params["party"], f"{params['table']} {params['size']} {params['draw']}"
