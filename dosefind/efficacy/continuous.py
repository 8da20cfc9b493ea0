r"""Change of a continuous endpoint by dose, adjusted for baseline: the exact average over dose-response shapes.

The change of patient i at dose d_i is

    y_i = b0 + b1 (baseline_i - mean baseline) + b2 s(d_i) + e_i,    e_i ~ N(0, sigma^2)

with a shape s that is 0 at the lowest dose and at most 1 in absolute value. Given a shape the normal-inverse-gamma prior is
conjugate, so means of doses have t distributions and the evidence is closed: nothing is sampled. All kinds of shapes have equal
prior weight, which the shapes of a kind share. The mean of a dose is b0 + b2 s(d), at the mean baseline; which dose is best
depends on the sign of b2 only, and is exact too.

To add a shape, add its rows to `shapes`.

References: Bornkamp, Pinheiro and Bretz (2009), MCPMod, Journal of Statistical Software 29(7), doi:10.18637/jss.v029.i07 (shapes);
Gelman et al. (2013), Bayesian Data Analysis, ISBN 9781439840955, section 14.8 (conjugate regression).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field
from scipy.special import gammaln, stdtr, stdtrit

from .._check import Checked, InputError, Problem, one_of, whole
from ..threads import one_thread_methods
from ..words import _

__all__ = ["KINDS", "ChangePosterior", "ChangePrior", "Shapes", "shapes"]

KINDS = ("flat", "linear", "emax", "sigmoid", "plateau", "umbrella")
"""Kinds of dose-response shapes. Plateau and umbrella need three doses, all except flat need two."""

# Number of half-effect doses of the Emax and the sigmoid shapes, the factor beyond the doses of the former, and the Hill exponent.
_HALF_EFFECTS, _BEYOND, _HILL = 25, 4.0, 4.0
# Shares of the maximum effect that an umbrella keeps at the highest dose.
_KEPT = (0.0, 0.5)
# Bisections of a quantile: an interval of 1e4 standard deviations is then below 1e-11 of one.
_BISECTIONS = 50

Positive = Annotated[float, Field(gt=0, le=1e6, strict=True)]


class ChangePrior(Checked):
    """Prior of the change of an endpoint.

    With the residual standard deviation stated, sigma^2 / residual_sd^2 is inverse-gamma(df/2, df/2), and given sigma the
    coefficients are independent and normal with mean 0 (b0 with mean ``mean``) and standard deviations ``mean_sd * sigma``,
    ``slope_sd * sigma / residual_sd`` and ``effect_sd * sigma``.

    Attributes
    ----------
    residual_sd
        Prior guess of the residual standard deviation of the change, in the unit of the endpoint. It has no default.
    df
        Degrees of freedom of that guess: the number of patients that it counts as.
    mean
        Prior mean of the change at the lowest dose, in the unit of the endpoint.
    mean_sd
        Prior standard deviation of the change at the lowest dose, in residual standard deviations.
    slope_sd
        Prior standard deviation of the slope on baseline, per unit of the endpoint.
    effect_sd
        Prior standard deviation of the maximum difference from the lowest dose, in residual standard deviations.

    Examples
    --------
    >>> ChangePrior(residual_sd=4.0).df
    3.0
    """

    residual_sd: Positive
    df: Annotated[float, Field(gt=1, le=1e6, strict=True)] = 3.0
    mean: Annotated[float, Field(strict=True)] = 0.0
    mean_sd: Positive = 2.0
    slope_sd: Positive = 1.0
    effect_sd: Positive = 1.0

    def sentence(self) -> str:
        """Return the prior as a sentence."""
        words = _(
            "Prior of the mean change at the lowest dose: mean {mean}, SD {sd}; of the maximum difference from it: mean 0, SD "
            "{effect}; guess of the residual SD: {residual}, with {df} degrees of freedom; slope on baseline per unit: mean 0, SD "
            "{slope}."
        )
        places = {
            "mean": self.mean,
            "sd": self.mean_sd * self.residual_sd,
            "effect": self.effect_sd * self.residual_sd,
            "residual": self.residual_sd,
            "df": self.df,
            "slope": self.slope_sd,
        }
        return words.format(**{name: f"{value:.4g}" for name, value in places.items()})

    def times(self, patients: float) -> ChangePrior:
        """Return the prior with its information multiplied: degrees of freedom, and inverse variances of the coefficients."""
        narrower = patients**-0.5
        scaled = {name: getattr(self, name) * narrower for name in ("mean_sd", "slope_sd", "effect_sd")}
        # Partial expectations need more than one degree of freedom.
        return ChangePrior(**self.model_dump() | scaled | {"df": max(self.df * patients, 1 + 1e-6)})


class Shapes(NamedTuple):
    """Dose-response shapes.

    Attributes
    ----------
    kind : (shapes,) tuple
        Kind of each shape, one of `KINDS`.
    values : (shapes, doses) array
        Value of each shape at each dose.
    weight : (shapes,) array
        Prior weight of each shape.
    """

    kind: tuple[str, ...]
    values: np.ndarray
    weight: np.ndarray


def shapes(doses: Sequence[float], kinds: Sequence[str] = KINDS) -> Shapes:
    """Return the dose-response shapes at these doses, with their prior weights.

    With x the logarithm of the dose, scaled to 0 at the lowest and 1 at the highest dose: flat 0; linear x; Emax
    d / (d + ED50) for 25 half-effect doses from a quarter of the lowest to four times the highest dose; sigmoid
    d^4 / (d^4 + ED50^4) for 25 from the lowest to the highest; plateau min(x, x_k) / x_k for each dose k between; umbrella with its
    maximum at each dose k between, falling linearly to 0 or 1/2 at the highest dose. Emax and sigmoid are scaled to 0 and 1 at the
    lowest and highest dose.

    Parameters
    ----------
    doses
        Dose amounts, increasing.
    kinds
        Kinds to include, of `KINDS`.

    Examples
    --------
    >>> found = shapes((1.0, 2.0, 4.0))
    >>> dict(zip(found.kind, found.values.round(2).tolist()))["plateau"]
    [0.0, 1.0, 1.0]
    """
    amounts = np.asarray(doses, float)
    if amounts.ndim != 1 or not len(amounts) or not (np.diff(amounts, prepend=0.0) > 0).all():
        raise InputError(Problem("doses", doses, "must be dose amounts above 0, strictly increasing"))
    if not len(kinds) or not set(kinds) <= set(KINDS):
        raise InputError(Problem("kinds", kinds, f"must be some of {', '.join(KINDS)}"))
    rows: list[tuple[str, np.ndarray]] = [("flat", np.zeros(len(amounts)))]
    if len(amounts) > 1:
        low, high = amounts[[0, -1]]
        x = np.log(amounts / low) / np.log(high / low)
        rows.append(("linear", x))
        rows += [("emax", amounts / (amounts + half)) for half in np.geomspace(low / _BEYOND, high * _BEYOND, _HALF_EFFECTS)]
        rows += [("sigmoid", 1 / (1 + (half / amounts) ** _HILL)) for half in np.geomspace(low, high, _HALF_EFFECTS)]
        for peak in x[1:-1]:
            rows.append(("plateau", np.minimum(x, peak) / peak))
            rows += [("umbrella", np.where(x <= peak, x / peak, 1 - (1 - kept) * (x - peak) / (1 - peak))) for kept in _KEPT]
    rows = [(kind, values) for kind, values in rows if kind in kinds]
    names = tuple(kind for kind, _values in rows)
    if not names:
        raise InputError(Problem("kinds", kinds, f"has no shape for {len(amounts)} doses"))
    scaled = [(values - values[0]) / (values[-1] - values[0]) if kind in ("emax", "sigmoid") else values for kind, values in rows]
    weight = np.array([1 / (names.count(kind) * len(set(names))) for kind in names])
    return Shapes(names, np.array(scaled), weight)


class ChangePosterior:
    r"""Posterior of the mean change at each dose, averaged over dose-response shapes.

    Given shape k, with X the columns 1, centred baseline and shape, and all amounts in units of ``residual_sd``,

    .. math::
        \Lambda_n = \Lambda_0 + X^T X, \quad m_n = \Lambda_n^{-1}(\Lambda_0 m_0 + X^T y), \quad a_n = (\nu + n)/2, \quad
        b_n = (\nu + m_0^T \Lambda_0 m_0 + y^T y - m_n^T \Lambda_n m_n)/2

    the mean of a dose is t with :math:`2 a_n` degrees of freedom, and the evidence of the shape is proportional to
    :math:`|\Lambda_n|^{-1/2} b_n^{-a_n}`. Its values have no error beyond rounding, about 1e-12 of a standard deviation.

    Parameters
    ----------
    doses
        Dose amounts, increasing.
    level
        Level of each patient, from 1.
    change
        Change of each patient, in the unit of the endpoint.
    prior
        The prior.
    baseline
        Baseline of each patient, in the unit of the endpoint; without it the change is not adjusted.
    better
        Whether a lower or a higher change is better.
    kinds
        Kinds of shapes, of `KINDS`.

    Examples
    --------
    >>> prior = ChangePrior(residual_sd=4.0)
    >>> found = ChangePosterior((1, 2, 4), [1, 1, 2, 2, 3, 3], [0.5, -1.0, -3.0, -2.0, -2.5, -4.0], prior, better="lower")
    >>> found.mean().round(2)
    array([-1.3 , -2.11, -2.43])
    >>> found.p_best().round(3)
    array([0.346, 0.235, 0.419])

    References
    ----------
    Gelman et al. (2013), Bayesian Data Analysis, ISBN 9781439840955, section 14.8.
    """

    def __init__(
        self,
        doses: Sequence[float],
        level: Sequence[int] | np.ndarray,
        change: Sequence[float] | np.ndarray,
        prior: ChangePrior,
        *,
        baseline: Sequence[float] | np.ndarray | None = None,
        better: Literal["lower", "higher"] = "lower",
        kinds: Sequence[str] = KINDS,
    ) -> None:
        self.doses, self.prior, self.shapes = tuple(map(float, doses)), prior, shapes(doses, kinds)
        if better not in ("lower", "higher"):
            raise InputError(Problem("better", better, "must be 'lower' or 'higher'"))
        self.better: Literal["lower", "higher"] = better
        self.level = np.array([whole("level", each, 1, len(self.doses)) for each in level], int)
        self.change = _numbers("change", change, len(self.level))
        self.baseline = None if baseline is None else _numbers("baseline", baseline, len(self.level))

    @cached_property
    def _fit(self) -> tuple[np.ndarray, np.ndarray, float, np.ndarray, np.ndarray]:
        """Return means and covariance factors ``(shapes, 3[, 3])``, degrees of freedom, squared scales and log evidence."""
        unit, prior = self.prior.residual_sd, self.prior
        y = self.change / unit
        base = np.zeros(len(y)) if self.baseline is None or not len(y) else (self.baseline - self.baseline.mean()) / unit
        values = self.shapes.values[:, self.level - 1]
        design = np.stack([np.ones(values.shape), np.broadcast_to(base, values.shape), values], axis=-1)
        precision = np.diag(np.array([prior.mean_sd, prior.slope_sd, prior.effect_sd]) ** -2.0)
        start = np.array([prior.mean / unit, 0.0, 0.0])
        after = precision + design.mT @ design
        right = precision @ start + np.einsum("kni,n->ki", design, y)
        mean = np.linalg.solve(after, right[..., None])[..., 0]
        df = prior.df + len(y)
        # Residual and prior sums of squares, which do not cancel as y'y - m'Lm does.
        residual = y - np.einsum("kni,ki->kn", design, mean)
        away = mean - start
        squares = prior.df + (residual**2).sum(axis=1) + np.einsum("ki,ij,kj->k", away, precision, away)
        evidence = (
            (np.linalg.slogdet(precision)[1] - np.linalg.slogdet(after)[1]) / 2
            + gammaln(df / 2)
            - gammaln(prior.df / 2)
            + (prior.df / 2) * np.log(prior.df / 2)
            - (df / 2) * np.log(squares / 2)
            - len(y) * np.log(2 * np.pi * unit**2) / 2
        )
        return mean, np.linalg.inv(after), df, squares / df, evidence

    def with_prior_times(self, patients: float) -> ChangePosterior:
        """Return the posterior of the same data with the information of the prior multiplied."""
        kinds = tuple(dict.fromkeys(self.shapes.kind))
        prior = self.prior.times(patients)
        return ChangePosterior(self.doses, self.level, self.change, prior, baseline=self.baseline, better=self.better, kinds=kinds)

    @property
    def n(self) -> np.ndarray:
        """Return the patients with a change at each dose, ``(doses,)``."""
        return np.bincount(self.level - 1, minlength=len(self.doses))

    @property
    def df(self) -> float:
        """Return the degrees of freedom of the means given a shape."""
        return self._fit[2]

    @property
    def log_evidence(self) -> float:
        """Return the logarithm of the density of the changes, averaged over the shapes."""
        return float(np.logaddexp.reduce(self._fit[4] + np.log(self.shapes.weight)))

    @cached_property
    def shape_weights(self) -> np.ndarray:
        """Return the posterior weight of each shape, ``(shapes,)``."""
        joint = self._fit[4] + np.log(self.shapes.weight)
        share = np.exp(joint - joint.max())
        return share / share.sum()

    def kind_weights(self) -> dict[str, float]:
        """Return the posterior weight of each kind of shape."""
        kinds = np.array(self.shapes.kind)
        return {kind: float(self.shape_weights[kinds == kind].sum()) for kind in KINDS if (kinds == kind).any()}

    @cached_property
    def _location(self) -> tuple[np.ndarray, np.ndarray]:
        """Return location and squared scale of each dose's mean given each shape, ``(shapes, doses)``, in the endpoint's unit."""
        mean, covariance, _df, scale, _evidence = self._fit
        values, unit = self.shapes.values, self.prior.residual_sd
        location = mean[:, :1] + mean[:, 2:] * values
        spread = covariance[:, :1, 0] + 2 * covariance[:, :1, 2] * values + covariance[:, 2:, 2] * values**2
        return unit * location, unit**2 * scale[:, None] * spread

    def mean(self) -> np.ndarray:
        """Return the posterior mean of each dose's mean change, ``(doses,)``."""
        return self.shape_weights @ self._location[0]

    def sd(self) -> np.ndarray:
        """Return its posterior standard deviation, ``(doses,)``; infinite with at most two degrees of freedom."""
        location, square = self._location
        if self.df <= 2:
            return np.full(len(self.doses), np.inf)
        within = square * self.df / (self.df - 2)
        return np.sqrt(self.shape_weights @ (within + (location - self.mean()) ** 2))

    def below(self, value: float) -> np.ndarray:
        """Return the probability that each dose's mean change is below ``value``, ``(doses,)``."""
        location, square = self._location
        return self.shape_weights @ stdtr(self.df, (value - location) / np.sqrt(square))

    def quantiles(self, probabilities: Sequence[float]) -> np.ndarray:
        """Return quantiles of each dose's mean change, ``(doses, probabilities)``."""
        location, square = (part[:, :, None] for part in self._location)
        wanted = np.asarray(probabilities, float)
        if not ((wanted > 0) & (wanted < 1)).all():
            raise InputError(Problem("probabilities", probabilities, "must be between 0 and 1 (exclusive)"))
        each = location + np.sqrt(square) * stdtrit(self.df, wanted)
        low, high = each.min(axis=0), each.max(axis=0)
        for _bisection in range(_BISECTIONS):
            middle = (low + high) / 2
            under = np.einsum("k,kdp->dp", self.shape_weights, stdtr(self.df, (middle - location) / np.sqrt(square))) < wanted
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return (low + high) / 2

    def p_best(self, among: Sequence[int] | None = None, *, ties: Literal["lowest", "shared"] = "lowest") -> np.ndarray:
        """Return the probability that each dose has the best mean, ``(doses,)``.

        Parameters
        ----------
        among
            Levels compared, from 1; all by default. The others have probability 0.
        ties
            Doses are equal under a flat shape and beyond a plateau. "lowest": the lowest of equal doses is the best; "shared": the
            probability of the shape is shared equally, so that no dose is favoured by being low.
        """
        inside = self._among(among)
        one_of("ties", ties, ("lowest", "shared"))
        below = self._effect_below(0.0)
        found = np.zeros(len(self.doses))
        for direction, share in ((1, 1 - below), (-1, below)):
            # The best value of b2 s if b2 has this sign, for a higher or a lower change.
            rank = direction * self._sign * self.shapes.values[:, inside]
            best = rank >= rank.max(axis=1, keepdims=True) - 1e-12
            if ties == "lowest":
                best &= best.cumsum(axis=1) == 1
            found[inside] += (self.shape_weights * share) @ (best / best.sum(axis=1, keepdims=True))
        return found

    def p_equal(self, among: Sequence[int] | None = None) -> float:
        """Return the probability that all of these doses have the same mean, which only shapes that are flat there give."""
        values = self.shapes.values[:, self._among(among)]
        return float(self.shape_weights[np.ptp(values, axis=1) < 1e-12].sum())

    def within(self, margin: float, among: Sequence[int] | None = None) -> np.ndarray:
        """Return the probability that each dose's mean is within ``margin`` of the best, in the endpoint's unit, ``(doses,)``."""
        inside = self._among(among)
        if not margin >= 0:
            raise InputError(Problem("margin", margin, "must be at least 0"))
        found = np.zeros(len(self.doses))
        for direction in (1, -1):
            rank = direction * self._sign * self.shapes.values[:, inside]
            gap = rank.max(axis=1, keepdims=True) - rank
            # |b2| <= margin / gap, for b2 of this sign.
            with np.errstate(divide="ignore"):
                most = np.where(gap > 1e-12, margin / np.maximum(gap, 1e-12), np.inf)
            none, at = self._effect_below(0.0)[:, None], self._effect_below(direction * most)
            found[inside] += self.shape_weights @ (at - none if direction == 1 else none - at)
        return found

    def expected_loss(self, among: Sequence[int] | None = None) -> np.ndarray:
        """Return the expected difference between the best mean and each dose's, in the endpoint's unit, ``(doses,)``.

        For the dose of the best expected mean it is the expected loss of choosing now. Doses not compared are NaN.
        """
        inside = self._among(among)
        found = np.full(len(self.doses), np.nan)
        total = np.zeros(len(inside))
        for direction in (1, -1):
            rank = direction * self._sign * self.shapes.values[:, inside]
            gap = rank.max(axis=1, keepdims=True) - rank
            total += self.shape_weights @ (gap * self._effect_beyond(direction)[:, None])
        found[inside] = total
        return found

    def predictive_mean(self, points: Sequence[tuple[float, float]]) -> np.ndarray:
        r"""Return the expected utility of a new patient's change at each dose, ``(doses,)``, at the mean baseline.

        The utility is piecewise linear in the change between the points and constant beyond them. The change is t with the
        variance of the mean and sigma^2, and :math:`E(y - c)^+` of a t distribution is closed, so there is no quadrature.

        Parameters
        ----------
        points
            Pairs of change and utility, with increasing changes.

        Examples
        --------
        >>> prior = ChangePrior(residual_sd=4.0)
        >>> found = ChangePosterior((1, 2), [1, 2], [0.0, -4.0], prior)
        >>> found.predictive_mean([(-8.0, 100.0), (0.0, 0.0)]).round(1)
        array([30. , 37.6])
        """
        at, utility = _points(points)
        location, square = self._location
        scale = np.sqrt(square + self.prior.residual_sd**2 * self._fit[3][:, None])
        slopes = np.concatenate([[0.0], np.diff(utility) / np.diff(at), [0.0]])
        total = np.full(location.shape, utility[0])
        for change, step in zip(at, np.diff(slopes), strict=True):
            total += step * scale * _beyond((location - change) / scale, self.df)
        return self.shape_weights @ total

    @property
    def _sign(self) -> int:
        return 1 if self.better == "higher" else -1

    def _among(self, among: Sequence[int] | None) -> np.ndarray:
        levels = range(1, len(self.doses) + 1) if among is None else among
        found = np.array(sorted({whole("among", each, 1, len(self.doses)) - 1 for each in levels}), int)
        if not len(found):
            raise InputError(Problem("among", among, "must hold at least one level"))
        return found

    @cached_property
    def _effect(self) -> tuple[np.ndarray, np.ndarray]:
        """Return location and scale of b2 given each shape, ``(shapes,)``, in the endpoint's unit."""
        mean, covariance, _df, scale, _evidence = self._fit
        unit = self.prior.residual_sd
        return unit * mean[:, 2], unit * np.sqrt(scale * covariance[:, 2, 2])

    def _effect_below(self, value: Any) -> np.ndarray:
        """Return the probability that b2 is below a value given each shape."""
        location, scale = self._effect
        shape = (slice(None),) + (None,) * (np.ndim(value) - 1 if np.ndim(value) else 0)
        return stdtr(self.df, (value - location[shape]) / scale[shape])

    def _effect_beyond(self, direction: int) -> np.ndarray:
        """Return the expectation of the positive part of b2, or of -b2, given each shape."""
        location, scale = self._effect
        return scale * _beyond(direction * location / scale, self.df)


