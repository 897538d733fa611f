"""Packed bits and formulas over them: numpy and the compiled loops give the same, and that is right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import bits
from protocols.formula import Formula
from protocols.prg import Stream

LENGTHS = [0, 1, 63, 64, 65, 4096, 8191, 8192, 8193, 12_345]


def random_words(*shape: int) -> np.ndarray:
    return Stream(bytes(31) + bytes([len(shape)])).words(shape)


def table(x: np.ndarray) -> np.ndarray:
    """Bit b of word i at [b, i]."""
    return (x >> np.arange(64, dtype=np.uint64)[:, None]) & np.uint64(1)


def packed(truths: np.ndarray) -> np.ndarray:
    """Along the last axis, in words; zeros at the end."""
    length = truths.shape[-1]
    whole = np.zeros((*truths.shape[:-1], -(-length // 64) * 64), np.uint64)
    whole[..., :length] = truths
    shifted = whole.reshape(*truths.shape[:-1], -1, 64) << np.arange(64, dtype=np.uint64)
    return np.bitwise_or.reduce(shifted, axis=-1)


@pytest.mark.parametrize("length", LENGTHS)
def test_one_bit_of_every_word(length: int) -> None:
    x = random_words(length)
    for bit in (0, 5, 63):
        plane = bits.pack(x, bit)
        assert np.array_equal(plane, packed(table(x)[bit]))
        assert np.array_equal(bits.unpack(plane, length), table(x)[bit])


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("rows", [range(64), [3, 0, 2, 1], [0], [k % 4 * 16 + k // 4 for k in range(64)]], ids=len)
def test_bits_of_words_in_planes_and_back(length: int, rows) -> None:
    x = random_words(length)
    planes = bits.planes(x, rows)
    assert planes.shape == (len(rows), -(-length // 64))
    for bit, row in enumerate(rows):
        assert np.array_equal(planes[row], packed(table(x)[bit]))
    low = x & np.uint64(2 ** len(rows) - 1)
    assert np.array_equal(bits.words(planes, rows, length), low)


@pytest.mark.parametrize("length", LENGTHS)
def test_negation_where_a_bit_says_so(length: int) -> None:
    x, plus, plane = random_words(length), random_words(1, length)[0], random_words(-(-length // 64))
    truth = table(plane).T.reshape(-1)[:length] == 1
    assert np.array_equal(bits.negate_where(plane, x), np.where(truth, -x, x))
    assert np.array_equal(bits.negate_where(plane, x, 1), np.where(truth, np.uint64(1) - x, x))
    assert np.array_equal(bits.negate_where(plane, x, plus), np.where(truth, plus - x, x))


def test_arrays_from_frames_are_moved_where_needed() -> None:
    length = 10_000
    octets = np.frombuffer(b"\1" + random_words(length).tobytes(), np.uint8)
    x = octets[1:].view(np.uint64)
    assert not x.flags.aligned
    assert not x.flags.writeable
    assert np.array_equal(bits.pack(x, 3), bits.pack(x.copy(), 3))
    assert np.array_equal(bits.planes(x, range(64)), bits.planes(x.copy(), range(64)))
    assert np.array_equal(bits.negate_where(x, x[:5000], x[5000:]), bits.negate_where(x.copy(), x[:5000], x[5000:]))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans(), st.sampled_from([1, 255, 256, 257, 700]))
def test_formulas(data, first: bool, words: int) -> None:
    sizes = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4).filter(sum))
    inputs = [random_words(size + 1, words)[:size] + np.uint64(number) for number, size in enumerate(sizes)]
    formula = Formula(*sizes)
    values = [np.zeros(words, np.uint64), np.full(words, 2**64 - 1, np.uint64)]
    values.append(values[1] if first else values[0])
    for number, part in enumerate(inputs):
        assert len(formula.rows(number)) == len(part)
        values += [*part]
    for _ in range(data.draw(st.integers(0, 30))):
        a, b, c = (data.draw(st.integers(0, len(values) - 1)) for _ in range(3))
        assert formula.fold(a, b, c) == len(values)
        values.append(values[a] ^ (values[b] & values[c]))
    some = data.draw(st.lists(st.integers(0, len(values) - 1), min_size=1))
    assert formula.sum(some) == len(values) + len(some) - 2 or len(some) == 1
    outputs = data.draw(st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=6))
    program = formula.gives(outputs)
    expected = [values[row] for row in outputs]
    assert np.array_equal(program(0 if first else 1, *inputs), expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bits, "COMPILED_LENGTH", 0)
        assert np.array_equal(program(0 if first else 1, *inputs), expected)


def test_formulas_use_rows_again_and_check_their_inputs() -> None:
    formula = Formula(2)
    x, y = formula.rows(0)
    row = x
    for _ in range(100):
        row = formula.fold(row, x, y)
    program = formula.gives([row])
    a, b = random_words(2, 5)
    assert np.array_equal(program(1, np.array([a, b]))[0], a)
    assert program.held <= 3 + 2 + 2
    with pytest.raises(ValueError, match="inputs"):
        program(1, np.array([a]))
