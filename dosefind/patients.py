"""Patients of a trial as their data say, before anybody judges who counts: what intake makes and evaluability reads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, NamedTuple, get_args

from .days import ANY_DAY, Days
from .shown import Shown

__all__ = ["PARTS", "SAME_AMOUNT", "AdverseEvent", "LabValue", "Listed", "Part", "Patient", "Patients"]

Part = Literal["escalation", "backfill", "expansion", "run-in", "placebo", "control"]
"""A part of a trial; only the escalation drives the next dose."""
PARTS: tuple[Part, ...] = get_args(Part)

SAME_AMOUNT = 1e-9
"""Relative difference of two floating-point numbers that are the same amount, such as 0.1 * 3 and 0.3."""


class AdverseEvent(NamedTuple):
    """One adverse event.

    Attributes
    ----------
    term
        What it is called, as in the data.
    grade
        Worst CTCAE grade, 1 to 5; ``None`` where the data give none.
    related
        Word for the relation to the treatment, as in the data; ``None`` where they give none. What a word says, the protocol says.
    start
        Day on which it began; ``None`` where more than one day is possible.
    source
        The row that it was read from, such as ``ae.csv row 7``.
    serious
        Whether the data call it serious; ``None`` where they do not say.
    outcome
        Outcome as in the data.
    organ_class
        System organ class as in the data.
    days
        Days on which it can have begun, where they are more than one; ``None`` where ``start`` gives the day, or where nothing is
        known of it (`possible` has the days of every event).
    initial_grade
        CTCAE grade at its start; ``None`` where the data give none.
    end
        Day on which it ended; ``None`` where the data give no full date.
    flagged_dlt
        Whether the investigator flagged this event as a DLT; ``None`` where the data do not say.
    severity
        Severity as in the data, which is not a CTCAE grade.
    worsened
        Day from which it was worse than at its start; ``None`` where the data do not say.
    ongoing
        Whether the data state that it had not ended; ``None`` where they do not say.
    emergent
        Whether the data flag it as treatment-emergent; ``None`` where they do not say.
    supplements
        Rows of supplemental qualifiers that were read with it.
    recorded_grade
        Grade as recorded, where ``grade`` is that of liver tests by the baseline; else ``None``.
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
        """The days on which it can have begun."""
        if self.start is not None:
            return Days(self.start.isoformat(), self.start, self.start)
        return ANY_DAY if self.days is None else self.days

    @property
    def onset(self) -> date | str | None:
        """The day on which it began, or its partial date as in the data; ``None`` where there is neither."""
        return self.start or (self.days.text or None if self.days is not None else None)

    def dates(self) -> Iterator[tuple[str, date | None]]:
        """Yield the dates of the event, each with its place."""
        yield f"start of the event of {self.source}", self.start or (self.days.earliest if self.days else None)
        yield f"worsening of the event of {self.source}", self.worsened
        yield f"end of the event of {self.source}", self.end

    @property
    def sources(self) -> tuple[str, ...]:
        """Every row that the event was read from."""
        return (self.source, *self.supplements)

    def known_by(self, cut: date) -> AdverseEvent:
        """Return what was known of the event by a day: of an event that became worse later, the grade at its start."""
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
    day
        Day of the sample.
    source
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


@dataclass(frozen=True)
class Patient:
    """One patient.

    Attributes
    ----------
    subject
        The identifier that the user gave; nothing else of a patient is ever shown.
    level
        Assigned dose level, from 1: as the data assign it, else that of the amount administered at the first infusion; ``None``
        where that amount is not a dose of the protocol.
    amount
        Assigned dose in the protocol's unit: that of ``level``, or, without a level, the amount administered at the first
        infusion.
    infusions
        Days of the infusions, in order; empty before the first.
    cohort
        Number of the cohort, from 1, as given or derived; ``None`` where it is still to be derived.
    last_contact
        Last day on which the patient was known to be followed up.
    dlt
        Whether there was a DLT, as a column of the data says; ``None`` where it does not.
    dlt_date
        Day of that DLT.
    discontinued
        Day on which the patient left treatment or follow-up.
    reason
        Why, as in the data.
    replaces
        Subject whom this one replaces.
    events
        Adverse events; ``None`` where there is no table of them, which is not the same as none.
    source
        The rows that this was read from.
    amounts
        Amount administered at each infusion, where any differs from ``amount``; empty where none does. `administered` has the
        amounts in either case.
    part
        Part of the trial, as the data say; ``None`` where they do not, which is read as escalation.
    died
        Day of death, or the earliest day possible where its date is partial; ``None`` where the data report no death.
    evaluable
        Whether the data record the patient as evaluable for DLT; ``None`` where no decision is recorded.
    evaluable_reason
        Reason of that decision, as in the data.
    left_treatment
        Day on which the patient stopped treatment and stayed in follow-up.
    left_treatment_reason
        Reason for stopping treatment, as in the data.
    dlt_days
        Days on which that DLT can have been, where ``dlt_date`` is not one day; ``None`` elsewhere.
    labs
        Liver tests, where the protocol grades them against the baseline; in the order of their days.
    assigned_by
        Column or variable that assigns the level, such as ``ACTARMCD``; ``None`` where the level is that of the amount. It says
        where the level was read, so two patients are equal whatever it is.
    died_recorded
        Whether the data have that day; False where it is the last day known, because they tell of a death without its day.
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
    assigned_by: str | None = field(default=None, compare=False)

    died_recorded: bool = True

    @property
    def administered(self) -> tuple[float, ...]:
        """Amount administered at each infusion."""
        return self.amounts or (self.amount,) * len(self.infusions)

    @property
    def as_assigned(self) -> bool:
        """Whether every infusion so far had the assigned amount."""
        return all(math.isclose(amount, self.amount, rel_tol=SAME_AMOUNT) for amount in self.administered)

    def dates(self) -> Iterator[tuple[str, date]]:
        """Every date that there is, with its place; of a partial date the earliest day possible, if there is one."""
        places = [(f"infusion {number}", day) for number, day in enumerate(self.infusions, start=1)]
        places += [(name, getattr(self, name)) for name in ("last_contact", "dlt_date", "discontinued", "died", "left_treatment")]
        places += [("dlt_date", self.dlt_days.earliest)] if self.dlt_days else []
        places += [place for event in self.events or () for place in event.dates()]
        places += [(f"liver test of {lab.source}", lab.day) for lab in self.labs]
        return ((place, day) for place, day in places if day is not None)

    def rows(self) -> list[str]:
        """Return every row that the patient, the adverse events and the liver tests were read from, each once."""
        events = (row for event in self.events or () for row in event.sources)
        return list(dict.fromkeys((*self.source, *events, *(lab.source for lab in self.labs))))


class Listed(NamedTuple):
    """A row that makes no patient, and why: ``screen failure``, ``no infusion``, ..."""

    source: str
    reason: str


@dataclass(frozen=True)
class Patients(Shown):
    """What a trial's tables say.

    Attributes
    ----------
    patients
        In the order of their first infusion, then of the subject.
    listed
        Rows that make no patient and no adverse event of one, each with the reason.
    rows
        How many rows were read, the headers not counted: as many as the sources of patients, events and listed rows name.
    notes
        What was derived and how, to be printed.
    last_date
        The last date in the data.
    sha256
        Hash of the files' bytes.
    keeps_contacts
        Whether the data are to have a last contact of every patient, as long as each is followed up.
    """

    patients: tuple[Patient, ...]
    listed: tuple[Listed, ...]
    rows: int
    notes: tuple[str, ...]
    last_date: date
    sha256: str
    keeps_contacts: bool = False
