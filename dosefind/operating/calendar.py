"""Trials on a calendar: when patients start, which outcomes are pending at each decision, and how long a trial takes.

Time is counted in whole days. Within a day the order is: DLTs become known; DLT windows end; patients discontinue; candidates
arrive; the design decides; patients start. So a DLT on day t of a patient counts in a decision on that day, and a candidate who
arrives on the day on which the last window ends can start on that day.

Trials run in a batch: each pass moves every running trial to its next event. A design that waits for complete data (``reads`` is
"complete") plans cohorts as in the exact enumeration, so selections are those of `lattice`; only the calendar needs simulation. A
design that decides with pending outcomes (``reads`` is "pending", "follow-up" or "exposure") is asked whenever a candidate could
start, or at the start of each cohort if it has cohorts. Follow-up is counted in whole days; all infusions are given as planned
until the patient has a DLT or leaves.

A patient who left and has a weight is replaced, and is in the likelihood of designs with a model by the share of the DLTs that
come by the day of leaving, as in `dosefind.next_dose`. The likelihood has one more column for each dose and each such weight, so
that all trials of a batch are still decided at once; equal counts, also of these patients, are evaluated once. 3 doses and a window
of 28 days have up to 84 columns instead of 3. Of 200 trials, those of TITE-CRM took twice as long as without weights, and those of
the BLRM about seven times, mostly where cohorts end once decided: each of its many small batches pays for all columns.

Patient j of trial r has the same latent numbers in every design and scenario (and those of `simulate`), so differences are paired.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from itertools import product
from typing import Literal, Self

import numpy as np

from .._check import InputError, Problem
from ..designs import Decision, Design, limits
from ..exposure import Exposures, planned_days
from ..outcomes import Rates
from ..protocol import Protocol, Treatment
from ..starts import NO_WAIT, Started, gated, until
from ..threads import one_thread
from ..timing import NEVER, Accrual, Discontinuation, Gates, Onset
from ..trial import COUNT, NO_DOSE, WAIT, FollowUps, States, TimedStates
from .simulation import Latent
from .tally import EndedTrials
from .walk import MOST_COHORTS, refuse_endless

__all__ = ["Clock", "TimedTrials", "run"]

# Streams of random numbers beside that of the DLTs, which has no number.
_TIME, _GAP, _DROPOUT, _PROGRESSION = 2, 3, 4, 5
Cause = Literal["dropout", "progression"]
Ending = Literal["not-evaluable", "no-dlt", "dlt", "weight"]


@dataclass(frozen=True)
class Clock:
    """The rules and assumptions by which a trial takes time.

    Attributes
    ----------
    treatment
        DLT window, staggering interval, sequential dose groups.
    accrual
        How candidates arrive.
    onset
        Days to DLT.
    discontinuation
        Probability of discontinuation, by cause.
    dropout, progression
        Handling of patients without a DLT who discontinue, by cause; with "weight" they are replaced, and designs with a model
        read the part of the window that they were followed.
    target
        Target DLT rate, at which a distribution of days to DLT that depends on the DLT rate gives the weights.
    gates
        Conditions for escalation by designs that decide with pending outcomes.
    cohorts
        "complete": every cohort is treated in full and its outcomes are awaited, as in the exact enumeration; "until-decided": a
        cohort ends early, or its last outcomes are not awaited, where no outcome still open can change the decision or the dose
        selected at a stop, and nobody starts in a cohort that ends in some ways in which earlier outcomes can come out. This is
        what `dosefind.next_dose` recommends. A design that reads follow-up does not await the outcomes of a complete cohort, and
        with "complete" a cohort ends early only where its dose is closed; with a design that reads exposure it always ends where
        nothing that follows could keep the dose.
    """

    treatment: Treatment
    accrual: Accrual
    onset: Onset = field(default_factory=Onset)
    discontinuation: Discontinuation = field(default_factory=Discontinuation)
    dropout: Ending = "not-evaluable"
    progression: Ending = "not-evaluable"
    target: float = 0.25
    gates: Gates = field(default_factory=Gates)
    cohorts: Literal["complete", "until-decided"] = "complete"

    @classmethod
    def of(cls, protocol: Protocol, cohorts: Literal["complete", "until-decided"] = "complete") -> Self:
        """Return the clock of a protocol.

        Raises
        ------
        InputError
            If the protocol has no table ``accrual``.
        """
        if protocol.accrual is None:
            raise InputError(Problem("accrual", None, "required for a calendar: state how candidates arrive"))
        return cls(
            treatment=protocol.treatment,
            accrual=protocol.accrual,
            onset=protocol.days_to_dlt,
            discontinuation=protocol.discontinuation or Discontinuation(),
            dropout=protocol.evaluability.dropout,
            progression=protocol.evaluability.progression,
            target=protocol.target.rate,
            gates=protocol.gates or Gates(),
            cohorts=cohorts,
        )

    @property
    def window(self) -> int:
        return self.treatment.dlt_window_days

    @property
    def discontinuation_possible(self) -> bool:
        """Return whether patients can leave."""
        return self.discontinuation.dropout > 0 or self.discontinuation.progression > 0

    @property
    def weights(self) -> np.ndarray:
        """Return the weight of a patient who left after each number of days, from day 0 to the end of the window."""
        return self.onset.share(np.arange(self.window + 1), self.target, self.window)

    def at_rate(self, per_28_days: float) -> Self:
        """Return the same clock at another accrual rate."""
        return replace(self, accrual=self.accrual.at(per_28_days))

    def as_counted(self, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the probability that a patient is evaluable, and the DLT rate among evaluable patients as they are counted.

        With patients who leave replaced, the second exceeds the true rate: a patient with an early DLT is evaluable, a patient
        without a DLT must stay to the end. In continuous time, with uniform days to DLT, a probability q of leaving and
        ``D = q / -log(1 - q)``, it is ``p D / (p D + (1 - p) (1 - q))``.

        Parameters
        ----------
        rates
            True DLT rates.

        Returns
        -------
        array, array
            Of the shape of ``rates``.
        """
        rates = np.asarray(rates, float)
        chances = {cause: getattr(self.discontinuation, cause) for cause in ("dropout", "progression")}
        hazards = {cause: -math.log1p(-chance) for cause, chance in chances.items()}
        total = sum(hazards.values())
        if total == 0:
            return np.ones_like(rates), rates
        # On the same day a DLT comes before a patient leaves, and so does the end of the window: who leaves later than the day
        # before is still there.
        days = np.arange(1, self.window + 1)
        stays = np.exp(-total * (days - 1) / self.window)
        reached = self.onset.share(np.append(0, days), rates[..., None], self.window)
        toxic, free = rates * (np.diff(reached, axis=-1) @ stays), (1 - rates) * stays[-1]
        handled = {"not-evaluable": 0.0, "no-dlt": 0.0, "dlt": 0.0, "weight": 0.0}
        for cause, hazard in hazards.items():
            handled[getattr(self, cause)] += hazard / total
        evaluable = 1 - (handled["not-evaluable"] + handled["weight"]) * (1 - toxic - free)
        return evaluable, (toxic + handled["dlt"] * (1 - toxic - free)) / evaluable

    def overlapping(self) -> Self:
        """Return the same clock with dose groups that may overlap."""
        return replace(self, treatment=self.treatment.model_copy(update={"no_overlap": False}))


