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
from ..exposure import Exposures, Interval
from ..models import Hazard, Observed

__all__ = ["AsPlanned", "Courses", "as_planned"]


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


@dataclass(frozen=True)
class AsPlanned:
    """Courses with infusions as planned, of many trials at once: their numbers are linear in days and DLTs by dose and interval.

    Attributes
    ----------
    extended
        The model with the hazards of the intervals; the same as that of `Courses` for these.
    per_day, per_event, per_day_until_event : (2, doses * intervals, hazards + doses) arrays
        What a day without a DLT, a DLT, and a day of a patient with a DLT add to ``n`` and ``y`` of the likelihood.
    """

    extended: Observed
    per_day: np.ndarray
    per_event: np.ndarray
    per_day_until_event: np.ndarray

    def counts(self, exposure: Exposures, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of `Courses.counts`, from counts by level ``(states, levels)``."""
        terms = (exposure.days, self.per_day), (exposure.events, self.per_event), (exposure.until_events, self.per_day_until_event)
        found = sum((values.reshape(len(n), -1) @ of_each for values, of_each in terms), np.zeros((2, 1, 1)))
        levels = n.shape[1]
        found[0, :, -levels:] += n - exposure.n
        found[1, :, -levels:] += y - exposure.y
        return found[0], found[1]


@lru_cache(maxsize=16)
def as_planned(curve: Hazard, interval_days: tuple[int, ...]) -> AsPlanned:
    """Return the numbers of courses with infusions as planned.

    Parameters
    ----------
    curve
        The hazard, whose doses are those of the levels.
    interval_days
        Days in the interval of each infusion, and in the follow-up after them if there is any.
    """
    own = (*curve.interval_days, *((curve.follow_up_days,) if curve.follow_up_days else ()))
    if tuple(interval_days) != own:
        raise InputError(Problem("interval_days", list(interval_days), f"must be those of the design: {list(own)}"))
    infusions = len(curve.interval_days)
    planned = [
        Interval((dose,) * min(place + 1, infusions), 0.0, follow_up=place == infusions)
        for dose in curve.doses
        for place in range(len(own))
    ]
    extended, none_n, none_y = curve.observing(planned)
    none = np.array([none_n, none_y])

    def each(**numbers: float) -> np.ndarray:
        added = [[*planned[:at], interval._replace(**numbers), *planned[at + 1 :]] for at, interval in enumerate(planned)]
        return np.array([curve.observing(intervals)[1:] for intervals in added]).transpose(1, 0, 2) - none[:, None]

    lengths = np.tile(own, len(curve.doses))[:, None]
    event = each(events=1.0)
    return AsPlanned(extended, each(exposure=1.0) / lengths, event, (each(events=1.0, until_events=1.0) - event) / lengths)
