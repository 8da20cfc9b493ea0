r"""What would settle the choice of a dose: exact properties of a randomised comparison of doses after escalation.

n patients per dose are randomised; responses at the doses are binomial. Of two doses the higher is selected if its observed
response rate exceeds that of the lower one by more than a margin, otherwise the lower (ROSE). With three doses the selected dose
moves up to the third if its observed rate exceeds the selected one's by more than the margin. All probabilities are sums over all
outcomes, for stated response rates or averaged over the posterior of the response rates, which is the assurance of the comparison.
A comparison by expected utility (`utility_stage`) sums over the DLTs of both doses too.

References: Wang, Yuan and Liu (2025), doi:10.48550/arXiv.2505.03898 (ROSE); O'Hagan, Stevens and Campbell (2005), Pharmaceutical
Statistics 4:187-201, doi:10.1002/pst.175 (assurance).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaln, gammaln
from scipy.stats import binom

from .._check import InputError, Problem, number, whole
from ..posterior.base import Posterior
from ..protocol import OutcomeUtilities
from ..threads import one_thread
from .binary import BetaResponse, legendre
from .utility import OUTCOMES, rates_of

__all__ = [
    "RandomisedStage",
    "TwoDoses",
    "UtilityStage",
    "patients_needed",
    "randomised_stage",
    "two_dose_stage",
    "utility_stage",
]

# Largest number of patients per dose, number of points of a response rate, and products of outcomes held at a time.
_MOST, _POINTS = 400, 64
_MOST_OUTCOMES = 2**24
# Bins into which toxicity nodes are merged for a comparison by utility, and fewer to state the error; points of the table of a
# distribution function.
_BINS, _TABLE = ((12, 8), (8, 4)), 512
# Observed differences this close to the margin are equal to it.
_TIE = 1e-9


@dataclass(frozen=True)
class TwoDoses:
    """A comparison of a lower and a higher dose by their observed response rates.

    Attributes
    ----------
    n
        Patients per dose.
    boundary
        The higher dose is selected if its observed rate exceeds the lower dose's by more than this.
    pcs_low
        Probability of selecting the lower dose if both rates are equal.
    pcs_high
        Probability of selecting the higher dose if its rate is higher by the margin.
    """

    n: int
    boundary: float
    pcs_low: float
    pcs_high: float


@dataclass(frozen=True)
class RandomisedStage:
    """Exact properties of a randomised comparison of doses.

    Attributes
    ----------
    levels : (doses,) tuple
        Levels compared, from 1.
    n
        Patients per dose.
    margin
        Difference in observed response rates above which a higher dose is selected.
    p_correct
        Probability that the selected dose is correct: the dose that the same rule selects by the true rates.
    p_selected : (doses,) array
        Probability that each dose is selected.
    p_worse
        Probability that the true response rate of the selected dose is lower than the highest by more than ``loss``.
    loss
        That difference.
    rate_selected
        Expected true response rate of the selected dose.
    rate_best
        Expected largest true response rate.
    error
        Numerical error of these probabilities: 0 for stated rates.
    """

    levels: tuple[int, ...]
    n: int
    margin: float
    p_correct: float
    p_selected: np.ndarray
    p_worse: float
    loss: float
    rate_selected: float
    rate_best: float
    error: float


@one_thread
def two_dose_stage(rate: float, margin: float, pcs_low: float, pcs_high: float, step: float = 0.002) -> TwoDoses:
    """Return the smallest randomised comparison of two doses with two wanted probabilities of correct selection.

    The lower dose is correct if both response rates are ``rate``; the higher is correct if the lower dose's is less by ``margin``:

        PCS_low = P(D <= boundary | rate, rate),  PCS_high = P(D > boundary | rate - margin, rate)

    with D the difference in observed rates, higher minus lower dose. Both are sums over all outcomes.

    Parameters
    ----------
    rate
        Response rate of the higher dose.
    margin
        Difference that makes the higher dose the correct one.
    pcs_low, pcs_high
        Wanted probabilities.
    step
        Step of the boundaries tried, from 0 to ``margin``.

    Examples
    --------
    >>> found = two_dose_stage(0.3, 0.1, 0.6, 0.6)
    >>> found.n, round(found.pcs_low, 3), round(found.pcs_high, 3)
    (23, 0.686, 0.609)

    References
    ----------
    Wang, Yuan and Liu (2025), doi:10.48550/arXiv.2505.03898.
    """
    for name, value in (("rate", rate), ("margin", margin), ("pcs_low", pcs_low), ("pcs_high", pcs_high), ("step", step)):
        if not 0 < number(name, value, "a number between 0 and 1 (exclusive)") < 1:
            raise InputError(Problem(name, value, "must be a number between 0 and 1 (exclusive)"))
    if not margin < rate:
        raise InputError(Problem("margin", margin, f"must be below rate = {rate:g}"))
    boundaries = np.arange(0, round(margin / step) + 1) * step
    for n in range(1, _MOST + 1):
        counts = np.arange(n + 1)
        high, low = binom.pmf(counts, n, rate), binom.pmf(counts, n, rate - margin)
        # P(difference in responses = -n .. n), higher minus lower.
        equal, apart = np.convolve(high, high[::-1]), np.convolve(high, low[::-1])
        above = (np.arange(-n, n + 1) / n)[None] > boundaries[:, None] + _TIE
        lower, higher = 1 - above @ equal, above @ apart
        passes = np.flatnonzero((lower >= pcs_low) & (higher >= pcs_high))
        if len(passes):
            # Of the boundaries that pass, the one with the largest smaller excess.
            at = passes[np.argmax(np.minimum(lower[passes] - pcs_low, higher[passes] - pcs_high))]
            return TwoDoses(n, float(boundaries[at]), float(lower[at]), float(higher[at]))
    raise InputError(Problem("pcs_low, pcs_high", (pcs_low, pcs_high), f"need more than {_MOST} patients per dose"))


@one_thread
def randomised_stage(
    response: BetaResponse | Sequence[float], levels: Sequence[int], n: int, *, margin: float = 0.0, loss: float = 0.0
) -> RandomisedStage:
    """Return the exact probability that a randomised comparison selects the correct dose.

    Parameters
    ----------
    response
        True response rate of each dose; or the posterior of the response rates under independent priors, over which the
        probabilities are averaged. The data of that posterior are the prior only: the rule looks at the randomised patients.
    levels
        Two or three levels to compare, from 1.
    n
        Patients per dose.
    margin
        A higher dose is selected if its observed rate exceeds the selected one's by more than this, and is correct if its true
        rate does.
    loss
        Difference in true rates for ``p_worse``.

    Examples
    --------
    >>> found = randomised_stage([0.3, 0.5], (1, 2), 20, margin=0.1)
    >>> round(found.p_correct, 3)
    0.692
    >>> from .binary import IndependentPrior
    >>> after = IndependentPrior(doses=(1, 3, 5)).after([6, 6, 6], [1, 3, 3])
    >>> round(randomised_stage(after, (1, 2), 20).p_correct, 3)
    0.9
    """
    doses = len(response.n) if isinstance(response, BetaResponse) else len(response)
    chosen = tuple(sorted({whole("levels", level, 1, doses) for level in levels}))
    if len(chosen) not in (2, 3):
        raise InputError(Problem("levels", levels, "must be two or three different levels"))
    whole("n", n, 1, _MOST)
    if (n + 1) ** len(chosen) > _MOST_OUTCOMES:
        raise InputError(Problem("n", n, f"must be at most {int(_MOST_OUTCOMES ** (1 / len(chosen))) - 1} for {len(chosen)} doses"))
    for name, value in (("margin", margin), ("loss", loss)):
        if not 0 <= number(name, value, "a number from 0 up to 1 (exclusive)") < 1:
            raise InputError(Problem(name, value, "must be a number from 0 up to 1 (exclusive)"))
    inside = [level - 1 for level in chosen]
    if isinstance(response, BetaResponse):
        found, coarse = (
            _averaged(response.a[inside], response.b[inside], n, margin, loss, points) for points in (_POINTS, _POINTS // 2)
        )
        error = float(np.abs(found - coarse).max())
    else:
        rates = np.asarray(response, float)
        if rates.ndim != 1 or not ((rates >= 0) & (rates <= 1)).all():
            raise InputError(Problem("response", response, "must be response rates from 0 to 1"))
        found, error = _stated(rates[inside], n, margin, loss), 0.0
    correct, worse, selected, best, *each = found.tolist()
    return RandomisedStage(chosen, n, margin, correct, np.array(each), worse, loss, selected, best, error)


@dataclass(frozen=True)
class UtilityStage:
    """Exact properties of a randomised comparison of two doses by expected utility, from DLTs and responses.

    Attributes
    ----------
    levels
        Levels compared, from 1.
    n
        Patients per dose.
    p_correct
        Probability that the selected dose has the larger true utility.
    gain
        Expected value of its information (EVSI): expected utility of the dose selected, less that of the better of the two chosen
        now.
    p_correct_error, gain_error
        Numerical errors.
    """

    levels: tuple[int, int]
    n: int
    p_correct: float
    gain: float
    p_correct_error: float
    gain_error: float


@one_thread
def utility_stage(
    toxicity: Posterior, response: BetaResponse, utilities: OutcomeUtilities, levels: Sequence[int], n: int
) -> UtilityStage:
    """Return what a randomised comparison of two doses by expected utility is expected to give.

    n patients per dose have their DLTs and responses observed, both posteriors of the trial are updated, and the dose with the
    larger expected utility is selected, the lower on ties. All outcomes are summed over, at the nodes of the toxicity posterior.

    Parameters
    ----------
    toxicity, response
        Posteriors of the DLT rates, and of the response rates under independent priors.
    utilities
        The utilities.
    levels
        Two levels, from 1.
    n
        Patients per dose, up to 40.
    """
    both = tuple(sorted({whole("levels", level, 1, len(response.n)) for level in levels}))
    if len(both) != 2:
        raise InputError(Problem("levels", levels, "must be two different levels"))
    whole("n", n, 1, 40)
    inside = [level - 1 for level in both]
    rates, weight = rates_of(toxicity)
    rates = rates[:, inside]
    u = np.array([getattr(utilities, outcome) for outcome in OUTCOMES])
    a, b = response.a[inside], response.b[inside]
    found, fewer = (np.array(_by_utility(*_merged(rates, weight, bins), a, b, u, n)) for bins in _BINS)
    return UtilityStage((both[0], both[1]), n, *found.tolist(), *np.abs(found - fewer).tolist())


def _merged(rates: np.ndarray, weight: np.ndarray, bins: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes merged to their means, in bins of equal weight by the rate of the first dose and within these of the second."""
    order = np.argsort(rates[:, 0], kind="stable")
    place = np.empty(len(weight), int)
    first = np.minimum((np.cumsum(weight[order]) - weight[order] / 2) * bins[0], bins[0] - 1).astype(int)
    for column in range(bins[0]):
        inside = order[first == column]
        inside = inside[np.argsort(rates[inside, 1], kind="stable")]
        share = weight[inside] / max(weight[inside].sum(), 1e-300)
        place[inside] = column * bins[1] + np.minimum((np.cumsum(share) - share / 2) * bins[1], bins[1] - 1).astype(int)
    mass = np.bincount(place, weight, bins[0] * bins[1])
    used = mass > 0
    mean = np.column_stack([np.bincount(place, weight * rates[:, d], bins[0] * bins[1]) for d in range(2)])
    return mean[used] / mass[used, None], mass[used] / mass.sum()


