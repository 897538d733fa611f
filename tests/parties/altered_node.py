"""A node or dealer that a test has altered, as a process of its own.

argv: "lax", which checks nothing that the agreement says, or a file that holds the time, in seconds since 1970, which
takes the place of the machine's clock; then the role and the path of party.toml, as for `beaver`.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from parties import policy, server
from parties.admission import Admission
from parties.clock import Clock
from parties.config import PartyConfig
from parties.dealer import Dealer
from parties.log import Log
from parties.node import Node


def check_nothing() -> None:
    """From here on every plan is as good as any other."""
    policy.check = lambda case: None
    policy.refusals = lambda case: []
    server.check_signed = lambda agreement, path, consortium: None  # type: ignore[attr-defined]
    server.Server.check_in_force = lambda self: None  # type: ignore[method-assign]
    Clock.check_not_over = lambda self, agreement: None  # type: ignore[method-assign]
    Admission.admit = lambda self, conversation, plan: None  # type: ignore[method-assign,assignment,return-value]
    Admission.count = lambda self, conversation, request: None  # type: ignore[method-assign,assignment]


def main() -> None:
    """Serve until stopped."""
    how, role, path = sys.argv[1:]
    now: Callable[[], float] = time.time
    if how == "lax":
        check_nothing()
    else:
        now = lambda: float(Path(how).read_text())  # noqa: E731
    config = PartyConfig.load(Path(path))
    serving = (Dealer if role == "dealer" else Node)(config, Log(config.name, sys.stderr), now)
    signal.signal(signal.SIGTERM, lambda *_: serving.stop())
    serving.serve()


if __name__ == "__main__":
    main()
