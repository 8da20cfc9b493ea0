"""A design made from a plain function of one trial, without batches of states."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict

from .._check import InputError, Problem, is_integer
from ..trial import States
from ..words import _, marked
from .base import Design, Proposal, Selection
from .rules import isotonic, nearest_isotonic

__all__ = ["PlainRule", "TrialSoFar", "design_from_rule"]


@dataclass(frozen=True)
class TrialSoFar:
    """One trial as a plain rule sees it; levels are counted from 1.

    Attributes
    ----------
    n, y : tuple of int
        Patients and DLTs at each level.
    level : int or None
        Level of the latest cohort; ``None`` if only the counts are known, as for a final selection.
    last_n, last_y : int
        Size and DLTs of the latest cohort.
    """

    n: tuple[int, ...]
    y: tuple[int, ...]
    level: int | None
    last_n: int
    last_y: int

    @property
    def n_doses(self) -> int:
        return len(self.n)

    def estimates(self, prior: float = 0.05) -> tuple[float | None, ...]:
        """Return the isotonic estimate of the DLT rate of each level, ``None`` if untreated; see `dosefind.designs.rules`.

        Parameters
        ----------
        prior
            Both parameters of the beta prior.
        """
        n, y = np.array([self.n]), np.array([self.y])
        found = isotonic(n, y, n > 0, prior)[0].tolist()
        return tuple(rate if patients else None for rate, patients in zip(found, self.n, strict=True))

    def nearest(self, target: float, levels: Collection[int] | None = None, prior: float = 0.05) -> int | None:
        """Return the level whose isotonic estimate is closest to a target, with BOIN's rule for ties, or ``None`` if there is none.

        Parameters
        ----------
        target
            Target DLT rate.
        levels
            Eligible levels; by default all treated levels.
        prior
            See `estimates`.
        """
        n, y = np.array([self.n]), np.array([self.y])
        wanted = [levels is None or level in levels for level in range(1, self.n_doses + 1)]
        estimate = isotonic(n, y, n > 0, prior)
        dose = int(nearest_isotonic(estimate, target, (n > 0) & np.array([wanted]))[0])
        return dose + 1 if dose >= 0 else None


class PlainRule(Design):
    """A design whose decisions come from two plain functions, each called once per distinct state.

    Attributes
    ----------
    rule, choose, name
        See `design_from_rule`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    kind: ClassVar[str] = "rule"
    source: ClassVar[str] = marked("the function supplied")
    own_reasons: ClassVar[dict[str, str]] = {"rule": marked("the rule ends the trial")}

    rule: Callable[[TrialSoFar], int | None]
    choose: Callable[[TrialSoFar], int | None] | None = None
    name: str | None = None

    @property
    def title(self) -> str:  # type: ignore[override]
        """Return the name given, or the function's name in words."""
        own = getattr(self.rule, "__name__", "")
        return self.name or (own.replace("_", " ").strip().capitalize() if own.isidentifier() else "") or _("Plain rule")

    def propose(self, states: States) -> Proposal:
        rows = np.column_stack([states.n, states.y, states.last, states.last_n, states.last_y])
        dose = self._each(self.rule, rows, states.n_doses, "rule")
        return Proposal(dose, {"rule": dose < 0})

    def conclude(self, states: States) -> Selection:
        if self.choose is None:
            return Selection(np.full(len(states), -1), np.zeros(len(states), bool))
        unknown = np.full((len(states), 3), (-1, 0, 0))
        dose = self._each(self.choose, np.column_stack([states.n, states.y, unknown]), states.n_doses, "choose")
        return Selection(dose, np.zeros(len(states), bool))

    def sentences(self) -> list[str]:
        text = (self.rule.__doc__ or "").strip().splitlines()
        rule = text[0] if text else _("The function {name}.").format(name=getattr(self.rule, "__name__", _("given")))
        return [rule] if self.choose else [rule, _("No MTD is selected: no function for the selection was supplied.")]

    @staticmethod
    def _each(function: Callable[[TrialSoFar], int | None], rows: np.ndarray, doses: int, name: str) -> np.ndarray:
        distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
        answers = np.empty(len(distinct), np.int64)
        for i, row in enumerate(distinct.tolist()):
            n, y, (last, last_n, last_y) = tuple(row[:doses]), tuple(row[doses : 2 * doses]), row[2 * doses :]
            trial = TrialSoFar(n, y, last + 1 if last >= 0 else None, last_n, last_y)
            # The first cohort is at the start level, so the rule is not called for an empty trial.
            level = None if last < 0 and name == "rule" else function(trial)
            if level is not None and not (is_integer(level) and 1 <= level <= doses):
                raise InputError(Problem(name, level, f"must return a level from 1 to {doses}, or None; its argument was {trial}"))
            answers[i] = -1 if level is None else level - 1
        return answers[inverse.ravel()]


def design_from_rule(
    rule: Callable[[TrialSoFar], int | None],
    *,
    choose: Callable[[TrialSoFar], int | None] | None = None,
    name: str | None = None,
    **limits: Any,
) -> PlainRule:
    """Make a design from a plain function of one trial.

    Parameters
    ----------
    rule
        Function from a `TrialSoFar` to the level of the next cohort, or ``None`` to stop. It must depend on nothing else.
    choose
        Function from a `TrialSoFar`, with the counts only, to the level selected as MTD, or ``None``. By default no MTD is
        selected.
    name
        Name of the design; by default the name of the function.
    **limits
        Settings that every design has: ``start``, ``cohort_size``, ``max_n`` and so on.

    Returns
    -------
    PlainRule

    Examples
    --------
    >>> def up_or_stop(trial):
    ...     "Go up until the first DLT."
    ...     done = trial.last_y > 0 or trial.level == trial.n_doses
    ...     return None if done else trial.level + 1
    >>> design = design_from_rule(up_or_stop, cohort_size=1)
    >>> from dosefind import decide
    >>> print(decide(design, "1N", n_doses=3))
    escalate to level 2, 1 patient: escalate

    A selection by isotonic estimates, as in BOIN:

    >>> design_from_rule(up_or_stop, choose=lambda trial: trial.nearest(0.25), cohort_size=1).title
    'Up or stop'
    """
    return PlainRule(rule=rule, choose=choose, name=name, **limits)
