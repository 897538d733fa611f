"""Material made ahead: nothing is handed out twice wherever a process ends, what is on the disk is sealed, and nodes
that have a stock compute with it.
"""

from __future__ import annotations

import errno
import gc
import os
import resource
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parties.common_stock import Wants, due, filled, taken
from parties.sealed import KEY_BYTES, OVERHEAD, Damaged, Sealed, write_sealed
from parties.stock import MOST_KINDS, Segment, Stock
from parties.stock_index import CHUNK, Batch, contents, discard, name_of, remove
from protocols.boolean import Monomials, monomials
from protocols.conversion import DaBits
from protocols.correlations import Demand, Triple
from protocols.masking import Mask
from protocols.ot.messages import InvalidMessage
from protocols.prg import Stream
from protocols.products import Product
from protocols.rounds import Exchange
from protocols.selection import BitProduct
from protocols.stock import UNIT, Shares, StockSource, joined, lengthened, plain
from protocols.truncation import OwnBits, TruncationPair

sys.path.insert(0, str(Path(__file__).parent))
from consortium import refused
from stocks import BINDING, Crash, Stocks, crash, crashing, marked, pieces

sys.path.insert(0, str(Path(__file__).parents[1] / "protocols" / "ot"))
from lockstep import answer, together

TRIPLE = Triple(Product("multiply", (UNIT,), (UNIT,)), (0, 1), (0, 1))
CHOICE = BitProduct(2, UNIT)
KINDS = [TRIPLE, CHOICE]
ID = bytes(range(16))


class Handed:
    """All that parties were ever handed: no element twice at any of them."""

    def __init__(self) -> None:
        self.marks: dict[int, set[int]] = {}

    def __call__(self, party: int, marks: list[int]) -> None:
        had = self.marks.setdefault(party, set())
        assert not had & set(marks), "handed out twice"
        assert len(set(marks)) == len(marks)
        had |= set(marks)


UNITS = st.integers(1, 5).map(lambda count: UNIT * count)
NEEDS = st.dictionaries(st.sampled_from(KINDS), UNITS, min_size=1)
CRASHES = st.none() | st.integers(0, 400)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fill"), st.sampled_from(KINDS), UNITS, CRASHES),
        st.tuples(st.just("session"), NEEDS, CRASHES),
        st.tuples(st.sampled_from(["keep", "restore"]), st.integers(0, 1)),
    ),
    min_size=2,
    max_size=12,
)


@given(steps=STEPS, parties=st.just(2))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_handed_out_twice_wherever_a_process_ends(tmp_path: Path, steps: list[Any], parties: int) -> None:
    """Fill, use, crash at any line, put back an old copy of one party's state, in any order."""
    shutil.rmtree(tmp_path)
    stocks, handed, kept = Stocks(tmp_path, parties), Handed(), set()
    try:
        for step in steps:
            before = {party: set(marks) for party, marks in handed.marks.items()}
            try:
                match step:
                    case "fill", kind, elements, after:
                        with crashing(10**9 if after is None else after, crash):
                            stocks.fill(kind, elements)
                    case "session", needs, after:
                        with crashing(10**9 if after is None else after, crash):
                            there = stocks.session(needs, handed)
                        assert all(each == there[0] for each in there)
                        assert all(there[0].get(kind, 0) <= most for kind, most in needs.items())
                        new = [handed.marks.get(p, set()) - before.get(p, set()) for p in range(parties)]
                        assert all(marks == new[0] for marks in new)
                    case "keep", party:
                        stocks.keep(party)
                        kept = {party}
                    case "restore", party if party in kept:
                        stocks.restore(party)
                continue
            except Crash:
                pass
            gc.collect()  # a process that ended reads nothing any more
            stocks.reopen()
    finally:
        stocks.close()


def test_an_undisturbed_stock_is_used_to_its_end(tmp_path: Path) -> None:
    """Also across batches and records; then there is no more, and no file."""
    stocks, handed = Stocks(tmp_path, 3), Handed()
    three = Triple(Product("multiply", (UNIT,), (UNIT,)), (0, 2), (1,))
    stocks.fill(three, CHUNK + 2 * UNIT)
    stocks.fill(three, 2 * CHUNK)
    got = [stocks.session({three: CHUNK - UNIT}, handed)[2].get(three, 0) for _ in range(5)]
    assert got == [CHUNK - UNIT] * 3 + [5 * UNIT, 0]
    assert {party: len(marks) for party, marks in handed.marks.items()} == dict.fromkeys(range(3), 3 * CHUNK + 2 * UNIT)
    assert not any(list((stocks.state(party) / "stock").iterdir()) for party in range(3))


