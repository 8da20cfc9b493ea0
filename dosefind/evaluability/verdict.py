"""The status of one patient: rules applied in turn; the deciding rule gives the reason and the rows.

A window of ``dlt_window_days`` days begins with the first infusion and ends that many days after it: a DLT counts if it begins on
one of these days, inclusive, and a patient without a DLT is complete once follow-up has reached the last of them.
Another rule is one more function in `_derived`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Literal, NamedTuple

from .._check import shown_key
from ..adjudications import Adjudicated
from ..days import Days, read_days
from ..patients import SAME_AMOUNT, AdverseEvent, Part, Patient
from ..protocol import DLT, Protocol
from .evaluated import UNTREATED, Kind, OpenDay
from .events import Judged, Question, judge
from .liver import values_without_event
from .serious import DEATH, SeriousEvent, adjudication_of
from .window import dose_administered, in_window, rules_of, window

__all__ = [
    "Case",
    "Verdict",
    "counted_inside",
    "decision_known_from",
    "followed_to",
    "recorded_reason",
    "told_event",
    "toxicities",
    "verdict",
]


class Verdict(NamedTuple):
    """The outcome of a patient as known by the data cutoff date; fields as in `Status`."""

    kind: Kind
    rule: str
    closed: date | None = None
    source: tuple[str, ...] = ()
    unresolved: bool = False
    otherwise: Kind | None = None
    held: bool = False
    derived: Kind | None = None
    adjudication: Adjudicated | None = None
    settled_by: tuple[OpenDay, ...] = ()
    questions: tuple[Question, ...] = ()
    # What follows the reason in the rule: the setting that decided, and the events that are no DLT.
    basis: str = ""


class Case(NamedTuple):
    """The serious events and adjudications of a patient, on which a verdict also depends."""

    serious: tuple[SeriousEvent, ...] = ()
    adjudications: tuple[Adjudicated, ...] = ()


def verdict(patient: Patient, protocol: Protocol, cut: date, whole_data: bool, case: Case, part: Part) -> Verdict:
    """Return the outcome of a patient as known by the data cutoff date, before cohorts and replacements.

    Parameters
    ----------
    patient
        The patient, as known by the data cutoff date.
    protocol
        The protocol.
    cut
        The data cutoff date.
    whole_data
        Whether the data end by the data cutoff date, so that no data were ignored.
    case
        Serious events and adjudications of the patient.
    part
        Part of the trial.
    """
    protocol = rules_of(patient, protocol)
    derived = _derived(patient, protocol, cut, whole_data)
    found = _adjudicated(patient, protocol, cut, whole_data, case, derived)
    died_in_window = any(
        DEATH in serious_event.kinds and serious_event.in_window is not False and serious_event.adjudication is None
        for serious_event in case.serious
    )
    if died_in_window and found.kind != "dlt":
        day = next(
            serious_event.study_day
            for serious_event in case.serious
            if DEATH in serious_event.kinds and serious_event.adjudication is None
        )
        rule = f"died{f' on day {day}' if day is not None else ''}: awaits adjudication"
        found = Verdict("pending", rule, None, found.source or patient.source, unresolved=True)
    found = found._replace(held=any(serious_event.holds for serious_event in case.serious))
    if part in UNTREATED:
        return found._replace(kind="not evaluable", rule=f"{part}, not given the product", otherwise=found.kind, basis="")
    if patient.level is None:
        rule = f"dose {patient.amount:g} is not in the protocol; otherwise {found.kind.replace('dlt', 'DLT')}: {found.rule}"
        return found._replace(kind="not evaluable", rule=rule, otherwise=found.kind)
    return found


def _adjudicated(patient: Patient, protocol: Protocol, cut: date, whole_data: bool, case: Case, derived: Verdict) -> Verdict:
    """Return the verdict after adjudications: a DLT takes precedence, then not evaluable, then no DLT."""
    if not case.adjudications:
        return derived
    by = {adjudication.conclusion: adjudication for adjudication in case.adjudications}
    end = window(patient, protocol)[1]
    rest = _derived(_without(patient, case.adjudications, protocol.dlt), protocol, cut, whole_data)
    if (adjudicated := by.get("DLT")) is not None:
        # An event that began before the first infusion and worsened on treatment is identified by its onset.
        day = max(_day_of(adjudicated, end, cut), patient.infusions[0])
        made = Verdict("dlt", f"adjudicated a DLT on {adjudicated.adjudicated_on}", day, patient.source)
    elif (adjudicated := by.get("not evaluable")) is not None and rest.kind != "dlt":
        closed = min(end, adjudicated.as_of)
        made = Verdict("not evaluable", f"adjudicated not evaluable on {adjudicated.adjudicated_on}", closed, patient.source)
    else:
        adjudicated = case.adjudications[-1]
        assessed = any(
            adjudication.of_assessment and adjudication.conclusion == "not a DLT" and adjudication.as_of >= end
            for adjudication in case.adjudications
        )
        # An assessment replaces follow-up that is not recorded; an event that may be a DLT is adjudicated by itself.
        open_ = rest.kind == "pending" and _unclear_event(_without(patient, case.adjudications, protocol.dlt), protocol) is None
        made = Verdict("complete", "no DLT by the end of the window", end) if assessed and open_ else rest
        made = made._replace(rule=f"{made.rule}; adjudicated {adjudicated.conclusion} on {adjudicated.adjudicated_on}")
    changed = made.kind != derived.kind
    words = f"; by the protocol's definition alone: {derived.kind.replace('dlt', 'DLT')}" if changed else ""
    return made._replace(rule=made.rule + words, derived=derived.kind if changed else made.derived, adjudication=adjudicated)


def _day_of(adjudicated: Adjudicated, end: date, cut: date) -> date:
    """Return the day of an adjudicated DLT: its date, or the latest possible day in the window."""
    if isinstance(adjudicated.event_date, date):
        return adjudicated.event_date
    return min(end if adjudicated.event_date is None else _latest_day(read_days(adjudicated.event_date), end), cut)


def _without(patient: Patient, adjudications: tuple[Adjudicated, ...], dlt: DLT) -> Patient:
    """Return the patient without the events and the DLT that were adjudicated not to be a DLT."""
    cleared = [event for event in patient.events or () if adjudication_of(adjudications, event, patient, dlt) is not None]
    left = None if patient.events is None else tuple(event for event in patient.events if event not in cleared)
    labs = tuple(
        lab
        for lab in patient.labs
        if not any(adjudicated.of_assessment and lab.day <= adjudicated.as_of for adjudicated in adjudications)
    )
    if not (patient.dlt is True and any(_is_of_dlt_column(adjudication, patient, dlt) for adjudication in adjudications)):
        return replace(patient, events=left, labs=labs)
    return replace(patient, events=left, labs=labs, dlt=False, dlt_date=None, dlt_days=None)


def _is_of_dlt_column(adjudicated: Adjudicated, patient: Patient, dlt: DLT) -> bool:
    """Return whether an adjudication concerns the DLT of the DLT column: it was known then and has the same day."""
    if adjudicated.dlt_column != "yes":
        return False
    days = patient.dlt_days
    if adjudicated.of_assessment:
        possible = patient.dlt_date if days is None else days.latest or date.max
        return possible is None or possible <= adjudicated.as_of
    least, onset = dlt.least_grade_of(adjudicated.term), patient.dlt_date if days is None else days.text
    return adjudicated.event_date == onset and (adjudicated.grade is None or (least is not None and adjudicated.grade >= least))


def _derived(patient: Patient, protocol: Protocol, cut: date, whole_data: bool) -> Verdict:
    """Return the verdict by the protocol's definition alone."""
    found = (
        _with_dlt(patient, protocol, cut, whole_data)
        or _unclear_event(patient, protocol)
        or _liver_test_without_event(patient, protocol)
        or _left_early(patient, protocol)
        or _still_open(patient, protocol, cut)
        or _no_word(patient)
        or _part_of_the_course(patient, protocol)
        or _too_little_given(patient, protocol)
        or Verdict("complete", f"no DLT by the end of the window{_basis(patient)}", window(patient, protocol)[1])
    )
    found = _as_recorded(patient, protocol, cut, found)
    if found.kind != "dlt":
        told = [
            (event, f"; {told_event(event, patient.infusions[0])} is not a DLT: {why}")
            for event, why in _ruled_out(patient, protocol)
        ]
        rows = (*(found.source or patient.source), *(event.source for event, _ in told))
        found = found._replace(basis=found.basis + "".join(words for _, words in told), source=rows)
    return found


