"""The posterior by NUTS of several trials that borrow from one another: each trial, the shared parameters, and a new trial."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit, logit

from .._check import InputError, Problem, whole
from ..models import Curve, HierarchicalHazard, HierarchicalLogistic, TrialDoses
from ..models.hierarchical import Population, population
from .base import Figure
from .mcmc import LAST_SEED, CompiledFit, Drawn, DrawnPosterior, NutsSettings, _mean, _mean_and_sd

__all__ = ["SETTINGS", "HazardsPosterior", "HierarchicalFit", "HierarchicalPosterior", "TrialPosterior", "hierarchical_fit"]

# With few data, the between-trial spread is a funnel for which default steps are too long; its free variables are hardly
# correlated, so that a diagonal mass matrix is sufficient and is tuned sooner.
SETTINGS = NutsSettings(target_accept=0.95, tune=600, adaptation="draw_diag")


class HierarchicalFit(CompiledFit):
    """A model of several trials, compiled once for any number of data sets and all models of the same structure.

    Parameters
    ----------
    model
        The model with its priors.
    settings
        Length of sampling and its tuning.
    sampler
        "nutpie" or "pymc"; by default nutpie if it is installed.

    Raises
    ------
    InputError
        If the sampler is unknown or not installed.

    Examples
    --------
    Compiling takes a quarter of a minute, a data set then a second.

    >>> from dosefind import HierarchicalFit, HierarchicalPosterior
    >>> fit = HierarchicalFit(model)  # doctest: +SKIP
    >>> HierarchicalPosterior(fit, {"AS": ([3, 3, 3], [0, 0, 1]), "DLC": ([3, 3, 0], [0, 0, 0])}, seed=1)  # doctest: +SKIP
    """

    def __init__(self, model: HierarchicalLogistic, settings: NutsSettings | None = None, *, sampler: str | None = None) -> None:
        self.model = model
        nobody = {trial.name: ([0] * len(trial.doses), [0] * len(trial.doses)) for trial in model.trials}
        # The free variables only: the rest is computed from them without compilation.
        free = tuple(model.starts(1, np.random.default_rng(0)))
        super().__init__(lambda: model.to_pymc(nobody), free, settings or SETTINGS, sampler)

    def sample(self, data: Mapping[str, tuple[Any, Any]], seed: int, model: HierarchicalLogistic | None = None) -> Drawn:
        """Return draws of the free variables, each ``(chains, draws)`` and its own shape.

        Parameters
        ----------
        data
            Patients and DLTs of each trial, by name: one whole number per dose.
        seed
            Whole number that determines the draws.
        model
            Another model of the same structure, instead of the compiled one.
        """
        model = model or self.model
        if model.structure != self.model.structure:
            allowed = f"must have the structure of the model that was compiled, {self.model.structure}"
            raise InputError(Problem("model.structure", model.structure, allowed))
        n, y = model.tables(data)
        # Not the stream of the seed itself, which may have generated a simulated data set.
        rng = np.random.default_rng((whole("seed", seed, 0, LAST_SEED), 1))
        starts = model.starts(self.settings.chains, rng)
        return self._drawn({"n": n, "y": y, **model.numbers()}, starts, seed)


def hierarchical_fit(model: HierarchicalLogistic, settings: NutsSettings) -> HierarchicalFit:
    """Return a cached fit, for all models of a structure."""
    key = (model.structure, settings)
    if key not in _FITS:
        _FITS[key] = HierarchicalFit(model, settings)
    return _FITS[key]


# Compiled fits by structure and settings.
_FITS: dict[Any, HierarchicalFit] = {}


class TrialPosterior(DrawnPosterior):
    """The posterior of one trial among several.

    Convergence of the shared parameters is checked too: a trial's draws are not reliable if those are not.

    Parameters
    ----------
    shared : (chains, draws, k) array
        Draws of the shared parameters.
    curve, n, y, theta, divergences, made
        See `DrawnPosterior`.
    """

    def __init__(
        self, shared: np.ndarray, curve: Curve, n: Any, y: Any, theta: np.ndarray, divergences: int, made: Mapping[str, Any]
    ) -> None:
        super().__init__(curve, n, y, theta, divergences, made)
        self._shared = shared

    def with_curve(self, curve: Curve) -> TrialPosterior:
        return TrialPosterior(self._shared, curve, self.n, self.y, self._theta, self._divergences, self._made)

    @property
    def _watched(self) -> np.ndarray:
        return np.concatenate([super()._watched, self._shared], axis=-1)


class HierarchicalPosterior:
    """The posterior of several trials after their data, by NUTS.

    Parameters
    ----------
    fit
        The fit, which may be shared between data sets and between models of its structure.
    data
        Patients and DLTs of each trial, by name: one whole number per dose.
    seed
        Whole number that determines the draws.
    model
        Another model of the same structure, instead of the compiled one.

    Attributes
    ----------
    trials
        The posterior of each trial, by name, with the methods of any other posterior.
    mu, tau : (chains, draws, 2) arrays
        Draws of the means and standard deviations of (log alpha, log beta) over trials.
    rho : (chains, draws) array
        Draws of their correlation.
    p_ex : (chains, draws, trials) array
        Probability that each trial is exchangeable, given the data and the draw's other parameters.

    Examples
    --------
    >>> from dosefind import HierarchicalPosterior
    >>> found = HierarchicalPosterior(fit, {"AS": ([3, 3, 3], [0, 0, 1]), "DLC": ([3, 3, 0], [0, 0, 0])}, seed=1)  # doctest: +SKIP
    >>> found.trials["DLC"].below(0.33)  # doctest: +SKIP
    """

    def __init__(
        self, fit: HierarchicalFit, data: Mapping[str, tuple[Any, Any]], seed: int, model: HierarchicalLogistic | None = None
    ) -> None:
        self.fit, self.model, self.seed = fit, model or fit.model, seed
        self.n, self.y = self.model.tables(data)
        self._free, self._divergences, self._made = fit.sample(data, seed, self.model)
        self.mu, self.tau, rho, _ = self._population
        self.rho = np.broadcast_to(rho, self.mu.shape[:2])
        self.trials = {name: self._trial(at) for at, name in enumerate(self.model.names)}

    def parameters(self) -> dict[str, tuple[Figure, Figure]]:
        """Return the mean and standard deviation of mu and tau, each ``(2,)``, and of rho, ``(1,)``, if it is not fixed."""
        found = {"mu": _mean_and_sd(self.mu), "tau": _mean_and_sd(self.tau)}
        return found | ({"rho": _mean_and_sd(self.rho[..., None])} if "z_rho" in self._free else {})

    def exchangeable(self) -> Figure:
        """Return the posterior probability that each trial is exchangeable, ``(trials,)``."""
        weights, free = self.model.weights, self._undecided
        value, error = weights.copy(), np.zeros(len(weights))
        if free.any():
            value[free], error[free] = _mean(self.p_ex[..., free])
        return Figure(value, error)

    def new_trial(self, doses: tuple[float, ...], windows: float = 1.0) -> TrialPosterior:
        """Return the meta-analytic-predictive prior: the distribution for an exchangeable trial that has not started.

        Its ``draws`` are of (log alpha, log beta), its other values are DLT probabilities at its doses.

        Parameters
        ----------
        doses
            The new trial's dose amounts, strictly increasing, in the unit of the others.
        windows
            Its DLT window, see `TrialDoses`.
        """
        trial = TrialDoses.read({"name": "new", "doses": doses, "windows": windows})
        z = np.random.default_rng((self.seed, 3)).normal(size=(*self.mu.shape[:2], 1, 2))
        theta = population({**self._free, "z": z}, self.model.numbers()).theta[:, :, 0]
        nobody = np.zeros(len(trial.doses), int)
        return self._posterior(self.model.curve_of(trial), nobody, nobody, theta)

    def problems(self) -> list[str]:
        """Return problems with the draws, in words, trial by trial; empty if there are none."""
        return [f"{name}: {words}" for name, trial in self.trials.items() for words in trial.problems()]

    def _trial(self, at: int) -> TrialPosterior:
        doses = len(self.model.trials[at].doses)
        return self._posterior(self.model.curve(at), self.n[at, :doses], self.y[at, :doses], self._theta[:, :, at])

    def _posterior(self, curve: Curve, n: np.ndarray, y: np.ndarray, theta: np.ndarray) -> TrialPosterior:
        return TrialPosterior(self._shared, curve, n, y, theta, self._divergences, self._made)

    @cached_property
    def _population(self) -> Population:
        return population(self._free, self.model.numbers())

    @property
    def _undecided(self) -> np.ndarray:
        """Return the trials whose data can inform on exchangeability; for other trials its probability is unchanged."""
        return (self.model.weights > 0) & (self.model.weights < 1) & (self.n.sum(axis=1) > 0)

    @cached_property
    def p_ex(self) -> np.ndarray:
        """Return the probability that each trial is exchangeable given each draw, ``(chains, draws, trials)``."""
        return expit(self._log_odds)

    @cached_property
    def _log_odds(self) -> np.ndarray:
        theta = self._population.theta
        if self.model.exnex is None:
            return np.full(theta.shape[:-1], np.inf)
        given = self.model.numbers()
        terms, own = (self.model.log_terms(parameters, given) for parameters in (theta, self.model.own(self._free, given)))
        ratio = self.y * (terms[0] - own[0]) + (self.n - self.y) * (terms[1] - own[1])
        return logit(self.model.weights) + ratio.sum(axis=-1)

    @cached_property
    def _theta(self) -> np.ndarray:
        """Return draws of each trial's parameters, ``(chains, draws, trials, 2)``: exchangeable or not, as drawn."""
        theta = self._population.theta
        if self.model.exnex is None:
            return theta
        chosen = np.random.default_rng((self.seed, 2)).random(self.p_ex.shape) < self.p_ex
        return np.where(chosen[..., None], theta, self.model.own(self._free, self.model.numbers()))

    @cached_property
    def _shared(self) -> np.ndarray:
        shared = [self.mu, self.tau, self._log_odds[..., self._undecided]]
        return np.concatenate([*shared, *([self.rho[..., None]] if "z_rho" in self._free else [])], axis=-1)


class HazardsPosterior(HierarchicalPosterior):
    """The posterior of hazards per infusion of several trials, of which the first may have parts of courses.

    Parameters
    ----------
    fit, data, seed, model
        See `HierarchicalPosterior`; counts of the first trial are shown, and have no part in the likelihood if the model has
        courses.
    """

    model: HierarchicalHazard

    def __init__(self, fit: HierarchicalFit, data: Mapping[str, tuple[Any, Any]], seed: int, model: HierarchicalHazard) -> None:
        self._counts = model.counts(data)
        super().__init__(fit, data, seed, model)

    def _trial(self, at: int) -> TrialPosterior:
        doses = len(self.model.trials[at].doses)
        n, y = (counted[at, :doses] for counted in self._counts)
        return self._posterior(self.model.curve(at), n, y, self._theta[:, :, at])
