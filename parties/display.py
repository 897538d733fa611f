"""What a person sees while a session runs, and of its result."""

from __future__ import annotations

import re
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from mpc.result import Result

__all__ = ["SessionProgress", "show_result"]

_WORDS = {
    "submitted": "loading",
    "waiting": "its owner has to approve",
    "loaded": "waiting for the others",
    "dealt": "computing",
    "done": "done",
}
_DONE = {"dealt": 100, "done": 100}
"""How far the bar is: it shows the random material, which takes longest."""


class SessionProgress:
    """One line a party on the terminal's error stream, saying what it does."""

    def __init__(self, *, quiet: bool) -> None:
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
            console=Console(stderr=True), disable=quiet,
        )  # fmt: skip
        self._lines: dict[str, TaskID] = {}

    def told(self, party: str, phase: str) -> None:
        """A party has reached a phase."""
        if not self._lines:
            self._progress.start()
        if party not in self._lines:
            self._lines[party] = self._progress.add_task(party, total=100)
        making = re.fullmatch(r"making ([0-9]{1,2}) %", phase)
        what = "making random material" if making else _WORDS.get(phase, "working")
        done = int(making[1]) if making else _DONE.get(phase, 0)
        self._progress.update(self._lines[party], description=f"{party}: {what}", completed=done)

    def __enter__(self) -> SessionProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lines:
            self._progress.stop()


def show_result(result: Result) -> None:
    """The results, and what they took, as tables."""
    console = Console()
    table = Table("result", "value")
    for name, value in result.items():
        table.add_row(Text(name), np.array2string(value) if isinstance(value, np.ndarray) else f"{value:,}")
    for name, to in result.elsewhere.items():
        table.add_row(Text(name), f"revealed to {', '.join(to)}, in their results folder")
    console.print(table)
    sent = ", ".join(f"{party} {size:,}" for party, size in result.traffic.bytes_sent.items())
    console.print(f"{result.traffic.rounds} rounds; bytes sent: {sent}", style="dim", highlight=False)
    timings = result.timings
    console.print(
        f"load {timings.load:.3f} s, offline {timings.offline:.3f} s, online {timings.online:.3f} s, "
        f"total {timings.total:.3f} s",
        style="dim",
        highlight=False,
    )
