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
from ..words import _, counted, n_days
from .evaluated import KIND_WORDS, UNTREATED, Kind, OpenDay
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
    "has_data",
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
    suspected: bool = False
    otherwise: Kind | None = None
    held: bool = False
    derived: Kind | None = None
    adjudication: Adjudicated | None = None
    settled_by: tuple[OpenDay, ...] = ()
    questions: tuple[Question, ...] = ()
    # Whether the patient, without a DLT, counts by the share of the window that was followed.
    weighted: bool = False
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
        rule = _("died: awaits adjudication") if day is None else _("died on day {day}: awaits adjudication").format(day=day)
        found = Verdict("pending", rule, None, found.source or patient.source, unresolved=True, suspected=True)
    found = found._replace(held=any(serious_event.holds for serious_event in case.serious))
    if part in UNTREATED:
        rule = _("{part}, not given the product").format(part=_(part))
        return found._replace(kind="not evaluable", rule=rule, otherwise=found.kind, basis="")
    if patient.level is None:
        sentence = _("dose {dose} is not in the protocol; otherwise {status}: {reason}")
        rule = sentence.format(dose=f"{patient.amount:g}", status=_(KIND_WORDS[found.kind]), reason=found.rule)
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
        rule = _("adjudicated a DLT on {day}").format(day=adjudicated.adjudicated_on)
        made = Verdict("dlt", rule, day, patient.source)
    elif (adjudicated := by.get("not evaluable")) is not None and rest.kind != "dlt":
        closed = min(end, adjudicated.as_of)
        rule = _("adjudicated not evaluable on {day}").format(day=adjudicated.adjudicated_on)
        made = Verdict("not evaluable", rule, closed, patient.source)
    else:
        adjudicated = case.adjudications[-1]
        assessed = any(
            adjudication.of_assessment and adjudication.conclusion == "not a DLT" and adjudication.as_of >= end
            for adjudication in case.adjudications
        )
        # An assessment replaces follow-up that is not recorded; an event that may be a DLT is adjudicated by itself.
        open_ = rest.kind == "pending" and _unclear_event(_without(patient, case.adjudications, protocol.dlt), protocol) is None
        made = Verdict("complete", _("no DLT by the end of the window"), end) if assessed and open_ else rest
        words = _("{reason}; adjudicated {conclusion} on {day}")
        day = adjudicated.adjudicated_on
        made = made._replace(rule=words.format(reason=made.rule, conclusion=_(adjudicated.conclusion), day=day))
    if made.kind == derived.kind:
        return made._replace(adjudication=adjudicated)
    words = _("{reason}; by the protocol's definition alone: {status}")
    rule = words.format(reason=made.rule, status=_(KIND_WORDS[derived.kind]))
    return made._replace(rule=rule, derived=derived.kind, adjudication=adjudicated)


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
        or Verdict("complete", _without_dlt(patient), window(patient, protocol)[1])
    )
    found = _as_recorded(patient, protocol, cut, found)
    if found.kind != "dlt":
        ruled_out, words = _ruled_out(patient, protocol), _("{event} is not a DLT: {reason}")
        told = [words.format(event=told_event(event, patient.infusions[0]), reason=why) for event, why in ruled_out]
        rows = (*(found.source or patient.source), *(event.source for event, _why in ruled_out))
        found = found._replace(basis="; ".join([found.basis, *told]), source=rows)
    return found


def _without_dlt(patient: Patient) -> str:
    """Return that a patient had no DLT, with the data according to which this is so."""
    if patient.dlt is False and patient.events is not None:
        return _("no DLT by the end of the window, according to the DLT column and adverse events")
    if patient.dlt is False:
        return _("no DLT by the end of the window, according to the DLT column")
    if patient.events is not None:
        return _("no DLT by the end of the window, according to adverse events")
    return _("no DLT by the end of the window")


