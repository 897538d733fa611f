"""Survival over public time bins: every owner counts its own rows, only counts are shared.

E. L. Kaplan, P. Meier, "Nonparametric Estimation from Incomplete Observations" (JASA, 1958); N. Mantel, "Evaluation of
survival data and two new rank order statistics arising in its consideration" (Cancer Chemotherapy Reports, 1966).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mpc.errors import ScriptError
from mpc.functions import maximum, stack
from mpc.stats.columns import secret
from mpc.stats.moments import flagged
from mpc.values import Value, record

__all__ = ["LogRank", "Survival", "kaplan_meier", "logrank"]

_BITS = 40
"""Behind the point, of survival: the planner may choose others."""

_LEAST = 2.0**-12
"""Of a variance: what is below counts as none."""

_MOST = 1000
"""Of the root of a chi-square statistic."""

_FUNCTION = {"scale": 104, "precision": 32}


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
    """The Kaplan-Meier estimate after each bin.

    `time`: each row's last bin. `event`: 1 where the event happened then, 0 where the row was lost from sight. `bins`:
    public and increasing. The order of events and losses within a bin is the usual one: losses come after.
    """
    events, at_risk = _counted(time, event, bins)
    share = 1 - record("quotient", events, maximum(at_risk, 1), **_FUNCTION).clip(0, 1)
    survival = [share[0]]
    for i in range(1, len(bins)):
        survival.append(record("multiply_rounded", survival[-1], share[i], scale=_BITS).clip(0, 1))
    return Survival(stack(survival), at_risk, events)


def logrank(time: Value, event: Value, group: Value, bins: Sequence[int]) -> LogRank:
    """Whether two groups survive alike. `group`: 1 for rows of the first group, 0 for the others.

    Undefined where the groups cannot be told apart: no events, or nobody at risk in one of them.
    """
    group = secret(group, "logrank")
    events, at_risk = _counted(time, event, bins)
    own_events, own_at_risk = _counted(time, event, bins, group)
    share = record("quotient", own_at_risk, maximum(at_risk, 1), **_FUNCTION).clip(0, 1)
    expected = (events * share).sum()
    remaining = record("quotient", at_risk - events, maximum(at_risk - 1, 1), **_FUNCTION).clip(0, 1)
    variance = (events * (share * (1 - share)) * remaining).sum()
    observed = own_events.sum()
    # the range of a root of chi-square is cut to what could matter, so that its square keeps its digits
    root = ((observed - expected) * record("rsqrt", maximum(variance, _LEAST), **_FUNCTION)).clip(-_MOST, _MOST)
    return LogRank(flagged(root * root, variance >= _LEAST), observed, expected)


def _counted(time: Value, event: Value, bins: Sequence[int], group: Value | None = None) -> tuple[Value, Value]:
    """For each bin: events, and rows at risk; of a group, or of all."""
    time, event = secret(time, "survival"), secret(event, "survival")
    if list(bins) != sorted(set(bins)) or not len(bins):
        raise ScriptError("survival: the bins are not one or more increasing numbers", "Write bins=range(1, 61).")
    counts = []
    for t in bins:
        happened, there = (time == t) * event, (time >= t) * 1
        if group is not None:
            happened, there = happened * group, there * group
        counts.append((happened.sum(), there.sum()))
    return stack([events for events, _ in counts]), stack([there for _, there in counts])
