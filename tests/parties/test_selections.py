"""Medians, groups and means of selected rows on real nodes, and an agreement that does not allow them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mpc

sys.path.insert(0, str(Path(__file__).parent))
from consortium import TABLES, Running, refused

AGES = np.concatenate([TABLES[party]["visits"]["age"] for party in TABLES])
VISITS = np.concatenate([TABLES[party]["visits"]["visits"] for party in TABLES])


def selections(data: Any) -> dict[str, Any]:
    v = data.table("visits")
    frequent = v[v["visits"] >= 3]
    return {
        "median": mpc.median(v["age"]),
        "mean": frequent["age"].mean(),
        "rows": frequent.count(),
        "quantile": frequent["age"].quantile(0.9),
        "none": v[v["age"] < 0]["visits"].max(),
        "groups": v.groupby("visits", [0, 1, 99]).agg({"age": "max"})["age_max"],
        "histogram": mpc.histogram(v["visits"], [0, 4, 29]),
    }


def test_rows_are_neither_compared_nor_sorted_where_the_agreement_does_not_say_so(tmp_path: Path) -> None:
    with Running(tmp_path / "c") as running:
        running.start()
        for script in (
            lambda data: mpc.median(data.table("visits")["age"]),
            lambda data: data.party("north")["visits"]["age"].sort()[5:20].sum(),
            lambda data: data.table("visits")[data.table("visits")["visits"] >= 3]["age"].sum(),
        ):
            with refused("PLAN_REFUSED", "row_conditions"):
                running.run(script)


def test_selections_and_medians_are_those_of_the_pooled_data(tmp_path: Path) -> None:
    with Running(tmp_path / "c") as running:
        running.terms(("min_rows = 10", "min_rows = 10\nrow_conditions = true"))
        result = running.start().run(selections)
        with refused("PLAN_REFUSED", "rests on 1 of"):
            running.run(lambda data: data.table("visits")["age"].argsort())
    frequent = AGES[VISITS >= 3]
    assert result["median"] == pytest.approx(np.median(AGES), abs=1e-7)
    assert result["mean"] == pytest.approx(frequent.mean(), abs=1e-7)
    assert result["quantile"] == pytest.approx(np.quantile(frequent, 0.9), abs=1e-7)
    assert result["rows"] == len(frequent)
    assert result["none"] is mpc.UNDEFINED
    assert np.ma.getmaskarray(result["groups"]).tolist() == [False, False, True]
    oldest = [AGES[np.equal(VISITS, key)].max() for key in (0, 1)]
    assert result["groups"][:2].tolist() == pytest.approx(oldest, abs=1e-7)
    assert result["histogram"].tolist() == np.histogram(VISITS, [0, 4, 29])[0].tolist()
    simulated = mpc.simulate(mpc.computation(selections), TABLES)
    assert result.traffic.rounds == simulated.traffic.rounds
