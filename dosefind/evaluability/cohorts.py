"""Cohorts of the escalation, groups beside it, and replacements: from verdicts to statuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from ..patients import Part, Patient
from ..protocol import Protocol
from .evaluated import UNTREATED, Members, Status
from .verdict import Verdict, followed_to
from .window import dose_administered, rules_of, window

__all__ = ["cohort_numbers", "in_order", "members", "others", "statuses"]


def in_order(patient: Patient, verdict: Verdict) -> tuple[date, int, int, str]:
    """Return what puts patients in order: by the first infusion; of one day, the highest level first, and there DLTs first.

    So no name decides which dose was given last or who belongs to a cohort.
    """
    kinds = ("dlt", "pending", "complete", "not evaluable", "replaced")
    return patient.infusions[0], -(patient.level or 0), kinds.index(verdict.kind), patient.subject


def cohort_numbers(
    patients: Sequence[Patient], verdicts: Sequence[Verdict], parts: Sequence[Part], protocol: Protocol
) -> tuple[dict[str, int | None], list[str]]:
    """Return the number of each patient's cohort, as given or derived, and a note if derived; patients outside the escalation
    join none.
    """
    if not patients or any(one.cohort is not None for one in patients):
        return {one.subject: one.cohort for one in patients}, []
    numbers: dict[str, int | None] = {}
    by_number: list[list[tuple[Patient, Verdict]]] = []
    for one, verdict, part in zip(patients, verdicts, parts, strict=True):
        if one.level is None or part != "escalation":
            numbers[one.subject] = None
            continue
        number = _joins(one, numbers, by_number, protocol)
        if number > len(by_number):
            by_number.append([])
        by_number[number - 1].append((one, verdict))
        numbers[one.subject] = number
    return numbers, ["cohorts derived from the doses, the order of the first infusions and limits.cohort_size"]


def _joins(
    patient: Patient, numbers: dict[str, int | None], by_number: list[list[tuple[Patient, Verdict]]], protocol: Protocol
) -> int:
    """Return number of the cohort that a patient joins: the replaced one's, an open one at the dose, or a new one.

    A cohort is open while fewer than its size count in it, as known on the patient's first day, unless another dose was begun since
    and all its windows are over: then the dose is come back to.
    """
    day, last = patient.infusions[0], len(by_number)
    replaced = numbers.get(patient.replaces) if patient.replaces else None
    if replaced is not None and by_number[replaced - 1][0][0].level == patient.level:
        return replaced
    number = next((number for number in range(last, 0, -1) if by_number[number - 1][0][0].level == patient.level), None)
    if number is not None:
        members = by_number[number - 1]
        lost = [v.kind == "not evaluable" and v.closed is not None and v.closed <= day for _, v in members]
        latest = max(window(one, protocol)[1] for one, _ in members)
        # Above the dose that was begun last, data of a cohort of its own are looked at, and none are hidden in an earlier one.
        here = number == last or ((patient.level or 0) <= (by_number[-1][0][0].level or 0) and day < latest)
        if lost.count(False) < rules_of(patient, protocol).limits.size_of_cohort(number) and here:
            return number
    return last + 1


def members(patients: Sequence[Patient], numbers: dict[str, int | None], parts: Sequence[Part]) -> tuple[Members, ...]:
    """Return the cohorts of the escalation in the order of their first infusion, which is that of ``patients``."""
    found: dict[tuple[int, int], list[str]] = {}
    for one, part in zip(patients, parts, strict=True):
        number = numbers[one.subject]
        if number is not None and one.level is not None and part == "escalation":
            found.setdefault((number, one.level), []).append(one.subject)
    return tuple(Members(number, level, tuple(subjects)) for (number, level), subjects in found.items())


def others(patients: Sequence[Patient], parts: Sequence[Part], protocol: Protocol) -> tuple[Members, ...]:
    """Return the groups of other parts whose data are pooled, by part and level, in the order of their first infusion."""
    found: dict[tuple[str, int], list[str]] = {}
    for one, part in zip(patients, parts, strict=True):
        if part in protocol.evaluability.pooled_parts and one.level is not None:
            found.setdefault((part, one.level), []).append(one.subject)
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

    A patient who counts is not replaced, whatever a later row says: a DLT always counts.
    """
    lost = {one.subject for one, verdict in zip(patients, verdicts, strict=True) if verdict.kind == "not evaluable"}
    replaced_by: dict[str, str] = {}
    seen: set[str] = set()
    for one in patients:
        if one.replaces in lost & seen:
            replaced_by.setdefault(one.replaces, one.subject)
        seen.add(one.subject)
    pooled = ("escalation", *protocol.evaluability.pooled_parts)
    for one, verdict, part in zip(patients, verdicts, parts, strict=True):
        first, end = window(one, protocol)
        by = replaced_by.get(one.subject)
        yield Status(
            subject=one.subject,
            cohort=numbers[one.subject],
            level=None if part in UNTREATED else one.level,
            kind=verdict.kind if by is None else "replaced",
            rule=verdict.rule if by is None else f"replaced by {by}: {verdict.rule}",
            first=first,
            end=end,
            closed=verdict.closed,
            days_to_go=max(0, (end - cut).days) if verdict.kind == "pending" else 0,
            fraction=max(0.0, min(1.0, (followed_to(one, verdict.closed or cut) - first).days / (end - first).days)),
            source=verdict.source or one.source,
            replaced_by=by,
            unresolved=verdict.unresolved,
            otherwise=verdict.otherwise,
            part=part,
            pooled=part in pooled,
            held=verdict.held,
            overdue=part not in UNTREATED
            and (verdict.otherwise or verdict.kind) == "pending"
            and verdict.unresolved
            and one.died is None
            and end < cut,
            assessed=one.dlt is True or (one.dlt is False and followed_to(one, cut) >= end) or verdict.adjudication is not None,
            derived=verdict.derived,
            adjudication=verdict.adjudication,
            recorded=one.evaluable,
            settled_by=verdict.settled_by if verdict.kind == "pending" else (),
            questions=() if verdict.kind == "dlt" else verdict.questions,
            administered=None if part in UNTREATED else dose_administered(one, protocol),
        )
