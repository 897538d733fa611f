"""Rows that a secret condition selects, groups and histograms: as pandas has them, at the cost that was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpc
from mpc.cost import estimate
from mpc.errors import BeaverError
from mpc.passes.resolution import level
from mpc.plan import Step
from mpc.result import Result
from mpc.schema import Column, Table
from mpc.simulate import schema_of
from mpc.values import record

RNG = np.random.default_rng(3)
ROWS = {"ada": 150, "bob": 90, "cleo": 60}


def stays(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": RNG.integers(0, 100, rows),
            "days": RNG.integers(0, 40, rows),
            "cost": RNG.lognormal(6, 1, rows).round(2),
            "time": 1e7 + RNG.random(rows) / 8,
            "ward": RNG.choice([1, 2, 4, 7, 9], rows),
            "dose": RNG.choice([0.1, 0.25, 0.7, 1.3], rows),
            "same": np.full(rows, 3.3),
            "well": RNG.integers(0, 2, rows).astype(bool),
        }
    )


TABLES = {party: {"stays": stays(rows)} for party, rows in ROWS.items()}
ALL = pd.concat([TABLES[party]["stays"] for party in ROWS], ignore_index=True)

SIDE = {"ada": {"left": stays(120)}, "bob": {"right": stays(120).add_prefix("r_")}, "cleo": {"right": stays(5)}}
BESIDE = pd.concat([SIDE["ada"]["left"], SIDE["bob"]["right"]], axis=1)
"""Columns of the same rows at two parties."""


def run(script: Callable[[Any], Any], tables: Any = TABLES) -> Result:
    """The result, checked to have cost what the plan says."""
    computation = mpc.computation(script)
    result = mpc.simulate(computation, tables)
    cost = estimate(computation.plan(schema_of(tables, {})))
    assert result.traffic.rounds == cost.rounds
    assert dict(result.traffic.bytes_sent) == dict(cost.bytes_sent)
    return result


class Beside:
    """The rows of SIDE under one roof: `t["age"]` and `t["r_age"]` are two parties'."""

    def __init__(self, data: Any) -> None:
        self.left, self.right = data.party("ada")["left"], data.party("bob")["right"]

    def __getitem__(self, key: Any) -> Any:
        return self.right[key] if isinstance(key, str) and key.startswith("r_") else self.left[key]

    def filtered(self, condition: Any, name: str) -> Any:
        return (self.right if name.startswith("r_") else self.left)[condition][name]


CONDITIONS: dict[str, Callable[[Any], Any]] = {
    "one comparison": lambda t: t["age"] > 65,
    "both": lambda t: (t["age"] > 20) & (t["cost"] <= 500),
    "either": lambda t: (t["ward"] == 4) | ~(t["days"] >= 5),
    "a boolean column": lambda t: t["well"] != 0,
    "all": lambda t: t["age"] > -1,
    "one": lambda t: (t["age"] == t["age"].max()) & (t["cost"] > 0),
}

FUNCTIONS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "count": (lambda x: x.count(), 0),
    "sum": (lambda x: x.sum(), 2.0**-22),
    "mean": (lambda x: x.mean(), 2.0**-31),
    "min": (lambda x: x.min(), 2.0**-40),
    "max": (lambda x: x.max(), 2.0**-40),
    "median": (lambda x: x.median(), 2.0**-30),
    "quantile": (lambda x: x.quantile(0.9), 2.0**-30),
}
"""And how far off they may be, as a part of the range's width."""


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_rows_of_several_parties(condition: str, function: str) -> None:
    chosen, (of, part) = CONDITIONS[condition], FUNCTIONS[function]
    names = ("days", "cost", "time", "same")

    def script(data: Any) -> dict[str, Any]:
        t = data.table("stays")
        return {name: of(t[chosen(t)][name]) for name in names}

    found = run(script)
    rows = ALL[chosen(ALL)]
    assert len(rows)
    for name in names:
        width = float(np.ptp(ALL[name]))
        assert found[name] == pytest.approx(of(rows[name]), rel=2.0**-50, abs=part * width), name


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("name", ["days", "cost", "time"])
def test_variances_and_standard_deviations(name: str, ddof: int) -> None:
    def script(data: Any) -> dict[str, Any]:
        t = data.table("stays")
        x = t[t["age"] > 65][name]
        return {"var": x.var(ddof), "std": x.std(ddof=ddof)}

    found = run(script)
    x, width = ALL[ALL["age"] > 65][name], np.ptp(ALL[name])
    assert found["var"] == pytest.approx(x.var(ddof=ddof), rel=0, abs=width**2 * 2.0**-28)
    assert found["std"] == pytest.approx(x.std(ddof=ddof), rel=1e-5)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("name", "by"), [("cost", "r_age"), ("r_cost", "age"), ("r_days", "both")])
