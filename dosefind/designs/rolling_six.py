"""The rolling six: up to six patients at a dose, decided at each candidate with outcomes still pending.

Skolnik et al. (2008), Journal of Clinical Oncology 26:190-195, doi:10.1200/JCO.2007.12.7712; the full decision table is table 2 of
Frankel et al. (2020), JAMA Network Open 3:e204787, doi:10.1001/jamanetworkopen.2020.4787. What these leave open is fixed here: a
dose below one that is not tolerated is treated in six patients whose outcomes are awaited, and so is the top dose; a late DLT at a
lower dose closes every dose above it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from ..protocol import FromTrial
from ..trial import NO_DOSE, WAIT, States, TimedStates
from ..words import _, counted, marked, n_dlts, n_patients
from .base import Beside, Design, Flag, Proposal, Reads, Selection
from .rules import highest, lowest

__all__ = ["RollingSix"]


class RollingSix(Design):
    """The rolling six.

    Attributes
    ----------
    strict
        Whether escalation after six patients needs all six outcomes; if not, one patient without a DLT so far may be pending, as a
        DLT there would still be one in six.

    See Also
    --------
    Design : settings that all designs have

    Examples
    --------
    >>> from dosefind import decide
    >>> print(decide(RollingSix(), "1N 1N 1N", n_doses=3))
    escalate to level 2, 1 patient: 0 DLTs in 3 patients at level 1
    """

    kind: ClassVar[str] = "rolling-6"
    title: ClassVar[str] = marked("Rolling six")
    source: ClassVar[str] = "Skolnik et al. (2008), doi:10.1200/JCO.2007.12.7712"
    reads: ClassVar[Reads] = "pending"
    pools_parts: ClassVar[bool] = False
    own_reasons: ClassVar[dict[str, str]] = {
        "no_dose": marked("two or more patients had a DLT at the lowest dose, so no dose is the MTD"),
        "mtd_below": marked(
            "two or more patients had a DLT at a dose, so the next lower dose, tolerated in six patients, is the MTD"
        ),
        "top_tolerated": marked("the top dose is tolerated in six patients"),
    }

    # The design is asked at each patient, whatever the cohorts of other designs.
    cohort_size: Annotated[Literal[1], FromTrial("limits.cohort_size", lambda size: 1)] = 1
    strict: Annotated[Flag, FromTrial("treatment.no_overlap")] = Field(
        default=False, description=marked("whether escalation after six patients needs all six outcomes, not five")
    )

    @property
    def most_per_dose(self) -> int:
        return 6

    def exceptions(self) -> dict[str, str]:
        return {"highest without a DLT": "a dose is selected only if six patients were treated there"}

    def propose(self, states: States) -> Proposal:
        n, y, pending = states.n, states.y, _pending(states)
        dose, bound = _in_question(states)
        here_n, here_y, here_open = (states.at(values, dose) for values in (n, y, pending))
        full = here_n >= 6
        is_top = dose == states.n_doses - 1
        allowed = np.where(full & (here_y == 0) & (not self.strict), 1, 0)
        passes = ((here_n >= 3) & (here_y == 0) | full & (here_y <= 1)) & (here_open <= allowed)
        climbs = passes & ~is_top & (bound > dose)
        # Without a dose above, six patients are treated and their outcomes awaited.
        settled = full & ~climbs & (is_top | (bound == dose))
        ends = settled & (here_open == 0)
        wanted = np.select([ends | (bound < 0), climbs, full], [NO_DOSE, dose + 1, WAIT], dose)
        stops = {"no_dose": bound < 0, "mtd_below": ends & ~is_top, "top_tolerated": ends & is_top}
        index = np.arange(states.n_doses)
        return Proposal(wanted, stops, index <= np.where(climbs, dose + 1, dose)[:, None])

    def conclude(self, states: States) -> Selection:
        below = ~np.logical_or.accumulate(states.y >= 2, axis=1)
        dose = highest(below & (states.n >= 6))
        return Selection(dose, np.ones(len(states), bool))

    def planned_size(self, states: States, dose: np.ndarray) -> np.ndarray:
        return np.ones(len(states), int)

    def with_beside(self, states: States, beside: Beside) -> States:
        """Return the states with a dose closed if patients outside the escalation bring it to two or more DLTs at more than 1 in 6.

        They never dilute the escalation's own counts.
        """
        n, y = states.n + beside.n, states.y + beside.y
        closed = (beside.y > 0) & (y >= 2) & (6 * y > n)
        return replace(states, n=np.where(closed, n, states.n), y=np.where(closed, y, states.y), groups=None)

    def because(self, state: States, beside: Beside | None = None) -> str:
        reason = self.reasons[int(self.decide(state, beside).reason[0])]
        if reason in ("start", "max_n"):
            return self.explain(reason)
        if beside is not None:
            state = self.with_beside(state, beside)
        dose, bound = (int(found[0]) for found in _in_question(state))
        read = [level for level in (bound + 1, dose) if 0 <= level < state.n_doses]
        # The dose that is not tolerated, if there is one, then the dose in question.
        told = [_told(state, level) for level in dict.fromkeys(read) if state.y[0, level] >= 2 or level == dose]
        data = "; ".join(told)
        if reason in ("escalate", "stay", "de-escalate", "wait"):
            return data
        return _("{data}: {reason}").format(data=data, reason=self.explain(reason))

    def sentences(self) -> list[str]:
        after_six = (
            _("0 DLTs in six patients: escalate once all six outcomes are known.")
            if self.strict
            else _("0 DLTs in six patients: escalate once at most one of six outcomes is pending.")
        )
        return [
            _("Patients are treated one at a time, up to six at a dose, while outcomes are pending."),
            _("0 DLTs in three, four or five patients whose outcomes are all known: escalate to the next dose."),
            after_six,
            _("1 DLT in six patients: escalate once all outcomes are known."),
            _("2 or more DLTs at a dose: the dose is not tolerated, and neither it nor any dose above it is given again."),
            _("Six patients at the dose and no escalation yet: accrual is suspended until an outcome is known."),
            _(
                "The dose below one that is not tolerated, and the top dose, are treated in six patients, whose outcomes are "
                "awaited."
            ),
            _(
                "The MTD is the highest dose with six patients and at most 1 DLT, below every dose that is not tolerated; if there "
                "is none, there is no MTD."
            ),
            _("Patients who are not evaluable are replaced."),
        ]


def _pending(states: States) -> np.ndarray:
    """Return the pending patients at each dose, (states, doses); none of states without time."""
    return states.pending if isinstance(states, TimedStates) else np.zeros_like(states.n)


def _in_question(states: States) -> tuple[np.ndarray, np.ndarray]:
    """Return the dose in question, the highest tried or that below the lowest one that is not tolerated, and the latter dose."""
    # Also a dose whose patients were not evaluable.
    tried = np.maximum(highest(states.n > 0), states.last)
    bound = lowest(states.y >= 2) - 1
    return np.minimum(tried, bound), bound


def _told(state: States, dose: int) -> str:
    """Return the patients of a single state at a dose, their DLTs and pending outcomes, in words."""
    n, y, pending = (int(values[0, dose]) for values in (state.n, state.y, _pending(state)))
    words = _("{dlts} in {patients} at level {level}")
    if pending:
        words = counted(
            "{{dlts}} in {{patients}} at level {{level}}, {n} outcome pending",
            "{{dlts}} in {{patients}} at level {{level}}, {n} outcomes pending",
            pending,
        )
    return words.format(dlts=n_dlts(y), patients=n_patients(n), level=dose + 1)
