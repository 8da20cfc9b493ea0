"""The posterior of a trial that borrows from others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._check import MISSING, InputError, Problem, one_of
from ..borrowing import Borrowing
from ..config import Trial
from ..figures import ESTIMATES
from ..interruption import noticed
from ..models import HierarchicalHazard
from ..posterior.base import Posterior
from ..summaries import effective_n
from ..trial import Cohort, notation
from ..words import _
from .steps import cohorts_of

if TYPE_CHECKING:
    from ..models import HierarchicalLogistic
    from ..posterior.hierarchical import HierarchicalPosterior

__all__ = ["Borrowed", "Counts", "borrow_from", "borrowed", "borrowing_of", "sampling"]

type Counts = Mapping[str, tuple[Sequence[int] | np.ndarray, Sequence[int] | np.ndarray]]


class Borrowed(NamedTuple):
    """Posteriors of all trials: after all data, after those of the others only, and before any."""

    now: HierarchicalPosterior
    before: HierarchicalPosterior
    nothing: HierarchicalPosterior

    @property
    def own(self) -> tuple[Posterior, Posterior]:
        """Return the posterior of the protocol's own trial after all data, and after the other trials' data only."""
        name = self.now.model.names[0]
        return self.now.trials[name], self.before.trials[name]

    def figures(self) -> dict[str, Any]:
        """Return the results on borrowing as variables of a labelled result."""
        name = self.now.model.names[0]
        worth, alone = (effective_n(*one.trials[name].moments()) for one in (self.before, self.nothing))
        tau = self.now.parameters()["tau"][0]
        values: dict[str, tuple[str, Any]] = {
            "prior_effective_n_alone": ("dose", alone.value),
            "borrowed_n": ("dose", worth.value - alone.value),
            "tau_mean": ("parameter", tau.value),
            "tau_prior_mean": ("parameter", self.nothing.parameters()["tau"][0].value),
        }
        errors: dict[str, tuple[str, Any]] = {
            "prior_effective_n_alone_se": ("dose", alone.error),
            "borrowed_n_se": ("dose", np.hypot(worth.error, alone.error)),
            "tau_mean_se": ("parameter", tau.error),
        }
        if self.now.model.exnex:
            share = self.now.exchangeable()
            values |= {"p_exchangeable": ("trial", share.value), "p_exchangeable_prior": ("trial", self.now.model.weights)}
            errors["p_exchangeable_se"] = ("trial", share.error)
        return {key: (*value, {"definition": _(ESTIMATES[key].definition)}) for key, value in values.items()} | errors


def borrowing_of(trial: Trial) -> Borrowing:
    """Return the borrowing of the trial, which the config must state."""
    found = trial.borrowing
    if found is None:
        raise InputError(Problem("borrowing", MISSING, "the protocol has no such table: say what is pooled, and with which trials"))
    return found


def borrow_from(borrowing: Borrowing, others: Mapping[str, str | Sequence[Cohort]]) -> tuple[Counts, dict[str, str]]:
    """Return patients and DLTs at each dose of the other trials, and their outcomes in the notation.

    Parameters
    ----------
    borrowing
        How trials borrow from one another.
    others
        Of each trial to borrow from, by name, its outcomes: in the notation, its levels counted from 1, or cohorts.
    """
    trials = borrowing.trials
    for name in others:
        one_of("borrow", name, trials)
    counted, words = {}, {}
    for name, trial in trials.items():
        if name not in others:
            raise InputError(Problem(f"borrow.{name}", MISSING, "no outcomes of this trial; '' if no patient has been treated"))
        cohorts = cohorts_of(others[name], len(trial.doses), f"borrow.{name}: ")
        n, y = [0] * len(trial.doses), [0] * len(trial.doses)
        for cohort in cohorts:
            n[cohort.level - 1] += cohort.n
            y[cohort.level - 1] += cohort.dlts
        counted[name], words[name] = (n, y), notation(cohorts)
    return counted, words


def borrowed(
    model: HierarchicalLogistic,
    own: tuple[np.ndarray, np.ndarray],
    others: Counts,
    draws: int,
    seed: int,
    say: Callable[[str], None],
) -> Borrowed:
    """Sample a trial together with others.

    Parameters
    ----------
    model
        The model of the trials, the own one first.
    own : pair of (doses,) arrays
        Patients and DLTs of the own trial.
    others
        The same of each other trial, by name.
    draws, seed
        Draws of each chain, and the seed.
    say
        Called with what is being done.
    """
    sample = sampling(model, draws, seed, say)
    nobody = {name: ([0] * len(n), [0] * len(n)) for name, (n, _) in others.items()}
    name, (n, y) = model.names[0], own
    start = perf_counter()
    none = (0 * n, 0 * y)
    now, before, nothing = ({name: (n, y), **others}, {name: none, **others}, {name: none, **nobody})
    without = model.without_data if isinstance(model, HierarchicalHazard) else model
    found = Borrowed(sample(model, now), sample(without, before), sample(without, nothing))
    say(f"sampled in {perf_counter() - start:.1f} s by {found.now.fit.sampler.name}")
    return found


def sampling(
    model: HierarchicalLogistic, draws: int, seed: int, say: Callable[[str], None]
) -> Callable[[HierarchicalLogistic, Counts], HierarchicalPosterior]:
    """Return a function from a model of trials and their data to the posterior, compiled for the structure of ``model``."""
    from ..posterior.hierarchical import SETTINGS, HazardsPosterior, HierarchicalPosterior, hierarchical_fit

    say("compiling the model, which takes longer than sampling it")
    start = perf_counter()
    settings = replace(SETTINGS, draws=draws)
    hierarchical_fit(model, settings)
    say(f"compiled in {perf_counter() - start:.1f} s")

    def sample(model: HierarchicalLogistic, data: Counts) -> HierarchicalPosterior:
        # A model of another structure is compiled when it comes.
        with noticed():
            fit = hierarchical_fit(model, settings)
            if isinstance(model, HierarchicalHazard):
                return HazardsPosterior(fit, data, seed, model)
            return HierarchicalPosterior(fit, data, seed, model)

    return sample
