"""What is right in a scenario, and how far a design's choices are from it; each definition in words beside its figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..designs.rules import above, at_least, highest, nearest
from ..figures import OPERATING, defined

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
        """Index of the dose nearest to the target, the lower on ties, -1 for none, ``(scenarios,)``."""
        dose = nearest(truths, self.target, np.ones(truths.shape, bool))
        return np.where(above(truths[:, 0], self.target + self.margin), -1, dose)

    def highest_below(self, truths: np.ndarray) -> np.ndarray:
        """Index of the highest dose with a rate of at most the target, -1 for none, ``(scenarios,)``."""
        return highest(~above(truths, self.target))

    def acceptable(self, truths: np.ndarray) -> np.ndarray:
        """Doses whose rate lies in the interval, ``(scenarios, doses)`` bool."""
        return at_least(truths, self.interval[0]) & ~at_least(truths, self.interval[1])


def above_mtd(treated_from: np.ndarray, truths: np.ndarray, standards: Standards) -> np.ndarray:
    """Patients treated above the true MTD, (..., scenarios), from those treated at each dose or above, (..., scenarios, doses)."""
    nobody_above_the_top = np.zeros((*treated_from.shape[:-1], 1))
    return np.concatenate([treated_from, nobody_above_the_top], axis=-1)[
        ..., np.arange(len(truths)), standards.true_mtd(truths) + 1
    ]


def judged(selected: np.ndarray, truths: np.ndarray, standards: Standards) -> dict[str, np.ndarray]:
    """Probabilities that a design's choice is right or wrong in one of several ways.

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
        "overdose_selected": np.column_stack([np.zeros(len(truths), bool), above(truths, standards.overdose_limit)]),
    }
    return {name: (selected * mask).sum(axis=-1) for name, mask in chances.items()}


def definitions(standards: Standards) -> dict[str, str]:
    """Return what each operating characteristic means, with the values that it depends on."""
    low, high = (f"{end:g}" for end in standards.interval)
    target, limit, margin = (f"{value:g}" for value in (standards.target, standards.overdose_limit, standards.margin))
    too_far = f"{standards.target + standards.margin:g}"
    return defined(OPERATING, target=target, limit=limit, margin=margin, too_far=too_far, low=low, high=high)
