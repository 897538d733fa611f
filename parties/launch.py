"""`beaver up`: the nodes of a consortium, and the dealer where one is agreed, as processes here, until Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from parties.agreement import Agreement
from parties.config import Consortium
from parties.errors import Fault, printable

__all__ = ["Launched", "command", "up"]

_STOP_S = 10.0
_READY_S = 60.0
_MOST_LINES = 20


class Launched:
    """One process of the consortium; `wait_ready` tells whether it came up, or what it said."""

    def __init__(self, name: str, command: list[str], tell: Callable[[str], None]) -> None:
        self.name = name
        self._tell = tell
        self.process = subprocess.Popen(  # noqa: S603 - our own commands
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        self._settled = threading.Event()
        self._said: deque[str] = deque(maxlen=_MOST_LINES)
        self.ready = False
        threading.Thread(target=self._read, name=f"log {name}", daemon=True).start()

    def wait_ready(self, stop: threading.Event) -> str:
        """Why the process is not ready; empty if it is. Waits until `stop` at most."""
        until = time.monotonic() + _READY_S
        while not self._settled.wait(0.1):
            if stop.is_set():
                return "stopped before it was ready"
            if time.monotonic() > until:
                return f"not ready within {_READY_S:.0f} s"
        said = " ".join(self._said).removeprefix("error: ")
        return "" if self.ready else said or f"ended with status {self.process.wait()}"

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
                self._said.extend([line.strip()] if not event else [])
            elif event.get("event") in ("fault", "session_done"):
                self._tell(f"{self.name}: {_told(event)}")
        self._settled.set()


def up(directory: Path) -> int:
    """Start everyone, say of each whether it is ready or why not, and stay until Ctrl-C. Gives the exit status."""
    consortium = Consortium.load(directory / "consortium.toml")
    names = [("dealer", consortium.dealer.name)] if consortium.dealer and _deals(directory) else []
    names += [("node", party) for party in consortium.party_names]
    stop = threading.Event()
    _on_signals(stop)
    launched = [Launched(name, command(role, directory / name / "party.toml"), _print) for role, name in names]
    try:
        failed = False
        for each in launched:
            why = each.wait_ready(stop)
            failed |= bool(why)
            _print(f"{each.name}: {'could not start: ' + why if why else 'ready'}")
        while not failed and not stop.is_set():
            stop.wait(0.5)
            for each in launched:
                if each.process.poll() is not None and each.ready and not stop.is_set():
                    each.ready = False
                    _print(f"{each.name}: ended with status {each.process.returncode}")
            failed = not any(each.ready for each in launched)
        return int(failed)
    finally:
        for each in launched:
            each.process.terminate()
        for each in launched:
            each.stop()


def command(role: str, config: Path) -> list[str]:
    """The command line of a `node` or `dealer` process. `-P`: no module is taken from the folder it is started in."""
    return [sys.executable, "-P", "-m", "parties", role, str(config)]


def _deals(directory: Path) -> bool:
    """Whether the agreement wants a dealer. One that cannot be read is for the processes to refuse."""
    with suppress(Fault):
        return Agreement.load(directory / "agreement.toml").source == "dealer"
    return True


def _on_signals(stop: threading.Event) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handle)


def _print(line: str) -> None:
    with suppress(OSError):  # a closed terminal ends nobody's session
        print(f"{line}\n", end="", flush=True)  # at once: a thread for each process tells of it


def _event(line: str) -> dict[str, object]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _told(event: dict[str, object]) -> str:
    if event["event"] == "fault":
        return printable(f"{event.get('message')} [{event.get('code')}]")
    return f"session {str(event.get('session'))[:8]} done in {event.get('seconds')} s"
