"""An agreement runs nothing before every party has signed exactly it, nor after it was changed, at any node."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mpc.computation import Computation
from parties.agreement import Agreement
from parties.config import Consortium, PartyConfig
from parties.errors import Fault
from parties.identity import Identity
from parties.setup import create_consortium
from parties.signatures import check_signed, sign, signatures, signatures_path, verified

sys.path.insert(0, str(Path(__file__).parent))
from consortium import PARTIES, TOTAL, Running, refused, total
from hand import Hand

TEXT = """
version = 1
purpose = "tests"
source = "dealer"
min_rows = 10
recipients = ["analyst"]
[data.north.visits]
rows = 30
columns.age = { type = "integer", range = [0, 110] }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A consortium whose parties have all signed."""
    create_consortium(tmp_path, PARTIES)
    (tmp_path / "agreement.toml").write_text(TEXT)
    for party in PARTIES:
        signs(tmp_path, party)
    return tmp_path


def signs(folder: Path, party: str) -> None:
    sign(PartyConfig.load(folder / party / "party.toml"), time.time())


def check(folder: Path) -> None:
    consortium = Consortium.load(folder / "consortium.toml")
    path = folder / "agreement.toml"
    check_signed(Agreement.load(path, consortium), path, consortium)


def code(folder: Path) -> str:
    with pytest.raises(Fault) as caught:
        check(folder)
    assert caught.value.report.remedy
    assert str(folder) in caught.value.message
    return caught.value.code


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_all_have_signed(folder: Path) -> None:
    check(folder)
    consortium = Consortium.load(folder / "consortium.toml")
    path = folder / "agreement.toml"
    when = verified(Agreement.load(path, consortium), path, consortium)
    assert list(when) == list(PARTIES)
    assert all(moment is not None and abs(moment.timestamp() - time.time()) < 60 for moment in when.values())


def test_comments_and_order_may_change(folder: Path) -> None:
    (folder / "agreement.toml").write_text("# checked by legal\n" + TEXT.replace("rows = 30", "rows  =  30 # a bound"))
    check(folder)
    lines = signatures_path(folder / "agreement.toml").read_text().split("[by.")
    signatures_path(folder / "agreement.toml").write_text("[by.".join([lines[0], *reversed(lines[1:])]))
    check(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"tests"', '"other tests"'),
        ("min_rows = 10", "min_rows = 9"),
        ("rows = 30", "rows = 31"),
        ("[0, 110]", "[0, 111]"),
        ('["analyst"]', '["analyst", "north"]'),
        ("version = 1", "version = 1\nuses = 7"),
    ],
)
def test_another_content_is_not_what_was_signed(folder: Path, old: str, new: str) -> None:
    change(folder / "agreement.toml", old, new)
    assert code(folder) == "AGREEMENT_ALTERED"
    signs(folder, "north")
    assert list(signatures(folder / "agreement.toml")) == ["north"]  # the others' were for something else
    with refused("AGREEMENT_UNSIGNED", "south, west"):
        check(folder)
    change(folder / "agreement.toml", new, old)
    assert code(folder) == "AGREEMENT_ALTERED"


def test_other_members_are_not_whom_it_was_signed_with(folder: Path) -> None:
    other = Identity.create()
    known = Identity.load(folder / "analyst" / "identity.key")
    change(folder / "consortium.toml", known.verify_key, other.verify_key)
    assert code(folder) == "AGREEMENT_ALTERED"
    change(folder / "consortium.toml", other.verify_key, known.verify_key)
    check(folder)


def test_a_party_with_new_keys_has_to_sign_again(folder: Path) -> None:
    old, new = Identity.load(folder / "south" / "identity.key"), Identity.create()
    for field in ("verify_key", "transport_key"):
        change(folder / "consortium.toml", getattr(old, field), getattr(new, field))
    assert code(folder) == "AGREEMENT_ALTERED"
    with refused("WRONG_KEY"):
        signs(folder, "south")


def test_nobody_signs_for_another(folder: Path) -> None:
    path = signatures_path(folder / "agreement.toml")
    found = signatures(folder / "agreement.toml")
    change(path, found["south"].signature, found["north"].signature)
    with refused("AGREEMENT_ALTERED", "south"):
        check(folder)
    path.unlink()
    with refused("AGREEMENT_UNSIGNED", "north, south, west"):
        check(folder)


def test_the_time_of_signing_is_signed(folder: Path) -> None:
    found = signatures(folder / "agreement.toml")["west"]
    path = signatures_path(folder / "agreement.toml")
    head, west = path.read_text().split("[by.west]")
    path.write_text(head + "[by.west]" + west.replace(f"{found.signed:%Y-%m-%d}", "2020-01-01"))
    with refused("AGREEMENT_ALTERED", "west"):
        check(folder)


def test_a_signature_for_another_purpose_is_none(folder: Path) -> None:
    identity = Identity.load(folder / "north" / "identity.key")
    found = signatures(folder / "agreement.toml")["north"]
    other = identity.sign(b"anything", "transcript").hex()
    change(signatures_path(folder / "agreement.toml"), found.signature, other)
    assert code(folder) == "AGREEMENT_ALTERED"


@pytest.mark.parametrize("name", ["analyst", "dealer"])
def test_only_parties_sign(folder: Path, name: str) -> None:
    with refused("NOT_A_PARTY", name, "north, south, west"):
        signs(folder, name)


def test_signing_twice_changes_nothing_else(folder: Path) -> None:
    before = signatures(folder / "agreement.toml")
    signs(folder, "south")
    after = signatures(folder / "agreement.toml")
    assert list(after) == list(PARTIES)
    assert {party: after[party] for party in ("north", "west")} == {party: before[party] for party in ("north", "west")}
    assert [path.name for path in folder.glob("*.new")] == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[by.north]", "[by.north]\nnote = 1", "by.north.note is unknown"),
        ("[by.north]", "[more]\n[by.north]", "more is unknown"),
        ("signed = 2", "signed = 12", "is not TOML"),
        ('signature = "', 'signature = "Z', "by.north.signature must be the 128 hexadecimal digits"),
        ('signature = "', 'signed = 2020-01-01T00:00:00Z\nsignature = "', "is not TOML"),
    ],
)
def test_a_file_of_signatures_that_is_wrong(folder: Path, old: str, new: str, said: str) -> None:
    change(signatures_path(folder / "agreement.toml"), old, new)
    with refused("SIGNATURES_INVALID", "agreement.signatures.toml", said):
        check(folder)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("signatures") / "c") as running:
        yield running


@pytest.mark.parametrize("member", ["north", "dealer"])
def test_no_process_starts_before_all_have_signed(running: Running, member: str) -> None:
    path = signatures_path(running.folder / "agreement.toml")
    before = path.read_text()
    path.write_text(before.split("[by.west]")[0])
    for started in (running.beaver("dealer" if member == "dealer" else "node", f"{member}/party.toml"),):
        assert started.returncode == 1
        assert "AGREEMENT_UNSIGNED" in started.stderr
        assert "west" in started.stderr
    path.write_text(before)
    change(running.folder / "agreement.toml", "min_rows = 10", "min_rows = 2")
    started = running.beaver("dealer" if member == "dealer" else "node", f"{member}/party.toml")
    assert "AGREEMENT_ALTERED" in started.stderr
    change(running.folder / "agreement.toml", "min_rows = 2", "min_rows = 10")


@pytest.fixture(scope="module")
def started(running: Running) -> Running:
    return running.start()


def withdrawn(running: Running) -> None:
    path = signatures_path(running.folder / "agreement.toml")
    path.write_text(path.read_text().split("[by.west]")[0])


def altered(running: Running) -> None:
    change(running.folder / "agreement.toml", "min_rows = 10", "min_rows = 1")


def altered_and_signed(running: Running) -> None:
    altered(running)
    running.sign()


def gone(running: Running) -> None:
    (running.folder / "agreement.toml").unlink()


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (withdrawn, "AGREEMENT_UNSIGNED"),
        (altered, "AGREEMENT_ALTERED"),
        (altered_and_signed, "AGREEMENT_ALTERED"),
        (gone, "AGREEMENT_MISSING"),
    ],
)
def test_nodes_look_again_at_every_session(started: Running, what: Callable[[Running], None], expected: str) -> None:
    """Even though the analyst's program does not look, and the agreement was in order when they started."""
    plan = started.analyst().plan(Computation(total), started.analyst().row_counts()).encode()
    files = [started.folder / "agreement.toml", signatures_path(started.folder / "agreement.toml")]
    before = [file.read_bytes() for file in files]
    with Hand(started) as hand:
        what(started)
        try:
            for member in started.members:
                hand.submit(plan, member)
                assert hand.fault(member)["code"] == expected
            hand.client.send("north", {"kind": "catalog"})
            assert hand.fault("north")["code"] == expected
            with pytest.raises(Fault):
                started.run(total)
        finally:
            for file, content in zip(files, before, strict=True):
                file.write_bytes(content)
    assert started.run(total)["result"] == TOTAL


