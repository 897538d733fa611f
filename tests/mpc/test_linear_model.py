"""Regressions on real data, against scikit-learn, statsmodels and the certified values of NIST."""

import numpy as np
import pytest
import sklearn.linear_model as sk
import statsmodels.api as sm
from sklearn import datasets

import mpc
from mpc.linear_model import LinearRegression, LogisticRegression, Ridge
from mpc.simulate import schema_of

PARTIES = ("ada", "bob", "cyd")
LONGLEY = sm.datasets.longley.load_pandas()
DIABETES = datasets.load_diabetes(scaled=False)
IRIS = datasets.load_iris()
CANCER = datasets.load_breast_cancer()
SPECTOR = sm.datasets.spector.load_pandas()

# NIST Statistical Reference Datasets, Longley: coefficients, their standard deviations, R squared
CERTIFIED = {
    "coef": [15.0618722713733, -0.358191792925910e-01, -2.02022980381683, -1.03322686717359, -0.511041056535807e-01,
             1829.15146461355],
    "intercept": -3482258.63459582,
    "errors": [84.9149257747669, 0.334910077722432e-01, 0.488399681651699, 0.214274163161675, 0.226073200069370,
               455.478499142212],
    "rsquared": 0.995479004577296,
}  # fmt: skip


def rows_apart(X, y, parties: int):
    """The tables of parties that hold rows, and what a computation makes of them."""
    order = np.random.default_rng(0).permutation(len(y))
    names = [f"x{k}" for k in range(X.shape[1])]
    tables = {
        party: {"t": {**dict(zip(names, X[rows].T, strict=True)), "y": y[rows]}}
        for party, rows in zip(PARTIES[:parties], np.array_split(order, parties), strict=True)
    }
    return tables, lambda data: (data.table("t")[names], data.table("t")["y"])


def columns_apart(X, y, parties: int):
    """The same, of parties that hold columns."""
    columns = {**{f"x{k}": x for k, x in enumerate(X.T)}, "y": y}
    owners = dict(zip(columns, np.sort(np.arange(len(columns)) % parties), strict=True))
    tables = {
        party: {f"of {party}": {name: x for name, x in columns.items() if owners[name] == i}}
        for i, party in enumerate(PARTIES[:parties])
    }

    def design(data):
        held = [data.party(PARTIES[i])[f"of {PARTIES[i]}"][name] for name, i in owners.items()]
        return mpc.stack(held[:-1], axis=1), held[-1]

    return tables, design


def fitted(model, tables, design, *names: str):
    """What a fit reveals: the attributes of these names."""

    def fit(data):
        made = model.fit(*design(data))
        return {name: getattr(made, name) for name in names}

    return mpc.simulate(fit, tables)


@pytest.mark.parametrize("divided", [rows_apart, columns_apart])
@pytest.mark.parametrize("parties", [2, 3])
def test_longley(divided, parties: int) -> None:
    """Columns that nearly depend on each other, of magnitudes from 10 to 500,000."""
    tables, design = divided(LONGLEY.exog.to_numpy(), LONGLEY.endog.to_numpy(), parties)
    names = ("coef_", "intercept_", "standard_errors_", "rsquared_")
    result = fitted(LinearRegression(), tables, design, *names)
    np.testing.assert_allclose(result["coef_"], CERTIFIED["coef"], rtol=1e-7)
    np.testing.assert_allclose(result["intercept_"], CERTIFIED["intercept"], rtol=1e-7)
    np.testing.assert_allclose(result["standard_errors_"], CERTIFIED["errors"], rtol=1e-6)
    np.testing.assert_allclose(result["rsquared_"], CERTIFIED["rsquared"], rtol=1e-7)


@pytest.mark.parametrize("divided", [rows_apart, columns_apart])
@pytest.mark.parametrize("intercept", [True, False])
def test_ridge_and_no_intercept(divided, intercept: bool) -> None:
    X, y = DIABETES.data, DIABETES.target
    tables, design = divided(X, y, 2)
    for alpha in (1e-3, 40.0, 1e6):
        result = fitted(Ridge(alpha, fit_intercept=intercept), tables, design, "coef_")
        expected = sk.Ridge(alpha, fit_intercept=intercept, solver="svd").fit(X, y)
        np.testing.assert_allclose(result["coef_"], expected.coef_, rtol=1e-6)
    names = ("coef_", "standard_errors_")
    result = fitted(LinearRegression(fit_intercept=intercept), tables, design, *names)
    expected = sm.OLS(y, sm.add_constant(X) if intercept else X).fit()
    np.testing.assert_allclose(result["coef_"], expected.params[-10:], rtol=1e-6)
    np.testing.assert_allclose(result["standard_errors_"], expected.bse[-10:], rtol=1e-6)


