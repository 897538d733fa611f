"""A member who speaks the control protocol by hand."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from parties.agreement import Agreement
from parties.config import Consortium, PartyConfig
from parties.control import ControlClient
from parties.errors import Fault
from parties.identity import Identity

sys.path.insert(0, str(Path(__file__).parent))
from consortium import Running


class Hand:
    """As hostile as the test wants. `seen`: what came and was not asked for."""

    def __init__(self, running: Running, name: str = "analyst") -> None:
        config = PartyConfig.load(running.folder / name / "party.toml")
        self.consortium = Consortium.load(config.consortium)
        self.agreement = Agreement.load(config.agreement, self.consortium)
        reach = {each.name: (each.address, each.transport_key) for each in self.consortium.processes}
        self.client = ControlClient(Identity.load(config.key), reach)
        self.session = os.urandom(16)
        self._submitted: set[str] = set()
        self.seen: dict[str, list[dict[str, Any]]] = {name: [] for name in reach}

    def __enter__(self) -> Hand:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._submitted:  # an analyst may have few sessions at once
            with suppress(Fault):
                self.tell(member, "cancel")
        self.client.close()

    def tell(self, member: str, kind: str, **content: object) -> None:
        """Send a message of this session."""
        self.client.send(member, {"kind": kind, "session": self.session, **content})

    def submit(self, plan: bytes, *members: str) -> None:
        """Submit a plan to some members."""
        self._submitted |= set(members)
        for member in members:
            self.tell(member, "submit", plan=plan)

    def hear(self, member: str, *kinds: str, within_s: float = 10.0) -> dict[str, Any]:
        """The next message of one of these kinds from the member; others are kept in `seen`."""
        until = time.monotonic() + within_s
        while True:
            for i, message in enumerate(self.seen[member]):
                if message["kind"] in kinds:
                    return self.seen[member].pop(i)
            assert time.monotonic() < until, (member, kinds, self.seen)
            name, message = self.client.receive(until - time.monotonic())
            self.seen[name].append(message)

    def fault(self, member: str) -> dict[str, Any]:
        """The report of the fault that the member answers with."""
        report: dict[str, Any] = self.hear(member, "fault")["report"]
        assert report["party"] == member
        return report

    def hellos(self, *members: str) -> list[dict[str, Any]]:
        """What these members say of themselves."""
        return [self.hear(member, "hello")["hello"] for member in members]
