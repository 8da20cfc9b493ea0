"""Patient outcomes and what designs count of them, defined in this module only.

A design states what it `tracks`: DLTs, or also responses, or also the patients with both. Enumeration, simulation and weighting of
trials use the tables made here, so that a further outcome is added here and nowhere else.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import comb, factorial, prod
from typing import NamedTuple

import numpy as np

__all__ = ["LOG_ZERO", "TRACKED", "Rates", "cells", "log_rates", "outcome_table"]

TRACKED = (("dlt",), ("dlt", "response"), ("dlt", "response", "both"))
"""Outcomes that a design can track. Without "both", a patient's DLT and response are independent at each dose."""

# Stands for log 0: its exp is 0, and 0 times it is 0, not NaN.
LOG_ZERO = -1e4


class Rates(NamedTuple):
    """True rates at each dose in some scenarios, each ``(scenarios, doses)``.

    Attributes
    ----------
    dlt
        DLT rates.
    response
        Response rates, or ``None`` if responses are not tracked.
    both
        Probability that a patient has both, if that is tracked.
    """

    dlt: np.ndarray
    response: np.ndarray | None = None
    both: np.ndarray | None = None


@lru_cache(maxsize=64)
def outcome_table(tracks: tuple[str, ...], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return every outcome of a cohort: its increment to each count, and its multiplicity.

    Parameters
    ----------
    tracks
        Outcomes counted, one of `TRACKED`.
    size
        Number of patients in the cohort.

    Returns
    -------
    increments : (outcomes, tracks) integer array
        In a fixed order; outcomes by DLTs only are in order of their number.
        ways : (outcomes,) array
        Multiplicity: number of sequences of patients with that outcome.

    Examples
    --------
    >>> increments, ways = outcome_table(("dlt",), 3)
    >>> increments[:, 0], ways
    (array([0, 1, 2, 3]), array([1., 3., 3., 1.]))
    """
    found: dict[tuple[int, ...], int] = {}
    if "both" in tracks:
        for both, dlt, response in product(range(size + 1), repeat=3):
            neither = size - both - dlt - response
            if neither >= 0:
                ways = factorial(size) // prod(map(factorial, (both, dlt, response, neither)))
                found[both + dlt, both + response, both] = ways
    else:
        for counts in product(range(size + 1), repeat=len(tracks)):
            found[counts] = prod(comb(size, count) for count in counts)
    return np.array(list(found)), np.array(list(found.values()), float)


def cells(n: np.ndarray, counts: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Return the number of patients with each outcome, ``(states, doses)`` each, in the order of `log_rates`.

    Parameters
    ----------
    n : (states, doses) array
        Patients.
    counts : tuple of (states, doses) arrays
        Their tracked outcomes.
    """
    if len(counts) == 3:
        y, e, both = counts
        return [both, y - both, e - both, n - y - e + both]
    return [part for count in counts for part in (count, n - count)]


def log_rates(rates: Rates) -> np.ndarray:
    """Return the logarithm of the probability of each outcome at each dose, ``(outcomes * doses, scenarios)``.

    The log probability of a state, without its multiplicity, is the product of its `cells` side by side with these.
    """
    with np.errstate(divide="ignore"):
        if rates.both is not None and rates.response is not None:
            dlt, response, both = rates.dlt, rates.response, rates.both
            # A difference of probabilities can be negative by rounding.
            parts = (both, dlt - both, response - both, 1 - dlt - response + both)
            logs = [np.log(np.maximum(part, 0)) for part in parts]
        else:
            given = [rate for rate in (rates.dlt, rates.response) if rate is not None]
            logs = [part for rate in given for part in (np.log(rate), np.log1p(np.negative(rate)))]
    return np.vstack([np.maximum(part, LOG_ZERO).T for part in logs])