def _by_utility(rates: np.ndarray, weight: np.ndarray, a: np.ndarray, b: np.ndarray, u: np.ndarray, n: int) -> tuple[float, float]:
    """Return P(correct), and the expected utility of the dose selected less that of the better dose now."""
    counts = np.arange(n + 1)
    # By toxicity: P(DLTs at both doses | node), and the mean DLT rates given them.
    each = [binom.pmf(counts, n, rates[:, d, None]) for d in range(2)]
    given = (each[0][:, :, None] * each[1][:, None, :]).reshape(len(weight), -1) * weight[:, None]
    chance = given.sum(axis=0)
    toxic = (given.T @ rates) / np.maximum(chance, 1e-300)[:, None]
    # By response.
    ways = gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1)
    predictive = [np.exp(ways + betaln(a[d] + counts, b[d] + n - counts) - betaln(a[d], b[d])) for d in range(2)]
    seen = (predictive[0][:, None] * predictive[1]).ravel()
    responds = [(a[d] + counts) / (a[d] + b[d] + n) for d in range(2)]

    def utility(p: np.ndarray, e: np.ndarray) -> np.ndarray:
        return (1 - p) * (e * u[0] + (1 - e) * u[1]) + p * (e * u[2] + (1 - e) * u[3])

    low = np.repeat(utility(toxic[:, 0, None], responds[0][None]), n + 1, axis=1)
    high = np.tile(utility(toxic[:, 1, None], responds[1][None]), (1, n + 1))
    higher = high > low + _TIE
    selected = float(chance @ np.where(higher, high, low) @ seen)
    # P(the higher dose has the larger utility | node, responses), by the rate of the lower dose.
    x, mass = legendre(_POINTS)
    x = (x + 1) / 2
    half = np.pi * x**2 * (3 - 2 * x) / 2
    jacobian, rate = np.pi * 6 * x * (1 - x) * mass / 2, np.sin(half) ** 2
    p, q = a[0] + counts[:, None], b[0] + n - counts[:, None]
    density = np.exp((2 * p - 1) * np.log(np.sin(half)) + (2 * q - 1) * np.log(np.cos(half)) - betaln(p, q)) * jacobian
    own = utility(rates[:, :1], rate[None])
    start, end = utility(rates[:, 1:], np.zeros(1)), utility(rates[:, 1:], np.ones(1))
    bound = np.clip((own - start) / np.maximum(end - start, 1e-9), 0.0, 1.0)
    # Interpolated at equally spaced angles.
    angles = np.sin(np.linspace(0, np.pi, _TABLE + 1) / 2) ** 2
    table = betainc(a[1] + counts, b[1] + n - counts, angles[:, None])
    place = np.arcsin(np.sqrt(bound)) * (2 * _TABLE / np.pi)
    at = np.minimum(place.astype(int), _TABLE - 1)
    share = (place - at)[..., None]
    below = (1 - share) * table[at] + share * table[at + 1]
    exceeds = (1 - density @ below).reshape(len(weight), -1)
    correct = given.T @ exceeds
    right = np.where(higher, correct, chance[:, None] - correct)
    now = max(float(weight @ utility(rates[:, d], np.full(1, a[d] / (a[d] + b[d])))) for d in range(2))
    return float(right.sum(axis=0) @ seen), selected - now


