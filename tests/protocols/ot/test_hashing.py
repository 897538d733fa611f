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
from protocols.ot.kernels import LANES

KEY = bytes(range(16))


def random(*shape: int) -> np.ndarray:
    return np.frombuffer(os.urandom(8 * int(np.prod(shape))), np.uint64).reshape(shape)


def p(block: int) -> int:
    """AES-128 of one block by the standard's name for it, little end first."""
    cipher = Cipher(algorithms.AES(KEY), modes.ECB()).encryptor()
    return int.from_bytes(cipher.update(block.to_bytes(16, "little")), "little")


def between(blocks: np.ndarray, start: int, offsets: np.ndarray, out: np.ndarray) -> None:
    """Blocks in the order of the OTs, as strips."""
    words = out.shape[2]
    strips = blocks[64 * start : 64 * (start + words)].reshape(words, 64, 2).swapaxes(0, 1)
    out[0] = strips
    out[1:] = strips ^ offsets[:, None, None]


def hashed(blocks: np.ndarray, first: int, width: int, offsets: np.ndarray) -> np.ndarray:
    """Of shape (1 + offsets, blocks, width)."""
    runs = list(collected(Hash(KEY).strips(partial(between, blocks), first, len(blocks) // 64, width, offsets)))
    return np.concatenate(runs, axis=2).swapaxes(1, 2).reshape(1 + len(offsets), len(blocks), width)


def collected(runs):
    """Copies, for memory serves the next run, too; runs follow each other."""
    due = 0
    for start, words in runs:
        assert start == due
        due += words.shape[2]
        yield words.copy()


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
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**61))
def test_the_hash_is_tmmo(words: int, width: int, first: int) -> None:
    blocks, offsets = random(64 * words, 2), random(2, 2)
    found = hashed(blocks, first, width, offsets)
    for of_offset, offset in zip(found, (np.zeros(2, np.uint64), *offsets), strict=True):
        for i in {0, 63, len(blocks) // 2, len(blocks) - 1}:
            y = p(number(blocks[i] ^ offset))
            output = b"".join((p(y ^ (first + i + (j << 64))) ^ y).to_bytes(16, "little") for j in range(3))
            assert of_offset[i].tobytes() == output[: 8 * width]


@pytest.mark.parametrize("offsets", [0, 1])
def test_long_hashes_are_cut_without_a_seam(offsets: int) -> None:
    blocks, added = random(64 * 300, 2), random(offsets, 2)
    whole = hashed(blocks, 5, 3, added)
    for start, stop in ((0, 2), (127, 129), (255, 257), (299, 300)):
        part = hashed(blocks[64 * start : 64 * stop], 5 + 64 * start, 3, added)
        assert np.array_equal(part, whole[:, 64 * start : 64 * stop])


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


def tiled(rows: np.ndarray) -> np.ndarray:
    """128 rows as tiles of LANES words each, those of two rows in turns."""
    return np.ascontiguousarray(rows.reshape(64, 2, -1, LANES).transpose(2, 0, 3, 1)).reshape(-1)


@pytest.mark.parametrize("width", [1, 2, 31, 32, 33, 100, 257])
@pytest.mark.parametrize("trees", [16, 32, 64])
def test_bits_are_transposed(width: int, trees: int) -> None:
    rows, corrections, delta, offsets = (
        random(128, -(-width // LANES) * LANES),
        random(trees, width),
        random(2),
        random(2, 2),
    )
    corrected = rows[:, :width].copy()
    for r in range(128):
        if int(delta[r % 2]) >> r // 2 & 1:
            corrected[r] ^= corrections[r * trees // 128]
    for start in {0, width // 2 // LANES * LANES}:
        blocks = np.empty((3, 64, width - start, 2), np.uint64)
        kernels.transpose(tiled(rows), corrections, delta, start, offsets, blocks)
        for offset, added in zip((np.zeros(2, np.uint64), *offsets), blocks, strict=True):
            found = bits((added ^ offset).swapaxes(0, 1).reshape(-1, 2))
            due = bits(corrected)[:, 64 * start :].T
            assert np.array_equal(found[:, :64], due[:, ::2])
            assert np.array_equal(found[:, 64:], due[:, 1::2])


@pytest.mark.parametrize("field_bits", [2, 4, 8])
@pytest.mark.parametrize("width", [32, 64, 4096, 5024])
def test_leaves_are_folded(field_bits: int, width: int) -> None:
    """All of a tree's leaves, a length after another; the rows beside stay as they are."""
    leaves = random(1 << field_bits, -(-width // kernels.LEAF_WORDS) * kernels.LEAF_WORDS)
    before = random(128, width).copy()
    tiles, total = tiled(before), np.empty(width, np.uint64)
    for start in range(0, width, kernels.LEAF_WORDS):
        part = np.empty((len(leaves), kernels.LEAF_STRIDE), np.uint64)
        part[:, : kernels.LEAF_WORDS] = leaves[:, start : start + kernels.LEAF_WORDS]
        if field_bits == 4:
            kernels.fold_16(part.reshape(-1), start, 64, tiles, total)
        else:
            kernels.fold(part, start, 64, tiles, total)
    assert np.array_equal(total, np.bitwise_xor.reduce(leaves[:, :width]))
    for b in range(field_bits):
        chosen = [x for x in range(len(leaves)) if x >> b & 1]
        before[64 + b] = np.bitwise_xor.reduce(leaves[chosen, :width])
    assert np.array_equal(tiles, tiled(before))
