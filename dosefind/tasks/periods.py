"""A hazard per infusion by period: the DLT probability of an infusion, the course and a year, and how much is extrapolated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..evaluability import Course
from ..evaluability.courses import NO_INFORMATION
from ..exposure import Interval
from ..figures import ESTIMATES
from ..models import Curve, Hazard
from ..posterior.administered import exact_posterior
from ..posterior.base import Posterior
from ..posterior.courses import Courses
from ..posterior.exact import REPORTED, ExactPosterior, exact_fit
from ..protocol import Protocol
from ..trial import Administered, Weighted
from ..words import _

__all__ = [
    "by_period",
    "by_reading",
    "course_rows",
    "courses_data",
    "exposure_of",
    "extrapolated",
    "intervals_among",
    "per_infusion",
    "posterior_of",
]

# The periods of the sensitivity analysis in days from the first infusion, and the share of the hazard of an infusion in the
# follow-up after the course.
YEAR, SHARE = 365, 0.1


def courses_data(curve: Hazard, courses: Sequence[Course], n: np.ndarray, y: np.ndarray) -> Courses | None:
    """Return the courses as data of a hazard, which include these counts; ``None`` without courses."""
    if not courses:
        return None
    return Courses(curve, intervals_among(courses), tuple(np.asarray(n).tolist()), tuple(np.asarray(y).tolist()))


def intervals_among(courses: Sequence[Course]) -> tuple[Interval, ...]:
    """Return the intervals of all courses."""
    return tuple(interval for course in courses for interval in course.intervals)


def posterior_of(
    n: np.ndarray,
    y: np.ndarray,
    administered: Sequence[Administered],
    weighted: Sequence[Weighted],
    courses: Sequence[Course],
    curve: Curve,
    rates: tuple[float, ...],
    tolerance: float = REPORTED,
) -> ExactPosterior:
    """Return the posterior by quadrature of a curve: with the courses for a hazard, if there are any, otherwise of the counts."""
    if isinstance(curve, Hazard) and courses:
        return _posterior(curve, n, y, rates, courses, tolerance)
    return exact_posterior(curve, n, y, rates, administered, tolerance, weighted)


def _posterior(
    curve: Hazard, n: np.ndarray, y: np.ndarray, rates: tuple[float, ...], courses: Sequence[Course], tolerance: float = REPORTED
) -> ExactPosterior:
    """Return the posterior of a hazard; without courses that of the counts."""
    # Frozen settings are hashable, which pyright does not see.
    return ExactPosterior(exact_fit(curve, rates, courses_data(curve, courses, n, y)), n, y, tolerance)  # type: ignore[arg-type]


def by_period(
    curve: Hazard, posterior: Callable[[Hazard], Posterior], courses: Sequence[Course], n: np.ndarray, protocol: Protocol
) -> dict[str, Any]:
    """Return the DLT probability in each period, with P(overdose) and the risk over the background, and the share extrapolated.

    Parameters
    ----------
    curve
        The hazard.
    posterior
        From the hazard with the DLT probability of another period to its posterior.
    courses
        The courses as far as they have been followed up; none if only the counts are known.
    n : (doses,) array
        Patients whose outcome is known.
    protocol
        The protocol.

    Returns
    -------
    dict
        Variables over ``period`` and ``dose`` for a labelled result, and the coordinate ``period``.
    """
    high = protocol.target.interval[1]
    means, overs, errors, background, names = [], [], [], [], []
    samples = False
    for name, of_period in _periods(curve):
        found = posterior(of_period)
        mean, below = found.moments()[0], found.below(high)
        names.append(name)
        means.append(mean.value)
        overs.append(1 - below.value)
        errors.append((mean.error, below.error))
        background.append(of_period.background_risk)
        samples = found.samples
    axes, shown = ("period", "dose"), np.array(means)
    data = {
        "period_mean": (axes, shown),
        "period_excess": (axes, shown - np.array(background)[:, None]),
        "period_p_over": (axes, np.array(overs)),
        "period_background": ("period", np.array(background)),
        "extrapolated": ("dose", extrapolated(curve, courses, n)),
    }
    of_errors = {}
    if samples:
        mean_se, over_se = np.array(errors).transpose(1, 0, 2)
        of_errors = {"period_mean_se": (axes, mean_se), "period_excess_se": (axes, mean_se), "period_p_over_se": (axes, over_se)}
    return _defined(data, high) | of_errors | {"period": names}


def by_reading(curve: Hazard, courses: Sequence[Course], n: np.ndarray, y: np.ndarray, protocol: Protocol) -> dict[str, Any]:
    """Return the DLT rate and P(overdose) with the courses read in other ways, and with one assumption on the hazard changed.

    Parameters
    ----------
    curve, courses, n, protocol
        As for `by_period`.
    y : (doses,) array
        DLTs.

    Returns
    -------
    dict
        Variables over ``reading`` and ``dose`` for a labelled result, and the coordinate ``reading``; none without courses.
    """
    if not courses:
        return {}
    high = protocol.target.interval[1]
    means, overs, names = [], [], []
    for name, other, read in _readings(curve, courses):
        found = _posterior(other, n, y, (high,), read)
        names.append(name)
        means.append(found.moments()[0].value)
        overs.append(1 - found.below(high).value)
    axes = ("reading", "dose")
    return _defined({"reading_mean": (axes, np.array(means)), "reading_p_over": (axes, np.array(overs))}, high) | {"reading": names}


def _defined(data: dict[str, Any], high: float) -> dict[str, Any]:
    """Return variables with their definitions."""
    rate = f"{100 * high:.3g}%"
    return {name: (*value, {"definition": _(ESTIMATES[name].definition).format(high=rate)}) for name, value in data.items()}


def _readings(curve: Hazard, courses: Sequence[Course]) -> Iterator[tuple[str, Hazard, Sequence[Course]]]:
    """Yield ways to read the courses: the name, the model and the courses; no courses are the counts of complete courses."""
    yield _("by course, parts of courses included"), curve, courses
    by_interval = curve.model_copy(update={"event_time": "interval"})
    yield _("by infusion, complete intervals only"), by_interval, _changed(courses, _complete_only)
    yield _("complete courses only"), curve, ()
    if curve.accumulation == "none" and len(curve.interval_days) > 1:
        yield _("trend of the hazard over the infusions"), curve.model_copy(update={"accumulation": "trend"}), courses
    if curve.event_time == "day":
        yield _("interval of a DLT instead of its day"), by_interval, courses
    yield _("half of the hazard in the first quarter of an interval"), curve, _changed(courses, _early)


def _changed(courses: Sequence[Course], change: Callable[[Interval], Interval]) -> tuple[Course, ...]:
    return tuple(course._replace(intervals=tuple(map(change, course.intervals))) for course in courses)


def _complete_only(interval: Interval) -> Interval:
    """Return an interval of one patient, without exposure unless it is complete."""
    return interval._replace(exposure=float(interval.exposure >= 1))


def _early(interval: Interval) -> Interval:
    """Return an interval of one patient if the cumulative hazard rises with the square root of time."""
    return interval._replace(exposure=interval.exposure**0.5, until_events=interval.until_events**0.5)


def exposure_of(curve: Hazard, course: Course) -> list[float]:
    """Return the exposure of a patient in each interval of the course, in units of the interval; an infusion not given has none.

    That of infusions beyond the planned number is part of the last.
    """
    found = [0.0] * len(curve.interval_days)
    for interval in course.intervals:
        if not interval.follow_up and interval.amounts[-1] > 0:
            found[min(len(interval.amounts), len(found)) - 1] += interval.exposure + interval.until_events
    return found


def course_rows(curve: Hazard, courses: Sequence[Course]) -> list[dict[str, Any]]:
    """Return each patient's course as far as it has been followed up: infusions, days, DLT, exposure by interval, why left out."""
    return [
        {
            "subject": course.subject,
            "level": course.level,
            "infusions": len(course.infusions),
            "days": course.days,
            "dlt": course.dlt,
            "exposure": exposure_of(curve, course),
            "left_out": course.left_out,
        }
        for course in courses
    ]


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
            over = {"over": days + later, "follow_up_days": later, "window_days": curve.window_days or curve.total_days}
            name = _("{days} days, follow-up with {share} of the hazard of an infusion")
            name = name.format(days=days + later, share=f"{share:g}")
            yield name, curve.model_copy(update=over | {"follow_up_share": share})


def extrapolated(curve: Hazard, courses: Sequence[Course], n: np.ndarray) -> np.ndarray:
    """Return the share of the planned exposure at each dose that has not been observed, ``(doses,)``; 1 without patients.

    After a DLT no exposure is planned. Without courses, every patient completed the course.
    """
    observed, planned = np.zeros(curve.n_doses), np.zeros(curve.n_doses)
    for course in courses:
        # Without information on DLTs nothing has been observed; other patients who are left out belong to no dose.
        if course.level is None or (course.left_out and course.left_out != _(NO_INFORMATION)):
            continue
        # An infusion that was not given is an interval that was not observed; further ones than planned are no part of the plan.
        own = sum(min(share, 1.0) for share in exposure_of(curve, course))
        observed[course.level - 1] += own
        planned[course.level - 1] += own if course.dlt else len(curve.interval_days)
    if not courses:
        observed = planned = np.asarray(n, float)
    return np.where(planned > 0, 1 - observed / np.maximum(planned, 1e-12), 1.0)


def per_infusion(rate: float, infusions: int) -> float:
    """Return the DLT rate per infusion at which a course has this rate, with equal hazards: 25% per course of 3 is 9.1%."""
    return 1 - (1 - rate) ** (1 / infusions)