def noted(file: int, party: int, marks: list[int]) -> None:
    """What was handed out, before anything else happens."""
    os.write(file, f"{party} {marks[0]} {marks[-1]}\n".encode())


def killed_children(tmp_path: Path, log: Path) -> Iterator[int]:
    """Sessions of both parties in a process that is killed one line later each time; their exit statuses."""
    for after in range(0, 10_000, 3):
        child = os.fork()
        if child == 0:
            stocks = Stocks(tmp_path / "states", 2)
            if stocks.there(0).get(name_of(TRIPLE), 0) < 4 * UNIT:
                stocks.number = after
                stocks.fill(TRIPLE, 20 * UNIT)
            end = partial(os.kill, os.getpid(), signal.SIGKILL)
            note = partial(noted, os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY))
            with crashing(after, end):
                stocks.session({TRIPLE: UNIT}, note)
            os._exit(0)
        yield os.waitpid(child, 0)[1]


def test_killed_at_every_step(tmp_path: Path) -> None:
    """A real `kill -9` everywhere from listing to the end: what was handed out stays used."""
    log = tmp_path / "handed"
    statuses = []
    for status in killed_children(tmp_path, log):
        statuses.append(status)
        if status == 0:
            break
    assert set(statuses[:-1]) == {signal.SIGKILL}
    assert len(statuses) > 50
    lines = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
    assert len(set(lines)) == len(lines), "handed out twice"
    assert all(last - first == UNIT - 1 and first % UNIT == 0 for _, first, last in lines)
    by_party = [{first for party, first, _ in lines if party == each} for each in (0, 1)]
    assert by_party[1] - by_party[0] == set() or by_party[0] - by_party[1] == set()
    assert len(by_party[0] & by_party[1]) >= 1


@pytest.mark.parametrize(("party", "left"), [(0, 7), (1, 5)])
def test_two_sessions_at_once_do_not_get_the_same(tmp_path: Path, party: int, left: int) -> None:
    """One begins and ends after the other has seen what is there: the other goes without, and wastes it at most."""
    stocks, handed = Stocks(tmp_path, 2), Handed()
    stocks.fill(TRIPLE, 8 * UNIT)
    slow = stocks.stocks[party]
    take = slow.take

    def meanwhile(*arguments: Any) -> Any:
        slow.take = take  # type: ignore[method-assign]
        assert stocks.session({TRIPLE: UNIT}, handed)[0] == {TRIPLE: UNIT}
        return take(*arguments)

    slow.take = meanwhile  # type: ignore[method-assign]
    assert stocks.session({TRIPLE: 2 * UNIT}, handed) == [{}, {}]
    assert stocks.session({TRIPLE: 8 * UNIT}, handed)[0] == {TRIPLE: left * UNIT}


def test_one_without_a_stock_takes_part(tmp_path: Path) -> None:
    stocks, handed = Stocks(tmp_path, 2), Handed()
    stocks.fill(TRIPLE, UNIT)
    stocks.stocks[1] = None  # type: ignore[call-overload]
    assert stocks.session({TRIPLE: UNIT}, handed) == [{}, {}]
    assert not stocks.there(0), "of no use any more"


EVERY = [
    TRIPLE,
    Triple(Product("multiply", (UNIT,), (UNIT,)), (0,), (1,)),
    OwnBits(UNIT),
    TruncationPair(2, UNIT, 13),
    DaBits(2, UNIT, 1),
    DaBits(2, UNIT, 3),
    CHOICE,
    Mask(2, UNIT, 16),
    Mask(2, UNIT, 3, borrows=True),
    Monomials(2, 1, 5, monomials([(0, 1, 2, 3), (2, 4)])),
]


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: str(plain(kind)[:2]))
@pytest.mark.parametrize("start", [0, CHUNK - UNIT])
def test_protocols_may_write_into_what_they_draw(tmp_path: Path, kind: Demand, start: int) -> None:
    """As they may into material of any other source; of one record and of two."""
    stocks = Stocks(tmp_path, 2)
    stocks.fill(kind, CHUNK + UNIT)
    demand = lengthened(kind, 2 * UNIT)
    for stock in stocks.stocks:
        (batch,) = stock.batches()
        (held,) = stock.take({name_of(kind): kind}, [Segment(batch.id, start, start + 2 * UNIT)])
        assert held
        assert all(share.flags.writeable for share in held.values())
        drawn = StockSource(Shares([((0,), demand)], {kind: 2 * UNIT}), {kind: held}, {}).draw((0,), demand)
        for share in drawn.values():
            np.subtract(share, share, out=share)


