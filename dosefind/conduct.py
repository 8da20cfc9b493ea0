"""How the trial was run: what the protocol forbids, found in the data, and from when the next patient and dose group may start.

A finding is a deviation to report and never an error, for real trials deviate. A rule is one function in ``RULES`` that yields its
findings; a further rule is one more. The protocol's window rule for groups (no overlap) holds for any change of dose, down as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import combinations, pairwise
from typing import NamedTuple

from ._check import whole
from .evaluability import Evaluated, Members, Status
from .patients import Patient
from .protocol import Protocol

__all__ = ["RULES", "SETTINGS", "Earliest", "Finding", "Start", "earliest", "findings", "in_turn"]


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


class _Trial(NamedTuple):
    """What the rules read."""

    evaluated: Evaluated
    protocol: Protocol
    max_per_dose: int | None

    @property
    def pairs(self) -> list[tuple[Patient, Status]]:
        return list(zip(self.evaluated.patients, self.evaluated.statuses, strict=True))

    def at(self, level: int) -> list[Status]:
        """Statuses at a level, in the order of the first infusion."""
        return [one for one in self.evaluated.statuses if one.level == level]

    def near(self, level: int) -> list[Patient]:
        """Patients at doses that the protocol does not have, and of which a level is the next one up, or the top one."""
        amounts = self.protocol.doses.amounts
        low, high = amounts[level - 2] if level > 1 else 0.0, amounts[level - 1] if level < len(amounts) else math.inf
        return [one for one in self.evaluated.patients if one.level is None and low < one.amount <= high]

    def of(self, members: Members) -> list[Status]:
        return [self.evaluated[subject] for subject in members.subjects]


def findings(evaluated: Evaluated, protocol: Protocol, max_per_dose: int | None = None) -> list[Finding]:
    """What the protocol forbids and the data show, rule by rule.

    Parameters
    ----------
    evaluated
        Patients with their status at the data cut.
    protocol
        The protocol.
    max_per_dose
        Most patients that the binding design allows on a dose; the most of ``limits.group`` if not given.

    Returns
    -------
    list of Finding
        None is an error: each is to be reported.
    """
    if max_per_dose is None:
        max_per_dose = None if protocol.limits.group is None else protocol.limits.group[1]
    else:
        whole("max_per_dose", max_per_dose, 1)
    trial = _Trial(evaluated, protocol, max_per_dose)
    return [found for rule in RULES for found in rule(trial)]


def _unknown_dose(trial: _Trial) -> Iterator[Finding]:
    for patient, status in trial.pairs:
        if status.level is None:
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
    if not trial.protocol.treatment.no_overlap:
        return
    for one, other in combinations(trial.evaluated.members, 2):
        if one.level == other.level:
            continue
        late = [status for status in trial.of(one) if status.first >= trial.of(other)[0].first]
        if late:
            begun = trial.of(other)[0]
            words = (
                f"{_names(late)} {_were(late)} first treated at level {one.level} when level {other.level} "
                f"had begun with {begun.subject} on {begun.first}"
            )
            yield Finding("two dose groups at once", (begun.subject, *_subjects(late)), (begun.first, *_firsts(late)), words)


def _group_too_early(trial: _Trial) -> Iterator[Finding]:
    if not trial.protocol.treatment.no_overlap:
        return
    members = trial.evaluated.members
    for before, one in pairwise(members):
        start = trial.of(one)[0]
        earlier = [status for group in members[: members.index(one)] if group.level != one.level for status in trial.of(group)]
        waiting = [status for status in earlier if status.first <= start.first < _closes(status)]
        if before.level != one.level and waiting:
            ends = ", ".join(f"{status.subject} on {status.end}" for status in waiting)
            words = (
                f"level {one.level} began with {start.subject} on {start.first}, before the DLT windows of the group before "
                f"were closed: {ends}"
            )
            dates = (start.first, *(status.end for status in waiting))
            yield Finding("group started before the last window closed", (start.subject, *_subjects(waiting)), dates, words)


def _stagger(trial: _Trial) -> Iterator[Finding]:
    stagger = trial.protocol.treatment.stagger
    for level in range(1, trial.protocol.n_doses + 1):
        group = trial.at(level)
        if stagger is None or not _staggered(trial.protocol, level):
            continue
        for before, one in pairwise(group):
            waited_for = before if stagger.patients == "every" else group[0]
            gap = (one.first - waited_for.first).days
            if gap < stagger.days:
                words = (
                    f"{one.subject} was first treated at level {level} on {one.first}, {_days(gap)} after "
                    f"{waited_for.subject} on {waited_for.first}: at least {_days(stagger.days)} are asked"
                )
                subjects, dates = (waited_for.subject, one.subject), (waited_for.first, one.first)
                yield Finding("patients too close together", subjects, dates, words)


def _too_many(trial: _Trial) -> Iterator[Finding]:
    most = trial.max_per_dose
    for level in range(1, trial.protocol.n_doses + 1):
        counted = [status for status in trial.at(level) if status.counts]
        if most is not None and len(counted) > most:
            beyond = counted[most:]
            words = f"{len(counted)} patients count at level {level}, and at most {most} are allowed: {_names(beyond)} came after"
            yield Finding("too many patients on a dose", _subjects(beyond), _firsts(beyond), words)
    counted = [status for status in trial.evaluated.statuses if status.counts]
    beyond = counted[trial.protocol.limits.max_n :]
    if beyond:
        words = f"{len(counted)} patients count, and limits.max_n is {trial.protocol.limits.max_n}: {_names(beyond)} came after"
        yield Finding("too many patients", _subjects(beyond), _firsts(beyond), words)


def _off_schedule(trial: _Trial) -> Iterator[Finding]:
    treatment = trial.protocol.treatment
    for patient, status in trial.pairs:
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


def _amounts_differ(trial: _Trial) -> Iterator[Finding]:
    unit = trial.protocol.doses.unit
    for patient, _ in trial.pairs:
        # There are no amounts where every infusion is of the first one's.
        for number, (day, amount) in enumerate(zip(patient.infusions, patient.amounts, strict=False), start=1):
            if not math.isclose(amount, patient.amount, rel_tol=1e-9):
                words = f"{patient.subject} had infusion {number} on {day} at {amount:g} and the first at {patient.amount:g} {unit}"
                yield Finding("amounts within a course differ", (patient.subject,), (day,), words)


def _partial_course(trial: _Trial) -> Iterator[Finding]:
    treatment = trial.protocol.treatment
    for patient, status in trial.pairs:
        given = len(patient.infusions)
        if given >= len(treatment.infusion_days):
            continue
        due = status.first + timedelta(days=treatment.infusion_days[given] - 1)
        if status.kind == "dlt" and status.closed is not None and status.closed <= due:
            continue  # no further infusion is expected after a DLT
        missed = due + timedelta(days=treatment.infusion_tolerance_days) < trial.evaluated.as_of
        if missed or patient.discontinued is not None:
            left = "" if patient.discontinued is None else f", and the patient left on {patient.discontinued}"
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


RULES: tuple[Callable[[_Trial], Iterator[Finding]], ...] = (
    _unknown_dose,
    _two_doses_in_a_cohort,
    _two_groups_at_once,
    _group_too_early,
    _stagger,
    _too_many,
    _off_schedule,
    _amounts_differ,
    _partial_course,
    _replacements,
)

SETTINGS = {
    "two dose groups at once": "treatment.no_overlap",
    "group started before the last window closed": "treatment.no_overlap",
    "patients too close together": "treatment.stagger",
    "too many patients on a dose": "limits.group",
    "too many patients": "limits.max_n",
    "infusion off its schedule": "treatment.infusion_tolerance_days",
    "partial course": "treatment.infusion_days",
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
        Whether the latest cohort is left as it is, so that a group above does not wait until it is full.

    Returns
    -------
    Earliest
        Neither before the data cut.
    """
    whole("level", level, 1, protocol.n_doses)
    trial = _Trial(evaluated, protocol, None)
    top = Start(None, f"there is no level above level {level}")
    return Earliest(_next_at(trial, level, left), top if level == protocol.n_doses else _next_at(trial, level + 1, left))


