"""The posterior of several trials that borrow from one another, by NUTS: of each trial, of what they share, and of a new trial."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit, logit

from .._check import InputError, Problem, whole
from ..models import Curve, HierarchicalLogistic, TrialDoses
from ..models.hierarchical import Population, population
from .base import Figure
from .mcmc import LAST_SEED, CompiledFit, Drawn, DrawnPosterior, NutsSettings, _mean, _mean_and_sd

__all__ = ["SETTINGS", "HierarchicalFit", "HierarchicalPosterior", "TrialPosterior", "hierarchical_fit"]

# Where data are few, the spread between trials is a funnel that default steps are too long for; its free variables are hardly
# correlated, so that a diagonal serves as well as more and is tuned sooner.
SETTINGS = NutsSettings(target_accept=0.95, tune=600, adaptation="draw_diag")


class HierarchicalFit(CompiledFit):
    """A model of several trials, compiled once for any number of data sets and for all models of its structure.

    Parameters
    ----------
    model
        The model with its priors.
    settings
        How long and how carefully to sample.
    sampler
        "nutpie" or "pymc"; by default nutpie where it is installed.

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
        # The free variables alone: the rest follows from them without having been compiled.
        free = tuple(model.starts(1, np.random.default_rng(0)))
        super().__init__(lambda: model.to_pymc(nobody), free, settings or SETTINGS, sampler)

    def sample(self, data: Mapping[str, tuple[Any, Any]], seed: int, model: HierarchicalLogistic | None = None) -> Drawn:
        """Return draws of the free variables, each ``(chains, draws)`` and its own shape.

        Parameters
        ----------
        data
            Of each trial, by name, patients and DLTs: one whole number a dose.
        seed
            Whole number that the draws follow from.
        model
            Another model of the same structure, in place of the one that was compiled.
        """
        model = model or self.model
        if model.structure != self.model.structure:
            allowed = f"must have the structure of the model that was compiled, {self.model.structure}"
            raise InputError(Problem("model.structure", model.structure, allowed))
        n, y = model.tables(data)
        # Not the stream of the seed itself, of which a simulated data set may have been made.
        rng = np.random.default_rng((whole("seed", seed, 0, LAST_SEED), 1))
        starts = model.starts(self.settings.chains, rng)
        return self._drawn({"n": n, "y": y, **model.numbers()}, starts, seed)


def hierarchical_fit(model: HierarchicalLogistic, settings: NutsSettings) -> HierarchicalFit:
    """Return a fit that is kept, for all models of a structure."""
    key = (model.structure, settings)
    if key not in _FITS:
        _FITS[key] = HierarchicalFit(model, settings)
    return _FITS[key]


# Compiled fits by structure and settings.
_FITS: dict[Any, HierarchicalFit] = {}


class TrialPosterior(DrawnPosterior):
    """The posterior of one trial among several.

    What all trials share is watched too: a trial's draws are not to be trusted where those are not.

    Parameters
    ----------
    shared : (chains, draws, k) array
        Draws of what all trials share.
    curve, n, y, theta, divergences, made
        As of `DrawnPosterior`.
    """

    def __init__(
        self, shared: np.ndarray, curve: Curve, n: Any, y: Any, theta: np.ndarray, divergences: int, made: Mapping[str, Any]
    ) -> None:
        super().__init__(curve, n, y, theta, divergences, made)
        self._shared = shared

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
        Of each trial, by name, patients and DLTs: one whole number a dose.
    seed
        Whole number that the draws follow from.
    model
        Another model of the same structure, in place of the one that was compiled.

    Attributes
    ----------
    trials
        The posterior of each trial, by name, with the figures of any other posterior.
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
        """Return mean and standard deviation of mu and tau, each ``(2,)``, and of rho, ``(1,)``, where it is not fixed."""
        found = {"mu": _mean_and_sd(self.mu), "tau": _mean_and_sd(self.tau)}
        return found | ({"rho": _mean_and_sd(self.rho[..., None])} if "z_rho" in self._free else {})

    def exchangeable(self) -> Figure:
        """Return posterior probability that each trial is exchangeable, ``(trials,)``."""
        weights, free = self.model.weights, self._undecided
        value, error = weights.copy(), np.zeros(len(weights))
        if free.any():
            value[free], error[free] = _mean(self.p_ex[..., free])
        return Figure(value, error)

    def new_trial(self, doses: tuple[float, ...], windows: float = 1.0) -> TrialPosterior:
        """Return what the trials say of an exchangeable one that is not yet started: its meta-analytic-predictive prior.

        Its ``draws`` are of (log alpha, log beta), its other figures of the DLT probabilities at its doses.

        Parameters
        ----------
        doses
            The new trial's dose amounts, strictly increasing, in the unit of the others.
        windows
            Its DLT window, as of `TrialDoses`.
        """
        trial = TrialDoses.read({"name": "new", "doses": doses, "windows": windows})
        z = np.random.default_rng((self.seed, 3)).normal(size=(*self.mu.shape[:2], 1, 2))
        theta = population({**self._free, "z": z}, self.model.numbers()).theta[:, :, 0]
        nobody = np.zeros(len(trial.doses), int)
        return self._posterior(self.model.curve_of(trial), nobody, nobody, theta)

    def problems(self) -> list[str]:
        """Return what speaks against trusting the draws, in words, trial by trial; nothing does where it is empty."""
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
        """Of which trials the data can say whether they are exchangeable; of others it is as likely as it was."""
        return (self.model.weights > 0) & (self.model.weights < 1) & (self.n.sum(axis=1) > 0)

    @cached_property
    def p_ex(self) -> np.ndarray:
        """Return probability that each trial is exchangeable given each draw, ``(chains, draws, trials)``."""
        return expit(self._log_odds)

    @cached_property
    def _log_odds(self) -> np.ndarray:
        theta = self._population.theta
        if self.model.exnex is None:
            return np.full(theta.shape[:-1], np.inf)
        given = self.model.numbers()
        terms, own = (self.model.log_terms(one, given) for one in (theta, self.model.own(self._free, given)))
        ratio = self.y * (terms[0] - own[0]) + (self.n - self.y) * (terms[1] - own[1])
        return logit(self.model.weights) + ratio.sum(axis=-1)

    @cached_property
    def _theta(self) -> np.ndarray:
        """Return draws of each trial's parameters, ``(chains, draws, trials, 2)``: as an exchangeable trial or not, as drawn."""
        theta = self._population.theta
        if self.model.exnex is None:
            return theta
        chosen = np.random.default_rng((self.seed, 2)).random(self.p_ex.shape) < self.p_ex
        return np.where(chosen[..., None], theta, self.model.own(self._free, self.model.numbers()))

    @cached_property
    def _shared(self) -> np.ndarray:
        shared = [self.mu, self.tau, self._log_odds[..., self._undecided]]
        return np.concatenate([*shared, *([self.rho[..., None]] if "z_rho" in self._free else [])], axis=-1)
