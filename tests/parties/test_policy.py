"""An analyst who goes around the analyst's program: nodes judge every plan and message themselves, and stay up."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mpc
from mpc.computation import Computation
from mpc.plan import Plan, Step
from mpc.schema import Column, Table
from parties import policy
from parties.agreement import Agreement
from parties.identity import Identity
from parties.session import Ephemeral, Hello

sys.path.insert(0, str(Path(__file__).parent))
from consortium import PARTIES, TOTAL, Running, refused, total
from hand import Hand


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("policy") / "c", analysts=["ana"]) as running:
        yield running.start()
        # Whatever was sent: nobody ended, nothing failed for a reason of its own.
        assert running.works()
        for member in running.members:
            assert not running.has(member, "fault", code="INTERNAL"), running.said(member)


@pytest.fixture
def hand(running: Running) -> Iterator[Hand]:
    with Hand(running) as hand:
        yield hand


def planned(running: Running, script: Callable[[Any], Any], **columns: Column) -> Plan:
    """The plan of a script as if the agreement said otherwise of north's columns of visits."""
    analyst = running.analyst()
    schema = {party: dict(tables) for party, tables in analyst.agreement.schema(analyst.row_counts()).items()}
    visits = schema["north"]["visits"]
    schema["north"]["visits"] = Table(visits.rows, {**visits.columns, **columns})
    return Computation(script).plan(schema)


def north(column: str) -> Callable[[Any], Any]:
    return lambda data: data.party("north")["visits"][column].sum()


