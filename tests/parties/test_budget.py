"""A privacy budget is never under-counted: not by rounding, races, kill -9, a full disk, a clock or a restart."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dp_accounting import ZCDpEvent
from dp_accounting.rdp import RdpAccountant
from hypothesis import given
from hypothesis import strategies as st

from mpc.accounting import Loss, left, rho_of, within
from parties.budget import Account, debit, remaining, spent
from parties.database import Database
from parties.errors import Fault
from parties.terms import Budget

sys.path.insert(0, str(Path(__file__).parent))
from accounts import NOW, account, opened, spend
from forked import Piped

DAY = 86400


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "privacy.sqlite"


def refused(database: Database, from_: Account, *losses: Loss) -> Fault:
    before = total(database)
    with pytest.raises(Fault) as caught:
        spend(database, from_, *losses)
    assert caught.value.code == "BUDGET_SPENT"
    assert caught.value.report.remedy
    assert total(database) == before
    return caught.value


def total(database: Database) -> list[Loss]:
    with database.reading() as connection:
        return [Loss(*row) for row in connection.execute("select epsilon, delta from debit order by number")]


def test_ten_tenths_are_one(path: Path) -> None:
    database = opened(path)
    for _ in range(10):
        spend(database, account(), Loss(0.1))
    fault = refused(database, account(), Loss(0.000001))
    assert "north.visits has epsilon 0 left of its privacy budget of epsilon 1" in fault.message
    database.close()
    database = opened(path)
    refused(database, account(), Loss(1e-9))


def test_several_results_are_debited_together_or_not_at_all(path: Path) -> None:
    database = opened(path)
    spend(database, account(), Loss(0.3), Loss(0.3))
    refused(database, account(), Loss(0.3), Loss(0.2))
    spend(database, account(), Loss(0.3), Loss(0.1))


def test_budgets_of_tables_are_apart(path: Path) -> None:
    database = opened(path)
    spend(database, account(), Loss(1.0))
    other = Account("north", "staff", Budget(epsilon=1.0), "a", NOW)
    spend(database, other, Loss(1.0))
    refused(database, other, Loss(0.1))


def test_a_budget_for_some_days_comes_back_when_they_have_passed(path: Path) -> None:
    database = opened(path)
    spend(database, account(days=30), Loss(0.6))
    spend(database, account(days=30, now=NOW + 10 * DAY), Loss(0.4))
    refused(database, account(days=30, now=NOW + 29.99 * DAY), Loss(0.1))
    spend(database, account(days=30, now=NOW + 30.01 * DAY), Loss(0.6))
    refused(database, account(days=30, now=NOW + 30.02 * DAY), Loss(0.1))
    spend(database, account(days=30, now=NOW + 40.01 * DAY), Loss(0.4))


def test_a_budget_for_some_days_outlives_its_agreement(path: Path) -> None:
    database = opened(path)
    spend(database, account(days=30, agreement="a"), Loss(1.0))
    refused(database, account(days=30, agreement="b"), Loss(0.1))


def test_a_budget_for_the_term_is_that_of_its_agreement(path: Path) -> None:
    database = opened(path)
    spend(database, account(agreement="a"), Loss(1.0))
    refused(database, account(agreement="a", now=NOW + 10_000 * DAY), Loss(0.1))
    spend(database, account(agreement="b"), Loss(1.0))


def test_gaussian_results_need_a_delta(path: Path) -> None:
    database = opened(path)
    refused(database, account(epsilon=10.0), Loss(0.1, 1e-9))
    spend(database, account(epsilon=10.0, delta=1e-6), Loss(0.1, 1e-9))


def test_many_small_results_cost_less_than_their_sum(path: Path) -> None:
    """100 results of epsilon 0.1 add up to 10; with a delta of 1e-6 they tell no more than an epsilon of 5.3 does."""
    database = opened(path)
    spend(database, account(epsilon=5.3, delta=1e-6), *[Loss(0.1)] * 100)
    fault = refused(database, account(epsilon=5.3, delta=1e-6), *[Loss(0.1)] * 5)
    assert "this needs 5 times epsilon 0.1" in fault.message


def test_the_same_by_dp_accounting() -> None:
    """One event for each result, composed by Google's accountant with its own orders."""
    accountant = RdpAccountant()
    for _ in range(20):
        accountant.compose(ZCDpEvent(0.3**2 / 2)).compose(ZCDpEvent(rho_of(0.5, 1e-7)))
    losses = [Loss(0.3), Loss(0.5, 1e-7)] * 20
    theirs = accountant.get_epsilon(1e-5)
    assert within(losses, Loss(theirs * 1.0001, 1e-5))
    assert not within(losses, Loss(theirs * 0.97, 1e-5))


