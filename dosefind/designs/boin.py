"""The Bayesian optimal interval design (BOIN).

The DLT rate at the current dose is compared with two boundaries that minimise the chance of a wrong move: at or below the lower,
escalate; above the upper, de-escalate. Liu and Yuan (2015), JRSS C 64:507-523, doi:10.1111/rssc.12089; elimination and
final selection as in Yan et al. (2020), Journal of Statistical Software 94(13), doi:10.18637/jss.v094.i13.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.special import betaincc, betaincinv

from .._check import MOST_COUNTED, count, counts, whole
from ..isotonic import pool
from ..trial import States
from .base import Beside, Design, Flag, Probability
from .rules import TIE, above, highest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BOIN"]

# A dose is judged for elimination from this many patients on.
_MIN_ELIMINATION = 3
# The rates deemed too low and too toxic, as multiples of the target, where they are not given.
_TOO_LOW, _TOO_TOXIC = 0.6, 1.4
# Beta(0.05, 0.05) prior of the final estimates, and the credible level of their interval.
_PRIOR, _TAIL = 0.05, 0.025


class BOIN(Design):
    """The Bayesian optimal interval design (BOIN).

    Attributes
    ----------
    target
        Target DLT rate.
    p_saf, p_tox
        Highest rate that is deemed too low and lowest that is deemed too toxic; 0.6 and 1.4 times the target if not given.
    cutoff
        A dose and all above are eliminated when P(p > target) > cutoff under a Beta(1, 1) prior, from three patients on.
    extra_safe, offset
        Whether the trial also stops when P(p_1 > target) > cutoff - offset at the lowest dose.
    stay_at_1_of_3
        Whether one DLT in three patients means "stay" instead of what the boundaries say.
    bound_mtd
        Whether the final choice must have an isotonic estimate below the de-escalation boundary.

    Examples
    --------
    >>> BOIN(target=0.30).table(max_n=6)
                 escalate_if_dlt_le  deescalate_if_dlt_ge  eliminate_if_dlt_ge
    n_patients
    1                             0                     1                 <NA>
    2                             0                     1                 <NA>
    3                             0                     2                    3
    4                             0                     2                    3
    5                             1                     2                    4
    6                             1                     3                    4
    """

    kind: ClassVar[str] = "boin"
    title: ClassVar[str] = "BOIN"
    tied_to_target: ClassVar[tuple[str, ...]] = ("target", "p_saf", "p_tox")
    source: ClassVar[str] = "Liu and Yuan (2015), doi:10.1111/rssc.12089"

    target: Probability
    p_saf: Probability | None = None
    p_tox: Probability | None = None
    cutoff: Annotated[float, Field(gt=0.5, lt=1, strict=True)] = 0.95
    extra_safe: Flag = False
    offset: Annotated[float, Field(gt=0, lt=0.5, strict=True)] = 0.05
    stay_at_1_of_3: Flag = False
    bound_mtd: Flag = False

    @model_validator(mode="after")
    def _rates_are_ordered(self) -> Self:
        low, high = self.rates
        if not low < self.target:
            raise ValueError(f"p_saf = {low:g} must be below target = {self.target:g}")
        if not self.target < high < 1:
            raise ValueError(f"p_tox = {high:g} must lie between target = {self.target:g} and 1")
        return self

    def idle(self) -> dict[str, str]:
        return super().idle() | ({} if self.extra_safe else {"offset": "without extra_safe = true"})

    def in_force(self) -> dict[str, Any]:
        return super().in_force() | dict(zip(("p_saf", "p_tox"), self.rates, strict=True))

    @property
    def rates(self) -> tuple[float, float]:
        """The rates deemed too low and too toxic."""
        low = _TOO_LOW * self.target if self.p_saf is None else self.p_saf
        return low, _TOO_TOXIC * self.target if self.p_tox is None else self.p_tox

    @property
    def boundaries(self) -> tuple[float, float]:
        """Escalation and de-escalation boundary for the observed DLT rate (Liu and Yuan 2015, equation 3)."""
        low, high = self.rates
        t = self.target
        escalation = np.log((1 - low) / (1 - t)) / np.log(t * (1 - low) / (low * (1 - t)))
        deescalation = np.log((1 - t) / (1 - high)) / np.log(high * (1 - t) / (t * (1 - high)))
        return float(escalation), float(deescalation)

    def propose(self, states: States) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._moved(states, self._moves(states.here(states.n), states.here(states.y)))

    def propose_beside(self, states: States, beside: Beside) -> tuple[np.ndarray, ...]:
        """Return the moves by the rule for conflicts between backfilled doses and the current one.

        A backfilled dose below the current one that would itself not be escalated from is in conflict: from there up to the
        current dose the data are pooled. Zhao et al. (2024), Clin Cancer Res 30:673-679, doi:10.1158/1078-0432.CCR-23-2585, with
        two differences, so that one more DLT never raises the dose: the move is never above that of the current dose's own data,
        and of several doses in conflict the one that leads furthest down decides.
        """
        moves = self._moves(states.n, states.y)
        return self._moved(states, np.array([_with_backfill(self, states, moves, beside.n, row)[0] for row in range(len(states))]))

    def _conflict(self, state: States, beside: Beside) -> tuple[int, tuple[int, int]] | None:
        """Return the backfilled level that is in conflict with the current dose, with patients and DLTs pooled from there on."""
        lowest = _with_backfill(self, state, self._moves(state.n, state.y), beside.n, 0)[1]
        if lowest is None:
            return None
        pooled = slice(lowest, int(state.last[0]) + 1)
        return lowest + 1, (int(state.n[0, pooled].sum()), int(state.y[0, pooled].sum()))

    def _moves(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return +1, 0 or -1 for each pair of counts, as if they were those of the current dose."""
        escalate_le, deescalate_ge, _, _ = self._limits(n)
        return (y <= escalate_le[n]).astype(int) - (y >= deescalate_ge[n])

    def _moved(self, states: States, move: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        admissible = self._admissible(states)
        wanted = np.clip(states.last + move, 0, states.n_doses - 1)
        # Elimination takes away a dose and all above, so what is left starts at the lowest.
        dose = np.minimum(wanted, admissible.sum(axis=1) - 1)
        # What is open now: the way up is so only after few DLTs, and skips no level.
        open_ = admissible & (np.arange(states.n_doses) <= (states.last + (move > 0))[:, None])
        return dose, np.full(len(states), self.code("too_toxic")), open_

    def conclude(self, states: States) -> tuple[np.ndarray, np.ndarray]:
        tried = (states.n > 0) & self._admissible(states)
        estimate = self._isotonic(states.n, states.y, tried)
        if self.bound_mtd:
            tried = tried & above(self.boundaries[1], np.where(tried, estimate, 1.0))
        distance = np.where(tried, np.abs(estimate - self.target), np.inf)
        closest = distance <= distance.min(axis=1, keepdims=True) + TIE
        below = closest & above(self.target, np.where(tried, estimate, 1.0))
        # Among equally near doses, the highest of those estimated below the target, else the lowest above it.
        dose = np.where(below.any(axis=1), highest(below), np.argmax(closest, axis=1))
        top_n, top_y = states.n[:, -1], states.y[:, -1]
        return np.where(tried.any(axis=1), dose, -1), top_y <= self._limits(states.n)[0][top_n]

    def because(self, state: States, beside: Beside | None = None) -> str:
        decision = self.decide(state, beside)
        reason = self.reasons[int(decision.reason[0])]
        if beside is not None:
            state = self.with_beside(state, beside)
        n, y = int(state.here(state.n)[0]), int(state.here(state.y)[0])
        if n == 0 or reason == "max_n":
            return self.explain(reason)
        low, high = self.boundaries
        rate = f"{y} DLT{'s' * (y != 1)} in {n} patient{'s' * (n != 1)} at level {int(state.last[0]) + 1}, a rate of {y / n:.3f}"
        place = (
            f"at most {low:.3f}"
            if y <= low * n + TIE
            else f"above {high:.3f}"
            if y > high * n + TIE
            else f"between {low:.3f} and {high:.3f}"
        )
        if self.stay_at_1_of_3 and (n, y) == (3, 1):
            place = "for which the 1 of 3 rule says stay"
        if reason == "stay" and int(state.last[0]) == 0 and y > high * n + TIE:
            place += ", but there is no lower dose"
        shut = np.flatnonzero(~self._admissible(state)[0])
        gone = f"; level {shut[0] + 1} and above are eliminated" if len(shut) else ""
        pooled = None if beside is None else self._conflict(state, beside)
        if pooled is not None:
            lowest, (patients, dlts) = pooled
            place += f"; level {lowest}, backfilled, is in conflict: {dlts} DLTs in {patients} patients from there on"
        return f"{rate} {place}{gone}" + ("" if reason in ("escalate", "stay", "de-escalate") else f": {self.explain(reason)}")

    def table(self, max_n: int = 30) -> pd.DataFrame:
        """Decision table: DLTs among n patients at the current dose that lead to each move.

        Parameters
        ----------
        max_n
            Largest number of patients; ``max_n_per_dose`` where the design has it and it is smaller.

        Returns
        -------
        pandas.DataFrame
            One row for each n from 1 on; "<NA>" where no number of DLTs eliminates. With ``extra_safe``,
            a further column for stopping at the lowest dose.
        """
        import pandas as pd

        most = min(count("max_n", whole("max_n", max_n, 1), 1, MOST_COUNTED), self.max_n_per_dose or max_n)
        limits = self._limits_up_to(most)
        names = ["escalate_if_dlt_le", "deescalate_if_dlt_ge", "eliminate_if_dlt_ge", "stop_lowest_if_dlt_ge"]
        n = np.arange(1, most + 1)
        columns = {name: pd.array(limit[1:], dtype="Int64") for name, limit in zip(names, limits, strict=True)}
        frame = pd.DataFrame(columns, index=pd.Index(n, name="n_patients"))
        for name in names[2:]:
            frame.loc[frame[name] > n, name] = pd.NA
        return frame if self.extra_safe else frame.drop(columns=names[3])

    def estimates(self, n: Any, y: Any) -> pd.DataFrame:
        """Estimates on which the final choice rests, with interval and P(overdose).

        Parameters
        ----------
        n, y : (doses,) arrays
            Patients and DLTs at each dose of one trial: whole numbers, also as floats that are exactly whole, such as 3.0.

        Returns
        -------
        pandas.DataFrame
            One row a level: patients, DLTs, isotonic estimate, 95% credible interval and P(p > target), the latter three
            isotonic too; missing where nobody was treated.

        Raises
        ------
        InputError
            If an entry is not a count, the lengths differ, or a dose has more DLTs than patients.
        """
        import pandas as pd

        states = States.counts(*counts(n, y))
        a, b = states.y + _PRIOR, states.n - states.y + _PRIOR
        tried = states.n > 0
        # An untried dose has no estimate of its own; the pooling leaves it out.
        weights = self._precision(states.n, states.y)
        columns = {
            "patients": states.n[0],
            "dlts": states.y[0],
            "estimate": pool(a / (a + b), weights, tried)[0],
            "lower": pool(betaincinv(a, b, _TAIL), weights, tried)[0],
            "upper": pool(betaincinv(a, b, 1 - _TAIL), weights, tried)[0],
            "p_overdose": pool(betaincc(a, b, self.target), np.ones(a.shape), tried)[0],
        }
        return pd.DataFrame(columns, index=pd.RangeIndex(1, states.n_doses + 1, name="level"))

    def sentences(self) -> list[str]:
        low, high = self.boundaries
        p_saf, p_tox = self.rates
        saf = "" if self.p_saf else f" ({_TOO_LOW:g} times the target)"
        tox = "" if self.p_tox else f" ({_TOO_TOXIC:g} times the target)"
        rules = [
            f"Target DLT rate {self.target:g}. Escalate when the DLT rate at the current dose is at most {low:.4f}, de-escalate "
            f"when it is above {high:.4f}, else stay; a rate equal to the upper boundary stays.",
            f"The boundaries set the target apart from the rates deemed too low, p_saf = {p_saf:.4g}{saf}, and too toxic, "
            f"p_tox = {p_tox:.4g}{tox}.",
            f"A dose with at least {_MIN_ELIMINATION} patients and P(p > {self.target:g}) > {self.cutoff:g} under Beta(1, 1) is "
            "eliminated with all doses above, judged on all data to date; if the lowest is eliminated, the trial stops without "
            "an MTD.",
        ]
        if self.stay_at_1_of_3:
            rules.append("1 DLT in 3 patients: stay, whatever the boundaries say.")
        if self.extra_safe:
            rules.append(f"The trial also stops when P(p_1 > {self.target:g}) > {self.cutoff - self.offset:g} at the lowest dose.")
        bound = f", its estimate below {high:.4f}" if self.bound_mtd else ""
        rules += [
            f"The MTD is the treated, not eliminated dose whose isotonic estimate is nearest to the target{bound}; on ties the "
            "highest of those estimated below the target, else the lowest.",
            f"Isotonic estimates are (DLTs + {_PRIOR:g}) / (patients + {2 * _PRIOR:g}), pooled where they fall with the dose, "
            "each weighted by the inverse of its variance.",
            "It counts as not reached when the top dose is named and its own DLT rate would escalate.",
        ]
        return rules

    def _admissible(self, states: States) -> np.ndarray:
        _, _, eliminate_ge, stop_ge = self._limits(states.n)
        toxic = states.y >= eliminate_ge[states.n]
        if self.extra_safe:
            toxic[:, 0] |= states.y[:, 0] >= stop_ge[states.n[:, 0]]
        return ~np.logical_or.accumulate(toxic, axis=1)

    @staticmethod
    def _precision(n: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Inverse variance of Beta(y + 0.05, n - y + 0.05)."""
        a, b = y + _PRIOR, n - y + _PRIOR
        return (a + b) ** 2 * (a + b + 1) / (a * b)

    def _isotonic(self, n: np.ndarray, y: np.ndarray, tried: np.ndarray) -> np.ndarray:
        return pool((y + _PRIOR) / (n + 2 * _PRIOR), self._precision(n, y), tried)

    def _limits(self, n: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Integer limits that reach at least to the largest n."""
        most = int(n.max(initial=0))
        if len(self._known_limits[0]) <= most:
            self._known_limits[:] = self._limits_up_to(2 * most)
        escalate, deescalate, eliminate, stop = self._known_limits
        return escalate, deescalate, eliminate, stop

    @cached_property
    def _known_limits(self) -> list[np.ndarray]:
        return list(self._limits_up_to(60))

    def _limits_up_to(self, max_n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Integer limits by number of patients 0 to ``max_n``: escalate at most, de-escalate, eliminate, stop at least."""
        n = np.arange(max_n + 1)
        low, high = self.boundaries
        escalate = np.floor(low * n + TIE).astype(int)
        # A rate equal to the upper boundary stays.
        deescalate = np.floor(high * n + TIE).astype(int) + 1
        eliminate = self._fewest_dlts_above(self.cutoff, n)
        stop = self._fewest_dlts_above(self.cutoff - self.offset, n) if self.extra_safe else n + 1
        deescalate = np.minimum(deescalate, eliminate)
        if self.stay_at_1_of_3:
            escalate[3:4], deescalate[3:4] = 0, 2
        return escalate, deescalate, eliminate, stop

    def _fewest_dlts_above(self, cutoff: float, n: np.ndarray) -> np.ndarray:
        """Fewest DLTs among n patients with P(p > target) > cutoff under Beta(1, 1); n + 1 if there are none."""
        # The probability rises with the DLTs, so halving finds the fewest without a table of all pairs.
        patients, fewest, none = n, np.zeros_like(n), n + 1
        most = none
        while np.any(fewest < most):
            dlts = (fewest + most) // 2
            toxic = above(betaincc(dlts + 1.0, np.maximum(patients - dlts, 0) + 1.0, self.target), cutoff)
            fewest, most = np.where(toxic, fewest, np.minimum(dlts + 1, none)), np.where(toxic, dlts, most)
        return np.where(patients >= _MIN_ELIMINATION, fewest, none)


def _with_backfill(design: BOIN, states: States, moves: np.ndarray, backfilled: np.ndarray, row: int) -> tuple[int, int | None]:
    """Return how many levels one state moves, and the dose index from which data were pooled to settle a conflict."""
    last = max(int(states.last[row]), 0)
    found: tuple[int, int | None] = (int(moves[row, last]), None)
    low, high = design.boundaries
    for lowest in range(last):
        if backfilled[lowest] == 0 or moves[row, lowest] > 0:
            continue
        n, y = np.cumsum(states.n[row, lowest : last + 1]), np.cumsum(states.y[row, lowest : last + 1])
        kept = np.flatnonzero(y <= high * n + TIE)
        down = (lowest + int(kept[-1]) if len(kept) else lowest - 1) - last
        move = 1 if y[-1] <= low * n[-1] + TIE else 0 if y[-1] <= high * n[-1] + TIE else down
        if move < found[0]:
            found = move, lowest
    return found
