"""The time-to-event continual reassessment method (TITE-CRM): the CRM that decides with outcomes pending.

A patient without a DLT who has been followed up for u days has the likelihood 1 - w p, where p is the DLT rate at the patient's
dose and w = W(u) the share of the DLTs that come within u days. Cheung and Chappell (2000), Biometrics 56:1177-1182,
doi:10.1111/j.0006-341X.2000.01177.x. It is the likelihood of the mixture P(DLT by day u) = p W(u) with a known W, so what can be
wrong is W. A patient who completes the DLT window has w = 1, and a DLT counts in full on its day.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from .._check import InputError, Problem, whole
from ..figures import percent
from ..posterior.administered import AtAmounts
from ..posterior.followed import FollowedQuadrature
from ..protocol import FromTrial
from ..trial import COUNT, NO_DOSE, FollowUps, States, TimedStates
from ..words import _, counted, marked, n_days
from .base import Beside, Count, Reads
from .crm import CRM
from .rules import TIE

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["TITECRM"]

Share = Annotated[float, Field(ge=0, le=1, strict=True)]


class TITECRM(CRM):
    """The time-to-event continual reassessment method (TITE-CRM).

    Attributes
    ----------
    window_days
        Days in the DLT assessment period.
    weights
        Share W of the DLTs that come by a day: "linear", in proportion to the days; "piecewise", with the shares ``weight_parts``
        in equal parts of the DLT assessment period; "by-schedule", the same share after each planned infusion; linear within
        parts and intervals.
    weight_parts
        For "piecewise": shares with sum 1.
    interval_days
        For "by-schedule": days in the interval of each infusion.
    follow_up_share
        For "by-schedule": share of the DLTs that come in the days of the DLT assessment period after these intervals. By default 0:
        a patient without a DLT has the full weight from the end of the last interval on.
    cohort_size
        Patients per cohort, by default that of the protocol; with 1, also the default without a protocol, the design is asked
        before each patient.

    See Also
    --------
    CRM : curve, prior, estimate, safety rule
    ModelBased : target, skipping and coherence
    Design : settings that all designs have

    Examples
    --------
    >>> design = TITECRM(skeleton=(0.05, 0.12, 0.25, 0.4, 0.55), target=0.25, window_days=126)
    >>> fitted = design.fit_patients(level=[3, 3, 3, 3], dlt=[0, 0, 0, 0], days=[73, 66, 35, 28])
    >>> round(float(fitted.estimate), 4), int(fitted.recommended)
    (0.4908, 4)
    """

    kind: ClassVar[str] = "tite-crm"
    title: ClassVar[str] = "TITE-CRM"
    source: ClassVar[str] = "Cheung and Chappell (2000), doi:10.1111/j.0006-341X.2000.01177.x"
    reads: ClassVar[Reads] = "follow-up"

    window_days: Annotated[int, Field(ge=1, le=3650, strict=True), FromTrial("treatment.dlt_window_days")]
    weights: Literal["linear", "piecewise", "by-schedule"] = Field(
        default="linear", description=marked("share of the DLTs that come by a day of the window")
    )
    weight_parts: tuple[Share, ...] = Field(
        default=(), description=marked("for weights = 'piecewise': shares of the DLTs in equal parts of the window, with sum 1")
    )
    interval_days: Annotated[
        tuple[Annotated[int, Field(ge=1, le=3650, strict=True)], ...],
        FromTrial("treatment", lambda treatment: treatment.interval_days),
    ] = ()
    follow_up_share: Annotated[float, Field(ge=0, lt=1, strict=True)] = Field(
        default=0.0,
        description=marked(
            "for weights = 'by-schedule': share of the DLTs in the days of the window after the intervals of infusions"
        ),
    )
    cohort_size: Annotated[Count | tuple[Count, ...], FromTrial("limits.cohort_size")] = Field(
        default=1, description=marked("patients per cohort; with 1 the design is asked before each patient")
    )

    @model_validator(mode="after")
    def _weights_agree(self) -> Self:
        if bool(self.weight_parts) != (self.weights == "piecewise"):
            needed = "required for" if not self.weight_parts else "has no effect without"
            raise ValueError(f"weight_parts {needed} weights = 'piecewise'")
        if self.weight_parts and abs(sum(self.weight_parts) - 1) > 1e-6:
            raise ValueError(f"weight_parts = {list(self.weight_parts)} must have the sum 1")
        if self.weights == "by-schedule" and not self.interval_days:
            raise ValueError("interval_days is required for weights = 'by-schedule'")
        if self.weights == "by-schedule" and sum(self.interval_days) > self.window_days:
            raise ValueError(
                f"interval_days = {list(self.interval_days)} must not be longer than window_days = {self.window_days} in total"
            )
        return self

    @property
    def _after_intervals(self) -> int:
        """Return the days of the window after the intervals of all infusions, for weights by the schedule; otherwise 0."""
        return self.window_days - sum(self.interval_days) if self.weights == "by-schedule" else 0

    def idle(self) -> dict[str, str]:
        found = super().idle()
        if self.weights != "by-schedule":
            found["follow_up_share"] = "without weights = 'by-schedule'"
        elif self._after_intervals <= 0:
            found["follow_up_share"] = "as the intervals of the infusions last until the end of the window"
        return found

    def in_force(self) -> dict[str, Any]:
        without = {"linear": ("weight_parts", "interval_days"), "piecewise": ("interval_days",), "by-schedule": ("weight_parts",)}
        return {name: value for name, value in super().in_force().items() if name not in without[self.weights]}

    @property
    def goes_on_until_dlt(self) -> bool:
        # The safety rule and limits need a number of patients, which a start can reach.
        return self.safety_cutoff is None and self.max_n_per_dose is None and self.stop_n is None

    @property
    def window_of_follow_up(self) -> int:
        return self.window_days

    def on_complete_data(self) -> CRM:
        settings = {name: getattr(self, name) for name in self.model_fields_set if name in CRM.model_fields}
        return CRM(**{**settings, "cohort_size": self.cohort_size})

    def weight(self, days: np.ndarray | Sequence[float] | float) -> np.ndarray:
        """Return the share of the DLTs that come within a number of days, W(days)."""
        parts = (1.0,) if self.weights == "linear" else self.weight_parts
        edges = np.linspace(0, self.window_days, len(parts) + 1)
        if self.weights == "by-schedule":
            number, after = len(self.interval_days), self._after_intervals
            parts = (*((1 - self.follow_up_share) / number,) * number, *((self.follow_up_share,) if after else ()))
            edges = np.cumsum([0, *self.interval_days, *((after,) if after else ())])
        reached = np.concatenate([[0.0], np.cumsum(parts)])
        return np.interp(np.asarray(days, float), edges, reached / reached[-1])

    @cached_property
    def _weights(self) -> np.ndarray:
        """Return the weight of each number of whole days, from 0 to the window."""
        return self.weight(np.arange(self.window_days + 1))

    # The decision ---------------------------------------------------------------------------------------------------

    def ceiling(self, states: States) -> np.ndarray:
        ceiling = super().ceiling(states)
        # Nobody at the latest dose can be evaluated: no evidence for escalation.
        held = (states.cohorts > 0) & (states.here(states.n) == 0)
        if self.coherence != "off":
            held |= self._late(states) > 0
        return np.where(held, np.minimum(ceiling, states.last), ceiling)

    def kept_up(self, states: States, dose: np.ndarray, ceiling: np.ndarray) -> np.ndarray:
        # A late DLT of an earlier patient is a reason to de-escalate.
        return np.where(self._late(states) > 0, dose, super().kept_up(states, dose, ceiling))

    def _late(self, states: States) -> np.ndarray:
        """Return the DLTs of earlier patients that became known since the latest cohort began."""
        known = states.follow_ups if isinstance(states, TimedStates) else None
        return np.zeros(len(states), int) if known is None else known.late

    def _answers(self, states: States) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        partly = self._partly(states)
        if partly is None or not (rows := np.flatnonzero((partly >= 0).any(axis=1))).size:
            return super()._answers(states)
        n, y, dose, days = self._data(states, partly, rows)
        counted = states.n[rows]
        if self.safety_by == "beta":
            # Patients without a full weight dilute no stop.
            counted = counted.copy()
            counted[:, 0] -= (dose == 0).sum(axis=1).astype(counted.dtype)
        found = self._judged(counted, states.y[rows], self._decisive_followed.settle_followed(n, y, dose, days, self._decided))
        if len(rows) == len(states):
            return found
        others = np.flatnonzero((partly < 0).all(axis=1))
        all_n, all_y = states.in_likelihood
        answers = []
        for own, other in zip(found, self._evaluate(all_n[others], all_y[others]), strict=True):
            answer = np.empty(len(states), own.dtype)
            answer[rows], answer[others] = own, other
            answers.append(answer)
        return answers[0], answers[1], answers[2]

    def _expected(self, states: States) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        partly = self._partly(states)
        if partly is None or not (partly >= 0).any():
            return super()._expected(states)
        quadrature = FollowedQuadrature(self._likelihood, self._moment_columns, weights=self._weights)
        return quadrature.expect_followed(*self._data(states, partly, np.arange(len(states))))

    def _partly(self, states: States) -> np.ndarray | None:
        """Return the dose index of each pending patient with a weight below 1, -1 for others; ``None`` if follow-up is not read."""
        if not isinstance(states, TimedStates) or not states.pending.any():
            return None
        if states.follow_ups is None:
            raise InputError(f"{self.title}: the follow-up of pending patients is required")
        known = states.follow_ups
        return np.where(self._weights[known.days] < 1 - TIE, known.dose, NO_DOSE)

    def _data(self, states: States, partly: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return patients with a full weight and their DLTs as the likelihood reads them, then dose and days of the others."""
        assert isinstance(states, TimedStates)
        assert states.follow_ups is not None
        dose, days = partly[rows].astype(np.intp), states.follow_ups.days[rows]
        n, y = (values.copy() for values in self._read(*(values[rows] for values in states.in_likelihood)))
        for level in range(len(self.levels)):
            n[:, level] -= (dose == level).sum(axis=1).astype(n.dtype)
        return n, y, dose, days

    @cached_property
    def _decisive_followed(self) -> FollowedQuadrature:
        return FollowedQuadrature(self._likelihood, self._decisive_columns, weights=self._weights)

    def _with(self, found: AtAmounts | None) -> Self:
        design = super()._with(found)
        if design is not self:
            vars(design).pop("_decisive_followed", None)
        return design

    # Fits and words -------------------------------------------------------------------------------------------------

    def fit_patients(self, level: Sequence[int], dlt: Sequence[int], days: Sequence[float]) -> xr.Dataset:
        """Return the posterior of the curve given patients with their follow-up.

        Parameters
        ----------
        level
            Dose level of each patient, from 1.
        dlt
            Whether each patient had a DLT (1 or 0).
        days
            Days followed up without a DLT, or to the DLT; also with fractions.

        Returns
        -------
        xarray.Dataset
            As `CRM.fit`, with the ``weight`` of each patient, 1 with a DLT.
        """
        _one_each(level=level, dlt=dlt, days=days)
        if any(not 0 <= passed <= self.window_days for passed in days):
            raise InputError(Problem("days", list(days), f"must be from 0 to the {self.window_days} days of the DLT window"))
        weight = np.where(np.asarray(dlt) > 0, 1.0, self.weight(days))
        return self.fit_weighted(level, dlt, weight.tolist())

    def fit_weighted(self, level: Sequence[int], dlt: Sequence[int], weight: Sequence[float]) -> xr.Dataset:
        """Return the posterior of the curve given patients with stated weights, such as adaptive ones.

        Parameters
        ----------
        level, dlt
            See `fit_patients`.
        weight
            Weight of each patient without a DLT, from 0 to 1; a DLT counts in full.
        """
        doses = len(self.levels)
        _one_each(level=level, dlt=dlt, weight=weight)
        checked = [(whole("level", at, 1, doses), whole("dlt", toxic, 0, 1)) for at, toxic in zip(level, dlt, strict=True)]
        each = np.array(checked, int).reshape(-1, 2).T
        own = np.where(each[1] == 1, 1.0, np.asarray(weight, float))
        if not ((own >= 0) & (own <= 1)).all():
            raise InputError(Problem("weight", list(weight), "must be from 0 to 1"))
        n, y, c = np.zeros((3, 1, doses), COUNT)
        partly = own < 1 - TIE
        for place, toxic, pending in zip(each[0] - 1, each[1], partly, strict=True):
            n[0, place] += 1
            y[0, place] += toxic
            c[0, place] += pending
        at, weights = each[0][partly] - 1, own[partly]
        # Days of a design whose table of weights holds these.
        order = np.append(np.unique(weights), 1.0)
        design = self.model_copy()
        vars(design).pop("_decisive_followed", None)
        vars(design)["_weights"] = order
        follow_ups = FollowUps(self.window_days, at[None], np.searchsorted(order, weights)[None], np.zeros(1, COUNT))
        timed = TimedStates(**vars(States.of_checked(n, y)), pending=c, follow_ups=follow_ups)
        return design._fitted(timed).assign(weight=("patient", own))

    def because(self, state: States, beside: Beside | None = None) -> str:
        sentence = super().because(state, beside)
        reason = self.reasons[int(self.decide(state, beside).reason[0])]
        if not isinstance(state, TimedStates) or state.follow_ups is None or reason in ("start", "max_n"):
            return sentence
        known = state.follow_ups
        there = known.dose[0] >= 0
        if not there.any():
            return sentence
        weights = ", ".join(f"{weight:.2f}" for weight in np.sort(self._weights[known.days[0][there]]))
        pending = counted(
            "{n} pending patient with weight {weights}",
            "{n} pending patients with weights {weights}",
            int(there.sum()),
            weights=weights,
        )
        clauses = [sentence, pending]
        if known.late[0] and self.coherence != "off":
            clauses.append(_("no escalation straight after a DLT"))
        return "; ".join(clauses)

    def weight_words(self) -> str:
        """Return the weights in words, without a capital or an end."""
        forms = {
            "linear": _("the weight rises from 0 to 1 over the DLT window of {window}, in proportion to the days"),
            "piecewise": _(
                "the weight rises from 0 to 1 over the DLT window of {window}, with shares {parts} in equal parts of it"
            ),
            "by-schedule": _(
                "the weight rises from 0 to 1 over the DLT window of {window}, with the same share after each of {n} infusions"
            ),
        }
        if self.weights == "by-schedule" and self._after_intervals:
            forms["by-schedule"] = (
                _(
                    "the weight rises to {rest} over the intervals of {n} infusions ({days}), with the same share in each, and to "
                    "1 over the other {after} of the DLT window"
                )
                if self.follow_up_share
                else _(
                    "the weight rises from 0 to 1 over the intervals of {n} infusions ({days}), with the same share in each; from "
                    "then on it is 1, as no DLT is expected in the other {after} of the DLT window (follow_up_share = 0)"
                )
            )
        words = forms[self.weights] + " (weights = {weights})"
        return words.format(
            window=n_days(self.window_days),
            parts=", ".join(map(percent, self.weight_parts)),
            n=len(self.interval_days),
            days=n_days(sum(self.interval_days)),
            after=n_days(self._after_intervals),
            rest=f"{1 - self.follow_up_share:g}",
            weights=self.weights,
        )

    def sentences(self) -> list[str]:
        own = _(
            "With outcomes pending (TITE-CRM): a patient without a DLT counts with the weight w of the follow-up so far, "
            "likelihood 1 - w p; {weights}."
        ).format(weights=self.weight_words())
        lines = [super().sentences()[0], own, *super().sentences()[1:]]
        if self.coherence != "off":
            lines.append(_("No escalation either at the first decision after a DLT of an earlier patient."))
        return lines


def _one_each(**given: Sequence[float]) -> None:
    """Raise unless there is one of each for every patient."""
    if len({len(values) for values in given.values()}) > 1:
        numbers = ", ".join(f"{len(values)} of {name}" for name, values in given.items())
        raise InputError(Problem(", ".join(given), numbers, "must hold one of each for every patient"))
