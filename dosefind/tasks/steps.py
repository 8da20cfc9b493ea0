"""What next in one trial: a decision, the paths of the next cohorts, decision tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from .._check import MOST_DOSES, of_type, one_of, whole
from ..config import Trial
from ..designs import TITEBOIN, Design
from ..designs.base import A_DESIGN, Beside
from ..designs.replay import departures, followed, state_after, state_later
from ..operating.paths import paths_of
from ..protocol import Protocol
from ..provenance import named_column
from ..shown import Shown
from ..threads import one_thread
from ..trial import (
    COUNT,
    NO_DOSE,
    WAIT,
    Cohort,
    Departure,
    States,
    TimedStates,
    check_cohorts,
    choice_labels,
    notation,
    parse_outcomes,
)
from ..words import _, n_days, n_patients

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "NextStep",
    "cohorts_of",
    "decide",
    "decision_table",
    "move_words",
    "next_step",
    "paths",
    "select",
    "step_from",
    "steps_from",
    "stop_words",
    "without_dlts",
]


@dataclass(frozen=True)
class NextStep(Shown):
    """What a design does next in one trial, and why.

    Attributes
    ----------
    action
        "start", "escalate", "stay", "de-escalate" or "stop"; of patients one by one also "fill", to go on with the latest cohort;
        "wait" where a design that decides with pending outcomes needs one of them.
    level
        Level of the next cohort, ``None`` to stop or wait.
    size
        Patients of the next cohort.
    reason
        Why, in words.
    admissible
        Levels that the design's rules leave open for the next cohort; none at the planned end.
    mtd
        Where the trial stops: "none" or the level selected as MTD.
    not_reached
        Where the trial stops: whether the top dose is named and the rule would have escalated from it.
    assumes
        What was assumed to decide, empty if nothing.
    deviations
        Where the outcomes are not those of a trial that followed the design; none if they are.
    rule
        Name of the rule that decides, one of the design's ``reasons``, such as "too_toxic".
    """

    action: Literal["start", "fill", "escalate", "stay", "de-escalate", "stop", "wait"]
    level: int | None
    size: int
    reason: str
    admissible: tuple[int, ...]
    mtd: str | None = None
    not_reached: bool = False
    assumes: str = ""
    deviations: tuple[Departure, ...] = ()
    rule: str = ""

    @property
    def words(self) -> str:
        """Return the action in a few words."""
        if self.action == "wait":
            return _("wait")
        if self.level is None:
            return stop_words(self.mtd, self.not_reached)
        return move_words(self.action, self.level, self.size)

    def __str__(self) -> str:
        text = f"{self.words}: {self.reason}"
        text = f"{text} ({self.assumes})" if self.assumes else text
        deviation = _("deviation: {words}")
        return "\n".join([text, *(f"  {deviation.format(words=words)}" for words in self.deviations)])


def move_words(action: str, level: int, size: int) -> str:
    """Return the next cohort in a few words: the move, the level and the number of patients."""
    words = {
        "start": _("start at level {level}, {patients}"),
        "fill": _("complete the current cohort at level {level}, {patients}"),
        "escalate": _("escalate to level {level}, {patients}"),
        "stay": _("stay at level {level}, {patients}"),
        "de-escalate": _("de-escalate to level {level}, {patients}"),
    }
    return words[action].format(level=level, patients=n_patients(size))


def stop_words(mtd: str | None, not_reached: bool, *, explained: bool = True) -> str:
    """Return that the trial stops, and what is selected as MTD, if anything; ``explained``: with what "not reached" means."""
    if mtd is None:
        return _("stop")
    if mtd == "none":
        return _("stop, no MTD")
    words = _("stop, MTD level {level}")
    if not_reached:
        words = _("stop, MTD level {level}, not reached")
        words = _("stop, MTD level {level}, not reached (that level or above)") if explained else words
    return words.format(level=mtd)


@one_thread
def decide(design: Design, outcomes: str | Sequence[Cohort], *, n_doses: int | None = None) -> NextStep:
    """Decide the next step of a design in one trial, with its reason.

    Outcomes that the design would not have led to are accepted, for real trials deviate; the answer lists where they do.

    Parameters
    ----------
    design
        The design.
    outcomes
        Outcome notation such as ``"1NNN 2NNT"``, or cohorts.
    n_doses
        Number of dose levels. If neither this nor the design says it, a level above the highest one treated is assumed to
        exist, and the result says so.

    Returns
    -------
    NextStep

    Raises
    ------
    InputError
        If the outcomes are not in the notation, or name a level that there is not.

    Examples
    --------
    >>> from dosefind import BOIN
    >>> print(decide(BOIN(target=0.30), "1NNN 2NNT", n_doses=3))
    stay at level 2, 3 patients: 1 DLT in 3 patients at level 2, a rate of 33.3% between 23.6% and 35.9%
    """
    of_type("design", design, Design, A_DESIGN)
    cohorts = cohorts_of(outcomes)
    known = n_doses if n_doses is not None else design.known_doses
    highest = max((c.level for c in cohorts), default=design.start)
    levels = whole("n_doses", known if known is not None else highest + 1, 1, MOST_DOSES)
    design = design.with_settings(n_doses=levels)
    states = followed(design, cohorts, levels)
    return replace(
        step_from(design, states[-1], None),
        assumes=""
        if known is not None
        else _("number of dose levels not given: level {level} is assumed to exist").format(level=levels),
        deviations=departures(design, cohorts, levels, states),
    )


@one_thread
def select(design: Design, n: Any, y: Any) -> int | list[int | None] | None:
    """Select the MTD by a design's final choice, from counts alone.

    Parameters
    ----------
    design
        The design.
    n, y : (doses,) or (trials, doses) arrays
        Patients and DLTs at each level.

    Returns
    -------
    int, None or list
        The level selected as MTD, from 1, ``None`` if no dose is; a list of these for several trials.

    Raises
    ------
    InputError
        If an entry is not a count, the shapes differ, or a level has more DLTs than patients.

    Examples
    --------
    >>> from dosefind import BOIN
    >>> select(BOIN(target=0.30), [3, 3, 15, 9, 0], [0, 0, 4, 4, 0])
    3
    """
    of_type("design", design, Design, A_DESIGN)
    states = States.counts(n, y)
    chosen = [dose + 1 if dose >= 0 else None for dose in design.select(states).dose.tolist()]
    return chosen if np.ndim(n) == 2 else chosen[0]


def next_step(design: Design, cohorts: Sequence[Cohort], n_doses: int, others: Sequence[Cohort] = ()) -> NextStep:
    """Return what the design does next after these cohorts, wherever they deviate from it.

    Parameters
    ----------
    design
        The design.
    cohorts
        Cohorts of the escalation, in their order.
    n_doses
        Number of dose levels.
    others
        Counts beside the escalation, by level; they never move the current dose.

    Returns
    -------
    NextStep
    """
    return step_from(design, state_after(design, cohorts, n_doses), Beside.of(others, n_doses))


def step_from(design: Design, state: States, beside: Beside | None) -> NextStep:
    """Return what the design does next in a single state, with counts beside the escalation if there are any."""
    return with_reason(design, steps_from(design, state, beside)[0], state, beside)


def with_reason(design: Design, step: NextStep, state: States, beside: Beside | None) -> NextStep:
    """Return a step of `steps_from` with its reason in full."""
    # A design of the user's own may know nothing of counts beside the escalation.
    reason = design.because(state) if beside is None else design.because(state, beside)
    return replace(step, reason="; ".join([reason, step.reason]) if step.reason else reason)


def steps_from(design: Design, states: States, beside: Beside | None) -> list[NextStep]:
    """Return what the design does next in each state, with no more of the reason than what `Design.because` leaves out."""
    decision = design.decide(states, beside)
    stops = np.flatnonzero(decision.dose == NO_DOSE)
    seen = states if beside is None else design.with_beside(states, beside)
    named: dict[int, tuple[int, bool]] = {}
    if len(stops):
        selection = design.select(seen.take(stops))
        chosen = zip(selection.dose.tolist(), selection.not_reached.tolist(), strict=True)
        named = dict(zip(stops.tolist(), chosen, strict=True))
    labels, found = choice_labels(states.n_doses), []
    for row, (dose, size, code) in enumerate(zip(decision.dose, decision.size, decision.reason, strict=True)):
        name = design.reasons[int(code)]
        mtd, not_reached = named.get(row, (None, False))
        unqualified = mtd is not None and mtd < 0 and name in ("max_n", "dose_full", "n_at_dose")
        found.append(
            NextStep(
                action="stop" if row in named else name,  # type: ignore[arg-type]
                level=int(dose) + 1 if dose >= 0 else None,
                size=int(size),
                reason=_("no dose qualifies as MTD") if unqualified else "",
                admissible=tuple((np.flatnonzero(decision.admissible[row]) + 1).tolist()),
                mtd=None if mtd is None else labels[mtd + 1],
                not_reached=not_reached,
                rule=name,
            )
        )
    return found


def cohorts_of(outcomes: str | Sequence[Cohort], n_doses: int | None = None, place: str = "") -> list[Cohort]:
    """Return cohorts of outcomes that may be in the notation, checked as by `check_cohorts`."""
    if isinstance(outcomes, Sequence) and not isinstance(outcomes, str) and all(isinstance(c, Cohort) for c in outcomes):
        return check_cohorts(outcomes, n_doses, place)
    # What is neither is refused there.
    return check_cohorts(parse_outcomes(cast(str, outcomes)), n_doses, place)


@one_thread
def paths(trial: Trial | Protocol, design: str, *, cohorts: int = 2, outcomes: str = "") -> pd.DataFrame:
    """Enumerate the paths of the next cohorts of one of the protocol's designs, with the decision after each.

    Parameters
    ----------
    trial
        The trial, or its protocol.
    design
        Name of one of its designs.
    cohorts
        How many cohorts to look ahead.
    outcomes
        Outcomes so far, in outcome notation; none by default.

    Returns
    -------
    pandas.DataFrame
        One row per path; see `dosefind.operating.paths.paths_of`. The last columns, ``scenario: NAME``, are its
        probability under each scenario.
        ``attrs["note"]`` explains the columns, and says where the outcomes so far deviate from the design, as ``deviations``
        lists it.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> paths(load_trial("configs/nct05962762.toml"), "3+3", cohorts=1)[["path", "next", "mtd"]]
       path  next   mtd
    0  1NNN     2
    1  1NNT     1
    2  1NTT  stop  none
    3  1TTT  stop  none
    """
    trial = Trial.of(trial)
    protocol, chosen = trial.protocol, _named_design(trial, design)
    done = parse_outcomes(outcomes)
    columns = [named_column("scenario", name) for name in protocol.scenarios]
    states = followed(chosen, done, protocol.n_doses)
    table = paths_of(chosen, states[-1], cohorts, protocol.truths, columns)
    deviations = departures(chosen, done, protocol.n_doses, states)
    table.attrs["deviations"] = list(deviations)
    if deviations:
        words = _("The outcomes so far deviate from the design: {deviations}.")
        table.attrs["note"] += " " + words.format(deviations="; ".join(map(str, deviations)))
    return table


@one_thread
def decision_table(trial: Trial | Protocol, design: str) -> pd.DataFrame:
    """Return the decision table of one of the protocol's designs.

    Parameters
    ----------
    trial
        The trial, or its protocol.
    design
        Name of one of its designs.

    Returns
    -------
    pandas.DataFrame
        The design's own table where its decisions depend on the current dose alone; else the ``next`` level or "stop" after each
        number of DLTs at each dose, reached by a straight climb, with the ``mtd``, whether it is ``not_reached`` ("yes") and the
        name of the ``reason`` where the trial stops; several rows where that depends on the order of the outcomes.
        ``attrs["note"]`` says which, and ``attrs["assumes"]`` what a table without pending outcomes supposes of a design that
        decides with them.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> decision_table(load_trial("configs/nct05962762.toml"), "3+3").iloc[:3, :5]
       level  n  dlts  next   mtd
    0      1  3     0     2
    1      1  3     1     1
    2      1  3     2  stop  none
    """
    trial = Trial.of(trial)
    protocol, chosen = trial.protocol, _named_design(trial, design)
    if chosen.reads == "pending":
        return _pending_table(chosen)
    if isinstance(chosen, TITEBOIN):
        return _follow_up_table(chosen, chosen.max_n or protocol.limits.max_n)
    own = getattr(chosen, "table", None)
    if own is None:
        table = _climb_table(chosen, protocol.n_doses)
        if assumes := _supposed(chosen, protocol):
            table.attrs["assumes"] = assumes
        return table
    table = own(max_n=chosen.max_n or protocol.limits.max_n)
    full = chosen.max_n_per_dose
    note = _(
        "DLTs among the patients at the current dose that lead to each move; elimination takes that dose and all above. At the "
        "lowest level de-escalating means staying, unless it is eliminated, which stops the trial; at the top level escalating "
        "means staying."
    )
    if full is not None:
        note += " " + _("Where the move leads to a dose that has {full} patients, the trial stops.").format(full=full)
    table.attrs["note"] = note
    return table.reset_index()


@one_thread
def without_dlts(trial: Trial | Protocol) -> pd.DataFrame:
    """Follow each of the protocol's designs through a trial without a DLT.

    Parameters
    ----------
    trial
        The trial, or its protocol.

    Returns
    -------
    pandas.DataFrame
        One row per design: its ``path`` in outcome notation, how many ``patients`` it treats, the ``mtd`` selected in the end,
        whether the MTD is ``not_reached``, and the ``reason`` for which it stops.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> print(*without_dlts(load_trial("configs/nct05962762.toml")).loc[0, ["path", "patients", "mtd"]])
    1NNN 2NNN 3NNN 9 3
    """
    import pandas as pd

    trial = Trial.of(trial)
    protocol = trial.protocol
    rows = []
    for name, design in trial.designs.items():
        cohorts: list[Cohort] = []
        state = state_after(design, cohorts, protocol.n_doses)
        step = step_from(design, state, None)
        while step.level is not None:
            cohorts.append(Cohort(step.level, step.size, 0))
            state = state_later(design, state, cohorts[-1])
            step = step_from(design, state, None)
        patients = sum(cohort.n for cohort in cohorts)
        found = {"path": notation(cohorts), "patients": patients, "mtd": step.mtd, "not_reached": step.not_reached}
        rows.append({"design": name, **found, "reason": step.reason})
    return pd.DataFrame(rows)


def _named_design(trial: Trial, name: str) -> Design:
    """Return the trial's design of that name."""
    return trial.designs[one_of("design", name, trial.designs)]


