"""Operating characteristics of trials on a calendar: means over trials, their Monte Carlo errors, and quantiles of the duration.

Trials run in blocks, each with its own random numbers, and a block is a pure function of its number, so results do not depend on
how the work is divided. Sums over blocks are added in their order; of each trial only its duration is kept, for the quantiles.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..blocks import Job
from ..designs import Design
from ..outcomes import Rates
from .calendar import Clock, TimedTrials, run
from .simulation import CHUNK
from .tally import means

__all__ = ["QUANTILES", "TIMED", "Timed"]

TIMED = {
    "selected": "choice",
    "untried": None,
    "patients": "dose",
    "dlts": "dose",
    "mean_n": None,
    "days": None,
    "last_start": None,
    "turned_away": None,
    "gone": None,
    "waiting": None,
    "closed": None,
    "decisions": None,
    "with_pending": None,
    "bold": None,
    "cautious": None,
    "above": None,
    "lost": None,
    "unfinished": None,
}
"""Operating characteristic on a calendar -> its own dimension, None for a single number per scenario."""

QUANTILES = (0.1, 0.5, 0.9)
"""Quantiles of the duration."""


@dataclass(frozen=True)
class Timed(Job):
    """Trials of one design on one calendar; a block is a chunk of trials with its own random numbers.

    Attributes
    ----------
    design, rates, clock
        See `dosefind.operating.calendar.run`.
    seed
        Seed of all blocks.
    block_size
        Trials per block, at most `CHUNK`.
    """

    design: Design
    rates: Rates
    clock: Clock
    seed: int
    block_size: int = CHUNK

    def block(self, first: int, count: int) -> np.ndarray:
        """Return the results of a block's trials.

        Returns
        -------
        (scenarios, 2 * columns + trials) float array
            Sums over trials of the columns of each operating characteristic of `TIMED` in order; the sums of their squares; the
            duration of each trial.
        """
        made = run(self.design, self.rates, self.clock, count, self.seed, first // self.block_size)
        columns = np.hstack(list(_columns(made).values())).reshape(len(self.rates.dlt), count, -1)
        return np.hstack([columns.sum(axis=1), (columns**2).sum(axis=1), made.days.reshape(-1, count)])

    def settings(self) -> tuple[Any, ...]:
        # Other accrual rates to compare have no effect on this one.
        clock = replace(self.clock, accrual=self.clock.accrual.model_copy(update={"sensitivity": ()}))
        return self.design, tuple(self.rates), clock, self.seed, self.block_size

    def valid(self, result: np.ndarray, count: int) -> bool:
        return result.shape == (len(self.rates.dlt), 2 * sum(self._widths().values()) + count) and bool(np.isfinite(result).all())

    def figures(self, results: Iterable[np.ndarray], n_trials: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return operating characteristics on a calendar and their Monte Carlo standard errors, from the results of all blocks.

        Returns
        -------
        dict, dict
            Arrays (scenarios,) or (scenarios, k) by name; the first also has ``days_quantile``, (scenarios, quantiles), without a
            standard error.
        """
        widths = self._widths()
        edges = np.cumsum([0, *widths.values()]).tolist()
        sums, days = np.zeros(1), []
        for result in results:
            sums = sums + result[:, : 2 * edges[-1]]
            days.append(result[:, 2 * edges[-1] :].astype(np.int32))
        mean, error = means(sums[:, : edges[-1]], sums[:, edges[-1] :], n_trials)

        def split(table: np.ndarray) -> dict[str, np.ndarray]:
            parts = {name: table[:, low:high] for name, low, high in zip(widths, edges, edges[1:], strict=False)}
            return {name: part if TIMED[name] else part[:, 0] for name, part in parts.items()}

        quantiles = np.quantile(np.concatenate(days, axis=1), QUANTILES, axis=1, method="inverted_cdf").T.astype(float)
        return split(mean) | {"days_quantile": quantiles}, split(error)

    def _widths(self) -> dict[str, int]:
        """Return the number of columns of each operating characteristic."""
        n_doses = self.rates.dlt.shape[1]
        return {name: {None: 1, "dose": n_doses, "choice": n_doses + 1}[extent] for name, extent in TIMED.items()}


def _columns(made: TimedTrials) -> dict[str, np.ndarray]:
    """Return one block of columns per operating characteristic, (rows, k)."""
    ended = made.ended
    n, choice = ended.n.astype(float), ended.choice
    patients = np.maximum((made.doses >= 0).sum(axis=1), 1)
    tried = np.concatenate([np.ones((len(n), 1), bool), n > 0], axis=1)
    single = {
        "untried": ~tried[np.arange(len(n)), choice + 1],
        "mean_n": n.sum(axis=1),
        "waiting": made.waited / patients,
        **{name: getattr(made, name) for name in TIMED if hasattr(made, name)},
    }
    wide = {"selected": choice[:, None] + 1 == np.arange(ended.n_doses + 1), "patients": n, "dlts": ended.y}
    found = {name: wide[name] if name in wide else single[name][:, None] for name in TIMED}
    return {name: values.astype(float) for name, values in found.items()}
