"""The status of one patient: one rule after the other, and the one that decides gives its reason and its rows.

A window of ``dlt_window_days`` days begins with the first infusion and ends that many days after it: a DLT counts if it begins on
one of these days, both ends included, and a patient without one is complete once follow-up has reached the last of them. A
further rule is one more function in `_derived`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Literal, NamedTuple

from ..adjudications import Adjudicated
from ..patients import SAME_AMOUNT, AdverseEvent, Part, Patient
from ..protocol import Protocol
from .evaluated import UNTREATED, Kind
from .serious import DEATH, SeriousEvent, adjudication_of
from .window import dose_administered, rules_of, window

__all__ = ["Case", "Verdict", "followed_to", "told_event", "toxicities", "verdict"]


class Verdict(NamedTuple):
    """What is known of a patient's outcome by the data cutoff; fields as of `Status`."""

    kind: Kind
    rule: str
    closed: date | None = None
    source: tuple[str, ...] = ()
    unresolved: bool = False
    otherwise: Kind | None = None
    held: bool = False
    derived: Kind | None = None
    adjudication: Adjudicated | None = None


class Case(NamedTuple):
    """What a verdict rests on besides the patient: the serious events and adjudications of that patient."""

    serious: tuple[SeriousEvent, ...] = ()
    adjudications: tuple[Adjudicated, ...] = ()


def verdict(patient: Patient, protocol: Protocol, cut: date, whole_data: bool, case: Case, part: Part) -> Verdict:
    """Return what is known of a patient's outcome by the data cutoff, the cohort and replacements aside.

    Parameters
    ----------
    patient
        The patient, as known by the data cutoff.
    protocol
        The protocol.
    cut
        The data cutoff.
    whole_data
        Whether the data end by the data cutoff, so that nothing of them was left out.
    case
        Serious events and adjudications of the patient.
    part
        Part of the trial.
    """
    protocol = rules_of(patient, protocol)
    derived = _derived(patient, protocol, cut, whole_data)
    found = _adjudicated(patient, protocol, cut, whole_data, case, derived)
    died_in_window = any(DEATH in one.kinds and one.in_window is not False and one.adjudication is None for one in case.serious)
    if died_in_window and found.kind != "dlt":
        day = next(one.study_day for one in case.serious if DEATH in one.kinds and one.adjudication is None)
        rule = f"died{f' on day {day}' if day is not None else ''}: waits for adjudication"
        found = Verdict("pending", rule, None, found.source or patient.source, unresolved=True)
    found = found._replace(held=any(one.holds for one in case.serious))
    if part in UNTREATED:
        return found._replace(kind="not evaluable", rule=f"{part}, not given the product", otherwise=found.kind)
    if patient.level is None:
        rule = f"dose {patient.amount:g} is none of the protocol's; otherwise {found.kind.replace('dlt', 'DLT')}: {found.rule}"
        return found._replace(kind="not evaluable", rule=rule, otherwise=found.kind)
    return found


def _adjudicated(patient: Patient, protocol: Protocol, cut: date, whole_data: bool, case: Case, derived: Verdict) -> Verdict:
    """Return the verdict as adjudications make it: one of a DLT counts first, then one of not evaluable, then one of no DLT."""
    if not case.adjudications:
        return derived
    by = {one.conclusion: one for one in case.adjudications}
    end = window(patient, protocol)[1]
    rest = _derived(_without(patient, case.adjudications), protocol, cut, whole_data)
    if (said := by.get("DLT")) is not None:
        made = Verdict("dlt", f"adjudicated a DLT on {said.adjudicated_on}", said.event_date or min(end, cut), patient.source)
    elif (said := by.get("not evaluable")) is not None and rest.kind != "dlt":
        closed = min(end, said.as_of)
        made = Verdict("not evaluable", f"adjudicated not evaluable on {said.adjudicated_on}", closed, patient.source)
    else:
        said = case.adjudications[-1]
        assessed = any(one.of_assessment and one.conclusion == "not a DLT" and one.as_of >= end for one in case.adjudications)
        made = Verdict("complete", "no DLT by the end of the window", end) if assessed and rest.kind == "pending" else rest
        made = made._replace(rule=f"{made.rule}; adjudicated {said.conclusion} on {said.adjudicated_on}")
    changed = made.kind != derived.kind
    words = f"; by the protocol's definition alone: {derived.kind.replace('dlt', 'DLT')}" if changed else ""
    return made._replace(rule=made.rule + words, derived=derived.kind if changed else None, adjudication=said)


