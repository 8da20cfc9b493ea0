"""The patients of a trial at a data cutoff, each with a status, and the counts that designs read.

Patients of the escalation form cohorts (``members``), which drive the next dose. Patients of other parts whose data are pooled
(backfill, expansion) stand beside them (``others``): designs read their counts by dose, and they never move the current dose or
fill a cohort. Outcomes that are not known yet are enumerated by `Evaluated.completions`, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from .._check import InputError, Problem, whole
from ..adjudications import Adjudicated
from ..days import Days
from ..patients import SAME_AMOUNT, Listed, Part, Patient
from ..shown import Shown
from ..trial import Administered, Cohort
from .events import Question

if TYPE_CHECKING:
    import pandas as pd

    from .serious import SeriousEvent

__all__ = [
    "KINDS",
    "MOST_BY_COHORT",
    "OUTSIDE",
    "UNTREATED",
    "Completion",
    "DesignCounts",
    "Evaluated",
    "Kind",
    "Members",
    "OpenDay",
    "Status",
]

Kind = Literal["dlt", "complete", "pending", "not evaluable", "replaced"]
KINDS: tuple[Kind, ...] = ("dlt", "complete", "pending", "not evaluable", "replaced")

UNTREATED: tuple[Part, ...] = ("placebo", "control")
"""Parts whose patients are not given the product: they have no dose level, and no design counts them."""

OUTSIDE = "outside the escalation"
"""Part of `Members` that a reading of the trial sets aside."""

MOST_BY_COHORT = 256
"""Most ways in which outcomes still to come can come out cohort by cohort, before they are counted by dose."""


class OpenDay(NamedTuple):
    """The date of a possible DLT that can mean days inside and outside the DLT window: its day would settle the question.

    Attributes
    ----------
    subject
        The identifier that the user gave.
    source
        Row of the adverse event.
    days
        Days on which it can have begun.
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
    """Where a patient stands at the data cutoff.

    Attributes
    ----------
    subject
        The identifier that the user gave.
    cohort
        Number of the cohort, from 1; ``None`` at a dose that is not in the protocol and outside the escalation, unless the data
        give one.
    level
        Dose level from 1; ``None`` where the protocol does not have the dose, and for patients who are not given the product.
    kind
        "dlt", "complete" (without a DLT), "pending", "not evaluable" or "replaced".
    rule
        What made it so, in words.
    first, end
        First and last day of the DLT window.
    closed
        Day from which nobody waits for this patient: that of the DLT, of leaving, or the end of the window; ``None`` before.
    days_to_go
        Days from the data cutoff to the end of the window; 0 unless pending.
    fraction
        Part of the window through which the patient is known to have been followed up.
    source
        The rows that made the status.
    replaced_by
        Subject who takes this one's place.
    unresolved
        Pending for want of a piece of data, not of time.
    otherwise
        What would be the kind at one of the protocol's doses; ``None`` where it was one.
    part
        Part of the trial.
    pooled
        Whether designs and models read this patient's outcome: the escalation, and the parts of ``evaluability.pooled_parts``.
    held
        Whether a serious event of this patient waits for adjudication, so that the outcome can still become a DLT.
    overdue
        Whether the window ended before the data cutoff and no DLT assessment has come.
    assessed
        Whether a DLT assessment is recorded (the DLT column, or an adjudication); else last contact and adverse events stand in
        for it.
    derived
        Kind by the protocol's definition alone, where an adjudication or a recorded decision made it another; ``None`` where
        neither did.
    adjudication
        The adjudication that made the kind; ``None`` where none did.
    recorded
        Whether the data record the patient as evaluable for DLT, as known by the data cutoff; ``None`` where no decision is
        recorded.
    settled_by
        Dates whose day would settle whether there was a DLT; empty where no date is open.
    questions
        Questions about adverse events that must be settled before the outcome is known.
    administered
        Amount administered per planned infusion in the DLT window; ``None`` for patients who are not given the product.
    """

    subject: str
    cohort: int | None
    level: int | None
    kind: Kind
    rule: str
    first: date
    end: date
    closed: date | None
    days_to_go: int
    fraction: float
    source: tuple[str, ...]
    replaced_by: str | None = None
    unresolved: bool = False
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

    @property
    def counts(self) -> bool:
        """Whether designs count this patient, now or once the outcome is known."""
        return self.pooled and self.kind in ("dlt", "complete", "pending")

    @property
    def has_dlt(self) -> bool:
        """Whether there was a DLT, counted or not."""
        return "dlt" in (self.kind, self.otherwise)

    @property
    def open(self) -> bool:
        """Whether this patient can still become one with a DLT."""
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
        Who they are.
    part
        Part of the trial, or `OUTSIDE`.
    """

    cohort: int
    level: int
    subjects: tuple[str, ...]
    part: str = "escalation"

    @property
    def name(self) -> str:
        """The group in words."""
        return f"cohort {self.cohort}" if self.part == "escalation" else f"{self.part} at level {self.level}"


class Completion(NamedTuple):
    """One way in which the outcomes still to come can come out.

    Attributes
    ----------
    dlts
        Further DLTs in each group: the cohorts of ``members``, then the groups of ``others``.
    cohorts
        Cohorts of the escalation that designs then read.
    ways
        How many assignments of outcomes to patients give these counts.
    others
        Counts by level beside the escalation; a level that has none is left out.
    """

    dlts: tuple[int, ...]
    cohorts: list[Cohort]
    ways: int
    others: tuple[Cohort, ...] = ()


class Pools(Protocol):
    """What `Evaluated.for_design` asks of a design."""

    @property
    def pools_parts(self) -> bool:
        """Whether counts beside the escalation are added to those of the escalation."""
        ...


class DesignCounts(NamedTuple):
    """The same patients as one design counts them, outcomes still to come left out.

    Attributes
    ----------
    cohorts
        Cohorts of the escalation.
    others
        Patients beside the escalation that the design adds to its counts, by level.
    closing
        Patients beside the escalation that the design does not add, but that can close a dose, by level.
    left_out
        Treated patients in no count, with the reason (the part of the trial, or the kind of the status).
    """

    cohorts: list[Cohort]
    others: tuple[Cohort, ...]
    closing: tuple[Cohort, ...]
    left_out: tuple[tuple[str, str], ...]


class _Group(NamedTuple):
    """Patients of a group with a known outcome, their DLTs, and who is pending or can still become one with a DLT."""

    n: int
    dlts: int
    pending: tuple[str, ...]
    open: tuple[str, ...]


@dataclass(frozen=True)
class Evaluated(Shown):
    """The patients of a trial at a data cutoff, each with a status.

    Attributes
    ----------
    as_of
        The data cutoff.
    as_of_assumed
        Whether it was not given, and is the last date in the data.
    statuses
        One per patient infused by the data cutoff, in the order of the first infusion; of one day from the highest level, those
        with a DLT first, then by the subject.
    patients
        What was known of them by then, in the same order.
    members
        Cohorts of the escalation with their patients, in the order of their first infusion. A cohort treated at two levels is
        listed at each.
    listed
        Rows that make no patient, with the reason.
    rows
        Rows read: those of ``patients``, and those listed.
    later_dates
        Dates in the data after the data cutoff, left out; 0 unless a trial is replayed.
    notes
        What was derived and how, to be printed.
    sha256
        Hash of the data's bytes.
    others
        Groups of other parts whose data are pooled, by part and level.
    serious
        Deaths, related serious events and related events of grade 4 or worse, at any time after the first infusion.
    final
        Whether this is a final analysis, in which a possible DLT on a day that is not known counts as inside the DLT window.
    counted_inside
        Dates that the final analysis counted as inside; empty elsewhere.
    apart
        How many of the latest cohorts stand alone where outcomes still to come are counted by dose; ``None`` where they are
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
        """Status of a patient."""
        return self._by_subject[subject]

    @cached_property
    def _by_subject(self) -> dict[str, Status]:
        return {status.subject: status for status in self.statuses}

    @property
    def unplaced(self) -> list[Status]:
        """Patients who were given a dose that is not in the protocol."""
        return [status for status in self.statuses if status.level is None and status.part not in UNTREATED]

    @property
    def overdue(self) -> list[Status]:
        """Patients whose window ended before the data cutoff without a DLT assessment, the longest overdue first."""
        return sorted((status for status in self.statuses if status.overdue), key=lambda status: (status.end, status.subject))

    @property
    def groups(self) -> tuple[Members, ...]:
        """Cohorts of the escalation, then the groups beside it."""
        return (*self.members, *self.others)

    @property
    def n_pending(self) -> int:
        """How many outcomes of counted patients are still to come."""
        return sum(map(len, self.pending))

    @cached_property
    def pending(self) -> tuple[tuple[str, ...], ...]:
        """Pending patients of each group, in the order of ``groups``."""
        return tuple(self._in(one).pending for one in self.groups)

    @cached_property
    def open(self) -> tuple[tuple[str, ...], ...]:
        """Patients of each group who can still become one with a DLT: pending, or held for adjudication."""
        return tuple(self._in(one).open for one in self.groups)

    def setting_aside(self, places: Collection[int]) -> Evaluated:
        """Return the same trial with the cohorts at these places of ``members`` read as outside the escalation."""
        aside = tuple(one._replace(part=OUTSIDE) for place, one in enumerate(self.members) if place in places)
        kept = tuple(one for place, one in enumerate(self.members) if place not in places)
        return self._of_same_patients(members=kept, others=(*self.others, *aside))

    @property
    def n_completions(self) -> int:
        """Number of ways in which the outcomes still to come can come out: what `completions` has."""
        return math.prod(1 + sum(len(self.open[place]) for place in pool) for pool in self.pools)

    def with_members(self, members: tuple[Members, ...]) -> Evaluated:
        """Return the same patients with these cohorts as the escalation."""
        return self._of_same_patients(members=members)

    def by_dose(self, apart: int) -> Evaluated:
        """Return the same trial with outcomes still to come counted by dose.

        A design without a memory sees the patients and DLTs at each dose and the latest cohort. Earlier cohorts at one dose are
        exchangeable for it, as are groups beside the escalation: the sum of their DLTs alone makes a difference.

        Parameters
        ----------
        apart
            How many of the latest cohorts stand alone: one; or two, where the trial before the latest is asked about too.
        """
        return self._of_same_patients(apart=apart)

    def _of_same_patients(self, **changes: Any) -> Evaluated:
        found = replace(self, **changes)
        # The patients are the same, so that they need not be looked up anew.
        found.__dict__.update({name: getattr(self, name) for name in ("_by_subject", "_by_group")})
        return found

    @cached_property
    def pools(self) -> tuple[tuple[int, ...], ...]:
        """Places in ``groups`` of the groups whose outcomes still to come are counted together."""
        if self.apart is None:
            return tuple((place,) for place in range(len(self.groups)))
        evaluable = [place for place, one in enumerate(self.members) if self._in(one).n or self._in(one).pending]
        alone, found = evaluable[-self.apart :], dict[tuple[int, int], list[int]]()
        for place, one in enumerate(self.groups):
            shared = self.open[place] and place not in alone
            found.setdefault((one.level, place >= len(self.members)) if shared else (-1, place), []).append(place)
        return tuple(map(tuple, found.values()))

    def with_outcomes(self, dlts: Sequence[int]) -> Evaluated:
        """Return the same trial once all outcomes have come, with so many further DLTs in each group.

        The first open patients of a group have the DLTs; designs do not tell patients of a group apart.
        """
        came: dict[str, Kind] = {}
        for subjects, further in zip(self.open, dlts, strict=True):
            came |= {subject: "dlt" if place < further else "complete" for place, subject in enumerate(subjects)}
        known = (
            replace(one, kind=came[one.subject], closed=self._comes_on(one), held=False, unresolved=False)
            if one.subject in came
            else one
            for one in self.statuses
        )
        return replace(self, statuses=tuple(known))

    def _comes_on(self, status: Status) -> date:
        """Return the day of an outcome still to come: the end of the window, or that of the event that waits for adjudication."""
        days = [event.day for event in self.holding(status.subject) if event.day is not None]
        return max(status.end, min(days, default=status.end))

    def holding(self, subject: str) -> list[SeriousEvent]:
        """Serious events of a patient that wait for adjudication."""
        return [event for event in self.serious if event.subject == subject and event.holds]

    def with_unknown(self, subjects: Collection[str]) -> Evaluated:
        """Return the same trial with the outcomes of these patients still to come."""
        statuses = (replace(one, kind="pending", held=False) if one.subject in subjects else one for one in self.statuses)
        return replace(self, statuses=tuple(statuses))

    def as_counted(self) -> Evaluated:
        """Return the same trial with the outcomes as they are counted now, whatever adjudications still to come will say."""
        return replace(self, statuses=tuple(replace(status, held=False) for status in self.statuses))

    def cohorts(self, pending: Sequence[int] | None = None) -> list[Cohort]:
        """Return what designs read of the escalation: patients that count and their DLTs, cohort by cohort.

        Parameters
        ----------
        pending
            DLTs among the pending patients of each cohort, in the order of ``members``; ``None`` leaves pending patients out.

        Returns
        -------
        list of Cohort
            Without cohorts in which nobody counts.

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
        for place, one in enumerate(self.members):
            n, dlts, *_ = self._in(one)
            if pending is not None:
                n, dlts = n + len(self.pending[place]), dlts + pending[place]
            if n:
                found.append(Cohort(one.level, n, dlts))
        return found

    @cached_property
    def administered(self) -> tuple[Administered, ...]:
        """Patients with a known outcome whose administered dose differs from the assigned dose, for models on a dose scale.

        Patients whose outcome can still change are not included: those models use their assigned dose until it is known.
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

    def beside(self) -> tuple[Cohort, ...]:
        """Return known counts beside the escalation, one `Cohort` per level that has any."""
        return _by_level((one.level, *self._in(one)[:2]) for one in self.others)

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

    def _in(self, one: Members) -> _Group:
        """Return what is known of the patients of a group."""
        if one.subjects not in self._by_group:
            statuses = [self[subject] for subject in one.subjects]
            kinds = [status.kind for status in statuses]
            open_ = tuple(status.subject for status in statuses if status.open)
            pending = tuple(status.subject for status in statuses if status.kind == "pending")
            self._by_group[one.subjects] = _Group(kinds.count("dlt") + kinds.count("complete"), kinds.count("dlt"), pending, open_)
        return self._by_group[one.subjects]

    @cached_property
    def _by_group(self) -> dict[tuple[str, ...], _Group]:
        return {}

    def completions(self) -> Iterator[Completion]:
        """Enumerate the ways in which outcomes can still come out, as designs tell them apart: by the DLTs of each group, or of
        groups that are counted together (`by_dose`), of which the first then have the DLTs.

        Yields
        ------
        Completion
            The first is that without a further DLT. The ways of all add up to 2 to the power of the number of open outcomes.
        """
        groups, open_ = self.groups, [len(subjects) for subjects in self.open]
        # Somebody held has a known outcome too, which can become another.
        known = [(one.level, here.n + len(here.pending), here.dlts) for one, here in ((one, self._in(one)) for one in groups)]
        pools = [(pool, n) for pool in self.pools if (n := sum(open_[place] for place in pool))]
        for in_pools in product(*(range(n + 1) for _, n in pools)):
            ways, further, counts = 1, [0] * len(groups), known.copy()
            for (pool, n), dlts in zip(pools, in_pools, strict=True):
                ways *= math.comb(n, dlts)
                for place in pool:
                    further[place] = min(open_[place], dlts)
                    dlts -= further[place]
                    level, patients, with_dlt = known[place]
                    counts[place] = (level, patients, with_dlt + further[place])
            cohorts = [Cohort(*count) for count in counts[: len(self.members)] if count[1]]
            yield Completion(tuple(further), cohorts, ways, _by_level(counts[len(self.members) :]))

    def audit(self) -> pd.DataFrame:
        """Return one row per patient: what was made of it, by which rule and from which rows.

        Returns
        -------
        pandas.DataFrame
            Columns subject, cohort, level, status, first_infusion, window_ends, rule, source; dates in ISO form; and, where
            patients outside the escalation are among them, part. Where any amount administered is not the assigned dose,
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
        if not all(one.as_assigned for one in self.patients):
            table = table.assign(
                assigned=[float("nan") if one.level is None else one.amount for one in self.patients],
                administered=[", ".join(f"{amount:g}" for amount in one.administered) for one in self.patients],
            )
        parts = [s.part for s in self.statuses]
        return table if set(parts) <= {"escalation"} else table.assign(part=parts)

    def closing(self) -> str:
        """Return rows in and out, and the data cutoff, in words."""
        reasons = ", ".join(dict.fromkeys(one.reason for one in self.listed))
        listed = f"{len(self.listed)} listed" + (f" ({reasons})" if reasons else "")
        cut = f"data cut {self.as_of}" + (", assumed: the last date in the data" if self.as_of_assumed else "")
        later = f"; {self.later_dates} later {'date' if self.later_dates == 1 else 'dates'} left out" if self.later_dates else ""
        people = f"{len(self.statuses)} patient{'s' * (len(self.statuses) != 1)}"
        return f"{self.rows} rows read: {self.rows - len(self.listed)} are those of {people}, {listed}; {cut}{later}."


def _by_level(counts: Collection[tuple[int, int, int]] | Iterator[tuple[int, int, int]]) -> tuple[Cohort, ...]:
    """Return (level, patients, DLTs) added up by level, levels without anybody left out."""
    total: dict[int, tuple[int, int]] = {}
    for level, n, dlts in counts:
        before = total.get(level, (0, 0))
        total[level] = before[0] + n, before[1] + dlts
    return tuple(Cohort(level, n, dlts) for level, (n, dlts) in sorted(total.items()) if n)
