"""One end of data links as a process of its own, for the tests: orders on stdin, what came of them on stdout."""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time

import numpy as np

from parties.errors import Fault
from parties.links import DataEndpoint, Links, PeerLink


def key(session: bytes, sender: int, receiver: int) -> bytes:
    """A test's key for one direction."""
    return hashlib.sha256(session + bytes([sender, receiver])).digest()


def links_to(endpoint: DataEndpoint, me: int, addresses: dict[int, str], session: bytes, deadline_s: float) -> Links:
    """Links with the tests' keys; party i is called p<i>."""
    peers = {
        i: PeerLink(f"p{i}", address, key(session, me, i), key(session, i, me)) for i, address in addresses.items()
    }
    return endpoint.open(me, peers, session, deadline_s)


def act(links: Links, me: int, peers: list[int], action: str, frames: int, words: int) -> dict[str, object]:
    """Carry out one action; what is worth telling."""
    values = np.arange(words, dtype=np.uint64) + np.uint64(me)
    start = time.perf_counter()
    match action:
        case "exchange":
            for _ in range(frames):
                for peer in peers:
                    links.send(peer, [values])
                for peer in peers:
                    got = links.receive(peer, words)
                    assert words == 0 or int(got[0]) == peer
        case "send":
            for _ in range(frames):
                links.send(peers[0], [values])
        case "sip":
            for _ in range(frames):
                time.sleep(0.01)
                links.receive(peers[0], words)
        case "idle":
            time.sleep(frames)
    return {"seconds": time.perf_counter() - start}


def main() -> None:
    """Serve the orders on stdin."""
    order = json.loads(input())
    me, session = order["me"], bytes.fromhex(order["session"])
    endpoint = DataEndpoint("127.0.0.1:0")
    print(json.dumps({"address": endpoint.address}), flush=True)
    addresses = {int(i): address for i, address in json.loads(input()).items()}
    links = links_to(endpoint, me, addresses, session, order["deadline_s"])
    print(json.dumps({"open": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        start = time.monotonic()
        try:
            told = act(links, me, sorted(addresses), order["action"], order["frames"], order["words"])
        except Fault as fault:
            told = {"fault": fault.report.to_wire(), "seconds": time.monotonic() - start}
        told["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(told), flush=True)
    links.close()
    endpoint.close()


if __name__ == "__main__":
    main()
