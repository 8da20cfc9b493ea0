"""Conduct of the trial: protocol deviations found in the data, and the earliest start of the next patient and dose group.

A finding is a deviation to report, never an error, because real trials deviate. A rule is one function in ``RULES`` that yields its
findings; another rule is another function. The rule of sequential dose groups applies to any change of dose, including a lower
dose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, timedelta
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np

from ._check import whole
from .adjudications import Adjudicated
from .evaluability import UNTREATED, Evaluated, Members, SeriousEvent, Status, recorded_reason
from .evaluability.serious import DEATH
from .patients import SAME_AMOUNT, Patient
from .protocol import Doses, Protocol, Treatment, plain_words
from .starts import NO_WAIT, Gated, Started, gated, staggered, until
from .timing import NEVER, Gates
from .words import _, counted, marked, n_days, n_patients

__all__ = [
    "OTHER_LEVEL",
    "RULES",
    "SETTINGS",
    "Earliest",
    "Finding",
    "Slot",
    "Start",
    "Wait",
    "earliest",
    "findings",
    "in_turn",
    "slots_of",
    "waits",
]


OTHER_LEVEL = marked("dose of another level administered")
"""Rule of a finding: an infusion with the dose of another level than the assigned one."""


class Finding(NamedTuple):
    """A deviation from the protocol.

    Attributes
    ----------
    rule
        Name of the rule, in a few words.
    subjects
        Patients concerned.
    dates
        Dates concerned.
    words
        What happened, and what the protocol states.
    """

    rule: str
    subjects: tuple[str, ...]
    dates: tuple[date, ...]
    words: str


class Start(NamedTuple):
    """Earliest start of a patient: the date, ``None`` if no date can be stated, and the reason."""

    day: date | None
    words: str


class Earliest(NamedTuple):
    """Earliest starts after the data cutoff date: the next patient at a level, and the next group, one level up."""

    patient: Start
    group: Start


class _Group(NamedTuple):
    """Patients treated together at one dose: its level, or its amount if the dose is not in the protocol."""

    level: int | None
    amount: float
    statuses: tuple[Status, ...]

    @property
    def dose(self) -> str:
        """Return the dose in words."""
        if self.level is None:
            return _("dose {dose}").format(dose=f"{self.amount:g}")
        return _("level {level}").format(level=self.level)

    def same_dose(self, other: _Group) -> bool:
        """Return whether another group has the same dose."""
        return (self.level, self.amount) == (other.level, other.amount)


class _Trial(NamedTuple):
    """The data that the rules read."""

    evaluated: Evaluated
    protocol: Protocol
    max_per_dose: int | None
    # With its amendments, so that each action is judged by the version in force on its date.
    amended: Protocol
    adjudications: tuple[Adjudicated, ...] = ()

    @property
    def pairs(self) -> list[tuple[Patient, Status]]:
        return list(zip(self.evaluated.patients, self.evaluated.statuses, strict=True))

    def at(self, level: int) -> list[Status]:
        """Return the statuses at a level, in the order of first infusion."""
        return [status for status in self.evaluated.statuses if status.level == level]

    def rules(self, day: date) -> Treatment:
        """Return the rules on treatment in force on a day."""
        return self.amended.in_force(day).treatment

    @property
    def groups(self) -> list[_Group]:
        """Return cohorts, groups outside the escalation and patients at other doses, in the order of first infusion."""
        of_members = [(group, self.of(group)) for group in self.evaluated.groups]
        grouped = {subject for group in self.evaluated.groups for subject in group.subjects}
        groups = [_Group(group.level, 0.0, tuple(statuses)) for group, statuses in of_members]
        others: dict[tuple[int | None, float], list[Status]] = {}
        for patient, status in self.pairs:
            if status.subject not in grouped and status.part not in UNTREATED:
                amount = 0.0 if status.level is not None else patient.amount
                others.setdefault((status.level, amount), []).append(status)
        groups += [_Group(level, amount, tuple(statuses)) for (level, amount), statuses in others.items()]
        return sorted(groups, key=lambda group: group.statuses[0].first)

    def of(self, members: Members) -> list[Status]:
        return [self.evaluated[subject] for subject in members.subjects]


def findings(
    evaluated: Evaluated, protocol: Protocol, max_per_dose: int | None = None, adjudications: Sequence[Adjudicated] = ()
) -> list[Finding]:
    """Return the protocol deviations found in the data, rule by rule.

    Parameters
    ----------
    evaluated
        Patients with their status at the data cutoff date.
    protocol
        The protocol; an action is judged by the version in force on its date, sizes by the version in force at the data cutoff
        date.
    max_per_dose
        Maximum number of patients per dose of the primary design; by default the maximum in ``limits.group``.
    adjudications
        Adjudications on file in the order in which they were recorded, including replaced ones, to determine whether a serious
        event had been adjudicated when a patient started. Those in force are known without them.

    Returns
    -------
    list of Finding
        Deviations to report; none is an error.
    """
    if max_per_dose is None:
        group = protocol.in_force(evaluated.as_of).limits.group
        max_per_dose = None if group is None else group[1]
    else:
        whole("max_per_dose", max_per_dose, 1)
    now = protocol.in_force(evaluated.as_of)
    trial = _Trial(evaluated, now, max_per_dose, protocol, tuple(adjudications))
    return [found for rule in RULES for found in rule(trial)]


def _unknown_dose(trial: _Trial) -> Iterator[Finding]:
    for patient, status in trial.pairs:
        if status.level is None and status.part not in UNTREATED:
            words = _("{subject} was given {dose}, but the protocol has {doses}").format(
                subject=patient.subject, dose=f"{patient.amount:g}", doses=trial.protocol.doses.words
            )
            yield Finding(marked("dose not in the protocol"), (patient.subject,), (status.first,), words)


def _two_doses_in_a_cohort(trial: _Trial) -> Iterator[Finding]:
    for first, second in combinations(trial.evaluated.members, 2):
        if first.cohort == second.cohort:
            strays = trial.of(second)
            words = counted(
                "cohort {cohort} began at level {level}; {subjects} was treated at level {other}",
                "cohort {cohort} began at level {level}; {subjects} were treated at level {other}",
                len(strays),
                cohort=first.cohort,
                level=first.level,
                subjects=_names(strays),
                other=second.level,
            )
            yield Finding(marked("two doses in a cohort"), _subjects(strays), _firsts(strays), words)


def _two_groups_at_once(trial: _Trial) -> Iterator[Finding]:
    for group, other in combinations(trial.groups, 2):
        if group.same_dose(other):
            continue
        begun = other.statuses[0]
        late = [status for status in group.statuses if status.first >= begun.first and trial.rules(status.first).no_overlap]
        if late:
            words = counted(
                "{subjects} was first treated at {dose} when {other} had begun with {begun} on {date}",
                "{subjects} were first treated at {dose} when {other} had begun with {begun} on {date}",
                len(late),
                subjects=_names(late),
                dose=group.dose,
                other=other.dose,
                begun=begun.subject,
                date=begun.first,
            )
            yield Finding(
                marked("two dose groups at once"), (begun.subject, *_subjects(late)), (begun.first, *_firsts(late)), words
            )


def _group_too_early(trial: _Trial) -> Iterator[Finding]:
    groups = trial.groups
    for place, group in enumerate(groups[1:], start=1):
        start = group.statuses[0]
        if not trial.rules(start.first).no_overlap or groups[place - 1].same_dose(group):
            continue
        earlier = [status for previous in groups[:place] if not previous.same_dose(group) for status in previous.statuses]
        waiting = [status for status in earlier if status.first <= start.first < _closes(status)]
        if waiting:
            ends = ", ".join(_("{subject} on {date}").format(subject=status.subject, date=status.end) for status in waiting)
            words = _("{dose} began with {subject} on {date}, before the DLT windows of earlier groups had ended: {ends}").format(
                dose=group.dose, subject=start.subject, date=start.first, ends=ends
            )
            dates = (start.first, *(status.end for status in waiting))
            yield Finding(marked("group started before the last window closed"), (start.subject, *_subjects(waiting)), dates, words)


def _stagger(trial: _Trial) -> Iterator[Finding]:
    """Report patients who started too early after another; a dose not in the protocol is staggered like the next level up."""
    slots = slots_of(trial.evaluated, trial.protocol)
    for level in range(1, trial.protocol.n_doses + 1):
        for place, slot in enumerate(slots):
            if slot.near != level:
                continue
            # Levels have the numbers of the version by which the start is judged.
            version = trial.amended.in_force(slot.start)
            rules, numbered = version.treatment, _numbered(slots[: place + 1], trial.protocol.doses, version.doses)
            near = numbered[-1].near
            group = [other for other in numbered[:-1] if other.near == near]
            starts = {other.subject: other.start for other in group}
            for wait in waits(group, near, (), rules):
                if wait.rule == "stagger" and wait.day is not None and slot.start < wait.day:
                    days = 0 if rules.stagger is None else rules.stagger.days
                    before = starts[wait.subject]
                    at_level = _(
                        "{subject} was first treated at level {level} on {date}, {gap} after {before} on {start}; the minimum is "
                        "{minimum}"
                    )
                    at_dose = _(
                        "{subject} was first treated at dose {dose} on {date}, {gap} after {before} on {start}; the minimum is "
                        "{minimum}"
                    )
                    words = (at_level if slot.level == level else at_dose).format(
                        subject=slot.subject,
                        level=level,
                        dose=f"{slot.amount:g}",
                        date=slot.start,
                        gap=n_days((slot.start - before).days),
                        before=wait.subject,
                        start=before,
                        minimum=n_days(days),
                    )
                    rule = marked("patients too close together")
                    yield Finding(rule, (wait.subject, slot.subject), (before, slot.start), words)


def _too_many(trial: _Trial) -> Iterator[Finding]:
    most = trial.max_per_dose
    for level in range(1, trial.protocol.n_doses + 1):
        there = [status for status in trial.at(level) if status.counts and status.part == "escalation"]
        if most is not None and len(there) > most:
            beyond = there[most:]
            words = counted(
                "{n} patient is evaluable for DLT at level {level}; the maximum is {most}; enrolled beyond it: {subjects}",
                "{n} patients are evaluable for DLT at level {level}; the maximum is {most}; enrolled beyond it: {subjects}",
                len(there),
                level=level,
                most=most,
                subjects=_names(beyond),
            )
            yield Finding(marked("too many patients on a dose"), _subjects(beyond), _firsts(beyond), words)
    evaluable = [status for status in trial.evaluated.statuses if status.counts and status.part == "escalation"]
    beyond = evaluable[trial.protocol.limits.max_n :]
    if beyond:
        words = counted(
            "{n} patient is evaluable for DLT; the maximum sample size is {most}; enrolled beyond it: {subjects}",
            "{n} patients are evaluable for DLT; the maximum sample size is {most}; enrolled beyond it: {subjects}",
            len(evaluable),
            most=trial.protocol.limits.max_n,
            subjects=_names(beyond),
        )
        yield Finding(marked("too many patients"), _subjects(beyond), _firsts(beyond), words)


def _off_schedule(trial: _Trial) -> Iterator[Finding]:
    for patient, status in trial.pairs:
        treatment = trial.rules(status.first)
        for number, day in enumerate(patient.infusions, start=1):
            at = (day - status.first).days + 1
            if number > len(treatment.infusion_days):
                words = _("{subject} had infusion {number} on {date}, but the protocol plans {planned}")
                values = {"planned": len(treatment.infusion_days)}
            elif abs(at - treatment.infusion_days[number - 1]) > treatment.infusion_tolerance_days:
                words = _("{subject} had infusion {number} on {date}, day {day}; planned on day {planned}")
                values = {"planned": treatment.infusion_days[number - 1], "day": at}
            else:
                continue
            words = words.format(subject=patient.subject, number=number, date=day, **values)
            yield Finding(marked("infusion off its schedule"), (patient.subject,), (day,), words)


def _doses_administered(trial: _Trial) -> Iterator[Finding]:
    """Report infusions whose amount is not the assigned one."""
    treated = [patient for patient, status in trial.pairs if status.part not in UNTREATED]
    for patient in treated:
        for number, (day, amount) in enumerate(zip(patient.infusions, patient.administered, strict=True), start=1):
            if not math.isclose(amount, patient.amount, rel_tol=SAME_AMOUNT):
                rule, words, values = _other_dose(patient, number, amount, trial.protocol.doses)
                words = words.format(subject=patient.subject, number=number, date=day, amount=f"{amount:g}", **values)
                yield Finding(rule, (patient.subject,), (day,), words)


def _other_dose(patient: Patient, number: int, amount: float, doses: Doses) -> tuple[str, str, dict[str, Any]]:
    """Return the rule, the sentence and its values for an infusion of another amount: another level's dose, or any other amount."""
    level = next((at for at, dose in enumerate(doses.amounts, start=1) if math.isclose(amount, dose, rel_tol=SAME_AMOUNT)), None)
    own: dict[str, Any] = {"level": patient.level, "own": f"{patient.amount:g}", "unit": doses.unit, "by": patient.assigned_by}
    if level is not None and patient.level is not None:
        if patient.assigned_by is None:
            words = _(
                "{subject} had infusion {number} on {date} at {amount}, the dose of level {other}; the first was at "
                "level {level}, {own} {unit}"
            )
        else:
            words = _(
                "{subject} had infusion {number} on {date} at {amount}, the dose of level {other}; the dose assigned by {by} was "
                "level {level}, {own} {unit}"
            )
        return OTHER_LEVEL, words, own | {"other": level}
    if patient.assigned_by is None and number > 1:
        words = _("{subject} had infusion {number} on {date} at {amount}, but the first at {own} {unit}")
        return marked("amounts within a course differ"), words, own | {"own": f"{patient.administered[0]:g}"}
    above = _("{subject} had infusion {number} on {date} at {amount}, above the assigned dose of level {level}, {own} {unit}")
    below = _("{subject} had infusion {number} on {date} at {amount}, below the assigned dose of level {level}, {own} {unit}")
    return marked("dose administered is not the dose assigned"), above if amount > patient.amount else below, own