def _without(patient: Patient, adjudications: tuple[Adjudicated, ...]) -> Patient:
    """Return the patient without the events, and without the DLT, that were adjudicated not to be one."""
    cleared = [event for event in patient.events or () if adjudication_of(adjudications, event) is not None]
    left = None if patient.events is None else tuple(event for event in patient.events if event not in cleared)
    days = {event.start for event in cleared} | {one.event_date for one in adjudications}
    # An assessment says nothing of a DLT that came after its data cutoff.
    assessed = any(one.of_assessment and (patient.dlt_date is None or patient.dlt_date <= one.as_of) for one in adjudications)
    same_dlt = assessed or (patient.dlt is True and patient.dlt_date in days)
    return replace(patient, events=left, dlt=False if same_dlt else patient.dlt, dlt_date=None if same_dlt else patient.dlt_date)


def _derived(patient: Patient, protocol: Protocol, cut: date, whole_data: bool) -> Verdict:
    """Return the verdict by the protocol's definition alone."""
    found = (
        _with_dlt(patient, protocol, cut, whole_data)
        or _unclear_event(patient, protocol)
        or _left_early(patient, protocol)
        or _still_open(patient, protocol, cut)
        or _no_word(patient)
        or _part_of_the_course(patient, protocol)
        or _too_little_given(patient, protocol)
        or Verdict("complete", f"no DLT by the end of the window{_basis(patient)}", window(patient, protocol)[1])
    )
    if found.kind != "dlt":
        told = [
            (event, f"; {told_event(event, patient.infusions[0])} is no DLT: {why}") for event, why in _ruled_out(patient, protocol)
        ]
        rows = (*(found.source or patient.source), *(event.source for event, _ in told))
        found = found._replace(rule=found.rule + "".join(words for _, words in told), source=rows)
    return found


def _basis(patient: Patient) -> str:
    """What a patient without a DLT is taken to have none by."""
    tables = [
        name for name, there in (("the DLT column", patient.dlt is False), ("adverse events", patient.events is not None)) if there
    ]
    return f", by {' and '.join(tables)}" if tables else ""


def told_event(event: AdverseEvent, first: date) -> str:
    """An event in words, without its term: no more of a patient is shown than is needed."""
    grade = "grade not given" if event.grade is None else f"grade {event.grade}"
    related = "relation not given" if event.related is None else event.related
    day = "no start date" if event.start is None else f"began {event.start}, day {(event.start - first).days + 1}"
    return f"adverse event of {event.source} ({grade}; {related}; {day})"


def toxicities(patient: Patient, protocol: Protocol) -> tuple[list[AdverseEvent], list[AdverseEvent]]:
    """Events that are DLTs, the earliest first, and events that would be if what the data leave out were so."""
    could = [event for event in patient.events or () if _no_dlt_because(event, patient, protocol) is None]
    made = [event for event in could if None not in (event.grade, protocol.dlt.is_related(event.related), event.start)]
    return sorted(made, key=lambda e: (e.start or date.max, e.source)), [event for event in could if event not in made]


def _no_dlt_because(event: AdverseEvent, patient: Patient, protocol: Protocol) -> str | None:
    """Why an event cannot be a DLT, whatever the data leave out; ``None`` if it can."""
    first, end = window(patient, protocol)
    least = protocol.dlt.least_grade_of(event.term)
    if least is None:
        return "a term left out"
    if event.grade is not None and event.grade < least:
        return f"below grade {least}"
    if protocol.dlt.is_related(event.related) is False:
        return "not related"
    if event.start is not None and not first <= event.start <= end:
        return "outside the window"
    return None


def _ruled_out(patient: Patient, protocol: Protocol) -> list[tuple[AdverseEvent, str]]:
    """Events that are grave enough for a DLT and are none, with the reason."""
    grave = [event for event in patient.events or () if event.grade is None or event.grade >= protocol.dlt.least_grade]
    reasons = [(event, _no_dlt_because(event, patient, protocol)) for event in grave]
    return [(event, why) for event, why in reasons if why is not None]


def _with_dlt(patient: Patient, protocol: Protocol, cut: date, whole_data: bool) -> Verdict | None:
    first, end = window(patient, protocol)
    made, _ = toxicities(patient, protocol)
    from_events = [f"{told_event(made[0], first)}, a DLT by the definition under dlt"] if made else []
    rows = tuple(event.source for event in made[:1])
    if patient.dlt:
        if patient.dlt_date is None and not made and not whole_data and cut < end:
            rule = "the DLT column has a DLT without a date: whether it had come by the data cut is not known"
            return Verdict("pending", rule, None, patient.source, unresolved=True)
        when = "without a date" if patient.dlt_date is None else f"on {patient.dlt_date}, day {(patient.dlt_date - first).days + 1}"
        day = patient.dlt_date or (made[0].start if made else min(end, cut))
        return Verdict("dlt", "; ".join([f"DLT {when}, by the DLT column", *from_events]), day, (*patient.source, *rows))
    return Verdict("dlt", from_events[0], made[0].start, (*patient.source, *rows)) if made else None


