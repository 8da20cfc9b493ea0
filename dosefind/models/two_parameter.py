"""Shared part of curves on the dose scale with two parameters, log alpha and log beta, and their prior.

(log alpha, log beta) is bivariate normal a priori, or a mixture of such priors. A curve states its link, the function of a rate
that is linear in the log dose: ``link(p_d) = log alpha + beta log(d / reference)``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from .._check import Checked, reach
from ..words import marked
from .base import Amounts, Curve, Positive

__all__ = ["BivariateNormal", "Number", "TwoParameterCurve", "prior_words"]

Number = Annotated[float, Field(strict=True)]


class BivariateNormal(Checked):
    """A normal prior of (log alpha, log beta), with its weight in a mixture.

    Attributes
    ----------
    mean
        Means of log alpha and log beta.
    sd
        Standard deviations of log alpha and log beta.
    correlation
        Correlation of log alpha and log beta.
    weight
        Weight in a mixture of priors.

    Examples
    --------
    >>> from dosefind import Logistic2
    >>> prior = BivariateNormal(mean=(-2.2, 0.0), sd=(2.0, 1.0))
    >>> Logistic2(doses=(1, 3, 5), reference=3, prior=prior).n_doses
    3
    """

    mean: tuple[Number, Number] = Field(description=marked("means of log alpha and log beta"))
    sd: tuple[Positive, Positive] = Field(description=marked("standard deviations of log alpha and log beta"))
    correlation: Number = Field(default=0.0, description=marked("correlation of log alpha and log beta"))
    weight: Positive = Field(default=1.0, description=marked("weight in a mixture of priors"))

    @field_validator("correlation")
    @classmethod
    def _positive_definite(cls, value: float) -> float:
        if not -1 < value < 1:
            raise ValueError("must be between -1 and 1 (exclusive): otherwise the prior's covariance is not positive definite")
        return value

    @field_validator("sd")
    @classmethod
    def _sd_is_sane(cls, value: tuple[float, float]) -> tuple[float, float]:
        if max(value) > 10:
            raise ValueError("must be standard deviations of at most 10, on the logit scale")
        return value

    @property
    def factor(self) -> np.ndarray:
        """Return the matrix that maps standard coordinates to deviations from the mean, ``(2, 2)``."""
        rho = self.correlation
        return np.array(self.sd)[:, None] * np.array([[(1 - rho**2) ** 0.5, rho], [0.0, 1.0]])


class TwoParameterCurve(Curve):
    """A curve on the dose scale that is linear in the log dose on the scale of its link.

    Attributes
    ----------
    doses
        Dose amounts, strictly increasing.
    reference
        Dose to which log alpha refers, in the unit of the doses and of comparable size.
    prior
        Prior of (log alpha, log beta): means, standard deviations and correlation; or a list of such priors with weights.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("log_alpha", "log_beta")
    rises: ClassVar[bool] = True
    on_dose_scale: ClassVar[bool] = True

    doses: Amounts
    reference: Positive
    prior: BivariateNormal | Annotated[tuple[BivariateNormal, ...], Field(min_length=1, max_length=20)]

    @abstractmethod
    def link(self, rate: Any) -> Any:
        """Return the linear predictor at a DLT rate."""

    @model_validator(mode="after")
    def _reference_is_within_reach(self) -> Self:
        low, high = reach(self.doses)
        if not low <= self.reference <= high:
            raise ValueError(f"reference = {self.reference:g} is too far from the doses: it must be between {low:g} and {high:g}")
        return self

    @property
    def priors(self) -> tuple[BivariateNormal, ...]:
        """Return the components of the prior, one unless it is a mixture."""
        return self.prior if isinstance(self.prior, tuple) else (self.prior,)

    @property
    def components(self) -> tuple[tuple[float, Self], ...]:
        total = sum(prior.weight for prior in self.priors)
        return tuple((prior.weight / total, self.model_copy(update={"prior": prior})) for prior in self.priors)

    @property
    def pooled(self) -> Self:
        if len(self.priors) == 1:
            return self
        weight, mean, factor = self._mixture
        centre = weight @ mean
        away = mean - centre
        covariance = np.einsum("c,cij->ij", weight, factor @ factor.mT + away[:, :, None] * away[:, None, :])
        sd = np.sqrt(np.diag(covariance))
        correlation = float(covariance[0, 1] / sd.prod())
        # The moments of components far apart may be wider than users may request: no checks.
        prior = BivariateNormal.model_construct(mean=tuple(centre), sd=tuple(sd), correlation=correlation, weight=1.0)
        return self.model_copy(update={"prior": prior})

    @property
    def _mixture(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return weights, means and factors of the components of the prior."""
        weight = np.array([share for share, _ in self.components])
        return weight, np.array([prior.mean for prior in self.priors]), np.array([prior.factor for prior in self.priors])

    @property
    def _standard_mixture(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the same in the standard coordinates of the pooled prior, in which each component is still normal."""
        weight, mean, factor = self._mixture
        pooled = self.pooled._only
        back = np.linalg.inv(pooled.factor)
        return weight, (mean - np.array(pooled.mean)) @ back.T, back @ factor

    def starts(self, count: int, rng: np.random.Generator) -> np.ndarray:
        _, mean, factor = self._standard_mixture
        part = np.arange(count) % len(mean)
        return mean[part] + np.einsum("cij,cj->ci", factor[part], super().starts(count, rng))

    def _standard(self, pm: Any) -> Any:
        if len(self.priors) == 1:
            return super()._standard(pm)
        import pytensor.tensor as pt

        weight, mean, factor = self._standard_mixture
        back = np.linalg.inv(factor)
        log_height = np.log(weight / np.abs(np.linalg.det(factor)) / (2 * np.pi))

        # Written out: PyMC's multivariate normal calls LAPACK, which is slow to compile and which numba warns that it cannot cache.
        def log_density(z: Any) -> Any:
            own = (back * (z - mean)[:, None, :]).sum(axis=-1)
            return pm.math.logsumexp(log_height - (own**2).sum(axis=-1) / 2)

        def draw(size: Any) -> Any:
            part = pm.Categorical.dist(p=weight)
            return pt.as_tensor(mean)[part] + (pt.as_tensor(factor)[part] * pm.Normal.dist(size=2)).sum(axis=-1)

        return pm.CustomDist("z", dist=draw, logp=log_density, signature="->(k)", dims="coordinate")

    @property
    def first_step(self) -> tuple[float, ...]:
        # A quarter on the logit scale, and an eighth of the prior's own scale: more of it if it is narrow, because data then do not
        # narrow it further.
        sd, rho = self._only.sd, self._only.correlation
        narrow = sd[0] * (1 - rho**2) ** 0.5
        return min(max(1 / 8, 1 / (16 * narrow)), 2 / 5, 1 / (4 * narrow)), min(1 / 6, 1 / (6 * sd[1]))

    @property
    def coordinates(self) -> np.ndarray:
        return self.coordinate(np.array(self.doses))

    def coordinate(self, amount: Any) -> Any:
        """Return the coordinate of a dose amount on the curve's scale, log(amount / reference)."""
        return np.log(amount) - np.log(self.reference)

    def amount(self, coordinate: Any) -> Any:
        """Return the dose amount at a coordinate."""
        return self.reference * np.exp(coordinate)

    def coordinate_of(self, rate: float, theta: Sequence[Any]) -> Any:
        # A flat curve reaches the rate further away than any dose can be.
        with np.errstate(over="ignore"):
            return (self.link(rate) - theta[0]) * np.exp(-theta[1])

    def bound(self, rate: Any, at: Any, rest: Sequence[np.ndarray]) -> np.ndarray:
        prior, rho = self._only, self._only.correlation
        log_alpha = self.link(rate) - np.exp(prior.mean[1] + prior.sd[1] * rest[0]) * at
        return ((log_alpha - prior.mean[0]) / prior.sd[0] - rho * rest[0]) / (1 - rho**2) ** 0.5

    @property
    def _only(self) -> BivariateNormal:
        (prior,) = self.priors
        return prior

    def parameters(self, z: Sequence[Any], xp: Any = np) -> tuple[Any, ...]:
        prior, rho = self._only, self._only.correlation
        log_alpha = prior.mean[0] + prior.sd[0] * (rho * z[1] + (1 - rho**2) ** 0.5 * z[0])
        return log_alpha, prior.mean[1] + prior.sd[1] * z[1]

    def variants(self) -> Iterator[tuple[str, str, Self]]:
        def changed(shift: float = 0.0, times: float = 1.0) -> Self:
            priors = tuple(
                prior.model_copy(
                    update={"mean": (prior.mean[0] + shift, prior.mean[1]), "sd": (prior.sd[0] * times, prior.sd[1] * times)}
                )
                for prior in self.priors
            )
            return self.model_copy(update={"prior": priors})

        for times in (0.5, 2.0):
            yield "prior sd", f"\u00d7 {times:g}", changed(times=times)
        for shift in (-1.0, 1.0):
            yield "mean log alpha", f"{shift:+g}", changed(shift)
        for dose in self.doses:
            if dose != self.reference:
                yield "reference dose", f"{dose:g}", self.model_copy(update={"reference": float(dose)})

    def prior_sentences(self) -> list[str]:
        """Return the prior in words, one sentence per component."""
        # Not at the top of the module, where `_` would be read as this in the code that a stored calibration ran.
        from ..words import _

        lines = []
        for weight, curve in self.components:
            prior = curve._only
            if len(self.priors) > 1:
                sentence = _(
                    "With prior weight {weight}, (log alpha, log beta) is normal with means {mean_alpha} and {mean_beta}, standard "
                    "deviations {sd_alpha} and {sd_beta} and correlation {correlation}."
                )
            else:
                sentence = _(
                    "The prior of (log alpha, log beta) is normal with means {mean_alpha} and {mean_beta}, standard deviations "
                    "{sd_alpha} and {sd_beta} and correlation {correlation}."
                )
            lines.append(sentence.format(weight=f"{weight:.3g}", **prior_words(prior)))
        return lines


def prior_words(prior: BivariateNormal) -> dict[str, str]:
    """Return the numbers of a prior as shown, by their places in a sentence."""
    (mean_alpha, mean_beta), (sd_alpha, sd_beta) = prior.mean, prior.sd
    numbers = {"mean_alpha": mean_alpha, "mean_beta": mean_beta, "sd_alpha": sd_alpha, "sd_beta": sd_beta}
    return {name: f"{value:.4g}" for name, value in numbers.items()} | {"correlation": f"{prior.correlation:g}"}
