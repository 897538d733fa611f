"""The report, and the commands about the record: what ran is told, and nothing that anybody wrote becomes markup."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mpc
from parties.audit import Audit
from parties.config import Consortium
from parties.errors import Fault
from parties.identity import Identity
from parties.markup import Markup, page, table, tag
from parties.report import report
from parties.safeguards import safeguards
from parties.verification import entries, read

sys.path.insert(0, str(Path(__file__).parent))
from consortium import PARTIES, Running, exposure, total

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"'&lt;\x1b[31m\u202e"


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(text: str) -> Page:
    """The page, which loads nothing, runs nothing and links nowhere."""
    found = Page(text)
    allowed = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "div"}
    assert set(found.tags) <= allowed | {"table", "thead", "tbody", "tr", "th", "td"}
    assert {name for name, _ in found.attributes} <= {"lang", "charset", "http-equiv", "content", "class"}
    assert "://" not in text
    assert "url(" not in text
    return found


@given(st.text())
def test_text_stays_text(text: str) -> None:
    made = Page(page("t", "", tag("p", text, class_=text), table([text], [[text]])))
    assert made.tags[6:] == ["body", "p", "table", "thead", "tr", "th", "tbody", "tr", "td"]
    plain = "".join(character if character.isprintable() else " " for character in text)
    assert made.text.count(plain) >= 3
    assert ("class", plain) in made.attributes


def test_markup_is_made_in_one_place() -> None:
    assert isinstance(tag("p", "<b>"), Markup)
    assert tag("p", tag("b", "&")) == "<p><b>&amp;</b>\n</p>\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two sessions that end well, one that is refused."""
    with Running(tmp_path_factory.mktemp("report") / "c") as running:
        running.agree(recipients=["analyst", "north"])
        running.start()
        running.run(lambda data: {"to all": mpc.reveal(total(data), to="north"), "<i>risk</i>": exposure(data)})
        running.run(total)
        with suppress(Fault):
            running.run(lambda data: data.party("north")["accounts"]["balance"][:3].sum())
        from hand import Hand

        with Hand(running) as hand:
            hand.submit(b"nonsense", "north")
            hand.fault("north")
        yield running


def test_a_report_tells_what_ran_and_for_whom(running: Running) -> None:
    done = running.beaver("audit", "report", ".", "--as", "north", "-o", "report.html")
    assert done.returncode == 0, done.stderr
    text = (running.folder / "report.html").read_text()
    made = shown(text)
    for said in (
        "Record of processing: north",
        "Every entry was verified",
        "tests",  # the purpose
        "balance",
        "analyst, north",
        "is computed from at least 10 of its rows, unless it has noise",
        "not compared, filtered by or sorted for a result without noise",
        "accounts: balance",
        "visits: visits",
        "<i>risk</i> to analyst",
        "to all to north",
        "completed; delivered to the analyst: <i>risk</i>; kept here: to all",
        "PLAN_INVALID",
        "node started",
    ):
        assert said in made.text, said
    assert "policies" not in made.text  # south's affair
    accepted = [
        e.content for e in entries(running.folder / "north" / "state" / "audit.jsonl") if e.kind == "plan_accepted"
    ]
    for content in accepted:
        assert content["session"][:16] in made.text
        assert content["plan"][:16] in made.text


def test_reports_of_a_dealer_and_of_several(running: Running) -> None:
    assert running.beaver("audit", "report", "dealer", "-o", "dealer.html").returncode == 0
    assert "material dealt" in shown((running.folder / "dealer.html").read_text()).text
    done = running.beaver("audit", "report", ".")
    assert done.returncode == 1
    assert "--as" in done.stderr


