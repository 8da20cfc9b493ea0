"""The posterior by NUTS: draws from PyMC's model of a curve, with Monte Carlo standard errors.

Compiling a model takes a hundred times as long as sampling it, so `NutsFit` compiles once and passes each data set to the
compiled model. It samples with nutpie if that is installed (the extra ``nuts``) and otherwise with PyMC's own NUTS; the diagnostics
state which. Chains start at draws from the prior, one from each component of a mixture in turn, so that R-hat shows if they
do not mix. The draws depend on the data, the seed and the settings, not on the number of threads or on earlier sampling.

Unreliable draws raise no error: `NutsPosterior.problems` describes the problems, and the caller decides. No diagnostic detects a
mode that every chain has left: for components of a mixture many standard deviations apart, quadrature is exact.

To add a sampler, derive from `Sampler` and add it to `SAMPLERS`. PyMC, nutpie and ArviZ are imported where they are used.

References: Hoffman and Gelman (2014), JMLR 15:1593-1623 (NUTS); Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), Bayesian
Analysis 16:667-718, doi:10.1214/20-BA1221 (R-hat, bulk and tail effective sample size).
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from .._check import InputError, Problem, counts, one_of, probability, whole
from ..models import Curve
from ..words import _, counted
from .base import Figure, Posterior
from .exact import FAR

if TYPE_CHECKING:
    from pymc import Model

__all__ = ["SAMPLERS", "CompiledFit", "Drawn", "DrawnPosterior", "NutsFit", "NutsPosterior", "NutsSettings", "Sampler", "nuts_fit"]

# Beyond these limits, draws are not reliable: Vehtari et al. (2021), section 4.
LARGEST_RHAT, LEAST_ESS = 1.01, 400
# The largest seed that every sampler accepts.
LAST_SEED = 2**32 - 1


@dataclass(frozen=True)
class NutsSettings:
    """Length of sampling and its tuning.

    Attributes
    ----------
    chains
        Number of independent chains.
    draws
        Draws kept per chain.
    tune
        Tuning draws per chain, before the others and not kept.
    target_accept
        Mean acceptance rate to which the step size is tuned; closer to 1 is slower with fewer divergences.
    after_divergences
        Mean acceptance rate of a second run from the start if any draw diverged; closer to 1 than ``target_accept``.
    adaptation
        Method by which nutpie tunes the scales of the parameters; PyMC's own NUTS has one method.
    """

    chains: int = 4
    draws: int = 1000
    tune: int = 1000
    target_accept: float = 0.9
    after_divergences: float = 0.99
    # With it, correlated parameters have a third more effective draws, wide priors three times as many.
    adaptation: Literal["low_rank", "draw_diag"] = "low_rank"

    def __post_init__(self) -> None:
        whole("chains", self.chains, 1, 100)
        whole("draws", self.draws, 10)
        whole("tune", self.tune, 100)
        probability("target_accept", self.target_accept)
        probability("after_divergences", self.after_divergences)
        one_of("adaptation", self.adaptation, ("low_rank", "draw_diag"))


class Sampler(ABC):
    """A sampler with a compiled model.

    Parameters
    ----------
    model
        PyMC's model.
    names
        Variables to draw.
    settings
        Length of sampling and its tuning.
    """

    name: ClassVar[str]

    @abstractmethod
    def __init__(self, model: Model, names: Sequence[str], settings: NutsSettings) -> None: ...

    @abstractmethod
    def sample(
        self, data: Mapping[str, np.ndarray], starts: Mapping[str, np.ndarray], seed: int, target_accept: float
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Return draws of each variable, ``(chains, draws)`` and its own shape, and which draws diverged, ``(chains, draws)``.

        Parameters
        ----------
        data
            Replacements of the data of the model, by name.
        starts
            Starting values of each chain: for each free variable of the model ``(chains,)`` and its own shape.
        seed
            Whole number that determines the draws.
        target_accept
            Mean acceptance rate to which the step size is tuned.
        """


