"""A party that is hostile in its oblivious transfers: all others end the session with a code that names it, in time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from consortium import PARTIES, TABLES, Running, eventually, refused
from ot_node import HOW, POINTS

WITHIN_S = 20.0
PROGRAM = [sys.executable, str(Path(__file__).with_name("ot_node.py"))]

CASES = [
    *((name, "MESSAGE_INVALID", "no point") for name in POINTS),
    ("own point", "MESSAGE_INVALID", "own point"),
    ("extension too short", "FRAME_LENGTH", "words"),
    ("product too long", "FRAME_LENGTH", "words"),
    ("product not sent", "FRAME_LENGTH", "0 words"),
    ("silent after base OTs", "PEER_STALLED", "sends"),
]


def products(data: Any) -> Any:
    """Material of all three."""
    north, south, west = (data.party(party)["visits"]["visits"] for party in PARTIES)
    return north @ (south * west)


EXPECTED = sum(
    a * b * c
    for a, b, c in zip(*(TABLES[party]["visits"]["visits"] for party in PARTIES), strict=True)  # type: ignore[operator]
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("faults") / "c", source="pairwise") as running:
        running.programs = {party: [*PROGRAM, "patient"] for party in PARTIES}
        yield running.start()
        for member in "north", "west":
            assert not running.has(member, "fault", code="INTERNAL"), running.said(member)


def restarted(running: Running, how: str) -> None:
    running.kill("south")
    running.programs["south"] = [*PROGRAM, how]
    running.start("south")


def faults(running: Running, member: str) -> int:
    return len(running.events(member, "fault"))


@pytest.mark.parametrize(("how", "code", "said"), CASES, ids=[how for how, *_ in CASES])
def test_a_hostile_party(running: Running, how: str, code: str, said: str) -> None:
    restarted(running, how)
    before = {member: faults(running, member) for member in PARTIES}
    with refused(code, "south", said, within_s=WITHIN_S):
        running.run(products)
    stopped = how == "silent after base OTs"
    for member in ("north", "west") if stopped else PARTIES:
        assert eventually(lambda member=member: faults(running, member) > before[member], WITHIN_S), member  # type: ignore[misc]
    ends = [running.events(honest, "fault")[-1] for honest in ("north", "west")]
    seen = [fault for fault in ends if fault["code"] != "SESSION_CANCELLED"]  # by the analyst, who heard of it first
    assert seen
    for fault in seen:
        assert (fault["code"], fault["phase"]) == (code, "offline"), ends
        assert "south" in str(fault)


def test_all_is_well_with_parties_that_keep_to_the_protocol(running: Running) -> None:
    assert set(HOW) == {"patient", *(how for how, *_ in CASES)}
    restarted(running, "patient")
    assert running.run(products)["result"] == EXPECTED
    assert running.idle()
