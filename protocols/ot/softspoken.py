"""SoftSpokenOT: correlated OTs without end from 128 base OTs, at 128 / k bits each.

L. Roy, "SoftSpokenOT: Quieter OT Extension from Small-Field Silent VOLE in the Minicrypt Model", CRYPTO 2022: the VOLE
over a small field of section 3.1, with the repetition code. Adversary: semi-honest, so that there is no consistency
check; an honest run tells neither side anything, under the assumption that AES is a pseudorandom function.

For each of 128 / k trees the receiver of OTs knows 2^k leaves; stretched to r_x, they give u = sum r_x and rows
v_b = sum x_b r_x, b < k. The sender, whose part D of the offset is the hole, gets v_b + D_b u from its leaves. With
d = u + choices it corrects that to q_b = v_b + D_b choices. The 128 rows, transposed, are the blocks: even rows are
their first words, odd ones their second words.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import numpy as np

from protocols.ot import base, pprf
from protocols.ot.aes import BLOCK_WORDS, Aes
from protocols.ot.correlated import Mesh, Pair, Received, Sent
from protocols.ot.hashing import Hash
from protocols.ot.messages import receive, send
from protocols.prg import derive
from protocols.ring import Array
from protocols.rounds import gather

__all__ = ["FIELD_BITS", "SoftSpokenReceiver", "SoftSpokenSender", "connect", "correction_words"]

FIELD_BITS = 4
"""k: bytes fall with it, time grows with 2^k / k. Measured: 4 is the fastest below 520 bytes a ring product."""

_FIRST, _AHEAD = 1 << 8, 1 << 13
"""Words of a row that are made at once, twice as many each time, up to a number that was measured: with a leaf's key in
the cache, its cipher is called twice."""

_KAPPA = 128
_NO_CORRECTION = np.empty((1, 0), np.uint64), np.zeros(BLOCK_WORDS, np.uint64)
_SUMS_WORDS = 2 * _KAPPA * pprf.SEED // 8


def correction_words(count: int, field_bits: int = FIELD_BITS) -> int:
    """Words that the receiver sends to extend by `count` OTs."""
    return _KAPPA // field_bits * _packed(count)


class _Forest:
    """The leaves of all trees, as AES keys; None is the hole, which stands first, where it counts in u alone.

    Leaves are stretched for many OTs at once, for a leaf's key is long out of the cache when its turn comes again.
    """

    def __init__(self, trees: Sequence[Sequence[bytes | None]]) -> None:
        self._trees = [
            [(x, Aes(leaf).encrypt_into) for x, leaf in enumerate(leaves) if leaf is not None] for leaves in trees
        ]
        self.field_bits = _KAPPA // len(trees)
        self._batches = 0
        self._v, self._u = np.empty(0, np.uint64), np.empty((len(trees), 0), np.uint64)
        self._used = 0

    def rows(self, width: int) -> tuple[Array, Array]:
        """The next `width` words of v, in tiles as `kernels.fold` makes them, and of u, which has a row a tree."""
        from protocols.ot import kernels

        whole = -(-width // kernels.LANES) * kernels.LANES
        if self._u.shape[1] - self._used < whole:
            ahead = min(_AHEAD, _FIRST << self._batches)
            (self._v, self._u), self._used = self._stretched(whole * max(1, ahead // whole)), 0
        start, self._used = self._used, self._used + whole
        return self._v[_KAPPA * start : _KAPPA * self._used], self._u[:, start : start + width]

    def _stretched(self, width: int) -> tuple[Array, Array]:
        """Batch b of a leaf are (0, b), (1, b), …, encrypted."""
        from protocols.ot import kernels

        v, u = np.empty(_KAPPA * width, np.uint64), np.empty((len(self._trees), width), np.uint64)
        counters = np.full((width // BLOCK_WORDS, BLOCK_WORDS), self._batches, np.uint64)
        counters[:, 0] = np.arange(len(counters))
        self._batches += 1
        blocks = counters.reshape(-1).view(np.uint8).data
        leaves = np.empty((1 << self.field_bits, kernels.LEAF_STRIDE), np.uint64)
        streams = [leaf.view(np.uint8).data for leaf in leaves]
        for tree, ciphers in enumerate(self._trees):
            for start in range(0, width, kernels.LEAF_WORDS):
                some = blocks[8 * start : 8 * (start + kernels.LEAF_WORDS)]
                for x, encrypt in ciphers:
                    encrypt(some, streams[x])
                if self.field_bits == 4:
                    kernels.fold_16(leaves.reshape(-1), start, tree * 4, v, u[tree])
                else:
                    kernels.fold(leaves, start, tree * self.field_bits, v, u[tree])
        return v, u


class SoftSpokenSender:
    """The sender of correlated OTs; made by `connect`."""

    def __init__(self, peer: int, trees: Sequence[Sequence[bytes | None]], offset: Array, hash: Hash) -> None:
        self.peer = peer
        self._forest = _Forest(trees)
        self._offset = offset
        self._hash = hash

    async def extend(self, count: int) -> Sent:
        """The next `count` OTs. Raises InvalidMessage for corrections of another length."""
        from protocols.ot import kernels

        width = _packed(count)
        first = self._hash.claim(64 * width)  # whole words are hashed
        rows, _ = self._forest.rows(width)  # while the peer makes its own
        corrections = await receive(self.peer, correction_words(count, self._forest.field_bits))
        q = partial(kernels.transpose, rows, corrections.reshape(-1, width), self._offset)
        return Sent(self._hash, first, count, q, self._offset)


class SoftSpokenReceiver:
    """The receiver of correlated OTs; made by `connect`."""

    def __init__(self, peer: int, trees: Sequence[Sequence[bytes]], hash: Hash) -> None:
        self.peer = peer
        self._forest = _Forest(trees)
        self._hash = hash

    async def extend(self, choices: Array, count: int) -> Received:
        """The next `count` OTs, for these bits. Raises ValueError for another number of words than they fill."""
        from protocols.ot import kernels

        width = _packed(count)
        if choices.shape != (width,):
            raise ValueError(f"{count} choice bits fill {width} words, not an array of shape {choices.shape}")
        first = self._hash.claim(64 * width)
        rows, masks = self._forest.rows(width)
        await send(self.peer, masks ^ choices)
        return Received(self._hash, first, count, partial(kernels.transpose, rows, *_NO_CORRECTION))


async def connect(me: int, parties: Sequence[int], session: bytes, field_bits: int = FIELD_BITS) -> Mesh:
    """OTs with each other party, both ways, from fresh base OTs: three rounds. `field_bits`: k, which is 2, 4 or 8.

    `session`: at least 16 bytes that name this session and no other one. Raises InvalidMessage.
    """
    from protocols.ot import kernels  # noqa: F401 - loaded now, and not in the middle of a round

    if field_bits not in (2, 4, 8):
        raise ValueError(f"softspoken.connect: field_bits is 2, 4 or 8, not {field_bits}")
    peers = [peer for peer in parties if peer != me]
    ends = sorted(end for peer in peers for end in ((me, peer), (peer, me)))
    contexts = [derive(session, "OT", sender, receiver, field_bits) for sender, receiver in ends]
    made = await gather(
        *(
            _sender(receiver, context, field_bits) if sender == me else _receiver(sender, context, field_bits)
            for (sender, receiver), context in zip(ends, contexts, strict=True)
        )
    )
    senders = {end.peer: end for end in made if isinstance(end, SoftSpokenSender)}
    receivers = {end.peer: end for end in made if isinstance(end, SoftSpokenReceiver)}
    return Mesh(me, {peer: Pair(senders[peer], receivers[peer]) for peer in peers})


async def _sender(peer: int, context: bytes, field_bits: int) -> SoftSpokenSender | SoftSpokenReceiver:
    """Draws a hole for each tree; at each level gets the sum of the side that the path to the hole does not take."""
    holes = [byte & (1 << field_bits) - 1 for byte in os.urandom(_KAPPA // field_bits)]
    sides = [1 - (hole >> height & 1) for hole in holes for height in reversed(range(field_bits))]
    keys, transcript = await base.choose(peer, sides, context)
    masked = (await receive(peer, _SUMS_WORDS)).tobytes()
    sums = []
    for place, (side, key) in enumerate(zip(sides, keys, strict=True)):
        at = (2 * place + side) * pprf.SEED
        sums.append(pprf.xor((masked[at : at + pprf.SEED], key[: pprf.SEED])))
    trees = []
    for number, hole in enumerate(holes):
        leaves = pprf.regrow(hole, sums[number * field_bits : (number + 1) * field_bits])
        trees.append([leaves[hole ^ x] for x in range(len(leaves))])
    bits = np.array([hole >> bit & 1 for hole in holes for bit in range(field_bits)], np.uint8)
    offset = np.packbits(bits.reshape(-1, BLOCK_WORDS).T, axis=1, bitorder="little").reshape(-1).view(np.uint64)
    return SoftSpokenSender(peer, trees, offset, _hash(transcript))


async def _receiver(peer: int, context: bytes, field_bits: int) -> SoftSpokenSender | SoftSpokenReceiver:
    """Grows the trees and tells the sums of both sides of every level, each masked with one key of a base OT."""
    keys, transcript = await base.offer(peer, _KAPPA, context)
    grown = [pprf.grow(os.urandom(pprf.SEED), field_bits) for _ in range(_KAPPA // field_bits)]
    levels = [sides for _, sums in grown for sides in sums]
    masked = [
        pprf.xor((total, key[: pprf.SEED]))
        for sides, pair in zip(levels, keys, strict=True)
        for total, key in zip(sides, pair, strict=True)
    ]
    await send(peer, np.frombuffer(b"".join(masked), np.uint64))
    return SoftSpokenReceiver(peer, [leaves for leaves, _ in grown], _hash(transcript))


def _hash(transcript: base.Transcript) -> Hash:
    return Hash(derive(transcript, "hash")[:16])


def _packed(bits: int) -> int:
    return -(-bits // 64)
