"""Quadrature under a mixture prior: each component has its own posterior, weighted by its evidence."""

from __future__ import annotations

import numpy as np

from ..models import Curve
from .quadrature import FLOOR, HALF_WIDTH, Columns, Quadrature, Settled, settled_at

__all__ = ["MixedQuadrature"]

# Errors requested of the components in turn until every comparison that depends on the mixture is settled.
_LADDER = (1e-4, 1e-7, FLOOR)


class MixedQuadrature:
    """Expectations of ``columns`` under the posterior of ``curve``, whose prior may be a mixture.

    Parameters
    ----------
    curve
        The dose-toxicity curve with its prior.
    columns
        Function from nodes to the integrands there.
    """

    def __init__(self, curve: Curve, columns: Columns) -> None:
        self.log_weights = np.log([weight for weight, _ in curve.components])
        self.parts = [Quadrature(component, columns) for _, component in curve.components]

    def expect(
        self, n: np.ndarray, y: np.ndarray, tolerance: float = FLOOR, width: float = HALF_WIDTH
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return expectations, their errors and the log evidence of data sets ``(sets, doses)``, as in `Quadrature.expect`."""
        found = [part.expect(n, y, settled_at(tolerance), width) for part in self.parts]
        if len(found) == 1:
            return found[0]
        values, error, log_evidence = (np.array(each) for each in zip(*found, strict=True))
        share, total = self._shares(log_evidence)
        mixed = np.einsum("cs,csk->sk", share, values)
        # The error of a component's share is the relative error of its evidence, which is within the error of its values.
        apart = np.abs(values - mixed)
        return mixed, np.einsum("cs,csk->sk", share, error * (1 + apart)), total

    def settle(self, n: np.ndarray, y: np.ndarray, settled: Settled) -> np.ndarray:
        """Return expectations accurate enough for the comparisons that depend on them, as in `Quadrature.settle`."""
        if len(self.parts) == 1:
            return self.parts[0].settle(n, y, settled)
        values, error, _ = self.expect(n, y, _LADDER[0])
        for tolerance in _LADDER[1:]:
            rows = np.flatnonzero(~settled(values, error))
            if len(rows):
                values[rows], error[rows], _ = self.expect(n[rows], y[rows], tolerance)
        return values

    def shares(self, n: np.ndarray, y: np.ndarray, tolerance: float = FLOOR) -> np.ndarray:
        """Return the posterior weight of each component of the prior, ``(sets, components)``."""
        return self._shares(np.array([part.expect(n, y, settled_at(tolerance))[2] for part in self.parts]))[0].T

    def _shares(self, log_evidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        joint = log_evidence + self.log_weights[:, None]
        total = np.logaddexp.reduce(joint, axis=0)
        return np.exp(joint - total), total
