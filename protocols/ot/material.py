"""What protocols consume, made by all parties together from oblivious transfer: no third party, no trusted setup.

Adversary: semi-honest, up to all parties but one. Every function gives this party's shares. All parties of the mesh
call the same functions with the same arguments in the same order. `draw` is a stream of this party's own, from a key
that nobody else has and that serves nothing else.

Random bits in both forms: D. Rotaru, T. Wood, "MArBled Circuits", INDOCRYPT 2019 (daBits), here without the check
against active adversaries; x + y - 2 x y is the sum of two bits, made by one product of a bit and a word a pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from protocols import ring
from protocols.ot import bits, gilboa
from protocols.ot.correlated import Mesh
from protocols.ot.pipeline import pipelined
from protocols.prg import Stream
from protocols.products import Product
from protocols.ring import Array
from protocols.rounds import Task

__all__ = ["RandomBits", "Truncations", "and_triples", "random_bits", "ring_triple", "truncations"]

_WORD_BITS = 64
_TUPLES = bits.BLOCK_BITS // _WORD_BITS


@dataclass(frozen=True, repr=False)
class RandomBits:
    """Uniform bits, shared twice: by XOR in `packed` (64 to a word), additively in `words` (one a bit)."""

    packed: Array
    words: Array


@dataclass(frozen=True, repr=False)
class Truncations:
    """Uniform words r shared additively, with r >> shift and the highest bit of r."""

    r: Array
    shifted: Array
    highest: Array


async def ring_triple(
    mesh: Mesh, product: Product, a_holders: Sequence[int], b_holders: Sequence[int], draw: Stream
) -> tuple[Array | None, Array | None, Array]:
    """a and b uniform, each shared among its holders (None elsewhere), and c = a x b among all of these."""
    a = draw.words(product.x_shape) if mesh.me in a_holders else None
    b = draw.words(product.y_shape) if mesh.me in b_holders else None
    return a, b, await gilboa.multiply(mesh, product, a, b, a_holders, b_holders)


async def and_triples(
    mesh: Mesh, count: int, a_holders: Sequence[int], b_holders: Sequence[int], draw: Stream
) -> tuple[Array | None, Array | None, Array]:
    """`count` uniform bits a and b, each shared by XOR among its holders (None elsewhere), and c = a & b; packed."""
    a = draw.words(bits.packed_words(count)) if mesh.me in a_holders else None
    b = draw.words(bits.packed_words(count)) if mesh.me in b_holders else None
    return a, b, await bits.and_bits(mesh, a, b, count, a_holders, b_holders)


async def random_bits(mesh: Mesh, count: int, draw: Stream) -> RandomBits:
    """Bits that no party knows, in n - 1 products one after another among n parties."""
    packed = draw.words(bits.packed_words(count))
    own = bits.unpack(packed, count)
    words = own if mesh.me == mesh.parties[0] else np.zeros(count, np.uint64)
    for place, owner in enumerate(mesh.parties[1:], 1):
        holders = mesh.parties[:place]
        mine, held = packed if mesh.me == owner else None, words if mesh.me in holders else None
        product = await bits.scale_words(mesh, mine, held, count, owner, holders)
        words = ring.subtract(own if mesh.me == owner else words, ring.add(product, product))
    return RandomBits(packed, words)


async def truncations(mesh: Mesh, count: int, shift: int, draw: Stream) -> Truncations:
    """Words r for truncation by `shift`, 1 to 63: 64 random bits each."""
    if not 1 <= shift < _WORD_BITS:
        raise ValueError(f"truncations: a shift of {shift}; it is between 1 and 63")
    weights = np.left_shift(np.uint64(1), np.arange(_WORD_BITS, dtype=np.uint64))
    made = Truncations(*(np.empty(count, np.uint64) for _ in range(3)))

    async def some(start: int, stop: int) -> None:
        words = (await random_bits(mesh, (stop - start) * _WORD_BITS, draw)).words.reshape(-1, _WORD_BITS)
        made.r[start:stop] = ring.matmul(words, weights)
        made.shifted[start:stop] = ring.matmul(words[:, shift:], weights[:-shift])
        made.highest[start:stop] = words[:, -1]

    await pipelined(Task(partial(some, *run), (run[1] - run[0]) * _WORD_BITS) for run in bits.runs(count, _TUPLES))
    return made
