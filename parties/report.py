"""What a regulator asks for, from a party's record: a page to print, after Article 30(1) of the GDPR.

Everything that is told of the past comes from the record's signed entries, not from the files of today. What no node
can know, such as who the data protection officer is, is left to be filled in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from parties.config import Consortium
from parties.entries import Entry
from parties.markup import Markup, page, table, tag
from parties.safeguards import mapping, safeguards
from parties.verification import Reading

__all__ = ["report"]

_STYLE = """
body { font: 10.5pt/1.45 Georgia, serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #111 }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #999; break-after: avoid }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-size: .85rem }
th, td { border: 1px solid #bbb; padding: .25rem .45rem; text-align: left; vertical-align: top }
th, td { overflow-wrap: anywhere }
th { background: #eee } tr { break-inside: avoid } thead { display: table-header-group }
.blank { height: 2.2rem } .bad { border: 2px solid #a00; padding: .5rem } .none { color: #555 }
@page { margin: 18mm }
"""
_SHOWN = 16
"""Characters of a session's id or a digest."""
_OWN_TABLES = {
    "record_begun", "agreement_in_force", "node_started", "node_stopped", "plan_accepted", "plan_refused", "fault",
    "session_signed", "run_begun", "run_counted", "run_ended", "session_closed", "material_dealt", "debit",
}  # fmt: skip


@dataclass
class _Session:
    """What the record tells of one session: the entry that accepted or refused it, and what became of it."""

    first: Entry
    data: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    plan: str = ""
    outcome: str = "not finished: the process ended in mid-session"


def report(reading: Reading, entries: Iterable[Entry], consortium: Consortium) -> str:
    """The page about the record that was read, as HTML. `entries`: those of the record."""
    agreements: list[Entry] = []
    sessions: dict[str, _Session] = {}
    refusals: list[Entry] = []
    debits: list[Entry] = []
    others: list[Entry] = []
    starts: list[Entry] = []
    first = last = None
    for entry in entries:
        first, last = first or entry, entry
        match entry.kind:
            case "agreement_in_force":
                agreements.append(entry)
            case "plan_refused" | "fault":
                refusals.append(entry)
            case "debit":
                debits.append(entry)
            case "node_started" | "node_stopped":
                starts.append(entry)
            case kind if kind not in _OWN_TABLES:
                others.append(entry)
        _follow(sessions, entry)
    party = reading.party
    title = f"Record of processing: {party}"
    return page(
        title,
        _STYLE,
        tag("h1", title),
        _about(reading, consortium, first, last),
        tag("h2", "Controller (Art. 30(1)(a))"),
        _to_fill_in(f"Name and contact of the controller ({party})", "Representative, data protection officer"),
        tag("p", f"Joint computations with: {', '.join(n for n in consortium.party_names if n != party)}."),
        tag("h2", "Purposes (b)"),
        table(("in force from", "agreement", "purpose", "term"), [_purpose(entry) for entry in agreements]),
        tag("h2", "Categories of data (c)"),
        _categories(party, agreements),
        _to_fill_in("Categories of data subjects"),
        tag("h2", "Recipients (d)"),
        _recipients(agreements),
        tag("h2", "Transfers to third countries (e), time limits for erasure (f)"),
        tag("p", _retention(agreements)),
        _to_fill_in("Transfers to third countries, and safeguards for them", "Erasure of the data themselves"),
        tag("h2", "Safeguards (g)"),
        tag("ul", *(tag("li", line) for line in safeguards(party, _named(agreements)))),
        tag("h2", "What ran, and when"),
        table(
            ("when (UTC)", "session", "analyst", "plan", "data used", "results, and for whom", "outcome"),
            [_ran(session_id, session) for session_id, session in sessions.items()],
        ),
        tag("h2", "Refusals and faults"),
        table(("when (UTC)", "session", "analyst", "what", "reason"), [_refused(entry) for entry in refusals]),
        tag("h2", "Privacy budget spent"),
        _budget(debits),
        tag("h2", "Other entries"),
        table(("entry", "when (UTC)", "kind", "content"), [_other(entry) for entry in others]),
        tag("h2", "The node"),
        table(("entry", "when (UTC)", "what"), [(f"{e.sequence:,}", _time(e.at), _words(e.kind)) for e in starts]),
    )


def _follow(sessions: dict[str, _Session], entry: Entry) -> None:
    content = entry.content
    name = content.get("session")
    if type(name) is not str:
        return
    if entry.kind == "plan_accepted":
        sessions[name] = _Session(
            entry, mapping(content.get("data")), mapping(content.get("results")), str(content.get("plan", ""))
        )
    elif (session := sessions.get(name)) is not None:
        if entry.kind == "session_closed":
            parts = (("delivered to the analyst", "delivered"), ("kept here", "kept"))
            told = [f"{what}: {_listed(content.get(key))}" for what, key in parts if content.get(key)]
            session.outcome = "; ".join(["completed", *told])
        elif entry.kind == "material_dealt":
            session.outcome = "material dealt"
        elif entry.kind == "fault":
            session.outcome = f"ended by {content.get('code')}"


def _about(reading: Reading, consortium: Consortium, first: Entry | None, last: Entry | None) -> Markup:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    parts = [tag("p", f"Consortium {consortium.name}. Made {_time(now)} UTC by Beaver.")]
    if first and last:
        told = (
            f"From {last.sequence:,} entries, {_time(first.at)} to {_time(last.at)} UTC. Hash of the last: {last.hash}."
        )
        parts.append(tag("p", told))
    if reading.findings:
        parts.append(
            tag("div", tag("p", "This record does not hold:"), tag("ul", *(tag("li", f) for f in reading.findings)),
                class_="bad")
        )  # fmt: skip
    else:
        parts.append(tag("p", "Every entry was verified: hash, order, and signature of the node."))
    parts += [tag("p", f"Note: {note}.") for note in reading.notes]
    return Markup("".join(parts))


def _to_fill_in(*what: str) -> Markup:
    return tag("table", *(tag("tr", tag("th", each), tag("td", "", class_="blank")) for each in what))


def _purpose(entry: Entry) -> tuple[str, ...]:
    terms = mapping(entry.content.get("terms"))
    term = " to ".join(_time(str(terms[end])) if terms.get(end) else "open" for end in ("valid_from", "valid_until"))
    return _time(entry.at), _short(entry.content.get("agreement")), str(terms.get("purpose", "")), term


def _categories(party: str, agreements: Iterable[Entry]) -> Markup:
    rows: dict[tuple[str, ...], None] = {}
    for terms in map(_terms, agreements):
        for name, held in mapping(mapping(terms.get("data")).get(party)).items():
            about = str(mapping(held).get("about", ""))
            for column, kind in mapping(mapping(held).get("columns")).items():
                said = mapping(kind)
                meaning = str(said.get("about", "")) or about
                rows[name, column, str(said.get("type", "")), _range(said.get("range")), meaning] = None
    return table(("table", "column", "type", "range", "what it is"), rows)


def _recipients(agreements: Iterable[Entry]) -> Markup:
    rows: dict[tuple[str, str], None] = {}
    for terms in map(_terms, agreements):
        outputs = mapping(terms.get("outputs"))
        for name, to in outputs.items():
            rows[name, _listed(to)] = None
        if not outputs:
            rows["any result that the agreement allows", _listed(terms.get("recipients"))] = None
    return table(("result", "recipients"), rows)


def _retention(agreements: Iterable[Entry]) -> str:
    told = "The agreement sets no time limit for results."
    for terms in map(_terms, agreements):
        days = mapping(terms.get("retention")).get("results_days")
        if days is not None:
            told = f"Results at recipients: {days} days."
    return told


def _ran(name: str, session: _Session) -> tuple[str, ...]:
    used = [f"{t}: {_listed(c)}" if c else f"{t}: number of rows" for t, c in session.data.items()]
    results = [f"{result} to {_listed(to)}" for result, to in session.results.items()]
    analyst = str(session.first.content.get("analyst", ""))
    return (
        _time(session.first.at), _short(name), analyst, _short(session.plan), "; ".join(used), "; ".join(results),
        session.outcome,
    )  # fmt: skip


def _refused(entry: Entry) -> tuple[str, ...]:
    content = entry.content
    what = "refused" if entry.kind == "plan_refused" else f"fault ({content.get('phase', '')})"
    reason = f"{content.get('message', '')} [{content.get('code', '')}]"
    return _time(entry.at), _short(content.get("session")), str(content.get("analyst", "")), what, reason


def _budget(debits: Iterable[Entry]) -> Markup:
    rows = []
    sums: dict[str, list[float]] = {}
    for entry in debits:
        content = entry.content
        name = str(content.get("table", ""))
        spent = [_number(content.get(key)) for key in ("epsilon", "delta")]
        sums[name] = [a + b for a, b in zip(sums.get(name, [0.0, 0.0]), spent, strict=True)]
        rows.append((_time(entry.at), _short(content.get("session")), name, *(f"{x:g}" for x in spent)))
    rows += [("sum", "", name, *(f"{x:g}" for x in spent)) for name, spent in sums.items()]
    return table(("when (UTC)", "session", "table", "epsilon", "delta"), rows)


def _other(entry: Entry) -> tuple[str, ...]:
    told = "; ".join(f"{key}: {value}" for key, value in entry.content.items())
    return f"{entry.sequence:,}", _time(entry.at), _words(entry.kind), told


def _named(agreements: Iterable[Entry]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((_short(entry.content.get("agreement")), _terms(entry)) for entry in agreements)


def _terms(entry: Entry) -> Mapping[str, Any]:
    return mapping(entry.content.get("terms"))


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _range(value: object) -> str:
    return " to ".join(map(str, value)) if isinstance(value, list) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _short(value: object) -> str:
    return str(value or "")[:_SHOWN]


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _time(at: str) -> str:
    return at[:19].replace("T", " ")
