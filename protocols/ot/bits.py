"""Products of bits from oblivious transfer: with bits, shared by XOR; and with words, shared additively.

M. Asharov, Y. Lindell, T. Schneider, M. Zohner, "More Efficient Oblivious Transfer", CCS 2013, for the correlated OTs.
Adversary: semi-honest, up to all parties but one. One OT a product, with a payload of one bit or of one word. Bits
stand 64 to a word: bit i is bit i % 64 of word i // 64; those beyond the count mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from protocols import ring
from protocols.ot.correlated import Mesh, Receiver, Sender
from protocols.ot.messages import receive, send
from protocols.ot.pipeline import PIPELINE_WORDS, pipelined
from protocols.ring import Array
from protocols.rounds import Task

__all__ = ["BLOCK_BITS", "and_bits", "packed_words", "runs", "scale_words", "unpack"]

BLOCK_BITS = PIPELINE_WORDS // 2
"""Most OTs of one piece: at a word each, their payloads are half of what may be under way."""


def packed_words(bits: int) -> int:
    """Words that hold so many bits."""
    return -(-bits // 64)


def unpack(bits: Array, count: int) -> Array:
    """The first `count` bits, a word each."""
    return np.unpackbits(bits.view(np.uint8), count=count, bitorder="little").astype(np.uint64)


def runs(count: int, most: int) -> Iterator[tuple[int, int]]:
    """Where to cut so many things into runs of at most `most`: (start, stop)."""
    for start in range(0, count, most):
        yield start, min(start + most, count)


async def and_bits(
    mesh: Mesh, x: Array | None, y: Array | None, count: int, x_holders: Sequence[int], y_holders: Sequence[int]
) -> Array:
    """This party's share by XOR of x & y, for `count` bits; x is shared among some parties, y among some.

    All parties of the mesh take part; one that holds neither (None) has zeros. At most one round more than pieces.
    """
    own_x, own_y = mesh.held(x, x_holders), mesh.held(y, y_holders)
    share = np.zeros(packed_words(count), np.uint64) if x is None or y is None else x & y

    async def cross(start: int, stop: int) -> None:
        place, bits = slice(start // 64, packed_words(stop)), stop - start
        for part in await mesh.cross(
            y_holders,
            x_holders,
            lambda ot: _and_sent(ot, own_y[place], bits),
            lambda ot: _and_received(ot, own_x[place], bits),
        ):
            share[place] ^= part

    await pipelined(Task(partial(cross, *run), (run[1] - run[0]) // 2 + 1) for run in runs(count, BLOCK_BITS))
    return share


async def scale_words(
    mesh: Mesh, bits: Array | None, words: Array | None, count: int, owner: int, holders: Sequence[int]
) -> Array:
    """This party's additive share of b w, for `count` bits b of one party and as many words w shared among some.

    All parties of the mesh take part; one that holds neither (None) has zeros. At most one round more than pieces.
    """
    own_bits, own_words = mesh.held(bits, (owner,)), mesh.held(words, holders)
    share = np.zeros(count, np.uint64)
    if bits is not None and words is not None:
        ring.multiply(unpack(bits, count), words, out=share)

    async def cross(start: int, stop: int) -> None:
        for part in await mesh.cross(
            holders,
            (owner,),
            lambda ot: _scale_sent(ot, own_words[start:stop]),
            lambda ot: _scale_received(ot, own_bits[start // 64 : packed_words(stop)], stop - start),
        ):
            ring.add(share[start:stop], part, out=share[start:stop])

    await pipelined(Task(partial(cross, *run), run[1] - run[0]) for run in runs(count, BLOCK_BITS))
    return share


async def _and_sent(ot: Sender, y: Array, count: int) -> Array:
    """Pads r and s, of one bit each: tell r + s + y, keep r."""
    from protocols.ot import kernels

    r, s = np.empty((2, packed_words(count)), np.uint64)
    for start, zero, one in (await ot.extend(count)).strips():
        kernels.pack(zero, start, r)
        kernels.pack(one, start, s)
    await send(ot.peer, r ^ s ^ y)
    return r


async def _and_received(ot: Receiver, x: Array, count: int) -> Array:
    """The pad chosen by x, and x times what was told: r + x y."""
    from protocols.ot import kernels

    r = np.empty(packed_words(count), np.uint64)
    for start, pads in (await ot.extend(x, count)).strips():
        kernels.pack(pads, start, r)
    return r ^ (x & await receive(ot.peer, packed_words(count)))


async def _scale_sent(ot: Sender, words: Array) -> Array:
    """Pads r and s, of one word each: tell r - s + w, keep -r."""
    zero, one = (await ot.extend(words.size)).pads()
    await send(ot.peer, ring.add(ring.subtract(zero, one), words[:, np.newaxis]))
    return ring.negate(zero).reshape(-1)


async def _scale_received(ot: Receiver, bits: Array, count: int) -> Array:
    """The pad chosen by b, and b times what was told: r + b w."""
    from protocols.ot import kernels

    share = (await ot.extend(bits, count)).pads().reshape(-1)
    kernels.add_chosen(bits, await receive(ot.peer, count), share)
    return share
