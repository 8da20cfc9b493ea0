"""The one-parameter logistic curve ``logit p_d = intercept + exp(b) * x_d``, x_d chosen so that b = 0 is the skeleton.

Goodman, Zahurak and Piantadosi (1995), Statistics in Medicine 14:1149-1161, doi:10.1002/sim.4780141102; in this form
Cheung (2011), Dose Finding by the Continual Reassessment Method, ISBN 9781420088519.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import OneParameterCurve

__all__ = ["Logistic"]


@dataclass(frozen=True)
class Logistic(OneParameterCurve):
    """One-parameter logistic curve; on the scale u = log(intercept - logit p) the parameter is a shift.

    Every probability of the curve lies below ``1 / (1 + exp(-intercept))``, 0.953 at the usual intercept 3.

    Examples
    --------
    >>> Logistic(skeleton=(0.1, 0.25), prior_sd=1.1576).probabilities(0.0).round(2)
    array([[0.1 , 0.25]])
    """

    first_intervals: ClassVar[int] = 192

    intercept: float = 3.0

    def scale(self, p: np.ndarray | float) -> np.ndarray:
        return np.log(self.intercept - np.log(p) + np.log1p(-np.asarray(p)))

    def log_at(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logit = self.intercept - np.exp(u)
        return -np.logaddexp(0.0, -logit), -np.logaddexp(0.0, logit)
