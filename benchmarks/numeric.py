"""The numeric suite between two real nodes: comparisons, rounded products, order, division, logistic regression."""

from __future__ import annotations

from typing import Any

import numpy as np

import mpc
from benchmarks.consortium import running

__all__ = ["less", "measure"]

Row = dict[str, Any]

ROWS, FEATURES = 1000, 20
_TERMS = "row_conditions = true\nmin_rows = 1"


def _columns(data):  # type: ignore[no-untyped-def]
    return data.party("bank")["t"]["x"], data.party("insurer")["t"]["x"]


@mpc.computation
def less(data):  # type: ignore[no-untyped-def]
    """Elementwise x < y, revealed."""
    x, y = _columns(data)
    return x < y


@mpc.computation
def multiply(data):  # type: ignore[no-untyped-def]
    """Elementwise x * y of shared values, rounded back to the factors' accuracy, revealed."""
    x, y = _columns(data)
    total, difference = x + y, x - y
    return total * difference * total


@mpc.computation
def divide(data):  # type: ignore[no-untyped-def]
    """Elementwise quotient by a secret in [1, 3], revealed."""
    x, y = _columns(data)
    return x / (y + 2)


@mpc.computation
def order(data):  # type: ignore[no-untyped-def]
    """The sorted values of both."""
    x, _ = _columns(data)
    return mpc.sort(mpc.concat([x, data.party("insurer")["t"]["x"]]))


@mpc.computation
def median(data):  # type: ignore[no-untyped-def]
    """The joint median."""
    return mpc.median(data.table("t")["x"])


@mpc.computation
def gradient_steps(data):  # type: ignore[no-untyped-def]
    """Ten full-batch gradient steps of a logistic regression; features with one party, labels with the other."""
    features, labels = _labelled(data)
    weights = features.T @ (labels - 0.5) * (0.5 / ROWS)
    for _ in range(9):
        weights = weights + features.T @ (labels - mpc.sigmoid(features @ weights)) * (0.5 / ROWS)
    return weights


@mpc.computation
def logistic(data):  # type: ignore[no-untyped-def]
    """The same model by `mpc.linear_model`, whose steps are right to six digits."""
    features, labels = _labelled(data)
    model = mpc.linear_model.LogisticRegression(penalty=None, solver="gradient", max_iter=10, fit_intercept=False)
    return model.fit(features, labels).coef_


def _labelled(data):  # type: ignore[no-untyped-def]
    return data.party("bank")["f"][[f"x{i}" for i in range(FEATURES)]], data.party("insurer")["f"]["y"] > 0


def measure(repetitions: int = 5) -> list[Row]:
    """One row for every workload and size: seconds are medians of warm runs, bytes are what one party sends."""
    rows = []
    for computation, sizes in (
        (less, [10**5, 10**6]),
        (multiply, [10**6]),
        (divide, [10**5]),
        (order, [10**4, 10**5]),
        (median, [10**5]),
    ):
        for n in sizes:
            held = n if computation not in (order, median) else n // 2
            with running({"bank": {"t": (held, "x")}, "insurer": {"t": (held, "x")}}, _TERMS) as consortium:
                rows.append(_row(f"{computation.name}, n = {n:,}", consortium.analyst, computation, repetitions))
    features = ",".join(f"x{i}" for i in range(FEATURES))
    with running({"bank": {"f": (ROWS, features)}, "insurer": {"f": (ROWS, "y")}}, _TERMS) as consortium:
        for computation in (gradient_steps, logistic):
            what = f"{computation.name}, {ROWS} x {FEATURES}, 10 steps"
            rows.append(_row(what, consortium.analyst, computation, repetitions))
    return rows


def _row(what: str, analyst: Any, computation: Any, repetitions: int) -> Row:
    analyst.run(computation)
    results = [analyst.run(computation) for _ in range(repetitions)]
    return {
        "what": what,
        "online_s": float(np.median([result.timings.online for result in results])),
        "offline_s": float(np.median([result.timings.offline for result in results])),
        "rounds": results[0].traffic.rounds,
        "mb_a_party": max(results[0].traffic.bytes_sent.values()) / 1e6,
    }
