"""The course of an adverse event in the tables: grade at onset, worsening, end, flags, and records of the same event."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

from .._check import shown_key
from ..patients import AdverseEvent
from ..protocol import DLT, plain_words
from ..words import _, marked
from .cells import Cell, Findings, Row, noted_row, noted_subject, partial_date

if TYPE_CHECKING:
    from .entries import EventColumns

__all__ = ["link_records", "links_of", "with_details", "yes_or_unknown"]

_UNKNOWN = ("u", "un", "unk", "unknown", "na", "n/a", "not applicable")
# AEENRF, AEENRTPT and plain words: the event had not ended at the reference time.
_ONGOING = ("ongoing", "after", "during/after", "continuing", "not ended", "yes", "y", "1", "true")


def yes_or_unknown(found: Findings, cell: Cell) -> bool | None:
    """Return a flag; unknown and not applicable are read as empty."""
    return None if plain_words(cell.text) in _UNKNOWN else found.yes(cell)


def with_details(
    found: Findings, row: Row, columns: EventColumns, event: AdverseEvent, dlt: DLT, counts: Counter[str]
) -> AdverseEvent:
    """Return an event with the details in its row; ``counts`` counts notes that are shown once per table."""
    severity = next((found.text(cell) for cell in map(row.cell, columns.severity) if cell.text), None)
    end, ongoing = _end(found, row, columns, event.start, counts)
    worsened = _worsened(found, row, columns, event.start, end)
    grade = event.grade
    if severity is not None or event.initial_grade is not None:
        grade = _worst(found, row, event, severity, dlt, counts)
    flagged, emergent = _flag(found, row, columns.flagged), _flag(found, row, columns.emergent)
    details = (grade, severity, end, ongoing, worsened, flagged, emergent)
    if details != (event.grade, None, None, None, None, None, None):
        event = event._replace(
            grade=grade,
            severity=severity,
            end=end,
            ongoing=ongoing,
            worsened=worsened,
            flagged_dlt=flagged,
            emergent=emergent,
        )
    if event.severity is not None and event.grade is None:
        counts[marked("events with a severity but no CTCAE grade, which stay open (dlt.grade_by_severity can give grades)")] += 1
    return event


def _worst(found: Findings, row: Row, event: AdverseEvent, severity: str | None, dlt: DLT, counts: Counter[str]) -> int | None:
    """Return the worst grade: at least the initial grade; by severity if there is no grade and a setting defines it."""
    grade, initial = event.grade, event.initial_grade
    if grade is None and (by_severity := dlt.grade_of_severity(severity)) is not None:
        counts[marked("events without a CTCAE grade, graded by severity (dlt.grade_by_severity)")] += 1
        grade = by_severity
    least = dlt.least_grade_of(event.term) or dlt.least_grade
    if initial is None or (grade is None and initial < least) or (grade is not None and grade >= initial):
        return grade
    words = _("{row}: the worst grade is {worst} and the initial grade {initial}; read as worst grade {initial}")
    if grade is None:
        words = _("{row}: the worst grade is not recorded and the initial grade is {initial}; read as worst grade {initial}")
    found.notes.append(words.format(row=noted_row(row), worst=grade, initial=initial))
    return initial


def _end(
    found: Findings, row: Row, columns: EventColumns, start: date | None, counts: Counter[str]
) -> tuple[date | None, bool | None]:
    """Return the end day, and whether the event is recorded as ongoing."""
    cell = row.first_filled(columns.end)
    if not cell.text and not columns.ongoing:
        return None, None
    signs = [sign for sign in map(row.cell, columns.ongoing) if plain_words(sign.text) in _ONGOING]
    if plain_words(cell.text) in ("ongoing", "continuing"):
        return None, True
    if columns.end_imputed is not None and row.cell(columns.end_imputed).text:
        counts[marked("imputed end dates of events, so the events are kept without an end")] += 1
        return None, bool(signs) or None
    if partial_date(cell.text):
        counts[marked("partial end dates of events, so the events are kept without an end")] += cell.text != ""
        return None, bool(signs) or None
    end = found.day(cell)
    if end is not None and start is not None and end < start:
        found.refuse(cell, f"must not be before the start of the event, {start}")
        return None, None
    if end is not None and signs and plain_words(signs[0].text) == "ongoing":
        words = _("{row}: {ongoing} is ongoing and {column} is {date}; read as ended on that date")
        found.notes.append(words.format(row=noted_row(row), ongoing=signs[0].column, column=cell.column, date=end))
    return end, None


def _worsened(found: Findings, row: Row, columns: EventColumns, start: date | None, end: date | None) -> date | None:
    """Return the day on which the event worsened after onset."""
    cells = [cell for cell in map(row.cell, columns.worsened) if not partial_date(cell.text)]
    day = found.day(cells[0]) if cells else None
    if day is not None and start is not None and day < start:
        found.refuse(cells[0], f"must not be before the start of the event, {start}")
    elif day is not None and end is not None and day > end:
        found.refuse(cells[0], f"must not be after the end of the event, {end}")
    return day


def _flag(found: Findings, row: Row, columns: tuple[str, ...]) -> bool | None:
    """Return a flag that several columns can have; if they differ, it is set, with a note."""
    if not columns:
        return None
    cells = [cell for cell in map(row.cell, columns) if cell.text]
    flags = [yes_or_unknown(found, cell) for cell in cells]
    if True in flags and False in flags:
        yes, no = cells[flags.index(True)].column, cells[flags.index(False)].column
        words = _("{row}: {yes} is set and {no} is not; read as set")
        found.notes.append(words.format(row=noted_row(row), yes=yes, no=no))
    return True if True in flags else False if False in flags else None


def links_of(row: Row, columns: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the identifiers by which records of one event can be linked."""
    return tuple((cell.column, cell.text) for cell in map(row.cell, columns) if cell.text)


