"""A node of a consortium without a dealer, as a process of its own, that writes down all material that it makes.

argv: the file, to which the words are added. Then the role and the path of party.toml, as for `beaver`.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from parties import node
from parties.config import PartyConfig
from parties.log import Log
from protocols import pairwise

make = pairwise.make


async def noted(*arguments: Any) -> Any:
    """The same, written down."""
    made = await make(*arguments)
    with Path(sys.argv[1]).open("ab") as file:
        for shares in made.values():
            for share in shares.values():
                file.write(share.tobytes())
    return made


def main() -> None:
    """Serve until stopped."""
    vars(pairwise).update(make=noted)
    config = PartyConfig.load(Path(sys.argv[3]))
    serving = node.Node(config, Log(config.name, sys.stderr))
    signal.signal(signal.SIGTERM, lambda *_: serving.stop())
    serving.serve()


if __name__ == "__main__":
    main()
