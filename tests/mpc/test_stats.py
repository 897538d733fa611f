"""Moments of columns of any offset and magnitude, rows apart and columns apart, against numpy and scipy."""

import numpy as np
import pytest
from scipy import stats
from sklearn import datasets

import mpc

PARTIES = ("ada", "bob", "cyd")
IRIS = datasets.load_iris().data


def exact_covariances(columns) -> np.ndarray:
    """In extended precision: numpy's own lose digits to a large offset."""
    x = [column.astype(np.longdouble) for column in columns]
    x = [column - column.mean() for column in x]
    return np.array([[float((a * b).sum() / (a.size - 1)) for b in x] for a in x])


def by_rows(columns, parties: int, ranges):
    parts = {
        party: {"t": {name: np.array_split(x, parties)[i] for name, x in columns.items()}}
        for i, party in enumerate(PARTIES[:parties])
    }
    return parts, {party: {"t": ranges} for party in parts}, lambda data, name: data.table("t")[name]


def by_columns(columns, parties: int, ranges):
    owner = {name: PARTIES[i % parties] for i, name in enumerate(columns)}
    tables = {party: {f"of {party}": {}} for party in PARTIES[:parties]}
    declared = {party: {f"of {party}": {}} for party in tables}
    for name, x in columns.items():
        tables[owner[name]][f"of {owner[name]}"][name] = x
        declared[owner[name]][f"of {owner[name]}"][name] = ranges[name]
    return tables, declared, lambda data, name: data.party(owner[name])[f"of {owner[name]}"][name]


@pytest.mark.parametrize("divided", [by_rows, by_columns])
@pytest.mark.parametrize("parties", [2, 3])
def test_nothing_is_lost_to_an_offset_or_to_other_columns(divided, parties: int) -> None:
    rng = np.random.default_rng(3)
    near = rng.uniform(-0.1, 0.1, 700)
    columns = {
        "far": 1e7 + near,
        "small": 1e-6 * (near + rng.normal(0, 0.1, 700)),
        "whole": rng.integers(0, 90, 700) + np.arange(700) // 10,
    }
    ranges = {"far": (1e7 - 1, 1e7 + 1), "small": (-1e-6, 1e-6), "whole": (0, 200)}
    tables, declared, take = divided(columns, parties, ranges)

    def moments(data):
        far, small, whole = (take(data, name) for name in columns)
        matrix = mpc.stack([far, small, whole], axis=1)
        return {
            "mean": far.mean(),
            "var": far.var(ddof=1),
            "std": far.std(),
            "cov": mpc.stats.cov(matrix),
            "corr": mpc.stats.corr(matrix),
            "one": mpc.stats.corr(far, small),
        }

    result = mpc.simulate(moments, tables, declared)
    cov = exact_covariances(columns.values())
    spread = np.sqrt(np.diag(cov))
    np.testing.assert_allclose(result["mean"], columns["far"].mean(), rtol=1e-12)
    np.testing.assert_allclose(result["var"], cov[0, 0], rtol=1e-9)
    np.testing.assert_allclose(result["std"], spread[0] * np.sqrt(699 / 700), rtol=1e-9)
    np.testing.assert_allclose(result["cov"] / np.outer(spread, spread), cov / np.outer(spread, spread), atol=1e-9)
    np.testing.assert_allclose(result["corr"], cov / np.outer(spread, spread), atol=1e-9)
    np.testing.assert_allclose(result["one"], cov[0, 1] / spread[0] / spread[1], rtol=1e-9)
    assert np.all(np.diag(result["corr"]) == 1)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1), -1])
def test_along_any_axis(axis) -> None:
    tables = {
        p: {"t": {f"c{i}": IRIS[rows, i] for i in range(4)}}
        for p, rows in zip(PARTIES[:2], ([*range(40)], [*range(40, 150)]), strict=True)
    }

    def spreads(data):
        x = data.table("t")[["c0", "c1", "c2", "c3"]][20:60, 1:]
        return {"var": x.var(axis, ddof=1), "std": np.std(x, axis)}

    result = mpc.simulate(spreads, tables)
    np.testing.assert_allclose(result["var"], IRIS[20:60, 1:].var(axis, ddof=1), rtol=1e-9)
    np.testing.assert_allclose(result["std"], IRIS[20:60, 1:].std(axis), rtol=1e-8)


