"""Positive numbers brought into one octave, as floating point has them: the place of the highest bit, and the number
moved up by it.

As O. Catrina, A. Saxena, "Secure Computation with Fixed-Point Numbers" (FC 2010), do to divide: prefix products of the
inverted bits tell whether y >= 2^k, for all k at once. Any function of the octave is a public combination of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from mpc.circuits.builder import Ring
from mpc.circuits.fixed import Fixed
from mpc.circuits.planes import picked, prefix_products, weighted

__all__ = ["Normalised", "normalised"]

_GUARD = 8
"""Bits below the lowest octave that are looked at."""


@dataclass(frozen=True)
class Normalised:
    """Words of [2^first, 2^(last + 1)) as (3 + t) / 4 * 2^(octave + 1); t within [low, 1].

    `above`: whether the octave is at least first + 1, first + 2, ..., last. `power`: 2^(last - octave). 0 has the
    octave -1, and any t.
    """

    t: Fixed
    low: Fraction
    first: int
    last: int
    above: Ring
    power: Ring

    def table(self, function: Callable[[int], int]) -> Ring:
        """The function's value at each element's octave. No message."""
        return _chosen(self.above, [function(octave) for octave in range(self.first, self.last + 1)])


def normalised(y: Ring, low: int, high: int, scale: int) -> Normalised:
    """Normalise words within [low, high], low at least 0, high below 2^62. t has `scale` fractional bits."""
    first, last = low.bit_length() - 1, high.bit_length() - 1
    above, exact = _thermometer(y, low, high)
    power = _chosen(above, [1 << last - octave for octave in range(first, last + 1)])
    raised = y * power
    if not low:  # 0 becomes 1/2, as good as any
        raised = raised + _chosen(above, [1 << last, *[0] * (last + 1)])
    fraction = Fixed(raised, last + 1, 1 << last + 1).at(scale + 2)
    t = Fixed(fraction.words - (3 << scale), scale, 9 << scale - 3)
    return Normalised(t, Fraction(-1 if exact else -129, 1 if exact else 128), first, last, above, power)


def _thermometer(y: Ring, low: int, high: int) -> tuple[Ring, bool]:
    """Whether each element is at least 2^k, for all k with low < 2^k <= high, as words in planes: (planes, *shape).

    And whether that is exact: where low is large its highest bits alone are looked at, and what falls short of 2^k by
    less than 2^-8 of it may count as reaching it.
    """
    first, last = low.bit_length() - 1, high.bit_length() - 1
    dropped = first - _GUARD if first > _GUARD + 1 else 0
    bits = y.truncate(dropped).bits((-(-high >> dropped)).bit_length())
    # below 2^k: no bit from k on is set
    falling = list(range(bits.planes - 1, first - dropped, -1))
    below = prefix_products(picked(~bits, falling))
    rising = [falling.index(k - dropped) for k in range(first + 1, last + 1)]
    return (~picked(below, rising)).ring().reshape(last - first, *y.shape), not dropped


def _chosen(above: Ring, values: Sequence[int]) -> Ring:
    """The value at the place that a thermometer shows: values[0] where nothing is reached. No message."""
    (found,) = weighted(above, [*(upper - lower for lower, upper in pairwise(values)), values[0]])
    return found
