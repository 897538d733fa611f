"""One entry of a record: a line of canonical JSON, chained by its hash to the entry before, signed by the owner.

The hash is SHA-256 over the canonical JSON (sorted names, no spaces, ASCII) of all but hash and signature; the
signature is that of the head (`parties/heads.py`) that the record has with this entry.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

from parties.heads import Head
from parties.identity import Identity

__all__ = ["MOST_LINE", "Entry", "lines"]

MOST_LINE = 16 << 20
"""Bytes in a line: an agreement is the longest thing that an entry tells."""
_FIRST = "0" * 64
"""What the first entry has for the hash of the one before."""
_HEX = {"previous": 64, "hash": 64, "signature": 128}


@dataclass(frozen=True)
class Entry:
    """One line. `at`: UTC; `kind`: lower_snake; `content`: what JSON can hold; `previous`, `hash`, `signature`: hex."""

    sequence: int
    at: str
    kind: str
    content: Mapping[str, Any]
    previous: str
    hash: str
    signature: str

    @classmethod
    def make(
        cls, last: Entry | None, party: str, identity: Identity, kind: str, content: Mapping[str, object]
    ) -> Entry:
        """The entry that comes after `last` in the party's record, signed now.

        Raises TypeError or ValueError for content that is not text, finite numbers, lists and maps by text.
        """
        if not re.fullmatch(r"[a-z][a-z0-9_]*", kind):
            raise ValueError("a kind of entry is named in lower_snake")
        sequence, previous = (last.sequence + 1, last.hash) if last else (1, _FIRST)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        plain: dict[str, Any] = json.loads(_canonical(content))
        hash_ = _hash(sequence, at, kind, plain, previous)
        head = Head.signed(identity, party, sequence, bytes.fromhex(hash_))
        return cls(sequence, at, kind, plain, previous, hash_, head.signature.hex())

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """The entry in a line. Raises ValueError, saying what is wrong with it; `after` checks its hash."""
        try:
            fields = json.loads(line)
            if type(fields) is not dict or _canonical(fields) != line.rstrip(b"\n"):
                raise ValueError
        except (ValueError, RecursionError):
            raise ValueError("is not written as an entry") from None
        types = {"sequence": int, "at": str, "kind": str, "content": dict, **dict.fromkeys(_HEX, str)}
        if {name: type(value) for name, value in fields.items()} != types:
            raise ValueError("does not have the fields of an entry")
        if not all(re.fullmatch(rf"[0-9a-f]{{{size}}}", fields[name]) for name, size in _HEX.items()):
            raise ValueError("has a hash or signature that is none")
        if not 0 < fields["sequence"] < 1 << 62:
            raise ValueError("has a number that no entry has")
        return cls(**fields)

    @property
    def line(self) -> bytes:
        """The entry as its line."""
        return _canonical(vars(self)) + b"\n"

    @property
    def heads(self) -> list[tuple[str, Head]]:
        """The heads of others' records that the entry keeps, with their owners. Raises ValueError for what is none."""
        kept = self.content.get("heads", {})
        if type(kept) is not dict or not all(type(packed) is str for packed in kept.values()):
            raise ValueError("keeps heads that are none")
        return [(owner, Head.unpack(bytes.fromhex(packed))) for owner, packed in kept.items()]

    def head(self, verify_key: str) -> Head:
        """The head of the record when this was its last entry."""
        return Head(self.sequence, bytes.fromhex(self.hash), verify_key, bytes.fromhex(self.signature))

    def after(self, last: Entry | None) -> str:
        """What is wrong with this entry where it stands; empty if nothing is. Signatures are not checked."""
        number = last.sequence + 1 if last else 1
        if self.sequence != number:
            return f"entry {self.sequence:,} stands where entry {number:,} is due"
        if _hash(self.sequence, self.at, self.kind, self.content, self.previous) != self.hash:
            return f"entry {number:,} was altered: its content does not have its hash"
        if self.previous != (last.hash if last else _FIRST):
            return f"entry {number:,} does not follow from the entry before: one of the two was replaced"
        return ""


def lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a record or export; the last one lacks its newline if it was cut while it was written."""
    while line := file.readline(MOST_LINE + 1):
        yield line


def _canonical(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _hash(sequence: int, at: str, kind: str, content: Mapping[str, Any], previous: str) -> str:
    body = {"sequence": sequence, "at": at, "kind": kind, "content": content, "previous": previous}
    return hashlib.sha256(_canonical(body)).hexdigest()
