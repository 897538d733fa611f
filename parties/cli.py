"""The command line: `beaver`, put together from the groups of commands in parties/commands/."""

from __future__ import annotations

import typer

from parties.commands import agreement, approvals, audit, catalog, processes, scripts, stock

__all__ = ["app", "main"]

app = typer.Typer(
    name="beaver",
    help="Secure multi-party computation: joint results over data that nobody shows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for group in (processes, catalog, scripts, approvals, stock):
    app.add_typer(group.app)
app.add_typer(agreement.app, name="agreement")
app.add_typer(audit.app, name="audit")


def main() -> None:
    """The `beaver` command."""
    app()
