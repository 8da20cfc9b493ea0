"""The power curve ``p_d = skeleton_d ** exp(b)``, called "empiric" in dfcrm.

O'Quigley, Pepe and Fisher (1990), Biometrics 46:33-48, doi:10.2307/2531628; in this form with a normal prior,
O'Quigley and Shen (1996), Biometrics 52:673-684, doi:10.2307/2532905.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..words import marked
from .base import OneParameterCurve

__all__ = ["Power"]


class Power(OneParameterCurve):
    """Power curve; on the scale u = log(-log p) the parameter is a shift.

    Attributes
    ----------
    skeleton
        DLT probability of each dose at b = 0, strictly increasing.
    prior_sd
        Prior standard deviation of b.
    uniform
        Bounds between which exp(b) is uniform a priori, instead of the normal prior.

    Examples
    --------
    >>> Power(skeleton=(0.1, 0.25), prior_sd=1.1576).probabilities(0.0).round(2)
    array([[0.1 , 0.25]])
    """

    kind: ClassVar[str] = "power"
    title: ClassVar[str] = marked("Power curve")
    source: ClassVar[str] = "O'Quigley and Shen (1996), doi:10.2307/2532905"

    def scale(self, p: np.ndarray | float) -> np.ndarray:
        return np.log(-np.log(p))

    def log_at(self, u: Any, xp: Any = np) -> tuple[Any, Any]:
        log_p = -xp.exp(u)
        return log_p, xp.log(-xp.expm1(log_p))
