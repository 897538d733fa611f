"""Schedule rounds: when each instruction runs, and which correlated randomness it wants. The same at every party."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mpc.errors import PlanError
from mpc.instructions import Instruction, Reveal, SecretProduct
from mpc.operations import ProductOperation
from mpc.plan import Plan
from mpc.program import lower
from protocols import additive
from protocols.correlations import Demand, Label
from protocols.interface import Cost, SharingProtocol
from protocols.lattice.product import pays
from protocols.primitives import Primitive
from protocols.products import Block

__all__ = ["Piece", "Schedule"]


@dataclass(frozen=True)
class Piece:
    """What one task computes of an instruction: a block of a product, or elements [start, stop) of a primitive."""

    number: int
    start: int
    stop: int
    primitive: Primitive | None = None
    block: Block | None = None


class Schedule:
    """When each instruction of a plan's program runs under a protocol: at the start of round `start`; its value is
    there at the start of round `end`. All reveals come last, in one round.
    """

    def __init__(self, plan: Plan, protocol: SharingProtocol = additive) -> None:
        self.plan = plan
        self.protocol = protocol
        self.program = self._counted(lower(plan))
        self.start: list[int] = []
        self.end: list[int] = []
        waits: list[int] = []
        for instruction in self.program:
            self.start.append(max((self.end[j] for j in instruction.inputs), default=0))
            rounds, streamed = self._rounds()
            self.end.append(self.start[-1] + rounds)
            waits.append(max((waits[j] for j in instruction.inputs), default=0) + rounds - streamed)
        reveals = [i for i, instruction in enumerate(self.program) if isinstance(instruction.action, Reveal)]
        computing = max(self.end, default=0)
        for i in reveals:
            self.start[i] = computing
        self.rounds = computing + (1 if reveals else 0)
        """Rounds in all, the one that reveals included."""
        self.waits = max(waits, default=0) + (1 if reveals else 0)
        """Rounds in all, streams counted once: messages that are waited for one after the other."""

    @cached_property
    def last_use(self) -> list[int]:
        """For every instruction, the last one that takes its value (itself, if none does)."""
        last = list(range(len(self.program)))
        for i in sorted(range(len(self.program)), key=self.order):
            for j in self.program[i].inputs:
                last[j] = i
        return last

    def order(self, i: int) -> tuple[int, bool, int]:
        """When an instruction runs, to sort by: within a round, local work comes before what sends messages."""
        return self.start[i], self.program[i].sends, i

    def pieces(self, i: int) -> Iterator[Piece]:
        """The tasks of a product or a primitive, in order."""
        action = self.program[i].action
        if isinstance(action, SecretProduct):
            for number, block in enumerate(self.protocol.blocks(action.product, action.x_owner, action.y_owner)):
                yield Piece(number, block.start, block.stop, block=block)
        elif isinstance(action, Primitive):
            step = action.block or max(action.length, 1)
            for number, start in enumerate(range(0, action.length, step)):
                stop = min(start + step, action.length)
                yield Piece(number, start, stop, primitive=action.of(stop - start))

    def cost(self, i: int, piece: Piece) -> Cost:
        """Rounds and words of one task."""
        action, parties = self.program[i].action, len(self.plan.parties)
        if isinstance(action, SecretProduct) and piece.block is not None:
            product = action.product.of(piece.block)
            return self.protocol.product_cost(parties, product, action.x_owner, action.y_owner)
        assert piece.primitive is not None
        return self.protocol.primitive_cost(parties, piece.primitive)

    def _counted(self, program: Sequence[Instruction]) -> list[Instruction]:
        """The program, its matrix products told how many they are that lattice encryption may compute."""
        products = {i: x.action for i, x in enumerate(program) if isinstance(x.action, SecretProduct)}
        products = {i: action for i, action in products.items() if pays(action.product)}
        count = sum(len(self.protocol.blocks(x.product, x.x_owner, x.y_owner)) for x in products.values())
        counted = list(program)
        for i, action in products.items():
            product = replace(action.product, in_session=count)
            counted[i] = replace(program[i], action=replace(action, product=product))
        return counted

    def _rounds(self) -> tuple[int, int]:
        """Of the instruction that is being scheduled: its rounds, and how many of them are streamed."""
        i = len(self.start) - 1
        first = next(self.pieces(i), None)
        try:
            cost = self.cost(i, first) if first is not None else Cost(0, ())
        except ValueError as error:
            raise PlanError(f"{self.plan.where(self.program[i].step)}: {error}", "Cut the script in two.") from None
        return cost.rounds, cost.streamed

    def warm(self) -> None:
        """Load the compiled code that the plan will want, before a round waits for it."""
        for step in self.plan.steps:
            if isinstance(step.operation, ProductOperation):
                x, y = (self.plan.types[j].shape for j in step.inputs)
                step.operation.product(x, y).warm()
        for instruction in self.program:
            if isinstance(instruction.action, SecretProduct):
                action = instruction.action
                self.protocol.warm(action.product, action.x_owner, action.y_owner)
            elif isinstance(instruction.action, Primitive):
                instruction.action.warm()

    @property
    def secret_words(self) -> int:
        """Elements of the operands and results of all products and primitives."""
        return sum(
            instruction.words + sum(self.program[j].words for j in instruction.inputs)
            for instruction in self.program
            if isinstance(instruction.action, SecretProduct | Primitive)
        )

    def demands(self) -> Iterator[tuple[Label, Demand]]:
        """Every correlation that the plan will draw, with its label, in one order at all parties and the source."""
        parties = len(self.plan.parties)
        for i, instruction in enumerate(self.program):
            action = instruction.action
            for piece in self.pieces(i):
                if isinstance(action, SecretProduct) and piece.block is not None:
                    product = action.product.of(piece.block)
                    triple = self.protocol.demand(parties, product, action.x_owner, action.y_owner)
                    if triple is not None:
                        yield (i, piece.number), triple
                elif piece.primitive is not None:
                    for label, demand in self.protocol.primitive_demands(parties, piece.primitive):
                        yield (i, piece.number, *label), demand
