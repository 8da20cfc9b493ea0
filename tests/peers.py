"""Reference values under tests/reference, each file with its source on its first line or under "source"."""

import json
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent / "reference"
ROOT = Path(__file__).parents[1]

SCENARIOS = {
    "s3_a": (0.05, 0.15, 0.30),
    "s3_b": (0.02, 0.05, 0.10),
    "s3_d": (0.30, 0.45, 0.60),
    "s5_a": (0.05, 0.15, 0.30, 0.45, 0.60),
    "s5_b": (0.30, 0.45, 0.55, 0.65, 0.75),
    "s5_c": (0.10, 0.30, 0.45, 0.60, 0.70),
    "s5_d": (0.02, 0.05, 0.12, 0.30, 0.45),
}


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(FOLDER / f"{name}.csv", comment="#")


def published(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text())


def numbers(text) -> tuple[float, ...]:
    """A cell such as "3;0;1"."""
    return tuple(float(part) for part in str(text).split(";"))


def worst_difference(oc, rows: pd.DataFrame) -> float:
    """Largest difference of selection, patients and DLTs from the rows of one design and scenario, dose 0 standing for none."""
    rows = rows.sort_values("dose")
    pairs = [
        (oc.selected.values[0], rows.prob_select.values),
        (oc.patients.values[0], rows.exp_n.values[1:]),
        (oc.dlts.values[0], rows.exp_tox.values[1:]),
    ]
    return max(abs(ours - theirs).max() for ours, theirs in pairs)