def _basis(patient: Patient) -> str:
    """Return the data according to which a patient had no DLT."""
    tables = [
        name
        for name, present in (("the DLT column", patient.dlt is False), ("adverse events", patient.events is not None))
        if present
    ]
    return f", according to {' and '.join(tables)}" if tables else ""


def told_event(event: AdverseEvent, first: date) -> str:
    """Return an event in words, without its term: no more of a patient is shown than necessary."""
    grade = "grade not recorded" if event.grade is None else f"grade {event.grade}"
    if event.initial_grade is not None and event.initial_grade != event.grade:
        grade += f", {event.initial_grade} at onset"
    if event.recorded_grade is not None:
        grade += f" relative to baseline, {event.recorded_grade} as recorded"
    if event.grade is None and event.severity is not None:
        grade += f", severity {event.severity}"
    related = "relationship not recorded" if event.related is None else event.related
    if event.start is not None:
        day = f"began {event.start}, day {(event.start - first).days + 1}"
    else:
        day = f"began {event.days}" if event.days and event.days.text else "no start date"
    if event.worsened is not None:
        day += f", worsened {event.worsened}, day {(event.worsened - first).days + 1}"
    return f"adverse event of {event.source} ({grade}; {related}; {day})"


def toxicities(patient: Patient, protocol: Protocol) -> tuple[list[AdverseEvent], list[AdverseEvent]]:
    """Return the events that are DLTs, the earliest first, and the events that may be DLTs, depending on unknown items."""
    judged = [(event, judge(event, patient, protocol)) for event in patient.events or ()]
    made = [(found.day or date.max, event.source, event) for event, found in judged if found.conclusion == "DLT"]
    open_ = [event for event, found in judged if found.conclusion == "open"]
    return [event for _, _, event in sorted(made, key=lambda dated: dated[:2])], open_


