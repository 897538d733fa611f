"""The pairwise source: the parties make all correlations together, by oblivious transfer and lattice encryption.

Nobody else helps, and nothing is trusted but that each party keeps to the protocol. Adversary: semi-honest, up
to n - 1 of n >= 2 parties. Every correlation of `protocols/` has a maker here; a new one without is refused by name.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from protocols import nibbles, ring
from protocols.bits import planes
from protocols.boolean import Monomials, Term, monomials
from protocols.columns import Column
from protocols.conversion import DaBits
from protocols.correlations import Demand, Label, Material, Triple
from protocols.lattice import product as lattice
from protocols.masking import NIBBLE, Mask
from protocols.ot import bits, costs, lanes, material
from protocols.ot.correlated import Mesh
from protocols.ot.messages import idle
from protocols.ot.permutation import permuted
from protocols.ot.pipeline import PIPELINE_WORDS, pipelined
from protocols.ot.softspoken import connect
from protocols.pairwise_costs import private_product, sent
from protocols.prg import Stream
from protocols.ring import Array
from protocols.rounds import Task
from protocols.selection import BitProduct
from protocols.shuffle import SecretPermutation, packed, permutation
from protocols.sorting import DigitMask
from protocols.truncation import OwnBits, TruncationPair

__all__ = ["PairwiseSource", "can_make", "connected", "make", "weight", "words"]

Maker = Callable[[Mesh, Label, Any, Stream], Coroutine[Any, None, Material]]

_WORD = 64


class PairwiseSource:
    """A party's supply of what it has made with the others."""

    def __init__(self, made: dict[Label, Material]) -> None:
        self._made = made

    def draw(self, label: Label, demand: Demand) -> Material:
        """This party's shares. Raises ValueError when a label is drawn a second time, or was not made."""
        if label not in self._made:
            raise ValueError(f"the material {label} is not there, or was drawn before; one-time material is used once")
        return self._made.pop(label)


def can_make(demand: Demand) -> bool:
    """Whether a correlation can be made without a dealer, and hides what it must."""
    if isinstance(demand, Triple) and lattice.pays(demand.product):
        try:
            private_product(demand.product, demand.a_holders, demand.b_holders)
        except ValueError:
            return False
    return type(demand) in _MAKERS


async def make(
    mesh: Mesh, session: bytes, demands: Iterable[tuple[Label, Demand]], draw: Stream
) -> dict[Label, Material]:
    """This party's shares of all these correlations, made together with all others, who give the same demands.

    `session`: bytes that name this session and no other. `draw`: a stream of this party's own, for this alone. Raises
    ValueError for what cannot be made.
    """
    from protocols.ot import lane_kernels  # noqa: F401 - loaded now, and not in the middle of a round

    made: dict[Label, Material] = {}

    async def one(label: Label, demand: Demand) -> None:
        found = await _MAKERS[type(demand)](mesh, (session.hex(), *label), demand, draw)
        made[label] = Material({name: share for name, share in found.items() if share is not None})

    def tasks() -> Iterable[Task[None]]:
        for label, demand in demands:
            if not can_make(demand):
                raise ValueError(f"{type(demand).__name__} is not made pairwise; the agreement must name a dealer")
            yield Task(partial(one, label, demand), min(PIPELINE_WORDS, _weight(demand)))

    await pipelined(tasks())
    return made


async def connected(
    party: int, parties: int, session: bytes, demands: Iterable[tuple[Label, Demand]], draw: Stream
) -> dict[Label, Material]:
    """`make`, after fresh base OTs with every other party. `session`: bytes that name this session and no other."""
    return await make(await connect(party, range(parties), session), session, demands, draw)


def weight(demands: Iterable[tuple[Label, Demand]]) -> int:
    """The most words that one party sends another in a round of `connected`."""
    matrices = (demand for _, demand in demands if isinstance(demand, Triple) and lattice.pays(demand.product))
    ways = (private_product(demand.product, demand.a_holders, demand.b_holders) for demand in matrices)
    return max((2 * how.weight for how in ways), default=0) + PIPELINE_WORDS


