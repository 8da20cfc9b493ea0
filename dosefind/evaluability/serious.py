"""Serious events: every death, related serious event and related event of grade 4 or worse, whatever the DLT window says.

A grave event that is called related and began before the first infusion is one as well: either of the two is to be checked. They
hold escalation and enrolment until an adjudication is on file. An event whose relationship is not assessed is taken for related
here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from ..adjudications import RELATIONSHIPS, Adjudicated, as_known
from ..intake.entries import is_death
from ..patients import AdverseEvent, Part, Patient
from ..protocol import DLT, Protocol, plain_words
from .evaluated import UNTREATED
from .window import rules_of, window

__all__ = [
    "DEATH",
    "EARLY",
    "RELATED_SERIOUS",
    "RELATED_SEVERE",
    "SeriousEvent",
    "adjudication_of",
    "early_events",
    "part_of_patient",
    "serious_events",
]

DEATH = "death"
RELATED_SERIOUS = "related serious event"
RELATED_SEVERE = "related event of grade 4 or worse"
EARLY = "related event before the first infusion"
_GRAVE, _SEVERE, _FATAL = 3, 4, 5


@dataclass(frozen=True)
class SeriousEvent:
    """A death, or an event that can weigh as much.

    Attributes
    ----------
    subject
        The identifier that the user gave.
    level
        Dose level from 1; ``None`` at a dose that is not in the protocol.
    part
        Part of the trial.
    kinds
        Which of `DEATH`, `EARLY`, `RELATED_SERIOUS` and `RELATED_SEVERE` it is.
    day
        Day of the death or onset; ``None`` where the data give none.
    study_day
        The same counted from the first infusion, which is day 1.
    in_window
        Whether it came in the DLT window; ``None`` where its day is not known.
    event
        The adverse event; ``None`` for a death that no adverse event tells of.
    adjudication
        The adjudication on file; ``None`` while there is none.
    open_items
        What the data leave open and was taken against safety: "relationship", "grade".
    pauses
        Whether the protocol's pause rules hold enrolment for such an event; False for an unrelated death with
        ``pause.any_death = false``.
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

    @property
    def holds(self) -> bool:
        """Whether it holds escalation and enrolment: not adjudicated, in a patient who was given the product."""
        return self.pauses and self.adjudication is None and self.part not in UNTREATED

    @property
    def words(self) -> str:
        """The event in a few words: what, who, when; no term."""
        grade = "" if self.event is None or self.event.grade is None or DEATH in self.kinds else f", grade {self.event.grade}"
        when = "on a day not known" if self.study_day is None else f"on day {self.study_day}"
        window = {True: ", in the DLT window", False: ", after the DLT window", None: ""}[self.in_window]
        left = f" ({' and '.join(self.open_items)} not given)" if self.open_items else ""
        return f"{self.kinds[0]} of {self.subject}{grade} {when}{window}{left}"


def part_of_patient(patient: Patient, protocol: Protocol) -> Part:
    """Return the part of the trial that a patient belongs to: as the data say, or by the first matching rule of the protocol."""
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
    """Return the serious events of treated patients, in the order of their day; those without a day come first.

    Parameters
    ----------
    patients
        Treated patients, as known by the data cutoff.
    protocol
        The protocol, for the words of relationship and the DLT window.
    adjudications
        Adjudications in force.
    """
    found = [event for patient in patients for event in _of_patient(patient, protocol, adjudications)]
    return tuple(sorted(found, key=lambda one: (one.day is not None, one.day or date.min, one.subject)))


def _of_patient(patient: Patient, protocol: Protocol, adjudications: tuple[Adjudicated, ...]) -> Iterator[SeriousEvent]:
    own = tuple(one for one in adjudications if one.subject == patient.subject)
    fatal = False
    for event in patient.events or ():
        kinds, left = _kinds(event, patient, protocol)
        if kinds:
            died = patient.died if DEATH in kinds else None
            fatal |= DEATH in kinds
            said = adjudication_of(own, event, rules_of(patient, protocol).dlt)
            # What was concluded of the event before the death says nothing of the death.
            if died is not None and (said is None or said.as_of < died):
                said = _of_death(own, died) if _only_fatal(patient, event) else None
            yield _made(patient, protocol, kinds, died or event.start, event, said, left)
    if patient.died is not None and not fatal:
        yield _made(patient, protocol, (DEATH,), patient.died, None, _of_death(own, patient.died), ())


