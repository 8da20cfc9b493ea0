"""Rules that designs share, each a pure function of a batch.

Every comparison on which a decision hangs goes through `above`, `at_least` or `nearest`: a row of a matrix product differs in
its last bits from the same row in a larger batch, so values within `TIE` of each other count as equal.
"""

from __future__ import annotations

import numpy as np

__all__ = ["TIE", "above", "at_least", "highest", "lowest", "nearest"]

TIE = 1e-10


def above(value: np.ndarray | float, bound: np.ndarray | float) -> np.ndarray:
    """Whether ``value > bound``, a tie not counting."""
    return np.asarray(value) > np.asarray(bound) + TIE


def at_least(value: np.ndarray | float, bound: np.ndarray | float) -> np.ndarray:
    """Whether ``value >= bound``, a tie counting."""
    return np.asarray(value) >= np.asarray(bound) - TIE


def nearest(values: np.ndarray, target: float, admissible: np.ndarray) -> np.ndarray:
    """Index of the admissible value nearest to the target in each row, the first on ties, -1 where there is none."""
    distance = np.where(admissible, np.abs(values - target), np.inf)
    closest = distance.min(axis=1, keepdims=True)
    first = np.argmax(distance <= closest + TIE, axis=1)
    return np.where(np.isfinite(closest[:, 0]), first, -1)


def highest(allowed: np.ndarray) -> np.ndarray:
    """Index of the last true value in each row, -1 where there is none."""
    doses = allowed.shape[1]
    return np.where(allowed.any(axis=1), doses - 1 - np.argmax(allowed[:, ::-1], axis=1), -1)


def lowest(found: np.ndarray) -> np.ndarray:
    """Index of the first true value in each row, the number of doses where there is none."""
    return np.where(found.any(axis=1), np.argmax(found, axis=1), found.shape[1])
