"""What next in a trial with patients: what each design would do, which one is the primary design, and what would follow.

`proposals` works out what a design would do; here that is held against what the trial itself forbids: serious events that wait for
adjudication, pause rules, and the rules on who may start when.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import __version__
from .._check import InputError, Problem, one_of
from ..adjudications import Adjudicated, adjudications_on_file, in_force
from ..chain import Chain
from ..conduct import SETTINGS, Finding, Start, earliest, findings, in_turn
from ..config import Trial
from ..decisions import Recorded, agrees, check_form, decisions_on_file, renumbered
from ..designs import Design
from ..evaluability import DesignCounts, Evaluated, SeriousEvent, Status, UnseenSerious, evaluate, safety_set, unseen_serious
from ..evaluability.evaluated import Kind
from ..evaluability.window import followed_after_last
from ..operating.paths import paths_of
from ..operating.walk import MOST_PATIENTS
from ..patients import Patients
from ..protocol import Protocol
from ..provenance import named_column
from ..shown import Shown
from ..summaries import upper_limit
from ..threads import one_thread
from ..trial import Departure, Weighted, notation
from ..words import _
from .holds import Holds, holds_of, released_by
from .paused_starts import starts_in_pause
from .periods import course_rows, extrapolated
from .proposals import (
    Asked,
    AskedThen,
    Recommendation,
    as_begun,
    as_read,
    by_dose,
    closed_from,
    decided_for,
    either,
    escalation_of,
    filled,
    in_the_end,
    once_filled,
    propose_next,
    readings_of,
    refuse_too_long,
    refuse_too_many,
    short,
    still_needed,
    treated_otherwise,
    with_next,
    without_further,
)
from .stamps import stamp
from .steps import NextStep
from .waiting import Waiting, when_to_decide

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NextDose", "Recommendation", "Unplaced", "next_dose", "read_checked"]

# Cohorts that the paths look ahead, and the most DLTs of the next cohort that are shown.
_AHEAD = 2


class Unplaced(NamedTuple):
    """A patient at a dose that is not in the protocol.

    Attributes
    ----------
    subject
        The identifier that the user gave.
    amount
        The dose.
    kind
        What the status would be at a dose of the protocol.
    """

    subject: str
    amount: float
    kind: Kind


@dataclass(frozen=True)
class NextDose(Shown):
    """The next dose at a data cutoff date.

    Attributes
    ----------
    evaluated
        The patients, each with a status.
    proposals
        What each design would do, by name.
    binding
        The primary design.
    start
        From when the next patients may start as the primary design would have them, by the rules of conduct; ``None`` where it
        stops or waits.
    findings
        Deviations from the protocol.
    holds
        Serious events and pause rules that hold escalation and enrolment.
    counts
        Known outcomes as each design counts them, by its name.
    deviations
        Where the doses and sizes of the cohorts are not those that a design would have given, by its name.
    recorded
        Decisions of the committee so far.
    decided
        The same with the level numbers of the protocol version in force at the data cutoff date.
    what_if : pandas.DataFrame
        One row per design: what would follow from each number of DLTs among the next patients.
    completions : pandas.DataFrame
        A row a way in which the pending outcomes can come out: what each design would do, in the column ``design: NAME``; no rows
        where nothing is pending.
    paths : pandas.DataFrame
        The paths of the primary design's next cohorts, pending patients taken to have no DLT; no rows where it stops.
    amounts
        Dose amount of each level.
    attrs
        What the result rests on.
    unseen
        What the data do not say of serious events.
    adjudicated
        Adjudications in force at the data cutoff date, in the order in which they were recorded.
    chains
        What the hashes of the rows show, for each file of decisions or adjudications that there is.
    notes
        What was made of the data while they were read and judged, in sentences.
    pause_rules
        The protocol's pause rules, in sentences.
    left_as_dlts
        What each design would do if every patient who left without a DLT and has a weight had had a DLT, by name; empty where
        nobody has a weight (``evaluability.dropout = "weight"``).
    courses
        Of each patient the course as far as it has been followed up, if a design reads exposure: infusions given, days, DLT, the
        share of each interval that was observed, and why a patient is left out.
    extrapolated
        The share of the planned exposure at each level that has not been observed, if the primary design reads exposure.
    short_after_last
        Patients who are complete although their last infusion was so late that fewer days of the DLT window than planned
        follow it: subject, days, and days planned.
    uninformed
        Pending patients on whose DLTs the data say nothing, if the primary design reads follow-up or exposure: it takes them as not
        followed up.
    when
        Works out `waiting`.
    closed_from
        Where the primary design waits or holds, or the committee decided: the lowest treated level to which the design does not
        come back whatever the outcomes still to come, nor to those above; ``None`` if there is none.
    """

    evaluated: Evaluated
    proposals: dict[str, Recommendation]
    binding: str
    start: Start | None
    findings: tuple[Finding, ...]
    holds: Holds
    counts: dict[str, DesignCounts]
    deviations: dict[str, tuple[Departure, ...]]
    recorded: tuple[Recorded, ...]
    decided: tuple[Recorded, ...]
    what_if: pd.DataFrame
    completions: pd.DataFrame
    paths: pd.DataFrame
    amounts: tuple[float, ...]
    attrs: dict[str, Any]
    unseen: UnseenSerious = field(default_factory=UnseenSerious)
    adjudicated: tuple[Adjudicated, ...] = ()
    chains: tuple[Chain, ...] = ()
    closed_from: int | None = None
    notes: tuple[str, ...] = ()
    pause_rules: tuple[str, ...] = ()
    left_as_dlts: Mapping[str, Recommendation] = field(default_factory=dict)
    courses: tuple[dict[str, Any], ...] = ()
    extrapolated: tuple[float, ...] = ()
    short_after_last: tuple[tuple[str, int, int], ...] = ()
    uninformed: tuple[str, ...] = ()
    when: Callable[[], Waiting] | None = None

    @cached_property
    def waiting(self) -> Waiting | None:
        """Whether to decide now or to wait: the probability of every decision of the primary design at later dates."""
        return None if self.when is None else self.when()

    @property
    def proposal(self) -> Recommendation:
        """Return the recommendation of the primary design."""
        return self.proposals[self.binding]

    @property
    def words(self) -> str:
        """Return what the primary design would do, and the earliest start if not immediate."""
        own = self.proposal.words
        if self.holds and self.proposal.action not in ("hold", "stop"):
            return _("{action}; enrolment on hold").format(action=own)
        return own if self.start is None else _not_before(own, self.start, self.evaluated)

    def evaluated_for(self, design: str) -> Evaluated:
        """Return the patients as the proposal of a design reads them: unplanned cohorts inside or outside the escalation."""
        return as_read(self.evaluated, self.proposals[design].set_aside)

    @property
    def treated_as_decided(self) -> frozenset[str]:
        """Return the patients of cohorts that were started at the level of the committee's last decision by then."""
        cohorts = (cohort for cohort in self.evaluated.members if decided_for(self.evaluated, cohort, self.decided) is not None)
        return frozenset(subject for cohort in cohorts for subject in cohort.subjects)

    @property
    def serious(self) -> tuple[SeriousEvent, ...]:
        """Return the deaths, related serious events and related events of grade 4 or worse, adjudicated or not."""
        return self.evaluated.serious

    @property
    def overdue(self) -> list[Status]:
        """Return patients whose window ended before the data cutoff without a DLT assessment, the longest overdue first."""
        return self.evaluated.overdue

    @property
    def alarms(self) -> tuple[Unplaced, ...]:
        """Return patients at a dose that is not in the protocol, whom no design counts: to be resolved first."""
        amounts = {patient.subject: patient.amount for patient in self.evaluated.patients}
        return tuple(Unplaced(one.subject, amounts[one.subject], one.otherwise or one.kind) for one in self.evaluated.unplaced)

    @property
    def assumed_rules(self) -> tuple[str, ...]:
        """Return the rules of the findings that the protocol does not state, each with the assumed setting in brackets."""
        assumed = {assumption.key for assumption in self.attrs["assumptions"]}
        rules = {one.rule: SETTINGS[one.rule] for one in self.findings if SETTINGS.get(one.rule) in assumed}
        return tuple(f"{rule} ({setting})" for rule, setting in rules.items())

    @property
    def doses(self) -> pd.DataFrame:
        """Return one row per dose: patients treated, pending and with a known outcome, their DLTs, and the one-sided 95% upper
        limit of the DLT rate from the known outcomes at this dose alone.
        """
        import pandas as pd

        levels = range(1, len(self.amounts) + 1)
        treated = [[one for one in self.evaluated.statuses if one.level == level] for level in levels]
        kinds = [[one.kind for one in here if one.pooled] for here in treated]
        dlts, counted = ([sum(here.count(kind) for kind in which) for here in kinds] for which in (("dlt",), ("dlt", "complete")))
        return pd.DataFrame(
            {
                "level": levels,
                "dose": self.amounts,
                "treated": [len(here) for here in treated],
                "pending": [here.count("pending") for here in kinds],
                "counted": counted,
                "dlts": dlts,
                "upper_limit": upper_limit(np.array(counted), np.array(dlts)),
            }
        )

    @property
    def designs(self) -> pd.DataFrame:
        """Return one row per design: what it would do and why, and whether that differs from the primary design."""
        import pandas as pd

        rows = [
            {
                "design": name,
                "binding": "yes" if name == self.binding else "",
                "next": one.words,
                "differs": "" if one.words == self.proposal.words else "yes",
                "admissible": "none" if one.action == "stop" else ", ".join(map(str, one.admissible)),
                "reason": one.reason,
            }
            for name, one in self.proposals.items()
        ]
        table = pd.DataFrame(rows)
        if not self.left_as_dlts:
            return table
        return table.assign(if_left_had_dlts=[self.left_as_dlts[name].words for name in self.proposals])

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Return every table, by name."""
        import pandas as pd

        words = [{"rule": one.rule, "subjects": ", ".join(one.subjects), "finding": one.words} for one in self.findings]
        for name, departed in self.deviations.items():
            words += [{"rule": f"rules of {name}", "subjects": "", "finding": str(one)} for one in departed]
        return {
            "doses": self.doses,
            "serious": pd.DataFrame([_serious_row(event) for event in self.serious], columns=_SERIOUS),
            "safety": safety_set(self.evaluated)["safety"],
            "audit": self.evaluated.audit(),
            "courses": _courses_table(self.courses),
            "designs": self.designs,
            "what-if": self.what_if,
            "completions": self.completions,
            "waiting": pd.DataFrame() if self.waiting is None else self.waiting.table,
            "waiting-basis": pd.DataFrame() if self.waiting is None else self.waiting.basis,
            "follow-up": pd.DataFrame() if self.waiting is None else self.waiting.follow_up,
            "paths": self.paths,
            "findings": pd.DataFrame(words, columns=["rule", "subjects", "finding"]),
            "recorded": pd.DataFrame([one._asdict() for one in self.recorded], columns=list(Recorded._fields)),
        }

    def record(
        self, decision: str, reason: str, *, meeting: date | None = None, attendees: str = "", conditions: str = ""
    ) -> Recorded:
        """Make the committee's decision on this, to be put on file by `dosefind.decisions.record_decision`.

        Parameters
        ----------
        decision
            "level 2", "wait", "stop", "resume" (after a safety pause), "MTD 2", "MTD none", "RP2D 2", "RP2D none" or "add dose
            0.5", with a number of yours; large or small letters.
        reason
            Why it was decided so.
        meeting
            Date of the meeting.
        attendees
            Who attended.
        conditions
            Conditions of the decision.

        Raises
        ------
        InputError
            If the decision is not of a known form, or its level or dose does not fit the protocol.
        """
        decision = check_form(decision, self.amounts)
        released = released_by(self.holds, self.evaluated) if decision == "resume" else ""
        return Recorded(
            as_of=self.evaluated.as_of,
            protocol=self.attrs["protocol"],
            data_sha256=self.evaluated.sha256,
            config_sha256=self.attrs["config_sha256"],
            binding=self.binding,
            recommendation=self.words,
            decision=decision,
            override="no" if agrees(decision, self.recommended, released) else "yes",
            reason=reason,
            meeting=meeting,
            attendees=attendees,
            protocol_version=date.fromisoformat(self.attrs["protocol_version"]),
            software_version=__version__,
            conditions=conditions,
            released=released,
            with_dlt=json.dumps([status.subject for status in self.evaluated.statuses if status.has_dlt]),
            still_open=json.dumps([status.subject for status in self.evaluated.statuses if status.open]),
            recommended=self.recommended,
        )

    @property
    def recommended(self) -> str:
        """Return the recommendation of the primary design in the form of a decision: "level 2", "wait", "stop", "MTD 2"."""
        proposal = self.proposal
        if proposal.action == "stop":
            return "stop" if proposal.mtd is None else f"MTD {proposal.mtd}"
        return f"level {proposal.level}" if proposal.level and not self.holds else "wait"

    @property
    def supposes(self) -> bool:
        """Return whether the paths assume that a pending patient, or one who completes the current cohort, has no DLT."""
        return self.proposal.action == "fill" or self.evaluated.n_pending > 0

    @property
    def followed(self) -> tuple[str, ...]:
        """Return what followed each decision of the committee on file before the next one, if known; and whether the latest was
        made on other data of the same day.
        """
        until = [*(one.as_of for one in self.recorded[1:]), date.max]
        words = [_came_of(one, last, self.evaluated) for one, last in zip(self.decided, until, strict=False)]
        numbers = zip(self.recorded, self.decided, strict=True)
        changed = _("now {decision}: {words}")
        words = [
            word if now.decision == before.decision else changed.format(decision=now.decision, words=word)
            for (before, now), word in zip(numbers, words, strict=True)
        ]
        if self.recorded and not self.evaluated.later_dates:
            last = self.recorded[-1]
            if last.as_of == self.evaluated.as_of and last.data_sha256 != self.evaluated.sha256:
                words[-1] = _("based on different data with the same cutoff date")
        return tuple(words)

    def __str__(self) -> str:
        words = _("{design} (primary design): {action}: {reason}")
        return words.format(design=self.binding, action=self.words, reason=self.proposal.reason)


@one_thread
def next_dose(
    trial: Trial | Protocol,
    patients: Patients,
    as_of: date | None = None,
    *,
    replay: bool = False,
    design: str | None = None,
    decisions: Path | str | None = None,
    adjudications: Path | str | Sequence[Adjudicated] = (),
    final: bool = False,
) -> NextDose:
    """Return what each design would do next in a trial, which one is the primary design, and what would follow from each outcome.

    Parameters
    ----------
    trial
        The trial, from `load_trial`, or its protocol. With amendments, the designs, doses and limits are those of the version in
        force at the data cutoff date.
    patients
        What the data say, from `read_patients`.
    as_of, replay
        The data cutoff date, and whether to go back to it; as for `dosefind.evaluate`.
    design
        The primary design, in place of the protocol's.
    decisions
        File of the committee's decisions, if there is one.
    adjudications
        File of adjudications, if there is one, or the adjudications themselves.
    final
        Whether this is the final analysis, as for `dosefind.evaluate`.

    Returns
    -------
    NextDose

    Raises
    ------
    InputError
        If the data contradict themselves or the data cutoff date, or the design is not among the protocol's.

    Examples
    --------
    >>> from dosefind import load_trial, read_patients
    >>> trial, folder = load_trial("configs/nct05962762.toml"), "examples/nct05962762/midway"
    >>> patients = read_patients(f"{folder}/patients.csv", trial.protocol, events=f"{folder}/events.csv")
    >>> next_dose(trial, patients).proposal.words
    'complete the current cohort at level 1, 1 patient'
    """
    trial = Trial.of(trial)
    amended = trial.protocol
    chains: list[Chain] = []
    if isinstance(adjudications, str | Path):
        said, chain = adjudications_on_file(adjudications, amended.record.id)
        chains.append(chain)
    else:
        said = adjudications
    evaluated = evaluate(patients, amended, as_of, replay=replay, adjudications=said, final=final)
    # The version in force at the data cutoff date; each patient was judged by the one of the first infusion.
    current = trial.in_force(evaluated.as_of)
    protocol, designs = current.protocol, current.designs
    binding = binding_of(current, design)
    _refuse_levels_for_doses(evaluated, protocol)
    on_file: list[Recorded] = []
    if decisions:
        decided, chain = read_checked(decisions, amended)
        on_file = [one for one in decided if one.as_of <= evaluated.as_of]
        chains.append(chain)
    known = [renumbered(one, amended.in_force(one.as_of).doses.amounts, protocol.doses.amounts) for one in on_file]
    # What was planned was planned at the assigned doses: an administered dose is known only afterwards.
    planned = _planned(designs, trial, protocol, evaluated.weighted)
    rules = _Rules(trial, protocol, binding, planned, known)
    whole, evaluated = evaluated, escalation_of(planned[binding], evaluated, known)
    _refuse_too_many_patients(evaluated)
    ways = by_dose(planned[binding], evaluated).n_completions
    refuse_too_many(evaluated, [ways])
    asked = rules.asked(evaluated, planned)
    designs = {name: one.design for name, one in asked.items()}
    holds = holds_of(evaluated, protocol, known)
    proposals = rules.proposals(evaluated, asked, holds)
    left_as_dlts: dict[str, Recommendation] = {}
    if evaluated.weighted:
        # Cohorts are read as they are now: with these DLTs, later cohorts would not have been planned.
        with_dlts = replace(evaluated, statuses=evaluated.with_left_as_dlts().statuses)
        for name, one in asked.items():
            in_full = Asked(one.design.with_weighted(()), protocol.n_doses)
            left_as_dlts[name] = propose_next(in_full, as_read(with_dlts, proposals[name].set_aside), [()], None)
    chosen = proposals[binding]
    anew_for = sum(one.size + 1 for one in proposals.values() if one.action == "fill" and one.set_aside)
    if anew_for:
        refuse_too_long(evaluated, ways, len(readings_of(planned[binding], evaluated, known)), anew_for)
    read = {name: as_read(evaluated, one.set_aside) for name, one in proposals.items()}
    unsettled = chosen.decided is not None or chosen.action in ("wait", "hold")
    anew = partial(once_filled, planned[binding], evaluated, known)
    # None stands for the protocol's largest group.
    most = designs[binding].max_n_per_dose or (None if designs[binding].bound_by_group else protocol.limits.max_n)
    outcomes = notation(whole.cohorts())
    notes = (*evaluated.notes, *_on_dose_scale(designs, evaluated))
    by_exposure = sorted((name for name, one in designs.items() if one.reads == "exposure"), key=lambda name: name != binding)
    hazard = getattr(designs[by_exposure[0]], "curve", None) if by_exposure else None
    shares: tuple[float, ...] = ()
    if hazard is not None and by_exposure[0] == binding:
        shares = tuple(extrapolated(hazard, whole.courses, np.zeros(protocol.n_doses)).tolist())
    attrs = {
        "as_of": evaluated.as_of.isoformat(),
        "as_of_assumed": int(evaluated.as_of_assumed),
        "data_sha256": evaluated.sha256,
        "outcomes": outcomes,
        "pending": ", ".join(subject for subjects in evaluated.pending for subject in subjects),
        "doses": ", ".join(f"{level} = {amount:g}" for level, amount in enumerate(protocol.doses.amounts, start=1)),
        "unit": protocol.doses.unit,
        "chains": chains,
        "binding": binding,
        "next": "",
        "closing": evaluated.closing(),
        "notes": list(notes),
    }
    start = _start(read[binding], protocol, chosen, holds, asked[binding].reads_pending) if chosen.level else None
    found = NextDose(
        evaluated=evaluated,
        proposals=proposals,
        binding=binding,
        start=start,
        findings=(*findings(whole, amended, most, said), *starts_in_pause(whole, amended, known)),
        holds=holds,
        # A class variable is as good as the property that is asked for, which pyright does not see.
        counts={name: read[name].for_design(one) for name, one in designs.items()},  # type: ignore[arg-type]
        deviations=_deviations(planned, evaluated),
        recorded=tuple(on_file),
        decided=tuple(known),
        what_if=_what_if(asked, proposals, read, anew),
        completions=_completions(proposals, read, evaluated),
        paths=_paths(asked[binding], chosen, read[binding], protocol),
        amounts=protocol.doses.amounts,
        attrs=attrs | stamp(current, conducts=True),
        unseen=unseen_serious(evaluated, amended),
        adjudicated=tuple(in_force(said, evaluated.as_of)),
        chains=tuple(chains),
        closed_from=closed_from(asked[binding], read[binding], chosen) if unsettled else None,
        notes=notes,
        pause_rules=tuple(protocol.pause_rules()),
        left_as_dlts=left_as_dlts,
        courses=() if hazard is None else tuple(course_rows(hazard, whole.courses)),
        extrapolated=shares,
        short_after_last=_short_after_last(evaluated, protocol),
        uninformed=_uninformed(evaluated) if designs[binding].reads in ("follow-up", "exposure") else (),
        when=partial(
            when_to_decide,
            whole,
            current,
            binding,
            designs[binding],
            chosen,
            rules.later,
            None if start is None else start.day,
        ),
    )
    found.attrs["next"] = _with_meanwhile(found.words, chosen)
    return found


def _short_after_last(evaluated: Evaluated, protocol: Protocol) -> tuple[tuple[str, int, int], ...]:
    """Return the complete patients whose last infusion was late: subject, days of the DLT window after it, days planned."""
    found = []
    for patient, status in zip(evaluated.patients, evaluated.statuses, strict=True):
        if status.pooled and status.kind == "complete":
            days, planned = followed_after_last(patient, protocol)
            if days < planned:
                found.append((status.subject, max(days, 0), planned))
    return tuple(found)


def _uninformed(evaluated: Evaluated) -> tuple[str, ...]:
    """Return the pending patients on whose DLTs the data say nothing."""
    return tuple(subject for subjects in evaluated.pending for subject in subjects if not evaluated[subject].informed)


@dataclass(frozen=True)
class _Rules:
    """What decides on patients: the designs, which one is the primary design, and the committee's decisions."""

    trial: Trial
    protocol: Protocol
    binding: str
    planned: Mapping[str, Asked]
    known: Sequence[Recorded]

    def asked(self, evaluated: Evaluated, names: Collection[str]) -> dict[str, Asked]:
        """Return designs with patients at their administered doses."""
        on = {name: _versions(name, self.trial, self.protocol, evaluated.weighted) for name in names}
        return {name: _at_administered(self.planned[name], evaluated, on[name]) for name in names}

    def proposals(
        self, evaluated: Evaluated, asked: Mapping[str, Asked], holds: Holds, *, in_full: bool = True
    ) -> dict[str, Recommendation]:
        """Return what designs would do; ``in_full`` with the answers once all outcomes are known, if the primary one waits."""
        proposals = self._proposals(evaluated, asked, in_full)
        binding = self.binding
        if holds:
            own = self._proposals(evaluated.as_counted(), asked, in_full)
            level = evaluated.members[-1].level if evaluated.members else 0
            proposals = {name: _held(one, own[name], holds, level) for name, one in proposals.items()}
        if (stopped := _stopped_by(self.known)) is not None:
            proposals[binding] = _as_decided(proposals[binding], stopped)
        return proposals

    def _proposals(self, evaluated: Evaluated, asked: Mapping[str, Asked], in_full: bool) -> dict[str, Recommendation]:
        """Return what designs would do without a hold."""
        planned, binding = self.planned[self.binding], self.binding
        readings, opened = readings_of(planned, evaluated, self.known), {binding: _opened_by(self.known, evaluated)}
        ways = by_dose(planned, evaluated).n_completions
        refuse_too_long(evaluated, ways, len(readings), len(asked), to_the_end=in_full)
        found = {name: propose_next(one, evaluated, readings, opened.get(name)) for name, one in asked.items()}
        if in_full:
            found[binding] = in_the_end(asked[binding], planned, evaluated, self.known, found[binding])
        return found

    def later(self, whole: Evaluated) -> Recommendation:
        """Return what the primary design would do with the patients as they would be on a later date."""
        evaluated = escalation_of(self.planned[self.binding], whole, self.known)
        holds = holds_of(evaluated, self.protocol, self.known)
        # Of many answers the reasons are not shown.
        asked = {name: one.explaining("nothing") for name, one in self.asked(evaluated, [self.binding]).items()}
        return self.proposals(evaluated, asked, holds, in_full=False)[self.binding]


