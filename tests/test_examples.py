"""The examples: their data is what the packages ship, their agreements cover it, their scripts agree with numpy."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import mpc

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ["visits", "biopsies"]


def load(name: str) -> SimpleNamespace:
    """A script of `examples/`, which is no package."""
    return SimpleNamespace(**runpy.run_path(str(EXAMPLES / f"{name}.py")))


compare = load("compare")


@pytest.mark.parametrize(
    ("example", "package", "version"), [("visits", "statsmodels", "0.15"), ("biopsies", "sklearn", "1.5")]
)
def test_data_is_what_the_package_ships_byte_for_byte(example: str, package: str, version: str, tmp_path: Path) -> None:
    pytest.importorskip(package, minversion=version)
    getattr(load("prepare"), example)(tmp_path)
    kept = {path.relative_to(EXAMPLES): path.read_bytes() for path in EXAMPLES.glob(f"{example}/data/*/*.csv")}
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.glob(f"{example}/data/*/*.csv")}
    assert made == kept
    assert len(kept) == 3


@pytest.mark.parametrize("example", NAMES)
def test_agreement_covers_exactly_the_data(example: str) -> None:
    agreement = tomllib.loads((EXAMPLES / example / "agreement.toml").read_text())
    tables = compare.read(EXAMPLES / example / "data")
    assert {party: list(held) for party, held in agreement["data"].items()} == {
        party: list(held) for party, held in tables.items()
    }
    for party, held in tables.items():
        for name, columns in held.items():
            declared = agreement["data"][party][name]
            assert list(declared["columns"]) == list(columns)
            for column, vector in columns.items():
                assert len(vector) <= declared["rows"]
                low, high = declared["columns"][column]["range"]
                assert low <= vector.min() <= vector.max() <= high
                assert (declared["columns"][column]["type"] == "integer") == (vector.dtype == np.int64)


@pytest.mark.parametrize("example", NAMES)
def test_simulated_script_agrees_with_pooled_plaintext(example: str) -> None:
    computation = runpy.run_path(str(EXAMPLES / example / f"{example}.py"))[example]
    folder = EXAMPLES / example
    tables = {
        party: {path.stem: path for path in sorted((folder / "data" / party).iterdir())}
        for party in compare.read(folder / "data")
    }
    joint, expected = mpc.simulate(computation, tables), compare.pooled(folder)
    differences = compare.differences(joint, expected)
    assert all(difference <= compare.RELATIVE_TOLERANCE for difference in differences.values()), differences


def test_a_difference_is_seen() -> None:
    differences = compare.differences
    assert differences({"a": 3, "b": [1.0, 2.0]}, {"a": 3, "b": [1.0, 2.0]}) == {"a": 0, "b": 0}
    assert differences({"a": [2.0, 2.0]}, {"a": [2.0, 2.5]})["a"] == pytest.approx(0.2)
    assert differences({"a": 1}, {"b": 1}) == {"a": float("inf"), "b": float("inf")}
    assert differences({"a": [1, 2]}, {"a": [[1, 2]]})["a"] == float("inf")
    assert differences({"a": float("nan")}, {"a": 1.0})["a"] != 0


@pytest.mark.timeout(300)
def test_demo_runs_nodes_and_agrees(tmp_path: Path) -> None:
    """In a folder of its own: the demo keeps its consortia below the current one."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py")], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agrees with the pooled plaintext" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
