"""No number is given out twice: not to threads, not to processes, not after kill -9, a full disk or a damaged file."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from parties.errors import Fault
from parties.ledger import Ledger

sys.path.insert(0, str(Path(__file__).parent))
from forked import Piped


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


def code_of(path: Path) -> str:
    with pytest.raises(Fault) as caught:
        Ledger(path)
    assert str(path) in caught.value.message
    assert caught.value.report.remedy
    return caught.value.code


def run(code: str, path: Path) -> Piped:
    head = (
        "import resource, signal, sys, os\nfrom pathlib import Path\n"
        "from parties.ledger import Ledger\nfrom parties.errors import Fault\npath = Path(sys.argv[1])\n"
    )
    return Piped("-c", head + code, str(path))


def test_a_cursor_only_advances(path: Path) -> None:
    ledger = Ledger(path)
    assert ledger.position("dealer") == 0
    assert ledger.reserve("dealer", 10, "s1") == 0
    assert ledger.reserve("dealer", 1, "s2") == 10
    assert ledger.reserve("other", 5, "s2") == 0
    assert ledger.position("dealer") == 11
    ledger.close()
    ledger = Ledger(path)
    assert ledger.reserve("dealer", 1, "s3") == 11
    assert ledger.position("other") == 5
    for count in (0, -1):
        with pytest.raises(ValueError, match="at least one"):
            ledger.reserve("dealer", count, "s4")
    ledger.close()


def test_a_cursor_never_overflows(path: Path) -> None:
    ledger = Ledger(path)
    ledger.claim("north", "key", 2**63 - 6, 1, "s")
    assert ledger.reserve("north key", 3, "s") == 2**63 - 5
    with pytest.raises(Fault) as caught:
        ledger.reserve("north key", 3, "s")
    assert caught.value.code == "MATERIAL_EXHAUSTED"
    assert ledger.reserve("north key", 1, "s") == 2**63 - 2
    with pytest.raises(ValueError, match="at least one"):
        ledger.claim("north", "key", 0, 0, "s")
    for first, count in ((2**63 - 1, 1), (-1, 1)):
        with pytest.raises(Fault, match="north wants to use material") as caught:
            ledger.claim("north", "key", first, count, "s")
        assert (caught.value.code, caught.value.report.peer) == ("MATERIAL_EXHAUSTED", "north")


def test_claims_come_in_any_order_but_once(path: Path) -> None:
    ledger = Ledger(path)
    for first, count in ((10, 5), (0, 5), (15, 1), (5, 5), (100, 50)):
        ledger.claim("north", "key", first, count, "s")
    ledger.claim("south", "key", 0, 200, "s")
    ledger.close()
    ledger = Ledger(path)
    assert ledger.position("north key") == 150
    for first, count in ((0, 1), (4, 1), (15, 1), (15, 5), (16, 85), (99, 2), (149, 9), (0, 1000), (110, 5)):
        with pytest.raises(Fault) as caught:
            ledger.claim("north", "key", first, count, "s")
        assert (caught.value.code, caught.value.report.peer) == ("STATE_ROLLED_BACK", "north")
    assert ledger.position("north key") == 150
    ledger.claim("north", "key", 16, 84, "s")
    ledger.claim("north", "new key", 0, 10, "s")


def test_the_files_are_private(path: Path) -> None:
    before = os.umask(0)
    try:
        Ledger(path).reserve("dealer", 1, "s")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()] == [0o600]


def test_threads_get_different_numbers(path: Path) -> None:
    ledgers = [Ledger(path), Ledger(path)]
    taken: list[int] = []

    def take(ledger: Ledger) -> None:
        taken.extend(ledger.reserve("dealer", 1, "s") for _ in range(20))

    threads = [threading.Thread(target=take, args=(ledgers[index % 2],)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(120))


def test_processes_get_different_numbers(path: Path) -> None:
    code = "ledger = Ledger(path)\nfor _ in range(30): print(ledger.reserve('dealer', 1, 's'))"
    processes = [run(code, path) for _ in range(4)]
    taken = [int(line) for process in processes for line in process.communicate().splitlines()]
    assert sorted(taken) == list(range(120))
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite"]


def test_kill_between_reserving_and_using(path: Path) -> None:
    code = (
        "first = Ledger(path).reserve('dealer', 7, 's')\nprint(first, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    firsts = [int(run(code, path).communicate()) for _ in range(4)]
    assert firsts == [0, 7, 14, 21]
    assert Ledger(path).position("dealer") == 28


def test_kill_at_any_moment(path: Path) -> None:
    code = "ledger = Ledger(path)\nwhile True: os.write(1, b'%d\\n' % ledger.reserve('dealer', 3, 's'))"
    taken: list[int] = []
    chance = random.Random(1)
    for _ in range(8):
        process = run(code, path)
        taken += [int(process.stdout.readline()) for _ in range(chance.randrange(1, 15))]
        time.sleep(chance.uniform(0, 0.005))
        process.kill()
        taken += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.wait()
        process.stdout.close()
    assert taken == sorted(set(taken))
    ledger = Ledger(path)
    assert ledger.reserve("dealer", 1, "s") >= taken[-1] + 3


@pytest.mark.parametrize("already", [0, 50])
def test_a_full_disk_refuses_before_anything_is_used(already: int, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine cannot mount")
    try:
        path = disk / "ledger.sqlite"
        ledger = Ledger(path)
        for _ in range(already):
            ledger.reserve("dealer", 1, "s")
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(1 << 20))
        for _ in range(2):
            with pytest.raises(Fault) as caught:
                ledger.reserve("dealer", 1, "s")
            assert caught.value.code == "STATE_UNWRITABLE"
        assert ledger.position("dealer") == already
        filler.unlink()
        assert ledger.reserve("dealer", 1, "s") == already
        ledger.close()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_new_ledger_on_a_full_disk(path: Path) -> None:
    code = (
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: Ledger(path)\nexcept Fault as fault: print(fault.code)"
    )
    assert run(code, path).communicate() == "STATE_UNWRITABLE\n"
    assert list(path.parent.iterdir()) == []
    assert Ledger(path).reserve("dealer", 1, "s") == 0


def test_a_ledger_that_cannot_grow(path: Path) -> None:
    code = (
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nledger = Ledger(path)\nledger.reserve('dealer', 1, 's')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))\n"
        "try: ledger.reserve('dealer', 1, 's')\nexcept Fault as fault: print(fault.code)"
    )
    assert run(code, path).communicate() == "STATE_UNWRITABLE\n"
    assert Ledger(path).reserve("dealer", 1, "s") == 1


def test_a_locked_ledger_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parties.database._LOCK_WITHIN", 0.2)
    ledger = Ledger(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    with pytest.raises(Fault) as caught:
        ledger.reserve("dealer", 1, "s")
    assert caught.value.code == "STATE_UNWRITABLE"
    other.execute("rollback")
    assert ledger.reserve("dealer", 1, "s") == 0


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert code_of(tmp_path / "state" / "ledger.sqlite") == "STATE_UNWRITABLE"
    assert code_of(tmp_path) == "STATE_UNWRITABLE"


def garble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:6000] = os.urandom(6000 - 4096)
    path.write_bytes(content)


def forget(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("delete from cursor")


def other_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("create table cursor (source text, next integer)")


@pytest.mark.parametrize(
    "damage",
    [
        garble,
        forget,
        other_database,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no database at all, " * 1000),
        lambda path: os.truncate(path, path.stat().st_size - 4096),
        lambda path: os.truncate(path, 100),
    ],
)
def test_a_damaged_ledger_gives_out_nothing(damage: Callable[[Path], object], path: Path) -> None:
    ledger = Ledger(path)
    for index in range(40):
        ledger.reserve("dealer", 5, f"session {index}")
    ledger.close()
    damage(path)
    assert code_of(path) == "STATE_DAMAGED"


def test_a_ledger_replaced_under_a_running_process(path: Path) -> None:
    ledger = Ledger(path)
    ledger.reserve("dealer", 5, "s")
    old = shutil.copy(path, path.with_name("yesterday"))
    ledger.reserve("dealer", 5, "s")
    os.replace(old, path)
    with pytest.raises(Fault) as caught:
        ledger.reserve("dealer", 5, "s")
    assert caught.value.code == "STATE_DAMAGED"
