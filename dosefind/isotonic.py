"""Isotonic regression of a batch of dose-toxicity estimates (pooled adjacent violators).

The weighted isotonic fit has the closed form ``max over a <= d of min over b >= d of mean(a..b)``, which
needs no loop over trials and is exact for any number of doses; untried doses are excluded.
Reference: Barlow, Bartholomew, Bremner and Brunk (1972), Statistical Inference under Order Restrictions.
"""

from __future__ import annotations

import numpy as np

__all__ = ["pool"]


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
    doses = values.shape[1]
    weights = np.where(tried, weights, 0.0)
    sums = np.where(tried, values * weights, 0.0)
    best = np.full(values.shape, -np.inf)
    for low in range(doses):
        # min over b >= d of mean(low..b), built from the top dose downwards for all d >= low
        totals, masses = np.cumsum(sums[:, low:], axis=1), np.cumsum(weights[:, low:], axis=1)
        usable = tried[:, low:] & tried[:, low, None]
        means = np.divide(totals, masses, out=np.full(totals.shape, np.inf), where=usable)
        lowest = np.minimum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        best[:, low:] = np.maximum(best[:, low:], np.where(usable, lowest, -np.inf))
    return np.where(tried, best, np.nan)
