"""The manual is true: its code runs and gives what it says, its commands print what it shows, its links lead somewhere.

Blocks of one file run in order, in one namespace and one fresh folder (where `examples` is the repository's):

- python: runs. A comment behind an expression, or on the lines below it, is what it gives or prints. When the first
  line is a file's name (`# visits.py`) the block is also saved there.
- sh: commands that run. console: `$ command`, then lines that its output has in this order.
- toml: the first line names the file (`# agreement.toml`); the block is read as one.
- text: nothing is done with it.

In what is shown, … stands for anything.
"""

import ast
import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.main import get_command

import mpc
from mpc.values import Value
from parties.agreement import Agreement
from parties.cli import app
from parties.config import Consortium, PartyConfig

ROOT = Path(__file__).parent.parent
MANUAL = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = sorted({*MANUAL, *ROOT.glob("*.md"), *ROOT.glob("examples/**/*.md")})
SERVERS = ("beaver up", "beaver node", "beaver dealer")
TOML = {"agreement.toml": Agreement, "consortium.toml": Consortium, "party.toml": PartyConfig}
WITHIN_S = 60


class Block(NamedTuple):
    language: str
    line: int
    text: str


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path) -> Iterator[Block]:
    language, first, lines = "", 0, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not first and line.startswith("```"):
            language, first, lines = line[3:].strip(), number, []
        elif first and line == "```":
            yield Block(language, first, "\n".join(lines) + "\n")
            first = 0
        elif first:
            lines.append(line)
    assert not first, f"{path}:{first}: a block without an end"


def shown(expected: str, given: str) -> bool:
    pattern = ".*".join(re.escape(part.strip()) for part in expected.split("…"))
    return re.fullmatch(pattern, given.strip(), re.DOTALL) is not None


class Page:
    """One file's blocks at work."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        self.namespace: dict = {"__name__": path.stem}
        self.servers: list[subprocess.Popen] = []
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("BEAVER_")}
        self.env |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "200", "TERM": "dumb"}
        (folder / "examples").symlink_to(ROOT / "examples")

    def run(self, block: Block) -> None:
        match block.language:
            case "python":
                self.python(block)
            case "sh":
                self.shell(f"set -euo pipefail\n{block.text}", block.line)
            case "console":
                self.console(block)
            case "toml":
                self.toml(block)
            case language:
                assert language == "text", f"{self.path}:{block.line}: a block of unknown language {language!r}"

    def python(self, block: Block) -> None:
        self.save(block, ".py")
        source = "\n" * block.line + block.text
        lines = source.splitlines()
        for statement in ast.parse(source).body:
            expected = said(lines, statement) if isinstance(statement, ast.Expr) else ""
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                if isinstance(statement, ast.Expr):
                    code = compile(ast.Expression(statement.value), self.path.name, "eval")
                    value = eval(code, self.namespace)
                else:
                    exec(compile(ast.Module([statement], []), self.path.name, "exec"), self.namespace)
            if expected:
                given = printed.getvalue() or (value if isinstance(value, str) else repr(value))
                assert shown(expected, given), f"{self.path}:{statement.lineno}: gives\n{given}"

    def console(self, block: Block) -> None:
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            (command, *_), expected = joined(part)[:1], part.replace("\\\n", " ").splitlines()[1:]
            output = io.StringIO(self.shell(command, block.line, expected))
            for line in filter(str.strip, expected):
                found = any(shown(line, given) for given in output)
                assert found, (
                    f"{self.path}:{block.line}: {command} does not print (here)\n{line}\nbut\n{output.getvalue()}"
                )

    def shell(self, command: str, line: int, expected: list[str] | None = None) -> str:
        if "beaver init" in command and "--port" not in command:
            command = command.replace("beaver init", f"beaver init --port {free_ports(10)}", 1)
        if command.startswith(SERVERS):
            return self.serve(command, expected or [])
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.env, text=True, timeout=WITHIN_S,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        refused = any(text.startswith("error:") for text in expected or [])
        assert bool(done.returncode) == refused, f"{self.path}:{line}: {command}\n{done.stdout}"
        assert "Traceback" not in done.stdout
        return done.stdout

    def serve(self, command: str, expected: list[str]) -> str:
        """Start what runs until it is stopped, and wait for what it is shown to say."""
        log = self.folder / f"server-{len(self.servers)}.log"
        with log.open("w") as output:
            server = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.folder, env=self.env, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.servers.append(server)
        until = time.monotonic() + WITHIN_S
        while not all(any(shown(line, given) for given in log.read_text().splitlines()) for line in expected):
            assert server.poll() is None, f"{command} ended:\n{log.read_text()}"
            assert time.monotonic() < until, f"{command} says only:\n{log.read_text()}"
            time.sleep(0.05)
        return log.read_text()

    def toml(self, block: Block) -> None:
        name = block.text.split("\n", 1)[0].removeprefix("# ")
        model = TOML.get(Path(name).name)
        assert model, f"{self.path}:{block.line}: the first line names no file: {name!r}"
        model.load(self.save(block, ".toml"))

    def save(self, block: Block, suffix: str) -> Path:
        name = re.match(r"# (\S+)\n", block.text)
        path = self.folder / (name[1] if name and name[1].endswith(suffix) else "unnamed")
        if path.name != "unnamed":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        return path

    def stop(self) -> None:
        for server in self.servers:
            server.send_signal(signal.SIGINT)
        for server in self.servers:
            try:
                assert server.wait(15) == 0, f"{server.args} ended with status {server.returncode}"
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                raise


def free_ports(count: int) -> int:
    """The first of `count` ports in a row on which nothing listens."""
    for first in range(28000 + os.getpid() % 40 * count, 32700, count):
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise OSError("no free ports")


def joined(text: str) -> list[str]:
    """The command lines, continued ones in one piece, comments left out."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def said(lines: list[str], statement: ast.stmt) -> str:
    """The comment behind a statement, or on the lines below it."""
    end = statement.end_lineno or statement.lineno
    behind = lines[end - 1].encode()[statement.end_col_offset :].decode().strip()
    if behind.startswith("#"):
        return behind[1:].strip()
    below = []
    while end < len(lines) and lines[end].startswith("#"):
        below.append(lines[end][1:].removeprefix(" "))
        end += 1
    return "\n".join(below)


