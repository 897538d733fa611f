"""Private products are equal to the products modulo 2^64, always; and they send what they say."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import ring
from protocols.lattice import parameters, product
from protocols.lattice.encryption import Answerer
from protocols.lattice.product import LatticeProduct, plan
from protocols.ot.messages import InvalidMessage
from protocols.prg import Stream
from protocols.products import Product
from protocols.rounds import Task, gather, run_round

sys.path.insert(0, str(Path(__file__).parents[1] / "ot"))
from lockstep import sent, together

WORD = 2**64
N = 8192


def words(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, WORD, shape, dtype=np.uint64)


def parts(how: LatticeProduct, x: np.ndarray, y: np.ndarray, label=("session", 1)):
    """Both parties' coroutines, the owner of x being party 0."""
    mine, others = (product.encrypt, product.answer) if how.x_encrypted else (product.answer, product.encrypt)
    return partial(mine, 1, how, x, label), partial(others, 0, how, y, label)


def check(how: LatticeProduct, x: np.ndarray, y: np.ndarray) -> None:
    """The shares add up to the product, have its shape, and cost what was said."""
    (z, w), log = together(*parts(how, x, y))
    assert z.shape == w.shape == how.product.out_shape
    assert np.array_equal(ring.add(z, w), how.product(x, y))
    encrypting, answering = (0, 1) if how.x_encrypted else (1, 0)
    assert (sent(log).get(encrypting, 0), sent(log).get(answering, 0)) == how.words
    assert max((message.size for _, _, message in log), default=0) <= how.weight


@pytest.mark.parametrize("digits", [1, 2])
@pytest.mark.parametrize("n", [1, 2, N - 1, N, N + 1, 9 * N, 10**6])
def test_dots_of_random_words(n: int, digits: int) -> None:
    check(plan(Product("matmul", (n,), (n,)), digits=digits), words(n, n), words(n + 1, n))