def _unclear_event(patient: Patient, protocol: Protocol) -> Verdict | None:
    """An event is never taken for "no DLT" for want of a grade, a relation or a date."""
    _, open_ = toxicities(patient, protocol)
    if not open_:
        return None
    told = "; ".join(told_event(event, patient.infusions[0]) for event in open_)
    rows = (*patient.source, *(event.source for event in open_))
    return Verdict("pending", f"it is not known whether this is a DLT: {told}", None, rows, unresolved=True)


def _no_word(patient: Patient) -> Verdict | None:
    if _said(patient) == "no DLT":
        return None
    rule = "the window is over, and neither a DLT column nor adverse events say whether there was a DLT"
    return Verdict("pending", rule, unresolved=True)


def _said(patient: Patient) -> str:
    """What is known of a patient of whom no DLT is known."""
    return "no word of a DLT" if patient.dlt is None and patient.events is None else "no DLT"


def _left_early(patient: Patient, protocol: Protocol) -> Verdict | None:
    first, end = window(patient, protocol)
    left = min((day for day in (patient.discontinued, patient.died) if day is not None), default=None)
    if left is None or left >= end:
        return None
    progression = protocol.evaluability.is_progression(patient.reason)
    died = left == patient.died
    words = "died" if died else "left for progression or rescue" if progression else "left"
    days = f"{words} on {left}, day {(left - first).days + 1}, before the window ended, with {_said(patient)}"
    return _incomplete(protocol, "progression" if progression and not died else "dropout", days, left)


def _still_open(patient: Patient, protocol: Protocol, cut: date) -> Verdict | None:
    first, end = window(patient, protocol)
    known = followed_to(patient, cut)
    if known >= end:
        return None
    to_go, part = (end - cut).days, (known - first).days / (end - first).days
    open_ = f"{to_go} {'day' if to_go == 1 else 'days'} to go" if to_go > 0 else "window over, outcome not known"
    behind = (cut - known).days
    late = f"; follow-up ends on {known}, {behind} {'day' if behind == 1 else 'days'} behind the data cut" if behind else ""
    return Verdict(
        "pending", f"{_said(patient)} so far, {open_}, {part:.0%} of the window followed up{late}", unresolved=to_go <= 0
    )


def followed_to(patient: Patient, cut: date) -> date:
    """Return the day up to which the patient is known to have been followed up, at most the data cutoff."""
    return cut if patient.last_contact is None else min(patient.last_contact, cut)


def _part_of_the_course(patient: Patient, protocol: Protocol) -> Verdict | None:
    _, end = window(patient, protocol)
    given, planned = sum(day <= end for day in patient.infusions), protocol.treatment.planned_infusions
    if given >= planned:
        return None
    return _incomplete(protocol, "partial_course", f"{given} of {planned} infusions in the window, with no DLT", end)


def _too_little_given(patient: Patient, protocol: Protocol) -> Verdict | None:
    """Return not evaluable where the administered dose is below ``evaluability.least_dose`` of the planned one."""
    if patient.level is None:
        return None
    given, least = dose_administered(patient, protocol), protocol.evaluability.least_dose
    share = given / patient.amount
    if share >= least * (1 - SAME_AMOUNT):
        return None
    rule = f"{share:.0%} of the planned dose administered ({given:g} of {patient.amount:g} {protocol.doses.unit}), with no DLT"
    return Verdict("not evaluable", f"{rule} (evaluability.least_dose = {least:.0%})", window(patient, protocol)[1])


def _incomplete(protocol: Protocol, rule: Literal["dropout", "progression", "partial_course"], words: str, day: date) -> Verdict:
    choice = getattr(protocol.evaluability, rule)
    kinds: dict[str, Kind] = {"not-evaluable": "not evaluable", "no-dlt": "complete", "dlt": "dlt"}
    counted = {"no-dlt": ", counted as no DLT", "dlt": ", counted as DLT"}.get(choice, "")
    return Verdict(kinds[choice], f"{words} (evaluability.{rule} = {choice}{counted})", day)
