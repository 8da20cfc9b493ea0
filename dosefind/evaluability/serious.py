"""Serious events: every death, related serious event and related event of grade 4 or worse, inside or outside the DLT window.

An event of grade 3 or worse, or a serious one, that is related and began before the first infusion is included if an error in
its date is plausible: either must be checked. They put escalation and enrolment on hold until an adjudication is on
file. An event whose relationship is not assessed is treated as related here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, NamedTuple

from ..adjudications import RELATIONSHIPS, Adjudicated, EventKey, Flag, Relationship
from ..days import Days, study_day
from ..intake.entries import is_death
from ..patients import AdverseEvent, Part, Patient
from ..protocol import DLT, Protocol, plain_words
from ..words import _, marked
from .evaluated import UNTREATED
from .events import worse_on_treatment
from .window import in_window, is_before, rules_of, window

__all__ = [
    "DEATH",
    "EARLY",
    "RELATED_SERIOUS",
    "RELATED_SEVERE",
    "Known",
    "SeriousEvent",
    "adjudication_of",
    "early_events",
    "known_at",
    "part_of_patient",
    "serious_events",
]

DEATH = marked("death")
RELATED_SERIOUS = marked("related serious event")
RELATED_SEVERE = marked("related event of grade 4 or worse")
EARLY = marked("related event before the first infusion")
_GRAVE, _SEVERE, _FATAL = 3, 4, 5
_NOT_RECORDED = {"relationship": marked("relationship not recorded"), "grade": marked("grade not recorded")}
# An onset up to this number of days before the first infusion can be a date error; with the wrong year, the window is extended by
# this number of days. Rules of this project.
_DAYS_OFF, _AFTER_WINDOW = timedelta(days=7), timedelta(days=90)


@dataclass(frozen=True)
class SeriousEvent:
    """A death, or an event of comparable weight.

    Attributes
    ----------
    subject
        The identifier supplied by the user.
    level
        Dose level from 1; ``None`` for a dose not in the protocol.
    part
        Part of the trial.
    kinds
        One or more of `DEATH`, `EARLY`, `RELATED_SERIOUS` and `RELATED_SEVERE`.
    day
        Day of death or onset; ``None`` if the data give none.
    study_day
        The same as a study day, where the first infusion is day 1 and the day before is day -1.
    in_window
        Whether it occurred in the DLT window; ``None`` if its date may be inside or outside, or must be checked.
    event
        The adverse event; ``None`` for a death without an adverse event.
    adjudication
        The adjudication on file; ``None`` if there is none.
    open_items
        Items that the data leave open and that were read conservatively: "relationship", "grade".
    pauses
        Whether the protocol's pause rules hold enrolment for such an event; False for an unrelated death with
        ``pause.any_death = false``.
    days
        Possible days, if ``day`` is ``None`` and the data give any information on them.
    """

    subject: str
    level: int | None
    part: Part
    kinds: tuple[str, ...]
    day: date | None
    study_day: int | None
    in_window: bool | None
    event: AdverseEvent | None
    adjudication: Adjudicated | None
    open_items: tuple[str, ...] = ()
    pauses: bool = True
    days: Days | None = None

    @property
    def holds(self) -> bool:
        """Return whether it holds escalation and enrolment: not adjudicated, in a patient who received the product."""
        return self.pauses and self.adjudication is None and self.part not in UNTREATED

    @property
    def words(self) -> str:
        """Return the event in a few words: kind, patient and day, without the term."""
        graded = self.event is not None and self.event.grade is not None and DEATH not in self.kinds
        event = _("{kind} of {subject}, grade {grade}") if graded else _("{kind} of {subject}")
        event = event.format(kind=_(self.kinds[0]), subject=self.subject, grade=self.event.grade if self.event else None)
        if self.study_day is not None:
            when = _("{event} on day {day}").format(event=event, day=self.study_day)
        elif self.days and self.days.text:
            when = _("{event} on an unknown day ({date})").format(event=event, date=self.days)
        else:
            when = _("{event} on an unknown day").format(event=event)
        clauses = [when]
        if self.in_window is not None:
            clauses.append(_("in the DLT window") if self.in_window else _("after the DLT window"))
        clauses += [_(_NOT_RECORDED[item]) for item in self.open_items]
        return ", ".join(clauses)


def part_of_patient(patient: Patient, protocol: Protocol) -> Part:
    """Return the part of the trial to which a patient belongs: as in the data, or by the first matching rule of the protocol."""
    if patient.part is not None:
        return patient.part
    first = patient.infusions[0] if patient.infusions else None
    for rule in protocol.parts:
        if rule.matches(patient.cohort, patient.level, first):
            return rule.part
    return "escalation"


def serious_events(
    patients: Iterable[Patient], protocol: Protocol, adjudications: tuple[Adjudicated, ...]
) -> tuple[SeriousEvent, ...]:
    """Return the serious events of treated patients in order of their day; those without a day come first.

    Parameters
    ----------
    patients
        Treated patients, as known by the data cutoff date.
    protocol
        The protocol, for the words for relationship and the DLT window.
    adjudications
        Adjudications in force.
    """
    found = [event for patient in patients for event in _of_patient(patient, protocol, adjudications)]
    return tuple(sorted(found, key=lambda serious: (serious.day is not None, serious.day or date.min, serious.subject)))


def _of_patient(patient: Patient, protocol: Protocol, adjudications: tuple[Adjudicated, ...]) -> Iterator[SeriousEvent]:
    own = tuple(adjudication for adjudication in adjudications if adjudication.subject == patient.subject)
    fatal = False
    for event in patient.events or ():
        kinds, left = _kinds(event, patient, protocol)
        if kinds:
            died = patient.died if DEATH in kinds else None
            fatal |= DEATH in kinds
            adjudicated = adjudication_of(own, event, patient, rules_of(patient, protocol).dlt)
            # An adjudication of the event before the death does not cover the death.
            if died is not None and (adjudicated is None or adjudicated.as_of < died):
                adjudicated = _of_death(own, died) if _only_fatal(patient, event) else None
            yield _made(patient, protocol, kinds, died or _day(patient, event, kinds), event, adjudicated, left)
    if patient.died is not None and not fatal:
        yield _made(patient, protocol, (DEATH,), patient.died, None, _of_death(own, patient.died), ())


def _day(patient: Patient, event: AdverseEvent, kinds: tuple[str, ...]) -> date | None:
    """Return the onset; for a non-fatal event that began before the first infusion, the day on which it worsened.

    If its date must be checked and no such day is known, the onset is returned.
    """
    if DEATH in kinds or event.start is None or event.start >= patient.infusions[0]:
        return event.start
    return event.worsened or (event.start if EARLY in kinds else None)


def _of_death(adjudications: Iterable[Adjudicated], died: date | None) -> Adjudicated | None:
    """Return the latest adjudication of a death, identified by its day and as a death."""
    found = [
        adjudication
        for adjudication in adjudications
        if died is not None and adjudication.event_date == died and plain_words(adjudication.term) == DEATH
    ]
    return found[-1] if found else None


def _is_fatal(event: AdverseEvent) -> bool:
    return event.grade == _FATAL or is_death(event.outcome)


def _only_fatal(patient: Patient, event: AdverseEvent) -> bool:
    """Return whether no other event of the patient is fatal, so that the death is due to this event."""
    return not any(_is_fatal(other) for other in patient.events or () if other is not event)


def _kinds(event: AdverseEvent, patient: Patient, protocol: Protocol) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the kinds of serious event, and the items left open."""
    fatal = _is_fatal(event)
    first, end = window(patient, protocol)
    related = rules_of(patient, protocol).dlt.is_related(event.related)
    before = is_before(event, first)
    early = before and not fatal and related is True and _weighs(event) and _may_be_misdated(event, first, end)
    if before and not fatal and not _may_be_worse(event, first, related):
        return ((EARLY,) if early else ()), ()
    kinds = [DEATH] if fatal else [EARLY] if early else []
    if related is not False:
        severe = (event.grade or 0) >= _SEVERE
        # In the window, an event without a grade itself keeps the outcome open.
        inside = before or in_window(event, first, end) is True
        ungraded = event.grade is None and event.serious is None and not fatal and not inside
        if severe or ungraded:
            kinds.append(RELATED_SEVERE)
        # Without data on seriousness, a death or a life-threatening event is serious by definition.
        if event.serious or fatal or (event.serious is None and severe):
            kinds.append(RELATED_SERIOUS)
    left = ("relationship",) * (related is None) + ("grade",) * (event.grade is None)
    return tuple(kinds), left if kinds else ()


