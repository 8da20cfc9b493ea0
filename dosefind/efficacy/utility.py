r"""Expected utility of each dose from the posteriors of toxicity and response, and how firmly it supports a choice.

With P(DLT) p and P(response) e at a dose, a patient's DLT and response being independent given both,

    U = (1 - p) (e u1 + (1 - e) u2) + p (e u3 + (1 - e) u4)

with the utilities u1 of a response, u2 of neither, u3 of a response with a DLT, and u4 of a DLT. Nothing here declares an RP2D, and
no utility, limit or admissible dose has a default: they are stated by the sponsor and the committee.

P(best) and the expected maximum are sums over the nodes of the toxicity posterior. Given a node, utilities under independent beta
posteriors are independent and linear in e, so that P(dose d is best) is the integral of f_d times the product of all F_j, by a
Gauss-Legendre rule; a coarser rule of each kind states its error. Under a response curve they are sums over pairs of nodes of both
posteriors, a lattice in five dimensions, of which classes that are lattices too state the error. Nothing is drawn, unless the
toxicity posterior itself consists of draws.

Reference: Lin, Zhou, Yan, Li and Yuan (2020), JCO Precision Oncology 4:1393-1402, doi:10.1200/PO.20.00257 (utilities).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import betainc, betaln

from .._check import InputError, Problem, number, whole
from ..designs.rules import TIE
from ..posterior.base import Figure, Posterior
from ..posterior.exact import ExactPosterior
from ..protocol import OutcomeUtilities
from ..threads import one_thread
from .binary import BetaResponse, CurveResponse, ResponsePosterior, legendre

__all__ = [
    "OUTCOMES",
    "Choice",
    "ExpectedUtility",
    "Limits",
    "SmallestChange",
    "StatedUtility",
    "TornadoBar",
    "chosen",
    "expected_utility",
    "prior_shares",
    "rates_of",
    "smallest_changes",
    "tornado",
]

OUTCOMES = ("response", "neither", "response_and_dlt", "dlt")
"""Outcomes of a patient, in the order of u1 to u4."""

# Points of the coarser Gauss-Legendre rule, and of tables of distribution functions.
_POINTS, _TABLE = 32, 2**12
# Classes of pairs of nodes, their generator on the lattice of a response curve, classes summed, and share of nodes left out.
_CLASSES, _GENERATOR, _SUMMED, _LEFT_OUT = 32, np.array([1, 7, 11]), 2, 1e-4
# Toxicity nodes of less than this share are left out; values held at a time; draws of a toxicity posterior that consists of draws.
_SHARE, _BLOCK, _DRAWS = 1e-6, 2**21, 4000
# Slope of a utility in the response rate below which it does not depend on it.
_LEAST_SLOPE = 1e-9


@dataclass(frozen=True)
class Limits:
    """Limits within which a choice counts as decided; all are stated, none has a default.

    Attributes
    ----------
    p_best
        Smallest probability that the chosen dose has the largest utility.
    loss
        Largest expected loss of choosing now, in utility.
    """

    p_best: float
    loss: float

    def __post_init__(self) -> None:
        for name, high in (("p_best", 1.0), ("loss", 100.0)):
            value = number(name, getattr(self, name), f"a number from 0 to {high:g}")
            if not 0 <= value <= high:
                raise InputError(Problem(name, value, f"must be a number from 0 to {high:g}"))


@dataclass(frozen=True)
class Choice:
    """The dose with the largest expected utility among the admissible doses, and whether the stated limits pass.

    Attributes
    ----------
    level
        Level from 1; ``None`` if no dose is admissible. It is support for the committee's decision.
    undecided
        True unless every stated limit passes by more than the error of its value; without limits always.
    because
        Codes of what leaves it undecided: ``"no_admissible_dose"``, ``"one_dose"`` (nothing is compared), ``"no_limits_stated"``,
        ``"tie"``, ``"p_best"``, ``"loss"``.
    """

    level: int | None
    undecided: bool
    because: tuple[Literal["no_admissible_dose", "one_dose", "no_limits_stated", "tie", "p_best", "loss"], ...]


@dataclass(frozen=True)
class SmallestChange:
    """The smallest change of one utility that alters the choice, the others unchanged.

    Attributes
    ----------
    outcome
        Outcome of which the utility changes, one of `OUTCOMES`.
    change
        Signed change; ``None`` if no utility that keeps the order of the outcomes, from 0 to 100, alters the choice.
    level
        The dose then chosen, from 1.
    """

    outcome: str
    change: float | None
    level: int | None


@dataclass(frozen=True)
class TornadoBar:
    """The effect of one utility set to a lower and a higher value, the others unchanged.

    Attributes
    ----------
    outcome
        Outcome of which the utility changes, one of `OUTCOMES`.
    values
        The lower and the higher utility, which keep the order of the outcomes.
    means : two (doses,) arrays
        Expected utility of each dose with either.
    levels
        The dose chosen with either, from 1.
    """

    outcome: str
    values: tuple[float, float]
    means: tuple[np.ndarray, np.ndarray]
    levels: tuple[int | None, int | None]


@dataclass(frozen=True)
class ExpectedUtility:
    """Expected utilities and what they say of the best dose.

    Attributes
    ----------
    utilities
        The utilities.
    cells : (doses, 4) array
        Posterior probability of each outcome at each dose, in the order of `OUTCOMES`.
    mean
        Expected utility of each dose, ``(doses,)``.
    among
        Admissible doses, as indices; the comparisons are between these.
    p_best
        Probability that each dose has the largest utility of the admissible doses, ``(doses,)``; 0 for the others. Of equal doses
        the lowest is the best.
    loss
        Expected difference between the largest utility and each dose's, ``(doses,)``; NaN for doses that are not admissible.
    """

    utilities: OutcomeUtilities
    cells: np.ndarray
    mean: Figure
    among: np.ndarray
    p_best: Figure
    loss: Figure

    def choice(self, limits: Limits | None = None) -> Choice:
        """Return the dose with the largest expected utility, the lower on ties, and whether the stated limits pass."""
        level = chosen(self.mean.value, self.among)
        if level is None:
            return Choice(None, True, ("no_admissible_dose",))
        at, because = level - 1, []
        others = self.among[self.among != at]
        if not len(others):
            because.append("one_dose")
        apart = np.abs(self.mean.value[others] - self.mean.value[at])
        if (apart <= TIE + 3 * (self.mean.error[others] + self.mean.error[at])).any():
            because.append("tie")
        if limits is None:
            return Choice(level, True, (*because, "no_limits_stated"))
        if self.p_best.value[at] - 3 * self.p_best.error[at] < limits.p_best:
            because.append("p_best")
        if self.loss.value[at] + 3 * self.loss.error[at] > limits.loss:
            because.append("loss")
        return Choice(level, bool(because), tuple(because))

    def smallest_changes(self) -> list[SmallestChange]:
        """Return for each outcome the smallest change of its utility that alters the choice."""
        return smallest_changes(self.mean.value, self.among, self._stated())

    def tornado(self, by: float) -> list[TornadoBar]:
        """Return the effect of each utility raised and lowered, most influential on the difference from the chosen dose first.

        Parameters
        ----------
        by
            Change of each utility, from 0 to 100; less where the order of the outcomes does not allow it.
        """
        return tornado(self.mean.value, self.among, self._stated(), by)

    def _stated(self) -> list[StatedUtility]:
        stated = zip(OUTCOMES, self.cells.T, strict=True)
        return [StatedUtility(name, getattr(self.utilities, name), _range(self.utilities, name), cell) for name, cell in stated]


class StatedUtility(NamedTuple):
    """A number stated by the sponsor in which the expected utility of each dose is linear.

    Attributes
    ----------
    outcome
        Its name.
    value
        The number.
    bounds
        Lowest and highest number that keep the order of the outcomes.
    slope : (doses,) array
        Derivative of the expected utility of each dose.
    """

    outcome: str
    value: float
    bounds: tuple[float, float]
    slope: np.ndarray


def smallest_changes(mean: np.ndarray, among: np.ndarray, stated: Sequence[StatedUtility]) -> list[SmallestChange]:
    """Return for each stated number the smallest change that alters the choice, the others unchanged.

    Expected utilities are linear in each, so the change is ``(E U_a - E U_b) / (c_b - c_a)``, with c the slope at the chosen dose a
    and at another dose b.
    """
    level = chosen(mean, among)
    if level is None:
        return [SmallestChange(utility.outcome, None, None) for utility in stated]
    found, at = [], level - 1
    for utility in stated:
        best: tuple[float, int] | None = None
        low, high = utility.bounds
        for other in among:
            slope = utility.slope[other] - utility.slope[at]
            if other == at or abs(slope) < _LEAST_SLOPE:
                continue
            change = (mean[at] - mean[other]) / slope
            if low - TIE <= utility.value + change <= high + TIE and (best is None or abs(change) < abs(best[0])):
                best = float(change), int(other) + 1
        found.append(SmallestChange(utility.outcome, *(best or (None, None))))
    return found


def tornado(mean: np.ndarray, among: np.ndarray, stated: Sequence[StatedUtility], by: float) -> list[TornadoBar]:
    """Return the effect of each stated number raised and lowered, most influential on the difference from the chosen dose first."""
    if not 0 < number("by", by, "a number above 0, up to 100") <= 100:
        raise InputError(Problem("by", by, "must be a number above 0, up to 100"))
    bars = []
    for utility in stated:
        values = max(utility.bounds[0], utility.value - by), min(utility.bounds[1], utility.value + by)
        lower, higher = (mean + utility.slope * (at - utility.value) for at in values)
        bars.append(TornadoBar(utility.outcome, values, (lower, higher), (chosen(lower, among), chosen(higher, among))))
    level = chosen(mean, among) or 1

    def influence(bar: TornadoBar) -> float:
        moved = bar.means[1] - bar.means[0]
        return float(np.abs(moved - moved[level - 1])[among].max(initial=0.0))

    return sorted(bars, key=lambda bar: -influence(bar))


@one_thread
def expected_utility(
    toxicity: Posterior, response: ResponsePosterior, utilities: OutcomeUtilities, among: Sequence[int] | None = None
) -> ExpectedUtility:
    """Return the expected utility of each dose, P(best) and the expected loss of each choice.

    The posteriors of DLT and response rates are independent: they share no parameter, and the data of a patient's DLT and response
    enter each alone.

    Parameters
    ----------
    toxicity
        Posterior of the DLT rates.
    response
        Posterior of the response rates.
    utilities
        The utilities.
    among
        Admissible levels, from 1; by default all doses at which DLTs and responses are both known of some patient.

    Examples
    --------
    >>> from dosefind import Logistic2, BivariateNormal
    >>> from dosefind.posterior.exact import ExactFit, ExactPosterior
    >>> curve = Logistic2(doses=(1, 3, 5), reference=3, prior=BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0)))
    >>> toxicity = ExactPosterior(ExactFit(curve), np.array([6, 6, 6]), np.array([0, 0, 2]))
    >>> from .binary import IndependentPrior
    >>> response = IndependentPrior(doses=(1, 3, 5)).after([6, 6, 6], [1, 3, 3])
    >>> found = expected_utility(toxicity, response, OutcomeUtilities(response=100, response_and_dlt=60, neither=40, dlt=0))
    >>> found.mean.value.round(1)
    array([51.8, 66.3, 60.8])
    >>> found.p_best.value.round(3)
    array([0.083, 0.577, 0.34 ])
    >>> found.choice().because
    ('no_limits_stated',)
    """
    doses = toxicity.curve.n_doses
    if len(response.n) != doses:
        raise InputError(Problem("response", len(response.n), f"must have the {doses} doses of the toxicity posterior"))
    if among is None:
        inside = np.flatnonzero((toxicity.n > 0) & (response.n > 0))
    else:
        inside = np.array(sorted({whole("among", level, 1, doses) - 1 for level in among}), int)
    p, e = toxicity.moments()[0], response.mean()
    cells = np.column_stack([(1 - p.value) * e.value, (1 - p.value) * (1 - e.value), p.value * e.value, p.value * (1 - e.value)])
    u = np.array([getattr(utilities, outcome) for outcome in OUTCOMES])
    # dU/dp and dU/de at the means: U is linear in each.
    by_p = np.abs(e.value * (u[2] - u[0]) + (1 - e.value) * (u[3] - u[1]))
    by_e = np.abs((1 - p.value) * (u[0] - u[1]) + p.value * (u[2] - u[3]))
    mean = Figure(cells @ u, by_p * p.error + by_e * e.error)
    best, loss = np.zeros(doses), np.full(doses, np.nan)
    best_error, loss_error = np.zeros(doses), np.full(doses, np.nan)
    if len(inside):
        found, error = _compared(toxicity, response, u, inside)
        best[inside], loss[inside] = np.split(found, 2)
        best_error[inside], loss_error[inside] = np.split(error, 2)
    return ExpectedUtility(utilities, cells, mean, inside, Figure(best, best_error), Figure(loss, loss_error))


def prior_shares(
    toxicity: Mapping[str, Posterior],
    response: ResponsePosterior,
    utilities: OutcomeUtilities,
    among: Sequence[int] | None = None,
    times: Sequence[float] = (0.5, 2.0),
) -> dict[tuple[str, float], ExpectedUtility]:
    """Return expected utilities under other priors, by name of the toxicity posterior and factor of the response prior.

    Parameters
    ----------
    toxicity
        Posteriors of the DLT rates by name, such as those under the stated prior and under one of half its information.
    response
        Posterior of the response rates.
    utilities, among
        As for `expected_utility`.
    times
        Factors of the information of the response prior: 2 doubles it, 0.5 halves it.
    """
    priors = {1.0: response} | {float(factor): response.with_prior_times(factor) for factor in times}
    return {
        (name, factor): expected_utility(each, priors[factor], utilities, among)
        for name, each in toxicity.items()
        for factor in sorted(priors)
    }


def chosen(mean: np.ndarray, among: np.ndarray) -> int | None:
    """Return the level of the largest expected utility, the lowest on ties."""
    if not len(among):
        return None
    return int(among[np.argmax(mean[among] >= mean[among].max() - TIE)]) + 1


def _range(utilities: OutcomeUtilities, outcome: str) -> tuple[float, float]:
    """Return the lowest and highest utility of an outcome that keep the order of the outcomes."""
    middle = utilities.response_and_dlt, utilities.neither
    ranges = {
        "response": (max(middle), 100.0),
        "dlt": (0.0, min(middle)),
    }
    return ranges.get(outcome, (utilities.dlt, utilities.response))


def _compared(toxicity: Posterior, response: ResponsePosterior, u: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return P(best) of the doses ``among`` and the expected loss of each, with their errors, ``(2 * doses,)`` each."""
    if isinstance(response, BetaResponse):
        tables = _tables(response, among)

        def at(p: np.ndarray, points: int) -> np.ndarray:
            return _best_of_betas(*_straight(p[:, among], u), response.a[among], response.b[among], tables, points)

        def over(p: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            each = at(p, 2 * _POINTS)
            value = weight @ each
            return value, np.abs(value - weight @ at(p, _POINTS)), each
    elif isinstance(response, CurveResponse):

        def over(p: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            return _best_of_nodes(*_straight(p[:, among], u), weight, response, among)
    else:
        raise InputError(Problem("response", type(response).__name__, "must be a BetaResponse or a CurveResponse"))
    if not isinstance(toxicity, ExactPosterior):
        p, weight = rates_of(toxicity)
        value, error, each = over(p, weight)
        size = min(len(p), toxicity.diagnostics()["ess_bulk"])
        return value, error + each.std(axis=0) / size**0.5
    if isinstance(response, CurveResponse):
        p, weight = toxicity.nodes(1)
        return over(np.minimum(p, 1), weight)[:2]
    value, error, _each = over(*_kept(*toxicity.nodes()))
    return value, error + np.abs(value - over(*_kept(*toxicity.nodes(-1)))[0])


def rates_of(toxicity: Posterior) -> tuple[np.ndarray, np.ndarray]:
    """Return DLT rates at the nodes or draws of a posterior, ``(nodes, doses)``, with their weights."""
    if isinstance(toxicity, ExactPosterior):
        return _kept(*toxicity.nodes())
    theta = tuple(np.moveaxis(toxicity.draws(_DRAWS), -1, 0)[..., None])
    p = np.exp(toxicity.curve.log_terms(theta, toxicity.curve.coordinates)[0]).reshape(-1, toxicity.curve.n_doses)
    return np.minimum(p, 1), np.full(len(p), 1 / len(p))


def _kept(p: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used = weight > _SHARE
    return np.minimum(p[used], 1.0), weight[used] / weight[used].sum()


def _straight(p: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return intercept and slope of the utility in the response rate, each ``(nodes, doses)``."""
    at_zero = (1 - p) * u[1] + p * u[3]
    return at_zero, np.maximum((1 - p) * u[0] + p * u[2] - at_zero, _LEAST_SLOPE)


def _tables(response: BetaResponse, among: np.ndarray) -> np.ndarray:
    """Return the distribution function of each response rate at sin^2(angle / 2), angles equally spaced, ``(doses, points)``."""
    rates = np.sin(np.linspace(0, np.pi, _TABLE + 1) / 2) ** 2
    return betainc(response.a[among, None], response.b[among, None], rates)


def _best_of_betas(
    start: np.ndarray, slope: np.ndarray, a: np.ndarray, b: np.ndarray, tables: np.ndarray, points: int
) -> np.ndarray:
    """Return P(best) of each dose and its expected loss given each toxicity node, ``(nodes, 2 * doses)``."""
    x, weight = legendre(points)
    # The angle is a smooth step of x, so that a beta density has no edge at rates of 0 and 1.
    x = (x + 1) / 2
    angle, jacobian = np.pi * x**2 * (3 - 2 * x), np.pi * 6 * x * (1 - x) * weight / 2
    half = angle / 2
    with np.errstate(divide="ignore"):
        log_density = (2 * a[:, None] - 1) * np.log(np.sin(half)) + (2 * b[:, None] - 1) * np.log(np.cos(half))
    mass = np.exp(log_density - betaln(a, b)[:, None]) * jacobian
    doses, found = len(a), []
    for rows in np.array_split(np.arange(len(start)), max(1, len(start) * points // _BLOCK)):
        columns, maximum = [], np.zeros((len(rows), 1))
        mean = start[rows] + slope[rows] * (a / (a + b))
        for d in range(doses):
            utility = start[rows, d, None] + slope[rows, d, None] * np.sin(half) ** 2
            others = np.ones(utility.shape)
            for j in (j for j in range(doses) if j != d):
                rate = np.clip((utility - start[rows, j, None]) / slope[rows, j, None], 0.0, 1.0)
                place = np.arcsin(np.sqrt(rate)) * (2 * _TABLE / np.pi)
                low = np.minimum(place.astype(int), _TABLE - 1)
                others *= tables[j][low] + (place - low) * (tables[j][low + 1] - tables[j][low])
            columns.append(others @ mass[d])
            maximum[:, 0] += (others * utility) @ mass[d]
        found.append(np.hstack([np.column_stack(columns), maximum - mean]))
    return np.concatenate(found)


def _best_of_nodes(
    start: np.ndarray, slope: np.ndarray, weight: np.ndarray, response: CurveResponse, among: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return P(best) of each dose and its expected loss under a response curve, their errors, and both at each toxicity node.

    The nodes of both posteriors are a lattice, of which a class holds one part in 32 of the pairs: a coarser lattice in five
    dimensions, on which the indicator of the best dose is summed. The spread of some of the classes is the error.
    """
    rates, share, place = response.nodes()
    rows, columns = _heavy(weight), _heavy(share)
    a, b, w = start[rows].astype(np.float32), slope[rows].astype(np.float32), weight[rows] / weight[rows].sum()
    e, s = rates[columns][:, among].astype(np.float32), share[columns].astype(np.float32)
    of_row, of_column = 3 * rows % _CLASSES, place[columns] @ _GENERATOR % _CLASSES
    doses = len(among)
    each, mass = np.zeros((_SUMMED, len(rows), 2 * doses)), np.zeros((_SUMMED, len(rows)))
    for k in range(_SUMMED):
        for kind in range(_CLASSES):
            i, j = np.flatnonzero(of_row == kind), of_column == (k - kind) % _CLASSES
            utility = [a[i, d, None] + b[i, d, None] * e[j, d] for d in range(doses)]
            largest = np.maximum.reduce(utility)
            free = np.ones(largest.shape, bool)
            for d, value in enumerate(utility):
                # Of equal doses the lowest is the best.
                best = (value >= largest) & free
                free &= ~best
                each[k, i, d] = best.astype(np.float32) @ s[j]
                each[k, i, doses + d] = (largest - value) @ s[j]
            mass[k, i] = s[j].sum()
    total = np.einsum("r,krv->kv", w, each) / (mass @ w)[:, None]
    # The pairs left out are compared as well as those that are kept, up to their share.
    value, spread = total.mean(axis=0), np.ptp(total, axis=0)
    by_node = np.full((len(start), 2 * doses), value)
    by_node[rows] = each.mean(axis=0) / mass.mean(axis=0)[:, None]
    return value, spread + 2 * _LEFT_OUT * np.append(np.ones(doses), value[doses:]), by_node


def _heavy(weight: np.ndarray) -> np.ndarray:
    """Return the places of all nodes except the lightest, whose weights are this share."""
    order = np.argsort(weight)
    return np.sort(order[np.cumsum(weight[order]) > _LEFT_OUT * weight.sum()])
