"""The complementary log-log curve ``1 - p_d = (1 - skeleton_d) ** exp(-b)``.

Equivalently, ``log(-log(1 - p_d)) = log(-log(1 - skeleton_d)) - b``. Hazards are proportional: for every b, the cumulative hazards
of a DLT at two doses, -log(1 - p), have the same ratio as in the skeleton. At the prior mean b = 0 the curve is the skeleton.

The CRM is consistent with any one-parameter curve that meets the conditions of Shen and O'Quigley (1996), Biometrika 83:395-405,
doi:10.1093/biomet/83.2.395. The complementary log-log link in phase I trials: Wakayama, Momozaki and Ando (2025),
doi:10.48550/arXiv.2502.14278.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..words import marked
from .base import OneParameterCurve

__all__ = ["Cloglog"]


class Cloglog(OneParameterCurve):
    """Complementary log-log curve; on the scale u = -log(-log(1 - p)) the parameter is a shift.

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
    >>> Cloglog(skeleton=(0.1, 0.25)).probabilities([0.0, -np.log(2)]).round(4)
    array([[0.1   , 0.25  ],
           [0.19  , 0.4375]])
    """

    kind: ClassVar[str] = "cloglog"
    title: ClassVar[str] = marked("Complementary log-log curve")
    source: ClassVar[str] = "Shen and O'Quigley (1996), doi:10.1093/biomet/83.2.395"

    def scale(self, p: np.ndarray | float) -> np.ndarray:
        return -np.log(-np.log1p(-np.asarray(p)))

    def log_at(self, u: Any, xp: Any = np) -> tuple[Any, Any]:
        log_q = -xp.exp(-u)
        return xp.log(-xp.expm1(log_q)), log_q
