"""What time it is, for terms that end: never earlier than it ever was here, wherever the machine's clock is set."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from parties.agreement import Agreement
from parties.errors import Fault
from parties.ledger import Ledger

__all__ = ["Clock", "check_begun", "check_not_over"]

_NOTED_EVERY_S = 60


class Clock:
    """A node's time, in seconds since 1970: that of the machine's clock, unless that has been set back.

    The latest time seen is in the ledger, to the minute; while the process runs, time goes on by the monotonic clock,
    too. For many threads. `now`, `elapsed`: where the machine's time, and time that only goes on, come from.
    """

    def __init__(
        self, ledger: Ledger, now: Callable[[], float] = time.time, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._noted = ledger.latest(int(now()))
        self._latest, self._at = float(self._noted), elapsed()

    def now(self) -> float:
        """What the machine's clock says."""
        return self._now()

    def latest(self) -> float:
        """The time, or the latest ever seen here if that is later. Raises Fault STATE_UNWRITABLE."""
        with self._lock:
            elapsed = self._elapsed()
            self._latest, self._at = max(self._now(), self._latest + elapsed - self._at), elapsed
            if self._latest >= self._noted + _NOTED_EVERY_S:
                self._noted = self._ledger.latest(int(self._latest))
                self._latest = max(self._latest, float(self._noted))
            return self._latest

    def check_not_over(self, agreement: Agreement) -> None:
        """Raise Fault AGREEMENT_EXPIRED if the agreement's term is over, or was at the latest time seen here."""
        latest = self.latest()
        try:
            check_not_over(agreement, self._now(), latest)
        except Fault:
            self._ledger.latest(int(latest))  # at once: a clock set back by seconds revives nothing either
            raise

    def check(self, agreement: Agreement) -> None:
        """Raise Fault AGREEMENT_EXPIRED or AGREEMENT_NOT_YET_VALID unless the agreement's term goes on."""
        self.check_not_over(agreement)
        # A clock that was once ahead must not begin a term early: here what the machine says now counts.
        check_begun(agreement, self._now())


def check_not_over(agreement: Agreement, now: float, latest: float) -> None:
    """Raise Fault AGREEMENT_EXPIRED if the agreement's term was over at `latest`. Seconds since 1970."""
    if agreement.valid_until is not None and latest >= agreement.valid_until.timestamp():
        behind = f", though this machine's clock says {_told(now)}" if now < latest - _NOTED_EVERY_S else ""
        raise Fault(
            "AGREEMENT_EXPIRED",
            f"The agreement ended on {_told(agreement.valid_until.timestamp())}; it is {_told(latest)}{behind}.",
            "Have every party sign a new agreement.",
        )


def check_begun(agreement: Agreement, now: float) -> None:
    """Raise Fault AGREEMENT_NOT_YET_VALID if the agreement's term has not begun. Seconds since 1970."""
    if agreement.valid_from is not None and now < agreement.valid_from.timestamp():
        raise Fault(
            "AGREEMENT_NOT_YET_VALID",
            f"The agreement begins on {_told(agreement.valid_from.timestamp())}; it is {_told(now)}.",
            "Wait until then, or have every party sign another agreement.",
        )


def _told(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
