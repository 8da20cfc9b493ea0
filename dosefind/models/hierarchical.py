"""Hierarchical two-parameter logistic curves of several trials that borrow from one another, each with its own doses.

With theta_j = (log alpha_j, log beta_j) of trial j and one common reference dose, trials are exchangeable if
``theta_j ~ N(mu, diag(tau) R(rho) diag(tau))``, or each trial is exchangeable with a given weight and otherwise has its own prior
(EXNEX): Neuenschwander, Wandel, Roychoudhury and Bailey (2016), Pharmaceutical Statistics 15:123-134, doi:10.1002/pst.1730.
The distribution for a trial not yet started is the meta-analytic-predictive prior: Neuenschwander, Capkun-Niggli, Branson and
Spiegelhalter (2010), Clinical Trials 7:5-18, doi:10.1177/1740774509356002.

Everything is a function of coordinates that are free and independent a priori (`FREE`), a non-centred parametrisation. The
settings enter PyMC's model as data, so that models of the same `structure` share compiled code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, field_validator, model_validator

from .._check import MISSING, NAME, Checked, InputError, Problem, counts, one_of, reach
from ..words import _
from .base import Amounts, Positive, _binomial, _log_binomial
from .logistic2 import Logistic2, over_windows
from .two_parameter import BivariateNormal, Number, prior_words

if TYPE_CHECKING:
    from pymc import Model

__all__ = ["Exchangeable", "Exnex", "HierarchicalLogistic", "Population", "TrialDoses", "population"]

Weight = Annotated[float, Field(ge=0, le=1, strict=True)]
Text = Annotated[str, Field(pattern=NAME, strict=True)]
# Below this number of trials, the posterior of a half-normal tau is nearly its prior.
FEW_TRIALS = 5


def _alone(prior: BivariateNormal) -> BivariateNormal:
    if "weight" in prior.model_fields_set:
        raise ValueError(f"weight = {prior.weight:g} has no effect: this prior is not a component of a mixture")
    return prior


class TrialDoses(Checked):
    """A trial and its doses.

    Attributes
    ----------
    name
        Name of the trial.
    doses
        Its dose amounts, strictly increasing, in the unit shared by all trials and the reference dose.
    windows
        Length of its DLT window in units of the window to which the parameters refer, as in `Logistic2`.
    infusions
        Number of administrations of a dose if amounts add up: trials are comparable at equal sums, and the reference dose is a sum.

    Examples
    --------
    >>> TrialDoses(name="NCT05948982", doses=(1, 2, 4), windows=3).doses
    (1.0, 2.0, 4.0)
    """

    name: Text
    doses: Amounts
    windows: Positive = 1.0
    infusions: Annotated[int, Field(ge=1, le=100, strict=True)] = 1

    @property
    def amounts(self) -> tuple[float, ...]:
        """Return the total amounts over all infusions."""
        return tuple(dose * self.infusions for dose in self.doses)


class Exchangeable(Checked):
    """Distribution of the parameters over exchangeable trials.

    Attributes
    ----------
    mu
        Prior of the mean of (log alpha, log beta) over trials.
    tau_scale
        Scales of the half-normal priors of the between-trial standard deviations of log alpha and log beta.
    rho
        Between-trial correlation of log alpha and log beta: a number, or "uniform" between -1 and 1.

    Examples
    --------
    >>> Exchangeable(mu=BivariateNormal(mean=(-2.2, 0), sd=(2, 1)), tau_scale=(0.5, 0.25), rho="uniform").tau_scale
    (0.5, 0.25)
    """

    mu: BivariateNormal
    tau_scale: tuple[Positive, Positive]
    rho: Number | Literal["uniform"]

    @field_validator("mu")
    @classmethod
    def _mu_is_not_mixed(cls, value: BivariateNormal) -> BivariateNormal:
        return _alone(value)

    @field_validator("tau_scale")
    @classmethod
    def _scale_is_sane(cls, value: tuple[float, float]) -> tuple[float, float]:
        if max(value) > 10:
            raise ValueError("must be scales of at most 10, on the logit scale")
        return value

    @field_validator("rho")
    @classmethod
    def _positive_definite(cls, value: float | str) -> float | str:
        if not isinstance(value, str) and not -1 < value < 1:
            raise ValueError("must be between -1 and 1 (exclusive): otherwise the covariance is not positive definite")
        return value


class Exnex(Checked):
    """Weights of exchangeability, and the priors of trials that are not exchangeable.

    Attributes
    ----------
    weight
        Prior probability that a trial is exchangeable: one value for all trials, or one per trial.
    prior
        Prior of (log alpha, log beta) of a trial that is not exchangeable: one for all trials, or one per trial.

    Examples
    --------
    >>> Exnex(weight=0.5, prior=BivariateNormal(mean=(-2.2, 0), sd=(2, 1))).weight
    0.5
    """

    weight: Weight | tuple[Weight, ...]
    prior: BivariateNormal | tuple[BivariateNormal, ...]

    @field_validator("prior")
    @classmethod
    def _priors_are_not_mixed(cls, value: BivariateNormal | tuple[BivariateNormal, ...]) -> Any:
        for prior in value if isinstance(value, tuple) else (value,):
            _alone(prior)
        return value


class Population(NamedTuple):
    """Parameters over trials, and of each trial as an exchangeable one; arrays or tensors, with leading axes if any.

    Attributes
    ----------
    mu, tau
        Means and standard deviations of (log alpha, log beta) over trials, ``(..., 2)``.
    rho
        Their correlation, ``(...)``.
    theta
        (log alpha, log beta) of each trial, ``(..., trials, 2)``.
    """

    mu: Any
    tau: Any
    rho: Any
    theta: Any


def population(free: Mapping[str, Any], given: Mapping[str, Any], xp: Any = np) -> Population:
    """Return the parameters as a function of the free coordinates and the numeric settings.

    Parameters
    ----------
    free
        ``z_mu``, ``log_spread``, ``z`` and, if rho is not fixed, ``z_rho``.
    given
        `HierarchicalLogistic.numbers`.
    xp
        NumPy or PyTensor's tensor module.
    """
    z = free["z"]
    mu = given["mu_mean"] + (given["mu_factor"] * free["z_mu"][..., None, :]).sum(axis=-1)
    tau = given["tau_scale"] * xp.exp(free["log_spread"])
    # tanh of a logistic variable of scale 1/2 is uniform between -1 and 1.
    rho = xp.tanh(free["z_rho"]) if "z_rho" in free else given["rho"]
    first = rho[..., None] * z[..., 1] + xp.sqrt(1 - rho**2)[..., None] * z[..., 0]
    return Population(mu, tau, rho, mu[..., None, :] + tau[..., None, :] * xp.stack([first, z[..., 1]], axis=-1))


class HierarchicalLogistic(Checked):
    """Two-parameter logistic curves of several trials that borrow from one another.

    Attributes
    ----------
    pooled
        The pooled quantity in words, which must have the same meaning in all trials.
    trials
        The trials with their doses.
    reference
        Dose at which the odds of a DLT are alpha, in the unit of all trials and of comparable size to the doses of every trial.
    exchangeable
        Distribution of the parameters of exchangeable trials.
    exnex
        Weights of exchangeability; by default all trials are exchangeable.

    Examples
    --------
    >>> model = HierarchicalLogistic(
    ...     pooled="DLT over 28 days after one infusion",
    ...     trials=(TrialDoses(name="AS", doses=(1, 3, 5)), TrialDoses(name="DLC", doses=(1, 2, 4))),
    ...     reference=3,
    ...     exchangeable=Exchangeable(mu=BivariateNormal(mean=(-1.7, 0.0), sd=(1.5, 0.7)), tau_scale=(0.5, 0.25), rho=0),
    ... )
    >>> model.tables({"AS": ([3, 3, 3], [0, 0, 1]), "DLC": ([3, 3, 0], [0, 0, 0])})[0]
    array([[3, 3, 3],
           [3, 3, 0]])
    """

    pooled: Text
    trials: Annotated[tuple[TrialDoses, ...], Field(min_length=1, max_length=50)]
    reference: Positive
    exchangeable: Exchangeable
    exnex: Exnex | None = None

    @field_validator("pooled")
    @classmethod
    def _pooled_is_named(cls, value: str) -> str:
        if not any(letter.isalpha() for letter in value):
            raise ValueError("must state what is pooled, such as 'DLT over 28 days after one infusion'")
        return value

    @field_validator("trials")
    @classmethod
    def _names_differ(cls, value: tuple[TrialDoses, ...]) -> tuple[TrialDoses, ...]:
        names = [trial.name for trial in value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"must have different names, but two are named {twice!r}")
        return value

    @model_validator(mode="after")
    def _reference_is_within_reach(self) -> HierarchicalLogistic:
        # Checked for each trial separately, so that one with doses in another unit is not hidden by the others.
        for trial in self.trials:
            low, high = reach(trial.amounts)
            if not low <= self.reference <= high:
                raise ValueError(
                    f"reference = {self.reference:g} is too far from the doses of {trial.name!r}: it must be between "
                    f"{low:g} and {high:g}, in one unit for all trials"
                )
        return self

    @model_validator(mode="after")
    def _one_a_trial(self) -> HierarchicalLogistic:
        for name in ("weight", "prior") if self.exnex else ():
            value = getattr(self.exnex, name)
            if isinstance(value, tuple) and len(value) != len(self.trials):
                raise ValueError(
                    f"exnex.{name} has {len(value)} entries: must be one for all trials or {len(self.trials)}, one per trial"
                )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the trials."""
        return tuple(trial.name for trial in self.trials)

    @property
    def weights(self) -> np.ndarray:
        """Return the prior probability that each trial is exchangeable, ``(trials,)``."""
        return np.array(np.broadcast_to(np.asarray(self.exnex.weight if self.exnex else 1.0, float), len(self.trials)))

    @property
    def own_priors(self) -> tuple[BivariateNormal, ...]:
        """Return the prior of each trial if it is not exchangeable; empty if all are."""
        if self.exnex is None:
            return ()
        return self.exnex.prior if isinstance(self.exnex.prior, tuple) else (self.exnex.prior,) * len(self.trials)

    @property
    def structure(self) -> tuple[int, int, *tuple[Any, ...]]:
        """Return the settings that require compilation: number of trials, maximum number of doses, free rho, EXNEX."""
        return len(self.trials), max(len(trial.doses) for trial in self.trials), self._rho_is_free, self.exnex is not None

    @property
    def _rho_is_free(self) -> bool:
        return self.exchangeable.rho == "uniform"

    @property
    def has_dose(self) -> np.ndarray:
        """Return the cells of a table ``(trials, maximum number of doses)`` that are doses of a trial."""
        return np.arange(self.structure[1]) < np.array([len(trial.doses) for trial in self.trials])[:, None]

    def curve(self, trial: int) -> Logistic2:
        """Return the curve of a trial (index). Its prior has the moments of the hierarchical prior, which is not normal."""
        own = self.own_priors[trial] if self.exnex else None
        return self.curve_of(self.trials[trial], float(self.weights[trial]), own)

    def curve_of(self, trial: TrialDoses, weight: float = 1.0, own: BivariateNormal | None = None) -> Logistic2:
        """Return the same for any trial, exchangeable with this weight and otherwise with its ``own`` prior."""
        parts = [] if weight == 0 else [self._exchangeable_moments(weight)]
        if own is not None and weight < 1:
            parts.append(own.model_copy(update={"weight": 1 - weight}))
        reference = self.reference / trial.infusions
        curve = Logistic2(doses=trial.doses, reference=reference, prior=self.exchangeable.mu, windows=trial.windows)
        return curve.model_copy(update={"prior": tuple(parts)})

    def _exchangeable_moments(self, weight: float) -> BivariateNormal:
        spread = self.exchangeable
        scale, rho = np.array(spread.tau_scale), 0.0 if self._rho_is_free else float(spread.rho)
        # A half-normal tau has mean square scale^2; the product of two has mean 2 / pi times that of the scales.
        covariance = spread.mu.factor @ spread.mu.factor.T + np.outer(scale, scale) * [
            [1.0, 2 * rho / np.pi],
            [2 * rho / np.pi, 1.0],
        ]
        sd = np.sqrt(np.diag(covariance))
        correlation = float(covariance[0, 1] / sd.prod())
        # It may be wider than users may request: no checks.
        return BivariateNormal.model_construct(mean=spread.mu.mean, sd=tuple(sd.tolist()), correlation=correlation, weight=weight)

    def numbers(self) -> dict[str, np.ndarray]:
        """Return the settings as arrays, which PyMC's model takes as data besides the counts."""
        spread = self.exchangeable
        at = np.zeros(self.structure[:2])
        for row, trial in zip(at, self.trials, strict=True):
            row[: len(trial.doses)] = np.log(trial.amounts) - np.log(self.reference)
        found = {
            "at": at,
            "windows": np.array([trial.windows for trial in self.trials]),
            "mu_mean": np.array(spread.mu.mean),
            "mu_factor": spread.mu.factor,
            "tau_scale": np.array(spread.tau_scale),
        }
        if not self._rho_is_free:
            found["rho"] = np.array(float(spread.rho))
        if self.exnex:
            found["weight"] = self.weights
            found["own_mean"] = np.array([prior.mean for prior in self.own_priors])
            found["own_factor"] = np.array([prior.factor for prior in self.own_priors])
        return found

    def tables(self, data: Mapping[str, tuple[Any, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """Return patients and DLTs, each ``(trials, maximum number of doses)``, with zeros for doses that a trial does not have.

        Parameters
        ----------
        data
            Patients and DLTs of each trial, by name: one whole number per dose.

        Raises
        ------
        InputError
            If a trial is unknown or missing, or the counts do not fit its doses.
        """
        for name in data:
            one_of("trial", name, self.names)
        n, y = np.zeros((2, *self.structure[:2]), np.int64)
        for row, trial in enumerate(self.trials):
            if trial.name not in data:
                raise InputError(
                    Problem(trial.name, MISSING, "no counts for this trial: give zeros if no patient has been treated")
                )
            try:
                patients, dlts = data[trial.name]
            except (TypeError, ValueError):
                raise InputError(Problem(trial.name, data[trial.name], "must be two lists, patients and DLTs")) from None
            doses = len(trial.doses)
            try:
                n[row, :doses], y[row, :doses] = counts(patients, dlts, doses)
            except InputError as error:
                raise InputError(error.within(trial.name)) from None
        return n, y

    def own(self, free: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
        """Return (log alpha, log beta) of each trial if it is not exchangeable, ``(..., trials, 2)``."""
        return given["own_mean"] + (given["own_factor"] * free["z_own"][..., None, :]).sum(axis=-1)

    def log_terms(self, theta: Any, given: Mapping[str, Any], xp: Any = np) -> tuple[Any, Any]:
        """Return log p and log(1 - p), ``(..., trials, maximum number of doses)``, at parameters ``(..., trials, 2)``."""
        one_window = Logistic2.one_window((theta[..., 0, None], theta[..., 1, None]), given["at"], xp)
        return over_windows(*one_window, given["windows"][..., None], xp)

    def to_pymc(self, data: Mapping[str, tuple[Any, Any]]) -> Model:
        """Return PyMC's own model of the trials and their data.

        Its free variables are independent a priori: ``z_mu`` and ``z``, standard normal; ``log_spread``, the logarithm of tau /
        scale; ``z_rho``, whose hyperbolic tangent is rho; with EXNEX ``z_own``. Derived from them are ``mu``, ``tau``, ``rho``,
        ``theta`` and ``p``, the parameters and DLT probabilities of each trial as an exchangeable one, and with EXNEX ``theta_own``
        and ``p_own``, those of each trial as a non-exchangeable one, and ``p_ex``, the probability given these and the data that it
        is exchangeable. ``n``, ``y`` and `numbers` are data that ``pymc.set_data`` replaces without recompilation.

        ``dlts`` is observed. With EXNEX its likelihood is that of a trial, mixed over whether the trial is exchangeable, and PyMC's
        predictions draw this by its prior weight: they refer to other trials like these, not to the next patients of these trials.

        Parameters
        ----------
        data
            Patients and DLTs of each trial, by name: one whole number per dose.

        Raises
        ------
        InputError
            If a trial is unknown or missing, or the counts do not fit its doses.
        """
        import pymc as pm

        n, y = self.tables(data)
        names = {"trial": list(self.names), "dose": np.arange(1, n.shape[1] + 1), "parameter": list(Logistic2.parameter_names)}
        with pm.Model(coords=names) as model:
            treated, dlts = pm.Data("n", n, dims=_CELLS), pm.Data("y", y, dims=_CELLS)
            given = {name: pm.Data(name, value) for name, value in self.numbers().items()}
            free = self._free(pm)
            found = population(free, given, _tensors())
            for name, value in found._asdict().items():
                # A fixed rho is data of that name.
                if name not in given:
                    pm.Deterministic(name, value, dims=_DIMS[name])
            terms = self._rates(found.theta, given, "p")
            if self.exnex is None:
                pm.CustomDist("dlts", *terms, treated, dist=_binomial, logp=_log_binomial, observed=dlts, dims=_CELLS)
                return model
            own = pm.Deterministic("theta_own", self.own(free, given), dims=_DIMS["theta"])
            own_terms = self._rates(own, given, "p_own")
            pm.Deterministic("p_ex", _exchangeable_share(treated, dlts, terms, own_terms, given["weight"]), dims="trial")
            pm.CustomDist(
                "dlts",
                *terms,
                *own_terms,
                treated,
                given["weight"],
                dist=_mixed_binomial,
                logp=_log_mixed_binomial,
                signature="(d),(d),(d),(d),(d),()->(d)",
                observed=dlts,
                dims=_CELLS,
            )
        return model

    def _rates(self, theta: Any, given: Mapping[str, Any], name: str) -> tuple[Any, Any]:
        """Return log p and log(1 - p), and p as a variable of the current model: NaN if there is no dose."""
        import pymc as pm

        math = _tensors()
        terms = self.log_terms(theta, given, math)
        pm.Deterministic(name, math.where(self.has_dose, math.exp(terms[0]), np.nan), dims=_CELLS)
        return terms

    def _free(self, pm: Any) -> dict[str, Any]:
        """Return the free variables of the current model."""
        free = {"z_mu": pm.Normal("z_mu", dims="parameter")}
        free["log_spread"] = pm.CustomDist("log_spread", dist=_draw_log_half_normal, logp=_log_half_normal, dims="parameter")
        if self._rho_is_free:
            free["z_rho"] = pm.Logistic("z_rho", 0.0, 0.5)
        free["z"] = pm.Normal("z", dims=_DIMS["theta"])
        if self.exnex:
            free["z_own"] = pm.Normal("z_own", dims=_DIMS["theta"])
        return free

    def starts(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return draws of the free variables from their prior, each ``(count,)`` and its own shape."""
        trials = len(self.trials)
        found = {"z_mu": rng.normal(size=(count, 2)), "log_spread": np.log(np.abs(rng.normal(size=(count, 2))))}
        if self._rho_is_free:
            found["z_rho"] = rng.logistic(0.0, 0.5, size=count)
        found["z"] = rng.normal(size=(count, trials, 2))
        if self.exnex:
            found["z_own"] = rng.normal(size=(count, trials, 2))
        return found

    def sentences(self) -> list[str]:
        """Return the model and its priors as plain sentences."""
        spread, mu = self.exchangeable, self.exchangeable.mu
        scale_alpha, scale_beta = (f"{scale:.4g}" for scale in spread.tau_scale)
        lines = [
            self._curve_sentence(),
            _(
                "Across exchangeable trials (log alpha, log beta) is normal. Its means have a normal prior with means "
                "{mean_alpha} and {mean_beta}, standard deviations {sd_alpha} and {sd_beta} and correlation {correlation}."
            ).format(**prior_words(mu)),
            _(
                "The between-trial standard deviations have half-normal priors with scales {scale_alpha} and {scale_beta}; the "
                "between-trial correlation has a uniform prior between -1 and 1."
            ).format(scale_alpha=scale_alpha, scale_beta=scale_beta)
            if self._rho_is_free
            else _(
                "The between-trial standard deviations have half-normal priors with scales {scale_alpha} and {scale_beta}; the "
                "between-trial correlation is {correlation}."
            ).format(scale_alpha=scale_alpha, scale_beta=scale_beta, correlation=f"{spread.rho:g}"),
        ]
        if len(self.trials) < FEW_TRIALS:
            lines.append(_("With so few trials, the amount of borrowing depends mainly on the scales of this prior."))
        for name, weight, prior in zip(self.names, self.weights, self.own_priors, strict=False):
            sentence = _(
                "{trial} is exchangeable with prior probability {weight}; otherwise (log alpha, log beta) is normal with means "
                "{mean_alpha} and {mean_beta}, standard deviations {sd_alpha} and {sd_beta} and correlation {correlation}."
            )
            lines.append(sentence.format(trial=name, weight=f"{weight:.3g}", **prior_words(prior)))
        return lines

    def _curve_sentence(self) -> str:
        sentence = _(
            "Two-parameter logistic curves of {n} trials ({names}), logit p = log alpha + beta log(dose / {reference}); pooled: "
            "{pooled}."
        )
        return sentence.format(**self._named())

    def _named(self) -> dict[str, str]:
        """Return the numbers and names of the trials as shown, by their places in a sentence."""
        shown = {"n": str(len(self.trials)), "names": ", ".join(self.names)}
        return shown | {"reference": f"{self.reference:g}", "pooled": self.pooled}


_CELLS = ("trial", "dose")
_DIMS = {"mu": ("parameter",), "tau": ("parameter",), "rho": (), "theta": ("trial", "parameter")}


def _draw_log_half_normal(size: Any) -> Any:
    import pymc as pm

    return pm.math.log(pm.math.abs(pm.Normal.dist(size=size)))


def _log_half_normal(value: Any) -> Any:
    """Return the log density of the logarithm of a half-normal variable of scale 1."""
    math = _tensors()
    return np.log(2 / np.pi) / 2 + value - math.exp(2 * value) / 2


def _mixed_binomial(log_p: Any, log_q: Any, own_log_p: Any, own_log_q: Any, n: Any, weight: Any, size: Any) -> Any:
    import pymc as pm

    math = _tensors()
    # One indicator per trial: its doses share it.
    exchangeable = math.eq(pm.Bernoulli.dist(p=weight), 1)
    return pm.Binomial.dist(n=n, p=math.exp(math.where(exchangeable[..., None], log_p, own_log_p)))


def _log_mixed_binomial(y: Any, log_p: Any, log_q: Any, own_log_p: Any, own_log_q: Any, n: Any, weight: Any) -> Any:
    math = _tensors()
    ex, own = (_log_binomial(y, *terms, n).sum(axis=-1) for terms in ((log_p, log_q), (own_log_p, own_log_q)))
    # A weight of 0 or 1 has an infinite logarithm on one side, whose gradient would be NaN.
    between = math.where((weight > 0) & (weight < 1), weight, 0.5)
    mixed = math.logaddexp(math.log(between) + ex, math.log1p(-between) + own)
    return math.where(weight >= 1, ex, math.where(weight <= 0, own, mixed))


def _exchangeable_share(n: Any, y: Any, terms: tuple[Any, Any], own_terms: tuple[Any, Any], weight: Any) -> Any:
    math = _tensors()
    ratio = y * (terms[0] - own_terms[0]) + (n - y) * (terms[1] - own_terms[1])
    return math.sigmoid(math.log(weight) - math.log1p(-weight) + ratio.sum(axis=-1))


def _tensors() -> Any:
    """Return PyTensor's tensor module, whose functions have no types to check."""
    import pytensor.tensor

    return pytensor.tensor
