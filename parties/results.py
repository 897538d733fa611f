"""Results that are revealed to a party: files in its results folder that only its owner may read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mpc.encoding import decode
from mpc.plan import Plan
from mpc.result import plain
from mpc.undefined import settled
from parties.errors import Fault
from protocols.ring import Array

__all__ = ["Results"]


class Results:
    """One party's results folder. Raises Fault RESULTS_UNWRITABLE."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Make the folder, before anything is computed that it could not take."""
        with self._faults():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, plan: Plan, revealed: Mapping[str, Array], session: bytes) -> None:
        """Write what a plan revealed, ring elements by name, to <session>.json, mode 0600; it is there whole or not."""
        steps = {step.params["name"]: (plan.types[i], step.params["unit"]) for i, step in plan.of("reveal")}
        results = {name: decode(elements, *steps[name]) for name, elements in revealed.items()}
        path = self._folder / f"{session.hex()}.json"
        new = path.with_suffix(".new")
        with self._faults():
            try:
                with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                    json.dump({"plan": plan.digest.hex(), "result": plain(settled(results))}, file)
                    file.flush()
                    os.fsync(file.fileno())
                # A link, as renaming would overwrite an older session's results.
                os.link(new, path)
            finally:
                with suppress(FileNotFoundError):
                    new.unlink()

    def forget(self, before: float) -> None:
        """Remove the results that were written before a time, in seconds since 1970."""
        with self._faults():
            for path in self._folder.glob("*.json"):
                if re.fullmatch(r"[0-9a-f]{32}", path.stem) and path.lstat().st_mtime < before:
                    path.unlink(missing_ok=True)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Fault(
                "RESULTS_UNWRITABLE",
                f"{self._folder} takes no results ({error.strerror})",
                "Make room there, and let it belong to the user who runs the node.",
            ) from None
