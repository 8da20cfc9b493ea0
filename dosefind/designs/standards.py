"""The standards by which a selection is judged: which dose is the true MTD of a scenario, and which doses are acceptable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .rules import above, at_least, highest, nearest

__all__ = ["Standards"]


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
