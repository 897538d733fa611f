"""How matrices lie in polynomials, so that entries of their product are coefficients of products of polynomials.

Coefficient packing: Huang, Lu, Hong, Ding, "Cheetah", USENIX Security 2022, section 3; for matrices as in Hao et al.,
"Iron", NeurIPS 2022. Departure: the exponents of Y run downwards, so that results are at multiples of a block's depth.

A block of X, high x deep, becomes the sum of X[i, k] X^(i wide deep + k); a block of Y, deep x wide, the sum of
Y[k, j] X^(j deep - k), where X^n = -1. Where the two k are equal, their product has exponent (i wide + j) deep; where
they differ, the exponent is no multiple of deep. Blocks are counted along the length from 1: block 0 is no data, but an
encryption of zero.
"""

from __future__ import annotations

import numpy as np

from protocols.lattice.ntt import Residues
from protocols.lattice.parameters import Parameters
from protocols.ring import Array

__all__ = ["join_digits", "pack_x", "pack_y", "unpack"]

_32 = np.uint64(32)
_SIGN = np.uint64(1 << 31)
_LOW = np.uint64((1 << 32) - 1)


def pack_x(parameters: Parameters, x: Array, blocks: range) -> Array:
    """X (rows x length) in polynomials (groups, blocks, n)."""
    p, count = parameters, len(blocks)
    part = _part(x, p.groups * p.high, (blocks.start - 1) * p.deep, count * p.deep)
    entries = part.reshape(p.groups, p.high, count, p.deep).swapaxes(1, 2)
    if p.wide == 1:
        return np.ascontiguousarray(entries).reshape(p.groups, count, p.degree)
    packed = np.zeros((p.groups, count, p.high, p.wide, p.deep), np.uint64)
    packed[:, :, :, 0] = entries
    return packed.reshape(p.groups, count, p.degree)


def pack_y(parameters: Parameters, y: Array, blocks: range, answer: range) -> Array:
    """Some blocks of columns of Y (length x columns), in signed digits, in polynomials (answers, blocks, n)."""
    p, count, answers = parameters, len(blocks), len(answer)
    start, length = (blocks.start - 1) * p.deep, count * p.deep
    there = _digits(p, y[max(start, 0) : start + length], answer)
    part = _part(there.T, answers * p.wide, min(start, 0), length)
    entries = part.reshape(answers, p.wide, count, p.deep).swapaxes(1, 2)
    packed = np.zeros((answers, count, p.high * p.wide, p.deep), np.uint64)
    packed[:, :, : p.wide, 0] = entries[..., 0]
    packed[:, :, : p.wide - 1, 1:] = entries[:, :, 1:, :0:-1]
    # numpy's negative misreads some strided operands beside a strided `out` (2.3, 2.4)
    np.subtract(np.uint64(0), entries[:, :, 0, :0:-1], out=packed[:, :, -1, 1:])
    return packed.reshape(answers, count, p.degree)


def unpack(parameters: Parameters, coefficients: Residues, answer: range) -> Residues:
    """The results, modulo each prime one after another, in coefficients (groups, answers, primes, high wide)."""
    p = parameters
    groups, answers, primes, _ = coefficients.shape
    results = coefficients.reshape(groups, answers, primes, p.high, p.wide).transpose(2, 0, 3, 1, 4)
    results = results.reshape(primes, groups * p.high, answers * p.wide)[:, : p.rows, : p.outputs(answer)]
    return results.reshape(1, primes, -1)


def join_digits(parameters: Parameters, results: Array) -> Array:
    """The product, from the products with each digit of Y side by side."""
    if parameters.digits == 1:
        return results
    low, high = np.split(results, 2, axis=1)
    return low + (high << _32)


def _part(x: Array, rows: int, start: int, length: int) -> Array:
    """x[:, start : start + length], with zeros where there is nothing, as far as `rows`."""
    there = x[:, max(start, 0) : start + length]
    if there.shape == (rows, length):
        return there
    part = np.zeros((rows, length), np.uint64)
    part[: x.shape[0], max(-start, 0) :][:, : there.shape[1]] = there
    return part


def _digits(parameters: Parameters, y: Array, answer: range) -> Array:
    """Columns of y, or of its two digits side by side, in [-2^63, 2^63) or [-2^31, 2^31): two's complement."""
    start, stop = answer.start * parameters.wide, answer.start * parameters.wide + parameters.outputs(answer)
    if parameters.digits == 1:
        return y[:, start:stop]
    columns = np.arange(start, stop)
    y = y[:, columns % parameters.columns]
    low = ((y & _LOW) ^ _SIGN) - _SIGN
    high = (((y - low) >> _32) ^ _SIGN) - _SIGN
    return np.where(columns < parameters.columns, low, high)