def test_no_name_or_message_becomes_markup(tmp_path: Path, running: Running) -> None:
    """From whomever it comes: names of tables, columns and results, purposes, reasons, and entries yet unknown."""
    consortium = Consortium.load(running.folder / "consortium.toml")
    path = tmp_path / "audit.jsonl"
    audit = Audit(path, "north", Identity.load(running.folder / "north" / "identity.key"))
    h = HOSTILE
    columns = {h: {"type": h, "range": [h, h], "about": h}}
    terms: dict[str, Any] = {
        "purpose": h, "valid_from": h, "valid_until": h, "recipients": [h], "outputs": {h: [h]}, "min_rows": h,
        "source": h, "uses": h, "approval": "ask", "retention": {"results_days": h},
        "data": {"north": {h: {"about": h, "columns": columns, "budget": {h: h}}}},
    }  # fmt: skip
    audit.record("agreement_in_force", agreement=h, terms=terms)
    audit.record("agreement_in_force", agreement=1, terms=[h])
    audit.record("plan_accepted", session=h, analyst=h, plan=h, data={h: [h]}, results={h: [h]})
    audit.record("session_closed", session=h, kept=[h], delivered=[h])
    audit.record("plan_accepted", session="2", analyst=[h], plan={h: h}, data=h, results=h)
    audit.record("fault", session="2", analyst=h, phase=h, code=h, message=h)
    audit.record("plan_refused", session=h, analyst=h, phase=h, code=h, message=h)
    audit.record("debit", session=h, table=h, epsilon=h, delta=0.5)
    audit.record("something_new", **{h: [h, {h: h}]})
    audit.close()
    text = report(read(path, consortium), entries(path), consortium)
    made = shown(text)
    assert "script" not in made.tags
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert made.text.count("<script>alert(1)</script>") > 20
    path.write_bytes(path.read_bytes().replace(b"alert(1)", b"alert(7)", 1))
    broken = shown(report(read(path, consortium), entries(path), consortium))
    assert "This record does not hold:" in broken.text
    assert "entry 2 was altered" in broken.text


def test_a_budget_is_added_up(tmp_path: Path, running: Running) -> None:
    consortium = Consortium.load(running.folder / "consortium.toml")
    path = tmp_path / "audit.jsonl"
    audit = Audit(path, "north", Identity.load(running.folder / "north" / "identity.key"))
    for epsilon in (0.5, 1.0, 0.25):
        audit.record("debit", session="5" * 32, table="visits", epsilon=epsilon, delta=1e-6)
    audit.close()
    text = shown(report(read(path, consortium), entries(path), consortium)).text
    assert "sum" in text
    assert "1.75" in text
    assert "3e-06" in text


AGREED: dict[str, Any] = {
    "min_rows": 10, "row_conditions": False, "noise": "full", "colluding": None, "source": "dealer",
    "data": {"north": {"visits": {"exact_results": None, "budget": None}}},
}  # fmt: skip


def told(**terms: Any) -> str:
    return "\n".join(safeguards("north", [("one", AGREED | terms)]))


def test_what_protects_rows_is_true_of_the_very_agreement() -> None:
    """A regulator reads no number of rows that conditions or noise make meaningless without being told so."""
    plain = told()
    assert "computed from at least 10 of its rows, unless it has noise" in plain
    assert "not compared, filtered by or sorted" in plain
    for said in ("a condition can select", "row_conditions", "exact_results", "colluding", "may rest on", "budget"):
        assert said not in plain, said
    chosen = told(row_conditions=True)
    assert "a condition can select few, or one, and the result rests on these alone. (row_conditions = true)" in chosen
    assert "not compared" not in chosen
    assert "Numbers without noise that may rest on visits, in the term of the agreement: 0." in told(
        data={"north": {"visits": {"exact_results": 0}}}
    )
    noised = {"north": {"visits": {"budget": {"epsilon": 1.0, "delta": 1e-6}}}}
    full, shared = told(data=noised), told(data=noised, noise="shared", colluding=2)
    for text in (full, shared):
        assert "A result with noise may rest on fewer rows, or one" in text
        assert "no party has altered its software" in text
    assert "all others together cannot take it off" in full
    assert "at most 2 of the parties may show the others" in shared
    assert '(noise = "shared", colluding = 2)' in shared
    assert "cannot take it off" not in shared
    assert "Privacy budget" not in told(data={"south": noised["north"]})


