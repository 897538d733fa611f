"""Heads that the members hold of each other's records: a record that was cut, edited or put back is refused by all."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc.computation import Computation
from parties.config import Consortium
from parties.errors import Fault
from parties.heads import HEAD_BYTES, Head, HeldHeads, follow
from parties.identity import Identity
from parties.verification import compare, entries, read

sys.path.insert(0, str(Path(__file__).parent))
from consortium import PARTIES, TOTAL, Running, eventually, exposure, refused, total
from hand import Hand

IDENTITIES = {name: Identity.create() for name in PARTIES}
CONSORTIUM = Consortium.model_validate(
    {
        "name": "test",
        "party": [
            {
                "name": name,
                "verify_key": identity.verify_key,
                "transport_key": identity.transport_key,
                "address": f"{name}:7000",
                "data": f"{name}:7001",
            }
            for name, identity in IDENTITIES.items()
        ],
    }
)


def head(sequence: int, history: str = "a", owner: str = "south", signer: str = "") -> Head:
    return Head.signed(IDENTITIES[signer or owner], owner, sequence, digest(sequence, history))


def digest(sequence: int, history: str = "a") -> bytes:
    return f"{history}{sequence:08}".encode().ljust(32)


def held(**by: Head) -> HeldHeads:
    """What is held of south's record, by holder."""
    told: dict[str, dict[str, bytes]] = {name: {} for name in PARTIES}
    for holder, each in by.items():
        told[holder]["south"] = each.pack()
    return HeldHeads(told, CONSORTIUM)


def record(last: int, history: str = "a") -> Any:
    """A record with so many entries; after the tenth, histories differ."""
    return lambda i: digest(i, history if i > 10 else "a") if i <= last else None


def judge(heads: HeldHeads, last: int, history: str = "a") -> Head:
    own = Head.signed(IDENTITIES["south"], "south", last, record(last, history)(last))
    return heads.check("south", heads.statement("south", own, record(last, history)))


def fault_of(heads: HeldHeads, last: int, history: str = "a") -> tuple[str, str]:
    with pytest.raises(Fault) as caught:
        judge(heads, last, history)
    assert caught.value.report.peer == "south"
    assert caught.value.report.remedy
    return caught.value.code, caught.value.message


def test_a_head_says_whose_it_is() -> None:
    made = head(7)
    assert Head.unpack(made.pack()) == made
    assert made.is_of("south")
    assert not made.is_of("north")
    assert not head(7, signer="north").is_of("north")
    for changed in (
        Head(8, made.hash, made.verify_key, made.signature),
        Head(7, digest(8), made.verify_key, made.signature),
        Head(7, made.hash, IDENTITIES["north"].verify_key, made.signature),
    ):
        assert not changed.is_of("south")
    for wrong in (b"", made.pack()[:-1], made.pack() + b"0", bytes(HEAD_BYTES), b"\xff" * HEAD_BYTES):
        with pytest.raises(ValueError, match="no head"):
            Head.unpack(wrong)


def test_a_record_that_goes_on_is_accepted() -> None:
    for heads in (held(), held(north=head(5)), held(north=head(5), west=head(5)), held(north=head(4), west=head(6))):
        assert judge(heads, 7).sequence == 7
        assert judge(heads, 700).sequence == 700


def test_an_old_copy_is_refused() -> None:
    heads = held(north=head(5), west=head(9))
    for last in (9, 8, 1):
        code, said = fault_of(heads, last)
        assert code == "STATE_ROLLED_BACK"
        assert "south" in said
    assert "west holds its entry 9" in fault_of(heads, 8)[1]


def test_another_history_is_refused() -> None:
    heads = held(north=head(5), west=head(12))
    assert judge(heads, 13).sequence == 13
    code, said = fault_of(heads, 20, "b")
    assert code == "RECORD_FORKED"
    assert "another entry 12 than the one that west holds, signed by south" in said
    both = held(north=head(12, "a"), west=head(12, "b"))  # two copies in use, one seen by each
    for history in "ab":
        assert fault_of(both, 20, history)[0] == "RECORD_FORKED"


def test_a_held_head_must_be_signed_by_its_owner() -> None:
    for wrong in (head(5, signer="north"), Head(6, head(5).hash, head(5).verify_key, head(5).signature)):
        with pytest.raises(Fault) as caught:
            held(west=wrong)
        assert (caught.value.code, caught.value.report.peer) == ("SIGNATURE_INVALID", "west")
    for told in ({"west": {"west": head(1, owner="west").pack()}}, {"west": {"dealer": head(1).pack()}}):
        with pytest.raises(Fault) as caught:
            HeldHeads({name: {} for name in PARTIES} | told, CONSORTIUM)
        assert (caught.value.code, caught.value.report.peer) == ("WIRE_MALFORMED", "west")


