"""numpy's functions on secret values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mpc.errors import ScriptError
from mpc.values import Operand, Value, check_axis

__all__ = ["Revealed", "concat", "dot", "matmul", "reveal", "stack"]


@dataclass(frozen=True)
class Revealed:
    """A result with the recipients it goes to."""

    value: Value
    to: tuple[str, ...]


def dot(x: Operand, y: Operand) -> Value:
    """The dot product, as numpy.dot for up to two axes: of two vectors a number, of matrices their product."""
    if isinstance(x, Value):
        return x.dot(y)
    if isinstance(y, Value):
        return x @ y if np.ndim(x) and y.ndim else y * x
    raise ScriptError("mpc.dot needs a secret value; numpy computes on public ones")


def matmul(x: Operand, y: Operand) -> Value:
    """The matrix product, as numpy.matmul for one and two axes."""
    if isinstance(x, Value):
        return x @ y
    if isinstance(y, Value):
        return x @ y
    raise ScriptError("mpc.matmul needs a secret value; numpy computes on public ones")


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


def _join(op: str, values: Sequence[Operand], axis: int, extra: int) -> Value:
    if isinstance(values, Value) or not isinstance(values, Sequence):
        raise ScriptError(f"mpc.{op} takes a list of values")
    first = next((value for value in values if isinstance(value, Value)), None)
    if first is None:
        raise ScriptError(f"mpc.{op} needs a secret value among its inputs; numpy joins public ones")
    axis = check_axis(axis, first.ndim + extra)
    steps = [first._lift(value) for value in values]
    return Value(first._trace, first._trace.add(op, *steps, axis=axis))