@one_thread
def patients_needed(
    response: BetaResponse | Sequence[float], levels: Sequence[int], wanted: float, *, margin: float = 0.0, most: int = 200
) -> RandomisedStage | None:
    """Return the comparison with the fewest patients per dose whose probability of correct selection reaches ``wanted``.

    The probability is not monotone in n, because observed rates are discrete: every n is computed, from 1 on, and a larger n can
    fall below ``wanted`` again.

    Parameters
    ----------
    response, levels, margin
        As for `randomised_stage`.
    wanted
        Wanted probability.
    most
        Largest number of patients per dose tried.

    Returns
    -------
    RandomisedStage or None
        ``None`` if no number up to ``most`` reaches it.

    Examples
    --------
    >>> from .binary import IndependentPrior
    >>> after = IndependentPrior(doses=(1, 3, 5)).after([6, 6, 6], [1, 3, 3])
    >>> patients_needed(after, (2, 3), 0.8).n
    14
    """
    if not 0 < number("wanted", wanted, "a probability between 0 and 1 (exclusive)") < 1:
        raise InputError(Problem("wanted", wanted, "must be a probability between 0 and 1 (exclusive)"))
    for n in range(1, whole("most", most, 1, _MOST) + 1):
        found = randomised_stage(response, levels, n, margin=margin)
        if found.p_correct >= wanted:
            return found
    return None


