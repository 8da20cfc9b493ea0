"""Posterior expectations by quadrature, for a batch of data sets at once.

A trapezoid rule on the curve's standard normal coordinates z converges exponentially once the grid is wide and fine
enough, and costs two matrix products and one exp per batch:

    exp(y @ log p(z) + (n - y) @ log(1 - p(z)) - |z|^2 / 2) @ [1, f_1(z), f_2(z), ...]

Every grid contains the grid of twice its step, so each data set has its own error estimate: the differences of its values and
its evidence between the two grids, and the posterior mass that can be beyond the grid, where the likelihood is at most that of
the observed rates. Data sets that the caller does not accept are repeated on a wider grid, or with half the step in the coordinates
that need it: the difference between the grids has a part due to each coordinate.
Interval probabilities are not sums of indicators over nodes (whose error is a node's weight): they use weights that integrate
the sinc interpolant in the first coordinate up to the boundary, which keeps the exponential accuracy. With two coordinates
the grid is a disc.

References: Trefethen and Weideman (2014), SIAM Review 56:385-458, doi:10.1137/130932132 (trapezoid rule);
Stenger (1993), Numerical Methods Based on Sinc and Analytic Functions, doi:10.1007/978-1-4612-2706-9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import log_ndtr, sici

from ..models import Curve

__all__ = ["HALF_WIDTH", "Columns", "Halvings", "Nodes", "Quadrature", "below_weights", "settled_at"]

# Half width, in prior standard deviations, of the grid for decisions and of the first full one; less than 2e-14 of the prior is
# beyond the latter. A grid that may truncate a posterior is made a third wider.
ROUGH_WIDTH, HALF_WIDTH, WIDER = 6.0, 8.0, 4 / 3
# The difference between two grids underestimated the error by a factor of up to 1.8 for posteriors narrower than their steps.
SAFETY = 2.0
# Above this number of nodes a grid is made for a single data set, around its posterior, unless several data sets need it; the
# largest factor for several; the maximum number of nodes for a single one; and of all nodes for data sets with their own grids,
# which take about ten seconds.
MANY, SEVERAL, LAST, MOST = 2**17, 4, 2**19, 2**22
# Nodes whose log density is further than this below the largest are negligible.
REGION = 80.0
# Below this, only rounding and truncation remain.
FLOOR = 1e-11
# Number of node values held at a time, so that they stay in the cache whatever the grid.
BLOCK = 2**17
# Nodes of less than this share of the largest density are omitted from sums over one posterior.
NEGLIGIBLE = 1e-15
# Log densities above this are far from underflow.
SAFE_LOG = -600.0
# Log densities below this, relative to the middle node, add nothing in single precision; underflow is ten times slower.
LEAST_SINGLE = np.float32(-80.0)

Settled = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Function from values and their errors, each (rows, k), to whether these values are accurate enough, (rows,)."""


def below_weights(z: np.ndarray, step: float, bound: np.ndarray | float) -> np.ndarray:
    """Return weights that turn node values into the integral from -infinity to ``bound``, relative to ``step``."""
    return 0.5 + sici(np.pi * (bound - z) / step)[0] / np.pi


@dataclass(frozen=True)
class Nodes:
    """Nodes of a grid on a curve, at which integrands are evaluated.

    Attributes
    ----------
    curve
        The curve.
    z : (nodes, parameters) array
        Standard coordinates.
    step
        Step of the first coordinate.
    """

    curve: Curve
    z: np.ndarray
    step: float

    def parameters(self) -> np.ndarray:
        """Return the curve's parameters, ``(nodes, parameters)``."""
        return np.column_stack(self.curve.parameters(tuple(self.z.T)))

    def probabilities(self, at: np.ndarray | None = None) -> np.ndarray:
        """Return DLT probabilities, ``(nodes, doses)``, of the curve's doses or at the given coordinates."""
        return np.exp(self.curve.at(self.z, at)[0])

    def below(self, rate: float, at: np.ndarray | None = None) -> np.ndarray:
        """Return weights ``(nodes, doses)`` whose expectation is the probability that a dose is below ``rate``."""
        at = self.curve.coordinates if at is None else np.asarray(at)
        first, *rest = self.z.T[:, :, None]
        weights = below_weights(first, self.step, self.curve.bound(rate, at, rest))
        return weights if self.curve.rises else 1 - weights


