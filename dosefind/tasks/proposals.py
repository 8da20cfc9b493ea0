"""What one design would do at a data cutoff: decide now, complete the current cohort, wait, stop.

Outcomes that are not known yet are not guessed. A design is asked about every way in which they can come out. Outcomes of earlier
cohorts and beside the escalation must make no difference; those within the current cohort do not keep it from being completed,
unless the design would leave its dose downwards or stop whatever happened to the patients who complete it, or its stopping rule for
toxicity is met by the patients treated so far. So what is not known can delay escalation and enrolment, and never a stop or a
de-escalation on which all ways agree.

A cohort that the primary design would not have started where it was treated, and that no decision of the committee explains, can be
read as part of the escalation or as outside it. All readings are worked out, and the most cautious one is taken.
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

import numpy as np

from .._check import MOST_COUNTED, InputError
from ..decisions import Recorded
from ..designs import Design, limits
from ..designs.base import Beside
from ..designs.replay import departures, followed, state_after
from ..evaluability import MOST_BY_COHORT, Completion, Evaluated, Followed, Members, Status
from ..exposure import PartCourses
from ..shown import Shown
from ..trial import COUNT, NO_DOSE, Cohort, Departure, FollowUps, States, TimedStates, check_cohorts
from ..words import _, counted
from .steps import NextStep, move_words, step_from, steps_from, stop_words, with_reason

__all__ = [
    "Asked",
    "AskedThen",
    "Awaited",
    "Recommendation",
    "as_begun",
    "as_read",
    "by_dose",
    "closed_from",
    "decided_for",
    "either",
    "escalation_of",
    "filled",
    "in_the_end",
    "most_cautious",
    "once_filled",
    "propose_next",
    "readings_of",
    "refuse_too_long",
    "refuse_too_many",
    "short",
    "still_needed",
    "treated_otherwise",
    "with_next",
    "without_further",
]

Ways = tuple[tuple[Completion, NextStep], ...]


@dataclass(frozen=True)
class Awaited:
    """Why a design waits.

    Attributes
    ----------
    patients
        Subjects whose outcomes are awaited.
    rule
        Rule by which a design that decides with pending outcomes suspends accrual; empty for other designs.
    further
        Why no further patient completes the current cohort; empty where that is not so.
    missing_data
        Those of the subjects for whom data are missing, so that no date can be given.
    then
        The step that follows whatever the outcomes are, where readings of unplanned cohorts differ until then; otherwise ``None``.
    """

    patients: tuple[str, ...]
    rule: str = ""
    further: str = ""
    missing_data: tuple[str, ...] = ()
    then: NextStep | None = None

    def reason(self, steps: Sequence[NextStep | Recommendation]) -> str:
        """Return why the design waits, in words, with the steps to which the outcomes can lead."""
        words = _("depends on the outcome of {patients}: {steps}")
        if self.then is not None:
            words = _("awaits the outcome of {patients}; whatever it is, the next step is then: {steps}")
        if self.rule:
            words = _("{rule}: {patients}; once they are known: {steps}")
        clauses = [words.format(rule=self.rule, patients=", ".join(self.patients), steps=either(steps))]
        if self.further:
            clauses.append(self.further)
        if self.missing_data:
            clauses.append(_("no date can be given: data are missing for {patients}").format(patients=", ".join(self.missing_data)))
        return "; ".join(clauses)


@dataclass(frozen=True)
class Recommendation(Shown):
    """What one design would do at the data cutoff.

    Attributes
    ----------
    action
        "start", "escalate", "stay", "de-escalate" or "stop"; "fill" where the current cohort is to be completed first; "wait" where
        outcomes still to come make a difference, or a design that decides with pending outcomes suspends accrual; "hold" where a
        serious event or a pause rule holds escalation and enrolment.
    level
        Level of the next patients; ``None`` to stop, wait or hold.
    size
        How many patients; 0 to stop, wait or hold.
    reason
        Why, in words.
    admissible
        Levels that the design's rules leave open; none to wait or hold.
    mtd
        Where it stops: "none" or the level selected as MTD.
    not_reached
        Where it stops: whether the top dose is selected and the rule would have escalated from it.
    until
        Where it waits: the day by which the outcomes are known, or on which a design that decides with pending outcomes goes on if
        nobody has a further DLT; ``None`` where no date can be given.
    completions
        Every way in which the outcomes still to come can come out, and what the design would do then: the same each time, unless
        it waits or holds, completes a cohort that further DLTs would end, or decides with pending outcomes. Of more than 256 ways,
        those are one that give the same DLTs at each dose in earlier cohorts, and steps come without their reasons, as they do for
        a design that decides with pending outcomes.
    set_aside
        Subjects whose cohorts this proposal reads as outside the escalation.
    other_reading
        What another reading of unplanned cohorts gives: that with all of them, or, where that is taken, that with none of them;
        ``None`` where there are none.
    held
        Where it holds: what the design would do without that.
    awaited
        Where it waits: for whose outcomes, and why.
    decided
        Where it stops because the committee decided so: that decision, such as "MTD 2", and what the design would do.
    """

    action: Literal["start", "fill", "escalate", "stay", "de-escalate", "stop", "wait", "hold"]
    level: int | None
    size: int
    reason: str
    admissible: tuple[int, ...]
    mtd: str | None
    not_reached: bool
    until: date | None
    completions: Ways
    set_aside: tuple[str, ...] = ()
    other_reading: Recommendation | None = None
    held: Recommendation | None = None
    awaited: Awaited | None = None
    decided: tuple[str, Recommendation] | None = None

    def __str__(self) -> str:
        return f"{self.words}: {self.reason}"

    @property
    def enrols(self) -> bool:
        """Return whether it treats further patients at a dose that is not lower than the current one."""
        return self.action in ("start", "fill", "escalate", "stay")

    def leads_below(self, level: int) -> bool:
        """Return whether its answer, without a hold, is a dose or an MTD below a level; none is below every level."""
        own = self.held or self
        return own.action != "wait" and _rank(own.level, own.mtd) < level

    def goes_down(self, level: int) -> bool:
        """Return whether it de-escalates, or stops with an MTD below the current dose ``level``."""
        return self.action == "de-escalate" or (self.action == "stop" and _rank(None, self.mtd) < level)

    @property
    def words(self) -> str:
        """Return the action in a few words."""
        if self.decided is not None:
            return _("stop, as the committee decided ({decision})").format(decision=self.decided[0])
        if self.action == "stop":
            return stop_words(self.mtd, self.not_reached)
        if self.action == "wait":
            return _("wait until {date}").format(date=self.until) if self.until else _("wait")
        if self.action == "hold":
            return _("wait: escalation and enrolment on hold")
        return move_words(self.action, self.level or 0, self.size)


class _Question(NamedTuple):
    """Cohorts, counts beside the escalation, the pending patients among those of the cohorts, by level, the courses so far, and the
    follow-up of the pending patients.
    """

    cohorts: Sequence[Cohort]
    others: Sequence[Cohort] = ()
    pending: Sequence[Cohort] = ()
    courses: PartCourses | None = None
    followed: Followed | None = None


_Key = tuple[Any, tuple[Cohort, ...], tuple[Cohort, ...], PartCourses | None, Followed | None]


class Asked:
    """A design and the number of doses, each question about the same state of a trial worked out once."""

    def __init__(self, design: Design, n_doses: int, on: Callable[[date], Asked | None] | None = None) -> None:
        self.design, self.n_doses, self._on = design, n_doses, on
        # Whether it sees patients and DLTs by dose and the latest cohort, and nothing else.
        self._plain = not design.n_memory and design.tracks == ("dlt",)
        self._known: dict[_Key, NextStep] = {}
        # Steps without a reason, by their identity, each with what was asked.
        self._bare: dict[int, tuple[NextStep, _Question]] = {}
        # What has a reason: also the answer after each way in which outcomes come out ("all"), the answer alone, or nothing.
        self.explains: Literal["all", "answer", "nothing"] = "all"
        # Whether a cohort was planned, by what was known of the trial and by the places of the cohorts set aside.
        self.planned: dict[tuple[Any, ...], dict[tuple[int, ...], bool]] = {}

    def explaining(self, explains: Literal["answer", "nothing"]) -> Asked:
        """Return the same design, which shares what was worked out and gives no other reasons than these."""
        found = copy.copy(self)
        found.explains = explains
        return found

    def on(self, day: date) -> Asked:
        """Return the design by the version of the protocol in force on a day."""
        return (self._on(day) if self._on is not None else None) or self

    def weighing(self, then: Evaluated) -> Asked:
        """Return the design with the weights of the patients who had left by an earlier day, if it decides with pending outcomes.

        The others were still pending then, so that their final weights would count them twice.
        """
        if not (self.reads_pending and self.design.reads_weights):
            return self
        design = self.design.with_weighted(then.weighted)
        return self if design is self.design else Asked(design, self.n_doses, self._on)

    @property
    def reads_pending(self) -> bool:
        """Return whether the design decides with pending outcomes."""
        return self.design.reads != "complete"

    @property
    def reads_courses(self) -> bool:
        """Return whether the design reads the exposure of each course."""
        return self.design.reads == "exposure"

    def known_now(self, evaluated: Evaluated) -> Completion:
        """Return the counts as known now, with the courses so far or the follow-up if the design reads them.

        A design that reads follow-up and is asked before each patient sees every patient as a cohort.
        """
        found = evaluated.known_now(self.reads_courses, self.reads_follow_up)
        if self.reads_follow_up and self.design.one_size == 1:
            alone = evaluated.one_by_one().known_now(follow_up=True)
            return found._replace(cohorts=alone.cohorts, followed=alone.followed)
        return found

    @property
    def reads_follow_up(self) -> bool:
        """Return whether the design reads the days for which each pending patient has been followed up."""
        return self.design.reads == "follow-up"

    def completions(self, evaluated: Evaluated) -> list[Completion]:
        """Return every way in which the pending outcomes can come out, in the same way."""
        return list(evaluated.completions(self.reads_courses))

    def state(self, cohorts: Sequence[Cohort]) -> States:
        """Return the state of the trial after these cohorts."""
        return _states([self._key(cohorts)]) if self._plain else state_after(self.design, cohorts, self.n_doses)

    def ways(self, evaluated: Evaluated) -> list[Completion]:
        """Return the counts about which the design is asked: those known now where it decides with pending outcomes, otherwise
        every way in which these can come out.
        """
        return [self.known_now(evaluated)] if self.reads_pending else self.completions(evaluated)

    def states(self, cohorts: Sequence[Cohort]) -> tuple[States, ...]:
        """Return the states of the trial before these cohorts and after each of them."""
        if not self._plain:
            return followed(self.design, cohorts, self.n_doses)
        return tuple(self.state(cohorts[:place]) for place in range(len(cohorts) + 1))

    def departures(self, cohorts: Sequence[Cohort]) -> tuple[Departure, ...]:
        """Return the differences between these cohorts and those of a trial that followed the design."""
        return departures(self.design, cohorts, self.n_doses, self.states(cohorts))

    def size(self, cohorts: Sequence[Cohort], level: int) -> int:
        """Return the size of a cohort at a level after these cohorts."""
        return int(limits.size(self.design, self.state(cohorts), np.full(1, level - 1))[0])

    def step(self, cohorts: Sequence[Cohort], others: Sequence[Cohort] = ()) -> NextStep:
        """Return what the design does next after these counts."""
        return self.explained(self.steps([_Question(cohorts, others)])[0])

    def after_each(self, ways: Sequence[Completion]) -> list[NextStep]:
        """Return what the design does next after each of some ways in which outcomes come out, without the reason."""
        return self.steps([_Question(way.cohorts, way.others, way.pending, way.courses, way.followed) for way in ways])

    def explained(self, step: NextStep) -> NextStep:
        """Return a step with its reason."""
        if self.explains == "nothing" or id(step) not in self._bare:
            return step
        _, question = self._bare[id(step)]
        key = self._key_of(question)
        if self._known[key] is step:
            self._known[key] = with_reason(self.design, step, *self._asked(question))
        return self._known[key]

    def _asked(self, question: _Question) -> tuple[States, Beside | None]:
        """Return the state of a single question, and the counts beside the escalation."""
        state = self.state(question.cohorts)
        if question.pending or question.courses or question.followed:
            state = self._timed(state, [question.pending], [question.courses], [question.followed])
        return state, Beside.of(question.others, self.n_doses)

    def _key_of(self, question: _Question) -> _Key:
        if question.pending and self.design.n_memory:
            raise InputError(
                f"{self.design.title} decides with pending outcomes and has a memory, which is not known before they are"
            )
        return self._key(question.cohorts), tuple(question.others), tuple(question.pending), question.courses, question.followed

    def steps(self, questions: Sequence[_Question]) -> list[NextStep]:
        """Return what the design does next after each of some counts, without the reason."""
        keys = [self._key_of(question) for question in questions]
        wanted = {key: question for key, question in zip(keys, questions, strict=True) if key not in self._known}
        if not self._plain:
            for key, question in wanted.items():
                self._known[key] = step_from(self.design, *self._asked(question))
        else:
            self._work_out(list(wanted))
            self._bare |= {id(step := self._known[key]): (step, question) for key, question in wanted.items()}
        return [self._known[key] for key in keys]

    def _work_out(self, keys: list[_Key]) -> None:
        """Work out steps of a design without a memory, all at once, without their reasons."""
        alike: dict[tuple[tuple[int, int], ...], list[_Key]] = {}
        for key in keys:
            alike.setdefault(tuple((other.level, other.n) for other in key[1]), []).append(key)
        for here in alike.values():
            # Patients beside the escalation are the same; their DLTs are a row per state.
            each = [Beside.of(others, self.n_doses) for _, others, _, _, _ in here]
            beside = None if each[0] is None else Beside(each[0].n, np.array([one.y for one in each if one is not None]))
            cohorts, _, *of_time = zip(*here, strict=True)
            states = _states(cohorts)
            if any(part for of_each in of_time for part in of_each):
                states = self._timed(states, *of_time)
            self._known |= dict(zip(here, steps_from(self.design, states, beside), strict=True))

    def _timed(
        self,
        states: States,
        pending: Sequence[Sequence[Cohort]],
        courses: Sequence[PartCourses | None],
        followed: Sequence[Followed | None],
    ) -> TimedStates:
        """Return the states with the pending patients of each, by level, the courses so far, and the follow-up."""
        counts = np.zeros(states.n.shape, COUNT)
        for row, cohorts in enumerate(pending):
            for cohort in cohorts:
                counts[row, cohort.level - 1] += cohort.n
        levels = states.n_doses
        known = tuple(
            each._replace(n=each.n[:levels], y=each.y[:levels], complete=each.complete[:levels])
            for each in courses
            if each is not None
        )
        follow_ups = self._follow_ups(followed) if self.reads_follow_up else None
        return TimedStates(**vars(states), pending=counts, courses=known, follow_ups=follow_ups)

    def _follow_ups(self, followed: Sequence[Followed | None]) -> FollowUps:
        """Return follow-up in days of the design's window; a patient with another window has the same share of it."""
        window, each = self.design.window_of_follow_up, [Followed((), 0) if one is None else one for one in followed]
        shape = len(each), max(len(one.patients) for one in each)
        dose, days = np.full(shape, NO_DOSE), np.zeros(shape, int)
        for row, one in enumerate(each):
            for place, (level, passed, own_window) in enumerate(one.patients):
                dose[row, place], days[row, place] = level - 1, passed * window // max(own_window, 1)
        return FollowUps(window, dose, days, np.array([one.late for one in each], COUNT))

    def _key(self, cohorts: Sequence[Cohort]) -> Any:
        """Return what a design sees of some cohorts: for one without a memory, the fields of their state."""
        if not self._plain:
            return tuple(cohorts)
        n, y, total, level, patients, dlts = [0] * self.n_doses, [0] * self.n_doses, 0, 0, 0, 0
        for level, patients, dlts in cohorts:
            total += patients
            if not (1 <= level <= self.n_doses and patients <= 1000 and total <= MOST_COUNTED):
                check_cohorts(cohorts, self.n_doses)
            n[level - 1] += patients
            y[level - 1] += dlts
        return tuple(n), tuple(y), level - 1, patients, dlts, len(cohorts)


