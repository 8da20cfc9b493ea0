"""From the facts of a patient in the tables, each with its cell, to a `Patient`: the consistency checks between facts.

Layouts make a `Draft` of entries; this module does not depend on the layout.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from .._check import InputError, shown_key
from ..days import Days, read_days
from ..patients import PARTS, AdverseEvent, Assessment, LabValue, Listed, Part, Patient
from ..protocol import DLT, Doses, plain_words
from ..words import _, marked
from .assigned import matched
from .cells import Cell, Findings, Row, Table, noted_row, noted_subject, partial_date, possible_days
from .deaths import is_death, is_fatal_outcome, is_understood_outcome, resembles_death
from .doses import with_thousands
from .event_details import link_records, links_of, with_details, yes_or_unknown
from .grades import grade_of, why_no_grade

__all__ = [
    "NO_INFUSION",
    "Dated",
    "Draft",
    "Entry",
    "EventColumns",
    "Steps",
    "Undated",
    "adverse_events",
    "amount_given",
    "dose",
    "earliest_day",
    "is_death",
    "one_or_more_days",
    "one_row_each",
    "part_of",
    "refuse_unit",
    "start_of",
    "to_patient",
]

NO_INFUSION = marked("no infusion")
# A dose off by this factor is in another unit: cells instead of 10^6 cells.
_MILLION = 1e6
# No grade at the start of an event is recorded as 0.
_NO_GRADE = re.compile(r"(?:grade )?0(?:\.0*)?", re.IGNORECASE | re.ASCII)
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
    """A day, and the cell that states it."""

    day: date
    cell: Cell


class Undated(NamedTuple):
    """Possible days of a date, and the cell that states it."""

    days: Days
    cell: Cell


@dataclass
class Entry:
    """The facts of one patient in the tables; the cells are those that a finding would name.

    Four facts report a death, in the order in which they give its day: ``died``, the date of death; ``deaths``, the days of records
    of discontinuation by death; ``death_days``, partial dates of death; ``dead``, a cell that reports the death without a day.
    ``contacts`` are days of other records on which the patient was known to be in follow-up: they can only make a last contact
    later.
    """

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
    deaths: list[Dated] = field(default_factory=list)
    dead: Cell | None = None
    evaluable: bool | None = None
    evaluable_reason: str | None = None
    left_treatment: Dated | None = None
    left_treatment_reason: str | None = None
    contacts: list[Dated] = field(default_factory=list)
    death_days: list[Undated] = field(default_factory=list)
    dlt_days: Undated | None = None
    labs: list[LabValue] = field(default_factory=list)
    assessments: list[Assessment] = field(default_factory=list)
    rescued: Dated | None = None
    assigned_by: str | None = None

    @property
    def first(self) -> date:
        """Return the day of the first infusion."""
        return min(infusion.day for infusion in self.infusions)

    @property
    def last(self) -> date:
        """Return the day of the last infusion."""
        return max(infusion.day for infusion in self.infusions)


@dataclass
class Draft:
    """The result of a layout.

    Attributes
    ----------
    entries
        The patients.
    events
        Adverse events by subject; ``None`` if there is no table of them.
    listed
        Rows that are neither.
    absent
        Subjects who are not patients, with the reason.
    subjects
        All subjects of the table of patients, including those with a finding.
    has_cohorts
        Whether the data give cohorts.
    keeps_contacts
        Whether the data have last-contact dates of patients in follow-up, not only of those who have ended it.
    """

    entries: list[Entry] = field(default_factory=list)
    events: dict[str, list[AdverseEvent]] | None = None
    listed: list[Listed] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    subjects: set[str] = field(default_factory=set)
    has_cohorts: bool = False
    keeps_contacts: bool = False

    def leave_out(self, subject: str, row: Row, reason: str) -> None:
        """List the row of a subject who is not a patient."""
        self.absent[subject] = reason
        self.listed.append(Listed(row.source, reason))

    def owner(self, found: Findings, row: Row, table: str) -> str | None:
        """Return the patient to whom a row of another table belongs; if there is none, the row is listed or a finding."""
        subject = found.subject(row)
        if subject in self.absent:
            self.listed.append(Listed(row.source, self.absent[subject]))
            return None
        if subject is not None and subject not in self.subjects:
            found.refuse(row.subject_cell, f"is not a subject of {table}")
            return None
        return subject


def one_row_each(found: Findings, rows: Iterable[Row]) -> Iterator[tuple[str, Row]]:
    """Yield rows with their subjects, one row per subject."""
    seen: dict[str, Row] = {}
    for row in rows:
        subject = found.subject(row)
        if subject is None:
            continue
        if subject in seen:
            found.refuse(row.subject_cell, f"is already in row {seen[subject].number}, but a subject has one row")
            continue
        seen[subject] = row
        yield subject, row


def dose(found: Findings, cell: Cell, doses: Doses) -> tuple[int | None, float] | None:
    """Return the level and the amount of a dose in the protocol's unit.

    The level is ``None`` if the amount is not in the protocol; see `matched`.
    """
    return None if amount_given(found, cell, doses) is None else matched(cell.text, doses)


def amount_given(found: Findings, cell: Cell, doses: Doses) -> float | None:
    """Return an amount in the protocol's unit."""
    amount = found.number(cell, f"a number above 0, the amount in {doses.unit}")
    if amount is None or refuse_unit(found, cell, amount, doses):
        return None
    grouped = with_thousands(cell.text, doses.amounts)
    if grouped is not None:
        found.refuse(
            cell, f"may be {amount:g}, or {grouped:g} with a point as thousands separator: write {amount:g} or {grouped:g}"
        )
        return None
    return amount


