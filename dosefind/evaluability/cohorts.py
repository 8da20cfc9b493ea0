"""Cohorts of the escalation, groups outside it, and replacements: from verdicts to statuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from ..patients import Part, Patient
from ..protocol import Protocol
from ..words import _
from .evaluated import UNTREATED, Members, Status
from .verdict import Verdict, followed_to, has_data
from .window import dose_administered, rules_of, window

__all__ = ["cohort_numbers", "in_order", "members", "others", "statuses"]


def in_order(patient: Patient, verdict: Verdict) -> tuple[date, int, int, str]:
    """Return the sort key of a patient: by first infusion; on the same day, the highest level first, then DLTs first.

    In this way no name determines the latest dose or the members of a cohort.
    """
    kinds = ("dlt", "pending", "complete", "not evaluable", "replaced")
    return patient.infusions[0], -(patient.level or 0), kinds.index(verdict.kind), patient.subject


def cohort_numbers(
    patients: Sequence[Patient], verdicts: Sequence[Verdict], parts: Sequence[Part], protocol: Protocol
) -> tuple[dict[str, int | None], list[str]]:
    """Return the number of each patient's cohort, as given or derived, and a note if derived.

    Patients outside the escalation belong to no cohort.
    """
    if not patients or any(patient.cohort is not None for patient in patients):
        return {patient.subject: patient.cohort for patient in patients}, []
    numbers: dict[str, int | None] = {}
    by_number: list[list[tuple[Patient, Verdict]]] = []
    for member, verdict, part in zip(patients, verdicts, parts, strict=True):
        if member.level is None or part != "escalation":
            numbers[member.subject] = None
            continue
        number = _joins(member, numbers, by_number, protocol)
        if number > len(by_number):
            by_number.append([])
        by_number[number - 1].append((member, verdict))
        numbers[member.subject] = number
    return numbers, [_("cohorts derived from the doses, the order of the first infusions and the cohort size")]


def _joins(
    patient: Patient, numbers: dict[str, int | None], by_number: list[list[tuple[Patient, Verdict]]], protocol: Protocol
) -> int:
    """Return the number of the cohort that a patient joins: the replaced patient's, an open one at the dose, or a new one.

    A cohort is open while it has fewer evaluable patients than its size, as known on the patient's first day, unless another dose
    has since been started and all its windows have ended; a return to the dose then begins a new cohort.
    """
    day, last = patient.infusions[0], len(by_number)
    replaced = numbers.get(patient.replaces) if patient.replaces else None
    if replaced is not None and by_number[replaced - 1][0][0].level == patient.level:
        return replaced
    number = next((number for number in range(last, 0, -1) if by_number[number - 1][0][0].level == patient.level), None)
    if number is not None:
        members = by_number[number - 1]
        lost = [v.kind == "not evaluable" and v.closed is not None and v.closed <= day for _, v in members]
        latest = max(window(member, protocol)[1] for member, _ in members)
        # Above the latest dose a new cohort is formed, so that its data are considered separately and not hidden in an earlier
        # cohort.
        open_ = number == last or ((patient.level or 0) <= (by_number[-1][0][0].level or 0) and day < latest)
        if lost.count(False) < rules_of(patient, protocol).limits.size_of_cohort(number) and open_:
            return number
    return last + 1


def members(patients: Sequence[Patient], numbers: dict[str, int | None], parts: Sequence[Part]) -> tuple[Members, ...]:
    """Return the cohorts of the escalation in the order of their first infusion, which is that of ``patients``."""
    found: dict[tuple[int, int], list[str]] = {}
    for patient, part in zip(patients, parts, strict=True):
        number = numbers[patient.subject]
        if number is not None and patient.level is not None and part == "escalation":
            found.setdefault((number, patient.level), []).append(patient.subject)
    return tuple(Members(number, level, tuple(subjects)) for (number, level), subjects in found.items())


def others(patients: Sequence[Patient], parts: Sequence[Part], protocol: Protocol) -> tuple[Members, ...]:
    """Return the groups of other parts with pooled data, by part and level, in the order of their first infusion."""
    found: dict[tuple[str, int], list[str]] = {}
    for patient, part in zip(patients, parts, strict=True):
        if part in protocol.evaluability.pooled_parts and patient.level is not None:
            found.setdefault((part, patient.level), []).append(patient.subject)
    return tuple(Members(0, level, tuple(subjects), part) for (part, level), subjects in found.items())


def statuses(
    patients: Sequence[Patient],
    verdicts: Sequence[Verdict],
    numbers: dict[str, int | None],
    parts: Sequence[Part],
    protocol: Protocol,
    cut: date,
) -> Iterator[Status]:
    """Yield the verdicts with the cohort, and with the replacement of patients who are not evaluable.

    A patient evaluable for DLT is not replaced, whatever a later row says: a DLT always counts.
    """
    lost = {patient.subject for patient, verdict in zip(patients, verdicts, strict=True) if verdict.kind == "not evaluable"}
    replaced_by: dict[str, str] = {}
    seen: set[str] = set()
    for member in patients:
        if member.replaces in lost & seen:
            replaced_by.setdefault(member.replaces, member.subject)
        seen.add(member.subject)
    pooled = ("escalation", *protocol.evaluability.pooled_parts)
    for member, verdict, part in zip(patients, verdicts, parts, strict=True):
        first, end = window(member, protocol)
        by = replaced_by.get(member.subject)
        replaced = _("replaced by {subject}: {reason}")
        reason = verdict.rule if by is None else replaced.format(subject=by, reason=verdict.rule)
        fraction = max(0.0, min(1.0, (followed_to(member, verdict.closed or cut) - first).days / (end - first).days))
        informed = has_data(member) or verdict.kind in ("dlt", "complete")
        weight = None
        if verdict.weighted:
            # Of a distribution that depends on the DLT rate, at the target.
            whole = (end - first).days
            weight = float(protocol.days_to_dlt.share(fraction * whole * informed, protocol.target.rate, whole))
        yield Status(
            subject=member.subject,
            cohort=numbers[member.subject],
            level=None if part in UNTREATED else member.level,
            kind=verdict.kind if by is None else "replaced",
            rule=f"{reason}{verdict.basis}",
            reason=reason,
            first=first,
            end=end,
            closed=verdict.closed,
            days_to_go=max(0, (end - cut).days) if verdict.kind == "pending" else 0,
            fraction=fraction,
            source=verdict.source or member.source,
            replaced_by=by,
            unresolved=verdict.unresolved,
            suspected=verdict.suspected and verdict.kind == "pending",
            otherwise=verdict.otherwise,
            part=part,
            pooled=part in pooled,
            held=verdict.held,
            overdue=part not in UNTREATED
            and (verdict.otherwise or verdict.kind) == "pending"
            and verdict.unresolved
            and member.died is None
            and end < cut,
            assessed=member.dlt is True
            or (member.dlt is False and followed_to(member, cut) >= end)
            or verdict.adjudication is not None,
            derived=verdict.derived,
            adjudication=verdict.adjudication,
            recorded=member.evaluable,
            settled_by=verdict.settled_by if verdict.kind == "pending" else (),
            questions=() if verdict.kind == "dlt" else verdict.questions,
            administered=None if part in UNTREATED else dose_administered(member, protocol),
            weight=weight,
            interval_days=rules_of(member, protocol).treatment.interval_days,
            known_to=cut,
            informed=informed,
        )
