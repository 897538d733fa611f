"""Control messages between an analyst and the nodes: bounded msgpack over ZeroMQ with CURVE and an allow-list.

Who a peer is follows from the key that it proved to hold in the CURVE handshake, never from what it calls itself.
"""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import zmq
from zmq.utils import z85

from parties import sockets, wire
from parties.errors import Fault
from parties.identity import Identity

__all__ = ["ControlClient", "ControlServer", "Peer"]

Message = dict[str, Any]

_MAX_BYTES = wire.MAX_MESSAGE + 1024
_ZAP = "inproc://zeromq.zap.01"
_AT_ONCE = 8
_MOST_WAITING = 16
_MOST_GONE = 1024


@dataclass(frozen=True)
class Peer:
    """Who sent a message, by the key it proved to hold, and the way back on the same connection."""

    name: str
    route: bytes = field(repr=False)


class ControlServer:
    """Listens for control messages; for the thread that calls `poll`, except `send`. `address` is "host:port" as bound.

    `allowed` gives the member's name for a Z85 public key, or None; `longest` how many bytes that member's messages may
    have, by name; longer ones are refused before anything is made of them. `gone`: peers who had gone when an answer
    was to be sent, or took nothing; for the thread that calls `poll`, to take out. Raises Fault PORT_TAKEN,
    ADDRESS_INVALID or ADDRESS_UNAVAILABLE.
    """

    def __init__(
        self,
        identity: Identity,
        allowed: Callable[[str], str | None],
        bind: str,
        longest: Callable[[str], int] = lambda name: wire.MAX_MESSAGE,
    ) -> None:
        self._allowed = allowed
        self._longest = longest
        self._outgoing: SimpleQueue[tuple[Peer, bytes]] = SimpleQueue()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._context = zmq.Context()
        self._zap = self._context.socket(zmq.REP)
        self._zap.linger = 0
        self._zap.bind(_ZAP)
        self._router = self._context.socket(zmq.ROUTER)
        self.gone: deque[Peer] = deque(maxlen=_MOST_GONE)
        try:
            sockets.limit(self._router, _MAX_BYTES)
            self._router.rcvhwm = _MOST_WAITING
            self._router.router_mandatory = True
            self._router.curve_server = True
            self._router.curve_secretkey = identity.transport_secret
            self._router.zap_domain = b"control"
            self.address = sockets.bind(self._router, bind)
        except Fault:
            self.close()
            raise
        self._poller = zmq.Poller()
        for each in (self._zap, self._router, self._woken):
            self._poller.register(each, zmq.POLLIN)

    def poll(self, timeout_s: float) -> list[tuple[Peer, Message]]:
        """The messages that have come, as soon as there are any or `timeout_s` has passed.

        Lets peers in and sends answers meanwhile: to be called again and again. A malformed message is answered with
        a message of kind "fault" and not given.
        """
        until = time.monotonic() + timeout_s
        messages: list[tuple[Peer, Message]] = []
        while True:
            left = max(0.0, until - time.monotonic())
            ready = dict(self._poller.poll(math.ceil(left * 1000)))
            if self._zap in ready:
                self._let_in()
            if self._router in ready:
                messages = self._receive()
            if self._woken.fileno() in ready:
                self._woken.recv(4096)
            self._send_outgoing()
            if messages or not left:
                return messages

    def send(self, peer: Peer, message: Mapping[str, object]) -> None:
        """From any thread: answer the peer, as soon as `poll` runs. Raises Fault WIRE_MALFORMED for an overlong one."""
        self._outgoing.put((peer, wire.pack(message)))
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def close(self) -> None:
        """Send the answers that wait, and stop listening."""
        self._send_outgoing()
        for each in (self._router, self._zap, self._woken, self._waker):
            each.close()
        self._context.term()

    def _let_in(self) -> None:
        """Answer one question of ZeroMQ (RFC 27): may the owner of this key come in, and as whom?"""
        version, request, _, _, _, mechanism, *credentials = self._zap.recv_multipart()
        name = None
        if mechanism == b"CURVE" and len(credentials) == 1 and len(credentials[0]) == 32:
            name = self._allowed(z85.encode(credentials[0]).decode())
        verdict = (b"200", b"OK", name.encode()) if name is not None else (b"400", b"not on the list", b"")
        self._zap.send_multipart([version, request, *verdict, b""])

    def _receive(self) -> list[tuple[Peer, Message]]:
        messages: list[tuple[Peer, Message]] = []
        for _ in range(_AT_ONCE):
            try:
                route, *parts = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            peer = Peer(str(route.get("User-Id")), route.bytes)
            try:
                messages.append((peer, _message(parts, self._longest(peer.name))))
            except Fault as fault:
                self.send(peer, {"kind": "fault", "report": fault.report.to_wire()})
        return messages

    def _send_outgoing(self) -> None:
        while not self._outgoing.empty():
            peer, data = self._outgoing.get()
            try:
                self._router.send_multipart([peer.route, data], zmq.NOBLOCK)
            except zmq.ZMQError:
                self.gone.append(peer)