def test_a_standard_deviation_may_be_nothing() -> None:
    for spread, digits in ((0.0, 1e-9), (1e-4, 1e-3), (1e-3, 1e-6), (0.1, 1e-9)):
        x = 5 + spread * np.random.default_rng(0).normal(size=300)
        tables = {"ada": {"t": {"x": x[:150]}}, "bob": {"t": {"x": x[150:]}}}
        ranges = {party: {"t": {"x": (0, 10)}} for party in tables}
        result = mpc.simulate(lambda data: data.table("t")["x"].std(), tables, ranges)["result"]
        np.testing.assert_allclose(result, x.std(), rtol=digits)


@pytest.mark.parametrize("value", [0.1, 36.6, 3e-4, 7])
def test_a_column_that_its_range_holds_constant_has_no_spread(value: float) -> None:
    tables = {party: {"t": {"x": np.full(30, value), "y": np.arange(30.0)}} for party in PARTIES[:2]}

    def spreads(data):
        t = data.table("t")
        return {"var": t["x"].var(), "std": (t["x"] * 2).std(), "cov": mpc.stats.cov(t[["x", "y"]])}

    result, y = mpc.simulate(spreads, tables), np.tile(np.arange(30.0), 2)
    assert (result["var"], result["std"]) == (0, 0)
    np.testing.assert_allclose(result["cov"], np.diag([0, y.var(ddof=1)]), rtol=1e-9)


def test_one_partys_column_may_be_constant() -> None:
    x, y = np.array([0.1, 100.0, 3.7, 0.1, 0.1]), np.array([1.0, 5.0, 2.0, 9.0, 4.0])
    tables = {"ada": {"t": {"x": x[:3], "y": y[:3]}}, "bob": {"t": {"x": x[3:], "y": y[3:]}}}

    def moments(data):
        t = data.table("t")
        return {"var": t["x"].var(), "std": t["x"].std(), "cov": mpc.stats.cov(t[["x", "y"]])}

    result = mpc.simulate(moments, tables)
    np.testing.assert_allclose([result["var"], result["std"]], [x.var(), x.std()], rtol=1e-9)
    np.testing.assert_allclose(result["cov"], np.cov(x, y), rtol=1e-9)


@pytest.mark.parametrize("together", [True, False])
def test_describe(together: bool) -> None:
    x = IRIS[:, 2]
    tables = {"ada": {"t" if together else "u": {"x": x[:40]}}, "bob": {"t": {"x": x[40:]}}}
    x = x if together else x[40:]

    def described(data):
        held = mpc.stats.describe(data.table("t")["x"])
        assert held.nobs == len(x)
        return {"low": held.minmax[0], "high": held.minmax[1]} | {
            name: getattr(held, name) for name in ("mean", "variance", "skewness", "kurtosis")
        }

    result, expected = mpc.simulate(described, tables), stats.describe(x)
    assert (result["low"], result["high"]) == expected.minmax
    for name in ("mean", "variance", "skewness", "kurtosis"):
        np.testing.assert_allclose(result[name], getattr(expected, name), rtol=1e-6)


def test_what_means_nothing_is_said_before_anything_runs_or_is_undefined() -> None:
    tables = {party: {"t": {"x": np.full(20, 3.0), "y": np.arange(20.0)}} for party in PARTIES[:2]}
    ranges = {party: {"t": {"x": (0.0, 9.0)}} for party in tables}

    def correlations(data):
        return mpc.stats.corr(data.table("t")[["x", "y"]])

    held = mpc.simulate(correlations, tables, ranges)["result"]
    assert np.ma.getmaskarray(held).tolist() == [[True, True], [True, False]]
    for refused, words in (
        (correlations, "all equal by its declared range"),
        (lambda data: mpc.stats.cov(data.table("t")["y"][:1], data.table("t")["x"][:1]), "at least 2 rows"),
        (lambda data: mpc.stats.corr(data.table("t")["y"]), "a matrix of rows by columns"),
        (lambda data: data.table("t")["y"].var(ddof=40), "at least 41 rows"),
        (lambda data: mpc.stats.std([1.0, 2.0]), "takes a secret value"),
        (lambda data: mpc.stats.ttest_1samp(data.table("t")["x"], 1).statistic, "all equal by its declared range"),
        (
            lambda data: mpc.stats.kaplan_meier(data.table("t")["y"], data.table("t")["y"], [1]).survival,
            "neither 0 nor 1",
        ),
        (lambda data: mpc.stats.chi2_contingency(data.table("t")[["x", "y"]]).statistic, "a table of counts"),
    ):
        with pytest.raises(mpc.ScriptError, match=words):
            mpc.simulate(refused, tables)


