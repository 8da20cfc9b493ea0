"""Who may start when: the protocol's rules on starts, for a batch of trials.

The earliest start of a patient at a dose is a pure function of the starts so far, the days on which outcomes become known, and the
level. The conduct of a real trial (a batch of one, days counted from any date) and simulated calendars use the same function.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .protocol import Treatment
from .timing import NEVER

__all__ = ["NO_WAIT", "Started", "Until", "staggered", "until"]

NO_WAIT = -NEVER
"""Stands for no reason to wait: before every day."""


class Started(NamedTuple):
    """Patients who have started, in the order of their starts; each array has the shape (patients, trials).

    Attributes
    ----------
    level
        Dose level from 1; 0 for a dose that is not in the protocol, -1 for no patient.
    near
        Level whose staggering interval counts from this patient: the patient's own, or the next level up from a dose that is not in
        the protocol.
    start
        Day of the first infusion.
    closes
        Day on which the DLT assessment period ends; `NEVER` if no date can be stated.
    awaited
        Whether the outcome is awaited.
    joins
        Whether the patient belongs to the cohort that the next patient joins, so that this outcome does not delay the start.
    """

    level: np.ndarray
    near: np.ndarray
    start: np.ndarray
    closes: np.ndarray
    awaited: np.ndarray
    joins: np.ndarray


class Until(NamedTuple):
    """Days until which a start must wait because of each patient, (patients, trials); `NO_WAIT` where a patient is no reason.

    Attributes
    ----------
    window
        Day on which the outcome of the patient is known.
    stagger
        End of the staggering interval after the patient.
    """

    window: np.ndarray
    stagger: np.ndarray

    @property
    def day(self) -> np.ndarray:
        """Return the earliest day on which each trial's next patient may start, (trials,); `NO_WAIT` without any reason to wait."""
        return np.maximum(self.window, self.stagger).max(axis=0, initial=NO_WAIT)


def staggered(treatment: Treatment, level: np.ndarray) -> np.ndarray:
    """Return the levels (from 1) at which patients are staggered."""
    stagger = treatment.stagger
    if stagger is None:
        return np.zeros(np.shape(level), bool)
    return np.ones(np.shape(level), bool) if stagger.levels == "all" else np.isin(level, stagger.levels)


def until(started: Started, level: np.ndarray, treatment: Treatment) -> Until:
    """Return the days until which the next patient at a level must wait, patient by patient.

    Parameters
    ----------
    started
        The patients who have started.
    level : (trials,) integer array
        Dose level from 1 of the next patient.
    treatment
        The protocol's rules: sequential dose groups, staggering interval.

    Returns
    -------
    Until
        A cohort waits for the outcomes of earlier patients at its level; with sequential dose groups also for those at every other
        dose, above and below. A dose that is not in the protocol counts as the next level up. A patient at a staggered level waits
        for the last patient there, or only for the first, and for the last patient at a dose that is not in the protocol.
    """
    near = started.near == level
    waits = started.awaited & ~started.joins & (started.level >= 0)
    if not treatment.no_overlap:
        waits &= near
    window = np.where(waits, started.closes, NO_WAIT)
    stagger = treatment.stagger
    if stagger is None or not len(near):
        return Until(window, np.full(window.shape, NO_WAIT))
    near &= staggered(treatment, level)
    own, outside = near & (started.level == level), near & (started.level == 0)
    counts = _last(own) if stagger.patients == "every" else own & (np.cumsum(own, axis=0) == 1)
    if outside.any():
        counts |= _last(outside)
    return Until(window, np.where(counts, started.start + stagger.days, NO_WAIT))


def _last(found: np.ndarray) -> np.ndarray:
    """Return the last true entry of each column."""
    last = len(found) - 1 - np.argmax(found[::-1], axis=0)
    return found & (np.arange(len(found))[:, None] == last)
