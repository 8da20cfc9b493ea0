"""From what the tables say of a patient, fact by fact with the cell that says it, to a `Patient`: the checks between facts.

Layouts make a `Draft` of entries; nothing here knows from which.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from .._check import InputError, shown_key
from ..patients import PARTS, AdverseEvent, Listed, Part, Patient
from ..protocol import DLT, Doses, plain_words
from .cells import Cell, Findings, Row, Table, partial_date

__all__ = [
    "NO_INFUSION",
    "Dated",
    "Draft",
    "Entry",
    "EventColumns",
    "Steps",
    "adverse_events",
    "dose",
    "is_death",
    "one_row_each",
    "part_of",
    "to_patient",
]

NO_INFUSION = "no infusion"
# A dose off by this factor is one in another unit: cells in place of 10^6 cells.
_MILLION = 1e6
_GRADE = re.compile(r"(?:grade )?([1-5])", re.IGNORECASE | re.ASCII)
_DEATH = re.compile(r"\b(death|died|dead|deceased|fatal)\b", re.IGNORECASE)
_FATAL = 5
_OTHER_WORDS: dict[str, Part] = {
    "dose escalation": "escalation",
    "back fill": "backfill",
    "dose expansion": "expansion",
    "runin": "run-in",
    "lead in": "run-in",
}
_PARTS: dict[str, Part] = {**{plain_words(part): part for part in PARTS}, **_OTHER_WORDS}

Steps = Callable[[list[Row]], Iterator[Row]]


class Dated(NamedTuple):
    """A day, and the cell that says it."""

    day: date
    cell: Cell


@dataclass
class Entry:
    """What the tables say of one patient; the cells are those that a finding would name."""

    subject: str
    level: int | None
    amount: float
    infusions: list[Dated]
    rows: list[Row]
    amounts: tuple[float, ...] = ()
    cohort: tuple[int, Cell] | None = None
    last_contact: Dated | None = None
    dlt: bool | None = None
    dlt_date: Dated | None = None
    discontinued: Dated | None = None
    reason: str | None = None
    replaces: Cell | None = None
    part: Part | None = None
    died: Dated | None = None

    @property
    def first(self) -> date:
        """Day of the first infusion."""
        return min(infusion.day for infusion in self.infusions)


@dataclass
class Draft:
    """What a layout makes of its tables.

    Attributes
    ----------
    entries
        The patients.
    events
        Adverse events by subject; ``None`` where there is no table of them.
    listed
        Rows that make neither.
    absent
        Subjects who are no patients, with the reason.
    subjects
        All subjects of the table of patients, those with a finding included.
    has_cohorts
        Whether the data give cohorts.
    keeps_contacts
        Whether they have a last contact of everybody, as long as somebody is followed up: not only of who has ended it.
    """

    entries: list[Entry] = field(default_factory=list)
    events: dict[str, list[AdverseEvent]] | None = None
    listed: list[Listed] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    subjects: set[str] = field(default_factory=set)
    has_cohorts: bool = False
    keeps_contacts: bool = False

    def leave_out(self, subject: str, row: Row, reason: str) -> None:
        """List the row of a subject who is no patient."""
        self.absent[subject] = reason
        self.listed.append(Listed(row.source, reason))

    def owner(self, found: Findings, row: Row, table: str) -> str | None:
        """The patient to whom a row of another table belongs; listed, or a finding, if there is none."""
        subject = found.subject(row)
        if subject in self.absent:
            self.listed.append(Listed(row.source, self.absent[subject]))
            return None
        if subject is not None and subject not in self.subjects:
            found.refuse(row.subject_cell, f"is no subject of {table}")
            return None
        return subject


def one_row_each(found: Findings, rows: Iterable[Row]) -> Iterator[tuple[str, Row]]:
    """Rows with their subjects, of whom each must have one."""
    seen: dict[str, Row] = {}
    for row in rows:
        subject = found.subject(row)
        if subject is None:
            continue
        if subject in seen:
            found.refuse(row.subject_cell, f"stands in row {seen[subject].number} already, and a subject has one row")
            continue
        seen[subject] = row
        yield subject, row


def dose(found: Findings, cell: Cell, doses: Doses) -> tuple[int | None, float] | None:
    """Level and amount of a dose in the protocol's unit; the level is ``None`` where the amount is none of the protocol's."""
    amount = found.number(cell, f"a number above 0, the amount in {doses.unit}")
    if amount is None:
        return None
    for level, known in enumerate(doses.amounts, start=1):
        if math.isclose(amount, known, rel_tol=1e-9):
            return level, float(known)
    for known in doses.amounts:
        for factor, words in ((_MILLION, "10^6 times"), (1 / _MILLION, "a millionth of")):
            if math.isclose(amount, known * factor, rel_tol=1e-9):
                found.refuse(cell, f"is {words} the dose {known:g} of the protocol: it must be an amount in {doses.unit}")
                return None
    return None, amount


def part_of(found: Findings, cell: Cell) -> Part | None:
    """Return the part of the trial that a cell names; ``None`` if it is empty or names none, which is a finding."""
    text = found.text(cell)
    if text is None:
        return None
    part = _PARTS.get(plain_words(text))
    if part is None:
        found.refuse(cell, f"must be a part of the trial: {', '.join(PARTS)}")
    return part


def is_death(reason: str | None) -> bool:
    """Return whether a reason for leaving, or the outcome of an event, is death."""
    return _DEATH.search(reason or "") is not None


class EventColumns(NamedTuple):
    """Columns of a table of adverse events; where there are several, the first that the table has, of terms the first with text."""

    term: tuple[str, ...]
    grade: tuple[str, ...]
    related: tuple[str, ...]
    start: tuple[str, ...]
    imputed: str | None = None
    serious: tuple[str, ...] = ("AESER",)
    outcome: tuple[str, ...] = ("AEOUT",)
    organ_class: tuple[str, ...] = ("AESOC", "AEBODSYS")


def adverse_events(found: Findings, draft: Draft, table: Table, columns: EventColumns, people: str, steps: Steps, dlt: DLT) -> None:
    """Read a table of adverse events into the draft; ``people`` names the table of patients, ``dlt`` says what is grave."""
    draft.events = {entry.subject: [] for entry in draft.entries}
    for row in steps(table.rows):
        subject = draft.owner(found, row, people)
        if subject is None:
            if row.subject in draft.absent:
                _nothing_given(found, row, columns, dlt)
            continue
        term = found.text(_term(row, columns), required=True)
        related = found.text(row.cell(*columns.related))
        event = AdverseEvent(
            term=term or "",
            grade=_grade(found, row.cell(*columns.grade)),
            related=related,
            start=_start(found, row, columns),
            source=row.source,
            serious=found.yes(row.cell(*columns.serious)),
            outcome=found.text(row.cell(*columns.outcome)),
            organ_class=found.text(row.cell(*columns.organ_class)),
        )
        draft.events.setdefault(subject, []).append(event)
    for events in draft.events.values():
        events.sort(key=lambda one: (one.start is None, one.start or date.min, one.term, one.grade or 0, one.related or ""))


def _term(row: Row, columns: EventColumns) -> Cell:
    cells = [row.cell(name) for name in columns.term]
    return next((cell for cell in cells if cell.text), cells[0])


def _nothing_given(found: Findings, row: Row, columns: EventColumns, dlt: DLT) -> None:
    """A grave event of a subject without an infusion cannot come from the product: rather the infusion is missing. Where the data
    leave the relation open, that is noted, for it is empty by nature where nothing was given.
    """
    least, grade = dlt.least_grade_of(_term(row, columns).text), _grade(found, row.cell(*columns.grade))
    related = row.cell(*columns.related)
    try:
        is_related = dlt.is_related(found.text(related))
    except InputError:
        is_related = None
    if grade is None or least is None or grade < least or is_related is False:
        return
    event = f"an event of grade {grade}"
    if is_related:
        found.refuse(related, f"is at least possibly related, of {event}: such an event needs an infusion before it")
    else:
        place = f"{row.source}, subject {shown_key(row.subject)}"
        found.notes.append(f"{place}: {event}, relation open, without an infusion: counted nowhere")


def _grade(found: Findings, cell: Cell) -> int | None:
    text = found.text(cell)
    grade = _GRADE.fullmatch(text) if text is not None else None
    if text is not None and grade is None:
        found.refuse(cell, "must be a CTCAE grade from 1 to 5, or empty where it is not known")
    return int(grade[1]) if grade else None


def _start(found: Findings, row: Row, columns: EventColumns) -> date | None:
    cell = row.cell(*columns.start)
    imputed = columns.imputed is not None and row.cell(columns.imputed).text != ""
    if imputed or partial_date(cell.text):
        why = "an imputed date" if imputed else "no full date" if cell.text else "empty"
        found.notes.append(f"{row.source}, subject {row.subject}: {cell.column} is {why}, so the event is kept without a start")
        return None
    return found.day(cell)


def to_patient(found: Findings, entry: Entry, cohort: int | None, events: dict[str, list[AdverseEvent]] | None) -> Patient:
    """The patient of an entry, whose dates are checked against each other."""
    for before, after in pairwise(entry.infusions):
        if after.day <= before.day:
            found.refuse(after.cell, "must be later than the infusion before it")
    last = max(infusion.day for infusion in entry.infusions)
    if entry.last_contact and entry.last_contact.day < last:
        found.refuse(entry.last_contact.cell, "must not be before the last infusion")
    if entry.discontinued and entry.discontinued.day < entry.first:
        found.refuse(entry.discontinued.cell, "must not be before the first infusion")
    if entry.dlt_date and entry.dlt_date.day < entry.first:
        found.refuse(entry.dlt_date.cell, "a DLT must not be before the first infusion")
    if entry.dlt_date and entry.last_contact and entry.dlt_date.day > entry.last_contact.day:
        found.refuse(entry.dlt_date.cell, "a DLT must not be after the last contact")
    if entry.died and entry.died.day < last:
        found.refuse(entry.died.cell, "the day of death must not be before the last infusion")
    own = () if events is None else tuple(events.get(entry.subject, ()))
    return Patient(
        subject=entry.subject,
        level=entry.level,
        amount=entry.amount,
        amounts=entry.amounts,
        infusions=tuple(infusion.day for infusion in entry.infusions),
        cohort=cohort,
        last_contact=entry.last_contact.day if entry.last_contact else None,
        dlt=entry.dlt,
        dlt_date=entry.dlt_date.day if entry.dlt_date else None,
        discontinued=entry.discontinued.day if entry.discontinued else None,
        reason=entry.reason,
        replaces=entry.replaces.text if entry.replaces else None,
        events=None if events is None else own,
        source=tuple(row.source for row in entry.rows),
        part=entry.part,
        died=_died(entry, own),
    )


def _died(entry: Entry, events: tuple[AdverseEvent, ...]) -> date | None:
    """Return the day of death: as given, or the day on which the patient left by death, or the onset of a fatal event.

    A fatal event without an onset is taken to have come by the last date of the patient, so that no death is lost.
    """
    if entry.died is not None:
        return entry.died.day
    if is_death(entry.reason) and entry.discontinued is not None:
        return entry.discontinued.day
    fatal = [event for event in events if event.grade == _FATAL or is_death(event.outcome)]
    onsets = [event.start for event in fatal if event.start is not None]
    if fatal and not onsets:
        return max([dated.day for dated in (entry.last_contact, entry.discontinued) if dated], default=entry.infusions[-1].day)
    return max(onsets, default=None)