Columns = Callable[[Nodes], np.ndarray]
"""Integrands: from nodes to an array (nodes, k)."""

Halvings = tuple[int, ...]
"""Number of halvings of the first step, one per coordinate."""


def settled_at(tolerance: float) -> Settled:
    """Return whether the largest error is below a tolerance."""
    return lambda values, error: error.max(axis=1) < tolerance


_at_floor = settled_at(FLOOR)


@dataclass
class _Grid:
    """A grid in which the nodes of the grid of twice the step come first, then those of twice the step in the second coordinate.

    ``log_terms`` has rows log p, log(1 - p) and log prior density, whose constant is in ``log_weight``; ``columns`` holds ones and
    the integrands; ``coarse`` the same on the grid of twice the step; ``n_half`` is the number of nodes of the grid of twice the
    step in the second coordinate only; ``largest`` the largest absolute value of each integrand;
    ``log_outside`` is the logarithm of the prior mass beyond the grid; ``middle`` the position of z = 0.
    """

    log_terms: np.ndarray
    columns: np.ndarray
    coarse: np.ndarray
    n_half: int
    largest: np.ndarray
    log_weight: float
    log_outside: float
    middle: int


@dataclass(frozen=True)
class _Focused:
    """Expectations for one data set, their grid (number of halvings of each step, half width, box), and all nodes evaluated."""

    values: np.ndarray
    error: np.ndarray
    log_evidence: float
    halvings: Halvings
    width: float
    box: np.ndarray | None
    evaluated: int


