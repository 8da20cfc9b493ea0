"""Patients of a trial as their data say, before anybody judges who counts: what intake makes and evaluability reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple, get_args

from ._check import Shown

__all__ = ["PARTS", "AdverseEvent", "Listed", "Part", "Patient", "Patients"]

Part = Literal["escalation", "backfill", "expansion", "run-in", "placebo", "control"]
"""A part of a trial; only the escalation drives the next dose."""
PARTS: tuple[Part, ...] = get_args(Part)


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
        Dose level from 1; ``None`` where the amount given is none of the protocol's.
    amount
        Dose amount in the protocol's unit.
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
        Amount of each infusion, where they are not all ``amount``, which then is that of the first; empty where they are.
    part
        Part of the trial, as the data say; ``None`` where they do not, which is read as escalation.
    died
        Day of death; ``None`` where the data have none.
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
    died_recorded: bool = True

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
