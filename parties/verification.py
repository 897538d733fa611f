"""Do records hold? Each by itself, and against every head of it that anybody else kept: what was found, by entry.

A record can be edited by whoever has the file, and signed again by whoever has the key, too; it cannot be made to agree
with a head that another member holds. Of a record that was cut short nothing tells but such a head.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from parties.config import Consortium
from parties.entries import MOST_LINE, Entry, lines
from parties.errors import Fault, printable
from parties.heads import Head

__all__ = ["Reading", "compare", "entries", "heads_export", "read"]

_MOST_FINDINGS = 20


@dataclass
class Reading:
    """What a file holds: a party's record, or only the heads that it kept of others' records.

    `hashes`: of the record's entries, in order; None without a record. `findings`: what is wrong. `notes`: what is
    remarkable and not wrong. `kept`: owner -> heads of its record.
    """

    path: Path
    party: str = ""
    hashes: list[bytes] | None = None
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kept: dict[str, set[Head]] = field(default_factory=dict)

    def find(self, what: str) -> None:
        """Add a finding, unless there are enough."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(what)


def read(path: Path, consortium: Consortium) -> Reading:
    """A record, or heads that were exported, each entry checked by itself. Raises Fault RECORD_MISSING."""
    reading = Reading(path)
    try:
        with path.open("rb") as file:
            first = file.readline(MOST_LINE + 1)
            if _exported(first):
                _read_heads(reading, chain([first], lines(file)))
            else:
                file.seek(0)
                _read_record(reading, file, consortium)
    except OSError as error:
        raise _missing(path, error) from None
    return reading


def entries(path: Path) -> Iterator[Entry]:
    """The entries of a record, up to what is none; `read` tells whether they hold. Raises Fault RECORD_MISSING."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise _missing(path, error) from None
    with file:
        for line in lines(file):
            try:
                yield Entry.parse(line)
            except ValueError:
                return


def compare(readings: Sequence[Reading], consortium: Consortium) -> None:
    """Add to the findings of every record that holds by itself where it is not what others kept heads of."""
    sound = [(record, record.hashes) for record in readings if record.hashes is not None and not record.findings]
    for record, hashes in sound:
        for holder in readings:
            if holder is not record:
                _compare(record, hashes, holder, consortium)


def heads_export(reading: Reading) -> str:
    """The heads that a party kept, for others to verify records against; tells nothing else of its record.

    Raises Fault RECORD_MISSING when there is none.
    """
    told = [(owner, head) for owner, heads in sorted(reading.kept.items()) for head in sorted(heads)]
    if not told:
        what = f"{reading.path} holds no head of another member's record"
        raise Fault("RECORD_MISSING", what, "The members exchange heads in every session; there was none yet.")
    return "".join(
        json.dumps({"holder": reading.party, "owner": owner, "head": head.pack().hex()}) + "\n" for owner, head in told
    )


def _missing(path: Path, error: OSError) -> Fault:
    return Fault(
        "RECORD_MISSING",
        f"{path} cannot be read ({error.strerror}).",
        "Name a file that `beaver audit export` wrote, or the folder of a member whose node has run.",
    )


def _read_record(reading: Reading, file: BinaryIO, consortium: Consortium) -> None:
    hashes = reading.hashes = []
    last: Entry | None = None
    set_back = []
    key = ""
    for line in lines(file):
        if not line.endswith(b"\n") and len(line) <= MOST_LINE:
            reading.notes.append(
                f"the line behind entry {len(hashes):,} is cut short: a crash while it was written, and no matter, "
                "or somebody cut the file there"
            )
            break
        number = len(hashes) + 1
        try:
            entry = Entry.parse(line)
            kept = entry.heads
        except ValueError as error:
            reading.find(f"entry {number:,} {error}; nothing behind it can be judged")
            break
        if wrong := entry.after(last):
            reading.find(wrong)
        if last is None:
            reading.party, key = _owner(entry, consortium)
            if not key:
                reading.find("the first entry does not say which member's record this is")
                break
        if not entry.head(key).is_of(reading.party):
            reading.find(f"entry {entry.sequence:,} is not signed with the key of {reading.party}")
        if last is not None and entry.at < last.at:
            set_back.append(f"{entry.sequence:,}")
        for owner, head in kept:
            reading.kept.setdefault(owner, set()).add(head)
        hashes.append(bytes.fromhex(entry.hash))
        last = entry
    if not hashes and not reading.findings:
        reading.find("it has no entry")
    if set_back:
        reading.notes.append(f"the clock was set back before entry {', '.join(set_back[:_MOST_FINDINGS])}")


def _owner(first: Entry, consortium: Consortium) -> tuple[str, str]:
    """Whose record begins so, and the key that consortium.toml lists for it; empty when it cannot be told."""
    name = first.content.get("party")
    key = next((member.verify_key for member in consortium.members if member.name == name), "")
    return (str(name), key) if key else ("", "")


def _exported(line: bytes) -> tuple[str, str, Head] | None:
    """Holder, owner and head in a line of exported heads; None if it is none."""
    try:
        match json.loads(line):
            case {"holder": str() as holder, "owner": str() as owner, "head": str() as packed}:
                return holder, owner, Head.unpack(bytes.fromhex(packed))
    except (ValueError, RecursionError):
        pass
    return None


def _read_heads(reading: Reading, told: Iterator[bytes]) -> None:
    for number, line in enumerate(told, 1):
        exported = _exported(line)
        if exported is None:
            reading.find(f"line {number:,} is no head of a record; nothing behind it can be judged")
            return
        holder, owner, head = exported
        reading.party = printable(holder[:40])
        reading.kept.setdefault(owner, set()).add(head)


def _compare(record: Reading, hashes: Sequence[bytes], holder: Reading, consortium: Consortium) -> None:
    owner = record.party
    key = consortium.member(owner).verify_key if owner else ""
    agreed = 0
    for head in sorted(holder.kept.get(owner, ())):
        if head.verify_key != key:
            continue  # of a record that the party kept with other keys
        if not head.is_of(owner):
            holder.find(f"keeps a head of {owner}'s record, entry {head.sequence:,}, that {owner} did not sign")
        elif head.sequence > len(hashes):
            record.find(
                f"ends at entry {len(hashes):,}, but {holder.party} holds entry {head.sequence:,}, signed by {owner}: "
                f"entries {len(hashes) + 1:,} to {head.sequence:,} were cut off, or an old copy was put back"
            )
            return
        elif hashes[head.sequence - 1] != head.hash:
            record.find(
                f"entry {head.sequence:,} is not the one that {holder.party} holds, signed by {owner}: what stands "
                f"behind entry {agreed:,} was edited and signed again, or an old copy was put back and used"
            )
            return
        else:
            agreed = head.sequence
