"""Products whose exact value the ring could not hold: operands in two limbs, each partial product truncated.

x = x' 2^L + x'' with both limbs short enough that the partial products fit. The limb x' is a truncation, so x'' is
exact and less than two units of x'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mpc.circuits.builder import Ring, concat
from mpc.instructions import SecretProduct
from protocols.products import Product

__all__ = ["LIMB_BITS", "divided", "rounded_product"]

_MOST = 62
"""Bits that a truncated number may have, its sign included: it lies within +-2^62, a bit is spare."""

_SIDE_BY_SIDE = 1 << 14
"""Words of operands and result up to which limbs are multiplied together."""

LIMB_BITS = 6
"""Bits that each operand must leave free, those of the number of terms included."""


def rounded_product(product: Product, x: Ring, y: Ring, x_bits: int, y_bits: int, shift: int) -> Ring:
    """x times y, divided by 2^shift: two rounds where the exact product fits, else three. Errors below four units.

    `x_bits`, `y_bits`: of signed integers that hold the operands; with the bits of the number of terms each must leave
    LIMB_BITS of the ring free.
    """
    terms = ((product.x_shape[-1] if product.kind == "matmul" else 1) - 1).bit_length()
    if x_bits + y_bits - 1 + terms <= _MOST:
        return _product(product, x, y).scaled(-shift)
    for long, short, swap in ((x_bits, y_bits, False), (y_bits, x_bits, True)):
        limb = long + short + terms + 1 - _MOST
        if limb + 2 + short + terms <= _MOST:
            if swap:
                high, low = _products(product, [x], _limbs(y, limb), [(0, 0), (0, 1)])
            else:
                high, low = _products(product, _limbs(x, limb), [y], [(0, 0), (1, 0)])
            return high.scaled(limb - shift) + low.scaled(-shift)
    limb = max(0, -(-(x_bits + y_bits + terms + 2 - _MOST) // 2))
    lowest = [(1, 1)] if shift < 2 * limb + 2 + terms else []
    pairs = [(0, 0), (0, 1), (1, 0), *lowest]
    top, left, right, *rest = _products(product, _limbs(x, limb), _limbs(y, limb), pairs)
    total = top.scaled(2 * limb - shift) + (left + right).scaled(limb - shift)
    return total + rest[0].scaled(-shift) if rest else total


def divided(x: Ring, x_bits: int, shift: int, divisor: int) -> Ring:
    """x divided by 2^shift * divisor, which is at least 1: one round, or two where the divisor is not 1."""
    if divisor == 1:
        return x.scaled(-shift)
    # x / divisor = x * factor / 2^bits, the factor a public number of as many bits as x
    bits = x_bits + divisor.bit_length() - 1
    factor = ((1 << bits + 1) // divisor + 1) >> 1
    limb = max(0, -(-(x_bits + factor.bit_length() + 2 - _MOST) // 2))
    upper, lower = _limbs(x, limb)
    above, below = factor >> limb, factor & ((1 << limb) - 1)
    middle = upper * below + lower * above
    return (upper * above).scaled(2 * limb - shift - bits) + middle.scaled(limb - shift - bits)


def _products(product: Product, xs: Sequence[Ring], ys: Sequence[Ring], pairs: Sequence[tuple[int, int]]) -> list[Ring]:
    """Some of xs times some of ys. Small ones are computed side by side, so that each is masked once."""
    if product.words > _SIDE_BY_SIDE:
        return [_product(product, xs[i], ys[j]) for i, j in pairs]
    left, right, out = product.x_shape, product.y_shape, product.out_shape
    if product.kind == "multiply":
        left, right = (*[1] * (len(out) - len(left)), *left), (*[1] * (len(out) - len(right)), *right)
        x = concat([one.reshape(1, 1, *left) for one in xs])
        y = concat([one.reshape(1, 1, *right) for one in ys], axis=1)
        all_pairs = _product(Product("multiply", x.shape, y.shape), x, y)
        return [all_pairs[i, j] for i, j in pairs]
    rows, columns = math.prod(left[:-1]), math.prod(right[1:])
    x = concat([one.reshape(rows, left[-1]) for one in xs])
    y = concat([one.reshape(right[0], columns) for one in ys], axis=1)
    all_pairs = _product(Product("matmul", x.shape, y.shape), x, y)
    blocks = (all_pairs[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns] for i, j in pairs)
    return [block.reshape(*out) for block in blocks]


def _product(product: Product, x: Ring, y: Ring) -> Ring:
    number = x.builder.add(SecretProduct(product), (x.number, y.number), product.out_shape)
    return Ring(x.builder, number, product.out_shape)


def _limbs(x: Ring, bits: int) -> tuple[Ring, Ring]:
    upper = x.truncate(bits)
    return upper, x - upper * (1 << bits)