def _may_be_worse(event: AdverseEvent, first: date, related: bool | None) -> bool:
    """Return whether an event that began before the first infusion worsened on treatment, or may have as far as known."""
    worse = worse_on_treatment(event, first)
    return bool(worse) or (worse is None and (related is True or event.initial_grade is not None))


def _weighs(event: AdverseEvent) -> bool:
    """Return whether an event is of grade 3 or worse, or serious."""
    return (event.grade or 0) >= _GRAVE or event.serious is True


def _may_be_misdated(event: AdverseEvent, first: date, end: date) -> bool:
    """Return whether a date error is plausible in the full date of an onset before the first infusion.

    The day is off by at most a week, or the year by one: the same day of the next year is in the DLT window or up to 90 days after.
    """
    start = event.start
    if start is None:
        return False
    if start >= first - _DAYS_OFF:
        return True
    try:
        later = start.replace(year=start.year + 1)
    except ValueError:  # 29 February, which does not exist in the next year
        return False
    return first <= later <= end + _AFTER_WINDOW


def early_events(patients: Iterable[Patient], protocol: Protocol) -> list[str]:
    """Return the related events that began before the first infusion, each with its row and subject."""
    return [
        f"{event.source} ({patient.subject}, {event.onset})"
        for patient in patients
        for event in patient.events or ()
        if is_before(event, patient.infusions[0])
        if rules_of(patient, protocol).dlt.is_related(event.related)
    ]


