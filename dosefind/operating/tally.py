"""Operating characteristics of a design as weighted sums over ended trials.

Exact enumeration and simulation both yield rows of ended trials; they differ in the weights of these rows. Every operating
characteristic is the weighted mean of a column computed from a row, so one matrix product gives all of them in all scenarios.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..designs import Design

__all__ = [
    "FIGURES",
    "OVERDOSE_SHARES",
    "SUMS",
    "Days",
    "EndedTrials",
    "Figures",
    "Labels",
    "Measures",
    "OfOneSize",
    "Visited",
    "means",
    "weighted",
]

# Number of scenarios up to which counting by label is faster than a matrix product with indicators.
_FEW = 16

OVERDOSE_SHARES = {"over_60": 6, "over_80": 8}


class OfOneSize:
    """The visits of trials whose cohorts all have one size, which follow from the patients at each dose.

    ``visits[rows]`` is an array ``(rows, 2, doses)``, as of a plain array of visits.
    """

    def __init__(self, n: np.ndarray, size: int) -> None:
        self.n, self.size = n, size

    def __getitem__(self, rows: slice) -> np.ndarray:
        n = self.n[rows]
        return np.stack([-(-n // self.size), (n > 1) & (self.size > 1)], axis=1).astype(float)


Visited = np.ndarray | OfOneSize
"""Cohorts at each dose, and whether the first of them had more than one patient, ``(rows, 2, doses)``, read by rows."""
Days = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Minimum duration of trials in days, from the patients at each dose, (trials, doses), and the visits of `EndedTrials`."""
Figures = dict[str, np.ndarray]
"""Operating characteristics by name, ``(scenarios,)`` or ``(scenarios, k)``."""

# Operating characteristic -> its own dimension, None for a single number per scenario.
FIGURES = {
    "selected": "choice",
    "not_reached": None,
    "patients": "dose",
    "dlts": "dose",
    "responses": "dose",
    "treated_from": "dose",
    "any_dlt": None,
    "stopped": "reason",
    "mean_n": None,
    "sample_size": "n_patients",
    "over_60": None,
    "over_80": None,
    "days": None,
}


# Operating characteristics that are sums of the patients at each dose, ``(..., doses)``, in a trial or in the mean.
SUMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "treated_from": lambda patients: patients[..., ::-1].cumsum(axis=-1)[..., ::-1],
    "mean_n": lambda patients: patients.sum(axis=-1, keepdims=True),
}


class Labels(NamedTuple):
    """One of ``number`` labels for each trial, ``(rows,)``: the mean of its indicators is the distribution of the label."""

    of: np.ndarray
    number: int


Measures = dict[str, "np.ndarray | Labels"]
"""By name, labels or the columns ``(rows, k)`` of numbers."""


