"""One suite over every operation, protocol and number of parties: value, rounds and bytes.

The expected value is numpy's on the pooled data, in exact integers or with a stated bound; rounds and bytes are those
of the cost formulas, to the byte.
"""

from itertools import product

import numpy as np
import pytest

import mpc
from mpc.cost import estimate
from mpc.schedule import Schedule
from mpc.simulate import schema_of
from mpc.sources import protocol_for
from protocols import additive, plain
from protocols.boolean import Monomials
from protocols.conversion import DaBits
from protocols.correlations import Demand, Triple
from protocols.interface import Cost
from protocols.masking import Mask
from protocols.rounds import Exchange
from protocols.selection import BitProduct
from protocols.shuffle import SecretPermutation
from protocols.sorting import DigitMask
from protocols.truncation import OwnBits, TruncationPair

PARTIES = ["ada", "bob", "cyd", "dan", "eve", "fay", "gil"]
ROWS = 12


def tables(parties: int) -> dict:
    rng = np.random.default_rng(parties)
    return {
        name: {
            "joint": {"k": rng.integers(-50, 50, ROWS + i), "r": rng.uniform(-3, 3, ROWS + i)},
            f"own_{name}": {
                "k": rng.integers(-1000, 1000, ROWS),
                "j": rng.integers(-1000, 1000, ROWS),
                "r": rng.uniform(-10, 10, ROWS),
            },
        }
        for i, name in enumerate(PARTIES[:parties])
    }


class Both:
    """The same columns twice: as secret values of a computation, and as numpy arrays."""

    def __init__(self, data: object = None, raw: dict | None = None) -> None:
        self.data, self.raw = data, raw
        self.xp = mpc if raw is None else np

    def own(self, i: int, column: str):
        name = self.names[i % len(self.names)]
        return (self.data.party(name) if self.raw is None else self.raw[name])[f"own_{name}"][column]

    def joint(self, column: str):
        if self.raw is None:
            return self.data.table("joint")[column]
        return np.concatenate([self.raw[name]["joint"][column] for name in self.names])

    def concat(self, values, axis=0):
        return (mpc.concat if self.raw is None else np.concatenate)(values, axis=axis)

    @property
    def names(self):
        return list(self.data.parties) if self.raw is None else list(self.raw)

    def shared(self, column: str):
        """A value that every party only has a share of."""
        return self.own(0, column) + self.own(1, column)


WEIGHTS = np.array([0.5, -2.25, 3.0] * 4)
MATRIX = np.arange(1, 1 + 3 * ROWS).reshape(ROWS, 3) - 7

