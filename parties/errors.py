"""Coded faults: what happened, which session, peer and phase, and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mpc.errors import BeaverError

__all__ = ["Fault", "FaultReport", "printable"]

_MOST_TEXT = 2000


def printable(text: str) -> str:
    """The text on one line, as a terminal may show it: what is not printable, such as an escape, becomes a space."""
    return "".join(character if character.isprintable() else " " for character in text)


@dataclass(frozen=True)
class FaultReport:
    """A fault as it travels and is logged, without a data value. `party` noticed it, `peer` is whom it blames."""

    code: str
    message: str
    remedy: str = ""
    party: str = ""
    peer: str = ""
    session: str = ""
    phase: str = ""

    def to_wire(self) -> dict[str, str]:
        """The report as a flat message."""
        return dict(vars(self))

    @classmethod
    def from_wire(cls, fields: Mapping[str, object]) -> FaultReport:
        """The report in a message from elsewhere: fields unknown or over-long are dropped or cut, all are printable.

        A code that cannot be one becomes UNEXPECTED.
        """
        told = {name: printable(str(fields.get(name, ""))[:_MOST_TEXT]) for name in cls.__dataclass_fields__}
        if not re.fullmatch(r"[A-Z_]+", told["code"]):
            told["code"] = "UNEXPECTED"
        return cls(**told)

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.party, self.session and f"session {self.session}", self.phase) if part)
        text = f"{where}: {self.message}" if where else self.message
        text = f"{text} [{self.code}]"
        return f"{text}\n  {self.remedy}" if self.remedy else text


class Fault(BeaverError):  # noqa: N818 - the word of the architecture
    """A coded error. `code` is UPPER_SNAKE and stable; tests and operators match on it."""

    def __init__(self, code: str, message: str, remedy: str = "", *, peer: str = "") -> None:
        super().__init__(message, remedy)
        self.report = FaultReport(code=code, message=message, remedy=remedy, peer=peer)

    @classmethod
    def of(cls, report: FaultReport) -> Fault:
        """The fault that a report from elsewhere tells of."""
        fault = cls(report.code, report.message, report.remedy, peer=report.peer)
        fault.report = report
        return fault

    @property
    def code(self) -> str:
        """The stable code."""
        return self.report.code

    def at(self, *, party: str = "", session: str = "", phase: str = "") -> Fault:
        """This fault with the place where it was noticed filled in, where it was not yet."""
        self.report = replace(
            self.report,
            party=self.report.party or party,
            session=self.report.session or session,
            phase=self.report.phase or phase,
        )
        return self

    def __str__(self) -> str:
        return str(self.report)