def _partial_course(trial: _Trial) -> Iterator[Finding]:
    for patient, status in trial.pairs:
        treatment = trial.rules(status.first)
        given = len(patient.infusions)
        if given >= len(treatment.infusion_days):
            continue
        due = status.first + timedelta(days=treatment.infusion_days[given] - 1)
        if status.kind == "dlt" and status.closed is not None and status.closed <= due:
            continue  # no further infusion is expected after a DLT
        missed = due + timedelta(days=treatment.infusion_tolerance_days) < trial.evaluated.as_of
        stopped = min((day for day in (patient.discontinued, patient.left_treatment) if day is not None), default=None)
        if missed or stopped is not None:
            if stopped is None:
                words = _("{subject} had {given} of {planned} infusions; the next was due on {due}")
            elif stopped == patient.discontinued:
                words = _(
                    "{subject} had {given} of {planned} infusions; the next was due on {due}, and the patient discontinued on "
                    "{stopped}"
                )
            else:
                words = _(
                    "{subject} had {given} of {planned} infusions; the next was due on {due}, and the patient discontinued "
                    "treatment on {stopped}"
                )
            words = words.format(
                subject=patient.subject, given=given, planned=len(treatment.infusion_days), due=due, stopped=stopped
            )
            yield Finding(marked("partial course"), (patient.subject,), (due,), words)


