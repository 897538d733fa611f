"""Signed heads of records: what the participants of a session hold of each other's, and whether these go on from there.

The head of a record is its last entry, as its owner signed it: a number, and a hash that binds every entry before it.
Whoever holds a head finds out when the owner edits, cuts or restores an old copy (Schneier and Kelsey, "Secure Audit
Logs to Support Computer Forensics", 1999; Crosby and Wallach, "Efficient Data Structures for Tamper-Evident Logging",
USENIX Security 2009). In a session everybody's hello tells which heads of the others it holds; everybody then signs,
with the transcript, its present head and the hashes that its own record has where the others hold heads. As hellos
come before signatures, sessions that go on at the same time cannot make a record look old that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from parties.config import Consortium
from parties.errors import Fault
from parties.identity import Identity, verify

__all__ = ["HEAD_BYTES", "Head", "HeldHeads", "follow"]

HEAD_BYTES = 136
"""Of a packed head: number, key, hash and signature; whole words, as links carry them."""

_HASH = 32
_NONE = bytes(_HASH)
"""Stands for the hash of an entry that a record does not have."""
_LAST = 1 << 62


@dataclass(frozen=True, order=True)
class Head:
    """The last entry of a record when it had `sequence` entries: its hash, 32 bytes, signed with `verify_key`."""

    sequence: int
    hash: bytes
    verify_key: str
    signature: bytes

    @classmethod
    def signed(cls, identity: Identity, party: str, sequence: int, hash_: bytes) -> Head:
        """The head with the signature of the party whose identity this is."""
        signature = identity.sign(_message(party, sequence, hash_), "audit")
        return cls(sequence, hash_, identity.verify_key, signature)

    @classmethod
    def unpack(cls, data: bytes) -> Head:
        """The head in HEAD_BYTES bytes. Raises ValueError for what cannot be one; checks no signature."""
        sequence = int.from_bytes(data[:8], "little")
        if len(data) != HEAD_BYTES or not 1 <= sequence < _LAST:
            raise ValueError("no head of a record")
        return cls(sequence, data[40:72], data[8:40].hex(), data[72:])

    def pack(self) -> bytes:
        """The head as HEAD_BYTES bytes."""
        return self.sequence.to_bytes(8, "little") + bytes.fromhex(self.verify_key) + self.hash + self.signature

    def is_of(self, party: str) -> bool:
        """Whether the owner of the head's key signed it as the head of this party's record."""
        return verify(self.verify_key, _message(party, self.sequence, self.hash), self.signature, "audit")


class HeldHeads:
    """The heads that the participants of one session hold of each other's records: holder -> owner -> packed head.

    Raises Fault WIRE_MALFORMED, or SIGNATURE_INVALID naming a holder who tells of a head that its owner never signed.
    """

    def __init__(self, told: Mapping[str, Mapping[str, bytes]], consortium: Consortium) -> None:
        self._consortium = consortium
        self._holders: dict[str, dict[Head, str]] = {name: {} for name in told}
        for holder, heads in told.items():
            for owner, packed in heads.items():
                if owner == holder or owner not in told:
                    raise _malformed(holder, "tells of a head of somebody who does not take part")
                head = self._head(owner, packed, holder, known=self._holders[owner])
                self._holders[owner].setdefault(head, holder)

    def statement(self, owner: str, head: Head, hash_at: Callable[[int], bytes | None]) -> bytes:
        """What the owner signs: its present head, then its own hash wherever somebody holds a head of its record.

        `hash_at`: the hash of an entry of its record by number, None past the end.
        """
        return head.pack() + b"".join(hash_at(held.sequence) or _NONE for held in self._of(owner))

    def check(self, owner: str, statement: bytes) -> Head:
        """The owner's present head, whose record goes on from every head that somebody holds of it.

        Raises Fault STATE_ROLLED_BACK when the record is shorter, RECORD_FORKED when it has another entry there.
        """
        held = self._of(owner)
        if len(statement) != HEAD_BYTES + _HASH * len(held):
            raise _malformed(owner, "does not say how its record goes on")
        head = self._head(owner, statement[:HEAD_BYTES], owner)
        for i, each in enumerate(held):
            start = HEAD_BYTES + _HASH * i
            holder = self._holders[owner][each]
            if each.sequence >= head.sequence:
                raise _rolled_back(owner, head.sequence, holder, each.sequence)
            if statement[start : start + _HASH] != each.hash:
                raise _forked(owner, holder, each.sequence)
        return head

    def _of(self, owner: str) -> list[Head]:
        return sorted(self._holders[owner])

    def _head(self, owner: str, packed: bytes, teller: str, known: Mapping[Head, str] | None = None) -> Head:
        head = _unpacked(owner, packed, teller)
        if head in (known or {}):
            return head
        if head.verify_key != self._consortium.member(owner).verify_key or not head.is_of(owner):
            raise _unsigned(owner, teller)
        return head


def follow(owner: str, packed: bytes, before: Head) -> Head:
    """The packed head of a record that a peer tells, which must come after the one that it told `before`.

    Raises Fault WIRE_MALFORMED, SIGNATURE_INVALID, STATE_ROLLED_BACK.
    """
    head = _unpacked(owner, packed, owner)
    if head.verify_key != before.verify_key or not head.is_of(owner):
        raise _unsigned(owner, owner)
    if head.sequence <= before.sequence:
        raise _rolled_back(owner, head.sequence, "everybody", before.sequence)
    return head


def _unpacked(owner: str, packed: bytes, teller: str) -> Head:
    try:
        return Head.unpack(packed)
    except ValueError:
        raise _malformed(teller, f"tells of what is no head of {owner}'s record") from None


def _message(party: str, sequence: int, hash_: bytes) -> bytes:
    return sequence.to_bytes(8, "little") + hash_ + party.encode()


def _rolled_back(owner: str, last: int, holder: str, held: int) -> Fault:
    return Fault(
        "STATE_ROLLED_BACK",
        f"The record of {owner} ends at entry {last:,}, but {holder} holds its entry {held:,}, signed by {owner}: "
        f"the state folder of {owner} is an old copy, or its record was cut.",
        f"Stop {owner} and put the newest state folder back. If there is none, make new keys for {owner}.",
        peer=owner,
    )


def _forked(owner: str, holder: str, held: int) -> Fault:
    return Fault(
        "RECORD_FORKED",
        f"The record of {owner} has another entry {held:,} than the one that {holder} holds, signed by {owner}: "
        f"an old copy of its state folder was put back and used, or its record was edited.",
        f"Stop {owner} and put the newest state folder back. If there is none, make new keys for {owner}.",
        peer=owner,
    )


def _unsigned(owner: str, teller: str) -> Fault:
    return Fault(
        "SIGNATURE_INVALID",
        f"{teller} tells of a head of {owner}'s record that is not signed with the key that consortium.toml lists.",
        f"Check that {teller} runs Beaver unaltered and that every consortium.toml lists the same keys.",
        peer=teller,
    )


def _malformed(teller: str, what: str) -> Fault:
    return Fault(
        "WIRE_MALFORMED", f"{teller} {what}; it was refused.", "Run the same version of Beaver everywhere.", peer=teller
    )
