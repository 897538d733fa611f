"""Positive numbers brought into one octave: the place of the highest bit is found, and the number moved up by it.

y = fraction * 2^(octave + 1), fraction in [1/2, 1), as floating point has it; D. Bogdanov, R. Talviste, "High-performance
secure multi-party computation for data mining applications" (2012) and O. Catrina, A. Saxena, "Secure Computation with
Fixed-Point Numbers" (FC 2010), section 4, normalise for division. Here the highest bit is not looked for bit by bit: all
`y >= 2^k` come together, as products of inverted bits, and any function of the octave is a public combination of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise

import numpy as np

from mpc.circuits.builder import Bits, Ring
from mpc.circuits.fixed import Fixed
from mpc.types import RING_BITS
from protocols import ring
from protocols.bit_polynomials import BitPolynomials
from protocols.boolean import Polynomials
from protocols.primitives import packed_words
from protocols.ring import Array

__all__ = ["Normalised", "chosen", "normalised", "polynomials"]

_GUARD = 6
"""Bits below the lowest octave that are looked at."""

_FAN_IN = 4


@dataclass(frozen=True)
class Normalised:
    """Words of [2^first, 2^(last + 1)) as (3 + t) / 4 * 2^(octave + 1); t within [low, 1].

    `above`: whether the octave is at least first + 1, first + 2, ..., last. 0 has the octave -1, and any t.
    """

    t: Fixed
    low: Fraction
    first: int
    last: int
    above: Ring

    def table(self, function: Callable[[int], int]) -> Ring:
        """The function's value at each element's octave. No message."""
        return chosen(self.above, [function(octave) for octave in range(self.first, self.last + 1)])


def normalised(y: Ring, low: int, high: int, scale: int) -> Normalised:
    """Normalise words within [low, high], low at least 0, high below 2^62. t has `scale` fractional bits."""
    first, last = low.bit_length() - 1, high.bit_length() - 1
    above, exact = thermometer(y, low, high)
    raised = y * chosen(above, [1 << last - octave for octave in range(first, last + 1)])
    if not low:  # 0 becomes 1/2, as good as any
        raised = raised + chosen(above, [1 << last, *[0] * (last + 1)])
    fraction = Fixed(raised, last + 1, 1 << last + 1).at(scale + 2)
    t = Fixed(fraction.words - (3 << scale), scale, 9 << scale - 3)
    return Normalised(t, Fraction(-1 if exact else -33, 1 if exact else 32), first, last, above)


def thermometer(y: Ring, low: int, high: int) -> tuple[Ring, bool]:
    """Whether each element is at least 2^k, for all k with low < 2^k <= high, as words in planes: (planes, *shape).

    And whether that is exact: where low is large its highest bits alone are looked at, and what falls short of 2^k by
    less than 2^-6 of it may count as reaching it.
    """
    first, last = low.bit_length() - 1, high.bit_length() - 1
    dropped = first - _GUARD if first > _GUARD + 1 else 0
    bits = y.truncate(dropped).bits((-(-high >> dropped)).bit_length())
    # below 2^k: no bit from k on is set
    falling = list(range(bits.planes - 1, first - dropped, -1))
    below = prefix_products(picked(~bits, falling))
    rising = [falling.index(k - dropped) for k in range(first + 1, last + 1)]
    return (~picked(below, rising)).ring().reshape(last - first, *y.shape), not dropped


def chosen(above: Ring, values: Sequence[int]) -> Ring:
    """The value at the place that a thermometer shows: values[0] where nothing is reached. No message."""
    steps = [values[0], *(upper - lower for lower, upper in pairwise(values))]
    return above.local(partial(_stepped, _words(steps)), above.shape[1:])


def prefix_products(x: Bits) -> Bits:
    """Plane i is the product of planes 0 to i: one round up to four planes, two up to 16, three up to 64."""
    if x.planes == 1:
        return x
    runs = _within_groups(x)
    groups = -(-x.planes // _FAN_IN)
    if groups == 1:
        return runs
    joined, ends = runs, [_FAN_IN * (g + 1) - 1 for g in range(groups - 1)]
    before = [tuple(ends[:g]) for g in range(groups)]
    if groups > _FAN_IN:
        across = _within_groups(picked(runs, ends))
        joined = runs.local(lambda index, x, y: np.concatenate([x, y]), x.planes + across.planes, across)
        before = [tuple(x.planes + k for k in _runs_up_to(g)) for g in range(groups)]
    terms = tuple(((*before[i // _FAN_IN], i),) for i in range(x.planes))
    return polynomials(joined, terms)


def _within_groups(x: Bits) -> Bits:
    """Plane i is the product of the planes of its group up to i."""
    return polynomials(x, tuple((tuple(range(i - i % _FAN_IN, i + 1)),) for i in range(x.planes)))


def _runs_up_to(count: int) -> list[int]:
    """Which runs make up the first so many planes, where those up to each are in groups."""
    whole, rest = divmod(count, _FAN_IN)
    return [_FAN_IN * (g + 1) - 1 for g in range(whole)] + ([count - 1] if rest else [])


def polynomials(x: Bits, terms: tuple[tuple[tuple[int, ...], ...], ...]) -> Bits:
    """Sums of products of planes: one round."""
    primitive = BitPolynomials(x.size, Polynomials(x.planes, terms))
    words = packed_words(x.size)
    number = x.builder.primitive(primitive, (x.number,), (len(terms), words) if len(terms) > 1 else (words,))
    return Bits(x.builder, number, x.shape, len(terms))


def picked(x: Bits, planes: Sequence[int]) -> Bits:
    """Some planes, in this order."""
    if x.planes == 1:
        return x
    return x.local(lambda index, x: x[planes] if len(planes) > 1 else x[planes[0]], len(planes))


def _stepped(steps: Array, index: int, above: Array) -> Array:
    total = ring.matmul(steps[1:], above.reshape(len(above), -1)).reshape(above.shape[1:])
    return ring.add(total, steps[0], out=total) if index == 0 else total


def _words(values: Sequence[int]) -> Array:
    return np.array([value % (1 << RING_BITS) for value in values], np.uint64)
