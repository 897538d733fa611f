"""SoftSpokenOT: correlated OTs without end from 128 base OTs, at 128 / k bits each.

L. Roy, "SoftSpokenOT: Quieter OT Extension from Small-Field Silent VOLE in the Minicrypt Model", CRYPTO 2022, sections
3.1 (VOLE over a small field from punctured trees) and 5 (OTs from it), with the repetition code and without the
consistency check: semi-honest. For k = 1 it is IKNP (CRYPTO 2003).

For each of 128 / k trees the receiver of OTs knows 2^k leaves; stretched to r_x, they give u = sum r_x and rows
v_b = sum x_b r_x, b < k. The sender, whose part D of the offset is the hole, gets v_b + D_b u from its leaves. With
d = u + choices it corrects that to q_b = v_b + D_b choices. The 128 rows, transposed, are the blocks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocols.ot import base, pprf
from protocols.ot.correlated import Mesh, Pair, Received, Sent
from protocols.ot.hashing import Hash
from protocols.ot.messages import receive, send
from protocols.prg import derive
from protocols.ring import Array
from protocols.rounds import gather

__all__ = ["FIELD_BITS", "SoftSpokenReceiver", "SoftSpokenSender", "connect", "correction_words"]

FIELD_BITS = 4
"""k: bytes fall with it, time grows with 2^k / k. Measured: 4 is the fastest below 520 bytes a ring product."""

_KAPPA = 128
_TAG_WORDS = 2


def correction_words(count: int, field_bits: int = FIELD_BITS) -> int:
    """Words that the receiver sends to extend by `count` OTs."""
    return _KAPPA // field_bits * _packed(count)


class _Forest:
    """The leaves of all trees, as AES keys; None is the hole, which stands first."""

    def __init__(self, trees: Sequence[Sequence[bytes | None]]) -> None:
        self._trees = [[None if leaf is None else AESGCM(leaf) for leaf in leaves] for leaves in trees]
        self.field_bits = _KAPPA // len(trees)

    def rows(self, first: int, width: int) -> tuple[Array, Array]:
        """v, shape (128, width), and u, shape (trees, width), for the OTs from index `first` on.

        A leaf is stretched by counter mode with that index as nonce: GCM's implementations are the fastest.
        """
        from protocols.ot import kernels

        v, u = np.empty((_KAPPA, width), np.uint64), np.empty((len(self._trees), width), np.uint64)
        leaves = np.zeros((1 << self.field_bits, width + _TAG_WORDS), np.uint64)
        streams = [leaf.view(np.uint8).data for leaf in leaves]
        zeros, nonce = memoryview(bytes(8 * width)), first.to_bytes(12, "big")
        for tree, ciphers in enumerate(self._trees):
            for cipher, stream in zip(ciphers, streams, strict=True):
                if cipher is not None:
                    cipher.encrypt_into(nonce, zeros, None, stream)
            kernels.fold(leaves, v[tree * self.field_bits : (tree + 1) * self.field_bits], u[tree])
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

        first, width = self._hash.claim(count), _packed(count)
        rows, _ = self._forest.rows(first, width)
        corrections = await receive(self.peer, correction_words(count, self._forest.field_bits))
        kernels.correct(rows, corrections.reshape(-1, width), self._offset)
        return Sent(self._hash, first, _transposed(rows)[:count], self._offset)


class SoftSpokenReceiver:
    """The receiver of correlated OTs; made by `connect`."""

    def __init__(self, peer: int, trees: Sequence[Sequence[bytes]], hash: Hash) -> None:
        self.peer = peer
        self._forest = _Forest(trees)
        self._hash = hash

    async def extend(self, choices: Array, count: int) -> Received:
        """The next `count` OTs, for these bits. Raises ValueError for another number of words than they fill."""
        width = _packed(count)
        if choices.shape != (width,):
            raise ValueError(f"{count} choice bits fill {width} words, not an array of shape {choices.shape}")
        first = self._hash.claim(count)
        rows, corrections = self._forest.rows(first, width)
        np.bitwise_xor(corrections, choices, out=corrections)
        await send(self.peer, corrections)
        return Received(self._hash, first, _transposed(rows)[:count], choices)


async def connect(me: int, parties: Sequence[int], session: bytes, field_bits: int = FIELD_BITS) -> Mesh:
    """OTs with each other party, both ways, from fresh base OTs: three rounds. `field_bits`: k, which is 1, 2, 4 or 8.

    `session` names this session and is never used for another one. Raises InvalidMessage.
    """
    peers = [peer for peer in parties if peer != me]
    ends = [end for peer in peers for end in sorted(((me, peer), (peer, me)))]
    made = await gather(*(_end(me, end, session, field_bits) for end in ends))
    senders = {end.peer: end for end in made if isinstance(end, SoftSpokenSender)}
    receivers = {end.peer: end for end in made if isinstance(end, SoftSpokenReceiver)}
    return Mesh(me, {peer: Pair(senders[peer], receivers[peer]) for peer in peers})


async def _end(me: int, end: tuple[int, int], session: bytes, field_bits: int) -> SoftSpokenSender | SoftSpokenReceiver:
    sender, receiver = end
    context = derive(session.ljust(16, b"\0"), "OT", session, sender, receiver, field_bits)
    if me == sender:
        return await _sender(receiver, context, field_bits)
    return await _receiver(sender, context, field_bits)


async def _sender(peer: int, context: bytes, field_bits: int) -> SoftSpokenSender:
    """The offset's bits are the holes: one base OT a bit, for the other side of the tree."""
    secret = os.urandom(_KAPPA // 8)
    bits = np.unpackbits(np.frombuffer(secret, np.uint8), bitorder="little").reshape(-1, field_bits)
    keys, transcript = await base.choose(peer, [1 - int(bit) for bit in bits[:, ::-1].reshape(-1)], context)
    masked = (await receive(peer, 2 * _KAPPA * pprf.SEED // 8)).tobytes()
    trees = []
    for number, row in enumerate(bits):
        hole = sum(int(bit) << place for place, bit in enumerate(row))
        sums = []
        for level in range(field_bits):
            place = number * field_bits + level
            side = hole >> (field_bits - 1 - level) & 1 ^ 1
            at = (2 * place + side) * pprf.SEED
            sums.append(pprf.xor((masked[at : at + pprf.SEED], keys[place][: pprf.SEED])))
        leaves = pprf.regrow(hole, sums)
        trees.append([leaves[x ^ hole] for x in range(len(leaves))])
    return SoftSpokenSender(peer, trees, np.frombuffer(secret, np.uint64), _hash(transcript))


async def _receiver(peer: int, context: bytes, field_bits: int) -> SoftSpokenReceiver:
    keys, transcript = await base.offer(peer, _KAPPA, context)
    trees, masked = [], []
    for number in range(_KAPPA // field_bits):
        leaves, sums = pprf.grow(os.urandom(pprf.SEED), field_bits)
        trees.append(leaves)
        for level, sides in enumerate(sums):
            pads = keys[number * field_bits + level]
            masked += [pprf.xor((side, pad[: pprf.SEED])) for side, pad in zip(sides, pads, strict=True)]
    await send(peer, np.frombuffer(b"".join(masked), np.uint64))
    return SoftSpokenReceiver(peer, trees, _hash(transcript))


def _transposed(rows: Array) -> Array:
    from protocols.ot import kernels

    blocks = np.empty((64 * rows.shape[1], _KAPPA // 64), np.uint64)
    kernels.transpose(rows, blocks)
    return blocks


def _hash(transcript: base.Transcript) -> Hash:
    return Hash(derive(transcript, "hash")[:16])


def _packed(bits: int) -> int:
    return -(-bits // 64)