def told_event(event: AdverseEvent, first: date) -> str:
    """Return an event in words, without its term: no more of a patient is shown than necessary."""
    items = [_("grade not recorded") if event.grade is None else _("grade {grade}").format(grade=event.grade)]
    if event.initial_grade is not None and event.initial_grade != event.grade:
        items.append(_("grade {grade} at onset").format(grade=event.initial_grade))
    if event.recorded_grade is not None:
        items[0] = _("grade {grade} relative to baseline").format(grade=event.grade)
        items.append(_("grade {grade} as recorded").format(grade=event.recorded_grade))
    if event.grade is None and event.severity is not None:
        items.append(_("severity {severity}").format(severity=event.severity))
    items.append(_("relationship not recorded") if event.related is None else event.related)
    if event.start is not None:
        items.append(_("began on {date}, day {day}").format(date=event.start, day=(event.start - first).days + 1))
    else:
        items.append(_("began {date}").format(date=event.days) if event.days and event.days.text else _("no start date"))
    if event.worsened is not None:
        items.append(_("worsened on {date}, day {day}").format(date=event.worsened, day=(event.worsened - first).days + 1))
    return _("adverse event of {row} ({items})").format(row=event.source, items="; ".join(items))


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
    made = toxicities(patient, protocol)[0]
    by = judge(made[0], patient, protocol) if made else None
    from_events = (
        [] if by is None else [_("{event}, {reason}").format(event=told_event(made[0], first), reason=_why_dlt(made[0], by))]
    )
    rows = tuple(row for event in made[:1] for row in event.sources)
    if patient.dlt:
        if patient.dlt_date is None and not made and not whole_data and cut < end:
            rule = _("the DLT column has a DLT without a date: it is not known whether it had occurred by the data cutoff date")
            return Verdict("pending", rule, None, patient.source, unresolved=True, suspected=True)
        if patient.dlt_date is not None:
            words = _("DLT on {date}, day {day}, according to the DLT column")
            rule = words.format(date=patient.dlt_date, day=(patient.dlt_date - first).days + 1)
        elif patient.dlt_days:
            rule = _("DLT on {date}, according to the DLT column").format(date=patient.dlt_days)
        else:
            rule = _("DLT without a date, according to the DLT column")
        known = (by.day if by else None) or end
        day = patient.dlt_date or min(_latest_day(patient.dlt_days, end) if patient.dlt_days else known, cut)
        return Verdict("dlt", "; ".join([rule, *from_events]), day, (*patient.source, *rows))
    return None if by is None else Verdict("dlt", from_events[0], min(by.day or end, cut), (*patient.source, *rows))


def _why_dlt(event: AdverseEvent, found: Judged) -> str:
    """Return the basis of a DLT: the investigator's flag, or the definition with any data that contradict it."""
    if event.flagged_dlt:
        return found.reason
    if found.reason:
        return _("a DLT by the protocol's definition, {contradiction}").format(contradiction=found.reason)
    return _("a DLT by the protocol's definition")


def _unclear_event(patient: Patient, protocol: Protocol) -> Verdict | None:
    """Return a pending verdict for an event that may be a DLT: a missing grade, relationship or date is never read as no DLT."""
    open_ = toxicities(patient, protocol)[1]
    if not open_:
        return None
    first, end = window(patient, protocol)
    judged = [(event, judge(event, patient, protocol).questions) for event in open_]
    told = "; ".join(told_event(event, first) + _asked(questions) for event, questions in judged)
    rows = (*patient.source, *(row for event in open_ for row in event.sources))
    days = tuple(_open_day(patient, event, first, end) for event in open_ if in_window(event, first, end) is None)
    rule = _("it is not known whether this is a DLT: {events}").format(events=told)
    if days:
        rule = "; ".join([rule, _("depends on whether it began from {first} to {last}").format(first=first, last=end)])
    found = Verdict("pending", rule, None, rows, unresolved=True, suspected=True, settled_by=days)
    return found._replace(questions=tuple(question for _event, questions in judged for question in questions))


def _liver_test_without_event(patient: Patient, protocol: Protocol) -> Verdict | None:
    """Return a pending verdict for a liver test of DLT grade in the window without an adverse event, never read as no DLT."""
    found = values_without_event(patient, protocol)
    if not found:
        return None
    first = patient.infusions[0]
    sentence = _("{test} of {row} on {date}, day {day}, has a DLT grade and no adverse event: is it a DLT?")
    words = [sentence.format(test=lab.test, row=lab.source, date=lab.day, day=(lab.day - first).days + 1) for lab in found]
    rows = (*patient.source, *(lab.source for lab in found))
    questions = tuple(Question(lab.source, "laboratory", word) for lab, word in zip(found, words, strict=True))
    rule = _("it is not known whether there was a DLT: {questions}").format(questions="; ".join(words))
    return Verdict("pending", rule, None, rows, unresolved=True, suspected=True, questions=questions)


def _asked(questions: Iterable[Question]) -> str:
    """Return the questions that are not evident from the description of an event."""
    words = [question.words for question in questions if question.asks in ("worsening", "flag", "late")]
    # A question follows its event after a colon.
    return f": {' '.join(words)}" if words else ""


def _no_word(patient: Patient) -> Verdict | None:
    if has_data(patient):
        return None
    rule = _("the window has ended, and neither a DLT column nor adverse events show whether there was a DLT")
    return Verdict("pending", rule, unresolved=True)


def has_data(patient: Patient) -> bool:
    """Return whether the data would show a DLT of a patient, in a DLT column or as an adverse event."""
    return patient.dlt is not None or patient.events is not None


