"""Products from OTs: of words, matrices and bits, for any holders, against Python's integers; and what they cost."""

from __future__ import annotations

import math
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.ot import bits, costs, gilboa, layout
from protocols.ot.layout import Layout
from protocols.ot.messages import InvalidMessage
from protocols.ot.softspoken import connect
from protocols.products import Product

sys.path.insert(0, str(Path(__file__).parent))
from lockstep import answer, everywhere, sent, together

RING = 2**64
WORDS = st.one_of(st.integers(0, RING - 1), st.sampled_from([0, 1, 2, RING - 1, RING // 2, RING // 2 - 1]))

PRODUCTS = [
    Product("multiply", (), ()),
    Product("multiply", (1,), (1,)),
    Product("multiply", (65,), (65,)),
    Product("multiply", (3, 5), (3, 5)),
    Product("multiply", (2, 1), (3,)),
    Product("multiply", (2, 1, 4), (5, 1), flipped=True),
    Product("multiply", (1,), (70,)),
    Product("multiply", (0,), (0,)),
    Product("matmul", (7,), (7,)),
    Product("matmul", (0,), (0,)),
    Product("matmul", (3, 5), (5,)),
    Product("matmul", (5,), (5, 3)),
    Product("matmul", (2, 5), (5, 3)),
    Product("matmul", (3, 5), (5, 2)),
    Product("matmul", (5, 2), (3, 5), flipped=True),
    Product("matmul", (2, 0), (0, 3)),
    Product("matmul", (1, 2), (2, 40)),
]


@pytest.fixture(scope="module")
def mesh():
    """The meshes of two, three and four parties, made once."""
    made = {}

    def of(count: int):
        if count not in made:
            session = os.urandom(32)
            made[count] = together(*(partial(connect, me, range(count), session) for me in range(count)))[0]
        return made[count]

    return of


@pytest.fixture
def small_pieces(monkeypatch) -> None:
    monkeypatch.setattr(layout, "_MOST_ENTRIES", 4)
    monkeypatch.setattr(layout, "_MOST_PRODUCTS", 10)
    monkeypatch.setattr(bits, "BLOCK_BITS", 128)


def random(*shape: int) -> np.ndarray:
    return np.frombuffer(os.urandom(8 * math.prod(shape)), np.uint64).reshape(shape)


def exactly(product: Product, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The product in Python's integers."""
    left, right = (y, x) if product.flipped else (x, y)
    left, right = (np.array(o.tolist(), object).reshape(o.shape) for o in (np.asarray(left), np.asarray(right)))
    value = np.array(left * right if product.kind == "multiply" else left @ right, object).reshape(-1)
    return np.array([int(element) % RING for element in value], np.uint64).reshape(product.out_shape)


def multiply(meshes, product: Product, x_shares: dict, y_shares: dict):
    def of(mesh):
        x, y = x_shares.get(mesh.me), y_shares.get(mesh.me)
        return gilboa.multiply(mesh, product, x, y, tuple(x_shares), tuple(y_shares))

    return together(*(partial(of, each) for each in meshes))


def check(meshes, product: Product, x_holders, y_holders) -> None:
    x = {party: random(*product.x_shape) for party in x_holders}
    y = {party: random(*product.y_shape) for party in y_holders}
    shares, log = multiply(meshes, product, x, y)
    assert all(share.shape == product.out_shape for share in shares)
    total = sum(shares[1:], shares[0])
    assert np.array_equal(total, exactly(product, sum(x.values()), sum(y.values())))
    assert sent(log) == {i: words for i, words in costs.triple_words(product, x_holders, y_holders).items() if words}
    for party, share in enumerate(shares):
        if party not in {*x_holders, *y_holders}:
            assert not share.any()


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
@pytest.mark.parametrize(
    ("count", "x_holders", "y_holders"),
    [
        (2, (0,), (1,)),
        (2, (1,), (0,)),
        (2, (0, 1), (0, 1)),
        (3, (2,), (0, 1)),
        (3, (0, 1, 2), (0, 1, 2)),
        (4, (3,), (1,)),
    ],
)
def test_products_of_shared_and_private_values(mesh, product, count, x_holders, y_holders) -> None:
    check(mesh(count), product, x_holders, y_holders)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
@pytest.mark.parametrize("holders", [((0,), (1,)), ((1, 0), (0, 1, 2))])
def test_products_in_many_pieces(mesh, product, holders) -> None:
    check(mesh(3), product, *holders)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=70))
def test_words_are_multiplied_exactly(mesh, pairs) -> None:
    x, y = (np.array(column, np.uint64) for column in zip(*pairs, strict=True))
    product = Product("multiply", x.shape, y.shape)
    shares, _ = multiply(mesh(2), product, {0: x}, {1: y})
    assert (shares[0] + shares[1]).tolist() == [a * b % RING for a, b in pairs]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["multiply", "matmul"]),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.booleans(),
    st.sampled_from([((0,), (1,)), ((0, 1), (1,)), ((0, 1), (0, 1))]),
)
def test_matrices_of_any_size(mesh, kind, sizes, flipped, holders) -> None:
    m, k, n = sizes
    left, right = ((m, k), (k, n)) if kind == "matmul" else ((m, k), (k,))
    check(mesh(2), Product(kind, *((right, left) if flipped else (left, right)), flipped), *holders)