def refuse_unit(found: Findings, cell: Cell, amount: float, doses: Doses) -> bool:
    """Reject an amount that is a dose of the protocol in another unit, and return whether it is one."""
    for known in doses.amounts:
        for factor, words in ((_MILLION, "10^6 times"), (1 / _MILLION, "a millionth of")):
            if math.isclose(amount, known * factor, rel_tol=1e-9) and matched(amount, doses)[0] is None:
                found.refuse(cell, f"is {words} the dose {known:g} of the protocol: it must be an amount in {doses.unit}")
                return True
    return False


def earliest_day(found: Findings, cell: Cell, not_before: date) -> Dated | None:
    """Return the day in a cell, or the earliest possible day of a partial date, with a note.

    A partial date that is entirely before ``not_before`` is a finding; ``None`` if the cell is empty.
    """
    if not cell.text or not partial_date(cell.text):
        day = found.day(cell)
        return None if day is None else Dated(day, cell)
    days = found.possible(cell)
    if days is None:
        return None
    narrowed = days.narrowed(not_before=not_before)
    if narrowed is None or narrowed.earliest is None:
        found.refuse(cell, f"is before {not_before} on all its possible days")
        return None
    words = _("{row}: {column} is {text}; read as the earliest possible day, {date}")
    place = {"row": noted_row(cell.row), "column": cell.column, "text": cell.text}
    found.notes.append(words.format(**place, date=narrowed.earliest))
    return Dated(narrowed.earliest, cell)


def one_or_more_days(found: Findings, cell: Cell) -> tuple[Dated | None, Undated | None]:
    """Return the day in a cell, otherwise the possible days of a partial date."""
    days = found.possible(cell) if cell.text else None
    if days is None:
        return None, None
    if days.certain is not None:
        return Dated(days.certain, cell), None
    return None, Undated(days, cell)


def part_of(found: Findings, cell: Cell) -> Part | None:
    """Return the part of the trial named in a cell, or ``None`` if it is empty or names none, which is a finding."""
    text = found.text(cell)
    if text is None:
        return None
    part = _PARTS.get(plain_words(text))
    if part is None:
        found.refuse(cell, f"must be a part of the trial: {', '.join(PARTS)}")
    return part