def test_what_only_one_of_several_agreements_says_names_it() -> None:
    agreements = [("one", AGREED), ("two", AGREED | {"row_conditions": True}), ("one", AGREED)]
    said = safeguards("north", agreements)
    assert sum(sentence.endswith(" (agreement one)") for sentence in said) == 1
    assert sum(sentence.endswith(" (agreement two)") for sentence in said) == 1
    assert "Random material comes from: dealer." in said


def test_show(running: Running) -> None:
    done = running.beaver("audit", "show", "--as", "north")
    assert done.returncode == 0, done.stderr
    for said in ("record_begun", "plan_accepted", "session_closed", "plan_refused"):
        assert said in done.stdout
    as_json = running.beaver("audit", "show", "-C", "north", "--json").stdout
    assert as_json == (running.folder / "north" / "state" / "audit.jsonl").read_text()
    session = next(
        e.content["session"]
        for e in entries(running.folder / "north" / "state" / "audit.jsonl")
        if "session" in e.content
    )
    lines = running.beaver("audit", "show", "--as", "north", "--json", "--session", session[:10]).stdout.splitlines()
    assert len(lines) == 6
    assert all(session in line for line in lines)


def test_verify_and_export(running: Running, tmp_path: Path) -> None:
    """All at one place; then each on its own, with what the others sent."""
    done = running.beaver("audit", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("holds\n") == 4
    assert "compared with heads that dealer, south, west kept" in done.stdout
    alone = running.beaver("audit", "verify", "-C", "north")
    assert alone.returncode == 0
    assert "not compared with anything" in alone.stdout
    for member, options in (("south", ["--heads"]), ("west", [])):
        assert running.beaver("audit", "export", "--as", member, "-o", f"{tmp_path}/{member}", *options).returncode == 0
    exports = [f"{tmp_path}/south", f"{tmp_path}/west"]
    assert "plan_accepted" not in (tmp_path / "south").read_text()
    done = running.beaver("audit", "verify", "-C", "north", *exports)
    assert done.returncode == 0, done.stdout
    assert "compared with heads that south, west kept" in done.stdout
    assert "south: only heads of others, holds" in done.stdout

    cut = tmp_path / "north"
    cut.mkdir()
    for file in ("party.toml", "identity.key"):
        (cut / file).write_bytes((running.folder / "north" / file).read_bytes())
    for file in ("consortium.toml", "agreement.toml"):
        (tmp_path / file).write_bytes((running.folder / file).read_bytes())
    lines = (running.folder / "north" / "state" / "audit.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "state").mkdir()
    (cut / "state" / "audit.jsonl").write_bytes(b"".join(lines[:6]))
    found = running.beaver("audit", "verify", "-C", str(cut), *exports)
    assert found.returncode == 1
    assert "north: 6 entries, does NOT hold" in found.stdout
    assert "ends at entry 6, but south holds entry" in found.stdout
    assert "ends at entry 6, but west holds entry" in found.stdout
    (cut / "state" / "audit.jsonl").write_bytes(
        b"".join([*lines[:2], lines[2].replace(b"party", b"dealer"), *lines[3:]])
    )
    found = running.beaver("audit", "verify", "-C", str(cut), *exports)
    assert found.returncode == 1
    assert "entry 3 was altered" in found.stdout


def test_mistakes(running: Running, tmp_path: Path) -> None:
    for arguments, said in (
        (["verify", "nothing.jsonl"], "nothing.jsonl cannot be read"),
        (["verify", "-C", str(tmp_path)], "holds no party.toml"),
        (["show", "--as", "analyst"], "audit.jsonl"),
        (["export", "--as", "analyst", "-o", "x"], "audit.jsonl"),
        (["report", ".", "--as", "nobody"], "nobody"),
    ):
        done = running.beaver("audit", *arguments)
        assert done.returncode == 1, arguments
        assert done.stderr.startswith("error: "), done.stderr
        assert said in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert not (running.folder / "x").exists()
    assert set(PARTIES) <= {path.name for path in running.folder.iterdir()}
