"""What a primitive is: an elementwise protocol on shared arrays, with its cost, its material and its plain meaning.

A truncation, a comparison, a selection are primitives; each stands in a module of its own, beside its paper. Long
arrays are cut into blocks: the same primitive with a smaller `length`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from protocols.correlations import Demand, Kind, Label
from protocols.interface import Cost
from protocols.party import Party
from protocols.ring import Array

__all__ = ["Primitive", "packed_words"]


def packed_words(bits: int) -> int:
    """Words that hold so many bits."""
    return -(-bits // 64)


@dataclass(frozen=True)
class Primitive(ABC):
    """A protocol for `length` independent elements.

    Inputs and results are of two kinds. "ring": `length` words, each shared additively. "bits": the bits of `length`
    elements, 64 to a word (element i is bit i % 64 of word i // 64), shared by XOR; several planes of them have shape
    (planes, words). Bits beyond the length may hold anything.
    """

    length: int

    takes: ClassVar[tuple[Kind, ...]]
    """The kinds of the inputs."""

    gives: ClassVar[Kind]
    """The kind of the result."""

    block: ClassVar[int] = 1 << 16
    """Elements of one block: a multiple of 64. 0: never cut."""

    @property
    def planes(self) -> int:
        """Bits of the result for every element, where it is of kind "bits"."""
        return 1

    @property
    def input_words(self) -> tuple[int, ...]:
        """Words of each input."""
        bits = self.planes * packed_words(self.length)
        return tuple(self.length if kind == "ring" else bits for kind in self.takes)

    @abstractmethod
    def cost(self, parties: int) -> Cost:
        """Rounds, and the words that each party sends to all others together."""

    @abstractmethod
    def demands(self, parties: int) -> Iterator[tuple[Label, Demand]]:
        """The material consumed, each piece with what is added to the label."""

    @abstractmethod
    async def run(self, party: Party, *inputs: Array) -> Array:
        """This party's share of the result, from its shares of the inputs."""

    @abstractmethod
    def reference(self, *inputs: Array) -> Array:
        """The result in the clear, from inputs in the clear: what `run` computes."""

    def warm(self) -> None:  # noqa: B027 - most have nothing to load
        """Load the compiled code that running this will want, before a round waits for it."""

    def of(self, length: int) -> Self:
        """The same primitive for another number of elements."""
        return replace(self, length=length)