@dataclass
class Quadrature:
    """Expectations of ``columns`` under the posterior of ``curve``.

    Attributes
    ----------
    curve
        The dose-toxicity curve with its prior, which is not a mixture.
    columns
        Function from nodes to the integrands there.
    """

    curve: Curve
    columns: Columns
    _grids: dict[tuple[Halvings, float], _Grid] = field(default_factory=dict, repr=False)
    # The latest data set with its own grid.
    _found: dict[tuple[bytes, bytes], _Focused] = field(default_factory=dict, repr=False)

    def settle(self, n: np.ndarray, y: np.ndarray, settled: Settled) -> np.ndarray:
        """Return posterior expectations accurate enough for the comparisons that depend on them.

        All data sets are first evaluated in single precision, with a bound on rounding added to the error; those that
        are not settled are evaluated again by `expect`.

        Parameters
        ----------
        n, y : (sets, doses) arrays
            Patients and DLTs.
        settled
            Function from values (rows, k) and their errors (rows, k) to a bool array (rows,): whether these are accurate enough.

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
        self, n: np.ndarray, y: np.ndarray, settled: Settled = _at_floor, width: float = HALF_WIDTH
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return posterior expectations, each data set on a sufficiently fine grid.

        Parameters
        ----------
        n, y : (sets, doses) arrays
            Patients and DLTs.
        settled
            See `settle`. The default requests errors below 1e-11.
        width
            Half width of the first grid in prior standard deviations.

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
            If a posterior is too narrow for the finest grid, or many need grids of their own.
        """
        n, y = np.asarray(n), np.asarray(y)
        halvings, widths = np.zeros((len(n), self.curve.n_coordinates), int), np.full(len(n), width)
        values, error, log_evidence, cut, apart = self._on_grid(self._first, width, n, y)
        pending = np.flatnonzero(~settled(values, error))
        while len(pending):
            # A posterior truncated by the grid needs a wider one, any other a finer one.
            widths[pending] *= np.where(cut[pending], WIDER, 1)
            halvings[pending] += ~cut[pending, None] & _too_coarse(settled, values[pending], apart[pending])
            grids = [(tuple(map(int, halvings[row])), float(widths[row])) for row in pending]
            for grid in sorted(set(grids)):
                rows = pending[[each == grid for each in grids]]
                if self._n_nodes(*grid) <= MANY * min(len(rows), SEVERAL):
                    found = self._on_grid(*grid, n[rows], y[rows])
                    values[rows], error[rows], log_evidence[rows], cut[rows], apart[rows] = found
                    continue
                evaluated = 0
                for done, row in enumerate(rows, start=1):
                    found = self._focused(n[row], y[row], settled)
                    values[row], error[row], log_evidence[row] = found.values, found.error, found.log_evidence
                    evaluated += found.evaluated
                    if (estimate := evaluated * len(rows) // done) > MOST:
                        needed = f"{len(rows):,} data sets need quadrature grids of {estimate:,} nodes in total, more than {MOST:,}"
                        raise ArithmeticError(f"{needed}: their posteriors are too narrow in one direction")
            pending = pending[~settled(values[pending], error[pending])]
        return values, error, log_evidence

    def weighted(self, n: np.ndarray, y: np.ndarray, settled: Settled = _at_floor, more: Halvings = ()) -> tuple[Nodes, np.ndarray]:
        """Return the nodes that carry the posterior of one data set, with the share of each.

        Parameters
        ----------
        n, y : (doses,) arrays
            Patients and DLTs.
        settled
            See `settle`.
        more
            Number of additional halvings of each step; none by default.
        """
        n, y = np.asarray(n), np.asarray(y)
        key = (n.tobytes(), y.tobytes())
        if key not in self._found:
            self._found = {key: self._focused(n, y, settled)}
        found = self._found[key]
        steps = self._steps(found.halvings) / 2.0 ** np.array(more or self._first)
        z = _lattice(steps, found.width, found.box)[0] * steps
        log_p, log_q = self.curve.at(z)
        log_density = log_p @ y + log_q @ (n - y) - (z**2).sum(axis=1) / 2
        share = np.exp(log_density - log_density.max())
        there = share > NEGLIGIBLE
        return Nodes(self.curve, z[there], steps[0]), share[there] / share[there].sum()

    def _focused(self, n: np.ndarray, y: np.ndarray, settled: Settled) -> _Focused:
        """Return results for one data set on finer and finer grids, each restricted to the posterior found on the previous one."""
        counts, log_best = np.concatenate([y, n - y, [1.0]])[None], self.curve.log_best(n[None], y[None])
        halvings, width, box, evaluated = self._first, HALF_WIDTH, None, 0
        while True:
            steps = self._steps(halvings)
            index, n_coarse, n_half = _lattice(steps, width, box)
            evaluated += len(index)
            if len(index) > LAST:
                needed = f"quadrature needs a grid of {len(index):,} nodes, more than {LAST:,}"
                raise ArithmeticError(f"{needed}, for n = {n.tolist()}, y = {y.tolist()}: sample (engine nuts) instead")
            grid = self._made(index, n_coarse, n_half, steps, width)
            log_density = (counts @ grid.log_terms)[0]
            near = (index * steps)[log_density > log_density.max() - REGION]
            grid = replace(grid, middle=int(log_density.argmax()))
            values, error, log_evidence, cut, apart = _exactly(grid, counts, log_best, np.empty((1, len(index))))
            done, cut = bool(settled(values, error)[0]), bool(cut[0])
            if done or not cut:
                box = np.stack([near.min(axis=0) - 2 * steps, near.max(axis=0) + 2 * steps])
            if done:
                return _Focused(values[0], error[0], float(log_evidence[0]), halvings, width, box, evaluated)
            if cut:
                halvings, width, box = self._first, width * WIDER, None
            else:
                finer = _too_coarse(settled, values, apart)[0]
                halvings = tuple(halving + int(more) for halving, more in zip(halvings, finer, strict=True))

    def _on_grid(self, halvings: Halvings, width: float, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the results of `_exactly` for those steps and that half width."""
        grid = self._grid(halvings, width)
        return self._by_blocks(lambda *block: _exactly(grid, *block), len(grid.columns), n, y, float)

    def _rough(self, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return values and error in single precision, on the middle of the first grid."""
        grid = self._grid(self._first, ROUGH_WIDTH)
        # Relative to the middle node, nothing near the posterior underflows.
        middle = grid.log_terms[:, grid.middle]
        terms = (grid.log_terms - middle[:, None]).astype(np.float32)
        single = replace(grid, log_terms=terms, columns=grid.columns.astype(np.float32), coarse=grid.coarse.astype(np.float32))
        # Values that overflow get an infinite error.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return self._by_blocks(lambda *block: _roughly(single, middle, *block), len(grid.columns), n, y, np.float32)

    def _by_blocks(self, evaluate: Callable, nodes: int, n: np.ndarray, y: np.ndarray, kind: type) -> tuple[np.ndarray, ...]:
        """Return results of ``evaluate(counts, log_best, buffer)``, for blocks of data sets small enough for the cache."""
        rows = max(1, BLOCK // nodes)
        # One buffer for all blocks: requesting new pages from the system costs as much as filling them.
        buffer = np.empty((min(rows, len(n)), nodes), kind)
        log_best = self.curve.log_best(n, y)
        parts = []
        for block in (slice(i, i + rows) for i in range(0, max(len(n), 1), rows)):
            doses, size = n.shape[1], len(n[block])
            counts = np.ones((size, 2 * doses + 1), kind)
            counts[:, :doses], counts[:, doses:-1] = y[block], n[block] - y[block]
            parts.append(evaluate(counts, log_best[block], buffer[:size]))
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    @property
    def _first(self) -> Halvings:
        return (0,) * self.curve.n_coordinates

    def _steps(self, halvings: Halvings) -> np.ndarray:
        return np.array(self.curve.first_step) / 2.0 ** np.array(halvings)

    def _n_nodes(self, halvings: Halvings, width: float) -> float:
        """Return the approximate number of nodes of a grid."""
        sides = 2 * width / self._steps(halvings)
        return float(np.prod(sides)) * (1.0 if len(sides) == 1 else np.pi / 4)

    def _grid(self, halvings: Halvings, width: float) -> _Grid:
        if (halvings, width) not in self._grids:
            steps = self._steps(halvings)
            index, n_coarse, n_half = _lattice(steps, width)
            middle = int(np.flatnonzero((index == 0).all(axis=1))[0])
            self._grids[halvings, width] = replace(self._made(index, n_coarse, n_half, steps, width), middle=middle)
        return self._grids[halvings, width]

    def _made(self, index: np.ndarray, n_coarse: int, n_half: int, steps: np.ndarray, width: float) -> _Grid:
        z = index * steps
        log_p, log_q = self.curve.at(z)
        if not (np.isfinite(log_p).all() and np.isfinite(log_q).all()):
            raise ArithmeticError(f"the curve reaches a probability of exactly 0 or 1 within {width:g} prior standard deviations")
        columns = self._integrands(z, steps)
        return _Grid(
            log_terms=np.vstack([log_p.T, log_q.T, -(z**2).sum(axis=1) / 2]),
            columns=columns,
            coarse=2 ** len(steps) * self._integrands(z[:n_coarse], 2 * steps),
            n_half=n_half,
            largest=np.maximum(np.abs(columns[:, 1:]).max(axis=0), 1.0),
            log_weight=float(np.log(steps / np.sqrt(2 * np.pi)).sum()),
            log_outside=float(np.log(2) + log_ndtr(-width)) if len(steps) == 1 else -(width**2) / 2,
            middle=0,
        )

    def _integrands(self, z: np.ndarray, steps: np.ndarray) -> np.ndarray:
        return np.column_stack([np.ones(len(z)), self.columns(Nodes(self.curve, z, steps[0]))])


def _too_coarse(settled: Settled, values: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Return the coordinates in which a grid is too coarse, ``(sets, coordinates)``, from the errors due to each.

    They are all coordinates if none is too coarse by itself.
    """
    coarse = np.stack([~settled(values, apart[:, axis]) for axis in range(apart.shape[1])], axis=1)
    return coarse | ~coarse.any(axis=1, keepdims=True)


def _lattice(steps: np.ndarray, width: float, box: np.ndarray | None = None) -> tuple[np.ndarray, int, int]:
    """Return integer multiples of the steps, ``(nodes, coordinates)``, in the interval or disc.

    Those that are even in all coordinates come first, then those that are even in the second; with the number of the former and
    of both. The ends of an interval are even. Of a disc, only the nodes in a ``box`` (ends, coordinates) are included.
    """
    most = 2 * np.ceil(width / (2 * steps) - 1e-9).astype(int)
    low, high = -most, most
    if box is not None:
        low, high = np.maximum(low, np.floor(box[0] / steps).astype(int)), np.minimum(high, np.ceil(box[1] / steps).astype(int))
    axes = np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)), indexing="ij")
    index = np.column_stack([axis.ravel() for axis in axes])
    if len(steps) > 1:
        index = index[((index * steps) ** 2).sum(axis=1) <= width**2 * (1 + 1e-9)]
    odd = (index % 2) @ 2 ** np.arange(len(steps))
    return index[np.argsort(odd, kind="stable")], int((odd == 0).sum()), int((odd < 2).sum())


def _exactly(grid: _Grid, counts: np.ndarray, log_best: np.ndarray, density: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return values, error, log evidence, whether the grid may truncate the posterior, and the errors due to each coordinate.

    The latter, ``(sets, coordinates, k)``, are 0 where the error is negligible; ``density`` is a buffer.
    """
    np.matmul(counts, grid.log_terms, out=density)
    top = np.zeros(len(counts))
    # The nodes cannot all underflow unless the middle one, the prior's median, does.
    if density[:, grid.middle].min(initial=0) < SAFE_LOG:
        top = density.max(axis=1)
        density -= top[:, None]
    # exp is several times slower if it underflows.
    fine, coarse = _sums(grid, np.maximum(density, -690.0, out=density))
    values, error = fine[:, 1:] / fine[:, :1], _difference(fine, coarse)
    log_evidence = np.log(fine[:, 0]) + grid.log_weight + top
    beyond = _beyond(grid, log_best, log_evidence)
    two = grid.n_half < len(grid.columns)
    apart = np.zeros((len(counts), 2 if two else 1, values.shape[1]))
    rows = np.flatnonzero(error.max(axis=1) > FLOOR)
    if len(rows) and two:
        half = 2 * (density[rows, : grid.n_half] @ grid.columns[: grid.n_half])
        apart[rows, 0], apart[rows, 1] = _difference(half, coarse[rows]), _difference(fine[rows], half)
    return values, error + beyond, log_evidence, beyond.max(axis=1) > error.max(axis=1), apart


def _roughly(
    grid: _Grid, middle: np.ndarray, counts: np.ndarray, log_best: np.ndarray, density: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Return values and error, including rounding in single precision; ``density`` is a buffer."""
    fine, coarse = _sums(grid, np.maximum(np.matmul(counts, grid.log_terms, out=density), LEAST_SINGLE, out=density))
    values, error, total = fine[:, 1:] / fine[:, :1], _difference(fine, coarse), fine[:, 0]
    error[~np.isfinite(total)] = np.inf
    at_middle = counts @ middle
    # The terms that raise a node above the middle one sum to at most minus the middle's log density. A node that
    # matters lies at most 40 below the middle, so its terms sum, in absolute value, to at most twice that and 40.
    terms = counts.shape[1] * (40 - 2 * at_middle)
    rounding = np.finfo(np.float32).eps * (terms + density.shape[1]) * 2 * grid.largest.max()
    error += rounding[:, None] + _beyond(grid, log_best, np.log(total) + grid.log_weight + at_middle)
    return values.astype(float), error


def _sums(grid: _Grid, density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums over the grid and over that of twice the step, ``(sets, 1 + k)``, from the log density."""
    np.exp(density, out=density)
    return density @ grid.columns, density[:, : len(grid.coarse)] @ grid.coarse


def _difference(fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Return the estimated error of the values from the sums over two grids, ``(sets, k)``, at least that of the evidence."""
    apart = np.abs(fine[:, 1:] / fine[:, :1] - coarse[:, 1:] / coarse[:, :1])
    return SAFETY * np.maximum(apart, np.abs(coarse[:, 0] / fine[:, 0] - 1)[:, None])


def _beyond(grid: _Grid, log_best: np.ndarray, log_evidence: np.ndarray) -> np.ndarray:
    """Return the largest error of the values due to the region beyond the grid, ``(sets, k)``.

    An integrand is at most about twice as large there as on the grid.
    """
    share = np.exp(np.minimum(log_best + grid.log_outside - log_evidence, 50.0))
    return share[:, None] * (2 * grid.largest)