class AskedThen(Asked):
    """The design of another version of the protocol, asked and answering with the level numbers of the version in force now.

    A dose that the other version does not have is in no count of it.
    """

    def __init__(self, then: Asked, numbers: Sequence[int], on: Callable[[date], Asked | None] | None = None) -> None:
        super().__init__(then.design, then.n_doses, on)
        self._inner, self._numbers = then, tuple(numbers)
        self._level = {now: level for level, now in enumerate(self._numbers, start=1)}
        # Answers by their identity, each with that of the other version.
        self._answers: dict[int, tuple[NextStep, NextStep]] = {}

    def steps(self, questions: Sequence[_Question]) -> list[NextStep]:
        """Return what the design does next after each of some counts, without the reason."""
        return [self._now(step) for step in self._inner.steps([self._of_then(question) for question in questions])]

    def explained(self, step: NextStep) -> NextStep:
        """Return a step with its reason, which has the level numbers of the other version."""
        if self.explains == "nothing" or id(step) not in self._answers:
            return step
        return replace(step, reason=self._inner.explained(self._answers[id(step)][1]).reason)

    def state(self, cohorts: Sequence[Cohort]) -> States:
        """Return the state of the trial after these cohorts, at the levels of the other version."""
        return self._inner.state(self._cohorts(cohorts))

    def size(self, cohorts: Sequence[Cohort], level: int) -> int:
        """Return the size of a cohort at a level after these cohorts."""
        if level in self._level:
            return self._inner.size(self._cohorts(cohorts), self._level[level])
        return self._inner.size((), max((own for now, own in self._level.items() if now < level), default=1))

    def departures(self, cohorts: Sequence[Cohort]) -> tuple[Departure, ...]:
        """Return the differences between these cohorts and those of a trial that followed the design."""
        places = [place for place, cohort in enumerate(cohorts, start=1) if cohort.level in self._level]
        found = []
        for one in self._inner.departures(self._cohorts(cohorts)):
            given, planned, level = one.given, one.planned, self._numbers[one.level - 1]
            if one.kind in ("level", "stopped"):
                given = level
            if one.kind == "level" and isinstance(planned, int):
                planned = self._numbers[planned - 1]
            found.append(replace(one, cohort=places[one.cohort - 1], given=given, planned=planned, level=level))
        return tuple(found)

    def _cohorts(self, cohorts: Sequence[Cohort]) -> list[Cohort]:
        return [cohort._replace(level=self._level[cohort.level]) for cohort in cohorts if cohort.level in self._level]

    def _of_then(self, question: _Question) -> _Question:
        courses, followed = question.courses, question.followed
        if courses is not None:
            n, y, complete = ([of[now - 1] for now in self._numbers] for of in (courses.n, courses.y, courses.complete))
            courses = courses._replace(n=tuple(n), y=tuple(y), complete=tuple(complete))
        if followed is not None:
            patients = ((self._level[now], *days) for now, *days in followed.patients if now in self._level)
            followed = followed._replace(patients=tuple(patients))
        cohorts, others, pending = map(self._cohorts, (question.cohorts, question.others, question.pending))
        return _Question(cohorts, tuple(others), tuple(pending), courses, followed)

    def _now(self, step: NextStep) -> NextStep:
        if id(step) not in self._answers:
            level = None if step.level is None else self._numbers[step.level - 1]
            mtd = step.mtd if step.mtd in (None, "none") else str(self._numbers[int(step.mtd) - 1])
            admissible = tuple(self._numbers[open_ - 1] for open_ in step.admissible)
            now = replace(step, level=level, mtd=mtd, admissible=admissible)
            self._answers[id(step)] = self._answers[id(now)] = (now, step)
        return self._answers[id(step)][0]


