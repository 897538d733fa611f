"""`beaver init`: what it writes loads, is private, and is never written over."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from parties.agreement import Agreement
from parties.config import Consortium, PartyConfig, check_identity
from parties.draft import draft
from parties.errors import Fault
from parties.identity import Identity
from parties.setup import create_consortium

PARTIES = ["north", "south", "west"]


def code_of(directory: Path, parties: list[str], **options: object) -> str:
    with pytest.raises(Fault) as caught:
        create_consortium(directory, parties, **options)  # type: ignore[arg-type]
    assert caught.value.report.remedy
    return caught.value.code


def test_all_that_is_written_loads(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "consortium"
    written = create_consortium(folder, PARTIES, name="trial", base_port=9000)
    assert sorted(written) == sorted(path for path in folder.rglob("*") if path.is_file())
    consortium = Consortium.load(folder / "consortium.toml")
    assert consortium.name == "trial"
    assert consortium.party_names == tuple(PARTIES)
    assert [(process.address, process.data) for process in consortium.processes] == [
        (f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}") for port in (9000, 9002, 9004, 9006)
    ]
    assert [analyst.name for analyst in consortium.analysts] == ["analyst"]
    for member in consortium.members:
        config = PartyConfig.load(folder / member.name / "party.toml", {})
        assert config.name == member.name
        assert config.consortium == folder / "consortium.toml"
        assert config.data.is_dir()
        check_identity(config, consortium, Identity.load(config.key))
        assert Agreement.load(config.agreement, consortium).data == {party: {} for party in PARTIES}


def test_where_the_parties_make_random_material_there_is_no_dealer(tmp_path: Path) -> None:
    written = create_consortium(tmp_path, PARTIES, base_port=65530, source="pairwise")
    consortium = Consortium.load(tmp_path / "consortium.toml")
    assert consortium.dealer is None
    assert not (tmp_path / "dealer").exists()
    assert Agreement.load(tmp_path / "agreement.toml", consortium).source == "pairwise"
    assert not any("dealer" in path.read_text() for path in written)
    (tmp_path / "north" / "data" / "t.csv").write_text("x\n1\n")
    drafted = draft(consortium, {"north": tmp_path / "north" / "data"}, "none")
    assert 'source = "pairwise"' in drafted


def test_keys_and_folders_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create_consortium(tmp_path, PARTIES)
    finally:
        os.umask(before)
    for name in (*PARTIES, "dealer", "analyst"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / name / "identity.key").stat().st_mode) == 0o600
    secrets = [line for key in tmp_path.rglob("*.key") for line in key.read_text().split('"')[1::2]]
    assert len(secrets) == 10
    others = "".join(path.read_text() for path in tmp_path.rglob("*") if path.suffix in (".toml", ".yml"))
    assert not any(secret in others for secret in secrets)


@pytest.mark.parametrize("there", ["consortium.toml", "agreement.toml", "docker-compose.yml", "west", "analyst"])
def test_nothing_is_overwritten(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    assert code_of(tmp_path, PARTIES) == "CONSORTIUM_EXISTS"
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


def test_a_consortium_is_not_made_twice(tmp_path: Path) -> None:
    create_consortium(tmp_path, PARTIES)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert code_of(tmp_path, ["north", "east"]) == "CONSORTIUM_EXISTS"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("parties", "options"),
    [
        (["north"], {}),
        ([f"p{index}" for index in range(65)], {}),
        (["north", "north"], {}),
        (["north", "dealer"], {}),
        (["north", "analyst"], {}),
        (["north", "South"], {}),
        (["north", "../south"], {}),
        (["north", ""], {}),
        (["north", 'a"b'], {}),
        (["north", "south"], {"name": 'demo"'}),
        (["north", "south"], {"base_port": 80}),
        (["north", "south"], {"base_port": 65532}),
        (["north", "south"], {"host": 'a"b'}),
        (["north", "south"], {"host": "127.0.0.1:1"}),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    parties: list[str], options: dict[str, object], tmp_path: Path
) -> None:
    assert code_of(tmp_path / "new", parties, **options) == "CONFIG_INVALID"
    assert not (tmp_path / "new").exists()


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert code_of(tmp_path / "file" / "new", PARTIES) == "CONSORTIUM_UNWRITABLE"


def test_compose_gives_each_service_its_own_folder(tmp_path: Path) -> None:
    create_consortium(tmp_path, PARTIES, base_port=9000)
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is not installed")
    command = [compose, "-f", str(tmp_path / "docker-compose.yml"), "config"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "docker-compose.yml").read_text()
    for index, name in enumerate([*PARTIES, "dealer"]):
        service = text[text.index(f"\n  {name}:\n") :].split("\n\n")[0]
        assert f"./{name}:/consortium/{name}\n" in service
        assert f'"127.0.0.1:{9000 + 2 * index}:{9000 + 2 * index}"' in service
        assert f'["CMD", "beaver", "health", "/consortium/{name}/party.toml"]' in service
        assert not any(f"./{other}:" in service for other in (*PARTIES, "dealer", "analyst") if other != name)
    reach = next(line for line in text.splitlines() if "BEAVER_REACH" in line).split(": ", 1)[1]
    environ = {"BEAVER_BIND": "0.0.0.0", "BEAVER_REACH": json.loads(reach)}
    config = PartyConfig.load(tmp_path / "north" / "party.toml", environ)
    consortium = Consortium.load(tmp_path / "consortium.toml")
    assert config.bound(consortium.process("north")).address == "0.0.0.0:9000"
    assert config.reached(consortium.process("dealer")).data == "dealer:9007"
