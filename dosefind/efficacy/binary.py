r"""Response rates by dose under three priors, side by side: independent, rising to a plateau, and logistic-quadratic.

- Independent: the rate of each dose is beta a priori and a posteriori, with no borrowing between doses.
- Plateau: ``logit e(d) = b0 + r (d - d_1) / (d - d_1 + h)``, an Emax curve on the logit that rises by at most r > 0, b0 at the
  lowest dose; h is the difference from the lowest dose at which half of the rise is reached.
- Logistic-quadratic: ``logit e(d) = c + z x + q x^2``, x the centred log dose: the efficacy curve of EffTox.

A curve has three independent standard normal coordinates, the first of which shifts the logit. Its posterior is a trapezoid rule on
a lattice in posterior standard deviations, which contains the lattice of twice its step: the difference of both states the error.
To add a curve, derive from `ResponseCurve`.

References: Thall and Cook (2004), Biometrics 60:684-693, doi:10.1111/j.0006-341X.2004.00218.x (logistic-quadratic);
Trefethen and Weideman (2014), SIAM Review 56:385-458, doi:10.1137/130932132 (trapezoid rule).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache, cached_property
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, field_validator
from scipy.optimize import minimize
from scipy.special import betainc, betaincinv, expit, logit

from .._check import Checked, InputError, Problem, counts
from ..posterior.base import Figure
from ..posterior.exact import root
from ..posterior.quadrature import SAFETY, below_weights
from ..threads import one_thread_methods
from ..words import _, marked

__all__ = [
    "BetaResponse",
    "CurveResponse",
    "IndependentPrior",
    "LogisticQuadratic",
    "Plateau",
    "ResponseCurve",
    "ResponsePosterior",
    "ResponsePrior",
    "legendre",
    "response_posteriors",
]

# Half width and step of the first lattice, in posterior standard deviations; the largest error asked of means; most nodes.
_WIDTH, _STEP, _ASKED, _MOST = 14.0, 2.0, 1e-4, 2**20
# Nodes further than this below the highest log density are left out, and of those for probabilities below a rate, this share.
_REGION, _SHARE = 20.0, 1e-7
# Largest step of a lattice. Halving the step squares the error of a trapezoid rule for an analytic function; the exponent by which
# the error is stated is less, to be cautious.
_FINE, _GAIN = 0.5, 1.5
# Distance for a slope, in logits; number of corrections of a quantile, and error in probability at which no more are made.
_APART, _CORRECTIONS, _REACHED = 1e-3, 12, 1e-5

Amount = Annotated[float, Field(gt=0, strict=True)]
Amounts = Annotated[tuple[Amount, ...], Field(min_length=1)]
Sd = Annotated[float, Field(gt=0, le=10, strict=True)]
Number = Annotated[float, Field(strict=True)]


class ResponsePrior(Checked, ABC):
    """Prior of the response rates of all doses.

    Attributes
    ----------
    doses
        Dose amounts, increasing.
    """

    title: ClassVar[str]
    doses: Amounts

    @field_validator("doses")
    @classmethod
    def _rise(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(high <= low for low, high in pairwise(value)):
            raise ValueError("must be strictly increasing")
        return value

    @abstractmethod
    def times(self, patients: float) -> Self:
        """Return the prior with its information multiplied by ``patients``: 2 doubles its share, 0.5 halves it."""

    @abstractmethod
    def after(self, n: Any, responses: Any) -> ResponsePosterior:
        """Return the posterior after ``responses`` in ``n`` evaluable patients, each ``(doses,)``."""

    @abstractmethod
    def sentence(self) -> str:
        """Return the prior as a sentence."""


class IndependentPrior(ResponsePrior):
    """Independent beta priors of the response rates: no borrowing between doses.

    Attributes
    ----------
    doses
        Dose amounts, increasing.
    a, b
        Parameters of the beta prior of each dose; by default those of Jeffreys.

    Examples
    --------
    >>> IndependentPrior(doses=(1, 3, 5)).after([6, 6, 0], [1, 3, 0]).mean().value.round(3)
    array([0.214, 0.5  , 0.5  ])
    """

    title: ClassVar[str] = marked("Independent doses")
    a: Annotated[float, Field(gt=0, le=1e4, strict=True)] = 0.5
    b: Annotated[float, Field(gt=0, le=1e4, strict=True)] = 0.5

    def times(self, patients: float) -> Self:
        return type(self)(doses=self.doses, a=self.a * patients, b=self.b * patients)

    def after(self, n: Any, responses: Any) -> BetaResponse:
        return BetaResponse(self, n, responses)

    def sentence(self) -> str:
        words = _("The response rates of the doses are independent, each with a Beta({a}, {b}) prior.")
        return words.format(a=f"{self.a:g}", b=f"{self.b:g}")


class ResponseCurve(ResponsePrior):
    """A dose-response curve of the response rate with three standard normal coordinates.

    Attributes
    ----------
    doses
        Dose amounts, increasing.
    level
        Prior mean and standard deviation of the logit where the other coordinates have no effect.
    """

    level: tuple[Number, Sd]

    @property
    @abstractmethod
    def _priors(self) -> dict[str, tuple[float, float]]:
        """Return prior mean and standard deviation of each parameter, by name."""

    @property
    def shift(self) -> float:
        """Return the change of the logit per unit of the first standard coordinate."""
        return self.level[1]

    @abstractmethod
    def logits(self, second: np.ndarray, third: np.ndarray) -> np.ndarray:
        """Return the logits at first coordinate 0, ``(nodes, doses)``, from the other coordinates ``(nodes,)``."""

    def times(self, patients: float) -> Self:
        narrower = patients**-0.5
        scaled = {name: (mean, sd * narrower) for name, (mean, sd) in self._priors.items()}
        return type(self)(doses=self.doses, **scaled)

    def after(self, n: Any, responses: Any) -> CurveResponse:
        return CurveResponse(self, n, responses)


class Plateau(ResponseCurve):
    """A response rate that rises with the dose to a plateau.

    Attributes
    ----------
    doses
        Dose amounts, increasing.
    level
        Prior mean and standard deviation of the logit at the lowest dose.
    rise
        Prior mean and standard deviation of the logarithm of the largest rise of the logit.
    half
        Prior mean and standard deviation of the logarithm of h, relative to the range of the doses.

    Examples
    --------
    >>> found = Plateau(doses=(1, 3, 5)).after([6, 6, 6], [1, 3, 3])
    >>> found.mean().value.round(3)
    array([0.27 , 0.429, 0.474])
    """

    title: ClassVar[str] = marked("Rising to a plateau")
    level: tuple[Number, Sd] = (-1.0, 1.5)
    rise: tuple[Number, Sd] = (0.0, 1.0)
    half: tuple[Number, Sd] = (-1.0, 1.0)

    def logits(self, second: np.ndarray, third: np.ndarray) -> np.ndarray:
        amounts = np.array(self.doses)
        beyond = (amounts - amounts[0]) / max(amounts[-1] - amounts[0], 1e-300)
        rise, half = np.exp(self.rise[0] + self.rise[1] * second), np.exp(self.half[0] + self.half[1] * third)
        return self.level[0] + rise[:, None] * beyond / (beyond + half[:, None])

    @property
    def _priors(self) -> dict[str, tuple[float, float]]:
        return {"level": self.level, "rise": self.rise, "half": self.half}

    def sentence(self) -> str:
        words = _(
            "The logit of the response rate is b0 at the lowest dose and rises by r x / (x + h), x the distance from the "
            "lowest dose as a share of the range of the doses; b0, log r and log h are normal with means {means} and standard "
            "deviations {sds}."
        )
        return words.format(**_means_and_sds(self._priors))


class LogisticQuadratic(ResponseCurve):
    """A response rate whose logit is quadratic in the log dose, so that it may rise and fall.

    Attributes
    ----------
    doses
        Dose amounts, increasing.
    level
        Prior mean and standard deviation of the logit at the geometric mean of the doses.
    slope
        Prior mean and standard deviation of the linear coefficient, per unit of log dose.
    curvature
        Prior mean and standard deviation of the quadratic coefficient.

    Examples
    --------
    >>> found = LogisticQuadratic(doses=(1, 3, 5)).after([6, 6, 6], [1, 3, 3])
    >>> found.mean().value.round(3)
    array([0.258, 0.449, 0.483])
    """

    title: ClassVar[str] = marked("Logistic-quadratic")
    level: tuple[Number, Sd] = (0.0, 1.5)
    slope: tuple[Number, Sd] = (0.0, 1.0)
    curvature: tuple[Number, Sd] = (0.0, 1.0)

    def logits(self, second: np.ndarray, third: np.ndarray) -> np.ndarray:
        logs = np.log(np.array(self.doses))
        x = logs - logs.mean()
        slope, curvature = self.slope[0] + self.slope[1] * second, self.curvature[0] + self.curvature[1] * third
        return self.level[0] + slope[:, None] * x + curvature[:, None] * x**2

    @property
    def _priors(self) -> dict[str, tuple[float, float]]:
        return {"level": self.level, "slope": self.slope, "curvature": self.curvature}

    def sentence(self) -> str:
        words = _(
            "The logit of the response rate is c + z x + q x^2, x the log dose minus its mean over the doses; c, z and q are "
            "normal with means {means} and standard deviations {sds}."
        )
        return words.format(**_means_and_sds(self._priors))


def _means_and_sds(priors: dict[str, tuple[float, float]]) -> dict[str, str]:
    return {name: ", ".join(f"{prior[i]:.4g}" for prior in priors.values()) for i, name in enumerate(("means", "sds"))}


class ResponsePosterior(ABC):
    """The posterior of the response rates after one data set.

    Attributes
    ----------
    prior
        The prior.
    n, responses : (doses,) arrays
        Patients evaluable for response, and responses.
    """

    prior: ResponsePrior
    n: np.ndarray
    responses: np.ndarray

    @abstractmethod
    def mean(self) -> Figure:
        """Return the mean of each dose's response rate, ``(doses,)``, with its error."""

    @abstractmethod
    def sd(self) -> Figure:
        """Return the standard deviation of each dose's response rate, ``(doses,)``, with its error."""

    @abstractmethod
    def below(self, rate: float) -> Figure:
        """Return the probability that each dose's response rate is below ``rate``, ``(doses,)``, with its error."""

    @abstractmethod
    def quantiles(self, probabilities: Sequence[float]) -> np.ndarray:
        """Return quantiles of each dose's response rate, ``(doses, probabilities)``."""

    def with_prior_times(self, patients: float) -> ResponsePosterior:
        """Return the posterior of the same data with the information of the prior multiplied."""
        return self.prior.times(patients).after(self.n, self.responses)