@pytest.mark.parametrize("path", MANUAL, ids=named)
def test_blocks_do_what_they_say(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    page = Page(path, tmp_path)
    try:
        for block in blocks(path):
            page.run(block)
    finally:
        page.stop()


@pytest.mark.parametrize("path", TEXTS, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    outside_code = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", outside_code):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        to = (path.parent / file).resolve() if file else path
        assert to.exists(), f"{path}: {target} is not there"
        assert not anchor or anchor in anchors(to), f"{path}: {target} has no such heading"


def anchors(path: Path) -> set[str]:
    """What headings are called in a link."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"]({page.name})" in index


def test_every_module_is_in_the_architecture() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", (ROOT / "docs" / "architecture.md").read_text(), flags=re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    modules = {named(path) for package in ("protocols", "mpc", "parties") for path in (ROOT / package).rglob("*.py")}
    modules = {module for module in modules if not module.endswith(("__init__.py", "__main__.py"))}
    folders = tuple(name for name in listed if name.endswith("/"))
    assert {module for module in modules if not module.startswith(folders)} == {name for name in listed if "." in name}
    for folder in folders:
        assert any(module.startswith(folder) for module in modules), folder


def test_every_error_code_is_in_the_table() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "consortium.md").read_text(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(codes())


def codes() -> set[str]:
    """Every code of a fault: constants in parties/ that are written like one, but for names and a loader's topics."""
    found: set[str] = set()
    for path in (ROOT / "parties").rglob("*.py"):
        tree = ast.parse(path.read_text())
        public = {id(node) for top in tree.body if is_all(top) for node in ast.walk(top)}
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in public}
        found |= {text for text in texts if isinstance(text, str) and re.fullmatch(r"[A-Z]{2,}(_[A-Z]+)*", text)}
    found = {text for text in found if not text.startswith("BEAVER_")}
    topics = found & {"CONFIG", "AGREEMENT", "SIGNATURES"}
    return found - topics | {f"{topic}_{what}" for topic in topics for what in ("MISSING", "INVALID")}


def is_all(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"


def test_every_word_of_a_script_is_explained() -> None:
    text = (ROOT / "docs" / "scripts.md").read_text()
    values = {name for name in vars(Value) if not name.startswith("_")} - {"step"}
    for name in values | set(mpc.__all__):
        assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", text), name


def test_every_command_is_explained() -> None:
    text = (ROOT / "docs" / "consortium.md").read_text()
    for command in commands(get_command(app)):
        assert f"`beaver {command}" in text, command


def commands(group: Any, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield before + name


def test_every_field_of_the_files_is_explained() -> None:
    text = (ROOT / "docs" / "consortium.md").read_text()
    for model in TOML.values():
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in text, f"{model.__name__}.{name}"
