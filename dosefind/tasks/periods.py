"""A hazard per infusion by period: the DLT probability of an infusion, the course and a year, and how much is extrapolated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evaluability import Course
from ..models import Hazard
from ..posterior.courses import Courses
from ..posterior.exact import ExactPosterior, exact_fit
from ..protocol import Protocol
from ..words import _

if TYPE_CHECKING:
    pass

__all__ = ["by_period", "courses_data", "extrapolated"]

# The periods of the sensitivity analysis in days from the first infusion, and the share of the hazard of an infusion in the
# follow-up after the course.
YEAR, SHARE = 365, 0.1


def courses_data(curve: Hazard, courses: Sequence[Course], n: np.ndarray, y: np.ndarray) -> Courses | None:
    """Return the courses as data of a hazard, which include these counts; ``None`` without courses."""
    if not courses:
        return None
    intervals = tuple(interval for course in courses for interval in course.intervals)
    return Courses(curve, intervals, tuple(np.asarray(n).tolist()), tuple(np.asarray(y).tolist()))


def by_period(curve: Hazard, courses: Sequence[Course], n: np.ndarray, y: np.ndarray, protocol: Protocol) -> dict[str, Any]:
    """Return the DLT probability in each period, with P(overdose) and the risk over the background, and the share extrapolated.

    Parameters
    ----------
    curve
        The hazard.
    courses
        The courses as far as they have been followed up; none if only the counts are known.
    n, y : (doses,) arrays
        Patients and DLTs whose outcome is known.
    protocol
        The protocol.

    Returns
    -------
    dict
        Variables over ``period`` and ``dose`` for a labelled result, and the coordinate ``period``.
    """
    high = protocol.target.interval[1]
    means, overs, background, names = [], [], [], []
    for name, of_period in _periods(curve):
        data = courses_data(of_period, courses, n, y)
        # Frozen settings are hashable, which pyright does not see.
        found = ExactPosterior(exact_fit(of_period, (high,), data), n, y)  # type: ignore[arg-type]
        names.append(name)
        means.append(found.moments()[0].value)
        overs.append(1 - found.below(high).value)
        background.append(of_period.background_risk)
    axes, shown = ("period", "dose"), np.array(means)
    words = {
        "period_mean": _("posterior mean of the DLT rate in the period from the first infusion, background included (total risk)"),
        "period_excess": _("the same without the risk of the background (excess risk)"),
        "period_p_over": _("probability that the DLT rate in the period is {high} or more").format(high=f"{100 * high:.3g}%"),
        "period_background": _("probability of a DLT in the period from the background alone"),
        "extrapolated": _("share of the planned exposure of the patients treated at the dose that has not been observed"),
    }
    data = {
        "period_mean": (axes, shown),
        "period_excess": (axes, shown - np.array(background)[:, None]),
        "period_p_over": (axes, np.array(overs)),
        "period_background": ("period", np.array(background)),
        "extrapolated": ("dose", extrapolated(curve, courses, n)),
    }
    return {name: (*value, {"definition": words[name]}) for name, value in data.items()} | {"period": names}


def _periods(curve: Hazard) -> Iterator[tuple[str, Hazard]]:
    """Yield the name of each period, and the model with its DLT probability."""
    days = curve.course_days
    yield _("one infusion"), curve.model_copy(update={"over": "infusion"})
    yield _("{days} days").format(days=curve.interval_days[0]), curve.model_copy(update={"over": curve.interval_days[0]})
    if len(curve.interval_days) > 1:
        yield _("course ({days} days)").format(days=days), curve.model_copy(update={"over": days})
    if days < YEAR:
        later = curve.follow_up_days or YEAR - days
        for share in dict.fromkeys((0.0, SHARE, curve.follow_up_share)):
            over = {"over": days + later, "follow_up_days": later}
            name = _("{days} days, follow-up with {share} of the hazard of an infusion")
            name = name.format(days=days + later, share=f"{share:g}")
            yield name, curve.model_copy(update=over | {"follow_up_share": share})


def extrapolated(curve: Hazard, courses: Sequence[Course], n: np.ndarray) -> np.ndarray:
    """Return the share of the planned exposure at each dose that has not been observed, ``(doses,)``; 1 without patients.

    After a DLT no exposure is planned. Without courses, every patient completed the course.
    """
    observed, planned = np.zeros(curve.n_doses), np.zeros(curve.n_doses)
    for course in courses:
        if course.level is None or course.left_out:
            continue
        # An infusion that was not given is an interval that was not observed.
        given = [interval for interval in course.intervals if not interval.follow_up and interval.amounts[-1] > 0]
        own = sum(interval.exposure + interval.until_events for interval in given)
        observed[course.level - 1] += own
        planned[course.level - 1] += own if course.dlt else len(curve.interval_days)
    if not courses:
        observed = planned = np.asarray(n, float)
    return np.where(planned > 0, 1 - observed / np.maximum(planned, 1e-12), 1.0)
