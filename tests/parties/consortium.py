"""A consortium for the tests: real folders, keys, processes and sockets."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Literal

import pytest
from forked import Forked

from mpc.computation import Computation
from mpc.result import Result
from parties.client import Analyst
from parties.config import Consortium, PartyConfig
from parties.draft import draft
from parties.errors import Fault
from parties.identity import Identity
from parties.setup import create_consortium
from parties.signatures import sign

PARTIES = ("north", "south", "west")
BEAVER = [sys.executable, "-m", "parties"]

Table = Mapping[str, Sequence[object]]

AGES = [20.4375 + i for i in range(30)]
BALANCES = [7_654_321 * i - 100 for i in range(40)]
TABLES: dict[str, dict[str, Table]] = {
    "north": {
        "visits": {"visits": list(range(30)), "age": AGES},
        "accounts": {"balance": BALANCES},
    },
    "south": {"visits": {"visits": [3] * 30, "age": AGES}, "policies": {"risk": [i % 5 for i in range(40)]}},
    "west": {"visits": {"visits": [i % 4 for i in range(30)], "age": AGES}},
}
"""Two tables to join by rows, and one that everybody has."""

_DRAFTS: dict[str, str] = {}
"""By all that they say: most consortia of the tests have the same tables, and to read these takes longest."""

TOTAL = sum(sum(int(str(x)) for x in TABLES[party]["visits"]["visits"]) for party in PARTIES)
EXPOSURE = sum(balance * (i % 5) for i, balance in enumerate(BALANCES))


def total(data: Any) -> Any:
    """Needs no dealer."""
    return data.table("visits")["visits"].sum()


def exposure(data: Any) -> Any:
    """Needs the dealer, and messages between north and south."""
    return data.party("north")["accounts"]["balance"] @ data.party("south")["policies"]["risk"]


def write_csv(path: Path, table: Table) -> None:
    """The table as a CSV file."""
    rows = zip(*table.values(), strict=True)
    lines = [",".join(table), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def digest(path: Path) -> str:
    """Of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def free_ports(count: int) -> int:
    """The first of `count` consecutive ports that nothing listens on, below those that the system gives out."""
    for _ in range(200):
        first = random.randrange(10000, 32000)
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")


def eventually(true: Callable[[], bool], within_s: float) -> bool:
    """Whether it becomes true in time."""
    until = time.monotonic() + within_s
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def refused(code: str, *said: str, within_s: float = 10.0) -> Iterator[list[Fault]]:
    """The block raises this Fault, in time, with these words in its text; the list holds it then."""
    faults: list[Fault] = []
    started = time.monotonic()
    with pytest.raises(Fault) as caught:
        yield faults
    assert time.monotonic() - started < within_s
    fault = caught.value
    assert fault.code == code, str(fault)
    assert all(words in str(fault) for words in said), str(fault)
    assert fault.report.remedy
    faults.append(fault)


