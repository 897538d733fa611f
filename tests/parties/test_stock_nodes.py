"""Nodes that keep a stock: they fill it while nobody computes, compute with it, and go on when it or a node is gone."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parties import material
from parties.agreement import Agreement
from parties.config import Consortium, PartyConfig
from parties.control import ControlClient
from parties.identity import Identity
from parties.stock_index import binding_of, contents
from protocols.stock import described

sys.path.insert(0, str(Path(__file__).parent))
from consortium import PARTIES, Running, eventually, refused

NUMBER = np.random.default_rng(5)
ROWS = 3000
TABLES = {party: {"t": {"k": NUMBER.integers(-50, 50, ROWS).tolist()}} for party in PARTIES}
LEVEL = 20_000
FILLED_S = 60.0
KEPT = "retention = { material_days = 30 }\nrow_conditions = true\nmin_rows = 1"


def below(data: Any) -> Any:
    """Of two parties' rows: masks, products of bits, bits as numbers."""
    first, second = (data.party(party)["t"]["k"] for party in data.parties[:2])
    return (first < second).sum()


BELOW = sum(a < b for a, b in zip(TABLES["north"]["t"]["k"], TABLES["south"]["t"]["k"], strict=True))


def consortium(folder: Path, parties: tuple[str, ...] = PARTIES[:2], kept: str = KEPT) -> Running:
    running = Running(folder, {party: TABLES[party] for party in parties}, source="pairwise")
    running.agree(min_rows=1)
    running.terms(("min_rows = 1", kept))
    for party in parties:
        wants_stock(running, party)
    return running


def wants_stock(running: Running, party: str) -> None:
    with (running.folder / party / "party.toml").open("a") as file:
        file.write(f"\n[stock]\nelements = {LEVEL}\nidle_s = 1\n")


def held(running: Running, party: str) -> dict[str, int]:
    """The same, from the files."""
    config = PartyConfig.load(running.folder / party / "party.toml")
    consortium = Consortium.load(config.consortium)
    binding = binding_of(consortium, Agreement.load(config.agreement, consortium))
    found = contents(config.state, running.parties.index(party), binding)
    assert found is not None
    assert found.present
    there = {described(kind, running.parties): 0 for kind in found.kinds.values()}
    for batch in found.batches:
        there[described(found.kinds[batch.kind], running.parties)] += batch.end - batch.next
    return there


def shown(running: Running, party: str) -> dict[str, int]:
    """What `beaver stock` says is there, by kind."""
    said = running.beaver("stock", ".", "--as", party, "--json")
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["party"] == party
    assert found["agreement"] is not None
    return {kind["kind"]: kind["elements"] for kind in found["kinds"]}


def is_full(running: Running) -> bool:
    return all(kinds and min(kinds.values()) >= LEVEL for kinds in (held(running, p) for p in running.parties))


def made(running: Running, party: str) -> tuple[int, int]:
    """Of the last session: the elements from stock, the bytes sent to have material."""
    last = running.events(party, "material_made")[-1]
    return last["count"], last["bytes"]


@pytest.fixture(scope="module", params=[2, 3])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with consortium(tmp_path_factory.mktemp("stock") / "c", PARTIES[: request.param]) as running:
        yield running.start()
        for member in running.parties:
            assert not running.has(member, "fault", code="INTERNAL"), running.said(member)


def test_what_was_made_ahead_is_used(running: Running) -> None:
    assert running.run(below)["result"] == BELOW
    first = {party: made(running, party) for party in running.parties}
    assert all(taken == 0 and sent > 10_000 for taken, sent in first.values())
    assert eventually(lambda: is_full(running), FILLED_S), running.said("north")
    assert shown(running, "north") == held(running, "north")
    assert running.run(below)["result"] == BELOW
    for party in running.parties:
        taken, sent = made(running, party)
        assert taken >= 3 * ROWS
        assert sent < first[party][1] // 100
        record = running.beaver("audit", "show", "--as", party, "--json").stdout
        told = [json.loads(line) for line in record.splitlines()]
        (used,) = (entry["content"] for entry in told if entry["kind"] == "stock_taken")
        assert sum(used["elements"].values()) == taken
        assert any(entry["kind"] == "stock_filled" and entry["content"]["elements"] for entry in told)
    text = running.beaver("stock", "north").stdout
    assert "comparisons" in text
    assert f"{LEVEL:,}" in text
    assert running.beaver("audit", "verify").returncode == 0


def test_a_damaged_file_costs_time_and_no_result(running: Running) -> None:
    assert eventually(lambda: is_full(running), FILLED_S)
    for path in (running.folder / "south" / "state" / "stock").iterdir():
        content = bytearray(path.read_bytes())
        content[20] ^= 1
        path.write_bytes(content)
    assert running.run(below)["result"] == BELOW
    assert running.has("south", "fault", code="STOCK_DAMAGED")
    assert made(running, "north")[0] == 0


