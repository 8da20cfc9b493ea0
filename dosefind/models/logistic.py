"""The one-parameter logistic curve ``logit p_d = intercept + exp(b) * x_d``, x_d chosen so that b = 0 is the skeleton.

Goodman, Zahurak and Piantadosi (1995), Statistics in Medicine 14:1149-1161, doi:10.1002/sim.4780141102; in this form
Cheung (2011), Dose Finding by the Continual Reassessment Method, ISBN 9781420088519.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ..words import marked
from .base import OneParameterCurve

__all__ = ["Logistic"]

# The name of its option, as in a sentence.
_OPTION = marked("intercept")


class Logistic(OneParameterCurve):
    """One-parameter logistic curve; on the scale u = log(intercept - logit p) the parameter is a shift.

    Every probability of the curve is below ``1 / (1 + exp(-intercept))``, 0.953 at the usual intercept 3.

    Attributes
    ----------
    skeleton
        DLT probability of each dose at b = 0, strictly increasing.
    prior_sd
        Prior standard deviation of b.
    uniform
        Bounds between which exp(b) is uniform a priori, instead of the normal prior.
    intercept
        The intercept.

    Examples
    --------
    >>> Logistic(skeleton=(0.1, 0.25), prior_sd=1.1576).probabilities(0.0).round(2)
    array([[0.1 , 0.25]])
    """

    kind: ClassVar[str] = "logistic"
    title: ClassVar[str] = marked("One-parameter logistic curve")
    source: ClassVar[str] = "Goodman, Zahurak and Piantadosi (1995), doi:10.1002/sim.4780141102"

    intercept: Annotated[float, Field(ge=-10, le=10, strict=True)] = 3.0

    @property
    def first_step(self) -> tuple[float, ...]:
        return (1 / 12,)

    def scale(self, p: np.ndarray | float) -> np.ndarray:
        # A rate that the curve never reaches is at minus infinity.
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(self.intercept - np.log(p) + np.log1p(-np.asarray(p)), 0.0))

    def log_at(self, u: Any, xp: Any = np) -> tuple[Any, Any]:
        logit = self.intercept - xp.exp(u)
        return -xp.logaddexp(0.0, -logit), -xp.logaddexp(0.0, logit)
