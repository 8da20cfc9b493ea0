"""Bayesian logistic regression model (BLRM) with overdose control for a course of infusions, with parts of courses.

The curve is the hazard of a DLT per infusion (`dosefind.models.Hazard`), complementary log-log and not logistic. Every patient is
included as far as the course has been followed up: DLTs and exposure by dose and infusion. Overdose control is that of the BLRM, by
default on the DLT rate of the whole course. The same model for cycles: Widmer et al. (2024), doi:10.48550/arXiv.2412.02355.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from ..exposure import PartCourses
from ..models import BivariateNormal, Hazard, Observed
from ..posterior.courses import Courses, as_planned
from ..protocol import FromTrial
from ..trial import WAIT, Administered, States, TimedStates, Weighted
from ..words import _, marked
from .base import Flag, Proposal, Reads
from .blrm import BLRM, prior_of_first
from .rules import highest

__all__ = ["CourseBLRM"]

_Key = tuple[PartCourses, tuple[int, ...], tuple[int, ...]]
# Most states with courses whose values are kept.
_KNOWN = 4096


class CourseBLRM(BLRM):
    """The BLRM with overdose control for a course of infusions, deciding with parts of courses.

    Attributes
    ----------
    prior
        Prior of (log alpha, log beta) of the hazard per infusion; or a list of such priors with weights.
    interval_days, follow_up_days, follow_up_share, window_days, accumulation, rho, trend_sd, background, event_time
        The hazard; see `Hazard`.
    over
        Whether the target and the overdose limit are those of the DLT rate of a "course" or of an "infusion".
    completed_below
        Whether the first patient at a dose must wait until a patient at the dose below has completed the course without a DLT.

    See Also
    --------
    BLRM : the other settings
    ModelBased : target, skipping and coherence
    Design : settings that all designs have
    dosefind.models.Hazard : the model

    Examples
    --------
    >>> from dosefind import decide
    >>> prior = {"mean": (-3.35, 0.0), "sd": (2.0, 1.0)}
    >>> design = CourseBLRM(
    ...     doses=(1, 2, 4), reference=2, prior=prior, interval=(0.16, 0.33), target=0.25, interval_days=(28, 28, 28), max_n=18
    ... )
    >>> print(decide(design, "1NNN", n_doses=3).words)
    escalate to level 2, 3 patients
    """

    kind: ClassVar[str] = "blrm-course"
    title: ClassVar[str] = marked("BLRM of a course")
    source: ClassVar[str] = "Widmer et al. (2024), doi:10.48550/arXiv.2412.02355"
    reads: ClassVar[Reads] = "exposure"

    prior: Annotated[BivariateNormal | tuple[BivariateNormal, ...], prior_of_first(Hazard)]
    interval_days: Annotated[tuple[int, ...], FromTrial("treatment", lambda treatment: treatment.interval_days)]
    follow_up_days: Annotated[int, FromTrial("treatment", lambda treatment: treatment.after_course)] = 0
    follow_up_share: float = 0.0
    window_days: Annotated[int | None, FromTrial("treatment.dlt_window_days")] = None
    accumulation: Literal["none", "trend", "carry-over"] = "none"
    rho: float | None = None
    trend_sd: float = 0.5
    background: float = 0.0
    event_time: Literal["day", "interval"] = "day"
    over: Annotated[Literal["course", "infusion"], FromTrial("target.over")] = "course"
    completed_below: Flag = Field(
        default=True,
        description=marked("whether the first patient at a dose waits until one at the dose below has completed the course"),
    )

    @cached_property
    def curve(self) -> Hazard:
        """Return the hazard per infusion with its prior."""
        return Hazard(**{name: getattr(self, name) for name in Hazard.model_fields if name in type(self).model_fields})

    def with_administered(self, administered: Sequence[Administered]) -> Self:
        """Return the same design: the intervals of each patient have the amounts that were administered."""
        return self

    def with_weighted(self, weighted: Sequence[Weighted]) -> Self:
        """Return the same design: patients who left are included as far as they were followed up."""
        return self

    def exceptions(self) -> dict[str, str]:
        if not self.completed_below:
            return super().exceptions()
        why = "after a DLT the next higher dose may be closed, and patients are then treated at the current dose or below"
        return super().exceptions() | {"still waits with a DLT": why}

    def with_weights(self, weights: Sequence[float]) -> Self:
        """Return the same design, as `with_weighted`."""
        return self

    def propose(self, states: States) -> Proposal:
        found = super().propose(states)
        if not self.completed_below:
            return found
        timed = isinstance(states, TimedStates)
        pending = states.pending if timed else np.zeros_like(states.n)
        completed = states.n - states.y - pending > 0
        if timed and (included := states.included) is not None:
            n, y, complete = included
            # Patients beyond the courses so far are supposed to complete theirs.
            completed = complete + (states.n - n) - (states.y - y) > 0
        # The first patient at a dose above the highest tried, of which the last cohort may have had no evaluable patient.
        tried = np.maximum(highest(states.n > 0), states.last)
        most = tried + states.at(completed, tried)
        closed = found.dose > most
        # Without anybody pending at the dose below, only further patients there can complete the course.
        waits = closed & (most == tried) & (states.at(pending, tried) > 0)
        dose = np.where(closed, np.where(waits, WAIT, most), found.dose)
        index = np.arange(states.n_doses)
        open_doses = index <= most[:, None]
        return replace(found, dose=dose, open=open_doses if found.open is None else found.open & open_doses)

    def sentences(self) -> list[str]:
        lines = super().sentences()
        period = _("of the course") if self.over == "course" else _("of an infusion")
        lines.append(_("DLT rates are those {period}. Every patient is included as far as followed up.").format(period=period))
        if self.completed_below:
            lines.append(
                _(
                    "The first patient at a dose is treated once a patient at the dose below has completed the course without a "
                    "DLT. Where the model leads to a dose not tried before that, accrual is suspended while a patient at the "
                    "highest dose tried is pending; if none is, the next patients are treated at that dose. Where it leads to a "
                    "dose already tried, accrual goes on."
                )
            )
        return lines

    def _read(self, states: States) -> tuple[np.ndarray, np.ndarray]:
        if isinstance(states, TimedStates) and states.exposure is not None:
            # Frozen settings are hashable, which pyright does not see.
            planned = as_planned(self.curve, states.exposure.interval_days)  # type: ignore[arg-type]
            numbers = np.hstack(planned.counts(states.exposure, states.n, states.y))
            each, same = np.unique(numbers, axis=0, return_inverse=True)
            n, y = np.hsplit(each, 2)
            return self._split(self._quadrature_of(planned.extended).settle(n, y, self._decided)[same.reshape(-1)])
        if not isinstance(states, TimedStates) or not states.courses:
            return super()._read(states)
        keys = list(zip(states.courses, map(tuple, states.n.tolist()), map(tuple, states.y.tolist()), strict=True))
        missing = [key for key in dict.fromkeys(keys) if key not in self._known]
        if len(self._known) + len(missing) > _KNOWN:
            self._known.clear()
            missing = list(dict.fromkeys(keys))
        # Courses with the same terms of the likelihood are one batch.
        batches: dict[Observed, list[tuple[_Key, np.ndarray, np.ndarray]]] = {}
        for key in missing:
            courses, n, y = key
            data = Courses(self.curve, courses.intervals, courses.n, courses.y)
            batches.setdefault(data.extended, []).append((key, *data.counts(np.array(n), np.array(y))))  # type: ignore[arg-type]
        for extended, parts in batches.items():
            of_batch, exposed, events = zip(*parts, strict=True)
            found = self._quadrature_of(extended).settle(np.stack(exposed), np.stack(events), self._decided)
            self._known.update(zip(of_batch, found, strict=True))
        values = np.stack([self._known[key] for key in keys])
        return self._split(values)

    @cached_property
    def _known(self) -> dict[_Key, np.ndarray]:
        """Return what is known of states with courses: a reason and a look ahead ask again about the same ones."""
        return {}

    def _split(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return P(overdose) and the merit of each dose and of the level beyond the top."""
        over = values[:, : len(self.doses) + 1]
        return over, values[:, len(self.doses) + 1 :] if self.choose == "target" else over
