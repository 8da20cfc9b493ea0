"""The final choice of interval designs as a compiled loop, for a large batch; loaded only if numba has been loaded already."""

from __future__ import annotations

import numpy as np

from ..compiling import compiled
from .rules import TIE

__all__ = ["nearest_isotonic"]


def nearest_isotonic(
    n: np.ndarray, y: np.ndarray, remaining: np.ndarray, prior: float, target: float, below: float | None
) -> np.ndarray:
    """Return the dose chosen in each state; see the functions of the same rules in `dosefind.designs.rules`.

    Parameters
    ----------
    n, y : (states, doses) arrays
        Patients and DLTs at each dose.
    remaining : (states,) integer array
        Number of doses that are not eliminated.
    prior
        Both parameters of the beta prior of the estimates.
    target
        Target DLT rate.
    below
        Bound that the estimate of the chosen dose must be below, or ``None``.
    """
    chosen = np.empty(len(n), int)
    bound = np.inf if below is None else below
    _chosen(np.ascontiguousarray(n.T), np.ascontiguousarray(y.T), remaining, prior, target, bound, TIE, chosen)
    return chosen


@compiled
def _chosen(n, y, remaining, prior, target, bound, tie, chosen):
    doses = len(n)
    # Blocks of pooled doses: the weighted sum, the weight, and the last dose of each.
    total, mass, end = np.empty(doses), np.empty(doses), np.empty(doses, np.int64)
    for state in range(n.shape[1]):
        blocks = 0
        for dose in range(remaining[state]):
            if n[dose, state] == 0:
                continue
            a = y[dose, state] + prior
            b = n[dose, state] - y[dose, state] + prior
            weight = (a + b) ** 2 * (a + b + 1) / (a * b)
            total[blocks], mass[blocks], end[blocks] = a / (a + b) * weight, weight, dose
            blocks += 1
            while blocks > 1 and total[blocks - 2] / mass[blocks - 2] > total[blocks - 1] / mass[blocks - 1]:
                total[blocks - 2] += total[blocks - 1]
                mass[blocks - 2] += mass[blocks - 1]
                end[blocks - 2] = end[blocks - 1]
                blocks -= 1
        closest = np.inf
        for block in range(blocks):
            estimate = total[block] / mass[block]
            if bound > estimate + tie:
                closest = min(closest, abs(estimate - target))
        found, settled, begin = -1, False, 0
        for block in range(blocks):
            estimate = total[block] / mass[block]
            if bound > estimate + tie and abs(estimate - target) <= closest + tie:
                if target > estimate + tie:
                    found, settled = end[block], True
                elif not settled and found < 0:
                    # The lowest dose of the block that is tried.
                    found = begin
                    while n[found, state] == 0:
                        found += 1
            begin = end[block] + 1
        chosen[state] = found