@pytest.mark.parametrize(
    ("product", "bits_of_x"),
    [
        (Product("matmul", (2, 50), (50, 9)), True),
        (Product("matmul", (9, 50), (50, 2)), False),
        (Product("matmul", (50, 9), (2, 50), flipped=True), False),
        (Product("matmul", (50, 2), (9, 50), flipped=True), True),
        (Product("multiply", (100,), (1,)), False),
        (Product("multiply", (1, 3), (7, 1)), True),
    ],
)
def test_the_operand_with_fewer_entries_is_taken_by_its_bits(product: Product, bits_of_x: bool) -> None:
    made = Layout(product)
    x, y = math.prod(product.x_shape), math.prod(product.y_shape)
    assert made.bits_of_x == bits_of_x == (x < y)
    assert made.entries == min(x, y)


@pytest.mark.parametrize(
    "product",
    [
        Product("multiply", (10**6,), (10**6,)),
        Product("matmul", (10**6,), (10**6,)),
        Product("matmul", (300, 200), (200, 500)),
        Product("matmul", (1, 1), (1, 10**6)),
    ],
    ids=str,
)
def test_pieces_are_bounded_and_cover_every_product_once(product: Product) -> None:
    made = Layout(product)
    pieces = made.pieces()
    assert all(piece.entries <= 1 << 12 and 0 < piece.entries * piece.columns <= 1 << 13 for piece in pieces)
    assert sum(piece.entries * piece.columns for piece in pieces) == made.entries * made.columns
    corners = {(piece.start, piece.left) for piece in pieces}
    assert len(corners) == len(pieces)


def test_a_cross_term_costs_516_bytes() -> None:
    product = Product("multiply", (10**6,), (10**6,))
    one_way = sum(costs.triple_words(product, (0,), (1,)).values())
    both = costs.triple_words(product, (0, 1), (0, 1))
    assert one_way * 8 == 516 * 10**6
    assert both == {0: one_way, 1: one_way}
    among_five = costs.triple_words(product, range(5), range(5))
    assert set(among_five.values()) == {4 * one_way}


@pytest.mark.parametrize("length", [1, 63, 64, 65, 127, 1000, 20_011])
@pytest.mark.parametrize(
    ("count", "x_holders", "y_holders"), [(2, (1,), (0,)), (2, (0, 1), (0, 1)), (3, (0, 2), (0, 1))]
)
def test_products_of_bits(mesh, length, count, x_holders, y_holders) -> None:
    size = bits.packed_words(length)
    x, y = ({party: random(size) for party in holders} for holders in (x_holders, y_holders))

    def of(each):
        return bits.and_bits(each, x.get(each.me), y.get(each.me), length, x_holders, y_holders)

    shares, log = together(*(partial(of, each) for each in mesh(count)))
    got = bits.unpack(np.bitwise_xor.reduce(shares), length)
    of_x, of_y = (bits.unpack(np.bitwise_xor.reduce(list(held.values())), length) for held in (x, y))
    assert np.array_equal(got, of_x & of_y)
    assert sent(log) == costs.and_triple_words(length, x_holders, y_holders)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 127, 1000, 20_011])
@pytest.mark.parametrize(("count", "owner", "holders"), [(2, 0, (1,)), (2, 1, (0,)), (2, 0, (0, 1)), (3, 2, (0, 1))])
def test_products_of_bits_with_words(mesh, length, count, owner, holders) -> None:
    b, w = random(bits.packed_words(length)), {party: random(length) for party in holders}

    def of(each):
        return bits.scale_words(each, b if each.me == owner else None, w.get(each.me), length, owner, holders)

    shares, log = together(*(partial(of, each) for each in mesh(count)))
    chosen = np.where(bits.unpack(b, length) == 1, sum(w.values()), 0)
    assert np.array_equal(sum(shares), chosen)
    assert sent(log) == costs.scale_words(length, owner, holders)


@pytest.mark.usefixtures("small_pieces")
def test_bits_in_many_pieces(mesh) -> None:
    test_products_of_bits(mesh, 1000, 3, (0, 2), (0, 1))
    test_products_of_bits_with_words(mesh, 1000, 3, 2, (0, 1))


def test_a_payload_of_another_length_is_refused(mesh) -> None:
    ot = mesh(2)[0].pairs[1].receiver
    with pytest.raises(InvalidMessage, match="party 1 sent 3 words where 33 were due"):
        answer(gilboa.multiply_received(ot, np.zeros(1, np.uint64), 1), {}, {1: np.zeros(3, np.uint64)})


@pytest.mark.parametrize("call", ["words", "bits", "scaled"])
def test_a_holder_without_its_share_is_told(mesh, call: str) -> None:
    vector = Product("multiply", (3,), (3,))
    protocols = {
        "words": lambda each: gilboa.multiply(each, vector, None, None, (0, 1), (0, 1)),
        "bits": lambda each: bits.and_bits(each, None, None, 3, (0, 1), (0, 1)),
        "scaled": lambda each: bits.scale_words(each, None, None, 3, 0, (1,)),
    }
    with pytest.raises(ValueError, match="holder"):
        everywhere(mesh(2), protocols[call])