def _latest_day(days: Days, end: date) -> date:
    """Return the latest possible day by ``end``: a DLT on an unknown day is treated as known from then."""
    return end if days.latest is None else min(days.latest, end)


def counted_inside(
    patient: Patient, protocol: Protocol, adjudications: tuple[Adjudicated, ...] = ()
) -> tuple[Patient, tuple[OpenDay, ...]]:
    """Return the patient with unknown days of possible DLTs moved into the window, and these days: the rule of a final analysis.

    Adjudicated events are unchanged.
    """
    if not patient.infusions or not patient.events:
        return patient, ()
    protocol = rules_of(patient, protocol)
    first, end = window(patient, protocol)
    open_ = [event for event in toxicities(patient, protocol)[1] if in_window(event, first, end) is None]
    moved = {event for event in open_ if adjudication_of(adjudications, event, patient, protocol.dlt) is None}
    if not moved:
        return patient, ()
    events = tuple(e._replace(days=e.possible.narrowed(first, end)) if e in moved else e for e in patient.events)
    return replace(patient, events=events), tuple(
        _open_day(patient, event, first, end) for event in patient.events if event in moved
    )


def _open_day(patient: Patient, event: AdverseEvent, first: date, end: date) -> OpenDay:
    return OpenDay(patient.subject, event.source, event.possible, first, end)


