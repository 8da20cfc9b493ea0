"""How the trial was run: what the protocol forbids, found in the data, and from when the next patient and dose group may start.

A finding is a deviation to report and never an error, for real trials deviate. A rule is one function in ``RULES`` that yields its
findings; a further rule is one more. The protocol's window rule for groups (no overlap) holds for any change of dose, down as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, timedelta
from itertools import combinations
from typing import Literal, NamedTuple

from ._check import whole
from .adjudications import Adjudicated
from .evaluability import UNTREATED, Evaluated, Members, SeriousEvent, Status, recorded_reason
from .evaluability.serious import DEATH
from .patients import SAME_AMOUNT, Patient
from .protocol import Doses, Protocol, Stagger, Treatment, plain_words

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


OTHER_LEVEL = "dose of another level administered"
"""Rule of a finding: an infusion of another level's dose than the assigned one."""


class Finding(NamedTuple):
    """A deviation from the protocol.

    Attributes
    ----------
    rule
        Which rule, in a few words.
    subjects
        Whom it concerns.
    dates
        The days of it.
    words
        What happened and what the protocol says.
    """

    rule: str
    subjects: tuple[str, ...]
    dates: tuple[date, ...]
    words: str


class Start(NamedTuple):
    """From when somebody may start: the day, ``None`` where no date can be named, and why."""

    day: date | None
    words: str


class Earliest(NamedTuple):
    """Starts after the data cut: the next patient at a level, and the next group, one level up."""

    patient: Start
    group: Start


class _Group(NamedTuple):
    """Patients treated together at one dose: its level, or its amount where the protocol does not have it."""

    level: int | None
    amount: float
    statuses: tuple[Status, ...]

    @property
    def dose(self) -> str:
        """Return the dose in words."""
        return f"dose {self.amount:g}" if self.level is None else f"level {self.level}"

    def same_dose(self, other: _Group) -> bool:
        """Return whether another group has the same dose."""
        return (self.level, self.amount) == (other.level, other.amount)


