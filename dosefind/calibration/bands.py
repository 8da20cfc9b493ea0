"""Tests of uniformity between 0 and 1: simultaneous bands for the empirical distribution function.

The empirical distribution function of n uniform numbers is evaluated on an equally spaced grid of `POINTS`. At each point its count
is binomial; the band lies between two equal binomial tails, whose size is such that the whole function stays inside
with a given probability. That probability is exact: from point to point the counts are a Markov chain.

Reference: Säilynoja, Bürkner and Vehtari (2022), Statistics and Computing 32:32, doi:10.1007/s11222-022-10090-6.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gammaln
from scipy.stats import binom

from ..threads import one_thread

__all__ = ["POINTS", "bands", "coverage", "excess", "histogram"]

# Number of intervals between the points at which distribution functions are compared; the last is 1, where all are equal.
POINTS = 100


def histogram(pit: np.ndarray) -> np.ndarray:
    """Return the number of values ``(..., sets)`` between neighbouring points, ``(..., POINTS)``."""
    rows = np.clip(pit, 0.0, 1.0).reshape(-1, np.shape(pit)[-1])
    counted = [np.histogram(row, POINTS, (0.0, 1.0))[0] for row in rows]
    return np.array(counted, int).reshape(*np.shape(pit)[:-1], POINTS)


def excess(counts: np.ndarray, level: float) -> np.ndarray:
    """Return the largest distance by which distribution functions leave their bands, ``(...)``; negative if they stay inside.

    Parameters
    ----------
    counts
        Histograms, ``(..., POINTS)``.
    level
        Probability that the function of uniform numbers leaves its band.
    """
    n_sets = int(counts.sum(axis=-1).max())
    lower, upper = bands(n_sets, level)
    below = counts.cumsum(axis=-1)[..., :-1] / n_sets
    # A band that reaches 0 or 1 cannot be left there.
    over, under = np.where(upper < 1, below - upper, -1.0), np.where(lower > 0, lower - below, -1.0)
    return np.maximum(over, under).max(axis=-1)


@lru_cache(maxsize=64)
@one_thread
def bands(n_sets: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper band of the empirical distribution function, each ``(POINTS - 1,)``, without 0 and 1.

    They are the narrowest bands that the function leaves with a probability of at most ``level``.

    Examples
    --------
    >>> lower, upper = bands(1000, 0.01)
    >>> float(lower[49]), float(upper[49])
    (0.445, 0.555)
    """
    low, high = np.log(level / (4 * POINTS)), np.log(level)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if coverage(n_sets, *_tails(n_sets, middle)) >= 1 - level else (low, middle)
    least, most = _tails(n_sets, low)
    return least / n_sets, most / n_sets


def _tails(n_sets: int, log_tail: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the minimum and maximum count at each point between two tails, each with at most half this probability."""
    least = binom.ppf(np.exp(log_tail) / 2, n_sets, np.arange(1, POINTS) / POINTS).astype(int)
    return least, n_sets - least[::-1]


@one_thread
def coverage(n_sets: int, least: np.ndarray, most: np.ndarray) -> float:
    """Return the probability that the numbers of uniform values below each point are all from ``least`` to ``most``."""
    factorials = gammaln(np.arange(n_sets + 1) + 1.0)
    before, chance = np.zeros(1, int), np.ones(1)
    for point in range(POINTS - 1):
        # Of the values not below the last point, each is below this one with the same probability.
        share = 1 / (POINTS - point)
        after = np.arange(least[point], most[point] + 1)
        new, left = after - before[:, None], n_sets - after
        possible = new >= 0
        new = np.where(possible, new, 0)
        log_chance = factorials[n_sets - before][:, None] - factorials[new] - factorials[left]
        log_chance += new * np.log(share) + left * np.log1p(-share)
        before, chance = after, chance @ np.where(possible, np.exp(log_chance), 0.0)
    return float(chance.sum())
