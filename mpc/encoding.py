"""Columns become ring elements and results become numbers again. Nothing is cut off or wrapped without an error."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mpc.errors import DataError
from mpc.operations import Params
from mpc.types import BOOLEAN, Type
from protocols.ring import Array

__all__ = ["check_column", "decode", "encode_column"]

_BLOCK = 1 << 15

_ROUNDING = np.float64(3 << 51)
"""1.5 * 2^52. The sum with a number below 2^51 is rounded to a whole number, which its lowest bits then hold: twice as
fast as rounding and converting."""

_ROUNDING_BITS = _ROUNDING.view(np.int64)


def encode_column(values: NDArray[np.int64] | NDArray[np.float64], params: Params, *, overwrite: bool = False) -> Array:
    """A column as ring elements, as its `column` step (`params`) declares it.

    Raises DataError naming party, table, column and how many rows are missing, infinite or outside the declared range;
    never a value. With `overwrite` a float column's own memory is used.
    """
    name = f"{params['party']}.{params['table']}.{params['column']}"
    if values.shape != (params["rows"],):
        raise DataError(
            f"{name} has {values.shape[0]:,} rows, the plan was made for {params['rows']:,}",
            "The table changed since the script was submitted, or is not the one that was declared. Submit again.",
        )
    _check_kind(name, values, params["kind"])
    low, high = params["low"], params["high"]
    encoded: NDArray[np.int64]
    if params["kind"] == "integer":
        encoded = values.astype(np.int64, copy=False)
        outside, undefined = int(np.count_nonzero((encoded < params["low"]) | (encoded > params["high"]))), 0
    else:
        reals = values.astype(np.float64, copy=False)
        overwrite = (overwrite or reals is not values) and reals.flags.writeable
        encoded = reals.view(np.int64) if overwrite else np.empty(reals.shape, np.int64)
        outside, undefined = _encode_reals(reals, encoded, params)
    if undefined:
        raise DataError(
            f"{name}: {undefined:,} rows hold NaN or an infinity", "Fill or drop these rows at their owner."
        )
    if outside:
        raise _out_of_range(name, outside, low, high)
    return encoded.view(np.uint64)


def check_column(
    name: str, values: NDArray[np.int64] | NDArray[np.float64], kind: str, low: float, high: float
) -> None:
    """Raise DataError, as `encode_column` does, where the values of a column are not as they are declared."""
    _check_kind(name, values, kind)
    if values.size and not (values.min() >= low and values.max() <= high):
        raise _out_of_range(name, int(np.count_nonzero((values < low) | (values > high))), low, high)


def _check_kind(name: str, values: NDArray[np.int64] | NDArray[np.float64], kind: str) -> None:
    if kind == "integer" and values.dtype != np.int64:
        raise DataError(f"{name} holds real numbers, an integer column is declared", "Correct the agreement's type.")


def _out_of_range(name: str, rows: int, low: float, high: float) -> DataError:
    return DataError(
        f"{name}: {rows:,} rows lie outside the declared range [{low}, {high}]",
        "Correct the data, or declare the range that they have (`beaver agreement draft`).",
    )


def _encode_reals(values: NDArray[np.float64], encoded: NDArray[np.int64], params: Params) -> tuple[int, int]:
    """Round values * 2^scale into `encoded`, block by block; how many rows are outside the range, and not numbers.

    `encoded` may be the memory of `values`. When a row is refused, what is there is of no use.
    """
    low, high, factor = params["low"], params["high"], 2.0 ** params["scale"]
    small = max(abs(low), abs(high)) * factor < 2.0**51
    outside = undefined = 0
    scaled = np.empty(_BLOCK, np.float64)
    for start in range(0, values.size, _BLOCK):
        block = values[start : start + _BLOCK]
        if not (block.min() >= low and block.max() <= high):
            missing = block.size - int(np.count_nonzero(np.isfinite(block)))
            undefined += missing
            outside += block.size - missing - int(np.count_nonzero((block >= low) & (block <= high)))
        elif not outside and not undefined:
            product = np.multiply(block, factor, out=scaled[: block.size])
            if small:
                product += _ROUNDING
                np.subtract(product.view(np.int64), _ROUNDING_BITS, out=encoded[start : start + _BLOCK])
            else:
                encoded[start : start + _BLOCK] = np.rint(product, out=product)
    return outside, undefined


def decode(
    elements: Array, type_: Type, unit: bytes = b""
) -> bool | int | float | NDArray[np.bool_] | NDArray[np.int64] | NDArray[np.float64]:
    """A revealed value in its own units: bool, int or float for a scalar, an array of these for an array.

    `unit`: what it is multiplied by then, as its `reveal` step has it.
    """
    if unit:
        scaled = np.asarray(decode(elements, type_)) * np.frombuffer(unit, "<f8").reshape(type_.shape)
        return scaled if type_.shape else float(scaled)
    signed = elements.view(np.int64)
    if type_.domain == BOOLEAN:
        return bool(signed.reshape(-1)[0]) if not type_.shape else (signed != 0).reshape(type_.shape)
    whole = type_.domain.kind == "integer" and type_.domain.denominator == 1
    if not type_.shape:
        element = int(signed.reshape(-1)[0])
        return element if whole else float(Fraction(element, type_.domain.denominator))
    if whole:
        return signed.reshape(type_.shape)
    return np.ldexp(signed.reshape(type_.shape) / type_.domain.divisor, -type_.domain.scale)