REFUSED: dict[str, tuple[Callable[[Any], Any], dict[str, Column], str]] = {
    "foreign column": (north("salary"), {"salary": Column("integer", 0, 9)}, "salary is not in the agreement"),
    "wider range": (north("visits"), {"visits": Column("integer", -5, 999)}, "has the range"),
    "narrower range": (north("visits"), {"visits": Column("integer", 3, 4)}, "has the range"),
    "other type": (north("visits"), {"visits": Column("real", 0.0, 30.0)}, "is integer in the agreement"),
    "unlisted recipient": (lambda data: mpc.reveal(total(data), to="south"), {}, "south may not receive"),
    "other analyst": (lambda data: mpc.reveal(total(data), to="ana"), {}, "ana receives what ana submits"),
    "raw column": (lambda data: data.table("visits")["visits"], {}, "rests on 1 of north's rows"),
    "raw column of a party": (lambda data: data.party("north")["visits"]["age"], {}, "rests on 1 of"),
    "one row": (lambda data: data.table("visits")["visits"][7], {}, "rests on 1 of"),
    "few rows": (lambda data: data.party("north")["visits"]["visits"][:9].sum(), {}, "rests on 9 of"),
    "one-hot weights": (lambda data: data.table("visits")["visits"] @ ([1] + [0] * 89), {}, "rests on 1 of"),
    "differing weights": (lambda data: data.table("visits")["visits"] @ list(range(90)), {}, "rests on 1 of"),
    "difference of sums": (
        lambda data: data.party("north")["visits"]["visits"].sum() - data.party("north")["visits"]["visits"][1:].sum(),
        {},
        "rests on 1 of",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_plan_that_the_owner_did_not_agree_to(running: Running, hand: Hand, case: str) -> None:
    script, columns, said = REFUSED[case]
    hand.submit(planned(running, script, **columns).encode(), "north")
    report = hand.fault("north")
    assert report["code"] == "PLAN_REFUSED"
    assert said in report["message"]
    assert report["phase"] == "plan"
    assert report["session"] == hand.session.hex()
    assert report["remedy"]


@pytest.mark.parametrize(
    ("terms", "noise", "seen"), [("", False, True), ("row_conditions = true", False, False),
                                 ("row_conditions = true", True, True)]
)  # fmt: skip
def test_roundings_that_are_not_the_planners(terms: str, noise: bool, seen: bool) -> None:
    """They compare single rows, and what is off by a rounding made by hand is not hidden by the noise."""
    table = "rows = 40\nbudget = {epsilon = 9.0}\ncolumns.f = {type = 'real', range = [0.0, 1.0]}\n"
    text = "version = 1\npurpose = 'x'\nsource = 'dealer'\nmin_rows = 10\nrecipients = ['analyst']\n" + terms
    agreement = Agreement.model_validate(
        tomllib.loads(text + "".join(f"\n[data.{party}.t]\n{table}" for party in ("north", "south")))
    )
    sums = Computation(lambda data: mpc.noisy(data.table("t")["f"].sum(), epsilon=1.0) if noise else
                       data.table("t")["f"].sum()).plan(agreement.schema())  # fmt: skip
    coarse = tuple(replace(step, params={**step.params, "scale": 0}) if step.op == "column" else step
                   for step in sums.steps)  # fmt: skip

    def reasons(plan: Plan) -> str:
        return "; ".join(policy.refusals(policy.Case(plan, agreement, "north", ("north", "south"), "analyst")))

    assert reasons(sums) == ""
    assert ("15 significant bits" in reasons(replace(sums, precision=15))) == seen
    assert ("otherwise than the planner does" in reasons(replace(sums, steps=coarse))) == seen


@pytest.mark.parametrize("case", [case for case, (_, columns, _) in REFUSED.items() if not columns])
def test_the_analysts_own_program_says_so_before_anything_is_submitted(running: Running, case: str) -> None:
    before = len(running.events("north", "session_submitted"))
    with refused("PLAN_REFUSED", "the agreement does not allow this plan"):
        running.run(REFUSED[case][0])
    assert len(running.events("north", "session_submitted")) == before


def test_ten_rows_are_enough(running: Running) -> None:
    assert running.run(lambda data: data.party("north")["visits"]["visits"][:10].sum())["result"] == 45


@pytest.mark.parametrize("error", [ValueError, IndexError, MemoryError, RecursionError])
def test_what_cannot_be_judged_is_refused(
    running: Running, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Whatever goes wrong in judging. No plan that does this is known, so it is made to."""

    def fails(plan: Plan, party: str) -> dict[str, int]:
        raise error(party)

    monkeypatch.setattr(policy, "cohorts", fails)
    with refused("PLAN_REFUSED", f"north: this cannot be judged ({error.__name__}) (min_rows)", "south: this"):
        running.run(total)


def test_rows_that_are_not_there(running: Running, hand: Hand) -> None:
    """More than agreed are refused; fewer than there are do not pass for the whole table."""
    plan = planned(running, total)
    for rows, code in ((31, "PLAN_REFUSED"), (29, "DATA")):
        changed = replace(
            plan,
            steps=tuple(
                Step(step.op, step.inputs, {**step.params, "rows": rows})
                if step.op == "column" and step.params["party"] == "north"
                else step
                for step in plan.steps
            ),
        )
        with Hand(running) as hand:
            hand.submit(changed.encode(), "north")
            assert hand.fault("north")["code"] == code


def test_a_plan_of_other_parties(running: Running, hand: Hand) -> None:
    plan = planned(running, total)
    for parties in (("north", "south"), ("south", "north", "west"), ("north", "south", "west", "mallory")):
        with Hand(running) as hand:
            hand.submit(Plan(parties, plan.steps).encode(), "north", "dealer")
            assert hand.fault("north")["code"] in ("PLAN_REFUSED", "PLAN_INVALID")
            assert hand.fault("dealer")["code"] == "PLAN_INVALID"


def test_plan_bytes_that_were_changed(running: Running) -> None:
    good = planned(running, total).encode()
    for at in range(0, len(good), max(1, len(good) // 24)):
        for bad in (good[:at], good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :]):
            with Hand(running) as hand:
                hand.submit(bad, "north")
                kind = hand.hear("north", "fault", "hello")
                # A change may hit a name or a number that is as good; then the plan is another, and is judged.
                if kind["kind"] == "fault":
                    assert kind["report"]["code"] in ("PLAN_INVALID", "PLAN_REFUSED", "DATA", "ROWS_CHANGED")
                else:
                    assert kind["hello"]["plan"] == Plan.decode(bad).digest


def test_two_nodes_with_different_plans(running: Running, hand: Hand) -> None:
    hand.submit(planned(running, total).encode(), "north", "west")
    hand.submit(planned(running, lambda data: data.table("visits")["age"].sum()).encode(), "south")
    hellos = hand.hellos(*PARTIES)
    for party in PARTIES:
        hand.tell(party, "hellos", hellos=hellos)
        report = hand.fault(party)
        assert report["code"] == "PLAN_DIFFERS"
        assert "north, west" in report["message"]
        assert "south" in report["message"]


def opened(running: Running, hand: Hand) -> list[dict[str, Any]]:
    """A session for which everybody has said hello."""
    hand.submit(planned(running, total).encode(), *PARTIES)
    return hand.hellos(*PARTIES)


def test_hellos_of_another_session(running: Running, hand: Hand) -> None:
    with Hand(running) as earlier:
        old = opened(running, earlier)
    new = opened(running, hand)
    hand.tell("north", "hellos", hellos=[new[0], old[1], new[2]])
    assert hand.fault("north")["code"] == "SESSION_DIFFERS"
    hand.tell("south", "hellos", hellos=old)
    assert hand.fault("south")["code"] == "HELLO_ALTERED"
    hand.tell("west", "hellos", hellos=[new[0], replay(old[1], hand.session), new[2]])
    assert hand.fault("west")["code"] == "SIGNATURE_INVALID"


def replay(hello: dict[str, Any], session: bytes) -> dict[str, Any]:
    return {**hello, "session": session}


def test_a_hello_by_somebody_else(running: Running, hand: Hand) -> None:
    """The analyst puts their own key in the place of south's, to listen in."""
    hellos = opened(running, hand)
    forged = replace(Hello.from_wire(hellos[1]), ephemeral=Ephemeral().public)
    key = Identity.load(running.folder / "analyst" / "identity.key")
    forged = replace(forged, signature=key.sign(forged.signed(), "hello"))
    hand.tell("north", "hellos", hellos=[hellos[0], forged.to_wire(), hellos[2]])
    report = hand.fault("north")
    assert report["code"] == "SIGNATURE_INVALID"
    assert report["peer"] == "south"
    hand.tell("south", "hellos", hellos=[hellos[0], forged.to_wire(), hellos[2]])
    assert hand.fault("south")["code"] == "HELLO_ALTERED"


@pytest.mark.parametrize(
    ("altered", "codes"),
    [
        (lambda hellos: hellos[:2], {"PARTIES_DIFFER"}),
        (lambda hellos: [hellos[1], hellos[0], hellos[2]], {"PARTIES_DIFFER"}),
        (lambda hellos: [*hellos, hellos[0]], {"PARTIES_DIFFER"}),
        (lambda hellos: [], {"PARTIES_DIFFER"}),
        (lambda hellos: [1, "two", None], {"WIRE_MALFORMED"}),
        (lambda hellos: [hellos[0], {**hellos[1], "more": 1}, hellos[2]], {"WIRE_MALFORMED"}),
        (lambda hellos: [hellos[0], {**hellos[1], "nonce": b""}, hellos[2]], {"WIRE_MALFORMED"}),
        (lambda hellos: [hellos[0], {**hellos[1], "cursor": 1}, hellos[2]], {"SIGNATURE_INVALID"}),
        (lambda hellos: [hellos[0], {**hellos[1], "role": "dealer"}, hellos[2]], {"SIGNATURE_INVALID"}),
        (lambda hellos: [hellos[0], {**hellos[1], "ephemeral": bytes(32)}, hellos[2]], {"SIGNATURE_INVALID"}),
        (lambda hellos: [{**hellos[0], "cursor": 1}, *hellos[1:]], {"HELLO_ALTERED"}),
    ],
)
def test_hellos_altered_on_the_way(
    running: Running, hand: Hand, altered: Callable[[list[Any]], list[Any]], codes: set[str]
) -> None:
    hellos = opened(running, hand)
    hand.tell("north", "hellos", hellos=altered(hellos))
    assert hand.fault("north")["code"] in codes


def test_signatures_that_are_missing_swapped_or_of_another_session(running: Running, hand: Hand) -> None:
    signatures: list[dict[str, bytes]] = []
    for attempt in range(2):
        with Hand(running) as hand:
            hellos = opened(running, hand)
            for party in PARTIES:
                hand.tell(party, "hellos", hellos=hellos)
            signatures.append({party: hand.hear(party, "signature")["signature"] for party in PARTIES})
            if attempt:
                old, new = signatures
                bad = {
                    "north": {"north": new["north"], "west": new["west"]},
                    "south": {**new, "north": new["south"]},
                    "west": {**new, "north": old["north"]},
                }
                for party, given in bad.items():
                    hand.tell(party, "signatures", signatures=given)
                for party in PARTIES:
                    # Whoever notices first may tell the others over the data links.
                    report = hand.hear(party, "fault")["report"]
                    assert report["code"] == "SIGNATURE_INVALID"
                    assert report["peer"] in ("north", "south")


@pytest.mark.parametrize("wrong", [b"", bytes(64), None])
def test_one_signature_that_is_not_right_stops_everybody(running: Running, hand: Hand, wrong: bytes | None) -> None:
    """None: that of another party."""
    hellos = opened(running, hand)
    for party in PARTIES:
        hand.tell(party, "hellos", hellos=hellos)
    signatures = {party: hand.hear(party, "signature")["signature"] for party in PARTIES}
    for party in PARTIES:
        given = signatures["north"] if wrong is None else wrong
        hand.tell(party, "signatures", signatures={**signatures, "west": given})
    for party in PARTIES:
        report = hand.hear(party, "fault", "done")["report"]
        assert (report["code"], report["peer"], report["phase"]) == ("SIGNATURE_INVALID", "west", "handshake")


def test_messages_out_of_order(running: Running) -> None:
    plan = planned(running, total).encode()
    for kind in ("signatures", "submitted", "hello", ""):
        with Hand(running) as hand:
            hand.submit(plan, "north")
            hand.hellos("north")
            hand.tell("north", kind, hellos=[])
            assert hand.fault("north")["code"] == "UNEXPECTED"


def test_messages_of_the_wrong_form(running: Running) -> None:
    plan = planned(running, total).encode()
    contents: list[dict[str, Any]] = [{}, {"hellos": 5}, {"hellos": {}}, {"hellos": [], "more": 1}]
    for content in contents:
        with Hand(running) as hand:
            hand.submit(plan, "north")
            hand.hellos("north")
            hand.tell("north", "hellos", **content)
            assert hand.fault("north")["code"] == "WIRE_MALFORMED"


def test_more_messages_than_were_asked_for(running: Running, hand: Hand) -> None:
    hand.submit(planned(running, total).encode(), "north")
    for _ in range(100):
        hand.tell("north", "hellos", hellos=[])
    assert hand.fault("north")["code"] in ("UNEXPECTED", "PARTIES_DIFFER")


def test_submitted_twice(running: Running, hand: Hand) -> None:
    plan = planned(running, total).encode()
    hand.submit(plan, "north")
    hand.hellos("north")
    hand.submit(plan, "north")
    assert hand.fault("north")["code"] == "SESSION_EXISTS"


def test_another_member_may_not_meddle(running: Running, hand: Hand) -> None:
    """Neither another analyst nor a party can cancel or continue a session that they did not submit."""
    hellos = opened(running, hand)
    for name in ("ana", "south"):
        with Hand(running, name) as other:
            other.session = hand.session
            other.tell("north", "cancel")
            other.tell("north", "hellos", hellos=hellos)
            assert other.fault("north")["code"] == "SESSION_UNKNOWN"
    hand.tell("north", "hellos", hellos=hellos)
    hand.hear("north", "signature")


@pytest.mark.parametrize("member", ["north", "dealer"])
def test_only_analysts_submit(running: Running, member: str) -> None:
    for name in ("south", "dealer"):
        with Hand(running, name) as hand:
            hand.submit(planned(running, total).encode(), member)
            assert hand.fault(member)["code"] == "NOT_AN_ANALYST"


def test_who_is_no_analyst_has_nothing_long_to_say(running: Running) -> None:
    with Hand(running, "south") as hand:
        hand.client.send("north", {"kind": "ping", "much": bytes(5000)})
        assert "more than 4096" in hand.hear("north", "fault")["report"]["message"]
        hand.client.send("north", {"kind": "ping"})
        hand.hear("north", "pong")


def test_only_analysts_ask_how_many_rows_there_are(running: Running) -> None:
    with Hand(running, "south") as hand:
        hand.client.send("north", {"kind": "catalog"})
        assert hand.fault("north")["code"] == "NOT_AN_ANALYST"


def test_cancelled(running: Running, hand: Hand) -> None:
    hand.submit(planned(running, total).encode(), "north")
    hand.hellos("north")
    hand.tell("north", "cancel", report=5)
    assert hand.fault("north")["code"] == "SESSION_CANCELLED"
    hand.tell("north", "cancel")  # of what has ended: nobody minds
    hand.client.send("north", {"kind": "ping"})
    hand.hear("north", "pong")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"kind": "destroy"}, "UNEXPECTED"),
        ({"kind": "submit"}, "UNEXPECTED"),
        ({"kind": "submit", "session": 5, "plan": b""}, "UNEXPECTED"),
        ({"kind": "submit", "session": b"short", "plan": b""}, "WIRE_MALFORMED"),
        ({"kind": "submit", "session": bytes(16)}, "WIRE_MALFORMED"),
        ({"kind": "submit", "session": bytes(16), "plan": "text"}, "WIRE_MALFORMED"),
        ({"kind": "submit", "session": bytes(16), "plan": b"", "more": 1}, "WIRE_MALFORMED"),
        ({"kind": "hellos", "session": bytes(16), "hellos": []}, "SESSION_UNKNOWN"),
        ({"kind": "catalog", "more": [1] * 1000}, None),
        ({"plan": b""}, "WIRE_MALFORMED"),
        ({"kind": 7}, "WIRE_MALFORMED"),
        ({"kind": "x" * 100000}, "UNEXPECTED"),
    ],
)
def test_messages_that_make_no_sense(hand: Hand, message: dict[str, Any], code: str | None) -> None:
    for member in ("north", "dealer"):
        hand.client.send(member, message)
        answer = hand.hear(member, "fault", "catalog")
        told = answer["report"]["code"] if answer["kind"] == "fault" else None
        assert told == code or (member == "dealer" and told == "UNEXPECTED")


def test_a_second_session_goes_on_beside_all_this(running: Running) -> None:
    assert running.run(total)["result"] == TOTAL