@dataclass(frozen=True)
class TimedTrials:
    """Ended trials with their calendars, one row per trial and scenario.

    Attributes
    ----------
    ended
        Counts, selections and reasons.
    days
        Days from the first start to the last outcome that the trial needed.
    last_start
        Days from the first start to the last start.
    turned_away, turned_away_by_last_start
        Candidates who could not wait, until the end of the trial and until its last start.
    gone
        Candidates who waited and left.
    waited
        Days that the patients who started had waited, in total.
    closed
        Days on which no candidate could have started, while the trial needed one.
    decisions, with_pending
        Decisions to treat at a dose or to stop, and those made while outcomes were pending.
    bold, cautious
        Decisions with pending outcomes that complete data would have reversed downwards (to a lower dose or a stop) and upwards.
    above
        Patients started at a dose that the rules would have closed if their latent outcomes had been known.
    lost
        Patients who discontinued and are not evaluable; they are replaced.
    unfinished
        Whether candidates ran out before the trial ended.
    starts, doses : (rows, patients) arrays
        Day of each start, counted from the first, `NEVER` for no patient; dose index, -1 for no patient.
    known : (rows, patients) array
        Day on which each outcome was known or due, counted from the first start.
    dlt : (rows, patients) bool array
        Whether it was a DLT.
    """

    ended: EndedTrials
    days: np.ndarray
    last_start: np.ndarray
    turned_away: np.ndarray
    turned_away_by_last_start: np.ndarray
    gone: np.ndarray
    waited: np.ndarray
    closed: np.ndarray
    decisions: np.ndarray
    with_pending: np.ndarray
    bold: np.ndarray
    cautious: np.ndarray
    above: np.ndarray
    lost: np.ndarray
    unfinished: np.ndarray
    starts: np.ndarray
    doses: np.ndarray
    known: np.ndarray
    dlt: np.ndarray


# Patients for whom room is made at a time: more room is more work in each pass.
_ROOM = 4
# Candidates whose arrivals are drawn at first.
_CANDIDATES = 16
# Outcome of a patient, in `_Rows.kind`.
_NONE, _DLT, _COMPLETE, _LOST, _WEIGHTED = 0, 1, 2, 3, 4
_EMPTY = {"start": NEVER, "dose": NO_DOSE, "known": NEVER, "kind": _NONE, "queue": NEVER}
_ENDINGS = {"not-evaluable": _LOST, "no-dlt": _COMPLETE, "dlt": _DLT, "weight": _WEIGHTED}
# Answers: more than any cohort's size; no answer yet, and different ones.
_SIZES, _OPEN, _DIFFER = 4096, -(2**20), -(2**21)
# Stands for the reason of a trial for which no further candidates come.
_UNFINISHED = -1


@dataclass
class _Rows:
    """Running trials: one entry per trial in the last axis, patients in the first axis where there are two."""

    row: np.ndarray
    now: np.ndarray
    count: np.ndarray
    # The next candidate and the day on which that candidate arrives.
    candidate: np.ndarray
    arrives: np.ndarray
    head: np.ndarray
    tail: np.ndarray
    turned_away: np.ndarray
    away_by_start: np.ndarray
    gone: np.ndarray
    waited: np.ndarray
    closed: np.ndarray
    decisions: np.ndarray
    with_pending: np.ndarray
    bold: np.ndarray
    cautious: np.ndarray
    above: np.ndarray
    # The cohort in progress: dose, planned size, index of its first patient, cohorts before it; what was known when it was last
    # asked about, and whether it is held until earlier outcomes are known.
    plan: np.ndarray
    size: np.ndarray
    since: np.ndarray
    cohorts: np.ndarray
    asked: np.ndarray
    held: np.ndarray
    # The latest answer of a design that is not asked every time, and whether it completes the cohort in progress.
    answer: np.ndarray
    filling: np.ndarray
    # The cohort before it: dose, planned size, index of its first patient, and whether outcomes were pending when it ended. Until
    # the next cohort begins, a patient who leaves is still replaced in it.
    old_plan: np.ndarray
    old_size: np.ndarray
    old_since: np.ndarray
    old_pending: np.ndarray
    memory: np.ndarray
    # Per patient.
    start: np.ndarray
    dose: np.ndarray
    known: np.ndarray
    kind: np.ndarray
    queue: np.ndarray

    @classmethod
    def names(cls) -> list[str]:
        return [item.name for item in fields(cls)]

    @classmethod
    def begin(cls, rows: int, n_memory: int) -> _Rows:
        made: dict[str, np.ndarray] = {name: np.zeros(rows, np.int32) for name in cls.names()}
        made["row"] = np.arange(rows)
        made["plan"] += WAIT
        made["answer"] += WAIT
        made["old_plan"] += WAIT
        made["held"], made["filling"] = np.zeros((2, rows), bool)
        made["memory"] = np.zeros((n_memory, rows), COUNT)
        for name, empty in _EMPTY.items():
            made[name] = np.full((_ROOM, rows), empty, np.int8 if name in ("dose", "kind") else np.int32)
        return cls(**made)

    def __len__(self) -> int:
        return len(self.row)

    def take(self, kept: np.ndarray) -> _Rows:
        return _Rows(**{name: getattr(self, name).take(kept, axis=-1) for name in self.names()})

    def patients(self, which: np.ndarray) -> _Rows:
        """Return the patients and cohorts of some trials; what else is known of them is left out, as it is not needed to decide."""
        wanted = ("now", "count", "plan", "size", "since", "old_plan", "old_since", "cohorts", "memory", *_EMPTY)
        wanted = tuple(name for name in wanted if name != "queue")
        return replace(self, **{name: getattr(self, name).take(which, axis=-1) for name in wanted}, row=which)

    def room(self) -> None:
        """Make room for another patient in every trial."""
        if len(self.start) <= self.count.max(initial=0):
            for name in ("start", "known", "dose", "kind"):
                setattr(self, name, _grown(getattr(self, name), _EMPTY[name]))

    def padded(self, patients: int) -> _Rows:
        """Return the same trials with room for a number of patients, without their queues."""
        more = patients - len(self.start)
        wider = {name: np.pad(getattr(self, name), ((0, more), (0, 0)), constant_values=_EMPTY[name]) for name in _EMPTY}
        return replace(self, **{**wider, "queue": self.queue[:0]})

    @property
    def seen(self) -> np.ndarray:
        """Return whether the outcome of each patient is known, (patients, trials)."""
        return self.known <= self.now

    @property
    def given(self) -> np.ndarray:
        """Return whether there is a patient, (patients, trials)."""
        return self.dose >= 0

    @property
    def counted(self) -> np.ndarray:
        """Return whether each patient is evaluable, once the outcome is known, (patients, trials)."""
        return (self.kind == _DLT) | (self.kind == _COMPLETE)

    @property
    def replaced(self) -> np.ndarray:
        """Return whether each patient is not evaluable, once the outcome is known, (patients, trials)."""
        return (self.kind == _LOST) | (self.kind == _WEIGHTED)

    @property
    def latest(self) -> np.ndarray:
        """Return the dose index of the latest patient, `NO_DOSE` before the first, (trials,)."""
        return self.dose[np.maximum(self.count - 1, 0), np.arange(len(self))]


