"""Posterior expectations by quadrature, for a batch of data sets at once.

A trapezoid rule on the standardised parameter z = b / prior_sd converges exponentially once the grid is wide
and fine enough, and costs two matrix products and one exp a batch:

    exp(y @ log p(z) + (n - y) @ log(1 - p(z)) - z^2 / 2) @ [1, f_1(z), f_2(z), ...]

Every grid contains the grid of twice its step, so each data set carries its own error estimate: how much its
values and its evidence differ between the two, and how much density it has at the ends. Data sets that a caller does
not call settled are done again with half the step, or on a wider grid. Interval probabilities are not sums of indicators
over nodes (those err by a node's weight): they use weights that integrate the sinc interpolant up to the boundary, which
keeps the exponential accuracy.

References: Trefethen and Weideman (2014), SIAM Review 56:385-458, doi:10.1137/130932132 (trapezoid rule);
Stenger (1993), Numerical Methods Based on Sinc and Analytic Functions, doi:10.1007/978-1-4612-2706-9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.special import sici

from ..models import OneParameterCurve

__all__ = ["HALF_WIDTH", "Columns", "Quadrature", "below_weights"]

# Prior standard deviations on each side of the first grid; what lies outside is below 1e-15 of the prior.
HALF_WIDTH = 8.0
# Most intervals of a grid: they resolve a posterior sd of 1e-4 prior sd.
LAST = 2**18
# Below this, rounding and truncation are all that is left.
FLOOR = 1e-11
# Node values held at a time, so that they stay in the cache whatever the grid.
BLOCK = 2**17
# Log densities above this are far from underflow.
SAFE_LOG = -600.0
# The tail beyond the grid is taken for this many times the density at its end, both in prior standard deviations.
CUT_MARGIN = 16.0

Columns = Callable[[np.ndarray, float], np.ndarray]
"""Integrands: from nodes z (nodes,) and step to an array (nodes, k)."""
Settled = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From values and their errors, each (rows, k), to whether these values will do, (rows,)."""


def below_weights(z: np.ndarray, step: float, bound: float) -> np.ndarray:
    """Weights that turn node values into the integral from -infinity to ``bound``, relative to ``step``."""
    return 0.5 + sici(np.pi * (bound - z) / step)[0] / np.pi


def _settled_at_floor(values: np.ndarray, error: np.ndarray) -> np.ndarray:
    return error.max(axis=1) < FLOOR


@dataclass
class _Grid:
    """Rows log p, log(1 - p) and log prior weight at the nodes, and the integrands on this grid and its half."""

    log_terms: np.ndarray
    columns: np.ndarray
    step: float