def _ruled_out(patient: Patient, protocol: Protocol) -> list[tuple[AdverseEvent, str]]:
    """Return events with a DLT grade that are not a DLT, with the reason."""
    least = protocol.dlt.least_grade
    grave = [event for event in patient.events or () if event.grade is None or max(event.grade, event.recorded_grade or 0) >= least]
    judged = [(event, judge(event, patient, protocol)) for event in grave]
    return [(event, found.reason) for event, found in judged if found.conclusion == "not a DLT"]


def _with_dlt(patient: Patient, protocol: Protocol, cut: date, whole_data: bool) -> Verdict | None:
    first, end = window(patient, protocol)
    made, _ = toxicities(patient, protocol)
    by = judge(made[0], patient, protocol) if made else None
    from_events = [] if by is None else [f"{told_event(made[0], first)}, {_why_dlt(made[0], by)}"]
    rows = tuple(row for event in made[:1] for row in event.sources)
    if patient.dlt:
        if patient.dlt_date is None and not made and not whole_data and cut < end:
            rule = "the DLT column has a DLT without a date: it is not known whether it had occurred by the data cutoff date"
            return Verdict("pending", rule, None, patient.source, unresolved=True)
        if patient.dlt_date is not None:
            when = f"on {patient.dlt_date}, day {(patient.dlt_date - first).days + 1}"
        else:
            when = f"on {patient.dlt_days}" if patient.dlt_days else "without a date"
        known = (by.day if by else None) or end
        day = patient.dlt_date or min(_latest_day(patient.dlt_days, end) if patient.dlt_days else known, cut)
        return Verdict("dlt", "; ".join([f"DLT {when}, according to the DLT column", *from_events]), day, (*patient.source, *rows))
    return None if by is None else Verdict("dlt", from_events[0], min(by.day or end, cut), (*patient.source, *rows))


def _why_dlt(event: AdverseEvent, found: Judged) -> str:
    """Return the basis of a DLT: the investigator's flag, or the definition with any data that contradict it."""
    if event.flagged_dlt:
        return found.reason
    return f"a DLT by the definition under dlt{f', {found.reason}' if found.reason else ''}"


def _unclear_event(patient: Patient, protocol: Protocol) -> Verdict | None:
    """Return a pending verdict for an event that may be a DLT: a missing grade, relationship or date is never read as no DLT."""
    _, open_ = toxicities(patient, protocol)
    if not open_:
        return None
    first, end = window(patient, protocol)
    judged = [(event, judge(event, patient, protocol).questions) for event in open_]
    told = "; ".join(told_event(event, first) + _asked(questions) for event, questions in judged)
    rows = (*patient.source, *(row for event in open_ for row in event.sources))
    days = tuple(_open_day(patient, event, first, end) for event in open_ if in_window(event, first, end) is None)
    settle = f"; depends on whether it began from {first} to {end}" if days else ""
    found = Verdict(
        "pending", f"it is not known whether this is a DLT: {told}{settle}", None, rows, unresolved=True, settled_by=days
    )
    return found._replace(questions=tuple(question for _, questions in judged for question in questions))


def _liver_test_without_event(patient: Patient, protocol: Protocol) -> Verdict | None:
    """Return a pending verdict for a liver test of DLT grade in the window without an adverse event, never read as no DLT."""
    found = values_without_event(patient, protocol)
    if not found:
        return None
    first = patient.infusions[0]
    values = [f"{lab.test} of {lab.source} on {lab.day}, day {(lab.day - first).days + 1}" for lab in found]
    words = [f"{value} has a DLT grade and no adverse event: is it a DLT?" for value in values]
    rows = (*patient.source, *(lab.source for lab in found))
    questions = tuple(Question(lab.source, "laboratory", word) for lab, word in zip(found, words, strict=True))
    return Verdict("pending", f"it is not known whether there was a DLT: {'; '.join(words)}", None, rows, True, questions=questions)


