"""Posterior expectations for a batch of data sets that have pending patients, each followed up for a number of days.

The likelihood of a patient without a DLT at a dose with DLT rate p is ``1 - w p``, with the weight w of the days followed up: the
share of the DLTs that come by then (Cheung and Chappell 2000, doi:10.1111/j.0006-341X.2000.01177.x). Patients with a known outcome
are counts, as ever. The pending ones are looked up in a table of ``log(1 - w p)`` by dose and day, because there are few of them
in a trial and many pairs of dose and day in a batch. That is done in single precision, and in double precision for data sets whose
decision is not settled by it. Those that need a finer or wider grid have a column of the curve for each pair of dose and weight
(`PartlyFollowed`), and are evaluated as any other data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .quadrature import BLOCK, HALF_WIDTH, LEAST_SINGLE, ROUGH_WIDTH, Quadrature, Settled, _at_floor, _beyond, _difference, _sums
from .weighted import PartlyFollowed

__all__ = ["FollowedQuadrature", "in_part"]

# Data sets that share the columns of one curve.
_TOGETHER = 512


def in_part(dose: np.ndarray, weight: np.ndarray, n_doses: int) -> tuple[np.ndarray, tuple[tuple[int, float], ...]]:
    """Return the number of patients by pair of dose and weight, ``(sets, pairs)``, and these pairs; without patients of weight 0.

    Parameters
    ----------
    dose, weight : (sets, patients) arrays
        Dose index of each patient, -1 for no patient; weight.
    n_doses
        Number of doses.
    """
    row, column = np.nonzero((dose >= 0) & (weight > 0))
    at, own = dose[row, column].astype(int), weight[row, column]
    pairs, which = np.unique(np.column_stack([at, own]), axis=0, return_inverse=True)
    counts = np.zeros((len(dose), len(pairs)), int)
    np.add.at(counts, (row, which.reshape(-1)), 1)
    return counts, tuple((int(level), float(share)) for level, share in pairs)


@dataclass
class FollowedQuadrature(Quadrature):
    """Expectations of ``columns`` under the posterior of ``curve``, given counts and pending patients.

    Attributes
    ----------
    weights
        Weight of each number of days of follow-up, from day 0.
    """

    weights: np.ndarray = field(default_factory=lambda: np.zeros(1))
    # By kind of number.
    _tables: dict[type, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    def settle_followed(self, n: np.ndarray, y: np.ndarray, dose: np.ndarray, days: np.ndarray, settled: Settled) -> np.ndarray:
        """Return posterior expectations accurate enough for the comparisons that depend on them.

        Parameters
        ----------
        n, y : (sets, doses) arrays
            Patients with a known outcome and their DLTs.
        dose, days : (sets, patients) integer arrays
            Dose index of each pending patient, -1 for no patient; days followed up, an index of ``weights``.
        settled
            See `Quadrature.settle`.
        """
        values, error = self._looked_up(n, y, dose, days, np.float32, ROUGH_WIDTH)
        rows = np.flatnonzero(~settled(values, error))
        if len(rows):
            values[rows], error[rows] = self._looked_up(n[rows], y[rows], dose[rows], days[rows], np.float64, HALF_WIDTH)
            rows = rows[~settled(values[rows], error[rows])]
        if len(rows):
            values[rows] = self.expect_followed(n[rows], y[rows], dose[rows], days[rows], settled)[0]
        return values

    def expect_followed(
        self, n: np.ndarray, y: np.ndarray, dose: np.ndarray, days: np.ndarray, settled: Settled = _at_floor
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return posterior expectations, their errors and the log evidence, each data set on a sufficiently fine grid."""
        parts = []
        for first in range(0, len(n), _TOGETHER):
            rows = slice(first, first + _TOGETHER)
            counts, pairs = in_part(dose[rows], self.weights[days[rows]], self.curve.n_doses)
            extended = PartlyFollowed(curve=self.curve, shares=pairs) if pairs else self.curve
            wide = [np.hstack([values[rows], more]) for values, more in ((n, counts), (y, 0 * counts))]
            parts.append(Quadrature(extended, self.columns).expect(wide[0], wide[1], settled))
        values, error, log_evidence = (np.concatenate(part) for part in zip(*parts, strict=True))
        return values, error, log_evidence

    def _looked_up(
        self, n: np.ndarray, y: np.ndarray, dose: np.ndarray, days: np.ndarray, kind: type, width: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return values and error on the first grid of a half width, with numbers of a kind."""
        grid = self._grid(self._first, width)
        # Relative to the middle node, nothing near the posterior underflows.
        middle = grid.log_terms[:, grid.middle]
        terms = (grid.log_terms - middle[:, None]).astype(kind)
        own_kind = replace(grid, columns=grid.columns.astype(kind), coarse=grid.coarse.astype(kind))
        table, at_middle = self._pending_terms(kind, width)
        # The last row stands for no patient.
        place = np.where(dose >= 0, dose * len(self.weights) + days, len(table) - 1)
        doses, most = n.shape[1], self.curve.log_best(n, y)
        values, error = np.empty((2, len(n), grid.columns.shape[1] - 1))
        nodes = len(grid.columns)
        rows = max(1, BLOCK // nodes)
        density, looked_up = np.empty((2, min(rows, len(n)), nodes), kind)
        # Values that overflow get an infinite error.
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            for block in (slice(first, first + rows) for first in range(0, len(n), rows)):
                size = len(n[block])
                counts = np.ones((size, 2 * doses + 1), kind)
                counts[:, :doses], counts[:, doses:-1] = y[block], n[block] - y[block]
                own, added = density[:size], looked_up[:size]
                np.matmul(counts, terms, out=own)
                for patient in place[block].T:
                    own += np.take(table, patient, axis=0, out=added, mode="clip")
                fine, half = _sums(own_kind, np.maximum(own, LEAST_SINGLE, out=own))
                values[block] = fine[:, 1:] / fine[:, :1]
                apart, total = _difference(fine, half), fine[:, 0]
                apart[~np.isfinite(total)] = np.inf
                log_middle = counts @ middle + at_middle[place[block]].sum(axis=1)
                # As for counts: every term that is added can be rounded, and so can the sum over nodes.
                terms_added = (counts.shape[1] + place.shape[1]) * (40 - 2 * log_middle)
                rounding = np.finfo(kind).eps * (terms_added + nodes) * 2 * grid.largest.max()
                beyond = _beyond(grid, most[block], np.log(total) + grid.log_weight + log_middle)
                error[block] = apart + rounding[:, None] + beyond
        return values, error

    def _pending_terms(self, kind: type, width: float) -> tuple[np.ndarray, np.ndarray]:
        """Return log(1 - w p) by dose and day relative to the middle node, (doses * days + 1, nodes), and its value there."""
        if kind not in self._tables:
            grid, doses = self._grid(self._first, width), self.curve.n_doses
            log_q = grid.log_terms[doses : 2 * doses]
            with np.errstate(divide="ignore"):
                # 1 - w p is 1 - w + w (1 - p), which keeps its digits where p is near 1.
                rest, part = np.log1p(-self.weights)[:, None], np.log(self.weights)[:, None]
                found = np.concatenate([np.logaddexp(rest, part + of_dose) for of_dose in log_q])
            found = np.vstack([found, np.zeros(found.shape[1])])
            at_middle = found[:, grid.middle]
            self._tables[kind] = (found - at_middle[:, None]).astype(kind), at_middle
        return self._tables[kind]
