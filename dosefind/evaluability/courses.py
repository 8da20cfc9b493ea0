"""The course of each patient as far as it has been followed up: infusions, days, DLT, and the exposure of each interval."""

from __future__ import annotations

import math
from datetime import date, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from ..days import read_days
from ..exposure import Interval, intervals_of
from ..patients import SAME_AMOUNT, Patient
from ..words import _, marked

if TYPE_CHECKING:
    from .evaluated import Status
    from .serious import SeriousEvent

__all__ = ["NO_INFORMATION", "Course", "course_of"]

NO_INFORMATION = marked("no information on DLTs")
"""Why a patient is left out whose follow-up says nothing on DLTs: neither adverse events nor a DLT assessment."""


class Course(NamedTuple):
    """The course of one patient as far as it has been followed up.

    Attributes
    ----------
    subject
        The identifier supplied by the user.
    level
        Dose level from 1; ``None`` for a dose not in the protocol.
    infusions
        Study day (from 0, the day of the first infusion) and amount of each infusion.
    days
        Days from the first infusion to the DLT or to the end of follow-up.
    dlt
        Whether there was a DLT.
    intervals
        Exposure and DLT in each interval; empty if the patient informs no hazard.
    left_out
        The reason for that, in words.
    """

    subject: str
    level: int | None
    infusions: tuple[tuple[int, float], ...]
    days: int
    dlt: bool
    intervals: tuple[Interval, ...]
    left_out: str = ""


def course_of(patient: Patient, status: Status, cut: date, holding: list[SeriousEvent]) -> Course:
    """Return the course of a patient at a data cutoff date.

    Follow-up without a DLT ends with the DLT window, on discontinuation or death, or the day before an event that may be a DLT;
    that with a DLT of a partial date on its earliest possible day.
    Infusions planned after the day by which the data are known are taken as given, if follow-up extends beyond them: as on a later
    date at which the outcome is supposed to be known.

    Parameters
    ----------
    patient, status
        The patient, with the status at the data cutoff date.
    cut
        That date.
    holding
        Serious events of the patient that await adjudication.
    """
    window, dlt = (status.end - status.first).days, status.kind == "dlt"
    days = min((_followed(patient, status, cut, holding) - status.first).days, window)
    # A DLT on the day of the first infusion is one of its first day of follow-up.
    days = max(days, 1) if dlt else max(days, 0)
    infusions = _infusions(patient, status, days)
    reason = _left_out(status)
    # Follow-up of a day on which nothing can have been observed is no exposure.
    parts = () if reason else intervals_of(infusions, status.interval_days, window, days, dlt)
    return Course(
        patient.subject, status.level, infusions, days, dlt, tuple(part for part in parts if part.exposure or part.events), reason
    )


def _left_out(status: Status) -> str:
    """Return why a patient informs no hazard, in words; empty if the patient does."""
    if not status.pooled:
        return _("{part}: not pooled").format(part=_(status.part))
    if status.level is None:
        return _("dose not in the protocol")
    if not status.informed and status.kind not in ("dlt", "complete"):
        return _(NO_INFORMATION)
    excluded = status.recorded is False or (status.adjudication is not None and status.adjudication.conclusion == "not evaluable")
    return _("recorded or adjudicated not evaluable") if excluded and status.kind in ("not evaluable", "replaced") else ""


def _followed(patient: Patient, status: Status, cut: date, holding: list[SeriousEvent]) -> date:
    """Return the last day known to be without a DLT, or the day of the DLT."""
    closed = status.closed or status.end
    if status.kind == "dlt":
        return min([closed, *_possible_days(patient, status)])
    ends = [closed if status.kind != "pending" else min(cut, status.first + timedelta(days=status.days_followed))]
    ends += [day for day in (patient.discontinued, patient.died) if day is not None]
    if status.kind == "pending" or status.held:
        # An event that may be a DLT is neither: follow-up without a DLT ends before it.
        asked = {question.source for question in status.questions} | {open_day.source for open_day in status.settled_by}
        possible = [event.start or event.possible.earliest for event in patient.events or () if event.source in asked]
        possible += [lab.day for lab in patient.labs if lab.source in asked]
        possible += [event.day for event in holding]
        if status.suspected and not possible:
            # A DLT on a day of which nothing is known.
            possible.append(None)
        ends += [(day or status.first) - timedelta(days=1) for day in possible]
    return min(ends)


def _possible_days(patient: Patient, status: Status) -> list[date]:
    """Return the earliest possible day of a DLT with a partial date: later ones would lower the DLT rate by exposure not known."""
    days = [event.possible.earliest for event in patient.events or () if event.start is None and event.source in status.source]
    days += [patient.dlt_days.earliest] if patient.dlt_days is not None else []
    adjudicated = status.adjudication
    if adjudicated is not None and isinstance(adjudicated.event_date, str):
        days.append(read_days(adjudicated.event_date).earliest)
    return [max(day, status.first) for day in days if day is not None]


def _infusions(patient: Patient, status: Status, days: int) -> tuple[tuple[int, float], ...]:
    """Return the day and amount of each infusion, with those assumed for days after the data are known."""
    pairs = zip(patient.infusions, patient.administered, strict=True)
    found = [
        (day, patient.amount if math.isclose(amount, patient.amount, rel_tol=SAME_AMOUNT) else amount) for day, amount in pairs
    ]
    given = [((day - status.first).days, amount) for day, amount in found]
    stopped = patient.left_treatment is not None or patient.discontinued is not None or patient.died is not None
    planned = (0, *accumulate(status.interval_days[:-1]))
    known = (status.known_to - status.first).days if status.known_to is not None else math.inf
    later = [] if stopped else [day for day in planned[len(given) :] if known < day < days]
    return (*given, *((day, patient.amount) for day in later))
