"""The modified toxicity probability interval design, second version (mTPI-2), and the Keyboard design, which has the same moves.

The range of DLT rates from 0 to 1 is divided into the interval around the target and intervals of the same width on both sides. The
interval with the highest posterior density decides. Guo et al. (2017), Contemporary Clinical Trials 58:23-33,
doi:10.1016/j.cct.2017.04.006; Yan, Mandrekar and Yuan (2017), Clinical Cancer Research 23:3994-4003,
doi:10.1158/1078-0432.CCR-17-0220.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.special import betainc

from ..words import _
from .interval import AroundTarget
from .rules import TIE

__all__ = ["MTPI2", "Keyboard"]


class MTPI2(AroundTarget):
    """The modified toxicity probability interval design, second version (mTPI-2).

    See Also
    --------
    AroundTarget : the interval around the target
    IntervalDesign : target, elimination and safety stop
    Design : settings that all designs have

    Examples
    --------
    >>> from dosefind import decide
    >>> print(decide(MTPI2(target=0.30), "1NNN 2NNT", n_doses=3))
    stay at level 2, 3 patients: 1 DLT in 3 patients at level 2, a rate of 33.3% at which the rule says stay
    """

    kind: ClassVar[str] = "mtpi-2"
    title: ClassVar[str] = "mTPI-2"
    source: ClassVar[str] = "Guo et al. (2017), doi:10.1016/j.cct.2017.04.006"

    @cached_property
    def edges(self) -> np.ndarray:
        """Return the edges of the intervals, from 0 to 1; the first and the last interval can be shorter."""
        low, high = self.ends
        each = (high - low) * np.arange(np.ceil(1 / (high - low)))
        edges = np.concatenate([(low - each)[::-1], high + each])
        return np.concatenate([[0], edges[(edges > TIE) & (edges < 1 - TIE)], [1]])

    def move(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        below = betainc(np.add(y, 1.0)[..., None], np.subtract(n, y)[..., None] + 1.0, self.edges)
        density = np.diff(below) / np.diff(self.edges)
        # If several intervals have equal density, the highest is used.
        tied = density >= density.max(axis=-1, keepdims=True) - TIE
        densest = tied.shape[-1] - 1 - np.argmax(tied[..., ::-1], axis=-1)
        return np.sign(np.searchsorted(self.edges, self.target) - 1 - densest)

    def move_sentences(self) -> list[str]:
        low, high = self.ends
        rates = {"target": f"{self.target:g}", "low": f"{low:g}", "high": f"{high:g}"}
        return [
            _(
                "Target DLT rate {target}. Intervals of the width of [{low}, {high}] extend from it down to 0 and up to 1, "
                "truncated there."
            ).format(**rates),
            _(
                "Escalate if the posterior density of the DLT rate at the current dose, under Beta(1, 1), is highest in an "
                "interval below [{low}, {high}]; de-escalate if it is highest in an interval above; otherwise stay. If densities "
                "are equal, the highest interval is used."
            ).format(**rates),
        ]


class Keyboard(MTPI2):
    """The Keyboard design: its intervals are keys, and the strongest key decides.

    See Also
    --------
    MTPI2 : the same moves
    AroundTarget : the interval around the target, the target key
    IntervalDesign : target, elimination and safety stop
    Design : settings that all designs have

    Examples
    --------
    >>> Keyboard(target=0.30).table(max_n=3)
                escalate_if_dlt_le  deescalate_if_dlt_ge  eliminate_if_dlt_ge
    n_patients
    1                            0                     1                 <NA>
    2                            0                     1                 <NA>
    3                            0                     2                    3
    """

    kind: ClassVar[str] = "keyboard"
    title: ClassVar[str] = "Keyboard"
    source: ClassVar[str] = "Yan, Mandrekar and Yuan (2017), doi:10.1158/1078-0432.CCR-17-0220"