def test_columns_of_several_parties(name: str, by: str, function: str) -> None:
    of, part = FUNCTIONS[function]

    def chosen(t: Any) -> Any:
        return (t["age"] > 30) & (t["r_age"] > 30) if by == "both" else t[by] > 65

    found = run(lambda data: of(Beside(data).filtered(chosen(Beside(data)), name)), SIDE)["result"]
    assert found == pytest.approx(of(BESIDE[chosen(BESIDE)][name]), rel=0, abs=part * float(np.ptp(BESIDE[name])))


def test_conditions_of_two_parties_select_by_bits() -> None:
    def script(data: Any) -> dict[str, Any]:
        t = Beside(data)
        both = (t["age"] > 30) & (t["r_age"] > 30)
        weights = np.arange(120)
        return {
            "public": (both * weights).sum(), "dot": both @ weights, "secret": ((t["days"] + t["r_days"]) * both).sum(),
            "secret dot": (t["days"] + t["r_days"]) @ both,
        }  # fmt: skip

    found, b = run(script, SIDE), BESIDE
    both = (b["age"] > 30) & (b["r_age"] > 30)
    assert found["public"] == found["dot"] == np.flatnonzero(both).sum()
    assert found["secret"] == found["secret dot"] == (b["days"] + b["r_days"])[both].sum()


def test_filters_of_filters_and_arithmetic_on_selected_rows() -> None:
    def script(data: Any) -> dict[str, Any]:
        t = data.table("stays")
        old = t[t["age"] > 65]
        long_ = old[old["days"] > 10]
        return {
            "nested": long_["cost"].mean(),
            "by a value": old[t["days"] > 10].count(),
            "count": long_.count(),
            "per day": (old["cost"] / 10 - 2 * old["days"]).max(),
            "share": (old["cost"] > 300).mean(),
            "negative": (-old["days"] + 100).min(),
            "also": (old["days"] > 10).sum(),
            "histogram": mpc.histogram(old["days"], [0, 10, 20, 39]),
            "wards": old.groupby("ward", [1, 2]).count(),
            "elsewhere": old.groupby("ward", [1, 2]).unlisted(),
        }

    found, old = run(script), ALL[ALL["age"] > 65]
    rows = old[old["days"] > 10]
    assert found["nested"] == pytest.approx(rows["cost"].mean(), rel=1e-8)
    assert found["by a value"] == found["count"] == found["also"] == len(rows)
    assert found["per day"] == pytest.approx((old["cost"] / 10 - 2 * old["days"]).max(), abs=1e-6)
    assert found["share"] == pytest.approx((old["cost"] > 300).mean(), abs=2.0**-31)
    assert found["negative"] == (100 - old["days"]).min()
    assert found["histogram"].tolist() == np.histogram(old["days"], [0, 10, 20, 39])[0].tolist()
    assert found["wards"].tolist() == [sum(old["ward"] == 1), sum(old["ward"] == 2)]
    assert found["elsewhere"] == sum(~old["ward"].isin([1, 2]))


