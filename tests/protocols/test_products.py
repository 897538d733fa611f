"""Bilinear products in blocks: the same result, in pieces of bounded size; and the dealer's batches."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import dealer, products
from protocols.correlations import Triple
from protocols.products import Product
from protocols.rounds import CHUNK_WORDS

length = st.integers(0, 30)


@st.composite
def any_product(draw) -> Product:
    i, k, j = draw(length), draw(length), draw(length)
    if draw(st.booleans()):
        x, y = draw(st.sampled_from([((i,), (i,)), ((i, 2), (i, 2)), ((i, 1), (j,)), ((), (i,)), ((1,), (i,))]))
        kind = "multiply"
    else:
        x, y = draw(st.sampled_from([((k,), (k,)), ((i, k), (k,)), ((k,), (k, j)), ((i, k), (k, j))]))
        kind = "matmul"
    product = Product(kind, x, y)
    return product.flip() if draw(st.booleans()) else product


@settings(max_examples=300, deadline=None)
@given(any_product(), st.integers(0, 2**32))
def test_blocks_together_are_the_product(product: Product, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2**64, product.x_shape, np.uint64)
    y = rng.integers(0, 2**64, product.y_shape, np.uint64)
    patched = pytest.MonkeyPatch()
    patched.setattr(products, "BLOCK_WORDS", 8)
    try:
        whole = np.zeros(product.out_shape, np.uint64)
        blocks = product.blocks()
        for block in blocks:
            piece, (x_part, y_part) = product.of(block), product.operands(block, x, y)
            assert (x_part.shape, y_part.shape) == (piece.x_shape, piece.y_shape) == (block.x_shape, block.y_shape)
            part = piece(x_part, y_part)
            assert part.shape == piece.out_shape == block.out_shape
            product.gather(whole, block, part)
            assert product.operands(block, None, None) == (None, None)
        if len(blocks) > 1:
            assert all(block.weight(owned=True) <= 30 for block in blocks)
            assert sum(product.of(block).words for block in blocks) <= 3 * product.words
    finally:
        patched.undo()
    assert np.array_equal(whole, product(x, y))
    assert np.array_equal(product(x, y), np.asarray(product.flip()(y, x)))
    assert product.flip().flip() == product
    assert product.words == x.size + y.size + math.prod(product.out_shape)


def test_a_dot_product_has_one_number_a_block() -> None:
    n = 5 * products.BLOCK_WORDS + 3
    dot = Product("matmul", (n,), (n,))
    assert [dot.of(block).words for block in dot.blocks()] == [2 * products.BLOCK_WORDS + 1] * 5 + [7]
    assert len(Product("matmul", (2000, 64), (64, 2000)).blocks()) == 1


def test_corrections_travel_in_batches_and_in_order() -> None:
    big, small = Product("multiply", (CHUNK_WORDS,), (CHUNK_WORDS,)), Product("multiply", (3,), (3,))
    pairs = [(0, 1), (1, 2), (0, 1), (0, 2), (1, 0)]
    demands = [((i,), Triple(big if i % 2 else small, pair[:1], pair[1:])) for i, pair in enumerate(pairs)]
    batches = list(dealer.batches(demands))
    assert sorted(label for _, batch in batches for label, _ in batch) == [label for label, _ in demands]
    for party, batch in batches:
        assert [label for label, _ in batch] == sorted(label for label, _ in batch)
        assert all(
            (dealer.corrected(demand), dealer.correction_words(demand)) == (party, math.prod(demand.product.out_shape))
            for _, demand in batch
        )
        words = [math.prod(demand.product.out_shape) for _, demand in batch]
        assert sum(words[:-1]) < CHUNK_WORDS
