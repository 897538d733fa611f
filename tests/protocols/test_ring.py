"""The ring against Python integers modulo 2^64, on both sides of the thresholds where compiled loops take over."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols import ring
from protocols.prg import Stream

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
WORDS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1])
LAYOUTS = ["rows", "columns", "strided", "reversed", "read only", "unaligned"]


@pytest.fixture(autouse=True)
def _no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def arrays(shape: object = SHAPES) -> st.SearchStrategy[ring.Array]:
    return hnp.arrays(np.uint64, shape, elements=WORDS)


def random(*shape: int) -> ring.Array:
    return Stream(os.urandom(32)).words(shape)


def laid_out(x: ring.Array, layout: str) -> ring.Array:
    """The same array, otherwise in memory."""
    if layout == "columns":
        return np.asfortranarray(x)
    if layout == "strided":
        wide = np.repeat(x, 3, axis=-1)
        return wide[..., ::3]
    if layout == "reversed":
        return np.ascontiguousarray(x[::-1])[::-1]
    if layout == "unaligned":
        return np.frombuffer(b"x" + x.tobytes(), np.uint64, offset=1).reshape(x.shape)
    if layout == "read only":
        return np.frombuffer(x.tobytes(), np.uint64).reshape(x.shape)
    return x


def integers(x: ring.Array) -> np.ndarray:
    """The array as Python integers."""
    return np.asarray(x.astype(object))


def assert_equal(ours: ring.Array, expected: object) -> None:
    wanted = np.asarray(np.asarray(expected, dtype=object) % 2**64, dtype=object)
    assert isinstance(ours, np.ndarray)
    assert ours.dtype == np.uint64
    assert ours.shape == wanted.shape
    assert ours.tolist() == wanted.tolist()


def exact_product(x: ring.Array, y: ring.Array) -> ring.Array:
    """x @ y as a sum of outer products: nothing in common with what is tested."""
    total = np.zeros((x.shape[0], y.shape[1]), np.uint64)
    for k in range(x.shape[1]):
        total += np.multiply.outer(x[:, k], y[k])
    return total


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=4, max_dims=3), st.data())
def test_elementwise_operations_broadcast_and_wrap(shapes: hnp.BroadcastableShapes, data: st.DataObject) -> None:
    x, y = (data.draw(arrays(shape)) for shape in shapes.input_shapes)
    assert_equal(ring.add(x, y), integers(x) + integers(y))
    assert_equal(ring.subtract(x, y), integers(x) - integers(y))
    assert_equal(ring.multiply(x, y), integers(x) * integers(y))
    assert_equal(ring.negate(x), -integers(x))


@pytest.mark.parametrize("operation", [ring.add, ring.subtract, ring.multiply])
def test_elementwise_operations_write_to_an_operand(operation: object) -> None:
    x, y = random(3, 5), random(3, 5)
    expected = operation(x, y)
    assert operation(x, y, out=x) is x
    assert_equal(x, integers(expected))


def test_a_single_word_is_an_operand() -> None:
    assert_equal(ring.multiply(np.full(2, 2**63 + 1, np.uint64), np.uint64(2)), [2, 2])


@given(arrays(), st.data())
def test_sum(x: ring.Array, data: st.DataObject) -> None:
    axis = data.draw(st.none() | hnp.valid_tuple_axes(x.ndim))
    axes = tuple(range(x.ndim)) if axis is None else axis
    assert_equal(ring.sum(x, axis), np.sum(integers(x), axis=axes))
    assert_equal(ring.sum(x), integers(x).sum())


@given(st.tuples(*[st.integers(0, 5)] * 3), st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2)]), st.data())
def test_small_products(sizes: tuple[int, int, int], dimensions: tuple[int, int], data: st.DataObject) -> None:
    rows, length, columns = sizes
    x = data.draw(arrays((rows, length) if dimensions[0] == 2 else (length,)))
    y = data.draw(arrays((length, columns) if dimensions[1] == 2 else (length,)))
    expected = integers(x) @ integers(y) if length else np.zeros(x.shape[:-1] + y.shape[1:], object)
    assert_equal(ring.matmul(x, y), expected)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(2, 200),
    columns=st.integers(2, 300),
    length=st.integers(8, 1200),
    layouts=st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)),
)
def test_products_with_odd_edges(rows: int, columns: int, length: int, layouts: tuple[str, str]) -> None:
    x, y = random(rows, length), random(length, columns)
    product = ring.matmul(laid_out(x, layouts[0]), laid_out(y, layouts[1]))
    assert np.array_equal(product, exact_product(x, y))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("rows", "length", "columns"),
    [(65, 513, 129), (64, 512, 128), (2, 200_000, 3), (3, 8, 50_000), (50_000, 9, 3), (1, 1100, 1000), (1100, 1000, 1)],
)
def test_large_products_of_every_layout(rows: int, length: int, columns: int, layout: str) -> None:
    x, y = random(rows, length), random(length, columns)
    assert np.array_equal(ring.matmul(laid_out(x, layout), laid_out(y, layout)), np.einsum("ik,kj->ij", x, y))


def test_large_products_wrap_like_integers() -> None:
    x, y = random(128, 64), random(64, 130)
    assert x.size * y.shape[1] >= ring._COMPILED_MATMUL
    x[0], y[:, 0] = 2**64 - 1, 2**63 + 1
    assert_equal(ring.matmul(x, y), integers(x) @ integers(y))


def test_only_what_is_not_aligned_is_copied() -> None:
    x = random(100_000, 12)
    assert np.array_equal(ring.matmul(x.T, x), np.einsum("ki,kj->ij", x, x))
    assert np.shares_memory(ring._aligned(x.T), x)
    moved = ring._aligned(laid_out(x, "unaligned"))
    assert moved.flags.aligned
    assert np.array_equal(moved, x)


@pytest.mark.parametrize("add_de", [False, True])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 5), (ring._COMPILED_COMBINE,), (257, 311)])
def test_beaver_combine(shape: tuple[int, ...], add_de: bool) -> None:
    c, d, b, a, e = (random(*shape) for _ in range(5))
    expected = integers(c) + integers(d) * integers(b) + integers(a) * integers(e)
    expected = expected + integers(d) * integers(e) if add_de else expected
    assert_equal(ring.beaver_combine(c, d, b, a, e, add_de), expected)
    out = np.empty(shape, np.uint64)
    assert ring.beaver_combine(c, d, b, a, e, add_de, out=out) is out
    assert_equal(out, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [10, 300])
def test_beaver_combine_of_every_layout(size: int, layout: str) -> None:
    operands = [random(size, size) for _ in range(5)]
    expected = ring.beaver_combine(*operands, add_de=True)
    out = np.asfortranarray(np.empty((size, size), np.uint64))
    ring.beaver_combine(*(laid_out(operand, layout) for operand in operands), add_de=True, out=out)
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("position", range(5))
def test_beaver_combine_writes_to_any_operand(size: int, position: int) -> None:
    operands = [random(size) for _ in range(5)]
    expected = ring.beaver_combine(*operands, add_de=True)
    ring.beaver_combine(*operands, add_de=True, out=operands[position])
    assert np.array_equal(operands[position], expected)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint32, ">u8"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    words, other = random(4, 4), np.ones((4, 4), dtype)
    for call in (
        lambda: ring.add(words, other),
        lambda: ring.subtract(words, other),
        lambda: ring.multiply(other, words),
        lambda: ring.negate(other),
        lambda: ring.sum(other),
        lambda: ring.matmul(words, other),
        lambda: ring.beaver_combine(words, words, words, words, other, True),
    ):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize(
    ("x_shape", "y_shape"),
    [
        ((), (3,)),
        ((3,), ()),
        ((2, 3, 4), (4, 2)),
        ((3, 1), (5, 2)),
        ((3, 5), (1, 2)),
        ((1,), (4,)),
        ((200, 90), (91, 200)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        ring.matmul(random(*x_shape), random(*y_shape))


def test_combine_refuses_other_shapes() -> None:
    x = random(4)
    with pytest.raises(ValueError, match="shapes differ"):
        ring.beaver_combine(x, x, x, x, random(1), True)
    with pytest.raises(ValueError, match="shapes differ"):
        ring.beaver_combine(x, x, x, x, x, True, out=np.empty((2, 4), np.uint64))


def run_python(script: str, **environment: str) -> str:
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_numba_is_imported_only_for_large_arrays() -> None:
    script = """
import sys, numpy as np
from protocols import ring
x = np.ones((20, 20), np.uint64)
ring.matmul(x, x), ring.matmul(np.ones(10**6, np.uint64), np.ones(10**6, np.uint64))
print("numba" in sys.modules)
x = np.ones((200, 200), np.uint64)
ring.matmul(x, x)
print("numba" in sys.modules)
"""
    assert run_python(script).split() == ["False", "True"]


def test_an_unusable_cache_costs_time_only(tmp_path: Path) -> None:
    script = """
import numpy as np
from protocols import ring
x = np.full((128, 128), 2**63 + 1, np.uint64)
print(ring.matmul(x, x)[0, 0])
"""
    cache = tmp_path / "cache"
    assert run_python(script, NUMBA_CACHE_DIR=str(cache)).split() == ["128"]
    damaged = [path for path in cache.rglob("*") if path.is_file()]
    assert damaged
    for path in damaged:
        path.write_bytes(path.read_bytes()[:100])
    assert run_python(script, NUMBA_CACHE_DIR=str(cache)).split() == ["128"]
