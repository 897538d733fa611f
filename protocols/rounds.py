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
from typing import Any, Generic, TypeVar

import numpy as np

from protocols.ring import Array

__all__ = ["CHUNK_WORDS", "FRAME_WORDS", "Exchange", "Need", "Send", "Task", "gather", "run_round"]

CHUNK_WORDS = 1 << 18
"""Tasks of at least this much weight together leave as one message a peer: 1 MiB of words."""

FRAME_WORDS = 1 << 19
"""No message is longer; one longer chunk (a large matrix) leaves as several messages."""

_CHUNKS_AHEAD = 4

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
    """A protocol coroutine between two rounds. `weight` is in words and the same at every party."""

    __slots__ = ("_coroutine", "_done", "exchanges", "weight")

    def __init__(
        self, coroutine: Coroutine[Any, None, T], weight: int = 1, done: Callable[[T], None] = lambda result: None
    ) -> None:
        self._coroutine: Coroutine[Any, None, T] | None = coroutine
        self._done = done
        self.exchanges: list[Exchange] | None = None
        self.weight = weight

    @property
    def finished(self) -> bool:
        """Whether the coroutine has returned."""
        return self._coroutine is None

    def advance(self) -> None:
        """Run to the next exchange, or to the end, which hands the result to `done`."""
        if self._coroutine is None:
            return
        try:
            self.exchanges = self._coroutine.send(None)
        except StopIteration as stop:
            self._coroutine, self.exchanges = None, []
            self._done(stop.value)


class gather(Awaitable[tuple[T, ...]]):  # noqa: N801 - reads like asyncio's function
    """Advance several protocols in lock step: they share their rounds. Gives their results in order."""

    def __init__(self, *coroutines: Coroutine[Any, None, T]) -> None:
        self._results: dict[int, T] = {}
        self._tasks = [
            Task(coroutine, done=lambda result, i=i: self._results.__setitem__(i, result))  # type: ignore[misc]
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


def run_round(tasks: Iterable[Task[Any]], send: Send) -> Generator[Need, Array, bool]:
    """Advance every task by one exchange. Yields what it waits for, is sent that message; returns whether any was due.

    `tasks` may make its tasks lazily: each is started just before its first message leaves.
    """
    active = False
    in_flight: deque[list[Task[Any]]] = deque()
    for chunk in _chunks(tasks):
        for task in chunk:
            if task.exchanges is None:
                task.advance()
        waiting = [task for task in chunk if task.exchanges]
        if not waiting:
            continue
        active = True
        _send_chunk(waiting, send)
        in_flight.append(waiting)
        if len(in_flight) > _CHUNKS_AHEAD:
            yield from _receive_chunk(in_flight.popleft())
    while in_flight:
        yield from _receive_chunk(in_flight.popleft())
    return active


def _chunks(tasks: Iterable[Task[Any]]) -> Iterator[list[Task[Any]]]:
    chunk: list[Task[Any]] = []
    weight = 0
    for task in tasks:
        chunk.append(task)
        weight += task.weight
        if weight >= CHUNK_WORDS:
            yield chunk
            chunk, weight = [], 0
    if chunk:
        yield chunk


def _send_chunk(chunk: list[Task[Any]], send: Send) -> None:
    parts: dict[int, list[Array]] = {}
    for task in chunk:
        for exchange in task.exchanges or ():
            for peer, words in exchange.sends.items():
                parts.setdefault(peer, []).extend(words)
            exchange.sends = {}
    for peer in sorted(parts):
        message = parts[peer]
        total = sum(words.size for words in message)
        if total <= FRAME_WORDS:
            if total:
                send(peer, message)
        else:
            whole = np.concatenate(message) if len(message) > 1 else message[0]
            for start in range(0, whole.size, FRAME_WORDS):
                send(peer, [whole[start : start + FRAME_WORDS]])


def _receive_chunk(chunk: list[Task[Any]]) -> Generator[Need, Array, None]:
    expected: dict[int, int] = {}
    for task in chunk:
        for exchange in task.exchanges or ():
            for peer, count in exchange.expects.items():
                expected[peer] = expected.get(peer, 0) + count
    arrived: dict[int, Array] = {}
    for peer in sorted(expected):
        arrived[peer] = yield from _receive_words(peer, expected[peer])
    offset = dict.fromkeys(arrived, 0)
    for task in chunk:
        for exchange in task.exchanges or ():
            for peer, count in exchange.expects.items():
                exchange.received[peer] = arrived[peer][offset[peer] : offset[peer] + count]
                offset[peer] += count
        task.advance()


def _receive_words(peer: int, count: int) -> Generator[Need, Array, Array]:
    if count <= FRAME_WORDS:
        return (yield peer, count)
    whole = np.empty(count, np.uint64)
    for start in range(0, count, FRAME_WORDS):
        stop = min(start + FRAME_WORDS, count)
        whole[start:stop] = yield peer, stop - start
    return whole
