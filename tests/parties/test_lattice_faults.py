"""Private products of nodes when one of them does not keep to the protocol; and what they give when all do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mpc

sys.path.insert(0, str(Path(__file__).parent))
from consortium import PARTIES, Running, eventually, refused

ROWS = 9000
NUMBER = np.random.default_rng(5)
COLUMNS = {party: NUMBER.integers(-99, 99, ROWS) for party in PARTIES}
ALTERED = [sys.executable, str(Path(__file__).with_name("lattice_node.py"))]
WITHIN_S = 20.0

Script = Callable[[Any], Any]


def own(data: Any) -> list[Any]:
    """Of north, south and west."""
    return [data.party(party)["long"]["x"] for party in PARTIES]


def encrypting(data: Any) -> Any:
    """South's operand, the first, is the one that is encrypted."""
    north, south, _ = own(data)
    return south @ north


def answering(data: Any) -> Any:
    """South multiplies what north has encrypted."""
    north, south, _ = own(data)
    return north @ south


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Nodes that wait four seconds for each other."""
    tables = {party: {"long": {"x": column.tolist()}} for party, column in COLUMNS.items()}
    with Running(tmp_path_factory.mktemp("lattice") / "c", tables, source="pairwise") as running:
        running.agree(min_rows=1)
        running.programs = {party: [*ALTERED, "patient"] for party in PARTIES}
        yield running.start()
        for member in running.parties:
            assert not running.has(member, "fault", code="INTERNAL"), running.said(member)


def altered(running: Running, how: str) -> None:
    """South is another one from now on."""
    running.kill("south")
    running.programs["south"] = [*ALTERED, how]
    running.start("south")


def right(running: Running, script: Script = encrypting) -> None:
    assert running.run(script)["result"] == COLUMNS["north"] @ COLUMNS["south"]


@contextmanager
def ending(running: Running, code: str, *said: str) -> Iterator[None]:
    """The block's session ends in time, at all parties, and at the analyst and at north with this code, naming south.

    But where south is silent, the code is PEER_STALLED, and it names no culprit: all wait in the end, south for north's
    answer too, and each blames whom it waits for. Whoever is first at that ends the session with it.
    """
    before = {party: len(running.events(party, "fault")) for party in PARTIES}
    with refused(code, *said, within_s=WITHIN_S):
        yield
    for party in PARTIES:
        assert eventually(lambda party=party: len(running.events(party, "fault")) > before[party], WITHIN_S), (  # type: ignore[misc]
            running.said(party)
        )
    fault = running.events("north", "fault")[before["north"]]
    if code == "PEER_STALLED":
        assert fault["code"] in (code, "SESSION_CANCELLED"), fault
        assert fault["peer"] in ("north", "south"), fault
    else:
        assert (fault["code"], fault["peer"]) == (code, "south"), fault
    assert running.idle()


@pytest.mark.parametrize(
    ("how", "script", "code", "said"),
    [
        ("residues", encrypting, "MESSAGE_INVALID", "no residues"),
        ("residues", answering, "MESSAGE_INVALID", "no residues"),
        ("words", encrypting, "FRAME_LENGTH", "words"),
        ("words", answering, "FRAME_LENGTH", "words"),
        ("key", encrypting, "MESSAGE_INVALID", "another session"),
        ("few", encrypting, "PEER_STALLED", "sends"),
        ("few", answering, "FRAME_LENGTH", "words"),  # what comes next is not the answer
    ],
)
def test_a_party_that_does_not_keep_to_the_protocol(
    running: Running, how: str, script: Script, code: str, said: str
) -> None:
    """Every party ends the session in time, blaming south unless it was silent; the next session is right."""
    altered(running, how)
    with ending(running, code, said):
        running.run(script)
    altered(running, "patient")
    right(running)


def test_a_key_of_another_session(running: Running) -> None:
    """What was right in one session is refused in the next."""
    altered(running, "replay")
    right(running)
    with ending(running, "MESSAGE_INVALID", "south", "another session"):
        running.run(encrypting)
    altered(running, "patient")
    right(running)


PRODUCTS: dict[str, Callable[[list[Any], Any], Any]] = {
    "dot": lambda own, xp: own[0] @ own[1],
    "matrix": lambda own, xp: own[0].reshape(90, 100) @ own[2].reshape(100, 90),
    "matrix by vector": lambda own, xp: own[0].reshape(90, 100) @ own[1][:100],
    "X.T @ y": lambda own, xp: xp.stack([own[0], own[0] * 2, own[0] + 1], axis=1).T @ own[1],
    "Gram": lambda own, xp: xp.stack([own[0], own[1]]) @ xp.stack([own[0], own[1]]).T,
    "shared by owned": lambda own, xp: (own[0] + own[1]) @ own[2],
    "shared by shared": lambda own, xp: (own[0] + own[1]) @ (own[1] + own[2]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_nodes(running: Running, name: str) -> None:
    """By lattice encryption of the inputs, or of random operands where one is shared already."""
    result = running.run(lambda data: PRODUCTS[name](own(data), mpc))
    assert np.array_equal(result["result"], PRODUCTS[name](list(COLUMNS.values()), np))