def _planned(designs: Mapping[str, Design], trial: Trial, now: Protocol, weighted: Sequence[Weighted]) -> dict[str, Asked]:
    """Return the designs by which cohorts were planned; which patients had left, and when, was known then."""
    each = ((name, design.with_weighted(weighted)) for name, design in designs.items())
    return {name: Asked(design, now.n_doses, _versions(name, trial, now, weighted)) for name, design in each}


def _at_administered(planned: Asked, evaluated: Evaluated, on: Callable[[date], Asked | None] | None) -> Asked:
    """Return a design with patients at their administered doses and weights; the same where these make no difference."""
    design = planned.design.with_administered(evaluated.administered).with_weighted(evaluated.weighted)
    return planned if design is planned.design else Asked(design, planned.n_doses, on)


def _on_dose_scale(designs: Mapping[str, Design], evaluated: Evaluated) -> list[str]:
    """Note which designs use administered doses, where any differs from the assigned dose."""
    names = [name for name, design in designs.items() if design.on_dose_scale]
    if not names or all(one.as_assigned for one in evaluated.patients):
        return []
    words = _(
        "designs on a dose scale ({designs}) use the administered dose of patients whose outcome is known, and the assigned dose "
        "of patients whose outcome can still change"
    )
    return [words.format(designs=", ".join(names))]


