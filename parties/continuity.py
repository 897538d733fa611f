"""Whether the databases of a state folder are as new as the record beside them: no old copy revives what was used up.

Every change to one of them advances a count in the file. Entries of the record that tell of something that was counted
note how far each file is, and are made when the disk holds the change: so the record is never ahead of its databases,
whatever crashes. Where it is, a file was put back from an old copy, or began anew. A number that only grows stands for
all that is in a file: nothing that is forgotten after some days, or belongs to another agreement, changes it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from parties.approvals import Approvals
from parties.errors import Fault

__all__ = ["Continuity", "counted"]

_APPROVALS = "approvals.sqlite"
_FILES = ("ledger.sqlite", "privacy.sqlite", _APPROVALS)
_LOCK_WITHIN_S = 10.0


class Continuity:
    """The counts of one state folder. For many threads."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def counts(self) -> dict[str, int]:
        """How many changes each file has had, by name; those that are not there are left out.

        Raises Fault STATE_DAMAGED for what is no database, STATE_UNWRITABLE.
        """
        return {name: _count(self._state / name) for name in _FILES if (self._state / name).exists()}

    def check(self, told: Mapping[str, int]) -> None:
        """Refuse files that have had fewer changes than the record tells of. Before any of them is opened.

        A file of approvals that is missing begins anew, at the count that is told: nothing is approved in it, and an
        old copy is refused later as well.

        Raises Fault STATE_DAMAGED for a file that is older, or is missing.
        """
        found = self.counts()
        for name in _FILES:
            count, most = found.get(name), told.get(name, 0)
            if name == _APPROVALS and count is None and most:
                Approvals(self._state / name).begin(most)
            elif (count or 0) < most:
                raise self._behind(name, count, most)

    def _behind(self, name: str, count: int | None, told: int) -> Fault:
        what = "is missing" if count is None else f"is older than the record beside it, or began anew ({count:,})"
        remedy = (
            "Put back the newest file, or move this one away: whatever was approved in it has to be approved again."
            if name == _APPROVALS
            else "Put back the newest file, the one that was in use last. To begin anew on purpose, settle on it with "
            "the other members first, then move the whole state folder away and make new keys for this party."
        )
        return Fault(
            "STATE_DAMAGED",
            f"{self._state / name} {what}: audit.jsonl tells of {told:,} changes to it. What was used up would count "
            "as unused.",
            remedy,
        )


def counted(content: Mapping[str, Any]) -> Mapping[str, int]:
    """The counts that an entry of the record notes, by file. Raises ValueError for what is none."""
    counts = content.get("counted", {})
    if type(counts) is not dict or not all(type(count) is int and count >= 0 for count in counts.values()):
        raise ValueError("notes counts that are none")
    return counts


def _count(path: Path) -> int:
    # Through sqlite: to close the file in another way would end the locks of this process on it.
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_WITHIN_S)) as connection:
            return int(connection.execute("pragma user_version").fetchone()[0])
    except sqlite3.OperationalError as error:
        raise Fault(
            "STATE_UNWRITABLE",
            f"{path} cannot be read ({error}).",
            "See that it belongs to the user who runs this process, then start again.",
        ) from None
    except sqlite3.DatabaseError:
        raise Fault(
            "STATE_DAMAGED",
            f"{path} is damaged, replaced or something else.",
            "Put back the newest file, the one that was in use last.",
        ) from None