def _made(
    patient: Patient,
    protocol: Protocol,
    kinds: tuple[str, ...],
    day: date | None,
    event: AdverseEvent | None,
    adjudication: Adjudicated | None,
    left: tuple[str, ...],
) -> SeriousEvent:
    first, end = window(patient, protocol)
    return SeriousEvent(
        subject=patient.subject,
        level=patient.level,
        part=part_of_patient(patient, protocol),
        kinds=kinds,
        day=day,
        study_day=None if day is None else study_day(first, day),
        in_window=None if EARLY in kinds and day is not None and day < first else _in_window(day, event, first, end),
        event=event,
        adjudication=adjudication,
        open_items=left,
        pauses=kinds != (DEATH,) or protocol.in_force(day or date.max).pause.any_death,
        days=None if day is not None or event is None else event.days,
    )


def _in_window(day: date | None, event: AdverseEvent | None, first: date, end: date) -> bool | None:
    """Return whether a serious event occurred in the DLT window; for an event present before, by the day on which it worsened."""
    if day is not None:
        return first <= day <= end
    fatal = event is not None and _is_fatal(event)
    return None if event is None or (is_before(event, first) and not fatal) else in_window(event, first, end)


def adjudication_of(adjudications: Iterable[Adjudicated], event: AdverseEvent, patient: Patient, dlt: DLT) -> Adjudicated | None:
    """Return the latest adjudication of an event with the same onset and term, unless it is worse or repeated since."""
    alike = sum(_alike(event, other.onset, other.term) for other in patient.events or ())
    found = None
    for adjudicated in adjudications:
        further = adjudicated.alike is not None and alike > adjudicated.alike
        if (
            not adjudicated.of_assessment
            and _alike(event, adjudicated.event_date, adjudicated.term)
            and not further
            and _covers(adjudicated, event, dlt)
        ):
            found = adjudicated
    return found


def _alike(event: AdverseEvent, onset: date | str | None, term: str) -> bool:
    """Return whether an event has this start date, or this text of a partial date, and this term."""
    return event.onset == onset and plain_words(event.term) == plain_words(term)


def _covers(adjudicated: Adjudicated, event: AdverseEvent, dlt: DLT) -> bool:
    """Return whether the event is no worse than when it was adjudicated, in grade, outcome, relationship and seriousness."""
    if adjudicated.grade != event.grade and (adjudicated.grade is None or event.grade is None or event.grade > adjudicated.grade):
        return False
    now = _known(event, dlt)
    if now.fatal == "yes" and adjudicated.fatal != "yes" and adjudicated.grade != _FATAL:
        return False
    # A row of an earlier version does not state relationship and seriousness.
    return not adjudicated.relationship or (
        RELATIONSHIPS.index(now.relationship or "open") <= RELATIONSHIPS.index(adjudicated.relationship)
        and (now.serious != "yes" or adjudicated.serious == "yes")
    )


class Known(NamedTuple):
    """The data that an adjudication records besides the key of the event; fields as in `Adjudicated`."""

    relationship: Relationship | Literal[""] = ""
    serious: Flag = ""
    fatal: Flag = ""
    dlt_column: Flag = ""
    alike: int | None = None


def _known(event: AdverseEvent, dlt: DLT) -> Known:
    relationship: dict[bool | None, Relationship] = {False: "unrelated", None: "open", True: "related"}
    return Known(relationship[dlt.is_related(event.related)], _FLAGS[event.serious], _FLAGS[_is_fatal(event)])


_FLAGS: dict[bool | None, Flag] = {False: "no", None: "", True: "yes"}


def known_at(patient: Patient, key: EventKey, dlt: DLT) -> Known:
    """Return the data on the event to be adjudicated, the worst if several events have the same key."""
    column = Known(dlt_column=_FLAGS[patient.dlt])
    events = patient.events or ()
    found = [_known(event, dlt) for event in events if EventKey(event.onset, event.term, event.grade) == key]
    if not found:
        return column
    relationships = {event.relationship for event in found}
    return column._replace(
        relationship=next(relationship for relationship in reversed(RELATIONSHIPS) if relationship in relationships),
        serious=_worst([event.serious for event in found]),
        fatal=_worst([event.fatal for event in found]),
        alike=sum(_alike(event, key.date, key.term) for event in events),
    )


def _worst(flags: Collection[Flag]) -> Flag:
    return "yes" if "yes" in flags else "" if "" in flags else "no"
