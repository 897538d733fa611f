"""`beaver explain`, `run`, `simulate`: what an analyst does with a script."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpc.errors import BeaverError
from parties.commands.common import AsAnalyst, AsJson, Directory, Script, load_script, member_config, telling

if TYPE_CHECKING:
    from mpc.plan import Plan
    from mpc.result import Result
    from parties.client import Analyst

__all__ = ["app"]

app = typer.Typer()

_NOTHING_RUNS = (
    "UNREACHABLE",
    "AGREEMENT_ALTERED",
    "AGREEMENT_EXPIRED",
    "AGREEMENT_NOT_YET_VALID",
    "AGREEMENT_UNSIGNED",
)
"""Faults without which a plan can be shown all the same."""


@app.command()
def explain(
    script: Script,
    directory: Directory = Path(),
    analyst: AsAnalyst = "analyst",
    steps: Annotated[bool, typer.Option("--steps", help="List every step.")] = False,
) -> None:
    """Show the plan: inputs, results, who learns them, rounds, bytes, time. Nothing runs."""
    from mpc.explain import explain as explained
    from mpc.schema import unit_rows
    from parties.client import Analyst
    from parties.errors import Fault

    with telling():
        person = Analyst(member_config(directory, analyst))
        computation = load_script(script)
        rows, notes = None, []
        try:
            person.check_in_force()
            rows = person.row_counts()
            notes.append("row counts as the nodes tell them now")
        except Fault as fault:
            if fault.code not in _NOTHING_RUNS:
                raise
            notes.append(f"row counts are the agreement's bounds: {fault.report.message}")
        plan = person.plan(computation, rows)
        agreed = person.agreement
        units = unit_rows(agreed.schema())
        print(explained(plan, source=agreed.source, steps=steps, unit_rows=units, colluding=agreed.colluding))
        for party, (reasons, asks) in _judged(person, plan, up=rows is not None).items():
            notes += [f"{party} will refuse: {reason}" for reason in reasons]
            notes += [f"a person at {party} decides: beaver pending, at {party}"] * (asks and not reasons)
        print("", *notes, f"digest of this plan: {plan.digest.hex()}", sep="\n")


@app.command()
def run(script: Script, directory: Directory = Path(), analyst: AsAnalyst = "analyst", as_json: AsJson = False) -> None:
    """Submit a script to the nodes, watch it, and show the result."""
    from parties.client import Analyst
    from parties.display import SessionProgress

    with telling():
        person = Analyst(member_config(directory, analyst))
        computation = load_script(script)
        with SessionProgress(quiet=as_json and not sys.stderr.isatty()) as progress:
            result = person.run(computation, progress.told)
        _show(result, as_json)


@app.command()
def simulate(
    script: Script,
    data: Annotated[
        Path | None, typer.Option(help="A folder with <party>/<table>.csv or .parquet, or a consortium's.")
    ] = None,
    mock: Annotated[bool, typer.Option("--mock", help="On made-up data within the ranges of agreement.toml.")] = False,
    directory: Directory = Path(),
    as_json: AsJson = False,
) -> None:
    """Run a script with all parties inside this process, on real data or made-up. Protects nobody."""
    from mpc.simulate import simulate as simulated

    with telling():
        if mock is (data is not None):
            raise BeaverError("say on which data to run", "Give either --data FOLDER or --mock.")
        if data is not None:
            _show(simulated(load_script(script), _tables(data)), as_json)
        else:
            from parties import catalog
            from parties.agreement import Agreement

            agreement = Agreement.load(directory / "agreement.toml")
            tables = catalog.mock(agreement)
            ranges = catalog.ranges(agreement)
            _show(simulated(load_script(script), tables, ranges, colluding=agreement.colluding), as_json)


def _judged(person: Analyst, plan: Plan, *, up: bool) -> dict[str, tuple[list[str], bool]]:
    """What each party has against the plan, naming lines of the script, and whether a person there decides.

    `up`: whether the nodes can be asked. They say more, but know steps by their numbers alone.
    """
    here = person.refusals(plan)
    if not up:
        return here
    numbered = person.refusals(replace(plan, origins={}))
    lines = {party: dict(zip(numbered[party][0], reasons, strict=True)) for party, (reasons, _) in here.items()}
    judged = person.judged(plan)
    return {party: ([lines[party].get(why, why) for why in said], asks) for party, (said, asks) in judged.items()}


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


def _show(result: Result, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.to_json(), allow_nan=False))
    else:
        from parties.display import show_result

        show_result(result)
