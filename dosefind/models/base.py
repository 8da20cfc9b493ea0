"""The interface of every dose-toxicity curve, and the shared part of the one-parameter curves.

A curve states its prior once: its parameters are a function of independent standard normal coordinates z. Both engines
use that function and the curve itself, quadrature with NumPy and sampling with PyTensor, so ``xp`` stands for either. Every
dose's DLT probability is monotone in the first coordinate, so that "the dose is below a rate" is one bound in it.

To add a curve, derive from `Curve` (or from `OneParameterCurve`, for use in the CRM) in a new file and add it to the registry of
this package.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator
from scipy.special import ndtr, ndtri, xlogy

from .._check import Checked, InputError, Problem, counts
from ..words import _

if TYPE_CHECKING:
    from pymc import Model

__all__ = ["Amounts", "Curve", "OneParameterCurve", "Positive", "Probability"]

Probability = Annotated[float, Field(gt=0, lt=1, strict=True)]
Positive = Annotated[float, Field(gt=0, strict=True)]


def increasing(quantity: str) -> AfterValidator:
    """Check that a setting has one entry per dose, strictly increasing."""

    def check(value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) == 0 or any(b <= a for a, b in pairwise(value)):
            raise ValueError(f"must hold one {quantity} per dose, strictly increasing")
        return value

    return AfterValidator(check)


# A rate below every curve's ceiling.
_ANY_RATE = 1e-300

Amounts = Annotated[tuple[Positive, ...], increasing("amount")]


class Curve(Checked, ABC):
    """A dose-toxicity curve with its prior."""

    kind: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    parameter_names: ClassVar[tuple[str, ...]]
    # Whether the DLT probabilities increase with the first standard coordinate.
    rises: ClassVar[bool]
    # Whether it has a probability at any dose amount, not only at the levels.
    on_dose_scale: ClassVar[bool] = False

    @property
    @abstractmethod
    def coordinates(self) -> np.ndarray:
        """Return the coordinate of each dose on the curve's own scale, ``(doses,)``."""

    @abstractmethod
    def parameters(self, z: Sequence[Any], xp: Any = np) -> tuple[Any, ...]:
        """Return the parameters at standard normal coordinates, one array or tensor each."""

    @abstractmethod
    def log_terms(self, theta: Sequence[Any], at: Any, xp: Any = np) -> tuple[Any, Any]:
        """Return log p and log(1 - p), without underflow, at parameters that broadcast with the coordinates ``at``."""

    @abstractmethod
    def bound(self, rate: Any, at: Any, rest: Sequence[np.ndarray]) -> np.ndarray:
        """Return the first standard coordinate at which a dose at coordinate ``at`` has DLT probability ``rate``.

        ``rest`` holds the other standard coordinates; all broadcast.
        """

    @property
    @abstractmethod
    def first_step(self) -> tuple[float, ...]:
        """Return the steps of the first quadrature grid, one per coordinate: sufficient for most trials of up to 30 patients."""

    @abstractmethod
    def sentences(self) -> list[str]:
        """Return the curve and its prior as plain sentences."""

    @property
    def n_doses(self) -> int:
        return len(self.coordinates)

    def coordinate(self, amount: Any) -> Any:
        """Return the coordinate of a dose amount on the curve's own scale, for a curve on a dose scale."""
        raise NotImplementedError(f"{self.title} is not on a dose scale")

    def amount(self, coordinate: Any) -> Any:
        """Return the dose amount at a coordinate, for a curve on a dose scale."""
        raise NotImplementedError(f"{self.title} is not on a dose scale")

    def coordinate_of(self, rate: float, theta: Sequence[Any]) -> Any:
        """Return the coordinate at which the DLT probability is ``rate``, for a curve on a dose scale with parameters ``theta``."""
        raise NotImplementedError(f"{self.title} is not on a dose scale")

    @property
    def n_parameters(self) -> int:
        return len(self.parameter_names)

    @property
    def n_coordinates(self) -> int:
        """Return the number of standard coordinates of a component; fewer than the parameters if it fixes a parameter."""
        return self.n_parameters

    @property
    def components(self) -> tuple[tuple[float, Self], ...]:
        """Return the weights and curves of a mixture prior; otherwise the curve itself as the only component."""
        return ((1.0, self),)

    @abstractmethod
    def variants(self) -> Iterator[tuple[str, str, Self]]:
        """Return curves that differ in one assumption: the assumption, its value, the curve."""

    @property
    def pooled(self) -> Self:
        """Return the curve with a single prior that has the moments of the mixture; itself if the prior is not a mixture."""
        return self

    @property
    def counted(self) -> Self:
        """Return the curve of the DLT probability of a patient in the counts: itself, unless it shows that of another period."""
        return self

    def at(self, z: np.ndarray, doses: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return log p and log(1 - p), each ``(nodes, doses)``, at standard coordinates ``z`` (nodes, parameters)."""
        theta = self.parameters(tuple(z.T[:, :, None]))
        return self.log_terms(theta, self.coordinates if doses is None else doses)

    def log_best(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return a bound on the log-likelihood of data sets ``(sets, doses)``: that of the observed rates, ``(sets,)``."""
        counts = np.arange(int(n.max(initial=0)) + 1)
        table = xlogy(counts, counts)
        n, y = n.astype(np.intp, copy=False), y.astype(np.intp, copy=False)
        return sum((table[y[:, d]] + table[n[:, d] - y[:, d]] - table[n[:, d]] for d in range(n.shape[1])), np.zeros(len(n)))

    def to_pymc(self, n: Any, y: Any) -> Model:
        """Return PyMC's own model of the curve and its data.

        Its free variable is ``z``, the standard coordinates of the prior, so it is not centred. The parameters and the DLT
        probabilities ``p`` follow from it; ``n`` and ``y`` are data that ``pymc.set_data`` replaces without compiling again;
        ``dlts`` is observed, so PyMC gives its pointwise log-likelihood and its predictions.

        Parameters
        ----------
        n, y
            Patients and DLTs, one whole number per dose.

        Raises
        ------
        InputError
            If the counts do not fit the doses of this curve.
        """
        import pymc as pm
        import pytensor.tensor as pt

        n, y = counts(n, y, self.n_doses)
        levels, pooled = np.arange(1, self.n_doses + 1), self.pooled
        with pm.Model(coords={"dose": levels, "coordinate": np.arange(1, self.n_coordinates + 1)}) as model:
            treated, dlts = pm.Data("n", n, dims="dose"), pm.Data("y", y, dims="dose")
            z = self._standard(pm)
            theta = pooled.parameters(tuple(z[i] for i in range(self.n_coordinates)), pt)
            for name, value in zip(self.parameter_names, theta, strict=True):
                pm.Deterministic(name, value)
            log_p, log_q = pooled.log_terms(theta, self.coordinates, pt)
            pm.Deterministic("p", pt.exp(log_p), dims="dose")
            # PyMC's binomial takes p, whose logarithm loses precision if p is close to 0 or 1.
            pm.CustomDist("dlts", log_p, log_q, treated, dist=_binomial, logp=_log_binomial, observed=dlts, dims="dose")
        return model

    def starts(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws from the prior in the standard coordinates of `pooled`, each component in turn, ``(count, parameters)``."""
        return rng.normal(size=(count, self.n_coordinates))

    def _standard(self, pm: Any) -> Any:
        """Return the prior of the standard coordinates of `pooled`, as a variable of the current PyMC model."""
        return pm.Normal("z", dims="coordinate")


def _binomial(log_p: Any, log_q: Any, n: Any, size: Any) -> Any:
    import pymc as pm

    return pm.Binomial.dist(n=n, p=pm.math.exp(log_p), size=size)


def _log_binomial(y: Any, log_p: Any, log_q: Any, n: Any) -> Any:
    import pytensor.tensor as pt

    gammaln: Any = pt.gammaln
    return gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1) + y * log_p + (n - y) * log_q


class OneParameterCurve(Curve):
    """A curve with one parameter b, by default normal with mean 0.

    It is a location family on its own scale: with u(p) that scale, ``u(p_d) = u(skeleton_d) + b``. A curve is therefore defined by
    its scale and the inverse; its highest rate, skeletons, crossings and boundaries follow. Further settings of a curve are its
    options, such as the intercept of the logistic curve; they are numbers.

    Attributes
    ----------
    skeleton
        DLT probability of each dose at b = 0, strictly increasing.
    prior_sd
        Prior standard deviation of b.
    uniform
        Bounds between which exp(b) is uniform a priori, instead of the normal prior.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("b",)
    rises: ClassVar[bool] = False
    skeleton: Annotated[tuple[Probability, ...], increasing("probability")]
    prior_sd: Annotated[float, Field(gt=0, le=10, strict=True)] = 1.34**0.5
    uniform: tuple[Annotated[float, Field(ge=0, strict=True)], Positive] | None = None

    @model_validator(mode="after")
    def _prior_is_one(self) -> Self:
        if self.uniform is not None:
            if self.uniform[0] >= self.uniform[1]:
                raise ValueError(f"uniform = {list(self.uniform)} must be [low, high] with low below high")
            if "prior_sd" in self.model_fields_set:
                raise ValueError(f"prior_sd = {self.prior_sd:g} has no effect with uniform")
        return self

    @model_validator(mode="after")
    def _skeleton_lies_below_the_ceiling(self) -> Self:
        if self.skeleton[-1] >= self.ceiling:
            raise ValueError(self.beyond("the skeleton"))
        return self

    @abstractmethod
    def scale(self, p: np.ndarray | float) -> np.ndarray:
        """Return the decreasing function u(p), a scale on which b is a shift."""

    @abstractmethod
    def log_at(self, u: Any, xp: Any = np) -> tuple[Any, Any]:
        """Return log p and log(1 - p) at scale values ``u``, without underflow."""

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """Return the names of the settings that this curve has in addition to those of all one-parameter curves."""
        return tuple(name for name in cls.model_fields if name not in OneParameterCurve.model_fields)

    @classmethod
    def of_options(cls, **options: Any) -> Self:
        """Return a curve with these options, for properties independent of the skeleton: its scale, the inverse and its ceiling."""
        return cls(skeleton=(_ANY_RATE,), **options)

    @property
    def ceiling(self) -> float:
        """Return the supremum of the rates of the curve, approached as its parameter decreases."""
        with np.errstate(divide="ignore"):
            return float(np.exp(self.log_at(-np.inf)[0]))

    def beyond(self, subject: str) -> str:
        """Return the message for a value that is not below the curve's ceiling."""
        cause = ", ".join(f"{name} = {getattr(self, name):g}" for name in self.options()) or f"the curve {self.kind!r}"
        return f"{cause} keeps every rate below {self.ceiling:.3f}: {subject} must be below that"

    @property
    def form(self) -> str:
        """Return the curve with its options, for use in a sentence."""
        options = ", ".join(f"{_(name)} {getattr(self, name):g}" for name in self.options())
        return _("{curve} ({options})").format(curve=_(self.title), options=options) if options else _(self.title)

    @property
    def first_step(self) -> tuple[float, ...]:
        return (1 / 6,)

    @property
    def coordinates(self) -> np.ndarray:
        return self.scale(np.array(self.skeleton))

    def parameters(self, z: Sequence[Any], xp: Any = np) -> tuple[Any, ...]:
        if self.uniform is None:
            return (self.prior_sd * z[0],)
        low, high = self.uniform
        below = ndtr(z[0]) if xp is np else 0.5 * xp.erfc(-z[0] / 2**0.5)
        return (xp.log(low + (high - low) * below),)

    def log_terms(self, theta: Sequence[Any], at: Any, xp: Any = np) -> tuple[Any, Any]:
        return self.log_at(theta[0] + at, xp)

    def bound(self, rate: Any, at: Any, rest: Sequence[np.ndarray] = ()) -> np.ndarray:
        b = self.scale(rate) - at
        if self.uniform is None:
            return b / self.prior_sd
        low, high = self.uniform
        return ndtri(np.clip((np.exp(b) - low) / (high - low), 0.0, 1.0))

    def log_probabilities(self, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return log p and log(1 - p) of every dose, each ``(nodes, doses)``, at parameters ``b`` (nodes,)."""
        return self.log_at(np.asarray(b, float)[:, None] + self.coordinates)

    def probabilities(self, b: np.ndarray | float) -> np.ndarray:
        """Return the DLT probability of every dose, ``(nodes, doses)``, at parameters ``b``."""
        return np.exp(self.log_probabilities(np.atleast_1d(b))[0])

    def crossing(self, dose: int, rate: float) -> float:
        """Return the b at which the dose (index) has DLT probability ``rate``; a larger b makes it less toxic."""
        return float(self.scale(rate) - self.scale(self.skeleton[dose]))

    def prior_sentence(self) -> str:
        """Return the prior of b in words."""
        if self.uniform is None:
            sentence = _("its parameter has a normal prior with mean 0 and variance {variance}")
            return sentence.format(variance=f"{self.prior_sd**2:.4g}")
        sentence = _("the exponential of its parameter has a uniform prior between {low} and {high}")
        return sentence.format(low=f"{self.uniform[0]:g}", high=f"{self.uniform[1]:g}")

    def sentences(self) -> list[str]:
        levels = ", ".join(f"{p:.4g}" for p in self.skeleton)
        return [_("{curve}, skeleton {levels}; {prior}.").format(curve=self.form, levels=levels, prior=self.prior_sentence())]

    def variants(self) -> Iterator[tuple[str, str, Self]]:
        if self.uniform is None:
            for times in (0.5, 2.0):
                yield "prior sd", f"\u00d7 {times:g}", self.model_copy(update={"prior_sd": self.prior_sd * times})
        u = self.coordinates
        # A shift of the skeleton by the distance of one dose: the prior MTD one level lower or higher.
        step = np.diff(u).mean() if len(u) > 1 else 0.0
        for words, shift in (("one level more toxic", step), ("one level less toxic", -step)):
            skeleton = np.exp(self.log_at(u + shift)[0])
            if step:
                yield "skeleton", words, self.model_copy(update={"skeleton": tuple(skeleton.tolist())})

    def most_likely(self, n: np.ndarray, y: np.ndarray) -> float:
        """Return the b that maximises the likelihood of the counts ``n``, ``y``, each (doses,), between -10 and 10.

        Raises
        ------
        InputError
            If no patient or every patient had a DLT: the likelihood then has no maximum.
        """
        from scipy.optimize import minimize_scalar

        if not 0 < y.sum() < n.sum():
            raise InputError(
                Problem(
                    "outcomes",
                    f"{y.sum()} DLTs in {n.sum()} patients",
                    "maximum likelihood needs at least one patient with and one without a DLT",
                )
            )

        def loss(b: float) -> float:
            log_p, log_q = self.log_probabilities(np.array([b]))
            return float(-(log_p[0] @ y + log_q[0] @ (n - y)))

        found: Any = minimize_scalar(loss, bounds=(-10, 10), method="bounded", options={"xatol": 1e-10})
        return float(found.x)

    def boundaries(self, target: float) -> np.ndarray:
        """Return the b at which two neighbouring doses are equally far from the target, ``(doses - 1,)``, increasing.

        A dose is closest to the target between its two boundaries, so the plug-in recommendation is a
        search in this list. They are the intervals H of Cheung (2011, ISBN 9781420088519), chapter 3.
        """
        u = self.coordinates
        low, high = self.scale(target) - u[:-1], self.scale(target) - u[1:]
        # p_k + p_{k+1} decreases in b and equals twice the target between the two crossings: bisect to the last bit.
        for _halving in range(200):
            middle = (low + high) / 2
            total = np.exp(self.log_at(middle + u[:-1])[0]) + np.exp(self.log_at(middle + u[1:])[0])
            too_toxic = total > 2 * target
            before = low, high
            low, high = np.where(too_toxic, middle, low), np.where(too_toxic, high, middle)
            if np.array_equal(before[0], low) and np.array_equal(before[1], high):
                break
        return (low + high) / 2