def test_results_are_computed_with_further() -> None:
    def script(data: Any) -> dict[str, Any]:
        t = data.table("stays")
        x = t[t["age"] > 65]["cost"]
        return {
            "bound": x.mean() + 2 * x.std(),
            "ratio": x.std() / mpc.maximum(x.mean(), 1),
            "above": (x > 300).mean() * 100,
            "of statistics": t[t["age"] > 65]["days"].median() - t["days"].mean(),
        }

    found = run(script)
    x, days = ALL[ALL["age"] > 65]["cost"], ALL["days"]
    std = x.std(ddof=0)
    assert found["bound"] == pytest.approx(x.mean() + 2 * std, rel=1e-6)
    assert found["ratio"] == pytest.approx(std / x.mean(), rel=1e-5)
    assert found["above"] == pytest.approx((x > 300).mean() * 100, abs=1e-6)
    assert found["of statistics"] == pytest.approx(ALL[ALL["age"] > 65]["days"].median() - days.mean(), abs=1e-9)


def test_nothing_selected_is_undefined_but_for_counts_and_sums() -> None:
    def script(data: Any) -> dict[str, Any]:
        t = data.table("stays")
        none, one = t[t["age"] > 200], t[(t["age"] == t["age"].max()) & (t["cost"] > 0)]
        x = none["cost"]
        return {
            "count": x.count(), "sum": x.sum(), "mean": x.mean(), "var": x.var(), "std": x.std(), "min": x.min(),
            "max": x.max(), "median": x.median(), "quantiles": x.quantile([0, 0.3]), "more": 2 * x.mean() + 1,
            "one": one["cost"].var(ddof=len(ALL)), "rows": none.count(),
        }  # fmt: skip

    found = run(script)
    assert (found["count"], found["sum"], found["rows"]) == (0, 0, 0)
    for name in ("mean", "var", "std", "min", "max", "median", "more", "one"):
        assert found[name] is mpc.UNDEFINED, name
        assert not found[name]
    assert np.ma.getmaskarray(found["quantiles"]).tolist() == [True, True]
    assert found.to_json()["result"]["mean"] is None
    assert found.to_json()["result"]["quantiles"] == [None, None]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-50, 50), st.booleans()), min_size=2, max_size=12),
    st.fractions(0, 1, max_denominator=50),
    st.sampled_from([0, 1]),
)
def test_any_selection(rows: list[tuple[int, bool]], q: Any, ddof: int) -> None:
    x, well = np.array([value for value, _ in rows]), np.array([chosen for _, chosen in rows])
    tables = {"ada": {"t": {"x": x[:1], "w": well[:1]}}, "bob": {"t": {"x": x[1:], "w": well[1:]}}}

    def script(data: Any) -> dict[str, Any]:
        t = data.table("t")
        chosen = t[t["w"] == 1]["x"]
        return {
            "quantile": chosen.quantile(float(q)), "mean": chosen.mean(), "var": chosen.var(ddof), "max": chosen.max()
        }  # fmt: skip

    found = run(script, tables)
    chosen, width = x[well], max(np.ptp(x), 1)
    expected = {
        "quantile": chosen.size and np.quantile(chosen, float(q)),
        "mean": chosen.size and chosen.mean(),
        "var": chosen.size > ddof and chosen.var(ddof=ddof),
        "max": chosen.size and chosen.max(),
    }
    for name, value in expected.items():
        if chosen.size > (ddof if name == "var" else 0):
            assert found[name] == pytest.approx(value, rel=1e-12, abs=(width + width**2 * (name == "var")) * 2.0**-30)
        else:
            assert found[name] is mpc.UNDEFINED


AGGREGATES: list[Any] = ["count", "sum", "mean", "var", "std", "min", "max", "median"]


