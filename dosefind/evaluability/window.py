"""The DLT window of a patient, by the version of the protocol in force at the first infusion."""

from __future__ import annotations

from datetime import date, timedelta

from ..patients import AdverseEvent, Patient
from ..protocol import Protocol

__all__ = ["dose_administered", "followed_after_last", "in_window", "is_before", "rules_of", "window"]


def rules_of(patient: Patient, protocol: Protocol) -> Protocol:
    """Return the version of the protocol by which a patient is judged: the one in force at the first infusion."""
    return protocol.in_force(patient.infusions[0]) if patient.infusions else protocol


def window(patient: Patient, protocol: Protocol) -> tuple[date, date]:
    """Return the first and last day of the DLT window."""
    first = patient.infusions[0]
    return first, first + timedelta(days=rules_of(patient, protocol).treatment.dlt_window_days)


def followed_after_last(patient: Patient, protocol: Protocol) -> tuple[int, int]:
    """Return the days of the DLT window that follow the patient's last infusion, and those that are planned to.

    The window has a fixed number of days from the first infusion, so that a late infusion shortens what follows the last one; the
    first number is then negative or below the second. Infusions within the tolerance are on schedule.
    """
    treatment = rules_of(patient, protocol).treatment
    planned = treatment.dlt_window_days + 1 - treatment.infusion_days[treatment.planned_infusions - 1]
    last = max(patient.infusions[: treatment.planned_infusions])
    days = (window(patient, protocol)[1] - last).days
    return (planned if days >= planned - treatment.infusion_tolerance_days else days), planned


def dose_administered(patient: Patient, protocol: Protocol) -> float:
    """Return the amount administered per planned infusion in the DLT window.

    Infusions that were not given are not included here: ``evaluability.partial_course`` covers them.
    """
    first, end = window(patient, protocol)
    given = [amount for day, amount in zip(patient.infusions, patient.administered, strict=True) if first <= day <= end]
    return sum(given) / min(len(given), rules_of(patient, protocol).treatment.planned_infusions)


def in_window(event: AdverseEvent, first: date, end: date) -> bool | None:
    """Return whether an event began in the DLT window, or ``None`` if its date may be inside or outside."""
    return first <= event.start <= end if event.start is not None else event.possible.within(first, end)


def is_before(event: AdverseEvent, first: date) -> bool:
    """Return whether an event began before a day, on any of its possible days."""
    last = event.start if event.start is not None or event.days is None else event.days.latest
    return last is not None and last < first
