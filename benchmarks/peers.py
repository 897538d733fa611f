"""Other engines on the same work, side by side: runs adapters that print one JSON line for each measurement.

An adapter is a command in a TOML file, `[adapters]` name = ["python", "adapter.py", ...]; it understands
`--workloads W --n N --reps R --timeout S` and tells "seconds", "bytes_per_party", "rounds" (as it counts them), "note".
`benchmarks/adapters/` has some: name = ["/path/to/its/python", "benchmarks/adapters/on_spu.py"].
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

__all__ = ["measure"]

Row = dict[str, Any]


def measure(adapters: Path, workload: str, n: int, repetitions: int = 3, timeout_s: int = 300) -> list[Row]:
    """One row for every adapter in the file."""
    commands: dict[str, list[str]] = tomllib.loads(adapters.read_text())["adapters"]
    rows = []
    for name, command in commands.items():
        told = subprocess.run(
            [*command, "--workloads", workload, "--n", str(n), "--reps", str(repetitions), "--timeout", str(timeout_s)],
            capture_output=True,
            text=True,
            check=False,
        )
        for line in told.stdout.splitlines():
            if line.startswith("{"):
                found = json.loads(line)
                rows.append(
                    {
                        "what": f"{workload}, n = {n:,}",
                        "engine": f"{name} {found.get('variant', '')}".strip(),
                        "seconds": found.get("seconds"),
                        "mb_a_party": (found.get("bytes_per_party") or 0) / 1e6,
                        "rounds": found.get("rounds"),
                        "note": found.get("note"),
                    }
                )
    return rows