def words(parties: int, demands: Iterable[tuple[Label, Demand]]) -> dict[int, int]:
    """The words that each party sends to make these, base OTs included."""
    everyone = range(parties)
    total: Counter[int] = Counter()
    some = False
    for _, demand in demands:
        some = True
        total.update(sent(demand, everyone))
    if some:
        total.update(costs.connect_words(everyone))
    return {party: total[party] for party in everyone}


async def _triple(mesh: Mesh, label: Label, demand: Triple, draw: Stream) -> Material:
    product, a_holders, b_holders = demand.product, demand.a_holders, demand.b_holders
    if not lattice.pays(product):
        a, b, c = await material.ring_triple(mesh, product, a_holders, b_holders, draw)
    else:
        a = draw.words(product.x_shape) if mesh.me in a_holders else None
        b = draw.words(product.y_shape) if mesh.me in b_holders else None
        how = private_product(product, a_holders, b_holders)
        crossing = {party for i in a_holders for j in b_holders if i != j for party in (i, j)}
        if mesh.me not in crossing:
            await idle(len(how.messages))  # all parties are in step
        c = await lattice.multiply(mesh.me, how, a, b, a_holders, b_holders, ("triple", *label))
    held = Material(c=c) if mesh.me in demand.holders else Material()
    if a is not None:
        held["a"] = a
    if b is not None:
        held["b"] = b
    return held


async def _own_bits(mesh: Mesh, label: Label, demand: OwnBits, draw: Stream) -> Material:
    own = draw.words(bits.packed_words(demand.length))
    if mesh.me == 0:
        product = await bits.scale_words(mesh, own, None, demand.length, 0, (1,))
        return Material(a=own, product=product)
    product = await bits.scale_words(mesh, None, bits.unpack(own, demand.length), demand.length, 0, (1,))
    return Material(b=own, product=product)


async def _truncation_pair(mesh: Mesh, label: Label, demand: TruncationPair, draw: Stream) -> Material:
    made = await material.truncations(mesh, demand.length, demand.bits, draw)
    return Material(r=made.r, high=made.shifted, top=made.highest)


async def _da_bits(mesh: Mesh, label: Label, demand: DaBits, draw: Stream) -> Material:
    across = bits.packed_words(demand.length)
    made = await material.random_bits(mesh, demand.planes * across * _WORD, draw)
    word = made.words.reshape(demand.planes, across * _WORD)[:, : demand.length]
    return Material(beta=made.packed.reshape(demand.planes, across), word=np.ascontiguousarray(word))


async def _bit_product(mesh: Mesh, label: Label, demand: BitProduct, draw: Stream) -> Material:
    beta, a = draw.words(bits.packed_words(demand.length)), draw.words(demand.length)
    word, product = await lanes.select(mesh, beta, a, Column())
    return Material(beta=beta, a=a, word=word, product=product)


async def _mask(mesh: Mesh, label: Label, demand: Mask, draw: Stream) -> Material:
    across = bits.packed_words(demand.length)
    if mesh.parties == (0, 1):
        rows = draw.words((NIBBLE, demand.nibbles, across))
        shares, r = await nibbles.masks(mesh, rows)
        done = dict(zip(nibbles.PRODUCTS, shares, strict=True))
        if demand.borrows:
            rows = np.concatenate([rows, draw.words((1, demand.nibbles, across))])
        return Material(bits=rows, products=await _multiplied(mesh, rows, demand.products, done), r=r[: demand.length])
    made = await material.random_bits(mesh, NIBBLE * demand.nibbles * across * _WORD, draw)
    rows = made.packed.reshape(NIBBLE, demand.nibbles, across)
    values = made.words.reshape(NIBBLE, demand.nibbles, across * _WORD)[..., : demand.length]
    r = np.zeros(demand.length, np.uint64)
    for j in range(NIBBLE):
        for k in range(demand.nibbles):
            ring.add(r, np.left_shift(values[j, k], np.uint64(NIBBLE * k + j)), out=r)
    if demand.borrows:
        rows = np.concatenate([rows, draw.words((1, demand.nibbles, across))])
    return Material(bits=rows, products=await _multiplied(mesh, rows, demand.products), r=r)


