"""Time as a protocol or an assumption states it: accrual of candidates, days to DLT, discontinuation, gates for escalation.

Times are whole days. A DLT falls on day 1 to ``T`` of the DLT assessment period of ``T`` days, and is known on that day.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ._check import Checked, InputError, Problem, Settings
from .words import _, counted, marked, n_days

__all__ = ["MOST_PER_28_DAYS", "Accrual", "Discontinuation", "Gates", "Onset", "RateFrom"]

Share = Annotated[float, Field(gt=0, lt=1, strict=True)]
Chance = Annotated[float, Field(ge=0, lt=1, strict=True)]
MOST_PER_28_DAYS = 100
"""Highest accrual rate in candidates per 28 days."""

PerMonth = Annotated[float, Field(gt=0, le=MOST_PER_28_DAYS, strict=True)]
Day = Annotated[int, Field(ge=0, le=36500, strict=True)]

MONTH = 28
"""Days in the unit of accrual rates: candidates per 28 days."""


class RateFrom(Settings):
    """An accrual rate from a day of the trial on."""

    day: Annotated[int, Field(ge=1, le=36500, strict=True)] = Field(
        description=marked("day from which the rate holds; accrual starts on day 0")
    )
    per_28_days: PerMonth = Field(description=marked("candidates per 28 days from then on"))


class Accrual(Checked):
    """How candidates for the trial arrive, and how long they wait.

    Attributes
    ----------
    process
        "poisson": independent arrivals; "fixed": equal gaps, the first candidate on day 0; "uniform-gap": gaps uniform between 0
        and twice their mean; "dates": on stated days; "always": a candidate is there whenever one is wanted.
    per_28_days
        Mean number of candidates per 28 days.
    ramp
        Further rates, each from a day on.
    days
        Days on which candidates arrive, for "dates".
    queue
        Number of candidates that wait while no patient may start; 0: they are turned away.
    patience_days
        Days after which a waiting candidate leaves; ``None``: never.
    sensitivity
        Other accrual rates under which the calendar is shown.

    Examples
    --------
    >>> Accrual(process="fixed", per_28_days=2.0).arrivals(np.zeros((0, 1)), 3)[:, 0]
    array([ 0, 14, 28])
    """

    process: Literal["poisson", "fixed", "uniform-gap", "dates", "always"] = Field(
        default="poisson", description=marked("how candidates arrive; 'always': one is there whenever one is wanted")
    )
    per_28_days: PerMonth | None = Field(default=None, description=marked("mean number of candidates per 28 days"))
    ramp: tuple[RateFrom, ...] = Field(default=(), description=marked("further accrual rates, each from a day on"))
    days: tuple[Day, ...] = Field(default=(), description=marked("days on which candidates arrive, for process = 'dates'"))
    queue: Annotated[int, Field(ge=0, le=1000, strict=True)] | Literal["unlimited"] = Field(
        default=0, description=marked("number of candidates that wait while no patient may start; 0 turns them away")
    )
    patience_days: Annotated[int, Field(ge=1, le=3650, strict=True)] | None = Field(
        default=None, description=marked("days after which a waiting candidate leaves; never if not given")
    )
    sensitivity: tuple[PerMonth, ...] = Field(
        default=(), description=marked("other accrual rates (candidates per 28 days) to compare")
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        with_rate = self.process in ("poisson", "fixed", "uniform-gap")
        if with_rate and self.per_28_days is None:
            raise InputError(Problem("per_28_days", None, f"required for process = {self.process!r}: candidates per 28 days"))
        for name in ("per_28_days", "ramp", "sensitivity"):
            if not with_rate and getattr(self, name):
                raise InputError(Problem(name, getattr(self, name), f"has no effect with process = {self.process!r}"))
        if bool(self.days) != (self.process == "dates"):
            allowed = "required for process = 'dates'" if not self.days else f"has no effect with process = {self.process!r}"
            raise InputError(Problem("days", list(self.days), allowed))
        if any(later < earlier for earlier, later in pairwise(self.days)):
            raise InputError(Problem("days", list(self.days), "must be in order"))
        if any(later.day <= earlier.day for earlier, later in pairwise(self.ramp)):
            raise InputError(Problem("ramp", [step.day for step in self.ramp], "must be in the order of their days"))
        if self.process == "always" and self.queue not in (0, "unlimited"):
            raise InputError(Problem("queue", self.queue, "has no effect with process = 'always'"))
        try:
            for rate in self.sensitivity:
                self.at(rate)
        except InputError as error:
            raise InputError([Problem("sensitivity", problem.value, problem.allowed) for problem in error.problems]) from None
        if self.patience_days is not None and self.queue == 0:
            raise InputError(Problem("patience_days", self.patience_days, "has no effect without a queue"))
        return self

    def at(self, per_28_days: float) -> Accrual:
        """Return the same accrual at another rate; the rates of a ramp change in proportion.

        Raises
        ------
        InputError
            If the process has no rate, or a rate of the ramp would exceed `MOST_PER_28_DAYS`.
        """
        if self.per_28_days is None:
            raise InputError(Problem("per_28_days", per_28_days, f"process = {self.process!r} has no rate"))
        ratio = per_28_days / self.per_28_days
        for step in self.ramp:
            if (rate := step.per_28_days * ratio) > MOST_PER_28_DAYS:
                allowed = (
                    f"must be at most {MOST_PER_28_DAYS / step.per_28_days * self.per_28_days:g}: the rate from day {step.day} on "
                    f"changes in proportion, to {rate:g}, and at most {MOST_PER_28_DAYS} candidates per 28 days can arrive"
                )
                raise InputError(Problem("per_28_days", per_28_days, allowed))
        ramp = tuple(RateFrom(day=step.day, per_28_days=step.per_28_days * ratio) for step in self.ramp)
        return self.model_copy(update={"per_28_days": per_28_days, "ramp": ramp})

    def arrivals(self, uniform: np.ndarray, count: int) -> np.ndarray:
        """Return the days on which the first candidates arrive.

        Parameters
        ----------
        uniform : (count, trials) array
            Uniform random numbers in [0, 1), one per gap; only their second dimension is used where gaps are not random.
        count
            Number of candidates.

        Returns
        -------
        (count, trials) int64 array
            `NEVER` where there is no further candidate.
        """
        trials = uniform.shape[1]
        if self.process == "dates":
            known = np.array([*self.days, *[NEVER] * max(0, count - len(self.days))])[:count]
            return np.repeat(known[:, None], trials, axis=1)
        if self.process == "always":
            return np.zeros((count, trials), np.int64)
        if self.process == "fixed":
            # The first candidate is there on day 0.
            passed = np.repeat(np.arange(count, dtype=float)[:, None], trials, axis=1)
        elif self.process == "poisson":
            passed = np.cumsum(-np.log1p(-uniform), axis=0)
        else:
            passed = np.cumsum(2 * uniform, axis=0)
        # A rounding error must not move an arrival to the day before.
        return np.minimum(np.floor(self._when(passed) + 1e-9), NEVER).astype(np.int64)

    def _when(self, expected: np.ndarray) -> np.ndarray:
        """Return the day by which a number of candidates is expected: the inverse of the cumulative rate."""
        assert self.per_28_days is not None
        days = np.array([0, *(step.day for step in self.ramp)], float)
        rates = np.array([self.per_28_days, *(step.per_28_days for step in self.ramp)]) / MONTH
        reached = np.concatenate([[0.0], np.cumsum(np.diff(days) * rates[:-1])])
        step = np.searchsorted(reached, expected, side="right") - 1
        return days[step] + (expected - reached[step]) / rates[step]


# Share of the cumulative hazard of one infusion where it is early or late.
_MOSTLY = 0.8
NEVER = 2**30
"""Day that no trial reaches: stands for no day."""


class Onset(Checked):
    """Distribution of the time to DLT among patients with a DLT, within the DLT assessment period.

    Attributes
    ----------
    kind
        "uniform", "weibull", "log-logistic", "piecewise" or "per-infusion": a hazard of a DLT after each infusion, constant within
        its interval.
    late
        Share of the DLTs in the second half of the period, for "weibull" and "log-logistic". Two equations give their parameters:
        F(T) is the DLT rate and the stated share falls after T/2 (Yuan et al. 2018, doi:10.1158/1078-0432.CCR-18-0246).
    parts
        Shares of the DLTs in equal parts of the period, uniform within each, for "piecewise".
    pattern
        Of the hazards of the infusions, for "per-infusion": "even"; "early" or "late", where the first or the last infusion has
        80% of the cumulative hazard; "sensitising", where each further infusion has ``factor`` times the hazard of the one before.
    factor
        That factor.
    hazards
        Relative cumulative hazards of the infusions, instead of a pattern.
    interval_days
        Days in the interval of each infusion, for "per-infusion"; equal parts of the period by default. A protocol states its own
        (`dosefind.Protocol.days_to_dlt`). There are no DLTs after the intervals.

    Examples
    --------
    >>> Onset(kind="weibull", late=0.5).share(14, 0.1, 28).round(6)
    np.float64(0.5)
    >>> even = Onset(kind="per-infusion", pattern="even", interval_days=(28, 28, 28))
    >>> even.hazard(0.25).round(4)
    array([0.0959, 0.0959, 0.0959])
    """

    kind: Literal["uniform", "weibull", "log-logistic", "piecewise", "per-infusion"] = Field(
        default="uniform", description=marked("distribution of the day of a DLT within the DLT window")
    )
    late: Share | None = Field(default=None, description=marked("share of the DLTs in the second half of the window"))
    parts: tuple[Annotated[float, Field(ge=0, le=1, strict=True)], ...] = Field(
        default=(), description=marked("shares of the DLTs in equal parts of the window, with a sum of 1")
    )
    pattern: Literal["even", "early", "late", "sensitising"] | None = Field(
        default=None, description=marked("pattern of the hazards of the infusions, for kind = 'per-infusion'")
    )
    factor: Annotated[float, Field(gt=0, le=100, strict=True)] | None = Field(
        default=None, description=marked("factor of the hazard per further infusion, for pattern = 'sensitising'")
    )
    hazards: tuple[Annotated[float, Field(ge=0, le=1000, strict=True)], ...] = Field(
        default=(), description=marked("relative cumulative hazards of the infusions, instead of a pattern")
    )
    interval_days: tuple[Annotated[int, Field(ge=1, le=3650, strict=True)], ...] = Field(
        default=(), description=marked("days in the interval of each infusion, for kind = 'per-infusion'; by default as planned")
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        self._check_per_infusion()
        if (self.late is not None) != (self.kind in ("weibull", "log-logistic")):
            allowed = f"has no effect with kind = {self.kind!r}" if self.late is not None else f"required for kind = {self.kind!r}"
            raise InputError(Problem("late", self.late, allowed))
        if bool(self.parts) != (self.kind == "piecewise"):
            allowed = f"has no effect with kind = {self.kind!r}" if self.parts else "required for kind = 'piecewise'"
            raise InputError(Problem("parts", list(self.parts), allowed))
        if self.parts and not math.isclose(sum(self.parts), 1, abs_tol=1e-6):
            raise InputError(Problem("parts", list(self.parts), "must have the sum 1"))
        return self

    def _check_per_infusion(self) -> None:
        for name in ("pattern", "factor", "hazards", "interval_days"):
            value = getattr(self, name)
            if value not in (None, ()) and self.kind != "per-infusion":
                raise InputError(Problem(name, value, f"has no effect with kind = {self.kind!r}"))
        if self.kind != "per-infusion":
            return
        if (self.pattern is None) == (not self.hazards):
            raise InputError(Problem("pattern", self.pattern, "required for kind = 'per-infusion', or hazards instead, not both"))
        if (self.factor is not None) != (self.pattern == "sensitising"):
            required = "required for pattern = 'sensitising'" if self.factor is None else f"has no effect with {self.pattern!r}"
            raise InputError(Problem("factor", self.factor, required))
        if self.hazards and not any(self.hazards):
            raise InputError(Problem("hazards", list(self.hazards), "must have at least one above 0"))
        if self.hazards and self.interval_days and len(self.hazards) != len(self.interval_days):
            allowed = f"must have one for each of the {len(self.interval_days)} infusions"
            raise InputError(Problem("hazards", list(self.hazards), allowed))

    def after(self, interval_days: tuple[int, ...]) -> Onset:
        """Return the same distribution with the intervals of the infusions, if it depends on them and does not state its own."""
        if self.kind != "per-infusion" or self.interval_days:
            return self
        settings = {name: getattr(self, name) for name in self.model_fields_set}
        return Onset(**settings, interval_days=interval_days)

    def hazard(self, rate: np.ndarray | float) -> np.ndarray:
        """Return the cumulative hazard of each infusion, ``(..., infusions)``, at DLT rates of the course ``(...)``."""
        if self.kind != "per-infusion":
            raise InputError(Problem("kind", self.kind, "must be 'per-infusion' for hazards of infusions"))
        return -np.log1p(-np.asarray(rate, float))[..., None] * self._relative

    @property
    def shares(self) -> tuple[float, ...]:
        """Return the shares of the DLTs in equal parts of the period, or of the infusions in the cumulative hazard, if stated."""
        return self.parts if self.kind != "per-infusion" else tuple(self._relative.tolist())

    @property
    def _relative(self) -> np.ndarray:
        """Return the share of each infusion in the cumulative hazard."""
        if self.hazards:
            return np.array(self.hazards) / sum(self.hazards)
        number = len(self.interval_days)
        if not number:
            raise InputError(Problem("interval_days", [], "required for a pattern of the hazards of infusions"))
        if self.pattern in ("early", "late") and number > 1:
            found = np.full(number, (1 - _MOSTLY) / (number - 1))
            found[0 if self.pattern == "early" else -1] = _MOSTLY
            return found
        found = (self.factor or 1.0) ** np.arange(number)
        return found / found.sum()

    def _corners(self, window: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the days at which the intervals of the infusions end, and the shares of the cumulative hazard by then, from 0."""
        relative = self._relative
        days = np.cumsum(self.interval_days) if self.interval_days else window * np.arange(1, len(relative) + 1) / len(relative)
        return np.concatenate([[0.0], days]), np.concatenate([[0.0], np.cumsum(relative)]) / relative.sum()

    def _shape(self, rate: np.ndarray) -> np.ndarray:
        """Return the shape of the Weibull or log-logistic distribution at which the stated share is late, by DLT rate."""
        assert self.late is not None
        rate = np.clip(rate, 1e-12, 1 - 1e-12)
        half = (1 - self.late) * rate
        if self.kind == "weibull":
            return np.log(np.log1p(-rate) / np.log1p(-half)) / math.log(2)
        return np.log(rate / (1 - rate) / (half / (1 - half))) / math.log(2)

    def share(self, day: np.ndarray | float, rate: np.ndarray | float, window: float) -> np.ndarray:
        """Return the share of the DLTs that have occurred by the end of a day.

        Parameters
        ----------
        day
            Days since the first infusion; broadcast with ``rate``.
        rate
            DLT rate over the whole period; only a Weibull or log-logistic distribution depends on it.
        window
            Days in the DLT assessment period.
        """
        part = np.clip(np.asarray(day, float) / window, 0.0, 1.0)
        rate = np.asarray(rate, float)
        if self.kind == "uniform":
            return part + 0 * rate
        if self.kind == "per-infusion":
            rate = np.clip(rate, 1e-12, 1 - 1e-12)
            return -np.expm1(np.log1p(-rate) * np.interp(part * window, *self._corners(window))) / rate
        if self.kind == "piecewise":
            edges = np.linspace(0, 1, len(self.parts) + 1)
            return np.interp(part, edges, np.concatenate([[0.0], np.cumsum(self.parts)]) / sum(self.parts)) + 0 * rate
        shape, rate = self._shape(rate), np.clip(rate, 1e-12, 1 - 1e-12)
        if self.kind == "weibull":
            return -np.expm1(np.log1p(-rate) * part**shape) / rate
        return part**shape / (part**shape + (1 - rate) / rate) / rate

    def time(self, share: np.ndarray, rate: np.ndarray | float, window: float) -> np.ndarray:
        """Return the time by which a share of the DLTs has occurred, in days with fractions: the inverse of `share`."""
        share, rate = np.asarray(share, float), np.asarray(rate, float)
        if self.kind == "uniform":
            return window * share + 0 * rate
        if self.kind == "per-infusion":
            rate = np.clip(rate, 1e-12, 1 - 1e-12)
            days, reached = self._corners(window)
            return np.interp(np.log1p(-share * rate) / np.log1p(-rate), *_strict(reached, days))
        if self.kind == "piecewise":
            reached = np.concatenate([[0.0], np.cumsum(self.parts)]) / sum(self.parts)
            # Parts without a DLT are skipped: the later of two edges with the same share is where the next DLT can fall.
            return window * np.interp(share, *_strict(reached, np.linspace(0, 1, len(self.parts) + 1))) + 0 * rate
        shape, rate = self._shape(rate), np.clip(rate, 1e-12, 1 - 1e-12)
        if self.kind == "weibull":
            return window * (np.log1p(-share * rate) / np.log1p(-rate)) ** (1 / shape)
        reached = share * rate
        return window * (reached / (1 - reached) * (1 - rate) / rate) ** (1 / shape)


