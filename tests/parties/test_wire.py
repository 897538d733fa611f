"""Messages survive the wire; nothing else gets through, and refusing is cheap."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parties.errors import Fault
from parties.wire import MAX_DEPTH, MAX_ITEMS, fields, pack, unpack

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary()
    | st.just(bytes(70_000))
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
messages = st.dictionaries(st.text(max_size=5), values, max_size=4)


def refused(data: bytes, max_size: int = 1 << 20) -> None:
    with pytest.raises(Fault) as caught:
        unpack(data, max_size)
    assert caught.value.code == "WIRE_MALFORMED"


@given(messages)
def test_round_trip(message: dict[str, Any]) -> None:
    assert unpack(pack(message)) == message


@given(messages, st.data())
@settings(max_examples=500)
def test_mutated_bytes_raise_nothing_but_a_fault(message: dict[str, Any], data: st.DataObject) -> None:
    packed = bytearray(pack(message))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(packed)))
        match data.draw(st.sampled_from(["flip", "cut", "insert"])):
            case "flip" if at < len(packed):
                packed[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del packed[at:]
            case "insert":
                packed[at:at] = data.draw(st.binary(max_size=9))
    check(bytes(packed))


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_any_bytes_raise_nothing_but_a_fault(data: bytes) -> None:
    check(data)


def check(data: bytes) -> None:
    try:
        message = unpack(data)
    except Fault:
        return
    assert type(message) is dict


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x93\x01",
        msgpack.packb([1]),
        msgpack.packb({1: 2}),
        msgpack.packb({b"a": 2}),
        msgpack.packb({"a": {1: 2}}),
        msgpack.packb({"a": msgpack.ExtType(1, b"x")}),
        msgpack.packb({"a": msgpack.Timestamp(1)}),
        b"\x82\xa1a\x01\xa1a\x02",
        b"\x81\xa1a\xa2\xff\xfe",
        b"\x81\xa1a\xc6\xff\xff\xff\xff",
        msgpack.packb({"a": 1}) + b"\x00",
        msgpack.packb({"a": b"x" * (1 << 20)}),
    ],
)
def test_unexpected_is_refused(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x91" * 1024 + b"\x00",
        b"\x91" * (1 << 20),
        b"\xdd\x40\x00\x00\x00" * 200_000,
        b"\xdd\x00\x0f\xff\x00" * 1024 + b"\x00" * (1 << 19),
        b"\xdf\x40\x00\x00\x00",
    ],
)
def test_a_bomb_is_refused_cheaply(data: bytes) -> None:
    tracemalloc.start()
    try:
        refused(data, max_size=2 << 20)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def cpu_seconds(action: Callable[[], object]) -> float:
    gc.disable()  # what other tests left behind is not to be looked through meanwhile
    start = time.process_time()
    action()
    spent = time.process_time() - start
    gc.enable()
    return spent


def test_as_many_small_items_as_may_be_are_cheap() -> None:
    """Beside a bare loop over so many."""
    most = MAX_ITEMS - 2
    loop = min(cpu_seconds(lambda: sum(1 for _ in range(most))) for _ in range(5))
    assert cpu_seconds(lambda: unpack(b"\x81\xa1a\xdd" + most.to_bytes(4, "big") + b"\x90" * most)) < 200 * loop
    refused(b"\x81\xa1a\xdd" + MAX_ITEMS.to_bytes(4, "big") + b"\x90" * MAX_ITEMS)


def test_a_million_small_items_are_refused_before_they_are_read() -> None:
    """In less time than reading them takes without a look at them before."""
    packed = pack_anything({"kind": "x", "a": [[] for _ in range(10)] * 104_000})
    reading = min(cpu_seconds(lambda: msgpack.unpackb(packed)) for _ in range(2))
    assert cpu_seconds(lambda: [refused(packed, max_size=2 << 20) for _ in range(10)]) < 10 * reading


def pack_anything(message: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(message)
    return packed


def test_hellos_of_many_columns_fit() -> None:
    inputs = [["a table of some length", f"column{i}", "integer", 10**6] for i in range(2000)]
    message = {"kind": "hellos", "hellos": [{"inputs": inputs}] * 5}
    assert unpack(pack(message)) == message


def test_depth_is_bounded_for_the_sender_too() -> None:
    value: object = 0
    for _ in range(MAX_DEPTH):
        value = [value]
    with pytest.raises(Fault, match="nests too deep"):
        pack({"a": value})
    with pytest.raises(Fault, match="cannot be packed"):
        pack({"a": object()})
    with pytest.raises(Fault, match="cannot be packed"):
        pack({"a": 2**64})


def test_fields() -> None:
    message = {"kind": "hello", "rows": 3}
    assert fields(message, kind=str, rows=int) == ("hello", 3)
    assert fields(message, rows=(int, str), kind=str) == (3, "hello")
    for wrong, what in [
        ({"kind": "hello"}, "lacks the field 'rows'"),
        (message | {"extra": 1}, "unknown field 'extra'"),
        (message | {"rows": True}, "'rows' of type bool"),
        (message | {"rows": 3.0}, "'rows' of type float"),
    ]:
        with pytest.raises(Fault, match=what):
            fields(wrong, kind=str, rows=int)
