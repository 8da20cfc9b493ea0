"""The i3+3 design.

The observed DLT rate at the current dose is compared with an interval around the target. Above it, the rate with one DLT fewer
shows whether the rate is high only because few patients were treated. Liu, Wang and Ji (2020), Journal of Biopharmaceutical
Statistics 30:294-304, doi:10.1080/10543406.2019.1636811.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..words import _
from .interval import AroundTarget
from .rules import above, at_least

__all__ = ["I3Plus3"]


class I3Plus3(AroundTarget):
    """The i3+3 design.

    See Also
    --------
    AroundTarget : the interval around the target
    IntervalDesign : target, elimination and safety stop
    Design : settings that all designs have

    Examples
    --------
    >>> from dosefind import decide
    >>> print(decide(I3Plus3(target=0.25), "1NNN 2NNT", n_doses=3))
    stay at level 2, 3 patients: 1 DLT in 3 patients at level 2, a rate of 33.3% at which the rule says stay
    """

    kind: ClassVar[str] = "i3+3"
    title: ClassVar[str] = "i3+3"
    source: ClassVar[str] = "Liu, Wang and Ji (2020), doi:10.1080/10543406.2019.1636811"

    def move(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        low, high = self.ends
        down = above(y, high * n) & at_least(np.subtract(y, 1), low * n)
        return above(low * n, y).astype(int) - down

    def move_sentences(self) -> list[str]:
        low, high = self.ends
        rates = {"target": f"{self.target:g}", "low": f"{low:g}", "high": f"{high:g}"}
        return [
            _(
                "Target DLT rate {target}. Escalate if the DLT rate at the current dose is below {low}, stay if it is from {low} "
                "to {high}."
            ).format(**rates),
            _("If it is above {high}: stay if one DLT fewer would bring it below {low}, otherwise de-escalate.").format(**rates),
        ]
