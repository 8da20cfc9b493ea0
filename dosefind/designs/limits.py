"""The limits that all designs share: largest sample, patients on a dose, stopping at a number of patients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..trial import States

if TYPE_CHECKING:
    from .base import Design

__all__ = ["sentences", "size", "stops"]

_PLACES = {
    "any": "at any one dose",
    "chosen": "at the dose chosen for the next cohort",
    "stay": "at a dose where the rule would stay",
}


def stops(design: Design, states: States, dose: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Return each shared stopping rule's reason with the states that it stops, ``(states,)``.

    Parameters
    ----------
    design
        The design.
    states
        The states.
    dose : (states,) integer array
        Dose index that the design's own rules choose, -1 where they stop.

    Returns
    -------
    list
        A later rule takes the place of an earlier one's reason.
    """
    going = dose >= 0
    at_chosen = states.at(states.n, dose)
    found = []
    if design.max_n_per_dose is not None:
        found.append(("dose_full", going & (at_chosen >= design.max_n_per_dose)))
    if design.stop_n is not None:
        if design.stop_n_at == "any":
            count = states.n.max(axis=1)
        elif isinstance(design.stop_n_at, int):
            count = states.n[:, design.stop_n_at - 1]
        else:
            count = np.where((dose == states.last) | (design.stop_n_at == "chosen"), at_chosen, 0)
        found.append(("n_at_dose", going & (count >= design.stop_n)))
    return found


def size(design: Design, states: States, dose: np.ndarray) -> np.ndarray:
    """Return how many patients the next cohort, at dose index ``dose``, has within all limits, ``(states,)``; 0 where it is -1."""
    patients = design.planned_size(states, dose)
    if design.max_n is not None:
        patients = np.minimum(patients, design.max_n - states.total)
    if design.max_n_per_dose is not None:
        patients = np.minimum(patients, design.max_n_per_dose - states.at(states.n, dose))
    return np.where(dose >= 0, patients, 0)


def sentences(design: Design) -> list[str]:
    """Return the limits as plain sentences."""
    size = design.cohort_size
    cohorts = f"Cohorts of {size}" if isinstance(size, int) else f"Cohorts of {', '.join(map(str, size))}, then the last size again"
    lines = [f"{cohorts}, starting at level {design.start}."]
    if design.max_n_per_dose is not None:
        lines.append(f"At most {design.max_n_per_dose} patients on a dose: when the rule chooses a full dose, the trial stops.")
    if design.stop_n is not None:
        place = f"at level {design.stop_n_at}" if isinstance(design.stop_n_at, int) else _PLACES[design.stop_n_at]
        lines.append(f"Stop when {design.stop_n} or more patients are {place}.")
    if design.max_n is not None:
        lines.append(f"At most {design.max_n} patients in all; the last cohort is cut short if need be.")
    return lines
