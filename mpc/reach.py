"""What one row of a table does to a value: how many elements it reaches, and how far it moves them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mpc.types import Shape, Type

__all__ = ["Reach", "both", "broadcast", "cumulated", "digest", "extreme", "joined", "ordered", "rescaled", "summed"]


@dataclass(frozen=True)
class Reach:
    """What one row of a table does to a value: it moves at most `altered` elements, none by more than `change`, all
    together by no more than `total`.

    With an `axis`, rows lie along it, each at no more than `repeats` positions; in values of equal `order`, a row is at
    the same positions.
    """

    change: int
    total: int
    altered: int
    axis: int | None = None
    repeats: int = 1
    order: bytes = b""

    def times(self, factor: int) -> Reach:
        """Of a value so many times as large."""
        return replace(self, change=self.change * factor, total=self.total * factor)

    def within(self, type_: Type) -> Reach:
        """No element moves further than its range is wide, and there are only so many of them."""
        change, altered = min(self.change, type_.high - type_.low), min(self.altered, type_.size)
        return replace(self, change=change, altered=altered, total=min(self.total, change * altered))

    def anywhere(self, type_: Type) -> Reach:
        """Of a value that is computed element by element, but not known how."""
        width = type_.high - type_.low
        return replace(self, change=width, total=width * self.altered)

    def along(self, axis: int, shape: Shape) -> Reach:
        """With rows along an axis of a value."""
        altered = self.repeats * math.prod(shape) // max(shape[axis], 1)
        return replace(self, axis=axis, altered=altered)


def rescaled(x: Reach, exact: int, kept: int, error: int) -> Reach:
    """Of a value with another denominator, off by so much at most, with the row and without."""
    off = 2 * error
    return replace(x, change=-(-x.change * kept // exact) + off, total=-(-x.total * kept // exact) + off * x.altered)


def broadcast(x: Reach, shape: Shape, out: Shape) -> Reach:
    """Of a value that is broadcast."""
    new, copies = len(out) - len(shape), math.prod(out) // max(math.prod(shape), 1)
    wide = replace(x, total=x.total * copies, altered=x.altered * copies)
    if x.axis is not None and shape[x.axis] == out[new + x.axis]:
        return wide.along(new + x.axis, out)
    return replace(wide, axis=None)


def both(x: Reach, y: Reach, shape: Shape) -> Reach:
    """Of two values of one shape, added."""
    sum_ = Reach(x.change + y.change, x.total + y.total, x.altered + y.altered)
    if x.axis is None or x.axis != y.axis:
        return sum_
    if x.order == y.order:
        return replace(sum_, repeats=max(x.repeats, y.repeats), order=x.order).along(x.axis, shape)
    return replace(sum_, repeats=x.repeats + y.repeats, order=digest(x.order, y.order)).along(x.axis, shape)


def joined(parts: Mapping[int, Reach], shape: Shape, axis: int) -> Reach:
    """Of values side by side along an axis, each from a position on."""
    reaches = list(parts.values())
    change, total = max(x.change for x in reaches), sum(x.total for x in reaches)
    joined = Reach(change, total, sum(x.altered for x in reaches))
    (along, order), *others = {(x.axis, x.order) for x in reaches}
    if all(x.axis == axis for x in reaches):
        order = digest(*(b"%d " % start + x.order for start, x in parts.items()))
        return replace(joined, repeats=sum(x.repeats for x in reaches), order=order).along(axis, shape)
    if along is not None and not others:
        return replace(joined, repeats=max(x.repeats for x in reaches), order=order).along(along, shape)
    return joined


def summed(x: Reach, shape: Shape, axes: Sequence[int]) -> Reach:
    """Of a value summed over some axes. A sum moves by no more than its terms do together."""
    terms = math.prod(shape[axis] for axis in axes)
    kept = tuple(length for axis, length in enumerate(shape) if axis not in axes)
    if x.axis is None or x.axis in axes:
        length = 1 if x.axis is None else max(shape[x.axis], 1)
        change = min(x.total, x.change * x.repeats * terms // length)
        return Reach(change, x.total, min(x.altered, math.prod(kept)))
    change = min(x.total, x.change * terms)
    return replace(x, change=change).along(x.axis - sum(axis < x.axis for axis in axes), kept)


def extreme(x: Reach, shape: Shape, axis: int) -> Reach:
    """Of the largest or smallest along an axis: none moves further than one of the elements."""
    return replace(summed(x, shape, [axis]), change=x.change)


def cumulated(x: Reach, shape: Shape, axis: int) -> Reach:
    """Of the sums up to each element along an axis."""
    length = shape[axis]
    wide = replace(x, change=min(x.total, x.change * length), total=x.total * length, altered=x.altered * length)
    return replace(wide, axis=None) if x.axis == axis else wide


def ordered(x: Reach, shape: Shape, axis: int) -> Reach:
    """Of a value sorted along an axis: together they move no further than unsorted, but any of them may."""
    wide = replace(x, altered=x.altered * shape[axis])
    return replace(wide, axis=None) if x.axis == axis else wide


def digest(*orders: bytes) -> bytes:
    """An order that follows from others."""
    return hashlib.sha256(b"".join(hashlib.sha256(order).digest() for order in orders)).digest()
