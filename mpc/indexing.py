"""Indexing and slicing with public positions, as plans say it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mpc.errors import ScriptError

__all__ = ["index_keys"]

_REMEDY = "Index one axis after the other."


def index_keys(shape: tuple[int, ...], items: Sequence[Any]) -> tuple[list[list[list[Any]]], list[int]]:
    """The keys of the `index` steps that index an array of this shape one after the other, and the shape that results.

    `items`: integers, slices, ..., None, and one list or array of positions. Raises ScriptError for anything else.
    """
    if sum(item is Ellipsis for item in items) > 1:
        raise ScriptError("an index holds `...` twice")
    wanted = sum(item is not None and item is not Ellipsis for item in items)
    if wanted > len(shape):
        raise ScriptError(f"{wanted} indices for a value with {len(shape)} axes")
    fill = [slice(None)] * (len(shape) - wanted)
    at = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    positions: list[list[Any]] = []
    kept: list[int] = []
    before: list[int] = []
    for item in [*items[:at], *fill, *items[at + 1 :]]:
        if item is None:
            kept.append(1)
            continue
        position, lengths = _position(item, shape[len(positions)])
        positions.append(position)
        kept.extend(lengths)
        if isinstance(position[0], list):
            before = kept[: -len(lengths)]
    lists = [i for i, position in enumerate(positions) if isinstance(position[0], list)]
    if len(lists) > 1:
        raise ScriptError("lists of positions on two axes at once", _REMEDY)
    if lists and before and _apart(items):
        raise ScriptError("a list of positions apart from an integer, where numpy puts its axis first", _REMEDY)
    if lists and any(len(position) == 1 for i, position in enumerate(positions) if i not in lists):
        whole: list[list[Any]] = [[0, length, 1] for length in shape]
        whole[lists[0]] = positions[lists[0]]
        positions[lists[0]] = [0, len(positions[lists[0]][0]), 1]
        return [whole, positions], kept
    return [positions], kept


def _apart(items: Sequence[Any]) -> bool:
    """Whether something stands between the integers and lists of an index."""
    picking = [i for i, item in enumerate(items) if not (item is None or item is Ellipsis or isinstance(item, slice))]
    return picking[-1] - picking[0] >= len(picking)


def _position(item: Any, length: int) -> tuple[list[Any], list[int]]:
    """One axis of an index, as the plan says it, and the lengths it leaves."""
    if isinstance(item, slice):
        start, stop, step = item.indices(length)
        count = len(range(start, stop, step))
        if count == 0:
            return [0, 0, 1], [0]
        return [start, stop, step], [count]
    if isinstance(item, int | np.integer) and not isinstance(item, bool):
        if not -length <= item < length:
            raise ScriptError(f"index {item} is outside an axis of length {length}")
        return [int(item) % length], []
    chosen = np.asarray(item)
    if chosen.dtype == np.bool_ and chosen.shape == (length,):
        chosen = np.flatnonzero(chosen)
    if chosen.ndim != 1 or (chosen.size and not np.issubdtype(chosen.dtype, np.integer)):
        raise ScriptError("an index must be an integer, a slice, `...`, None, or a list of positions")
    if chosen.size and not (chosen.min() >= -length and chosen.max() < length):
        raise ScriptError(f"a position is outside an axis of length {length}")
    return [[int(i) % length for i in chosen]], [chosen.size]