@pytest.mark.parametrize(
    ("key", "keys"), [("ward", [9, 1, 5, 2, 7]), ("dose", [0.7, 0.1, 9.0]), ("well", [True, False])]
)
def test_groups_are_as_pandas_has_them(key: str, keys: list[Any]) -> None:
    def script(data: Any) -> dict[str, Any]:
        groups = data.table("stays").groupby(key, keys)
        return {
            **groups.agg({"cost": AGGREGATES, "days": ["sum", "max"]}),
            "count": groups.count(), "sum": groups.sum("days"), "mean": groups.mean("cost"),
            "unlisted": groups.unlisted(),
        }  # fmt: skip

    found = run(script)
    groups = ALL.groupby(key)
    expected = groups["cost"].agg(AGGREGATES).reindex(keys)
    there = expected["mean"].notna().to_numpy()
    width = np.ptp(ALL["cost"])
    for name in AGGREGATES:
        values = found[f"cost_{name}"]
        off = width**2 * 2.0**-28 if name == "var" else width * 2.0**-16 if name == "std" else width * 2.0**-30
        np.testing.assert_allclose(
            np.ma.getdata(values)[there], expected[name][there], rtol=1e-12, atol=off, err_msg=name
        )
        if name in ("count", "sum"):
            assert not np.any(values[~there])
            assert not np.ma.is_masked(values)
        else:
            assert (np.ma.getmaskarray(values) == ~there).all()
    days = groups["days"].agg(["count", "sum", "max"]).reindex(keys)
    assert found["count"].tolist() == days["count"].fillna(0).tolist()
    assert found["sum"].tolist() == found["days_sum"].tolist() == days["sum"].fillna(0).tolist()
    assert np.ma.getdata(found["days_max"])[there].tolist() == days["max"][there].tolist()
    np.testing.assert_allclose(np.ma.getdata(found["mean"]), np.ma.getdata(found["cost_mean"]))
    assert found["unlisted"] == sum(~ALL[key].isin(keys))


def test_groups_by_another_partys_key() -> None:
    def script(data: Any) -> dict[str, Any]:
        t = Beside(data)
        wards: dict[str, Any] = t.right.groupby("r_ward", [1, 2, 4]).agg({"r_cost": "mean"})
        left = [t.left[t["r_ward"] == ward]["cost"].sum() for ward in (1, 2)]
        return {**wards, "left": mpc.stack(left)}

    found, wards = run(script, SIDE), BESIDE.groupby("r_ward")
    np.testing.assert_allclose(found["r_cost_mean"], wards["r_cost"].mean()[[1, 2, 4]], rtol=1e-8)
    np.testing.assert_allclose(found["left"], wards["cost"].sum()[[1, 2]], rtol=1e-9)


def test_many_keys_are_looked_for_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpc.groups._MOST_CONDITIONS", 700)
    keys = [1, 2, 3, 4, 7]
    found = run(lambda data: data.table("stays").groupby("ward", keys).agg({"days": ["mean", "max"]}))
    expected = ALL.groupby("ward")["days"].agg(["mean", "max"]).reindex(keys)
    assert np.ma.getmaskarray(found["days_mean"]).tolist() == expected["mean"].isna().tolist()
    np.testing.assert_allclose(found["days_mean"].compressed(), expected["mean"].dropna(), rtol=1e-8)
    assert found["days_max"].compressed().tolist() == expected["max"].dropna().tolist()


EDGES = [0, 99.9, 412.37, 1000]


def test_histograms_and_thresholds_count_values_on_the_edge_as_numpy_does() -> None:
    on_edge = {
        p: {"t": {"x": np.array([99.9, 0.0, 412.37, top, 1000.0, 1e-3])}} for p, top in (("ada", 1000.0), ("bob", 5e4))
    }
    x = np.concatenate([on_edge[party]["t"]["x"] for party in on_edge])

    def script(data: Any) -> dict[str, Any]:
        t = data.table("t")["x"]
        opposite = data.party("ada")["t"]["x"], data.party("bob")["t"]["x"]
        return {
            "counts": mpc.histogram(t, EDGES), "numpy's": np.histogram(t, EDGES)[0],
            "below": (t < 99.9).sum(), "up to": (t <= 99.9).sum(), "at": (t == 412.37).sum(),
            "as negatives": (-t > -99.9).sum(), "of a part": (t[3:9] >= 99.9).sum(),
            "equal to the other's": (opposite[0] == opposite[1]).sum(),
        }  # fmt: skip

    found = run(script, on_edge)
    assert found["counts"].tolist() == found["numpy's"].tolist() == np.histogram(x, EDGES)[0].tolist()
    assert (found["below"], found["up to"], found["at"]) == (sum(x < 99.9), sum(x <= 99.9), sum(x == 412.37))
    assert (found["as negatives"], found["of a part"]) == (sum(x < 99.9), sum(x[3:9] >= 99.9))
    assert found["equal to the other's"] == 5