# what is on the disk


def test_equal_records_do_not_look_equal(tmp_path: Path) -> None:
    """In one file, nor in two under one key and name."""
    records = [b"same" * 16] * 3
    key, size = os.urandom(KEY_BYTES), len(records[0]) + OVERHEAD
    sealed = []
    for name in ("one", "other"):
        write_sealed(tmp_path / name, key, b"context", records)
        content = (tmp_path / name).read_bytes()[OVERHEAD:]
        sealed += [content[i * size : (i + 1) * size - OVERHEAD] for i in range(len(records))]
    assert len(set(sealed)) == len(sealed) == 2 * len(records)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Stock]:
    stock = Stock(tmp_path, 0, BINDING)
    yield stock
    stock.close()


def take(stock: Stock, kind: Demand, start: int, stop: int) -> Any:
    return stock.take({name_of(kind): kind}, [Segment(ID, start, stop)])[0]


def test_what_is_kept_is_what_was_made(one: Stock) -> None:
    made = [(lengthened(CHOICE, n), marked(CHOICE, 0, n, i)) for i, n in enumerate((CHUNK, CHUNK, 3 * UNIT))]
    one.add(ID, CHOICE, made, 7)
    (batch,) = one.batches()
    assert batch[:5] == (ID, name_of(CHOICE), 0, 2 * CHUNK + 3 * UNIT, 7)
    got = [take(one, CHOICE, *ends) for ends in ((0, UNIT), (UNIT, CHUNK + UNIT), (CHUNK + UNIT, batch.end))]
    whole = joined([shares for _, shares in made])
    for name, share in joined(got).items():
        assert np.array_equal(share, whole[name])
    assert take(one, CHOICE, 0, UNIT) is None
    assert one.batches() == []


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 8 * UNIT), (3 * UNIT, 4 * UNIT), (5 * UNIT, 5 * UNIT), (6 * UNIT, 5 * UNIT)]
)
def test_a_segment_that_is_not_there_is_refused(one: Stock, start: int, stop: int) -> None:
    one.add(ID, TRIPLE, pieces(TRIPLE, 0, 7 * UNIT, 1), 0)
    assert take(one, TRIPLE, 0, 4 * UNIT) is not None
    assert take(one, TRIPLE, start, stop) is None
    assert one.batches()[0].next == 4 * UNIT


def test_only_the_owner_may_read_and_nothing_is_readable(tmp_path: Path, one: Stock) -> None:
    words = np.frombuffer(os.urandom(8 * 3 * 5 * UNIT), np.uint64).reshape(3, -1)
    from protocols.correlations import Material

    shares = Material(a=words[0], b=words[1], c=words[2])
    one.add(ID, TRIPLE, [(lengthened(TRIPLE, 5 * UNIT), shares)], 0)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"stock.key", "stock.sqlite", f"{ID.hex()}.sealed"}
    for path in files:
        assert path.stat().st_mode & 0o077 == 0
        content = path.read_bytes()
        assert not any(words[i, j].tobytes() in content for i in range(3) for j in range(5 * UNIT))
    assert (tmp_path / "stock").stat().st_mode & 0o077 == 0
    # What the database says of the binding opens nothing.
    (bound,) = sqlite3.connect(tmp_path / "stock.sqlite").execute("select digest from binding").fetchone()
    file = tmp_path / "stock" / f"{ID.hex()}.sealed"
    with pytest.raises(Damaged):
        Sealed(file, bound, ID + name_of(TRIPLE), 24 * CHUNK).record(0, 24 * 5 * UNIT)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def exchanged(path: Path) -> None:
    """Another batch's file, sound in itself."""
    shutil.copy(next(each for each in path.parent.iterdir() if each != path), path)


