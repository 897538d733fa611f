"""SPU (SecretFlow), semi2k with two parties over loopback: division, multiply-and-truncate, sort and median.

Run with the interpreter of an environment that holds it: `pip install spu==0.9.5`. Shares are made by the owner and go
over SPU's own link, for its runtime has no input between processes.
"""

from __future__ import annotations

import argparse
import os

import parties

os.environ.setdefault("JAX_PLATFORMS", "cpu")


def party(chosen: argparse.Namespace) -> None:
    """One of the two."""
    import jax.numpy as jnp
    import numpy as np
    from spu import api, libspu
    from spu.utils import frontend

    def compute(x, y):  # type: ignore[no-untyped-def]
        if chosen.workloads == "divide":
            return x / (y + 2)
        if chosen.workloads == "multiply":
            return (x + y) * (x - y) * (x + y)
        both = jnp.sort(jnp.concatenate([x, y]))
        return both if chosen.workloads == "sort" else (both[chosen.n // 2 - 1] + both[chosen.n // 2]) / 2

    config = libspu.RuntimeConfig(protocol=libspu.ProtocolKind.SEMI2K, field=libspu.FieldType.FM64)
    ends = libspu.link.Desc()
    ends.recv_timeout_ms = ends.http_timeout_ms = 600_000
    for rank in (0, 1):
        ends.add_party(f"p{rank}", f"127.0.0.1:{chosen.port + rank}")
    link = libspu.link.create_brpc(ends, chosen.rank)
    io, runtime = api.Io(2, config), api.Runtime(link, config)
    inputs = [np.asarray(parties.data(chosen.workloads, chosen.n, rank), np.float32) for rank in (0, 1)]
    secret = [libspu.Visibility.VIS_SECRET] * 2
    executable, _ = frontend.compile(
        frontend.Kind.JAX, compute, inputs, {}, ["x", "y"], secret, lambda out: [f"out{i}" for i in range(len(out))]
    )
    other = 1 - chosen.rank

    def sent(share) -> None:  # type: ignore[no-untyped-def]
        link.send(other, bytes(share.meta))
        link.send(other, bytes([len(share.share_chunks)]))
        for chunk in share.share_chunks:
            link.send(other, bytes(chunk))

    def received():  # type: ignore[no-untyped-def]
        share = libspu.Share()
        share.meta = link.recv(other)
        share.share_chunks = [link.recv(other) for _ in range(link.recv(other)[0])]
        return share

    def once():  # type: ignore[no-untyped-def]
        for rank, name in enumerate(("x", "y")):
            if rank == chosen.rank:
                shares = io.make_shares(inputs[rank], libspu.Visibility.VIS_SECRET)
                sent(shares[other])
                runtime.set_var(name, shares[chosen.rank])
            else:
                runtime.set_var(name, received())
        runtime.run(executable)
        mine = runtime.get_var(executable.output_names[0])
        sent(mine)
        theirs = received()
        return io.reconstruct([mine, theirs] if chosen.rank == 0 else [theirs, mine])

    def barrier() -> None:
        link.send(other, b"ready")
        link.recv(other)

    parties.repeat(chosen, barrier, once)
    os._exit(0)  # its link waits for the other side for long


parties.run("spu", __file__, "semi2k, triples from party 0, within the time; FM64, 18 bits", party)