def _replacements(trial: _Trial) -> Iterator[Finding]:
    by = {status.subject: status for status in trial.evaluated.statuses}
    for patient, status in trial.pairs:
        if patient.replaces is None:
            continue
        replaced = by.get(patient.replaces)
        if replaced is None:
            words = _(
                "{subject} is recorded as the replacement of {replaced}, but no such patient was treated by the data cutoff date"
            )
        elif replaced.counts:
            words = _(
                "{subject} is recorded as the replacement of {replaced}, who is evaluable for DLT and is not replaced: {reason}"
            )
        elif replaced.replaced_by is None:
            words = _("{subject} is recorded as the replacement of {replaced}, who was not treated earlier")
        elif replaced.replaced_by != patient.subject:
            words = _("{subject} is recorded as the replacement of {replaced}, who is already replaced by {by}")
        elif replaced.level != status.level:
            words = _("{subject} is recorded as the replacement of {replaced}, but was treated at another dose")
        else:
            continue
        words = words.format(
            subject=patient.subject,
            replaced=patient.replaces,
            reason=replaced.rule if replaced else "",
            by=replaced.replaced_by if replaced else "",
        )
        yield Finding(marked("replacement"), tuple(dict.fromkeys((patient.subject, patient.replaces))), (status.first,), words)