async def _monomials(mesh: Mesh, label: Label, demand: Monomials, draw: Stream) -> Material:
    rows = draw.words((demand.bits, demand.words))
    done: dict[Term, Array] = {}
    if mesh.parties == (0, 1) and (groups := nibbles.grouped(demand.products)):
        shares = await nibbles.tables(mesh, rows[np.array(groups).T])
        for k, group in enumerate(groups):
            done |= {tuple(group[j] for j in places): shares[i, k] for i, places in enumerate(nibbles.PRODUCTS)}
    return Material(bits=rows, products=await _multiplied(mesh, rows, demand.products, done))


async def _multiplied(
    mesh: Mesh, rows: Array, products: Sequence[Term], known: Mapping[Term, Array] = MappingProxyType({})
) -> Array:
    """Products of shared rows of bits, all of one degree at once, each from the one without its last factor."""
    shape = rows.shape[1:]
    done: dict[Term, Array] = {(i,): row for i, row in enumerate(rows)} | dict(known)
    for degree in range(2, max(map(len, products), default=1) + 1):
        terms = [term for term in products if len(term) == degree and term not in known]
        if not terms:
            continue
        x = np.stack([done[term[:-1]] for term in terms]).reshape(-1)
        y = np.stack([done[term[-1:]] for term in terms]).reshape(-1)
        share = await bits.and_bits(mesh, x, y, x.size * _WORD, mesh.parties, mesh.parties)
        done |= zip(terms, share.reshape(len(terms), *shape), strict=True)
    return np.stack([done[term] for term in products]) if products else np.empty((0, *shape), np.uint64)


async def _secret_permutation(mesh: Mesh, label: Label, demand: SecretPermutation, draw: Stream) -> Material:
    keys = draw.words((demand.rows, 2))
    made = await permuted(mesh, permutation(keys), demand.columns, draw)
    tables = {"keys": keys, "a": made.a, "delta": made.delta, "b": made.b}
    held = Material({f"{name}{mesh.me}": table for name, table in tables.items() if table is not None})
    if made.correction is not None:
        held["correction"] = packed(demand.columns, made.correction)
    return held


async def _digit_mask(mesh: Mesh, label: Label, demand: DigitMask, draw: Stream) -> Material:
    """Products of r's bits add up to bits that say which digit it is; these as numbers, and what they choose of b."""
    digits, across = 1 << demand.bits, bits.packed_words(demand.rows)
    r, b = draw.words(demand.rows), draw.words((demand.rows, digits - 1))
    products = monomials([tuple(range(demand.bits))])
    rows = planes(r, range(demand.bits))
    done = dict(zip(products, await _multiplied(mesh, rows, products), strict=True))
    done |= {(i,): row for i, row in enumerate(rows)}
    indicators = np.zeros((digits - 1, across), np.uint64)
    for term, share in done.items():  # whether r = k: the sum of the products of all bits of k and any others
        below = sum(1 << i for i in term)
        for k in range(1, digits):
            if k & below == k:
                indicators[k - 1] ^= share
    masks = np.zeros((digits - 1, across * _WORD), np.uint64)
    masks[:, : demand.rows] = b.T
    words, chosen = await lanes.select(mesh, indicators.reshape(-1), masks.reshape(-1), demand.column)
    hot = np.empty((digits, demand.rows), np.uint64)
    hot[1:] = words.reshape(masks.shape)[:, : demand.rows]
    hot[0] = chosen.reshape(masks.shape)[:, : demand.rows].sum(axis=0)
    share = np.ascontiguousarray(hot.T)
    last = mesh.me == mesh.parties[-1]
    return Material({"r": r, "b": b, f"hot{mesh.me}": demand.column.pack(share) if last else share})


_MAKERS: Mapping[type[Demand], Maker] = MappingProxyType(
    {
        Triple: _triple,
        OwnBits: _own_bits,
        TruncationPair: _truncation_pair,
        DaBits: _da_bits,
        BitProduct: _bit_product,
        Mask: _mask,
        Monomials: _monomials,
        SecretPermutation: _secret_permutation,
        DigitMask: _digit_mask,
    }
)


def _weight(demand: Demand) -> int:
    """About the words that one party sends another in a round."""
    if isinstance(demand, SecretPermutation | DigitMask):  # in all rounds, and among two alone: most of it is at once
        return 1 + max(sent(demand, (0, 1)).values(), default=0)
    return 1 + _WORD * sum(math.prod(part.shape) for part in (*demand.free, *demand.bound))