HARM = {
    "flipped": flipped,
    "salt": lambda path: path.write_bytes(bytes(16) + path.read_bytes()[16:]),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "short": lambda path: path.write_bytes(b"x"),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "exchanged": exchanged,
    "records": lambda path: path.write_bytes(swapped(path.read_bytes())),
}


def swapped(content: bytes) -> bytes:
    """The first two records in each other's place."""
    size = 24 * CHUNK + 16
    return content[:16] + content[16 + size : 16 + 2 * size] + content[16 : 16 + size] + content[16 + 2 * size :]


@pytest.mark.parametrize("how", HARM)
def test_what_one_party_cannot_read_nobody_uses(tmp_path: Path, how: str) -> None:
    """A coded fault there, and the session goes on without."""
    stocks, handed = Stocks(tmp_path, 2), Handed()
    stocks.fill(TRIPLE, 2 * CHUNK + UNIT)
    (harmed,) = (stocks.state(1) / "stock").iterdir()
    stocks.fill(TRIPLE, 2 * CHUNK + UNIT)
    HARM[how](harmed)
    assert stocks.session({TRIPLE: 5 * CHUNK}, handed) == [{TRIPLE: 2 * CHUNK + UNIT}] * 2
    assert [fault.code for fault in stocks.troubles] == ["STOCK_DAMAGED"]
    assert harmed.name in stocks.troubles[0].message
    assert not stocks.there(0)
    assert not stocks.there(1)


def test_another_key_another_binding_another_party(tmp_path: Path) -> None:
    """Nothing that is bound to something else stays."""

    def fresh(**changes: Any) -> Stock:
        return Stock(**{"state": tmp_path, "party": 0, "binding": BINDING, **changes})

    for change in ({"binding": b"c" * 32}, {"party": 1}, {"key": os.urandom(32)}, {"key": b"short"}, {"mode": 0o644}):
        with_batch = fresh()
        with_batch.remember([TRIPLE])
        with_batch.add(ID, TRIPLE, pieces(TRIPLE, 0, UNIT, 1), 0)
        with_batch.close()
        again = fresh()
        assert len(again.batches()) == len(again.kinds()) == 1
        again.close()
        if "key" in change:
            (tmp_path / "stock.key").write_bytes(change["key"])
        if "mode" in change:
            (tmp_path / "stock.key").chmod(0o644)
        other = fresh(**{name: value for name, value in change.items() if name in ("binding", "party")})
        assert other.batches() == []
        assert other.kinds() == {}
        assert list((tmp_path / "stock").iterdir()) == []
        assert (tmp_path / "stock.key").stat().st_mode & 0o077 == 0
        other.close()


def test_files_and_rows_without_each_other_go_at_the_start(tmp_path: Path, one: Stock) -> None:
    for i in range(3):
        one.add(bytes([i]) * 16, TRIPLE, pieces(TRIPLE, 0, UNIT, 1), 0)
    one.close()
    (tmp_path / "stock" / f"{(b'%c' % 0).hex() * 16}.sealed").unlink()
    for orphan in (f"{'ff' * 16}.sealed", "else"):
        (tmp_path / "stock" / orphan).write_bytes(b"x")
    with sqlite3.connect(tmp_path / "stock.sqlite") as connection:
        connection.execute("update batch set next = end where id = ?", (b"\x01" * 16,))
    again = Stock(tmp_path, 0, BINDING)
    assert [batch.id for batch in again.batches()] == [b"\x02" * 16]
    assert [path.name for path in (tmp_path / "stock").iterdir()] == [f"{'02' * 16}.sealed"]
    again.close()


def test_a_damaged_database_is_given_up(tmp_path: Path, one: Stock) -> None:
    one.add(ID, TRIPLE, pieces(TRIPLE, 0, UNIT, 1), 0)
    one.close()
    (tmp_path / "stock.sqlite").write_bytes(b"no database" * 1000)
    told: list[Any] = []
    again = Stock(tmp_path, 0, BINDING, told.append)
    assert [fault.code for fault in told] == ["STATE_DAMAGED"]
    assert again.batches() == []
    again.add(ID, TRIPLE, pieces(TRIPLE, 0, UNIT, 1), 0)
    assert take(again, TRIPLE, 0, UNIT) is not None
    again.close()


