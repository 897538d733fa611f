"""What every ZeroMQ socket here has in common: limits, heartbeats, addresses, and the events of its connection."""

from __future__ import annotations

import re
import secrets
import struct

import zmq

from parties.errors import Fault

__all__ = ["CONNECT_WITHIN", "Monitor", "bind", "connect", "limit"]

CONNECT_WITHIN = 5.0
"""Seconds after which a peer that nobody reached counts as down."""

_EVENT = struct.Struct("=hi")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


def limit(socket: zmq.Socket[bytes], max_message: int, linger: float = 1.0) -> None:
    """Set what ZeroMQ leaves open: message size in bytes, handshake time, heartbeats (a dead link shows within 6 s).

    `linger` is the seconds that closing may go on sending. A connection that broke is never silently made again.
    """
    socket.maxmsgsize = max_message
    socket.handshake_ivl = int(CONNECT_WITHIN * 1000) + 1000
    socket.heartbeat_ivl = 1000
    socket.heartbeat_timeout = 5000
    socket.linger = int(linger * 1000)
    socket.reconnect_ivl = -1


def bind(socket: zmq.Socket[bytes], address: str) -> str:
    """Listen on "host:port" (an address of this machine, port 0 for any) and return "host:port" as bound.

    Raises Fault PORT_TAKEN, ADDRESS_INVALID or ADDRESS_UNAVAILABLE.
    """
    url = _url(socket, address)
    try:
        socket.bind(url)
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            raise Fault(
                "PORT_TAKEN",
                f"Cannot listen on {address}: another process already does.",
                f"Stop that process (`ss -ltnp 'sport = :{address.rpartition(':')[2]}'` shows it) "
                "or choose another port in consortium.toml.",
            ) from None
        raise Fault(
            "ADDRESS_UNAVAILABLE",
            f"Cannot listen on {address}: {error.strerror}.",
            "Listen on a numeric address of this machine, such as 0.0.0.0 for all, and a port that this user may open.",
        ) from None
    return socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0").removeprefix("tcp://")


def connect(socket: zmq.Socket[bytes], address: str) -> Monitor:
    """Connect to "host:port" without waiting; the monitor tells what became of it. Raises Fault ADDRESS_INVALID."""
    url = _url(socket, address)
    monitor = Monitor(socket)
    try:
        socket.connect(url)
    except zmq.ZMQError:
        monitor.close()
        raise
    return monitor


class Monitor:
    """The events of one socket's connection. For the thread that owns the socket."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._watched = socket
        self.socket = socket.context.socket(zmq.PAIR)
        self.socket.linger = 0
        name = f"inproc://monitor-{secrets.token_hex(16)}"
        wanted = zmq.Event.HANDSHAKE_SUCCEEDED | zmq.Event.DISCONNECTED | zmq.Event.CLOSED
        failed = zmq.Event.HANDSHAKE_FAILED_AUTH | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
        socket.monitor(name, int(wanted | failed | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL | zmq.Event.CONNECTED))
        self.socket.connect(name)

    def events(self) -> list[zmq.Event]:
        """The events since the last call, without waiting."""
        seen: list[zmq.Event] = []
        while True:
            try:
                head, _ = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return seen
            seen.append(zmq.Event(_EVENT.unpack(head)[0]))

    def close(self) -> None:
        """Stop watching and close both sockets."""
        if not self._watched.closed:
            self._watched.disable_monitor()
        self.socket.close()
        self._watched.close()


def _url(socket: zmq.Socket[bytes], address: str) -> str:
    parts = _ADDRESS.fullmatch(address)
    if parts is None or int(parts[2]) > 65535:
        raise Fault("ADDRESS_INVALID", f"{address[:100]!r} is no address.", 'Write it as "host:port" or "[IPv6]:port".')
    socket.ipv6 = address.startswith("[")
    return f"tcp://{address}"
