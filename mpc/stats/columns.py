"""Columns of different magnitude, each brought to [-1, 1] by its own declared range.

A matrix value has one range for all its columns: what is small beside its neighbours would lose its digits. The ranges
are public, so that owners do this before anything is shared, and recipients put the magnitudes back (`Value.unit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpc.errors import ScriptError
from mpc.filters import FilteredColumn
from mpc.functions import stack
from mpc.values import Value, record

__all__ = ["Columns", "check_rows", "normalised", "secret"]

_ROUNDED, _SLIGHT = Fraction(1, 1 << 50), Fraction(1, 1 << 32)
"""How wide a range can be of numbers that are all equal, which is rounded outwards; and that as a part of them."""


@dataclass(frozen=True)
class Columns:
    """x_k = middle_k + unit_k z_k: a matrix z with rows first and columns within [-1, 1]; units are powers of two,
    0 for a column that is all equal by its range.
    """

    z: Value
    middles: NDArray[np.float64]
    units: NDArray[np.float64]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.z.shape[0]

    @property
    def count(self) -> int:
        """The number of columns."""
        return self.z.shape[1]

    def comoments(self) -> Value:
        """The sums over rows of products about the means of all columns with all, in the columns' units."""
        return record("comoment", self.z, self.z, scale=52)

    def check_spread(self, what: str) -> None:
        """Raises ScriptError for a column that is all equal by its declared range."""
        if not all(self.units):
            column = int(np.flatnonzero(self.units == 0)[0])
            raise ScriptError(
                f"{what}: column {column} is all equal by its declared range", "Leave it out, or declare its range."
            )


def secret(x: object, what: str, axes: tuple[int, ...] = (1,)) -> Value:
    """The value, checked to be one with so many axes. Raises ScriptError."""
    if isinstance(x, FilteredColumn):
        raise ScriptError(f"{what} takes whole columns, not the selected rows of one")
    if not isinstance(x, Value):
        raise ScriptError(f"{what} takes a secret value, not {type(x).__name__}")
    if x.ndim not in axes:
        wanted = " or ".join({1: "a column", 2: "a matrix of rows by columns"}[n] for n in axes)
        raise ScriptError(f"{what} takes {wanted}, not the shape {x.shape}")
    return x


def check_rows(rows: int, least: int, what: str) -> None:
    """Raises ScriptError where there are too few rows for it to mean anything."""
    if rows < least:
        raise ScriptError(f"{what} needs at least {least} rows, here are {rows}", "Check that the tables have rows.")


def normalised(*values: Value, least: ArrayLike = 0.0, about_middle: bool = True) -> Columns:
    """The columns of some matrices, and columns, side by side.

    `least`: of the units, a number for all columns or one each. Without `about_middle`, x_k = unit_k z_k.
    """
    columns = [column for value in values for column in _columns(value)]
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise ScriptError(
            f"columns of different lengths: {sorted(lengths)[:4]}",
            "Columns of different parties are aligned by row position: their tables must have equally many rows.",
        )
    leasts = np.broadcast_to(np.asarray(least, np.float64), len(columns))
    made = [_normalised(column, at_least, about_middle) for column, at_least in zip(columns, leasts, strict=True)]
    z = stack([column for column, _, _ in made], axis=1)
    return Columns(z, np.array([middle for _, middle, _ in made]), np.array([unit for _, _, unit in made]))


def _normalised(x: Value, least: float, about_middle: bool) -> tuple[Value, float, float]:
    """The column less the middle of its range, in units that bring it to [-1, 1]."""
    low, high = (Fraction(end, x.type.domain.denominator) for end in (x.type.low, x.type.high))
    real, reach = x.type.domain.kind == "real", max(abs(low), abs(high))
    half = (high - low) / 2 if about_middle else reach
    if not half or (about_middle and real and high - low <= min(_ROUNDED, reach * _SLIGHT)):
        return x * 0, float(low + high) / 2, 0.0
    unit = Fraction(2) ** _exponent(max(half, Fraction(least)))
    middle = Fraction(0)
    if about_middle:
        # of few digits, and whole where all numbers are: so that nothing is rounded
        grain = unit / 16 if real else max(unit / 16, Fraction(1))
        middle = round((low + high) / 2 / grain) * grain
        if max(high - middle, middle - low) > unit:
            unit *= 2
        if middle:
            x = x - (float(middle) if real else int(middle))
    if unit != 1:
        x = x * (int(1 / unit) if unit < 1 else float(1 / unit))
    return x, float(middle), float(unit)


def _exponent(number: Fraction) -> int:
    """Of the smallest power of two that is not less."""
    exponent = number.numerator.bit_length() - number.denominator.bit_length()
    return exponent + (number > Fraction(2) ** exponent)


def _columns(x: Value) -> list[Value]:
    """The columns of a matrix, each with the range that it has for itself where it was made of columns."""
    if x.ndim == 1:
        return [x]
    if x.defined is not None or x.unit is not None:
        return [x[:, k] for k in range(x.shape[1])]
    return [_column(x, k) for k in range(x.shape[1])]


def _column(x: Value, k: int) -> Value:
    step = x._trace.steps[x.step]
    inputs = [Value(x._trace, i) for i in step.inputs]
    match step.op, step.params.get("axis"):
        case "stack", 1:
            return inputs[k]
        case "concat", 0:
            return record("concat", *(_column(part, k) for part in inputs), axis=0)
        case "concat", 1:
            for part in inputs:
                if k < part.shape[1]:
                    return _column(part, k)
                k -= part.shape[1]
        case "index", _ if len(step.params["key"]) == 2 and inputs[0].ndim == 2:
            rows, columns = step.params["key"]
            place = columns[0] + k * columns[2] if len(columns) == 3 else columns[0][k]
            return record("index", _column(inputs[0], place), key=[rows])
    return x[:, k]
