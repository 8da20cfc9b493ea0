"""What the data do not say: records that a page puts into words.

A result from few data looks like any other result; each of these records names something that it leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .._check import InputError, Problem, counts

__all__ = ["Unknown", "unknowns"]

Code = Literal[
    "no_patients",
    "one_dose_tried",
    "untried_doses",
    "all_responses_pending",
    "responses_pending",
    "no_responses",
    "every_patient_responded",
    "responses_without_dlt_data",
    "dlt_data_without_responses",
]


@dataclass(frozen=True)
class Unknown:
    """Something that the data leave open.

    Attributes
    ----------
    code
        - ``no_patients``: no patient has a known outcome of either kind.
        - ``one_dose_tried``: responses are known at one dose only: the shape of the curve is the prior's.
        - ``untried_doses``: no response outcome at these levels is known: their response rates are the prior's or extrapolated.
        - ``all_responses_pending``: no response outcome is known, and some are pending.
        - ``responses_pending``: response outcomes at these levels are pending.
        - ``no_responses``: no patient responded: the data bound the response rates from above only, and do not rank the doses.
        - ``every_patient_responded``: the reverse.
        - ``responses_without_dlt_data``: at these levels responses are known and no DLT outcome is: no utility from data.
        - ``dlt_data_without_responses``: the reverse.
    levels
        Levels concerned, from 1.
    """

    code: Code
    levels: tuple[int, ...]


def unknowns(n_dlt: Any, n_response: Any, responses: Any, pending: Any = None) -> tuple[Unknown, ...]:
    """Return what the data leave open, most fundamental first.

    Parameters
    ----------
    n_dlt : (doses,) array
        Patients evaluable for DLT.
    n_response, responses : (doses,) arrays
        Patients evaluable for response, and responses.
    pending : (doses,) array
        Patients whose response outcome is pending; none by default.

    Examples
    --------
    >>> [(found.code, found.levels) for found in unknowns([3, 3, 0], [3, 0, 0], [0, 0, 0], [0, 3, 0])]
    [('one_dose_tried', (1,)), ('untried_doses', (2, 3)), ('responses_pending', (2,)), ('no_responses', (1,)),
    ('dlt_data_without_responses', (2,))]
    """
    try:
        evaluable, responded = counts(n_response, responses)
        treated = counts(n_dlt, np.zeros(len(evaluable), int), len(evaluable))[0]
        waiting = np.zeros(len(evaluable), int)
        if pending is not None:
            waiting = counts(pending, np.zeros(len(evaluable), int), len(evaluable))[0]
    except InputError as error:
        raise InputError(
            [Problem(f"n_dlt, n_response, responses, pending: {each.where}", each.value, each.allowed) for each in error.problems]
        ) from None
    known = evaluable > 0
    found: list[tuple[Code, np.ndarray]] = []
    if not known.any() and not treated.any():
        found.append(("no_patients", np.ones(len(known), bool)))
    if known.sum() == 1:
        found.append(("one_dose_tried", known))
    if known.any():
        found.append(("untried_doses", ~known))
    found.append(("responses_pending" if known.any() else "all_responses_pending", waiting > 0))
    if not responded.any():
        found.append(("no_responses", known))
    if (responded == evaluable).all():
        found.append(("every_patient_responded", known))
    found += [("responses_without_dlt_data", known & (treated == 0)), ("dlt_data_without_responses", ~known & (treated > 0))]
    return tuple(Unknown(code, tuple((np.flatnonzero(at) + 1).tolist())) for code, at in found if at.any())
