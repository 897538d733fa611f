"""A party's own tables: files in its data folder, named <table>.csv or <table>.parquet."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mpc import tables
from mpc.encoding import encode_column
from mpc.engine import count_input
from mpc.errors import DataError
from mpc.files import Array as Column
from mpc.plan import Plan
from mpc.sampling import Draw, Rows, sampled
from parties.errors import Fault
from protocols.ring import Array

__all__ = ["Store", "Version"]

_TABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SUFFIXES = (".csv", ".parquet")

Version = tuple[int, int, int] | None
"""Changes with a file; None for one that is not there."""


class Store:
    """The tables in one folder. Row counts are remembered for as long as a file does not change. For many threads.

    `limit`: of a table that has so many rows, how many take part, from the first on.
    """

    def __init__(self, party: str, folder: Path, limit: Callable[[str, int], int] = lambda table, rows: rows) -> None:
        self._party = party
        self._folder = folder
        self._limit = limit
        self._rows: dict[Path, tuple[Version, int]] = {}
        self._lock = threading.Lock()

    def path(self, table: str) -> Path:
        """The file of a table. Raises Fault TABLE_MISSING."""
        names = [f"{table}{suffix}" for suffix in _SUFFIXES] if _TABLE.fullmatch(table) else []
        found = [self._folder / name for name in names if os.path.lexists(self._folder / name)]
        if len(found) > 1:
            raise Fault(
                "TABLE_TWICE", f"{self._party} has both {' and '.join(names)}: the same table", "Remove one of them."
            )
        if not found:
            raise Fault(
                "TABLE_MISSING",
                f"{self._party} has no file for the table {table[:64]!r} in its data folder, or may not look there",
                f"Put {table[:64]}.csv or {table[:64]}.parquet into {self._party}'s data folder.",
            )
        return found[0]

    def rows(self, table: str) -> int:
        """The number of rows of a table that take part. Raises Fault TABLE_MISSING, DataError."""
        path = self.path(table)
        with self._lock:  # while counting, too: others want the same number
            before = _version(path)
            known = self._rows.get(path)
            if known is None or known[0] != before:
                known = self._rows[path] = before, tables.describe(path, f"{self._party}.{table}").rows
        return self._taking_part(table, path, *known)

    def version(self, table: str) -> Version:
        """What changes with a table's file. Raises Fault TABLE_MISSING."""
        return _version(self.path(table))

    def columns(self, table: str, names: Sequence[str]) -> dict[str, Column]:
        """Columns of a table, of the rows that take part. Raises Fault TABLE_MISSING, DataError."""
        path = self.path(table)
        before = _version(path)
        columns = tables.read(path, names, f"{self._party}.{table}")
        if not columns:
            return {}
        rows = self._taking_part(table, path, before, len(next(iter(columns.values()))))
        return {name: values[:rows] for name, values in columns.items()}

    def digest(self, table: str) -> bytes:
        """SHA-256 of a table's file. Raises Fault TABLE_MISSING, OSError."""
        with self.path(table).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    def inputs(self, plan: Plan, drawn: Mapping[Draw, Rows]) -> tuple[dict[int, Array], float, float]:
        """What the plan takes of this party, encoded, by step; the seconds spent on reading and on encoding.

        `drawn`: the rows of its random samples. Reads only the columns that the plan names. Raises Fault TABLE_MISSING,
        DataError.
        """
        inputs: dict[int, Array] = {}
        wanted: dict[str, dict[str, list[int]]] = {}
        for i, step in plan.of("column"):
            if step.params["party"] == self._party:
                wanted.setdefault(step.params["table"], {}).setdefault(step.params["column"], []).append(i)
        started = time.perf_counter()
        encoding = 0.0
        for table, columns in wanted.items():
            values = self.columns(table, list(columns))
            encode_from = time.perf_counter()
            for column, steps in columns.items():
                for i in steps:
                    inputs[i] = encode_column(values[column], plan.steps[i].params, overwrite=i == steps[-1])
                del values[column]
            encoding += time.perf_counter() - encode_from
        inputs |= sampled(plan, self._party, inputs, drawn)
        for i, step in plan.of("count"):
            if step.params["party"] == self._party:
                counted = self.rows(step.params["table"])
                if counted != step.params["rows"]:
                    raise Fault(
                        "ROWS_CHANGED",
                        f"{self._party}.{step.params['table']} has {counted:,} rows, "
                        f"the plan was made for {step.params['rows']:,}",
                        "The table changed since the script was submitted. Submit again.",
                    )
                inputs[i] = count_input(step.params)
        return inputs, time.perf_counter() - started - encoding, encoding

    def _taking_part(self, table: str, path: Path, version: Version, rows: int) -> int:
        """Of so many rows, which the file had in this version."""
        taking_part = self._limit(table, rows)
        if _version(path) != version:
            raise Fault("ROWS_CHANGED", f"{self._party}.{table} has changed meanwhile", "Ask again.")
        if taking_part == 0:
            raise DataError(
                f"{self._party}.{table} has fewer rows than the smallest number that is told of it", "Wait for more."
            )
        return taking_part


def _version(path: Path) -> Version:
    """What changes with the file; None for a file that is not there, which the reader will say."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