def test_an_offset_costs_no_digits() -> None:
    rng = np.random.default_rng(1)
    near = rng.uniform(-0.1, 0.1, (200, 2))
    y = 3e6 + 40 * near[:, 0] - 7e-3 * near[:, 1] + rng.normal(0, 1e-3, 200)
    X = near * [1, 1e-3] + [1e7, 0]
    tables, design = rows_apart(X, y, 2)
    result = fitted(LinearRegression(), tables, design, "coef_", "intercept_")
    about = X - X.mean(0)
    # of a column whose spread is 10^-4 the sixth digit varies with the masks
    np.testing.assert_allclose(result["coef_"], np.linalg.lstsq(about, y - y.mean(), rcond=None)[0], rtol=3e-6)
    np.testing.assert_allclose(result["intercept_"], y.mean() - X.mean(0) @ result["coef_"], rtol=1e-6)


@pytest.mark.parametrize("divided", [rows_apart, columns_apart])
@pytest.mark.parametrize("parties", [2, 3])
def test_logistic_regression_without_penalty(divided, parties: int) -> None:
    X, y = SPECTOR.exog.to_numpy(), SPECTOR.endog.to_numpy().astype(int)
    tables, design = divided(X, y, parties)
    names = ("coef_", "intercept_", "standard_errors_")
    result = fitted(LogisticRegression(penalty=None, max_iter=8), tables, design, *names)
    expected = sm.Logit(y, sm.add_constant(X)).fit(disp=False, tol=1e-12)
    np.testing.assert_allclose(result["coef_"], expected.params[1:], rtol=1e-6)
    np.testing.assert_allclose(result["intercept_"], expected.params[0], rtol=1e-6)
    np.testing.assert_allclose(result["standard_errors_"], expected.bse[1:], rtol=1e-6)


