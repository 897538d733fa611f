"""How one party runs a plan: local steps at once, products by the protocol, all results revealed in the last round.

The engine is a generator: it yields the message that it waits for and is sent it, so that the same code runs on a node
and in the simulator.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np

from mpc.instructions import Input, Instruction, Local, Noise, Reveal, SecretProduct, Share
from mpc.operations import Params
from mpc.schedule import Piece, Schedule
from protocols import ring
from protocols.correlations import Kind
from protocols.party import Party
from protocols.primitives import Primitive, packed_words
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
    """One run of a scheduled plan at one party.

    `inputs`: the encoded columns and row counts of this party, by step. `noise`: what this party adds to each noisy
    step, as ring words; zeros where it adds none.
    """

    def __init__(
        self,
        schedule: Schedule,
        party: Party,
        inputs: Mapping[int, Array],
        noise: Mapping[int, Array] = MappingProxyType({}),
    ) -> None:
        self._plan = schedule.plan
        self._program = schedule.program
        self._schedule = schedule
        self._protocol = schedule.protocol
        self._party = party
        self._noise = noise
        self._values: dict[int, Array] = {
            i: inputs[instruction.step]
            for i, instruction in enumerate(self._program)
            if isinstance(instruction.action, Input) and instruction.step in inputs
        }

    def run(self, send: Send) -> Generator[Need, Array, Outcome]:
        """Run the plan. Yields (peer, words) for every message that it waits for and takes the message's words."""
        outcome = Outcome()
        schedule = self._schedule
        by_round: list[list[int]] = [[] for _ in range(schedule.rounds)]
        ending: dict[int, list[int]] = {}
        for i, start in enumerate(schedule.start):
            by_round[min(start, schedule.rounds - 1)].append(i)
            if schedule.end[i] > start:
                ending.setdefault(schedule.end[i], []).append(i)
        running: list[Task[Any]] = []
        for number, instructions in enumerate(by_round):
            sending: list[int] = []
            for i in instructions:
                if self._program[i].sends:
                    sending.append(i)
                else:
                    self._local(i, self._program[i])
                    self._forget(i)
            started: list[Task[Any]] = []
            tasks = chain(running, _noting(self._tasks(sending, outcome), started))
            outcome.rounds += yield from run_round(tasks, send)
            running = [task for task in (*running, *started) if not task.finished]
            for i in ending.get(number + 1, ()):
                self._forget(i)
        if running:
            raise RuntimeError("a protocol takes more rounds than its formula says")
        return outcome

    def _tasks(self, sending: Sequence[int], outcome: Outcome) -> Iterator[Task[Any]]:
        """What sends messages from this round on, reveals last."""
        for i in sending:
            instruction = self._program[i]
            if isinstance(instruction.action, SecretProduct):
                yield from self._products(i, instruction, instruction.action)
            elif isinstance(instruction.action, Primitive):
                yield from self._primitives(i, instruction, instruction.action)
        for i in sending:
            action = self._program[i].action
            if isinstance(action, Reveal):
                yield Task(partial(self._reveal, i, action, outcome), self._program[i].words)

    def _products(self, i: int, instruction: Instruction, action: SecretProduct) -> Iterator[Task[Any]]:
        x, y = (self._values.get(j) for j in instruction.inputs)
        whole = np.zeros(instruction.shape, np.uint64)
        self._values[i] = whole
        owners = action.x_owner, action.y_owner
        for number, block in enumerate(self._protocol.blocks(action.product, *owners)):
            product = action.product.of(block)
            x_part, y_part = action.product.operands(block, x, y)
            computing = partial(self._protocol.product, self._party.at(i, number), product, x_part, y_part, *owners)
            weight = self._protocol.product_weight(product, *owners)
            yield Task(computing, weight, partial(action.product.gather, whole, block))

    def _primitives(self, i: int, instruction: Instruction, action: Primitive) -> Iterator[Task[Any]]:
        inputs = [
            _flat(self._values[j], action.length, kind)
            for j, kind in zip(instruction.inputs, action.takes, strict=True)
        ]
        whole = np.zeros(instruction.shape, np.uint64)
        self._values[i] = whole
        result = _flat(whole, action.length, action.gives)
        for piece in self._schedule.pieces(i):
            assert piece.primitive is not None
            parts = [_cut(x, piece, kind) for x, kind in zip(inputs, action.takes, strict=True)]
            computing = partial(self._protocol.primitive, self._party.at(i, piece.number), piece.primitive, *parts)
            # each word goes to one peer: no party sends another more than this
            weight = max(self._schedule.cost(i, piece).words)
            yield Task(computing, weight, partial(np.copyto, _cut(result, piece, action.gives)))

    def _local(self, i: int, instruction: Instruction) -> None:
        """Do what needs no message, if its value is one that this party has."""
        values = [self._values[j] for j in instruction.inputs if j in self._values]
        action = instruction.action
        if isinstance(action, Share):
            self._values[i] = self._share(i, instruction, action.owner)
        elif isinstance(action, Noise):
            self._values[i] = ring.add(values[0], self._noise[instruction.step])
        elif isinstance(action, Primitive):  # of no elements
            self._values[i] = np.zeros(instruction.shape, np.uint64)
        elif isinstance(action, Local) and instruction.holder in (None, self._party.index):
            self._values[i] = action.evaluate(self._party.index, *values)

    def _share(self, i: int, instruction: Instruction, owner: int | None) -> Array:
        value = self._values.get(instruction.inputs[0])
        if owner is None:
            return value if self._party.index == 0 and value is not None else np.zeros(instruction.shape, np.uint64)
        return self._protocol.share(self._party.at(i), value, instruction.shape, owner)

    async def _reveal(self, i: int, action: Reveal, outcome: Outcome) -> None:
        """Re-randomise this party's share; send it to recipients that are parties, hand it over for the others."""
        party = self._party.at(i)
        shape = self._program[i].shape
        share = self._protocol.refresh(party, self._values[self._program[i].inputs[0]])
        parties = self._plan.parties
        inside = [parties.index(to) for to in action.to if to in parties]
        for to in action.to:
            if to not in parties:
                outcome.shares.setdefault(to, {})[action.name] = share
        (value,) = await party.open((share, shape, party.everyone, inside))
        if value is not None:
            outcome.revealed[action.name] = value

    def _forget(self, done: int) -> None:
        """Drop the values that no later instruction takes."""
        for j in {done, *self._program[done].inputs}:
            if self._schedule.last_use[j] == done:
                self._values.pop(j, None)


def _flat(x: Array, length: int, kind: Kind) -> Array:
    """A primitive's operand as its protocol takes it: elements, or packed words, along the last axis."""
    if kind == "bits":
        return x
    return x.reshape(-1) if x.size == length else x.reshape(-1, length)


def _cut(x: Array, piece: Piece, kind: Kind) -> Array:
    """The part of an operand that one task works on."""
    if kind == "bits":
        return x[..., piece.start // 64 : packed_words(piece.stop)]
    return x[..., piece.start : piece.stop]


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
