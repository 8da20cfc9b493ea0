"""Every decision that a design can reach, as a graph: from the first cohort to the end, with what each outcome leads to."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np

from .._check import InputError
from ..designs import Design
from ..trial import COUNT, NO_DOSE, States, choice_labels
from ..words import _
from .steps import NextStep, step_from

__all__ = ["MOST_NODES", "DecisionGraph", "decision_graph"]

# Cohorts whose decisions are kept one by one, each with its reason in full.
EXPLAINED = 3
# More decisions than this at one cohort are not explained one by one.
MOST_EXPLAINED = 400
MOST_NODES = 60_000


@dataclass(frozen=True)
class DecisionGraph:
    """Decisions of a design, the nodes of a graph in the order of their cohorts; node 0 is the start.

    Attributes
    ----------
    dose : (nodes,) integer array
        Dose index of the next cohort, -1 to stop.
    size : (nodes,) integer array
        Patients in the next cohort, 0 if the trial stops.
    choice : (nodes,) integer array
        Where the trial stops: index of the dose selected as MTD, -1 for none; -1 elsewhere.
    words, reason : (nodes,) integer arrays
        Positions in ``texts`` of the decision in words and of its reason.
    children : integer array
        For each node that goes on, in order, the node after each number of DLTs in the next cohort, 0 to its size. It ends before
        the nodes of the last cohort that was followed, if the design was not followed to its end.
    texts : tuple of str
        Each text once.
    explained : int
        Number of leading nodes whose reason states the counts on which it depends.
    """

    dose: np.ndarray
    size: np.ndarray
    choice: np.ndarray
    words: np.ndarray
    reason: np.ndarray
    children: np.ndarray
    texts: tuple[str, ...]
    explained: int


def decision_graph(design: Design, n_doses: int, most_nodes: int = MOST_NODES) -> DecisionGraph:
    """Follow a design from its first cohort, every outcome known, to the end or to as many nodes as are allowed.

    Nodes of the first cohorts are the paths themselves; later ones are merged if they share counts, decision and memory.

    Examples
    --------
    >>> from dosefind import ThreePlusThree
    >>> graph = decision_graph(ThreePlusThree(), 3)
    >>> [graph.texts[graph.words[node]] for node in graph.children[:4]]
    ['escalate to level 2, 3 patients', 'stay at level 1, 3 patients', 'stop, no MTD', 'stop, no MTD']
    """
    if design.tracks != ("dlt",):
        raise InputError(f"{design.title} also counts {' and '.join(design.tracks[1:])}")
    texts, parts, children = _Texts(), [], []
    states = States.before_first(n_doses, (0,) * design.n_memory)
    total, explained, cohort, counted_one_by_one = 0, 0, 0, True
    while len(states):
        decision = design.decide(states)
        counted_one_by_one &= cohort <= EXPLAINED and len(states) <= MOST_EXPLAINED
        if counted_one_by_one:
            kept, place = np.arange(len(states)), np.arange(len(states))
        else:
            columns = (states.n, states.y, decision.memory, *(v[:, None] for v in (decision.dose, decision.size, decision.reason)))
            place, kept = _merged(np.hstack(columns))
        if cohort > 0:
            children.append(total + place)
        seen = states.take(kept)
        dose, size, reason = (values[kept] for values in (decision.dose, decision.size, decision.reason))
        choice, not_reached = np.full(len(kept), NO_DOSE), np.zeros(len(kept), bool)
        stops = np.flatnonzero(dose == NO_DOSE)
        if len(stops):
            selection = design.select(seen.take(stops))
            choice[stops], not_reached[stops] = selection.dose, selection.not_reached
        if counted_one_by_one:
            steps = [step_from(design, seen.take(np.array([row])), None) for row in range(len(kept))]
            explained += len(kept)
            words = [texts.place(step.words) for step in steps]
            reasons = [texts.place(step.reason) for step in steps]
        else:
            kinds = zip(*(values.tolist() for values in (dose, size, reason, choice, not_reached)), strict=True)
            words, reasons = np.array([texts.of_kind(design, n_doses, kind) for kind in kinds]).reshape(-1, 2).T
        parts.append((dose, size * (dose >= 0), choice, words, reasons))
        total += len(kept)
        going = np.flatnonzero(dose >= 0)
        if total + int((size[going] + 1).sum()) > most_nodes:
            break
        outcomes = size[going].astype(int) + 1
        parent = np.repeat(going, outcomes)
        dlts = np.arange(len(parent)) - np.repeat(np.cumsum(outcomes) - outcomes, outcomes)
        after = replace(seen, memory=decision.memory[kept])
        states = after.follow(parent, dose[parent].astype(COUNT), size[parent].astype(COUNT), dlts.astype(COUNT)).grouped()
        cohort += 1
    dose, size, choice, words, reasons = (np.concatenate(column).astype(int) for column in zip(*parts, strict=True))
    linked = np.concatenate(children) if children else np.zeros(0, int)
    return DecisionGraph(dose, size, choice, words, reasons, linked, tuple(texts.places), explained)


def _merged(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the group of each row among those that are equal, and the first row of each group."""
    _distinct, first, group = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return group.reshape(-1), first


class _Texts:
    """Texts, each kept once."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self._kinds: dict[Hashable, tuple[int, int]] = {}

    def place(self, text: str) -> int:
        return self.places.setdefault(text, len(self.places))

    def of_kind(self, design: Design, n_doses: int, kind: tuple[int, int, int, int, bool]) -> tuple[int, int]:
        """Return the places of a decision in words, and of the sentence of its reason without the counts."""
        if kind not in self._kinds:
            dose, size, reason, choice, not_reached = kind
            rule, labels = design.reasons[reason], choice_labels(n_doses)
            level = dose + 1 if dose >= 0 else None
            mtd = labels[choice + 1] if dose == NO_DOSE else None
            action = "stop" if dose == NO_DOSE else rule
            step = NextStep(action, level, size, "", (), mtd, not_reached)  # type: ignore[arg-type]
            why = design.explain(rule)
            if mtd == "none" and rule in ("max_n", "dose_full", "n_at_dose"):
                why = _("{reason}; no dose qualifies as MTD").format(reason=why)
            self._kinds[kind] = self.place(step.words), self.place(why)
        return self._kinds[kind]
