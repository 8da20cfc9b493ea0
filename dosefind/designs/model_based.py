"""Restrictions on escalation that model-based designs share."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from ..protocol import FromTrial
from ..trial import States
from .base import Design, Flag, Probability, Proposal
from .rules import at_least

__all__ = ["ModelBased"]


class ModelBased(Design):
    """A design that follows a fitted curve, within limits on how fast it may climb.

    Attributes
    ----------
    target
        Target DLT rate.
    no_skip
        Escalate by at most one level above the "last" dose given, above the highest "tried", or "off".
    coherence
        "escalation": no escalation when the latest cohort's DLT rate was at or above the target; "both": nor de-escalation
        when it had no DLT; "off".
    no_skip_down
        Whether a de-escalation goes down by one level at most, where that level is open.
    """

    target: Annotated[Probability, FromTrial("target.rate")]
    no_skip: Literal["last", "tried", "off"] = "last"
    coherence: Literal["escalation", "both", "off"] = "escalation"
    no_skip_down: Flag = False

    def ceiling(self, states: States) -> np.ndarray:
        """Highest dose index to which each state may go next, ``(states,)``."""
        top = states.n_doses - 1
        ceiling = np.full(len(states), top)
        if self.no_skip != "off":
            base = states.last if self.no_skip == "last" else top - np.argmax((states.n > 0)[:, ::-1], axis=1)
            ceiling = np.minimum(ceiling, base + 1)
        if self.coherence != "off":
            toxic_cohort = at_least(states.last_y, self.target * states.last_n)
            ceiling = np.where(toxic_cohort, np.minimum(ceiling, states.last), ceiling)
        return ceiling

    def kept_up(self, states: States, dose: np.ndarray, ceiling: np.ndarray) -> np.ndarray:
        """The doses, none of them a de-escalation straight after a cohort without a DLT where coherence forbids it."""
        if self.coherence != "both":
            return dose
        return np.where(states.last_y == 0, np.maximum(dose, np.minimum(states.last, ceiling)), dose)

    def stepped_down(self, states: States, dose: np.ndarray, within: np.ndarray) -> np.ndarray:
        """The doses, none of them more than one level below the last where that level is open and no level may be skipped."""
        if not self.no_skip_down:
            return dose
        next_below = np.maximum(states.last - 1, 0)
        return np.where((dose >= 0) & (dose < next_below) & states.at(within, next_below), next_below, dose)

    def open_in_titration(self, proposal: Proposal) -> np.ndarray | None:
        return proposal.open

    def restrictions(self) -> list[str]:
        """The limits on escalation as sentences."""
        rules = []
        if self.no_skip != "off":
            base = "last dose given" if self.no_skip == "last" else "highest dose tried"
            rules.append(f"No skipping: at most one level above the {base}.")
        if self.coherence != "off":
            rules.append(f"No escalation straight after a cohort with a DLT rate of {self.target:g} or more.")
        if self.coherence == "both":
            rules.append("No de-escalation straight after a cohort without a DLT.")
        if self.no_skip_down:
            rules.append("De-escalation goes down by one level at most, where that level is open.")
        return rules
