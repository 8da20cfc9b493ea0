"""Efficacy and dose selection: posteriors of the efficacy endpoint joined with the posterior of toxicity, in one record.

Nothing here declares an RP2D: it states what is known of the utility of each dose, how much of that is due to the prior, and what
would settle the choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import MISSING, InputError, Problem
from ..config import Trial
from ..designs.rules import TIE
from ..efficacy.binary import BetaResponse, IndependentPrior, LogisticQuadratic, Plateau, ResponsePosterior, ResponsePrior
from ..efficacy.continuous import ChangePosterior, ChangePrior
from ..efficacy.known import unknowns
from ..efficacy.randomised import patients_needed, randomised_stage, utility_stage
from ..efficacy.responses import Responses
from ..efficacy.utility import (
    ExpectedUtility,
    Limits,
    SmallestChange,
    StatedUtility,
    TornadoBar,
    chosen,
    expected_utility,
    smallest_changes,
    tornado,
)
from ..figures import EFFICACY
from ..posterior.base import Figure, Posterior
from ..protocol import Efficacy, Protocol
from ..threads import one_thread
from ..words import _

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SIZES", "check_treated", "joined", "response_counts", "settle"]

SIZES = (10, 20, 40)
"""Patients per dose of the randomised comparisons that are shown."""
# Of those by utility, which sum over the DLTs of both doses too.
_BY_UTILITY = (5, 10, 20)

# Factors of the information of the prior, and the change of each utility in the tornado.
_TIMES, _BY = (0.5, 1.0, 2.0), 10.0
_INTERVAL = (0.025, 0.975)


def response_counts(given: str | Responses | None, n_doses: int) -> Responses | None:
    """Return outcomes given as they are, or as text: responses and patients of each dose, such as ``"0/3 1/6 2/6"``."""
    if given is None or isinstance(given, Responses):
        return given
    allowed = f"must be responses/patients for each of the {n_doses} doses, such as '{' '.join(['1/6'] * n_doses)}'"
    parts = [part.split("/") for part in str(given).split()]
    if len(parts) != n_doses or not all(len(part) == 2 and all(each.isdecimal() for each in part) for part in parts):
        raise InputError(Problem("responses", given, allowed))
    return Responses.counted([int(part[1]) for part in parts], [int(part[0]) for part in parts], n_doses)


def check_treated(responses: Responses, n: np.ndarray) -> None:
    """Refuse more patients with a response outcome than patients with a DLT outcome at a dose, where both are given as counts."""
    more = np.flatnonzero(responses.n > n)
    # Responses alone are allowed: the DLT rates are then the prior's.
    if n.any() and len(more):
        level = int(more[0])
        allowed = (
            f"must not have more patients than the DLT outcomes: level {level + 1} has {int(n[level])} there; give the patients "
            "one by one if some are evaluable for response only"
        )
        pairs = " ".join(f"{r}/{m}" for r, m in zip(responses.responses, responses.n, strict=True))
        raise InputError(Problem("responses", pairs, allowed))


def joined(
    protocol: Protocol, responses: Responses, toxicity: Posterior, p_over: Figure, by_curve: Mapping[str, Posterior]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return variables, coordinates and the record of efficacy and dose selection.

    Parameters
    ----------
    protocol
        The protocol with its table ``efficacy``.
    responses
        Outcomes of the efficacy endpoint.
    toxicity
        Posterior of the DLT rates.
    p_over
        Probability that each dose overdoses.
    by_curve
        Posterior by each curve of the config.
    """
    efficacy = protocol.efficacy
    assert efficacy is not None
    case = _Case(protocol, efficacy, responses, toxicity, p_over, by_curve)
    found = case.of_response() if efficacy.kind == "response" else case.of_change()
    variables, coordinates, record = found
    for name, (dims, values) in variables.items():
        variables[name] = (dims, values, {"definition": _(EFFICACY[name].definition)})
    return variables, coordinates, case.record() | record


