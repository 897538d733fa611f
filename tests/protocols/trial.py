"""Primitives run by all parties in one process: what came out, what each party sent and saw, what was drawn."""

import os
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from protocols import dealer
from protocols.party import Party

RING = 2**64


class Recording(dealer.DealerSource):
    """A source that notes what is drawn from it."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.labels, self.material = [], []

    def draw(self, label, demand):
        self.labels.append(label)
        self.material.append(super().draw(label, demand))
        return self.material[-1]


@dataclass
class Trial:
    """Per party: its shares of result and inputs, words sent, rounds, what it saw and from whom, its source."""

    values: list[np.ndarray]
    sent: list[int]
    rounds: list[int]
    seen: list[list[tuple[int, np.ndarray]]]
    sources: list[Recording]
    operands: list[tuple[np.ndarray, ...]] = field(default_factory=list)

    @property
    def value(self) -> np.ndarray:
        return sum(self.values[1:], self.values[0].copy())


def random_words(shape) -> np.ndarray:
    return np.frombuffer(os.urandom(8 * int(np.prod(shape))), np.uint64).reshape(shape).copy()


def shared(value: np.ndarray, count: int) -> list[np.ndarray]:
    """Ring shares of a value."""
    others = [random_words(value.shape) for _ in range(count - 1)]
    return [*others, value - sum(others, np.zeros_like(value))]


def session(count: int, demands, source_type=Recording) -> tuple[list[Party], list[Recording]]:
    """The parties of a fresh session whose dealer has dealt for these labelled demands."""
    secrets = [{} for _ in range(count)]
    for i, j in combinations(range(count), 2):
        secrets[i][j] = secrets[j][i] = os.urandom(32)
    with_dealer = {i: os.urandom(32) for i in range(count)}
    corrections = [{} for _ in range(count)]
    for label, demand in demands:
        corrections[dealer.corrected(demand)][label] = dealer.deal(demand, label, with_dealer)
    sources = [source_type(i, with_dealer[i], corrections[i]) for i in range(count)]
    return [Party(i, count, secrets[i], sources[i]) for i in range(count)], sources


def together(coroutines, sources) -> Trial:
    """Run one coroutine a party, in lock step, words in order of sending."""
    count = len(coroutines)
    running, values = dict(enumerate(coroutines)), {}
    trial = Trial([], [0] * count, [0] * count, [[] for _ in coroutines], sources)
    while running:
        mail, waiting = defaultdict(list), {}
        for i, coroutine in list(running.items()):
            try:
                waiting[i] = coroutine.send(None)
            except StopIteration as stop:
                values[i] = stop.value
                del running[i]
                continue
            trial.rounds[i] += 1
            for exchange in waiting[i]:
                for peer, parts in exchange.sends.items():
                    mail[i, peer] += parts
                    trial.sent[i] += sum(part.size for part in parts)
        for i, exchanges in waiting.items():
            for exchange in exchanges:
                for peer, words in exchange.expects.items():
                    arrived = np.concatenate([*mail[peer, i], np.empty(0, np.uint64)])
                    assert arrived.size >= words, f"party {i} waits for what {peer} did not send"
                    exchange.received[peer], rest = arrived[:words], arrived[words:]
                    mail[peer, i] = [rest]
                    trial.seen[i].append((peer, exchange.received[peer]))
        assert not any(part.size for parts in mail.values() for part in parts), "sent, and nobody waits for it"
    trial.values = [values[i] for i in range(count)]
    return trial


def attempt(primitive, count: int, *inputs: np.ndarray, source_type=Recording) -> Trial:
    """Run a primitive on shared inputs, without a check."""
    demands = [((7, *label), demand) for label, demand in primitive.demands(count)]
    parties, sources = session(count, demands, source_type)
    operands = list(zip(*(shared(x, count) for x in inputs), strict=True))
    trial = together([primitive.run(p.at(7), *mine) for p, mine in zip(parties, operands, strict=True)], sources)
    trial.operands = operands
    return trial


def run(primitive, count: int, *inputs: np.ndarray) -> Trial:
    """Run a primitive on shared inputs: at the cost of its formula, each piece of its material drawn once."""
    trial = attempt(primitive, count, *inputs)
    cost = primitive.cost(count)
    assert tuple(trial.sent) == cost.words
    assert trial.rounds == [cost.rounds] * count
    for i, source in enumerate(trial.sources):
        due = [(7, *label) for label, demand in primitive.demands(count) if i in demand.holders]
        assert sorted(map(str, source.labels)) == sorted(map(str, due))
    assert tuple(x.size for x in inputs) == primitive.input_words
    return trial


def assert_uniform(counts: np.ndarray) -> None:
    """Chi-square of counts of equally likely outcomes; chance exceeds this less than once in 10^9."""
    expected = counts.sum() / counts.size
    freedom = counts.size - 1
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 8 * np.sqrt(2 * freedom) + 20, counts


def assert_uniform_words(words: np.ndarray) -> None:
    """Every byte value as often as any other."""
    assert_uniform(np.bincount(np.ascontiguousarray(words).view(np.uint8).reshape(-1), minlength=256))