def _next_at(trial: _Trial, level: int, left: bool) -> Start:
    """The next patient at a level, who may be the first of a group."""
    latest = trial.evaluated.members[-1:]
    waits = _full_cohort(trial, latest[0]) if latest and latest[0].level == level else _group_before(trial, level, left)
    return _latest(trial, [*waits, *_unknown_doses(trial), *_gap(trial, level)])


def _unknown_doses(trial: _Trial) -> list[Start]:
    """The windows of patients at a dose that the protocol does not have, which all wait for where groups may not overlap."""
    return _windows(trial, trial.evaluated.unplaced) if trial.protocol.treatment.no_overlap else []


def _group_before(trial: _Trial, level: int, left: bool) -> list[Start]:
    """What a group waits for where groups may not overlap: the windows at other doses, and upwards a full cohort."""
    if not trial.protocol.treatment.no_overlap:
        return []
    waits = _windows(trial, [status for status in trial.evaluated.statuses if status.level not in (level, None)])
    for one in trial.evaluated.members[-1:]:
        if level > one.level and not left and not _is_full(trial, one):
            waits.append(Start(None, f"cohort {one.cohort} at level {one.level} is not full"))
    return waits


def _windows(trial: _Trial, statuses: list[Status]) -> list[Start]:
    """The pending outcomes among these patients."""
    # Nobody counts at a dose that the protocol does not have, and is waited for all the same.
    return [_outcome(trial, status) for status in statuses if (status.counts or status.level is None) and status.closed is None]


def _outcome(trial: _Trial, status: Status) -> Start:
    if status.unresolved:
        return Start(None, f"the outcome of {status.subject} is not known: {status.rule}")
    return Start(status.end, f"the DLT window of {status.subject} ends")


def _full_cohort(trial: _Trial, members: Members) -> list[Start]:
    """What the next patient at the dose of the latest cohort waits for, if that cohort is full: its pending outcomes."""
    return _windows(trial, trial.of(members)) if _is_full(trial, members) else []


def _is_full(trial: _Trial, members: Members) -> bool:
    counted = sum(status.counts for status in trial.of(members))
    return counted >= trial.protocol.limits.size_of_cohort(members.cohort)


def _gap(trial: _Trial, level: int) -> list[Start]:
    """The stagger after patients at a level, and after those at a dose that the protocol does not have and nearest below it."""
    stagger, group, near = trial.protocol.treatment.stagger, trial.at(level), trial.near(level)
    if stagger is None or not _staggered(trial.protocol, level):
        return []
    first = group[-1:] if stagger.patients == "every" else group[:1]
    waits = [(one.first, f"{one.subject} at level {level}") for one in first]
    waits += [(one.infusions[0], f"{one.subject} at dose {one.amount:g}") for one in near[-1:]]
    return [Start(day + timedelta(days=stagger.days), f"{_days(stagger.days)} after {who}") for day, who in waits]


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
    stagger, begun = protocol.treatment.stagger, bool(_Trial(evaluated, protocol, None).at(level))
    if stagger is None or size < 2 or not _staggered(protocol, level) or (stagger.patients != "every" and begun):
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


def _staggered(protocol: Protocol, level: int) -> bool:
    stagger = protocol.treatment.stagger
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
