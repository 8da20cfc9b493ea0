"""One simulated data set at a time: parameters from the prior, data from the parameters, and their position in the posterior.

If a posterior is that of its model, its mass below the true value is uniform between 0 and 1 for
every quantity: the PIT value. Quadrature integrates it; for draws, thinned until they are nearly independent, it is the rank,
placed at random within its step and among ties. The likelihood is one of the quantities because without it a posterior that
ignores the data, the prior, would pass.

How patients were assigned to doses is irrelevant, because a posterior depends on the data only: a layout is a number of patients
per dose, or a design that decides as the data accumulate.

To check another engine, derive from `Engine`.

References: Talts, Betancourt, Simpson, Vehtari and Gelman (2018), arXiv:1804.06788; Modrák, Moon, Kim, Bürkner, Huurre,
Faltejsková, Gelman and Vehtari (2023), Bayesian Analysis, doi:10.1214/23-BA1404.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from .._check import InputError, Problem, counts, of_type, one_of
from ..designs import Design
from ..exposure import Interval, intervals_of
from ..models import Curve, Hazard, HierarchicalLogistic
from ..operating.walk import refuse_endless
from ..posterior.base import Posterior
from ..posterior.courses import Courses
from ..posterior.exact import ExactPosterior, exact_fit, root
from ..posterior.hierarchical import SETTINGS, HierarchicalPosterior, hierarchical_fit
from ..posterior.mcmc import LAST_SEED, NutsPosterior, NutsSettings, nuts_fit
from ..posterior.mixture import MixedQuadrature
from ..posterior.quadrature import Nodes, below_weights
from ..trial import COUNT, States

__all__ = [
    "ENGINES",
    "ByCourses",
    "ByHierarchicalNuts",
    "ByNuts",
    "ByQuadrature",
    "Engine",
    "Layout",
    "Model",
    "checked_layout",
    "ranked",
]

Layout = Design | Sequence[int] | Mapping[str, "Design | Sequence[int]"]
"""Patients per dose, or a design that assigns them; for a hierarchical model one of these per trial, by name."""
Model = Curve | HierarchicalLogistic

ALL_DRAWS = 10**9
# Largest error of a PIT value by quadrature, far below what any number of data sets can detect.
EXACT = 1e-6
# The same where the slope has more freedom: the boundary of a rate is steep in it, and a finer grid takes minutes.
ROUGH = 1e-4
# Maximum number of draws for a rank, and their maximum proportion of the effective sample size. This number of independent draws
# places a value to a hundredth, the resolution of the grid on which ranks are evaluated.
MOST_DRAWS, SHARE_OF_ESS = 200, 0.5


class Engine(ABC):
    """A model and the engine whose posteriors are checked.

    Parameters
    ----------
    model
        The model with its priors.
    settings
        Sampler settings; none for quadrature.

    Attributes
    ----------
    quantities
        Names of the quantities compared.
    """

    name: ClassVar[str]
    settings_by_default: ClassVar[NutsSettings | None] = None
    takes: ClassVar[type] = Curve

    def __init__(self, model: Any, settings: NutsSettings | None = None) -> None:
        self.model, self.settings = model, settings or self.settings_by_default

    quantities: tuple[str, ...]

    def one(self, layout: Layout, label: str, seed: int, index: int) -> np.ndarray:
        """Return the PIT value of each quantity in one simulated data set, and its resolution, ``(2, quantities)``.

        A pure function of the settings and its arguments.
        """
        rng, own = (np.random.default_rng((seed, index, stream, *label.encode())) for stream in (0, 1))
        truth, data = self.simulated(layout, rng)
        return self.pit(truth, data, own)

    @abstractmethod
    def simulated(self, layout: Layout, rng: np.random.Generator) -> tuple[Any, Any]:
        """Return parameters drawn from the prior, and a data set simulated from them."""

    @abstractmethod
    def pit(self, truth: Any, data: Any, rng: np.random.Generator) -> np.ndarray:
        """Return the PIT value of each quantity, and its numerical error or the step of its rank, ``(2, quantities)``."""


class CurveEngine(Engine):
    """Shared part of the engines for the posterior of one curve."""

    def __init__(self, model: Curve, settings: NutsSettings | None = None) -> None:
        super().__init__(model, settings)
        doses = tuple(f"p_{level}" for level in range(1, model.n_doses + 1))
        self.quantities = (*model.parameter_names, *doses, "log_likelihood")

    def simulated(self, layout: Any, rng: np.random.Generator) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        weights, curves = zip(*self.model.components, strict=True)
        curve = curves[rng.choice(len(curves), p=weights)]
        theta = np.array(curve.parameters(tuple(rng.normal(size=curve.n_coordinates))))
        p = np.exp(self.model.log_terms(theta, self.model.coordinates)[0])
        return theta, treated(layout, p, rng)

    @abstractmethod
    def posterior(self, n: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Posterior:
        """Return the posterior that is checked."""


class ByQuadrature(CurveEngine):
    """Quadrature: PIT values are integrals, except that of the likelihood, which is its rank among deterministic draws."""

    name: ClassVar[str] = "quadrature"
    # Number of draws among which the likelihood is ranked.
    draws: ClassVar[int] = 200

    def posterior(self, n: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> ExactPosterior:
        return ExactPosterior(exact_fit(self.model, ()), n, y)

    def pit(self, truth: np.ndarray, data: Any, rng: np.random.Generator) -> np.ndarray:
        n, y = data
        found = self.posterior(n, y, rng)
        p = np.exp(self.model.log_terms(truth, self.model.coordinates)[0])
        integral = MixedQuadrature(found.curve, lambda nodes: _below(nodes, truth, p))
        below, error, _ = integral.expect(found.n[None], found.y[None], EXACT)
        likelihood = _quantities(self.model, found.draws(self.draws), n, y)[0, :, -1:]
        rank = _placed(likelihood, _quantities(self.model, truth, n, y)[-1:], rng)
        return np.array([[*below[0].clip(0, 1), *rank], [*error[0], 1 / (self.draws + 1)]])


class ByNuts(CurveEngine):
    """NUTS: PIT values are ranks among thinned draws."""

    name: ClassVar[str] = "nuts"
    settings_by_default: ClassVar[NutsSettings | None] = NutsSettings(chains=2, draws=500, tune=500)

    def posterior(self, n: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Posterior:
        return NutsPosterior(nuts_fit(self.model, self.settings or NutsSettings()), n, y, _seed(rng))

    def pit(self, truth: np.ndarray, data: Any, rng: np.random.Generator) -> np.ndarray:
        n, y = data
        draws = self.posterior(n, y, rng).draws(ALL_DRAWS)
        return ranked(_quantities(self.model, draws, n, y), _quantities(self.model, truth, n, y), rng)


class ByCourses(Engine):
    """Quadrature of a hazard per infusion, with courses as far as they have been followed up."""

    name: ClassVar[str] = "courses"
    takes: ClassVar[type] = Hazard
    # Number of draws among which the likelihood is ranked.
    draws: ClassVar[int] = 200
    # Probability that a patient is still followed up or has left, and that further infusions were not given.
    part, stopped = 0.5, 0.2

    def __init__(self, model: Hazard, settings: NutsSettings | None = None) -> None:
        super().__init__(model, settings)
        doses = (f"p_{level}" for level in range(1, model.n_doses + 1))
        # A value of delta is one of the nodes of its mixture.
        self.quantities = (*model.parameter_names[: model.n_coordinates], *doses, "log_likelihood")

    def simulated(self, layout: Any, rng: np.random.Generator) -> tuple[tuple[Hazard, np.ndarray], list[Any]]:
        # Written from the model's definition, not with the functions that the posterior uses.
        weights, curves = zip(*self.model.components, strict=True)
        curve = curves[rng.choice(len(curves), p=weights)]
        theta = np.array(curve.parameters(tuple(rng.normal(size=curve.n_coordinates))))
        lengths, patients = curve.interval_days, []
        starts = np.concatenate([[0], np.cumsum(lengths)])
        for dose, n in zip(curve.doses, layout, strict=True):
            for _ in range(n):
                given = rng.integers(1, len(lengths) + 1) if rng.random() < self.stopped else len(lengths)
                hazard = np.array([self._factor(curve, k, int(given)) for k in range(1, len(lengths) + 1)])
                hazard = hazard * np.exp(theta[0] + np.exp(theta[1]) * np.log(dose / curve.reference))
                hazard += curve.background * np.array(lengths) / 28
                reached = np.concatenate([[0], np.cumsum(hazard)])
                followed = starts[-1] * (rng.random() if rng.random() < self.part else 1.0)
                left = rng.exponential()
                place = int(np.searchsorted(reached, left)) - 1
                day = np.inf if place == len(lengths) else starts[place] + lengths[place] * (left - reached[place]) / hazard[place]
                infusions = [(float(start), dose) for start in starts[:given] if start < min(day, followed) or start == 0]
                patients.append((infusions, float(min(day, followed)), bool(day <= followed)))
        return (curve, theta), patients

    @staticmethod
    def _factor(curve: Hazard, number: int, given: int) -> float:
        """Return the hazard of an interval relative to the first, if this many infusions were given."""
        if curve.accumulation == "carry-over":
            return sum((curve.rho or 0.0) ** (number - each) for each in range(1, min(number, given) + 1))
        return np.exp((curve.delta or 0.0) * (number - 1)) if number <= given else 0.0

    def intervals(self, patient: Any) -> Sequence[Interval]:
        """Return the intervals of a simulated patient."""
        infusions, days, dlt = patient
        return intervals_of(infusions, self.model.interval_days, self.model.course_days, days, dlt)

    def pit(self, truth: tuple[Hazard, np.ndarray], data: Any, rng: np.random.Generator) -> np.ndarray:
        curve, theta = truth
        nobody = np.zeros(curve.n_doses, int)
        courses = Courses(self.model, tuple(part for patient in data for part in self.intervals(patient)))
        found = ExactPosterior(exact_fit(self.model, (), courses), nobody, nobody)
        n, y = courses.counts(nobody, nobody)
        p = np.exp(curve.log_terms(tuple(theta), curve.coordinates)[0])
        integral = MixedQuadrature(courses.extended, lambda nodes: _below(nodes, theta[: curve.n_coordinates], p))
        below, error, _ = integral.expect(n[None], y[None], ROUGH)

        def likelihood(at: np.ndarray) -> np.ndarray:
            log_y, log_rest = courses.extended.terms(tuple(np.moveaxis(at, -1, 0)[..., None]))
            return (y * log_y + (n - y) * log_rest).sum(axis=-1, keepdims=True)

        rank = _placed(likelihood(found.draws(self.draws)[0]), likelihood(theta), rng)
        return np.array([[*below[0].clip(0, 1), *rank], [*error[0], 1 / (self.draws + 1)]])


class ByHierarchicalNuts(Engine):
    """NUTS over several trials, with their shared parameters, exchangeability, and a trial not yet started."""

    name: ClassVar[str] = "hierarchical-nuts"
    settings_by_default: ClassVar[NutsSettings | None] = replace(SETTINGS, chains=2, draws=500)
    takes: ClassVar[type] = HierarchicalLogistic

    def __init__(self, model: HierarchicalLogistic, settings: NutsSettings | None = None) -> None:
        super().__init__(model, settings)
        self.rho_is_free = model.exchangeable.rho == "uniform"
        # The trials whose data can inform on exchangeability.
        self.undecided = np.flatnonzero((model.weights > 0) & (model.weights < 1))
        pair = ("log_alpha", "log_beta")
        names = [f"{shared}_{parameter}" for shared in ("mu", "tau") for parameter in pair] + ["rho"] * self.rho_is_free
        for trial in model.trials:
            names += [f"{trial.name}: {dose}" for dose in (*pair, *(f"p_{level}" for level in range(1, len(trial.doses) + 1)))]
        names += [f"{model.trials[at].name}: exchangeable" for at in self.undecided]
        self.quantities = (*names, *(f"new trial: {parameter}" for parameter in pair), "log_likelihood")

    def simulated(self, layout: Any, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        # Written from the model's definition, not with the functions used to build the sampled model.
        model, spread = self.model, self.model.exchangeable
        mu = rng.multivariate_normal(spread.mu.mean, spread.mu.factor @ spread.mu.factor.T)
        tau = np.abs(rng.normal(scale=spread.tau_scale))
        rho = rng.uniform(-1, 1) if self.rho_is_free else spread.rho
        between = np.outer(tau, tau) * [[1, rho], [rho, 1]]
        theta = rng.multivariate_normal(mu, between, size=len(model.trials) + 1)
        exchangeable = rng.random(len(model.trials)) < model.weights
        for at, own in enumerate(model.own_priors):
            alone = rng.multivariate_normal(own.mean, own.factor @ own.factor.T)
            theta[at] = theta[at] if exchangeable[at] else alone
        data = {}
        for at, trial in enumerate(model.trials):
            curve = model.curve(at)
            data[trial.name] = treated(layout[trial.name], np.exp(curve.log_terms(theta[at], curve.coordinates)[0]), rng)
        truth = {"mu": mu, "tau": tau, "rho": np.array(rho), "theta": theta[:-1], "new": theta[-1], "exchangeable": exchangeable}
        return truth, data

    def posterior(self, data: Mapping[str, Any], rng: np.random.Generator) -> HierarchicalPosterior:
        """Return the posterior that is checked."""
        return HierarchicalPosterior(hierarchical_fit(self.model, self.settings or SETTINGS), data, _seed(rng), self.model)

    def pit(self, truth: Mapping[str, np.ndarray], data: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
        found = self.posterior(data, rng)
        drawn = {
            "mu": found.mu,
            "tau": found.tau,
            "rho": found.rho,
            "theta": np.stack([trial.draws(ALL_DRAWS) for trial in found.trials.values()], axis=2),
            "new": found.new_trial(self.model.trials[0].doses).draws(ALL_DRAWS),
            "exchangeable": rng.random(found.p_ex.shape) < found.p_ex,
        }
        return ranked(self._quantities(drawn, data), self._quantities(truth, data), rng)

    def _quantities(self, of: Mapping[str, np.ndarray], data: Mapping[str, Any]) -> np.ndarray:
        """Return the quantities compared, ``(..., quantities)``, of draws or of the true values."""
        trials = [_quantities(self.model.curve(at), of["theta"][..., at, :], *pair) for at, pair in enumerate(data.values())]
        shared = [of["mu"], of["tau"], *([of["rho"][..., None]] if self.rho_is_free else [])]
        likelihood = sum(trial[..., -1:] for trial in trials)
        parts = [*shared, *(trial[..., :-1] for trial in trials), of["exchangeable"][..., self.undecided], of["new"], likelihood]
        return np.concatenate(parts, axis=-1)


ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (ByQuadrature, ByNuts, ByCourses, ByHierarchicalNuts)}


def treated(layout: Any, p: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return patients and DLTs of one trial with these DLT rates at its doses, each ``(doses,)``."""
    if not isinstance(layout, Design):
        n = np.asarray(layout)
        return n, rng.binomial(n, p)
    state = States.before_first(len(p), (0,) * layout.n_memory)
    while True:
        decision = layout.decide(state)
        if decision.dose[0] < 0:
            return state.n[0].astype(int), state.y[0].astype(int)
        dose, size = decision.dose.astype(COUNT), decision.size.astype(COUNT)
        dlts = rng.binomial(size, p[dose]).astype(COUNT)
        state = replace(state, memory=decision.memory).follow(slice(None), dose, size, dlts)