@one_thread
def settle(
    trial: Trial | Protocol,
    responses: str | Responses,
    *,
    levels: Sequence[int] | None = None,
    margin: float = 0.0,
    wanted: float = 0.8,
    most: int = 60,
) -> pd.DataFrame:
    """Return what a randomised comparison of doses after escalation would settle, with the posterior of the responses as prior.

    Parameters
    ----------
    trial
        The trial, or its protocol, with a table ``efficacy`` of a response.
    responses
        Outcomes of the endpoint, as for `analyze`.
    levels
        Two or three levels to compare; by default the two with known outcomes and the highest expected response rates.
    margin
        A higher dose is selected if its observed response rate exceeds the lower one's by more than this, and is correct if its
        true rate does.
    wanted
        Wanted probability of correct selection.
    most
        Largest number of patients per dose tried for it.

    Returns
    -------
    pandas.DataFrame
        For ``n`` patients per dose the probability of correct selection (``p_correct``) and the expected response rate of the dose
        selected (``rate_selected``). Attributes: ``levels``, ``margin``, ``wanted``, ``most``, the smallest ``needed`` number (0 if
        none up to ``most`` suffices), and the expected rate of the best of these doses (``rate_best``).

    Examples
    --------
    >>> from dosefind import load_trial
    >>> found = settle(load_trial("examples/nct05962762/dose-selection/trial.toml"), "1/6 3/6 3/6")
    >>> found.attrs["levels"], found.attrs["needed"], found.p_correct.round(3).tolist()
    ([2, 3], 14, [0.778, 0.805, 0.831, 0.875])
    """
    import pandas as pd

    protocol = Trial.of(trial).protocol
    if protocol.efficacy is None:
        raise InputError(Problem("efficacy", MISSING, "the config needs this table, with kind = 'response'"))
    if protocol.efficacy.kind != "response":
        allowed = "must be 'response': the comparison is of response rates, and there is none of changes"
        raise InputError(Problem("efficacy.kind", protocol.efficacy.kind, allowed))
    given = response_counts(responses, protocol.n_doses)
    assert given is not None
    a, b = protocol.efficacy.prior
    after = IndependentPrior(doses=tuple(map(float, protocol.doses.amounts)), a=a, b=b).after(given.n, given.responses)
    known = np.flatnonzero(given.n > 0)
    if levels is None:
        if len(known) < 2:
            raise InputError(Problem("responses", given.n.tolist(), "must be known at two doses, or levels must be given"))
        levels = _highest(after.mean().value, known)
    needed = patients_needed(after, levels, wanted, margin=margin, most=most)
    sizes = sorted({*SIZES, *(() if needed is None else (needed.n,))})
    found = [randomised_stage(after, levels, n, margin=margin) for n in sizes]
    table = pd.DataFrame({name: [getattr(stage, name) for stage in found] for name in ("n", "p_correct", "rate_selected")})
    table.attrs |= {"levels": list(found[0].levels), "margin": margin, "wanted": wanted, "most": most}
    table.attrs |= {"needed": 0 if needed is None else needed.n, "rate_best": found[0].rate_best}
    return table


def _highest(mean: np.ndarray, among: np.ndarray) -> list[int]:
    """Return the two levels with the highest response rates, the lower ones on ties, in increasing order."""
    return sorted((among[np.argsort(-mean[among], kind="stable")[:2]] + 1).tolist())