class EventColumns(NamedTuple):
    """Columns of a table of adverse events.

    If there are alternatives, the first with text is read; of grades and of relationships to treatment all are read, and
    the worse is used if they differ; an imputed start is read as collected. ``criteria`` are flags that
    make an event serious, ``death`` flags a fatal event, and ``severity`` is read if there is no grade. If ``initial`` grades
    differ, the lower is used; ``ongoing`` states that an event had not ended, ``flagged`` that it is a DLT according to the
    investigator, ``emergent`` that it began or worsened on treatment; records of one event share an identifier of ``links``.
    """

    term: tuple[str, ...]
    grade: tuple[str, ...]
    related: tuple[str, ...]
    start: tuple[str, ...]
    imputed: str | None = None
    serious: tuple[str, ...] = ("AESER",)
    outcome: tuple[str, ...] = ("AEOUT",)
    organ_class: tuple[str, ...] = ("AESOC", "AEBODSYS")
    criteria: tuple[str, ...] = ("AESLIFE", "AESHOSP", "AESDISAB", "AESCONG", "AESMIE")
    death: tuple[str, ...] = ("AESDTH",)
    severity: tuple[str, ...] = ("AESEV", "ASEV")
    initial: tuple[str, ...] = ("AEITOXGR", "AEITOXGRN")
    end: tuple[str, ...] = ("AEENDTC",)
    end_imputed: str | None = None
    ongoing: tuple[str, ...] = ("AEENRTPT", "AEENRF")
    worsened: tuple[str, ...] = ()
    flagged: tuple[str, ...] = ("AEDLT", "DLT", "AEDLTFL", "DLTFL", "AEDLTYN")
    emergent: tuple[str, ...] = ("TRTEMFL", "AETRTEM")
    links: tuple[str, ...] = ("AEGRPID", "AELNKID", "AESPID")

    def there(self, table: Table) -> EventColumns:
        """Return the columns in the table; for fields whose cells findings name, the first if it has none."""
        has = set(table.columns)
        named = ("term", "related", "start", "organ_class", "end")
        found: dict[str, tuple[str, ...]] = {}
        for field_name, names in self._asdict().items():
            if isinstance(names, tuple):
                own = tuple(name for name in names if name in has)
                found[field_name] = own or (names[:1] if field_name in named else ())
        return self._replace(**found)


def adverse_events(
    found: Findings,
    draft: Draft,
    table: Table,
    columns: EventColumns,
    people: str,
    steps: Steps,
    dlt: DLT,
    supplements: Mapping[str, tuple[str, ...]] | None = None,
) -> None:
    """Read a table of adverse events into the draft.

    ``people`` names the table of patients, ``dlt`` defines which events are considered, ``supplements`` has the rows of
    supplemental qualifiers read with an event, by its row.
    """
    draft.events = {entry.subject: [] for entry in draft.entries}
    columns = columns.there(table)
    links: dict[str, tuple[tuple[str, str], ...]] = {}
    counts: Counter[str] = Counter()
    beside = supplements or {}
    for row in steps(table.rows):
        subject = draft.owner(found, row, people)
        if subject is None:
            if row.subject in draft.absent:
                _nothing_given(found, row, columns, dlt)
            draft.listed += [Listed(source, draft.absent[row.subject]) for source in beside.get(row.source, ())]
            continue
        term = found.text(row.first_filled(columns.term), required=True)
        grade = _grade(found, row, columns.grade)
        fatal, outcome = _outcome(found, row, columns)
        start, days = _start(found, row, columns)
        event = AdverseEvent(
            term=term or "",
            grade=grade,
            related=_related(found, row, columns, dlt),
            start=start,
            source=row.source,
            serious=_serious(found, row, columns, fatal, grade),
            outcome=outcome,
            organ_class=found.text(row.first_filled(columns.organ_class)),
            days=days,
            initial_grade=_grade(found, row, columns.initial, initial=True),
            supplements=beside.get(row.source, ()),
        )
        if columns.links:
            links[row.source] = links_of(row, columns.links)
        draft.events.setdefault(subject, []).append(with_details(found, row, columns, event, dlt, counts))
    found.notes += [f"{table.name}: {_(label)}: {number:,}" for label, number in counts.items() if number]
    _note_outcomes(found, table, columns)
    for subject, events in draft.events.items():
        if links:
            events[:] = link_records(found, subject, events, links, dlt)
        events.sort(key=_in_order)


