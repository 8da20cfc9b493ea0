"""The 3+3 design, as stated in NCT05962762 and in its usual variants.

Three patients are treated at a dose. No DLT: escalate. One DLT: treat three more at the same dose, and escalate if 1 of 6 has a
DLT. Two or more: the dose is not tolerated, and the MTD is the next lower dose. Storer (1989), Biometrics 45:925-937,
doi:10.2307/2531693; variants as in Korn et al. (1994), Statistics in Medicine 13:1799-1806, doi:10.1002/sim.4780131802.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import model_validator

from ..trial import States
from ..words import _, counted, marked, n_dlts, n_patients
from .base import Beside, Design, Flag, Proposal, Selection
from .rules import highest, lowest

__all__ = ["ThreePlusThree"]


class ThreePlusThree(Design):
    """The 3+3 design.

    Attributes
    ----------
    expand_after_two
        Action after two or three DLTs in the first three patients at a dose: False, stop escalation; True, treat three more, which
        follows "2 DLTs in 6" literally.
    six_at_mtd
        Whether a dose below one that is not tolerated needs six patients to be the MTD; if so, the trial de-escalates to treat
        them.
    six_at_top
        Whether the top dose needs six patients to be tolerated.
    tolerated_in_six
        Maximum number of DLTs in six patients at which a dose is tolerated and escalation continues.

    See Also
    --------
    Design : settings that all designs have

    Examples
    --------
    >>> from dosefind import decide
    >>> print(decide(ThreePlusThree(), "1NNN 2NNT", n_doses=3))
    stay at level 2, 3 patients: 1 DLT in 3 patients at level 2
    """

    kind: ClassVar[str] = "3+3"
    title: ClassVar[str] = "3+3"
    source: ClassVar[str] = "Storer (1989), doi:10.2307/2531693"
    bound_by_group: ClassVar[bool] = True
    pools_parts: ClassVar[bool] = False
    own_reasons: ClassVar[dict[str, str]] = {
        "no_dose": marked("the lowest dose has too many DLTs, so no dose is the MTD"),
        "mtd_below": marked("a dose has too many DLTs, so the next lower dose is the MTD"),
        "top_tolerated": marked("the top dose is tolerated"),
    }

    cohort_size: Literal[3] = 3
    expand_after_two: Flag = False
    six_at_mtd: Flag = False
    six_at_top: Flag = False
    tolerated_in_six: Literal[1, 2] = 1

    @model_validator(mode="after")
    def _groups_of_six_fit(self) -> Self:
        if self.max_n_per_dose is not None and self.max_n_per_dose < 6:
            raise ValueError(f"max_n_per_dose = {self.max_n_per_dose} contradicts the 3+3, with up to six patients per dose")
        if self.cohort_size_by_dose is not None:
            raise ValueError("cohort_size_by_dose contradicts the 3+3, which treats three patients per cohort")
        return self

    @property
    def most_per_dose(self) -> int:
        return 6

    def exceptions(self) -> dict[str, str]:
        why = []
        if self.titration:
            why.append("one patient does not show that a dose is tolerated")
        if self.six_at_top or self.six_at_mtd:
            why.append("a dose with three patients is not selected if six are required")
        if self.max_n is not None and self.max_n % 3:
            why.append("the maximum sample size truncates a group of three, which then does not show that its dose is tolerated")
        return {"highest without a DLT": "; ".join(why)} if why else {}

    def propose(self, states: States) -> Proposal:
        return self._proposed(states, np.full(len(states), states.n_doses))

    def propose_beside(self, states: States, beside: Beside) -> Proposal:
        """Return the same as `propose`, without escalation while the pooled rate at a dose up to the current one is too high."""
        return self._proposed(states, np.maximum(lowest(self._too_high(states.n, states.y, beside)), states.last))

    def _proposed(self, states: States, most: np.ndarray) -> Proposal:
        """Return the rules' decision with no dose above ``most`` or above a dose at which more than one in six had a DLT."""
        tolerated, toxic, admissible = self._verdicts(states)
        index = np.arange(states.n_doses)
        bound = np.minimum(most, lowest(~toxic & (6 * states.y > self.tolerated_in_six * states.n)))
        below_toxic = highest(admissible)
        bounded = bound < below_toxic
        below_toxic = np.minimum(below_toxic, bound)
        # A dose already tolerated is not abandoned because a lower one was given since.
        highest_open = np.maximum(
            np.where(states.here(tolerated), states.last + 1, states.last), highest(tolerated & admissible) + 1
        )
        wanted = np.minimum(highest_open, below_toxic)
        candidate = np.clip(wanted, 0, states.n_doses - 1)
        # The candidate for the MTD: settled if it is tolerated and the next dose is not tolerated or does not exist.
        is_top = candidate == states.n_doses - 1
        needs_six = np.where(is_top & ~toxic.any(axis=1), self.six_at_top, self.six_at_mtd)
        chosen = index == candidate[:, None]
        settled = (tolerated & chosen).any(axis=1) & (~needs_six | ((states.n * chosen).sum(axis=1) >= 6))
        settled &= (candidate == below_toxic) | (wanted >= states.n_doses)
        # A dose whose DLTs prevent escalation is first given to six patients.
        settled &= ~bounded | ((states.n * chosen).sum(axis=1) >= 6)
        at_top = is_top & ~toxic.any(axis=1)
        stops = {"no_dose": wanted < 0, "mtd_below": settled & ~at_top, "top_tolerated": settled & at_top}
        return Proposal(candidate, stops, admissible & (index <= highest_open[:, None]))

    def conclude(self, states: States) -> Selection:
        tolerated, toxic, admissible = self._verdicts(states)
        enough = np.full(states.n.shape, not self.six_at_mtd)
        enough[:, -1] = ~toxic.any(axis=1) & (not self.six_at_top)
        dose = highest(tolerated & admissible & (enough | (states.n >= 6)))
        return Selection(dose, np.ones(len(states), bool))

    def _verdicts(self, states: States) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the tolerated doses, the doses not tolerated, and the doses below every dose that is not tolerated."""
        n, y = states.n, states.y
        tolerated = ((n >= 3) & (y == 0)) | ((n >= 6) & (y <= self.tolerated_in_six))
        toxic = np.where(n >= 6, y > self.tolerated_in_six, (y >= 2) & (not self.expand_after_two))
        return tolerated, toxic, ~np.logical_or.accumulate(toxic, axis=1)

    @property
    def one_size(self) -> int | None:
        # Groups are completed to three and to six, so each cohort has three unless the maximum sample size truncates it.
        return None if self.titration else 3

    def planned_size(self, states: States, dose: np.ndarray) -> np.ndarray:
        """Return the number of patients that completes the group of three or six."""
        return 3 - states.at(states.n, dose) % 3

    def with_beside(self, states: States, beside: Beside) -> States:
        """Return the states with a dose closed if its pooled rate meets the stopping rule, such as two or more DLTs in six.

        Patients outside the escalation never dilute its rates, and without a DLT they close no dose: the escalation's own counts
        stay.
        """
        n, y = states.n + beside.n, states.y + beside.y
        too_many = self.tolerated_in_six + 1
        of_six = (y >= too_many) & (6 * y >= too_many * n)
        closed = (beside.y > 0) & np.where(n >= 6, of_six, (y >= 2) & (not self.expand_after_two))
        return replace(states, n=np.where(closed, n, states.n), y=np.where(closed, y, states.y), groups=None)

    def because(self, state: States, beside: Beside | None = None) -> str:
        reason = self.reasons[int(self.decide(state, beside).reason[0])]
        if reason in ("start", "max_n"):
            return self.explain(reason)
        n, y = state.n[0], state.y[0]
        if beside is not None:
            pooled = self._too_high(n, y, beside)
            n, y = np.where(pooled, n + beside.n, n), np.where(pooled, y + beside.y, y)
            state = self.with_beside(state, beside)
        toxic = self._verdicts(state)[1][0]
        limiting = np.flatnonzero(toxic | (6 * y > self.tolerated_in_six * n))[:1]
        stopped = {"no_dose": limiting, "mtd_below": limiting, "top_tolerated": [state.n_doses - 1]}
        # The dose that causes the de-escalation may differ from the current dose.
        shown = stopped.get(reason, limiting if reason == "de-escalate" and limiting.size else state.last[:1])
        dose = int(shown[0])
        patients, dlts = int(n[dose]), int(y[dose])
        data = {"dlts": n_dlts(dlts), "patients": n_patients(patients), "level": dose + 1}
        if reason == "mtd_below" and not toxic.any():
            sentence = _("{dlts} in {patients} at level {level}: more than {most} in 6, so no higher dose is given")
            return sentence.format(most=self.tolerated_in_six, **data)
        if reason in ("escalate", "stay", "de-escalate"):
            return _("{dlts} in {patients} at level {level}").format(**data)
        return _("{dlts} in {patients} at level {level}: {reason}").format(reason=self.explain(reason), **data)

    def sentences(self) -> list[str]:
        most = self.tolerated_in_six
        rules = [
            _("0 DLTs in three patients: escalate to the next dose."),
            _("1 DLT in three patients: three more at the same dose; escalate if 1 of 6 had a DLT.")
            if most == 1
            else _("1 DLT in three patients: three more at the same dose; escalate if 1 or 2 of 6 had a DLT."),
            _(
                "2 or more DLTs in three patients: three more are treated at the same dose, and {n} or more DLTs in six end the "
                "escalation."
            )
            if self.expand_after_two
            else _("2 or more DLTs in three patients: the dose is not tolerated and the escalation ends."),
            _("{n} or more DLTs in six patients: the dose is not tolerated and the escalation ends."),
            counted(
                "No dose is given above a dose with more than {n} DLT in six patients, including patients outside the escalation.",
                "No dose is given above a dose with more than {n} DLTs in six patients, including patients outside the escalation.",
                most,
            ),
            _(
                "The MTD is the next dose below the one not tolerated, provided that six patients were treated there; if only "
                "three were, three more are treated, and this dose may also prove not to be tolerated. If the lowest dose is not "
                "tolerated, there is no MTD."
            )
            if self.six_at_mtd
            else _(
                "The MTD is the next dose below the one not tolerated, even if only three patients were treated there; if the "
                "lowest dose is not tolerated, there is no MTD."
            ),
            _("If the top dose is tolerated (six patients), the MTD is not reached: it is the top dose or above.")
            if self.six_at_top
            else _(
                "If the top dose is tolerated (0 of 3 or at most {most} of 6), the MTD is not reached: it is the top dose or above."
            ),
        ]
        if self.start > 1:
            rules.append(_("If the first dose is not tolerated, the untried dose below it is treated by the same rules."))
        if self.max_n:
            at_max_n = (
                _("At the maximum sample size, the MTD is the highest dose tolerated so far in six patients.")
                if self.six_at_mtd
                else _("At the maximum sample size, the MTD is the highest dose tolerated so far.")
            )
            rules.append(at_max_n)
        return [rule.format(n=most + 1, most=most) for rule in rules]

    def _too_high(self, n: np.ndarray, y: np.ndarray, beside: Beside) -> np.ndarray:
        """Return the doses at which patients outside the escalation lead to two or more DLTs and a rate that is not tolerated."""
        n, y = n + beside.n, y + beside.y
        return (beside.y > 0) & (y >= 2) & (6 * y > self.tolerated_in_six * n)
