"""Hierarchical hazards of a DLT per infusion of several trials that borrow from one another, also with parts of courses.

The trials and the distribution of their parameters are those of `HierarchicalLogistic`; the curve is that of `Hazard` with the same
hazard for every infusion. A trial with one infusion has one interval of that hazard, a trial with three has three. If trials are
comparable at equal cumulative doses instead, the hazard up to the end of interval k is ``alpha (S_k / reference)^beta``, with S_k
the sum of the amounts of the infusions up to it.

The first trial can have parts of courses: with e DLTs and exposure E in units of an interval, the log-likelihood is the sum of
e log H - E H over the hazards H of the intervals. These are further cells of the table of a trial's doses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from pydantic import model_validator

from .._check import InputError, Problem
from ..exposure import Interval
from ..words import _
from .hazard import _MOST, Hazard, _grouped
from .hierarchical import HierarchicalLogistic, TrialDoses
from .two_parameter import BivariateNormal

__all__ = ["Exposed", "HierarchicalHazard", "exposed"]


class Exposed(NamedTuple):
    """Exposure and DLTs in intervals of equal hazard, ``alpha ((total / reference)^beta - (before / reference)^beta)``.

    Attributes
    ----------
    total, before
        Amounts to which the hazard refers: that of the infusion and 0, or sums of amounts with and without it.
    exposure
        Exposure in units of the interval, also of patients with a DLT.
    events
        DLTs.
    """

    total: float
    before: float
    exposure: float
    events: float


def exposed(intervals: Iterable[Interval], *, cumulative: bool) -> tuple[Exposed, ...]:
    """Return exposure and DLTs by hazard, with the same hazard for every infusion.

    Exposure in an interval without a hazard has no part in the likelihood; a DLT there belongs to the last infusion given, so that
    no DLT has a hazard of zero.

    Parameters
    ----------
    intervals
        The intervals.
    cumulative
        Whether the hazard depends on the sum of the amounts, not on the amount of each infusion.
    """
    found: dict[tuple[float, float], np.ndarray] = {}
    for interval in intervals:
        given = [place for place, amount in enumerate(interval.amounts) if amount > 0]
        numbers = np.array([interval.exposure + interval.until_events, interval.events])
        if interval.follow_up or not interval.amounts[-1]:
            if not interval.events:
                continue
            if not given:
                raise InputError(Problem("intervals", tuple(interval), "must not have a DLT before any infusion"))
            numbers[0] = 0.0
        amounts = interval.amounts[: given[-1] + 1]
        key = (sum(amounts), sum(amounts[:-1])) if cumulative else (amounts[-1], 0.0)
        found[key] = found.get(key, np.zeros(2)) + numbers
    return tuple(Exposed(*key, *map(float, numbers)) for key, numbers in sorted(found.items()))


class HierarchicalHazard(HierarchicalLogistic):
    """Hazards of a DLT per infusion of several trials that borrow from one another.

    Attributes
    ----------
    pooled, trials, reference, exchangeable, exnex
        As in `HierarchicalLogistic`, with ``log H = log alpha + beta log(dose / reference)`` for each infusion; ``windows`` of a
        trial is its number of infusions, or 1 if the dose is the sum over ``infusions``.
    courses
        Exposure and DLTs of the first trial, which take the place of its counts; none if its counts are the data.

    Examples
    --------
    >>> from dosefind.models import Exchangeable
    >>> model = HierarchicalHazard(
    ...     pooled="hazard of a DLT per infusion",
    ...     trials=(TrialDoses(name="DLC", doses=(1, 2, 4), windows=3), TrialDoses(name="AS", doses=(1, 3, 5))),
    ...     reference=3,
    ...     exchangeable=Exchangeable(mu=BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0)), tau_scale=(0.5, 0.25), rho=0),
    ... )
    >>> np.exp(model.curve(0).at(np.zeros((1, 2)))[0]).round(3)
    array([[0.102, 0.194, 0.35 ]])
    """

    courses: tuple[Exposed, ...] = ()

    @model_validator(mode="after")
    def _whole_infusions(self) -> HierarchicalHazard:
        for trial in self.trials:
            if trial.windows != round(trial.windows):
                raise ValueError(f"{trial.name!r} has windows = {trial.windows:g}: must be a whole number of infusions")
        return self

    @property
    def structure(self) -> tuple[int, int, *tuple[Any, ...]]:
        trials, doses, *rest = super().structure
        return trials, doses + len(self.courses), *rest, "hazard", len(self.courses)

    @property
    def _first_course(self) -> int:
        """Return the column of the first interval, after those of the doses."""
        return self.structure[1] - len(self.courses)

    @property
    def without_data(self) -> HierarchicalHazard:
        """Return the same model without exposure and DLTs."""
        return self.model_copy(update={"courses": tuple(each._replace(exposure=0.0, events=0.0) for each in self.courses)})

    def curve_of(self, trial: TrialDoses, weight: float = 1.0, own: BivariateNormal | None = None) -> Any:
        prior = super().curve_of(trial, weight, own).prior
        # The days have no effect without a background.
        days, reference = (1,) * round(trial.windows), self.reference / trial.infusions
        curve = Hazard(doses=trial.doses, reference=reference, prior=self.exchangeable.mu, interval_days=days)
        return curve.model_copy(update={"prior": prior})

    def numbers(self) -> dict[str, np.ndarray]:
        found = super().numbers()
        at, first = found["at"], self._first_course
        # Where there is no amount before, any number but 0, so that no gradient is infinite.
        apart, has_before, by_day = np.ones_like(at), np.zeros_like(at), np.zeros_like(at)
        by_day[:, first:] = 1.0
        for place, cell in enumerate(self.courses, start=first):
            at[0, place] = np.log(cell.total) - np.log(self.reference)
            if cell.before:
                apart[0, place], has_before[0, place] = np.log(cell.total) - np.log(cell.before), 1.0
        infusions = np.where(by_day > 0, 1.0, found.pop("windows")[:, None])
        return found | {"log_infusions": np.log(infusions), "apart": apart, "has_before": has_before, "by_day": by_day}

    def tables(self, data: Mapping[str, tuple[Any, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers that multiply the terms of the likelihood, each ``(trials, doses + intervals)``.

        Parameters
        ----------
        data
            Patients and DLTs of each trial, by name: one whole number per dose. Those of the first trial are not in the result if
            there are courses.
        """
        n, y = self.counts(data)
        if not self.courses:
            return n, y
        n = n.astype(float)
        n[0], y[0] = 0, 0
        first = self._first_course
        n[0, first:] = [cell.exposure + cell.events for cell in self.courses]
        y[0, first:] = [round(cell.events) for cell in self.courses]
        return n, y

    def counts(self, data: Mapping[str, tuple[Any, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """Return patients and DLTs of each trial by dose, in tables of the same shape."""
        return super().tables(data)

    def log_terms(self, theta: Any, given: Mapping[str, Any], xp: Any = np) -> tuple[Any, Any]:
        beta = xp.exp(theta[..., 1, None])
        log_hazard = theta[..., 0, None] + beta * given["at"] + given["log_infusions"]
        # (total^beta - before^beta) relative to total^beta.
        rest = -xp.expm1(-beta * given["apart"])
        log_hazard = log_hazard + given["has_before"] * xp.log(xp.maximum(rest, 1e-300))
        log_p, log_q = _grouped(log_hazard, xp)
        return xp.where(given["by_day"] > 0, xp.minimum(log_hazard, _MOST), log_p), log_q

    def _curve_sentence(self) -> str:
        sentence = _(
            "Hazards of a DLT per infusion of {n} trials ({names}), log H = log alpha + beta log(dose / {reference}); pooled: "
            "{pooled}."
        )
        return sentence.format(**self._named())
