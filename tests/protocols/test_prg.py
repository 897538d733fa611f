"""Keys against labels, and the stream against AES-256 of counters."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from protocols import prg
from protocols.prg import Stream, derive

Label = tuple[str | int | bytes, ...]
SECRET = bytes(range(32))
PARTS = st.integers() | st.text(st.characters(exclude_categories=["Cs"])) | st.binary()
LABELS = st.lists(PARTS, max_size=4).map(tuple)


def keystream(key: bytes, words: int) -> list[int]:
    """The stream by its definition: AES of the counters of 2^16 blocks a segment, in words, little end first."""
    counters = ((i >> 16 << 32) + 2 + (i & 0xFFFF) for i in range((words + 1) // 2))
    blocks = b"".join(counter.to_bytes(16, "big") for counter in counters)
    encrypted = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks)  # the definition, not a use
    return [int.from_bytes(encrypted[8 * i : 8 * i + 8], "little") for i in range(words)]


def typed(label: Label) -> list[tuple[type, object]]:
    return [(type(part), part) for part in label]


def test_keystream_starts_with_the_encryption_of_counter_two() -> None:
    key = bytes.fromhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
    first = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update((2).to_bytes(16, "big"))  # the definition
    assert Stream(key).words(2).astype("<u8").tobytes() == first


@given(st.binary(min_size=32, max_size=32), st.lists(st.integers(0, 70), max_size=8))
def test_draws_are_consecutive(key: bytes, draws: list[int]) -> None:
    stream = Stream(key)
    drawn = [word for length in draws for word in stream.words(length).tolist()]
    assert drawn == keystream(key, sum(draws))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 50)), max_size=10))
def test_skipping_is_drawing_and_dropping(moves: list[tuple[bool, int]]) -> None:
    stream, position = Stream(SECRET), 0
    expected = keystream(SECRET, 500)
    for skip, length in moves:
        if skip:
            stream.skip(length)
        else:
            assert stream.words(length).tolist() == expected[position : position + length]
        position += length


@pytest.mark.parametrize("length", [511, 512, 513, (1 << 17) - 1, 1 << 17, (1 << 17) + 1, 300_001])
def test_long_draws(length: int) -> None:
    assert Stream(SECRET).words(length).tolist() == keystream(SECRET, length)


@pytest.mark.parametrize("draws", [(600, 1, 700), (3, (1 << 17) - 3, 5), (1, 1 << 17, 1 << 17), ((1 << 17) + 600, 2)])
def test_draws_across_segments(draws: tuple[int, ...]) -> None:
    stream = Stream(SECRET)
    assert [word for length in draws for word in stream.words(length).tolist()] == keystream(SECRET, sum(draws))


@pytest.mark.parametrize("skipped", [5, 600, (1 << 17) - 1, 1 << 17, (1 << 17) + 7])
def test_skipping_across_segments(skipped: int) -> None:
    stream = Stream(SECRET)
    stream.words(3)
    stream.skip(skipped)
    assert stream.words(2000).tolist() == keystream(SECRET, 3 + skipped + 2000)[3 + skipped :]


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (4, 0, 2), 5])
def test_shapes(shape: int | tuple[int, ...]) -> None:
    words = Stream(SECRET).words(shape)
    assert words.shape == (shape if isinstance(shape, tuple) else (shape,))
    assert words.dtype == np.uint64
    assert words.flags.carray
    assert words.reshape(-1).tolist() == keystream(SECRET, words.size)


def test_a_stream_ends() -> None:
    stream = Stream(SECRET)
    stream.skip((1 << 60) - 3)
    stream.words(2)
    with pytest.raises(ValueError, match="2\\^60"):
        stream.words(2)
    with pytest.raises(ValueError, match="2\\^60"):
        stream.skip(2)
    last = (((1 << 43) - 1) << 32) + 2 + 0xFFFF
    block = Cipher(algorithms.AES(SECRET), modes.ECB()).encryptor().update(last.to_bytes(16, "big"))
    assert stream.words(1).tolist() == [int.from_bytes(block[8:], "little")]


@pytest.mark.parametrize("shape", [-1, (-1,), (2, -1), (-1, -1), (-1, -2)])
def test_a_stream_only_goes_forward(shape: int | tuple[int, ...]) -> None:
    stream = Stream(SECRET)
    with pytest.raises(ValueError, match="negative"):
        stream.words(shape)
    with pytest.raises(ValueError, match="forward"):
        stream.skip(-1)
    stream.skip(2)
    assert stream.words(2).tolist() == keystream(SECRET, 4)[2:]


def test_a_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32"):
        Stream(bytes(16))


def test_no_key_in_the_representation() -> None:
    stream = Stream(SECRET)
    stream.words(5)
    assert repr(stream) == "Stream(position=5)"


def test_derive_is_hkdf_of_the_encoded_label() -> None:
    info = b"beaver key v1" + b"s" + (2).to_bytes(8, "big") + b"ab" + b"i" + (2).to_bytes(8, "big") + b"\xff\x00"
    info += b"b" + (1).to_bytes(8, "big") + b"z"
    extracted = hmac.digest(bytes(32), SECRET, hashlib.sha256)
    assert derive(SECRET, "ab", -256, b"z") == hmac.digest(extracted, info + b"\x01", hashlib.sha256)


@given(LABELS, LABELS)
def test_different_labels_give_different_keys(one: Label, other: Label) -> None:
    assert (derive(SECRET, *one) == derive(SECRET, *other)) == (typed(one) == typed(other))


@given(st.lists(PARTS, min_size=1, max_size=4))
def test_the_encoding_of_a_label_can_be_read_back(label: list[str | int | bytes]) -> None:
    encoded, parts = b"".join(map(prg._encoded, label)), []
    while encoded:
        length = int.from_bytes(encoded[1:9], "big")
        tag, content, encoded = encoded[:1], encoded[9 : 9 + length], encoded[9 + length :]
        parts.append(
            {b"s": bytes.decode, b"b": bytes, b"i": lambda c: int.from_bytes(c, "big", signed=True)}[tag](content)
        )
    assert typed(tuple(parts)) == typed(tuple(label))


def test_labels_that_look_alike() -> None:
    labels = [
        (),
        ("",),
        ("", ""),
        (b"",),
        (0,),
        ("0",),
        (b"0",),
        ("ab", "c"),
        ("a", "bc"),
        ("abc",),
        (1, 2),
        (12,),
        (-1,),
    ]
    assert len({derive(SECRET, *label) for label in labels}) == len(labels)


def test_different_secrets_give_different_keys() -> None:
    assert derive(SECRET, "a") != derive(SECRET[::-1], "a")


@pytest.mark.parametrize("part", [True, None, 1.0, ("a",), np.int64(1), bytearray(b"a")])
def test_other_label_types_are_refused(part: object) -> None:
    with pytest.raises(TypeError, match="label"):
        derive(SECRET, part)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        derive(bytes(15), "a")