def _states(keys: Sequence[Any]) -> States:
    """Return the states of a design without a memory with these fields."""
    n, y, last, last_n, last_y, cohorts = (np.array(column, COUNT) for column in zip(*keys, strict=True))
    return States(n, y, last, last_n, last_y, cohorts, np.zeros((len(keys), 0), COUNT))


def propose_next(asked: Asked, evaluated: Evaluated, readings: Sequence[Sequence[int]], opened: Recorded | None) -> Recommendation:
    """Return what a design would do, by the most cautious reading of unplanned cohorts.

    Parameters
    ----------
    asked
        The design.
    evaluated
        The patients at the data cutoff.
    readings
        Readings of the trial, from `readings_of`.
    opened
        The decision of the committee that makes the current cohort the trial's, for the primary design.

    Returns
    -------
    Recommendation
    """
    # Reasons take longer than all the rest: they are worked out for the readings that are shown.
    bare = asked.explaining("nothing")
    proposals = [_as_read(bare if len(readings) > 1 else asked, evaluated, aside, opened) for aside in readings[:2]]
    others = readings[2:]
    # To wait for outcomes that may leave no dose as the MTD: nothing is more cautious but to stop without an MTD now.
    if any(proposal.action == "wait" and _lowest(proposal) == 0 for proposal in proposals):
        others = [aside for aside in others if _may_stop_without_mtd(asked, evaluated.setting_aside(aside))]
    refuse_too_many(evaluated, [by_dose(asked, evaluated.setting_aside(aside)).n_completions for aside in others])
    proposals += [_as_read(bare, evaluated, aside, opened) for aside in others]
    taken = most_cautious(proposals, evaluated.members[-1].level if evaluated.members else 0)
    if len(readings) == 1:
        return taken
    # The other reading shown is that with every cohort, or, where it is the one taken, that without any unplanned cohort.
    place = next(place for place, one in enumerate(proposals) if one is taken)
    shown = ([*readings[:2], *others][place], readings[1 if place == 0 else 0])
    taken, other = (
        _as_read(one, evaluated, aside, opened) for one, aside in zip((asked, asked.explaining("answer")), shown, strict=True)
    )
    return replace(taken, other_reading=other)


def in_the_end(
    asked: Asked, planned: Asked, evaluated: Evaluated, known: Sequence[Recorded], proposal: Recommendation
) -> Recommendation:
    """Return a proposal to wait with the answers that will be given once the outcomes have come.

    Which cohorts are unplanned, and which reading is the most cautious, can depend on these outcomes.

    Parameters
    ----------
    asked
        The primary design.
    planned
        The same with all patients at their assigned doses, for what was planned.
    evaluated
        The patients at the data cutoff.
    known
        Decisions of the committee.
    proposal
        What the design proposes now; returned as it is unless it waits.
    """
    # Where outcomes are counted by dose, a way does not say which cohort had the DLTs, on which depends what was planned.
    if proposal.awaited is None or evaluated.n_completions > MOST_BY_COHORT:
        return proposal
    read = as_read(evaluated, proposal.set_aside)
    answers: list[tuple[Completion, NextStep]] = []
    looked_at = 0
    for way, step in proposal.completions:
        then = escalation_of(planned, replace(evaluated, statuses=read.with_outcomes(way.dlts).statuses), known)
        readings = readings_of(planned, then, known)
        # There can be more readings than now.
        looked_at += len(readings)
        refuse_too_long(evaluated, len(proposal.completions), math.ceil(looked_at / len(proposal.completions)), 0, to_the_end=True)
        answer = propose_next(asked, then, readings, None)
        same = {name: getattr(answer, name) for name in ("action", "level", "size", "reason", "admissible", "mtd", "not_reached")}
        answers.append((way, replace(step, **same)))
    steps = [step for _, step in answers]
    if _agree(steps):
        awaited = replace(proposal.awaited, then=steps[0])
        return replace(proposal, awaited=awaited, reason=awaited.reason(steps))
    return replace(proposal, completions=tuple(answers), reason=proposal.awaited.reason(steps))


def once_filled(
    planned: Asked, evaluated: Evaluated, known: Sequence[Recorded], asked: Asked, proposal: Recommendation, dlts: int
) -> list[NextStep]:
    """Return what a design would do once the cohort that a proposal completes is complete, for each way in which outcomes come out.

    The cohorts that it reads as outside the escalation are read anew.

    Parameters
    ----------
    planned, evaluated, known, asked
        As for `in_the_end`.
    proposal
        What the design proposes now: to complete a cohort.
    dlts
        DLTs among the patients who complete it.
    """
    cohort = as_read(evaluated, proposal.set_aside).members[-1]
    like, day = evaluated[cohort.subjects[0]], evaluated.as_of
    patient = next(one for one in evaluated.patients if one.subject == like.subject)
    known_today = {"first": day, "end": day, "closed": day, "held": False, "unresolved": False, "administered": patient.amount}
    further = tuple(
        replace(like, subject=f"{like.subject}, further {number}", kind="dlt" if number < dlts else "complete", **known_today)
        for number in range(proposal.size)
    )
    completed = cohort._replace(subjects=(*cohort.subjects, *(status.subject for status in further)))
    then = replace(
        evaluated,
        statuses=(*evaluated.statuses, *further),
        patients=(*evaluated.patients, *(replace(patient, subject=status.subject) for status in further)),
        members=tuple(completed if one == cohort else one for one in evaluated.members),
    )
    answer = propose_next(asked, then, readings_of(planned, then, known), None)
    return [step for _, step in answer.completions]