def _asked(questions: Iterable[Question]) -> str:
    """Return the questions that are not evident from the description of an event."""
    words = [question.words for question in questions if question.asks in ("worsening", "flag")]
    return f": {' '.join(words)}" if words else ""


def _no_word(patient: Patient) -> Verdict | None:
    if _said(patient) == "no DLT":
        return None
    rule = "the window has ended, and neither a DLT column nor adverse events show whether there was a DLT"
    return Verdict("pending", rule, unresolved=True)


def _said(patient: Patient) -> str:
    """Return the information on a patient without a known DLT."""
    return "no information on DLTs" if patient.dlt is None and patient.events is None else "no DLT"


def _left_early(patient: Patient, protocol: Protocol) -> Verdict | None:
    first, end = window(patient, protocol)
    left, reason = _leaving(patient, protocol)
    if left is None or left >= end:
        return None
    progression = protocol.evaluability.is_progression(reason)
    died = left == patient.died
    words = "died" if died else "discontinued for progression or rescue" if progression else "discontinued"
    days = f"{words} on {left}, day {(left - first).days + 1}, before the window ended, with {_said(patient)}"
    least = protocol.evaluability.least_days
    if least is not None and not died and (left - first).days >= least and _said(patient) == "no DLT":
        enough = f"{days}, after at least {least} days of follow-up (evaluability.least_days)"
        return _part_of_the_course(patient, protocol) or Verdict("complete", enough, left)
    return _incomplete(protocol, "progression" if progression and not died else "dropout", days, left)


def _leaving(patient: Patient, protocol: Protocol) -> tuple[date | None, str | None]:
    """Return the day on which follow-up for DLT ended prematurely, and the reason.

    A patient who stopped treatment is still in follow-up, unless for progression or rescue, which the protocol treats as
    discontinuation.
    """
    left = [(patient.discontinued, patient.reason), (patient.died, patient.reason)]
    if protocol.evaluability.is_progression(patient.left_treatment_reason):
        left.append((patient.left_treatment, patient.left_treatment_reason))
    dated = [(day, reason) for day, reason in left if day is not None]
    return min(dated, key=lambda leaving: leaving[0]) if dated else (None, None)


def _still_open(patient: Patient, protocol: Protocol, cut: date) -> Verdict | None:
    first, end = window(patient, protocol)
    known = followed_to(patient, cut)
    if known >= end:
        return None
    to_go, part = (end - cut).days, (known - first).days / (end - first).days
    open_ = f"{to_go} {'day' if to_go == 1 else 'days'} to go" if to_go > 0 else "window ended, outcome not known"
    behind = (cut - known).days
    late = f"; follow-up ends on {known}, {behind} {'day' if behind == 1 else 'days'} before the data cutoff date" if behind else ""
    return Verdict(
        "pending", f"{_said(patient)} so far, {open_}, {part:.0%} of the window followed up{late}", unresolved=to_go <= 0
    )


def followed_to(patient: Patient, cut: date) -> date:
    """Return the day up to which the patient is known to have been followed up, at most the data cutoff date."""
    return cut if patient.last_contact is None else min(patient.last_contact, cut)


def _part_of_the_course(patient: Patient, protocol: Protocol) -> Verdict | None:
    _, end = window(patient, protocol)
    given, planned = sum(day <= end for day in patient.infusions), protocol.treatment.planned_infusions
    least = protocol.evaluability.least_infusions or planned
    if given >= least:
        return None
    required = "" if least == planned else f", fewer than evaluability.least_infusions = {least}"
    return _incomplete(protocol, "partial_course", f"{given} of {planned} infusions in the window{required}, with no DLT", end)


