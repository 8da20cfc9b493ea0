"""The posterior by quadrature: exact to a stated error, for curves of one or two parameters and mixtures of their priors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Protocol

import numpy as np
from scipy.special import expit

from ..models import Curve
from .base import Figure, Posterior
from .mixture import MixedQuadrature
from .quadrature import LAST, SAFETY, Halvings, Nodes, below_weights, settled_at

__all__ = ["REPORTED", "Data", "ExactFit", "ExactPosterior", "exact_fit", "root"]

# Largest error of a reported value.
REPORTED = 1e-9
# Error, in probability, requested of the nodes from which quantiles are computed, and of a quantile.
AT_NODES, AT_ROOT = 1e-3, 1e-7
# Maximum number of halvings of the step for a quantile, number of corrections on each grid, and the distance for a slope.
_FINEST, _CORRECTIONS, _APART = 4, 3, 1e-3
# A quantile is computed to this, on the scale of logits or log doses, even where the probability rises far within it.
_UNSEEN = 1e-6
# Maximum error of a quantile between nodes, in weights of the heaviest node.
_NODES = 4
# Logits and log doses beyond this are treated as this value: a quantile of a rate below 1e-13 is returned as that.
FAR = 30.0


class Data(Protocol):
    """The data of a posterior beyond patients and DLTs by dose: other amounts, parts of courses."""

    @property
    def extended(self) -> Curve:
        """Return the curve with the terms of the likelihood; its parameters are those of the curve that is shown."""
        ...

    def counts(self, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers that multiply these terms, from patients and DLTs by dose ``(..., doses)``."""
        ...