def _with_meanwhile(words: str, proposal: Recommendation) -> str:
    """Return an action with what a design on hold would do by the outcomes known now; an escalation on hold is not repeated."""
    own = proposal.held
    if own is None or own.action not in ("start", "fill", "stay"):
        return words
    return _("{action}; without the hold, by the outcomes known now: {own}").format(action=words, own=own.words)


def _versions(name: str, trial: Trial, now: Protocol, weighted: Sequence[Weighted]) -> Callable[[date], Asked | None] | None:
    """Return the design of this name by the day, where there are amendments; ``None`` on a day without it.

    It is asked, and answers, with the level numbers of the version ``now``.
    """
    if not trial.amended:
        return None
    known: dict[date, Asked | None] = {}

    def on(day: date) -> Asked | None:
        then = trial.in_force(day)
        rules = then.protocol
        version = rules.record.version_date
        # A later version can have doses that the present one lacks.
        if version > now.record.version_date:
            return None
        if version not in known:
            known[version] = _of_version(then, rules.doses.numbers_in(now.doses)) if name in rules.designs else None
        return known[version]

    def _of_version(then: Trial, numbers: tuple[int, ...]) -> Asked:
        same = then.protocol.doses.amounts == now.doses.amounts
        own = {number: level for level, number in enumerate(numbers, start=1)}
        left = [one._replace(level=own[one.level]) for one in weighted if one.level in own]
        asked = Asked(then.designs[name].with_weighted(left), then.protocol.n_doses, on)
        return asked if same else AskedThen(asked, numbers, on)

    return on