def _recorded_decisions(trial: _Trial) -> Iterator[Finding]:
    """Report recorded decisions on evaluability that contradict the patient's status or the protocol's rules."""
    for patient, status in trial.pairs:
        if status.recorded is None or status.part in UNTREATED or status.level is None:
            continue
        lost = status.kind in ("not evaluable", "replaced")
        if not status.recorded and status.kind == "dlt":
            rule = marked("recorded not evaluable, with a DLT")
            words = _("{subject} is recorded not evaluable{reason}, but has a DLT: counted")
        elif not status.recorded and lost and status.derived == "complete":
            rule = marked("recorded not evaluable, evaluable per protocol")
            words = _("{subject} is recorded not evaluable{reason}: not counted; complete per protocol")
        elif status.recorded and lost:
            rule = marked("recorded evaluable, not evaluable per protocol")
            words = _("{subject} is recorded evaluable{reason}: not counted; {rule}")
        elif status.recorded and status.derived == "not evaluable" and status.adjudication is None:
            rule = marked("recorded evaluable, not evaluable per protocol")
            words = _("{subject} is recorded evaluable{reason}: counted; {rule}")
        else:
            continue
        words = words.format(subject=status.subject, reason=recorded_reason(patient, trial.protocol), rule=status.rule)
        yield Finding(rule, (status.subject,), (status.first,), words)


