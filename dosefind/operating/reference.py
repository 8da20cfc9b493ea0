"""The non-parametric optimal benchmark: the selection if every patient's outcome were known at every dose.

With complete information on n patients, the DLT rate of each dose is estimated by the proportion of patients who would have a DLT
there, and the MTD by its definition applied to these proportions. The counts at the doses are sums of a multinomial, so the
selection has an exact distribution. O'Quigley, Paoletti and Maccario (2002), Biostatistics 3:51-56,
doi:10.1093/biostatistics/3.1.51. It measures the difficulty of a scenario and is not a bound: a design whose prior happens to
fit a scenario can do better in it.
"""

from __future__ import annotations

import numpy as np
from scipy.special import bdtr, comb

from ..designs.rules import TIE, above
from ..threads import one_thread

__all__ = ["reference_selection"]


@one_thread
def reference_selection(truth: np.ndarray, target: float, margin: float, n_patients: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the distribution of the selection with complete information.

    Parameters
    ----------
    truth : (doses,) array
        True DLT rates, not decreasing with the dose.
    target
        Target DLT rate.
    margin
        No dose is selected if the estimate at the lowest exceeds the target by more than this.
    n_patients
        Number of patients.

    Returns
    -------
    nearest, highest : (doses + 1,) arrays
        Probability of none, 1..D for the dose closest to the target, and for the highest dose whose estimate is at most the
        target. Ties are resolved on the counts: between a count below and one above, the lower dose; between equal counts below
        the target, the higher dose (there is no evidence against it), otherwise the lower.

    Examples
    --------
    >>> import numpy as np
    >>> nearest, highest = reference_selection(np.array([0.05, 0.15, 0.30]), 0.30, 0.10, 18)
    >>> nearest.round(3)
    array([0.   , 0.004, 0.214, 0.783])
    """
    nearest = _nearest(truth, target, margin, n_patients)
    most = np.floor(n_patients * target + TIE)
    with_at_most = np.append(bdtr(most, n_patients, truth), 0.0)
    highest = np.append(1 - with_at_most[0], with_at_most[:-1] - with_at_most[1:])
    return nearest, highest


def _nearest(truth: np.ndarray, target: float, margin: float, n: int) -> np.ndarray:
    """Follow the counts c_1 <= c_2 <= ... dose by dose, with the best dose so far and its count."""
    counts = np.arange(n + 1)
    distance = np.abs(counts - n * target)
    # mass[count, best dose + 1, count at the best dose]; a best dose of 0 means none.
    mass = np.zeros((n + 1, len(truth) + 1, n + 1))
    first = _step(n, truth[0])[0]
    none = above(counts / n, target + margin)
    mass[counts[none], 0, 0] = first[none]
    mass[counts[~none], 1, counts[~none]] = first[~none]
    for dose in range(1, len(truth)):
        share = (truth[dose] - truth[dose - 1]) / (1 - truth[dose - 1]) if truth[dose - 1] < 1 else 0.0
        mass = np.einsum("ij,ikb->jkb", _step(n, share), mass)
        for best in range(1, dose + 1):
            # Rows: count at this dose; columns: count at the best dose so far.
            better = (distance[:, None] < distance - TIE) | (np.eye(n + 1, dtype=bool) & (counts < n * target - TIE))
            moved = np.where(better, mass[:, best], 0.0)
            mass[:, best] -= moved
            mass[counts, dose + 1, counts] += moved.sum(axis=1)
    return mass.sum(axis=(0, 2))


def _step(n: int, share: float) -> np.ndarray:
    """Return P(c -> c') if each of the n - c patients without a DLT so far has one at the next dose with probability ``share``."""
    more = np.arange(n + 1) - np.arange(n + 1)[:, None]
    left = n - np.arange(n + 1)[:, None]
    k = np.maximum(more, 0)
    return np.where(more >= 0, comb(left, k) * share**k * (1 - share) ** np.maximum(left - k, 0), 0.0)
