"""Probabilities of the outcomes that become known by a later day, given all data now, for patients whose outcomes are pending.

Let w0 and w1 be the shares of the days to DLT that have passed now and will have passed by the later day. A patient with DLT rate p
without a DLT so far has a DLT by then with probability ``p (w1 - w0) / (1 - w0 p)``; the likelihood of the patient's follow-up is
``1 - w0 p`` (Cheung and Chappell 2000, doi:10.1111/j.0006-341X.2000.01177.x). Outcomes are independent only given the curve, so the
product over the patients is integrated over the posterior: the probability that a set of patients has a DLT by then and the others
do not is

    E[prod p (w1 - w0) * prod (1 - w1 p)] / E[prod (1 - w0 p)]

where E is the expectation over the posterior given the known outcomes alone, by quadrature.

Under a hazard per infusion with the courses as far as they have been followed up, the follow-up until now is in the posterior, and
a patient has a DLT by the later day with probability ``1 - exp(-(H1 - H0))``, with the cumulative hazards up to the two days.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np

from .._check import InputError
from ..models import Curve, Hazard
from ..trial import Administered, Weighted
from .administered import at_amounts, in_likelihood
from .courses import Courses
from .exact import REPORTED
from .mixture import MixedQuadrature
from .quadrature import Nodes

__all__ = ["MOST_WAYS", "Followed", "Predicted", "Shares", "at_rates", "predicted"]

MOST_WAYS = 256
"""Maximum number of ways in which outcomes can come out, counted by groups of patients with the same dose and follow-up."""


class Shares(Protocol):
    """Distribution of the days to DLT: the shares of the DLTs that occur by a day, such as `dosefind.timing.Onset`."""

    def share(self, day: float, rate: np.ndarray, window: float) -> np.ndarray:
        """Return the share of the DLTs that have occurred by the end of a day, at DLT rates of the whole period."""
        ...


class Followed(NamedTuple):
    """Patients without a DLT at one dose and with the same follow-up.

    Attributes
    ----------
    level
        Dose level from 1.
    patients
        Number of patients.
    now, later
        Days followed now, and by the later day, at most the window.
    window
        Days in the DLT assessment period.
    """

    level: int
    patients: int
    now: float
    later: float
    window: float


class Predicted(NamedTuple):
    """The distribution of the DLTs by a later day.

    Attributes
    ----------
    ways
        DLTs in each group.
    probability : (ways,) array
        Probability of each way; the sum is 1.
    error
        Largest numerical error of a probability.
    """

    ways: list[tuple[int, ...]]
    probability: np.ndarray
    error: float


def predicted(
    curve: Curve,
    n: np.ndarray,
    y: np.ndarray,
    groups: Sequence[Followed],
    onset: Shares,
    administered: Sequence[Administered] = (),
    weighted: Sequence[Weighted] = (),
    courses: Courses | None = None,
) -> Predicted:
    """Return the distribution of DLTs by a later day under the posterior of a curve.

    Parameters
    ----------
    curve
        The curve with its prior.
    n, y : (doses,) arrays
        Patients with a known outcome and their DLTs.
    groups
        The pending patients.
    onset
        Distribution of the days to DLT.
    administered
        Patients among ``n`` whose administered dose differs from that of their level, for a curve on a dose scale.
    weighted
        Patients who left without a DLT and have a weight, who are not among ``n``.
    courses
        Courses of all patients as far as they have been followed up, those of the groups included, for a hazard per infusion. The
        days to DLT are then those of this hazard.

    Raises
    ------
    InputError
        If there are more ways than `MOST_WAYS`.
    """
    ways = _ways(groups)
    at = courses or at_amounts(curve, administered, in_likelihood(weighted, curve.n_doses))
    doses = curve.coordinates

    def columns(nodes: Nodes) -> np.ndarray:
        if courses is not None:
            return _ahead(nodes, doses, groups)
        # Outcomes are those of the DLT window, also where a curve shows another period.
        return _joint(np.exp(nodes.curve.counted.at(nodes.z, doses)[0]), groups, onset)

    extended = curve if at is None else at.extended
    n, y = (np.asarray(n), np.asarray(y)) if at is None else at.counts(np.asarray(n), np.asarray(y))
    values, error, _ = MixedQuadrature(extended, columns).expect(n[None], y[None], REPORTED)
    total = values[0].sum()
    return Predicted(ways, values[0] / total, float(error.max(initial=0.0) / total))


def at_rates(rates: np.ndarray, groups: Sequence[Followed], onset: Shares) -> Predicted:
    """Return the distribution of DLTs by a later day at stated DLT rates, (doses,), independent of the other outcomes."""
    ways = _ways(groups)
    values = _joint(np.asarray(rates, float)[None], groups, onset)[0]
    return Predicted(ways, values / values.sum(), 0.0)


def _ways(groups: Sequence[Followed]) -> list[tuple[int, ...]]:
    number = math.prod(group.patients + 1 for group in groups)
    if number > MOST_WAYS:
        patients = sum(group.patients for group in groups)
        raise InputError(
            f"the outcomes of {patients} pending patients can come out in {number:,} ways, more than {MOST_WAYS}, counted by dose "
            "and days of follow-up"
        )
    return list(product(*(range(group.patients + 1) for group in groups)))


def _joint(p: np.ndarray, groups: Sequence[Followed], onset: Shares) -> np.ndarray:
    """Return the probability of no DLT until now and of each way afterwards, (nodes, ways), at DLT rates (nodes, doses)."""
    each = []
    for group in groups:
        rate = p[:, group.level - 1]
        before, by_then = (rate * onset.share(day, rate, group.window) for day in (group.now, group.later))
        # Rounding must not make a probability negative.
        each.append((np.maximum(by_then - before, 0.0), np.maximum(1 - by_then, 0.0)))
    return _by_way(each, groups)


def _ahead(nodes: Nodes, doses: np.ndarray, groups: Sequence[Followed]) -> np.ndarray:
    """Return the probability of each way given no DLT until now, (nodes, ways), under a hazard per infusion."""
    curve = nodes.curve
    assert isinstance(curve, Hazard)
    days = {round(day) for group in groups for day in (group.now, group.later)}
    free_until = {0: np.zeros((len(nodes.z), len(doses)))}
    for day in days - {0}:
        until = curve.model_copy(update={"over": min(day, curve.total_days)})
        free_until[day] = until.at(nodes.z, doses)[1]
    each = []
    for group in groups:
        log_free = free_until[round(group.later)] - free_until[round(group.now)]
        free = np.minimum(log_free[:, group.level - 1], 0.0)
        each.append((-np.expm1(free), np.exp(free)))
    return _by_way(each, groups)


def _by_way(each: Sequence[tuple[np.ndarray, np.ndarray]], groups: Sequence[Followed]) -> np.ndarray:
    """Return the probability of each way, (nodes, ways), from those of a DLT and of none for a patient of each group."""
    found = np.ones((len(each[0][0]) if each else 1, 1))
    for (toxic, free), group in zip(each, groups, strict=True):
        ways = [math.comb(group.patients, k) * toxic**k * free ** (group.patients - k) for k in range(group.patients + 1)]
        # The last group varies fastest, as in the product of ranges.
        found = (found[:, :, None] * np.stack(ways, axis=1)[:, None, :]).reshape(len(found), -1)
    return found