def _in_order(event: AdverseEvent) -> tuple[bool, date, str, int, str, str]:
    """Return the sort key of a patient's events, independent of the order of their rows; those without a start come last."""
    days = "" if event.days is None else event.days.text
    return event.start is None, event.start or date.min, event.term, event.grade or 0, event.related or "", days


def _filled(row: Row, columns: tuple[str, ...]) -> list[Cell]:
    """Return the cells of these columns that are not empty."""
    return [cell for cell in map(row.cell, columns) if cell.text]


def _outcome(found: Findings, row: Row, columns: EventColumns) -> tuple[bool, str | None]:
    """Return whether a flag, the severity, a term or a code reports a fatal event, and the outcome.

    The outcome of such an event is "fatal" unless its own words report a death; a note states the cell that was used.
    """
    outcomes = _filled(row, columns.outcome)
    outcome = found.text(outcomes[0]) if outcomes else None
    signs = [cell for cell in map(row.cell, columns.death) if _flagged(found, cell)]
    signs += [row.cell(name) for name in (*columns.severity, *columns.term) if is_death(row.cells.get(name))]
    signs += [cell for cell in outcomes if is_fatal_outcome(cell.text) and not is_death(outcome)]
    if signs and not is_death(outcome):
        words = _("{row}: read as fatal because of {column}, although no outcome is recorded")
        if outcome is not None:
            words = _("{row}: read as fatal because of {column}, although the outcome is {outcome}")
        place = {"row": noted_row(row), "column": signs[0].column, "outcome": shown_key((outcome or "")[:80])}
        found.notes.append(words.format(**place))
        return True, "fatal"
    if outcome is not None and not signs and resembles_death(outcome):
        found.refuse(
            outcomes[0], "is close to a word for death: write fatal if it was, otherwise recovered, not recovered or unknown"
        )
    return bool(signs), outcome


def _note_outcomes(found: Findings, table: Table, columns: EventColumns) -> None:
    """Note the outcomes that were not recognised, which are read as not fatal."""
    times = Counter(text for row in table.rows for name in columns.outcome if (text := row.cells.get(name)))
    unknown = {text: number for text, number in times.items() if not is_understood_outcome(text)}
    if unknown:
        listed = ", ".join(f"{shown_key(text[:80])} ({number})" for text, number in sorted(unknown.items()))
        words = _("{table}: outcomes not recognised, read as not fatal (number of events): {outcomes}")
        found.notes.append(words.format(table=table.name, outcomes=listed))


def _flagged(found: Findings, cell: Cell) -> bool:
    """Return whether a flag is set; unknown and not applicable are read as empty."""
    return bool(yes_or_unknown(found, cell))


def _serious(found: Findings, row: Row, columns: EventColumns, fatal: bool, grade: int | None) -> bool | None:
    """Return whether an event is serious: by its flag, by any criterion of seriousness, or by its severity if it has no grade."""
    flags = [found.yes(cell, or_unknown=True) for cell in map(row.cell, columns.serious)]
    criteria = [cell for cell in map(row.cell, columns.criteria) if _flagged(found, cell)]
    if grade is None:
        criteria += [cell for cell in map(row.cell, columns.severity) if plain_words(cell.text) == "life threatening"]
    if True in flags or fatal or criteria:
        if False in flags:
            because = criteria[0].column if criteria else _("a fatal outcome") if fatal else _("another column")
            words = _("{row}: read as serious because of {reason}, although flagged as not serious")
            found.notes.append(words.format(row=noted_row(row), reason=because))
        return True
    return False if False in flags else None


