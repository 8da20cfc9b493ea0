"""Limits that all designs share: cohort sizes, titration, maximum sample size, patients per dose, stopping rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..trial import States
from ..words import _, counted

if TYPE_CHECKING:
    from .base import Design

__all__ = ["FEWEST_TOXIC", "sentences", "single", "size", "stops", "titrated"]

FEWEST_TOXIC = 3
"""Patients at the lowest dose from which a stop for toxicity ends a cohort that is not complete.

Further patients could only dilute what has closed the dose. With fewer, a DLT in the first patient would end a trial in which the
full cohort can show that the dose is tolerated.
"""


def stops(design: Design, states: States, dose: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Return the reason of each shared stopping rule with the states that it stops, ``(states,)``.

    Parameters
    ----------
    design
        The design.
    states
        The states.
    dose : (states,) integer array
        Dose index chosen by the design's own rules, -1 where they stop.

    Returns
    -------
    list
        If several rules apply, the reason of the last one is used.
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
    """Return the states with at most one patient at every dose, as is the case during titration, ``(states,)``."""
    return (states.cohorts > 0) & (states.n.max(axis=1) <= 1)


def titrated(states: States, dose: np.ndarray, within: np.ndarray | None) -> np.ndarray:
    """Return the doses after applying titration, which precedes the design's own rule, ``(states,)``.

    Parameters
    ----------
    states
        The states.
    dose : (states,) integer array
        Dose index chosen by the design's own rules.
    within : (states, doses) bool array or None
        Doses that titration may use; ``None`` for all.

    Returns
    -------
    integer array
        One level up if no patient had a DLT, otherwise the current dose, so that its cohort is completed.
    """
    climbs = (states.y.sum(axis=1) == 0) & (states.last < states.n_doses - 1)
    wanted = states.last + climbs
    if within is not None:
        wanted = np.where(climbs & ~states.at(within, wanted), states.last, wanted)
        wanted = np.where(states.at(within, wanted), wanted, dose)
    return np.where(single(states), wanted, dose)


def size(design: Design, states: States, dose: np.ndarray) -> np.ndarray:
    """Return the size of the next cohort at dose index ``dose``, within all limits, ``(states,)``; 0 if ``dose`` is -1."""
    patients = design.planned_size(states, dose)
    if design.titration:
        titrating, begins = single(states), states.cohorts == 0
        # One patient if titration continues upwards; where it ends, the rest of the first full cohort.
        patients = np.where(begins | (titrating & (dose > states.last)), 1, patients)
        patients = np.where(titrating & (dose == states.last), int(np.max(design.cohort_size)) - 1, patients)
    if design.max_n is not None:
        patients = np.minimum(patients, design.max_n - states.total)
    if design.max_n_per_dose is not None:
        patients = np.minimum(patients, design.max_n_per_dose - states.at(states.n, dose))
    return np.where(dose >= 0, patients, 0)


def sentences(design: Design) -> list[str]:
    """Return the limits as plain sentences."""
    lines = [_("{cohorts}, starting at level {level}.").format(cohorts=design.cohort_sentence(), level=design.start)]
    if design.titration:
        lines.append(
            _(
                "Titration before that: one patient per level, escalating until the first DLT or the top level; the cohort there "
                "is completed, and full cohorts are treated from then on."
            ),
        )
    if design.max_n_per_dose is not None:
        lines.append(
            counted(
                "At most {n} patient per dose: if the rule chooses a full dose, the trial stops.",
                "At most {n} patients per dose: if the rule chooses a full dose, the trial stops.",
                design.max_n_per_dose,
            )
        )
    lines += [_stopping_sentence(n, at) for n, at in design.stopping]
    if design.max_n is not None:
        lines.append(_("Maximum sample size {n}; the last cohort is reduced if necessary.").format(n=design.max_n))
    return lines


def _stopping_sentence(n: int, at: int | str) -> str:
    """Return a rule that stops the trial at a number of patients, at a level or at a dose of `dosefind.designs.base.Place`."""
    places = {
        "any": _("Stop once {n} or more patients have been treated at any one dose."),
        "chosen": _("Stop once {n} or more patients have been treated at the dose chosen for the next cohort."),
        "stay": _("Stop once {n} or more patients have been treated at a dose where the rule would stay."),
    }
    sentence = _("Stop once {n} or more patients have been treated at level {level}.") if isinstance(at, int) else places[at]
    return sentence.format(n=n, level=at)