def _started_on_hold(trial: _Trial) -> Iterator[Finding]:
    serious = [event for event in trial.evaluated.serious if event.day is not None and event.pauses and event.part not in UNTREATED]
    for status in trial.evaluated.statuses:
        before = [event for event in serious if event.day is not None and event.day < status.first]
        waiting = [event for event in before if not _adjudicated_by(trial, event, status.first)]
        if waiting:
            event_words = _("{kind} of {subject} on {date}")
            told = ", ".join(event_words.format(kind=_(event.kinds[0]), subject=event.subject, date=event.day) for event in waiting)
            words = _("{subject} was first treated on {date} while adjudication was pending ({events})").format(
                subject=status.subject, date=status.first, events=told
            )
            subjects = tuple(dict.fromkeys((status.subject, *(event.subject for event in waiting))))
            days = tuple(event.day for event in waiting if event.day is not None)
            yield Finding(marked("started during a hold"), subjects, (status.first, *days), words)


def _adjudicated_by(trial: _Trial, event: SeriousEvent, day: date) -> bool:
    """Return whether the latest adjudication of a serious event by a day, inclusive, was still in force."""
    about = [adjudicated for adjudicated in trial.adjudications if _is_about(adjudicated, event)]
    about += [adjudicated for adjudicated in (event.adjudication,) if adjudicated is not None and adjudicated not in about]
    by_then = [adjudicated for adjudicated in about if adjudicated.adjudicated_on <= day]
    return bool(by_then) and by_then[-1].conclusion != "retracted"


def _is_about(adjudicated: Adjudicated, event: SeriousEvent) -> bool:
    """Return whether an adjudication concerns a serious event, and was made when it was known."""
    if adjudicated.subject != event.subject or event.day is None or adjudicated.as_of < event.day:
        return False
    told = event.event
    of_event = told is not None and adjudicated.event_date == told.onset and plain_words(adjudicated.term) == plain_words(told.term)
    return of_event or (DEATH in event.kinds and adjudicated.event_date == event.day and plain_words(adjudicated.term) == DEATH)


def _above_the_escalation(trial: _Trial) -> Iterator[Finding]:
    escalation = [other for other in trial.evaluated.statuses if other.part == "escalation" and other.level is not None]
    for status in trial.evaluated.statuses:
        if status.part not in _BESIDE or status.level is None:
            continue
        highest = max((other.level or 0 for other in escalation if other.first <= status.first), default=0)
        if status.level > highest:
            if highest:
                words = _(
                    "{subject} ({part}) was first treated at level {level} on {date}; the highest level of the escalation by then "
                    "was {highest}"
                )
            else:
                words = _("{subject} ({part}) was first treated at level {level} on {date}; the escalation had not begun by then")
            words = words.format(
                subject=status.subject, part=_(status.part), level=status.level, date=status.first, highest=highest
            )
            yield Finding(marked("level above the escalation"), (status.subject,), (status.first,), words)


# Parts whose patients are treated at levels that the escalation has reached.
_BESIDE = ("backfill", "expansion")


RULES: tuple[Callable[[_Trial], Iterator[Finding]], ...] = (
    _unknown_dose,
    _two_doses_in_a_cohort,
    _two_groups_at_once,
    _group_too_early,
    _stagger,
    _too_many,
    _off_schedule,
    _doses_administered,
    _partial_course,
    _replacements,
    _recorded_decisions,
    _started_on_hold,
    _above_the_escalation,
)

