"""Put moments together: of several owners' rows, from what each computes of its own.

Over rows in parts, each with its count and mean (T. Chan, G. Golub, R. LeVeque, "Updating Formulae and a Pairwise
Algorithm for Computing Sample Variances", 1979): the parts' own moments, and the products of the differences of their
means. Means of parts are close to each other, so little is lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

from mpc.plan import Step
from mpc.trace import Trace

__all__ = ["combine_moments"]

_SCALE = 52

_SLIGHT = Fraction(1, 1 << 50)
"""A part with so small a share in the range, as where a party's column is constant, adds nothing of its own."""


def combine_moments(trace: Trace, origin: str, xs: Sequence[int], ys: Sequence[int]) -> int:
    """The comoment of columns whose rows are in parts: xs of x, ys of y; the deviations of x where ys is empty."""

    def add(op: str, *inputs: int, **params: object) -> int:
        return trace.append(Step(op, inputs, params), origin)

    def difference(parts: Sequence[int], i: int, j: int) -> int:
        """Of two parts' means, times the root of the weight that its square has; their owners multiply."""
        weight = trace.constant(math.sqrt(counts[i] * counts[j] / rows))
        about = float(sum(range_of(parts))) / 2
        means = (add("mean", parts[part], about=about, scale=_SCALE) for part in (i, j))
        return add("subtract", *(add("multiply", mean, weight) for mean in means))

    def range_of(parts: Sequence[int]) -> tuple[Fraction, Fraction]:
        types = [trace.types[x] for x in parts]
        return (
            min(Fraction(type_.low, type_.domain.denominator) for type_ in types),
            max(Fraction(type_.high, type_.domain.denominator) for type_ in types),
        )

    def area(xs: Sequence[int], ys: Sequence[int]) -> Fraction:
        """Of the rectangle that holds all x and y."""
        (left, right), (low, high) = range_of(xs), range_of(ys)
        return (right - left) * (high - low)

    counts = [trace.types[x].shape[0] for x in xs]
    rows = sum(counts)
    least = area(xs, ys or xs) * _SLIGHT
    terms = [
        add("comoment", x, y, scale=_SCALE) if ys else add("deviations", x, scale=_SCALE)
        for x, y in zip(xs, ys or xs, strict=True)
        if area([x], [y]) >= least
    ]
    for i, j in combinations(range(len(xs)), 2):
        x = difference(xs, i, j)
        y = difference(ys, i, j) if ys else x
        if ys and trace.types[x].shape and trace.types[y].shape:
            x = add("reshape", x, shape=[*trace.types[x].shape, 1])
        terms.append(add("multiply", x, y))
    total = terms[0]
    for term in terms[1:]:
        total = add("add", total, term)
    return total
