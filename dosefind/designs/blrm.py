"""Bayesian logistic regression model (BLRM) with escalation under overdose control (EWOC).

After each cohort a two-parameter logistic curve is fitted to all data. A dose is admissible if its probability of overdose
is below a limit. The next cohort receives the highest admissible dose, or the admissible dose with the largest probability of
the target interval. Neuenschwander, Branson and Gsponer (2008), Statistics in Medicine 27:2420-2439, doi:10.1002/sim.3230; overdose
control as in Babb, Rogatko and Zacks (1998), Statistics in Medicine 17:1103-1120,
doi:10.1002/(SICI)1097-0258(19980530)17:10<1103::AID-SIM793>3.0.CO;2-9.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import model_validator

from ..figures import percent
from ..models import BivariateNormal, Curve, Logistic2, TwoParameterCurve
from ..models.base import Positive
from ..posterior.administered import AtAmounts
from ..posterior.mixture import MixedQuadrature
from ..posterior.quadrature import FLOOR, Nodes
from ..protocol import FromTrial
from ..trial import States
from ..words import _
from .base import Beside, Probability, Proposal, Selection
from .model_based import ModelBased
from .rules import TIE, at_least, highest

__all__ = ["BLRM", "prior_of_first"]

# Largest acceptable error of P(overdose) in the message that a trial cannot start.
_SAID = 1e-4


def prior_of_first(curve: type[TwoParameterCurve]) -> FromTrial:
    """Return the origin of a prior: the first curve of a kind in the protocol."""

    def prior(curves: Mapping[str, dict[str, Any]]) -> Any:
        return next((table["prior"] for table in curves.values() if table.get("kind") == curve.kind and "prior" in table), None)

    return FromTrial("curves", prior, f"the prior of the first curve of kind {curve.kind!r}")


class BLRM(ModelBased):
    """The Bayesian logistic regression model (BLRM) with escalation under overdose control (EWOC).

    Attributes
    ----------
    doses
        Dose amounts, strictly increasing.
    reference
        Dose at which the odds of a DLT are alpha, in the unit of the doses and of comparable size.
    prior
        Prior of (log alpha, log beta): means, standard deviations and correlation; or a list of such priors with weights.
    interval
        Target interval; a DLT rate at or above its upper end is an overdose.
    ewoc
        A dose is admissible if P(overdose) is below this limit.
    choose
        Which admissible dose to give: the "highest", or the one with the largest probability of the "target" interval.
    target
        Target DLT rate, used only to judge whether the latest cohort was toxic; doses are chosen by the interval.
    final
        Doses eligible for the final selection: those "tried", or all doses of the "model", including doses never given.

    See Also
    --------
    ModelBased : target, skipping and coherence
    Design : settings that all designs have

    Examples
    --------
    >>> from dosefind import decide
    >>> prior = {"mean": (-2.0, 0.0), "sd": (1.5, 0.7)}
    >>> design = BLRM(doses=(1, 3, 5), reference=3, prior=prior, interval=(0.16, 0.33), target=0.25)
    >>> print(decide(design, "1NNN 2NNT"))
    stay at level 2, 3 patients: P(overdose) 1.4%, 18.0%, 42.8%, below 25% up to level 2
    """

    kind: ClassVar[str] = "blrm"
    title: ClassVar[str] = "BLRM"
    source: ClassVar[str] = "Neuenschwander, Branson and Gsponer (2008), doi:10.1002/sim.3230"
    on_dose_scale: ClassVar[bool] = True

    doses: Annotated[tuple[Positive, ...], FromTrial("doses.amounts")]
    reference: Annotated[Positive, FromTrial("doses.reference", attrgetter("amount"))]
    prior: Annotated[BivariateNormal | tuple[BivariateNormal, ...], prior_of_first(Logistic2)]
    interval: Annotated[tuple[Probability, Probability], FromTrial("target.interval")]
    ewoc: Probability = 0.25
    choose: Literal["highest", "target"] = "target"
    final: Literal["tried", "model"] = "tried"

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        low, high = self.interval
        if not low < high:
            raise ValueError(f"interval = {list(self.interval)} must be [low, high] with low below high")
        if self.n_doses is not None and len(self.doses) != self.n_doses:
            raise ValueError(f"doses has {len(self.doses)} amounts for {self.n_doses} levels: it must have one per level")
        # These constructors check doses, reference and prior.
        nobody = np.zeros((1, len(self.curve.doses)))
        if self.start > len(self.doses):
            raise ValueError(f"start = {self.start} is not among the {len(self.doses)} dose levels")
        p_over = float(self._quadrature.settle(nobody, nobody, self._may_start)[0, self.start - 1])
        if at_least(p_over, self.ewoc):
            raise ValueError(
                f"start = {self.start} is not admissible before any data: P(overdose) is {p_over:.3f} under the prior, and ewoc "
                f"= {self.ewoc:g}"
            )
        return self

    def exceptions(self) -> dict[str, str]:
        found = {"no higher with a DLT": "a DLT at a lower dose can make the curve flatter, and so a higher dose safer"}
        if self.final == "model":
            found["highest without a DLT"] = "the model can select a dose that no patient received"
        return found

    @property
    def known_doses(self) -> int | None:
        return len(self.doses)

    @cached_property
    def curve(self) -> TwoParameterCurve:  # type: ignore[override]
        """Return the dose-toxicity curve with its prior."""
        return Logistic2(doses=self.doses, reference=self.reference, prior=self.prior)

    def propose(self, states: States) -> Proposal:
        over, merit = self._read(states)
        safe = ~at_least(over[:, :-1], self.ewoc)
        ceiling = self.ceiling(states)
        open_doses = safe & (np.arange(states.n_doses) <= ceiling[:, None])
        dose = self._best(merit[:, :-1], open_doses)
        # A dose retained by coherence must itself be admissible.
        kept = self.kept_up(states, dose, ceiling)
        dose = np.where((dose >= 0) & states.at(safe, kept), kept, dose)
        dose = self.stepped_down(states, dose, open_doses)
        return Proposal(dose, {"too_toxic": dose < 0}, open_doses, self._margin(over))

    def conclude(self, states: States) -> Selection:
        over, merit = self._read(states)
        safe = ~at_least(over, self.ewoc)
        among = safe[:, :-1] & (states.n > 0) if self.final == "tried" else safe[:, :-1]
        best = self._best(merit[:, :-1], among)
        top = states.n_doses - 1
        beyond = safe[:, -1] & ((merit[:, -1] > merit[:, top] + TIE) | (self.choose == "highest"))
        return Selection(best, beyond, self._margin(over))

    def because(self, state: States, beside: Beside | None = None) -> str:
        reason = self.reasons[int(self.decide(state, beside).reason[0])]
        if reason in ("start", "max_n"):
            return self.explain(reason)
        if beside is not None:
            state = self.with_beside(state, beside)
        over = self._read(state)[0][0, :-1]
        up_to = int(highest(~at_least(over, self.ewoc)[None])[0]) + 1
        sentence = (
            _("P(overdose) {values}, below {limit} up to level {level}")
            if up_to
            else _("P(overdose) {values}, not below {limit} at any level")
        )
        data = sentence.format(values=", ".join(map(percent, over)), limit=f"{100 * self.ewoc:g}%", level=up_to)
        if reason in ("escalate", "stay", "de-escalate"):
            return data
        return _("{data}: {reason}").format(data=data, reason=self.explain(reason))

    def with_prior(self, scale: float) -> Self:
        each = self.prior if isinstance(self.prior, tuple) else (self.prior,)
        scaled = [prior.model_copy(update={"sd": tuple(scale * sd for sd in prior.sd)}) for prior in each]
        return self.with_settings(prior=tuple(scaled) if len(scaled) > 1 else scaled[0])

    def sentences(self) -> list[str]:
        low, high = self.interval
        rates = {"low": f"{low:g}", "high": f"{high:g}", "ewoc": f"{self.ewoc:g}"}
        rules = [
            _("A dose is admissible if the probability that its DLT rate is {high} or more is below {ewoc} (EWOC)."),
            _("The next cohort receives the highest admissible dose.")
            if self.choose == "highest"
            else _(
                "The next cohort receives the admissible dose with the largest probability of a DLT rate in [{low}, {high}); ties "
                "go to the lower dose."
            ),
            *self.restrictions(),
            _("Stop without an MTD if no dose is admissible."),
            _("The MTD is selected in the same way from the doses given.")
            if self.final == "tried"
            else _("The MTD is selected in the same way from all doses, given or not."),
            _(
                "An additional DLT at a lower dose can raise the recommended dose, because with two parameters it makes the curve "
                "flatter."
            ),
            _(
                "The MTD is not reached if the top dose is selected and a hypothetical next level would be chosen instead. That "
                "level is as far above the top dose as the top dose is above the one below it, on the log dose scale (twice the "
                "dose if there is one level)."
            ),
        ]
        return [*self.curve.sentences(), *(rule.format(**rates) for rule in rules)]

    # The fit -----------------------------------------------------------------------------------------------------

    def _best(self, merit: np.ndarray, among: np.ndarray) -> np.ndarray:
        """Return the index of the chosen dose among ``among``, -1 if there are none."""
        if self.choose == "highest":
            return highest(among)
        shown = np.where(among, merit, -np.inf)
        first = np.argmax(shown >= shown.max(axis=1, keepdims=True) - TIE, axis=1)
        return np.where(among.any(axis=1), first, -1)

    def _margin(self, over: np.ndarray) -> np.ndarray:
        return np.abs(over[:, :-1] - self.ewoc).min(axis=1)

    def _read(self, states: States) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of `_evaluate` for each state."""
        over, merit = states.by_counts(self._evaluate)
        return over, merit

    def _evaluate(self, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return P(overdose) and the probability of the target interval, for every dose and for the level beyond the top."""
        values = self._quadrature.settle(n, y, self._decided) if self._at_amounts is None else self._settled(self._at_amounts, n, y)
        over = values[:, : (len(self.doses) + 1)]
        return over, values[:, (len(self.doses) + 1) :] if self.choose == "target" else over

    def _settled(self, at: AtAmounts, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the same values, using administered doses in counts that include patients with other amounts, and weights."""
        included, levels = at.includes(n, y), len(self.doses)
        moved = self._quadrature_of(at.extended)
        values = np.empty((len(n), (levels + 1) * (2 if self.choose == "target" else 1)))
        values[~included] = self._quadrature.settle(n[~included, :levels], y[~included, :levels], self._decided)
        values[included] = moved.settle(*at.counts(n[included], y[included]), self._decided)
        return values

    def _may_start(self, values: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Return whether P(overdose) at the starting dose is precise enough to be reported and to be on one side of the limit."""
        p_over, error = values[:, self.start - 1], error[:, self.start - 1]
        return (error < _SAID) & ((np.abs(p_over - self.ewoc) > error + TIE) | (error < FLOOR))

    def _decided(self, values: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Return whether every comparison that depends on these values has the same result within their error."""
        over, merit = values[:, : (len(self.doses) + 1)], values[:, (len(self.doses) + 1) :]
        margin = np.abs(over - self.ewoc).min(axis=1)
        for i in range(merit.shape[1]):
            for j in range(i):
                # Only a choice between admissible doses depends on the interval probabilities.
                apart = np.abs(merit[:, i] - merit[:, j]) / 2
                margin = np.minimum(margin, np.where(over[:, i] < self.ewoc, apart, np.inf))
        worst = error.max(axis=1)
        return (margin > worst + TIE) | (worst < FLOOR)

    @property
    def _at(self) -> np.ndarray:
        """Return the doses on the curve's scale, and a level beyond the top."""
        at = self.curve.coordinates
        return np.append(at, at[-1] + (at[-1] - at[-2] if len(at) > 1 else np.log(2)))

    @cached_property
    def _quadrature(self) -> MixedQuadrature:
        return self._quadrature_of(self.curve)

    def _quadrature_of(self, curve: Curve) -> MixedQuadrature:
        """Return the quadrature of a curve with the same parameters and the likelihood of other data."""
        # Frozen settings are hashable, which pyright does not see.
        places, with_target = tuple(self._at.tolist()), self.choose == "target"
        return _quadrature(curve, places, self.interval, with_target)  # type: ignore[arg-type]


@lru_cache(maxsize=16)
def _quadrature(curve: Curve, places: tuple[float, ...], interval: tuple[float, float], with_target: bool) -> MixedQuadrature:
    """Return the quadrature of P(overdose) and optionally of the target interval, at given points of the curve's scale.

    Designs that differ only in other settings share its grids.
    """
    at = np.array(places)

    def columns(nodes: Nodes) -> np.ndarray:
        below_high = nodes.below(interval[1], at)
        if not with_target:
            return 1 - below_high
        return np.column_stack([1 - below_high, below_high - nodes.below(interval[0], at)])

    return MixedQuadrature(curve, columns)
