"""`beaver pending`, `approve`, `deny`: a person at one party decides on plans that wait there."""

from __future__ import annotations

import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpc.errors import BeaverError
from parties.commands.common import Directory, Own, own_config, telling

if TYPE_CHECKING:
    from parties.agreement import Agreement
    from parties.approvals import Approvals, Request

__all__ = ["app"]

app = typer.Typer()

_WIDTH = 100

Id = Annotated[str, typer.Argument(help="The id of a request, or how it begins.")]


@app.command()
def pending(directory: Directory = Path(), name: Own = "") -> None:
    """Show the plans that wait for a decision here: what they reveal, every step, the cost, and what would be left."""
    with telling():
        approvals, agreement = _approvals(directory, name)
        waiting = [request for request in approvals.requests(agreement.digest()) if request.decision is None]
        for request in waiting:
            _show(request, agreement)
        print(f"{len(waiting)} wait: beaver approve ID, or beaver deny ID --why TEXT" if waiting else "nothing waits")


@app.command()
def approve(
    request: Id,
    directory: Directory = Path(),
    name: Own = "",
    times: Annotated[int, typer.Option(min=1, max=10_000, help="For how many computations of this very plan.")] = 1,
) -> None:
    """Let a plan that waits here run; an earlier denial is taken back."""
    with telling():
        approvals, agreement = _approvals(directory, name)
        found = approvals.decide(request, agreement.digest(), now=int(time.time()), computations=times)
        print(f"approved {found.id[:8]} of {found.analyst}, {'once' if times == 1 else f'{times:,} times'}")


@app.command()
def deny(
    request: Id,
    why: Annotated[str, typer.Option(help="The reason, which all members are told.")],
    directory: Directory = Path(),
    name: Own = "",
) -> None:
    """Refuse a plan that waits here, or one that was approved and has not run; whenever it is submitted again, too."""
    with telling():
        if not why.strip():
            raise BeaverError("no reason is given", "Say why: the analyst and the other parties are told.")
        approvals, agreement = _approvals(directory, name)
        found = approvals.decide(request, agreement.digest(), now=int(time.time()), why=why.strip())
        print(f"denied {found.id[:8]} of {found.analyst}")


def _approvals(directory: Path, name: str) -> tuple[Approvals, Agreement]:
    """The requests here, and the present agreement."""
    from parties.agreement import Agreement
    from parties.approvals import Approvals
    from parties.config import Consortium

    config = own_config(directory, name)
    agreement = Agreement.load(config.agreement, Consortium.load(config.consortium))
    return Approvals(config.state / "approvals.sqlite"), agreement


def _show(request: Request, agreement: Agreement) -> None:
    from mpc.explain import explain
    from mpc.plan import Plan
    from mpc.schema import unit_rows

    asked = datetime.fromtimestamp(request.asked, UTC)
    print(f"request {request.id[:8]} of {request.analyst}, {asked:%Y-%m-%d %H:%M} UTC")
    plan, units = Plan.decode(request.plan), unit_rows(agreement.schema())
    told = explain(plan, source=agreement.source, steps=True, unit_rows=units, colluding=agreement.colluding)
    for line in told.splitlines():
        _print(line)
    for topic, said in request.notes.items():
        _print(f"{topic}: {said}")
    print()


def _print(line: str) -> None:
    """On a terminal's lines, further in."""
    from parties.errors import printable

    indent = len(line) - len(line.lstrip())
    parts = textwrap.wrap(
        printable(line),
        _WIDTH,
        initial_indent="  ",
        subsequent_indent=" " * (indent + 6),
        replace_whitespace=False,
        break_on_hyphens=False,
    )
    print("\n".join(parts))
