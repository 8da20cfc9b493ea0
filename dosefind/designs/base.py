"""The interface of a design: settings, a decision for a batch of states, and a final selection.

A design derives from `Design`, lists its settings as fields, and answers two questions about a batch of states:
`propose` (the next dose, or a stop, before the limits that all designs share) and `conclude` (the dose selected as MTD).
The shared limits in `limits` (maximum sample size, maximum number of patients per dose, stopping at n) are applied once, in
`decide`. A new design is one file and one line in the registry of this package.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Never, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from .._check import MOST_COUNTED, MOST_DOSES, InputError, Problem, Settings, count, found_problems, of_type, whole
from ..protocol import FromTrial
from ..threads import one_thread, one_thread_methods
from ..trial import COUNT, NO_DOSE, WAIT, Administered, Cohort, States, TimedStates, Weighted
from ..words import _, counted, marked
from . import limits

__all__ = ["A_DESIGN", "Beside", "Decision", "Design", "Flag", "PairRule", "Probability", "Proposal", "Reads", "Selection"]

# How to obtain a design, for error messages.
A_DESIGN = "such as BOIN(target=0.25); design_from_rule builds one from a plain function"

Probability = Annotated[float, Field(gt=0, lt=1, strict=True)]
Count = Annotated[int, Field(ge=1, le=1000, strict=True)]
Place = Literal["any", "chosen", "stay"] | Count
Reads = Literal["complete", "pending", "follow-up", "exposure"]
Flag = Annotated[bool, Field(strict=True)]


class Beside(NamedTuple):
    """Counts outside the dose escalation (backfill, expansion), each a ``(doses,)`` integer array.

    Attributes
    ----------
    n, y
        Patients and DLTs at each dose.
    """

    n: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, counts: Sequence[Cohort], n_doses: int) -> Beside | None:
        """Return the counts by dose, or ``None`` if there are none.

        Raises
        ------
        InputError
            If a level does not exist, an entry is not a count, or there are more patients than a trial can have.
        """
        if not counts:
            return None
        n, y = np.zeros(n_doses, int), np.zeros(n_doses, int)
        for number, cohort in enumerate(counts, start=1):
            level = whole(f"level of others[{number}]", cohort.level, 1, n_doses)
            patients = count(f"n of others[{number}]", cohort.n, 0, MOST_COUNTED)
            n[level - 1] += patients
            y[level - 1] += count(f"dlts of others[{number}]", cohort.dlts, 0, patients)
        count("patients of others in total", int(n.sum()), 0, MOST_COUNTED)
        return cls(n.astype(COUNT), y.astype(COUNT))


@dataclass(frozen=True)
class Proposal:
    """The decision of a design's own rules for a batch of states, before the limits that all designs share.

    Attributes
    ----------
    dose : (states,) integer array
        Dose index of the next cohort, -1 to stop, -2 (`dosefind.trial.WAIT`) to wait for pending outcomes.
    stops : mapping of str to (states,) bool array
        States that stop, by the name of the reason to stop. A state in a mask stops whatever its ``dose`` is; if a state is in
        several masks, the first reason applies. A state whose dose is -1 must be in at least one mask.
    open : (states, doses) bool array or None
        Doses that the rules allow for the next cohort; ``None`` for all of them.
    margin : (states,) array or None
        Distance of the posterior probability closest to its limit from that limit, for designs that decide by such limits.
    """

    dose: np.ndarray
    stops: Mapping[str, np.ndarray] = field(default_factory=dict)
    open: np.ndarray | None = None
    margin: np.ndarray | None = None


class PairRule(NamedTuple):
    """The rule of a design by the pair of patients and DLTs at the current dose, and the doses eliminated so far.

    The next dose is ``move`` levels from the current one, within the doses and below the lowest dose eliminated; if the lowest is
    eliminated, the trial stops as "too_toxic".

    Attributes
    ----------
    move : (pairs,) integer array
        +1, 0 or -1.
    eliminated : (2, pairs) bool array
        Whether a dose with these counts is eliminated, together with all higher doses: the lowest dose, and any other.
    """

    move: np.ndarray
    eliminated: np.ndarray


@dataclass(frozen=True)
class Decision:
    """The next step of a design, for a batch of states.

    Attributes
    ----------
    dose : (states,) integer array
        Dose index of the next cohort, -1 to stop.
    size : (states,) integer array
        Number of patients in the next cohort, 0 if the trial stops.
    reason : (states,) integer array
        Position of the reason in the design's ``reasons``.
    admissible : (states, doses) bool array
        Doses that the design's rules allow for the next cohort; none at the planned end of the trial. Without rows if the states
        ask for the next step only (`States.asks_open`).
    memory : (states, k) integer array
        The design's memory after this decision.
    margin : (states,) array or None
        See `Proposal`.
    """

    dose: np.ndarray
    size: np.ndarray
    reason: np.ndarray
    admissible: np.ndarray
    memory: np.ndarray
    margin: np.ndarray | None = None


@dataclass(frozen=True)
class Selection:
    """The final selection for a batch of states.

    Attributes
    ----------
    dose : (states,) integer array
        Index of the dose selected as MTD, -1 for none.
    not_reached : (states,) bool array
        Whether the top dose is selected and the design's rule would have escalated from it. Values that `Design.conclude` returns
        for states in which another dose is selected are ignored.
    margin : (states,) array or None
        See `Proposal`.
    """

    dose: np.ndarray
    not_reached: np.ndarray
    margin: np.ndarray | None = None


class Design(Settings, ABC):
    """Settings that every design has, and the limits that every design obeys.

    Attributes
    ----------
    start
        Level (from 1) of the first cohort.
    cohort_size
        Patients per cohort; a list gives the size of each cohort in turn, and its last entry is repeated.
    cohort_size_by_dose
        Patients per cohort at each dose, instead of ``cohort_size``.
    titration
        Whether the trial begins with one patient per dose, level by level, until the first DLT or the top dose. The cohort there
        is then completed, and full cohorts are treated from then on.
    max_n
        Maximum sample size; none if the design ends by itself.
    max_n_per_dose
        Maximum number of patients per dose; if the rule chooses a dose that has this many patients, the trial stops.
    stop_n, stop_n_at
        Stop when this many patients have been treated at "any" dose, at the dose "chosen" for the next cohort, at the dose where
        the rule would "stay", or at a given level. Lists give several such rules; the trial stops when any of them is met.
    n_doses
        Number of dose levels, unless the caller states it.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    n_memory: ClassVar[int] = 0
    # Whether the design decides from complete data only, or also with pending outcomes (`dosefind.trial.TimedStates`): it then
    # reads how many are pending, for how long each of them has been followed up, or the exposure of each course so far.
    reads: ClassVar[Reads] = "complete"
    # Outcomes that are counted, one of `dosefind.outcomes.TRACKED`; those other than DLTs are in `States.more`, in this order.
    tracks: ClassVar[tuple[str, ...]] = ("dlt",)
    # Settings defined relative to the target, so that a table that states them also holds at other targets.
    tied_to_target: ClassVar[tuple[str, ...]] = ("target",)
    # Whether a maximum number of patients per dose stated in the protocol is one of the design's own rules.
    bound_by_group: ClassVar[bool] = False
    # Whether the design has a model on the dose scale, so that `with_administered` has an effect.
    on_dose_scale: ClassVar[bool] = False
    # Whether patients who left can have a weight, so that `with_weighted` is possible.
    reads_weights: ClassVar[bool] = False
    # Whether counts outside the escalation are added to those of the escalation; if not, they can only close a dose.
    pools_parts: ClassVar[bool] = True
    shared_reasons: ClassVar[dict[str, str]] = {
        "start": marked("first cohort"),
        "escalate": marked("escalate"),
        "stay": marked("stay at this dose"),
        "de-escalate": marked("de-escalate"),
        "max_n": marked("the maximum sample size is reached"),
        "dose_full": marked("the dose chosen by the rule has its maximum number of patients"),
        "n_at_dose": marked("the number of patients stated in the stopping rule is reached"),
        "too_toxic": marked("stopped for safety: the lowest dose exceeds the toxicity limit, so no dose is the MTD"),
    }
    own_reasons: ClassVar[dict[str, str]] = {}

    start: Annotated[Count, FromTrial("limits.start_level")] = Field(
        default=1, description=marked("level (from 1) of the first cohort")
    )
    cohort_size: Annotated[Count | tuple[Count, ...], FromTrial("limits.cohort_size")] = Field(
        default=3, description=marked("patients per cohort, or a list of sizes, the last of which is repeated")
    )
    cohort_size_by_dose: tuple[Count, ...] | None = Field(
        default=None, description=marked("patients per cohort at each dose, instead of one cohort size")
    )
    titration: Flag = Field(
        default=False,
        description=marked("one patient per dose until the first DLT or the top dose, where the cohort is then completed"),
    )
    max_n: Annotated[Count | None, FromTrial("limits.max_n")] = Field(default=None, description=marked("maximum sample size"))
    max_n_per_dose: Count | None = Field(
        default=None, description=marked("maximum number of patients per dose; the trial stops if the rule chooses a full dose")
    )
    stop_n: Count | tuple[Count, ...] | None = Field(
        default=None,
        description=marked("stop when the dose stated by stop_n_at has this many patients; a list gives several rules"),
    )
    stop_n_at: Place | tuple[Place, ...] = Field(
        default="any",
        description=marked(
            "any dose, the dose chosen for the next cohort, the dose where the rule would stay, or a level; or a list"
        ),
    )
    n_doses: Annotated[Annotated[int, Field(ge=1, le=MOST_DOSES, strict=True)] | None, FromTrial("doses.amounts", len)] = Field(
        default=None, description=marked("number of dose levels")
    )

    @one_thread
    def __init__(self, /, *unnamed: Never, **settings: Any) -> None:
        if unnamed:
            # Required settings first, then those with a default; a design's own settings before the shared ones.
            fields = type(self).model_fields
            name = min(fields, key=lambda name: (not fields[name].is_required(), name in Design.model_fields))
            kind = type(self).__name__
            raise InputError(Problem(kind, unnamed[0], f"give settings by name, such as {kind}({name}=...)"))
        # NumPy scalars are numbers to a user but not to strict settings; NumPy dates and durations would become numbers.
        plain = {
            name: value.item() if isinstance(value, np.generic) and value.dtype.kind not in "mM" else value
            for name, value in settings.items()
        }
        try:
            super().__init__(**plain)
        except ValidationError as error:
            raise InputError(found_problems(error, type(self))) from None

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if isinstance(self.cohort_size, tuple) and not self.cohort_size:
            raise ValueError("cohort_size is an empty list: give at least one size")
        if self.max_n is not None and self.max_n_per_dose is not None and self.max_n_per_dose > self.max_n:
            raise ValueError(f"max_n_per_dose = {self.max_n_per_dose} contradicts max_n = {self.max_n}: it must not be larger")
        if isinstance(self.stop_n_at, tuple) and (not isinstance(self.stop_n, tuple) or len(self.stop_n) != len(self.stop_n_at)):
            raise ValueError(f"stop_n_at = {list(self.stop_n_at)} must have one entry per number in stop_n")
        for n, _place in self.stopping:
            for name in ("max_n", "max_n_per_dose"):
                most = getattr(self, name)
                if most is not None and n > most:
                    raise ValueError(f"stop_n = {n} contradicts {name} = {most}: it would never be reached")
        if self.titration and (not isinstance(self.cohort_size, int) or self.cohort_size_by_dose is not None):
            raise ValueError("titration needs a single cohort_size for all later cohorts")
        for name, why in self.idle().items():
            if name in self.model_fields_set:
                value = getattr(self, name)
                shown = f"{value:g}" if isinstance(value, float) else repr(value)
                raise ValueError(f"{name} = {shown} has no effect {why}")
        if self.n_doses is not None:
            for name, level in [("start", self.start), *(("stop_n_at", place) for _, place in self.stopping)]:
                if isinstance(level, int) and level > self.n_doses:
                    raise ValueError(f"{name} = {level} is not among the {self.n_doses} dose levels")
            if self.cohort_size_by_dose is not None and len(self.cohort_size_by_dose) != self.n_doses:
                raise ValueError(f"cohort_size_by_dose must have {self.n_doses} entries, one per dose")
        return self

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        one_thread_methods(cls)

    @classmethod
    def with_files(cls, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the settings as a config states them, after reading any files that they refer to in its folder.

        By default a design refers to no files.

        Raises
        ------
        InputError
            If a file cannot be read or its content is not valid; the message states the file.
        """
        return dict(settings)

    def with_settings(self, **changes: Any) -> Self:
        """Return the same design with some settings changed, checked again."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**{**given, **changes}) if changes else self

    def idle(self) -> dict[str, str]:
        """Return settings that have no effect given the others, each with the reason; stating one of them is an error."""
        found = {} if self.stop_n is not None else {"stop_n_at": "without stop_n"}
        if self.titration and self.cohort_size == 1:
            found["titration"] = "with cohorts of one patient"
        return found

    @property
    def most_per_dose(self) -> int | None:
        """Return the maximum number of patients per dose, or ``None`` without a limit."""
        return self.max_n_per_dose

    def in_force(self) -> dict[str, Any]:
        """Return settings that have an effect with the values in use, including values that follow from other settings."""
        without = {*self.idle(), *(["cohort_size"] if self.cohort_size_by_dose is not None else [])}
        values = {name: getattr(self, name) for name in type(self).model_fields if name not in without}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def stopping(self) -> tuple[tuple[int, Place], ...]:
        """Return the numbers of patients that stop the trial, each with the dose to which it applies."""
        if self.stop_n is None:
            return ()
        numbers = self.stop_n if isinstance(self.stop_n, tuple) else (self.stop_n,)
        places = self.stop_n_at if isinstance(self.stop_n_at, tuple) else (self.stop_n_at,) * len(numbers)
        return tuple(zip(numbers, places, strict=True))

    @property
    def one_size(self) -> int | None:
        """Return the size of every cohort, or ``None`` if sizes differ or the design plans them by its own rule."""
        if type(self).planned_size is not Design.planned_size:
            return None
        same = isinstance(self.cohort_size, int) and self.cohort_size_by_dose is None and not self.titration
        return self.cohort_size if same and isinstance(self.cohort_size, int) else None

    def exceptions(self) -> dict[str, str]:
        """Return the invariants of the design contract that do not hold with these settings, each with the reason.

        "highest without a DLT": if no patient had a DLT, the highest dose tried is the MTD. "no higher with a DLT": an additional
        DLT never leads to a higher MTD. "still waits with a DLT": where patients are not treated until outcomes are known, an
        additional DLT does not lead to treatment.
        """
        return {}

    @property
    def known_doses(self) -> int | None:
        """Return the number of dose levels, if the settings determine it."""
        return self.n_doses

    # Methods that a design must define -----------------------------------------------------------------------------

    @abstractmethod
    def propose(self, states: States) -> Proposal:
        """Return the decision of the design's own rules for each state, before the shared limits.

        Every state has treated at least one cohort.
        """

    @abstractmethod
    def conclude(self, states: States) -> Selection:
        """Return the dose selected as MTD in each state, and whether the rule would escalate from the top dose.

        The selection depends on the counts only.
        """

    def with_beside(self, states: States, beside: Beside) -> States:
        """Return the states as the rules read them, with counts outside the escalation added; the current dose is unchanged."""
        count("patients in total", int(states.total.max(initial=0)) + int(beside.n.sum()), 0, MOST_COUNTED)
        return replace(states, n=states.n + beside.n, y=states.y + beside.y, groups=None)

    def propose_beside(self, states: States, beside: Beside) -> Proposal:
        """Return the same as `propose`, for states made by `with_beside`; a design with a rule for backfill overrides this."""
        return self.propose(states)

    def open_in_titration(self, proposal: Proposal) -> np.ndarray | None:
        """Return the doses that titration may use, ``(states, doses)``, or ``None`` for all; titration precedes the own rule."""
        return None

    def by_pairs(self, n: np.ndarray, y: np.ndarray) -> PairRule | None:
        """Return the whole rule of a trial to its maximum sample size for pairs of counts at a dose, ``None`` if it is another.

        Parameters
        ----------
        n, y : (pairs,) integer arrays
            Patients and DLTs.
        """
        return None

    def remember(self, states: States, dose: np.ndarray) -> np.ndarray:
        """Return the memory, ``(states, n_memory)`` small integers, that accompanies the next dose; none by default."""
        return states.memory

    def with_prior(self, scale: float) -> Self | None:
        """Return the design with its prior standard deviations multiplied by ``scale``, or ``None`` if it has no prior."""
        return None

    @abstractmethod
    def sentences(self) -> list[str]:
        """Return the design's own rules as plain sentences."""

    def with_administered(self, administered: Sequence[Administered]) -> Self:
        """Return the design for a trial in which some patients received a dose other than that of their level.

        A design on a dose scale then uses the administered dose of these patients wherever counts include them. Any other design
        returns itself.

        Parameters
        ----------
        administered
            The patients, replacing any stated before.

        Raises
        ------
        InputError
            If a design on a dose scale does not have the level, or if an amount or a number of patients is not possible.
        """
        return self

    def with_weighted(self, weighted: Sequence[Weighted]) -> Self:
        """Return the design for a trial in which some patients left before the end of the DLT assessment period and have a weight.

        Parameters
        ----------
        weighted
            The patients, replacing any stated before.

        Raises
        ------
        InputError
            If the design counts whole patients, does not have the level, or if a weight is not possible.
        """
        if weighted:
            raise InputError(Problem("weighted", [tuple(patient) for patient in weighted], f"{self.title} counts whole patients"))
        return self

    def with_weights(self, weights: Sequence[float]) -> Self:
        """Return the design for a batch of trials in which patients who left without a DLT have one of the stated weights.

        Each state then says how many of them there are (`dosefind.trial.States.in_part`). A decision is that of `with_weighted`
        with the same patients.

        Parameters
        ----------
        weights
            Weights above 0 and at most 1, different from each other.

        Raises
        ------
        InputError
            If the design counts whole patients.
        """
        raise InputError(Problem("weights", list(weights), f"{self.title} counts whole patients"))

    @property
    def goes_on_until_dlt(self) -> bool:
        """Return whether a design that decides with pending outcomes never suspends accrual or stops unless there is a DLT."""
        return False

    @property
    def closed_from(self) -> int | None:
        """Return the number of patients at a dose from which on only a DLT closes it, for cohorts in progress; ``None`` if unknown.

        With more patients there, or with longer follow-up, the rules close no dose that is open.
        """
        return None

    @property
    def window_of_follow_up(self) -> int:
        """Return the days in the DLT window by which a design that reads follow-up measures it."""
        raise InputError(f"{self.title} does not read follow-up")

    def on_complete_data(self) -> Design | None:
        """Return the same design deciding on complete data only, or ``None`` if the design is not a version of such a one."""
        return None

    # Methods shared by all designs ---------------------------------------------------------------------------------

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return the names of the reasons, in the order of their codes."""
        return tuple(self._sentences)

    @property
    def _sentences(self) -> dict[str, str]:
        """Return the sentence of each reason, in the order of the codes."""
        waits = {} if self.reads == "complete" else {"wait": marked("outcomes that can change the decision are pending")}
        return {**self.shared_reasons, **self.own_reasons, **waits}

    def explain(self, reason: str) -> str:
        """Return the sentence that explains a reason."""
        return _(self._sentences[reason])

    def in_words(self, reason: str) -> str:
        """Return the name of a reason for a move, which is a plain word, or the sentence of a reason to stop."""
        return _(_MOVES[reason]) if reason in _MOVES else self.explain(reason)

    def code(self, reason: str) -> int:
        """Return the integer that represents a reason in arrays."""
        return self.reasons.index(reason)

    @one_thread
    def decide(self, states: States, beside: Beside | None = None) -> Decision:
        """Return the next dose or stop of each state, with the limits that all designs share.

        Cohort sizes and limits refer to the escalation; only the design's own rules use counts outside it.
        """
        of_type("states", states, States, "dosefind.designs.replay.state_after(design, cohorts, n_doses) makes one")
        if not states.made_here:
            states.check()
        planned_end = np.zeros(len(states), bool) if self.max_n is None else states.total >= self.max_n
        awaited = isinstance(states, TimedStates) and bool(states.pending.any())
        if planned_end.all() and not self.own_reasons and not awaited:
            nothing = np.full(len(states), NO_DOSE)
            reason = np.full(len(states), self.code("max_n"))
            admissible = np.zeros((len(states), states.n_doses), bool) if states.asks_open else _NOT_ASKED
            return Decision(nothing, nothing + 1, reason, admissible, self.remember(states, nothing))
        proposal = self.propose(states) if beside is None else self.propose_beside(self.with_beside(states, beside), beside)
        empty = states.cohorts == 0
        # A state without patients starts whatever the rules propose; such states come alone in a walk, so usually there are none.
        begins = bool(empty.any())
        dose = np.where(empty, self.start - 1, proposal.dose) if begins else proposal.dose
        stops = {name: mask & ~empty for name, mask in proposal.stops.items()} if begins else proposal.stops
        if self.titration:
            dose = limits.titrated(states, dose, self.open_in_titration(proposal))
        waits = self._waits(states, dose)
        self._check_doses("propose", dose if waits is None else np.where(waits, 0, dose), states.n_doses, len(states))
        moves = np.array([self.code("de-escalate"), self.code("stay"), self.code("escalate")])
        reason = moves[np.sign(dose - states.last) + 1]
        if waits is not None:
            reason = np.where(waits, self.code("wait"), reason)
        dose, reason = self._stopped(stops, dose, np.where(empty, self.code("start"), reason) if begins else reason)
        admissible = self._open(states, proposal.open, dose, empty) if states.asks_open else _NOT_ASKED
        # A trial at its planned end did not stop early for toxicity, but a design that ends by itself may end at the same time.
        ends_by_itself = (dose < 0) & (reason >= len(self.shared_reasons))
        for name, ends in [*limits.stops(self, states, dose), ("max_n", planned_end & ~ends_by_itself)]:
            if not ends.any():
                continue
            dose, reason = np.where(ends, NO_DOSE, dose), np.where(ends, self.code(name), reason)
            if isinstance(states, TimedStates):
                # A limit ends enrolment; the trial ends once all outcomes are known.
                open_still = ends & states.pending.any(axis=1)
                dose, reason = np.where(open_still, WAIT, dose), np.where(open_still, self.code("wait"), reason)
        if states.asks_open:
            admissible = admissible & ~planned_end[:, None]
        size = limits.size(self, states, dose)
        if np.any((dose >= 0) & (size < 1)):
            raise InputError(f"{self.title}: planned_size must return at least one patient for each state")
        return Decision(dose, size, reason, admissible, self.remember(states, dose), proposal.margin)

    def _open(self, states: States, by_rules: np.ndarray | None, dose: np.ndarray, empty: np.ndarray) -> np.ndarray:
        """Return the doses open for the next cohort, before the planned end of the trial, ``(states, doses)``."""
        index = np.arange(states.n_doses)
        admissible = np.ones((len(states), states.n_doses), bool) if by_rules is None else by_rules
        if self.titration:
            admissible = admissible | ((index == dose[:, None]) & limits.single(states)[:, None])
        return np.where(empty[:, None], index == self.start - 1, admissible) if empty.any() else admissible

    def _waits(self, states: States, dose: np.ndarray) -> np.ndarray | None:
        """Return the states in which the rules wait for pending outcomes, ``None`` if none are pending in any state."""
        if not isinstance(states, TimedStates):
            return None
        waits = dose == WAIT
        if (without := waits & ~states.pending.any(axis=1)).any():
            raise InputError(f"{self.title}: propose waits for pending outcomes in {int(without.sum())} states without any")
        return waits if waits.any() else None

    def _stopped(self, stops: Mapping[str, np.ndarray], dose: np.ndarray, reason: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return doses and reasons after applying the stops."""
        explained = np.zeros(len(dose), bool)
        for name, stopped in list(stops.items())[::-1]:
            if name not in self.reasons or name in _MOVES:
                allowed = ", ".join(reason for reason in self.reasons if reason not in _MOVES)
                raise InputError(
                    f"{self.title}: propose stops with the reason {name!r}; it must be one of {allowed}, or a reason that the "
                    "design "
                    "adds to own_reasons"
                )
            reason = np.where(stopped, self.code(name), reason)
            explained |= stopped
        if (unexplained := (dose == NO_DOSE) & ~explained).any():
            number = int(unexplained.sum())
            raise InputError(f"{self.title}: propose must give a reason for each stop; {number} states stop without a reason")
        return np.where(explained, NO_DOSE, dose), reason

    def because(self, state: States, beside: Beside | None = None) -> str:
        """Return the reason for the decision in a single state, in words; by default the sentence of the reason."""
        return self.explain(self.reasons[int(self.decide(state, beside).reason[0])])

    @one_thread
    def select(self, states: States) -> Selection:
        """Select the MTD of each state; a pure function of its counts.

        Raises
        ------
        InputError
            If ``states`` is not `States`, or its counts are not possible in a trial.
        """
        of_type("states", states, States, "States.counts(n, y) makes one from patients and DLTs at each dose")
        states.check()
        found = self.conclude(states)
        self._check_doses("conclude", found.dose, states.n_doses, len(states))
        return replace(found, not_reached=(found.dose == states.n_doses - 1) & found.not_reached)

    def _check_doses(self, rule: str, dose: np.ndarray, n_doses: int, length: int) -> None:
        """Raise unless a rule returned dose indices or no dose; otherwise trials would end at no dose without an error."""
        whole_numbers = dose.dtype.kind in "iu"
        if len(dose) != length:
            raise InputError(f"{self.title}: {rule} must return one dose per state, not {len(dose)} for {length} states")
        if whole_numbers and (len(dose) == 0 or (dose.min() >= NO_DOSE and dose.max() < n_doses)):
            return
        wrong = next(index for index in dose.tolist() if index not in range(NO_DOSE, n_doses)) if whole_numbers else dose.dtype
        if whole_numbers and wrong == WAIT:
            raise InputError(f"{self.title}: {rule} waits for pending outcomes, but no outcome is pending")
        raise InputError(f"{self.title}: {rule} must return dose indices, 0 to {n_doses - 1}, or {NO_DOSE} for none, not {wrong}")

    def rules(self) -> list[str]:
        """Return all rules of the design as plain sentences, in the order in which they apply."""
        return [*self.sentences(), *limits.sentences(self)]

    def __str__(self) -> str:
        return "\n".join([_(self.title), *(f"  - {rule}" for rule in self.rules())])

    def cohort_sentence(self) -> str:
        """Return the cohort sizes as a sentence without its end; a design that overrides `planned_size` overrides this too."""
        if self.cohort_size_by_dose is not None:
            sizes = ", ".join(map(str, self.cohort_size_by_dose))
            return _("Cohorts of {sizes} patients at levels 1, 2 and so on").format(sizes=sizes)
        if isinstance(self.cohort_size, int):
            return counted("Cohorts of {n} patient", "Cohorts of {n} patients", self.cohort_size)
        sizes = ", ".join(map(str, self.cohort_size))
        return _("Cohorts of {sizes} patients in turn, then of the last size").format(sizes=sizes)

    def planned_size(self, states: States, dose: np.ndarray) -> np.ndarray:
        """Return the planned size of the next cohort at dose index ``dose`` (states,), before any limit reduces it."""
        if self.cohort_size_by_dose is not None:
            return np.array(self.cohort_size_by_dose)[np.maximum(dose, 0)]
        if isinstance(self.cohort_size, int):
            return np.full(len(states), self.cohort_size)
        sizes = np.array(self.cohort_size)
        return sizes[np.minimum(states.cohorts, len(sizes) - 1)]


_NOT_ASKED = np.zeros((0, 0), bool)

# Reasons for a move, each with its word.
_MOVES = {
    "start": marked("start"),
    "escalate": marked("escalate"),
    "stay": marked("stay"),
    "de-escalate": marked("de-escalate"),
    "wait": marked("wait"),
}
