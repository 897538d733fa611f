"""What the planner knows of a value: who may see it, its shape, how it is encoded, and how large it can be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

__all__ = [
    "BOOLEAN", "INTEGER", "MAX_DIGITS", "PUBLIC", "RING_BITS", "SHARED",
    "Domain", "Private", "Public", "Shape", "Shared", "Type", "Visibility",
]  # fmt: skip

Shape = tuple[int, ...]

RING_BITS = 64

MAX_DIGITS = 1 << 11
"""The most bits of a bound, scale or divisor while a plan is made; what runs fits the ring."""


@dataclass(frozen=True)
class Public:
    """Everyone knows the value: it stands in the plan, or follows from what does."""


@dataclass(frozen=True)
class Private:
    """One party holds the value in the clear."""

    owner: str


@dataclass(frozen=True)
class Shared:
    """Every party holds a share."""


Visibility = Public | Private | Shared

PUBLIC = Public()
SHARED = Shared()


@dataclass(frozen=True)
class Domain:
    """How a ring element stands for a value: value = element / (2^scale * divisor), the element read as signed."""

    kind: Literal["integer", "real", "boolean"]
    scale: int = 0
    divisor: int = 1

    @property
    def denominator(self) -> int:
        """2^scale * divisor."""
        return (1 << self.scale) * self.divisor


INTEGER = Domain("integer")

BOOLEAN = Domain("boolean")
"""0 and 1."""


@dataclass(frozen=True)
class Type:
    """The type of a step. `low` and `high` bound every element, encoded, as signed integers of any size."""

    visibility: Visibility
    shape: Shape
    domain: Domain
    low: int
    high: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """Bits that a signed integer needs to hold every element."""
        return max(_signed_bits(self.low), _signed_bits(self.high))

    @property
    def digits(self) -> int:
        """Bits that the planner itself spends on the bounds and the denominator."""
        return max(self.bits, self.domain.scale, self.domain.divisor.bit_length())

    @property
    def fits(self) -> bool:
        """Whether no element can wrap around in the ring."""
        return self.bits <= RING_BITS

    def seen_by(self, visibility: Visibility) -> Type:
        """The same value, seen otherwise."""
        return replace(self, visibility=visibility)


def _signed_bits(value: int) -> int:
    return (value if value >= 0 else -value - 1).bit_length() + 1
