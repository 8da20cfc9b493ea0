"""Operating characteristics by Monte Carlo, on latent patients shared by all designs and scenarios.

Patient j of trial r has one uniform number u; the patient has a DLT at a dose with true rate p if u < p. Every design and
every scenario uses the same patients, so differences between designs are paired. Trials are simulated in chunks, each with its
own stream of random numbers, so results do not depend on how the work is divided; only sums over a chunk are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import MOST_DOSES, InputError, Problem, of_type, probability, seed_of, whole
from ..blocks import Job
from ..blocks import run as run_blocks
from ..designs import Design
from ..designs.base import A_DESIGN
from ..outcomes import Rates
from ..threads import one_thread
from ..trial import COUNT, States
from .lattice import OVERDOSE_LIMIT, labelled, named_truths, rates_of, safe_doses
from .tally import Days, EndedTrials, Figures, means
from .walk import MOST_COHORTS, refuse_endless

if TYPE_CHECKING:
    import xarray as xr
    from distributed import Client

__all__ = ["CHUNK", "MOST_TRIALS", "Latent", "Simulation", "simulate", "simulated_figures"]

CHUNK = 10_000
# The standard error of a probability is then at most 0.0005.
MOST_TRIALS = 1_000_000


class Latent:
    """Latent uniform numbers, (patients, trials), drawn patient by patient so that a longer trial extends a shorter one."""

    def __init__(self, seed: int, chunk: int, trials: int, *stream: int) -> None:
        self.random = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, chunk, *stream))))
        self.trials = trials
        self.numbers = np.empty((0, trials))

    def __call__(self, patient: np.ndarray, trial: np.ndarray) -> np.ndarray:
        self.reach(int(patient.max(initial=-1)) + 1)
        return self.numbers[patient, trial]

    def reach(self, count: int) -> None:
        """Draw the numbers of the first patients; half as many again where some are missing."""
        missing = count - len(self.numbers)
        if missing <= 0:
            return
        # Drawn for a whole chunk, so that more trials extend fewer; kept for the trials that there are.
        drawn = self.random.random((max(missing, len(self.numbers) // 2), CHUNK))
        self.numbers = np.vstack([self.numbers, drawn[:, : self.trials]])


@dataclass(frozen=True)
class Simulation(Job):
    """Trials of one design in some scenarios; a block is a chunk of trials with its own random numbers.

    Attributes
    ----------
    design
        The design; it must end by itself or have ``max_n``.
    rates
        True rates at each dose.
    seed
        Seed of all chunks.
    days
        See `Lattice.under`.
    block_size
        Trials per block, at most `CHUNK`.
    """

    design: Design
    rates: Rates
    seed: int
    days: Days | None = None
    block_size: int = CHUNK

    def __post_init__(self) -> None:
        refuse_endless(self.design, self._before_first())

    def block(self, first: int, count: int) -> np.ndarray:
        """Return the sums and the sums of squares of all columns over the trials of a chunk, ``(scenarios, 2, columns)``."""
        patients, responders = (Latent(self.seed, first // self.block_size, count, *stream) for stream in ((), (1,)))
        ended = _run(self.design, self.rates, patients, responders)
        columns = np.hstack(list(ended.columns(slice(None), self.days, ended.largest_sample).values()))
        each = columns.reshape(len(self.rates.dlt), count, -1)
        return np.stack([each.sum(axis=1), (each**2).sum(axis=1)], axis=1)

    def settings(self) -> tuple[Any, ...]:
        return self.design, tuple(self.rates), self.seed, self.days, self.block_size

    def valid(self, result: np.ndarray, count: int) -> bool:
        return result.ndim == 3 and result.shape[:2] == (len(self.rates.dlt), 2) and self._largest_sample(result) >= 0

    def figures(self, results: Iterable[np.ndarray], n_trials: int, overdose_limit: float) -> tuple[Figures, Figures]:
        """Return operating characteristics and their standard errors from the results of all blocks, summed as they come."""
        total, largest = np.zeros((len(self.rates.dlt), 2, sum(self._widths(0).values()))), 0
        for result in results:
            own = self._largest_sample(result)
            most = max(largest, own)
            total = self._wider(total, largest, most) + self._wider(result, own, most)
            largest = most
        safe = safe_doses(self.rates.dlt, overdose_limit)
        mean, error = (EndedTrials.split(table, self._widths(largest), safe) for table in means(total[:, 0], total[:, 1], n_trials))
        return mean, error

    def _before_first(self) -> States:
        return States.before_first(self.rates.dlt.shape[1], (0,) * self.design.n_memory, len(self.design.tracks) - 1)

    def _widths(self, largest_sample: int) -> dict[str, int]:
        """Return the number of columns of each operating characteristic."""
        state = self._before_first()
        none = np.zeros(1, int)
        trial = EndedTrials(self.design, state.n, state.y, none, none > 0, none, np.zeros((1, 2, state.n_doses)), state.more)
        found = {name: column.shape[1] for name, column in trial.columns(slice(None), None, largest_sample).items()}
        return found if self.days is None else found | {"days": 1}

    def _largest_sample(self, result: np.ndarray) -> int:
        return result.shape[2] - sum(self._widths(0).values())

    def _wider(self, table: np.ndarray, largest: int, most: int) -> np.ndarray:
        """Return a table with columns for sample sizes up to ``most`` in place of ``largest``."""
        before = list(self._widths(largest))
        edge = sum(self._widths(largest)[name] for name in before[: before.index("sample_size") + 1])
        return np.insert(table, [edge] * (most - largest), 0.0, axis=2)


@one_thread
def simulated_figures(
    design: Design,
    truths: np.ndarray | Rates,
    n_trials: int,
    seed: int,
    overdose_limit: float = OVERDOSE_LIMIT,
    days: Days | None = None,
    *,
    workers: Any = 1,
    cache: str | Path | None = None,
) -> tuple[Figures, Figures]:
    """Return all operating characteristics in each scenario and their standard errors, as plain arrays; see `simulate`."""
    job = Simulation(design, truths if isinstance(truths, Rates) else Rates(truths), seed, days)
    with closing(run_blocks([job], n_trials, workers, cache)) as results:
        return job.figures(results, n_trials, overdose_limit)


def _run(design: Design, rates: Rates, patients: Latent, responders: Latent) -> EndedTrials:
    """Run all trials of a chunk in all scenarios to their end, rows ordered by scenario, then trial."""
    truths, responds = rates.dlt, _response_rates(rates)
    scenarios, doses = truths.shape
    rows = scenarios * patients.trials
    begin = States.before_first(doses, (0,) * design.n_memory, len(design.tracks) - 1)
    states = begin.take(np.zeros(rows, int))
    visits = np.zeros((rows, 2, doses), COUNT)
    reason = np.zeros(rows, int)
    scenario, trial = np.divmod(np.arange(rows), patients.trials)
    n, y, *more = (np.zeros((rows, doses), COUNT) for _ in range(1 + len(design.tracks)))
    going = np.arange(rows)
    while len(going):
        decision = design.decide(states.grouped())
        over = decision.dose < 0
        n[going[over]], y[going[over]], reason[going[over]] = states.n[over], states.y[over], decision.reason[over]
        for ended, values in zip(more, states.more, strict=True):
            ended[going[over]] = values[over]
        rest = np.flatnonzero(~over)
        going, dose, size = going[rest], decision.dose[rest].astype(COUNT), decision.size[rest].astype(COUNT)
        first = states.total[rest].astype(int)
        dlts, *further = (np.zeros(len(rest), COUNT) for _ in design.tracks)
        for j in range(int(size.max(initial=0))):
            latent, there = (first + np.minimum(j, size - 1), trial[going]), (scenario[going], dose)
            dlt = (j < size) & (patients(*latent) < truths[there])
            dlts += dlt
            if responds is not None:
                response = (j < size) & (responders(*latent) < np.where(dlt, responds[0][there], responds[1][there]))
                for counted, seen in zip(further, (response, response & dlt), strict=False):
                    counted += seen
        visits[going, 1, dose] += (visits[going, 0, dose] == 0) & (size > 1)
        visits[going, 0, dose] += 1
        states = replace(states, memory=decision.memory).follow(rest, dose, size, dlts, further)
        if len(going) and states.cohorts.max() > MOST_COHORTS:
            raise InputError(Problem("max_n", None, f"{design.title} does not end by itself: state a maximum sample size"))
    selection = design.select(States.of_checked(n, y, tuple(more)).grouped())
    return EndedTrials(design, n, y, selection.dose, selection.not_reached, reason, visits, tuple(more))


def _response_rates(rates: Rates) -> tuple[np.ndarray, np.ndarray] | None:
    """Return response rates of patients with and without a DLT, ``(scenarios, doses)``, or ``None`` if none are tracked."""
    if rates.response is None:
        return None
    if rates.both is None:
        return rates.response, rates.response
    with np.errstate(divide="ignore", invalid="ignore"):
        return rates.both / rates.dlt, (rates.response - rates.both) / (1 - rates.dlt)


@one_thread
def simulate(
    design: Design,
    truths: Any,
    *,
    responses: Any = None,
    both: Any = None,
    n_doses: int | None = None,
    n_trials: int = 10_000,
    seed: int = 1,
    overdose_limit: float = OVERDOSE_LIMIT,
    days: Days | None = None,
    workers: int | Client = 1,
    cache: str | Path | None = None,
) -> xr.Dataset:
    """Return operating characteristics by simulation.

    Parameters
    ----------
    design
        The design; it must end by itself or have ``max_n``.
    truths, responses, both, overdose_limit, days
        See `Lattice.under`.
    n_doses
        Number of dose levels; by default the number in the scenarios.
    n_trials
        Trials simulated per scenario.
    seed
        Seed; the same seed gives every design and scenario the same patients.
    workers
        Number of processes, or a Dask client; the result does not depend on it. Trials are distributed in blocks of 10,000.
    cache
        Folder in which completed blocks are stored: an interrupted simulation continues from there, and one of more trials adds
        to it. A file that has changed since it was written is rejected, and so is a result of other settings, versions or code.

    Returns
    -------
    xarray.Dataset
        As in `Lattice.under`, with the Monte Carlo standard error of each value in a variable whose name ends in ``_se``. A
        standard error of 0 if every trial agreed does not mean certainty: the probability can still be as large as about 3 /
        ``n_trials``.

    Examples
    --------
    >>> from dosefind import ThreePlusThree
    >>> oc = simulate(ThreePlusThree(), [[0.05, 0.15, 0.30]], n_trials=2000, seed=3)
    >>> bool(abs(oc.selected[0, 3] - 0.3915) < 4 * oc.selected_se[0, 3])
    True
    """
    of_type("design", design, Design, A_DESIGN)
    doses = design.known_doses if n_doses is None else whole("n_doses", n_doses, 1, MOST_DOSES)
    names, rows = named_truths(truths, doses)
    whole("n_trials", n_trials, 2, MOST_TRIALS)
    seed_of(seed)
    probability("overdose_limit", overdose_limit)
    design = design.with_settings(n_doses=rows.shape[1])
    rates = rates_of(design, rows, responses, both)
    figures, errors = simulated_figures(design, rates, n_trials, seed, overdose_limit, days, workers=workers, cache=cache)
    coords = {"scenario": names, "dose": np.arange(1, rows.shape[1] + 1)}
    result = labelled(figures, design, coords, overdose_limit)
    result.update(labelled(errors, design, coords, overdose_limit, "_se"))
    attrs = {"method": "simulated", "design": design.title, "n_trials": n_trials, "seed": seed, "overdose_limit": overdose_limit}
    return result.assign(p_true=(("scenario", "dose"), rows)).assign_attrs(attrs)