def closed_from(asked: Asked, evaluated: Evaluated, proposal: Recommendation) -> int | None:
    """Return the lowest treated level to which no outcome still to come leads again, with all above; ``None`` if there is none.

    From each way in which the outcomes can come out the trial is followed with further patients without a DLT.

    Parameters
    ----------
    asked
        The design.
    evaluated
        The patients as the proposal reads them.
    proposal
        What the design proposes.
    """
    treated = max((cohort.level for way, _ in proposal.completions for cohort in way.cohorts), default=0)
    open_ = 0
    for way, step in proposal.completions:
        cohorts = list(way.cohorts)
        for _cohort in range(_MOST_FOLLOWED):
            open_ = max(open_, _rank(step.level, step.mtd), *step.admissible)
            if open_ >= treated:
                return None
            if step.level is None:
                break
            fills = step.action == "fill" and step.level == evaluated.members[-1].level
            cohorts = filled(cohorts, evaluated, step.size, 0) if fills else [*cohorts, Cohort(step.level, step.size, 0)]
            (step,) = asked.steps([_Question(cohorts, way.others, courses=way.courses)])
    return open_ + 1 if treated else None


# Cohorts without a DLT that a trial is followed for.
_MOST_FOLLOWED = 100


def _may_stop_without_mtd(asked: Asked, evaluated: Evaluated) -> bool:
    """Return whether a reading can stop without an MTD whatever the outcomes still to come: not if it does not without a DLT."""
    first, missing = without_further(evaluated, courses=asked.reads_courses), still_needed(asked, evaluated)
    asks = [first]
    if missing:
        asks += [first._replace(cohorts=filled(first.cohorts, evaluated, missing, 0)), *_without_current(asked, evaluated, [first])]
    steps = asked.after_each(asks)
    return any(_rank(step.level, step.mtd) == 0 for step in steps)


# Ways in which outcomes still to come can come out, at most, of which every one is worked out: in one reading of a trial, and in
# all that are looked at.
MOST_COMPLETIONS, _MOST_READ = 5000, 16384


def refuse_too_many(evaluated: Evaluated, ways: Sequence[int]) -> None:
    """Refuse to work out all the ways in which outcomes can come out where they are too many.

    Parameters
    ----------
    evaluated
        The patients at the data cutoff.
    ways
        How many ways there are in each reading of the trial.

    Raises
    ------
    InputError
        With the number of ways and the patients whose outcomes are still to come.
    """
    if max(ways, default=0) <= MOST_COMPLETIONS and sum(ways) <= _MOST_READ:
        return
    number, shown = _still_to_come(evaluated)
    read = f" in {len(ways)} readings of the trial" if len(ways) > 1 else ""
    most = MOST_COMPLETIONS if len(ways) == 1 else _MOST_READ
    raise InputError(
        f"{number} outcomes are still to come and, counted by dose, can come out in {sum(ways):,} ways{read}, more than "
        f"the {most:,} that can be evaluated: give the DLT assessments or last contacts that are known, of {shown}"
    )


def _still_to_come(evaluated: Evaluated) -> tuple[int, str]:
    """Return how many outcomes are still to come, and the first of these subjects."""
    subjects = [subject for group in evaluated.open for subject in group]
    return len(subjects), ", ".join(subjects[:_SHOWN]) + ", ..." * (len(subjects) > _SHOWN)


# Subjects that an error names.
_SHOWN = 6


def refuse_too_long(evaluated: Evaluated, ways: int, readings: int, each: int, *, to_the_end: bool = False) -> None:
    """Refuse to work out a trial that takes too long by its cohorts, readings and ways in which outcomes can come out.

    Parameters
    ----------
    evaluated
        The patients at the data cutoff.
    ways
        How many ways there are in which outcomes can come out.
    readings
        How many readings of the trial there are.
    each
        How often each way of each reading is worked out: once for each design and each outcome of the next patients.
    to_the_end
        Whether the answers once the outcomes have come are worked out too, by `in_the_end`.

    Raises
    ------
    InputError
        With the estimated time and the patients whose outcomes are still to come.
    """
    if evaluated.n_completions > MOST_BY_COHORT:
        # Counted by dose, each takes less, and their number has its own limit.
        return
    seconds = ways * readings * len(evaluated.members) * (each * _SECONDS_EACH + to_the_end * _SECONDS_TO_THE_END)
    if seconds <= _MOST_SECONDS:
        return
    number, shown = _still_to_come(evaluated)
    trial = f"{len(evaluated.members)} cohorts with {readings} readings of the trial"
    raise InputError(
        f"{number} outcomes are still to come, and {trial} would take about {seconds:.0f} seconds, more than {_MOST_SECONDS}: "
        f"give the DLT assessments or last contacts that are known, of {shown}"
    )


# Measured for each way, reading and cohort: by a design, and to the answer once the outcomes have come.
_SECONDS_EACH, _SECONDS_TO_THE_END, _MOST_SECONDS = 1.2e-5, 1.3e-4, 10


def as_read(evaluated: Evaluated, set_aside: Sequence[str]) -> Evaluated:
    """Return the trial as read with the cohorts of these subjects outside the escalation."""
    aside = set(set_aside)
    places = [place for place, cohort in enumerate(evaluated.members) if aside & set(cohort.subjects)]
    return evaluated.setting_aside(places) if places else evaluated


def _as_read(asked: Asked, evaluated: Evaluated, aside: Sequence[int], opened: Recorded | None) -> Recommendation:
    """Return what a design would do by a single reading of the trial."""
    if not aside:
        return _proposal(asked, evaluated, opened)
    left_out = [evaluated.members[place] for place in aside]
    treated = ((subject, _any_counts(evaluated, cohort)) for cohort in left_out for subject in cohort.subjects)
    subjects = tuple(subject for subject, any_counts in treated if evaluated[subject].counts or not any_counts)
    return replace(_proposal(asked, evaluated.setting_aside(aside), opened), set_aside=subjects)


def most_cautious(proposals: Sequence[Recommendation], level: int) -> Recommendation:
    """Return the most cautious of some proposals, the first where several are equally so.

    A de-escalation, or a stop with an MTD below the current dose ``level``, is given now if none of the others could lead further
    down. Otherwise to wait is more cautious than to enrol, or to select the current dose or a higher one as MTD. Of known answers,
    the one at the lowest dose is taken, a stop counting as its MTD and coming first at the same dose.
    """
    lowest = min(map(_lowest, proposals))
    waiting = [proposal for proposal in proposals if proposal.action == "wait"]
    down = [proposal for proposal in proposals if proposal.goes_down(level) and _lowest(proposal) == lowest]
    # At one dose, to stay is more cautious than to de-escalate to it, for a hold applies to it.
    order = ("stop", "fill", "stay")
    known = (down or waiting) if waiting else proposals
    return min(known, key=lambda one: (_lowest(one), order.index(one.action) if one.action in order else len(order)))


def _lowest(proposal: Recommendation) -> int:
    """Return the lowest dose that a proposal can lead to."""
    if proposal.action == "wait":
        return min(_rank(step.level, step.mtd) for _, step in proposal.completions)
    return _rank(proposal.level, proposal.mtd)


def _rank(level: int | None, mtd: str | None) -> int:
    """Return the dose of an answer; a stop counts as its MTD."""
    return level if level is not None else 0 if mtd in (None, "none") else int(mtd)


