"""Products within groups of four bits, shared by two parties, by four OTs a group; and the words that bits make.

Party 0 has a, party 1 has b, and r = a ^ b. For every group the products of its bits are a table of a ^ b: the sender
masks the table's row for each of the sixteen values that the receiver's group may have, and the receiver can take the
mask off one of them: 1-out-of-16 OT from four OTs of two, M. Naor, B. Pinkas, "Computationally Secure Oblivious
Transfer", Journal of Cryptology 2005, Protocol 3.1, with pads that are long enough for every value in the place of a
pseudorandom function. The words: r_i = a_i + b_i - 2 a_i b_i, and a_i b_i counts 2^(i+1) times, so that of a number of
w bits w - 1 - i bits are told of it, as in N. Gilboa, CRYPTO 1999. Adversary: semi-honest, either of the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from protocols.boolean import Term, multiplied
from protocols.masking import NIBBLE, nibble_products
from protocols.ot.bits import runs
from protocols.ot.correlated import Mesh
from protocols.ot.messages import receive, send
from protocols.ot.pipeline import PIPELINE_WORDS, pipelined
from protocols.ot.softspoken import correction_words
from protocols.ring import Array
from protocols.rounds import Task

__all__ = ["PRODUCTS", "grouped", "masks", "masks_words", "tables", "tables_words"]

PRODUCTS = nibble_products()
"""Of a group's bits, by their places."""

_VALUES = 1 << NIBBLE
_TOLD = 3
"""Words that hold fifteen rows of the table."""
_WORTH = 5
"""Products that make a table cheaper than two OTs of a bit each."""


async def masks(mesh: Mesh, rows: Array) -> tuple[Array, Array]:
    """As `tables`; and shares of the words r that the bits make, modulo 16^groups: bit j of nibble k at [j, k]."""
    r = np.empty(64 * rows.shape[-1], np.uint64)
    return await _made(mesh, rows, r), r


async def tables(mesh: Mesh, rows: Array) -> Array:
    """This party's shares, by XOR, of `PRODUCTS` of every group's bits: shape (11, groups, words).

    `rows`: its shares of the bits, shape (4, groups, words). Mesh of two parties, 0 and 1.
    """
    return await _made(mesh, rows, None)


def masks_words(nibbles: int, across: int) -> Mapping[int, int]:
    """The words that each of the two sends for `masks`."""
    return _words(nibbles, across, _narrow(nibbles))


def tables_words(groups: int, across: int) -> Mapping[int, int]:
    """The words that each of the two sends for `tables`."""
    return _words(groups, across, 0)


def grouped(products: Sequence[Term]) -> list[tuple[int, ...]]:
    """Groups of four bits, to have many of these products from few tables; one bit may fill several places.

    What a table would give too little of is left out, and so are products of more than four bits.
    """
    found: list[set[int]] = []
    for term in sorted((term for term in products if len(term) <= NIBBLE), key=lambda term: (-len(term), term)):
        fitting = [group for group in found if len(group.union(term)) <= NIBBLE]
        if fitting:
            max(fitting, key=lambda group: len(group.intersection(term))).update(term)
        else:
            found.append(set(term))
    had: set[Term] = set()
    groups = []
    for group in found:
        within = {term for term in products if group.issuperset(term)} - had
        if len(within) >= _WORTH:
            had |= within
            bits = sorted(group)
            groups.append((*bits, *bits[-1:] * (NIBBLE - len(bits))))
    return groups


async def _made(mesh: Mesh, rows: Array, r: Array | None) -> Array:
    from protocols import nibble_kernels as kernels

    _, groups, across = rows.shape
    table = _table()
    shares = np.empty((len(PRODUCTS), groups, across), np.uint64)
    peer = 1 - mesh.me
    extra = 0 if r is None else _narrow(groups)
    pad_words = 3 if r is None else 4

    async def some(number: int, start: int, stop: int) -> None:
        bits = np.ascontiguousarray(rows[:, :, start:stop])
        count = 64 * (stop - start)
        part = np.empty((len(PRODUCTS), groups, stop - start), np.uint64)
        if number % 2 == mesh.me:  # taking turns, both have the same work
            told, narrow = np.empty((groups, count, _TOLD), np.uint64), np.zeros((count, extra), np.uint64)
            zero, one = (await mesh.pairs[peer].sender.extend(NIBBLE * groups * count)).pads(pad_words)
            kernels.send_tables(bits, zero, one, table, told, part)
            if r is not None:
                kernels.send_words(bits, zero, one, narrow, r[64 * start : 64 * stop])
            await send(peer, told.reshape(-1), narrow.reshape(-1))
        else:
            chosen = await mesh.pairs[peer].receiver.extend(bits.reshape(-1), NIBBLE * groups * count)
            pads = chosen.pads(pad_words)
            words = await receive(peer, count * _sent(groups, extra))
            told, narrow = np.split(words, [groups * count * _TOLD])
            kernels.receive_tables(bits, pads, told.reshape(groups, count, _TOLD), part)
            if r is not None:
                kernels.receive_words(bits, pads, narrow.reshape(count, extra), r[64 * start : 64 * stop])
        shares[:, :, start:stop] = part

    await pipelined(
        Task(partial(some, number, start, stop), 64 * (stop - start) * _sent(groups, extra))
        for number, (start, stop) in enumerate(_runs(groups, across, extra))
    )
    return shares


def _words(groups: int, across: int, extra: int) -> Mapping[int, int]:
    total: Counter[int] = Counter()
    for number, (start, stop) in enumerate(_runs(groups, across, extra)):
        total[number % 2] += 64 * (stop - start) * _sent(groups, extra)
        total[1 - number % 2] += correction_words(NIBBLE * groups * 64 * (stop - start))
    return total


def _table() -> Array:
    """For every value v of four bits its products, the first one lowest; then, five to a word, those of v ^ 1, …"""
    bits = np.arange(_VALUES, dtype=np.uint64) >> np.arange(NIBBLE, dtype=np.uint64)[:, np.newaxis] & np.uint64(1)
    places = np.arange(len(PRODUCTS), dtype=np.uint64)[:, np.newaxis]
    products = np.bitwise_or.reduce(multiplied(bits, PRODUCTS) << places, axis=0)
    values = np.arange(_VALUES)
    others = products[values[:, np.newaxis] ^ values[1:]].reshape(_VALUES, _TOLD, -1)
    slots = np.arange(others.shape[2], dtype=np.uint64) * np.uint64(len(PRODUCTS))
    return np.column_stack([products, np.bitwise_or.reduce(others << slots, axis=2)])


def _narrow(nibbles: int) -> int:
    """Words for what is told of a word's bits."""
    width = NIBBLE * nibbles
    return -(-width * (width - 1) // 2 // 64)


def _sent(groups: int, extra: int) -> int:
    """Words that a sender tells of an element."""
    return _TOLD * groups + extra


def _runs(groups: int, across: int, extra: int) -> Iterator[tuple[int, int]]:
    """Where to cut, in words of bits; at least two pieces where there is enough, for both to send."""
    most = max(1, min(PIPELINE_WORDS // 4 // _sent(groups, extra) // 64, -(-across // 2)))
    return runs(across, most)