class ExactFit:
    """Posterior summaries of a curve for a batch of data sets, including mixtures of priors.

    Parameters
    ----------
    curve
        The curve with its prior.
    rates
        Cut points: for each, the probability that a dose is below it.
    data
        The data beyond patients and DLTs by dose; none by default.
    """

    def __init__(self, curve: Curve, rates: Sequence[float] = (), data: Data | None = None) -> None:
        self.curve, self.rates, self.data = curve, tuple(rates), data
        # Frozen settings are hashable, which pyright does not see.
        self.quadrature = _quadrature(curve, self.rates, curve if data is None else data.extended)  # type: ignore[arg-type]

    def counts(self, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers that multiply the terms of the likelihood, from patients and DLTs by dose ``(..., doses)``."""
        return (n, y) if self.data is None else self.data.counts(n, y)

    def expect(self, n: np.ndarray, y: np.ndarray, tolerance: float = REPORTED) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return expectations ``(sets, k)``, their errors and the log evidence ``(sets,)``.

        The columns are the parameters, their squares, the DLT probabilities, their squares, and the probabilities of being
        below each rate, dose by dose.
        """
        return self.quadrature.expect(*self.counts(n, y), tolerance)

    def shares(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the posterior weight of each component of the prior, ``(sets, components)``."""
        return self.quadrature.shares(*self.counts(n, y), REPORTED)


@lru_cache(maxsize=32)
def _quadrature(curve: Curve, rates: tuple[float, ...], extended: Curve) -> MixedQuadrature:
    """Return the quadrature of a curve's summaries; data sets whose likelihood has the same terms share its grids."""

    def columns(nodes: Nodes) -> np.ndarray:
        # The curve of the likelihood can have more doses.
        levels, theta = curve.coordinates, nodes.parameters()
        p = nodes.probabilities(levels)
        return np.column_stack([theta, theta**2, p, p**2, *(nodes.below(rate, levels) for rate in rates)])

    return MixedQuadrature(extended, columns)


@lru_cache(maxsize=32)
def exact_fit(curve: Curve, rates: tuple[float, ...], data: Data | None = None) -> ExactFit:
    """Return a fit whose grids are cached, because most questions about a trial use the same few curves."""
    return ExactFit(curve, rates, data)


class ExactPosterior(Posterior):
    """The posterior after one data set, by quadrature.

    Parameters
    ----------
    fit
        The curve's fit, which may be shared between data sets.
    n, y : (doses,) arrays
        Patients and DLTs.
    tolerance
        Largest error of its values, except quantiles.
    """

    engine: ClassVar[str] = "quadrature"
    samples: ClassVar[bool] = False

    def __init__(self, fit: ExactFit, n: np.ndarray, y: np.ndarray, tolerance: float = REPORTED) -> None:
        self.fit, self.curve = fit, fit.curve
        self.n, self.y = np.asarray(n), np.asarray(y)
        values, error, log_evidence = fit.expect(self.n[None], self.y[None], tolerance)
        self._values, self._error, self.log_evidence = values[0], error[0], float(log_evidence[0])
        self._nodes: dict[Halvings, list[tuple[Nodes, np.ndarray]]] = {}
        self._quantile_error = 0.0

    def moments(self) -> tuple[Figure, Figure]:
        return self._mean_and_sd(2 * self.curve.n_parameters, self.curve.n_doses)

    def parameters(self) -> tuple[Figure, Figure]:
        return self._mean_and_sd(0, self.curve.n_parameters)

    def _mean_and_sd(self, start: int, width: int) -> tuple[Figure, Figure]:
        (mean, square), (error, square_error) = (
            part[start : start + 2 * width].reshape(2, width) for part in (self._values, self._error)
        )
        sd = np.sqrt(np.maximum(square - mean**2, 0))
        # d sd = (d E[x^2] - 2 E[x] d E[x]) / (2 sd)
        return Figure(mean, error), Figure(sd, (square_error + 2 * np.abs(mean) * error) / (2 * np.maximum(sd, 1e-300)))

    def below(self, rate: float) -> Figure:
        if rate in self.fit.rates:
            doses = self.curve.n_doses
            start = 2 * self.curve.n_parameters + (2 + self.fit.rates.index(rate)) * doses
            return Figure(self._values[start : start + doses].clip(0, 1), self._error[start : start + doses])
        return type(self)(exact_fit(self.curve, (rate,), self.fit.data), self.n, self.y).below(rate)  # type: ignore[arg-type]

    def quantiles(self, probabilities: Sequence[float], at: np.ndarray | None = None) -> np.ndarray:
        doses = self.curve.coordinates if at is None else at
        wanted = np.tile(np.asarray(probabilities), (len(doses), 1))
        each = np.repeat(doses, wanted.shape[1])

        def at_nodes(nodes: Nodes) -> np.ndarray:
            log_p, log_q = nodes.curve.at(nodes.z, np.asarray(doses))
            return log_p - log_q

        logits = self._solved(lambda nodes, logit: nodes.below(expit(logit), each), wanted, at_nodes)
        return expit(logits).reshape(wanted.shape)

    def mtd_quantiles(self, target: float, probabilities: Sequence[float]) -> np.ndarray:
        # The MTD is below a dose whose DLT probability exceeds the target.
        at = self._solved(
            lambda nodes, at: 1 - nodes.below(target, at),
            np.asarray(probabilities)[None],
            lambda nodes: np.asarray(self.curve.coordinate_of(target, tuple(nodes.parameters().T)))[:, None],
        )
        return np.where(at <= -FAR, 0.0, np.where(at >= FAR, np.inf, self.curve.amount(at)))

    def _solved(
        self, chance: Callable[[Nodes, np.ndarray], np.ndarray], probabilities: np.ndarray, at_nodes: Callable[[Nodes], np.ndarray]
    ) -> np.ndarray:
        """Return the points where increasing probabilities reach ``probabilities`` (variables, each), in one row.

        Finer and finer grids are used until halving the step changes nothing. ``at_nodes`` holds the variables, (nodes, variables).
        """
        wanted = probabilities.ravel()

        def missing(x: np.ndarray, more: int = 0) -> np.ndarray:
            return self._chance(lambda nodes: chance(nodes, x), self._with_edges(more)) - wanted

        def off(x: np.ndarray, more: int) -> np.ndarray:
            """Return the errors in probability; 0 where the probability is reached within ``_UNSEEN`` of the point."""
            apart = np.where(inside, missing(x, more), 0.0)
            if np.abs(apart).max(initial=0.0) > 10 * AT_ROOT:
                apart[(missing(x - _UNSEEN, more) <= 0) & (missing(x + _UNSEEN, more) >= 0)] = 0.0
            return apart

        found = root(missing, len(wanted), self._near(probabilities, at_nodes))
        inside = np.abs(found) < FAR
        slope = np.maximum((missing(found + _APART) - missing(found - _APART)) / (2 * _APART), 1e-9)
        error = 0.0
        for more in range(1, _FINEST + 1):
            if more > 1 and self._too_fine(self._with_edges(more), self._with_edges(more - 1)):
                break
            apart = off(found, more)
            error = float(np.abs(apart).max(initial=0.0))
            if error <= 10 * AT_ROOT:
                break
            for _ in range(_CORRECTIONS):
                found = np.clip(found - apart / slope, -FAR, FAR)
                apart = np.where(inside, missing(found, more), 0.0)
        self._quantile_error = max(self._quantile_error, error)
        return found

    def _near(self, probabilities: np.ndarray, at_nodes: Callable[[Nodes], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return values that should bracket the quantiles, because the nodes cover the posterior."""
        found = self._weighted(self._halved(0))
        parts = [(at_nodes(nodes), share * weight) for share, (nodes, weight) in zip(self._weights, found, strict=True)]
        values, weight = np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts])
        order = np.argsort(values, axis=0)
        risen = np.cumsum(weight[order], axis=0)
        values = np.take_along_axis(values, order, axis=0)
        # A node represents its whole weight, half of it on each side.
        margin = _NODES * weight.max()

        def reached(chances: np.ndarray) -> np.ndarray:
            place = [np.searchsorted(risen[:, k], chance) for k, chance in enumerate(chances)]
            return np.concatenate([values[np.minimum(at, len(values) - 1), k] for k, at in enumerate(place)])

        low = reached(np.maximum(probabilities - margin, probabilities / 2))
        high = reached(np.minimum(probabilities + margin, (1 + probabilities) / 2))
        return np.clip(low - _APART, -FAR, FAR), np.clip(high + _APART, -FAR, FAR)

    def expected(self, function: Callable[[np.ndarray], np.ndarray], doses: np.ndarray, tolerance: float) -> Figure:
        """Return the expectation of a function of the DLT probabilities of patients, which has no edges, such as a polynomial.

        Parameters
        ----------
        function
            From probabilities, ``(nodes, doses)``, to values of at most 1, ``(nodes, k)``.
        doses : (doses,) array
            Coordinates of the doses.
        tolerance
            Error at which no finer grid is tried.

        Returns
        -------
        Figure
            The ``k`` expectations, each with its error.
        """

        def on_grid(more: int) -> np.ndarray:
            return self._chance(lambda nodes: function(np.exp(nodes.curve.counted.at(nodes.z, doses)[0])), self._halved(more))

        found, error = on_grid(-1), np.array(np.inf)
        for more in range(_FINEST + 1):
            if more and self._too_fine(self._halved(more), self._halved(more - 1)):
                break
            coarse, found = found, on_grid(more)
            error = SAFETY * np.abs(found - coarse)
            if error.max(initial=0.0) < tolerance:
                break
        return Figure(found, error)

    def nodes(self, more: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the DLT probability of each dose at the nodes, ``(nodes, doses)``, and the posterior weight of each node.

        For functions of several posteriors at once; of one, `expected` states the error.

        Parameters
        ----------
        more
            Number of times that all steps are halved; -1 doubles them.
        """
        parts = [
            (nodes.probabilities(self.curve.coordinates), share * weight)
            for share, (nodes, weight) in zip(self._weights, self._weighted(self._halved(more)), strict=True)
        ]
        return np.concatenate([p for p, _ in parts]), np.concatenate([weight for _, weight in parts])

    def draws(self, count: int) -> np.ndarray:
        """Return deterministic draws: a component of the prior, then each coordinate by its inverse distribution function."""
        sizes = np.diff(np.round(np.cumsum(np.append(0.0, self._share)) * count).astype(int))
        found = []
        for (nodes, weight), size in zip(self._weighted(self._halved(0)), sizes, strict=True):
            z = _spread(nodes, weight, *self._counts, int(size))
            found.append(np.column_stack(nodes.curve.parameters(tuple(z.T))))
        # In a fixed random order, so that neighbours are no more alike than in a sample.
        return np.random.Generator(np.random.PCG64(0)).permutation(np.concatenate(found))[None]

    def diagnostics(self) -> dict[str, Any]:
        """Return the largest error of any value, and that of any quantile requested so far, in probability."""
        return {"largest_error": float(self._error.max()), "quantile_error": self._quantile_error}

    @property
    def _counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers that multiply the terms of the likelihood."""
        return self.fit.counts(self.n, self.y)

    @cached_property
    def _share(self) -> np.ndarray:
        return self.fit.shares(self.n[None], self.y[None])[0]

    @property
    def _weights(self) -> np.ndarray:
        """Return the posterior weight of each component of the prior, which is 1 if there is only one."""
        return self._share if len(self.fit.quadrature.parts) > 1 else np.ones(1)

    def _halved(self, more: int) -> Halvings:
        """Return that all steps are halved this many more times."""
        return (more,) * self.curve.n_coordinates

    def _with_edges(self, more: int) -> Halvings:
        """Return the same for functions with edges: these are integrated in the first coordinate, which is halved once only."""
        return self._halved(more) if self.curve.n_coordinates == 1 else (min(more, 1), *self._halved(more)[1:])

    def _weighted(self, more: Halvings) -> list[tuple[Nodes, np.ndarray]]:
        """Return the nodes of each component's posterior and their shares, on a grid with steps halved this many more times."""
        if more not in self._nodes:
            parts = self.fit.quadrature.parts
            self._nodes[more] = [part.weighted(*self._counts, settled_at(AT_NODES), more) for part in parts]
        return self._nodes[more]

    def _too_fine(self, more: Halvings, before: Halvings) -> bool:
        """Return whether a grid would have more nodes than are computed for one data set, from the nodes of a coarser one."""
        return max(len(weight) for _, weight in self._weighted(before)) * 2 ** (sum(more) - sum(before)) > LAST

    def _chance(self, columns: Callable[[Nodes], np.ndarray], more: Halvings) -> np.ndarray:
        """Return expectations of columns that are used once."""
        total = 0.0
        for share, (nodes, weight) in zip(self._weights, self._weighted(more), strict=True):
            total = total + share * (weight @ columns(nodes))
        return np.asarray(total)


def root(function: Callable[[np.ndarray], np.ndarray], count: int, near: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
    """Return the roots of increasing functions, by regula falsi in its Illinois form; -+FAR if there is no root between these.

    They are sought between the values ``near`` first.
    """
    low, high = near or (np.full(count, -FAR), np.full(count, FAR))
    at_low, at_high = function(low), function(high)
    if near is not None and ((at_low >= 0) | (at_high <= 0)).any():
        low, high = np.where(at_low >= 0, -FAR, low), np.where(at_high <= 0, FAR, high)
        at_low, at_high = function(low), function(high)
    left, right = at_low >= 0, at_high <= 0
    middle = (low + high) / 2
    for step in range(100):
        # Every third step bisects, which bounds the number of steps.
        slope = np.where(at_high > at_low, at_high - at_low, 1.0)
        middle = (low + high) / 2 if step % 3 == 2 else low - at_low * (high - low) / slope
        at_middle = function(middle)
        rises = at_middle < 0
        at_high = np.where(rises, at_high / 2, at_middle)
        at_low = np.where(rises, at_middle, at_low / 2)
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
        if np.all((np.abs(at_middle) < AT_ROOT) | (high - low < AT_ROOT) | left | right):
            break
    return np.where(left, -FAR, np.where(right, FAR, middle))


def _spread(nodes: Nodes, weight: np.ndarray, n: np.ndarray, y: np.ndarray, count: int) -> np.ndarray:
    """Return deterministic draws of the standard coordinates, ``(count, parameters)``."""
    first = (np.arange(count) + 0.5) / max(count, 1)
    if nodes.z.shape[1] == 1:
        return _inverse(nodes.z[:, 0], weight, nodes.step, first)[:, None]
    other, column = np.unique(nodes.z[:, 1], return_inverse=True)
    second = _inverse(other, np.bincount(column, weight), float(np.diff(other).min()), first)
    # Given the second coordinate, the first has a conditional density, computed along a line.
    step = nodes.step / 2
    line = np.arange(nodes.z[:, 0].min(), nodes.z[:, 0].max() + step, step)
    golden = np.mod(0.5 + np.arange(count) * (np.sqrt(5) - 1) / 2, 1)
    parts = []
    for rows in np.array_split(np.arange(count), max(1, count // 256)):
        z = np.column_stack([np.tile(line, len(rows)), np.repeat(second[rows], len(line))])
        log_p, log_q = nodes.curve.at(z)
        log_density = (log_p @ y + log_q @ (n - y) - z[:, 0] ** 2 / 2).reshape(len(rows), len(line))
        density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
        total = density.cumsum(axis=1)
        wanted = golden[rows] * total[:, -1]
        at = (total < wanted[:, None]).sum(axis=1)
        each = np.arange(len(rows))
        parts.append(line[at] + step * (0.5 - (total[each, at] - wanted) / density[each, at]))
    return np.column_stack([np.concatenate(parts), second])


def _inverse(z: np.ndarray, weight: np.ndarray, step: float, probabilities: np.ndarray) -> np.ndarray:
    """Return quantiles of a density with shares ``weight`` at nodes ``z``, with distance ``step``."""
    fine = np.arange(z.min() - step, z.max() + step, step / 4)
    below = below_weights(z, step, fine[:, None]) @ weight
    return np.interp(probabilities, np.maximum.accumulate(below), fine)
