"""What a script holds: values that read like numpy arrays and record what is done with them."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpc.errors import ScriptError
from mpc.trace import Trace, public_array
from mpc.types import Type

__all__ = ["Operand", "Value", "check_axis"]


class Value:
    """An array that nobody may see. Arithmetic on it is recorded; only results that are returned are ever revealed."""

    __slots__ = ("_trace", "step")
    __array_ufunc__ = None  # numpy_array * value is ours

    def __init__(self, trace: Trace, step: int) -> None:
        self._trace = trace
        self.step = step

    @property
    def type(self) -> Type:
        """Visibility, shape, domain and range, as recorded."""
        return self._trace.types[self.step]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, which is public."""
        return self.type.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.type.size

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a value without axes")
        return self.shape[0]

    def __add__(self, other: Operand) -> Value:
        return self._binary("add", other)

    def __radd__(self, other: Operand) -> Value:
        return self._binary("add", other, swapped=True)

    def __sub__(self, other: Operand) -> Value:
        return self._binary("subtract", other)

    def __rsub__(self, other: Operand) -> Value:
        return self._binary("subtract", other, swapped=True)

    def __mul__(self, other: Operand) -> Value:
        return self._binary("multiply", other)

    def __rmul__(self, other: Operand) -> Value:
        return self._binary("multiply", other, swapped=True)

    def __matmul__(self, other: Operand) -> Value:
        return self._binary("matmul", other)

    def __rmatmul__(self, other: Operand) -> Value:
        return self._binary("matmul", other, swapped=True)

    def __neg__(self) -> Value:
        return self._record("negate")

    def __pos__(self) -> Value:
        return self

    def __truediv__(self, other: Operand) -> Value:
        """Division by a public number or array: exact by a whole number, else by its reciprocal."""
        if isinstance(other, Value):
            _unsupported("division by a secret value", "Reveal numerator and denominator, if the agreement allows it.")
        divisor = public_array(other)
        if not np.all(np.isfinite(divisor)):
            raise ScriptError("division by something that is not a finite number", "Divide by finite numbers.")
        if np.any(divisor == 0):
            raise ScriptError("division by zero", "Divide by a number other than 0.")
        if divisor.ndim == 0 and abs(float(divisor)) < 2**62:
            ratio = Fraction(divisor.item())
            if ratio.denominator & (ratio.denominator - 1) == 0 and ratio.denominator <= 1 << 20:
                positive = self if ratio > 0 else -self
                scaled = positive * ratio.denominator if ratio.denominator > 1 else positive
                return scaled._record("divide", by=abs(ratio.numerator))
        with np.errstate(over="ignore"):
            return self * (1.0 / divisor.astype(np.float64))

    def __rtruediv__(self, other: Operand) -> NoReturn:
        _unsupported("division by a secret value", "Reveal numerator and denominator, if the agreement allows it.")

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Value:
        """The sum over all elements, or over some axes."""
        return self._record("sum", axes=self._axes(axis))

    def mean(self, axis: int | tuple[int, ...] | None = None) -> Value:
        """The arithmetic mean over all elements, or over some axes; exact."""
        count = math.prod(self.shape[i] for i in self._axes(axis))
        if count == 0:
            raise ScriptError("the mean of no elements is undefined", "Check that the table has rows.")
        return self.sum(axis) / count

    def dot(self, other: Operand) -> Value:
        """The same as `mpc.dot`."""
        return self @ other if self.ndim and np.ndim(_shaped(other)) else self * other

    def reshape(self, *shape: int | Sequence[int]) -> Value:
        """The same elements, row by row, under another shape; one length may be -1."""
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
        try:
            lengths = [int(operator.index(length)) for length in given]  # type: ignore[arg-type]
        except TypeError:
            raise ScriptError(f"reshape: {given} is not a shape", "Give whole numbers; one may be -1.") from None
        if lengths.count(-1) == 1:
            known = -math.prod(lengths)
            if known == 0 or self.size % known:
                raise ScriptError(f"reshape: {self.shape} has {self.size} elements, which {lengths} cannot hold")
            lengths[lengths.index(-1)] = self.size // known
        return self._record("reshape", shape=lengths)

    def transpose(self, *axes: int | Sequence[int]) -> Value:
        """The axes in another order, or reversed."""
        given = axes[0] if len(axes) == 1 and isinstance(axes[0], Sequence) else axes
        order = [check_axis(a, self.ndim) for a in given] if given else list(range(self.ndim))[::-1]
        return self._record("transpose", axes=order)

    @property
    def T(self) -> Value:  # noqa: N802 - numpy's name
        """The transpose."""
        return self.transpose()

    def __getitem__(self, key: Any) -> Value:
        """Indexing and slicing with public indices: integers, slices, ..., None, and one list or array of positions."""
        return _index(self, key)

    def _binary(self, op: str, other: Operand, *, swapped: bool = False) -> Value:
        operand = self._lift(other)
        x, y = (operand, self.step) if swapped else (self.step, operand)
        return Value(self._trace, self._trace.add(op, x, y))

    def _record(self, op: str, **params: Any) -> Value:
        return Value(self._trace, self._trace.add(op, self.step, **params))

    def _lift(self, other: Operand) -> int:
        if isinstance(other, Value):
            if other._trace is not self._trace:
                raise ScriptError(
                    "a value of another computation is used here", "Use only what this computation's `data` gives."
                )
            return other.step
        return self._trace.constant(other)

    def _axes(self, axis: int | tuple[int, ...] | None) -> list[int]:
        if axis is None:
            return list(range(self.ndim))
        axes = [check_axis(a, self.ndim) for a in (axis if isinstance(axis, tuple) else (axis,))]
        if len(set(axes)) != len(axes):
            raise ScriptError(f"an axis is named twice: {axis}")
        return sorted(axes)

    def __repr__(self) -> str:
        type_ = self.type
        return f"<secret {type_.domain.kind} value of shape {type_.shape}, {type_.visibility}>"

    def __bool__(self) -> NoReturn:
        _secret("`if`, `while`, `and`, `or` and `not`", "Compute both outcomes with arithmetic instead of branching.")

    def __float__(self) -> NoReturn:
        _secret("float()", "Return the value from the computation; the result holds the number.")

    def __int__(self) -> NoReturn:
        _secret("int()", "Return the value from the computation; the result holds the number.")

    __index__ = __int__

    def __iter__(self) -> NoReturn:
        _secret("iteration", "Work on whole arrays: `x.sum()`, `x * y`; columns of a matrix are `x[:, j]`.")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        _secret("conversion to a numpy array", "Use the methods of the value and the functions of `mpc`.")

    def __array_function__(self, function: Any, *args: Any) -> NoReturn:
        _secret(f"numpy's `{function.__name__}`", "Use the methods of the value and the functions of `mpc`.")

    def __pow__(self, exponent: object) -> Value:
        if isinstance(exponent, int) and exponent == 2:
            return self * self
        _unsupported("powers other than 2", "Write x * x * x.")

    def _no_comparison(self, other: object) -> NoReturn:
        _unsupported("comparison of secret values", "Sums, means, products and dot products exist.")

    __lt__ = __le__ = __gt__ = __ge__ = _no_comparison
    __eq__ = __ne__ = _no_comparison
    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        here = ", ".join(sorted(n for n in dir(type(self)) if not n.startswith("_")))
        raise ScriptError(f"a secret value has no `{name}`", f"It has: {here}; and + - * / @ and indexing.")