def _selected(values: Sequence[np.ndarray], margin: float) -> np.ndarray:
    """Return the index of the dose that the rule selects from rates by dose, broadcast against one another."""
    shape = np.broadcast_shapes(*(value.shape for value in values))
    at, now = np.zeros(shape, int), np.broadcast_to(values[0], shape)
    for d, value in enumerate(values[1:], start=1):
        up = value > now + margin + _TIE
        at, now = np.where(up, d, at), np.where(up, value, now)
    return at


def _rule(counts: Sequence[np.ndarray], n: int, margin: float) -> np.ndarray:
    """Return the selection by observed rates, ``(n + 1, n + 1[, n + 1])``."""
    return _selected([count / n for count in counts], margin)


def _grids(n: int, doses: int) -> list[np.ndarray]:
    """Return the numbers of responses of each dose, broadcast against one another."""
    return [np.arange(n + 1).reshape([-1 if d == k else 1 for k in range(doses)]) for d in range(doses)]


def _stated(rates: np.ndarray, n: int, margin: float, loss: float) -> np.ndarray:
    """Return P(correct), P(worse by more than the loss), the rates of the selected and the best dose, and P(selected) by dose."""
    counts = _grids(n, len(rates))
    chance = np.ones(())
    for count, rate in zip(counts, rates, strict=True):
        chance = chance * binom.pmf(count, n, rate)
    at = _rule(counts, n, margin)
    each = np.array([chance[at == d].sum() for d in range(len(rates))])
    correct = int(_selected([np.array(rate) for rate in rates], margin))
    worse = each[rates < rates.max() - loss - _TIE].sum()
    return np.array([each[correct], worse, each @ rates, rates.max(), *each])


