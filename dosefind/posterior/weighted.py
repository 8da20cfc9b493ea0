"""A curve with columns for patients with a weight, so that any engine by quadrature reads them as patients at further doses.

A patient without a DLT with weight w has the likelihood ``1 - w p``: that of a patient without a DLT at a dose whose DLT rate is
``w p``. Such a dose is one more column of the curve, and nothing else of an engine changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..models import Curve

__all__ = ["PartlyFollowed"]


class PartlyFollowed(Curve):
    """A curve whose doses are followed by columns with a share of the DLT rate of a dose.

    Attributes
    ----------
    curve
        The curve with its prior.
    shares
        Dose index and share, above 0 and at most 1, of each further column.
    """

    curve: Curve
    shares: tuple[tuple[int, float], ...]

    # Properties here, class variables of other curves.
    @property
    def parameter_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.curve.parameter_names

    @property
    def n_coordinates(self) -> int:
        return self.curve.n_coordinates

    @property
    def rises(self) -> bool:  # type: ignore[override]
        return self.curve.rises

    @property
    def coordinates(self) -> np.ndarray:
        return self.curve.coordinates[[*range(self.curve.n_doses), *(dose for dose, _ in self.shares)]]

    @property
    def components(self) -> tuple[tuple[float, PartlyFollowed], ...]:
        return tuple((weight, self.model_copy(update={"curve": curve})) for weight, curve in self.curve.components)

    @property
    def first_step(self) -> tuple[float, ...]:
        return self.curve.first_step

    def parameters(self, z: Sequence[Any], xp: Any = np) -> tuple[Any, ...]:
        return self.curve.parameters(z, xp)

    def log_terms(self, theta: Sequence[Any], at: Any, xp: Any = np) -> tuple[Any, Any]:
        return self.curve.log_terms(theta, at, xp)

    def bound(self, rate: Any, at: Any, rest: Sequence[np.ndarray]) -> np.ndarray:
        return self.curve.bound(rate, at, rest)

    def at(self, z: np.ndarray, doses: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        log_p, log_q = self.curve.at(z, doses)
        if doses is not None:
            return log_p, log_q
        at_dose, shares = [dose for dose, _ in self.shares], np.array([share for _, share in self.shares])
        part = np.log(shares)
        # 1 - w p is 1 - w + w (1 - p), which keeps its digits where p is near 1.
        with np.errstate(divide="ignore"):
            rest = np.logaddexp(np.log1p(-shares), part + log_q[:, at_dose])
        return np.hstack([log_p, log_p[:, at_dose] + part]), np.hstack([log_q, rest])

    def coordinate(self, amount: Any) -> Any:
        return self.curve.coordinate(amount)

    def amount(self, coordinate: Any) -> Any:
        return self.curve.amount(coordinate)

    def coordinate_of(self, rate: float, theta: Sequence[Any]) -> Any:
        return self.curve.coordinate_of(rate, theta)

    def sentences(self) -> list[str]:
        return self.curve.sentences()

    def variants(self) -> Iterator[tuple[str, str, PartlyFollowed]]:
        for varied, value, curve in self.curve.variants():
            yield varied, value, self.model_copy(update={"curve": curve})
