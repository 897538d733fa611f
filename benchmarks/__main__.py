"""`python -m benchmarks [--large | --offline | --lattice] [--peers FILE] [--out FILE]`: measurements, and JSON."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import lattice, measure, numeric, ot, pairwise, peers, primitives, ring

Measurement = Callable[[], list[dict[str, Any]]]

_BESIDE = (
    ("lt", 10**5),
    ("lt", 10**6),
    ("mul", 10**6),
    ("multiply", 10**6),
    ("divide", 10**5),
    ("sort", 10**4),
    ("sort", 10**5),
    ("median", 10**5),
    ("logreg", 1000),
)
"""What other engines are measured on, and how many elements: of these, each does what its adapter knows."""


def main() -> None:
    """Measure, print, and write the JSON file."""
    arguments = argparse.ArgumentParser(description="Measures Beaver on this machine.")
    arguments.add_argument("--large", action="store_true", help="also private dots of 10^8 (needs 8 GiB and minutes)")
    arguments.add_argument("--offline", action="store_true", help="only how material is made without a dealer")
    arguments.add_argument("--lattice", action="store_true", help="only products of two parties without a dealer")
    arguments.add_argument("--peers", type=Path, help="a TOML file of other engines' adapters, to run side by side")
    arguments.add_argument("--out", type=Path)
    chosen = arguments.parse_args()
    sizes = [10**4, 10**6, 10**7] + ([10**8] if chosen.large else [])
    console = Console()
    console.width = max(console.width, 170)
    online: dict[str, Measurement] = {
        "ring": ring.measure,
        "dots": lambda: measure.dots(sizes),
        "latency": measure.latency,
        "joint mean": measure.joint_mean,
        "imports": measure.imports,
        "primitives": primitives.measure,
        "numeric suite": numeric.measure,
    }
    offline: dict[str, Measurement] = {
        "material of oblivious transfer": ot.transfers,
        "from nothing, no dealer": pairwise.sessions,
    }
    private: dict[str, Measurement] = {
        "lattice kernels": lattice.kernels,
        "private products, no dealer": lambda: lattice.products(large=chosen.large),
    }
    if adapters := chosen.peers:
        for workload, n in _BESIDE:
            online[f"peers: {workload}"] = partial(peers.measure, adapters, workload, n)
        for workload, n in (("dot", 10**6), ("mul", 10**6), ("lt", 10**5)):
            offline[f"peers: {workload}, {n:,}"] = partial(peers.measure, adapters, workload, n)
        for workload, n in (("dot", 10**6), ("dot", 10**7), ("matmul", 512)):
            private[f"peers: {workload}, {n:,}"] = partial(peers.measure, adapters, workload, n)
    chosen_group = "offline" if chosen.offline else "lattice" if chosen.lattice else ""
    results = {}
    for name, run in {"offline": offline, "lattice": private, "": online | private}[chosen_group].items():
        results[name] = run()
        _show(console, name, results[name])
    out = chosen.out or Path("benchmarks/results") / f"{chosen_group or 'latest'}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": platform.platform(), "results": results}, indent=2))
    console.print(f"written to {out}")


def _show(console: Console, name: str, rows: list[dict[str, object]]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = Table(*columns, title=name)
    for row in rows:
        table.add_row(*(f"{value:,.4g}" if isinstance(value, float) else str(value) for value in map(row.get, columns)))
    console.print(table)


if __name__ == "__main__":
    main()
