"""What `make demo` runs: each example as a consortium of real processes, its joint results beside the pooled plaintext.

For each example a fresh consortium under `.demo/<example>`: keys and folders by `beaver init`, the example's data and
agreement, which every party signs, `beaver up` for the nodes, and for the dealer if the agreement names one, `beaver
explain`, `beaver run`. The nodes are stopped whatever happens.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import compare
from rich.console import Console

__all__ = ["EXAMPLES", "DemoError", "demonstrate", "main"]

EXAMPLES = {"visits": ["north", "south", "west"], "biopsies": ["clinic", "lab", "registry"]}
"""example -> its parties"""

HERE = Path(__file__).parent
BEAVER = Path(sys.executable).with_name("beaver")
READY_SECONDS = 60
STOP_SECONDS = 10
PORTS_PER_PARTY = 2


class DemoError(Exception):
    """Something that the demo started did not do its part; the text says what and where to look."""


def beaver(*arguments: str) -> str:
    """What the command prints; its progress and errors go straight to the terminal."""
    done = subprocess.run([BEAVER, *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise DemoError(f"beaver {' '.join(arguments)} failed (see above)")
    return done.stdout


def free_ports(count: int) -> int:
    """The first of `count` consecutive ports that nothing listens on."""
    for first in range(17700, 27700, count):
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise DemoError(f"no {count} consecutive ports are free between 17700 and 27700")


def prepare(example: str, folder: Path) -> None:
    """A fresh consortium in `folder` with the example's data, and its agreement, which every party signs."""
    parties = EXAMPLES[example]
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    port = free_ports(PORTS_PER_PARTY * (len(parties) + 1))
    beaver("init", str(folder), "--parties", ",".join(parties), "--port", str(port))
    shutil.copy(HERE / example / "agreement.toml", folder)
    for party in parties:
        shutil.copytree(HERE / example / "data" / party, folder / party / "data", dirs_exist_ok=True)
        beaver("agreement", "sign", str(folder), "--as", party)


@contextmanager
def nodes(folder: Path, count: int) -> Iterator[None]:
    """Dealer and nodes, `count` processes in all, ready on entry and gone on exit."""
    log = folder / "up.log"
    with log.open("w") as output:
        # A session of their own: Ctrl-C reaches the demo alone, and the demo stops them.
        up = subprocess.Popen(
            [BEAVER, "up", "-C", str(folder)], stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while sum("ready" in line for line in log.read_text().splitlines()) < count:
            if up.poll() is not None or time.monotonic() > deadline:
                raise DemoError(f"the nodes did not get ready; {log} says:\n{log.read_text()}")
            time.sleep(0.05)
        yield
    finally:
        _stop(up)


def _stop(up: subprocess.Popen[bytes]) -> None:
    up.send_signal(signal.SIGINT)
    try:
        up.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(up.pid, signal.SIGKILL)
        up.wait()


def demonstrate(console: Console, example: str, folder: Path) -> bool:
    """Runs one example in `folder`; True if every joint result agrees with the pooled plaintext."""
    parties, script = EXAMPLES[example], HERE / example / f"{example}.py"
    prepare(example, folder)
    dealer = tomllib.loads((folder / "agreement.toml").read_text())["source"] == "dealer"
    console.rule(f"[bold]{example}[/]: {', '.join(parties)} and {'a' if dealer else 'no'} dealer")
    with nodes(folder, len(parties) + dealer):
        ready = f"{len(parties)} nodes{' and the dealer' * dealer}"
        console.print(f"{ready} are ready, each a process with its own folder in {folder}")
        console.print(f"\n[bold]beaver explain {os.path.relpath(script)}[/]")
        console.out(beaver("explain", str(script), "-C", str(folder)))
        console.print(f"[bold]beaver run {os.path.relpath(script)}[/]")
        answer = json.loads(beaver("run", str(script), "-C", str(folder), "--json"))
    agrees = compare.show(console, answer["result"], compare.pooled(HERE / example))
    console.print("  ".join(f"{phase} {seconds:.3f} s" for phase, seconds in answer["timings"].items()), style="dim")
    return agrees


def main() -> int:
    """0 if all examples agree with the pooled plaintext."""
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        agrees = [demonstrate(console, example, Path(".demo") / example) for example in EXAMPLES]
    except DemoError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped", style="red")
        return 130
    if not all(agrees):
        console.print("Joint results differ from the pooled plaintext.", style="red")
        return 1
    console.print("Every joint result agrees with the pooled plaintext; no party saw another's rows.", style="green")
    return 0


if __name__ == "__main__":
    sys.exit(main())