one_thread_methods(ChangePosterior)


def _beyond(mean: np.ndarray, df: float) -> np.ndarray:
    """Return E(mean + T)^+ of a standard t variable T, ``mean F(mean) + (df + mean^2) / (df - 1) f(mean)``."""
    log_density = gammaln((df + 1) / 2) - gammaln(df / 2) - np.log(df * np.pi) / 2 - (df + 1) / 2 * np.log1p(mean**2 / df)
    return mean * stdtr(df, mean) + (df + mean**2) / (df - 1) * np.exp(log_density)


def _numbers(name: str, values: Any, count: int) -> np.ndarray:
    try:
        found = np.asarray(values, float)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != (count,) or not np.isfinite(found).all():
        raise InputError(Problem(name, values, f"must hold {count} numbers, one per patient"))
    return found


def _points(points: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the changes and utilities of a piecewise linear utility."""
    try:
        found: Any = np.asarray(points, float)
    except (TypeError, ValueError):
        found = np.empty(0)
    if (
        found.ndim != 2
        or found.shape[1] != 2
        or len(found) < 2
        or not np.isfinite(found).all()
        or (np.diff(found[:, 0]) <= 0).any()
    ):
        raise InputError(Problem("points", points, "must be at least two pairs of change and utility, with increasing changes"))
    return found[:, 0], found[:, 1]
