"""`beaver agreement ...`: write it, read it, compare it, sign it, check it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpc.errors import BeaverError
from parties.commands.common import Directory, member_config, telling

if TYPE_CHECKING:
    from parties.agreement import Agreement
    from parties.config import Consortium

__all__ = ["app"]

app = typer.Typer(help="The agreement: what the owners allow.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The folder with agreement.toml and consortium.toml.")]


@app.command("draft")
def draft(
    directory: Directory = Path(), purpose: Annotated[str, typer.Option(help="What for.")] = "not stated yet"
) -> None:
    """Read the data under each party's folder and write tables, columns and rounded-out ranges into agreement.toml."""
    from parties.config import Consortium, PartyConfig
    from parties.draft import draft as drafted

    with telling():
        consortium = Consortium.load(directory / "consortium.toml")
        folders = {party: PartyConfig.load(directory / party / "party.toml").data for party in consortium.party_names}
        path = directory / "agreement.toml"
        new = path.with_name(f"{path.name}.new")
        new.write_text(drafted(consortium, folders, purpose), encoding="utf-8")
        if path.exists():
            shutil.copy2(path, path.with_name(f"{path.name}.before"))
            print(f"the agreement so far is kept as {path}.before")
        new.replace(path)
        print(f"wrote {path}: let every owner check it; all nodes and the analyst need the same copy")
        print(f"then every party signs it: beaver agreement sign {directory} --as NAME")


@app.command("show")
def show(directory: Folder = Path()) -> None:
    """Show the agreement as sentences and tables, and who has signed it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from parties.prose import column_rows, sentences, table_sentence
    from parties.signatures import verified

    with telling():
        agreement, consortium = _load(directory)
        console = Console(highlight=False, markup=False)
        console.print(f"Agreement of {consortium.name}, {agreement.digest().hex()}")
        terms = Table.grid(padding=(0, 2, 1, 0))
        for about, said in sentences(agreement, consortium):
            terms.add_row(about, Text(said))
        terms.add_row("signed", _signed(verified(agreement, directory / "agreement.toml", consortium)))
        console.print(terms)
        for party, held in agreement.data.items():
            for name, table in held.items():
                console.print(f"{party}: {name}", style="bold")
                console.print(Text(table_sentence(table)))
                columns = Table("column", "type", "range", "about")
                for row in column_rows(table.columns):
                    columns.add_row(*map(Text, row))
                console.print(columns)


@app.command("diff")
def diff(
    old: Annotated[Path, typer.Argument(help="An agreement.toml, or the folder that holds one.")],
    new: Annotated[Path, typer.Argument(help="Another.")],
) -> None:
    """Show what changes for whom from one agreement to another, and whether more or less is allowed then."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from parties.agreement import Agreement
    from parties.changes import changes

    with telling():
        before, after = (Agreement.load(path / "agreement.toml" if path.is_dir() else path) for path in (old, new))
        found = changes(before, after)
        if not found:
            print("the content is the same; signatures of one are good for the other in the same consortium")
            return
        table = Table("for", "of", "so far", "then", "allows")
        for change in found:
            each = change.whom, change.what, change.before or "-", change.after or "-", change.effect
            table.add_row(*map(Text, each))
        Console(highlight=False).print(table)


@app.command("sign")
def sign(
    directory: Folder = Path(),
    names: Annotated[list[str] | None, typer.Option("--as", help="The party that signs, with its own key.")] = None,
) -> None:
    """Sign the agreement as a party: to be done by whoever may bind that party, after reading it."""
    from parties.config import Consortium
    from parties.signatures import sign as signed_by
    from parties.signatures import verified

    with telling():
        if not names:
            raise BeaverError("nobody is named who signs", "Say as which party: --as NAME.")
        for name in names:
            config = member_config(directory, name)
            agreement = signed_by(config, time.time())
            print(f"{name} has signed the agreement {agreement.digest().hex()}")
        print(f"signed: {_signed(verified(agreement, config.agreement, Consortium.load(config.consortium)))}")


@app.command("verify")
def verify(directory: Folder = Path()) -> None:
    """Check that every party has signed this very agreement and that its term goes on: exit status 0 if so."""
    from parties.clock import check_begun, check_not_over
    from parties.signatures import check_signed, verified

    with telling():
        agreement, consortium = _load(directory)
        path = directory / "agreement.toml"
        check_signed(agreement, path, consortium)
        check_not_over(agreement, time.time(), time.time())
        check_begun(agreement, time.time())
        print(f"in force: the agreement {agreement.digest().hex()}")
        print(f"signed: {_signed(verified(agreement, path, consortium))}")


def _load(directory: Path) -> tuple[Agreement, Consortium]:
    from parties.agreement import Agreement
    from parties.config import Consortium

    consortium = Consortium.load(directory / "consortium.toml")
    return Agreement.load(directory / "agreement.toml", consortium), consortium


def _signed(verified: Mapping[str, datetime | None]) -> str:
    """Who has signed, and when by their own clocks."""
    return "; ".join(
        f"{party} on {when:%Y-%m-%d %H:%M} UTC" if when else f"{party} has NOT signed this"
        for party, when in verified.items()
    )