SETTINGS = {
    "two dose groups at once": "treatment.no_overlap",
    "group started before the last window closed": "treatment.no_overlap",
    "patients too close together": "treatment.stagger",
    "too many patients on a dose": "limits.group",
    "too many patients": "limits.max_n",
    "infusion off its schedule": "treatment.infusion_tolerance_days",
    "partial course": "treatment.infusion_days",
    "recorded evaluable, not evaluable per protocol": "evaluability.recorded",
}
"""The protocol setting on which a rule of conduct is based, by the rule's name, if there is one."""


def earliest(evaluated: Evaluated, protocol: Protocol, level: int, *, left: bool = False, rolling: bool = False) -> Earliest:
    """Return the earliest start of the next patient at a level, and of the next group above it, per protocol.

    The designs' recommendations are not considered.

    Parameters
    ----------
    evaluated
        Patients with their status at the data cutoff date.
    protocol
        The protocol.
    level
        Dose level from 1.
    left
        Whether the latest cohort is closed as it is: nobody joins it, and a group above does not wait until it is complete.
    rolling
        Whether the design decides with pending outcomes: a patient joins all others at the level, whose outcomes are not awaited,
        and the gates of the protocol apply.

    Returns
    -------
    Earliest
        Neither is before the data cutoff date.
    """
    whole("level", level, 1, protocol.n_doses)
    trial = _Trial(evaluated, protocol, None, protocol)
    top = Start(None, _("there is no level above level {level}").format(level=level))
    top = top if level == protocol.n_doses else _next_at(trial, level + 1, left, rolling)
    return Earliest(_next_at(trial, level, left, rolling), top)


class Slot(NamedTuple):
    """A treated patient as the rules on starts use it.

    Attributes
    ----------
    subject
        The identifier supplied by the user.
    level
        Dose level from 1; ``None`` for a dose not in the protocol.
    start
        Date of first infusion.
    end
        Last day of the DLT window.
    closed
        Whether the outcome is known or not awaited.
    dated
        Whether the outcome will be known at the end of the window; False if data are missing or an adjudication is due.
    near
        Level whose staggering interval counts from this patient: the patient's own level, or the next one up from a dose not in the
        protocol.
    amount
        Dose amount in the protocol's unit.
    """

    subject: str
    level: int | None
    start: date
    end: date
    closed: bool
    dated: bool
    near: int
    amount: float = 0.0


class Wait(NamedTuple):
    """One reason why a patient may not start yet.

    Attributes
    ----------
    rule
        "window" (an outcome at another dose or in the previous cohort), or "stagger".
    subject
        Patient whose outcome or interval is awaited.
    day
        Date from which this reason no longer applies; ``None`` if no date can be named.
    """

    rule: Literal["window", "stagger"]
    subject: str
    day: date | None


def waits(slots: Sequence[Slot], level: int, joins: Collection[str], treatment: Treatment) -> list[Wait]:
    """Return the reasons why the next patient at a level must wait; a pure function of starts, closing dates and the level.

    Parameters
    ----------
    slots
        Patients treated so far, in the order of first infusion.
    level
        Dose level from 1.
    joins
        Subjects of the cohort that the patient joins, whose outcomes are not awaited.
    treatment
        The protocol's rules: sequential dose groups, staggering interval.

    Returns
    -------
    list of Wait
        A cohort waits for the outcomes of earlier patients at its level; with sequential dose groups also for those at every
        other dose, above and below.
    """
    if not slots:
        return []
    started = Started(*(np.array(values)[:, None] for values in zip(*(_as_started(slot, joins) for slot in slots), strict=True)))
    found = until(started, np.array([level]), treatment)
    windows, staggers = found.window[:, 0].tolist(), found.stagger[:, 0].tolist()
    awaited = [
        Wait("window", slot.subject, None if day == NEVER else date.fromordinal(day))
        for slot, day in zip(slots, windows, strict=True)
        if day != NO_WAIT
    ]
    # Patients at the level come before those at a dose that is not in the protocol.
    apart = sorted(((slot.level is None, place) for place, slot in enumerate(slots) if staggers[place] != NO_WAIT))
    return awaited + [Wait("stagger", slots[place].subject, date.fromordinal(staggers[place])) for _, place in apart]


def _as_started(slot: Slot, joins: Collection[str]) -> tuple[int, int, int, int, bool, bool]:
    closes = slot.end.toordinal() if slot.dated else NEVER
    return slot.level or 0, slot.near, slot.start.toordinal(), closes, not slot.closed, slot.subject in joins


