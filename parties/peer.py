"""One peer within one session, as its data link sees it: the socket to it, sealing, credit, and whether it lives."""

from __future__ import annotations

import struct
import time
from collections import deque
from dataclasses import dataclass, field, replace
from queue import SimpleQueue

import numpy as np
import zmq

from parties import sockets, wire
from parties.errors import Fault, FaultReport
from parties.frames import OVERHEAD, Kind, Opener, Sealer, Words

__all__ = ["CREDIT", "MAX_QUEUED", "Arrivals", "Inbox", "Peer", "PeerLink", "Traffic"]

CREDIT = 16 << 20
"""Bytes unacknowledged at which a sender waits. A frame counts as at least 16 KiB, which bounds their number, too."""

_MIN_CHARGE = 16 << 10
_ACK_EVERY = CREDIT // 4
_FLOOD = CREDIT + 64 * _MIN_CHARGE
MAX_QUEUED = 2 * CREDIT // _MIN_CHARGE
"""More frames than a peer that keeps to its credit can have under way."""

_GRACE = 0.2
_LINGER = 20.0
_TOTAL = struct.Struct("<Q")

Arrivals = SimpleQueue[tuple[int, zmq.Frame] | Fault]
"""What waits for a session's thread: frames with their sender's index, or a fault that ends the session."""


@dataclass(frozen=True)
class PeerLink:
    """Where a peer's data endpoint is ("host:port") and the two 32-byte keys shared with it, one a direction."""

    name: str
    address: str
    send_key: bytes = field(repr=False)
    receive_key: bytes = field(repr=False)


@dataclass
class Traffic:
    """What was sent to one peer: payload bytes, frames that carried them, and all other bytes handed to the socket."""

    payload: int = 0
    frames: int = 0
    overhead: int = 0


class Inbox:
    """What came from a peer for a session. The endpoint's thread counts what arrives, the session's what leaves."""

    def __init__(self, index: int, name: str, arrivals: Arrivals) -> None:
        self._index = index
        self._name = name
        self._arrivals = arrivals
        self._arrived = 0
        self._flooded = False
        self.left = 0

    def put(self, frame: zmq.Frame) -> None:
        """Queue a frame for the session; past all credit, a FRAME_FLOOD fault instead, once."""
        if self._arrived - self.left < _FLOOD:
            self._arrived += charge(frame)
            self._arrivals.put((self._index, frame))
        elif not self._flooded:
            self._flooded = True
            self._arrivals.put(
                fault_of("FRAME_FLOOD", f"{self._name} sent far more than it had credit for.", self._name)
            )


_COPIED = 64 << 10
"""Frames below this size are cheaper to copy than to share with the socket's thread."""


class Peer:
    """The link to one peer, for the session's thread. Raises Fault ADDRESS_INVALID; ZMQError without descriptors."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], me: int, index: int, link: PeerLink, arrivals: Arrivals
    ) -> None:
        self.name = link.name
        self.address = link.address
        self.inbox = Inbox(index, link.name, arrivals)
        self.ready: deque[tuple[int, Words]] = deque()
        self.traffic = Traffic()
        self.ended = False
        self._sealer = Sealer(link.send_key, me)
        self._opener = Opener(link.receive_key, index, link.name)
        self.route = self._opener.route
        self._sent = self._acknowledged = 0
        self._taken = self._told = 0
        self._opened = time.monotonic()
        self._lost: float | None = None
        self._up = False
        self._socket = context.socket(zmq.DEALER)
        try:
            sockets.limit(self._socket, 1024)
            self._socket.sndhwm = 0
            self._monitor = sockets.connect(self._socket, link.address)
        except BaseException:
            self._socket.close()
            raise

    @property
    def has_credit(self) -> bool:
        """Whether the peer has taken enough of what was sent to be sent more."""
        return self._sent - self._acknowledged < CREDIT

    def transmit(self, kind: Kind, payload: bytes | memoryview) -> None:
        """Seal and hand to the socket, which never blocks: its queue is bounded by the credit.

        Raises Fault PEER_LOST for DATA on a broken connection; for the other kinds it is the next wait that tells.
        """
        frame = self._sealer.seal(kind, payload)
        try:
            self._socket.send(frame, zmq.NOBLOCK, copy=len(frame) < _COPIED)
        except zmq.ZMQError:
            if kind is Kind.DATA:
                raise self._lost_fault("was lost") from None
            return
        if kind is Kind.DATA:
            self._sent += charge(frame)
            self.traffic.payload += len(payload)
            self.traffic.frames += 1
            self.traffic.overhead += OVERHEAD
        else:
            self.traffic.overhead += len(frame)

    def take(self, frame: zmq.Frame) -> None:
        """Open an arrived frame and act on it. Raises the Fault that it proves or reports."""
        kind, payload = self._opener.open(frame.buffer)
        if isinstance(payload, np.ndarray):
            self.ready.append((charge(frame), payload))
            return
        self.inbox.left += charge(frame)
        if kind is Kind.ACK and len(payload) == _TOTAL.size:
            (total,) = _TOTAL.unpack(payload)
            if not self._acknowledged <= total <= self._sent:
                raise fault_of("FRAME_MALFORMED", f"{self.name} acknowledges what it was not sent.", self.name)
            self._acknowledged = total
        elif kind is Kind.ABORT:
            report = FaultReport.from_wire(wire.unpack(payload, 1 << 16))
            raise Fault.of(replace(report, party=report.party or self.name))
        elif kind is Kind.END and not payload:
            self.ended = True
        else:
            raise fault_of("FRAME_MALFORMED", f"{self.name} sent a malformed {kind.name} frame.", self.name)

    def consume(self) -> Words:
        """The next words that are ready; tells the peer from time to time how much was taken."""
        cost, words = self.ready.popleft()
        self.inbox.left += cost
        self._taken += cost
        if self._taken - self._told >= _ACK_EVERY:
            self._told = self._taken
            self.transmit(Kind.ACK, _TOTAL.pack(self._taken))
        return words

    def check(self, now: float) -> None:
        """Raises Fault PEER_LOST when the connection broke, or was not made in time, before the peer ended its part."""
        for event in self._monitor.events():
            if event == zmq.Event.HANDSHAKE_SUCCEEDED:
                self._up = True
            elif event != zmq.Event.CONNECTED and self._lost is None:
                self._lost = now
        if self.ended:
            return
        if self._lost is not None and now - self._lost >= _GRACE:
            what = "was lost" if self._up else "could not be made"
        elif not self._up and now - self._opened > sockets.CONNECT_WITHIN:
            what = f"could not be made within {sockets.CONNECT_WITHIN:.0f} s"
        else:
            return
        raise self._lost_fault(what)

    def close(self, *, finish: bool) -> None:
        """Close the socket; with `finish`, what was sent still gets the time to leave."""
        if finish and not self._socket.closed:
            self._socket.linger = int(_LINGER * 1000)
        self._monitor.close()

    def _lost_fault(self, what: str) -> Fault:
        return fault_of("PEER_LOST", f"The data connection to {self.name} at {self.address} {what}.", self.name)


def charge(frame: zmq.Frame | memoryview) -> int:
    """What a frame costs of the credit, in bytes."""
    return max(len(frame), _MIN_CHARGE)


def fault_of(code: str, what: str, peer: str) -> Fault:
    """A fault on the link to a peer."""
    return Fault(code, what, f"See that {peer}'s node runs and can be reached, then run again.", peer=peer)
