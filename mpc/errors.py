"""Errors that a person can act on: what happened, where, and what to do."""

from __future__ import annotations

__all__ = ["BeaverError", "DataError", "PlanError", "ScriptError"]


class BeaverError(Exception):
    """An error meant for a person: `message` says what happened and where, `remedy` what to do. Holds no data value."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class ScriptError(BeaverError):
    """A joint computation script says something that a secret value cannot do, or names data that nobody has."""


class PlanError(BeaverError):
    """A plan that cannot run correctly: it overflows the ring, or is malformed."""


class DataError(BeaverError):
    """A table that cannot be read or encoded as declared."""
