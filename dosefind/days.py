"""The days that a date can denote: a partial date or an interval is a set of days, never a guess.

The forms are those of SDTM: ISO 8601 with the parts on the right omitted (``2024-03``), a hyphen for each other unknown part
(``2024---15``, ``--03-15``), and two dates with a slash between them for "some time between" (SDTM Implementation Guide 3.4,
section 4.4.2). A time of day is accepted and ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache

__all__ = ["ANY_DAY", "CLOCK", "FORMS", "Days", "read_days", "study_day"]

FORMS = "2024-03, 2024---15, --03-15 or 2024-03-05/2024-03-20"
"""Forms of a partial date, as messages show them."""

_FIRST_YEAR, _LAST_YEAR = 1900, 2199
_HOUR, _MINUTE, _SECOND = r"(?:[01]\d|2[0-3])", r"[0-5]\d", r"(?:[0-5]\d|60)(?:[.,]\d+)?"
# Regular expression of a time of day, with or without the difference from UTC: the extended format of ISO 8601-1:2019, with a
# hyphen for an unknown hour or minute, as in SDTM.
CLOCK = (
    rf"(?:{_HOUR}(?::(?:{_MINUTE}|-)(?::{_SECOND})?)?|-:(?:{_MINUTE}(?::{_SECOND})?|-:{_SECOND}))"
    r"(?:Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?"
)
_TIME = rf"T{CLOCK}"
# A time of day follows a day, even an unknown one.
_PARTS = re.compile(rf"(?P<year>\d{{4}})(?:-(?P<month>\d\d|-)(?:-(?P<day>\d\d|-)(?:{_TIME})?)?)?", re.ASCII)
_NO_YEAR = re.compile(rf"--(?P<month>\d\d)(?:-(?P<day>\d\d|-)(?:{_TIME})?)?", re.ASCII)
# The day only: with a hyphen for each omitted part, and for each separator.
_ONLY_DAY = re.compile(rf"-{{3,5}}(?P<day>\d\d)(?:{_TIME})?", re.ASCII)
_NOTHING = re.compile(rf"(?:-{{5}})?(?:{_TIME})?", re.ASCII)
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_CALENDAR = tuple((month, day) for month, days in enumerate(_LONGEST_MONTHS, start=1) for day in range(1, days + 1))
_NOT_ISO = f"must be a date in ISO form, such as 2024-03-05, or its known parts, such as {FORMS}"
_NO_DAY = "is not a calendar day"
_ONE = timedelta(days=1)


@dataclass(frozen=True)
class Days:
    """The set of days that a date can denote.

    Attributes
    ----------
    text
        The date as in the data.
    earliest, latest
        First and last possible day; ``None`` if there is no bound.
    pairs
        Possible months and days of the month, if the year or the month is unknown; ``None`` if every day from
        ``earliest`` to ``latest`` is possible.

    Examples
    --------
    >>> march = read_days("2024-03")
    >>> march.earliest, march.latest
    (datetime.date(2024, 3, 1), datetime.date(2024, 3, 31))
    >>> march.within(date(2024, 2, 20), date(2024, 4, 20)), march.within(date(2024, 3, 20), date(2024, 4, 20))
    (True, None)
    >>> read_days("2023").within(date(2024, 3, 20), date(2024, 4, 20))
    False
    """

    text: str
    earliest: date | None = None
    latest: date | None = None
    pairs: frozenset[tuple[int, int]] | None = None

    def __contains__(self, day: date) -> bool:
        """Return whether the date can be this day."""
        if (self.earliest is not None and day < self.earliest) or (self.latest is not None and day > self.latest):
            return False
        return self.pairs is None or (day.month, day.day) in self.pairs

    def __str__(self) -> str:
        """Return the date as in the data."""
        return self.text or "no date"

    @property
    def certain(self) -> date | None:
        """Return the day if only one is possible, otherwise ``None``."""
        return self.earliest if self.earliest == self.latest else None

    def meets(self, first: date, end: date) -> bool:
        """Return whether any possible day is from ``first`` to ``end``, inclusive."""
        return next(self.between(first, end), None) is not None

    def within(self, first: date, end: date) -> bool | None:
        """Return ``True`` if all possible days are from ``first`` to ``end``, ``False`` if none is, otherwise ``None``."""
        if self.earliest is not None and self.latest is not None and first <= self.earliest and self.latest <= end:
            return True
        return None if self.meets(first, end) else False

    def between(self, first: date, end: date) -> Iterator[date]:
        """Return the possible days from ``first`` to ``end``, inclusive, in order."""
        day = first if self.earliest is None else max(first, self.earliest)
        last = end if self.latest is None else min(end, self.latest)
        while day <= last:
            if self.pairs is None or (day.month, day.day) in self.pairs:
                yield day
            day += _ONE

    def narrowed(self, not_before: date | None = None, not_after: date | None = None) -> Days | None:
        """Return the days from ``not_before`` to ``not_after``, inclusive, or ``None`` if there is no such day."""
        earliest = max((day for day in (self.earliest, not_before) if day is not None), default=None)
        latest = min((day for day in (self.latest, not_after) if day is not None), default=None)
        return replace(self, earliest=earliest, latest=latest)._tight()

    def _tight(self) -> Days | None:
        """Return the same set with its first and last possible day as bounds, or ``None`` if it is empty."""
        earliest, latest = self.earliest, self.latest
        if earliest is not None and latest is not None and earliest > latest:
            return None
        if self.pairs is None:
            return self
        if earliest is not None:
            end = date(_LAST_YEAR, 12, 31) if latest is None else latest
            earliest = next(self.between(earliest, end), None)
            if earliest is None:
                return None
        if latest is not None:
            start = date(_FIRST_YEAR, 1, 1) if earliest is None else earliest
            while latest not in self:
                latest -= _ONE
                if latest < start:
                    return None
        return replace(self, earliest=earliest, latest=latest)


ANY_DAY = Days("")
"""No date: every day is possible."""


@lru_cache(maxsize=10_000)
def read_days(text: str) -> Days:
    """Read a date, a partial date or an interval as the set of days that it can denote.

    Parameters
    ----------
    text
        A date in one of the forms of SDTM; empty if nothing is known.

    Returns
    -------
    Days

    Raises
    ------
    ValueError
        If the text is not in one of these forms, is not a calendar day, is outside 1900 to 2199, or is an interval that ends
        before it begins or that has a year at one end only; the message says what is allowed.

    Examples
    --------
    >>> [read_days(text).certain for text in ("2024-03-05", "2024-03-05T14:30", "2024-03")]
    [datetime.date(2024, 3, 5), datetime.date(2024, 3, 5), None]
    >>> date(2023, 3, 9) in read_days("--03"), date(2023, 4, 9) in read_days("--03")
    (True, False)
    """
    if "/" not in text:
        return _one_date(text, text)
    start_text, _, end_text = text.partition("/")
    if not start_text or not end_text or "/" in end_text:
        raise ValueError(_NOT_ISO)
    return _interval(_one_date(start_text, text), _one_date(end_text, text), text)


def _one_date(part: str, text: str) -> Days:
    """Return the days that one date can denote, as part of ``text``."""
    for form in (_PARTS, _NO_YEAR, _ONLY_DAY):
        if (match := form.fullmatch(part)) is not None:
            parts = {name: int(value) for name, value in match.groupdict().items() if value not in (None, "-")}
            found = _from_parts(text, parts.get("year"), parts.get("month"), parts.get("day"))
            if found is None:
                raise ValueError(_NO_DAY)
            if not _FIRST_YEAR <= parts.get("year", _FIRST_YEAR) <= _LAST_YEAR:
                raise ValueError(f"must be a date from {_FIRST_YEAR} to {_LAST_YEAR}")
            return found
    if _NOTHING.fullmatch(part) is None:
        raise ValueError(_NOT_ISO)
    return Days(text)


def _from_parts(text: str, year: int | None, month: int | None, day: int | None) -> Days | None:
    """Return the days with these parts, or ``None`` if there is no such day."""
    if year == 0:
        return None
    pairs = frozenset(pair for pair in _CALENDAR if month in (None, pair[0]) and day in (None, pair[1]))
    if not pairs:
        return None
    if year is None:
        return Days(text, pairs=pairs)
    found = Days(text, date(year, 1, 1), date(year, 12, 31), pairs)._tight()
    contiguous = day is None or month is not None
    return replace(found, pairs=None) if found is not None and contiguous else found


def _interval(start: Days, end: Days, text: str) -> Days:
    """Return the days from the first day of ``start`` to the last day of ``end``."""
    if (start.earliest is None) != (end.latest is None):
        raise ValueError("must have a year at both ends of the interval, or at neither")
    if start.earliest is not None and end.latest is not None:
        if end.latest < start.earliest:
            raise ValueError("must not end before it begins")
        return Days(text, start.earliest, end.latest)
    first, last = (None if day.pairs is None or len({month for month, _ in day.pairs}) > 1 else day.pairs for day in (start, end))
    if first is None or last is None:
        return Days(text)
    begins, ends = min(first), max(last)
    # Without a year, an interval that ends in an earlier month extends into the next year.
    inside = (lambda pair: begins <= pair <= ends) if begins <= ends else (lambda pair: pair >= begins or pair <= ends)
    return Days(text, pairs=frozenset(filter(inside, _CALENDAR)))


def study_day(first: date, day: date) -> int:
    """Return the study day, where the first infusion is on day 1; there is no day 0.

    Examples
    --------
    >>> study_day(date(2024, 3, 5), date(2024, 3, 5)), study_day(date(2024, 3, 5), date(2024, 3, 4))
    (1, -1)
    """
    days = (day - first).days
    return days + 1 if days >= 0 else days