def _related(found: Findings, row: Row, columns: EventColumns, dlt: DLT) -> str | None:
    """Return the relationship to treatment; if columns differ in meaning, the one closer to related, with a note."""
    words = [word for cell in _filled(row, columns.related) if (word := found.text(cell)) is not None]
    if not words:
        return found.text(row.cell(*columns.related))
    if len(words) == 1:
        return words[0]
    ranks = [_rank_of_relationship(dlt, word) for word in words]
    chosen = words[ranks.index(max(ranks))]
    if min(ranks) < max(ranks):
        given = _(" and ").join(shown_key(word[:80]) for word in words)
        note = _("{row}: the relationship to treatment is given as {given}; read as {read}")
        found.notes.append(note.format(row=noted_row(row), given=given, read=shown_key(chosen[:80])))
    return chosen


def _rank_of_relationship(dlt: DLT, word: str) -> int:
    """Rank a word: 0 not related, 1 open, 2 not in the protocol, 3 related."""
    try:
        return {False: 0, None: 1, True: 3}[dlt.is_related(word)]
    except InputError:
        return 2


def _nothing_given(found: Findings, row: Row, columns: EventColumns, dlt: DLT) -> None:
    """Report a related event of grade 3 or worse in a subject without an infusion, because the infusion may be missing.

    If the relationship is open, the event is noted only: without an infusion it is normally not assessed.
    """
    least, grade = dlt.least_grade_of(row.first_filled(columns.term).text), _grade(found, row, columns.grade)
    related = max(
        _filled(row, columns.related), key=lambda cell: _rank_of_relationship(dlt, cell.text), default=row.cell(*columns.related)
    )
    try:
        is_related = dlt.is_related(found.text(related))
    except InputError:
        is_related = None
    if grade is None or least is None or grade < least or is_related is False:
        return
    if is_related:
        words = f"is at least possibly related, for an event of grade {grade}: such an event needs an earlier infusion"
        found.refuse(related, words)
    else:
        note = _("{row}: event of grade {grade} without an infusion, relationship to treatment open: not counted")
        found.notes.append(note.format(row=noted_row(row), grade=grade))


def _grade(found: Findings, row: Row, columns: tuple[str, ...], initial: bool = False) -> int | None:
    """Return a grade; if columns differ the worse, for initial grades the better, with a note."""
    grades = {}
    for cell in map(row.cell, columns):
        text = found.text(cell)
        none = initial and text is not None and _NO_GRADE.fullmatch(text) is not None
        grade = 0 if none else grade_of(text) if text is not None else None
        if grade is not None:
            grades[cell.column] = grade
        elif text is not None:
            found.refuse(cell, why_no_grade(text, least=0 if initial else 1))
    if len(set(grades.values())) > 1:
        given = ", ".join(f"{column} = {grade}" for column, grade in grades.items())
        words = _("{row}: {grades}; the lower grade is read") if initial else _("{row}: {grades}; the higher grade is read")
        found.notes.append(words.format(row=noted_row(row), grades=given))
    return (min if initial else max)(grades.values(), default=None)


def _start(found: Findings, row: Row, columns: EventColumns) -> tuple[date | None, Days | None]:
    """Return the day on which an event began, otherwise its possible start days, with a note."""
    start, days, cell = start_of(found, row, columns)
    if start is None and days is not None:
        imputed = columns.imputed is not None and cell.column == columns.start[0] and row.cell(columns.imputed).text
        words = _("{row}: {column} is empty, so the event is kept with all its possible start days")
        if imputed:
            words = _("{row}: {column} is an imputed date (flag {flag}), so the event is kept with all its possible start days")
        elif cell.text:
            words = _("{row}: {column} is not a full date ({text}), so the event is kept with all its possible start days")
        found.notes.append(words.format(row=noted_row(row), column=cell.column, flag=imputed, text=cell.text))
    return start, days if days is not None and (days.text or days.latest) else None