def test_a_database_that_is_replaced_costs_material_and_no_session(tmp_path: Path, one: Stock) -> None:
    one.add(ID, TRIPLE, pieces(TRIPLE, 0, UNIT, 1), 0)
    one._trouble = (told := []).append
    replaced(tmp_path)
    assert take(one, TRIPLE, 0, UNIT) is None
    assert [fault.code for fault in told] == ["STATE_DAMAGED"]


def replaced(state: Path) -> None:
    """By an old copy, say."""
    shutil.copy(state / "stock.sqlite", state / "copy")
    os.replace(state / "copy", state / "stock.sqlite")


@pytest.mark.parametrize("harm", [replaced, lambda state: (state / "stock.sqlite").unlink()])
def test_a_session_goes_on_without_a_stock_that_fails(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    stocks, handed = Stocks(tmp_path, 2), Handed()
    stocks.fill(TRIPLE, UNIT)
    harm(stocks.state(1))
    assert stocks.session({TRIPLE: UNIT}, handed) == [{}, {}]
    assert {fault.code for fault in stocks.troubles} <= {"STATE_DAMAGED", "STATE_UNWRITABLE"}
    assert stocks.troubles


def test_a_full_disk_keeps_nothing_and_breaks_nothing(tmp_path: Path, one: Stock) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with refused("STATE_UNWRITABLE", "stock"):
            one.add(ID, TRIPLE, pieces(TRIPLE, 0, 50 * UNIT, 1), 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "stock").iterdir()) == one.batches() == []
    one.add(ID, TRIPLE, pieces(TRIPLE, 0, 50 * UNIT, 1), 0)
    assert take(one, TRIPLE, 0, 50 * UNIT) is not None


def test_old_material_and_old_kinds_are_forgotten(one: Stock) -> None:
    for made in (5, 10):
        one.add(bytes([made]) * 16, TRIPLE, pieces(TRIPLE, 0, UNIT, 1), made)
    one.forget(10)
    assert [batch.made for batch in one.batches()] == [10]
    kinds = [Mask(2 + i, UNIT, 16) for i in range(MOST_KINDS + 3)]
    for kind in kinds:
        one.remember([kind])
    assert list(one.kinds().values()) == kinds[3:]
    one.remember(kinds[3:5])
    one.remember(kinds[:1])
    assert list(one.kinds().values()) == [*kinds[6:], *kinds[3:5], kinds[0]], "the one wanted longest ago is forgotten"


def test_what_is_shown_and_emptied(tmp_path: Path, one: Stock) -> None:
    assert contents(tmp_path / "elsewhere", 0, BINDING) is None
    one.remember([TRIPLE])
    one.add(ID, TRIPLE, pieces(TRIPLE, 0, 4 * UNIT, 1), 0)
    take(one, TRIPLE, 0, UNIT)
    shown = contents(tmp_path, 0, BINDING)
    assert shown is not None
    size = 16 + 16 + 24 * 4 * UNIT
    assert (shown.batches, shown.kinds, shown.present) == (
        [Batch(ID, name_of(TRIPLE), UNIT, 4 * UNIT, 0, size)], {name_of(TRIPLE): TRIPLE}, True,
    )  # fmt: skip
    assert (tmp_path / "stock" / f"{ID.hex()}.sealed").stat().st_size == size
    assert not contents(tmp_path, 0, b"c" * 32).present  # type: ignore[union-attr]
    discard(tmp_path)
    assert one.batches() == []
    assert take(one, TRIPLE, UNIT, 2 * UNIT) is None
    assert list((tmp_path / "stock").iterdir()) == []


TAMPERED = {
    "form is no form": "update kind set form = x'c1'",
    "form of another": "update kind set form = x'91a3466f6f'",
    "form without an end": "update kind set form = x'93'",
    "name": "update kind set name = x'01'",
    "id": "update batch set id = x'0102'",
    "kind": "update batch set kind = x'01'",
    "next inside a unit": "update batch set next = 1",
    "next below zero": "pragma ignore_check_constraints = 1; update batch set next = -64",
    "end inside a unit": "update batch set end = end + 1",
    "end beyond the file": "update batch set end = end + 64",
    "end without bounds": "update batch set end = end + (1 << 50)",
    "nothing in it": "update batch set end = 0",
    "bytes": "update batch set bytes = 0",
}


