"""Hazard of a DLT per infusion, complementary log-log: ``log H_dk = log alpha + beta log(d / reference) + log A_k``.

H_dk is the cumulative hazard of infusion k of a course at dose d over its interval: P(DLT in interval k, none before) is
1 - exp(-H_dk), and P(DLT in the course) is 1 - exp(-(H_d1 + ... + H_dK)). Within an interval the hazard is constant. A_k is 1 for
every infusion, exp(delta (k - 1)) for a trend over the infusions, or the sum of rho^(k - j) over j = 1, ..., k for carry-over.

The data are intervals, complete or not: with e the DLTs and E the exposure in units of an interval, the log-likelihood is the sum
of e log H - E H, so that e and E by dose and infusion are sufficient. If only the interval of a DLT is used and not its day, its
term is log(1 - exp(-H)).

The total hazard as a sum over administrations: Braun, Yuan and Thall (2005), doi:10.1111/j.1541-0420.2005.00312.x; over cycles with
the complementary log-log link: Widmer et al. (2024), doi:10.48550/arXiv.2412.02355, whose code gives a patient with a DLT the
exposure of the whole interval.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.special import xlogy

from .._check import InputError, Problem
from ..exposure import Interval
from ..protocol import FromTrial
from ..words import marked
from .two_parameter import TwoParameterCurve

__all__ = ["Hazard", "Observed"]

# Logarithm of the largest hazard: the probability of no DLT is then exp(-1e6), and no likelihood depends on it.
_MOST = math.log(1e6)
# Days to which a background hazard refers.
MONTH = 28


class Hazard(TwoParameterCurve):
    """Hazard of a DLT per infusion, with the probability of a DLT in the course.

    Attributes
    ----------
    doses
        Dose amounts per infusion, strictly increasing.
    reference
        Dose whose hazard in the first interval is alpha, in the unit of the doses and of comparable size.
    prior
        Prior of (log alpha, log beta): means, standard deviations and correlation; or a list of such priors with weights.
    interval_days
        Days in the interval of each infusion of the course.
    accumulation
        "none": every infusion has the same hazard; "trend": a factor exp(delta) per further infusion, with delta normal around 0;
        "carry-over": a share ``rho`` of the hazard of an infusion goes on in the next interval.
    rho
        That share, for carry-over; fixed, because the data of a phase 1 trial hardly inform on it.
    trend_sd, trend_nodes
        Prior standard deviation of delta, and the number of its Gauss-Hermite values.
    delta
        A fixed value of delta instead, for a trend.
    background
        Hazard of a DLT per 28 days at any dose, also without treatment; fixed.
    follow_up_days, follow_up_share
        Days of follow-up after the intervals of the course, and the cumulative hazard in that time as a share of that of the last
        infusion's interval; fixed.
    over
        Period of the DLT probability shown: the "course" with its follow-up, a single "infusion" (the one with the largest
        hazard), or a number of days from the first infusion.
    window_days
        Days from the first infusion to the end of the DLT window, over which the outcomes of counts are known whatever the period
        shown; by default those of the course and its follow-up.
    event_time
        Whether the likelihood uses the "day" of a DLT or its "interval" only.

    Examples
    --------
    >>> from dosefind import BivariateNormal
    >>> prior = BivariateNormal(mean=(-3.35, 0.0), sd=(2.0, 1.0))
    >>> curve = Hazard(doses=(1, 2, 4), reference=2, prior=prior, interval_days=(28, 28, 28))
    >>> np.exp(curve.at(np.zeros((1, 2)))[0]).round(3)
    array([[0.051, 0.1  , 0.19 ]])
    """

    kind: ClassVar[str] = "hazard"
    title: ClassVar[str] = marked("Hazard per infusion")
    source: ClassVar[str] = "Braun, Yuan and Thall (2005), doi:10.1111/j.1541-0420.2005.00312.x"

    interval_days: Annotated[
        tuple[Annotated[int, Field(ge=1, le=3650, strict=True)], ...],
        Field(min_length=1, max_length=50),
        FromTrial("treatment", lambda treatment: treatment.interval_days),
    ]
    accumulation: Literal["none", "trend", "carry-over"] = "none"
    rho: Annotated[float, Field(ge=0, lt=1, strict=True)] | None = None
    trend_sd: Annotated[float, Field(gt=0, le=2, strict=True)] = 0.5
    trend_nodes: Literal[5, 7] = 7
    delta: Annotated[float, Field(ge=-20, le=20, strict=True)] | None = None
    background: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.0
    follow_up_days: Annotated[
        int, Field(ge=0, le=3650, strict=True), FromTrial("treatment", lambda treatment: treatment.after_course)
    ] = 0
    follow_up_share: Annotated[float, Field(ge=0, le=10, strict=True)] = 0.0
    over: Annotated[
        Literal["course", "infusion"] | Annotated[int, Field(ge=1, le=3650, strict=True)],
        FromTrial("target.over"),
    ] = "course"
    window_days: Annotated[Annotated[int, Field(ge=1, le=3650, strict=True)] | None, FromTrial("treatment.dlt_window_days")] = None
    event_time: Literal["day", "interval"] = "day"

    @model_validator(mode="after")
    def _accumulation_has_its_settings(self) -> Self:
        for name, of in (("rho", "carry-over"), ("delta", "trend")):
            if getattr(self, name) is not None and self.accumulation != of:
                raise InputError(Problem(name, getattr(self, name), f"has no effect with accumulation = {self.accumulation!r}"))
        if self.accumulation == "carry-over" and self.rho is None:
            raise InputError(Problem("rho", None, "required for accumulation = 'carry-over': a share of the hazard, below 1"))
        if isinstance(self.over, int) and self.over > self.total_days:
            allowed = f"must be at most {self.total_days}, the days of the course and its follow-up"
            raise InputError(Problem("over", self.over, allowed))
        return self

    @property
    def parameter_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return (*TwoParameterCurve.parameter_names, "delta") if self.accumulation == "trend" else TwoParameterCurve.parameter_names

    @property
    def n_coordinates(self) -> int:
        # A component has one value of delta.
        return 2

    @property
    def course_days(self) -> int:
        """Return the days in the intervals of the course."""
        return sum(self.interval_days)

    @property
    def total_days(self) -> int:
        """Return the days in the course and its follow-up."""
        return self.course_days + self.follow_up_days

    @property
    def components(self) -> tuple[tuple[float, Self], ...]:
        of_prior = super().components
        if self.counted is not self and not isinstance(self, Observed):
            # The likelihood is that of the counts, the DLT probability shown is of another period.
            of_prior = tuple((share, curve._with_intervals(())) for share, curve in of_prior)
        if self.accumulation != "trend" or self.delta is not None:
            return of_prior
        nodes, weights = np.polynomial.hermite_e.hermegauss(self.trend_nodes)
        deltas = list(zip((weights / weights.sum()).tolist(), (self.trend_sd * nodes).tolist(), strict=True))
        # The nodes are exact for the prior's moments, and each has the exposures of its own hazards.
        return tuple(
            (share * weight, curve.model_copy(update={"delta": delta})) for share, curve in of_prior for weight, delta in deltas
        )

    @property
    def counted(self) -> Self:
        days = min(self.window_days or self.total_days, self.total_days)
        if (self.total_days if self.over == "course" else self.over) == days:
            return self
        return self.model_copy(update={"over": days})

    def to_pymc(self, n: Any, y: Any) -> Any:
        if self.accumulation == "trend" and self.delta is None:
            raise InputError(Problem("accumulation", "trend", "is available by quadrature only"))
        # Its ``p`` is that of the DLT window, of which the counts are.
        return super(Hazard, self.counted).to_pymc(n, y)

    def factor(self, number: int, delta: Any = 0.0, xp: Any = np) -> Any:
        """Return A_k, the hazard of an interval relative to the first, for the infusion of this number (from 1)."""
        if self.accumulation == "trend":
            return xp.exp(delta * (number - 1))
        return 1.0 if self.rho is None else sum(self.rho**power for power in range(number))

    @property
    def _shares(self) -> list[float]:
        """Return the part of each interval, and of the follow-up, in the period of the DLT probability."""
        found, left = [], float(self.total_days if isinstance(self.over, str) else self.over)
        for days in (*self.interval_days, self.follow_up_days):
            found.append(min(left, days) / days if days else 0.0)
            left = max(left - days, 0.0)
        return found

    def _log_factor(self, delta: Any = 0.0, xp: Any = np) -> Any:
        """Return log of the hazard over the period of the DLT probability relative to that of the first interval."""
        # Without a trend it is a number, which PyTensor would take in single precision.
        xp = xp if self.accumulation == "trend" else np
        factors = [self.factor(number, delta, xp) for number in range(1, len(self.interval_days) + 1)]
        if self.over == "infusion":
            # The factors rise or fall throughout.
            return xp.log(xp.maximum(factors[0], factors[-1]))
        *shares, after = self._shares
        return xp.log(sum(map(operator.mul, shares, factors)) + after * self.follow_up_share * factors[-1])

    @property
    def _background(self) -> float:
        """Return the cumulative hazard of the background in the period of the DLT probability."""
        days = self.total_days if self.over == "course" else max(self.interval_days) if self.over == "infusion" else self.over
        return self.background * days / MONTH

    @property
    def background_risk(self) -> float:
        """Return the probability of a DLT from the background alone, in the period of the DLT probability."""
        return -math.expm1(-self._background)

    def parameters(self, z: Sequence[Any], xp: Any = np) -> tuple[Any, ...]:
        found = super().parameters(z, xp)
        return found if self.accumulation != "trend" else (*found, self.delta + 0.0 * z[0])

    def log_terms(self, theta: Sequence[Any], at: Any, xp: Any = np) -> tuple[Any, Any]:
        eta = theta[0] + xp.exp(theta[1]) * at + self._log_factor(*theta[2:], xp=xp)
        return _grouped(_sum(eta, self._background, xp), xp)

    def link(self, rate: Any) -> Any:
        return self._log_excess(rate) - self._log_factor(self.delta or 0.0)

    def coordinate_of(self, rate: float, theta: Sequence[Any]) -> Any:
        # A flat curve reaches the rate further away than any dose can be.
        with np.errstate(over="ignore"):
            return (self._log_excess(rate) - self._log_factor(*theta[2:]) - theta[0]) * np.exp(-theta[1])

    def _log_excess(self, rate: Any) -> Any:
        """Return log of the cumulative hazard over the background at which a DLT has this probability."""
        # A rate up to that of the background is below every dose.
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(-np.log1p(-np.asarray(rate, float)) - self._background, 0.0))

    def variants(self) -> Iterator[tuple[str, str, Self]]:
        yield from super().variants()
        if self.accumulation == "none" and len(self.interval_days) > 1:
            yield "accumulation", "trend", self.model_copy(update={"accumulation": "trend"})

    def rate_of(self, interval: Interval) -> tuple[tuple[tuple[float, float], ...], float]:
        """Return the hazard of an interval: (amount, multiple of alpha (amount / reference)^beta) terms to sum, and background."""
        amounts = interval.amounts
        if self.accumulation == "carry-over":
            assert self.rho is not None
            weights = [self.rho ** (len(amounts) - 1 - place) for place in range(len(amounts))]
        else:
            weights = [0.0] * (len(amounts) - 1) + [float(self.factor(len(amounts), self.delta or 0.0))]
        share, days = 1.0, self.interval_days[min(len(amounts), len(self.interval_days)) - 1]
        if interval.follow_up:
            share, days = self.follow_up_share, self.follow_up_days
        terms = sorted(
            (amount, share * weight) for amount, weight in zip(amounts, weights, strict=True) if amount * share * weight > 0
        )
        summed = tuple((amount, sum(weight for _, weight in group)) for amount, group in groupby(terms, key=lambda term: term[0]))
        return summed, self.background * days / MONTH

    @property
    def _planned(self) -> Iterator[Interval]:
        """Yield the intervals of a course as planned at each dose."""
        for dose in self.doses:
            yield from (Interval((dose,) * number, 0.0) for number in range(1, len(self.interval_days) + 1))

    def _alike(self, interval: Interval) -> Any:
        """Return a key that intervals share if their hazards are equal whatever the parameters."""
        return self.rate_of(interval), len(interval.amounts) if self.accumulation == "trend" else 0

    def observing(self, intervals: Sequence[Interval]) -> tuple[Observed, np.ndarray, np.ndarray]:
        """Return the likelihood of intervals as a curve, with the numbers that multiply its terms.

        Intervals of equal hazard are summed. Exposure in one without a hazard has no part in the likelihood; a DLT there belongs
        to the interval of the last infusion given, so that no DLT has a hazard of zero.

        Returns
        -------
        observed : Observed
            The same model, with the hazards of the intervals: those of a course at each dose, then any others in the data. The
            former are always the same, so that data sets share their grids.
        n, y : (hazards + doses,) arrays
            ``y`` is the number of DLTs, ``n`` is that with the exposure added; then, by dose, zeros for patients of whom only the
            outcome of the course is known.

        Raises
        ------
        InputError
            If a DLT precedes every infusion, or a number is negative.
        """
        kinds: dict[Any, Interval] = {}
        for interval in self._planned:
            kinds.setdefault(self._alike(interval), interval)
        found = {key: np.zeros(2) for key in kinds}
        for interval in intervals:
            numbers = (interval.exposure, interval.events, interval.until_events)
            if not all(0 <= number < math.inf for number in numbers) or (interval.until_events > 0 and not interval.events):
                raise InputError(Problem("intervals", tuple(interval), "must have exposures and DLTs of at least 0"))
            if not self.rate_of(interval)[0]:
                if not interval.events:
                    continue
                given = [place for place, amount in enumerate(interval.amounts) if amount > 0]
                if not given:
                    raise InputError(Problem("intervals", tuple(interval), "must not have a DLT before any infusion"))
                interval = Interval(interval.amounts[: given[-1] + 1], 0.0, interval.events)
            key = self._alike(interval)
            kinds.setdefault(key, interval._replace(exposure=0.0, events=0.0, until_events=0.0))
            exposure = interval.exposure + (interval.until_events if self.event_time == "day" else 0.0)
            found.setdefault(key, np.zeros(2))
            found[key] += (exposure + interval.events, interval.events)
        counts = np.array(list(found.values()))
        n, y = np.vstack([counts, np.zeros((len(self.doses), 2))]).T
        return self._with_intervals(tuple(kinds.values())), n, y

    def _with_intervals(self, intervals: tuple[Interval, ...]) -> Any:
        """Return the same model with the likelihood of intervals and of counts."""
        settings = {name: getattr(self, name) for name in Hazard.model_fields}
        return Observed.model_construct(self.model_fields_set | {"intervals"}, **settings, intervals=intervals)

    def sentences(self) -> list[str]:
        # Not at the top of the module, where `_` would be read as this in the code that a stored calibration ran.
        from ..words import _, counted

        lines = [
            _(
                "Hazard of a DLT per infusion (complementary log-log), log H = log alpha + beta log(dose / {reference}) for an "
                "interval of {days} days after each infusion."
            ).format(reference=f"{self.reference:g}", days=", ".join(map(str, dict.fromkeys(self.interval_days)))),
            counted(
                "The DLT probability of a course of {n} infusion is 1 - exp(-H).",
                "The DLT probability of a course of {n} infusions is 1 - exp(-(H_1 + ... + H_{n})).",
                len(self.interval_days),
            ),
        ]
        if self.over == "infusion":
            lines.append(_("The DLT probability shown is that of one infusion, the one with the largest hazard."))
        elif self.over != "course":
            lines.append(_("The DLT probability shown is that of {days} days from the first infusion.").format(days=self.over))
        lines.append(self._accumulation_sentence())
        if self.background:
            sentence = _("A hazard of {background} per 28 days is independent of dose and treatment (fixed).")
            lines.append(sentence.format(background=f"{self.background:g}"))
        if self.follow_up_days:
            sentence = _("The {days} days after the course have {share} of the hazard of the last infusion (fixed).")
            lines.append(sentence.format(days=self.follow_up_days, share=f"{self.follow_up_share:g}"))
        if self.event_time == "day":
            lines.append(_("Exposure of a patient with a DLT ends on its day."))
        else:
            lines.append(_("Of a DLT the interval is used, not the day."))
        return [*lines, *self.prior_sentences()]

    def _accumulation_sentence(self) -> str:
        from ..words import _

        if self.accumulation == "none":
            return _("All infusions have the same hazard.")
        if self.accumulation == "carry-over":
            return _("A share {rho} of the hazard of an infusion goes on in each next interval (fixed).").format(
                rho=f"{self.rho:g}"
            )
        if self.delta is not None:
            return _("The hazard changes by a factor exp({delta}) per further infusion (fixed).").format(delta=f"{self.delta:g}")
        sentence = _(
            "The hazard changes by a factor exp(delta) per further infusion; delta is normal with mean 0 and standard deviation "
            "{sd}."
        )
        return sentence.format(sd=f"{self.trend_sd:g}")


class Observed(Hazard):
    """The same model with the likelihood of intervals: its data are DLTs and exposure by interval, then DLTs and patients by dose
    of whom only the outcome of the course is known.

    At its own doses it has the DLT probabilities of the model; without doses stated, `at` returns the terms of the likelihood.

    Attributes
    ----------
    intervals
        The intervals, whose numbers are data and not used.
    """

    intervals: tuple[Interval, ...]

    def at(self, z: np.ndarray, doses: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        if doses is not None:
            return super().at(z, doses)
        return self.terms(self.parameters(tuple(z.T[:, :, None])))

    def terms(self, theta: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the terms of the likelihood, those that ``y`` multiplies and those of ``n - y``, each ``(..., terms)``.

        The parameters are ``(..., 1)``.
        """
        rates = [self.rate_of(interval) for interval in self.intervals]
        log_hazard = np.empty((*np.shape(theta[0])[:-1], len(rates)))
        for place, (summed, background) in enumerate(rates):
            amounts, weights = np.array(summed).T
            each = theta[0] + np.exp(theta[1]) * self.coordinate(amounts) + np.log(weights)
            log_hazard[..., place] = _sum(each[..., 0] if len(summed) == 1 else np.logaddexp.reduce(each, axis=-1), background)
        by_interval = _grouped(log_hazard)
        log_event = by_interval[0] if self.event_time == "interval" else np.minimum(log_hazard, _MOST)
        # Patients of whom only the outcome of the course is known.
        course = self.counted.log_terms(theta, self.coordinates)
        return np.concatenate([log_event, course[0]], axis=-1), np.concatenate([by_interval[1], course[1]], axis=-1)

    def log_best(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        exposure = n - y
        grouped = xlogy(y, y) + xlogy(exposure, exposure) - xlogy(n, n)
        if self.event_time == "day":
            own = slice(len(self.intervals))
            with np.errstate(divide="ignore", invalid="ignore"):
                rate = np.where(y > 0, np.minimum(y / exposure, np.exp(_MOST)), 1.0)[:, own]
            grouped[:, own] = np.where(y[:, own] > 0, y[:, own] * np.log(rate) - exposure[:, own] * rate, 0.0)
        return grouped.sum(axis=1)


def _sum(log_hazard: Any, background: float, xp: Any = np) -> Any:
    """Return the logarithm of a hazard with a background added."""
    return xp.logaddexp(log_hazard, np.log(background)) if background > 0 else log_hazard


def _grouped(log_hazard: Any, xp: Any = np) -> tuple[Any, Any]:
    """Return log p and log(1 - p) of a DLT within a cumulative hazard, without underflow."""
    log_hazard = xp.minimum(log_hazard, _MOST)
    hazard = xp.exp(log_hazard)
    # p is nearly the hazard where that is tiny; the ratio of the two is computed without 0 / 0.
    least = xp.maximum(hazard, 1e-300)
    return log_hazard + xp.log(-xp.expm1(-least) / least), -hazard