def start_of(found: Findings, row: Row, columns: EventColumns) -> tuple[date | None, Days | None, Cell]:
    """Return the day on which an event began, otherwise its possible start days, and the cell that states them.

    An event began by the day on which it ended. The date as collected is read if the first column is empty or imputed.
    """
    cells = [row.cell(name) for name in columns.start if name in row.cells] or [row.cell(*columns.start)]
    cell = next((cell for cell in cells if cell.text), cells[0])
    flag = "" if columns.imputed is None or cell.column != columns.start[0] else row.cell(columns.imputed).text
    if flag:
        collected = next((other for other in cells if other.text and other is not cell), None)
        days = _imputed(found, cell, flag) if collected is None else found.possible(collected)
        cell = collected or cell
    elif cell.text and not partial_date(cell.text):
        return found.day(cell), None, cell
    else:
        days = found.possible(cell)
    if days is None:
        return None, None, cell
    days = days.narrowed(not_after=_ended_by(row, columns)) or days
    return days.certain, None if days.certain else days, cell


def _imputed(found: Findings, cell: Cell, flag: str) -> Days | None:
    """Return the days that an imputed date leaves possible: D means an imputed day, M also the month, other flags everything.

    Flags of ADaM such as ASTDTF (ADaM Implementation Guide 1.3, section 3.1.3).
    """
    day = found.day(cell)
    return None if day is None else read_days(_as_known(day.isoformat(), flag))


def _as_known(text: str, flag: str) -> str:
    """Return the known parts of an imputed date."""
    return text[: {"D": 7, "M": 4}.get(flag.upper(), 0)]


def _ended_by(row: Row, columns: EventColumns) -> date | None:
    """Return the last possible end day of an event, or ``None`` if no end date can be read.

    The date as collected is read before the analysis date, whose imputed parts are unknown.
    """
    for name in reversed(columns.end):
        text, flag = row.cells.get(name, ""), row.cells.get(columns.end_imputed or "", "")
        if text:
            days = possible_days(_as_known(text, flag) if flag and name == columns.end[0] else text)
            return None if days is None else days.latest
    return None


def to_patient(found: Findings, entry: Entry, cohort: int | None, events: dict[str, list[AdverseEvent]] | None) -> Patient:
    """Return the patient of an entry, after checking its dates against each other."""
    for before, after in pairwise(entry.infusions):
        if after.day <= before.day:
            found.refuse(after.cell, "must be later than the previous infusion")
    last = entry.last
    if entry.last_contact and entry.last_contact.day < last:
        found.refuse(entry.last_contact.cell, "must not be before the last infusion")
    if entry.left_treatment and entry.left_treatment.day < entry.first:
        found.refuse(entry.left_treatment.cell, "must not be before the first infusion")
    if entry.discontinued and entry.discontinued.day < entry.first:
        found.refuse(entry.discontinued.cell, "must not be before the first infusion")
    if entry.dlt_date and entry.dlt_date.day < entry.first:
        found.refuse(entry.dlt_date.cell, "a DLT must not be before the first infusion")
    if entry.dlt_date and entry.last_contact and entry.dlt_date.day > entry.last_contact.day:
        found.refuse(entry.dlt_date.cell, "a DLT must not be after the last contact")
    for death in [entry.died] if entry.died else entry.deaths:
        if death.day < last:
            found.refuse(death.cell, "the day of death must not be before the last infusion")
    if entry.rescued and entry.rescued.day < entry.first:
        found.refuse(entry.rescued.cell, "must not be before the first infusion")
    if entry.dlt_days and entry.dlt_days.days.narrowed(not_before=entry.first) is None:
        found.refuse(entry.dlt_days.cell, "a DLT must not be before the first infusion")
    own = () if events is None else tuple(events.get(entry.subject, ()))
    if (day := _day_of_death(entry)) is not None:
        own = tuple(_begun_by(event, day) for event in own)
    died, recorded = _died(found, entry, own)
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
        died=died,
        died_recorded=recorded,
        evaluable=entry.evaluable,
        evaluable_reason=entry.evaluable_reason,
        left_treatment=entry.left_treatment.day if entry.left_treatment else None,
        left_treatment_reason=entry.left_treatment_reason,
        dlt_days=entry.dlt_days.days if entry.dlt_days else None,
        labs=tuple(sorted(entry.labs, key=lambda lab: (lab.day, lab.test, lab.source))),
        assessments=tuple(sorted(entry.assessments, key=lambda seen: (seen.day or date.max, not seen.baseline, seen.source))),
        rescued=entry.rescued.day if entry.rescued else None,
        assigned_by=entry.assigned_by,
    )