class Running:
    """A consortium in `folder`; its processes end with it, whatever happens."""

    def __init__(
        self,
        folder: Path,
        tables: Mapping[str, Mapping[str, Table]] = TABLES,
        analysts: Iterable[str] = (),
        source: Literal["dealer", "pairwise"] = "dealer",
    ) -> None:
        self.folder = folder
        self.parties = tuple(tables)
        self.members = ("dealer", *self.parties) if source == "dealer" else self.parties
        create_consortium(folder, self.parties, base_port=free_ports(2 * len(self.members)), source=source)
        for analyst in analysts:
            self._add_analyst(analyst)
        for party, held in tables.items():
            for name, table in held.items():
                write_csv(self.data(party) / f"{name}.csv", table)
        self.agree()
        self.processes: dict[str, Forked] = {}
        self.programs: dict[str, list[str]] = {}
        """What to have Python run instead of `beaver`, by member."""
        self._logs: dict[str, Path] = {}

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def data(self, party: str) -> Path:
        """The party's data folder."""
        return self.folder / party / "data"

    def agree(self, **changes: object) -> None:
        """Write agreement.toml over the data that are there."""
        consortium = Consortium.load(self.folder / "consortium.toml")
        folders = {party: self.data(party) for party in self.parties}
        held = {str(path.relative_to(self.folder)): digest(path) for path in self.folder.glob("*/data/*")}
        analysts, dealer = [analyst.name for analyst in consortium.analysts], consortium.dealer is not None
        said = repr((consortium.party_names, analysts, dealer, sorted(held.items()), changes))
        if said not in _DRAFTS:
            _DRAFTS[said] = draft(consortium, folders, "tests", **changes)  # type: ignore[arg-type]
        (self.folder / "agreement.toml").write_text(_DRAFTS[said])
        self.sign()

    def sign(self, *parties: str) -> None:
        """Have all parties, or these, sign agreement.toml as it stands."""
        for party in parties or self.parties:
            sign(PartyConfig.load(self.folder / party / "party.toml"), time.time())

    def terms(self, *changes: tuple[str, str]) -> None:
        """Change the text of agreement.toml, and have all parties sign it."""
        path = self.folder / "agreement.toml"
        text = path.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path.write_text(text)
        self.sign()

    def own_copy(self, member: str, file: str, old: str = "", new: str = "") -> Path:
        """Give the member its own copy of consortium.toml or agreement.toml, with a change.

        In either case it has an agreement of its own, which all parties signed whose keys are in its consortium.toml.
        """
        files = dict.fromkeys(("consortium.toml", "agreement.toml") if file == "consortium.toml" else (file,))
        config = self.folder / member / "party.toml"
        for each in files:
            text = (self.folder / each).read_text()
            if each == file:
                assert old in text
                text = text.replace(old, new)
            (self.folder / member / each).write_text(text)
            config.write_text(config.read_text().replace(f'"../{each}"', f'"{each}"'))
        own = PartyConfig.load(config)
        for party in self.parties:
            theirs = PartyConfig.load(self.folder / party / "party.toml")
            with suppress(Fault):
                sign(theirs.model_copy(update={"consortium": own.consortium, "agreement": own.agreement}), time.time())
        return self.folder / member / file

    def start(self, *members: str) -> Running:
        """Start dealer, if there is one, and nodes (all, unless some are named) and wait until they are ready."""
        for member in members or self.members:
            self.launch(member)
        for member in members or self.members:
            assert eventually(partial(self._settled, member), 60)
            assert self.processes[member].poll() is None, self.said(member)
        return self

    def launch(self, member: str) -> Forked:
        """Start one process. What it writes goes to a file of its own."""
        assert member not in self.processes or self.processes[member].poll() is not None, f"{member} runs already"
        number = sum(name == member for name, *_ in (path.name.split(".") for path in self.folder.glob("*.log")))
        self._logs[member] = self.folder / f"{member}.{number}.log"
        program = self.programs.get(member, BEAVER)[1:]
        role = "dealer" if member == "dealer" else "node"
        with self._logs[member].open("wb") as log, open(os.devnull) as nothing:
            files = (nothing.fileno(), log.fileno(), log.fileno())
            self.processes[member] = Forked(*program, role, str(self.folder / member / "party.toml"), files=files)
        return self.processes[member]

    def kill(self, member: str, number: int = signal.SIGKILL) -> None:
        """Send a signal; wait for the end, if it is one that ends."""
        self.processes[member].send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.processes[member].wait(10)

    def said(self, member: str) -> str:
        """All that the present process of this member wrote."""
        return self._logs[member].read_text()

    def events(self, member: str, event: str = "") -> list[dict[str, Any]]:
        """The structured lines that the member's process logged. Every line must be one."""
        lines = self.said(member).splitlines(keepends=True)
        parsed = [json.loads(line) for line in lines if line.endswith("\n")]
        return [line for line in parsed if event in ("", line["event"])]

    def has(self, member: str, event: str, **fields: str) -> bool:
        """Whether such a line was logged, each field containing the text."""
        try:
            events = self.events(member, event)
        except ValueError:
            return False
        return any(all(text in str(line.get(name)) for name, text in fields.items()) for line in events)

    def everything_written(self) -> str:
        """All logs of all processes there were."""
        return "".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))

    def analyst(self, name: str = "analyst") -> Analyst:
        """The analyst, with their keys."""
        return Analyst(PartyConfig.load(self.folder / name / "party.toml"))

    def run(self, script: Callable[[Any], Any], name: str = "analyst", **options: Any) -> Result:
        """Run a computation on the nodes."""
        return self.analyst(name).run(Computation(script), **options)

    def works(self) -> bool:
        """Whether sums and products come out right."""
        return (self.run(total)["result"], self.run(exposure)["result"]) == (TOTAL, EXPOSURE)

    def script(self, text: str, name: str = "script.py") -> str:
        """A script file."""
        path = self.folder / name
        path.write_text(f"import mpc\n\n{text}")
        return str(path)

    def beaver(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The command line, in the consortium's folder."""
        with TemporaryFile("w+") as output, TemporaryFile("w+") as errors, open(os.devnull) as nothing:
            files = (nothing.fileno(), output.fileno(), errors.fileno())
            process = Forked(*BEAVER[1:], *arguments, files=files, cwd=self.folder, env=env)
            try:
                status = process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            for file in (output, errors):
                file.seek(0)
            return subprocess.CompletedProcess(process.args, status, output.read(), errors.read())

    def idle(self) -> bool:
        """Whether no session goes on anywhere: as many ended as were submitted."""
        return eventually(lambda: all(self._ended(member) for member in self.processes), 10)

    def _ended(self, member: str) -> bool:
        ended = [e for e in self.events(member) if e["event"] in ("session_done", "fault") and e.get("session")]
        return {e["session"] for e in self.events(member, "session_submitted")} <= {e["session"] for e in ended}

    def _settled(self, member: str) -> bool:
        return self.has(member, "ready") or self.processes[member].poll() is not None

    def _add_analyst(self, name: str) -> None:
        folder = self.folder / name
        shutil.copytree(self.folder / "analyst", folder, ignore=shutil.ignore_patterns("identity.key"))
        identity = Identity.create()
        identity.save(folder / "identity.key")
        config = folder / "party.toml"
        config.write_text(config.read_text().replace('name = "analyst"', f'name = "{name}"'))
        with (self.folder / "consortium.toml").open("a") as file:
            file.write(f'\n[[analyst]]\nname = "{name}"\nverify_key = "{identity.verify_key}"\n')
            file.write(f'transport_key = "{identity.transport_key}"\n')