def test_numbers_smaller_than_the_last_digit_of_a_column_are_compared_with() -> None:
    tables = {"ada": {"t": {"x": np.array([0.1, 100.0])}}, "bob": {"t": {"x": np.array([0.1, 0.1])}}}

    def script(data: Any) -> dict[str, Any]:
        x = data.table("t")["x"]
        counts = mpc.histogram(x, [0, 1e-9, 1, 1000])
        return {"below": x < 1e-9, "other": x != 1e-9, "from": x >= 1e-30, "counts": counts}

    found = run(script, tables)
    assert (found["below"].any(), found["other"].all(), found["from"].all()) == (False, True, True)
    assert found["counts"].tolist() == [0, 3, 1]


def test_what_is_undefined_stays_so_where_it_is_spread_over_more_axes() -> None:
    tables = {party: {"t": {"k": np.array([3, 2]), "x": np.array([1.0, 2.0])}} for party in ("ada", "bob")}

    def script(data: Any) -> dict[str, Any]:
        means = data.table("t").groupby("k", [3, 9]).mean("x")
        spread = means + np.zeros((3, 2))
        return {"all": spread, "row": spread[1], "flat": spread.reshape(6), "outer": means[:, None] + means}

    found = run(script, tables)
    for name, shape, defined in (("all", (3, 2), 3), ("row", (2,), 1), ("flat", (6,), 3), ("outer", (2, 2), 1)):
        assert found[name].shape == found[name].mask.shape == shape
        assert np.allclose(found[name].compressed(), [1 + (name == "outer")] * defined, rtol=1e-8)


@pytest.mark.parametrize("value", [2.5, 0.1, -1e6 - 0.1, 3])
def test_selected_rows_of_a_column_that_its_range_holds_constant(value: float) -> None:
    tables = {party: {"t": {"g": np.array([1, 1, 2] * 20), "x": np.array([value] * 60)}} for party in ("ada", "bob")}

    def script(data: Any) -> dict[str, Any]:
        t = data.table("t")
        x = t[t["g"] == 1]["x"]
        groups = t.groupby("g", [1, 3]).agg({"x": ["mean", "std"]})
        return {"mean": x.mean(), "var": x.var(), "std": x.std(ddof=1), "moved": (x + 0.1).var(), **groups}

    found = run(script, tables)
    assert found["mean"] == pytest.approx(value, rel=1e-12)
    assert [found[name] for name in ("var", "std", "moved")] == [0, 0, 0]
    assert found["x_mean"].compressed().tolist() == [found["mean"]]
    assert found["x_std"].compressed().tolist() == [0]


