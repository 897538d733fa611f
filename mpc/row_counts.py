"""How many rows there are, told with noise: never more than there are, as only rows that exist can take part.

Two-sided geometric noise (Ghosh, Roughgarden and Sundararajan, STOC 2009), moved down so far that it would
tell more than there are with a probability of about delta alone; then it tells what there is. Neighbours are a table,
and the same with up to `unit_rows` rows more.
"""

from __future__ import annotations

import math

from mpc.accounting import exactly
from mpc.noise import Law, Source, opendp, rounded_up

__all__ = ["count_law", "shift_of", "told"]


def count_law(epsilon: float, unit_rows: int) -> Law:
    """The noise on a number of rows of which up to so many are one unit's."""
    return Law("laplace", rounded_up(unit_rows / exactly(epsilon)))


def shift_of(law: Law, delta: float, unit_rows: int) -> int:
    """How far down: rows that are left out, on average.

    With Z of the law and a = exp(-1 / scale), P(Z > shift - unit_rows) = a^(shift - unit_rows + 1) / (1 + a). That is
    at most delta, and the only way in which a table can tell a number that it would never tell without these rows.
    One row more than that is for what the logarithms round.
    """
    least = -law.scale * (math.log(delta) + math.log1p(math.exp(-1 / law.scale)))
    return unit_rows + max(0, math.ceil(least))


def told(rows: int, epsilon: float, delta: float, unit_rows: int, source: Source = opendp) -> int:
    """From 0 to `rows`: under (epsilon, delta) differential privacy in up to `unit_rows` rows more or less."""
    law = count_law(epsilon, unit_rows)
    shift = shift_of(law, delta, unit_rows)
    (noise,) = source(law, 1)
    return max(0, rows - shift + min(noise, shift))
