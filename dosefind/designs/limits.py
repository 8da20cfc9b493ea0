"""The limits that all designs share: cohorts, titration, largest sample, patients on a dose, stopping at a number of patients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..trial import States

if TYPE_CHECKING:
    from .base import Design

__all__ = ["sentences", "single", "size", "stops", "titrated"]

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
    for n, place in design.stopping:
        if place == "any":
            count = states.n.max(axis=1)
        elif isinstance(place, int):
            count = states.n[:, place - 1]
        else:
            count = np.where((dose == states.last) | (place == "chosen"), at_chosen, 0)
        found.append(("n_at_dose", going & (count >= n)))
    return found


def single(states: States) -> np.ndarray:
    """Return which states have had no more than one patient on any dose, as all have while a titration goes on, ``(states,)``."""
    return (states.cohorts > 0) & (states.n.max(axis=1) <= 1)


def titrated(states: States, dose: np.ndarray, within: np.ndarray | None) -> np.ndarray:
    """Return the doses where titration goes before the design's own rule, ``(states,)``.

    Parameters
    ----------
    states
        The states.
    dose : (states,) integer array
        Dose index that the design's own rules choose.
    within : (states, doses) bool array or None
        Doses that titration may give; ``None`` for all.

    Returns
    -------
    integer array
        One level up where nobody had a DLT, else the dose itself, so that its cohort is completed.
    """
    climbs = (states.y.sum(axis=1) == 0) & (states.last < states.n_doses - 1)
    wanted = states.last + climbs
    if within is not None:
        wanted = np.where(climbs & ~states.at(within, wanted), states.last, wanted)
        wanted = np.where(states.at(within, wanted), wanted, dose)
    return np.where(single(states), wanted, dose)


def size(design: Design, states: States, dose: np.ndarray) -> np.ndarray:
    """Return how many patients the next cohort, at dose index ``dose``, has within all limits, ``(states,)``; 0 where it is -1."""
    patients = design.planned_size(states, dose)
    if design.titration:
        one, begins = single(states), states.cohorts == 0
        # Up goes one patient; where the titration ends, the rest of the first whole cohort.
        patients = np.where(begins | (one & (dose > states.last)), 1, patients)
        patients = np.where(one & (dose == states.last), int(np.max(design.cohort_size)) - 1, patients)
    if design.max_n is not None:
        patients = np.minimum(patients, design.max_n - states.total)
    if design.max_n_per_dose is not None:
        patients = np.minimum(patients, design.max_n_per_dose - states.at(states.n, dose))
    return np.where(dose >= 0, patients, 0)


def sentences(design: Design) -> list[str]:
    """Return the limits as plain sentences."""
    lines = [f"{design.cohort_sentence()}, starting at level {design.start}."]
    if design.titration:
        lines.append(
            "Before that one patient a level, upwards, until the first DLT or the top level; there the cohort is completed, and "
            "cohorts are whole from then on."
        )
    if design.max_n_per_dose is not None:
        lines.append(f"At most {design.max_n_per_dose} patients on a dose: when the rule chooses a full dose, the trial stops.")
    for n, at in design.stopping:
        place = f"at level {at}" if isinstance(at, int) else _PLACES[at]
        lines.append(f"Stop when {n} or more patients are {place}.")
    if design.max_n is not None:
        lines.append(f"At most {design.max_n} patients in all; the last cohort is cut short if need be.")
    return lines