@pytest.mark.parametrize("digits", [1, 2])
@pytest.mark.parametrize("n", [1, N - 1, N, N + 1, 3 * N])
@pytest.mark.parametrize("x", [0, 1, 2**31, 2**32 - 1, WORD // 2 - 1, WORD // 2, WORD - 1])
@pytest.mark.parametrize("y", [0, 1, 2**31, 2**32 - 1, WORD // 2 - 1, WORD // 2, WORD - 1])
def test_dots_of_extremes(x: int, y: int, n: int, digits: int) -> None:
    """The same value everywhere: all errors of rounding that add up, do."""
    how = plan(Product("matmul", (n,), (n,)), digits=digits)
    check(how, np.full(n, x, np.uint64), np.full(n, y, np.uint64))


SHAPES = st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70))


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(0, 2**32), st.booleans(), st.booleans(), st.sampled_from([1, 2]))
def test_matrices_of_any_shape(shape, seed: int, x_vector: bool, y_vector: bool, digits: int) -> None:
    rows, length, columns = shape
    x_shape = (length,) if x_vector else (rows, length)
    y_shape = (length,) if y_vector else (length, columns)
    check(plan(Product("matmul", x_shape, y_shape), digits=digits), words(seed, *x_shape), words(seed + 1, *y_shape))


def check_layout(
    shape: tuple[int, int, int], high: int, wide: int, primes: int = 6, digits: int = 1, hold: str = "C"
) -> None:
    """A product of (rows, length) and (length, columns), laid out as said; `hold`: the order of Y in memory."""
    rows, length, columns = shape
    deep, moduli = N // (high * wide), parameters.PRIMES[:primes]
    p = parameters.Parameters(rows, length, columns, high, deep, wide, moduli, 100, digits)
    how = LatticeProduct(Product("matmul", (rows, length), (length, columns)), True, (p,))
    check(how, words(rows, rows, length), np.asarray(words(columns, length, columns), order=hold))


def sizes(block: int, most: int) -> st.SearchStrategy[int]:
    """Up to so many blocks, the last of them full or not."""
    return st.one_of(st.integers(1, most).map(lambda blocks: blocks * block), st.integers(1, most * block))


@settings(max_examples=300, deadline=None)
@given(st.data(), st.integers(0, 13), st.sampled_from([6, 7]), st.sampled_from([1, 2]), st.sampled_from("CF"))
def test_any_layout_of_a_matrix_gives_the_same(
    data: st.DataObject, log_high: int, primes: int, digits: int, hold: str
) -> None:
    """Shapes of up to three blocks of rows and of columns, and of up to three segments."""
    log_wide = data.draw(st.integers(0, 13 - log_high))
    high, wide = 1 << log_high, 1 << log_wide
    rows, length, columns = (data.draw(sizes(*of)) for of in ((high, 3), (N // (high * wide), 20), (wide, 3)))
    check_layout((rows, length, columns), high, wide, primes, digits, hold)


def test_layouts_that_one_numpy_negates_wrongly() -> None:
    """Blocks of two by two or more columns: numpy 2.3 and 2.4 misread such operands of `negative` with `out`."""
    check_layout((1, 20, 4), high=1024, wide=4)


def test_one_of_these_layouts_where_it_is_planned() -> None:
    how = plan(Product("matmul", (4096, 18), (18, 128)))
    (p,) = how.passes
    assert (p.high, p.deep, p.wide) == (512, 2, 8)
    check(how, words(1, 4096, 18), words(4, 18, 128))


@pytest.mark.parametrize(
    ("x_shape", "y_shape"),
    [((300, 3000), (3000,)), ((3000,), (3000, 300)), ((20, 30_000), (30_000, 20)), ((256, 256), (256, 256))],
)
def test_large_matrices(x_shape, y_shape) -> None:
    check(plan(Product("matmul", x_shape, y_shape)), words(1, *x_shape), words(2, *y_shape))


def test_transposed_and_strided_operands_and_flipped_products() -> None:
    x, y = words(3, 500, 40), words(4, 1000, 3)[::2]
    check(plan(Product("matmul", (40, 500), (500, 3))), x.T, y)
    check(plan(Product("matmul", (500, 3), (40, 500), flipped=True)), y, x.T)


def test_the_cheaper_operand_is_encrypted() -> None:
    assert plan(Product("matmul", (20, 10**6), (10**6,))).x_encrypted is False
    assert plan(Product("matmul", (10**6,), (10**6, 20))).x_encrypted is True


@pytest.mark.parametrize(("x_shape", "y_shape"), [((0,), (0,)), ((3, 0), (0, 2)), ((0, 5), (5, 2)), ((4, 5), (5, 0))])
def test_empty_products_send_nothing(x_shape, y_shape) -> None:
    how = plan(Product("matmul", x_shape, y_shape))
    assert how.messages == ()
    check(how, words(5, *x_shape), words(6, *y_shape))


def test_in_passes_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "_HELD_BYTES", 1 << 21)
    parameters.choose.cache_clear()
    try:
        how = plan(Product("matmul", (30, 400), (400, 25)))
        assert len(how.passes) > 2
        check(how, words(7, 30, 400), words(8, 400, 25))
    finally:
        parameters.choose.cache_clear()


def test_elementwise_products_are_refused() -> None:
    with pytest.raises(ValueError, match="elementwise"):
        plan(Product("multiply", (5,), (5,)))


def test_several_products_in_lock_step() -> None:
    hows = [plan(Product("matmul", (n,), (n,))) for n in (5, 200_000, 10_000)]
    operands = [(words(i, how.product.x_shape[0]), words(9 + i, how.product.x_shape[0])) for i, how in enumerate(hows)]

    async def party(me: int):
        coroutines = [parts(how, *operands[i], ("session", i))[me]() for i, how in enumerate(hows)]
        return await gather(*coroutines)

    (mine, others), _ = together(partial(party, 0), partial(party, 1))
    for z, w, (x, y) in zip(mine, others, operands, strict=True):
        assert ring.add(z, w) == ring.matmul(x, y)


def test_ciphertexts_leave_while_the_next_are_made() -> None:
    """A long dot travels in pieces: the owner of x never makes a second one before the first was sent."""
    n = 400_000
    how = plan(Product("matmul", (n,), (n,)))
    task = Task(parts(how, words(1, n), words(2, n))[0], how.weight)
    lengths: list[int] = []
    expected = [sent for sent, _ in how.messages if sent]
    for number in range(len(expected)):
        for _ in run_round([task], lambda peer, pieces: lengths.append(sum(piece.size for piece in pieces))):
            raise AssertionError("the owner of x waits before it has sent everything")
        assert lengths == expected[: number + 1]
    assert len(expected) > 4
    assert how.weight <= 1 << 18


def test_longer_dots_travel_in_more_pieces_not_in_larger_ones() -> None:
    short, long = (plan(Product("matmul", (n,), (n,))) for n in (10**6, 10**8))
    assert long.weight == short.weight
    assert long.passes[0].held_bytes == short.passes[0].held_bytes
    assert len(long.messages) > 50 * len(short.messages)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("x_holders", "y_holders"), [((0, 1), (0, 1)), ((0,), (0, 1)), ((0,), (0,)), ((1,), (0,))])
@pytest.mark.parametrize("shapes", [((50,), (50,)), ((4, 9), (9, 5))])
def test_shared_operands_by_their_cross_terms(count: int, x_holders, y_holders, shapes) -> None:
    if count == 3:
        x_holders, y_holders = tuple(h + 1 for h in x_holders), (*y_holders, 2)
    how = plan(Product("matmul", *shapes))
    x = {i: words(i, *shapes[0]) for i in x_holders}
    y = {i: words(10 + i, *shapes[1]) for i in y_holders}

    def party(me: int):
        return product.multiply(me, how, x.get(me), y.get(me), x_holders, y_holders, ("session",))

    shares, _ = together(*(partial(party, me) for me in range(count)))
    total = sum(shares[1:], shares[0])
    assert np.array_equal(total, how.product(sum(x.values()), sum(y.values())))


def test_either_direction_of_shared_operands_has_a_label_of_its_own() -> None:
    how = plan(Product("matmul", (50,), (50,)))
    x = words(1, 50)
    _, log = together(*(partial(product.multiply, me, how, x, x, (0, 1), (0, 1), ("session",)) for me in (0, 1)))
    header = next(message for sender, _, message in log if sender == 0)
    Answerer(0, how.passes[0], ("session", 0, 1, 0), header, x[:, None], Stream(bytes(32)))
    with pytest.raises(InvalidMessage, match="another session"):
        Answerer(0, how.passes[0], ("session", 1, 0, 0), header, x[:, None], Stream(bytes(32)))


def test_fresh_randomness_for_every_product() -> None:
    """Neither messages nor shares repeat, for equal operands and labels."""
    x, y = words(1, 10), words(2, 10)
    how = plan(Product("matmul", (10,), (10,)))
    (z, _), first = together(*parts(how, x, y))
    (w, _), second = together(*parts(how, x, y))
    assert z != w
    for (_, _, one), (_, _, other) in zip(first, second, strict=True):
        halves = one.view(np.uint32) == other.view(np.uint32)
        assert halves.mean() < 0.01
