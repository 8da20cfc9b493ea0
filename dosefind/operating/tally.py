"""Operating characteristics of a design as weighted sums over ended trials.

Exact enumeration and simulation both yield rows of ended trials; they differ in the weights of these rows. Every operating
characteristic is the weighted mean of a column computed from a row, so one matrix product gives all of them in all scenarios.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..designs import Design

__all__ = ["FIGURES", "Days", "EndedTrials", "Figures", "means"]

OVERDOSE_SHARES = {"over_60": 6, "over_80": 8}
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
    "over_60": None,
    "over_80": None,
    "stopped": "reason",
    "mean_n": None,
    "sample_size": "n_patients",
    "days": None,
}


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
    visits : (rows, 2, doses) array
        Cohorts at each dose, and whether the first of them had more than one patient.
    more : tuple of (rows, doses) integer arrays
        Outcomes that the design tracks besides DLTs.
    """

    design: Design
    n: np.ndarray
    y: np.ndarray
    choice: np.ndarray
    not_reached: np.ndarray
    reason: np.ndarray
    visits: np.ndarray
    more: tuple[np.ndarray, ...] = ()

    def __len__(self) -> int:
        return len(self.n)

    @property
    def n_doses(self) -> int:
        return self.n.shape[1]

    @property
    def largest_sample(self) -> int:
        return int(self.n.sum(axis=1).max())

    def columns(self, rows: slice, days: Days | None, largest_sample: int) -> dict[str, np.ndarray]:
        """Return one block of columns per operating characteristic, ``(rows, k)``.

        The sample size has a column for 0 to ``largest_sample`` patients. The overdosing columns are repeated for each number
        of doses that are not overdoses, 0 to all; the scenario determines which applies.
        """
        n, y = self.n[rows].astype(float), self.y[rows].astype(float)
        total = n.sum(axis=1)
        from_dose = np.column_stack([n[:, ::-1].cumsum(axis=1)[:, ::-1], np.zeros(len(n))])
        columns = {
            "selected": _indicator(self.choice[rows] + 1, self.n_doses + 1),
            "not_reached": self.not_reached[rows, None].astype(float),
            "patients": n,
            "dlts": y,
            **({"responses": self.more[0][rows].astype(float)} if self.more else {}),
            "treated_from": from_dose[:, :-1],
            "any_dlt": (y.sum(axis=1) > 0).astype(float)[:, None],
            "stopped": _indicator(self.reason[rows], len(self.design.reasons)),
            "mean_n": total[:, None],
            "sample_size": _indicator(total.astype(int), largest_sample + 1),
        }
        for name, tenths in OVERDOSE_SHARES.items():
            columns[name] = (10 * from_dose > tenths * total[:, None]).astype(float)
        if days is not None:
            columns["days"] = days(n, self.visits[rows])[:, None]
        return columns

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


def _indicator(labels: np.ndarray, count: int) -> np.ndarray:
    return (labels[:, None] == np.arange(count)).astype(float)


def means(total: np.ndarray, squares: np.ndarray, n_trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the means over trials and their Monte Carlo standard errors, from sums and sums of squares."""
    mean = total / n_trials
    return mean, np.sqrt(np.maximum(squares / n_trials - mean**2, 0) / n_trials)
