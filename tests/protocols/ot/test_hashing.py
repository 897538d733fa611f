"""AES block by block, the hash by its definition, the tree of seeds, and the compiled loops against numpy."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.ot import kernels, pprf
from protocols.ot.aes import Aes
from protocols.ot.hashing import Hash

KEY = bytes(range(16))


def random(*shape: int) -> np.ndarray:
    return np.frombuffer(os.urandom(8 * int(np.prod(shape))), np.uint64).reshape(shape)


def p(block: int) -> int:
    """AES-128 of one block by the standard's name for it, little end first."""
    cipher = Cipher(algorithms.AES(KEY), modes.ECB()).encryptor()
    return int.from_bytes(cipher.update(block.to_bytes(16, "little")), "little")


def between(blocks: np.ndarray, start: int, offsets: np.ndarray, out: np.ndarray) -> None:
    part = blocks[start : start + out.shape[1]]
    out[:, : len(part)] = part ^ offsets[:, None]


def encrypt(cipher: Aes, blocks: np.ndarray) -> np.ndarray:
    room = np.empty(blocks.size + 2, np.uint64)
    cipher.encrypt_into(blocks.view(np.uint8).reshape(-1).data, room.view(np.uint8).data)
    return room[:-2].reshape(blocks.shape)


def number(block: np.ndarray) -> int:
    return int.from_bytes(np.ascontiguousarray(block).tobytes(), "little")


def bits(words: np.ndarray) -> np.ndarray:
    return np.unpackbits(words.reshape(len(words), -1).view(np.uint8), axis=1, bitorder="little")


def test_aes_is_aes() -> None:
    """FIPS 197, appendix B; then many blocks, the same whether together or apart."""
    key, plain = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"), bytes.fromhex("3243f6a8885a308d313198a2e0370734")
    cipher = Aes(key)
    assert encrypt(cipher, np.frombuffer(plain, np.uint64)).tobytes().hex() == "3925841d02dc09fbdc118597196a0b32"
    for count in (1, 2, 3, 7, 8, 9, 255, 1000, 4097):
        blocks = random(count, 2)
        encrypted = encrypt(Aes(KEY), blocks)
        assert encrypted.shape == blocks.shape
        assert [number(block) for block in encrypted[:9]] == [p(number(block)) for block in blocks[:9]]
        ecb = Cipher(algorithms.AES(KEY), modes.ECB()).encryptor().update(blocks.tobytes())
        assert encrypted.tobytes() == ecb


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(1, 5), st.integers(0, 2**61))
def test_the_hash_is_tmmo(count: int, width: int, first: int) -> None:
    blocks, offsets = random(count, 2), random(2, 2)
    hashed = Hash(KEY).words(partial(between, blocks), first, count, width, offsets)
    assert hashed.shape == (2, count, width)
    for o, offset in enumerate(offsets):
        for i in {0, count // 2, count - 1}:
            y = p(number(blocks[i] ^ offset))
            output = b"".join((p(y ^ (first + i + (j << 64))) ^ y).to_bytes(16, "little") for j in range(3))
            assert hashed[o, i].tobytes() == output[: 8 * width]


def test_long_hashes_are_cut_without_a_seam() -> None:
    blocks, offsets = random(20_000, 2), random(1, 2)
    whole = Hash(KEY).words(partial(between, blocks), 5, len(blocks), 3, offsets)
    for start, stop in ((0, 100), (8150, 8250), (16_380, 16_390), (19_999, 20_000)):
        part = Hash(KEY).words(partial(between, blocks[start:stop]), 5 + start, stop - start, 3, offsets)
        assert np.array_equal(part, whole[:, start:stop])


def test_indices_are_claimed_once() -> None:
    hash = Hash(KEY)
    assert [hash.claim(count) for count in (5, 1, 2**40, 3)] == [0, 5, 6, 6 + 2**40]
    for count in (0, -1, 2**62):
        with pytest.raises(ValueError, match="cannot be numbered"):
            hash.claim(count)
    assert hash.claim(1) == 9 + 2**40


@given(st.integers(1, 8).flatmap(lambda depth: st.tuples(st.just(depth), st.integers(0, 2**depth - 1))))
@settings(max_examples=40, deadline=None)
def test_a_tree_regrows_but_for_its_hole(tree: tuple[int, int]) -> None:
    depth, hole = tree
    leaves, sums = pprf.grow(os.urandom(16), depth)
    assert len(set(leaves)) == 1 << depth
    other_sides = [sides[1 - (hole >> depth - 1 - level & 1)] for level, sides in enumerate(sums)]
    regrown = pprf.regrow(hole, other_sides)
    assert regrown[hole] is None
    assert [leaf for x, leaf in enumerate(regrown) if x != hole] == [leaf for x, leaf in enumerate(leaves) if x != hole]


@pytest.mark.parametrize("width", [1, 2, 31, 32, 33, 100, 257])
def test_bits_are_transposed(width: int) -> None:
    rows, offsets = random(128, width), random(2, 2)
    for start, stop in {(0, width), (width // 2, width), (width // 3, width - width // 3)}:
        blocks = np.empty((2, 64 * (stop - start), 2), np.uint64)
        kernels.transpose(rows, start, offsets, blocks)
        for offset, added in zip(offsets, blocks, strict=True):
            assert np.array_equal(bits(added ^ offset), bits(rows).T[64 * start : 64 * stop])


@pytest.mark.parametrize("field_bits", [2, 4, 8])
@pytest.mark.parametrize("width", [1, 3, 256, 300])
def test_leaves_are_folded(field_bits: int, width: int) -> None:
    leaves = random(1 << field_bits, width + 2)
    rows, total = np.empty((field_bits, width), np.uint64), np.empty(width, np.uint64)
    kernels.fold(leaves.copy(), rows, total)
    assert np.array_equal(total, np.bitwise_xor.reduce(leaves[:, :width]))
    for b, row in enumerate(rows):
        chosen = [x for x in range(len(leaves)) if x >> b & 1]
        assert np.array_equal(row, np.bitwise_xor.reduce(leaves[chosen, :width]))