def test_student_and_yates() -> None:
    x, y = IRIS[:50, 0], IRIS[60:140, 0]
    tables = {party: {"t": {"x": x[i::2]}, "u": {"y": y[i::2]}} for i, party in enumerate(PARTIES[:2])}
    counts = {"ada": np.array([[12, 3], [5, 9]]), "bob": np.array([[7, 4], [8, 6]])}
    for party, table in counts.items():
        tables[party]["c"] = {"one": table[:, 0], "other": table[:, 1]}

    def tests(data):
        student = mpc.stats.ttest_ind(data.table("t")["x"], data.table("u")["y"])
        table = data.party("ada")["c"][["one", "other"]] + data.party("bob")["c"][["one", "other"]]
        chi = mpc.stats.chi2_contingency(table)
        assert (student.df, chi.dof) == (128, 1)
        plain = mpc.stats.chi2_contingency(table, correction=False)
        return {"t": student.statistic, "chi": chi.statistic, "plain": plain.statistic}

    result, table = mpc.simulate(tests, tables), counts["ada"] + counts["bob"]
    np.testing.assert_allclose(result["t"], stats.ttest_ind(x, y).statistic, rtol=1e-8)
    np.testing.assert_allclose(result["chi"], stats.chi2_contingency(table).statistic, rtol=1e-7)
    np.testing.assert_allclose(result["plain"], stats.chi2_contingency(table, correction=False).statistic, rtol=1e-7)


def test_parts_that_some_owner_has_and_parts_that_are_shared_make_a_variance_within_its_bound() -> None:
    bits, none = np.random.default_rng(0).integers(0, 2, 30), np.zeros(30, np.int64)
    tables = {p: {"t": {"x": part}, "u": {"z": none}} for p, part in zip(PARTIES, np.array_split(bits, 3), strict=True)}
    ranges = {party: {"t": {"x": (-100, 1)}, "u": {"z": (0, 1)}} for party in tables}

    def raised(data):
        return mpc.stats.var(mpc.maximum(data.table("t")["x"], data.party(PARTIES[0])["u"]["z"] - 50))

    result = mpc.simulate(raised, tables, ranges)["result"]
    assert abs(result - bits.var()) < 51**2 * 2.0**-48


SHARED = {
    "a sum of two parties' numbers": lambda a, b: a + b,
    "truth values": lambda a, b: (a < b) * 1,
    "a quotient": lambda a, b: (a - b) / 7,
    "a product": lambda a, b: a * b,
}


@pytest.mark.parametrize("width", [1, 5, 1000])
@pytest.mark.parametrize("made", SHARED)
def test_shared_columns_of_few_digits_have_moments_too(made: str, width: int) -> None:
    """Their means have more digits than they have."""
    rng = np.random.default_rng(width)
    a, b = rng.integers(0, width + 1, 41), rng.integers(0, width + 1, 41)
    tables = {"ada": {"t": {"a": a}}, "bob": {"u": {"b": b}}}

    def moments(data):
        one, other = data.party("ada")["t"]["a"], data.party("bob")["u"]["b"]
        x = SHARED[made](one, other)
        return {"var": mpc.stats.var(x, ddof=1), "cov": mpc.stats.cov(x, one), "both": mpc.stats.cov(x, one + other)}

    result, x = mpc.simulate(moments, tables), SHARED[made](a, b)
    np.testing.assert_allclose(result["var"], np.var(x, ddof=1), rtol=1e-7)
    np.testing.assert_allclose(result["cov"], np.cov(x, a)[0, 1], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(result["both"], np.cov(x, a + b)[0, 1], rtol=1e-6, atol=1e-7)
