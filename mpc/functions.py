"""numpy's functions on secret values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mpc.axes import check_axis
from mpc.errors import ScriptError
from mpc.values import Operand, Value, record

__all__ = [
    "Revealed",
    "absolute",
    "concat",
    "dot",
    "matmul",
    "maximum",
    "minimum",
    "noisy",
    "reveal",
    "sign",
    "stack",
    "where",
]


@dataclass(frozen=True)
class Revealed:
    """A result with the recipients it goes to."""

    value: Value
    to: tuple[str, ...]


def dot(x: Operand, y: Operand) -> Value:
    """The dot product, as numpy.dot for up to two axes: of two vectors a number, of matrices their product."""
    return record("matmul" if _axes(x) and _axes(y) else "multiply", x, y)


def matmul(x: Operand, y: Operand) -> Value:
    """The matrix product, as numpy.matmul for one and two axes."""
    return record("matmul", x, y)


def concat(values: Sequence[Operand], axis: int = 0) -> Value:
    """Values joined along an axis that they have, as numpy.concat."""
    return _join("concat", values, axis, extra=0)


def stack(values: Sequence[Operand], axis: int = 0) -> Value:
    """Values of one shape joined along a new axis, as numpy.stack."""
    return _join("stack", values, axis, extra=1)


def reveal(value: Value, to: str | Sequence[str] = ()) -> Revealed:
    """A result for named recipients: parties, or the analyst who submits the script. Without `to`: that analyst."""
    if not isinstance(value, Value):
        raise ScriptError(f"mpc.reveal takes a secret value, not {type(value).__name__}")
    names = (to,) if isinstance(to, str) else tuple(to) if isinstance(to, Sequence) else (None,)
    if not all(isinstance(name, str) and name for name in names):
        raise ScriptError("mpc.reveal: `to` holds something that is not a name", "Name parties or analysts.")
    return Revealed(value, names)


def noisy(value: Value, epsilon: float = 1.0, delta: float = 0.0) -> Value:
    """The value with noise, so that it tells little of anybody: differentially private with (epsilon, delta).

    `epsilon`: above 0; the smaller, the more noise. `delta`: 0 for discrete Laplace noise; above 0 and below 1, at best
    far below one in the number of persons, for Gaussian noise, of which arrays of many numbers need less. How much that
    is follows from the declared ranges. The same value with the same epsilon and delta is the same noisy value.
    """
    if not isinstance(value, Value):
        raise ScriptError(f"mpc.noisy takes a secret value, not {type(value).__name__}")
    plain = value.without_unit()
    if value.defined is not None:
        plain = where(value.defined, plain, 0)
    made = record("noisy", plain, epsilon=float(epsilon), delta=float(delta), spread=0.0)
    return Value(made._trace, made.step, unit=value.unit)


def where(condition: Operand, x: Operand, y: Operand) -> Value:
    """x where a truth value holds, y elsewhere, as numpy.where."""
    return record("where", condition, x, y)


def minimum(x: Operand, y: Operand) -> Value:
    """The smaller of x and y, element by element."""
    return record("minimum", x, y)


def maximum(x: Operand, y: Operand) -> Value:
    """The larger of x and y, element by element."""
    return record("maximum", x, y)


def absolute(x: Value) -> Value:
    """|x|, element by element."""
    return record("absolute", x)


def sign(x: Value) -> Value:
    """-1, 0 or 1, element by element."""
    return (x > 0) * 1 - (x < 0)


def _join(op: str, values: Sequence[Operand], axis: int, extra: int) -> Value:
    if isinstance(values, Value) or not isinstance(values, Sequence):
        raise ScriptError(f"mpc.{op} takes a list of values")
    first = next((value for value in values if isinstance(value, Value)), None)
    if first is None:
        raise ScriptError(f"mpc.{op} needs a secret value among its inputs; numpy joins public ones")
    axis = check_axis(axis, first.ndim + extra)
    return record(op, *values, axis=axis)


def _axes(operand: Operand) -> int:
    return operand.ndim if isinstance(operand, Value) else np.ndim(operand)
