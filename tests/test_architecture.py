"""The house: one direction of imports, complete and sorted public names, light imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for package in ("protocols", "mpc", "parties") for path in (ROOT / package).rglob("*.py"))
ALLOWED = {"protocols": {"protocols"}, "mpc": {"protocols", "mpc"}, "parties": {"protocols", "mpc", "parties"}}
SOCKETS_AND_KEYS = {"socket", "zmq", "nacl", "asyncio", "subprocess"}
GROUP = ROOT / "protocols/ot/base.py"  # libsodium's group operations; keys of parties are none of its business
FORBIDDEN = {"pickle", "marshal", "shelve", "random"}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    names = imported(path)
    assert names & set(ALLOWED) <= ALLOWED[package]
    assert not names & FORBIDDEN
    if package != "parties":
        assert not names & (SOCKETS_AND_KEYS - ({"nacl"} if path == GROUP else set()))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_shares_never_come_from_numpy_generators_and_nothing_is_evaluated(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr == "random":
            pytest.fail(f"line {node.lineno}: a `.random` attribute")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "compile"}, f"line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_are_declared_sorted_and_there(path: Path) -> None:
    tree = ast.parse(path.read_text())
    declared = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    if not declared:
        assert path.name in ("__init__.py", "__main__.py"), "a module without __all__"
        return
    (names,) = declared
    constants = sorted(name for name in names if name.isupper())
    classes = sorted(name for name in names if not name.isupper() and name[0].isupper())
    others = sorted(name for name in names if name[0].islower())
    assert names == constants + classes + others
    bound = {
        name
        for node in tree.body
        for name in (
            [getattr(node, "name", "")]
            + [getattr(target, "id", "") for target in getattr(node, "targets", [])]
            + [getattr(getattr(node, "target", None), "id", "")]
            + [alias.asname or alias.name for alias in getattr(node, "names", []) if isinstance(alias, ast.alias)]
        )
    }
    assert set(names) <= bound


def test_importing_mpc_loads_nothing_heavy() -> None:
    heavy = "numba", "duckdb", "zmq", "pandas", "pydantic", "rich"
    code = f"import mpc, sys; print([name for name in {heavy!r} if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
