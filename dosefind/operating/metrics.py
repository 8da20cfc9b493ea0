"""What is right in a scenario, and how far a design's choices are from it; each definition in words beside its figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..designs.rules import above, at_least, highest, nearest
from .tally import DEFINITIONS

__all__ = ["Standards", "above_mtd", "definitions", "judged"]


@dataclass(frozen=True)
class Standards:
    """By what a scenario is judged.

    Attributes
    ----------
    target
        Target DLT rate.
    interval
        Acceptable DLT rates, the lower end included, the upper not.
    margin
        There is no MTD if the lowest dose exceeds the target by more than this.
    overdose_limit
        A dose with a DLT rate above it is an overdose.
    """

    target: float
    interval: tuple[float, float]
    margin: float
    overdose_limit: float

    def true_mtd(self, truths: np.ndarray) -> np.ndarray:
        """Return index of the dose nearest to the target, the lower on ties, -1 for none, ``(scenarios,)``."""
        dose = nearest(truths, self.target, np.ones(truths.shape, bool))
        return np.where(above(truths[:, 0], self.target + self.margin), -1, dose)

    def highest_below(self, truths: np.ndarray) -> np.ndarray:
        """Return index of the highest dose with a rate of at most the target, -1 for none, ``(scenarios,)``."""
        return highest(~above(truths, self.target))

    def acceptable(self, truths: np.ndarray) -> np.ndarray:
        """Return doses whose rate lies in the interval, ``(scenarios, doses)`` bool."""
        return at_least(truths, self.interval[0]) & ~at_least(truths, self.interval[1])


def above_mtd(treated_from: np.ndarray, truths: np.ndarray, standards: Standards) -> np.ndarray:
    """Return patients treated above the true MTD, (..., scenarios), from those treated at each dose or above, (..., scenarios, doses)."""
    nobody_above_the_top = np.zeros((*treated_from.shape[:-1], 1))
    return np.concatenate([treated_from, nobody_above_the_top], axis=-1)[
        ..., np.arange(len(truths)), standards.true_mtd(truths) + 1
    ]


def judged(selected: np.ndarray, truths: np.ndarray, standards: Standards) -> dict[str, np.ndarray]:
    """Return probabilities that a design's choice is right or wrong in one of several ways.

    Parameters
    ----------
    selected : (..., scenarios, doses + 1) array
        Probability of choosing none, 1..D.
    truths : (scenarios, doses) array
        True DLT probabilities.
    standards
        What is judged by.

    Returns
    -------
    dict
        Arrays (..., scenarios), named as in `definitions`.
    """
    index = np.arange(-1, truths.shape[1])
    mtd = standards.true_mtd(truths)[:, None]
    chances = {
        "correct": index == mtd,
        "correct_highest": index == standards.highest_below(truths)[:, None],
        "acceptable": np.column_stack([np.zeros(len(truths), bool), standards.acceptable(truths)]),
        "under_selected": index < mtd,
        "over_selected": index > mtd,
    }
    return {name: (selected * mask).sum(axis=-1) for name, mask in chances.items()}


def definitions(standards: Standards) -> dict[str, str]:
    """Return what each figure of a comparison means, with the values that it was worked out with."""
    low, high = standards.interval
    t, limit = standards.target, standards.overdose_limit
    too_far = f"{t + standards.margin:g} (the target and target.mtd_margin = {standards.margin:g})"
    return {
        **DEFINITIONS,
        "p_true": "true DLT rate of the dose in this scenario",
        "true_mtd": f"dose whose true DLT rate is nearest to {t:g}, the lower on ties; none if the lowest dose has a rate above "
        f"{too_far}",
        "true_mtd_by_target": "the same for another target, with the margin above it in proportion",
        "highest_mtd": f"highest dose whose true DLT rate is at most {t:g}, else none",
        "correct": "probability that the true MTD is named",
        "correct_highest": "probability that the alternative true MTD is named",
        "n_acceptable": f"number of doses with a true DLT rate in [{low:g}, {high:g})",
        "acceptable": f"probability that a dose with a true DLT rate in [{low:g}, {high:g}) is named; - where there is none",
        "under_selected": "probability that a dose below the true MTD is named, or none where there is one",
        "over_selected": "probability that a dose above the true MTD is named, or any where there is none",
        "above_mtd": "expected number of patients treated above the true MTD",
        "over_60": DEFINITIONS["over_60"].replace("overdose_limit", f"{limit:g}"),
        "over_80": DEFINITIONS["over_80"].replace("overdose_limit", f"{limit:g}"),
        "selected_by_target": "selected, each design made anew for another target as far as its own table leaves that open",
        "correct_by_target": "probability that the true MTD for that target is named; missing where a design chooses by an "
        "interval that does not contain the target",
        "reference_selected": "choice with every patient's outcome known at every dose, at the same largest sample: the dose whose "
        f"share of DLTs is nearest to {t:g}; of two shares as far below it as above, such as 4 and 5 in 18 from 0.25, the "
        "lower; of doses with equal counts the highest where their share is below the target, else the lowest; none if the lowest "
        f"dose has a share above {too_far} (a reference, not a bound)",
        "reference_correct": "probability that the reference names the true MTD",
        "reference_correct_highest": "probability that the highest dose whose share of DLTs is at most the target, a choice "
        "other than the one shown, is the alternative true MTD",
    }
