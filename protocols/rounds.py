"""Coroutines become rounds: one `await` is one round, and all that goes to one peer in a round is one message.

A protocol is an `async def` that awaits `Exchange` objects (what it sends, how many words it expects). There is no
event loop: `run_round` advances every task by one exchange. Tasks are started lazily and their traffic leaves in
chunks, so that a long array, cut into many tasks, is computed while it is sent, in bounded memory.

Chunks are cut by the tasks' weights, which are the same at every party. So every party sends, and waits for, the same
chunks in the same order: the party that is furthest behind only ever waits for what has been sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np

from protocols.ring import Array

__all__ = [
    "CHUNK_WORDS",
    "FRAME_WORDS",
    "IN_FLIGHT_WORDS",
    "Exchange",
    "Need",
    "Send",
    "Task",
    "gather",
    "run_alone",
    "run_round",
]

CHUNK_WORDS = 1 << 18
"""Tasks of at least this much weight together leave as one message a peer: 2 MiB of words."""

FRAME_WORDS = 1 << 19
"""No message is longer; one longer chunk (a large matrix) leaves as several messages."""

IN_FLIGHT_WORDS = 3 << 19
"""A party sends at most so many words, 12 MiB, to a peer before it receives; links give at least this much credit."""

T = TypeVar("T")

Need = tuple[int, int]
"""What a driver waits for: the peer, and the words of the next message from it."""

Send = Callable[[int, Sequence[Array]], None]
"""Sends one message to a peer: the words of the arrays, one after another."""


class Exchange:
    """One round of one protocol at one party: the arrays it sends to each peer, the words it expects from each.

    Awaiting it gives what came: peer -> words, flat. A party with nothing to do in a round awaits an empty exchange.
    """

    __slots__ = ("expects", "received", "sends")

    def __init__(self, sends: Mapping[int, Sequence[Array]], expects: Mapping[int, int]) -> None:
        self.sends = {peer: [part.reshape(-1) for part in parts if part.size] for peer, parts in sends.items()}
        self.expects = {peer: count for peer, count in expects.items() if count}
        self.received: dict[int, Array] = {}

    def __await__(self) -> Generator[list[Exchange], None, dict[int, Array]]:
        yield [self]
        return self.received


class Task(Generic[T]):
    """A protocol coroutine between two rounds, made by `start` when it is first advanced.

    `weight`: the same at every party, and at least the words that any of them sends to another in one round.
    """

    __slots__ = ("_coroutine", "_done", "_start", "exchanges", "finished", "weight")

    def __init__(
        self,
        start: Callable[[], Coroutine[Any, None, T]],
        weight: int = 1,
        done: Callable[[T], None] = lambda result: None,
    ) -> None:
        self._start = start
        self._coroutine: Coroutine[Any, None, T] | None = None
        self.finished = False
        self._done = done
        self.exchanges: list[Exchange] | None = None
        self.weight = weight

    def advance(self) -> None:
        """Run to the next exchange, or to the end, which hands the result to `done`."""
        if self.finished:
            return
        if self._coroutine is None:
            self._coroutine = self._start()
        try:
            self.exchanges = self._coroutine.send(None)
        except StopIteration as stop:
            self._coroutine, self.exchanges, self.finished = None, [], True
            self._done(stop.value)


class gather(Awaitable[tuple[T, ...]]):  # noqa: N801 - reads like asyncio's function
    """Advance several protocols in lock step: they share their rounds. Gives their results in order."""

    def __init__(self, *coroutines: Coroutine[Any, None, T]) -> None:
        self._results: dict[int, T] = {}
        self._tasks = [
            Task(partial(_same, coroutine), done=partial(self._results.__setitem__, i))
            for i, coroutine in enumerate(coroutines)
        ]

    def __await__(self) -> Generator[list[Exchange], None, tuple[T, ...]]:
        for task in self._tasks:
            task.advance()
        while any(task.exchanges for task in self._tasks):
            yield [exchange for task in self._tasks for exchange in task.exchanges or ()]
            for task in self._tasks:
                task.advance()
        return tuple(self._results[i] for i in range(len(self._tasks)))


def run_alone(start: Callable[[], Coroutine[Any, None, T]], weight: int, send: Send) -> Generator[Need, Array, T]:
    """One protocol to its end. Yields what it waits for and is sent it; `weight` as for `Task`."""
    results: list[T] = []
    task = Task(start, weight, results.append)
    while not task.finished:
        yield from run_round([task], send)
    return results[0]


def _same(coroutine: Coroutine[Any, None, T]) -> Coroutine[Any, None, T]:
    return coroutine


def run_round(tasks: Iterable[Task[Any]], send: Send) -> Generator[Need, Array, bool]:
    """Advance every task by one exchange. Yields what it waits for, is sent that message; returns whether any was due.

    `tasks` may make its tasks lazily: each is started just before its first message leaves. At most IN_FLIGHT_WORDS are
    sent to a peer beyond what was received of the chunks before, so that links with that much credit never stand still.
    """
    active = False
    in_flight: deque[tuple[int, list[Task[Any]]]] = deque()
    ahead = 0
    for weight, chunk in _chunks(tasks):
        while in_flight and ahead + weight > IN_FLIGHT_WORDS:
            received_weight, oldest = in_flight.popleft()
            ahead -= received_weight
            yield from _receive(oldest)
        for task in chunk:
            if task.exchanges is None:
                task.advance()
        waiting = [task for task in chunk if task.exchanges]
        active |= bool(waiting)
        if weight > IN_FLIGHT_WORDS:
            yield from _swap(waiting, send)
        else:
            for peer, message in _outgoing(waiting).items():
                for frame in _frames(message):
                    send(peer, frame)
            in_flight.append((weight, waiting))
            ahead += weight
    while in_flight:
        yield from _receive(in_flight.popleft()[1])
    return active


def _chunks(tasks: Iterable[Task[Any]]) -> Iterator[tuple[int, list[Task[Any]]]]:
    chunk: list[Task[Any]] = []
    weight = 0
    for task in tasks:
        chunk.append(task)
        weight += task.weight
        if weight >= CHUNK_WORDS:
            yield weight, chunk
            chunk, weight = [], 0
    if chunk:
        yield weight, chunk


def _outgoing(chunk: list[Task[Any]]) -> dict[int, list[Array]]:
    """What a chunk's tasks send: peer -> arrays, in the tasks' order."""
    parts: dict[int, list[Array]] = {}
    for task in chunk:
        for exchange in task.exchanges or ():
            for peer, words in exchange.sends.items():
                if words:
                    parts.setdefault(peer, []).extend(words)
            exchange.sends = {}
    return dict(sorted(parts.items()))


def _incoming(chunk: list[Task[Any]]) -> dict[int, int]:
    """What a chunk's tasks expect: peer -> words."""
    expected: dict[int, int] = {}
    for task in chunk:
        for exchange in task.exchanges or ():
            for peer, count in exchange.expects.items():
                expected[peer] = expected.get(peer, 0) + count
    return dict(sorted(expected.items()))


