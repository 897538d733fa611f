"""Products of private words from oblivious transfer, and from these products of shared ones.

N. Gilboa, "Two Party RSA Key Generation", CRYPTO '99; with correlated OTs of 64 - i bits for bit i as in D. Demmler,
T. Schneider, M. Zohner, "ABY", NDSS 2015, section III-A. Adversary: semi-honest, up to all parties but one.
Departures: a word times a whole row of words by the same 64 OTs; payloads of bits i and 64 - i share a word.

For bit i of x the sender has pads r_i and s_i, the receiver r_i where the bit is 0 and s_i where it is 1. The sender
tells r_i - s_i + y; so the receiver has r_i + x_i y, and sum 2^i (r_i + x_i y) - sum 2^i r_i = x y.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from protocols import ring
from protocols.ot.correlated import Mesh, Receiver, Sender
from protocols.ot.layout import Layout, Piece
from protocols.ot.messages import receive, send
from protocols.ot.pipeline import pipelined
from protocols.products import Product
from protocols.ring import Array
from protocols.rounds import Task

__all__ = ["multiply", "multiply_received", "multiply_sent", "payload_words"]

_BITS = 64


def payload_words(products: int) -> int:
    """Words that the sender sends: 32 and a half for each product of a word with a word."""
    return 32 * products + -(-products // 2)


async def multiply_sent(ot: Sender, y: Array) -> Array:
    """The end that has the words, two rounds: its shares of x[t] y[t, j]; y has shape (entries, columns)."""
    from protocols.ot import kernels

    entries, columns = y.shape
    words, payload, share = y.reshape(-1), np.empty(payload_words(y.size), np.uint64), np.empty(y.size, np.uint64)
    payload[-1:] = 0  # of an odd number of half words one means nothing
    for start, zero, one in (await ot.extend(_BITS * entries)).strips(columns):
        kernels.weigh(zero, columns * start, share)
        kernels.gilboa_send(zero, one, words, columns * start, payload, _halves(payload, y.size))
    await send(ot.peer, payload)
    return ring.negate(share).reshape(y.shape)


async def multiply_received(ot: Receiver, x: Array, columns: int) -> Array:
    """The end whose words are taken by their bits, two rounds: its shares of x[t] y[t, j], shape (entries, columns)."""
    from protocols.ot import kernels

    share = np.empty(x.size * columns, np.uint64)
    for start, pads in (await ot.extend(x, _BITS * x.size)).strips(columns):
        kernels.weigh(pads, columns * start, share)
    payload = await receive(ot.peer, payload_words(share.size))
    kernels.gilboa_receive(np.repeat(x, columns), payload, _halves(payload, share.size), share)
    return share.reshape(x.size, columns)


def _halves(payload: Array, products: int) -> NDArray[np.uint32]:
    """The half words at the end."""
    return payload.view(np.uint32)[64 * products : 65 * products]


async def multiply(
    mesh: Mesh,
    product: Product,
    x: Array | None,
    y: Array | None,
    x_holders: Sequence[int],
    y_holders: Sequence[int],
) -> Array:
    """This party's share of x times y, x shared among some parties and y among some; a holder alone has the value.

    All parties of the mesh take part; one that holds neither (None) has zeros. At most one round more than pieces.
    """
    layout = Layout(product)
    operands = (mesh.held(x, x_holders), x_holders), (mesh.held(y, y_holders), y_holders)
    bits, words = operands if layout.bits_of_x else reversed(operands)
    collected = layout.empty()
    await pipelined(_pieces(mesh, layout, *bits, *words, collected))
    share = layout.result(collected)
    return share if x is None or y is None else ring.add(share, product(x, y))


def _pieces(
    mesh: Mesh,
    layout: Layout,
    bits: Array,
    receivers: Sequence[int],
    words: Array,
    senders: Sequence[int],
    collected: Array,
) -> Iterator[Task[None]]:
    """The products of one party's entries with another one's rows, in pieces."""
    entries = layout.entries_of(bits) if mesh.me in receivers else bits
    rows = layout.rows_of(words) if mesh.me in senders else words

    async def cross(piece: Piece) -> None:
        shares = await mesh.cross(
            senders,
            receivers,
            lambda ot: multiply_sent(ot, layout.rows_for(piece, rows)),
            lambda ot: multiply_received(ot, entries[piece.start : piece.stop], piece.columns),
        )
        for share in shares:
            layout.collect(collected, piece, share)

    for piece in layout.pieces():
        yield Task(partial(cross, piece), payload_words(piece.entries * piece.columns))
