"""t-tests, chi-square and survival on real data, against scipy and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn import datasets
from statsmodels.duration.survfunc import survdiff

import mpc

IRIS = datasets.load_iris()
HEART = sm.datasets.heart.load_pandas().data
SETOSA, VIRGINICA = (IRIS.data[IRIS.target == kind, 1] for kind in (0, 2))


@pytest.mark.parametrize("parties", [2, 3])
def test_t_tests(parties: int) -> None:
    names = ["ada", "bob", "cyd"][:parties]
    tables = {
        party: {"t": {"x": x, "y": y}}
        for party, x, y in zip(names, np.array_split(SETOSA, parties), np.array_split(VIRGINICA, parties), strict=True)
    }
    ranges = {party: {"t": {"x": (1.0, 6.0), "y": (0.0, 10.0)}} for party in names}

    def tests(data):
        x, y = data.table("t")["x"], data.table("t")["y"]
        one, two = mpc.stats.ttest_1samp(x, 3.4), mpc.stats.ttest_ind(x, y, equal_var=False)
        return {"one": one.statistic, "two": two.statistic, "df": two.df}

    result = mpc.simulate(tests, tables, ranges)
    welch = stats.ttest_ind(SETOSA, VIRGINICA, equal_var=False)
    np.testing.assert_allclose(result["one"], stats.ttest_1samp(SETOSA, 3.4).statistic, rtol=1e-8)
    np.testing.assert_allclose(result["two"], welch.statistic, rtol=1e-8)
    np.testing.assert_allclose(result["df"], welch.df, rtol=1e-7)


def test_a_sample_that_is_all_equal_has_no_t() -> None:
    tables = {party: {"t": {"x": np.full(9, 2.0)}} for party in ("ada", "bob")}
    ranges = {party: {"t": {"x": (0.0, 5.0)}} for party in tables}
    result = mpc.simulate(lambda d: mpc.stats.ttest_1samp(d.table("t")["x"], 1).statistic, tables, ranges)
    assert result["result"] is mpc.UNDEFINED


def test_chi_square() -> None:
    counts = {"ada": np.array([[30, 12, 7], [11, 25, 9]]), "bob": np.array([[14, 9, 21], [8, 17, 40]])}
    tables = {party: {"t": {f"c{i}": x for i, x in enumerate(table.T)}} for party, table in counts.items()}
    ranges = {party: {"t": {f"c{i}": (0, 100) for i in range(3)}} for party in counts}

    def chi(data):
        held = [data.party(party)["t"][["c0", "c1", "c2"]] for party in data.parties]
        return mpc.stats.chi2_contingency(held[0] + held[1]).statistic

    expected = stats.chi2_contingency(counts["ada"] + counts["bob"], correction=False)
    result = mpc.simulate(chi, tables, ranges)
    np.testing.assert_allclose(result["result"], expected.statistic, rtol=1e-6)
    empty = {party: {"t": {"c0": [3, 4], "c1": [0, 0], "c2": [5, 1]}} for party in counts}
    assert mpc.simulate(chi, empty, ranges)["result"] is mpc.UNDEFINED


def test_survival() -> None:
    months = np.ceil(HEART["survival"].to_numpy() / 30).astype(int)
    died, young = HEART["censors"].to_numpy().astype(int), (HEART["age"] < 45).to_numpy().astype(int)
    bins = range(1, 25)
    tables = {
        party: {"t": {"months": months[part], "died": died[part], "young": young[part]}}
        for party, part in (("ada", slice(0, 30)), ("bob", slice(30, None)))
    }
    ranges = {party: {"t": {"months": (0, 200), "died": (0, 1), "young": (0, 1)}} for party in tables}

    def survival(data):
        t = data.table("t")
        curve = mpc.stats.kaplan_meier(t["months"], t["died"], bins)
        test = mpc.stats.logrank(t["months"], t["died"], t["young"], range(0, 201))
        return {"curve": curve.survival, "risk": curve.at_risk, "chi": test.statistic}

    result = mpc.simulate(survival, tables, ranges)
    at_risk = np.array([(months >= t).sum() for t in bins])
    events = np.array([((months == t) & (died == 1)).sum() for t in bins])
    assert np.array_equal(result["risk"], at_risk)
    np.testing.assert_allclose(result["curve"], np.cumprod(1 - events / at_risk), atol=1e-7)
    np.testing.assert_allclose(result["chi"], survdiff(months, died, young)[0], rtol=1e-5)
