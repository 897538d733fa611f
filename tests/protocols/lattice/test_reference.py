"""The real protocol sends, number for number, what the reference in Python's integers sends, and both are right."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import ring
from protocols.lattice.encryption import Answerer, Encryptor
from protocols.lattice.packing import pack_x, pack_y
from protocols.lattice.parameters import KEPT, PRIMES, Parameters
from protocols.prg import Stream

sys.path.insert(0, str(Path(__file__).parent))
import reference

WORD = 2**64
CASES = {
    "dot": Parameters(1, 37, 1, 1, 16, 1, PRIMES[:6], 119, degree=16),
    "one": Parameters(1, 1, 1, 1, 16, 1, PRIMES[:6], 119, degree=16),
    "matrix": Parameters(5, 7, 3, 4, 2, 2, PRIMES, 147, degree=16),
    "digits": Parameters(3, 9, 3, 2, 4, 4, PRIMES[:5], 88, digits=2, degree=32),
    "flooding of one limb": Parameters(2, 3, 2, 2, 4, 2, PRIMES[:5], 60, digits=2, degree=16),
}


def residues(words: np.ndarray, primes: tuple[int, ...], count: int) -> list[list[int]]:
    """[prime][value] at the front of some words."""
    return words.view(np.uint32)[: len(primes) * count].reshape(len(primes), count).tolist()


@st.composite
def toys(draw: st.DrawFn) -> Parameters:
    """Any shapes, layouts, moduli and floodings that are correct at degree 16."""
    rows, length, columns = (draw(st.integers(1, 9)) for _ in range(3))
    high, wide = draw(st.sampled_from([(h, w) for h in (1, 2, 4, 8, 16) for w in (1, 2, 4, 8, 16) if h * w <= 16]))
    digits = draw(st.sampled_from([1, 2]))
    primes = PRIMES[: draw(st.integers(7 - digits, 7))]
    flooding = draw(st.integers(32, math.prod(primes).bit_length() - 67))
    return Parameters(rows, length, columns, high, 16 // (high * wide), wide, primes, flooding, digits, degree=16)


@settings(max_examples=1000, deadline=None)
@given(st.data(), st.integers(0, 5), st.sampled_from([1, 2]), st.sampled_from("CF"))
def test_matrices_lie_in_polynomials_as_in_the_reference(
    data: st.DataObject, log_deep: int, digits: int, hold: str
) -> None:
    """For any blocks and answers, of any layout, whatever the order in memory."""
    deep = 1 << log_deep
    high = 1 << data.draw(st.integers(0, 5 - log_deep))
    wide = 32 // (deep * high)
    sizes = [of * data.draw(st.integers(1, 5)) - data.draw(st.integers(0, of - 1)) for of in (high, deep, wide)]
    p = Parameters(*sizes, high, deep, wide, PRIMES, 100, digits, degree=32)
    first, start = data.draw(st.integers(0, p.depth - 1)), data.draw(st.integers(0, p.spread - 1))
    blocks = range(first, data.draw(st.integers(first + 1, p.depth)))
    answers = range(start, data.draw(st.integers(start + 1, p.spread)))
    x, y = (np.asarray(Stream(bytes(32)).words(shape), order=hold) for shape in ((sizes[0], sizes[1]), sizes[1:]))
    packed = pack_x(p, x, blocks).tolist()
    assert packed == [[reference.packed_x(p, x.tolist(), g, block) for block in blocks] for g in range(p.groups)]
    words = [[reference.packed_y(p, y.tolist(), block, answer) for block in blocks] for answer in answers]
    expected = [[[entry % WORD for entry in polynomial] for polynomial in row] for row in words]
    assert pack_y(p, y, blocks, answers).tolist() == expected


@pytest.mark.parametrize("name", CASES)
def test_every_number_is_as_in_the_reference(name: str) -> None:
    same(CASES[name], 0)


@settings(max_examples=25, deadline=None)
@given(toys(), st.integers(0, 255))
def test_every_number_is_as_in_the_reference_for_any_shape(p: Parameters, seed: int) -> None:
    same(p, seed)


def same(p: Parameters, seed: int) -> None:
    """Messages and shares are the reference's, and add up to the product."""
    source = Stream(bytes(31) + bytes([seed]))
    x, y = source.words((p.rows, p.length)), source.words((p.length, p.columns))
    x.flat[:: 1 + x.size // 5] = WORD - 1
    y.flat[:: 1 + y.size // 5] = WORD // 2
    label, keys = ("session", 3), (bytes([1]) * 32, bytes([2]) * 32)
    expected = reference.run(p, x.tolist(), y.tolist(), label, keys)

    encryptor = Encryptor(1, p, label, Stream(keys[0]))
    answerer = Answerer(0, p, label, encryptor.header, y, Stream(keys[1]))
    for blocks in p.segments:
        words = encryptor.encrypt(pack_x(p, x, blocks), blocks)
        sent = words.view(np.uint32).reshape(p.groups, len(blocks), len(p.primes), p.degree).tolist()
        for group, row in enumerate(sent):
            for block, transforms in zip(blocks, row, strict=True):
                assert reference.polynomial(transforms, p.primes) == expected["b"][group][block]
        answerer.receive(words, blocks)
    total = []
    for number, answers in enumerate(p.answers):
        words, share = answerer.answer(number)
        c1, c0 = expected["replies"][number]
        kept = p.primes[:KEPT]
        start = len(answers) * KEPT * p.degree
        for place, row in enumerate(c1):
            part = words.view(np.uint32)[place * KEPT * p.degree :]
            assert part[: KEPT * p.degree].reshape(KEPT, -1).tolist() == [[c % prime for c in row] for prime in kept]
        part = words.view(np.uint32)[start : start + KEPT * len(c0)]
        assert part.reshape(KEPT, -1).tolist() == [[c % prime for c in c0] for prime in kept]
        assert share.ravel().tolist() == expected["y_share"][number][0]
        decrypted = encryptor.decrypt(words, answers)
        assert decrypted.ravel().tolist() == expected["x_share"][number][0]
        total.append(decrypted + share)
    product = np.concatenate(total, axis=1).tolist()
    for i in range(p.rows):
        for j in range(p.columns):
            exact = sum(int(x[i, k]) * int(y[k, j]) for k in range(p.length))
            result = sum(product[i][j + digit * p.columns] << 32 * digit for digit in range(p.digits))
            assert result % WORD == exact % WORD


def test_words_as_a_link_gives_them_unaligned_and_not_to_be_written() -> None:
    p = CASES["matrix"]
    source = Stream(bytes(32))
    x, y = source.words((p.rows, p.length)), source.words((p.length, p.columns))

    def given(words: np.ndarray) -> np.ndarray:
        arrived = np.frombuffer(b"." + words.tobytes(), np.uint8)[1:].view(np.uint64)
        assert not arrived.flags.aligned
        assert not arrived.flags.writeable
        return arrived

    encryptor = Encryptor(1, p, ("session",), Stream(bytes([1]) * 32))
    answerer = Answerer(0, p, ("session",), given(encryptor.header), y, Stream(bytes([2]) * 32))
    for blocks in p.segments:
        answerer.receive(given(encryptor.encrypt(pack_x(p, x, blocks), blocks)), blocks)
    parts = [answerer.answer(number) for number in range(len(p.answers))]
    z = [encryptor.decrypt(given(words), answers) for (words, _), answers in zip(parts, p.answers, strict=True)]
    assert np.array_equal(np.hstack(z) + np.hstack([share for _, share in parts]), ring.matmul(x, y))