def _of_death(adjudications: Iterable[Adjudicated], died: date | None) -> Adjudicated | None:
    """Return the latest adjudication of a death, by its day and as a death."""
    found = [one for one in adjudications if died is not None and one.event_date == died and plain_words(one.term) == DEATH]
    return found[-1] if found else None


def _is_fatal(event: AdverseEvent) -> bool:
    return event.grade == _FATAL or is_death(event.outcome)


def _only_fatal(patient: Patient, event: AdverseEvent) -> bool:
    """Return whether no other event of the patient is fatal, so that the death is that of this event."""
    return not any(_is_fatal(other) for other in patient.events or () if other is not event)


def _kinds(event: AdverseEvent, patient: Patient, protocol: Protocol) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which kinds of serious event this is, and what was left open."""
    fatal = _is_fatal(event)
    early = event.start is not None and event.start < patient.infusions[0] and not fatal
    if early and not _cannot_be_early(event, rules_of(patient, protocol).dlt):
        return (), ()
    related = rules_of(patient, protocol).dlt.is_related(event.related)
    kinds = [DEATH] if fatal else [EARLY] if early else []
    if related is not False:
        severe = (event.grade or 0) >= _SEVERE
        # In the window, an event without a grade keeps the outcome open by itself.
        first, end = window(patient, protocol)
        inside = event.start is not None and first <= event.start <= end
        ungraded = event.grade is None and event.serious is None and not fatal and not inside
        if severe or ungraded:
            kinds.append(RELATED_SEVERE)
        # A death is serious by definition, and so is what threatens life, where the data do not say.
        if event.serious or fatal or (event.serious is None and severe):
            kinds.append(RELATED_SERIOUS)
    left = ("relationship",) * (related is None) + ("grade",) * (event.grade is None)
    return tuple(kinds), left if kinds else ()


def _cannot_be_early(event: AdverseEvent, dlt: DLT) -> bool:
    """Return whether an event is called related and weighs so much that a start before the first infusion is to be checked."""
    return dlt.is_related(event.related) is True and ((event.grade or 0) >= _GRAVE or event.serious is True)


def early_events(patients: Iterable[Patient], protocol: Protocol) -> list[str]:
    """Return the events that are called related and began before the first infusion, each by its row and subject."""
    return [
        f"{event.source} ({patient.subject}, {event.start})"
        for patient in patients
        for event in patient.events or ()
        if event.start is not None and event.start < patient.infusions[0]
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
    days = None if day is None else (day - first).days
    return SeriousEvent(
        subject=patient.subject,
        level=patient.level,
        part=part_of_patient(patient, protocol),
        kinds=kinds,
        day=day,
        # There is no day 0.
        study_day=None if days is None else days + 1 if days >= 0 else days,
        in_window=None if day is None else first <= day <= end,
        event=event,
        adjudication=adjudication,
        open_items=left,
        pauses=rules_of(patient, protocol).pause.any_death or kinds != (DEATH,),
    )


def adjudication_of(adjudications: Iterable[Adjudicated], event: AdverseEvent, dlt: DLT) -> Adjudicated | None:
    """Return the latest adjudication of an event: of its onset and its term, and of nothing that has become worse since."""
    found = None
    for one in adjudications:
        same = not one.of_assessment and one.event_date == event.start and plain_words(one.term) == plain_words(event.term)
        if same and _covers(one, event, dlt):
            found = one
    return found


def _covers(one: Adjudicated, event: AdverseEvent, dlt: DLT) -> bool:
    """Return whether the event is no worse than it was when it was adjudicated, in grade, relationship and seriousness."""
    if one.grade != event.grade and (one.grade is None or event.grade is None or event.grade > one.grade):
        return False
    if not one.relationship:
        # A row of an earlier version, which says neither.
        return True
    relationship, serious = as_known(event, dlt)
    return RELATIONSHIPS.index(relationship) <= RELATIONSHIPS.index(one.relationship) and (serious != "yes" or one.serious == "yes")