@given(st.binary(max_size=3 * HEAD_BYTES) | st.integers(0, 200).map(lambda cut: head(9).pack()[:cut]))
def test_any_statement_is_accepted_or_a_fault(statement: bytes) -> None:
    with pytest.raises(Fault) as caught:
        held(north=head(5)).check("south", statement)
    assert caught.value.report.peer == "south"


def test_the_head_at_the_end_comes_after_the_one_before() -> None:
    assert follow("south", head(8).pack(), head(7)).sequence == 8
    for packed, code in (
        (head(7).pack(), "STATE_ROLLED_BACK"),
        (head(6).pack(), "STATE_ROLLED_BACK"),
        (head(8, signer="north").pack(), "SIGNATURE_INVALID"),
        (head(8, owner="north").pack(), "SIGNATURE_INVALID"),
        (bytes(HEAD_BYTES), "WIRE_MALFORMED"),
    ):
        with pytest.raises(Fault) as caught:
            follow("south", packed, head(7))
        assert (caught.value.code, caught.value.report.peer) == (code, "south")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("heads") / "c", analysts=["ana"]) as running:
        running.agree(recipients=["analyst", "ana", "north"])
        yield running.start()
        for member in running.members:
            assert not running.has(member, "fault", code="INTERNAL"), running.said(member)


def state(running: Running, member: str) -> Path:
    return running.folder / member / "state"


def recorded(running: Running, member: str, kind: str = "") -> list[dict[str, Any]]:
    """The contents of the entries of this kind."""
    found = entries(state(running, member) / "audit.jsonl")
    return [dict(entry.content) for entry in found if kind in ("", entry.kind)]


def verified(running: Running) -> None:
    """All records hold, each by itself and against what the others kept."""
    consortium = Consortium.load(running.folder / "consortium.toml")
    readings = [read(state(running, member) / "audit.jsonl", consortium) for member in running.members]
    compare(readings, consortium)
    assert [reading.findings for reading in readings] == [[]] * len(readings)


def test_a_session_is_recorded_and_its_heads_are_kept(running: Running) -> None:
    since = {member: len(recorded(running, member)) for member in running.members}
    running.run(exposure)
    kinds = ["plan_accepted", "session_signed", "run_begun", "run_counted", "run_ended", "session_closed"]
    for party in PARTIES:
        made = [
            (entry.kind, entry.content)
            for entry in entries(state(running, party) / "audit.jsonl")
            if entry.sequence > since[party]
        ]
        assert [kind for kind, _ in made] == kinds
        assert len({content["session"] for _, content in made}) == 1
        others = {*PARTIES, "dealer"} - {party}
        for kind in ("run_begun", "session_closed"):
            assert set(dict(made)[kind]["heads"]) == others
    accepted = recorded(running, "north", "plan_accepted")[-1]
    assert accepted["analyst"] == "analyst"
    assert accepted["data"] == {"accounts": ["balance"]}
    assert accepted["results"] == {"result": ["analyst"]}
    assert recorded(running, "west", "plan_accepted")[-1]["data"] == {}
    assert recorded(running, "north", "session_closed")[-1]["delivered"] == ["result"]
    dealt = recorded(running, "dealer", "material_dealt")[-1]
    assert dealt["session"] == accepted["session"]
    assert set(dealt["pieces"]) <= {"north", "south"}
    verified(running)


def test_refusals_and_faults_are_recorded(running: Running) -> None:
    with Hand(running) as hand:
        hand.submit(b"nonsense", "north")
        hand.fault("north")
    refusal = recorded(running, "north", "plan_refused")[-1]
    assert (refusal["code"], refusal["session"]) == ("PLAN_INVALID", hand.session.hex())
    with Hand(running) as hand:
        plan = running.analyst().plan(Computation(total), running.analyst().row_counts()).encode()
        hand.submit(plan, "north")
        hand.hellos("north")
    assert eventually(lambda: recorded(running, "north", "fault")[-1:] != [], 10)
    assert recorded(running, "north", "fault")[-1]["code"] == "SESSION_CANCELLED"


def test_sessions_at_the_same_time_do_not_make_a_record_look_old(running: Running) -> None:
    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(running.run, total, ("analyst", "ana")[i % 2]) for i in range(24)]
        done += [pool.submit(running.run, exposure, "ana") for _ in range(3)]
        for each in done:
            each.result()
    assert running.works()
    verified(running)


def copied(running: Running, member: str, name: str) -> Path:
    """The member's state as it is now, put aside while its process stands."""
    running.kill(member, signal.SIGTERM)
    copy = state(running, member).with_name(name)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state(running, member), copy)
    running.start(member)
    return copy


def put_back(running: Running, member: str, copy: Path) -> None:
    """Replace the whole state."""
    running.kill(member, signal.SIGTERM)
    shutil.rmtree(state(running, member))
    shutil.copytree(copy, state(running, member))
    running.start(member)


