"""A clinic's and a laboratory's measurements against a registry's diagnoses: the same patients in the same order."""

import mpc


@mpc.computation
def biopsies(data):
    measurements = data.party("clinic")["measurements"]
    slides = data.party("lab")["slides"]
    malignant = data.party("registry")["diagnoses"]["malignant"]
    radius, texture = measurements["radius"], slides["texture"]
    x = mpc.concat([measurements[["radius", "perimeter"]], slides[["texture", "concavity"]]], axis=1)
    return {
        "malignant": malignant.sum(),
        "mean_area": measurements["area"].mean(),
        "mean_texture": texture.mean(),
        "radius_malignant": mpc.dot(radius, malignant),
        "radius_texture": mpc.dot(radius, texture),
        "share_malignant": malignant.mean(),
        "features_malignant": x.T @ malignant,
        "gram": mpc.stack([radius, texture]) @ mpc.stack([radius, texture]).T,
    }