class _Trial(NamedTuple):
    """What the rules read."""

    evaluated: Evaluated
    protocol: Protocol
    max_per_dose: int | None
    # With its amendments, by which what was done on a day is judged.
    amended: Protocol
    adjudications: tuple[Adjudicated, ...] = ()

    @property
    def pairs(self) -> list[tuple[Patient, Status]]:
        return list(zip(self.evaluated.patients, self.evaluated.statuses, strict=True))

    def at(self, level: int) -> list[Status]:
        """Statuses at a level, in the order of the first infusion."""
        return [one for one in self.evaluated.statuses if one.level == level]

    def rules(self, day: date) -> Treatment:
        """Rules on treatment in force on a day."""
        return self.amended.in_force(day).treatment

    @property
    def groups(self) -> list[_Group]:
        """Return cohorts, groups beside the escalation and patients at doses outside both, in the order of their first infusion."""
        of_members = [(one, self.of(one)) for one in self.evaluated.groups]
        grouped = {subject for one in self.evaluated.groups for subject in one.subjects}
        groups = [_Group(one.level, 0.0, tuple(statuses)) for one, statuses in of_members]
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
    """What the protocol forbids and the data show, rule by rule.

    Parameters
    ----------
    evaluated
        Patients with their status at the data cut.
    protocol
        The protocol; what was done on a day is judged by the version in force then, sizes by the one in force at the data cutoff.
    max_per_dose
        Most patients that the binding design allows on a dose; the most of ``limits.group`` if not given.
    adjudications
        Adjudications on file in the order in which they were recorded, also those that later ones replaced: whether a serious event
        was adjudicated when a patient started. Those in force are known without them.

    Returns
    -------
    list of Finding
        None is an error: each is to be reported.
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
            words = f"{patient.subject} was given {patient.amount:g}, and the protocol has {trial.protocol.doses.words}"
            yield Finding("dose not in the protocol", (patient.subject,), (status.first,), words)


def _two_doses_in_a_cohort(trial: _Trial) -> Iterator[Finding]:
    for one, other in combinations(trial.evaluated.members, 2):
        if one.cohort == other.cohort:
            strays = trial.of(other)
            words = (
                f"cohort {one.cohort} began at level {one.level}; {_names(strays)} {_were(strays)} treated at level {other.level}"
            )
            yield Finding("two doses in a cohort", _subjects(strays), _firsts(strays), words)


def _two_groups_at_once(trial: _Trial) -> Iterator[Finding]:
    for one, other in combinations(trial.groups, 2):
        if one.same_dose(other):
            continue
        begun = other.statuses[0]
        late = [status for status in one.statuses if status.first >= begun.first and trial.rules(status.first).no_overlap]
        if late:
            words = (
                f"{_names(late)} {_were(late)} first treated at {one.dose} when {other.dose} "
                f"had begun with {begun.subject} on {begun.first}"
            )
            yield Finding("two dose groups at once", (begun.subject, *_subjects(late)), (begun.first, *_firsts(late)), words)


def _group_too_early(trial: _Trial) -> Iterator[Finding]:
    groups = trial.groups
    for place, one in enumerate(groups[1:], start=1):
        start = one.statuses[0]
        if not trial.rules(start.first).no_overlap or groups[place - 1].same_dose(one):
            continue
        earlier = [status for group in groups[:place] if not group.same_dose(one) for status in group.statuses]
        waiting = [status for status in earlier if status.first <= start.first < _closes(status)]
        if waiting:
            ends = ", ".join(f"{status.subject} on {status.end}" for status in waiting)
            words = (
                f"{one.dose} began with {start.subject} on {start.first}, before the DLT windows of the group before "
                f"were closed: {ends}"
            )
            dates = (start.first, *(status.end for status in waiting))
            yield Finding("group started before the last window closed", (start.subject, *_subjects(waiting)), dates, words)


def _stagger(trial: _Trial) -> Iterator[Finding]:
    """Report patients who started too early after another; a dose not in the protocol is staggered like the next level up."""
    slots = slots_of(trial.evaluated, trial.protocol)
    for level in range(1, trial.protocol.n_doses + 1):
        group = [slot for slot in slots if slot.near == level]
        for place, slot in enumerate(group):
            rules = trial.rules(slot.start)
            if rules.stagger is None or not _staggered(rules, level):
                continue
            for before in _staggered_after(group[:place], level, rules.stagger):
                gap = (slot.start - before.start).days
                if gap < rules.stagger.days:
                    where = f"level {level}" if slot.level == level else f"dose {slot.amount:g}"
                    words = (
                        f"{slot.subject} was first treated at {where} on {slot.start}, {_days(gap)} after "
                        f"{before.subject} on {before.start}: at least {_days(rules.stagger.days)} are asked"
                    )
                    yield Finding("patients too close together", (before.subject, slot.subject), (before.start, slot.start), words)


def _staggered_after(slots: Sequence[Slot], level: int, stagger: Stagger) -> list[Slot]:
    """Return the patients, of those near a level, from whose start the staggering interval of the next one counts.

    They are the last patient at the level, or the first one where only that one is waited for, and the last patient at a dose that
    is not in the protocol.
    """
    own, near = ([slot for slot in slots if slot.near == level and (slot.level == level) is here] for here in (True, False))
    return [*(own[-1:] if stagger.patients == "every" else own[:1]), *near[-1:]]


def _too_many(trial: _Trial) -> Iterator[Finding]:
    most = trial.max_per_dose
    for level in range(1, trial.protocol.n_doses + 1):
        counted = [status for status in trial.at(level) if status.counts and status.part == "escalation"]
        if most is not None and len(counted) > most:
            beyond = counted[most:]
            words = f"{len(counted)} patients count at level {level}, and at most {most} are allowed: {_names(beyond)} came after"
            yield Finding("too many patients on a dose", _subjects(beyond), _firsts(beyond), words)
    counted = [status for status in trial.evaluated.statuses if status.counts and status.part == "escalation"]
    beyond = counted[trial.protocol.limits.max_n :]
    if beyond:
        words = f"{len(counted)} patients count, and limits.max_n is {trial.protocol.limits.max_n}: {_names(beyond)} came after"
        yield Finding("too many patients", _subjects(beyond), _firsts(beyond), words)


def _off_schedule(trial: _Trial) -> Iterator[Finding]:
    for patient, status in trial.pairs:
        treatment = trial.rules(status.first)
        for number, day in enumerate(patient.infusions, start=1):
            at = (day - status.first).days + 1
            if number > len(treatment.infusion_days):
                words = f"{patient.subject} had infusion {number} on {day}, and the protocol plans {len(treatment.infusion_days)}"
            elif abs(at - treatment.infusion_days[number - 1]) > treatment.infusion_tolerance_days:
                planned = treatment.infusion_days[number - 1]
                words = f"{patient.subject} had infusion {number} on {day}, day {at}; planned is day {planned}"
            else:
                continue
            yield Finding("infusion off its schedule", (patient.subject,), (day,), words)


def _doses_administered(trial: _Trial) -> Iterator[Finding]:
    """Find infusions whose amount is not the assigned one."""
    treated = [patient for patient, status in trial.pairs if status.part not in UNTREATED]
    for patient in treated:
        for number, (day, amount) in enumerate(zip(patient.infusions, patient.administered, strict=True), start=1):
            if not math.isclose(amount, patient.amount, rel_tol=SAME_AMOUNT):
                rule, words = _other_dose(patient, number, amount, trial.protocol.doses)
                words = f"{patient.subject} had infusion {number} on {day} at {amount:g}{words}"
                yield Finding(rule, (patient.subject,), (day,), words)


def _other_dose(patient: Patient, number: int, amount: float, doses: Doses) -> tuple[str, str]:
    """Return the rule and the words on an infusion at another amount: that of another level first, then any other."""
    level = next((at for at, dose in enumerate(doses.amounts, start=1) if math.isclose(amount, dose, rel_tol=SAME_AMOUNT)), None)
    own = f"level {patient.level}, {patient.amount:g} {doses.unit}"
    if level is not None and patient.level is not None:
        made = "the first was at" if patient.assigned_by is None else f"assigned by {patient.assigned_by} was"
        return OTHER_LEVEL, f", the dose of level {level}; {made} {own}"
    if patient.assigned_by is None and number > 1:
        return "amounts within a course differ", f" and the first at {patient.administered[0]:g} {doses.unit}"
    side = "above" if amount > patient.amount else "below"
    return "dose administered is not the dose assigned", f", {side} the assigned dose of {own}"


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
            left = (
                "" if stopped is None else f", and the patient left {'treatment ' * (stopped != patient.discontinued)}on {stopped}"
            )
            words = f"{patient.subject} had {given} of {len(treatment.infusion_days)} infusions; the next was due on {due}{left}"
            yield Finding("partial course", (patient.subject,), (due,), words)


def _replacements(trial: _Trial) -> Iterator[Finding]:
    by = {status.subject: status for status in trial.evaluated.statuses}
    for patient, status in trial.pairs:
        if patient.replaces is None:
            continue
        replaced = by.get(patient.replaces)
        said = f"{patient.subject} is said to replace {patient.replaces}"
        if replaced is None:
            words = f"{said}, and no patient of that name was treated by the data cut"
        elif replaced.counts:
            words = f"{said}, who counts and is not replaced: {replaced.rule}"
        elif replaced.replaced_by is None:
            words = f"{said}, who was not treated before"
        elif replaced.replaced_by != patient.subject:
            words = f"{said}, whom {replaced.replaced_by} replaces already"
        elif replaced.level != status.level:
            words = f"{said}, and was treated at another dose"
        else:
            continue
        yield Finding("replacement", tuple(dict.fromkeys((patient.subject, patient.replaces))), (status.first,), words)


def _recorded_decisions(trial: _Trial) -> Iterator[Finding]:
    """Report recorded decisions on evaluability that contradict the patient's status or the protocol's rules."""
    for patient, status in trial.pairs:
        if status.recorded is None or status.part in UNTREATED or status.level is None:
            continue
        reason = recorded_reason(patient, trial.protocol)
        decision = f"{status.subject} is recorded {'evaluable' if status.recorded else 'not evaluable'}{reason}"
        lost = status.kind in ("not evaluable", "replaced")
        if not status.recorded and status.kind == "dlt":
            rule, words = "recorded not evaluable, with a DLT", f"{decision}, and has a DLT: counted"
        elif not status.recorded and lost and status.derived == "complete":
            rule = "recorded not evaluable, evaluable per protocol"
            words = f"{decision}: not counted; per protocol: {status.derived}"
        elif status.recorded and lost:
            rule, words = "recorded evaluable, not evaluable per protocol", f"{decision}: not counted; {status.rule}"
        elif status.recorded and status.derived == "not evaluable" and status.adjudication is None:
            rule, words = "recorded evaluable, not evaluable per protocol", f"{decision}: counted; {status.rule}"
        else:
            continue
        yield Finding(rule, (status.subject,), (status.first,), words)


def _started_on_hold(trial: _Trial) -> Iterator[Finding]:
    serious = [one for one in trial.evaluated.serious if one.day is not None and one.pauses and one.part not in UNTREATED]
    for status in trial.evaluated.statuses:
        before = [one for one in serious if one.day is not None and one.day < status.first]
        waiting = [one for one in before if not _adjudicated_by(trial, one, status.first)]
        if waiting:
            told = " and ".join(f"the {one.kinds[0]} of {one.subject} on {one.day}" for one in waiting)
            words = f"{status.subject} was first treated on {status.first}, after {told}, before adjudication"
            subjects = tuple(dict.fromkeys((status.subject, *(one.subject for one in waiting))))
            days = tuple(one.day for one in waiting if one.day is not None)
            yield Finding("started during a hold", subjects, (status.first, *days), words)


def _adjudicated_by(trial: _Trial, event: SeriousEvent, day: date) -> bool:
    """Return whether the adjudication of a serious event that was the latest by a day, that day included, still stood."""
    about = [one for one in trial.adjudications if _is_about(one, event)]
    about += [one for one in (event.adjudication,) if one is not None and one not in about]
    by_then = [one for one in about if one.adjudicated_on <= day]
    return bool(by_then) and by_then[-1].conclusion != "retracted"


def _is_about(one: Adjudicated, event: SeriousEvent) -> bool:
    """Return whether an adjudication is about a serious event, and was made when it was known."""
    if one.subject != event.subject or event.day is None or one.as_of < event.day:
        return False
    told = event.event
    of_event = told is not None and one.event_date == told.onset and plain_words(one.term) == plain_words(told.term)
    return of_event or (DEATH in event.kinds and one.event_date == event.day and plain_words(one.term) == DEATH)


def _above_the_escalation(trial: _Trial) -> Iterator[Finding]:
    escalation = [one for one in trial.evaluated.statuses if one.part == "escalation" and one.level is not None]
    for status in trial.evaluated.statuses:
        if status.part not in _BESIDE or status.level is None:
            continue
        highest = max((one.level or 0 for one in escalation if one.first <= status.first), default=0)
        if status.level > highest:
            begun = f"started level {highest} as its highest" if highest else "not begun"
            words = (
                f"{status.subject} ({status.part}) was first treated at level {status.level} on {status.first}; "
                f"by then the escalation had {begun}"
            )
            yield Finding("level above the escalation", (status.subject,), (status.first,), words)


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
"""The protocol's setting that makes a rule of conduct, by the rule's name, where one does."""


def earliest(evaluated: Evaluated, protocol: Protocol, level: int, *, left: bool = False) -> Earliest:
    """From when the next patient at a level, and the next group above it, may start, as the rules of the protocol go.

    Whether a design sends anybody there is not asked.

    Parameters
    ----------
    evaluated
        Patients with their status at the data cut.
    protocol
        The protocol.
    level
        Dose level from 1.
    left
        Whether the latest cohort is left as it is: nobody joins it, and a group above does not wait until it is full.

    Returns
    -------
    Earliest
        Neither before the data cut.
    """
    whole("level", level, 1, protocol.n_doses)
    trial = _Trial(evaluated, protocol, None, protocol)
    top = Start(None, f"there is no level above level {level}")
    return Earliest(_next_at(trial, level, left), top if level == protocol.n_doses else _next_at(trial, level + 1, left))


class Slot(NamedTuple):
    """A treated patient as the rules on starts see one.

    Attributes
    ----------
    subject
        The identifier that the user gave.
    level
        Dose level from 1; ``None`` at a dose that is not in the protocol.
    start
        Day of the first infusion.
    end
        Last day of the DLT window.
    closed
        Whether the outcome is known, or nobody waits for it.
    dated
        Whether the outcome will be known at the end of the window; False where data are missing or an adjudication is due.
    near
        Level whose staggering interval counts from this patient: the own one, or the next one up from a dose that is not in the
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
        "window" (an outcome at another dose or of the cohort before), or "stagger".
    subject
        Whom it waits for.
    day
        From which day on it no longer does; ``None`` where no date can be given.
    """

    rule: Literal["window", "stagger"]
    subject: str
    day: date | None


def waits(slots: Sequence[Slot], level: int, joins: Collection[str], treatment: Treatment) -> list[Wait]:
    """Return what the next patient at a level waits for; a pure function of starts, closing dates and the level.

    Parameters
    ----------
    slots
        Patients treated so far, in the order of their first infusion.
    level
        Dose level from 1.
    joins
        Subjects of the cohort that the patient joins; nobody of it is waited for.
    treatment
        The protocol's rules: sequential dose groups, staggering interval.

    Returns
    -------
    list of Wait
        A cohort waits for the outcomes of earlier patients at its level; with sequential dose groups also for those at every
        other dose, above and below.
    """
    found = []
    for slot in slots:
        if slot.closed or slot.subject in joins:
            continue
        # A dose that is not in the protocol is waited for like the next level up.
        if level in (slot.level, slot.near if slot.level is None else None) or treatment.no_overlap:
            found.append(Wait("window", slot.subject, slot.end if slot.dated else None))
    stagger = treatment.stagger
    if stagger is not None and _staggered(treatment, level):
        for slot in _staggered_after(slots, level, stagger):
            found.append(Wait("stagger", slot.subject, slot.start + timedelta(days=stagger.days)))
    return found


def slots_of(evaluated: Evaluated, protocol: Protocol) -> list[Slot]:
    """Return the patients who were given the product, as the rules on starts see them."""
    amounts = protocol.doses.amounts
    found = []
    for patient, status in zip(evaluated.patients, evaluated.statuses, strict=True):
        if status.part in UNTREATED:
            continue
        above = next((level for level, amount in enumerate(amounts, start=1) if patient.amount <= amount), len(amounts))
        found.append(
            Slot(
                subject=status.subject,
                level=status.level,
                start=status.first,
                end=status.end,
                closed=status.closed is not None,
                dated=not status.unresolved,
                near=status.level or above,
                amount=patient.amount,
            )
        )
    return found


def _next_at(trial: _Trial, level: int, left: bool) -> Start:
    """The next patient at a level, who may be the first of a group."""
    latest = trial.evaluated.members[-1:]
    joined = [cohort for cohort in latest if cohort.level == level and not left and not _is_full(trial, cohort)]
    joins = joined[0].subjects if joined else ()
    slots, treatment = slots_of(trial.evaluated, trial.protocol), trial.protocol.treatment
    starts = [_said(trial, wait, level, slots) for wait in waits(slots, level, joins, treatment)]
    if treatment.no_overlap and not left:
        starts += [
            Start(None, f"cohort {one.cohort} at level {one.level} is not full")
            for one in latest
            if level > one.level and not _is_full(trial, one)
        ]
    return _latest(trial, starts)


def _said(trial: _Trial, wait: Wait, level: int, slots: Sequence[Slot]) -> Start:
    """A reason to wait in words."""
    status = trial.evaluated[wait.subject]
    if wait.rule == "stagger":
        days = trial.protocol.treatment.stagger.days if trial.protocol.treatment.stagger else 0
        dose = next(f"{one.amount:g}" for one in trial.evaluated.patients if one.subject == wait.subject)
        where = f"at level {level}" if status.level == level else f"at dose {dose}"
        return Start(wait.day, f"{_days(days)} after {wait.subject} {where}")
    if wait.day is None:
        return Start(None, f"the outcome of {status.subject} is not known: {status.rule}")
    return Start(wait.day, f"the DLT window of {status.subject} ends")


def _is_full(trial: _Trial, members: Members) -> bool:
    counted = sum(status.counts for status in trial.of(members))
    return counted >= trial.protocol.limits.size_of_cohort(members.cohort)


def in_turn(evaluated: Evaluated, protocol: Protocol, level: int, size: int, start: Start) -> str:
    """From when those after the next patient at a level may start, where the protocol staggers them; empty where it does not.

    Parameters
    ----------
    evaluated, protocol, level
        As for `earliest`.
    size
        How many patients there are to be, the next one included.
    start
        The start of the next patient.
    """
    stagger, begun = protocol.treatment.stagger, bool(_Trial(evaluated, protocol, None, protocol).at(level))
    if stagger is None or size < 2 or not _staggered(protocol.treatment, level) or (stagger.patients != "every" and begun):
        return ""
    if stagger.patients != "every":
        first = "" if start.day is None else f", not before {start.day + timedelta(days=stagger.days)}"
        return f"the others {_days(stagger.days)} after the first{first}"
    last = "" if start.day is None else f", the last of {size} not before {start.day + timedelta(days=(size - 1) * stagger.days)}"
    return f"each further one {_days(stagger.days)} after the one before{last}"


def _latest(trial: _Trial, waits: list[Start]) -> Start:
    """The start that all of these allow, not before the data cut."""
    unknown = [wait.words for wait in waits if wait.day is None]
    if unknown:
        return Start(None, f"no date can be named: {'; '.join(unknown)}")
    ahead = [wait for wait in waits if wait.day is not None and wait.day > trial.evaluated.as_of]
    if not ahead:
        return Start(trial.evaluated.as_of, "at once: nothing in the protocol makes this patient wait")
    day = max(wait.day for wait in ahead if wait.day is not None)
    return Start(day, "; ".join(wait.words for wait in ahead if wait.day == day))


def _staggered(treatment: Treatment, level: int) -> bool:
    stagger = treatment.stagger
    return stagger is not None and (stagger.levels == "all" or level in stagger.levels)


def _closes(status: Status) -> date:
    """Day on which a patient's window is closed, whether or not the outcome is known then."""
    return status.end if status.closed is None else min(status.closed, status.end)


def _days(number: int) -> str:
    return f"{number} {'day' if number == 1 else 'days'}"


def _subjects(statuses: list[Status]) -> tuple[str, ...]:
    return tuple(status.subject for status in statuses)


def _firsts(statuses: list[Status]) -> tuple[date, ...]:
    return tuple(status.first for status in statuses)


def _names(statuses: list[Status]) -> str:
    return ", ".join(_subjects(statuses))


def _were(statuses: list[Status]) -> str:
    return "was" if len(statuses) == 1 else "were"
