"""Additive sharing: what adds up, and what each party sees: uniform words that no input has anything to do with."""

import os
from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from protocols import additive, dealer, ring
from protocols.correlations import Material, Triple
from protocols.party import Party
from protocols.products import Product

RING = 2**64
words = st.integers(0, RING - 1)


def session(count: int, products=(), party_type=Party, source_type=dealer.DealerSource) -> list[Party]:
    """The parties of a fresh session, with the triples that these labelled products consume."""
    secrets = [{} for _ in range(count)]
    for i, j in combinations(range(count), 2):
        secrets[i][j] = secrets[j][i] = os.urandom(32)
    with_dealer = {i: os.urandom(32) for i in range(count)}
    corrections = [{} for _ in range(count)]
    for label, demand in products:
        corrections[dealer.corrected(demand)][label] = dealer.deal(demand, label, with_dealer)
    sources = [source_type(i, with_dealer[i], corrections[i]) for i in range(count)]
    return [party_type(i, count, secrets[i], sources[i]) for i in range(count)]


def together(coroutines):
    """Run one coroutine a party, words in order of sending; their results, and everything each received, in order."""
    running, results, views = dict(enumerate(coroutines)), {}, defaultdict(list)
    mail, waiting = defaultdict(lambda: np.empty(0, np.uint64)), {}
    while running:
        for i, coroutine in list(running.items()):
            if i in waiting and any(mail[peer, i].size < count for peer, count in waiting[i].expects.items()):
                continue
            if i in waiting:
                for peer, count in waiting[i].expects.items():
                    waiting[i].received[peer], mail[peer, i] = np.split(mail[peer, i], [count])
                    views[i].append(waiting[i].received[peer])
            try:
                (waiting[i],) = coroutine.send(None)
            except StopIteration as stop:
                results[i] = stop.value
                del running[i]
            else:
                for peer, parts in waiting[i].sends.items():
                    mail[i, peer] = np.concatenate([mail[i, peer], *parts])
    return [results[i] for i in range(len(coroutines))], views


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 6), st.integers(0, 5), st.lists(words, min_size=1, max_size=5))
def test_shares_add_up_to_the_value_and_fresh_ones_too(count: int, owner: int, values) -> None:
    parties, owner = session(count), owner % count
    secret = np.array(values, np.uint64)
    shares = [additive.share(p.at(1), secret if p.index == owner else None, secret.shape, owner) for p in parties]
    fresh = [additive.refresh(p.at(2), share) for p, share in zip(parties, shares, strict=True)]
    for held in (shares, fresh):
        assert [sum(int(share[k]) for share in held) % RING for k in range(len(values))] == values
    assert all(not np.array_equal(one, other) for one, other in zip(shares, fresh, strict=True))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 6), st.sets(st.integers(0, 5), min_size=2), st.sampled_from([(), (3,), (2, 2)]))
def test_zero_shares_add_up_to_zero_among_any_parties(count: int, among, shape) -> None:
    members = sorted({i % count for i in among})
    parties = session(count)
    shares = [parties[i].at("here").zero_share(shape, members) for i in members]
    total = sum(share.astype(object) for share in shares)
    assert np.all(np.asarray(total % RING) == 0)
    if len(members) > 1:
        again = parties[members[0]].at("there").zero_share(shape, members)
        assert not np.array_equal(shares[0], again)
        assert np.array_equal(shares[0], parties[members[0]].at("here").zero_share(shape, members))


def test_a_triple_is_drawn_once() -> None:
    product = Product("multiply", (2,), (2,))
    demand = Triple(product, (0, 1), (0, 1))
    parties = session(2, [((7, 0), demand)])
    for party in parties:
        party.at(7, 0).draw(demand)
        with pytest.raises(ValueError, match="used once"):
            party.at(7, 0).draw(demand)


@pytest.mark.parametrize("most", [0, 8, 10**6])
def test_material_that_is_expanded_ahead_is_the_same_and_drawn_once(most: int) -> None:
    demand = Triple(Product("multiply", (4,), (4,)), (0, 1, 2), (0, 1, 2))
    demands = [((7, i), demand) for i in range(3)]
    secrets = [os.urandom(32) for _ in range(3)]
    for i, secret in enumerate(secrets):
        sources = []
        for _ in range(2):
            dealt = {label: dealer.deal(demand, label, dict(enumerate(secrets))) for label, _ in demands}
            sources.append(dealer.DealerSource(i, secret, dealt if i == 2 else {}))
        sources[1].expand(demands, most)
        for label, _ in demands:
            one, other = (source.draw(label, demand) for source in sources)
            assert list(one) == list(other)
            assert all(np.array_equal(one[part], other[part]) for part in one)
            with pytest.raises(ValueError, match="used once"):
                sources[1].draw(label, demand)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize(
    "product",
    [
        Product("multiply", (3,), (3,)),
        Product("multiply", (2, 1), (3,), flipped=True),
        Product("matmul", (2, 3), (3, 4)),
        Product("matmul", (3, 4), (2, 3), flipped=True),
        Product("matmul", (5,), (5,)),
        Product("matmul", (0,), (0,)),
    ],
    ids=str,
)
def test_triples_multiply(count: int, product: Product) -> None:
    everyone = tuple(range(count))
    for demand in (Triple(product, everyone, everyone), Triple(product, (count - 1,), everyone[:-1])):
        shares = [party.at(1).draw(demand) for party in session(count, [((1,), demand)])]
        a, b, c = ([s[letter] for s in shares if letter in s] for letter in "abc")
        total = [np.sum(held, axis=0, dtype=np.uint64) for held in (a, b, c)]
        assert np.array_equal(product(total[0], total[1]), total[2])
        assert (len(a), len(b), len(c)) == (len(demand.a_holders), len(demand.b_holders), count)