def _joined(before: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Return the answers that two ways share, `_DIFFER` if they do not."""
    return np.where((before == _OPEN) | (before == answer), answer, _DIFFER)


def _as_rank(dose: np.ndarray) -> np.ndarray:
    """Return doses in order, a stop below all and to wait above all."""
    return np.where(dose == WAIT, _SIZES, dose)


def _with_further(states: TimedStates, dose: np.ndarray, size: np.ndarray, dlts: np.ndarray) -> TimedStates:
    """Return the states with further patients of the latest cohort, whose outcomes are known."""
    n, y, at = states.n.copy(), states.y.copy(), (np.arange(len(states)), dose)
    n[at] += size
    y[at] += dlts
    return replace(states, n=n, y=y, last_n=states.last_n + size, last_y=states.last_y + dlts)


def _grown(values: np.ndarray, empty: int) -> np.ndarray:
    return np.concatenate([values, np.full((_ROOM, values.shape[1]), empty, values.dtype)])


class _Draws:
    """Latent numbers of a chunk of trials: patients by start number, candidates by arrival number."""

    def __init__(self, seed: int, chunk: int, trials: int, clock: Clock) -> None:
        self.latent = {stream: Latent(seed, chunk, trials, *(() if stream is None else (stream,))) for stream in _STREAMS}
        self.clock, self.trials = clock, trials
        self.gaps = Latent(seed, chunk, trials, _GAP)
        self.days = np.empty((0, trials), np.int64)

    def arrival(self, candidate: np.ndarray, trial: np.ndarray) -> np.ndarray:
        """Return the day on which candidates arrive."""
        last = int(candidate.max(initial=-1))
        if last >= len(self.days):
            self.gaps.reach(max(last + 1, _CANDIDATES))
            self.days = self.clock.accrual.arrivals(self.gaps.numbers, len(self.gaps.numbers))
        return self.days[candidate, trial]


_STREAMS = (None, _TIME, _DROPOUT, _PROGRESSION)


@one_thread
def run(design: Design, rates: Rates, clock: Clock, trials: int, seed: int, chunk: int = 0) -> TimedTrials:
    """Run all trials of a chunk in all scenarios on a calendar, rows ordered by scenario, then trial.

    Parameters
    ----------
    design
        The design; it must end by itself or have ``max_n``.
    rates
        True DLT rates, (scenarios, doses).
    clock
        Rules and assumptions on time.
    trials
        Trials per scenario, at most `dosefind.operating.simulation.CHUNK`.
    seed, chunk
        Seed and number of the chunk, which has its own random numbers.
    """
    return _Run(design, rates.dlt, clock, _Draws(seed, chunk, trials, clock)).run()


class _Run:
    """One batch of trials on a calendar."""

    def __init__(self, design: Design, truths: np.ndarray, clock: Clock, draws: _Draws) -> None:
        self.design, self.truths, self.clock, self.draws = design, truths, clock, draws
        self.n_doses = truths.shape[1]
        refuse_endless(design, States.before_first(self.n_doses, (0,) * design.n_memory, len(design.tracks) - 1))
        if design.tracks != ("dlt",):
            raise InputError(f"{design.title} also counts {' and '.join(design.tracks[1:])}, which a calendar does not draw")
        if clock.cohorts == "until-decided" and design.n_memory:
            raise InputError(f"{design.title} has a memory, so cohorts cannot end early: use cohorts = 'complete'")
        self.waits = design.reads == "complete"
        self.by_cohort = not self.waits and design.one_size != 1
        # Whether a cohort in progress ends where all that can follow leads downwards or to a stop.
        self.ends_early = self.by_cohort and not (design.reads == "follow-up" and clock.cohorts == "complete")
        # Whether the answer can change while nothing becomes known.
        self.by_follow_up = design.reads in ("follow-up", "exposure")
        treatment = clock.treatment
        # Whether starts, leavers and memory leave an answer as it is.
        plain = clock.gates == Gates() and not clock.discontinuation_possible and not design.n_memory and design.max_n is not None
        self.in_turn = not self.waits and not clock.treatment.no_overlap and clock.treatment.stagger is None
        self.plain = plain and self.in_turn and clock.accrual.process != "always"
        # Days of each interval; of the follow-up after them if there is any.
        self.intervals = (*treatment.interval_days, *((treatment.after_course,) if treatment.after_course else ()))
        self.always = clock.accrual.process == "always"
        queue = clock.accrual.queue
        causes: tuple[tuple[Cause, int, Ending], ...] = (
            ("dropout", _DROPOUT, clock.dropout),
            ("progression", _PROGRESSION, clock.progression),
        )
        self.causes = [cause for cause in causes if getattr(clock.discontinuation, cause[0]) > 0]
        self.replaces = any(ending in ("not-evaluable", "weight") for _, _, ending in self.causes)
        # Column of the weight of a patient who left after each number of days, -1 for a weight of 0; no days without weights.
        self.column = np.zeros(0, int)
        # A design that reads exposure includes the follow-up of such patients in any case.
        by_weight = design.reads_weights and design.reads != "exposure"
        if by_weight and any(ending == "weight" for _, _, ending in self.causes):
            weights = clock.weights
            different = np.unique(weights[(weights > 0) & (np.arange(len(weights)) < clock.window)])
            if len(different):
                self.column = np.where(weights > 0, np.searchsorted(different, weights), -1)
                self.n_weights = len(different)
                self.design = design.with_weights(tuple(different.tolist()))
        self.capacity = NEVER if queue == "unlimited" else queue
        self.scenario, self.trial = np.divmod(np.arange(len(truths) * draws.trials), draws.trials)
        self.rows = _Rows.begin(len(self.scenario), design.n_memory)
        if not self.always:
            self.rows.arrives = draws.arrival(self.rows.candidate, self.trial)
        # Trials at the maximum sample size with outcomes pending.
        self.full = np.zeros(len(self.rows), bool)
        self.ended: list[tuple[_Rows, np.ndarray]] = []

    def run(self) -> TimedTrials:
        """Run all trials to their ends."""
        while len(self.rows):
            wanted, reason = self._wanted() if self.waits else self._asked()
            over = wanted == NO_DOSE
            ready = self._ready(wanted)
            started = (ready <= self.rows.now) & ((self.rows.tail > self.rows.head) | self.always)
            if not self.waits:
                self._count(np.flatnonzero(started | over), wanted)
                self._begin(np.flatnonzero(started & ~self.fills), wanted)
            self._enrol(np.flatnonzero(started), wanted)
            day = np.where(started | over, self.rows.now, self._next_day(wanted, ready))
            never = day >= NEVER
            self._advance(np.flatnonzero(~(started | over | never)), day, ready)
            if (over | never).any():
                self._end(over | never, np.where(never, _UNFINISHED, reason))
        return self._gathered()

    # Counts at a day --------------------------------------------------------------------------------------------------

    def _counts(self, rows: _Rows, *masks: np.ndarray) -> list[np.ndarray]:
        """Return how many of the patients in each mask are at each dose, (trials, doses)."""
        at = [rows.dose == dose for dose in range(self.n_doses)]
        return [np.stack([(there & mask).sum(axis=0, dtype=COUNT) for there in at]).T for mask in masks]

    def _in_part(self, rows: _Rows, left: np.ndarray) -> np.ndarray | None:
        """Return the patients with a weight among those who left, (trials, doses * weights), if the design reads weights."""
        if not len(self.column):
            return None
        found = np.zeros((len(rows), self.n_doses, self.n_weights), COUNT)
        patient, trial = np.nonzero(left & (rows.kind == _WEIGHTED))
        column = self.column[rows.known[patient, trial] - rows.start[patient, trial]]
        has = column >= 0
        np.add.at(found, (trial[has], rows.dose[patient[has], trial[has]], column[has]), 1)
        return found.reshape(len(rows), -1)

    def _states(self, rows: _Rows, dlts: np.ndarray, treated: np.ndarray) -> States:
        """Return the states of trials from masks of patients, with the cohort in progress as the latest."""
        own = np.arange(len(rows.start))[:, None] >= rows.since
        n, y = self._counts(rows, treated, dlts)
        return States(
            n=n,
            y=y,
            last=np.where(rows.plan >= 0, rows.plan, NO_DOSE).astype(COUNT),
            last_n=(own & treated).sum(axis=0, dtype=COUNT),
            last_y=(own & dlts).sum(axis=0, dtype=COUNT),
            cohorts=rows.cohorts.astype(COUNT),
            memory=rows.memory.T.copy(),
            in_part=self._in_part(rows, rows.given & rows.seen),
        )

    # Designs that wait for complete data ------------------------------------------------------------------------------

    def _wanted(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the dose that each trial wants for its next patient, `WAIT` or no dose, and the reason of a stop."""
        rows = self.rows
        patients = np.arange(len(rows.start))[:, None]
        seen = rows.seen
        known = seen.sum(axis=0) + rows.count
        if self.clock.cohorts == "until-decided" and self.replaces:
            self._reopen(known)
        own = (patients >= rows.since) & (patients < rows.count)
        # A patient who was lost counts in no cohort and is replaced.
        members = (own & ~(seen & rows.replaced)).sum(axis=0)
        full = (rows.plan >= 0) & (members >= rows.size)
        pending = rows.given & ~seen
        decided = (rows.plan == WAIT) | (full & ~pending.any(axis=0))
        wanted = np.where(full, WAIT, rows.plan)
        reason = np.zeros(len(rows), int)
        which = np.flatnonzero(decided)
        if len(which):
            self._decide(which, wanted, reason)
        if self.clock.cohorts == "until-decided":
            # Asked again when a patient has started, or an outcome has become known.
            begun = ~decided & (rows.plan >= 0) & (rows.count > rows.since)
            which = np.flatnonzero(begun & (known > rows.asked))
            rows.asked = known
            if len(which):
                self._decide_early(which, wanted, reason, members, full)
            wanted = np.where(rows.held & (wanted == rows.plan), WAIT, wanted)
        return wanted, reason

    def _reopen(self, known: np.ndarray) -> None:
        """Return to the cohort before where the next one has not begun and something has become known: it is decided anew."""
        rows = self.rows
        again = (rows.plan >= 0) & (rows.old_plan >= 0) & (rows.count == rows.since) & (known > rows.asked)
        which = np.flatnonzero(again)
        for name in ("plan", "size", "since"):
            getattr(rows, name)[which] = getattr(rows, f"old_{name}")[which]
        rows.cohorts[which] -= 1
        rows.decisions[which] -= 1
        rows.with_pending[which] -= rows.old_pending[which]
        rows.old_plan[which] = WAIT

    def _decide(self, which: np.ndarray, wanted: np.ndarray, reason: np.ndarray) -> None:
        """Begin the next cohort of trials whose outcomes are all known, or end them."""
        part = self.rows.patients(which)
        seen = part.seen
        states = self._states(part, seen & (part.kind == _DLT), seen & part.counted)
        decision = self.design.decide(states.grouped())
        self._plan(which, decision.dose, decision.size, decision.memory)
        wanted[which], reason[which] = decision.dose, decision.reason
        self.rows.decisions[which] += 1

    def _plan(self, which: np.ndarray, dose: np.ndarray, size: np.ndarray, memory: np.ndarray) -> None:
        rows = self.rows
        for name in ("plan", "size", "since"):
            getattr(rows, f"old_{name}")[which] = getattr(rows, name)[which]
        rows.old_pending[which] = 0
        rows.plan[which], rows.size[which], rows.since[which] = dose, size, rows.count[which]
        rows.cohorts[which] += 1
        rows.held[which] = False
        rows.memory[:, which] = memory.T
        if rows.cohorts.max(initial=0) > MOST_COHORTS:
            raise InputError(Problem("max_n", None, f"{self.design.title} does not end by itself: state a maximum sample size"))

    def _decide_early(
        self, which: np.ndarray, wanted: np.ndarray, reason: np.ndarray, members: np.ndarray, full: np.ndarray
    ) -> None:
        """Give the decision where no open outcome can change it, as `dosefind.tasks.proposals` does for a real trial.

        The ways in which the outcomes of other patients can come out are looked at one by one. In each of them, a cohort that is
        not full ends if all that can follow leads downwards or to a stop: by the decision on the patients treated so far, or where
        the patients who would complete it cannot change the decision. It also ends where the patients treated so far meet the
        stopping rule for toxicity (`dosefind.designs.limits.FEWEST_TOXIC`). It is completed if it ends in none of these ways, and
        nobody starts while it ends in some of them only.
        """
        rows = self.rows
        part = rows.patients(which)
        seen = part.seen
        counted = seen & part.counted
        pending = part.given & ~seen
        states = self._states(part, counted & (part.kind == _DLT), counted | pending)
        missing = np.maximum(part.size - members[which], 0).astype(COUNT)
        own = np.arange(len(part.start))[:, None] >= part.since
        own_open = (own & pending).sum(axis=0, dtype=COUNT)
        (others_open,) = self._counts(part, pending & ~own)
        filled = part.size <= members[which]
        toxicity = self.design.code("too_toxic")
        # By the known outcomes alone, so that nobody pending dilutes them.
        seen_states = self._states(part, counted & (part.kind == _DLT), counted).grouped()
        toxic_by_now = self.design.decide(seen_states).reason == toxicity
        toxic_by_now &= seen_states.n[:, 0] >= limits.FEWEST_TOXIC
        # The answer that all ways so far share, with the reason of the first.
        shared, why = np.full(len(part), _OPEN), np.zeros(len(part), int)
        ends_somewhere, fills_somewhere = np.zeros(len(part), bool), np.zeros(len(part), bool)
        for others in product(*(range(int(most) + 1) for most in others_open.max(axis=0, initial=0))):
            possible = (np.array(others, COUNT) <= others_open).all(axis=1)
            # The answers to the patients treated so far, and to the completed cohort.
            answers, codes = np.full((2, len(part)), _OPEN), np.zeros((2, len(part)), int)
            down, toxic = np.repeat(possible[None], 2, axis=0), possible.copy()
            for own_dlts in range(int(own_open.max(initial=0)) + 1):
                for further in range(-1, int(missing.max(initial=0)) + 1):
                    complete = further >= 0
                    applies = possible & (own_dlts <= own_open)
                    which_here = np.flatnonzero(applies & (further <= missing) & (missing > 0) if complete else applies)
                    if not len(which_here):
                        continue
                    answer, code = self._answer_after(
                        states.take(which_here),
                        part.plan[which_here],
                        others,
                        own_dlts + max(further, 0),
                        missing[which_here] * complete,
                    )
                    at = int(complete), which_here
                    codes[at] = np.where(answers[at] == _OPEN, code, codes[at])
                    answers[at] = _joined(answers[at], answer)
                    down[at] &= (answer < 0) | (answer // _SIZES - 1 < part.plan[which_here])
                    if not complete:
                        toxic[which_here] &= (code == toxicity) & (states.n[which_here, 0] >= limits.FEWEST_TOXIC)
            by_now = filled | toxic | toxic_by_now | down.all(axis=0)
            closes = possible & (by_now | (down[1] & (answers[1] != _DIFFER)))
            why = np.where(closes & (shared == _OPEN), np.where(by_now, codes[0], codes[1]), why)
            shared = np.where(closes, _joined(shared, np.where(by_now, answers[0], answers[1])), shared)
            ends_somewhere |= closes
            fills_somewhere |= possible & ~closes
        settled = ends_somewhere & ~fills_somewhere & (shared != _DIFFER)
        rows.held[which] = ends_somewhere & ~settled
        done = which[settled]
        dose = np.where(shared >= 0, shared // _SIZES - 1, NO_DOSE)[settled]
        size = np.where(shared >= 0, shared % _SIZES, 0)[settled]
        self._plan(done, dose, size, part.memory.T[settled])
        wanted[done], reason[done] = dose, why[settled]
        rows.decisions[done] += 1
        rows.old_pending[done] = pending.any(axis=0)[settled]
        rows.with_pending[done] += rows.old_pending[done]

    def _answer_after(
        self, states: States, plan: np.ndarray, others: tuple[int, ...], own_dlts: int, added: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the answer to each state after further patients and DLTs in the current cohort and further DLTs of other patients.

        An answer is a number that is the same for the same dose and size, or for the same stop: the dose selected as MTD, and
        whether the MTD is not reached. The second array has the reasons.
        """
        n, y, at = states.n.copy(), states.y + np.array(others, COUNT), (np.arange(len(states)), plan)
        n[at] += added
        y[at] += COUNT(own_dlts)
        states = replace(states, n=n, y=y, last_n=states.last_n + added, last_y=states.last_y + COUNT(own_dlts)).grouped()
        decision = self.design.decide(states)
        answer = (decision.dose.astype(int) + 1) * _SIZES + decision.size
        stops = np.flatnonzero(decision.dose == NO_DOSE)
        if len(stops):
            chosen = self.design.select(states.take(stops).grouped())
            answer[stops] = -2 * (chosen.dose.astype(int) + 2) - chosen.not_reached
        return answer, decision.reason

    # Designs that decide with pending outcomes ------------------------------------------------------------------------

    def _asked(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the design's answer to what is known now, by trial, and the reason of a stop.

        A cohort in progress is completed unless all that can follow leads downwards or to a stop, as `dosefind.tasks.proposals` has
        it for a real trial.
        """
        asked = self._to_ask()
        if asked is not None:
            return self._asked_of(asked)
        rows = self.rows
        states = self._timed(rows)
        decision = self.design.decide(states)
        dose, reason = decision.dose.copy(), decision.reason.copy()
        rows.memory = decision.memory.T.copy()
        most = self.design.max_n
        self.enrols = np.ones(len(rows), bool) if most is None else states.total < most
        self.sizes, self.fills = decision.size.copy(), np.zeros(len(rows), bool)
        self._as_cohorts(rows, states, decision, dose, reason, self.sizes, self.fills)
        if self.by_follow_up:
            self._await_stops(dose, reason)
        return dose, reason

    def _to_ask(self) -> np.ndarray | None:
        """Return the trials whose answer matters, if these are not all.

        A dose given now to one patient after another remains open until a DLT, unless rules on starts apply to it or the design
        suspends accrual or stops after a start: the answer matters if a patient can start or has a DLT. A cohort in progress is
        completed until a DLT closes its dose, or a start by which there are enough patients to close it. Trials
        with the maximum sample size wait for all outcomes.
        """
        rows, most, design = self.rows, self.design.max_n, self.design
        if not self.plain or most is None or not self.by_follow_up or design.own_reasons:
            return None
        news = ((rows.known == rows.now) & (rows.kind == _DLT)).any(axis=0)
        self.full = rows.count >= most
        self.full[self.full] &= (rows.known[:, self.full] > rows.now[self.full])[:most].any(axis=0)
        asked = ~self.full
        if not self.by_cohort and design.goes_on_until_dlt:
            asked &= (rows.tail > rows.head) | (rows.answer < 0) | news | (rows.count >= most)
        elif self.by_cohort and not self.ends_early and design.closed_from is not None:
            there = ((rows.dose == rows.plan) & (rows.dose >= 0)).sum(axis=0, dtype=np.int32)
            asked &= ~(rows.filling & (rows.count - rows.since < rows.size) & (there != design.closed_from)) | news
        return np.flatnonzero(asked)

    def _asked_of(self, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the design's answers where only some trials are asked; the others keep theirs, or wait if they are full."""
        rows = self.rows
        dose, reason = np.where(self.full, WAIT, rows.answer), np.zeros(len(rows), int)
        self.enrols = rows.count < (self.design.max_n or 0)
        self.sizes = np.ones(len(rows), int)
        self.fills = rows.filling & (rows.count - rows.since < rows.size)
        if len(asked):
            part = rows.patients(asked)
            states = self._timed(part)
            decision = self.design.decide(states)
            own, why = decision.dose.copy(), decision.reason.copy()
            fills = np.zeros(len(part), bool)
            sizes = decision.size.copy()
            self._as_cohorts(part, states, decision, own, why, sizes, fills)
            self._await_stops_of(part, own, why)
            dose[asked], reason[asked], self.sizes[asked], self.fills[asked] = own, why, sizes, fills
        rows.answer, rows.filling = dose.astype(np.int32), self.fills.copy()
        return dose, reason

    def _as_cohorts(
        self,
        rows: _Rows,
        states: TimedStates,
        decision: Decision,
        dose: np.ndarray,
        reason: np.ndarray,
        sizes: np.ndarray,
        fills: np.ndarray,
    ) -> None:
        """Set the answers of trials with a cohort in progress: to complete it, or what ends it."""
        if self.by_cohort and not self.ends_early:
            # A dose that the rules close is not given again.
            closed = ~decision.admissible[np.arange(len(rows)), np.maximum(rows.plan, 0)]
            fills[:] = (rows.plan >= 0) & (states.last_n < rows.size) & (dose != NO_DOSE) & ~closed
            dose[fills] = rows.plan[fills]
        elif self.by_cohort:
            self._complete_cohorts(rows, states, dose, reason, sizes, fills)

    def _complete_cohorts(
        self,
        rows: _Rows,
        states: TimedStates,
        dose: np.ndarray,
        reason: np.ndarray,
        sizes: np.ndarray,
        fills: np.ndarray,
        finished: bool = False,
    ) -> None:
        """Set the answers of trials whose cohort is short of patients: the dose of the cohort, or what ends it.

        Parameters
        ----------
        rows, states
            The trials, and their states.
        dose, reason, sizes, fills
            What is set: answers with their reasons and cohort sizes, and whether a cohort is completed.
        finished
            Whether the states suppose that no pending patient has a DLT.
        """
        missing = (rows.size - states.last_n).astype(COUNT)
        which = np.flatnonzero((rows.plan >= 0) & (missing > 0))
        if not len(which):
            return
        part, short = rows.patients(which), states.take(which)
        plan, missing = part.plan, missing[which]
        # What the cohorts before it lead to; a cohort that would not have begun is not completed.
        before = self.design.decide(self._timed(part, before=True, finished=finished))
        begun = before.dose == plan
        none = np.zeros(len(part), COUNT)
        first = self.design.decide(_with_further(short, plan, missing, none))
        size, why = first.size, first.reason
        down = (first.dose < plan) & (first.dose != WAIT)
        same = np.ones(len(part), bool)
        # Where no DLT among those missing leads lower, all that can follow is looked at.
        for further in range(1, int(missing.max()) + 1):
            asked = np.flatnonzero(down & (further <= missing))
            if not len(asked):
                break
            ends = self.design.decide(_with_further(short.take(asked), plan[asked], missing[asked], none[asked] + COUNT(further)))
            same[asked] &= first.dose[asked] == ends.dose
            down[asked] &= (ends.dose < plan[asked]) & (ends.dose != WAIT)
        below = (dose[which] < plan) & (dose[which] != WAIT)
        toxicity = self.design.code("too_toxic")
        toxic = (dose[which] == NO_DOSE) & (reason[which] == toxicity) & (short.n[:, 0] >= limits.FEWEST_TOXIC)
        by_now = begun & (toxic | (down & below))
        by_end = begun & down & ~below & same
        completes = begun & ~by_now & ~by_end
        dose[which] = np.where(completes, plan, np.where(by_end, first.dose, dose[which]))
        reason[which] = np.where(by_end, why, reason[which])
        sizes[which] = np.where(by_end, size, sizes[which])
        # No higher than the cohorts before it lead.
        lower = ~begun & (_as_rank(before.dose) < _as_rank(dose[which]))
        dose[which] = np.where(lower, before.dose, dose[which])
        reason[which] = np.where(lower, before.reason, reason[which])
        # With the patients of this cohort fewer may be left.
        left = limits.size(self.design, short, np.maximum(dose[which], 0))
        sizes[which] = np.where(lower, np.minimum(before.size, left), sizes[which])
        fills[which] = completes

    def _await_stops(self, dose: np.ndarray, reason: np.ndarray) -> None:
        """Defer a stop that a trial would not come to if no pending patient had a DLT."""
        self._await_stops_of(self.rows, dose, reason)

    def _await_stops_of(self, rows: _Rows, dose: np.ndarray, reason: np.ndarray) -> None:
        """Defer such a stop in some trials."""
        pending = (rows.given & ~rows.seen).any(axis=0)
        which = np.flatnonzero((dose == NO_DOSE) & pending)
        if not len(which):
            return
        part = rows.patients(which)
        states = self._timed(part, finished=True)
        ends = self.design.decide(states)
        answer = ends.dose.copy()
        if self.ends_early:
            # With more patients in the cohort the trial may go on.
            self._complete_cohorts(part, states, answer, ends.reason.copy(), ends.size.copy(), np.zeros(len(which), bool), True)
        which = which[answer != NO_DOSE]
        dose[which], reason[which] = WAIT, self.design.code("wait")

    def _timed(self, rows: _Rows, before: bool = False, finished: bool = False, of_follow_up: bool = True) -> TimedStates:
        """Return the states of trials as known now.

        Parameters
        ----------
        rows
            The trials.
        before
            Without the cohort in progress.
        finished
            As if every pending patient were followed up to the end of the window without a DLT.
        of_follow_up
            Whether the design is told for how long pending patients have been followed up, if it reads that.
        """
        number = np.arange(len(rows.start))[:, None]
        plan, since = (rows.old_plan, rows.old_since) if before else (rows.plan, rows.since)
        given = rows.given & (number < rows.since) if before else rows.given
        seen = rows.seen
        pending = given & ~seen
        dlts = given & seen & (rows.kind == _DLT)
        complete = given & seen & (rows.kind == _COMPLETE)
        if finished:
            complete, pending = complete | pending, np.zeros_like(pending)
        treated = dlts | pending | complete
        left = given & seen
        if before:
            # A patient who left counts at once where nobody else in the cohort in progress is evaluable.
            alone = ~(rows.given & ~given & ~(seen & rows.replaced)).any(axis=0)
            left |= rows.given & seen & alone
        n, y, still = self._counts(rows, treated, dlts, pending)
        if self.by_cohort:
            own = number >= since
            last, cohorts = np.where(plan >= 0, plan, NO_DOSE), rows.cohorts - before
        elif self.design.reads == "follow-up" and self.causes:
            # Nobody who was lost counts, also not as the latest patient.
            place = np.where(treated, number, -1).max(axis=0)
            own, cohorts = number == place, treated.sum(axis=0)
            last = np.where(place >= 0, rows.dose[np.maximum(place, 0), np.arange(len(rows))], NO_DOSE)
        else:
            own, last, cohorts = number == rows.count - 1, rows.latest, rows.count
        return TimedStates(
            n=n,
            y=y,
            last=last.astype(COUNT),
            last_n=(own & treated).sum(axis=0, dtype=COUNT),
            last_y=(own & dlts).sum(axis=0, dtype=COUNT),
            cohorts=cohorts.astype(COUNT),
            memory=rows.memory.T.copy(),
            in_part=self._in_part(rows, left),
            pending=still,
            exposure=self._exposure(rows, given, dlts, pending, n, y, finished) if self.design.reads == "exposure" else None,
            follow_ups=self._follow_ups(rows, dlts, pending, own) if of_follow_up and self.design.reads == "follow-up" else None,
        )

    def _follow_ups(self, rows: _Rows, dlts: np.ndarray, pending: np.ndarray, own: np.ndarray) -> FollowUps:
        """Return the days of follow-up of the pending patients, from masks of patients, ``own`` those of the latest cohort."""
        # Trial by trial, in the order of the patients.
        trial, patient = np.nonzero(np.ascontiguousarray(pending.T))
        counts = np.bincount(trial, minlength=len(rows))
        slot = np.arange(len(trial)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (int(counts.max(initial=0)), len(rows))
        dose, days = np.full(shape, NO_DOSE, np.int8), np.zeros(shape, np.int32)
        dose[slot, trial] = rows.dose[patient, trial]
        days[slot, trial] = np.minimum(rows.now[trial] - rows.start[patient, trial], self.clock.window)
        dose, days = dose.T, days.T
        # The latest cohort began with its first patient.
        begun = np.where(own, rows.start, NEVER).min(axis=0, initial=NEVER)
        return FollowUps(self.clock.window, dose, days, (dlts & ~own & (rows.known > begun)).sum(axis=0, dtype=COUNT))

    def _exposure(
        self,
        rows: _Rows,
        given: np.ndarray,
        dlts: np.ndarray,
        pending: np.ndarray,
        n: np.ndarray,
        y: np.ndarray,
        finished: bool,
    ) -> Exposures:
        """Return the days of follow-up and the DLTs in each interval, by dose."""
        window = self.clock.window
        until_day = np.minimum(rows.known, rows.now)
        if finished:
            until_day = np.where(rows.seen, until_day, rows.start + window)
        followed = np.where(given, until_day - rows.start, 0)
        days, events = planned_days(self.intervals, followed, dlts)
        without, until_events = np.where(events, 0, days), np.where(events, days, 0)
        shape = (len(rows), self.n_doses, len(self.intervals))
        found = [np.zeros(shape, np.int32) for _ in range(3)]
        ended = given & (followed >= window) & ~dlts & ~pending
        complete = np.zeros(shape[:2], COUNT)
        for dose in range(self.n_doses):
            there = given & (rows.dose == dose)
            complete[:, dose] = (there & ended).sum(axis=0)
            for values, of_patients in zip(found, (without, events, until_events), strict=True):
                values[:, dose] = (of_patients * there[..., None]).sum(axis=0)
        without_dlt, with_dlt, until_dlt = found
        return Exposures(self.intervals, without_dlt, with_dlt, until_dlt, n, y, complete)

    def _count(self, which: np.ndarray, made: np.ndarray) -> None:
        """Count decisions that are acted on, and compare those with pending outcomes with the decision from complete data.

        A start in a cohort in progress is no decision.
        """
        rows = self.rows
        decided = ~self.fills
        rows.decisions[which] += decided[which]
        which = which[(rows.given[:, which] & (rows.known[:, which] > rows.now[which])).any(axis=0)]
        if not len(which):
            return
        rows.with_pending[which] += decided[which]
        made, part = made[which], rows.patients(which)
        part = replace(part, now=np.full(len(part), NEVER - 1, np.int32))
        # What became known when makes no difference to complete data.
        complete = self.design.decide(self._timed(part, of_follow_up=False))
        rows.bold[which] += (made > complete.dose) & decided[which]
        rows.cautious[which] += (made < complete.dose) & decided[which]
        rows.above[which] += (made >= 0) & ~complete.admissible[np.arange(len(which)), np.maximum(made, 0)]

    # Time -------------------------------------------------------------------------------------------------------------

    def _earliest(self, wanted: np.ndarray) -> np.ndarray:
        """Return the day from which the next patient at the wanted dose may start; today or earlier if nothing delays it."""
        rows = self.rows
        given, level = rows.given, self._levels()
        patients = np.arange(len(rows.start))[:, None]
        joins = (patients >= rows.since) if self.waits else level == wanted + 1
        closes = rows.start + self.clock.window
        return until(Started(level, level, rows.start, closes, given & ~rows.seen, joins), wanted + 1, self.clock.treatment).day

    def _levels(self) -> np.ndarray:
        """Return the dose level of each patient from 1, -1 for no patient, (patients, trials)."""
        rows = self.rows
        return np.where(rows.given, rows.dose.astype(np.int32) + 1, -1)

    def _gated(self, wanted: np.ndarray) -> np.ndarray:
        """Return the day from which gates allow the wanted dose, `NEVER` where only another outcome can."""
        rows = self.rows
        given, seen, level = rows.given, rows.seen, self._levels()
        latest = np.where(rows.count > 0, rows.latest + 1, -1)
        known = given & seen & ~rows.replaced
        clock, infused = self.clock, None
        if clock.gates.infused is not None:
            day = rows.start + clock.treatment.infusion_days[clock.gates.infused.number - 1] - 1
            # A DLT or a discontinuation on the day of an infusion precedes it.
            infused = np.where(given & (~seen | (rows.known > day)), day, NEVER)
        gates = {"gates": clock.gates, "window": clock.window, "infused": infused}
        return gated(level, rows.start, known, given & ~seen, latest, wanted + 1, **gates).day

    def _ready(self, wanted: np.ndarray) -> np.ndarray:
        """Return the day from which the next patient may start, `NEVER` where none is wanted."""
        # Without rules on starts, a patient of a design that does not wait can start at once.
        ready = np.full(len(wanted), NO_WAIT) if self.in_turn else self._earliest(np.maximum(wanted, 0))
        if not self.waits and self.clock.gates != Gates():
            ready = np.maximum(ready, self._gated(wanted))
        return np.where(wanted >= 0, ready, NEVER)

    def _begin(self, which: np.ndarray, wanted: np.ndarray) -> None:
        """Begin a cohort in trials of a design that decides with pending outcomes and has cohorts."""
        rows = self.rows
        if not self.by_cohort:
            return
        rows.old_plan[which], rows.old_since[which] = rows.plan[which], rows.since[which]
        rows.plan[which], rows.size[which], rows.since[which] = wanted[which], self.sizes[which], rows.count[which]
        rows.cohorts[which] += 1
        rows.filling[which] = True

    def _enrol(self, which: np.ndarray, wanted: np.ndarray) -> None:
        """Start a patient in trials that want one and have a candidate."""
        if not len(which):
            return
        rows, clock, dose = self.rows, self.clock, wanted[which]
        rows.room()
        patient, number = rows.count[which], rows.row[which]
        scenario, trial = self.scenario[number], self.trial[number]
        now = rows.now[which]
        rates = self.truths[scenario, dose]
        latent = self.draws.latent
        toxic = latent[None](patient, trial) < rates
        onset = np.where(toxic, clock.onset.time(latent[_TIME](patient, trial), rates, clock.window), np.inf)
        leaves = np.full(len(which), np.inf)
        handling = np.zeros(len(which), np.int8)
        for cause, stream, ending in self.causes:
            day = clock.discontinuation.time(cause, latent[stream](patient, trial), clock.window)
            handling = np.where(day < leaves, _ENDINGS[ending], handling)
            leaves = np.minimum(leaves, day)
        # A time with a fraction belongs to the day that it falls on, from day 1 on; a window ends on its last day. On the same day
        # a DLT comes before a patient leaves, and so does the end of the window.
        days = np.clip(np.ceil(np.where(toxic, onset, clock.window) - 1e-9), 1, clock.window)
        leaves = np.maximum(np.ceil(leaves - 1e-9), 1)
        left = leaves < days
        days = np.where(left, leaves, days).astype(np.int32)
        rows.start[patient, which], rows.dose[patient, which] = now, dose
        rows.known[patient, which] = now + days
        rows.kind[patient, which] = np.where(left, handling, np.where(toxic, _DLT, _COMPLETE))
        if not self.always:
            rows.waited[which] += now - rows.queue[rows.head[which], which]
            rows.head[which] += 1
        rows.away_by_start[which] = rows.turned_away[which]
        rows.count[which] += 1

    def _next_day(self, wanted: np.ndarray, ready: np.ndarray) -> np.ndarray:
        """Return the day on which each trial that starts nobody today is looked at next, `NEVER` if there is none."""
        rows = self.rows
        event = np.where(rows.known > rows.now, rows.known, NEVER).min(axis=0)
        # While a cohort is filled in any case, news does not matter unless patients may have to be replaced.
        watches = (wanted == WAIT) | (not self.waits) | (self.clock.cohorts == "until-decided") | self.replaces
        day = np.where(watches, event, NEVER)
        blocked = ready > rows.now
        day = np.where(blocked, np.minimum(day, ready), day)
        if self.by_follow_up:
            # Follow-up can change the answer on any day, which matters while a candidate waits and the trial is not full.
            daily = ((rows.tail > rows.head) | self.always) & self.enrols
            day = np.where(daily, np.minimum(day, rows.now + 1), day)
        if not self.always:
            arrives = rows.arrives
            day = np.where(blocked & (not self.by_follow_up), day, np.minimum(day, np.maximum(arrives, rows.now)))
        return day

    def _advance(self, which: np.ndarray, days: np.ndarray, ready: np.ndarray) -> None:
        """Move trials on to a day, with the candidates who arrive until then."""
        rows = self.rows
        day = days[which].astype(np.int32)
        rows.closed[which] += np.where(ready[which] > rows.now[which], day - rows.now[which], 0)
        if not self.always:
            self._receive(which, day)
        rows.now[which] = day

    def _receive(self, which: np.ndarray, day: np.ndarray) -> None:
        """Send away the candidates beyond the queue at the end of today, and receive those who arrive until a day."""
        rows = self.rows
        excess = np.where(day > rows.now[which], rows.tail[which] - rows.head[which] - self.capacity, 0)
        excess = np.maximum(excess, 0)
        rows.turned_away[which] += excess
        rows.tail[which] -= excess
        moved, until_day = which, day
        while len(which):
            arrives = rows.arrives[which]
            due = arrives <= day
            which, day, arrives = which[due], day[due], arrives[due]
            self._leave(which, arrives)
            if len(which) and len(rows.queue) <= rows.tail[which].max():
                rows.queue = _grown(rows.queue, NEVER)
            # A candidate who arrives on that day itself stays until its end.
            stays = (arrives == day) | (rows.tail[which] - rows.head[which] < self.capacity)
            rows.queue[rows.tail[which[stays]], which[stays]] = arrives[stays]
            rows.tail[which] += stays
            rows.turned_away[which] += ~stays
            rows.candidate[which] += 1
            rows.arrives[which] = self.draws.arrival(rows.candidate[which], self.trial[rows.row[which]])
        self._leave(moved, until_day)

    def _leave(self, which: np.ndarray, day: np.ndarray) -> None:
        """Let candidates leave whose patience has ended before a day."""
        patience, rows = self.clock.accrual.patience_days, self.rows
        while patience is not None and len(which):
            gone = rows.head[which] < rows.tail[which]
            gone[gone] = rows.queue[rows.head[which[gone]], which[gone]] + patience < day[gone]
            which, day = which[gone], day[gone]
            rows.head[which] += 1
            rows.gone[which] += 1

    # Ends -------------------------------------------------------------------------------------------------------------

    def _end(self, over: np.ndarray, reason: np.ndarray) -> None:
        self.ended.append((self.rows.take(np.flatnonzero(over)), reason[over]))
        self.rows = self.rows.take(np.flatnonzero(~over))

    def _gathered(self) -> TimedTrials:
        """Return the ended trials in their order."""
        most = max(len(part.start) for part, _ in self.ended)
        parts = [part.padded(most) for part, _ in self.ended]
        order = np.argsort(np.concatenate([part.row for part in parts]))
        rows = _Rows(
            **{name: np.concatenate([getattr(part, name) for part in parts], axis=-1)[..., order] for name in _Rows.names()}
        )
        reason = np.concatenate([reason for _, reason in self.ended])[order]
        known, given, begun = rows.kind, rows.given, rows.count > 0
        n, y = self._counts(rows, rows.counted, known == _DLT)
        final = replace(rows, now=np.full(len(rows), NEVER - 1, np.int32))
        exposed = self.design.reads == "exposure"
        counts = replace(States.of_checked(n, y), in_part=self._in_part(final, given)).grouped()
        chosen = self.design.select(self._timed(final) if exposed else counts)
        nothing = np.zeros((len(n), 2, self.n_doses), COUNT)
        first = np.where(begun, rows.start[0], 0)
        last = np.where(given, rows.start, 0).max(axis=0)
        lost = given & rows.replaced
        used = int(rows.count.max(initial=0))
        return TimedTrials(
            ended=EndedTrials(self.design, n, y, chosen.dose, chosen.not_reached, reason, nothing),
            days=rows.now - first,
            last_start=np.where(begun, last - first, 0),
            turned_away=rows.turned_away,
            turned_away_by_last_start=rows.away_by_start,
            gone=rows.gone,
            waited=rows.waited,
            closed=rows.closed,
            decisions=rows.decisions,
            with_pending=rows.with_pending,
            bold=rows.bold,
            cautious=rows.cautious,
            above=rows.above,
            lost=lost.sum(axis=0),
            unfinished=reason == _UNFINISHED,
            starts=np.where(given, rows.start - first, NEVER)[:used].T,
            doses=rows.dose[:used].T,
            known=np.where(given, rows.known - first, NEVER)[:used].T,
            dlt=(known == _DLT)[:used].T,
        )