CASES = {
    "add": lambda b: b.own(0, "k") + b.own(1, "k"),
    "add public": lambda b: b.shared("k") + 7,
    "add real and integer": lambda b: b.own(0, "k") + b.own(1, "r"),
    "subtract": lambda b: 3 - b.own(0, "k") - b.own(1, "r") - b.shared("k"),
    "negate": lambda b: -b.shared("r"),
    "multiply owned": lambda b: b.own(0, "k") * b.own(1, "k"),
    "multiply same owner": lambda b: b.own(0, "k") * b.own(0, "j"),
    "multiply shared": lambda b: b.shared("k") * b.shared("j"),
    "multiply owned by shared": lambda b: b.own(1, "k") * b.shared("j"),
    "multiply shared by owned": lambda b: b.shared("j") * b.own(0, "k"),
    "multiply reals": lambda b: b.own(0, "r") * b.own(1, "r"),
    "multiply public": lambda b: b.shared("k") * WEIGHTS,
    "multiply broadcast": lambda b: b.own(0, "k")[:, None] * b.own(1, "k")[:4],
    "multiply shared broadcast": lambda b: b.shared("k").reshape(3, 4) * b.shared("j")[:4],
    "square": lambda b: b.shared("k") * b.shared("k"),
    "three factors": lambda b: b.own(0, "k") * b.own(1, "k") * b.own(2, "k"),
    "dot owned": lambda b: b.xp.dot(b.own(0, "k"), b.own(1, "k")),
    "dot shared": lambda b: b.xp.dot(b.shared("k"), b.shared("j")),
    "dot reals": lambda b: b.xp.dot(b.own(1, "r"), b.own(0, "r")),
    "dot owned by shared": lambda b: b.own(0, "k") @ b.shared("j"),
    "dot shared by owned": lambda b: b.shared("j") @ b.own(1, "k"),
    "weighted sum": lambda b: WEIGHTS @ b.own(0, "k") + b.xp.dot(b.shared("j"), WEIGHTS),
    "matmul owned": lambda b: b.xp.matmul(b.own(0, "k").reshape(4, 3), b.own(1, "k").reshape(3, 4)),
    "matmul owned, other way": lambda b: b.own(1, "k").reshape(2, 6) @ b.own(0, "j").reshape(6, 2),
    "matmul shared": lambda b: b.shared("k").reshape(4, 3) @ b.shared("j").reshape(3, 4),
    "matmul owned by shared": lambda b: b.own(0, "k").reshape(4, 3) @ b.shared("j").reshape(3, 4),
    "matmul shared by owned": lambda b: b.shared("j").reshape(4, 3) @ b.own(0, "k").reshape(3, 4),
    "matrix vector": lambda b: b.shared("k").reshape(4, 3) @ b.own(1, "k")[:3],
    "vector matrix": lambda b: b.own(1, "k")[:4] @ b.shared("k").reshape(4, 3),
    "matmul public": lambda b: b.shared("k") @ MATRIX,
    "gram": lambda b: b.xp.stack([b.joint("k"), b.joint("k") * 2]) @ b.xp.stack([b.joint("k"), b.joint("k") + 1]).T,
    "horizontal X'y": lambda b: b.xp.stack([b.joint("k"), b.joint("r")], axis=1).T @ b.joint("k"),
    "vertical X'y": lambda b: b.xp.stack([b.own(0, "k"), b.own(1, "k")], axis=1).T @ b.own(2, "j"),
    "sum": lambda b: b.joint("k").sum(),
    "sum axis": lambda b: b.shared("k").reshape(3, 4).sum(axis=1),
    "sum axes": lambda b: b.shared("k").reshape(3, 2, 2).sum(axis=(0, 2)),
    "mean": lambda b: b.joint("r").mean(),
    "mean axis": lambda b: b.shared("k").reshape(3, 4).mean(axis=0),
    "divide": lambda b: b.shared("k") / 7,
    "divide by real": lambda b: b.shared("k") / 0.3,
    "divide by array": lambda b: b.shared("k") / np.arange(1, ROWS + 1),
    "sums of means": lambda b: b.joint("r").mean() - b.shared("k").mean() / 3,
    "concat": lambda b: b.concat([b.own(0, "k"), b.shared("j"), np.arange(3)]),
    "concat axis": lambda b: b.concat([b.own(0, "k").reshape(4, 3), b.own(1, "k").reshape(4, 3)], axis=1),
    "stack": lambda b: b.xp.stack([b.own(0, "k"), b.own(1, "k")], axis=1),
    "index": lambda b: b.shared("k").reshape(3, 4)[1:, ::-2],
    "index across parties": lambda b: b.joint("k")[5:-3:4],
    "index one": lambda b: b.joint("k")[-1] + b.shared("k")[0],
    "index positions": lambda b: b.shared("k").reshape(3, 4)[:, [3, 0, 3]],
    "transpose": lambda b: b.shared("k").reshape(3, 2, 2).transpose(2, 0, 1),
    "reshape": lambda b: b.joint("k")[: 2 * ROWS].reshape(2, -1),
    "less": lambda b: b.shared("k") < b.shared("j"),
    "less or equal, public": lambda b: b.shared("r") <= 1.5,
    "greater, owned": lambda b: b.own(0, "k") > b.own(1, "r"),
    "equal": lambda b: b.own(0, "k") - b.own(0, "k") == b.own(1, "k") * (b.own(0, "k") > 0),
    "not equal": lambda b: b.shared("k") != b.shared("k")[::-1],
    "truth values": lambda b: ((b.shared("k") > 0) & (b.shared("j") > 0)) | ~(b.shared("r") < 1) ^ (b.own(0, "k") > 9),
    "truth values broadcast": lambda b: (b.shared("k")[:3] > 0)[:, None] & (b.shared("j") > 0),
    "count": lambda b: (b.shared("k") > 0).sum() * 1,
    "all and any": lambda b: b.concat([(b.shared("k") > -5000).all()[None], (b.shared("k") > 5000).any()[None]]),
    "where": lambda b: b.xp.where(b.shared("k") > 0, b.shared("r"), b.shared("j")),
    "where, broadcast": lambda b: b.xp.where((b.shared("k") > 0).reshape(3, 4), b.shared("j")[:4], -1),
    "selected": lambda b: (b.shared("k") * (b.shared("j") > 0)).sum(),
    "absolute": lambda b: b.xp.absolute(b.shared("r")),
    "sign": lambda b: b.xp.sign(b.shared("k") - b.own(0, "k")),
    "minimum": lambda b: b.xp.minimum(b.shared("k"), b.own(0, "r")),
    "maximum": lambda b: b.xp.maximum(b.shared("k"), 3),
    "clip": lambda b: b.shared("r").clip(-1, 2.5),
    "min": lambda b: b.shared("k").min() + b.joint("k").min(),
    "max axis": lambda b: b.shared("k").reshape(3, 4).max(axis=1),
    "argmin": lambda b: b.shared("k").reshape(3, 4).argmin(axis=0),
    "argmax": lambda b: b.xp.concat([b.shared("k"), b.shared("k")]).argmax(),
    "sort": lambda b: b.xp.sort(b.joint("k")),
    "argsort": lambda b: b.xp.argsort(b.joint("r"), stable=True),
    "median": lambda b: b.xp.median(b.joint("r")),
    "quantile": lambda b: b.xp.quantile(b.joint("k"), [0.1, 0.5, 0.9]),
    "top_k": lambda b: mpc.top_k(b.joint("k"), 4)[0] if b.raw is None else np.sort(b.joint("k"))[:-5:-1],
    "cumsum": lambda b: b.joint("k").cumsum() - b.joint("k").cumsum()[::-1],
    "powers": lambda b: b.shared("r") * b.shared("r") * b.shared("r") * b.shared("r"),
    "wide dot": lambda b: (b.shared("r") * b.shared("r")) @ (b.shared("r") * b.own(0, "r")),
    "means of products": lambda b: b.shared("r").mean() * (b.shared("r") * b.own(1, "r")).mean() * b.joint("r").mean(),
    "elementwise on joint": lambda b: ((b.joint("k") * 3 - b.joint("r")) * b.joint("k")).sum(),
}


