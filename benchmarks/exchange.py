"""The limit of a private dot product: a bare ZeroMQ exchange of the same bytes between two processes."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import zmq

__all__ = ["exchange_seconds"]

FRAME = 1 << 20


def exchange_seconds(size: int, repetitions: int = 5) -> float:
    """Median seconds for two processes to send each other `size` bytes at once, in 1 MiB messages over loopback."""
    context = zmq.Context()
    mine = context.socket(zmq.PAIR)
    port = mine.bind_to_random_port("tcp://127.0.0.1")
    other = subprocess.Popen([sys.executable, __file__, str(port), str(size), str(repetitions)])
    try:
        return float(np.median([_round(mine, size) for _ in range(repetitions + 1)][1:]))
    finally:
        other.wait(30)
        mine.close()
        context.term()


def _round(link: zmq.Socket[bytes], size: int) -> float:
    link.recv()
    link.send(b"")
    started = time.perf_counter()
    _swap(link, size)
    link.recv()
    return time.perf_counter() - started


def _swap(link: zmq.Socket[bytes], size: int) -> None:
    """Send and receive `size` bytes, sending as long as nothing waits to be received."""
    buffer = np.zeros(min(size, FRAME), np.uint8)
    received, to_send = 0, size
    while received < size:
        if to_send:
            link.send(buffer[: min(FRAME, to_send)], copy=False)
            to_send -= min(FRAME, to_send)
        while received < size and (not to_send or link.getsockopt(zmq.EVENTS) & zmq.POLLIN):
            received += len(link.recv(copy=False))


def _main(port: int, size: int, repetitions: int) -> None:
    context = zmq.Context()
    link = context.socket(zmq.PAIR)
    link.connect(f"tcp://127.0.0.1:{port}")
    for _ in range(repetitions + 1):
        link.send(b"")
        link.recv()
        _swap(link, size)
        link.send(b"")
    link.close()
    context.term()


if __name__ == "__main__":
    _main(*(int(argument) for argument in sys.argv[1:]))
