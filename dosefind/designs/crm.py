"""The continual reassessment method (CRM) with any one-parameter curve and a normal prior.

After each cohort the curve is fitted to all data and the next cohort receives the dose whose estimated DLT rate is closest to
the target. O'Quigley, Pepe and Fisher (1990), Biometrics 46:33-48, doi:10.2307/2531628; restrictions on escalation as in
Goodman, Zahurak and Piantadosi (1995), doi:10.1002/sim.4780141102, and Cheung (2005), Biometrika 92:863-873,
doi:10.1093/biomet/92.4.863.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator
from scipy.special import betaincc, ndtri

from .._check import InputError, Problem
from ..figures import percent
from ..models import Curve, OneParameterCurve, one_parameter
from ..models.elicitation import Indifference
from ..posterior.administered import AtAmounts
from ..posterior.quadrature import FLOOR, Nodes, Quadrature
from ..trial import States, parse_outcomes
from ..words import _, n_patients
from .base import Beside, Probability, Proposal, Selection
from .model_based import ModelBased
from .replay import state_after
from .rules import TIE, above, nearest

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CRM"]

# The maximum likelihood estimate of the parameter is sought between minus this and this.
_SEARCHED = 10.0


def _known_curve(kind: Any) -> Any:
    kinds = list(one_parameter())
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"must be {', '.join(map(repr, kinds[:-1]))} or {kinds[-1]!r}")
    return kind


class CRM(ModelBased):
    """The continual reassessment method (CRM).

    Attributes
    ----------
    target
        Target DLT rate.
    skeleton
        Prior DLT probability of each dose, strictly increasing; or ``{"halfwidth": h, "mtd_level": k}``, from which it is
        calibrated for ``n_doses`` doses.
    model
        Kind of the one-parameter curve, such as "power" (dfcrm's "empiric"), "logistic" or "cloglog".
    intercept
        Intercept of the logistic model.
    prior_sd
        Prior standard deviation of the curve's parameter, the square root of 1.34 by default as in dfcrm.
    recommend
        "plug-in": the curve at the posterior mean of its parameter (dfcrm); "mean": the posterior mean of each DLT rate.
    safety_cutoff, safety_by, safety_min_n
        Stop if P(p_1 > target) > cutoff, by the "model" or by a "beta" posterior with a Beta(1, 1) prior using the lowest dose
        only, once that dose has ``safety_min_n`` patients; without a cutoff there is no such rule.
    final
        Doses eligible for the final selection: those "tried", or all doses of the "model", including doses never given (as in
        dfcrm's simulator).
    not_reached_below
        The MTD is not reached if the estimate at the top dose is below this rate. By default this is the rate at which a
        hypothetical next level, as far above the top as the top is above the next lower level, would be equally close to the
        target.

    See Also
    --------
    ModelBased : target, skipping and coherence
    Design : settings that all designs have

    Examples
    --------
    >>> design = CRM(skeleton=(0.05, 0.12, 0.25, 0.4, 0.55), target=0.25, model="logistic")
    >>> round(float(design.fit("3N 5N 5T 3N 4N").estimate), 2)
    0.28
    """

    kind: ClassVar[str] = "crm"
    title: ClassVar[str] = "CRM"
    tied_to_target: ClassVar[tuple[str, ...]] = ("target", "skeleton", "not_reached_below")
    source: ClassVar[str] = "O'Quigley, Pepe and Fisher (1990), doi:10.2307/2531628"

    skeleton: tuple[Probability, ...] | Indifference
    model: Annotated[str, BeforeValidator(_known_curve), WithJsonSchema({"enum": list(one_parameter()), "type": "string"})] = (
        "power"
    )
    # Each option of a curve is a setting of the same name here.
    intercept: Annotated[float, Field(ge=-10, le=10, strict=True)] = 3.0
    prior_sd: Annotated[float, Field(gt=0, le=10, strict=True)] = 1.34**0.5
    recommend: Literal["plug-in", "mean"] = "plug-in"
    safety_cutoff: Probability | None = None
    safety_by: Literal["model", "beta"] = "model"
    safety_min_n: Annotated[int, Field(ge=1, strict=True)] = 3
    final: Literal["tried", "model"] = "tried"
    not_reached_below: Probability | None = None

    @field_validator("skeleton", mode="before")
    @classmethod
    def _plain_sequence(cls, value: Any) -> Any:
        return tuple(value.tolist()) if isinstance(value, np.ndarray) else value

    @field_validator("skeleton")
    @classmethod
    def _skeleton_increases(cls, value: Any) -> Any:
        if isinstance(value, tuple) and (len(value) == 0 or any(b <= a for a, b in pairwise(value))):
            raise ValueError("must hold one probability per dose, strictly increasing")
        return value

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        if isinstance(self.skeleton, tuple):
            if self.n_doses is not None and len(self.skeleton) != self.n_doses:
                raise ValueError(f"skeleton has {len(self.skeleton)} values for {self.n_doses} doses: it must have one per dose")
        elif self.n_doses is None:
            raise ValueError("n_doses is required to calibrate a skeleton from an indifference interval")
        curve = one_parameter()[self.model].of_options(**self._options)
        if self.target >= curve.ceiling or max(self.levels) >= curve.ceiling:
            raise ValueError(curve.beyond("skeleton and target"))
        if self.not_reached_below is not None and self.not_reached_below >= curve.ceiling:
            raise ValueError(
                f"not_reached_below = {self.not_reached_below:g} is a rate that no dose can have: it must be below "
                f"{curve.ceiling:.3f}"
            )
        return self

    def idle(self) -> dict[str, str]:
        idle = super().idle()
        others = {name for curve in one_parameter().values() for name in curve.options()} - {*self._options}
        idle |= dict.fromkeys(sorted(others), f"with model = {self.model!r}")
        if self.safety_cutoff is None:
            idle |= dict.fromkeys(("safety_by", "safety_min_n"), "without safety_cutoff")
        return idle

    def exceptions(self) -> dict[str, str]:
        return {"highest without a DLT": "the model can select a dose that no patient received"} if self.final == "model" else {}

    def in_force(self) -> dict[str, Any]:
        return super().in_force() | {"not_reached_below": self._top_edge[0]}

    @property
    def known_doses(self) -> int | None:
        return len(self.levels)

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """Return the skeleton as numbers, one per dose."""
        if isinstance(self.skeleton, tuple):
            return self.skeleton
        try:
            return self.skeleton.levels(self.target, self.n_doses or 0, self.model, **self._options)
        except InputError as error:
            raise InputError(error.within("skeleton")) from None

    @cached_property
    def curve(self) -> OneParameterCurve:  # type: ignore[override]
        """Return the dose-toxicity curve with its prior."""
        return one_parameter()[self.model](skeleton=self.levels, prior_sd=self.prior_sd, **self._options)

    @property
    def _options(self) -> dict[str, Any]:
        """Return the options of the curve."""
        return {name: getattr(self, name) for name in one_parameter()[self.model].options()}

    def propose(self, states: States) -> Proposal:
        best, too_toxic, _ = self._answers(states)
        ceiling = self.ceiling(states)
        dose = self.kept_up(states, np.minimum(best, ceiling), ceiling)
        if not (states.asks_open or self.titration or self.no_skip_down):
            return Proposal(dose, {"too_toxic": too_toxic})
        admissible = (np.arange(states.n_doses) <= ceiling[:, None]) & ~too_toxic[:, None]
        return Proposal(self.stepped_down(states, dose, admissible), {"too_toxic": too_toxic}, admissible)

    def conclude(self, states: States) -> Selection:
        n, y = states.in_likelihood
        best, too_toxic, beyond_top = self._evaluate(n, y)
        if self.final == "tried":
            tried = states.n > 0
            rows = np.flatnonzero(~tried[np.arange(len(states)), best])
            if len(rows):
                best[rows] = self._nearest_tried(n[rows], y[rows], tried[rows])
        return Selection(np.where(too_toxic, -1, best), beyond_top)

    def because(self, state: States, beside: Beside | None = None) -> str:
        decision = self.decide(state, beside)
        reason = self.reasons[int(decision.reason[0])]
        if reason in ("start", "max_n"):
            return self.explain(reason)
        if beside is not None:
            state = self.with_beside(state, beside)
        values = self._expected(state)[0]
        rates = values[0, 2:] if self.recommend == "mean" else self.curve.probabilities(values[0, 0])[0]
        shown = ", ".join(map(percent, rates))
        best = int(self._answers(state)[0][0]) + 1
        estimates = {"rates": shown, "target": f"{100 * self.target:g}%", "level": best}
        if reason not in ("escalate", "stay", "de-escalate"):
            sentence = _("estimated DLT rates {rates}, closest to {target} at level {level}: {reason}")
            return sentence.format(reason=self.explain(reason), **estimates)
        if int(decision.dose[0]) + 1 == best:
            return _("estimated DLT rates {rates}, closest to {target} at level {level}").format(**estimates)
        sentence = _(
            "estimated DLT rates {rates}, closest to {target} at level {level}, restricted by the rules on skipping and coherence"
        )
        return sentence.format(**estimates)

    def fit(self, outcomes: str) -> xr.Dataset:
        """Return the posterior of the curve after the given outcomes.

        Parameters
        ----------
        outcomes
            Outcome notation, such as ``"1NNN 2NNT"``.

        Returns
        -------
        xarray.Dataset
            ``estimate`` and ``variance`` of the parameter; ``plug_in`` (dose), the curve at the estimate, with its 90% interval
            ``plug_in_lower`` and ``plug_in_upper`` (estimate -+ 1.645 standard deviations, as in dfcrm); ``mean`` (dose), the
            posterior mean of each DLT rate; ``log_evidence``; and ``recommended``, the level closest to the target.
        """
        return self._fitted(state_after(self, parse_outcomes(outcomes), len(self.levels)))

    def _fitted(self, state: States) -> xr.Dataset:
        """Return the posterior of the curve in a single state; see `fit`."""
        import xarray as xr

        values, error, log_evidence = self._expected(state)
        estimate, square, mean = values[0, 0], values[0, 1], values[0, 2:]
        variance = square - estimate**2
        edges = estimate + np.array([0, 1, -1]) * ndtri(0.95) * np.sqrt(variance)
        plug_in, lower, upper = self.curve.probabilities(edges)
        best = self._answers(state)[0][0]
        return xr.Dataset(
            {
                "estimate": estimate,
                "variance": variance,
                "plug_in": ("dose", plug_in),
                "plug_in_lower": ("dose", lower),
                "plug_in_upper": ("dose", upper),
                "mean": ("dose", mean),
                "log_evidence": log_evidence[0],
                "recommended": best + 1,
            },
            coords={"dose": np.arange(1, len(self.levels) + 1)},
            attrs={"method": "quadrature", "quadrature_error": float(error.max()), "recommend": self.recommend},
        )

    def fit_mle(self, outcomes: str) -> xr.Dataset:
        """Return the maximum likelihood fit of the curve after the given outcomes, without the prior.

        Parameters
        ----------
        outcomes
            Outcome notation; at least one DLT and at least one patient without a DLT.

        Returns
        -------
        xarray.Dataset
            ``estimate`` of the parameter, ``plug_in`` (dose), the curve at the estimate, and ``recommended``, the level closest to
            the target.

        Raises
        ------
        InputError
            If the likelihood has no maximum for a parameter between -10 and 10: no patient or every patient had a DLT, or there
            were more DLTs than a curve of this form can fit.
        """
        import xarray as xr

        state = state_after(self, parse_outcomes(outcomes), len(self.levels))
        estimate = self.curve.most_likely(state.n[0], state.y[0])
        if abs(estimate) > _SEARCHED - 1e-6:
            counts = f"{state.y.sum()} DLTs in {state.n.sum()} patients"
            limits = f"between -{_SEARCHED:g} and {_SEARCHED:g}"
            raise InputError(Problem("outcomes", counts, f"the likelihood has no maximum for a parameter {limits}"))
        plug_in = self.curve.probabilities(estimate)[0]
        best = nearest(plug_in[None], self.target, np.ones((1, len(plug_in)), bool))[0]
        data = {"estimate": estimate, "plug_in": ("dose", plug_in), "recommended": best + 1}
        return xr.Dataset(data, {"dose": np.arange(1, len(plug_in) + 1)}, {"method": "maximum likelihood"})

    def with_prior(self, scale: float) -> Self:
        return self.with_settings(prior_sd=scale * self.prior_sd)

    def sentences(self) -> list[str]:
        levels, target = ", ".join(f"{p:.4g}" for p in self.levels), f"{self.target:g}"
        rules = [
            _("Target DLT rate {target}. {curve}, skeleton {levels}; {prior}.").format(
                target=target, curve=self.curve.form, levels=levels, prior=self.curve.prior_sentence()
            ),
            _(
                "The next cohort receives the dose whose estimated DLT rate is closest to the target; ties go to the lower dose. "
                "The estimate is the curve at the posterior mean of its parameter."
            )
            if self.recommend == "plug-in"
            else _(
                "The next cohort receives the dose whose estimated DLT rate is closest to the target; ties go to the lower dose. "
                "The estimate is the posterior mean of each DLT rate."
            ),
            *self.restrictions(),
            self._safety_sentence(),
            _("The MTD is the dose whose estimated DLT rate is closest to the target, among the doses given.")
            if self.final == "tried"
            else _("The MTD is the dose whose estimated DLT rate is closest to the target, among all doses, given or not."),
        ]
        if self.not_reached_below:
            edge = _("The MTD is not reached if the top dose is selected with an estimated DLT rate below {edge}, as set.")
        elif len(self.levels) > 1:
            edge = _(
                "The MTD is not reached if the top dose is selected with an estimated DLT rate below {edge}, at which a "
                "hypothetical next level, as far above the top as the top is above the next lower level, would be equally close "
                "to the target."
            )
        else:
            edge = _("The MTD is not reached if the top dose is selected with an estimated DLT rate below {edge}, the target.")
        return [*rules, edge.format(edge=f"{self._top_edge[0]:.3f}")]

    def _safety_sentence(self) -> str:
        if self.safety_cutoff is None:
            return _("No rule stops the trial for toxicity: the lowest dose stays open, however many DLTs are observed.")
        if self.safety_by == "model":
            rule = _("Stop without an MTD if P(p_1 > {target}) > {cutoff} by the model, once the lowest dose has {patients}.")
        else:
            rule = _(
                "Stop without an MTD if P(p_1 > {target}) > {cutoff} under a Beta(1, 1) prior, using the lowest dose only, once "
                "the lowest dose has {patients}."
            )
        patients = n_patients(self.safety_min_n)
        return rule.format(target=f"{self.target:g}", cutoff=f"{self.safety_cutoff:g}", patients=patients)

    # The fit -----------------------------------------------------------------------------------------------------

    def _answers(self, states: States) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the results of `_evaluate` for each state."""
        best, too_toxic, beyond_top = states.by_counts(self._evaluate)
        return best, too_toxic, beyond_top

    def _expected(self, states: States) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the values that a report shows, their errors and the log evidence."""
        return self._moments.expect(*self._read(*states.in_likelihood))

    def _evaluate(self, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the closest dose, whether the lowest exceeds the safety limit, and whether the rule would exceed the top dose.

        Each is ``(states,)``.
        """
        return self._judged(n, y, self._decisive.settle(*self._read(n, y), self._decided))

    def _judged(self, n: np.ndarray, y: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the results of `_evaluate` from the values that a decision needs."""
        if self.recommend == "mean":
            rates = values[:, : len(self.levels)]
            best, beyond_top = nearest(rates, self.target, np.ones(rates.shape, bool)), above(self._top_edge[0], rates[:, -1])
        else:
            best, beyond_top = above(values[:, 0], self._boundaries[:, None]).sum(axis=0), above(values[:, 0], self._top_edge[1])
        return best, self._too_toxic(n, y, values[:, -1]), beyond_top

    def _too_toxic(self, n: np.ndarray, y: np.ndarray, by_model: np.ndarray) -> np.ndarray:
        if self.safety_cutoff is None:
            return np.zeros(len(n), bool)
        by_beta = self.safety_by == "beta"
        p_over = betaincc(y[:, 0] + 1.0, n[:, 0] - y[:, 0] + 1.0, self.target) if by_beta else by_model
        return above(p_over, self.safety_cutoff) & (n[:, 0] >= self.safety_min_n)

    def _decided(self, values: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Return whether every comparison that depends on these values has the same result within their error."""
        if self.recommend == "mean":
            distance = np.sort(np.abs(values[:, : len(self.levels)] - self.target), axis=1)
            margin = np.abs(values[:, len(self.levels) - 1] - self._top_edge[0])
            if distance.shape[1] > 1:
                margin = np.minimum(margin, (distance[:, 1] - distance[:, 0]) / 2)
        else:
            edges = np.append(self._boundaries, self._top_edge[1])
            margin = np.abs(values[:, 0] - edges[:, None]).min(axis=0)
        if self._judges_by_model:
            margin = np.minimum(margin, np.abs(values[:, -1] - (self.safety_cutoff or 0.0)))
        worst = error.max(axis=1)
        return (margin > worst + TIE) | (worst < FLOOR)

    def _nearest_tried(self, n: np.ndarray, y: np.ndarray, tried: np.ndarray) -> np.ndarray:
        values, _, _ = self._moments.expect(*self._read(n, y))
        rates = values[:, 2:] if self.recommend == "mean" else self.curve.probabilities(values[:, 0])
        return nearest(rates, self.target, tried)

    @property
    def _judges_by_model(self) -> bool:
        return self.safety_cutoff is not None and self.safety_by == "model"

    @cached_property
    def _boundaries(self) -> np.ndarray:
        return self.curve.boundaries(self.target)

    @cached_property
    def _top_edge(self) -> tuple[float, float]:
        """Return the rate at the top dose below which the MTD is not reached, and the parameter at which the curve has it."""
        rate = self.target
        if self.not_reached_below is not None:
            rate = self.not_reached_below
        elif len(self._boundaries):
            # Rate of the next lower dose at which the top dose becomes the closer one.
            rate = max(float(self.curve.probabilities(self._boundaries[-1])[0, -2]), 1e-300)
        return rate, self.curve.crossing(len(self.levels) - 1, rate)

    def _with(self, found: AtAmounts | None) -> Self:
        design = super()._with(found)
        if design is not self:
            # They have another likelihood.
            for name in ("_decisive", "_moments"):
                vars(design).pop(name, None)
        return design

    def _read(self, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return counts by level as the likelihood reads them."""
        return (n, y) if self._at_amounts is None else self._at_amounts.counts(n, y)

    @property
    def _likelihood(self) -> Curve:
        """Return the curve of the likelihood, which has further columns for patients with a weight."""
        return self.curve if self._at_amounts is None else self._at_amounts.extended

    @cached_property
    def _decisive(self) -> Quadrature:
        """Return the quadrature of the values that a decision needs."""
        # Frozen settings are hashable, which pyright does not see.
        return _decisive(self._likelihood, self.curve, *self._decisive_values)  # type: ignore[arg-type]

    def _decisive_columns(self, nodes: Nodes) -> np.ndarray:
        return _decisive_columns(nodes, self.curve, *self._decisive_values)

    @property
    def _decisive_values(self) -> tuple[bool, float | None]:
        """Return whether a decision needs all DLT rates, and the rate whose posterior tail at the lowest dose it needs."""
        return self.recommend == "mean", self.target if self._judges_by_model else None

    @cached_property
    def _moments(self) -> Quadrature:
        """Return the quadrature of all values that a report shows."""
        return _moments(self._likelihood, self.curve)  # type: ignore[arg-type]

    def _moment_columns(self, nodes: Nodes) -> np.ndarray:
        return _moment_columns(nodes, self.curve)


def _decisive_columns(nodes: Nodes, curve: OneParameterCurve, by_mean: bool, judged: float | None) -> np.ndarray:
    columns = nodes.probabilities(curve.coordinates) if by_mean else nodes.parameters()
    return columns if judged is None else np.column_stack([columns, 1 - nodes.below(judged, curve.coordinates[:1])])


def _moment_columns(nodes: Nodes, curve: OneParameterCurve) -> np.ndarray:
    b = nodes.parameters()
    return np.column_stack([b, b**2, nodes.probabilities(curve.coordinates)])


# Designs that differ only in other settings share the grids of their quadrature.


@lru_cache(maxsize=16)
def _decisive(likelihood: Curve, curve: OneParameterCurve, by_mean: bool, judged: float | None) -> Quadrature:
    return Quadrature(likelihood, lambda nodes: _decisive_columns(nodes, curve, by_mean, judged))


@lru_cache(maxsize=16)
def _moments(likelihood: Curve, curve: OneParameterCurve) -> Quadrature:
    return Quadrature(likelihood, lambda nodes: _moment_columns(nodes, curve))