def link_records(
    found: Findings, subject: str, events: list[AdverseEvent], links: dict[str, tuple[tuple[str, str], ...]], dlt: DLT
) -> list[AdverseEvent]:
    """Return the events of a subject, in which records of one event determine each other's initial grade and worsening.

    Records belong together if they share an identifier and the term. A record with the same start as the others has the lowest
    of their grades as initial grade; otherwise each record has its grade from its own start, and a record graded for the
    whole event worsened on the day of the first later record with that grade or a DLT grade.
    """
    groups: dict[tuple[str, str, str], list[AdverseEvent]] = defaultdict(list)
    for event in events:
        for column, name in links.get(event.source, ()):
            groups[column, name, plain_words(event.term)].append(event)
    changed: dict[str, AdverseEvent] = {}
    for (column, name, _term), records in groups.items():
        if len(records) > 1:
            done = {event.source: _linked(event, records, dlt) for event in records if event.source not in changed}
            changed |= done
            if all(event == done.get(event.source, event) for event in records):
                continue
            rows = ", ".join(event.source for event in records)
            words = _("{subject}: read as records of one event, by {column} {name}: {rows}")
            place = {"subject": noted_subject(subject), "column": column, "name": shown_key(name), "rows": rows}
            found.notes.append(words.format(**place))
    return [changed.get(event.source, event) for event in events]


def _linked(event: AdverseEvent, records: Iterable[AdverseEvent], dlt: DLT) -> AdverseEvent:
    """Return a record with the initial grade and the worsening given by the other records of the event."""
    dated = [(record.start, record.grade) for record in records if record.start is not None and record.grade is not None]
    if event.start is None or event.grade is None or len(dated) < 2:
        return event
    together = [grade for start, grade in dated if start == event.start]
    initial = min(together) if event.initial_grade is None else event.initial_grade
    least = dlt.least_grade_of(event.term) or event.grade
    reached = max(initial + 1, min(least, event.grade))
    later = [start for start, grade in dated if start > event.start and grade >= reached]
    worsened = min(later) if later and event.worsened is None and initial < event.grade else event.worsened
    return event._replace(initial_grade=initial, worsened=worsened)
