"""CrypTen with two parties over loopback (gloo): division, multiply-and-truncate. It has neither sort nor median.

Run with the interpreter of an environment that holds it (crypten 0.4.1, torch).
"""

from __future__ import annotations

import argparse
import os

import parties


def party(chosen: argparse.Namespace) -> None:
    """One of the two."""
    import crypten
    import torch

    os.environ |= {
        "DISTRIBUTED_BACKEND": "gloo", "GLOO_SOCKET_IFNAME": "lo", "WORLD_SIZE": "2", "RANK": str(chosen.rank),
        "RENDEZVOUS": f"tcp://127.0.0.1:{chosen.port}",
    }  # fmt: skip
    torch.set_num_threads(1)
    crypten.init()
    inputs = [torch.tensor(parties.data(chosen.workloads, chosen.n, rank)) for rank in (0, 1)]

    def shared(rank: int):  # type: ignore[no-untyped-def]
        held = inputs[rank] if rank == chosen.rank else torch.zeros_like(inputs[rank])
        return crypten.cryptensor(held, src=rank)

    def once():  # type: ignore[no-untyped-def]
        x, y = shared(0), shared(1)
        result = x / (y + 2) if chosen.workloads == "divide" else (x + y) * (x - y) * (x + y)
        return result.get_plain_text().numpy()

    parties.repeat(chosen, crypten.communicator.get().barrier, once)


parties.run("crypten", __file__, "triples from party 0, within the time; 16 bits", party, ("divide", "multiply"))
