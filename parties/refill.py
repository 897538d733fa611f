"""Filling the stocks: the first party's node sees to it while nobody computes; every node takes its part.

A refill is a session like any other, with hellos, a signed transcript and sealed links. The first party's node carries
its handshake, as an analyst does for a computation; an analyst's session is let in between two batches.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from parties import wire
from parties.common_stock import WEIGHT, Wants, due, filled
from parties.conduct import Conduct, raise_fault
from parties.config import StockTerms
from parties.control import ControlClient
from parties.conversation import Conversation
from parties.errors import Fault
from parties.handshake import Agreed, Handshake
from parties.material import drive
from parties.server import Server
from parties.stock import MOST_KINDS, Stock
from protocols.correlations import Demand
from protocols.prg import Stream
from protocols.rounds import run_alone
from protocols.stock import described

__all__ = ["LONGEST_MESSAGE", "Refilling", "refilled"]

LONGEST_MESSAGE = 1 << 20
"""Bytes of a message of the first party: the hellos of all."""

_LOOK_EVERY_S = 0.5
_PING_WITHIN_S = 5.0
_PAUSE = 6
"""Times `idle_s`, and twice that after the first refill in vain."""
_LONGEST_PAUSE_S = 3600.0
_WIND_UP_S = 5.0
_NAME_BYTES = 32


class Refilling:
    """One node's part in keeping stocks full, its own and the others'."""

    def __init__(self, server: Server, stock: Stock, terms: StockTerms) -> None:
        self._server = server
        self._stock = stock
        self._terms = terms
        self._parties = server.consortium.party_names
        self._index = self._parties.index(server.name)
        self._one_at_a_time = threading.Lock()
        self._not_before = 0.0
        self._made = 0
        self._level = terms.elements
        self._wanted = 0
        self._in_vain = 0
        self._said = ""

    @property
    def initiator(self) -> str:
        """Whose node has stocks filled."""
        return self._parties[0]

    def take_part(self, conversation: Conversation, names: Sequence[bytes]) -> None:
        """One refill, of the kinds with these names. Raises Fault."""
        conversation.phase = "refill"
        if not self._one_at_a_time.acquire(blocking=False):
            raise Fault("BUSY", f"{self._server.name} fills its stock already", "It will be tried again.")
        try:
            self._take_part(conversation, names)
        finally:
            self._one_at_a_time.release()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """At the first party's node: meanwhile, have stocks filled whenever they are low and no session runs."""
        watch = threading.Thread(target=self._watch, name="refills", daemon=True)
        if self._index == 0:
            watch.start()
        yield
        if self._index == 0:
            watch.join(_WIND_UP_S)

    def _watch(self) -> None:
        self._not_before = time.monotonic() + self._terms.idle_s
        while not self._server.stopping.wait(_LOOK_EVERY_S):
            if self._is_time(time.monotonic()):
                self._try()

    def _is_time(self, now: float) -> bool:
        """Whether no session runs, none did a moment ago, and what was in vain is to be tried again."""
        if self._wanted != self._stock.wanted:  # by a session since: what was in vain may not be any more
            self._wanted, self._in_vain = self._stock.wanted, 0
            self._not_before = now + self._terms.idle_s
        if self._server.running():
            self._not_before = max(self._not_before, now + self._terms.idle_s)
            return False
        return now >= self._not_before

    def _take_part(self, conversation: Conversation, names: Sequence[bytes]) -> None:
        server, session = self._server, conversation.session.hex()
        subject = hashlib.sha256(b"beaver refill 1" + b"".join(names)).digest()
        started = time.perf_counter()
        handshake = Handshake(server, conversation, self._parties, subject, with_dealer=False)
        with handshake.shake([], 0) as agreed:
            conversation.phase = "offline"
            run = partial(
                filled,
                self._index,
                len(self._parties),
                agreed.sid,
                names,
                self._stock,
                Wants(self._terms.elements, self._terms.most_bytes),
                Stream(os.urandom(32)),
                server.clock.now,
                lambda: server.running() == [conversation] and not server.stopping.is_set(),
            )
            (made, self._level), words = drive(partial(run_alone, run, WEIGHT), agreed.links)
            self._made += sum(made.values())
            if made:
                conversation.phase = "record"
                self._record(agreed, session, made)
        seconds = time.perf_counter() - started
        server.log.event("stock_filled", session=session, count=sum(made.values()), bytes=8 * words)
        conversation.tell("done", rounds=0, bytes_sent=8 * words, load=0.0, offline=seconds, online=0.0)

    def _record(self, agreed: Agreed, session: str, made: Mapping[Demand, int]) -> None:
        """Enter what was made, which is the same at every party."""
        audit = self._server.audit
        told = {described(kind, self._parties): elements for kind, elements in made.items()}
        agreed.send_head(audit.record("stock_filled", session=session, elements=told))
        audit.record("session_closed", agreed.receive_heads(), session=session, kept=[], delivered=[])

    def _lacking(self) -> list[bytes]:
        """All kinds, if of one there is less than all parties want, as far as is known, and room here for more.

        All, because others may have lost what this node has.
        """
        kinds, batches = self._stock.kinds(), self._stock.batches()
        room = self._terms.most_bytes - sum(batch.bytes for batch in batches)
        there = {(batch.id, batch.kind, batch.end): batch.next for batch in batches}
        wanted = due(kinds, dict.fromkeys(kinds, min(self._terms.elements, self._level)), {self._index: room}, there)
        return list(kinds) if wanted else []

    def _try(self) -> None:
        """A refill, if one is due; after one in vain the next one waits, twice as long each time.

        What fails is told once, and costs nobody a session.
        """
        before, fault = self._made, None
        try:
            if not (names := self._lacking()):
                return
            self._conduct(names)
        except Fault as error:
            fault = error
        except Exception as error:
            fault = Fault("INTERNAL", f"{self._server.name} failed: {type(error).__name__}")
        if fault is not None and fault.code != self._said:
            self._server.log.event("refill_failed", code=fault.code, message=fault.message)
        self._said = fault.code if fault is not None else ""
        self._in_vain = 0 if self._made > before else self._in_vain + 1
        pause = _PAUSE * self._terms.idle_s * 2.0 ** min(self._in_vain, 12) if self._in_vain else 0.0
        self._not_before = time.monotonic() + min(pause, _LONGEST_PAUSE_S)

    def _conduct(self, names: Sequence[bytes]) -> None:
        server = self._server
        reach = {
            party.name: (server.config.control_address(party), party.transport_key)
            for party in server.consortium.parties
        }
        with ControlClient(server.identity, reach) as client:
            for party in self._parties:
                client.send(party, {"kind": "ping"})
            for _ in self._parties:  # one that is down costs nobody a session
                party, message = client.receive(_PING_WITHIN_S)
                raise_fault(message, party)
            conduct = Conduct(client, self._parties, os.urandom(16), lambda party, phase: None)
            conduct.conduct("refill", names=list(names))


def refilled(refilling: Refilling | None, message: Mapping[str, Any], sender: str) -> Callable[[Conversation], None]:
    """What a node does about a message that opens a refill. Raises Fault REFILL_REFUSED, WIRE_MALFORMED."""
    _, _, names = wire.fields(message, kind=str, session=bytes, names=list)
    if refilling is None or sender != refilling.initiator:
        raise Fault(
            "REFILL_REFUSED",
            "This node keeps no stock of random material with whoever asks for it.",
            "Have [stock] in the party.toml of every party, or of none; the first party's node has stocks filled.",
        )
    if not 0 < len(names) <= MOST_KINDS or len({n for n in names if _is_name(n)}) != len(names):
        raise Fault("WIRE_MALFORMED", "a refill names kinds of material", "Run the same version everywhere.")
    return partial(refilling.take_part, names=names)


def _is_name(name: object) -> bool:
    return type(name) is bytes and len(name) == _NAME_BYTES
