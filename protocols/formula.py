"""Formulas over packed bits, evaluated 64 elements to a word: straight-line programs of a ^ (b & c).

A formula is built once, in Python, and run on long rows: by numpy, or by one compiled loop that takes all its steps
over a tile of words while they are in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols import bits
from protocols.ring import Array

__all__ = ["Formula", "Program"]


_INPUTS = 4  # arrays that the compiled loop takes


class Formula:
    """A program in the making. Rows are numbers: the constants, the rows of the inputs, then each step's.

    `inputs`: the number of rows of each input array, at most four.
    """

    ZEROS, ONES, ONE = 0, 1, 2
    """Constant rows. ONE is a share of true: ones at party 0, zeros elsewhere."""

    def __init__(self, *inputs: int) -> None:
        self._inputs = inputs
        self._first = 3 + sum(inputs)
        self._steps: list[tuple[int, int, int]] = []

    def rows(self, number: int) -> range:
        """The rows of one input array."""
        start = 3 + sum(self._inputs[:number])
        return range(start, start + self._inputs[number])

    def fold(self, a: int, b: int, c: int) -> int:
        """The row a ^ (b & c)."""
        self._steps.append((a, b, c))
        return self._first + len(self._steps) - 1

    def sum(self, rows: Iterable[int]) -> int:
        """The row of all these added by XOR."""
        total, *others = rows
        for row in others:
            total = self.fold(total, row, self.ONES)
        return total

    def gives(self, outputs: Sequence[int]) -> Program:
        """The program that computes these rows, holding as few as can be: one that nothing takes any more is reused."""
        last_use = {row: number for number, step in enumerate(self._steps) for row in step}
        last_use |= dict.fromkeys((*outputs, self.ZEROS, self.ONES, self.ONE), len(self._steps))
        place = {row: row for row in range(self._first)}
        free = [row for row in range(self._first) if row not in last_use]
        held = self._first
        steps = []
        for number, step in enumerate(self._steps):
            if not free:
                free.append(held)
                held += 1
            # never one of the rows that it takes: the compiled loop is fast where it writes elsewhere
            place[self._first + number] = free.pop()
            steps.append((place[self._first + number], *(place[row] for row in step)))
            free += sorted({place[row] for row in step if last_use[row] == number})
        return Program(
            self._inputs,
            np.array(steps, np.uint64).reshape(-1, 4),
            np.array([place[row] for row in outputs], np.int64),
            held,
        )


@dataclass(frozen=True, eq=False)
class Program:
    """A formula, complete. Steps: the place of a ^ (b & c), and those of a, b, c, among so many rows held at once."""

    inputs: tuple[int, ...]
    steps: Array
    outputs: NDArray[np.int64]
    held: int

    def __call__(self, index: int, *inputs: Array) -> Array:
        """The output rows, shape (outputs, words), at the party with this index. Inputs: (rows, ...), of one length."""
        flat = [rows.reshape(len(rows), math.prod(rows.shape[1:])) for rows in inputs]
        words = flat[0].shape[1]
        if tuple(rows.shape for rows in flat) != tuple((count, words) for count in self.inputs):
            raise ValueError(f"a formula of inputs of {self.inputs} rows got {[rows.shape for rows in inputs]}")
        out = np.empty((self.outputs.size, words), np.uint64)
        one = np.uint64(0) if index else ~np.uint64(0)
        if 64 * inputs[0].shape[-1] > bits.COMPILED_LENGTH:
            from protocols import bit_kernels

            none = np.empty((0, words), np.uint64)
            first, second, third, fourth = [bits.usable(rows) for rows in flat] + [none] * (_INPUTS - len(flat))
            bit_kernels.evaluate(self.steps, self.outputs, self.held, one, first, second, third, fourth, out)
            return out
        zeros = np.zeros(words, np.uint64)
        rows = [zeros, ~zeros, zeros | one, *(row for array in flat for row in array)]
        rows += [zeros] * (self.held - len(rows))
        for to, a, b, c in self.steps.tolist():
            rows[to] = rows[a] ^ (rows[b] & rows[c])
        for number, row in enumerate(self.outputs.tolist()):
            out[number] = rows[row]
        return out