@dataclass(frozen=True)
class _Case:
    protocol: Protocol
    efficacy: Efficacy
    found: Responses
    toxicity: Posterior
    p_over: Figure
    by_curve: Mapping[str, Posterior]

    @property
    def among(self) -> np.ndarray:
        """Return the doses, as indices, with known outcomes of both kinds and P(overdose) below the limit."""
        tried = (self.toxicity.n > 0) & (self.found.n > 0)
        return np.flatnonzero(tried & (self.p_over.value < self.protocol.rp2d.limit))

    def record(self) -> dict[str, Any]:
        found = self.found
        return {
            "endpoint": self.efficacy.endpoint,
            "kind": self.efficacy.kind,
            "unit": self.efficacy.unit,
            "better": self.efficacy.better,
            "rules": self.efficacy.sentences(),
            "prior": [*self.efficacy.prior] if self.efficacy.kind == "response" else None,
            "limits": None if self.efficacy.limits is None else self.efficacy.limits.model_dump(),
            "utilities_stated": self.efficacy.utilities is not None or bool(self.efficacy.points),
            "unknown": [
                {"code": one.code, "levels": list(one.levels)}
                for one in unknowns(self.toxicity.n, found.n, found.responses, found.pending)
                if self.efficacy.kind == "response" or one.code not in ("no_responses", "every_patient_responded")
            ],
            "patients": [
                {
                    "subject": one.subject,
                    "level": one.level,
                    "kind": one.kind,
                    "value": one.value,
                    "baseline": one.baseline,
                    "composite": one.composite,
                    "rule": one.rule,
                }
                for one in found.outcomes
            ],
        }

    def counted(self) -> dict[str, Any]:
        found = self.found
        pairs = (("response_n", found.n), ("response_pending", found.pending), ("response_missing", found.missing))
        return {name: ("dose", values) for name, values in (*pairs, ("response_composite", found.composite))}

    # Responses.

    def of_response(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        doses, (a, b) = self.protocol.doses.amounts, self.efficacy.prior
        amounts = tuple(map(float, doses))
        priors: tuple[ResponsePrior, ...] = (IndependentPrior(doses=amounts, a=a, b=b),)
        if len(amounts) > 1:
            priors += (Plateau(doses=amounts), LogisticQuadratic(doses=amounts))
        posteriors = [prior.after(self.found.n, self.found.responses) for prior in priors]
        first = posteriors[0]
        assert isinstance(first, BetaResponse)
        quantiles = [posterior.quantiles(_INTERVAL) for posterior in posteriors]
        over = ("response_prior", "dose")
        variables = self.counted() | {
            "responses": ("dose", self.found.responses),
            "response_prior_mean": ("dose", np.full(len(amounts), a / (a + b))),
            "response_mean": (over, np.array([posterior.mean().value for posterior in posteriors])),
            "response_lower": (over, np.array([each[:, 0] for each in quantiles])),
            "response_upper": (over, np.array([each[:, 1] for each in quantiles])),
        }
        among, excluded = self._considered(first)
        record: dict[str, Any] = {
            "priors": [prior.sentence() for prior in priors],
            "among": [int(at) + 1 for at in among],
            "excluded": excluded,
            "settle": self._settled(first, among),
        }
        coordinates = {"response_prior": [_(prior.title) for prior in priors]}
        if self.efficacy.utilities is not None:
            worths, more, stated = self._worth(posteriors, among)
            variables, coordinates, record = variables | worths, coordinates | more, record | stated
        return variables, coordinates, record

    def _considered(self, first: BetaResponse) -> tuple[np.ndarray, dict[str, list[int]]]:
        """Return the doses considered, and the levels that are not, by code of the reason."""
        tried = (self.toxicity.n > 0) & (self.found.n > 0)
        over = tried & (self.p_over.value >= self.protocol.rp2d.limit)
        futile = np.zeros(len(tried), bool)
        least, cutoff = self.efficacy.least_rate, self.efficacy.futility
        if least is not None and cutoff is not None:
            futile = tried & ~over & (first.below(least).value >= cutoff)
        cases = {"untried": ~tried, "overdose": over, "futile": futile}
        excluded = {name: (np.flatnonzero(at) + 1).tolist() for name, at in cases.items() if at.any()}
        return np.flatnonzero(tried & ~over & ~futile), excluded

    def _doubts(self) -> list[str]:
        """Return by code why the posterior of toxicity does not decide which doses are considered."""
        tried = (self.toxicity.n > 0) & (self.found.n > 0)
        near = np.abs(self.p_over.value - self.protocol.rp2d.limit) <= 3 * self.p_over.error
        doubts = {"draws": bool(self.toxicity.problems()), "near_limit": bool((tried & near).any())}
        return [code for code, holds in doubts.items() if holds]

    def _worth(
        self, posteriors: Sequence[ResponsePosterior], among: np.ndarray
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Return expected utilities, P(largest utility) and expected losses, their sensitivities, and the choice."""
        utilities, levels = self.efficacy.utilities, (among + 1).tolist()
        assert utilities is not None
        each = [expected_utility(self.toxicity, posterior, utilities, levels) for posterior in posteriors]
        over = ("response_prior", "dose")
        figures = {
            "expected_utility": [one.mean for one in each],
            "p_largest_utility": [one.p_best for one in each],
            "expected_loss": [one.loss for one in each],
        }
        variables: dict[str, Any] = {}
        for name, found in figures.items():
            variables[name] = (over, np.array([figure.value for figure in found]))
            variables[f"{name}_error"] = (over, np.array([figure.error for figure in found]))
        first, main = posteriors[0], each[0]
        scaled = [first.with_prior_times(times) for times in _TIMES]
        variables["utility_by_prior_times"] = (
            ("prior_times", "dose"),
            np.array([_mean_utility(self.toxicity, posterior, main) for posterior in scaled]),
        )
        coordinates: dict[str, Any] = {"prior_times": list(_TIMES)}
        if (missing := self.found.missing).any():
            n, known = self.found.n + missing, self.found.responses
            read = [first.prior.after(n, known), first.prior.after(n, known + missing)]
            utilities_read = np.array([_mean_utility(self.toxicity, posterior, main) for posterior in read])
            variables["utility_by_missing"] = (("missing_as", "dose"), utilities_read)
            coordinates["missing_as"] = [_("no response"), _("response")]
        variables["utility_by_curve"] = (
            ("curve", "dose"),
            np.array([_mean_utility(toxicity, first, main) for toxicity in self.by_curve.values()]),
        )
        limits = self.efficacy.limits
        choice = main.choice(None if limits is None else Limits(p_best=limits.p_best, loss=limits.loss))
        doubts = self._doubts()
        stated = {
            "choice": choice.level,
            "undecided": choice.undecided or bool(doubts),
            "because": [*doubts, *choice.because],
            "by_prior": [one.choice().level for one in each],
            "utilities": utilities.model_dump(),
            "settle_by_utility": self._settled_by_utility(main, among),
        } | _sensitivities(main.tornado(_BY), main.smallest_changes())
        return variables, coordinates, stated

    def _settled(self, first: BetaResponse, among: np.ndarray) -> dict[str, Any] | None:
        """Return randomised comparisons of the two doses considered with the highest response rates; ``None`` without two."""
        if len(among) < 2:
            return None
        levels = _highest(first.mean().value, among)
        found = [randomised_stage(first, levels, n) for n in SIZES]
        return {
            "levels": levels,
            "sizes": [one.n for one in found],
            "p_correct": [one.p_correct for one in found],
            "rate_selected": [one.rate_selected for one in found],
            "rate_best": found[0].rate_best,
        }

    def _settled_by_utility(self, main: ExpectedUtility, among: np.ndarray) -> dict[str, Any] | None:
        """Return randomised comparisons by utility of the two doses considered with the highest; ``None`` without two."""
        utilities = self.efficacy.utilities
        if len(among) < 2 or utilities is None:
            return None
        levels = _highest(main.mean.value, among)
        a, b = self.efficacy.prior
        prior = IndependentPrior(doses=tuple(map(float, self.protocol.doses.amounts)), a=a, b=b)
        first = prior.after(self.found.n, self.found.responses)
        found = [utility_stage(self.toxicity, first, utilities, levels, n) for n in _BY_UTILITY]
        names = ("p_correct", "p_correct_error", "gain", "gain_error")
        return {"levels": levels, "sizes": list(_BY_UTILITY)} | {name: [getattr(one, name) for one in found] for name in names}

    # Changes.

    def of_change(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        efficacy, known = self.efficacy, self.found.known
        assert efficacy.residual_sd is not None
        assert efficacy.better is not None
        based = [one for one in known if one.baseline is not None]
        posterior = ChangePosterior(
            self.protocol.doses.amounts,
            [one.level or 0 for one in known],
            [one.value or 0.0 for one in known],
            ChangePrior(residual_sd=efficacy.residual_sd),
            baseline=[one.baseline or 0.0 for one in known] if known and len(based) == len(known) else None,
            better=efficacy.better,
        )
        tried = np.flatnonzero(self.found.n > 0)
        over = self.p_over.value >= self.protocol.rp2d.limit
        among = self.among
        quantiles = posterior.quantiles(_INTERVAL)
        levels = (among + 1).tolist()
        scaled = [posterior.with_prior_times(times).mean() for times in _TIMES]
        variables = self.counted() | {
            "change_mean": ("dose", posterior.mean()),
            "change_lower": ("dose", quantiles[:, 0]),
            "change_upper": ("dose", quantiles[:, 1]),
            "p_best_change": ("dose", posterior.p_best(levels, ties="shared") if levels else np.zeros(len(over))),
            "change_loss": ("dose", posterior.expected_loss(levels) if levels else np.full(len(over), np.nan)),
            "change_by_prior_times": (("prior_times", "dose"), np.array(scaled)),
        }
        cases = {"untried": np.setdiff1d(np.arange(len(over)), tried), "overdose": np.flatnonzero(over & (self.found.n > 0))}
        record: dict[str, Any] = {
            "among": levels,
            "excluded": {name: (at + 1).tolist() for name, at in cases.items() if len(at)},
            "adjusted": posterior.baseline is not None,
            "without_baseline": len(known) - len(based),
            "shapes": posterior.kind_weights(),
            "p_equal": posterior.p_equal(levels) if levels else None,
            "residual_sd": efficacy.residual_sd,
            "priors": [posterior.prior.sentence()],
        }
        coordinates: dict[str, Any] = {"prior_times": list(_TIMES)}
        if efficacy.points and efficacy.dlt_loss is not None:
            worths, stated = self._worth_of_change(posterior, among, variables)
            variables, record = variables | worths, record | stated
        return variables, coordinates, record

    def _worth_of_change(
        self, posterior: ChangePosterior, among: np.ndarray, known: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return expected utilities of a new patient's change, their sensitivities, and the choice."""
        points, loss = self.efficacy.points, self.efficacy.dlt_loss or 0.0
        p, of_change = self.toxicity.moments()[0].value, posterior.predictive_mean(points)
        worth = of_change - loss * p
        stated = [StatedUtility("dlt_loss", loss, (0.0, 100.0), -p)]
        at, utilities = zip(*points, strict=True)
        for k, (change, utility) in enumerate(points):
            slope = posterior.predictive_mean([(place, 100.0 * (j == k)) for j, place in enumerate(at)]) / 100
            stated.append(StatedUtility(f"{change:g}", utility, _between(utilities, k), slope))
        level = chosen(worth, among)
        because = self._doubts()
        limits = self.efficacy.limits
        if level is None:
            because.append("no_admissible_dose")
        elif len(among) == 1:
            because.append("one_dose")
        if limits is None:
            because.append("no_limits_stated")
        elif level is not None:
            if np.sum(worth[among] >= worth[level - 1] - TIE) > 1:
                because.append("tie")
            if known["p_best_change"][1][level - 1] < limits.p_best:
                because.append("p_best")
            if known["change_loss"][1][level - 1] > limits.loss:
                because.append("loss")
        curves = [of_change - loss * toxicity.moments()[0].value for toxicity in self.by_curve.values()]
        variables = {
            "expected_utility_of_change": ("dose", worth),
            "utility_of_change_by_curve": (("curve", "dose"), np.array(curves)),
        }
        record = {"choice": level, "undecided": bool(because), "because": because} | _sensitivities(
            tornado(worth, among, stated, _BY), smallest_changes(worth, among, stated)
        )
        return variables, record


def _between(utilities: Sequence[float], k: int) -> tuple[float, float]:
    """Return the lowest and highest utility of a point that keep utilities that rise, or that fall, in order."""
    steps = np.diff(utilities)
    if not ((steps >= 0).all() or (steps <= 0).all()):
        return 0.0, 100.0
    rising = utilities[-1] >= utilities[0]
    before, after = (0.0, 100.0) if rising else (100.0, 0.0)
    ends = utilities[k - 1] if k else before, utilities[k + 1] if k + 1 < len(utilities) else after
    return min(ends), max(ends)


def _sensitivities(bars: Sequence[TornadoBar], changes: Sequence[SmallestChange]) -> dict[str, Any]:
    """Return a tornado and smallest changes as records."""
    return {
        "smallest_changes": [{"outcome": one.outcome, "change": one.change, "level": one.level} for one in changes],
        "tornado": [
            {
                "outcome": bar.outcome,
                "values": list(bar.values),
                "levels": list(bar.levels),
                "means": [mean.tolist() for mean in bar.means],
            }
            for bar in bars
        ],
    }


def _mean_utility(toxicity: Posterior, response: ResponsePosterior, main: ExpectedUtility) -> np.ndarray:
    """Return the expected utility of each dose."""
    p, e, u = toxicity.moments()[0].value, response.mean().value, main.utilities
    return (1 - p) * (e * u.response + (1 - e) * u.neither) + p * (e * u.response_and_dlt + (1 - e) * u.dlt)
