"""Restrictions on escalation that the model-based designs share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import PrivateAttr

from ..models import Curve
from ..posterior.administered import AtAmounts, at_amounts
from ..posterior.weighted import PartlyFollowed
from ..protocol import FromTrial
from ..trial import Administered, States, Weighted
from ..words import _
from .base import Design, Flag, Probability, Proposal
from .rules import at_least

__all__ = ["ModelBased"]


@dataclass(frozen=True)
class _InBatch(AtAmounts):
    """A curve, and the weights of patients who left in a batch of states, whose counts by dose are followed by these patients.

    Attributes
    ----------
    weights
        The weights that they can have.
    """

    weights: tuple[float, ...] = ()

    @cached_property
    def extended(self) -> Curve:
        return PartlyFollowed(curve=self.curve, shares=tuple(product(range(self.curve.n_doses), self.weights)))

    def counts(self, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Counts by dose alone are those of states in which nobody left.
        further = np.zeros((*n.shape[:-1], self.curve.n_doses * (len(self.weights) + 1) - n.shape[-1]), n.dtype)
        return np.concatenate([n, further], axis=-1), np.concatenate([y, further], axis=-1)

    def includes(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return whether any of these patients is among the counts."""
        return n[..., self.curve.n_doses :].any(axis=-1)


class ModelBased(Design):
    """A design that follows a fitted curve, with restrictions on escalation and de-escalation.

    Attributes
    ----------
    target
        Target DLT rate.
    no_skip
        Escalate to at most one level above the "last" dose given, above the highest dose "tried", or "off" for no restriction.
    coherence
        "escalation": no escalation if the latest cohort's DLT rate was at or above the target; "both": also no de-escalation
        if the latest cohort had no DLT; "off": no restriction.
    no_skip_down
        Whether a de-escalation is by at most one level, provided that that level is open.
    """

    reads_weights: ClassVar[bool] = True

    target: Annotated[Probability, FromTrial("target.rate")]
    no_skip: Literal["last", "tried", "off"] = "last"
    coherence: Literal["escalation", "both", "off"] = "escalation"
    no_skip_down: Flag = False

    # A property of the trial, not a setting; `None` if every patient counts in full at the dose of the level.
    _at_amounts: AtAmounts | None = PrivateAttr(None)

    @property
    @abstractmethod
    def curve(self) -> Curve:
        """Return the dose-toxicity curve with its prior."""

    def with_administered(self, administered: Sequence[Administered]) -> Self:
        return self._with(at_amounts(self.curve, administered, self._at_amounts.weighted if self._at_amounts else ()))

    def with_weighted(self, weighted: Sequence[Weighted]) -> Self:
        return self._with(at_amounts(self.curve, self._at_amounts.administered if self._at_amounts else (), weighted))

    def with_weights(self, weights: Sequence[float]) -> Self:
        return self._with(_InBatch(self.curve, weights=tuple(weights)))

    def _with(self, found: AtAmounts | None) -> Self:
        if found == self._at_amounts:
            return self
        design = self.model_copy()
        design._at_amounts = found
        return design

    def with_settings(self, **changes: Any) -> Self:
        changed, at = super().with_settings(**changes), self._at_amounts
        if at is None:
            return changed
        if isinstance(at, _InBatch):
            return changed.with_weights(at.weights)
        return changed.with_administered(at.administered).with_weighted(at.weighted)

    def ceiling(self, states: States) -> np.ndarray:
        """Return the highest dose index that each state may use next, ``(states,)``."""
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
        """Return the doses after the coherence rule, which forbids de-escalation straight after a cohort without a DLT."""
        if self.coherence != "both":
            return dose
        return np.where(states.last_y == 0, np.maximum(dose, np.minimum(states.last, ceiling)), dose)

    def stepped_down(self, states: States, dose: np.ndarray, within: np.ndarray) -> np.ndarray:
        """Return the doses after the rule that de-escalation skips no level, which applies where the next lower level is open."""
        if not self.no_skip_down:
            return dose
        next_below = np.maximum(states.last - 1, 0)
        return np.where((dose >= 0) & (dose < next_below) & states.at(within, next_below), next_below, dose)

    def open_in_titration(self, proposal: Proposal) -> np.ndarray | None:
        return proposal.open

    def restrictions(self) -> list[str]:
        """Return the restrictions on escalation and de-escalation as sentences."""
        rules = []
        if self.no_skip != "off":
            by_last = _("No skipping: escalation to at most one level above the last dose given.")
            rules.append(
                by_last
                if self.no_skip == "last"
                else _("No skipping: escalation to at most one level above the highest dose tried.")
            )
        if self.coherence != "off":
            sentence = _("No escalation immediately after a cohort with a DLT rate of {target} or more.")
            rules.append(sentence.format(target=f"{self.target:g}"))
        if self.coherence == "both":
            rules.append(_("No de-escalation immediately after a cohort without a DLT."))
        if self.no_skip_down:
            rules.append(_("De-escalation is by at most one level, provided that that level is open."))
        return rules
