"""Joint results beside the same computed in numpy from everybody's plaintext.

`python examples/compare.py EXAMPLE < result.json` reads what `beaver run --json` printed, shows both, and fails when
they differ.
"""

from __future__ import annotations

import csv
import json
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table

__all__ = ["RELATIVE_TOLERANCE", "differences", "main", "pooled", "read", "show"]

RELATIVE_TOLERANCE = 1e-6
"""Of the pooled value: what fixed point may lose on columns rounded to its scale. Integers come out exact."""

Tables = dict[str, dict[str, dict[str, np.ndarray]]]
"""party -> table -> column -> vector"""


def read(data: Path) -> Tables:
    """Every `<party>/<table>.csv` under `data`; integer columns as int64, others as float64."""
    tables: Tables = {}
    for path in sorted(data.glob("*/*.csv")):
        with path.open(newline="", encoding="ascii") as file:
            header, *rows = csv.reader(file)
        columns = zip(header, zip(*rows, strict=True), strict=True)
        tables.setdefault(path.parent.name, {})[path.stem] = {name: _vector(texts) for name, texts in columns}
    return tables


def _vector(texts: Sequence[str]) -> np.ndarray:
    try:
        return np.array([int(text) for text in texts])
    except ValueError:
        return np.array([float(text) for text in texts])


def pooled(example: Path) -> dict[str, ArrayLike]:
    """The example's results by name, from its `pooled.py` over all its data in one place."""
    results: dict[str, ArrayLike] = runpy.run_path(str(example / "pooled.py"))["pooled"](read(example / "data"))
    return results


def differences(joint: Mapping[str, ArrayLike], expected: Mapping[str, ArrayLike]) -> dict[str, float]:
    """Largest relative difference by result; infinite where a result is missing, unexpected, or of another shape."""
    return {name: _difference(joint.get(name), expected.get(name)) for name in {**expected, **joint}}


def _difference(joint: ArrayLike | None, expected: ArrayLike | None) -> float:
    if joint is None or expected is None or np.shape(joint) != np.shape(expected):
        return float("inf")
    error, size = np.abs(np.subtract(joint, expected, dtype=float)), np.abs(np.asarray(expected, dtype=float))
    return float(np.max(error / np.where(size > 0, size, 1)))


def show(console: Console, joint: Mapping[str, ArrayLike], expected: Mapping[str, ArrayLike]) -> bool:
    """Prints both side by side; True if all agree within the tolerance."""
    table = Table("result", "joint", "pooled plaintext", "relative difference")
    off = differences(joint, expected)
    for name, difference in off.items():
        agrees = difference <= RELATIVE_TOLERANCE
        verdict = "none" if difference == 0 else f"{difference:.1e}"
        table.add_row(name, _text(joint.get(name)), _text(expected.get(name)), verdict, style=None if agrees else "red")
    console.print(table)
    return all(difference <= RELATIVE_TOLERANCE for difference in off.values())


def _text(value: ArrayLike | None) -> str:
    if value is None:
        return "missing"
    rows = np.atleast_2d(np.asarray(value))
    return "\n".join("  ".join(f"{number:,.7g}" for number in row) for row in rows.tolist())


def main(arguments: Sequence[str]) -> int:
    """0 if the result on standard input agrees with the example's pooled plaintext, else 1."""
    example = Path(__file__).parent / arguments[0]
    return 0 if show(Console(), json.load(sys.stdin)["result"], pooled(example)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
