"""Rules that designs share, each a pure function of a batch.

Every comparison on which a decision depends goes through `above`, `at_least` or `nearest`: a row of a matrix product differs in
its last bits from the same row in a larger batch, so values within `TIE` of each other count as equal.
"""

from __future__ import annotations

import numpy as np

from ..isotonic import pool

__all__ = ["TIE", "above", "at_least", "highest", "isotonic", "lowest", "nearest", "nearest_isotonic", "precision"]

TIE = 1e-10


def above(value: np.ndarray | float, bound: np.ndarray | float) -> np.ndarray:
    """Return whether ``value > bound``, treating a tie as false."""
    return np.asarray(value) > np.asarray(bound) + TIE


def at_least(value: np.ndarray | float, bound: np.ndarray | float) -> np.ndarray:
    """Return whether ``value >= bound``, treating a tie as true."""
    return np.asarray(value) >= np.asarray(bound) - TIE


def nearest(values: np.ndarray, target: float, admissible: np.ndarray) -> np.ndarray:
    """Return the index of the admissible value closest to the target in each row, the first on ties, -1 if there is none."""
    distance = np.where(admissible, np.abs(values - target), np.inf)
    closest = distance.min(axis=1, keepdims=True)
    first = np.argmax(distance <= closest + TIE, axis=1)
    return np.where(np.isfinite(closest[:, 0]), first, -1)


def precision(n: np.ndarray, y: np.ndarray, prior: float) -> np.ndarray:
    """Return the inverse variance of the beta posterior of each DLT rate, with both prior parameters equal to ``prior``."""
    a, b = y + prior, n - y + prior
    return (a + b) ** 2 * (a + b + 1) / (a * b)


def isotonic(n: np.ndarray, y: np.ndarray, among: np.ndarray, prior: float) -> np.ndarray:
    """Return the isotonic estimates of the DLT rates of the doses in ``among``, ``(states, doses)``.

    Beta posterior means, pooled where they decrease with the dose, each weighted by its `precision`: Yan et al. (2020), Journal of
    Statistical Software 94(13), doi:10.18637/jss.v094.i13.
    """
    return pool((y + prior) / (n + 2 * prior), precision(n, y, prior), among)


def nearest_isotonic(estimate: np.ndarray, target: float, among: np.ndarray) -> np.ndarray:
    """Return the index of the dose whose isotonic estimate is closest to the target in each row, -1 if ``among`` has none.

    Pooled doses share one estimate. Ties go to the highest dose estimated below the target, otherwise to the lowest dose.
    """
    distance = np.where(among, np.abs(estimate - target), np.inf)
    closest = distance <= distance.min(axis=1, keepdims=True) + TIE
    below = closest & above(target, np.where(among, estimate, 1.0))
    dose = np.where(below.any(axis=1), highest(below), np.argmax(closest, axis=1))
    return np.where(among.any(axis=1), dose, -1)


def highest(allowed: np.ndarray) -> np.ndarray:
    """Return the index of the last true value in each row, -1 if there is none."""
    found = np.full(len(allowed), -1)
    for dose, inside in enumerate(allowed.T):
        found[inside] = dose
    return found


def lowest(found: np.ndarray) -> np.ndarray:
    """Return the index of the first true value in each row, the number of doses if there is none."""
    return np.where(found.any(axis=1), np.argmax(found, axis=1), found.shape[1])
