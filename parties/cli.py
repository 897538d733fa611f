"""The command line: `beaver`. Imports what a command needs when it runs, so that help is quick."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpc.errors import BeaverError

if TYPE_CHECKING:
    from mpc.computation import Computation
    from parties.server import Server

__all__ = ["app", "main"]

app = typer.Typer(
    name="beaver",
    help="Secure multi-party computation: joint results over data that nobody shows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
agreement_app = typer.Typer(help="The agreement: what the owners allow.", no_args_is_help=True)
app.add_typer(agreement_app, name="agreement")

Directory = Annotated[Path, typer.Option("-C", help="The consortium's folder.", show_default="this folder")]
As = Annotated[str, typer.Option("--as", help="The analyst whose keys to use.")]
Script = Annotated[str, typer.Argument(help="A Python file, or FILE:NAME for one of several computations.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object with result, traffic and timings.")]
Config = Annotated[Path, typer.Argument(help="The party.toml of the process.")]


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    parties: Annotated[str, typer.Option(help="Names with commas, in order: north,south,west.")],
    name: Annotated[str, typer.Option(help="The consortium's name.")] = "consortium",
    port: Annotated[int, typer.Option(help="The first port; every party takes two.")] = 7700,
    host: Annotated[str, typer.Option(help="The host at which the parties are reached.")] = "127.0.0.1",
) -> None:
    """Make a consortium: consortium.toml, agreement.toml, keys and a folder for every party, docker-compose.yml."""
    from parties.setup import create_consortium

    with _telling():
        for path in create_consortium(directory, parties.split(","), name=name, base_port=port, host=host):
            print(path)
        print("\nPut <table>.csv or <table>.parquet into each party's data folder, then:")
        print(f"  beaver agreement draft -C {directory}")


@agreement_app.command("draft")
def draft(
    directory: Directory = Path(), purpose: Annotated[str, typer.Option(help="What for.")] = "not stated yet"
) -> None:
    """Read the data under each party's folder and write tables, columns and rounded-out ranges into agreement.toml."""
    from parties.config import Consortium, PartyConfig
    from parties.draft import draft as drafted

    with _telling():
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


@app.command()
def up(directory: Directory = Path()) -> None:
    """Run the dealer and all nodes here until Ctrl-C: one line each, ready or why not."""
    from parties.launch import up as run_up

    with _telling():
        sys.exit(run_up(directory))


@app.command()
def node(config: Config) -> None:
    """Run one party's node."""
    from parties.node import Node

    _serve(Node, config)


@app.command()
def dealer(config: Config) -> None:
    """Run the dealer."""
    from parties.dealer import Dealer

    _serve(Dealer, config)


@app.command()
def health(config: Config) -> None:
    """Ask a running node or dealer whether it answers: exit status 0 if it does."""
    from parties.client import ping

    with _telling():
        print(ping(config))


@app.command()
def explain(
    script: Script,
    directory: Directory = Path(),
    analyst: As = "analyst",
    steps: Annotated[bool, typer.Option("--steps", help="List every step.")] = False,
) -> None:
    """Show the plan: inputs, results, who learns them, rounds, bytes, time. Nothing runs."""
    from mpc.explain import explain as explained
    from parties.client import Analyst
    from parties.errors import Fault

    with _telling():
        person = Analyst(_party_config(directory, analyst))
        computation = _load(script)
        try:
            rows, note = person.row_counts(), "row counts as the nodes tell them now"
        except Fault as fault:
            if fault.code != "UNREACHABLE":
                raise
            rows, note = None, f"row counts are the agreement's bounds: {fault.report.message}"
        plan = person.plan(computation, rows)
        print(explained(plan, source=person.agreement.source, steps=steps))
        print(f"\n{note}")
        for party, reasons in person.refusals(plan).items():
            for reason in reasons:
                print(f"{party} will refuse: {reason}")


@app.command()
def run(script: Script, directory: Directory = Path(), analyst: As = "analyst", as_json: AsJson = False) -> None:
    """Submit a script to the nodes, watch it, and show the result."""
    from parties.client import Analyst
    from parties.display import SessionProgress

    with _telling():
        person = Analyst(_party_config(directory, analyst))
        computation = _load(script)
        with SessionProgress(quiet=as_json and not sys.stderr.isatty()) as progress:
            result = person.run(computation, progress.told)
        _show(result, as_json)


@app.command()
def simulate(
    script: Script,
    data: Annotated[Path, typer.Option(help="A folder with <party>/<table>.csv or .parquet, or a consortium's.")],
    as_json: AsJson = False,
) -> None:
    """Run a script with all parties inside this process. Protects nobody; for developing scripts."""
    from mpc.simulate import simulate as simulated

    with _telling():
        _show(simulated(_load(script), _tables(data)), as_json)


def main() -> None:
    """The `beaver` command."""
    app()


def _serve(kind: type[Server], path: Path) -> None:
    from parties.allocator import keep_freed_memory
    from parties.config import PartyConfig
    from parties.log import Log

    with _telling():
        config = PartyConfig.load(path, environ=os.environ)
        keep_freed_memory()
        server = kind(config, Log(config.name, sys.stderr))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: server.stop())
        server.serve()


def _party_config(directory: Path, name: str) -> Any:
    from parties.config import PartyConfig

    return PartyConfig.load(directory / name / "party.toml", environ=os.environ)


def _load(script: str) -> Computation:
    from mpc.computation import load

    path, separator, name = script.rpartition(":")
    return load(path, name) if separator and path else load(script)


def _tables(data: Path) -> dict[str, dict[str, Path]]:
    if not data.is_dir():
        raise BeaverError(f"there is no folder {data}", "Give the folder that holds one folder a party.")
    parties: dict[str, dict[str, Path]] = {}
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        held = folder / "data" if (folder / "party.toml").exists() else folder
        files = sorted(path for path in held.glob("*") if path.suffix in (".csv", ".parquet"))
        if files:
            parties[folder.name] = {path.stem: path for path in files}
        if len(parties.get(folder.name, {})) < len(files):
            raise BeaverError(f"{held} holds a table both as .csv and as .parquet", "Remove one of them.")
    return parties


def _show(result: Any, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.to_json(), allow_nan=False))
    else:
        from parties.display import show_result

        show_result(result)


@contextmanager
def _telling() -> Iterator[None]:
    """Errors meant for people end the command with their text and status 1, without a traceback."""
    try:
        yield
    except BeaverError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except OSError as error:
        print(f"error: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise typer.Exit(130) from None
