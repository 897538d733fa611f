"""The record: appended to and never changed, whatever happens to the process or the disk; any change to it is found."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parties.audit import Audit
from parties.config import Consortium
from parties.entries import Entry
from parties.errors import Fault
from parties.heads import Head
from parties.identity import Identity
from parties.verification import compare, heads_export, read

sys.path.insert(0, str(Path(__file__).parent))
from forked import Piped

NORTH, SOUTH, WEST = Identity.create(), Identity.create(), Identity.create()


def _process(name: str, identity: Identity) -> dict[str, Any]:
    return {
        "name": name,
        "verify_key": identity.verify_key,
        "transport_key": identity.transport_key,
        "address": f"{name}:7000",
        "data": f"{name}:7001",
    }


CONSORTIUM = Consortium.model_validate(
    {"name": "test", "party": [_process(n, i) for n, i in (("north", NORTH), ("south", SOUTH), ("west", WEST))]}
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "audit.jsonl"


def opened(path: Path, identity: Identity = NORTH, party: str = "north") -> Audit:
    return Audit(path, party, identity)


def made(path: Path, entries: int = 9, identity: Identity = NORTH, party: str = "north") -> list[bytes]:
    """The lines of a record with so many entries."""
    audit = opened(path, identity, party)
    for i in range(entries - 1):
        audit.record("thing", session=f"{i:032x}", told=["a", 1, 2.5, {"b": None}])
    audit.close()
    return path.read_bytes().splitlines(keepends=True)


def findings(path: Path) -> list[str]:
    return read(path, CONSORTIUM).findings


def refused(path: Path, code: str = "STATE_DAMAGED", identity: Identity = NORTH) -> str:
    with pytest.raises(Fault) as caught:
        Audit(path, "north", identity)
    assert caught.value.code == code
    assert str(path) in caught.value.message
    assert caught.value.report.remedy
    return caught.value.message


def run(code: str, path: Path) -> Piped:
    """A process that has north's record open as `audit`."""
    key = path.parent.parent / "north.key"
    if not key.exists():
        NORTH.save(key)
    head = (
        "import os, resource, signal, sys\nfrom pathlib import Path\n"
        "from parties.audit import Audit\nfrom parties.errors import Fault\nfrom parties.identity import Identity\n"
        "audit = Audit(Path(sys.argv[1]), 'north', Identity.load(Path(sys.argv[2])))\n"
    )
    return Piped("-c", head + code, str(path), str(key))


def test_entries_follow_each_other_over_restarts(path: Path) -> None:
    audit = opened(path)
    assert audit.head.sequence == 1
    heads = [audit.head, audit.record("one", about="this"), audit.record("two", count=2)]
    assert audit.head == heads[-1]
    audit.close()
    audit = opened(path)
    assert audit.head == heads[-1]
    heads.append(audit.record("one", about="that"))
    assert [head.sequence for head in heads] == [1, 2, 3, 4]
    assert all(head.is_of("north") and head.verify_key == NORTH.verify_key for head in heads)
    assert [audit.hash_at(i) for i in range(6)] == [None, *(head.hash for head in heads), None]
    latest = audit.latest("one")
    assert latest is not None
    assert latest.content == {"about": "that"}
    assert audit.latest("three") is None
    audit.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    reading = read(path, CONSORTIUM)
    assert (reading.party, reading.findings, reading.notes) == ("north", [], [])
    assert reading.hashes == [head.hash for head in heads]


def test_only_plain_content_is_recorded(path: Path) -> None:
    audit = opened(path)
    for wrong in (b"bytes", object(), float("nan"), {1, 2}):
        with pytest.raises((TypeError, ValueError)):
            audit.record("thing", told=wrong)
    for kind in ("", "Thing", "a thing", "1"):
        with pytest.raises(ValueError, match="lower_snake"):
            audit.record(kind)
    audit.record("thing", told="\ud800 \x1b[31m <b> \u2028 \"'")
    audit.close()
    assert findings(path) == []
    assert opened(path).head.sequence == 2


def test_heads_of_others_are_kept(path: Path) -> None:
    first, second, of_west = (
        Head.signed(SOUTH, "south", 3, b"x" * 32),
        Head.signed(SOUTH, "south", 9, b"y" * 32),
        Head.signed(WEST, "west", 1, b"z" * 32),
    )
    audit = opened(path)
    audit.record("run_begun", {"south": second, "west": of_west})
    audit.record("run_begun", {"south": first})  # of a session that took longer
    for _ in range(2):
        assert audit.held("south", SOUTH.verify_key) == second
        assert audit.held("west", WEST.verify_key) == of_west
        assert audit.held("west", SOUTH.verify_key) is None
        assert audit.held("dealer", SOUTH.verify_key) is None
        audit.close()
        audit = opened(path)
    audit.close()
    assert read(path, CONSORTIUM).kept == {"south": {first, second}, "west": {of_west}}


