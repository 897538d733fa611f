"""Survival over public time bins: every owner counts its own rows, only counts are shared.

E. L. Kaplan, P. Meier, "Nonparametric Estimation from Incomplete Observations" (JASA, 1958); N. Mantel, "Evaluation of
survival data and two new rank order statistics arising in its consideration" (Cancer Chemotherapy Reports, 1966).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mpc.errors import ScriptError
from mpc.functions import concat, maximum, stack
from mpc.stats.columns import secret
from mpc.stats.moments import flagged
from mpc.stats.precise import function, product
from mpc.values import Value, record

__all__ = ["LogRank", "Survival", "kaplan_meier", "logrank"]

_BITS = 52
"""Behind the point, of survival: the planner may choose others."""

_LEAST_VARIANCE = 2.0**-12
"""Of a group's events: below, the groups cannot be told apart."""


class Survival(NamedTuple):
    """For each bin: the share that survives it, how many were at risk in it, how many events it had."""

    survival: Value
    at_risk: Value
    events: Value


class LogRank(NamedTuple):
    """A chi-square statistic with one degree of freedom, and the first group's observed and expected events."""

    statistic: Value
    observed: Value
    expected: Value


def kaplan_meier(time: Value, event: Value, bins: Sequence[int]) -> Survival:
    """The Kaplan-Meier estimate after each bin, right to 9 digits behind the point.

    `time`: each row's last bin. `event`: 1 where the event happened then, 0 where the row was lost from sight. `bins`:
    public and increasing. Of events and losses in one bin the losses count as later. Where nobody is at risk any more,
    survival stays as it was.
    """
    events, at_risk = _counted(time, event, bins)
    survival = 1 - function("quotient", events, maximum(at_risk, 1)).clip(0, 1)
    # products of all bins up to each, doubling how many they span
    span = 1
    while span < len(bins):
        product = record("multiply_rounded", survival[span:], survival[:-span], scale=_BITS)
        survival = concat([survival[:span], product])
        span *= 2
    return Survival(survival, at_risk, events)


def logrank(time: Value, event: Value, group: Value, bins: Sequence[int]) -> LogRank:
    """Whether two groups survive alike. `group`: 1 for rows of the first group, 0 for the others.

    As statsmodels.duration.survfunc.survdiff, right to 6 digits. Undefined where the groups cannot be told apart: no
    events, or nobody at risk in one of them.
    """
    group = secret(group, "logrank: group")
    events, at_risk = _counted(time, event, bins)
    own_events, own_at_risk = _counted(time, event, bins, group)
    share = function("quotient", own_at_risk, maximum(at_risk, 1)).clip(0, 1)
    remaining = function("quotient", at_risk - events, maximum(at_risk - 1, 1)).clip(0, 1)
    digits = 56 - len(bins).bit_length()
    expected = product(events, share, digits).sum()
    variance = product(product(share, 1 - share), product(events, remaining), digits).sum()
    observed = own_events.sum()
    root = function("rsqrt", maximum(variance, _LEAST_VARIANCE))
    difference = product(observed - expected, root)
    return LogRank(flagged(product(difference, difference, 61), variance >= _LEAST_VARIANCE), observed, expected)


def _counted(time: Value, event: Value, bins: Sequence[int], group: Value | None = None) -> tuple[Value, Value]:
    """For each bin: events, and rows at risk; of a group, or of all."""
    time, event = secret(time, "survival: time"), secret(event, "survival: event")
    if not len(bins) or list(bins) != sorted(set(bins)):
        raise ScriptError("survival: the bins are not one or more increasing numbers", "Write bins=range(1, 61).")
    for value, name in ((event, "event"), (group, "group")):
        if value is not None and not (value.type.low >= 0 and value.type.high <= value.type.domain.denominator):
            raise ScriptError(f"survival: {name} is neither 0 nor 1 by its range", "Compare: x == 1.")
    happened, there = (stack(rows, axis=1) for rows in ([time == t for t in bins], [time >= t for t in bins]))
    if group is None:
        return happened.T @ event, there.sum(axis=0)
    return happened.T @ (event * group), there.T @ group
