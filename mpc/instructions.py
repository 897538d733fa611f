"""What parties do, array by array: local work, products, primitives, shares and reveals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from mpc.types import Shape
from protocols.correlations import Kind
from protocols.primitives import Primitive
from protocols.products import Product
from protocols.ring import Array

__all__ = ["Action", "Input", "Instruction", "Local", "Noise", "Reveal", "SecretProduct", "Share"]


@dataclass(frozen=True)
class Input:
    """A column or a count, which its owner has."""


@dataclass(frozen=True)
class Local:
    """Work without a message: `evaluate(party's index, *values)`."""

    evaluate: Callable[..., Array]


@dataclass(frozen=True)
class Share:
    """A value becomes shared. `owner`: the party that has it; None: everyone has."""

    owner: int | None


@dataclass(frozen=True)
class SecretProduct:
    """A ring product by the protocol, and who owns each operand (None: shared by all)."""

    product: Product
    x_owner: int | None = None
    y_owner: int | None = None


@dataclass(frozen=True)
class Noise:
    """Every party adds noise of its own to its share."""


@dataclass(frozen=True)
class Reveal:
    """A result goes to its recipients, under its name."""

    name: str
    to: tuple[str, ...]


Action = Input | Local | Share | SecretProduct | Primitive | Noise | Reveal


@dataclass(frozen=True)
class Instruction:
    """One array: how it comes about, from which others, and who has it.

    `shape`: of the array in memory, where packed bits count words. `holder`: the only party that has it; None: all.
    `step`: the plan's step that it is for.
    """

    action: Action
    inputs: tuple[int, ...]
    shape: Shape
    step: int
    kind: Kind = "ring"
    holder: int | None = None

    @property
    def words(self) -> int:
        """Words in memory."""
        return math.prod(self.shape)

    @property
    def sends(self) -> bool:
        """Whether messages are needed."""
        if isinstance(self.action, Primitive):
            return self.action.length > 0
        return isinstance(self.action, SecretProduct | Reveal)
