"""Priors of the two-parameter logistic curve elicited from clinicians' statements on DLT rates.

Quantiles of the DLT rate at two or more doses, or two bounds from which minimally informative quantiles at every dose follow:
Neuenschwander, Branson and Gsponer (2008), Statistics in Medicine 27:2420-2439, doi:10.1002/sim.3230, section 3. Given log beta
the logit of a rate is normal, so the distribution of a rate is a one-dimensional integral, and a prior is fitted in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betaincinv, comb, expit, logit, ndtr, ndtri

from .._check import InputError, Problem, number, probability, whole
from ..shown import Shown
from ..threads import one_thread
from .logistic2 import Logistic2
from .two_parameter import BivariateNormal

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ElicitedPrior", "minimally_informative_prior", "prior_from_quantiles"]

# Nodes in log beta, in prior standard deviations.
_Z = np.linspace(-8, 8, 193)
_WEIGHT = np.exp(-(_Z**2) / 2) / np.exp(-(_Z**2) / 2).sum()
# Probabilities of the quantiles to which a minimally informative prior is fitted.
_FITTED = (0.025, 0.5, 0.975)


@dataclass(frozen=True)
class ElicitedPrior(Shown):
    """A prior fitted to elicited quantiles, and its goodness of fit.

    Attributes
    ----------
    prior
        The prior, for `Logistic2` or `BLRM`.
    reference
        Reference dose of the prior.
    wanted
        Rows of dose, probability and rate that were elicited.
    got
        The prior's rate at each of these probabilities, in the same order.
    at_bound
        Parameters of the prior that the fit has moved to the limit of their range, so that the statements cannot be met.
    """

    prior: BivariateNormal
    reference: float
    wanted: tuple[tuple[float, float, float], ...]
    got: tuple[float, ...]
    at_bound: tuple[str, ...] = ()

    @property
    def misfit(self) -> float:
        """Return the largest difference between an elicited rate and the prior's."""
        return float(max(abs(rate - got) for (_, _, rate), got in zip(self.wanted, self.got, strict=True)))

    def table(self) -> pd.DataFrame:
        """Return the elicited quantiles next to those of the prior."""
        import pandas as pd

        frame = pd.DataFrame(self.wanted, columns=["dose", "probability", "rate"])
        return frame.assign(got=self.got)

    def curve(self, doses: tuple[float, ...] | None = None) -> Logistic2:
        """Return the curve with this prior at dose amounts, by default the elicited ones."""
        amounts = tuple(sorted({dose for dose, _, _ in self.wanted})) if doses is None else doses
        return Logistic2(doses=amounts, reference=self.reference, prior=self.prior)

    @one_thread
    def quantiles(self, probabilities: Sequence[float], doses: tuple[float, ...] | None = None) -> pd.DataFrame:
        """Return quantiles of the DLT rate.

        Parameters
        ----------
        probabilities
            Their probabilities.
        doses
            Dose amounts; by default the elicited ones.

        Returns
        -------
        pandas.DataFrame
            One row per dose, one column per probability.
        """
        import pandas as pd

        curve, at = self.curve(doses), [probability("probabilities", p) for p in probabilities]
        rates = _quantiles(curve, np.repeat(curve.coordinates, len(at)), np.tile(at, curve.n_doses))
        index = pd.Index(curve.doses, name="dose")
        return pd.DataFrame(rates.reshape(-1, len(at)), index, pd.Index(at, name="probability"))

    @one_thread
    def predictive(self, patients: int = 3, doses: tuple[float, ...] | None = None) -> pd.DataFrame:
        """Return the prior predictive probability of each number of DLTs among the first patients, all at one dose.

        Parameters
        ----------
        patients
            Number of patients.
        doses
            Dose amounts; by default the elicited ones.

        Returns
        -------
        pandas.DataFrame
            One row per dose, one column per number of DLTs; by quadrature, to 1e-8.

        Examples
        --------
        >>> found = prior_from_quantiles({1: {0.1: 0.01, 0.9: 0.25}, 5: {0.1: 0.10, 0.9: 0.60}}, reference=3)
        >>> found.predictive(3).round(3).loc[5.0].tolist()
        [0.394, 0.342, 0.187, 0.077]
        """
        import pandas as pd

        curve, total = self.curve(doses), whole("patients", patients, 1, 100)
        first, second = (z.ravel() for z in np.meshgrid(_Z, _Z))
        log_p, log_q = curve.at(np.column_stack([first, second]))
        weight = np.outer(_WEIGHT, _WEIGHT).ravel()
        dlts = np.arange(total + 1)
        chances = [comb(total, k) * (weight @ np.exp(k * log_p + (total - k) * log_q)) for k in dlts]
        return pd.DataFrame(np.transpose(chances), pd.Index(curve.doses, name="dose"), pd.Index(dlts, name="dlts"))