def tampered(state: Path, how: str) -> None:
    with closing(sqlite3.connect(state / "stock.sqlite")) as connection:
        connection.executescript(TAMPERED[how])


@pytest.mark.parametrize("how", TAMPERED)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_bad_row_costs_the_stock_and_no_session(tmp_path: Path, how: str, restarted: bool) -> None:
    """It is told once, all is deleted, and a new stock begins."""
    stocks, handed = Stocks(tmp_path, 2), Handed()
    for stock in stocks.stocks:
        stock.remember([TRIPLE])
    stocks.fill(TRIPLE, 10 * UNIT)
    old = [path.name for path in (stocks.state(1) / "stock").iterdir()]
    tampered(stocks.state(1), how)
    if restarted:
        stocks.reopen()
    for stock in stocks.stocks:
        with stock.forgiving():
            stock.remember([TRIPLE])
    assert stocks.session({TRIPLE: UNIT}, handed) == [{}, {}]
    assert [fault.code for fault in stocks.troubles] == ["STATE_DAMAGED"]
    assert not set(old) & {path.name for path in (stocks.state(1) / "stock").glob("*")}
    for stock in stocks.stocks:
        stock.remember([TRIPLE])
        assert list(stock.kinds().values()) == [TRIPLE]
    stocks.fill(TRIPLE, 2 * UNIT)
    assert stocks.session({TRIPLE: UNIT}, handed) == [{TRIPLE: UNIT}] * 2
    stocks.reopen()
    assert stocks.session({TRIPLE: UNIT}, handed) == [{TRIPLE: UNIT}] * 2
    assert len(stocks.troubles) == 1


@pytest.mark.parametrize("how", sorted(TAMPERED.keys() - {"next below zero"}))  # the file as a whole is damaged then
def test_a_bad_row_is_told_and_can_be_emptied(tmp_path: Path, how: str, one: Stock) -> None:
    one.remember([TRIPLE])
    one.add(ID, TRIPLE, pieces(TRIPLE, 0, 10 * UNIT, 1), 0)
    tampered(tmp_path, how)
    with refused("STATE_DAMAGED", "stock.sqlite"):
        contents(tmp_path, 0, BINDING)
    assert discard(tmp_path) == 1
    shown = contents(tmp_path, 0, BINDING)
    assert shown is not None
    assert shown.batches == []
    assert one.batches() == []


def test_what_is_in_the_way_is_told(tmp_path: Path, one: Stock) -> None:
    """A file where the folder should be, folders where files should be."""
    one.add(ID, TRIPLE, pieces(TRIPLE, 0, UNIT, 1), 0)
    one.close()
    (tmp_path / "stock" / "x.sealed").mkdir()
    assert discard(tmp_path) == 1
    shutil.rmtree(tmp_path / "stock")
    (tmp_path / "stock").write_text("x")
    with refused("STATE_UNWRITABLE", "stock"):
        Stock(tmp_path, 0, BINDING)
    (tmp_path / "stock").unlink()
    (tmp_path / "stock.sqlite").unlink()
    (tmp_path / "stock.sqlite").mkdir()
    with refused("STATE_UNWRITABLE", "stock.sqlite"):
        remove(tmp_path)