def edited(line: bytes, **changes: Any) -> bytes:
    return json.dumps(json.loads(line) | changes, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def resigned(lines: list[bytes], at: int, identity: Identity = NORTH) -> list[bytes]:
    """The record with another entry `at` (from 0), all from there on hashed and signed again."""
    last = Entry.parse(lines[at - 1])
    again = lines[:at]
    for line in lines[at:]:
        last = Entry.make(last, "north", identity, "thing", {"else": len(line)})
        again.append(last.line)
    return again


EDITS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "content": (lambda x: [*x[:4], edited(x[4], content={"told": "else"}), *x[5:]], "entry 5 was altered"),
    "time": (lambda x: [*x[:4], edited(x[4], at="2001-01-01T00:00:00.000+00:00"), *x[5:]], "entry 5 was altered"),
    "kind": (lambda x: [*x[:4], edited(x[4], kind="other"), *x[5:]], "entry 5 was altered"),
    "number": (lambda x: [*x[:4], edited(x[4], sequence=6), *x[5:]], "entry 6 stands where entry 5 is due"),
    "a byte": (lambda x: [*x[:4], x[4].replace(b"thing", b"thinG"), *x[5:]], "entry 5 was altered"),
    "a space": (lambda x: [*x[:4], x[4].replace(b":", b": ", 1), *x[5:]], "entry 5 is not written as an entry"),
    "a field": (lambda x: [*x[:4], edited(x[4], more=1), *x[5:]], "entry 5 does not have the fields"),
    "no field": (lambda x: [*x[:4], b"{}\n", *x[5:]], "entry 5 does not have the fields"),
    "no JSON": (lambda x: [*x[:4], b"[" * 100_000 + b"\n", *x[5:]], "entry 5 is not written as an entry"),
    "hash": (lambda x: [*x[:4], edited(x[4], hash="0" * 64), *x[5:]], "entry 5 was altered"),
    "signature": (lambda x: [*x[:8], edited(x[8], signature="0" * 128)], "entry 9 is not signed"),
    "removed": (lambda x: [*x[:4], *x[5:]], "entry 6 stands where entry 5 is due"),
    "the first": (lambda x: x[1:], "entry 2 stands where entry 1 is due"),
    "repeated": (lambda x: [*x[:5], x[4], *x[5:]], "entry 5 stands where entry 6 is due"),
    "swapped": (lambda x: [*x[:4], x[5], x[4], *x[6:]], "entry 6 stands where entry 5 is due"),
    "spliced": (lambda x: [*x[:5], *resigned(x, 2)[5:]], "entry 6 does not follow from the entry before"),
    "an empty line": (lambda x: [*x[:4], b"\n", *x[4:]], "entry 5 is not written as an entry"),
    "signed by another": (lambda x: resigned(x, 4, SOUTH), "is not signed with the key of north"),
    "everything": (lambda x: [], "it has no entry"),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_is_found_and_the_entry_named(path: Path, what: str) -> None:
    edit, said = EDITS[what]
    lines = edit(made(path))
    path.write_bytes(b"".join(lines))
    assert said in refused(path)
    found = findings(path)
    assert said in found[0], found
    assert path.read_bytes() == b"".join(lines)


def test_every_signature_is_verified(path: Path) -> None:
    """At its start a node verifies the last one, which binds all; `read` verifies each."""
    lines = made(path)
    path.write_bytes(b"".join([*lines[:4], edited(lines[4], signature="0" * 128), *lines[5:]]))
    assert findings(path) == ["entry 5 is not signed with the key of north"]
    opened(path).close()


def test_another_key(path: Path) -> None:
    made(path)
    assert "with other keys" in refused(path, identity=SOUTH)


def test_a_line_that_a_crash_cut_short(path: Path) -> None:
    lines = made(path, 4)
    whole = b"".join(lines)
    before = len(b"".join(lines[:3]))
    for end in (*range(before + 1, len(whole), 37), len(whole) - 1):
        path.write_bytes(whole[:end])
        reading = read(path, CONSORTIUM)
        assert reading.findings == []
        assert "the line behind entry 3 is cut short" in reading.notes[0]
        audit = opened(path)
        assert audit.head.sequence == 3
        assert path.read_bytes() == whole[:before]
        assert audit.record("thing").sequence == 4
        audit.close()
        assert findings(path) == []
    path.write_bytes(whole[:before] + bytes(100))  # as some file systems leave it
    assert "cut short" in read(path, CONSORTIUM).notes[0]
    assert opened(path).head.sequence == 3


def heads_of(lines: list[bytes], *sequences: int) -> dict[str, Head]:
    """South's record keeps these heads of north's."""
    return {f"{i}": Entry.parse(lines[i - 1]).head(NORTH.verify_key) for i in sequences}


def judged(path: Path, lines: list[bytes], heads: list[Head]) -> list[str]:
    """What is found of north's record, with these lines, when south kept these heads."""
    path.write_bytes(b"".join(lines))
    south = path.with_name("south.jsonl")
    south.unlink(missing_ok=True)
    audit = opened(south, SOUTH, "south")
    for head in heads:
        audit.record("run_begun", {"north": head})
    audit.close()
    readings = [read(path, CONSORTIUM), read(south, CONSORTIUM)]
    exported = south.with_name("south.heads.jsonl")
    exported.write_text(heads_export(readings[1]))
    by_heads = [read(path, CONSORTIUM), read(exported, CONSORTIUM)]
    for each in (readings, by_heads):
        compare(each, CONSORTIUM)
        assert each[1].findings == []
    assert readings[0].findings == by_heads[0].findings
    assert by_heads[1].hashes is None
    return readings[0].findings


def test_what_others_hold_tells_a_cut_from_an_old_copy_from_an_edit(path: Path) -> None:
    lines = made(path)
    held = list(heads_of(lines, 2, 5, 7).values())
    assert judged(path, lines, held) == []
    (cut,) = judged(path, lines[:6], held)
    assert cut.startswith("ends at entry 6, but south holds entry 7, signed by north: entries 7 to 7 were cut off")
    (cut,) = judged(path, lines[:1], held)
    assert "ends at entry 1, but south holds entry 2" in cut
    assert judged(path, lines[:7], held) == []
    went_on = resigned([*lines, *lines[:3]], 5)
    (old,) = judged(path, went_on, held)
    assert old.startswith("entry 7 is not the one that south holds, signed by north: what stands behind entry 5")
    (edit,) = judged(path, resigned(lines, 1), held)
    assert edit.startswith("entry 2 is not the one that south holds, signed by north: what stands behind entry 0")
    (torn,) = judged(path, [*lines[:6], lines[6][:40]], held)
    assert "ends at entry 6, but south holds entry 7" in torn


def test_heads_that_the_owner_did_not_sign_prove_nothing(path: Path) -> None:
    lines = made(path)
    path.write_bytes(b"".join(lines))
    genuine = Entry.parse(lines[4]).head(NORTH.verify_key)
    forged = Head(50, genuine.hash, NORTH.verify_key, genuine.signature)
    others_key = Head.signed(SOUTH, "north", 60, bytes(32))
    south = path.with_name("south.jsonl")
    audit = opened(south, SOUTH, "south")
    audit.record("run_begun", {"north": forged})
    audit.record("run_begun", {"north": others_key})
    audit.close()
    readings = [read(path, CONSORTIUM), read(south, CONSORTIUM)]
    compare(readings, CONSORTIUM)
    assert readings[0].findings == []
    assert readings[1].findings == ["keeps a head of north's record, entry 50, that north did not sign"]


def by_hand(last: Entry, at: str, **content: Any) -> Entry:
    """The next entry, made as the format is described."""
    body = {"sequence": last.sequence + 1, "at": at, "kind": "thing", "content": content, "previous": last.hash}
    hash_ = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    head = Head.signed(NORTH, "north", last.sequence + 1, bytes.fromhex(hash_))
    return Entry(**body, hash=hash_, signature=head.signature.hex())


def test_a_clock_set_back_is_noted(path: Path) -> None:
    lines = made(path, 4)
    for day in (1, 2):
        lines.append(by_hand(Entry.parse(lines[-1]), f"2001-01-0{day}T00:00:00.000+00:00").line)
    path.write_bytes(b"".join(lines))
    reading = read(path, CONSORTIUM)
    assert (reading.findings, reading.notes) == ([], ["the clock was set back before entry 5"])


def test_many_threads_and_processes_make_one_chain(path: Path) -> None:
    audit = opened(path)
    processes = [run("for i in range(200): audit.record('thing', i=i)", path) for _ in range(2)]
    made = [0, 0]

    def append(thread: int) -> None:
        while any(process.poll() is None for process in processes):
            audit.record("thing", thread=thread)
            made[thread] += 1

    threads = [threading.Thread(target=append, args=(thread,)) for thread in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0]
    assert audit.record("thing").sequence == 1 + 400 + sum(made) + 1
    audit.close()
    reading = read(path, CONSORTIUM)
    assert reading.findings == []
    assert len(reading.hashes or []) == 402 + sum(made)


def test_what_was_recorded_outlives_kill_9(path: Path) -> None:
    """Whenever the process dies, the record holds, and has every entry whose making was told."""
    told = 1
    for _ in range(8):
        process = run("while True: print(audit.record('thing', text='x' * 3000).sequence, flush=True)", path)
        numbers = [process.stdout.readline()]
        time.sleep(random.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        numbers += process.stdout.read().split()
        process.wait()
        reading = read(path, CONSORTIUM)
        assert reading.findings == []
        assert int(numbers[0]) > told
        told = int(numbers[-1])
        assert len(reading.hashes or []) >= told
    audit = opened(path)
    assert audit.record("thing").sequence == len(reading.hashes or []) + 1
    audit.close()


def test_a_disk_that_takes_half_an_entry(path: Path) -> None:
    """The half is taken off again; the entry was not made; later ones are."""
    made(path, 2)
    size = path.stat().st_size
    code = (
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 100}, limits[1]))\n"
        "try:\n    audit.record('thing', text='x' * 1000)\n"
        "except Fault as fault:\n    print(fault.code, fault.report.message)\n"
        f"print(os.stat(sys.argv[1]).st_size)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, limits)\n"
        "print(audit.record('thing').sequence)\n"
    )
    said = run(code, path).communicate(30).splitlines()
    assert said[0].startswith("STATE_UNWRITABLE")
    assert "nothing is done" in said[0]
    assert said[1:] == [str(size), "3"]
    assert findings(path) == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="faults are injected with strace")
