"""Interval designs: decisions by the numbers of patients and DLTs at the current dose only.

Each member defines one method, `move`: whether y DLTs in n patients at the current dose lead to escalation, staying or
de-escalation. The rest is shared, as in Yan et al. (2020), Journal of Statistical Software 94(13), doi:10.18637/jss.v094.i13: a
dose with a high probability of exceeding the target is eliminated with all higher doses, and the MTD is selected by isotonic
estimates.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.special import betaincc, betaincinv

from .._check import MOST_COUNTED, count, counts, whole
from ..figures import percent
from ..isotonic import pool
from ..protocol import FromTrial
from ..trial import States
from ..words import _, n_dlts, n_patients
from .base import Beside, Design, Flag, PairRule, Probability, Proposal, Selection
from .rules import TIE, above, isotonic, nearest_isotonic, precision

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MIN_ELIMINATION", "AroundTarget", "IntervalDesign"]

MIN_ELIMINATION = 3
"""Minimum number of patients at a dose before it can be eliminated."""

# Tail probability on each side of the credible interval of an estimate.
_TAIL = 0.025
# Limits are stored up to the maximum sample size, or this number of patients per dose; beyond it they are computed on request.
_KEPT = 60
# Number of states from which a compiled loop makes the final choice, if numba is there.
_COMPILED = 2**15


class _Limits(NamedTuple):
    """Numbers of DLTs by number of patients: maximum to escalate, minimum to de-escalate, eliminate, stop at the lowest dose."""

    escalate: np.ndarray
    deescalate: np.ndarray
    eliminate: np.ndarray
    stop: np.ndarray


class IntervalDesign(Design):
    """A design that decides by the numbers of patients and DLTs at the current dose.

    Attributes
    ----------
    target
        Target DLT rate.
    cutoff
        A dose and all higher doses are eliminated if P(p > target) > cutoff under a Beta(1, 1) prior, from three patients on.
    extra_safe, offset
        Whether the trial also stops if P(p_1 > target) > cutoff - offset at the lowest dose.
    """

    # Value of both parameters of the beta prior used in the final estimates.
    estimate_prior: ClassVar[float] = 0.05

    target: Annotated[Probability, FromTrial("target.rate")]
    cutoff: Annotated[float, Field(gt=0.5, lt=1, strict=True)] = 0.95
    extra_safe: Flag = False
    offset: Annotated[float, Field(gt=0, lt=0.5, strict=True)] = 0.05

    # Methods that each design defines -------------------------------------------------------------------------------

    @abstractmethod
    def move(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return +1, 0 or -1 for ``y`` DLTs in ``n`` patients at the current dose: escalate, stay or de-escalate.

        Parameters
        ----------
        n, y : integer arrays of one shape
            Patients (at least one) and DLTs.

        Returns
        -------
        integer array of that shape
            Non-increasing in ``y``. Elimination is decided separately.
        """

    @abstractmethod
    def move_sentences(self) -> list[str]:
        """Return the rule of `move` as plain sentences."""

    def place(self, n: int, y: int) -> str:
        """Return the data in words and how they compare with the rule; the sentence has places for ``data`` and ``rate``."""
        move = ("de-escalate", "stay", "escalate")[int(self.move(np.array([n]), np.array([y]))[0]) + 1]
        return {
            "escalate": _("{data}, a rate of {rate} at which the rule says escalate"),
            "stay": _("{data}, a rate of {rate} at which the rule says stay"),
            "de-escalate": _("{data}, a rate of {rate} at which the rule says de-escalate"),
        }[move]

    @property
    def mtd_below(self) -> float | None:
        """Return the bound that the estimate of the MTD must be below, or ``None``."""
        return None

    def fewest_eliminated(self, n: np.ndarray) -> np.ndarray:
        """Return the minimum number of DLTs among ``n`` patients that eliminates a dose, or n + 1 if no number does."""
        return self._fewest_dlts_above(self.cutoff, n)

    def elimination_sentence(self) -> str:
        """Return the rule that eliminates doses as a plain sentence."""
        return _(
            "A dose with at least {n} patients and P(p > {target}) > {cutoff} under Beta(1, 1) is eliminated together with all "
            "higher doses, using all data to date; if the lowest dose is eliminated, the trial stops without an MTD."
        ).format(n=MIN_ELIMINATION, target=f"{self.target:g}", cutoff=f"{self.cutoff:g}")

    # Shared methods -------------------------------------------------------------------------------------------------

    def idle(self) -> dict[str, str]:
        return super().idle() | ({} if self.extra_safe else {"offset": "without extra_safe = true"})

    def propose(self, states: States) -> Proposal:
        return self._moved(states, self._moves(*states.latest()))

    def propose_beside(self, states: States, beside: Beside) -> Proposal:
        """Return the moves by the rule for conflicts between backfilled doses and the current dose.

        A backfilled dose below the current one is in conflict if its own data would not lead to escalation; data from that dose up
        to the current dose are then pooled. Zhao et al. (2024), Clin Cancer Res 30:673-679, doi:10.1158/1078-0432.CCR-23-2585, with
        two differences, so that an additional DLT never raises the dose: the move is never above the move by the current dose's
        data alone, and if several doses are in conflict, the one that leads to the lowest dose decides.
        """
        moves = self._moves(states.n, states.y)
        return self._moved(states, np.array([self._with_backfill(states, moves, beside.n, row)[0] for row in range(len(states))]))

    def conclude(self, states: States) -> Selection:
        top_n, top_y = states.n[:, -1], states.y[:, -1]
        return Selection(self._chosen(states), top_y <= self._limits(states.n).escalate[top_n])

    def _chosen(self, states: States) -> np.ndarray:
        """Return the dose selected as MTD, ``(states,)``."""
        if len(states) >= _COMPILED and "numba" in sys.modules:
            from .compiled import nearest_isotonic as chosen

            (remaining,) = self._remaining(states.n, states.y)
            return chosen(states.n, states.y, remaining, self.estimate_prior, self.target, self.mtd_below)
        tried = (states.n > 0) & self._admissible(states)
        estimate = isotonic(states.n, states.y, tried, self.estimate_prior)
        if self.mtd_below is not None:
            tried = tried & above(self.mtd_below, np.where(tried, estimate, 1.0))
        return nearest_isotonic(estimate, self.target, tried)

    def because(self, state: States, beside: Beside | None = None) -> str:
        decision = self.decide(state, beside)
        reason = self.reasons[int(decision.reason[0])]
        if beside is not None:
            state = self.with_beside(state, beside)
        n, y = int(state.here(state.n)[0]), int(state.here(state.y)[0])
        if n == 0 or reason == "max_n":
            return self.explain(reason)
        level = int(state.last[0]) + 1
        data = _("{dlts} in {patients} at level {level}").format(dlts=n_dlts(y), patients=n_patients(n), level=level)
        clauses = [self.place(n, y).format(data=data, rate=percent(y / n))]
        if reason == "stay" and level == 1 and self.move(np.array([n]), np.array([y]))[0] < 0:
            clauses.append(_("there is no lower dose"))
        sentence = "; ".join([*clauses, *self._of_other_doses(state, beside)])
        if reason in ("escalate", "stay", "de-escalate"):
            return sentence
        return _("{data}: {reason}").format(data=sentence, reason=self.explain(reason))

    def _of_other_doses(self, state: States, beside: Beside | None) -> list[str]:
        """Return clauses on a conflict with a backfilled dose, and on eliminated doses."""
        clauses = [] if beside is None else self._conflict(state, beside)
        shut = np.flatnonzero(~self._admissible(state)[0])
        return [*clauses, *([_("level {level} and above are eliminated").format(level=shut[0] + 1)] if len(shut) else [])]

    def table(self, max_n: int = 30) -> pd.DataFrame:
        """Return the decision table: numbers of DLTs among n patients at the current dose that lead to each move.

        Parameters
        ----------
        max_n
            Maximum number of patients; ``max_n_per_dose`` if the design has it and it is smaller.

        Returns
        -------
        pandas.DataFrame
            One row for each n from 1 on; "<NA>" if no number of DLTs leads to the move. With ``extra_safe``, an additional column
            for stopping at the lowest dose.
        """
        import pandas as pd

        most = min(count("max_n", whole("max_n", max_n, 1), 1, MOST_COUNTED), self.max_n_per_dose or max_n)
        limits = self._limits_up_to(most)
        names = ["escalate_if_dlt_le", "deescalate_if_dlt_ge", "eliminate_if_dlt_ge", "stop_lowest_if_dlt_ge"]
        n = np.arange(1, most + 1)
        columns = {name: pd.array(limit[1:], dtype="Int64") for name, limit in zip(names, limits, strict=True)}
        frame = pd.DataFrame(columns, index=pd.Index(n, name="n_patients"))
        for name in names:
            frame.loc[(frame[name] > n) | (frame[name] < 0), name] = pd.NA
        return frame if self.extra_safe else frame.drop(columns=names[3])

    def estimates(self, n: Any, y: Any) -> pd.DataFrame:
        """Return the estimates used in the final selection, with credible interval and P(overdose).

        Parameters
        ----------
        n, y : (doses,) arrays
            Patients and DLTs at each dose of one trial: whole numbers, or floats that are exactly whole, such as 3.0.

        Returns
        -------
        pandas.DataFrame
            One row per level: patients, DLTs, isotonic estimate, 95% credible interval and P(p > target), the latter three also
            isotonic; missing if no patient was treated.

        Raises
        ------
        InputError
            If an entry is not a count, the lengths differ, or a dose has more DLTs than patients.
        """
        import pandas as pd

        states = States.counts(*counts(n, y))
        a, b = states.y + self.estimate_prior, states.n - states.y + self.estimate_prior
        tried = states.n > 0
        # An untried dose has no estimate of its own and is excluded from the pooling.
        weights = precision(states.n, states.y, self.estimate_prior)
        columns = {
            "patients": states.n[0],
            "dlts": states.y[0],
            "estimate": isotonic(states.n, states.y, tried, self.estimate_prior)[0],
            "lower": pool(betaincinv(a, b, _TAIL), weights, tried)[0],
            "upper": pool(betaincinv(a, b, 1 - _TAIL), weights, tried)[0],
            "p_overdose": pool(betaincc(a, b, self.target), np.ones(a.shape), tried)[0],
        }
        return pd.DataFrame(columns, index=pd.RangeIndex(1, states.n_doses + 1, name="level"))

    def sentences(self) -> list[str]:
        rules = [
            *self.move_sentences(),
            self.elimination_sentence(),
        ]
        if self.extra_safe:
            sentence = _("The trial also stops if P(p_1 > {target}) > {cutoff} at the lowest dose.")
            rules.append(sentence.format(target=f"{self.target:g}", cutoff=f"{self.cutoff - self.offset:g}"))
        if self.mtd_below is None:
            choice = _(
                "The MTD is the dose, among those treated and not eliminated, whose isotonic estimate is closest to the target; "
                "ties go to the highest dose with an estimate below the target, otherwise to the lowest dose."
            )
        else:
            choice = _(
                "The MTD is the dose, among those treated and not eliminated, whose isotonic estimate is closest to the target, "
                "provided that the estimate is below {bound}; ties go to the highest dose with an estimate below the target, "
                "otherwise to the lowest dose."
            ).format(bound=f"{self.mtd_below:.4f}")
        prior = self.estimate_prior
        return [
            *rules,
            choice,
            _(
                "Isotonic estimates are (DLTs + {a}) / (patients + {b}), pooled where they decrease with the dose, each weighted "
                "by the inverse of its variance."
            ).format(a=f"{prior:g}", b=f"{2 * prior:g}"),
            _("The MTD is not reached if the top dose is selected and its own DLT rate would lead to escalation."),
        ]

    def _moves(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return +1, 0 or -1 for each pair of counts, as if they were those of the current dose; -1 if it is eliminated."""
        limits = self._limits(n)
        return (y <= limits.escalate[n]).astype(int) - (y >= limits.deescalate[n])

    def _moved(self, states: States, move: np.ndarray) -> Proposal:
        wanted = np.clip(states.last + move, 0, states.n_doses - 1)
        # Elimination removes a dose and all higher doses, so the remaining doses start at the lowest.
        (remaining,) = states.by_counts(self._remaining)
        dose = np.minimum(wanted, remaining - 1)
        # Doses open now: escalation is open only after few DLTs, and skips no level.
        reach = np.minimum(states.last + (move > 0), remaining - 1)
        open_ = np.arange(states.n_doses) <= reach[:, None] if states.asks_open else None
        return Proposal(dose, {"too_toxic": dose < 0}, open_)

    def by_pairs(self, n: np.ndarray, y: np.ndarray) -> PairRule | None:
        own = type(self)
        as_here = all(getattr(own, name) is getattr(IntervalDesign, name) for name in ("decide", "propose", "remember", "_moved"))
        others = self.titration or self.stopping or self.max_n_per_dose is not None or self.one_size is None or self.max_n is None
        if not as_here or others or self.reads != "complete" or self.tracks != ("dlt",) or self.n_memory or self.own_reasons:
            return None
        return PairRule(self._moves(n, y).astype(np.int8), np.array([self._eliminated(n, y, dose) for dose in (0, 1)]))

    def _with_backfill(self, states: States, moves: np.ndarray, backfilled: np.ndarray, row: int) -> tuple[int, int | None]:
        """Return the number of levels that one state moves, and the dose index from which data were pooled in a conflict."""
        last = max(int(states.last[row]), 0)
        found: tuple[int, int | None] = (int(moves[row, last]), None)
        for lowest in range(last):
            if backfilled[lowest] == 0 or moves[row, lowest] > 0:
                continue
            n, y = np.cumsum(states.n[row, lowest : last + 1]), np.cumsum(states.y[row, lowest : last + 1])
            pooled = self.move(n, y)
            kept = np.flatnonzero(pooled >= 0)
            move = int(pooled[-1]) if pooled[-1] >= 0 else (lowest + int(kept[-1]) if len(kept) else lowest - 1) - last
            if move < found[0]:
                found = move, lowest
        return found

    def _conflict(self, state: States, beside: Beside) -> list[str]:
        """Return a clause on a backfilled level in conflict with the current dose, with the counts pooled from that level up."""
        lowest = self._with_backfill(state, self._moves(state.n, state.y), beside.n, 0)[1]
        if lowest is None:
            return []
        pooled = slice(lowest, int(state.last[0]) + 1)
        patients, dlts = int(state.n[0, pooled].sum()), int(state.y[0, pooled].sum())
        sentence = _("level {level}, backfilled, is in conflict: {dlts} in {patients} from that level up")
        return [sentence.format(level=lowest + 1, dlts=n_dlts(dlts), patients=n_patients(patients))]

    def _admissible(self, states: States) -> np.ndarray:
        return np.arange(states.n_doses) < self._remaining(states.n, states.y)[0][:, None]

    def _remaining(self, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray]:
        """Return the number of doses that are not eliminated, which are the lowest, ``(states,)``."""
        remaining = np.full(len(n), n.shape[1])
        for dose in range(n.shape[1] - 1, -1, -1):
            remaining[self._eliminated(n[:, dose], y[:, dose], dose)] = dose
        return (remaining,)

    def _eliminated(self, n: np.ndarray, y: np.ndarray, dose: int) -> np.ndarray:
        """Return whether y DLTs in n patients at a dose index eliminate it."""
        limits = self._limits(n)
        toxic = y >= limits.eliminate[n]
        return toxic | (y >= limits.stop[n]) if dose == 0 and self.extra_safe else toxic

    def _limits(self, n: np.ndarray) -> _Limits:
        """Return limits for numbers of patients up to at least the largest n."""
        most = int(n.max(initial=0))
        return self._kept_limits if most < len(self._kept_limits.stop) else self._limits_up_to(most)

    @cached_property
    def _kept_limits(self) -> _Limits:
        return self._limits_up_to(self.max_n or _KEPT)

    def _limits_up_to(self, max_n: int) -> _Limits:
        """Return the limits for 0 to ``max_n`` patients; n + 1 if no number of DLTs among n patients is enough."""
        n = np.arange(max_n + 1)
        patients = np.maximum(n, 1)
        # Without patients there is no evidence against escalation.
        escalate = np.where(n == 0, 0, _fewest(n, lambda y: self.move(patients, np.minimum(y, patients)) < 1) - 1)
        deescalate = np.where(n == 0, 1, _fewest(n, lambda y: self.move(patients, np.minimum(y, patients)) < 0))
        eliminate = self.fewest_eliminated(n)
        stop = self._fewest_dlts_above(self.cutoff - self.offset, n) if self.extra_safe else n + 1
        return _Limits(escalate, np.minimum(deescalate, eliminate), eliminate, stop)

    def _fewest_dlts_above(self, cutoff: float, n: np.ndarray) -> np.ndarray:
        """Return the minimum number of DLTs among n patients with P(p > target) > cutoff under Beta(1, 1), or n + 1 if none."""
        fewest = _fewest(n, lambda y: above(betaincc(y + 1.0, np.maximum(n - y, 0) + 1.0, self.target), cutoff))
        return np.where(n >= MIN_ELIMINATION, fewest, n + 1)


class AroundTarget(IntervalDesign):
    """An interval design with an interval around the target.

    Attributes
    ----------
    margin_below, margin_above
        The interval extends from target - margin_below to target + margin_above.
    """

    tied_to_target: ClassVar[tuple[str, ...]] = ("target", "margin_below", "margin_above")

    margin_below: Annotated[float, Field(gt=0, lt=1, strict=True)] = 0.05
    margin_above: Annotated[float, Field(gt=0, lt=1, strict=True)] = 0.05

    @model_validator(mode="after")
    def _interval_is_of_rates(self) -> Self:
        low, high = self.ends
        if not (low > TIE and high < 1 - TIE):
            raise ValueError(f"the interval from {low:g} to {high:g} around target = {self.target:g} must lie inside (0, 1)")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """Return the lower and upper end of the interval."""
        return self.target - self.margin_below, self.target + self.margin_above


def _fewest(n: np.ndarray, holds: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the minimum number of DLTs, 0 to n, for which a monotone condition holds, or n + 1 if it holds for none."""
    # Bisection finds it without a table of all pairs.
    fewest, most = np.zeros_like(n), n + 1
    while np.any(fewest < most):
        dlts = (fewest + most) // 2
        found = holds(dlts)
        fewest, most = np.where(found, fewest, np.minimum(dlts + 1, most)), np.where(found, dlts, most)
    return fewest
