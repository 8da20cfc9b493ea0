"""Patients of a trial as recorded in the data, before evaluability for DLT is judged: made by intake, read by evaluability."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, NamedTuple

from .days import ANY_DAY, Days
from .shown import Shown
from .words import marked

__all__ = ["PARTS", "SAME_AMOUNT", "AdverseEvent", "Assessment", "LabValue", "Listed", "Part", "Patient", "Patients"]

Part = Literal["escalation", "backfill", "expansion", "run-in", "placebo", "control"]
"""Part of a trial; only the escalation determines the next dose."""
PARTS: tuple[Part, ...] = (
    marked("escalation"),
    marked("backfill"),
    marked("expansion"),
    marked("run-in"),
    marked("placebo"),
    marked("control"),
)

SAME_AMOUNT = 1e-9
"""Relative difference up to which two floating-point numbers are the same amount, such as 0.1 * 3 and 0.3."""


class AdverseEvent(NamedTuple):
    """One adverse event.

    Attributes
    ----------
    term
        Reported term, as in the data.
    grade
        Worst CTCAE grade, 1 to 5; ``None`` if the data give none.
    related
        Relationship to treatment, as in the data; ``None`` if they give none. The protocol defines the meaning of each word.
    start
        Start date; ``None`` if more than one day is possible.
    source
        The row from which it was read, such as ``ae.csv row 7``.
    serious
        Whether the data record it as serious; ``None`` if they do not say.
    outcome
        Outcome, as in the data.
    organ_class
        System organ class, as in the data.
    days
        Possible start days, if there are several; ``None`` if ``start`` is the day, or if nothing is known
        (`possible` has the days of every event).
    initial_grade
        CTCAE grade at onset; ``None`` if the data give none.
    end
        End date; ``None`` if the data give no full date.
    flagged_dlt
        Whether the investigator flagged this event as a DLT; ``None`` if the data do not say.
    severity
        Severity, as in the data; not a CTCAE grade.
    worsened
        Day on which it worsened after onset; ``None`` if the data do not say.
    ongoing
        Whether the data record it as ongoing; ``None`` if they do not say.
    emergent
        Whether the data flag it as treatment-emergent; ``None`` if they do not say.
    supplements
        Rows of supplemental qualifiers read with it.
    recorded_grade
        Grade as recorded, if ``grade`` is a liver test grade relative to baseline; otherwise ``None``.
    """

    term: str
    grade: int | None
    related: str | None
    start: date | None
    source: str
    serious: bool | None = None
    outcome: str | None = None
    organ_class: str | None = None
    days: Days | None = None
    initial_grade: int | None = None
    end: date | None = None
    flagged_dlt: bool | None = None
    severity: str | None = None
    worsened: date | None = None
    ongoing: bool | None = None
    emergent: bool | None = None
    supplements: tuple[str, ...] = ()
    recorded_grade: int | None = None

    @property
    def possible(self) -> Days:
        """Return the possible start days."""
        if self.start is not None:
            return Days(self.start.isoformat(), self.start, self.start)
        return ANY_DAY if self.days is None else self.days

    @property
    def onset(self) -> date | str | None:
        """Return the start date, or its partial date as in the data, or ``None`` if there is neither."""
        return self.start or (self.days.text or None if self.days is not None else None)

    def dates(self) -> Iterator[tuple[str, date | None]]:
        """Yield the dates of the event, each with its location."""
        yield f"start of the event of {self.source}", self.start or (self.days.earliest if self.days else None)
        yield f"worsening of the event of {self.source}", self.worsened
        yield f"end of the event of {self.source}", self.end

    @property
    def sources(self) -> tuple[str, ...]:
        """Return every row from which the event was read."""
        return (self.source, *self.supplements)

    def known_by(self, cut: date) -> AdverseEvent:
        """Return the event as known on a day: for an event that worsened later, the grade at onset."""
        end = None if self.end is not None and self.end > cut else self.end
        if self.worsened is None or self.worsened <= cut:
            return self._replace(end=end)
        flag = None if self.flagged_dlt else self.flagged_dlt
        return self._replace(grade=self.initial_grade, worsened=None, end=end, flagged_dlt=flag)


class LabValue(NamedTuple):
    """A liver test.

    Attributes
    ----------
    test
        "ALT", "AST", "ALP", "GGT" or "BILI" (total bilirubin).
    value
        The result.
    uln
        Upper limit of normal, in the same unit.
    Date of the sample.
        Day of the sample.
    The row from which it was read.
        The row that it was read from.
    baseline
        Whether the data flag it as the baseline.
    """

    test: str
    value: float
    uln: float
    day: date
    source: str
    baseline: bool = False


class Assessment(NamedTuple):
    """One assessment of the efficacy endpoint.

    Attributes
    ----------
    value
        The result: 1 for a response and 0 for none, or a number in the unit of the endpoint.
    day
        Day of the assessment; ``None`` if the data give none.
    source
        The row from which it was read.
    visit
        Visit, as in the data.
    baseline
        Whether it is the baseline.
    change
        Whether the value is already the change from baseline.
    """

    value: float
    day: date | None
    source: str
    visit: str = ""
    baseline: bool = False
    change: bool = False


_DATED = ("last_contact", "dlt_date", "discontinued", "died", "left_treatment", "rescued")


@dataclass(frozen=True)
class Patient:
    """One patient.

    Attributes
    ----------
    subject
        The identifier supplied by the user; no other identifying data of a patient are shown.
    level
        Assigned dose level, from 1: as assigned in the data, otherwise that of the amount administered at the first infusion;
        ``None`` if that amount is a dose not in the protocol.
    amount
        Assigned dose in the protocol's unit: that of ``level`` or, without a level, the amount administered at the first
        infusion.
    infusions
        Dates of the infusions, in order; empty before the first.
    cohort
        Number of the cohort, from 1, as given or derived; ``None`` if it has not been derived yet.
    last_contact
        Last-contact date: the last day on which the patient was known to be in follow-up.
    dlt
        Whether there was a DLT, according to a column of the data; ``None`` if there is no such column.
    dlt_date
        Date of that DLT.
    discontinued
        Date on which the patient discontinued treatment or follow-up.
    reason
        Reason for discontinuation, as in the data.
    replaces
        Subject whom this patient replaces.
    events
        Adverse events; ``None`` if there is no table of them, which differs from having no events.
    source
        The rows from which this patient was read.
    amounts
        Amount administered at each infusion, if any differs from ``amount``; otherwise empty. `administered` has the
        amounts in either case.
    part
        Part of the trial, as in the data; ``None`` if not stated, which is read as escalation.
    died
        Date of death, or the earliest possible day if the date is partial; ``None`` if the data report no death.
    evaluable
        Whether the data record the patient as evaluable for DLT; ``None`` if no decision is recorded.
    evaluable_reason
        Reason for that decision, as in the data.
    left_treatment
        Date on which the patient stopped treatment and stayed in follow-up.
    left_treatment_reason
        Reason for stopping treatment, as in the data.
    dlt_days
        Possible days of that DLT, if ``dlt_date`` is not a single day; otherwise ``None``.
    labs
        Liver tests, if the protocol grades them relative to baseline; in date order.
    assessments
        Assessments of the efficacy endpoint, if the protocol has one.
    rescued
        Day of the first rescue treatment or transplant; ``None`` if the data report none.
    assigned_by
        Column or variable that assigns the level, such as ``ACTARMCD``; ``None`` if the level is that of the amount. It is only the
        origin of the level, so it is ignored when patients are compared.
    died_recorded
        Whether the data have that date; False if it is the last day known, because the data report a death without its date.
    """

    subject: str
    level: int | None
    amount: float
    infusions: tuple[date, ...]
    cohort: int | None = None
    last_contact: date | None = None
    dlt: bool | None = None
    dlt_date: date | None = None
    discontinued: date | None = None
    reason: str | None = None
    replaces: str | None = None
    events: tuple[AdverseEvent, ...] | None = None
    source: tuple[str, ...] = ()
    amounts: tuple[float, ...] = ()
    part: Part | None = None
    died: date | None = None
    evaluable: bool | None = None
    evaluable_reason: str | None = None
    left_treatment: date | None = None
    left_treatment_reason: str | None = None
    dlt_days: Days | None = None
    labs: tuple[LabValue, ...] = ()
    assessments: tuple[Assessment, ...] = ()
    rescued: date | None = None
    assigned_by: str | None = field(default=None, compare=False)

    died_recorded: bool = True

    @property
    def administered(self) -> tuple[float, ...]:
        """Return the amount administered at each infusion."""
        return self.amounts or (self.amount,) * len(self.infusions)

    @property
    def as_assigned(self) -> bool:
        """Return whether every infusion so far had the assigned amount."""
        return all(math.isclose(amount, self.amount, rel_tol=SAME_AMOUNT) for amount in self.administered)

    def dates(self) -> Iterator[tuple[str, date]]:
        """Return every date with its location; for a partial date the earliest possible day, if there is one."""
        places = [(f"infusion {number}", day) for number, day in enumerate(self.infusions, start=1)]
        places += [(name, getattr(self, name)) for name in _DATED]
        places += [("dlt_date", self.dlt_days.earliest)] if self.dlt_days else []
        places += [place for event in self.events or () for place in event.dates()]
        places += [(f"liver test of {lab.source}", lab.day) for lab in self.labs]
        places += [(f"assessment of {seen.source}", seen.day) for seen in self.assessments]
        return ((place, day) for place, day in places if day is not None)

    def rows(self) -> list[str]:
        """Return every row from which the patient, adverse events, liver tests and assessments were read, each once."""
        events = (row for event in self.events or () for row in event.sources)
        return list(dict.fromkeys((*self.source, *events, *(seen.source for seen in (*self.labs, *self.assessments)))))


class Listed(NamedTuple):
    """A row that is not a patient, with the reason: ``screen failure``, ``no infusion``, ..."""

    source: str
    reason: str


@dataclass(frozen=True)
class Patients(Shown):
    """The content of a trial's tables.

    Attributes
    ----------
    patients
        In order of first infusion, then of subject.
    listed
        Rows that are neither a patient nor an adverse event of one, each with the reason.
    rows
        Number of rows read, excluding headers: equal to the number of sources of patients, events and listed rows.
    notes
        Statements of what was derived and how, to be printed.
    last_date
        The latest date in the data.
    sha256
        Hash of the files' bytes.
    keeps_contacts
        Whether the data are expected to have a last-contact date for every patient as long as follow-up continues.
    """

    patients: tuple[Patient, ...]
    listed: tuple[Listed, ...]
    rows: int
    notes: tuple[str, ...]
    last_date: date
    sha256: str
    keeps_contacts: bool = False