def test_one_result_is_within_a_budget_of_its_own_size() -> None:
    for epsilon in (0.01, 0.1, 1.0, 8.0):
        assert within([Loss(epsilon)], Loss(epsilon))
        assert within([Loss(epsilon, 1e-6)], Loss(epsilon, 1e-6))
        assert not within([Loss(epsilon, 1e-6)], Loss(epsilon * 0.99, 1e-6))
        assert not within([Loss(epsilon, 1e-5)], Loss(epsilon, 1e-6))


losses = st.builds(Loss, st.sampled_from([0.01, 0.1, 0.3, 1.0]), st.sampled_from([0.0, 0.0, 1e-7, 1e-5]))


@given(st.lists(losses, max_size=12), st.sampled_from([0.5, 1.0, 5.0]), st.sampled_from([0.0, 1e-6]))
def test_what_is_left_can_be_spent_and_no_more(spent: list[Loss], epsilon: float, delta: float) -> None:
    limit = Loss(epsilon, delta)
    rest = left(spent, limit)
    assert rest >= 0
    assert within(spent, limit) or rest == 0
    if rest > 1e-3:
        assert within([*spent, Loss(rest * 0.999)], limit)
        assert not within([*spent, Loss(rest * 1.01)], limit)


@given(st.floats(0.05, 50), st.sampled_from([1e-12, 1e-6, 1e-3]))
def test_rho_gives_the_epsilon_it_is_for(epsilon: float, delta: float) -> None:
    accountant = RdpAccountant(orders=[1 + 1.01**i / 100 for i in range(2600)])
    assert accountant.compose(ZCDpEvent(rho_of(epsilon, delta))).get_epsilon(delta) == pytest.approx(epsilon, rel=1e-3)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan, math.inf])
def test_the_ledger_itself_takes_no_bad_epsilon(path: Path, epsilon: float) -> None:
    """Plans with one are refused long before; nothing is counted even so."""
    database = opened(path)
    with pytest.raises((Fault, ValueError, OverflowError)):
        spend(database, account(epsilon=1e9, delta=0.1), Loss(epsilon))
    assert total(database) == []