@one_thread
def prior_from_quantiles(
    quantiles: Mapping[float, Mapping[float, float]], *, reference: float, correlation: float = 0.0
) -> ElicitedPrior:
    """Return the prior of (log alpha, log beta) with given quantiles of the DLT rate.

    It is the least-squares fit to the rates. Two quantiles at each of two doses can often be met exactly, given the correlation;
    ``misfit`` is the largest deviation, and ``at_bound`` names the parameters that prevent a better fit.

    Parameters
    ----------
    quantiles
        From dose amount to quantiles there: from probability to DLT rate.
    reference
        Reference dose of the curve, in the same unit.
    correlation
        Correlation of log alpha and log beta.

    Returns
    -------
    ElicitedPrior

    Raises
    ------
    InputError
        If there are fewer than two doses or four quantiles, or they do not increase with probability and dose.

    Examples
    --------
    >>> found = prior_from_quantiles({1: {0.1: 0.01, 0.9: 0.25}, 5: {0.1: 0.10, 0.9: 0.60}}, reference=3)
    >>> [round(float(value), 2) for value in (*found.prior.mean, *found.prior.sd)]
    [-1.5, -0.34, 0.86, 0.99]
    >>> found.misfit < 1e-6
    True
    """
    _amount("reference", reference)
    # Rejected before anything is fitted.
    BivariateNormal.read({"mean": (0.0, 0.0), "sd": (1.0, 1.0), "correlation": correlation})
    doses, wanted = _wanted(quantiles)
    start = _start(wanted, reference)
    bounds = ([-20, 0.01, -5, 0.01], [20, 10, 3, 10])
    return _fitted(doses, reference, wanted, start, bounds, lambda x: _prior(x[0], x[1], x[2], x[3], correlation))


@one_thread
def minimally_informative_prior(
    doses: tuple[float, ...], *, reference: float, lowest: tuple[float, float], highest: tuple[float, float]
) -> ElicitedPrior:
    """Return a prior that contains no more information than two bounds.

    The bounds are a rate that is probably not exceeded at the lowest dose, and one that is probably exceeded at the highest dose.
    Each gives a median through the least informative unimodal beta distribution; the medians of the doses between are on a line
    (logit rate against log dose); and the prior is fitted to the 2.5%, 50% and 97.5% quantiles of the least informative beta
    distributions with these medians.

    Parameters
    ----------
    doses
        Dose amounts, strictly increasing, at least two.
    reference
        Reference dose of the curve, in the same unit.
    lowest
        A rate, and the probability that the DLT rate of the lowest dose is above it.
    highest
        A rate, and the probability that the DLT rate of the highest dose is below it.

    Returns
    -------
    ElicitedPrior

    Examples
    --------
    >>> found = minimally_informative_prior((1, 3, 5), reference=3, lowest=(0.4, 0.05), highest=(0.1, 0.05))
    >>> round(found.misfit, 3)
    0.013
    """
    _amount("reference", reference)
    for dose in doses:
        _amount("doses", dose)
    if len(doses) < 2:
        raise InputError(Problem("doses", doses, "must be at least two dose amounts"))
    rates = []
    for name, bound, below in (("lowest", lowest, False), ("highest", highest, True)):
        if not isinstance(bound, Sequence) or len(bound) != 2:
            raise InputError(Problem(name, bound, "must be a rate and a probability"))
        rate, chance = bound
        probability(f"{name}[1]", rate)
        probability(f"{name}[2]", chance)
        a, b = _least_informative(rate, chance if below else 1 - chance)
        rates.append(float(betaincinv(a, b, 0.5)))
    if rates[0] >= rates[1]:
        allowed = f"give medians of {rates[0]:.3g} at the lowest and {rates[1]:.3g} at the highest dose: these must increase"
        raise InputError(Problem("lowest, highest", (lowest, highest), allowed))
    at = np.log(np.array(doses, float))
    medians = expit(np.interp(at, at[[0, -1]], logit(rates)))
    betas = [_least_informative(rate, 0.5) for rate in medians]
    wanted = tuple((float(d), p, float(betaincinv(a, b, p))) for d, (a, b) in zip(doses, betas, strict=True) for p in _FITTED)
    start = np.append(_start(wanted, reference), 0.0)
    bounds = ([-20, 0.01, -5, 0.01, -0.99], [20, 10, 3, 10, 0.99])
    return _fitted(tuple(doses), reference, wanted, start, bounds, lambda x: _prior(*x))


def _prior(log_alpha: float, sd_alpha: float, log_beta: float, sd_beta: float, correlation: float) -> BivariateNormal:
    return BivariateNormal(mean=(log_alpha, log_beta), sd=(sd_alpha, sd_beta), correlation=correlation)