def _frames(message: list[Array]) -> list[list[Array]]:
    """A message as what links carry: itself, or pieces of FRAME_WORDS."""
    if sum(words.size for words in message) <= FRAME_WORDS:
        return [message]
    whole = np.concatenate(message) if len(message) > 1 else message[0]
    return [[whole[start : start + FRAME_WORDS]] for start in range(0, whole.size, FRAME_WORDS)]


def _lengths(count: int) -> list[int]:
    """The lengths of the frames that carry so many words."""
    return [min(FRAME_WORDS, count - start) for start in range(0, count, FRAME_WORDS)]


def _receive(chunk: list[Task[Any]]) -> Generator[Need, Array, None]:
    arrived: dict[int, Array] = {}
    for peer, count in _incoming(chunk).items():
        frames: list[Array] = []
        for length in _lengths(count):
            frames.append((yield peer, length))
        arrived[peer] = frames[0] if len(frames) == 1 else np.concatenate(frames)
    _deliver(chunk, arrived)


def _swap(chunk: list[Task[Any]], send: Send) -> Generator[Need, Array, None]:
    """Exchange a chunk that is too large to be sent at once: frame by frame, receiving one behind sending."""
    frames = {peer: _frames(message) for peer, message in _outgoing(chunk).items()}
    expected = _incoming(chunk)
    lengths = {peer: _lengths(count) for peer, count in expected.items()}
    arrived = {peer: np.empty(count, np.uint64) for peer, count in expected.items()}
    steps = max([*map(len, frames.values()), *map(len, lengths.values())], default=0)
    for number in range(steps + 1):
        for peer, message in frames.items():
            if number < len(message):
                send(peer, message[number])
        for peer, due in lengths.items():
            if 0 < number <= len(due):
                start = (number - 1) * FRAME_WORDS
                arrived[peer][start : start + due[number - 1]] = yield peer, due[number - 1]
    _deliver(chunk, arrived)


def _deliver(chunk: list[Task[Any]], arrived: Mapping[int, Array]) -> None:
    """Hand every task what came for it, and let it go on."""
    offset = dict.fromkeys(arrived, 0)
    for task in chunk:
        for exchange in task.exchanges or ():
            for peer, count in exchange.expects.items():
                exchange.received[peer] = arrived[peer][offset[peer] : offset[peer] + count]
                offset[peer] += count
        task.advance()