class Nutpie(Sampler):
    """NUTS by nutpie."""

    name: ClassVar[str] = "nutpie"

    def __init__(self, model: Model, names: Sequence[str], settings: NutsSettings) -> None:
        import nutpie

        self.names, self.settings = names, settings
        self.free = [variable.name for variable in model.free_RVs]
        # A frozen model does not accept other data.
        self.compiled: Any = nutpie.compile_pymc_model(model, freeze_model=False, var_names=list(names))

    def sample(
        self, data: Mapping[str, np.ndarray], starts: Mapping[str, np.ndarray], seed: int, target_accept: float
    ) -> tuple[list[np.ndarray], np.ndarray]:
        compiled = self.compiled.with_data(**data)
        seeds = np.random.SeedSequence(seed).generate_state(self.settings.chains)
        running = []
        for chain, own_seed in enumerate(seeds):
            start = np.concatenate([np.ravel(starts[name][chain]) for name in self.free])
            started = replace(compiled, initial_point_func=lambda _, start=start: start)
            running.append(self._run(started, int(own_seed), target_accept))
        traces = [chain.wait().get_arrow_trace() for chain in running]
        draws = [self._stack([chains[0] for chains, _ in traces], name) for name in self.names]
        return draws, self._stack([statistics[0] for _, statistics in traces], "diverging")

    def _run(self, compiled: Any, seed: int, target_accept: float) -> Any:
        """Return a running chain: nutpie does not give each of several chains its own start."""
        import nutpie

        # Labelling the trace, and two dozen unused statistics, would take half as long as sampling.
        return nutpie.sample(
            compiled,
            draws=self.settings.draws,
            tune=self.settings.tune,
            target_accept=target_accept,
            adaptation=self.settings.adaptation,
            chains=1,
            cores=1,
            seed=seed,
            save_warmup=False,
            progress_bar=False,
            return_raw_trace=True,
            blocking=False,
        )

    def _stack(self, batches: Sequence[Any], name: str) -> np.ndarray:
        """Return one column of each chain's trace, without the tuning draws, which come first if they were kept."""
        shape = self.compiled.shapes.get(name, ())
        columns = [batch.column(name) for batch in batches]
        # Arrays are stored there as lists.
        values = [np.array(column.to_pylist()).reshape(-1, *shape) if shape else column.to_numpy() for column in columns]
        return np.stack([value[-self.settings.draws :] for value in values])


class OwnNuts(Sampler):
    """PyMC's own NUTS."""

    name: ClassVar[str] = "pymc"

    def __init__(self, model: Model, names: Sequence[str], settings: NutsSettings) -> None:
        self.model, self.names, self.settings = model, names, settings
        self._steps: dict[float, tuple[Any, Any]] = {}
        self._step(settings.target_accept)

    def sample(
        self, data: Mapping[str, np.ndarray], starts: Mapping[str, np.ndarray], seed: int, target_accept: float
    ) -> tuple[list[np.ndarray], np.ndarray]:
        import pymc as pm

        settings, step = self.settings, self._step(target_accept)
        with self.model, _without_messages("pymc"):
            pm.set_data(dict(data))
            trace = pm.sample(
                draws=settings.draws,
                tune=settings.tune,
                chains=settings.chains,
                cores=1,
                step=step,
                nuts_sampler="pymc",
                initvals=[{name: start[chain] for name, start in starts.items()} for chain in range(settings.chains)],
                random_seed=seed,
                var_names=list(self.names),
                compute_convergence_checks=False,
                progressbar=False,
            )
        return [trace["posterior"][name].to_numpy() for name in self.names], trace["sample_stats"]["diverging"].to_numpy()

    def _step(self, target_accept: float) -> Any:
        """Return the compiled step method in its state before tuning."""
        import pymc as pm

        if target_accept not in self._steps:
            with self.model:
                step = pm.NUTS(target_accept=target_accept)
            self._steps[target_accept] = step, step.sampling_state
        step, fresh = self._steps[target_accept]
        step.sampling_state = fresh
        return step


SAMPLERS: dict[str, type[Sampler]] = {sampler.name: sampler for sampler in (Nutpie, OwnNuts)}


