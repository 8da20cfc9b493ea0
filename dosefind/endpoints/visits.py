"""Visits of a schedule: which record is analysed at which visit, and which record is the baseline.

Day 1 is the day of the first infusion; there is no day 0, so the day before is day -1. A record taken on the day of an infusion is
before it only if its time point says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from .._check import InputError, Problem, one_of

__all__ = ["Record", "Visit", "assign", "baseline", "midpoint_windows"]

TimePoint = Literal["", "pre", "post"]


class Record(NamedTuple):
    """A measurement: study day, value, and whether it was taken before or after an infusion on that day.

    Attributes
    ----------
    day
        Study day; 1 for the day of the first infusion, -1 for the day before.
    value
        The value.
    time_point
        "pre" or "post" infusion; empty if it is not stated.
    """

    day: int
    value: float
    time_point: TimePoint = ""


class Visit(NamedTuple):
    """A visit of the schedule with its window of study days, both ends included."""

    name: str
    target: int
    first: int
    last: int


def midpoint_windows(targets: Mapping[str, int], first: int, last: int) -> tuple[Visit, ...]:
    """Return windows that meet in the middle between targets; a middle day itself belongs to the earlier visit.

    Parameters
    ----------
    targets
        Study day of each visit by name, rising.
    first, last
        Earliest day of the first and latest day of the last window.

    Examples
    --------
    >>> [visit[2:] for visit in midpoint_windows({"day 28": 28, "day 56": 56, "week 12": 85}, 2, 113)]
    [(2, 42), (43, 70), (71, 113)]
    """
    names, days = list(targets), list(targets.values())
    if any(after <= before for before, after in pairwise(days)):
        raise InputError(Problem("targets", days, "must rise"))
    if days and (first > days[0] or last < days[-1]):
        raise InputError(Problem("targets", days, f"must be within days {first} to {last}"))
    ends = [(before + after) // 2 for before, after in pairwise(days)]
    starts, stops = [first, *(end + 1 for end in ends)], [*ends, last]
    return tuple(Visit(*values) for values in zip(names, days, starts, stops, strict=True))


def assign(records: Sequence[Record], visits: Sequence[Visit], infusions: Sequence[int]) -> tuple[dict[str, int], dict[int, str]]:
    """Return the record that is analysed at each visit, and the visit whose window each other record is in.

    A window ends at the next infusion after its target: a sample taken on the day of an infusion and not stated to be before it is
    no sample of the visit that comes before. Of the records in a window the one nearest to the target is analysed, the later one on
    ties; of several on one day the last.

    Parameters
    ----------
    records
        The patient's records of one parameter, in the order in which they were taken.
    visits
        The schedule, from `midpoint_windows`.
    infusions
        Study days of the patient's infusions.

    Returns
    -------
    dict, dict
        Position of the record by the name of the visit; name of the visit by position of each record that is not analysed, empty
        for a record in no window.

    Examples
    --------
    >>> visits = midpoint_windows({"day 28": 28, "day 56": 56}, 2, 70)
    >>> assign([Record(29, 1.0, "pre"), Record(29, 2.0, "post"), Record(57, 3.0)], visits, (1, 29, 57))
    ({'day 28': 0}, {1: '', 2: ''})
    """
    analysed: dict[str, int] = {}
    places: dict[int, str] = {}
    for position, record in enumerate(records):
        _check(record)
        own = next((visit for visit in visits if _within(record, visit, infusions)), None)
        places[position] = "" if own is None else own.name
        if own is None:
            continue
        kept = analysed.get(own.name)
        if kept is None or _nearer(record, records[kept], own.target):
            analysed[own.name] = position
    return analysed, {position: name for position, name in places.items() if analysed.get(name) != position}


def baseline(records: Sequence[Record], *, screening: int | None = -14, rule: Literal["last", "mean"] = "last") -> float | None:
    """Return the value before the first infusion, or ``None`` if there is none.

    Parameters
    ----------
    records
        The patient's records of one parameter.
    screening
        Earliest study day of a record before day 1 that counts; ``None`` if the parameter has no screening visit, so that only a
        record of day 1 stated to be before the infusion counts.
    rule
        "last": the last value; "mean": the mean of all, which reduces regression to the mean.

    Examples
    --------
    >>> baseline([Record(-10, 4.0), Record(-1, 6.0), Record(1, 9.0)])
    6.0
    """
    one_of("rule", rule, ("last", "mean"))
    before = []
    for position, record in enumerate(records):
        _check(record)
        if (record.day == 1 and record.time_point == "pre") or (screening is not None and screening <= record.day < 0):
            before.append((record.day, position, record.value))
    if not before:
        return None
    values = [value for _day, _position, value in sorted(before)]
    return values[-1] if rule == "last" else sum(values) / len(values)


def _check(record: Record) -> None:
    if record.day == 0:
        raise InputError(Problem("day", 0, "there is no day 0: day 1 is the day of the first infusion, day -1 the day before"))
    one_of("time_point", record.time_point, ("", "pre", "post"))


def _within(record: Record, visit: Visit, infusions: Sequence[int]) -> bool:
    """Return whether a record is in the window of a visit, which the next infusion after the target ends."""
    end = next((day for day in sorted(infusions) if day > visit.target), visit.last + 1)
    if record.day == end:
        return record.time_point == "pre" and record.day <= visit.last
    return visit.first <= record.day <= min(visit.last, end)


def _nearer(record: Record, kept: Record, target: int) -> bool:
    """Return whether a record is nearer to the target than the one kept so far; later ones are nearer on ties."""
    new, old = abs(record.day - target), abs(kept.day - target)
    return new < old or (new == old and record.day >= kept.day)
