"""The true MTD of a scenario, and measures of a design's selections relative to it, each with its definition in words."""

from __future__ import annotations

import numpy as np

from ..designs.rules import above
from ..designs.standards import Standards
from ..figures import OPERATING, defined

__all__ = ["Standards", "above_mtd", "definitions", "judged"]


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
        "overdose_selected": np.column_stack([np.zeros(len(truths), bool), above(truths, standards.overdose_limit)]),
    }
    return {name: (selected * mask).sum(axis=-1) for name, mask in chances.items()}


def definitions(standards: Standards) -> dict[str, str]:
    """Return the definition of each operating characteristic, with the values on which it depends."""
    low, high = (f"{end:g}" for end in standards.interval)
    target, limit, margin = (f"{value:g}" for value in (standards.target, standards.overdose_limit, standards.margin))
    too_far = f"{standards.target + standards.margin:g}"
    return defined(OPERATING, target=target, limit=limit, margin=margin, too_far=too_far, low=low, high=high)
