"""Who may start when: the protocol's rules on starts, for a batch of trials.

The earliest start of a patient at a dose is a pure function of the starts so far, the days on which outcomes become known, and the
level; gates hold back escalation by designs that decide with pending outcomes. The conduct of a real trial (a batch of one, days
counted from any date) and simulated calendars use the same functions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .protocol import Treatment
from .timing import NEVER, Gates

__all__ = ["NO_WAIT", "Gated", "Started", "Until", "gated", "staggered", "until"]

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


class Gated(NamedTuple):
    """Days until which each gate holds back a start, (trials,): `NO_WAIT` where it does not apply, `NEVER` where only an outcome
    lifts it. The fields have the names of the settings in `dosefind.timing.Gates`.
    """

    complete: np.ndarray
    each_pending: np.ndarray
    one_followed: np.ndarray
    infused: np.ndarray
    suspend_pending: np.ndarray

    @property
    def day(self) -> np.ndarray:
        """Return the earliest day on which every gate allows the start, (trials,)."""
        return np.max(self, axis=0)


def gated(
    level: np.ndarray,
    start: np.ndarray,
    known: np.ndarray,
    pending: np.ndarray,
    latest: np.ndarray,
    wanted: np.ndarray,
    *,
    gates: Gates,
    window: int,
    infused: np.ndarray | None = None,
) -> Gated:
    """Return the days until which the gates hold back the next patient at a level.

    Parameters
    ----------
    level, start : (patients, trials) integer arrays
        Dose level from 1 of each patient, -1 for no patient; day of the first infusion, `NEVER` for no patient.
    known, pending : (patients, trials) bool arrays
        Whether the outcome is known and evaluable; whether it is awaited.
    latest, wanted : (trials,) integer arrays
        Dose level of the latest patient, -1 before the first; level of the next patient.
    gates, window
        The gates, and the days in the DLT assessment period.
    infused : (patients, trials) integer array
        Day on which each patient has had the infusion of ``gates.infused``, or will have it; `NEVER` for a patient who will not.
    """
    here = level > 0
    at = here & (level == latest)
    pending, known = at & pending, (at & known).sum(axis=0)
    # Also to a dose that was tried before: what is pending at the current dose has become no better known since.
    up = (wanted > latest) & here.any(axis=0)
    nothing = np.full(len(wanted), NO_WAIT)
    complete = each_pending = one_followed = infusion = suspend_pending = nothing
    if gates.complete is not None:
        complete = np.where(up & (known < gates.complete) & pending.any(axis=0), NEVER, NO_WAIT)
    if (followed := gates.days_each_pending(window)) is not None:
        reached = np.minimum(start, NEVER) + followed
        each_pending = np.where(up, np.where(pending, reached, NO_WAIT).max(axis=0, initial=NO_WAIT), NO_WAIT)
    if gates.one_followed is not None:
        first = np.where(here & (level >= latest), start, NEVER).min(axis=0, initial=NEVER)
        one_followed = np.where(up, first + gates.one_followed, NO_WAIT)
    if gates.infused is not None and infused is not None:
        there = np.sort(np.where(at, infused, NEVER), axis=0)
        # The first so many patients; without them it is an outcome that lifts the gate, if one is pending.
        last = there[gates.infused.patients - 1] if len(there) >= gates.infused.patients else np.full(len(wanted), NEVER)
        infusion = np.where(up & ((last < NEVER) | pending.any(axis=0)), last, NO_WAIT)
    if gates.suspend_pending is not None:
        waiting = pending.sum(axis=0)
        suspend_pending = np.where(waiting > gates.suspend_pending * (known + waiting), NEVER, NO_WAIT)
    return Gated(complete, each_pending, one_followed, infusion, suspend_pending)


def _last(found: np.ndarray) -> np.ndarray:
    """Return the last true entry of each column."""
    last = len(found) - 1 - np.argmax(found[::-1], axis=0)
    return found & (np.arange(len(found))[:, None] == last)
