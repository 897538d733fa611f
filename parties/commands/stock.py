"""`beaver stock`: which random material a node has made ahead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parties.commands.common import Own, own_config, telling

if TYPE_CHECKING:
    from parties.config import PartyConfig
    from parties.stock_index import Contents

__all__ = ["app"]

app = typer.Typer()

Folder = Annotated[Path, typer.Argument(help="The consortium's folder, or the member's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Empty = Annotated[bool, typer.Option("--empty", help="Delete all of it. It is made anew.")]


@app.command()
def stock(directory: Folder = Path(), own: Own = "", as_json: AsJson = False, empty: Empty = False) -> None:
    """Show the random material that a node has made ahead: of each kind, how much, and for which agreement."""
    from mpc.errors import BeaverError
    from parties.agreement import Agreement
    from parties.config import Consortium
    from parties.stock_index import binding_of, contents, discard

    with telling():
        config = own_config(directory, own)
        consortium = Consortium.load(config.consortium)
        agreement = Agreement.load(config.agreement, consortium)
        if config.name not in consortium.party_names:
            raise BeaverError(f"{config.name} is no party: it has no stock", "Name a party's folder, or --as one.")
        index = consortium.party_names.index(config.name)
        if empty and (count := discard(config.state)) is not None:
            print(f"{config.name}: {count:,} batches deleted")
            return
        found = contents(config.state, index, binding_of(consortium, agreement))
        if found is None:
            raise BeaverError(
                f"{config.name} has no stock of random material",
                "A node makes one when it runs with [stock] in its party.toml, under an agreement with "
                'source = "pairwise" and material_days under [retention].',
            )
        rows = _rows(found, consortium.party_names)
        digest = agreement.digest().hex()
        if as_json:
            print(
                json.dumps(
                    {
                        "party": config.name,
                        "agreement": digest if found.present else None,
                        "level": config.stock.elements if config.stock else 0,
                        "kinds": [{"kind": kind, "elements": there, "bytes": size} for kind, there, size in rows],
                    }
                )
            )
        else:
            _show(config, rows, digest if found.present else "")


def _rows(found: Contents, parties: tuple[str, ...]) -> list[tuple[str, int, int]]:
    """Of each kind: in words, the elements that are left, the bytes of its files."""
    from protocols.stock import described

    return [
        (
            described(kind, parties),
            sum(batch.end - batch.next for batch in found.batches if batch.kind == name),
            sum(batch.bytes for batch in found.batches if batch.kind == name),
        )
        for name, kind in found.kinds.items()
    ]


def _show(config: PartyConfig, rows: list[tuple[str, int, int]], agreement: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    level = config.stock.elements if config.stock else 0
    table = Table("random material", "elements there", "level", "bytes on disk")
    for kind, there, size in rows:
        table.add_row(kind, f"{there:,}", f"{level:,}", f"{size:,}")
    console.print(table)
    if agreement:
        console.print(f"{config.name}, for the agreement {agreement[:16]}…, each element once", highlight=False)
    else:
        console.print(
            f"{config.name}, for another agreement or consortium: the node deletes it when it starts", highlight=False
        )
