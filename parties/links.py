"""Data links of a session: sealed frames of ring words, straight from party to party, within a credit of bytes.

A process binds one `DataEndpoint`; each session opens its `Links` on it, with one sending socket to every peer. One
thread of the endpoint receives for all sessions and sorts frames by their route, which only the two ends can derive:
what carries no known route is dropped and counted. Frames are opened by the thread that runs the session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from types import TracebackType

import numpy as np
import zmq

from parties import sockets, wire
from parties.errors import Fault, FaultReport
from parties.frames import MAX_FRAME, OVERHEAD, ROUTE, Kind, Words
from parties.peer import CREDIT, MAX_QUEUED, Arrivals, Inbox, Peer, PeerLink, Traffic, fault_of

__all__ = ["CREDIT", "MAX_FRAME", "DataEndpoint", "Links", "PeerLink", "Traffic"]

_TICK = 0.1
_NOTHING = np.empty(0, np.uint64)


class DataEndpoint:
    """The one listening socket of a process for data, with its receiving thread. `address` is "host:port" as bound.

    Raises Fault PORT_TAKEN, ADDRESS_INVALID or ADDRESS_UNAVAILABLE. `dropped` counts messages that no session knew.
    """

    def __init__(self, bind: str) -> None:
        self._context = zmq.Context()
        self._context.max_sockets = 16384
        self._inboxes: dict[bytes, Inbox] = {}
        self._sessions: set[Links] = set()
        self._changed = threading.Condition()
        self._stopping = False
        self.dropped = 0
        router = self._context.socket(zmq.ROUTER)
        try:
            sockets.limit(router, MAX_FRAME + OVERHEAD + 1024, linger=0)
            router.rcvhwm = MAX_QUEUED
            router.rcvtimeo = 100
            self.address = sockets.bind(router, bind)
        except Fault:
            router.close()
            self._context.term()
            raise
        self._thread = threading.Thread(target=self._receive, args=(router,), name="data", daemon=True)
        self._thread.start()

    def open(self, me: int, peers: Mapping[int, PeerLink], session: bytes, deadline_s: float = 60.0) -> Links:
        """The links of one session; `me` and the keys of `peers` are the parties' indices.

        From here on frames are kept: open before the peers may send, that is before giving them your signature.
        Raises Fault LINKS_UNAVAILABLE when this process may not open the sockets, ADDRESS_INVALID.
        """
        arrivals: Arrivals = SimpleQueue()
        opened: dict[int, Peer] = {}
        links = Links(opened, arrivals, session, deadline_s, self._forget)
        with self._changed:
            self._sessions.add(links)
        try:
            for index, link in peers.items():
                peer = opened[index] = Peer(self._context, me, index, link, arrivals)
                if self._inboxes.setdefault(peer.route, peer.inbox) is not peer.inbox:
                    raise ValueError("a session with these keys is open already")
        except BaseException as error:
            links.close()
            if not isinstance(error, zmq.ZMQError):
                raise
            raise Fault(
                "LINKS_UNAVAILABLE",
                f"Cannot open the data links of session {session.hex()}: {error.strerror}.",
                "Raise this process's limit on open files (`ulimit -n`) or run fewer sessions at once.",
            ) from None
        return links

    def close(self, within_s: float = 5.0) -> None:
        """Fail the sessions that are still open, give them `within_s` seconds to end, then stop all the same."""
        with self._changed:
            for links in self._sessions:
                links.interrupt(Fault("NODE_STOPPED", "This process was stopped.", "Run again when it is back."))
            ended = self._changed.wait_for(lambda: not self._sessions, within_s)
        self._stopping = True
        self._thread.join()
        if ended:
            self._context.term()
        else:  # a session that did not look at its links all this time is not using them now
            self._context.destroy(linger=0)

    def _receive(self, router: zmq.Socket[bytes]) -> None:
        while not self._stopping:
            try:
                parts = router.recv_multipart(copy=False)
            except zmq.Again:
                continue
            frame = parts[-1]
            inbox = self._inboxes.get(bytes(frame.buffer[:ROUTE])) if len(parts) == 2 else None
            if inbox is None:
                self.dropped += 1
            else:
                inbox.put(frame)
        router.close()

    def _forget(self, links: Links, peers: Mapping[int, Peer]) -> None:
        for peer in peers.values():
            if self._inboxes.get(peer.route) is peer.inbox:
                del self._inboxes[peer.route]
        with self._changed:
            self._sessions.discard(links)
            self._changed.notify_all()


class Links:
    """The data links of one session, for the one thread that runs it; made by `DataEndpoint.open`.

    The first fault ends the session: every peer is told, and every later call raises it again. As a context manager,
    leaving by an exception tells the peers, too.
    """

    def __init__(
        self,
        peers: Mapping[int, Peer],
        arrivals: Arrivals,
        session: bytes,
        deadline_s: float,
        closed: Callable[[Links, Mapping[int, Peer]], None],
    ) -> None:
        self._peers = peers
        self._arrivals = arrivals
        self._session = session.hex()
        self._deadline = deadline_s
        self._forget = closed
        self._failed: FaultReport | None = None
        self._closed = False

    @property
    def traffic(self) -> Mapping[int, Traffic]:
        """What was sent so far, by the peer's index."""
        return {index: peer.traffic for index, peer in self._peers.items()}

    def name(self, peer: int) -> str:
        """What the peer is called."""
        return self._peers[peer].name

    def send(self, peer: int, parts: Sequence[Words]) -> None:
        """Send the concatenated words as one frame, at most MAX_FRAME bytes. Waits while the peer owes CREDIT bytes.

        Raises any Fault that ends the session; PEER_STALLED when no credit came within the deadline.
        """
        words = parts[0].ravel() if len(parts) == 1 else np.concatenate([_NOTHING, *(part.ravel() for part in parts)])
        if words.nbytes > MAX_FRAME:
            raise ValueError(f"a frame holds at most {MAX_FRAME} bytes, not {words.nbytes}")
        to = self._peers[peer]
        try:
            self._drain()
            if not to.has_credit:
                self._wait(to, lambda: to.has_credit, "takes what it is sent")
            to.transmit(Kind.DATA, words.astype("<u8", copy=False).view(np.uint8).data)
        except Fault as fault:
            raise self._fail(fault) from None

    def receive(self, peer: int, words: int) -> Words:
        """The next frame from the peer: an array of `words` words that is the caller's own.

        Raises any Fault that ends the session; FRAME_LENGTH when the frame has another length, PEER_STALLED when none
        came within the deadline, PEER_ENDED when the peer is done and none will come.
        """
        source = self._peers[peer]
        try:
            self._drain()
            if not source.ready:
                self._wait(source, lambda: bool(source.ready), "sends")
            array = source.consume()
            if len(array) != words:
                what = f"{source.name} sent a frame of {len(array)} words where {words} were due."
                raise fault_of("FRAME_LENGTH", what, source.name)
        except Fault as fault:
            raise self._fail(fault) from None
        return array

    def abort(self, report: FaultReport) -> None:
        """End the session here and, as far as can be, at every peer, with this report."""
        self._fail(Fault.of(report))

    def interrupt(self, fault: Fault) -> None:
        """From any thread: make the session's next or pending call raise this fault."""
        self._arrivals.put(fault)

    def close(self) -> None:
        """Tell the peers that nothing follows, unless the session failed; close the sockets. Safe to call again."""
        if self._closed:
            return
        self._closed = True
        for peer in self._peers.values():
            if self._failed is None:
                peer.transmit(Kind.END, b"")
            peer.close(finish=self._failed is None)
        self._forget(self, self._peers)

    def __enter__(self) -> Links:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Fault):
            self.abort(error.report)
        elif error is not None:
            self.abort(FaultReport("INTERNAL", "A party failed for a reason of its own.", "Its log says more."))
        self.close()

    def _drain(self) -> None:
        """Act on all that has arrived, without waiting."""
        if self._failed is not None:
            raise Fault.of(self._failed)
        while not self._arrivals.empty():
            self._take(self._arrivals.get())

    def _wait(self, peer: Peer, done: Callable[[], bool], due: str) -> None:
        """Act on what arrives until `done`, looking after every connection; `due` is what is awaited of `peer`."""
        until = time.monotonic() + self._deadline
        while not done():
            try:
                item = self._arrivals.get(timeout=_TICK)
            except Empty:
                now = time.monotonic()
                for each in self._peers.values():
                    each.check(now)
                if peer.ended:
                    raise fault_of("PEER_ENDED", f"{peer.name} ended its part while more was due.", peer.name) from None
                if now >= until:
                    what = f"{peer.name} is connected but no longer {due}: nothing for {self._deadline:g} s."
                    raise fault_of("PEER_STALLED", what, peer.name) from None
            else:
                self._take(item)

    def _take(self, item: tuple[int, zmq.Frame] | Fault) -> None:
        if isinstance(item, Fault):
            raise item
        index, frame = item
        self._peers[index].take(frame)

    def _fail(self, fault: Fault) -> Fault:
        """The fault that ends this session: the first one. Tells every peer of it once."""
        if self._failed is None:
            self._failed = fault.at(session=self._session).report
            report = wire.pack(self._failed.to_wire())
            if not self._closed:
                for peer in self._peers.values():
                    peer.transmit(Kind.ABORT, report)
        return Fault.of(self._failed)