def ranked(draws: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the PIT value of each quantity among thinned draws, and the step of its rank, ``(2, quantities)``.

    Parameters
    ----------
    draws
        Draws of each quantity, ``(chains, draws, quantities)``.
    truth
        True values, ``(quantities,)``.
    rng
        Places a value within its step and among equal draws.
    """
    from arviz import ess  # pyright: ignore[reportPrivateImportUsage]

    chains, length, _ = draws.shape
    # Ties of a quantity with itself, as of a likelihood without data, have no effective sample size.
    varies = np.ptp(draws, axis=(0, 1)) > 0
    sizes = [ess(draws[..., varies], method="bulk"), ess(draws[..., varies], method="tail", prob=(0.05, 0.95))]
    # If it is NaN, the chains are stuck.
    size = min([float(chains * length), *np.nan_to_num(sizes, nan=1.0).ravel()])
    kept = max(1, int(min(MOST_DRAWS, SHARE_OF_ESS * size) / chains))
    thinned = draws[:, np.arange(kept) * length // kept]
    placed = _placed(thinned.reshape(chains * kept, -1), truth, rng)
    return np.stack([placed, np.full(len(placed), 1 / (chains * kept + 1))])


def _placed(draws: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the position of a value between 0 and 1 among draws ``(draws, quantities)``, random within its step and ties."""
    below, ties = (draws < truth).sum(axis=0), (draws == truth).sum(axis=0)
    return (below + rng.random(len(truth)) * (ties + 1)) / (len(draws) + 1)


def _quantities(curve: Curve, theta: np.ndarray, n: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return parameters, logits of the DLT probabilities and log-likelihood at parameters ``(..., parameters)``.

    A logit has the same rank as its probability, and is not bounded by 1.
    """
    log_p, log_q = curve.log_terms(tuple(np.moveaxis(theta, -1, 0)[..., None]), curve.coordinates)
    likelihood = (y * log_p + (n - y) * log_q).sum(axis=-1, keepdims=True)
    return np.concatenate([theta, log_p - log_q, likelihood], axis=-1)


def _below(nodes: Nodes, theta: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return weights ``(nodes, parameters + doses)`` whose expectation is the probability of being below these."""
    columns = []
    for at, value in enumerate(theta):
        line = nodes.z[:, at]
        step = float(np.diff(np.unique(line)).min())
        columns.append(below_weights(line, step, _reaches(nodes, at, value)))
    doses = [nodes.below(rate, nodes.curve.coordinates[[dose]])[:, 0] for dose, rate in enumerate(p)]
    return np.column_stack([*columns, *doses])


def _reaches(nodes: Nodes, at: int, value: float) -> np.ndarray:
    """Return the coordinate at which a parameter reaches a value, given each node's others; it increases with its coordinate."""
    others = list(nodes.z.T)

    def beyond(x: np.ndarray) -> np.ndarray:
        return np.asarray(nodes.curve.parameters([*others[:at], x, *others[at + 1 :]])[at]) - value

    return root(beyond, len(nodes.z))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(LAST_SEED, endpoint=True))


def checked_layout(model: Model, layout: Any, where: str) -> Any:
    """Return the layout after checking that it fits the model; patients as a tuple of whole numbers per trial."""
    if isinstance(model, HierarchicalLogistic):
        of_type(where, layout, Mapping, "patients or a design for each trial, by name")
        for name in layout:
            one_of(f"trial of {where}", name, model.names)
        missing = [name for name in model.names if name not in layout]
        if missing:
            raise InputError(Problem(where, list(layout), f"has no entry for the trial {missing[0]!r}"))
        return {trial.name: _one_layout(layout[trial.name], len(trial.doses), f"{where}.{trial.name}") for trial in model.trials}
    return _one_layout(layout, model.n_doses, where)


def _one_layout(layout: Any, n_doses: int, where: str) -> Any:
    if not isinstance(layout, Design):
        try:
            n, _ = counts(layout, np.zeros(n_doses, int), n_doses)
        except InputError:
            allowed = f"must be a design, or {n_doses} whole numbers of patients of at least 0, one per dose"
            raise InputError(Problem(where, layout, allowed)) from None
        return tuple(n.tolist())
    if layout.known_doses not in (None, n_doses):
        raise InputError(Problem(where, layout.title, f"is a design for {layout.known_doses} doses, but the model has {n_doses}"))
    design = layout.with_settings(n_doses=n_doses)
    refuse_endless(design, States.before_first(n_doses, (0,) * design.n_memory))
    # Its settings only, without the grids that a design caches: they would be sent to each process with each chunk.
    settings = {name: getattr(design, name) for name in type(design).model_fields}
    return type(design).model_construct(design.model_fields_set, **settings)
