"""The best policy under weighted true curves as a design: a bound and a diagnosis under a prior, not a design for a protocol.

Exact backward induction over counts (`dosefind.policies`) gives the dose, or the conclusion, of the highest expected utility in any
state. Whitehead and Brunier (1995), Statistics in Medicine 14:885-893; Bartroff and Lai (2010), Statistical Science 25:245-257,
doi:10.1214/10-STS317.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

import numpy as np
from pydantic import Field, model_validator

from ..policies import Actions, Elimination, Ewoc, Policy, Rule, Stakes, TwoOfSix, closed_at, solve
from ..protocol import FromTrial
from ..trial import NO_DOSE, States
from ..words import _, counted, marked
from .base import Beside, Design, Flag, Probability, Proposal, Selection
from .rules import above
from .standards import Standards

__all__ = ["CLOSING", "Optimal"]

Rate = Annotated[float, Field(ge=0, le=1, strict=True)]
Amount = Annotated[float, Field(ge=0, le=1000, strict=True)]
Closing = Literal["elimination", "two-of-six", "ewoc"]
CLOSING: tuple[Closing, ...] = get_args(Closing)
"""Rules that close doses, by name."""


class Optimal(Design):
    """The policy of the highest expected utility under weighted true curves.

    Attributes
    ----------
    truths
        True DLT rates of each curve at each dose; from a config, those of its scenarios.
    weights
        Weight of each curve; equal by default.
    utility
        "correct": 1 for selecting the true MTD; "distance": minus the distance of the DLT rate at the selected dose from the
        target; "acceptable": 1 for selecting a dose whose DLT rate is in the interval. To conclude that there is no MTD is right
        where the lowest dose exceeds the target by more than the margin.
    cost_per_patient, cost_per_dlt, cost_per_overdose
        Cost of each patient, each DLT and each patient treated at an overdose, in units of utility.
    closing
        Rules that close doses: "elimination" (BOIN's, a dose and all above are closed if P(p > target) > 0.95 from Beta(1, 1) and
        three or more patients), "two-of-six" (a dose with two or more DLTs in six patients or fewer, or in at least a third of
        more, is closed with all above), "ewoc" (a dose is closed if P(overdose) > 0.25 under the curves).
    closed_selected
        Whether a dose that a rule closes may still be selected as the MTD; if not, the rules bind the final selection too.
    skips
        Whether untried levels may be skipped.
    target, interval, mtd_margin, overdose_limit
        Target DLT rate, acceptable DLT rates, margin above the target at the lowest dose beyond which there is no MTD, and DLT rate
        above which a dose is an overdose.

    See Also
    --------
    Design : settings that all designs have

    Examples
    --------
    >>> from dosefind import decide
    >>> best = Optimal(truths=((0.05, 0.25), (0.25, 0.45)), target=0.25, interval=(0.15, 0.35), max_n=12)
    >>> print(decide(best, "1NNN 1NNT"))
    stay at level 1, 3 patients: it has the highest expected utility under the stated curves
    """

    kind: ClassVar[str] = "optimal"
    title: ClassVar[str] = marked("Optimum under a prior")
    source: ClassVar[str] = "Whitehead and Brunier (1995), Statistics in Medicine 14:885-893"
    tied_to_target: ClassVar[tuple[str, ...]] = ("target", "interval", "mtd_margin", "overdose_limit")
    own_reasons: ClassVar[dict[str, str]] = {
        "settled": marked("no further cohort is open or adds more utility than it costs under the stated curves"),
    }

    truths: Annotated[tuple[tuple[Rate, ...], ...], FromTrial("scenarios", lambda rows: tuple(rows.values()))]
    weights: tuple[Annotated[float, Field(gt=0, strict=True)], ...] | None = None
    utility: Literal["correct", "distance", "acceptable"] = "correct"
    cost_per_patient: Amount = 0.0
    cost_per_dlt: Amount = 0.0
    cost_per_overdose: Amount = 0.0
    closing: tuple[Closing, ...] = ()
    closed_selected: Flag = True
    skips: Flag = False
    target: Annotated[Probability, FromTrial("target.rate")]
    interval: Annotated[tuple[Probability, Probability], FromTrial("target.interval")]
    mtd_margin: Annotated[Rate, FromTrial("target.mtd_margin")] = 0.10
    overdose_limit: Annotated[Probability, FromTrial("target.overdose_limit")] = 0.35

    @model_validator(mode="after")
    def _can_be_solved(self) -> Self:
        if not self.truths or not self.truths[0] or len({len(row) for row in self.truths}) > 1:
            raise ValueError("truths must hold one or more rows, each with one DLT rate per dose")
        if self.n_doses is not None and self.n_doses != len(self.truths[0]):
            raise ValueError(f"truths has {len(self.truths[0])} rates in a row for {self.n_doses} doses: it must have one per dose")
        if self.weights is not None and len(self.weights) != len(self.truths):
            raise ValueError(f"weights has {len(self.weights)} entries for {len(self.truths)} rows of truths")
        if self.max_n is None:
            raise ValueError("max_n is required: the best policy depends on how many patients there can be")
        if not isinstance(self.cohort_size, int):
            raise ValueError("cohort_size must be one number, or use cohort_size_by_dose: the policy depends on counts only")
        if self.titration or self.stop_n is not None:
            raise ValueError("titration and stop_n cannot be used: the policy decides by itself when to go on and when to stop")
        return self

    def exceptions(self) -> dict[str, str]:
        words = "the conclusion is the best under the stated curves, whatever their order"
        return {"highest without a DLT": words, "no higher with a DLT": words}

    @property
    def known_doses(self) -> int:
        return len(self.truths[0])

    @cached_property
    def stakes(self) -> Stakes:
        """Return the true curves with their weights, the utility of each conclusion and the cost of a patient."""
        truths = np.array(self.truths, float)
        weights = np.ones(len(truths)) if self.weights is None else np.array(self.weights, float)
        standards = Standards(self.target, self.interval, self.mtd_margin, self.overdose_limit)
        cost = self.cost_per_patient + self.cost_per_dlt * truths
        cost = cost + self.cost_per_overdose * above(truths, self.overdose_limit)
        return Stakes(truths, weights / weights.sum(), utilities(self.utility, truths, standards), cost)

    @cached_property
    def actions(self) -> Actions:
        """Return what the policy may do."""
        sizes = self.cohort_size_by_dose or (int(np.max(self.cohort_size)),) * self.known_doses
        stakes = self.stakes
        rules: dict[str, Rule] = {
            "elimination": Elimination(self.target),
            "two-of-six": TwoOfSix(),
            "ewoc": Ewoc(stakes.truths, stakes.weights, self.overdose_limit),
        }
        closing = tuple(rules[name] for name in self.closing)
        return Actions(sizes, self.max_n or 0, self.max_n_per_dose, self.start, self.skips, closing, True, not self.closed_selected)

    @cached_property
    def policy(self) -> Policy:
        """Return the best policy from the first patient on."""
        return solve(self.stakes, self.actions)

    def propose(self, states: States) -> Proposal:
        doses = states.n_doses
        code = np.zeros(len(states), int)
        rows, group = np.unique(states.n, axis=0, return_inverse=True)
        for number, patients in enumerate(rows.tolist()):
            n = tuple(patients)
            table = self.policy.table
            # Numbers of patients that full cohorts do not give, as in a real trial.
            codes = table[n] if n in table else solve(self.stakes, self.actions, begin=n).table[n]
            at = np.flatnonzero(group.reshape(-1) == number)
            code[at] = codes[tuple(states.y[at].T)]
        stops = code >= doses
        return Proposal(np.where(stops, NO_DOSE, code), {"settled": stops})

    def conclude(self, states: States) -> Selection:
        binding = bool(self.closing) and not self.closed_selected
        closed = closed_at(self.stakes, self.actions, states.n, states.y) if binding else None
        dose = self.stakes.choice(states.n, states.y, closed)
        return Selection(dose, np.zeros(len(states), bool))

    def because(self, state: States, beside: Beside | None = None) -> str:
        reason = self.reasons[int(self.decide(state, beside).reason[0])]
        if reason in ("escalate", "stay", "de-escalate"):
            return _("it has the highest expected utility under the stated curves")
        return self.explain(reason)

    def sentences(self) -> list[str]:
        utility_of = {
            "correct": _("1 for selecting the true MTD"),
            "distance": _("minus the distance of the DLT rate at the dose selected from the target"),
            "acceptable": _("1 for selecting a dose with an acceptable DLT rate"),
        }
        words = counted(
            "The dose or conclusion with the highest expected utility under {n} true curve with a weight. Utility: {{utility}}.",
            "The dose or conclusion with the highest expected utility under {n} true curves with weights. Utility: {{utility}}.",
            len(self.truths),
        )
        lines = [words.format(utility=utility_of[self.utility])]
        costs = {"patients": self.cost_per_patient, "dlts": self.cost_per_dlt, "overdoses": self.cost_per_overdose}
        if any(costs.values()):
            sentence = _("A patient costs {patients}, a DLT {dlts}, and a patient treated at an overdose {overdoses}.")
            lines.append(sentence.format(**{name: f"{value:g}" for name, value in costs.items()}))
        if not self.skips:
            lines.append(_("No skipping: escalation to at most one level above the highest dose tried."))
        rules = {
            "elimination": _(
                "A dose and all above are closed if P(p > target) exceeds 0.95 from Beta(1, 1) and 3 or more patients."
            ),
            "two-of-six": _("A dose with 2 or more DLTs that are a third or more of its patients is closed with all above."),
            "ewoc": _("A dose is closed if the probability that it is an overdose exceeds 0.25 under the curves."),
        }
        lines += [rules[name] for name in self.closing]
        if self.closing and self.closed_selected:
            lines.append(_("Rules that close doses to further patients do not bind the final selection."))
        elif self.closing:
            lines.append(_("A dose that is closed to further patients is not selected as MTD either."))
        lines.append(
            _("This is a bound on what any design can do under these curves, and a diagnosis, not a design for a protocol.")
        )
        return lines

    def in_force(self) -> dict[str, Any]:
        return super().in_force() | {"weights": tuple(self.stakes.weights.tolist())}


def utilities(utility: str, truths: np.ndarray, standards: Standards) -> np.ndarray:
    """Return the utility of concluding that there is no MTD, or with each dose, under each curve, ``(curves, doses + 1)``."""
    mtd = standards.true_mtd(truths)
    none = (mtd < 0).astype(float)
    if utility == "correct":
        return (np.arange(-1, truths.shape[1]) == mtd[:, None]).astype(float)
    if utility == "acceptable":
        return np.column_stack([none, standards.acceptable(truths)]).astype(float)
    distance = -np.abs(truths - standards.target)
    # No dose is as good as the target where there is no MTD, and as bad as giving up all of it where there is one.
    return np.column_stack([np.where(mtd < 0, 0.0, -standards.target), distance])
