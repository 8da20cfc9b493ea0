"""The time-to-event Bayesian optimal interval design (TITE-BOIN): BOIN that decides with outcomes pending.

Three rules have this name. Let n patients have been treated at the current dose, y with a DLT, c pending, and S be the days for
which the pending patients have been followed up in total, with a DLT window of T days.

imputation
    The outcomes of the pending patients are imputed with the odds o = (y + t / 2) / (n - c + 1 - y - t / 2) of a DLT, t being the
    target: rate (y + o (c - S / T)) / n. Yuan et al. (2018), Clinical Cancer Research 24:4921-4930,
    doi:10.1158/1078-0432.CCR-18-0246. Accrual is suspended while more than half of the patients are pending.
app-2025
    The same with two conditions of the authors' software of 2025: accrual is suspended while less than 51% of the outcomes
    are known, and escalation awaits a quarter of the DLT window of every pending patient.
ess
    The rate is y / (n - c + S / T), with an effective sample size: Lin and Yuan (2020), Biostatistics 21:807-824,
    doi:10.1093/biostatistics/kxz007. While outcomes are pending, escalation needs three known ones.

Solved for S, each rule is a pair of numbers of patient-days, `thresholds`, which a committee can read from a table. With nothing
pending all three are BOIN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from .._check import MOST_COUNTED, count, whole
from ..figures import percent
from ..protocol import FromTrial
from ..trial import WAIT, States, TimedStates
from ..words import _, counted, marked, n_days, n_dlts, n_patients
from .base import Beside, Flag, Proposal, Reads
from .boin import BOIN
from .interval import MIN_ELIMINATION
from .rules import TIE, above, at_least

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TITEBOIN", "Rule", "Thresholds", "thresholds"]

Rule = Literal["app-2025", "imputation", "ess"]


class _Conditions(NamedTuple):
    """Default conditions of a rule: largest share pending, known outcomes and follow-up (share of the window) to escalate, and
    whether the lowest dose rests while its known outcomes alone would eliminate it.
    """

    most_pending: float
    known_first: int
    followed_first: float
    rests_at_lowest: bool


_CONDITIONS: dict[Rule, _Conditions] = {
    "app-2025": _Conditions(0.49, 0, 0.25, True),
    "imputation": _Conditions(0.5, 0, 0.0, False),
    "ess": _Conditions(1.0, 3, 0.0, False),
}


class Thresholds(NamedTuple):
    """Numbers of windows of follow-up of the pending patients, in total, at which the decision changes.

    Attributes
    ----------
    escalate_from
        Escalate from this number on; infinite if no number leads to escalation.
    deescalate_to
        De-escalate up to this number; minus infinity if no number leads to de-escalation.
    """

    escalate_from: np.ndarray
    deescalate_to: np.ndarray


def thresholds(
    rule: Rule, n: np.ndarray, y: np.ndarray, pending: np.ndarray, target: float, boundaries: tuple[float, float]
) -> Thresholds:
    """Return the thresholds of a rule on the follow-up of the pending patients.

    Parameters
    ----------
    rule
        The rule.
    n, y, pending : integer arrays of one shape
        Patients at the current dose, those pending included; DLTs; pending patients.
    target
        Target DLT rate.
    boundaries
        Escalation and de-escalation boundaries of BOIN.
    """
    low, high = boundaries
    known = n - pending
    if rule == "ess":
        # Without a DLT the rate is 0 however small the sample.
        escalate_from, deescalate_to = y / low - known, np.where(y > 0, y / high - known, -np.inf)
    else:
        odds = (y + target / 2) / (known + 1 - y - target / 2)
        below = ~at_least(y, target * n)
        escalate_from = np.where(below, pending - (n * low - y) / odds, np.inf)
        deescalate_to = np.where(below, -np.inf, pending - (n * high - y) / odds)
    # Even if no pending patient had a DLT.
    toxic = above(y, high * n)
    return Thresholds(np.where(toxic, np.inf, escalate_from), np.where(toxic, np.inf, deescalate_to))


class _Title:
    """The title of a design, with its rule: the name alone is ambiguous."""

    def __get__(self, design: TITEBOIN | None, kind: type[TITEBOIN]) -> str:
        return "TITE-BOIN" if design is None else f"TITE-BOIN, rule {design.rule}"


class TITEBOIN(BOIN):
    """The time-to-event Bayesian optimal interval design (TITE-BOIN).

    Attributes
    ----------
    rule
        "imputation" (Yuan et al. 2018), "app-2025" (the same with a gate for escalation) or "ess" (Lin and Yuan 2020).
    window_days
        Days in the DLT assessment period.
    most_pending
        Accrual is suspended while a larger share of the patients at the current dose is pending, unless the DLTs so far lead to
        de-escalation whatever the outcomes; by default 0.49 for "app-2025", 0.5 for "imputation" and 1 (never) for "ess".
    known_first
        While outcomes are pending at the current dose, escalation needs this many known ones; by default 3 for "ess", otherwise 0.
    followed_first
        Share of the DLT assessment period for which every pending patient at the current dose is followed before escalation; by
        default 0.25 for "app-2025", otherwise 0.
    rests_at_lowest
        Whether no patient is treated at the lowest dose while its known outcomes alone would eliminate it and others are pending;
        by default for "app-2025". The published rules treat on there.

    See Also
    --------
    BOIN : rates and options
    IntervalDesign : target, elimination and safety stop
    Design : settings that all designs have

    Examples
    --------
    >>> table = TITEBOIN(target=0.30, window_days=28).pending_table(max_n=6)
    >>> table.loc[table.escalate_from_days.notna(), ["n_patients", "dlts", "pending", "escalate_from_days"]]
        n_patients  dlts  pending  escalate_from_days
    40           5     1        1                  11
    41           5     1        2                  44
    62           6     1        2                  17
    """

    kind: ClassVar[str] = "tite-boin"
    title: ClassVar[str] = _Title()  # type: ignore[assignment]
    source: ClassVar[str] = "Yuan et al. (2018), doi:10.1158/1078-0432.CCR-18-0246"
    reads: ClassVar[Reads] = "follow-up"

    rule: Rule = Field(default="app-2025", description=marked("which of the three rules named TITE-BOIN"))
    window_days: Annotated[int, Field(ge=1, le=3650, strict=True), FromTrial("treatment.dlt_window_days")]
    most_pending: Annotated[float, Field(ge=0, le=1, strict=True)] | None = Field(
        default=None, description=marked("accrual is suspended while a larger share of the patients at the dose is pending")
    )
    known_first: Annotated[int, Field(ge=0, le=1000, strict=True)] | None = Field(
        default=None, description=marked("known outcomes at the dose that escalation needs while outcomes are pending there")
    )
    followed_first: Annotated[float, Field(ge=0, lt=1, strict=True)] | None = Field(
        default=None,
        description=marked("share of the window for which every pending patient at the dose is followed before escalation"),
    )

    rests_at_lowest: Flag | None = Field(
        default=None,
        description=marked("whether no patient is treated at the lowest dose while its known outcomes alone would eliminate it"),
    )

    @property
    def closed_from(self) -> int | None:
        # Limits by the number of patients end a cohort too.
        return MIN_ELIMINATION if self.max_n_per_dose is None and self.stop_n is None and not self.titration else None

    @property
    def window_of_follow_up(self) -> int:
        return self.window_days

    @property
    def conditions(self) -> _Conditions:
        """Return the conditions in force: those of the rule unless set."""
        own = {name: getattr(self, name) for name in _Conditions._fields}
        return _CONDITIONS[self.rule]._replace(**{name: value for name, value in own.items() if value is not None})

    @property
    def gate_days(self) -> int:
        """Return the days for which every pending patient at the current dose is followed before escalation."""
        return math.ceil(self.conditions.followed_first * self.window_days - TIE)

    def in_force(self) -> dict[str, Any]:
        return super().in_force() | self.conditions._asdict()

    def on_complete_data(self) -> BOIN:
        return BOIN(**{name: getattr(self, name) for name in self.model_fields_set if name in BOIN.model_fields})

    def exceptions(self) -> dict[str, str]:
        conditions = self.conditions
        if conditions.most_pending >= 1 and not conditions.known_first and not self.gate_days:
            return super().exceptions()
        why = "a DLT that leads to de-escalation is acted on at once, and there is no dose below the lowest"
        return super().exceptions() | {"still waits with a DLT": why}

    # The decision ---------------------------------------------------------------------------------------------------

    def propose(self, states: States) -> Proposal:
        if not isinstance(states, TimedStates):
            return super().propose(states)
        known = states.follow_ups
        days, fewest = np.zeros((2, len(states)), np.int32) if known is None else known.at(states.last)
        n, y, pending = (states.here(values) for values in (states.n, states.y, states.pending))
        move, suspended, gated = self._pending_moves(n, y, pending, days, fewest)
        return self._awaiting(states, self._moved(states, move), suspended, gated)

    def propose_beside(self, states: States, beside: Beside) -> Proposal:
        if not isinstance(states, TimedStates) or not states.pending.any():
            return super().propose_beside(states, beside)
        days, fewest = self._followed(states)
        moves, suspended, gated = self._pending_moves(states.n, states.y, states.pending, days, fewest)
        move = np.array([self._with_backfill(states, moves, beside.n, row)[0] for row in range(len(states))])
        at_rest = move >= np.minimum(states.here(moves), 0)
        found = self._moved(states, move)
        return self._awaiting(states, found, states.here(suspended) & at_rest, states.here(gated) & at_rest)

    def _followed(self, states: TimedStates) -> tuple[np.ndarray, np.ndarray]:
        """Return days of follow-up of the pending patients at each dose, and the fewest of any; none if they are not known."""
        if states.follow_ups is None:
            return np.zeros_like(states.n), np.zeros_like(states.n)
        return states.follow_ups.by_dose(states.n_doses)

    def _pending_moves(
        self, n: np.ndarray, y: np.ndarray, pending: np.ndarray, days: np.ndarray, fewest: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the moves, whether accrual is suspended, and whether escalation awaits outcomes or follow-up."""
        patients, conditions = np.maximum(n, 1), self.conditions
        found = thresholds(self.rule, patients, y, pending, self.target, self.boundaries)
        windows = days / self.window_days
        down = at_least(found.deescalate_to, windows) | (self.down_at_2_of_6 & (n == 6) & (y >= 2))
        move = np.where(down, -1, np.where(at_least(windows, found.escalate_from), 1, 0))
        # Nobody at the dose can be evaluated: another patient is treated there.
        move = np.where(n == 0, 0, np.where(pending == 0, self._moves(n, y), move))
        certain = above(y, self.boundaries[1] * patients) | (self.down_at_2_of_6 & (n == 6) & (y >= 2))
        suspended = above(pending, conditions.most_pending * patients) & ~certain
        young = (n - pending < conditions.known_first) | (fewest < self.gate_days)
        move = np.where(suspended, 0, move)
        return move, suspended, (move > 0) & (pending > 0) & young

    def _awaiting(self, states: TimedStates, found: Proposal, suspended: np.ndarray, gated: np.ndarray) -> Proposal:
        """Return a proposal that waits where accrual is suspended or escalation must wait; elimination comes first.

        It waits too where the known outcomes alone would eliminate the lowest dose and pending patients are all that keeps it open.
        """
        dose = found.dose
        waits = (suspended & (dose >= states.last)) | (gated & (dose > states.last)) | ((dose == 0) & self._kept_open(states))
        return Proposal(np.where(waits, WAIT, dose), found.stops, found.open)

    def _kept_open(self, states: TimedStates) -> np.ndarray:
        """Return whether only pending patients keep the lowest dose open, and it rests then, ``(states,)``."""
        if not self.conditions.rests_at_lowest:
            return np.zeros(len(states), bool)
        pending = states.pending[:, 0]
        return (pending > 0) & self._eliminated(states.n[:, 0] - pending, states.y[:, 0], 0)

    # Words and tables -----------------------------------------------------------------------------------------------

    def because(self, state: States, beside: Beside | None = None) -> str:
        sentence = super().because(state, beside)
        if not isinstance(state, TimedStates) or not state.here(state.pending)[0]:
            return sentence
        decision = self.decide(state, beside)
        reason = self.reasons[int(decision.reason[0])]
        if reason in ("start", "max_n", "too_toxic"):
            return sentence
        days, fewest = (int(state.here(values)[0]) for values in self._followed(state))
        n, y, c = (int(state.here(values)[0]) for values in (state.n, state.y, state.pending))
        followed = counted(
            "{{dlts}} in {{patients}} at level {{level}}, {n} pending, followed for {{days}} of {{window}} days in total",
            "{{dlts}} in {{patients}} at level {{level}}, {n} pending, followed for {{days}} of {{window}} days in total",
            c,
        )
        clauses = [
            followed.format(
                dlts=n_dlts(y),
                patients=n_patients(n),
                level=int(state.last[0]) + 1,
                days=days,
                window=c * self.window_days,
            ),
            self._estimate(n, y, c, days),
        ]
        move, suspended, gated = self._pending_moves(*(np.array([value]) for value in (n, y, c, days, fewest)))
        if reason == "stay" and state.last[0] == 0 and move[0] < 0:
            clauses.append(_("there is no lower dose"))
        elif reason == "wait" and self._kept_open(state)[0]:
            clauses.append(_("the known outcomes alone would eliminate the lowest dose, so its pending outcomes are awaited"))
        elif reason == "wait" and suspended[0]:
            most = percent(self.conditions.most_pending)
            clauses.append(
                _("accrual is suspended while more than {most} of the patients at the dose are pending").format(most=most)
            )
        elif reason == "wait" and gated[0]:
            clauses.append(self._gate())
        if beside is not None:
            state = self.with_beside(state, beside)
        return "; ".join([*clauses, *self._of_other_doses(state, beside)])

    def _estimate(self, n: int, y: int, c: int, days: int) -> str:
        """Return the estimated rate at the current dose, with its boundaries and the rule."""
        windows, known = days / self.window_days, n - c
        low, high = map(percent, self.boundaries)
        if self.rule == "ess":
            size = known + windows
            words = _("DLT rate {rate} in an effective sample size of {size} (rule {rule}; boundaries {low} and {high})")
            rate = percent(y / size) if size else "-"
            return words.format(rate=rate, size=f"{size:.2f}", rule=self.rule, low=low, high=high)
        odds = (y + self.target / 2) / (known + 1 - y - self.target / 2)
        words = _("DLT rate {rate} with imputed outcomes (rule {rule}; boundaries {low} and {high})")
        rate = (y + odds * (c - windows)) / n
        # More DLTs can be imputed than patients are pending.
        shown = percent(rate) if rate <= 1 else _("above {most}").format(most=percent(1.0))
        return words.format(rate=shown, rule=self.rule, low=low, high=high)

    def _gate(self) -> str:
        """Return what escalation awaits, in words without a capital or an end."""
        conditions, clauses = self.conditions, []
        if conditions.known_first:
            clauses.append(
                counted(
                    "escalation needs {n} known outcome at the dose while others are pending",
                    "escalation needs {n} known outcomes at the dose while others are pending",
                    conditions.known_first,
                )
            )
        if self.gate_days:
            words = _("escalation awaits {days} of follow-up of every pending patient at the dose")
            clauses.append(words.format(days=n_days(self.gate_days)))
        return "; ".join(clauses)

    def elimination_sentence(self) -> str:
        pending = _("In the number of patients, pending patients count as patients without a DLT.")
        return f"{super().elimination_sentence()} {pending}"

    def move_sentences(self) -> list[str]:
        rules = {
            "imputation": _("TITE-BOIN by the rule of Yuan et al. (2018), single mean imputation (rule = imputation)."),
            "app-2025": _(
                "TITE-BOIN by single mean imputation with the conditions of the authors' software of 2025 (rule = app-2025)."
            ),
            "ess": _("TITE-BOIN by the effective sample size of Lin and Yuan (2020) (rule = ess)."),
        }
        estimate = (
            _(
                "With outcomes pending, the DLT rate is the number of DLTs divided by the known outcomes and the follow-up of the "
                "pending patients in DLT windows of {window} days; de-escalation also at a rate equal to the upper boundary."
            )
            if self.rule == "ess"
            else _(
                "With outcomes pending, each pending patient counts as a DLT by the odds from the known outcomes (DLTs + {half}) / "
                "(no DLTs + 1 - {half}) times the part of the DLT window of {window} days to come. Escalate by this rate if the "
                "DLTs so far are below the target rate; de-escalate by it, also at a rate equal to the upper boundary, if not."
            )
        )
        lines = [
            rules[self.rule],
            *super().move_sentences(),
            estimate.format(window=self.window_days, half=f"{self.target / 2:g}"),
        ]
        if self.conditions.rests_at_lowest:
            lines.append(
                _(
                    "No patient is treated at the lowest dose while its known outcomes alone would eliminate it: pending outcomes "
                    "are awaited."
                )
            )
        if self.conditions.most_pending < 1:
            words = _(
                "Accrual is suspended while more than {most} of the patients at the dose are pending, unless the DLTs so far lead "
                "to de-escalation whatever the pending outcomes are."
            )
            lines.append(words.format(most=percent(self.conditions.most_pending)))
        if gate := self._gate():
            lines.append(_("{gate}; until then accrual is suspended.").format(gate=gate[0].upper() + gate[1:]))
        return lines

    def pending_table(self, max_n: int = 18, sizes: Iterable[int] | None = None) -> pd.DataFrame:
        """Return the decision table with outcomes pending, with the follow-up at which decisions change in patient-days.

        Parameters
        ----------
        max_n
            Maximum number of patients at the dose.
        sizes
            Numbers of patients shown; all up to ``max_n`` by default.

        Returns
        -------
        pandas.DataFrame
            One row for each number of patients (pending ones included), DLTs and pending outcomes: the ``move`` ("escalate",
            "stay", "de-escalate", "eliminate", "wait", or the moves possible from little to much follow-up, separated by "/");
            the sum over the pending patients of the days followed up without a DLT from which to escalate (at least) and up to
            which to de-escalate (at most), "<NA>" where follow-up makes no difference. Numbers of DLTs beyond the first that
            eliminates the dose are omitted.
        """
        import pandas as pd

        most = count("max_n", whole("max_n", max_n, 1), 1, MOST_COUNTED)
        shown = range(1, most + 1) if sizes is None else [size for size in sizes if size <= most]
        limits, rows = self._limits_up_to(most), []
        for n in shown:
            for y in range(min(n, int(limits.eliminate[n])) + 1):
                rows += [self._row(n, y, c, y >= limits.eliminate[n]) for c in range(n - y + 1)]
        columns = ["n_patients", "dlts", "pending", "move", "escalate_from_days", "deescalate_to_days"]
        table = pd.DataFrame(rows, columns=columns)
        return table.astype(dict.fromkeys(columns[4:], "Int64"))

    def _row(self, n: int, y: int, c: int, eliminated: bool) -> tuple[int, int, int, str, int | None, int | None]:
        """Return a row of the table with outcomes pending."""
        if eliminated:
            return n, y, c, "eliminate", None, None
        found = thresholds(self.rule, np.array([n]), np.array([y]), np.array([c]), self.target, self.boundaries)
        most = c * self.window_days
        # The days next to each threshold.
        up, down = (np.clip(np.round(edge * self.window_days), -2, most + 2).astype(int)[0] for edge in found)
        days = np.unique(np.clip([0, *range(down - 1, down + 2), *range(up - 1, up + 2), most], 0, most))
        same = np.ones(len(days), int)
        # Every pending patient has been followed up for as long as is possible.
        move, suspended, gated = self._pending_moves(n * same, y * same, c * same, days, self.window_days * same)
        if suspended[0]:
            return n, y, c, "wait", None, None
        words = np.where(gated, "wait", np.array(["de-escalate", "stay", "escalate"])[move + 1])
        moves = "/".join(dict.fromkeys(words.tolist()))
        up, down = days[move > 0], days[move < 0]
        changes = len(set(move.tolist())) > 1
        return n, y, c, moves, int(up[0]) if changes and len(up) else None, int(down[-1]) if changes and len(down) else None
