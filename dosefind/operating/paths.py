"""Every path of the next cohorts of one trial, with the decision after each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import comb

from .._check import InputError, Problem, whole
from ..designs import Decision, Design, Selection
from ..threads import one_thread
from ..trial import COUNT, States, choice_labels

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["paths_of"]

# More rows than anybody reads.
MOST_PATHS = 100_000


@one_thread
def paths_of(design: Design, begin: States, cohorts: int, truths: np.ndarray, columns: list[str]) -> pd.DataFrame:
    """Return every path of the next cohorts.

    Parameters
    ----------
    design
        The design, with its limits.
    begin
        State of the trial so far, as returned by `dosefind.designs.replay.state_after`.
    cohorts
        Number of cohorts to look ahead; paths that stop earlier end there.
    truths : (scenarios, doses) array
        Scenarios in which to give each path's probability; may have no rows.
    columns
        Columns of the probabilities in each scenario, all different from the columns below.

    Returns
    -------
    pandas.DataFrame
        One row per path: ``path`` in outcome notation (a cohort's DLTs listed last), ``ways``, the number of orders of its
        patients, the ``next`` level or "stop" after it, the ``reason`` in words, the ``mtd`` selected if it stops and whether that
        is ``not_reached`` ("yes": it is the top dose, from which the rule would have escalated), and the probability in each
        scenario.
    """
    import pandas as pd

    whole("cohorts", cohorts, 1, 1000)
    states = begin
    decision = design.decide(states)
    text, ways = [""], np.ones(1)
    finished: list[pd.DataFrame] = []
    for step in range(cohorts + 1):
        over = (decision.dose < 0) | (step == cohorts)
        finished.append(_rows(design, states, decision, text, ways, np.flatnonzero(over)))
        going = np.flatnonzero(~over)
        if not len(going):
            break
        size = decision.size[going]
        parent = np.repeat(going, size + 1)
        dlts = np.concatenate([np.arange(s + 1) for s in size]).astype(COUNT)
        if len(parent) > MOST_PATHS:
            raise InputError(Problem("cohorts", cohorts, f"makes more than {MOST_PATHS:,} paths: look fewer cohorts ahead"))
        dose, sizes = decision.dose[parent].astype(COUNT), decision.size[parent].astype(COUNT)
        ways = ways[parent] * comb(sizes, dlts)
        text = [f"{text[p]} {d + 1}{'N' * (s - t)}{'T' * t}".strip() for p, d, s, t in zip(parent, dose, sizes, dlts, strict=True)]
        states = replace(states, memory=decision.memory).follow(parent, dose, sizes, dlts)
        decision = design.decide(states)
    table = pd.concat(finished, ignore_index=True)
    note = (
        "A path lists the DLTs of a cohort last; ways: number of orders of its patients with these outcomes; next, "
        "reason: the decision after it; mtd: the dose selected if it stops; not_reached: whether that is the top dose or above; "
        "for "
        "each scenario the probability of the path, all orders together."
    )
    shown = _with_probabilities(table, begin, truths, columns).drop(columns=["n", "y"])
    shown = shown.sort_values("path", key=lambda column: column.map(_order), ignore_index=True)
    shown.attrs["note"] = note
    return shown


def _rows(design: Design, states: States, decision: Decision, text: list[str], ways: np.ndarray, rows: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    some = states.take(rows)
    names = choice_labels(states.n_doses)
    chosen = design.select(some) if len(rows) else Selection(np.zeros(0, int), np.zeros(0, bool))
    dose = decision.dose[rows]
    return pd.DataFrame(
        {
            "path": [text[r] for r in rows],
            "ways": ways[rows].astype(int),
            "next": [str(d + 1) if d >= 0 else "stop" for d in dose],
            "reason": [design.in_words(design.reasons[r]) for r in decision.reason[rows]],
            "mtd": [names[c + 1] if d < 0 else "" for c, d in zip(chosen.dose, dose, strict=True)],
            "not_reached": ["yes" if beyond and d < 0 else "" for beyond, d in zip(chosen.not_reached, dose, strict=True)],
            "n": list(some.n),
            "y": list(some.y),
        }
    )


def _with_probabilities(table: pd.DataFrame, before: States, truths: np.ndarray, columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    n, y = np.array(table["n"].tolist()) - before.n, np.array(table["y"].tolist()) - before.y
    chances = {
        column: table["ways"] * np.prod(truth**y * (1 - truth) ** (n - y), axis=1)
        for column, truth in zip(columns, truths, strict=True)
    }
    return pd.concat([table, pd.DataFrame(chances, index=table.index)], axis=1)


def _order(path: str) -> tuple[tuple[str, int], ...]:
    """Return paths in the usual order: cohort by cohort, fewer DLTs first."""
    return tuple((token.rstrip("NT"), token.count("T")) for token in path.split())