def _supposed(design: Design, protocol: Protocol) -> str:
    """Return what the table of a design that decides by follow-up supposes of it, in words; empty for other designs."""
    days = n_days(protocol.treatment.dlt_window_days)
    if design.reads == "follow-up":
        words = _(
            "{title}: every outcome is known, that is every patient without a DLT has been followed for the DLT window of {days} "
            "(weight 1). With outcomes pending the decision also depends on the follow-up of each patient: dosefind next gives it."
        )
        return words.format(title=_(design.title), days=days)
    if design.reads == "exposure":
        words = _(
            "{title}: every patient without a DLT has completed the course of infusions as planned, followed up for {days}, and of "
            "a DLT it is only known that it came within these days. With parts of courses the decision also depends on exposure "
            "and the infusion after which each DLT came: dosefind next gives it."
        )
        return words.format(title=_(design.title), days=days)
    return ""


# Cohorts at one level that a decision table follows.
_TABLE_COHORTS = 4


def _pending_table(design: Design) -> pd.DataFrame:
    """Return what a design does at a dose after each number of patients, DLTs and pending outcomes.

    The dose is the second of three, the lowest one tolerated in six patients, so that every move is possible.
    """
    import pandas as pd

    design = design.with_settings(n_doses=3, start=1, max_n=None)
    most = design.most_per_dose or 6
    counts = [(n, y, c) for n in range(1, most + 1) for y in range(n + 1) for c in range(n - y + 1)]
    n, y, c = (np.zeros((len(counts), 3), COUNT) for _ in range(3))
    n[:, 0] = most
    n[:, 1], y[:, 1], c[:, 1] = np.array(counts, COUNT).T
    at = np.ones(len(counts), COUNT)
    dose = design.decide(TimedStates(n, y, at, at, 0 * at, n[:, 0] + n[:, 1], np.zeros((len(counts), 0), COUNT), pending=c)).dose
    moves = {2: "escalate", 1: "stay", WAIT: "wait"}
    rows = [(*count, moves.get(int(index), "not tolerated")) for count, index in zip(counts, dose, strict=True)]
    # More DLTs than are needed to close a dose say nothing new.
    closed = min((y for _, y, _, move in rows if move == "not tolerated"), default=most)
    table = pd.DataFrame([row for row in rows if row[1] <= closed], columns=["n_patients", "dlts", "pending", "move"])
    table.attrs["note"] = _(
        "What follows at a dose after patients, DLTs and pending outcomes there; patients include those pending. A dose that is "
        "not tolerated and every dose above it are closed. At the top dose escalating means waiting for six outcomes."
    )
    return table


