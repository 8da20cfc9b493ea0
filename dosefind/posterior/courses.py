"""Posteriors of a hazard per infusion that use courses of treatment as far as they have been followed up.

Elsewhere patients are counted once their course is complete. The likelihood of a part of a course is that of its intervals: they
are the data of a curve with the same parameters and prior and the hazards of the intervals (`Observed`). An ordinary engine gives
the posterior, and the DLT probabilities of the levels are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .._check import InputError, Problem
from ..exposure import Interval
from ..models import Hazard, Observed

__all__ = ["Courses"]


@dataclass(frozen=True)
class Courses:
    """Courses of a trial as far as they have been followed up, under a hazard per infusion.

    Attributes
    ----------
    curve
        The hazard, whose doses are those of the levels.
    intervals
        The intervals of the courses, see `Hazard.observing`.
    n, y
        Patients and DLTs by level in these intervals. Counts above them are of patients of whom only the outcome of the course is
        known.
    """

    curve: Hazard
    intervals: tuple[Interval, ...]
    n: tuple[int, ...] = ()
    y: tuple[int, ...] = ()

    @property
    def extended(self) -> Observed:
        """Return the same model with the hazards of the intervals."""
        return self._observed[0]

    @property
    def _observed(self) -> tuple[Observed, np.ndarray, np.ndarray]:
        # Frozen settings are hashable, which pyright does not see.
        return _observing(self.curve, self.intervals)  # type: ignore[arg-type]

    def counts(self, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return exposure and DLTs by interval, then further patients and DLTs by level, from counts by level ``(..., levels)``.

        Raises
        ------
        InputError
            If the counts do not include the patients of the intervals.
        """
        if not self.includes(n, y).all():
            allowed = "must include the patients and DLTs of the intervals"
            raise InputError(Problem("n, y", [np.asarray(n).tolist(), np.asarray(y).tolist()], allowed))
        _, exposed, events = self._observed
        levels, found = np.shape(n)[-1], []
        for whole, own, counted in ((exposed, self.n, n), (events, self.y, y)):
            each = np.broadcast_to(whole, (*np.shape(n)[:-1], len(whole))).copy()
            each[..., -levels:] += np.asarray(counted) - (own or 0)
            found.append(each)
        return found[0], found[1]

    def includes(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return whether counts by level ``(..., levels)`` include the patients, ``(...)``."""
        further, dlts = np.asarray(n) - (self.n or 0), np.asarray(y) - (self.y or 0)
        return ((dlts >= 0) & (further >= dlts)).all(axis=-1)


@lru_cache(maxsize=1024)
def _observing(curve: Hazard, intervals: tuple[Interval, ...]) -> tuple[Observed, np.ndarray, np.ndarray]:
    """Return the likelihood of intervals and the numbers that multiply its terms, because ways in which outcomes come out share
    their courses.
    """
    return curve.observing(intervals)
