"""Formulas over packed bits, evaluated 64 elements to a word: straight-line programs of a ^ (b & c).

A formula is built once, in Python, and run on long rows: by numpy, or by one compiled loop that takes all its steps
over a tile of words while they are in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from protocols import bits
from protocols.ring import Array

__all__ = ["Formula"]


# Measured: steps times words from which the compiled loop pays.
_COMPILED_WORK = 5 << 13

_INPUTS = 4  # arrays that the compiled loop takes


class Formula:
    """A program over rows of packed bits. Rows are numbers: the constants, the rows of the inputs, then each step's.

    `inputs`: the number of rows of each input array, at most four.
    """

    ZEROS, ONES, ONE = 0, 1, 2
    """Constant rows. ONE is a share of true: ones at party 0, zeros elsewhere."""

    def __init__(self, *inputs: int) -> None:
        self.inputs = inputs
        self._first = 3 + sum(inputs)
        self._steps: list[tuple[int, int, int]] = []
        self._outputs: tuple[int, ...] = ()
        self._program: tuple[Array, NDArray[np.int64], int] | None = None

    def rows(self, number: int) -> range:
        """The rows of one input array."""
        start = 3 + sum(self.inputs[:number])
        return range(start, start + self.inputs[number])

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

    def gives(self, outputs: Sequence[int]) -> Formula:
        """This formula, complete: the rows that it computes."""
        self._outputs = tuple(outputs)
        self._program = self._allocated()
        return self

    def __call__(self, index: int, *inputs: Array) -> Array:
        """The output rows, shape (outputs, words), at the party with this index."""
        if self._program is None or tuple(len(rows) for rows in inputs) != self.inputs:
            raise ValueError(f"a formula of inputs {self.inputs} got {[rows.shape for rows in inputs]}")
        flat = [rows.reshape(len(rows), math.prod(rows.shape[1:])) for rows in inputs]
        words = flat[0].shape[1]
        steps, outputs, held = self._program
        out = np.empty((len(self._outputs), words), np.uint64)
        one = np.uint64(0) if index else ~np.uint64(0)
        if len(steps) * words >= _COMPILED_WORK:
            from protocols import bit_kernels

            none = np.empty((0, words), np.uint64)
            first, second, third, fourth = [bits.usable(rows) for rows in flat] + [none] * (_INPUTS - len(flat))
            bit_kernels.evaluate(steps, outputs, held, one, first, second, third, fourth, out)
            return out
        constants = [np.full(words, word, np.uint64) for word in (np.uint64(0), ~np.uint64(0), one)]
        rows = [*constants, *(row for array in flat for row in array)]
        rows += [constants[0]] * (held - len(rows))
        for to, a, b, c in steps.tolist():
            rows[to] = rows[a] ^ (rows[b] & rows[c])
        for number, row in enumerate(outputs.tolist()):
            out[number] = rows[row]
        return out

    def _allocated(self) -> tuple[Array, NDArray[np.int64], int]:
        """Steps (to, a, b, c) and outputs on as few rows as can be: a row that nothing takes any more is used again."""
        last_use = {row: number for number, step in enumerate(self._steps) for row in step}
        last_use |= dict.fromkeys((*self._outputs, self.ZEROS, self.ONES, self.ONE), len(self._steps))
        place = {row: row for row in range(self._first)}
        free = [row for row in range(self._first) if row not in last_use]
        held = self._first
        program = []
        for number, step in enumerate(self._steps):
            taken = [place[row] for row in step]
            free += sorted({place[row] for row in step if last_use[row] == number})
            if free:
                to = free.pop()
            else:
                to, held = held, held + 1
            place[self._first + number] = to
            program.append((to, *taken))
        steps = np.array(program, np.uint64).reshape(-1, 4)
        return steps, np.array([place[row] for row in self._outputs], np.int64), held