def _not_before(action: str, start: Start, evaluated: Evaluated) -> str:
    """Return an action with the earliest start of the next patient, if that is not immediately."""
    if start.day is None:
        return _("{action}, start date open").format(action=action)
    return action if start.day <= evaluated.as_of else _("{action}, not before {date}").format(action=action, date=start.day)


def _held(proposal: Recommendation, own: Recommendation, holds: Holds, level: int) -> Recommendation:
    """Hold escalation and enrolment; a de-escalation, or a stop with an MTD below the current dose ``level``, is stated at once.
    ``own`` is what the design would do without the hold.
    """
    if not holds or proposal.goes_down(level):
        return proposal
    return Recommendation(
        action="hold",
        level=None,
        size=0,
        reason=_("{holds}; without the hold, by the outcomes known now: {action}").format(holds=holds.words, action=own.words),
        admissible=(),
        mtd=None,
        not_reached=False,
        until=None,
        completions=proposal.completions,
        set_aside=proposal.set_aside,
        other_reading=proposal.other_reading,
        held=own,
    )


# Neither the term nor the outcome, which are texts of the data.
_SERIOUS = [
    *("subject", "part", "level", "kinds", "day", "study_day", "in_window", "grade", "related"),
    *("holds", "adjudicated_on", "adjudicated_by", "conclusion"),
]


