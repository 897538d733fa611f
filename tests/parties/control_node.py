"""A control server as a process of its own, for the tests: tells its address, echoes what it hears and from whom."""

from __future__ import annotations

import sys
from pathlib import Path

from parties.control import ControlServer
from parties.identity import Identity


def main() -> None:
    """Serve until killed: argv holds the key file, then the allowed keys."""
    keys = sys.argv[2:]
    names = {key: f"member{i}" for i, key in enumerate(keys)}
    server = ControlServer(Identity.load(Path(sys.argv[1])), names.get, "127.0.0.1:0")
    print(server.address, flush=True)
    while True:
        for peer, message in server.poll(1.0):
            server.send(peer, {"kind": "echo", "from": peer.name, "message": message})


if __name__ == "__main__":
    main()
