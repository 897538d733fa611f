"""The logistic function: around every whole number a polynomial of its own, chosen by the bits of the number.

In pieces, as by P. Mohassel, Y. Zhang, "SecureML" (S&P 2017), who take three lines: here in enough to be accurate. The
argument is rounded to a whole number n either way; n's bits choose the coefficients of sigmoid(n + t), t
within (-1, 1), while the powers of t are computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import zip_longest

from mpc.circuits.approximation import Curve, polynomial
from mpc.circuits.builder import Ring
from mpc.circuits.fixed import Fixed, inner, nearest, split
from mpc.circuits.narrow import APPROXIMATION, on_narrow, point_scale, result_scale
from mpc.circuits.planes import beside, picked, polynomials, prefix_products, weighted
from mpc.circuits.polynomials import blocks, joined, powers

__all__ = ["sigmoid"]

_NARROW = 3
"""Ranges that are no wider are narrow."""


def sigmoid(x: Ring, low: int, high: int, unit: Fraction, precision: int, wanted: int) -> Fixed:
    """sigmoid(x unit), for words within [low, high], and as far off as `approximated` says, by 2^-precision."""
    if (high - low) * unit <= _NARROW:
        return on_narrow("sigmoid", x, low, high, unit, Fraction(1), precision, wanted)
    reach = _reach(precision)
    if high * unit <= -reach or low * unit >= reach:
        return Fixed(x * 0 + int(low > 0), 0, 1)
    whole, t = split(Fixed(x, 0, max(abs(low), abs(high))), unit, point_scale(precision))
    least, most = math.floor(low * unit) - 1, math.ceil(high * unit) + 1
    first = max(least, -reach)
    last = min(most, first + (1 << (reach - first).bit_length()) - 1)
    end, error = Fraction(t.bound, 1 << t.scale), APPROXIMATION / (1 << precision)
    pieces = [
        polynomial(Curve("sigmoid", Fraction(n), Fraction(1), -end, end), error) or () for n in range(first, last + 1)
    ]
    columns = list(zip_longest(*pieces, fillvalue=Fraction(0)))
    columns += [(Fraction(0),) * len(pieces)] * (2 - len(columns))
    place = _Place(whole.words - first, least - first, most - first, last - first)
    known = powers(t, min(len(columns) - 1, 4))
    scale = result_scale(precision, wanted)
    if scale < wanted <= t.scale:  # as fine as the constants are, for there is nothing to round in the end
        scale = wanted
    starts = [start for start, _ in blocks(len(columns))]
    coefficients = place.chosen(columns, [scale if k in starts else t.scale for k in range(len(columns))])
    parts = [
        coefficients[start] + inner(list(zip(coefficients[start + 1 : stop], known, strict=False)), scale)
        for start, stop in blocks(len(columns))
    ]
    return joined(parts, known[-1])


def _reach(precision: int) -> int:
    """From where on the function is 0 or 1 but for half of 2^-precision: a whole number above (precision + 1) log 2."""
    return -(-7 * (precision + 1) // 10)


class _Place:
    """Which of the places 0, ..., last words are at, words from `least` to `most`; below is no place, nor is above."""

    def __init__(self, x: Ring, least: int, most: int, last: int) -> None:
        index = last.bit_length()
        bits = x.bits(max(most.bit_length(), (~least).bit_length() if least < 0 else 0) + (least < 0))
        self._covering = bits.planes == index
        if self._covering:
            places = polynomials(bits, _places(index, last, ()))
        else:
            outside = prefix_products(picked(~bits, range(index, bits.planes)))
            inside = picked(outside, [outside.planes - 1])
            places = polynomials(beside(picked(bits, range(index)), inside), _places(index, last, (index,)))
            # not inside and not negative
            above = ~(inside ^ picked(bits, [bits.planes - 1])) if least < 0 else ~inside
            places = beside(places, above)
        self._at = places.ring().reshape(places.planes, *x.shape)

    def chosen(self, columns: Sequence[Sequence[Fraction]], scales: Sequence[int]) -> list[Fixed]:
        """For each column the value of each word's place; below it is 0, and above, but 1 in the first. No message."""
        units = [
            [nearest(number * (1 << scale)) for number in column] for column, scale in zip(columns, scales, strict=True)
        ]
        if self._covering:  # the place 0 is where no other is
            rows = [[*(number - first for number in others), first] for first, *others in units]
        else:
            rows = [[*column, 1 << scales[0] if number == 0 else 0, 0] for number, column in enumerate(units)]
        bounds = [max(map(abs, (*column, 1 << scales[0] if number == 0 else 0))) for number, column in enumerate(units)]
        chosen = zip(weighted(self._at, *rows), scales, bounds, strict=True)
        return [Fixed(words, scale, bound) for words, scale, bound in chosen]


@cache
def _places(index: int, last: int, inside: tuple[int, ...]) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """For each place the products of bits that add up to whether all bits are as in its number: those of more bits too.

    Without `inside`, a bit that is multiplied as well, the place 0 is left out.
    """
    return tuple(
        tuple(
            (*(b for b in range(index) if more >> b & 1), *inside)
            for more in range(1 << index)
            if more & place == place
        )
        for place in range(0 if inside else 1, last + 1)
    )
