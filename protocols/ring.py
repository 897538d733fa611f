"""Arithmetic modulo 2^64 on uint64 arrays. Wrapping around is what the ring is; it never warns.

numpy does what it does at the speed of memory: elementwise operations, sums, products with a vector. Large matrix
products and Beaver combinations go to compiled loops in `protocols.kernels`, imported when first needed: loading numba
takes about 0.4 s, and compiling some 3 s more wherever no cache can be kept.

Operands of another dtype raise TypeError, shapes that do not fit ValueError. Results are always arrays, 0-d ones too.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "add", "beaver_combine", "matmul", "multiply", "negate", "subtract", "sum", "warm"]

Array = NDArray[np.uint64]
_Operand = Array | np.uint64

# Where compiled loops start to pay, measured. Below these sizes numpy needs less than half a millisecond.
_COMPILED_COMBINE = 1 << 16
_COMPILED_MATMUL = 1 << 20

_SUBSCRIPTS = {(1, 1): "k,k->", (2, 1): "ik,k->i", (1, 2): "k,kj->j", (2, 2): "ik,kj->ij"}


def add(x: _Operand, y: _Operand, out: Array | None = None) -> Array:
    """x + y elementwise, broadcasting; written to `out` where given, which may be x or y."""
    return np.asarray(np.add(x, y, out=out, dtype=np.uint64, casting="no"))


def subtract(x: _Operand, y: _Operand, out: Array | None = None) -> Array:
    """x - y elementwise, broadcasting; written to `out` where given, which may be x or y."""
    return np.asarray(np.subtract(x, y, out=out, dtype=np.uint64, casting="no"))


def negate(x: Array) -> Array:
    """-x elementwise."""
    return np.asarray(np.negative(x, dtype=np.uint64, casting="no"))


def multiply(x: _Operand, y: _Operand, out: Array | None = None) -> Array:
    """x * y elementwise, broadcasting; written to `out` where given, which may be x or y."""
    return np.asarray(np.multiply(x, y, out=out, dtype=np.uint64, casting="no"))


def sum(x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """The sum over all elements, one axis or several; these axes vanish."""
    _check_words(x)
    return np.asarray(np.sum(x, axis=axis, dtype=np.uint64))


def matmul(x: Array, y: Array) -> Array:
    """x @ y by numpy.matmul's rules, for one or two dimensions and any strides; two vectors give a 0-d array."""
    _check_words(x, y)
    subscripts = _SUBSCRIPTS.get((x.ndim, y.ndim))
    if subscripts is None or x.shape[-1] != y.shape[0]:
        raise ValueError(
            f"ring.matmul: shapes {x.shape} and {y.shape} do not fit; give (m, k) or (k,) and (k, n) or (k,)"
        )
    if not _compiled_matmul_pays(x.shape, y.shape):
        return np.asarray(np.einsum(subscripts, x, y))
    from protocols import kernels

    product = np.zeros((x.shape[0], y.shape[1]), np.uint64)
    kernels.matmul(_aligned(x), _aligned(y.T), product)
    return product


def beaver_combine(c: Array, d: Array, b: Array, a: Array, e: Array, add_de: bool, out: Array | None = None) -> Array:
    """c + d * b + a * e, and + d * e if `add_de`: Beaver's last line, elementwise, in one pass over memory.

    All operands have one shape; so has `out` where given, which may be one of them but not overlap one in part.
    """
    operands = (c, d, b, a, e)
    _check_words(*operands, *(() if out is None else (out,)))
    if any(operand.shape != c.shape for operand in operands) or (out is not None and out.shape != c.shape):
        raise ValueError(f"ring.beaver_combine: shapes differ: {[operand.shape for operand in operands]}")
    if c.size < _COMPILED_COMBINE:
        product = multiply(d, add(b, e) if add_de else b)
        add(product, multiply(a, e), out=product)
        return add(c, product, out=out)
    from protocols import kernels

    result = out if out is not None and out.flags.carray else np.empty(c.shape, np.uint64)
    kernels.beaver_combine(_flat(c), _flat(d), _flat(b), _flat(a), _flat(e), add_de, result.reshape(-1))
    if out is None or result is out:
        return result
    out[...] = result
    return out


def warm(x_shape: tuple[int, ...], y_shape: tuple[int, ...], *, elementwise: bool) -> None:
    """Load the compiled loops now, if a product of these shapes will want them, and not in the middle of a round."""
    wanted = math.prod(x_shape) >= _COMPILED_COMBINE if elementwise else _compiled_matmul_pays(x_shape, y_shape)
    if wanted:
        from protocols import kernels  # noqa: F401


def _compiled_matmul_pays(x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> bool:
    """Large, two matrices, and neither a vector in disguise nor a contraction too short to vectorise along."""
    if len(x_shape) != 2 or len(y_shape) != 2:
        return False
    (rows, length), columns = x_shape, y_shape[1]
    return rows * length * columns >= _COMPILED_MATMUL and length >= 8 and min(rows, columns) >= 2


def _check_words(*arrays: Array) -> None:
    for array in arrays:
        if array.dtype != np.uint64:
            raise TypeError(f"ring: expected uint64 words, got {array.dtype}; encode values before sharing them")


def _aligned(x: Array) -> Array:
    """x where compiled code can read it word by word; only bytes from a frame may have to be moved for that."""
    return np.require(x, requirements="A")


def _flat(x: Array) -> Array:
    return np.ascontiguousarray(_aligned(x)).reshape(-1)
