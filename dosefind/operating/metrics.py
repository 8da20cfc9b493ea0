"""The true MTD of a scenario, and measures of a design's selections relative to it, each with its definition in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..designs.rules import above, at_least, highest, nearest
from .tally import DEFINITIONS

__all__ = ["Standards", "above_mtd", "definitions", "judged"]


@dataclass(frozen=True)
class Standards:
    """Standards by which selections in a scenario are judged.

    Attributes
    ----------
    target
        Target DLT rate.
    interval
        Acceptable DLT rates, including the lower end but not the upper.
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
        """Return the index of the dose closest to the target, the lower on ties, -1 for none, ``(scenarios,)``."""
        dose = nearest(truths, self.target, np.ones(truths.shape, bool))
        return np.where(above(truths[:, 0], self.target + self.margin), -1, dose)

    def highest_below(self, truths: np.ndarray) -> np.ndarray:
        """Return the index of the highest dose with a rate of at most the target, -1 for none, ``(scenarios,)``."""
        return highest(~above(truths, self.target))

    def acceptable(self, truths: np.ndarray) -> np.ndarray:
        """Return the doses whose rate is in the interval, ``(scenarios, doses)`` bool."""
        return at_least(truths, self.interval[0]) & ~at_least(truths, self.interval[1])


def above_mtd(treated_from: np.ndarray, truths: np.ndarray, standards: Standards) -> np.ndarray:
    """Return patients treated above the true MTD, (..., scenarios), from those treated at each dose or above."""
    nobody_above_the_top = np.zeros((*treated_from.shape[:-1], 1))
    return np.concatenate([treated_from, nobody_above_the_top], axis=-1)[
        ..., np.arange(len(truths)), standards.true_mtd(truths) + 1
    ]


def judged(selected: np.ndarray, truths: np.ndarray, standards: Standards) -> dict[str, np.ndarray]:
    """Return the probabilities of correct and incorrect selections.

    Parameters
    ----------
    selected : (..., scenarios, doses + 1) array
        Probability of selecting none, 1..D.
    truths : (scenarios, doses) array
        True DLT probabilities.
    standards
        Standards of the judgement.

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
    """Return the definition of each operating characteristic of a comparison, with the values used."""
    low, high = standards.interval
    t, limit = standards.target, standards.overdose_limit
    too_far = f"{t + standards.margin:g} (the target and target.mtd_margin = {standards.margin:g})"
    return {
        **DEFINITIONS,
        "p_true": "true DLT rate of the dose in this scenario",
        "true_mtd": f"dose whose true DLT rate is closest to {t:g}, the lower on ties; none if the lowest dose has a rate above "
        f"{too_far}",
        "true_mtd_by_target": "the same for another target, with its margin in proportion",
        "highest_mtd": f"highest dose whose true DLT rate is at most {t:g}, otherwise none",
        "correct": "probability that the true MTD is selected",
        "correct_highest": "probability that the alternative true MTD is selected",
        "n_acceptable": f"number of doses with a true DLT rate in [{low:g}, {high:g})",
        "acceptable": f"probability that a dose with a true DLT rate in [{low:g}, {high:g}) is selected; - if there is none",
        "under_selected": "probability that a dose below the true MTD is selected, or no dose although there is a true MTD",
        "over_selected": "probability that a dose above the true MTD is selected, or any dose although there is no true MTD",
        "above_mtd": "expected number of patients treated above the true MTD",
        "over_60": DEFINITIONS["over_60"].replace("overdose_limit", f"{limit:g}"),
        "over_80": DEFINITIONS["over_80"].replace("overdose_limit", f"{limit:g}"),
        "selected_by_target": "the same for another target, to which each design is adapted unless its own table states the target",
        "correct_by_target": "probability that the true MTD for that target is selected; missing if a design chooses by an "
        "interval that does not contain the target",
        "reference_selected": "selection of the non-parametric optimal benchmark, which knows every outcome at every dose, at the "
        f"same maximum sample size: the dose whose observed DLT rate is closest to {t:g}; of two rates equally far below and above "
        "it, "
        "such as 4 and 5 in 18 from 0.25, the lower; of doses with equal counts the highest if their rate is below the target, "
        f"otherwise the lowest; none if the lowest dose has a rate above {too_far} (a benchmark, not a bound)",
        "reference_correct": "probability that the benchmark selects the true MTD",
        "reference_correct_highest": "probability that the highest dose whose observed DLT rate is at most the target, a selection "
        "other than the one shown, is the alternative true MTD",
    }
