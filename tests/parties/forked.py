"""Python processes that are there at once: forked from one that has imported what nodes and commands import.

Each is a process of its own, with its own memory, files, sockets and signals; it only need not import all that again.
What a shell starts, with an interpreter of its own, is tested by test_cli.py and by the manual's commands.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NoReturn

__all__ = ["Forked", "Piped"]

_IMPORTED = (
    "parties.cli",
    "parties.node",
    "parties.dealer",
    "parties.client",
    "protocols.kernels",
    "numpy.ma",
    "opendp.measurements",
    "dp_accounting.rdp",
)
_MOST_BYTES = 1 << 18


class Forked:
    """A running `python ARGUMENTS`: `-m MODULE ...`, `-c CODE ...` or `FILE ...`. Handled as a subprocess.Popen is.

    `files` are the descriptors of its standard input, output and errors; it has no others of this process.
    """

    def __init__(
        self,
        *arguments: str,
        files: tuple[int, int, int],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        order = {"arguments": arguments, "cwd": str(cwd or Path.cwd()), "env": dict(os.environ if env is None else env)}
        told, telling = os.pipe()
        socket.send_fds(_forking(), [json.dumps(order).encode()], [*files, telling])
        os.close(telling)
        self.args = arguments
        self.returncode: int | None = None
        self._told, self._lock = os.fdopen(told), threading.Lock()
        self.pid = int(self._told.readline())

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, or minus the signal that ended it, once it has ended. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            with self._lock:
                if self.returncode is None:
                    self.returncode = int(self._told.readline())
        return self.returncode

    def poll(self) -> int | None:
        """The same; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Piped(Forked):
    """One with `stdin` and `stdout` as text files here; its errors are this process's."""

    def __init__(self, *arguments: str) -> None:
        (inward, writes), (reads, outward) = os.pipe(), os.pipe()
        self.stdin, self.stdout = os.fdopen(writes, "w"), os.fdopen(reads)
        super().__init__(*arguments, files=(inward, outward, 2))
        for descriptor in (inward, outward):
            os.close(descriptor)

    def communicate(self, timeout: float = 60) -> str:
        """All that it writes until its end, after nothing more to read."""
        self.stdin.close()
        with self.stdout:
            said = self.stdout.read()
        self.wait(timeout)
        return said


@cache
def _forking() -> socket.socket:
    """Where orders go to: the process from which all are forked, which ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.Popen([sys.executable, __file__], stdin=theirs.fileno())
    return ours


def _serve() -> None:
    """Fork as ordered, until nobody is left to order."""
    status = [1]
    atexit.register(_end, status)  # the first, and so the last that is done
    for name in _IMPORTED:
        import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    orders = socket.socket(fileno=os.dup(0))
    while True:
        order, files, *_ = socket.recv_fds(orders, _MOST_BYTES, 4)
        if not order:
            return
        if not os.fork():
            orders.close()
            _keep(status, files.pop(), files, **json.loads(order))
        for file in files:
            os.close(file)


def _keep(status: list[int], telling: int, files: list[int], **order: object) -> None:
    """Fork once more, and tell the number of that process and how it ends. That process returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if not child:
        os.close(telling)
        _become(status, files, **order)  # type: ignore[arg-type]
    for file in (0, 1, 2, *files):
        os.close(file)
    os.write(telling, f"{child}\n".encode())
    _, ended = os.waitpid(child, 0)
    os.write(telling, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    os._exit(0)


def _become(status: list[int], files: list[int], arguments: list[str], cwd: str, env: dict[str, str]) -> NoReturn:
    """Be that process from here on."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    try:
        _run(arguments, cwd)
        sys.exit()
    except SystemExit as ended:
        status[0] = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise


def _run(arguments: list[str], cwd: str) -> None:
    match arguments:
        case "-m", module, *_:
            sys.path[0], sys.argv = cwd, arguments[1:]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case "-c", code, *rest:
            sys.path[0], sys.argv = cwd, ["-c", *rest]
            exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
        case file, *_:
            sys.path[0], sys.argv = str(Path(file).parent), arguments
            runpy.run_path(file, run_name="__main__")


def _end(status: list[int]) -> None:
    """At once: to take apart all that was imported takes longer than most commands."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status[0])


if __name__ == "__main__":
    _serve()
