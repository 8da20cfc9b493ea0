"""Visits of a schedule: which record is analysed at which visit, and which record is the baseline.

Day 1 is the day of the first infusion; there is no day 0, so the day before is day -1. A record taken on the day of an infusion is
before it only if its time point says so. A visit is before or after infusions as it is planned to be, whatever the day on which a
patient has them: a sample taken after the second infusion is never one of a visit that is planned before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from .._check import InputError, Problem, one_of
from .schedule import Endpoints

__all__ = ["Record", "Visit", "assign", "baseline", "baseline_records", "given_before", "midpoint_windows", "windows_of"]

TimePoint = Literal["", "pre", "post"]
# More infusions than any patient has: no visit of a schedule without infusions is ended by one.
_ANY = 1_000_000


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
    """A visit of the schedule with its window of study days, both ends included.

    Attributes
    ----------
    name
        Its name.
    target, first, last
        Study days of the visit and of the ends of its window.
    most
        Largest number of infusions before a sample of this visit.
    after
        Number of the infusion that the visit follows; 0 for a visit that follows no single infusion.
    """

    name: str
    target: int
    first: int
    last: int
    most: int = _ANY
    after: int = 0


def midpoint_windows(targets: Mapping[str, int], first: int, last: int, infusions: Sequence[int] = ()) -> tuple[Visit, ...]:
    """Return windows that meet in the middle between targets; a middle day itself belongs to the earlier visit.

    Parameters
    ----------
    targets
        Study day of each visit by name, rising.
    first, last
        Earliest day of the first and latest day of the last window.
    infusions
        Planned study days of the infusions: a visit is before all infusions planned after its target.

    Examples
    --------
    >>> [visit[2:4] for visit in midpoint_windows({"day 28": 28, "day 56": 56, "week 12": 85}, 2, 113)]
    [(2, 42), (43, 70), (71, 113)]
    >>> [visit.most for visit in midpoint_windows({"day 28": 28, "day 56": 56, "week 12": 85}, 2, 113, (1, 29, 57))]
    [1, 2, 3]
    """
    names, days = list(targets), list(targets.values())
    if not names:
        return ()
    if any(after <= before for before, after in pairwise(days)):
        raise InputError(Problem("targets", days, "must rise"))
    if days and (first > days[0] or last < days[-1]):
        raise InputError(Problem("targets", days, f"must be within days {first} to {last}"))
    ends = [(before + after) // 2 for before, after in pairwise(days)]
    starts, stops = [first, *(end + 1 for end in ends)], [*ends, last]
    most = [max(1, sum(day <= target for day in infusions)) if infusions else _ANY for target in days]
    return tuple(Visit(*values) for values in zip(names, days, starts, stops, most, strict=True))


def windows_of(endpoints: Endpoints, infusion_days: Sequence[int], infusions: Sequence[int]) -> dict[str, Visit]:
    """Return the visits of a config for one patient, by name, in the order of the config.

    Windows are those of all visits, so that a visit has one window whichever parameter is measured at it.

    Parameters
    ----------
    endpoints
        The table ``endpoints`` of a config.
    infusion_days
        Planned study days of the infusions.
    infusions
        Study days of the patient's infusions. A visit after an infusion that the patient did not have is left out.
    """
    fixed = {name: visit.day for name, visit in endpoints.visits.items() if visit.infusion is None}
    found = {visit.name: visit for visit in midpoint_windows(fixed, endpoints.first_day, endpoints.last_day, infusion_days)}
    groups: dict[int, list[tuple[str, int]]] = {}
    for name, visit in endpoints.visits.items():
        if visit.window is not None:
            found[name] = found[name]._replace(first=visit.window[0], last=visit.window[1])
        if visit.infusion is not None and visit.infusion <= min(len(infusions), len(infusion_days)):
            moved = infusions[visit.infusion - 1] - infusion_days[visit.infusion - 1]
            groups.setdefault(visit.infusion, []).append((name, visit.day + moved))
    most = endpoints.infusion_visit_days
    for number, group in groups.items():
        begin = infusions[number - 1]
        for place, (name, target) in enumerate(group):
            first, last = max(begin, target - most), target + most
            if place:
                first = max(first, (group[place - 1][1] + target) // 2 + 1)
            if place + 1 < len(group):
                last = min(last, (target + group[place + 1][1]) // 2)
            found[name] = Visit(name, target, first, last, number, number)
    return {name: found[name] for name in endpoints.visits if name in found}


def given_before(record: Record, infusions: Sequence[int]) -> int:
    """Return the number of infusions before a record; on the day of an infusion it is after it unless stated to be before.

    Examples
    --------
    >>> [given_before(Record(29, 1.0, point), (1, 29, 57)) for point in ("pre", "", "post")]
    [1, 2, 2]
    """
    return sum(day < record.day or (day == record.day and record.time_point != "pre") for day in infusions)


def assign(records: Sequence[Record], visits: Sequence[Visit], infusions: Sequence[int]) -> tuple[dict[str, int], dict[int, str]]:
    """Return the record that is analysed at each visit, and the visit whose window each other record is in.

    A window ends at the next infusion planned after its target, on the day on which the patient has it: a sample taken on the day
    of an infusion and not stated to be before it is no sample of the visit that comes before. A visit after an infusion has its
    samples before any other. Of the records in a window the one nearest to the target is analysed, the later one on ties; of
    several on one day the last.

    Parameters
    ----------
    records
        The patient's records of one parameter, in the order in which they were taken.
    visits
        The visits of the parameter's schedule, from `midpoint_windows` or `windows_of`.
    infusions
        Study days of the patient's infusions.

    Returns
    -------
    dict, dict
        Position of the record by the name of the visit; name of the visit by position of each record that is not analysed, empty
        for a record in no window.

    Examples
    --------
    >>> visits = midpoint_windows({"day 28": 28, "day 56": 56}, 2, 70, (1, 29, 57))
    >>> assign([Record(29, 1.0, "pre"), Record(29, 2.0, "post"), Record(57, 3.0)], visits, (1, 29, 57))
    ({'day 28': 0}, {1: '', 2: ''})
    """
    analysed: dict[str, int] = {}
    places: dict[int, str] = {}
    ordered = sorted(visits, key=lambda visit: not visit.after)
    for position, record in enumerate(records):
        _check(record)
        before = given_before(record, infusions)
        own = next((visit for visit in ordered if _within(record.day, before, visit)), None)
        places[position] = "" if own is None else own.name
        if own is None:
            continue
        kept = analysed.get(own.name)
        if kept is None or _nearer(record, records[kept], own.target):
            analysed[own.name] = position
    return analysed, {position: name for position, name in places.items() if analysed.get(name) != position}


def baseline_records(records: Sequence[Record], screening: int | None = -14) -> list[int]:
    """Return the positions of the records before the first infusion that may be the baseline, in the order of their days.

    Parameters
    ----------
    records
        The patient's records of one parameter.
    screening
        Earliest study day of a record before day 1 that counts; ``None`` if only a record of day 1 stated to be before the
        infusion counts.
    """
    before = []
    for position, record in enumerate(records):
        _check(record)
        if (record.day == 1 and record.time_point == "pre") or (screening is not None and screening <= record.day < 0):
            before.append((record.day, position))
    return [position for _day, position in sorted(before)]


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
    values = [records[position].value for position in baseline_records(records, screening)]
    if not values:
        return None
    return values[-1] if rule == "last" else sum(values) / len(values)


def _check(record: Record) -> None:
    if record.day == 0:
        raise InputError(Problem("day", 0, "there is no day 0: day 1 is the day of the first infusion, day -1 the day before"))
    one_of("time_point", record.time_point, ("", "pre", "post"))


def _within(day: int, before: int, visit: Visit) -> bool:
    """Return whether a sample of a day, with a number of infusions before it, is in the window of a visit."""
    return visit.first <= day <= visit.last and max(visit.after, 1) <= before <= visit.most


def _nearer(record: Record, kept: Record, target: int) -> bool:
    """Return whether a record is nearer to the target than the one kept so far; later ones are nearer on ties."""
    new, old = abs(record.day - target), abs(kept.day - target)
    return new < old or (new == old and record.day >= kept.day)