def _averaged(a: np.ndarray, b: np.ndarray, n: int, margin: float, loss: float, points: int) -> np.ndarray:
    """Return the same, averaged over independent beta distributions of the rates.

    The number of responses at a dose is beta-binomial, and given it the rate is beta again. Whether the selection is correct is
    then an integral over the rate of one dose, with distribution functions of the others.
    """
    doses, counts = len(a), np.arange(n + 1)
    # Axes: responses at the dose, angle. Smooth steps, so that a beta density has no edge at rates of 0 and 1.
    x, weight = legendre(points)
    x = (x + 1) / 2
    half = np.pi * x**2 * (3 - 2 * x) / 2
    jacobian, rate = np.pi * 6 * x * (1 - x) * weight / 2, np.sin(half) ** 2
    at_ends = np.log(np.sin(half)), np.log(np.cos(half))
    shape = [(a[d] + counts[:, None], b[d] + n - counts[:, None]) for d in range(doses)]
    mass = [np.exp((2 * p - 1) * at_ends[0] + (2 * q - 1) * at_ends[1] - betaln(p, q)) * jacobian for p, q in shape]
    binomial = gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1)
    predictive = [np.exp(binomial + betaln(*(part[:, 0] for part in shape[d])) - betaln(a[d], b[d])) for d in range(doses)]

    def below(d: int, at: np.ndarray) -> np.ndarray:
        return betainc(*shape[d], np.clip(at, 0.0, 1.0))

    def joint(parts: Sequence[np.ndarray]) -> np.ndarray:
        letters = "abc"[:doses]
        return np.einsum(",".join(f"{letter}q" for letter in letters) + f"->{letters}", *parts, optimize=True)

    # P(each dose is correct | responses): below it, each lower dose was passed, and no higher dose exceeds it.
    grids = _grids(n, doses)
    at, chance = _rule(grids, n, margin), joint([part[:, None] for part in predictive])
    lower = [joint([mass[0], *(below(j, rate + margin) for j in range(1, doses))])]
    if doses == 3:
        lower.append(joint([below(0, rate - margin), mass[1], below(2, rate + margin)]))
    correct = [*lower, 1 - sum(lower)]
    near = [joint([mass[d] if j == d else below(j, rate + loss) for j in range(doses)]) for d in range(doses)]
    mean = [np.broadcast_to(((a[d] + grids[d]) / (a[d] + b[d] + n)), at.shape) for d in range(doses)]
    prior = [np.exp((2 * a[d] - 1) * at_ends[0] + (2 * b[d] - 1) * at_ends[1] - betaln(a[d], b[d])) for d in range(doses)]
    best = 0.0
    for d in range(doses):
        others = np.prod([betainc(a[j], b[j], rate) for j in range(doses) if j != d], axis=0)
        best += float((prior[d] * jacobian * rate) @ others)
    each = np.array([chance[at == d].sum() for d in range(doses)])
    total = [float((chance * np.choose(at, parts)).sum()) for parts in (correct, [1 - part for part in near], mean)]
    return np.array([*total, best, *each])
