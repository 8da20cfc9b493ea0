"""Borrowing from other trials: which trials, and in what quantity; off unless an analysis requests it.

Trials may be pooled only in a quantity that has the same meaning in all of them, so a config with borrowing must state which.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from ._check import NAME, Checked, InputError, Problem, reach
from .exposure import Interval
from .models.base import Amounts, Positive
from .models.hierarchical import Exchangeable, Exnex, HierarchicalLogistic, TrialDoses
from .models.hierarchical_hazard import HierarchicalHazard, exposed
from .protocol import Days, Key, Protocol
from .units import wrong_unit
from .words import _, n_days

__all__ = ["Borrowing", "OtherTrial"]

_POOLED = {
    "first-window": "the DLTs of the first {days} days after one infusion, the only DLTs counted in every trial",
    "windows": "the DLTs in windows of {days} days with a common hazard, a longer window counting as several of them",
    "infusions": "the hazard of a DLT per infusion, the same for every infusion of a course",
    "as-given": "the DLTs of each trial's own window, as if the windows were the same",
}
_CHOICES = "; ".join(f"{name!r}: {words.format(days='n')}" for name, words in _POOLED.items())


class OtherTrial(Checked):
    """A trial from which to borrow.

    Attributes
    ----------
    doses
        Its dose amounts per infusion, strictly increasing.
    unit
        Unit of the amounts, which must be that of the protocol.
    infusions
        Number of infusions of that amount within its DLT window.
    dlt_window_days
        Days from the first infusion to the end of its DLT window.
    infusion_days
        Study days of these infusions, the first on day 1; by default at the interval of the protocol's own infusions.
    """

    doses: Amounts
    unit: Annotated[str, Field(pattern=NAME, strict=True)]
    infusions: Annotated[int, Field(ge=1, le=100, strict=True)]
    dlt_window_days: Days
    infusion_days: tuple[Annotated[int, Field(ge=1, le=3650, strict=True)], ...] | None = None

    @model_validator(mode="after")
    def _infusions_are_in_the_window(self) -> Self:
        days, window = self.infusion_days, self.dlt_window_days
        if self.infusions > window:
            raise InputError(Problem("infusions", self.infusions, f"must be at most {window}, one on each day of the DLT window"))
        if days is None:
            return self
        if days[:1] != (1,) or any(later <= earlier for earlier, later in pairwise(days)):
            raise InputError(Problem("infusion_days", list(days), "must begin with day 1 and increase"))
        if days[-1] > window:
            allowed = f"must be within the DLT window of {window} days: state the infusions before its end only"
            raise InputError(Problem("infusion_days", list(days), allowed))
        if len(days) != self.infusions:
            raise InputError(Problem("infusion_days", list(days), f"must be {self.infusions} days, one for each of the infusions"))
        return self

    def last_day(self, interval: int) -> int:
        """Return the day of the last infusion; if the days are not stated, with this interval between infusions."""
        return 1 + (self.infusions - 1) * interval if self.infusion_days is None else self.infusion_days[-1]


class Borrowing(Checked):
    """How a protocol's trial and other trials borrow from one another.

    Attributes
    ----------
    pooled
        Quantity pooled: the DLTs of the "first-window" in every trial, those over "windows" with a common hazard, the hazard per
        infusion of "infusions", or the DLTs "as-given".
    dose
        Whether equal doses "per-infusion" or equal "cumulative" doses are comparable across trials.
    reference
        Reference dose shared by all trials, on that scale, in the protocol's unit.
    exchangeable
        Distribution of the parameters of exchangeable trials.
    exnex
        Weights with which each trial is exchangeable (the protocol's own trial first, then the others in their order); without
        it all trials are exchangeable.
    trials
        The trials from which to borrow, by name.
    """

    pooled: Literal["first-window", "windows", "infusions", "as-given"] | None = Field(default=None, validate_default=True)
    dose: Literal["per-infusion", "cumulative"]
    reference: Positive
    exchangeable: Exchangeable
    exnex: Exnex | None = None
    trials: Annotated[dict[Key, OtherTrial], Field(min_length=1, max_length=49)]

    @field_validator("pooled")
    @classmethod
    def _pooled_is_said(cls, value: str | None) -> str:
        if value is None:
            raise ValueError(f"state what is pooled, because DLTs over different windows are different quantities ({_CHOICES})")
        return value

    @model_validator(mode="after")
    def _scales_agree(self) -> Self:
        if self.pooled == "first-window" and self.dose == "cumulative":
            raise ValueError("dose = 'cumulative' contradicts pooled = 'first-window', which ends before a second infusion")
        return self

    @property
    def by_infusion(self) -> bool:
        """Return whether the hazard per infusion is pooled, whose model can use parts of courses."""
        return self.pooled == "infusions"

    def model(self, protocol: Protocol, courses: Sequence[Interval] = ()) -> HierarchicalLogistic:
        """Return the model of the protocol's trial, which comes first, and the others.

        Parameters
        ----------
        protocol
            The protocol.
        courses
            Courses of the protocol's own trial as far as they have been followed up, which take the place of its counts if the
            hazard per infusion is pooled.

        Raises
        ------
        InputError
            If a trial has another unit or the name of the protocol's own trial, the DLT window of a trial ends before its
            infusions, or the reference dose is too far from the doses.
        """
        own = protocol.record.id
        for name, trial in self.trials.items():
            if name == own:
                raise InputError(Problem(f"trials.{name}", name, "is the protocol's own trial: state other trials only"))
            if (wrong := wrong_unit(trial.unit, protocol.doses.unit)) is not None:
                raise InputError(Problem(f"trials.{name}.unit", trial.unit, wrong))
        if (problem := self._window_too_short(protocol)) is not None:
            raise InputError(problem)
        cumulative = self.dose == "cumulative"
        settings: dict[str, Any] = {
            # Of a long name of a record, as much as the model takes.
            "pooled": textwrap.shorten(self._words(protocol).replace(protocol.record.id, protocol.record.id[:40]), 200),
            "trials": tuple(
                TrialDoses(
                    name=name,
                    doses=trial.doses,
                    infusions=trial.infusions if cumulative else 1,
                    windows=self._times(trial, protocol),
                )
                for name, trial in {own: _own(protocol), **self.trials}.items()
            ),
            "reference": self.reference,
            "exchangeable": self.exchangeable,
            "exnex": self.exnex,
        }
        if self.by_infusion:
            return HierarchicalHazard(**settings, courses=exposed(courses, cumulative=cumulative))
        return HierarchicalLogistic(**settings)

    def _window_too_short(self, protocol: Protocol) -> Problem | None:
        """Return what is wrong where the DLTs of a trial are those of fewer infusions than the model takes them to be."""
        if not self.by_infusion and self.dose != "cumulative":
            # The number of infusions has no effect.
            return None
        interval = max(protocol.treatment.interval_days)
        for name, trial in self.trials.items():
            if (last := trial.last_day(interval)) > trial.dlt_window_days:
                allowed = (
                    f"must be at least {last}, the day of the last of {trial.infusions} infusions every {interval} days, as in the "
                    "protocol's own trial; state infusion_days if they were on other days, and only the infusions within the window"
                )
                return Problem(f"trials.{name}.dlt_window_days", trial.dlt_window_days, allowed)
        return None

    def _times(self, trial: OtherTrial, protocol: Protocol) -> float:
        """Return how many times the hazard to which the parameters refer is that of a trial's DLT window."""
        if self.by_infusion:
            # The sum of the amounts is one dose.
            return 1.0 if self.dose == "cumulative" else float(trial.infusions)
        return trial.dlt_window_days / self._days(protocol) if self.pooled == "windows" else 1.0

    def warnings(self, protocol: Protocol) -> list[str]:
        """Return cautions about results that borrow."""
        return [*self._of_windows(protocol), *self._of_short_intervals(protocol)]

    def _of_short_intervals(self, protocol: Protocol) -> Iterator[str]:
        """Yield a caution about each trial whose DLT window ends before the interval of its last infusion."""
        if not self.by_infusion:
            return
        interval = max(protocol.treatment.interval_days)
        words = _(
            "The DLT window of {trial} ends {days} after its last infusion, and counts as the whole interval of an infusion "
            "({interval})."
        )
        for name, trial in {protocol.record.id: _own(protocol), **self.trials}.items():
            left = trial.dlt_window_days + 1 - trial.last_day(interval)
            if left < interval:
                yield words.format(trial=name, days=n_days(left), interval=n_days(interval))

    def _of_windows(self, protocol: Protocol) -> list[str]:
        """Return cautions about DLT windows that differ."""
        windows = {name: trial.dlt_window_days for name, trial in {protocol.record.id: _own(protocol), **self.trials}.items()}
        if len(set(windows.values())) == 1:
            return []
        each = _("{days} in {trial}")
        listed = ", ".join(each.format(days=n_days(days), trial=name) for name, days in windows.items())
        caution = {
            "first-window": _(
                "Every result refers to DLTs in the first {days} days, not in the trials' own windows ({windows}): the counts "
                "given must refer to the same days. The predicted conclusion of the trial is also based on them."
            ),
            "windows": _("The windows differ ({windows}): a constant hazard over them is an assumption.{prior}"),
            "infusions": _(
                "The windows differ ({windows}): the same hazard in every infusion, and none after its interval, is an "
                "assumption.{prior}"
            ),
            "as-given": _("DLT rates over different windows ({windows}) are pooled although they are different quantities."),
        }[self.pooled or "as-given"]
        days = self._days(protocol)
        return [caution.format(days=days, windows=listed, prior=self._prior_over_windows(windows, days, protocol))]

    def _prior_over_windows(self, windows: Mapping[str, int], days: int, protocol: Protocol) -> str:
        """Return the meaning of the prior, which refers to one window, in longer windows, as a further sentence."""
        if self.pooled not in ("windows", "infusions") or (self.by_infusion and self.dose == "cumulative"):
            return ""
        # For one window at the medians: log(1 - p).
        log_alpha = self.exchangeable.mu.mean[0]
        log_free = -np.exp(log_alpha) if self.by_infusion else -np.logaddexp(0.0, log_alpha)
        trials = {protocol.record.id: _own(protocol), **self.trials}
        times = {name: self._times(trial, protocol) for name, trial in trials.items()}
        rates = {name: -np.expm1(log_free * number) for name, number in times.items() if number > 1}
        each = _("{rate} in {days}")
        listed = ", ".join(each.format(rate=f"{rate:.2f}", days=n_days(windows[name])) for name, rate in rates.items())
        sentence = _(" Prior DLT rate at the reference dose: {rate} in {days}, {others}.")
        if self.by_infusion:
            sentence = _(" Prior DLT rate at the reference dose: {rate} per infusion, {others}.")
        return sentence.format(rate=f"{-np.expm1(log_free):.2f}", days=n_days(days), others=listed) if rates else ""

    def variants(self, protocol: Protocol) -> Iterator[tuple[str, str, Self]]:
        """Yield borrowing that differs in one assumption: the assumption, its value, the changed settings."""
        for varied, value, update in _spreads(self.exchangeable):
            exchangeable = self.exchangeable.model_copy(update=update)
            yield varied, value, self.model_copy(update={"exchangeable": exchangeable})
        for exnex in [] if self.exnex is None else [self.exnex.model_copy(update={"weight": w}) for w in (0.25, 0.5, 0.75)]:
            if exnex != self.exnex:
                yield "P(exchangeable)", f"{exnex.weight:g}", self.model_copy(update={"exnex": exnex})
        trials = self.model(protocol).trials
        reaches = [reach(trial.amounts) for trial in trials]
        for dose in trials[0].amounts:
            if dose != self.reference and all(low <= dose <= high for low, high in reaches):
                yield "reference dose", f"{dose:g}", self.model_copy(update={"reference": dose})
        infusions = _own(protocol).infusions
        for dose, times in (("per-infusion", 1 / infusions), ("cumulative", infusions)):
            if dose != self.dose and any(trial.infusions != infusions for trial in self.trials.values()):
                # The reference stays at the same dose of the protocol's own trial; DLTs after one infusion have no other dose
                # scale.
                pooled = "windows" if self.pooled == "first-window" else self.pooled
                update = {"dose": dose, "reference": self.reference * times, "pooled": pooled}
                changed = self.model_copy(update=update)
                if changed._window_too_short(protocol) is None:
                    yield "dose scale", dose, changed
        for pooled in _POOLED:
            # Without a trial of several infusions, the hazard per infusion is that of the windows as given.
            several = max(infusions, *(trial.infusions for trial in self.trials.values())) > 1
            changed = self.model_copy(update={"pooled": pooled})
            fits = pooled != "infusions" or (several and changed._window_too_short(protocol) is None)
            if pooled not in (self.pooled, "first-window") and fits:
                yield "what is pooled", pooled, changed

    def _words(self, protocol: Protocol) -> str:
        scale = "cumulative doses" if self.dose == "cumulative" else "doses of one infusion"
        words = f"{_POOLED[self.pooled or 'as-given'].format(days=self._days(protocol))}, at equal {scale}"
        number = {"windows": "windows", "infusions": "infusions"}.get(self.pooled or "")
        if number is None or (self.by_infusion and self.dose == "cumulative"):
            return words
        trials = {protocol.record.id: _own(protocol), **self.trials}
        each = ", ".join(f"{name} {self._times(trial, protocol):g}" for name, trial in trials.items())
        return f"{words}; {number}: {each}"

    def _days(self, protocol: Protocol) -> int:
        """Return the shortest DLT window."""
        return min(protocol.treatment.dlt_window_days, *(trial.dlt_window_days for trial in self.trials.values()))


def _spreads(exchangeable: Exchangeable) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield other means of the trials and other between-trial standard deviations, with the assumption and its value."""
    for times in (0.5, 2.0):
        first, second = (min(times * scale, 10.0) for scale in exchangeable.tau_scale)
        yield "tau scale", f"\u00d7 {times:g}", {"tau_scale": (first, second)}
    mu = exchangeable.mu
    for times in (0.5, 2.0):
        first, second = (min(times * sd, 10.0) for sd in mu.sd)
        yield "mu sd", f"\u00d7 {times:g}", {"mu": mu.model_copy(update={"sd": (first, second)})}
    for shift in (-1.0, 1.0):
        mean = (mu.mean[0] + shift, mu.mean[1])
        yield "mu of log alpha", f"{shift:+g}", {"mu": mu.model_copy(update={"mean": mean})}
    for rho in (-0.5, 0.0, 0.5):
        if rho != exchangeable.rho:
            yield "rho", f"{rho:g}", {"rho": rho}


def _own(protocol: Protocol) -> OtherTrial:
    """Return the protocol's own trial in the form of a trial from which to borrow."""
    return OtherTrial(
        doses=protocol.doses.amounts,
        unit=protocol.doses.unit,
        # An infusion on the last day of the window has no interval in it.
        infusions=len(protocol.treatment.interval_days),
        dlt_window_days=protocol.treatment.dlt_window_days,
        infusion_days=protocol.treatment.infusion_days[: len(protocol.treatment.interval_days)],
    )