def _strict(reached: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of an increasing step function for interpolation, a jump as two corners at nearly the same place."""
    return reached + np.arange(len(reached)) * 1e-15, edges


class Discontinuation(Checked):
    """Probability that a patient without a DLT discontinues before the DLT assessment period ends, by cause.

    Causes act independently of each other and of DLTs, at a constant rate: the time to each is exponential, with the stated
    probability by the end of the period. What is then done with the patient is stated in ``evaluability``.
    """

    dropout: Chance = Field(
        default=0.0, description=marked("probability of discontinuation for other reasons by the end of the window")
    )
    progression: Chance = Field(
        default=0.0, description=marked("probability of progression or rescue treatment by the end of the window")
    )

    def time(self, cause: Literal["dropout", "progression"], uniform: np.ndarray, window: float) -> np.ndarray:
        """Return the time to discontinuation in days with fractions; infinite if it has probability 0."""
        chance = getattr(self, cause)
        if chance == 0:
            return np.full(np.shape(uniform), np.inf)
        # Of a probability near 0 the time is beyond any number, and so is the day.
        with np.errstate(over="ignore"):
            return window * np.log1p(-np.asarray(uniform, float)) / math.log1p(-chance)


class Infused(Checked):
    """A number of patients who have had an infusion of the course.

    Attributes
    ----------
    number
        Number of the infusion in the course, from 2.
    patients
        Number of patients.
    """

    number: Annotated[int, Field(ge=2, le=100, strict=True)] = Field(description=marked("number of the infusion, from 2"))
    patients: Annotated[int, Field(ge=1, le=100, strict=True)] = Field(
        default=1, description=marked("number of patients who have had it")
    )


class Gates(Checked):
    """Conditions for a patient at a dose above the current one, for designs that decide with pending outcomes.

    They also hold for going up again to a dose that was tried before.

    Attributes
    ----------
    complete
        Number of evaluable patients with a known outcome at the current dose, unless nobody is pending there.
    each_pending
        Share of the DLT assessment period for which every pending patient at the current dose has been followed.
    one_followed
        Days for which one patient at the current dose or above has been followed.
    infused
        Patients at the current dose who have had an infusion of the course; as many as there are if no further outcome is pending.
    suspend_pending
        Accrual is suspended if more than this share of the patients at the current dose is pending.
    """

    complete: Annotated[int, Field(ge=1, le=100, strict=True)] | None = Field(
        default=None, description=marked("known outcomes at the current dose before escalation, unless nobody is pending there")
    )
    each_pending: Share | None = Field(
        default=None,
        description=marked("share of the window for which every pending patient at the dose is followed before escalation"),
    )
    one_followed: Annotated[int, Field(ge=1, le=3650, strict=True)] | None = Field(
        default=None, description=marked("days for which one patient at the dose or above is followed before escalation")
    )
    infused: Infused | None = Field(
        default=None, description=marked("patients at the current dose who have had an infusion of the course before escalation")
    )
    suspend_pending: Share | None = Field(
        default=None, description=marked("accrual is suspended if more than this share of the patients at the dose is pending")
    )

    def days_each_pending(self, window: int) -> int | None:
        """Return the days for which each pending patient is followed before escalation; ``None`` without that gate."""
        return None if self.each_pending is None else math.ceil(self.each_pending * window)

    def sentences(self, window: int) -> list[str]:
        """Return the gates as plain sentences; one that there are none.

        Parameters
        ----------
        window
            Days in the DLT assessment period.
        """
        lines = []
        if self.complete is not None:
            words = counted(
                "Gate for the first patient at a new dose: {n} known outcome at the current dose while others are pending there.",
                "Gate for the first patient at a new dose: {n} known outcomes at the current dose while others are pending there.",
                self.complete,
            )
            lines.append(words)
        if (days := self.days_each_pending(window)) is not None:
            words = _("Gate for the first patient at a new dose: {days} of follow-up of every pending patient at the current dose.")
            lines.append(words.format(days=n_days(days)))
        if self.one_followed is not None:
            words = _("Gate for the first patient at a new dose: {days} of follow-up of one patient at the current dose or above.")
            lines.append(words.format(days=n_days(self.one_followed)))
        if self.infused is not None:
            words = counted(
                "Gate for the first patient at a new dose: infusion {number} given to {n} patient at the current dose.",
                "Gate for the first patient at a new dose: infusion {number} given to {n} patients at the current dose.",
                self.infused.patients,
                number=self.infused.number,
            )
            lines.append(words)
        if self.suspend_pending is not None:
            words = _("Gate: accrual is suspended while more than {share} of the patients at the current dose are pending.")
            lines.append(words.format(share=f"{100 * self.suspend_pending:g}%"))
        none = _("The protocol states no gates: before a new dose, the rules above alone await follow-up or outcomes.")
        return lines or [none]
