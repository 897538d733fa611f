"""Nodes that keep a stock: they fill it while nobody computes, compute with it, and go on when it or a node is gone."""

from __future__ import annotations

import io
import json
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parties import material, node
from parties.agreement import Agreement
from parties.config import Consortium, PartyConfig
from parties.control import ControlClient
from parties.identity import Identity
from parties.log import Log
from parties.stock_index import binding_of, contents
from protocols.selection import BitProduct
from protocols.stock import UNIT, described

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


def multiplied(data: Any) -> Any:
    """Of two parties' rows: products of what one owns with what the other owns, then of shared values."""
    first, second = (data.party(party)["t"]["k"] for party in data.parties[:2])
    return ((first * second) * (second * first)).max()


NOTING = [sys.executable, str(Path(__file__).with_name("material_node.py"))]
MULTIPLIED = max((a * b) ** 2 for a, b in zip(TABLES["north"]["t"]["k"], TABLES["south"]["t"]["k"], strict=True))
BELOW = sum(a < b for a, b in zip(TABLES["north"]["t"]["k"], TABLES["south"]["t"]["k"], strict=True))


def consortium(
    folder: Path, parties: tuple[str, ...] = PARTIES[:2], kept: str = KEPT, levels: Mapping[str, int] | None = None
) -> Running:
    running = Running(folder, {party: TABLES[party] for party in parties}, source="pairwise")
    running.agree(min_rows=1)
    running.terms(("min_rows = 1", kept))
    for party, level in (dict.fromkeys(parties, LEVEL) if levels is None else levels).items():
        wants_stock(running, party, level)
    return running


def wants_stock(running: Running, party: str, level: int = LEVEL) -> None:
    with (running.folder / party / "party.toml").open("a") as file:
        file.write(f"\n[stock]\nelements = {level}\nidle_s = 1\n")


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


def is_full(running: Running, level: int = LEVEL) -> bool:
    return all(kinds and min(kinds.values()) >= level for kinds in (held(running, p) for p in running.parties))


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


def test_products_from_stock(running: Running) -> None:
    """An owner's a is written over when it is used: material from stock allows that as all other does."""
    assert running.run(multiplied)["result"] == MULTIPLIED
    assert eventually(lambda: is_full(running), FILLED_S), running.said("north")
    assert running.run(multiplied)["result"] == MULTIPLIED
    record = running.beaver("audit", "show", "--as", "north", "--json").stdout
    told = [json.loads(line) for line in record.splitlines()]
    used = [entry["content"]["elements"] for entry in told if entry["kind"] == "stock_taken"][-1]
    assert used["products, north with south"] >= ROWS
    assert used["products, all parties"] >= ROWS


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


def test_no_material_is_made_twice(tmp_path: Path) -> None:
    """Of all words that a party made, in sessions and refills, none comes a second time."""
    with consortium(tmp_path / "c", levels={}) as running:
        running.programs = {party: [*NOTING, str(tmp_path / party)] for party in running.parties}
        running.start()

        def sizes() -> list[int]:
            return [(tmp_path / party).stat().st_size for party in running.parties]

        assert running.run(below)["result"] == BELOW
        one = sizes()
        assert running.run(below)["result"] == BELOW
        assert sizes() == [2 * size for size in one]
        for party in running.parties:
            running.kill(party, signal.SIGTERM)
            wants_stock(running, party, 2500)
        running.start()
        assert running.run(below)["result"] == BELOW
        assert eventually(lambda: is_full(running, 2500), FILLED_S), running.said("north")
        before = sizes()
        for party in reversed(running.parties):  # the first one has them filled again
            running.beaver("stock", party, "--empty")
        assert eventually(lambda: is_full(running, 2500), FILLED_S), running.said("north")
        assert all(now > then for now, then in zip(sizes(), before, strict=True))
    words = [np.fromfile(tmp_path / party, np.uint64) for party in running.parties]
    for own in words:
        assert own.size > 30_000
        assert len(np.unique(own)) == own.size
    # shares of 64 bits are equal when the bits are all zero, as some products of four are
    assert len(np.intersect1d(*words)) < words[0].size // 1000


def test_stocks_are_as_full_as_the_one_that_wants_least_has_them(tmp_path: Path) -> None:
    """There is nothing in vain about that: they are filled again as soon as material was taken."""
    with consortium(tmp_path / "c", levels={"north": LEVEL, "south": 2500}) as running:
        running.start()

        def filled() -> int:
            return len(running.events("north", "stock_filled"))

        assert running.run(below)["result"] == BELOW
        assert eventually(lambda: is_full(running, 2500), FILLED_S), running.said("north")
        assert not eventually(lambda: filled() > 1, 3.0)
        for count in (2, 3):
            assert running.run(below)["result"] == BELOW
            assert made(running, "north")[0] > 2500
            assert eventually(lambda count=count: filled() == count and is_full(running, 2500), FILLED_S)
        for party in running.parties:
            assert all(event["count"] for event in running.events(party, "stock_filled"))
            assert not running.has(party, "refill_failed")


def test_after_a_session_no_refill_waits_for_those_in_vain(tmp_path: Path) -> None:
    """Those of a node whose peers are down."""
    with consortium(tmp_path / "c") as running:
        north = node.Node(PartyConfig.load(running.folder / "north" / "party.toml"), Log("north", io.StringIO()))
        refilling, stock = north._refilling, north.stock
        assert refilling is not None
        assert stock is not None
        stock.remember([BitProduct(2, UNIT)])
        now = time.monotonic()
        assert refilling._is_time(now + 2) is False, "the session may go on"
        assert refilling._is_time(now + 4)
        refilling._try()
        later = time.monotonic() + 4
        assert not refilling._is_time(later)
        stock.remember([BitProduct(2, UNIT)])
        assert not refilling._is_time(later - 2)
        assert refilling._is_time(later)
        north.stop()
        north.serve()  # to its end


def test_material_that_is_too_old_is_not_used(running: Running) -> None:
    assert running.run(below)["result"] == BELOW
    assert eventually(lambda: is_full(running), FILLED_S), running.said("north")
    with closing(sqlite3.connect(running.folder / "south" / "state" / "stock.sqlite")) as database:
        database.executescript("update batch set made = made - 31 * 86400")
    assert running.run(below)["result"] == BELOW
    assert made(running, "north")[0] == 0


def test_a_bad_row_breaks_no_node(tmp_path: Path) -> None:
    with consortium(tmp_path / "c", levels=dict.fromkeys(PARTIES[:2], 2500)) as running:
        running.start()
        assert running.run(below)["result"] == BELOW
        assert eventually(lambda: is_full(running, 2500), FILLED_S), running.said("north")
        with closing(sqlite3.connect(running.folder / "south" / "state" / "stock.sqlite")) as database:
            database.executescript("update kind set form = x'c1' where rowid = 1")
        assert running.run(below)["result"] == BELOW
        assert [event["code"] for event in running.events("south", "fault")] == ["STATE_DAMAGED"]
        assert running.run(below)["result"] == BELOW
        assert eventually(lambda: is_full(running, 2500), FILLED_S), running.said("north")
        assert len(running.events("south", "fault")) == 1
        assert not running.has("north", "fault")


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
