"""Use and cost of care over the rows of every party that holds `visits`; no row leaves its owner."""

import mpc


@mpc.computation
def visits(data):
    v = data.table("visits")
    x = v[["age", "coinsurance", "visits"]]
    return {
        "person_years": v.count(),
        "total": v["visits"].sum(),
        "mean_age": v["age"].mean(),
        "mean_visits": v["visits"].mean(),
        "visits_squared": mpc.dot(v["visits"], v["visits"]),
        "visits_women": mpc.dot(v["visits"], v["female"]),
        "cost": (v["outpatient_cost"] + v["drug_cost"] + v["hospital_cost"]).sum(),
        "cost_index": (0.5 * v["visits"] + 4 * v["admissions"]).mean(),
        "gram": x.T @ x,
    }
