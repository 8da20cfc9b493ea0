"""What a design is: settings, a decision on a batch of states, and a final choice.

A design derives from `Design`, lists its settings as fields, and answers two questions about a batch of states:
`propose` (which dose, or stop, before the limits that all designs share) and `conclude` (which dose is the MTD). The
shared limits of `limits` (largest sample, patients a dose, stopping at n) are applied once, in `decide`. A new design is
one file and one line in the registry of this package.
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
from ..trial import COUNT, NO_DOSE, WAIT, Administered, Cohort, States
from . import limits

__all__ = ["A_DESIGN", "Beside", "Decision", "Design", "Flag", "Probability", "Proposal", "Selection"]

# Where a design comes from, for errors.
A_DESIGN = "such as BOIN(target=0.25); design_from_rule makes one of a plain function"

Probability = Annotated[float, Field(gt=0, lt=1, strict=True)]
Count = Annotated[int, Field(ge=1, le=1000, strict=True)]
Place = Literal["any", "chosen", "stay"] | Count
Flag = Annotated[bool, Field(strict=True)]


class Beside(NamedTuple):
    """Counts beside the escalation (backfill, expansion), each a ``(doses,)`` integer array.

    Attributes
    ----------
    n, y
        Patients and DLTs at each dose.
    """

    n: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, counts: Sequence[Cohort], n_doses: int) -> Beside | None:
        """Return the counts by dose; ``None`` where there are none.

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
    """What a design's own rules say of a batch of states, before the limits that all designs share.

    Attributes
    ----------
    dose : (states,) integer array
        Dose index of the next cohort, -1 to stop, -2 (`dosefind.trial.WAIT`) to wait for outcomes that are pending.
    stops : mapping of str to (states,) bool array
        Name of each reason to stop, with the states that stop for it, whatever dose is given for them; of several the first
        counts. A state whose dose is -1 must be among them.
    open : (states, doses) bool array or None
        Doses that the rules leave open for the next cohort; ``None`` for all of them.
    margin : (states,) array or None
        How far the posterior probability nearest to its limit is from it, where a design decides by such.
    """

    dose: np.ndarray
    stops: Mapping[str, np.ndarray] = field(default_factory=dict)
    open: np.ndarray | None = None
    margin: np.ndarray | None = None


@dataclass(frozen=True)
class Decision:
    """What a design does next, for a batch of states.

    Attributes
    ----------
    dose : (states,) integer array
        Dose index of the next cohort, -1 to stop.
    size : (states,) integer array
        Patients of the next cohort, 0 where the trial stops.
    reason : (states,) integer array
        Position of the reason in the design's ``reasons``.
    admissible : (states, doses) bool array
        Doses that the design's rules leave open for the next cohort; none at the planned end of the trial.
    memory : (states, k) integer array
        The design's memory after this decision.
    margin : (states,) array or None
        As for `Proposal`.
    """

    dose: np.ndarray
    size: np.ndarray
    reason: np.ndarray
    admissible: np.ndarray
    memory: np.ndarray
    margin: np.ndarray | None = None


@dataclass(frozen=True)
class Selection:
    """The final choice of a batch of states.

    Attributes
    ----------
    dose : (states,) integer array
        Dose index named as MTD, -1 for none.
    not_reached : (states,) bool array
        Whether the top dose is named and the design's rule would have escalated from it. What `Design.conclude` says where another
        dose is named does not count.
    margin : (states,) array or None
        As for `Proposal`.
    """

    dose: np.ndarray
    not_reached: np.ndarray
    margin: np.ndarray | None = None