def _day_of_death(entry: Entry) -> date | None:
    """Return the day of death from a record with a full date: the date of death, or discontinuation by death."""
    if entry.died is not None:
        return entry.died.day
    if entry.death_days:
        return None
    left = entry.discontinued if is_death(entry.reason) else None
    days = [*entry.deaths, *([left] if left is not None and not partial_date(left.cell.text) else [])]
    return max((dated.day for dated in days), default=None)


def _begun_by(event: AdverseEvent, day: date) -> AdverseEvent:
    """Return an event that began by a day; unchanged if its date contradicts that."""
    if event.start is not None:
        return event
    days = event.possible.narrowed(not_after=day)
    return event if days is None else event._replace(start=days.certain, days=None if days.certain else days)


def _died(found: Findings, entry: Entry, events: tuple[AdverseEvent, ...]) -> tuple[date | None, bool]:
    """Return the day of death, and whether the data have it.

    It is the recorded date, the day of discontinuation by death, the onset of a fatal event, or the last day known, which is not a
    recorded date. A fatal event that began before the first infusion, or at an unknown time, gives no day of death: the last day
    known is used, so that no death is lost.
    """
    leaving = [death.day for death in entry.deaths]
    if is_death(entry.reason) and entry.discontinued is not None:
        leaving.append(entry.discontinued.day)
    fatal = [event for event in events if event.grade == _FATAL or is_death(event.outcome)]
    onsets = [event.start for event in fatal if event.start is not None]
    last_infusion = entry.last
    if entry.died is not None:
        return entry.died.day, True
    if entry.death_days:
        # A day of discontinuation is that of the death only if the partial date of death includes it.
        leaving = [day for day in leaving if any(day in days for days, _ in entry.death_days)]
    if leaving:
        return max(leaving), True
    if entry.dead is None and not entry.death_days and not fatal:
        return None, True
    if entry.dead is None and not entry.death_days and onsets and max(onsets) >= entry.first:
        return max(*onsets, last_infusion), True
    dated = [dated_fact.day for dated_fact in (entry.last_contact, entry.discontinued, entry.dlt_date) if dated_fact]
    known = max([last_infusion, *dated, *(event.start for event in events if event.start is not None)])
    if entry.death_days:
        return _earliest_death(found, entry, known), True
    words = _("{subject}: died, without a full date: shown on the last day known, {date}")
    found.notes.append(words.format(subject=noted_subject(entry.subject), date=known))
    return known, False


def _earliest_death(found: Findings, entry: Entry, known: date) -> date:
    """Return the earliest day that a partial date of death allows, after the last day known if possible."""
    earliest = []
    for days, cell in entry.death_days:
        narrowed = days.narrowed(not_before=known) or days.narrowed(not_before=entry.last)
        if narrowed is None or narrowed.earliest is None:
            found.refuse(cell, "the day of death must not be before the last infusion")
        else:
            earliest.append(narrowed.earliest)
    died = min(earliest, default=known)
    shown = ", ".join(dict.fromkeys(str(days) for days, _ in entry.death_days))
    words = _("{subject}: died on a partial date, {partial}: read as the earliest possible day, {date}")
    found.notes.append(words.format(subject=noted_subject(entry.subject), partial=shown, date=died))
    return died
