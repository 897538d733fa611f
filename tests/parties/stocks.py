"""Stocks of several parties in one process, filled with material that tells where it is from; crashes at any line."""

from __future__ import annotations

import linecache
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from parties import common_stock, database, sealed, stock, stock_index
from parties.common_stock import taken
from parties.errors import Fault
from parties.stock import Stock
from parties.stock_index import CHUNK, name_of
from protocols.correlations import Demand, Material
from protocols.stock import UNIT, lengthened, unit_words, unpacked

sys.path.insert(0, str(Path(__file__).parents[1] / "protocols" / "ot"))
from lockstep import together

BINDING = b"b" * 32
TRACED = {module.__file__ for module in (common_stock, database, sealed, stock, stock_index)}

Handed = tuple[int, list[int]]
"""A party, and the marks of the elements that it was handed."""


class Crash(BaseException):
    """The process ends here, as far as its files can tell."""


@contextmanager
def crashing(after: int, end: Callable[[], None]) -> Iterator[None]:
    """`end` is called before the line of the stock's code that comes after so many others.

    Never at a `try`, where nothing happens: an exception that a trace raises there leaves the `with` around it open.
    """
    left = after

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line" and linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() != "try:":
            left -= 1
            if left < 0:
                end()
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)


def crash() -> None:
    """Like the end of the process, but for what `finally` does."""
    sys.settrace(None)
    raise Crash


def marked(kind: Demand, party: int, elements: int, number: int) -> Material:
    """Shares of which every word says which batch it is of, and which element (or which 64) of it."""
    demand = lengthened(kind, elements)
    material = unpacked(demand, party, np.zeros(unit_words(kind, party) * (elements // UNIT), np.uint64))
    for name, share in material.items():
        length = share.shape[-1]
        step = elements // length
        material[name] = np.broadcast_to(np.arange(length, dtype=np.uint64) * np.uint64(step), share.shape) + np.uint64(
            number << 32
        )
    return material


def pieces(kind: Demand, party: int, elements: int, number: int) -> list[tuple[Demand, Material]]:
    """The same, as a stock takes it."""
    whole = marked(kind, party, elements, number)
    words = {name: share.shape[-1] for name, share in whole.items()}
    made = []
    for start in range(0, elements, CHUNK):
        stop = min(start + CHUNK, elements)
        cut = {n: s[..., start * words[n] // elements : stop * words[n] // elements] for n, s in whole.items()}
        made.append((lengthened(kind, stop - start), Material(cut)))
    return made


class Stocks:
    """The stocks of some parties, each in a state folder of its own."""

    def __init__(self, folder: Path, parties: int) -> None:
        self.folder = folder
        self.parties = parties
        self.troubles: list[Fault] = []
        self.stocks = [self._open(party) for party in range(parties)]
        self.number = 0

    def state(self, party: int) -> Path:
        return self.folder / str(party)

    def _open(self, party: int) -> Stock:
        return Stock(self.state(party), party, BINDING, self.troubles.append)

    def reopen(self) -> None:
        """What begins anew after a crash."""
        for held in self.stocks:
            held.close()
        self.stocks = [self._open(party) for party in range(self.parties)]

    def close(self) -> None:
        for held in self.stocks:
            held.close()

    def keep(self, party: int) -> Path:
        """A copy of the party's state folder."""
        shutil.rmtree(self.folder / "copy", ignore_errors=True)
        self.stocks[party].close()
        shutil.copytree(self.state(party), self.folder / "copy")
        self.stocks[party] = self._open(party)
        return self.folder / "copy"

    def restore(self, party: int) -> None:
        """Put the copy in the place of the party's state."""
        self.stocks[party].close()
        shutil.rmtree(self.state(party))
        shutil.copytree(self.folder / "copy", self.state(party))
        self.stocks[party] = self._open(party)

    def fill(self, kind: Demand, elements: int) -> None:
        """A batch at all parties."""
        self.number += 1
        id = os.urandom(16)
        for party, held in enumerate(self.stocks):
            held.add(id, kind, pieces(kind, party, elements, self.number), 0)

    def session(self, needs: Mapping[Demand, int], handed: Callable[[int, list[int]], None]) -> list[dict[Demand, int]]:
        """All parties take from stock; `handed` is told by each what it got, as soon as it has it."""

        async def one(party: int) -> dict[Demand, int]:
            there, shares = await taken(party, self.parties, needs, self.stocks[party])
            for kind, count in there.items():
                handed(party, marks(kind, shares[kind], count))
            return there

        return together(*(partial(one, party) for party in range(self.parties)))[0]

    def there(self, party: int) -> dict[bytes, int]:
        """Elements by the kind's name."""
        there: dict[bytes, int] = {}
        for batch in self.stocks[party].batches():
            there[batch.kind] = there.get(batch.kind, 0) + batch.end - batch.next
        return there


def marks(kind: Demand, shares: Material, count: int) -> list[int]:
    """Which elements these are; all parts must say the same."""
    said: list[list[int]] = []
    for share in shares.values():
        rows = share.reshape(-1, share.shape[-1])
        assert (rows == rows[0]).all()
        if rows.shape[1] != count:
            rows = rows[:, :, None] + np.arange(UNIT, dtype=np.uint64)
        said.append([int(word) for word in rows[0].reshape(-1)])
    assert all(each == said[0] for each in said)
    assert len(said[0]) == count
    return said[0]


__all__ = ["BINDING", "Crash", "Handed", "Stocks", "crash", "crashing", "marked", "marks", "name_of", "pieces"]
