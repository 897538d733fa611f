"""Rows of a table in classes, remembered exactly; and whether results together tell of few rows.

A combination of the numbers of one result weighs all rows of a class alike. Two results cut the rows into cells: those
of one class in the one and of another in the other, "not used" being a class too. The two are near when a cell has some
rows, but fewer than agreed. Only one kind of cell may: where class A meets class B, when there are enough rows of A
that the other result does not use, and enough of B that the one does not use.

Then no combination of both depends on some rows, but fewer than agreed: it would be one in which all cells of enough
rows cancel. So A and B of any smaller cell had weight 0, each by itself, and that cell canceled as well.

Of more than two results, the cells are what all of them leave together. Whatever is put together from them weighs rows
by a linear combination of the indicator vectors of their classes. One of these cancels on all cells of enough rows, and
not on all others, if and only if the vectors have a higher rank than without the others. Smaller cells may be enough
rows together: then that is refused without need. Of two results `near` refuses all that this would, and more.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

__all__ = ["Contents", "Partition", "Words", "few_together", "near", "numbered", "row_hashes"]

Words = NDArray[np.uint64]
_Numbers = NDArray[np.int64]

_BLOCK = 1 << 20
_MOST_COUNTS = 1 << 26
"""Of rows that hold the same, by the cells they may be in: beyond, any may be in any."""
_MOST_CELLS = 1 << 16
_MOST_WORK = 1 << 28
"""To eliminate a matrix: its rows, squared, by its columns. Beyond, a cell of few rows is one that may be told."""
_PRIMES = 2
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Partition:
    """The rows of a table in classes, 0 for those not used: runs of neighbours of one class, each up to its end."""

    ends: _Numbers
    classes: _Numbers

    @staticmethod
    def of(classes: range | _Numbers, length: int) -> Partition:
        """A class for each of `length` rows; or a range of rows that are of one class, the only one."""
        if isinstance(classes, range) and classes and classes.step == 1:
            ends = np.array([classes.start, classes.stop, length], np.int64)
            runs = np.array([0, 1, 0], np.int64)[np.diff(ends, prepend=0) > 0]
            return Partition(np.unique(ends[ends > 0]), runs)
        if isinstance(classes, range):
            chosen, classes = classes, np.zeros(length, np.int64)
            classes[chosen.start : chosen.stop : chosen.step] = 1
        last = np.append(classes[1:] != classes[:-1], True)[: classes.size]
        kinds, first, runs = np.unique(classes[last], return_index=True, return_inverse=True)
        first[kinds == 0] = -1  # numbered as they come, so that the same classes have the same numbers
        ranks = np.argsort(np.argsort(first)) + (0 not in kinds)
        return Partition(np.flatnonzero(last) + 1, ranks[runs.reshape(-1)])

    @staticmethod
    def decode(encoded: bytes) -> Partition:
        """What `encode` made."""
        ends, classes = np.frombuffer(encoded, "<i8").reshape(2, -1)
        return Partition(ends, classes)

    def encode(self) -> bytes:
        """The same for the same classes."""
        return np.stack([self.ends, self.classes]).astype("<i8").tobytes()

    @property
    def each(self) -> _Numbers:
        """The class of every row."""
        return np.repeat(self.classes, np.diff(self.ends, prepend=0))

    @property
    def sizes(self) -> _Numbers:
        """How many rows each class has."""
        return _counted(self.classes, np.diff(self.ends, prepend=0), 1)

    def at(self, ends: _Numbers) -> _Numbers:
        """The class of the row before each end."""
        return self.classes[np.searchsorted(self.ends, ends)]


@dataclass(frozen=True, eq=False)
class Contents:
    """What a table held: a hash of every row, in order."""

    hashes: Words

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(self.hashes.astype("<u8", copy=False).tobytes()).digest()


def near(one: Partition, other: Partition, least: int, held: tuple[_Numbers, _Numbers] | None = None) -> int:
    """How many rows, of fewer than `least`, two results together may tell of; 0 if they tell of no so few.

    `held`: what each row held at the time of each, as `numbered` has it, when the table changed in between. Rows that
    hold the same may each be any of them. A class of fewer than `least` rows, from when that was lower, is told anyway.
    """
    fewest, most = _cells(one, other) if held is None else _cells_by_contents(one, other, *held)
    small = (most > 0) & (fewest < np.minimum(*np.ix_(_told(one, least), _told(other, least))))
    left_by_other, left_by_one = fewest[1:, :1] >= least, fewest[:1, 1:] >= least
    small[1:, 1:] &= ~(left_by_other & left_by_one)
    small[0, 0] = False
    return min(map(int, most[small]), default=0)


def few_together(before: Sequence[Partition], new: Sequence[Partition], least: int) -> list[bool]:
    """For each new result on the same rows: whether, with all that come before it, it may tell of fewer than `least`.

    What those `before` tell together stays told, and so does a class of fewer than `least` rows by itself. Of two
    different results only `near` is the judge. Wrong with a probability below 2^-30, whatever the rows are: ranks are
    taken modulo random primes.
    """
    known = {partition.encode(): partition for partition in before}
    added = {partition.encode(): partition for partition in new}
    together = known | added
    if len(together) <= 2:
        return [False] * len(new)
    places, sizes = _refined(list(together.values()))
    if sizes.size <= _MOST_CELLS and not (sizes < least).any():
        return [False] * len(new)
    count = sum(partition.sizes.size - 1 for partition in together.values())
    if sizes.size > _MOST_CELLS or count**2 * sizes.size > _MOST_WORK:
        return [partition.encode() not in known for partition in new]
    places = places[np.argsort(sizes < least, kind="stable")]  # the cells of enough rows first
    told, telling, owners = [], [], []
    for encoded, partition in together.items():
        classes = partition.at(places)
        for kind, size in enumerate(partition.sizes[1:], 1):
            if encoded in known or size < least:
                told.append(classes == kind)
            else:
                telling.append(classes == kind)
                owners.append(encoded)
    adds = _vanishing(np.array([*told, *telling]), int(np.count_nonzero(sizes >= least)))[len(told) :]
    few = {owner for owner, more in zip(owners, adds, strict=True) if more}
    return [partition.encode() in few for partition in new]


def numbered(one: Contents, other: Contents) -> tuple[_Numbers, _Numbers]:
    """A number for each row of both, from 0, the same for rows that hold the same."""
    numbers = np.unique(np.concatenate([one.hashes, other.hashes]), return_inverse=True)[1].reshape(-1)
    return numbers[: one.hashes.size], numbers[one.hashes.size :]


def row_hashes(columns: Mapping[str, NDArray[np.int64] | NDArray[np.float64]], key: bytes) -> Words:
    """A 64-bit hash of every row: of its values and the names of the columns. Their order does not matter.

    Who does not have `key` (32 bytes) cannot check a guess of a row: the hashes go through AES, and half is kept.
    """
    hashes = np.zeros(len(next(iter(columns.values()))), np.uint64)
    for name in sorted(columns):
        of_name = np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
        for start in range(0, hashes.size, _BLOCK):
            block = columns[name][start : start + _BLOCK]
            words = (block + 0.0 if block.dtype == np.float64 else block).view(np.uint64)  # -0.0 is 0.0
            hashes[start : start + _BLOCK] = _mixed(_mixed(hashes[start : start + _BLOCK] ^ of_name) ^ words)
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - a function of single blocks
    for start in range(0, hashes.size, _BLOCK):
        blocks = np.zeros((hashes[start : start + _BLOCK].size, 2), "<u8")
        blocks[:, 0] = hashes[start : start + _BLOCK]
        hashes[start : start + _BLOCK] = np.frombuffer(cipher.update(blocks.data.cast("B")), "<u8")[::2]
    return hashes


def _told(partition: Partition, least: int) -> _Numbers:
    """How many rows of each class are enough: no more than it has."""
    told = np.minimum(partition.sizes, least)
    told[0] = least
    return told


def _cells(one: Partition, other: Partition) -> tuple[_Numbers, _Numbers]:
    """How many rows each cell has, of the same table: at least, and at most."""
    ends = np.sort(np.concatenate([one.ends, other.ends]))
    cells = _table(one, other, one.at(ends), other.at(ends), np.diff(ends, prepend=0))
    return cells, cells


def _cells_by_contents(
    one: Partition, other: Partition, before: _Numbers, after: _Numbers
) -> tuple[_Numbers, _Numbers]:
    """The same of a table that changed: a row that is not in it any more, or was not yet, is one not used then."""
    kinds = 1 + max(before.max(initial=-1), after.max(initial=-1))
    counts = np.bincount(before, minlength=kinds), np.bincount(after, minlength=kinds)
    total = np.maximum(*counts)
    classes = np.zeros((2, kinds), np.int64)
    classes[0][before], classes[1][after] = one.each, other.each
    once, several = total == 1, total > 1
    fewest = _table(one, other, classes[0][once], classes[1][once], total[once])
    most = fewest.copy()
    if np.count_nonzero(several) * fewest.size > _MOST_COUNTS:
        return fewest, most + total[several].sum()
    held = []  # of what several rows hold: how many are of each class
    for partition, side, count in ((one, before, counts[0]), (other, after, counts[1])):
        table = np.zeros((np.count_nonzero(several), partition.sizes.size), np.int64)
        np.add.at(table, ((np.cumsum(several) - 1)[side[several[side]]], partition.each[several[side]]), 1)
        table[:, 0] += (total - count)[several]
        held.append(table)
    for i, column in enumerate(held[0].T):
        fewest[i] += np.maximum(column[:, None] + held[1] - total[several][:, None], 0).sum(axis=0)
        most[i] += np.minimum(column[:, None], held[1]).sum(axis=0)
    return fewest, most


def _refined(partitions: Sequence[Partition]) -> tuple[_Numbers, _Numbers]:
    """The cells of all of them that any of them uses: the end of a row in each, and how many rows each has.

    More than _MOST_CELLS need not be all.
    """
    ends = np.unique(np.concatenate([partition.ends for partition in partitions]))
    cells, used = np.zeros(ends.size, np.int64), np.zeros(ends.size, np.bool_)
    for partition in partitions:
        classes = partition.at(ends)
        used |= classes > 0
        cells = cells * partition.sizes.size + classes
        numbers = np.cumsum(np.bincount(cells) > 0) - 1
        cells = numbers[cells]
        if numbers[-1] > _MOST_CELLS:
            break
    sizes = _counted(cells, np.diff(ends, prepend=0), 0)
    firsts = np.unique(cells, return_index=True)[1]
    return ends[firsts][used[firsts]], sizes[used[firsts]]


def _vanishing(vectors: NDArray[np.bool_], columns: int) -> NDArray[np.bool_]:
    """Which vectors, one after the other, make for more combinations that are 0 in the first columns, but not in all.

    With the ranks r of the vectors up to each, and s of their first columns, these have r - s dimensions.
    """
    ranks = np.zeros((2, len(vectors)), np.int64)
    for _ in range(_PRIMES):  # modulo a prime a rank can only be smaller
        pivots = _pivots(vectors.astype(np.int64), _random_prime())
        ranks = np.maximum(ranks, np.cumsum([pivots >= 0, (pivots >= 0) & (pivots < columns)], axis=1))
    grows: NDArray[np.bool_] = np.diff(ranks[0] - ranks[1], prepend=0) > 0
    return grows


def _pivots(matrix: _Numbers, prime: int) -> _Numbers:
    """The first column in which each row is not 0, once the rows above took theirs out of it; or -1. In place."""
    pivots = np.full(len(matrix), -1)
    for i, row in enumerate(matrix):
        if row.any():
            pivots[i] = column = np.flatnonzero(row)[0]
            below = i + 1 + np.flatnonzero(matrix[i + 1 :, column])
            factors = matrix[below, column] * pow(int(row[column]), -1, prime) % prime
            matrix[below] = (matrix[below] - factors[:, None] * row) % prime
    return pivots


def _random_prime() -> int:
    """Of 31 bits, so that products fit; random, so that nobody can choose rows by it."""
    while True:
        candidate = (1 << 30) + 2 * secrets.randbelow(1 << 29) + 1
        if (candidate % np.arange(3, 1 << 16, 2)).all():
            return candidate


def _table(one: Partition, other: Partition, mine: _Numbers, theirs: _Numbers, rows: _Numbers) -> _Numbers:
    shape = one.sizes.size, other.sizes.size
    return _counted(mine * shape[1] + theirs, rows, shape[0] * shape[1]).reshape(shape)


def _counted(places: _Numbers, rows: _Numbers, length: int) -> _Numbers:
    return np.bincount(places, rows, minlength=length).astype(np.int64)  # exact: far below 2^53


def _mixed(words: Words) -> Words:
    """The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014), on the next number of its sequence."""
    words = words + _ODD
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
