"""How one party runs a plan: local steps at once, products by the protocol, all results revealed in the last round.

The engine is a generator: it yields the message that it waits for and is sent it, so that the same code runs on a node
and in the simulator.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from mpc.operations import Params
from mpc.operations.inputs import Constant
from mpc.plan import Step
from mpc.schedule import Schedule, SecretProduct
from mpc.types import Private, Public, Visibility
from protocols import ring
from protocols.party import Party
from protocols.ring import Array
from protocols.rounds import Need, Send, Task, run_round

__all__ = ["Engine", "Outcome"]


@dataclass(repr=False)
class Outcome:
    """What a party has when a plan has run. Shows nothing of it.

    `revealed`: results for this party, as ring elements by name. `shares`: recipient -> name -> this party's
    re-randomised share, for recipients that are no party. `rounds`: as counted here.
    """

    revealed: dict[str, Array] = field(default_factory=dict)
    shares: dict[str, dict[str, Array]] = field(default_factory=dict)
    rounds: int = 0


class Engine:
    """One run of a scheduled plan at one party. `inputs`: the encoded columns and row counts of this party, by step."""

    def __init__(self, schedule: Schedule, party: Party, inputs: Mapping[int, Array]) -> None:
        self._plan = plan = schedule.plan
        self._schedule = schedule
        self._protocol = schedule.protocol
        self._party = party
        self._name = plan.parties[party.index]
        self._values: dict[int, Array] = dict(inputs)

    def run(self, send: Send) -> Generator[Need, Array, Outcome]:
        """Run the plan. Yields (peer, words) for every message that it waits for and takes the message's words."""
        outcome = Outcome()
        by_round: list[list[int]] = [[] for _ in range(self._schedule.rounds)]
        for i, start in enumerate(self._schedule.start):
            by_round[min(start, self._schedule.rounds - 1)].append(i)
        running: list[Task[Any]] = []
        for number, steps in enumerate(by_round):
            products: list[SecretProduct] = []
            reveals: list[Task[None]] = []
            for i in steps:
                step = self._plan.steps[i]
                if i in self._schedule.products:
                    products.append(self._schedule.products[i])
                elif step.op == "reveal":
                    reveals.append(Task(partial(self._reveal, i, step, outcome), self._plan.types[i].size))
                else:
                    self._local(i, step)
                    self._forget(i)
            started: list[Task[Any]] = []
            tasks = chain(running, _noting(self._tasks(products, reveals), started))
            outcome.rounds += yield from run_round(tasks, send)
            running = [task for task in (*running, *started) if not task.finished]
            for i in self._schedule.products:
                if self._schedule.end[i] == number + 1:
                    self._forget(i)
        if running:
            raise RuntimeError("a protocol takes more rounds than its formula says")
        return outcome

    def _tasks(self, products: Iterable[SecretProduct], reveals: Iterable[Task[None]]) -> Iterable[Task[Any]]:
        for secret in products:
            step = self._plan.steps[secret.step]
            x, y = (self._values.get(j) for j in step.inputs)
            whole = np.zeros(secret.product.out_shape, np.uint64)
            self._values[secret.step] = whole
            owned = secret.x_owner is not None or secret.y_owner is not None
            for number, block in enumerate(secret.product.blocks()):
                x_part, y_part = secret.product.operands(block, x, y)
                computing = partial(
                    self._protocol.product,
                    self._party.at(secret.step, number),
                    secret.product.of(block),
                    x_part,
                    y_part,
                    secret.x_owner,
                    secret.y_owner,
                )
                yield Task(computing, block.weight(owned=owned), partial(secret.product.gather, whole, block))
        yield from reveals

    def _local(self, i: int, step: Step) -> None:
        """Compute a step that needs no message, if its value is one that this party has."""
        visibility = self._plan.types[i].visibility
        if step.op == "constant":
            self._values[i] = Constant().encoded(step.params)
        elif step.op == "share":
            self._values[i] = self._share(i, step.inputs[0])
        elif step.inputs and self._has(visibility):
            types = [self._plan.types[j] for j in step.inputs]
            values = [self._values[j] for j in step.inputs]
            self._values[i] = step.operation.evaluate(values, types, step.params)

    def _has(self, visibility: Visibility) -> bool:
        return not isinstance(visibility, Private) or visibility.owner == self._name

    def _share(self, i: int, source: int) -> Array:
        type_ = self._plan.types[source]
        if isinstance(type_.visibility, Public):
            return self._values[source] if self._party.index == 0 else np.zeros(type_.shape, np.uint64)
        assert isinstance(type_.visibility, Private)
        owner = self._plan.parties.index(type_.visibility.owner)
        return self._protocol.share(self._party.at(i), self._values.get(source), type_.shape, owner)

    async def _reveal(self, i: int, step: Step, outcome: Outcome) -> None:
        """Re-randomise this party's share; send it to recipients that are parties, hand it over for the others."""
        party = self._party.at(i)
        shape = self._plan.types[i].shape
        share = self._protocol.refresh(party, self._values[step.inputs[0]])
        name, parties = step.params["name"], self._plan.parties
        inside = [parties.index(to) for to in step.params["to"] if to in parties]
        for to in step.params["to"]:
            if to not in parties:
                outcome.shares.setdefault(to, {})[name] = share
        (value,) = await party.open((share, shape, party.everyone, inside))
        if value is not None:
            outcome.revealed[name] = value

    def _forget(self, done: int) -> None:
        """Drop the values that no later step takes."""
        for j in {done, *self._plan.steps[done].inputs}:
            if self._schedule.last_use[j] == done:
                self._values.pop(j, None)


def _noting(tasks: Iterable[Task[Any]], into: list[Task[Any]]) -> Iterator[Task[Any]]:
    """The tasks as they are made, noted in a list."""
    for task in tasks:
        into.append(task)
        yield task


def combine(shares: Iterable[Array]) -> Array:
    """The value that all parties' shares add up to."""
    first, *others = shares
    total = first.copy()
    for share in others:
        ring.add(total, share, out=total)
    return total


def count_input(params: Params) -> Array:
    """The input of a `count` step, at the party that has counted `params["rows"]` rows."""
    return np.array(params["rows"], np.uint64)
