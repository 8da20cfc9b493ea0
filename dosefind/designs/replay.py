"""A real trial followed by a design, cohort by cohort, and the cohorts that differ from the design's recommendations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .._check import MOST_DOSES, InputError, whole
from ..trial import COUNT, Cohort, Departure, States, check_cohorts
from . import limits
from .base import Design

__all__ = ["departures", "followed", "state_after", "state_later"]


def state_after(design: Design, cohorts: Sequence[Cohort], n_doses: int) -> States:
    """Return the state of one trial after the given cohorts, including the design's memory.

    Raises
    ------
    InputError
        If a cohort is not possible with this number of dose levels.

    Examples
    --------
    >>> from dosefind import BOIN
    >>> state_after(BOIN(target=0.25), [Cohort(1, 3, 0), Cohort(2, 3, 1)], 3).y
    array([[0, 1, 0]], dtype=int16)
    """
    return followed(design, cohorts, n_doses)[-1]


def followed(design: Design, cohorts: Sequence[Cohort], n_doses: int) -> tuple[States, ...]:
    """Return the states of one trial before and after each of the given cohorts; the last is that of `state_after`."""
    if design.tracks != ("dlt",):
        raise InputError(f"{design.title} also counts {' and '.join(design.tracks[1:])}, which these cohorts do not state")
    states = [States.before_first(whole("n_doses", n_doses, 1, MOST_DOSES), (0,) * design.n_memory)]
    for cohort in check_cohorts(cohorts, n_doses):
        states.append(state_later(design, states[-1], cohort))
    return tuple(states)


def state_later(design: Design, state: States, cohort: Cohort) -> States:
    """Return the state of one trial after another cohort, which has been checked."""
    dose, size, dlts = (np.full(1, value, COUNT) for value in (cohort.level - 1, cohort.n, cohort.dlts))
    memory = design.decide(state).memory if design.n_memory else state.memory
    return replace(state, memory=memory).follow(slice(None), dose, size, dlts)


def departures(
    design: Design,
    cohorts: Sequence[Cohort],
    n_doses: int,
    states: Sequence[States] | None = None,
    *,
    under_way: bool = False,
) -> tuple[Departure, ...]:
    """Return the differences between these cohorts and those of a trial that followed the design, in order.

    Parameters
    ----------
    design
        The design.
    cohorts
        The cohorts.
    n_doses
        Number of dose levels.
    states
        The states before and after each cohort, if they are known from `followed`.
    under_way
        Whether the last cohort may still be incomplete: that it has fewer patients than the design gives is then not a departure.

    Examples
    --------
    >>> from dosefind import BOIN
    >>> [str(departure) for departure in departures(BOIN(target=0.25), [Cohort(1, 3, 0), Cohort(3, 3, 0)], 3)]
    ['cohort 2 was at level 3; the design recommended level 2']
    """
    found: list[Departure] = []
    stopped = False
    checked = check_cohorts(cohorts, n_doses)
    before = followed(design, checked, n_doses) if states is None else states
    for number, (state, cohort) in enumerate(zip(before, checked, strict=False), start=1):
        decision = design.decide(state)
        planned = int(decision.dose[0]) + 1
        if planned > 0:
            if planned != cohort.level:
                found.append(Departure("level", number, cohort.level, planned, cohort.level))
            found += _wrong_size(design, state, number, cohort)
        elif not stopped:
            # The first cohort after the stop reports it for all later cohorts.
            why = design.explain(design.reasons[int(decision.reason[0])])
            found.append(Departure("stopped", number, cohort.level, why, cohort.level))
        stopped = planned == 0
    last = found[-1] if under_way and found else None
    if last is not None and last.kind == "size" and last.cohort == len(checked) and last.given < int(last.planned):
        found.pop()
    return tuple(found)


def _wrong_size(design: Design, state: States, number: int, cohort: Cohort) -> list[Departure]:
    """Return the departure in the size of a single state's next cohort: an exceeded limit, otherwise a different cohort size."""
    level = np.full(1, cohort.level - 1)
    total, at_level = int(state.total[0]) + cohort.n, int(state.at(state.n, level)[0]) + cohort.n
    if design.max_n is not None and total > design.max_n:
        return [Departure("max_n", number, total, design.max_n, cohort.level)]
    if design.max_n_per_dose is not None and at_level > design.max_n_per_dose:
        return [Departure("max_n_per_dose", number, at_level, design.max_n_per_dose, cohort.level)]
    size = int(limits.size(design, state, level)[0])
    return [] if cohort.n == size else [Departure("size", number, cohort.n, size, cohort.level)]