def test_logistic_regression_on_thirty_columns_that_nearly_depend_on_each_other() -> None:
    X, y = CANCER.data / CANCER.data.std(0).round(3), CANCER.target
    tables, design = rows_apart(X, y, 2)
    result = fitted(LogisticRegression(), tables, design, "coef_", "intercept_", "standard_errors_")
    expected = sk.LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(X, y)
    np.testing.assert_allclose(result["coef_"], expected.coef_[0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(result["intercept_"], expected.intercept_[0], rtol=1e-6)
    p = expected.predict_proba(X)[:, 1]
    design_matrix = np.column_stack([np.ones(len(y)), X])
    hessian = design_matrix.T @ (design_matrix * (p * (1 - p))[:, None]) + np.diag([0, *np.ones(30)])
    np.testing.assert_allclose(result["standard_errors_"], np.sqrt(np.diag(np.linalg.inv(hessian)))[1:], rtol=1e-6)


@pytest.mark.parametrize("intercept", [True, False])
def test_gradient_steps_and_probabilities(intercept: bool) -> None:
    X, y = IRIS.data[50:, :2], (IRIS.target[50:] == 2).astype(int)
    tables, design = columns_apart(X, y, 2)

    def fit(data):
        columns, kind = design(data)
        model = LogisticRegression(C=0.5, solver="gradient", max_iter=25, fit_intercept=intercept).fit(columns, kind)
        return {"coef": model.coef_, "p": model.predict_proba(columns)[:4]}

    result = mpc.simulate(fit, tables)
    expected = sk.LogisticRegression(C=0.5, fit_intercept=intercept, tol=1e-12, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(result["coef"], expected.coef_[0], rtol=1e-5)
    np.testing.assert_allclose(result["p"], expected.predict_proba(X)[:4], atol=1e-5)


def test_predictions() -> None:
    X, y = LONGLEY.exog.to_numpy(), LONGLEY.endog.to_numpy()
    tables, design = rows_apart(X, y, 2)

    def predicted(data):
        columns, target = design(data)
        return LinearRegression().fit(columns, target).predict(columns)

    held = [np.column_stack([table["t"][f"x{k}"] for k in range(X.shape[1])]) for table in tables.values()]
    expected = sk.LinearRegression().fit(X, y).predict(np.concatenate(held))
    np.testing.assert_allclose(mpc.simulate(predicted, tables)["result"], expected, rtol=1e-8)


def test_predictions_for_a_column_that_its_range_holds_constant() -> None:
    rng = np.random.default_rng(1)
    tables = {
        party: {"t": {"x": rng.uniform(0, 2, 30), "y": rng.uniform(0, 5, 30)}, "new": {"x": np.full(4, 1.7)}}
        for party in PARTIES[:2]
    }

    def predicted(data):
        model = LinearRegression().fit(data.table("t")[["x"]], data.table("t")["y"])
        return {"a": model.intercept_, "b": model.coef_, "new": model.predict(data.table("new")[["x"]])}

    result = mpc.simulate(predicted, tables)
    np.testing.assert_allclose(result["new"], np.full(8, result["a"] + 1.7 * result["b"][0]), rtol=1e-8)


def test_what_cannot_be_told_is_undefined() -> None:
    x = np.linspace(-1, 1, 40)
    noise = np.random.default_rng(0).normal(size=40)
    y = (x + noise > 0).astype(int)

    def undefined(model, X, y) -> bool:
        tables, design = rows_apart(X, y, 2)
        return bool(np.all(np.ma.getmaskarray(fitted(model, tables, design, "coef_")["coef_"])))

    assert undefined(LinearRegression(), np.column_stack([x, noise, x - 2 * noise]), y)
    assert not undefined(Ridge(), np.column_stack([x, noise, x - 2 * noise]), y)
    assert undefined(LogisticRegression(penalty=None), np.column_stack([x, 3 * x]), y)
    separable = LogisticRegression(penalty=None)
    assert undefined(separable, x[:, None], (x > 0).astype(int))
    assert undefined(LogisticRegression(max_iter=2), np.column_stack([x, noise]), y)
    assert not undefined(LogisticRegression(max_iter=8), np.column_stack([x, noise]), y)


def test_a_column_that_its_range_allows_to_vary_but_does_not_is_undefined() -> None:
    tables = {party: {"t": {"x": np.full(9, 2.0), "z": np.arange(9.0), "y": np.arange(9)}} for party in PARTIES[:2]}
    ranges = {party: {"t": {"x": (0.0, 9.0)}} for party in tables}

    def fit(data):
        t = data.table("t")
        return LinearRegression().fit(t[["x", "z"]], t["y"]).coef_

    assert np.all(np.ma.getmaskarray(mpc.simulate(fit, tables, ranges)["result"]))


def test_what_is_wrong_is_said_before_anything_runs() -> None:
    tables, design = rows_apart(SPECTOR.exog.to_numpy(), SPECTOR.endog.to_numpy().astype(int), 2)
    constant = {party: {"t": held["t"] | {"x0": np.full(16, 1.0)}} for party, held in tables.items()}
    for refused, held, words in (
        (lambda data: LogisticRegression().fit(design(data)[0], design(data)[0][:, 0]).coef_, tables, "truth values"),
        (lambda data: LinearRegression().fit(*design(data)).coef_, constant, "all equal by its declared range"),
        (
            lambda data: LinearRegression().fit(design(data)[0][:3], design(data)[1][:3]).coef_,
            tables,
            "at least 5 rows",
        ),
        (lambda data: LinearRegression().fit(design(data)[1], design(data)[1]).coef_, tables, "a matrix of rows"),
        (lambda data: LinearRegression().predict(design(data)[0]), tables, "Call fit first"),
        (lambda data: Ridge(alpha=-1).fit(*design(data)).coef_, tables, "not a positive number"),
        (lambda data: LogisticRegression(solver="lbfgs"), tables, "no solver 'lbfgs'"),
        (lambda data: LogisticRegression("l1"), tables, "no penalty 'l1'"),
    ):
        with pytest.raises(mpc.ScriptError, match=words):
            mpc.simulate(refused, held)


def test_only_what_is_returned_is_revealed() -> None:
    """No plan of a fit opens anything but its results and whether they are defined."""
    tables, design = columns_apart(SPECTOR.exog.to_numpy(), SPECTOR.endog.to_numpy().astype(int), 3)
    for model in (LinearRegression(), LogisticRegression(max_iter=2)):
        computation = mpc.computation(lambda data, model=model: {"coef": model.fit(*design(data)).coef_})
        plan = computation.plan(schema_of(tables, {}))
        assert {step.params["name"]: plan.types[i].shape for i, step in plan.of("reveal")} == {
            "coef?": (),
            "coef": (3,),
        }
