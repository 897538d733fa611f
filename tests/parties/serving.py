"""A node's process for tests that alter it before it serves."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from parties.config import PartyConfig
from parties.log import Log
from parties.node import Node


def serve(alter: Callable[[str], object]) -> None:
    """As argv says: how it is altered, `node`, and the path of its party.toml. Until stopped."""
    how, _, path = sys.argv[1:]
    alter(how)
    config = PartyConfig.load(Path(path))
    serving = Node(config, Log(config.name, sys.stderr))
    signal.signal(signal.SIGTERM, lambda *_: serving.stop())
    serving.serve()