@dataclass(frozen=True)
class EndedTrials:
    """Rows of ended trials.

    Attributes
    ----------
    design
        The design that ended them.
    n, y : (rows, doses) integer arrays
        Patients and DLTs at each dose.
    choice : (rows,) integer array
        Index of the dose selected as MTD, -1 for none.
    not_reached : (rows,) bool array
        Whether the top dose is selected and the rule would have escalated from it.
    reason : (rows,) integer array
        Position of the reason in the design's ``reasons``.
    visits
        See `Visited`.
    more : tuple of (rows, doses) integer arrays
        Outcomes that the design tracks besides DLTs.
    """

    design: Design
    n: np.ndarray
    y: np.ndarray
    choice: np.ndarray
    not_reached: np.ndarray
    reason: np.ndarray
    visits: Visited
    more: tuple[np.ndarray, ...] = ()

    def __len__(self) -> int:
        return len(self.n)

    @property
    def n_doses(self) -> int:
        return self.n.shape[1]

    @property
    def largest_sample(self) -> int:
        return int(self.n.sum(axis=1).max())

    def measures(self, rows: slice, days: Days | None, largest_sample: int, safe: np.ndarray | None = None) -> Measures:
        """Return what the operating characteristics are means of, except those that are `SUMS` of others.

        Parameters
        ----------
        rows
            The trials.
        days
            See `Days`.
        largest_sample
            Largest number of patients that has a label; the labels begin at 0.
        safe : integer array or None
            Numbers of doses that are not overdoses for which the overdosing columns are needed; ``None`` for all, 0 to the number
            of doses.
        """
        n, y = (np.asfortranarray(counts[rows], float) for counts in (self.n, self.y))
        total = self.n[rows].T.sum(axis=0, dtype=int)
        measures: Measures = {
            "selected": Labels(self.choice[rows] + 1, self.n_doses + 1),
            "not_reached": self.not_reached[rows, None].astype(float),
            "patients": n,
            "dlts": y,
            **({"responses": self.more[0][rows].astype(float)} if self.more else {}),
            "any_dlt": (self.y[rows].T.any(axis=0)).astype(float)[:, None],
            "stopped": Labels(self.reason[rows], len(self.design.reasons)),
            "sample_size": Labels(total, largest_sample + 1),
        }
        from_dose = np.zeros((self.n_doses + 1, len(n)))
        for dose in range(self.n_doses - 1, -1, -1):
            np.add(from_dose[dose + 1], n[:, dose], out=from_dose[dose])
        for name, tenths in OVERDOSE_SHARES.items():
            over = 10 * (from_dose if safe is None else from_dose[safe]) > tenths * total
            measures[name] = over.astype(float).T
        if days is not None:
            measures["days"] = days(n, self.visits[rows])[:, None]
        return measures

    def columns(self, rows: slice, days: Days | None, largest_sample: int) -> dict[str, np.ndarray]:
        """Return one block of columns per operating characteristic, ``(rows, k)``; see `measures`."""
        columns = {
            name: _indicator(measure) if isinstance(measure, Labels) else measure
            for name, measure in self.measures(rows, days, largest_sample).items()
        }
        columns |= {name: of_patients(columns["patients"]) for name, of_patients in SUMS.items()}
        return {name: columns[name] for name in FIGURES if name in columns}

    @staticmethod
    def split(table: np.ndarray, widths: dict[str, int], safe: np.ndarray) -> Figures:
        """Return weighted means ``(scenarios, columns)`` separated into operating characteristics.

        Parameters
        ----------
        table
            Weighted means of all columns side by side.
        widths
            Number of columns of each, in order.
        safe : (scenarios,) integer array
            Number of doses that are not overdoses in each scenario.
        """
        edges = np.cumsum([0, *widths.values()])
        figures = {name: table[:, low:high] for name, low, high in zip(widths, edges, edges[1:], strict=False)}
        for name in OVERDOSE_SHARES:
            figures[name] = np.take_along_axis(figures[name], safe[:, None], axis=1)
        return {name: figure if FIGURES[name] else figure[:, 0] for name, figure in figures.items()}


def _indicator(labels: Labels) -> np.ndarray:
    return (labels.of[:, None] == np.arange(labels.number)).astype(float)


def weighted(measures: Measures, weights: np.ndarray) -> Figures:
    """Return the sums of the measures of some trials, ``(scenarios, k)`` by name, weighted in each scenario.

    Parameters
    ----------
    measures
        See `EndedTrials.measures`.
    weights : (scenarios, rows) array
        Weight of each trial in each scenario.
    """
    if len(weights) <= _FEW:
        return {
            name: np.array([np.bincount(measure.of, row, measure.number) for row in weights])
            if isinstance(measure, Labels)
            else weights @ measure
            for name, measure in measures.items()
        }
    # One matrix product, with a row per label that occurs.
    present = {
        name: np.flatnonzero(np.bincount(measure.of)) if isinstance(measure, Labels) else np.arange(measure.shape[1])
        for name, measure in measures.items()
    }
    rows = [
        present[name][:, None] == measure.of if isinstance(measure, Labels) else measure.T for name, measure in measures.items()
    ]
    table = weights @ np.concatenate(rows, dtype=float).T
    parts = np.split(table, np.cumsum([len(each) for each in present.values()])[:-1], axis=1)
    sums = {}
    for (name, measure), part in zip(measures.items(), parts, strict=True):
        sums[name] = part
        if isinstance(measure, Labels):
            sums[name] = np.zeros((len(weights), measure.number))
            sums[name][:, present[name]] = part
    return sums


def means(total: np.ndarray, squares: np.ndarray, n_trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the means over trials and their Monte Carlo standard errors, from sums and sums of squares."""
    mean = total / n_trials
    return mean, np.sqrt(np.maximum(squares / n_trials - mean**2, 0) / n_trials)
