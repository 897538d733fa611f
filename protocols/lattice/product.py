"""A private product of two parties without a third: X Y modulo 2^64, shared additively between X's and Y's owner.

As in Cheetah (Huang, Lu, Hong, Ding, USENIX Security 2022, section 3): X travels encrypted, Y's owner multiplies and
adds, a masked answer comes back. Semi-honest: who deviates is not caught, and X's owner can then learn about Y
(docs/lattice.md). One message each way, in pieces: one party encrypts while the other multiplies, and so with answers.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from protocols import ring as ring_words
from protocols.correlations import Label
from protocols.lattice.encryption import HEADER_WORDS, Answerer, Encryptor
from protocols.lattice.ntt import ring
from protocols.lattice.packing import join_digits, pack_x
from protocols.lattice.parameters import HIDING, KEPT, Parameters, choose
from protocols.ot.messages import receive, send
from protocols.prg import Stream
from protocols.products import Product
from protocols.ring import Array
from protocols.rounds import gather

__all__ = ["LatticeProduct", "answer", "encrypt", "multiply", "pays", "plan"]

_LEAST_TERMS = 1 << 12


@dataclass(frozen=True)
class LatticeProduct:
    """How a dot or matrix product runs, the same at both parties: which side is encrypted, in which passes."""

    product: Product
    left_encrypted: bool
    passes: tuple[Parameters, ...]

    @property
    def x_encrypted(self) -> bool:
        """Whether the product's first operand is the encrypted one; its owner then calls `encrypt`, else `answer`."""
        return self.left_encrypted != self.product.flipped

    @cached_property
    def messages(self) -> tuple[tuple[int, int], ...]:
        """The words of every exchange in order: (from the owner who encrypts, from the one who answers)."""
        messages: list[tuple[int, int]] = []
        for p in self.passes:
            messages.append((HEADER_WORDS, 0))
            messages += [(p.block_words * len(blocks), 0) for blocks in p.segments]
            messages += [(0, p.answer_words(part)) for part in p.answers]
        return tuple(messages)

    @property
    def words(self) -> tuple[int, int]:
        """Words in all: (from the owner who encrypts, from the one who answers)."""
        return sum(sent for sent, _ in self.messages), sum(answered for _, answered in self.messages)

    @property
    def weight(self) -> int:
        """The most words in one exchange: a `Task`'s weight."""
        return max(map(max, self.messages), default=0)

    @property
    def nanoseconds(self) -> int:
        """About how long it takes, one party's work after the other's."""
        return sum(p.nanoseconds for p in self.passes)

    def matrix(self, operand: Array, *, encrypted: bool) -> Array:
        """An operand as the passes take it: X (rows x length) if `encrypted`, else Y (length x columns)."""
        left = encrypted == self.left_encrypted
        matrix = operand if operand.ndim == 2 else operand[None] if left else operand[:, None]
        return matrix if self.left_encrypted else matrix.T

    def result(self, parts: list[Array]) -> Array:
        """The passes' shares put together."""
        if not parts:
            return np.zeros(self.product.out_shape, np.uint64)
        whole = np.concatenate(parts)
        return (whole if self.left_encrypted else whole.T).reshape(self.product.out_shape)

    def warm(self) -> None:
        """Load the compiled loops and make the tables now, and not in the middle of a round: a second or two."""
        from protocols.lattice import conversions, transforms  # noqa: F401

        for p in set(self.passes):
            ring(p.degree, p.primes)
            ring(p.degree, p.primes[:KEPT])

    def rows(self) -> Iterator[tuple[int, Parameters, slice]]:
        """Every pass: its number, parameters, and rows."""
        start = 0
        for number, p in enumerate(self.passes):
            yield number, p, slice(start, start + p.rows)
            start += p.rows


def pays(product: Product) -> bool:
    """Whether it is a matrix product of so many products of words that it costs less than by oblivious transfer."""
    left = product.y_shape if product.flipped else product.x_shape
    return product.kind == "matmul" and math.prod(product.out_shape) * left[-1] >= _LEAST_TERMS


