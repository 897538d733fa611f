"""Many protocols one after another, in bounded memory: while the oldest receive, the next ones send."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Iterable
from itertools import chain
from typing import Any

from protocols.rounds import Exchange, Task

__all__ = ["PIPELINE_WORDS", "pipelined"]

PIPELINE_WORDS = 1 << 19
"""Weight under way at any time, unless a single task has more: 4 MiB a peer and round."""


class pipelined(Awaitable[None]):  # noqa: N801 - reads like gather
    """Run tasks in their order, each round advancing all that are under way. Results go where the tasks put them.

    In each round new ones start up to half of PIPELINE_WORDS together, while all under way stay within it. So every
    party must give the same number of tasks, of the same weights and rounds, in the same order; one that takes no part
    in a task is `idle` for its rounds. `tasks` may be made lazily: each is taken when it starts.
    """

    def __init__(self, tasks: Iterable[Task[Any]]) -> None:
        self._tasks = iter(tasks)

    def __await__(self) -> Generator[list[Exchange], None, None]:
        running: list[Task[Any]] = []
        following = next(self._tasks, None)
        while running or following is not None:
            under_way, started = sum(task.weight for task in running), 0
            while following is not None and _fits(following.weight, started, under_way):
                following.advance()
                if not following.finished:
                    started += following.weight
                    under_way += following.weight
                    running.append(following)
                following = next(self._tasks, None)
            if running:
                yield list(chain.from_iterable(task.exchanges or () for task in running))
                for task in running:
                    task.advance()
                running = [task for task in running if not task.finished]


def _fits(weight: int, started: int, under_way: int) -> bool:
    return under_way == 0 or (started + weight <= PIPELINE_WORDS // 2 and under_way + weight <= PIPELINE_WORDS)
