"""Random trials for tests: records of what happened to each patient, and the patients that every correct reading of them gives.

Nothing here uses `dosefind.intake`: the days that a partial date can mean, the earliest of them and the day of a death without a
date are worked out here a second time, day by day.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from dosefind import Protocol
from dosefind.days import Days
from dosefind.patients import AdverseEvent, Part, Patient

__all__ = ["CALENDAR", "Dice", "Event", "Person", "Trial", "When", "expected", "random_trial"]

# Every day that a partial date of these trials is compared on.
CALENDAR = tuple(date(2023, 1, 1) + timedelta(days=number) for number in range(3 * 365))
ONE = timedelta(days=1)

TERMS = (
    "PYREXIA",
    "Hypertension",
    "ALT increased",
    "Headache",
    "Fatigue, worse at night",
    'Rash "maculopapular"',
    "Fièvre",
    "Nausea",
)
RELATED = {
    True: ("Y", "YES", "Related", "POSSIBLY RELATED", "probable", "Definite", "Suspected"),
    False: ("N", "NO", "Not related", "UNLIKELY", "unrelated", "NONE", "Remote"),
    None: ("Unknown", "NOT ASSESSED", "not assessable"),
}
OUTCOMES = ("RECOVERED/RESOLVED", "NOT RECOVERED/NOT RESOLVED", "Recovering", "recovered with sequelae", "UNKNOWN")
CLASSES = ("GENERAL DISORDERS AND ADMINISTRATION SITE CONDITIONS", "Vascular disorders", "Investigations")
LEFT = (
    "LOST TO FOLLOW-UP",
    "WITHDRAWAL BY SUBJECT",
    "PROGRESSIVE DISEASE",
    "PHYSICIAN DECISION",
    "ADVERSE EVENT",
    "Other: moved away",
)
STOPPED = ("ADVERSE EVENT", "PROGRESSIVE DISEASE", "PHYSICIAN DECISION")
NOT_EVALUABLE = ("Left before day 28", "Received less than the planned dose", "protocol deviation, major")
FATAL = 5


class Dice:
    """Draws from a seeded generator."""

    def __init__(self, seed: int | Sequence[int]) -> None:
        self.random = np.random.default_rng(seed)

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    def number(self, low: int, high: int) -> int:
        """Draw a whole number from ``low`` to ``high``, both included."""
        return int(self.random.integers(low, high + 1))

    def pick(self, options: Sequence[Any]) -> Any:
        return options[int(self.random.integers(len(options)))]

    def shuffled(self, items: Sequence[Any]) -> list[Any]:
        return [items[int(place)] for place in self.random.permutation(len(items))]


@dataclass(frozen=True)
class When:
    """A date as collected: its text, the days of the calendar that it can mean, and whether it has a year."""

    text: str
    days: frozenset[date]
    has_year: bool = True

    @property
    def day(self) -> date | None:
        """The day, where only one is possible."""
        return next(iter(self.days)) if len(self.days) == 1 else None

    def within(self, keep: Callable[[date], bool]) -> When:
        """Return the days that a further fact leaves, or all of them where it leaves none."""
        days = frozenset(filter(keep, self.days))
        return replace(self, days=days or self.days)


def exactly(day: date) -> When:
    return When(day.isoformat(), frozenset({day}))


def partial(dice: Dice, day: date) -> When:
    """Return a date of which a part is not known, in one of the forms of SDTM (Implementation Guide 3.4, section 4.4.2)."""
    before, after = day - dice.number(1, 20) * ONE, day + dice.number(1, 20) * ONE
    year, month, number = f"{day:%Y}", f"{day:%m}", f"{day:%d}"

    def in_month(other: date) -> bool:
        return (other.year, other.month) == (day.year, day.month)

    def in_year(other: date) -> bool:
        return other.year == day.year

    forms: tuple[tuple[str, Callable[[date], bool]], ...] = (
        (f"{year}-{month}", in_month),
        (f"{year}-{month}--", in_month),
        (year, in_year),
        (f"{year}----", in_year),
        (f"{year}---{number}", lambda other: in_year(other) and other.day == day.day),
        (f"--{month}-{number}", lambda other: (other.month, other.day) == (day.month, day.day)),
        (f"--{month}", lambda other: other.month == day.month),
        (f"-----{number}", lambda other: other.day == day.day),
        (f"{before}/{after}", lambda other: before <= other <= after),
        (f"{before}T09:30/{after}T-:15", lambda other: before <= other <= after),
        (f"{before}/{day}", lambda other: before <= other <= day),
        (f"{before:%Y-%m}/{after}", lambda other: before.replace(day=1) <= other <= after),
    )
    text, keep = dice.pick(forms)
    return When(text, frozenset(filter(keep, CALENDAR)), has_year=not text.startswith("-"))


NEVER = When("", frozenset(CALENDAR), has_year=False)


@dataclass(frozen=True)
class Event:
    """An adverse event as collected; ``ended`` is none where the end is not known."""

    term: str
    start: When
    grade: int | None = None
    related: str | None = None
    ended: When | None = None
    ongoing: bool = False
    serious: bool | None = None
    outcome: str | None = None
    organ_class: str | None = None
    initial_grade: int | None = None
    severity: str | None = None
    worsened: date | None = None
    flagged: bool | None = None
    emergent: bool | None = None


@dataclass(frozen=True)
class Person:
    """A subject as collected: one without infusions was screened only.

    ``left_on`` is the day of leaving, of which ``left`` may have a partial date; ADaM has the day.
    ``died`` is a date, partial or not, or ``NEVER`` where the data say only that the patient died; the data may have it in the day
    of leaving alone (``by_leaving``). ``has_dlt`` says whether an event is a DLT for certain; it is no fact of the data.
    """

    subject: str
    infusions: tuple[date, ...] = ()
    level: int | None = None
    administered: tuple[float, ...] = ()
    part: Part | None = None
    last_contact: When | None = None
    left: tuple[When, str] | None = None
    stopped: tuple[date, str] | None = None
    died: When | None = None
    dlt: bool | None = None
    dlt_day: When | None = None
    evaluable: bool | None = None
    evaluable_reason: str | None = None
    cohort: int | None = None
    replaces: str | None = None
    events: tuple[Event, ...] = ()
    has_dlt: bool = False
    by_leaving: bool = False
    left_on: date | None = None

    @property
    def treated(self) -> bool:
        return bool(self.infusions)

    @property
    def untreated_arm(self) -> bool:
        return self.part in ("placebo", "control")


@dataclass(frozen=True)
class Trial:
    """A trial: its protocol, its subjects, and which facts its data have at all."""

    protocol: Protocol
    people: tuple[Person, ...]
    with_events: bool = True
    with_cohorts: bool = False
    with_dlts: bool = False
    with_contacts: bool = True
    with_flags: bool = False

    @property
    def flags_are_dlts(self) -> bool:
        """Whether ADaM has the DLTs in flags of events, and not in flags of subjects."""
        return self.with_dlts and self.with_flags and self.with_events

    @property
    def treated(self) -> tuple[Person, ...]:
        return tuple(person for person in self.people if person.treated)

    @property
    def amounts(self) -> tuple[float, ...]:
        return tuple(float(amount) for amount in self.protocol.doses.amounts)


def random_trial(dice: Dice, protocols: Sequence[Protocol]) -> Trial:
    """Return a trial of 3 to 12 subjects, at least one of them treated."""
    protocol = dice.pick(protocols)
    size = dice.number(3, 12)
    shares = (("events", 0.85), ("cohorts", 0.25), ("dlts", 0.5), ("contacts", 0.85), ("flags", 0.4))
    kinds = {name: dice.chance(share) for name, share in shares}
    subjects = _identifiers(dice, size)
    start = date(2024, 1, 8) + dice.number(0, 300) * ONE
    people: list[Person] = []
    for place, subject in enumerate(subjects):
        start += dice.number(0, 9) * ONE
        if place and dice.chance(0.15):
            people.append(_screened(dice, subject, start, kinds["events"]))
            continue
        level = min(3, 1 + place // 4) if dice.chance(0.95) or kinds["cohorts"] else None
        people.append(_treated(dice, subject, start, level, protocol, kinds))
    trial = Trial(
        protocol,
        tuple(people),
        with_events=kinds["events"],
        with_cohorts=kinds["cohorts"],
        with_dlts=kinds["dlts"],
        with_contacts=kinds["contacts"],
        with_flags=kinds["flags"],
    )
    return _with_cohorts(dice, trial) if trial.with_cohorts else trial


def _identifiers(dice: Dice, size: int) -> list[str]:
    form = dice.pick(("S-{:03d}", "{:d}", "01-701-{:d}", "AB/2024/{:d}", "P {:d}", "{:04d}", "Größe-{:d}"))
    first = dice.number(1, 60) if form != "{:d}" else dice.number(1001, 1900)
    return [form.format(first + number) for number in range(size)]


def _screened(dice: Dice, subject: str, day: date, with_events: bool) -> Person:
    events = (Event("Headache", exactly(day), 1, "N"),) if with_events and dice.chance(0.4) else ()
    return Person(subject, events=events)


def _treated(dice: Dice, subject: str, first: date, level: int | None, protocol: Protocol, kinds: dict[str, bool]) -> Person:
    treatment, amounts = protocol.treatment, [float(amount) for amount in protocol.doses.amounts]
    planned = [first + (day - 1) * ONE for day in treatment.infusion_days]
    missed = dice.number(1, len(planned) - 1) if len(planned) > 1 and dice.chance(0.2) else 0
    infusions = [planned[0], *(day + dice.pick((0, 0, 0, 1, 2)) * ONE for day in planned[1 : len(planned) - missed])]
    part = (
        None
        if kinds["cohorts"] or dice.chance(0.8)
        else dice.pick(("escalation", "backfill", "expansion", "run-in", "placebo", "control"))
    )
    if part in ("placebo", "control"):
        level, administered = None, [0.0] * len(infusions)
    elif level is None:
        administered = [dice.pick((1.5, 2.75, 3.3))] * len(infusions)
    else:
        assigned = amounts[level - 1]
        administered = [_administered(dice, assigned, amounts) for _ in infusions]
    end = first + treatment.dlt_window_days * ONE
    last = max(infusions[-1], end + dice.number(-15, 60) * ONE)
    person = Person(subject, tuple(infusions), level, tuple(administered), part, last_contact=exactly(last))
    person = _with_end(dice, person, kinds["contacts"])
    last = _end_of_follow_up(person)
    if kinds["events"]:
        person = _with_events(dice, person, end, last, kinds["flags"])
    if kinds["dlts"]:
        person = _with_dlt(dice, person, kinds["events"], end)
    if not kinds["contacts"]:
        person = replace(person, last_contact=None, stopped=None)
    elif person.died is None and person.left is None and person.stopped is None and person.dlt_day is None and dice.chance(0.1):
        person = replace(person, last_contact=partial(dice, last))
    elif person.died is None and person.left is None and person.stopped is None and dice.chance(0.1):
        person = replace(person, last_contact=None)
    if not person.untreated_arm and dice.chance(0.15):
        evaluable = dice.chance(0.5)
        person = replace(person, evaluable=evaluable, evaluable_reason=None if evaluable else dice.pick(NOT_EVALUABLE))
    return person


def _administered(dice: Dice, assigned: float, amounts: Sequence[float]) -> float:
    given = round(assigned * dice.pick((0.5, 0.7, 0.9, 1.1)), 6)
    return given if dice.chance(0.1) and given not in amounts else assigned


def _end_of_follow_up(person: Person) -> date:
    """Return the day by which everything that is collected of a patient has happened."""
    if person.died is not None and person.died.day is not None:
        return person.died.day
    if person.last_contact is not None and person.last_contact.day is not None:
        return person.last_contact.day
    return person.infusions[-1]


def _with_end(dice: Dice, person: Person, contacts: bool) -> Person:
    """Return the patient with leaving, stopping treatment, or death."""
    last = person.infusions[-1]
    contact = person.last_contact
    assert contact is not None
    assert contact.day is not None
    draw = dice.random.random()
    if draw < 0.12:
        day = last + dice.number(0, 30) * ONE
        left = partial(dice, day) if dice.chance(0.2) else exactly(day)
        known = max(contact.day, day) if contacts and dice.chance(0.3) else day
        return replace(person, left=(left, dice.pick(LEFT)), left_on=day, last_contact=exactly(known))
    if draw < 0.2 and contact.day > last + 3 * ONE:
        day = last + dice.number(1, (contact.day - last).days - 1) * ONE
        return replace(person, stopped=(day, dice.pick(STOPPED)))
    if draw < 0.3:
        day = max(last, contact.day)
        if dice.chance(0.5):
            left = (exactly(day), dice.pick(("DEATH", "Death", "Died"))) if dice.chance(0.5) else None
            by_leaving = left is not None and dice.chance(0.5)
            return replace(
                person, died=exactly(day), last_contact=exactly(day), left=left, left_on=left and day, by_leaving=by_leaving
            )
        known = max(last, day - dice.number(0, 10) * ONE)
        return replace(person, died=NEVER if dice.chance(0.4) else partial(dice, day), last_contact=exactly(known))
    return person


def _with_events(dice: Dice, person: Person, end: date, last: date, flags: bool) -> Person:
    first = person.infusions[0]
    events: list[Event] = []
    for _ in range(dice.pick((0, 0, 1, 1, 2, 3))):
        events.append(_event(dice, first, end, last))
        if dice.chance(0.1):
            # The record was entered twice.
            events.append(events[-1])
    if dice.chance(0.02 if person.died is None else 0.5):
        # Without a date of death, the event alone reports the death.
        start = first + dice.number(0, max(0, (last - first).days)) * ONE
        events.append(Event("Septic shock", exactly(start), FATAL, dice.pick(RELATED[False]), outcome="FATAL", serious=True))
    if dice.chance(0.2) and not person.untreated_arm:
        start = first + dice.number(0, (min(end, last) - first).days) * ONE
        events.append(Event(dice.pick(TERMS), exactly(start), dice.number(3, 4), dice.pick(RELATED[True])))
    dlts = [_is_dlt(event, first, end) for event in events]
    if flags:
        events = [
            replace(event, flagged=True if dlt else dice.pick((None, False))) for event, dlt in zip(events, dlts, strict=True)
        ]
    return replace(person, events=tuple(dice.shuffled(events)), has_dlt=any(dlts) and not person.untreated_arm)


def _is_dlt(event: Event, first: date, end: date) -> bool:
    """Return whether an event is a DLT for certain: grade 3 or worse, related, begun in the DLT window."""
    begun = event.start.day is not None and first <= event.start.day <= end
    return begun and (event.grade or 0) >= 3 and event.related in RELATED[True]


def _event(dice: Dice, first: date, end: date, last: date) -> Event:
    """Return an event that is no DLT for certain, or of which nothing is certain."""
    before = dice.chance(0.15)
    day = first - dice.number(1, 40) * ONE if before else first + dice.number(0, max(0, (last - first).days)) * ONE
    related = dice.pick((True, False, False, None))
    grade = dice.pick((1, 1, 2, 2, 3, 4, None))
    start = dice.pick((exactly(day), exactly(day), exactly(day), partial(dice, day), NEVER))
    event = Event(dice.pick(TERMS), start, grade, None if dice.chance(0.1) else dice.pick(RELATED[related]))
    if dice.chance(0.4):
        ended = min(last, day + dice.number(0, 20) * ONE) if day <= last else day
        event = replace(event, ended=partial(dice, ended) if dice.chance(0.15) else exactly(ended))
    elif dice.chance(0.3):
        event = replace(event, ongoing=True)
    if grade is not None and dice.chance(0.3):
        event = replace(event, initial_grade=dice.number(0, grade))
    if start.day is not None and event.ended is None and grade is not None and dice.chance(0.1):
        event = replace(event, worsened=day + dice.number(0, 5) * ONE)
    return replace(
        event,
        serious=dice.pick((None, None, True, False)),
        outcome=dice.pick((None, *OUTCOMES)),
        organ_class=dice.pick((None, *CLASSES)),
        severity=dice.pick((None, None, "MILD", "Moderate", "SEVERE")),
        emergent=dice.pick((None, None, True, False)),
    )


def _may_be_dlt(event: Event) -> bool:
    grave = event.grade is None or event.grade >= 3
    return grave and (event.related is None or event.related not in RELATED[False])


def _with_dlt(dice: Dice, person: Person, with_events: bool, end: date) -> Person:
    """Return the patient with the DLT column, which agrees with the adverse events."""
    first, last = person.infusions[0], _end_of_follow_up(person)
    if person.has_dlt:
        day = min(event.start.day for event in person.events if event.start.day is not None and _is_dlt(event, first, end))
        return replace(person, dlt=True, dlt_day=partial(dice, day) if dice.chance(0.15) else exactly(day))
    if any(map(_may_be_dlt, person.events)) or person.untreated_arm:
        return person
    if not with_events and dice.chance(0.3):
        day = first + dice.number(0, (min(end, last) - first).days) * ONE
        return replace(person, dlt=True, dlt_day=exactly(day))
    return replace(person, dlt=dice.pick((False, False, None)))


def _with_cohorts(dice: Dice, trial: Trial) -> Trial:
    """Return the trial with cohorts in the order of dates, each of one level, and with a replacement where one is possible."""
    cohort, people = 0, []
    before: Person | None = None
    for person in trial.people:
        if not person.treated:
            people.append(person)
            continue
        if before is None or before.level != person.level or dice.chance(0.3):
            cohort += 1
            before = None
        joins = (
            before is not None and not before.has_dlt and before.dlt is not True and before.replaces is None and dice.chance(0.2)
        )
        person = replace(person, cohort=cohort, replaces=before.subject if joins and before is not None else None)
        people.append(person)
        before = person
    return replace(trial, people=tuple(people))


# What every correct reading gives.


def expected(trial: Trial, layout: str, named: bool = False) -> tuple[Patient, ...]:
    """Return the patients of a trial in data of a layout ("own", "SDTM" or "ADaM"), without the rows that they come from.

    SDTM has no variable for DLTs and cohorts unless the config names one (``named``); replacements are in the own layout alone.
    """
    patients = [_patient(trial, person, layout, named) for person in trial.treated]
    return tuple(sorted(patients, key=lambda patient: (patient.infusions[0], patient.subject)))


def _patient(trial: Trial, person: Person, layout: str, named: bool) -> Patient:
    last = person.infusions[-1]
    contact = None if person.last_contact is None else _earliest(person.last_contact, last)
    left = None if person.left is None else _earliest(person.left[0], person.infusions[0])
    if layout == "ADaM" and left is not None and person.left_on is not None:
        # EOSDT is a last contact too.
        left = person.left_on
        contact = left if contact is None else max(contact, left)
    if layout != "own" and person.died is not None and person.died.day is not None and not person.by_leaving:
        # So is the date of death.
        contact = person.died.day if contact is None else max(contact, person.died.day)
    dlt, dlt_day = (person.dlt, person.dlt_day) if layout != "SDTM" or named else (None, None)
    if layout == "ADaM" and trial.flags_are_dlts:
        flagged = [event.start for event in person.events if event.flagged]
        dlt, dlt_day = bool(flagged), min(flagged, key=lambda when: min(when.days), default=None)
    died, recorded = _died(person, contact, left, dlt_day)
    assigned = person.administered[0] if person.level is None else trial.amounts[person.level - 1]
    amounts = () if all(given == assigned for given in person.administered) else person.administered
    full_death = person.died.day if person.died is not None else None
    events = tuple(_adverse_event(event, full_death, layout) for event in person.events)
    return Patient(
        subject=person.subject,
        level=person.level,
        amount=assigned,
        infusions=person.infusions,
        cohort=person.cohort if layout != "SDTM" or named else None,
        last_contact=contact,
        dlt=dlt,
        dlt_date=None if dlt_day is None else dlt_day.day,
        discontinued=left,
        reason=None if person.left is None else person.left[1],
        replaces=person.replaces if layout == "own" else None,
        events=events if trial.with_events else None,
        amounts=amounts,
        part=person.part,
        died=died,
        evaluable=person.evaluable,
        evaluable_reason=person.evaluable_reason,
        left_treatment=None if person.stopped is None else person.stopped[0],
        left_treatment_reason=None if person.stopped is None else person.stopped[1],
        dlt_days=_days(dlt_day) if dlt_day is not None and dlt_day.day is None else None,
        died_recorded=recorded,
    )


def _earliest(when: When, not_before: date) -> date:
    return min(day for day in when.days if day >= not_before)


def _adverse_event(event: Event, died: date | None, layout: str) -> AdverseEvent:
    start = event.start
    if start.day is None and event.ended is not None and event.ended.has_year:
        latest = max(event.ended.days)
        start = start.within(lambda day: day <= latest)
    if start.day is None and died is not None:
        start = start.within(lambda day: day <= died)
    end = None if event.ended is None else event.ended.day
    return AdverseEvent(
        term=event.term,
        grade=event.grade,
        related=event.related,
        start=start.day,
        source="",
        serious=event.serious,
        outcome=event.outcome,
        organ_class=event.organ_class,
        days=None if start.day is not None else _days(start),
        initial_grade=event.initial_grade,
        end=end,
        flagged_dlt=event.flagged,
        severity=event.severity,
        worsened=event.worsened if layout != "ADaM" else None,
        ongoing=True if event.ongoing else None,
        emergent=event.emergent,
    )


def _days(when: When) -> Days:
    """Return the days of a date in the record of the patients, bounded by the calendar."""
    return Days(when.text, min(when.days), max(when.days), frozenset((day.month, day.day) for day in when.days))


def _died(person: Person, contact: date | None, left: date | None, dlt_day: When | None) -> tuple[date | None, bool]:
    """Return the day of death, and whether the data have it.

    Of a partial date it is the earliest day possible from the last day known on, or else from the last infusion on; without a
    date it is the day on which a fatal event began, or the last day known.
    """
    last = person.infusions[-1]
    if person.died is None:
        begun = [event.start.day for event in person.events if event.grade == FATAL and event.start.day is not None]
        return max(*begun, last) if begun else None, True
    if person.died.day is not None:
        return person.died.day, True
    dated = [contact, left, None if dlt_day is None else dlt_day.day]
    starts = [_adverse_event(event, None, "own").start for event in person.events]
    known = max(day for day in (last, *dated, *starts) if day is not None)
    if person.died is NEVER:
        return known, False
    days = [day for day in person.died.days if day >= known] or [day for day in person.died.days if day >= last]
    return min(days), True
