"""Keys survive the file, sign for one purpose only, and are refused from a file that others can read."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from parties.errors import Fault
from parties.identity import Identity, verify


def code_of(path: Path) -> str:
    with pytest.raises(Fault) as caught:
        Identity.load(path)
    assert str(path) in caught.value.message
    assert caught.value.report.remedy
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.code


@pytest.fixture
def identity() -> Identity:
    return Identity.create()


@pytest.fixture
def path(identity: Identity, tmp_path: Path) -> Path:
    identity.save(tmp_path / "identity.key")
    return tmp_path / "identity.key"


def test_keys_survive_the_file(identity: Identity, path: Path) -> None:
    loaded = Identity.load(path)
    assert loaded == identity
    assert verify(identity.verify_key, b"message", loaded.sign(b"message", "test"), "test")
    assert zmq.curve_public(loaded.transport_secret).decode() == identity.transport_key
    assert Identity.create() != identity


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_file_is_private_from_the_first_byte(umask: int, identity: Identity, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        identity.save(tmp_path / "identity.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "identity.key").stat().st_mode) & ~0o600 == 0


def test_keys_are_never_overwritten(identity: Identity, path: Path) -> None:
    content = path.read_bytes()
    with pytest.raises(FileExistsError):
        Identity.create().save(path)
    assert path.read_bytes() == content


def test_a_signature_holds_for_one_message_purpose_and_key(identity: Identity) -> None:
    signature = identity.sign(b"message", "hello")
    assert verify(identity.verify_key, b"message", signature, "hello")
    assert not verify(identity.verify_key, b"massage", signature, "hello")
    assert not verify(identity.verify_key, b"message", signature, "result")
    assert not verify(identity.verify_key, b"omessage", signature, "hell")
    assert not verify(Identity.create().verify_key, b"message", signature, "hello")
    assert not verify(identity.verify_key, b"message", bytes([signature[0] ^ 1]) + signature[1:], "hello")
    for signed in (b"", signature[:-1], signature + b"\0"):
        assert not verify(identity.verify_key, b"message", signed, "hello")
    for key in ("", "zz", "00" * 31, "ff" * 32):
        assert not verify(key, b"message", signature, "hello")


def test_no_secret_is_shown(identity: Identity, path: Path) -> None:
    secrets = [line.split('"')[1] for line in path.read_text().splitlines() if '"' in line]
    assert len(secrets) == 2
    for shown in (repr(identity), str(identity), f"{identity}"):
        assert identity.verify_key in shown
        assert not any(secret in shown for secret in secrets)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620, 0o601])
def test_a_file_open_to_others_is_refused(mode: int, path: Path) -> None:
    path.chmod(mode)
    assert code_of(path) == "KEY_FILE_READABLE"
    with pytest.raises(Fault, match=f"chmod 600 '{path}'"):
        Identity.load(path)


def test_a_missing_file(tmp_path: Path) -> None:
    assert code_of(tmp_path / "identity.key") == "KEY_FILE_MISSING"


def test_a_folder_for_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "identity.key"
    folder.mkdir(mode=0o700)
    assert code_of(folder) == "KEY_FILE_UNREADABLE"


def test_a_file_of_another_user(path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom parties.errors import Fault\n"
        "from parties.identity import Identity\n"
        "os.setuid(65534)\n"
        "try: Identity.load(Path(sys.argv[1]))\n"
        "except Fault as fault: print(fault.code)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout == "KEY_FILE_UNREADABLE\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("version = 1", "version = 2"),
        lambda text: text.replace('signing_key = "', 'signing_key = "0'),
        lambda text: text.replace('signing_key = "', 'signing_key = "zz'),
        lambda text: text.replace('transport_secret = "', 'transport_secret = "  '),
        lambda text: text[:-3] + '"\n',
        lambda text: text + "more = 1\n",
        lambda text: "signing_key = 3\ntransport_secret = 4\nversion = 1\n",
        lambda text: "\xff" + text,
        lambda text: "-----BEGIN PRIVATE KEY-----\n",
    ],
)
def test_a_damaged_file(damage: object, path: Path) -> None:
    assert callable(damage)
    damaged = damage(path.read_text())
    path.write_bytes(damaged.encode("latin-1"))
    assert code_of(path) == "KEY_FILE_DAMAGED"
