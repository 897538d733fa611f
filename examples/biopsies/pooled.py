"""What `biopsies.py` computes, in numpy with all columns in one place: what nobody could do in reality."""

import numpy as np


def pooled(tables):
    """The same results by name from party -> table -> column -> numpy vector."""
    measurements, slides = tables["clinic"]["measurements"], tables["lab"]["slides"]
    malignant = tables["registry"]["diagnoses"]["malignant"]
    radius, texture = measurements["radius"], slides["texture"]
    x = np.stack([radius, measurements["perimeter"], texture, slides["concavity"]], axis=1)
    return {
        "malignant": malignant.sum(),
        "mean_area": measurements["area"].mean(),
        "mean_texture": texture.mean(),
        "radius_malignant": np.dot(radius, malignant),
        "radius_texture": np.dot(radius, texture),
        "share_malignant": malignant.mean(),
        "features_malignant": x.T @ malignant,
        "gram": np.stack([radius, texture]) @ np.stack([radius, texture]).T,
    }