def escalation_of(asked: Asked, evaluated: Evaluated, known: Sequence[Recorded]) -> Evaluated:
    """Return the trial with the cohorts of its escalation as a design reads them.

    Patients who do not count make no cohort, unless the design or the committee leads there. Further patients at the level of a
    cohort that is short of evaluable patients complete it, whatever cohort the data put them in; a cohort above which another has
    begun only where they have no DLT and it then leads to that one.

    Parameters
    ----------
    asked
        The primary design.
    evaluated
        The patients at the data cutoff.
    known
        Decisions of the committee.
    """
    members: list[Members] = []
    for cohort in evaluated.members:
        so_far = evaluated.with_members(tuple(members))
        if not (_any_counts(evaluated, cohort) or _decided(evaluated, cohort, known) or _leads_to(asked, so_far, cohort.level)):
            continue
        members, rest = _joined(asked, so_far, cohort)
        if rest:
            members.append(cohort._replace(subjects=rest))
    # If no patient is evaluable, the first cohort is still to be treated.
    found = tuple(members) or evaluated.members[:1]
    return evaluated if found == evaluated.members else evaluated.with_members(found)


def _any_counts(evaluated: Evaluated, cohort: Members) -> bool:
    return any(evaluated[subject].counts for subject in cohort.subjects)


def _joined(asked: Asked, evaluated: Evaluated, cohort: Members) -> tuple[list[Members], tuple[str, ...]]:
    """Return the cohorts so far, the latest at the level of a further one completed by its patients, and the others of these."""
    members = list(evaluated.members)
    place = max((place for place, one in enumerate(members) if one.level == cohort.level), default=None)
    if place is None:
        return members, cohort.subjects
    joining, rest = _split(evaluated, cohort.subjects, still_needed(asked, evaluated.with_members(evaluated.members[: place + 1])))
    before, after = members[:place], members[place + 1 :]
    members[place] = members[place]._replace(subjects=(*members[place].subjects, *joining))
    until = evaluated.with_members((*before, members[place]))
    # A further patient who is pending or has a DLT makes no cohort planned that was not.
    clean = joining and not any(evaluated[subject].open or evaluated[subject].has_dlt for subject in joining)
    if after and not (clean and after[0].level > cohort.level and _leads_to(asked, until, after[0].level)):
        return list(evaluated.members), cohort.subjects
    return members, rest


def _leads_to(asked: Asked, evaluated: Evaluated, level: int | None) -> bool:
    """Return whether the last cohort is complete, and every way in which outcomes can come out leads to a level.

    Not where there are too many ways for an answer.
    """
    evaluated = by_dose(asked, evaluated)
    if still_needed(asked, evaluated) or evaluated.n_completions > MOST_COMPLETIONS:
        return False
    return all(step.level == level for step in asked.after_each(asked.ways(evaluated)))


def by_dose(asked: Asked, evaluated: Evaluated) -> Evaluated:
    """Return the trial with outcomes still to come counted by dose, where by cohort they can come out in many ways; as it is for a
    design that remembers the cohorts.
    """
    if evaluated.n_completions <= MOST_BY_COHORT or asked.design.n_memory:
        return evaluated
    # Where the latest cohort is short of patients, the trial before it is asked about too, and where that is, the one before that.
    apart, before = 1, evaluated
    while apart < 3 and still_needed(asked, before):
        apart, before = apart + 1, evaluated.with_members(before.members[:-1])
    return evaluated.by_dose(apart)


