"""What material from oblivious transfer costs: the words that each party sends, exactly, extensions included.

Base OTs are not counted: they are made once a session, see `connect_words`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from protocols.columns import Column
from protocols.ot import bits, lanes, permutation
from protocols.ot.gilboa import payload_words
from protocols.ot.layout import Layout
from protocols.ot.softspoken import correction_words
from protocols.products import Product

__all__ = [
    "and_triple_words",
    "connect_words",
    "permutation_words",
    "random_bit_words",
    "scale_words",
    "select_words",
    "triple_words",
    "truncation_words",
]

Words = Mapping[int, int]
"""Party -> words that it sends; a party that sends nothing is missing."""


def connect_words(parties: Sequence[int]) -> Words:
    """Of `softspoken.connect`: 128 points one way, a point and the trees' sums the other, with every peer twice."""
    return Counter(dict.fromkeys(parties, (len(parties) - 1) * (128 * 4 + 4 + 512)))


def triple_words(product: Product, a_holders: Sequence[int], b_holders: Sequence[int]) -> Words:
    """Of a ring triple, or of any product of values shared so."""
    layout = Layout(product)
    receivers, senders = (a_holders, b_holders) if layout.bits_of_x else (b_holders, a_holders)
    total: Counter[int] = Counter()
    for piece in layout.pieces():
        total += _crossing(senders, receivers, 64 * piece.entries, payload_words(piece.entries * piece.columns))
    return total


def and_triple_words(count: int, a_holders: Sequence[int], b_holders: Sequence[int]) -> Words:
    """Of `count` triples of bits."""
    return _total(
        _crossing(b_holders, a_holders, stop - start, bits.packed_words(stop - start))
        for start, stop in bits.runs(count, bits.BLOCK_BITS)
    )


def scale_words(count: int, owner: int, holders: Sequence[int]) -> Words:
    """Of `count` products of the owner's bits with words shared among the holders."""
    return _total(
        _crossing(holders, (owner,), stop - start, stop - start) for start, stop in bits.runs(count, bits.BLOCK_BITS)
    )


def random_bit_words(count: int, parties: Sequence[int]) -> Words:
    """Of random bits in both forms."""
    return _total(scale_words(count, owner, parties[:place]) for place, owner in enumerate(parties))


def truncation_words(count: int, parties: Sequence[int]) -> Words:
    """Of truncation tuples."""
    tuples = bits.runs(64 * count, bits.BLOCK_BITS)
    return _total(random_bit_words(stop - start, parties) for start, stop in tuples)


def select_words(count: int, column: Column, parties: Sequence[int]) -> Words:
    """Of `count` shared bits as numbers of a column, and of their products with such numbers."""
    return _total(
        _crossing((holder,), (owner,), stop - start, layout.sent(stop - start))
        for owner, holders in lanes.select_layouts(parties, column)
        for start, stop in lanes.pieces(count, max(layout.words for layout in holders.values()))
        for holder, layout in holders.items()
    )


def permutation_words(rows: int, columns: tuple[Column, ...], parties: Sequence[int]) -> Words:
    """Of a secret permutation of a table."""
    layout, switches = lanes.Lanes(columns), sum(run.count for run in permutation.network(rows))
    total = Counter(
        _total(
            _crossing(parties, parties, stop - start, layout.sent(stop - start))
            for start, stop in lanes.pieces(switches, layout.words)
        )
    )
    for party in parties:
        owners = [owner for owner in parties[1:] if party not in (owner - 1, owner)]
        total[party] += bool(rows) * (len(parties) - 1) * layout.words + len(owners) * layout.sent(rows)
    return total


def _crossing(senders: Sequence[int], receivers: Sequence[int], count: int, payload: int) -> Counter[int]:
    """Of `count` OTs from each sender to each receiver: corrections one way, a payload the other."""
    pairs = [(sender, receiver) for sender in senders for receiver in receivers if sender != receiver]
    total: Counter[int] = Counter()
    for sender, receiver in pairs:
        total[sender] += payload
        total[receiver] += correction_words(count)
    return total


def _total(parts: Iterable[Words]) -> Words:
    total: Counter[int] = Counter()
    for part in parts:
        total.update(part)
    return total
