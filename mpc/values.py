"""What a script holds: values that read like numpy arrays and record what is done with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpc.axes import axis_list, check_axis, new_shape
from mpc.errors import ScriptError
from mpc.indexing import index_keys
from mpc.operations import OPERATIONS
from mpc.operations.real import RECORDED
from mpc.refusals import Secret, refuse, unsupported
from mpc.thresholds import COMPARING, threshold
from mpc.trace import Trace, public_array
from mpc.types import Shape, Type

__all__ = ["Operand", "Value", "record"]


class Value(Secret):
    """An array that nobody may see. Arithmetic on it is recorded; only results that are returned are ever revealed."""

    __slots__ = ("_trace", "defined", "step", "unit")

    def __init__(
        self, trace: Trace, step: int, defined: Value | None = None, unit: NDArray[np.float64] | None = None
    ) -> None:
        self._trace = trace
        self.step = step
        self.defined = defined
        """Whether the value means anything, where that is a secret: a truth value without axes, or one an element."""
        self.unit = None if unit is None else np.array(np.broadcast_to(unit, self.shape))
        """What recipients multiply the value by, a public number an element; later operations multiply it in first."""

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
        """Division: exact by a public whole number; by secret values r = x / y is off by at most
        2^-precision (|r| + max|x| / max|y|), with precision 20 unless `mpc.settings` says otherwise.
        """
        if isinstance(other, Value):
            return record("quotient", self, other, **RECORDED)
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

    def __rtruediv__(self, other: Operand) -> Value:
        inverse = self._record("reciprocal", **RECORDED)
        return inverse if np.ndim(_shaped(other)) == 0 and other == 1 else inverse * other

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Value:
        """The sum over all elements, or over some axes."""
        return self._record("sum", axes=axis_list(axis, self.ndim))

    def mean(self, axis: int | tuple[int, ...] | None = None) -> Value:
        """The arithmetic mean over all elements, or over some axes; exact."""
        count = math.prod(self.shape[i] for i in axis_list(axis, self.ndim))
        if count == 0:
            raise ScriptError("the mean of no elements is undefined", "Check that the table has rows.")
        return self.sum(axis) / count

    def var(self, axis: int | tuple[int, ...] | None = None, ddof: int = 0) -> Value:
        """The same as `mpc.stats.var`."""
        from mpc.stats.moments import var

        return var(self, axis, ddof)

    def std(self, axis: int | tuple[int, ...] | None = None, ddof: int = 0) -> Value:
        """The same as `mpc.stats.std`."""
        from mpc.stats.moments import std

        return std(self, axis, ddof)

    def min(self, axis: int | None = None) -> Value:
        """The smallest of all elements, or along an axis."""
        return self._along("min", axis)

    def max(self, axis: int | None = None) -> Value:
        """The largest of all elements, or along an axis."""
        return self._along("max", axis)

    def argmin(self, axis: int | None = None) -> Value:
        """The first position of the smallest of all elements, or along an axis."""
        return self._along("argmin", axis)

    def argmax(self, axis: int | None = None) -> Value:
        """The first position of the largest of all elements, or along an axis."""
        return self._along("argmax", axis)

    def sort(self, axis: int | None = -1, *, descending: bool = False) -> Value:
        """The elements in ascending or descending order along an axis, or all in one: numpy.sort, nothing in place."""
        in_order = self.reshape(-1) if axis is None else self
        axis = check_axis(-1 if axis is None else axis, in_order.ndim)
        in_order = in_order._record("sort", axis=axis)
        return in_order[(slice(None),) * axis + (slice(None, None, -1),)] if descending else in_order

    def argsort(self, axis: int | None = -1, *, descending: bool = False) -> Value:
        """The positions along an axis that put the elements in order; those of equal ones ascend."""
        keys = self.reshape(-1) if axis is None else self
        keys = -keys if descending else keys
        return keys._record("argsort", axis=check_axis(-1 if axis is None else axis, keys.ndim))

    def any(self, axis: int | tuple[int, ...] | None = None) -> Value:
        """Whether any truth value holds, or any number is not 0."""
        return self._truth().sum(axis) > 0

    def all(self, axis: int | tuple[int, ...] | None = None) -> Value:
        """Whether all truth values hold, or no number is 0."""
        return ~(~self._truth()).any(axis)

    def cumsum(self, axis: int | None = None) -> Value:
        """The sums of all elements up to each, along an axis or row by row over all."""
        if axis is None:
            return self.reshape(-1)._record("cumsum", axis=0)
        return self._record("cumsum", axis=check_axis(axis, self.ndim))

    def clip(self, min: Operand | None = None, max: Operand | None = None) -> Value:
        """Every element below `min` raised to it, every one above `max` lowered to it."""
        raised = self if min is None else self._binary("maximum", min)
        return raised if max is None else raised._binary("minimum", max)

    def dot(self, other: Operand) -> Value:
        """The same as `mpc.dot`."""
        return record("matmul" if self.ndim and _shaped(other).ndim else "multiply", self, other)

    def reshape(self, *shape: int | Sequence[int]) -> Value:
        """The same elements, row by row, under another shape; one length may be -1."""
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
        return self._record("reshape", shape=new_shape(given, self.shape))

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
        items = list(key) if isinstance(key, tuple) else [key]
        if any(isinstance(item, Value) for item in items):
            raise ScriptError(
                "a secret value cannot index an array: how many rows it picks would show",
                "Filter a table: t[t['age'] > 65]['days'].mean(); or choose with mpc.where.",
            )
        keys, shape = index_keys(self.shape, items)
        picked = self
        for positions in keys:
            picked = picked._record("index", key=positions)
        return picked if list(picked.shape) == shape else picked.reshape(shape)

    def without_unit(self) -> Value:
        """The value before it is multiplied by its unit."""
        return Value(self._trace, self.step, self.defined)

    def _truth(self) -> Value:
        return self if self.type.domain.kind == "boolean" else self != 0

    def _binary(self, op: str, other: Operand, *, swapped: bool = False) -> Value:
        return record(op, other, self) if swapped else record(op, self, other)

    def _record(self, op: str, **params: Any) -> Value:
        return record(op, self, **params)

    def _lift(self, other: Operand) -> int:
        if isinstance(other, Value):
            if other._trace is not self._trace:
                raise ScriptError(
                    "a value of another computation is used here", "Use only what this computation's `data` gives."
                )
            return other.step
        return self._trace.constant(other)

    def _along(self, op: str, axis: int | None) -> Value:
        if axis is None:
            return self.reshape(-1)._record(op, axis=0)
        return self._record(op, axis=check_axis(axis, self.ndim))

    def __repr__(self) -> str:
        type_ = self.type
        return f"<secret {type_.domain.kind} value of shape {type_.shape}, {type_.visibility}>"

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """The Python array API standard's namespace: numpy's functions, for secret values."""
        from mpc.namespace import FUNCTIONS

        return SimpleNamespace(**FUNCTIONS)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from mpc.namespace import call

        return call(function.__name__, *args, **kwargs)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from mpc.namespace import call

        if method != "__call__" or kwargs:
            refuse(f"numpy's `{ufunc.__name__}.{method}` with these arguments", "Use the functions of `mpc`.")
        return call(ufunc.__name__, *(x.item() if isinstance(x, np.ndarray) and not x.ndim else x for x in inputs))

    def __pow__(self, exponent: object) -> Value:
        if isinstance(exponent, int) and exponent == 2:
            return self * self
        unsupported("powers other than 2", "Write x * x * x.")

    def __lt__(self, other: Operand) -> Value:
        return self._binary("less", other)

    def __gt__(self, other: Operand) -> Value:
        return self._binary("less", other, swapped=True)

    def __le__(self, other: Operand) -> Value:
        return ~(self > other)

    def __ge__(self, other: Operand) -> Value:
        return ~(self < other)

    def __eq__(self, other: Operand) -> Value:  # type: ignore[override]
        return self._binary("equal", other)

    def __ne__(self, other: Operand) -> Value:  # type: ignore[override]
        return ~(self == other)

    __hash__ = object.__hash__

    def __and__(self, other: Operand) -> Value:
        return self._binary("and", other)

    def __or__(self, other: Operand) -> Value:
        return self ^ other ^ (self & other)

    def __xor__(self, other: Operand) -> Value:
        return self._binary("xor", other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Value:
        return self._record("not")

    def __abs__(self) -> Value:
        return self._record("absolute")


Operand = Value | ArrayLike


def record(op: str, *operands: Operand, **params: Any) -> Value:
    """The value of an operation on values, of which one at least is secret. Raises ScriptError when none is."""
    first = next((operand for operand in operands if isinstance(operand, Value)), None)
    if first is None:
        raise ScriptError(f"mpc.{op} needs a secret value; numpy computes on public ones")
    operands = tuple(_in_units(operand) for operand in operands)
    if op in COMPARING:
        operands = _compared(op, *operands)
    step = first._trace.add(op, *(first._lift(operand) for operand in operands), **params)
    return Value(first._trace, step, _defined(op, operands, params, first._trace.types[step].shape))


def _defined(op: str, operands: Sequence[Operand], params: dict[str, Any], shape: Shape) -> Value | None:
    """The flag of an operation's result of a shape, from those of its operands."""
    flags = [operand.defined for operand in operands if isinstance(operand, Value) and operand.defined is not None]
    if not flags:
        return None
    if op in ("index", "reshape", "transpose") and flags[0].shape:
        return flags[0]._record(op, **params)
    if op in ("stack", "concat"):
        each = [_flag(operand) for operand in operands]
        return record(op, *each, **params)
    if not OPERATIONS[op].elementwise:
        flags = [flag.all() for flag in flags]
    first, *others = flags
    for other in others:
        first = first & other
    return first if first.shape in ((), shape) else first ^ np.zeros(shape, np.bool_)


def _compared(op: str, x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """Two operands, of which the public one is held against what the other can be."""
    if not isinstance(x, Value):
        assert isinstance(y, Value)
        return threshold(op, public_array(x), y.type, first=True), y
    return x, y if isinstance(y, Value) else threshold(op, public_array(y), x.type, first=False)


def _in_units(operand: Operand) -> Operand:
    """The operand with its unit multiplied in."""
    if not isinstance(operand, Value) or operand.unit is None:
        return operand
    return record("multiply", operand.without_unit(), operand.unit)


def _flag(operand: Operand) -> Operand:
    flag = operand.defined if isinstance(operand, Value) else None
    held = np.ones(_shaped(operand).shape, np.bool_)
    return held if flag is None else flag ^ ~held


def _shaped(operand: Operand) -> NDArray[Any]:
    return np.empty(operand.shape, np.bool_) if isinstance(operand, Value) else np.asarray(operand)
