"""Real functions of secret values, element by element, by numpy's names.

`precision` is 20 unless `mpc.settings` says otherwise, up to 40. A plan that cannot keep to the errors told here, by
the ranges of its operands, is refused.
"""

from __future__ import annotations

from mpc.operations.real import RECORDED
from mpc.values import Operand, Value, record

__all__ = ["exp", "log", "reciprocal", "rsqrt", "sigmoid", "sqrt", "tanh"]


def reciprocal(x: Operand) -> Value:
    """1 / x, for x in any range without 0. The error is relative: at most 2^-precision |1 / x|.

    The largest |x| may be 2^40 times the smallest by default, 2^(60 - precision) times: both results must fit.
    """
    return _function("reciprocal", x)


def sqrt(x: Operand) -> Value:
    """The square root of x, in a range from 0 or above. The error is relative: at most 2^-precision sqrt(x).

    The root of 0 is 0.
    """
    return _function("sqrt", x)


def rsqrt(x: Operand) -> Value:
    """1 / sqrt(x), for x in any range above 0. The error is relative: at most 2^-precision / sqrt(x)."""
    return _function("rsqrt", x)


def exp(x: Operand) -> Value:
    """e^x. The error is relative: at most 2^-precision e^x.

    The range of x may be 27 wide by default, (60 - precision) log 2: the largest and the smallest result must both fit.
    """
    return _function("exp", x)


def log(x: Operand) -> Value:
    """The natural logarithm, for x in any range above 0. The error is at most 2^-precision max(|log x|, 1).

    Where |log x| is less than 1 over the whole range, its largest value takes the place of 1.
    """
    return _function("log", x)


def sigmoid(x: Operand) -> Value:
    """1 / (1 + e^-x), for any x. The error is absolute: at most 2^-precision."""
    return _function("sigmoid", x)


def tanh(x: Operand) -> Value:
    """The hyperbolic tangent, for any x. The error is absolute: at most 2^-precision."""
    return _function("tanh", x)


def _function(op: str, x: Operand) -> Value:
    return record(op, x, **RECORDED)
