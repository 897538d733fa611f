"""`beaver up`: the dealer and all nodes of a consortium as processes on this machine, until Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from parties.config import Consortium

__all__ = ["Launched", "command", "up"]

_STOP_S = 10.0
_READY_S = 60.0


class Launched:
    """One process of the consortium; `wait_ready` tells whether it came up, or what it said."""

    def __init__(self, name: str, command: list[str], tell: Callable[[str], None]) -> None:
        self.name = name
        self._tell = tell
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        self._settled = threading.Event()
        self._last = ""
        self.ready = False
        threading.Thread(target=self._read, name=f"log {name}", daemon=True).start()

    def wait_ready(self) -> str:
        """Why the process is not ready; empty if it is."""
        if not self._settled.wait(_READY_S):
            return f"not ready within {_READY_S:.0f} s"
        return "" if self.ready else self._last or f"ended with status {self.process.wait()}"

    def stop(self) -> None:
        """End the process, at first politely."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            event = _event(line)
            if event.get("event") == "ready":
                self.ready = True
                self._settled.set()
            elif not self.ready:
                self._last = line.strip() if not event else self._last
            elif event.get("event") in ("fault", "session_done"):
                self._tell(f"{self.name}: {_told(event)}")
        self._settled.set()


def up(directory: Path) -> int:
    """Start everyone, say of each whether it is ready or why not, and stay until Ctrl-C. Gives the exit status."""
    consortium = Consortium.load(directory / "consortium.toml")
    names = [("dealer", consortium.dealer.name)] if consortium.dealer else []
    names += [("node", party) for party in consortium.party_names]
    stop = threading.Event()
    _on_signals(stop)
    launched = [Launched(name, command(role, directory / name / "party.toml"), _print) for role, name in names]
    try:
        failed = False
        for each in launched:
            why = each.wait_ready()
            failed |= bool(why)
            _print(f"{each.name}: {'could not start: ' + why if why else 'ready'}")
        while not failed and not stop.is_set():
            stop.wait(0.5)
            for each in launched:
                if each.process.poll() is not None and each.ready and not stop.is_set():
                    each.ready = False
                    _print(f"{each.name}: ended with status {each.process.returncode}")
        return int(failed)
    finally:
        for each in launched:
            each.process.terminate()
        for each in launched:
            each.stop()


def command(role: str, config: Path) -> list[str]:
    """The command line of a `node` or `dealer` process."""
    return [sys.executable, "-m", "parties", role, str(config)]


def _on_signals(stop: threading.Event) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)


def _print(line: str) -> None:
    print(line, flush=True)


def _event(line: str) -> dict[str, object]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _told(event: dict[str, object]) -> str:
    if event["event"] == "fault":
        return f"{event.get('message')} [{event.get('code')}]"
    return f"session {str(event.get('session'))[:8]} done in {event.get('seconds')} s"