# What each party sees. Every element of a long array is one sample.

SAMPLES = 4096
PRODUCT = Product("multiply", (SAMPLES,), (SAMPLES,))


async def everything(party: Party, inputs: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """x of party 0, y of party 1, w of party 2; every kind of product; two results, each revealed to all, twice."""
    mine = np.full(SAMPLES, inputs[party.index] % RING, np.uint64)
    x, y, w = (
        additive.share(party.at("share", i), mine if i == party.index else None, (SAMPLES,), i) for i in range(3)
    )
    own = [mine if i == party.index else None for i in range(3)]
    saw = {"x": x, "y": y, "w": w}
    saw["owned"] = await additive.product(party.at(1, 0), PRODUCT, own[0], own[1], 0, 1)
    saw["again"] = await additive.product(party.at(2, 0), PRODUCT, own[0], own[2], 0, 2)
    saw["mixed"] = await additive.product(party.at(3, 0), PRODUCT, own[2], ring.add(x, y), 2, None)
    saw["shared"] = await additive.product(party.at(4, 0), PRODUCT, ring.add(x, y), w)
    saw["square"] = await additive.product(party.at(5, 0), PRODUCT, ring.add(x, y), saw["shared"])
    for number in range(2):
        share = additive.refresh(party.at("reveal", number), saw["square"])
        await party.open((share, share.shape, party.everyone, party.everyone))
    return saw


def views(inputs: tuple[int, int, int], **mutants) -> list[list[np.ndarray]]:
    everyone = (0, 1, 2)
    demands = [
        ((1, 0), additive.demand(3, PRODUCT, 0, 1)),
        ((2, 0), additive.demand(3, PRODUCT, 0, 2)),
        ((3, 0), additive.demand(3, PRODUCT, 2, None)),
        ((4, 0), Triple(PRODUCT, everyone, everyone)),
        ((5, 0), Triple(PRODUCT, everyone, everyone)),
    ]
    results, received = together([everything(party, inputs) for party in session(3, demands, **mutants)])
    split = [[part for message in received[i] for part in np.split(message, message.size // SAMPLES)] for i in everyone]
    return [[*result.values(), *parts] for result, parts in zip(results, split, strict=True)]


def assert_uniform(sample: np.ndarray) -> None:
    """Chi-square over all bytes: 255 degrees of freedom; chance exceeds this once in 10^11."""
    counts = np.bincount(np.ascontiguousarray(sample).view(np.uint8), minlength=256)
    expected = sample.size * 8 / 256
    assert ((counts - expected) ** 2 / expected).sum() < 255 + 8 * np.sqrt(510)


def assert_nothing_seen(seen: list[np.ndarray]) -> None:
    """Each word, each difference and each sum of two words that a party sees is uniform; so are neighbours'."""
    for word in seen:
        assert_uniform(word)
        assert_uniform(word[1:] - word[:-1])
    for one, other in combinations(seen, 2):
        assert_uniform(one - other)
        assert_uniform(one + other)


INPUTS = [(3, 5, 7), (RING - 1, 0, 1 << 63)]


@pytest.mark.parametrize("inputs", INPUTS)
def test_every_party_sees_uniform_words(inputs) -> None:
    for seen in views(inputs):
        assert len(seen) >= 12
        assert_nothing_seen(seen)


def test_what_is_seen_does_not_depend_on_the_inputs() -> None:
    for one, other in zip(*(views(inputs) for inputs in INPUTS), strict=True):
        for word, same in zip(one, other, strict=True):
            assert ks_2samp(word.astype(np.float64), same.astype(np.float64)).pvalue > 1e-9


class Unmasked(dealer.DealerSource):
    def draw(self, label, demand) -> Material:
        t = super().draw(label, demand)
        return t if "a" not in t or label != (1, 0) else Material(t, a=np.zeros_like(t["a"]))


class Reused(dealer.DealerSource):
    """The same masks at two labels."""

    def draw(self, label, demand) -> Material:
        t = super().draw(label, demand)
        if label == (5, 0):
            self._drawn.discard((4, 0))
            self._corrections[(4, 0)] = np.zeros(demand.product.out_shape, np.uint64)
            return Material(super().draw((4, 0), demand), c=t["c"])
        return t


class NoZeroShares(Party):
    def at(self, *label):
        return NoZeroShares(self.index, self.count, self._secrets, self._source, (*self._label, *label))

    def zero_share(self, shape, among):
        return np.zeros(shape, np.uint64)


@pytest.mark.parametrize(
    "mutant", [{"source_type": Unmasked}, {"source_type": Reused}, {"party_type": NoZeroShares}], ids=["a", "b", "zero"]
)
def test_the_test_sees_planted_leaks(mutant) -> None:
    seen = views(INPUTS[0], **mutant)
    with pytest.raises(AssertionError):
        any(assert_nothing_seen(one) for one in seen)


def test_the_dealers_corrections_are_uniform() -> None:
    secrets = {i: os.urandom(32) for i in range(3)}
    for holders in ((0, 1, 2), (0, 2)):
        demand = Triple(PRODUCT, holders[:1], holders[1:])
        assert_uniform(dealer.deal(demand, (1,), secrets))
    dot = Triple(Product("matmul", (3,), (3,)), (0, 1, 2), (0, 1, 2))
    assert_uniform(np.array([dealer.deal(dot, (i,), secrets) for i in range(1500)]).reshape(-1))
