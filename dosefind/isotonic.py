"""Isotonic regression of a batch of dose-toxicity estimates (pooled adjacent violators).

The weighted isotonic fit has the closed form ``max over a <= d of min over b >= d of mean(a..b)``, which
needs no loop over trials and is exact for any number of doses; untried doses are excluded.
Reference: Barlow, Bartholomew, Bremner and Brunk (1972), Statistical Inference under Order Restrictions.
"""

from __future__ import annotations

import numpy as np

__all__ = ["pool"]

# Lost in the rounding of any weight, and not 0.
_NO_MASS = 1e-300


def pool(values: np.ndarray, weights: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """Return the weighted isotonic (non-decreasing) fit of each row.

    Parameters
    ----------
    values, weights : (states, doses) arrays
        Values to fit and their positive weights.
    tried : (states, doses) bool array
        Doses to include; the others are returned as NaN.

    Returns
    -------
    (states, doses) float array

    Examples
    --------
    >>> import numpy as np
    >>> pool(np.array([[0.3, 0.1, 0.5]]), np.ones((1, 3)), np.ones((1, 3), bool))
    array([[0.2, 0.2, 0.5]])
    """
    # Dose by dose, each a contiguous vector over states. An untried dose has no weight, so a mean that begins or ends there repeats
    # one between tried doses, or is a mean of nothing, which only untried doses read.
    inside = np.ascontiguousarray(tried.T)
    masses = np.where(inside, weights.T, 0.0)
    sums = np.where(inside, values.T * masses, 0.0)
    doses = len(masses)
    # means[k][a] is mean(a..a + k)
    total, mass, means = np.zeros(masses.shape), np.full(masses.shape, _NO_MASS), []
    for k in range(doses):
        total[: doses - k] += sums[k:]
        mass[: doses - k] += masses[k:]
        means.append(total[: doses - k] / mass[: doses - k])
    # From the longest down: lowest[a] is min over b >= a + k of mean(a..b).
    lowest, best = np.full(masses.shape, np.inf), np.full(masses.shape, -np.inf)
    for k in range(doses - 1, -1, -1):
        np.minimum(lowest[: doses - k], means[k], out=lowest[: doses - k])
        np.maximum(best[k:], lowest[: doses - k], out=best[k:])
    return np.where(inside, best, np.nan).T