def _follow_up_table(design: TITEBOIN, max_n: int) -> pd.DataFrame:
    """Return what TITE-BOIN does at a dose at the numbers of patients at which cohorts are complete."""
    size = design.one_size
    table = design.pending_table(max_n, None if size is None else range(size, max_n + 1, size))
    table.attrs["note"] = _(
        "{title}: decision after a number of patients at the current dose, pending ones included. Where follow-up makes a "
        "difference: escalate once the days of follow-up of the pending patients without a DLT add up to at least the first "
        "number, de-escalate while they add up to at most the second (DLT window of {window} days). To eliminate a dose takes all "
        "above it. At the lowest level de-escalating means staying, unless it is eliminated, which stops the trial; at the top "
        "level escalating means staying."
    ).format(title=design.title, window=design.window_days)
    table.attrs["thresholds"] = _("{title}: days of follow-up of the pending patients in total, DLT window {window} days").format(
        title=design.title, window=design.window_days
    )
    if design.gate_days:
        table.attrs["note"] += " " + _("Escalation also awaits {days} days of follow-up of each pending patient.").format(
            days=design.gate_days
        )
    return table


def _climb_table(design: Design, n_doses: int) -> pd.DataFrame:
    """Return the next level after every outcome at each level, without a DLT at any lower level."""
    import pandas as pd

    found: dict[tuple[int, int, int], set[tuple[str, str, str, str]]] = {}
    for level, below in _clean_climb(design, n_doses).items():
        front: dict[tuple[int, ...], States] = {(): below}
        for _cohort in range(_TABLE_COHORTS):
            following: dict[tuple[int, ...], States] = {}
            for state in front.values():
                decision = design.decide(state)
                if int(decision.dose[0]) != level - 1:
                    continue
                for dlts in range(int(decision.size[0]) + 1):
                    later = state_later(design, state, Cohort(level, int(decision.size[0]), dlts))
                    n, y = int(later.n[0, level - 1]), int(later.y[0, level - 1])
                    found.setdefault((level, n, y), set()).add(_following(design, later))
                    following[n, y, dlts] = later
            front = following
    rows = [(*place, *decision) for place in sorted(found) for decision in sorted(found[place])]
    table = pd.DataFrame(rows, columns=["level", "n", "dlts", "next", "mtd", "not_reached", "reason"])
    goes_back = any(following != "stop" and int(following) < level for level, _n, _dlts, following, *_ in rows)
    note = _(
        "Next level by number of DLTs among n patients at a level, for up to {cohorts} cohorts there and no DLT at lower levels. "
        "If the trial stops: the MTD and the reason. Several decisions: the decision depends on the order of the outcomes."
    ).format(cohorts=_TABLE_COHORTS)
    if design.reads != "complete":
        note += " " + _(
            "Every outcome is taken as known: with outcomes pending the decision depends on the follow-up of each patient."
        )
    if goes_back:
        note += " " + _("Rows apply while the trial escalates: decisions after a return to a level are not shown.")
    table.attrs["note"] = note
    return table


def _following(design: Design, state: States) -> tuple[str, str, str, str]:
    """Return the level of a state's next cohort, or a stop with the selected MTD, whether it is not reached, and the reason."""
    decision = design.decide(state)
    if decision.dose[0] >= 0:
        return str(decision.dose[0] + 1), "", "", ""
    selection = design.select(state)
    mtd = choice_labels(state.n_doses)[int(selection.dose[0]) + 1]
    return "stop", mtd, "yes" * bool(selection.not_reached[0]), design.reasons[int(decision.reason[0])]


def _clean_climb(design: Design, n_doses: int) -> dict[int, States]:
    """Return states after cohorts without a DLT from which the design first gives each level, of those that it does not skip."""
    found: dict[int, States] = {}
    state = state_after(design, [], n_doses)
    while n_doses not in found and state.cohorts[0] <= 100:
        decision = design.decide(state)
        level = int(decision.dose[0]) + 1
        if level < 1:
            break
        if level > max(found, default=0):
            found[level] = state
        state = state_later(design, state, Cohort(level, int(decision.size[0]), 0))
    return found
