"""Means of few values: with a t interval, and by maximum likelihood where some are known only to be below or above a limit."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_ndtr

from .._check import InputError, Problem

__all__ = ["Mean", "censored_mean", "mean_interval"]

_STEPS, _CLOSE = 2000, 1e-10
_HALF_LOG_2_PI = 0.5 * np.log(2 * np.pi)


class Mean(NamedTuple):
    """A mean with its limits.

    Attributes
    ----------
    n, censored
        Number of values, and of those below or above a limit among them.
    mean, sd
        Mean and standard deviation; not a number if there are too few values.
    low, high
        Limits of the mean.
    """

    n: int
    censored: int
    mean: float
    sd: float
    low: float
    high: float


def mean_interval(values: Any, level: float = 0.95) -> Mean:
    """Return the mean with its t interval, which needs two values.

    Parameters
    ----------
    values
        The values.
    level
        Level of the limits.

    Examples
    --------
    >>> found = mean_interval([1.0, 2.0, 3.0])
    >>> found.mean, round(found.low, 3), round(found.high, 3)
    (2.0, -0.484, 4.484)
    """
    found = np.asarray(values, float)
    n = len(found)
    if n < 2:
        only = float(found[0]) if n else np.nan
        return Mean(n, 0, only, np.nan, np.nan, np.nan)
    mean, sd = float(found.mean()), float(found.std(ddof=1))
    width = _quantile(n - 1, level) * sd / np.sqrt(n)
    return Mean(n, 0, mean, sd, float(mean - width), float(mean + width))


def censored_mean(values: Any, below: Any, above: Any, level: float = 0.95) -> Mean:
    """Return the mean of normal values by maximum likelihood, where some are known to be below or above a limit only.

    The limits are those of a t interval with the standard error from the observed information. Without censoring it is
    `mean_interval`; with fewer than two uncensored values, or more than half of them censored, there is no estimate.

    Parameters
    ----------
    values : (n,) array
        Values, or limits.
    below, above : (n,) bool arrays
        Whether the value is below, or above, the number given.
    level
        Level of the limits.

    Examples
    --------
    >>> found = censored_mean([1.0, 2.0, 3.0, 4.0], [True, False, False, False], [False] * 4)
    >>> found.censored, round(found.mean, 3)
    (1, 2.305)
    """
    found, left, right = np.asarray(values, float), np.asarray(below, bool), np.asarray(above, bool)
    if not found.shape == left.shape == right.shape:
        raise InputError(Problem("below", left.tolist(), f"must have one entry per value, {found.size}, like above"))
    known = ~(left | right)
    n, censored = len(found), int((~known).sum())
    if not censored:
        return mean_interval(found, level)
    if known.sum() < 2 or censored > n / 2 or np.ptp(found[known]) == 0:
        return Mean(n, censored, np.nan, np.nan, np.nan, np.nan)
    center, scale = float(found[known].mean()), float(found[known].std(ddof=1))
    z = (found - center) / scale
    mu, sd = _most_likely(z, left, right, known)
    error = _error(z, left, right, known, mu, sd)
    width = _quantile(n - 1, level) * error
    mean = center + scale * mu
    return Mean(n, censored, float(mean), float(scale * sd), float(mean - scale * width), float(mean + scale * width))


@lru_cache(1000)
def _quantile(df: int, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + level) / 2))


def _hazard(z: np.ndarray) -> np.ndarray:
    """Return the density over the distribution function of the standard normal distribution."""
    return np.exp(-0.5 * z**2 - _HALF_LOG_2_PI - log_ndtr(z))


def _most_likely(x: np.ndarray, left: np.ndarray, right: np.ndarray, known: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation by expectation and maximisation."""
    mu, sd, n = 0.0, 1.0, len(x)
    for _step in range(_STEPS):
        a, b = (x[left] - mu) / sd, (x[right] - mu) / sd
        low, high = _hazard(a), _hazard(-b)
        first = x[known].sum() + (mu - sd * low).sum() + (mu + sd * high).sum()
        square = (x[known] ** 2).sum() + (mu**2 + sd**2 - sd * (mu + x[left]) * low).sum()
        square += (mu**2 + sd**2 + sd * (mu + x[right]) * high).sum()
        new = first / n
        new_sd = float(np.sqrt(max(square / n - new**2, 1e-12)))
        moved = max(abs(new - mu), abs(new_sd - sd))
        mu, sd = float(new), new_sd
        if moved < _CLOSE:
            break
    return mu, sd


def _error(x: np.ndarray, left: np.ndarray, right: np.ndarray, known: np.ndarray, mu: float, sd: float) -> float:
    """Return the standard error of the mean from the observed information of mean and standard deviation."""
    z, a, b = (x[known] - mu) / sd, (x[left] - mu) / sd, (x[right] - mu) / sd
    low, high = _hazard(a), _hazard(-b)
    # Minus the second derivatives of the logarithm of the likelihood, times the variance.
    of_low, of_high = low * (low + a), high * (high - b)
    mm = len(z) + of_low.sum() + of_high.sum()
    ms = 2 * z.sum() + (a * of_low - low).sum() + (b * of_high + high).sum()
    ss = (3 * z**2 - 1).sum() + (a**2 * of_low - 2 * a * low).sum() + (b**2 * of_high + 2 * b * high).sum()
    return float(sd * np.sqrt(ss / (mm * ss - ms**2)))