def test_emptied_while_the_node_runs(running: Running) -> None:
    assert eventually(lambda: is_full(running), FILLED_S)
    assert "deleted" in running.beaver("stock", "south", "--empty").stdout
    assert running.run(below)["result"] == BELOW
    assert made(running, "north")[0] == 0
    assert eventually(lambda: is_full(running), FILLED_S), "what only north has is of no use, and is replaced"


def test_killed_in_the_middle(running: Running) -> None:
    """While it computes with its stock, and while stocks are filled."""
    assert eventually(lambda: is_full(running), FILLED_S)

    def kill(party: str, reached: str) -> None:
        if (party, reached) == ("south", "loaded"):
            running.processes["south"].send_signal(signal.SIGKILL)

    with refused("PEER_LOST", within_s=20.0):
        running.run(below, progress=kill)
    running.processes["south"].wait(10)
    running.start("south")
    assert running.run(below)["result"] == BELOW
    for party in reversed(running.parties):
        running.beaver("stock", party, "--empty")
    assert eventually(lambda: running.has("south", "session_submitted", analyst="north"), FILLED_S)
    running.kill("south")
    running.start("south")
    assert running.run(below)["result"] == BELOW
    assert eventually(lambda: is_full(running), FILLED_S), running.said("north")
    assert running.run(below)["result"] == BELOW
    assert made(running, "south")[0] >= 3 * ROWS
    assert running.idle()


def asked(running: Running, member: str, message: dict[str, Any]) -> str:
    """The code of south's answer to this member."""
    south = next(p for p in Consortium.load(running.folder / "consortium.toml").parties if p.name == "south")
    identity = Identity.load(running.folder / member / "identity.key")
    with ControlClient(identity, {"south": (south.address, south.transport_key)}) as client:
        client.send("south", message)
        _, answer = client.receive(10.0)
    return str(answer["report"]["code"])


def test_who_may_have_stocks_filled_and_how(running: Running) -> None:
    refill = {"kind": "refill", "session": b"s" * 16, "names": [b"n" * 32]}
    assert asked(running, "analyst", refill) == "REFILL_REFUSED"
    assert asked(running, "south", refill) == "REFILL_REFUSED"
    for names in ([], [b"n" * 31], [b"n" * 32] * 2, ["n" * 32], [bytes([i]) * 32 for i in range(65)]):
        assert asked(running, "north", refill | {"names": names}) == "WIRE_MALFORMED"
    assert asked(running, "north", {"kind": "submit", "session": b"s" * 16, "plan": b""}) == "NOT_AN_ANALYST"


def test_one_party_without_a_stock(tmp_path: Path) -> None:
    """The other is told, logs it once, and goes on without."""
    with consortium(tmp_path / "c") as running:
        config = running.folder / "south" / "party.toml"
        config.write_text(config.read_text().partition("\n[stock]")[0])
        running.start()
        assert running.run(below)["result"] == BELOW
        assert eventually(lambda: running.has("north", "refill_failed", code="REFILL_REFUSED"), FILLED_S)
        assert running.run(below)["result"] == BELOW
        assert made(running, "north")[0] == 0
        said = running.beaver("stock", "south")
        assert said.returncode == 1
        assert "south has no stock" in said.stderr
        assert "analyst is no party" in running.beaver("stock", "analyst").stderr
        assert len(running.events("north", "refill_failed")) == 1


def test_material_of_another_agreement_is_deleted_and_none_is_kept_unless_agreed(tmp_path: Path) -> None:
    with consortium(tmp_path / "c") as running:
        running.start()
        assert running.run(below)["result"] == BELOW
        assert eventually(lambda: is_full(running), FILLED_S), running.said("north")
        for party in running.parties:
            running.kill(party, signal.SIGTERM)
        running.terms(("material_days = 30", "material_days = 31"))
        assert "another agreement" in running.beaver("stock", "north").stdout
        running.start()
        assert shown(running, "north") == shown(running, "south") == {}
        for party in running.parties:
            running.kill(party, signal.SIGTERM)
        running.terms(("material_days = 31", "material_days = 0"))
        running.start()
        assert running.has("north", "stock_not_agreed")
        said = running.beaver("stock", "north")
        assert said.returncode == 1
        assert "material_days" in said.stderr
        assert not list((running.folder / "north" / "state").glob("stock*"))
        assert running.run(below)["result"] == BELOW


def test_progress_is_told_in_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(material, "_TELL_EVERY_S", -1.0)
    told: list[int] = []
    sent = material._percent(1000, told.append)
    for words in (0, 10, 999, 1000, 1004):
        sent(words)
    assert told == [0, 1, 99, 99, 99]
