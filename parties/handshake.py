"""From a submitted plan to open links: hello, transcript, signature, relayed by the analyst; nothing leaves before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from parties import wire
from parties.conversation import Conversation
from parties.errors import Fault
from parties.heads import HEAD_BYTES, Head, HeldHeads, follow
from parties.links import Links, PeerLink
from parties.server import Server
from parties.session import Hello, Input, Transcript, open_hello
from protocols.ring import Array
from protocols.rounds import FRAME_WORDS

__all__ = ["Agreed", "Handshake", "receive_words", "send_words"]

RING = "2^64"
_STALL_S = 120.0
_HELLOS_WITHIN_S = 600.0
"""How long the analyst may take to bring all hellos: other parties may be reading large tables."""
_SIGNATURES_WITHIN_S = 60.0


@dataclass(frozen=True, repr=False)
class Agreed:
    """What a session rests on once every signature was verified. Indices are the parties' in order, then the dealer's.

    `sid`: the transcript's digest, which no other session has. `secrets`: shared with each other index. `cursors`: the
    first piece of one-time material that each party reserved. `heads`: of everybody's record, by name in the order of
    the indices, as stated with the signature.
    """

    sid: bytes
    links: Links
    secrets: Mapping[int, bytes]
    cursors: Mapping[int, int]
    dealer: int
    with_dealer: bool
    heads: Mapping[str, Head]

    def send_head(self, head: Head) -> None:
        """Tell every party the head that one's own record has now."""
        for index in self.secrets:
            if index != self.dealer:
                self.links.send(index, [np.frombuffer(head.pack(), "<u8").astype(np.uint64)])

    def receive_heads(self) -> dict[str, Head]:
        """Everybody else's head, as told by `send_head`. Raises Fault STATE_ROLLED_BACK, SIGNATURE_INVALID, others."""
        names = list(self.heads)
        told = {}
        for index in self.secrets:
            words = self.links.receive(index, HEAD_BYTES // 8)
            name = names[index]
            told[name] = follow(name, words.astype("<u8").tobytes(), self.heads[name])
        return told


class Handshake:
    """One party's, or the dealer's, part in agreeing on a session."""

    def __init__(
        self, server: Server, conversation: Conversation, parties: Sequence[str], subject: bytes, *, with_dealer: bool
    ) -> None:
        """`parties`: all of them, in order; `subject`: the digest of the plan, or of what else the session is about."""
        self._server = server
        self._conversation = conversation
        self._parties = tuple(parties)
        self._subject = subject
        self._names = list(parties)
        self._dealer = server.consortium.dealer if with_dealer else None
        if with_dealer and self._dealer is None:
            raise Fault("NO_DEALER", "the plan needs a dealer and consortium.toml names none", "Add [dealer] to it.")
        if self._dealer is not None:
            self._names.append(self._dealer.name)
        self._me = self._names.index(server.name)

    @contextmanager
    def shake(self, inputs: Sequence[Input], cursor: int) -> Iterator[Agreed]:
        """Agree with all others, then give the open links; a fault inside the block is told to every peer.

        `inputs`: what this party has loaded, (table, column, kind, rows). Raises Fault when anything differs.
        """
        server, conversation = self._server, self._conversation
        hello, ephemeral = open_hello(
            server.identity,
            session=conversation.session,
            name=server.name,
            role=server.role,
            consortium=server.consortium.digest(),
            agreement=server.agreement.digest(),
            plan=self._subject,
            source=server.agreement.source,
            parameters={"ring": RING, "protocol": server.agreement.protocol},
            inputs=inputs,
            cursor=cursor,
            heads=self._held(),
        )
        conversation.tell("hello", hello=hello.to_wire())
        brought = conversation.expect("hellos", _HELLOS_WITHIN_S)
        _, _, hellos = wire.fields(brought, kind=str, session=bytes, hellos=list)
        transcript = Transcript([Hello.from_wire(h) for h in hellos], server.consortium, self._names, own=hello)
        secrets = {self._names.index(name): secret for name, secret in transcript.secrets(ephemeral).items()}
        held = HeldHeads({hello.name: hello.heads for hello in transcript.hellos}, server.consortium)
        cursors = {i: transcript.hello(name).cursor for i, name in enumerate(self._parties)}
        peers = self._peers(transcript, secrets)
        with server.endpoint.open(self._me, peers, conversation.session, _STALL_S) as links:
            conversation.attach(links)
            head = server.audit.record(
                "session_signed", session=conversation.session.hex(), transcript=transcript.sid.hex(), among=self._names
            )
            statement = held.statement(server.name, head, server.audit.hash_at)
            conversation.tell("signature", signature=transcript.sign(server.identity, statement))
            brought = conversation.expect("signatures", _SIGNATURES_WITHIN_S)
            _, _, signatures = wire.fields(brought, kind=str, session=bytes, signatures=dict)
            stated = transcript.verify(signatures)
            heads = {name: held.check(name, statement) for name, statement in stated.items()}
            others = {name: head for name, head in heads.items() if name != server.name}
            server.audit.record("run_begun", others, session=conversation.session.hex())
            yield Agreed(transcript.sid, links, secrets, cursors, len(self._parties), self._dealer is not None, heads)

    def _held(self) -> dict[str, bytes]:
        """The heads of the others' records that this one has kept, signed with their present keys."""
        server = self._server
        others = [server.consortium.member(name) for name in self._names if name != server.name]
        held = {each.name: server.audit.held(each.name, each.verify_key) for each in others}
        return {name: head.pack() for name, head in held.items() if head is not None}

    def _peers(self, transcript: Transcript, secrets: Mapping[int, bytes]) -> dict[int, PeerLink]:
        server = self._server
        peers: dict[int, PeerLink] = {}
        for index, secret in secrets.items():
            name = self._names[index]
            address = server.config.reached(server.consortium.process(name)).data
            peers[index] = PeerLink(name, address, *transcript.link_keys(name, secret))
        return peers


def send_words(links: Links, peer: int, arrays: Sequence[Array]) -> None:
    """Send arrays as one run of words, in frames that the links can carry."""
    words = np.concatenate([array.reshape(-1) for array in arrays])
    for start in range(0, words.size, FRAME_WORDS):
        links.send(peer, [words[start : start + FRAME_WORDS]])


def receive_words(links: Links, peer: int, count: int) -> Array:
    """The run of words that `send_words` sent."""
    words = np.empty(count, np.uint64)
    for start in range(0, count, FRAME_WORDS):
        stop = min(start + FRAME_WORDS, count)
        words[start:stop] = links.receive(peer, stop - start)
    return words
