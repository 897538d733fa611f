"""`beaver audit ...`: what a node's record says, whether it holds, and a report of it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parties.commands.common import Directory, Own, own_config, telling

if TYPE_CHECKING:
    from parties.config import PartyConfig
    from parties.entries import Entry

__all__ = ["app"]

app = typer.Typer(help="The record of what a node decided and did.", no_args_is_help=True)

Session = Annotated[str, typer.Option("--session", help="Only what concerns the session whose id begins so.")]
Lines = Annotated[bool, typer.Option("--json", help="Print the entries as they are, a line each.")]
Out = Annotated[Path, typer.Option("-o", help="The file to write.")]
OnlyHeads = Annotated[bool, typer.Option("--heads", help="Only the heads of the others' records that this one holds.")]
Exports = Annotated[list[Path] | None, typer.Argument(help="What other members exported.", show_default=False)]


@app.command()
def show(directory: Directory = Path(), own: Own = "", session: Session = "", as_json: Lines = False) -> None:
    """Show the entries. Nothing is verified."""
    from parties.verification import entries

    with telling():
        chosen = (
            entry
            for entry in entries(_record(own_config(directory, own)))
            if not session or str(entry.content.get("session", "")).startswith(session)
        )
        if as_json:
            for entry in chosen:
                sys.stdout.write(entry.line.decode("ascii"))
        else:
            _print_table(chosen)


@app.command()
def verify(exports: Exports = None, directory: Directory = Path(), own: Own = "") -> None:
    """Verify records: each by itself, and against the heads of it that others kept. Exit status 0 if all hold.

    Of the member whose folder this is, or of all whose folders are there; and what others exported.
    """
    from parties.config import Consortium
    from parties.verification import compare, read

    with telling():
        configs = [own_config(directory, own)] if own else _all_configs(directory)
        consortium = Consortium.load(configs[0].consortium)
        readings = [read(path, consortium) for path in (*map(_record, configs), *(exports or []))]
        compare(readings, consortium)
        for reading in readings:
            others = [each.party for each in readings if each is not reading and each.kept.get(reading.party)]
            size = "only heads of others" if reading.hashes is None else f"{len(reading.hashes):,} entries"
            print(f"{reading.party or reading.path}: {size}, {'does NOT hold' if reading.findings else 'holds'}")
            for finding in reading.findings:
                print(f"  {finding}")
            for note in reading.notes:
                print(f"  note: {note}")
            if reading.hashes is not None:
                print(f"  compared with heads that {', '.join(sorted(set(others)))} kept" if others else _ALONE)
        if any(reading.findings for reading in readings):
            raise typer.Exit(1)


_ALONE = (
    "  not compared with anything that others hold: that it was not cut at its end, or put back from an old copy, "
    "only they can tell (beaver audit export --heads)"
)


@app.command()
def export(out: Out, directory: Directory = Path(), own: Own = "", heads: OnlyHeads = False) -> None:
    """Write the record, or only the heads that it holds of others' records, to a file for others to verify."""
    from parties.config import Consortium
    from parties.verification import heads_export, read

    with telling():
        config = own_config(directory, own)
        path = _record(config)
        if heads:
            out.write_text(heads_export(read(path, Consortium.load(config.consortium))), encoding="ascii")
        else:
            shutil.copyfile(path, out)
        print(f"wrote {out}")


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="The consortium's folder, or the member's.")],
    out: Out = Path("report.html"),
    own: Own = "",
) -> None:
    """Write a page to print for a regulator: purposes, data, recipients, safeguards, what ran, budget spent."""
    from parties.config import Consortium
    from parties.report import report as made
    from parties.verification import entries, read

    with telling():
        config = own_config(directory, own)
        consortium = Consortium.load(config.consortium)
        path = _record(config)
        out.write_text(made(read(path, consortium), entries(path), consortium), encoding="utf-8")
        print(f"wrote {out}")


def _record(config: PartyConfig) -> Path:
    return config.state / "audit.jsonl"


def _all_configs(directory: Path) -> list[PartyConfig]:
    """Of everybody whose folder, with a record, is in this one."""
    from parties.config import PartyConfig

    found = [PartyConfig.load(path) for path in sorted(directory.glob("*/party.toml"))]
    return [config for config in found if _record(config).exists()] or [own_config(directory)]


def _print_table(chosen: Iterable[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from parties.errors import printable

    shown = Table("entry", "when (UTC)", "kind", "session", "what")
    for entry in chosen:
        told = {name: value for name, value in entry.content.items() if name not in ("heads", "terms", "session")}
        what = ", ".join(f"{name} {_short(value)}" for name, value in told.items() if value not in ("", [], {}))
        session = str(entry.content.get("session", ""))[:8]
        cells = f"{entry.sequence:,}", entry.at[:19].replace("T", " "), entry.kind, session, what
        shown.add_row(*(Text(printable(cell)) for cell in cells))
    Console().print(shown)


def _short(value: object) -> str:
    """Text as it is, but of a digest its beginning; anything else as JSON."""
    if not isinstance(value, str):
        return json.dumps(value)
    return f"{value[:12]}…" if re.fullmatch("[0-9a-f]{32,}", value) else value