def slots_of(evaluated: Evaluated, protocol: Protocol) -> list[Slot]:
    """Return the patients who received the product, as the rules on starts use them."""
    found = []
    for patient, status in zip(evaluated.patients, evaluated.statuses, strict=True):
        if status.part in UNTREATED:
            continue
        found.append(
            Slot(
                subject=status.subject,
                level=status.level,
                start=status.first,
                end=status.end,
                closed=status.closed is not None,
                dated=not status.unresolved,
                near=status.level or _next_up(patient.amount, protocol.doses),
                amount=patient.amount,
            )
        )
    return found


def _numbered(slots: Sequence[Slot], now: Doses, then: Doses) -> list[Slot]:
    """Return patients with the level numbers of another version of the protocol."""
    if now.amounts == then.amounts:
        return list(slots)
    numbers = (0, *now.numbers_in(then))
    found = []
    for slot in slots:
        level = numbers[slot.level or 0] or None
        found.append(slot._replace(level=level, near=level or _next_up(slot.amount, then)))
    return found


def _next_up(amount: float, doses: Doses) -> int:
    """Return the lowest level whose dose is at least an amount, the top level if there is none."""
    return next((level for level, dose in enumerate(doses.amounts, start=1) if amount <= dose), len(doses.amounts))


def _next_at(trial: _Trial, level: int, left: bool, rolling: bool) -> Start:
    """Return the start of the next patient at a level, who may be the first of a group."""
    if rolling:
        at_level = [status.subject for status in trial.at(level)]
        slots, treatment = slots_of(trial.evaluated, trial.protocol), trial.protocol.treatment
        starts = [_as_start(trial, wait, level, slots) for wait in waits(slots, level, at_level, treatment)]
        return _latest(trial, [*starts, *_gate_starts(trial, level)])
    latest = trial.evaluated.members[-1:]
    joined = [cohort for cohort in latest if cohort.level == level and not left and not _is_full(trial, cohort)]
    joins = joined[0].subjects if joined else ()
    slots, treatment = slots_of(trial.evaluated, trial.protocol), trial.protocol.treatment
    starts = [_as_start(trial, wait, level, slots) for wait in waits(slots, level, joins, treatment)]
    if treatment.no_overlap and not left:
        starts += [
            Start(None, _("cohort {cohort} at level {level} is not complete").format(cohort=cohort.cohort, level=cohort.level))
            for cohort in latest
            if level > cohort.level and not _is_full(trial, cohort)
        ]
    return _latest(trial, starts)


def _gate_starts(trial: _Trial, level: int) -> list[Start]:
    """Return the reasons to wait that the protocol's gates give to the next patient at a level of the escalation."""
    gates, evaluated = trial.protocol.gates or Gates(), trial.evaluated
    treated = [evaluated[subject] for cohort in evaluated.members for subject in cohort.subjects]
    if gates == Gates() or not treated:
        return []
    # Nobody knows how long a patient without data has been followed.
    start = [NEVER if status.unresolved and status.open else status.first.toordinal() for status in treated]
    known, pending = [status.counts and not status.open for status in treated], [status.open for status in treated]
    levels = [status.level or -1 for status in treated]
    level_of, start_of, known_of, pending_of = (np.array(values)[:, None] for values in (levels, start, known, pending))
    latest = np.array([max(treated, key=lambda status: status.first).level])
    window = trial.protocol.treatment.dlt_window_days
    infused = None
    if gates.infused is not None:
        infused = np.array([_infused(trial, status, gates.infused.number) for status in treated])[:, None]
    own = {"gates": gates, "window": window, "infused": infused}
    found = gated(level_of, start_of, known_of, pending_of, latest, np.array([level]), **own)
    days = {name: int(day[0]) for name, day in zip(Gated._fields, found, strict=True) if day[0] != NO_WAIT}
    return [Start(None if day >= NEVER else date.fromordinal(day), _(_GATES[name])) for name, day in days.items()]