def _left_early(patient: Patient, protocol: Protocol) -> Verdict | None:
    first, end = window(patient, protocol)
    left, reason = _leaving(patient, protocol)
    if left is None or left >= end:
        return None
    progression = protocol.evaluability.is_progression(reason)
    died = left == patient.died
    if died:
        words = _("died on {date}, day {day}, before the window ended")
    elif progression:
        words = _("discontinued for progression or rescue on {date}, day {day}, before the window ended")
    else:
        words = _("discontinued on {date}, day {day}, before the window ended")
    without = _("{reason}, with no DLT") if has_data(patient) else _("{reason}, with no information on DLTs")
    days = without.format(reason=words.format(date=left, day=(left - first).days + 1))
    least = protocol.evaluability.least_days
    if least is not None and not died and (left - first).days >= least and has_data(patient):
        enough = counted(
            "{reason}, after at least {n} day of follow-up, the minimum required",
            "{reason}, after at least {n} days of follow-up, the minimum required",
            least,
            reason=days,
        )
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
    rule = _("no DLT so far") if has_data(patient) else _("no information on DLTs so far")
    open_ = _("{days} to go").format(days=n_days(to_go)) if to_go > 0 else _("window ended, outcome not known")
    followed = _("{share} of the window followed up").format(share=f"{part:.0%}")
    rule = ", ".join([rule, open_, followed])
    if behind := (cut - known).days:
        late = _("{reason}; follow-up ends on {date}, {days} before the data cutoff date")
        rule = late.format(reason=rule, date=known, days=n_days(behind))
    return Verdict("pending", rule, unresolved=to_go <= 0)


def followed_to(patient: Patient, cut: date) -> date:
    """Return the day up to which the patient is known to have been followed up, at most the data cutoff date."""
    return cut if patient.last_contact is None else min(patient.last_contact, cut)


def _part_of_the_course(patient: Patient, protocol: Protocol) -> Verdict | None:
    end = window(patient, protocol)[1]
    given, planned = sum(day <= end for day in patient.infusions), protocol.treatment.planned_infusions
    least = protocol.evaluability.least_infusions or planned
    if given >= least:
        return None
    if least == planned:
        words = _("{given} of {planned} infusions in the window, with no DLT")
    else:
        words = _("{given} of {planned} infusions in the window, fewer than the {least} required, with no DLT")
    return _incomplete(protocol, "partial_course", words.format(given=given, planned=planned, least=least), end)


def _as_recorded(patient: Patient, protocol: Protocol, cut: date, found: Verdict) -> Verdict:
    """Return the verdict with the recorded decision on evaluability.

    A DLT counts and an event that may be a DLT stays open, whatever is recorded. A decision that the patient is evaluable is
    followed only if the settings say so, and never closes an open window.
    """
    if patient.evaluable is None:
        return found
    values = {"reason": recorded_reason(patient, protocol), "status": _(KIND_WORDS[found.kind]), "rule": found.rule}
    if found.kind == "dlt" or _may_have_dlt(patient, protocol):
        words = (
            _("{rule}; recorded not evaluable{reason}: a DLT counts")
            if found.kind == "dlt"
            else _("{rule}; recorded not evaluable{reason}: followed only if there is no DLT")
        )
        return found if patient.evaluable else found._replace(rule=words.format(**values))
    if patient.evaluable is False:
        if found.kind == "not evaluable":
            return found._replace(rule=_("recorded not evaluable{reason}; {rule}").format(**values))
        rule = _("recorded not evaluable{reason}; per protocol: {status}, {rule}").format(**values)
        closed = min(decision_known_from(patient, protocol), cut)
        return Verdict("not evaluable", rule, closed, found.source or patient.source, derived=found.kind)
    if found.kind != "not evaluable":
        return found
    if protocol.evaluability.recorded == "exclude" or not has_data(patient):
        return found._replace(rule=_("{rule}; recorded evaluable{reason}, not followed").format(**values))
    end = window(patient, protocol)[1]
    rule = _("recorded evaluable{reason}, which is followed; per protocol: {status}, {rule}").format(**values)
    if cut < end:
        rule = "; ".join([rule, _("the window ends on {date}").format(date=end)])
        return Verdict("pending", rule, None, found.source, derived=found.kind)
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
    words = _("{share} of the planned dose administered ({given} of {planned} {unit}), with no DLT")
    values = {"given": f"{given:g}", "planned": f"{patient.amount:g}", "unit": protocol.doses.unit}
    basis = " " + _("({setting})").format(setting=f"evaluability.least_dose = {least:.0%}")
    return Verdict("not evaluable", words.format(share=f"{share:.0%}", **values), window(patient, protocol)[1], basis=basis)


def _incomplete(protocol: Protocol, rule: Literal["dropout", "progression", "partial_course"], words: str, day: date) -> Verdict:
    choice = getattr(protocol.evaluability, rule)
    kinds: dict[str, Kind] = {"not-evaluable": "not evaluable", "no-dlt": "complete", "dlt": "dlt", "weight": "not evaluable"}
    sentence = {
        "not-evaluable": _("({setting})"),
        "no-dlt": _("({setting}, counted as no DLT)"),
        "dlt": _("({setting}, counted as DLT)"),
        "weight": _("({setting}: replaced, and followed in part)"),
    }[choice]
    basis = sentence.format(setting=f"evaluability.{rule} = {choice}")
    return Verdict(kinds[choice], words, day, weighted=choice == "weight", basis=f" {basis}")