def test_the_command_line_signs_and_verifies(started: Running) -> None:
    assert started.beaver("agreement", "verify").returncode == 0
    signatures_path(started.folder / "agreement.toml").unlink()
    try:
        done = started.beaver("agreement", "verify")
        assert (done.returncode, done.stdout) == (1, "")
        assert "AGREEMENT_UNSIGNED" in done.stderr
        assert "not signed by north, south, west" in started.beaver("run", started.script(SCRIPT)).stderr
        shown = started.beaver("explain", started.script(SCRIPT))
        assert "row counts are the agreement's bounds" in shown.stdout
        assert "not signed by north, south, west" in shown.stdout
        done = started.beaver("agreement", "sign", "--as", "north", "--as", "south")
        assert "north has signed the agreement" in done.stdout
        assert "west has NOT signed this" in done.stdout
        assert "west has NOT signed this" in " ".join(started.beaver("agreement", "show").stdout.split())
        for arguments, said in (([], "Say as which party"), (["--as", "analyst"], "NOT_A_PARTY")):
            done = started.beaver("agreement", "sign", *arguments)
            assert done.returncode == 1
            assert said in done.stderr
    finally:
        started.sign()
    done = started.beaver("agreement", "verify")
    assert "in force" in done.stdout
    assert "NOT" not in done.stdout


SCRIPT = "@mpc.computation\ndef rows(data):\n    return data.table('visits').count()\n"


def test_the_command_line_shows_and_compares(started: Running) -> None:
    shown = " ".join(started.beaver("agreement", "show", env=WIDE).stdout.split())
    for said in ("purpose tests", "at least 10 of its rows", "north: visits", "age", "real", "20 to 50", "north on 20"):
        assert said in shown, shown
    other = started.folder / "other.toml"
    other.write_text((started.folder / "agreement.toml").read_text().replace("min_rows = 10", "min_rows = 20"))
    differs = started.beaver("agreement", "diff", ".", "other.toml", env=WIDE).stdout
    assert "smallest group" in differs
    assert "less" in differs
    assert "the content is the same" in started.beaver("agreement", "diff", ".", "agreement.toml").stdout


WIDE = {**os.environ, "COLUMNS": "200"}


def test_restarted_nodes_take_up_a_new_agreement(started: Running) -> None:
    started.terms(("min_rows = 10", "min_rows = 12"))
    with refused("AGREEMENT_ALTERED", "was changed since"):
        started.run(total)
    for member in started.members:
        started.kill(member, signal.SIGTERM)
    started.start()
    assert started.run(total)["result"] == TOTAL
