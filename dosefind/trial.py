"""The state of a trial: patients and DLTs at each dose, and the latest cohort.

Designs decide for a batch of such states at once, so `States` has a leading axis; a real trial is a batch of
one. Trials are written in the usual outcome notation: ``1NNN 2NNT`` is a cohort of three at level 1
without DLT (N), then three at level 2 with one DLT (T). Levels start at 1 in the notation and wherever a person
reads them; inside arrays doses are indices from 0, and -1 stands for "no dose".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from ._check import MOST_COUNTED, InputError, Problem, count, counts, whole
from .exposure import Exposures, PartCourses
from .shown import Shown
from .words import _, n_patients

__all__ = [
    "COUNT",
    "NO_DOSE",
    "SHARED_KEY",
    "WAIT",
    "Administered",
    "Cohort",
    "Departure",
    "FollowUps",
    "States",
    "TimedStates",
    "Weighted",
    "by_dose",
    "check_cohorts",
    "choice_labels",
    "count_key",
    "notation",
    "parse_outcomes",
]

NO_DOSE = -1
# Returned by a design that needs outcomes still pending.
WAIT = -2
# Counts are signed, so that n - y and differences never wrap around.
COUNT = np.int16


_NOTATION = "must be a level and a capital N (no DLT) or T (DLT) per patient, cohorts separated by spaces, such as '1NNN 2NNT'"


class Cohort(NamedTuple):
    """One cohort: dose level (from 1), number of patients, number of DLTs."""

    level: int
    n: int
    dlts: int


class Administered(NamedTuple):
    """Patients whose administered dose differs from that of their assigned level: level (from 1), amount, patients, DLTs.

    They are included in the patients and DLTs of the level. Models on a dose scale use the amount.
    """

    level: int
    amount: float
    n: int
    dlts: int


class Weighted(NamedTuple):
    """A patient without a DLT who left before the end of the DLT assessment period and has a weight.

    The likelihood of this patient at DLT rate p is ``1 - weight * p``, exact if patients leave independently of DLTs and the weight
    is the share of the DLTs that come by that day (Cheung and Chappell 2000, doi:10.1111/j.0006-341X.2000.01177.x). The patient is
    not among the patients of the level, who are counted in full: a part of a patient completes no cohort.

    Attributes
    ----------
    level
        Dose level from 1.
    weight
        Share of the DLTs that come by the day of leaving, from 0 to 1.
    place
        Number of patients counted at the level from which on the likelihood includes this patient; 0 for all counts.
    """

    level: int
    weight: float
    place: int = 0


@dataclass(frozen=True)
class Departure:
    """A difference between a cohort and the design's recommendation; the trial can still be decided.

    Attributes
    ----------
    kind
        The cohort was treated after the design had "stopped", while it "suspended" accrual, at another "level", with another
        "size", or beyond "max_n" or "max_n_per_dose".
    cohort
        Number of the cohort, from 1.
    given
        Level of the cohort for "stopped" and "level"; patients in the cohort, the trial or the level for the other kinds.
    planned
        The design's level, size or limit; for "stopped" the reason to stop, as a sentence.
    level
        Level of the cohort.
    subject
        The patient of the cohort concerned, for a design that is asked before each patient.
    """

    kind: Literal["stopped", "suspended", "level", "size", "max_n", "max_n_per_dose"]
    cohort: int
    given: int
    planned: int | str
    level: int
    subject: str = ""

    def __str__(self) -> str:
        if self.subject:
            advice = {
                "level": f"recommended level {self.planned}",
                "suspended": "had suspended accrual",
                "stopped": f"had stopped: {self.planned}",
            }[self.kind]
            return f"{self.subject} was treated at level {self.given} when the design {advice}"
        if self.kind == "stopped":
            sentence = _("the design would have stopped after cohort {before}: {planned}")
        elif self.kind == "level":
            sentence = _("cohort {cohort} was at level {given}; the design recommended level {planned}")
        elif self.kind == "size":
            sentence = _("cohort {cohort} had {patients}; the design planned {planned}")
        elif self.kind == "max_n":
            sentence = _("cohort {cohort} brought the trial to {patients}, above the maximum sample size of {planned}")
        else:
            sentence = _("cohort {cohort} brought level {level} to {patients}, above the maximum of {planned} per dose")
        # A reason to stop is a sentence, not a number.
        patients = "" if self.kind == "stopped" else n_patients(self.given)
        values = {"cohort": self.cohort, "before": self.cohort - 1, "level": self.level, "given": self.given}
        return sentence.format(planned=self.planned, patients=patients, **values)


def parse_outcomes(outcomes: str) -> list[Cohort]:
    """Read the outcome notation.

    Parameters
    ----------
    outcomes
        Cohorts separated by spaces, each a level and one capital letter per patient: N (no DLT) or T (DLT).

    Returns
    -------
    list of Cohort

    Raises
    ------
    InputError
        If part of the text is not a cohort.

    Examples
    --------
    >>> parse_outcomes("1NNN 2NNT")
    [Cohort(level=1, n=3, dlts=0), Cohort(level=2, n=3, dlts=1)]
    """
    if not isinstance(outcomes, str):
        raise InputError(Problem("outcomes", outcomes, "must be text such as '1NNN 2NNT', or a list of Cohort"))
    cohorts = []
    for token in outcomes.split():
        match = re.fullmatch(r"([1-9][0-9]?)([NT]+)", token)
        if match is None:
            raise InputError(Problem("outcomes", token, _NOTATION))
        letters = match[2]
        cohorts.append(Cohort(int(match[1]), len(letters), letters.count("T")))
    return cohorts


def notation(cohorts: Sequence[Cohort]) -> str:
    """Return cohorts in the outcome notation, with the DLTs of each cohort last."""
    return " ".join(f"{c.level}{'N' * (c.n - c.dlts)}{'T' * c.dlts}" for c in cohorts)


def check_cohorts(cohorts: Sequence[Cohort], n_doses: int | None = None, place: str = "") -> list[Cohort]:
    """Return the cohorts with their counts as plain integers.

    Parameters
    ----------
    cohorts
        The cohorts; floats that are whole numbers are accepted as counts, as in `States.counts`.
    n_doses
        Number of dose levels, if it is known.
    place
        Prefix of the name of each entry in an error.

    Raises
    ------
    InputError
        If a level does not exist, a cohort does not have 1 to 1,000 patients or has more DLTs than patients, or all cohorts
        together have more patients than a trial can have.
    """
    checked = []
    for number, cohort in enumerate(cohorts, start=1):
        level = whole(f"{place}level of cohort {number}", cohort.level, 1, n_doses)
        n = count(f"{place}n of cohort {number}", cohort.n, 1, 1000)
        checked.append(Cohort(level, n, count(f"{place}dlts of cohort {number}", cohort.dlts, 0, n)))
    count(f"{place}patients in total", sum(cohort.n for cohort in checked), 0, MOST_COUNTED)
    return checked


def choice_labels(n_doses: int) -> list[str]:
    """Return the labels of a final selection: "none", then the levels from 1."""
    return ["none", *(str(level) for level in range(1, n_doses + 1))]


@dataclass(frozen=True)
class States(Shown):
    """A batch of trials in progress.

    Attributes
    ----------
    n, y : (states, doses) integer arrays
        Patients treated and DLTs observed at each dose.
    last : (states,) integer array
        Dose index of the latest cohort, -1 before the first.
    last_n, last_y : (states,) integer arrays
        Size and DLTs of the latest cohort.
    cohorts : (states,) integer array
        Number of cohorts treated.
    memory : (states, k) integer array
        Additional information that a design must remember; k is 0 for most designs.
    more : tuple of (states, doses) integer arrays
        Outcomes tracked besides DLTs, such as responses; empty for most designs.
    groups : pair of integer arrays or None
        If it is known which states share their counts: the first state of each group, ``(groups,)``, and the group of
        each state, ``(states,)``.
    in_part : (states, doses * weights) integer array or None
        Patients who left without a DLT and have a weight, who are not included in ``n``: for each dose in order, their number by
        weight. For a design that was told the weights (`dosefind.designs.Design.with_weights`).

    Examples
    --------
    >>> States.counts([[3, 3]], [[0, 1]]).total
    array([6], dtype=int16)
    """

    n: np.ndarray
    y: np.ndarray
    last: np.ndarray
    last_n: np.ndarray
    last_y: np.ndarray
    cohorts: np.ndarray
    memory: np.ndarray
    more: tuple[np.ndarray, ...] = ()
    groups: tuple[np.ndarray, np.ndarray] | None = None
    in_part: np.ndarray | None = None

    # Whether a decision must say which doses are open, not only the next step.
    asks_open: ClassVar[bool] = True

    def __len__(self) -> int:
        return len(self.n)

    @property
    def made_here(self) -> bool:
        """Return whether the counts are of the type made here; counts of other types may have any size."""
        return getattr(self.n, "dtype", None) == COUNT and getattr(self.y, "dtype", None) == COUNT

    @property
    def n_doses(self) -> int:
        return self.n.shape[1]

    @property
    def total(self) -> np.ndarray:
        """Return the number of patients treated so far, ``(states,)``."""
        # Summed dose by dose: a sum along a short axis is many times slower.
        return sum(self.n.T, np.zeros(len(self), COUNT))

    def take(self, rows: np.ndarray | slice) -> States:
        """Return the states of the given rows."""
        last, last_n, last_y, cohorts = (column[rows] for column in (self.last, self.last_n, self.last_y, self.cohorts))
        n, y, *more = (by_dose(values, rows) for values in (self.n, self.y, *self.more))
        in_part = None if self.in_part is None else self.in_part[rows]
        return States(n, y, last, last_n, last_y, cohorts, self.memory[rows], tuple(more), in_part=in_part)

    @property
    def in_likelihood(self) -> tuple[np.ndarray, np.ndarray]:
        """Return n and y, each followed by columns for the patients with a weight if there can be any."""
        if self.in_part is None:
            return self.n, self.y
        return np.hstack([self.n, self.in_part]), np.hstack([self.y, np.zeros_like(self.in_part)])

    def here(self, values: np.ndarray) -> np.ndarray:
        """Return the column of ``values`` (states, doses) at each state's latest dose, dose 1 before the first cohort."""
        return self.at(values, self.last)

    def latest(self) -> tuple[np.ndarray, np.ndarray]:
        """Return patients and DLTs at each state's latest dose, each ``(states,)``."""
        return self.here(self.n), self.here(self.y)

    def at(self, values: np.ndarray, dose: np.ndarray) -> np.ndarray:
        """Return the column of ``values`` (states, doses) at the given dose index of each state, dose 1 if there is none."""
        return values[np.arange(len(self)), np.maximum(dose, 0)]

    def by_counts(self, function: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        """Return the results of a costly function of `in_likelihood`, computed once for states known to share their counts."""
        n, y = self.in_likelihood
        if self.groups is None:
            return function(n, y)
        first, group = self.groups
        return tuple(result[group] for result in function(by_dose(n, first), by_dose(y, first)))

    def grouped(self) -> States:
        """Return the same states, with states that share their counts identified."""
        if self.in_part is not None:
            counts = np.hstack([*self.in_likelihood, *self.more])
            _, first, group = np.unique(counts, axis=0, return_index=True, return_inverse=True)
            return replace(self, groups=(first, group.reshape(-1)))
        key = np.zeros(len(self), np.uint64)
        for dose in range(self.n_doses):
            key += count_key(np.full(1, dose), self.n[:, dose], self.y[:, dose], *(values[:, dose] for values in self.more))
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        for values in (self.n, self.y, *self.more):
            if not np.array_equal(by_dose(values, first[group]), values):
                raise ArithmeticError(SHARED_KEY)
        return replace(self, groups=(first, group))

    @classmethod
    def before_first(cls, n_doses: int, memory: tuple[int, ...] = (), more: int = 0) -> States:
        """Return one trial without patients, with ``more`` counts besides DLTs."""
        zero = np.zeros((1, n_doses), COUNT)
        none, nothing = np.full(1, NO_DOSE, COUNT), np.zeros(1, COUNT)
        return cls(zero, zero, none, nothing, nothing, nothing, np.array([memory], COUNT).reshape(1, len(memory)), (zero,) * more)

    @classmethod
    def counts(cls, n: Any, y: Any) -> States:
        """Return states with the counts only, as needed for a final selection.

        Parameters
        ----------
        n, y : (doses,) or (states, doses) arrays
            Patients and DLTs at each dose: whole numbers, or floats that are exactly whole, such as 3.0.

        Raises
        ------
        InputError
            If an entry is not a count, the shapes differ, a dose has more DLTs than patients, or a trial has more patients in
            total than allowed.
        """
        n, y = counts(n, y, batch=True)
        return cls.of_checked(np.atleast_2d(n.astype(COUNT)), np.atleast_2d(y.astype(COUNT)))

    @classmethod
    def of_checked(cls, n: np.ndarray, y: np.ndarray, more: tuple[np.ndarray, ...] = ()) -> States:
        """Return states with computed counts, ``(states, doses)`` of type ``COUNT``, without a check."""
        nothing = np.zeros(len(n), COUNT)
        return cls(n, y, nothing + NO_DOSE, nothing, nothing, nothing, np.zeros((len(n), 0), COUNT), more)

    def check(self) -> None:
        """Raise unless the counts are possible in a trial.

        Raises
        ------
        InputError
            If they are not integer arrays ``(states, doses)``, or not counts.
        """
        for name, values in (("n", self.n), ("y", self.y)):
            if not isinstance(values, np.ndarray) or values.dtype.kind not in "iu" or values.ndim != 2:
                shown = values.tolist() if isinstance(values, np.ndarray) else values
                allowed = "must be an integer array (states, doses), as States.counts makes"
                raise InputError(Problem(f"states.{name}", shown, allowed))
        try:
            counts(self.n, self.y, batch=True)
        except InputError as error:
            raise InputError(error.within("states")) from None

    def follow(
        self, rows: np.ndarray | slice, dose: np.ndarray, size: np.ndarray, dlts: np.ndarray, more: Sequence[np.ndarray] = ()
    ) -> States:
        """Return the given rows after another cohort, each with its dose index, size, DLTs and further counts, ``(rows,)``."""
        n, y, *further = (by_dose(values, rows) for values in (self.n, self.y, *self.more))
        each = np.arange(len(n))
        n[each, dose] += size
        y[each, dose] += dlts
        for values, added in zip(further, more, strict=True):
            values[each, dose] += added
        in_part = None if self.in_part is None else self.in_part[rows]
        cohorts = self.cohorts[rows] + COUNT(1)
        return States(n, y, dose, size, dlts, cohorts, self.memory[rows], tuple(further), in_part=in_part)


class FollowUps(NamedTuple):
    """Follow-up of the pending patients of a batch of trials, in whole days.

    Attributes
    ----------
    window
        Days in the DLT assessment period.
    dose : (states, patients) integer array
        Dose index of each pending patient, in any order; -1 for no patient.
    days : (states, patients) integer array
        Days for which the patient has been followed up without a DLT.
    late : (states,) integer array
        DLTs of patients before the latest cohort that became known after that cohort had begun.
    """

    window: int
    dose: np.ndarray
    days: np.ndarray
    late: np.ndarray

    def take(self, rows: np.ndarray | slice) -> FollowUps:
        """Return those of the given rows."""
        return FollowUps(self.window, self.dose[rows], self.days[rows], self.late[rows])

    def at(self, dose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the days of all pending patients at a dose index of each state, and the fewest of any of them, ``(states,)``.

        Without any, the fewest are the window.
        """
        # Patient by patient: a sum along a short axis is many times slower.
        there, days = np.maximum(dose, 0) == self.dose.T, self.days.T
        total = (days * there).sum(axis=0, dtype=np.int32)
        return total, np.where(there, days, self.window).min(axis=0, initial=self.window)

    def by_dose(self, n_doses: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the days of all pending patients at each dose, and the fewest of any of them (the window without any), each
        ``(states, doses)``.
        """
        total, fewest = np.zeros((2, len(self.dose), n_doses), np.int32)
        fewest += self.window
        rows = np.arange(len(self.dose))
        for dose, days in zip(self.dose.T, self.days.T, strict=True):
            there = np.flatnonzero(dose >= 0)
            at = rows[there], dose[there]
            total[at] += days[there]
            fewest[at] = np.minimum(fewest[at], days[there])
        return total, fewest


@dataclass(frozen=True)
class TimedStates(States):
    """A batch of trials with pending patients: they are included in ``n``, and their outcomes are not known yet.

    Attributes
    ----------
    pending : (states, doses) integer array
        Patients at each dose without a DLT so far whose DLT assessment period has not ended.
    courses
        The courses of each trial as far as they have been followed up, for designs that read exposure; otherwise empty.
    exposure
        The same in whole days, if all infusions were given as planned; then ``courses`` is empty.
    follow_ups
        The days for which each pending patient has been followed up, for designs that read them; otherwise ``None``.
    """

    pending: np.ndarray = field(kw_only=True)
    courses: tuple[PartCourses, ...] = field(default=(), kw_only=True)
    exposure: Exposures | None = field(default=None, kw_only=True)
    follow_ups: FollowUps | None = field(default=None, kw_only=True)

    @property
    def included(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return patients, DLTs and complete patients of the courses so far, each ``(states, doses)``; ``None`` without courses."""
        if self.exposure is not None:
            return self.exposure.n, self.exposure.y, self.exposure.complete
        if not self.courses:
            return None
        n, y, complete = (np.array([getattr(each, name) for each in self.courses]) for name in ("n", "y", "complete"))
        return n, y, complete

    def take(self, rows: np.ndarray | slice) -> TimedStates:
        """Return the states of the given rows."""
        courses = tuple(self.courses[row] for row in np.arange(len(self))[rows]) if self.courses else ()
        exposure = None if self.exposure is None else self.exposure.take(rows)
        follow_ups = None if self.follow_ups is None else self.follow_ups.take(rows)
        timed = {"pending": by_dose(self.pending, rows), "courses": courses, "exposure": exposure, "follow_ups": follow_ups}
        return TimedStates(**vars(super().take(rows)), **timed)


SHARED_KEY = "two different states have the same key: please report the design's settings"
# Fixed odd multipliers of a linear hash of counts; any values work, and users of keys check that equal keys are equal counts.
_MULTIPLIERS = np.random.Generator(np.random.PCG64(1)).integers(2**63, size=(2, 64), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_MORE = np.random.Generator(np.random.PCG64(2)).integers(2**63, size=(2, 64), dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def count_key(dose: np.ndarray, n: np.ndarray, y: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """Return the hash of the counts at a dose index; the key of a state is the sum over its doses, modulo 2^64."""
    key = _MULTIPLIERS[0, dose] * n.astype(np.uint64) + _MULTIPLIERS[1, dose] * y.astype(np.uint64)
    for multipliers, counted in zip(_MORE, more, strict=False):
        key += multipliers[dose] * counted.astype(np.uint64)
    return key


def by_dose(values: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
    """Return the rows of a (states, doses) array, stored dose by dose, as every rule reads them."""
    return values.T[:, rows].copy().T if isinstance(rows, slice) else np.take(values.T, rows, axis=1).T
