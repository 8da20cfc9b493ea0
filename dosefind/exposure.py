"""Courses of infusions as far as they have been followed up: DLTs and exposure by interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Exposures", "Interval", "PartCourses", "intervals_of", "planned_days"]


class Interval(NamedTuple):
    """What is known of the intervals that follow the same infusions.

    Attributes
    ----------
    amounts
        Amounts of the infusions up to the one with which the interval begins, 0 for one that was not given; the same unit as the
        doses of the model.
    exposure
        Exposure without a DLT, in units of the interval: the sum over patients of the share of the interval that was followed up.
    events
        DLTs in the interval.
    until_events
        Exposure of the patients with a DLT in this interval, up to its day.
    follow_up
        Whether it is the follow-up after the intervals of the whole course, whose length is then the unit.
    """

    amounts: tuple[float, ...]
    exposure: float
    events: float = 0.0
    until_events: float = 0.0
    follow_up: bool = False


class PartCourses(NamedTuple):
    """The courses of a trial as far as they have been followed up.

    Attributes
    ----------
    intervals
        Their intervals.
    n, y
        Patients and DLTs by dose level who are included in the counts of a state. Further patients in a state are patients of whom
        only the outcome of the course is known.
    complete
        Patients by dose level who were followed up without a DLT to the end of the DLT window.
    """

    intervals: tuple[Interval, ...]
    n: tuple[int, ...]
    y: tuple[int, ...]
    complete: tuple[int, ...]


class Exposures(NamedTuple):
    """The courses of a batch of trials as far as they have been followed up, with infusions as planned, in whole days.

    Attributes
    ----------
    interval_days
        Days in the interval of each infusion, and in the follow-up after them if there is any.
    days : (states, doses, intervals) array
        Days of follow-up of patients without a DLT in the interval.
    events : (states, doses, intervals) array
        DLTs.
    until_events : (states, doses, intervals) array
        Days of follow-up of the patients with a DLT in the interval, up to its day.
    n, y, complete : (states, doses) arrays
        As in `PartCourses`.
    """

    interval_days: tuple[int, ...]
    days: np.ndarray
    events: np.ndarray
    until_events: np.ndarray
    n: np.ndarray
    y: np.ndarray
    complete: np.ndarray

    def take(self, rows: np.ndarray | slice) -> Exposures:
        """Return those of the given rows."""
        return Exposures(self.interval_days, *(values[rows] for values in self[1:]))


def planned_days(interval_days: Sequence[int], days: np.ndarray, dlt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the days of follow-up in each interval, and whether the DLT is in it, of patients with infusions as planned.

    By the same rule as `intervals_of`.

    Parameters
    ----------
    interval_days
        Days in each interval, including the follow-up after those of the infusions.
    days : (...) array
        Whole days from the first infusion to the DLT, or to the end of follow-up; at least 1 with a DLT.
    dlt : (...) bool array
        Whether there was a DLT on that day.

    Returns
    -------
    (..., intervals) array, (..., intervals) bool array
    """
    lengths = np.array(interval_days)
    starts = np.cumsum(lengths) - lengths
    within = np.clip(days[..., None] - starts, 0, lengths)
    last = np.maximum((starts < days[..., None]).sum(axis=-1), 1) - 1
    return within, dlt[..., None] & (np.arange(len(lengths)) == last[..., None])


def intervals_of(
    infusions: Sequence[tuple[float, float]], interval_days: Sequence[int], total_days: float, days: float, dlt: bool
) -> tuple[Interval, ...]:
    """Return the intervals of one patient as far as they have been followed up.

    Exposure after an infusion is the share of its interval that has passed, wherever the next infusion is. A DLT belongs to the
    latest infusion before it, planned ones that were not given included; between the end of an interval and a late infusion its
    exposure is the whole interval.

    Parameters
    ----------
    infusions
        Day after the first infusion and amount of each infusion given.
    interval_days
        Days in the interval of each infusion, as planned.
    total_days
        Days of the course and its follow-up.
    days
        Days from the first infusion to the DLT, or to the end of follow-up.
    dlt
        Whether there was a DLT on that day.
    """
    slots = _with_planned(infusions, interval_days)
    lengths = [interval_days[min(place, len(interval_days) - 1)] for place in range(len(slots))]
    ends = max(start + length for (start, _), length in zip(slots, lengths, strict=True))
    amounts = tuple(amount for _, amount in slots)
    parts = [
        (amounts[: place + 1], start, float(length), False)
        for place, ((start, _), length) in enumerate(zip(slots, lengths, strict=True))
    ]
    if total_days > ends:
        parts.append((amounts, ends, total_days - ends, True))
    begun = [part for part in parts if part[1] < days] or parts[:1]
    found = []
    for history, start, length, after in begun:
        share = min(max(days - start, 0.0), length) / length
        with_dlt = dlt and history == begun[-1][0] and after == begun[-1][3]
        found.append(Interval(history, 0.0, 1.0, share, after) if with_dlt else Interval(history, share, follow_up=after))
    return tuple(found)


def _with_planned(infusions: Sequence[tuple[float, float]], interval_days: Sequence[int]) -> list[tuple[float, float]]:
    """Return infusions with the planned ones that were not given, with amount 0.

    If fewer were given than planned, one was not given where the next is more than one and a half intervals later, or where the
    course has no further one. If all were given, those that came late were delayed.
    """
    found: list[tuple[float, float]] = []
    not_given = len(interval_days) - len(infusions)

    def length() -> int:
        return interval_days[min(len(found), len(interval_days)) - 1]

    for start, amount in infusions:
        while found and not_given > 0 and start - found[-1][0] > 1.5 * length():
            found.append((found[-1][0] + length(), 0.0))
            not_given -= 1
        found.append((start, amount))
    while len(found) < len(interval_days):
        found.append((found[-1][0] + length(), 0.0))
    return found
