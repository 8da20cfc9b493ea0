"""Patients of a trial as their data say, before anybody judges who counts: what intake makes and evaluability reads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, NamedTuple, get_args

from ._check import Shown

__all__ = ["PARTS", "SAME_AMOUNT", "AdverseEvent", "Listed", "Part", "Patient", "Patients"]

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
        CTCAE grade, 1 to 5; ``None`` where the data give none.
    related
        Word for the relation to the treatment, as in the data; ``None`` where they give none. What a word says, the protocol says.
    start
        Day on which it began; ``None`` where the data give no full date.
    source
        The row that it was read from, such as ``ae.csv row 7``.
    serious
        Whether the data call it serious; ``None`` where they do not say.
    outcome
        Outcome as in the data.
    organ_class
        System organ class as in the data.
    """

    term: str
    grade: int | None
    related: str | None
    start: date | None
    source: str
    serious: bool | None = None
    outcome: str | None = None
    organ_class: str | None = None


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
        Day of death; ``None`` where the data have none.
    assigned_by
        Column or variable that assigns the level, such as ``ACTARMCD``; ``None`` where the level is that of the amount. It says
        where the level was read, so two patients are equal whatever it is.
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
    assigned_by: str | None = field(default=None, compare=False)

    @property
    def administered(self) -> tuple[float, ...]:
        """Amount administered at each infusion."""
        return self.amounts or (self.amount,) * len(self.infusions)

    @property
    def as_assigned(self) -> bool:
        """Whether every infusion so far had the assigned amount."""
        return all(math.isclose(amount, self.amount, rel_tol=SAME_AMOUNT) for amount in self.administered)

    def dates(self) -> Iterator[tuple[str, date]]:
        """Every date that there is, with its place."""
        places = [(f"infusion {number}", day) for number, day in enumerate(self.infusions, start=1)]
        places += [(name, getattr(self, name)) for name in ("last_contact", "dlt_date", "discontinued", "died")]
        places += [(f"start of the event of {event.source}", event.start) for event in self.events or ()]
        return ((place, day) for place, day in places if day is not None)


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
