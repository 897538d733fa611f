"""What an analyst gets back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mpc.undefined import UNDEFINED

__all__ = ["Result", "Timings", "Traffic", "plain"]


def plain(results: Mapping[str, Any]) -> dict[str, Any]:
    """Results as JSON carries them: numbers and nested lists, None for what is undefined."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else None if value is UNDEFINED else value
        for name, value in results.items()
    }


@dataclass(frozen=True)
class Traffic:
    """Counted online traffic: rounds, and payload bytes that each party sent (ring words; no headers, no handshake).

    `offline_bytes`, in a simulation: what a dealer sent to each party, or each party to the others.
    """

    rounds: int
    bytes_sent: Mapping[str, int]
    offline_bytes: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Bytes that all parties sent."""
        return sum(self.bytes_sent.values())


@dataclass(frozen=True)
class Timings:
    """Seconds. load: reading and encoding columns; offline: dealing; online: columns in memory to revealed result."""

    load: float
    offline: float
    online: float
    total: float


@dataclass(frozen=True)
class Result(Mapping[str, Any]):
    """The results by name: int, float, or a numpy array. Those revealed to somebody else are not here.

    `elsewhere`: name -> recipients, for results that went to others only.
    """

    values_by_name: Mapping[str, Any]
    traffic: Traffic
    timings: Timings
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def to_json(self) -> dict[str, Any]:
        """The result, traffic and timings as plain numbers, lists and dicts."""
        content: dict[str, Any] = {
            "result": plain(self.values_by_name),
            "traffic": {"rounds": self.traffic.rounds, "bytes_sent": dict(self.traffic.bytes_sent)},
            "timings": dict(vars(self.timings)),
        }
        if self.elsewhere:
            content["revealed_elsewhere"] = {name: list(to) for name, to in self.elsewhere.items()}
        return content
