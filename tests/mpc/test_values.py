"""What a script may say, and what it is told when it says something else."""

import operator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mpc
from mpc.errors import ScriptError
from mpc.simulate import schema_of
from mpc.thresholds import threshold
from mpc.types import SHARED, Domain, Type

K, R, M = np.arange(1, 13), np.linspace(-1, 1, 12), np.arange(12).reshape(3, 4) - 5
DATA = {"ada": {"t": {"k": K, "r": R, "m": M.reshape(-1)}}, "bob": {"u": {"j": K[:5]}}}


def run(function, **options):
    return mpc.simulate(mpc.computation(function), DATA, **options)


def k(data):
    return data.party("ada")["t"]["k"]


def m(data):
    return data.party("ada")["t"]["m"].reshape(3, 4)


def j(data):
    return data.party("bob")["u"]["j"]


def foreign(data):
    kept = []
    mpc.computation(lambda other: kept.append(k(other)) or k(other)).plan(SCHEMA)
    return k(data) + kept[0]


SCHEMA = schema_of(DATA, {})

ERRORS = {
    "//": (lambda d: k(d) // 2, "not possible yet: whole quotients"),
    "%": (lambda d: k(d) % 2, "not possible yet: whole quotients"),
    "number // ": (lambda d: 7 // k(d), "not possible yet: whole quotients"),
    "round": (lambda d: round(k(d)), "not possible yet: rounding"),
    "a median by itself": (lambda d: mpc.median(d.table("t")[d.table("t")["k"] > 3]["k"]), "selected values have no"),
    "if": (lambda d: 1 if k(d).sum() else 0, "does not allow `if`.*nobody may see it"),
    "and": (lambda d: k(d) and 1, "does not allow `if`"),
    "float": (lambda d: float(k(d).sum()), r"float\(\).*Return the value"),
    "int": (lambda d: int(k(d).sum()), r"int\(\)"),
    "as an index": (lambda d: [1, 2][k(d).sum()], r"int\(\)"),
    "iteration": (lambda d: list(k(d)), "iteration.*whole arrays"),
    "unpacking": (lambda d: (lambda a, b: a)(*k(d)), "iteration"),
    "asarray": (lambda d: np.asarray(k(d)), "numpy array"),
    "list of values": (lambda d: k(d)[:2] * [k(d)[0], k(d)[1]], "numpy array"),
    "power": (lambda d: k(d) ** 3, r"powers other than 2.*x \* x \* x"),
    "attribute": (lambda d: k(d).median(), "no `median`.*It has: .*mean"),
    "other computation": (foreign, "another computation"),
    "divided by zero": (lambda d: k(d) / 0, "division by zero"),
    "divided by an array with zero": (lambda d: k(d) / (K - 1), "division by zero"),
    "divided by a secret that may be 0": (lambda d: k(d) / (k(d) - 2), "holds 0.*mpc.maximum"),
    "a number divided by a secret that may be 0": (lambda d: 1 / (k(d) - 2), "holds 0.*mpc.where"),
    "divided by NaN": (lambda d: k(d) / np.nan, "finite"),
    "divided by infinity": (lambda d: k(d) / [np.inf], "finite"),
    "divided by a complex number": (lambda d: k(d) / 1j, "complex"),
    "divided by text": (lambda d: k(d) / "a", "type str"),
    "divided by next to nothing": (lambda d: k(d) / 1e-320, "infinity"),
    "shapes": (lambda d: k(d) + j(d), r"add: the shapes \(12,\) and \(5,\) do not match.*equally many rows"),
    "shapes with numpy": (lambda d: k(d) * np.ones(7), "do not match"),
    "dot of different lengths": (lambda d: mpc.dot(k(d), j(d)), "12 against 5 rows"),
    "matmul of numbers": (lambda d: mpc.matmul(k(d).sum(), k(d)), "takes vectors and matrices"),
    "matmul of cubes": (lambda d: k(d).reshape(3, 2, 2) @ k(d).reshape(2, 2, 3), "takes vectors and matrices"),
    "index": (lambda d: k(d)[12], "index 12 is outside an axis of length 12"),
    "negative index": (lambda d: k(d)[-13], "outside"),
    "position": (lambda d: k(d)[[0, 12]], "position is outside"),
    "too many indices": (lambda d: k(d)[0, 0], "2 indices for a value with 1 axes"),
    "float index": (lambda d: k(d)[1.0], "an index must be"),
    "text index": (lambda d: k(d)["a"], "an index must be"),
    "secret index": (lambda d: k(d)[k(d)], "cannot index an array"),
    "two ellipses": (lambda d: k(d)[..., ...], "twice"),
    "two lists": (lambda d: m(d)[[0, 1], [0, 1]], "one axis after the other"),
    "a list apart from a number": (lambda d: k(d).reshape(2, 3, 2)[0, :, [0, 1]], "one axis after the other"),
    "a list beyond a new axis": (lambda d: k(d).reshape(2, 6)[0, None, [0, 1]], "one axis after the other"),
    "mask of another length": (lambda d: k(d)[[True, False]], "an index must be"),
    "reshape": (lambda d: k(d).reshape(5, -1), "cannot hold"),
    "reshape to a wrong size": (lambda d: k(d).reshape(5, 2), "12 elements"),
    "reshape twice -1": (lambda d: k(d).reshape(-1, -1), "not a shape"),
    "reshape to a float": (lambda d: k(d).reshape(2.0, 6), "is not a shape"),
    "axis": (lambda d: k(d).sum(axis=1), "no axis 1 in 1 axes"),
    "axis below": (lambda d: m(d).mean(axis=-3), "no axis -3"),
    "axis twice": (lambda d: m(d).sum(axis=(0, -2)), "named twice"),
    "axis text": (lambda d: m(d).sum(axis="rows"), "no axis rows"),
    "transpose": (lambda d: m(d).transpose(0, 0), "no order of the axes"),
    "mean of nothing": (lambda d: k(d)[:0].mean(), "mean of no elements"),
    "length of a number": (lambda d: len(k(d).sum()), "without axes"),
    "concat of one value": (lambda d: mpc.concat(k(d)), "takes a list"),
    "concat of nothing": (lambda d: mpc.concat([]), "needs a secret value"),
    "concat of public": (lambda d: mpc.concat([K, K]), "needs a secret value"),
    "concat axis": (lambda d: mpc.concat([k(d), k(d)], axis=1), "no axis 1"),
    "concat shapes": (lambda d: mpc.concat([m(d), m(d).T]), "do not match outside axis 0"),
    "stack shapes": (lambda d: mpc.stack([k(d), j(d)]), "differ"),
    "stack axis": (lambda d: mpc.stack([k(d), k(d)], axis="a"), "no axis a"),
    "dot of public": (lambda d: mpc.dot(K, K), "needs a secret value"),
    "uint64": (lambda d: k(d) + np.uint64(1 << 63), "2\\^63 or more"),
    "huge int": (lambda d: k(d) + 2**70, "cannot be computed with"),
    "NaN": (lambda d: k(d) + np.nan, "NaN or an infinity"),
    "complex": (lambda d: k(d) * 1j, "type complex"),
    "text": (lambda d: k(d) + "1", "type str"),
    "None": (lambda d: k(d) + None, "type NoneType"),
    "time": (lambda d: k(d) + np.timedelta64(1), "cannot be computed with"),
    "ragged list": (lambda d: k(d) * [[1], [2, 3]], "differ in length"),
    "an exception": (lambda d: [][1], "IndexError: list index out of range"),
    "unknown party": (lambda d: d.party("adda"), "no party called 'adda'.*Did you mean 'ada'.*ada, bob"),
    "unknown table": (lambda d: d.table("tt"), "no table called"),
    "unknown column": (lambda d: d.party("ada")["t"]["kk"], "no column in ada.t called 'kk'.*k, m, r"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_cannot_be_said_is_told_with_its_line(case: str) -> None:
    function, message = ERRORS[case]
    with pytest.raises(ScriptError, match=f"(?s){message}") as told:
        run(function)
    assert str(told.value).startswith("test_values.py:")


SAID = {
    "numpy times value": lambda k, m: K * k + np.float64(2.5) * k - np.int32(3) + np.array([True, False] * 6),
    "booleans": lambda k, m: k * True + False,
    "lists": lambda k, m: [1] * 12 + k,
    "numpy from the left": lambda k, m: np.arange(3) @ m,
    "numpy minus": lambda k, m: np.int64(5) - k,
    "uint64": lambda k, m: (k + np.uint64(7)) * 1.0,
    "negative axes": lambda k, m: m.sum(axis=-1),
    "both axes": lambda k, m: m.mean(axis=(-1, 0)),
    "reshape -1": lambda k, m: m.reshape(-1, 6),
    "reshape list": lambda k, m: m.reshape([2, 6]),
    "transposes": lambda k, m: m.T @ m.transpose((0, 1)) @ m.transpose(),
    "index": lambda k, m: m[-1, 1:][::-1] + m[0, [1, -1, 0]],
    "index new axis": lambda k, m: m[None, ..., 2] * m[1, :, None, None],
    "index mask": lambda k, m: k[K > 7],
    "index list and number": lambda k, m: m[1, [0, 2]] + m[[0, 2], 1],
    "index list first, a number apart": lambda k, m: k.reshape(2, 3, 2)[[1, 0, 1], :, 0],
    "index number beside a list": lambda k, m: k.reshape(2, 3, 2)[:, 0, [0, 1]] + k.reshape(2, 3, 2)[:, 2, None, 1],
    "empty": lambda k, m: k[5:5] * 2,
    "plus": lambda k, m: +k - -k,
    "square": lambda k, m: k**2,
    "method dot": lambda k, m: m.dot(m.T),
    "dot with a number": lambda k, m: k.dot(3),
    "division": lambda k, m: k / 4 + k / 0.5 + k / -3 + k / 1,
    "division by array": lambda k, m: k / K + k / (1 << 20),
}


@pytest.mark.parametrize("case", SAID)
def test_numpy_says_the_same(case: str) -> None:
    expected = SAID[case](K, M)
    got = run(lambda d: SAID[case](k(d), m(d)))["result"]
    assert np.shape(got) == np.shape(expected)
    assert np.asarray(got).dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(got, expected, rtol=1e-9)


JOINS = [
    ("concat", np.concatenate, [(12,), (3,)], 0),
    ("concat", np.concatenate, [(2, 3), (2, 1)], -1),
    ("concat", np.concatenate, [(2, 3), (1, 3)], np.int64(0)),
    ("stack", np.stack, [(3,), (3,)], 1),
    ("stack", np.stack, [(2, 3), (2, 3)], -2),
    ("matmul", np.matmul, [(4,), (4,)], None),
    ("matmul", np.matmul, [(3, 4), (4,)], None),
    ("matmul", np.matmul, [(4,), (4, 2)], None),
    ("dot", np.dot, [(2, 4), (4, 3)], None),
    ("dot", np.dot, [(4,), ()], None),
    ("dot", np.dot, [(), (2, 3)], None),
    ("dot", np.dot, [(2, 0), (0, 3)], None),
]


@pytest.mark.parametrize(("name", "numpy_function", "shapes", "axis"), JOINS)
@pytest.mark.parametrize("public", [None, 0, 1])
def test_functions_have_numpys_shapes(name: str, numpy_function, shapes, axis, public) -> None:
    sizes = [int(np.prod(shape)) for shape in shapes]
    parts = [K[:size].reshape(shape) for size, shape in zip(sizes, shapes, strict=True)]
    options, how = ({}, {}) if axis is None else ({"axis": int(axis)}, {"axis": axis})

    def function(data):
        secret = [k(data)[: size or 0].reshape(shape) for size, shape in zip(sizes, shapes, strict=True)]
        operands = [part if i == public else value for i, (part, value) in enumerate(zip(parts, secret, strict=True))]
        return getattr(mpc, name)(*operands) if axis is None else getattr(mpc, name)(operands, **how)

    expected = numpy_function(*parts) if axis is None else numpy_function(parts, **options)
    got = np.asarray(run(function)["result"])
    assert got.shape == expected.shape
    assert np.array_equal(got, expected)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda x: x.clip(min=0.01, max=1e4), lambda x: np.clip(x, 0.01, 1e4)),
        (lambda x: mpc.minimum(x + 0.01, 1e4), lambda x: np.minimum(x + 0.01, 1e4)),
        (lambda x: mpc.maximum(-x - 0.01, -1e4), lambda x: np.maximum(-x - 0.01, -1e4)),
        (lambda x: (x + 0.01 < 1e4) * 1, lambda x: (x + 0.01 < 1e4) * 1),
        (lambda x: (x + 0.01 == 1e4) * 1, lambda x: (x + 0.01 == 1e4) * 1),
        (lambda x: mpc.where(x + 0.01 > -1e4, x, 0), lambda x: np.where(x + 0.01 > -1e4, x, 0)),
    ],
)
def test_an_owner_compares_with_numbers_that_its_scale_does_not_hold(made, expected) -> None:
    """A fine constant gives the column a scale in which the other constant is beyond the ring."""
    x = np.array([2475, 2490, 2499])
    tables = {"ada": {"t": {"x": x}}, "bob": {"u": {"x": x}}}
    for owner, table in (("ada", "t"), ("bob", "u")):
        result = mpc.simulate(lambda data, owner=owner, table=table: made(data.party(owner)[table]["x"]), tables)
        np.testing.assert_allclose(result["result"], expected(x), rtol=1e-9)


def test_integers_and_fractions_and_numbers_beyond_the_range_compare_as_numpy_has_them() -> None:
    far, whole, real = np.array([-(2**33), 3, 2**33]), np.array([-1000, 2, 1000]), np.array([-1000.0, 0.1, 1000.0])
    tables = {party: {"t": {"far": far, "whole": whole, "real": real}} for party in ("ada", "bob")}

    def compared(t, xp):
        return {
            "fraction": t["far"] == 3 - 1e-10,
            "among others": t["far"][:, None] == np.array([3, 2.5, -1e30]),
            "tiny": t["whole"] < 1e-12,
            "half": t["whole"] >= 2.5,
            "half from the left": np.float64(1.5) < t["whole"],
            "beyond": t["real"] < 1e30,
            "integer beyond": t["whole"] != 2**63 - 1,
            "clipped": xp.minimum(xp.maximum(t["real"], -1e30), 1e30),
            "integers clipped": t["whole"].clip(-1e30, 1e30),
            "small types": (t["whole"] > np.int8(5)) & (t["real"] < np.float32(0.1)),
        }

    found = mpc.simulate(lambda data: compared(data.table("t"), mpc), tables)
    for name, expected in compared({name: np.tile(x, 2) for name, x in tables["ada"]["t"].items()}, np).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-10, err_msg=name)
    edges = [-1e30, 0, 1e-12, 1e30]
    assert mpc.simulate(lambda data: mpc.histogram(data.table("t")["whole"], edges), tables)["result"].tolist() == [
        2,
        0,
        4,
    ]


COMPARISONS = {"less": operator.lt, "equal": operator.eq, "maximum": max, "minimum": min}
INT64 = st.integers(-(2**63), 2**63 - 1)


@given(
    st.sampled_from(sorted(COMPARISONS)), st.booleans(), st.sampled_from(["integer", "real"]), st.integers(0, 80),
    st.lists(INT64 | st.integers(-9, 9), min_size=3, max_size=3),
    INT64 | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | st.floats(-9, 9),
)  # fmt: skip
def test_a_threshold_makes_the_same_of_every_value(op, first, kind, scale, numbers, public) -> None:
    low, value, high = sorted(numbers)
    scale = scale if kind == "real" else 0
    held = threshold(op, np.asarray(public), Type(SHARED, (), Domain(kind, scale), low, high), first=first).item()
    for x in (Fraction(end, 1 << scale) for end in (low, value, high)):
        made = [(COMPARISONS[op](*((Fraction(c), x) if first else (x, Fraction(c))))) for c in (public, held)]
        assert made[0] == made[1]
