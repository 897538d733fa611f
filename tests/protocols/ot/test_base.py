"""Base OTs: the chosen key and no other, bound to the transcript; points that nobody honest sends are refused."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings as curve

from protocols.ot import base
from protocols.ot.messages import InvalidMessage

sys.path.insert(0, str(Path(__file__).parent))
from lockstep import answer, together

CONTEXT = b"a session's name"
P = 2**255 - 19

# the eight points of small order, as libsodium's test vectors list them, some in a second, non-canonical encoding
SMALL_ORDER = [
    (1).to_bytes(32, "little"),
    bytes(32),
    (2**255).to_bytes(32, "little"),
    (P - 1).to_bytes(32, "little"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    P.to_bytes(32, "little"),
    (P + 1).to_bytes(32, "little"),
]


def run(choices: list[int], contexts=(CONTEXT, CONTEXT)):
    (offered, chosen), _ = together(
        partial(base.offer, 1, len(choices), contexts[0]), partial(base.choose, 0, choices, contexts[1])
    )
    return offered, chosen


def words(*points: bytes) -> np.ndarray:
    return np.frombuffer(b"".join(points), np.uint64)


def point() -> bytes:
    scalar = curve.crypto_core_ed25519_scalar_reduce(os.urandom(64))
    return bytes(curve.crypto_scalarmult_ed25519_base_noclamp(scalar))


def bad_points() -> list[bytes]:
    mixed = _add(point(), SMALL_ORDER[6])  # on the curve, but outside the subgroup of prime order
    off_curve = (2).to_bytes(32, "little")
    return [*SMALL_ORDER, mixed, off_curve, b"\xff" * 32]


def _add(p: bytes, q: bytes) -> bytes:
    """The sum of two points of edwards25519 by its formula; libsodium refuses points of small order."""
    d = -121665 * pow(121666, -1, P)

    def decoded(data: bytes) -> tuple[int, int]:
        y = int.from_bytes(data, "little")
        sign, y = y >> 255, y & (1 << 255) - 1
        square = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        if (x * x - square) % P:
            x = x * pow(2, (P - 1) // 4, P) % P
        assert (x * x - square) % P == 0
        return (x if x & 1 == sign else P - x), y

    (x1, y1), (x2, y2) = decoded(p), decoded(q)
    t = d * x1 * x2 * y1 * y2
    x, y = (x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=20))
def test_the_receiver_has_the_keys_that_it_chose(choices: list[int]) -> None:
    (offered, transcript), (chosen, same) = run(choices)
    assert chosen == [pair[choice] for pair, choice in zip(offered, choices, strict=True)]
    assert transcript == same
    keys = [key for pair in offered for key in pair]
    assert len({*keys, transcript}) == len(keys) + 1
    assert {len(key) for key in keys} == {32}


def test_keys_are_fresh_and_bound_to_the_context() -> None:
    (first, one), _ = run([0, 1])
    (second, two), _ = run([0, 1])
    assert one != two
    assert not {key for pair in first for key in pair} & {key for pair in second for key in pair}
    (offered, mine), (chosen, other) = run([0, 1], (CONTEXT, CONTEXT + b"!"))
    assert not {key for pair in offered for key in pair} & set(chosen)
    assert mine != other


def test_equal_points_at_two_places_give_different_keys() -> None:
    repeated = point()
    offered, _ = answer(base.offer(1, 2, CONTEXT), {}, {1: words(repeated, repeated)})
    assert len({key for pair in offered for key in pair}) == 4


@pytest.mark.parametrize("bad", bad_points(), ids=map(str, range(len(bad_points()))))
def test_points_outside_the_group_are_refused(bad: bytes) -> None:
    with pytest.raises(InvalidMessage, match="party 1 sent bytes that are no point") as caught:
        answer(base.offer(1, 2, CONTEXT), {}, {1: words(point(), bad)})
    assert caught.value.peer == 1
    with pytest.raises(InvalidMessage, match="party 4 sent bytes that are no point"):
        answer(base.choose(4, [0, 1], CONTEXT), {4: words(bad)}, {})


def test_the_senders_own_point_is_refused() -> None:
    protocol = base.offer(1, 1, CONTEXT)
    (exchange,) = protocol.send(None)
    (own,) = exchange.sends[1]
    (exchange,) = protocol.send(None)
    exchange.received = {1: own}
    with pytest.raises(InvalidMessage, match="own point"):
        protocol.send(None)


@pytest.mark.parametrize("count", [0, 1, 3, 5, 8])
def test_wrong_lengths_are_refused(count: int) -> None:
    with pytest.raises(InvalidMessage, match=f"{count} words where 16 were due"):
        answer(base.offer(1, 4, CONTEXT), {}, {1: np.zeros(count, np.uint64)} if count else {})
    with pytest.raises(InvalidMessage, match=f"{count} words where 4 were due"):
        answer(base.choose(1, [0], CONTEXT), {1: np.zeros(count, np.uint64)}, {})


def test_an_error_shows_no_key() -> None:
    error = InvalidMessage(3, "bytes that are no point of the group")
    assert str(error) == (
        "party 3 sent bytes that are no point of the group; end the session and make no use of its material"
    )
    assert isinstance(error, ValueError)