@dataclass
class Quadrature:
    """Expectations of ``columns`` under the posterior of ``curve``.

    Attributes
    ----------
    curve
        The dose-toxicity curve with its prior.
    columns
        Function from standardised nodes and step to the integrands at these nodes.
    """

    curve: OneParameterCurve
    columns: Columns
    _grids: dict[tuple[int, float], _Grid] = field(default_factory=dict, repr=False)

    def settle(self, n: np.ndarray, y: np.ndarray, settled: Settled) -> np.ndarray:
        """Posterior expectations just good enough for what hangs on them.

        All data sets are done in single precision first, with a bound on its rounding added to the error; those that
        are not settled by that are done again by `expect`.

        Parameters
        ----------
        n, y : (sets, doses) arrays
            Patients and DLTs.
        settled
            From values (rows, k) and their errors (rows, k) to a bool array (rows,): whether these values will do.

        Returns
        -------
        (sets, k) array
            The expectations.
        """
        values, error = self._rough(np.asarray(n), np.asarray(y))
        rows = np.flatnonzero(~settled(values, error))
        values[rows] = self.expect(n[rows], y[rows], settled)[0]
        return values

    def expect(
        self, n: np.ndarray, y: np.ndarray, settled: Settled = _settled_at_floor
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Posterior expectations, each data set on a grid fine enough for it.

        Parameters
        ----------
        n, y : (sets, doses) arrays
            Patients and DLTs.
        settled
            As for `settle`. The default asks for errors below 1e-11.

        Returns
        -------
        values : (sets, k) array
            The expectations.
        error : (sets, k) array
            Estimated absolute error of each.
        log_evidence : (sets,) array
            Logarithm of the marginal likelihood, without binomial coefficients.

        Raises
        ------
        ArithmeticError
            If a posterior is too narrow for the finest grid.
        """
        n, y = np.asarray(n), np.asarray(y)
        intervals = np.full(len(n), self.curve.first_intervals)
        width = np.full(len(n), HALF_WIDTH)
        values, error, log_evidence, cut = self._on_grid(self.curve.first_intervals, HALF_WIDTH, n, y)
        pending = np.flatnonzero(~settled(values, error))
        while len(pending):
            # A posterior cut off by the grid needs a wider one, any other a finer one.
            intervals[pending] *= 2
            width[pending] *= np.where(cut[pending], 2, 1)
            if intervals[pending].max() > LAST:
                raise ArithmeticError(f"quadrature did not converge for n = {n[pending[0]]}, y = {y[pending[0]]}")
            for grid in sorted({(int(intervals[row]), float(width[row])) for row in pending}):
                rows = pending[(intervals[pending] == grid[0]) & (width[pending] == grid[1])]
                values[rows], error[rows], log_evidence[rows], cut[rows] = self._on_grid(*grid, n[rows], y[rows])
            pending = pending[~settled(values[pending], error[pending])]
        return values, error, log_evidence

    def _on_grid(self, intervals: int, width: float, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
        """Values, error, log evidence and whether the grid cuts the posterior off, with so many intervals over -+ width."""
        grid = self._grid(intervals, width)
        return _by_blocks(lambda *block: _exactly(grid, *block), intervals + 1, n, y, float)

    def _rough(self, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
        """Values and error on the middle three quarters of the first grid, in single precision."""
        grid = self._grid(self.curve.first_intervals // 4 * 3, HALF_WIDTH * 0.75)
        # Relative to the middle node, nothing near the posterior underflows.
        middle = grid.log_terms[:, len(grid.columns) // 2]
        terms = (grid.log_terms - middle[:, None]).astype(np.float32)
        single = _Grid(terms, grid.columns.astype(np.float32), grid.step)
        # What overflows gets an infinite error.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return _by_blocks(lambda *block: _roughly(single, middle, *block), len(terms.T), n, y, np.float32)

    def _grid(self, intervals: int, width: float) -> _Grid:
        if (intervals, width) not in self._grids:
            z = np.linspace(-width, width, intervals + 1)
            step = 2 * width / intervals
            log_p, log_q = self.curve.log_probabilities(z * self.curve.prior_sd)
            if not (np.isfinite(log_p).all() and np.isfinite(log_q).all()):
                raise ArithmeticError(
                    f"the curve reaches a probability of exactly 0 or 1 within {width:g} prior standard deviations"
                )
            fine = np.column_stack([np.ones(len(z)), self.columns(z, step)])
            coarse = np.zeros_like(fine)
            coarse[::2] = 2 * np.column_stack([np.ones(len(z[::2])), self.columns(z[::2], 2 * step)])
            log_terms = np.vstack([log_p.T, log_q.T, -(z**2) / 2])
            self._grids[intervals, width] = _Grid(log_terms, np.hstack([fine, coarse]), step)
        return self._grids[intervals, width]


def _by_blocks(evaluate: Callable, nodes: int, n: np.ndarray, y: np.ndarray, kind: type) -> tuple[np.ndarray, ...]:
    """Results of ``evaluate(counts, buffer)`` for so many data sets at a time that their node values stay in the cache."""
    rows = max(1, BLOCK // nodes)
    # One buffer for all blocks: asking the system for fresh pages costs as much as filling them.
    buffer = np.empty((min(rows, len(n)), nodes), kind)
    parts = []
    for block in (slice(i, i + rows) for i in range(0, max(len(n), 1), rows)):
        doses, size = n.shape[1], len(n[block])
        counts = np.ones((size, 2 * doses + 1), kind)
        counts[:, :doses], counts[:, doses:-1] = y[block], n[block] - y[block]
        parts.append(evaluate(counts, buffer[:size]))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def _exactly(grid: _Grid, counts: np.ndarray, density: np.ndarray) -> tuple[np.ndarray, ...]:
    """Values, error, log evidence and whether the grid cuts the posterior off; ``density`` is a buffer."""
    np.matmul(counts, grid.log_terms, out=density)
    top = np.zeros(len(counts))
    # No node can underflow everywhere if the middle one, where the curve is the skeleton, does not.
    if density[:, density.shape[1] // 2].min(initial=0) < SAFE_LOG:
        top = density.max(axis=1)
        density -= top[:, None]
    # exp is several times slower where it underflows.
    values, error, total, edge = _sums(grid, np.maximum(density, -690.0, out=density))
    return values, error, np.log(total) + np.log(grid.step / np.sqrt(2 * np.pi)) + top, edge > FLOOR / CUT_MARGIN


def _roughly(grid: _Grid, middle: np.ndarray, counts: np.ndarray, density: np.ndarray) -> tuple[np.ndarray, ...]:
    """Values and error, rounding in single precision included; ``density`` is a buffer."""
    values, error, total, _ = _sums(grid, np.matmul(counts, grid.log_terms, out=density))
    error[~np.isfinite(total)] = np.inf
    # The terms that raise a node above the middle one sum to at most minus the middle's log density. A node that
    # matters lies at most 40 below the middle, so its terms sum, in absolute value, to at most twice that and 40.
    terms = counts.shape[1] * (40 - 2 * counts @ middle)
    rounding = np.finfo(np.float32).eps * (terms + density.shape[1]) * 2 * np.abs(grid.columns).max()
    return values.astype(float), error + rounding[:, None]


def _sums(grid: _Grid, density: np.ndarray) -> tuple[np.ndarray, ...]:
    """Values, their error, the sum of the density and the posterior density at the ends, from the log density."""
    np.exp(density, out=density)
    fine, coarse = np.hsplit(density @ grid.columns, 2)
    values, coarse_values = fine[:, 1:] / fine[:, :1], coarse[:, 1:] / coarse[:, :1]
    # What a cut-off tail can hold is of the order of the posterior density at the cut.
    edge = (density[:, 0] + density[:, -1]) / (fine[:, 0] * grid.step)
    error = np.abs(values - coarse_values) + (np.abs(coarse[:, 0] / fine[:, 0] - 1) + CUT_MARGIN * edge)[:, None]
    return values, error, fine[:, 0], edge
