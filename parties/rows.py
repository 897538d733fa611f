"""Sets of rows, remembered in little room: enough to tell whether two of them differ by few rows.

Every row has a hash of its values; a set's sketch has cells, each the sum modulo 2^64 of the hashes of the rows that
fall into it. Rows that are in one set and not in the other change one cell each, so sets whose sketches differ in k
cells differ by k rows at least; sets that differ by few rows never differ in many cells. Rows that hold the same count
one by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["cells_for", "differing_cells", "row_hashes", "sketch"]

Words = NDArray[np.uint64]

_CELLS_A_ROW = 16
_FEWEST_CELLS = 1 << 10
_MOST_CELLS = 1 << 20
_BLOCK = 1 << 20
_ODD = np.uint64(0x9E3779B97F4A7C15)


def row_hashes(columns: Mapping[str, NDArray[np.int64] | NDArray[np.float64]]) -> Words:
    """A 64-bit hash of every row: of its values and the names of the columns. Their order does not matter."""
    hashes = np.zeros(len(next(iter(columns.values()))), np.uint64)
    for name in sorted(columns):
        key = np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
        for start in range(0, hashes.size, _BLOCK):
            block = columns[name][start : start + _BLOCK]
            words = (block + 0.0 if block.dtype == np.float64 else block).view(np.uint64)  # -0.0 is 0.0
            hashes[start : start + _BLOCK] = _mixed(_mixed(hashes[start : start + _BLOCK] ^ key) ^ words)
    return hashes


def cells_for(rows: int) -> int:
    """So many cells that sets which differ by more than this many rows differ in more cells, as a rule."""
    wanted = min(max(_CELLS_A_ROW * rows, _FEWEST_CELLS), _MOST_CELLS)
    return 1 << (wanted - 1).bit_length()


def sketch(hashes: Words, cells: int) -> Words:
    """The sketch of the rows with these hashes. `cells`: a power of 2."""
    sums = np.zeros(cells, np.uint64)
    apart = _apart(hashes)
    np.add.at(sums, (apart >> np.uint64(32)).astype(np.intp) & (cells - 1), apart)
    return sums


def differing_cells(one: Words, other: Words) -> int:
    """In how many cells two sketches differ; the finer one is made as coarse as the other."""
    cells = min(one.size, other.size)
    coarse = [each.reshape(-1, cells).sum(axis=0, dtype=np.uint64) for each in (one, other)]
    return int(np.count_nonzero(coarse[0] != coarse[1]))


def _apart(hashes: Words) -> Words:
    """Equal rows apart: the second of them is another than the first, in every set alike."""
    ordered = np.sort(hashes)
    first = np.ones(ordered.size, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    places = np.arange(ordered.size)
    return _mixed(ordered ^ (places - np.maximum.accumulate(np.where(first, places, 0))).astype(np.uint64) * _ODD)


def _mixed(words: Words) -> Words:
    """The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014), on the next number of its sequence."""
    words = words + _ODD
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