def test_no_more_files_for_now_deletes_nothing(tmp_path: Path, one: Stock) -> None:
    """The segment is burnt, what is left of the batch stays."""
    one.add(ID, TRIPLE, pieces(TRIPLE, 0, 4 * UNIT, 1), 0)
    take(one, TRIPLE, 0, UNIT)
    one._trouble = (told := []).append
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_ = one._opened

    def exhausted(*arguments: Any) -> Any:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            return open_(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    one._opened = exhausted  # type: ignore[method-assign]
    assert take(one, TRIPLE, UNIT, 2 * UNIT) is None
    one._opened = open_  # type: ignore[method-assign]
    assert [fault.code for fault in told] == ["STATE_UNWRITABLE"]
    assert os.strerror(errno.EMFILE) in told[0].message
    assert take(one, TRIPLE, 2 * UNIT, 4 * UNIT) is not None


# what parties tell each other


def row(place: int, first: int, end: int, id: int = 1) -> list[int]:
    return [place, id, id, first, end]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (row(1, 0, 64), "no stock has"),
        (row(0, 64, 0), "no stock has"),
        (row(0, 1, 64), "no stock has"),
        (row(0, 0, 65), "no stock has"),
        (row(0, 0, 1 << 63), "no stock has"),
        ([*row(0, 0, 64), *row(0, 0, 64)], "twice"),
        ([*row(0, 0, 64), *row(0, 0, 128)], "twice"),
    ],
)
def test_a_list_that_is_none(one: Stock, words: list[int], said: str) -> None:
    count = np.array([len(words) // 5], np.uint64)
    with pytest.raises(InvalidMessage, match=said) as caught:
        answer(taken(0, 2, {TRIPLE: UNIT}, one), {1: count}, {1: np.array(words, np.uint64)})
    assert caught.value.peer == 1


def test_a_list_without_end(one: Stock) -> None:
    with pytest.raises(InvalidMessage, match="more than there can be"):
        answer(taken(0, 2, {TRIPLE: UNIT}, one), {1: np.array([1 << 40], np.uint64)}, {})


def test_who_was_told_another_list_uses_nothing(tmp_path: Path) -> None:
    """Of three, one tells the others that it used different stretches: they notice, and use none."""
    stocks = Stocks(tmp_path, 3)
    three = Triple(Product("multiply", (UNIT,), (UNIT,)), (0, 1, 2), (0, 1, 2))
    stocks.fill(three, 10 * UNIT)
    id = np.frombuffer(stocks.stocks[2].batches()[0].id, "<u8").tolist()

    async def liar() -> None:
        one = np.array([1], np.uint64)
        await Exchange({0: [one], 1: [one]}, {0: 1, 1: 1})
        lists = {peer: [np.array([0, *id, peer * UNIT, 10 * UNIT], np.uint64)] for peer in (0, 1)}
        await Exchange(lists, {0: 5, 1: 5})
        heard = Exchange({}, {0: 132, 1: 132})
        await heard
        for peer in (0, 1):  # tells each what it says itself
            await Exchange({peer: [heard.received[peer]]}, {})

    async def honest(party: int) -> tuple[Any, Any]:
        return await taken(party, 3, {three: UNIT}, stocks.stocks[party])

    results, _ = together(partial(honest, 0), partial(honest, 1), liar)
    assert results[:2] == [({}, {})] * 2
    assert stocks.troubles == []
    assert stocks.there(0)[name_of(three)] == 9 * UNIT, "what was taken is burnt"


def test_the_one_that_used_most_decides(tmp_path: Path) -> None:
    """A party whose state is an old copy makes nobody use anything again."""
    stocks, handed = Stocks(tmp_path, 3), Handed()
    three = Triple(Product("multiply", (UNIT,), (UNIT,)), (0, 1, 2), (0, 1, 2))
    stocks.fill(three, 6 * UNIT)
    stocks.keep(1)
    stocks.session({three: 4 * UNIT}, handed)
    stocks.restore(1)
    assert stocks.session({three: 4 * UNIT}, handed)[1] == {three: 2 * UNIT}
    stocks.restore(1)
    assert stocks.session({three: 4 * UNIT}, handed) == [{}] * 3


# filling


def filling(
    stocks: Stocks, names: list[bytes], wants: dict[int, Wants], alone: dict[int, Any] | None = None
) -> list[dict[Demand, int]]:
    session = os.urandom(48)
    said = alone or {}

    async def one(me: int) -> dict[Demand, int]:
        stock, go_on = stocks.stocks[me], said.get(me, lambda: True)
        draw = Stream(os.urandom(32))
        done = await filled(me, stocks.parties, session, names, stock, wants[me], draw, lambda: 5.0, go_on)
        assert done.level == min(each.elements for each in wants.values())
        return done.made

    return together(*(partial(one, me) for me in range(stocks.parties)))[0]


def check_correlated(stocks: Stocks, kind: Demand, elements: int) -> None:
    """What all parties have of a kind is what a dealer would have dealt."""
    shares: list[Any] = [None] * stocks.parties

    async def one(me: int) -> int:
        there, got = await taken(me, stocks.parties, {kind: elements}, stocks.stocks[me])
        shares[me] = got[kind]
        return there[kind]

    assert together(*(partial(one, me) for me in range(stocks.parties)))[0] == [elements] * stocks.parties
    demand, values = lengthened(kind, elements), {}
    for part in (*demand.free, *demand.bound):
        held = [share[part.name] for share in shares if part.name in share]
        values[part.name] = (np.add if part.kind == "ring" else np.bitwise_xor).reduce(held)
    expected = demand.complete({part.name: values[part.name] for part in demand.free})
    assert all(np.array_equal(values[part.name], expected[part.name]) for part in demand.bound)


@pytest.mark.parametrize("parties", [2, 3])
def test_stocks_are_filled_to_the_least_level_with_what_all_know(tmp_path: Path, parties: int) -> None:
    stocks = Stocks(tmp_path, parties)
    triple = Triple(Product("multiply", (UNIT,), (UNIT,)), (0, 1), (1,))
    choice, strange = BitProduct(parties, UNIT), Mask(parties, UNIT, 16)
    for party, stock in enumerate(stocks.stocks):
        stock.remember([choice, triple] if party else [triple, choice, strange])
    names = [name_of(kind) for kind in (triple, strange, choice)]
    wants = {party: Wants(CHUNK + 70 + 1000 * party, 1 << 30) for party in range(parties)}
    level = CHUNK + 2 * UNIT
    assert filling(stocks, names, wants) == [{triple: level, choice: level}] * parties
    assert filling(stocks, names, wants) == [{}] * parties
    check_correlated(stocks, triple, level)
    check_correlated(stocks, choice, CHUNK)
    assert filling(stocks, names, wants)[0] == {triple: level, choice: CHUNK}
    assert all(batch.made == 5 for batch in stocks.stocks[0].batches())


def test_filling_keeps_to_the_bytes_of_each_party(tmp_path: Path) -> None:
    stocks = Stocks(tmp_path, 2)
    for stock in stocks.stocks:
        stock.remember([TRIPLE])
    small = 24 * 200_000
    made = filling(stocks, [name_of(TRIPLE)], {0: Wants(1 << 20, 1 << 30), 1: Wants(1 << 20, small)})
    assert made == [{TRIPLE: 3 << 16}] * 2
    assert sum(path.stat().st_size for path in (stocks.state(1) / "stock").iterdir()) <= small + 1000


def test_filling_lets_others_in_between_batches(tmp_path: Path) -> None:
    stocks = Stocks(tmp_path, 2)
    for stock in stocks.stocks:
        stock.remember([TRIPLE])
    calls = iter([True, False])
    wants = dict.fromkeys(range(2), Wants(1 << 20, 1 << 30))
    assert filling(stocks, [name_of(TRIPLE)], wants, {1: lambda: next(calls)}) == [{TRIPLE: 1 << 16}] * 2


def test_filling_forgets_what_others_have_not(tmp_path: Path) -> None:
    stocks = Stocks(tmp_path, 2)
    for stock in stocks.stocks:
        stock.remember([TRIPLE])
    stocks.fill(TRIPLE, 64 * UNIT)
    discard(stocks.state(1))
    wants = dict.fromkeys(range(2), Wants(32 * UNIT, 1 << 30))
    assert filling(stocks, [name_of(TRIPLE)], wants)[0] == {TRIPLE: 32 * UNIT}
    assert stocks.there(0) == stocks.there(1) == {name_of(TRIPLE): 32 * UNIT}


@given(level=st.integers(64, 1 << 21), there=st.integers(0, 1 << 21), room=st.integers(0, 1 << 24))
def test_what_is_due(level: int, there: int, room: int) -> None:
    there = there // UNIT * UNIT
    name = name_of(TRIPLE)
    batches = due({name: TRIPLE}, {name: level}, {0: room, 1: 1 << 40}, {(ID, name, there): 0})
    made = sum(elements for _, elements in batches)
    assert all(elements % UNIT == 0 and elements <= 1 << 16 for _, elements in batches)
    assert 24 * made <= room
    if level - there < max(1, level // 8):
        assert made == 0
    elif 24 * (level - there + UNIT) <= room:
        assert level <= there + made < level + UNIT
