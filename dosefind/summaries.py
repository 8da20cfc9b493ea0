"""What a posterior says of each dose and of the MTD, the support for an RP2D, and what the trial itself will conclude.

Nothing here declares an RP2D: that is the decision of the committee. `name_rp2d` applies the rule that a protocol states for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betaincinv

from ._check import broadcast_counts
from .designs import Design
from .figures import ESTIMATES, defined
from .models import Curve
from .operating.lattice import Lattice
from .operating.walk import walk
from .outcomes import Rates, log_rates
from .posterior.base import Figure, Posterior
from .posterior.exact import ExactPosterior
from .protocol import RP2D, Utility
from .threads import one_thread
from .trial import States
from .words import _

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "Recommendation",
    "UtilityFigures",
    "conclusions",
    "effective_n",
    "mtd_labels",
    "name_rp2d",
    "probabilities",
    "recommended",
    "summary",
    "support_words",
    "upper_limit",
    "utilities",
]

QUANTILES = (0.025, 0.5, 0.975)
MTD_QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)
# One-sided confidence of the upper limits that need no curve.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Recommendation:
    """The dose that meets the rule for an RP2D now, and why: support for the decision of the committee.

    Attributes
    ----------
    level
        Level from 1, ``None`` where there is none.
    reason
        Why, in words.
    undecided
        Whether a probability on which it hangs is within three of its errors of the limit.
    """

    level: int | None
    reason: str
    undecided: bool

    @property
    def label(self) -> str:
        """Return the level, or "none"."""
        return "none" if self.level is None else str(self.level)


def support_words(attrs: Mapping[str, Any]) -> str:
    """Return the dose that meets the rule for an RP2D in words, without a reason, from the attributes of a summary.

    It is called by what it is; the RP2D is decided by the committee.
    """
    if attrs.get("rp2d_rule") == "utility":
        words = _("Tried dose with the largest expected utility that meets the limit now: {dose}")
    else:
        words = _("Highest tried dose that meets the limit now: {dose}")
    level = attrs["rp2d"]
    return words.format(dose=_("none") if level == "none" else _("level {level}").format(level=level))


# The least error that is said of a probability.
_SHOWN = 1e-6


def recommended(n: np.ndarray, p_over: Figure, limit: float, problems: Sequence[str] = ()) -> Recommendation:
    """Return the highest tried dose whose P(overdose) is below the limit: the support for an RP2D by toxicity.

    Parameters
    ----------
    n : (doses,) array
        Patients treated.
    p_over
        Probability that each dose overdoses.
    limit
        The limit.
    problems
        What speaks against trusting the probabilities: no dose is named while there is any.
    """
    if problems:
        words = _("no dose is shown, because the draws cannot be trusted: {problems}")
        return Recommendation(None, words.format(problems="; ".join(problems)), True)
    tried = np.flatnonzero(n > 0)
    safe = tried[p_over.value[tried] < limit]
    undecided = bool(np.any(np.abs(p_over.value[tried] - limit) <= 3 * p_over.error[tried]))
    if not len(tried):
        return Recommendation(None, _("no patient has a known outcome"), undecided)
    if not len(safe):
        words = _("P(overdose) is {limit} or more at every dose with a known outcome")
        return Recommendation(None, words.format(limit=f"{100 * limit:g}%"), undecided)
    level = int(safe[-1]) + 1
    # A numerical error is far below what is shown.
    errors = [f" \u00b1{100 * error:.1g}" if error > _SHOWN else "" for error in p_over.error]
    over = [f"{100 * value:.1f}%{error}" for value, error in zip(p_over.value, errors, strict=True)]
    words = _("the highest dose with a known outcome whose P(overdose), {p}, is below {limit}")
    clauses = [words.format(p=over[level - 1], limit=f"{100 * limit:g}%")]
    above = tried[tried >= level]
    if len(above):
        clauses.append(_("at level {level} it is {p}").format(level=above[0] + 1, p=over[above[0]]))
    return Recommendation(level, "; ".join(clauses), undecided)


@dataclass(frozen=True)
class UtilityFigures:
    """The utility of each dose.

    Attributes
    ----------
    mean, sd : (doses,) arrays
        Expectation and standard deviation over what is known of toxicity and efficacy.
    error : (doses,) array
        Error of the mean.
    best
        Probability that each dose has the largest utility of all.
    """

    mean: np.ndarray
    sd: np.ndarray
    error: np.ndarray
    best: Figure


@one_thread
def utilities(posterior: Posterior, utility: Utility) -> UtilityFigures:
    """Compute the utility of each dose; response and DLT of a patient are independent given their rates.

    With P(DLT) p and P(response) e a dose has the utility ``(1 - p)(e u1 + (1 - e) u2) + p (e u3 + (1 - e) u4)``, with the
    utilities u1 to u4 of a response, neither, a response with a DLT, and a DLT: Lin, Zhou, Yan, Li and Yuan (2020), JCO Precision
    Oncology 4:1393-1402, doi:10.1200/PO.20.00257, where it is estimated from quasi-binomial counts. Here e has a beta
    distribution or is known, and p the posterior of the curve.
    """
    mean, sd = posterior.moments()
    e = np.array(utility.efficacy)
    size = np.inf if utility.efficacy_n is None else utility.efficacy_n
    e_square = e**2 + e * (1 - e) / (size + 1)
    # The utility is a(e) + b(e) p, both linear in e.
    a0, a1 = utility.neither, utility.response - utility.neither
    b0 = utility.dlt - utility.neither
    b1 = utility.response_and_dlt - utility.dlt - a1
    p, p_square = mean.value, mean.value**2 + sd.value**2
    expected = a0 + a1 * e + (b0 + b1 * e) * p
    square = (
        (a0**2 + 2 * a0 * a1 * e + a1**2 * e_square)
        + 2 * (a0 * b0 + (a0 * b1 + a1 * b0) * e + a1 * b1 * e_square) * p
        + (b0**2 + 2 * b0 * b1 * e + b1**2 * e_square) * p_square
    )
    rates = probabilities(posterior.curve, posterior.draws(_DRAWS)).reshape(-1, len(e))
    rng = np.random.default_rng(1)
    known = utility.efficacy_n is None
    responses = np.broadcast_to(e, rates.shape) if known else _beta(rng, e, float(utility.efficacy_n or 0), len(rates))
    worth = a0 + a1 * responses + (b0 + b1 * responses) * rates
    # Of doses with equal utility, such as those with certainly equal rates, the lowest.
    best = np.eye(len(e))[worth.argmax(axis=1)].mean(axis=0)
    size = min(len(rates), posterior.diagnostics().get("ess_bulk", len(rates)))
    error = np.maximum(np.sqrt(best * (1 - best) / size), (1 - 0.05 ** (1 / size)) / 3)
    sd = np.sqrt(np.maximum(square - expected**2, 0))
    return UtilityFigures(expected, sd, np.abs(b0 + b1 * e) * mean.error, Figure(best, error))


def _beta(rng: np.random.Generator, mean: np.ndarray, size: float, draws: int) -> np.ndarray:
    """Draw rates from beta distributions; a mean of 0 or 1 is known."""
    inside = (mean > 0) & (mean < 1)
    between = np.where(inside, mean, 0.5)
    return np.where(inside, rng.beta(size * between, size * (1 - between), (draws, len(mean))), mean)


@one_thread
def name_rp2d(posterior: Posterior, p_over: Figure, rule: RP2D, utility: Utility | None) -> Recommendation:
    """Return the dose that meets the protocol's rule: by toxicity as `recommended`, or, of the tried doses whose P(overdose) is
    below the limit, the one with the largest expected utility, the lower on ties.

    Parameters
    ----------
    posterior
        The posterior of the curve.
    p_over
        Probability that each dose overdoses.
    rule
        The rule with its limit.
    utility
        Utilities of the outcomes, if the rule needs them.
    """
    n, limit = posterior.n, rule.limit
    by_toxicity = recommended(n, p_over, limit, posterior.problems())
    if by_toxicity.level is None or rule.rule == "toxicity" or utility is None:
        return by_toxicity
    worth = utilities(posterior, utility)
    among = np.flatnonzero((n > 0) & (p_over.value < limit))
    level = int(among[np.argmax(worth.mean[among])]) + 1
    others = among[among != level - 1]
    close = np.abs(worth.mean[others] - worth.mean[level - 1]) <= 3 * np.hypot(worth.error[others], worth.error[level - 1])
    each = _("{utility} at level {level}")
    shown = ", ".join(each.format(utility=f"{worth.mean[d]:.1f}", level=d + 1) for d in among)
    words = _(
        "the dose with the largest expected utility ({utilities}) among those with a known outcome whose P(overdose) is below "
        "{limit}"
    )
    reason = words.format(utilities=shown, limit=f"{100 * limit:g}%")
    return Recommendation(level, reason, by_toxicity.undecided or bool(close.any()))


def effective_n(mean: Figure, sd: Figure) -> Figure:
    """Return the effective sample size of a distribution of a rate: a + b of the beta distribution with its mean and variance.

    The error is that of the first order, the errors of mean and standard deviation taken as independent: where a larger mean goes
    with a larger standard deviation, as for low rates, theirs partly cancel, and it is too large rather than too small.
    """
    m, s = mean.value, sd.value
    per_mean, per_sd = (1 - 2 * m) / s**2, -2 * m * (1 - m) / s**3
    return Figure(m * (1 - m) / s**2 - 1, np.hypot(per_mean * mean.error, per_sd * sd.error))


def upper_limit(n: Any, y: Any) -> np.ndarray:
    """Return the one-sided 95% upper limit of a rate from its own counts (Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404).

    It is 1 without patients.

    Parameters
    ----------
    n, y
        Patients and DLTs, of shapes that broadcast: whole numbers, also as floats that are exactly whole, such as 3.0.

    Raises
    ------
    InputError
        If an entry is not a count, or there are more DLTs than patients.
    """
    n, y = (part.astype(float) for part in broadcast_counts(n, y))
    return np.where(y < n, betaincinv(y + 1, np.maximum(n - y, 1e-9), CONFIDENCE), 1.0)


def mtd_labels(n_doses: int) -> list[str]:
    """Return the labels of the MTD: below the lowest level, at a level, at the top level or above."""
    return ["below 1", *map(str, range(1, n_doses)), f"{n_doses} or above"]


@one_thread
def summary(
    now: Posterior,
    before: Posterior,
    *,
    target: float,
    interval: tuple[float, float],
    rule: RP2D,
    amounts: tuple[float, ...],
    unit: str,
    utility: Utility | None = None,
) -> xr.Dataset:
    """Return everything about doses, MTD and the dose that meets the rule for an RP2D.

    Parameters
    ----------
    now, before
        Posterior and prior of one curve, from one engine.
    target, interval, rule
        Target DLT rate, target interval, and the rule for the RP2D.
    amounts, unit
        The doses.
    utility
        Utilities of the outcomes, if they are known.

    Returns
    -------
    xarray.Dataset
        Estimates over ``dose``, the posterior of the MTD over ``mtd_level``, quantiles of the MTD on the dose scale over
        ``quantile``, moments over ``parameter``; where the engine samples, ``<name>_se`` is a Monte Carlo standard error.
        Attributes: the dose that meets the rule (``rp2d``), its reason, engine, diagnostics.
    """
    from .results import Dataset

    doses = len(amounts)
    figures = _by_dose(now, interval) | {"mtd": now.mtd(target)}
    prior = _by_dose(before, interval) | {"mtd": before.mtd(target)}
    quantiles = now.quantiles(QUANTILES)
    rp2d = name_rp2d(now, figures["p_over"], rule, utility)
    worth = None if utility is None else utilities(now, utility)
    parameters = dict(zip(("parameter_mean", "parameter_sd"), now.parameters(), strict=True))
    at = {name: "mtd_level" if name == "mtd" else "dose" for name in figures} | dict.fromkeys(parameters, "parameter")
    data: dict[str, Any] = {name: (at[name], figure.value) for name, figure in (figures | parameters).items()}
    data |= {"n": ("dose", now.n), "dlts": ("dose", now.y), "upper_limit": ("dose", upper_limit(now.n, now.y))}
    data |= {name: ("dose", quantiles[:, i]) for i, name in enumerate(("lower", "median", "upper"))}
    data |= {f"prior_{name}": (at[name], prior[name].value) for name in ("mean", "p_over", "mtd")}
    worth_of_prior = effective_n(prior["mean"], prior["sd"])
    data["prior_effective_n"] = ("dose", worth_of_prior.value)
    if worth is not None:
        data |= {"utility": ("dose", worth.mean), "utility_sd": ("dose", worth.sd)}
        data |= {"p_best": ("dose", worth.best.value), "p_best_se": ("dose", worth.best.error)}
        data |= {"utility_se": ("dose", worth.error)} if now.samples else {}
    if now.curve.on_dose_scale:
        data["mtd_amount"] = ("quantile", now.mtd_quantiles(target, MTD_QUANTILES), {"units": unit})
    if now.samples:
        data |= {f"{name}_se": (at[name], figure.error) for name, figure in (figures | parameters).items()}
        data |= {f"prior_{name}_se": (at[name], prior[name].error) for name in ("mean", "p_over", "mtd")}
        data["prior_effective_n_se"] = ("dose", worth_of_prior.error)
    coords = {
        "dose": np.arange(1, doses + 1),
        "dose_amount": ("dose", list(amounts), {"units": unit}),
        "mtd_level": mtd_labels(doses),
        "parameter": list(now.curve.parameter_names),
    }
    if "mtd_amount" in data:
        coords["quantile"] = list(MTD_QUANTILES)
    result = Dataset(data, coords)
    low, high = (f"{100 * rate:.3g}%" for rate in interval)
    for name, definition in defined(ESTIMATES, low=low, high=high, confidence=f"{CONFIDENCE:.0%}").items():
        if name in result:
            result[name].attrs["definition"] = definition
    attrs = {
        "rp2d": "none" if rp2d.level is None else str(rp2d.level),
        "rp2d_reason": rp2d.reason,
        "undecided": int(rp2d.undecided),
    }
    made = {"engine": now.engine, "problems": now.problems(), **now.diagnostics()}
    return result.assign_attrs(attrs | made)


def _by_dose(posterior: Posterior, interval: tuple[float, float]) -> dict[str, Figure]:
    mean, sd = posterior.moments()
    low, high = (posterior.below(rate) for rate in interval)
    inside = Figure(high.value - low.value, np.hypot(high.error, low.error))
    return {"mean": mean, "sd": sd, "p_under": low, "p_target": inside, "p_over": Figure(1 - high.value, high.error)}


@one_thread
def conclusions(designs: Sequence[Design], states: Sequence[States], now: Posterior) -> list[Figure]:
    """Return what each design will select as MTD at the end of the trial, given the data now.

    Every possible course of the trial is enumerated. Given the curve, a state that it can end in has a probability that the
    lattice knows; its expectation is by the nodes of the posterior now where the engine has such, and else a mean over draws.

    Parameters
    ----------
    designs
        The designs.
    states
        The trial now as each design has it, batches of one.
    now
        The posterior now.

    Returns
    -------
    list of Figure
        Of each design the probability of none, of each level, and of the top level with the MTD not reached, ``(choices + 1,)``.
    """
    doses = now.curve.n_doses
    walks = [Lattice(design, doses, walk(design, doses, begin=state)) for design, state in zip(designs, states, strict=True)]
    if not isinstance(now, ExactPosterior):
        return [_mean_over_draws(one, _named(one), state, now) for one, state in zip(walks, states, strict=True)]
    return _by_quadrature(walks, states, now)


def _named(walked: Lattice) -> np.ndarray:
    """Return which of none, each level and the top level not reached is selected in each final state, ``(ends, choices + 1)``."""
    return np.column_stack([np.eye(walked.n_doses + 1)[walked.trials.choice + 1], walked.trials.not_reached])


def _by_quadrature(walks: Sequence[Lattice], states: Sequence[States], now: ExactPosterior) -> list[Figure]:
    """Return the expectation of the probability of each choice of each design, by the nodes of the posterior now."""
    doses = now.curve.n_doses
    further = [
        np.hstack([one.ends.n - state.n, one.ends.y - state.y]).astype(int) for one, state in zip(walks, states, strict=True)
    ]
    # Designs end in the same states again and again: the probability of each is worked out once.
    ends, where = np.unique(np.concatenate(further), axis=0, return_inverse=True)
    places = np.cumsum([len(one) for one in further])[:-1]
    weights = np.zeros((len(ends), len(walks), doses + 2))
    for k, (one, place) in enumerate(zip(walks, np.split(where.ravel(), places), strict=True)):
        np.add.at(weights[:, k], place, one.ends.ways[:, None] * _named(one))
    counts, columns = np.hstack([ends[:, doses:], ends[:, :doses] - ends[:, doses:]]).astype(float), weights.reshape(len(ends), -1)

    def chances(p: np.ndarray) -> np.ndarray:
        log_terms = log_rates(Rates(np.minimum(p, 1)))
        blocks = np.array_split(log_terms, max(1, log_terms.shape[1] * len(ends) // 2**20), axis=1)
        return np.concatenate([np.exp(np.maximum(counts @ block, -700.0)).T @ columns for block in blocks])

    figure = now.expected(chances, now.curve.coordinates, _ENDS)
    value, error = (part.reshape(len(walks), doses + 2) for part in figure)
    amiss = np.abs(value[:, :-1].sum(axis=1) - 1).max(initial=0.0)
    if amiss > 1e-3:
        raise ArithmeticError(f"the ways to end the trial have a probability that is {amiss:.1e} from 1")
    return [Figure(each / each[:-1].sum(), apart) for each, apart in zip(value, error, strict=True)]


def _mean_over_draws(walked: Lattice, named: np.ndarray, state: States, now: Posterior) -> Figure:
    """Return the mean over draws of the probability of each column of ``named``, ``(ends, columns)``, with its standard error."""
    ends = walked.ends
    future = Lattice(walked.design, walked.n_doses, replace(ends, n=ends.n - state.n, y=ends.y - state.y))
    # A rate of a draw can exceed 1 by its rounding.
    p = np.minimum(probabilities(now.curve.counted, now.draws(_DRAWS)), 1).reshape(-1, walked.n_doses)
    blocks = np.array_split(p, max(1, len(p) * len(ends.n) // 2**22))
    chances = np.concatenate([future.probabilities(block).T @ named for block in blocks])
    # The smallest effective sample size of any parameter stands for that of every choice; the draws taken are no more than these.
    size = min(len(p), now.diagnostics()["ess_bulk"])
    return Figure(chances.mean(axis=0), chances.std(axis=0) / size**0.5)


def probabilities(curve: Curve, draws: np.ndarray) -> np.ndarray:
    """Return DLT probabilities, ``(chains, draws, doses)``, of draws of the parameters ``(chains, draws, parameters)``."""
    theta = tuple(np.moveaxis(draws, -1, 0)[..., None])
    return np.exp(curve.log_terms(theta, curve.coordinates)[0])


# Largest error asked of the probability of a conclusion.
_ENDS = 1e-5
# Draws over which probabilities of ended trials are averaged.
_DRAWS = 4000