class Design(Settings, ABC):
    """Settings that every design has, and the limits that it obeys.

    Attributes
    ----------
    start
        Level (from 1) of the first cohort.
    cohort_size
        Patients a cohort; a list gives them cohort by cohort, its last entry repeated.
    cohort_size_by_dose
        Patients a cohort at each dose, in place of ``cohort_size``.
    titration
        Whether one patient a dose is treated, level by level, until the first DLT or the top dose; there the cohort is then
        completed, and cohorts are whole from then on.
    max_n
        Largest sample; none if the design ends by itself.
    max_n_per_dose
        Most patients on one dose: when the rule chooses a dose that is full, the trial stops.
    stop_n, stop_n_at
        Stop when this many patients are at "any" dose, at the dose "chosen" for the next cohort, at the dose where the rule
        would "stay", or at a given level. Lists give several such rules, of which any stops the trial.
    n_doses
        Number of dose levels, where a caller does not say it otherwise.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    n_memory: ClassVar[int] = 0
    # What is counted of patients, one of `dosefind.outcomes.TRACKED`; what goes beyond DLTs is in `States.more`, in this order.
    tracks: ClassVar[tuple[str, ...]] = ("dlt",)
    # Settings that say something of the target, so that a table which gives them holds at other targets too.
    tied_to_target: ClassVar[tuple[str, ...]] = ("target",)
    # Whether the largest group on a dose that a protocol states is one of its own rules.
    bound_by_group: ClassVar[bool] = False
    # Whether it has a model of the dose amount, so that `with_administered` makes a difference.
    on_dose_scale: ClassVar[bool] = False
    # Whether counts beside the escalation are added to those of the escalation; where not, they can only close a dose.
    pools_parts: ClassVar[bool] = True
    shared_reasons: ClassVar[dict[str, str]] = {
        "start": "first cohort",
        "escalate": "escalate",
        "stay": "stay at this dose",
        "de-escalate": "de-escalate",
        "max_n": "the largest sample is reached",
        "dose_full": "the dose that the rule chooses has its largest number of patients",
        "n_at_dose": "enough patients at the dose named by the stopping rule",
        "too_toxic": "the safety rule finds the lowest dose too toxic, so no dose is the MTD",
    }
    own_reasons: ClassVar[dict[str, str]] = {}

    start: Annotated[Count, FromTrial("limits.start_level")] = Field(default=1, description="level (from 1) of the first cohort")
    cohort_size: Annotated[Count | tuple[Count, ...], FromTrial("limits.cohort_size")] = Field(
        default=3, description="patients a cohort, or a list of sizes whose last is repeated"
    )
    cohort_size_by_dose: tuple[Count, ...] | None = Field(
        default=None, description="patients a cohort at each dose, in place of cohort_size"
    )
    titration: Flag = Field(
        default=False, description="one patient a dose until the first DLT or the top dose, where the cohort is then completed"
    )
    max_n: Annotated[Count | None, FromTrial("limits.max_n")] = Field(default=None, description="largest sample")
    max_n_per_dose: Count | None = Field(
        default=None, description="most patients on one dose; choosing a full dose stops the trial"
    )
    stop_n: Count | tuple[Count, ...] | None = Field(
        default=None, description="stop when this many patients are at the place that stop_n_at names; a list gives several rules"
    )
    stop_n_at: Place | tuple[Place, ...] = Field(
        default="any",
        description="any dose, the dose chosen for the next cohort, the dose where the rule would stay, or a level; or a list",
    )
    n_doses: Annotated[Annotated[int, Field(ge=1, le=MOST_DOSES, strict=True)] | None, FromTrial("doses.amounts", len)] = Field(
        default=None, description="number of dose levels"
    )

    @one_thread
    def __init__(self, /, *unnamed: Never, **settings: Any) -> None:
        if unnamed:
            # Required settings before those with a default, a design's own before the shared ones.
            fields = type(self).model_fields
            name = min(fields, key=lambda name: (not fields[name].is_required(), name in Design.model_fields))
            kind = type(self).__name__
            raise InputError(Problem(kind, unnamed[0], f"settings are given by name, such as {kind}({name}=...)"))
        # NumPy's scalars are numbers to a user, not to strict settings; its dates and durations would become numbers.
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
            raise ValueError(f"stop_n_at = {list(self.stop_n_at)} must have one entry a number of stop_n")
        for n, _ in self.stopping:
            for name in ("max_n", "max_n_per_dose"):
                most = getattr(self, name)
                if most is not None and n > most:
                    raise ValueError(f"stop_n = {n} contradicts {name} = {most}: it would never be reached")
        if self.titration and (not isinstance(self.cohort_size, int) or self.cohort_size_by_dose is not None):
            raise ValueError("titration needs one cohort_size for all cohorts after it")
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
                raise ValueError(f"cohort_size_by_dose must have {self.n_doses} entries, one a dose")
        return self

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        one_thread_methods(cls)

    @classmethod
    def with_files(cls, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Settings as a config states them, with what they name of files in its folder read; nothing by default.

        Raises
        ------
        InputError
            If a file cannot be read or is not what it must be; the message names it.
        """
        return dict(settings)

    def with_settings(self, **changes: Any) -> Self:
        """The same design with some settings changed, checked again."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**{**given, **changes}) if changes else self

    def idle(self) -> dict[str, str]:
        """Settings that have no effect beside the others, each with the reason; to give one of them is an error."""
        found = {} if self.stop_n is not None else {"stop_n_at": "without stop_n"}
        if self.titration and self.cohort_size == 1:
            found["titration"] = "with cohorts of one patient"
        return found

    def in_force(self) -> dict[str, Any]:
        """Settings that have an effect, each at the value that it takes: what is left open and follows from the others included."""
        without = {*self.idle(), *(["cohort_size"] if self.cohort_size_by_dose is not None else [])}
        values = {name: getattr(self, name) for name in type(self).model_fields if name not in without}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def stopping(self) -> tuple[tuple[int, Place], ...]:
        """Numbers of patients that stop the trial, each with its place."""
        if self.stop_n is None:
            return ()
        numbers = self.stop_n if isinstance(self.stop_n, tuple) else (self.stop_n,)
        places = self.stop_n_at if isinstance(self.stop_n_at, tuple) else (self.stop_n_at,) * len(numbers)
        return tuple(zip(numbers, places, strict=True))

    @property
    def one_size(self) -> int | None:
        """Patients of every cohort, ``None`` where they differ or a design plans them by a rule of its own."""
        if type(self).planned_size is not Design.planned_size:
            return None
        same = isinstance(self.cohort_size, int) and self.cohort_size_by_dose is None and not self.titration
        return self.cohort_size if same and isinstance(self.cohort_size, int) else None

    def exceptions(self) -> dict[str, str]:
        """Invariants of the designs' contract that do not hold with these settings, each with the reason.

        "highest without a DLT": where nobody had a DLT, the highest dose tried is the MTD. "no higher with a DLT": one more DLT
        never makes the MTD higher.
        """
        return {}

    @property
    def known_doses(self) -> int | None:
        """Number of dose levels, if the settings tell."""
        return self.n_doses

    # What a design must answer ------------------------------------------------------------------------------------

    @abstractmethod
    def propose(self, states: States) -> Proposal:
        """What the rules say of each state, before the shared limits. States have treated at least one cohort."""

    @abstractmethod
    def conclude(self, states: States) -> Selection:
        """Which dose is named as MTD in each state, and whether the rule would escalate from the top dose. Counts only."""

    def with_beside(self, states: States, beside: Beside) -> States:
        """Return the states as the rules read them with counts beside the escalation: added, at no other current dose."""
        count("patients in total", int(states.total.max(initial=0)) + int(beside.n.sum()), 0, MOST_COUNTED)
        return replace(states, n=states.n + beside.n, y=states.y + beside.y, groups=None)

    def propose_beside(self, states: States, beside: Beside) -> Proposal:
        """Return what `propose` does, of states that `with_beside` has made; a design with a rule for backfill has its own."""
        return self.propose(states)

    def open_in_titration(self, proposal: Proposal) -> np.ndarray | None:
        """Doses that titration may give, ``(states, doses)``; ``None`` for all: it goes before the design's own rule."""
        return None

    def remember(self, states: States, dose: np.ndarray) -> np.ndarray:
        """The memory, ``(states, n_memory)`` small integers, that goes with the next dose; none by default."""
        return states.memory

    def with_prior(self, scale: float) -> Self | None:
        """The design with the standard deviations of its prior multiplied by ``scale``; none where it has no prior."""
        return None

    @abstractmethod
    def sentences(self) -> list[str]:
        """The design's own rules as plain sentences."""

    def with_administered(self, administered: Sequence[Administered]) -> Self:
        """Return the design for a trial with patients whose administered dose differs from that of their level.

        A design on a dose scale then uses the administered dose of these patients wherever counts include them. Any other design
        returns itself.

        Parameters
        ----------
        administered
            The patients, in place of any stated before.

        Raises
        ------
        InputError
            If a design on a dose scale does not have the level, or an amount or a number of patients is not possible.
        """
        return self

    # What every design does ---------------------------------------------------------------------------------------

    @property
    def reasons(self) -> tuple[str, ...]:
        """Names of the reasons, in the order of their codes."""
        return (*self.shared_reasons, *self.own_reasons)

    def explain(self, reason: str) -> str:
        """The sentence behind a reason's name."""
        return {**self.shared_reasons, **self.own_reasons}[reason]

    def in_words(self, reason: str) -> str:
        """A reason for a move by its name, which is a word; one for a stop by its sentence."""
        return reason if reason in _MOVES else self.explain(reason)

    def code(self, reason: str) -> int:
        """The integer that stands for a reason in arrays."""
        return self.reasons.index(reason)

    @one_thread
    def decide(self, states: States, beside: Beside | None = None) -> Decision:
        """Return the next dose or stop of each state, with the limits that all designs share.

        Sizes and limits are those of the escalation; only the design's own rules read counts beside it.
        """
        of_type("states", states, States, "dosefind.designs.replay.state_after(design, cohorts, n_doses) makes one")
        # Counts of this type are ours; those made otherwise may be of any size.
        if getattr(states.n, "dtype", None) != COUNT or getattr(states.y, "dtype", None) != COUNT:
            states.check()
        planned_end = np.zeros(len(states), bool) if self.max_n is None else states.total >= self.max_n
        if planned_end.all() and not self.own_reasons:
            nothing = np.full(len(states), NO_DOSE)
            reason = np.full(len(states), self.code("max_n"))
            return Decision(nothing, nothing + 1, reason, np.zeros(states.n.shape, bool), self.remember(states, nothing))
        proposal = self.propose(states) if beside is None else self.propose_beside(self.with_beside(states, beside), beside)
        empty = states.cohorts == 0
        # Whoever has treated nobody starts, whatever the rules say; such states come alone in a walk, so mostly there are none.
        begins = bool(empty.any())
        dose = np.where(empty, self.start - 1, proposal.dose) if begins else proposal.dose
        stops = {name: mask & ~empty for name, mask in proposal.stops.items()} if begins else proposal.stops
        if self.titration:
            dose = limits.titrated(states, dose, self.open_in_titration(proposal))
        self._check_doses("propose", dose, states.n_doses, len(states))
        moves = np.array([self.code("de-escalate"), self.code("stay"), self.code("escalate")])
        reason = moves[np.sign(dose - states.last) + 1]
        dose, reason = self._stopped(stops, dose, np.where(empty, self.code("start"), reason) if begins else reason)
        admissible = np.ones(states.n.shape, bool) if proposal.open is None else proposal.open
        if self.titration:
            admissible = admissible | ((np.arange(states.n_doses) == dose[:, None]) & limits.single(states)[:, None])
        if begins:
            admissible = np.where(empty[:, None], np.arange(states.n_doses) == self.start - 1, admissible)
        # A trial at its planned end did not stop early for toxicity; but a design that ends by itself may end just there.
        ends_by_itself = (dose < 0) & (reason >= len(self.shared_reasons))
        for name, ends in [*limits.stops(self, states, dose), ("max_n", planned_end & ~ends_by_itself)]:
            dose, reason = np.where(ends, NO_DOSE, dose), np.where(ends, self.code(name), reason)
        admissible = admissible & ~planned_end[:, None]
        size = limits.size(self, states, dose)
        if np.any((dose >= 0) & (size < 1)):
            raise InputError(f"{self.title}: planned_size must give one patient or more for each state")
        return Decision(dose, size, reason, admissible, self.remember(states, dose), proposal.margin)

    def _stopped(self, stops: Mapping[str, np.ndarray], dose: np.ndarray, reason: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Doses and reasons where some states stop."""
        said = np.zeros(len(dose), bool)
        for name, stopped in list(stops.items())[::-1]:
            if name not in self.reasons or name in _MOVES:
                allowed = ", ".join(reason for reason in self.reasons if reason not in _MOVES)
                raise InputError(
                    f"{self.title}: propose stops for {name!r}, which must be one of the reasons {allowed}, or one that the design "
                    "adds in own_reasons"
                )
            reason = np.where(stopped, self.code(name), reason)
            said |= stopped
        if (unsaid := (dose < 0) & ~said).any():
            raise InputError(f"{self.title}: propose must say in stops why it stops; {int(unsaid.sum())} states stop for no reason")
        return np.where(said, NO_DOSE, dose), reason

    def because(self, state: States, beside: Beside | None = None) -> str:
        """Return why a single state is decided as it is, in words; the reason's own sentence unless a design says more."""
        return self.explain(self.reasons[int(self.decide(state, beside).reason[0])])

    @one_thread
    def select(self, states: States) -> Selection:
        """Select the MTD of each state; a pure function of its counts.

        Raises
        ------
        InputError
            If ``states`` is not `States`, or its counts are not those of trials.
        """
        of_type("states", states, States, "States.counts(n, y) makes one of patients and DLTs at each dose")
        states.check()
        found = self.conclude(states)
        self._check_doses("conclude", found.dose, states.n_doses, len(states))
        return replace(found, not_reached=(found.dose == states.n_doses - 1) & found.not_reached)

    def _check_doses(self, what: str, dose: np.ndarray, n_doses: int, length: int) -> None:
        """What a rule answers are indices of doses, or none; else its trials would end nowhere, and nothing would say so."""
        whole_numbers = dose.dtype.kind in "iu"
        if len(dose) != length:
            raise InputError(f"{self.title}: {what} must give one dose a state: {len(dose)} for {length} states")
        if whole_numbers and (len(dose) == 0 or (dose.min() >= NO_DOSE and dose.max() < n_doses)):
            return
        wrong = next(one for one in dose.tolist() if one not in range(NO_DOSE, n_doses)) if whole_numbers else dose.dtype
        if whole_numbers and wrong == WAIT:
            raise InputError(f"{self.title}: {what} waits for pending outcomes where no outcome is pending")
        raise InputError(f"{self.title}: {what} must give indices of doses, 0 to {n_doses - 1}, or {NO_DOSE} for none, not {wrong}")

    def rules(self) -> list[str]:
        """All rules of the design as plain sentences, in the order in which they apply."""
        return [*self.sentences(), *limits.sentences(self)]

    def __str__(self) -> str:
        return "\n".join([self.title, *(f"  - {rule}" for rule in self.rules())])

    def cohort_sentence(self) -> str:
        """How large cohorts are, as a sentence without its end; a design with a `planned_size` of its own states it here."""
        if self.cohort_size_by_dose is not None:
            return f"Cohorts of {', '.join(map(str, self.cohort_size_by_dose))} patients at level 1, 2 and so on"
        if isinstance(self.cohort_size, int):
            return f"Cohorts of {self.cohort_size}"
        return f"Cohorts of {', '.join(map(str, self.cohort_size))}, then the last size again"

    def planned_size(self, states: States, dose: np.ndarray) -> np.ndarray:
        """Patients that the next cohort, at dose index ``dose`` (states,), would have if no limit cut it short."""
        if self.cohort_size_by_dose is not None:
            return np.array(self.cohort_size_by_dose)[np.maximum(dose, 0)]
        if isinstance(self.cohort_size, int):
            return np.full(len(states), self.cohort_size)
        sizes = np.array(self.cohort_size)
        return sizes[np.minimum(states.cohorts, len(sizes) - 1)]


_MOVES = ("start", "escalate", "stay", "de-escalate")
