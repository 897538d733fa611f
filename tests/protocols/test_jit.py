"""Loops are compiled once, and anew when what they call has changed: stale machine code would be a silent fault."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OUTER = """
from numba import types
from called import added
from protocols.jit import compiled

@compiled(types.uint64[::1])
def loop(x):
    for i in range(x.size):
        added(x, i)
"""
CALLED = """
import numpy as np
from protocols.jit import inner
{more}
_MORE = np.uint64({number})
_TABLE = np.array([0, {table}], np.uint64)

@inner
def further(x, i):
    x[i] += np.uint64({further})

@inner
def added(x, i):
    x[i] += _MORE + _TABLE[1]
    further(x, i)
"""
RUN = """
import numpy as np, outer
x = np.zeros(1, np.uint64)
outer.loop(x)
print(int(x[0]), sum(outer.loop.stats.cache_hits.values()))
"""


def run(folder: Path, number: int, further: int = 0, table: int = 0, more: str = "") -> tuple[int, bool]:
    """What the loop adds, and whether it was read from disk."""
    (folder / "called.py").write_text(CALLED.format(number=number, further=further, table=table, more=more))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), *sys.path])
    told = subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, check=True)
    value, hits = map(int, told.stdout.split())
    return value, bool(hits)


def test_a_loop_is_compiled_again_when_what_it_calls_has_changed(tmp_path: Path) -> None:
    (tmp_path / "outer.py").write_text(OUTER)
    assert run(tmp_path, 3) == (3, False)
    assert run(tmp_path, 3) == (3, True)
    assert run(tmp_path, 3, more="# a remark\n") == (3, True)
    assert run(tmp_path, 4) == (4, False)
    assert run(tmp_path, 4, further=5) == (9, False)
    assert run(tmp_path, 4, table=6) == (10, False)
    assert run(tmp_path, 3) == (3, True)