def plan(product: Product, *, hiding: float = HIDING, digits: int = 1) -> LatticeProduct:
    """The faster of encrypting either operand of a dot or matrix product.

    `hiding`: the bits that hide all products of the session together.
    `digits` of Y: 2 sends a sixth less and computes half as much again. Raises ValueError where it cannot be done.
    """
    if product.kind != "matmul":
        raise ValueError("lattice: only dots and matrix products; elementwise ones need another technique")
    left, right = (product.y_shape, product.x_shape) if product.flipped else (product.x_shape, product.y_shape)
    hiding += math.log2(product.in_session)
    rows, length, columns = (left[0] if len(left) > 1 else 1), left[-1], (right[1] if len(right) > 1 else 1)
    if 0 in (rows, length, columns):
        return LatticeProduct(product, True, ())
    ways = (
        LatticeProduct(product, True, choose(rows, length, columns, hiding=hiding, digits=digits)),
        LatticeProduct(product, False, choose(columns, length, rows, hiding=hiding, digits=digits)),
    )
    return min(ways, key=lambda way: way.nanoseconds)


async def encrypt(
    peer: int, how: LatticeProduct, operand: Array, label: Label, randomness: Stream | None = None
) -> Array:
    """The part of the owner of the operand that is encrypted; gives its additive share of the product.

    `label` names session, product and direction, the same at both parties, never used twice. `randomness`: for tests.
    Raises InvalidMessage when what comes cannot be an answer.
    """
    randomness = randomness or Stream(os.urandom(32))
    x = how.matrix(operand, encrypted=True)
    shares = []
    for number, p, rows in how.rows():
        key = Encryptor(peer, p, (*label, number), randomness)
        await send(peer, key.header)
        for blocks in p.segments:
            # 1. b = q x / 2^64 + e - a s for every block; block 0, x = 0, is the public key
            await send(peer, key.encrypt(pack_x(p, x[rows], blocks), blocks))
        parts = []
        for answers in p.answers:
            # 3. z = 2^64 (c0 + c1 s) / q
            parts.append(key.decrypt(await receive(peer, p.answer_words(answers)), answers))
        shares.append(join_digits(p, np.concatenate(parts, axis=1)))
    return how.result(shares)


async def answer(
    peer: int, how: LatticeProduct, operand: Array, label: Label, randomness: Stream | None = None
) -> Array:
    """The part of the other operand's owner; gives its additive share of the product.

    As for `encrypt`; raises InvalidMessage when what comes cannot be ciphertexts under a key for this label.
    """
    randomness = randomness or Stream(os.urandom(32))
    y = how.matrix(operand, encrypted=False)
    shares = []
    for index, p, _ in how.rows():
        header = await receive(peer, HEADER_WORDS)
        key = Answerer(peer, p, (*label, index), header, y, randomness)
        for blocks in p.segments:
            # 2. c0 and c1 = the sums of b and a times y; block 0 is multiplied by a random u
            key.receive(await receive(peer, p.block_words * len(blocks)), blocks)
        parts = []
        for number in range(len(p.answers)):
            words, share = key.answer(number)
            parts.append(share)
            await send(peer, words)
        shares.append(join_digits(p, np.concatenate(parts, axis=1)))
    return how.result(shares)


async def multiply(
    index: int,
    how: LatticeProduct,
    x: Array | None,
    y: Array | None,
    x_holders: Sequence[int],
    y_holders: Sequence[int],
    label: Label,
) -> Array:
    """A holder's additive share of the product of two operands, each shared additively among parties or one party's.

    Every holder multiplies its own shares, and each two holders the cross terms of theirs, in lock step. For h cross
    terms in all, `how` hides by log2 h bits less than it was asked to.
    """
    share = np.zeros(how.product.out_shape, np.uint64)
    if x is not None and y is not None:
        ring_words.add(share, how.product(x, y), out=share)
    parts = []
    for i in x_holders:
        for j in y_holders:
            if index == i != j and x is not None:
                parts.append((encrypt if how.x_encrypted else answer)(j, how, x, (*label, i, j)))
            elif index == j != i and y is not None:
                parts.append((answer if how.x_encrypted else encrypt)(i, how, y, (*label, i, j)))
    for part in await gather(*parts):
        ring_words.add(share, part, out=share)
    return share
