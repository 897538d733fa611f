"""Writes the examples' CSV files again from the packages that ship the data: statsmodels and scikit-learn.

`python examples/prepare.py [FOLDER]` writes FOLDER/<example>/data/<party>/<table>.csv, byte for byte what this folder
holds; FOLDER is this folder unless given.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["biopsies", "main", "visits"]

SITES = {"north": {"3", "4"}, "south": {"5", "6"}, "west": {"1", "2"}}
"""party -> the study's site codes whose rows it holds; a person lives at one site."""

VISITS = {
    "year": "year",
    "age": "xage",
    "female": "female",
    "family_size": "num",
    "income": "income",
    "coinsurance": "coins",
    "chronic": "disea",
    "mental_health": "mhi",
    "visits": "mdvis",
    "admissions": "totadm",
    "outpatient_cost": "outpdol",
    "drug_cost": "drugdol",
    "hospital_cost": "inpdol",
}
"""column here -> column in the study's file."""

BIOPSIES = {
    ("clinic", "measurements"): {"radius": "mean radius", "perimeter": "mean perimeter", "area": "mean area"},
    ("lab", "slides"): {
        "texture": "mean texture",
        "smoothness": "mean smoothness",
        "concavity": "mean concavity",
        "symmetry": "mean symmetry",
    },
}
"""(party, table) -> column here -> scikit-learn's feature name; the registry's diagnoses come from the target."""


def visits(folder: Path) -> None:
    """The RAND Health Insurance Experiment: a row a person and year, divided by site; numbers as published."""
    from statsmodels.datasets import randhie

    source = Path(randhie.__file__).parent / "src" / "randhie.csv"
    if not source.exists():
        raise SystemExit(
            f"{source} is not there: only statsmodels 0.15 and later ship it\n  pip install 'statsmodels>=0.15'"
        )
    with source.open(newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    for party, sites in SITES.items():
        held = ([row[name] for name in VISITS.values()] for row in rows if row["site"] in sites)
        _write(folder / "visits" / "data" / party / "visits.csv", list(VISITS), held)


def biopsies(folder: Path) -> None:
    """Wisconsin diagnostic breast cancer: 569 patients in the same order at every party, its columns divided."""
    from sklearn.datasets import load_breast_cancer

    frame = load_breast_cancer(as_frame=True).frame
    data = folder / "biopsies" / "data"
    for (party, table), columns in BIOPSIES.items():
        _write(data / party / f"{table}.csv", list(columns), frame[list(columns.values())].to_numpy().tolist())
    malignant = [[1 - benign] for benign in frame["target"].tolist()]
    _write(data / "registry" / "diagnoses.csv", ["malignant"], malignant)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main(arguments: Sequence[str]) -> None:
    """Writes both examples' data below the folder named, or below this one."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    visits(folder)
    biopsies(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