@contextmanager
def _without_messages(logger: str) -> Iterator[None]:
    """Silence messages of a logger below a warning."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)


class Drawn(NamedTuple):
    """Draws of each variable, the number of divergences, and how they were made, with the acceptance rate of the last run."""

    draws: dict[str, np.ndarray]
    divergences: int
    made: dict[str, Any]


class CompiledFit:
    """A compiled PyMC model, for any number of data sets.

    Parameters
    ----------
    model
        PyMC's model.
    names
        Variables to draw.
    settings
        Length of sampling and its tuning.
    sampler
        "nutpie" or "pymc"; by default nutpie if it is installed.

    Raises
    ------
    InputError
        If the sampler is unknown or not installed.
    """

    def __init__(self, model: Callable[[], Model], names: Sequence[str], settings: NutsSettings, sampler: str | None) -> None:
        # Installation is checked before the model is made.
        chosen = SAMPLERS[_installed(sampler)]
        self.names, self.settings = tuple(names), settings
        self.sampler = chosen(model(), self.names, settings)

    def _drawn(self, data: Mapping[str, np.ndarray], starts: Mapping[str, np.ndarray], seed: int) -> Drawn:
        """Return draws, repeated once with shorter steps if any of them diverged."""
        settings = self.settings
        for accept in (settings.target_accept, settings.after_divergences):
            draws, diverged = self.sampler.sample(data, starts, seed, accept)
            if not diverged.any():
                break
        made = {**asdict(settings), "target_accept": accept, "seed": seed, "sampler": self.sampler.name}
        return Drawn(dict(zip(self.names, draws, strict=True)), int(diverged.sum()), made)


class NutsFit(CompiledFit):
    """A curve's model, compiled once for any number of data sets.

    Parameters
    ----------
    curve
        The curve with its prior.
    settings
        Length of sampling and its tuning.
    sampler
        "nutpie" or "pymc"; by default nutpie if it is installed.

    Raises
    ------
    InputError
        If the sampler is unknown or not installed.
    """

    def __init__(self, curve: Curve, settings: NutsSettings | None = None, *, sampler: str | None = None) -> None:
        self.curve = curve
        nobody = np.zeros(curve.n_doses, int)
        super().__init__(lambda: curve.to_pymc(nobody, nobody), curve.parameter_names, settings or NutsSettings(), sampler)

    def sample(self, n: Any, y: Any, seed: int) -> Drawn:
        """Return draws of the parameters after one data set, each ``(chains, draws)``.

        Parameters
        ----------
        n, y : (doses,) arrays
            Patients and DLTs.
        seed
            Whole number that determines the draws.
        """
        n, y = counts(n, y, self.curve.n_doses)
        # Not the stream of the seed itself, which may have generated a simulated data set.
        rng = np.random.default_rng((whole("seed", seed, 0, LAST_SEED), 1))
        starts = {"z": self.curve.starts(self.settings.chains, rng)}
        return self._drawn({"n": n, "y": y}, starts, seed)


@lru_cache(maxsize=8)
def nuts_fit(curve: Curve, settings: NutsSettings) -> NutsFit:
    """Return a cached fit, because compiling takes much longer than sampling."""
    return NutsFit(curve, settings)


def _installed(sampler: str | None) -> str:
    nutpie = find_spec("nutpie") is not None
    if sampler is None:
        return "nutpie" if nutpie else "pymc"
    if one_of("sampler", sampler, SAMPLERS) == "nutpie" and not nutpie:
        raise InputError(Problem("sampler", sampler, "is not installed: pip install 'dosefind[nuts]', or use 'pymc'"))
    return sampler


class DrawnPosterior(Posterior):
    """The posterior of a curve after one data set, by draws of its parameters.

    An error is the Monte Carlo standard error of its value. That of a probability is never below ``(1 - 0.05 ** (1 / ESS)) / 3``,
    about 1 / ESS, with the smallest of the diagnostics' effective sample sizes: if none or all of the draws are in the set, three
    errors reach the one-sided 95% binomial limit.

    Parameters
    ----------
    curve
        The curve with its prior.
    n, y : (doses,) arrays
        Patients and DLTs.
    theta : (chains, draws, parameters) array
        Draws of the parameters.
    divergences
        Number of divergences.
    made
        How the draws were made, as stated in the diagnostics.
    """

    engine: ClassVar[str] = "nuts"
    samples: ClassVar[bool] = True

    def __init__(self, curve: Curve, n: Any, y: Any, theta: np.ndarray, divergences: int, made: Mapping[str, Any]) -> None:
        self.curve = curve
        self.n, self.y = counts(n, y, curve.n_doses)
        self._theta, self._divergences, self._made = theta, divergences, dict(made)

    def with_curve(self, curve: Curve) -> DrawnPosterior:
        """Return the same draws with the DLT probabilities of another curve of these parameters, such as over another period."""
        return DrawnPosterior(curve, self.n, self.y, self._theta, self._divergences, self._made)

    def moments(self) -> tuple[Figure, Figure]:
        return _mean_and_sd(self._p)

    def parameters(self) -> tuple[Figure, Figure]:
        return _mean_and_sd(self._theta)

    def below(self, rate: float) -> Figure:
        return self._chance(self._p < rate)

    def mtd(self, target: float) -> Figure:
        # Draw by draw, which gives each level its own error.
        at_most = np.pad(self._p <= target, ((0, 0), (0, 0), (1, 1)), constant_values=((0, 0), (0, 0), (True, False)))
        return self._chance(at_most[..., :-1] & ~at_most[..., 1:])

    def quantiles(self, probabilities: Sequence[float], at: np.ndarray | None = None) -> np.ndarray:
        p = self._p if at is None else np.exp(self._log_terms_at(at)[0])
        return np.quantile(p, probabilities, axis=(0, 1)).T

    def mtd_quantiles(self, target: float, probabilities: Sequence[float]) -> np.ndarray:
        at = self.curve.coordinate_of(target, tuple(np.moveaxis(self._theta, -1, 0)))
        found = np.quantile(np.clip(at, -FAR, FAR), probabilities)
        return np.where(found <= -FAR, 0.0, np.where(found >= FAR, np.inf, self.curve.amount(found)))

    def draws(self, count: int) -> np.ndarray:
        """Return draws of the parameters, equally spaced in each chain; all of them if ``count`` is larger."""
        chains, draws, _ = self._theta.shape
        kept = min(draws, max(1, round(whole("count", count, 1) / chains)))
        return self._theta[:, np.arange(kept) * draws // kept]

    def diagnostics(self) -> dict[str, Any]:
        """Return the convergence diagnostics, the settings, the seed and the sampler.

        They are the largest R-hat and the smallest bulk and tail effective sample size of the parameters and of each dose's DLT
        probability, and the divergences after tuning.
        """
        return {
            **self._convergence,
            "divergences": self._divergences,
            **self._made,
        }

    def problems(self) -> list[str]:
        """Return problems with the draws, in words; empty if there are none."""
        found = self._convergence
        # Written so that NaN counts as a problem.
        checks = {
            _("R-hat is {rhat}, not at most {limit}: the chains do not agree"): found["rhat"] <= LARGEST_RHAT,
            _("the bulk effective sample size is {bulk}, below {least}"): found["ess_bulk"] >= LEAST_ESS,
            _("the tail effective sample size is {tail}, below {least}"): found["ess_tail"] >= LEAST_ESS,
        }
        shown = {"rhat": f"{found['rhat']:.3f}", "bulk": f"{found['ess_bulk']:.0f}", "tail": f"{found['ess_tail']:.0f}"}
        failed = [words.format(**shown, limit=LARGEST_RHAT, least=LEAST_ESS) for words, passed in checks.items() if not passed]
        if self._divergences:
            words = counted(
                "{n} divergent draw, even with shorter steps",
                "{n} divergent draws, even with shorter steps",
                self._divergences,
            )
            failed.append(words)
        return failed

    @cached_property
    def _log_terms(self) -> tuple[np.ndarray, np.ndarray]:
        return self._log_terms_at(self.curve.coordinates)

    def _log_terms_at(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        theta = tuple(np.moveaxis(self._theta, -1, 0)[..., None])
        return self.curve.pooled.log_terms(theta, coordinates)

    @cached_property
    def _p(self) -> np.ndarray:
        return np.exp(self._log_terms[0])

    @property
    def _watched(self) -> np.ndarray:
        """Return the quantities to which the diagnostics apply, ``(chains, draws, k)``."""
        # Ranks are the same for a probability and its logit, which is not bounded by 1.
        return np.concatenate([self._theta, self._log_terms[0] - self._log_terms[1]], axis=-1)

    @cached_property
    def _convergence(self) -> dict[str, float]:
        from arviz import ess, rhat  # pyright: ignore[reportPrivateImportUsage]

        watched = self._watched
        # A single chain is judged by its halves.
        chains = watched if len(watched) > 1 else np.stack(np.array_split(watched[0, : watched.shape[1] // 2 * 2], 2))
        return {
            "rhat": float(np.max(rhat(chains))),
            "ess_bulk": float(np.min(ess(watched, method="bulk"))),
            "ess_tail": float(np.min(ess(watched, method="tail", prob=(0.05, 0.95)))),
        }

    def _chance(self, inside: np.ndarray) -> Figure:
        """Return the share of draws ``(chains, draws, k)`` in the set."""
        value, error = _mean(inside.astype(float))
        size = min(self._convergence["ess_bulk"], self._convergence["ess_tail"])
        return Figure(value, np.fmax(error, (1 - 0.05 ** (1 / size)) / 3))


class NutsPosterior(DrawnPosterior):
    """The posterior after one data set, by NUTS.

    Parameters
    ----------
    fit
        The curve's fit, which may be shared between data sets.
    n, y : (doses,) arrays
        Patients and DLTs.
    seed
        Whole number that determines the draws.
    """

    def __init__(self, fit: NutsFit, n: Any, y: Any, seed: int) -> None:
        self.fit, self.seed = fit, seed
        found = fit.sample(n, y, seed)
        theta = np.stack(list(found.draws.values()), axis=-1)
        super().__init__(fit.curve, n, y, theta, found.divergences, found.made)


def _mean(draws: np.ndarray) -> Figure:
    from arviz import mcse  # pyright: ignore[reportPrivateImportUsage]

    return Figure(draws.mean(axis=(0, 1)), mcse(draws, method="mean"))


def _mean_and_sd(draws: np.ndarray) -> tuple[Figure, Figure]:
    from arviz import mcse  # pyright: ignore[reportPrivateImportUsage]

    return _mean(draws), Figure(draws.std(axis=(0, 1), ddof=1), mcse(draws, method="sd"))
