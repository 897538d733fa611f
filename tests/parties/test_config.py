"""consortium.toml and party.toml: what is right is read as meant, what is wrong is named by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parties.config import Consortium, Endpoints, PartyConfig, check_identity
from parties.errors import Fault
from parties.identity import Identity

PARTIES = ("north", "south")


def member(name: str, port: int | None = None, **changes: Any) -> str:
    identity = Identity.create()
    fields = {"name": name, "verify_key": identity.verify_key, "transport_key": identity.transport_key}
    if port:
        fields |= {"address": f"127.0.0.1:{port}", "data": f"127.0.0.1:{port + 1}"}
    return "\n".join(f'{field} = "{value}"' for field, value in (fields | changes).items() if value is not None) + "\n"


def consortium_text(*more: str) -> str:
    blocks = [
        'name = "demo"  # a comment',
        "[[party]]\n" + member("north", 7700),
        "[[party]]\n" + member("south", 7702),
        "[dealer]\n" + member("dealer", 7704),
        "[[analyst]]\n" + member("analyst"),
    ]
    return "\n".join([*blocks, *more])


def write(folder: Path, text: str, name: str = "consortium.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str) -> str:
    path = write(folder, text)
    with pytest.raises(Fault) as caught:
        Consortium.load(path)
    assert caught.value.code == "CONFIG_INVALID"
    assert str(path) in caught.value.message
    assert caught.value.report.remedy
    assert "pydantic" not in str(caught.value)
    return caught.value.message


def test_a_consortium_is_read(tmp_path: Path) -> None:
    consortium = Consortium.load(write(tmp_path, consortium_text()))
    assert consortium.party_names == PARTIES
    assert [member.name for member in consortium.members] == ["north", "south", "dealer", "analyst"]
    assert [process.name for process in consortium.processes] == ["north", "south", "dealer"]
    assert consortium.process("south").data == "127.0.0.1:7703"
    for one in consortium.members:
        assert consortium.member(one.name) is one
        assert consortium.by_transport_key(one.transport_key) == one.name
    assert consortium.by_transport_key(Identity.create().transport_key) is None
    for unknown in ("west", "analyst"):
        with pytest.raises(Fault) as caught:
            consortium.process(unknown)
        assert caught.value.code == "UNKNOWN_MEMBER"


def test_dealer_and_analysts_are_optional(tmp_path: Path) -> None:
    text = consortium_text()
    consortium = Consortium.load(write(tmp_path, text[: text.index("[dealer]")]))
    assert consortium.dealer is None
    assert consortium.analysts == ()


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    text = consortium_text()
    digest = Consortium.load(write(tmp_path, text)).digest()
    assert len(digest) == 32
    lines = text.replace("# a comment", "# another").replace("\n\n", "\n\n# more\n")
    assert Consortium.load(write(tmp_path, lines)).digest() == digest
    assert Consortium.load(write(tmp_path, text.replace("7700", "7777"))).digest() != digest
    head, north, south, *tail = text.split("\n[")
    swapped = "\n[".join([head, south, north, *tail])
    assert Consortium.load(write(tmp_path, swapped)).digest() != digest


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("[[party]]\n" + member("north", 7800), "same name 'north'"),
        ("[[party]]\n" + member("analyst", 7800), "party[3].name must not be any of all, analyst, dealer, public"),
        ("[[party]]\n" + member("West", 7800), "party[3].name must be a name"),
        ("[[party]]\n" + member("w" * 33, 7800), "party[3].name must be a name"),
        ("[[party]]\n" + member("west\\n", 7800), "party[3].name must be a name"),
        ("[[party]]\n" + member("../west", 7800), "party[3].name must be a name"),
        ("[[analyst]]\n" + member("public"), "'public' is a reserved name"),
        ("[[party]]\n" + member("west", 7702), "two addresses are the same, '127.0.0.1:7702'"),
        ("[[party]]\n" + member("west", 7800, data="127.0.0.1:7800"), "two addresses are the same"),
        ("[[party]]\n" + member("west", 7800, address=None), "party[3].address is missing"),
        ("[[party]]\n" + member("west", 7800, address="127.0.0.1"), 'party[3].address must be "host:port"'),
        ("[[party]]\n" + member("west", 7800, address="127.0.0.1:0"), 'party[3].address must be "host:port"'),
        ("[[party]]\n" + member("west", 7800, address="127.0.0.1:65536"), 'party[3].address must be "host:port"'),
        ("[[party]]\n" + member("west", 7800, data="tcp://host:80"), 'party[3].data must be "host:port"'),
        ("[[party]]\n" + member("west", 7800, data="ho st:80"), 'party[3].data must be "host:port"'),
        ("[[party]]\n" + member("west", 7800, data=":80"), 'party[3].data must be "host:port"'),
        ("[[party]]\n" + member("west", 7800, verify_key="00" * 31), "party[3].verify_key must be the 64 hex"),
        ("[[party]]\n" + member("west", 7800, transport_key="x" * 39), "party[3].transport_key must be the 40 char"),
        ("[[party]]\n" + member("west", 7800, secret="7800"), "party[3].secret is unknown"),
        ("[[analyst]]\n" + member("eve", 7800), "analyst[2].address is unknown"),
        ("[[analyst]]\nname = 3\n", "analyst[2].name must be text in quotes"),
        ("[[analyst]\n", "is not TOML"),
        ("[other]\n", "other is unknown"),
    ],
)
def test_what_is_wrong_is_named(block: str, told: str, tmp_path: Path) -> None:
    assert told in refused(tmp_path, consortium_text(block))


@pytest.mark.parametrize("field", ["verify_key", "transport_key"])
def test_two_members_with_one_key(field: str, tmp_path: Path) -> None:
    text = consortium_text()
    key = next(line for line in text.splitlines() if line.startswith(field)).split('"')[1]
    assert f"same {field}" in refused(tmp_path, text + "\n[[analyst]]\n" + member("eve", **{field: key}))


def test_one_party_is_no_consortium(tmp_path: Path) -> None:
    refused(tmp_path, 'name = "demo"\n[[party]]\n' + member("north", 7700))
    refused(tmp_path, 'name = "demo"\n')
    many = "".join(f"[[party]]\n{member(f'p{index}', 8000 + 2 * index)}" for index in range(65))
    refused(tmp_path, f'name = "demo"\n{many}')


def test_files_that_are_none(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        for load in (Consortium.load, PartyConfig.load):
            with pytest.raises(Fault) as caught:
                load(path)
            assert caught.value.code == "CONFIG_MISSING"
            assert str(path) in caught.value.message
    (tmp_path / "consortium.toml").write_bytes(b'name = "\xff\xfe"')
    with pytest.raises(Fault, match="is not TOML"):
        Consortium.load(tmp_path / "consortium.toml")
    with pytest.raises(Fault, match="longer than"):
        Consortium.load(write(tmp_path, "#" * (5 << 20)))


PARTY = """
name = "north"
consortium = "../consortium.toml"
agreement = "../agreement.toml"
key = "identity.key"
data = "/srv/data"
state = "state"
results = "results"
"""


@pytest.fixture
def consortium(tmp_path: Path) -> Consortium:
    return Consortium.load(write(tmp_path, consortium_text()))


def party_file(tmp_path: Path, text: str = PARTY) -> Path:
    (tmp_path / "north").mkdir(exist_ok=True)
    return write(tmp_path / "north", text, "party.toml")


def test_a_party_file_is_read(tmp_path: Path, consortium: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    path = party_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    for given in (path, path.relative_to(tmp_path)):
        config = PartyConfig.load(given, {})
        assert config.consortium == tmp_path / "consortium.toml"
        assert config.key == tmp_path / "north" / "identity.key"
        assert config.data == Path("/srv/data")
    north = consortium.process("north")
    assert config.bound(north) == config.reached(north) == Endpoints(address="127.0.0.1:7700", data="127.0.0.1:7701")


def test_bind_and_reach(tmp_path: Path, consortium: Consortium) -> None:
    text = PARTY + 'bind = "0.0.0.0"\n[reach]\nsouth = { address = "south.example:1", data = "[::1]:2" }\n'
    config = PartyConfig.load(party_file(tmp_path, text), {})
    assert config.bound(consortium.process("north")) == Endpoints(address="0.0.0.0:7700", data="0.0.0.0:7701")
    assert config.reached(consortium.process("south")) == Endpoints(address="south.example:1", data="[::1]:2")
    assert config.reached(consortium.process("dealer")).address == "127.0.0.1:7704"


def test_the_environment_goes_first(tmp_path: Path, consortium: Consortium) -> None:
    text = PARTY + 'bind = "10.0.0.1"\n[reach]\nsouth = { address = "a:1", data = "a:2" }\n'
    environ = {"BEAVER_BIND": "0.0.0.0", "BEAVER_REACH": "south=south:7702,south:7703;dealer=dealer:7,dealer:8;"}
    config = PartyConfig.load(party_file(tmp_path, text), environ)
    assert config.bind == "0.0.0.0"
    assert config.reached(consortium.process("south")) == Endpoints(address="south:7702", data="south:7703")
    assert config.reached(consortium.process("dealer")) == Endpoints(address="dealer:7", data="dealer:8")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"BEAVER_BIND": "0.0.0.0:7700"}, "BEAVER_BIND must be a host without a port"),
        ({"BEAVER_REACH": "south"}, "BEAVER_REACH"),
        ({"BEAVER_REACH": "south=a:1"}, "BEAVER_REACH"),
        ({"BEAVER_REACH": "south=a:1,b"}, "BEAVER_REACH"),
        ({"BEAVER_REACH": "south=a:1,b:2,c:3"}, "BEAVER_REACH"),
    ],
)
def test_a_wrong_environment(environ: dict[str, str], told: str, tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        PartyConfig.load(party_file(tmp_path), environ)
    assert caught.value.code == "CONFIG_INVALID"
    assert told in caught.value.message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('key = "identity.key"', ""), "key is missing"),
        (('key = "identity.key"', "key = 3"), "key must be a path in quotes"),
        (('key = "identity.key"', 'key = ""'), "key must be a path in quotes"),
        (('key = "identity.key"', 'key = "a\\u0000b"'), "key must be a path in quotes"),
        (('name = "north"', 'name = "North"'), "name must be a name"),
        (('name = "north"', 'name = "north"\npassword = "x"'), "password is unknown"),
        (('name = "north"', 'name = "north"\nbind = "a:1"'), "bind must be a host without a port"),
        (('name = "north"', 'name = "north"\nstock = { most_bytes = 70000 }'), "stock.elements is missing"),
        (('name = "north"', 'name = "north"\nstock = { elements = 63 }'), "stock.elements"),
        (('name = "north"', 'name = "north"\nstock = { elements = 64, idle_s = 0 }'), "stock.idle_s"),
    ],
)
def test_a_wrong_party_file(change: tuple[str, str], told: str, tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        PartyConfig.load(party_file(tmp_path, PARTY.replace(*change)), {})
    assert caught.value.code == "CONFIG_INVALID"
    assert told in caught.value.message


def test_the_key_file_must_be_the_listed_one(tmp_path: Path) -> None:
    own, other = Identity.create(), Identity.create()
    text = consortium_text("[[analyst]]\n" + member("eve", verify_key=own.verify_key, transport_key=own.transport_key))
    consortium = Consortium.load(write(tmp_path, text))
    eve = PartyConfig.load(party_file(tmp_path, PARTY.replace("north", "eve")), {})
    check_identity(eve, consortium, own)
    with pytest.raises(Fault) as caught:
        check_identity(eve, consortium, other)
    assert caught.value.code == "WRONG_KEY"
    assert own.verify_key[:16] in caught.value.message
    assert other.verify_key[:16] in caught.value.message
    with pytest.raises(Fault) as caught:
        check_identity(eve.model_copy(update={"name": "mallory"}), consortium, own)
    assert caught.value.code == "UNKNOWN_MEMBER"
