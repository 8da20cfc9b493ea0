"""The patients of a trial at a data cutoff date, each with a status, and the counts that designs read.

Patients of the escalation form cohorts (``members``), which determine the next dose. Patients of other parts with pooled data
(backfill, expansion) are kept separately (``others``): designs read their counts by dose, and they never change the current dose or
complete a cohort. Pending outcomes are enumerated by `Evaluated.completions`, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from .._check import MOST_DOSES, InputError, Problem, whole
from ..adjudications import Adjudicated
from ..days import Days
from ..exposure import Interval, PartCourses
from ..patients import SAME_AMOUNT, Listed, Part, Patient
from ..shown import Shown
from ..trial import Administered, Cohort, Weighted
from ..words import _, counted, marked, n_patients
from .courses import Course, course_of
from .events import Question

if TYPE_CHECKING:
    import pandas as pd

    from .serious import SeriousEvent

__all__ = [
    "KINDS",
    "KIND_WORDS",
    "MOST_BY_COHORT",
    "OUTSIDE",
    "UNTREATED",
    "Completion",
    "DesignCounts",
    "Evaluated",
    "Followed",
    "Kind",
    "Members",
    "OpenDay",
    "Status",
]

Kind = Literal["dlt", "complete", "pending", "not evaluable", "replaced"]
KIND_WORDS: dict[Kind, str] = {
    "dlt": marked("DLT"),
    "complete": marked("complete"),
    "pending": marked("pending"),
    "not evaluable": marked("not evaluable"),
    "replaced": marked("replaced"),
}
"""Each kind of status in words, to be translated where it is shown."""

KINDS: tuple[Kind, ...] = tuple(KIND_WORDS)

UNTREATED: tuple[Part, ...] = ("placebo", "control")
"""Parts whose patients do not receive the product: they have no dose level, and no design counts them."""

OUTSIDE = marked("outside the escalation")
"""Part of `Members` that are set aside in a reading of the trial."""

MOST_BY_COHORT = 256
"""Maximum number of completions of pending outcomes enumerated by cohort, before they are counted by dose."""

# What is worked out of the patients alone, whatever the cohorts.
_OF_PATIENTS = ("_by_subject", "_by_group", "_patients", "_known_courses", "_known_parts", "_known_outcomes")


class OpenDay(NamedTuple):
    """The date of a possible DLT that may be inside or outside the DLT window, so that its day would settle the question.

    Attributes
    ----------
    subject
        The identifier supplied by the user.
    source
        Row of the adverse event.
    days
        Possible start days.
    first, end
        First and last day of the DLT window.
    """

    subject: str
    source: str
    days: Days
    first: date
    end: date


@dataclass(frozen=True)
class Status:
    """Status of a patient at the data cutoff date.

    Attributes
    ----------
    subject
        The identifier supplied by the user.
    cohort
        Number of the cohort, from 1; ``None`` for a dose not in the protocol and outside the escalation, unless the data
        give one.
    level
        Dose level from 1; ``None`` for a dose not in the protocol, and for patients who do not receive the product.
    kind
        "dlt", "complete" (without a DLT), "pending", "not evaluable" or "replaced".
    rule
        Reason for the status, in words, with the setting that decided and the events that are no DLT.
    reason
        The same without these.
    first, end
        First and last day of the DLT window.
    closed
        Day from which this patient is no longer awaited: the day of the DLT, of discontinuation, or the end of the window; ``None``
        before.
    days_to_go
        Days from the data cutoff date to the end of the window; 0 unless pending.
    fraction
        Fraction of the window during which the patient is known to have been followed up.
    source
        The rows on which the status is based.
    replaced_by
        Subject who replaces this patient.
    unresolved
        Whether the status is pending for lack of data rather than of time.
    suspected
        Whether it is pending because the data have an event or a value that may be a DLT.
    otherwise
        The kind that would apply at a dose of the protocol; ``None`` if the dose is in the protocol.
    part
        Part of the trial.
    pooled
        Whether designs and models read this patient's outcome: in the escalation, and in the parts of
        ``evaluability.pooled_parts``.
    held
        Whether a serious event of this patient awaits adjudication, so that the outcome can still become a DLT.
    overdue
        Whether the window ended before the data cutoff date without a DLT assessment.
    assessed
        Whether a DLT assessment is recorded (the DLT column, or an adjudication); otherwise last contact and adverse events replace
        it.
    derived
        Kind by the protocol's definition alone, if an adjudication or a recorded decision changed it; otherwise ``None``.
    adjudication
        The adjudication that determined the kind; ``None`` if there was none.
    recorded
        Whether the data record the patient as evaluable for DLT, as known by the data cutoff date; ``None`` if no decision is
        recorded.
    settled_by
        Dates whose day would settle whether there was a DLT; empty if no date is open.
    questions
        Questions about adverse events that must be answered before the outcome is known.
    administered
        Amount administered per planned infusion in the DLT window; ``None`` for patients who do not receive the product.
    weight
        Of a patient who left without a DLT and has a weight (``evaluability.dropout = "weight"``): the share of the DLTs that come
        by the day to which the patient was followed; otherwise ``None``.
    interval_days
        Days in the interval of each planned infusion, by the version of the protocol that applies.
    known_to
        The data cutoff date by which the patient was judged.
    informed
        Whether the data would show a DLT, or its absence, during the follow-up so far.
    """

    subject: str
    cohort: int | None
    level: int | None
    kind: Kind
    rule: str
    reason: str
    first: date
    end: date
    closed: date | None
    days_to_go: int
    fraction: float
    source: tuple[str, ...]
    replaced_by: str | None = None
    unresolved: bool = False
    suspected: bool = False
    otherwise: Kind | None = None
    part: Part = "escalation"
    pooled: bool = True
    held: bool = False
    overdue: bool = False
    assessed: bool = False
    derived: Kind | None = None
    adjudication: Adjudicated | None = None
    recorded: bool | None = None
    settled_by: tuple[OpenDay, ...] = ()
    questions: tuple[Question, ...] = ()
    administered: float | None = None
    weight: float | None = None
    interval_days: tuple[int, ...] = ()
    known_to: date | None = None
    informed: bool = True

    @property
    def counts(self) -> bool:
        """Return whether designs count this patient, now or once the outcome is known."""
        return self.pooled and self.kind in ("dlt", "complete", "pending")

    @property
    def has_dlt(self) -> bool:
        """Return whether there was a DLT, counted or not."""
        return "dlt" in (self.kind, self.otherwise)

    @property
    def days_followed(self) -> int:
        """Return the days of the DLT window for which this patient was followed up."""
        return round(self.fraction * (self.end - self.first).days)

    def later(self, day: date, dlt: bool = False) -> Status:
        """Return the status on a later date, with a DLT by then or without; as it is unless only time is awaited."""
        if not self.open or self.held or self.unresolved:
            return self
        window = (self.end - self.first).days
        if dlt:
            return replace(self, kind="dlt", closed=min(day, self.end), days_to_go=0)
        if self.end <= day:
            return replace(self, kind="complete", closed=self.end, days_to_go=0, fraction=1.0)
        fraction = max(self.fraction, (day - self.first).days / window)
        return replace(self, days_to_go=(self.end - day).days, fraction=fraction, informed=True)

    @property
    def has_weight(self) -> bool:
        """Return whether this patient left without a DLT and is in the likelihood by a weight."""
        return self.pooled and self.weight is not None and self.kind in ("not evaluable", "replaced")

    @property
    def open(self) -> bool:
        """Return whether this patient can still have a DLT."""
        return self.pooled and (self.kind == "pending" or (self.held and self.kind == "complete"))


class Members(NamedTuple):
    """Patients of a cohort at one dose level (from 1), in the order of their first infusion.

    Attributes
    ----------
    cohort
        Number of the cohort; 0 for patients outside the escalation.
    level
        Dose level from 1.
    subjects
        The patients.
    part
        Part of the trial, or `OUTSIDE`.
    """

    cohort: int
    level: int
    subjects: tuple[str, ...]
    part: str = "escalation"

    @property
    def name(self) -> str:
        """Return the group in words."""
        if self.part == "escalation":
            return _("cohort {cohort}").format(cohort=self.cohort)
        return _("{part} at level {level}").format(part=_(self.part), level=self.level)


class Followed(NamedTuple):
    """The follow-up of the pending patients of the escalation.

    Attributes
    ----------
    patients
        Level, days followed up without a DLT, and days in the DLT window of each pending patient.
    late
        DLTs of patients before the latest cohort that became known after that cohort had begun.
    """

    patients: tuple[tuple[int, int, int], ...]
    late: int


class Completion(NamedTuple):
    """One completion of the pending outcomes.

    Attributes
    ----------
    dlts
        Additional DLTs in each group: the cohorts of ``members``, then the groups of ``others``.
    cohorts
        Cohorts of the escalation as designs then read them.
    ways
        Multiplicity: number of assignments of outcomes to patients with these counts.
    others
        Counts by level outside the escalation; levels without counts are omitted.
    pending
        Patients of the escalation by level whose outcomes are taken as pending, included in ``cohorts`` without a DLT; empty where
        every outcome is taken as known.
    courses
        The courses as far as they have been followed up, for a design that reads exposure; otherwise ``None``.
    followed
        The follow-up of the pending patients, for a design that reads it; otherwise ``None``.
    """

    dlts: tuple[int, ...]
    cohorts: list[Cohort]
    ways: int
    others: tuple[Cohort, ...] = ()
    pending: tuple[Cohort, ...] = ()
    courses: PartCourses | None = None
    followed: Followed | None = None


class Pools(Protocol):
    """The methods of a design that `Evaluated.for_design` uses."""

    @property
    def pools_parts(self) -> bool:
        """Return whether counts outside the escalation are added to those of the escalation."""
        ...


class DesignCounts(NamedTuple):
    """The patients as one design counts them, without pending outcomes.

    Attributes
    ----------
    cohorts
        Cohorts of the escalation.
    others
        Patients outside the escalation whom the design adds to its counts, by level.
    closing
        Patients outside the escalation whom the design does not add but who can close a dose, by level.
    left_out
        Treated patients who are not counted, with the reason (the part of the trial, or the kind of the status).
    """

    cohorts: list[Cohort]
    others: tuple[Cohort, ...]
    closing: tuple[Cohort, ...]
    left_out: tuple[tuple[str, str], ...]


class _Group(NamedTuple):
    """Patients of a group with a known outcome, their DLTs, the pending patients, and those who can still have a DLT."""

    n: int
    dlts: int
    pending: tuple[str, ...]
    open: tuple[str, ...]


@dataclass(frozen=True)
class Evaluated(Shown):
    """The patients of a trial at a data cutoff date, each with a status.

    Attributes
    ----------
    as_of
        The data cutoff date.
    as_of_assumed
        Whether it was not given, so that it is the last date in the data.
    statuses
        One per patient infused by the data cutoff date, in order of first infusion; on the same day the highest level first, then
        patients with a DLT first, then by subject.
    patients
        The patients as known by then, in the same order.
    members
        Cohorts of the escalation with their patients, in the order of their first infusion. A cohort treated at two levels is
        listed once per level.
    listed
        Rows that are not patients, with the reason.
    rows
        Number of rows read: those of ``patients``, and those listed.
    later_dates
        Number of dates after the data cutoff date, which are ignored; 0 unless a trial is replayed.
    notes
        Statements of what was derived and how, to be printed.
    sha256
        Hash of the data's bytes.
    others
        Groups of other parts with pooled data, by part and level.
    serious
        Deaths, related serious events and related events of grade 4 or worse, at any time after the first infusion.
    final
        Whether this is a final analysis, in which a possible DLT on an unknown day counts as inside the DLT window.
    counted_inside
        Dates that the final analysis counted as inside; otherwise empty.
    apart
        Number of latest cohorts kept separate if pending outcomes are counted by dose; ``None`` if they are
        counted by cohort.
    """

    as_of: date
    as_of_assumed: bool
    statuses: tuple[Status, ...]
    patients: tuple[Patient, ...]
    members: tuple[Members, ...]
    listed: tuple[Listed, ...]
    rows: int
    later_dates: int
    notes: tuple[str, ...]
    sha256: str
    others: tuple[Members, ...] = ()
    serious: tuple[SeriousEvent, ...] = ()
    final: bool = False
    counted_inside: tuple[OpenDay, ...] = ()
    apart: int | None = None

    def __getitem__(self, subject: str) -> Status:
        """Return the status of a patient."""
        return self._by_subject[subject]

    @cached_property
    def _by_subject(self) -> dict[str, Status]:
        return {status.subject: status for status in self.statuses}

    @property
    def unplaced(self) -> list[Status]:
        """Return the patients who were given a dose not in the protocol."""
        return [status for status in self.statuses if status.level is None and status.part not in UNTREATED]

    @property
    def overdue(self) -> list[Status]:
        """Return the patients whose window ended before the data cutoff date without a DLT assessment, longest overdue first."""
        return sorted((status for status in self.statuses if status.overdue), key=lambda status: (status.end, status.subject))

    @property
    def groups(self) -> tuple[Members, ...]:
        """Return the cohorts of the escalation, then the groups outside it."""
        return (*self.members, *self.others)

    @property
    def n_pending(self) -> int:
        """Return the number of pending outcomes of counted patients."""
        return sum(map(len, self.pending))

    @cached_property
    def pending(self) -> tuple[tuple[str, ...], ...]:
        """Return the pending patients of each group, in the order of ``groups``."""
        return tuple(self._in(group).pending for group in self.groups)

    @cached_property
    def open(self) -> tuple[tuple[str, ...], ...]:
        """Return the patients of each group who can still have a DLT: pending, or held for adjudication."""
        return tuple(self._in(group).open for group in self.groups)

    def setting_aside(self, places: Collection[int]) -> Evaluated:
        """Return the same trial with the cohorts at these positions of ``members`` read as outside the escalation."""
        aside = tuple(cohort._replace(part=OUTSIDE) for place, cohort in enumerate(self.members) if place in places)
        kept = tuple(cohort for place, cohort in enumerate(self.members) if place not in places)
        return self._of_same_patients(members=kept, others=(*self.others, *aside))

    @cached_property
    def n_completions(self) -> int:
        """Return the number of completions of the pending outcomes, as enumerated by `completions`."""
        return math.prod(1 + sum(len(self.open[place]) for place in pool) for pool in self.pools)

    def with_members(self, members: tuple[Members, ...]) -> Evaluated:
        """Return the same patients with these cohorts as the escalation."""
        return self._of_same_patients(members=members)

    def by_dose(self, apart: int) -> Evaluated:
        """Return the same trial with pending outcomes counted by dose.

        A design without a memory uses the patients and DLTs at each dose and the latest cohort. Earlier cohorts at one dose are
        exchangeable for it, as are groups outside the escalation: only the sum of their DLTs matters.

        Parameters
        ----------
        apart
            Number of latest cohorts kept separate: one, or two if the trial before the latest cohort is considered too.
        """
        return self._of_same_patients(apart=apart)

    def _of_same_patients(self, **changes: Any) -> Evaluated:
        found = replace(self, **changes)
        # The patients are the same, so that their counts need not be computed again.
        found.__dict__.update({name: getattr(self, name) for name in _OF_PATIENTS})
        return found

    @cached_property
    def pools(self) -> tuple[tuple[int, ...], ...]:
        """Return the positions in ``groups`` of the groups whose pending outcomes are counted together."""
        if self.apart is None:
            return tuple((place,) for place in range(len(self.groups)))
        evaluable = [place for place, cohort in enumerate(self.members) if self._in(cohort).n or self._in(cohort).pending]
        alone, found = evaluable[-self.apart :], dict[tuple[int, int], list[int]]()
        for place, group in enumerate(self.groups):
            shared = self.open[place] and place not in alone
            found.setdefault((group.level, place >= len(self.members)) if shared else (-1, place), []).append(place)
        return tuple(map(tuple, found.values()))

    def with_outcomes(self, dlts: Sequence[int]) -> Evaluated:
        """Return the same trial with all outcomes known, with these additional DLTs in each group.

        The first open patients of a group have the DLTs; designs do not distinguish patients of a group.
        """
        came: dict[str, Kind] = {}
        for subjects, further in zip(self.open, dlts, strict=True):
            came |= {subject: "dlt" if place < further else "complete" for place, subject in enumerate(subjects)}
        known = (
            replace(status, kind=came[status.subject], closed=self._comes_on(status), held=False, unresolved=False, suspected=False)
            if status.subject in came
            else status
            for status in self.statuses
        )
        return replace(self, statuses=tuple(known))

    def _comes_on(self, status: Status) -> date:
        """Return the day on which a pending outcome becomes known: the window's end, or the day of the event to be adjudicated."""
        days = [event.day for event in self.holding(status.subject) if event.day is not None]
        return max(status.end, min(days, default=status.end))

    def holding(self, subject: str) -> list[SeriousEvent]:
        """Return the serious events of a patient that await adjudication."""
        return [event for event in self.serious if event.subject == subject and event.holds]

    def with_unknown(self, subjects: Collection[str]) -> Evaluated:
        """Return the same trial with the outcomes of these patients pending."""
        statuses = (
            replace(status, kind="pending", held=False) if status.subject in subjects else status for status in self.statuses
        )
        return replace(self, statuses=tuple(statuses))

    def followed_until(self, day: date) -> Evaluated:
        """Return the same trial with pending patients followed up to a day at most."""

        def until(status: Status) -> Status:
            passed = max((day - status.first).days, 0) / max((status.end - status.first).days, 1)
            return replace(status, fraction=min(status.fraction, passed)) if status.open else status

        return replace(self, statuses=tuple(map(until, self.statuses)))

    def as_counted(self) -> Evaluated:
        """Return the same trial with the outcomes as counted now, whatever pending adjudications will conclude."""
        return replace(self, statuses=tuple(replace(status, held=False) for status in self.statuses))

    def cohorts(self, pending: Sequence[int] | None = None) -> list[Cohort]:
        """Return the escalation as designs read it: evaluable patients and their DLTs, cohort by cohort.

        Parameters
        ----------
        pending
            DLTs among the pending patients of each cohort, in the order of ``members``; ``None`` excludes pending patients.

        Returns
        -------
        list of Cohort
            Without cohorts that have no evaluable patient.

        Raises
        ------
        InputError
            If ``pending`` is not one number per cohort, each at most its pending patients.
        """
        found = []
        if pending is not None:
            if len(pending) != len(self.members):
                raise InputError(Problem("pending", list(pending), f"must be {len(self.members)} numbers, one per cohort"))
            for place, dlts in enumerate(pending):
                whole(f"pending[{place + 1}]", dlts, 0, len(self.pending[place]))
        for place, group in enumerate(self.members):
            n, dlts, *_ = self._in(group)
            if pending is not None:
                n, dlts = n + len(self.pending[place]), dlts + pending[place]
            if n:
                found.append(Cohort(group.level, n, dlts))
        return found

    @cached_property
    def administered(self) -> tuple[Administered, ...]:
        """Return patients with a known outcome whose administered dose differs from the assigned dose, for models on a dose scale.

        Patients whose outcome can still change are not included: these models use their assigned dose until the outcome is known.
        """
        found: dict[tuple[int, float], tuple[int, int]] = {}
        for patient, status in zip(self.patients, self.statuses, strict=True):
            level, amount = status.level, status.administered
            if level is None or amount is None or not status.counts or status.open:
                continue
            if not math.isclose(amount, patient.amount, rel_tol=SAME_AMOUNT):
                n, dlts = found.get((level, amount), (0, 0))
                found[level, amount] = n + 1, dlts + (status.kind == "dlt")
        return tuple(Administered(*place, *counts) for place, counts in sorted(found.items()))

    @cached_property
    def weighted(self) -> tuple[Weighted, ...]:
        """Return patients who left without a DLT and have a weight, for designs and curves that read weights.

        They are replaced, so that no cohort, limit or rule on counts includes them.
        """
        found: list[Weighted] = []
        counted: dict[int, int] = {}
        # Counts of patients outside the escalation are there whatever cohorts a design is asked about.
        for group in (*self.others, *self.members):
            statuses = [self[subject] for subject in group.subjects]
            counted[group.level] = counted.get(group.level, 0) + sum(status.counts for status in statuses)
            weights = (status.weight for status in statuses if status.has_weight)
            found += [Weighted(group.level, weight, counted[group.level]) for weight in weights if weight is not None]
        # A cohort without evaluable patients can be in no reading of the escalation; its follow-up is known all the same.
        grouped = {subject for group in (*self.others, *self.members) for subject in group.subjects}
        before: dict[int, int] = {}
        for status in self.statuses:
            if status.level is None:
                continue
            if status.subject in grouped:
                before[status.level] = before.get(status.level, 0) + status.counts
            elif status.has_weight and status.weight is not None:
                found.append(Weighted(status.level, status.weight, before.get(status.level, 0)))
        return tuple(found)

    @property
    def suspected(self) -> tuple[str, ...]:
        """Return the patients whose pending outcome may already be a DLT, by the data."""
        return tuple(status.subject for status in self.statuses if status.open and status.suspected)

    @property
    def unresolved(self) -> tuple[str, ...]:
        """Return the patients whose outcome is pending for lack of data rather than of time."""
        return tuple(status.subject for status in self.statuses if status.open and status.unresolved)

    def with_dlts_of(self, subjects: Collection[str]) -> Evaluated:
        """Return the same trial with a DLT, by the data cutoff date, of some pending patients."""

        def supposed(status: Status) -> Status:
            if status.subject not in subjects:
                return status
            return replace(status, kind="dlt", closed=min(self.as_of, status.end), unresolved=False, suspected=False)

        return replace(self, statuses=tuple(map(supposed, self.statuses)))

    def with_left_as_dlts(self) -> Evaluated:
        """Return the same trial with every patient who left without a DLT and has a weight as a patient with a DLT."""
        return replace(
            self,
            statuses=tuple(replace(status, kind="dlt") if status.has_weight else status for status in self.statuses),
        )

    def beside(self) -> tuple[Cohort, ...]:
        """Return the known counts outside the escalation, one `Cohort` per level that has any."""
        return _by_level((group.level, *self._in(group)[:2]) for group in self.others)

    def for_design(self, design: Pools) -> DesignCounts:
        """Return the counts of these patients as a design reads them; see `DesignCounts`.

        Raises
        ------
        InputError
            If it is not a design.
        """
        if not isinstance(getattr(design, "pools_parts", None), bool):
            shown = design if isinstance(design, str) else type(design).__name__
            raise InputError(
                Problem("design", shown, "must be a design itself, such as one of build_designs(protocol), not its name")
            )
        left_out = tuple(
            (status.subject, status.part if not status.pooled else status.kind)
            for status in self.statuses
            if not status.counts or status.kind == "pending"
        )
        others = self.beside()
        return DesignCounts(self.cohorts(), others if design.pools_parts else (), () if design.pools_parts else others, left_out)

    def _in(self, group: Members) -> _Group:
        """Return the known counts of the patients of a group."""
        if group.subjects not in self._by_group:
            statuses = [self[subject] for subject in group.subjects]
            kinds = [status.kind for status in statuses]
            open_ = tuple(status.subject for status in statuses if status.open)
            pending = tuple(status.subject for status in statuses if status.kind == "pending")
            self._by_group[group.subjects] = _Group(
                kinds.count("dlt") + kinds.count("complete"), kinds.count("dlt"), pending, open_
            )
        return self._by_group[group.subjects]

    @cached_property
    def _by_group(self) -> dict[tuple[str, ...], _Group]:
        return {}

    def days_without_dlt(self, status: Status) -> int:
        """Return the days for which a pending patient is known to have had no DLT.

        Up to the day before an event that may be a DLT; none if the data would not show a DLT.
        """
        course = self._course(status)
        return 0 if course.left_out else course.days

    @property
    def courses(self) -> tuple[Course, ...]:
        """Return the course of each patient as far as it has been followed up."""
        return tuple(map(self._course, self.statuses))

    def _course(self, status: Status) -> Course:
        known = self._known_courses.get(id(status))
        if known is None:
            held = self.holding(status.subject) if status.held else []
            known = status, course_of(self._patients[status.subject], status, self.as_of, held)
            self._known_courses[id(status)] = known
        return known[1]

    @cached_property
    def _known_courses(self) -> dict[int, tuple[Status, Course]]:
        """Return courses by the identity of the status, which is kept with them."""
        return {}

    @cached_property
    def _patients(self) -> dict[str, Patient]:
        return {patient.subject: patient for patient in self.patients}

    def part_courses(self, counts: Iterable[tuple[int, int, int]], dlts: Sequence[int] | None = None) -> PartCourses:
        """Return the courses of the patients of all groups, with the counts (level, patients, DLTs) that include them.

        Parameters
        ----------
        counts
            The counts.
        dlts
            Additional DLTs in each group, of its first open patients, if all outcomes are taken as known: half-way through the
            follow-up to come. ``None`` leaves pending outcomes as they are.
        """
        n, y, complete = ([0] * MOST_DOSES for _ in range(3))
        for level, patients, with_dlt in counts:
            n[level - 1] += patients
            y[level - 1] += with_dlt
        intervals: list[Interval] = []
        for group, subjects, further in zip(
            self.groups, self.open, [None] * len(self.groups) if dlts is None else dlts, strict=True
        ):
            key = (group.subjects, subjects, further)
            if key not in self._known_parts:
                self._known_parts[key] = self._part(group.subjects, subjects, further)
            of_group, ended, supposed, with_dlt = self._known_parts[key]
            intervals += of_group
            complete[group.level - 1] += ended
            n[group.level - 1] -= supposed
            y[group.level - 1] -= with_dlt
        return PartCourses(tuple(intervals), tuple(n), tuple(y), tuple(complete))

    def _part(
        self, subjects: Sequence[str], open_: Sequence[str], further: int | None
    ) -> tuple[tuple[Interval, ...], int, int, int]:
        """Return the intervals of a group, the courses completed, and the patients who are supposed to have been treated, of whom
        only the outcome of the course is stated, with their DLTs.
        """
        came = {} if further is None else {subject: self._once_known(subject, at < further) for at, subject in enumerate(open_)}
        intervals: list[Interval] = []
        ended, supposed, with_dlt = 0, 0, 0
        for status in (came.get(subject, self[subject]) for subject in subjects):
            course = self._course(status)
            intervals += course.intervals
            complete = status.kind == "complete" and status.counts and not status.held and status.first < status.end
            ended += complete and course.days >= (status.end - status.first).days
            if status.first == status.end and status.counts:
                supposed += 1
                with_dlt += status.kind == "dlt"
        return tuple(intervals), ended, supposed, with_dlt

    @cached_property
    def _known_parts(self) -> dict[Any, tuple[tuple[Interval, ...], int, int, int]]:
        """Return what is known of groups, by their patients and their further DLTs."""
        return {}

    def _once_known(self, subject: str, dlt: bool) -> Status:
        """Return the status of a patient whose outcome is taken as known, with a DLT half-way through the follow-up to come."""
        if (subject, dlt) not in self._known_outcomes:
            status = self[subject]
            later = max(self.as_of, status.first)
            middle = later + (max(status.end, later) - later) / 2
            known = {"held": False, "unresolved": False, "suspected": False, "fraction": 1.0, "questions": (), "settled_by": ()}
            kind, closed = ("dlt", middle) if dlt else ("complete", status.end)
            self._known_outcomes[subject, dlt] = replace(status, kind=kind, closed=closed, **known)
        return self._known_outcomes[subject, dlt]

    @cached_property
    def _known_outcomes(self) -> dict[tuple[str, bool], Status]:
        return {}

    def completions(self, courses: bool = False) -> Iterator[Completion]:
        """Yield the completions of the pending outcomes, as designs distinguish them: by the DLTs of each group, or of
        groups that are counted together (`by_dose`), in which case the first of them have the DLTs.

        Parameters
        ----------
        courses
            Whether a design reads the exposure of each course.

        Yields
        ------
        Completion
            The first has no additional DLT. The multiplicities add up to 2 to the power of the number of open outcomes.
        """
        groups, open_ = self.groups, [len(subjects) for subjects in self.open]
        # A patient held for adjudication has a known outcome too, which can change.
        known = [
            (group.level, counts.n + len(counts.pending), counts.dlts)
            for group, counts in ((group, self._in(group)) for group in groups)
        ]
        pools = [(pool, n) for pool in self.pools if (n := sum(open_[place] for place in pool))]
        for in_pools in product(*(range(n + 1) for _pool, n in pools)):
            ways, further, counts = 1, [0] * len(groups), known.copy()
            for (pool, n), dlts in zip(pools, in_pools, strict=True):
                ways *= math.comb(n, dlts)
                for place in pool:
                    further[place] = min(open_[place], dlts)
                    dlts -= further[place]
                    level, patients, with_dlt = known[place]
                    counts[place] = (level, patients, with_dlt + further[place])
            cohorts = [Cohort(*count) for count in counts[: len(self.members)] if count[1]]
            parts = self.part_courses(counts, further) if courses else None
            yield Completion(tuple(further), cohorts, ways, _by_level(counts[len(self.members) :]), courses=parts)

    def later(self, day: date, with_dlt: Collection[str] = ()) -> Evaluated:
        """Return the patients as they would be on a later date if these had a DLT and nobody else.

        Every patient whose window has ended by then is complete; others are followed up to that day. Patients for whom data are
        missing or an adjudication is due remain as they are.
        """
        statuses = tuple(status.later(day, status.subject in with_dlt) for status in self.statuses)
        return replace(self, as_of=day, statuses=statuses)

    def one_by_one(self) -> Evaluated:
        """Return the same patients with every patient of the escalation as a cohort, in the order of their first infusions."""
        each = [(cohort, subject) for cohort in self.members for subject in cohort.subjects]
        order = {status.subject: place for place, status in enumerate(self.statuses)}
        each.sort(key=lambda pair: order[pair[1]])
        return self.with_members(tuple(cohort._replace(subjects=(subject,)) for cohort, subject in each))

    def _followed(self) -> Followed:
        """Return the follow-up of the pending patients of the escalation."""
        every = ([self[subject] for subject in group.subjects] for group in self.members)
        cohorts = [counting for statuses in every if (counting := [status for status in statuses if status.counts])]
        pending = [status for statuses in cohorts for status in statuses if status.open]
        patients = [(status.level or 0, self.days_without_dlt(status), (status.end - status.first).days) for status in pending]
        begun = min((status.first for status in (cohorts[-1] if cohorts else ())), default=self.as_of)
        earlier = [status for statuses in cohorts[:-1] for status in statuses if status.kind == "dlt"]
        late = sum(status.closed is not None and status.closed > begun for status in earlier)
        return Followed(tuple(sorted(patients)), late)

    def known_now(self, courses: bool = False, follow_up: bool = False) -> Completion:
        """Return the counts as known now, for designs that decide with pending outcomes: nobody who is pending has a DLT yet.

        A patient held for adjudication is pending. Patients outside the escalation are included once their outcomes are known.
        """
        counted = [(group, self._in(group)) for group in self.members]
        cohorts = [Cohort(group.level, counts.n + len(counts.pending), counts.dlts) for group, counts in counted]
        pending = _by_level((group.level, len(counts.open), 0) for group, counts in counted)
        parts = self.part_courses([*cohorts, *self.beside()]) if courses else None
        counts = [cohort for cohort in cohorts if cohort.n]
        followed = self._followed() if follow_up else None
        return Completion((0,) * len(self.groups), counts, 1, self.beside(), pending, parts, followed)

    def audit(self) -> pd.DataFrame:
        """Return one row per patient: the status, the rule and the rows on which it is based.

        Returns
        -------
        pandas.DataFrame
            Columns subject, cohort, level, status, first_infusion, window_ends, rule, source; dates in ISO form; and, if
            there are patients outside the escalation, part. If any amount administered differs from the assigned dose,
            assigned (the amount) and administered (the amount of each infusion).
        """
        import pandas as pd

        table = pd.DataFrame(
            {
                "subject": [s.subject for s in self.statuses],
                "cohort": pd.array([s.cohort for s in self.statuses], dtype="Int64"),
                "level": pd.array([s.level for s in self.statuses], dtype="Int64"),
                "status": [s.kind for s in self.statuses],
                "first_infusion": [s.first.isoformat() for s in self.statuses],
                "window_ends": [s.end.isoformat() for s in self.statuses],
                "rule": [s.rule for s in self.statuses],
                "source": ["; ".join(s.source) for s in self.statuses],
            }
        )
        if not all(patient.as_assigned for patient in self.patients):
            table = table.assign(
                assigned=[float("nan") if patient.level is None else patient.amount for patient in self.patients],
                administered=[", ".join(f"{amount:g}" for amount in patient.administered) for patient in self.patients],
            )
        parts = [s.part for s in self.statuses]
        return table if set(parts) <= {"escalation"} else table.assign(part=parts)

    def closing(self) -> str:
        """Return the numbers of rows read and used, and the data cutoff date, in words."""
        reasons = ", ".join(dict.fromkeys(row.reason for row in self.listed))
        listed = _("{n} not used ({reasons})") if reasons else _("{n} not used")
        cut = _("data cutoff {date}, assumed: the last date in the data") if self.as_of_assumed else _("data cutoff {date}")
        clauses = [
            _("{rows} rows read: {used} used ({patients}), {listed}").format(
                rows=self.rows,
                used=self.rows - len(self.listed),
                patients=n_patients(len(self.statuses)),
                listed=listed.format(n=len(self.listed), reasons=reasons),
            ),
            cut.format(date=self.as_of),
        ]
        if self.later_dates:
            clauses.append(counted("{n} later date ignored", "{n} later dates ignored", self.later_dates))
        return _("{clauses}.").format(clauses="; ".join(clauses))


def _by_level(counts: Collection[tuple[int, int, int]] | Iterator[tuple[int, int, int]]) -> tuple[Cohort, ...]:
    """Return (level, patients, DLTs) summed by level, without levels that have no patient."""
    total: dict[int, tuple[int, int]] = {}
    for level, n, dlts in counts:
        before = total.get(level, (0, 0))
        total[level] = before[0] + n, before[1] + dlts
    return tuple(Cohort(level, n, dlts) for level, (n, dlts) in sorted(total.items()) if n)
