"""What next in a trial with patients: what each design would do, which one binds, and what would follow.

Outcomes that are not known yet are not guessed. A design is asked about every way in which they can come out; where it answers the
same each time it decides now, and else it waits. A cohort that the design has begun and that is not full yet is filled up, unless
the design would leave its dose downwards or stop whatever happened to those who fill it; then it decides on those who are there. A
cohort that the committee has opened, or goes on with, against the binding design is filled as well once its decision is on file: it
overrode what the design made of the data of that day, and holds until there is a DLT that it did not know of, or its next decision.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import __version__
from .._check import InputError, Problem, Shown, of_type, one_of
from ..conduct import SETTINGS, Finding, Start, earliest, findings, in_turn
from ..config import build_designs
from ..decisions import Recorded, check_form, read_decisions
from ..designs import Design
from ..evaluability import Completion, Evaluated, evaluate
from ..operating.paths import paths_of
from ..patients import Patients
from ..protocol import Protocol
from ..summaries import upper_limit
from ..trial import Cohort, notation
from .stamps import stamp
from .steps import NextStep, next_step, stop_words

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["NextDose", "Proposal", "next_dose"]

# Cohorts that the paths look ahead, and the most DLTs of the next cohort that are shown.
_AHEAD = 2


@dataclass(frozen=True)
class Proposal(Shown):
    """What one design would do at the data cut.

    Attributes
    ----------
    action
        "start", "escalate", "stay", "de-escalate" or "stop"; "fill" where the latest cohort is to be completed first; "wait" where
        outcomes still to come make a difference.
    level
        Level of the next patients; ``None`` to stop or wait.
    size
        How many patients; 0 to stop or wait.
    reason
        Why, in words.
    admissible
        Levels that the design's rules leave open; none to wait.
    mtd
        Where it stops: "none" or the level named as MTD.
    not_reached
        Where it stops: whether the top dose is named and the rule would have escalated from it.
    until
        Where it waits: the day by which the outcomes are known, ``None`` where no date can be named.
    completions
        Every way in which the outcomes still to come can come out, and what the design would do then: the same each time, unless
        it waits, or fills a cohort that further DLTs would end.
    """

    action: Literal["start", "fill", "escalate", "stay", "de-escalate", "stop", "wait"]
    level: int | None
    size: int
    reason: str
    admissible: tuple[int, ...]
    mtd: str | None
    not_reached: bool
    until: date | None
    completions: tuple[tuple[Completion, NextStep], ...]

    def __str__(self) -> str:
        return f"{self.words}: {self.reason}"

    @property
    def words(self) -> str:
        """The action in a few words."""
        patients = f"{self.size} patient{'s' * (self.size != 1)}"
        if self.action == "stop":
            return stop_words(self.mtd, self.not_reached)
        if self.action == "wait":
            return f"wait until {self.until}" if self.until else "wait"
        if self.action == "fill":
            return f"fill the cohort at level {self.level}, {patients}"
        return f"{self.action} {'to' if 'escalate' in self.action else 'at'} level {self.level}, {patients}"


@dataclass(frozen=True)
class NextDose(Shown):
    """What next, at a data cut.

    Attributes
    ----------
    evaluated
        The patients, each with a status.
    proposals
        What each design would do, by name.
    binding
        The design that binds.
    start
        From when the next patients may start as the binding design would have them, by the rules of conduct; ``None`` where it
        stops or waits.
    findings
        Deviations from the protocol.
    deviations
        Where the doses and sizes of the cohorts are not those that a design would have given, by its name.
    recorded
        Decisions of the committee so far.
    what_if : pandas.DataFrame
        A row a design: what would follow from each number of DLTs among the next patients.
    completions : pandas.DataFrame
        A row a way in which the pending outcomes can come out: what each design would do; no rows where nothing is pending.
    paths : pandas.DataFrame
        The paths of the binding design's next cohorts, pending patients taken to have no DLT; no rows where it stops.
    amounts
        Dose amount of each level.
    attrs
        What the result rests on.
    """

    evaluated: Evaluated
    proposals: dict[str, Proposal]
    binding: str
    start: Start | None
    findings: tuple[Finding, ...]
    deviations: dict[str, tuple[str, ...]]
    recorded: tuple[Recorded, ...]
    what_if: pd.DataFrame
    completions: pd.DataFrame
    paths: pd.DataFrame
    amounts: tuple[float, ...]
    attrs: dict[str, Any]

    @property
    def proposal(self) -> Proposal:
        """What the binding design would do."""
        return self.proposals[self.binding]

    @property
    def alarms(self) -> tuple[str, ...]:
        """Who is in no count and is to be looked at before anything else: patients at a dose that the protocol does not have."""
        # Without what happened to the patient, which a report does not show.
        return tuple(f"{one.subject}: {one.rule.partition(': ')[0]}" for one in self.evaluated.unplaced)

    @property
    def assumed_rules(self) -> tuple[str, ...]:
        """Rules of the findings that no record states, each with the setting that is assumed in brackets."""
        assumed = {key for key, _, _ in json.loads(self.attrs["assumptions"])}
        rules = {one.rule: SETTINGS[one.rule] for one in self.findings if SETTINGS.get(one.rule) in assumed}
        return tuple(f"{rule} ({setting})" for rule, setting in rules.items())

    @property
    def doses(self) -> pd.DataFrame:
        """A row a dose: how many were treated, are pending and are counted, their DLTs, and the one-sided 95% upper limit of the
        DLT rate from those counted at this dose alone.
        """
        import pandas as pd

        levels = range(1, len(self.amounts) + 1)
        kinds = [[one.kind for one in self.evaluated.statuses if one.level == level] for level in levels]
        dlts, counted = ([sum(here.count(kind) for kind in which) for here in kinds] for which in (("dlt",), ("dlt", "complete")))
        return pd.DataFrame(
            {
                "level": levels,
                "dose": self.amounts,
                "treated": [len(here) for here in kinds],
                "pending": [here.count("pending") for here in kinds],
                "counted": counted,
                "dlts": dlts,
                "upper_limit": upper_limit(np.array(counted), np.array(dlts)),
            }
        )

    @property
    def designs(self) -> pd.DataFrame:
        """A row a design: what it would do and why, and whether that differs from the binding one."""
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
        return pd.DataFrame(rows)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table, by name."""
        import pandas as pd

        words = [{"rule": one.rule, "subjects": ", ".join(one.subjects), "finding": one.words} for one in self.findings]
        for name, texts in self.deviations.items():
            words += [{"rule": f"rules of {name}", "subjects": "", "finding": text} for text in texts]
        return {
            "doses": self.doses,
            "audit": self.evaluated.audit(),
            "designs": self.designs,
            "what-if": self.what_if,
            "completions": self.completions,
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
            "level 2", "wait", "stop", "resume" (after a safety pause), "MTD 2", "MTD none" or "add dose 0.5", with a number of
            yours; large or small letters.
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
        one = self.proposal
        agreed = {f"level {one.level}"} if one.level else {"stop", f"MTD {one.mtd}"} if one.action == "stop" else {"wait"}
        # To resume ends a pause; it contradicts no recommendation but to stop.
        agreed |= set() if one.action == "stop" else {"resume"}
        return Recorded(
            as_of=self.evaluated.as_of,
            protocol=self.attrs["protocol"],
            data_sha256=self.evaluated.sha256,
            config_sha256=self.attrs["config_sha256"],
            binding=self.binding,
            recommendation=one.words,
            decision=decision,
            override="no" if decision in agreed else "yes",
            reason=reason,
            meeting=meeting,
            attendees=attendees,
            protocol_version=date.fromisoformat(self.attrs["protocol_version"]),
            software_version=__version__,
            conditions=conditions,
        )

    @property
    def supposes(self) -> bool:
        """Whether the paths suppose that somebody pending, or who fills the latest cohort, has no DLT."""
        return self.proposal.action == "fill" or self.evaluated.n_pending > 0

    @property
    def followed(self) -> tuple[str, ...]:
        """What came of each decision of the committee on file, by the next one, where that can be told; and whether the latest was
        made on other data of the same day.
        """
        until = [*(one.as_of for one in self.recorded[1:]), date.max]
        words = [_came_of(one, last, self.evaluated) for one, last in zip(self.recorded, until, strict=False)]
        if self.recorded and not self.evaluated.later_dates:
            last = self.recorded[-1]
            if last.as_of == self.evaluated.as_of and last.data_sha256 != self.evaluated.sha256:
                words[-1] = "made on other data of this day than those shown here"
        return tuple(words)

    def __str__(self) -> str:
        return f"{self.binding} (binding): {self.proposal.words}: {self.proposal.reason}"


def next_dose(
    protocol: Protocol,
    patients: Patients,
    as_of: date | None = None,
    *,
    replay: bool = False,
    design: str | None = None,
    decisions: Path | str | None = None,
) -> NextDose:
    """What each design would do next in a trial, which one binds, and what would follow from each outcome.

    Parameters
    ----------
    protocol
        The protocol, from `load_protocol`. With amendments, the designs, doses and limits are those of the version in force at the
        data cut.
    patients
        What the data say, from `read_patients`.
    as_of, replay
        The data cut, and whether to go back to it; as for `dosefind.evaluate`.
    design
        The design that binds, in place of the protocol's.
    decisions
        File of the committee's decisions, if there is one.

    Returns
    -------
    NextDose

    Raises
    ------
    InputError
        If the data contradict themselves or the data cut, or the design is not among the protocol's.

    Examples
    --------
    >>> from dosefind import load_protocol, read_patients
    >>> protocol, folder = load_protocol("configs/nct05962762.toml"), "examples/nct05962762/midway"
    >>> patients = read_patients(f"{folder}/patients.csv", protocol, events=f"{folder}/events.csv")
    >>> next_dose(protocol, patients).proposal.words
    'fill the cohort at level 1, 1 patient'
    """
    of_type("protocol", protocol, Protocol, "load_protocol reads one from a file")
    evaluated = evaluate(patients, protocol, as_of, replay=replay)
    # From here on, the version in force at the data cutoff date; each patient was judged by the one of the first infusion.
    protocol = protocol.in_force(evaluated.as_of)
    designs = build_designs(protocol)
    binding = binding_of(protocol, designs, design)
    _refuse_levels_for_doses(evaluated, protocol)
    known = [one for one in read_decisions(decisions, protocol.record.id) if one.as_of <= evaluated.as_of] if decisions else []
    opened = {binding: _opened_by(known, evaluated)}
    proposals = {name: _proposal(one, evaluated, protocol.n_doses, opened.get(name)) for name, one in designs.items()}
    chosen = proposals[binding]
    # None stands for the protocol's largest group.
    most = designs[binding].max_n_per_dose or (None if designs[binding].bound_by_group else protocol.limits.max_n)
    outcomes = notation(evaluated.cohorts())
    attrs = {
        "as_of": evaluated.as_of.isoformat(),
        "as_of_assumed": int(evaluated.as_of_assumed),
        "data_sha256": evaluated.sha256,
        "outcomes": outcomes,
        "pending": ", ".join(subject for subjects in evaluated.pending for subject in subjects),
        "doses": ", ".join(f"{level} = {amount:g}" for level, amount in enumerate(protocol.doses.amounts, start=1)),
        "unit": protocol.doses.unit,
        "binding": binding,
        "next": chosen.words,
        "closing": evaluated.closing(),
        "notes": json.dumps(evaluated.notes),
    }
    return NextDose(
        evaluated=evaluated,
        proposals=proposals,
        binding=binding,
        start=_start(evaluated, protocol, chosen) if chosen.level else None,
        findings=tuple(findings(evaluated, protocol, most)),
        deviations=_deviations(designs, evaluated, protocol.n_doses),
        recorded=tuple(known),
        what_if=_what_if(designs, proposals, evaluated, protocol.n_doses),
        completions=_completions(proposals, evaluated),
        paths=_paths(designs[binding], chosen, evaluated, protocol),
        amounts=protocol.doses.amounts,
        attrs=attrs | stamp(protocol, conducts=True),
    )


def binding_of(protocol: Protocol, designs: dict[str, Design], design: str | None) -> str:
    """Name of the design that binds: the one asked for, the protocol's, or the first."""
    return one_of("design", design if design is not None else protocol.binding or next(iter(designs)), designs)


def _refuse_levels_for_doses(evaluated: Evaluated, protocol: Protocol) -> None:
    """Refuse data in which nobody has a dose of the protocol and every dose given is the number of a level."""
    given, levels = {one.amount for one in evaluated.patients}, range(1, protocol.n_doses + 1)
    if len(evaluated.unplaced) == len(evaluated.statuses) >= _FEW and given <= set(levels):
        doses = f"{', '.join(f'{one:g}' for one in protocol.doses.amounts)} {protocol.doses.unit}"
        raise InputError(Problem("dose", sorted(given), f"none is among {doses}: levels belong in the column level"))


# Patients of whom all may have been given a dose that the protocol does not have.
_FEW = 3


def _came_of(one: Recorded, until: date, evaluated: Evaluated) -> str:
    """Who was treated after a decision and by a day: the first who was not treated as decided, or else the first of all."""
    later = sorted((other for other in evaluated.statuses if one.as_of < other.first <= until), key=lambda other: other.first)
    if not later:
        return "nobody was treated since" if until == date.max else "nobody was treated before the next decision"
    # To wait, to resume, or to add a dose, says nothing of the level at which somebody is treated in the end.
    open_ = one.decision in ("wait", "resume") or one.decision.startswith("add dose")
    otherwise = [other for other in later if not open_ and one.decision != f"level {other.level}"]
    first = (otherwise or later)[0]
    where = f"level {first.level}" if first.level else "a dose that the protocol does not have"
    return f"{first.subject} was treated at {where} on {first.first}{', not as decided' * bool(otherwise)}"


def _start(evaluated: Evaluated, protocol: Protocol, chosen: Proposal) -> Start:
    """From when the next patient may start, and those who come with them."""
    toxic = [one.subject for one in evaluated.unplaced if one.otherwise == "dlt"]
    if toxic:
        who = f"a DLT of {', '.join(toxic)} at a dose that the protocol does not have"
        return Start(None, f"no date can be named: {who} is to be judged first, for no design counts it")
    level = chosen.level or 0
    start = earliest(evaluated, protocol, level, left=True).patient
    return start._replace(words="; ".join(filter(None, (start.words, in_turn(evaluated, protocol, level, chosen.size, start)))))


def _opened_by(known: list[Recorded], evaluated: Evaluated) -> Recorded | None:
    """The committee's decision that makes the latest cohort the trial's: its last word since the last patient before that cohort
    was treated, those of that day left out, if it names the cohort's level and no DLT came after it.
    """
    if not evaluated.members:
        return None
    latest, statuses = evaluated.members[-1], evaluated.statuses
    first = evaluated[latest.subjects[0]].first
    before = max((one.first for one in statuses if one.first < first), default=date.min)
    # To resume after a pause leaves the decision before it as it was.
    last = next((one for one in reversed(known) if one.as_of > before and one.decision != "resume"), None)
    if last is None or last.decision != f"level {latest.level}":
        return None
    unforeseen = any(one.kind == "dlt" and one.closed is not None and one.closed > last.as_of for one in statuses)
    return None if unforeseen else last


def _proposal(design: Design, evaluated: Evaluated, n_doses: int, opened: Recorded | None) -> Proposal:
    """What the design would do, and in the place of anything else, to fill the cohort that the committee has opened."""
    own = _by_its_rules(design, evaluated, n_doses)
    missing = _missing(design, evaluated, n_doses) if opened else 0
    if not opened or not missing or own.action == "fill":
        return own
    # Outcomes after which the design stops end what the committee has opened too.
    ways = [(way, step if step.level is None else _to_fill(step, evaluated, missing)) for way, step in own.completions]
    fill = _fill(evaluated, missing, tuple(ways))
    decided = f"the committee decided on it on {opened.as_of} ({opened.decision})"
    return replace(fill, reason=f"{fill.reason}; {decided}, by the design's rules alone: {own.words}")


def _by_its_rules(design: Design, evaluated: Evaluated, n_doses: int) -> Proposal:
    done = list(evaluated.completions())
    steps = [next_step(design, one.cohorts, n_doses) for one in done]
    missing = _missing(design, evaluated, n_doses) if _begun_by(design, evaluated, n_doses) else 0
    if not missing:
        return _settled(evaluated, done, steps)
    level = evaluated.members[-1].level
    # For each way in which the pending outcomes can come out, what follows each number of DLTs among those who are missing.
    ends = [
        [next_step(design, _filled(one.cohorts, evaluated, missing, dlts), n_doses) for dlts in range(missing + 1)] for one in done
    ]
    further = f"no outcome of {missing} further patient{'s' * (missing != 1)} would keep the trial at level {level}"
    left = [all(_below(end, level) for end in each) and _below(step, level) for each, step in zip(ends, steps, strict=True)]
    if all(left):
        return _settled(evaluated, done, steps, further)
    flat = [end for each in ends for end in each]
    if all(_below(end, level) for end in flat) and _agree(flat):
        return _settled(evaluated, done, [flat[0]] * len(done), further)
    then = [step if gone else _to_fill(step, evaluated, missing) for step, gone in zip(steps, left, strict=True)]
    return _fill(evaluated, missing, tuple(zip(done, then, strict=True)))


def _to_fill(step: NextStep, evaluated: Evaluated, missing: int) -> NextStep:
    """The step of going on with the latest cohort, in the place of another."""
    level = evaluated.members[-1].level
    return replace(step, action="fill", level=level, size=missing, admissible=(level,), mtd=None, not_reached=False)


def _fill(evaluated: Evaluated, missing: int, completions: tuple[tuple[Completion, NextStep], ...]) -> Proposal:
    latest, there = evaluated.members[-1], len(_counted(evaluated))
    reason = f"cohort {latest.cohort} has {there} of {there + missing} patients who count"
    ended = [step for _, step in completions if step.action != "fill"]
    if ended:
        reason += f"; if further DLTs among those pending end that: {_either(ended)}"
    return Proposal("fill", latest.level, missing, reason, (latest.level,), None, False, None, completions)


def _settled(evaluated: Evaluated, done: list[Completion], steps: list[NextStep], further: str = "") -> Proposal:
    """What a design does where nobody is missing, or where nobody else is to come for the reason given."""
    completions, first = tuple(zip(done, steps, strict=True)), steps[0]
    if not _agree(steps):
        return _waiting(evaluated, completions, further)
    reason = f"{first.reason}; {further}" if further else first.reason
    if len(steps) > 1:
        reason = f"whatever the outcomes still to come are; without a further DLT: {reason}"
    return Proposal(
        first.action, first.level, first.size, reason, first.admissible, first.mtd, first.not_reached, None, completions
    )


def _agree(steps: list[NextStep]) -> bool:
    return len({(one.action, one.level, one.size, one.mtd, one.not_reached) for one in steps}) == 1


def _below(step: NextStep, level: int) -> bool:
    return step.level is None or step.level < level


def _waiting(evaluated: Evaluated, completions: tuple[tuple[Completion, NextStep], ...], further: str) -> Proposal:
    pending = [evaluated[subject] for subjects in evaluated.pending for subject in subjects]
    unknown = [one.subject for one in pending if one.unresolved]
    names = ", ".join(one.subject for one in pending)
    said = f"it depends on the outcome of {names}: {_either([step for _, step in completions])}"
    if further:
        said += f"; {further}"
    if unknown:
        said += f"; no date can be named while data of {', '.join(unknown)} are wanting"
    until = None if unknown else max(one.end for one in pending)
    return Proposal("wait", None, 0, said, (), None, False, until, completions)


def _counted(evaluated: Evaluated) -> list[str]:
    """Patients of the latest cohort who count, now or once their outcome is known."""
    return [subject for subject in evaluated.members[-1].subjects if evaluated[subject].counts]


def _without_further(evaluated: Evaluated) -> list[Cohort]:
    """Cohorts if nobody pending has a DLT."""
    return next(evaluated.completions()).cohorts


def _begun_by(design: Design, evaluated: Evaluated, n_doses: int) -> bool:
    """Whether the design would have begun the latest cohort at its level; what it would not have begun it does not fill."""
    if not evaluated.members:
        return False
    counted = len(_counted(evaluated)) > 0
    before = [one.cohorts[:-1] if counted else one.cohorts for one in evaluated.completions()]
    return any(next_step(design, cohorts, n_doses).level == evaluated.members[-1].level for cohorts in before)


def _missing(design: Design, evaluated: Evaluated, n_doses: int) -> int:
    """How many patients the latest cohort wants to be full, within the design's limits."""
    if not evaluated.members:
        return 0
    counted = len(_counted(evaluated))
    cohorts = _without_further(evaluated)
    before = design.state_after(cohorts[:-1] if counted else cohorts, n_doses)
    level = np.full(1, evaluated.members[-1].level - 1)
    return max(0, int(design.size_within_limits(before, level)[0]) - counted)


def _filled(cohorts: list[Cohort], evaluated: Evaluated, missing: int, dlts: int) -> list[Cohort]:
    """Cohorts once the latest one is full, with so many DLTs among those who come in."""
    level = evaluated.members[-1].level
    if not _counted(evaluated):
        return [*cohorts, Cohort(level, missing, dlts)]
    last = cohorts[-1]
    return [*cohorts[:-1], Cohort(level, last.n + missing, last.dlts + dlts)]


def _short(step: NextStep) -> str:
    if step.level is not None:
        return f"{'fill ' * (step.action == 'fill')}level {step.level}"
    return stop_words(step.mtd, step.not_reached).partition(" (")[0]


def _either(steps: Sequence[NextStep]) -> str:
    # A stop is several words, so that a bare "or" would not show where an answer ends.
    return "; or ".join(dict.fromkeys(map(_short, steps)))


def _what_if(designs: dict[str, Design], proposals: dict[str, Proposal], evaluated: Evaluated, n_doses: int) -> pd.DataFrame:
    """What each design would do after each number of DLTs among the patients that it would have next; "or" where that depends on
    outcomes still to come.
    """
    import pandas as pd

    rows = []
    for name, one in proposals.items():
        if one.level is None:
            continue
        row: dict[str, Any] = {"design": name, "next": one.words}
        for dlts in range(one.size + 1):
            after = [_with_next(one, done.cohorts, evaluated, dlts) for done in evaluated.completions()]
            row[f"{dlts} DLT{'s' * (dlts != 1)}"] = _either([next_step(designs[name], cohorts, n_doses) for cohorts in after])
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def _with_next(one: Proposal, cohorts: list[Cohort], evaluated: Evaluated, dlts: int) -> list[Cohort]:
    """Cohorts with the next patients as a design would have them, and so many DLTs among these."""
    if one.action == "fill":
        return _filled(cohorts, evaluated, one.size, dlts)
    return [*cohorts, Cohort(one.level or 0, one.size, dlts)]


def _completions(proposals: dict[str, Proposal], evaluated: Evaluated) -> pd.DataFrame:
    """What each design would do, for each way in which the pending outcomes can come out."""
    import pandas as pd

    done = list(evaluated.completions())
    if len(done) == 1:
        return pd.DataFrame()
    cohorts = [one.cohort for one in evaluated.members]
    rows = []
    for number, one in enumerate(done):
        of = zip(cohorts, one.dlts, evaluated.pending, strict=True)
        further = ", ".join(f"{dlts} in cohort {cohort}" for cohort, dlts, who in of if who)
        row: dict[str, Any] = {"further DLTs": further, "ways": one.ways}
        for name, proposal in proposals.items():
            row[name] = _short(proposal.completions[number][1])
        rows.append(row)
    return pd.DataFrame(rows)


def _paths(design: Design, chosen: Proposal, evaluated: Evaluated, protocol: Protocol) -> pd.DataFrame:
    """The binding design's next cohorts, the latest one first filled up where it is not full."""
    import pandas as pd

    if chosen.level is None:
        return pd.DataFrame()
    cohorts = _without_further(evaluated)
    if chosen.action == "fill":
        cohorts = _filled(cohorts, evaluated, chosen.size, 0)
    table = paths_of(design, cohorts, protocol.n_doses, _AHEAD, protocol.truths, list(protocol.scenarios))
    table.attrs["after"] = notation(cohorts)
    return table


def _deviations(designs: dict[str, Design], evaluated: Evaluated, n_doses: int) -> dict[str, tuple[str, ...]]:
    """Where cohorts are not those of a trial that followed the design; the latest one may still be under way."""
    cohorts = _without_further(evaluated)
    found = {}
    for name, design in designs.items():
        under_way = _missing(design, evaluated, n_doses)
        words = design.deviations(_filled(cohorts, evaluated, under_way, 0) if under_way else cohorts, n_doses)
        if words:
            found[name] = words
    return found
