"""Oblivious transfer altered in one place, as no session may run it: the tests of views and transcripts see each."""

from __future__ import annotations

import numpy as np

from protocols.ot import softspoken
from protocols.ot.correlated import Received, Sent


def choices_in_clear(monkeypatch) -> None:
    """The receiver leaves one tree's correction without its mask: the choice bits themselves."""
    stretched = softspoken._Forest._stretched

    def leaking(self, width):
        v, u = stretched(self, width)
        u[3] = 0
        return v, u

    monkeypatch.setattr(softspoken._Forest, "_stretched", leaking)


def repeated_index(monkeypatch) -> None:
    """The same words of the rows serve again and again."""
    rows = softspoken._Forest.rows

    def again(self, width):
        self._used = 0
        return rows(self, width)

    monkeypatch.setattr(softspoken._Forest, "rows", again)


def reused_pads(monkeypatch) -> None:
    """Both ends take the pads again that they had for as many OTs before."""
    for kind in (Sent, Received):
        strips, had = kind.strips, {}

        def again(self, width=1, strips=strips, had=had):
            taken = [(start, *(part.copy() for part in parts)) for start, *parts in strips(self, width)]
            return had.setdefault((id(self._hash), self.count, width), taken)

        monkeypatch.setattr(kind, "strips", again)


def no_offset(monkeypatch) -> None:
    """The offset is zero: both pads of every OT are one, and the payload shows the sender's input."""
    made = softspoken.SoftSpokenSender.__init__

    def zero(self, peer, trees, offset, hash):
        made(self, peer, trees, np.zeros_like(offset), hash)

    monkeypatch.setattr(softspoken.SoftSpokenSender, "__init__", zero)