@pytest.mark.parametrize("protocol", [additive, plain], ids=lambda protocol: protocol.__name__.split(".")[-1])
@pytest.mark.parametrize("parties", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("case", CASES)
def test_value_rounds_and_bytes(case: str, parties: int, protocol: object) -> None:
    raw = tables(parties)
    computation = mpc.computation(lambda data: CASES[case](Both(data)))
    expected = np.asarray(CASES[case](Both(raw=raw)))
    result = mpc.simulate(computation, raw, protocol=protocol)
    got = np.asarray(result["result"])
    assert got.shape == expected.shape
    if np.issubdtype(expected.dtype, np.integer):
        assert np.array_equal(got, expected)
        assert np.issubdtype(got.dtype, np.integer)
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    cost = estimate(computation.plan(schema_of(raw, {})), protocol)
    assert result.traffic.rounds == cost.rounds
    assert dict(result.traffic.bytes_sent) == dict(cost.bytes_sent)
    assert dict(result.traffic.offline_bytes) == dict(cost.offline_bytes)


PAIRWISE = [
    "multiply owned", "multiply shared", "multiply owned by shared", "multiply broadcast", "square", "three factors",
    "dot reals", "matmul owned", "matmul shared", "matmul owned by shared", "vertical X'y", "less",
    "less or equal, public", "equal", "truth values", "count", "all and any", "where", "selected", "absolute", "clip",
    "max axis", "argmin", "sort", "argsort", "median", "quantile", "top_k", "cumsum", "powers", "wide dot",
    "means of products", "elementwise on joint",
]  # fmt: skip
"""Cases that need every correlation that there is."""
FEW = ["multiply shared", "matmul shared", "less", "powers", "selected", "median"]


@pytest.mark.parametrize(
    ("case", "parties"), [(case, n) for n in (2, 3) for case in PAIRWISE] + [(case, n) for n in (4, 5) for case in FEW]
)
def test_the_same_with_material_that_the_parties_make(case: str, parties: int) -> None:
    raw = tables(parties)
    computation = mpc.computation(lambda data: CASES[case](Both(data)))
    expected = np.asarray(CASES[case](Both(raw=raw)))
    result = mpc.simulate(computation, raw, source="pairwise")
    got = np.asarray(result["result"])
    if np.issubdtype(expected.dtype, np.integer):
        assert np.array_equal(got, expected)
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    cost = estimate(computation.plan(schema_of(raw, {})), protocol_for("pairwise"), "pairwise")
    assert result.traffic.rounds == cost.rounds
    assert dict(result.traffic.bytes_sent) == dict(cost.bytes_sent)
    assert dict(result.traffic.offline_bytes) == dict(cost.offline_bytes)


def test_these_cases_need_every_correlation_that_there_is() -> None:
    wanted = set()
    for case, parties in product(PAIRWISE, (2, 3)):
        plan = mpc.computation(lambda data, case=case: CASES[case](Both(data))).plan(schema_of(tables(parties), {}))
        wanted |= {type(demand) for _, demand in Schedule(plan, protocol_for("pairwise")).demands()}
    assert wanted == {
        Triple, OwnBits, TruncationPair, DaBits, BitProduct, Mask, Monomials, SecretPermutation, DigitMask,
    }  # fmt: skip
    assert wanted == {kind for kind in Demand.__subclasses__() if kind.__module__.startswith("protocols.")}


def sent(computation: object, raw: dict) -> dict[str, int]:
    return dict(mpc.simulate(mpc.computation(computation), raw).traffic.bytes_sent)


@pytest.mark.parametrize("parties", [2, 3, 5])
@pytest.mark.parametrize("n", [1, 1000, 300_000])
def test_an_owner_aware_dot_moves_16_bytes_an_element_and_a_share_each(parties: int, n: int) -> None:
    raw = {name: {"t": {"x": np.arange(n) % 7}} for name in PARTIES[:parties]}
    total = sent(lambda data: mpc.dot(data.party("ada")["t"]["x"], data.party("bob")["t"]["x"]), raw)
    assert sum(total.values()) == 16 * n + 8 * parties
    assert total["ada"] == total["bob"] == 8 * n + 8


def test_a_matrix_product_between_owners_moves_the_matrices_once() -> None:
    m, k, n = 30, 50, 20
    raw = {"ada": {"t": {"x": np.arange(m * k) % 11}}, "bob": {"u": {"x": np.arange(k * n) % 13}}}
    total = sent(
        lambda data: data.party("ada")["t"]["x"].reshape(m, k) @ data.party("bob")["u"]["x"].reshape(k, n), raw
    )
    assert sum(total.values()) == 8 * (m * k + k * n) + 2 * 8 * m * n


def test_a_joint_mean_shares_one_number_a_party() -> None:
    raw = {name: {"t": {"x": np.arange(1000.0)}} for name in PARTIES[:3]}
    assert sent(lambda data: data.table("t")["x"].mean(), raw) == dict.fromkeys(PARTIES[:3], 8)
    cost = estimate(mpc.computation(lambda data: data.table("t")["x"].mean()).plan(schema_of(raw, {})))
    assert (cost.rounds, cost.pieces) == (1, 0)


def test_independent_products_share_a_round() -> None:
    raw = tables(3)
    computation = mpc.computation(
        lambda data: {f"p{i}": mpc.dot(Both(data).own(0, "k") + i, Both(data).own(1, "k")) for i in range(20)}
    )
    assert mpc.simulate(computation, raw).traffic.rounds == 2


class TwoRounds:
    """The additive protocol with a round of nothing before every product: for the engine, a protocol of two rounds."""

    share, refresh, demand, warm = additive.share, additive.refresh, additive.demand, additive.warm
    blocks, product_weight = additive.blocks, additive.product_weight

    @staticmethod
    async def product(*arguments):
        await Exchange({}, {})
        return await additive.product(*arguments)

    @staticmethod
    def product_cost(*arguments):
        return Cost(2, additive.product_cost(*arguments).words)


@pytest.mark.parametrize("case", ["three factors", "multiply shared", "vertical X'y", "matmul owned"])
def test_products_of_several_rounds(case: str) -> None:
    raw = tables(3)
    computation = mpc.computation(lambda data: CASES[case](Both(data)))
    result = mpc.simulate(computation, raw, protocol=TwoRounds)
    assert np.array_equal(result["result"], CASES[case](Both(raw=raw)))
    once = mpc.simulate(computation, raw)
    assert result.traffic.rounds == 2 * once.traffic.rounds - 1
    assert result.traffic.bytes_sent == once.traffic.bytes_sent


@pytest.mark.parametrize("parties", [2, 3])
def test_long_arrays_in_blocks(parties: int) -> None:
    n = 400_001
    rng = np.random.default_rng(0)
    raw = {
        name: {"t": {"x": rng.integers(-100, 100, n), "y": rng.integers(-100, 100, n)}} for name in PARTIES[:parties]
    }
    ada, bob = raw["ada"]["t"], raw["bob"]["t"]

    @mpc.computation
    def products(data):
        x, y = data.party("ada")["t"]["x"], data.party("bob")["t"]["x"]
        shared = data.party("ada")["t"]["y"] + data.party("bob")["t"]["y"]
        return {
            "dot": mpc.dot(x, y),
            "product": x * y,
            "shared": shared * shared,
            "shared_dot": mpc.dot(shared, shared),
            "tall": mpc.stack([x, x + 1], axis=1).T @ mpc.stack([y, y - 1, shared], axis=1),
        }

    result = mpc.simulate(products, raw)
    both = ada["y"] + bob["y"]
    assert result["dot"] == ada["x"] @ bob["x"]
    assert np.array_equal(result["product"], ada["x"] * bob["x"])
    assert np.array_equal(result["shared"], both * both)
    assert result["shared_dot"] == both @ both
    left, right = np.stack([ada["x"], ada["x"] + 1], 1), np.stack([bob["x"], bob["x"] - 1, both], 1)
    assert np.array_equal(result["tall"], left.T @ right)
    cost = estimate(products.plan(schema_of(raw, {})))
    assert dict(result.traffic.bytes_sent) == dict(cost.bytes_sent)
    assert result.traffic.rounds == cost.rounds
