"""The two-parameter logistic curve with patients at the amounts that were administered to them.

Everything else of a trial counts patients by their assigned level. So the counts stay by level, and the likelihood is corrected by
a factor that does not depend on them: for each of these patients the likelihood at the amount administered, divided by that at
the level. Any counts that include these patients, such as those of a trial that goes on, have the correct likelihood then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import model_validator

from .._check import InputError, Problem
from ..trial import Administered
from .logistic2 import Logistic2

__all__ = ["Logistic2Administered"]


class Logistic2Administered(Logistic2):
    """A two-parameter logistic curve whose likelihood has some patients at the amount administered.

    Attributes
    ----------
    doses, reference, prior, windows
        As of `Logistic2`.
    administered
        Patients who are among the counts of their level, each with the amount administered.
    """

    kind: ClassVar[str] = "logistic-2-administered"
    title: ClassVar[str] = Logistic2.title
    source: ClassVar[str] = Logistic2.source

    administered: tuple[Administered, ...]

    @model_validator(mode="after")
    def _administered_at_levels(self) -> Self:
        for one in self.administered:
            if not 1 <= one.level <= len(self.doses):
                raise InputError(Problem("administered", one.level, f"must be among the levels 1 to {len(self.doses)}"))
            if not (0 < one.amount < np.inf and 0 <= one.dlts <= one.n):
                raise InputError(Problem("administered", tuple(one), "must have an amount above 0 and at most n DLTs"))
        return self

    @property
    def corrected(self) -> bool:
        return True

    def log_correction(self, theta: Sequence[Any], xp: Any = np) -> Any:
        n, dlts = (np.array([getattr(one, name) for one in self.administered], float) for name in ("n", "dlts"))
        given = self.log_terms(theta, self.coordinate(np.array([one.amount for one in self.administered])), xp)
        level = self.log_terms(theta, self.coordinates[[one.level - 1 for one in self.administered]], xp)
        log_ratio = (given[0] - level[0]) * dlts + (given[1] - level[1]) * (n - dlts)
        return log_ratio.sum(axis=-1, keepdims=True)

    def split(self, n: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved_n, moved_y = self._by_level()
        if not self.includes(n, y).all():
            raise ArithmeticError("counts do not include the patients whose amount administered is not that of their level")
        own = [
            np.broadcast_to([getattr(one, name) for one in self.administered], (len(n), len(self.administered))) for name in _COUNTS
        ]
        return np.hstack([n - moved_n, own[0]]), np.hstack([y - moved_y, own[1]])

    def includes(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return which counts ``(sets, doses)`` include these patients, ``(sets,)``."""
        moved_n, moved_y = self._by_level()
        return ((y >= moved_y) & (n - y >= moved_n - moved_y)).all(axis=1)

    def _by_level(self) -> tuple[np.ndarray, np.ndarray]:
        moved = np.zeros((2, len(self.doses)), int)
        for one in self.administered:
            moved[:, one.level - 1] += (one.n, one.dlts)
        return moved[0], moved[1]

    def sentences(self) -> list[str]:
        listed = ", ".join(f"{one.n} of level {one.level} at {one.amount:.4g}" for one in self.administered)
        return [*super().sentences(), f"Patients at the amount administered in place of that of their level: {listed}."]


_COUNTS = ("n", "dlts")
