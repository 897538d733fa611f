"""A party's noise for a session, drawn so that nobody can tell its size from the time that it took.

An exact sampler takes longer for some numbers than for others (Jin, McMurtry, Rubinstein and Ohrimenko, "Are We There
Yet? Timing and Floating-Point Attacks on Differential Privacy Systems", IEEE S&P 2022). So a party draws before it says
hello, and drawing takes a whole number of periods, each far longer than the samplers need.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from mpc.noise import Source, draw, opendp
from mpc.plan import Plan
from mpc.row_counts import told
from mpc.sensitivity import Table
from parties.terms import CountNoise
from protocols.ring import Array

__all__ = ["draw_unseen", "told_unseen"]

T = TypeVar("T")

_PERIOD_S = 0.1
_PERIOD_EACH_S = 2e-4
"""The samplers take about 1e-5 s for each number."""


def draw_unseen(
    plan: Plan, party: str, unit_rows: Mapping[Table, int], source: Source = opendp, colluding: int | None = None
) -> dict[int, Array]:
    """The party's noise for every noisy step of a plan, as `mpc.noise.draw` gives it, after whole periods of time."""
    numbers = sum(plan.types[i].size for i, _ in plan.of("noisy"))
    if not numbers:
        return {}
    return _unseen(numbers, lambda: draw(plan, party, unit_rows, source, colluding))


def told_unseen(rows: int, noise: CountNoise, unit_rows: int, source: Source = opendp) -> int:
    """A number of rows as `mpc.row_counts.told` gives it, after whole periods of time."""
    return _unseen(1, lambda: told(rows, noise.epsilon, noise.delta, unit_rows, source))


def _unseen(numbers: int, drawing: Callable[[], T]) -> T:
    period = _PERIOD_S + _PERIOD_EACH_S * numbers
    started = time.monotonic()
    noise = drawing()
    elapsed = time.monotonic() - started
    time.sleep(period * math.ceil(elapsed / period) - elapsed)
    return noise