Operand = Value | ArrayLike


def _shaped(operand: Operand) -> NDArray[Any]:
    return np.empty(operand.shape, np.bool_) if isinstance(operand, Value) else np.asarray(operand)


def check_axis(axis: Any, ndim: int) -> int:
    """The axis counted from 0. Raises ScriptError when there is none like it."""
    if not isinstance(axis, int | np.integer) or not -ndim <= axis < ndim:
        raise ScriptError(f"there is no axis {axis} in {ndim} axes")
    return int(axis) % ndim


def _index(value: Value, key: Any) -> Value:
    items = list(key) if isinstance(key, tuple) else [key]
    if sum(item is Ellipsis for item in items) > 1:
        raise ScriptError("an index holds `...` twice")
    wanted = sum(item is not None and item is not Ellipsis for item in items)
    if wanted > value.ndim:
        raise ScriptError(f"{wanted} indices for a value with {value.ndim} axes")
    fill = [slice(None)] * (value.ndim - wanted)
    at = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    items[at : at + 1] = fill
    positions: list[list[Any]] = []
    shape: list[int] = []
    for item in items:
        if item is None:
            shape.append(1)
            continue
        length = value.shape[len(positions)]
        position, kept = _position(item, length)
        positions.append(position)
        shape.extend(kept)
    lists = [i for i, position in enumerate(positions) if isinstance(position[0], list)]
    if len(lists) > 1:
        raise ScriptError("lists of positions on two axes at once", "Index one axis after the other.")
    if lists and any(len(position) == 1 for i, position in enumerate(positions) if i not in lists):
        whole: list[list[Any]] = [[0, length, 1] for length in value.shape]
        whole[lists[0]] = positions[lists[0]]
        positions[lists[0]] = [0, len(positions[lists[0]][0]), 1]
        value = value._record("index", key=whole)
    indexed = value._record("index", key=positions)
    return indexed if list(indexed.shape) == shape else indexed.reshape(shape)


def _position(item: Any, length: int) -> tuple[list[Any], list[int]]:
    """One axis of an index, as the plan says it, and the lengths it leaves."""
    if isinstance(item, Value):
        _unsupported("indexing with a secret value", "Use public positions.")
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


def _secret(what: str, remedy: str) -> NoReturn:
    raise ScriptError(f"a secret value does not allow {what}: nobody may see it", remedy)


def _unsupported(what: str, remedy: str) -> NoReturn:
    raise ScriptError(f"not possible yet: {what}", remedy)