class BetaResponse(ResponsePosterior):
    r"""Independent beta posteriors, ``Beta(a + r_d, b + n_d - r_d)``; closed, with no error beyond rounding.

    Parameters
    ----------
    prior
        The prior.
    n, responses : (doses,) arrays
        Patients evaluable for response, and responses.
    """

    prior: IndependentPrior

    def __init__(self, prior: IndependentPrior, n: Any, responses: Any) -> None:
        self.prior = prior
        self.n, self.responses = _counted(prior, n, responses)
        self.a, self.b = prior.a + self.responses, prior.b + self.n - self.responses

    def mean(self) -> Figure:
        return _exact(self.a / (self.a + self.b))

    def sd(self) -> Figure:
        total = self.a + self.b
        return _exact(np.sqrt(self.a * self.b / (total + 1)) / total)

    def below(self, rate: float) -> Figure:
        return _exact(betainc(self.a, self.b, np.clip(rate, 0.0, 1.0)))

    def quantiles(self, probabilities: Sequence[float]) -> np.ndarray:
        return betaincinv(self.a[:, None], self.b[:, None], np.asarray(probabilities))


class CurveResponse(ResponsePosterior):
    """The posterior of a response curve by three-dimensional quadrature.

    Parameters
    ----------
    prior
        The curve with its prior.
    n, responses : (doses,) arrays
        Patients evaluable for response, and responses.

    Attributes
    ----------
    log_evidence
        Logarithm of the marginal likelihood, without binomial coefficients.

    Raises
    ------
    ArithmeticError
        If the posterior is too narrow for a lattice of about two million nodes.
    """

    prior: ResponseCurve

    def __init__(self, prior: ResponseCurve, n: Any, responses: Any) -> None:
        self.prior = prior
        self.n, self.responses = _counted(prior, n, responses)
        self._middle, self._factor = self._whitened()
        step, size = _STEP, 0
        index = self._near(_lattice(step, np.array([[-_WIDTH] * 3, [_WIDTH] * 3])), step)[0]
        while True:
            box = np.stack([index.min(axis=0) - 1, index.max(axis=0) + 1]) * step
            step /= 2
            index, logits, log_density = self._near(_lattice(step, box), step)
            size += len(index)
            if size > _MOST:
                raise ArithmeticError(f"the posterior of {self.prior.title!r} needs a lattice of more than {_MOST:,} nodes")
            self._index, self._u, self._step, self._even = index, index * step, step, (index % 2 == 0).all(axis=1)
            share = np.exp(log_density - log_density.max())
            self._rates, self._share = expit(logits), share / share.sum()
            even = self._share[self._even]
            moments = np.hstack([self._rates, self._rates**2])
            change = max(
                float(np.abs(self._share @ moments - even / even.sum() @ moments[self._even]).max()), abs(8 * float(even.sum()) - 1)
            )
            self._error = SAFETY * change**_GAIN
            if self._error < _ASKED and step <= _FINE:
                break
        volume = np.log(step**3 * np.prod(np.diag(self._factor)))
        self.log_evidence = float(np.log(share.sum()) + log_density.max() + volume - 1.5 * np.log(2 * np.pi))

    def _whitened(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the mode, and the upper triangular factor by which coordinates in standard deviations become those of the prior.

        The first coordinate moves the first one of the prior only.
        """
        self._middle, self._factor = np.zeros(3), np.eye(3)
        found = minimize(lambda z: -float(self._log_density(z[None])[0]), np.zeros(3), method="BFGS", options={"gtol": 1e-4})
        steps = 1e-3 * np.eye(3)
        corners = np.stack([a + b for a in (*steps, *-steps) for b in (*steps, *-steps)]) + found.x
        at = -self._log_density(corners).reshape(2, 3, 2, 3)
        hessian = (at[0, :, 0] - at[0, :, 1] - at[1, :, 0] + at[1, :, 1]) / (4 * 1e-6)
        values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
        # Flatter than a fifth of the prior's precision only where the curve is not linear: the lattice is wide enough.
        covariance = (vectors / np.maximum(values, 0.2)) @ vectors.T
        return found.x, np.linalg.cholesky(covariance[::-1, ::-1])[::-1, ::-1]

    def _near(self, index: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the nodes whose density is not negligible, their logits, and their log density."""
        logits, log_density = self._at(index * step)
        used = log_density > log_density.max() - _REGION
        return index[used], logits[used], log_density[used]

    def _prior_coordinates(self, u: np.ndarray) -> np.ndarray:
        return self._middle + u @ self._factor.T

    def _logits(self, u: np.ndarray) -> np.ndarray:
        z = self._prior_coordinates(u)
        return self.prior.logits(z[:, 1], z[:, 2]) + self.prior.shift * z[:, :1]

    def _log_density(self, u: np.ndarray) -> np.ndarray:
        return self._at(u)[1]

    def _at(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the logits, and the logarithm of prior density and likelihood without their constants."""
        z = self._prior_coordinates(u)
        logits = self.prior.logits(z[:, 1], z[:, 2]) + self.prior.shift * z[:, :1]
        # n log(1 + e^x) - r x
        softplus = np.maximum(logits, 0.0) + np.log1p(np.exp(-np.abs(logits)))
        return logits, logits @ self.responses - softplus @ self.n - (z**2).sum(axis=1) / 2

    def nodes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the response rates at the nodes, ``(nodes, doses)``, their posterior shares, and places on the lattice.

        For functions of several posteriors at once.
        """
        return self._rates, self._share, self._index.astype(int)

    def mean(self) -> Figure:
        return self._figure(self._share @ self._rates)

    def sd(self) -> Figure:
        mean, square = self._share @ self._rates, self._share @ self._rates**2
        sd = np.sqrt(np.maximum(square - mean**2, 0))
        # d sd = (d E[x^2] + 2 E[x] d E[x]) / (2 sd)
        return Figure(sd, self._error * (1 + 2 * mean) / (2 * np.maximum(sd, 1e-300)))

    def below(self, rate: float) -> Figure:
        if not 0 < rate < 1:
            return self._figure(np.full(len(self.n), float(rate >= 1)))
        every, half = (self._below(np.full(len(self.n), rate), np.arange(len(self.n)), coarse) for coarse in (False, True))
        left_out = float(self._share[self._share <= _SHARE].sum())
        return Figure(np.clip(every, 0, 1), self._error + left_out + SAFETY * np.abs(every - half) ** _GAIN)

    def quantiles(self, probabilities: Sequence[float]) -> np.ndarray:
        wanted = np.tile(np.asarray(probabilities, float), len(self.n))
        dose = np.repeat(np.arange(len(self.n)), len(probabilities))

        def missing(logits: np.ndarray, coarse: bool = True) -> np.ndarray:
            return self._below(expit(logits), dose, coarse) - wanted

        # On the coarser lattice, then corrected by the finer one.
        found = root(missing, len(wanted))
        slope = (missing(found + _APART) - missing(found - _APART)) / (2 * _APART)
        for _correction in range(_CORRECTIONS):
            off = missing(found, coarse=False)
            if np.abs(off).max(initial=0.0) < _REACHED:
                break
            found = found - off / np.maximum(slope, 1e-9)
        return expit(found).reshape(len(self.n), -1)

    @cached_property
    def _without_first(self) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]:
        """Return first coordinate, share, and logits where the first is 0: of the lattice, and of that of twice the step."""
        found = []
        for used in (np.ones(len(self._u), bool), self._even):
            kept = used & (self._share > _SHARE)
            u, share = self._u[kept], self._share[kept]
            found.append((u[:, :1], share / share.sum(), self._logits(u * [0.0, 1.0, 1.0])))
        return tuple(found)

    def _below(self, rate: np.ndarray, dose: np.ndarray, coarse: bool) -> np.ndarray:
        """Return P(rate of each of these doses < rate), by weights that integrate the first coordinate up to the bound."""
        first, share, logits = self._without_first[coarse]
        # With the first coordinate 0, the logit is this far below the rate's.
        bound = (logit(rate) - logits[:, dose]) / (self.prior.shift * self._factor[0, 0])
        return share @ below_weights(first, self._step * (1 + coarse), bound)

    def _figure(self, value: np.ndarray) -> Figure:
        return Figure(value, np.full(value.shape, self._error))


one_thread_methods(BetaResponse)
one_thread_methods(CurveResponse)


def response_posteriors(doses: Sequence[float], n: Any, responses: Any) -> dict[str, ResponsePosterior]:
    """Return the posteriors under the three priors with their default settings, by title.

    With few patients they disagree, which is what they are shown for.

    Parameters
    ----------
    doses
        Dose amounts, increasing.
    n, responses : (doses,) arrays
        Patients evaluable for response, and responses.

    Examples
    --------
    >>> for title, found in response_posteriors((1.0, 3.0, 5.0), [6, 6, 6], [1, 3, 3]).items():
    ...     print(title, found.mean().value.round(2).tolist())
    Independent doses [0.21, 0.5, 0.5]
    Rising to a plateau [0.27, 0.43, 0.47]
    Logistic-quadratic [0.26, 0.45, 0.48]
    """
    amounts = tuple(float(dose) for dose in doses)
    priors: tuple[ResponsePrior, ...] = tuple(make(doses=amounts) for make in (IndependentPrior, Plateau, LogisticQuadratic))
    return {prior.title: prior.after(n, responses) for prior in priors}


@cache
def legendre(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of the Gauss-Legendre rule with this number of points, on [-1, 1]."""
    return np.polynomial.legendre.leggauss(points)


def _lattice(step: float, box: np.ndarray) -> np.ndarray:
    """Return integer multiples of a step within a box, ``(nodes, 3)``; an even number of nodes beyond each end."""
    low, high = 2 * np.floor(box[0] / (2 * step)), 2 * np.ceil(box[1] / (2 * step))
    axes = np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)), indexing="ij")
    return np.column_stack([axis.ravel() for axis in axes])


def _counted(prior: ResponsePrior, n: Any, responses: Any) -> tuple[np.ndarray, np.ndarray]:
    try:
        return counts(n, responses, len(prior.doses))
    except InputError as error:
        names = {"y": "responses"}
        changed = [Problem(names.get(each.where, each.where), each.value, each.allowed) for each in error.problems]
        raise InputError(changed) from None


def _exact(value: np.ndarray) -> Figure:
    return Figure(value, np.zeros(value.shape))
