"""What several commands have in common: options, how files are found, how errors are told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpc.errors import BeaverError

if TYPE_CHECKING:
    from mpc.computation import Computation
    from parties.config import PartyConfig

__all__ = ["AsAnalyst", "AsJson", "Directory", "Own", "Script", "load_script", "member_config", "own_config", "telling"]

Directory = Annotated[Path, typer.Option("-C", help="The consortium's folder.", show_default="this folder")]
AsAnalyst = Annotated[str, typer.Option("--as", help="The analyst whose keys to use.")]
Own = Annotated[str, typer.Option("--as", help="Which party you are, where the folder holds several.")]
Script = Annotated[str, typer.Argument(help="A Python file, or FILE:NAME for one of several computations.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object with result, traffic and timings.")]


def member_config(directory: Path, name: str) -> PartyConfig:
    """The party.toml of a member whose folder is in the consortium's."""
    from parties.config import PartyConfig

    return PartyConfig.load(directory / name / "party.toml", environ=os.environ)


def own_config(directory: Path, name: str = "") -> PartyConfig:
    """The party.toml of whoever gives a command: of the member named, else the only one at or in the folder."""
    from parties.config import PartyConfig

    if name:
        return member_config(directory, name)
    if (directory / "party.toml").exists():
        return PartyConfig.load(directory / "party.toml", environ=os.environ)
    found = sorted(path for path in directory.glob("*/party.toml"))
    if not found:
        raise BeaverError(f"{directory} holds no party.toml", "Name your folder, or the consortium's: -C DIR.")
    if len(found) > 1:
        names = ", ".join(path.parent.name for path in found)
        raise BeaverError(f"{directory} holds the folders of {names}", "Say who you are: --as NAME.")
    return PartyConfig.load(found[0], environ=os.environ)


def load_script(script: str) -> Computation:
    """The computation in FILE, or in FILE:NAME."""
    from mpc.computation import load

    path, separator, name = script.rpartition(":")
    return load(path, name) if separator and path else load(script)


@contextmanager
def telling() -> Iterator[None]:
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
