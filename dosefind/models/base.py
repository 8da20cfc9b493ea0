"""What every dose-toxicity curve offers, and the shared half of the one-parameter curves.

Both one-parameter curves of the CRM are location families on a scale of their own: with u(p) that scale,
``u(p_d) = u(skeleton_d) + b`` and b ~ Normal(0, prior_sd^2). A curve is therefore its scale and the inverse;
skeletons, crossings and boundaries follow. To add one, derive from `OneParameterCurve` in a new file and name it
in the registry of this package.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .._check import InputError, Problem

__all__ = ["OneParameterCurve"]


@dataclass(frozen=True)
class OneParameterCurve(ABC):
    """A curve with one parameter b, normal with mean 0 and standard deviation ``prior_sd`` a priori.

    Attributes
    ----------
    skeleton : tuple of float
        DLT probability of each dose at b = 0, strictly increasing.
    prior_sd : float
        Prior standard deviation of b.
    """

    # Intervals of the first quadrature grid, enough for most trials of up to 30 patients; others are refined.
    first_intervals: ClassVar[int] = 96

    skeleton: tuple[float, ...]
    prior_sd: float

    @abstractmethod
    def scale(self, p: np.ndarray | float) -> np.ndarray:
        """u(p), falling in p, on which b is a shift."""

    @abstractmethod
    def log_at(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log p and log(1 - p) at scale values ``u``, without underflow."""

    @property
    def n_doses(self) -> int:
        return len(self.skeleton)

    def log_probabilities(self, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log p and log(1 - p) of every dose, each ``(nodes, doses)``, at parameters ``b`` (nodes,)."""
        return self.log_at(np.asarray(b, float)[:, None] + self.scale(np.array(self.skeleton)))

    def probabilities(self, b: np.ndarray | float) -> np.ndarray:
        """DLT probability of every dose, ``(nodes, doses)``, at parameters ``b``."""
        return np.exp(self.log_probabilities(np.atleast_1d(b))[0])

    def crossing(self, dose: int, rate: float) -> float:
        """The b at which the dose (index) has DLT probability ``rate``; a larger b makes it less toxic."""
        return float(self.scale(rate) - self.scale(self.skeleton[dose]))

    def most_likely(self, n: np.ndarray, y: np.ndarray) -> float:
        """The b that maximises the likelihood of the counts ``n``, ``y``, each (doses,), between -10 and 10.

        Raises
        ------
        InputError
            If nobody or everybody had a DLT: the likelihood then has no maximum.
        """
        from scipy.optimize import minimize_scalar

        if not 0 < y.sum() < n.sum():
            raise InputError(
                Problem("outcomes", f"{y.sum()} DLTs in {n.sum()} patients", "maximum likelihood needs a DLT and a patient without")
            )

        def loss(b: float) -> float:
            log_p, log_q = self.log_probabilities(np.array([b]))
            return float(-(log_p[0] @ y + log_q[0] @ (n - y)))

        found: Any = minimize_scalar(loss, bounds=(-10, 10), method="bounded", options={"xatol": 1e-10})
        return float(found.x)

    def boundaries(self, target: float) -> np.ndarray:
        """The b at which two neighbouring doses are equally far from the target, ``(doses - 1,)``, increasing.

        A dose is nearest to the target between its two boundaries, so the plug-in recommendation is a
        search in this list. They are the intervals H of Cheung (2011, ISBN 9781420088519), chapter 3.
        """
        u = self.scale(np.array(self.skeleton))
        low, high = self.scale(target) - u[:-1], self.scale(target) - u[1:]
        # p_k + p_{k+1} falls in b and crosses twice the target between the two crossings: bisect to the last bit.
        for _ in range(200):
            middle = (low + high) / 2
            total = np.exp(self.log_at(middle + u[:-1])[0]) + np.exp(self.log_at(middle + u[1:])[0])
            too_toxic = total > 2 * target
            low, high = np.where(too_toxic, middle, low), np.where(too_toxic, high, middle)
        return (low + high) / 2