def test_the_scale_that_numbers_are_compared_at() -> None:
    def column(scale: int) -> Step:
        return Step("column", (), {"scale": scale, "low": -2.0, "high": 1.0})

    def constant(values: float | list[float], scale: int) -> Step:
        data = np.asarray(values, np.float64)
        return Step("constant", (), {"shape": list(data.shape), "kind": "real", "data": data.tobytes(), "scale": scale})

    assert level([column(45), constant(0.1, 55)]) == 45
    assert level([column(45), column(43), constant(0.1, 55)]) == 43
    assert level([column(45), constant(0.5, 1)]) == 45
    assert level([column(52), constant(1.3, 51)]) == 51
    assert level([column(52), constant(1.3, 30)]) == 30
    assert level([column(52), constant(1e9 + 0.1, 22)]) == 52
    assert level([column(52), constant([0.3, 9.1], 48)]) == 48
    assert level([constant(0.1, 55)]) is None


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no condition": (lambda t: t[t["age"]]["days"].sum(), "not one truth value a row"),
    "a condition on a sum": (lambda t: t[t["age"].sum() > 3].count(), "not one truth value a row"),
    "two filters": (lambda t: (t[t["age"] > 3]["days"] + t[t["age"] > 4]["days"]).sum(), "two different filters"),
    "another filter's rows": (lambda t: t[t["age"] > 3][t[t["age"] > 4]["days"] > 1].count(), "two different filters"),
    "a matrix of selected rows": (lambda t: t[t["age"] > 3][["age", "days"]].mean(), "one column after the other"),
    "a filter that is no condition": (lambda t: t[t["age"] > 3][t["days"]].count(), "takes truth values"),
    "an unknown column": (lambda t: t[t["age"] > 3]["dais"].mean(), "Did you mean 'days'"),
    "no keys": (lambda t: t.groupby("ward", []).count(), "not a list of different numbers"),
    "a key twice": (lambda t: t.groupby("ward", [1, 2, 1]).count(), "not a list of different numbers"),
    "keys in words": (lambda t: t.groupby("ward", ["a", "b"]).count(), "not a list of different numbers"),
    "an unknown aggregate": (lambda t: t.groupby("ward", [1]).agg({"days": "mode"})["days_mode"], "no aggregate"),
    "bins that fall": (lambda t: mpc.histogram(t["age"], [3, 2]), "increasing edges"),
    "one edge": (lambda t: mpc.histogram(t["age"], [3]), "increasing edges"),
    "a quantile beyond": (lambda t: t[t["age"] > 3]["days"].quantile(-0.1), "a quantile at -0.1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_selects_nothing_that_makes_sense_is_refused(case: str) -> None:
    script, said = REFUSED[case]
    with pytest.raises(BeaverError, match=said):
        mpc.simulate(mpc.computation(lambda data: script(data.table("stays"))), TABLES)


@pytest.mark.parametrize("precision", [12, 25, 40])
def test_a_ratio_is_brought_into_its_range(precision: int) -> None:
    x, y = np.array([-900, -6, 0, 5, 7, 900]), np.array([1, 3, 4, 7, 2, 9])
    tables = {"ada": {"t": {"x": x, "y": y}}, "bob": {"t": {"x": x, "y": y}}}
    params = {"scale": 0, "precision": precision, "low": -2.5, "high": 1.0}

    def script(data: Any) -> dict[str, Any]:
        ada, bob = data.party("ada")["t"], data.party("bob")["t"]
        return {
            "shared": record("ratio", ada["x"] + bob["x"], ada["y"] + bob["y"], **params),
            "owned": record("ratio", ada["x"], ada["y"], **params),
        }

    found = run(script, tables)
    for name in found:
        np.testing.assert_allclose(found[name], np.clip(x / y, -2.5, 1), rtol=0, atol=2.5 * 2.0**-precision)
        assert found[name][0] == -2.5
        assert found[name][-1] == 1
    for low, high in ((1.0, 1.0), (2.0, 1.0), (0.0, np.inf), (np.nan, 1.0)):
        with pytest.raises(BeaverError, match="is no range"):
            run(_ratio(low, high), tables)


def _ratio(low: float, high: float) -> Callable[[Any], Any]:
    def script(data: Any) -> Any:
        t = data.table("t")
        return record("ratio", t["x"].sum(), t["y"].sum(), scale=0, precision=20, low=low, high=high)

    return script


def test_selections_of_many_rows_can_be_planned() -> None:
    def script(data: Any) -> dict[str, Any]:
        t = data.table("t")
        chosen = t[t["k"] > 3]["x"]
        return {"mean": chosen.mean(), "std": chosen.std(ddof=1), "groups": t.groupby("k", [1, 2]).mean("x")}

    for rows in (10, 10**4, 10**6, 1 << 24):
        columns = {"x": Column("real", -1e5, 1e5), "k": Column("integer", 0, 9)}
        mpc.computation(script).plan({party: {"t": Table(rows, columns)} for party in ("ada", "bob")})
