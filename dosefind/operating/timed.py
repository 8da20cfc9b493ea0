"""Operating characteristics of trials on a calendar: means over trials, their Monte Carlo errors, and quantiles of the duration.

Trials run in blocks, each with its own random numbers, and a block is a pure function of its number, so results do not depend on
how the work is divided. Sums over blocks are added in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..designs import Design
from ..outcomes import Rates
from ..threads import one_thread
from .calendar import Clock, TimedTrials, run
from .simulation import CHUNK

__all__ = ["QUANTILES", "TIMED", "Block", "block_of", "blocks_of", "timed_figures"]

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
class Block:
    """Trials of one design on one calendar, by number.

    Attributes
    ----------
    design, rates, clock
        See `dosefind.operating.calendar.run`.
    seed
        Seed of all blocks.
    number
        Number of the block.
    trials
        Trials per scenario in it.
    """

    design: Design
    rates: Rates
    clock: Clock
    seed: int
    number: int
    trials: int


def blocks_of(design: Design, rates: Rates, clock: Clock, n_trials: int, seed: int) -> list[Block]:
    """Return the blocks of a number of trials."""
    starts = range(0, n_trials, CHUNK)
    return [Block(design, rates, clock, seed, number, min(CHUNK, n_trials - start)) for number, start in enumerate(starts)]


@one_thread
def block_of(block: Block) -> np.ndarray:
    """Return the results of a block's trials.

    Returns
    -------
    (scenarios, trials, columns) float array
        The columns of each operating characteristic of `TIMED` in order.
    """
    made = run(block.design, block.rates, block.clock, block.trials, block.seed, block.number)
    columns = np.hstack(list(_columns(made).values()))
    return columns.reshape(len(block.rates.dlt), block.trials, -1)


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


def timed_figures(
    blocks: Sequence[Block], results: Iterable[np.ndarray], done: Callable[[int], object] = lambda trials: None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return operating characteristics on a calendar and their Monte Carlo standard errors.

    Parameters
    ----------
    blocks
        The blocks of one design.
    results
        The result of each block, in their order.
    done
        Called with the number of trials of each block.

    Returns
    -------
    dict, dict
        Arrays (scenarios,) or (scenarios, k) by name; the first also has ``days_quantile``, (scenarios, quantiles), without a
        standard error.
    """
    total, squares, days = np.zeros(1), np.zeros(1), []
    n_doses = blocks[0].rates.dlt.shape[1]
    widths = {name: {None: 1, "dose": n_doses, "choice": n_doses + 1}[extent] for name, extent in TIMED.items()}
    edges = dict(zip(widths, np.cumsum([0, *widths.values()])[:-1].tolist(), strict=True))
    for block, result in zip(blocks, results, strict=True):
        total, squares = total + result.sum(axis=1), squares + (result**2).sum(axis=1)
        days.append(result[:, :, edges["days"]])
        done(block.trials)
    n_trials = sum(block.trials for block in blocks)
    mean = total / n_trials
    error = np.sqrt(np.maximum(squares / n_trials - mean**2, 0) / n_trials)

    def split(table: np.ndarray) -> dict[str, np.ndarray]:
        parts = {name: table[:, edges[name] : edges[name] + width] for name, width in widths.items()}
        return {name: part if TIMED[name] else part[:, 0] for name, part in parts.items()}

    quantiles = np.quantile(np.concatenate(days, axis=1), QUANTILES, axis=1, method="inverted_cdf").T
    return split(mean) | {"days_quantile": quantiles}, split(error)
