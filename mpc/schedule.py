"""Schedule rounds: when each step runs, and which correlated randomness it will want. The same at every party."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from mpc.operations import ProductOperation
from mpc.plan import Plan
from mpc.types import Private, Shared, Visibility
from protocols import additive
from protocols.correlations import Label, Triple
from protocols.interface import SharingProtocol
from protocols.products import Product

__all__ = ["Schedule", "SecretProduct"]


@dataclass(frozen=True)
class SecretProduct:
    """A product step that needs the protocol: its ring product, and who owns each operand (None: shared by all)."""

    step: int
    product: Product
    x_owner: int | None
    y_owner: int | None


class Schedule:
    """When each step of a plan runs under a protocol: at the start of round `start[step]`; its value is there at the
    start of round `end[step]`. All reveals come last, in one round.
    """

    def __init__(self, plan: Plan, protocol: SharingProtocol = additive) -> None:
        self.plan = plan
        self.protocol = protocol
        self.products = {product.step: product for product in _secret_products(plan)}
        self.start: list[int] = []
        self.end: list[int] = []
        for i, step in enumerate(plan.steps):
            self.start.append(max((self.end[j] for j in step.inputs), default=0))
            self.end.append(self.start[i] + (self._rounds(self.products[i]) if i in self.products else 0))
        computing = max((self.end[i] for i in self.products), default=0)
        reveals = [i for i, _ in plan.of("reveal")]
        for i in reveals:
            self.start[i] = computing
        self.rounds = computing + (1 if reveals else 0)
        """Rounds in all, the one that reveals included."""

    @cached_property
    def last_use(self) -> list[int]:
        """For every step, the last step that takes its value (itself, if none does)."""
        last = list(range(len(self.plan.steps)))
        for i in sorted(range(len(self.plan.steps)), key=self.order):
            for j in self.plan.steps[i].inputs:
                last[j] = i
        return last

    def order(self, step: int) -> tuple[int, bool, int]:
        """When a step runs, to sort by: within a round, local steps come before what sends messages."""
        return self.start[step], step in self.products or self.plan.steps[step].op == "reveal", step

    def _rounds(self, secret: SecretProduct) -> int:
        block = secret.product.of(secret.product.blocks()[0])
        return self.protocol.product_cost(len(self.plan.parties), block, secret.x_owner, secret.y_owner).rounds

    def warm(self) -> None:
        """Load the compiled code that the plan's products will want, before a round waits for it."""
        for step in self.plan.steps:
            if isinstance(step.operation, ProductOperation):
                x, y = (self.plan.types[j].shape for j in step.inputs)
                step.operation.product(x, y).warm()

    @property
    def product_words(self) -> int:
        """Elements of the operands and results of all secret products."""
        return sum(secret.product.words for secret in self.products.values())

    def demands(self) -> Iterator[tuple[Label, Triple]]:
        """Every triple that the plan will draw, with its label, in one order at all parties and the source."""
        parties = len(self.plan.parties)
        for secret in self.products.values():
            for number, block in enumerate(secret.product.blocks()):
                demand = self.protocol.demand(parties, secret.product.of(block), secret.x_owner, secret.y_owner)
                if demand is not None:
                    yield (secret.step, number), demand


def _secret_products(plan: Plan) -> Iterator[SecretProduct]:
    for i, step in enumerate(plan.steps):
        if not isinstance(step.operation, ProductOperation) or not isinstance(plan.types[i].visibility, Shared):
            continue
        x, y = (plan.types[j] for j in step.inputs)
        if all(isinstance(type_.visibility, Private | Shared) for type_ in (x, y)):
            product = step.operation.product(x.shape, y.shape)
            yield SecretProduct(i, product, _owner(plan, x.visibility), _owner(plan, y.visibility))


def _owner(plan: Plan, visibility: Visibility) -> int | None:
    return plan.parties.index(visibility.owner) if isinstance(visibility, Private) else None
