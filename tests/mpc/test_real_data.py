"""Statistics and models on real data, against numpy, scikit-learn and statsmodels: rows apart, columns apart."""

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn import datasets
from sklearn.linear_model import LinearRegression, Ridge

import mpc

DIABETES = datasets.load_diabetes(scaled=False)
CANCER = datasets.load_breast_cancer()
PARTIES = ["ada", "bob", "cyd"]


def columns_of(bunch, chosen) -> dict[str, np.ndarray]:
    names = [f"x{i}" for i in chosen]
    return dict(zip(names, bunch.data[:, chosen].T, strict=True)) | {"y": bunch.target.astype(float)}


def divided(columns, parties: int, how: str):
    """The same columns held by rows or by columns, and a function that gives them as values of a computation."""
    names = PARTIES[:parties]
    if how == "rows":
        cuts = np.linspace(0, len(columns["y"]), parties + 1).astype(int)
        tables = {
            party: {"t": {name: x[a:b] for name, x in columns.items()}}
            for party, a, b in zip(names, cuts, cuts[1:], strict=False)
        }
        ranges = {party: {"t": {name: (x.min(), x.max()) for name, x in columns.items()}} for party in names}
        return tables, ranges, lambda data, name: data.table("t")[name]
    owner = {name: names[i % parties] for i, name in enumerate(columns)}
    tables = {party: {"t": {n: x for n, x in columns.items() if owner[n] == party}} for party in names}
    return tables, None, lambda data, name: data.party(owner[name])["t"][name]


@pytest.mark.parametrize("how", ["rows", "columns"])
@pytest.mark.parametrize("parties", [2, 3])
def test_moments_to_nine_digits(parties: int, how: str) -> None:
    columns = columns_of(DIABETES, [0, 2, 3])
    tables, ranges, take = divided(columns, parties, how)

    def moments(data):
        x = mpc.stack([take(data, name) for name in columns], axis=1)
        return {
            "means": mpc.stack([take(data, name).mean() for name in columns]),
            "cov": mpc.stats.cov(x),
            "corr": mpc.stats.corr(x),
            "var": mpc.stats.var(take(data, "y"), ddof=1),
        }

    result = mpc.simulate(moments, tables, ranges)
    x = np.stack(list(columns.values()), axis=1)
    np.testing.assert_allclose(result["means"], x.mean(0), rtol=1e-9)
    np.testing.assert_allclose(result["cov"], np.cov(x, rowvar=False), rtol=1e-9)
    np.testing.assert_allclose(result["corr"], np.corrcoef(x, rowvar=False), rtol=1e-9)
    np.testing.assert_allclose(result["var"], columns["y"].var(ddof=1), rtol=1e-9)


@pytest.mark.parametrize("how", ["rows", "columns"])
@pytest.mark.parametrize("parties", [2, 3])
def test_least_squares_to_six_digits(parties: int, how: str) -> None:
    columns = columns_of(DIABETES, [0, 1, 2, 3, 8])
    tables, ranges, take = divided(columns, parties, how)
    names = [name for name in columns if name != "y"]

    def fits(data):
        x = mpc.stack([take(data, name) for name in names], axis=1)
        plain = mpc.linear_model.LinearRegression().fit(x, take(data, "y"))
        ridge = mpc.linear_model.Ridge(alpha=3.0).fit(x, take(data, "y"))
        return {"coef": plain.coef_, "intercept": plain.intercept_, "ridge": ridge.coef_}

    result = mpc.simulate(fits, tables, ranges)
    x = np.stack([columns[name] for name in names], axis=1)
    expected = LinearRegression().fit(x, columns["y"])
    np.testing.assert_allclose(result["coef"], expected.coef_, rtol=1e-6)
    np.testing.assert_allclose(result["intercept"], expected.intercept_, rtol=1e-6)
    np.testing.assert_allclose(result["ridge"], Ridge(alpha=3.0).fit(x, columns["y"]).coef_, rtol=1e-6)


@pytest.mark.parametrize("how", ["rows", "columns"])
def test_logistic_regression_to_six_digits(how: str) -> None:
    columns = columns_of(CANCER, [0, 1])
    columns["y"] = CANCER.target
    tables, ranges, take = divided(columns, 2, how)

    def fit(data):
        x = mpc.stack([take(data, "x0"), take(data, "x1")], axis=1)
        model = mpc.linear_model.LogisticRegression(penalty=None, max_iter=9).fit(x, take(data, "y"))
        return {"coef": model.coef_, "intercept": model.intercept_}

    result = mpc.simulate(fit, tables, ranges)
    x = sm.add_constant(np.stack([columns["x0"], columns["x1"]], axis=1))
    expected = sm.Logit(columns["y"], x).fit(disp=False).params
    np.testing.assert_allclose(result["coef"], expected[1:], rtol=1e-6)
    np.testing.assert_allclose(result["intercept"], expected[0], rtol=1e-6)


def test_a_column_that_is_all_equal_correlates_with_nothing() -> None:
    tables = {party: {"t": {"x": np.full(20, 3.0), "y": np.arange(20.0)}} for party in PARTIES[:2]}
    ranges = {party: {"t": {"x": (0.0, 9.0)}} for party in tables}
    result = mpc.simulate(lambda data: mpc.stats.corr(data.table("t")["x"], data.table("t")["y"]), tables, ranges)
    assert result["result"] is mpc.UNDEFINED


def test_a_singular_design_is_undefined() -> None:
    x = np.arange(40.0)
    tables = {party: {"t": {"a": x, "b": 2 * x, "y": x**2}} for party in PARTIES[:2]}

    def fit(data):
        t = data.table("t")
        return mpc.linear_model.LinearRegression().fit(t[["a", "b"]], t["y"]).coef_

    result = mpc.simulate(fit, tables)["result"]
    assert result is mpc.UNDEFINED or np.all(np.ma.getmaskarray(result))