def _courses_table(courses: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return one row per patient, with a column for the exposure of each interval."""
    import pandas as pd

    rows = []
    for one in courses:
        shares = {f"interval_{number}": share for number, share in enumerate(one["exposure"], start=1)}
        rows.append({name: value for name, value in one.items() if name != "exposure"} | shares)
    return pd.DataFrame(rows)


def _serious_row(event: SeriousEvent) -> dict[str, Any]:
    """Return a serious event as a row of its table."""
    told, said = event.event, event.adjudication
    found = {name: getattr(event, name) for name in ("subject", "part", "level", "day", "study_day", "in_window", "holds")}
    found |= {name: getattr(told, name, None) for name in ("grade", "related")}
    found |= {name: getattr(said, name, None) for name in ("adjudicated_on", "adjudicated_by", "conclusion")}
    day = event.day or (event.days.text or None if event.days else None)
    return found | {"kinds": ", ".join(event.kinds), "day": day}


def read_checked(path: Path | str, protocol: Protocol) -> tuple[list[Recorded], Chain]:
    """Return the decisions on file and what their hashes show, each decision checked against the protocol.

    Parameters
    ----------
    path
        The file.
    protocol
        The protocol with all its amendments: levels and doses of a decision must be those in force at its data cutoff date, and its
        protocol version one of the versions.

    Raises
    ------
    InputError
        As for `dosefind.decisions.read_decisions`.
    """
    # A version that an amendment made does not know the dates of the versions before it.
    alone = bool(protocol.amended_on) and len(protocol.versions) == 1
    days = None if alone else [day for day, _ in protocol.versions]
    return decisions_on_file(path, protocol.record.id, lambda day: protocol.in_force(day).doses.amounts, days)


def binding_of(trial: Trial, design: str | None) -> str:
    """Return the name of the primary design: the one asked for, the protocol's, or the first."""
    return one_of("design", trial.primary if design is None else design, trial.designs)


def _refuse_levels_for_doses(evaluated: Evaluated, protocol: Protocol) -> None:
    """Refuse data in which nobody has a dose of the protocol and every dose given is the number of a level."""
    given, levels = {one.amount for one in evaluated.patients}, range(1, protocol.n_doses + 1)
    if len(evaluated.unplaced) == len(evaluated.statuses) >= _FEW and given <= set(levels):
        doses = f"{', '.join(f'{one:g}' for one in protocol.doses.amounts)} {protocol.doses.unit}"
        raise InputError(Problem("dose", sorted(given), f"none is among {doses}: levels belong in the column level"))


def _refuse_too_many_patients(evaluated: Evaluated) -> None:
    """Refuse a trial of more patients than any design plans."""
    patients = sum(len(cohort.subjects) for cohort in evaluated.members)
    if patients > MOST_PATIENTS:
        raise InputError(f"the data have {patients:,} patients of the escalation: must be at most {MOST_PATIENTS:,}")
    if len(evaluated.members) > _MOST_COHORTS:
        seconds = 10 * (len(evaluated.members) / _MOST_COHORTS) ** 2
        allowed = f"must be at most {_MOST_COHORTS}: each is compared with all before it, about {seconds:.0f} seconds"
        raise InputError(f"the data have {len(evaluated.members):,} cohorts of the escalation: {allowed}")


# Maximum number of cohorts of an escalation: a report on that many takes about ten seconds.
_MOST_COHORTS = 400


# Patients of whom all may have been given a dose that the protocol does not have.
_FEW = 3


def _came_of(one: Recorded, until: date, evaluated: Evaluated) -> str:
    """Return the first patient treated after a decision and by a day, preferring one not treated as decided."""
    later = sorted((other for other in evaluated.statuses if one.as_of < other.first <= until), key=lambda other: other.first)
    if not later:
        return _("no patient has been treated since") if until == date.max else _("no patient was treated before the next decision")
    # To wait, to resume, to add a dose or to choose the RP2D says nothing of the level at which somebody is treated in the end.
    open_ = one.about in ("wait", "resume", "add dose", "RP2D")
    # Patients in an expansion come after the MTD, at levels up to it.
    mtd = (one.about == "MTD" and one.level) or 0
    expanded = {other.subject for other in later if other.part == "expansion" and (other.level or math.inf) <= mtd}
    as_decided = {other.subject for other in later if (one.about, one.level) == ("level", other.level)} | expanded
    otherwise = [other for other in later if not open_ and other.subject not in as_decided]
    first = (otherwise or later)[0]
    words = _("{subject} was treated at level {level} on {date}")
    if not first.level:
        words = _("{subject} was treated at a dose not in the protocol on {date}")
    treated = words.format(subject=first.subject, level=first.level, date=first.first)
    return _("{treated}, not as decided").format(treated=treated) if otherwise else treated


def _start(evaluated: Evaluated, protocol: Protocol, chosen: Recommendation, holds: Holds, rolling: bool) -> Start:
    """Return the earliest start of the next patient, and of those enrolled with them."""
    if holds:
        return Start(None, _("enrolment is on hold: {holds}").format(holds=holds.words))
    level = chosen.level or 0
    start = earliest(evaluated, protocol, level, left=chosen.action != "fill", rolling=rolling).patient
    return start._replace(words="; ".join(filter(None, (start.words, in_turn(evaluated, protocol, level, chosen.size, start)))))


def _opened_by(known: Sequence[Recorded], evaluated: Evaluated) -> Recorded | None:
    """Return the committee's decision that makes the latest cohort part of the trial: the last one since the patient before it
    was treated, those of that day left out, if it names the cohort's level and no DLT became known after it.
    """
    if not evaluated.members:
        return None
    latest, statuses = evaluated.members[-1], evaluated.statuses
    first = evaluated[latest.subjects[0]].first
    before = max((one.first for one in statuses if one.first < first), default=date.min)
    # To resume after a pause leaves the decision before it as it was.
    last = next((one for one in reversed(known) if one.as_of > before and one.decision != "resume"), None)
    if last is None or (last.about, last.level) != ("level", latest.level):
        return None
    with_dlt = {one.subject for one in statuses if one.has_dlt}
    # Outcomes that the committee took for known, and that data since have made open again.
    reopened = {one.subject for one in statuses if one.open and one.first <= last.as_of} - last.known_open
    return None if with_dlt - last.known_dlts or reopened else last


def _stopped_by(known: Sequence[Recorded]) -> Recorded | None:
    """Return the committee's decision to stop, or on the MTD or RP2D, if no later one on a level or to resume is on file."""
    last = next((one for one in reversed(known) if one.about in ("level", "MTD", "RP2D", "stop", "resume")), None)
    return last if last is not None and last.about in ("MTD", "RP2D", "stop") else None


def _as_decided(proposal: Recommendation, last: Recorded) -> Recommendation:
    """Stop as the committee decided, unless the design stops by itself; the design's own answer is in the reason."""
    if proposal.action == "stop":
        return proposal
    mtd = str(last.level or "none") if last.about == "MTD" else None
    words = _("decided by the committee on {date} ({decision}); by the design's rules alone: {action}")
    reason = words.format(date=last.meeting or last.as_of, decision=last.decision, action=proposal.words)
    stop = {"action": "stop", "level": None, "size": 0, "admissible": (), "mtd": mtd, "not_reached": False, "until": None}
    stop["awaited"] = None
    return replace(proposal, **stop, reason=reason, decided=(last.decision, proposal))


def _what_if(
    asked: dict[str, Asked],
    proposals: dict[str, Recommendation],
    read: dict[str, Evaluated],
    once_filled: Callable[[Asked, Recommendation, int], list[NextStep]],
) -> pd.DataFrame:
    """Return what each design would do after each number of DLTs among its next patients; "or" where that depends on
    outcomes still to come. ``once_filled`` answers for a cohort that is completed beside cohorts read as outside the escalation.
    """
    import pandas as pd

    rows = []
    for name, one in proposals.items():
        if one.level is None:
            continue
        row: dict[str, Any] = {"design": name, "next": one.words}
        for dlts in range(one.size + 1):
            if one.action == "fill" and one.set_aside:
                after = once_filled(asked[name], one, dlts)
            else:
                ways = asked[name].completions(by_dose(asked[name], read[name]))
                cohorts = [way._replace(cohorts=with_next(one, way.cohorts, read[name], dlts)) for way in ways]
                after = asked[name].after_each(cohorts)
            row[f"{dlts} DLT{'s' * (dlts != 1)}"] = either(after)
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def _completions(proposals: dict[str, Recommendation], read: dict[str, Evaluated], evaluated: Evaluated) -> pd.DataFrame:
    """Return what each design would do for each combination of the pending outcomes."""
    import pandas as pd

    if evaluated.n_completions == 1:
        return pd.DataFrame()
    if any(len(one.completions) != evaluated.n_completions for one in proposals.values()):
        return _completions_by_dose(proposals, read)
    done = list(evaluated.completions())
    # A reading that sets cohorts aside has the same outcomes in another order.
    by_design = {name: {_by_group(read[name], way.dlts): step for way, step in one.completions} for name, one in proposals.items()}
    rows = []
    for one in done:
        of = zip(evaluated.groups, one.dlts, evaluated.open, strict=True)
        further = ", ".join(f"{dlts} in {group.name}" for group, dlts, who in of if who)
        row: dict[str, Any] = {"further DLTs": further, "ways": one.ways}
        for name in proposals:
            row[named_column("design", name)] = short(by_design[name][_by_group(evaluated, one.dlts)])
        rows.append(row)
    return pd.DataFrame(rows)


def _completions_by_dose(proposals: dict[str, Recommendation], read: dict[str, Evaluated]) -> pd.DataFrame:
    """Return the same table with a row per number of further DLTs at each dose, and each answer that a design then gives."""
    import pandas as pd

    answers: dict[str, dict[tuple[int, ...], list[NextStep]]] = {}
    ways: dict[tuple[int, ...], int] = {}
    levels = sorted({group.level for one in read.values() for group, who in zip(one.groups, one.open, strict=True) if who})
    for name, one in proposals.items():
        found, ways = answers.setdefault(name, {}), {}
        for way, step in one.completions:
            at = dict.fromkeys(levels, 0)
            for group, dlts in zip(read[name].groups, way.dlts, strict=True):
                if dlts:
                    at[group.level] += dlts
            dlts = tuple(at.values())
            found.setdefault(dlts, []).append(step)
            ways[dlts] = ways.get(dlts, 0) + way.ways
    rows = []
    for dlts in sorted(ways):
        further = ", ".join(f"{number} at level {level}" for level, number in zip(levels, dlts, strict=True))
        row: dict[str, Any] = {"further DLTs": further, "ways": ways[dlts]}
        rows.append(row | {named_column("design", name): either(found[dlts]) for name, found in answers.items()})
    return pd.DataFrame(rows)


def _by_group(evaluated: Evaluated, dlts: Sequence[int]) -> frozenset[tuple[tuple[str, ...], int]]:
    """Return DLTs by the patients of their group, in any order of the groups."""
    return frozenset(zip((group.subjects for group in evaluated.groups), dlts, strict=True))


def _paths(asked: Asked, chosen: Recommendation, evaluated: Evaluated, protocol: Protocol) -> pd.DataFrame:
    """Return the paths of the primary design's next cohorts, after completing the current one, by the escalation only."""
    import pandas as pd

    if chosen.level is None or evaluated.others:
        return pd.DataFrame()
    cohorts = without_further(evaluated).cohorts
    if chosen.action == "fill":
        cohorts = filled(cohorts, evaluated, chosen.size, 0)
    columns = [named_column("scenario", name) for name in protocol.scenarios]
    table = paths_of(asked.design, asked.state(cohorts), _AHEAD, protocol.truths, columns)
    table.attrs["after"] = notation(cohorts)
    return table


def _deviations(asked: dict[str, Asked], evaluated: Evaluated) -> dict[str, tuple[Departure, ...]]:
    """Return the deviations of cohorts from the design; the current cohort may be incomplete."""
    found = {}
    trials = as_begun(evaluated)
    for name, one in asked.items():
        if one.reads_pending:
            if departed := treated_otherwise(one, evaluated):
                found[name] = departed
            continue
        followed: list[Departure] = []
        for trial in trials:
            cohorts = without_further(trial).cohorts
            if under_way := still_needed(one, evaluated) if trial is trials[-1] else 0:
                cohorts = filled(cohorts, trial, under_way, 0)
            # Where there are several trials, of each what concerns its last cohort.
            # Each cohort is judged by the version in force when it began.
            counted = [group for group in trial.members if any(trial[subject].counts for subject in group.subjects)]
            begun = [*counted, *trial.members[-1:]][: len(cohorts)]
            versions = [one.on(trial[group.subjects[0]].first) for group in begun]
            of_each = {key: version.departures(cohorts) for key, version in {id(version): version for version in versions}.items()}
            of_all = [each for at, version in enumerate(versions, 1) for each in of_each[id(version)] if each.cohort == at]
            followed += [each for each in of_all if trial is evaluated or each.cohort == len(cohorts)]
        if followed:
            found[name] = tuple(dict.fromkeys(followed))
    return found
