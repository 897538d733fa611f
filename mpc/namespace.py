"""numpy's functions by name, for values that answer to the Python array API standard and to numpy's dispatch.

`np.mean(x)`, `np.where(x > 0, x, y)` and `array_api.mean(x)` say the same as the methods and functions of this package.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mpc import elementwise, filters, functions, order
from mpc.errors import ScriptError
from mpc.values import Value

__all__ = ["FUNCTIONS", "call"]


def _operator(name: str, reflected: str) -> Callable[..., Any]:
    """An operator of values, called as a function: one operand at least is secret."""

    def operate(x: Any, *others: Any) -> Any:
        if isinstance(x, Value):
            return getattr(x, name)(*others)
        return getattr(others[0], reflected)(x)

    return operate


_OPERATORS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        name: _operator(f"__{own}__", f"__{reflected}__")
        for name, own, reflected in (
            ("add", "add", "radd"),
            ("bitwise_and", "and", "rand"),
            ("bitwise_or", "or", "ror"),
            ("bitwise_xor", "xor", "rxor"),
            ("divide", "truediv", "rtruediv"),
            ("equal", "eq", "eq"),
            ("greater", "gt", "lt"),
            ("greater_equal", "ge", "le"),
            ("invert", "invert", "invert"),
            ("less", "lt", "gt"),
            ("less_equal", "le", "ge"),
            ("logical_and", "and", "rand"),
            ("logical_not", "invert", "invert"),
            ("logical_or", "or", "ror"),
            ("logical_xor", "xor", "rxor"),
            ("matmul", "matmul", "rmatmul"),
            ("multiply", "mul", "rmul"),
            ("negative", "neg", "neg"),
            ("not_equal", "ne", "ne"),
            ("positive", "pos", "pos"),
            ("subtract", "sub", "rsub"),
        )
    }
)

_METHODS = ("all", "any", "argmax", "argmin", "clip", "cumsum", "max", "mean", "min", "reshape", "std", "sum", "var")


def _square(x: Any) -> Any:
    return x * x


def _permute_dims(x: Value, axes: Sequence[int] | None = None) -> Value:
    return x.transpose(*(axes or ()))


def _histogram(x: Value, bins: Sequence[float]) -> tuple[Value, Sequence[float]]:
    return filters.histogram(x, bins), bins


FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        **_OPERATORS,
        **{name: getattr(Value, name) for name in _METHODS if hasattr(Value, name)},
        **{name: getattr(functions, name) for name in functions.__all__ if name[0].islower() and name != "reveal"},
        **{name: getattr(elementwise, name) for name in elementwise.__all__},
        **{name: getattr(order, name) for name in ("argsort", "median", "quantile", "sort")},
        "abs": functions.absolute,
        "amax": Value.max,
        "amin": Value.min,
        "concatenate": functions.concat,
        "cumulative_sum": Value.cumsum,
        "histogram": _histogram,
        "permute_dims": _permute_dims,
        "square": _square,
        "transpose": _permute_dims,
    }
)
"""Every function of numpy's that secret values have, by numpy's name or the standard's."""


def call(name: str, *args: Any, **kwargs: Any) -> Any:
    """What numpy's function of this name is on secret values. Raises ScriptError naming the nearest that exists."""
    if name not in FUNCTIONS:
        near = difflib.get_close_matches(name, FUNCTIONS, 1)
        hint = f"The nearest there is: {near[0]}. " if near else ""
        raise ScriptError(f"numpy's `{name}` does not exist for secret values", f"{hint}See docs/operations.md.")
    return FUNCTIONS[name](*args, **kwargs)
