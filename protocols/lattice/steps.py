"""Compiled steps of the protocol, one prime after the other: what a step needs of one prime stays in the cache.

Importing this compiles, or reads from disk.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from protocols.jit import compiled, inner
from protocols.lattice.conversions import add_limb, rounding, scaled
from protocols.lattice.modular import Residues, Words, subtract, times
from protocols.lattice.transforms import add_products, transform

__all__ = ["apply", "encrypt"]

_VECTOR = types.Array(types.uint32, 1, "C", readonly=True)
_TABLES = types.Array(types.uint32, 3, "C", readonly=True)
_PERIODS = types.Array(types.uint64, 1, "C", readonly=True)
_TRANSFORMS = types.Array(types.uint32, 4, "C", readonly=True)
_WORDS = types.Array(types.uint64, 3, "C", readonly=True)
_SUMS = types.uint32[:, :, :, ::1]

_u64 = np.uint64


@inner
def _subtract_product(x: Residues, factors: Residues, quotients: Residues, p: np.uint32, out: Residues) -> None:
    for j in range(out.size):
        out[j] = subtract(out[j], times(x[j], factors[j], quotients[j], p), p)


@inner
def _within(x: Residues, p: np.uint32) -> np.bool_:
    largest = np.uint32(0)
    for j in range(x.size):
        largest = max(largest, x[j])
    return largest < p


@compiled(_WORDS, _WORDS, _TABLES, _TABLES, _TABLES, types.uint64, _TABLES, _PERIODS, _VECTOR, _VECTOR, _SUMS)
def encrypt(
    x: Words,
    random: Words,
    a: Residues,
    secrets: Residues,
    quotients: Residues,
    q: np.uint64,
    tables: Residues,
    periods: Words,
    primes: Residues,
    inverses: Residues,
    out: Residues,
) -> None:
    """Set out (groups, blocks, primes, n) to the transforms of q x / 2^64 + error, less a s."""
    groups, blocks, n = x.shape
    small = np.empty((groups, blocks, n), np.uint32)
    scratch = np.empty((2, n), np.uint32)
    for g in range(groups):
        for k in range(blocks):
            rounding(x[g, k], random[g, k], q, small[g, k])
    for i in range(primes.size):
        for g in range(groups):
            for k in range(blocks):
                b = out[g, k, i]
                scaled(x[g, k], small[g, k], q, primes[i], inverses[i], b)
                transform(b, tables[i], periods, primes[i], scratch)
                _subtract_product(a[k, i], secrets[g, i], quotients[g, i], primes[i], b)


@compiled(
    _WORDS, _TABLES, _TRANSFORMS, _TRANSFORMS, _TABLES, _PERIODS, _VECTOR, _VECTOR, _SUMS, _SUMS, types.boolean[::1]
)
def apply(
    y: Words,
    constants: Residues,
    b: Residues,
    a: Residues,
    tables: Residues,
    periods: Words,
    primes: Residues,
    inverses: Residues,
    c0: Residues,
    c1: Residues,
    valid: NDArray[np.bool_],
) -> None:
    """Add the sums over blocks of b y to c0 (groups, answers, primes, high wide), of a y to c1 (1, answers, primes, n).

    `valid`: whether all of b are residues, without which nothing of it is used.
    y (answers, blocks, n): two's complement; b (groups, blocks, primes, n) and a (1, blocks, primes, n): transforms.
    """
    answers, blocks, n = y.shape
    factors = np.empty((answers, blocks, 1, n), np.uint32)
    scratch = np.empty((2, n), np.uint32)
    valid[0] = True
    for g in range(b.shape[0]):
        for k in range(blocks):
            for i in range(primes.size):
                valid[0] = valid[0] and _within(b[g, k, i], primes[i])
    if not valid[0]:
        return
    for i in range(primes.size):
        for j in range(answers):
            for k in range(blocks):
                factor = factors[j, k, 0]
                factor[:] = 0
                add_limb(y[j, k], constants[i, 0], primes[i], factor)
                transform(factor, tables[i], periods, primes[i], scratch)
        add_products(b, factors, _u64(i), _u64(0), primes[i], inverses[i], c0)
        add_products(a, factors, _u64(i), _u64(0), primes[i], inverses[i], c1)
