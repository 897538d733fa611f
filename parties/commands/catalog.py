"""`beaver catalog`: what an analyst may know before writing a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parties.commands.common import AsAnalyst, Directory, member_config, telling

if TYPE_CHECKING:
    from parties.agreement import Agreement
    from parties.catalog import Offer

__all__ = ["app"]

app = typer.Typer()

_COUNTED = {
    "exact": "",
    "rounded": ", rounded down; the last ones wait",
    "noised": ", by noise fewer than there are; the last ones take no part",
}
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def catalog(
    directory: Directory = Path(),
    analyst: AsAnalyst = "analyst",
    mock: Annotated[Path | None, typer.Option(help="A new folder to write made-up tables to, as CSV.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show tables, columns, ranges, limits and what is left of budgets; write made-up tables to try a script on."""
    from parties.catalog import offers
    from parties.client import Analyst
    from parties.errors import Fault

    with telling():
        person = Analyst(member_config(directory, analyst))
        try:
            rows, left, note = person.row_counts(), person.budgets(), ""
        except Fault as fault:
            if fault.code != "UNREACHABLE":
                raise
            rows, left, note = None, None, f"as far as agreement.toml says: {fault.report.message}"
        listed = offers(person.agreement, rows, left)
        if as_json:
            print(json.dumps([_plain(offer) for offer in listed], allow_nan=False))
        else:
            _show(person.agreement, listed)
            if note:
                print(note)
        if mock is not None:
            _write_mock(person.agreement, rows, mock)


def _plain(offer: Offer) -> dict[str, Any]:
    terms = offer.terms.model_dump(mode="json")
    return {"party": offer.party, "table": offer.name, "rows": offer.rows, "epsilon_left": offer.left, "terms": terms}


def _show(agreement: Agreement, listed: list[Offer]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from parties.prose import column_range, single_rows, table_sentence

    console = Console()
    console.print(Text(f"For: {agreement.purpose}"))
    console.print(f"No result is computed from fewer than {agreement.min_rows:,} rows of a party, unless it has noise.")
    if agreement.row_conditions:
        console.print(single_rows(conditions=True), highlight=False)
    for offer in listed:
        console.print()
        console.print(Text(f"{offer.party}.{offer.name}", style="bold"))
        if offer.rows is not None:
            console.print(f"{offer.rows:,} rows take part now{_COUNTED[offer.terms.counts]}.", highlight=False)
        console.print(Text(table_sentence(offer.terms)))
        if offer.left is not None:
            console.print(f"Left for one more result with Laplace noise: epsilon {offer.left:.4g}.", highlight=False)
        table = Table("column", "type", "range", "about")
        for title, column in offer.terms.columns.items():
            table.add_row(Text(title), column.type, column_range(column), Text(column.about))
        console.print(table)


def _write_mock(agreement: Agreement, rows: Any, folder: Path) -> None:
    from parties.catalog import mock

    folder.mkdir()
    for party, held in mock(agreement, rows).items():
        (folder / party).mkdir()
        for name, columns in held.items():
            lines = [",".join(f'"{title.replace(chr(34), chr(34) * 2)}"' for title in columns)]
            made = zip(*(values.tolist() for values in columns.values()), strict=True)
            lines += [",".join(map(repr, row)) for row in made]
            (folder / party / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"made-up tables are in {folder}: beaver simulate SCRIPT --data {folder}")
