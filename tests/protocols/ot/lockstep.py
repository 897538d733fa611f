"""Parties of a test in one process: every round by `run_round`, as on a node, and every message noted."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import numpy as np

from protocols.rounds import Exchange, Task, run_round

Message = tuple[int, int, np.ndarray]


def together(*protocols: Callable[[], Coroutine[Any, None, Any]]) -> tuple[list[Any], list[Message]]:
    """Run one protocol a party to its end; their results, and all messages as (sender, receiver, words)."""
    results: dict[int, Any] = {}
    mail, log = defaultdict(deque), []

    def send(me: int, peer: int, parts) -> None:
        message = np.concatenate(parts)
        mail[me, peer].append(message)
        log.append((me, peer, message))

    def party(me: int):
        task = Task(protocols[me], 1, partial(results.__setitem__, me))
        while not task.finished:
            yield from run_round([task], partial(send, me))

    running, needs = {me: party(me) for me in range(len(protocols))}, {}
    while running:
        ready = [me for me in running if me not in needs or mail[needs[me][0], me]]
        assert ready, f"deadlock: {needs}"
        for me in ready:
            try:
                if me in needs:
                    peer, size = needs[me]
                    message = mail[peer, me].popleft()
                    assert message.size == size
                    needs[me] = running[me].send(message)
                else:
                    needs[me] = next(running[me])
            except StopIteration:
                del running[me]
                needs.pop(me, None)
    assert not any(mail.values())
    return [results[me] for me in range(len(protocols))], log


def everywhere(meshes: Sequence[Any], protocol: Callable[[Any], Coroutine[Any, None, Any]]) -> list[Any]:
    """The same protocol at every party; the results."""
    return together(*(partial(protocol, mesh) for mesh in meshes))[0]


def sent(log: Sequence[Message]) -> dict[int, int]:
    """Words that each party sent."""
    words: dict[int, int] = defaultdict(int)
    for sender, _, message in log:
        words[sender] += message.size
    return dict(words)


def answer(protocol: Coroutine[Any, None, Any], *rounds: dict[int, np.ndarray]) -> Any:
    """Run one party against made-up messages, one dict a round; its result. Raises what it raises."""
    try:
        for received in rounds:
            (exchange,) = protocol.send(None)
            assert isinstance(exchange, Exchange)
            exchange.received = received
        protocol.send(None)
    except StopIteration as stop:
        return stop.value
    finally:
        protocol.close()
    raise AssertionError("more rounds than messages")