def _infused(trial: _Trial, status: Status, number: int) -> int:
    """Return the day on which a patient has had an infusion or is to have it as planned, `NEVER` if there is none."""
    evaluated = trial.evaluated
    patient = next(patient for patient in evaluated.patients if patient.subject == status.subject)
    given = [day for day, amount in zip(patient.infusions, patient.administered, strict=True) if amount > 0]
    if len(given) >= number:
        return given[number - 1].toordinal()
    if not status.open or patient.left_treatment is not None or patient.discontinued is not None or status.unresolved:
        return NEVER
    planned = status.first + timedelta(days=trial.protocol.treatment.infusion_days[number - 1] - 1)
    # One that is overdue is not given before the next day.
    return max(planned, evaluated.as_of + timedelta(days=1)).toordinal()


_GATES = {
    "complete": marked("too few outcomes are known at the current dose for escalation"),
    "each_pending": marked(
        "every pending patient at the current dose is followed for the stated part of the DLT window before escalation"
    ),
    "one_followed": marked("one patient at the current dose is followed for the stated days before escalation"),
    "infused": marked("too few patients at the current dose have had the stated infusion for escalation"),
    "suspend_pending": marked("more than the stated share of the patients at the current dose is pending"),
}


def _as_start(trial: _Trial, wait: Wait, level: int, slots: Sequence[Slot]) -> Start:
    """Return a reason to wait in words."""
    status = trial.evaluated[wait.subject]
    if wait.rule == "stagger":
        days = trial.protocol.treatment.stagger.days if trial.protocol.treatment.stagger else 0
        dose = next(f"{patient.amount:g}" for patient in trial.evaluated.patients if patient.subject == wait.subject)
        words = (
            _("{days} after {subject} at level {level}") if status.level == level else _("{days} after {subject} at dose {dose}")
        )
        return Start(wait.day, words.format(days=n_days(days), subject=wait.subject, level=level, dose=dose))
    if wait.day is None:
        words = _("the outcome of {subject} is not known: {reason}")
        return Start(None, words.format(subject=status.subject, reason=status.rule))
    return Start(wait.day, _("the DLT window of {subject} ends").format(subject=status.subject))


def _is_full(trial: _Trial, members: Members) -> bool:
    n_counted = sum(status.counts for status in trial.of(members))
    return n_counted >= trial.protocol.limits.size_of_cohort(members.cohort)


def in_turn(evaluated: Evaluated, protocol: Protocol, level: int, size: int, start: Start) -> str:
    """Return the starts of the patients after the next one at a level, if the protocol staggers them; otherwise empty.

    Parameters
    ----------
    evaluated, protocol, level
        See `earliest`.
    size
        Number of patients to be treated, including the next one.
    start
        Start of the next patient.
    """
    stagger, begun = protocol.treatment.stagger, bool(_Trial(evaluated, protocol, None, protocol).at(level))
    if stagger is None or size < 2 or not staggered(protocol.treatment, np.array(level)) or (stagger.patients != "every" and begun):
        return ""
    if stagger.patients != "every":
        if start.day is None:
            return _("the others {days} after the first").format(days=n_days(stagger.days))
        words = _("the others {days} after the first, not before {date}")
        return words.format(days=n_days(stagger.days), date=start.day + timedelta(days=stagger.days))
    if start.day is None:
        return _("each further patient {days} after the previous one").format(days=n_days(stagger.days))
    words = _("each further patient {days} after the previous one, the last of {patients} not before {date}")
    last = start.day + timedelta(days=(size - 1) * stagger.days)
    return words.format(days=n_days(stagger.days), patients=n_patients(size), date=last)


def _latest(trial: _Trial, waits: list[Start]) -> Start:
    """Return the start allowed by all of these, not before the data cutoff date."""
    unknown = [wait.words for wait in waits if wait.day is None]
    if unknown:
        return Start(None, "; ".join(unknown))
    ahead = [wait for wait in waits if wait.day is not None and wait.day > trial.evaluated.as_of]
    if not ahead:
        return Start(trial.evaluated.as_of, _("immediately: no rule of the protocol requires this patient to wait"))
    day = max(wait.day for wait in ahead if wait.day is not None)
    return Start(day, "; ".join(wait.words for wait in ahead if wait.day == day))


def _closes(status: Status) -> date:
    """Return the date on which a patient's window is closed, whether or not the outcome is known then."""
    return status.end if status.closed is None else min(status.closed, status.end)


def _subjects(statuses: list[Status]) -> tuple[str, ...]:
    return tuple(status.subject for status in statuses)


def _firsts(statuses: list[Status]) -> tuple[date, ...]:
    return tuple(status.first for status in statuses)


def _names(statuses: list[Status]) -> str:
    return ", ".join(_subjects(statuses))