class ControlClient:
    """One caller's connections to servers, made at the first message to each; for one thread.

    `members`: name -> ("host:port", Z85 public key).
    """

    def __init__(self, identity: Identity, members: Mapping[str, tuple[str, str]]) -> None:
        self._identity = identity
        self._members = dict(members)
        self._context = zmq.Context()
        self._connections: dict[str, _Connection] = {}
        self._arrived: deque[tuple[str, Message]] = deque()

    def send(self, name: str, message: Mapping[str, object]) -> None:
        """Send to a member without waiting; `receive` tells if that failed. Raises Fault PEER_LOST, ADDRESS_INVALID."""
        data = wire.pack(message)
        if name not in self._connections:
            self._connections[name] = _Connection(self._context, self._identity, name, *self._members[name])
        connection = self._connections[name]
        try:
            connection.socket.send(data, zmq.NOBLOCK)
        except zmq.Again:
            raise self._drop(name, connection.fault() or connection.lost()) from None

    def receive(self, timeout_s: float) -> tuple[str, Message]:
        """The next message and who sent it.

        Raises Fault UNREACHABLE (nobody answers at the address within 5 s), WRONG_KEY (the handshake failed), PEER_LOST
        (the connection broke), WIRE_MALFORMED, NO_ANSWER (nothing within `timeout_s`). A connection that failed is made
        anew by the next message to that member; the others are kept.
        """
        until = time.monotonic() + timeout_s
        while not self._arrived:
            self._collect(min(until, time.monotonic() + 0.5))
            if self._arrived:
                break
            for name, connection in list(self._connections.items()):
                if fault := connection.fault():
                    raise self._drop(name, fault)
            if time.monotonic() >= until or not self._connections:
                raise Fault(
                    "NO_ANSWER",
                    f"No answer from {', '.join(self._connections) or 'anyone'} within {timeout_s:g} s.",
                    "See in their logs what they are doing.",
                )
        return self._arrived.popleft()

    def close(self) -> None:
        """Close all connections; what was sent gets a second to leave."""
        for connection in self._connections.values():
            connection.monitor.close()
        self._connections.clear()
        self._context.term()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _collect(self, until: float) -> None:
        """Take one message from each connection that has any; wait for one, or for news of a connection."""
        poller = zmq.Poller()
        for connection in self._connections.values():
            poller.register(connection.socket, zmq.POLLIN)
            poller.register(connection.monitor.socket, zmq.POLLIN)
        ready = dict(poller.poll(math.ceil(max(0.0, until - time.monotonic()) * 1000)))
        for name, connection in self._connections.items():
            if connection.socket in ready:
                try:
                    self._arrived.append((name, _message(connection.socket.recv_multipart(copy=False))))
                except Fault as fault:
                    raise Fault(fault.code, f"{name}: {fault.message}", fault.remedy, peer=name) from None

    def _drop(self, name: str, fault: Fault) -> Fault:
        self._connections.pop(name).monitor.close()
        return fault


class _Connection:
    """A client's connection to one server, and what is known of how it fares."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], identity: Identity, name: str, address: str, key: str
    ) -> None:
        self._name = name
        self._address = address
        self._opened = time.monotonic()
        self._reached = self._up = False
        self.socket = context.socket(zmq.DEALER)
        try:
            sockets.limit(self.socket, _MAX_BYTES)
            self.socket.curve_secretkey = identity.transport_secret
            self.socket.curve_publickey = identity.transport_key.encode()
            self.socket.curve_serverkey = key.encode()
            self.monitor = sockets.connect(self.socket, address)
        except BaseException:
            self.socket.close()
            raise

    def fault(self) -> Fault | None:
        """What is wrong with the connection, if anything."""
        for event in self.monitor.events():
            if event == zmq.Event.CONNECTED:
                self._reached = True
            elif event == zmq.Event.HANDSHAKE_SUCCEEDED:
                self._up = True
            elif self._up:
                return self.lost()
            else:
                return self._strange() if self._reached else self._unreachable("nobody listens there")
        if not self._up and time.monotonic() - self._opened > sockets.CONNECT_WITHIN:
            return self._unreachable(f"nothing within {sockets.CONNECT_WITHIN:.0f} s")
        return None

    def lost(self) -> Fault:
        """The fault that tells of a connection that was up."""
        what = f"The connection to {self._name} at {self._address} was lost."
        remedy = f"See whether {self._name}'s node still runs and can be reached, then try again."
        return Fault("PEER_LOST", what, remedy, peer=self._name)

    def _unreachable(self, what: str) -> Fault:
        return Fault(
            "UNREACHABLE",
            f"{self._name} does not answer at {self._address}: {what}.",
            "Is the node running? Start it, or correct its address in consortium.toml.",
            peer=self._name,
        )

    def _strange(self) -> Fault:
        return Fault(
            "WRONG_KEY",
            f"The handshake with {self._name} at {self._address} failed: one of you does not hold the key that the "
            "other expects, or something else listens there.",
            f"Compare your and {self._name}'s transport keys in both copies of consortium.toml.",
            peer=self._name,
        )


def _message(parts: list[zmq.Frame], longest: int = wire.MAX_MESSAGE) -> Message:
    """The message in one frame. Raises Fault WIRE_MALFORMED, also when it has no kind."""
    message = wire.unpack(parts[0].buffer if len(parts) == 1 else b"", longest)
    if type(message.get("kind")) is not str:
        raise Fault(
            "WIRE_MALFORMED", "A message has no kind; it was refused.", "Run the same version of Beaver everywhere."
        )
    return message
