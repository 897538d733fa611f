"""Structured lines, one JSON object each, that can hold nothing but what is listed here."""

from __future__ import annotations

import json
import re
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

__all__ = ["FIELDS", "Log"]

_FIELDS = """
address agreement analyst bytes code count data dealer first message name parties peer phase pid plan port reason remedy
rounds rows script seconds session source state step table version
"""
FIELDS = frozenset(_FIELDS.split())
"""The names of fields that a line may have. None of them is for a value of anybody's data."""

_MAX_TEXT = 2000


class Log:
    """Writes lines for one party. For any number of threads."""

    def __init__(self, party: str, stream: TextIO) -> None:
        self._party = party
        self._stream = stream
        self._lock = threading.Lock()

    def event(self, name: str, **fields: str | int | float) -> None:
        """Write a line: the time (UTC), the party, the event (lower_snake) and the fields, whose names are in FIELDS.

        Raises ValueError or TypeError for anything else: bytes, arrays and unlisted fields are never written.
        """
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError("an event is named in lower_snake")
        if unknown := sorted(set(fields) - FIELDS):
            raise ValueError(f"no field of a log line: {', '.join(unknown)}")
        line: dict[str, str | int | float] = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "party": self._party,
            "event": name,
        }
        for field, value in fields.items():
            # Exactly these: a subclass, such as numpy's floats, comes from data.
            if type(value) not in (str, int, float, bool):
                raise TypeError(f"{field} is {type(value).__name__}, not text or a number")
            line[field] = value[:_MAX_TEXT] if isinstance(value, str) else value
        text = json.dumps(line, allow_nan=False) + "\n"
        # A full disk or a closed terminal ends no session.
        with self._lock, suppress(OSError):
            self._stream.write(text)
            self._stream.flush()