def test_a_disk_that_fails_to_sync(path: Path) -> None:
    """Nobody knows then what the disk holds: nothing more is recorded before a new start reads it."""
    made(path, 2)
    NORTH.save(path.parent.parent / "north.key")
    code = (
        "import sys\nfrom pathlib import Path\nfrom parties.audit import Audit\nfrom parties.errors import Fault\n"
        "from parties.identity import Identity\n"
        "audit = Audit(Path(sys.argv[1]), 'north', Identity.load(Path(sys.argv[2])))\n"
        "for _ in range(3):\n"
        "    try:\n        print(audit.record('thing').sequence)\n"
        "    except Fault as fault:\n        print(fault.code)\n"
    )
    strace = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=2"]
    done = subprocess.run(
        [*strace, sys.executable, "-c", code, path, path.parent.parent / "north.key"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if "Operation not permitted" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.stdout.split() == ["3", "STATE_UNWRITABLE", "STATE_UNWRITABLE"], done.stderr
    audit = opened(path)
    assert audit.record("thing").sequence in (4, 5)
    audit.close()
    assert findings(path) == []


def test_a_full_disk_is_told_before_a_session(path: Path) -> None:
    audit = opened(path)
    audit.require_room(3)
    with pytest.raises(Fault) as caught:
        audit.require_room(1 << 40)
    assert caught.value.code == "STATE_UNWRITABLE"
    audit.close()


@pytest.mark.parametrize("what", ["replaced", "cut", "gone"])
def test_a_file_that_changes_while_it_is_in_use(path: Path, what: str) -> None:
    lines = made(path)
    audit = opened(path)
    if what == "replaced":
        shutil.copy(path, path.with_name("copy"))
        os.replace(path.with_name("copy"), path)
    elif what == "cut":
        os.truncate(path, len(b"".join(lines[:5])))
    else:
        path.unlink()
    for _ in range(2):
        with pytest.raises(Fault) as caught:
            audit.record("thing")
        assert caught.value.code == ("STATE_UNWRITABLE" if what == "gone" else "STATE_DAMAGED")
    audit.close()
    with pytest.raises(Fault) as caught:
        audit.record("thing")
    assert caught.value.code == "STATE_UNWRITABLE"


def test_an_empty_file_is_damage_and_never_a_beginning(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert "it has no entry" in refused(path)
    assert path.read_bytes() == b""
    path.unlink()
    path.mkdir()
    refused(path, "STATE_UNWRITABLE")


def test_what_is_no_record_is_told(path: Path) -> None:
    with pytest.raises(Fault) as caught:
        read(path, CONSORTIUM)
    assert caught.value.code == "RECORD_MISSING"
    made(path, 2, Identity.create(), "stranger")
    assert findings(path) == ["the first entry does not say which member's record this is"]
    path.write_bytes(b"".join(made(path.with_name("none"), 2)))
    with pytest.raises(Fault) as caught:
        heads_export(read(path, CONSORTIUM))
    assert caught.value.code == "RECORD_MISSING"
    path.write_bytes(b'{"holder":"south","owner":"north","head":"00"}\n')
    assert findings(path) == ["entry 1 is not written as an entry; nothing behind it can be judged"]
