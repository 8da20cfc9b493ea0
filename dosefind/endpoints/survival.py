"""Survival and cumulative incidence for few patients: Kaplan-Meier by SciPy, Aalen-Johansen with competing events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._check import InputError, Problem

__all__ = ["Incidence", "Survival", "aalen_johansen", "kaplan_meier"]


class Survival(NamedTuple):
    """A Kaplan-Meier estimate at the days of its events.

    Attributes
    ----------
    days : (events,) array
        Days with an event, in order.
    probability, low, high : (events,) arrays
        Probability of survival beyond the day, with log-log limits.
    at_risk : (events,) array
        Patients without an event and not censored before the day.
    """

    days: np.ndarray
    probability: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at_risk: np.ndarray

    def at(self, day: float) -> tuple[float, float, float]:
        """Return the estimate on a day with its limits; 1 before the first event, where there are no limits."""
        place = int(np.searchsorted(self.days, day, side="right")) - 1
        if place < 0:
            return 1.0, np.nan, np.nan
        return float(self.probability[place]), float(self.low[place]), float(self.high[place])


class Incidence(NamedTuple):
    """Cumulative incidence of each cause with the other causes competing, at the days of all events.

    Attributes
    ----------
    days : (events,) array
        Days with an event of any cause, in order.
    by_cause : dict of (events,) arrays
        Probability of an event of the cause by the day.
    error : dict of (events,) arrays
        Standard error of each.
    """

    days: np.ndarray
    by_cause: dict[str, np.ndarray]
    error: dict[str, np.ndarray]


def kaplan_meier(days: Any, event: Any, level: float = 0.95) -> Survival:
    """Return the Kaplan-Meier estimate of survival, with log-log confidence limits.

    Parameters
    ----------
    days : (patients,) array
        Days to the event or to the last contact.
    event : (patients,) bool array
        Whether the event was observed.
    level
        Level of the limits.

    Examples
    --------
    >>> kaplan_meier([10, 20, 30], [True, False, True]).probability.round(3)
    array([0.667, 0.   ])
    """
    from scipy.special import ndtri
    from scipy.stats import CensoredData, ecdf

    times, seen = _checked(days), np.asarray(event, bool)
    if seen.shape != times.shape:
        raise InputError(Problem("event", list(seen.shape), f"must have one entry per patient, {len(times)}"))
    at = np.unique(times[seen])
    if not len(at):
        return Survival(at, at, at, at, at)
    risk = (times >= at[:, None]).sum(axis=1)
    dead = (seen & (times == at[:, None])).sum(axis=1)
    found = ecdf(CensoredData(uncensored=times[seen], right=times[~seen])).sf
    probability = found.probabilities[np.searchsorted(found.quantiles, at)]
    # Greenwood's variance on the scale of log(-log S); there are no limits where no patient is left.
    left = np.where(risk > dead, risk - dead, 1)
    spread = np.sqrt(np.cumsum(np.where(risk > dead, dead / (risk * left), 0.0)))
    inner = np.where((probability > 0) & (probability < 1), probability, 0.5)
    width = ndtri((1 + level) / 2) * spread / np.abs(np.log(inner))
    low, high = (np.where(probability == inner, inner ** np.exp(way * width), np.nan) for way in (1, -1))
    return Survival(at, probability, low, high, risk)


def aalen_johansen(days: Any, cause: Sequence[str | None]) -> Incidence:
    """Return the cumulative incidence of each cause with the others competing: Aalen and Johansen (1978).

    Patients with another cause can no longer have the event: they are not censored, which would overstate its incidence.

    Parameters
    ----------
    days : (patients,) array
        Days to the first event of any cause or to the last contact.
    cause
        Its cause for each patient, ``None`` for a patient without an event.

    Returns
    -------
    Incidence
        Standard errors by the delta method, as in Marubini and Valsecchi (1995), section 10.3.

    Examples
    --------
    >>> found = aalen_johansen([10, 20, 30, 40], ["death", "transplant", None, None])
    >>> found.by_cause["transplant"].tolist()
    [0.0, 0.25]
    """
    times = _checked(days)
    if len(cause) != len(times):
        raise InputError(Problem("cause", len(cause), f"must have one entry per patient, {len(times)}"))
    names = list(dict.fromkeys(name for name in cause if name is not None))
    of_cause = {name: np.array([own == name for own in cause]) for name in names}
    at = np.unique(times[np.array([name is not None for name in cause], bool)])
    risk = (times >= at[:, None]).sum(axis=1).astype(float)
    counts = {name: (own & (times == at[:, None])).sum(axis=1).astype(float) for name, own in of_cause.items()}
    every = sum(counts.values(), np.zeros(len(at)))
    alive = np.cumprod(1 - every / risk) if len(at) else np.zeros(0)
    before = np.concatenate([[1.0], alive[:-1]]) if len(at) else alive
    by_cause = {name: np.cumsum(before * own / risk) for name, own in counts.items()}
    error = {name: _error(by_cause[name], before, risk, every, own) for name, own in counts.items()}
    return Incidence(at, by_cause, error)


def _error(incidence: np.ndarray, before: np.ndarray, risk: np.ndarray, every: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return the standard error of a cumulative incidence at each day."""
    found = np.zeros(len(incidence))
    for k in range(len(incidence)):
        part = slice(0, k + 1)
        rest = incidence[k] - incidence[part]
        # The last patients at risk leave no variance of what follows.
        left = risk[part] - every[part]
        hazard = np.where(left > 0, every[part] / (risk[part] * np.where(left > 0, left, 1)), 0.0)
        variance = (rest**2 * hazard).sum()
        variance += (before[part] ** 2 * (risk[part] - own[part]) / risk[part] * own[part] / risk[part] ** 2).sum()
        variance -= 2 * (rest * before[part] * own[part] / risk[part] ** 2).sum()
        found[k] = np.sqrt(max(variance, 0.0))
    return found


def _checked(days: Any) -> np.ndarray:
    times = np.asarray(days, float)
    if times.ndim != 1 or not (np.isfinite(times) & (times >= 0)).all():
        raise InputError(Problem("days", days, "must be one finite number of days from 0 per patient"))
    return times