def everybody_refuses(running: Running, culprit: str, code: str) -> None:
    """The session ends everywhere with this code, naming the culprit, and nobody begins it."""
    begun = {party: len(recorded(running, party, "run_begun")) for party in PARTIES}
    with refused(code, culprit):
        running.run(total)
    for party in PARTIES:
        assert eventually(lambda p=party: last_fault(running, p) == (code, culprit), 10), party  # type: ignore[misc]
        assert len(recorded(running, party, "run_begun")) == begun[party]


def last_fault(running: Running, party: str) -> tuple[str, str]:
    fault = recorded(running, party)[-1]
    return fault.get("code", ""), fault.get("peer", "")


@pytest.mark.parametrize("culprit", ["south", "dealer"])
def test_yesterdays_state_folder_is_refused_by_the_peers(running: Running, culprit: str) -> None:
    script = exposure if culprit == "dealer" else total
    running.run(script)
    yesterday = copied(running, culprit, "yesterday")
    for _ in range(3):
        running.run(script)
    today = copied(running, culprit, "today")
    put_back(running, culprit, yesterday)
    if culprit == "dealer":
        with refused("STATE_ROLLED_BACK", "dealer"):
            running.run(script)
        assert running.run(total)["result"] == TOTAL  # which takes no dealer
    else:
        everybody_refuses(running, culprit, "STATE_ROLLED_BACK")
    # Trying again makes its record longer, not the one that the others know.
    codes = set()
    for _ in range(8):
        with pytest.raises(Fault) as caught:
            running.run(script)
        codes.add(caught.value.code)
    assert codes <= {"STATE_ROLLED_BACK", "RECORD_FORKED"}
    with refused("RECORD_FORKED", culprit):
        running.run(script)
    put_back(running, culprit, today)
    assert running.works()
    verified(running)


def test_the_record_alone_put_back(running: Running) -> None:
    running.run(total)
    yesterday = copied(running, "west", "yesterday")
    for _ in range(2):
        running.run(total)
    today = copied(running, "west", "today")
    running.kill("west", signal.SIGTERM)
    shutil.copy(yesterday / "audit.jsonl", state(running, "west"))
    running.start("west")
    everybody_refuses(running, "west", "STATE_ROLLED_BACK")
    put_back(running, "west", today)
    assert running.works()


def test_a_record_begun_anew(running: Running) -> None:
    running.run(total)
    today = copied(running, "west", "today")
    running.kill("west", signal.SIGTERM)
    (state(running, "west") / "audit.jsonl").unlink()
    running.start("west")
    everybody_refuses(running, "west", "STATE_ROLLED_BACK")
    put_back(running, "west", today)
    assert running.works()


def test_a_crash_right_after_a_session_is_no_rollback(running: Running) -> None:
    for member in (*PARTIES, "dealer"):
        running.run(exposure)
        running.kill(member)
        running.start(member)
    assert running.works()
    verified(running)


@pytest.mark.parametrize("reached", ["submitted", "loaded", "dealt"])
def test_a_node_killed_in_mid_session_is_no_rollback(running: Running, reached: str) -> None:
    """Heads leave a node when its disk has them: what others hold is there after kill -9."""

    def kill(party: str, phase: str) -> None:
        if (party, phase) == ("south", reached):
            running.processes["south"].kill()

    with pytest.raises(Fault) as caught:
        running.run(exposure, progress=kill)
    assert caught.value.code in ("PEER_LOST", "UNREACHABLE", "SESSION_CANCELLED")
    running.processes["south"].wait(10)
    running.start("south")
    assert running.works()
    verified(running)


def test_an_edited_record_keeps_the_node_from_starting(running: Running) -> None:
    running.run(total)
    file = state(running, "south") / "audit.jsonl"
    running.kill("south", signal.SIGTERM)
    good = file.read_bytes()
    lines = good.splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"node_started"', b'"node_stopped"') if b"node_started" in lines[2] else lines[3]
    file.write_bytes(b"".join(lines))
    try:
        assert running.launch("south").wait(10) == 1
        assert "STATE_DAMAGED" in running.said("south")
        assert "entry 3" in running.said("south")
        assert "Traceback" not in running.said("south")
    finally:
        file.write_bytes(good)
        running.start("south")
    assert running.works()


def test_new_keys_begin_a_new_record(tmp_path: Path) -> None:
    """The way back for a member whose state was lost; what others hold of its old record is of other keys."""
    with Running(tmp_path / "c") as running:
        running.start()
        assert running.works()
        for member in running.members:
            running.kill(member, signal.SIGTERM)
        old = Identity.load(running.folder / "south" / "identity.key")
        (running.folder / "south" / "identity.key").unlink()
        new = Identity.create()
        new.save(running.folder / "south" / "identity.key")
        shared = running.folder / "consortium.toml"
        text = shared.read_text().replace(old.verify_key, new.verify_key)
        shared.write_text(text.replace(old.transport_key, new.transport_key))
        running.sign()
        assert running.launch("south").wait(10) == 1
        assert "with other keys" in running.said("south")
        shutil.rmtree(state(running, "south"))
        running.start()
        assert running.works()