def test_the_last_of_a_budget_goes_to_one_of_many_threads(path: Path) -> None:
    databases = [opened(path), opened(path)]
    spend(databases[0], account(), Loss(0.5))
    outcomes: list[str] = []

    def try_(database: Database) -> None:
        try:
            spend(database, account(), Loss(0.4))
            outcomes.append("won")
        except Fault as fault:
            outcomes.append(fault.code)

    threads = [threading.Thread(target=try_, args=(databases[i % 2],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["BUDGET_SPENT"] * 7 + ["won"]
    assert len(total(databases[0])) == 2


HEAD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from accounts import *
from mpc.accounting import Loss
from parties.errors import Fault
database = opened(Path(sys.argv[1]))
"""


def run(code: str, path: Path) -> Piped:
    return Piped("-c", HEAD + code, str(path), str(Path(__file__).parent))


def test_the_last_of_a_budget_goes_to_one_of_many_processes(path: Path) -> None:
    opened(path)
    code = """
print('ready', flush=True)
while not Path(sys.argv[1]).with_name('go').exists(): pass
try:
    spend(database, account(), Loss(0.7))
    print('won')
except Fault as fault:
    print(fault.code)
"""
    processes = [run(code, path) for _ in range(4)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
    path.with_name("go").touch()
    assert sorted(process.communicate() for process in processes) == ["BUDGET_SPENT\n"] * 3 + ["won\n"]


def test_kill_at_any_moment_between_debit_and_opening(path: Path) -> None:
    """What was opened (told here) is never more than what was debited."""
    code = """
while True:
    spend(database, account(epsilon=1e6), Loss(0.25))
    os.write(1, b'opened\\n')
"""
    opened_before = 0
    for number in range(6):
        process = run(code, path)
        for _ in range(number + 1):
            process.stdout.readline()
            opened_before += 1
        time.sleep(0.002 * number)
        process.send_signal(signal.SIGKILL)
        opened_before += process.stdout.read().count("opened\n")
        process.wait()
        process.stdout.close()
        assert len(total(opened(path))) >= opened_before


def test_a_kill_within_the_transaction_counts_nothing_and_blocks_nobody(path: Path) -> None:
    code = """
with database.transaction() as connection:
    debit(connection, account(), [Loss(0.9)], 's')
    os.write(1, b'debited\\n')
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run(code, path).communicate() == "debited\n"
    database = opened(path)
    assert total(database) == []
    spend(database, account(), Loss(0.9))


def test_a_fault_after_the_debit_gives_nothing_back_and_one_within_undoes_all(path: Path) -> None:
    database = opened(path)

    def interrupted() -> None:
        with database.transaction() as connection:
            debit(connection, account(), [Loss(0.5)], "s")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert total(database) == []
    spend(database, account(), Loss(0.5))
    assert total(database) == [Loss(0.5)]


def test_a_full_disk_refuses_before_anything_is_used(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this machine cannot mount")
    try:
        database = opened(disk / "privacy.sqlite")
        spend(database, account(), Loss(0.5))
        with pytest.raises(OSError, match="No space"):
            (disk / "filler").write_bytes(bytes(1 << 20))
        for _ in range(2):
            with pytest.raises(Fault) as caught:
                spend(database, account(), Loss(0.25))
            assert caught.value.code == "STATE_UNWRITABLE"
        assert total(database) == [Loss(0.5)]
        (disk / "filler").unlink()
        spend(database, account(), Loss(0.5))
        refused(database, account(), Loss(0.1))
        database.close()
    finally:
        subprocess.run(["umount", disk], check=True)


def garbled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:6000] = os.urandom(6000 - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [garbled, lambda path: path.write_bytes(b""), lambda path: os.truncate(path, 5000)],
    ids=["garbled", "emptied", "cut off"],
)
def test_a_damaged_ledger_gives_out_nothing(damage: Callable[[Path], object], path: Path) -> None:
    database = opened(path)
    for _ in range(50):
        spend(database, account(epsilon=100.0), Loss(1.0))
    database.close()
    damage(path)
    with pytest.raises(Fault) as caught:
        opened(path)
    assert caught.value.code == "STATE_DAMAGED"


def test_an_old_copy_put_back_under_a_running_process(path: Path) -> None:
    database = opened(path)
    spend(database, account(), Loss(0.4))
    old = path.with_name("yesterday")
    old.write_bytes(path.read_bytes())
    spend(database, account(), Loss(0.4))
    os.replace(old, path)
    with pytest.raises(Fault) as caught:
        spend(database, account(), Loss(0.4))
    assert caught.value.code == "STATE_DAMAGED"


def test_what_remains_is_told(path: Path) -> None:
    database = opened(path)
    spend(database, account(), Loss(0.25))
    with database.reading() as connection:
        assert remaining(connection, account()) == 0.75
        assert spent(connection, account()) == [Loss(0.25)]
