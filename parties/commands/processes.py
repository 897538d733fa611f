"""`beaver init`, `up`, `node`, `dealer`, `health`: a consortium and its processes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from parties.commands.common import Directory, telling

if TYPE_CHECKING:
    from parties.server import Server

__all__ = ["app"]

app = typer.Typer()

Config = Annotated[Path, typer.Argument(help="The party.toml of the process.")]


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    parties: Annotated[str, typer.Option(help="Names with commas, in order: north,south,west.")],
    name: Annotated[str, typer.Option(help="The consortium's name.")] = "consortium",
    port: Annotated[int, typer.Option(help="The first port; every party takes two.")] = 7700,
    host: Annotated[str, typer.Option(help="The host at which the parties are reached.")] = "127.0.0.1",
    source: Annotated[
        Literal["dealer", "pairwise"],
        typer.Option(help="Who makes random material: a dealer, or all parties."),
    ] = "dealer",
) -> None:
    """Make a consortium: consortium.toml, agreement.toml, keys and a folder for every party, docker-compose.yml."""
    from parties.setup import create_consortium

    with telling():
        names = parties.split(",")
        for path in create_consortium(directory, names, name=name, base_port=port, host=host, source=source):
            print(path)
        print("\nPut <table>.csv or <table>.parquet into each party's data folder, then:")
        print(f"  beaver agreement draft -C {directory}")


@app.command()
def up(directory: Directory = Path()) -> None:
    """Run all nodes here, and the dealer if there is one, until Ctrl-C: one line each, ready or why not."""
    from parties.launch import up as run_up

    with telling():
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

    with telling():
        print(ping(config))


def _serve(kind: type[Server], path: Path) -> None:
    from parties.allocator import keep_freed_memory
    from parties.config import PartyConfig
    from parties.log import Log

    with telling():
        config = PartyConfig.load(path, environ=os.environ)
        keep_freed_memory()
        server = kind(config, Log(config.name, sys.stderr))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: server.stop())
        server.serve()
