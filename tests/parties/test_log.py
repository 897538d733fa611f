"""Log lines are one JSON object each, and hold nothing that is not listed."""

from __future__ import annotations

import io
import json
import threading
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from parties.log import Log


def test_a_line_is_one_json_object() -> None:
    stream = io.StringIO()
    Log("north", stream).event("session_started", session="ab12", rows=3, seconds=0.5, message='two\nlines "quoted"')
    (line,) = stream.getvalue().splitlines()
    fields = json.loads(line)
    at = datetime.fromisoformat(fields.pop("at"))
    assert at.tzinfo == UTC
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert list(fields.items()) == [
        ("party", "north"),
        ("event", "session_started"),
        ("session", "ab12"),
        ("rows", 3),
        ("seconds", 0.5),
        ("message", 'two\nlines "quoted"'),
    ]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"value": 1}, ValueError),
        ({"share": "x"}, ValueError),
        ({"session": b"bytes"}, TypeError),
        ({"session": None}, TypeError),
        ({"parties": ["north"]}, TypeError),
        ({"count": np.int64(1)}, TypeError),
        ({"seconds": np.float64(1)}, TypeError),
        ({"count": np.array([1])}, TypeError),
        ({"seconds": float("nan")}, ValueError),
    ],
)
def test_nothing_else_is_written(fields: dict[str, Any], error: type[Exception]) -> None:
    stream = io.StringIO()
    with pytest.raises(error):
        Log("north", stream).event("failed", **fields)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("name", ["", "Two", "two words", "two\nlines"])
def test_an_event_has_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="lower_snake"):
        Log("north", io.StringIO()).event(name)


def test_long_text_is_cut() -> None:
    stream = io.StringIO()
    Log("north", stream).event("failed", message="x" * 100_000)
    assert len(stream.getvalue()) < 2200


def test_lines_of_many_threads_stay_whole() -> None:
    stream = io.StringIO()
    log = Log("north", stream)
    threads = [threading.Thread(target=lambda: [log.event("step", count=i) for i in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([json.loads(line) for line in stream.getvalue().splitlines()]) == 1600


def test_a_full_disk_ends_nothing() -> None:
    stream = open("/dev/full", "w")  # noqa: SIM115  (closing it fails, too)
    Log("north", stream).event("started")
    Log("north", stream).event("stopped")
    with pytest.raises(OSError, match="No space"):
        stream.close()
