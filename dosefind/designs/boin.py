"""The Bayesian optimal interval design (BOIN).

The DLT rate at the current dose is compared with two boundaries that minimise the probability of a wrong decision: escalate at
or below the lower boundary, de-escalate above the upper one. Liu and Yuan (2015), JRSS C 64:507-523, doi:10.1111/rssc.12089;
elimination and final selection as in Yan et al. (2020), Journal of Statistical Software 94(13), doi:10.18637/jss.v094.i13.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import model_validator

from ..figures import percent
from ..words import _
from .base import Flag, Probability
from .interval import IntervalDesign
from .rules import at_least

__all__ = ["BOIN"]

# Default rates deemed subtherapeutic and overly toxic, as multiples of the target.
_TOO_LOW, _TOO_TOXIC = 0.6, 1.4


class BOIN(IntervalDesign):
    """The Bayesian optimal interval design (BOIN).

    Attributes
    ----------
    p_saf, p_tox
        Highest rate deemed subtherapeutic and lowest rate deemed overly toxic; by default 0.6 and 1.4 times the target.
    stay_at_1_of_3
        Whether one DLT in three patients leads to "stay", whatever the boundaries say.
    down_at_2_of_6
        Whether two or more DLTs in six patients lead to de-escalation, whatever the boundaries say.
    bound_mtd
        Whether the dose selected as MTD must have an isotonic estimate below the de-escalation boundary.

    See Also
    --------
    IntervalDesign : target, elimination and safety stop
    Design : settings that all designs have

    Examples
    --------
    >>> BOIN(target=0.30).table(max_n=6)
                 escalate_if_dlt_le  deescalate_if_dlt_ge  eliminate_if_dlt_ge
    n_patients
    1                             0                     1                 <NA>
    2                             0                     1                 <NA>
    3                             0                     2                    3
    4                             0                     2                    3
    5                             1                     2                    4
    6                             1                     3                    4
    """

    kind: ClassVar[str] = "boin"
    title: ClassVar[str] = "BOIN"
    tied_to_target: ClassVar[tuple[str, ...]] = ("target", "p_saf", "p_tox")
    source: ClassVar[str] = "Liu and Yuan (2015), doi:10.1111/rssc.12089"

    p_saf: Probability | None = None
    p_tox: Probability | None = None
    stay_at_1_of_3: Flag = False
    down_at_2_of_6: Flag = False
    bound_mtd: Flag = False

    @model_validator(mode="after")
    def _rates_are_ordered(self) -> Self:
        low, high = self.rates
        if not low < self.target:
            raise ValueError(f"p_saf = {low:g} must be below target = {self.target:g}")
        if not self.target < high < 1:
            raise ValueError(f"p_tox = {high:g} must lie between target = {self.target:g} and 1")
        return self

    def in_force(self) -> dict[str, Any]:
        return super().in_force() | dict(zip(("p_saf", "p_tox"), self.rates, strict=True))

    @property
    def rates(self) -> tuple[float, float]:
        """Return the rates deemed subtherapeutic and overly toxic."""
        low = _TOO_LOW * self.target if self.p_saf is None else self.p_saf
        return low, _TOO_TOXIC * self.target if self.p_tox is None else self.p_tox

    @property
    def boundaries(self) -> tuple[float, float]:
        """Return the escalation and de-escalation boundaries for the observed DLT rate (Liu and Yuan 2015, equation 3)."""
        low, high = self.rates
        t = self.target
        escalation = np.log((1 - low) / (1 - t)) / np.log(t * (1 - low) / (low * (1 - t)))
        deescalation = np.log((1 - t) / (1 - high)) / np.log(high * (1 - t) / (t * (1 - high)))
        return float(escalation), float(deescalation)

    @property
    def mtd_below(self) -> float | None:
        return self.boundaries[1] if self.bound_mtd else None

    def move(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        low, high = self.boundaries
        # At a rate equal to the upper boundary, stay.
        move = at_least(low * n, y).astype(int) - ~at_least(high * n, y)
        if self.down_at_2_of_6:
            move = np.where((n == 6) & (y >= 2), -1, move)
        return np.where((n == 3) & (y == 1), 0, move) if self.stay_at_1_of_3 else move

    def place(self, n: int, y: int) -> str:
        low, high = self.boundaries
        if self.stay_at_1_of_3 and (n, y) == (3, 1):
            return _("{data}, a rate of {rate}: stay by the rule for 1 of 3")
        if self.down_at_2_of_6 and n == 6 and y >= 2:
            return _("{data}, a rate of {rate}: de-escalate by the rule for 2 of 6")
        if at_least(low * n, y):
            sentence = _("{data}, a rate of {rate}, at most {low}")
        elif at_least(high * n, y):
            sentence = _("{data}, a rate of {rate} between {low} and {high}")
        else:
            sentence = _("{data}, a rate of {rate}, above {high}")
        return sentence.format(data="{data}", rate="{rate}", low=percent(low), high=percent(high))

    def move_sentences(self) -> list[str]:
        low, high = self.boundaries
        p_saf, p_tox = self.rates
        times = _("{rate} ({times} times the target)")
        saf = f"{p_saf:.4g}" if self.p_saf else times.format(rate=f"{p_saf:.4g}", times=f"{_TOO_LOW:g}")
        tox = f"{p_tox:.4g}" if self.p_tox else times.format(rate=f"{p_tox:.4g}", times=f"{_TOO_TOXIC:g}")
        return [
            _(
                "Target DLT rate {target}. Escalate if the DLT rate at the current dose is at most {low}, de-escalate if it is "
                "above {high}, otherwise stay; at a rate equal to the upper boundary, stay."
            ).format(target=f"{self.target:g}", low=f"{low:.4f}", high=f"{high:.4f}"),
            _(
                "The boundaries separate the target from the rate deemed subtherapeutic, p_saf = {saf}, and the rate deemed "
                "overly toxic, p_tox = {tox}."
            ).format(saf=saf, tox=tox),
            *([_("1 DLT in 3 patients: stay, whatever the boundaries say.")] if self.stay_at_1_of_3 else []),
            *([_("2 or more DLTs in 6 patients: de-escalate, whatever the boundaries say.")] if self.down_at_2_of_6 else []),
        ]
