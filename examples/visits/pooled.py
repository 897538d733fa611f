"""What `visits.py` computes, in numpy over all rows in one place: what nobody could do in reality."""

import numpy as np


def pooled(tables):
    """The same results by name from party -> table -> column -> numpy vector."""
    held = [tables[party]["visits"] for party in tables]
    v = {name: np.concatenate([table[name] for table in held]) for name in held[0]}
    x = np.stack([v["age"], v["coinsurance"], v["visits"]], axis=1)
    return {
        "person_years": len(v["visits"]),
        "total": v["visits"].sum(),
        "mean_age": v["age"].mean(),
        "mean_visits": v["visits"].mean(),
        "visits_squared": np.dot(v["visits"], v["visits"]),
        "visits_women": np.dot(v["visits"], v["female"]),
        "cost": (v["outpatient_cost"] + v["drug_cost"] + v["hospital_cost"]).sum(),
        "cost_index": (0.5 * v["visits"] + 4 * v["admissions"]).mean(),
        "gram": x.T @ x,
    }
