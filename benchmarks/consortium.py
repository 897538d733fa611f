"""Real nodes on this machine with generated tables, for measuring."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import duckdb

from parties.client import Analyst
from parties.config import PartyConfig
from parties.launch import Launched, command
from parties.setup import create_consortium
from parties.signatures import sign

__all__ = ["Running", "running"]


class Running:
    """A consortium of live processes: an analyst to submit with, and the processes by name."""

    def __init__(self, folder: Path, processes: Mapping[str, Launched]) -> None:
        self.folder = folder
        self.processes = processes
        self.analyst = Analyst(PartyConfig.load(folder / "analyst" / "party.toml"))

    def peak_mb(self, name: str) -> float:
        """The most memory that a process has held, in MB (VmHWM)."""
        status = Path(f"/proc/{self.processes[name].process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1000


@contextmanager
def running(
    tables: Mapping[str, Mapping[str, tuple[int, str]]],
    terms: str = "",
    source: Literal["dealer", "pairwise"] = "dealer",
) -> Iterator[Running]:
    """Nodes with tables of reals in [-1, 1]: party -> table -> (rows, columns, by commas). Gone on leaving, files too.

    `terms`: lines of the agreement besides. `source`: who makes random material.
    """
    folder = Path(tempfile.mkdtemp(prefix="beaver-bench-"))
    processes: dict[str, Launched] = {}
    try:
        create_consortium(folder, list(tables), base_port=_free_ports(2 * len(tables) + 2), source=source)
        agreement = [f'version = 1\npurpose = "benchmark"\nsource = "{source}"\nrecipients = ["analyst"]\n' + terms]
        for party, held in tables.items():
            for table, (rows, columns) in held.items():
                names = columns.split(",")
                _write(folder / party / "data" / f"{table}.parquet", rows, names)
                agreement.append(f"[data.{party}.{table}]\nrows = {rows}")
                agreement += [f'columns.{name} = {{ type = "real", range = [-1.0, 1.0] }}' for name in names]
        (folder / "agreement.toml").write_text("\n".join(agreement))
        for party in tables:
            sign(PartyConfig.load(folder / party / "party.toml"), time.time())
        for name in [*tables, *(["dealer"] if source == "dealer" else [])]:
            role = "dealer" if name == "dealer" else "node"
            processes[name] = Launched(name, command(role, folder / name / "party.toml"), lambda line: None)
        for process in processes.values():
            if why := process.wait_ready(threading.Event()):
                raise RuntimeError(f"{process.name}: {why}")
        yield Running(folder, processes)
    finally:
        for process in processes.values():
            process.stop()
        shutil.rmtree(folder)


def _write(path: Path, rows: int, columns: Sequence[str]) -> None:
    with duckdb.connect() as connection:
        connection.execute("set memory_limit = '2GB'")
        connection.execute(
            f"copy (select {', '.join(f'random() * 2 - 1 as {column}' for column in columns)} from range({rows})) "
            f"to '{path}' (format parquet)"
        )


def _free_ports(count: int) -> int:
    for first in range(27700, 37700, count):
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")