def _least_informative(rate: float, chance: float) -> tuple[float, float]:
    """Return the beta distribution, one of its parameters 1, that is below ``rate`` with probability ``chance``."""
    return (np.log(chance) / np.log(rate), 1.0) if rate > chance else (1.0, np.log1p(-chance) / np.log1p(-rate))


def _amount(name: str, value: Any) -> float:
    """Return ``value`` as a float if it is a dose amount."""
    amount = number(name, value, "a dose amount, above 0")
    if not 0 < amount < float("inf"):
        raise InputError(Problem(name, value, "must be a dose amount, above 0"))
    return amount


def _wanted(quantiles: Mapping[float, Mapping[float, float]]) -> tuple[tuple[float, ...], tuple[tuple[float, float, float], ...]]:
    """Return the checked doses, and rows of dose, probability and rate."""
    if not isinstance(quantiles, Mapping):
        raise InputError(
            Problem("quantiles", quantiles, "must map dose amounts to quantiles, and these probabilities to DLT rates")
        )
    doses = tuple(sorted(_amount("dose of quantiles", dose) for dose in quantiles))
    for dose, given in quantiles.items():
        if not isinstance(given, Mapping):
            raise InputError(Problem(f"quantiles[{dose:g}]", given, "must map probabilities to DLT rates"))
        for p, rate in given.items():
            number(f"quantiles[{dose:g}]", p, "a probability between 0 and 1 (exclusive)")
            number(f"quantiles[{dose:g}][{p:g}]", rate, "a probability between 0 and 1 (exclusive)")
    rows = tuple((float(dose), float(p), float(quantiles[dose][p])) for dose in sorted(quantiles) for p in sorted(quantiles[dose]))
    if len(doses) < 2 or len(rows) < 4:
        raise InputError(Problem("quantiles", quantiles, "must be at least four quantiles at two or more doses"))
    for dose, p, rate in rows:
        probability(f"quantiles[{dose:g}]", p)
        probability(f"quantiles[{dose:g}][{p:g}]", rate)
    for row, other in ((row, other) for row in rows for other in rows):
        rises = (row[0] == other[0] and row[1] < other[1]) or (row[1] == other[1] and row[0] < other[0])
        if rises and row[2] >= other[2]:
            allowed = f"must be above the {row[1]:g} quantile at dose {row[0]:g}, {row[2]:g}"
            raise InputError(Problem(f"quantiles[{other[0]:g}][{other[1]:g}]", other[2], allowed))
    return doses, rows


def _start(wanted: tuple[tuple[float, float, float], ...], reference: float) -> np.ndarray:
    """Return starting values of means and standard deviations: a line through the rates' logits, and their spread."""
    dose, p, rate = np.array(wanted).T
    slope, level = np.polyfit(np.log(dose / reference), logit(rate), 1)
    spread = np.std(logit(rate) - level - slope * np.log(dose / reference)) / max(np.std(ndtri(p)), 0.1)
    return np.array([level, np.clip(spread, 0.1, 5), np.log(np.clip(slope, 0.1, 10)), 0.5])


def _quantiles(curve: Logistic2, at: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the quantiles of probability ``p`` of the rates at coordinates ``at``, pair by pair."""
    low, high = np.full(len(p), -30.0), np.full(len(p), 30.0)
    for _ in range(50):
        middle = (low + high) / 2
        under = _WEIGHT @ ndtr(curve.bound(expit(middle), at, (_Z[:, None],))) < p
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return expit(low)


def _fitted(doses: tuple[float, ...], reference: float, wanted: Any, start: np.ndarray, bounds: Any, prior: Any) -> ElicitedPrior:
    from scipy.optimize import least_squares

    dose, p, rate = np.array(wanted).T
    at = np.log(dose / reference)

    def quantile(x: np.ndarray) -> np.ndarray:
        return _quantiles(Logistic2(doses=doses, reference=reference, prior=prior(x.tolist())), at, p)

    def difference(x: np.ndarray) -> np.ndarray:
        return quantile(x) - rate

    found = least_squares(difference, np.clip(start, *np.array(bounds) * 0.99), bounds=bounds, xtol=1e-10, ftol=1e-10)
    names = ("mean of log alpha", "sd of log alpha", "mean of log beta", "sd of log beta", "correlation")
    near = np.isclose(found.x, bounds[0], rtol=0, atol=1e-4) | np.isclose(found.x, bounds[1], rtol=0, atol=1e-4)
    at_bound = tuple(name for name, stuck in zip(names, near, strict=False) if stuck)
    return ElicitedPrior(prior(found.x.tolist()), reference, tuple(wanted), tuple(quantile(found.x).tolist()), at_bound)