def _split(evaluated: Evaluated, subjects: tuple[str, ...], most: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the first subjects, at most ``most`` of them evaluable or pending, and the others."""
    counted = 0
    for place, subject in enumerate(subjects):
        if counted == most:
            return subjects[:place], subjects[place:]
        counted += evaluated[subject].counts
    return subjects, ()


def readings_of(asked: Asked, evaluated: Evaluated, known: Sequence[Recorded]) -> tuple[tuple[int, ...], ...]:
    """Return the readings of a trial: for each, the places in ``evaluated.members`` of the cohorts set aside.

    A cohort that a design would not have started at its level is unplanned. Each unplanned cohort is read as part of the escalation
    or as outside it, and which later cohorts are unplanned depends on that.

    Parameters
    ----------
    asked
        The primary design.
    evaluated
        The patients at the data cutoff, as `escalation_of` has them.
    known
        Decisions of the committee: a cohort that follows one for its level is not unplanned.

    Returns
    -------
    tuple of tuple of int
        The first sets nothing aside, the second every unplanned cohort; one reading where no cohort is unplanned.
    """
    found: list[tuple[int, ...]] = [()]
    without: tuple[int, ...] = ()
    for place, cohort in enumerate(evaluated.members):
        if _decided(evaluated, cohort, known):
            continue
        if not _any_counts(evaluated, cohort):
            # A cohort without evaluable patients is in a reading where the design leads there by that reading.
            found = [_unless_led(asked, evaluated, place, aside) for aside in found]
            without = _unless_led(asked, evaluated, place, without)
            found = list(dict.fromkeys(found))
            continue
        # Where a trial began is where its escalation began, unless it has come down from there.
        began = place == 0 and all(later.level >= cohort.level for later in evaluated.members)
        if began and _may_begin(asked, evaluated, cohort) and not still_needed(asked, evaluated.with_members((cohort,))):
            continue
        then = _as_known(asked, evaluated, place, evaluated[cohort.subjects[0]].first)
        by_now = tuple(evaluated[status.subject] for status in then.statuses)
        seen = (evaluated.as_of, then.as_of, then.statuses, then.members, then.others, cohort, by_now)
        planned = asked.planned.setdefault(seen, {})
        for aside in found:
            if aside not in planned:
                planned[aside] = _planned(asked, evaluated, place, then, aside)
        unplanned = [aside for aside in found if not planned[aside]]
        if without in unplanned:
            without = (*without, place)
        found = list(dict.fromkeys(((), without, *found, *((*aside, place) for aside in unplanned))))[:_MOST_READINGS]
    return tuple(found)


# Patients without a DLT who show that a trial began above the level at which its design starts.
_FEWEST_ABOVE = 3


def _may_begin(asked: Asked, evaluated: Evaluated, cohort: Members) -> bool:
    """Return whether the escalation may have begun with a cohort: at the starting level or below, or tolerated by enough patients.

    One patient treated at a wrong dose begins no escalation there, nor does a DLT help to.
    """
    tolerated = sum(evaluated[subject].kind == "complete" and not evaluated[subject].open for subject in cohort.subjects)
    clean = not any(evaluated[subject].has_dlt for subject in cohort.subjects)
    return cohort.level <= asked.design.start or (clean and tolerated >= _FEWEST_ABOVE)


def _unless_led(asked: Asked, evaluated: Evaluated, place: int, aside: tuple[int, ...]) -> tuple[int, ...]:
    """Return a reading, which also sets aside the cohort at ``place`` unless the design leads to its level by that reading."""
    before = tuple(cohort for at, cohort in enumerate(evaluated.members[:place]) if at not in aside)
    led = not aside or _leads_to(asked, evaluated.with_members(before), evaluated.members[place].level)
    return aside if led else (*aside, place)


# Four unplanned cohorts have up to sixteen readings; of a trial with more, those that set the earlier cohorts aside are tried.
_MOST_READINGS = 16


def _planned(asked: Asked, evaluated: Evaluated, place: int, then: Evaluated, aside: Sequence[int]) -> bool:
    """Return whether a design would have started a cohort at its level, after the cohorts before it that are not set aside.

    An escalation is planned where the cohort before it was complete, and where every way in which outcomes could come out on that
    day led there, or all of them do by now: so the answer is never bolder for a cohort that it was too early to start. Elsewhere
    one way is enough, and further patients at the level of a cohort that is short of evaluable patients complete it.
    """
    cohort = evaluated.members[place]
    first = evaluated[cohort.subjects[0]].first
    now, left_out = asked.on(first), set(aside)
    asked = now.weighing(then)
    before = by_dose(asked, then.with_members(tuple(members for at, members in enumerate(then.members) if at not in left_out)))
    refuse_too_many(before, [before.n_completions])
    level, missing = before.members[-1].level if before.members else 0, still_needed(asked, before)
    if cohort.level == level and missing:
        return True
    ways = asked.ways(before)
    steps = _led(asked, before, ways) if missing else asked.after_each(ways)
    led = [step.level == cohort.level for step in steps]
    if cohort.level <= level:
        return any(led)
    by_now = by_dose(asked, replace(before, statuses=tuple(evaluated[status.subject] for status in before.statuses), apart=None))
    return not missing and (all(led) or all(step.level == cohort.level for step in now.after_each(now.ways(by_now))))


def _as_known(asked: Asked, evaluated: Evaluated, place: int, day: date) -> Evaluated:
    """Return the trial before the cohort at ``place``, which began on a day, as far as it was known.

    Outcomes of cohorts that came later are still to come, those beside the escalation left out; patients who were lost stay lost,
    for a design that waits for complete data; a design that decides with pending outcomes saw them as pending, and only patients
    who had started.
    """
    then = replace(evaluated, statuses=tuple(_on(evaluated, status, day) for status in evaluated.statuses))
    before, cohort = then.members[:place], then.members[place]
    if asked.reads_pending:
        started = {status.subject for status in then.statuses if status.first <= day}
        before = tuple(one._replace(subjects=tuple(who for who in one.subjects if who in started)) for one in before)
        before = tuple(one for one in before if one.subjects)
    others = tuple(
        group._replace(subjects=tuple(subject for subject in group.subjects if _closed_by(then[subject], day)))
        for group in then.others
    )
    subjects = {subject for group in (*before, cohort, *others) for subject in group.subjects}
    statuses = tuple(status for status in then.statuses if status.subject in subjects)
    so_far = replace(then, statuses=statuses, members=before, others=others, as_of=day if asked.reads_pending else then.as_of)
    there = (then[subject] for one in before for subject in one.subjects)
    if asked.reads_pending:
        later = {status.subject for status in there if status.pooled and _came_after(status, day)}
        return so_far.with_unknown(later).followed_until(day)
    later = {status.subject for status in there if status.counts and _came_after(status, day)}
    ways = math.prod(1 + sum(subject in later for subject in one.subjects) for one in before)
    # Of a trial in which nearly everybody was open at once, the outcomes as they came are looked at.
    return so_far.with_unknown(later) if later and ways <= MOST_BY_COHORT else so_far


def treated_otherwise(asked: Asked, evaluated: Evaluated) -> tuple[Departure, ...]:
    """Return the patients whom a design that decides with pending outcomes would not have treated at their level when they started.

    Parameters
    ----------
    asked
        The design.
    evaluated
        The patients at the data cutoff.
    """
    # A design with cohorts decides before the first patient of each.
    one_by_one = evaluated.one_by_one() if asked.design.one_size == 1 else evaluated
    found = []
    for place, cohort in enumerate(one_by_one.members):
        subject = cohort.subjects[0]
        first = evaluated[subject].first
        known = _as_known(asked.on(first), one_by_one, place, first)
        then = asked.on(first).weighing(known)
        (step,) = then.after_each(then.ways(known))
        if step.level != cohort.level:
            kind = {"wait": "suspended", "stop": "stopped"}.get(step.action, "level")
            planned = step.level if step.level is not None else then.explained(step).reason
            found.append(Departure(kind, cohort.cohort, cohort.level, planned, cohort.level, subject))  # type: ignore[arg-type]
    return tuple(found)


def as_begun(evaluated: Evaluated) -> list[Evaluated]:
    """Return the trial up to each cohort, without events after a DLT window that came after the cohort began; the whole trial alone
    where no such event is a DLT.
    """
    if not any(status.closed is not None and status.closed > status.end for status in evaluated.statuses):
        return [evaluated]
    found = []
    for place, cohort in enumerate(evaluated.members):
        first = evaluated[cohort.subjects[0]].first
        statuses = tuple(_on(evaluated, status, first) for status in evaluated.statuses)
        found.append(replace(evaluated, statuses=statuses, members=evaluated.members[: place + 1]))
    return found


def _on(evaluated: Evaluated, status: Status, day: date) -> Status:
    """Return a status without what came after the DLT window and after a day: an event that holds it, or that was adjudicated."""
    if status.held and all(event.day is not None and event.day > day for event in evaluated.holding(status.subject)):
        status = replace(status, held=False)
    if _came_after(status, day) and status.end <= day:
        status = replace(status, kind="complete", closed=status.end)
    return status


def _came_after(status: Status, day: date) -> bool:
    return status.closed is not None and status.closed > day


def _closed_by(status: Status, day: date) -> bool:
    """Return whether the outcome of a patient was known by a day, or nobody waited for it."""
    return status.closed is not None and status.closed <= day


def _decided(evaluated: Evaluated, cohort: Members, known: Sequence[Recorded]) -> bool:
    """Return whether the committee's last decision by the start of a cohort was for its level, all DLTs of that day being known."""
    first, last = evaluated[cohort.subjects[0]].first, decided_for(evaluated, cohort, known)
    begun = {status.subject for status in evaluated.statuses if status.has_dlt and not _came_after(status, first)}
    return last is not None and begun <= last.known_dlts


def decided_for(evaluated: Evaluated, cohort: Members, known: Sequence[Recorded]) -> Recorded | None:
    """Return the committee's last decision by the start of a cohort if it was for its level.

    Parameters
    ----------
    evaluated
        The patients at the data cutoff.
    cohort
        The cohort.
    known
        Decisions of the committee, with the level numbers in force at the data cutoff date.
    """
    first = evaluated[cohort.subjects[0]].first
    # To resume, to add a dose or to choose the RP2D leaves the decision before it as it was.
    about = (
        decision for decision in reversed(known) if decision.as_of <= first and decision.about in ("level", "MTD", "stop", "wait")
    )
    last = next(about, None)
    return None if last is None or (last.about, last.level) != ("level", cohort.level) else last


def _proposal(asked: Asked, evaluated: Evaluated, opened: Recorded | None) -> Recommendation:
    """Return what the design would do, or instead to complete the cohort that the committee has opened."""
    own = _by_its_rules(asked, evaluated)
    missing = still_needed(asked, evaluated) if opened else 0
    if not opened or not missing or own.action == "fill":
        return own
    # Outcomes after which the design stops end what the committee has opened too.
    ways = [(way, step if step.level is None else _to_fill(step, evaluated, missing)) for way, step in own.completions]
    fill = _fill(evaluated, missing, tuple(ways))
    words = _("{reason}; the committee decided on it on {date} ({decision}); by the design's rules alone: {own}")
    return replace(fill, reason=words.format(reason=fill.reason, date=opened.as_of, decision=opened.decision, own=own.words))


def _by_its_rules(asked: Asked, evaluated: Evaluated) -> Recommendation:
    evaluated = by_dose(asked, evaluated)
    refuse_too_many(evaluated, [evaluated.n_completions])
    now = None
    if asked.reads_pending and any(evaluated.open):
        now = _worked_out(asked, evaluated, [asked.known_now(evaluated)])
        now = _unless_data_are_missing(asked, evaluated, now)
        if asked.explains != "all" and now.action not in ("stop", "wait"):
            # What it does once all outcomes are known is shown beside it, and does not change it.
            return replace(now, completions=())
    if now is not None:
        ends = _worked_out(asked.explaining("nothing"), evaluated, asked.completions(evaluated))
        found = _known_now(asked, evaluated, now, ends)
    else:
        found = _worked_out(asked, evaluated, asked.completions(evaluated))
    if now is None and evaluated.apart is None and asked.explains == "all":
        ways = tuple((way, asked.explained(step)) for way, step in found.completions)
    else:
        # The reason after each of very many ways is of no use to anybody, and takes as long as all the rest.
        ways = tuple((way, replace(step, reason="") if step.reason else step) for way, step in found.completions)
    return replace(found, completions=ways)


def _unless_data_are_missing(asked: Asked, evaluated: Evaluated, now: Recommendation) -> Recommendation:
    """Return what a design that decides with pending outcomes does ``now``, or to wait where patients for whom data are missing
    would lead lower if they had a DLT: an event on file that may be one, or, where follow-up has a weight, no assessment although
    the window has ended.

    Of other pending patients only time is awaited, and the design allows for that. Exposure is counted as far as it was observed.
    """
    unresolved = evaluated.unresolved if asked.reads_follow_up else evaluated.suspected
    if not unresolved or now.action in ("wait", "stop"):
        return now
    supposed = evaluated.with_dlts_of(unresolved)
    worst = _worked_out(asked.explaining("nothing"), supposed, [asked.known_now(supposed)])
    if worst.action != "wait" and _rank(worst.level, worst.mtd) >= _rank(now.level, now.mtd):
        return now
    awaited = Awaited(unresolved, missing_data=unresolved)
    return Recommendation("wait", None, 0, awaited.reason([now, worst]), (), None, False, None, now.completions, awaited=awaited)


def _known_now(asked: Asked, evaluated: Evaluated, now: Recommendation, found: Recommendation) -> Recommendation:
    """Return what a design that decides with pending outcomes does ``now``, with what it does once all are known, as ``found``.

    A stop that a pending outcome could still change is awaited.
    """
    ends = [step for _, step in found.completions]
    open_ = [evaluated[subject] for subjects in evaluated.open for subject in subjects]
    if now.action == "stop" and any((step.level, step.mtd) != (None, now.mtd) for step in ends):
        waiting = _waiting(evaluated, found.completions, "")
        return replace(waiting, until=_next_change(asked, evaluated, open_)) if asked.reads_follow_up else waiting
    if now.action != "wait" or (now.awaited is not None and now.awaited.missing_data):
        return replace(now, completions=found.completions)
    awaited = Awaited(tuple(status.subject for status in open_), rule=now.reason)
    until = _next_change(asked, evaluated, open_)
    return replace(now, reason=awaited.reason(ends), until=until, completions=found.completions, awaited=awaited)


def _next_change(asked: Asked, evaluated: Evaluated, open_: Sequence[Status]) -> date | None:
    """Return the first day on which a design that waits decides if nobody has a further DLT, ``None`` if no date can be named.

    A stop is awaited as long as an outcome is to come.
    """
    ends = sorted({status.end for status in open_ if not status.unresolved and not status.held and status.end > evaluated.as_of})
    if asked.reads_follow_up and ends:
        # Follow-up can change the answer on any day.
        ends = [evaluated.as_of + timedelta(days=days) for days in range(1, (ends[-1] - evaluated.as_of).days + 1)]
    awaited = ("wait", "stop") if asked.reads_follow_up else ("wait",)
    if asked.reads_follow_up and still_needed(asked, evaluated):
        # To complete the cohort can take the place of a stop, and follow-up only raises what may be given.
        def goes_on(day: date) -> bool:
            later = evaluated.later(day)
            return _worked_out(asked.explaining("nothing"), later, [asked.known_now(later)]).action not in awaited

        ends = ends[bisect_left(ends, True, key=goes_on) :][:1] or ends[-1:]
        if ends and goes_on(ends[0]):
            return ends[0]
    steps = asked.after_each([asked.known_now(evaluated.later(day)) for day in ends])
    for day, step in zip(ends, steps, strict=True):
        if step.action not in awaited or (day == ends[-1] and step.action == "stop"):
            return day
    return None


def _worked_out(asked: Asked, evaluated: Evaluated, done: list[Completion]) -> Recommendation:
    missing, steps = still_needed(asked, evaluated), asked.after_each(done)
    if evaluated.apart is None and asked.explains == "all":
        # Also where to complete the cohort takes the place of a step.
        steps = [asked.explained(step) for step in steps]
    if not missing:
        return _settled(asked, evaluated, done, steps)
    # At once, rather than part by part.
    _begun(asked, evaluated, done)
    asked.steps([_with_filled(way, evaluated, missing, dlts) for way in done for dlts in range(missing + 1)])
    # The outcomes of other groups are all to agree; within the current cohort, they only end it where each of them does.
    current, level = len(evaluated.members) - 1, evaluated.members[-1].level
    parts: dict[tuple[int, ...], list[Completion]] = {}
    for one in done:
        parts.setdefault((*one.dlts[:current], *one.dlts[current + 1 :]), []).append(one)
    answers = [_within(asked, evaluated, part, missing) for part in parts.values()]
    by_way = {
        way.dlts: step
        for part, (_, steps) in zip(parts.values(), answers, strict=True)
        for way, step in zip(part, steps, strict=True)
    }
    steps = [by_way[one.dlts] for one in done]
    fills = [fill for fill, _ in answers]
    toxic = (_toxic(way.cohorts, way.others, step) for way, step in zip(done, steps, strict=True))
    if any(toxic) or _toxic_by_now(asked, evaluated):
        further = _("the stopping rule for toxicity is met by the patients treated so far: the cohort is not completed")
    else:
        further = counted(
            "no outcome of {n} further patient would keep the trial at level {level}",
            "no outcome of {n} further patients would keep the trial at level {level}",
            missing,
            level=level,
        )
    # To complete the cohort, and to stay with as many patients, are the same for these.
    if any(fills) and len({(step.level, step.size) for step in steps}) == 1:
        steps = [_to_fill(step, evaluated, missing) for step in steps]
        fills = [True] * len(fills)
    if all(fills):
        return _fill(evaluated, missing, tuple(zip(done, steps, strict=True)))
    if not any(fills):
        return _settled(asked, evaluated, done, steps, further if _begun(asked, evaluated, done[:1])[0] else "")
    return _waiting(evaluated, tuple(zip(done, steps, strict=True)), "", beside=evaluated.members[-1].subjects)


def _within(asked: Asked, evaluated: Evaluated, part: list[Completion], missing: int) -> tuple[bool, list[NextStep]]:
    """Return whether the current cohort is completed, and the step after each of some ways that differ in its outcomes alone."""
    steps = asked.after_each(part)
    level = evaluated.members[-1].level
    if not _begun(asked, evaluated, part[:1])[0]:
        return False, _led(asked, evaluated, part)
    # For each way, what follows each number of DLTs among the patients who are missing.
    further = range(missing + 1)
    flat = asked.steps([_with_filled(one, evaluated, missing, dlts) for one in part for dlts in further])
    ends = [flat[place : place + len(further)] for place in range(0, len(flat), len(further))]
    by_now = _toxic_by_now(asked, evaluated)
    left = [
        by_now or _toxic(way.cohorts, way.others, step) or (_below(step, level) and all(_below(end, level) for end in each))
        for way, each, step in zip(part, ends, steps, strict=True)
    ]
    if all(left):
        return False, steps
    if all(_below(end, level) for end in flat) and _agree(flat):
        return False, [flat[0]] * len(part)
    return True, [step if gone else _to_fill(step, evaluated, missing) for step, gone in zip(steps, left, strict=True)]


def _led(asked: Asked, evaluated: Evaluated, ways: Sequence[Completion], as_answered: bool = True) -> list[NextStep]:
    """Return the step after each of some outcomes where the current cohort is short of patients.

    Part of a cohort that the design would not have begun leads no higher than the cohorts before it do. One that it would have
    begun, without an evaluable patient, ends where no outcome of the patients who are missing would keep the trial at its level.
    ``as_answered`` is for `_begun`.
    """
    begun, steps = _begun(asked, evaluated, ways, as_answered), asked.after_each(ways)
    if all(begun) and not _counted(evaluated):
        missing, level = still_needed(asked, evaluated), evaluated.members[-1].level
        flat = asked.steps([_with_filled(way, evaluated, missing, dlts) for way in ways for dlts in range(missing + 1)])
        if all(_below(end, level) for end in flat) and _agree(flat):
            return [flat[0]] * len(ways)
    before = asked.after_each(_without_current(asked, evaluated, ways))
    each = zip(begun, steps, before, strict=True)

    def rank(one: NextStep) -> float:
        # A wait leads to no dose.
        return math.inf if one.action == "wait" else _rank(one.level, one.mtd)

    least = [step if led else min(step, earlier, key=rank) for led, step, earlier in each]
    return [_within_limits(asked, way, step) for way, step in zip(ways, least, strict=True)]


def _within_limits(asked: Asked, way: Completion, step: NextStep) -> NextStep:
    """Return a step with no more patients than are left after all patients treated, also those of the current cohort."""
    if step.level is None:
        return step
    left = int(limits.size(asked.design, asked.state(way.cohorts), np.full(1, step.level - 1))[0])
    # Explained first, as a changed step is no longer known by what was asked.
    return replace(asked.explained(step), size=left) if 0 < left < step.size else step


def _to_fill(step: NextStep, evaluated: Evaluated, missing: int) -> NextStep:
    """Return the step of completing the current cohort instead of another step."""
    level = evaluated.members[-1].level
    return replace(step, action="fill", level=level, size=missing, admissible=(level,), mtd=None, not_reached=False)


def _fill(evaluated: Evaluated, missing: int, completions: Ways) -> Recommendation:
    latest, there = evaluated.members[-1], len(_counted(evaluated))
    clauses = [
        counted(
            "cohort {cohort} has {there} of {n} patient evaluable or pending",
            "cohort {cohort} has {there} of {n} patients evaluable or pending",
            there + missing,
            cohort=latest.cohort,
            there=there,
        )
    ]
    ended = [step for _way, step in completions if step.action != "fill"]
    if ended:
        clauses.append(_("if further DLTs among those pending end that: {steps}").format(steps=either(ended)))
    reason = "; ".join(clauses)
    return Recommendation("fill", latest.level, missing, reason, (latest.level,), None, False, None, completions)


def _settled(
    asked: Asked, evaluated: Evaluated, done: list[Completion], steps: list[NextStep], further: str = ""
) -> Recommendation:
    """Return what a design does if the cohort is complete, or no further patients are to come for the reason given."""
    completions, first = tuple(zip(done, steps, strict=True)), asked.explained(steps[0])
    if not _agree(steps):
        return _waiting(evaluated, completions, further)
    reason = f"{first.reason}; {further}" if further else first.reason
    if len(steps) > 1:
        reason = _("whatever the pending outcomes are; without a further DLT: {reason}").format(reason=reason)
    return Recommendation(
        first.action, first.level, first.size, reason, first.admissible, first.mtd, first.not_reached, None, completions
    )


def _agree(steps: list[NextStep]) -> bool:
    return len({(step.level, step.size, step.mtd, step.not_reached) for step in steps}) == 1


def _below(step: NextStep, level: int) -> bool:
    return step.action == "stop" or (step.level is not None and step.level < level)


def _toxic(cohorts: Sequence[Cohort], others: Sequence[Cohort], step: NextStep) -> bool:
    """Return whether the design stops for toxicity after these patients, enough of them at the lowest dose.

    Patients who would complete the cohort could only dilute what has closed the dose.
    """
    return step.rule == "too_toxic" and sum(one.n for one in (*cohorts, *others) if one.level == 1) >= limits.FEWEST_TOXIC


def _toxic_by_now(asked: Asked, evaluated: Evaluated) -> bool:
    """Return whether the design stops for toxicity by the known outcomes alone, so that nobody pending dilutes them either."""
    if asked.reads_pending:
        return False
    cohorts, others = evaluated.cohorts(), evaluated.beside()
    return bool(cohorts) and _toxic(cohorts, others, asked.after_each([Completion((), cohorts, 1, others)])[0])


def _waiting(evaluated: Evaluated, completions: Ways, further: str, beside: Iterable[str] = ()) -> Recommendation:
    """Return the proposal to wait for the pending outcomes that make a difference, without those ``beside``."""
    open_ = [[evaluated[subject] for subject in subjects if subject not in set(beside)] for subjects in evaluated.open]
    matters = {place for pool in evaluated.pools if _matters(completions, pool) for place in pool}
    mattering = [one for place, group in enumerate(open_) if place in matters for one in group]
    # To complete a cohort, and to stay with as many patients, are the same step: what leads to which matters all the same.
    pending = mattering or [one for group in open_ for one in group]
    unknown = tuple(one.subject for one in pending if one.unresolved or one.held)
    awaited = Awaited(tuple(one.subject for one in pending), further=further, missing_data=unknown)
    until = None if unknown else max(one.end for one in pending)
    reason = awaited.reason([step for _way, step in completions])
    return Recommendation("wait", None, 0, reason, (), None, False, until, completions, awaited=awaited)


def _matters(completions: Ways, pool: Sequence[int]) -> bool:
    """Return whether the DLTs of groups that are counted together make a difference, whatever those of the other groups are."""
    steps: dict[tuple[int, ...], NextStep] = {}
    others = [place for place in range(len(completions[0][0].dlts)) if place not in pool]
    return any(not _agree([step, steps.setdefault(tuple(way.dlts[at] for at in others), step)]) for way, step in completions)


def _counted(evaluated: Evaluated) -> list[str]:
    """Return the patients of the current cohort who are evaluable, or pending."""
    return [subject for subject in evaluated.members[-1].subjects if evaluated[subject].counts]


def without_further(evaluated: Evaluated, courses: bool = False) -> Completion:
    """Return the counts if nobody who is pending has a DLT; with the courses so far for a design that reads them."""
    return next(evaluated.completions(courses))


def _begun(asked: Asked, evaluated: Evaluated, ways: Sequence[Completion], as_answered: bool = True) -> list[bool]:
    """Return whether the design would have begun the current cohort at its level, after each of some outcomes of the others; what
    it would not have begun it does not complete.

    Where the cohort before is short of patients itself, the answer that is given then counts (``as_answered``), not the design's.
    """
    level, then = evaluated.members[-1].level, asked.on(evaluated[evaluated.members[-1].subjects[0]].first)
    earlier, before = evaluated.with_members(evaluated.members[:-1]), _without_current(then, evaluated, ways)
    answered = as_answered and bool(still_needed(then, earlier))
    steps = _led(then, earlier, before, as_answered=False) if answered else then.after_each(before)
    return [step.level == level for step in steps]


def _without_current(asked: Asked, evaluated: Evaluated, ways: Sequence[Completion]) -> list[Completion]:
    """Return ways in which outcomes can come out without the current cohort."""
    current = len(evaluated.members) - 1
    before = evaluated.with_members(evaluated.members[:current])
    if any(way.pending for way in ways):
        return [asked.known_now(before)] * len(ways)
    last = -1 if _counted(evaluated) else None
    found = []
    for way in ways:
        cohorts, dlts = way.cohorts[:last], (*way.dlts[:current], *way.dlts[current + 1 :])
        courses = None if way.courses is None else before.part_courses([*cohorts, *way.others], dlts)
        found.append(way._replace(cohorts=cohorts, dlts=dlts, courses=courses))
    return found


def still_needed(asked: Asked, evaluated: Evaluated) -> int:
    """Return how many patients the current cohort needs to be complete, within the design's limits.

    A design that reads follow-up and is asked before each patient is asked anew after one who does not count.
    """
    if not evaluated.members or (asked.reads_follow_up and asked.design.one_size == 1):
        return 0
    counted = len(_counted(evaluated))
    # The size is that of the version in force when the cohort was begun.
    asked = asked.on(evaluated[evaluated.members[-1].subjects[0]].first)
    cohorts = without_further(evaluated).cohorts
    return max(0, asked.size(cohorts[:-1] if counted else cohorts, evaluated.members[-1].level) - counted)


def filled(cohorts: list[Cohort], evaluated: Evaluated, missing: int, dlts: int) -> list[Cohort]:
    """Return the cohorts once the current one is complete, with ``dlts`` DLTs among the further patients."""
    level = evaluated.members[-1].level
    if not _counted(evaluated):
        return [*cohorts, Cohort(level, missing, dlts)]
    last = cohorts[-1]
    return [*cohorts[:-1], Cohort(level, last.n + missing, last.dlts + dlts)]


def _with_filled(way: Completion, evaluated: Evaluated, missing: int, dlts: int) -> _Question:
    """Return the question of what follows a completed current cohort, with ``dlts`` DLTs among the further patients."""
    return _Question(filled(way.cohorts, evaluated, missing, dlts), way.others, way.pending, way.courses, way.followed)


def with_next(proposal: Recommendation, cohorts: list[Cohort], evaluated: Evaluated, dlts: int) -> list[Cohort]:
    """Return the cohorts with the next patients as a design would have them, and ``dlts`` DLTs among these."""
    if proposal.action == "fill":
        return filled(cohorts, evaluated, proposal.size, dlts)
    return [*cohorts, Cohort(proposal.level or 0, proposal.size, dlts)]


def short(step: NextStep | Recommendation) -> str:
    """Return a step in two or three words."""
    if step.action == "wait":
        return _("wait")
    if step.level is not None:
        words = _("complete the cohort at level {level}") if step.action == "fill" else _("level {level}")
        return words.format(level=step.level)
    return stop_words(step.mtd, step.not_reached, explained=False)


def either(steps: Sequence[NextStep | Recommendation]) -> str:
    """Return what different outcomes would lead to, each answer once."""
    # A stop is several words, so that a bare "or" would not show where an answer ends.
    return _("; or ").join(dict.fromkeys(map(short, steps)))