def _as_recorded(patient: Patient, protocol: Protocol, cut: date, found: Verdict) -> Verdict:
    """Return the verdict with the recorded decision on evaluability.

    A DLT counts and an event that may be a DLT stays open, whatever is recorded. A decision that the patient is evaluable is
    followed only if the settings say so, and never closes an open window.
    """
    if patient.evaluable is None:
        return found
    reason = recorded_reason(patient, protocol)
    if found.kind == "dlt" or _may_have_dlt(patient, protocol):
        why = "a DLT counts" if found.kind == "dlt" else "followed only if there is no DLT"
        return found if patient.evaluable else found._replace(rule=f"{found.rule}; recorded not evaluable{reason}: {why}")
    if patient.evaluable is False:
        if found.kind == "not evaluable":
            return found._replace(rule=f"recorded not evaluable{reason}; {found.rule}")
        rule = f"recorded not evaluable{reason}; per protocol: {found.kind}, {found.rule}"
        closed = min(decision_known_from(patient, protocol), cut)
        return Verdict("not evaluable", rule, closed, found.source or patient.source, derived=found.kind)
    if found.kind != "not evaluable":
        return found
    if protocol.evaluability.recorded == "exclude" or _said(patient) != "no DLT":
        return found._replace(rule=f"{found.rule}; recorded evaluable{reason}, not followed")
    rule = f"recorded evaluable{reason} (evaluability.recorded = follow); per protocol: {found.kind}, {found.rule}"
    end = window(patient, protocol)[1]
    if cut < end:
        return Verdict("pending", f"{rule}; the window ends on {end}", None, found.source, derived=found.kind)
    return Verdict("complete", rule, end, found.source, derived=found.kind)


def _may_have_dlt(patient: Patient, protocol: Protocol) -> bool:
    """Return whether a DLT is reported, or an event that may be a DLT."""
    return patient.dlt is True or bool(toxicities(patient, protocol)[1])


def recorded_reason(patient: Patient, protocol: Protocol) -> str:
    """Return the reason of a recorded decision on evaluability in parentheses; empty without one, or if reports show no reasons."""
    reason = patient.evaluable_reason
    return f" ({shown_key(reason[:80])})" if reason and protocol.report.terms else ""


def decision_known_from(patient: Patient, protocol: Protocol) -> date:
    """Return the day from which a recorded decision on evaluability is treated as known, because the data do not date it.

    It is the end of the DLT window, or an earlier last day on which anything is known of the patient.
    """
    end = window(patient, protocol)[1]
    last = [day for day in (patient.last_contact, patient.discontinued, patient.died) if day is not None]
    return min(end, max(last, default=end))


def _too_little_given(patient: Patient, protocol: Protocol) -> Verdict | None:
    """Return not evaluable if the administered dose is below ``evaluability.least_dose`` of the planned dose."""
    if patient.level is None:
        return None
    given, least = dose_administered(patient, protocol), protocol.evaluability.least_dose
    share = given / patient.amount
    if share >= least * (1 - SAME_AMOUNT):
        return None
    rule = f"{share:.0%} of the planned dose administered ({given:g} of {patient.amount:g} {protocol.doses.unit}), with no DLT"
    return Verdict("not evaluable", rule, window(patient, protocol)[1], basis=f" (evaluability.least_dose = {least:.0%})")


def _incomplete(protocol: Protocol, rule: Literal["dropout", "progression", "partial_course"], words: str, day: date) -> Verdict:
    choice = getattr(protocol.evaluability, rule)
    kinds: dict[str, Kind] = {"not-evaluable": "not evaluable", "no-dlt": "complete", "dlt": "dlt"}
    counted = {"no-dlt": ", counted as no DLT", "dlt": ", counted as DLT"}.get(choice, "")
    return Verdict(kinds[choice], words, day, basis=f" (evaluability.{rule} = {choice}{counted})")
